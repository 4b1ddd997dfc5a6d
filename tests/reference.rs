//! The reference that other tests measure by: right by hand, and right against plain enumeration.
//!
//! Uses the test kit and the checker.

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

use lifeboat::policy::Preemption;
use lifeboat::{
    Cluster, Failure, Node, NodeId, OnTimeout, Policy, Priority, ResourceKinds, RestartClass, Rule, RuleKind,
    StartEdge, Vm, VmId, check_evictions, check_placements,
};
use lifeboat_testkit::random_small::{self, Limits};
use lifeboat_testkit::rebuild::Rebuild;
use lifeboat_testkit::reference::{effective, optimum};
use lifeboat_testkit::{Case, Choices};
use std::collections::BTreeMap;

type Done = Result<(), Box<dyn std::error::Error>>;

const LIMIT: u64 = 3_000_000;

/// Counts per class of the optimum, and how many it places and evicts.
fn best(cluster: &Cluster, policy: &Policy, failure: &Failure) -> (Vec<i64>, usize, usize) {
    let optimum = optimum(cluster, policy, failure, LIMIT).expect("a small case");
    let counts = optimum.classes.iter().map(|class| class.placed).collect();
    (counts, optimum.placements.len(), optimum.evictions.len())
}

/// Pacemaker's utilization example: each VM fits on either node, all three only if the largest two share the big one.
#[test]
fn pacemaker_utilization() -> Done {
    let mut cluster = Cluster::new(ResourceKinds::new([("cpu", "cores"), ("memory", "MiB")])?, [""; 0])?;
    cluster.add_node(Node::named("node1").capacity([2, 2048]))?;
    cluster.add_node(Node::named("node2").capacity([4, 4096]))?;
    for (name, cpu, memory) in [("rsc-small", 1, 1024), ("rsc-medium", 2, 2048), ("rsc-large", 3, 3072)] {
        cluster.add_vm(Vm::named(name).demand([cpu, memory]).powered_on())?;
    }
    assert_eq!(best(&cluster, &Policy::default(), &Failure::none()), (vec![3], 3, 0));
    Ok(())
}

/// Priority is over sets: the important VM must not take the only node that the larger one fits on.
#[test]
fn priority_is_over_sets() -> Done {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")])?, [""; 0])?;
    cluster.add_node(Node::named("six").capacity([6]))?;
    cluster.add_node(Node::named("four").capacity([4]))?;
    cluster.add_vm(Vm::named("high").demand([3]).priority(Priority::HIGH).powered_on())?;
    cluster.add_vm(Vm::named("low").demand([6]).priority(Priority::LOW).powered_on())?;
    assert_eq!(best(&cluster, &Policy::default(), &Failure::none()), (vec![1, 1], 2, 0));
    Ok(())
}

/// Two of three cannot be placed for one more important one: a class counts before all below.
#[test]
fn a_class_counts_before_all_below() -> Done {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")])?, [""; 0])?;
    let dead = cluster.add_node(Node::named("dead").capacity([9]))?;
    cluster.add_node(Node::named("left").capacity([6]))?;
    cluster.add_vm(Vm::named("high").demand([6]).priority(Priority::HIGH).on(dead))?;
    cluster.add_vm(Vm::named("low 1").demand([1]).on(dead))?;
    cluster.add_vm(Vm::named("low 2").demand([1]).on(dead))?;
    cluster.add_vm(Vm::named("best effort").demand([1]).on(dead).restart(RestartClass::BestEffort))?;
    assert_eq!(best(&cluster, &Policy::default(), &Failure::of([dead])), (vec![1, 0, 0], 1, 0));
    Ok(())
}

/// A VM that another gives up without counts as much as that one.
#[test]
fn what_is_needed_counts_as_much() -> Done {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")])?, [""; 0])?;
    cluster.add_node(Node::named("n").capacity([4]))?;
    let needed = cluster.add_vm(Vm::named("needed").demand([2]).priority(Priority::LOW).powered_on())?;
    let edge = StartEdge { on_timeout: OnTimeout::GiveUp, ..StartEdge::after(needed) };
    cluster.add_vm(Vm::named("high").demand([2]).priority(Priority::HIGH).starts_after(edge).powered_on())?;
    cluster.add_vm(Vm::named("medium").demand([1]).powered_on())?;
    assert_eq!(best(&cluster, &Policy::default(), &Failure::none()), (vec![2, 0], 2, 0));
    Ok(())
}

