//! Exact search: can these items be placed, leaving out at most so many of each class? Yes with an assignment, no
//! with certainty, or the budget is spent.
//!
//! Uses `placement::{instance, assignment, symmetry, rules, budget}`. Used by `placement::solve`.
//! Data: `Instance`, the items in question and how many of each class may be left out -> [`Exact::search`].
//!
//! Depth first: the item with the fewest targets next, each of its targets in turn, then leaving it out. A branch
//! ends where more of a class would be left out than may be, or where the room of the targets that are still of use
//! is less, in some kind, than the least that is still to be placed.
//!
//! **Symmetry.** A subtree that returned without a solution says: no legal assignment at all extends the partial
//! assignment at its root within the allowance. So (a) after item i failed on target t under a partial assignment A,
//! and i is put elsewhere, no twin j of i needs to be tried on t below A: exchanging i and j in a solution would give
//! one that extends A with i on t. (b) After i failed on t, a target alike to t under A (same class, same room, both
//! empty if constraints are in play) fails as well. (c) After i failed everywhere and is left out, its twins are to be
//! left out, too. Each step speaks of all legal assignments, not of those the search would still visit, so they
//! combine freely.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: sums of needs and of capacities fit u64 (the cluster checks it); counters go down only after \
              they went up"
)]

use super::assignment::Assignment;
use super::budget::{Budget, Stop};
use super::instance::{ClassIx, Instance, TargetIx};
use super::problem::ItemIx;
use super::symmetry::{Symmetry, TwinsIx};
use crate::dense::{DenseId, IdVec, dense_id, fits, to_u32};
use alloc::vec::Vec;

/// The search recurses once per item: more items than this are left to the other engines.
pub(crate) const ITEMS_MAX: usize = 600;
/// Bans are a table of twins by targets; larger ones are left to the other engines.
pub(crate) const BANS_MAX: usize = 4_000_000;

dense_id! {
    struct BanIx;
}

/// Where an item stands in the search.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Standing {
    /// No part of this search.
    #[default]
    Outside,
    Open,
    Placed,
    LeftOut,
}

/// What to branch on.
#[derive(Clone, Copy, Debug)]
enum Next {
    Item(ItemIx),
    /// Nothing is open any more.
    Nothing,
    /// No solution below.
    DeadEnd,
}

/// The memory of the search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exact {
    symmetry: Symmetry,
    standing: IdVec<ItemIx, Standing>,
    items: Vec<ItemIx>,
    /// How many more of each class may be left out; `None`: any number.
    allowance: IdVec<ClassIx, Option<u32>>,
    open_in_class: IdVec<ClassIx, u32>,
    taken: IdVec<ClassIx, u32>,
    /// How often a group of twins is banned from a target.
    bans: IdVec<BanIx, u32>,
    ban_trail: Vec<BanIx>,
    /// Items left out, in order.
    left_out: Vec<ItemIx>,
    /// Targets to try, of all levels of the search one after the other: how tight, and which.
    candidates: Vec<(u64, TargetIx)>,
    /// Targets that some open item could use (stamped).
    useful: IdVec<TargetIx, u32>,
    stamp: u32,
    /// Per kind the items by rising need.
    by_need: Vec<Vec<ItemIx>>,
    room_useful: Vec<u64>,
}

impl Exact {
    /// Whether the search can be run on so many items.
    pub(crate) fn can_search(instance: &Instance<'_, '_>, items: usize) -> bool {
        items <= ITEMS_MAX && items.saturating_mul(instance.problem.nodes.len()) <= BANS_MAX
    }

    /// Searches for a legal assignment of `items` (all placeable) that leaves out at most `allowance` of each class.
    /// `true`: `assignment` holds it. `false`: there is none. On [`Stop`] `assignment` holds nothing of use.
    pub(crate) fn search(
        &mut self,
        instance: &Instance<'_, '_>,
        items: &[ItemIx],
        allowance: &IdVec<ClassIx, Option<u32>>,
        assignment: &mut Assignment,
        budget: &mut Budget<'_>,
    ) -> Result<bool, Stop> {
        assignment.reset(instance);
        self.symmetry.find(instance, items);
        self.items.clear();
        self.items.extend_from_slice(items);
        self.allowance.copy_from(allowance);
        self.standing.reset(Standing::Outside, instance.problem.class.len());
        self.open_in_class.reset(0, allowance.len());
        self.bans.reset(0, self.symmetry.twins_count * instance.problem.nodes.len());
        self.ban_trail.clear();
        self.left_out.clear();
        self.candidates.clear();
        self.useful.reset(0, instance.problem.nodes.len());
        self.stamp = 0;
        for &item in items {
            self.standing[item] = Standing::Open;
            self.open_in_class[instance.class(item)] += 1;
            assignment.rules.open(instance.problem, item);
        }
        self.by_need.resize_with(instance.kinds(), Vec::new);
        for (kind, order) in self.by_need.iter_mut().enumerate() {
            order.clear();
            order.extend_from_slice(items);
            order.sort_by_key(|&item| (instance.problem.need[item].get(kind).copied(), item));
        }
        self.room_useful.resize(instance.kinds(), 0);
        self.descend(instance, assignment, budget)
    }

