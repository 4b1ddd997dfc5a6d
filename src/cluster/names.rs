//! Slots by name: a table of hashes, which holds no names itself.
//!
//! Uses `dense`. Used by `slab` (interned names) and `cluster` (nodes, VMs, rules), which keep each name once, in its
//! object, and compare it when the hash agrees.
//!
//! A name is hashed once, by `SipHash` with a fixed key, so that whatever depends on the hash is the same on every
//! machine. Who writes a document can look for names whose hashes share their upper bits, and with enough of them make
//! any table of a fixed hash slow. So the table does not rely on there being none: the first run of occupied cells that
//! is longer than chance makes it ([`LONGEST`]) turns it into a tree over the whole hash, in which every look-up costs a
//! logarithm whatever the names are. Names that share all 64 bits are compared one by one; each one more costs its author
//! 2^64 hashes, but for the first pairs.

use crate::dense::{DenseId, to_usize};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// The longest run that a look-up walks. At most half of the cells are in use: by chance a run of 64 comes up once in
/// more than 2^40 tables.
const LONGEST: usize = 192;

/// The fewest cells.
const LEAST: usize = 8;

/// See the module documentation. Every name has one slot.
#[derive(Clone, Debug)]
pub(crate) struct Names<S> {
    /// Empty, or a power of two of cells; 0 for a free one, else the upper half of the hash above the slot plus one. A
    /// name stands at the cell that the upper bits of its hash give, or in the run of occupied ones from there on.
    cells: Vec<u64>,
    /// How far the upper half of a hash is shifted to give a cell.
    shift: u32,
    len: usize,
    /// In place of the cells, once names crowd.
    tree: Option<BTreeSet<(u64, S)>>,
}

/// What a cell says: the upper half of the hash, and the slot.
#[inline]
fn open<S: DenseId>(cell: u64) -> (u32, S) {
    let low = u32::try_from(cell & u64::from(u32::MAX)).unwrap_or(0);
    (upper(cell), S::from_index(to_usize(low.wrapping_sub(1))))
}

#[inline]
fn upper(hash: u64) -> u32 {
    u32::try_from(hash >> u32::BITS).unwrap_or(0)
}

impl<S: DenseId> Names<S> {
    pub(crate) const fn new() -> Self {
        Self { cells: Vec::new(), shift: u32::BITS, len: 0, tree: None }
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.tree.as_ref().map_or(self.len, BTreeSet::len)
    }

