//! A verdict for people: the answer first, what it covers, then what to act on.

use crate::screen::{Screen, Tone};
use crate::words::{clean, count, thousands, vm_name};
use lifeboat::answers::{Judged, LookedAt};
use lifeboat::{Answer, ClassVerdict, Cluster, Covers, Outcome, Proof, Way};
use std::fmt::Write;

/// The verdict, laid out for a screen.
pub(crate) fn verdict(judged: &Judged<'_>, screen: Screen) -> String {
    let mut out = String::new();
    let aside = judged.classes().any(|(class, _)| !class.uncoverable().is_empty());
    let (tone, line) = match judged.verdict.answer() {
        _ if judged.is_doubted() => (
            Tone::Bad,
            "Unsure: the independent checker refuses the evidence. Do not rely on this answer, and please report it.",
        ),
        Answer::Holds if judged.looked_at.is_empty() => {
            (Tone::Unsure, "Nothing is to be tolerated: nothing was proved.")
        }
        Answer::Holds if aside => (
            Tone::Good,
            "Holds for all VMs but those that no node could take: every failure in the tolerance is survived.",
        ),
        Answer::Holds => (Tone::Good, "Holds: every failure in the tolerance is survived."),
        Answer::Fails => (Tone::Bad, "Fails: not every failure in the tolerance is survived."),
        Answer::Undecided => {
            (Tone::Unsure, "Undecided: not every failure in the tolerance was proved to be survived or refuted.")
        }
    };
    let _ = writeln!(out, "{}", screen.tone(tone, line));
    for (verdict, seen) in judged.classes() {
        class(&mut out, judged.cluster, verdict, seen, screen);
    }
    out
}

fn class(out: &mut String, cluster: &Cluster, verdict: &ClassVerdict, seen: &LookedAt, screen: Screen) {
    let levels: Vec<String> = verdict.class().fail.iter().map(|(level, count)| format!("{level}={count}")).collect();
    let priority =
        verdict.class().min_priority.map_or_else(String::new, |priority| format!(", priority {priority} and above"));
    let what = if levels.is_empty() { String::from("no failure") } else { levels.join(" and ") };
    screen.heading(out, &format!("{what}{priority}: {}", verdict.answer().name()));
    let mut summary = clean(&verdict.summary());
    if let Some(first) = summary.get(..1).map(str::to_uppercase) {
        summary.replace_range(..1, &first);
    }
    screen.paragraph(out, 2, &format!("{summary}."));
    let scenarios = u64::try_from(verdict.scenarios()).map_or_else(|_| verdict.scenarios().to_string(), thousands);
    let _ = writeln!(out, "  Failures of that size: {scenarios}.");
    if verdict.covers() == Some(Covers::AtOnce) {
        let more = "Covered: losses at once. After a restart the rest of the tolerance is not proved: verify again.";
        screen.paragraph(out, 2, more);
    }
    if verdict.certificate().is_some_and(lifeboat::Certificate::evicts) {
        screen.paragraph(out, 2, "Some restarts need the room of best-effort VMs that run: their plans stop those.");
    }
    if let Some(counterexample) = verdict.counterexample() {
        if let Proof::Search { checked: false } = counterexample.proof() {
            screen.paragraph(out, 2, "The proof is an exhausted search, which no small checker replays.");
        }
        if !seen.unplaced.is_empty() {
            let lines = seen
                .unplaced
                .iter()
                .map(|(left, help)| {
                    let help = help.iter().map(|help| format!("; {}", help.message(cluster)));
                    let line = format!("{}{}", left.message, help.collect::<String>());
                    format!("  {}: {}", clean(vm_name(cluster, left.vm)), clean(&line))
                })
                .collect::<Vec<_>>();
            let _ = writeln!(out, "  A plan for it leaves out {}:", count(lines.len(), "VM"));
            screen.lines(out, lines);
        }
    }
    if !verdict.failing_units().is_empty() {
        let units: Vec<String> = verdict.failing_units().iter().map(ToString::to_string).collect();
        let names = screen.names(units.iter().map(String::as_str));
        let open = match verdict.open() {
            0 => String::new(),
            1 => " (1 more is undecided)".to_string(),
            more => format!(" ({more} more are undecided)"),
        };
        screen.paragraph(out, 2, &format!("May not fail: {names}{open}."));
    }
    if !verdict.uncoverable().is_empty() {
        let lines: Vec<String> =
            verdict.uncoverable().iter().map(|found| format!("  {}", clean(&found.message(cluster)))).collect();
        let _ = writeln!(out, "  {} cannot be covered:", count(lines.len(), "VM"));
        screen.lines(out, lines);
        let _ = writeln!(out, "  For all other VMs: {}.", verdict.rest().name());
    }
    let method = verdict.method();
    let way = match (verdict.outcome(), method.way) {
        (Outcome::Undecided { .. }, _) => String::from("Not settled"),
        (_, Way::Prices) => String::from("Refuted by adding up"),
        (_, Way::Banks) => format!("Proved by plans in {}", count(usize::try_from(method.banks).unwrap_or(0), "bank")),
        (Outcome::Fails(_), _) => String::from("Refuted by search"),
        (_, Way::Pairs | Way::Search) => {
            String::from("Proved by base plans and by looking at the failures in which they collide")
        }
    };
    let checked = match seen.checked {
        Some(true) => "; accepted by the independent checker",
        Some(false) => "; NOT accepted by the independent checker",
        None => "",
    };
    let units = if verdict.work() == 1 { "unit" } else { "units" };
    screen.paragraph(out, 2, &format!("{way}, with {} {units} of work{checked}.", thousands(verdict.work())));
}
