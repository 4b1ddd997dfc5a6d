//! Dense arrays indexed by typed ids: the one place where the crate indexes memory.
//!
//! Uses nothing of the crate. Used by `cluster` and everything above it.
//!
//! An id of type `I` is only ever made by the structure that owns the objects, so it lies inside every array that
//! the owner sizes; [`IdVec`] and [`Rows`] keep that invariant, and the kernels stay readable without a bounds
//! branch in their source. A violated invariant would be a bug in this crate: it panics in tests and is excluded by
//! `Cluster::check_invariants` there.

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::{Index, IndexMut, Range};

/// A dense index: a `u32` newtype.
pub(crate) trait DenseId: Copy + Eq + Ord {
    /// The id at a position.
    fn from_index(index: usize) -> Self;
    /// The position of the id.
    fn index(self) -> usize;
}

/// Declares `u32` newtypes that index dense arrays.
macro_rules! dense_id {
    ($($(#[$meta:meta])* $vis:vis struct $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        $vis struct $name(pub u32);

        impl $crate::dense::DenseId for $name {
            #[inline]
            fn from_index(index: usize) -> Self {
                Self($crate::dense::to_u32(index))
            }
            #[inline]
            fn index(self) -> usize {
                $crate::dense::to_usize(self.0)
            }
        }
    )*};
}
pub(crate) use dense_id;

/// Widens an index. Lossless: the crate needs pointers of at least 32 bits, asserted below.
#[inline]
#[expect(clippy::as_conversions, reason = "lossless: usize has at least 32 bits, asserted at compile time")]
pub(crate) const fn to_usize(index: u32) -> usize {
    index as usize
}

const _: () = assert!(size_of::<usize>() >= size_of::<u32>(), "lifeboat needs a 32-bit address space at least");

/// Narrows an index. Saturates: every collection of the crate is limited far below `u32::MAX` objects.
#[inline]
pub(crate) fn to_u32(index: usize) -> u32 {
    debug_assert!(u32::try_from(index).is_ok(), "collections are limited to u32::MAX objects");
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// A vector indexed by a typed id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct IdVec<I, T> {
    items: Vec<T>,
    id: PhantomData<fn(I)>,
}

impl<I: DenseId, T> IdVec<I, T> {
    pub(crate) const fn new() -> Self {
        Self { items: Vec::new(), id: PhantomData }
    }

    pub(crate) fn filled(value: T, len: usize) -> Self
    where
        T: Clone,
    {
        Self { items: alloc::vec![value; len], id: PhantomData }
    }

    /// The items of a vector, the first by the first id.
    pub(crate) const fn from_vec(items: Vec<T>) -> Self {
        Self { items, id: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Makes room for so many items more.
    #[cfg(feature = "serde")]
    pub(crate) fn reserve(&mut self, more: usize) {
        self.items.reserve(more);
    }

    /// Appends an item and returns its id.
    pub(crate) fn push(&mut self, item: T) -> I {
        let id = I::from_index(self.items.len());
        self.items.push(item);
        id
    }

    pub(crate) fn extend(&mut self, items: impl Iterator<Item = T>) {
        self.items.extend(items);
    }

    /// Grows with clones of `value` until `id` is inside.
    pub(crate) fn grow_to(&mut self, id: I, value: &T)
    where
        T: Clone,
    {
        let wanted = id.index().saturating_add(1);
        if wanted > self.items.len() {
            self.items.resize(wanted, value.clone());
        }
    }

    /// Empties the vector and fills it with `len` clones of `value`, keeping its memory.
    pub(crate) fn reset(&mut self, value: T, len: usize)
    where
        T: Clone,
    {
        self.items.clear();
        self.items.resize(len, value);
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }

    /// Inserts an item; the ids of those behind it grow by one.
    pub(crate) fn insert(&mut self, position: usize, item: T) {
        self.items.insert(position.min(self.items.len()), item);
    }

    /// Removes an item that is there; the ids of those behind it shrink by one.
    pub(crate) fn remove(&mut self, position: usize) -> Option<T> {
        (position < self.items.len()).then(|| self.items.remove(position))
    }

    pub(crate) fn lookup(&self, id: I) -> Option<&T> {
        self.items.get(id.index())
    }

    /// Becomes a copy of `other`, keeping the memory.
    pub(crate) fn copy_from(&mut self, other: &Self)
    where
        T: Clone,
    {
        self.items.clear();
        self.items.extend_from_slice(&other.items);
    }

    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = I> + ExactSizeIterator + use<I, T> {
        (0..self.items.len()).map(I::from_index)
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, T> {
        self.items.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> core::slice::IterMut<'_, T> {
        self.items.iter_mut()
    }

    /// Every item with its id, in id order.
    pub(crate) fn enumerate(&self) -> impl DoubleEndedIterator<Item = (I, &T)> + ExactSizeIterator {
        self.items.iter().enumerate().map(|(index, item)| (I::from_index(index), item))
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        &self.items
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.items
    }
}

impl<I: DenseId, T> Default for IdVec<I, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: DenseId, T> FromIterator<T> for IdVec<I, T> {
    fn from_iter<A: IntoIterator<Item = T>>(items: A) -> Self {
        Self { items: items.into_iter().collect(), id: PhantomData }
    }
}

impl<I: DenseId, T> Index<I> for IdVec<I, T> {
    type Output = T;
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: ids come from the owner of the objects (module doc)")]
    fn index(&self, id: I) -> &T {
        &self.items[id.index()]
    }
}

impl<I: DenseId, T> IndexMut<I> for IdVec<I, T> {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: ids come from the owner of the objects (module doc)")]
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.items[id.index()]
    }
}

/// Rows of equal width (one quantity per resource kind), indexed by a typed id.
#[derive(Clone, Debug)]
pub(crate) struct Rows<I> {
    width: usize,
    cells: Vec<u64>,
    id: PhantomData<fn(I)>,
}

impl<I: DenseId> Rows<I> {
    pub(crate) const fn new(width: usize) -> Self {
        Self { width, cells: Vec::new(), id: PhantomData }
    }

    /// The number of quantities in a row.
    #[inline]
    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn len(&self) -> usize {
        self.cells.len().checked_div(self.width).unwrap_or(0)
    }

    /// Appends a row and returns its id. `row` must have the right width.
    pub(crate) fn push(&mut self, row: &[u64]) -> I {
        debug_assert_eq!(row.len(), self.width);
        let id = I::from_index(self.len());
        self.cells.extend_from_slice(row);
        id
    }

    /// Makes room for so many rows more.
    #[cfg(feature = "serde")]
    pub(crate) fn reserve(&mut self, more: usize) {
        self.cells.reserve(more.saturating_mul(self.width));
    }

    /// Makes `len` rows of zeros, keeping the memory.
    pub(crate) fn reset(&mut self, width: usize, len: usize) {
        self.width = width;
        self.cells.clear();
        self.cells.resize(len.saturating_mul(width), 0);
    }

    /// Makes exactly `len` rows: new ones are zeros.
    pub(crate) fn resize(&mut self, len: usize) {
        self.cells.resize(len.saturating_mul(self.width), 0);
    }

    /// Inserts a row of zeros; the ids of those behind it grow by one.
    pub(crate) fn insert_zeros(&mut self, id: I) {
        let start = id.index().saturating_mul(self.width).min(self.cells.len());
        self.cells.splice(start..start, core::iter::repeat_n(0, self.width));
    }

    /// Removes a row; the ids of those behind it shrink by one.
    pub(crate) fn remove(&mut self, id: I) {
        let start = id.index().saturating_mul(self.width).min(self.cells.len());
        self.cells.drain(start..start.saturating_add(self.width).min(self.cells.len()));
    }

    /// Copies one row over another.
    #[expect(clippy::arithmetic_side_effects, reason = "index arithmetic inside an allocation that exists")]
    pub(crate) fn copy(&mut self, from: I, to: I) {
        let start = from.index() * self.width;
        self.cells.copy_within(start..start + self.width, to.index() * self.width);
    }

    /// Becomes a copy of `other`, keeping the memory.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.width = other.width;
        self.cells.clear();
        self.cells.extend_from_slice(&other.cells);
    }

    /// Grows with zeros until the row of `id` is inside.
    pub(crate) fn grow_to(&mut self, id: I) {
        let wanted = id.index().saturating_add(1).saturating_mul(self.width);
        if wanted > self.cells.len() {
            self.cells.resize(wanted, 0);
        }
    }

    /// A row, in code that is compiled once per common width: `WIDTH` is the width, or 0 for any.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: ids come from the owner of the objects (module doc)")]
    #[expect(clippy::arithmetic_side_effects, reason = "index arithmetic inside an allocation that exists")]
    pub(crate) fn row<const WIDTH: usize>(&self, id: I) -> &[u64] {
        debug_assert!(WIDTH == 0 || WIDTH == self.width);
        let width = if WIDTH == 0 { self.width } else { WIDTH };
        let start = id.index() * width;
        &self.cells[start..start + width]
    }

    /// The same, to be changed.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: ids come from the owner of the objects (module doc)")]
    #[expect(clippy::arithmetic_side_effects, reason = "index arithmetic inside an allocation that exists")]
    pub(crate) fn row_mut<const WIDTH: usize>(&mut self, id: I) -> &mut [u64] {
        debug_assert!(WIDTH == 0 || WIDTH == self.width);
        let width = if WIDTH == 0 { self.width } else { WIDTH };
        let start = id.index() * width;
        &mut self.cells[start..start + width]
    }

    /// All amounts, row after row.
    pub(crate) fn cells(&self) -> &[u64] {
        &self.cells
    }

    /// The same, to be changed.
    pub(crate) fn cells_mut(&mut self) -> &mut [u64] {
        &mut self.cells
    }

    pub(crate) fn iter(&self) -> core::slice::ChunksExact<'_, u64> {
        self.cells.chunks_exact(self.width.max(1))
    }

    /// The rows at these positions; none where there are not so many.
    pub(crate) fn span(&self, positions: Range<usize>) -> core::slice::ChunksExact<'_, u64> {
        let cells = positions.start.saturating_mul(self.width)..positions.end.saturating_mul(self.width);
        self.cells.get(cells).unwrap_or(&[]).chunks_exact(self.width.max(1))
    }
}

