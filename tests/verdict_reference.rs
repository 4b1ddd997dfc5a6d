//! The reference of guarantees: right by hand, one small cluster per clause of SPEC.md 2.2.
//!
//! Uses the test kit. What it says of random clusters is compared with other searches in `verdict_agreement`.

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
    Cluster, Node, NodeId, NodeState, OnTimeout, Place, Policy, Priority, ResourceKinds, RestartClass, Rule, RuleKind,
    StartEdge, Strength, Vm, VmId,
};
use lifeboat_testkit::verdict::{
    Ask, ClassVerdict, Scenarios, Unit, displaced, max_tolerable, nodes_of, units, verdict,
};
use lifeboat_testkit::verdict_replay::{Moment, Order, Restart, replay};
use std::collections::BTreeSet;

const LIMIT: u64 = 100_000;

/// A cluster of one kind with racks and feeds; a node is `(name, capacity, rack, feed)`, with "" for no domain.
fn cluster(nodes: &[(&str, u64, &str, &str)]) -> Cluster {
    let mut cluster =
        Cluster::new(ResourceKinds::new([("memory", "GiB")]).expect("a kind"), ["rack", "feed"]).expect("levels");
    for (name, capacity, rack, feed) in nodes {
        let mut node = Node::named(*name).capacity([*capacity]);
        let domains = [("rack", rack), ("feed", feed)];
        let named = domains.iter().filter(|(_, domain)| !domain.is_empty());
        node.domains = named.map(|(level, domain)| ((*level).to_string(), (**domain).to_string())).collect();
        cluster.add_node(node).expect("a node");
    }
    cluster
}

/// Nodes of these capacities, n0, n1, ... without domains.
fn plain(capacities: &[u64]) -> Cluster {
    let names: Vec<String> = (0..capacities.len()).map(|number| format!("n{number}")).collect();
    let nodes: Vec<_> = names.iter().zip(capacities).map(|(name, capacity)| (&**name, *capacity, "", "")).collect();
    cluster(&nodes)
}

fn node(cluster: &Cluster, name: &str) -> NodeId {
    cluster.node_id(name).expect("a node")
}

/// Adds a VM of this size on a node; `""` = it waits for a place.
fn vm(cluster: &mut Cluster, name: &str, size: u64, at: &str) -> VmId {
    with(cluster, name, size, at, |vm| vm)
}

fn with(cluster: &mut Cluster, name: &str, size: u64, at: &str, change: impl FnOnce(Vm) -> Vm) -> VmId {
    let mut vm = Vm::named(name).demand([size]).powered_on();
    vm.node = cluster.node_id(at);
    cluster.add_vm(change(vm)).expect("a VM")
}

fn state(cluster: &mut Cluster, name: &str, state: NodeState) {
    cluster.set_node_state(node(cluster, name), state).expect("a node");
}

fn judge(cluster: &Cluster, class: &FailureClass) -> ClassVerdict {
    judge_by(cluster, &Policy::default(), class)
}

fn judge_by(cluster: &Cluster, policy: &Policy, class: &FailureClass) -> ClassVerdict {
    verdict(cluster, policy, class, Ask::All, LIMIT).expect("a small case")
}

/// The failing sets, as names.
fn failing(cluster: &Cluster, class: &FailureClass) -> Vec<String> {
    names(&judge(cluster, class).all.failing)
}

fn names(failing: &[Vec<Unit>]) -> Vec<String> {
    let unit =
        |unit: &Unit| if unit.level == "node" { unit.name.clone() } else { format!("{}={}", unit.level, unit.name) };
    failing.iter().map(|units| units.iter().map(unit).collect::<Vec<_>>().join("+")).collect()
}

fn one() -> FailureClass {
    FailureClass::nodes(1)
}

fn both(counts: &[(&str, u32)]) -> FailureClass {
    let mut class = FailureClass::nodes(0);
    class.fail = counts.iter().map(|(level, count)| ((*level).to_string(), *count)).collect();
    class
}

const NONE: [&str; 0] = [];

#[test]
fn an_exact_fit_is_a_fit() {
    for (free, expected) in [(4, &NONE[..]), (3, &["n0"])] {
        let mut cluster = plain(&[4, free]);
        vm(&mut cluster, "a", 2, "n0");
        vm(&mut cluster, "b", 2, "n0");
        assert_eq!(failing(&cluster, &one()), expected);
    }
}

