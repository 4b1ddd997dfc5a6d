//! A bag of numbers that can tell its largest.
//!
//! Uses nothing of the crate. Used by the counters of `percentage` and `slots`.

use alloc::collections::BTreeMap;

/// Numbers, each as often as it was added.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    counts: BTreeMap<u64, u32>,
}

impl Tally {
    pub(super) fn add(&mut self, number: u64) {
        let count = self.counts.entry(number).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// Takes a number out that is in.
    pub(super) fn remove(&mut self, number: u64) {
        debug_assert!(self.counts.contains_key(&number), "{number} was never added");
        if let Some(count) = self.counts.get_mut(&number) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&number);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.counts.clear();
    }

    pub(super) fn largest(&self) -> Option<u64> {
        self.counts.last_key_value().map(|(number, _)| *number)
    }

    /// The distinct numbers with their counts, largest first.
    pub(super) fn descending(&self) -> impl Iterator<Item = (u64, u32)> {
        self.counts.iter().rev().map(|(number, count)| (*number, *count))
    }

    /// The sum of the `most` largest.
    pub(super) fn top(&self, most: u32) -> u128 {
        let mut left = most;
        let mut sum = 0_u128;
        for (number, count) in self.descending() {
            let taken = count.min(left);
            // At most 2^32 numbers below 2^64.
            sum = sum.saturating_add(u128::from(number).saturating_mul(u128::from(taken)));
            left = left.saturating_sub(taken);
            if left == 0 {
                break;
            }
        }
        sum
    }
}
