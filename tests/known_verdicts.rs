//! Known verdicts of public data: which classes of failures real clusters and packing instances survive.
//!
//! Uses the test kit (`verdict_known`) and the planner. Says loudly where the data is not there; heavy, so run in release:
//! `cargo test --release --test known_verdicts -- --include-ignored --nocapture`. With `LIFEBOAT_FULL=1` every packing
//! instance is asked (otherwise one in sixteen), and more failures of each class.

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

use lifeboat::policy::WorkBudget;
use lifeboat::{
    Answer as LibraryAnswer, Cluster, Failure, PlanStatus, Planner, Unit, check_placements, check_plan, verify,
};
use lifeboat_testkit::data;
use lifeboat_testkit::verdict::{failures, nodes_of};
use lifeboat_testkit::verdict_known::{Expected, Known, known_verdicts};
use std::collections::BTreeMap;

/// So many failures of a class are planned for at most, besides those that are listed: in a full run, and otherwise.
const SCENARIOS: usize = 300;
const SAMPLE: usize = 24;

fn full() -> bool {
    std::env::var_os("LIFEBOAT_FULL").is_some()
}

/// What is said of a class.
#[derive(Clone, Debug, Default)]
struct Answer {
    /// Whether it is survived; nothing if that is not decided.
    survived: Option<bool>,
    /// Sets of units of which it is said that they cannot be lost.
    failing: Vec<Vec<String>>,
    /// Sets of units of which it is said that they can.
    surviving: Vec<Vec<String>>,
}

/// What the library says of a known class; every listed survival is read off the certificate and checked.
fn library_verdict(known: &Known, cluster: &Cluster) -> Answer {
    let mut policy = known.policy();
    policy.budget = WorkBudget { verify: if full() { 20_000_000 } else { 1_000_000 }, ..policy.budget };
    let verdict = verify(cluster, &policy).expect("a class of the cluster");
    let class = &verdict.classes()[0];
    let names = |units: &[Unit]| units.iter().map(|unit| unit.name.clone()).collect::<Vec<String>>();
    let mut answer = Answer::default();
    answer.survived = match class.answer() {
        LibraryAnswer::Holds => Some(true),
        LibraryAnswer::Fails => Some(false),
        LibraryAnswer::Undecided => None,
    };
    answer.failing.extend(class.counterexample().map(|counterexample| names(counterexample.units())));
    answer.failing.extend(class.failing_units().iter().map(|unit| vec![unit.name.clone()]));
    answer.failing.extend(class.uncoverable().iter().map(|vm| names(&vm.units)));
    if let Some(certificate) = class.certificate().filter(|_| answer.survived == Some(true)) {
        for set in &known.surviving {
            let failure = known.failure(cluster, set);
            let promise = certificate.plan_for(cluster, &failure).expect("a failure of the class");
            check_placements(cluster, &failure, &promise.placements, &[]).expect("a legal plan");
            answer.surviving.push(set.clone());
        }
    }
    answer
}

/// The planner alone agrees.
#[test]
#[cfg_attr(debug_assertions, ignore = "heavy without optimisation")]
fn the_planner_does_not_contradict_either() {
    for known in known_verdicts().into_iter().filter(|known| !known.file.starts_with("packing")) {
        let answer = planner_verdict(&known, &known.cluster());
        judge(&known, &answer).expect("no contradiction");
    }
}

/// A verdict by a plan for every failure of the class, or if there are many, for those that are listed and some others.
fn planner_verdict(known: &Known, cluster: &Cluster) -> Answer {
    let mut policy = known.policy();
    policy.budget = WorkBudget { plan: 100_000, ..policy.budget };
    let mut planner = Planner::new();
    let all = failures(cluster, &policy, &known.class);
    let step = all.len().div_ceil(if full() { SCENARIOS } else { SAMPLE });
    let whole = step <= 1;
    let some = all.iter().step_by(step.max(1)).map(|failure| {
        (failure.iter().map(|unit| unit.name.clone()).collect::<Vec<String>>(), Failure::of(nodes_of(failure)))
    });
    let listed = known.failing.iter().chain(&known.surviving).filter(|_| !whole);
    let listed = listed.map(|set| (set.clone(), known.failure(cluster, set)));
    let scenarios: Vec<(Vec<String>, Failure)> = some.chain(listed).collect();
    let mut answer = Answer::default();
    let mut undecided = !whole;
    for (set, failure) in scenarios {
        let plan = planner.restart(cluster, &policy, &failure).expect("a plan");
        if let Err(faults) = check_plan(cluster, &policy, &failure, &plan) {
            panic!("{} {} {set:?}: {faults:?}", known.instance, known.key);
        }
        match plan.status() {
            PlanStatus::Complete => answer.surviving.push(set),
            PlanStatus::Short => answer.failing.push(set),
            PlanStatus::Unproved => undecided = true,
        }
    }
    answer.survived = if answer.failing.is_empty() { Some(true).filter(|_| !undecided) } else { Some(false) };
    answer
}

