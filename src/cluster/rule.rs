//! A placement rule as it is described from outside.
//!
//! Uses `ids`. Used by `cluster`, which keeps rules in its own form, and by `document`.

use crate::annotations::Annotations;
use crate::ids::{NodeId, VmId};
use alloc::string::String;
use alloc::vec::Vec;

/// How strictly a rule is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Strength {
    /// Never broken by a plan.
    #[default]
    Required,
    /// Required for admission and moves; preferred above all weights in restarts and verdicts.
    Relaxed,
    /// Kept where it costs no VM its place.
    Preferred {
        /// What one unit of the rule's excess costs, against other preferred rules.
        weight: u32,
    },
}

impl Strength {
    /// The names used in documents and messages.
    pub const NAMES: [&'static str; 3] = ["required", "relaxed", "preferred"];

    /// The name used in documents and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Relaxed => "relaxed",
            Self::Preferred { .. } => "preferred",
        }
    }
}

/// Some of the cluster's nodes: these, those in these domains, and those with one of these labels.
///
/// It can be empty, as it becomes when its last node is removed: a `confine` rule then bars its members everywhere.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Nodes by id.
    pub nodes: Vec<NodeId>,
    /// All nodes of these domains: `(level, domain)`.
    pub domains: Vec<(String, String)>,
    /// All nodes with one of these labels.
    pub labels: Vec<String>,
}

/// What a rule asks of its members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RuleKind {
    /// At most so many members in one domain of a level.
    Separate {
        /// The level's name.
        level: String,
        /// At least 1.
        max_per_domain: u32,
    },
    /// No domain of a level holds members of two sides.
    SeparateSides {
        /// The level's name.
        level: String,
        /// The members of each side; a VM is on one side at most.
        sides: Vec<Vec<VmId>>,
    },
    /// All members in one domain of a level.
    Together {
        /// The level's name.
        level: String,
    },
    /// Members only there.
    Confine(Place),
    /// Members never there.
    Exclude(Place),
    /// Members on many domains of a level.
    Spread {
        /// The level's name.
        level: String,
        /// On at least so many domains; 0 = no such limit.
        min_domains: u32,
        /// Counts per domain differ by at most so much; `None` = no such limit.
        max_skew: Option<u32>,
    },
    /// Members only where the leader runs.
    Follow {
        /// The leader.
        leader: VmId,
    },
}

impl RuleKind {
    /// The names used in documents and messages.
    pub const NAMES: [&'static str; 6] = ["separate", "together", "confine", "exclude", "spread", "follow"];

    /// The name used in documents and messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Separate { .. } | Self::SeparateSides { .. } => "separate",
            Self::Together { .. } => "together",
            Self::Confine(_) => "confine",
            Self::Exclude(_) => "exclude",
            Self::Spread { .. } => "spread",
            Self::Follow { .. } => "follow",
        }
    }
}

/// A placement rule as it is given to a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Rule {
    /// Unique among the cluster's rules, not empty.
    pub name: String,
    /// What it asks.
    pub kind: RuleKind,
    /// Member VMs by id (for [`RuleKind::SeparateSides`] the members stand there, and this is empty).
    pub vms: Vec<VmId>,
    /// Member VMs by group: whatever VMs are in these groups at any time.
    pub vm_groups: Vec<String>,
    /// How strictly it is meant.
    pub strength: Strength,
    /// The caller's own data, kept and exported, never read.
    pub annotations: Option<Annotations>,
}

impl Rule {
    /// A required rule without members.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: RuleKind) -> Self {
        Self {
            name: name.into(),
            kind,
            vms: Vec::new(),
            vm_groups: Vec::new(),
            strength: Strength::Required,
            annotations: None,
        }
    }

    /// Adds member VMs.
    #[must_use]
    pub fn vms(mut self, vms: impl IntoIterator<Item = VmId>) -> Self {
        self.vms.extend(vms);
        self
    }

    /// Adds a group whose VMs are members.
    #[must_use]
    pub fn vm_group(mut self, group: impl Into<String>) -> Self {
        self.vm_groups.push(group.into());
        self
    }

    /// Sets the strength.
    #[must_use]
    pub fn strength(mut self, strength: Strength) -> Self {
        self.strength = strength;
        self
    }
}
