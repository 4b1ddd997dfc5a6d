//! Banks: the proof in bulk, for losses at once and in any order.
//!
//! Uses `cluster`, `guarantee::{units, field, ties}`, `restart` (plans inside a bank, where rules or tight room need
//! them). Used by `guarantee::verify`.
//!
//! **The data's path.** [`deal`] splits the targets into disjoint banks, so many per tier that every loss finds one
//! (`guarantee::mathematics`): targets that share a domain of a level that matters stay together (an *atom*), and atoms
//! are dealt, those with most room first, to the bank that has least for what it must take. [`fill`] then finds for
//! every unit and every bank of its tier one plan that puts the unit's VMs into the bank, clear of the unit, and fits
//! alone: first fit from the largest holes, which leaves the rest of the bank untouched; where rules tie VMs, or first
//! fit fails, by the planner. Every plan is made as if it were the only one: nothing here depends on how many units may
//! fail, but the number of banks.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: room goes down only by a need that fits into it; counts are below 2^31; shares are u128"
)]

use super::certificate::{ColumnIx, NOWHERE};
use super::field::{Field, MemberIx};
use super::ties::Ties;
use super::units::{NO_UNIT, Tier, UnitIx, Units};
use crate::cluster::Cluster;
use crate::dense::{DenseId, IdVec, Rows, dense_id, fits, to_u32, to_usize};
use crate::failure::Failure;
use crate::ids::{DomainKey, LevelIx, NodeSlot};
use crate::placement::budget::{Budget, Cancelled};
use crate::restart::{Concern, Found, Planner, may_run_on};
use alloc::vec::Vec;

dense_id! {
    /// A position in a bank, in the order of the holes.
    struct PositionIx;
    /// 32 positions.
    struct GroupIx;
}

const GROUP: usize = 32;

/// A bank: the tier that it serves, and its nodes with the largest hole first.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    pub(crate) tier: usize,
    pub(crate) nodes: Vec<NodeSlot>,
}

/// Splits the targets into the banks that a proof in bulk needs; `None` if it does not apply: a rule ties units together
/// whatever the domains, or there are fewer atoms than banks.
pub(crate) fn deal(cluster: &Cluster, units: &Units, field: &Field, ties: &Ties) -> Option<Vec<Bank>> {
    let targets: Vec<NodeSlot> = cluster.room_index().iter().collect();
    let holes = holes(cluster, &targets);
    let losses = units.losses();
    let wanted: u32 = units.tiers.iter().map(|tier| tier.count + losses - 1).sum();
    let mut atoms = if wanted <= 1 {
        alloc::vec![targets.clone()]
    } else {
        if ties.spans.iter().any(|span| span.each_domain_of.is_none()) {
            return None;
        }
        let mut levels: Vec<LevelIx> = units.tiers.iter().map(|tier| tier.level).collect();
        levels.extend(ties.spans.iter().filter_map(|span| span.each_domain_of));
        levels.sort_unstable();
        levels.dedup();
        levels.retain(|level| *level != cluster.levels.node_level());
        atoms(cluster, &targets, &levels)
    };
    if atoms.len() < to_usize(wanted) {
        return None;
    }
    let weight = |atom: &Vec<NodeSlot>| atom.iter().map(|node| u128::from(holes[*node])).sum::<u128>();
    // In the order of the room index, which is one of names, atoms of equal room keep it.
    atoms.sort_by_cached_key(|atom| core::cmp::Reverse(weight(atom)));
    let mut banks: Vec<(u128, u128, Bank)> = Vec::new();
    for (at, tier) in units.tiers.iter().enumerate() {
        // What the largest unit of the tier needs, in the scale of the holes: banks of tiers get room in proportion. With
        // one tier all get the same.
        let load = |unit: UnitIx| -> u128 {
            units.nodes(unit).iter().map(|node| u128::from(cluster.size_of(&field.load[*node]))).sum()
        };
        let several = units.tiers.len() > 1;
        let needed = if several { tier.units().map(load).max().unwrap_or(0).max(1) } else { 1 };
        for _ in 0..tier.count + losses - 1 {
            banks.push((0, needed, Bank { tier: at, nodes: Vec::new() }));
        }
    }
    for atom in atoms {
        let least = banks.iter_mut().enumerate().min_by(|(left_at, left), (right_at, right)| {
            // Room for what is needed, as a fraction; an empty bank comes first.
            (left.0.saturating_mul(right.1)).cmp(&right.0.saturating_mul(left.1)).then(left_at.cmp(right_at))
        });
        if let Some((_, (room, _, bank))) = least {
            *room += weight(&atom).max(1);
            bank.nodes.extend(atom);
        }
    }
    let mut banks: Vec<Bank> = banks.into_iter().map(|(_, _, bank)| bank).collect();
    for bank in &mut banks {
        bank.nodes.sort_by_key(|node| core::cmp::Reverse(holes[*node]));
    }
    Some(banks)
}

