//! The planner that keeps a certificate's promise: complete for what is promised, legal, and loss by loss.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]

use lifeboat::policy::FailureClass;
use lifeboat::{
    Answer, Cluster, Failure, Node, NodeId, NodeState, Planner, Policy, ResourceKinds, RestartClass, Rule, RuleKind,
    Vm, check_plan, verify,
};

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
