//! The answers as JSON, `lifeboat-*/1`: one file per answer, and one call that answers every question. Feature `json`.
//!
//! Uses every part of the crate that answers something. Used by the C ABI and the example program; nothing else knows of
//! it. **The data's path:** a question names things, [`names`] looks them up, the part that answers is called, and what it
//! says is put into the form that is printed, by `json()` of the answer.
//!
//! The forms are outputs: they may gain fields. Numbers that may pass 2^53 are strings. Where a field has a unit, its
//! name ends with it (`ready_s`); amounts are in the units of their kinds.
//!
//! ```
//! use lifeboat::answers::{Planned, to_text};
//! use lifeboat::{Control, Document, Failure};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (cluster, policy) = Document::from_json(r#"{"format": "lifeboat/1", "resources": [{"name": "memory"}],
//!     "nodes": [{"name": "a", "capacity": {"memory": 8}}, {"name": "b", "capacity": {"memory": 8}}],
//!     "vms": [{"name": "db", "demand": {"memory": 2}, "node": "a"}]}"#)?.into_parts();
//! let failure = Failure::of(cluster.node_id("a"));
//! let planned = Planned::ask(&cluster, &policy, &failure, &[], &Control::new())?;
//! assert!(to_text(&planned.json()).starts_with("{\n  \"format\": \"lifeboat-plan/1\","));
//! # Ok(())
//! # }
//! ```

mod ask;
mod capacity;
mod census;
mod certificates;
mod check;
mod comparison;
mod decision;
mod faults;
mod forms;
pub mod names;
mod plan;
mod plan_check;
mod request;
mod verdict;

pub use ask::{Response, ask, ask_controlled};
pub use capacity::{Capacity, CapacityQuestion, More, NoSize};
pub use census::{Census, Level, Share, Use};
pub use certificates::{CheckedCertificates, certificates_text};
pub use check::{Checked, Clash, Oddity, Sound};
pub use comparison::{agrees, comparison_json, not_comparable, says, summary};
pub use decision::{decision_json, item_name, items_json, outcome_name, transaction};
pub use faults::{Fault, errors};
pub use forms::{to_line, to_text};
pub use plan::{Explained, HELPED, Planned, class_name, note_text};
pub use plan_check::{CheckedPlan, PlanText, Problem};
pub use verdict::{Judged, LookedAt, status};
