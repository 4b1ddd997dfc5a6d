//! One case per fault, on clusters small enough to check by hand.

use super::*;
use crate::cluster::{Node, NodeState, Place, Power, Rule, RuleKind, StartEdge, Strength, Vm};
use crate::policy::TierGate;
use crate::resources::{ResourceKind, ResourceKinds};
use crate::restart::plan::{ClassCount, Eviction, Placement, Unplaced};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use std::format;

type Done = Result<(), Box<dyn std::error::Error>>;

/// Nodes `a1`, `a2` in rack a, `b1`, `b2` in rack b, `c` in none; 10 cpu and 100 memory each.
fn racks() -> Result<Cluster, Box<dyn std::error::Error>> {
    let mut cluster = Cluster::new(ResourceKinds::new([("cpu", "cores"), ("memory", "GiB")])?, ["rack"])?;
    for (name, rack) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b"), ("c", "")] {
        let mut node = Node::named(name).capacity([10, 100]);
        if !rack.is_empty() {
            node = node.domain("rack", rack);
        }
        cluster.add_node(node)?;
    }
    Ok(cluster)
}

fn node(cluster: &Cluster, name: &str) -> NodeId {
    cluster.node_id(name).expect("a node of the test")
}

fn vm(cluster: &Cluster, name: &str) -> VmId {
    cluster.vm_id(name).expect("a VM of the test")
}

fn waiting_vm(name: &str) -> Vm {
    Vm::named(name).demand([1, 10]).powered_on()
}

/// The codes of what is wrong with `vm@node` placements and evictions, each once.
fn codes(cluster: &Cluster, failure: &Failure, placements: &[&str], evictions: &[&str]) -> Vec<&'static str> {
    let parse = |items: &[&str]| {
        let pair = |item: &&str| item.split_once('@').map(|(name, at)| (vm(cluster, name), node(cluster, at)));
        items.iter().filter_map(pair).collect::<Vec<_>>()
    };
    let mut codes = codes_of(check_placements(cluster, failure, &parse(placements), &parse(evictions)));
    codes.dedup();
    codes
}

fn codes_of(result: Result<(), Vec<PlanFault>>) -> Vec<&'static str> {
    let faults = result.err().unwrap_or_default();
    for fault in &faults {
        let message = format!("{fault}");
        assert!(!message.is_empty() && !message.ends_with('.'), "{message}");
    }
    faults.iter().map(PlanFault::code).collect()
}

#[test]
fn unknown_ids() -> Done {
    let mut cluster = racks()?;
    let gone_vm = cluster.add_vm(waiting_vm("gone"))?;
    let stays = cluster.add_vm(waiting_vm("stays"))?;
    cluster.remove_vm(gone_vm)?;
    let gone = node(&cluster, "c");
    cluster.remove_node(gone)?;
    let a1 = node(&cluster, "a1");
    assert_eq!(codes_of(check_placements(&cluster, &Failure::none(), &[(gone_vm, a1)], &[])), ["unknown_vm"]);
    assert_eq!(codes_of(check_placements(&cluster, &Failure::none(), &[(stays, gone)], &[])), ["unknown_node"]);
    assert_eq!(codes_of(check_placements(&cluster, &Failure::of([gone]), &[(stays, a1)], &[])), ["unknown_node"]);
    assert_eq!(codes_of(check_placements(&cluster, &Failure::none(), &[], &[(gone_vm, a1)])), ["unknown_vm"]);
    Ok(())
}

#[test]
fn who_may_be_placed() -> Done {
    let mut cluster = racks()?;
    let [a1, b1, b2] = ["a1", "b1", "b2"].map(|name| node(&cluster, name));
    cluster.add_vm(waiting_vm("homeless"))?;
    cluster.add_vm(Vm::named("runs").demand([1, 10]).on(a1))?;
    cluster.add_vm(Vm { power: Some(Power::Off), ..Vm::named("off").demand([1, 10]) })?;
    cluster.add_vm(waiting_vm("never").restart(RestartClass::Never))?;
    cluster.add_vm(Vm::named("maybe").demand([1, 10]).on(b1))?;
    cluster.add_vm(Vm::named("worked-on").demand([1, 10]).on(b2))?;
    cluster.set_node_state(b1, NodeState::Unreachable)?;
    cluster.set_node_state(b2, NodeState::Maintenance)?;
    let none = Failure::none();
    assert_eq!(codes(&cluster, &none, &["homeless@a1", "worked-on@a1"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &none, &["homeless@a1", "homeless@a2"], &[]), ["placed_twice"]);
    assert_eq!(codes(&cluster, &none, &["runs@a2"], &[]), ["not_displaced"]);
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["runs@a2"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &none, &["off@a2"], &[]), ["not_displaced"]);
    assert_eq!(codes(&cluster, &none, &["never@a2"], &[]), ["never_class"]);
    assert_eq!(codes(&cluster, &none, &["maybe@a2"], &[]), ["not_displaced"]);
    assert_eq!(codes(&cluster, &Failure::of([b1]), &["maybe@a2"], &[]), [""; 0]);
    Ok(())
}

