//! Whether VMs with places of their own always have one, and the room of those places is theirs.
//!
//! Uses `cluster` through its public views. Part of the checker.
//!
//! VMs of one home with one list are always together: an *item*. No place is in a unit of its home, no two are in one unit. Of
//! places for one item at a time (*single* ones) some may be taken: another item is on one at most, and only once its own
//! home is lost. So the loss of a unit takes as many places as it holds (one at most) and items that meet this one on single
//! places; a list that is longer than the losses beside that of the home can take, and what that displaces, never ends. Of
//! several units of the home, where none lies within another, one is that loss, and the others may be among those beside.
//!
//! What stays free beside every plan of a bank: on a single place what any one item needs, on others what all items of as many
//! lost units as there may be need together, counted as they start and as they run, whichever is more.

use super::{Check, Class, room_without, suits, vm_fault};
use crate::cluster::{NodeState, VmRef};
use crate::guarantee::certificate::NOWHERE;
use crate::ids::{NodeId, NodeSlot, VmId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// What a VM holds as it starts or as it runs, whichever is more.
fn held(vm: VmRef<'_>) -> Vec<u64> {
    vm.restart_demand().iter().zip(vm.demand()).map(|(restart, demand)| *restart.max(demand)).collect()
}

fn add(sum: &mut Vec<u64>, amounts: &[u64]) {
    sum.resize(sum.len().max(amounts.len()), 0);
    sum.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum = sum.saturating_add(*amount));
}

impl Check<'_> {
    /// Looks at the places themselves, and works out what has to stay free where.
    pub(super) fn backups(&mut self) {
        let mut faults = Vec::new();
        let mut items: BTreeMap<(NodeId, Vec<NodeId>), Vec<u64>> = BTreeMap::new();
        for backup in &self.certificate.backups {
            let id = self.cluster.vm_id_of(backup.vm);
            let targets: Vec<NodeId> = backup.targets.iter().map(|node| self.cluster.node_id_of(*node)).collect();
            let entry = self.certificate.entry(backup.vm);
            let (Ok(vm), Some(home), Some(entry)) = (self.cluster.vm(id), self.home.get(&id), entry) else {
                faults.push(vm_fault(self.cluster, id, "has places of its own and does not belong in the certificate"));
                continue;
            };
            if self.certificate.targets.iter().any(|column| column.get(entry) != Some(&NOWHERE)) {
                faults.push(vm_fault(self.cluster, id, "has places of its own, and others in banks"));
            }
            let takes = |node| suits(self.cluster, vm, node) && node.state() == NodeState::Online;
            if !targets.iter().all(|target| self.cluster.node(*target).is_ok_and(takes)) {
                faults.push(vm_fault(self.cluster, id, "has a place of its own where it cannot run"));
            }
            let places: BTreeSet<NodeId> = targets.iter().copied().chain([*home]).collect();
            if places.len() <= targets.len() || shares_a_unit(&self.class, &places) {
                faults.push(vm_fault(self.cluster, id, "has two places, or one and its home, that one loss can take"));
            }
            add(items.entry((*home, targets)).or_default(), &held(vm));
        }
        let singles = self.certificate.singles.iter().map(|node| self.cluster.node_id_of(*node)).collect();
        let is_always_left = items.keys().all(|item| is_left(&self.class, self.losses, &singles, item, items.keys()));
        if !is_always_left {
            let vm = self.certificate.backups.first().map(|backup| self.cluster.vm_id_of(backup.vm));
            let what = "or another VM can lose its home and all places of its own";
            faults.extend(vm.map(|vm| vm_fault(self.cluster, vm, what)));
        }
        let mut kept: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        let nodes: BTreeSet<NodeId> = items.keys().flat_map(|(_, targets)| targets).copied().collect();
        for node in nodes {
            let there = || items.iter().filter(|((_, targets), _)| targets.contains(&node));
            if singles.contains(&node) {
                let most = kept.entry(node).or_default();
                for (_, need) in there() {
                    most.resize(need.len(), 0);
                    most.iter_mut().zip(need).for_each(|(most, need)| *most = (*most).max(*need));
                }
                continue;
            }
            for (_, count, units) in &self.class.tiers {
                let mut of_unit: Vec<Vec<u64>> = Vec::new();
                for unit in units.values() {
                    let mut sum = Vec::new();
                    there().filter(|((home, _), _)| unit.contains(home)).for_each(|(_, need)| add(&mut sum, need));
                    of_unit.push(sum);
                }
                let kinds = of_unit.iter().map(Vec::len).max().unwrap_or(0);
                let of_kind = |kind: usize| {
                    let mut most: Vec<u64> = of_unit.iter().filter_map(|need| need.get(kind)).copied().collect();
                    most.sort_unstable();
                    let most = most.iter().rev().take(usize::try_from(*count).unwrap_or(usize::MAX)).copied();
                    most.fold(0, u64::saturating_add)
                };
                let most: Vec<u64> = (0..kinds).map(of_kind).collect();
                add(kept.entry(node).or_default(), &most);
            }
        }
        self.faults.append(&mut faults);
        self.leave_free(&BTreeSet::new(), &kept);
        self.kept = kept;
    }

    /// Where those of some VMs go that have places of their own, if nobody is on one yet.
    pub(super) fn own_places(&self, displaced: &BTreeSet<VmId>) -> Vec<(VmId, NodeId)> {
        let mut taken: BTreeMap<NodeId, (NodeId, &[NodeSlot])> = BTreeMap::new();
        let mut own = Vec::new();
        for backup in &self.certificate.backups {
            let vm = self.cluster.vm_id_of(backup.vm);
            let Some(home) = self.home.get(&vm).filter(|_| displaced.contains(&vm)) else { continue };
            let item = (*home, backup.targets.as_slice());
            let is_left = |node: &NodeId| {
                self.certificate.singles.binary_search(&node.slot).is_err()
                    || taken.get(node).is_none_or(|other| *other == item)
            };
            let targets = backup.targets.iter().map(|node| self.cluster.node_id_of(*node));
            if let Some(node) = targets.into_iter().find(is_left) {
                taken.insert(node, item);
                own.push((vm, node));
            }
        }
        own
    }

    /// Notes nodes on which a plan leaves less than has to stay free.
    pub(super) fn kept_room_is_free(&mut self, failed: &BTreeSet<NodeId>, plan: &[(VmId, NodeId)]) {
        let mut needs: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        for (vm, node) in plan {
            if let (Some(kept), Ok(vm)) = (self.kept.get(node), self.cluster.vm(*vm)) {
                add(needs.entry(*node).or_insert_with(|| kept.clone()), &held(vm));
            }
        }
        self.leave_free(failed, &needs);
    }

    fn leave_free(&mut self, failed: &BTreeSet<NodeId>, needs: &BTreeMap<NodeId, Vec<u64>>) {
        for (id, need) in needs {
            let Ok(node) = self.cluster.node(*id) else { continue };
            // Whoever is on the way here from what is lost asks for nothing any more, and whoever may be evicted goes. Who asks for
            // nothing may be where more is used than there is.
            let is_lost = |node: NodeId| failed.contains(&node) || self.class.gone.contains(&node);
            let is_evicted = |vm: VmRef<'_>| self.evicts.contains_key(&vm.id());
            let comes_no_more = |vm: VmRef<'_>| is_evicted(vm) || vm.node().is_some_and(is_lost);
            let mut free = room_without(self.cluster, node, comes_no_more, is_evicted);
            let standing = self.standing.iter().filter(|(_, place)| place == id);
            for vm in standing.filter_map(|(vm, _)| self.cluster.vm(*vm).ok()) {
                free.iter_mut().zip(held(vm)).for_each(|(free, held)| *free = free.saturating_sub(held));
            }
            if need.iter().zip(free).any(|(need, free)| *need > free) {
                let vm = self.certificate.backups.iter().find(|backup| backup.targets.contains(&id.slot));
                let vm = vm.map(|backup| self.cluster.vm_id_of(backup.vm));
                let what = "has a place of its own where its room is not free";
                self.faults.extend(vm.map(|vm| vm_fault(self.cluster, vm, what)));
            }
        }
    }
}

