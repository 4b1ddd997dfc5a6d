//! Random sequences of every edit against a naive model: a plain list of descriptions.
//!
//! After each edit every object must read back as the model says, and everything derived must be right. A refused
//! edit must change nothing.
//!
//! Uses `choices` and the public interface. Used by `tests/cluster_edits.rs`, and by the fuzz target `edits` through
//! `properties`.

use crate::Choices;
use lifeboat::{
    Cluster, EditError, Node, NodeId, NodeState, OnTimeout, Place, Power, Priority, ResourceKinds, RestartClass, Rule,
    RuleId, RuleKind, StartEdge, Strength, Vm, VmId,
};

/// One edit. Objects are meant by position, wrapped around; what there is none of is left alone.
#[derive(Clone, Debug)]
pub enum Op {
    /// A node more, unless the name is taken.
    AddNode(u8, NodeForm),
    /// A node becomes another.
    UpdateNode(u8, u8, NodeForm),
    /// A node goes.
    RemoveNode(u8),
    /// A node changes its state.
    State(u8, u8),
    /// A VM more, unless the name is taken.
    AddVm(u8, VmForm),
    /// A VM becomes another.
    UpdateVm(u8, u8, VmForm),
    /// A VM goes.
    RemoveVm(u8),
    /// A VM starts, on a node or waiting for one.
    Start(u8, Option<u8>),
    /// A VM stops.
    Stop(u8),
    /// A VM is on another node, or on none.
    Move(u8, Option<u8>),
    /// A live move begins.
    Migrate(u8, u8),
    /// A live move ends, having arrived or not.
    EndMigration(u8, bool),
    /// A VM changes its demand.
    Resize(u8, u16, Option<u16>),
    /// Start edges of several VMs change at once.
    Edges(Vec<(u8, Vec<(u8, bool)>)>),
    /// A rule more, unless the name is taken.
    AddRule(u8, RuleForm),
    /// A rule becomes another.
    UpdateRule(u8, u8, RuleForm),
    /// A rule goes.
    RemoveRule(u8),
    /// The names of a level are declared.
    Declare,
}

/// What a node is made of.
pub type NodeForm = (u16, u8, Option<u8>, Option<u8>, u8, u8);
/// What a VM is made of.
pub type VmForm =
    (Option<u16>, Option<u16>, Option<u8>, Option<bool>, Option<u8>, u8, u8, u8, Option<u8>, Vec<(u8, bool)>);
/// What a rule is made of.
pub type RuleForm = (u8, Vec<u8>, u8, u8, u8, bool);

impl Op {
    /// Any edit, with about the weights of a cluster's life.
    #[must_use]
    pub fn choose(choices: &mut Choices<'_>) -> Self {
        match choices.below(35) {
            0..=2 => Self::AddNode(small(choices, 12), node_form(choices)),
            3 => Self::UpdateNode(byte(choices), small(choices, 12), node_form(choices)),
            4 => Self::RemoveNode(byte(choices)),
            5..=6 => Self::State(byte(choices), small(choices, 5)),
            7..=12 => Self::AddVm(small(choices, 30), vm_form(choices)),
            13..=14 => Self::UpdateVm(byte(choices), small(choices, 30), vm_form(choices)),
            15..=16 => Self::RemoveVm(byte(choices)),
            17..=18 => Self::Start(byte(choices), maybe(choices, byte)),
            19..=20 => Self::Stop(byte(choices)),
            21..=22 => Self::Move(byte(choices), maybe(choices, byte)),
            23..=25 => Self::Migrate(byte(choices), byte(choices)),
            26 => Self::EndMigration(byte(choices), choices.chance(1, 2)),
            27..=28 => Self::Resize(byte(choices), amount(choices), maybe(choices, amount)),
            29 => {
                let changes = choices.index(4);
                Self::Edges((0..changes).map(|_| (byte(choices), edge_forms(choices))).collect())
            }
            30..=31 => Self::AddRule(small(choices, 8), rule_form(choices)),
            32 => Self::UpdateRule(byte(choices), small(choices, 8), rule_form(choices)),
            33 => Self::RemoveRule(byte(choices)),
            _ => Self::Declare,
        }
    }
}

