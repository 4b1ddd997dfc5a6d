//! The ledger of one class: who claims what where, and VMs that leave and enter.
//!
//! Uses `cluster`, `guarantee` (units, bonds), `ledger::{claims, keeps, lists}`. The way in is told in `ledger`.

use super::claims::{Claims, Targets, raise_most};
use super::keeps::Moved;
use super::lists::Lists;
use crate::cluster::{Cluster, NodeState, Priority, RestartClass};
use crate::dense::{DenseId, IdVec, Rows, fits, to_u32, to_usize};
use crate::guarantee::{Bonds, NO_UNIT, NOWHERE, Newcomers, UnitIx, Units, is_limited, most_more_of};
use crate::ids::{LevelIx, NodeSlot, VmSlot};
use crate::policy::{FailureClass, Policy};
use crate::restart::{Concern, may_run_on};
use crate::room::RoomIndex;
use alloc::vec::Vec;

/// No bank.
pub(super) const NO_BANK: u32 = u32::MAX;

/// See the documentation of [`ledger`](super).
#[derive(Clone, Debug)]
pub(crate) struct ClassLedger {
    pub(super) class: FailureClass,
    pub(super) units: Units,
    /// Whom it concerns, but for those with places of their own.
    pub(super) concern: Concern,
    pub(super) lists: Lists,
    /// What plans must keep to for the sake of rules, `separate` rules aside, which `apart` reads. VMs with other bonds do not
    /// come or go while the ledger lasts.
    pub(super) bonds: Bonds,
    /// The levels of which no domain meets two banks.
    pub(super) respected: Vec<LevelIx>,
    pub(super) banks: Vec<Bank>,
    /// The bank of every node, [`NO_BANK`] without.
    pub(super) bank_of: IdVec<NodeSlot, u32>,
    /// At least what any one unit claims on each node.
    pub(super) most: Rows<NodeSlot>,
    /// Whether that may be more than is claimed.
    pub(super) stale: bool,
    /// The node of every VM that the class concerns; [`NOWHERE`] for others.
    pub(super) home: IdVec<VmSlot, NodeSlot>,
    /// Nodes that may have less free than is claimed there.
    pub(super) short: Vec<NodeSlot>,
    /// VMs without a target in a bank, by its position.
    pub(super) without: Vec<(usize, VmSlot)>,
    /// Whether it can go on: not once a VM waits for a place.
    pub(super) broken: bool,
}

/// A bank with the plans of every unit of its tier in it.
#[derive(Clone, Debug)]
pub(super) struct Bank {
    pub(super) tier: usize,
    /// Its nodes, in the order in which plans fill them, by what they have free.
    pub(super) room: RoomIndex,
    pub(super) targets: Targets,
    pub(super) claims: Claims,
}

/// What is looked for in a bank: a target for a VM of a unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    /// `None`: a VM that is not there yet, which nothing limits.
    pub(super) vm: Option<VmSlot>,
    pub(super) need: &'a [u64],
    /// What it will hold once it runs.
    pub(super) runs: &'a [u64],
    pub(super) unit: UnitIx,
    /// A node to try first.
    pub(super) first: NodeSlot,
    /// What nodes will have free where that is not what they have now.
    pub(super) moved: &'a [Moved],
    /// Something that the unit claims, and will not.
    pub(super) back: Option<(NodeSlot, &'a [u64])>,
}

impl ClassLedger {
    /// Whether the class promises anything to VMs of this kind.
    pub(super) fn concerns(&self, restart: RestartClass, priority: Priority) -> bool {
        restart == RestartClass::Protected && self.concern.min_priority.is_none_or(|least| priority >= least)
    }

    /// Whether the books do not follow a VM, so that a change of it ends them: the class leaves it out because nothing could take
    /// it, or it has to do with places of VMs' own.
    pub(crate) fn leaves_out(&self, cluster: &Cluster, vm: VmSlot) -> bool {
        let left_out = &self.concern.left_out;
        !left_out.is_empty() && (left_out.binary_search(&vm).is_ok() || self.lists.is_fixed(cluster, vm))
    }

    /// A proved bound on how many more VMs the class can bear: [`most_more_of`]. Whatever is uncoverable is left out, because
    /// there is no plan for it, and so is what has places of its own.
    pub(crate) fn most_more(&self, cluster: &Cluster, policy: &Policy, newcomers: &Newcomers<'_>) -> Option<u128> {
        most_more_of(cluster, policy, (&self.units, &self.concern), newcomers)
    }

    /// The unit of a bank's tier that a node fails with.
    #[inline]
    pub(super) fn unit(&self, bank: &Bank, node: NodeSlot) -> UnitIx {
        let tier = self.units.tiers.get(bank.tier);
        tier.and_then(|tier| tier.unit_of.lookup(node)).copied().unwrap_or(NO_UNIT)
    }

