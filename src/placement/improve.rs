//! Local search over fillings: empties a few targets, fills them again as well as possible from what was on them and
//! what is not placed, and keeps what leaves less outside.
//!
//! Uses `placement::{instance, assignment, budget}`. Used by `placement::solve`.
//! Data: an assignment and how many of each class may be left out -> [`improve`] -> an assignment that leaves out no
//! more than that, or none.
//!
//! The *cost* of what is left outside is its total size without, per class, the largest items of the number that may
//! be left out: zero means done. One move takes one to three targets; each is filled by a depth-first search for the
//! set of the greatest total value that fits (exact up to a limit of steps), values being sizes with a little noise.
//! A move that does not raise the cost (or raises it a little, now and then) stays.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: sizes are below 2^26 and there are at most 16 kinds, room goes down only by what fits"
)]

use super::assignment::Assignment;
use super::budget::{Budget, Stop};
use super::instance::{ClassIx, Instance, Shuffler, TargetIx};
use super::problem::ItemIx;
use crate::dense::{DenseId, IdVec, dense_id, to_u32};
use alloc::vec::Vec;

dense_id! {
    /// A candidate for filling: at most 64 at a time.
    struct CandidateIx;
}

/// Candidates of one move: one bit each.
const CANDIDATES: usize = 64;
/// Items taken from one target at most.
const FROM_TARGET: usize = 20;
/// Steps for filling one target.
const FILL_STEPS: u32 = 400;

/// Room and needs padded with zeros to a fixed number of kinds, so that loops over kinds unroll.
type Padded<const KINDS: usize> = [u64; KINDS];

fn padded<const KINDS: usize>(row: &[u64]) -> Padded<KINDS> {
    let mut wide = [0; KINDS];
    for (wide, &amount) in wide.iter_mut().zip(row) {
        *wide = amount;
    }
    wide
}

#[inline]
fn fits_in<const KINDS: usize>(need: &Padded<KINDS>, room: &Padded<KINDS>) -> bool {
    let mut fits = true;
    for (need, room) in need.iter().zip(room) {
        fits &= need <= room;
    }
    fits
}

#[inline]
fn less<const KINDS: usize>(room: &Padded<KINDS>, need: &Padded<KINDS>) -> Padded<KINDS> {
    let mut rest = *room;
    for (rest, need) in rest.iter_mut().zip(need) {
        *rest -= need;
    }
    rest
}

struct Candidate<const KINDS: usize> {
    item: ItemIx,
    value: u64,
    size: u64,
    /// The total value from here to the end.
    rest: u64,
    need: Padded<KINDS>,
    ruled: bool,
    /// Whether it equals the one before it.
    twin: bool,
}

/// The search for the best set for one target.
struct Filling<'f, 'p, 'a, const KINDS: usize> {
    instance: &'f Instance<'p, 'a>,
    candidates: IdVec<CandidateIx, Candidate<KINDS>>,
    used: u64,
    target: TargetIx,
    best: u64,
    best_set: u64,
    steps: u32,
    weights: Padded<KINDS>,
}

