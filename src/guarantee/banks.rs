//! Banks: the proof in bulk, for losses at once and in any order.
//!
//! Uses `cluster`, `guarantee::{units, field, bonds, fit}`, `restart` (plans inside a bank, where tight room needs them).
//! Used by `guarantee::verify`.
//!
//! **The data's path.** [`deal`] splits the targets into disjoint banks, so many per tier that every loss finds one
//! (`guarantee::mathematics`): targets that share a domain of a level that matters stay together (an *atom*), and atoms
//! are dealt, those with most room first, to the bank that has least for what it must take; where labels or `confine`
//! limit VMs, each sort of atom evenly. [`fill`] then finds for
//! every unit and every bank of its tier one plan that puts the unit's VMs into the bank, clear of the unit, and fits
//! alone and keeps to the VMs' bonds: first fit from the largest holes, which leaves the rest of the bank untouched; where
//! that fails, by the planner. Every plan is made as if it were the only one: nothing here depends on how many units may
//! fail, but the number of banks.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: room goes down only by a need that fits into it; counts are below 2^31; shares are u128"
)]

use super::bonds::{Bonded, Bonds};
use super::certificate::{ColumnIx, NOWHERE};
use super::field::{Field, MemberIx};
use super::fit::{Fitted, Kernel, Layout, Part, Span};
use super::units::{Tier, UnitIx, Units};
use crate::cluster::{Cluster, RuleBody};
use crate::dense::{IdVec, to_u32, to_usize};
use crate::failure::Failure;
use crate::ids::{DomainKey, LevelIx, NodeSlot, VmSlot};
use crate::placement::budget::{Budget, Cancelled};
use crate::restart::{Concern, Found, Planner, Within};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// A bank: the tier that it serves, and its nodes with the largest hole first.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    pub(crate) tier: usize,
    pub(crate) nodes: Vec<NodeSlot>,
}

/// Splits the targets into the banks that a proof in bulk needs, such that no domain of the bonds' levels meets two of them;
/// `None` if it does not apply: there are fewer atoms than banks.
pub(crate) fn deal(
    cluster: &Cluster,
    units: &Units,
    field: &Field,
    bonds: &Bonds,
    shares: Shares,
) -> Option<Vec<Bank>> {
    let losses = units.losses();
    let wanted: u32 = units.tiers.iter().map(|tier| tier.count + losses - 1).sum();
    let mut banks: Vec<Dealt> = Vec::new();
    for (tier, needed) in tier_shares(cluster, units, field, shares).into_iter().enumerate() {
        let count = units.tiers.get(tier).map_or(0, |tier| tier.count + losses - 1);
        let dealt = || Dealt { room: 0, needed, of_sort: 0, bank: Bank { tier, nodes: Vec::new() } };
        banks.extend((0..count).map(|_| dealt()));
    }
    let done = |banks: Vec<Dealt>| Some(banks.into_iter().map(|dealt| dealt.bank).collect());
    if field.vms.is_empty() {
        // Nothing to place: banks without nodes will do, however many it takes.
        return done(banks);
    }
    let targets: Vec<NodeSlot> = cluster.room_index().iter().collect();
    let holes = holes(cluster, &targets);
    if wanted <= 1 {
        for dealt in &mut banks {
            dealt.bank.nodes.clone_from(&targets);
        }
    } else {
        let tiers = units.tiers.iter().map(|tier| tier.level);
        let mut levels: Vec<LevelIx> = tiers.chain(bonds.levels(cluster)).collect();
        levels.sort_unstable();
        levels.dedup();
        levels.retain(|level| *level != cluster.levels.node_level());
        let atoms = atoms(cluster, &targets, &levels);
        if atoms.len() < to_usize(wanted) {
            return None;
        }
        // In the order of the room index, which is one of names, atoms of equal room keep it.
        let room = |atom: &[NodeSlot]| Reverse(atom.iter().map(|node| holes[*node]).fold(0, u64::saturating_add));
        let sorts = sorts(cluster, field, bonds, &atoms, banks.len());
        let mut order: Vec<(u32, Reverse<u64>, u32)> =
            (0..).zip(&sorts).filter_map(|(at, sort)| Some((*sort, room(atoms.get(at)?), at))).collect();
        order.sort_unstable();
        for dealt in &mut banks {
            dealt.bank.nodes.reserve(targets.len() / to_usize(wanted) + 1);
        }
        let even = banks.windows(2).all(
            |pair| matches!(pair, [left, right] if 2 * left.needed.min(right.needed) > left.needed.max(right.needed)),
        ) && sorts.iter().any(|sort| *sort > 0);
        let mut last = None;
        for (sort, Reverse(weight), at) in order {
            if last.replace(sort) != Some(sort) {
                for dealt in &mut banks {
                    dealt.of_sort = 0;
                }
            }
            // Of several sorts, if all banks get about the same, the fewest of this one; then least room for its share, as a
            // fraction. An empty bank comes first, of equals the first.
            let poorest = banks.iter_mut().min_by(|left, right| {
                let by_room = left.room.saturating_mul(right.needed).cmp(&right.room.saturating_mul(left.needed));
                if even { left.of_sort.cmp(&right.of_sort).then(by_room) } else { by_room }
            });
            if let (Some(dealt), Some(atom)) = (poorest, atoms.get(at)) {
                dealt.room += u128::from(weight.max(1));
                dealt.of_sort += 1;
                dealt.bank.nodes.extend_from_slice(atom);
            }
        }
    }
    for dealt in &mut banks {
        dealt.bank.nodes.sort_by_key(|node| Reverse(holes[*node]));
    }
    done(banks)
}