#[test]
fn where_it_may_be_placed() -> Done {
    let mut cluster = racks()?;
    let [a1, a2, b1, c] = ["a1", "a2", "b1", "c"].map(|name| node(&cluster, name));
    cluster.update_node(c, Node::named("c").capacity([10, 100]).label("san"))?;
    cluster.add_vm(waiting_vm("any"))?;
    cluster.add_vm(waiting_vm("stored").requires("san"))?;
    cluster.add_vm(waiting_vm("paired").allowed_nodes([a1, a2]))?;
    cluster.set_node_state(b1, NodeState::Cordoned)?;
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["any@a1"], &[]), ["target_fails"]);
    assert_eq!(codes(&cluster, &Failure::none(), &["any@b1"], &[]), ["not_accepting"]);
    assert_eq!(codes(&cluster, &Failure::none(), &["stored@a1"], &[]), ["missing_label"]);
    assert_eq!(codes(&cluster, &Failure::none(), &["stored@c"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &Failure::none(), &["paired@c"], &[]), ["not_allowed"]);
    assert_eq!(codes(&cluster, &Failure::none(), &["paired@a2"], &[]), [""; 0]);
    Ok(())
}

#[test]
fn capacity_counts_residents_by_demand_and_placed_by_restart_demand() -> Done {
    let mut kinds: Vec<ResourceKind> = vec![ResourceKind::new("cpu", "cores"), ResourceKind::new("memory", "GiB")];
    for kind in &mut kinds {
        kind.per_vm = u64::from(kind.name == "memory");
    }
    let mut cluster = Cluster::new(ResourceKinds::from_kinds(kinds)?, [""; 0])?;
    // (10 - 1) * 150 % = 13 cpu after a failure, rounded down; 100 memory.
    let made = Node::named("x").capacity([10, 100]).reserved([1, 0]).failover_overcommit(0, 150);
    let x = cluster.add_node(made)?;
    let y = cluster.add_node(Node::named("y").capacity([99, 999]))?;
    cluster.add_vm(Vm::named("resident").demand([8, 49]).restart_demand([1, 1]).on(x))?;
    cluster.add_vm(Vm::named("exact").demand([9, 99]).restart_demand([5, 49]).on(y))?;
    cluster.add_vm(waiting_vm("cpu").demand([6, 1]))?;
    cluster.add_vm(waiting_vm("memory").demand([1, 50]))?;
    cluster.add_vm(waiting_vm("nothing").demand([0, 0]))?;
    let failure = Failure::of([y]);
    assert_eq!(codes(&cluster, &failure, &["exact@x"], &[]), [""; 0], "8+5 = 13 and 49+1+49+1 = 100");
    assert_eq!(codes(&cluster, &failure, &["exact@x", "nothing@x"], &[]), ["capacity"], "one memory per VM");
    assert_eq!(codes(&cluster, &failure, &["cpu@x"], &[]), ["capacity"]);
    let faults = check_placements(&cluster, &failure, &[(vm(&cluster, "memory"), x)], &[]).expect_err("too much");
    let expected = PlanFault::Capacity { node: "x".into(), kind: "memory".into(), load: 101, allocatable: 100 };
    assert_eq!(faults.as_slice(), core::slice::from_ref(&expected));
    assert_eq!(format!("{expected}"), "\"x\" holds 101 of memory and can give 100: 1 too much");
    Ok(())
}

