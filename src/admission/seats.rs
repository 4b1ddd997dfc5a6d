//! Which nodes can take a VM that starts or moves, in the order of the policy's strategy, found one by one.
//!
//! Uses `cluster`. Kept by `admission::books`, asked by `quick`; `choose` finds the same order by looking at every node.
//!
//! A node's *share* is how full its fullest kind would be with the VM, in 2^32nds of what is allocatable. `spread` takes the
//! least share first, `pack` the largest; of equals the first by name. Nodes that take starts, or did before they were
//! cordoned or went down, stand in groups of 16, those in groups of 16 again and so on, each with what bounds the shares
//! of its nodes from both sides; the best bound is opened first. Nodes that take nothing bound nothing.
//!
//! A share takes a division, a bound of it a multiplication by what was divided beforehand. The first node of a search
//! mostly is the last that is asked for. So of a group of nodes only the first is sought, and shares are computed of those
//! whose bound is no worse than the best share so far; the group is opened once more if more nodes are asked for.
//!
//! A bound is worth as much as the nodes below it are alike. So nodes are arranged as a k-d tree has them: halves, halves
//! of halves and so on, each time along the kind in which they differ most, be it in how full it would be with the VM that
//! is looked for or in how large it is. A search for the first node then opens few groups at each height. Where nodes stand
//! is not touched as what they use changes: bounds stay right, and grow loose. Once the searches have cost several times
//! what arranging costs, nodes are arranged anew, for the VM that is looked for then.

use crate::cluster::{Cluster, Role};
use crate::dense::{DenseId, IdVec, Rows, dense_id, fits, to_u32, to_usize};
use crate::ids::NodeSlot;
use crate::policy::Strategy;
use crate::resources::Amounts;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Range;

dense_id! {
    /// A node or a group: a position at its height.
    struct SeatIx;
}

/// How many lie below a position.
const GROUP: usize = 16;
/// Nodes, groups of them, groups of those and so on.
const HEIGHTS: usize = 4;

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    /// The nodes by name.
    by_rank: Vec<NodeSlot>,
    /// The rank by name of the node at each position, and back.
    ranks: Vec<u32>,
    at: IdVec<NodeSlot, u32>,
    /// Nodes, and what bounds groups of them.
    heights: [Bounds; HEIGHTS],
    /// What nodes are arranged by, by rank.
    features: Rows<SeatIx>,
    /// What they are halved by.
    keys: Vec<(u64, u32)>,
    /// How much may be looked at before nodes are arranged anew.
    patience: usize,
    /// What lies open during a search.
    open: BinaryHeap<Reverse<Entry>>,
    /// Groups whose nodes were looked at in the search for the first.
    passed: Vec<Reverse<Entry>>,
    /// The first, once it has been found.
    found: Option<Entry>,
}

/// What lies open during a search: the least key and the lowest rank there, what it is, and its position; in one number,
/// in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry(u128);

/// A node whose key is exact. Of equals it comes first.
const EXACT: u32 = 0;
/// A node, with a bound of its key. Groups come above it, by their height.
const NODE: u32 = 1;

impl Entry {
    /// Positions above nodes are below 2^26, and those of nodes are not asked for.
    const POSITIONS: u32 = 26;

    fn new(key: u64, rank: u32, what: u32, position: u32) -> Self {
        let place = what << (u32::BITS - 3) | position & ((1 << Self::POSITIONS) - 1);
        Self(u128::from(key) << 64 | u128::from(rank) << 32 | u128::from(place))
    }

    fn key(self) -> u64 {
        u64::try_from(self.0 >> 64).unwrap_or(u64::MAX)
    }

    fn low(self, shift: u32, mask: u32) -> u32 {
        u32::try_from(self.0 >> shift & u128::from(mask)).unwrap_or(mask)
    }

    fn rank(self) -> u32 {
        self.low(u32::BITS, u32::MAX)
    }

    fn what(self) -> u32 {
        self.low(u32::BITS - 3, 7)
    }

