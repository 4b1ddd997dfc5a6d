//! Edits of nodes.
//!
//! Uses the stores of `cluster`. Keeps amounts, domains, labels, the room index and the lists of down nodes in step.

use super::fingerprint::NodeStamp;
use super::slab::hash_name;
use super::{
    Cluster, EditError, LabelSlot, MAX_OBJECTS, Node, NodeState, Role, add_row, exchange, insert_sorted, remove_sorted,
    subtract_row,
};
use crate::annotations::Annotations;
use crate::dense::to_u32;
use crate::ids::{LevelIx, NodeId, NodeSlot, VmSlot};
use crate::resources::Amounts;
use crate::room::RoomKey;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// A node as the cluster keeps it.
#[derive(Clone, Debug)]
pub(crate) struct NodeRecord {
    pub(crate) name: Arc<str>,
    pub(crate) display: Option<Box<str>>,
    pub(crate) capacity: Amounts,
    pub(crate) reserved: Amounts,
    pub(crate) overcommit: SmallVec<[(u8, u32); 1]>,
    pub(crate) failover_overcommit: SmallVec<[(u8, u32); 1]>,
    pub(crate) role: Role,
    pub(crate) state: NodeState,
    pub(crate) start_limit: Option<u32>,
    /// Sorted.
    pub(crate) labels: SmallVec<[LabelSlot; 4]>,
    pub(crate) annotations: Option<Box<Annotations>>,
    /// Powered-on VMs that are listed here.
    pub(crate) residents: Vec<VmSlot>,
    /// VMs that are migrating here.
    pub(crate) incoming: Vec<VmSlot>,
    /// The node's place in the order of the room index: a hash of its name.
    pub(crate) key: RoomKey,
    pub(super) stamp: NodeStamp,
}

/// A node's description, checked and resolved.
struct Prepared {
    amounts: PreparedAmounts,
    domains: Vec<(LevelIx, String)>,
}

/// What a node has and gives, checked against the sums that must fit.
pub(super) struct PreparedAmounts {
    pub(super) capacity: Amounts,
    reserved: Amounts,
    pub(super) allocatable: Amounts,
    pub(super) failover: Amounts,
}

impl Cluster {
    /// Adds a node.
    ///
    /// # Errors
    /// A name that is empty or taken, more reserved than there is, an unknown level or domain, or a sum beyond `u64`.
    pub fn add_node(&mut self, node: Node) -> Result<NodeId, EditError> {
        let hash = hash_name(&node.name, 0);
        let prepared = self.check_new_node(&node, hash)?;
        let slot = self.nodes.insert(NodeRecord {
            key: room_key(&node.name, hash),
            name: Arc::from(node.name.as_str()),
            display: None,
            capacity: Amounts::zero(),
            reserved: Amounts::zero(),
            overcommit: SmallVec::new(),
            failover_overcommit: SmallVec::new(),
            role: node.role,
            state: node.state,
            start_limit: None,
            labels: SmallVec::new(),
            annotations: None,
            residents: Vec::new(),
            incoming: Vec::new(),
            stamp: NodeStamp::default(),
        });
        self.list_node_name(hash, slot);
        for rows in [&mut self.allocatable, &mut self.failover, &mut self.unit_share, &mut self.used, &mut self.free] {
            rows.grow_to(slot);
            rows[slot].fill(0);
        }
        self.fill_node(slot, node, prepared);
        Ok(self.node_id_of(slot))
    }

    /// Whether [`add_node`](Self::add_node) would add a node.
    pub(crate) fn may_add_node(&self, node: &Node) -> bool {
        self.check_new_node(node, hash_name(&node.name, 0)).is_ok()
    }

    fn check_new_node(&self, node: &Node, hash: u64) -> Result<Prepared, EditError> {
        Self::new_name("node", &node.name, self.node_named(&node.name, hash), None)?;
        if self.nodes.len() >= crate::dense::to_usize(MAX_OBJECTS) {
            return Err(EditError::TooManyObjects { limit: MAX_OBJECTS });
        }
        self.prepare_node(node, None)
    }

    /// Replaces everything about a node but its identity: what it runs stays.
    ///
    /// # Errors
    /// As [`add_node`](Self::add_node), or a stale id.
    pub fn update_node(&mut self, id: NodeId, node: Node) -> Result<(), EditError> {
        let slot = self.node_slot(id)?;
        let hash = hash_name(&node.name, 0);
        Self::new_name("node", &node.name, self.node_named(&node.name, hash), Some(slot))?;
        let prepared = self.prepare_node(&node, Some(slot))?;
        self.claims_of_residents(slot, false);
        self.empty_node(slot);
        self.unlist_node_name(slot);
        if let Some(record) = self.nodes.get_mut(slot) {
            record.name = Arc::from(node.name.as_str());
            record.key = room_key(&record.name, hash);
            record.role = node.role;
            record.state = node.state;
        }
        self.list_node_name(hash, slot);
        self.fill_node(slot, node, prepared);
        self.claims_of_residents(slot, true);
        Ok(())
    }

