//! Counts and sums over a cluster: how many of what, and how full.
//!
//! Uses `cluster`. Used by `answers::check`.

use crate::cluster::{Cluster, NodeRef, NodeState, Priority, RestartClass, Role};
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// The sums over a cluster.
#[derive(Debug)]
pub struct Census<'a> {
    /// Nodes by state, every state.
    pub states: Vec<(&'static str, usize)>,
    /// Nodes of role spare.
    pub spare: usize,
    /// VMs that are on.
    pub on: usize,
    /// VMs that are on and have no node that is up.
    pub displaced: usize,
    /// VMs that are on, by effective class and priority, the most important first.
    pub classes: Vec<((RestartClass, Priority), usize)>,
    /// All nodes.
    pub whole: Share<'a>,
    /// Every level of domains.
    pub levels: Vec<Level<'a>>,
}

/// The domains of a level.
#[derive(Debug)]
pub struct Level<'a> {
    /// Its name.
    pub name: &'a str,
    /// By name.
    pub domains: Vec<Share<'a>>,
    /// Nodes in no domain.
    pub alone: usize,
}

/// Some of the nodes.
#[derive(Debug, Default)]
pub struct Share<'a> {
    /// The domain's name; empty for all nodes.
    pub domain: &'a str,
    /// How many.
    pub nodes: usize,
    /// VMs on nodes that run VMs.
    pub vms: usize,
    /// Per kind.
    pub uses: Vec<Use>,
}

/// Sums of one kind: over nodes that run VMs, but `free` and `largest` over those that take restarts.
#[derive(Clone, Debug, Default)]
pub struct Use {
    /// What the nodes have.
    pub capacity: u64,
    /// What VMs can have of it.
    pub allocatable: u64,
    /// What they can have of it when nodes have failed.
    pub failover_allocatable: u64,
    /// What VMs hold.
    pub used: u64,
    /// What restarts could take.
    pub free: u64,
    /// The most of it on one node.
    pub largest: u64,
}

/// Counts a cluster.
pub(super) fn take(cluster: &Cluster) -> Census<'_> {
    let in_state = |state: NodeState| cluster.nodes().filter(|node| node.state() == state).count();
    let mut classes: BTreeMap<Reverse<(RestartClass, Priority)>, usize> = BTreeMap::new();
    for vm in cluster.vms().filter(|vm| vm.is_on()) {
        let count = classes.entry(Reverse(vm.effective())).or_default();
        *count = count.saturating_add(1);
    }
    Census {
        states: NodeState::ALL.iter().map(|state| (state.name(), in_state(*state))).collect(),
        spare: cluster.nodes().filter(|node| node.role() == Role::Spare).count(),
        on: cluster.vms().filter(|vm| vm.is_on()).count(),
        displaced: cluster.vms().filter(|vm| vm.is_displaced()).count(),
        classes: classes.into_iter().map(|(Reverse(class), vms)| (class, vms)).collect(),
        whole: share(cluster, "", cluster.nodes()),
        levels: cluster.levels().map(|level| level_of(cluster, level)).collect(),
    }
}

fn level_of<'a>(cluster: &'a Cluster, level: &'a str) -> Level<'a> {
    let mut domains: BTreeMap<&str, Vec<NodeRef<'a>>> = BTreeMap::new();
    let mut alone = 0_usize;
    for node in cluster.nodes() {
        match node.domain(level) {
            Some(domain) => domains.entry(domain).or_default().push(node),
            None => alone = alone.saturating_add(1),
        }
    }
    let domains = domains.into_iter().map(|(domain, nodes)| share(cluster, domain, nodes.into_iter())).collect();
    Level { name: level, domains, alone }
}

fn share<'a>(cluster: &Cluster, domain: &'a str, nodes: impl Iterator<Item = NodeRef<'a>>) -> Share<'a> {
    let mut share = Share { domain, nodes: 0, vms: 0, uses: vec![Use::default(); cluster.kinds().len()] };
    for node in nodes {
        share.nodes = share.nodes.saturating_add(1);
        if node.state().runs_vms() {
            share.vms = share.vms.saturating_add(node.vms().len());
            add(&mut share.uses, node.capacity(), |used| &mut used.capacity);
            add(&mut share.uses, node.allocatable(), |used| &mut used.allocatable);
            add(&mut share.uses, node.failover_allocatable(), |used| &mut used.failover_allocatable);
            add(&mut share.uses, node.used(), |used| &mut used.used);
        }
        if node.state().accepts() {
            add(&mut share.uses, node.free(), |used| &mut used.free);
            for (used, free) in share.uses.iter_mut().zip(node.free()) {
                used.largest = used.largest.max(*free);
            }
        }
    }
    share
}

/// Adds per kind. The library keeps all these sums within `u64`.
fn add(uses: &mut [Use], amounts: &[u64], field: impl Fn(&mut Use) -> &mut u64) {
    for (used, amount) in uses.iter_mut().zip(amounts) {
        let sum = field(used);
        *sum = sum.saturating_add(*amount);
    }
}
