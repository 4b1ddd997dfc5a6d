//! Where a VM could be at all: on which nodes, and in which domains.
//!
//! Uses `cluster`. Used by the other parts of `conflicts`.
//!
//! A node can take a VM if labels and allowed nodes say so, the chosen `confine` and `exclude` rules do, and the node,
//! empty, is large enough by the larger of its two allocatable amounts for the smaller of the VM's two demands: what
//! fails by that measure fails by every one.

use crate::cluster::{Cluster, LabelSlot, RuleBody};
use crate::ids::{DomainKey, LevelIx, NodeId, NodeSlot, RuleSlot, VmSlot};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// What limits where a VM can be: labels, allowed nodes, rules, size.
type Limits = (Box<[LabelSlot]>, Option<Box<[NodeId]>>, Vec<RuleSlot>, Vec<u64>);

pub(super) struct Domains<'a> {
    pub(super) cluster: &'a Cluster,
    /// All nodes, by name.
    pub(super) nodes: Vec<NodeSlot>,
    known: BTreeMap<(LevelIx, Limits), Rc<Vec<DomainKey>>>,
}

impl<'a> Domains<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        let mut nodes: Vec<NodeSlot> = cluster.nodes().map(|node| node.id().slot).collect();
        nodes.sort_unstable_by_key(|node| cluster.node_record(*node).map(|record| &*record.name));
        Self { cluster, nodes, known: BTreeMap::new() }
    }

    /// The least that a VM needs of each kind.
    pub(super) fn need(&self, vm: VmSlot) -> Vec<u64> {
        let rows = (&self.cluster.demand_rows()[vm], &self.cluster.restart_rows()[vm]);
        rows.0.iter().zip(rows.1).map(|(demand, restart)| *demand.min(restart)).collect()
    }

    /// The most that a node gives of each kind.
    pub(super) fn most(&self, node: NodeSlot) -> Vec<u64> {
        let Some(record) = self.cluster.node_ref(node) else { return Vec::new() };
        record.allocatable().iter().zip(record.failover_allocatable()).map(|(one, other)| *one.max(other)).collect()
    }

    /// Whether a node can take a VM under these `confine` and `exclude` rules (others among them do not count).
    pub(super) fn takes(&self, vm: VmSlot, rules: &[RuleSlot], node: NodeSlot) -> bool {
        self.admits(vm, node) && self.is_large_enough(vm, node) && self.placed_by(vm, rules, node)
    }

    /// Labels and allowed nodes.
    pub(super) fn admits(&self, vm: VmSlot, node: NodeSlot) -> bool {
        let Some(record) = self.cluster.vm_record(vm) else { return false };
        let carried = self.cluster.node_record(node).map_or(&[][..], |node| &node.labels);
        let id = self.cluster.node_id_of(node);
        record.requires.iter().all(|label| carried.binary_search(label).is_ok())
            && record.allowed_nodes.as_ref().is_none_or(|allowed| allowed.binary_search(&id).is_ok())
    }

    pub(super) fn is_large_enough(&self, vm: VmSlot, node: NodeSlot) -> bool {
        self.need(vm).iter().zip(self.most(node)).all(|(need, most)| *need <= most)
    }

    fn placed_by(&self, vm: VmSlot, rules: &[RuleSlot], node: NodeSlot) -> bool {
        self.cluster.vm_record(vm).is_some_and(|record| {
            self.cluster
                .place_rules(record)
                .filter(|(rule, _, _)| rules.contains(rule))
                .all(|(_, inside, nodes)| nodes.contains(node) == inside)
        })
    }

    /// The required `confine` and `exclude` rules of some VMs, by name.
    pub(super) fn place_rules(&self, vms: &[VmSlot]) -> Vec<RuleSlot> {
        let records = vms.iter().filter_map(|vm| self.cluster.vm_record(*vm));
        let mut rules: Vec<RuleSlot> =
            records.flat_map(|record| self.cluster.place_rules(record)).map(|(rule, _, _)| rule).collect();
        self.sort_rules(&mut rules);
        rules
    }

    /// Sorts rules by name, each once.
    pub(super) fn sort_rules(&self, rules: &mut Vec<RuleSlot>) {
        rules.sort_unstable_by_key(|rule| super::rule_name(self.cluster, *rule));
        rules.dedup();
    }

    /// Sorts VMs by name, each once.
    pub(super) fn sort_vms(&self, vms: &mut Vec<VmSlot>) {
        vms.sort_unstable_by_key(|vm| super::vm_name(self.cluster, *vm));
        vms.dedup();
    }

    /// The domains of a level in which a VM could be under these rules: in the order of the nodes' names.
    pub(super) fn of(&mut self, level: LevelIx, vm: VmSlot, rules: &[RuleSlot]) -> Rc<Vec<DomainKey>> {
        let Some(record) = self.cluster.vm_record(vm) else { return Rc::default() };
        let mine = self.cluster.place_rules(record).map(|(rule, _, _)| rule).filter(|rule| rules.contains(rule));
        let limits: Limits = (record.requires.clone(), record.allowed_nodes.clone(), mine.collect(), self.need(vm));
        if let Some(known) = self.known.get(&(level, limits.clone())) {
            return Rc::clone(known);
        }
        let mut domains: Vec<DomainKey> = Vec::new();
        let mut seen = alloc::collections::BTreeSet::new();
        for node in &self.nodes {
            let domain = self.cluster.levels.domain(level, *node);
            if !seen.contains(&domain) && self.takes(vm, rules, *node) {
                seen.insert(domain);
                domains.push(domain);
            }
        }
        let domains = Rc::new(domains);
        self.known.insert((level, limits), Rc::clone(&domains));
        domains
    }

    /// The rule's members that are powered on, by name.
    pub(super) fn members(&self, rule: RuleSlot) -> Vec<VmSlot> {
        let Some(record) = self.cluster.rule_record(rule) else { return Vec::new() };
        let on = |vm: &VmSlot| self.cluster.vm_record(*vm).is_some_and(|record| record.on);
        let mut members: Vec<VmSlot> = record.members.iter().copied().filter(on).collect();
        if let RuleBody::Follow { leader } = record.body {
            // Without its leader a follower is free.
            if !on(&leader) {
                return Vec::new();
            }
            members.push(leader);
        }
        self.sort_vms(&mut members);
        members
    }
}