/// How large the hole on each target is: the smallest of its shares, over the kinds, of what a target has on average.
fn holes(cluster: &Cluster, targets: &[NodeSlot]) -> IdVec<NodeSlot, u64> {
    let kinds = cluster.kinds().len();
    let mut totals = alloc::vec![0_u128; kinds];
    for node in targets {
        for (total, free) in totals.iter_mut().zip(&cluster.free_rows()[*node]) {
            *total += u128::from(*free);
        }
    }
    let mut holes = IdVec::filled(0, cluster.node_slots());
    let count = u128::from(to_u32(targets.len()));
    for node in targets {
        let shares = cluster.free_rows()[*node].iter().zip(&totals).filter(|(_, total)| **total > 0);
        let share = shares.map(|(free, total)| (u128::from(*free) << 20) * count / total).min().unwrap_or(0);
        holes[*node] = u64::try_from(share).unwrap_or(u64::MAX);
    }
    holes
}

/// The connected components of "shares a domain of one of these levels".
fn atoms(cluster: &Cluster, targets: &[NodeSlot], levels: &[LevelIx]) -> Vec<Vec<NodeSlot>> {
    if levels.is_empty() {
        return targets.iter().map(|node| alloc::vec![*node]).collect();
    }
    let mut parent: Vec<u32> = (0..to_u32(targets.len())).collect();
    for level in levels {
        let mut order: Vec<(DomainKey, u32)> =
            (0_u32..).zip(targets).map(|(at, node)| (cluster.levels.domain(*level, *node), at)).collect();
        order.sort_unstable();
        for pair in order.windows(2) {
            if let [(left_domain, left), (right_domain, right)] = pair {
                if left_domain == right_domain {
                    let (left, right) = (root(&mut parent, *left), root(&mut parent, *right));
                    // The smaller position leads, so that components come in the order of their first nodes.
                    if let Some(entry) = parent.get_mut(to_usize(left.max(right))) {
                        *entry = left.min(right);
                    }
                }
            }
        }
    }
    let mut atoms: Vec<Vec<NodeSlot>> = Vec::new();
    let mut atom_of: Vec<u32> = alloc::vec![u32::MAX; targets.len()];
    for (at, node) in (0_u32..).zip(targets) {
        let root = to_usize(root(&mut parent, at));
        if atom_of.get(root) == Some(&u32::MAX) {
            if let Some(entry) = atom_of.get_mut(root) {
                *entry = to_u32(atoms.len());
            }
            atoms.push(Vec::new());
        }
        let atom = atom_of.get(root).and_then(|atom| atoms.get_mut(to_usize(*atom)));
        if let Some(atom) = atom {
            atom.push(*node);
        }
    }
    atoms
}

fn root(parent: &mut [u32], mut at: u32) -> u32 {
    loop {
        let up = parent.get(to_usize(at)).copied().unwrap_or(at);
        if up == at {
            return at;
        }
        let above = parent.get(to_usize(up)).copied().unwrap_or(up);
        if let Some(entry) = parent.get_mut(to_usize(at)) {
            *entry = above;
        }
        at = above;
    }
}