    fn ban_ix(instance: &Instance<'_, '_>, twins: TwinsIx, target: TargetIx) -> BanIx {
        BanIx::from_index(twins.index() * instance.problem.nodes.len() + target.index())
    }

    fn may_use(&self, instance: &Instance<'_, '_>, assignment: &Assignment, item: ItemIx, target: TargetIx) -> bool {
        fits(&instance.problem.need[item], &assignment.room[target])
            && instance.is_eligible(item, target)
            && self.bans[Self::ban_ix(instance, self.symmetry.twins[item], target)] == 0
            && assignment.rules.could_allow(instance.problem, item, instance.node(target))
    }

    /// Leaves `item` out, and what needs it. `false` if that is more than may be left out, or if a placed item needs
    /// it; what was left out stays on `left_out` either way.
    fn leave_out(&mut self, instance: &Instance<'_, '_>, assignment: &mut Assignment, item: ItemIx) -> bool {
        let from = self.left_out.len();
        self.mark_left_out(instance, assignment, item);
        let mut at = from;
        while let Some(&next) = self.left_out.get(at) {
            at += 1;
            for &dependent in &instance.dependents[next] {
                match self.standing[dependent] {
                    Standing::Placed => return false,
                    Standing::Open => self.mark_left_out(instance, assignment, dependent),
                    Standing::Outside | Standing::LeftOut => {}
                }
            }
        }
        true
    }

    fn mark_left_out(&mut self, instance: &Instance<'_, '_>, assignment: &mut Assignment, item: ItemIx) {
        self.standing[item] = Standing::LeftOut;
        self.open_in_class[instance.class(item)] -= 1;
        assignment.rules.close(instance.problem, item);
        self.left_out.push(item);
    }

    /// Takes back everything left out since `left_out` had `length` entries.
    fn take_back(&mut self, instance: &Instance<'_, '_>, assignment: &mut Assignment, length: usize) {
        while self.left_out.len() > length {
            let Some(item) = self.left_out.pop() else { return };
            self.standing[item] = Standing::Open;
            self.open_in_class[instance.class(item)] += 1;
            assignment.rules.open(instance.problem, item);
        }
    }

    /// Whether no more are left out of any class than may be.
    fn within_allowance(&mut self, instance: &Instance<'_, '_>) -> bool {
        self.taken.reset(0, self.allowance.len());
        for &item in &self.left_out {
            self.taken[instance.class(item)] += 1;
        }
        self.allowance
            .iter()
            .zip(self.taken.iter())
            .all(|(allowed, &taken)| allowed.is_none_or(|allowed| taken <= allowed))
    }

    /// One level of the search. Everything it changes it takes back, unless it returns `true` or an error.
    fn descend(
        &mut self,
        instance: &Instance<'_, '_>,
        assignment: &mut Assignment,
        budget: &mut Budget<'_>,
    ) -> Result<bool, Stop> {
        let left_out_before = self.left_out.len();
        let bans_before = self.ban_trail.len();
        let candidates_before = self.candidates.len();
        let found = self.branch(instance, assignment, budget)?;
        if !found {
            self.take_back(instance, assignment, left_out_before);
            while self.ban_trail.len() > bans_before {
                if let Some(ban) = self.ban_trail.pop() {
                    self.bans[ban] -= 1;
                }
            }
            self.candidates.truncate(candidates_before);
        }
        Ok(found)
    }

    fn branch(
        &mut self,
        instance: &Instance<'_, '_>,
        assignment: &mut Assignment,
        budget: &mut Budget<'_>,
    ) -> Result<bool, Stop> {
        let item = match self.next_item(instance, assignment, budget)? {
            Next::DeadEnd => return Ok(false),
            Next::Nothing => return Ok(assignment.rules.open_ended_legal(instance.problem)),
            Next::Item(item) => item,
        };
        let first = self.candidates.len();
        for target in instance.targets() {
            if self.may_use(instance, assignment, item, target) {
                let tight = instance.problem.need[item]
                    .iter()
                    .zip(&assignment.room[target])
                    .enumerate()
                    .map(|(kind, (need, room))| instance.normal(kind, room - need))
                    .fold(0_u64, u64::saturating_add);
                self.candidates.push((tight, target));
            }
        }
        let last = self.candidates.len();
        if let Some(these) = self.candidates.get_mut(first..last) {
            these.sort_unstable();
        }
        self.standing[item] = Standing::Placed;
        self.open_in_class[instance.class(item)] -= 1;
        let twins = self.symmetry.twins[item];
        for at in first..last {
            let Some(&(_, target)) = self.candidates.get(at) else { break };
            let tried = self.candidates.get(first..at).unwrap_or_default();
            let seen = tried.iter().any(|&(_, other)| self.targets_alike(assignment, target, other));
            if !seen {
                budget.spend(1)?;
                assignment.rules.close(instance.problem, item);
                assignment.place(instance, item, target);
                if self.descend(instance, assignment, budget)? {
                    return Ok(true);
                }
                assignment.remove(instance, item);
                assignment.rules.open(instance.problem, item);
            }
            let ban = Self::ban_ix(instance, twins, target);
            self.bans[ban] += 1;
            self.ban_trail.push(ban);
        }
        self.standing[item] = Standing::Open;
        self.open_in_class[instance.class(item)] += 1;
        // Without it: neither are its twins placed (module doc, c).
        for at in 0..self.items.len() {
            let Some(&other) = self.items.get(at) else { break };
            if self.standing[other] == Standing::Open
                && self.symmetry.twins[other] == twins
                && !self.leave_out(instance, assignment, other)
            {
                return Ok(false);
            }
        }
        if !self.within_allowance(instance) {
            return Ok(false);
        }
        self.descend(instance, assignment, budget)
    }

