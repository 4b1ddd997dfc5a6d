//! The guard's ledgers where VMs have few places: deals saw to them, rules were painted anew, or they have places of their own.
//!
//! Requests and facts, and after each the guard's state against a verdict made anew; every certificate kept up is checked by
//! independent code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "tests"
)]

use lifeboat::policy::FailureClass;
use lifeboat::{
    Answer, Change, Cluster, Decision, Guard, Item, ItemState, Newcomer, Node, NodeId, NodeRef, NodeState, Policy,
    Power, ResourceKinds, RestartClass, Rule, RuleKind, Vm, VmId, VmRef, headroom, verify,
};
use lifeboat_testkit::Choices;
use lifeboat_testkit::guarded::{compared, node_changes};
use lifeboat_testkit::verdict_cases::{VerdictCase, roomy_from_seed, ruled_from_seed, scarce_from_seed};
use lifeboat_testkit::verdict_nasty::nasty;
use std::collections::BTreeMap;
use std::ops::Range;

type Counts = BTreeMap<&'static str, u64>;

/// One operation on a VM, most of them such as can be carried out.
fn change(choices: &mut Choices<'_>, cluster: &Cluster, step: u64) -> Change {
    let nodes: Vec<NodeId> = cluster.nodes().map(NodeRef::id).collect();
    let of = |wanted: &dyn Fn(&VmRef<'_>) -> bool| -> Vec<VmId> {
        let vms = cluster.vms().filter(wanted).map(VmRef::id).collect::<Vec<_>>();
        if vms.is_empty() { cluster.vms().map(VmRef::id).collect() } else { vms }
    };
    let node = choices.pick(&nodes);
    let open = choices.chance(1, 2).then_some(node);
    let on = choices.pick(&of(&|vm| vm.is_on() && vm.migrating_to().is_none()));
    let demand: Vec<u64> = (0..cluster.kinds().len()).map(|_| choices.between(1, 6)).collect();
    match choices.weighted(&[(0, 6), (1, 6), (2, 3), (3, 2), (4, 3), (5, 3), (6, 3)]) {
        0 => Change::Start { vm: choices.pick(&of(&|vm| !vm.is_on())), node: open },
        1 => Change::Stop { vm: on },
        2 => {
            let mut vm = Vm::named(format!("new-{step}")).demand(demand);
            vm.power = Some(Power::On);
            vm.node = open;
            if choices.chance(1, 4) {
                // Rules of the generator speak of it.
                vm.groups.push("g".into());
            }
            if choices.chance(1, 6) {
                vm = vm.restart(RestartClass::BestEffort);
            }
            if choices.chance(1, 3) {
                vm.restart_demand = Some(vec![choices.between(1, 6); cluster.kinds().len()].into());
            }
            Change::AddVm(Box::new(vm))
        }
        3 => Change::RemoveVm { vm: on },
        4 if choices.chance(1, 4) => {
            Change::Resize { vm: on, demand: vec![choices.between(6, 20); demand.len()].into() }
        }
        4 => Change::Resize { vm: on, demand: demand.into() },
        5 => Change::Migrate { vm: on, to: open },
        _ => Change::MigrateDone { vm: choices.pick(&of(&|vm| vm.migrating_to().is_some())) },
    }
}

/// Says whether the guard's yes is one by a verdict made anew, and whether its certificates are good.
fn check(guard: &mut Guard, what: &str, counts: &mut Counts) {
    guard.check_ledgers().unwrap_or_else(|fault| panic!("{fault}: {what}"));
    for (certificate, faults) in compared(guard, what) {
        assert!(faults.is_empty(), "{faults:?}: {what}");
        *counts.entry(if certificate.backups() > 0 { "own places" } else { "without" }).or_default() += 1;
    }
}

fn has_own_places(guard: &mut Guard) -> bool {
    let classes = guard.policy().tolerate.clone();
    classes.iter().any(|class| guard.certificate(class).unwrap().is_some_and(|one| one.backups() > 0))
}