fn small(choices: &mut Choices<'_>, limit: u8) -> u8 {
    u8::try_from(choices.below(u64::from(limit))).expect("below a byte")
}

fn byte(choices: &mut Choices<'_>) -> u8 {
    u8::try_from(choices.below(256)).expect("a byte")
}

fn amount(choices: &mut Choices<'_>) -> u16 {
    u16::try_from(choices.below(1 << 16)).expect("two bytes")
}

fn maybe<T>(choices: &mut Choices<'_>, draw: impl Fn(&mut Choices<'_>) -> T) -> Option<T> {
    if choices.chance(1, 2) { Some(draw(choices)) } else { None }
}

fn edge_forms(choices: &mut Choices<'_>) -> Vec<(u8, bool)> {
    let count = choices.index(2);
    (0..count).map(|_| (byte(choices), choices.chance(1, 2))).collect()
}

fn node_form(choices: &mut Choices<'_>) -> NodeForm {
    (
        amount(choices),
        small(choices, 50),
        maybe(choices, |choices| small(choices, 3)),
        maybe(choices, |choices| small(choices, 3)),
        small(choices, 8),
        small(choices, 5),
    )
}

fn vm_form(choices: &mut Choices<'_>) -> VmForm {
    let demand = |choices: &mut Choices<'_>| u16::try_from(choices.below(1000)).expect("two bytes");
    (
        maybe(choices, demand),
        maybe(choices, demand),
        maybe(choices, byte),
        maybe(choices, |choices| choices.chance(1, 2)),
        maybe(choices, byte),
        small(choices, 5),
        small(choices, 3),
        small(choices, 8),
        maybe(choices, byte),
        edge_forms(choices),
    )
}

fn rule_form(choices: &mut Choices<'_>) -> RuleForm {
    let members = choices.index(4);
    (
        small(choices, 8),
        (0..members).map(|_| byte(choices)).collect(),
        small(choices, 4),
        small(choices, 3),
        byte(choices),
        choices.chance(1, 2),
    )
}

/// The naive model: what was added, as it was described.
#[derive(Default, Clone, Debug)]
pub struct Model {
    nodes: Vec<(NodeId, Node)>,
    vms: Vec<(VmId, Vm)>,
    rules: Vec<(RuleId, Rule)>,
}

fn pick<I: Copy, T>(list: &[(I, T)], at: u8) -> Option<I> {
    if list.is_empty() { None } else { Some(list[usize::from(at) % list.len()].0) }
}

impl Model {
    /// An empty cluster with two kinds and the levels `site` and `rack`, and the model of it.
    ///
    /// # Panics
    /// If the cluster refuses its kinds and levels.
    #[must_use]
    pub fn start() -> (Cluster, Self) {
        let kinds = ResourceKinds::new([("cpu", "MHz"), ("memory", "MiB")]).expect("good kinds");
        (Cluster::new(kinds, ["site", "rack"]).expect("good levels"), Self::default())
    }

    /// Carries out one edit on both. Afterwards the cluster is whole and reads back as the model says; if the edit was
    /// refused, nothing has changed.
    ///
    /// # Panics
    /// If that does not hold.
    pub fn step(&mut self, cluster: &mut Cluster, op: &Op) {
        let before = cluster.revision();
        if let Some(Err(error)) = self.apply(cluster, op) {
            assert_eq!(cluster.revision(), before, "{op:?} was refused ({error}) and changed something");
        }
        if let Err(message) = cluster.check_invariants() {
            panic!("after {op:?}: {message}");
        }
        self.compare(cluster);
        cluster.warnings();
    }

