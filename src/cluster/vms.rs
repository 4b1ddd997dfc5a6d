//! Edits of VMs.
//!
//! Uses the stores of `cluster`. A change of where a VM is, of its power or of its demand goes the same way each
//! time: `withdraw` takes it out of everything that counts it, the record changes, `enter` counts it again.

use super::fingerprint::Said;
use super::slab::hash_name;
use super::{
    Cluster, EditError, GroupSlot, LabelSlot, MAX_OBJECTS, OnTimeout, Power, Priority, RestartClass, StartEdge, Until,
    Vm, add_row, exchange, insert_sorted, remove_sorted, subtract_row,
};
use crate::annotations::Annotations;
use crate::dense::{to_u32, to_usize};
use crate::ids::{NodeId, NodeSlot, RuleSlot, VmId, VmSlot};
use crate::resources::{Amounts, KindSet, MAX_KINDS};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// A VM as the cluster keeps it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each named")]
pub(crate) struct VmRecord {
    pub(crate) name: Arc<str>,
    /// A hash of its name.
    pub(crate) key: u64,
    pub(crate) on: bool,
    pub(crate) has_demand: bool,
    /// The kinds of which a restart demand was given, rather than being that of the demand; and whether a reservation was.
    pub(crate) own_restart: KindSet,
    pub(crate) own_reservation: bool,
    pub(crate) pinned: bool,
    pub(crate) restart: RestartClass,
    pub(crate) preemptible: Option<bool>,
    pub(crate) priority: Priority,
    /// The highest class and priority of its own and of those that need it.
    pub(crate) effective: (RestartClass, Priority),
    pub(crate) start_s: Option<u32>,
    /// The node of a powered-on VM.
    pub(crate) node: Option<NodeSlot>,
    /// The node that a powered-off VM last ran on; it may have been removed.
    pub(crate) last_node: Option<NodeId>,
    pub(crate) migrating_to: Option<NodeSlot>,
    /// Position among the residents of its node, or among the homeless.
    pub(crate) place_at: u32,
    /// Position among those migrating to its target.
    pub(super) incoming_at: u32,
    /// Sorted.
    pub(crate) requires: Box<[LabelSlot]>,
    /// Sorted.
    pub(crate) migrate_requires: Box<[LabelSlot]>,
    /// Sorted; nodes that were removed are passed over.
    pub(crate) allowed_nodes: Option<Box<[NodeId]>>,
    /// Sorted.
    pub(crate) groups: Box<[GroupSlot]>,
    /// The rules that it is a member of, sorted.
    pub(crate) rules: SmallVec<[RuleSlot; 2]>,
    /// The `follow` rules that it leads, sorted.
    pub(crate) leads: Vec<RuleSlot>,
    pub(crate) starts_after: Box<[Edge]>,
    /// The VMs that start after it, once per edge.
    pub(crate) dependents: Vec<VmSlot>,
    pub(crate) texts: Option<Box<Texts>>,
}

/// What is kept of a VM for its owner alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    pub(crate) display: Option<String>,
    pub(crate) annotations: Option<Annotations>,
}

/// A start edge between slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Edge {
    pub(crate) vm: VmSlot,
    pub(crate) until: Until,
    pub(crate) delay_s: u32,
    pub(crate) timeout_s: Option<u32>,
    pub(crate) on_timeout: OnTimeout,
}

/// A VM's description, checked and resolved.
pub(super) struct Prepared {
    pub(super) on: bool,
    pub(super) has_demand: bool,
    pub(super) demand: Amounts,
    /// `None`: as the demand.
    pub(super) restart_demand: Option<Amounts>,
    pub(super) reservation: Option<Amounts>,
    pub(super) node: Option<NodeSlot>,
    pub(super) migrating_to: Option<NodeSlot>,
}

impl Cluster {
    /// Adds a VM.
    ///
    /// # Errors
    /// A name that is empty or taken, stale ids, a powered-on VM without demand, a sum beyond `u64`, a start cycle, or
    /// a prerequisite that is given up on and will never run.
    pub fn add_vm(&mut self, mut vm: Vm) -> Result<VmId, EditError> {
        let name = core::mem::take(&mut vm.name);
        self.add_vm_named(&name, vm)
    }

