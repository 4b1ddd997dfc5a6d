//! Scenarios that an operator can read: `tests/scenarios/**/*.txt`.
//!
//! `lifeboat_testkit::scenario` tells the form of the files. With the variable `UPDATE_SCENARIOS` set the answers are
//! written anew; read the difference before it is kept. Every plan goes through the checker and, where that is fast
//! enough, is compared with the exhaustive reference; every verdict goes through its checker and is compared likewise.
//!
//! Commands: `plan [fail=NODE | fail=LEVEL:DOMAIN]...`, `explain VM [fail=...]...` (node by node),
//! `help [fail=...]...` (what would help),
//! `estimate [fail=...]...` (when everything is back), `verify [LEVEL=COUNT]... [priority=...]` (without arguments: the policy's classes), `check`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]
#![cfg(feature = "json")]

use lifeboat::policy::FailureClass;
use lifeboat::{
    Answer, Cluster, Document, Failure, NodeId, Planner, Policy, Priority, Reason, ReasonCount, RestartPlan, VmId,
    check_plan, check_verdict, conflicts, verify,
};
use lifeboat_testkit::scenario::{Ask, Block, blocks, write};
use lifeboat_testkit::{Case, properties, verdict};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What the reference of verdicts may cost; a failure beyond it is not compared.
const LIMIT: u64 = 200_000;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            found.push(path);
        }
    }
    found.sort();
}

#[test]
fn every_scenario_is_answered_as_it_should_be() {
    let update = std::env::var("UPDATE_SCENARIOS").is_ok();
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios"), &mut paths);
    let (mut count, mut wrong) = (0, String::new());
    let mut titles = BTreeSet::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut anew = Vec::new();
        for block in blocks(&text) {
            assert!(titles.insert(block.title.clone()), "two scenarios are called {:?}", block.title);
            let mut answers = Vec::new();
            for ask in &block.asks {
                count += 1;
                let answer = answer(&block, ask);
                if answer != ask.expected {
                    let (path, title, expected) = (path.display(), &block.title, &ask.expected);
                    writeln!(wrong, "{path}: {title}: {}\n{answer}  instead of\n{expected}", ask.line).unwrap();
                }
                answers.push(answer);
            }
            anew.push((block, answers));
        }
        if update {
            std::fs::write(&path, write(&anew)).unwrap();
        }
    }
    println!("{count} commands in {} scenarios", titles.len());
    assert!(titles.len() >= 80, "only {} scenarios", titles.len());
    assert!(update || wrong.is_empty(), "{wrong}");
}

fn answer(block: &Block, ask: &Ask) -> String {
    let (command, arguments) = ask.words.split_first().unwrap();
    let (cluster, policy) = match Document::from_json(&block.document) {
        Ok(document) => document.into_parts(),
        Err(errors) if command == "check" => return format!("errors\n{errors}\n"),
        Err(errors) => panic!("{}: {errors}", block.title),
    };
    match command.as_str() {
        "plan" => Planned::new(block, cluster, policy, arguments).plan(),
        "help" => Planned::new(block, cluster, policy, arguments).help(),
        "estimate" => Planned::new(block, cluster, policy, arguments).estimate(),
        "explain" => {
            let (vm, failed) = arguments.split_first().expect("a VM");
            Planned::new(block, cluster, policy, failed).explain(vm)
        }
        "verify" => verdicts(block, &cluster, policy, arguments),
        "check" => check(&cluster),
        other => panic!("{}: no command {other:?}", block.title),
    }
}

/// What `check` has to say of a document without errors.
fn check(cluster: &Cluster) -> String {
    let mut text = String::new();
    for warning in cluster.warnings() {
        writeln!(text, "{}: {warning}", warning.kind.name()).unwrap();
    }
    for conflict in conflicts(cluster) {
        assert!(conflict.minimal);
        writeln!(text, "{}: {}", conflict.code.name(), conflict.message).unwrap();
        let rules: Vec<&str> = conflict.rules.iter().map(|id| cluster.rule(*id).unwrap().name()).collect();
        let vms: Vec<&str> = conflict.vms.iter().map(|id| vm(cluster, *id)).collect();
        writeln!(text, "  rules: {}; VMs: {}", rules.join(", "), vms.join(", ")).unwrap();
    }
    if text.is_empty() { "clean\n".into() } else { text }
}

/// A plan, checked and compared.
struct Planned {
    case: Case,
    plan: RestartPlan,
}

impl Planned {
    fn new(block: &Block, cluster: Cluster, policy: Policy, arguments: &[String]) -> Self {
        let mut failure = Failure::none();
        for argument in arguments {
            let failed = argument.strip_prefix("fail=").unwrap_or_else(|| panic!("{}: {argument}", block.title));
            failure = match failed.split_once(':') {
                Some((level, domain)) => failure.domain(&cluster, level, domain).unwrap(),
                None => failure.node(cluster.node_id(failed).unwrap_or_else(|| panic!("{}: {failed}", block.title))),
            };
        }
        let plan = Planner::new().restart(&cluster, &policy, &failure).unwrap();
        if let Err(faults) = check_plan(&cluster, &policy, &failure, &plan) {
            panic!("{}: the plan is refused: {faults:#?}\n{plan:#?}", block.title);
        }
        let case = Case { cluster, policy, failure };
        properties::plan(&case);
        Self { case, plan }
    }