    fn node(&self, at: u8) -> Option<NodeId> {
        pick(&self.nodes, at)
    }

    fn vm(&self, at: u8) -> Option<VmId> {
        pick(&self.vms, at)
    }

    fn vm_mut(&mut self, id: VmId) -> &mut Vm {
        &mut self.vms.iter_mut().find(|(vm, _)| *vm == id).expect("it is there").1
    }

    fn make_node(&self, name: u8, form: &NodeForm) -> Node {
        let (capacity, reserved, rack, site, labels, state) = form;
        let mut node = Node::named(format!("node-{name}")).capacity([u64::from(*capacity), 5000]);
        node = node.reserved([u64::from(*reserved), 0]).state(NodeState::ALL[usize::from(*state)]);
        if let Some(site) = site {
            node = node.domain("site", format!("site-{site}"));
        }
        if let Some(rack) = rack {
            node = node.domain("rack", format!("rack-{rack}"));
        }
        for label in 0..3 {
            if labels & (1 << label) != 0 {
                node = node.label(format!("label-{label}"));
            }
        }
        if *reserved > 25 {
            node = node.overcommit(0, 300).failover_overcommit(0, 400).spare();
        }
        node
    }

    fn make_vm(&self, name: u8, form: &VmForm) -> Vm {
        let (demand, restart, node, on, to, class, priority, names, allowed, edges) = form;
        let mut vm = Vm::named(format!("vm-{name}"));
        vm.demand = demand.map(|demand| [u64::from(demand), 7].into());
        vm.restart_demand = restart.map(|restart| [u64::from(restart), 9].into());
        vm.reservation = restart.filter(|restart| restart % 2 == 0).map(|restart| [1, u64::from(restart)].into());
        vm.node = node.and_then(|node| self.node(node));
        vm.power = on.map(|on| if on { Power::On } else { Power::Off });
        vm.migrating_to = to.filter(|to| to % 3 == 0).and_then(|to| self.node(to));
        vm.restart = [RestartClass::Protected, RestartClass::BestEffort, RestartClass::Never][usize::from(*class) % 3];
        vm.priority = Priority(u32::from(*priority) * 1000);
        for bit in 0..3 {
            if names & (1 << bit) != 0 {
                vm.groups.push(format!("group-{bit}"));
                vm.requires.push(format!("label-{bit}"));
            }
        }
        vm.allowed_nodes = allowed.map(|allowed| self.node(allowed).into_iter().collect());
        vm.starts_after = self.make_edges(edges);
        vm
    }

    fn make_edges(&self, edges: &[(u8, bool)]) -> Vec<StartEdge> {
        let edge = |(at, give_up): &(u8, bool)| {
            let mut edge = StartEdge::after(self.vm(*at)?);
            edge.on_timeout = if *give_up { OnTimeout::GiveUp } else { OnTimeout::Continue };
            Some(edge)
        };
        edges.iter().filter_map(edge).collect()
    }

    fn make_rule(&self, name: u8, form: &RuleForm) -> Rule {
        let (kind, vms, groups, level, other, relaxed) = form;
        let mut members: Vec<VmId> = vms.iter().filter_map(|at| self.vm(*at)).collect();
        members.sort();
        members.dedup();
        let level = ["site", "rack", "node"][usize::from(*level)].to_string();
        let mut place = Place::default();
        place.nodes.extend(self.node(*other));
        if other % 3 == 0 {
            place.labels.push(format!("label-{}", other % 5));
        }
        if other % 4 == 0 {
            place.domains.push(("rack".into(), format!("rack-{}", other % 3)));
        }
        let kind = match kind {
            0 => RuleKind::Separate { level, max_per_domain: u32::from(*other) % 3 },
            1 => RuleKind::SeparateSides { level, sides: members.iter().map(|vm| vec![*vm]).collect() },
            2 => RuleKind::Together { level },
            3 => RuleKind::Confine(place),
            4 => RuleKind::Exclude(place),
            5 => RuleKind::Spread { level, min_domains: u32::from(*other) % 3, max_skew: Some(1) },
            _ => match self.vm(*other) {
                Some(leader) => RuleKind::Follow { leader },
                None => RuleKind::Together { level },
            },
        };
        let sides = matches!(kind, RuleKind::SeparateSides { .. });
        let mut rule = Rule::new(format!("rule-{name}"), kind);
        if !sides {
            rule.vms = members;
            rule.vm_groups = (0..2).filter(|bit| groups & (1 << bit) != 0).map(|bit| format!("group-{bit}")).collect();
        }
        if *relaxed {
            rule.strength = Strength::Relaxed;
        }
        rule
    }

