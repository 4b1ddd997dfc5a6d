//! The guard's ledgers: requests and facts of every kind, judged with ledgers and without, side by side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::as_conversions,
    reason = "tests"
)]

use lifeboat::policy::{FailureClass, Mode, Strategy, Uncoverable};
use lifeboat::{
    Answer, Change, Cluster, Decision, Guard, Item, Node, NodeId, NodeState, Place, Policy, ResourceKinds,
    RestartClass, Rule, RuleKind, Strength, Vm, VmId, check_certificate, verify,
};
use lifeboat_testkit::Choices;
use std::collections::BTreeMap;

/// What is churned.
struct Pool {
    nodes: u64,
    vms_per_node: u64,
    rules: bool,
    policy: Policy,
}

fn policy(classes: Vec<FailureClass>, strategy: Strategy) -> Policy {
    let mut policy = Policy::default();
    policy.tolerate = classes;
    policy.strategy = strategy;
    policy
}

fn mixed() -> FailureClass {
    let mut class = FailureClass::nodes(1);
    class.fail.push(("rack".into(), 1));
    class
}

/// Nodes in racks, with VMs on them, a sixth of them off; a few with rules, labels and lists of nodes.
fn build(pool: &Pool, choices: &mut Choices<'_>) -> Cluster {
    let kinds = ResourceKinds::new([("cpu", "MHz"), ("memory", "MiB")]).unwrap();
    let mut cluster = Cluster::new(kinds, ["rack"]).unwrap();
    let mut nodes = Vec::new();
    for at in 0..pool.nodes {
        let memory = choices.pick(&[64, 64, 64, 96, 128]);
        let mut node = Node::named(format!("n{at:05}")).capacity([memory * 10, memory]);
        node = node.domain("rack", format!("r{}", at * 8 / pool.nodes.max(8)));
        if choices.chance(1, 2) {
            node = node.label("san");
        }
        nodes.push((cluster.add_node(node).unwrap(), memory));
    }
    for at in 0..pool.nodes * pool.vms_per_node {
        let (node, memory) = nodes[choices.index(nodes.len())];
        let vm = new_vm(choices, format!("vm-{at}"), &nodes.iter().map(|(node, _)| *node).collect::<Vec<_>>());
        let size = vm.demand.clone().unwrap();
        let used = cluster.node(node).unwrap().used().to_vec();
        // A third stays free.
        let fits = used[0] + size[0] < memory * 10 * 2 / 3 && used[1] + size[1] < memory * 2 / 3;
        let id = cluster.add_vm(vm).unwrap();
        if fits && choices.chance(5, 6) {
            cluster.start_vm(id, Some(node)).unwrap();
        }
    }
    if pool.rules {
        add_rules(&mut cluster, choices);
    }
    cluster
}

fn new_vm(choices: &mut Choices<'_>, name: String, nodes: &[NodeId]) -> Vm {
    let memory = choices.pick(&[1, 2, 2, 3, 4, 4, 8]);
    let mut vm = Vm::named(name).demand([memory * choices.between(5, 14), memory]);
    if choices.chance(1, 8) {
        vm.restart_demand = Some([memory * 8, memory + 1].into());
    }
    if choices.chance(1, 6) {
        vm.restart = RestartClass::BestEffort;
    }
    if choices.chance(1, 10) {
        vm.requires = vec!["san".into()];
    }
    if choices.chance(1, 40) {
        vm.allowed_nodes = Some(choices.some(nodes, 1, 2));
    }
    vm.power = Some(lifeboat::Power::Off);
    vm
}

fn add_rules(cluster: &mut Cluster, choices: &mut Choices<'_>) {
    let vms: Vec<VmId> = cluster.vms().map(lifeboat::VmRef::id).collect();
    let pick = |choices: &mut Choices<'_>, most: u64| -> Vec<VmId> {
        (0..choices.between(2, most)).map(|_| vms[choices.index(vms.len())]).collect()
    };
    let apart = |level: &str| RuleKind::Separate { level: level.into(), max_per_domain: 1 };
    let members = pick(choices, 4);
    cluster.add_rule(Rule::new("apart", apart("node")).vms(members)).unwrap();
    let members = pick(choices, 3);
    let mut relaxed = Rule::new("relaxed apart", apart("node")).vms(members);
    relaxed.strength = Strength::Relaxed;
    cluster.add_rule(relaxed).unwrap();
    let members = pick(choices, 6);
    let mut preferred = Rule::new("preferred apart", apart("rack")).vms(members);
    preferred.strength = Strength::Preferred { weight: 3 };
    cluster.add_rule(preferred).unwrap();
    for (name, strength) in [("confined", Strength::Required), ("rather confined", Strength::Relaxed)] {
        let members = pick(choices, 5);
        let place = Place { labels: vec!["san".into()], ..Place::default() };
        let mut rule = Rule::new(name, RuleKind::Confine(place)).vms(members);
        rule.strength = strength;
        cluster.add_rule(rule).unwrap();
    }
}