/// What comes next, with so many chances of so many about nodes.
fn drawn(choices: &mut Choices<'_>, cluster: &Cluster, step: u64, usual: usize, (wins, of): (u64, u64)) -> Vec<Change> {
    let mut changes = Vec::new();
    if choices.chance(wins, of) {
        changes = node_changes(choices, cluster, step, usual);
    }
    if changes.is_empty() {
        changes.push(change(choices, cluster, step));
    }
    changes
}

fn churn(case: &VerdictCase, seed: u64, steps: u64, counts: &mut Counts) {
    let mut choices = Choices::from_seed(seed);
    let mut guard = Guard::new(case.cluster.clone(), case.policy.clone());
    let usual = case.cluster.nodes().count();
    for step in 0..steps {
        let changes = drawn(&mut choices, guard.cluster(), step, usual, (1, 5));
        let what = format!("seed {seed}, step {step}, {changes:?}");
        let own = has_own_places(&mut guard);
        let by_ledger = guard.judged().0;
        let decision = guard.admit(&changes).unwrap();
        if guard.judged().0 > by_ledger {
            *counts.entry(if own { "by a ledger with own places" } else { "by a ledger" }).or_default() += 1;
        }
        if decision.is_admitted() {
            guard.apply(decision).unwrap();
        } else if choices.chance(1, 4) {
            // It happens all the same.
            let _ = guard.observe(&changes);
        }
        check(&mut guard, &what, counts);
    }
}

/// The items, less what is open of them or of others: how far down counts are that hold for uncoverable VMs, too.
fn known(states: &[ItemState], others: &[ItemState]) -> Vec<Item> {
    let is_open = |state: &ItemState| matches!(&state.item, Item::Tolerate(class) if class.lowered_for_all.is_none());
    let mut items: Vec<Item> = states.iter().map(|state| state.item.clone()).collect();
    for (item, other) in items.iter_mut().zip(others) {
        if let Item::Tolerate(class) = item {
            class.lowered_for_all = class.lowered_for_all.filter(|_| !is_open(other));
        }
    }
    items
}

/// With ledgers and without, side by side: the same decisions, as long as verdicts decide.
fn side_by_side(case: &VerdictCase, seed: u64, steps: u64, counts: &mut Counts) {
    let mut choices = Choices::from_seed(seed);
    let mut guard = Guard::new(case.cluster.clone(), case.policy.clone());
    let usual = case.cluster.nodes().count();
    for step in 0..steps {
        if guard.cluster().vm_count() == 0 {
            return;
        }
        let mut changes = drawn(&mut choices, guard.cluster(), step, usual, (1, 2));
        if choices.chance(1, 6) {
            changes.push(change(&mut choices, guard.cluster(), step));
        }
        let what = format!("seed {seed}, step {step}, {changes:?}");
        let mut slow = Guard::new(guard.cluster().clone(), guard.policy().clone()).without_ledger();
        let (before, by_ledger) = (guard.cluster().fingerprint(), guard.judged().0);
        let states = guard.items().unwrap().to_vec();
        let (left, right) = (guard.admit(&changes).unwrap(), slow.admit(&changes).unwrap());
        assert_eq!(guard.cluster().fingerprint(), before, "{what}");
        guard.cluster().check_invariants().unwrap_or_else(|fault| panic!("{fault:?}: {what}"));
        // Where the guard knows more than a verdict made anew, more is to be kept.
        if guard.judged().0 > by_ledger
            && known(&states, slow.items().unwrap()) == known(slow.items().unwrap(), &states)
        {
            let is_open = |state: &ItemState| state.state() == "undecided";
            if right.after().iter().any(is_open) {
                *counts.entry("undecided").or_default() += 1;
            } else {
                let answers = |of: &Decision, other: &Decision| {
                    let kinds: Vec<_> = of.violations().iter().map(|one| one.kind.clone()).collect();
                    // A verdict made anew may prove less: that losses are survived at once.
                    let after = known(of.after(), other.after());
                    (of.outcome(), of.placed().to_vec(), of.changes().to_vec(), kinds, after)
                };
                assert_eq!(answers(&left, &right), answers(&right, &left), "{what}");
                *counts.entry(if changes.len() > 1 { "several" } else { "one" }).or_default() += 1;
            }
        }
        if left.is_admitted() {
            guard.apply(left).unwrap();
        } else if choices.chance(1, 4) {
            let is_known = known(&states, slow.items().unwrap()) == known(slow.items().unwrap(), &states);
            let (told, anew) = (guard.observe(&changes), slow.observe(&changes));
            if let (true, Ok(told), Ok(anew)) = (is_known, told, anew) {
                let lost = |of: &Decision| {
                    let lost = of.violations().iter().filter(|one| !one.broken_before);
                    lost.map(|one| one.kind.clone()).collect::<Vec<_>>()
                };
                // Where states come to the same, so does what is worse.
                if known(told.after(), anew.after()) == known(anew.after(), told.after()) {
                    assert_eq!(lost(&told), lost(&anew), "{what}");
                    *counts.entry("facts").or_default() += 1;
                }
            }
        }
        check(&mut guard, &what, counts);
    }
}