    fn apply(&mut self, cluster: &mut Cluster, op: &Op) -> Option<Result<(), EditError>> {
        Some(match op {
            Op::AddNode(name, form) => {
                let node = self.make_node(*name, form);
                cluster.add_node(node.clone()).map(|id| self.nodes.push((id, node)))
            }
            Op::UpdateNode(at, name, form) => {
                let id = self.node(*at)?;
                let node = self.make_node(*name, form);
                cluster.update_node(id, node.clone()).map(|()| {
                    self.nodes.iter_mut().find(|(node, _)| *node == id).expect("it is there").1 = node;
                })
            }
            Op::RemoveNode(at) => {
                let id = self.node(*at)?;
                cluster.remove_node(id).map(|()| self.forget_node(id))
            }
            Op::State(at, state) => {
                let id = self.node(*at)?;
                let state = NodeState::ALL[usize::from(*state)];
                cluster.set_node_state(id, state).map(|()| {
                    self.nodes.iter_mut().find(|(node, _)| *node == id).expect("it is there").1.state = state;
                })
            }
            Op::AddVm(name, form) => {
                let vm = self.make_vm(*name, form);
                cluster.add_vm(vm.clone()).map(|id| self.vms.push((id, vm)))
            }
            Op::UpdateVm(at, name, form) => {
                let id = self.vm(*at)?;
                let vm = self.make_vm(*name, form);
                cluster.update_vm(id, vm.clone()).map(|()| *self.vm_mut(id) = vm)
            }
            Op::RemoveVm(at) => {
                let id = self.vm(*at)?;
                cluster.remove_vm(id).map(|()| self.forget_vm(id))
            }
            Op::Start(at, node) => {
                let id = self.vm(*at)?;
                let node = node.and_then(|node| self.node(node));
                cluster.start_vm(id, node).map(|()| {
                    let vm = self.vm_mut(id);
                    vm.power = Some(Power::On);
                    vm.node = node;
                })
            }
            Op::Stop(at) => {
                let id = self.vm(*at)?;
                cluster.stop_vm(id).map(|()| {
                    let vm = self.vm_mut(id);
                    vm.power = Some(Power::Off);
                    vm.migrating_to = None;
                })
            }
            Op::Move(at, node) => {
                let id = self.vm(*at)?;
                let node = node.and_then(|node| self.node(node));
                cluster.move_vm(id, node).map(|()| {
                    let vm = self.vm_mut(id);
                    vm.node = node;
                    vm.power = Some(Power::On);
                    vm.migrating_to = None;
                })
            }
            Op::Migrate(at, node) => {
                let (id, node) = (self.vm(*at)?, self.node(*node)?);
                cluster.start_migration(id, node).map(|()| self.vm_mut(id).migrating_to = Some(node))
            }
            Op::EndMigration(at, arrived) => {
                let id = self.vm(*at)?;
                cluster.end_migration(id, *arrived).map(|()| {
                    let vm = self.vm_mut(id);
                    let to = vm.migrating_to.take();
                    if *arrived {
                        vm.node = to;
                    }
                })
            }
            Op::Resize(at, demand, restart) => {
                let id = self.vm(*at)?;
                let demand = [u64::from(*demand), 1].into();
                let restart = restart.map(|restart| [u64::from(restart), 2].into());
                cluster.resize_vm(id, &demand, restart.as_ref(), None).map(|()| {
                    let vm = self.vm_mut(id);
                    vm.demand = Some(demand);
                    vm.restart_demand = restart;
                    vm.reservation = None;
                })
            }
            Op::Edges(changes) => {
                let mut changes: Vec<(VmId, Vec<StartEdge>)> =
                    changes.iter().filter_map(|(at, edges)| Some((self.vm(*at)?, self.make_edges(edges)))).collect();
                changes.sort_by_key(|(vm, _)| *vm);
                changes.dedup_by_key(|(vm, _)| *vm);
                cluster.set_starts_after(&changes).map(|()| {
                    for (vm, edges) in changes {
                        self.vm_mut(vm).starts_after = edges;
                    }
                })
            }
            Op::AddRule(name, form) => {
                let rule = self.make_rule(*name, form);
                cluster.add_rule(rule.clone()).map(|id| self.rules.push((id, rule)))
            }
            Op::UpdateRule(at, name, form) => {
                let id = pick(&self.rules, *at)?;
                let rule = self.make_rule(*name, form);
                cluster.update_rule(id, rule.clone()).map(|()| {
                    self.rules.iter_mut().find(|(rule, _)| *rule == id).expect("it is there").1 = rule;
                })
            }
            Op::RemoveRule(at) => {
                let id = pick(&self.rules, *at)?;
                cluster.remove_rule(id).map(|()| self.rules.retain(|(rule, _)| *rule != id))
            }
            Op::Declare => cluster.declare_domains("site", ["site-0", "site-1", "site-2"]),
        })
    }