    /// The same with the name apart.
    pub(crate) fn add_vm_named(&mut self, name: &str, vm: Vm) -> Result<VmId, EditError> {
        let hash = hash_name(name, 0);
        let prepared = self.check_new_vm(name, hash, &vm)?;
        let slot = self.vms.insert(VmRecord::new(Arc::from(name), hash));
        self.list_vm_name(hash, slot);
        for rows in [&mut self.demand, &mut self.restart_demand, &mut self.reservation] {
            rows.grow_to(slot);
            rows[slot].fill(0);
        }
        self.fill_vm(slot, vm, &prepared, Vec::new());
        Ok(self.vm_id_of(slot))
    }

    pub(super) fn check_new_vm(&self, name: &str, hash: u64, vm: &Vm) -> Result<Prepared, EditError> {
        Self::new_name("vm", name, self.vm_named(name, hash), None)?;
        if self.vms.len() >= to_usize(MAX_OBJECTS) {
            return Err(EditError::TooManyObjects { limit: MAX_OBJECTS });
        }
        self.prepare_vm(name, vm, None)
    }

    /// Replaces everything about a VM but its identity. Rules that name the VM itself go on naming it.
    ///
    /// # Errors
    /// As [`add_vm`](Self::add_vm), a stale id, or a VM that runs and needs this one, which would not.
    pub fn update_vm(&mut self, id: VmId, vm: Vm) -> Result<(), EditError> {
        let slot = self.vm_slot(id)?;
        Self::new_name("vm", &vm.name, self.vm_named(&vm.name, hash_name(&vm.name, 0)), Some(slot))?;
        let prepared = self.prepare_vm(&vm.name, &vm, Some(slot))?;
        self.check_needers(slot, prepared.on, vm.restart)?;
        let needed = self.needs(slot);
        self.withdraw(slot);
        self.allow_nodes(slot, None);
        self.leave_names(slot);
        let renamed = self.vms.get(slot).is_some_and(|record| *record.name != *vm.name);
        if renamed {
            self.rename_vm(slot, &vm.name);
        }
        self.fill_vm(slot, vm, &prepared, needed);
        Ok(())
    }

    /// Removes a VM, from its node, its rules and the start order as well.
    ///
    /// # Errors
    /// A stale id, or the leader of a `follow` rule: the rule must go first.
    pub fn remove_vm(&mut self, id: VmId) -> Result<(), EditError> {
        let slot = self.vm_slot(id)?;
        let Some(record) = self.vms.get(slot) else { return Err(EditError::UnknownVm) };
        if let Some(rule) = record.leads.first() {
            return Err(EditError::LeadsRule {
                rule: self.rules.get(*rule).map_or_else(String::new, |rule| (*rule.name).into()),
            });
        }
        let needed = self.needs(slot);
        let dependents = record.dependents.clone();
        self.withdraw(slot);
        self.allow_nodes(slot, None);
        self.set_edges(slot, &[]);
        for dependent in dependents {
            if let Some(dependent) = self.vms.get_mut(dependent) {
                dependent.starts_after =
                    dependent.starts_after.iter().filter(|edge| edge.vm != slot).copied().collect();
            }
            self.refresh_facts(dependent);
            self.stamp_vm(dependent);
        }
        self.leave_names(slot);
        self.leave_rules(slot);
        self.amounts_of_vm(slot, None);
        let name = self.vms.get(slot).map_or(0, |record| record.key);
        self.unlist_vm_name(name, slot);
        self.vms.remove(slot);
        self.refresh_facts(slot);
        self.stamp_vm(slot);
        self.recompute_effective(&needed);
        self.changed();
        Ok(())
    }

