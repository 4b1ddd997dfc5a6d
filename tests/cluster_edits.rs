//! Random sequences of every edit, shrunk where they fail, against the naive model of the test kit.

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

use lifeboat::{Cluster, Node, ResourceKinds, Rule, RuleKind, StartEdge, Vm};
use lifeboat_testkit::edits::{Model, Op};
use proptest::prelude::*;

fn op() -> impl Strategy<Value = Op> {
    let node = (any::<u16>(), 0..50u8, option(0..3u8), option(0..3u8), 0..8u8, 0..5u8);
    let edges = || proptest::collection::vec((any::<u8>(), any::<bool>()), 0..2);
    let vm = (
        option(0..1000u16),
        option(0..1000u16),
        option(any::<u8>()),
        option(any::<bool>()),
        option(any::<u8>()),
        0..5u8,
        0..3u8,
        0..8u8,
        option(any::<u8>()),
        edges(),
    );
    let rule = (0..8u8, proptest::collection::vec(any::<u8>(), 0..4), 0..4u8, 0..3u8, any::<u8>(), any::<bool>());
    prop_oneof![
        3 => (0..12u8, node.clone()).prop_map(|(name, form)| Op::AddNode(name, form)),
        1 => (any::<u8>(), 0..12u8, node).prop_map(|(at, name, form)| Op::UpdateNode(at, name, form)),
        1 => any::<u8>().prop_map(Op::RemoveNode),
        2 => (any::<u8>(), 0..5u8).prop_map(|(at, state)| Op::State(at, state)),
        6 => (0..30u8, vm.clone()).prop_map(|(name, form)| Op::AddVm(name, form)),
        2 => (any::<u8>(), 0..30u8, vm).prop_map(|(at, name, form)| Op::UpdateVm(at, name, form)),
        2 => any::<u8>().prop_map(Op::RemoveVm),
        2 => (any::<u8>(), option(any::<u8>())).prop_map(|(at, node)| Op::Start(at, node)),
        2 => any::<u8>().prop_map(Op::Stop),
        2 => (any::<u8>(), option(any::<u8>())).prop_map(|(at, node)| Op::Move(at, node)),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(at, node)| Op::Migrate(at, node)),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(at, arrived)| Op::EndMigration(at, arrived)),
        2 => (any::<u8>(), any::<u16>(), option(any::<u16>())).prop_map(|(at, now, start)| Op::Resize(at, now, start)),
        2 => proptest::collection::vec((any::<u8>(), edges()), 0..4).prop_map(Op::Edges),
        3 => (0..8u8, rule.clone()).prop_map(|(name, form)| Op::AddRule(name, form)),
        1 => (any::<u8>(), 0..8u8, rule).prop_map(|(at, name, form)| Op::UpdateRule(at, name, form)),
        1 => any::<u8>().prop_map(Op::RemoveRule),
        1 => Just(Op::Declare),
    ]
}

fn option<S>(strategy: S) -> impl Strategy<Value = Option<S::Value>> + Clone
where
    S: Strategy + Clone,
    S::Value: Clone,
{
    proptest::option::of(strategy)
}

fn empty() -> Cluster {
    Cluster::new(ResourceKinds::new([("cpu", "MHz"), ("memory", "MiB")]).unwrap(), ["site", "rack"]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_edit_keeps_the_cluster_whole(ops in proptest::collection::vec(op(), 1..120)) {
        let (mut cluster, mut model) = Model::start();
        for op in &ops {
            model.step(&mut cluster, op);
        }
    }
}

/// Adds and removes objects; the slots must be used again.
fn churn(cycles: u32) {
    let mut cluster = empty();
    let node = cluster.add_node(Node::named("stays").capacity([1000, 1000]).label("ssd")).unwrap();
    let anchor = cluster.add_vm(Vm::named("anchor").demand([1, 1]).on(node).group("web")).unwrap();
    for cycle in 0..cycles {
        let mut vm = Vm::named(format!("vm-{cycle}")).demand([10, 10]).on(node).group("web").requires("ssd");
        vm.groups.push(format!("group-{cycle}"));
        vm.starts_after.push(StartEdge::after(anchor));
        let vm = cluster.add_vm(vm).unwrap();
        if cycle % 16 == 0 {
            let other = Node::named(format!("node-{cycle}")).capacity([5, 5]).domain("rack", format!("rack-{cycle}"));
            let other = cluster.add_node(other.label(format!("label-{cycle}"))).unwrap();
            let rule = Rule::new(format!("rule-{cycle}"), RuleKind::Together { level: "node".into() });
            let rule = cluster.add_rule(rule.vms([vm, anchor]).vm_group("web")).unwrap();
            cluster.remove_rule(rule).unwrap();
            cluster.remove_node(other).unwrap();
        }
        cluster.remove_vm(vm).unwrap();
    }
    assert_eq!(cluster.slot_counts(), [2, 2, 1]);
    assert_eq!(cluster.groups(), ["web"]);
    assert_eq!(cluster.labels(), ["ssd"]);
    cluster.check_invariants().unwrap();
}

#[test]
fn slots_are_used_again() {
    churn(20_000);
}

#[test]
#[ignore = "takes minutes; run it in release"]
fn slots_are_used_again_ten_million_times() {
    churn(10_000_000);
}
