//! Conflicts against brute force: each one is real and minimal, and the patterns are found.
//!
//! Uses the test kit's random clusters. The judge tries every node for every VM, straight from the definitions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]

use lifeboat::{
    Cluster, ConflictCode, NODE_LEVEL, Node, NodeId, Place, ResourceKinds, Rule, RuleId, RuleKind, Vm, VmId, conflicts,
};
use lifeboat_testkit::Choices;
use std::collections::{BTreeMap, BTreeSet};

/// Whether these VMs can be placed with these rules, every other VM away.
fn has_placement(cluster: &Cluster, rules: &[RuleId], vms: &[VmId], joint: bool) -> bool {
    fn go(
        cluster: &Cluster,
        rules: &[RuleId],
        vms: &[VmId],
        joint: bool,
        nodes: &[NodeId],
        at: &mut Vec<NodeId>,
    ) -> bool {
        let Some(vm) = vms.get(at.len()) else { return holds(cluster, rules, vms, joint, at) };
        nodes.iter().any(|node| {
            if !alone(cluster, *vm, *node) {
                return false;
            }
            at.push(*node);
            let found = go(cluster, rules, vms, joint, nodes, at);
            at.pop();
            found
        })
    }
    let nodes: Vec<NodeId> = cluster.nodes().map(|node| node.id()).collect();
    go(cluster, rules, vms, joint, &nodes, &mut Vec::new())
}

fn need(cluster: &Cluster, vm: VmId) -> u64 {
    let vm = cluster.vm(vm).unwrap();
    vm.demand()[0].min(vm.restart_demand()[0])
}

fn most(cluster: &Cluster, node: NodeId) -> u64 {
    let node = cluster.node(node).unwrap();
    node.allocatable()[0].max(node.failover_allocatable()[0])
}

fn alone(cluster: &Cluster, id: VmId, node: NodeId) -> bool {
    let vm = cluster.vm(id).unwrap();
    let at = cluster.node(node).unwrap();
    vm.requires().iter().all(|label| at.has_label(label))
        && vm.allowed_nodes().is_none_or(|allowed| allowed.contains(&node))
        && need(cluster, id) <= most(cluster, node)
}

fn domain(cluster: &Cluster, level: &str, node: NodeId) -> String {
    let node = cluster.node(node).unwrap();
    node.domain(level).map_or_else(|| format!("own of {}", node.name()), String::from)
}

fn holds(cluster: &Cluster, rules: &[RuleId], vms: &[VmId], joint: bool, at: &[NodeId]) -> bool {
    if joint {
        let mut used: BTreeMap<NodeId, u64> = BTreeMap::new();
        for (vm, node) in vms.iter().zip(at) {
            *used.entry(*node).or_default() += need(cluster, *vm);
        }
        if used.iter().any(|(node, used)| *used > most(cluster, *node)) {
            return false;
        }
    }
    let place_of = |vm: VmId| vms.iter().position(|other| *other == vm).map(|position| at[position]);
    rules.iter().all(|rule| {
        let rule = cluster.rule(*rule).unwrap();
        let members: Vec<NodeId> = rule.members().filter_map(place_of).collect();
        let domains = |level: &str| members.iter().map(|node| domain(cluster, level, *node)).collect::<Vec<_>>();
        match rule.kind() {
            RuleKind::Separate { level, max_per_domain } => {
                let mut counts: BTreeMap<String, u32> = BTreeMap::new();
                domains(&level).into_iter().for_each(|domain| *counts.entry(domain).or_default() += 1);
                counts.values().all(|count| *count <= max_per_domain)
            }
            RuleKind::SeparateSides { level, sides } => {
                let sides: Vec<BTreeSet<String>> = sides
                    .iter()
                    .map(|side| side.iter().filter_map(|vm| place_of(*vm)).map(|node| domain(cluster, &level, node)))
                    .map(Iterator::collect)
                    .collect();
                (0..sides.len()).all(|one| (0..one).all(|other| sides[one].is_disjoint(&sides[other])))
            }
            RuleKind::Together { level } => domains(&level).into_iter().collect::<BTreeSet<_>>().len() <= 1,
            RuleKind::Confine(_) => members.iter().all(|node| rule.means_node(*node)),
            RuleKind::Exclude(_) => members.iter().all(|node| !rule.means_node(*node)),
            RuleKind::Spread { level, min_domains, .. } => {
                let used = domains(&level).into_iter().collect::<BTreeSet<_>>().len();
                used >= members.len().min(min_domains as usize)
            }
            RuleKind::Follow { leader } => {
                place_of(leader).is_none_or(|leader| members.iter().all(|node| *node == leader))
            }
        }
    })
}

