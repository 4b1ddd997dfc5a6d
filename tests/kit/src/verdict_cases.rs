//! Clusters for verdicts: VMs placed where they fit, with about so much room that a class is as likely survived as not.
//!
//! Uses `choices`. Used by property tests and fuzz targets of guarantees, with `verdict` as the judge. The clusters of
//! `random_small` are made for plans: most of their VMs start over-full or waiting, so nearly every class fails on the
//! empty failure, and nothing is learnt of the others.

use crate::Choices;
use lifeboat::policy::{FailureClass, Preemption};
use lifeboat::{
    Cluster, NODE_LEVEL, Node, NodeId, NodeState, OnTimeout, Place, Policy, Priority, ResourceKind, ResourceKinds,
    RestartClass, Role, Rule, RuleKind, StartEdge, Strength, Vm, VmId,
};

/// A cluster, and a policy with the classes to judge.
#[derive(Clone, Debug)]
pub struct VerdictCase {
    /// The cluster.
    pub cluster: Cluster,
    /// The policy.
    pub policy: Policy,
}

/// The classes that every case is asked: one node, two nodes, one rack, one rack and one node.
#[must_use]
pub fn classes() -> Vec<FailureClass> {
    let mut both = FailureClass::units("rack", 1);
    both.fail.push((NODE_LEVEL.to_string(), 1));
    vec![FailureClass::nodes(1), FailureClass::nodes(2), FailureClass::units("rack", 1), both]
}

/// A small case of everything the model knows, from a seed.
#[must_use]
pub fn tight_from_seed(seed: u64) -> VerdictCase {
    tight(&mut Choices::from_seed(seed))
}

/// A small case of everything the model knows: 3 to 8 nodes, up to 12 VMs, up to 3 rules.
///
/// # Panics
/// If the cluster refuses an object that it should take.
#[must_use]
pub fn tight(choices: &mut Choices<'_>) -> VerdictCase {
    let width = choices.weighted(&[(1, 2), (2, 3), (3, 2)]);
    let levels = choices.pick(&[&["rack"][..], &["rack", "feed"], &["rack", "feed"], &["site", "rack"]]);
    let mut cluster = empty(width, levels);
    let plain = choices.chance(1, 4);
    let count = choices.between(3, 8);
    let usual: Vec<u64> = (0..width).map(|_| choices.between(7, 10)).collect();
    let nodes: Vec<NodeId> = (0..count)
        .map(|number| {
            let mut node = Node::named(format!("n{number}"));
            node.capacity = usual.iter().map(|amount| amount + choices.below(4)).collect();
            put_in_domains(choices, &mut node, levels, 4);
            if !plain {
                node.labels = choices.some(&["x", "y"], 4, 5).into_iter().map(String::from).collect();
                for kind in 0..width {
                    if choices.chance(1, 12) {
                        node.failover_overcommit.push((kind, choices.pick(&[125, 150])));
                    }
                }
                if choices.chance(1, 12) {
                    node.role = Role::Spare;
                }
                node.state = state(choices);
            }
            cluster.add_node(node).expect("a good node")
        })
        .collect();
    let percent = choices.weighted(&[(40, 1), (45, 2), (55, 2), (65, 2), (75, 2), (90, 1)]);
    let vms = tight_vms(choices, &mut cluster, &nodes, width, percent, plain);
    for number in 0..choices.below(4) {
        add_rule(choices, &mut cluster, number, &nodes, &vms);
    }
    VerdictCase { policy: policy(choices, plain), cluster }
}

/// Nearly always online.
pub(crate) fn state(choices: &mut Choices<'_>) -> NodeState {
    choices.weighted(&[
        (NodeState::Online, 40),
        (NodeState::Cordoned, 2),
        (NodeState::Maintenance, 1),
        (NodeState::Unreachable, 1),
        (NodeState::Failed, 1),
    ])
}

/// A case in which banks apply, from a seed.
#[must_use]
pub fn roomy_from_seed(seed: u64) -> VerdictCase {
    roomy(&mut Choices::from_seed(seed))
}

