//! Which nodes can take a VM that starts or moves, in the order of the policy's strategy, found one by one.
//!
//! Uses `cluster`. Used by `admission::guard`; `admission::choose` finds the same order by looking at every node.
//!
//! A node's *share* is how full its fullest kind would be with the VM, in 2^32nds of what is allocatable. `spread` takes the
//! least share first, `pack` the largest; of equals the first by name. Nodes that take starts stand by size, then
//! by name, in blocks of 32 and runs of 32 blocks, each with what bounds the shares of its nodes from both sides; the best
//! bound is opened first, so a search that takes the first node looks at few blocks, the fewer the more nodes differ.

use crate::cluster::{Cluster, NodeState, Role};
use crate::dense::{DenseId, IdVec, Rows, dense_id, fits, to_u32, to_usize};
use crate::ids::NodeSlot;
use crate::policy::Strategy;
use crate::resources::Amounts;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

dense_id! {
    /// A node, a block of them, or a run of blocks: a position at its height.
    struct SeatIx;
}

const GROUP: usize = 32;

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    /// The nodes, those of one size together, then by name.
    nodes: Vec<NodeSlot>,
    at: IdVec<NodeSlot, u32>,
    /// The place of each of them in the order of all names, and back.
    ranks: Vec<u32>,
    by_rank: Vec<NodeSlot>,
    /// Nodes, blocks, runs.
    heights: [Bounds; 3],
    /// What lies open during a search: the key, how deep it is (nodes last), the position, or of a node the rank.
    open: BinaryHeap<Reverse<(u64, u8, u32)>>,
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
}

impl Bounds {
    fn new(width: usize, len: usize) -> Self {
        let rows = || {
            let mut rows = Rows::new(width);
            rows.resize(len);
            rows
        };
        Self { least: rows(), most: rows(), free: rows(), largest: rows(), smallest: rows() }
    }
}

/// The bounds of a position that move with what is used.
struct Range {
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
    let full = u128::from(amount).saturating_mul(1 << 32);
    u64::try_from(full.checked_div(u128::from(of)).unwrap_or(0)).unwrap_or(u64::MAX)
}

const NOT_THERE: u32 = u32::MAX;