    /// Starts a VM that is off, on a node or, without one, waiting for a place.
    ///
    /// # Errors
    /// A stale id, a VM that is on, one without demand, or one that needs a VM that is off.
    pub fn start_vm(&mut self, id: VmId, node: Option<NodeId>) -> Result<(), EditError> {
        let slot = self.vm_slot(id)?;
        let node = node.map(|node| self.node_slot(node)).transpose()?;
        let Some(record) = self.vms.get(slot) else { return Err(EditError::UnknownVm) };
        if record.on {
            return Err(EditError::WrongPower { on: true });
        }
        if !record.has_demand {
            return Err(EditError::DemandMissing);
        }
        let edges = record.starts_after.clone();
        self.check_needs(slot, true, record.restart, &edges)?;
        self.change(slot, |record| {
            record.on = true;
            record.node = node;
            record.last_node = None;
        });
        self.recompute_effective(&[slot]);
        Ok(())
    }

    /// Stops a VM: it holds nothing and is not restarted.
    ///
    /// # Errors
    /// A stale id, a VM that is off, or one that a running VM needs.
    pub fn stop_vm(&mut self, id: VmId) -> Result<(), EditError> {
        let slot = self.vm_slot(id)?;
        let Some(record) = self.vms.get(slot) else { return Err(EditError::UnknownVm) };
        if !record.on {
            return Err(EditError::WrongPower { on: false });
        }
        let (restart, last_node) = (record.restart, record.node.map(|node| self.node_id_of(node)));
        self.check_needers(slot, false, restart)?;
        self.change(slot, |record| {
            record.on = false;
            record.node = None;
            record.migrating_to = None;
            record.last_node = last_node;
        });
        self.recompute_effective(&[slot]);
        Ok(())
    }

    /// Says where a powered-on VM is now: on a node, or without one, waiting for a place. Ends a migration.
    ///
    /// # Errors
    /// A stale id, or a VM that is off.
    pub fn move_vm(&mut self, id: VmId, node: Option<NodeId>) -> Result<(), EditError> {
        let slot = self.vm_slot(id)?;
        let node = node.map(|node| self.node_slot(node)).transpose()?;
        self.need_on(slot)?;
        self.place_vm(slot, node, None);
        self.changed();
        Ok(())
    }

    /// Begins a live migration: from now on the VM counts on both nodes.
    ///
    /// # Errors
    /// A stale id, a VM that is off or has no node, or its own node as the target.
    pub fn start_migration(&mut self, id: VmId, to: NodeId) -> Result<(), EditError> {
        let slot = self.vm_slot(id)?;
        let to = self.node_slot(to)?;
        let Some(record) = self.vms.get(slot) else { return Err(EditError::UnknownVm) };
        match record.node {
            Some(node) if record.on && node != to => self.place_vm(slot, Some(node), Some(to)),
            _ => return Err(EditError::BadMigration),
        }
        self.changed();
        Ok(())
    }

    /// Ends a live migration: the VM is on the target (`arrived`), or stays where it was.
    ///
    /// # Errors
    /// A stale id, or a VM that is not migrating.
    pub fn end_migration(&mut self, id: VmId, arrived: bool) -> Result<(), EditError> {
        let slot = self.vm_slot(id)?;
        let Some(record) = self.vms.get(slot) else { return Err(EditError::UnknownVm) };
        let Some(to) = record.migrating_to else { return Err(EditError::BadMigration) };
        let node = if arrived { Some(to) } else { record.node };
        self.place_vm(slot, node, None);
        self.changed();
        Ok(())
    }

    /// Says what a VM demands now; restart demand and reservation follow it where they are not given.
    ///
    /// # Errors
    /// A stale id, more amounts than kinds, or a sum beyond `u64`.
    pub fn resize_vm(
        &mut self,
        id: VmId,
        demand: &Amounts,
        restart_demand: Option<&Amounts>,
        reservation: Option<&Amounts>,
    ) -> Result<(), EditError> {
        let slot = self.vm_slot(id)?;
        let on = self.vms.get(slot).is_some_and(|record| record.on);
        let (restart, own_reservation) = (restart_demand.map(|demand| (demand, KindSet::ALL)), reservation.is_some());
        let mut prepared = self.prepare_amounts(Some(slot), Some(demand), restart, reservation)?;
        prepared.on = on;
        let weighs_on = self.weighs_on(slot);
        for node in weighs_on.into_iter().flatten() {
            subtract_row(&mut self.used[node], &self.demand[slot]);
        }
        self.amounts_of_vm(slot, Some(&prepared));
        if let Some(record) = self.vms.get_mut(slot) {
            record.has_demand = true;
            record.own_restart = restart.map_or(KindSet::NONE, |(_, kinds)| kinds);
            record.own_reservation = own_reservation;
        }
        self.refresh_facts(slot);
        for node in weighs_on.into_iter().flatten() {
            add_row(&mut self.used[node], &self.demand[slot]);
            self.refresh_free(node);
        }
        self.stamp_vm(slot);
        self.changed();
        Ok(())
    }

