//! An assignment of items to targets that can grow and shrink: what is left free, who is where, what rules count.
//!
//! Uses `placement::instance`, `placement::rules`. Used by every engine of `placement`.
//! Data: `Instance` -> [`Assignment::reset`] -> `place`, `remove` -> [`Assignment::save_to`].

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: room goes down only by a need that fits into it, and up only by one that went down before"
)]

use super::instance::{ClassIx, Instance, TargetIx};
use super::problem::ItemIx;
use super::rules::RuleStates;
use crate::dense::{IdVec, Rows, to_usize};
use alloc::vec::Vec;

/// Where each item is.
pub(crate) type Places = IdVec<ItemIx, Option<TargetIx>>;

/// A legal assignment that changes item by item.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    /// What is left free.
    pub(crate) room: Rows<TargetIx>,
    /// Where each item is.
    pub(crate) place_of: Places,
    /// The items on each target, in no particular but always the same order.
    pub(crate) held: IdVec<TargetIx, Vec<ItemIx>>,
    /// How many are placed per class.
    pub(crate) placed: IdVec<ClassIx, u32>,
    pub(crate) rules: RuleStates,
}

impl Default for Assignment {
    fn default() -> Self {
        Self {
            room: Rows::new(0),
            place_of: IdVec::new(),
            held: IdVec::new(),
            placed: IdVec::new(),
            rules: RuleStates::default(),
        }
    }
}

impl Assignment {
    /// Starts over: nothing is placed.
    pub(crate) fn reset(&mut self, instance: &Instance<'_, '_>) {
        self.room.copy_from(&instance.room);
        self.place_of.reset(None, instance.problem.class.len());
        for held in self.held.iter_mut() {
            held.clear();
        }
        while self.held.len() < instance.problem.nodes.len() {
            self.held.push(Vec::new());
        }
        self.placed.reset(0, to_usize(instance.problem.classes));
        self.rules.reset(instance.problem);
    }

    /// Whether the prerequisites of `item` are placed.
    #[inline]
    pub(crate) fn prerequisites_placed(&self, instance: &Instance<'_, '_>, item: ItemIx) -> bool {
        instance.problem.prerequisites[item].iter().all(|&needed| self.place_of[needed].is_some())
    }

    /// Puts `item`, which is not placed, on `target`, where it fits.
    pub(crate) fn place(&mut self, instance: &Instance<'_, '_>, item: ItemIx, target: TargetIx) {
        debug_assert!(self.place_of[item].is_none());
        for (left, need) in self.room[target].iter_mut().zip(&instance.problem.need[item]) {
            debug_assert!(*left >= *need);
            *left -= need;
        }
        self.place_of[item] = Some(target);
        self.held[target].push(item);
        self.placed[instance.class(item)] += 1;
        self.rules.place(instance.problem, item, instance.node(target));
    }

    /// Takes `item` from where it is.
    pub(crate) fn remove(&mut self, instance: &Instance<'_, '_>, item: ItemIx) {
        let Some(target) = self.place_of[item].take() else { return };
        for (left, need) in self.room[target].iter_mut().zip(&instance.problem.need[item]) {
            *left += need;
        }
        let held = &mut self.held[target];
        if let Some(at) = held.iter().rposition(|&other| other == item) {
            held.swap_remove(at);
        }
        self.placed[instance.class(item)] -= 1;
        self.rules.remove(instance.problem, item, instance.node(target));
    }

    /// Makes this the assignment that `places` describes; `places` is legal.
    pub(crate) fn load(&mut self, instance: &Instance<'_, '_>, places: &Places) {
        self.reset(instance);
        for (item, place) in places.enumerate() {
            if let Some(target) = *place {
                self.place(instance, item, target);
            }
        }
    }

    /// Makes this what `places`, which is legal, says of `items`, and nothing else.
    pub(crate) fn load_only(&mut self, instance: &Instance<'_, '_>, places: &Places, items: &[ItemIx]) {
        self.reset(instance);
        for &item in items {
            if let Some(target) = places[item] {
                self.place(instance, item, target);
            }
        }
    }

    /// Whether everything holds, rules and prerequisites (room is kept by every step).
    pub(crate) fn legal(&self, instance: &Instance<'_, '_>) -> bool {
        self.rules.legal(instance.problem)
            && self
                .place_of
                .enumerate()
                .all(|(item, place)| place.is_none() || self.prerequisites_placed(instance, item))
    }
}
