//! The free-capacity index: which node, from a given point of a fixed order on, has this much free?
//!
//! Uses `dense` and `ids`. Kept by `cluster` for its restart targets, read by `restart`.
//!
//! Nodes stand in the order of a key that is made from their names alone, so that an answer depends neither on slots
//! nor on the order in which nodes were added. They are kept in blocks of at most 32 with the component-wise maximum
//! of each block, and of each run of 32 blocks beside it: a search skips what cannot hold the need, and an update
//! recomputes one block and one run.
//!
//! A search costs O(blocks / 32) at least where nothing fits, and usually looks at one block; an update costs
//! O(32 * kinds); adding or removing a node besides moves O(blocks) words.

use crate::dense::{DenseId, IdVec, Rows, dense_id, fits, to_u32};
use crate::ids::NodeSlot;
use alloc::vec::Vec;

/// Where a node stands in the order: a hash of its name, wide enough that no two names share one.
pub(crate) type RoomKey = u128;

const BLOCK: usize = 32;
const RUN: usize = 32;
/// How many nodes a block gets where many are added at once.
#[cfg(any(test, feature = "serde"))]
const FILL: usize = 28;

dense_id! {
    struct BlockIx;
    struct Rank;
    struct RunIx;
    struct Cell;
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct RoomIndex {
    /// The blocks in order, and beside each the first key in it.
    order: IdVec<Rank, BlockIx>,
    first_key: IdVec<Rank, RoomKey>,
    blocks: IdVec<BlockIx, Block>,
    free_blocks: Vec<BlockIx>,
    /// The nodes of each block side by side: their keys, slots and amounts.
    keys: IdVec<Cell, RoomKey>,
    nodes: IdVec<Cell, NodeSlot>,
    amounts: Rows<Cell>,
    /// Component-wise maximum of each block, by rank.
    block_max: Rows<Rank>,
    /// Component-wise maximum of each run of blocks.
    run_max: Rows<RunIx>,
    /// The cell of each node slot.
    cell_of: IdVec<NodeSlot, Option<Cell>>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    rank: Rank,
    len: usize,
}

impl RoomIndex {
    pub(crate) fn new(width: usize) -> Self {
        Self {
            order: IdVec::new(),
            first_key: IdVec::new(),
            blocks: IdVec::new(),
            free_blocks: Vec::new(),
            keys: IdVec::new(),
            nodes: IdVec::new(),
            amounts: Rows::new(width),
            block_max: Rows::new(width),
            run_max: Rows::new(width),
            cell_of: IdVec::new(),
            len: 0,
        }
    }

    /// How many nodes the index holds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn contains(&self, node: NodeSlot) -> bool {
        self.cell_of.lookup(node).is_some_and(Option::is_some)
    }

    /// What a node has free, if it is there.
    #[inline]
    pub(crate) fn free_of(&self, node: NodeSlot) -> Option<&[u64]> {
        self.cell_of.lookup(node).copied().flatten().map(|cell| &self.amounts[cell])
    }

    /// Where a node stands in the order, if it is there.
    pub(crate) fn key_of(&self, node: NodeSlot) -> Option<RoomKey> {
        self.cell_of.lookup(node).copied().flatten().map(|cell| self.keys[cell])
    }

    /// Nodes in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NodeSlot> + '_ {
        self.keyed().map(|(_, node)| node)
    }

    /// Nodes in order, and their keys.
    pub(crate) fn keyed(&self) -> impl Iterator<Item = (RoomKey, NodeSlot)> + '_ {
        let cells = self.order.iter().flat_map(|block| (0..self.blocks[*block].len).map(|at| cell(*block, at)));
        cells.map(|cell| (self.keys[cell], self.nodes[cell]))
    }

    /// Adds a node that is not there yet.
    pub(crate) fn insert(&mut self, node: NodeSlot, key: RoomKey, free: &[u64]) {
        debug_assert!(!self.contains(node));
        self.cell_of.grow_to(node, &None);
        self.len = self.len.saturating_add(1);
        let block = match self.rank_of(key) {
            Some(rank) => self.make_space(rank, key),
            None => self.add_block(0),
        };
        let len = self.blocks[block].len;
        let position = self.position_in(block, key);
        for later in (position..len).rev() {
            self.move_cell(cell(block, later), cell(block, later.saturating_add(1)));
        }
        self.blocks[block].len = len.saturating_add(1);
        let here = cell(block, position);
        self.keys[here] = key;
        self.nodes[here] = node;
        self.amounts[here].copy_from_slice(free);
        self.cell_of[node] = Some(here);
        self.refresh(block);
    }

    /// Adds many nodes, sorted by key, to an index that has none: in the time that it takes to write them down.
    #[cfg(any(test, feature = "serde"))]
    pub(crate) fn fill(&mut self, nodes: &[(RoomKey, NodeSlot)], free: &Rows<NodeSlot>) {
        if self.len > 0 {
            for (key, node) in nodes {
                self.insert(*node, *key, &free[*node]);
            }
            return;
        }
        if let Some(last) = nodes.iter().map(|(_, node)| *node).max() {
            self.cell_of.grow_to(last, &None);
        }
        for (rank, chunk) in nodes.chunks(FILL).enumerate() {
            let block = self.new_block(Block { rank: Rank::from_index(rank), len: chunk.len() });
            let mut most = alloc::vec![0; self.amounts.width()];
            for (at, (key, node)) in chunk.iter().enumerate() {
                let here = cell(block, at);
                self.keys[here] = *key;
                self.nodes[here] = *node;
                self.amounts[here].copy_from_slice(&free[*node]);
                self.cell_of[*node] = Some(here);
                raise(&mut most, &free[*node]);
            }
            self.order.push(block);
            self.first_key.push(chunk.first().map_or(0, |(key, _)| *key));
            self.block_max.push(&most);
        }
        self.len = nodes.len();
        self.reorder(0);
    }

    /// Takes a node out. Nothing happens if it is not there.
    pub(crate) fn remove(&mut self, node: NodeSlot) {
        let Some(here) = self.cell_of.lookup(node).copied().flatten() else { return };
        self.cell_of[node] = None;
        self.len = self.len.saturating_sub(1);
        let (block, position) = (BlockIx::from_index(here.index() / BLOCK), here.index() & (BLOCK - 1));
        let left = self.blocks[block].len.saturating_sub(1);
        for later in position..left {
            self.move_cell(cell(block, later.saturating_add(1)), cell(block, later));
        }
        self.blocks[block].len = left;
        if left == 0 {
            self.drop_block(block);
        } else {
            self.refresh(block);
        }
    }

    /// Says how much a node has free now. Nothing happens if it is not there.
    pub(crate) fn set(&mut self, node: NodeSlot, free: &[u64]) {
        let Some(here) = self.cell_of.lookup(node).copied().flatten() else { return };
        let block = BlockIx::from_index(here.index() / BLOCK);
        let rank = self.blocks[block].rank;
        // Only a maximum that the node held itself, and holds no longer, has to be looked for again.
        let most = &self.block_max[rank];
        let lost = self.amounts[here].iter().zip(free).zip(most).any(|((old, new), most)| old == most && new < old);
        self.amounts[here].copy_from_slice(free);
        if lost {
            self.refresh(block);
        } else {
            raise(&mut self.block_max[rank], free);
            raise(&mut self.run_max[RunIx::from_index(rank.index() / RUN)], free);
        }
    }

    /// A walk that begins before the first node whose key is at least this one.
    pub(crate) fn walk_from(&self, key: RoomKey) -> Walk<'_> {
        let rank = self.rank_of(key).unwrap_or(Rank(0));
        let mut walk = Walk { index: self, rank, next: 0, end: 0 };
        walk.open(rank);
        let position = self.order.lookup(rank).map_or(0, |block| self.position_in(*block, key));
        walk.next = walk.next.saturating_add(to_u32(position));
        walk
    }

    /// The rank of the block in which a key belongs; `None` while there is no block.
    fn rank_of(&self, key: RoomKey) -> Option<Rank> {
        let after = self.first_key.as_slice().partition_point(|first| *first <= key);
        if self.order.is_empty() { None } else { Some(Rank::from_index(after.saturating_sub(1))) }
    }

    /// The position in a block from which on keys are at least this one.
    fn position_in(&self, block: BlockIx, key: RoomKey) -> usize {
        let first = cell(block, 0).index();
        let end = first.saturating_add(self.blocks[block].len);
        self.keys.as_slice().get(first..end).map_or(0, |keys| keys.partition_point(|other| *other < key))
    }

    /// A block at this rank that has a place for the key: the block itself, or one half of it after a split.
    fn make_space(&mut self, rank: Rank, key: RoomKey) -> BlockIx {
        let block = self.order[rank];
        if self.blocks[block].len < BLOCK {
            return block;
        }
        let right = self.add_block(rank.index().saturating_add(1));
        for position in 0..BLOCK / 2 {
            self.move_cell(cell(block, position.saturating_add(BLOCK / 2)), cell(right, position));
        }
        self.blocks[block].len = BLOCK / 2;
        self.blocks[right].len = BLOCK / 2;
        self.refresh(block);
        self.refresh(right);
        if key < self.keys[cell(right, 0)] { block } else { right }
    }

    /// Moves a node from one cell to another.
    fn move_cell(&mut self, from: Cell, to: Cell) {
        self.keys[to] = self.keys[from];
        self.nodes[to] = self.nodes[from];
        self.amounts.copy(from, to);
        self.cell_of[self.nodes[to]] = Some(to);
    }

    fn add_block(&mut self, rank: usize) -> BlockIx {
        let block = self.new_block(Block { rank: Rank::from_index(rank), len: 0 });
        self.order.insert(rank, block);
        self.first_key.insert(rank, 0);
        self.block_max.insert_zeros(Rank::from_index(rank));
        self.reorder(rank);
        block
    }

    /// The memory of a block.
    fn new_block(&mut self, content: Block) -> BlockIx {
        if let Some(block) = self.free_blocks.pop() {
            self.blocks[block] = content;
            return block;
        }
        let block = self.blocks.push(content);
        let last = cell(block, BLOCK - 1);
        self.keys.grow_to(last, &0);
        self.nodes.grow_to(last, &NodeSlot(u32::MAX));
        self.amounts.grow_to(last);
        block
    }

    fn drop_block(&mut self, block: BlockIx) {
        let rank = self.blocks[block].rank.index();
        self.order.remove(rank);
        self.first_key.remove(rank);
        self.block_max.remove(Rank::from_index(rank));
        self.free_blocks.push(block);
        self.reorder(rank);
    }

    /// Makes ranks and the maxima of runs right from this rank on.
    fn reorder(&mut self, from: usize) {
        let count = self.order.len();
        self.run_max.resize(count.div_ceil(RUN));
        for rank in (from..count).map(Rank::from_index) {
            let block = self.order[rank];
            self.blocks[block].rank = rank;
        }
        for run in from / RUN..count.div_ceil(RUN) {
            self.refresh_run(RunIx::from_index(run));
        }
    }

    /// Recomputes what is kept about a block.
    fn refresh(&mut self, block: BlockIx) {
        let Block { rank, len } = self.blocks[block];
        self.first_key[rank] = self.keys[cell(block, 0)];
        let most = &mut self.block_max[rank];
        most.fill(0);
        for position in 0..len {
            raise(most, &self.amounts[cell(block, position)]);
        }
        self.refresh_run(RunIx::from_index(rank.index() / RUN));
    }

    fn refresh_run(&mut self, run: RunIx) {
        let first = run.index().saturating_mul(RUN);
        let most = &mut self.run_max[run];
        most.fill(0);
        for rank in first..first.saturating_add(RUN).min(self.order.len()) {
            raise(most, &self.block_max[Rank::from_index(rank)]);
        }
    }

    /// Whether every block, maximum and position is what it should be, given what each node has free.
    pub(crate) fn is_consistent<'a>(&self, free: impl Fn(NodeSlot) -> &'a [u64]) -> bool {
        let mut previous = None;
        let mut seen = 0_usize;
        for (rank, block) in self.order.enumerate() {
            let len = self.blocks[*block].len;
            let mut most = alloc::vec![0; self.amounts.width()];
            let first = self.first_key[rank] == self.keys[cell(*block, 0)];
            if self.blocks[*block].rank != rank || !(1..=BLOCK).contains(&len) || !first {
                return false;
            }
            for here in (0..len).map(|position| cell(*block, position)) {
                let node = self.nodes[here];
                if previous >= Some(self.keys[here])
                    || self.cell_of[node] != Some(here)
                    || &self.amounts[here] != free(node)
                {
                    return false;
                }
                previous = Some(self.keys[here]);
                raise(&mut most, &self.amounts[here]);
                seen = seen.saturating_add(1);
            }
            if self.block_max[rank] != most[..] {
                return false;
            }
        }
        for first in (0..self.order.len()).step_by(RUN) {
            let mut most = alloc::vec![0; self.amounts.width()];
            for rank in first..first.saturating_add(RUN).min(self.order.len()) {
                raise(&mut most, &self.block_max[Rank::from_index(rank)]);
            }
            if self.run_max[RunIx::from_index(first / RUN)] != most[..] {
                return false;
            }
        }
        seen == self.len
    }
}

