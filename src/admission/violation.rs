//! What stands against a request, as data and in words.
//!
//! Uses `cluster`, `admission::item`. Made by `admission::{demands, guard}`, printed by whoever asks.

use crate::cluster::{EditError, NodeState};
use crate::ids::{NodeId, RuleId, VmId};
use alloc::string::String;
use alloc::vec::Vec;

/// Something that stands against a request, or that a fact has brought about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// What it is.
    pub kind: ViolationKind,
    /// Whether it refuses the request; otherwise it is said and no more (mode `warn`, what was there before, rules that no
    /// arriving VM breaks).
    pub enforced: bool,
    /// Whether it was so before, and the change does not make it worse.
    pub broken_before: bool,
    /// In words.
    pub message: String,
}

/// What stands against a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ViolationKind {
    /// An operation cannot be carried out: the state would be inconsistent.
    Inconsistent {
        /// Which operation of the transaction, the first being 0.
        change: usize,
        /// Why.
        error: EditError,
    },
    /// The node still runs VMs.
    NotEmpty {
        /// The node.
        node: NodeId,
        /// How many, those on their way there included.
        vms: usize,
    },
    /// The node takes no starts and moves in its state.
    NotAccepting {
        /// The VM.
        vm: VmId,
        /// The node.
        node: NodeId,
        /// Its state.
        state: NodeState,
    },
    /// The node is a spare: it takes restarts only.
    SpareReserved {
        /// The VM.
        vm: VmId,
        /// The node.
        node: NodeId,
    },
    /// The node lacks a label.
    MissingLabel {
        /// The VM.
        vm: VmId,
        /// The node.
        node: NodeId,
        /// The label.
        label: String,
    },
    /// The node is not one of the VM's allowed nodes.
    NotAllowed {
        /// The VM.
        vm: VmId,
        /// The node.
        node: NodeId,
    },
    /// The VM cannot be moved while it runs.
    NotMigratable {
        /// The VM.
        vm: VmId,
    },
    /// The node has too little free.
    Insufficient {
        /// The node.
        node: NodeId,
        /// The position of the kind that is short of most, relative to what is needed.
        resource: usize,
        /// How much more the request needs there.
        needed: u64,
        /// How much is free.
        free: u64,
    },
    /// A required or relaxed rule is broken, or broken further.
    Rule {
        /// The rule.
        rule: RuleId,
        /// Its excess before.
        before: u64,
        /// Its excess after.
        after: u64,
    },
    /// No node can take the VM; why, by code, with how many nodes.
    NoNode {
        /// The VM.
        vm: VmId,
        /// Its name: one that is to be added is not in the cluster.
        name: String,
        /// The codes of what stands against each node, with how many nodes there are of each.
        nodes: Vec<(&'static str, usize)>,
        /// Of the nodes that are only short of room the one that is least so.
        nearest: Option<Shortage>,
    },
    /// An item of the policy is worse, or not kept.
    Item {
        /// Its position among the states after the change.
        item: usize,
        /// The item's code: `tolerate`, `percentage`, `slots`, `spare_nodes`, `free`.
        code: &'static str,
        /// Whether it went from kept to undecided.
        undecided: bool,
    },
    /// Not all nodes could be tried within the budget of an admission.
    BudgetSpent {
        /// How many choices were tried.
        tried: usize,
    },
}

/// What a node lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shortage {
    /// The node.
    pub node: NodeId,
    /// The position of the kind that is short of most, relative to what is needed.
    pub resource: usize,
    /// How much is needed there.
    pub needed: u64,
    /// How much is free.
    pub free: u64,
}

impl ViolationKind {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Inconsistent { error, .. } => error.code(),
            Self::NotEmpty { .. } => "not_empty",
            Self::NotAccepting { .. } => "not_accepting",
            Self::SpareReserved { .. } => "spare_reserved",
            Self::MissingLabel { .. } => "missing_label",
            Self::NotAllowed { .. } => "not_allowed",
            Self::NotMigratable { .. } => "not_migratable",
            Self::Insufficient { .. } => "insufficient",
            Self::Rule { .. } => "rule",
            Self::NoNode { .. } => "no_node",
            Self::Item { undecided: true, .. } | Self::BudgetSpent { .. } => "undecided",
            Self::Item { code, .. } => code,
        }
    }
}