/// A case in which a plan per bank of nodes should do: 10 to 14 nodes of about one size, 50 to 70 % full of VMs that are
/// small against a node, racks of two or three nodes, and now and then a rule.
///
/// # Panics
/// If the cluster refuses an object that it should take.
#[must_use]
pub fn roomy(choices: &mut Choices<'_>) -> VerdictCase {
    let width = choices.weighted(&[(1, 1), (2, 3), (3, 1)]);
    let mut cluster = empty(width, &["rack"]);
    let per_rack = choices.between(2, 3);
    let usual: Vec<u64> = (0..width).map(|_| choices.between(20, 40)).collect();
    let count = choices.between(10, 14);
    let nodes: Vec<NodeId> = (0..count)
        .map(|number| {
            let node = Node::named(format!("n{number}")).domain("rack", format!("rack{}", number / per_rack));
            let capacity: Vec<u64> = usual.iter().map(|amount| amount + choices.below(3)).collect();
            cluster.add_node(node.capacity(capacity)).expect("a good node")
        })
        .collect();
    let percent = choices.between(50, 70);
    let mut vms = Vec::new();
    for node in &nodes {
        let most = cluster.node(*node).expect("a node").allocatable().to_vec();
        let mut misses = 0;
        while misses < 3 {
            let demand: Vec<u64> = usual.iter().map(|amount| choices.between(amount / 10, amount / 4)).collect();
            let used = cluster.node(*node).expect("a node").used();
            let full = |kind: usize| (used[kind] + demand[kind]) * 100 > most[kind] * percent;
            if (0..width).any(full) {
                misses += 1;
                continue;
            }
            let vm = Vm::named(format!("v{}", vms.len())).demand(demand).on(*node);
            let vm = vm.priority(choices.weighted(&[(Priority::MEDIUM, 4), (Priority::HIGH, 1)]));
            let best_effort = choices.chance(1, 10);
            let vm = if best_effort { vm.restart(RestartClass::BestEffort) } else { vm };
            vms.push(cluster.add_vm(vm).expect("a good VM"));
        }
    }
    for number in 0..choices.weighted(&[(0, 4), (1, 2), (2, 1)]) {
        add_rule(choices, &mut cluster, number, &nodes, &vms);
    }
    VerdictCase { policy: policy(choices, true), cluster }
}

/// A case with many rules and room for banks, from a seed.
#[must_use]
pub fn ruled_from_seed(seed: u64) -> VerdictCase {
    ruled(&mut Choices::from_seed(seed))
}

/// A case in which rules of every kind bind and a plan per bank of nodes may still do: 9 to 12 nodes, a third full, in racks
/// that nest in sites or are dealt in turn, one to three VMs on each, and up to seven rules, some of VMs on one node.
///
/// # Panics
/// If the cluster refuses an object that it should take.
#[must_use]
pub fn ruled(choices: &mut Choices<'_>) -> VerdictCase {
    let racks = choices.between(2, 6);
    let (mut cluster, nodes, on_node) = third_full(choices, racks, 20);
    let count = choices.between(1, 7);
    add_rules(choices, &mut cluster, count, &nodes, &on_node);
    let mut policy = policy(choices, true);
    policy.tolerate.retain(|class| class.fail.iter().map(|(_, count)| count).sum::<u32>() <= 2);
    if choices.chance(1, 6) {
        policy.preemption = Preemption::BestEffort;
    }
    VerdictCase { policy, cluster }
}

/// A case with rules of racks that are broken, or that a move between racks touches, from a seed.
#[must_use]
pub fn broken_from_seed(seed: u64) -> VerdictCase {
    broken(&mut Choices::from_seed(seed))
}

/// A case of the same kind with one or two `separate` and `spread` rules of racks, most of them broken already or with a
/// member on its way to another rack.
///
/// # Panics
/// If the cluster refuses an object that it should take.
#[must_use]
pub fn broken(choices: &mut Choices<'_>) -> VerdictCase {
    let racks = choices.between(4, 6);
    let level = "rack".to_string();
    let (mut cluster, _, on_node) = third_full(choices, racks, 8);
    let all: Vec<VmId> = on_node.iter().flatten().copied().collect();
    for number in 0..choices.between(1, 2) {
        for _ in 0..8 {
            let mut members = all.clone();
            choices.shuffle(&mut members);
            members.truncate(choices.index(2) + 2);
            let moves = members.iter().any(|vm| cluster.vm(*vm).is_ok_and(|vm| vm.migrating_to().is_some()));
            let level = level.clone();
            let (kind, members) = match choices.below(5) {
                0 => {
                    let (left, right) = members.split_at(members.len() / 2);
                    (RuleKind::SeparateSides { level, sides: vec![left.to_vec(), right.to_vec()] }, Vec::new())
                }
                1 => (RuleKind::Spread { level, min_domains: 2, max_skew: None }, members),
                _ => (RuleKind::Separate { level, max_per_domain: choices.pick(&[1, 1, 2]) }, members),
            };
            let rule = Rule::new(format!("r{number}"), kind).vms(members);
            let id = cluster.add_rule(rule).expect("a good rule");
            if moves || cluster.rule_excess(id).is_ok_and(|excess| excess > 0) || choices.chance(1, 6) {
                break;
            }
            cluster.remove_rule(id).expect("a rule");
        }
    }
    let mut policy = Policy::default();
    policy.tolerate = vec![FailureClass::nodes(2)];
    VerdictCase { policy, cluster }
}