/// Rules of every kind on few VMs, levels that cross, VMs that wait, move or are best effort; nodes that come and go.
fn many_side_by_side(nasty_seeds: Range<u64>, scarce_seeds: Range<u64>, steps: u64) -> Counts {
    let mut counts = Counts::new();
    for seed in nasty_seeds {
        side_by_side(&nasty(seed), seed, steps, &mut counts);
    }
    for seed in scarce_seeds {
        side_by_side(&scarce_from_seed(seed), seed, steps, &mut counts);
    }
    println!("{counts:?}");
    counts
}

#[test]
fn ledgers_decide_as_verdicts_do_in_nasty_clusters() {
    let counts = many_side_by_side(0..30, 0..100, 12);
    assert!(counts["one"] > 200 && counts["several"] > 20 && counts["facts"] > 10, "{counts:?}");
}

fn churn_many(cases: fn(u64) -> VerdictCase, seeds: Range<u64>, steps: u64) -> Counts {
    let mut counts = Counts::new();
    for seed in seeds {
        churn(&cases(seed), seed, steps, &mut counts);
    }
    println!("{counts:?}");
    counts
}

#[test]
fn ledgers_keep_few_places() {
    let counts = churn_many(scarce_from_seed, 0..150, 12);
    assert!(counts["by a ledger with own places"] > 50, "{counts:?}");
}

#[test]
fn ledgers_keep_colours() {
    let counts = churn_many(ruled_from_seed, 0..60, 12);
    let more = churn_many(roomy_from_seed, 0..60, 12);
    assert!(counts["by a ledger"] + more["by a ledger"] > 40, "{counts:?} {more:?}");
}

/// A tied VM keeps its place in the books when what is said to have happened to it cannot have.
#[test]
fn what_very_many_cases_found_stays_mended() {
    churn(&scarce_from_seed(4_807), 4_807, 16, &mut Counts::new());
}

/// Which nodes take VMs is part of what a `spread` rule with a `max_skew` says.
#[test]
fn a_node_that_comes_may_break_plans_of_a_skewed_spread() {
    side_by_side(&nasty(1_091), 1_091, 16, &mut Counts::new());
}

/// Nodes in racks, the same in sites, each with so much memory.
fn in_racks(nodes: u64, classes: Vec<FailureClass>) -> (Cluster, Policy, Vec<NodeId>) {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), ["site", "rack"]).unwrap();
    let add = |at: u64| {
        let half = at / 2;
        let node = Node::named(format!("n{at:02}")).capacity([20]);
        cluster.add_node(node.domain("site", format!("s{half}")).domain("rack", format!("r{half}"))).unwrap()
    };
    let ids = (0..nodes).map(add).collect();
    let mut policy = Policy::default();
    policy.tolerate = classes;
    (cluster, policy, ids)
}

/// A rule that plans keep as a whole does so while units take its domains whole.
#[test]
fn a_node_that_makes_levels_cross_ends_what_rests_on_them() {
    let (mut cluster, policy, nodes) = in_racks(14, vec![FailureClass::units("site", 2)]);
    let vms: Vec<VmId> =
        (0..2).map(|at| cluster.add_vm(Vm::named(format!("v{at}")).demand([1]).on(nodes[at])).unwrap()).collect();
    cluster.add_rule(Rule::new("near", RuleKind::Together { level: "rack".into() }).vms(vms)).unwrap();
    let mut guard = Guard::new(cluster, policy);
    let mut node = Node::named("x").capacity([20]).domain("site", "s6").domain("rack", "r0");
    node.state = NodeState::Cordoned;
    guard.observe(&[Change::AddNode(Box::new(node))]).unwrap();
    check(&mut guard, "a node between two sites", &mut Counts::new());
}

