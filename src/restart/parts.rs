//! A restart plan from its parts: for plans that were printed or sent, and come back to be checked.
//!
//! Uses `plan`. Used by callers; what makes plans in the library does not go this way.

use super::plan::{BrokenRule, ClassCount, Eviction, Note, Placement, RestartPlan, Unplaced};
use crate::ids::{NodeId, VmId};
use alloc::vec::Vec;

/// Everything that a [`RestartPlan`] says, to make one from elsewhere.
///
/// Nothing is promised of such a plan before `check_plan` has accepted it.
///
/// ```
/// use lifeboat::{PlanParts, PlanStatus, RestartPlan};
/// let plan = RestartPlan::from(PlanParts::default());
/// assert_eq!(plan.status(), PlanStatus::Complete);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PlanParts {
    /// See [`RestartPlan::failed`].
    pub failed: Vec<NodeId>,
    /// See [`RestartPlan::placements`].
    pub placements: Vec<Placement>,
    /// See [`RestartPlan::evictions`].
    pub evictions: Vec<Eviction>,
    /// See [`RestartPlan::unplaced`].
    pub unplaced: Vec<Unplaced>,
    /// See [`RestartPlan::waiting`].
    pub waiting: Vec<VmId>,
    /// See [`RestartPlan::left_alone`].
    pub left_alone: Vec<VmId>,
    /// See [`RestartPlan::classes`].
    pub classes: Vec<ClassCount>,
    /// See [`RestartPlan::broken_rules`].
    pub broken_rules: Vec<BrokenRule>,
    /// Whether [`RestartPlan::costs_are_proved`] is not so.
    pub costs_open: bool,
    /// See [`RestartPlan::notes`].
    pub notes: Vec<Note>,
    /// See [`RestartPlan::work`].
    pub work: u64,
}

impl From<PlanParts> for RestartPlan {
    fn from(parts: PlanParts) -> Self {
        let PlanParts {
            failed,
            placements,
            evictions,
            unplaced,
            waiting,
            left_alone,
            classes,
            broken_rules,
            costs_open,
            notes,
            work,
        } = parts;
        Self {
            failed,
            placements,
            evictions,
            unplaced,
            waiting,
            left_alone,
            classes,
            broken_rules,
            costs_open,
            notes,
            work,
        }
    }
}
