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
use crate::cluster::{Cluster, NO_HOME, SizeScale, VmTraits};
use crate::dense::{DenseId, IdVec, Rows, dense_id, to_u32, to_usize};
use crate::ids::{NodeSlot, VmSlot};
use crate::parallel::Threads;
use crate::restart::Concern;
use alloc::vec::Vec;

dense_id! {
    /// A member: a VM of the verdict.
    pub(crate) struct MemberIx;
}

/// What the members of each node need together: all that a refutation by sums reads, found in one pass.
#[derive(Debug)]
pub(crate) struct Census {
    /// Per node slot; behind the last node that of members without a home.
    pub(crate) load: Rows<NodeSlot>,
    /// Per node slot where its members will begin; behind the last node those without a home, and the end.
    starts: IdVec<NodeSlot, u32>,
    /// The home that the members on each node slot count for.
    home_of: IdVec<NodeSlot, NodeSlot>,
}

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) vms: IdVec<MemberIx, VmSlot>,
    pub(crate) need: Rows<MemberIx>,
    /// Whether labels, allowed nodes, `confine` or `exclude` limit where the member may go.
    pub(crate) limited: IdVec<MemberIx, bool>,
    /// What the members of each node need together; behind the last node those without a home.
    pub(crate) load: Rows<NodeSlot>,
    /// Per node slot where its members begin; behind the last node those without a home.
    starts: IdVec<NodeSlot, u32>,
    /// Units of more than one node: their members, larger first. Per unit of those tiers a range.
    wide: Vec<MemberIx>,
    wide_starts: IdVec<UnitIx, (u32, u32)>,
}

/// What members of one home are sorted by, and the slot. From the top: how small it is (30 bits), part of a hash of what it
/// needs (10), so that those of one need are side by side, part of a hash of its name (24).
type SortKey = (u64, VmSlot);

const NEED_BITS: u32 = 10;
const NAME_BITS: u32 = 24;

/// A part of the members that one thread sorts has at least so many.
const PART: usize = 8_192;

impl Census {
    pub(crate) fn new(cluster: &Cluster, concern: &Concern) -> Self {
        match cluster.kinds().len() {
            2 => Self::of::<2>(cluster, concern),
            4 => Self::of::<4>(cluster, concern),
            _ => Self::of::<0>(cluster, concern),
        }
    }

    /// `WIDTH` as for [`Rows::row`].
    fn of<const WIDTH: usize>(cluster: &Cluster, concern: &Concern) -> Self {
        let nodes = cluster.node_slots();
        let nowhere = NodeSlot::from_index(nodes);
        let mut load = Rows::new(cluster.kinds().len());
        load.reset(cluster.kinds().len(), nodes + 1);
        let mut home_of: IdVec<NodeSlot, NodeSlot> = (0..nodes).map(NodeSlot::from_index).collect();
        // VMs on nodes that count as lost wait for a place, as do those without a node.
        for node in cluster.down_nodes().iter().chain(cluster.unreachable_nodes()) {
            home_of[*node] = nowhere;
        }
        let mut counts: IdVec<NodeSlot, u32> = IdVec::filled(0, nodes + 2);
        let mut enter = |home: NodeSlot, vm: VmSlot| {
            counts[home] += 1;
            let need = cluster.restart_rows().row::<WIDTH>(vm);
            for (load, need) in load.row_mut::<WIDTH>(home).iter_mut().zip(need) {
                *load += need;
            }
        };
        for (vm, facts) in cluster.all_facts().enumerate() {
            if facts.home != NO_HOME && concern.includes_one_of((facts.restart, facts.priority), vm) {
                enter(home_of[facts.home], vm);
            }
        }
        for vm in cluster.homeless().iter().filter(|vm| concern.includes(cluster, **vm)) {
            enter(nowhere, *vm);
        }
        let mut sum = 0;
        for count in counts.iter_mut() {
            sum += core::mem::replace(count, sum);
        }
        Self { load, starts: counts, home_of }
    }

    /// How many members there are.
    pub(crate) fn members(&self) -> usize {
        self.starts.iter().next_back().map_or(0, |end| to_usize(*end))
    }
}

