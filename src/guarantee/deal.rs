//! Dealing targets to banks.
//!
//! Uses `cluster`, `guarantee::{units, field, bonds}`. Used by `guarantee::verify`, which has `banks` fill them.
//!
//! **The data's path.** [`Deals`] looks for bonds, and splits the targets into as many disjoint banks per tier as let every
//! loss find one: targets that share a domain of a level that matters stay together (an *atom*), and atoms are dealt, those
//! with most room first, to the bank that has least for what it must take; where labels or `confine` limit VMs, each sort of
//! atom evenly. It needs to know of the members no more than their sums, so that it can be done while they are listed. Where
//! one deal cannot be filled for want of places for some members (`scarce`), it is dealt [`again`](Deals::again), the targets
//! that could take those one by one to the banks that have fewest of them; and then there may be another way to deal.

#![expect(clippy::arithmetic_side_effects, reason = "INVARIANT: counts are below 2^31; shares are u128")]

use super::banks::Bank;
use super::bonds::Bonds;
use super::field::Census;
use super::fit::Layout;
use super::scarce::Wanted;
use super::units::{UnitIx, Units};
use crate::cluster::{Cluster, RuleBody};
use crate::dense::{IdVec, to_u32, to_usize};
use crate::ids::{DomainKey, LevelIx, NodeSlot, VmSlot};
use crate::restart::Concern;
use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Ways to deal, one after the other. Where `separate` rules speak of a wider level than nodes, its domains are painted
/// (`bonds`), which leaves members fewer places, or else may each lie in one bank, which makes banks coarse.
pub(super) struct Deals<'d> {
    pub(super) cluster: &'d Cluster,
    units: &'d Units,
    concern: &'d Concern,
    /// Set when nobody wants a deal any more.
    unwanted: &'d AtomicBool,
    /// The deal at hand; none if there are no more ways, or if bulk proofs do not apply.
    pub(super) banks: Option<Vec<Bank>>,
    /// The bonds that it keeps to.
    pub(super) bonds: Option<Bonds>,
    /// How room is shared out in it.
    share: Shares,
    /// How room can be shared out with these bonds, as far as it has not been tried.
    shares: &'static [Shares],
    /// Which levels' domains are kept in one bank each.
    kept_whole: Respected,
    /// Which may be, as far as that has not been tried.
    respected: &'static [Respected],
}

/// Levels of which no domain meets two banks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Respected {
    /// Those of the class.
    OfTiers,
    /// Those of `separate` rules, too.
    OfRules,
}

impl<'d> Deals<'d> {
    /// No deal yet.
    pub(super) fn new(cluster: &'d Cluster, units: &'d Units, concern: &'d Concern, unwanted: &'d AtomicBool) -> Self {
        let respected = &[Respected::OfTiers, Respected::OfRules];
        let (share, kept_whole) = (Shares::Needed, Respected::OfTiers);
        Self { cluster, units, concern, unwanted, banks: None, bonds: None, share, shares: &[], kept_whole, respected }
    }

    /// Goes on to the next way to deal.
    pub(super) fn deal(&mut self, census: &Census) {
        self.banks = self.next(census);
    }

    /// Makes the bonds at hand anew, so that these members, sorted, have places.
    pub(super) fn repaint(&mut self, scarce: &[VmSlot]) {
        self.bonds = self.new_bonds(scarce);
    }

    fn new_bonds(&self, scarce: &[VmSlot]) -> Option<Bonds> {
        let of_tiers = |level: LevelIx| self.units.tiers.iter().any(|tier| tier.level == level);
        let is_respected = |level: LevelIx| self.kept_whole == Respected::OfRules || of_tiers(level);
        Bonds::new(self.cluster, self.units, self.concern, &is_respected, scarce, self.unwanted)
    }

    /// Deals the same way again, so that banks get what is wanted. `cluster`, `census`: without what has been set aside.
    pub(super) fn again(&mut self, cluster: &Cluster, census: &Census, wanted: &[Wanted]) {
        let again = |bonds| deal(cluster, self.units, census, bonds, self.share, wanted);
        self.banks = self.bonds.as_ref().and_then(again);
    }

