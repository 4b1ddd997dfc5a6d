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
        let kind = match choices.index(10) {
            0..=2 => RuleKind::Separate { level, max_per_domain: choices.pick(&[1, 1, 2]) },
            3 | 4 => RuleKind::Together { level },
            5 => RuleKind::Confine(Place { nodes: vec![choices.pick(&nodes)], ..place() }),
            6 => RuleKind::Exclude(Place { nodes: vec![choices.pick(&nodes), choices.pick(&nodes)], ..place() }),
            7 => {
                let sides: Vec<Vec<VmId>> = members.iter().map(|vm| vec![*vm]).collect();
                let (left, right) = sides.split_at(sides.len() / 2);
                let sides = vec![left.concat(), right.concat()];
                members.clear();
                cluster.add_rule(Rule::new(format!("r{number}"), RuleKind::SeparateSides { level, sides })).ok();
                continue;
            }
            8 => RuleKind::Spread { level, min_domains: 2 + choices.index(2) as u32, max_skew: None },
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

/// VMs on twenty nodes, ten in each of two racks.
fn plain(vms: usize) -> (Cluster, Vec<VmId>) {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")]).unwrap(), ["rack"]).unwrap();
    for number in 0..20 {
        let node = Node::named(format!("n{number}")).capacity([1_000_000]);
        cluster.add_node(node.domain("rack", if number < 10 { "a" } else { "b" })).unwrap();
    }
    let vm = |number| Vm::named(format!("v{number:05}")).demand([1]).powered_on();
    let vms = (0..vms).map(|number| cluster.add_vm(vm(number)).unwrap()).collect();
    (cluster, vms)
}

fn node_level() -> String {
    NODE_LEVEL.to_string()
}

#[test]
fn a_chain_of_any_length() {
    for long in [3, 30, 40, 300, 20_000] {
        let (mut cluster, vms) = plain(long);
        for (number, pair) in vms.windows(2).enumerate() {
            // Nodes lie in racks: ties of both levels count for racks.
            let level = if number % 3 == 0 { node_level() } else { "rack".into() };
            let together = Rule::new(format!("t{number:05}"), RuleKind::Together { level });
            cluster.add_rule(together.vms(pair.iter().copied())).unwrap();
        }
        let shortcut = Rule::new("wide", RuleKind::Together { level: node_level() });
        cluster.add_rule(shortcut.vms([vms[0], vms[1], vms[2]])).unwrap();
        let apart = RuleKind::Separate { level: "rack".into(), max_per_domain: 1 };
        cluster.add_rule(Rule::new("apart", apart).vms([vms[0], vms[long - 1]])).unwrap();
        let found = conflicts(&cluster);
        assert_eq!(found.len(), 1, "{long}");
        assert_eq!(found[0].code, ConflictCode::TogetherAndApart);
        assert!(found[0].minimal, "{long}");
        // Over the rule of three the second VM is not needed.
        assert_eq!((found[0].vms.len(), found[0].rules.len()), (long - 1, long - 1));
        assert!(!found[0].vms.contains(&vms[1]));
    }
}

#[test]
fn a_chain_over_leaders_and_between_sides() {
    // Followers of leaders who follow: v0 leads 1 and 2, v2 leads 3, and so on; every leader is needed, for he alone ties.
    let (mut cluster, vms) = plain(1_000);
    for (number, pair) in vms.chunks(2).enumerate().skip(1) {
        let leader = vms[number * 2 - 2];
        let follow = Rule::new(format!("f{number:05}"), RuleKind::Follow { leader });
        cluster.add_rule(follow.vms(pair.iter().copied())).unwrap();
    }
    // The end is kept from a VM beside the way, and from two on it: only the last of those counts.
    let sides = vec![vec![vms[0], vms[500], vms[501]], vec![vms[999]], vec![vms[1]]];
    let rule = Rule::new("apart", RuleKind::SeparateSides { level: node_level(), sides });
    cluster.add_rule(rule).unwrap();
    let found = conflicts(&cluster);
    assert_eq!(found.len(), 1);
    assert!(found[0].minimal);
    assert!(!found[0].vms.contains(&vms[0]));
    assert!(found[0].vms.contains(&vms[999]));
    let tied = found[0].rules.len() - 1;
    assert_eq!(found[0].vms.len(), tied + 1, "a tree of one way");
}

#[test]
fn more_tied_than_a_domain_may_hold_and_more_than_domains_hold() {
    let (mut cluster, vms) = plain(3_000);
    for (number, pair) in vms.windows(2).enumerate() {
        let together = Rule::new(format!("t{number:05}"), RuleKind::Together { level: node_level() });
        cluster.add_rule(together.vms(pair.iter().copied())).unwrap();
    }
    let few = RuleKind::Separate { level: node_level(), max_per_domain: 2 };
    cluster.add_rule(Rule::new("few", few).vms([vms[0], vms[1500], vms[2999]])).unwrap();
    let all = RuleKind::Separate { level: node_level(), max_per_domain: 100 };
    cluster.add_rule(Rule::new("all", all).vms(vms.iter().copied())).unwrap();
    let found = conflicts(&cluster);
    let codes: Vec<ConflictCode> = found.iter().map(|conflict| conflict.code).collect();
    use ConflictCode::{TogetherAndApart, TooFewDomains};
    assert_eq!(codes, [TooFewDomains, TogetherAndApart, TogetherAndApart]);
    assert_eq!((found[0].vms.len(), found[0].minimal), (2_001, true));
    // Of the chain as much as has one more than may be.
    assert!(found[1].minimal && found[2].minimal);
    assert_eq!((found[1].vms.len(), found[2].vms.len()), (101, 3_000));
}