/// Evicted only where more is placed by that; the evicted one is placed elsewhere if it fits.
#[test]
fn evictions_by_policy() -> Done {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")])?, [""; 0])?;
    let dead = cluster.add_node(Node::named("dead").capacity([9]))?;
    let left = cluster.add_node(Node::named("left").capacity([6]))?;
    cluster.add_node(Node::named("small").capacity([2]))?;
    cluster.add_vm(Vm::named("web").demand([6]).on(dead))?;
    cluster.add_vm(Vm::named("batch 1").demand([2]).on(left).restart(RestartClass::BestEffort))?;
    cluster.add_vm(Vm::named("batch 2").demand([2]).on(left).restart(RestartClass::BestEffort))?;
    let failure = Failure::of([dead]);
    let mut policy = Policy::default();
    assert_eq!(best(&cluster, &policy, &failure), (vec![0], 0, 0));
    policy.preemption = Preemption::BestEffort;
    assert_eq!(best(&cluster, &policy, &failure), (vec![1, -1], 2, 2));
    Ok(())
}

/// Six 6s and five 5s into nodes of 16: 6+5+5 twice would do with a greedy 6+6 nowhere.
#[test]
fn a_packing_that_first_fit_misses() -> Done {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")])?, [""; 0])?;
    for number in 0..2 {
        cluster.add_node(Node::named(format!("n{number}")).capacity([16]))?;
    }
    for (number, size) in [6, 6, 5, 5, 5, 5].into_iter().enumerate() {
        cluster.add_vm(Vm::named(format!("v{number}")).demand([size]).powered_on())?;
    }
    assert_eq!(best(&cluster, &Policy::default(), &Failure::none()), (vec![6], 6, 0));
    Ok(())
}

#[test]
fn spread_is_judged_at_the_end() -> Done {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")])?, ["rack"])?;
    for (name, rack, size) in [("a1", "a", 9), ("a2", "a", 9), ("b1", "b", 1)] {
        cluster.add_node(Node::named(name).capacity([size]).domain("rack", rack))?;
    }
    let vms: Result<Vec<VmId>, _> =
        (0..4).map(|number| cluster.add_vm(Vm::named(format!("v{number}")).demand([1]).powered_on())).collect();
    let kind = RuleKind::Spread { level: "rack".into(), min_domains: 0, max_skew: Some(1) };
    cluster.add_rule(Rule::new("even", kind).vms(vms?))?;
    assert_eq!(best(&cluster, &Policy::default(), &Failure::none()), (vec![3], 3, 0), "two in a, one in b");
    Ok(())
}

/// Counts per class, by effective class and priority, of a plan that was found somehow.
fn counts(case: &Case, placements: &[(VmId, NodeId)], evictions: &[(VmId, NodeId)]) -> Vec<i64> {
    let effective = effective(&case.cluster);
    let mut classes: Vec<_> = effective.values().copied().collect();
    classes.sort_unstable();
    classes.dedup();
    classes.reverse();
    let count = |vms: &[(VmId, NodeId)], class| {
        i64::try_from(vms.iter().filter(|(vm, _)| effective[vm] == class).count()).expect("few")
    };
    classes.iter().map(|class| count(placements, *class) - count(evictions, *class)).collect()
}