/// Every VM for itself would fit, and all together have as much as they need, but not in pieces.
#[test]
fn all_are_placed_together_and_whole() {
    let mut cluster = plain(&[9, 3, 3]);
    for name in ["a", "b", "c"] {
        vm(&mut cluster, name, 2, "n0");
    }
    assert_eq!(failing(&cluster, &one()), ["n0"]);
}

#[test]
fn the_empty_failure_is_a_scenario_of_every_class() {
    let mut cluster = plain(&[2, 2]);
    vm(&mut cluster, "waits", 3, "");
    assert_eq!(failing(&cluster, &FailureClass::nodes(0)), [""]);
    assert_eq!(failing(&cluster, &one()), ["", "n0", "n1"]);
    assert_eq!(max_tolerable(&cluster, &Policy::default(), "node", LIMIT), Some(None));
}

/// Those that wait are placed with those that fail, not before.
#[test]
fn those_that_wait_count_in_every_scenario() {
    let mut cluster = plain(&[2, 2, 1]);
    vm(&mut cluster, "runs", 2, "n0");
    assert_eq!(failing(&cluster, &one()), NONE);
    vm(&mut cluster, "waits", 1, "");
    assert_eq!(failing(&cluster, &one()), NONE, "on n2, and on n1 once n2 is lost");
    vm(&mut cluster, "waits, too", 1, "");
    assert_eq!(failing(&cluster, &one()), ["n0", "n1"]);
}

#[test]
fn scenarios_are_counted() {
    let nodes = [("a1", 1, "a", "f"), ("a2", 1, "a", ""), ("b1", 1, "b", "f"), ("alone", 1, "", "")];
    let cluster = cluster(&nodes);
    let count = |class: &FailureClass| judge(&cluster, class).scenarios;
    assert_eq!(count(&FailureClass::nodes(0)), Scenarios { choices: 1, largest: 1, node_sets: 1 });
    assert_eq!(count(&FailureClass::nodes(2)), Scenarios { choices: 11, largest: 6, node_sets: 11 });
    assert_eq!(count(&FailureClass::nodes(9)), Scenarios { choices: 16, largest: 1, node_sets: 16 });
    // Racks a, b and that of `alone`; a node may be in the rack.
    assert_eq!(count(&both(&[("rack", 1), ("node", 1)])), Scenarios { choices: 20, largest: 12, node_sets: 13 });
}

#[test]
fn a_node_without_domain_is_one_of_its_own() {
    let cluster = cluster(&[("x", 1, "", "f"), ("a", 1, "x", "f"), ("b", 1, "x", "")]);
    let found: Vec<(String, bool, usize)> =
        units(&cluster, "rack").into_iter().map(|unit| (unit.name, unit.own, unit.nodes.len())).collect();
    // The node x and the rack x are two things.
    assert_eq!(found, [("x".to_string(), false, 2), ("x".to_string(), true, 1)]);
    assert_eq!(units(&cluster, "feed").len(), 2);
}

/// Racks and feeds cross: a rack and a feed take what neither of them does.
#[test]
fn domains_may_cross() {
    let nodes = [("a1", 2, "a", "f"), ("a2", 2, "a", "g"), ("b1", 2, "b", "f"), ("b2", 2, "b", "g")];
    let mut cluster = cluster(&nodes);
    vm(&mut cluster, "v", 2, "a1");
    assert_eq!(failing(&cluster, &both(&[("rack", 1)])), NONE);
    assert_eq!(failing(&cluster, &both(&[("rack", 1), ("feed", 1)])), NONE, "one node is always left");
    assert_eq!(failing(&cluster, &both(&[("rack", 1), ("feed", 1), ("node", 1)])).len(), 4, "a1 with the other three");
    vm(&mut cluster, "w", 2, "a2");
    assert_eq!(failing(&cluster, &both(&[("rack", 1)])), NONE);
    let all = failing(&cluster, &both(&[("rack", 1), ("feed", 1)]));
    assert_eq!(all, ["rack=a+feed=f", "rack=a+feed=g", "rack=b+feed=f", "rack=b+feed=g"], "one node is not enough");
}

