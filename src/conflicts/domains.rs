//! Where a VM could be at all: on which nodes, and in which domains.
//!
//! Uses `cluster`. Used by the other parts of `conflicts`.
//!
//! A node can take a VM if labels and allowed nodes say so, the chosen `confine` and `exclude` rules do, and the node,
//! empty, is large enough by the larger of its two allocatable amounts for the smaller of the VM's two demands: what
//! fails by that measure fails by every one.
//!
//! VMs that are limited alike share a list of domains, and every rule asks for the same lists again: each is made once.

use crate::cluster::{Cluster, LabelSlot, RuleBody};
use crate::dense::{DenseId, IdVec, Rows, dense_id};
use crate::ids::{DomainKey, LevelIx, NodeId, NodeSlot, RuleSlot, VmSlot};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::vec::Vec;

dense_id! {
    /// A list of domains that VMs limited alike can go to.
    pub(super) struct ListIx;
    /// What limits a VM by itself.
    pub(super) struct LimitsIx;
    /// The `confine` and `exclude` rules of a VM.
    pub(super) struct PlacesIx;
}

/// What limits where a VM can be by itself: labels, allowed nodes, size.
type Limits = (Box<[LabelSlot]>, Option<Box<[NodeId]>>, Vec<u64>);

/// What limits where a VM can be.
pub(super) type Limited = (LimitsIx, Option<PlacesIx>);

/// Some `confine` and `exclude` rules; `None` for all.
pub(super) type Chosen<'c> = Option<&'c BTreeSet<RuleSlot>>;

pub(super) struct Domains<'a> {
    pub(super) cluster: &'a Cluster,
    /// All nodes, by name.
    pub(super) nodes: Vec<NodeSlot>,
    /// The most that each gives of each kind.
    pub(super) room: Rows<NodeSlot>,
    /// The place of each VM in the order of names.
    rank: IdVec<VmSlot, u32>,
    /// The required `confine` and `exclude` rules of VMs that have any.
    places_of: BTreeMap<VmSlot, PlacesIx>,
    places: IdVec<PlacesIx, Vec<RuleSlot>>,
    limits_of: BTreeMap<VmSlot, LimitsIx>,
    limits: BTreeMap<Limits, LimitsIx>,
    /// The lists by level, limits, and rules: all of a VM's, or some.
    known: BTreeMap<(LevelIx, LimitsIx, Option<PlacesIx>), ListIx>,
    known_of_some: BTreeMap<(LevelIx, LimitsIx, Vec<RuleSlot>), ListIx>,
    lists: IdVec<ListIx, Rc<Vec<DomainKey>>>,
}

