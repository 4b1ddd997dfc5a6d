//! Why an edit of a cluster is refused.
//!
//! Uses nothing of the crate. Used by `cluster` and everything that edits one.

use alloc::string::String;
use alloc::vec::Vec;

/// Why an edit of a cluster is refused. Nothing has changed then.
///
/// An edit is refused only where it would be inconsistent, never for lack of room.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The id names no node of this cluster, or one that was removed.
    #[error("no such node (removed, or of another cluster)")]
    UnknownNode,
    /// The id names no VM of this cluster, or one that was removed.
    #[error("no such VM (removed, or of another cluster)")]
    UnknownVm,
    /// The id names no rule of this cluster, or one that was removed.
    #[error("no such rule (removed, or of another cluster)")]
    UnknownRule,
    /// A name is empty.
    #[error("the name of a {what} is empty")]
    EmptyName {
        /// `node`, `vm`, `rule`, `level`, `domain`, `label` or `group`.
        what: &'static str,
    },
    /// Another object of the same sort has the name.
    #[error("there is another {what} named \"{name}\"")]
    DuplicateName {
        /// `node`, `vm`, `rule` or `level`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There is no such level.
    #[error("there is no level \"{level}\"")]
    UnknownLevel {
        /// The name given.
        level: String,
    },
    /// The level `node` is implicit and cannot be declared or given domains.
    #[error("the level \"node\" is implicit: it cannot be declared, and has no domains besides the nodes")]
    NodeLevel,
    /// There are more levels than are supported.
    #[error("{count} levels are too many: at most {limit} are supported")]
    TooManyLevels {
        /// How many there are.
        count: usize,
        /// How many are supported.
        limit: usize,
    },
    /// A node is put into two domains of one level.
    #[error("two domains are given at level \"{level}\": a node is in one at most")]
    TwoDomains {
        /// The level.
        level: String,
    },
    /// The level's domains are declared, and this is none of them.
    #[error("\"{domain}\" is not one of the declared domains of level \"{level}\"")]
    UndeclaredDomain {
        /// The level.
        level: String,
        /// The name given.
        domain: String,
    },
    /// No node is in this domain, and it is not declared.
    #[error("there is no domain \"{domain}\" at level \"{level}\"")]
    UnknownDomain {
        /// The level.
        level: String,
        /// The name given.
        domain: String,
    },
    /// More amounts are given than there are resource kinds.
    #[error("{count} amounts are given for {kinds} resource kinds")]
    TooManyAmounts {
        /// How many are given.
        count: usize,
        /// How many kinds there are.
        kinds: usize,
    },
    /// A node keeps more for itself than it has.
    #[error("reserved {kind} ({reserved}) exceeds the capacity ({capacity})")]
    ReservedExceedsCapacity {
        /// The resource kind.
        kind: String,
        /// What is reserved.
        reserved: u64,
        /// What the machine has.
        capacity: u64,
    },
    /// Amounts of a kind add up to more than a `u64` holds.
    #[error("the sum of all {kind}{} exceeds 2^64-1", counted_twice(*.twice))]
    Overflow {
        /// The resource kind.
        kind: String,
        /// Whether it is the sum of demands, in which each counts twice: a VM that migrates is on two nodes.
        twice: bool,
    },
    /// A start limit of 0.
    #[error("a start limit of 0 would never let a VM start: leave it out for no limit")]
    StartLimitZero,
    /// A VM is on and its demand is not known.
    #[error("the demand of a powered-on VM is missing")]
    DemandMissing,
    /// A migration of a VM that is off, has no node, or goes to the node it is on; as a request also one from a node that is
    /// down or unreachable. Or the end of a migration that there is not.
    #[error("a migration needs a VM that runs, on another node than the target")]
    BadMigration,
    /// The VM is not in the power state that the operation needs.
    #[error("the VM is powered {}", if *.on { "on" } else { "off" })]
    WrongPower {
        /// Whether it is on.
        on: bool,
    },
    /// Start edges form a cycle.
    #[error("the start order is a cycle: {}", .vms.join(" after "))]
    StartCycle {
        /// The names along the cycle; the first is repeated at the end.
        vms: Vec<String>,
    },
    /// A VM that runs needs one that never will.
    #[error("\"{vm}\" needs \"{needed}\", which is {}", if *.off { "powered off" } else { "of class never" })]
    NeedsIdle {
        /// The VM that needs the other.
        vm: String,
        /// The prerequisite or leader.
        needed: String,
        /// Whether it is powered off; otherwise its class is `never`.
        off: bool,
    },
    /// The VM leads the members of a `follow` rule: the rule must go first.
    #[error("the VM leads rule \"{rule}\": remove the rule first")]
    LeadsRule {
        /// The rule.
        rule: String,
    },
    /// `max_per_domain` of 0.
    #[error("max_per_domain is 0: at least one member must be allowed in a domain (use exclude to bar it)")]
    MaxPerDomainZero,
    /// A `spread` rule that asks for nothing.
    #[error("a spread rule needs min_domains or max_skew")]
    SpreadOfNothing,
    /// A VM is on two sides, or a leader follows itself.
    #[error("\"{vm}\" has two parts in the rule")]
    TwoParts {
        /// The VM.
        vm: String,
    },
    /// A rule with sides also lists members of its own.
    #[error("a rule with sides takes its members from them alone")]
    SidesAndMembers,
    /// There are as many objects of a sort as are supported.
    #[error("there are too many objects: at most {limit} of a sort are supported")]
    TooManyObjects {
        /// How many are supported.
        limit: u32,
    },
}

impl EditError {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownNode => "unknown_node",
            Self::UnknownVm => "unknown_vm",
            Self::UnknownRule => "unknown_rule",
            Self::EmptyName { .. } => "empty_name",
            Self::DuplicateName { .. } => "duplicate_name",
            Self::UnknownLevel { .. } => "unknown_level",
            Self::NodeLevel => "node_level",
            Self::TooManyLevels { .. } => "too_many_levels",
            Self::TwoDomains { .. } => "two_domains",
            Self::UndeclaredDomain { .. } | Self::UnknownDomain { .. } => "unknown_domain",
            Self::TooManyAmounts { .. } => "too_many_amounts",
            Self::ReservedExceedsCapacity { .. } => "reserved_exceeds_capacity",
            Self::Overflow { .. } => "overflow",
            Self::StartLimitZero => "start_limit_zero",
            Self::DemandMissing => "demand_missing",
            Self::BadMigration => "bad_migration",
            Self::WrongPower { .. } => "wrong_power",
            Self::StartCycle { .. } => "start_cycle",
            Self::NeedsIdle { .. } => "needs_idle",
            Self::LeadsRule { .. } => "leads_rule",
            Self::MaxPerDomainZero => "max_per_domain_zero",
            Self::SpreadOfNothing => "spread_of_nothing",
            Self::TwoParts { .. } => "two_parts",
            Self::SidesAndMembers => "sides_and_members",
            Self::TooManyObjects { .. } => "too_many_objects",
        }
    }
}

/// What a sum of demands says of itself.
const fn counted_twice(twice: bool) -> &'static str {
    if twice { " demanded, each demand counted twice since a VM that migrates is on two nodes," } else { "" }
}