    /// Replaces the start edges of several VMs at once: for each VM what it starts after.
    ///
    /// # Errors
    /// A stale id, a cycle (which it names), or a prerequisite that is given up on and will never run.
    pub fn set_starts_after(&mut self, changes: &[(VmId, Vec<StartEdge>)]) -> Result<(), EditError> {
        let mut resolved: Vec<(VmSlot, Box<[Edge]>)> = Vec::with_capacity(changes.len());
        for (vm, edges) in changes {
            let slot = self.vm_slot(*vm)?;
            let edges = self.resolve_edges(edges)?;
            let Some(record) = self.vms.get(slot) else { return Err(EditError::UnknownVm) };
            self.check_needs(slot, record.on, record.restart, &edges)?;
            resolved.push((slot, edges));
        }
        let before: Vec<(VmSlot, Box<[Edge]>)> = resolved
            .iter()
            .filter_map(|(slot, _)| self.vms.get(*slot).map(|record| (*slot, record.starts_after.clone())))
            .collect();
        let mut touched: Vec<VmSlot> = Vec::new();
        for (slot, edges) in &resolved {
            touched.extend(self.needs(*slot));
            touched.push(*slot);
            self.set_edges(*slot, edges);
        }
        if let Some(cycle) = self.find_cycle(resolved.iter().map(|(slot, _)| *slot)) {
            for (slot, edges) in before.iter().rev() {
                self.set_edges(*slot, edges);
            }
            return Err(EditError::StartCycle { vms: cycle });
        }
        for (slot, _) in &resolved {
            self.stamp_vm(*slot);
        }
        self.recompute_effective(&touched);
        self.changed();
        Ok(())
    }

    fn need_on(&self, slot: VmSlot) -> Result<(), EditError> {
        if self.vms.get(slot).is_some_and(|record| record.on) {
            Ok(())
        } else {
            Err(EditError::WrongPower { on: false })
        }
    }

    pub(super) fn prepare_vm(&self, name: &str, vm: &Vm, slot: Option<VmSlot>) -> Result<Prepared, EditError> {
        let mut prepared =
            self.prepare_amounts(slot, vm.demand.as_ref(), vm.own_restart_demand(), vm.reservation.as_ref())?;
        prepared.on = vm.is_on();
        if prepared.on && !prepared.has_demand {
            return Err(EditError::DemandMissing);
        }
        prepared.node = vm.node.map(|node| self.node_slot(node)).transpose()?;
        prepared.migrating_to = vm.migrating_to.map(|node| self.node_slot(node)).transpose()?;
        if prepared.migrating_to.is_some()
            && (!prepared.on || prepared.node.is_none() || prepared.node == prepared.migrating_to)
        {
            return Err(EditError::BadMigration);
        }
        for (what, names) in [("label", &vm.requires), ("label", &vm.migrate_requires), ("group", &vm.groups)] {
            if names.iter().any(String::is_empty) {
                return Err(EditError::EmptyName { what });
            }
        }
        for node in vm.allowed_nodes.iter().flatten() {
            self.node_slot(*node)?;
        }
        let edges = self.resolve_edges(&vm.starts_after)?;
        if let Some(slot) = slot {
            if let Some(cycle) = self.cycle_with(slot, &edges) {
                return Err(EditError::StartCycle { vms: cycle });
            }
        }
        self.check_edges(name, prepared.on, vm.restart, &edges)?;
        self.check_group_leaders(name, vm, slot)?;
        Ok(prepared)
    }