/// A walk over the nodes in their order, round and round.
#[derive(Clone, Debug)]
pub(crate) struct Walk<'a> {
    index: &'a RoomIndex,
    /// The block at hand, and which cells of it lie ahead.
    rank: Rank,
    next: u32,
    end: u32,
}

/// Where a search began.
#[derive(Clone, Copy, Debug)]
struct Start {
    rank: Rank,
    next: u32,
    /// Whether the search has come round to its block again.
    round: bool,
}

impl<'a> Walk<'a> {
    /// The first node from here on, going round once, that has `need` free and that `accept` takes: the walk stands
    /// behind it then, and stays where it is if there is none.
    ///
    /// `accept` is asked only about nodes that have the room, and told how much.
    #[inline]
    pub(crate) fn search<const WIDTH: usize>(
        &mut self,
        need: &[u64],
        mut accept: impl FnMut(NodeSlot, &'a [u64]) -> bool,
    ) -> Option<NodeSlot> {
        let index = self.index;
        let mut start = Start { rank: self.rank, next: self.next, round: false };
        loop {
            while self.next < self.end {
                let here = Cell(self.next);
                self.next = self.next.wrapping_add(1);
                let free = index.amounts.row::<WIDTH>(here);
                if fits(need, free) && accept(index.nodes[here], free) {
                    // The rest of its block lies ahead again.
                    if start.round {
                        let next = self.next;
                        self.open(self.rank);
                        self.next = next;
                    }
                    return Some(index.nodes[here]);
                }
            }
            if !self.go_on(need, &mut start) {
                return None;
            }
        }
    }

    /// Opens the next block that may have the room, as the last one what lies before the start of the search. After
    /// that it goes back to the start and says no.
    #[inline(never)]
    fn go_on(&mut self, need: &[u64], start: &mut Start) -> bool {
        let count = self.index.order.len();
        if start.round || count == 0 {
            self.open(start.rank);
            self.next = start.next;
            return false;
        }
        let first = start.rank.index();
        let mut rank = self.rank.index().saturating_add(1);
        loop {
            if rank >= count {
                rank = 0;
            }
            let here = Rank::from_index(rank);
            if rank == first {
                start.round = true;
                self.open(here);
                self.end = start.next;
                return true;
            }
            // At the start of a run the whole run may be skipped.
            if rank & (RUN - 1) == 0 && !fits(need, &self.index.run_max[RunIx::from_index(rank / RUN)]) {
                let end = rank.saturating_add(RUN);
                rank = if (rank..end).contains(&first) { first } else { end };
            } else if fits(need, &self.index.block_max[here]) {
                self.open(here);
                return true;
            } else {
                rank = rank.saturating_add(1);
            }
        }
    }

    /// Goes to the beginning of a block.
    fn open(&mut self, rank: Rank) {
        if let Some(block) = self.index.order.lookup(rank) {
            self.rank = rank;
            self.next = cell(*block, 0).0;
            self.end = self.next.saturating_add(to_u32(self.index.blocks[*block].len));
        }
    }
}

#[inline]
fn cell(block: BlockIx, position: usize) -> Cell {
    Cell::from_index(block.index().saturating_mul(BLOCK).saturating_add(position))
}

fn raise(most: &mut [u64], row: &[u64]) {
    for (most, amount) in most.iter_mut().zip(row) {
        *most = (*most).max(*amount);
    }
}

#[cfg(test)]
#[allow(clippy::as_conversions, clippy::arithmetic_side_effects, clippy::pedantic, reason = "tests")]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use alloc::vec;
    use std::collections::BTreeMap;

