//! The VMs of a verdict side by side: who is displaced by which unit, and what each needs.
//!
//! Uses `cluster`, `guarantee::units`, `restart` (whom a verdict concerns). Used by the provers of `guarantee`.
//!
//! A *member* is a protected VM that some failure of the class displaces, or that waits for a place already. Members
//! stand by home node, larger ones first, so that a unit's members are a slice; those without a home come last.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: counts of VMs and nodes are below 2^31; sums of needs fit u64 (the cluster checks it)"
)]

use super::units::{UnitIx, Units};
use crate::cluster::{Cluster, NO_HOME, RestartClass, SizeScale, VmFacts, VmTraits};
use crate::dense::{DenseId, IdVec, Rows, dense_id, fits, to_u32, to_usize};
use crate::ids::{NodeSlot, VmSlot};
use crate::parallel::Threads;
use crate::restart::Concern;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::sync::atomic::{AtomicBool, Ordering};

dense_id! {
    /// A member: a VM of the verdict.
    pub(crate) struct MemberIx;
}

/// What the members of each node need together: all that a refutation by sums reads, found in one pass.
#[derive(Debug)]
pub(crate) struct Census {
    /// Per node slot; behind the last node that of members without a home.
    pub(crate) load: Rows<NodeSlot>,
    /// Per kind the most that one of them needs.
    pub(crate) most: Vec<u64>,
    /// Those of them, by slot, that labels, allowed nodes, `confine` or `exclude` limit in where they may go.
    pub(crate) limited: Vec<VmSlot>,
    /// Per node slot where its members will begin; behind the last node those without a home, and the end.
    starts: IdVec<NodeSlot, u32>,
    /// The home that the members on each node slot count for.
    home_of: IdVec<NodeSlot, NodeSlot>,
}

impl Census {
    /// Whether one of them is limited in where it may go.
    pub(crate) fn any_limited(&self) -> bool {
        !self.limited.is_empty()
    }

    /// Whether a member waits for a place.
    pub(crate) fn has_homeless(&self) -> bool {
        let [.., homeless, end] = self.starts.as_slice() else { return false };
        homeless < end
    }
}

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) vms: IdVec<MemberIx, VmSlot>,
    pub(crate) need: Rows<MemberIx>,
    /// Whether labels, allowed nodes, `confine` or `exclude` limit where the member may go.
    pub(crate) limited: IdVec<MemberIx, bool>,
    pub(crate) census: Census,
    /// Units of more than one node: their members, larger first. Per unit of those tiers a range.
    wide: Vec<MemberIx>,
    wide_starts: IdVec<UnitIx, (u32, u32)>,
}

/// What members of one home are sorted by, and the slot. From the top: how small it is (30 bits), part of a hash of what it
/// needs (10), so that those of one need are side by side, part of a hash of its name (24). Beside it whether the VM is
/// limited in where it may go.
type SortKey = (u64, VmSlot, bool);

const NEED_BITS: u32 = 10;
const NAME_BITS: u32 = 24;

/// No VM.
const NOBODY: VmSlot = VmSlot(u32::MAX);

/// The VMs of so many homes are read at once.
const HOMES_AT_ONCE: u32 = 64;

/// What one thread looks at has at least so many VMs.
const PART: usize = 8_192;

impl Census {
    /// Takes the census.
    pub(crate) fn new(cluster: &Cluster, concern: &Concern, threads: Threads) -> Self {
        Self::beside(cluster, concern, threads, || ()).0
    }

    /// The same, while this thread does something else first.
    pub(crate) fn beside<B>(
        cluster: &Cluster,
        concern: &Concern,
        threads: Threads,
        beside: impl FnOnce() -> B,
    ) -> (Self, B) {
        match cluster.kinds().len() {
            2 => Self::of::<2, B>(cluster, concern, threads, beside),
            4 => Self::of::<4, B>(cluster, concern, threads, beside),
            _ => Self::of::<0, B>(cluster, concern, threads, beside),
        }
    }

