//! The solver: greedy, bounds, improvement and exact search, in the order and with the shares of the budget that
//! settle a problem soonest.
//!
//! Uses every engine of `placement`. Used by everything that places items.
//! Data: `Problem` -> [`solve`] -> `Solution`.
//!
//! Class by class from the top: once a class has as many as its bound allows, or its share of the budget is spent, its
//! count stands and the next class is worked on without giving any of it up.

use super::assignment::{Assignment, Places};
use super::bounds::Bounds;
use super::budget::{Budget, Cancelled, Stop};
use super::cover::cover;
use super::exact::Exact;
use super::greedy::{Greedy, order_items, portfolio};
use super::improve::improve;
use super::instance::{ClassIx, Instance, counts_compare};
use super::problem::{ItemIx, Problem, Solution};
use super::rules;
use crate::dense::{DenseId, IdVec, to_usize};
use alloc::vec::Vec;

/// Up to so many items exact search comes first and has half of the budget; above it comes late and has little.
const SMALL: usize = 30;

/// The memory of the solver, to be used again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) assignment: Assignment,
    pub(crate) greedy: Greedy,
    pub(crate) bounds: Bounds,
    pub(crate) exact: Exact,
    pub(crate) order: Vec<ItemIx>,
}

/// The best assignment so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incumbent {
    pub(crate) places: Places,
    pub(crate) placed: IdVec<ClassIx, u32>,
}

impl Incumbent {
    /// Takes over `assignment` if it is legal and places more.
    pub(crate) fn offer(&mut self, instance: &Instance<'_, '_>, assignment: &Assignment) -> bool {
        let better = counts_compare(&assignment.placed, &self.placed).is_gt() && assignment.legal(instance);
        if better {
            self.places.copy_from(&assignment.place_of);
            self.placed.copy_from(&assignment.placed);
        }
        better
    }

    /// How many placeable items are not placed in the classes up to `class`.
    pub(crate) fn missing(&self, instance: &Instance<'_, '_>, class: ClassIx) -> u32 {
        (0..=class.0)
            .map(ClassIx)
            .map(|class| instance.placeable_count[class].saturating_sub(self.placed[class]))
            .fold(0, u32::saturating_add)
    }
}

/// Solves `problem` as well as the budget allows.
pub(crate) fn solve(
    problem: &Problem<'_>,
    scratch: &mut Scratch,
    budget: &mut Budget<'_>,
) -> Result<Solution, Cancelled> {
    let instance = Instance::new(problem);
    let mut incumbent = Incumbent {
        places: IdVec::filled(None, problem.class.len()),
        placed: IdVec::filled(0, to_usize(problem.classes)),
    };
    let mut bound = instance.placeable_count.clone();
    run(&instance, scratch, &mut incumbent, &mut bound, budget)?;
    let node = incumbent.places.iter().map(|place| place.map(|target| instance.node(target))).collect();
    Ok(Solution { node, placed: incumbent.placed.as_slice().to_vec(), bound: bound.as_slice().to_vec() })
}

fn run(
    instance: &Instance<'_, '_>,
    scratch: &mut Scratch,
    incumbent: &mut Incumbent,
    bound: &mut IdVec<ClassIx, u32>,
    budget: &mut Budget<'_>,
) -> Result<(), Cancelled> {
    let whole = budget.left();
    greedy_portfolio(instance, scratch, incumbent, budget, whole.wrapping_div(4))?;
    for class in instance.placeable_count.ids() {
        bound[class] = instance.placeable_count[class];
        if incumbent.placed[class] >= bound[class] {
            continue;
        }
        let share = budget.left().wrapping_div(8);
        if let Some(least) =
            budget.limited(share, |part| scratch.bounds.class_bound(instance, &incumbent.placed, class, part))?
        {
            bound[class] = least;
        }
        if incumbent.placed[class] < bound[class] {
            aim_at_bound(instance, scratch, incumbent, class, bound, budget)?;
        }
        while incumbent.placed[class] < bound[class] {
            match prove_or_improve(instance, scratch, incumbent, class, budget)? {
                Step::Improved => {}
                Step::Proved => bound[class] = incumbent.placed[class],
                Step::Open => break,
            }
        }
    }
    Ok(())
}

