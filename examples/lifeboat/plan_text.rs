//! A restart plan for people: the answer first, then the tables.

use crate::screen::{Screen, Tone};
use crate::words::{self, clean, count, node_name, node_names, thousands, vm_name, vm_names};
use lifeboat::answers::{Explained, Planned, class_name, note_text};
use lifeboat::{Cluster, PlanStatus, Reason, ResourceKinds, RestartClass, RestartPlan, VmId};
use std::fmt::Write;

/// How many names the headline gives.
const HEADLINE_NAMES: usize = 5;

/// The plan, laid out for a screen.
pub(crate) fn plan(planned: &Planned<'_>, screen: Screen) -> String {
    let mut out = String::new();
    headline(&mut out, planned, screen);
    classes(&mut out, &planned.plan, screen);
    placements(&mut out, planned, screen);
    estimate(&mut out, planned, screen);
    evictions(&mut out, planned, screen);
    unplaced(&mut out, planned, screen);
    help(&mut out, planned, screen);
    left(&mut out, planned, screen);
    free(&mut out, planned, screen);
    broken_rules(&mut out, planned, screen);
    notes(&mut out, planned, screen);
    for explained in &planned.explained {
        explain(&mut out, planned, explained, screen);
    }
    out
}

/// What an administrator reads first.
fn headline(out: &mut String, planned: &Planned<'_>, screen: Screen) {
    let Planned { cluster, plan, .. } = planned;
    let tone = match plan.status() {
        PlanStatus::Complete => Tone::Good,
        PlanStatus::Short => Tone::Bad,
        PlanStatus::Unproved => Tone::Unsure,
    };
    for line in answer(cluster, plan) {
        let _ = writeln!(out, "{}", screen.tone(tone, &line));
    }
    if plan.failed().is_empty() {
        let _ = writeln!(out, "No failure was named: this places what waits for a place.");
    } else {
        let failed = node_names(cluster, plan.failed());
        screen.paragraph(out, 0, &format!("Failed: {}.", screen.names(failed.into_iter())));
    }
    let proof = match (plan.status(), plan.is_optimal()) {
        (_, true) if displaced(plan, None).0 == 0 => return,
        (_, true) => "Proved: no plan restarts more, class by class from the top.",
        (PlanStatus::Complete, false) => {
            "All protected VMs restart; whether more best-effort VMs could is not proved (see \"at most\")."
        }
        (PlanStatus::Short, false) => {
            "Proved: not all protected VMs can restart. Whether a few more could is not proved (see \"at most\")."
        }
        (PlanStatus::Unproved, false) => {
            "Not proved: the search ended before it was clear whether more can restart (see \"at most\")."
        }
    };
    screen.paragraph(out, 0, proof);
}

/// How many VMs restart, and which do not.
fn answer(cluster: &Cluster, plan: &RestartPlan) -> Vec<String> {
    let (all, placed) = displaced(plan, None);
    if all == 0 {
        return vec!["Nothing to restart: no VM that is to run lacks a node.".to_string()];
    }
    if all == placed {
        let what = if all == 1 {
            "The only displaced VM restarts.".to_string()
        } else {
            format!("All {all} displaced VMs restart.")
        };
        return vec![what];
    }
    let line = |class: RestartClass, what: &str| {
        let (all, placed) = displaced(plan, Some(class));
        if all == 0 {
            return None;
        }
        let what = if all == 1 { format!("{what} VM") } else { format!("{what} VMs") };
        if all == placed {
            return Some(format!("{all} of {all} {what} {}.", restart(all)));
        }
        let missing: Vec<VmId> = plan
            .unplaced()
            .iter()
            .map(|unplaced| unplaced.vm)
            .filter(|vm| cluster.vm(*vm).is_ok_and(|vm| vm.effective().0 == class))
            .collect();
        // One more name costs no more than the words that stand for it.
        let shown = if missing.len() <= HEADLINE_NAMES + 1 { missing.len() } else { HEADLINE_NAMES };
        let mut names: Vec<String> = vm_names(cluster, &missing).into_iter().take(shown).map(clean).collect();
        if missing.len() > shown {
            names.push(format!("and {} more", missing.len() - shown));
        }
        let verb = if missing.len() == 1 { "does" } else { "do" };
        let missing = missing.len();
        Some(format!("{placed} of {all} {what} {}; {missing} {verb} not: {}.", restart(placed), names.join(", ")))
    };
    [(RestartClass::Protected, "protected"), (RestartClass::BestEffort, "best-effort")]
        .into_iter()
        .filter_map(|(class, what)| line(class, what))
        .collect()
}