    fn position(self) -> usize {
        to_usize(self.low(0, (1 << Self::POSITIONS) - 1))
    }

    /// Whether the bound has been made as good as it can be.
    fn is_sharp(self) -> bool {
        self.low(Self::POSITIONS, 1) > 0
    }

    /// With a bound that cannot be made better.
    fn sharp(self, key: u64) -> Self {
        Self(u128::from(key) << 64 | self.0 & u128::from(u64::MAX) | 1 << Self::POSITIONS)
    }
}

/// What bounds the shares of the nodes below each position.
#[derive(Clone, Debug)]
struct Bounds {
    least: Rows<SeatIx>,
    most: Rows<SeatIx>,
    /// The most that is free on one of them, and the most and least that is allocatable.
    free: Rows<SeatIx>,
    largest: Rows<SeatIx>,
    smallest: Rows<SeatIx>,
    /// 2^64 divided by these, rounded down by the largest and up by the smallest.
    parts_least: Rows<SeatIx>,
    parts_most: Rows<SeatIx>,
    /// The lowest rank.
    first: IdVec<SeatIx, u32>,
}

impl Bounds {
    fn new(width: usize, len: usize) -> Self {
        let rows = || {
            let mut rows = Rows::new(width);
            rows.resize(len);
            rows
        };
        Self {
            least: rows(),
            most: rows(),
            free: rows(),
            largest: rows(),
            smallest: rows(),
            parts_least: rows(),
            parts_most: rows(),
            first: IdVec::filled(NOT_THERE, len),
        }
    }
}

/// The bounds of a position that move with what is used.
struct Used {
    least: Amounts,
    most: Amounts,
    free: Amounts,
}

/// A search for nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) need: &'a [u64],
    pub(super) strategy: Strategy,
}

impl Wish<'_> {
    /// What comes first is least.
    pub(super) const fn key(&self, share: u64) -> u64 {
        match self.strategy {
            Strategy::Spread => share,
            Strategy::Pack => u64::MAX.saturating_sub(share),
        }
    }
}

/// A share in 2^32nds; 0 where nothing is allocatable.
pub(super) fn share(amount: u64, of: u64) -> u64 {
    if let Ok(small) = u32::try_from(amount) {
        // Many times as fast, and nearly always so.
        return (u64::from(small) << 32).checked_div(of).unwrap_or(0);
    }
    let full = u128::from(amount).saturating_mul(1 << 32);
    u64::try_from(full.checked_div(u128::from(of)).unwrap_or(0)).unwrap_or(u64::MAX)
}

/// How often every node may be looked at before nodes are arranged anew: four times what that costs, by measurement.
const PATIENCE: usize = 64;

const NOT_THERE: u32 = u32::MAX;

/// An amount times a part of 2^64, in 2^32nds, rounded down.
fn times(amount: u64, part: u64) -> u64 {
    let product = u128::from(amount).saturating_mul(u128::from(part)) >> 32;
    u64::try_from(product).unwrap_or(u64::MAX)
}

