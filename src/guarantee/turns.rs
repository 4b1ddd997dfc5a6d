//! Searches that come one after another, looked at several at a time.
//!
//! Uses `placement::budget`, `parallel`, `restart` (the planner). Used by `pairs`.
//!
//! Each search is a *look*, which changes nothing, and a *taking in* of what it found, which decides whether another is
//! wanted. With several threads a number of looks is made ahead, each with a budget of its own; then all are taken in, in
//! turn, as long as the budget that is really left would not have stopped them. One that it might have stopped is looked at
//! again. So the answers, and the work that is counted, are those of one thread.

use crate::parallel::Threads;
use crate::placement::budget::{Budget, Cancelled};
use crate::restart::Planner;
use alloc::vec::Vec;

/// So many looks are made ahead at first, for a search that ends soon; then twice as many each time.
const FEW: usize = 8;
/// And so many at most.
const MANY: usize = 512;

/// How a series of searches is done.
pub(super) struct Turns<'t, 'c, 'b> {
    pub(super) planner: &'t mut Planner,
    pub(super) budget: &'b mut Budget<'c>,
    /// The most that one look sets itself as a limit.
    pub(super) most: u64,
}

impl Turns<'_, '_, '_> {
    /// Looks at items in turn. `take` is told what was found, and `true` ends it: the position of that item is returned.
    ///
    /// # Errors
    /// The caller cancelled.
    pub(super) fn each<S: Sync, I: Sync, T: Send>(
        self,
        state: &mut S,
        items: &[I],
        look: impl Fn(&S, &I, &mut Planner, &mut Budget<'_>) -> Result<T, Cancelled> + Sync,
        mut take: impl FnMut(&mut S, &I, T, &Budget<'_>) -> bool,
    ) -> Result<Option<usize>, Cancelled> {
        let Self { planner, budget, most } = self;
        let threads = budget.searchers();
        let mut ahead = FEW;
        let mut at = 0_usize;
        while let Some(now) = items.get(at..).filter(|rest| !rest.is_empty()) {
            let now = now.get(..ahead).unwrap_or(now);
            ahead = ahead.saturating_mul(2).min(MANY);
            let mut looked = Vec::new();
            if threads != Threads::ONE && now.len() > 1 && budget.left() > 0 {
                let (lent, seen) = (&*budget, &*state);
                looked = threads.map(now.iter().collect(), Planner::new, |planner, item| {
                    let mut part = lent.part();
                    let found = look(seen, item, planner, &mut part);
                    (found, part)
                });
            }
            let mut looked = looked.into_iter();
            for item in now {
                let undisturbed = |part: &Budget<'_>| budget.left() >= part.spent().saturating_add(most);
                let ready = looked.next().filter(|(_, part)| undisturbed(part));
                let (found, part) = ready.unwrap_or_else(|| {
                    let mut part = budget.part();
                    (look(state, item, planner, &mut part), part)
                });
                budget.absorb(&part);
                if take(state, item, found?, budget) {
                    return Ok(Some(at));
                }
                at = at.saturating_add(1);
            }
        }
        Ok(None)
    }
}