/// What filling needs besides the bank.
pub(crate) struct Setting<'s> {
    pub(crate) cluster: &'s Cluster,
    pub(crate) units: &'s Units,
    pub(crate) field: &'s Field,
    pub(crate) ties: &'s Ties,
    pub(crate) concern: &'s Concern,
}

/// The plans of one bank.
pub(crate) struct Filled {
    /// A target per member; [`NOWHERE`] for those of units without a plan.
    pub(crate) targets: IdVec<MemberIx, NodeSlot>,
    /// Units for which no plan was found, in order.
    pub(crate) failed: Vec<UnitIx>,
}

/// Fills one bank: a plan for every unit of its tier, until more than `tolerated` units have none.
pub(crate) fn fill(
    setting: &Setting<'_>,
    bank: &Bank,
    tolerated: usize,
    planner: &mut Planner,
    budget: &mut Budget<'_>,
) -> Result<Filled, Cancelled> {
    let mut filled = Filled { targets: IdVec::filled(NOWHERE, setting.field.vms.len()), failed: Vec::new() };
    let Some(tier) = setting.units.tiers.get(bank.tier) else { return Ok(filled) };
    let mut kernel = Kernel::new(setting.cluster, bank);
    let mut members = Vec::new();
    for unit in tier.units() {
        setting.field.of_unit(setting.units, unit, &mut members);
        if members.is_empty() {
            continue;
        }
        let fitted =
            !setting.ties.any_tied(&members) && kernel.first_fit(setting, tier, unit, &members, &mut filled.targets);
        // Running out is noticed below, where a plan is missing.
        let _ = budget.spend(core::mem::take(&mut kernel.work));
        if fitted || by_planner(setting, bank, unit, planner, budget, &members, &mut filled.targets)? {
            continue;
        }
        for member in &members {
            filled.targets[*member] = NOWHERE;
        }
        filled.failed.push(unit);
        if filled.failed.len() > tolerated {
            break;
        }
    }
    Ok(filled)
}

/// The most that one unit in one bank may cost the planner, in node evaluations, before the bank is given up.
const PLAN_WORK: u64 = 50_000;

fn by_planner(
    setting: &Setting<'_>,
    bank: &Bank,
    unit: UnitIx,
    planner: &mut Planner,
    budget: &mut Budget<'_>,
    members: &[MemberIx],
    targets: &mut IdVec<MemberIx, NodeSlot>,
) -> Result<bool, Cancelled> {
    let cluster = setting.cluster;
    let whole = bank.nodes.len() == cluster.room_index().len();
    let mut inside: IdVec<NodeSlot, bool> = IdVec::new();
    if !whole {
        inside = IdVec::filled(false, cluster.node_slots());
        for node in &bank.nodes {
            inside[*node] = true;
        }
    }
    let failure = Failure::of(setting.units.nodes(unit).iter().map(|node| cluster.node_id_of(*node)));
    let within = |node: NodeSlot| inside[node];
    let within: Option<&dyn Fn(NodeSlot) -> bool> = if whole { None } else { Some(&within) };
    let found =
        budget.limited(PLAN_WORK, |part| Ok(planner.scenario(cluster, setting.concern, &failure, within, part)))?;
    if !matches!(found.transpose()?, Some(Found::Placed)) {
        return Ok(false);
    }
    let mut places: Vec<(crate::ids::VmSlot, NodeSlot)> = planner.found_places().collect();
    places.sort_unstable();
    for member in members {
        let vm = setting.field.vms[*member];
        let Ok(at) = places.binary_search_by_key(&vm, |(vm, _)| *vm) else { return Ok(false) };
        if let Some((_, node)) = places.get(at) {
            targets[*member] = *node;
        }
    }
    Ok(true)
}

/// First fit over one bank: its room side by side. What a unit takes of it is given back before the next.
struct Kernel<'b> {
    bank: &'b Bank,
    /// What is free at each position, less what the unit at hand has taken.
    left: Rows<PositionIx>,
    /// The component-wise maximum of each group, nothing taken.
    most: Rows<GroupIx>,
    /// What the unit at hand has taken where.
    taken: Vec<(PositionIx, MemberIx)>,
    work: u64,
}