impl<const KINDS: usize> Filling<'_, '_, '_, KINDS> {
    /// An upper bound on the value that fits into `room` (up to rounding: only ever to prune).
    fn worth(&self, room: &Padded<KINDS>) -> u64 {
        let mut sum = 0_u64;
        for (kind, (&room, &weight)) in room.iter().zip(&self.weights).enumerate() {
            sum += self.instance.normal(kind, room) * weight;
        }
        sum
    }

    /// `worth` is what the room left is worth; together with `value` it bounds what this branch can reach.
    fn fill(
        &mut self,
        assignment: &mut Assignment,
        from: usize,
        room: &Padded<KINDS>,
        worth: u64,
        value: u64,
        set: u64,
    ) {
        if value > self.best {
            self.best = value;
            self.best_set = set;
        }
        if value + worth <= self.best {
            return;
        }
        let count = self.candidates.len();
        let mut skipped = false;
        for at in from..count {
            if self.used >> at & 1 == 1 {
                skipped = false;
                continue;
            }
            let candidate = &self.candidates[CandidateIx::from_index(at)];
            if value + candidate.rest <= self.best || self.steps == 0 {
                return;
            }
            self.steps -= 1;
            if candidate.twin && skipped {
                continue;
            }
            skipped = true;
            if !fits_in(&candidate.need, room) || !self.instance.is_eligible(candidate.item, self.target) {
                continue;
            }
            let rest = less(room, &candidate.need);
            let worth = worth.saturating_sub(candidate.size);
            let (item, ruled) = (candidate.item, candidate.ruled);
            let value = value + candidate.value;
            if ruled {
                let node = self.instance.node(self.target);
                if !assignment.rules.allows(self.instance.problem, item, node)
                    || !assignment.prerequisites_placed(self.instance, item)
                {
                    skipped = false;
                    continue;
                }
                assignment.rules.place(self.instance.problem, item, node);
                self.fill(assignment, at + 1, &rest, worth, value, set | 1 << at);
                assignment.rules.remove(self.instance.problem, item, node);
            } else {
                self.fill(assignment, at + 1, &rest, worth, value, set | 1 << at);
            }
        }
    }
}

/// Searches from `assignment`, which is legal, for one that leaves out at most `allowance` of each class of `items`.
/// `true`: `assignment` is one. Each time fewer items are left out than ever before, `found` is told.
pub(crate) fn improve(
    instance: &Instance<'_, '_>,
    items: &[ItemIx],
    allowance: &IdVec<ClassIx, Option<u32>>,
    assignment: &mut Assignment,
    seed: u64,
    budget: &mut Budget<'_>,
    found: &mut dyn FnMut(&Assignment),
) -> Result<bool, Stop> {
    match instance.kinds() {
        0 | 1 => Search::<1>::new(instance, items, allowance, seed).run(assignment, budget, found),
        2 => Search::<2>::new(instance, items, allowance, seed).run(assignment, budget, found),
        3 | 4 => Search::<4>::new(instance, items, allowance, seed).run(assignment, budget, found),
        5..=8 => Search::<8>::new(instance, items, allowance, seed).run(assignment, budget, found),
        _ => Search::<16>::new(instance, items, allowance, seed).run(assignment, budget, found),
    }
}

struct Search<'f, 'p, 'a, const KINDS: usize> {
    filling: Filling<'f, 'p, 'a, KINDS>,
    items: &'f [ItemIx],
    allowance: &'f IdVec<ClassIx, Option<u32>>,
    shuffler: Shuffler,
    /// Items not placed.
    outside: Vec<ItemIx>,
    /// Whether an item may be taken out by a move.
    movable: IdVec<ItemIx, bool>,
    ruled: IdVec<ItemIx, bool>,
    targets: Vec<TargetIx>,
    /// What a move took out, and from where.
    taken: Vec<(ItemIx, TargetIx)>,
    /// What it put in.
    given: Vec<(ItemIx, TargetIx)>,
    chosen: Vec<TargetIx>,
    granted: IdVec<ClassIx, u32>,
    by_size: Vec<ItemIx>,
    pool: Vec<(u64, ItemIx)>,
}

impl<'f, 'p, 'a, const KINDS: usize> Search<'f, 'p, 'a, KINDS> {
    fn new(
        instance: &'f Instance<'p, 'a>,
        items: &'f [ItemIx],
        allowance: &'f IdVec<ClassIx, Option<u32>>,
        seed: u64,
    ) -> Self {
        let problem = instance.problem;
        let mut weights = [0; KINDS];
        for (weight, &scarcity) in weights.iter_mut().zip(instance.scarcity()) {
            *weight = scarcity;
        }
        let ruled = instance
            .items()
            .map(|item| {
                !problem.member_of[item].is_empty()
                    || !problem.prerequisites[item].is_empty()
                    || !instance.dependents[item].is_empty()
            })
            .collect();
        let movable = instance
            .items()
            .map(|item| {
                !instance.pinned[item] && problem.prerequisites[item].is_empty() && instance.dependents[item].is_empty()
            })
            .collect();
        Self {
            filling: Filling {
                instance,
                candidates: IdVec::new(),
                used: 0,
                target: TargetIx(0),
                best: 0,
                best_set: 0,
                steps: 0,
                weights,
            },
            items,
            allowance,
            shuffler: Shuffler::new(seed),
            outside: Vec::new(),
            movable,
            ruled,
            targets: Vec::new(),
            taken: Vec::new(),
            given: Vec::new(),
            chosen: Vec::new(),
            granted: IdVec::new(),
            by_size: Vec::new(),
            pool: Vec::new(),
        }
    }

