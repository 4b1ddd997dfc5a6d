//! Filling banks: the proof in bulk, for losses at once and in any order.
//!
//! Uses `cluster`, `guarantee::{units, field, bonds, deal, fit}`, `restart` (plans inside a bank, where tight room needs
//! them). Used by `guarantee::verify`.
//!
//! **The data's path.** `deal` splits the targets into disjoint banks, so many per tier that every loss finds one
//! (`guarantee::mathematics`). [`fill`] then finds for every unit and every bank of its tier one plan that puts the unit's VMs
//! into the bank, clear of the unit, and fits alone and keeps to the VMs' bonds: first fit from the largest holes, which leaves
//! the rest of the bank untouched; where that fails, by the planner. Every plan is made as if it were the only one: nothing here
//! depends on how many units may fail, but the number of banks.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: room goes down only by a need that fits into it; counts are below 2^31; shares are u128"
)]

use super::bonds::Bonds;
use super::certificate::{ColumnIx, NOWHERE};
use super::field::{Field, MemberIx};
use super::fit::{Goal, Kernel, Layout, Part};
use super::listed::Span;
use super::scarce::{self, Lacking};
use super::units::{Tier, UnitIx, Units};
use crate::cluster::Cluster;
use crate::dense::{IdVec, to_u32};
use crate::failure::Failure;
use crate::ids::{NodeSlot, VmSlot};
use crate::placement::budget::{Budget, Cancelled};
use crate::restart::{Concern, Found, Planner, Within};
use alloc::vec::Vec;

/// A bank: the tier that it serves, and its nodes with their room.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    pub(super) tier: usize,
    pub(super) layout: Layout,
}

impl Bank {
    /// Its nodes, the one with the largest hole first.
    pub(super) fn nodes(&self) -> &[NodeSlot] {
        &self.layout.nodes
    }
}

/// What filling needs besides the bank.
pub(crate) struct Setting<'s> {
    pub(crate) cluster: &'s Cluster,
    pub(crate) units: &'s Units,
    pub(crate) field: &'s Field,
    pub(crate) bonds: &'s Bonds,
    pub(crate) concern: &'s Concern,
}

/// The plans of one bank.
pub(crate) struct Filled {
    /// A target per member; [`NOWHERE`] for those of units without a plan.
    pub(crate) targets: IdVec<MemberIx, NodeSlot>,
    /// Units for which no plan was found, in order.
    pub(crate) failed: Vec<UnitIx>,
}

/// A part of the units of a tier has at least so many members: what one thread does at a time.
const PART: usize = 1_024;
/// A tier has about so many parts.
const PARTS: usize = 40;

