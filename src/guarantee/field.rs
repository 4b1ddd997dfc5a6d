//! The VMs of a verdict side by side: who is displaced by which unit, and what each needs.
//!
//! Uses `cluster`, `guarantee::units`, `restart` (whom a verdict concerns). Used by the provers of `guarantee`.
//!
//! A *member* is a protected VM that some failure of the class displaces, or that waits for a place already. Members
//! stand by home node, larger ones first, so that a unit's members are a slice; those without a home come last.

#![expect(clippy::arithmetic_side_effects, reason = "INVARIANT: counts of VMs and nodes are below 2^31")]

use super::units::{UnitIx, Units};
use crate::cluster::{Cluster, NodeState};
use crate::dense::{DenseId, IdVec, Rows, dense_id, to_u32, to_usize};
use crate::ids::{NodeSlot, VmSlot};
use crate::restart::Concern;
use alloc::vec::Vec;
use core::cmp::Reverse;

dense_id! {
    /// A member: a VM of the verdict.
    pub(crate) struct MemberIx;
}

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) vms: IdVec<MemberIx, VmSlot>,
    pub(crate) need: Rows<MemberIx>,
    /// Whether labels, allowed nodes, `confine` or `exclude` limit where the member may go.
    pub(crate) limited: IdVec<MemberIx, bool>,
    /// Per node slot where its members begin; behind the last node those without a home.
    starts: IdVec<NodeSlot, u32>,
    /// Units of more than one node: their members, larger first. Per unit of those tiers a range.
    wide: Vec<MemberIx>,
    wide_starts: IdVec<UnitIx, (u32, u32)>,
}

impl Field {
    pub(crate) fn new(cluster: &Cluster, units: &Units, concern: &Concern) -> Self {
        let nodes = cluster.node_slots();
        let homeless = NodeSlot::from_index(nodes);
        let mut found: Vec<(NodeSlot, Reverse<u64>, u64, VmSlot)> = Vec::new();
        for vm in (0..cluster.vm_slots_len()).map(VmSlot::from_index) {
            let Some(record) = cluster.vm_record(vm).filter(|record| record.on) else { continue };
            if !concern.includes(cluster, vm) {
                continue;
            }
            let state = |node: NodeSlot| cluster.node_record(node).map(|node| node.state);
            let home = record
                .node
                .filter(|node| matches!(state(*node), Some(NodeState::Online | NodeState::Cordoned)))
                .unwrap_or(homeless);
            found.push((home, Reverse(cluster.size_of(&cluster.restart_rows()[vm])), record.key, vm));
        }
        found.sort_unstable();
        let mut field = Self {
            vms: found.iter().map(|(_, _, _, vm)| *vm).collect(),
            need: Rows::new(cluster.kinds().len()),
            limited: IdVec::new(),
            starts: IdVec::new(),
            wide: Vec::new(),
            wide_starts: IdVec::new(),
        };
        let mut at = 0;
        for node in (0..=nodes).map(NodeSlot::from_index) {
            field.starts.push(at);
            let rest = found.get(to_usize(at)..).unwrap_or_default();
            at += to_u32(rest.partition_point(|(home, _, _, _)| *home == node));
        }
        field.starts.push(at);
        for vm in field.vms.iter() {
            field.need.push(&cluster.restart_rows()[*vm]);
            field.limited.push(cluster.vm_record(*vm).is_some_and(|record| {
                !record.requires.is_empty()
                    || record.allowed_nodes.is_some()
                    || cluster.place_rules(record).next().is_some()
            }));
        }
        field.enter_wide(units, &found);
        field
    }

    fn enter_wide(&mut self, units: &Units, found: &[(NodeSlot, Reverse<u64>, u64, VmSlot)]) {
        let mut sorted: Vec<(Reverse<u64>, u64, MemberIx)> = Vec::new();
        for unit in (0..units.len()).map(UnitIx::from_index) {
            let nodes = units.nodes(unit);
            let first = to_u32(self.wide.len());
            if nodes.len() > 1 {
                sorted.clear();
                for member in nodes.iter().flat_map(|node| self.at(*node)) {
                    if let Some((_, size, key, _)) = found.get(member.index()) {
                        sorted.push((*size, *key, member));
                    }
                }
                sorted.sort_unstable();
                self.wide.extend(sorted.iter().map(|(_, _, member)| *member));
            }
            self.wide_starts.push((first, to_u32(self.wide.len())));
        }
    }

    /// The members whose home is a node, larger first.
    #[inline]
    pub(crate) fn at(&self, node: NodeSlot) -> impl ExactSizeIterator<Item = MemberIx> + use<> {
        (self.starts[node]..self.starts[NodeSlot(node.0 + 1)]).map(MemberIx)
    }

    /// The members without a home: displaced in every scenario.
    pub(crate) fn homeless(&self) -> impl ExactSizeIterator<Item = MemberIx> + use<> {
        self.at(NodeSlot::from_index(self.starts.len() - 2))
    }

    /// The members that a unit displaces, larger first.
    #[inline]
    pub(crate) fn of_unit(&self, units: &Units, unit: UnitIx, list: &mut Vec<MemberIx>) {
        list.clear();
        if let [node] = units.nodes(unit) {
            list.extend(self.at(*node));
        } else {
            let (first, end) = self.wide_starts[unit];
            list.extend_from_slice(self.wide.get(to_usize(first)..to_usize(end)).unwrap_or_default());
        }
    }

    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = MemberIx> + use<> {
        self.vms.ids()
    }

    /// The home of every member; `None` for those without.
    pub(crate) fn homes(&self) -> IdVec<MemberIx, Option<NodeSlot>> {
        let mut homes = IdVec::filled(None, self.vms.len());
        for node in (0..self.starts.len() - 2).map(NodeSlot::from_index) {
            for member in self.at(node) {
                homes[member] = Some(node);
            }
        }
        homes
    }
}