    /// Removes a node. VMs that ran on it wait for a place from then on; migrations to it are over.
    ///
    /// Costs what the node holds, and its share of the room index.
    ///
    /// # Errors
    /// A stale id.
    pub fn remove_node(&mut self, id: NodeId) -> Result<(), EditError> {
        let slot = self.node_slot(id)?;
        let (residents, incoming) =
            self.nodes.get(slot).map_or_else(Default::default, |node| (node.residents.clone(), node.incoming.clone()));
        for vm in residents {
            self.place_vm(vm, None, None);
        }
        for vm in incoming {
            let node = self.vms.get(vm).and_then(|vm| vm.node);
            self.place_vm(vm, node, None);
        }
        self.empty_node(slot);
        self.totals_of_node(slot, None);
        self.unlist_node_name(slot);
        if let Some(record) = self.nodes.remove(slot) {
            record.stamp.leave(&mut self.fingerprint);
        }
        self.changed();
        Ok(())
    }

    /// Says what state a node is in. A fact: never refused.
    ///
    /// # Errors
    /// A stale id.
    pub fn set_node_state(&mut self, id: NodeId, state: NodeState) -> Result<(), EditError> {
        let slot = self.node_slot(id)?;
        self.claims_of_residents(slot, false);
        if let Some(record) = self.nodes.get_mut(slot) {
            record.state = state;
        }
        self.claims_of_residents(slot, true);
        self.list_node(slot, state);
        self.refresh_free(slot);
        self.stamp_node(slot);
        self.changed();
        Ok(())
    }

    fn list_node_name(&mut self, hash: u64, slot: NodeSlot) {
        let nodes = &self.nodes;
        self.node_names.insert(hash, slot, |slot| nodes.get(slot).map_or(0, NodeRecord::name_hash));
        self.seat_node(slot, hash, true);
    }

    fn unlist_node_name(&mut self, slot: NodeSlot) {
        let hash = self.nodes.get(slot).map_or(0, NodeRecord::name_hash);
        self.node_names.remove(hash, slot);
        self.seat_node(slot, hash, false);
    }

    fn prepare_node(&self, node: &Node, slot: Option<NodeSlot>) -> Result<Prepared, EditError> {
        if node.start_limit == Some(0) {
            return Err(EditError::StartLimitZero);
        }
        if node.labels.iter().any(String::is_empty) {
            return Err(EditError::EmptyName { what: "label" });
        }
        let amounts = self.prepare_amounts_of_node(node, slot)?;
        let mut domains: Vec<(LevelIx, String)> = Vec::new();
        for (level, domain) in &node.domains {
            let found = self.levels.find(level).ok_or_else(|| EditError::UnknownLevel { level: level.clone() })?;
            if found == self.levels.node_level() {
                return Err(EditError::NodeLevel);
            }
            if domain.is_empty() {
                return Err(EditError::EmptyName { what: "domain" });
            }
            if domains.iter().any(|(earlier, _)| *earlier == found) {
                return Err(EditError::TwoDomains { level: level.clone() });
            }
            if self.levels.is_declared(found) && self.levels.find_domain(found, domain).is_none() {
                return Err(EditError::UndeclaredDomain { level: level.clone(), domain: domain.clone() });
            }
            domains.push((found, domain.clone()));
        }
        Ok(Prepared { amounts, domains })
    }

