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

use lifeboat::{
    Cluster, Node, NodeState, Place, Priority, ResourceKinds, RestartClass, Rule, RuleKind, StartEdge, Strength, Vm,
};
use lifeboat_testkit::edits::{Model, Op};
use lifeboat_testkit::rebuild::Rebuild;
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

    /// Whatever edits led there, the same content has the same fingerprint: added anew in another order, and loaded
    /// from what was exported.
    #[test]
    fn a_fingerprint_is_of_the_content(ops in proptest::collection::vec(op(), 1..60), seed in any::<u64>()) {
        let (mut cluster, mut model) = Model::start();
        for op in &ops {
            let (fingerprint, revision) = (cluster.fingerprint(), cluster.revision());
            model.step(&mut cluster, op);
            // What is refused changes neither; what changes the one changes the other.
            prop_assert!(cluster.fingerprint() == fingerprint || cluster.revision() > revision);
        }
        let text = lifeboat::document::to_json(&cluster, &lifeboat::Policy::default());
        let (loaded, _) = lifeboat::Document::from_json(&text).unwrap().into_parts();
        prop_assert_eq!(loaded.fingerprint(), cluster.fingerprint());
        // A rule can outlive the last node of a domain that it names, and cannot be added then.
        let rules: Vec<_> = cluster.rules().map(|rule| (rule.id(), rule.to_rule())).collect();
        for (id, rule) in rules {
            if let RuleKind::Confine(place) | RuleKind::Exclude(place) = rule.kind {
                let empty = |(level, domain): &(String, String)| {
                    cluster.domain_nodes(level, domain).is_none_or(|nodes| nodes.is_empty())
                };
                if place.domains.iter().any(empty) {
                    cluster.remove_rule(id).unwrap();
                }
            }
        }
        let again = Rebuild::of(&cluster).shuffled(seed).build().cluster;
        prop_assert_eq!(again.fingerprint(), cluster.fingerprint());
    }
}

