//! Reading a cluster: views of its objects, by id, by name, and one after the other.
//!
//! Uses the stores of `cluster`. Views borrow from the cluster and hold nothing.

use super::rules::RuleBody;
use super::slab::hash_name;
use super::{
    Cluster, EditError, Node, NodeRecord, NodeState, Place, Power, Priority, RestartClass, Role, Rule, RuleKind,
    RuleRecord, StartEdge, Strength, Vm, VmRecord,
};
use crate::annotations::Annotations;
use crate::dense::Rows;
use crate::ids::{NodeId, NodeSlot, RuleId, RuleSlot, VmId, VmSlot};
use crate::resources::{Amounts, KindSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl Cluster {
    /// A node by id.
    ///
    /// # Errors
    /// A stale id.
    pub fn node(&self, id: NodeId) -> Result<NodeRef<'_>, EditError> {
        self.node_slot(id).and_then(|slot| self.node_ref(slot).ok_or(EditError::UnknownNode))
    }

    /// A VM by id.
    ///
    /// # Errors
    /// A stale id.
    pub fn vm(&self, id: VmId) -> Result<VmRef<'_>, EditError> {
        self.vm_slot(id).and_then(|slot| self.vm_ref(slot).ok_or(EditError::UnknownVm))
    }

    /// A rule by id.
    ///
    /// # Errors
    /// A stale id.
    pub fn rule(&self, id: RuleId) -> Result<RuleRef<'_>, EditError> {
        self.rule_slot(id).and_then(|slot| self.rule_ref(slot).ok_or(EditError::UnknownRule))
    }

    /// The node with this name.
    pub fn node_id(&self, name: &str) -> Option<NodeId> {
        self.node_named(name, hash_name(name, 0)).map(|slot| self.node_id_of(slot))
    }

    /// The VM with this name.
    pub fn vm_id(&self, name: &str) -> Option<VmId> {
        self.vm_named(name, hash_name(name, 0)).map(|slot| self.vm_id_of(slot))
    }

    /// The rule with this name.
    pub fn rule_id(&self, name: &str) -> Option<RuleId> {
        self.rule_named(name, hash_name(name, 0)).map(|slot| self.rule_id_of(slot))
    }

    /// The node of a name, with the name's hash.
    pub(super) fn node_named(&self, name: &str, hash: u64) -> Option<NodeSlot> {
        self.node_names.find(hash, |slot| self.nodes.get(slot).is_some_and(|node| *node.name == *name))
    }

    /// The VM of a name, with the name's hash.
    pub(super) fn vm_named(&self, name: &str, hash: u64) -> Option<VmSlot> {
        self.vm_names.find(hash, |slot| self.vms.get(slot).is_some_and(|vm| *vm.name == *name))
    }

    /// The rule of a name, with the name's hash.
    pub(super) fn rule_named(&self, name: &str, hash: u64) -> Option<RuleSlot> {
        self.rule_names.find(hash, |slot| self.rules.get(slot).is_some_and(|rule| *rule.name == *name))
    }

    /// All nodes, in the order of their slots: that of their addition, while none is removed.
    pub fn nodes(&self) -> impl Iterator<Item = NodeRef<'_>> {
        self.nodes.iter().map(|(slot, record)| NodeRef { cluster: self, slot, record })
    }

    /// All VMs, in the order of their slots.
    pub fn vms(&self) -> impl Iterator<Item = VmRef<'_>> {
        self.vms.iter().map(|(slot, record)| VmRef { cluster: self, slot, record })
    }

    /// All rules, in the order of their slots.
    pub fn rules(&self) -> impl Iterator<Item = RuleRef<'_>> {
        self.rules.iter().map(|(slot, record)| RuleRef { cluster: self, slot, record })
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// How many VMs there are.
    pub fn vm_count(&self) -> usize {
        self.vms.len()
    }

    /// How many rules there are.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// The names of all groups that a VM is in or a rule names, sorted.
    pub fn groups(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.groups.iter().map(|(_, name, _)| name).collect();
        names.sort_unstable();
        names
    }

    /// The VMs of a group, in the order of their slots.
    pub fn group_vms(&self, group: &str) -> impl Iterator<Item = VmId> + '_ {
        let vms = self.groups.get(group).and_then(|group| self.groups.value(group)).map_or(&[][..], |uses| &uses.vms);
        vms.iter().map(|slot| self.vm_id_of(*slot))
    }

    /// The names of all labels that a node carries or a VM or rule names, sorted.
    pub fn labels(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.labels.iter().map(|(_, name, _)| name).collect();
        names.sort_unstable();
        names
    }

    /// How many nodes carry a label.
    pub fn label_nodes(&self, label: &str) -> usize {
        self.labels.get(label).and_then(|label| self.labels.value(label)).map_or(0, |uses| uses.nodes.len())
    }

    pub(crate) fn node_ref(&self, slot: NodeSlot) -> Option<NodeRef<'_>> {
        self.nodes.get(slot).map(|record| NodeRef { cluster: self, slot, record })
    }

    pub(crate) fn vm_ref(&self, slot: VmSlot) -> Option<VmRef<'_>> {
        self.vms.get(slot).map(|record| VmRef { cluster: self, slot, record })
    }

    pub(crate) fn rule_ref(&self, slot: RuleSlot) -> Option<RuleRef<'_>> {
        self.rules.get(slot).map(|record| RuleRef { cluster: self, slot, record })
    }

    #[inline]
    pub(crate) fn node_record(&self, slot: NodeSlot) -> Option<&NodeRecord> {
        self.nodes.get(slot)
    }

    #[inline]
    pub(crate) fn vm_record(&self, slot: VmSlot) -> Option<&VmRecord> {
        self.vms.get(slot)
    }

    #[inline]
    pub(crate) fn rule_record(&self, slot: RuleSlot) -> Option<&RuleRecord> {
        self.rules.get(slot)
    }

    /// All rules, as they are kept.
    pub(crate) fn rule_records(&self) -> impl Iterator<Item = &RuleRecord> {
        self.rules.iter().map(|(_, record)| record)
    }

    #[inline]
    pub(crate) fn node_slots(&self) -> usize {
        self.nodes.slots()
    }

    #[inline]
    pub(crate) fn vm_slots_len(&self) -> usize {
        self.vms.slots()
    }

    #[inline]
    pub(crate) fn free_rows(&self) -> &Rows<NodeSlot> {
        &self.free
    }

    #[inline]
    pub(crate) fn failover_rows(&self) -> &Rows<NodeSlot> {
        &self.failover
    }

    #[inline]
    pub(crate) fn unit_share_rows(&self) -> &Rows<NodeSlot> {
        &self.unit_share
    }

    #[inline]
    pub(crate) fn used_rows(&self) -> &Rows<NodeSlot> {
        &self.used
    }

    #[inline]
    pub(crate) fn allocatable_row(&self, node: NodeSlot) -> &[u64] {
        &self.allocatable[node]
    }

    #[inline]
    pub(crate) fn demand_rows(&self) -> &Rows<VmSlot> {
        &self.demand
    }

    #[inline]
    pub(crate) fn restart_rows(&self) -> &Rows<VmSlot> {
        &self.restart_demand
    }

    /// What a VM holds where it is started, per kind: as it starts or as it runs, whichever is more.
    pub(crate) fn held_by(&self, vm: VmSlot) -> impl Iterator<Item = u64> + '_ {
        let rows = self.restart_demand[vm].iter().zip(&self.demand[vm]);
        rows.map(|(restart, runs)| *restart.max(runs))
    }

    #[inline]
    pub(crate) fn room_index(&self) -> &crate::room::RoomIndex {
        &self.room
    }

    /// Powered-on VMs without a node.
    pub(crate) fn homeless(&self) -> &[VmSlot] {
        &self.homeless
    }

    /// Nodes in state failed or maintenance, by slot.
    pub(crate) fn down_nodes(&self) -> &[NodeSlot] {
        &self.down
    }

    /// Unreachable nodes, by slot.
    pub(crate) fn unreachable_nodes(&self) -> &[NodeSlot] {
        &self.unreachable
    }

    /// The nodes that carry a label.
    pub(crate) fn labelled(&self, label: super::LabelSlot) -> Option<&super::node_set::NodeSet> {
        self.labels.value(label).map(|uses| &uses.nodes)
    }

    pub(crate) fn label_name(&self, label: super::LabelSlot) -> &str {
        self.labels.name(label)
    }

    /// The slot of a node that may have been removed since the id was kept.
    pub(crate) fn live_node(&self, id: NodeId) -> Option<NodeSlot> {
        self.node_slot(id).ok()
    }

    /// How large amounts are against an average node: the largest share of any kind, roughly (to the power of two of
    /// the average), for orders in which larger VMs come first.
    #[inline]
    pub(crate) fn size_of(&self, amounts: &[u64]) -> u64 {
        let nodes = u64::try_from(self.nodes.len()).unwrap_or(u64::MAX).max(1);
        let shares = amounts.iter().zip(&self.totals.failover).map(|(amount, total)| {
            // The average is between 2^(bits-1) and 2^bits: shares are scaled to 2^32.
            let bits = u64::BITS.saturating_sub(total.checked_div(nodes).unwrap_or(0).leading_zeros());
            match bits {
                0..=32 => amount.saturating_mul(1 << 32_u32.saturating_sub(bits)),
                _ => amount >> bits.saturating_sub(32),
            }
        });
        shares.max().unwrap_or(0)
    }

    /// How amounts of each kind become sizes of a few bits, for sort keys.
    pub(crate) fn size_scales(&self, scales: &mut Vec<SizeScale>) {
        let nodes = u64::try_from(self.nodes.len()).unwrap_or(u64::MAX).max(1);
        scales.clear();
        scales.extend(self.totals.failover.iter().map(|total| SizeScale::of(total.checked_div(nodes).unwrap_or(0))));
    }

    /// Spare nodes that take restarts, by slot.
    pub(crate) fn spares(&self) -> &[NodeSlot] {
        &self.spares
    }

    /// Amounts without the kinds' `per_vm`: as they were stated.
    pub(crate) fn raw(&self, row: &[u64]) -> Amounts {
        row.iter().zip(self.per_vm.iter()).map(|(amount, per_vm)| amount.saturating_sub(*per_vm)).collect()
    }
}

