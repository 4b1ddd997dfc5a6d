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
use crate::ids::{DomainKey, LevelIx, NodeSlot, VmSlot};
use crate::placement::budget::{Budget, Cancelled};
use crate::restart::{Concern, Found, Planner, may_run_on, may_run_on_few};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Range;

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
    let losses = units.losses();
    let wanted: u32 = units.tiers.iter().map(|tier| tier.count + losses - 1).sum();
    let mut banks: Vec<Dealt> = Vec::new();
    for (at, tier) in units.tiers.iter().enumerate() {
        // What the largest unit of the tier needs, in the scale of the holes: banks of tiers get room in proportion. With
        // one tier all get the same.
        let load = |unit: UnitIx| -> u128 {
            units.nodes(unit).iter().map(|node| u128::from(cluster.size_of(&field.load[*node]))).sum()
        };
        let several = units.tiers.len() > 1;
        let needed = if several { tier.units().map(load).max().unwrap_or(0).max(1) } else { 1 };
        for _ in 0..tier.count + losses - 1 {
            banks.push(Dealt { room: 0, needed, bank: Bank { tier: at, nodes: Vec::new() } });
        }
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
        if ties.spans.iter().any(|span| span.each_domain_of.is_none()) {
            return None;
        }
        let mut levels: Vec<LevelIx> = units.tiers.iter().map(|tier| tier.level).collect();
        levels.extend(ties.spans.iter().filter_map(|span| span.each_domain_of));
        levels.sort_unstable();
        levels.dedup();
        levels.retain(|level| *level != cluster.levels.node_level());
        let atoms = atoms(cluster, &targets, &levels);
        if atoms.len() < to_usize(wanted) {
            return None;
        }
        // In the order of the room index, which is one of names, atoms of equal room keep it.
        let room = |atom: &[NodeSlot]| Reverse(atom.iter().map(|node| u128::from(holes[*node])).sum());
        let mut order: Vec<(Reverse<u128>, u32)> =
            (0..to_u32(atoms.len())).filter_map(|at| Some((room(atoms.get(at)?), at))).collect();
        order.sort_unstable();
        for dealt in &mut banks {
            dealt.bank.nodes.reserve(targets.len() / to_usize(wanted) + 1);
        }
        for (Reverse(weight), at) in order {
            // Least room for what is needed, as a fraction; an empty bank comes first, of equals the first.
            let least = banks.iter_mut().min_by(|left, right| {
                left.room.saturating_mul(right.needed).cmp(&right.room.saturating_mul(left.needed))
            });
            if let (Some(dealt), Some(atom)) = (least, atoms.get(at)) {
                dealt.room += weight.max(1);
                dealt.bank.nodes.extend_from_slice(atom);
            }
        }
    }
    for dealt in &mut banks {
        dealt.bank.nodes.sort_by_key(|node| Reverse(holes[*node]));
    }
    done(banks)
}

/// A bank that atoms are dealt to.
struct Dealt {
    room: u128,
    /// What it must take, in the scale of `room`.
    needed: u128,
    bank: Bank,
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

/// A part of the units of a bank has about so many members: what one thread does at a time.
const PART: usize = 8_192;
/// When first fit has failed for so many units of one part, the others are left to the planner.
const MOST_MISFITS: usize = 16;

/// Some units of one tier, for one bank, and where the targets of their members go.
struct Part<'b> {
    layout: &'b Layout<'b>,
    tier: &'b Tier,
    units: Span,
    targets: &'b mut [NodeSlot],
}

/// Which units. Members of single nodes stand node by node, those of wider units are listed unit by unit.
#[derive(Clone)]
enum Span {
    Nodes(Range<u32>),
    Units(Range<u32>),
}

/// What first fit came to, besides targets.
#[derive(Default)]
struct Fitted {
    /// Units that the planner must look at.
    open: Vec<UnitIx>,
    work: u64,
}