impl<'b> Kernel<'b> {
    fn new(cluster: &Cluster, bank: &'b Bank) -> Self {
        let kinds = cluster.kinds().len();
        let mut left: Rows<PositionIx> = Rows::new(kinds);
        let mut most: Rows<GroupIx> = Rows::new(kinds);
        for (at, node) in bank.nodes.iter().enumerate() {
            let free = &cluster.free_rows()[*node];
            left.push(free);
            let group = GroupIx::from_index(at / GROUP);
            most.grow_to(group);
            for (most, free) in most[group].iter_mut().zip(free) {
                *most = (*most).max(*free);
            }
        }
        Self { bank, left, most, taken: Vec::new(), work: 0 }
    }

    /// Puts every member on the first position that takes it; `false` if one finds none.
    fn first_fit(
        &mut self,
        setting: &Setting<'_>,
        tier: &Tier,
        unit: UnitIx,
        members: &[MemberIx],
        targets: &mut IdVec<MemberIx, NodeSlot>,
    ) -> bool {
        match setting.cluster.kinds().len() {
            2 => self.first_fit_of::<2>(setting, tier, unit, members, targets),
            4 => self.first_fit_of::<4>(setting, tier, unit, members, targets),
            _ => self.first_fit_of::<0>(setting, tier, unit, members, targets),
        }
    }

    /// `WIDTH` as for [`Rows::row`].
    fn first_fit_of<const WIDTH: usize>(
        &mut self,
        setting: &Setting<'_>,
        tier: &Tier,
        unit: UnitIx,
        members: &[MemberIx],
        targets: &mut IdVec<MemberIx, NodeSlot>,
    ) -> bool {
        let mut complete = true;
        for member in members {
            let need = setting.field.need.row::<WIDTH>(*member);
            let found = if setting.field.limited[*member] {
                let vm = setting.field.vms[*member];
                self.search::<WIDTH>(need, |node| tier.unit_of[node] != unit && may_run_on(setting.cluster, vm, node))
            } else {
                self.search::<WIDTH>(need, |node| tier.unit_of[node] != unit)
            };
            let Some((position, node)) = found else {
                complete = false;
                break;
            };
            for (left, need) in self.left.row_mut::<WIDTH>(position).iter_mut().zip(need) {
                *left -= need;
            }
            self.taken.push((position, *member));
            targets[*member] = node;
        }
        for (position, member) in self.taken.drain(..) {
            let need = setting.field.need.row::<WIDTH>(member);
            for (left, need) in self.left.row_mut::<WIDTH>(position).iter_mut().zip(need) {
                *left += need;
            }
        }
        complete
    }

    #[inline]
    fn search<const WIDTH: usize>(
        &mut self,
        need: &[u64],
        accepts: impl Fn(NodeSlot) -> bool,
    ) -> Option<(PositionIx, NodeSlot)> {
        let mut first = 0;
        for (group, nodes) in self.bank.nodes.chunks(GROUP).enumerate() {
            self.work += 1;
            if fits(need, self.most.row::<WIDTH>(GroupIx::from_index(group))) {
                for (at, node) in nodes.iter().enumerate() {
                    let position = PositionIx::from_index(first + at);
                    if fits(need, self.left.row::<WIDTH>(position)) && accepts(*node) {
                        return Some((position, *node));
                    }
                }
            }
            first += GROUP;
        }
        None
    }
}

/// The columns of a certificate from filled banks.
pub(crate) fn columns(banks: &[Bank]) -> IdVec<ColumnIx, super::certificate::Column> {
    banks
        .iter()
        .map(|bank| {
            let mut nodes = bank.nodes.clone();
            nodes.sort_unstable();
            super::certificate::Column { tier: bank.tier, bank: Some(nodes) }
        })
        .collect()
}

const _: () = assert!(NO_UNIT.0 == u32::MAX, "no unit is no position");