/// Few nodes, few VMs, many rules.
fn case(seed: u64) -> Cluster {
    let mut choices = Choices::from_seed(seed);
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")]).unwrap(), ["rack"]).unwrap();
    let mut nodes = Vec::new();
    for number in 0..2 + choices.index(3) {
        let mut node = Node::named(format!("n{number}")).capacity([4 + choices.index(5) as u64]);
        if choices.chance(3, 4) {
            node = node.domain("rack", choices.pick(&["a", "b"]));
        }
        if choices.chance(1, 2) {
            node = node.label("fast");
        }
        nodes.push(cluster.add_node(node).unwrap());
    }
    let mut vms = Vec::new();
    for number in 0..2 + choices.index(4) {
        let mut vm = Vm::named(format!("v{number}")).demand([1 + choices.index(5) as u64]).powered_on();
        if choices.chance(1, 8) {
            vm = vm.requires("fast");
        }
        if choices.chance(1, 6) {
            vm = vm.allowed_nodes([choices.pick(&nodes), choices.pick(&nodes)]);
        }
        vms.push(cluster.add_vm(vm).unwrap());
    }
    for number in 0..1 + choices.index(4) {
        let level = choices.pick(&[NODE_LEVEL, NODE_LEVEL, "rack"]).to_string();
        let mut members: BTreeSet<VmId> = (0..2 + choices.index(3)).map(|_| choices.pick(&vms)).collect();
        let place = || Place::default();
        let kind = match choices.index(9) {
            0..=2 => RuleKind::Separate { level, max_per_domain: choices.pick(&[1, 1, 2]) },
            3 | 4 => RuleKind::Together { level },
            5 => RuleKind::Confine(Place { nodes: vec![choices.pick(&nodes)], ..place() }),
            6 => RuleKind::Exclude(Place { nodes: vec![choices.pick(&nodes), choices.pick(&nodes)], ..place() }),
            7 => RuleKind::Spread { level, min_domains: 2 + choices.index(2) as u32, max_skew: None },
            _ => {
                let leader = choices.pick(&vms);
                members.remove(&leader);
                RuleKind::Follow { leader }
            }
        };
        if !members.is_empty() {
            cluster.add_rule(Rule::new(format!("r{number}"), kind).vms(members)).ok();
        }
    }
    cluster
}

#[test]
fn every_conflict_is_real_and_minimal() {
    let mut seen: BTreeMap<ConflictCode, u32> = BTreeMap::new();
    let (mut missed, mut hopeless) = (0, 0);
    for seed in 0..3_000 {
        let cluster = case(seed);
        let found = conflicts(&cluster);
        for conflict in &found {
            *seen.entry(conflict.code).or_default() += 1;
            let what = || format!("seed {seed}: {conflict:?}");
            let joint = conflict.code == ConflictCode::TogetherTooLarge;
            assert!(!has_placement(&cluster, &conflict.rules, &conflict.vms, joint), "not one, {}", what());
            assert!(conflict.minimal, "{}", what());
            for left_out in 0..conflict.rules.len() {
                let mut rules = conflict.rules.clone();
                rules.remove(left_out);
                assert!(has_placement(&cluster, &rules, &conflict.vms, joint), "rule {left_out} too many, {}", what());
            }
            for left_out in 0..conflict.vms.len() {
                let mut vms = conflict.vms.clone();
                vms.remove(left_out);
                assert!(has_placement(&cluster, &conflict.rules, &vms, joint), "VM {left_out} too many, {}", what());
            }
        }
        // Nothing is reported where everything has a placement.
        let all: Vec<RuleId> = cluster.rules().map(|rule| rule.id()).collect();
        let vms: Vec<VmId> = cluster.vms().map(|vm| vm.id()).collect();
        let possible = has_placement(&cluster, &all, &vms, false);
        let room = found.iter().all(|conflict| conflict.code == ConflictCode::TogetherTooLarge);
        assert!(!possible || room, "seed {seed}: {found:?}");
        hopeless += u32::from(!possible);
        missed += u32::from(!possible && found.is_empty());
    }
    println!("{seen:?}; of {hopeless} clusters whose rules cannot all hold {missed} show no known pattern");
    assert!(seen.len() >= 7, "{seen:?}");
}
