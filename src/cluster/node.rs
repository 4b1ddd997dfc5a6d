//! A node as it is described from outside.
//!
//! Uses `resources`. Used by `cluster`, which keeps nodes in its own form, and by `document`.

use crate::annotations::Annotations;
use crate::named::named;
use crate::resources::Amounts;
use alloc::string::String;
use alloc::vec::Vec;

/// Whether a node runs VMs and takes more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum NodeState {
    /// Runs its VMs, takes starts, moves and restarts. A failure may take it.
    #[default]
    Online,
    /// Runs its VMs and takes nothing more: draining or quarantined. A failure may take it.
    Cordoned,
    /// Empty or being worked on. VMs listed there are displaced.
    Maintenance,
    /// Isolated or not yet fenced: its VMs may still run, so no plan starts them elsewhere. A verdict counts the node
    /// as already failed, on top of the tolerance.
    Unreachable,
    /// Confirmed dead. Its VMs are displaced.
    Failed,
}

named!(NodeState { Online = "online", Cordoned = "cordoned", Maintenance = "maintenance", Unreachable = "unreachable", Failed = "failed" });

impl NodeState {
    /// Whether the node takes starts, moves and restarts.
    pub const fn accepts(self) -> bool {
        matches!(self, Self::Online)
    }

    /// Whether VMs listed on the node count as running: on an unreachable node they may.
    pub const fn runs_vms(self) -> bool {
        matches!(self, Self::Online | Self::Cordoned | Self::Unreachable)
    }
}

/// What a node is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Role {
    /// Runs VMs and takes restarts.
    #[default]
    General,
    /// A dedicated failover host: takes restarts only, and is preferred for them.
    Spare,
}

named!(Role { General = "general", Spare = "spare" });

/// A node as it is given to a cluster, by names.
///
/// ```
/// use lifeboat::Node;
/// let node = Node::named("esx-01").capacity([48_000, 393_216]).reserved([0, 8_192]).domain("rack", "n1");
/// assert_eq!(node.name, "esx-01");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Node {
    /// Unique among the cluster's nodes, not empty.
    pub name: String,
    /// A name for people, kept and exported, never read.
    pub display: Option<String>,
    /// What the machine has, per kind.
    pub capacity: Amounts,
    /// What the hypervisor keeps, per kind: at most the capacity.
    pub reserved: Amounts,
    /// By how much each kind may be over-committed, in per cent: `(position of the kind, per cent)`; 100 where absent.
    pub overcommit: Vec<(usize, u32)>,
    /// The same for restarts after a failure; as `overcommit` where absent.
    pub failover_overcommit: Vec<(usize, u32)>,
    /// The node's fault domains: `(level, domain)`, at most one per level; the level `node` is implicit.
    pub domains: Vec<(String, String)>,
    /// What VMs can require: a storage array, a network, a CPU feature.
    pub labels: Vec<String>,
    /// What the node is for.
    pub role: Role,
    /// Whether it runs VMs and takes more.
    pub state: NodeState,
    /// How many VMs it can start at once; `None` = no limit. At least 1.
    pub start_limit: Option<u32>,
    /// The caller's own data, kept and exported, never read.
    pub annotations: Option<Annotations>,
}

impl Node {
    /// An online general node without capacity.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets what the machine has, per kind.
    #[must_use]
    pub fn capacity(mut self, capacity: impl Into<Amounts>) -> Self {
        self.capacity = capacity.into();
        self
    }

    /// Sets what the hypervisor keeps, per kind.
    #[must_use]
    pub fn reserved(mut self, reserved: impl Into<Amounts>) -> Self {
        self.reserved = reserved.into();
        self
    }

    /// Sets the over-commit of the kind at a position, in per cent.
    #[must_use]
    pub fn overcommit(mut self, kind: usize, percent: u32) -> Self {
        self.overcommit.push((kind, percent));
        self
    }

    /// Sets the over-commit for restarts of the kind at a position, in per cent.
    #[must_use]
    pub fn failover_overcommit(mut self, kind: usize, percent: u32) -> Self {
        self.failover_overcommit.push((kind, percent));
        self
    }

    /// Puts the node into a fault domain.
    #[must_use]
    pub fn domain(mut self, level: impl Into<String>, domain: impl Into<String>) -> Self {
        self.domains.push((level.into(), domain.into()));
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.labels.push(label.into());
        self
    }

    /// Makes the node a dedicated failover host.
    #[must_use]
    pub fn spare(mut self) -> Self {
        self.role = Role::Spare;
        self
    }

    /// Sets the state.
    #[must_use]
    pub fn state(mut self, state: NodeState) -> Self {
        self.state = state;
        self
    }
}
