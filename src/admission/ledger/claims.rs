//! What each unit claims where, in one bank.
//!
//! Uses `dense`, `ids`. Used by `ledger::class`.
//!
//! Plans are consolidated: a unit claims few nodes of a bank, however many VMs it has, so its claims are a short list.

use crate::dense::{DenseId, IdVec, Rows, dense_id, to_u32, to_usize};
use crate::guarantee::UnitIx;
use crate::ids::NodeSlot;
use alloc::vec::Vec;
use smallvec::SmallVec;

dense_id! {
    /// Where a claim's amounts are kept.
    pub(super) struct ClaimIx;
}

/// What one unit claims on one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) target: NodeSlot,
    /// How many VMs of the unit have it as their target.
    vms: u32,
    amounts: ClaimIx,
}

/// The claims of every unit of a bank's tier.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    /// The first unit of the tier.
    first: u32,
    of_unit: Vec<SmallVec<[Claim; 2]>>,
    amounts: Rows<ClaimIx>,
    unused: Vec<ClaimIx>,
}

impl Claims {
    pub(super) fn new(width: usize, first: u32, units: u32) -> Self {
        let of_unit = alloc::vec![SmallVec::new(); to_usize(units)];
        Self { first, of_unit, amounts: Rows::new(width), unused: Vec::new() }
    }

    /// No claims, of the same units.
    pub(super) fn none_of(&self) -> Self {
        Self::new(self.amounts.width(), self.first, to_u32(self.of_unit.len()))
    }

    /// Takes in that units have other numbers now: the first of them, and per unit its number before.
    pub(super) fn renumber(&mut self, first: u32, before: impl Iterator<Item = Option<UnitIx>>) {
        let mut lists = core::mem::take(&mut self.of_unit);
        let mut taken = |unit: UnitIx| lists.get_mut(self.at(unit)).map(core::mem::take);
        self.of_unit = before.map(|unit| unit.and_then(&mut taken).unwrap_or_default()).collect();
        self.first = first;
    }

    #[inline]
    fn at(&self, unit: UnitIx) -> usize {
        unit.index().saturating_sub(to_usize(self.first))
    }

    /// The claims of a unit.
    #[inline]
    pub(super) fn of(&self, unit: UnitIx) -> &[Claim] {
        self.of_unit.get(self.at(unit)).map_or(&[], SmallVec::as_slice)
    }

    /// What a claim amounts to.
    #[inline]
    pub(super) fn amounts(&self, claim: &Claim) -> &[u64] {
        &self.amounts[claim.amounts]
    }

    /// What a unit claims on a node, if it does.
    #[inline]
    pub(super) fn on(&self, unit: UnitIx, target: NodeSlot) -> Option<&[u64]> {
        self.of(unit).iter().find(|claim| claim.target == target).map(|claim| &self.amounts[claim.amounts])
    }

    /// The units that claim anything.
    pub(super) fn units(&self) -> impl Iterator<Item = UnitIx> + use<> {
        let first = self.first;
        (0..to_u32(self.of_unit.len())).map(move |at| UnitIx(first.saturating_add(at)))
    }

    /// One more VM of a unit has this target: returns what the unit claims there now.
    pub(super) fn add(&mut self, unit: UnitIx, target: NodeSlot, need: &[u64]) -> &[u64] {
        let at = self.at(unit);
        let Some(list) = self.of_unit.get_mut(at) else { return &[] };
        let amounts = if let Some(claim) = list.iter_mut().find(|claim| claim.target == target) {
            claim.vms = claim.vms.saturating_add(1);
            claim.amounts
        } else {
            let amounts = self.unused.pop().unwrap_or_else(|| ClaimIx::from_index(self.amounts.len()));
            self.amounts.grow_to(amounts);
            self.amounts[amounts].fill(0);
            list.push(Claim { target, vms: 1, amounts });
            amounts
        };
        for (sum, need) in self.amounts[amounts].iter_mut().zip(need) {
            *sum = sum.saturating_add(*need);
        }
        &self.amounts[amounts]
    }

    /// One VM less of a unit has this target.
    pub(super) fn subtract(&mut self, unit: UnitIx, target: NodeSlot, need: &[u64]) {
        let at = self.at(unit);
        let Some(list) = self.of_unit.get_mut(at) else { return };
        let Some(position) = list.iter().position(|claim| claim.target == target) else { return };
        let Some(claim) = list.get_mut(position) else { return };
        claim.vms = claim.vms.saturating_sub(1);
        for (sum, need) in self.amounts[claim.amounts].iter_mut().zip(need) {
            debug_assert!(*sum >= *need, "more is taken back than was claimed");
            *sum = sum.saturating_sub(*need);
        }
        if claim.vms == 0 {
            self.unused.push(claim.amounts);
            list.swap_remove(position);
        }
    }
}

/// Per node the most that any one unit claims.
pub(super) fn raise_most(most: &mut [u64], claimed: &[u64]) {
    for (most, claimed) in most.iter_mut().zip(claimed) {
        *most = (*most).max(*claimed);
    }
}

/// Targets of VMs, by slot.
pub(super) type Targets = IdVec<crate::ids::VmSlot, NodeSlot>;