    /// `WIDTH` as for [`Rows::row`].
    fn of<const WIDTH: usize, B>(
        cluster: &Cluster,
        concern: &Concern,
        threads: Threads,
        beside: impl FnOnce() -> B,
    ) -> (Self, B) {
        let (kinds, nodes) = (cluster.kinds().len(), cluster.node_slots());
        let home_of = homes_of(cluster);
        // Sums, of whatever parts.
        let each = cluster.all_facts().len().div_ceil(threads.count()).max(PART);
        let parts = cluster.all_facts().as_slice().chunks(each).enumerate().collect();
        let (summed, beside) = threads.map_beside(
            parts,
            || (),
            |(), (at, facts)| {
                let mut sums = Sums::new(kinds, nodes);
                each_of::<WIDTH>(cluster, concern, &home_of, (at * each, facts), |home, vm, facts, need| {
                    sums.enter::<WIDTH>(home, vm, facts, need);
                });
                sums
            },
            beside,
        );
        let mut sums = summed.into_iter().reduce(Sums::with).unwrap_or_else(|| Sums::new(kinds, nodes));
        each_homeless::<WIDTH>(cluster, concern, |home, vm, facts, need| sums.enter::<WIDTH>(home, vm, facts, need));
        let Sums { load, counts: mut starts, most, mut limited } = sums;
        limited.sort_unstable();
        let mut sum = 0;
        for count in starts.iter_mut() {
            sum += core::mem::replace(count, sum);
        }
        (Self { load, most, limited, starts, home_of }, beside)
    }

    /// Calls `visit` with the home of every member, the member, what is known of it and what it needs. `WIDTH` as for
    /// [`Rows::row`].
    #[inline]
    pub(crate) fn each_member<const WIDTH: usize>(
        &self,
        cluster: &Cluster,
        concern: &Concern,
        visit: impl FnMut(NodeSlot, VmSlot, VmFacts, &[u64]),
    ) {
        each_member::<WIDTH>(cluster, concern, &self.home_of, visit);
    }

    /// How many of them count for a home.
    pub(crate) fn count(&self, home: NodeSlot) -> u32 {
        self.starts[NodeSlot(home.0 + 1)] - self.starts[home]
    }

    /// How many members there are.
    pub(crate) fn members(&self) -> usize {
        self.starts.iter().next_back().map_or(0, |end| to_usize(*end))
    }
}

/// What a census adds up, over some of the VMs.
struct Sums {
    load: Rows<NodeSlot>,
    counts: IdVec<NodeSlot, u32>,
    most: Vec<u64>,
    limited: Vec<VmSlot>,
}

impl Sums {
    fn new(kinds: usize, nodes: usize) -> Self {
        let mut load = Rows::new(kinds);
        load.reset(kinds, nodes + 1);
        Self { load, counts: IdVec::filled(0, nodes + 2), most: alloc::vec![0; kinds], limited: Vec::new() }
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "otherwise a tenth more instructions of a class that is refuted outright")]
    fn enter<const WIDTH: usize>(&mut self, home: NodeSlot, vm: VmSlot, facts: VmFacts, need: &[u64]) {
        self.counts[home] += 1;
        for (load, need) in self.load.row_mut::<WIDTH>(home).iter_mut().zip(need) {
            *load += need;
        }
        // Seldom written, they do not hold up the next VM.
        if !fits(need, &self.most) {
            self.most.iter_mut().zip(need).for_each(|(most, need)| *most = (*most).max(*need));
        }
        if are_limits(facts.traits) {
            self.note_limited(vm);
        }
    }

    /// Not a part of the loop that calls it: most members are not limited.
    #[cold]
    #[inline(never)]
    fn note_limited(&mut self, vm: VmSlot) {
        self.limited.push(vm);
    }

    fn with(mut self, other: Self) -> Self {
        self.load.cells_mut().iter_mut().zip(other.load.cells()).for_each(|(sum, load)| *sum += load);
        self.counts.iter_mut().zip(other.counts.iter()).for_each(|(sum, count)| *sum += count);
        self.most.iter_mut().zip(other.most).for_each(|(most, need)| *most = (*most).max(need));
        self.limited.extend(other.limited);
        self
    }
}

