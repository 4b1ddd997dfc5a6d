//! `lifeboat` decides where every VM restarts when hosts fail, and proves beforehand whether there will be room.
//!
//! It is pure: no I/O, no clock, no threads (but with the feature `parallel`), no randomness; `no_std` with `alloc`. The
//! same input gives the same plan, bit for bit, whatever the order in which nodes, VMs and rules are listed. All
//! arithmetic is on integers.
//!
//! ```
//! use lifeboat::{Cluster, Failure, Node, Planner, Policy, Priority, ResourceKinds, Vm};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut cluster = Cluster::new(ResourceKinds::new([("cpu", "MHz"), ("memory", "MiB")])?, ["site", "rack"])?;
//! let one = cluster.add_node(Node::named("esx-01").capacity([48_000, 393_216]).domain("rack", "n1"))?;
//! let two = cluster.add_node(Node::named("esx-02").capacity([48_000, 393_216]).domain("rack", "n2"))?;
//! let vm = cluster.add_vm(Vm::named("db-1").demand([8_000, 32_768]).on(one).priority(Priority::HIGH))?;
//!
//! let failure = Failure::none().domain(&cluster, "rack", "n1")?;
//! let plan = Planner::new().restart(&cluster, &Policy::default(), &failure)?;
//! assert_eq!((plan.placements()[0].vm, plan.placements()[0].node), (vm, two));
//! assert!(plan.is_optimal());
//! # Ok(())
//! # }
//! ```
//!
//! # The map
//!
//! Data flows one way: document, cluster, failure, placement, answer.
//!
//! | part | what it holds |
//! |---|---|
//! | [`ResourceKinds`], [`Amounts`] | what is counted, in which order |
//! | [`Cluster`] | nodes, VMs, domains and rules, and edits that keep them consistent |
#![cfg_attr(
    feature = "serde",
    doc = "| [`document`] | the JSON form `lifeboat/1`: read with all errors at once, written back |"
)]
//! | [`conflicts`] | rules that cannot all hold, each with a minimal set |
//! | [`Policy`] | what is promised and allowed |
//! | [`Failure`] | which nodes are lost |
//! | [`Planner`], [`RestartPlan`] | where every VM restarts, what does not fit, and why |
//! | [`RestartPlan::estimate`], [`Planner::help`] | when everything is back; what would give a VM without a place one |
//! | [`check_plan`] | validates any plan from first principles, sharing no code with the planner |
//! | [`verify`], [`Verdict`] | whether every failure of a class is survived: a certificate, a counterexample, or undecided |
//! | [`Certificate`], [`Cover`] | the plans behind a yes, looked up loss by loss |
//! | [`check_verdict`] | validates certificates and counterexamples, sharing no code with the provers |
//! | [`reserves_status`] | what stays free by vSphere's percentage and slots, spare nodes, free amounts |
//! | [`compare`] | what vSphere, SCVMM and xapi say beside the verdict |
//! | [`max_tolerable`] | how many losses of a level are survived |
//! | [`headroom`], [`largest_vm`] | how many more VMs can be started, and how large one may be, with everything kept |
//! | [`Guard`], [`Change`], [`Decision`] | may this be changed, where, and what would it break |
#![cfg_attr(
    feature = "json",
    doc = "| [`answers`] | every answer as JSON, and one call that answers every question asked in JSON |"
)]
//! | [`comparison`] | what other products decide, and what is different here |
//! | [`mathematics`] | how the guarantee is proved, and what each way cannot do |
//!
//! # Features
//!
//! None changes an answer.
//!
//! | feature | what it adds |
//! |---|---|
//! | `serde` (default) | the document as serde types, stored certificates |
//! | `json` | documents from and to JSON text |
//! | `capi` | the C interface; uses `std` to keep a panic from crossing it |
//! | `parallel` | large verdicts on all cores, by threads of `std`: the same bits as on one thread ([`Control::threads`] limits them) |
//!
//! # What is not there yet
//!
//! Moves.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "capi", feature = "parallel"))]
extern crate std;

