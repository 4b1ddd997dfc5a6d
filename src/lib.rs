//! `lifeboat` decides where every VM restarts when hosts fail, and says so when not all of them can.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod annotations;
mod cluster;
mod dense;
#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
pub mod document;
mod failure;
mod ids;
mod named;
mod placement;
pub mod policy;
mod resources;
mod room;

pub use cluster::{
    Cluster, EditError, MAX_LEVELS, NODE_LEVEL, Node, NodeRef, NodeState, OnTimeout, Place, Power, Priority,
    RestartClass, Role, Rule, RuleKind, RuleRef, StartEdge, Strength, Until, Vm, VmRef, Warning, WarningKind,
};
#[cfg(feature = "serde")]
pub use document::{Document, DocumentError, DocumentErrors};
pub use failure::{Failure, FailureError};
pub use ids::{NodeId, RuleId, VmId};
pub use placement::budget::Control;
pub use policy::Policy;
pub use resources::{Amounts, MAX_KINDS, ResourceError, ResourceKind, ResourceKinds};