#[test]
fn absent_nodes_do_not_fail_and_take_nothing() {
    for absent in [NodeState::Maintenance, NodeState::Failed] {
        let mut cluster = plain(&[2, 2, 2]);
        vm(&mut cluster, "v", 2, "n0");
        state(&mut cluster, "n2", absent);
        assert_eq!(units(&cluster, "node").len(), 2);
        assert_eq!(failing(&cluster, &one()), NONE, "n1 takes it");
        state(&mut cluster, "n0", absent);
        assert_eq!(failing(&cluster, &one()), ["n1"], "it waits in every scenario");
    }
}

#[test]
fn cordoned_nodes_may_fail_and_take_nothing() {
    let mut cluster = plain(&[2, 2]);
    vm(&mut cluster, "v", 1, "n0");
    vm(&mut cluster, "w", 1, "n1");
    assert_eq!(failing(&cluster, &one()), NONE);
    state(&mut cluster, "n1", NodeState::Cordoned);
    assert_eq!(failing(&cluster, &one()), ["n0"]);
}

/// An unreachable node has failed already, on top of the tolerance; nothing is gained by its failing.
#[test]
fn unreachable_nodes_fail_on_top() {
    let mut cluster = plain(&[2, 2, 2]);
    vm(&mut cluster, "v", 2, "n0");
    vm(&mut cluster, "w", 2, "n1");
    assert_eq!(failing(&cluster, &one()), NONE);
    state(&mut cluster, "n0", NodeState::Unreachable);
    assert_eq!(units(&cluster, "node").len(), 2);
    assert_eq!(failing(&cluster, &FailureClass::nodes(0)), NONE);
    assert_eq!(failing(&cluster, &one()), ["n1", "n2"], "v and w need two nodes");
}

#[test]
fn migrations_in_flight() {
    // n1 holds the claim of v (2 of 3); the source fails: the claim is released, and v and w fit.
    let mut cluster = plain(&[3, 3]);
    let (n0, n1) = (node(&cluster, "n0"), node(&cluster, "n1"));
    let v = vm(&mut cluster, "v", 2, "n0");
    vm(&mut cluster, "w", 1, "n0");
    cluster.start_migration(v, n1).expect("a migration");
    assert_eq!(failing(&cluster, &one()), NONE);
    // While v stays on n0, its claim on n1 leaves no room for x of n2; nor does it when n0 has room for one only.
    let mut cluster = plain(&[2, 2, 2]);
    let v = vm(&mut cluster, "v", 2, "n0");
    vm(&mut cluster, "x", 2, "n2");
    assert_eq!(failing(&cluster, &one()), NONE);
    cluster.start_migration(v, n1).expect("a migration");
    assert_eq!(failing(&cluster, &one()), ["n2"]);
    // The target fails: v stays. Both fail: it is displaced once.
    assert_eq!(displaced(&cluster, None, &BTreeSet::from([n1])), []);
    assert_eq!(displaced(&cluster, None, &BTreeSet::from([n0, n1])), [v]);
}

/// Sizes: a restart needs the restart demand, residents hold their demand, nodes may be committed further than usual.
#[test]
fn what_is_counted() {
    let mut cluster = plain(&[4, 3]);
    with(&mut cluster, "v", 4, "n0", |vm| vm.restart_demand([2]));
    with(&mut cluster, "resident", 1, "n1", |vm| vm.restart(RestartClass::BestEffort));
    assert_eq!(failing(&cluster, &one()), NONE, "2 of 2");
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")]).unwrap(), [""; 0]).unwrap();
    for name in ["n0", "n1"] {
        cluster.add_node(Node::named(name).capacity([4]).failover_overcommit(0, 150)).expect("a node");
    }
    vm(&mut cluster, "v", 3, "n0");
    vm(&mut cluster, "w", 3, "n1");
    assert_eq!(failing(&cluster, &one()), NONE, "6 of 6");
}

#[test]
fn where_a_vm_may_be() {
    let nodes = |label: &str| {
        let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")]).unwrap(), [""; 0]).unwrap();
        cluster.add_node(Node::named("n0").capacity([1]).label("san")).expect("a node");
        cluster.add_node(Node::named("n1").capacity([1]).label(label).spare()).expect("a node");
        cluster
    };
    for (label, expected) in [("san", &NONE[..]), ("nas", &["n0"])] {
        let mut cluster = nodes(label);
        with(&mut cluster, "v", 1, "n0", |vm| vm.requires("san"));
        assert_eq!(failing(&cluster, &one()), expected);
    }
    for (allowed, expected) in [("n1", &NONE[..]), ("n0", &["n0"])] {
        let mut cluster = nodes("nas");
        let allowed = [node(&cluster, allowed)];
        with(&mut cluster, "v", 1, "n0", |vm| vm.allowed_nodes(allowed));
        assert_eq!(failing(&cluster, &one()), expected);
    }
}

