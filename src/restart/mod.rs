//! The restart plan: which VM restarts where when these nodes fail, what does not fit, and why.
//!
//! Uses `cluster`, `failure`, `policy`, `placement`. `planner` is the way in and tells the data's path.

mod checker;
mod compile;
mod costs;
mod eligible;
mod estimate;
mod help;
mod keep;
mod least;
mod overlay;
mod parts;
mod plan;
mod planner;
mod preempt;
mod quick;
mod reasons;
mod scenario;
mod scene;
mod targets;
mod tidy;
mod waves;

pub use checker::{PlanFault, check_evictions, check_placements, check_plan};
pub use estimate::{ASSUMED_START_S, ClassTime, Estimate, StartTime};
pub use help::{Help, LiveMove};
pub use parts::PlanParts;
pub use plan::{
    BrokenRule, ClassCount, Costs, Eviction, Free, Note, Placement, PlanStatus, Reason, ReasonCount, RestartPlan,
    Unplaced,
};
pub use planner::{PlanError, Planner};

pub(crate) use eligible::{may_run_on, may_run_on_few};
pub(crate) use keep::Kept;
pub(crate) use scenario::{Concern, Found, Within};
