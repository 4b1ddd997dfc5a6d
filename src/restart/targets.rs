//! The solver's view of the nodes: targets in canonical order, and which of them each displaced VM is eligible for.
//!
//! Uses `cluster`, `restart::{scene, eligible, compile, overlay}`. Used by `restart::planner` when the quick way did
//! not place everything. Costs the number of nodes, once per distinct set of limits.

use super::compile::Parts;
use super::eligible::{is_eligible, short_list};
use super::overlay::Overlay;
use super::scenario::Within;
use super::scene::Scene;
use crate::cluster::node_set::set_bit;
use crate::cluster::{Cluster, LabelSlot, RuleRecord};
use crate::dense::{IdVec, Rows};
use crate::ids::{NodeId, NodeSlot, RuleSlot};
use crate::placement::problem::{EligibleIx, EligibleNodes, ItemIx, Problem};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What limits where a VM may go; VMs with the same limits share a set.
type Limits = (Box<[LabelSlot]>, Option<Box<[NodeId]>>, Vec<RuleSlot>, Vec<(RuleSlot, Vec<NodeSlot>)>);

/// The nodes that the failure leaves as targets: spare nodes first, then in the order of the room index, which
/// depends on names alone.
pub(super) fn targets(cluster: &Cluster, scene: &Scene) -> Vec<NodeSlot> {
    let alive = || cluster.room_index().iter().filter(|node| !scene.is_failed(*node));
    let is_spare = |node: &NodeSlot| cluster.spares().binary_search(node).is_ok();
    let mut targets: Vec<NodeSlot> = alive().filter(is_spare).collect();
    targets.extend(alive().filter(|node| !is_spare(node)));
    targets
}

/// The room of every node, with the claims that the failure releases; the cluster's own where none is.
pub(super) fn room(cluster: &Cluster, overlay: &Overlay) -> Option<Rows<NodeSlot>> {
    if overlay.raised().is_empty() {
        return None;
    }
    let mut rows = cluster.free_rows().clone();
    for node in overlay.raised() {
        rows[*node].copy_from_slice(overlay.free(cluster, *node));
    }
    Some(rows)
}

/// Enters what every item is eligible for. Items that need a VM which will not run are eligible for nothing.
pub(super) fn enter_eligible(cluster: &Cluster, scene: &Scene, parts: &Parts, problem: &mut Problem<'_>) {
    let mut sets: IdVec<EligibleIx, EligibleNodes> = IdVec::new();
    let mut known: BTreeMap<Limits, EligibleIx> = BTreeMap::new();
    let mut of_item: IdVec<ItemIx, EligibleIx> = IdVec::new();
    let mut positions: IdVec<NodeSlot, u32> = IdVec::new();
    let mut list: Vec<NodeSlot> = Vec::new();
    let nothing = sets.push(EligibleNodes::Short(Vec::new()));
    for (item, slot) in scene.items.enumerate() {
        let missing = parts.missing.iter().any(|(missing, _)| *missing == item);
        let Some(vm) = cluster.vm_record(*slot).filter(|_| !missing) else {
            of_item.push(nothing);
            continue;
        };
        let leaders = parts.leaders(item);
        let limits: Limits = (
            vm.requires.clone(),
            vm.allowed_nodes.clone(),
            vm.rules
                .iter()
                .copied()
                .filter(|rule| cluster.rule_record(*rule).is_some_and(RuleRecord::is_place))
                .collect(),
            leaders.iter().map(|(rule, nodes)| (*rule, nodes.to_vec())).collect(),
        );
        if let Some(set) = known.get(&limits) {
            of_item.push(*set);
            continue;
        }
        let unlimited = limits.0.is_empty() && limits.1.is_none() && limits.2.is_empty() && limits.3.is_empty();
        let suits = |node: &NodeSlot| is_eligible(cluster, vm, leaders, *node);
        let set = if unlimited {
            EligibleNodes::All
        } else if short_list(cluster, vm, leaders, &mut list) {
            if positions.is_empty() {
                positions = positions_of(cluster, problem.nodes);
            }
            let mut nodes: Vec<NodeSlot> = list.iter().copied().filter(|node| positions[*node] != u32::MAX).collect();
            nodes.retain(suits);
            nodes.sort_unstable_by_key(|node| positions[*node]);
            nodes.dedup();
            EligibleNodes::Short(nodes)
        } else {
            let mut words = Vec::new();
            for node in problem.nodes.iter().filter(|node| suits(node)) {
                set_bit(&mut words, *node);
            }
            EligibleNodes::Bits(words)
        };
        let set = sets.push(set);
        known.insert(limits, set);
        of_item.push(set);
    }
    problem.eligible_sets = sets;
    problem.eligible = of_item;
}

/// Limits items further than the cluster does.
pub(super) fn narrow(scene: &Scene, within: &Within<'_>, problem: &mut Problem<'_>) {
    for (item, vm) in scene.items.enumerate().filter(|(_, vm)| (within.limits)(**vm)) {
        let set = &problem.eligible_sets[problem.eligible[item]];
        let mut words = Vec::new();
        for node in problem.nodes.iter().filter(|node| set.contains(**node) && (within.suits)(*vm, **node)) {
            set_bit(&mut words, *node);
        }
        problem.eligible[item] = problem.eligible_sets.push(EligibleNodes::Bits(words));
    }
}

/// The position of each target; `u32::MAX` for other nodes.
fn positions_of(cluster: &Cluster, targets: &[NodeSlot]) -> IdVec<NodeSlot, u32> {
    let mut positions = IdVec::filled(u32::MAX, cluster.node_slots());
    for (position, node) in (0_u32..).zip(targets) {
        positions[*node] = position;
    }
    positions
}
