//! A set of nodes that is small when it holds few: a sorted list below 64 nodes, a bit per slot above.
//!
//! Uses `dense` and `ids`. Used by `cluster` for labels and rules, read by `restart`.
//!
//! A hundred thousand VMs with a pair of nodes each must not cost a bitmap each.

use crate::dense::{DenseId, to_usize};
use crate::ids::NodeSlot;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// From this size on a set is a bitmap.
const SHORT: usize = 64;

#[derive(Clone, Debug)]
pub(crate) enum NodeSet {
    /// Sorted.
    Short(SmallVec<[NodeSlot; 4]>),
    /// A bit per slot, and how many are set.
    Bits(Vec<u64>, usize),
}

impl Default for NodeSet {
    fn default() -> Self {
        Self::Short(SmallVec::new())
    }
}

impl NodeSet {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Short(nodes) => nodes.len(),
            Self::Bits(_, len) => *len,
        }
    }

    #[inline]
    pub(crate) fn contains(&self, node: NodeSlot) -> bool {
        match self {
            Self::Short(nodes) => nodes.binary_search(&node).is_ok(),
            Self::Bits(words, _) => has_bit(words, node),
        }
    }

    /// Adds a node; says whether it was new.
    pub(crate) fn insert(&mut self, node: NodeSlot) -> bool {
        match self {
            Self::Short(nodes) => {
                let Err(position) = nodes.binary_search(&node) else { return false };
                nodes.insert(position, node);
                if nodes.len() >= SHORT {
                    let mut words = Vec::new();
                    for node in nodes.iter() {
                        set_bit(&mut words, *node);
                    }
                    *self = Self::Bits(words, SHORT);
                }
                true
            }
            Self::Bits(words, len) => {
                let new = set_bit(words, node);
                *len = len.saturating_add(usize::from(new));
                new
            }
        }
    }

    /// Takes a node out; says whether it was there.
    pub(crate) fn remove(&mut self, node: NodeSlot) -> bool {
        match self {
            Self::Short(nodes) => {
                let Ok(position) = nodes.binary_search(&node) else { return false };
                nodes.remove(position);
                true
            }
            Self::Bits(words, len) => {
                let there = has_bit(words, node);
                if there {
                    clear_bit(words, node);
                    *len = len.saturating_sub(1);
                    // Half the size at which it grew, so that a set at the edge does not go to and fro.
                    if *len < SHORT / 2 {
                        *self = Self::Short(bits(words).collect());
                    }
                }
                there
            }
        }
    }

    /// The nodes by slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NodeSlot> + '_ {
        let (short, words): (&[NodeSlot], &[u64]) = match self {
            Self::Short(nodes) => (nodes, &[]),
            Self::Bits(words, _) => (&[], words),
        };
        short.iter().copied().chain(bits(words))
    }
}

impl FromIterator<NodeSlot> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeSlot>>(nodes: I) -> Self {
        let mut set = Self::default();
        for node in nodes {
            set.insert(node);
        }
        set
    }
}

const fn place(node: NodeSlot) -> (usize, u64) {
    (to_usize(node.0 >> 6), 1 << (node.0 & 63))
}

#[inline]
pub(crate) fn has_bit(words: &[u64], node: NodeSlot) -> bool {
    let (word, bit) = place(node);
    words.get(word).is_some_and(|word| word & bit != 0)
}

/// Sets a bit, growing the bitmap as needed; says whether it was new.
pub(crate) fn set_bit(words: &mut Vec<u64>, node: NodeSlot) -> bool {
    let (word, bit) = place(node);
    if word >= words.len() {
        words.resize(word.saturating_add(1), 0);
    }
    words.get_mut(word).is_some_and(|word| {
        let new = *word & bit == 0;
        *word |= bit;
        new
    })
}

pub(crate) fn clear_bit(words: &mut [u64], node: NodeSlot) {
    let (word, bit) = place(node);
    if let Some(word) = words.get_mut(word) {
        *word &= !bit;
    }
}

/// The slots whose bit is set.
pub(crate) fn bits(words: &[u64]) -> impl Iterator<Item = NodeSlot> + '_ {
    words.iter().enumerate().flat_map(|(index, word)| {
        let mut left = *word;
        core::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let bit = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            let base = u32::try_from(index.saturating_mul(64)).unwrap_or(u32::MAX);
            Some(NodeSlot::from_index(to_usize(base.saturating_add(bit))))
        })
    })
}