impl Seats {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let is_general =
            |node: &NodeSlot| cluster.node_record(*node).is_some_and(|record| record.role == Role::General);
        let mut nodes: Vec<NodeSlot> = (0..cluster.node_slots()).map(NodeSlot::from_index).filter(is_general).collect();
        nodes.sort_unstable_by_key(|node| cluster.node_record(*node).map(|record| &*record.name));
        let width = cluster.kinds().len();
        let mut len = nodes.len();
        let heights = core::array::from_fn(|_| {
            let bounds = Bounds::new(width, len);
            len = len.div_ceil(GROUP);
            bounds
        });
        let ranks = (0..to_u32(nodes.len())).collect();
        let at = IdVec::filled(NOT_THERE, cluster.node_slots());
        let mut seats = Self {
            by_rank: nodes,
            ranks,
            at,
            heights,
            features: Rows::new(0),
            keys: Vec::new(),
            patience: 0,
            open: BinaryHeap::new(),
            passed: Vec::new(),
            found: None,
        };
        seats.lay(cluster);
        seats
    }

    /// Takes in where the nodes stand, and what that means for all bounds.
    fn lay(&mut self, cluster: &Cluster) {
        for bounds in &mut self.heights {
            bounds.first.reset(NOT_THERE, bounds.least.len());
        }
        for (position, rank) in self.ranks.iter().enumerate() {
            let mut above = position;
            for bounds in &mut self.heights {
                let first = &mut bounds.first[SeatIx::from_index(above)];
                *first = *rank.min(first);
                above /= GROUP;
            }
        }
        for position in 0..self.ranks.len() {
            if let Some(node) = self.node(position) {
                self.at[node] = to_u32(position);
            }
            self.size(cluster, position);
            self.measure(cluster, position);
        }
        for height in 1..self.heights.len() {
            for position in 0..self.heights.get(height).map_or(0, |bounds| bounds.least.len()) {
                self.gather_sizes(height, position);
                self.gather(height, position);
            }
        }
    }

    fn node(&self, position: usize) -> Option<NodeSlot> {
        self.ranks.get(position).and_then(|rank| self.by_rank.get(to_usize(*rank))).copied()
    }

    /// Puts nodes together that are alike for a VM. O(n log n).
    fn arrange(&mut self, cluster: &Cluster, need: &[u64]) {
        let features = &mut self.features;
        features.reset(need.len().saturating_mul(2), self.by_rank.len());
        for (rank, node) in self.by_rank.iter().enumerate() {
            let rows = need.iter().zip(&cluster.used_rows()[*node]).zip(cluster.allocatable_row(*node));
            let row = &mut features[SeatIx::from_index(rank)];
            for (((need, used), all), cells) in rows.zip(row.chunks_exact_mut(2)) {
                cells.copy_from_slice(&[share(used.saturating_add(*need), *all), share(*need, *all)]);
            }
        }
        halve(features, &mut self.keys, &mut self.ranks);
        self.lay(cluster);
        self.patience = self.ranks.len().saturating_mul(PATIENCE);
    }

    /// Takes in how much of a node is used now, and whether it takes starts.
    pub(super) fn refresh(&mut self, cluster: &Cluster, node: NodeSlot) {
        let position = self.at.lookup(node).copied().unwrap_or(NOT_THERE);
        if position == NOT_THERE {
            return;
        }
        let mut above = to_usize(position);
        let old: [Used; HEIGHTS - 1] = core::array::from_fn(|height| {
            let used = self.used(height, above);
            above /= GROUP;
            used
        });
        let mut child = to_usize(position);
        self.measure(cluster, child);
        for (height, old) in (1..).zip(&old) {
            let above = child / GROUP;
            if !self.widen(height, child, above, old) {
                self.gather(height, above);
            }
            child = above;
        }
    }

    /// What depends on how much is used below a position.
    fn used(&self, height: usize, position: usize) -> Used {
        let here = SeatIx::from_index(position);
        let row = |pick: fn(&Bounds) -> &Rows<SeatIx>| {
            self.heights.get(height).map_or_else(Amounts::zero, |bounds| Amounts::from(&pick(bounds)[here]))
        };
        let [least, most, free] = [row(|bounds| &bounds.least), row(|bounds| &bounds.most), row(|bounds| &bounds.free)];
        Used { least, most, free }
    }

    /// Takes in that the bounds of a child are no longer `old`. `false`: the child held a bound that it holds no longer, so
    /// all children must be looked at.
    fn widen(&mut self, height: usize, child: usize, position: usize, old: &Used) -> bool {
        let Some((below, above)) = self.heights.split_at_mut_checked(height) else { return true };
        let (Some(below), Some(above)) = (below.last(), above.first_mut()) else { return true };
        let (child, here) = (SeatIx::from_index(child), SeatIx::from_index(position));
        let mut held = true;
        for (kind, bound) in above.least[here].iter_mut().enumerate() {
            let (was, is) = (old.least.of(kind), below.least[child].get(kind).copied().unwrap_or(0));
            held &= was > *bound || is <= was;
            *bound = is.min(*bound);
        }
        for (rows, now, was) in [(&mut above.most, &below.most, &old.most), (&mut above.free, &below.free, &old.free)] {
            for (kind, bound) in rows[here].iter_mut().enumerate() {
                let (was, is) = (was.of(kind), now[child].get(kind).copied().unwrap_or(0));
                held &= was < *bound || is >= was;
                *bound = is.max(*bound);
            }
        }
        held
    }

    /// Takes in how large a node is. That does not change while nodes stand where they are.
    fn size(&mut self, cluster: &Cluster, position: usize) {
        let (Some(node), here) = (self.node(position), SeatIx::from_index(position)) else { return };
        let [nodes, ..] = &mut self.heights;
        for (kind, all) in cluster.allocatable_row(node).iter().enumerate() {
            let set = |rows: &mut Rows<SeatIx>, amount: u64| {
                if let Some(cell) = rows[here].get_mut(kind) {
                    *cell = amount;
                }
            };
            let part = u64::MAX.checked_div(*all);
            set(&mut nodes.largest, *all);
            // Of nothing there is no share: it bounds none.
            set(&mut nodes.smallest, if *all == 0 { u64::MAX } else { *all });
            set(&mut nodes.parts_least, part.unwrap_or(0));
            set(&mut nodes.parts_most, part.map_or(0, |part| part.saturating_add(1)));
        }
    }

    /// Takes in how much is used of a node.
    fn measure(&mut self, cluster: &Cluster, position: usize) {
        let (Some(node), here) = (self.node(position), SeatIx::from_index(position)) else { return };
        let [nodes, ..] = &mut self.heights;
        if !takes(cluster, node) {
            nodes.least[here].fill(u64::MAX);
            nodes.most[here].fill(0);
            nodes.free[here].fill(0);
            return;
        }
        let (used, all) = (&cluster.used_rows()[node], cluster.allocatable_row(node));
        for (kind, (used, all)) in used.iter().zip(all).enumerate() {
            let set = |rows: &mut Rows<SeatIx>, amount: u64| {
                if let Some(cell) = rows[here].get_mut(kind) {
                    *cell = amount;
                }
            };
            let share = share(*used, *all);
            set(&mut nodes.least, share);
            set(&mut nodes.most, share);
            set(&mut nodes.free, all.saturating_sub(*used));
        }
    }

    /// A position, and the positions below it.
    fn above(&mut self, height: usize, position: usize) -> Option<(&mut Bounds, &Bounds, Range<usize>)> {
        let (below, above) = self.heights.split_at_mut_checked(height)?;
        let (below, above) = (below.last()?, above.first_mut()?);
        let first = position.saturating_mul(GROUP);
        let children = first..first.saturating_add(GROUP).min(below.least.len());
        Some((above, below, children))
    }

    /// Recomputes the bounds of a group that come from how large its nodes are.
    fn gather_sizes(&mut self, height: usize, position: usize) {
        let Some((above, below, children)) = self.above(height, position) else { return };
        let here = SeatIx::from_index(position);
        gather(&mut above.smallest, here, &below.smallest, children.clone(), u64::MAX, u64::min);
        gather(&mut above.largest, here, &below.largest, children.clone(), 0, u64::max);
        gather(&mut above.parts_least, here, &below.parts_least, children.clone(), u64::MAX, u64::min);
        gather(&mut above.parts_most, here, &below.parts_most, children, 0, u64::max);
    }

    /// Recomputes those that come from how much is used.
    fn gather(&mut self, height: usize, position: usize) {
        let Some((above, below, children)) = self.above(height, position) else { return };
        let here = SeatIx::from_index(position);
        gather(&mut above.least, here, &below.least, children.clone(), u64::MAX, u64::min);
        gather(&mut above.most, here, &below.most, children.clone(), 0, u64::max);
        gather(&mut above.free, here, &below.free, children, 0, u64::max);
    }

    /// Begins a search.
    pub(super) fn begin(&mut self, cluster: &Cluster, wish: &Wish<'_>) {
        if self.patience == 0 && self.ranks.len() > GROUP {
            self.arrange(cluster, wish.need);
        }
        self.open.clear();
        self.passed.clear();
        self.found = None;
        let [.., top] = &self.heights;
        let what = NODE.saturating_add(to_u32(HEIGHTS - 1));
        self.open.extend(top.offers(wish, what, 0..top.least.len()).map(Reverse));
    }

    /// The next node of a search: where nothing is needed it may be one that takes nothing.
    pub(super) fn next(&mut self, cluster: &Cluster, wish: &Wish<'_>) -> Option<NodeSlot> {
        let Some(first) = self.found else {
            let first = self.first(cluster, wish)?;
            self.found = Some(first);
            return self.by_rank.get(to_usize(first.rank())).copied();
        };
        self.open.extend(self.passed.drain(..));
        while let Some(Reverse(entry)) = self.open.pop() {
            let node = self.by_rank.get(to_usize(entry.rank())).copied();
            match entry.what() {
                EXACT if entry > first => return node,
                EXACT => {}
                NODE => {
                    let key = wish.key(dominant(cluster, node?, wish.need));
                    self.open.push(Reverse(Entry::new(key, entry.rank(), EXACT, 0)));
                }
                _ => {
                    let Some((below, what, children)) = self.open_up(wish, entry) else { continue };
                    let Some(bounds) = self.heights.get(below) else { continue };
                    self.open.extend(bounds.offers(wish, what, children).map(Reverse));
                }
            }
        }
        None
    }

    /// The first node of a search. What has not been opened lies open still, and groups of which nodes were looked at are
    /// among those passed over.
    fn first(&mut self, cluster: &Cluster, wish: &Wish<'_>) -> Option<Entry> {
        let mut best = Entry(u128::MAX);
        while let Some(Reverse(entry)) = self.open.peek().copied().filter(|Reverse(entry)| *entry < best) {
            self.open.pop();
            let Some((below, what, children)) = self.open_up(wish, entry) else { continue };
            let Some(bounds) = self.heights.get(below) else { continue };
            if what > NODE {
                self.open.extend(bounds.offers(wish, what, children).map(Reverse));
                continue;
            }
            self.passed.push(Reverse(entry));
            for (rank, _, bound) in bounds.bounds(wish, children) {
                if bound > best.key() {
                    continue;
                }
                let Some(node) = self.by_rank.get(to_usize(rank)) else { continue };
                let key = wish.key(dominant(cluster, *node, wish.need));
                best = best.min(Entry::new(key, rank, EXACT, 0));
            }
        }
        Some(best).filter(|best| best.0 < u128::MAX)
    }

    /// What lies below a group that comes first of all that is open: the height, what it is, and where. `None`: it
    /// does not come first, by a better bound, with which it lies open again.
    #[inline]
    fn open_up(&mut self, wish: &Wish<'_>, entry: Entry) -> Option<(usize, u32, Range<usize>)> {
        let height = usize::try_from(entry.what().saturating_sub(NODE)).unwrap_or(usize::MAX);
        if !entry.is_sharp() && matches!(wish.strategy, Strategy::Spread) {
            let bounds = self.heights.get(height)?;
            let key = exact_of_alike(bounds, SeatIx::from_index(entry.position()), wish.need);
            if key > entry.key() {
                self.open.push(Reverse(entry.sharp(key)));
                return None;
            }
        }
        let below = height.saturating_sub(1);
        let first = entry.position().saturating_mul(GROUP);
        let len = self.heights.get(below).map_or(0, |bounds| bounds.least.len());
        self.patience = self.patience.saturating_sub(GROUP);
        Some((below, entry.what().saturating_sub(1), first..first.saturating_add(GROUP).min(len)))
    }
}

