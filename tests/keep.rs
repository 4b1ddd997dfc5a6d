//! The planner that keeps a certificate's promise: complete for what is promised, legal, and loss by loss.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "tests"
)]

use lifeboat::document::to_json;
use lifeboat::policy::FailureClass;
use lifeboat::{
    Amounts, Answer, Cluster, Control, Covers, Failure, KeepError, Node, NodeId, NodeRef, NodeState, PlanError,
    Planner, Policy, Priority, ResourceKinds, RestartClass, Rule, RuleKind, Vm, VmId, check_plan, verify,
};
use lifeboat_testkit::verdict::{failures, nodes_of};
use lifeboat_testkit::verdict_cases::{roomy_from_seed, tight_from_seed};
use std::collections::{BTreeMap, BTreeSet};

fn class(count: u32) -> Policy {
    let mut policy = Policy::default();
    policy.tolerate = vec![FailureClass::nodes(count)];
    policy
}

/// `count` nodes of 100 GiB with protected VMs of `each` and one best-effort VM on every node.
fn cluster(count: usize, each: &[u64], best_effort: u64) -> (Cluster, Vec<NodeId>) {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")]).unwrap(), [""; 0]).unwrap();
    let nodes: Vec<NodeId> =
        (0..count).map(|at| cluster.add_node(Node::named(format!("n{at:02}")).capacity([100])).unwrap()).collect();
    for (at, node) in nodes.iter().enumerate() {
        for (vm, size) in each.iter().enumerate() {
            cluster.add_vm(Vm::named(format!("p{at}-{vm}")).demand([*size]).on(*node)).unwrap();
        }
        let low = Vm::named(format!("b{at}")).demand([best_effort]).on(*node).restart(RestartClass::BestEffort);
        cluster.add_vm(low).unwrap();
    }
    (cluster, nodes)
}

/// Loses two of two tolerated nodes one after the other, each plan carried out, for every ordered pair.
#[test]
fn every_promise_is_kept_loss_by_loss() {
    let (cluster, nodes) = cluster(12, &[9, 7, 4], 5);
    let policy = class(2);
    let verdict = verify(&cluster, &policy).unwrap();
    assert_eq!(verdict.answer(), Answer::Holds);
    let certificate = verdict.certificates().next().unwrap();
    let mut planner = Planner::new();
    for first in &nodes {
        for second in nodes.iter().filter(|second| *second != first) {
            let mut cover = certificate.begin(&cluster).unwrap();
            let mut now = cluster.clone();
            for lost in [first, second] {
                let failure = Failure::of([*lost]);
                let plan = planner.restart_covered(&mut cover, &now, &policy, &failure).unwrap();
                check_plan(&now, &policy, &failure, &plan).unwrap();
                let protected = plan.classes().iter().filter(|class| class.restart == RestartClass::Protected);
                for count in protected {
                    assert_eq!((count.placed, count.bound), (count.displaced, count.displaced));
                }
                now.set_node_state(*lost, NodeState::Failed).unwrap();
                for placed in plan.placements() {
                    now.move_vm(placed.vm, Some(placed.node)).unwrap();
                }
            }
            assert_eq!(cover.remaining(), 0);
        }
    }
}

/// While a second loss is covered, best-effort VMs do not take the room that it needs; afterwards they do.
#[test]
fn others_use_only_room_that_is_not_claimed() {
    let (cluster, nodes) = cluster(12, &[18, 14], 40);
    let policy = class(2);
    let verdict = verify(&cluster, &policy).unwrap();
    let certificate = verdict.certificates().next().unwrap();
    assert!(certificate.banks() > 0);
    let mut planner = Planner::new();
    // 100 - 18 - 14 - 40 = 28 free on each node: a best-effort VM of 40 fits nowhere.
    let plan = planner.restart_with(certificate, &cluster, &policy, &Failure::of([nodes[0]])).unwrap();
    assert_eq!((plan.placements().len(), plan.unplaced().len()), (2, 1));

    let (cluster, nodes) = self::cluster(12, &[18, 14], 26);
    let verdict = verify(&cluster, &policy).unwrap();
    let certificate = verdict.certificates().next().unwrap();
    // 42 free: room for a best-effort VM on every node, and the plan leaves each node the largest claim.
    let failure = Failure::of([nodes[0]]);
    let plan = planner.restart_with(certificate, &cluster, &policy, &failure).unwrap();
    check_plan(&cluster, &policy, &failure, &plan).unwrap();
    let mut after = cluster.clone();
    after.set_node_state(nodes[0], NodeState::Failed).unwrap();
    for placed in plan.placements() {
        after.move_vm(placed.vm, Some(placed.node)).unwrap();
    }
    let mut one_left = class(1);
    one_left.budget = policy.budget;
    assert_eq!(verify(&after, &one_left).unwrap().answer(), Answer::Holds);
}