    pub(super) fn prepare_amounts(
        &self,
        slot: Option<VmSlot>,
        demand: Option<&Amounts>,
        restart_demand: Option<(&Amounts, KindSet)>,
        reservation: Option<&Amounts>,
    ) -> Result<Prepared, EditError> {
        let plus_per_vm = |amounts: &Amounts| {
            if amounts.len() > self.kinds.len() {
                return Err(EditError::TooManyAmounts { count: amounts.len(), kinds: self.kinds.len() });
            }
            let mut row = [0_u64; MAX_KINDS];
            for (kind, (sum, per_vm)) in row.iter_mut().zip(self.per_vm.iter()).enumerate() {
                *sum = amounts.of(kind).checked_add(*per_vm).ok_or_else(|| self.overflow(kind))?;
            }
            Ok(Amounts::from(row.get(..self.per_vm.len()).unwrap_or_default()))
        };
        let has_demand = demand.is_some();
        let nothing = || Amounts::from([0; MAX_KINDS].get(..self.per_vm.len()).unwrap_or_default());
        let demand = demand.map_or_else(|| Ok(nothing()), plus_per_vm)?;
        let restart_demand = restart_demand.map(|(own, kinds)| {
            let own = plus_per_vm(own)?;
            let rows = own.iter().zip(demand.iter()).enumerate();
            Ok(rows.map(|(kind, (own, demand))| if kinds.contains(kind) { *own } else { *demand }).collect())
        });
        let restart_demand: Option<Amounts> = restart_demand.transpose()?;
        let reservation = reservation.map(plus_per_vm).transpose()?;
        let check = |totals: &[u64], rows: &crate::dense::Rows<VmSlot>, new: &Amounts, times| {
            let old = slot.map_or(&[][..], |slot| &rows[slot]);
            exchange(totals, old, new, times).map_err(|kind| {
                let kind = self.kinds.get(kind).map_or_else(String::new, |kind| kind.name.clone());
                EditError::Overflow { kind, twice: times > 1 }
            })
        };
        check(&self.totals.demand, &self.demand, &demand, 2)?;
        check(&self.totals.restart_demand, &self.restart_demand, restart_demand.as_ref().unwrap_or(&demand), 1)?;
        check(&self.totals.reservation, &self.reservation, reservation.as_ref().unwrap_or(&demand), 1)?;
        Ok(Prepared { on: false, has_demand, demand, restart_demand, reservation, node: None, migrating_to: None })
    }

    /// Gives a VM another name, wherever that counts. It must be withdrawn, and speak of no nodes.
    fn rename_vm(&mut self, slot: VmSlot, name: &str) {
        let Some(record) = self.vms.get_mut(slot) else { return };
        record.name = Arc::from(name);
        let new = hash_name(name, 0);
        let old = core::mem::replace(&mut record.key, new);
        let dependents = record.dependents.clone();
        self.unlist_vm_name(old, slot);
        self.list_vm_name(new, slot);
        self.rename_in_rules(slot, old);
        for dependent in dependents {
            self.stamp_vm(dependent);
        }
    }

    fn list_vm_name(&mut self, hash: u64, slot: VmSlot) {
        let vms = &self.vms;
        self.vm_names.insert(hash, slot, |slot| vms.get(slot).map_or(0, |vm| vm.key));
        self.seat_vm(slot, hash, true);
    }

    fn unlist_vm_name(&mut self, hash: u64, slot: VmSlot) {
        self.vm_names.remove(hash, slot);
        self.seat_vm(slot, hash, false);
    }

    /// Replaces the list of nodes that a VM may run on.
    fn allow_nodes(&mut self, slot: VmSlot, nodes: Option<Vec<NodeId>>) {
        let nodes = nodes.map(|mut nodes| {
            nodes.sort_unstable();
            nodes.dedup();
            nodes.into_boxed_slice()
        });
        let Some(key) = self.vms.get(slot).map(|record| record.key) else { return };
        self.tell_nodes(nodes.as_deref().unwrap_or_default(), Said::MayRunOn, key, true);
        let old = self.vms.get_mut(slot).and_then(|record| core::mem::replace(&mut record.allowed_nodes, nodes));
        self.tell_nodes(old.as_deref().unwrap_or_default(), Said::MayRunOn, key, false);
    }