impl Bounds {
    /// What there is at some positions that can take the VM: the lowest rank there, the position and a bound of the keys.
    #[inline]
    fn bounds<'s>(&'s self, wish: &'s Wish<'_>, positions: Range<usize>) -> impl Iterator<Item = (u32, u32, u64)> + 's {
        let spread = matches!(wish.strategy, Strategy::Spread);
        let (base, parts) = if spread { (&self.least, &self.parts_least) } else { (&self.most, &self.parts_most) };
        let firsts = self.first.as_slice().get(positions.clone()).unwrap_or(&[]);
        let rows =
            self.free.span(positions.clone()).zip(base.span(positions.clone())).zip(parts.span(positions.clone()));
        let open = firsts.iter().zip(to_u32(positions.start)..).zip(rows);
        open.filter(|(_, ((free, _), _))| fits(wish.need, free)).map(move |((rank, position), ((_, base), parts))| {
            let bound = sum_bound(wish.need, base, parts);
            // From above each of the two is rounded by less than one.
            (*rank, position, wish.key(if spread { bound } else { bound.saturating_add(2) }))
        })
    }

    /// The same, to lie open.
    fn offers<'s>(
        &'s self,
        wish: &'s Wish<'_>,
        what: u32,
        positions: Range<usize>,
    ) -> impl Iterator<Item = Entry> + 's {
        self.bounds(wish, positions).map(move |(rank, position, key)| Entry::new(key, rank, what, position))
    }
}