/// What banks of different tiers get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shares {
    /// In proportion to what the largest unit of the tier needs: the best for large units.
    Needed,
    /// Some times that, and the same part of what is left: the best where members have few places.
    Evened,
}

/// So many times what the largest unit needs a bank should get at least: holes are never of the right size.
const MARGIN: u128 = 3;

/// What a bank of each tier should get, against the others.
fn tier_shares(cluster: &Cluster, units: &Units, field: &Field, shares: Shares) -> Vec<u128> {
    const ALL: u128 = 1 << 30;
    if units.tiers.len() < 2 {
        return alloc::vec![1; units.tiers.len()];
    }
    let totals = free_in_all(cluster, cluster.room_index().iter());
    // The largest part of all that is free, over the kinds.
    let part = |unit: UnitIx| {
        let sum = |kind: usize| -> u128 {
            units.nodes(unit).iter().filter_map(|node| field.load[*node].get(kind)).map(|load| u128::from(*load)).sum()
        };
        let parts = totals.iter().enumerate().map(|(kind, total)| sum(kind).saturating_mul(ALL) / (*total).max(1));
        parts.max().unwrap_or(0)
    };
    let needed: Vec<u128> = units.tiers.iter().map(|tier| tier.units().map(part).max().unwrap_or(0) * MARGIN).collect();
    let counts = units.tiers.iter().map(|tier| u128::from(tier.count + units.losses() - 1));
    let (mut banks, mut sum) = (0, 0);
    for (count, needed) in counts.zip(&needed) {
        banks += count;
        sum += count * needed;
    }
    let rest = if shares == Shares::Evened { ALL.saturating_sub(sum) / banks.max(1) } else { 0 };
    needed.into_iter().map(|needed| (needed + rest).max(1)).collect()
}

/// A bank that atoms are dealt to.
struct Dealt {
    room: u128,
    /// What it should get, against the others.
    needed: u128,
    /// How many atoms of the sort at hand it has.
    of_sort: u32,
    bank: Bank,
}

/// In a domain with fewer targets per bank its holes are not dealt by themselves.
pub(super) const DOMAIN_SHARE: usize = 4;

/// Sorts of atoms, rare ones first. VMs that labels or `confine` rules limit to some nodes need such nodes in every bank, and
/// VMs with colours need holes of every size in the domains of their colours. Without such VMs all are of one sort.
fn sorts(cluster: &Cluster, field: &Field, bonds: &Bonds, atoms: &Atoms, banks: usize) -> Vec<u32> {
    let limited = field.limited.iter().any(|limited| *limited);
    let painted: Vec<LevelIx> = bonds.painted().filter(|level| are_large(cluster, *level, atoms, banks)).collect();
    if !limited && painted.is_empty() {
        return alloc::vec![0; atoms.len()];
    }
    // Neither nothing nor a zero mixes to nothing.
    let mix = |mix: u64, with: u64| (mix.rotate_left(5) ^ with).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut marks: IdVec<NodeSlot, u64> = IdVec::filled(0, cluster.node_slots());
    if limited {
        for rule in
            cluster.rules().filter_map(|rule| cluster.rule_record(rule.id().slot)).filter(|rule| rule.is_place())
        {
            if let RuleBody::Place { inside: true, nodes, .. } = &rule.body {
                for node in nodes.iter() {
                    marks[node] = mix(marks[node], rule.key);
                }
            }
        }
    }
    let mark = |node: &NodeSlot| {
        let labels = cluster.node_record(*node).map_or(&[][..], |record| &record.labels);
        let labels = labels.iter().filter(|_| limited).map(|label| u64::from(label.0));
        let domains = painted.iter().map(|level| u64::from(cluster.levels.domain(*level, *node).0));
        labels.chain(domains).fold(marks[*node], mix)
    };
    let marked: Vec<u64> = (0..to_u32(atoms.len()))
        .map(|at| atoms.get(at).map_or(0, |atom| atom.iter().fold(0, |all, node| mix(all, mark(node)))))
        .collect();
    let mut known: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
    for (at, mark) in (0..).zip(&marked) {
        known.entry(*mark).or_insert((0, at)).0 += 1;
    }
    let mut ranked: Vec<((u32, u32), u64)> = known.iter().map(|(mark, rarity)| (*rarity, *mark)).collect();
    ranked.sort_unstable();
    let rank: BTreeMap<u64, u32> = (0..).zip(ranked).map(|(rank, (_, mark))| (mark, rank)).collect();
    marked.iter().map(|mark| rank.get(mark).copied().unwrap_or(0)).collect()
}