/// What a rule breaks as `required` it does not as `relaxed` or `preferred`.
fn binds_only_if_required(
    make: impl Fn() -> Cluster,
    rule: impl Fn(&Cluster) -> Rule,
    class: &FailureClass,
    expected: &[&str],
) {
    for (strength, expected) in
        [(Strength::Required, expected), (Strength::Relaxed, &NONE[..]), (Strength::Preferred { weight: 9 }, &NONE[..])]
    {
        let mut cluster = make();
        let rule = rule(&cluster).strength(strength);
        cluster.add_rule(rule).expect("a rule");
        assert_eq!(failing(&cluster, class), expected, "{strength:?}");
    }
}

fn all_vms(cluster: &Cluster, kind: RuleKind) -> Rule {
    Rule::new("r", kind).vms(cluster.vms().map(lifeboat::VmRef::id))
}

/// Two racks of two; one VM in each.
fn two_racks() -> Cluster {
    let mut cluster = cluster(&[("a1", 4, "a", ""), ("a2", 4, "a", ""), ("b1", 4, "b", ""), ("b2", 4, "b", "")]);
    vm(&mut cluster, "v", 1, "a1");
    vm(&mut cluster, "w", 1, "b1");
    cluster
}

#[test]
fn separate() {
    let make = || {
        let mut cluster = plain(&[2, 2]);
        vm(&mut cluster, "v", 1, "n0");
        vm(&mut cluster, "w", 1, "n1");
        cluster
    };
    let kind = |max_per_domain| RuleKind::Separate { level: "node".into(), max_per_domain };
    binds_only_if_required(make, |cluster| all_vms(cluster, kind(1)), &one(), &["n0", "n1"]);
    binds_only_if_required(make, |cluster| all_vms(cluster, kind(2)), &one(), &[]);
    // By racks: one node of a rack may fail, a rack may not.
    let by_rack = |cluster: &Cluster| all_vms(cluster, RuleKind::Separate { level: "rack".into(), max_per_domain: 1 });
    binds_only_if_required(two_racks, by_rack, &one(), &[]);
    binds_only_if_required(two_racks, by_rack, &both(&[("rack", 1)]), &["rack=a", "rack=b"]);
}

/// A broken rule binds no VM that stays.
#[test]
fn rules_bind_where_vms_are_placed() {
    let mut cluster = plain(&[4, 4, 4]);
    vm(&mut cluster, "v", 1, "n0");
    vm(&mut cluster, "w", 1, "n0");
    let rule = all_vms(&cluster, RuleKind::Separate { level: "node".into(), max_per_domain: 1 });
    cluster.add_rule(rule).expect("a rule");
    assert_eq!(failing(&cluster, &one()), NONE, "they come up apart when n0 fails");
}

#[test]
fn sides() {
    let make = || {
        let mut cluster = plain(&[3, 3, 3]);
        for (name, at) in [("v1", "n0"), ("v2", "n1"), ("w", "n2")] {
            vm(&mut cluster, name, 1, at);
        }
        cluster
    };
    let rule = |cluster: &Cluster| {
        let id = |name: &str| cluster.vm_id(name).expect("a VM");
        let sides = vec![vec![id("v1"), id("v2")], vec![id("w")]];
        Rule::new("r", RuleKind::SeparateSides { level: "node".into(), sides })
    };
    binds_only_if_required(make, rule, &one(), &["n2"]);
}

#[test]
fn together() {
    let make = || {
        let mut cluster = cluster(&[("a1", 2, "a", ""), ("a2", 1, "a", ""), ("b1", 2, "b", "")]);
        vm(&mut cluster, "v", 1, "a1");
        vm(&mut cluster, "w", 1, "a2");
        cluster
    };
    let rule = |cluster: &Cluster| all_vms(cluster, RuleKind::Together { level: "rack".into() });
    binds_only_if_required(make, rule, &one(), &["a1"]);
    // Both go at once: they may come up elsewhere, together.
    binds_only_if_required(make, rule, &both(&[("rack", 1)]), &[]);
    let mut apart = cluster(&[("a1", 2, "a", ""), ("b1", 1, "b", ""), ("c1", 1, "c", "")]);
    vm(&mut apart, "v", 1, "a1");
    vm(&mut apart, "w", 1, "a1");
    assert_eq!(failing(&apart, &one()), NONE);
    apart.add_rule(rule(&apart)).expect("a rule");
    assert_eq!(failing(&apart, &one()), ["a1"], "they would come up in two racks");
}