/// The largest of what is there and what is needed, in 2^32nds.
#[inline]
fn sum_bound(need: &[u64], base: &[u64], parts: &[u64]) -> u64 {
    let one = |need: &u64, base: &u64, part: &u64| base.saturating_add(times(*need, *part));
    match (need, base, parts) {
        ([need_0, need_1], [base_0, base_1], [part_0, part_1]) => {
            one(need_0, base_0, part_0).max(one(need_1, base_1, part_1))
        }
        _ => need.iter().zip(base).zip(parts).map(|((need, base), part)| one(need, base, part)).max().unwrap_or(0),
    }
}

/// The bounds of a position from those below it.
fn gather(
    above: &mut Rows<SeatIx>,
    here: SeatIx,
    below: &Rows<SeatIx>,
    children: Range<usize>,
    none: u64,
    pick: impl Fn(u64, u64) -> u64,
) {
    let row = &mut above[here];
    row.fill(none);
    for child in children {
        for (into, amount) in row.iter_mut().zip(&below[SeatIx::from_index(child)]) {
            *into = pick(*into, *amount);
        }
    }
}

/// What is known of kinds of which all nodes below have the same: the least that is used there, so that nothing is lost to
/// rounding, and of equals no group is opened but the first. (Of a kind that is not needed others may have none.)
fn exact_of_alike(bounds: &Bounds, here: SeatIx, need: &[u64]) -> u64 {
    let rows = bounds.largest[here].iter().zip(&bounds.smallest[here]).zip(&bounds.free[here]);
    let alike = need.iter().zip(rows).filter(|(need, ((largest, smallest), _))| **need > 0 && largest == smallest);
    let shares = alike.map(|(need, ((all, _), free))| share(all.saturating_sub(*free).saturating_add(*need), *all));
    shares.max().unwrap_or(0)
}