/// Fills all banks: a plan for every unit of a bank's tier. Once a unit has none, unless those are `tolerated`, the members are
/// told that have hardly a place in some bank; nobody, if that is not why.
///
/// First fit goes first, part by part, and looks at neither planner nor budget; this thread does something else `beside`. What
/// it leaves open is planned in order.
/// `tolerated` tells of a unit whether it is known that it has none, so that the planner need not look.
pub(crate) fn fill(
    setting: &Setting<'_>,
    banks: &[Bank],
    tolerated: Option<&dyn Fn(UnitIx) -> bool>,
    planner: &mut Planner,
    budget: &mut Budget<'_>,
    beside: impl FnOnce(),
) -> Result<Result<Vec<Filled>, Vec<Lacking>>, Cancelled> {
    let tiers: Vec<(&Tier, Vec<(Span, usize)>)> =
        setting.units.tiers.iter().map(|tier| (tier, split(setting, tier))).collect();
    let members_of =
        |tier: usize| tiers.get(tier).map_or(0, |(_, parts)| parts.iter().map(|(_, members)| members).sum());
    let mut all: Vec<Vec<NodeSlot>> = banks.iter().map(|bank| alloc::vec![NOWHERE; members_of(bank.tier)]).collect();
    let mut rest: Vec<&mut [NodeSlot]> = all.iter_mut().map(Vec::as_mut_slice).collect();
    let mut parts: Vec<Part<'_>> = Vec::new();
    for (at, (tier, units)) in tiers.iter().enumerate() {
        for (units, members) in units {
            let of_tier = banks.iter().zip(&mut rest).enumerate().filter(|(_, (bank, _))| bank.tier == at);
            let of_tier = of_tier.map(|(at, (bank, rest))| {
                let (targets, behind) = core::mem::take(rest).split_at_mut(*members);
                *rest = behind;
                Goal { bank: at, layout: &bank.layout, targets }
            });
            parts.push(Part { tier, units: units.clone(), banks: of_tier.collect() });
        }
    }
    let is_cancelled = budget.watch();
    let fit = |kernel: &mut Kernel, part: Part<'_>| {
        if is_cancelled() { Vec::new() } else { kernel.fit_part(setting, part) }
    };
    let (fitted, ()) = budget.threads().map_beside(parts, Kernel::default, fit, beside);
    if is_cancelled() {
        return Err(Cancelled);
    }
    let mut open: Vec<Vec<UnitIx>> = alloc::vec![Vec::new(); banks.len()];
    for part in fitted.into_iter().flatten() {
        // Running out is noticed below, where a plan is missing.
        let _ = budget.spend(part.work);
        if let Some(open) = open.get_mut(part.bank) {
            open.extend(part.open);
        }
    }
    let mut filled = Vec::with_capacity(banks.len());
    let mut lacking = Vec::new();
    for ((bank, mut open), targets) in banks.iter().zip(open).zip(all) {
        open.sort_unstable();
        let targets = by_member(setting, bank, targets);
        let Some(bank) = plan_open(setting, bank, targets, &open, tolerated, planner, budget, &mut lacking)? else {
            return Ok(Err(Vec::new()));
        };
        filled.push(bank);
    }
    Ok(if lacking.is_empty() { Ok(filled) } else { Err(lacking) })
}

/// The units of a tier in parts, and how many targets each part has.
fn split(setting: &Setting<'_>, tier: &Tier) -> Vec<(Span, usize)> {
    let enough = (setting.field.vms.len() / PARTS).max(PART);
    let mut parts = Vec::new();
    let (mut first, mut members) = (0, 0);
    if tier.level == setting.cluster.levels.node_level() {
        let nodes = to_u32(setting.cluster.node_slots());
        for end in 1..=nodes {
            members = setting.field.start(NodeSlot(end)) - setting.field.start(NodeSlot(first));
            if members >= enough || end == nodes {
                parts.push((Span::Nodes(first..end), members));
                first = end;
            }
        }
        return parts;
    }
    first = tier.first;
    for unit in tier.units() {
        members += setting.units.nodes(unit).iter().map(|node| setting.field.at(*node).len()).sum::<usize>();
        if members >= enough || unit.0 + 1 == tier.end {
            parts.push((Span::Units(first..unit.0 + 1), members));
            (first, members) = (unit.0 + 1, 0);
        }
    }
    parts
}

/// The targets of a bank, as parts have them, per member.
fn by_member(setting: &Setting<'_>, bank: &Bank, targets: Vec<NodeSlot>) -> IdVec<MemberIx, NodeSlot> {
    let Some(tier) = setting.units.tiers.get(bank.tier) else { return IdVec::new() };
    if tier.level == setting.cluster.levels.node_level() {
        let mut targets: IdVec<MemberIx, NodeSlot> = IdVec::from_vec(targets);
        // Those without a home have no target.
        targets.extend(core::iter::repeat_n(NOWHERE, setting.field.vms.len().saturating_sub(targets.len())));
        return targets;
    }
    let mut by_member = IdVec::filled(NOWHERE, setting.field.vms.len());
    let mut members = Vec::new();
    let mut targets = targets.into_iter();
    for unit in tier.units() {
        setting.field.of_unit(setting.units, unit, &mut members);
        for (member, target) in members.iter().zip(&mut targets) {
            by_member[*member] = target;
        }
    }
    by_member
}