    #[inline]
    pub(super) fn home_of(&self, vm: VmSlot) -> Option<NodeSlot> {
        self.home.lookup(vm).copied().filter(|home| *home != NOWHERE)
    }

    /// A target for a VM: one that its unit claims already, or the first in the bank's order; an eighth of what a node has
    /// free is kept for later as long as there is another.
    pub(super) fn find(&self, cluster: &Cluster, bank: &Bank, ask: &Ask<'_>) -> Option<NodeSlot> {
        match cluster.kinds().len() {
            2 => self.find_of::<2>(cluster, bank, ask),
            4 => self.find_of::<4>(cluster, bank, ask),
            _ => self.find_of::<0>(cluster, bank, ask),
        }
    }

    fn find_of<const WIDTH: usize>(&self, cluster: &Cluster, bank: &Bank, ask: &Ask<'_>) -> Option<NodeSlot> {
        let limited = ask.vm.filter(|vm| is_limited(cluster, *vm));
        let suits = |node: NodeSlot| {
            self.unit(bank, node) != ask.unit
                && self.lists.allow(node, ask.runs, ask.need)
                && limited.is_none_or(|vm| may_run_on(cluster, vm, node))
                && ask.vm.is_none_or(|vm| {
                    self.bonds.colours_allow(cluster, vm, node)
                        && self.keeps_apart(cluster, bank, (vm, ask.unit), node, None)
                })
        };
        for spare in [3, u64::BITS] {
            let takes = |node: NodeSlot, free: &[u64]| {
                let free = ask.moved.iter().find(|moved| moved.node == node).map_or(free, |moved| &moved.free);
                let claimed = bank.claims.on(ask.unit, node).unwrap_or(&[]);
                let returned = ask.back.filter(|(target, _)| *target == node).map_or(&[][..], |(_, amounts)| amounts);
                has_room(ask.need, free, claimed, returned, spare) && suits(node)
            };
            let known = |node: &NodeSlot| bank.room.free_of(*node).is_some_and(|free| takes(*node, free));
            if known(&ask.first) {
                return Some(ask.first);
            }
            let mut claimed = bank.claims.of(ask.unit).iter().map(|claim| claim.target);
            let found = claimed.find(known).or_else(|| bank.room.walk_from(0).search::<WIDTH>(ask.need, takes));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Before an edit of a VM: takes it out of the plans of the units that it fails with.
    pub(crate) fn leave(&mut self, cluster: &Cluster, vm: VmSlot) {
        let Some(home) = self.home_of(vm) else { return };
        self.home[vm] = NOWHERE;
        self.stale = true;
        let need = &cluster.restart_rows()[vm];
        for bank in &mut self.banks {
            let tier = self.units.tiers.get(bank.tier);
            let unit = tier.and_then(|tier| tier.unit_of.lookup(home)).copied().unwrap_or(NO_UNIT);
            let target = bank.targets[vm];
            if target != NOWHERE {
                bank.claims.subtract(unit, target, need);
            }
        }
    }

    /// After an edit of a VM: puts it into the plans of the units that it fails with, if the class concerns it. Every node
    /// that the edit has touched must be [refreshed](Self::refresh) before.
    pub(crate) fn enter(&mut self, cluster: &Cluster, vm: VmSlot) {
        let Some(record) = cluster.vm_record(vm).filter(|record| record.on) else { return };
        self.make_way(cluster, vm);
        if !self.concern.includes(cluster, vm) {
            return;
        }
        let state = record.node.and_then(|node| cluster.node_record(node)).map(|node| node.state);
        let Some(home) = record.node.filter(|_| matches!(state, Some(NodeState::Online | NodeState::Cordoned))) else {
            self.broken = true;
            return;
        };
        self.home.grow_to(vm, &NOWHERE);
        self.home[vm] = home;
        for at in 0..self.banks.len() {
            self.place(cluster, at, vm, home);
        }
    }

    /// Gives a VM a target in a bank.
    fn place(&mut self, cluster: &Cluster, at: usize, vm: VmSlot, home: NodeSlot) {
        let Some(bank) = self.banks.get(at) else { return };
        let need = &cluster.restart_rows()[vm];
        let unit = self.unit(bank, home);
        let first = bank.targets.lookup(vm).copied().unwrap_or(NOWHERE);
        let runs = &cluster.demand_rows()[vm];
        let found = self.find(cluster, bank, &Ask { vm: Some(vm), need, runs, unit, first, moved: &[], back: None });
        if let Some(target) = found {
            self.claim(at, unit, vm, target, need);
            return;
        }
        if let Some(bank) = self.banks.get_mut(at) {
            bank.targets.grow_to(vm, &NOWHERE);
            bank.targets[vm] = NOWHERE;
        }
        self.without.push((at, vm));
    }

    /// Enters a target in the books.
    pub(super) fn claim(&mut self, at: usize, unit: UnitIx, vm: VmSlot, target: NodeSlot, need: &[u64]) {
        let Some(bank) = self.banks.get_mut(at) else { return };
        bank.targets.grow_to(vm, &NOWHERE);
        bank.targets[vm] = target;
        raise_most(&mut self.most[target], bank.claims.add(unit, target, need));
    }

    /// After an edit: takes in what a node has free now.
    pub(crate) fn refresh(&mut self, cluster: &Cluster, node: NodeSlot) {
        let at = self.bank_of.lookup(node).copied().unwrap_or(NO_BANK);
        let Some(bank) = self.banks.get_mut(to_usize(at)) else { return };
        let free = self.lists.free(cluster, node);
        // Nothing happens where it takes nothing.
        bank.room.set(node, &free);
        if !fits(&self.most[node], &free) || !self.lists.is_free(cluster, node) {
            self.short.push(node);
        }
    }

    /// Makes the largest claims exact.
    pub(crate) fn tighten(&mut self) {
        if !self.stale {
            return;
        }
        self.stale = false;
        for node in (0..to_u32(self.most.len())).map(NodeSlot) {
            self.most[node].fill(0);
        }
        for bank in &self.banks {
            for claim in bank.claims.units().flat_map(|unit| bank.claims.of(unit)) {
                raise_most(&mut self.most[claim.target], bank.claims.amounts(claim));
            }
        }
    }

    /// Compares everything that is kept with what it is kept from, and every plan with the room it has.
    pub(crate) fn audit(&self, cluster: &Cluster) -> Result<(), &'static str> {
        use alloc::collections::BTreeMap;
        let mut free: Rows<NodeSlot> = Rows::new(cluster.kinds().len());
        for node in (0..cluster.node_slots()).map(NodeSlot::from_index) {
            free.push(&self.lists.free(cluster, node));
        }
        for (at, bank) in self.banks.iter().enumerate() {
            let mut sums: BTreeMap<(UnitIx, NodeSlot), Vec<u64>> = BTreeMap::new();
            for vm in (0..cluster.vm_slots_len()).map(VmSlot::from_index) {
                let record = cluster.vm_record(vm).filter(|record| record.on);
                let counted = record.filter(|_| self.concern.includes(cluster, vm)).and_then(|record| record.node);
                if counted != self.home_of(vm) {
                    return Err("a VM is in the books and should not be, or the other way round");
                }
                let Some(home) = counted else { continue };
                let (unit, target) = (self.unit(bank, home), bank.targets[vm]);
                if self.bank_of.lookup(target).copied().map(to_usize) != Some(at) || !bank.room.contains(target) {
                    return Err("a target is not in its bank");
                }
                if self.unit(bank, target) == unit || !may_run_on(cluster, vm, target) {
                    return Err("a target does not suit its VM");
                }
                // How far apart VMs are the checker of certificates tells; here it is reckoned too strictly for that.
                if self.units.losses() > 1 && !self.bonds.colours_allow(cluster, vm, target) {
                    return Err("a target has not the colour that its VM keeps to");
                }
                let width = cluster.kinds().len();
                let sum = sums.entry((unit, target)).or_insert_with(|| alloc::vec![0; width]);
                for (sum, need) in sum.iter_mut().zip(&cluster.restart_rows()[vm]) {
                    *sum = sum.saturating_add(*need);
                }
            }
            let claims = bank.claims.units().map(|unit| bank.claims.of(unit).len()).sum::<usize>();
            if claims != sums.len() {
                return Err("a claim is without VMs");
            }
            for ((unit, target), sum) in &sums {
                if bank.claims.on(*unit, *target) != Some(sum.as_slice()) {
                    return Err("a claim is not the sum of its VMs");
                }
                if !fits(sum, &self.most[*target]) {
                    return Err("more is claimed than the largest claim");
                }
                if !fits(&self.most[*target], &free[*target]) {
                    return Err("more is claimed than there is");
                }
            }
            if !bank.room.is_consistent(|node| &free[node]) {
                return Err("a bank's index is not what its nodes have free");
            }
        }
        if !self.lists.are_free(cluster) {
            return Err("the room of VMs with places of their own is not free");
        }
        Ok(())
    }
}

/// Whether a node with so much free has room for `need` beside what the unit claims, less what it returns, with one
/// part in two to the power of `spare` to spare.
#[inline]
fn has_room(need: &[u64], free: &[u64], claimed: &[u64], returned: &[u64], spare: u32) -> bool {
    need.iter().zip(free).enumerate().all(|(kind, (need, free))| {
        let of = |row: &[u64]| row.get(kind).copied().unwrap_or(0);
        let sum = of(claimed).saturating_sub(of(returned)).saturating_add(*need);
        sum <= free.saturating_sub(free.checked_shr(spare).unwrap_or(0))
    })
}
