//! `check`: what is wrong with a document, what is odd about it, and how full the cluster is.

use crate::args::CheckArgs;
use crate::census::{self, Census, Share, Use};
use crate::input::{self, Clash, Fault, Oddity, Stop};
use crate::plan_json::{Fields, class_name};
use crate::screen::{Screen, Tone};
use crate::words::{self, clean, count};
use crate::{Answer, BAD_INPUT};
use lifeboat::{Cluster, ResourceKinds};
use serde::Serialize;
use std::fmt::Write;

pub(crate) fn run(args: &CheckArgs) -> Result<Answer, Stop> {
    let checked = input::read_text(&args.cluster).and_then(|text| input::check_document(&text, args.strict));
    match checked {
        Err(Stop::BadInput(faults)) => {
            input::complain(&faults);
            let text = if args.json { broken_json(&faults) } else { String::new() };
            Ok(Answer { text, status: BAD_INPUT })
        }
        Err(stop) => Err(stop),
        Ok(checked) => {
            let census = census::take(&checked.cluster);
            let text =
                if args.json { json(&checked, &census) } else { text(&checked, &census, Screen::of_stdout(args.all)) };
            let clean = checked.warnings.is_empty() && checked.conflicts.is_empty();
            Ok(Answer { text, status: u8::from(!clean) })
        }
    }
}

/// A document without errors.
pub(crate) struct Checked {
    pub(crate) cluster: Cluster,
    pub(crate) warnings: Vec<Oddity>,
    pub(crate) conflicts: Vec<Clash>,
}

/// `lifeboat-check/1`.
#[derive(Serialize)]
struct Report<'a> {
    format: &'static str,
    errors: &'a [Fault],
    warnings: &'a [Oddity],
    conflicts: &'a [Clash],
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<NodeCounts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vms: Option<VmCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utilisation: Option<Utilisation<'a>>,
}

#[derive(Serialize)]
struct NodeCounts<'a> {
    total: usize,
    #[serde(flatten)]
    states: Fields<'a, usize>,
    spare: usize,
}

#[derive(Serialize)]
struct VmCounts {
    total: usize,
    on: usize,
    off: usize,
    displaced: usize,
    classes: Vec<Class>,
}

#[derive(Serialize)]
struct Class {
    restart: &'static str,
    priority: u32,
    vms: usize,
}

#[derive(Serialize)]
struct Utilisation<'a> {
    kinds: Fields<'a, Amounts<'a>>,
    levels: Fields<'a, Fields<'a, Domain<'a>>>,
}

#[derive(Serialize)]
struct Domain<'a> {
    nodes: usize,
    vms: usize,
    kinds: Fields<'a, Amounts<'a>>,
}

#[derive(Serialize)]
struct Amounts<'a> {
    unit: &'a str,
    capacity: u64,
    allocatable: u64,
    failover_allocatable: u64,
    used: u64,
    used_percent: Option<u64>,
    free: u64,
    largest: u64,
}

fn broken_json(faults: &[Fault]) -> String {
    input::to_json(&Report {
        format: "lifeboat-check/1",
        errors: faults,
        warnings: &[],
        conflicts: &[],
        nodes: None,
        vms: None,
        utilisation: None,
    })
}

fn json(checked: &Checked, census: &Census<'_>) -> String {
    let kinds = checked.cluster.kinds();
    let domain =
        |share: &Share<'_>| Domain { nodes: share.nodes, vms: share.vms, kinds: amounts_json(kinds, &share.uses) };
    let levels = census
        .levels
        .iter()
        .map(|level| (level.name, Fields(level.domains.iter().map(|share| (share.domain, domain(share))).collect())));
    input::to_json(&Report {
        format: "lifeboat-check/1",
        errors: &[],
        warnings: &checked.warnings,
        conflicts: &checked.conflicts,
        nodes: Some(NodeCounts {
            total: checked.cluster.node_count(),
            states: Fields(census.states.clone()),
            spare: census.spare,
        }),
        vms: Some(VmCounts {
            total: checked.cluster.vm_count(),
            on: census.on,
            off: checked.cluster.vm_count() - census.on,
            displaced: census.displaced,
            classes: census
                .classes
                .iter()
                .map(|((class, priority), vms)| Class { restart: class.name(), priority: priority.0, vms: *vms })
                .collect(),
        }),
        utilisation: Some(Utilisation {
            kinds: amounts_json(kinds, &census.whole.uses),
            levels: Fields(levels.collect()),
        }),
    })
}

fn amounts_json<'a>(kinds: &'a ResourceKinds, uses: &[Use]) -> Fields<'a, Amounts<'a>> {
    let amounts = |(kind, used): (&'a lifeboat::ResourceKind, &Use)| {
        let amounts = Amounts {
            unit: &kind.unit,
            capacity: used.capacity,
            allocatable: used.allocatable,
            failover_allocatable: used.failover_allocatable,
            used: used.used,
            used_percent: words::percent_of(used.used, used.allocatable),
            free: used.free,
            largest: used.largest,
        };
        (kind.name.as_str(), amounts)
    };
    Fields(kinds.iter().zip(uses).map(amounts).collect())
}

fn text(checked: &Checked, census: &Census<'_>, screen: Screen) -> String {
    let mut out = String::new();
    headline(&mut out, checked, census, screen);
    vms(&mut out, census, screen);
    kinds(&mut out, checked, census, screen);
    levels(&mut out, checked, census, screen);
    let clashes = checked.conflicts.iter().map(Clash::line).collect();
    let warnings = checked.warnings.iter().map(Oddity::line).collect();
    for (heading, lines) in [("Rules that cannot all hold", clashes), ("Warnings", warnings)] {
        let lines: Vec<String> = lines;
        if !lines.is_empty() {
            screen.heading(&mut out, heading);
            screen.lines(&mut out, lines);
        }
    }
    out
}

fn headline(out: &mut String, checked: &Checked, census: &Census<'_>, screen: Screen) {
    let Checked { cluster, warnings, conflicts } = checked;
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

fn kinds(out: &mut String, checked: &Checked, census: &Census<'_>, screen: Screen) {
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

fn levels(out: &mut String, checked: &Checked, census: &Census<'_>, screen: Screen) {
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