/// A change, by what it is called.
type Change = (&'static str, fn(&mut Cluster));

/// Everything that an answer may depend on is in the fingerprint, each thing by itself; what no answer reads is not.
#[test]
fn a_fingerprint_tells_states_apart() {
    fn vm(cluster: &mut Cluster, change: impl FnOnce(&mut Vm)) {
        let id = cluster.vm_id("db").unwrap();
        let mut vm = cluster.vm(id).unwrap().to_vm();
        change(&mut vm);
        cluster.update_vm(id, vm).unwrap();
    }
    fn node(cluster: &mut Cluster, change: impl FnOnce(&mut Node)) {
        let id = cluster.node_id("a").unwrap();
        let mut node = cluster.node(id).unwrap().to_node();
        change(&mut node);
        cluster.update_node(id, node).unwrap();
    }
    fn rule(cluster: &mut Cluster, name: &str, change: impl FnOnce(&mut Rule)) {
        let id = cluster.rule_id(name).unwrap();
        let mut rule = cluster.rule(id).unwrap().to_rule();
        change(&mut rule);
        cluster.update_rule(id, rule).unwrap();
    }
    fn id(cluster: &Cluster, name: &str) -> lifeboat::VmId {
        cluster.vm_id(name).unwrap()
    }
    let mut cluster = empty();
    let a = cluster.add_node(Node::named("a").capacity([100, 100]).label("ssd").domain("rack", "r1")).unwrap();
    let b = cluster.add_node(Node::named("b").capacity([100, 100]).label("hdd").domain("rack", "r2")).unwrap();
    let dc = cluster.add_vm(Vm::named("dc").demand([1, 1]).on(b)).unwrap();
    let web = cluster.add_vm(Vm::named("web").demand([1, 1]).on(b)).unwrap();
    let mut db = Vm::named("db").demand([10, 10]).on(a).requires("ssd").group("db").allowed_nodes([a, b]);
    db.starts_after.push(StartEdge::after(dc));
    let db = cluster.add_vm(db).unwrap();
    let off = cluster.add_vm(Vm::named("off").demand([1, 1])).unwrap();
    let separate = RuleKind::Separate { level: "rack".into(), max_per_domain: 1 };
    cluster.add_rule(Rule::new("apart", separate).vms([db, dc]).vm_group("db")).unwrap();
    let sides = RuleKind::SeparateSides { level: "node".into(), sides: vec![vec![db], vec![dc, web]] };
    cluster.add_rule(Rule::new("sides", sides)).unwrap();
    let mut place = Place::default();
    place.nodes.push(a);
    place.labels.push("ssd".into());
    place.domains.push(("rack".into(), "r1".into()));
    cluster.add_rule(Rule::new("there", RuleKind::Confine(place)).vms([db])).unwrap();
    cluster.add_rule(Rule::new("with", RuleKind::Follow { leader: dc }).vms([off])).unwrap();

    let changes: &[Change] = &[
        ("VM name", |c| vm(c, |vm| vm.name = "db-2".into())),
        ("VM demand", |c| vm(c, |vm| vm.demand = Some([11, 10].into()))),
        ("VM restart demand", |c| vm(c, |vm| vm.restart_demand = Some([11, 10].into()))),
        ("VM reservation", |c| vm(c, |vm| vm.reservation = Some([1, 1].into()))),
        ("VM node", |c| vm(c, |vm| vm.node = c_node(vm, 1))),
        ("VM without node", |c| c.move_vm(id(c, "db"), None).unwrap()),
        ("VM off", |c| c.stop_vm(id(c, "db")).unwrap()),
        ("VM off, last elsewhere", |c| {
            c.move_vm(id(c, "db"), c.node_id("b")).unwrap();
            c.stop_vm(id(c, "db")).unwrap();
        }),
        ("VM migrating", |c| c.start_migration(id(c, "db"), c.node_id("b").unwrap()).unwrap()),
        ("VM priority", |c| vm(c, |vm| vm.priority = Priority::HIGH)),
        ("VM class", |c| vm(c, |vm| vm.restart = RestartClass::BestEffort)),
        ("VM preemptible", |c| vm(c, |vm| vm.preemptible = Some(true))),
        ("VM not preemptible", |c| vm(c, |vm| vm.preemptible = Some(false))),
        ("VM pinned", |c| vm(c, |vm| vm.pinned = true)),
        ("VM labels", |c| vm(c, |vm| vm.requires.push("hdd".into()))),
        ("VM other label", |c| vm(c, |vm| vm.requires = vec!["hdd".into()])),
        ("VM labels to move", |c| vm(c, |vm| vm.migrate_requires.push("ssd".into()))),
        ("VM nodes", |c| vm(c, |vm| vm.allowed_nodes = vm.allowed_nodes.take().map(|nodes| nodes[..1].to_vec()))),
        ("VM no nodes", |c| vm(c, |vm| vm.allowed_nodes = Some(vec![]))),
        ("VM any node", |c| vm(c, |vm| vm.allowed_nodes = None)),
        ("VM groups", |c| vm(c, |vm| vm.groups.push("more".into()))),
        ("VM start time", |c| vm(c, |vm| vm.start_s = Some(0))),
        ("edge gone", |c| vm(c, |vm| vm.starts_after.clear())),
        ("edge delay", |c| vm(c, |vm| vm.starts_after[0].delay_s = 1)),
        ("edge time-out", |c| vm(c, |vm| vm.starts_after[0].timeout_s = Some(0))),
        ("edge ready", |c| vm(c, |vm| vm.starts_after[0].until = lifeboat::Until::Ready)),
        ("edge gives up", |c| vm(c, |vm| vm.starts_after[0].on_timeout = lifeboat::OnTimeout::GiveUp)),
        ("VM more", |c| _ = c.add_vm(Vm::named("more")).unwrap()),
        ("VM gone", |c| c.remove_vm(id(c, "web")).unwrap()),
        ("prerequisite's name", |c| {
            let dc = id(c, "dc");
            let mut vm = c.vm(dc).unwrap().to_vm();
            vm.name = "dc-2".into();
            c.update_vm(dc, vm).unwrap();
        }),
        ("node name", |c| node(c, |node| node.name = "a-2".into())),
        ("node capacity", |c| node(c, |node| node.capacity = [101, 100].into())),
        ("node overcommit", |c| node(c, |node| node.failover_overcommit.push((0, 200)))),
        ("node state", |c| c.set_node_state(c.node_id("a").unwrap(), NodeState::Cordoned).unwrap()),
        ("node role", |c| node(c, |node| node.role = lifeboat::Role::Spare)),
        ("node label", |c| node(c, |node| node.labels.push("new".into()))),
        ("node start limit", |c| node(c, |node| node.start_limit = Some(2))),
        ("node domain", |c| node(c, |node| node.domains[0].1 = "r2".into())),
        ("node without domain", |c| node(c, |node| node.domains.clear())),
        ("node level", |c| node(c, |node| node.domains[0].0 = "site".into())),
        ("node gone", |c| c.remove_node(c.node_id("b").unwrap()).unwrap()),
        ("node more", |c| _ = c.add_node(Node::named("c")).unwrap()),
        ("rule name", |c| rule(c, "apart", |rule| rule.name = "apart-2".into())),
        ("rule strength", |c| rule(c, "apart", |rule| rule.strength = Strength::Relaxed)),
        ("rule weight", |c| rule(c, "apart", |rule| rule.strength = Strength::Preferred { weight: 1 })),
        ("rule weight 2", |c| rule(c, "apart", |rule| rule.strength = Strength::Preferred { weight: 2 })),
        ("rule member", |c| rule(c, "apart", |rule| rule.vms.truncate(1))),
        ("rule group", |c| rule(c, "apart", |rule| rule.vm_groups.clear())),
        ("rule kind", |c| rule(c, "apart", |rule| rule.kind = RuleKind::Together { level: "rack".into() })),
        ("rule level", |c| {
            rule(c, "apart", |rule| rule.kind = RuleKind::Separate { level: "node".into(), max_per_domain: 1 });
        }),
        ("rule number", |c| {
            rule(c, "apart", |rule| rule.kind = RuleKind::Separate { level: "rack".into(), max_per_domain: 2 });
        }),
        ("sides", |c| {
            let sides = vec![vec![id(c, "db"), id(c, "web")], vec![id(c, "dc")]];
            rule(c, "sides", |rule| rule.kind = RuleKind::SeparateSides { level: "node".into(), sides });
        }),
        ("exclude", |c| {
            rule(c, "there", |rule| {
                if let RuleKind::Confine(place) = rule.kind.clone() {
                    rule.kind = RuleKind::Exclude(place);
                }
            });
        }),
        ("place", |c| rule(c, "there", |rule| rule.kind = RuleKind::Confine(Place::default()))),
        ("leader", |c| {
            let leader = id(c, "web");
            rule(c, "with", |rule| rule.kind = RuleKind::Follow { leader });
        }),
        ("rule gone", |c| c.remove_rule(c.rule_id("with").unwrap()).unwrap()),
    ];
    // For a change that needs another node than the VM's own.
    fn c_node(vm: &Vm, at: usize) -> Option<lifeboat::NodeId> {
        vm.allowed_nodes.as_ref().and_then(|nodes| nodes.get(at).copied())
    }
    let mut seen = vec![("as it was", cluster.fingerprint())];
    for (what, change) in changes {
        let mut changed = cluster.clone();
        change(&mut changed);
        changed.check_invariants().unwrap();
        let fingerprint = changed.fingerprint();
        if let Some((other, _)) = seen.iter().find(|(_, known)| *known == fingerprint) {
            panic!("{what} and {other} have one fingerprint");
        }
        seen.push((what, fingerprint));
    }
    let mut same = cluster.clone();
    vm(&mut same, |vm| vm.display = Some("for people".into()));
    node(&mut same, |node| node.display = Some("for people".into()));
    same.set_name(Some("a name".into()));
    assert_eq!(same.fingerprint(), cluster.fingerprint());
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
