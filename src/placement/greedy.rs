//! Greedy placement: items in some order, each onto the target that fits best; a portfolio of orders and fits.
//!
//! Uses `placement::{instance, assignment, budget}`. Used by `placement::solve` and, to fill up, by `improve`.
//! Data: an order of items -> [`Greedy::insert`] -> a larger assignment.
//!
//! Targets are scanned in blocks of 64 under a component-wise maximum of their room, so that nearly full targets
//! cost a look per block, not per target.

#![expect(clippy::arithmetic_side_effects, reason = "INVARIANT: sums of normalised quantities, counts of objects")]

use super::assignment::Assignment;
use super::budget::{Budget, Stop};
use super::instance::{ClassIx, Instance, TargetIx};
use super::problem::ItemIx;
use crate::dense::{DenseId, IdVec, Rows, dense_id, fits};
use alloc::vec::Vec;
use core::cmp::Reverse;

dense_id! {
    /// A block of neighbouring targets.
    struct BlockIx;
}

/// Targets in a block.
const BLOCK: usize = 64;

/// How the target of an item is chosen among those where it fits. Ties go to the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fit {
    /// The first one.
    First,
    /// Least left over, summed over kinds.
    BestSum,
    /// Least squares of what is left over, summed over kinds.
    BestSquare,
    /// Least left over in the kind where most is left.
    BestLargest,
}

/// By which size items are ordered, inside their class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    Dominant,
    Weighted,
}

/// In which direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Descending,
    Ascending,
    /// Descending in the classes before this one, ascending from it on.
    AscendingFrom(ClassIx),
}

/// The memory of a greedy run.
#[derive(Clone, Debug)]
pub(crate) struct Greedy {
    /// Per block at least the room of each of its targets, in every kind.
    block_room: Rows<BlockIx>,
    /// Items that were passed over because a prerequisite was not placed.
    deferred: IdVec<ItemIx, bool>,
    retry: Vec<ItemIx>,
}

impl Default for Greedy {
    fn default() -> Self {
        Self { block_room: Rows::new(0), deferred: IdVec::new(), retry: Vec::new() }
    }
}

/// Puts the placeable items into `order`.
pub(crate) fn order_items(instance: &Instance<'_, '_>, size: Size, direction: Direction, order: &mut Vec<ItemIx>) {
    order.clear();
    order.extend(instance.items().filter(|&item| instance.placeable[item]));
    let of = |item: ItemIx| match size {
        Size::Dominant => (instance.dominant[item], instance.weighted[item]),
        Size::Weighted => (instance.weighted[item], instance.dominant[item]),
    };
    let ascends = |class: ClassIx| match direction {
        Direction::Descending => false,
        Direction::Ascending => true,
        Direction::AscendingFrom(first) => class >= first,
    };
    order.sort_by(|&left, &right| {
        let class = instance.class(left);
        let by_size = of(left).cmp(&of(right));
        class
            .cmp(&instance.class(right))
            .then(if ascends(class) { by_size } else { by_size.reverse() })
            .then(left.cmp(&right))
    });
}