/// The verb for so many VMs.
const fn restart(vms: u64) -> &'static str {
    if vms == 1 { "restarts" } else { "restart" }
}

/// How many VMs are displaced and how many placed, of a class or of all.
fn displaced(plan: &RestartPlan, class: Option<RestartClass>) -> (u64, u64) {
    let of_class = plan.classes().iter().filter(|count| class.is_none_or(|class| count.restart == class));
    of_class.fold((0, 0), |(displaced, placed), count| {
        (displaced + u64::from(count.displaced), placed + u64::from(count.placed))
    })
}

fn classes(out: &mut String, plan: &RestartPlan, screen: Screen) {
    if plan.classes().is_empty() {
        return;
    }
    screen.heading(out, "Classes, the most important first");
    let row = |class: &lifeboat::ClassCount| {
        vec![
            class_name(class.restart).to_string(),
            class.priority.to_string(),
            class.displaced.to_string(),
            class.placed.to_string(),
            class.displaced.saturating_sub(class.placed).to_string(),
            class.bound.to_string(),
        ]
    };
    let header = ["class", "priority", "displaced", "restart", "do not", "at most"];
    screen.table(out, &header, &[2, 3, 4, 5], plan.classes().iter().map(row).collect());
}

fn placements(out: &mut String, planned: &Planned<'_>, screen: Screen) {
    let Planned { cluster, plan, .. } = planned;
    let Some(waves) = plan.placements().iter().map(|start| start.wave).max() else { return };
    let starts = count(plan.placements().len(), "restart");
    let waves = if waves == 1 { "all at once".to_string() } else { format!("in {waves} waves") };
    screen.heading(out, &format!("{starts}, {waves}"));
    let row = |start: &lifeboat::Placement| {
        let vm = cluster.vm(start.vm).ok();
        let from = vm.and_then(lifeboat::VmRef::node).map_or("-", |node| node_name(cluster, node));
        let class = vm.map(lifeboat::VmRef::effective).map_or_else(String::new, |(class, priority)| {
            if class == RestartClass::Protected {
                priority.to_string()
            } else {
                format!("{priority}, {}", class_name(class))
            }
        });
        vec![
            start.wave.to_string(),
            clean(vm_name(cluster, start.vm)),
            clean(node_name(cluster, start.node)),
            clean(from),
            class,
            vm.and_then(lifeboat::VmRef::display).map_or_else(String::new, clean),
        ]
    };
    let mut header = vec!["wave", "VM", "restarts on", "was on", "priority", ""];
    let mut rows: Vec<Vec<String>> = plan.placements().iter().map(row).collect();
    if rows.iter().all(|row| row.last().is_some_and(String::is_empty)) {
        header.pop();
        for row in &mut rows {
            row.truncate(header.len());
        }
    }
    screen.table(out, &header, &[0], rows);
}

/// When the classes are back.
fn estimate(out: &mut String, planned: &Planned<'_>, screen: Screen) {
    let Planned { cluster, estimate, .. } = planned;
    if estimate.starts().is_empty() && estimate.given_up().is_empty() {
        return;
    }
    screen
        .heading(out, &format!("Estimate: everything is ready {} after the start", words::seconds(estimate.ready_s())));
    let row = |class: &lifeboat::ClassTime| {
        vec![
            class_name(class.restart).to_string(),
            class.priority.to_string(),
            class.vms.to_string(),
            words::seconds(class.ready_s),
        ]
    };
    screen.table(
        out,
        &["class", "priority", "VMs", "ready after"],
        &[2, 3],
        estimate.classes().iter().map(row).collect(),
    );
    if estimate.assumed() > 0 {
        let assumed = format!(
            "{} no start time (start_s): {} s assumed. Noticing the failure and fencing are not in it.",
            if estimate.assumed() == 1 { "1 VM states".into() } else { format!("{} VMs state", estimate.assumed()) },
            lifeboat::ASSUMED_START_S
        );
        screen.paragraph(out, 2, &assumed);
    }
    if !estimate.given_up().is_empty() {
        let names = screen.names(vm_names(cluster, estimate.given_up()).into_iter());
        screen.paragraph(out, 2, &format!("Given up, as what they wait for takes too long: {names}."));
    }
}