    fn run(
        &mut self,
        assignment: &mut Assignment,
        budget: &mut Budget<'_>,
        found: &mut dyn FnMut(&Assignment),
    ) -> Result<bool, Stop> {
        let instance = self.filling.instance;
        self.outside.clear();
        self.outside.extend(self.items.iter().copied().filter(|&item| assignment.place_of[item].is_none()));
        // Targets that could hold anything at all.
        self.targets.clear();
        self.targets.extend(instance.targets().filter(|&target| {
            assignment.held[target].iter().any(|&item| self.movable[item])
                || assignment.room[target].iter().any(|&room| room > 0)
        }));
        budget.spend(u64::from(to_u32(self.targets.len())))?;
        let mut cost = self.cost();
        let mut best = cost;
        let mut fewest = self.outside.len();
        let mut moves = 0_u64;
        while cost > 0 {
            if self.targets.is_empty() {
                return Ok(false);
            }
            let count = match self.shuffler.below(8) {
                0 => 1,
                1..=4 => 2,
                _ => 3,
            };
            self.choose_targets(count);
            let holes = self.holes(assignment);
            self.try_move(assignment, budget)?;
            let next = self.cost();
            // In one dimension what counts is where the holes are; in more they rarely match, and moving on is better.
            // Which of two ways of being loose leads further differs from problem to problem: they take turns.
            moves += 1;
            let often = (moves >> 12) & 1 == 1;
            let (one_in, part) = if instance.kinds() == 1 {
                (200, 8)
            } else if often {
                (3, 8)
            } else {
                (24, 4)
            };
            let loose = self.shuffler.below(one_in) == 0;
            let slack = if loose { best / part } else { 0 };
            let moves_on = loose || instance.kinds() > 1 || self.holes(assignment) >= holes;
            if next < cost || next <= cost + slack && moves_on {
                cost = next;
                self.settle();
            } else {
                self.undo(assignment);
            }
            best = best.min(cost);
            if self.outside.len() < fewest {
                fewest = self.outside.len();
                found(assignment);
            }
        }
        Ok(true)
    }

    /// The size outside that is too much.
    fn cost(&mut self) -> u64 {
        let instance = self.filling.instance;
        self.granted.reset(0, self.allowance.len());
        self.by_size.clear();
        self.by_size.extend_from_slice(&self.outside);
        self.by_size.sort_unstable_by_key(|&item| core::cmp::Reverse(instance.weighted[item]));
        let mut cost = 0;
        for &item in &self.by_size {
            let class = instance.class(item);
            let granted = &mut self.granted[class];
            if self.allowance[class].is_none_or(|allowed| *granted < allowed) {
                *granted += 1;
            } else {
                cost += instance.weighted[item] + 1;
            }
        }
        cost
    }

    /// How concentrated the room is that the chosen targets have left: the sum of squares.
    fn holes(&self, assignment: &Assignment) -> u64 {
        let squares = self.chosen.iter().map(|&target| {
            let worth = self.filling.worth(&padded(&assignment.room[target]));
            worth.saturating_mul(worth)
        });
        squares.fold(0, u64::saturating_add)
    }

    fn choose_targets(&mut self, count: usize) {
        self.chosen.clear();
        let wanted = count.min(self.targets.len());
        while self.chosen.len() < wanted {
            let at = self.shuffler.below(self.targets.len());
            let Some(&target) = self.targets.get(at) else { return };
            if !self.chosen.contains(&target) {
                self.chosen.push(target);
            }
        }
    }

