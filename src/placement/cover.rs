//! Exact covers for problems without slack: when the items fill the targets to the last unit, every target must be
//! filled by one of the few sets that waste next to nothing.
//!
//! Uses `placement::{instance, assignment, budget}`. Used by `placement::solve`.
//! Data: `Instance` whose targets are equal and whose items are free of rules -> [`cover`] -> an assignment of all
//! items.
//!
//! The *waste* of a target is what stays free. If everything is to be placed, the total waste per kind is the total
//! room minus the total need: the *slack*. So each target's waste is at most the slack that the others leave. The
//! search takes the open item with the fewest fillings that waste no more than what is left of the slack, and tries
//! them in turn; fillings have up to three items, which are looked up by what the first two leave.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: sums of needs and of capacities fit u64 (the cluster checks it); counts of objects"
)]

use super::assignment::Assignment;
use super::budget::{Budget, Stop};
use super::instance::{Instance, Shuffler};
use super::problem::ItemIx;
use crate::dense::{IdVec, dense_id, fits, to_u32};
use alloc::vec::Vec;
use smallvec::SmallVec;

dense_id! {
    /// A set of items that fills a target.
    struct FillingIx;
}

/// More fillings than this are too many to list.
const FILLINGS_MAX: usize = 400_000;
/// Items in a filling at most.
const FILLING_ITEMS_MAX: usize = 3;

/// The fillings of an instance and the state of the search.
struct Cover {
    fillings: IdVec<FillingIx, SmallVec<[ItemIx; FILLING_ITEMS_MAX]>>,
    of_item: IdVec<ItemIx, Vec<FillingIx>>,
    /// How many items of a filling are covered already; 0: it can be used.
    blocked: IdVec<FillingIx, u32>,
    /// How many usable fillings an open item has.
    usable: IdVec<ItemIx, u32>,
    covered: IdVec<ItemIx, bool>,
    /// Whether there are no other fillings.
    complete: bool,
    chosen: Vec<FillingIx>,
    order: IdVec<FillingIx, u64>,
}

/// Tries to place all `items`, which are free of rules and may go anywhere, on equal targets that they fill exactly.
/// `Some(true)`: `assignment` does. `Some(false)`: certain that it is impossible. `None`: this is not such
/// a problem, or larger fillings would be needed.
pub(crate) fn cover(
    instance: &Instance<'_, '_>,
    items: &[ItemIx],
    assignment: &mut Assignment,
    budget: &mut Budget<'_>,
) -> Result<Option<bool>, Stop> {
    if !applies(instance, items) {
        return Ok(None);
    }
    let Some(mut state) = list_fillings(instance, items, budget)? else { return Ok(None) };
    let mut shuffler = Shuffler::new(11);
    // Restarts: the order of the fillings decides how soon a cover is found, and no order is good for all.
    let mut patience: u64 = 400;
    loop {
        for filling in state.fillings.ids() {
            state.order[filling] = shuffler.next();
        }
        let mut left = patience;
        match state.descend(items, &mut left, budget)? {
            Outcome::Found => {
                assignment.reset(instance);
                for (&filling, target) in state.chosen.iter().zip(instance.targets()) {
                    for &item in &state.fillings[filling] {
                        assignment.place(instance, item, target);
                    }
                }
                return Ok(Some(true));
            }
            Outcome::None => return Ok(state.complete.then_some(false)),
            Outcome::GaveUp => patience += patience / 16,
        }
        state.release_all();
    }
}

enum Outcome {
    Found,
    None,
    GaveUp,
}

/// Equal targets, items that may go to any and are in no rule, and no slack in any kind that matters.
fn applies(instance: &Instance<'_, '_>, items: &[ItemIx]) -> bool {
    let problem = instance.problem;
    if items.len() > problem.nodes.len() * FILLING_ITEMS_MAX {
        return false;
    }
    let mut rooms = instance.room.iter();
    let Some(first) = rooms.next() else { return false };
    if !rooms.all(|room| room == first) {
        return false;
    }
    let free = items.iter().all(|&item| {
        problem.member_of[item].is_empty()
            && problem.prerequisites[item].is_empty()
            && instance.dependents[item].is_empty()
            && to_u32(problem.nodes.len()) == instance.eligible[problem.eligible[item]].count()
    });
    free && (0..instance.kinds()).all(|kind| {
        let of_kind = |row: &[u64]| u128::from(row.get(kind).copied().unwrap_or(0));
        let room: u128 = instance.room.iter().map(of_kind).sum();
        let need: u128 = items.iter().map(|&item| of_kind(&problem.need[item])).sum();
        room == need
    })
}

