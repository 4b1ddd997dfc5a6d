//! VMs that some failure leaves without any node that could take them, even with all other VMs away.
//!
//! Uses `cluster`, `restart` (where a VM may run), `guarantee::{units, field}`. Used by `guarantee::verify` before anything else:
//! what is found here is left out of the verdict on the rest.
//!
//! For most VMs it is settled by *witnesses*: one target more than units may fail, no two of them in one domain of any
//! level of the class, so that a failure takes at most as many as there are units in it. A VM without limits that fits
//! on all witnesses is coverable. For the others the nodes that could take them are listed, and a failure is looked for
//! that takes all of them and displaces the VM; as each node must be taken by one of few units, the search is short.

#![expect(clippy::arithmetic_side_effects, reason = "INVARIANT: counts of units are below 2^31")]

use super::field::is_limited;
use super::units::{NO_UNIT, UnitIx, Units};
use crate::cluster::{Cluster, NodeState};
use crate::dense::{DenseId, IdVec, fits, to_usize};
use crate::ids::{NodeSlot, VmSlot};
use crate::restart::{Concern, may_run_on};
use alloc::vec::Vec;

/// A VM that cannot be covered.
pub(crate) struct Found {
    pub(crate) vm: VmSlot,
    pub(crate) units: Vec<UnitIx>,
    pub(crate) nodes: Vec<NodeSlot>,
}

/// All VMs of concern that cannot be covered, by slot.
pub(crate) fn uncoverable(cluster: &Cluster, units: &Units, concern: &Concern) -> Vec<Found> {
    let mut targets: Vec<NodeSlot> = cluster.room_index().iter().collect();
    targets.sort_by_cached_key(|node| core::cmp::Reverse(cluster.size_of(&cluster.failover_rows()[*node])));
    let witnesses = witnesses(units, &targets);
    let kinds = cluster.kinds().len();
    let least: Option<Vec<u64>> = (witnesses.len() > to_usize(units.losses())).then(|| {
        let of_kind = |kind: usize| {
            let amounts = witnesses.iter().filter_map(|node| cluster.failover_rows()[*node].get(kind));
            amounts.copied().min().unwrap_or(0)
        };
        (0..kinds).map(of_kind).collect()
    });
    let mut found = Vec::new();
    for vm in (0..cluster.vm_slots_len()).map(VmSlot::from_index) {
        let need = &cluster.restart_rows()[vm];
        if least.as_ref().is_some_and(|least| fits(need, least)) && !is_limited(cluster, vm) {
            continue;
        }
        let Some(record) = cluster.vm_record(vm).filter(|record| record.on) else { continue };
        if !concern.includes(cluster, vm) {
            continue;
        }
        let could: Vec<NodeSlot> = targets
            .iter()
            .copied()
            .filter(|node| fits(need, &cluster.failover_rows()[*node]) && may_run_on(cluster, vm, *node))
            .collect();
        let runs = |node: &NodeSlot| {
            let state = cluster.node_record(*node).map(|record| record.state);
            matches!(state, Some(NodeState::Online | NodeState::Cordoned))
        };
        let home = record.node.filter(runs);
        let mut left: Vec<u32> = units.tiers.iter().map(|tier| tier.count).collect();
        let mut chosen = Vec::new();
        let all: Vec<NodeSlot> = home.into_iter().chain(could.iter().copied()).collect();
        if take_all(units, &all, &mut left, &mut chosen) {
            let mut nodes = could;
            let name = |node: &NodeSlot| cluster.node_record(*node).map(|record| &*record.name);
            nodes.sort_unstable_by(|left, right| name(left).cmp(&name(right)));
            chosen.sort_unstable();
            found.push(Found { vm, units: chosen, nodes });
        }
    }
    found
}

/// Targets of which no two share a domain of a level of the class: one more than units may fail, if there are so many.
fn witnesses(units: &Units, targets: &[NodeSlot]) -> Vec<NodeSlot> {
    let mut chosen: Vec<NodeSlot> = Vec::new();
    let mut met: IdVec<UnitIx, bool> = IdVec::filled(false, units.len());
    for node in targets {
        let of_node = || units.tiers.iter().map(|tier| tier.unit_of[*node]);
        if of_node().any(|unit| met.lookup(unit) != Some(&false)) {
            continue;
        }
        of_node().for_each(|unit| met[unit] = true);
        chosen.push(*node);
        if chosen.len() > to_usize(units.losses()) {
            break;
        }
    }
    chosen
}

/// Whether units within the counts take all these nodes.
fn take_all(units: &Units, nodes: &[NodeSlot], left: &mut [u32], chosen: &mut Vec<UnitIx>) -> bool {
    let taken = |node: &NodeSlot| units.tiers.iter().any(|tier| chosen.contains(&tier.unit_of[*node]));
    let Some(node) = nodes.iter().find(|node| !taken(node)) else { return true };
    for (at, tier) in units.tiers.iter().enumerate() {
        let unit = tier.unit_of[*node];
        let Some(count) = left.get(at).copied().filter(|count| *count > 0 && unit != NO_UNIT) else { continue };
        if let Some(entry) = left.get_mut(at) {
            *entry = count - 1;
        }
        chosen.push(unit);
        if take_all(units, nodes, left, chosen) {
            return true;
        }
        chosen.pop();
        if let Some(entry) = left.get_mut(at) {
            *entry = count;
        }
    }
    false
}
