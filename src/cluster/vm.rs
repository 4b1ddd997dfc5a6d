//! A VM as it is described from outside.
//!
//! Uses `resources` and `ids`. Used by `cluster`, which keeps VMs in its own form, and by `document`.

use crate::annotations::Annotations;
use crate::ids::{NodeId, VmId};
use crate::named::named;
use crate::resources::{Amounts, KindSet};
use alloc::string::String;
use alloc::vec::Vec;

/// How important a VM is: larger is more important.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Priority(pub u32);

impl Priority {
    /// 500.
    pub const LOWEST: Self = Self(500);
    /// 1000.
    pub const LOW: Self = Self(1000);
    /// 2000, the default.
    pub const MEDIUM: Self = Self(2000);
    /// 3000.
    pub const HIGH: Self = Self(3000);
    /// 4000.
    pub const HIGHEST: Self = Self(4000);

    /// The named priorities, most important first.
    pub const NAMED: [(&'static str, Self); 5] = [
        ("highest", Self::HIGHEST),
        ("high", Self::HIGH),
        ("medium", Self::MEDIUM),
        ("low", Self::LOW),
        ("lowest", Self::LOWEST),
    ];

    /// The priority with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, priority)| *priority)
    }

    /// The name, if the priority is a named one.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMED.iter().find(|(_, priority)| *priority == self).map(|(name, _)| *name)
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::MEDIUM
    }
}

impl core::fmt::Display for Priority {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.name() {
            Some(name) => formatter.pad(name),
            None => core::fmt::Display::fmt(&self.0, formatter),
        }
    }
}

/// Whether a VM is meant to run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Power {
    /// It runs, or waits for a place.
    On,
    /// It holds nothing and is not restarted.
    Off,
}

named!(Power { On = "on", Off = "off" });

/// What is promised to a VM when its node fails. Ordered: `Never < BestEffort < Protected`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum RestartClass {
    /// Left alone.
    Never,
    /// Restarted after all protected VMs, if there is room.
    BestEffort,
    /// Part of every guarantee.
    #[default]
    Protected,
}

named!(RestartClass { Never = "never", BestEffort = "best_effort", Protected = "protected" });

/// Until when a start waits for another VM.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Until {
    /// Until the other one has been started.
    #[default]
    Started,
    /// Until the other one reports that it is ready.
    Ready,
}

named!(Until { Started = "started", Ready = "ready" });

/// What happens when the VM waited for does not come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum OnTimeout {
    /// The VM starts all the same.
    #[default]
    Continue,
    /// The VM is not started: it needs the other one.
    GiveUp,
}

named!(OnTimeout { Continue = "continue", GiveUp = "give_up" });

/// A VM starts after another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StartEdge {
    /// The prerequisite.
    pub vm: VmId,
    /// Until when to wait for it.
    pub until: Until,
    /// How long to wait after that, in seconds.
    pub delay_s: u32,
    /// How long to wait for the prerequisite at most, in seconds; `None` = for ever.
    pub timeout_s: Option<u32>,
    /// What happens when it does not come.
    pub on_timeout: OnTimeout,
}

impl StartEdge {
    /// Start once `vm` has been started; continue without it if it does not come.
    #[must_use]
    pub const fn after(vm: VmId) -> Self {
        Self { vm, until: Until::Started, delay_s: 0, timeout_s: None, on_timeout: OnTimeout::Continue }
    }
}

