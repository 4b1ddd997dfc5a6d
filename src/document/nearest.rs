//! "Did you mean": the known name that is most like a name that is not known.
//!
//! Uses nothing of the crate. Used by every part of `document`.

use super::error::quoted;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Names longer than this are not compared.
const LONGEST: usize = 64;

/// How many slips a hint may mend at most: a name that differs by more is another name.
const SLIPS: usize = 4;

/// What the hints of one load may cost, in letters read and cells of tables filled, so that a document of errors does not
/// cost its square.
const WORK: usize = 50_000_000;

/// Finds likely names within a bounded amount of work.
pub(crate) struct Nearest {
    left: usize,
}

impl Default for Nearest {
    fn default() -> Self {
        Self { left: WORK }
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
        let limit = (wanted.len() / 3).clamp(1, SLIPS);
        let mut best: Option<(usize, &str)> = None;
        let mut letters: Vec<char> = Vec::new();
        for candidate in known {
            if self.left == 0 {
                break;
            }
            self.left = self.left.saturating_sub(1);
            if candidate.len() > LONGEST || candidate.len().abs_diff(name.len()) > limit.saturating_mul(4) {
                continue;
            }
            letters.clear();
            letters.extend(candidate.chars().flat_map(char::to_lowercase));
            self.left = self.left.saturating_sub(letters.len());
            // Names that differ by their numbers alone are other objects, not slips.
            let renumbered = letters != wanted && without_digits(&letters).eq(without_digits(&wanted));
            if renumbered || letters.len().abs_diff(wanted.len()) > limit {
                continue;
            }
            let most = best.map_or(limit, |(distance, _)| distance);
            let (distance, cells) = distance(&wanted, &letters, most);
            self.left = self.left.saturating_sub(cells);
            if let Some(distance) = distance {
                if best.is_none_or(|best| (distance, candidate) < best) {
                    best = Some((distance, candidate));
                }
            }
        }
        best.map(|(_, candidate)| candidate)
    }
}

fn without_digits(letters: &[char]) -> impl Iterator<Item = &char> {
    letters.iter().filter(|letter| !letter.is_ascii_digit())
}

/// How many letters must be added, left out, or replaced, if at most so many; two neighbours in the wrong order count
/// once. With it, how many cells that took: of each row of the table only those are filled that so few slips can reach,
/// and no more rows once all of one are beyond.
fn distance(left: &[char], right: &[char], most: usize) -> (Option<usize>, usize) {
    if left.len() == right.len() {
        let mut differ = left.iter().zip(right).filter(|(left, right)| left != right);
        if let (Some(first), Some(second), None) = (differ.next(), differ.next(), differ.next()) {
            if first.0 == second.1 && first.1 == second.0 {
                return (Some(1).filter(|swap| *swap <= most), left.len());
            }
        }
    }
    // Anything beyond.
    let beyond = most.saturating_add(1);
    let mut row: Vec<usize> = (1..=right.len()).map(|distance| distance.min(beyond)).collect();
    let mut last = right.len();
    let mut cells = right.len();
    for (above, letter) in left.iter().enumerate() {
        // The cells within the band; to their left all is beyond.
        let from = above.saturating_sub(most);
        let band = above.saturating_add(most).saturating_add(1).min(right.len()).saturating_sub(from);
        let mut diagonal =
            if from == 0 { above.min(beyond) } else { row.get(from.wrapping_sub(1)).copied().unwrap_or(beyond) };
        let mut before = if from == 0 { above.saturating_add(1).min(beyond) } else { beyond };
        let mut lowest = before;
        for (cell, other) in row.iter_mut().zip(right).skip(from).take(band) {
            let replaced = diagonal.saturating_add(usize::from(letter != other));
            diagonal = *cell;
            before = replaced.min(before.saturating_add(1)).min(cell.saturating_add(1)).min(beyond);
            *cell = before;
            lowest = lowest.min(before);
        }
        cells = cells.saturating_add(band);
        if lowest > most {
            return (None, cells);
        }
        last = row.last().copied().unwrap_or_else(|| above.saturating_add(1));
    }
    (Some(last).filter(|distance| *distance <= most), cells)
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
            for most in 0..6 {
                let found = distance(&letters(left), &letters(right), most).0;
                assert_eq!(found, Some(expected).filter(|distance| *distance <= most), "{left} {right} {most}");
            }
        }
    }

    #[test]
    fn a_band_of_the_table_says_what_the_table_says() {
        // Without a limit that counts, the band is the table.
        let words: Vec<Vec<char>> = (0..729_u32)
            .map(|number| (0..number % 7).map(|at| if (number >> at) & 1 == 0 { 'a' } else { 'b' }).collect())
            .collect();
        for (at, left) in words.iter().enumerate() {
            for right in words.iter().skip(at % 5).step_by(5) {
                let whole = distance(left, right, 99).0;
                for most in 0..4 {
                    assert_eq!(
                        distance(left, right, most).0,
                        whole.filter(|whole| *whole <= most),
                        "{left:?} {right:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn long_names_that_differ_cost_little() {
        let name = |seed: u32| -> Vec<char> {
            (0..64_u32).map(|at| char::from_u32(97 + (seed.wrapping_mul(at + 7) >> 3) % 26).unwrap_or('a')).collect()
        };
        let (found, cells) = distance(&name(7), &name(1_000_003), super::SLIPS);
        assert_eq!(found, None);
        assert!(cells < 400, "{cells}");
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