#[test]
fn confine_and_exclude() {
    let make = || {
        let mut cluster = plain(&[1, 1, 1]);
        vm(&mut cluster, "v", 1, "n0");
        vm(&mut cluster, "w", 1, "n1");
        cluster
    };
    let place = |cluster: &Cluster, names: &[&str]| Place {
        nodes: names.iter().map(|name| node(cluster, name)).collect(),
        ..Place::default()
    };
    let confine = |cluster: &Cluster| all_vms(cluster, RuleKind::Confine(place(cluster, &["n0", "n1"])));
    binds_only_if_required(make, confine, &one(), &["n0", "n1"]);
    let exclude = |cluster: &Cluster| all_vms(cluster, RuleKind::Exclude(place(cluster, &["n2"])));
    binds_only_if_required(make, exclude, &one(), &["n0", "n1"]);
    let elsewhere = |cluster: &Cluster| all_vms(cluster, RuleKind::Exclude(place(cluster, &["n0", "n1"])));
    binds_only_if_required(make, elsewhere, &one(), &[]);
}

#[test]
fn spread() {
    let kind = |min_domains, max_skew| RuleKind::Spread { level: "rack".into(), min_domains, max_skew };
    // On two racks: no rack may go, as only one is left.
    binds_only_if_required(two_racks, |cluster| all_vms(cluster, kind(2, None)), &one(), &[]);
    let two = |cluster: &Cluster| all_vms(cluster, kind(2, None));
    binds_only_if_required(two_racks, two, &both(&[("rack", 1)]), &["rack=a", "rack=b"]);
    // As even as can be over what is left: with one rack left, all there is even.
    binds_only_if_required(two_racks, |cluster| all_vms(cluster, kind(0, Some(1))), &both(&[("rack", 1)]), &[]);
    // Three racks of one node: v must come up on the third, which has no room.
    let make = || {
        let mut cluster = cluster(&[("a", 2, "a", ""), ("b", 2, "b", ""), ("c", 2, "c", "")]);
        vm(&mut cluster, "v", 1, "a");
        vm(&mut cluster, "w", 1, "b");
        with(&mut cluster, "full", 2, "c", |vm| vm.restart(RestartClass::BestEffort));
        cluster
    };
    let members = |cluster: &Cluster| {
        Rule::new("r", kind(0, Some(1))).vms(["v", "w"].map(|name| cluster.vm_id(name).expect("a VM")))
    };
    binds_only_if_required(make, members, &one(), &["a", "b"]);
    // Stayers that are badly spread already bind nothing that they alone prevent.
    let mut cluster = cluster(&[("a", 4, "a", ""), ("b", 4, "b", "")]);
    for name in ["v", "w", "x"] {
        vm(&mut cluster, name, 1, "a");
    }
    cluster.add_rule(all_vms(&cluster, kind(3, None))).expect("a rule");
    assert_eq!(failing(&cluster, &one()), ["a"], "three racks for three VMs that are placed");
    vm(&mut cluster, "waits", 1, "");
    cluster.update_rule(cluster.rule_id("r").expect("a rule"), all_vms(&cluster, kind(3, None))).expect("a rule");
    assert_eq!(failing(&cluster, &one()), ["a", "b"], "none lost: the fourth on b makes two, more cannot be");
    // One that migrates is on two racks, and yet one member: two members are not asked to be on three.
    let mut cluster = plain(&[2, 2]);
    let moves = vm(&mut cluster, "moves", 1, "n0");
    vm(&mut cluster, "waits", 1, "");
    cluster.start_migration(moves, node(&cluster, "n1")).expect("a migration");
    cluster.add_rule(all_vms(&cluster, kind(3, None))).expect("a rule");
    assert_eq!(failing(&cluster, &FailureClass::nodes(0)), NONE);
}

