//! The reference of guarantees against other ways to the same answer, on random clusters: plain enumeration with the
//! checker of plans as the judge, and the exhaustive reference of plans. And what random clusters are good for.
//!
//! Uses the test kit, the planner and the checker.

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

use lifeboat::policy::{FailureClass, Preemption};
use lifeboat::{
    Cluster, Failure, NodeId, NodeState, Planner, Priority, RestartClass, RuleKind, VmId, check_placements,
};
use lifeboat_testkit::reference::optimum;
use lifeboat_testkit::verdict::{self, Ask, Outcome, displaced, failures, nodes_of, outcome};
use lifeboat_testkit::verdict_cases::{self, VerdictCase};
use lifeboat_testkit::verdict_replay::{Broken, Moment, Order, Played, Restart, replay};
use std::collections::BTreeSet;

const LIMIT: u64 = 300_000;

/// Every scenario of a case's classes: least priority, and the nodes that fail.
fn scenarios(case: &VerdictCase) -> BTreeSet<(Option<Priority>, BTreeSet<NodeId>)> {
    let of = |class: &FailureClass| {
        let failures = failures(&case.cluster, &case.policy, class).into_iter();
        let least = class.min_priority;
        failures.map(move |failure| (least, nodes_of(&failure))).collect::<Vec<_>>()
    };
    case.policy.tolerate.iter().flat_map(of).collect()
}

/// A scenario as the planner sees it: unreachable nodes are named, too.
fn failure_of(cluster: &Cluster, nodes: &BTreeSet<NodeId>) -> Failure {
    let dead = cluster.nodes().filter(|node| node.state() == NodeState::Unreachable).map(|node| node.id());
    Failure::of(nodes.iter().copied().chain(dead))
}

/// Whether some way to place all of these is legal, by trying every one; nothing if there are too many.
fn any_legal(cluster: &Cluster, failure: &Failure, vms: &[VmId]) -> Option<bool> {
    let nodes: Vec<NodeId> = cluster.nodes().map(|node| node.id()).collect();
    let plans = (nodes.len() as u64).checked_pow(u32::try_from(vms.len()).expect("few"))?;
    if plans > 5_000 {
        return None;
    }
    let plan = |number: u64| -> Vec<(VmId, NodeId)> {
        let mut rest = number;
        let placed = vms.iter().map(|vm| {
            let node = nodes[usize::try_from(rest % nodes.len() as u64).expect("an index")];
            rest /= nodes.len() as u64;
            (*vm, node)
        });
        placed.collect()
    };
    Some((0..plans).any(|number| check_placements(cluster, failure, &plan(number), &[]).is_ok()))
}

#[test]
fn agrees_with_plain_enumeration() {
    let (mut tried, mut lost) = (0, 0);
    for seed in 0..1_500 {
        let mut case = verdict_cases::tight_from_seed(seed);
        case.policy.preemption = Preemption::Never;
        let VerdictCase { cluster, policy } = &case;
        for (least, nodes) in scenarios(&case) {
            let vms = displaced(cluster, least, &nodes);
            if vms.is_empty() {
                continue;
            }
            let Some(expected) = any_legal(cluster, &failure_of(cluster, &nodes), &vms) else { continue };
            let found = outcome(cluster, policy, least, &nodes, &BTreeSet::new(), LIMIT).expect("a small case");
            assert_eq!(found != Outcome::Lost, expected, "seed {seed}, {nodes:?}: {found:?} {case:#?}");
            tried += 1;
            lost += u64::from(!expected);
        }
    }
    println!("{tried} scenarios, {lost} of them lost");
    assert!(tried > 10_000 && lost > 1_000);
}

/// The best plan places all covered VMs just if the scenario is survived. It may place others, too, which can make up for
/// a `spread`; so those rules are left out here.
#[test]
fn agrees_with_the_reference_of_plans() {
    let (mut tried, mut lost, mut evicting, mut slow) = (0, 0, 0, 0);
    for seed in 10_000..10_800 {
        let mut case = verdict_cases::tight_from_seed(seed);
        let spreads = case.cluster.rules().filter(|rule| matches!(rule.kind(), RuleKind::Spread { .. }));
        for rule in spreads.map(|rule| rule.id()).collect::<Vec<_>>() {
            case.cluster.remove_rule(rule).expect("a rule");
        }
        if case.policy.preemption == Preemption::LowerPriority {
            // There a plan may give up a less important protected VM.
            case.policy.preemption = Preemption::BestEffort;
        }
        let VerdictCase { cluster, policy } = &case;
        for (least, nodes) in scenarios(&case) {
            let failure = failure_of(cluster, &nodes);
            let Some(best) = optimum(cluster, policy, &failure, 20_000) else {
                slow += 1;
                continue;
            };
            let covered = best.classes.iter().filter(|class| {
                class.restart == RestartClass::Protected && least.is_none_or(|least| class.priority >= least)
            });
            let expected = covered.into_iter().all(|class| class.placed == class.displaced);
            let found = outcome(cluster, policy, least, &nodes, &BTreeSet::new(), LIMIT).expect("a small case");
            assert_eq!(found != Outcome::Lost, expected, "seed {seed}, {nodes:?}: {found:?} {best:?} {case:#?}");
            if let Outcome::Survived { placements, evictions } = &found {
                assert_eq!(check_placements(cluster, &failure, placements, evictions), Ok(()), "seed {seed}");
                evicting += u64::from(!evictions.is_empty());
            }
            tried += 1;
            lost += u64::from(!expected);
        }
    }
    println!(
        "{tried} scenarios, {lost} lost, {evicting} survived by evictions, {slow} too slow for the reference of plans"
    );
    assert!(tried > 10_000 && lost > 1_000 && evicting > 50);
}

