//! Who is displaced by a failure, who waits, who is left alone.
//!
//! Uses `cluster` and `failure`. Used by `restart::planner` and the parts of it; its memory is used again from plan to
//! plan, and nothing in it costs more than the VMs that the failure touches.

use crate::cluster::{Cluster, EditError, NodeState, Priority, RestartClass, VmRecord};
use crate::dense::{DenseId, IdVec};
use crate::failure::Failure;
use crate::ids::{NodeSlot, VmSlot};
use crate::placement::problem::ItemIx;
use crate::restart::scenario::Concern;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The nodes on which a VM that stays counts: where it runs, and where it is migrating to.
pub(super) type Places = SmallVec<[NodeSlot; 2]>;

/// The displaced VMs of one failure, in the order in which the solver takes them.
#[derive(Debug, Default)]
pub(super) struct Scene {
    /// Displaced VMs to be placed: by class and priority, then larger ones first, then by name.
    pub(super) items: IdVec<ItemIx, VmSlot>,
    /// The class of each item, as a position in `classes`.
    pub(super) class_of: IdVec<ItemIx, u32>,
    /// Effective class and priority, the most important first.
    pub(super) classes: Vec<(RestartClass, Priority)>,
    /// VMs on unreachable nodes that were not named as failing.
    pub(super) waiting: Vec<VmSlot>,
    /// Displaced VMs of class `never`.
    pub(super) left_alone: Vec<VmSlot>,
    /// Nodes of the failure that had failed before.
    pub(super) failed_already: Vec<NodeSlot>,
    /// Targets of migrations whose source fails: the claims on them are released.
    pub(super) released: Vec<(NodeSlot, VmSlot)>,
    /// Per node the epoch of the failure that last took it.
    failed: IdVec<NodeSlot, u32>,
    /// Per VM the epoch in which it was last an item, and which.
    item_of: IdVec<VmSlot, (u32, ItemIx)>,
    epoch: u32,
    order: Vec<Entry>,
}

/// What an item is sorted by.
#[derive(Clone, Copy, Debug)]
struct Entry {
    importance: (RestartClass, Priority),
    size: u64,
    vm: VmSlot,
}

impl Scene {
    /// Finds out what `failure` does to `cluster`.
    pub(super) fn set(&mut self, cluster: &Cluster, failure: &Failure) -> Result<(), EditError> {
        self.set_for(cluster, failure, None)
    }

    /// The same, with only the VMs that concern someone to be placed: the others vanish when they are displaced.
    pub(super) fn set_for(
        &mut self,
        cluster: &Cluster,
        failure: &Failure,
        concern: Option<&Concern>,
    ) -> Result<(), EditError> {
        failure.validate(cluster)?;
        self.clear(cluster);
        let epoch = self.epoch;
        for node in failure.nodes() {
            self.failed[node.slot] = epoch;
        }
        for vm in cluster.homeless() {
            self.displace(cluster, *vm, concern);
        }
        for node in cluster.down_nodes() {
            self.displace_residents(cluster, *node, concern);
        }
        for node in failure.nodes() {
            match cluster.node_record(node.slot).map(|record| record.state) {
                Some(NodeState::Failed) => self.failed_already.push(node.slot),
                // Its residents are displaced as it is.
                Some(NodeState::Maintenance) | None => {}
                Some(NodeState::Online | NodeState::Cordoned | NodeState::Unreachable) => {
                    self.displace_residents(cluster, node.slot, concern);
                }
            }
        }
        for node in cluster.unreachable_nodes() {
            if !self.is_failed(*node) {
                let residents = cluster.node_record(*node).map_or(&[][..], |record| &record.residents);
                self.waiting.extend_from_slice(residents);
            }
        }
        self.sort(cluster);
        Ok(())
    }

    /// Whether the failure takes a node.
    #[inline]
    pub(super) fn is_failed(&self, node: NodeSlot) -> bool {
        self.failed.lookup(node) == Some(&self.epoch)
    }

    /// The item that a VM is, if it is one.
    #[inline]
    pub(super) fn item_of(&self, vm: VmSlot) -> Option<ItemIx> {
        self.item_of.lookup(vm).filter(|(epoch, _)| *epoch == self.epoch).map(|(_, item)| *item)
    }

    /// Where a VM counts that runs and stays where it is; nothing for one that is displaced or off.
    pub(super) fn places(&self, cluster: &Cluster, vm: &VmRecord) -> Places {
        let up = |node: &NodeSlot| {
            !self.is_failed(*node) && cluster.node_record(*node).is_some_and(|node| node.state.runs_vms())
        };
        let mut places = Places::new();
        if let Some(node) = vm.node.filter(|node| vm.on && up(node)) {
            places.push(node);
            places.extend(vm.migrating_to.filter(up));
        }
        places
    }

    fn clear(&mut self, cluster: &Cluster) {
        self.items.clear();
        self.class_of.clear();
        self.classes.clear();
        self.waiting.clear();
        self.left_alone.clear();
        self.failed_already.clear();
        self.released.clear();
        self.order.clear();
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // Once in four thousand million plans: no stamp of an earlier round may look like one of this.
            self.failed.clear();
            self.item_of.clear();
            self.epoch = 1;
        }
        if let Some(last) = cluster.node_slots().checked_sub(1) {
            self.failed.grow_to(NodeSlot::from_index(last), &0);
        }
        if let Some(last) = cluster.vm_slots_len().checked_sub(1) {
            self.item_of.grow_to(VmSlot::from_index(last), &(0, ItemIx(0)));
        }
    }

    fn displace_residents(&mut self, cluster: &Cluster, node: NodeSlot, concern: Option<&Concern>) {
        let Some(record) = cluster.node_record(node) else { return };
        for vm in &record.residents {
            self.displace(cluster, *vm, concern);
            if record.state.runs_vms() {
                if let Some(target) = cluster.vm_record(*vm).and_then(|vm| vm.migrating_to) {
                    self.released.push((target, *vm));
                }
            }
        }
    }

    fn displace(&mut self, cluster: &Cluster, vm: VmSlot, concern: Option<&Concern>) {
        if concern.is_some_and(|concern| !concern.includes(cluster, vm)) {
            return;
        }
        let importance = cluster.effective(vm);
        if importance.0 == RestartClass::Never {
            self.left_alone.push(vm);
        } else {
            self.order.push(Entry { importance, size: cluster.size_of(&cluster.restart_rows()[vm]), vm });
        }
    }

    fn sort(&mut self, cluster: &Cluster) {
        let name = |vm: VmSlot| cluster.vm_record(vm).map(|record| &*record.name);
        self.order.sort_unstable_by(|left, right| {
            (right.importance, right.size)
                .cmp(&(left.importance, left.size))
                .then_with(|| name(left.vm).cmp(&name(right.vm)))
        });
        for entry in &self.order {
            if self.classes.last() != Some(&entry.importance) {
                self.classes.push(entry.importance);
            }
            let class = crate::dense::to_u32(self.classes.len().saturating_sub(1));
            self.class_of.push(class);
            let item = self.items.push(entry.vm);
            self.item_of[entry.vm] = (self.epoch, item);
        }
        self.waiting.sort_unstable_by(|left, right| name(*left).cmp(&name(*right)));
        self.left_alone.sort_unstable_by(|left, right| name(*left).cmp(&name(*right)));
    }
}