#[test]
fn follow() {
    let make = || {
        let mut cluster = plain(&[3, 2, 3]);
        vm(&mut cluster, "leader", 1, "n0");
        vm(&mut cluster, "follower", 1, "n0");
        vm(&mut cluster, "other", 1, "n1");
        with(&mut cluster, "filler", 2, "n2", |vm| vm.restart(RestartClass::BestEffort));
        cluster
    };
    let rule = |cluster: &Cluster| {
        let leader = cluster.vm_id("leader").expect("a VM");
        Rule::new("r", RuleKind::Follow { leader }).vms(cluster.vm_id("follower"))
    };
    binds_only_if_required(make, rule, &one(), &["n0"]);
    // A leader that stays is where the follower must be; one that is placed is bound by nothing.
    let mut cluster = plain(&[1, 1, 1]);
    vm(&mut cluster, "follower", 1, "n0");
    let leader = vm(&mut cluster, "leader", 1, "n1");
    let rule = Rule::new("r", RuleKind::Follow { leader }).vms(cluster.vm_id("follower"));
    cluster.add_rule(rule).expect("a rule");
    assert_eq!(failing(&cluster, &one()), ["n0"], "n2 is free, but not for it");
}

#[test]
fn who_is_covered() {
    // Best-effort VMs are gone with their node, and keep their room on others.
    let mut cluster = plain(&[3, 3]);
    vm(&mut cluster, "v", 1, "n0");
    with(&mut cluster, "batch", 2, "n0", |vm| vm.restart(RestartClass::BestEffort));
    with(&mut cluster, "left", 2, "n1", |vm| vm.restart(RestartClass::Never));
    assert_eq!(failing(&cluster, &one()), NONE);
    vm(&mut cluster, "w", 1, "n1");
    assert_eq!(failing(&cluster, &one()), ["n0", "n1"]);
    // Of a class with a least priority only those that have it.
    let mut class = one();
    class.min_priority = Some(Priority::HIGH);
    assert_eq!(failing(&cluster, &class), NONE);
    // One that a more important one needs counts as that one does.
    let mut cluster = plain(&[4, 2]);
    let needed = with(&mut cluster, "needed", 2, "n0", |vm| vm.priority(Priority::LOW));
    let edge = StartEdge { on_timeout: OnTimeout::GiveUp, ..StartEdge::after(needed) };
    with(&mut cluster, "high", 1, "n0", |vm| vm.priority(Priority::HIGH));
    assert_eq!(failing(&cluster, &class), NONE, "one of 2");
    with(&mut cluster, "needs", 1, "n1", |vm| vm.priority(Priority::HIGH).starts_after(edge));
    assert_eq!(failing(&cluster, &class), ["n0"], "1 and 2 of 1");
}

#[test]
fn best_effort_vms_make_room_if_the_policy_says_so() {
    let mut cluster = plain(&[2, 2]);
    vm(&mut cluster, "v", 2, "n0");
    let batch = with(&mut cluster, "batch", 1, "n1", |vm| vm.restart(RestartClass::BestEffort));
    let judge = |cluster: &Cluster, preemption| {
        let mut policy = Policy::default();
        policy.preemption = preemption;
        judge_by(cluster, &policy, &one()).all.survives
    };
    assert!(!judge(&cluster, Preemption::Never));
    assert!(judge(&cluster, Preemption::BestEffort) && judge(&cluster, Preemption::LowerPriority));
    let mut kept = cluster.vm(batch).expect("a VM").to_vm();
    kept.preemptible = Some(false);
    cluster.update_vm(batch, kept).expect("a VM");
    assert!(!judge(&cluster, Preemption::BestEffort));
    // Protected VMs of low priority never make room in a verdict.
    let mut cluster = plain(&[2, 2]);
    with(&mut cluster, "v", 2, "n0", |vm| vm.priority(Priority::HIGH));
    with(&mut cluster, "low", 1, "n1", |vm| vm.priority(Priority::LOW));
    assert!(!judge(&cluster, Preemption::LowerPriority));
}