/// Arranges nodes so that those of a group are alike, at every height: see the module documentation.
fn halve(features: &Rows<SeatIx>, keys: &mut Vec<(u64, u32)>, ranks: &mut [u32]) {
    // The largest whole groups first.
    let mut unit = GROUP;
    while unit.saturating_mul(GROUP) < ranks.len() {
        unit = unit.saturating_mul(GROUP);
    }
    let middle = (ranks.len() / 2).next_multiple_of(unit);
    let spread = |column: usize| {
        let cells = ranks.iter().filter_map(|rank| features[SeatIx(*rank)].get(column));
        let (least, most) = cells.fold((u64::MAX, 0), |(least, most), cell| (least.min(*cell), most.max(*cell)));
        most.saturating_sub(least)
    };
    let widest = (0..features.width()).map(|column| (spread(column), Reverse(column))).max();
    let Some((_, Reverse(column))) = widest.filter(|(spread, _)| *spread > 0 && middle < ranks.len()) else {
        // Alike: by name, so that of equals the first is near its like.
        ranks.sort_unstable();
        return;
    };
    keys.clear();
    keys.extend(ranks.iter().map(|rank| (features[SeatIx(*rank)].get(column).copied().unwrap_or(0), *rank)));
    keys.select_nth_unstable(middle);
    for (rank, (_, key)) in ranks.iter_mut().zip(&*keys) {
        *rank = *key;
    }
    let (low, high) = ranks.split_at_mut(middle);
    halve(features, keys, low);
    halve(features, keys, high);
}