    /// Enters what a description says into a VM that is withdrawn, has no labels, groups or list of nodes, and whose
    /// old amounts are still counted. `touched` are the VMs that it needed until now.
    fn fill_vm(&mut self, slot: VmSlot, vm: Vm, prepared: &Prepared, mut touched: Vec<VmSlot>) {
        touched.push(slot);
        self.amounts_of_vm(slot, Some(prepared));
        let requires = self.labels.acquire_each(&vm.requires).into_boxed_slice();
        let migrate_requires = self.labels.acquire_each(&vm.migrate_requires).into_boxed_slice();
        let groups = self.join_groups(slot, &vm.groups);
        let edges = self.resolve_edges(&vm.starts_after).unwrap_or_default();
        let last_node = vm.node;
        if let Some(record) = self.vms.get_mut(slot) {
            record.on = prepared.on;
            record.has_demand = prepared.has_demand;
            record.own_restart = vm.own_restart_demand().map_or(KindSet::NONE, |(_, kinds)| kinds);
            record.own_reservation = vm.reservation.is_some();
            record.pinned = vm.pinned;
            record.restart = vm.restart;
            record.preemptible = vm.preemptible;
            record.priority = vm.priority;
            record.start_s = vm.start_s;
            record.node = prepared.node.filter(|_| prepared.on);
            record.last_node = last_node.filter(|_| !prepared.on);
            record.migrating_to = prepared.migrating_to;
            record.requires = requires;
            record.migrate_requires = migrate_requires;
            record.groups = groups;
            record.texts = (vm.display.is_some() || vm.annotations.is_some())
                .then(|| Box::new(Texts { display: vm.display, annotations: vm.annotations }));
        }
        if vm.allowed_nodes.is_some() {
            self.allow_nodes(slot, vm.allowed_nodes);
        }
        self.set_edges(slot, &edges);
        self.enter(slot);
        self.stamp_vm(slot);
        self.recompute_effective(&touched);
        self.changed();
    }

    /// Releases a VM's labels and leaves its groups.
    fn leave_names(&mut self, slot: VmSlot) {
        let Some(record) = self.vms.get_mut(slot) else { return };
        let requires = core::mem::take(&mut record.requires);
        let migrate_requires = core::mem::take(&mut record.migrate_requires);
        let groups = core::mem::take(&mut record.groups);
        for label in requires.iter().chain(&migrate_requires) {
            self.labels.release(*label);
        }
        for group in groups {
            if let Some(group) = self.groups.value_mut(group) {
                remove_sorted(&mut group.vms, &slot);
            }
            self.group_membership(slot, group, false);
            self.groups.release(group);
        }
    }

    fn join_groups(&mut self, slot: VmSlot, names: &[String]) -> Box<[GroupSlot]> {
        let groups = self.groups.acquire_each(names);
        for group in &groups {
            if let Some(uses) = self.groups.value_mut(*group) {
                insert_sorted(&mut uses.vms, slot);
            }
            self.group_membership(slot, *group, true);
        }
        groups.into_boxed_slice()
    }

    /// Exchanges a VM's share of the totals and its rows of amounts for those given. It must be withdrawn.
    pub(super) fn amounts_of_vm(&mut self, slot: VmSlot, new: Option<&Prepared>) {
        // A new VM has rows of zeros.
        let old = [&self.demand, &self.restart_demand, &self.reservation];
        if old.iter().any(|rows| rows[slot].iter().any(|amount| *amount > 0)) {
            for _ in 0..2 {
                subtract_row(&mut self.totals.demand, &self.demand[slot]);
            }
            subtract_row(&mut self.totals.restart_demand, &self.restart_demand[slot]);
            subtract_row(&mut self.totals.reservation, &self.reservation[slot]);
            self.demand[slot].fill(0);
            self.restart_demand[slot].fill(0);
            self.reservation[slot].fill(0);
        }
        let Some(new) = new else { return };
        self.add_to_totals(new);
        self.demand[slot].copy_from_slice(&new.demand);
        self.restart_demand[slot].copy_from_slice(new.restart_demand.as_ref().unwrap_or(&new.demand));
        self.reservation[slot].copy_from_slice(new.reservation.as_ref().unwrap_or(&new.demand));
    }

