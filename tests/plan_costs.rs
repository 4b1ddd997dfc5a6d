//! What plans cost in rules that do not bind: against the state after the plan, and against every other plan of small
//! cases.
//!
//! Uses the planner, the checker, `Cluster::rule_excess` on the state that a plan leads to, and the test kit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]

use lifeboat::{
    Cluster, Failure, Node, NodeId, NodeState, Planner, Policy, ResourceKinds, RestartClass, Rule, RuleKind, Strength,
    Vm, VmId, check_placements,
};
use lifeboat_testkit::Case;
use lifeboat_testkit::random_small::{self, Limits};
use std::collections::BTreeMap;

/// The cluster once the failure is a fact and these VMs are where they are put.
fn afterwards(cluster: &Cluster, failure: &Failure, evicted: &[VmId], placed: &[(VmId, NodeId)]) -> Cluster {
    let mut after = cluster.clone();
    for node in failure.nodes() {
        if after.node(*node).unwrap().state() != NodeState::Maintenance {
            after.set_node_state(*node, NodeState::Failed).unwrap();
        }
    }
    for vm in evicted {
        after.move_vm(*vm, None).unwrap();
    }
    for (vm, node) in placed {
        after.move_vm(*vm, Some(*node)).unwrap();
    }
    after
}

/// The cost of the rules that concern displaced VMs, `relaxed` first.
fn cost(after: &Cluster, before: &Cluster, displaced: &[VmId]) -> (u128, u128) {
    let mut cost = (0, 0);
    for rule in before.rules() {
        let leads = matches!(rule.kind(), RuleKind::Follow { leader } if displaced.contains(&leader));
        if !leads && !rule.members().any(|vm| displaced.contains(&vm)) {
            continue;
        }
        let excess = u128::from(after.rule_excess(rule.id()).unwrap());
        match rule.strength() {
            Strength::Required => {}
            Strength::Relaxed => cost.0 += excess,
            Strength::Preferred { weight } => cost.1 += excess * u128::from(weight),
        }
    }
    cost
}

/// What plans say of their costs is so; and of small cases, how often another plan with as many placed costs less.
#[test]
fn costs_are_what_the_rules_say() {
    let (mut costing, mut proved, mut compared, mut misses) = (0, 0, 0, Vec::new());
    for seed in 0..6_000 {
        let limits = Limits { nodes: 5, vms: 7, rules: 4, preemption: seed % 4 == 0 };
        let Case { cluster, policy, failure } = random_small::from_seed(seed, limits);
        let plan = Planner::new().restart(&cluster, &policy, &failure).unwrap();
        let placed: Vec<(VmId, NodeId)> = plan.placements().iter().map(|item| (item.vm, item.node)).collect();
        let evicted: Vec<VmId> = plan.evictions().iter().map(|item| item.vm).collect();
        let displaced: Vec<VmId> =
            placed.iter().map(|item| item.0).chain(plan.unplaced().iter().map(|item| item.vm)).collect();
        let after = afterwards(&cluster, &failure, &evicted, &placed);
        let told = (plan.costs().relaxed, plan.costs().preferred);
        assert_eq!(told, cost(&after, &cluster, &displaced), "seed {seed}");
        costing += u64::from(told > (0, 0));
        proved += u64::from(told > (0, 0) && plan.costs_are_proved());
        assert!(plan.costs_are_proved() || told > (0, 0), "seed {seed}");
        if displaced.len() > 4 || !evicted.is_empty() || told == (0, 0) {
            continue;
        }
        let least = least_cost(&cluster, &failure, &displaced, &placed);
        assert!(least <= told, "seed {seed}");
        compared += 1;
        if least < told {
            assert!(!plan.costs_are_proved(), "seed {seed}: {told:?} is called the least, which is {least:?}");
            misses.push((seed, told, least));
        }
    }
    println!(
        "{costing} plans cost something, {proved} of them proved the least, {compared} compared with all plans, {} could cost less: {misses:?}",
        misses.len()
    );
    assert!(compared > 100 && misses.is_empty());
    assert!(proved * 100 >= costing * 95);
}