/// Answers with the planner's plan, without what it places or evicts besides the covered VMs.
fn play_planner(case: &VerdictCase, class: &FailureClass, order: Order) -> Result<Played, Broken> {
    let mut planner = Planner::new();
    replay(&case.cluster, &case.policy, class, &BTreeSet::new(), order, (), |moment: &Moment<'_, ()>| {
        let failure = Failure::of(moment.now.iter().copied());
        let plan = planner.restart(moment.cluster, &case.policy, &failure).expect("a plan");
        let placements = plan.placements().iter().map(|placed| (placed.vm, placed.node)).collect();
        let evictions = plan.evictions().iter().map(|evicted| (evicted.vm, evicted.node)).collect();
        Some((Restart { placements, evictions }, ()))
    })
}

/// What the planner does is legal step by step, and it is complete at once just where the class is survived; with losses
/// one after another it often is not, as it looks no step ahead.
#[test]
fn the_planner_survives_replay_at_once() {
    let (mut held, mut failed, mut broken_later) = (0, 0, 0);
    for seed in 20_000..20_200 {
        let mut case = verdict_cases::tight_from_seed(seed);
        case.policy.preemption = Preemption::Never;
        case.policy.maintenance_uses_tolerance = false;
        for class in verdict_cases::classes() {
            let expected = verdict::verdict(&case.cluster, &case.policy, &class, Ask::First, LIMIT).expect("small");
            let played = play_planner(&case, &class, Order::AtOnce);
            if let Err(broken) = &played {
                let told = |fault: &String| fault.ends_with("has no place");
                assert!(broken.faults.iter().all(told), "seed {seed}: {broken:?} {case:#?}");
                assert!(!expected.all.survives, "seed {seed}, {class:?}: {broken:?} {case:#?}");
                failed += 1;
                continue;
            }
            let spread = case.cluster.rules().any(|rule| matches!(rule.kind(), RuleKind::Spread { .. }));
            assert!(expected.all.survives || spread, "seed {seed}, {class:?} {expected:?}");
            held += 1;
            broken_later += u64::from(play_planner(&case, &class, Order::AnyOrder).is_err());
        }
    }
    println!("{held} classes held at once, of them {broken_later} broken one loss after another, {failed} failed");
    assert!(held > 200 && failed > 100 && broken_later > 0);
}

/// How many of a hundred cases survive each class of `verdict_cases::classes`, and how many are undecided.
fn shares(cases: u64, make: impl Fn(u64) -> VerdictCase) -> (Vec<u64>, u64) {
    let (mut held, mut slow) = (vec![0; verdict_cases::classes().len()], 0);
    let mut uncoverable = 0;
    for seed in 0..cases {
        let VerdictCase { cluster, policy } = make(seed);
        for (class, held) in policy.tolerate.iter().zip(&mut held) {
            match verdict::verdict(&cluster, &policy, class, Ask::First, LIMIT) {
                Some(found) => {
                    *held += u64::from(found.all.survives);
                    uncoverable += u64::from(!found.uncoverable.is_empty());
                }
                None => slow += 1,
            }
        }
    }
    let shares: Vec<u64> = held.iter().map(|held| held * 100 / cases).collect();
    println!(
        "{cases} cases, survived in per cent: {shares:?}; {uncoverable} verdicts with uncoverable VMs, {slow} slow"
    );
    (shares, slow)
}

/// Random cases are worth the while: classes hold and fail in good numbers.
#[test]
fn random_cases_go_both_ways() {
    let (tight, slow) = shares(500, verdict_cases::tight_from_seed);
    assert!(tight.iter().all(|share| (20..=80).contains(share)), "{tight:?}");
    assert_eq!(slow, 0);
    let (roomy, slow) = shares(60, verdict_cases::roomy_from_seed);
    assert!(roomy.iter().all(|share| *share >= 80) && slow < 10, "{roomy:?}");
    for seed in 0..500 {
        verdict_cases::tight_from_seed(seed).cluster.check_invariants().expect("a whole cluster");
    }
    // Any bytes make a case, too.
    let bytes: Vec<u8> = (0..=255).collect();
    for length in 0..256 {
        let mut choices = lifeboat_testkit::Choices::from_bytes(&bytes[..length]);
        let _ = verdict_cases::tight(&mut choices);
        let _ = verdict_cases::roomy(&mut choices);
    }
}