/// Fills all banks: a plan for every unit of a bank's tier; `None` once more than `tolerated` units of one bank have none.
///
/// First fit goes first, part by part, and looks at neither planner nor budget; what it leaves open is planned in order.
pub(crate) fn fill(
    setting: &Setting<'_>,
    banks: &[Bank],
    tolerated: usize,
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
    let ruled = setting.ties.tied.iter().any(|tied| *tied);
    let fit = |kernel: &mut Kernel, part: Part<'_>| {
        if is_cancelled() { Fitted::default() } else { kernel.fit_part(setting, ruled, part) }
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

/// The units of a tier in parts of about [`PART`] members, and how many targets each part has.
fn split(setting: &Setting<'_>, tier: &Tier) -> Vec<(Span, usize)> {
    let mut parts = Vec::new();
    let (mut first, mut members) = (0, 0);
    if tier.level == setting.cluster.levels.node_level() {
        let nodes = to_u32(setting.cluster.node_slots());
        for end in 1..=nodes {
            members = setting.field.start(NodeSlot(end)) - setting.field.start(NodeSlot(first));
            if members >= PART || end == nodes {
                parts.push((Span::Nodes(first..end), members));
                first = end;
            }
        }
        return parts;
    }
    first = tier.first;
    for unit in tier.units() {
        members += setting.units.nodes(unit).iter().map(|node| setting.field.at(*node).len()).sum::<usize>();
        if members >= PART || unit.0 + 1 == tier.end {
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

/// Plans the units of a bank that first fit has left open; `None` once more than `tolerated` have no plan.
fn plan_open(
    setting: &Setting<'_>,
    bank: &Bank,
    targets: IdVec<MemberIx, NodeSlot>,
    open: &[UnitIx],
    tolerated: usize,
    planner: &mut Planner,
    budget: &mut Budget<'_>,
) -> Result<Option<Filled>, Cancelled> {
    let mut filled = Filled { targets, failed: Vec::new() };
    let mut members = Vec::new();
    for unit in open {
        setting.field.of_unit(setting.units, *unit, &mut members);
        if by_planner(setting, bank, *unit, planner, budget, &members, &mut filled.targets)? {
            continue;
        }
        for member in &members {
            filled.targets[*member] = NOWHERE;
        }
        filled.failed.push(*unit);
        if filled.failed.len() > tolerated {
            return Ok(None);
        }
    }
    Ok(Some(filled))
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
    let mut places: Vec<(VmSlot, NodeSlot)> = planner.found_places().collect();
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

/// A bank's room side by side.
struct Layout<'b> {
    nodes: &'b [NodeSlot],
    free: Rows<PositionIx>,
    /// The component-wise maximum of each group.
    most: Rows<GroupIx>,
    /// The position of each node slot, if that is asked for.
    position_of: IdVec<NodeSlot, u32>,
}

/// Not in the bank.
const NO_POSITION: u32 = u32::MAX;

impl<'b> Layout<'b> {
    /// `limited`: whether members are limited in where they may go.
    fn new(cluster: &Cluster, bank: &'b Bank, limited: bool) -> Self {
        let kinds = cluster.kinds().len();
        let mut position_of = IdVec::new();
        if limited {
            position_of = IdVec::filled(NO_POSITION, cluster.node_slots());
            for (at, node) in (0..).zip(&bank.nodes) {
                position_of[*node] = at;
            }
        }
        let mut free: Rows<PositionIx> = Rows::new(kinds);
        let mut most: Rows<GroupIx> = Rows::new(kinds);
        most.reset(kinds, bank.nodes.len().div_ceil(GROUP));
        for (at, node) in bank.nodes.iter().enumerate() {
            let row = &cluster.free_rows()[*node];
            free.push(row);
            for (most, free) in most[GroupIx::from_index(at / GROUP)].iter_mut().zip(row) {
                *most = (*most).max(*free);
            }
        }
        Self { nodes: &bank.nodes, free, most, position_of }
    }

    fn position(&self, node: NodeSlot) -> Option<usize> {
        self.position_of.lookup(node).copied().filter(|at| *at != NO_POSITION).map(to_usize)
    }
}

/// The members of one unit, larger first, side by side.
struct Items<'i> {
    vms: &'i [VmSlot],
    need: &'i [u64],
    limited: &'i [bool],
}

/// First fit over one bank. What a unit takes of it is given back before the next.
struct Kernel {
    /// What is free at each position, less what the unit at hand has taken.
    left: Rows<PositionIx>,
    /// Where the unit at hand has taken something.
    taken: Vec<PositionIx>,
    /// The nodes that a limited member is limited to.
    few: Vec<NodeSlot>,
    work: u64,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { left: Rows::new(0), taken: Vec::new(), few: Vec::new(), work: 0 }
    }
}

impl Kernel {
    /// Finds plans for the units of a part. `ruled`: whether any member has a rule.
    fn fit_part(&mut self, setting: &Setting<'_>, ruled: bool, part: Part<'_>) -> Fitted {
        self.left.copy_from(&part.layout.free);
        self.work = 0;
        match setting.cluster.kinds().len() {
            2 => self.fit_units::<2>(setting, ruled, part),
            4 => self.fit_units::<4>(setting, ruled, part),
            _ => self.fit_units::<0>(setting, ruled, part),
        }
    }

    /// `WIDTH` as for [`Rows::row`].
    fn fit_units<const WIDTH: usize>(&mut self, setting: &Setting<'_>, ruled: bool, part: Part<'_>) -> Fitted {
        let Part { layout, tier, units, targets } = part;
        let field = setting.field;
        let mut fitted = Fitted::default();
        let mut misfits = 0;
        let mut rest = targets;
        let mut enter = |this: &mut Self, unit: UnitIx, items: &Items<'_>, tied: bool| {
            let (targets, behind) = core::mem::take(&mut rest).split_at_mut(items.vms.len());
            rest = behind;
            if items.vms.is_empty() {
                return;
            }
            if tied || misfits == MOST_MISFITS {
                fitted.open.push(unit);
            } else if !this.first_fit::<WIDTH>(setting, layout, tier, unit, items, targets) {
                misfits += 1;
                fitted.open.push(unit);
            }
        };
        match units {
            Span::Nodes(nodes) => {
                for node in nodes.map(NodeSlot) {
                    let range = field.start(node)..field.start(NodeSlot(node.0 + 1));
                    let tied =
                        ruled && setting.ties.tied.as_slice().get(range.clone()).is_some_and(|all| all.contains(&true));
                    enter(self, tier.unit_of[node], &field.slice(range), tied);
                }
            }
            Span::Units(units) => {
                let mut members = Vec::new();
                let (mut vms, mut need, mut limited) = (Vec::new(), Vec::new(), Vec::new());
                for unit in units.map(UnitIx) {
                    field.of_unit(setting.units, unit, &mut members);
                    vms.clear();
                    need.clear();
                    limited.clear();
                    for member in &members {
                        vms.push(field.vms[*member]);
                        need.extend_from_slice(field.need.row::<WIDTH>(*member));
                        limited.push(field.limited[*member]);
                    }
                    let items = Items { vms: &vms, need: &need, limited: &limited };
                    enter(self, unit, &items, ruled && setting.ties.any_tied(&members));
                }
            }
        }
        fitted.work = core::mem::take(&mut self.work);
        fitted
    }

    /// Puts every item on the first position that takes it; `false` if one finds none.
    fn first_fit<const WIDTH: usize>(
        &mut self,
        setting: &Setting<'_>,
        layout: &Layout<'_>,
        tier: &Tier,
        unit: UnitIx,
        items: &Items<'_>,
        targets: &mut [NodeSlot],
    ) -> bool {
        let width = if WIDTH == 0 { self.left.width() } else { WIDTH };
        let outside = |node: NodeSlot| tier.unit_of[node] != unit;
        let mut complete = true;
        // Where the last item went, and what it needed: one of the same need finds nothing before.
        let mut last = 0;
        let mut last_need: &[u64] = &[];
        let needs = items.need.chunks_exact(width.max(1));
        for (((need, vm), limited), target) in needs.zip(items.vms).zip(items.limited).zip(targets) {
            let same = last_need.len() == need.len() && need.iter().zip(last_need).all(|(one, other)| one == other);
            let from = if same { last } else { 0 };
            let found = if *limited && may_run_on_few(setting.cluster, *vm, &mut self.few) {
                self.work += u64::from(to_u32(self.few.len()));
                let few = self.few.iter().filter_map(|node| Some((layout.position(*node)?, *node)));
                few.filter(|(position, node)| {
                    fits(need, self.left.row::<WIDTH>(PositionIx::from_index(*position)))
                        && outside(*node)
                        && may_run_on(setting.cluster, *vm, *node)
                })
                .min()
            } else if *limited {
                let may_run = |node: NodeSlot| outside(node) && may_run_on(setting.cluster, *vm, node);
                self.search::<WIDTH>(layout, need, from, may_run)
            } else {
                self.search::<WIDTH>(layout, need, from, outside)
            };
            let Some((position, node)) = found else {
                complete = false;
                break;
            };
            let here = PositionIx::from_index(position);
            for (left, need) in self.left.row_mut::<WIDTH>(here).iter_mut().zip(need) {
                *left -= need;
            }
            self.taken.push(here);
            *target = node;
            if !*limited {
                (last, last_need) = (position, need);
            }
        }
        for here in self.taken.drain(..) {
            self.left.row_mut::<WIDTH>(here).copy_from_slice(layout.free.row::<WIDTH>(here));
        }
        complete
    }

    /// The first position from `from` on that has the room and that `accepts` takes.
    #[inline]
    fn search<const WIDTH: usize>(
        &mut self,
        layout: &Layout<'_>,
        need: &[u64],
        from: usize,
        accepts: impl Fn(NodeSlot) -> bool,
    ) -> Option<(usize, NodeSlot)> {
        let mut position = from;
        while position < layout.nodes.len() {
            self.work += 1;
            let group = position / GROUP;
            let end = ((group + 1) * GROUP).min(layout.nodes.len());
            if fits(need, layout.most.row::<WIDTH>(GroupIx::from_index(group))) {
                let nodes = layout.nodes.get(position..end).unwrap_or_default();
                for (at, node) in (position..).zip(nodes) {
                    if fits(need, self.left.row::<WIDTH>(PositionIx::from_index(at))) && accepts(*node) {
                        return Some((at, *node));
                    }
                }
            }
            position = end;
        }
        None
    }
}

impl Field {
    /// Members that stand side by side.
    fn slice(&self, range: Range<usize>) -> Items<'_> {
        let width = self.need.width();
        Items {
            vms: self.vms.as_slice().get(range.clone()).unwrap_or_default(),
            need: self.need.cells().get(range.start * width..range.end * width).unwrap_or_default(),
            limited: self.limited.as_slice().get(range).unwrap_or_default(),
        }
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