/// How an amount of one kind becomes a size of a few bits: as [`Cluster::size_of`], and so large that two that differ
/// by a millionth of an average node differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SizeScale {
    right: u32,
    left: u32,
    /// More than this, shifted right, is as large as anything.
    most: u64,
}

impl SizeScale {
    /// Sizes have so many bits; one that fills an average node has 20 to 21.
    pub(crate) const BITS: u32 = 30;

    fn of(average: u64) -> Self {
        // The average is between 2^(bits-1) and 2^bits.
        let bits = u64::BITS.saturating_sub(average.leading_zeros());
        let (right, left) = (bits.saturating_sub(21), 21_u32.saturating_sub(bits));
        Self { right, left, most: ((1 << Self::BITS) - 1) >> left }
    }

    #[inline]
    pub(crate) fn size(self, amount: u64) -> u64 {
        (amount >> self.right).min(self.most) << self.left
    }
}

/// A node of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct NodeRef<'a> {
    cluster: &'a Cluster,
    slot: NodeSlot,
    record: &'a NodeRecord,
}

impl<'a> NodeRef<'a> {
    /// Its id.
    pub fn id(self) -> NodeId {
        self.cluster.node_id_of(self.slot)
    }

    /// Its name.
    pub fn name(self) -> &'a str {
        &self.record.name
    }

    /// Its name for people.
    pub fn display(self) -> Option<&'a str> {
        self.record.display.as_deref()
    }

    /// Its state.
    pub fn state(self) -> NodeState {
        self.record.state
    }

    /// What it is for.
    pub fn role(self) -> Role {
        self.record.role
    }

    /// What the machine has, per kind.
    pub fn capacity(self) -> &'a [u64] {
        &self.record.capacity
    }

    /// What the hypervisor keeps, per kind.
    pub fn reserved(self) -> &'a [u64] {
        &self.record.reserved
    }

    /// What VMs can have in ordinary times, per kind: (capacity - reserved) * overcommit, rounded down.
    pub fn allocatable(self) -> &'a [u64] {
        &self.cluster.allocatable[self.slot]
    }

    /// What VMs can have after a failure, per kind: (capacity - reserved) * failover overcommit, rounded down.
    pub fn failover_allocatable(self) -> &'a [u64] {
        &self.cluster.failover[self.slot]
    }

    /// What its VMs hold by demand, per kind, those migrating to it included.
    pub fn used(self) -> &'a [u64] {
        &self.cluster.used[self.slot]
    }

    /// What is free for restarts, per kind: failover allocatable less used, at least 0.
    pub fn free(self) -> &'a [u64] {
        &self.cluster.free[self.slot]
    }

    /// How many VMs it can start at once.
    pub fn start_limit(self) -> Option<u32> {
        self.record.start_limit
    }

    /// Its labels, sorted.
    pub fn labels(self) -> Vec<&'a str> {
        let mut labels: Vec<&str> = self.record.labels.iter().map(|label| self.cluster.labels.name(*label)).collect();
        labels.sort_unstable();
        labels
    }

    /// Whether it carries a label.
    pub fn has_label(self, label: &str) -> bool {
        self.cluster.labels.get(label).is_some_and(|label| self.record.labels.binary_search(&label).is_ok())
    }

    /// Its domain at a level; `None` if it is a domain of its own there. At the level `node` that is its name.
    pub fn domain(self, level: &str) -> Option<&'a str> {
        let found = self.cluster.levels.find(level)?;
        if found == self.cluster.levels.node_level() {
            return Some(&self.record.name);
        }
        self.cluster.levels.domain_name(found, self.cluster.levels.domain(found, self.slot))
    }

    /// The powered-on VMs that are listed on it, in no particular order.
    pub fn vms(self) -> impl ExactSizeIterator<Item = VmId> + 'a {
        self.record.residents.iter().map(move |slot| self.cluster.vm_id_of(*slot))
    }

    /// The VMs that are migrating to it, in no particular order.
    pub fn incoming(self) -> impl ExactSizeIterator<Item = VmId> + 'a {
        self.record.incoming.iter().map(move |slot| self.cluster.vm_id_of(*slot))
    }

    /// How many VMs run there or are on their way there. A migration whose source is down has no claim any more.
    pub(crate) fn guests(self) -> usize {
        let runs = |node: NodeSlot| self.cluster.nodes.get(node).is_some_and(|record| record.state.runs_vms());
        let source = |vm: &&VmSlot| self.cluster.vms.get(**vm).and_then(|vm| vm.node);
        let arriving = self.record.incoming.iter().filter(|vm| source(vm).is_some_and(runs));
        self.record.residents.len().saturating_add(arriving.count())
    }

    /// The caller's own data.
    pub fn annotations(self) -> Option<&'a Annotations> {
        self.record.annotations.as_deref()
    }

    /// The node's description, from which [`Cluster::add_node`] would make it again.
    pub fn to_node(self) -> Node {
        let percents = |list: &[(u8, u32)]| list.iter().map(|(kind, percent)| (usize::from(*kind), *percent)).collect();
        let levels = &self.cluster.levels;
        let domains = levels.named_levels().filter_map(|level| {
            let domain = levels.domain_name(level, levels.domain(level, self.slot))?;
            Some((levels.name(level).to_string(), domain.to_string()))
        });
        Node {
            name: self.record.name.to_string(),
            display: self.record.display.as_deref().map(ToString::to_string),
            capacity: self.record.capacity.clone(),
            reserved: self.record.reserved.clone(),
            overcommit: percents(&self.record.overcommit),
            failover_overcommit: percents(&self.record.failover_overcommit),
            domains: domains.collect(),
            labels: self.labels().into_iter().map(String::from).collect(),
            role: self.record.role,
            state: self.record.state,
            start_limit: self.record.start_limit,
            annotations: self.record.annotations.as_deref().cloned(),
        }
    }
}