    fn next(&mut self, census: &Census) -> Option<Vec<Bank>> {
        while !self.unwanted.load(Relaxed) {
            if let (Some(bonds), [shares, others @ ..]) = (&self.bonds, self.shares) {
                (self.share, self.shares) = (*shares, others);
                let dealt = deal(self.cluster, self.units, census, bonds, self.share, &[]);
                if dealt.is_some() {
                    return dealt;
                }
                // There are too few atoms, however room is shared out.
                self.shares = &[];
                continue;
            }
            let [respected, others @ ..] = self.respected else { return None };
            (self.kept_whole, self.respected) = (*respected, others);
            let Some(bonds) = self.new_bonds(&[]) else { continue };
            let levels = |bonds: &Bonds| bonds.levels(self.cluster);
            if self.bonds.as_ref().map(levels) == Some(levels(&bonds)) {
                return None;
            }
            self.shares = match (self.units.tiers.len(), bonds.is_empty()) {
                (0 | 1, _) => &[Shares::Needed],
                (_, true) => &[Shares::Needed, Shares::Evened],
                (_, false) => &[Shares::Evened, Shares::Needed],
            };
            self.bonds = Some(bonds);
        }
        None
    }
}

/// Splits the targets into the banks that a proof in bulk needs, such that no domain of the bonds' levels meets two of them;
/// `None` if it does not apply: there are fewer atoms than banks.
fn deal(
    cluster: &Cluster,
    units: &Units,
    census: &Census,
    bonds: &Bonds,
    shares: Shares,
    scarce: &[Wanted],
) -> Option<Vec<Bank>> {
    let losses = units.losses();
    let wanted: u32 = units.tiers.iter().map(|tier| tier.count + losses - 1).sum();
    let mut banks: Vec<Dealt> = Vec::new();
    for (tier, needed) in tier_shares(cluster, units, census, shares).into_iter().enumerate() {
        let count = units.tiers.get(tier).map_or(0, |tier| tier.count + losses - 1);
        let dealt = || Dealt { room: 0, needed, of_sort: 0, tier, nodes: Vec::new() };
        banks.extend((0..count).map(|_| dealt()));
    }
    let bank = |Dealt { tier, nodes, .. }| Bank { tier, layout: Layout::new(cluster, nodes, census.any_limited()) };
    let done = |banks: Vec<Dealt>| Some(banks.into_iter().map(bank).collect());
    if census.members() == 0 {
        // Nothing to place: banks without nodes will do, however many it takes.
        return done(banks);
    }
    let targets: Vec<NodeSlot> = cluster.room_index().iter().collect();
    let holes = holes(cluster, &targets);
    if wanted <= 1 {
        for dealt in &mut banks {
            dealt.nodes.clone_from(&targets);
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
        let room = |atom: &[NodeSlot]| atom.iter().map(|node| holes[*node]).fold(0, u64::saturating_add);
        let sorts = sorts(cluster, census, bonds, &atoms, banks.len());
        let ranked = (0..).zip(&sorts).filter_map(|(at, sort)| Some(Rank::new(*sort, room(atoms.get(at)?), at)));
        let mut order: Vec<Rank> = ranked.collect();
        order.sort_unstable();
        for dealt in &mut banks {
            dealt.nodes.reserve(targets.len() / to_usize(wanted) + 1);
        }
        let given = give_wanted(&mut banks, &atoms, &order, scarce, cluster.node_slots());
        let even = banks.windows(2).all(
            |pair| matches!(pair, [left, right] if 2 * left.needed.min(right.needed) > left.needed.max(right.needed)),
        ) && sorts.iter().any(|sort| *sort > 0);
        let mut last = None;
        for rank in order.into_iter().filter(|rank| given.binary_search(&rank.atom()).is_err()) {
            if last.replace(rank.sort()) != Some(rank.sort()) {
                for dealt in &mut banks {
                    dealt.of_sort = 0;
                }
            }
            // Of several sorts, if all banks get about the same, the fewest of this one; then least room for its share, as a
            // fraction. An empty bank comes first, of equals the first.
            let poorest = banks.iter_mut().min_by(|left, right| {
                let by_sort = if even { left.of_sort.cmp(&right.of_sort) } else { Ordering::Equal };
                by_sort.then_with(|| left.by_room(right))
            });
            if let (Some(dealt), Some(atom)) = (poorest, atoms.get(rank.atom())) {
                dealt.give(atom, rank.room());
                dealt.of_sort += 1;
            }
        }
    }
    for dealt in &mut banks {
        dealt.nodes.sort_by_key(|node| Reverse(holes[*node]));
    }
    done(banks)
}

/// What banks of different tiers get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shares {
    /// In proportion to what the largest unit of the tier needs: the best for large units.
    Needed,
    /// Some times that, and the same part of what is left: the best where members have few places.
    Evened,
}