fn evictions(out: &mut String, planned: &Planned<'_>, screen: Screen) {
    let Planned { cluster, plan, .. } = planned;
    if plan.evictions().is_empty() {
        return;
    }
    screen.heading(out, &format!("{} stopped to make room", count(plan.evictions().len(), "VM")));
    let row = |stop: &lifeboat::Eviction| vec![clean(vm_name(cluster, stop.vm)), clean(node_name(cluster, stop.node))];
    screen.table(out, &["VM", "runs on"], &[], plan.evictions().iter().map(row).collect());
}

fn unplaced(out: &mut String, planned: &Planned<'_>, screen: Screen) {
    let Planned { cluster, plan, .. } = planned;
    if plan.unplaced().is_empty() {
        return;
    }
    let verb = if plan.unplaced().len() == 1 { "does" } else { "do" };
    screen.heading(out, &format!("{} {verb} not restart", count(plan.unplaced().len(), "VM")));
    let row = |unplaced: &lifeboat::Unplaced| {
        let class = cluster.vm(unplaced.vm).map(lifeboat::VmRef::effective);
        let class =
            class.map_or_else(|_| String::new(), |(class, priority)| format!("{priority}, {}", class_name(class)));
        vec![clean(vm_name(cluster, unplaced.vm)), class, clean(&unplaced.message)]
    };
    screen.table(out, &["VM", "priority", "why"], &[], plan.unplaced().iter().map(row).collect());
}

/// What would give VMs without a place one.
fn help(out: &mut String, planned: &Planned<'_>, screen: Screen) {
    let Planned { cluster, plan, help, .. } = planned;
    let mut rows = Vec::new();
    for (vm, changes) in help {
        for (position, change) in changes.iter().enumerate() {
            let name = if position == 0 { clean(vm_name(cluster, *vm)) } else { String::new() };
            rows.push(vec![name, clean(&change.message(cluster))]);
        }
    }
    if rows.is_empty() {
        return;
    }
    screen.heading(out, "What would help, each by itself");
    screen.table(out, &["VM", "change"], &[], rows);
    if plan.unplaced().len() > help.len() {
        screen.paragraph(out, 2, &format!("Looked for the {} most important VMs only.", help.len()));
    }
}

/// VMs that are not touched.
fn left(out: &mut String, planned: &Planned<'_>, screen: Screen) {
    let Planned { cluster, plan, .. } = planned;
    let mut list = |heading: &str, why: &str, vms: &[VmId]| {
        if !vms.is_empty() {
            screen.heading(out, &format!("{} {heading}", count(vms.len(), "VM")));
            screen.paragraph(out, 2, why);
            screen.paragraph(out, 2, &screen.names(vm_names(cluster, vms).into_iter()));
        }
    };
    list(
        "waiting",
        "On unreachable nodes, where they may still run. Once a node is known to be dead, name it with --fail.",
        plan.waiting(),
    );
    list("left alone", "Of restart class never.", plan.left_alone());
}

fn free(out: &mut String, planned: &Planned<'_>, screen: Screen) {
    let Planned { cluster, free, .. } = planned;
    screen.heading(out, "Free for restarts afterwards");
    let row = |(position, kind): (usize, &lifeboat::ResourceKind)| {
        vec![
            clean(&kind.name),
            words::amount(kind, free.total.of(position)),
            words::amount(kind, free.largest.of(position)),
        ]
    };
    let rows = cluster.kinds().iter().enumerate().map(row).collect();
    screen.table(out, &["kind", "in total", "most on one node"], &[1, 2], rows);
}

/// Rules that do not bind restarts, and that the plan breaks: a line each.
fn broken_rules(out: &mut String, planned: &Planned<'_>, screen: Screen) {
    let Planned { cluster, plan, .. } = planned;
    if plan.broken_rules().is_empty() {
        return;
    }
    screen.heading(out, "Rules broken that do not bind restarts");
    let lines = plan.broken_rules().iter().map(|broken| {
        let rule = cluster.rule(broken.rule).map_or("?", lifeboat::RuleRef::name);
        let vms = broken.vms.iter().map(|vm| clean(vm_name(cluster, *vm))).collect::<Vec<_>>().join(", ");
        format!("{} ({}, by {}): {vms}", clean(rule), broken.strength.name(), broken.excess)
    });
    screen.lines(out, lines.collect());
    let least = if plan.costs_are_proved() {
        "No plan that starts as many costs less."
    } else {
        "It is not proved that no other plan that starts as many costs less."
    };
    screen.paragraph(out, 0, least);
}

