//! Slots with generations, and names with reference counts.
//!
//! Uses `dense` and `names`. Used by `cluster`.

use super::names::Names;
use crate::dense::{DenseId, IdVec};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::Hasher;
use smallvec::SmallVec;

/// `SipHash` with a fixed key: the same names hash alike on every machine.
#[expect(deprecated, reason = "core has no other SipHash, and its fixed key is what is wanted here")]
type FixedHasher = core::hash::SipHasher;

/// The fixed hash of a name. Who chooses names can make two of one hash: see [`Names`] for what that costs whom.
pub(crate) fn hash_name(name: &str, salt: u8) -> u64 {
    let mut hasher = FixedHasher::default();
    hasher.write_u8(salt);
    hasher.write(name.as_bytes());
    hasher.finish()
}

/// Objects in slots: a freed slot is used again, under another generation.
#[derive(Clone, Debug)]
pub(crate) struct Slab<S, T> {
    /// Side by side, so that making an id does not touch the object.
    generations: IdVec<S, u32>,
    values: IdVec<S, Option<T>>,
    free: Vec<S>,
}

impl<S: DenseId, T> Slab<S, T> {
    pub(crate) const fn new() -> Self {
        Self { generations: IdVec::new(), values: IdVec::new(), free: Vec::new() }
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len().saturating_sub(self.free.len())
    }

    /// How many slots there are, free ones included: the length of dense arrays beside the slab.
    pub(crate) fn slots(&self) -> usize {
        self.values.len()
    }

    /// Makes room for so many objects more.
    #[cfg(feature = "serde")]
    pub(crate) fn reserve(&mut self, more: usize) {
        self.generations.reserve(more);
        self.values.reserve(more);
    }

    pub(crate) fn insert(&mut self, value: T) -> S {
        if let Some(slot) = self.free.pop() {
            self.values[slot] = Some(value);
            slot
        } else {
            self.generations.push(0);
            self.values.push(Some(value))
        }
    }

    /// The slot and generation of the next object.
    pub(crate) fn next(&self) -> (S, u32) {
        let slot = self.free.last().copied().unwrap_or_else(|| S::from_index(self.values.len()));
        (slot, self.generations.lookup(slot).copied().unwrap_or(0))
    }

    pub(crate) fn remove(&mut self, slot: S) -> Option<T> {
        let value = self.values[slot].take()?;
        self.generations[slot] = self.generations[slot].wrapping_add(1);
        self.free.push(slot);
        Some(value)
    }

    #[inline]
    pub(crate) fn generation(&self, slot: S) -> u32 {
        self.generations[slot]
    }

    /// Whether the slot holds the object of this generation.
    #[inline]
    pub(crate) fn holds(&self, slot: S, generation: u32) -> bool {
        self.generations.lookup(slot) == Some(&generation) && self.get(slot).is_some()
    }

    #[inline]
    pub(crate) fn get(&self, slot: S) -> Option<&T> {
        self.values.lookup(slot).and_then(Option::as_ref)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: S) -> Option<&mut T> {
        self.values[slot].as_mut()
    }

    /// Objects with their slots, in slot order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (S, &T)> {
        self.values.enumerate().filter_map(|(slot, value)| value.as_ref().map(|value| (slot, value)))
    }
}

/// Interned strings with something beside each: kept while anything refers to them.
#[derive(Clone, Debug)]
pub(crate) struct Interner<S, T> {
    names: Names<S>,
    entries: Slab<S, Interned<T>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Interned<T> {
    name: Box<str>,
    /// A hash of the name.
    key: u64,
    references: u32,
    pub(crate) value: T,
}

impl<S: DenseId, T: Default> Interner<S, T> {
    pub(crate) fn new() -> Self {
        Self { names: Names::new(), entries: Slab::new() }
    }

    pub(crate) fn get(&self, name: &str) -> Option<S> {
        self.find(name, hash_name(name, 0))
    }

    fn find(&self, name: &str, hash: u64) -> Option<S> {
        self.names.find(hash, |slot| self.name(slot) == name)
    }

    /// The slot of a name, with one more reference to it.
    pub(crate) fn acquire(&mut self, name: &str) -> S {
        let key = hash_name(name, 0);
        if let Some(slot) = self.find(name, key) {
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.references = entry.references.saturating_add(1);
            }
            return slot;
        }
        let slot = self.entries.insert(Interned { name: name.into(), key, references: 1, value: T::default() });
        let entries = &self.entries;
        self.names.insert(key, slot, |slot| entries.get(slot).map_or(0, |entry| entry.key));
        slot
    }

    /// The slots of some names, sorted, with one more reference to each, however often it is listed.
    pub(crate) fn acquire_each(&mut self, names: &[String]) -> SmallVec<[S; 4]> {
        let mut slots: SmallVec<[S; 4]> = names.iter().map(|name| self.acquire(name)).collect();
        slots.sort_unstable();
        slots.dedup_by(|next, last| {
            let again = next == last;
            if again {
                self.release(*next);
            }
            again
        });
        slots
    }

    /// Takes one reference away, and the name with the last one.
    pub(crate) fn release(&mut self, slot: S) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        entry.references = entry.references.saturating_sub(1);
        if entry.references > 0 {
            return;
        }
        if let Some(entry) = self.entries.remove(slot) {
            self.names.remove(entry.key, slot);
        }
    }

    pub(crate) fn name(&self, slot: S) -> &str {
        self.entries.get(slot).map_or("", |entry| &entry.name)
    }

    /// The hash of a name.
    pub(crate) fn key(&self, slot: S) -> u64 {
        self.entries.get(slot).map_or(0, |entry| entry.key)
    }

    pub(crate) fn value(&self, slot: S) -> Option<&T> {
        self.entries.get(slot).map(|entry| &entry.value)
    }

    pub(crate) fn value_mut(&mut self, slot: S) -> Option<&mut T> {
        self.entries.get_mut(slot).map(|entry| &mut entry.value)
    }

    /// Names with their slots and values, in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (S, &str, &T)> {
        self.entries.iter().map(|(slot, entry)| (slot, &*entry.name, &entry.value))
    }
    /// The names of these slots, sorted.
    pub(crate) fn sorted_names(&self, slots: &[S]) -> Vec<String> {
        let mut names: Vec<String> = slots.iter().map(|slot| String::from(self.name(*slot))).collect();
        names.sort_unstable();
        names
    }
}