    fn plan(&self) -> String {
        let Self { case: Case { cluster, .. }, plan } = self;
        let (vm, node) = (|id| vm(cluster, id), |id| node(cluster, id));
        let proof = if plan.is_optimal() { "optimal" } else { "not proved optimal" };
        let mut text = format!("{}, {proof}\n", plan.status().name());
        for class in plan.classes().iter().filter(|class| class.placed < class.displaced) {
            let (restart, priority) = (class.restart.name(), class.priority);
            let (placed, displaced, bound) = (class.placed, class.displaced, class.bound);
            writeln!(text, "{restart} {priority}: {placed} of {displaced}, at most {bound}").unwrap();
        }
        // By name: the order among equals is made of hashes, which says nothing to a reader.
        let mut starts: Vec<_> = plan.placements().iter().map(|start| (start.wave, vm(start.vm), start.node)).collect();
        starts.sort_unstable_by_key(|(wave, name, _)| (*wave, *name));
        let waves = starts.iter().any(|(wave, _, _)| *wave > 1);
        for (wave, name, at) in starts {
            let wave = if waves { format!("wave {wave}: ") } else { String::new() };
            writeln!(text, "{wave}{name} -> {}", node(at)).unwrap();
        }
        for eviction in plan.evictions() {
            writeln!(text, "{} is stopped on {}", vm(eviction.vm), node(eviction.node)).unwrap();
        }
        for left in plan.unplaced() {
            writeln!(text, "{} has no place: {}", vm(left.vm), left.message).unwrap();
            let reasons: Vec<String> = left.reasons.iter().map(|reason| counted(cluster, reason)).collect();
            writeln!(text, "  {}", reasons.join("; ")).unwrap();
        }
        for broken in plan.broken_rules() {
            let rule = cluster.rule(broken.rule).unwrap().name();
            let vms: Vec<&str> = broken.vms.iter().map(|id| vm(*id)).collect();
            let least = if plan.costs_are_proved() { "no plan costs less" } else { "not proved to be the least" };
            let strength = broken.strength.name();
            writeln!(text, "rule '{rule}' ({strength}) is broken by {}: {}; {least}", broken.excess, vms.join(", "))
                .unwrap();
        }
        for id in plan.waiting() {
            writeln!(text, "{} waits", vm(*id)).unwrap();
        }
        for id in plan.left_alone() {
            writeln!(text, "{} is left alone", vm(*id)).unwrap();
        }
        for note in plan.notes() {
            writeln!(text, "note: {}", note_text(cluster, note)).unwrap();
        }
        text
    }

    /// What would give the VMs without a place one.
    fn help(&self) -> String {
        let Self { case: Case { cluster, failure, .. }, plan } = self;
        let mut text = String::new();
        for left in plan.unplaced() {
            for help in Planner::new().help(cluster, failure, plan, left.vm).unwrap() {
                writeln!(text, "{}: {}: {}", vm(cluster, left.vm), help.code(), help.message(cluster)).unwrap();
            }
        }
        if text.is_empty() { "nothing\n".into() } else { text }
    }

    /// When every VM starts and is ready.
    fn estimate(&self) -> String {
        let Self { case: Case { cluster, policy, .. }, plan } = self;
        let estimate = plan.estimate(cluster, policy);
        let mut text = String::new();
        for start in estimate.starts() {
            let (vm, node) = (vm(cluster, start.vm), node(cluster, start.node));
            writeln!(text, "{} s to {} s: {vm} on {node}", start.start_s, start.ready_s).unwrap();
        }
        for class in estimate.classes() {
            let (restart, priority) = (class.restart.name(), class.priority);
            writeln!(text, "{restart} {priority}: {} ready after {} s", class.vms, class.ready_s).unwrap();
        }
        for id in estimate.given_up() {
            writeln!(text, "{} is given up", vm(cluster, *id)).unwrap();
        }
        if estimate.assumed() > 0 {
            writeln!(text, "assumed for {}", estimate.assumed()).unwrap();
        }
        text
    }

    fn explain(&self, name: &str) -> String {
        let Self { case: Case { cluster, failure, .. }, plan } = self;
        let id = cluster.vm_id(name).unwrap();
        let target = plan.placements().iter().find(|start| start.vm == id).map(|start| start.node);
        let mut text = String::new();
        for (at, reason) in Planner::new().explain(cluster, failure, plan, id).unwrap() {
            let answer = match reason {
                _ if target == Some(at) => "restarts here".to_string(),
                None => "would take it".to_string(),
                Some(reason) => described(cluster, &reason),
            };
            writeln!(text, "{}: {answer}", node(cluster, at)).unwrap();
        }
        text
    }
}

fn vm(cluster: &Cluster, id: VmId) -> &str {
    cluster.vm(id).unwrap().name()
}