    /// Counts a VM's amounts, which must fit, in the totals.
    pub(super) fn add_to_totals(&mut self, new: &Prepared) {
        for _ in 0..2 {
            add_row(&mut self.totals.demand, &new.demand);
        }
        add_row(&mut self.totals.restart_demand, new.restart_demand.as_ref().unwrap_or(&new.demand));
        add_row(&mut self.totals.reservation, new.reservation.as_ref().unwrap_or(&new.demand));
    }

    /// Changes a VM's record while it is not counted.
    fn change(&mut self, slot: VmSlot, edit: impl FnOnce(&mut VmRecord)) {
        self.withdraw(slot);
        if let Some(record) = self.vms.get_mut(slot) {
            edit(record);
        }
        self.enter(slot);
        self.stamp_vm(slot);
        self.changed();
    }

    /// Says where a powered-on VM is.
    pub(super) fn place_vm(&mut self, slot: VmSlot, node: Option<NodeSlot>, migrating_to: Option<NodeSlot>) {
        self.withdraw(slot);
        if let Some(record) = self.vms.get_mut(slot) {
            record.node = node;
            record.migrating_to = migrating_to;
        }
        self.enter(slot);
    }

    /// Puts a VM that waits on a node, where it holds the larger of what it needs to start and to run: a cluster as a
    /// plan will leave it, at the start and afterwards.
    pub(crate) fn settle(&mut self, slot: VmSlot, node: NodeSlot) {
        self.withdraw(slot);
        let held: Amounts = self.demand[slot]
            .iter()
            .zip(&self.restart_demand[slot])
            .map(|(demand, restart)| *demand.max(restart))
            .collect();
        // Sums beyond u64 are nowhere: then it holds what it demands.
        if exchange(&self.totals.demand, &self.demand[slot], &held, 2).is_ok() {
            for _ in 0..2 {
                subtract_row(&mut self.totals.demand, &self.demand[slot]);
                add_row(&mut self.totals.demand, &held);
            }
            self.demand[slot].copy_from_slice(&held);
        }
        if let Some(record) = self.vms.get_mut(slot) {
            record.node = Some(node);
            record.migrating_to = None;
        }
        self.enter(slot);
        self.stamp_vm(slot);
        self.changed();
    }

    /// Counts a VM where its record says it is.
    pub(super) fn enter(&mut self, slot: VmSlot) {
        self.refresh_facts(slot);
        let Some(record) = self.vms.get_mut(slot) else { return };
        let key = record.key;
        if !record.on {
            if let Some(last) = record.last_node {
                self.tell_nodes(&[last], Said::RanOn, key, true);
            }
            return;
        }
        let Some(node) = record.node else {
            record.place_at = to_u32(self.homeless.len());
            self.homeless.push(slot);
            return;
        };
        if let Some(node) = self.nodes.get_mut(node) {
            record.place_at = to_u32(node.residents.len());
            node.residents.push(slot);
            node.hear(self.bulk, &mut self.fingerprint, Said::RunsOn, key, true);
        }
        if let Some(target) = record.migrating_to.and_then(|target| self.nodes.get_mut(target)) {
            record.incoming_at = to_u32(target.incoming.len());
            target.incoming.push(slot);
            target.hear(self.bulk, &mut self.fingerprint, Said::MovesTo, key, true);
        }
        for node in self.weighs_on(slot).into_iter().flatten() {
            add_row(&mut self.used[node], &self.demand[slot]);
            self.refresh_free(node);
        }
    }

    /// The nodes whose room a VM uses: its own, and the target of a move from a node that runs.
    fn weighs_on(&self, slot: VmSlot) -> [Option<NodeSlot>; 2] {
        let Some(record) = self.vms.get(slot).filter(|record| record.on) else { return [None; 2] };
        let runs = |node| self.nodes.get(node).is_some_and(|node| node.state.runs_vms());
        [record.migrating_to.filter(|_| record.node.is_some_and(runs)), record.node]
    }