/// Members of some homes, one after the other, and where what is kept of them goes.
struct Part<'f> {
    first: NodeSlot,
    end: NodeSlot,
    keys: &'f mut [SortKey],
    vms: &'f mut [VmSlot],
    need: &'f mut [u64],
    limited: &'f mut [bool],
}

impl Field {
    pub(crate) fn new(cluster: &Cluster, units: &Units, concern: &Concern, census: Census, threads: Threads) -> Self {
        let kinds = cluster.kinds().len();
        let members = census.members();
        let mut keys: Vec<SortKey> = alloc::vec![(0, VmSlot(0)); members];
        let mut scales = Vec::new();
        cluster.size_scales(&mut scales);
        let mut field = Self {
            vms: IdVec::filled(VmSlot(0), members),
            need: Rows::new(kinds),
            limited: IdVec::filled(false, members),
            load: census.load,
            starts: census.starts,
            wide: Vec::new(),
            wide_starts: IdVec::new(),
        };
        field.need.reset(kinds, members);
        let parts = split(
            &field.starts,
            kinds,
            &mut keys,
            field.vms.as_mut_slice(),
            field.need.cells_mut(),
            field.limited.as_mut_slice(),
        );
        let view = View { cluster, concern, starts: &field.starts, home_of: &census.home_of, scales: &scales };
        threads.map(
            parts,
            || (),
            |(), part| match kinds {
                2 => part.enter::<2>(&view),
                4 => part.enter::<4>(&view),
                _ => part.enter::<0>(&view),
            },
        );
        field.enter_wide(cluster, units, &keys, threads);
        field
    }

    fn enter_wide(&mut self, cluster: &Cluster, units: &Units, keys: &[SortKey], threads: Threads) {
        let wide: Vec<UnitIx> =
            (0..units.len()).map(UnitIx::from_index).filter(|unit| units.nodes(*unit).len() > 1).collect();
        let field = &*self;
        let sorted = threads.map(wide.chunks(16).collect(), Vec::new, |sorted: &mut Vec<(SortKey, MemberIx)>, part| {
            let mut lists: Vec<MemberIx> = Vec::new();
            let mut ends: Vec<usize> = Vec::new();
            for unit in part {
                sorted.clear();
                for member in units.nodes(*unit).iter().flat_map(|node| field.at(*node)) {
                    sorted.push((keys.get(member.index()).copied().unwrap_or((0, VmSlot(0))), member));
                }
                sorted.sort_unstable_by(|left, right| compare(cluster, left.0, right.0));
                lists.extend(sorted.iter().map(|(_, member)| *member));
                ends.push(lists.len());
            }
            (lists, ends)
        });
        self.wide_starts = IdVec::filled((0, 0), units.len());
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
        (self.starts[node]..self.starts[NodeSlot(node.0 + 1)]).map(MemberIx)
    }

    /// The members without a home: displaced in every scenario.
    pub(crate) fn homeless(&self) -> impl ExactSizeIterator<Item = MemberIx> + use<> {
        self.at(NodeSlot::from_index(self.starts.len() - 2))
    }