#[test]
fn uncoverable_vms_are_told_from_the_rest() {
    let mut cluster = plain(&[4, 4, 4]);
    let n0 = node(&cluster, "n0");
    let local = with(&mut cluster, "local", 2, "n0", |vm| vm.allowed_nodes([n0]));
    vm(&mut cluster, "v", 2, "n0");
    vm(&mut cluster, "w", 2, "n1");
    let found = judge(&cluster, &one());
    assert_eq!(found.uncoverable.iter().map(|found| found.vm).collect::<Vec<_>>(), [local]);
    assert_eq!(names(&[found.uncoverable[0].failure.clone()]), ["n0"]);
    assert_eq!((names(&found.all.failing), found.rest.survives), (vec!["n0".to_string()], true));
    // It holds its room where it stays: there are 2 left for 3.
    let mut cluster = plain(&[4, 4]);
    let n0 = node(&cluster, "n0");
    with(&mut cluster, "local", 2, "n0", |vm| vm.allowed_nodes([n0]));
    vm(&mut cluster, "v", 3, "n1");
    let found = judge(&cluster, &one());
    assert_eq!((names(&found.rest.failing), found.uncoverable.len()), (vec!["n1".to_string()], 1));
    // Too big for any other node counts, too; full nodes do not.
    let mut cluster = plain(&[5, 4, 4]);
    vm(&mut cluster, "big", 5, "n0");
    vm(&mut cluster, "fills", 4, "n1");
    let found = judge(&cluster, &one());
    assert_eq!(found.uncoverable.len(), 1);
    assert_eq!((names(&found.all.failing), names(&found.rest.failing)), (vec!["n0".to_string()], vec![]));
    // One of two allowed nodes is enough for one loss, not for two; nor for none if it has none left.
    let mut cluster = plain(&[1, 1, 1]);
    let pair = ["n0", "n1"].map(|name| node(&cluster, name));
    with(&mut cluster, "drbd", 1, "n0", |vm| vm.allowed_nodes(pair));
    assert_eq!(judge(&cluster, &one()).uncoverable.len(), 0);
    let found = judge(&cluster, &FailureClass::nodes(2));
    assert_eq!(names(&[found.uncoverable[0].failure.clone()]), ["n0+n1"]);
    assert!(!found.all.survives && found.rest.survives);
}

/// A VM that gives up without an uncoverable one has its room, and yet cannot start.
#[test]
fn the_rest_may_need_an_uncoverable_vm() {
    let mut cluster = plain(&[4, 4, 4]);
    let n0 = node(&cluster, "n0");
    let local = with(&mut cluster, "local", 1, "n0", |vm| vm.allowed_nodes([n0]));
    let edge = StartEdge { on_timeout: OnTimeout::GiveUp, ..StartEdge::after(local) };
    with(&mut cluster, "needs", 1, "n1", |vm| vm.starts_after(edge));
    let found = judge(&cluster, &FailureClass::nodes(2));
    assert_eq!(found.uncoverable.len(), 1);
    assert_eq!(names(&found.rest.failing), ["n0+n1"]);
}

#[test]
fn the_largest_tolerance() {
    let mut cluster = plain(&[2, 2, 2, 2]);
    for at in ["n0", "n1"] {
        vm(&mut cluster, &format!("v on {at}"), 2, at);
    }
    let largest = |cluster: &Cluster, level| max_tolerable(cluster, &Policy::default(), level, LIMIT).expect("small");
    assert_eq!(largest(&cluster, "node"), Some(2));
    assert_eq!(largest(&cluster, "rack"), Some(2), "every node is a rack of its own");
    assert_eq!(largest(&plain(&[1, 1]), "node"), Some(2), "nothing can be lost");
}

/// Two nodes, one being patched: with the policy's leave no more may fail.
#[test]
fn maintenance_can_use_up_the_tolerance() {
    let mut cluster = plain(&[2, 2]);
    vm(&mut cluster, "v", 2, "n0");
    state(&mut cluster, "n1", NodeState::Maintenance);
    let mut policy = Policy::default();
    assert!(!judge_by(&cluster, &policy, &one()).all.survives);
    policy.maintenance_uses_tolerance = true;
    let found = judge_by(&cluster, &policy, &one());
    assert_eq!((found.all.survives, found.scenarios.choices), (true, 1));
}

/// b is full, c could take its VM, and d what waits; unless what waits takes c first.
fn one_waits() -> Cluster {
    let mut cluster = cluster(&[("b", 2, "", ""), ("c", 2, "", ""), ("d", 1, "", "")]);
    vm(&mut cluster, "vb", 2, "b");
    vm(&mut cluster, "waits", 1, "");
    cluster
}