#[test]
fn an_over_full_node_takes_nothing_of_that_kind() -> Done {
    let mut cluster = racks()?;
    let a1 = node(&cluster, "a1");
    cluster.add_vm(Vm::named("fat").demand([1, 150]).on(a1))?;
    cluster.add_vm(waiting_vm("cpu only").demand([3, 0]))?;
    cluster.add_vm(waiting_vm("both").demand([3, 1]))?;
    assert_eq!(codes(&cluster, &Failure::none(), &["cpu only@a1"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &Failure::none(), &["both@a1"], &[]), ["capacity"]);
    Ok(())
}

#[test]
fn a_migration_holds_both_nodes_until_its_source_fails() -> Done {
    let mut cluster = racks()?;
    let [a1, a2, b1] = ["a1", "a2", "b1"].map(|name| node(&cluster, name));
    let moving = cluster.add_vm(Vm::named("moving").demand([6, 10]).on(a1))?;
    cluster.start_migration(moving, a2)?;
    cluster.add_vm(waiting_vm("new").demand([5, 10]))?;
    assert_eq!(codes(&cluster, &Failure::none(), &["new@a1"], &[]), ["capacity"]);
    assert_eq!(codes(&cluster, &Failure::none(), &["new@a2"], &[]), ["capacity"]);
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["new@a2"], &[]), [""; 0], "the claim is released");
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["new@a2", "moving@b1"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &Failure::of([a2]), &["moving@b1"], &[]), ["not_displaced"], "it stays");
    assert_eq!(codes(&cluster, &Failure::of([a1, a2]), &["moving@b1"], &[]), [""; 0]);
    // While it cannot be known whether the source runs, both claims stand.
    cluster.set_node_state(a1, NodeState::Unreachable)?;
    assert_eq!(codes(&cluster, &Failure::none(), &["new@a2"], &[]), ["capacity"]);
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["new@a2", "moving@b1"], &[]), [""; 0]);
    // Separation counts it in both domains.
    cluster.set_node_state(a1, NodeState::Online)?;
    cluster.move_vm(moving, Some(a1))?;
    cluster.start_migration(moving, b1)?;
    let separate = RuleKind::Separate { level: "rack".into(), max_per_domain: 1 };
    cluster.add_rule(Rule::new("apart", separate).vms([moving, vm(&cluster, "new")]))?;
    assert_eq!(codes(&cluster, &Failure::none(), &["new@a2"], &[]), ["separate"]);
    assert_eq!(codes(&cluster, &Failure::none(), &["new@b2"], &[]), ["separate"]);
    assert_eq!(codes(&cluster, &Failure::of([b1]), &["new@b2"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &Failure::none(), &["new@c"], &[]), [""; 0], "a node without rack is its own");
    Ok(())
}

/// Waiting VMs `w1`, `w2`, `w3`, and `s` that stays on a1, under one rule.
fn ruled(kind: impl FnOnce(&Cluster) -> RuleKind, strength: Strength) -> Result<Cluster, Box<dyn std::error::Error>> {
    let mut cluster = racks()?;
    for name in ["w1", "w2", "w3"] {
        cluster.add_vm(waiting_vm(name))?;
    }
    let a1 = node(&cluster, "a1");
    cluster.add_vm(Vm::named("s").demand([1, 10]).on(a1))?;
    let kind = kind(&cluster);
    let mut rule = Rule::new("the rule", kind.clone()).strength(strength);
    if !matches!(kind, RuleKind::SeparateSides { .. }) {
        let members = ["w1", "w2", "w3", "s"].map(|name| vm(&cluster, name));
        rule = rule.vms(members.into_iter().filter(|vm| !matches!(kind, RuleKind::Follow { leader } if leader == *vm)));
    }
    cluster.add_rule(rule)?;
    Ok(cluster)
}