/// Every plan there is, by plain enumeration: each VM of the cluster goes anywhere or nowhere, each running one may be
/// evicted. The checker decides what is a plan.
fn enumerate(case: &Case) -> Option<Vec<i64>> {
    let vms: Vec<VmId> = case.cluster.vms().map(lifeboat::VmRef::id).collect();
    let nodes: Vec<NodeId> = case.cluster.nodes().map(lifeboat::NodeRef::id).collect();
    // Per VM: nothing, evicted, or placed on a node, evicted or not.
    let mut options: Vec<Vec<(Option<NodeId>, Option<NodeId>)>> = Vec::new();
    for vm in &vms {
        let at = case.cluster.vm(*vm).expect("a VM").node();
        let mut own = vec![(None, None)];
        for evicted in [None, at.filter(|_| case.policy.preemption != Preemption::Never)] {
            if evicted.is_some() {
                own.push((None, evicted));
            }
            for node in &nodes {
                let evictions: Vec<_> = evicted.into_iter().map(|from| (*vm, from)).collect();
                let codes: Vec<&str> = check_placements(&case.cluster, &case.failure, &[(*vm, *node)], &evictions)
                    .err()
                    .unwrap_or_default()
                    .iter()
                    .map(lifeboat::PlanFault::code)
                    .collect();
                // What no company can mend.
                let hopeless = ["not_displaced", "never_class", "not_accepting", "target_fails", "evicted_not_running"];
                if !codes.iter().any(|code| hopeless.contains(code)) {
                    own.push((Some(*node), evicted));
                }
            }
        }
        own.dedup();
        options.push(own);
    }
    let plans = options.iter().try_fold(1_u64, |product, own| product.checked_mul(own.len() as u64))?;
    if plans > 20_000 {
        return None;
    }
    let mut best: Option<Vec<i64>> = None;
    for number in 0..plans {
        let (mut placements, mut evictions, mut rest) = (Vec::new(), Vec::new(), number);
        for (vm, own) in vms.iter().zip(&options) {
            let (placed, evicted) = own[usize::try_from(rest % own.len() as u64).expect("an index")];
            rest /= own.len() as u64;
            placements.extend(placed.map(|node| (*vm, node)));
            evictions.extend(evicted.map(|node| (*vm, node)));
        }
        let counts = counts(case, &placements, &evictions);
        if best.as_ref().is_none_or(|best| counts > *best)
            && check_placements(&case.cluster, &case.failure, &placements, &evictions).is_ok()
            && check_evictions(&case.cluster, &case.policy, &case.failure, &placements, &evictions).is_ok()
        {
            best = Some(counts);
        }
    }
    best
}

#[test]
fn agrees_with_plain_enumeration() {
    let mut enumerated = 0;
    let mut interesting = 0;
    for seed in 0..3_000 {
        let preemption = seed % 3 == 0;
        let limits = Limits { nodes: 4, vms: if preemption { 4 } else { 6 }, rules: 3, preemption };
        let case = random_small::from_seed(seed, limits);
        let Some(expected) = enumerate(&case) else { continue };
        enumerated += 1;
        let found = optimum(&case.cluster, &case.policy, &case.failure, LIMIT).expect("a small case");
        interesting += u64::from(found.classes.iter().any(|class| class.placed < class.displaced));
        let found = counts(&case, &found.placements, &found.evictions);
        assert_eq!(found, expected, "seed {seed}: {case:#?}");
    }
    assert!(enumerated > 1_000 && interesting > 200, "{enumerated} cases, {interesting} of them short");
}

/// Plans made at random that pass the checker never beat the optimum.
#[test]
fn no_random_plan_is_better() {
    let (mut cases, mut slow, mut most) = (0, 0, 0);
    for seed in 0..2_000 {
        let limits = Limits { nodes: 8, vms: 14, rules: 3, preemption: false };
        let case = random_small::from_seed(10_000 + seed, limits);
        let Some(best) = optimum(&case.cluster, &case.policy, &case.failure, LIMIT) else {
            slow += 1;
            continue;
        };
        cases += 1;
        most = most.max(best.steps);
        let best = counts(&case, &best.placements, &best.evictions);
        let mut choices = Choices::from_seed(seed);
        for _ in 0..5 {
            let mut placements: Vec<(VmId, NodeId)> = Vec::new();
            let mut vms: Vec<VmId> = case.cluster.vms().map(lifeboat::VmRef::id).collect();
            choices.shuffle(&mut vms);
            for vm in vms {
                let mut nodes: Vec<NodeId> = case.cluster.nodes().map(lifeboat::NodeRef::id).collect();
                choices.shuffle(&mut nodes);
                for node in nodes {
                    placements.push((vm, node));
                    if check_placements(&case.cluster, &case.failure, &placements, &[]).is_ok() {
                        break;
                    }
                    placements.pop();
                }
            }
            let counts = counts(&case, &placements, &[]);
            assert!(counts <= best, "seed {seed}: {counts:?} is better than {best:?}: {case:#?}");
        }
    }
    assert!(slow * 100 <= cases, "{slow} of {cases} cases are too slow for the reference");
    println!("{cases} cases, {slow} too slow, at most {most} steps");
}