/// A VM as it is given to a cluster.
///
/// ```
/// use lifeboat::{Priority, Vm};
/// let vm = Vm::named("db-1").demand([8_000, 32_768]).priority(Priority::HIGH).powered_on();
/// assert_eq!(vm.name, "db-1");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Vm {
    /// Unique among the cluster's VMs, not empty.
    pub name: String,
    /// A name for people, kept and exported, never read.
    pub display: Option<String>,
    /// Whether it is meant to run; `None`: on if it has a node, else off.
    pub power: Option<Power>,
    /// What it holds while it runs, per kind, without the kinds' `per_vm`. Required when it is on.
    pub demand: Option<Amounts>,
    /// What its node must have free to start it, without the kinds' `per_vm`; as `demand` where absent.
    pub restart_demand: Option<Amounts>,
    /// The kinds that `restart_demand` speaks of; of the others it is as `demand`, also once that changes. `None`: all.
    pub restart_kinds: Option<KindSet>,
    /// What is reserved for it, without the kinds' `per_vm`; as `demand` where absent. Read only by the reserves
    /// `percentage` and `slots`.
    pub reservation: Option<Amounts>,
    /// The node that it runs on or last ran on. A VM that is on and has none waits for a place.
    pub node: Option<NodeId>,
    /// The target of a live migration in flight; it holds its demand there, too.
    pub migrating_to: Option<NodeId>,
    /// How important it is.
    pub priority: Priority,
    /// What is promised to it.
    pub restart: RestartClass,
    /// Whether it may be stopped for a more important one; `None`: yes, unless its class is `never`.
    pub preemptible: Option<bool>,
    /// Labels that its node must carry.
    pub requires: Vec<String>,
    /// The only nodes it can run on; `None` = any. An empty list means none.
    pub allowed_nodes: Option<Vec<NodeId>>,
    /// Whether it can be moved while it runs.
    pub pinned: bool,
    /// Labels that the target of a live move must carry in addition.
    pub migrate_requires: Vec<String>,
    /// Names that rules can use for it.
    pub groups: Vec<String>,
    /// The VMs it starts after.
    pub starts_after: Vec<StartEdge>,
    /// How long it takes to start, in seconds; an estimate for reports.
    pub start_s: Option<u32>,
    /// The caller's own data, kept and exported, never read.
    pub annotations: Option<Annotations>,
}

impl Vm {
    /// A VM of medium priority, protected, off, without demand.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets what it holds while it runs, per kind.
    #[must_use]
    pub fn demand(mut self, demand: impl Into<Amounts>) -> Self {
        self.demand = Some(demand.into());
        self
    }

    /// Sets what its node must have free to start it, of every kind.
    #[must_use]
    pub fn restart_demand(mut self, demand: impl Into<Amounts>) -> Self {
        self.restart_demand = Some(demand.into());
        self.restart_kinds = None;
        self
    }

    /// The restart demand that it has of its own, and the kinds that this speaks of.
    pub(super) fn own_restart_demand(&self) -> Option<(&Amounts, KindSet)> {
        let kinds = self.restart_kinds.unwrap_or(KindSet::ALL);
        self.restart_demand.as_ref().filter(|_| !kinds.is_empty()).map(|demand| (demand, kinds))
    }

    /// Sets the node it runs on; it is powered on unless said otherwise.
    #[must_use]
    pub fn on(mut self, node: NodeId) -> Self {
        self.node = Some(node);
        self
    }

    /// Powers it on: without a node it waits for a place.
    #[must_use]
    pub fn powered_on(mut self) -> Self {
        self.power = Some(Power::On);
        self
    }

    /// Sets how important it is.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Sets what is promised to it.
    #[must_use]
    pub fn restart(mut self, restart: RestartClass) -> Self {
        self.restart = restart;
        self
    }

    /// Adds a label that its node must carry.
    #[must_use]
    pub fn requires(mut self, label: impl Into<String>) -> Self {
        self.requires.push(label.into());
        self
    }

    /// Limits it to these nodes.
    #[must_use]
    pub fn allowed_nodes(mut self, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        self.allowed_nodes = Some(nodes.into_iter().collect());
        self
    }

    /// Adds a group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Adds a start edge.
    #[must_use]
    pub fn starts_after(mut self, edge: StartEdge) -> Self {
        self.starts_after.push(edge);
        self
    }

    /// Whether the description says that it runs or should: its power, or else whether it has a node.
    pub fn is_on(&self) -> bool {
        self.power.map_or(self.node.is_some(), |power| power == Power::On)
    }
}