/// A case in which some VMs have few places, from a seed.
#[must_use]
pub fn scarce_from_seed(seed: u64) -> VerdictCase {
    scarce(&mut Choices::from_seed(seed ^ 0x5CA2_CE00))
}

/// A case in which banks need care: a third full, some VMs may run on few nodes or fit on few, some hold less or more as they start
/// than as they run, and a few rules, also of VMs on one node.
///
/// # Panics
/// If the cluster refuses an object that it should take.
#[must_use]
pub fn scarce(choices: &mut Choices<'_>) -> VerdictCase {
    let racks = choices.between(5, 9);
    let (mut cluster, nodes, on_node) = third_full(choices, racks, 12);
    let all: Vec<VmId> = on_node.iter().flatten().copied().collect();
    for number in 0..choices.between(1, 6) {
        let vm = choices.pick(&all);
        let mut changed = cluster.vm(vm).expect("a VM").to_vm();
        if choices.chance(2, 3) {
            let mut allowed = nodes.clone();
            choices.shuffle(&mut allowed);
            allowed.truncate(choices.index(4) + 3);
            allowed.extend(changed.node.into_iter().chain(changed.migrating_to));
            changed.allowed_nodes = Some(allowed);
        } else {
            // So large that it fits on empty nodes only.
            let node = Node::named(format!("large{number}")).capacity(vec![40; cluster.kinds().len()]);
            let node = node.domain("rack", format!("own{number}")).domain("site", format!("site{}", number % 2));
            cluster.add_node(node).expect("a good node");
            changed.restart_demand = Some(vec![choices.between(18, 28); cluster.kinds().len()].into());
        }
        if choices.chance(1, 4) {
            changed.restart_demand = Some(vec![choices.between(1, 9); cluster.kinds().len()].into());
        }
        cluster.update_vm(vm, changed).expect("a good VM");
    }
    let count = choices.between(0, 4);
    add_rules(choices, &mut cluster, count, &nodes, &on_node);
    let mut policy = Policy::default();
    let mut rack_and_node = FailureClass::nodes(1);
    rack_and_node.fail.push(("rack".to_string(), 1));
    let classes = [FailureClass::nodes(2), FailureClass::nodes(3), rack_and_node];
    let class = choices.weighted(&[(0, 5), (1, 2), (2, 2)]);
    policy.tolerate = vec![classes[class].clone()];
    if choices.chance(1, 6) {
        policy.preemption = Preemption::BestEffort;
    }
    VerdictCase { policy, cluster }
}

/// 9 to 12 nodes in so many racks that nest in sites or are dealt in turn, one to three VMs on each, of which one in so many is
/// on its way to another.
fn third_full(choices: &mut Choices<'_>, racks: u64, migrating: u64) -> (Cluster, Vec<NodeId>, Vec<Vec<VmId>>) {
    let width = choices.weighted(&[(1, 2), (2, 1)]);
    let mut cluster = empty(width, &["site", "rack"]);
    let count = choices.between(9, 12);
    let in_turn = choices.chance(1, 2);
    let nodes: Vec<NodeId> = (0..count)
        .map(|number| {
            let rack = if in_turn { number % racks } else { number * racks / count };
            let node = Node::named(format!("n{number}"));
            let node = node.domain("rack", format!("rack{rack}")).domain("site", format!("site{}", rack % 2));
            cluster.add_node(node.capacity(vec![30; width])).expect("a good node")
        })
        .collect();
    let mut on_node: Vec<Vec<VmId>> = Vec::new();
    for node in &nodes {
        let mut vms = Vec::new();
        for number in 0..choices.between(1, 3) {
            let demand: Vec<u64> = (0..width).map(|_| choices.between(1, 6)).collect();
            let mut vm = Vm::named(format!("v{}-{number}", on_node.len())).demand(demand).on(*node);
            if choices.chance(1, 12) {
                vm = vm.restart(RestartClass::BestEffort);
            }
            if choices.chance(1, migrating) {
                vm.migrating_to = Some(choices.pick(&nodes)).filter(|target| target != node);
            }
            vms.push(cluster.add_vm(vm).expect("a good VM"));
        }
        on_node.push(vms);
    }
    (cluster, nodes, on_node)
}