/// A request or fact, nearly always about one VM.
fn change(choices: &mut Choices<'_>, cluster: &Cluster, step: u64, nodes_change: bool) -> Vec<Change> {
    let nodes: Vec<NodeId> = cluster.nodes().map(lifeboat::NodeRef::id).collect();
    let vms: Vec<VmId> = cluster.vms().map(lifeboat::VmRef::id).collect();
    let one = |choices: &mut Choices<'_>| -> Change {
        let node = choices.pick(&nodes);
        let open = choices.chance(1, 2).then_some(node);
        // A few tries to find a VM in the right state, so that most requests make sense.
        let mut find = |wanted: &dyn Fn(lifeboat::VmRef<'_>) -> bool| {
            let mut found = choices.pick(&vms);
            for _ in 0..20 {
                if wanted(cluster.vm(found).unwrap()) {
                    break;
                }
                found = vms[choices.index(vms.len())];
            }
            found
        };
        let off = find(&|vm| !vm.is_on());
        let on = find(&|vm| vm.is_on() && vm.migrating_to().is_none());
        let moving = find(&|vm| vm.migrating_to().is_some());
        match choices.weighted(&[(0, 30), (1, 20), (2, 6), (3, 6), (4, 10), (5, 8), (6, 6), (7, 4)]) {
            0 => Change::Start { vm: off, node: open },
            1 => Change::Stop { vm: on },
            2 => {
                let mut vm = new_vm(choices, format!("new-{step}"), &nodes);
                vm.power = Some(lifeboat::Power::On);
                vm.node = open;
                Change::AddVm(Box::new(vm))
            }
            3 => Change::RemoveVm { vm: choices.pick(&vms) },
            4 => {
                let memory = choices.between(1, 8);
                Change::Resize { vm: on, demand: [memory * choices.between(5, 14), memory].into() }
            }
            5 => Change::Migrate { vm: on, to: open },
            6 => Change::MigrateDone { vm: moving },
            _ => Change::MigrateAborted { vm: moving },
        }
    };
    if nodes_change && choices.chance(1, 60) {
        let state = choices.pick(&[NodeState::Online, NodeState::Online, NodeState::Cordoned, NodeState::Maintenance]);
        return vec![Change::node_state(choices.pick(&nodes), state)];
    }
    let count = if choices.chance(1, 12) { choices.between(2, 4) } else { 1 };
    (0..count).map(|_| one(choices)).collect()
}

/// The nodes that an observed start or migration must name.
fn settle_open(cluster: &Cluster, changes: &mut [Change], choices: &mut Choices<'_>) {
    let nodes: Vec<NodeId> = cluster.nodes().map(lifeboat::NodeRef::id).collect();
    for change in changes {
        match change {
            Change::Migrate { to: to @ None, .. } | Change::Start { node: to @ None, .. } => {
                *to = Some(choices.pick(&nodes));
            }
            Change::AddVm(vm) if vm.node.is_none() => vm.node = Some(choices.pick(&nodes)),
            _ => {}
        }
    }
}

fn answers(decision: &Decision) -> Vec<(&'static str, Option<usize>)> {
    let of = |item: &Item| match item {
        Item::Tolerate(class) => class.held.as_ref().map(|_| class.lowered),
        _ => None,
    };
    decision.after().iter().map(|state| (state.state(), of(&state.item))).collect()
}

/// What the present state is worth by a verdict made anew, and whether the guard's certificates are good.
fn check_state(guard: &mut Guard) {
    guard.cluster().check_invariants().unwrap();
    let (cluster, policy) = (guard.cluster().clone(), guard.policy().clone());
    let fresh = verify(&cluster, &policy).unwrap();
    let items = guard.items().unwrap().to_vec();
    for (class, item) in fresh.classes().iter().zip(&items) {
        let Item::Tolerate(state) = &item.item else { continue };
        // A ledger may hold on to a yes that a fresh verdict does not find any more.
        let same = state.answer == class.rest() || (state.answer == Answer::Holds && class.rest() == Answer::Undecided);
        assert!(same, "{:?} {:?}", state.answer, class.rest());
        assert_eq!(state.uncoverable, class.uncoverable());
    }
    for class in &policy.tolerate {
        if let Some(certificate) = guard.certificate(class).unwrap() {
            if let Err(faults) = check_certificate(&cluster, &policy, &certificate) {
                panic!("{faults:?}");
            }
        }
    }
}