fn notes(out: &mut String, planned: &Planned<'_>, screen: Screen) {
    let notes: Vec<Vec<String>> =
        planned.plan.notes().iter().map(|note| vec![clean(&note_text(planned.cluster, note))]).collect();
    if !notes.is_empty() {
        screen.heading(out, "Notes");
        screen.lines(out, notes.into_iter().flatten().collect());
    }
}

/// The node-by-node table of one VM.
fn explain(out: &mut String, planned: &Planned<'_>, explained: &Explained, screen: Screen) {
    let Planned { cluster, plan, .. } = planned;
    let name = clean(vm_name(cluster, explained.vm));
    let target = plan.placements().iter().find(|start| start.vm == explained.vm).map(|start| start.node);
    let fits = explained.nodes.iter().filter(|(_, reason)| reason.is_none()).count();
    let of_all = count(explained.nodes.len(), "node");
    screen.heading(out, &format!("{name}, node by node: {} of {of_all} would take it", thousands(words::u64_of(fits))));
    if let Ok(vm) = cluster.vm(explained.vm) {
        let needs: Vec<String> = cluster
            .kinds()
            .iter()
            .zip(vm.restart_demand())
            .map(|(kind, needed)| format!("{} {}", words::amount(kind, *needed), clean(&kind.name)))
            .collect();
        screen.paragraph(out, 2, &format!("{} To start it needs {}.", fate(planned, vm), needs.join(", ")));
    }
    let row = |(node, reason): &(lifeboat::NodeId, Option<Reason>)| {
        let answer = match reason {
            _ if target == Some(*node) => "restarts here".to_string(),
            None => "would take it".to_string(),
            Some(reason) => reason_text(cluster.kinds(), reason),
        };
        vec![clean(node_name(cluster, *node)), answer]
    };
    screen.table(out, &["node", "answer"], &[], explained.nodes.iter().map(row).collect());
}

/// What becomes of a VM under the plan.
fn fate(planned: &Planned<'_>, vm: lifeboat::VmRef<'_>) -> String {
    let Planned { cluster, plan, .. } = planned;
    let id = vm.id();
    if let Some(start) = plan.placements().iter().find(|start| start.vm == id) {
        return format!("It restarts on {}.", clean(node_name(cluster, start.node)));
    }
    if plan.unplaced().iter().any(|unplaced| unplaced.vm == id) {
        return "It does not restart.".to_string();
    }
    if plan.waiting().contains(&id) {
        return "It waits: its node is unreachable, and it may still run there.".to_string();
    }
    match vm.node() {
        _ if plan.left_alone().contains(&id) => "It is left alone: its restart class is never.".to_string(),
        _ if !vm.is_on() => "It is powered off.".to_string(),
        Some(node) => format!("It runs on {} and stays there.", clean(node_name(cluster, node))),
        None => String::new(),
    }
}

/// Why not on a node, for people.
fn reason_text(kinds: &ResourceKinds, reason: &Reason) -> String {
    let of_kind = |position: usize, amount: u64| {
        kinds.get(position).map_or_else(|| amount.to_string(), |kind| words::amount(kind, amount))
    };
    let kind_name = |position: usize| kinds.get(position).map_or_else(String::new, |kind| clean(&kind.name));
    match reason {
        Reason::Failed => "failed".to_string(),
        Reason::NotAccepting { state } => format!("is in state {} and takes nothing", state.name()),
        Reason::MissingLabel { label } => format!("lacks the label \"{}\"", clean(label)),
        Reason::NotAllowed => "is not one of its allowed nodes".to_string(),
        Reason::Rule { name, .. } => format!("barred by the rule \"{}\"", clean(name)),
        Reason::Insufficient { kind, needed, free } => format!(
            "short of {}: {} free, {} missing",
            kind_name(*kind),
            of_kind(*kind, *free),
            of_kind(*kind, needed.saturating_sub(*free))
        ),
        Reason::Fragmentation { kind, total_free, largest_hole } => format!(
            "{} {} is free in total, and at most {} in one piece",
            of_kind(*kind, *total_free),
            kind_name(*kind),
            of_kind(*kind, *largest_hole)
        ),
        Reason::Prerequisite { name, .. } => format!("needs \"{}\", which neither runs nor restarts", clean(name)),
        Reason::Unproved => "has room in this plan, with other VMs elsewhere; not proved".to_string(),
        other => other.code().to_string(),
    }
}