#[test]
fn separate() -> Done {
    let kind = |_: &Cluster| RuleKind::Separate { level: "rack".into(), max_per_domain: 2 };
    let cluster = ruled(kind, Strength::Required)?;
    let none = Failure::none();
    assert_eq!(codes(&cluster, &none, &["w1@a1", "w2@b1", "w3@b2"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &none, &["w1@a1", "w2@a2"], &[]), ["separate"]);
    assert_eq!(codes(&cluster, &none, &["w1@c", "w2@c", "w3@c"], &[]), ["separate"]);
    assert_eq!(codes(&ruled(kind, Strength::Relaxed)?, &none, &["w1@a1", "w2@a2"], &[]), [""; 0]);
    Ok(())
}

#[test]
fn a_domain_that_receives_no_member_may_be_broken_already() -> Done {
    let mut cluster =
        ruled(|_| RuleKind::Separate { level: "node".into(), max_per_domain: 1 }, Strength::Preferred { weight: 1 })?;
    let rule = cluster.rule_id("the rule").expect("the rule of the test");
    let a1 = node(&cluster, "a1");
    cluster.move_vm(vm(&cluster, "w1"), Some(a1))?;
    let required = cluster.rule(rule)?.to_rule().strength(Strength::Required);
    cluster.update_rule(rule, required)?;
    assert_eq!(codes(&cluster, &Failure::none(), &["w2@a2"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &Failure::none(), &["w2@a1"], &[]), ["separate"]);
    Ok(())
}

#[test]
fn sides() -> Done {
    let kind = |cluster: &Cluster| {
        let sides = vec![vec![vm(cluster, "w1"), vm(cluster, "s")], vec![vm(cluster, "w2"), vm(cluster, "w3")]];
        RuleKind::SeparateSides { level: "rack".into(), sides }
    };
    let cluster = ruled(kind, Strength::Required)?;
    assert_eq!(codes(&cluster, &Failure::none(), &["w1@a2", "w2@b1", "w3@b1"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &Failure::none(), &["w2@a2"], &[]), ["sides"]);
    assert_eq!(codes(&cluster, &Failure::none(), &["w1@c", "w2@c"], &[]), ["sides"]);
    Ok(())
}

#[test]
fn together() -> Done {
    let cluster = ruled(|_| RuleKind::Together { level: "rack".into() }, Strength::Required)?;
    let a1 = node(&cluster, "a1");
    let none = Failure::none();
    assert_eq!(codes(&cluster, &none, &["w1@a2", "w2@a1"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &none, &["w1@b1", "w2@b2"], &[]), ["together_apart"]);
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["w1@b1", "w2@b2", "s@b1"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["w1@b1", "w2@c"], &[]), ["together_split"]);
    Ok(())
}

#[test]
fn confine_and_exclude() -> Done {
    let place = |cluster: &Cluster| Place {
        nodes: vec![node(cluster, "c")],
        domains: vec![("rack".into(), "a".into())],
        labels: vec!["fast".into()],
    };
    let mut confined = ruled(|cluster| RuleKind::Confine(place(cluster)), Strength::Required)?;
    let mut excluded = ruled(|cluster| RuleKind::Exclude(place(cluster)), Strength::Required)?;
    for cluster in [&mut confined, &mut excluded] {
        let b2 = node(cluster, "b2");
        cluster.update_node(b2, Node::named("b2").capacity([10, 100]).domain("rack", "b").label("fast"))?;
    }
    let none = Failure::none();
    assert_eq!(codes(&confined, &none, &["w1@c", "w2@a2", "w3@b2"], &[]), [""; 0]);
    assert_eq!(codes(&confined, &none, &["w1@b1"], &[]), ["confine"]);
    assert_eq!(codes(&excluded, &none, &["w1@b1"], &[]), [""; 0]);
    for target in ["w1@c", "w1@a2", "w1@b2"] {
        assert_eq!(codes(&excluded, &none, &[target], &[]), ["exclude"]);
    }
    Ok(())
}

#[test]
fn spread() -> Done {
    let none = Failure::none();
    let domains = |_: &Cluster| RuleKind::Spread { level: "rack".into(), min_domains: 3, max_skew: None };
    let cluster = ruled(domains, Strength::Required)?;
    assert_eq!(codes(&cluster, &none, &["w1@b1"], &[]), [""; 0], "one placed, one domain more");
    assert_eq!(codes(&cluster, &none, &["w1@a2"], &[]), ["spread_domains"]);
    assert_eq!(codes(&cluster, &none, &["w1@b1", "w2@b2"], &[]), ["spread_domains"]);
    assert_eq!(codes(&cluster, &none, &["w1@b1", "w2@c", "w3@a2"], &[]), [""; 0]);
    let skew = |_: &Cluster| RuleKind::Spread { level: "rack".into(), min_domains: 0, max_skew: Some(1) };
    let mut cluster = ruled(skew, Strength::Required)?;
    assert_eq!(codes(&cluster, &none, &["w1@b1", "w2@c", "w3@c"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &none, &["w1@b1", "w2@b2"], &[]), ["spread_skew"], "c holds none");
    assert_eq!(codes(&cluster, &none, &["w1@a1"], &[]), ["spread_skew"]);
    // A node that accepts nothing does not count, nor does one from which all members are excluded.
    let c = node(&cluster, "c");
    cluster.set_node_state(c, NodeState::Cordoned)?;
    assert_eq!(codes(&cluster, &none, &["w1@b1", "w2@b2"], &[]), [""; 0]);
    cluster.set_node_state(c, NodeState::Online)?;
    let members = ["w1", "w2", "w3"].map(|name| vm(&cluster, name));
    let place = Place { nodes: vec![c], ..Place::default() };
    cluster.add_rule(Rule::new("not there", RuleKind::Exclude(place)).vms(members))?;
    assert_eq!(codes(&cluster, &none, &["w1@b1", "w2@b2"], &[]), ["spread_skew"], "s could be there");
    assert_eq!(codes(&cluster, &Failure::of([node(&cluster, "a1")]), &["w1@b1", "w2@a2"], &[]), [""; 0]);
    Ok(())
}

#[test]
fn follow() -> Done {
    let cluster = ruled(|cluster| RuleKind::Follow { leader: vm(cluster, "s") }, Strength::Required)?;
    let a1 = node(&cluster, "a1");
    assert_eq!(codes(&cluster, &Failure::none(), &["w1@a1"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &Failure::none(), &["w1@a2"], &[]), ["follow"]);
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["w1@a2", "s@a2"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["w1@a2", "s@b1"], &[]), ["follow"]);
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["w1@a2", "w2@b1"], &[]), [""; 0], "free without leader");
    Ok(())
}

#[test]
fn prerequisite() -> Done {
    let mut cluster = racks()?;
    let a1 = node(&cluster, "a1");
    let needed = cluster.add_vm(Vm::named("needed").demand([1, 10]).on(a1))?;
    let wanted = cluster.add_vm(waiting_vm("wanted"))?;
    let give_up = StartEdge { on_timeout: OnTimeout::GiveUp, ..StartEdge::after(needed) };
    cluster.add_vm(waiting_vm("v").starts_after(give_up).starts_after(StartEdge::after(wanted)))?;
    assert_eq!(codes(&cluster, &Failure::none(), &["v@a2"], &[]), [""; 0], "it runs");
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["v@a2"], &[]), ["prerequisite"]);
    assert_eq!(codes(&cluster, &Failure::of([a1]), &["v@a2", "needed@b1"], &[]), [""; 0]);
    assert_eq!(codes(&cluster, &Failure::none(), &["v@a2"], &["needed@a1"]), ["prerequisite"]);
    cluster.set_node_state(a1, NodeState::Unreachable)?;
    assert_eq!(codes(&cluster, &Failure::none(), &["v@a2"], &[]), [""; 0], "it may run");
    Ok(())
}