    fn targets_alike(&self, assignment: &Assignment, left: TargetIx, right: TargetIx) -> bool {
        self.symmetry.target_class[left] == self.symmetry.target_class[right]
            && assignment.room[left] == assignment.room[right]
            && (!self.symmetry.constrained || (assignment.held[left].is_empty() && assignment.held[right].is_empty()))
    }

    /// The open item with the fewest targets. Items without any are left out on the way.
    fn next_item(
        &mut self,
        instance: &Instance<'_, '_>,
        assignment: &mut Assignment,
        budget: &mut Budget<'_>,
    ) -> Result<Next, Stop> {
        loop {
            self.stamp += 1;
            let mut best: Option<(u32, core::cmp::Reverse<u64>, ItemIx)> = None;
            let mut dropped = false;
            for at in 0..self.items.len() {
                let Some(&item) = self.items.get(at) else { break };
                if self.standing[item] != Standing::Open {
                    continue;
                }
                budget.spend(u64::from(to_u32(instance.problem.nodes.len() / 4)) + 1)?;
                let mut count = 0;
                for target in instance.targets() {
                    if self.may_use(instance, assignment, item, target) {
                        count += 1;
                        self.useful[target] = self.stamp;
                    }
                }
                if count == 0 {
                    if !self.leave_out(instance, assignment, item) || !self.within_allowance(instance) {
                        return Ok(Next::DeadEnd);
                    }
                    dropped = true;
                    continue;
                }
                let key = (count, core::cmp::Reverse(instance.weighted[item]), item);
                if best.is_none_or(|least| key < least) {
                    best = Some(key);
                }
            }
            if dropped {
                // Fewer are open: what was counted as useful may be so no longer, and dependents went with them.
                continue;
            }
            let Some((_, _, item)) = best else { return Ok(Next::Nothing) };
            if !self.enough_room(instance, assignment) {
                return Ok(Next::DeadEnd);
            }
            return Ok(Next::Item(item));
        }
    }

    /// Whether, kind by kind, the useful targets have room for the least that must still be placed: of each class the
    /// smallest needs, as many as may not be left out. Any solution below places that many of each class, on useful
    /// targets only (a target that no open item may use now is used by none later: room, bans and rules only tighten).
    fn enough_room(&mut self, instance: &Instance<'_, '_>, assignment: &Assignment) -> bool {
        self.room_useful.fill(0);
        for target in instance.targets() {
            if self.useful[target] == self.stamp {
                for (sum, room) in self.room_useful.iter_mut().zip(&assignment.room[target]) {
                    *sum = sum.saturating_add(*room);
                }
            }
        }
        // How many of each class may still be left out, then how many must be placed.
        self.taken.reset(0, self.allowance.len());
        for &item in &self.left_out {
            self.taken[instance.class(item)] += 1;
        }
        for class in self.allowance.ids() {
            self.taken[class] = match self.allowance[class] {
                None => 0,
                Some(allowed) => {
                    let spare = allowed.saturating_sub(self.taken[class]);
                    self.open_in_class[class].saturating_sub(spare)
                }
            };
        }
        let mut must = core::mem::take(&mut self.taken);
        let mut enough = true;
        let mut counted = IdVec::filled(0_u32, must.len());
        for (kind, order) in self.by_need.iter().enumerate() {
            counted.reset(0, must.len());
            let mut least = 0_u64;
            for &item in order {
                let class = instance.class(item);
                if self.standing[item] == Standing::Open && counted[class] < must[class] {
                    counted[class] += 1;
                    least = least.saturating_add(instance.problem.need[item].get(kind).copied().unwrap_or(0));
                }
            }
            enough &= self.room_useful.get(kind).is_some_and(|room| least <= *room);
        }
        core::mem::swap(&mut self.taken, &mut must);
        enough
    }
}