/// So many rules, each of VMs anywhere or now and then of those on one node.
fn add_rules(choices: &mut Choices<'_>, cluster: &mut Cluster, count: u64, nodes: &[NodeId], on_node: &[Vec<VmId>]) {
    let all: Vec<VmId> = on_node.iter().flatten().copied().collect();
    for number in 0..count {
        let members = if choices.chance(1, 3) { choices.pick(on_node) } else { all.clone() };
        if members.len() > 1 {
            add_rule(choices, cluster, number, nodes, &members);
        }
    }
}

fn empty(width: usize, levels: &[&str]) -> Cluster {
    let mut kinds = vec![ResourceKind::new("memory", "GiB"), ResourceKind::new("cpu", "cores")];
    kinds.push(ResourceKind { per_vm: 1, ..ResourceKind::new("vms", "VMs") });
    kinds.truncate(width);
    Cluster::new(ResourceKinds::from_kinds(kinds).expect("good kinds"), levels.iter().copied()).expect("good levels")
}

/// Into domains that cross each other, but for sites, which hold whole racks; now and then into none.
fn put_in_domains(choices: &mut Choices<'_>, node: &mut Node, levels: &[&str], racks: u64) {
    let rack = choices.below(racks);
    if levels.contains(&"site") {
        node.domains.push(("site".to_string(), format!("site{}", rack % 2)));
    }
    if choices.chance(5, 6) {
        node.domains.push(("rack".to_string(), format!("rack{rack}")));
    }
    if levels.contains(&"feed") && choices.chance(5, 6) {
        node.domains.push(("feed".to_string(), format!("feed{}", choices.below(3))));
    }
}