impl<I> Default for Rows<I> {
    fn default() -> Self {
        Self { width: 0, cells: Vec::new(), id: PhantomData }
    }
}

impl<I: DenseId> Index<I> for Rows<I> {
    type Output = [u64];
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: ids come from the owner of the objects (module doc)")]
    #[expect(clippy::arithmetic_side_effects, reason = "index arithmetic inside an allocation that exists")]
    fn index(&self, id: I) -> &[u64] {
        let start = id.index() * self.width;
        &self.cells[start..start + self.width]
    }
}

impl<I: DenseId> IndexMut<I> for Rows<I> {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: ids come from the owner of the objects (module doc)")]
    #[expect(clippy::arithmetic_side_effects, reason = "index arithmetic inside an allocation that exists")]
    fn index_mut(&mut self, id: I) -> &mut [u64] {
        let start = id.index() * self.width;
        &mut self.cells[start..start + self.width]
    }
}

/// What the least is that would be left, of the kinds of which something is needed, with `need` out of `room`, which has
/// it: each amount counted as so many times its `weight`. The products must fit 64 bits.
#[inline]
pub(crate) fn least_left(need: &[u64], room: &[u64], weight: &[u64]) -> u64 {
    let left = |((need, room), weight): ((&u64, &u64), &u64)| {
        if *need == 0 { u64::MAX } else { room.wrapping_sub(*need).wrapping_mul(*weight) }
    };
    need.iter().zip(room).zip(weight).map(left).min().unwrap_or(u64::MAX)
}

/// Whether `need` fits into `room` in every kind.
#[inline]
pub(crate) fn fits(need: &[u64], room: &[u64]) -> bool {
    // The common widths without a loop.
    match (need, room) {
        ([need_0, need_1], [room_0, room_1]) => need_0 <= room_0 && need_1 <= room_1,
        ([need_0, need_1, need_2, need_3], [room_0, room_1, room_2, room_3]) => {
            need_0 <= room_0 && need_1 <= room_1 && need_2 <= room_2 && need_3 <= room_3
        }
        _ => need.iter().zip(room).all(|(need, room)| need <= room),
    }
}