/// Plans the units of a bank that first fit has left open; `tolerated` as for [`fill`]. Who has hardly a place is `lacking` then;
/// `None`, once that is not why a unit has no plan.
#[expect(clippy::too_many_arguments, reason = "a bank and what filling it needs, borrowed one by one")]
fn plan_open(
    setting: &Setting<'_>,
    bank: &Bank,
    targets: IdVec<MemberIx, NodeSlot>,
    open: &[UnitIx],
    tolerated: Option<&dyn Fn(UnitIx) -> bool>,
    planner: &mut Planner,
    budget: &mut Budget<'_>,
    lacking: &mut Vec<Lacking>,
) -> Result<Option<Filled>, Cancelled> {
    let cluster = setting.cluster;
    let mut filled = Filled { targets, failed: Vec::new() };
    let mut members = Vec::new();
    let mut inside: IdVec<NodeSlot, bool> = IdVec::new();
    if !open.is_empty() {
        inside = IdVec::filled(false, cluster.node_slots());
        for node in bank.nodes() {
            inside[*node] = true;
        }
    }
    let whole = bank.nodes().len() == cluster.room_index().len();
    // The plan for a single loss stands alone: it need not keep to colours.
    let alone = setting.units.losses() == 1;
    let within = Within {
        node: &|node| inside[node],
        limits: &|vm| !alone && setting.bonds.has_colour(vm),
        suits: &|vm, node| setting.bonds.colours_allow(cluster, vm, node),
    };
    let within = if whole && (alone || setting.bonds.is_empty()) { None } else { Some(&within) };
    for unit in open {
        setting.field.of_unit(setting.units, *unit, &mut members);
        let hopeless = if let Some(is_hopeless) = tolerated {
            is_hopeless(*unit)
        } else {
            let before = lacking.len();
            lacking.extend(scarce::lacking(setting, bank, *unit, &members, false));
            // Running out is noticed by whoever goes on.
            let _ = budget.spend(u64::from(to_u32(members.len() * bank.nodes().len() / 16)));
            lacking.len() > before
        };
        if !hopeless && by_planner(setting, *unit, within, planner, budget, &members, &mut filled.targets)? {
            continue;
        }
        for member in &members {
            filled.targets[*member] = NOWHERE;
        }
        filled.failed.push(*unit);
        if tolerated.is_none() && !hopeless {
            let few = scarce::lacking(setting, bank, *unit, &members, true);
            if few.is_empty() {
                return Ok(None);
            }
            lacking.extend(few);
        }
        if scarce::are_too_many(lacking.len(), setting.field.vms.len()) {
            return Ok(None);
        }
    }
    Ok(Some(filled))
}

/// The most that one unit in one bank may cost the planner, in node evaluations, before the bank is given up.
const PLAN_WORK: u64 = 50_000;

fn by_planner(
    setting: &Setting<'_>,
    unit: UnitIx,
    within: Option<&Within<'_>>,
    planner: &mut Planner,
    budget: &mut Budget<'_>,
    members: &[MemberIx],
    targets: &mut IdVec<MemberIx, NodeSlot>,
) -> Result<bool, Cancelled> {
    let cluster = setting.cluster;
    let failure = Failure::of(setting.units.nodes(unit).iter().map(|node| cluster.node_id_of(*node)));
    let found =
        budget.limited(PLAN_WORK, |part| Ok(planner.scenario(cluster, setting.concern, &failure, within, part)))?;
    if !matches!(found.transpose()?, Some(Found::Placed)) {
        return Ok(false);
    }
    let mut places: Vec<(VmSlot, NodeSlot)> = planner.found_places().collect();
    places.sort_unstable();
    for member in members {
        let vm = setting.field.vms[*member];
        let Ok(at) = places.binary_search_by_key(&vm, |(vm, _)| *vm) else { return Ok(false) };
        if let Some((_, node)) = places.get(at) {
            targets[*member] = *node;
        }
    }
    // The planner keeps the rule, which may let a group come to several nodes of one domain: a later loss could part them.
    let split = || setting.bonds.splits(members.iter().map(|member| (setting.field.vms[*member], targets[*member])));
    Ok(setting.units.losses() == 1 || !split())
}

/// The columns of a certificate from filled banks.
pub(crate) fn columns(banks: &[Bank]) -> IdVec<ColumnIx, super::certificate::Column> {
    banks
        .iter()
        .map(|bank| {
            let mut nodes = bank.nodes().to_vec();
            nodes.sort_unstable();
            super::certificate::Column { tier: bank.tier, bank: Some(nodes) }
        })
        .collect()
}