/// The home that the VMs on each node count for. Those on nodes that count as lost wait for a place, as do those without a node:
/// behind the last node.
pub(crate) fn homes_of(cluster: &Cluster) -> IdVec<NodeSlot, NodeSlot> {
    let nodes = cluster.node_slots();
    let mut home_of: IdVec<NodeSlot, NodeSlot> = (0..nodes).map(NodeSlot::from_index).collect();
    for node in cluster.down_nodes().iter().chain(cluster.unreachable_nodes()) {
        home_of[*node] = NodeSlot::from_index(nodes);
    }
    home_of
}

/// See [`Census::each_member`]. `home_of`: see [`homes_of`].
#[inline]
pub(crate) fn each_member<const WIDTH: usize>(
    cluster: &Cluster,
    concern: &Concern,
    home_of: &IdVec<NodeSlot, NodeSlot>,
    mut visit: impl FnMut(NodeSlot, VmSlot, VmFacts, &[u64]),
) {
    each_of::<WIDTH>(cluster, concern, home_of, (0, cluster.all_facts().as_slice()), &mut visit);
    each_homeless::<WIDTH>(cluster, concern, visit);
}

/// The members with a node among the VMs with these facts, from this slot on.
#[inline]
fn each_of<const WIDTH: usize>(
    cluster: &Cluster,
    concern: &Concern,
    home_of: &IdVec<NodeSlot, NodeSlot>,
    (first, facts): (usize, &[VmFacts]),
    mut visit: impl FnMut(NodeSlot, VmSlot, VmFacts, &[u64]),
) {
    let rows = cluster.restart_rows();
    // Asked once: a tenth of all instructions of a class that is refuted outright.
    let all_protected = concern.min_priority.is_none() && concern.left_out.is_empty();
    for (vm, facts) in (first..).map(VmSlot::from_index).zip(facts) {
        let is_protected = facts.home != NO_HOME && facts.restart == RestartClass::Protected;
        if is_protected && (all_protected || concern.includes_one_of((facts.restart, facts.priority), vm)) {
            visit(home_of[facts.home], vm, *facts, rows.row::<WIDTH>(vm));
        }
    }
}

/// The members without a node.
#[inline]
fn each_homeless<const WIDTH: usize>(
    cluster: &Cluster,
    concern: &Concern,
    mut visit: impl FnMut(NodeSlot, VmSlot, VmFacts, &[u64]),
) {
    let nowhere = NodeSlot::from_index(cluster.node_slots());
    for vm in cluster.homeless().iter().filter(|vm| concern.includes(cluster, **vm)) {
        visit(nowhere, *vm, cluster.facts(*vm), cluster.restart_rows().row::<WIDTH>(*vm));
    }
}

/// Members of some homes, one after the other, and where what is kept of them goes.
struct Part<'f> {
    first: NodeSlot,
    end: NodeSlot,
    vms: &'f mut [VmSlot],
    need: &'f mut [u64],
    limited: &'f mut [bool],
}

impl Field {
    /// Lists the members.
    pub(crate) fn new(cluster: &Cluster, units: &Units, concern: &Concern, census: Census, threads: Threads) -> Self {
        Self::beside(cluster, units, concern, census, threads, |_| ()).0
    }

    /// The same, while this thread does something else first.
    pub(crate) fn beside<B>(
        cluster: &Cluster,
        units: &Units,
        concern: &Concern,
        census: Census,
        threads: Threads,
        beside: impl FnOnce(&Census) -> B,
    ) -> (Self, B) {
        let unwanted = AtomicBool::new(false);
        let Ok((field, (), besides)) =
            Self::list(cluster, units, concern, census, threads, &unwanted, |_| Ok::<_, Infallible>(()), beside);
        (field, besides)
    }

