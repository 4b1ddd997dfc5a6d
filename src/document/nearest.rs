//! "Did you mean": the known name that is most like a name that is not known.
//!
//! Uses nothing of the crate. Used by every part of `document`.

use super::error::quoted;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Names longer than this are not compared.
const LONGEST: usize = 64;

/// How many comparisons one load may cost, so that a document of errors does not cost its square.
const COMPARISONS: usize = 1_000_000;

/// Finds likely names within a bounded amount of work.
pub(crate) struct Nearest {
    left: usize,
}

impl Default for Nearest {
    fn default() -> Self {
        Self { left: COMPARISONS }
    }
}

impl Nearest {
    /// `, did you mean "..."?`, or nothing if no name is alike.
    pub(crate) fn hint<'a>(&mut self, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
        match self.find(name, known) {
            Some(found) => format!(", did you mean {}?", quoted(found)),
            None => String::new(),
        }
    }

    /// The name that is most like this one; the first in name order where several are.
    fn find<'a>(&mut self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        if name.len() > LONGEST || name.is_empty() {
            return None;
        }
        let wanted: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
        let limit = (wanted.len() / 3).max(1);
        let mut best: Option<(usize, &str)> = None;
        for candidate in known {
            if self.left == 0 {
                break;
            }
            self.left = self.left.saturating_sub(1);
            if candidate.len() > LONGEST || candidate.len().abs_diff(name.len()) > limit.saturating_mul(4) {
                continue;
            }
            let letters: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
            // Names that differ by their numbers alone are other objects, not slips.
            let renumbered = letters != wanted && without_digits(&letters).eq(without_digits(&wanted));
            if renumbered || letters.len().abs_diff(wanted.len()) > limit {
                continue;
            }
            let distance = distance(&wanted, &letters);
            if distance <= limit && best.is_none_or(|best| (distance, candidate) < best) {
                best = Some((distance, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }
}

fn without_digits(letters: &[char]) -> impl Iterator<Item = &char> {
    letters.iter().filter(|letter| !letter.is_ascii_digit())
}

/// How many letters must be added, left out, or replaced; two neighbours in the wrong order count once.
fn distance(left: &[char], right: &[char]) -> usize {
    if left.len() == right.len() {
        let mut differ = left.iter().zip(right).filter(|(left, right)| left != right);
        if let (Some(first), Some(second), None) = (differ.next(), differ.next(), differ.next()) {
            if first.0 == second.1 && first.1 == second.0 {
                return 1;
            }
        }
    }
    let mut row: Vec<usize> = (1..=right.len()).collect();
    let mut last = right.len();
    for (above, letter) in left.iter().enumerate() {
        let mut diagonal = above;
        let mut before = above.saturating_add(1);
        for (cell, other) in row.iter_mut().zip(right) {
            let replaced = diagonal.saturating_add(usize::from(letter != other));
            diagonal = *cell;
            before = replaced.min(before.saturating_add(1)).min(cell.saturating_add(1));
            *cell = before;
        }
        last = before;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::{Nearest, distance};
    use std::vec::Vec;

    fn letters(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("memroy", "memory", 1),
            ("cup", "cpu", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("esx-99", "esx-09", 1),
            ("kitten", "sitting", 3),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(&letters(left), &letters(right)), expected, "{left} {right}");
        }
    }

    #[test]
    fn the_most_alike_in_name_order() {
        let mut nearest = Nearest::default();
        assert_eq!(nearest.find("memroy", ["cpu", "memory", "gpu"]), Some("memory"));
        assert_eq!(nearest.find("bd-1", ["db-2", "db-1"]), Some("db-1"));
        assert_eq!(nearest.find("db-3", ["db-2", "db-1"]), None);
        assert_eq!(nearest.find("Memroy", ["memory", "Memorx"]), Some("memory"));
        assert_eq!(nearest.find("N1", ["n1", "n2"]), Some("n1"));
        assert_eq!(nearest.find("storage", ["cpu", "memory"]), None);
    }
}