    pub(super) fn prepare_amounts_of_node(
        &self,
        node: &Node,
        slot: Option<NodeSlot>,
    ) -> Result<PreparedAmounts, EditError> {
        let capacity = self.full_row(&node.capacity)?;
        let reserved = self.full_row(&node.reserved)?;
        let highest = node.overcommit.iter().chain(&node.failover_overcommit).map(|(kind, _)| *kind).max();
        if let Some(highest) = highest.filter(|highest| *highest >= self.kinds.len()) {
            return Err(EditError::TooManyAmounts { count: highest.saturating_add(1), kinds: self.kinds.len() });
        }
        let mut allocatable = Vec::new();
        let mut failover = Vec::new();
        for (kind, (capacity, reserved)) in capacity.iter().zip(reserved.iter()).enumerate() {
            let Some(usable) = capacity.checked_sub(*reserved) else {
                let name = self.kinds.get(kind).map_or_else(String::new, |kind| kind.name.clone());
                return Err(EditError::ReservedExceedsCapacity {
                    kind: name,
                    reserved: *reserved,
                    capacity: *capacity,
                });
            };
            let percent = last(&node.overcommit, kind).unwrap_or(100);
            let failover_percent = last(&node.failover_overcommit, kind).unwrap_or(percent);
            allocatable.push(scale(usable, percent).ok_or_else(|| self.overflow(kind))?);
            failover.push(scale(usable, failover_percent).ok_or_else(|| self.overflow(kind))?);
        }
        let (allocatable, failover) = (Amounts::from(allocatable), Amounts::from(failover));
        let old = slot.and_then(|slot| self.nodes.get(slot));
        let old_capacity = old.map_or(&[][..], |old| &old.capacity);
        let old_row =
            |rows: &crate::dense::Rows<NodeSlot>| slot.map_or_else(Amounts::zero, |slot| Amounts::from(&rows[slot]));
        exchange(&self.totals.capacity, old_capacity, &capacity, 1).map_err(|kind| self.overflow(kind))?;
        exchange(&self.totals.allocatable, &old_row(&self.allocatable), &allocatable, 1)
            .map_err(|kind| self.overflow(kind))?;
        exchange(&self.totals.failover, &old_row(&self.failover), &failover, 1).map_err(|kind| self.overflow(kind))?;
        Ok(PreparedAmounts { capacity, reserved, allocatable, failover })
    }

    /// Enters what a description says into a node that has no domains, labels or amounts yet.
    fn fill_node(&mut self, slot: NodeSlot, node: Node, prepared: Prepared) {
        self.totals_of_node(slot, Some(&prepared.amounts));
        let domains: Vec<(LevelIx, &str)> =
            prepared.domains.iter().map(|(level, name)| (*level, name.as_str())).collect();
        self.levels.add_node(slot, &domains);
        let labels = self.labels.acquire_each(&node.labels);
        for label in &labels {
            if let Some(uses) = self.labels.value_mut(*label) {
                uses.nodes.insert(slot);
            }
        }
        if let Some(record) = self.nodes.get_mut(slot) {
            record.display = node.display.map(String::into_boxed_str);
            record.capacity = prepared.amounts.capacity;
            record.reserved = prepared.amounts.reserved;
            record.overcommit = compact(&node.overcommit);
            record.failover_overcommit = compact(&node.failover_overcommit);
            record.start_limit = node.start_limit;
            record.labels = labels;
            record.annotations = node.annotations.map(Box::new);
        }
        self.list_node(slot, node.state);
        self.refresh_free(slot);
        self.node_in_places(slot, true);
        self.stamp_node(slot);
        self.changed();
    }

    /// Takes a node out of domains, labels, places, lists and the room index; the record stays.
    fn empty_node(&mut self, slot: NodeSlot) {
        self.node_in_places(slot, false);
        self.room.remove(slot);
        remove_sorted(&mut self.down, &slot);
        remove_sorted(&mut self.unreachable, &slot);
        remove_sorted(&mut self.spares, &slot);
        self.levels.remove_node(slot);
        let labels = self.nodes.get_mut(slot).map(|record| core::mem::take(&mut record.labels)).unwrap_or_default();
        for label in labels {
            if let Some(uses) = self.labels.value_mut(label) {
                uses.nodes.remove(slot);
            }
            self.labels.release(label);
        }
    }

    /// Exchanges a node's share of the totals and its rows of amounts for those given.
    fn totals_of_node(&mut self, slot: NodeSlot, new: Option<&PreparedAmounts>) {
        let old_capacity = self.nodes.get(slot).map(|record| record.capacity.clone()).unwrap_or_default();
        subtract_row(&mut self.totals.capacity, &old_capacity);
        subtract_row(&mut self.totals.allocatable, &self.allocatable[slot]);
        subtract_row(&mut self.totals.failover, &self.failover[slot]);
        self.allocatable[slot].fill(0);
        self.failover[slot].fill(0);
        if let Some(new) = new {
            add_row(&mut self.totals.capacity, &new.capacity);
            add_row(&mut self.totals.allocatable, &new.allocatable);
            add_row(&mut self.totals.failover, &new.failover);
            self.allocatable[slot].copy_from_slice(&new.allocatable);
            self.failover[slot].copy_from_slice(&new.failover);
        }
        for (share, most) in self.unit_share[slot].iter_mut().zip(&self.failover[slot]) {
            *share = unit_share(*most);
        }
    }

