//! What admission asks before it edits VMs and nodes, and how it takes back what it has edited.
//!
//! Uses the edits of `vms` and `nodes`. Used by `admission`.

use super::slab::hash_name;
use super::vms::Prepared;
use super::{Cluster, EditError, NodeState, Vm};
use crate::ids::{NodeId, NodeSlot, VmId, VmSlot};
use crate::resources::{Amounts, KindSet};

/// What edits of a VM's place, power and amounts change of it.
#[derive(Clone, Debug)]
pub(crate) struct VmBefore {
    slot: VmSlot,
    revision: u64,
    on: bool,
    node: Option<NodeSlot>,
    last_node: Option<NodeId>,
    migrating_to: Option<NodeSlot>,
    has_demand: bool,
    own_restart: KindSet,
    own_reservation: bool,
    demand: Amounts,
    restart_demand: Amounts,
    reservation: Amounts,
}

/// What a VM that is to be added will hold, `per_vm` included, and the id that it will get.
#[derive(Clone, Debug)]
pub(crate) struct NewVm {
    pub(crate) id: VmId,
    pub(crate) demand: Amounts,
    pub(crate) restart_demand: Amounts,
}

impl Cluster {
    /// What [`add_vm`](Self::add_vm) would do, without doing it.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn about_to_add(&self, vm: &Vm) -> Result<NewVm, EditError> {
        let Prepared { demand, restart_demand, .. } = self.check_new_vm(&vm.name, hash_name(&vm.name, 0), vm)?;
        let restart_demand = restart_demand.unwrap_or_else(|| demand.clone());
        let (slot, generation) = self.vms.next();
        Ok(NewVm { id: VmId { slot, generation }, demand, restart_demand })
    }

    /// Demand and restart demand, `per_vm` included, that a VM would have once it demands this much.
    ///
    /// # Errors
    /// As [`resize_demand`](Self::resize_demand).
    pub(crate) fn about_to_resize(&self, id: VmId, demand: &Amounts) -> Result<(Amounts, Amounts), EditError> {
        let slot = self.vm_slot(id)?;
        let Prepared { demand, restart_demand, .. } = self.prepare_resized(slot, demand)?;
        let restart_demand = restart_demand.unwrap_or_else(|| demand.clone());
        Ok((demand, restart_demand))
    }

    /// Says what a VM demands now; restart demand and reservation of its own stay as they are.
    ///
    /// # Errors
    /// As [`resize_vm`](Self::resize_vm).
    pub(crate) fn resize_demand(&mut self, id: VmId, demand: &Amounts) -> Result<(), EditError> {
        let slot = self.vm_slot(id)?;
        let prepared = self.prepare_resized(slot, demand)?;
        self.withdraw(slot);
        self.amounts_of_vm(slot, Some(&prepared));
        if let Some(record) = self.vms.get_mut(slot) {
            record.has_demand = true;
        }
        self.enter(slot);
        self.stamp_vm(slot);
        self.changed();
        Ok(())
    }

    fn prepare_resized(&self, slot: VmSlot, demand: &Amounts) -> Result<Prepared, EditError> {
        let Some(record) = self.vms.get(slot) else { return Err(EditError::UnknownVm) };
        let restart = (!record.own_restart.is_empty()).then(|| self.raw(&self.restart_demand[slot]));
        let restart = restart.as_ref().map(|restart| (restart, record.own_restart));
        let reservation = record.own_reservation.then(|| self.raw(&self.reservation[slot]));
        let on = record.on;
        let mut prepared = self.prepare_amounts(Some(slot), Some(demand), restart, reservation.as_ref())?;
        prepared.on = on;
        Ok(prepared)
    }

    /// Whether no rule speaks of a group.
    pub(crate) fn is_group_without_rules(&self, group: &str) -> bool {
        self.groups.get(group).and_then(|group| self.groups.value(group)).is_none_or(|uses| uses.rules.is_empty())
    }

    /// Looks at the cluster as it would be with a node in another state; it is as it was afterwards, the revision, too.
    ///
    /// # Errors
    /// A stale id.
    pub(crate) fn seen_with_state<T>(
        &mut self,
        node: NodeId,
        state: NodeState,
        look: impl FnOnce(&Self) -> T,
    ) -> Result<T, EditError> {
        let (was, revision) = (self.node(node)?.state(), self.revision);
        self.set_node_state(node, state)?;
        let seen = look(self);
        self.restore_state(node, was, revision);
        Ok(seen)
    }

    /// Takes back that a node is in another state. It must still be there.
    pub(crate) fn restore_state(&mut self, node: NodeId, state: NodeState, revision: u64) {
        let _ = self.set_node_state(node, state);
        self.revision = revision;
    }

    /// What is needed to take back edits of a VM's place, power and amounts.
    pub(crate) fn vm_before(&self, slot: VmSlot) -> Option<VmBefore> {
        let record = self.vms.get(slot)?;
        Some(VmBefore {
            slot,
            revision: self.revision,
            on: record.on,
            node: record.node,
            last_node: record.last_node,
            migrating_to: record.migrating_to,
            has_demand: record.has_demand,
            own_restart: record.own_restart,
            own_reservation: record.own_reservation,
            demand: Amounts::from(&self.demand[slot]),
            restart_demand: Amounts::from(&self.restart_demand[slot]),
            reservation: Amounts::from(&self.reservation[slot]),
        })
    }

    /// Takes edits of a VM's place, power and amounts back, with all edits since: the revision is what it was. It must
    /// still be there.
    pub(crate) fn restore_vm(&mut self, before: &VmBefore) {
        let slot = before.slot;
        self.withdraw(slot);
        let amounts = Prepared {
            on: before.on,
            has_demand: before.has_demand,
            demand: before.demand.clone(),
            restart_demand: Some(before.restart_demand.clone()),
            reservation: Some(before.reservation.clone()),
            node: None,
            migrating_to: None,
        };
        self.amounts_of_vm(slot, Some(&amounts));
        if let Some(record) = self.vms.get_mut(slot) {
            record.on = before.on;
            record.node = before.node;
            record.last_node = before.last_node;
            record.migrating_to = before.migrating_to;
            record.has_demand = before.has_demand;
            record.own_restart = before.own_restart;
            record.own_reservation = before.own_reservation;
        }
        self.enter(slot);
        self.stamp_vm(slot);
        self.recompute_effective(&[slot]);
        self.revision = before.revision;
    }
}