/// The least cost of any feasible plan that places as many of each class.
fn least_cost(cluster: &Cluster, failure: &Failure, displaced: &[VmId], placed: &[(VmId, NodeId)]) -> (u128, u128) {
    let nodes: Vec<NodeId> = cluster.nodes().map(|node| node.id()).filter(|node| !failure.contains(*node)).collect();
    let counts = |placed: &[(VmId, NodeId)]| {
        let mut counts = BTreeMap::new();
        for (vm, _) in placed {
            *counts.entry(cluster.vm(*vm).unwrap().effective()).or_insert(0) += 1;
        }
        counts
    };
    let wanted = counts(placed);
    let mut least = (u128::MAX, u128::MAX);
    let total = (nodes.len() + 1).pow(displaced.len() as u32);
    for mut number in 0..total {
        let mut places = Vec::new();
        for vm in displaced {
            if let Some(node) = nodes.get(number % (nodes.len() + 1)) {
                places.push((*vm, *node));
            }
            number /= nodes.len() + 1;
        }
        if counts(&places) == wanted && check_placements(cluster, failure, &places, &[]).is_ok() {
            least = least.min(cost(&afterwards(cluster, failure, &[], &places), cluster, displaced));
        }
    }
    least
}

/// vSphere's "should run on" and Windows' preferred owners: kept where that is possible, given up where not.
#[test]
fn preferred_owners_are_kept_where_possible() {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), [""; 0]).unwrap();
    let nodes: Vec<NodeId> =
        (1..=6).map(|at| cluster.add_node(Node::named(format!("n{at}")).capacity([16])).unwrap()).collect();
    let vm = cluster.add_vm(Vm::named("sql").demand([4]).on(nodes[0])).unwrap();
    let place = lifeboat::Place { nodes: vec![nodes[0], nodes[5]], ..lifeboat::Place::default() };
    let owners = Rule::new("owners", RuleKind::Confine(place)).vms([vm]).strength(Strength::Preferred { weight: 3 });
    cluster.add_rule(owners).unwrap();
    let policy = Policy::default();
    let plan = Planner::new().restart(&cluster, &policy, &Failure::of([nodes[0]])).unwrap();
    assert_eq!(plan.placements()[0].node, nodes[5]);
    assert!(plan.broken_rules().is_empty());
    // Full of something else: the VM restarts all the same.
    cluster.add_vm(Vm::named("full").demand([14]).on(nodes[5]).restart(RestartClass::BestEffort)).unwrap();
    let plan = Planner::new().restart(&cluster, &policy, &Failure::of([nodes[0]])).unwrap();
    assert_eq!(plan.placements().len(), 1);
    assert_eq!((plan.costs().relaxed, plan.costs().preferred), (0, 3));
    assert_eq!(plan.broken_rules()[0].vms, [vm]);
}

/// Two domain controllers apart on two nodes, `relaxed`: apart while that is possible, and both up when it is not.
#[test]
fn relaxed_rules_never_keep_a_vm_down() {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), [""; 0]).unwrap();
    let nodes: Vec<NodeId> =
        (1..=3).map(|at| cluster.add_node(Node::named(format!("n{at}")).capacity([16])).unwrap()).collect();
    let controllers = [0, 1].map(|at| cluster.add_vm(Vm::named(format!("dc-{at}")).demand([4]).on(nodes[at])).unwrap());
    let level = lifeboat::NODE_LEVEL.to_string();
    let apart = Rule::new("dc apart", RuleKind::Separate { level, max_per_domain: 1 });
    cluster.add_rule(apart.vms(controllers).strength(Strength::Relaxed)).unwrap();
    let policy = Policy::default();
    let plan = Planner::new().restart(&cluster, &policy, &Failure::of([nodes[0]])).unwrap();
    assert_eq!((plan.placements()[0].node, plan.costs().relaxed), (nodes[2], 0));
    let plan = Planner::new().restart(&cluster, &policy, &Failure::of([nodes[0], nodes[2]])).unwrap();
    assert_eq!((plan.placements()[0].node, plan.costs().relaxed), (nodes[1], 1));
}