    /// Keeps the lists of down, unreachable and spare nodes.
    fn list_node(&mut self, slot: NodeSlot, state: NodeState) {
        remove_sorted(&mut self.down, &slot);
        remove_sorted(&mut self.unreachable, &slot);
        remove_sorted(&mut self.spares, &slot);
        if state.accepts() && self.nodes.get(slot).is_some_and(|record| record.role == Role::Spare) {
            insert_sorted(&mut self.spares, slot);
        }
        match state {
            NodeState::Failed | NodeState::Maintenance => insert_sorted(&mut self.down, slot),
            NodeState::Unreachable => insert_sorted(&mut self.unreachable, slot),
            NodeState::Online | NodeState::Cordoned => {}
        }
    }

    /// Takes room of a node that nobody uses, but that is kept for somebody: for a proof, on a copy of the cluster.
    pub(crate) fn take_room(&mut self, slot: NodeSlot, amounts: &[u64]) {
        add_row(&mut self.used[slot], amounts);
        self.refresh_free(slot);
    }

    /// Recomputes what a node has free for restarts, and its entry in the room index.
    pub(super) fn refresh_free(&mut self, slot: NodeSlot) {
        if self.bulk {
            return;
        }
        self.compute_free(slot);
        let Some(record) = self.nodes.get(slot) else { return };
        match (record.state.accepts(), self.room.contains(slot)) {
            (true, true) => self.room.set(slot, &self.free[slot]),
            (true, false) => self.room.insert(slot, record.key, &self.free[slot]),
            (false, true) => self.room.remove(slot),
            (false, false) => {}
        }
    }

    /// Recomputes what a node has free for restarts alone.
    pub(super) fn compute_free(&mut self, slot: NodeSlot) {
        let amounts = self.failover[slot].iter().zip(&self.used[slot]);
        for (free, (failover, used)) in self.free[slot].iter_mut().zip(amounts) {
            *free = failover.saturating_sub(*used);
        }
    }

    /// Enters or withdraws the claims that VMs migrating away from a node have on their targets: they count while
    /// the source runs its VMs.
    fn claims_of_residents(&mut self, slot: NodeSlot, enter: bool) {
        let Some(record) = self.nodes.get(slot) else { return };
        if !record.state.runs_vms() {
            return;
        }
        let claims: Vec<(VmSlot, NodeSlot)> = record
            .residents
            .iter()
            .filter_map(|vm| self.vms.get(*vm).and_then(|record| record.migrating_to).map(|target| (*vm, target)))
            .collect();
        for (vm, target) in claims {
            if enter {
                add_row(&mut self.used[target], &self.demand[vm]);
            } else {
                subtract_row(&mut self.used[target], &self.demand[vm]);
            }
            self.refresh_free(target);
        }
    }
}

/// The last value given for a kind.
fn last(percents: &[(usize, u32)], kind: usize) -> Option<u32> {
    percents.iter().rev().find(|(given, _)| *given == kind).map(|(_, percent)| *percent)
}

/// `floor(amount * percent / 100)`, if that fits.
fn scale(amount: u64, percent: u32) -> Option<u64> {
    u128::from(amount).checked_mul(u128::from(percent)).and_then(|product| u64::try_from(product / 100).ok())
}

/// What a unit is of so many, in 2^63rds.
pub(super) const fn unit_share(most: u64) -> u64 {
    match (1_u64 << 63).checked_div(most) {
        Some(share) => share,
        None => 0,
    }
}

fn compact(percents: &[(usize, u32)]) -> SmallVec<[(u8, u32); 1]> {
    let mut compacted: SmallVec<[(u8, u32); 1]> = SmallVec::new();
    for (kind, _) in percents {
        let narrow = u8::try_from(to_u32(*kind)).unwrap_or(u8::MAX);
        if let Some(percent) = last(percents, *kind).filter(|_| !compacted.iter().any(|(done, _)| *done == narrow)) {
            compacted.push((narrow, percent));
        }
    }
    compacted.sort_unstable();
    compacted
}

/// A node's place in the order of the room index. The hash of the name is its upper half.
fn room_key(name: &str, hash: u64) -> RoomKey {
    (u128::from(hash) << u64::BITS) | u128::from(hash_name(name, 1))
}

impl NodeRecord {
    /// The hash of the name.
    pub(super) fn name_hash(&self) -> u64 {
        u64::try_from(self.key >> u64::BITS).unwrap_or(0)
    }
}
