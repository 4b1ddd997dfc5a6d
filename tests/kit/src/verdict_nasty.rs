//! Clusters full of rules that overlap on few VMs.
//!
//! Uses `choices`. What waits, migrates, is unreachable or best effort is in them, levels that cross, and nodes without a domain.

use crate::choices::Choices;
use crate::verdict_cases::{VerdictCase, state};
use lifeboat::policy::{FailureClass, Preemption};
use lifeboat::{
    Cluster, NODE_LEVEL, Node, OnTimeout, Policy, Power, Priority, ResourceKinds, RestartClass, Rule, RuleKind,
    StartEdge, Strength, Vm, VmId,
};

/// A class that may lose so many units of each of these levels.
#[must_use]
pub fn class(units: &[(&str, u32)]) -> FailureClass {
    let mut class = FailureClass::nodes(0);
    class.fail = units.iter().map(|(level, count)| ((*level).to_string(), *count)).collect();
    class
}

/// Many rules that overlap on few VMs, from a seed.
///
/// # Panics
/// If the cluster refuses an object that it should take.
#[must_use]
pub fn nasty(seed: u64) -> VerdictCase {
    let choices = &mut Choices::from_seed(seed ^ 0xA77A_C4E2);
    let shape = seed % 4;
    let width = choices.weighted(&[(1, 3), (2, 1)]);
    let kinds = ResourceKinds::new((0..width).map(|kind| (format!("k{kind}"), ""))).unwrap();
    let mut cluster = Cluster::new(kinds, ["site", "rack", "feed"]).unwrap();
    // Every other one plainer, with more room and fewer rules, so that banks apply.
    let plain = seed / 4 % 2 == 1;
    let count = match shape {
        _ if plain => choices.between(11, 16),
        0 => choices.between(9, 13),
        1 => choices.between(10, 13),
        2 => choices.between(5, 7),
        _ => choices.between(9, 14),
    };
    let racks = choices.between(2, 7);
    let feeds = choices.between(2, 4);
    let layout = choices.below(3);
    let odd = if plain { choices.chance(1, 4) } else { !choices.chance(1, 3) };
    let capacity = if plain { choices.pick(&[10, 14, 20, 30]) } else { 30 };
    let mut nodes = Vec::new();
    for number in 0..count {
        let rack = match layout {
            0 => number % racks,
            1 => number * racks / count,
            _ => choices.below(racks),
        };
        let mut node = Node::named(format!("n{number}")).capacity(vec![
            choices.pick(&[
                capacity,
                capacity,
                capacity + capacity / 3
            ]);
            width
        ]);
        if !(odd && choices.chance(1, 9)) {
            node = node.domain("rack", format!("r{rack}"));
        }
        if !(odd && choices.chance(1, 12)) {
            node = node.domain("site", format!("s{}", if layout == 2 { choices.below(3) } else { rack % 3 }));
        }
        if !(odd && choices.chance(1, 6)) {
            node = node.domain("feed", format!("f{}", choices.below(feeds)));
        }
        if odd {
            node.state = state(choices);
        }
        nodes.push(cluster.add_node(node).unwrap());
    }
    let mut all: Vec<VmId> = Vec::new();
    let mut on_node: Vec<Vec<VmId>> = Vec::new();
    let weak = choices.chance(1, 2);
    let (most, largest) = match shape {
        _ if plain => (2, choices.pick(&[3, 5])),
        1 => (2, 4),
        2 => (2, choices.pick(&[8, 12])),
        _ => (3, choices.pick(&[3, 5])),
    };
    for node in &nodes {
        let mut here = Vec::new();
        for number in 0..choices.between(0, most) {
            let demand: Vec<u64> = (0..width).map(|_| choices.between(1, largest)).collect();
            let mut vm = Vm::named(format!("v{}-{number}", on_node.len())).demand(demand.clone()).on(*node);
            vm.restart = choices.weighted(&[
                (RestartClass::Protected, if weak { 8 } else { 20 }),
                (RestartClass::BestEffort, 3),
                (RestartClass::Never, 1),
            ]);
            vm.priority = choices.weighted(&[(Priority::MEDIUM, 3), (Priority::HIGH, 2), (Priority::LOW, 1)]);
            if choices.chance(1, if plain { 50 } else { 14 }) {
                vm.node = None;
                vm.power = Some(Power::On);
            } else if choices.chance(1, if plain { 50 } else { 14 }) {
                vm.power = Some(Power::Off);
                vm.node = None;
            } else if choices.chance(1, if plain { 40 } else { 12 }) {
                vm.migrating_to = Some(choices.pick(&nodes)).filter(|to| to != node);
            }
            if choices.chance(1, 12) {
                vm = vm.restart_demand(demand.iter().map(|amount| amount + 1).collect::<Vec<_>>());
            }
            if choices.chance(1, 16) && !all.is_empty() {
                let on_timeout = choices.pick(&[OnTimeout::GiveUp, OnTimeout::Continue]);
                vm = vm.starts_after(StartEdge { on_timeout, ..StartEdge::after(choices.pick(&all)) });
            }
            if choices.chance(1, 25) {
                vm.allowed_nodes =
                    Some(nodes.iter().filter(|to| *to == node || choices.chance(3, 4)).copied().collect());
            }
            if let Ok(id) = cluster.add_vm(vm) {
                here.push(id);
                all.push(id);
            }
        }
        on_node.push(here);
    }
    // A few VMs that most rules are about.
    let mut core: Vec<VmId> = all.clone();
    choices.shuffle(&mut core);
    core.truncate(choices.index(5) + 4);
    for here in &on_node {
        if here.len() > 1 && choices.chance(1, 4) {
            core.extend(here.iter().copied());
        }
    }
    core.sort_unstable();
    core.dedup();
    let rules = if plain { choices.between(1, 4) } else { choices.between(1, 9) };
    for number in 0..rules {
        rule(choices, &mut cluster, number, &core, &all, &on_node);
    }
    let mut policy = Policy::default();
    policy.budget.verify = 2_000_000;
    policy.budget.admit = 300_000;
    policy.tolerate = match shape {
        1 => vec![class(&[("node", 3)]), class(&[("rack", 1), ("node", 2)])],
        2 => vec![
            class(&[("node", 1)]),
            class(&[("node", 2)]),
            class(&[("rack", 1)]),
            class(&[("rack", 1), ("node", 1)]),
        ],
        0 => vec![class(&[("node", 2)]), class(&[("rack", 1), ("node", 1)]), class(&[("rack", 2)])],
        _ => vec![
            class(&[("node", 2)]),
            class(&[("feed", 1), ("node", 1)]),
            class(&[("site", 1), ("node", 1)]),
            class(&[("rack", 1)]),
        ],
    };
    if choices.chance(1, 5) {
        for class in &mut policy.tolerate {
            class.min_priority = Some(Priority::HIGH);
        }
    }
    if choices.chance(1, 4) {
        policy.preemption = Preemption::BestEffort;
    }
    VerdictCase { cluster, policy }
}