/// Places of VMs' own are enough while their home's units lie within each other.
#[test]
fn a_node_that_makes_a_homes_units_cross_ends_places_of_their_own() {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), ["rack", "feed"]).unwrap();
    let in_rack = |name: &str, rack: &str, memory: u64| Node::named(name).capacity([memory]).domain("rack", rack);
    let home = cluster.add_node(in_rack("home", "home", 40).domain("feed", "feed")).unwrap();
    cluster.add_node(in_rack("beside", "home", 4)).unwrap();
    for at in 0..4 {
        cluster.add_node(in_rack(&format!("place{at}"), &format!("place{at}"), 11).label("z")).unwrap();
    }
    for at in 0..8 {
        let other = cluster.add_node(in_rack(&format!("other{at}"), &format!("other{at}"), 4)).unwrap();
        if at < 4 {
            cluster.add_vm(Vm::named(format!("small{at}")).demand([1]).on(other)).unwrap();
        }
    }
    for at in 0..3 {
        let mut vm = Vm::named(format!("limited{at}")).demand([6]).on(home);
        vm.requires = vec!["z".into()];
        cluster.add_vm(vm).unwrap();
    }
    let mut class = FailureClass::units("rack", 1);
    class.fail.push(("feed".into(), 1));
    let mut policy = Policy::default();
    policy.tolerate = vec![class];
    let mut guard = Guard::new(cluster, policy);
    assert!(has_own_places(&mut guard));
    let mut node = in_rack("crossing", "crossing", 4).domain("feed", "feed");
    node.state = NodeState::Cordoned;
    guard.observe(&[Change::AddNode(Box::new(node))]).unwrap();
    check(&mut guard, "a node in the home's feed and another rack", &mut Counts::new());
}

/// An unreachable node is not found dead by a request while it may run VMs, whether a class is looked at or not.
#[test]
fn an_unreachable_node_may_run_vms() {
    let (mut cluster, policy, nodes) = in_racks(2, Vec::new());
    cluster.add_vm(Vm::named("v").demand([1]).on(nodes[0])).unwrap();
    cluster.set_node_state(nodes[0], NodeState::Unreachable).unwrap();
    let mut guard = Guard::new(cluster, policy);
    for change in [Change::node_state(nodes[0], NodeState::Failed), Change::RemoveNode { node: nodes[0] }] {
        let decision = guard.admit(std::slice::from_ref(&change)).unwrap();
        assert!(!decision.is_admitted(), "{change:?}");
    }
}

/// What is said of a VM that nothing can take is looked at anew when it matters, after a ledger has followed others.
#[test]
fn a_vm_that_has_become_coverable_is_promised_what_it_had() {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), [""; 0]).unwrap();
    let one = cluster.add_node(Node::named("one").capacity([10])).unwrap();
    let two = cluster.add_node(Node::named("two").capacity([10])).unwrap();
    cluster.set_node_state(two, NodeState::Cordoned).unwrap();
    let mut waits = Vm::named("waits").demand([6]);
    waits.power = Some(Power::On);
    cluster.add_vm(waits).unwrap();
    let small = |name: &str| Vm::named(name).demand([6]).restart(RestartClass::BestEffort);
    let runs = cluster.add_vm(small("runs").on(one)).unwrap();
    let is_off = cluster.add_vm(small("is off")).unwrap();
    let mut guard = Guard::new(cluster, Policy::default());
    guard.items().unwrap();
    let stopped = guard.admit(&[Change::Stop { vm: runs }]).unwrap();
    assert_eq!(guard.judged(), (1, 0), "by the ledger");
    guard.apply(stopped).unwrap();
    // It has a place now while nothing fails, and would have none again, although another node could take it.
    let start = |vm, node| Change::Start { vm, node: Some(node) };
    let changes = [Change::node_state(two, NodeState::Online), start(runs, one), start(is_off, two)];
    let mut anew = Guard::new(guard.cluster().clone(), guard.policy().clone()).without_ledger();
    for guard in [&mut guard, &mut anew] {
        let decision = guard.admit(&changes).unwrap();
        assert!(!decision.is_admitted(), "{:?}", decision.after());
        let counts = |states: &[ItemState]| match &states[0].item {
            Item::Tolerate(class) => (class.lowered, class.lowered_for_all),
            _ => panic!("a class"),
        };
        assert_eq!((counts(decision.before()), counts(decision.after())), ((0, Some(1)), (2, Some(2))));
    }
}

