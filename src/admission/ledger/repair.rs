//! What no longer fits is packed anew: claims moved off a node, or all plans of a unit in a bank.
//!
//! Uses `ledger::{class, lists}`. Called at the end of a transaction, and before a request is given to the slow way.

use super::claims::raise_most;
use super::class::{Ask, ClassLedger, NO_BANK};
use super::keeps::{After, Moved};
use crate::cluster::Cluster;
use crate::dense::{fits, to_usize};
use crate::guarantee::{Bond, NOWHERE, UnitIx};
use crate::ids::{NodeSlot, VmSlot};
use crate::resources::Amounts;
use alloc::vec::Vec;

impl ClassLedger {
    /// At the end of a transaction: makes every plan fit again. `false`: the ledger is of no use any more.
    pub(crate) fn settle(&mut self, cluster: &Cluster) -> bool {
        if self.broken {
            return false;
        }
        if !self.short.is_empty() {
            let fit = |ledger: &Self, node: NodeSlot| fits(&ledger.most[node], &ledger.lists.free(cluster, node));
            if !self.short.iter().all(|node| self.lists.is_free(cluster, *node)) {
                self.broken = true;
                return false;
            }
            let mut short = core::mem::take(&mut self.short);
            short.retain(|node| !fit(self, *node));
            if !short.is_empty() {
                self.tighten();
            }
            for node in &short {
                if !fit(self, *node) && !self.vacate(cluster, *node, &self.lists.free(cluster, *node)) {
                    self.broken = true;
                    return false;
                }
            }
            short.clear();
            self.short = short;
        }
        while let Some((at, vm)) = self.without.pop() {
            // It may have left since, or have got a target when its unit was packed anew.
            let Some(bank) = self.banks.get(at) else { continue };
            let Some(home) = self.home_of(vm).filter(|_| bank.targets[vm] == NOWHERE) else { continue };
            let unit = self.unit(bank, home);
            if !self.repack(cluster, at, unit) {
                self.broken = true;
                return false;
            }
        }
        true
    }

    /// Makes room for a change that the books do not allow as they are: puts the largest claims right, and moves claims
    /// off the nodes that will have less. The books balance afterwards in any case.
    pub(crate) fn make_room(&mut self, cluster: &Cluster, after: &After<'_>) -> bool {
        if self.broken || after.vm.is_some_and(|vm| self.leaves_out(cluster, vm)) {
            return false;
        }
        let Some(moved) = self.lists.beside(after.moved) else { return false };
        self.tighten();
        for moved in &*moved {
            let bank = self.bank_of.lookup(moved.node).copied().unwrap_or(NO_BANK);
            if bank == NO_BANK || fits(&self.most[moved.node], &moved.free) {
                continue;
            }
            // The plans must fit now as well: nothing has changed yet.
            let free = self.lists.free(cluster, moved.node);
            let both: Amounts = moved.free.iter().zip(&*free).map(|(then, now)| *then.min(now)).collect();
            if !self.vacate(cluster, moved.node, &both) {
                return false;
            }
        }
        self.keeps(cluster, after)
    }

    /// Moves claims off a node until no unit claims more than so much there.
    fn vacate(&mut self, cluster: &Cluster, node: NodeSlot, allowed: &[u64]) -> bool {
        let at = to_usize(self.bank_of.lookup(node).copied().unwrap_or(NO_BANK));
        let moved = [Moved { node, free: Amounts::from(allowed) }];
        self.banks.get(at).is_none() || self.move_off(cluster, (at, node), &moved, &|claimed| !fits(claimed, allowed))
    }

    /// Moves claims of units that claim too much of a bank's node off it: those there, or all that such a unit claims. `false`:
    /// some stay.
    pub(super) fn move_off(
        &mut self,
        cluster: &Cluster,
        (at, node): (usize, NodeSlot),
        moved: &[Moved],
        too_much: &dyn Fn(&[u64]) -> bool,
    ) -> bool {
        let Some(bank) = self.banks.get(at) else { return false };
        let mut largest = alloc::vec![0; cluster.kinds().len()];
        for unit in bank.claims.units() {
            let claimed = |ledger: &Self| {
                let bank = ledger.banks.get(at)?;
                bank.claims.on(unit, node).map(Amounts::from)
            };
            if claimed(self).is_some_and(|claimed| too_much(&claimed))
                && !self.pack(cluster, at, unit, Some(node), moved)
                && !self.pack(cluster, at, unit, None, moved)
            {
                return false;
            }
            if let Some(claimed) = claimed(self) {
                raise_most(&mut largest, &claimed);
            }
        }
        self.most[node].copy_from_slice(&largest);
        true
    }