    /// The same. What is looked for first can say that nothing else is wanted: then that is `unwanted`. It is looked
    /// for, if there are several threads, by another than this one, which does something else first.
    #[expect(clippy::too_many_arguments, reason = "the parts of a verdict, borrowed one by one")]
    pub(crate) fn unless<L: Send, E: Send, B>(
        cluster: &Cluster,
        units: &Units,
        concern: &Concern,
        census: Census,
        threads: Threads,
        unwanted: &AtomicBool,
        look: impl FnOnce(&Census) -> Result<L, E> + Send,
        beside: impl FnOnce(&Census) -> B,
    ) -> Result<(Self, L, B), E> {
        if threads == Threads::ONE {
            // Nothing is listed before it is known to be wanted.
            let found = look(&census)?;
            let (field, besides) = Self::beside(cluster, units, concern, census, threads, beside);
            return Ok((field, found, besides));
        }
        Self::list(cluster, units, concern, census, threads, unwanted, look, beside)
    }

    /// Looks and lists the members until they are `unwanted`, while this thread does something else first.
    #[expect(clippy::too_many_arguments, reason = "the parts of a verdict, borrowed one by one")]
    fn list<L: Send, E: Send, B>(
        cluster: &Cluster,
        units: &Units,
        concern: &Concern,
        census: Census,
        threads: Threads,
        unwanted: &AtomicBool,
        look: impl FnOnce(&Census) -> Result<L, E> + Send,
        beside: impl FnOnce(&Census) -> B,
    ) -> Result<(Self, L, B), E> {
        let kinds = cluster.kinds().len();
        let members = census.members();
        let mut scales = Vec::new();
        cluster.size_scales(&mut scales);
        let mut vms = IdVec::filled(VmSlot(0), members);
        let mut need = Rows::new(kinds);
        need.reset(kinds, members);
        let mut limited = IdVec::filled(false, members);
        let parts = split(&census.starts, kinds, threads, vms.as_mut_slice(), need.cells_mut(), limited.as_mut_slice());
        let wide: Vec<UnitIx> =
            (0..units.len()).map(UnitIx::from_index).filter(|unit| units.nodes(*unit).len() > 1).collect();
        let view =
            View { cluster, concern, starts: &census.starts, home_of: &census.home_of, scales: &scales, unwanted };
        let (keys, found, besides) = threads.map_after(
            parts,
            || (),
            |(), part| match kinds {
                2 => part.enter::<2>(&view, !wide.is_empty()),
                4 => part.enter::<4>(&view, !wide.is_empty()),
                _ => part.enter::<0>(&view, !wide.is_empty()),
            },
            || look(&census).inspect_err(|_| unwanted.store(true, Ordering::Relaxed)),
            || beside(&census),
        );
        let found = found?;
        let wide_starts = IdVec::filled((0, 0), units.len());
        let mut field = Self { vms, need, limited, census, wide: Vec::new(), wide_starts };
        if !wide.is_empty() {
            field.enter_wide(cluster, units, &wide, keys, threads);
        }
        Ok((field, found, besides))
    }

    /// Lists the members of wide units. `keys`: those of all members, part by part.
    fn enter_wide(
        &mut self,
        cluster: &Cluster,
        units: &Units,
        wide: &[UnitIx],
        keys: Vec<Vec<SortKey>>,
        threads: Threads,
    ) {
        let keys = match <[_; 1]>::try_from(keys) {
            Ok([keys]) => keys,
            Err(parts) => parts.concat(),
        };
        let field = &*self;
        let sorted = threads.map(wide.chunks(16).collect(), Vec::new, |sorted: &mut Vec<(SortKey, MemberIx)>, part| {
            let mut lists: Vec<MemberIx> = Vec::new();
            let mut ends: Vec<usize> = Vec::new();
            for unit in part {
                sorted.clear();
                for member in units.nodes(*unit).iter().flat_map(|node| field.at(*node)) {
                    sorted.push((keys.get(member.index()).copied().unwrap_or((0, VmSlot(0), false)), member));
                }
                sorted.sort_unstable_by(|left, right| compare(cluster, left.0, right.0));
                lists.extend(sorted.iter().map(|(_, member)| *member));
                ends.push(lists.len());
            }
            (lists, ends)
        });
        let mut wide = wide.iter();
        for (lists, ends) in sorted {
            let before = self.wide.len();
            self.wide.extend(lists);
            let mut first = before;
            for (end, unit) in ends.into_iter().zip(&mut wide) {
                self.wide_starts[*unit] = (to_u32(first), to_u32(before + end));
                first = before + end;
            }
        }
    }