fn takes(cluster: &Cluster, node: NodeSlot) -> bool {
    cluster.node_record(node).is_some_and(|record| record.state.accepts())
}

/// How full the fullest kind of a node is with so much more.
pub(super) fn dominant(cluster: &Cluster, node: NodeSlot, need: &[u64]) -> u64 {
    let rows = need.iter().zip(&cluster.used_rows()[node]).zip(cluster.allocatable_row(node));
    rows.map(|((need, used), most)| share(used.saturating_add(*need), *most)).max().unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::as_conversions, clippy::arithmetic_side_effects, clippy::pedantic, reason = "tests")]
mod tests {
    use super::*;
    use crate::cluster::{Node, NodeState, Vm};
    use crate::dice::Dice;
    use crate::resources::ResourceKinds;
    use alloc::format;

    /// Searches against a look at every node, while what is used changes.
    #[test]
    fn finds_nodes_in_the_order_of_their_shares() {
        let mut dice = Dice(1);
        let mut random = |below: u64| dice.below(below);
        let mut cluster =
            Cluster::new(ResourceKinds::new([("cpu", ""), ("memory", ""), ("gpu", "")]).unwrap(), [""; 0]).unwrap();
        let nodes: Vec<_> = (0..1_500)
            .map(|at| {
                // Of the third kind some have as much as each other, and the others nothing.
                let capacity = [random(60), 20 + random(40), 10 * (random(3) / 2)];
                let node = Node::named(format!("n{}", at * 7 % 1_500)).capacity(capacity);
                cluster.add_node(if at % 50 == 0 { node.spare() } else { node }).unwrap()
            })
            .collect();
        let mut seats = Seats::new(&cluster);
        let mut vms = Vec::new();
        for step in 0..3_000 {
            if step % 3 < 2 {
                let node = nodes[random(1_500) as usize];
                let vm = Vm::named(format!("v{step}")).demand([random(3), random(9), 5 * random(3)]).on(node);
                vms.push((cluster.add_vm(vm).unwrap(), node));
            } else {
                let (vm, node) = vms.swap_remove(random(vms.len() as u64) as usize);
                cluster.remove_vm(vm).unwrap();
                vms.push((
                    cluster.add_vm(Vm::named(format!("w{step}")).demand([random(5), 1, random(2)]).on(node)).unwrap(),
                    node,
                ));
            }
            let (_, node) = vms[vms.len() - 1];
            seats.refresh(&cluster, node.slot);
            if step % 7 == 0 {
                let state = if random(3) == 0 { NodeState::Cordoned } else { NodeState::Online };
                let turned = nodes[random(1_500) as usize];
                cluster.set_node_state(turned, state).unwrap();
                seats.refresh(&cluster, turned.slot);
            }
            if step % 10 != 0 {
                // The node of a VM that was removed has been named, too: both are the same.
                continue;
            }
            let mut fresh = seats.clone();
            fresh.lay(&cluster);
            for (kept, made) in seats.heights.iter().zip(&fresh.heights) {
                for (kept, made) in [(&kept.least, &made.least), (&kept.most, &made.most), (&kept.free, &made.free)] {
                    assert!(kept.iter().eq(made.iter()), "step {step}");
                }
            }
            let need = [random(12), random(12), random(4) / 2];
            for strategy in [Strategy::Spread, Strategy::Pack] {
                let wish = Wish { need: &need, strategy };
                let mut expected: Vec<_> = cluster
                    .nodes()
                    .filter(|node| node.role() == Role::General && node.state().accepts())
                    .filter(|node| {
                        let rows = need.iter().zip(node.used()).zip(node.allocatable());
                        rows.into_iter().all(|((need, used), most)| *need == 0 || used + need <= *most)
                    })
                    .map(|node| (wish.key(dominant(&cluster, node.id().slot, &need)), node.name(), node.id().slot))
                    .collect();
                expected.sort_unstable();
                seats.begin(&cluster, &wish);
                let found = core::iter::from_fn(|| seats.next(&cluster, &wish));
                // Where nothing is needed those come along that take nothing.
                let found: Vec<NodeSlot> = found.filter(|node| takes(&cluster, *node)).collect();
                assert!(found.iter().eq(expected.iter().map(|(_, _, node)| node)), "step {step}, {strategy:?}");
            }
        }
    }