    /// The index against a sorted map, under additions, removals, changes and searches.
    #[test]
    fn agrees_with_a_sorted_map() {
        let mut dice = Dice(1);
        let mut random = |below: u64| dice.below(below);
        let mut index = RoomIndex::new(2);
        let mut naive: BTreeMap<RoomKey, (NodeSlot, Vec<u64>)> = BTreeMap::new();
        let mut free_slots: Vec<u32> = (0..3000).rev().collect();
        for step in 0..20_000_u64 {
            let grow = if step < 10_000 { 6 } else { 3 };
            match random(10) {
                choice if choice < grow => {
                    let Some(slot) = free_slots.pop() else { continue };
                    let key = (u128::from(random(u64::MAX)) << 64) | u128::from(slot);
                    let row = vec![random(100), random(100)];
                    index.insert(NodeSlot(slot), key, &row);
                    naive.insert(key, (NodeSlot(slot), row));
                }
                choice if choice < 8 => {
                    let Some(key) = naive.keys().nth(random(naive.len().max(1) as u64) as usize).copied() else {
                        continue;
                    };
                    let (node, _) = naive.remove(&key).unwrap();
                    index.remove(node);
                    assert!(!index.contains(node));
                    free_slots.push(node.0);
                }
                _ => {
                    let Some(key) = naive.keys().nth(random(naive.len().max(1) as u64) as usize).copied() else {
                        continue;
                    };
                    let entry = naive.get_mut(&key).unwrap();
                    entry.1 = vec![random(100), random(100)];
                    index.set(entry.0, &entry.1.clone());
                }
            }
            let from = u128::from(random(u64::MAX)) << 64;
            let need = [random(130), random(130)];
            let barred = random(3) as u32;
            let accept = |node: NodeSlot| node.0 % 3 != barred;
            let expected = naive
                .range(from..)
                .chain(naive.range(..from))
                .find(|(_, (node, row))| fits(&need, row) && accept(*node))
                .map(|(_, (node, _))| *node);
            let mut walk = index.walk_from(from);
            let found = walk.search::<2>(&need, |node, free| {
                assert!(fits(&need, free));
                accept(node)
            });
            assert_eq!(found, expected, "step {step}");
            // Behind what was found, or where it was.
            let key = naive.iter().find(|(_, (node, _))| Some(*node) == found).map_or(from, |(key, _)| *key + 1);
            let next = naive.range(key..).chain(naive.range(..key)).next().map(|(_, (node, _))| *node);
            assert_eq!(walk.search::<2>(&[0, 0], |_, _| true), next, "step {step}");
            if step % 500 == 0 {
                let mut filled = RoomIndex::new(2);
                let mut free = Rows::new(2);
                free.resize(3000);
                for (node, row) in naive.values() {
                    free[*node].copy_from_slice(row);
                }
                let sorted: Vec<(RoomKey, NodeSlot)> = naive.iter().map(|(key, (node, _))| (*key, *node)).collect();
                filled.fill(&sorted, &free);
                assert!(filled.is_consistent(|node| &free[node]), "step {step}");
                assert!(filled.iter().eq(index.iter()) && filled.len() == index.len());
                let rows: BTreeMap<NodeSlot, &[u64]> = naive.values().map(|(node, row)| (*node, &row[..])).collect();
                assert!(index.is_consistent(|node| rows[&node]), "step {step}");
                assert_eq!(index.len(), naive.len());
                assert!(index.iter().eq(naive.values().map(|(node, _)| *node)));
            }
        }
    }
}