fn rule(
    choices: &mut Choices<'_>,
    cluster: &mut Cluster,
    number: u64,
    core: &[VmId],
    all: &[VmId],
    on_node: &[Vec<VmId>],
) {
    let may_be_broken = choices.chance(1, 15);
    let kind = choices.weighted(&[(0, 4), (1, 2), (2, 3), (3, 3), (4, 3), (5, 1)]);
    for _ in 0..12 {
        let level = choices.pick(&["site", "rack", "feed", NODE_LEVEL, NODE_LEVEL]).to_string();
        let mut members: Vec<VmId> = match choices.below(4) {
            0 | 1 => core.to_vec(),
            2 => choices.pick(on_node),
            _ => all.to_vec(),
        };
        if matches!(kind, 2 | 4) && choices.chance(2, 3) {
            // All of one domain.
            let Some(first) = members.first().copied() else { continue };
            let at = |vm: VmId| cluster.vm(vm).unwrap().node();
            let level = if kind == 4 { NODE_LEVEL } else { &*level };
            let home = |vm: VmId| {
                at(vm).map(|node| {
                    let node = cluster.node(node).unwrap();
                    if level == NODE_LEVEL {
                        node.name().to_string()
                    } else {
                        node.domain(level).unwrap_or(node.name()).to_string()
                    }
                })
            };
            let first = choices.pick(&members).max(first);
            let domain = home(first);
            members = all.iter().copied().filter(|vm| home(*vm) == domain || choices.chance(1, 30)).collect();
        }
        choices.shuffle(&mut members);
        members.truncate(choices.index(4) + 2);
        if members.len() < 2 {
            continue;
        }
        let leader = members[0];
        let body = match kind {
            0 => RuleKind::Separate { level, max_per_domain: choices.pick(&[1, 1, 2, 3]) },
            1 => {
                let parts = choices.pick(&[2, 3, 3]);
                let mut sides = vec![Vec::new(); parts];
                for (at, vm) in members.iter().enumerate() {
                    sides[if at < parts { at } else { choices.index(parts) }].push(*vm);
                }
                sides.retain(|side: &Vec<VmId>| !side.is_empty());
                RuleKind::SeparateSides { level, sides }
            }
            2 => RuleKind::Together { level },
            3 => {
                let (min_domains, max_skew) =
                    choices.pick(&[(2, None), (3, None), (2, None), (2, Some(4)), (2, None), (0, Some(1))]);
                RuleKind::Spread { level, min_domains, max_skew }
            }
            _ => RuleKind::Follow { leader },
        };
        let mut rule = Rule::new(format!("x{number}"), body);
        if kind != 1 {
            rule.vms = members.into_iter().skip(usize::from(kind >= 4)).collect();
        }
        let Ok(id) = cluster.add_rule(rule.strength(Strength::Required)) else { continue };
        if may_be_broken || cluster.rule_excess(id).is_ok_and(|excess| excess == 0) {
            return;
        }
        cluster.remove_rule(id).unwrap();
    }
}
