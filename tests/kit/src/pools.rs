//! Clusters for long runs of requests and facts: racks of nodes, VMs with rules, labels and lists of nodes.
//!
//! Uses `choices`.

use crate::Choices;
use lifeboat::policy::{FailureClass, Strategy};
use lifeboat::{Cluster, Node, NodeId, Place, Policy, ResourceKinds, RestartClass, Rule, RuleKind, Strength, Vm, VmId};

/// Whether `separate` rules keep VMs apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Apart {
    No,
    /// Nearly all VMs are in one.
    One,
    /// They are in several, by groups too, and there is little room, in few racks.
    Several,
}

/// What is churned.
pub struct Pool {
    pub nodes: u64,
    pub vms_per_node: u64,
    pub rules: bool,
    pub apart: Apart,
    /// Whether VMs differ in priority.
    pub priorities: bool,
    pub policy: Policy,
}

/// A policy of these classes.
#[must_use]
pub fn policy(classes: Vec<FailureClass>, strategy: Strategy) -> Policy {
    let mut policy = Policy::default();
    policy.tolerate = classes;
    policy.strategy = strategy;
    policy
}

/// A rack and a node.
#[must_use]
pub fn mixed() -> FailureClass {
    let mut class = FailureClass::nodes(1);
    class.fail.push(("rack".into(), 1));
    class
}

/// Nodes in racks, with VMs on them, a sixth of them off; a few with rules, labels and lists of nodes.
///
/// # Panics
/// If the cluster refuses an object that it should take.
pub fn build(pool: &Pool, choices: &mut Choices<'_>) -> Cluster {
    let kinds = ResourceKinds::new([("cpu", "MHz"), ("memory", "MiB")]).unwrap();
    let mut cluster = Cluster::new(kinds, ["rack"]).unwrap();
    let tight = pool.apart == Apart::Several;
    let mut nodes = Vec::new();
    for at in 0..pool.nodes {
        let memory = choices.pick(if tight { &[20, 24, 32] } else { &[64, 64, 64, 96, 128][..] });
        let mut node = Node::named(format!("n{at:05}")).capacity([memory * 10, memory]);
        let racks = if tight { pool.nodes.div_ceil(2) } else { 8 };
        node = node.domain("rack", format!("r{}", at * racks / pool.nodes.max(racks)));
        if choices.chance(1, 2) {
            node = node.label("san");
        }
        nodes.push((cluster.add_node(node).unwrap(), memory));
    }
    for at in 0..pool.nodes * pool.vms_per_node {
        let (node, memory) = nodes[choices.index(nodes.len())];
        let mut vm = new_vm(choices, format!("vm-{at}"), &nodes.iter().map(|(node, _)| *node).collect::<Vec<_>>());
        if pool.priorities {
            prefer(choices, &mut vm);
        }
        if tight {
            vm.groups = choices.some(&GROUPS, 1, 8).into_iter().map(String::from).collect();
        }
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
    if pool.apart != Apart::No {
        keep_apart(&mut cluster, choices);
    }
    if tight {
        keep_groups_apart(&mut cluster, choices);
    }
    cluster
}

/// The groups that rules speak of.
pub const GROUPS: [&str; 3] = ["first", "second", "third"];

/// Rules whose members are in others, too, and change: those of groups, and of VMs that were drawn before.
fn keep_groups_apart(cluster: &mut Cluster, choices: &mut Choices<'_>) {
    let vms: Vec<VmId> = cluster.vms().map(lifeboat::VmRef::id).collect();
    for number in 0..vms.len() / 2 {
        let level = choices.pick(&["node", "node", "rack"]).to_string();
        let max_per_domain = choices.pick(&[1, 2, 3]);
        let mut rule = Rule::new(format!("again {number}"), RuleKind::Separate { level, max_per_domain });
        rule.vms = choices.some(&vms, 1, 6);
        if choices.chance(1, 3) {
            rule = rule.vm_group(choices.pick(&GROUPS));
        }
        let id = cluster.add_rule(rule).unwrap();
        if cluster.rule_excess(id).unwrap() > 0 && choices.chance(19, 20) {
            cluster.remove_rule(id).unwrap();
        }
    }
}

/// Two to five VMs at a time are kept apart, in every way that there is; those whose rule would be broken are not.
fn keep_apart(cluster: &mut Cluster, choices: &mut Choices<'_>) {
    let mut vms: Vec<VmId> = cluster.vms().map(lifeboat::VmRef::id).collect();
    for at in (1..vms.len()).rev() {
        vms.swap(at, choices.index(at + 1));
    }
    let mut rest = &vms[..];
    while rest.len() >= 5 {
        let (members, others) = rest.split_at(2 + choices.index(4));
        rest = others;
        let number = rest.len();
        let level = choices.pick(&["node", "node", "node", "rack"]).to_string();
        let mut rule = if choices.chance(1, 5) {
            let sides = members.chunks(2).map(<[_]>::to_vec).collect();
            Rule::new(format!("sides {number}"), RuleKind::SeparateSides { level, sides })
        } else {
            let max_per_domain = choices.pick(&[1, 1, 2]);
            let kind = RuleKind::Separate { level, max_per_domain };
            Rule::new(format!("apart {number}"), kind).vms(members.iter().copied())
        };
        if choices.chance(1, 6) {
            rule.strength = Strength::Relaxed;
        }
        let id = cluster.add_rule(rule).unwrap();
        if cluster.rule_excess(id).unwrap() > 0 && choices.chance(9, 10) {
            cluster.remove_rule(id).unwrap();
        }
    }
}

/// A VM that is off.
pub fn new_vm(choices: &mut Choices<'_>, name: String, nodes: &[NodeId]) -> Vm {
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

/// A third is more important than the others, a third less.
pub fn prefer(choices: &mut Choices<'_>, vm: &mut Vm) {
    vm.priority = choices.pick(&[lifeboat::Priority::LOW, lifeboat::Priority::MEDIUM, lifeboat::Priority::HIGH]);
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
    // On one node in four VMs that plans packed anew must keep apart, spread or together.
    for number in 0..cluster.nodes().count() / 4 {
        let members = pick(choices, 3);
        let home = cluster.vm(members[0]).unwrap().node();
        let kind = match number % 4 {
            0 | 1 => apart("node"),
            2 => RuleKind::Spread { level: "rack".into(), min_domains: 2, max_skew: None },
            _ => RuleKind::Together { level: "node".into() },
        };
        let beside = |vm: &VmId| number % 4 != 3 || cluster.vm(*vm).unwrap().node() == home;
        let members: Vec<VmId> = match number % 4 {
            3 => vms.iter().copied().filter(beside).take(2).collect(),
            _ => members,
        };
        let id = cluster.add_rule(Rule::new(format!("bond {number}"), kind).vms(members)).unwrap();
        if cluster.rule_excess(id).unwrap() > 0 {
            cluster.remove_rule(id).unwrap();
        }
    }
}
