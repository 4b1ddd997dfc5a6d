//! All or nothing: can every item be placed?
//!
//! Uses every engine of `placement`, and the steps of `placement::solve`. Used where anything short of everything is
//! worth nothing: scenarios of a verdict, plans inside a bank.
//! Data: `Problem` of one class -> [`decide`] -> a [`Decision`], with the places if there are any.
//!
//! The same engines as `solve`, but aimed: a bound below the number of items ends the matter, and the exact search may
//! leave out nothing, which prunes far more than the search for one item more.

use super::budget::{Budget, Cancelled};
use super::instance::{ClassIx, Instance};
use super::problem::{ItemIx, Problem};
use super::solve::{Incumbent, Scratch, aim_at_bound, greedy_portfolio, try_exactly, try_improving};
use crate::dense::{IdVec, to_usize};
use crate::ids::NodeSlot;

/// What became of it.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// Everything has a place.
    Placed(IdVec<ItemIx, Option<NodeSlot>>),
    /// Proved: there is no such assignment.
    Impossible,
    /// The budget ended first.
    Open,
}

/// Decides `problem`, all of whose items are in one class, as well as the budget allows.
pub(crate) fn decide(
    problem: &Problem<'_>,
    scratch: &mut Scratch,
    budget: &mut Budget<'_>,
) -> Result<Decision, Cancelled> {
    debug_assert!(problem.class.iter().all(|class| *class == 0), "all items are in one class");
    let instance = Instance::new(problem);
    if instance.placeable.iter().any(|placeable| !placeable) {
        return Ok(Decision::Impossible);
    }
    let class = ClassIx(0);
    let mut incumbent = Incumbent {
        places: IdVec::filled(None, problem.class.len()),
        placed: IdVec::filled(0, to_usize(problem.classes)),
    };
    if problem.class.is_empty() {
        return Ok(Decision::Placed(IdVec::new()));
    }
    let wanted = instance.placeable_count.clone();
    let complete = |incumbent: &Incumbent| incumbent.placed[class] == wanted[class];
    let placed = |incumbent: &Incumbent| {
        Decision::Placed(incumbent.places.iter().map(|place| place.map(|target| instance.node(target))).collect())
    };
    greedy_portfolio(&instance, scratch, &mut incumbent, budget, budget.left().wrapping_div(4))?;
    if complete(&incumbent) {
        return Ok(placed(&incumbent));
    }
    let share = budget.left().wrapping_div(4);
    let bound = budget.limited(share, |part| scratch.bounds.class_bound(&instance, &incumbent.placed, class, part))?;
    if bound.is_some_and(|bound| bound < wanted[class]) {
        return Ok(Decision::Impossible);
    }
    aim_at_bound(&instance, scratch, &mut incumbent, class, &wanted, budget)?;
    if complete(&incumbent) {
        return Ok(placed(&incumbent));
    }
    let allowance = IdVec::filled(Some(0), instance.placeable_count.len());
    match try_exactly(&instance, scratch, class, &allowance, budget)? {
        Some(false) => return Ok(Decision::Impossible),
        Some(true) => {
            incumbent.offer(&instance, &scratch.assignment);
        }
        None => {
            if try_improving(&instance, scratch, &incumbent, class, &allowance, budget)? {
                incumbent.offer(&instance, &scratch.assignment);
            }
        }
    }
    Ok(if complete(&incumbent) { placed(&incumbent) } else { Decision::Open })
}