/// A best-effort VM that a rule ties to a promised one waits until nothing further is covered, and the plan says why.
#[test]
fn what_a_rule_ties_is_kept_back_and_said() {
    let (mut cluster, nodes) = cluster(12, &[9, 7], 5);
    let vms = ["p3-0", "b0"].map(|name| cluster.vm_id(name).unwrap());
    let kind = RuleKind::Separate { level: "node".into(), max_per_domain: 1 };
    cluster.add_rule(Rule::new("apart", kind).vms(vms)).unwrap();
    let policy = class(2);
    let verdict = verify(&cluster, &policy).unwrap();
    let certificate = verdict.certificates().next().unwrap();
    let mut planner = Planner::new();
    let plan = planner.restart_with(certificate, &cluster, &policy, &Failure::of([nodes[0]])).unwrap();
    assert_eq!(plan.unplaced().len(), 1);
    assert!(plan.unplaced()[0].message.contains("rule 'apart'"), "{}", plan.unplaced()[0].message);
    // Both losses at once: nothing is to come, so it is placed.
    let both = Failure::of([nodes[0], nodes[1]]);
    let plan = planner.restart_with(certificate, &cluster, &policy, &both).unwrap();
    check_plan(&cluster, &policy, &both, &plan).unwrap();
    assert!(plan.unplaced().is_empty());
}

/// Small random clusters with rules, states and evictions: a plan that keeps a certificate is a good plan, and places
/// everyone of whom the certificate speaks, whatever of the class is lost, at once or one after the other.
#[test]
fn random_promises_are_kept() {
    let mut seen = BTreeMap::<&str, u32>::new();
    let cases = (0..500).map(tight_from_seed).chain((0..12).map(roomy_from_seed));
    for (at, case) in cases.enumerate() {
        let unreachable = case.cluster.nodes().filter(|node| node.state() == NodeState::Unreachable);
        let unreachable: Vec<NodeId> = unreachable.map(NodeRef::id).collect();
        for class in &case.policy.tolerate {
            let mut policy = case.policy.clone();
            policy.tolerate = vec![class.clone()];
            let verdict = verify(&case.cluster, &policy).unwrap();
            let Some(certificate) = verdict.certificates().next() else { continue };
            let outs: BTreeSet<VmId> = verdict.classes()[0].uncoverable().iter().map(|found| found.vm).collect();
            let mut planner = Planner::new();
            for (number, units) in failures(&case.cluster, &policy, class).iter().enumerate() {
                let what = || format!("case {at}, {units:?}\n{}", to_json(&case.cluster, &policy));
                // All at once; and unit by unit where that is covered. Unreachable nodes die with the first loss, and in
                // every third case are not confirmed at once.
                let confirmed = number % 3 != 0;
                let steps: Vec<Vec<NodeId>> = if certificate.covers() == Covers::AnyOrder && number % 2 == 0 {
                    units.iter().map(|unit| unit.nodes.clone()).collect()
                } else {
                    vec![nodes_of(units).into_iter().collect()]
                };
                let mut cover = certificate.begin(&case.cluster).unwrap();
                let mut now = case.cluster.clone();
                for (step, lost) in steps.iter().enumerate() {
                    let dead = if confirmed && step == 0 { &unreachable[..] } else { &[] };
                    let failure = Failure::of(lost.iter().chain(dead).copied());
                    let plan = match planner.restart_covered(&mut cover, &now, &policy, &failure) {
                        Ok(plan) => plan,
                        Err(error) => panic!("{error}, {}", what()),
                    };
                    check_plan(&now, &policy, &failure, &plan)
                        .unwrap_or_else(|faults| panic!("{faults:#?}, {}", what()));
                    *seen.entry(if plan.evictions().is_empty() { "plans" } else { "evicting" }).or_default() += 1;
                    if !confirmed && !unreachable.is_empty() {
                        break;
                    }
                    for vm in now.vms().filter(|vm| {
                        vm.effective().0 == RestartClass::Protected
                            && class.min_priority.is_none_or(|least| vm.effective().1 >= least)
                            && !outs.contains(&vm.id())
                    }) {
                        let left_out = plan.unplaced().iter().any(|left| left.vm == vm.id());
                        assert!(!left_out, "'{}' is left out of step {step}, {}", vm.name(), what());
                    }
                    for node in failure.nodes() {
                        now.set_node_state(*node, NodeState::Failed).unwrap();
                    }
                    for evicted in plan.evictions() {
                        now.move_vm(evicted.vm, None).unwrap();
                    }
                    for placed in plan.placements() {
                        now.move_vm(placed.vm, Some(placed.node)).unwrap();
                    }
                }
            }
        }
    }
    println!("{seen:?}");
    assert!(seen["evicting"] > 100);
}

