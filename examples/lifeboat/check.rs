//! `check`: what is wrong with a document, what is odd about it, and how full the cluster is.

use crate::Answer;
use crate::args::CheckArgs;
use crate::input::{self, Stop};
use crate::screen::{Screen, Tone};
use crate::words::{self, clean, count};
use lifeboat::Document;
use lifeboat::answers::{Census, Checked, Share, Sound, Use, class_name, to_text};
use lifeboat::document::LoadOptions;
use std::fmt::Write;

pub(crate) fn run(args: &CheckArgs) -> Result<Answer, Stop> {
    let options = LoadOptions::new().strict(args.strict);
    let read = input::read_text(&args.cluster).map(|text| Document::from_json_with(&text, options));
    let checked = match read {
        Ok(read) => Checked::ask(read),
        // What cannot be read is broken, too.
        Err(Stop::BadInput(faults)) => Checked::Broken(faults),
        Err(stop) => return Err(stop),
    };
    if let Checked::Broken(faults) = &checked {
        input::complain(faults);
    }
    let text = match &checked {
        checked if args.json => to_text(&checked.json()),
        Checked::Broken(_) => String::new(),
        Checked::Sound(sound) => text(sound, &sound.census(), Screen::of_stdout(args.all)),
    };
    Ok(Answer { text, status: checked.status() })
}

fn text(checked: &Sound, census: &Census<'_>, screen: Screen) -> String {
    let mut out = String::new();
    headline(&mut out, checked, census, screen);
    vms(&mut out, census, screen);
    kinds(&mut out, checked, census, screen);
    levels(&mut out, checked, census, screen);
    let clashes = checked.conflicts.iter().map(|clash| clean(&clash.line())).collect();
    let warnings = checked.warnings.iter().map(|oddity| clean(&oddity.line())).collect();
    for (heading, lines) in [("Rules that cannot all hold", clashes), ("Warnings", warnings)] {
        let lines: Vec<String> = lines;
        if !lines.is_empty() {
            screen.heading(&mut out, heading);
            screen.lines(&mut out, lines);
        }
    }
    out
}

fn headline(out: &mut String, checked: &Sound, census: &Census<'_>, screen: Screen) {
    let Sound { cluster, warnings, conflicts } = checked;
    let (tone, verdict) = match (conflicts.len(), warnings.len()) {
        (0, 0) => (Tone::Good, "no errors, no warnings".to_string()),
        (0, warnings) => (Tone::Unsure, format!("no errors, {}", count(warnings, "warning"))),
        (conflicts, warnings) => {
            let conflicts = count(conflicts, "conflict");
            (Tone::Bad, format!("no errors, {conflicts} that no placement can solve, {}", count(warnings, "warning")))
        }
    };
    let name = cluster.name().map_or_else(|| "The document".to_string(), clean);
    let _ = writeln!(out, "{}", screen.tone(tone, &format!("{name}: {verdict}.")));
    let states: Vec<String> =
        census.states.iter().filter(|(_, nodes)| *nodes > 0).map(|(state, nodes)| format!("{nodes} {state}")).collect();
    let spare = if census.spare > 0 { format!("; {} spare", census.spare) } else { String::new() };
    let nodes = count(cluster.node_count(), "node");
    let states = if states.is_empty() { String::new() } else { format!(" ({}{spare})", states.join(", ")) };
    let off = cluster.vm_count() - census.on;
    let waiting =
        if census.displaced > 0 { format!(", {} without a node that is up", census.displaced) } else { String::new() };
    let vms = count(cluster.vm_count(), "VM");
    let rules = count(cluster.rule_count(), "rule");
    screen.paragraph(out, 0, &format!("{nodes}{states}, {vms} ({} on{waiting}, {off} off), {rules}.", census.on));
}

fn vms(out: &mut String, census: &Census<'_>, screen: Screen) {
    if census.classes.is_empty() {
        return;
    }
    screen.heading(out, "VMs that are on, by class");
    let row = |((class, priority), vms): &((lifeboat::RestartClass, lifeboat::Priority), usize)| {
        vec![class_name(*class).to_string(), priority.to_string(), vms.to_string()]
    };
    screen.table(out, &["class", "priority", "VMs"], &[2], census.classes.iter().map(row).collect());
}

fn kinds(out: &mut String, checked: &Sound, census: &Census<'_>, screen: Screen) {
    screen.heading(out, "Use, on nodes that run VMs");
    let row = |(kind, used): (&lifeboat::ResourceKind, &Use)| {
        vec![
            clean(&kind.name),
            words::amount(kind, used.allocatable),
            words::amount(kind, used.used),
            words::percent(used.used, used.allocatable),
            words::amount(kind, used.free),
            words::amount(kind, used.largest),
        ]
    };
    let rows = checked.cluster.kinds().iter().zip(&census.whole.uses).map(row).collect();
    let header = ["kind", "for VMs", "used", "", "free for restarts", "most on one node"];
    screen.table(out, &header, &[1, 2, 3, 4, 5], rows);
}

fn levels(out: &mut String, checked: &Sound, census: &Census<'_>, screen: Screen) {
    for level in &census.levels {
        screen.heading(out, &format!("Use by {}", clean(level.name)));
        let mut header = vec![clean(level.name), "nodes".to_string(), "VMs".to_string()];
        header.extend(checked.cluster.kinds().iter().map(|kind| clean(&kind.name)));
        let row = |share: &Share<'_>| {
            let mut row = vec![clean(share.domain), share.nodes.to_string(), share.vms.to_string()];
            row.extend(share.uses.iter().map(|used| words::percent(used.used, used.allocatable)));
            row
        };
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let right: Vec<usize> = (1..header.len()).collect();
        screen.table(out, &header, &right, level.domains.iter().map(row).collect());
        if level.alone > 0 {
            let alone = count(level.alone, "node");
            let verb = if level.alone == 1 {
                "is in no domain, and a domain of its own"
            } else {
                "are in no domain, and each a domain of its own"
            };
            screen.paragraph(out, 2, &format!("{alone} {verb}."));
        }
    }
}