    /// A search for the first node opens few groups, however many nodes there are and whether they differ or not.
    #[test]
    fn few_groups_are_opened() {
        for (nodes, kinds, alike) in [(1_000, 2, false), (30_000, 2, false), (30_000, 4, false), (30_000, 2, true)] {
            let names = (0..kinds).map(|kind| (format!("kind {kind}"), ""));
            let mut cluster = Cluster::new(ResourceKinds::new(names).unwrap(), [""; 0]).unwrap();
            let mut dice = Dice(1);
            let mut random = |below: u64| dice.below(below);
            for at in 0..nodes {
                let node = cluster.add_node(Node::named(format!("n{at:05}")).capacity(alloc::vec![1_000_u64; kinds]));
                // A sum of several, as where many VMs are.
                let mut amount = || if alike { 500 } else { (0..8).map(|_| random(120)).sum::<u64>() };
                let demand: Vec<u64> = (0..kinds).map(|_| amount()).collect();
                cluster.add_vm(Vm::named(format!("v{at}")).demand(demand).on(node.unwrap())).unwrap();
            }
            let mut seats = Seats::new(&cluster);
            let need = alloc::vec![20_u64; kinds];
            let wish = Wish { need: &need, strategy: Strategy::Spread };
            seats.begin(&cluster, &wish);
            let before = seats.patience;
            assert!(seats.next(&cluster, &wish).is_some());
            let opened = (before - seats.patience) / GROUP;
            let limit = if alike { HEIGHTS - 1 } else { 8 * kinds * (HEIGHTS - 1) };
            assert!(opened <= limit, "{opened} of {nodes}, {kinds} kinds");
        }
    }

    /// Nodes without a kind stand beside nodes that are full of it, and take a VM that does not need it.
    #[test]
    fn nodes_without_a_kind_are_not_passed_over() {
        let kinds = ResourceKinds::new([("cpu", ""), ("gpu", "")]).unwrap();
        let mut cluster = Cluster::new(kinds, [""; 0]).unwrap();
        for at in 0..64 {
            let gpu = if at < 40 { 0 } else { 10 };
            let node = cluster.add_node(Node::named(format!("n{at:02}")).capacity([100, gpu])).unwrap();
            // The emptiest is the last of those without.
            let cpu = if at == 39 { 0 } else { 10 };
            cluster.add_vm(Vm::named(format!("v{at}")).demand([cpu, gpu * 9 / 10]).on(node)).unwrap();
        }
        let mut seats = Seats::new(&cluster);
        let wish = Wish { need: &[10, 0], strategy: Strategy::Spread };
        seats.begin(&cluster, &wish);
        assert_eq!(seats.next(&cluster, &wish), cluster.node_id("n39").map(|node| node.slot));
    }
}
