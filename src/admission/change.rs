//! What can happen to a cluster and its policy, one operation at a time.
//!
//! Uses `cluster` and `policy`. Read from text by `document`, judged and carried out by `admission::guard`.

use crate::cluster::{Cluster, EditError, Node, NodeState, Rule, Vm};
use crate::ids::{NodeId, RuleId, VmId};
use crate::policy::Policy;
use crate::resources::Amounts;
use alloc::boxed::Box;

/// One operation. As a request it is judged first; as a fact it has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A VM that is off, or that waits for a place, starts: on this node; without one, as a request where the guard
    /// chooses, as a fact it waits for a place.
    Start {
        /// The VM.
        vm: VmId,
        /// Where.
        node: Option<NodeId>,
    },
    /// A VM comes into being. One that is on and has no node is started as by [`Start`](Self::Start).
    AddVm(Box<Vm>),
    /// A VM is described anew, as a whole.
    UpdateVm {
        /// The VM.
        vm: VmId,
        /// What it is from now on.
        to: Box<Vm>,
    },
    /// A VM is removed.
    RemoveVm {
        /// The VM.
        vm: VmId,
    },
    /// A VM stops.
    Stop {
        /// The VM.
        vm: VmId,
    },
    /// A VM demands another amount. Restart demand and reservation of its own stay as they are.
    Resize {
        /// The VM.
        vm: VmId,
        /// Its demand, without the kinds' `per_vm`.
        demand: Amounts,
    },
    /// A live migration begins: until it ends the VM counts on both nodes.
    Migrate {
        /// The VM.
        vm: VmId,
        /// Where to; without it the guard chooses. A fact must say.
        to: Option<NodeId>,
    },
    /// A live migration has arrived.
    MigrateDone {
        /// The VM.
        vm: VmId,
    },
    /// A live migration was given up: the VM stays where it was.
    MigrateAborted {
        /// The VM.
        vm: VmId,
    },
    /// A node comes into being.
    AddNode(Box<Node>),
    /// A node is described anew, as a whole.
    UpdateNode {
        /// The node.
        node: NodeId,
        /// What it is from now on.
        to: Box<Node>,
    },
    /// A node is removed; as a fact, its VMs wait for a place.
    RemoveNode {
        /// The node.
        node: NodeId,
    },
    /// A node is in another state.
    SetState {
        /// The node.
        node: NodeId,
        /// The state.
        state: NodeState,
    },
    /// A rule comes into being.
    AddRule(Box<Rule>),
    /// A rule is described anew, as a whole.
    UpdateRule {
        /// The rule.
        rule: RuleId,
        /// What it is from now on.
        to: Box<Rule>,
    },
    /// A rule is removed.
    RemoveRule {
        /// The rule.
        rule: RuleId,
    },
    /// The policy is another one.
    SetPolicy(Box<Policy>),
}

impl Change {
    /// A VM starts where the guard chooses.
    #[must_use]
    pub const fn start(vm: VmId) -> Self {
        Self::Start { vm, node: None }
    }

    /// A VM starts on a node.
    #[must_use]
    pub const fn start_on(vm: VmId, node: NodeId) -> Self {
        Self::Start { vm, node: Some(node) }
    }

    /// A node is in another state.
    #[must_use]
    pub const fn node_state(node: NodeId, state: NodeState) -> Self {
        Self::SetState { node, state }
    }