impl Seats {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let takes = |node: &NodeSlot| {
            cluster
                .node_record(*node)
                .is_some_and(|record| record.state == NodeState::Online && record.role == Role::General)
        };
        let mut nodes: Vec<NodeSlot> =
            (0..cluster.node_slots()).map(NodeSlot::from_index).filter(|node| takes(node)).collect();
        nodes.sort_unstable_by_key(|node| cluster.node_record(*node).map(|record| &*record.name));
        let by_rank = nodes.clone();
        let mut rank_of = IdVec::filled(0, cluster.node_slots());
        for (rank, node) in by_rank.iter().enumerate() {
            rank_of[*node] = to_u32(rank);
        }
        // Stable: by name within a size.
        nodes.sort_by(|left, right| cluster.allocatable_row(*left).cmp(cluster.allocatable_row(*right)));
        let ranks = nodes.iter().map(|node| rank_of[*node]).collect();
        let width = cluster.kinds().len();
        let blocks = nodes.len().div_ceil(GROUP);
        let lens = [nodes.len(), blocks, blocks.div_ceil(GROUP)];
        let mut at = IdVec::filled(NOT_THERE, cluster.node_slots());
        for (position, node) in nodes.iter().enumerate() {
            at[*node] = to_u32(position);
        }
        let heights = lens.map(|len| Bounds::new(width, len));
        let mut seats = Self { nodes, at, ranks, by_rank, heights, open: BinaryHeap::new() };
        for position in 0..seats.nodes.len() {
            seats.measure(cluster, position);
        }
        for (height, len) in lens.iter().enumerate().skip(1) {
            for position in 0..*len {
                seats.gather(height, position);
            }
        }
        seats
    }

    /// Takes in how much of a node is used now.
    pub(super) fn refresh(&mut self, cluster: &Cluster, node: NodeSlot) {
        let position = self.at.lookup(node).copied().unwrap_or(NOT_THERE);
        if position == NOT_THERE {
            return;
        }
        let (node, block, run) = (to_usize(position), to_usize(position) / GROUP, to_usize(position) / GROUP / GROUP);
        let (old_node, old_block) = (self.range(0, node), self.range(1, block));
        self.measure(cluster, node);
        if !self.widen(1, node, block, &old_node) {
            self.gather(1, block);
        }
        if !self.widen(2, block, run, &old_block) {
            self.gather(2, run);
        }
    }

    /// What depends on how much is used below a position.
    fn range(&self, height: usize, position: usize) -> Range {
        let here = SeatIx::from_index(position);
        let row = |pick: fn(&Bounds) -> &Rows<SeatIx>| {
            self.heights.get(height).map_or_else(Amounts::zero, |bounds| Amounts::from(&pick(bounds)[here]))
        };
        Range { least: row(|bounds| &bounds.least), most: row(|bounds| &bounds.most), free: row(|bounds| &bounds.free) }
    }

    /// Takes in that the bounds of a child are no longer `old`. `false`: the child held a bound that it holds no longer, so
    /// all children must be looked at.
    fn widen(&mut self, height: usize, child: usize, position: usize, old: &Range) -> bool {
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

    fn measure(&mut self, cluster: &Cluster, position: usize) {
        let [nodes, ..] = &mut self.heights;
        let (Some(node), here) = (self.nodes.get(position).copied(), SeatIx::from_index(position)) else { return };
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
            set(&mut nodes.largest, *all);
            // Of nothing there is no share: it bounds none.
            set(&mut nodes.smallest, if *all == 0 { u64::MAX } else { *all });
        }
    }

    /// Recomputes the bounds of a block or a run.
    fn gather(&mut self, height: usize, position: usize) {
        let Some((below, above)) = self.heights.split_at_mut_checked(height) else { return };
        let (Some(below), Some(above)) = (below.last(), above.first_mut()) else { return };
        let here = SeatIx::from_index(position);
        let first = position.saturating_mul(GROUP);
        let children = first..first.saturating_add(GROUP).min(below.least.len());
        above.least[here].fill(u64::MAX);
        above.smallest[here].fill(u64::MAX);
        for rows in [&mut above.most, &mut above.free, &mut above.largest] {
            rows[here].fill(0);
        }
        for child in children.map(SeatIx::from_index) {
            let fold = |into: &mut [u64], row: &[u64], pick: fn(u64, u64) -> u64| {
                for (into, amount) in into.iter_mut().zip(row) {
                    *into = pick(*into, *amount);
                }
            };
            fold(&mut above.least[here], &below.least[child], u64::min);
            fold(&mut above.smallest[here], &below.smallest[child], u64::min);
            fold(&mut above.most[here], &below.most[child], u64::max);
            fold(&mut above.free[here], &below.free[child], u64::max);
            fold(&mut above.largest[here], &below.largest[child], u64::max);
        }
    }

    /// Begins a search.
    pub(super) fn begin(&mut self, wish: &Wish<'_>) {
        self.open.clear();
        let [_, _, runs] = &self.heights;
        for position in 0..to_u32(runs.least.len()) {
            self.offer(wish, 2, position);
        }
    }

    /// The next node of a search.
    pub(super) fn next(&mut self, cluster: &Cluster, wish: &Wish<'_>) -> Option<NodeSlot> {
        while let Some(Reverse((_, depth, position))) = self.open.pop() {
            let position = to_usize(position);
            let height = usize::from(2_u8.saturating_sub(depth));
            let Some(below) = height.checked_sub(1) else { return self.by_rank.get(position).copied() };
            let first = position.saturating_mul(GROUP);
            let len = self.heights.get(below).map_or(0, |bounds| bounds.least.len());
            for child in first..first.saturating_add(GROUP).min(len) {
                if below == 0 {
                    self.offer_node(cluster, wish, child);
                } else {
                    self.offer(wish, below, to_u32(child));
                }
            }
        }
        None
    }

    fn offer_node(&mut self, cluster: &Cluster, wish: &Wish<'_>, position: usize) {
        let [nodes, ..] = &self.heights;
        if !fits(wish.need, &nodes.free[SeatIx::from_index(position)]) {
            return;
        }
        let (Some(node), Some(rank)) = (self.nodes.get(position).copied(), self.ranks.get(position).copied()) else {
            return;
        };
        let share = dominant(cluster, node, wish.need);
        self.open.push(Reverse((wish.key(share), 2, rank)));
    }

    fn offer(&mut self, wish: &Wish<'_>, height: usize, position: u32) {
        let here = SeatIx(position);
        let Some(bounds) = self.heights.get(height) else { return };
        if !fits(wish.need, &bounds.free[here]) {
            return;
        }
        let bound = match wish.strategy {
            Strategy::Spread => {
                let kinds = bounds.least[here].iter().zip(&bounds.largest[here]).zip(wish.need);
                kinds.map(|((used, all), need)| used.saturating_add(share(*need, *all))).max()
            }
            Strategy::Pack => {
                let kinds = bounds.most[here].iter().zip(&bounds.smallest[here]).zip(wish.need);
                kinds.map(|((used, all), need)| used.saturating_add(share(*need, *all)).saturating_add(1)).max()
            }
        };
        let depth = u8::from(height < 2);
        self.open.push(Reverse((wish.key(bound.unwrap_or(0)), depth, position)));
    }
}

