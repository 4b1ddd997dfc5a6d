//! Where everything random comes from: a seed, or the bytes of a fuzzer.
//!
//! Uses nothing. Used by `generate`, `random_small` and `edits`.

/// A sequence of choices, the same for the same seed or bytes.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    source: Source<'a>,
}

#[derive(Clone, Debug)]
enum Source<'a> {
    /// splitmix64.
    Seed(u64),
    /// Zeros at the end.
    Bytes(&'a [u8]),
}

impl<'a> Choices<'a> {
    /// Choices from a seed.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self { source: Source::Seed(seed) }
    }

    /// Choices from bytes; every choice is 0 once they are used up.
    #[must_use]
    pub const fn from_bytes(bytes: &'a [u8]) -> Self {
        Self { source: Source::Bytes(bytes) }
    }

    /// Whether the bytes are used up; never for a seed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.source, Source::Bytes([]))
    }

    /// A number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit <= 1 {
            return 0;
        }
        match &mut self.source {
            Source::Seed(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = *state;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^= mixed >> 31;
                // The high half of the product: no modulo, and no bias worth the name.
                u64::try_from((u128::from(mixed) * u128::from(limit)) >> 64).expect("below the limit")
            }
            Source::Bytes(bytes) => {
                // As many bytes as the limit needs.
                let wanted = (64 - (limit - 1).leading_zeros()).div_ceil(8);
                let mut value = 0_u64;
                for _ in 0..wanted {
                    let (first, rest) = bytes.split_first().map_or((0, &[][..]), |(first, rest)| (*first, rest));
                    value = (value << 8) | u64::from(first);
                    *bytes = rest;
                }
                value % limit
            }
        }
    }

    /// An index below `limit`; 0 if that is 0.
    pub fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).expect("an index")
    }

    /// A number between two, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// True `wins` times in `of`.
    pub fn chance(&mut self, wins: u64, of: u64) -> bool {
        // The first values win, so that a fuzzer that has run out of bytes makes the plainest choice: none.
        self.below(of) >= of - wins
    }

    /// One of a list that is not empty.
    pub fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())].clone()
    }

    /// One of `(value, weight)`.
    pub fn weighted<T: Copy>(&mut self, table: &[(T, u64)]) -> T {
        let total = table.iter().map(|(_, weight)| weight).sum();
        let mut left = self.below(total);
        for (value, weight) in table {
            if left < *weight {
                return *value;
            }
            left -= weight;
        }
        table[0].0
    }

    /// Some of a list, each with a chance of `wins` in `of`, in the order of the list.
    pub fn some<T: Clone>(&mut self, list: &[T], wins: u64, of: u64) -> Vec<T> {
        list.iter().filter(|_| self.chance(wins, of)).cloned().collect()
    }

    /// Puts a list into another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.index(end + 1));
        }
    }
}