/// How many of each class up to `class` may be left out if `class` is to have `wanted`; of the classes below any number.
fn allowance_for(
    instance: &Instance<'_, '_>,
    incumbent: &Incumbent,
    class: ClassIx,
    wanted: u32,
) -> IdVec<ClassIx, Option<u32>> {
    let mut allowance: IdVec<ClassIx, Option<u32>> = IdVec::filled(None, instance.placeable_count.len());
    for upper in (0..=class.0).map(ClassIx) {
        let least = if upper == class { wanted } else { incumbent.placed[upper] };
        allowance[upper] = Some(instance.placeable_count[upper].saturating_sub(least));
    }
    allowance
}

/// Problems too large to be searched through soon: tries for as many as the bound allows, all at once.
pub(super) fn aim_at_bound(
    instance: &Instance<'_, '_>,
    scratch: &mut Scratch,
    incumbent: &mut Incumbent,
    class: ClassIx,
    bound: &IdVec<ClassIx, u32>,
    budget: &mut Budget<'_>,
) -> Result<(), Cancelled> {
    let items = stage_items(instance, class);
    if items.len() <= SMALL {
        return Ok(());
    }
    let allowance = allowance_for(instance, incumbent, class, bound[class]);
    let Scratch { assignment, greedy, order, .. } = scratch;
    let mut found = false;
    if allowance.iter().all(|allowed| *allowed == Some(0)) {
        let share = budget.left().wrapping_div(4).saturating_mul(3);
        found = budget.limited(share, |part| cover(instance, &items, assignment, part))?.flatten() == Some(true);
    }
    if found {
        incumbent.offer(instance, assignment);
        return Ok(());
    }
    assignment.load_only(instance, &incumbent.places, &items);
    let share = budget.left().wrapping_div(8).saturating_mul(7);
    let mut better = incumbent.clone();
    let _ = budget.limited(share, |part| {
        improve(instance, &items, &allowance, assignment, 1, part, &mut |found| {
            better.offer(instance, found);
        })
    })?;
    assignment.load(instance, &better.places);
    fill_up(instance, greedy, order, assignment, budget)?;
    incumbent.offer(instance, assignment);
    Ok(())
}

/// What came of an attempt at a class.
enum Step {
    Improved,
    Proved,
    Open,
}

fn prove_or_improve(
    instance: &Instance<'_, '_>,
    scratch: &mut Scratch,
    incumbent: &mut Incumbent,
    class: ClassIx,
    budget: &mut Budget<'_>,
) -> Result<Step, Cancelled> {
    let allowance = allowance_for(instance, incumbent, class, incumbent.placed[class].saturating_add(1));
    let mut found = match try_exactly(instance, scratch, class, &allowance, budget)? {
        Some(false) => return Ok(Step::Proved),
        Some(true) => true,
        None => false,
    };
    if !found {
        found = try_improving(instance, scratch, incumbent, class, &allowance, budget)?;
    }
    if !found {
        return Ok(Step::Open);
    }
    let Scratch { assignment, greedy, order, .. } = scratch;
    // The classes below fill what is left. This is bounded work, and even nothing of it is a legal result.
    fill_up(instance, greedy, order, assignment, budget)?;
    Ok(if incumbent.offer(instance, assignment) { Step::Improved } else { Step::Open })
}

/// Searches through all assignments that leave out no more than allowed: whether there is one, which is then the
/// assignment of `scratch`; `None` if its share of the budget ended first, or there is too much to search.
pub(super) fn try_exactly(
    instance: &Instance<'_, '_>,
    scratch: &mut Scratch,
    class: ClassIx,
    allowance: &IdVec<ClassIx, Option<u32>>,
    budget: &mut Budget<'_>,
) -> Result<Option<bool>, Cancelled> {
    let items = stage_items(instance, class);
    if !Exact::can_search(instance, items.len()) {
        return Ok(None);
    }
    let share = if items.len() <= SMALL { budget.left().wrapping_div(2) } else { budget.left().wrapping_div(20) };
    let Scratch { assignment, exact, .. } = scratch;
    budget.limited(share, |part| exact.search(instance, &items, allowance, assignment, part))
}