#[test]
fn evictions() -> Done {
    let mut cluster = racks()?;
    let [a1, a2, b1] = ["a1", "a2", "b1"].map(|name| node(&cluster, name));
    cluster.add_vm(Vm::named("batch").demand([8, 10]).on(a1).restart(RestartClass::BestEffort))?;
    cluster.add_vm(Vm::named("small").demand([2, 10]).on(a1).restart(RestartClass::BestEffort))?;
    cluster.add_vm(Vm::named("low").demand([8, 10]).on(a2).priority(Priority::LOW))?;
    cluster.add_vm(Vm::named("maybe").demand([1, 10]).on(b1).restart(RestartClass::BestEffort))?;
    cluster.add_vm(waiting_vm("new").demand([8, 10]))?;
    cluster.set_node_state(b1, NodeState::Unreachable)?;
    let none = Failure::none();
    assert_eq!(codes(&cluster, &none, &["new@a1"], &["batch@a1"]), [""; 0]);
    assert_eq!(codes(&cluster, &none, &["new@a1", "batch@b2"], &["batch@a1"]), [""; 0], "placed elsewhere");
    assert_eq!(codes(&cluster, &none, &["new@a1"], &["batch@a1", "batch@a1"]), ["evicted_twice"]);
    assert_eq!(codes(&cluster, &none, &[], &["batch@a2"]), ["evicted_not_running"]);
    assert_eq!(codes(&cluster, &none, &[], &["maybe@b1"]), ["evicted_not_running"]);
    assert_eq!(codes(&cluster, &none, &[], &["new@b2"]), ["evicted_not_running"]);
    assert_eq!(codes(&cluster, &none, &["batch@a1"], &["batch@a1"]), ["evicted_in_place"]);

    let allowed = |cluster: &Cluster, preemption, placed: (&str, NodeId), evicted: &[(&str, NodeId)]| {
        let policy = Policy { preemption, ..Policy::default() };
        let placed = [(vm(cluster, placed.0), placed.1)];
        let evicted: Vec<(VmId, NodeId)> = evicted.iter().map(|(name, at)| (vm(cluster, name), *at)).collect();
        let failure = Failure::none();
        codes_of(check_evictions(cluster, &policy, &failure, &placed, &evicted))
    };
    assert_eq!(allowed(&cluster, Preemption::Never, ("new", a1), &[("batch", a1)]), ["eviction_forbidden"]);
    assert_eq!(allowed(&cluster, Preemption::BestEffort, ("new", a1), &[("batch", a1)]), [""; 0]);
    assert_eq!(allowed(&cluster, Preemption::BestEffort, ("new", a2), &[("low", a2)]), ["eviction_forbidden"]);
    assert_eq!(allowed(&cluster, Preemption::LowerPriority, ("new", a2), &[("low", a2)]), [""; 0]);
    let both = [("batch", a1), ("small", a1)];
    assert_eq!(allowed(&cluster, Preemption::BestEffort, ("new", a1), &both), ["eviction_unneeded"]);
    let batch = vm(&cluster, "batch");
    let kept = Vm { preemptible: Some(false), ..cluster.vm(batch)?.to_vm() };
    cluster.update_vm(batch, kept)?;
    assert_eq!(allowed(&cluster, Preemption::BestEffort, ("new", a1), &[("batch", a1)]), ["eviction_forbidden"]);
    Ok(())
}