/// How full the fullest kind of a node is with so much more.
pub(super) fn dominant(cluster: &Cluster, node: NodeSlot, need: &[u64]) -> u64 {
    let rows = need.iter().zip(&cluster.used_rows()[node]).zip(cluster.allocatable_row(node));
    rows.map(|((need, used), most)| share(used.saturating_add(*need), *most)).max().unwrap_or(0)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::pedantic,
    reason = "tests"
)]
mod tests {
    use super::*;
    use crate::cluster::{Node, Vm};
    use crate::resources::ResourceKinds;
    use alloc::format;

    /// Searches against a look at every node, while what is used changes.
    #[test]
    fn finds_nodes_in_the_order_of_their_shares() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut cluster = Cluster::new(ResourceKinds::new([("cpu", ""), ("memory", "")]).unwrap(), [""; 0]).unwrap();
        let nodes: Vec<_> = (0..1_500)
            .map(|at| {
                let node = Node::named(format!("n{}", at * 7 % 1_500)).capacity([random(60), 20 + random(40)]);
                cluster.add_node(if at % 50 == 0 { node.spare() } else { node }).unwrap()
            })
            .collect();
        let mut seats = Seats::new(&cluster);
        let mut vms = Vec::new();
        for step in 0..3_000 {
            if step % 3 < 2 {
                let node = nodes[random(1_500) as usize];
                let vm = Vm::named(format!("v{step}")).demand([random(9), random(9)]).on(node);
                vms.push((cluster.add_vm(vm).unwrap(), node));
            } else {
                let (vm, node) = vms.swap_remove(random(vms.len() as u64) as usize);
                cluster.remove_vm(vm).unwrap();
                vms.push((
                    cluster.add_vm(Vm::named(format!("w{step}")).demand([random(5), 1]).on(node)).unwrap(),
                    node,
                ));
            }
            let (_, node) = vms[vms.len() - 1];
            seats.refresh(&cluster, node.slot);
            if step % 10 != 0 {
                // The node of a VM that was removed has been named, too: both are the same.
                continue;
            }
            let fresh = Seats::new(&cluster);
            for (kept, made) in seats.heights.iter().zip(&fresh.heights) {
                for (kept, made) in [(&kept.least, &made.least), (&kept.most, &made.most), (&kept.free, &made.free)] {
                    assert!(kept.iter().eq(made.iter()), "step {step}");
                }
            }
            let need = [random(12), random(12)];
            for strategy in [Strategy::Spread, Strategy::Pack] {
                let wish = Wish { need: &need, strategy };
                let mut expected: Vec<_> = cluster
                    .nodes()
                    .filter(|node| node.role() == Role::General)
                    .filter(|node| {
                        let rows = need.iter().zip(node.used()).zip(node.allocatable());
                        rows.into_iter().all(|((need, used), most)| *need == 0 || used + need <= *most)
                    })
                    .map(|node| (wish.key(dominant(&cluster, node.id().slot, &need)), node.name(), node.id().slot))
                    .collect();
                expected.sort_unstable();
                seats.begin(&wish);
                let found: Vec<NodeSlot> = core::iter::from_fn(|| seats.next(&cluster, &wish)).collect();
                assert!(found.iter().eq(expected.iter().map(|(_, _, node)| node)), "step {step}, {strategy:?}");
            }
        }
    }
}