/// What the cluster keeps up to date is what its definition says.
#[test]
fn effective_classes_are_those_of_the_definition() {
    for seed in 0..3_000 {
        let case = random_small::from_seed(seed, Limits { rules: 5, ..Limits::default() });
        let kept: BTreeMap<VmId, _> = case.cluster.vms().map(|vm| (vm.id(), vm.effective())).collect();
        assert_eq!(kept, effective(&case.cluster), "seed {seed}");
    }
}

/// A cluster says of its nodes what its VMs say of themselves.
#[test]
fn views_agree() {
    for seed in 0..3_000 {
        let cluster = random_small::from_seed(seed, Limits { rules: 5, ..Limits::default() }).cluster;
        let shuffled = Rebuild::of(&cluster).shuffled(seed).build();
        for cluster in [&cluster, &shuffled.cluster] {
            for node in cluster.nodes() {
                let on: Vec<_> = cluster.vms().filter(|vm| vm.is_on()).collect();
                let mut here: Vec<VmId> = node.vms().collect();
                here.sort_unstable();
                assert!(here.iter().copied().eq(on.iter().filter(|vm| vm.node() == Some(node.id())).map(|vm| vm.id())));
                let mut coming: Vec<VmId> = node.incoming().collect();
                coming.sort_unstable();
                let to = on.iter().filter(|vm| vm.migrating_to() == Some(node.id()));
                assert!(coming.iter().copied().eq(to.clone().map(|vm| vm.id())));
                for kind in 0..cluster.kinds().len() {
                    let runs = |vm: &&lifeboat::VmRef<'_>| {
                        let source = vm.node().and_then(|node| cluster.node(node).ok());
                        source.is_some_and(|source| source.state().runs_vms())
                    };
                    let residents = here.iter().map(|vm| cluster.vm(*vm).expect("a VM").demand()[kind]).sum::<u64>();
                    let claims = to.clone().filter(runs).map(|vm| vm.demand()[kind]).sum::<u64>();
                    assert_eq!(node.used()[kind], residents + claims, "seed {seed}");
                    let free = node.failover_allocatable()[kind].saturating_sub(residents + claims);
                    assert_eq!(node.free()[kind], free, "seed {seed}");
                }
            }
            for rule in cluster.rules() {
                let members: Vec<VmId> = rule.members().collect();
                for vm in cluster.vms() {
                    assert_eq!(vm.rules().any(|id| id == rule.id()), members.contains(&vm.id()), "seed {seed}");
                }
                if let RuleKind::Confine(place) | RuleKind::Exclude(place) = rule.kind() {
                    for node in cluster.nodes() {
                        let meant = place.nodes.contains(&node.id())
                            || place.labels.iter().any(|label| node.has_label(label))
                            || place.domains.iter().any(|(level, name)| node.domain(level) == Some(name));
                        assert_eq!(rule.means_node(node.id()), meant, "seed {seed}");
                    }
                }
            }
        }
    }
}

/// The order in which a cluster is built changes nothing that the reference finds, nor do names.
#[test]
fn order_and_names_do_not_matter() {
    for seed in 0..500 {
        let case = random_small::from_seed(seed, Limits { nodes: 5, vms: 8, ..Limits::default() });
        let before = optimum(&case.cluster, &case.policy, &case.failure, LIMIT).expect("a small case").classes;
        let rename = |name: &str| name.chars().rev().collect::<String>() + "'";
        for again in [Rebuild::of(&case.cluster).shuffled(seed), Rebuild::of(&case.cluster).renamed(rename)] {
            let again = again.build();
            let failure = again.failure(&case.failure);
            let after = optimum(&again.cluster, &case.policy, &failure, LIMIT).expect("a small case").classes;
            assert_eq!(before, after, "seed {seed}");
        }
    }
}

/// Bytes make cases, too, whatever they are.
#[test]
fn any_bytes_make_a_case() {
    let mut choices = Choices::from_seed(1);
    for length in 0..300 {
        let bytes: Vec<u8> = (0..length).map(|_| u8::try_from(choices.below(256)).expect("a byte")).collect();
        let case = random_small::from_bytes(&bytes);
        assert!(case.cluster.node_count() >= 1);
    }
}
