//! VMs that some failure leaves without any node that could take them, even with all other VMs away.
//!
//! Uses `cluster`, `restart` (where a VM may run), `guarantee::{units, field}`. Used by `guarantee::verify` before
//! anything else: what is found here is left out of the verdict on the rest. Where nobody has limits, the largest need of
//! each kind, which the census knows, says in most cases that there is nobody to look for.
//!
//! For most VMs it is settled by *witnesses*: one target more than units may fail, no two of them in one domain of any
//! level of the class, so that a failure takes at most as many as there are units in it. A VM without limits that fits
//! on all witnesses is coverable; others, as those with labels, look for witnesses of their own. For the rest the nodes
//! that could take them are listed, and a failure is looked for that takes all of them and displaces the VM; as each
//! node must be taken by one of few units, the search is short.

#![expect(clippy::arithmetic_side_effects, reason = "INVARIANT: counts of units are below 2^31")]

use super::field::{Census, are_limits, is_limited};
use super::units::{NO_UNIT, UnitIx, Units};
use crate::cluster::{Cluster, Priority, RestartClass, VmFacts};
use crate::dense::{DenseId, IdVec, fits, to_usize};
use crate::ids::{NodeSlot, VmSlot};
use crate::parallel::Threads;
use crate::restart::{Concern, may_run_on, may_run_on_few};
use alloc::vec::Vec;

/// A VM that cannot be covered.
pub(crate) struct Found {
    pub(crate) vm: VmSlot,
    pub(crate) units: Vec<UnitIx>,
    pub(crate) nodes: Vec<NodeSlot>,
}

/// One thread looks at so many VMs at a time.
const PART: usize = 16_384;

/// Leaves the VMs that cannot be covered, by slot, out of the concern: those, and a census of the others. `census`: of all.
pub(crate) fn leave_out(
    cluster: &Cluster,
    units: &Units,
    concern: &mut Concern,
    census: Census,
    threads: Threads,
) -> (Vec<Found>, Census) {
    let found = uncoverable(cluster, units, concern, &census, threads);
    if found.is_empty() {
        return (found, census);
    }
    concern.left_out = found.iter().map(|found| found.vm).collect();
    (found, Census::new(cluster, concern, threads))
}

/// All VMs from a priority on but those that cannot be covered.
pub(super) fn concern_of(cluster: &Cluster, units: &Units, min_priority: Option<Priority>) -> Concern {
    let mut concern = Concern { min_priority, left_out: Vec::new() };
    let census = Census::new(cluster, &concern, Threads::ONE);
    leave_out(cluster, units, &mut concern, census, Threads::ONE);
    concern
}

/// All VMs of concern that cannot be covered, by slot.
fn uncoverable(cluster: &Cluster, units: &Units, concern: &Concern, census: &Census, threads: Threads) -> Vec<Found> {
    let size = |node: &NodeSlot| core::cmp::Reverse(cluster.size_of(&cluster.failover_rows()[*node]));
    let mut targets: Vec<NodeSlot> = cluster.room_index().iter().collect();
    let mut met: IdVec<UnitIx, bool> = IdVec::filled(false, units.len());
    // With no limits any targets will do that take the largest need of each kind.
    let take_all = targets.iter().copied().filter(|node| fits(&census.most, &cluster.failover_rows()[*node]));
    if !census.any_limited() && witnesses(units, take_all, &mut met).is_some() {
        return Vec::new();
    }
    let largest = largest(cluster, units, &targets);
    let least = witnesses(units, largest.into_iter(), &mut met).map(|witnesses| least_of(cluster, &witnesses));
    // If the largest needs fit on all witnesses, limits alone are looked for.
    let all_fit = least.as_ref().is_some_and(|least| fits(&census.most, least));
    let doubtful = if all_fit { census.limited.clone() } else { doubtful(cluster, least.as_deref(), threads) };
    // Of targets that take everything units take all or not: that is asked once for each home.
    let least_of_all = if all_fit { None } else { Some(least_of(cluster, &targets)) };
    let mut all_taken: IdVec<NodeSlot, Option<bool>> = IdVec::new();
    let mut sorted = false;
    let mut found = Vec::new();
    let mut few = Vec::new();
    for vm in doubtful {
        let need = &cluster.restart_rows()[vm];
        let plain = !is_limited(cluster, vm);
        let Some(record) = cluster.vm_record(vm).filter(|record| record.on) else { continue };
        if !concern.includes(cluster, vm) {
            continue;
        }
        let home = record.node.filter(|node| units.can_fail(*node));
        let everywhere = plain && least_of_all.as_ref().is_some_and(|least| fits(need, least));
        let key = home.unwrap_or(NodeSlot::from_index(cluster.node_slots()));
        if everywhere && all_taken.lookup(key) == Some(&Some(false)) {
            continue;
        }
        let few_or_all = if may_run_on_few(cluster, vm, &mut few) { &few } else { &targets };
        let own = few_or_all.iter().copied().filter(|node| could_take(cluster, vm, *node));
        if !everywhere && witnesses(units, own, &mut met).is_some() {
            continue;
        }
        if !core::mem::replace(&mut sorted, true) {
            targets.sort_by_cached_key(size);
        }
        let could = takers(cluster, vm, &targets);
        let mut left: Vec<u32> = units.tiers.iter().map(|tier| tier.count).collect();
        let mut chosen = Vec::new();
        let all: Vec<NodeSlot> = home.into_iter().chain(could.iter().copied()).collect();
        let taken = Taking::new(units, cluster.node_slots()).all(&all, &mut left, &mut chosen);
        if everywhere {
            all_taken.grow_to(NodeSlot::from_index(cluster.node_slots()), &None);
            all_taken[key] = Some(taken);
        }
        if taken {
            let mut nodes = could;
            let name = |node: &NodeSlot| cluster.node_record(*node).map(|record| &*record.name);
            nodes.sort_unstable_by(|left, right| name(left).cmp(&name(right)));
            chosen.sort_unstable();
            found.push(Found { vm, units: chosen, nodes });
        }
    }
    found
}