/// `dead` fails with db (high), web (after db), old (never), big (best effort, fits nowhere); `iso` is unreachable
/// and holds far. An honest plan, that each case then spoils.
fn honest() -> Result<(Cluster, Policy, Failure, RestartPlan), Box<dyn std::error::Error>> {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")])?, [""; 0])?;
    let dead = cluster.add_node(Node::named("dead").capacity([100]))?;
    let iso = cluster.add_node(Node::named("iso").capacity([100]))?;
    let left = cluster.add_node(Node::named("left").capacity([100]))?;
    cluster.add_node(Node::named("more").capacity([30]))?;
    let db = cluster.add_vm(Vm::named("db").demand([10]).on(dead).priority(Priority::HIGH))?;
    let web = cluster.add_vm(Vm::named("web").demand([20]).on(dead).starts_after(StartEdge::after(db)))?;
    let old = cluster.add_vm(Vm::named("old").demand([10]).on(dead).restart(RestartClass::Never))?;
    let big = cluster.add_vm(Vm::named("big").demand([101]).on(dead).restart(RestartClass::BestEffort))?;
    let far = cluster.add_vm(Vm::named("far").demand([10]).on(iso))?;
    cluster.set_node_state(iso, NodeState::Unreachable)?;
    let count = |restart, priority, placed| ClassCount { restart, priority, displaced: 1, placed, bound: placed };
    let plan = RestartPlan {
        failed: vec![dead],
        placements: vec![Placement { vm: db, node: left, wave: 1 }, Placement { vm: web, node: left, wave: 2 }],
        unplaced: vec![Unplaced { vm: big, reasons: Vec::new(), message: String::new() }],
        waiting: vec![far],
        left_alone: vec![old],
        classes: vec![
            count(RestartClass::Protected, Priority::HIGH, 1),
            count(RestartClass::Protected, Priority::MEDIUM, 1),
            count(RestartClass::BestEffort, Priority::MEDIUM, 0),
        ],
        ..RestartPlan::default()
    };
    Ok((cluster, Policy::default(), Failure::of([dead]), plan))
}

#[test]
fn an_honest_plan_passes() -> Done {
    let (cluster, policy, failure, plan) = honest()?;
    assert_eq!(check_plan(&cluster, &policy, &failure, &plan), Ok(()));
    Ok(())
}