/// Whether the domains of a level have several targets per bank, on average.
fn are_large(cluster: &Cluster, level: LevelIx, atoms: &Atoms, banks: usize) -> bool {
    let mut domains: Vec<DomainKey> = atoms.nodes.iter().map(|node| cluster.levels.domain(level, *node)).collect();
    domains.sort_unstable();
    domains.dedup();
    atoms.nodes.len() >= domains.len() * banks * DOMAIN_SHARE
}

/// What these nodes have free together, per kind.
fn free_in_all(cluster: &Cluster, nodes: impl Iterator<Item = NodeSlot>) -> Vec<u128> {
    let mut totals = alloc::vec![0_u128; cluster.kinds().len()];
    for node in nodes {
        for (total, free) in totals.iter_mut().zip(&cluster.free_rows()[node]) {
            *total += u128::from(*free);
        }
    }
    totals
}

/// How large the hole on each target is: the smallest of its shares, over the kinds, of what a target has on average.
fn holes(cluster: &Cluster, targets: &[NodeSlot]) -> IdVec<NodeSlot, u64> {
    let totals = free_in_all(cluster, targets.iter().copied());
    let mut holes = IdVec::filled(0, cluster.node_slots());
    let count = u64::from(to_u32(targets.len())) << 20;
    let share = |(free, total): (&u64, &u128)| match (free.checked_mul(count), u64::try_from(*total)) {
        (Some(free), Ok(total)) => free / total.max(1),
        // Division of what is longer is slow.
        _ => u64::try_from(u128::from(*free) * u128::from(count) / (*total).max(1)).unwrap_or(u64::MAX),
    };
    for node in targets {
        let kinds = cluster.free_rows()[*node].iter().zip(&totals).filter(|(_, total)| **total > 0);
        holes[*node] = kinds.map(share).min().unwrap_or(0);
    }
    holes
}

/// Nodes that stay together, one list after the other.
struct Atoms {
    nodes: Vec<NodeSlot>,
    /// Where each list begins, and the end.
    starts: Vec<u32>,
}

impl Atoms {
    fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn get(&self, at: u32) -> Option<&[NodeSlot]> {
        let at = to_usize(at);
        self.nodes.get(to_usize(*self.starts.get(at)?)..to_usize(*self.starts.get(at + 1)?))
    }
}

