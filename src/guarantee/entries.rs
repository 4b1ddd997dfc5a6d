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
}

/// No member.
const NO_MEMBER: MemberIx = MemberIx(u32::MAX);

impl Entries {
    /// `slots`: how many slots of VMs there are.
    pub(super) fn new(field: &Field, slots: usize) -> Self {
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
        Self { vms, members }
    }

    /// The targets of each column in this order, while this thread does something else first.
    pub(super) fn targets<B>(
        &self,
        columns: &[IdVec<MemberIx, NodeSlot>],
        threads: Threads,
        beside: impl FnOnce() -> B,
    ) -> (IdVec<ColumnIx, Vec<NodeSlot>>, B) {
        let target = |targets: &IdVec<MemberIx, NodeSlot>, member| targets.lookup(member).copied().unwrap_or(NOWHERE);
        let in_order = |targets| self.members.iter().map(|member| target(targets, *member)).collect();
        let (targets, beside) =
            threads.map_beside(columns.iter().collect(), || (), |(), targets| in_order(targets), beside);
        (IdVec::from_vec(targets), beside)
    }
}