/// A VM of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct VmRef<'a> {
    cluster: &'a Cluster,
    slot: VmSlot,
    record: &'a VmRecord,
}

impl<'a> VmRef<'a> {
    /// Its id.
    pub fn id(self) -> VmId {
        self.cluster.vm_id_of(self.slot)
    }

    /// Its name.
    pub fn name(self) -> &'a str {
        &self.record.name
    }

    /// Its name for people.
    pub fn display(self) -> Option<&'a str> {
        self.record.texts.as_ref().and_then(|texts| texts.display.as_deref())
    }

    /// Whether it is meant to run.
    pub fn power(self) -> Power {
        self.record.power()
    }

    /// Whether it is powered on.
    pub fn is_on(self) -> bool {
        self.record.on
    }

    /// Whether it is on and has no node that is up: it waits for a place.
    pub fn is_displaced(self) -> bool {
        let up = |node| self.cluster.nodes.get(node).is_some_and(|node: &NodeRecord| node.state.runs_vms());
        self.record.on && !self.record.node.is_some_and(up)
    }

    /// What it holds while it runs, per kind, `per_vm` included; zeros if it has no demand.
    pub fn demand(self) -> &'a [u64] {
        &self.cluster.demand[self.slot]
    }

    /// What its node must have free to start it, per kind, `per_vm` included.
    pub fn restart_demand(self) -> &'a [u64] {
        &self.cluster.restart_demand[self.slot]
    }

    /// What is reserved for it, per kind, `per_vm` included.
    pub fn reservation(self) -> &'a [u64] {
        &self.cluster.reservation[self.slot]
    }

    /// Whether a demand was given: without one it cannot be powered on.
    pub fn has_demand(self) -> bool {
        self.record.has_demand
    }

    /// The kinds of which a restart demand was given: of the others it is as the demand.
    pub fn own_restart_kinds(self) -> KindSet {
        self.record.own_restart
    }

    /// Whether a reservation was given: otherwise it is as the demand.
    pub fn has_own_reservation(self) -> bool {
        self.record.own_reservation
    }

    /// What was said about whether it may be stopped for a more important one; `None` = nothing.
    pub fn own_preemptible(self) -> Option<bool> {
        self.record.preemptible
    }

    /// The node that it is listed on, or, powered off, the one it last ran on.
    pub fn node(self) -> Option<NodeId> {
        let last = self.record.last_node.filter(|node| self.cluster.node_slot(*node).is_ok());
        self.record.node.map(|slot| self.cluster.node_id_of(slot)).or(last)
    }

    /// The target of its live migration.
    pub fn migrating_to(self) -> Option<NodeId> {
        self.record.migrating_to.map(|slot| self.cluster.node_id_of(slot))
    }

    /// Its own priority.
    pub fn priority(self) -> Priority {
        self.record.priority
    }

    /// Its own restart class.
    pub fn restart(self) -> RestartClass {
        self.record.restart
    }

    /// The highest class and priority of its own and of all VMs that need it: what plans and verdicts go by.
    pub fn effective(self) -> (RestartClass, Priority) {
        self.record.effective
    }

    /// Whether it counts for more than its own class and priority say, because another VM needs it.
    pub fn is_promoted(self) -> bool {
        self.record.effective > (self.record.restart, self.record.priority)
    }

    /// Whether it may be stopped for a more important one.
    pub fn is_preemptible(self) -> bool {
        self.record.preemptible.unwrap_or(self.record.effective.0 != RestartClass::Never)
    }

    /// Whether it can be moved while it runs.
    pub fn is_migratable(self) -> bool {
        !self.record.pinned
    }

    /// The labels that its node must carry, sorted.
    pub fn requires(self) -> Vec<&'a str> {
        self.label_names(&self.record.requires)
    }

    /// The labels that the target of a live move must carry in addition, sorted.
    pub fn migrate_requires(self) -> Vec<&'a str> {
        self.label_names(&self.record.migrate_requires)
    }

    /// The only nodes it can run on; `None` = any.
    pub fn allowed_nodes(self) -> Option<Vec<NodeId>> {
        let live =
            |nodes: &[NodeId]| nodes.iter().copied().filter(|node| self.cluster.node_slot(*node).is_ok()).collect();
        self.record.allowed_nodes.as_deref().map(live)
    }

    /// Its groups, sorted.
    pub fn groups(self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.record.groups.iter().map(|group| self.cluster.groups.name(*group)).collect();
        names.sort_unstable();
        names
    }

    /// The rules that it is a member of, in the order of their slots.
    pub fn rules(self) -> impl Iterator<Item = RuleId> + 'a {
        self.record.rules.iter().map(move |slot| self.cluster.rule_id_of(*slot))
    }

    /// What it starts after.
    pub fn starts_after(self) -> impl Iterator<Item = StartEdge> + 'a {
        self.record.starts_after.iter().map(move |edge| StartEdge {
            vm: self.cluster.vm_id_of(edge.vm),
            until: edge.until,
            delay_s: edge.delay_s,
            timeout_s: edge.timeout_s,
            on_timeout: edge.on_timeout,
        })
    }

    /// How long it takes to start, in seconds.
    pub fn start_s(self) -> Option<u32> {
        self.record.start_s
    }

    /// The caller's own data.
    pub fn annotations(self) -> Option<&'a Annotations> {
        self.record.texts.as_ref().and_then(|texts| texts.annotations.as_ref())
    }

    /// The VM's description, from which [`Cluster::add_vm`] would make it again.
    pub fn to_vm(self) -> Vm {
        let record = self.record;
        let amounts = |given: bool, row: &[u64]| given.then(|| self.cluster.raw(row));
        Vm {
            name: record.name.to_string(),
            display: self.display().map(ToString::to_string),
            power: Some(record.power()),
            demand: amounts(record.has_demand, self.demand()),
            restart_demand: amounts(!record.own_restart.is_empty(), self.restart_demand()),
            restart_kinds: Some(record.own_restart).filter(|kinds| !kinds.is_empty() && *kinds != KindSet::ALL),
            reservation: amounts(record.own_reservation, self.reservation()),
            node: self.node(),
            migrating_to: self.migrating_to(),
            priority: record.priority,
            restart: record.restart,
            preemptible: record.preemptible,
            requires: self.requires().into_iter().map(String::from).collect(),
            allowed_nodes: self.allowed_nodes(),
            pinned: record.pinned,
            migrate_requires: self.migrate_requires().into_iter().map(String::from).collect(),
            groups: self.groups().into_iter().map(String::from).collect(),
            starts_after: self.starts_after().collect(),
            start_s: record.start_s,
            annotations: self.annotations().cloned(),
        }
    }

    fn label_names(self, labels: &[super::LabelSlot]) -> Vec<&'a str> {
        let mut names: Vec<&str> = labels.iter().map(|label| self.cluster.labels.name(*label)).collect();
        names.sort_unstable();
        names
    }
}