#[test]
fn what_a_plan_says_of_itself() -> Done {
    type Spoil = fn(&mut RestartPlan, &Cluster);
    let cases: [(&[&str], Spoil); 17] = [
        (&["failed_nodes"], |plan, _| plan.failed.clear()),
        (&["missing"], |plan, _| plan.unplaced.clear()),
        (&["missing"], |plan, _| plan.left_alone.clear()),
        (&["not_waiting"], |plan, _| plan.waiting.clear()),
        (&["listed"], |plan, cluster| plan.waiting.push(vm(cluster, "web"))),
        (&["listed"], |plan, cluster| plan.waiting.push(vm(cluster, "far"))),
        (&["listed"], |plan, cluster| plan.left_alone.push(vm(cluster, "web"))),
        (&["listed"], |plan, cluster| plan.unplaced[0].vm = vm(cluster, "old")),
        (&["order"], |plan, _| plan.placements.swap(0, 1)),
        (&["class", "order"], |plan, _| plan.classes.insert(0, plan.classes[1])),
        (&["class"], |plan, _| plan.classes.truncate(2)),
        (&["class"], |plan, _| plan.classes[0].priority = Priority::HIGHEST),
        (&["class_count"], |plan, _| plan.classes[2].displaced = 2),
        (&["class_count", "class_bound"], |plan, _| plan.classes[2].placed = 1),
        (&["class_bound"], |plan, _| plan.classes[0].bound = 0),
        (&["class_bound"], |plan, _| plan.classes[2].bound = 2),
        (&["wave"], |plan, _| plan.placements[1].wave = 1),
    ];
    for (number, (expected, spoil)) in cases.into_iter().enumerate() {
        let (cluster, policy, failure, mut plan) = honest()?;
        spoil(&mut plan, &cluster);
        let mut found = codes_of(check_plan(&cluster, &policy, &failure, &plan));
        found.dedup();
        for code in expected {
            assert!(found.contains(code), "case {number}: {expected:?} is not in {found:?}");
        }
    }
    Ok(())
}

#[test]
fn an_eviction_is_in_the_account() -> Done {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")])?, [""; 0])?;
    let n = cluster.add_node(Node::named("n").capacity([100]))?;
    let batch = cluster.add_vm(Vm::named("batch").demand([60]).on(n).restart(RestartClass::BestEffort))?;
    let new = cluster.add_vm(waiting_vm("new").demand([50]))?;
    let policy = Policy { preemption: Preemption::BestEffort, ..Policy::default() };
    let (restart, priority) = (RestartClass::Protected, Priority::MEDIUM);
    let plan = RestartPlan {
        placements: vec![Placement { vm: new, node: n, wave: 1 }],
        evictions: vec![Eviction { vm: batch, node: n }],
        classes: vec![ClassCount { restart, priority, displaced: 1, placed: 1, bound: 1 }],
        unplaced: vec![Unplaced { vm: batch, reasons: Vec::new(), message: String::new() }],
        ..RestartPlan::default()
    };
    assert_eq!(check_plan(&cluster, &policy, &Failure::none(), &plan), Ok(()));
    let forbidden = check_plan(&cluster, &Policy::default(), &Failure::none(), &plan);
    assert_eq!(codes_of(forbidden), ["eviction_forbidden"]);
    // It is told who stays down.
    let silent = RestartPlan { unplaced: Vec::new(), ..plan };
    let missing = check_plan(&cluster, &policy, &Failure::none(), &silent);
    assert_eq!(missing, Err(vec![PlanFault::Missing { vm: "batch".into() }]));
    Ok(())
}

#[test]
fn tiers_wait_for_the_band_above() -> Done {
    let (cluster, mut policy, failure, mut plan) = honest()?;
    policy.start.tier_gate = TierGate::Ready;
    assert_eq!(check_plan(&cluster, &policy, &failure, &plan), Ok(()), "web is in the band below db's");
    // Without the edge web waits for its band all the same.
    let (mut cluster, _, _, _) = honest()?;
    cluster.set_starts_after(&[(vm(&cluster, "web"), vec![])])?;
    assert_eq!(check_plan(&cluster, &policy, &failure, &plan), Ok(()));
    assert_eq!(codes_of(check_plan(&cluster, &Policy::default(), &failure, &plan)), ["wave"]);
    // A VM of a lower band that a higher one starts after goes first.
    let (db, web) = (vm(&cluster, "db"), vm(&cluster, "web"));
    cluster.set_starts_after(&[(db, vec![StartEdge::after(web)])])?;
    plan.placements.swap(0, 1);
    plan.placements[0].wave = 1;
    plan.placements[1].wave = 2;
    assert_eq!(check_plan(&cluster, &policy, &failure, &plan), Ok(()));
    Ok(())
}