/// Requests and facts with ledgers and without, side by side: the same decisions, the same states, good certificates.
fn churn(pool: &Pool, seed: u64, steps: u64, every: u64, counts: &mut BTreeMap<&'static str, u64>) {
    let mut choices = Choices::from_seed(seed);
    let cluster = build(pool, &mut choices);
    let mut quick = Guard::new(cluster.clone(), pool.policy.clone());
    let mut slow = Guard::new(cluster, pool.policy.clone()).without_ledger();
    let mut count = |what: &'static str| *counts.entry(what).or_default() += 1;
    for step in 0..steps {
        let mut changes = change(&mut choices, quick.cluster(), step, true);
        let what = format!("seed {seed}, step {step}, {changes:?}");
        if choices.chance(1, 10) {
            settle_open(quick.cluster(), &mut changes, &mut choices);
            match (quick.observe(&changes), slow.observe(&changes)) {
                (Ok(left), Ok(right)) => {
                    count("observed");
                    assert_eq!(answers(&left), answers(&right), "{what}");
                    assert_eq!(left.placed(), right.placed(), "{what}");
                }
                (left, right) => {
                    count("inconsistent");
                    assert_eq!(left.err(), right.err(), "{what}");
                }
            }
        } else {
            let (before, revision) = (quick.cluster().fingerprint(), quick.cluster().revision());
            let (left, right) = (quick.admit(&changes).unwrap(), slow.admit(&changes).unwrap());
            assert_eq!((quick.cluster().fingerprint(), quick.cluster().revision()), (before, revision), "{what}");
            quick.check_ledgers().unwrap_or_else(|fault| panic!("{fault}: {what}"));
            assert_eq!(answers(&left), answers(&right), "{what}");
            assert_eq!(left.outcome(), right.outcome(), "{what}");
            assert_eq!((left.placed(), left.changes()), (right.placed(), right.changes()), "{what}");
            let kinds =
                |decision: &Decision| decision.violations().iter().map(|one| one.kind.clone()).collect::<Vec<_>>();
            assert_eq!(kinds(&left), kinds(&right), "{what}");
            if left.is_admitted() {
                count("admitted");
                quick.apply(left).unwrap();
                slow.apply(right).unwrap();
            } else {
                count("refused");
            }
        }
        assert_eq!(quick.cluster().fingerprint(), slow.cluster().fingerprint(), "{what}");
        let ledgers = quick.check_ledgers().unwrap_or_else(|fault| panic!("{fault}: {what}"));
        count(if ledgers == pool.policy.tolerate.len() { "with ledgers" } else { "without" });
        if step % every == 0 {
            check_state(&mut quick);
        }
    }
    let (by_ledger, slowly) = quick.judged();
    *counts.entry("by ledger").or_default() += by_ledger;
    *counts.entry("slowly").or_default() += slowly;
    assert_eq!(slow.judged().0, 0);
}

fn policies() -> Vec<Policy> {
    let mut important = FailureClass::nodes(2);
    important.min_priority = Some(lifeboat::Priority::MEDIUM);
    let mut warned = FailureClass::units("rack", 1);
    warned.mode = Some(Mode::Warn);
    let mut lenient = policy(vec![FailureClass::nodes(1), warned], Strategy::Spread);
    lenient.uncoverable = Uncoverable::Warn;
    vec![
        policy(vec![FailureClass::nodes(1)], Strategy::Spread),
        policy(vec![FailureClass::nodes(2)], Strategy::Pack),
        policy(vec![important, FailureClass::nodes(1)], Strategy::Spread),
        policy(vec![mixed()], Strategy::Pack),
        lenient,
        policy(vec![], Strategy::Spread),
    ]
}

#[test]
fn decisions_are_the_same_with_ledgers_and_without_on_12_nodes() {
    let mut counts = BTreeMap::new();
    for (at, policy) in policies().into_iter().enumerate() {
        for rules in [false, true] {
            for seed in 0..3 {
                let pool = Pool { nodes: 12, vms_per_node: 6, rules, policy: policy.clone() };
                churn(&pool, seed + 10 * at as u64, 120, 10, &mut counts);
            }
        }
    }
    println!("{counts:?}");
    assert!(counts["by ledger"] > 1000 && counts["refused"] > 200 && counts["observed"] > 100, "{counts:?}");
}

#[test]
fn decisions_are_the_same_with_ledgers_and_without_on_64_nodes() {
    let mut counts = BTreeMap::new();
    for (at, policy) in policies().into_iter().enumerate() {
        let pool = Pool { nodes: 64, vms_per_node: 6, rules: at % 2 == 0, policy };
        churn(&pool, at as u64, 120, 60, &mut counts);
    }
    println!("{counts:?}");
    assert!(counts["by ledger"] > 300, "{counts:?}");
}
