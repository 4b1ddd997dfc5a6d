//! The state after a plan, from first principles: who stays, who is displaced, who is where in the end.
//!
//! Uses the public views of `cluster`, and `failure`. Used by the other parts of the checker.

use crate::cluster::{Cluster, NodeRef, NodeState, VmRef};
use crate::failure::Failure;
use crate::ids::{NodeId, VmId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};

/// What a failure makes of a VM, before any plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Powered off: it is of no concern.
    Off,
    /// It waits for a place.
    Displaced,
    /// It runs, or may run, on `node`, and on `target`, too, while it migrates there.
    Stays {
        node: NodeId,
        target: Option<NodeId>,
        /// Its node is unreachable: it is not known whether it runs.
        waits: bool,
    },
}

/// The state after a plan: what stays, less what is evicted, with what is placed.
pub(super) struct After<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) failure: &'a Failure,
    pub(super) placed: BTreeMap<VmId, NodeId>,
    pub(super) evicted: BTreeSet<VmId>,
}

/// A domain of some level: a named one, or a node that is one of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Domain<'a> {
    Named(&'a str),
    Own(&'a str),
}

impl Domain<'_> {
    pub(super) fn name(&self) -> String {
        let (Self::Named(name) | Self::Own(name)) = self;
        (*name).to_string()
    }
}

/// The domain of a node at a level.
pub(super) fn domain_of<'a>(node: NodeRef<'a>, level: &str) -> Domain<'a> {
    node.domain(level).map_or(Domain::Own(node.name()), Domain::Named)
}

/// Whether a node is gone: it fails now, has failed before, or is in maintenance.
pub(super) fn is_lost(cluster: &Cluster, failure: &Failure, node: NodeId) -> bool {
    let down = |node: NodeRef<'_>| matches!(node.state(), NodeState::Failed | NodeState::Maintenance);
    failure.contains(node) || cluster.node(node).map_or(true, down)
}

/// What a failure makes of a VM.
pub(super) fn fate(cluster: &Cluster, failure: &Failure, vm: VmRef<'_>) -> Fate {
    if !vm.is_on() {
        return Fate::Off;
    }
    match vm.node() {
        Some(node) if !is_lost(cluster, failure, node) => Fate::Stays {
            node,
            // A migration whose target is gone is over: the VM stays where it was.
            target: vm.migrating_to().filter(|target| !is_lost(cluster, failure, *target)),
            waits: cluster.node(node).is_ok_and(|node| node.state() == NodeState::Unreachable),
        },
        _ => Fate::Displaced,
    }
}

impl<'a> After<'a> {
    pub(super) fn fate(&self, vm: VmId) -> Fate {
        self.cluster.vm(vm).map_or(Fate::Off, |vm| fate(self.cluster, self.failure, vm))
    }

    /// The nodes where a VM that stays runs or may run: two while it migrates.
    pub(super) fn stays_on(&self, vm: VmId) -> impl Iterator<Item = NodeId> + use<> {
        let nodes = match self.fate(vm) {
            Fate::Stays { node, target, .. } if !self.evicted.contains(&vm) => [Some(node), target],
            _ => [None, None],
        };
        nodes.into_iter().flatten()
    }

    /// The nodes where a VM is in the end.
    pub(super) fn is_on(&self, vm: VmId) -> impl Iterator<Item = NodeId> + use<'_> {
        self.placed.get(&vm).copied().into_iter().chain(self.stays_on(vm))
    }

    /// Whether a VM runs, may run, or is placed.
    pub(super) fn is_up(&self, vm: VmId) -> bool {
        self.is_on(vm).next().is_some()
    }

    /// What the VMs that stay hold on a node, of one kind; the incoming ones included.
    pub(super) fn residents_hold(&self, node: NodeRef<'_>, kind: usize) -> u128 {
        let here = |vm: &VmId| self.stays_on(*vm).any(|at| at == node.id());
        let demand = |vm: VmId| self.cluster.vm(vm).map_or(0, |vm| amount(vm.demand(), kind));
        node.vms().chain(node.incoming()).filter(here).map(demand).fold(0, u128::saturating_add)
    }

    pub(super) fn vm_name(&self, vm: VmId) -> String {
        self.cluster.vm(vm).map_or_else(|_| String::new(), |vm| vm.name().to_string())
    }

    pub(super) fn node_name(&self, node: NodeId) -> String {
        self.cluster.node(node).map_or_else(|_| String::new(), |node| node.name().to_string())
    }

    /// The domain of a node by id.
    pub(super) fn domain(&self, node: NodeId, level: &str) -> Option<Domain<'a>> {
        self.cluster.node(node).ok().map(|node| domain_of(node, level))
    }
}

/// The amount of a kind in a row.
pub(super) fn amount(row: &[u64], kind: usize) -> u128 {
    row.get(kind).copied().map_or(0, u128::from)
}
