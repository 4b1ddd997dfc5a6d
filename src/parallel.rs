//! Work that falls into parts, done by one thread or, with the feature `parallel`, by several.
//!
//! Uses nothing of the crate. Used by `guarantee`.
//!
//! What the parts are must not depend on how many threads there are, and no part may look at another: then the results,
//! which come back in the order of the parts, are the same bits either way.

use alloc::vec::Vec;

/// How many threads may work at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Threads(usize);

/// How many cores there are: asked once, since the answer is read from files, which takes longer than a small verdict.
#[cfg(feature = "parallel")]
static CORES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();

impl Threads {
    /// One: this one.
    pub(crate) const ONE: Self = Self(1);

    /// At most so many; 0: as many as the machine has cores. One without the feature `parallel`.
    #[cfg(feature = "parallel")]
    pub(crate) fn up_to(most: u32) -> Self {
        match crate::dense::to_usize(most) {
            0 => Self(*CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, core::num::NonZero::get))),
            most => Self(most),
        }
    }

    /// At most so many; 0: as many as the machine has cores. One without the feature `parallel`.
    #[cfg(not(feature = "parallel"))]
    pub(crate) const fn up_to(_most: u32) -> Self {
        Self::ONE
    }

    /// How many.
    pub(crate) const fn count(self) -> usize {
        self.0
    }

    /// Does `work` on every part, each thread with a scratch of its own, and returns the results in the order of the parts.
    pub(crate) fn map<P: Send, S, R: Send>(
        self,
        parts: Vec<P>,
        scratch: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, P) -> R + Sync,
    ) -> Vec<R> {
        let others = parts.len().saturating_sub(1);
        self.with(others, parts, scratch, work, || (), || ()).0
    }

    /// The same; this thread does something else before it takes parts.
    pub(crate) fn map_beside<P: Send, S, R: Send, B>(
        self,
        parts: Vec<P>,
        scratch: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, P) -> R + Sync,
        beside: impl FnOnce() -> B,
    ) -> (Vec<R>, B) {
        let (done, (), besides) = self.with(parts.len(), parts, scratch, work, || (), beside);
        (done, besides)
    }

    /// The same; another thread, if there is one, does what is to be done `first` before it takes parts.
    pub(crate) fn map_after<P: Send, S, R: Send, A: Send, B>(
        self,
        parts: Vec<P>,
        scratch: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, P) -> R + Sync,
        first: impl FnOnce() -> A + Send,
        beside: impl FnOnce() -> B,
    ) -> (Vec<R>, A, B) {
        self.with(parts.len().max(1), parts, scratch, work, first, beside)
    }

    /// `others`: so many threads besides this one have something to do.
    fn with<P: Send, S, R: Send, A: Send, B>(
        self,
        others: usize,
        parts: Vec<P>,
        scratch: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, P) -> R + Sync,
        first: impl FnOnce() -> A + Send,
        beside: impl FnOnce() -> B,
    ) -> (Vec<R>, A, B) {
        let others = others.min(self.0.saturating_sub(1));
        #[cfg(feature = "parallel")]
        if others > 0 {
            return several(others, parts, &scratch, &work, first, beside);
        }
        debug_assert_eq!(others, 0);
        let first = first();
        let besides = beside();
        let mut scratch = scratch();
        (parts.into_iter().map(|part| work(&mut scratch, part)).collect(), first, besides)
    }
}

/// Each thread takes the next part until none is left; one of the others does something before, and this one something
/// else.
#[cfg(feature = "parallel")]
fn several<P: Send, S, R: Send, A: Send, B>(
    others: usize,
    parts: Vec<P>,
    scratch: &(impl Fn() -> S + Sync),
    work: &(impl Fn(&mut S, P) -> R + Sync),
    first: impl FnOnce() -> A + Send,
    beside: impl FnOnce() -> B,
) -> (Vec<R>, A, B) {
    use std::sync::{Mutex, PoisonError};
    use std::thread::ScopedJoinHandle;

    fn join<T>(other: ScopedJoinHandle<'_, T>) -> T {
        // A panic there is a panic here, as it would be on one thread.
        other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    let queue = Mutex::new(parts.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let mut done: Vec<(usize, R)> = Vec::new();
        let mut scratch = scratch();
        while let Some((at, part)) = next() {
            done.push((at, work(&mut scratch, part)));
        }
        done
    };
    let (mut done, first, besides) = std::thread::scope(|scope| {
        let other = scope.spawn(move || (first(), run()));
        let others: Vec<_> = (1..others).map(|_| scope.spawn(run)).collect();
        let besides = beside();
        let mut done = run();
        let (first, of_other) = join(other);
        done.extend(of_other);
        done.extend(others.into_iter().flat_map(join));
        (done, first, besides)
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    (done.into_iter().map(|(_, result)| result).collect(), first, besides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_parts() {
        let parts: Vec<u64> = (0..1_000).collect();
        let square = |seen: &mut u64, part: u64| {
            *seen = seen.wrapping_add(1);
            part.wrapping_mul(part)
        };
        let expected: Vec<u64> = parts.iter().map(|part| part * part).collect();
        for threads in [0, 1, 2, 3, 7, 2_000] {
            assert_eq!(Threads::up_to(threads).map(parts.clone(), || 0, square), expected);
        }
    }

    #[test]
    fn something_else_is_done_beside_the_parts() {
        for threads in [1, 2, 3] {
            for count in [0_u32, 1, 5] {
                let (mut first, mut beside) = (0, 0);
                let parts: Vec<u32> = (0..count).collect();
                let (doubled, begun, done) = Threads::up_to(threads).map_after(
                    parts.clone(),
                    || (),
                    |(), part| 2 * part,
                    || {
                        first += 1;
                        "begun"
                    },
                    || {
                        beside += 1;
                        "done"
                    },
                );
                let expected: Vec<u32> = parts.iter().map(|part| 2 * part).collect();
                assert_eq!((doubled, begun, done), (expected, "begun", "done"));
                assert_eq!((first, beside), (1, 1));
            }
        }
    }

    #[test]
    fn parts_may_write_to_what_they_borrow() {
        let mut cells = alloc::vec![0_u32; 100];
        let parts: Vec<&mut [u32]> = cells.chunks_mut(7).collect();
        let sizes = Threads::up_to(2).map(
            parts,
            || (),
            |(), part| {
                part.fill(3);
                part.len()
            },
        );
        assert_eq!(sizes.iter().sum::<usize>(), 100);
        assert!(cells.iter().all(|cell| *cell == 3));
    }
}
