//! Work budgets: how much a search may do, counted in work units and never in time, and how a caller stops it.
//!
//! Uses `parallel` (how many threads). Used by every engine of `placement` and by everything that searches.
//! Data: caller -> [`Control`] <-> `Budget` <- engines.
//!
//! One *unit* is one node evaluated for one VM or for one candidate set of VMs. Work of a finer grain (extending a
//! candidate set by one VM, comparing two VMs) is a *step*; [`STEPS_PER_UNIT`] steps make a unit, so that a unit
//! stays about the same amount of machine work in every engine, and a budget gives the same answer on every machine.

use crate::parallel::Threads;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Steps that cost as much as one unit.
const STEPS_PER_UNIT: u64 = 32;

/// How many units may pass between two looks at the caller's [`Control`].
const CHECK_INTERVAL_UNITS: u64 = 1024;

/// Cancels long work from outside and shows its progress.
///
/// Share it between the thread that works and the thread that watches (it is `Sync`): the worker looks at the flag
/// and adds to the counter about every thousand work units, mostly several times in a millisecond. Setting up a question
/// about a large cluster, prices, and the checker's second look at an exhausted search look at neither: there the answer to a
/// flag can take some tens of milliseconds.
///
/// ```
/// use lifeboat::{Cluster, Control, Failure, PlanError, Planner, Policy, ResourceKinds};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, ["rack"])?;
/// let control = Control::new();
/// std::thread::scope(|scope| {
///     let work = scope.spawn(|| {
///         Planner::new().restart_controlled(&cluster, &Policy::default(), &Failure::none(), &control)
///     });
///     control.cancel(); // long work returns `PlanError::Cancelled` soon after
///     assert!(matches!(work.join(), Ok(Ok(_) | Err(PlanError::Cancelled))));
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Control {
    cancel: AtomicBool,
    done: AtomicU64,
    threads: u32,
}

impl Control {
    /// A control that has not been cancelled, with no work done.
    #[must_use]
    pub const fn new() -> Self {
        Self { cancel: AtomicBool::new(false), done: AtomicU64::new(0), threads: 0 }
    }

    /// Lets large work with this control use at most so many threads; 0, which is the default: as many as the machine
    /// has cores. Without the feature `parallel` it is always one. No answer depends on it.
    #[must_use]
    pub const fn threads(mut self, most: u32) -> Self {
        self.threads = most;
        self
    }

    /// Asks the work that uses this control to stop. It stays asked: make a new control for new work.
    pub fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// The work units done so far by everything that used this control, to within about a thousand.
    #[must_use]
    pub fn work_done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

/// The work was cancelled through its [`Control`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cancelled;

/// Why an engine must stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// The budget is spent: the best so far is the answer.
    Spent,
    /// The caller cancelled: there is no answer.
    Cancelled,
}

/// The work that is left to a search.
#[derive(Debug)]
pub(crate) struct Budget<'c> {
    limit: u64,
    spent: u64,
    steps: u64,
    reported: u64,
    next_check: u64,
    control: Option<&'c Control>,
    threads: Threads,
    searchers: Threads,
}

impl<'c> Budget<'c> {
    pub(crate) const fn new(limit_units: u64, control: Option<&'c Control>) -> Self {
        Self {
            limit: limit_units,
            spent: 0,
            steps: 0,
            reported: 0,
            next_check: 0,
            control,
            threads: Threads::ONE,
            searchers: Threads::ONE,
        }
    }

    /// From here on searches may be done by several threads, as many as the control allows; and, if it is `large`, other
    /// work, too.
    pub(crate) fn use_threads(&mut self, large: bool) {
        self.searchers = Threads::up_to(self.control.map_or(0, |control| control.threads));
        if large {
            self.threads = self.searchers;
        }
    }

    /// How many threads may search.
    pub(crate) const fn searchers(&self) -> Threads {
        self.searchers
    }