/// VMs where they fit, until so much of the nodes is used; a few wait for a place.
fn tight_vms(
    choices: &mut Choices<'_>,
    cluster: &mut Cluster,
    nodes: &[NodeId],
    width: usize,
    percent: u64,
    plain: bool,
) -> Vec<VmId> {
    let mut vms: Vec<VmId> = Vec::new();
    let largest = choices.pick(&[4, 6, 8]);
    let count = choices.between(4, 16);
    for number in 0..count {
        let demand: Vec<u64> = (0..width).map(|_| choices.between(1, largest)).collect();
        let node = choices.pick(nodes);
        if vms.len() == 12 {
            break;
        }
        let at = cluster.node(node).expect("a node");
        let full = |kind: usize| (at.used()[kind] + demand[kind]) * 100 > at.allocatable()[kind] * percent.max(75);
        let waits = choices.chance(1, 40);
        if !waits && (!at.state().runs_vms() || (0..width).any(full)) && !choices.chance(1, 40) {
            continue;
        }
        let total = |amount: fn(lifeboat::NodeRef<'_>) -> u64| cluster.nodes().map(amount).sum::<u64>();
        if total(|node| node.used()[0]) * 100 > total(|node| node.allocatable()[0]) * percent {
            break;
        }
        let mut vm = Vm::named(format!("v{number}")).demand(demand.clone()).powered_on();
        vm.node = Some(node).filter(|_| !waits);
        vm.priority = choices.weighted(&[(Priority::MEDIUM, 4), (Priority::HIGH, 2), (Priority::LOW, 1)]);
        if !plain {
            vm.restart = choices.weighted(&[
                (RestartClass::Protected, 12),
                (RestartClass::BestEffort, 3),
                (RestartClass::Never, 1),
            ]);
            if choices.chance(1, 8) {
                let other: Vec<u64> =
                    demand.iter().map(|amount| amount - choices.below(2) + choices.below(2)).collect();
                vm = vm.restart_demand(other);
            }
            if choices.chance(1, 12) {
                vm.migrating_to = Some(choices.pick(nodes)).filter(|target| vm.node.is_some_and(|at| at != *target));
            }
            if choices.chance(1, 12) {
                vm.preemptible = Some(false);
            }
            if choices.chance(1, 16) {
                vm.requires.push(choices.pick(&["x", "y"]).to_string());
            }
            if choices.chance(1, 10) {
                let allowed = nodes.iter().filter(|node| vm.node == Some(**node) || choices.chance(3, 4));
                vm.allowed_nodes = Some(allowed.copied().collect());
            }
            if choices.chance(1, 10) && !vms.is_empty() {
                let edge = StartEdge::after(choices.pick(&vms));
                let on_timeout = choices.pick(&[OnTimeout::GiveUp, OnTimeout::Continue]);
                vm = vm.starts_after(StartEdge { on_timeout, ..edge });
            }
        }
        vm.groups = choices.some(&["g"], 1, 4).into_iter().map(String::from).collect();
        // One that needs a VM of class never is refused: it is left out.
        vms.extend(cluster.add_vm(vm));
    }
    vms
}

/// A rule of two to four VMs that is kept where they are; one in eight may be broken.
fn add_rule(choices: &mut Choices<'_>, cluster: &mut Cluster, number: u64, nodes: &[NodeId], vms: &[VmId]) {
    let mut levels: Vec<String> = cluster.levels().map(String::from).collect();
    levels.extend([NODE_LEVEL.to_string(), NODE_LEVEL.to_string()]);
    let may_be_broken = choices.chance(1, 8);
    let strength =
        choices.weighted(&[(Strength::Required, 8), (Strength::Relaxed, 1), (Strength::Preferred { weight: 2 }, 1)]);
    let kind = choices.below(9);
    // Some draws, as most groups of VMs are not where such a rule would have them.
    for _ in 0..6 {
        let mut members = vms.to_vec();
        choices.shuffle(&mut members);
        members.truncate(choices.index(3) + 2);
        let Some(leader) = members.first().copied() else { return };
        let level = choices.pick(&levels);
        let mut rule = Rule::new(
            format!("r{number}"),
            match kind {
                0 | 1 => RuleKind::Separate { level, max_per_domain: choices.pick(&[1, 1, 2]) },
                2 => {
                    let (left, right) = members.split_at(members.len() / 2);
                    RuleKind::SeparateSides { level, sides: vec![left.to_vec(), right.to_vec()] }
                }
                3 => RuleKind::Together { level },
                4 => RuleKind::Confine(place(choices, nodes, 3)),
                5 => RuleKind::Exclude(place(choices, nodes, 1)),
                6 | 7 => {
                    let (min_domains, max_skew) = choices.pick(&[(2, None), (3, None), (0, Some(1)), (2, Some(1))]);
                    RuleKind::Spread { level, min_domains, max_skew }
                }
                _ => RuleKind::Follow { leader },
            },
        );
        if kind != 2 {
            rule.vms = members.into_iter().skip(usize::from(kind == 8)).collect();
            if choices.chance(1, 8) && kind < 8 {
                rule.vm_groups.push("g".to_string());
            }
        }
        // A leader that never runs again is refused.
        let Ok(id) = cluster.add_rule(rule.strength(strength)) else { continue };
        if may_be_broken || cluster.rule_excess(id).is_ok_and(|excess| excess == 0) {
            return;
        }
        cluster.remove_rule(id).expect("a rule");
    }
}

/// So many quarters of the nodes, by name or by a label.
fn place(choices: &mut Choices<'_>, nodes: &[NodeId], quarters: u64) -> Place {
    if choices.chance(1, 4) {
        return Place { labels: vec![choices.pick(&["x", "y"]).to_string()], ..Place::default() };
    }
    let mut place = Place { nodes: choices.some(nodes, quarters, 4), ..Place::default() };
    if place.nodes.is_empty() {
        place.nodes.push(choices.pick(nodes));
    }
    place
}

fn policy(choices: &mut Choices<'_>, plain: bool) -> Policy {
    let mut policy = Policy::default();
    policy.tolerate = classes();
    if !plain {
        policy.preemption =
            choices.weighted(&[(Preemption::Never, 4), (Preemption::BestEffort, 1), (Preemption::LowerPriority, 1)]);
        if choices.chance(1, 6) {
            for class in &mut policy.tolerate {
                class.min_priority = Some(Priority::HIGH);
            }
        }
        policy.maintenance_uses_tolerance = choices.chance(1, 12);
    }
    policy
}