/// Whether an item's list is longer than all that can happen to it.
fn is_left<'i>(
    class: &Class<'_>,
    losses: u32,
    singles: &BTreeSet<NodeId>,
    (home, targets): &(NodeId, Vec<NodeId>),
    items: impl Iterator<Item = &'i (NodeId, Vec<NodeId>)>,
) -> bool {
    let meets = |list: &[NodeId]| list.iter().any(|node| singles.contains(node) && targets.contains(node));
    let others: Vec<NodeId> = items
        .filter(|(other, list)| (other, list) != (home, targets) && meets(list))
        .map(|(other, _)| *other)
        .collect();
    let units = || class.tiers.iter().flat_map(|(_, _, units)| units.values());
    let harm = |unit: &BTreeSet<NodeId>| {
        let takes = targets.iter().filter(|node| unit.contains(node)).count();
        let displaces = others.iter().filter(|other| unit.contains(other)).count();
        takes.saturating_add(displaces)
    };
    let mut own: Vec<&BTreeSet<NodeId>> = Vec::new();
    for unit in units().filter(|unit| unit.contains(home)) {
        if !own.iter().any(|other| unit.is_subset(other)) {
            own.retain(|other| !other.is_subset(unit));
            own.push(unit);
        }
    }
    let mut own: Vec<usize> = own.into_iter().map(harm).collect();
    own.sort_unstable();
    let first = own.pop().unwrap_or(0);
    let mut besides: Vec<usize> = units().filter(|unit| !unit.contains(home)).map(harm).chain(own).collect();
    besides.sort_unstable();
    let besides = besides.iter().rev().take(usize::try_from(losses).unwrap_or(usize::MAX).saturating_sub(1));
    targets.len() > besides.copied().fold(first, usize::saturating_add)
}

/// Whether one loss can take two of these nodes.
fn shares_a_unit(class: &Class<'_>, nodes: &BTreeSet<NodeId>) -> bool {
    let mut units = class.tiers.iter().flat_map(|(_, _, units)| units.values());
    units.any(|unit| unit.intersection(nodes).count() > 1)
}