    /// The slot of a name with this hash. `is` compares the name itself.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(S) -> bool) -> Option<S> {
        if let Some(tree) = &self.tree {
            let alike = tree.range((hash, S::from_index(0))..).take_while(|(other, _)| *other == hash);
            return alike.map(|(_, slot)| *slot).find(|slot| is(*slot));
        }
        let mut at = self.home(upper(hash));
        loop {
            let cell = self.cells.get(at).copied().unwrap_or(0);
            if cell == 0 {
                return None;
            }
            let (tag, slot) = open(cell);
            if tag == upper(hash) && is(slot) {
                return Some(slot);
            }
            at = self.next(at);
        }
    }

    /// Adds a slot whose name is not there yet. `hash_of` gives the hash of every name that is.
    pub(crate) fn insert(&mut self, hash: u64, slot: S, hash_of: impl Fn(S) -> u64) {
        if self.tree.is_none() {
            self.reserve(1);
            if self.put(upper(hash), slot) <= LONGEST {
                self.len = self.len.saturating_add(1);
                return;
            }
            let all = self.cells.iter().filter(|cell| **cell != 0).map(|cell| open::<S>(*cell).1);
            let others = all.filter(|other| *other != slot).map(|slot| (hash_of(slot), slot));
            self.tree = Some(others.collect());
            self.cells = Vec::new();
        }
        if let Some(tree) = &mut self.tree {
            tree.insert((hash, slot));
        }
    }

    /// Takes a slot out whose name has this hash.
    pub(crate) fn remove(&mut self, hash: u64, slot: S) {
        if let Some(tree) = &mut self.tree {
            tree.remove(&(hash, slot));
            return;
        }
        let mut hole = self.home(upper(hash));
        loop {
            match self.cells.get(hole).copied() {
                None | Some(0) => return,
                Some(cell) if open::<S>(cell).1 == slot => break,
                Some(_) => hole = self.next(hole),
            }
        }
        self.len = self.len.saturating_sub(1);
        // What stands behind the hole and could stand in it moves up, so that no run has a gap.
        let mask = self.cells.len().wrapping_sub(1);
        let mut at = hole;
        loop {
            at = self.next(at);
            let cell = self.cells.get(at).copied().unwrap_or(0);
            if cell == 0 {
                break;
            }
            let from_home = at.wrapping_sub(self.home(upper(cell))) & mask;
            if from_home >= at.wrapping_sub(hole) & mask {
                self.set(hole, cell);
                hole = at;
            }
        }
        self.set(hole, 0);
    }

    /// Makes room for so many names more.
    pub(crate) fn reserve(&mut self, more: usize) {
        let wanted = self.len.saturating_add(more).saturating_mul(2);
        if self.tree.is_some() || wanted <= self.cells.len() {
            return;
        }
        let count = wanted.next_power_of_two().max(LEAST);
        let old = core::mem::replace(&mut self.cells, alloc::vec![0; count]);
        self.shift = u32::BITS.saturating_sub(count.trailing_zeros());
        for cell in old.into_iter().filter(|cell| *cell != 0) {
            let (tag, slot) = open(cell);
            self.put(tag, slot);
        }
    }

    /// Puts a name into the first free cell of its run; says how far that is.
    fn put(&mut self, tag: u32, slot: S) -> usize {
        let mut at = self.home(tag);
        let mut steps = 0_usize;
        while self.cells.get(at).is_some_and(|cell| *cell != 0) {
            at = self.next(at);
            steps = steps.wrapping_add(1);
        }
        let number = crate::dense::to_u32(slot.index()).wrapping_add(1);
        self.set(at, (u64::from(tag) << u32::BITS) | u64::from(number));
        steps
    }

    #[inline]
    fn set(&mut self, at: usize, cell: u64) {
        if let Some(place) = self.cells.get_mut(at) {
            *place = cell;
        }
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        to_usize(tag.checked_shr(self.shift).unwrap_or(0))
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        at.wrapping_add(1) & self.cells.len().wrapping_sub(1)
    }
}

#[cfg(test)]
#[allow(clippy::pedantic, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use crate::ids::VmSlot;
    use std::collections::BTreeMap;

    /// The table against a map, for hashes that are spread and for hashes that all share their upper bits.
    #[test]
    fn agrees_with_a_map() {
        for crowd in [0, 40, 64] {
            let mut dice = Dice(7);
            let mut random = || dice.below(u64::MAX);
            let mut names: Names<VmSlot> = Names::new();
            let mut naive: BTreeMap<VmSlot, u64> = BTreeMap::new();
            for step in 0..6_000_usize {
                let slot = VmSlot(u32::try_from(random() % 1_500).unwrap());
                let hash = random().checked_shr(crowd).unwrap_or(5);
                match naive.remove(&slot) {
                    Some(hash) if step % 3 != 0 => names.remove(hash, slot),
                    Some(old) => {
                        naive.insert(slot, old);
                    }
                    None => {
                        names.insert(hash, slot, |slot| naive[&slot]);
                        naive.insert(slot, hash);
                    }
                }
                assert_eq!(names.len(), naive.len());
                let (some, hash) = naive.iter().nth(step % naive.len().max(1)).unwrap_or((&slot, &hash));
                let there = naive.contains_key(some);
                assert_eq!(names.find(*hash, |found| found == *some), Some(*some).filter(|_| there));
                assert_eq!(names.find(*hash, |_| false), None);
                assert_eq!(names.find(!*hash, |found| found == *some), None);
            }
            assert_eq!(names.tree.is_some(), crowd > 0, "{crowd}");
            for (slot, hash) in &naive {
                assert_eq!(names.find(*hash, |found| found == *slot), Some(*slot));
            }
        }
    }

    /// Runs stay far below the limit in a large table of names as they are.
    #[test]
    fn chance_makes_no_tree() {
        let mut names: Names<VmSlot> = Names::new();
        for number in 0..200_000_u32 {
            let hash = crate::cluster::slab::hash_name(&std::format!("vm-{number}"), 0);
            names.insert(hash, VmSlot(number), |_| 0);
        }
        assert!(names.tree.is_none());
        let longest = names.cells.split(|cell| *cell == 0).map(<[u64]>::len).max();
        assert!(longest < Some(LONGEST / 2), "{longest:?}");
    }
}