/// So many times what the largest unit needs a bank should get at least: holes are never of the right size.
const MARGIN: u128 = 3;

/// What a bank of each tier should get, against the others.
fn tier_shares(cluster: &Cluster, units: &Units, census: &Census, shares: Shares) -> Vec<u128> {
    const ALL: u128 = 1 << 30;
    if units.tiers.len() < 2 {
        return alloc::vec![1; units.tiers.len()];
    }
    let totals = free_in_all(cluster, cluster.room_index().iter());
    // The largest part of all that is free, over the kinds.
    let part = |unit: UnitIx| {
        let sum = |kind: usize| -> u128 {
            units.nodes(unit).iter().filter_map(|node| census.load[*node].get(kind)).map(|load| u128::from(*load)).sum()
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

/// When an atom is dealt: its sort, rare ones first; how much room it has, the most first; which it is. One number,
/// since many are to be sorted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(u128);

impl Rank {
    fn new(sort: u32, room: u64, atom: u32) -> Self {
        Self(u128::from(sort) << 96 | u128::from(!room) << 32 | u128::from(atom))
    }

    fn sort(self) -> u32 {
        u32::try_from(self.0 >> 96).unwrap_or(0)
    }

    fn room(self) -> u64 {
        !u64::try_from(self.0 >> 32 & u128::from(u64::MAX)).unwrap_or(0)
    }

    fn atom(self) -> u32 {
        u32::try_from(self.0 & u128::from(u32::MAX)).unwrap_or(0)
    }
}

/// A bank that atoms are dealt to.
struct Dealt {
    room: u128,
    /// What it should get, against the others.
    needed: u128,
    /// How many atoms of the sort at hand it has.
    of_sort: u32,
    tier: usize,
    nodes: Vec<NodeSlot>,
}

impl Dealt {
    /// Which has less room for its share, as a fraction.
    fn by_room(&self, other: &Self) -> Ordering {
        if self.needed == other.needed {
            return self.room.cmp(&other.room);
        }
        self.room.saturating_mul(other.needed).cmp(&other.room.saturating_mul(self.needed))
    }

    fn give(&mut self, atom: &[NodeSlot], weight: u64) {
        self.room += u128::from(weight.max(1));
        self.nodes.extend_from_slice(atom);
    }
}

/// Atoms of few places first: each goes to the bank that has fewest of its like, until every bank that should has its number or
/// there are no more. Returns which were dealt, sorted. `order`: of the atoms, each with its room.
fn give_wanted(banks: &mut [Dealt], atoms: &Atoms, order: &[Rank], wanted: &[Wanted], nodes: usize) -> Vec<u32> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut atom_of: IdVec<NodeSlot, u32> = IdVec::filled(u32::MAX, nodes);
    for at in 0..to_u32(atoms.len()) {
        atoms.get(at).into_iter().flatten().for_each(|node| atom_of[*node] = at);
    }
    let mut rank_of = alloc::vec![0_usize; atoms.len()];
    for (place, rank) in order.iter().enumerate() {
        if let Some(entry) = rank_of.get_mut(to_usize(rank.atom())) {
            *entry = place;
        }
    }
    let mut bank_of: Vec<Option<usize>> = alloc::vec![None; atoms.len()];
    for wanted in wanted {
        // Which atoms would do, by their places in the order.
        let rank = |node: &NodeSlot| rank_of.get(to_usize(atom_of[*node])).copied();
        let mut ranks: Vec<usize> = wanted.targets.iter().filter_map(rank).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let mut has = alloc::vec![0_u32; banks.len()];
        let mut left = Vec::new();
        for rank in ranks.iter().filter_map(|rank| order.get(*rank)) {
            match bank_of.get(to_usize(rank.atom())).copied().flatten().and_then(|bank| has.get_mut(bank)) {
                Some(count) => *count += 1,
                None => left.push((rank.room(), rank.atom())),
            }
        }
        for (weight, at) in left {
            let of_tier = banks.iter_mut().enumerate().zip(&mut has);
            let of_tier = of_tier.filter(|((_, dealt), count)| dealt.tier == wanted.tier && **count < wanted.each);
            let poorest = of_tier.min_by(|((_, left), of_left), ((_, right), of_right)| {
                of_left.cmp(of_right).then_with(|| left.by_room(right))
            });
            let (Some(((bank, dealt), count)), Some(atom)) = (poorest, atoms.get(at)) else { break };
            dealt.give(atom, weight);
            *count += 1;
            if let Some(entry) = bank_of.get_mut(to_usize(at)) {
                *entry = Some(bank);
            }
        }
    }
    (0..).zip(bank_of).filter_map(|(at, bank)| bank.map(|_| at)).collect()
}

/// In a domain with fewer targets per bank its holes are not dealt by themselves.
pub(super) const DOMAIN_SHARE: usize = 4;

/// Sorts of atoms, rare ones first. VMs that labels or `confine` rules limit to some nodes need such nodes in every bank, and
/// VMs with colours need holes of every size in the domains of their colours. Without such VMs all are of one sort.
fn sorts(cluster: &Cluster, census: &Census, bonds: &Bonds, atoms: &Atoms, banks: usize) -> Vec<u32> {
    let limited = census.any_limited();
    // Where domains have several targets per bank, on average.
    let are_large = |domains: u32| atoms.nodes.len() >= to_usize(domains) * banks * DOMAIN_SHARE;
    let painted: Vec<LevelIx> =
        bonds.painted().filter(|(_, domains)| are_large(*domains)).map(|(level, _)| level).collect();
    if !limited && painted.is_empty() {
        return alloc::vec![0; atoms.len()];
    }
    // Neither nothing nor a zero mixes to nothing.
    let mix = |mix: u64, with: u64| (mix.rotate_left(5) ^ with).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut marks: IdVec<NodeSlot, u64> = IdVec::filled(0, cluster.node_slots());
    if limited {
        for rule in cluster.rule_records().filter(|rule| rule.is_place()) {
            if let RuleBody::Place { inside: true, nodes, .. } = &rule.body {
                for node in nodes.iter() {
                    marks[node] = mix(marks[node], rule.key);
                }
            }
        }
    }
    // In the order of the slots, in which the records lie.
    for (node, mark) in (0..).map(NodeSlot).zip(marks.iter_mut()) {
        let labels = cluster.node_record(node).filter(|_| limited).map_or(&[][..], |record| &record.labels);
        let labels = labels.iter().map(|label| u64::from(label.0));
        let domains = painted.iter().map(|level| u64::from(cluster.levels.domain(*level, node).0));
        *mark = labels.chain(domains).fold(*mark, mix);
    }
    let mark_of = |at: u32| atoms.get(at).map_or(0, |atom| atom.iter().fold(0, |all, node| mix(all, marks[*node])));
    let (mut sorts, counts) = alike((0..to_u32(atoms.len())).map(mark_of));
    // Of equally rare ones those first whose first atom comes first.
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|sort| counts.get(*sort));
    let mut ranks = alloc::vec![0_u32; counts.len()];
    for (rank, sort) in (0..).zip(order) {
        if let Some(entry) = ranks.get_mut(sort) {
            *entry = rank;
        }
    }
    for sort in &mut sorts {
        *sort = ranks.get(to_usize(*sort)).copied().unwrap_or(0);
    }
    sorts
}

/// Numbers marks in the order in which they first come: the number of each, and how many there are of each number. With
/// a tree this would take longer than all else about sorts.
fn alike(marks: impl ExactSizeIterator<Item = u64>) -> (Vec<u32>, Vec<u32>) {
    const EMPTY: u32 = u32::MAX;
    let size = (2 * marks.len()).next_power_of_two().max(2);
    // Those met so far stand where a hash of theirs says, or next to it.
    let mut table: Vec<(u64, u32)> = alloc::vec![(0, EMPTY); size];
    let mut counts: Vec<u32> = Vec::new();
    let sort_of = |mark: u64| {
        let mut at = to_usize(u32::try_from(mark >> u32::BITS).unwrap_or(0));
        loop {
            at &= size - 1;
            let Some(entry) = table.get_mut(at) else { return 0 };
            if entry.1 == EMPTY {
                *entry = (mark, to_u32(counts.len()));
                counts.push(0);
            }
            if entry.0 == mark {
                if let Some(count) = counts.get_mut(to_usize(entry.1)) {
                    *count += 1;
                }
                return entry.1;
            }
            at += 1;
        }
    };
    (marks.map(sort_of).collect(), counts)
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