    /// Where the members of a home begin; behind the last home, where those of the last one end.
    pub(crate) fn start(&self, home: NodeSlot) -> usize {
        to_usize(self.starts[home])
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

/// What every part reads.
struct View<'v> {
    cluster: &'v Cluster,
    concern: &'v Concern,
    starts: &'v IdVec<NodeSlot, u32>,
    home_of: &'v IdVec<NodeSlot, NodeSlot>,
    scales: &'v [SizeScale],
}

impl View<'_> {
    /// What a VM is sorted by. `WIDTH` as for [`Rows::row`].
    #[inline]
    fn key<const WIDTH: usize>(&self, vm: VmSlot) -> SortKey {
        let need = self.cluster.restart_rows().row::<WIDTH>(vm);
        let size = need.iter().zip(self.scales).map(|(amount, scale)| scale.size(*amount)).max().unwrap_or(0);
        let mix = need.iter().fold(0_u64, |mix, amount| (mix ^ amount).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let large = ((1_u64 << SizeScale::BITS) - 1).saturating_sub(size);
        let alike = mix >> (u64::BITS - NEED_BITS);
        let name = self.cluster.facts(vm).key >> (u32::BITS - NAME_BITS);
        (((large << NEED_BITS | alike) << NAME_BITS) | u64::from(name), vm)
    }

    /// Puts the keys of those of some VMs that count into `keys`.
    fn add<const WIDTH: usize>(&self, vms: &[VmSlot], keys: &mut core::slice::IterMut<'_, SortKey>) {
        let counted = vms.iter().filter(|vm| self.concern.includes(self.cluster, **vm));
        for (vm, entry) in counted.zip(keys) {
            *entry = self.key::<WIDTH>(*vm);
        }
    }

    /// The same for all members of a home.
    fn add_home<const WIDTH: usize>(&self, home: NodeSlot, keys: &mut [SortKey]) {
        let residents = |node: NodeSlot| self.cluster.node_record(node).map_or(&[][..], |record| &record.residents);
        let mut keys = keys.iter_mut();
        if home.index() < self.home_of.len() {
            if self.home_of[home] == home {
                self.add::<WIDTH>(residents(home), &mut keys);
            }
        } else {
            self.add::<WIDTH>(self.cluster.homeless(), &mut keys);
            for node in self.cluster.down_nodes().iter().chain(self.cluster.unreachable_nodes()) {
                self.add::<WIDTH>(residents(*node), &mut keys);
            }
        }
        debug_assert!(keys.next().is_none(), "INVARIANT: the census has counted the same VMs");
    }
}

/// Whole homes at a time, parts of about [`PART`] members.
fn split<'f>(
    starts: &IdVec<NodeSlot, u32>,
    kinds: usize,
    mut keys: &'f mut [SortKey],
    mut vms: &'f mut [VmSlot],
    mut need: &'f mut [u64],
    mut limited: &'f mut [bool],
) -> Vec<Part<'f>> {
    let mut parts = Vec::new();
    let (mut first, mut taken) = (NodeSlot(0), 0);
    let homes = starts.len() - 1;
    for end in (1..=homes).map(NodeSlot::from_index) {
        let count = to_usize(starts[end]) - taken;
        if count < PART && end.index() < homes {
            continue;
        }
        // INVARIANT: the slices are as long as there are members.
        let (part_keys, rest_keys) = core::mem::take(&mut keys).split_at_mut(count);
        let (part_vms, rest_vms) = core::mem::take(&mut vms).split_at_mut(count);
        let (part_need, rest_need) = core::mem::take(&mut need).split_at_mut(count * kinds);
        let (part_limited, rest_limited) = core::mem::take(&mut limited).split_at_mut(count);
        (keys, vms, need, limited) = (rest_keys, rest_vms, rest_need, rest_limited);
        parts.push(Part { first, end, keys: part_keys, vms: part_vms, need: part_need, limited: part_limited });
        (first, taken) = (end, taken + count);
    }
    parts
}

impl Part<'_> {
    /// Sorts the members of each home, and keeps what is read of them side by side.
    fn enter<const WIDTH: usize>(self, view: &View<'_>) {
        let cluster = view.cluster;
        let before = to_usize(view.starts[self.first]);
        for home in (self.first.0..self.end.0).map(NodeSlot) {
            let range = to_usize(view.starts[home]) - before..to_usize(view.starts[NodeSlot(home.0 + 1)]) - before;
            let keys = self.keys.get_mut(range).unwrap_or_default();
            view.add_home::<WIDTH>(home, keys);
            keys.sort_unstable_by_key(|(key, _)| *key);
            settle_ties(cluster, keys);
        }
        let width = cluster.kinds().len().max(1);
        let rows = self.need.chunks_exact_mut(if WIDTH == 0 { width } else { WIDTH });
        for ((((_, vm), entry), row), limited) in self.keys.iter().zip(self.vms).zip(rows).zip(self.limited) {
            *entry = *vm;
            row.copy_from_slice(cluster.restart_rows().row::<WIDTH>(*vm));
            *limited = is_limited(cluster, *vm);
        }
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
pub(crate) fn is_limited(cluster: &Cluster, vm: VmSlot) -> bool {
    let traits = cluster.facts(vm).traits;
    traits.any(VmTraits::LIMITS)
        || (traits.any(VmTraits::RULES)
            && cluster.vm_record(vm).is_some_and(|record| cluster.place_rules(record).next().is_some()))
}