mod admission;
pub mod annotations;
#[cfg(feature = "json")]
#[cfg_attr(docsrs, doc(cfg(feature = "json")))]
pub mod answers;
mod capacity;
#[cfg(feature = "capi")]
#[cfg_attr(docsrs, doc(cfg(feature = "capi")))]
#[expect(unsafe_code, reason = "pointers from C: the only unsafe code of the crate")]
#[expect(clippy::missing_safety_doc, reason = "the contract of all calls stands once, in src/capi/lifeboat.h")]
#[expect(clippy::doc_markdown, reason = "the documentation is that of the header, for readers of C")]
pub mod capi;
mod cluster;
mod compare;
mod conflicts;
mod dense;
#[cfg(test)]
mod dice;
#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
pub mod document;
mod failure;
mod guarantee;
mod ids;
mod named;
mod parallel;
mod placement;
pub mod policy;
mod resources;
mod restart;
mod room;

#[cfg(feature = "json")]
#[cfg_attr(docsrs, doc(cfg(feature = "json")))]
pub use admission::read_changes;
pub use admission::{
    Change, ClassFault, ClassState, Decision, DecisionOutcome, FreeFigures, FreeKind, Guard, GuardError, Item,
    ItemError, ItemState, MAX_TRIES, Percentage, Placed, ReserveError, ReserveFigures, ReserveStatus, Reserves,
    Shortage, SlotFigures, SlotSize, SpareFigures, Violation, ViolationKind, reserves_status,
};
pub use capacity::{
    Headroom, HeadroomError, HeadroomLimit, LargestVm, MAX_TRIED, Newcomer, Tolerable, headroom, headroom_controlled,
    headroom_guarded, headroom_without, largest_vm, max_tolerable, max_tolerable_controlled,
};
pub use cluster::{
    Cluster, ClusterState, EditError, MAX_LEVELS, NODE_LEVEL, Node, NodeRef, NodeState, OnTimeout, Place, Power,
    Priority, RestartClass, Role, Rule, RuleKind, RuleRef, StartEdge, Strength, Until, Vm, VmRef, Warning, WarningKind,
};
pub use compare::{
    CompareError, CompareRule, Comparison, Difference, Opinion, ScvmmHost, ScvmmTest, ScvmmTests, XapiAdmission,
    XapiHost, XapiPlan, compare, scvmm_tests, xapi_admission, xapi_plan,
};
pub use conflicts::{Conflict, ConflictCode, conflicts};
#[cfg(feature = "serde")]
pub use document::{Document, DocumentError, DocumentErrors};
pub use failure::{Failure, FailureError};
pub use guarantee::{
    Answer, Certificate, CertificateError, ClassVerdict, Counterexample, Cover, Covers, Evidence, KeepError, Method,
    Outcome, PriceFamily, Pricing, Promise, Proof, Tight, Uncoverable, Unit, Verdict, VerdictFault, VerifyError, Way,
    check_certificate, check_certificate_controlled, check_counterexample, check_verdict, verify, verify_controlled,
};
#[cfg(feature = "serde")]
pub use guarantee::{StoredCertificates, StoredError};
pub use ids::{NodeId, RuleId, VmId};
pub use placement::budget::Control;
pub use policy::Policy;
pub use resources::{Amounts, KindSet, MAX_KINDS, ResourceError, ResourceKind, ResourceKinds};
pub use restart::{
    ASSUMED_START_S, BrokenRule, ClassCount, ClassTime, Costs, Estimate, Eviction, Free, Help, LiveMove, Note,
    Placement, PlanError, PlanFault, PlanParts, PlanStatus, Planner, Reason, ReasonCount, RestartPlan, StartTime,
    Unplaced, check_evictions, check_placements, check_plan,
};

#[doc = include_str!("guarantee/mathematics.md")]
pub mod mathematics {}

#[doc = include_str!("pages/comparison.md")]
pub mod comparison {}

/// The examples of the read-me are tested with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
