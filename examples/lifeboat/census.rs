//! Counts and sums over a cluster: how many of what, and how full.
//!
//! Used by `check`.

use lifeboat::{Cluster, NodeRef, NodeState, Priority, RestartClass, Role};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The sums over a cluster.
pub(crate) struct Census<'a> {
    /// Nodes by state, every state.
    pub(crate) states: Vec<(&'static str, usize)>,
    /// Nodes of role spare.
    pub(crate) spare: usize,
    /// VMs that are on.
    pub(crate) on: usize,
    /// VMs that are on and have no node that is up.
    pub(crate) displaced: usize,
    /// VMs that are on, by effective class and priority, the most important first.
    pub(crate) classes: Vec<((RestartClass, Priority), usize)>,
    pub(crate) whole: Share<'a>,
    pub(crate) levels: Vec<Level<'a>>,
}

/// The domains of a level.
pub(crate) struct Level<'a> {
    pub(crate) name: &'a str,
    /// By name.
    pub(crate) domains: Vec<Share<'a>>,
    /// Nodes in no domain.
    pub(crate) alone: usize,
}

/// Some of the nodes.
#[derive(Default)]
pub(crate) struct Share<'a> {
    pub(crate) domain: &'a str,
    pub(crate) nodes: usize,
    /// VMs on nodes that run VMs.
    pub(crate) vms: usize,
    /// Per kind.
    pub(crate) uses: Vec<Use>,
}

/// Sums of one kind: over nodes that run VMs, but `free` and `largest` over those that take restarts.
#[derive(Clone, Default)]
pub(crate) struct Use {
    pub(crate) capacity: u64,
    pub(crate) allocatable: u64,
    pub(crate) failover_allocatable: u64,
    pub(crate) used: u64,
    pub(crate) free: u64,
    pub(crate) largest: u64,
}

/// Counts a cluster.
pub(crate) fn take(cluster: &Cluster) -> Census<'_> {
    let in_state = |state: NodeState| cluster.nodes().filter(|node| node.state() == state).count();
    let mut classes: BTreeMap<Reverse<(RestartClass, Priority)>, usize> = BTreeMap::new();
    for vm in cluster.vms().filter(|vm| vm.is_on()) {
        *classes.entry(Reverse(vm.effective())).or_default() += 1;
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
    let mut alone = 0;
    for node in cluster.nodes() {
        match node.domain(level) {
            Some(domain) => domains.entry(domain).or_default().push(node),
            None => alone += 1,
        }
    }
    let domains = domains.into_iter().map(|(domain, nodes)| share(cluster, domain, nodes.into_iter())).collect();
    Level { name: level, domains, alone }
}

fn share<'a>(cluster: &Cluster, domain: &'a str, nodes: impl Iterator<Item = NodeRef<'a>>) -> Share<'a> {
    let mut share = Share { domain, nodes: 0, vms: 0, uses: vec![Use::default(); cluster.kinds().len()] };
    for node in nodes {
        share.nodes += 1;
        if node.state().runs_vms() {
            share.vms += node.vms().len();
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
