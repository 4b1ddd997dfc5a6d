//! Whose targets a certificate lists, and from members to that order.
//!
//! Uses `guarantee::{certificate, field}`. Used by `guarantee::verify`.
//!
//! Provers have members by home, certificates have VMs by slot. The order asks for no plans, so that it can be found while
//! they are made.

use super::certificate::{ColumnIx, NOWHERE};
use super::field::{Field, MemberIx};
use crate::dense::IdVec;
use crate::ids::{NodeSlot, VmSlot};
use crate::parallel::Threads;
use alloc::vec::Vec;

/// The members by slot.
pub(super) struct Entries {
    pub(super) vms: Vec<VmSlot>,
    members: Vec<MemberIx>,
    /// The targets of each column, once they are known.
    pub(super) targets: IdVec<ColumnIx, Vec<NodeSlot>>,
}

/// No member.
const NO_MEMBER: MemberIx = MemberIx(u32::MAX);

impl Entries {
    /// `slots`: how many slots of VMs there are. `columns`: how many there will be.
    pub(super) fn new(field: &Field, slots: usize, columns: usize) -> Self {
        let mut member_of: IdVec<VmSlot, MemberIx> = IdVec::filled(NO_MEMBER, slots);
        for (member, vm) in field.vms.enumerate() {
            member_of[*vm] = member;
        }
        let mut vms = Vec::with_capacity(field.vms.len());
        let mut members = Vec::with_capacity(field.vms.len());
        for (vm, member) in member_of.enumerate().filter(|(_, member)| **member != NO_MEMBER) {
            vms.push(vm);
            members.push(*member);
        }
        let targets = (0..columns).map(|_| alloc::vec![NOWHERE; members.len()]).collect();
        Self { vms, members, targets }
    }

    /// Puts the targets of each column into this order, while this thread does something else first.
    pub(super) fn fill<B>(
        &mut self,
        columns: &[IdVec<MemberIx, NodeSlot>],
        threads: Threads,
        beside: impl FnOnce() -> B,
    ) -> B {
        let target = |targets: &IdVec<MemberIx, NodeSlot>, member| targets.lookup(member).copied().unwrap_or(NOWHERE);
        let each = self.members.len().div_ceil(threads.count()).max(1);
        let members = &self.members;
        let of_column = columns.iter().zip(self.targets.iter_mut());
        let parts = of_column.flat_map(|(column, targets)| {
            let parts = members.chunks(each).zip(targets.chunks_mut(each));
            parts.map(move |(members, targets)| (column, members, targets))
        });
        let in_order = |(column, members, targets): (_, &[MemberIx], &mut [NodeSlot])| {
            targets.iter_mut().zip(members).for_each(|(entry, member)| *entry = target(column, *member));
        };
        threads.map_beside(parts.collect(), || (), |(), part| in_order(part), beside).1
    }
}
