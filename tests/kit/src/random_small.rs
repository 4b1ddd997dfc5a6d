//! Small nasty clusters: every state, role, class, rule and odd amount that the model knows, on a few nodes.
//!
//! Uses `choices`, so that a seed or a fuzzer's bytes decide. Used by property tests and fuzz targets.

use crate::Choices;
use lifeboat::policy::{Preemption, Strategy, TierGate};
use lifeboat::{
    Cluster, Failure, NODE_LEVEL, Node, NodeId, NodeState, OnTimeout, Place, Policy, Power, Priority, ResourceKind,
    ResourceKinds, RestartClass, Role, Rule, RuleKind, StartEdge, Strength, Until, Vm, VmId,
};

/// A cluster, a policy, and something that fails.
#[derive(Clone, Debug)]
pub struct Case {
    /// The cluster.
    pub cluster: Cluster,
    /// The policy.
    pub policy: Policy,
    /// What fails.
    pub failure: Failure,
}

/// How large a case may be, and what may be in it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At most so many nodes; at least 1.
    pub nodes: u64,
    /// At most so many VMs.
    pub vms: u64,
    /// At most so many rules.
    pub rules: u64,
    /// Whether the policy may allow preemption.
    pub preemption: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nodes: 7, vms: 10, rules: 3, preemption: false }
    }
}

/// A case from a seed.
#[must_use]
pub fn from_seed(seed: u64, limits: Limits) -> Case {
    case(&mut Choices::from_seed(seed), limits)
}

/// A case from the bytes of a fuzzer, with preemption in some.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> Case {
    case(&mut Choices::from_bytes(bytes), Limits { preemption: true, ..Limits::default() })
}

/// A case from any source of choices.
#[must_use]
pub fn case(choices: &mut Choices<'_>, limits: Limits) -> Case {
    let cluster = cluster(choices, limits);
    let policy = policy(choices, limits);
    let failure = failure(choices, &cluster);
    Case { cluster, policy, failure }
}

/// A cluster.
///
/// # Panics
/// If the cluster refuses an object that it should take.
#[must_use]
pub fn cluster(choices: &mut Choices<'_>, limits: Limits) -> Cluster {
    let mut kinds = vec![ResourceKind::new("memory", "GiB")];
    if choices.chance(2, 3) {
        kinds.push(ResourceKind::new("cpu", "cores"));
    }
    if choices.chance(1, 4) {
        kinds.push(ResourceKind { per_vm: choices.below(3), ..ResourceKind::new("vms", "VMs") });
    }
    let width = kinds.len();
    let levels = choices.pick(&[&["rack"][..], &["rack", "feed"], &["site", "rack"], &[]]);
    let kinds = ResourceKinds::from_kinds(kinds).expect("good kinds");
    let mut cluster = Cluster::new(kinds, levels.iter().copied()).expect("good levels");
    let nodes = nodes(choices, limits, &mut cluster, levels, width);
    let vms = vms(choices, limits, &mut cluster, &nodes, width);
    for number in 0..choices.below(limits.rules + 1) {
        if let Some(rule) = rule(choices, &cluster, number, &nodes, &vms) {
            // A rule that the cluster refuses (a leader that never runs) is left out.
            let _ = cluster.add_rule(rule);
        }
    }
    cluster
}