/// Protected VMs, by slot, that the witnesses, of which each has at least this much, do not show to be coverable.
fn doubtful(cluster: &Cluster, least: Option<&[u64]>, threads: Threads) -> Vec<VmSlot> {
    let is_settled = |vm: VmSlot, facts: &VmFacts| {
        let fits = || least.is_some_and(|least| fits(&cluster.restart_rows()[vm], least));
        facts.restart != RestartClass::Protected || (fits() && !are_limits(facts.traits))
    };
    let of_part = |(at, facts): (usize, &[VmFacts])| -> Vec<VmSlot> {
        let vms = (at * PART..).map(VmSlot::from_index).zip(facts);
        vms.filter(|(vm, facts)| !is_settled(*vm, facts)).map(|(vm, _)| vm).collect()
    };
    let parts = cluster.all_facts().as_slice().chunks(PART).enumerate().collect();
    threads.map(parts, || (), |(), part| of_part(part)).concat()
}

/// Whether a node is a target that could take a VM with all others away.
fn could_take(cluster: &Cluster, vm: VmSlot, node: NodeSlot) -> bool {
    let fits = fits(&cluster.restart_rows()[vm], &cluster.failover_rows()[node]);
    fits && cluster.room_index().contains(node) && may_run_on(cluster, vm, node)
}

/// The targets that could take a VM with all others away, the largest first.
fn takers(cluster: &Cluster, vm: VmSlot, targets: &[NodeSlot]) -> Vec<NodeSlot> {
    let mut few = Vec::new();
    if !may_run_on_few(cluster, vm, &mut few) {
        return targets.iter().copied().filter(|node| could_take(cluster, vm, *node)).collect();
    }
    few.retain(|node| could_take(cluster, vm, *node));
    few.sort_by_cached_key(|node| {
        let size = cluster.size_of(&cluster.failover_rows()[*node]);
        (core::cmp::Reverse(size), cluster.node_record(*node).map(|record| record.key))
    });
    few.dedup();
    few
}

/// The component-wise minimum of what some nodes have.
fn least_of(cluster: &Cluster, nodes: &[NodeSlot]) -> Vec<u64> {
    let of_kind = |kind: usize| {
        let amounts = nodes.iter().filter_map(|node| cluster.failover_rows()[*node].get(kind));
        amounts.copied().min().unwrap_or(0)
    };
    (0..cluster.kinds().len()).map(of_kind).collect()
}

