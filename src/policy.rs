//! What is promised and what is allowed: the policy that goes with a cluster.
//!
//! Uses `cluster` (priorities). Used by `document`, `restart` and, later, the guarantee and admission.

use crate::cluster::{NODE_LEVEL, Priority};
use crate::named::named;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// The policy of a cluster. The default promises to survive any one node.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// What must be survivable: all of these.
    pub tolerate: Vec<FailureClass>,
    /// Reserves in the terms of other products, all of which must hold.
    pub reserves: Vec<Reserve>,
    /// What admission control does about what would be made worse.
    pub admission: Mode,
    /// What a VM means that no node could ever take after some failure.
    pub uncoverable: Uncoverable,
    /// Whether each node in maintenance takes one off every class's `node` count, never below 0.
    pub maintenance_uses_tolerance: bool,
    /// Which running VMs may be stopped to place more important ones.
    pub preemption: Preemption,
    /// Where VMs go, as far as nothing more important decides.
    pub strategy: Strategy,
    /// The order of starts.
    pub start: StartPolicy,
    /// Whether a kind that is not stated is an error when a document is loaded.
    pub strict: bool,
    /// How much work each question may cost.
    pub budget: WorkBudget,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tolerate: vec![FailureClass::nodes(1)],
            reserves: Vec::new(),
            admission: Mode::Enforce,
            uncoverable: Uncoverable::Fail,
            maintenance_uses_tolerance: false,
            preemption: Preemption::Never,
            strategy: Strategy::Spread,
            start: StartPolicy::default(),
            strict: false,
            budget: WorkBudget::default(),
        }
    }
}

/// A class of failures: up to so many units of each level, in any combination.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FailureClass {
    /// `(level, count)`: up to so many units of the level; each level at most once.
    pub fail: Vec<(String, u32)>,
    /// Only protected VMs of at least this priority count; `None` = all protected VMs.
    pub min_priority: Option<Priority>,
    /// What admission control does about it; `None` = as the policy's `admission`.
    pub mode: Option<Mode>,
    /// Whether a yes must hold for losses one after another; otherwise losses at once suffice.
    pub any_order: bool,
}

impl FailureClass {
    /// Up to `count` nodes.
    #[must_use]
    pub fn nodes(count: u32) -> Self {
        Self::units("node", count)
    }

    /// Up to `count` domains of a level.
    #[must_use]
    pub fn units(level: &str, count: u32) -> Self {
        Self { fail: vec![(level.to_string(), count)], min_priority: None, mode: None, any_order: false }
    }

    /// Whether it speaks of nodes alone, of whatever priority what runs there is.
    pub(crate) fn is_of_nodes(&self) -> bool {
        self.min_priority.is_none() && self.fail.iter().all(|(level, count)| level == NODE_LEVEL || *count == 0)
    }
}

/// What admission control does about an item that would be made worse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Mode {
    /// Refuses.
    #[default]
    Enforce,
    /// Admits and says so.
    Warn,
    /// Does not look.
    Off,
}

named!(Mode { Enforce = "enforce", Warn = "warn", Off = "off" });

/// What a VM means that no node could ever take after some failure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Uncoverable {
    /// The guarantee fails.
    #[default]
    Fail,
    /// It is listed, and the guarantee speaks of the rest. What a further node makes coverable belongs to the rest from then
    /// on: so a guarantee that was kept without it can fail by a node that is added.
    Warn,
}

named!(Uncoverable { Fail = "fail", Warn = "warn" });

/// Which running VMs may be stopped to place more important ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Preemption {
    /// None.
    #[default]
    Never,
    /// A protected VM may evict preemptible best-effort VMs.
    BestEffort,
    /// Besides, any VM may evict preemptible VMs of its own class and strictly lower priority.
    LowerPriority,
}

named!(Preemption { Never = "never", BestEffort = "best_effort", LowerPriority = "lower_priority" });

/// Where VMs go, as far as nothing more important decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Strategy {
    /// Evens out the dominant share of the nodes.
    #[default]
    Spread,
    /// Leaves the biggest holes whole.
    Pack,
}

named!(Strategy { Spread = "spread", Pack = "pack" });

/// The order of starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StartPolicy {
    /// Whether a priority band waits for the one above.
    pub tier_gate: TierGate,
    /// How long it waits at most, in seconds.
    pub tier_timeout_s: u32,
}

impl Default for StartPolicy {
    fn default() -> Self {
        Self { tier_gate: TierGate::None, tier_timeout_s: 600 }
    }
}

/// Until when a priority band waits for the one above.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum TierGate {
    /// It does not wait.
    #[default]
    None,
    /// Until all its VMs have been started.
    Started,
    /// Until all its VMs report that they are ready.
    Ready,
}

named!(TierGate { None = "none", Started = "started", Ready = "ready" });

/// How much work each question may cost, in node evaluations: never in time, so that an answer is reproducible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkBudget {
    /// For one restart plan; where evictions are allowed, as much again for the search for victims.
    pub plan: u64,
    /// For one admission.
    pub admit: u64,
    /// For one verdict.
    pub verify: u64,
}

impl Default for WorkBudget {
    fn default() -> Self {
        Self { plan: 2_000_000, admit: 2_000_000, verify: 200_000_000 }
    }
}

/// A reserve in the terms of another product. Kinds are named.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reserve {
    /// vSphere's cluster resource percentage.
    Percentage {
        /// How much must stay.
        percent: Percent,
        /// The least that a VM counts, per kind.
        floor: Vec<(String, u64)>,
        /// As in [`FailureClass::mode`].
        mode: Option<Mode>,
    },
    /// vSphere's slot policy.
    Slots {
        /// How many nodes may be lost.
        failures: u32,
        /// The least that a VM counts, per kind.
        floor: Vec<(String, u64)>,
        /// A fixed slot size, per kind.
        size: Vec<(String, u64)>,
        /// An upper bound on the slot size, per kind.
        cap: Vec<(String, u64)>,
        /// As in [`FailureClass::mode`].
        mode: Option<Mode>,
    },
    /// The nodes of role spare are empty.
    SpareNodes {
        /// As in [`FailureClass::mode`].
        mode: Option<Mode>,
    },
    /// So much stays free.
    Free {
        /// In total, per kind.
        total: Vec<(String, u64)>,
        /// On at least one node, per kind.
        one_node: Vec<(String, u64)>,
        /// As in [`FailureClass::mode`].
        mode: Option<Mode>,
    },
}

/// How much a percentage reserve keeps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Percent {
    /// Per kind, in per cent.
    Given(Vec<(String, u32)>),
    /// Derived from the loss of so many nodes.
    Auto {
        /// Whether the largest nodes are meant, or average ones.
        largest: bool,
        /// How many nodes.
        failures: u32,
    },
}