fn nodes(
    choices: &mut Choices<'_>,
    limits: Limits,
    cluster: &mut Cluster,
    levels: &[&str],
    width: usize,
) -> Vec<NodeId> {
    // Equal nodes make for ties, unequal ones for odd fits; a large unit makes what does not divide.
    let equal = choices.chance(1, 3);
    let usual: Vec<u64> = (0..width).map(|_| choices.between(4, 12)).collect();
    let count = choices.between(1, limits.nodes);
    (0..count)
        .map(|number| {
            let mut node = Node::named(format!("n{number}"));
            node.capacity = if equal {
                usual.clone().into()
            } else {
                (0..width).map(|_| choices.below(13)).collect::<Vec<_>>().into()
            };
            if choices.chance(1, 5) {
                node.reserved = node.capacity.iter().map(|amount| choices.below((*amount).min(3) + 1)).collect();
            }
            for kind in 0..width {
                if choices.chance(1, 6) {
                    node.overcommit.push((kind, choices.pick(&[150, 50, 200, 133])));
                }
                if choices.chance(1, 6) {
                    node.failover_overcommit.push((kind, choices.pick(&[150, 50, 200, 0])));
                }
            }
            for level in levels {
                if choices.chance(4, 5) {
                    node.domains.push(((*level).to_string(), format!("{level}{}", choices.below(3))));
                }
            }
            node.labels = choices.some(&["x", "y"], 1, 2).into_iter().map(String::from).collect();
            if choices.chance(1, 8) {
                node.role = Role::Spare;
            }
            node.state = choices.weighted(&[
                (NodeState::Online, 16),
                (NodeState::Cordoned, 2),
                (NodeState::Maintenance, 1),
                (NodeState::Unreachable, 1),
                (NodeState::Failed, 1),
            ]);
            cluster.add_node(node).expect("a good node")
        })
        .collect()
}

fn vms(choices: &mut Choices<'_>, limits: Limits, cluster: &mut Cluster, nodes: &[NodeId], width: usize) -> Vec<VmId> {
    let mut vms: Vec<VmId> = Vec::new();
    let largest = choices.pick(&[4, 7, 10]);
    let plain = choices.chance(1, 3);
    for number in 0..choices.below(limits.vms + 1) {
        let mut vm = Vm::named(format!("v{number}"));
        let demand = |choices: &mut Choices<'_>| (0..width).map(|_| choices.below(largest)).collect::<Vec<u64>>();
        vm.demand = Some(demand(choices).into());
        vm.power = Some(Power::On);
        if !choices.chance(1, 5) {
            vm.node = Some(choices.pick(nodes));
        }
        vm.priority = choices.weighted(&[
            (Priority::MEDIUM, 6),
            (Priority::HIGH, 3),
            (Priority::LOW, 3),
            (Priority(2500), 1),
            (Priority(0), 1),
        ]);
        if !plain {
            if choices.chance(1, 5) {
                vm.restart_demand = Some(demand(choices).into());
            }
            if choices.chance(1, 8) {
                vm.power = Some(Power::Off);
            } else if vm.node.is_some() && choices.chance(1, 6) {
                vm.migrating_to = Some(choices.pick(nodes)).filter(|target| Some(*target) != vm.node);
            }
            vm.restart = choices.weighted(&[
                (RestartClass::Protected, 8),
                (RestartClass::BestEffort, 3),
                (RestartClass::Never, 1),
            ]);
            vm.preemptible = choices.pick(&[None, None, None, Some(false), Some(true)]);
            vm.requires = choices.some(&["x", "y"], 1, 10).into_iter().map(String::from).collect();
            if choices.chance(1, 6) {
                vm.allowed_nodes = Some(choices.some(nodes, 1, 2));
            }
            vm.starts_after = choices
                .some(&vms, 1, 8)
                .into_iter()
                .map(|before| StartEdge {
                    until: choices.pick(&[Until::Started, Until::Ready]),
                    on_timeout: choices.pick(&[OnTimeout::GiveUp, OnTimeout::Continue]),
                    ..StartEdge::after(before)
                })
                .collect();
        }
        vm.groups = choices.some(&["g", "h"], 1, 3).into_iter().map(String::from).collect();
        let without_edges = Vm::clone(&vm);
        let added = cluster.add_vm(vm).or_else(|_| {
            // One that needs a VM which never runs is refused: it does without.
            let mut vm = without_edges;
            vm.starts_after.clear();
            cluster.add_vm(vm)
        });
        vms.push(added.expect("a good VM"));
    }
    vms
}