    /// Takes a VM out of everything that counts it.
    pub(super) fn withdraw(&mut self, slot: VmSlot) {
        let Some(record) = self.vms.get(slot) else { return };
        let key = record.key;
        if !record.on {
            if let Some(last) = record.last_node {
                self.tell_nodes(&[last], Said::RanOn, key, false);
            }
            return;
        }
        let (node, target, place_at, incoming_at) =
            (record.node, record.migrating_to, record.place_at, record.incoming_at);
        let Some(node) = node else {
            if let Some(moved) = take_out(&mut self.homeless, place_at) {
                if let Some(moved) = self.vms.get_mut(moved) {
                    moved.place_at = place_at;
                }
            }
            return;
        };
        let weighs_on = self.weighs_on(slot);
        if let Some(node) = self.nodes.get_mut(node) {
            node.hear(self.bulk, &mut self.fingerprint, Said::RunsOn, key, false);
            if let Some(moved) = take_out(&mut node.residents, place_at) {
                if let Some(moved) = self.vms.get_mut(moved) {
                    moved.place_at = place_at;
                }
            }
        }
        if let Some(node) = target.and_then(|target| self.nodes.get_mut(target)) {
            node.hear(self.bulk, &mut self.fingerprint, Said::MovesTo, key, false);
            if let Some(moved) = take_out(&mut node.incoming, incoming_at) {
                if let Some(moved) = self.vms.get_mut(moved) {
                    moved.incoming_at = incoming_at;
                }
            }
        }
        for node in weighs_on.into_iter().flatten() {
            subtract_row(&mut self.used[node], &self.demand[slot]);
            self.refresh_free(node);
        }
    }

    fn resolve_edges(&self, edges: &[StartEdge]) -> Result<Box<[Edge]>, EditError> {
        edges
            .iter()
            .map(|edge| {
                Ok(Edge {
                    vm: self.vm_slot(edge.vm)?,
                    until: edge.until,
                    delay_s: edge.delay_s,
                    timeout_s: edge.timeout_s,
                    on_timeout: edge.on_timeout,
                })
            })
            .collect()
    }

    /// Replaces a VM's start edges and keeps the way back.
    fn set_edges(&mut self, slot: VmSlot, edges: &[Edge]) {
        let Some(record) = self.vms.get_mut(slot) else { return };
        if edges.is_empty() && record.starts_after.is_empty() {
            return;
        }
        let old = core::mem::replace(&mut record.starts_after, edges.into());
        self.refresh_facts(slot);
        for edge in old {
            if let Some(other) = self.vms.get_mut(edge.vm) {
                // From the end: what is taken back is taken back in the opposite order.
                if let Some(position) = other.dependents.iter().rposition(|dependent| *dependent == slot) {
                    other.dependents.swap_remove(position);
                }
            }
        }
        for edge in edges {
            if let Some(other) = self.vms.get_mut(edge.vm) {
                other.dependents.push(slot);
            }
        }
    }
}

/// Removes by position; the last one takes its place and is returned.
fn take_out(list: &mut Vec<VmSlot>, position: u32) -> Option<VmSlot> {
    let position = to_usize(position);
    if position < list.len() {
        list.swap_remove(position);
    }
    list.get(position).copied()
}

impl VmRecord {
    /// A record that says nothing yet: off, no amounts, no names.
    fn new(name: Arc<str>, key: u64) -> Self {
        Self {
            key,
            name,
            on: false,
            has_demand: false,
            own_restart: KindSet::NONE,
            own_reservation: false,
            pinned: false,
            restart: RestartClass::Protected,
            preemptible: None,
            priority: Priority::MEDIUM,
            effective: (RestartClass::Protected, Priority::MEDIUM),
            start_s: None,
            node: None,
            last_node: None,
            migrating_to: None,
            place_at: 0,
            incoming_at: 0,
            requires: Box::default(),
            migrate_requires: Box::default(),
            allowed_nodes: None,
            groups: Box::default(),
            rules: SmallVec::new(),
            leads: Vec::new(),
            starts_after: Box::default(),
            dependents: Vec::new(),
            texts: None,
        }
    }

    pub(crate) fn power(&self) -> Power {
        if self.on { Power::On } else { Power::Off }
    }
}