    /// The members whose home is a node, larger first.
    #[inline]
    pub(crate) fn at(&self, node: NodeSlot) -> impl ExactSizeIterator<Item = MemberIx> + use<> {
        (self.census.starts[node]..self.census.starts[NodeSlot(node.0 + 1)]).map(MemberIx)
    }

    /// The members without a home: displaced in every scenario.
    pub(crate) fn homeless(&self) -> impl ExactSizeIterator<Item = MemberIx> + use<> {
        self.at(NodeSlot::from_index(self.census.starts.len() - 2))
    }

    /// Where the members of a home begin; behind the last home, where those of the last one end.
    pub(crate) fn start(&self, home: NodeSlot) -> usize {
        to_usize(self.census.starts[home])
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
        for node in (0..self.census.starts.len() - 2).map(NodeSlot::from_index) {
            for member in self.at(node) {
                homes[member] = Some(node);
            }
        }
        homes
    }
}

/// What every part reads.
struct View<'v> {
    cluster: &'v Cluster,
    concern: &'v Concern,
    starts: &'v IdVec<NodeSlot, u32>,
    home_of: &'v IdVec<NodeSlot, NodeSlot>,
    scales: &'v [SizeScale],
    unwanted: &'v AtomicBool,
}

impl View<'_> {
    /// The VMs that count for a home, members or not.
    fn residents_of(&self, home: NodeSlot, vms: &mut Vec<VmSlot>) {
        let cluster = self.cluster;
        let residents = |node: NodeSlot| cluster.node_record(node).map_or(&[][..], |record| &record.residents);
        if home.index() == cluster.node_slots() {
            let lost = cluster.down_nodes().iter().chain(cluster.unreachable_nodes());
            lost.for_each(|node| vms.extend_from_slice(residents(*node)));
            vms.extend_from_slice(cluster.homeless());
        } else if self.home_of[home] == home {
            vms.extend_from_slice(residents(home));
        }
    }

    /// What a VM is sorted by; of one that is no member that of [`NOBODY`]: so that nothing waits for what decides that.
    #[inline]
    fn key<const WIDTH: usize>(&self, vm: VmSlot) -> SortKey {
        let facts = self.cluster.facts(vm);
        let counts = self.concern.includes_one_of((facts.restart, facts.priority), vm);
        let need = self.cluster.restart_rows().row::<WIDTH>(vm);
        let size = need.iter().zip(self.scales).map(|(amount, scale)| scale.size(*amount)).max().unwrap_or(0);
        let mix = need.iter().fold(0_u64, |mix, amount| (mix ^ amount).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let large = ((1_u64 << SizeScale::BITS) - 1).saturating_sub(size);
        let alike = mix >> (u64::BITS - NEED_BITS);
        let name = facts.key >> (u32::BITS - NAME_BITS);
        let key = ((large << NEED_BITS | alike) << NAME_BITS) | u64::from(name);
        (key, if counts { vm } else { NOBODY }, are_limits(facts.traits))
    }
}

/// Whole homes for each thread, with about as many members.
fn split<'f>(
    starts: &IdVec<NodeSlot, u32>,
    kinds: usize,
    threads: Threads,
    mut vms: &'f mut [VmSlot],
    mut need: &'f mut [u64],
    mut limited: &'f mut [bool],
) -> Vec<Part<'f>> {
    let mut parts = Vec::new();
    let (mut first, mut taken) = (NodeSlot(0), 0);
    let homes = starts.len() - 1;
    // Several for each, as some take longer than others.
    let wanted = if threads == Threads::ONE { 1 } else { 16 * threads.count() };
    let each = vms.len().div_ceil(wanted).max(PART / 4);
    for end in (1..=homes).map(NodeSlot::from_index) {
        let count = to_usize(starts[end]) - taken;
        if count < each && end.index() < homes {
            continue;
        }
        // INVARIANT: the slices are as long as there are members.
        let (part_vms, rest_vms) = core::mem::take(&mut vms).split_at_mut(count);
        let (part_need, rest_need) = core::mem::take(&mut need).split_at_mut(count * kinds);
        let (part_limited, rest_limited) = core::mem::take(&mut limited).split_at_mut(count);
        (vms, need, limited) = (rest_vms, rest_need, rest_limited);
        parts.push(Part { first, end, vms: part_vms, need: part_need, limited: part_limited });
        (first, taken) = (end, taken + count);
    }
    parts
}