impl Greedy {
    /// Places what it can of `items`, in this order, into `assignment`.
    pub(crate) fn insert(
        &mut self,
        instance: &Instance<'_, '_>,
        items: &[ItemIx],
        fit: Fit,
        assignment: &mut Assignment,
        budget: &mut Budget<'_>,
    ) -> Result<(), Stop> {
        self.start(instance, assignment);
        for &first in items {
            self.retry.push(first);
            while let Some(item) = self.retry.pop() {
                if assignment.place_of[item].is_some() || !instance.placeable[item] {
                    continue;
                }
                if !assignment.prerequisites_placed(instance, item) {
                    self.deferred[item] = true;
                    continue;
                }
                let Some(target) = self.choose(instance, item, fit, assignment, budget)? else { continue };
                assignment.place(instance, item, target);
                for &dependent in instance.dependents[item].iter().rev() {
                    if self.deferred[dependent] {
                        self.retry.push(dependent);
                    }
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, instance: &Instance<'_, '_>, assignment: &Assignment) {
        let kinds = instance.kinds();
        self.retry.clear();
        self.deferred.reset(false, instance.problem.class.len());
        self.block_room.reset(kinds, instance.problem.nodes.len().div_ceil(BLOCK));
        for target in instance.targets() {
            let block = BlockIx::from_index(target.index() / BLOCK);
            for (most, &room) in self.block_room[block].iter_mut().zip(&assignment.room[target]) {
                *most = (*most).max(room);
            }
        }
    }

    /// The target for `item`; the block maxima are brought up to date where they promised what was not there.
    fn choose(
        &mut self,
        instance: &Instance<'_, '_>,
        item: ItemIx,
        fit: Fit,
        assignment: &Assignment,
        budget: &mut Budget<'_>,
    ) -> Result<Option<TargetIx>, Stop> {
        let need = &instance.problem.need[item];
        let targets = instance.problem.nodes.len();
        let mut best: Option<(u128, TargetIx)> = None;
        for block_at in 0..targets.div_ceil(BLOCK) {
            let block = BlockIx::from_index(block_at);
            if !fits(need, &self.block_room[block]) {
                budget.spend_steps(1)?;
                continue;
            }
            let mut any_fits = false;
            let range = block_at * BLOCK..targets.min((block_at + 1) * BLOCK);
            for target in range.clone().map(TargetIx::from_index) {
                if !fits(need, &assignment.room[target]) {
                    budget.spend_steps(1)?;
                    continue;
                }
                any_fits = true;
                budget.spend(1)?;
                if !instance.is_eligible(item, target)
                    || !assignment.rules.allows(instance.problem, item, instance.node(target))
                {
                    continue;
                }
                if fit == Fit::First {
                    return Ok(Some(target));
                }
                let score = left_over(instance, need, &assignment.room[target], fit);
                if best.is_none_or(|(least, _)| score < least) {
                    best = Some((score, target));
                }
            }
            if !any_fits {
                let most = &mut self.block_room[block];
                most.fill(0);
                for target in range.map(TargetIx::from_index) {
                    for (most, &room) in most.iter_mut().zip(&assignment.room[target]) {
                        *most = (*most).max(room);
                    }
                }
            }
        }
        Ok(best.map(|(_, target)| target))
    }
}

/// How much `need` would leave of `room`, in the measure of `fit`.
#[inline]
fn left_over(instance: &Instance<'_, '_>, need: &[u64], room: &[u64], fit: Fit) -> u128 {
    let mut score = 0_u128;
    for (kind, (&need, &room)) in need.iter().zip(room).enumerate() {
        let left = u128::from(instance.normal(kind, room - need));
        match fit {
            Fit::First => {}
            Fit::BestSum => score += left,
            Fit::BestSquare => score = score.saturating_add(left.saturating_mul(left)),
            Fit::BestLargest => score = score.max(left),
        }
    }
    score
}

/// The orders and fits to try, cheapest and most often best first.
pub(crate) fn portfolio(first_short: Option<ClassIx>) -> impl Iterator<Item = (Size, Direction, Fit)> {
    let short = first_short.unwrap_or(ClassIx(0));
    let descending = Direction::Descending;
    let mixed = Direction::AscendingFrom(short);
    let from_next = Direction::AscendingFrom(ClassIx(short.0.saturating_add(1)));
    [
        (Size::Dominant, descending, Fit::First),
        (Size::Weighted, descending, Fit::BestSum),
        (Size::Weighted, mixed, Fit::BestSum),
        (Size::Dominant, descending, Fit::BestSquare),
        (Size::Dominant, mixed, Fit::BestSquare),
        (Size::Weighted, descending, Fit::BestLargest),
        (Size::Dominant, from_next, Fit::BestSum),
        (Size::Dominant, Direction::Ascending, Fit::First),
        (Size::Weighted, Direction::Ascending, Fit::BestLargest),
        (Size::Weighted, descending, Fit::First),
    ]
    .into_iter()
}

/// Sorts items for filling up: larger before smaller inside a class.
pub(crate) fn sort_descending(instance: &Instance<'_, '_>, items: &mut [ItemIx]) {
    items.sort_by_key(|&item| (instance.class(item), Reverse(instance.weighted[item]), item));
}