/// A fact about a VM that nothing can take is compared with what held before it.
#[test]
fn what_a_fact_makes_worse_is_said_where_others_came_and_went() {
    let kinds = ResourceKinds::new([("memory", "MiB"), ("cpu", "")]).unwrap();
    let mut cluster = Cluster::new(kinds, [""; 0]).unwrap();
    let one = cluster.add_node(Node::named("one").capacity([10, 10])).unwrap();
    let two = cluster.add_node(Node::named("two").capacity([5, 10])).unwrap();
    let mut waits = Vm::named("waits").demand([6, 1]);
    waits.power = Some(Power::On);
    let waits = cluster.add_vm(waits).unwrap();
    let mut add = |name: &str, demand: [u64; 2], node| {
        cluster.add_vm(Vm::named(name).demand(demand).restart(RestartClass::BestEffort).on(node)).unwrap()
    };
    add("busy-1", [1, 8], one);
    add("busy-2", [1, 5], two);
    let tiny = add("tiny", [1, 1], two);
    let mut guard = Guard::new(cluster, Policy::default());
    guard.observe(&[Change::Stop { vm: tiny }]).unwrap();
    let mut anew = Guard::new(guard.cluster().clone(), guard.policy().clone()).without_ledger();
    // Another node could take it now, but what stands there leaves it no room.
    let changes = [Change::Resize { vm: waits, demand: [3, 6].into() }];
    for guard in [&mut guard, &mut anew] {
        let told = guard.observe(&changes).unwrap();
        let worse: Vec<bool> = told.violations().iter().map(|one| !one.broken_before).collect();
        assert_eq!(worse, [true], "{:?}", told.violations());
    }
}

/// Copies are counted beside what VMs with places of their own keep.
#[test]
fn headroom_leaves_own_places_alone() {
    let (mut own, mut copies) = (0, 0);
    for seed in 0..150 {
        let mut case = scarce_from_seed(seed);
        let width = case.cluster.kinds().len();
        // So many nodes that it is not a verdict that counts.
        for number in 0..10 {
            let node = Node::named(format!("small{number}")).domain("rack", "small").domain("site", "small");
            case.cluster.add_node(node.capacity(vec![3; width])).unwrap();
        }
        let verdict = verify(&case.cluster, &case.policy).unwrap();
        let Some(certificate) = verdict.certificates().next().filter(|one| one.backups() > 0) else { continue };
        assert!(certificate.banks() > 0);
        own += 1;
        let shape = vec![1 + seed % 3; width];
        let found = headroom(&case.cluster, &case.policy, &Newcomer::Shape(shape.clone().into())).unwrap();
        copies += found.placements.len();
        for (at, node) in found.placements.iter().enumerate() {
            case.cluster.add_vm(Vm::named(format!("copy {at}")).demand(shape.clone()).on(*node)).unwrap();
        }
        let after = verify(&case.cluster, &case.policy).unwrap();
        assert_ne!(after.classes()[0].rest(), Answer::Fails, "seed {seed}: {found:?}");
    }
    println!("{own} with places of their own, {copies} copies");
    assert!(own > 10 && copies > 50, "{own}, {copies}");
}

/// `cargo test --release --test ledger_few -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn ledgers_keep_very_many_few_places() {
    churn_many(scarce_from_seed, 1_000..9_000, 16);
    churn_many(ruled_from_seed, 1_000..1_500, 16);
}

/// `cargo test --release --test ledger_few -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn ledgers_decide_as_verdicts_do_in_very_many_nasty_clusters() {
    many_side_by_side(1_000..1_500, 1_000..4_000, 16);
}