impl<'a> Domains<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        let mut nodes: Vec<NodeSlot> = cluster.nodes().map(|node| node.id().slot).collect();
        nodes.sort_unstable_by_key(|node| cluster.node_record(*node).map(|record| &*record.name));
        let mut room = Rows::new(cluster.kinds().len());
        if let Some(last) = cluster.node_slots().checked_sub(1) {
            room.grow_to(NodeSlot::from_index(last));
        }
        for node in cluster.nodes() {
            let most = node.allocatable().iter().zip(node.failover_allocatable()).map(|(one, other)| *one.max(other));
            for (cell, most) in room[node.id().slot].iter_mut().zip(most) {
                *cell = most;
            }
        }
        let mut vms: Vec<VmSlot> = cluster.vms().map(|vm| vm.id().slot).collect();
        vms.sort_unstable_by_key(|vm| super::vm_name(cluster, *vm));
        let mut rank = IdVec::filled(u32::MAX, cluster.vm_slots_len());
        for (place, vm) in (0..).zip(vms) {
            rank[vm] = place;
        }
        let mut domains = Self {
            cluster,
            nodes,
            room,
            rank,
            places_of: BTreeMap::new(),
            places: IdVec::new(),
            limits_of: BTreeMap::new(),
            limits: BTreeMap::new(),
            known: BTreeMap::new(),
            known_of_some: BTreeMap::new(),
            lists: IdVec::new(),
        };
        domains.note_places();
        domains
    }

    /// Notes the place rules of VMs, each list once.
    fn note_places(&mut self) {
        let mut of_vms: BTreeMap<VmSlot, Vec<RuleSlot>> = BTreeMap::new();
        for rule in self.cluster.rules().map(|rule| rule.id().slot) {
            let Some(record) = self.cluster.rule_record(rule).filter(|record| record.is_place()) else { continue };
            for vm in &record.members {
                of_vms.entry(*vm).or_default().push(rule);
            }
        }
        let mut known: BTreeMap<Vec<RuleSlot>, PlacesIx> = BTreeMap::new();
        for (vm, rules) in of_vms {
            let places = *known.entry(rules).or_insert_with_key(|rules| self.places.push(rules.clone()));
            self.places_of.insert(vm, places);
        }
    }

    /// The least that a VM needs of each kind.
    pub(super) fn need(&self, vm: VmSlot) -> Vec<u64> {
        let rows = (&self.cluster.demand_rows()[vm], &self.cluster.restart_rows()[vm]);
        rows.0.iter().zip(rows.1).map(|(demand, restart)| *demand.min(restart)).collect()
    }

    /// Whether a node can take a VM under these of its `confine` and `exclude` rules.
    pub(super) fn takes(&self, vm: VmSlot, chosen: Chosen<'_>, node: NodeSlot) -> bool {
        self.admits(vm, node) && self.is_large_enough(vm, node) && self.placed_by(vm, chosen, node)
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
        let demands = self.cluster.demand_rows()[vm].iter().zip(&self.cluster.restart_rows()[vm]);
        demands.zip(&self.room[node]).all(|((demand, restart), most)| demand.min(restart) <= most)
    }

    fn placed_by(&self, vm: VmSlot, chosen: Chosen<'_>, node: NodeSlot) -> bool {
        self.places_of(vm).iter().filter(|rule| chosen.is_none_or(|chosen| chosen.contains(*rule))).all(|rule| {
            match self.cluster.rule_record(*rule).map(|rule| &rule.body) {
                Some(RuleBody::Place { inside, nodes, .. }) => nodes.contains(node) == *inside,
                _ => true,
            }
        })
    }

    /// The required `confine` and `exclude` rules of a VM.
    fn places_of(&self, vm: VmSlot) -> &[RuleSlot] {
        self.places_of.get(&vm).map_or(&[], |places| &self.places[*places])
    }

    /// Those of some VMs, by name.
    pub(super) fn place_rules(&self, vms: &[VmSlot]) -> Vec<RuleSlot> {
        let lists: BTreeSet<PlacesIx> = vms.iter().filter_map(|vm| self.places_of.get(vm).copied()).collect();
        let rules: BTreeSet<RuleSlot> = lists.into_iter().flat_map(|list| &self.places[list]).copied().collect();
        let mut rules: Vec<RuleSlot> = rules.into_iter().collect();
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
        vms.sort_unstable_by_key(|vm| self.rank[*vm]);
        vms.dedup();
    }

    /// The place of a VM in the order of names.
    pub(super) fn rank(&self, vm: VmSlot) -> u32 {
        self.rank[vm]
    }

    fn limits_of(&mut self, vm: VmSlot) -> Option<LimitsIx> {
        if let Some(known) = self.limits_of.get(&vm) {
            return Some(*known);
        }
        let record = self.cluster.vm_record(vm)?;
        let limits: Limits = (record.requires.clone(), record.allowed_nodes.clone(), self.need(vm));
        let next = LimitsIx::from_index(self.limits.len());
        let limits = *self.limits.entry(limits).or_insert(next);
        self.limits_of.insert(vm, limits);
        Some(limits)
    }

    /// What limits where a VM can be: the same for VMs that have the same lists under any rules chosen.
    pub(super) fn limited(&mut self, vm: VmSlot) -> Option<Limited> {
        Some((self.limits_of(vm)?, self.places_of.get(&vm).copied()))
    }

    /// The domains of a level in which a VM could be under these of its rules.
    pub(super) fn of(&mut self, level: LevelIx, vm: VmSlot, chosen: Chosen<'_>) -> Option<ListIx> {
        let limits = self.limits_of(vm)?;
        let Some(chosen) = chosen else {
            let key = (level, limits, self.places_of.get(&vm).copied());
            if let Some(known) = self.known.get(&key) {
                return Some(*known);
            }
            let list = self.make_list(level, vm, None);
            self.known.insert(key, list);
            return Some(list);
        };
        let mine = self.places_of(vm).iter().copied().filter(|rule| chosen.contains(rule)).collect();
        let key = (level, limits, mine);
        if let Some(known) = self.known_of_some.get(&key) {
            return Some(*known);
        }
        let list = self.make_list(level, vm, Some(chosen));
        self.known_of_some.insert(key, list);
        Some(list)
    }

    fn make_list(&mut self, level: LevelIx, vm: VmSlot, chosen: Chosen<'_>) -> ListIx {
        let mut domains: Vec<DomainKey> = Vec::new();
        let mut seen = BTreeSet::new();
        for node in &self.nodes {
            let domain = self.cluster.levels.domain(level, *node);
            if !seen.contains(&domain) && self.takes(vm, chosen, *node) {
                seen.insert(domain);
                domains.push(domain);
            }
        }
        self.lists.push(Rc::new(domains))
    }

    /// How many lists were made so far.
    pub(super) fn lists_made(&self) -> usize {
        self.lists.len()
    }

    /// The domains of a list, in the order of the nodes' names.
    pub(super) fn list(&self, list: ListIx) -> &Rc<Vec<DomainKey>> {
        &self.lists[list]
    }

    /// Of some VMs one for each way in which they are limited, rules aside.
    pub(super) fn one_of_each(&mut self, vms: &[VmSlot]) -> Vec<VmSlot> {
        let mut seen = BTreeSet::new();
        vms.iter().copied().filter(|vm| self.limits_of(*vm).is_some_and(|limits| seen.insert(limits))).collect()
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
