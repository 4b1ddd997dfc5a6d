//! What must hold of every document, every plan and every sequence of edits, each as one function that panics if not.
//!
//! Uses `reference`, `random_small` and `edits`. Used by the fuzz targets and by the tests that run their seeds.

use crate::edits::{Model, Op};
use crate::reference::optimum;
use crate::{Case, Choices};
use lifeboat::document::to_json;
use lifeboat::{Cluster, Document, Failure, NodeId, Planner, Policy, RestartPlan, check_plan};

/// What the reference may cost for one case; above it the plan is only checked.
const REFERENCE_STEPS: u64 = 5_000;

/// A text loads or is refused. What loads is whole, comes back the same once exported, and can be planned for.
///
/// # Panics
/// If one of these does not hold.
pub fn document(text: &str) {
    let loaded = match Document::from_json(text) {
        Ok(loaded) => loaded,
        Err(errors) => {
            assert!(errors.iter().next().is_some(), "refused without an error");
            assert!(!errors.to_string().is_empty(), "refused without a word");
            return;
        }
    };
    let (cluster, mut policy) = loaded.into_parts();
    cluster.check_invariants().expect("a whole cluster");
    cluster.warnings();

    let once = to_json(&cluster, &policy);
    let again = match Document::from_json(&once) {
        Ok(again) => again,
        Err(errors) => panic!("its own export is refused: {errors}\n{once}"),
    };
    assert_eq!(to_json(again.cluster(), again.policy()), once, "the export changes when it is loaded");
    assert_eq!(again.policy(), &policy, "the policy changes on the way");
    again.cluster().check_invariants().expect("a whole cluster, loaded again");

    policy.budget.plan = policy.budget.plan.min(100_000);
    let nodes: Vec<NodeId> = cluster.nodes().map(|node| node.id()).collect();
    let failures =
        [Failure::none(), Failure::of(nodes.first().copied()), Failure::of(nodes.iter().copied().step_by(3))];
    for failure in failures {
        checked_plan(&cluster, &policy, &failure);
    }
}

/// The plan of a case passes the checker. It places as many as the exhaustive reference where it says so, and never
/// more; bounds are never below what is possible.
///
/// # Panics
/// If one of these does not hold.
pub fn plan(case: &Case) {
    let Case { cluster, policy, failure } = case;
    cluster.check_invariants().expect("a whole cluster");
    let plan = checked_plan(cluster, policy, failure);
    let Some(optimum) = optimum(cluster, policy, failure, REFERENCE_STEPS) else { return };
    // A class that only loses to evictions is not displaced; one that loses more than it gets counts 0, as in a plan.
    let found: Vec<_> = plan
        .classes()
        .iter()
        .filter(|class| class.displaced > 0)
        .map(|class| (class.restart, class.priority, i64::from(class.displaced), i64::from(class.placed)))
        .collect();
    let best: Vec<_> = optimum
        .classes
        .iter()
        .filter(|class| class.displaced > 0)
        .map(|class| (class.restart, class.priority, class.displaced, class.placed.max(0)))
        .collect();
    let shape =
        |counts: &[(_, _, i64, i64)]| counts.iter().map(|count| (count.0, count.1, count.2)).collect::<Vec<_>>();
    assert_eq!(shape(&found), shape(&best), "other VMs are displaced than by the definition");
    let placed = |counts: &[(_, _, i64, i64)]| counts.iter().map(|count| count.3).collect::<Vec<_>>();
    if plan.evictions().is_empty() && optimum.evictions.is_empty() {
        assert!(placed(&found) <= placed(&best), "{found:?} is better than the optimum {best:?}");
    }
    if plan.is_optimal() {
        assert_eq!(placed(&found), placed(&best), "said to be optimal");
    }
    // A bound holds over all plans that reach this plan's counts in every class above.
    for (count, best) in plan.classes().iter().filter(|class| class.displaced > 0).zip(&best) {
        assert!(i64::from(count.bound) >= best.3, "a bound below the optimum: {count:?}, {best:?}");
        if i64::from(count.placed) != best.3 {
            break;
        }
    }
}

/// After each of at most so many edits the cluster is whole and reads back as the model says; a refused edit changes
/// nothing. At the end there is a plan.
///
/// # Panics
/// If one of these does not hold.
pub fn edits(choices: &mut Choices<'_>, most: usize) {
    let (mut cluster, mut model) = Model::start();
    for _ in 0..most {
        if choices.is_empty() {
            break;
        }
        model.step(&mut cluster, &Op::choose(choices));
    }
    let nodes = cluster.nodes().map(|node| node.id()).step_by(2);
    checked_plan(&cluster, &Policy::default(), &Failure::of(nodes));
}

/// A plan, by a planner used twice: the second time it must be the same.
fn checked_plan(cluster: &Cluster, policy: &Policy, failure: &Failure) -> RestartPlan {
    let mut planner = Planner::new();
    let plan = planner.restart(cluster, policy, failure).expect("a failure of the cluster");
    if let Err(faults) = check_plan(cluster, policy, failure, &plan) {
        panic!("the plan is refused: {faults:#?}\n{plan:#?}");
    }
    let again = planner.restart(cluster, policy, failure).expect("a failure of the cluster");
    assert_eq!(plan, again, "a planner used again plans otherwise");
    plan
}