/// All sets of up to three items that fill a target exactly; `None` if there are too many.
fn list_fillings(
    instance: &Instance<'_, '_>,
    items: &[ItemIx],
    budget: &mut Budget<'_>,
) -> Result<Option<Cover>, Stop> {
    let problem = instance.problem;
    let Some(room) = instance.room.iter().next() else { return Ok(None) };
    // Whether no larger set fits: in some kind the four smallest needs exceed the room.
    let complete = (0..instance.kinds()).any(|kind| {
        let mut needs: Vec<u64> = items.iter().filter_map(|&item| problem.need[item].get(kind).copied()).collect();
        needs.sort_unstable();
        let sum: u64 = needs.iter().take(FILLING_ITEMS_MAX + 1).sum();
        needs.len() > FILLING_ITEMS_MAX && room.get(kind).is_some_and(|room| sum > *room)
    });
    // Items by need, to look up the last one of a filling.
    let mut by_need: Vec<ItemIx> = items.to_vec();
    by_need.sort_by(|&left, &right| problem.need[left].cmp(&problem.need[right]).then(left.cmp(&right)));
    let mut state = Cover {
        fillings: IdVec::new(),
        of_item: IdVec::filled(Vec::new(), problem.class.len()),
        blocked: IdVec::new(),
        usable: IdVec::filled(0, problem.class.len()),
        covered: IdVec::filled(false, problem.class.len()),
        complete,
        chosen: Vec::new(),
        order: IdVec::new(),
    };
    let mut rest: Vec<u64> = alloc::vec![0; room.len()];
    for &last in items {
        if problem.need[last] == *room {
            state.add(&[last]);
        }
    }
    for (at, &first) in items.iter().enumerate() {
        budget.spend_steps(u64::from(to_u32(items.len())) * 4)?;
        for &second in items.iter().skip(at + 1) {
            for (((rest, room), one), two) in
                rest.iter_mut().zip(room).zip(&problem.need[first]).zip(&problem.need[second])
            {
                *rest = room.wrapping_sub(*one).wrapping_sub(*two);
            }
            let one_fits = problem.need[first]
                .iter()
                .zip(&problem.need[second])
                .zip(room)
                .all(|((one, two), room)| one.checked_add(*two).is_some_and(|sum| sum <= *room));
            if !one_fits {
                continue;
            }
            if rest.iter().all(|&rest| rest == 0) {
                state.add(&[first, second]);
                continue;
            }
            // The third lies behind the second, so that each set is found once.
            let from = by_need.partition_point(|&item| problem.need[item] < *rest.as_slice());
            for &third in by_need.get(from..).unwrap_or_default() {
                if problem.need[third] != *rest.as_slice() {
                    break;
                }
                if third > second {
                    state.add(&[first, second, third]);
                }
            }
            if state.fillings.len() > FILLINGS_MAX {
                return Ok(None);
            }
        }
    }
    debug_assert!(items.iter().all(|&item| fits(&problem.need[item], room)));
    Ok(Some(state))
}

impl Cover {
    fn add(&mut self, items: &[ItemIx]) {
        let filling = self.fillings.push(items.iter().copied().collect());
        self.blocked.push(0);
        self.order.push(0);
        for &item in items {
            self.of_item[item].push(filling);
            self.usable[item] += 1;
        }
    }

    /// Covers the items of `filling`: every other filling with any of them is blocked.
    fn choose(&mut self, filling: FillingIx) -> u64 {
        let mut steps = 0;
        self.chosen.push(filling);
        for at in 0..self.fillings[filling].len() {
            let Some(&item) = self.fillings[filling].get(at) else { break };
            self.covered[item] = true;
            steps += u64::from(to_u32(self.of_item[item].len()));
            for &other in &self.of_item[item] {
                self.blocked[other] += 1;
                if self.blocked[other] == 1 {
                    for &lost in &self.fillings[other] {
                        self.usable[lost] -= 1;
                    }
                }
            }
        }
        steps
    }

    fn release(&mut self) {
        let Some(filling) = self.chosen.pop() else { return };
        for at in 0..self.fillings[filling].len() {
            let Some(&item) = self.fillings[filling].get(at) else { break };
            self.covered[item] = false;
            for &other in &self.of_item[item] {
                self.blocked[other] -= 1;
                if self.blocked[other] == 0 {
                    for &gained in &self.fillings[other] {
                        self.usable[gained] += 1;
                    }
                }
            }
        }
    }

    fn release_all(&mut self) {
        while !self.chosen.is_empty() {
            self.release();
        }
    }

    /// Depth first from the fillings chosen so far (none, at the start), without recursion: each entry of the path is
    /// the item covered there and the fillings still to try for it. `left` counts choices until it gives up.
    fn descend(&mut self, items: &[ItemIx], left: &mut u64, budget: &mut Budget<'_>) -> Result<Outcome, Stop> {
        let mut to_try: Vec<FillingIx> = Vec::new();
        // Where each level's fillings start in `to_try`.
        let mut levels: Vec<usize> = Vec::new();
        loop {
            budget.spend_steps(u64::from(to_u32(items.len())) / 4 + 1)?;
            let open = items.iter().copied().filter(|&item| !self.covered[item]);
            let Some(item) = open.min_by_key(|&item| (self.usable[item], item)) else { return Ok(Outcome::Found) };
            levels.push(to_try.len());
            let from = to_try.len();
            to_try.extend(self.of_item[item].iter().copied().filter(|&filling| self.blocked[filling] == 0));
            // The one that takes the fewest other fillings away comes last, and is tried first; give or take a half.
            let taken_away = |filling: FillingIx| -> u64 {
                let usable: u64 = self.fillings[filling].iter().map(|&item| u64::from(self.usable[item])).sum();
                usable * (256 + (self.order[filling] >> 56))
            };
            if let Some(these) = to_try.get_mut(from..) {
                these.sort_unstable_by_key(|&filling| (core::cmp::Reverse(taken_away(filling)), filling));
            }
            // Go back to a level that has something left to try.
            while levels.last().is_some_and(|&from| to_try.len() == from) {
                levels.pop();
                if levels.is_empty() {
                    return Ok(Outcome::None);
                }
                self.release();
            }
            let Some(filling) = to_try.pop() else { return Ok(Outcome::None) };
            if *left == 0 {
                return Ok(Outcome::GaveUp);
            }
            *left -= 1;
            // Two fillings are blocked in about the time of one step.
            let steps = self.choose(filling) / 2;
            budget.spend_steps(steps)?;
        }
    }
}
