//! Whether VMs with places of their own always have one, and the room of those places is theirs.
//!
//! Uses `cluster` through its public views. Part of the checker.
//!
//! As many places as units may be lost, none in a unit of the home, no two in one unit: the home is one loss, so that one of the
//! places is always left. What VMs of as many lost units as there may be need on a node together stays free beside every
//! plan of a bank, counted as they start and as they run, whichever is more.

use super::{Check, Class, suits, vm_fault};
use crate::cluster::{NodeState, VmRef};
use crate::guarantee::certificate::NOWHERE;
use crate::ids::{NodeId, VmId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// What a VM holds as it starts or as it runs, whichever is more.
fn held(vm: VmRef<'_>) -> Vec<u64> {
    vm.restart_demand().iter().zip(vm.demand()).map(|(restart, demand)| *restart.max(demand)).collect()
}

fn add(sum: &mut Vec<u64>, amounts: &[u64]) {
    sum.resize(amounts.len(), 0);
    sum.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum = sum.saturating_add(*amount));
}

impl Check<'_> {
    /// Looks at the places themselves, and works out what has to stay free where.
    pub(super) fn backups(&mut self) {
        // Per node and tier what VMs of each unit need.
        let mut needs: BTreeMap<(NodeId, usize), BTreeMap<&str, Vec<u64>>> = BTreeMap::new();
        let mut faults = Vec::new();
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
            let places: BTreeSet<NodeId> = targets.iter().copied().chain([*home]).collect();
            let enough = usize::try_from(self.losses).is_ok_and(|losses| targets.len() >= losses);
            if places.len() <= targets.len() || !enough || shares_a_unit(&self.class, &places) {
                faults.push(vm_fault(self.cluster, id, "can lose its home and all of its own places"));
            }
            for target in &targets {
                let takes = |node| suits(self.cluster, vm, node) && node.state() == NodeState::Online;
                if !self.cluster.node(*target).is_ok_and(takes) {
                    faults.push(vm_fault(self.cluster, id, "has a place of its own where it cannot run"));
                }
                for (tier, (_, _, units)) in self.class.tiers.iter().enumerate() {
                    for (unit, _) in units.iter().filter(|(_, nodes)| nodes.contains(home)) {
                        add(needs.entry((*target, tier)).or_default().entry(unit).or_default(), &held(vm));
                    }
                }
            }
        }
        let mut kept: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        for ((node, tier), units) in needs {
            let count = self.class.tiers.get(tier).map_or(0, |(_, count, _)| *count);
            let kinds = units.values().map(Vec::len).max().unwrap_or(0);
            let of_kind = |kind: usize| {
                let mut most: Vec<u64> = units.values().filter_map(|need| need.get(kind)).copied().collect();
                most.sort_unstable();
                most.iter()
                    .rev()
                    .take(usize::try_from(count).unwrap_or(usize::MAX))
                    .copied()
                    .fold(0, u64::saturating_add)
            };
            let most: Vec<u64> = (0..kinds).map(of_kind).collect();
            add(kept.entry(node).or_default(), &most);
        }
        self.faults.append(&mut faults);
        for (vm, node) in &self.standing {
            if let (Some(kept), Ok(vm)) = (kept.get_mut(node), self.cluster.vm(*vm)) {
                add(kept, &held(vm));
            }
        }
        self.leave_free(&BTreeSet::new(), &kept);
        self.kept = kept;
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
            let mut room = node.failover_allocatable().to_vec();
            // Whoever came from where all is lost asks for nothing any more, and whoever may be evicted goes.
            let is_lost = |node: &NodeId| failed.contains(node) || self.class.gone.contains(node);
            let incoming = node.incoming().filter_map(|vm| self.cluster.vm(vm).ok());
            let released = incoming.filter(|vm| vm.node().as_ref().is_some_and(is_lost));
            let evicted =
                node.vms().filter(|vm| self.evicts.contains_key(vm)).filter_map(|vm| self.cluster.vm(vm).ok());
            for vm in released.chain(evicted) {
                add(&mut room, vm.demand());
            }
            let asked = node.used().iter().zip(need).map(|(used, need)| used.saturating_add(*need));
            if asked.zip(&room).any(|(asked, room)| asked > *room) {
                let vm = self.certificate.backups.iter().find(|backup| backup.targets.contains(&id.slot));
                let vm = vm.map(|backup| self.cluster.vm_id_of(backup.vm));
                let what = "has a place of its own where its room is not free";
                self.faults.extend(vm.map(|vm| vm_fault(self.cluster, vm, what)));
            }
        }
    }
}

/// Whether one loss can take two of these nodes.
fn shares_a_unit(class: &Class<'_>, nodes: &BTreeSet<NodeId>) -> bool {
    let mut units = class.tiers.iter().flat_map(|(_, _, units)| units.values());
    units.any(|unit| unit.intersection(nodes).count() > 1)
}