    /// A budget of its own, of all that is left, for work that is taken in later ([`absorb`](Self::absorb)) or not at all.
    pub(crate) const fn part(&self) -> Self {
        Self::new(self.left(), self.control)
    }

    /// Takes in what was spent on work that had a budget of its own.
    pub(crate) const fn absorb(&mut self, part: &Self) {
        self.spent = self.spent.saturating_add(part.spent);
        self.reported = self.reported.saturating_add(part.reported);
    }

    /// How many threads may work.
    pub(crate) const fn threads(&self) -> Threads {
        self.threads
    }

    /// Tells whether the caller has asked to stop: for work in parts, which is accounted for afterwards.
    pub(crate) fn watch(&self) -> impl Fn() -> bool + Sync + use<'c> {
        let control = self.control;
        move || control.is_some_and(Control::is_cancelled)
    }

    /// Units spent so far.
    pub(crate) const fn spent(&self) -> u64 {
        self.spent
    }

    /// Units left.
    pub(crate) const fn left(&self) -> u64 {
        self.limit.saturating_sub(self.spent)
    }

    /// Takes `units` for work that is about to be done.
    #[inline]
    pub(crate) fn spend(&mut self, units: u64) -> Result<(), Stop> {
        self.spent = self.spent.saturating_add(units);
        if self.spent >= self.next_check {
            return self.check();
        }
        Ok(())
    }

    /// Takes `steps` of fine-grained work (module doc).
    #[inline]
    pub(crate) fn spend_steps(&mut self, steps: u64) -> Result<(), Stop> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps >= STEPS_PER_UNIT {
            let units = self.steps.wrapping_div(STEPS_PER_UNIT);
            self.steps = self.steps.wrapping_rem(STEPS_PER_UNIT);
            return self.spend(units);
        }
        Ok(())
    }

    #[cold]
    fn check(&mut self) -> Result<(), Stop> {
        if let Some(control) = self.control {
            control.done.fetch_add(self.spent.saturating_sub(self.reported), Ordering::Relaxed);
            self.reported = self.spent;
            if control.is_cancelled() {
                return Err(Stop::Cancelled);
            }
        }
        if self.spent >= self.limit {
            return Err(Stop::Spent);
        }
        self.next_check = self.spent.saturating_add(CHECK_INTERVAL_UNITS).min(self.limit);
        Ok(())
    }

    /// Runs `work` with at most `units` of what is left. What it leaves over stays here. `Ok(None)` means that these
    /// `units` are spent.
    pub(crate) fn limited<T>(
        &mut self,
        units: u64,
        work: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<Option<T>, Cancelled> {
        let outer = self.limit;
        self.limit = outer.min(self.spent.saturating_add(units));
        self.next_check = self.next_check.min(self.limit);
        let outcome = work(self);
        self.limit = outer;
        self.next_check = self.spent;
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Stop::Spent) => Ok(None),
            Err(Stop::Cancelled) => Err(Cancelled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spends_to_the_limit_and_no_further() {
        let mut budget = Budget::new(10, None);
        for _ in 0..9 {
            assert_eq!(budget.spend(1), Ok(()));
        }
        assert_eq!(budget.spend(1), Err(Stop::Spent));
        assert_eq!(budget.left(), 0);
    }

    #[test]
    fn a_part_leaves_the_rest() {
        let mut budget = Budget::new(5000, None);
        let inner = budget.limited(1000, |part| {
            loop {
                part.spend(7)?;
            }
            #[expect(unreachable_code, reason = "gives the closure its type")]
            Ok(())
        });
        assert_eq!(inner, Ok(None));
        assert!(budget.left() <= 4000 && budget.left() > 3900);
        assert_eq!(budget.spend(1), Ok(()));
    }

    #[test]
    fn cancels() {
        let control = Control::new();
        let mut budget = Budget::new(u64::MAX, Some(&control));
        assert_eq!(budget.spend(1), Ok(()));
        control.cancel();
        assert_eq!(budget.spend(2000), Err(Stop::Cancelled));
        assert_eq!(control.work_done(), 2001);
    }
}