impl Part<'_> {
    /// Lists the members of each home, sorted. If they are to be kept, their keys in that order.
    fn enter<const WIDTH: usize>(self, view: &View<'_>, keep: bool) -> Vec<SortKey> {
        let rows = view.cluster.restart_rows();
        let width = if WIDTH == 0 { view.cluster.kinds().len().max(1) } else { WIDTH };
        let mut kept = Vec::with_capacity(if keep { self.vms.len() } else { 0 });
        let (mut vms, mut keys) = (Vec::new(), Vec::new());
        let mut places = self.vms.iter_mut().zip(self.need.chunks_exact_mut(width)).zip(self.limited);
        let mut first = self.first;
        while first < self.end && !view.unwanted.load(Ordering::Relaxed) {
            let end = NodeSlot((first.0 + HOMES_AT_ONCE).min(self.end.0));
            // What is read waits for memory: for many homes at once, if nothing else is done between.
            vms.clear();
            (first.0..end.0).for_each(|home| view.residents_of(NodeSlot(home), &mut vms));
            keys.clear();
            keys.extend(vms.iter().map(|vm| view.key::<WIDTH>(*vm)));
            keys.retain(|(_, vm, _)| *vm != NOBODY);
            let before = view.starts[first];
            for home in (first.0..end.0).map(NodeSlot) {
                let range = to_usize(view.starts[home] - before)..to_usize(view.starts[NodeSlot(home.0 + 1)] - before);
                let keys = keys.get_mut(range).unwrap_or_default();
                keys.sort_unstable_by_key(|(key, ..)| *key);
                settle_ties(view.cluster, keys);
            }
            debug_assert_eq!(
                keys.len(),
                to_usize(view.starts[end] - before),
                "INVARIANT: the census has counted the same VMs"
            );
            for ((_, vm, is_limited), ((entry, row), limited)) in keys.iter().zip(&mut places) {
                *entry = *vm;
                row.copy_from_slice(rows.row::<WIDTH>(*vm));
                *limited = *is_limited;
            }
            if keep {
                kept.extend_from_slice(&keys);
            }
            first = end;
        }
        kept
    }
}

/// The order of two keys. Of two VMs alike in what the key holds the whole hash of the name decides, so that the order
/// depends on names alone.
fn compare(cluster: &Cluster, left: SortKey, right: SortKey) -> core::cmp::Ordering {
    let name = |key: SortKey| cluster.vm_record(key.1).map(|record| record.key);
    left.0.cmp(&right.0).then_with(|| name(left).cmp(&name(right))).then(left.1.cmp(&right.1))
}

/// Brings sorted keys that only slots tell apart into the order of the names.
fn settle_ties(cluster: &Cluster, keys: &mut [SortKey]) {
    let alike = |pair: &[SortKey]| matches!(pair, [left, right] if left.0 == right.0);
    if keys.windows(2).any(alike) {
        keys.sort_unstable_by(|left, right| compare(cluster, *left, *right));
    }
}

/// Whether labels, allowed nodes, `confine` or `exclude` limit where a VM may go.
#[inline]
pub(crate) fn is_limited(cluster: &Cluster, vm: VmSlot) -> bool {
    are_limits(cluster.facts(vm).traits)
}

/// The same, of a VM with these traits.
#[inline]
pub(crate) const fn are_limits(traits: VmTraits) -> bool {
    traits.any(VmTraits::LIMITS.with(VmTraits::PLACED))
}