/// Searches around the best assignment for one that leaves out no more than allowed; it is then that of `scratch`.
pub(super) fn try_improving(
    instance: &Instance<'_, '_>,
    scratch: &mut Scratch,
    incumbent: &Incumbent,
    class: ClassIx,
    allowance: &IdVec<ClassIx, Option<u32>>,
    budget: &mut Budget<'_>,
) -> Result<bool, Cancelled> {
    let items = stage_items(instance, class);
    scratch.assignment.load_only(instance, &incumbent.places, &items);
    let share = budget.left();
    let outcome = budget
        .limited(share, |part| improve(instance, &items, allowance, &mut scratch.assignment, 2, part, &mut |_| ()))?;
    Ok(outcome == Some(true))
}

/// Adds what fits of the items that are not placed.
fn fill_up(
    instance: &Instance<'_, '_>,
    greedy: &mut Greedy,
    order: &mut Vec<ItemIx>,
    assignment: &mut Assignment,
    budget: &mut Budget<'_>,
) -> Result<(), Cancelled> {
    order.clear();
    order.extend(instance.items().filter(|&item| instance.placeable[item] && assignment.place_of[item].is_none()));
    super::greedy::sort_descending(instance, order);
    match greedy.insert(instance, order, super::greedy::Fit::BestSum, assignment, budget) {
        Ok(()) | Err(Stop::Spent) => Ok(()),
        Err(Stop::Cancelled) => Err(Cancelled),
    }
}

/// The items whose placement decides how many of `class` can be placed, given the counts of the classes above: these
/// classes; what they need; and, with any member of a constraint that is not closed under subsets, its other members
/// (without them the others might be illegal). Dropping all other items from a legal assignment leaves it legal.
fn stage_items(instance: &Instance<'_, '_>, class: ClassIx) -> Vec<ItemIx> {
    let problem = instance.problem;
    let mut inside: IdVec<ItemIx, bool> =
        instance.items().map(|item| instance.placeable[item] && instance.class(item) <= class).collect();
    let mut open: IdVec<_, bool> =
        problem.constraints.iter().map(|constraint| !rules::traits(constraint).subset_closed).collect();
    loop {
        let mut grown = false;
        for item in instance.items().filter(|&item| inside[item]).collect::<Vec<_>>() {
            for &needed in &problem.prerequisites[item] {
                grown |= !core::mem::replace(&mut inside[needed], true);
            }
            for part in &problem.member_of[item] {
                if core::mem::replace(&mut open[part.constraint], false) {
                    for other in instance.items().filter(|&other| instance.placeable[other]) {
                        if problem.member_of[other].iter().any(|theirs| theirs.constraint == part.constraint) {
                            grown |= !core::mem::replace(&mut inside[other], true);
                        }
                    }
                }
            }
        }
        if !grown {
            return instance.items().filter(|&item| inside[item]).collect();
        }
    }
}

/// Runs the portfolio until everything is placed or `units` are spent.
pub(super) fn greedy_portfolio(
    instance: &Instance<'_, '_>,
    scratch: &mut Scratch,
    incumbent: &mut Incumbent,
    budget: &mut Budget<'_>,
    units: u64,
) -> Result<(), Cancelled> {
    let last = ClassIx::from_index(instance.placeable_count.len().saturating_sub(1));
    if instance.placeable_count.is_empty() {
        return Ok(());
    }
    budget.limited(units, |part| {
        let mut first_short = None;
        for (size, direction, fit) in portfolio(None) {
            let direction = match (direction, first_short) {
                (super::greedy::Direction::AscendingFrom(offset), Some(class)) => {
                    super::greedy::Direction::AscendingFrom(ClassIx(
                        offset.0.saturating_add(ClassIx::index(class).try_into().unwrap_or(0)),
                    ))
                }
                (direction, _) => direction,
            };
            order_items(instance, size, direction, &mut scratch.order);
            scratch.assignment.reset(instance);
            let outcome = scratch.greedy.insert(instance, &scratch.order, fit, &mut scratch.assignment, part);
            incumbent.offer(instance, &scratch.assignment);
            outcome?;
            first_short =
                instance.placeable_count.ids().find(|&class| incumbent.placed[class] < instance.placeable_count[class]);
            if incumbent.missing(instance, last) == 0 {
                break;
            }
        }
        Ok(())
    })?;
    Ok(())
}