    fn forget_node(&mut self, id: NodeId) {
        self.nodes.retain(|(node, _)| *node != id);
        for (_, vm) in &mut self.vms {
            if vm.node == Some(id) {
                // A VM that was on by its node alone waits for a place now.
                vm.power = Some(if vm.is_on() { Power::On } else { Power::Off });
                vm.node = None;
                vm.migrating_to = None;
            }
            if vm.migrating_to == Some(id) {
                vm.migrating_to = None;
            }
            if let Some(nodes) = &mut vm.allowed_nodes {
                nodes.retain(|node| *node != id);
            }
        }
        for (_, rule) in &mut self.rules {
            if let RuleKind::Confine(place) | RuleKind::Exclude(place) = &mut rule.kind {
                place.nodes.retain(|node| *node != id);
            }
        }
    }

    fn forget_vm(&mut self, id: VmId) {
        self.vms.retain(|(vm, _)| *vm != id);
        for (_, vm) in &mut self.vms {
            vm.starts_after.retain(|edge| edge.vm != id);
        }
        for (_, rule) in &mut self.rules {
            rule.vms.retain(|vm| *vm != id);
            if let RuleKind::SeparateSides { sides, .. } = &mut rule.kind {
                sides.iter_mut().for_each(|side| side.retain(|vm| *vm != id));
            }
        }
    }

    fn compare(&self, cluster: &Cluster) {
        assert_eq!(
            [cluster.node_count(), cluster.vm_count(), cluster.rule_count()],
            [self.nodes.len(), self.vms.len(), self.rules.len()]
        );
        for (id, node) in &self.nodes {
            assert_eq!(&cluster.node(*id).expect("it is there").to_node(), node);
        }
        for (id, vm) in &self.vms {
            let mut expected = vm.clone();
            expected.power = Some(if vm.is_on() { Power::On } else { Power::Off });
            assert_eq!(cluster.vm(*id).expect("it is there").to_vm(), expected);
        }
        for (id, rule) in &self.rules {
            assert_eq!(&cluster.rule(*id).expect("it is there").to_rule(), rule);
        }
    }
}