fn rule(choices: &mut Choices<'_>, cluster: &Cluster, number: u64, nodes: &[NodeId], vms: &[VmId]) -> Option<Rule> {
    let mut levels: Vec<String> = cluster.levels().map(String::from).collect();
    levels.push(NODE_LEVEL.to_string());
    let level = choices.pick(&levels);
    if vms.is_empty() {
        return None;
    }
    let kind = match choices.below(9) {
        0 | 1 => RuleKind::Separate { level, max_per_domain: choices.pick(&[1, 1, 2]) },
        2 => {
            let mut sides = vec![Vec::new(), Vec::new(), Vec::new()];
            for vm in vms {
                if choices.chance(1, 2) {
                    sides[choices.index(3)].push(*vm);
                }
            }
            RuleKind::SeparateSides { level, sides }
        }
        3 => RuleKind::Together { level },
        4 => RuleKind::Confine(place(choices, cluster, nodes)),
        5 => RuleKind::Exclude(place(choices, cluster, nodes)),
        6 | 7 => {
            let (min_domains, max_skew) =
                choices.pick(&[(2, None), (3, None), (0, Some(1)), (2, Some(1)), (0, Some(0))]);
            RuleKind::Spread { level, min_domains, max_skew }
        }
        _ => RuleKind::Follow { leader: choices.pick(vms) },
    };
    let leader = if let RuleKind::Follow { leader } = &kind { Some(*leader) } else { None };
    let sided = matches!(kind, RuleKind::SeparateSides { .. });
    let mut rule = Rule::new(format!("r{number}"), kind);
    if !sided {
        rule.vms = choices.some(vms, 2, 5).into_iter().filter(|vm| Some(*vm) != leader).collect();
        if choices.chance(1, 3) {
            rule.vm_groups.push(choices.pick(&["g", "h"]).to_string());
        }
    }
    rule.strength =
        choices.weighted(&[(Strength::Required, 6), (Strength::Relaxed, 1), (Strength::Preferred { weight: 3 }, 1)]);
    Some(rule)
}

/// Some place that is not empty.
fn place(choices: &mut Choices<'_>, cluster: &Cluster, nodes: &[NodeId]) -> Place {
    let mut place = Place { nodes: choices.some(nodes, 2, 5), ..Place::default() };
    if choices.chance(1, 3) {
        for level in cluster.levels() {
            let (domains, _) = cluster.domains(level).expect("a level");
            for domain in domains {
                if choices.chance(1, 3) {
                    place.domains.push((level.to_string(), domain.to_string()));
                }
            }
        }
    }
    if choices.chance(1, 3) || (place.nodes.is_empty() && place.domains.is_empty()) {
        place.labels.push("x".to_string());
    }
    place
}

fn policy(choices: &mut Choices<'_>, limits: Limits) -> Policy {
    let mut policy = Policy::default();
    policy.strategy = choices.pick(&[Strategy::Spread, Strategy::Pack]);
    policy.start.tier_gate = choices.pick(&[TierGate::None, TierGate::None, TierGate::Started, TierGate::Ready]);
    if limits.preemption {
        policy.preemption = choices.pick(&[Preemption::Never, Preemption::BestEffort, Preemption::LowerPriority]);
    }
    policy
}

/// Some nodes, or a domain and perhaps a node; one time in eight nothing.
///
/// # Panics
/// If a domain of the cluster is not found.
#[must_use]
pub fn failure(choices: &mut Choices<'_>, cluster: &Cluster) -> Failure {
    let nodes: Vec<NodeId> = cluster.nodes().map(|node| node.id()).collect();
    let mut failure = Failure::none();
    if choices.chance(1, 8) {
        return failure;
    }
    let levels: Vec<&str> = cluster.levels().collect();
    let mut want = choices.weighted(&[(1, 4), (2, 2), (3, 1)]);
    if !levels.is_empty() && choices.chance(1, 4) {
        let level = choices.pick(&levels);
        let (domains, _) = cluster.domains(level).expect("a level");
        if !domains.is_empty() {
            failure = failure.domain(cluster, level, choices.pick(&domains)).expect("a domain");
            want = choices.below(2);
        }
    }
    for _ in 0..want {
        failure = failure.node(choices.pick(&nodes));
    }
    failure
}