/// Whether an answer contradicts what is known; otherwise whether it decides the class.
fn judge(known: &Known, answer: &Answer) -> Result<bool, String> {
    let size = known.class.fail[0].1 as usize;
    let sorted = |set: &Vec<String>| {
        let mut set = set.clone();
        set.sort();
        set
    };
    let contains = |sets: &[Vec<String>], set: &Vec<String>| sets.iter().any(|other| sorted(other) == sorted(set));
    match (&known.expected, answer.survived) {
        (Expected::Holds, Some(false)) => return Err(format!("survived, and called lost: {:?}", answer.failing)),
        (Expected::Fails, Some(true)) => return Err("not survived, and called so".to_string()),
        _ => {}
    }
    if let Some(set) = known.failing.iter().find(|set| contains(&answer.surviving, set)) {
        return Err(format!("{set:?} cannot be lost, and it is said that it can"));
    }
    let refuted = |set: &&Vec<String>| {
        let other = known.failing_is_all && set.len() == size && !contains(&known.failing, set);
        other || contains(&known.surviving, set)
    };
    if let Some(set) = answer.failing.iter().find(refuted) {
        return Err(format!("{set:?} can be lost, and it is said that it cannot"));
    }
    Ok(answer.survived.is_some())
}

fn expected_name(known: &Known) -> &'static str {
    match known.expected {
        Expected::Holds => "holds",
        Expected::HoldsIf(_) => "holds so far",
        Expected::Fails => "fails",
        Expected::Open => "open",
    }
}

/// Data, origin, class, what is expected.
type Row<'a> = (String, String, String, &'a str);

/// The table of what is known, and that each of it makes sense: units exist, and no verdict contradicts itself.
#[test]
fn known_verdicts_are_listed() {
    let all = known_verdicts();
    if data::directory().is_none() {
        println!("SKIPPED: ../shared/data is not there, so there are no known verdicts");
        return;
    }
    assert!(!all.is_empty());
    let mut table: BTreeMap<Row<'_>, (usize, usize, usize)> = BTreeMap::new();
    for known in &all {
        let group = known.file.split('/').next().expect("a group").to_string();
        let class = format!("{}={}", known.class.fail[0].0, known.class.fail[0].1);
        let key = (group, format!("{:?}", known.origin), class, expected_name(known));
        let entry = table.entry(key).or_default();
        *entry = (entry.0 + 1, entry.1 + known.failing.len(), entry.2 + known.surviving.len());
    }
    println!("{:<12} {:<10} {:<8} {:<13} classes  failing  surviving sets", "data", "origin", "class", "expected");
    for ((group, origin, class, expected), (classes, failing, surviving)) in &table {
        println!("{group:<12} {origin:<10} {class:<8} {expected:<13} {classes:>7} {failing:>8} {surviving:>10}");
    }
    for known in all.iter().filter(|known| !known.file.starts_with("packing")) {
        if let Expected::HoldsIf(condition) = &known.expected {
            println!("{} {}: {condition}", known.instance, known.key);
        }
        let cluster = known.cluster();
        for set in known.failing.iter().chain(&known.surviving) {
            assert_eq!(known.failure(&cluster, set).nodes().is_empty(), set.is_empty(), "{set:?}");
            assert!(!known.surviving.contains(set) || !known.failing.contains(set), "{} {set:?}", known.instance);
        }
        assert_eq!(known.expected == Expected::Fails, !known.failing.is_empty(), "{} {}", known.instance, known.key);
    }
}

/// Nothing that is known is contradicted.
#[test]
#[cfg_attr(debug_assertions, ignore = "heavy without optimisation")]
fn known_verdicts_are_not_contradicted() {
    let mut table: BTreeMap<(String, &str), (usize, usize)> = BTreeMap::new();
    let (mut wrong, mut packing) = (Vec::new(), 0);
    let mut open = Vec::new();
    for known in known_verdicts() {
        let is_packing = known.file.starts_with("packing");
        if is_packing {
            packing += 1;
            // The ways come in eights.
            if !full() && packing / 8 % 16 != 0 {
                continue;
            }
        }
        let cluster = known.cluster();
        let what = format!("{} {}, {}={}", known.instance, known.key, known.class.fail[0].0, known.class.fail[0].1);
        let answer = library_verdict(&known, &cluster);
        match judge(&known, &answer) {
            Err(why) => wrong.push(format!("{what}: {why}")),
            Ok(decided) => {
                let group = known.file.split('/').next().expect("a group").to_string();
                let entry = table.entry((group, expected_name(&known))).or_default();
                *entry = (entry.0 + 1, entry.1 + usize::from(decided));
                if !decided && !is_packing {
                    open.push(format!("{what}: {}", expected_name(&known)));
                }
            }
        }
        if let (Expected::HoldsIf(condition), Some(false)) = (&known.expected, answer.survived) {
            println!("{what}: {condition}, and {:?} cannot be lost", answer.failing.first());
        }
    }
    for ((group, expected), (asked, decided)) in &table {
        println!("{group:<12} {expected:<13} {asked:>5} asked, {decided:>5} decided");
    }
    println!("not decided, packing aside: {open:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