/// Some of the largest targets, the largest first: usually enough for witnesses, without sorting all.
fn largest(cluster: &Cluster, units: &Units, targets: &[NodeSlot]) -> Vec<NodeSlot> {
    // Nodes share no domain with one another but of wider levels.
    let each = if units.tiers.iter().all(|tier| tier.level == cluster.levels.node_level()) { 1 } else { 64 };
    let wanted = to_usize(units.losses()).saturating_add(1).saturating_mul(each);
    let mut sized: Vec<(core::cmp::Reverse<u64>, u32, NodeSlot)> = (0..)
        .zip(targets)
        .map(|(at, node)| (core::cmp::Reverse(cluster.size_of(&cluster.failover_rows()[*node])), at, *node))
        .collect();
    if wanted < sized.len() {
        sized.select_nth_unstable(wanted);
        sized.truncate(wanted);
    }
    sized.sort_unstable();
    sized.into_iter().map(|(_, _, node)| node).collect()
}

/// Targets of which no two share a domain of a level of the class: one more than units may fail, if there are so many. `met`
/// is all `false` before and after.
fn witnesses(
    units: &Units,
    targets: impl Iterator<Item = NodeSlot>,
    met: &mut IdVec<UnitIx, bool>,
) -> Option<Vec<NodeSlot>> {
    let of_node = |node: NodeSlot| units.tiers.iter().map(move |tier| tier.unit_of[node]);
    let mut chosen: Vec<NodeSlot> = Vec::new();
    for node in targets {
        if of_node(node).any(|unit| met.lookup(unit) != Some(&false)) {
            continue;
        }
        of_node(node).for_each(|unit| met[unit] = true);
        chosen.push(node);
        if chosen.len() > to_usize(units.losses()) {
            break;
        }
    }
    chosen.iter().flat_map(|node| of_node(*node)).for_each(|unit| met[unit] = false);
    (chosen.len() > to_usize(units.losses())).then_some(chosen)
}

/// Whether units within some counts take all of some nodes: each node must be taken by one of few units, and as long as the
/// units that are left could take as many as remain at all, either is tried.
struct Taking<'t> {
    units: &'t Units,
    /// How many chosen units hold each node.
    taken: IdVec<NodeSlot, u32>,
}

impl<'t> Taking<'t> {
    fn new(units: &'t Units, nodes: usize) -> Self {
        Self { units, taken: IdVec::filled(0, nodes) }
    }

    fn all(&mut self, nodes: &[NodeSlot], left: &mut [u32], chosen: &mut Vec<UnitIx>) -> bool {
        let open: Vec<NodeSlot> = nodes.iter().copied().filter(|node| self.taken[*node] == 0).collect();
        let Some(node) = open.first() else { return true };
        if !self.enough(&open, left) {
            return false;
        }
        let mut counted = self.units.tiers.iter().zip(left.iter()).filter(|(_, left)| **left > 0);
        if let (Some((tier, _)), None) = (counted.next(), counted.next()) {
            // With one tier there is no choice, and there are enough.
            let before = chosen.len();
            chosen.extend(open.iter().map(|node| tier.unit_of[*node]));
            chosen.get_mut(before..).unwrap_or_default().sort_unstable();
            chosen.dedup();
            return true;
        }
        for (at, tier) in self.units.tiers.iter().enumerate() {
            let unit = tier.unit_of[*node];
            let Some(count) = left.get(at).copied().filter(|count| *count > 0 && unit != NO_UNIT) else { continue };
            if let Some(entry) = left.get_mut(at) {
                *entry = count - 1;
            }
            chosen.push(unit);
            self.units.nodes(unit).iter().for_each(|node| self.taken[*node] += 1);
            if self.all(&open, left, chosen) {
                return true;
            }
            self.units.nodes(unit).iter().for_each(|node| self.taken[*node] -= 1);
            chosen.pop();
            if let Some(entry) = left.get_mut(at) {
                *entry = count;
            }
        }
        false
    }

    /// Whether the units of each tier that hold most of the open nodes hold, with those of the other tiers, as many as there
    /// are.
    fn enough(&self, open: &[NodeSlot], left: &[u32]) -> bool {
        let mut most = 0_usize;
        for (tier, left) in self.units.tiers.iter().zip(left) {
            let mut units: Vec<UnitIx> =
                open.iter().map(|node| tier.unit_of[*node]).filter(|unit| *unit != NO_UNIT).collect();
            units.sort_unstable();
            let mut held: Vec<usize> = units.chunk_by(PartialEq::eq).map(<[_]>::len).collect();
            held.sort_unstable_by(|left, right| right.cmp(left));
            most += held.iter().take(to_usize(*left)).sum::<usize>();
        }
        most >= open.len()
    }
}