    /// Makes new plans for a unit in a bank.
    fn repack(&mut self, cluster: &Cluster, at: usize, unit: UnitIx) -> bool {
        self.pack(cluster, at, unit, None, &[])
    }

    /// Finds new targets for the VMs of a unit, or for those of them that have this target: larger ones first. Changes
    /// nothing unless all have one.
    pub(super) fn pack(
        &mut self,
        cluster: &Cluster,
        at: usize,
        unit: UnitIx,
        only: Option<NodeSlot>,
        moved: &[Moved],
    ) -> bool {
        let Some(bank) = self.banks.get(at).filter(|_| self.may_pack(cluster, at, unit, only)) else { return false };
        let residents = self
            .units
            .nodes(unit)
            .iter()
            .filter_map(|node| cluster.node_record(*node))
            .flat_map(|node| &node.residents);
        let mut members: Vec<(VmSlot, NodeSlot)> = residents
            .filter(|vm| self.home_of(**vm).is_some())
            .map(|vm| (*vm, bank.targets[*vm]))
            .filter(|(_, target)| only.is_none_or(|only| only == *target))
            .collect();
        let order = |vm: VmSlot| {
            let size = cluster.size_of(&cluster.restart_rows()[vm]);
            (core::cmp::Reverse(size), cluster.vm_record(vm).map(|record| record.key))
        };
        members.sort_by_cached_key(|(vm, _)| order(*vm));
        for (vm, target) in &members {
            self.unclaim(at, unit, *vm, *target, cluster);
        }
        for (done, (vm, _)) in members.iter().enumerate() {
            let need = &cluster.restart_rows()[*vm];
            let Some(bank) = self.banks.get(at) else { return false };
            let runs = &cluster.demand_rows()[*vm];
            let ask = Ask { vm: Some(*vm), need, runs, unit, first: NOWHERE, moved, back: None };
            if let Some(target) = self.find(cluster, bank, &ask) {
                self.claim(at, unit, *vm, target, need);
                continue;
            }
            for (vm, _) in members.iter().take(done) {
                let target = self.banks.get(at).map_or(NOWHERE, |bank| bank.targets[*vm]);
                self.unclaim(at, unit, *vm, target, cluster);
            }
            for (vm, target) in &members {
                if *target != NOWHERE {
                    self.claim(at, unit, *vm, *target, &cluster.restart_rows()[*vm]);
                }
            }
            return false;
        }
        true
    }

    /// Whether plans of a unit can be changed with its VMs' bonds kept: not where VMs move as one, where the plan as a whole is
    /// what keeps a rule, or where a rule ties one to a VM with places of its own.
    fn may_pack(&self, cluster: &Cluster, at: usize, unit: UnitIx, only: Option<NodeSlot>) -> bool {
        let Some(bank) = self.banks.get(at).filter(|_| !self.bonds.is_empty() || !self.lists.is_empty()) else {
            return true;
        };
        let nodes = self.units.nodes(unit).iter().filter_map(|node| cluster.node_record(*node));
        nodes.flat_map(|node| &node.residents).filter(|vm| self.home_of(**vm).is_some()).all(|vm| {
            let target = bank.targets[*vm];
            let moves = only.is_none_or(|only| only == target);
            let as_it_is = |bond: &Bond| matches!(bond, Bond::AsOne(_) | Bond::Planned);
            let kept = target == NOWHERE || self.bonds.colours_allow(cluster, *vm, target);
            kept && !(moves && (self.lists.is_fixed(cluster, *vm) || self.bonds.of(*vm).iter().any(as_it_is)))
        })
    }

    pub(super) fn unclaim(&mut self, at: usize, unit: UnitIx, vm: VmSlot, target: NodeSlot, cluster: &Cluster) {
        self.stale = true;
        if let Some(bank) = self.banks.get_mut(at).filter(|_| target != NOWHERE) {
            bank.claims.subtract(unit, target, &cluster.restart_rows()[vm]);
            bank.targets[vm] = NOWHERE;
        }
    }
}