fn node(cluster: &Cluster, id: NodeId) -> &str {
    cluster.node(id).unwrap().name()
}

/// `2 rule(apart) on n1, n2`.
fn counted(cluster: &Cluster, count: &ReasonCount) -> String {
    let reason = described(cluster, &count.reason);
    if count.nodes == 0 {
        return reason;
    }
    let examples: Vec<&str> = count.examples.iter().map(|id| node(cluster, *id)).collect();
    format!("{} {reason} on {}", count.nodes, examples.join(", "))
}

/// The code of a reason with its numbers.
fn described(cluster: &Cluster, reason: &Reason) -> String {
    let kind = |kind: &usize| cluster.kinds().iter().nth(*kind).unwrap().name.clone();
    let detail = match reason {
        Reason::NotAccepting { state } => state.name().to_string(),
        Reason::MissingLabel { label } => label.clone(),
        Reason::Rule { name, .. } => name.clone(),
        Reason::Insufficient { kind: at, needed, free } => format!("{}: {needed} needed, {free} free", kind(at)),
        Reason::Fragmentation { kind: at, total_free, largest_hole } => {
            format!("{}: {total_free} free in total, {largest_hole} in one piece", kind(at))
        }
        Reason::Prerequisite { name, .. } => name.clone(),
        _ => return reason.code().to_string(),
    };
    format!("{}({detail})", reason.code())
}

fn note_text(cluster: &Cluster, note: &lifeboat::Note) -> String {
    let detail = match note {
        lifeboat::Note::FailedAlready { node: id } => node(cluster, *id).to_string(),
        lifeboat::Note::Promoted { vm: id } => vm(cluster, *id).to_string(),
        lifeboat::Note::StartsWithout { vm: id, prerequisite } => {
            format!("{} without {}", vm(cluster, *id), vm(cluster, *prerequisite))
        }
        _ => String::new(),
    };
    format!("{} {detail}", note.code()).trim_end().to_string()
}

/// The verdict on the classes asked about, each checked and compared.
fn verdicts(block: &Block, cluster: &Cluster, mut policy: Policy, arguments: &[String]) -> String {
    if !arguments.is_empty() {
        let mut class = FailureClass::nodes(0);
        class.fail.clear();
        for argument in arguments {
            match argument.split_once('=').expect("LEVEL=COUNT") {
                ("priority", name) => class.min_priority = Priority::from_name(name),
                (level, count) => class.fail.push((level.into(), count.parse().unwrap())),
            }
        }
        policy.tolerate = vec![class];
    }
    let found = verify(cluster, &policy).unwrap();
    if let Err(faults) = check_verdict(cluster, &policy, &found) {
        panic!("{}: the verdict is refused: {faults:#?}", block.title);
    }
    let mut text = format!("{}\n", found.answer().name());
    for class in found.classes() {
        writeln!(text, "{}: {}", class.answer().name(), class.summary()).unwrap();
        if let Some(counterexample) = class.counterexample() {
            let explained = counterexample.explain(cluster, &policy, class.class());
            if let Some(more) = explained.strip_prefix(counterexample.message()).filter(|more| !more.is_empty()) {
                writeln!(text, "because{}", more.trim_start_matches(';')).unwrap();
            }
        }
        if let Some(certificate) = class.certificate().filter(|certificate| certificate.evicts()) {
            for unit in verdict::units(cluster, &class.class().fail[0].0) {
                let promise = certificate.plan_for(cluster, &Failure::of(unit.nodes.clone())).unwrap();
                let list = |pairs: &[(VmId, NodeId)], word: &str| {
                    let pairs =
                        pairs.iter().map(|(id, at)| format!("{} {word} {}", vm(cluster, *id), node(cluster, *at)));
                    pairs.collect::<Vec<_>>().join(", ")
                };
                let (evicted, placed) = (list(&promise.evictions, "leaves"), list(&promise.placements, "on"));
                let lists = [evicted, placed].into_iter().filter(|list| !list.is_empty()).collect::<Vec<_>>();
                let lists = if lists.is_empty() { String::from("nothing to do") } else { lists.join("; ") };
                writeln!(text, "without {}: {lists}", unit.name).unwrap();
            }
        }
        if !class.failing_units().is_empty() {
            let names: Vec<&str> = class.failing_units().iter().map(|unit| unit.name.as_str()).collect();
            writeln!(text, "may not fail: {}", names.join(", ")).unwrap();
        }
        for found in class.uncoverable() {
            writeln!(text, "cannot be covered: {}", found.message(cluster)).unwrap();
        }
        if !class.uncoverable().is_empty() {
            writeln!(text, "for the others: {}", class.rest().name()).unwrap();
        }
        let reference = verdict::verdict(cluster, &policy, class.class(), verdict::Ask::First, LIMIT);
        if let Some(truth) = reference {
            let right = match class.rest() {
                Answer::Holds => truth.rest.survives,
                Answer::Fails => !truth.rest.survives,
                Answer::Undecided => true,
            };
            assert!(right, "{}: {} is wrong", block.title, class.summary());
        }
    }
    text
}