/// A rule of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct RuleRef<'a> {
    cluster: &'a Cluster,
    slot: RuleSlot,
    record: &'a RuleRecord,
}

impl<'a> RuleRef<'a> {
    /// Its id.
    pub fn id(self) -> RuleId {
        self.cluster.rule_id_of(self.slot)
    }

    /// Its name.
    pub fn name(self) -> &'a str {
        &self.record.name
    }

    /// How strictly it is meant.
    pub fn strength(self) -> Strength {
        self.record.strength
    }

    /// Its members, by VM, by group or on a side, in the order of their slots.
    pub fn members(self) -> impl ExactSizeIterator<Item = VmId> + 'a {
        self.record.members.iter().map(move |slot| self.cluster.vm_id_of(*slot))
    }

    /// What it asks, with the ids of today.
    pub fn kind(self) -> RuleKind {
        let level = |level| self.cluster.levels.name(level).to_string();
        match &self.record.body {
            RuleBody::Separate { level: at, max_per_domain } => {
                RuleKind::Separate { level: level(*at), max_per_domain: *max_per_domain }
            }
            RuleBody::Sides { level: at, sides } => {
                let ids = |side: &Vec<VmSlot>| side.iter().map(|slot| self.cluster.vm_id_of(*slot)).collect();
                RuleKind::SeparateSides { level: level(*at), sides: sides.iter().map(ids).collect() }
            }
            RuleBody::Together { level: at } => RuleKind::Together { level: level(*at) },
            RuleBody::Place { inside, place, .. } => {
                let place = Place {
                    nodes: place.nodes.iter().copied().filter(|id| self.cluster.node_slot(*id).is_ok()).collect(),
                    domains: place.domains.iter().map(|(at, name)| (level(*at), name.clone())).collect(),
                    labels: self.cluster.labels.sorted_names(&place.labels),
                };
                if *inside { RuleKind::Confine(place) } else { RuleKind::Exclude(place) }
            }
            RuleBody::Spread { level: at, min_domains, max_skew } => {
                RuleKind::Spread { level: level(*at), min_domains: *min_domains, max_skew: *max_skew }
            }
            RuleBody::Follow { leader } => RuleKind::Follow { leader: self.cluster.vm_id_of(*leader) },
        }
    }

    /// For `confine` and `exclude`: whether a node is one of those meant.
    pub fn means_node(self, node: NodeId) -> bool {
        match &self.record.body {
            RuleBody::Place { nodes, .. } => self.cluster.node_slot(node).is_ok_and(|slot| nodes.contains(slot)),
            _ => false,
        }
    }

    /// The caller's own data.
    pub fn annotations(self) -> Option<&'a Annotations> {
        self.record.annotations.as_deref()
    }

    /// The rule's description, from which [`Cluster::add_rule`] would make it again.
    pub fn to_rule(self) -> Rule {
        let groups = self.record.vm_groups.iter().map(|group| self.cluster.groups.name(*group).to_string());
        Rule {
            name: self.record.name.to_string(),
            kind: self.kind(),
            vms: self.record.vms.iter().map(|slot| self.cluster.vm_id_of(*slot)).collect(),
            vm_groups: groups.collect(),
            strength: self.record.strength,
            annotations: self.record.annotations.as_deref().cloned(),
        }
    }
}