    /// The operation's name in a changes file.
    #[must_use]
    pub const fn op(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::AddVm(_) => "add_vm",
            Self::UpdateVm { .. } => "update_vm",
            Self::RemoveVm { .. } => "remove_vm",
            Self::Stop { .. } => "stop",
            Self::Resize { .. } => "resize",
            Self::Migrate { .. } => "migrate",
            Self::MigrateDone { .. } => "migrate_done",
            Self::MigrateAborted { .. } => "migrate_aborted",
            Self::AddNode(_) => "add_node",
            Self::UpdateNode { .. } => "update_node",
            Self::RemoveNode { .. } => "remove_node",
            Self::SetState { .. } => "set_state",
            Self::AddRule(_) => "add_rule",
            Self::UpdateRule { .. } => "update_rule",
            Self::RemoveRule { .. } => "remove_rule",
            Self::SetPolicy(_) => "set_policy",
        }
    }

    /// The VM that it is about, if it is about one that is there already.
    pub(super) const fn vm(&self) -> Option<VmId> {
        match self {
            Self::Start { vm, .. }
            | Self::UpdateVm { vm, .. }
            | Self::RemoveVm { vm }
            | Self::Stop { vm }
            | Self::Resize { vm, .. }
            | Self::Migrate { vm, .. }
            | Self::MigrateDone { vm }
            | Self::MigrateAborted { vm } => Some(*vm),
            _ => None,
        }
    }

    /// Whether [`Cluster::restore_vm`] takes it back.
    pub(super) const fn can_be_taken_back(&self) -> bool {
        self.vm().is_some() && !matches!(self, Self::UpdateVm { .. } | Self::RemoveVm { .. })
    }

    /// Makes it so. Returns the VM that it starts, moves or changes, if it is about one. Nothing has changed if it is
    /// refused as inconsistent.
    ///
    /// # Errors
    /// As the cluster's own edits.
    pub fn apply(&self, cluster: &mut Cluster, policy: &mut Policy) -> Result<Option<VmId>, EditError> {
        match self {
            Self::Start { vm, node } => {
                if cluster.vm(*vm)?.is_displaced() {
                    cluster.move_vm(*vm, *node)?;
                } else {
                    cluster.start_vm(*vm, *node)?;
                }
                return Ok(Some(*vm));
            }
            Self::AddVm(vm) => return cluster.add_vm((**vm).clone()).map(Some),
            Self::UpdateVm { vm, to } => {
                cluster.update_vm(*vm, (**to).clone())?;
                return Ok(Some(*vm));
            }
            Self::RemoveVm { vm } => cluster.remove_vm(*vm)?,
            Self::Stop { vm } => cluster.stop_vm(*vm)?,
            Self::Resize { vm, demand } => {
                cluster.resize_demand(*vm, demand)?;
                return Ok(Some(*vm));
            }
            Self::Migrate { vm, to } => {
                cluster.start_migration(*vm, to.ok_or(EditError::BadMigration)?)?;
                return Ok(Some(*vm));
            }
            Self::MigrateDone { vm } => {
                cluster.end_migration(*vm, true)?;
                return Ok(Some(*vm));
            }
            Self::MigrateAborted { vm } => cluster.end_migration(*vm, false)?,
            Self::AddNode(node) => {
                cluster.add_node((**node).clone())?;
            }
            Self::UpdateNode { node, to } => cluster.update_node(*node, (**to).clone())?,
            Self::RemoveNode { node } => cluster.remove_node(*node)?,
            Self::SetState { node, state } => cluster.set_node_state(*node, *state)?,
            Self::AddRule(rule) => {
                cluster.add_rule((**rule).clone())?;
            }
            Self::UpdateRule { rule, to } => cluster.update_rule(*rule, (**to).clone())?,
            Self::RemoveRule { rule } => cluster.remove_rule(*rule)?,
            Self::SetPolicy(to) => *policy = (**to).clone(),
        }
        Ok(None)
    }

    /// The node that it takes down or away while VMs run there, if it does.
    pub(super) fn takes_down(&self, cluster: &Cluster) -> Option<NodeId> {
        let (node, runs) = match self {
            Self::RemoveNode { node } => (*node, false),
            Self::SetState { node, state } => (*node, state.runs_vms()),
            Self::UpdateNode { node, to } => (*node, to.state.runs_vms()),
            _ => return None,
        };
        let view = cluster.node(node).ok()?;
        let occupied = view.state().runs_vms() && view.guests() > 0;
        (!runs && occupied).then_some(node)
    }
}