/// The connected components of "shares a domain of one of these levels", in the order of their first nodes.
fn atoms(cluster: &Cluster, targets: &[NodeSlot], levels: &[LevelIx]) -> Atoms {
    if levels.is_empty() {
        return Atoms { nodes: targets.to_vec(), starts: (0..=to_u32(targets.len())).collect() };
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
    let mut order: Vec<(u32, u32)> = (0..to_u32(targets.len())).map(|at| (root(&mut parent, at), at)).collect();
    order.sort_unstable();
    let mut atoms = Atoms { nodes: Vec::with_capacity(targets.len()), starts: Vec::new() };
    let mut last = None;
    for (root, at) in order {
        if last.replace(root) != Some(root) {
            atoms.starts.push(to_u32(atoms.nodes.len()));
        }
        atoms.nodes.extend(targets.get(to_usize(at)));
    }
    atoms.starts.push(to_u32(atoms.nodes.len()));
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
    pub(crate) bonds: &'s Bonds,
    /// The bonds of the members.
    pub(crate) bonded: Bonded,
    pub(crate) concern: &'s Concern,
}

/// The plans of one bank.
pub(crate) struct Filled {
    /// A target per member; [`NOWHERE`] for those of units without a plan.
    pub(crate) targets: IdVec<MemberIx, NodeSlot>,
    /// Units for which no plan was found, in order.
    pub(crate) failed: Vec<UnitIx>,
}

/// A part of the units of a bank has at least so many members: what one thread does at a time.
const PART: usize = 1_024;
/// A bank has about so many parts.
const PARTS: usize = 8;

/// Fills all banks: a plan for every unit of a bank's tier; `None` once a unit has none, unless those are `tolerated`.
///
/// First fit goes first, part by part, and looks at neither planner nor budget; what it leaves open is planned in order.
/// `tolerated` tells of a unit whether it is known that it has none, so that the planner need not look.
pub(crate) fn fill(
    setting: &Setting<'_>,
    banks: &[Bank],
    tolerated: Option<&dyn Fn(UnitIx) -> bool>,
    planner: &mut Planner,
    budget: &mut Budget<'_>,
) -> Result<Option<Vec<Filled>>, Cancelled> {
    let limited = setting.field.limited.iter().any(|limited| *limited);
    let layouts: Vec<Layout<'_>> = banks.iter().map(|bank| Layout::new(setting.cluster, bank, limited)).collect();
    let tiers: Vec<(&Tier, Vec<(Span, usize)>)> =
        setting.units.tiers.iter().map(|tier| (tier, split(setting, tier))).collect();
    let mut all: Vec<Vec<NodeSlot>> = Vec::with_capacity(banks.len());
    for bank in banks {
        let parts = tiers.get(bank.tier).map_or(&[][..], |(_, parts)| parts);
        all.push(alloc::vec![NOWHERE; parts.iter().map(|(_, members)| members).sum()]);
    }
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut parts_of: Vec<usize> = Vec::new();
    for ((bank, layout), targets) in banks.iter().zip(&layouts).zip(&mut all) {
        let Some((tier, units)) = tiers.get(bank.tier) else { continue };
        let mut rest = targets.as_mut_slice();
        for (units, members) in units {
            let (targets, behind) = rest.split_at_mut((*members).min(rest.len()));
            rest = behind;
            parts.push(Part { layout, tier, units: units.clone(), targets });
        }
        parts_of.push(units.len());
    }
    let is_cancelled = budget.watch();
    let fit = |kernel: &mut Kernel, part: Part<'_>| {
        if is_cancelled() { Fitted::default() } else { kernel.fit_part(setting, part) }
    };
    let mut fitted = budget.threads().map(parts, Kernel::default, fit).into_iter();
    if is_cancelled() {
        return Err(Cancelled);
    }
    let mut filled = Vec::with_capacity(banks.len());
    for ((bank, count), targets) in banks.iter().zip(parts_of).zip(all) {
        let mut open: Vec<UnitIx> = Vec::new();
        for part in fitted.by_ref().take(count) {
            // Running out is noticed below, where a plan is missing.
            let _ = budget.spend(part.work);
            open.extend(part.open);
        }
        open.sort_unstable();
        let targets = by_member(setting, bank, targets);
        let Some(bank) = plan_open(setting, bank, targets, &open, tolerated, planner, budget)? else {
            return Ok(None);
        };
        filled.push(bank);
    }
    Ok(Some(filled))
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

/// Plans the units of a bank that first fit has left open; `None` and `tolerated` as for [`fill`].
fn plan_open(
    setting: &Setting<'_>,
    bank: &Bank,
    targets: IdVec<MemberIx, NodeSlot>,
    open: &[UnitIx],
    tolerated: Option<&dyn Fn(UnitIx) -> bool>,
    planner: &mut Planner,
    budget: &mut Budget<'_>,
) -> Result<Option<Filled>, Cancelled> {
    let cluster = setting.cluster;
    let mut filled = Filled { targets, failed: Vec::new() };
    let mut members = Vec::new();
    let mut inside: IdVec<NodeSlot, bool> = IdVec::new();
    if !open.is_empty() {
        inside = IdVec::filled(false, cluster.node_slots());
        for node in &bank.nodes {
            inside[*node] = true;
        }
    }
    let whole = bank.nodes.len() == cluster.room_index().len();
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
        let hopeless = tolerated.is_some_and(|is_hopeless| is_hopeless(*unit));
        if !hopeless && by_planner(setting, *unit, within, planner, budget, &members, &mut filled.targets)? {
            continue;
        }
        for member in &members {
            filled.targets[*member] = NOWHERE;
        }
        filled.failed.push(*unit);
        if tolerated.is_none() {
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
            let mut nodes = bank.nodes.clone();
            nodes.sort_unstable();
            super::certificate::Column { tier: bank.tier, bank: Some(nodes) }
        })
        .collect()
}
