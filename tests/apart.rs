//! VMs that `separate` rules tie, followed by a guard's ledgers: single requests and facts.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use lifeboat::policy::FailureClass;
use lifeboat::{
    Change, Cluster, Guard, ItemState, Node, NodeId, Policy, ResourceKinds, RestartClass, Rule, RuleKind, Vm, VmId,
    check_certificate,
};

/// Any one node may be lost.
fn one_node() -> Policy {
    let mut policy = Policy::default();
    policy.tolerate = vec![FailureClass::nodes(1)];
    policy
}

/// Whether all that is promised holds by a ledger, whose certificate is good.
fn check_state(guard: &mut Guard) {
    assert!(guard.items().unwrap().iter().all(ItemState::is_ok));
    assert_eq!(guard.check_ledgers(), Ok(1));
    let certificate = guard.certificate(&FailureClass::nodes(1)).unwrap().unwrap();
    check_certificate(guard.cluster(), guard.policy(), &certificate).unwrap();
}

/// Three nodes with so much memory, a VM that fills the last up to what is free there, and VMs with so much memory on the first
/// and on the second, by name.
fn three_nodes(sizes: [u64; 3], free: u64, vms: &[(&str, u64, usize)]) -> (Cluster, [NodeId; 3], Vec<VmId>) {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), [""; 0]).unwrap();
    let nodes = [("a", 0), ("b", 1), ("c", 2)]
        .map(|(name, at)| cluster.add_node(Node::named(name).capacity([sizes[at]])).unwrap());
    let mut filling = Vm::named("filling").demand([sizes[2] - free]).on(nodes[2]);
    filling.restart = RestartClass::BestEffort;
    cluster.add_vm(filling).unwrap();
    let add = |(name, size, at): &(&str, u64, usize)| {
        cluster.add_vm(Vm::named(*name).demand([*size]).on(nodes[*at])).unwrap()
    };
    let vms = vms.iter().map(add).collect();
    (cluster, nodes, vms)
}

/// Two rules of the same two VMs take a target away once.
#[test]
fn a_target_is_given_up_once_for_two_rules() {
    let vms = [("first", 3, 0), ("beside", 2, 0), ("second", 1, 1)];
    let (mut cluster, [_, b, c], vms) = three_nodes([10, 10, 10], 10, &vms);
    let [first, _, second] = vms[..] else { panic!("three VMs") };
    cluster.stop_vm(second).unwrap();
    for name in ["apart", "apart again"] {
        let apart = RuleKind::Separate { level: "node".into(), max_per_domain: 1 };
        cluster.add_rule(Rule::new(name, apart).vms([first, second])).unwrap();
    }
    let mut guard = Guard::new(cluster, one_node());
    check_state(&mut guard);
    // One of the two is the target of `first`.
    for node in [b, c] {
        guard.observe(&[Change::start_on(second, node)]).unwrap();
        check_state(&mut guard);
        guard.observe(&[Change::Stop { vm: second }]).unwrap();
    }
}

/// A migration of a VM that a rule about single nodes ties is admitted by the ledgers alone.
#[test]
fn a_migration_of_a_vm_kept_apart_takes_no_verdict() {
    let (mut cluster, [_, b, c], vms) = three_nodes([10, 10, 10], 10, &[("moving", 2, 0), ("there", 2, 1)]);
    // While the first is on two nodes the second needs a fourth.
    cluster.add_node(Node::named("d").capacity([10])).unwrap();
    let apart = RuleKind::Separate { level: "node".into(), max_per_domain: 1 };
    cluster.add_rule(Rule::new("apart", apart).vms(vms.clone())).unwrap();
    let mut guard = Guard::new(cluster, one_node());
    assert!(!guard.admit(&[Change::Migrate { vm: vms[0], to: Some(b) }]).unwrap().is_admitted());
    for change in [Change::Migrate { vm: vms[0], to: Some(c) }, Change::MigrateDone { vm: vms[0] }] {
        let decision = guard.admit(&[change]).unwrap();
        assert!(decision.is_admitted(), "{:?}", decision.violations());
        guard.apply(decision).unwrap();
        check_state(&mut guard);
    }
    // The refusal alone took one.
    assert_eq!(guard.judged(), (2, 1));
}

/// While a VM migrates, the plan for its source may put another of its rule where it goes to: once it has arrived, that one has
/// no place.
#[test]
fn an_arrival_bars_the_restart_of_another_of_its_rule() {
    let vms = [("moving", 2, 0), ("large", 4, 0), ("there", 2, 1)];
    let (mut cluster, [a, b, _], vms) = three_nodes([10, 12, 10], 3, &vms);
    let [moving, large, there] = vms[..] else { panic!("three VMs") };
    cluster.stop_vm(large).unwrap();
    let apart = RuleKind::Separate { level: "node".into(), max_per_domain: 2 };
    cluster.add_rule(Rule::new("apart", apart).vms([moving, large, there])).unwrap();
    let mut quick = Guard::new(cluster.clone(), one_node());
    let mut slow = Guard::new(cluster, one_node()).without_ledger();
    for change in [Change::Migrate { vm: moving, to: Some(b) }, Change::start_on(large, a)] {
        for guard in [&mut quick, &mut slow] {
            let decision = guard.admit(std::slice::from_ref(&change)).unwrap();
            assert!(decision.is_admitted(), "{change:?}: {:?}", decision.violations());
            guard.apply(decision).unwrap();
        }
    }
    // c has room for `moving` alone, and b takes only one of the two.
    for guard in [&mut quick, &mut slow] {
        assert!(!guard.admit(&[Change::MigrateDone { vm: moving }]).unwrap().is_admitted());
    }
}

/// A VM that comes where another of its rule would have to be restarted is refused, unless that one can go elsewhere.
#[test]
fn a_newcomer_bars_the_restart_of_another_of_its_rule() {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), [""; 0]).unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| cluster.add_node(Node::named(name).capacity([10])).unwrap());
    let first = cluster.add_vm(Vm::named("first").demand([2]).on(a)).unwrap();
    // Of the second alone nothing is promised.
    let mut second = Vm::named("second").demand([2]).on(b);
    second.restart = RestartClass::BestEffort;
    let second = cluster.add_vm(second).unwrap();
    cluster.stop_vm(second).unwrap();
    let mut filling = Vm::named("filling").demand([9]).on(c);
    filling.restart = RestartClass::BestEffort;
    let filling = cluster.add_vm(filling).unwrap();
    let apart = RuleKind::Separate { level: "node".into(), max_per_domain: 1 };
    cluster.add_rule(Rule::new("apart", apart).vms([first, second])).unwrap();
    let mut guard = Guard::new(cluster, one_node());
    let start = [Change::Start { vm: second, node: Some(b) }];
    // With `second` on it, b takes `first` no more, and c has no room.
    assert!(!guard.admit(&start).unwrap().is_admitted());
    let stop = guard.admit(&[Change::Stop { vm: filling }]).unwrap();
    guard.apply(stop).unwrap();
    let decision = guard.admit(&start).unwrap();
    assert!(decision.is_admitted(), "{:?}", decision.violations());
    guard.apply(decision).unwrap();
    check_state(&mut guard);
}