/// A running best-effort VM that a rule ties to a promised one holds its room: nobody else is put there.
#[test]
fn who_is_tied_and_runs_holds_its_room() {
    let (mut cluster, nodes) = cluster(12, &[9, 7], 5);
    // Everywhere but on the node that fails a tied VM leaves 8 free: room for what is promised, and for nobody else.
    let full = Vm::named("full").demand([71]).on(nodes[0]).restart(RestartClass::BestEffort);
    cluster.add_vm(full).unwrap();
    let mut tied = vec![cluster.vm_id("p0-1").unwrap()];
    for node in &nodes[1..] {
        let full = Vm::named(format!("t{}", tied.len())).demand([71]).on(*node).restart(RestartClass::BestEffort);
        tied.push(cluster.add_vm(full).unwrap());
    }
    let small = cluster.vm_id("p0-0").unwrap();
    cluster.resize_vm(small, &Amounts::from([1]), None, None).unwrap();
    let kind = RuleKind::Separate { level: "node".into(), max_per_domain: 2 };
    cluster.add_rule(Rule::new("few", kind).vms(tied)).unwrap();
    // Of the others nobody is lost with a class of its own.
    let mut policy = class(2);
    policy.tolerate[0].min_priority = Some(Priority::HIGHEST);
    for vm in ["p0-1", "p0-0"] {
        let vm = cluster.vm_id(vm).unwrap();
        let mut high = cluster.vm(vm).unwrap().to_vm();
        high.priority = Priority::HIGHEST;
        cluster.update_vm(vm, high).unwrap();
    }
    let verdict = verify(&cluster, &policy).unwrap();
    let certificate = verdict.certificates().next().unwrap();
    assert_eq!(certificate.covers(), Covers::AnyOrder);
    let failure = Failure::of([nodes[0]]);
    let plan = Planner::new().restart_with(certificate, &cluster, &policy, &failure).unwrap();
    check_plan(&cluster, &policy, &failure, &plan).unwrap();
    // One of 71 has no room, as those who run hold theirs; the small one has.
    let left: Vec<&str> = plan.unplaced().iter().map(|left| cluster.vm(left.vm).unwrap().name()).collect();
    assert_eq!((plan.placements().len(), left), (3, vec!["full"]));
}

#[test]
fn another_state_or_too_many_losses_are_refused() {
    let (mut cluster, nodes) = cluster(12, &[9, 7], 5);
    let policy = class(1);
    let verdict = verify(&cluster, &policy).unwrap();
    let certificate = verdict.certificates().next().unwrap();
    let mut planner = Planner::new();
    let both = Failure::of([nodes[0], nodes[1]]);
    let error = planner.restart_with(certificate, &cluster, &policy, &both).unwrap_err();
    assert_eq!(error.code(), "beyond_tolerance");
    cluster.set_node_state(nodes[5], NodeState::Cordoned).unwrap();
    let error = planner.restart_with(certificate, &cluster, &policy, &Failure::of([nodes[0]])).unwrap_err();
    assert_eq!(error.code(), "other_state");
}

/// Cancelled, a cover is as it was; with a flag that is not set the plan is the one without.
#[test]
fn what_is_cancelled_changes_no_cover() {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")]).unwrap(), [""; 0]).unwrap();
    for name in ["n1", "n2", "n3", "n4"] {
        let node = cluster.add_node(Node::named(name).capacity([16])).unwrap();
        cluster.add_vm(Vm::named(format!("kept-{name}")).demand([2]).on(node)).unwrap();
        // Not all of these restart, and which do is searched for.
        for size in [5, 4, 3] {
            let mut other = Vm::named(format!("other-{name}-{size}")).demand([size]).on(node);
            other.restart = RestartClass::BestEffort;
            cluster.add_vm(other).unwrap();
        }
    }
    let policy = class(1);
    let verdict = verify(&cluster, &policy).unwrap();
    let certificate = verdict.certificates().next().unwrap();
    let lost = Failure::of([cluster.node_id("n1").unwrap()]);
    let (mut planner, control) = (Planner::new(), Control::new());
    let plan = planner.restart_with(certificate, &cluster, &policy, &lost).unwrap();
    assert!(!plan.unplaced().is_empty());
    let same = planner.restart_with_controlled(certificate, &cluster, &policy, &lost, &control);
    assert_eq!(same.as_ref(), Ok(&plan));
    control.cancel();
    let mut cover = certificate.begin(&cluster).unwrap();
    let ended = planner.restart_covered_controlled(&mut cover, &cluster, &policy, &lost, &control);
    assert_eq!(ended, Err(KeepError::Plan(PlanError::Cancelled)));
    assert_eq!(cover.remaining(), 1);
    assert_eq!(planner.restart_covered(&mut cover, &cluster, &policy, &lost), Ok(plan));
    assert_eq!(cover.remaining(), 0);
}