/// Who is displaced, the smallest first, goes to the first of these nodes that has room.
fn first_fit(moment: &Moment<'_, ()>, order: [&str; 3]) -> Option<(Restart, ())> {
    let mut cluster = moment.cluster.clone();
    for node in moment.now {
        cluster.set_node_state(*node, NodeState::Failed).expect("a node");
    }
    let mut vms: Vec<VmId> = cluster.vms().filter(|vm| vm.is_displaced()).map(|vm| vm.id()).collect();
    vms.sort_by_key(|vm| cluster.vm(*vm).expect("a VM").demand()[0]);
    let mut answer = Restart::default();
    for vm in vms {
        let size = cluster.vm(vm).expect("a VM").restart_demand()[0];
        let nodes = order.iter().filter_map(|name| cluster.node_id(name));
        let takes = |id: &NodeId| {
            let node = cluster.node(*id).expect("a node");
            node.state().accepts() && node.free()[0] >= size
        };
        let node = nodes.into_iter().find(takes)?;
        cluster.move_vm(vm, Some(node)).expect("a VM");
        answer.placements.push((vm, node));
    }
    Some((answer, ()))
}

/// At once all is well; what waits, placed badly before the first loss, spoils it.
#[test]
fn replay_finds_the_order_that_breaks() {
    let cluster = one_waits();
    assert_eq!(failing(&cluster, &one()), NONE);
    let policy = Policy::default();
    let play = |order, nodes| {
        replay(&cluster, &policy, &one(), &BTreeSet::new(), order, (), |moment| first_fit(moment, nodes))
    };
    let good = play(Order::AnyOrder, ["d", "c", "b"]).expect("all well");
    assert_eq!((good.restarts, good.ends), (7, 6), "nothing, then b, c or d; or b, c or d with what waits");
    assert_eq!(play(Order::AtOnce, ["d", "c", "b"]).expect("all well").restarts, 4);
    let bad = play(Order::AnyOrder, ["c", "d", "b"]).expect_err("c is taken");
    assert_eq!((names(&bad.losses), &*bad.faults[0]), (vec![String::new(), "b".to_string()], "no answer"));
}

#[test]
fn replay_judges_every_answer() {
    let cluster = one_waits();
    let id = |vm: &str, at: &str| (cluster.vm_id(vm).expect("a VM"), node(&cluster, at));
    let faults = |placements: &[(VmId, NodeId)], evictions: &[(VmId, NodeId)]| {
        let answer =
            |_: &Moment<'_, ()>| Some((Restart { placements: placements.to_vec(), evictions: evictions.to_vec() }, ()));
        let class = FailureClass::nodes(0);
        let played = replay(&cluster, &Policy::default(), &class, &BTreeSet::new(), Order::AtOnce, (), answer);
        played.err().map_or_else(Vec::new, |broken| broken.faults)
    };
    let waits = [id("waits", "d")];
    assert!(faults(&waits, &[]).is_empty());
    assert_eq!(faults(&[], &[]), ["waits has no place"]);
    assert_eq!(faults(&[id("waits", "b")], &[]), ["the node of waits is over-full"]);
    assert_eq!(faults(&[waits[0], waits[0]], &[])[0], "waits is placed twice");
    assert_eq!(faults(&[waits[0], id("vb", "c")], &[]), ["vb is not to be placed"]);
    assert_eq!(faults(&waits, &[id("vb", "b")]), ["vb may not be evicted"]);
}

/// After two losses of three equal nodes what ran on the first has moved twice; every batch and order is played.
#[test]
fn replay_plays_every_order_and_batch() {
    let mut cluster = plain(&[2, 2, 2]);
    vm(&mut cluster, "v", 1, "n0");
    vm(&mut cluster, "w", 1, "n1");
    let class = FailureClass::nodes(2);
    let mut most_before = 0;
    let played = replay(&cluster, &Policy::default(), &class, &BTreeSet::new(), Order::AnyOrder, 0, |moment| {
        most_before = most_before.max(moment.before.len());
        let answer = first_fit(
            &Moment { cluster: moment.cluster, before: moment.before, now: moment.now, memory: &() },
            ["n0", "n1", "n2"],
        );
        answer.map(|(answer, ())| (answer, moment.memory + 1))
    });
    // Nothing; three singles, each followed by two; three pairs.
    assert_eq!(played.map(|played| (played.restarts, played.ends)), Ok((1 + 3 + 6 + 3, 6 + 3)));
    assert_eq!(most_before, 1);
    assert_eq!(nodes_of(&units(&cluster, "node")).len(), 3);
}
