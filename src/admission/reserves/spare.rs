//! `spare_nodes`: the nodes of role spare are empty.
//!
//! Uses `cluster`, `reserves::status`. vSphere's "dedicated failover hosts": there a host with VMs shows yellow, and one that
//! cannot be used red. The rule here asks that they are empty; how many of them cannot take restarts now is counted and
//! said, and does not break it.

use super::status::SpareFigures;
use crate::cluster::{Cluster, NodeRef, Role};

/// Counts VMs that run on spare nodes or are on their way there.
#[derive(Clone, Debug, Default)]
pub(super) struct SpareCounter {
    guests: u128,
}

impl SpareCounter {
    pub(super) fn add(&mut self, guests: u32) {
        self.guests = self.guests.saturating_add(u128::from(guests));
    }

    pub(super) fn remove(&mut self, guests: u32) {
        self.guests = self.guests.saturating_sub(u128::from(guests));
    }

    pub(super) const fn shortfall(&self) -> u128 {
        self.guests
    }
}

pub(super) fn figures(cluster: &Cluster) -> SpareFigures {
    let mut figures = SpareFigures::default();
    for node in cluster.nodes().filter(|node| node.role() == Role::Spare) {
        figures.nodes = figures.nodes.saturating_add(1);
        if !node.state().accepts() {
            figures.unusable = figures.unusable.saturating_add(1);
        }
        if node.state().runs_vms() && node.guests() > 0 {
            figures.occupied.push(node.id());
            figures.vms = figures.vms.saturating_add(node.guests());
        }
    }
    let name = |node| cluster.node(node).map(NodeRef::name).ok();
    figures.occupied.sort_by(|left, right| name(*left).cmp(&name(*right)));
    figures
}