    /// Empties the chosen targets and fills them again; `taken` and `given` say how to undo it.
    fn try_move(&mut self, assignment: &mut Assignment, budget: &mut Budget<'_>) -> Result<(), Stop> {
        let instance = self.filling.instance;
        self.taken.clear();
        self.given.clear();
        self.pool.clear();
        for &target in &self.chosen {
            let held = &assignment.held[target];
            let offset = if held.len() > FROM_TARGET { self.shuffler.below(held.len()) } else { 0 };
            let mut wanted = FROM_TARGET.min((CANDIDATES - 4) / self.chosen.len());
            for at in 0..held.len() {
                let position = if at + offset < held.len() { at + offset } else { at + offset - held.len() };
                let Some(&item) = held.get(position) else { break };
                if self.movable[item] && wanted > 0 {
                    wanted -= 1;
                    self.taken.push((item, target));
                }
            }
        }
        for &(item, _) in &self.taken {
            assignment.remove(instance, item);
        }
        // Candidates: what was taken, and what is outside.
        let spare = CANDIDATES - self.taken.len();
        let offset = if self.outside.len() > spare { self.shuffler.below(self.outside.len()) } else { 0 };
        let noise = if self.shuffler.below(3) == 0 { 0 } else { 1 + self.shuffler.next() % 8 };
        let outside = self.outside.iter().cycle().skip(offset).take(self.outside.len().min(spare));
        let shuffler = &mut self.shuffler;
        self.pool.extend(self.taken.iter().map(|entry| entry.0).chain(outside.copied()).map(|item| {
            let size = instance.weighted[item] + 1;
            let extra = (size * noise * (shuffler.next() >> 56)) >> 12;
            (size + extra, item)
        }));
        self.pool.sort_unstable_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(&right.1)));
        self.filling.candidates.clear();
        let mut rest: u64 = self.pool.iter().map(|entry| entry.0).sum();
        for &(value, item) in &self.pool {
            let need = padded(&instance.problem.need[item]);
            let last = self.filling.candidates.len().checked_sub(1).map(CandidateIx::from_index);
            let twin = last.is_some_and(|last| {
                let last = &self.filling.candidates[last];
                last.need == need
                    && !last.ruled
                    && !self.ruled[item]
                    && instance.problem.eligible[last.item] == instance.problem.eligible[item]
            });
            self.filling.candidates.push(Candidate {
                item,
                value,
                size: instance.weighted[item],
                rest,
                need,
                ruled: self.ruled[item],
                twin,
            });
            rest -= value;
        }
        self.filling.used = 0;
        for at in 0..self.chosen.len() {
            let Some(&target) = self.chosen.get(at) else { break };
            self.filling.target = target;
            self.filling.best = 0;
            self.filling.best_set = 0;
            self.filling.steps = FILL_STEPS;
            let room = padded(&assignment.room[target]);
            let worth = self.filling.worth(&room);
            // Noise makes values up to an eighth larger than sizes.
            let worth = if noise == 0 { worth } else { worth + worth / 8 };
            self.filling.fill(assignment, 0, &room, worth, 0, 0);
            budget.spend_steps(u64::from(FILL_STEPS - self.filling.steps) + 8)?;
            self.filling.used |= self.filling.best_set;
            let mut set = self.filling.best_set;
            while set != 0 {
                let item = self.filling.candidates[CandidateIx(set.trailing_zeros())].item;
                assignment.place(instance, item, target);
                self.given.push((item, target));
                set &= set - 1;
            }
        }
        // What is outside now.
        for &(item, _) in &self.taken {
            if assignment.place_of[item].is_none() {
                self.outside.push(item);
            }
        }
        self.outside.retain(|&item| assignment.place_of[item].is_none());
        Ok(())
    }

    fn settle(&mut self) {
        self.taken.clear();
        self.given.clear();
    }

    fn undo(&mut self, assignment: &mut Assignment) {
        let instance = self.filling.instance;
        for &(item, _) in &self.given {
            assignment.remove(instance, item);
        }
        for &(item, target) in &self.taken {
            assignment.place(instance, item, target);
        }
        self.outside.extend(self.given.iter().map(|entry| entry.0));
        self.outside.retain(|&item| assignment.place_of[item].is_none());
        self.outside.sort_unstable();
        self.outside.dedup();
    }
}
