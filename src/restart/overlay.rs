//! What nodes have free while a plan is being made: the cluster's room with the plan's changes on top.
//!
//! Uses `cluster`. Used by `restart`. Stamped by epoch: starting over costs nothing, a change costs one row, and
//! nothing is allocated once the arrays have their size.

use super::scene::Scene;
use crate::cluster::Cluster;
use crate::dense::{DenseId, IdVec, Rows};
use crate::ids::{NodeId, NodeSlot};
use alloc::vec::Vec;

#[derive(Debug)]
pub(super) struct Overlay {
    /// Of each node: `epoch` if it has a row of its own here, one more if it has failed, less if neither.
    stamp: IdVec<NodeSlot, u32>,
    rows: Rows<NodeSlot>,
    /// Grows by two from plan to plan.
    epoch: u32,
    /// Nodes that have more free than the cluster says: migrations to them whose source failed. By name.
    raised: Vec<NodeSlot>,
}

impl Default for Overlay {
    fn default() -> Self {
        Self { stamp: IdVec::new(), rows: Rows::new(0), epoch: 0, raised: Vec::new() }
    }
}

impl Overlay {
    /// Starts over with the cluster's room and the claims that the scene's failure releases.
    pub(super) fn set(&mut self, cluster: &Cluster, scene: &Scene, failed: &[NodeId]) {
        let kinds = cluster.kinds().len();
        if self.epoch > u32::MAX - 4 || self.rows.width() != kinds {
            self.stamp.clear();
            self.rows.reset(kinds, 0);
            self.epoch = 0;
        }
        self.epoch = self.epoch.saturating_add(2);
        if let Some(last) = cluster.node_slots().checked_sub(1).map(NodeSlot::from_index) {
            self.stamp.grow_to(last, &0);
            self.rows.grow_to(last);
        }
        for node in failed {
            self.stamp[node.slot] = self.epoch.saturating_add(1);
        }
        self.raised.clear();
        if scene.released.is_empty() {
            return;
        }
        self.raised.extend(scene.released.iter().map(|(target, _)| *target));
        self.raised.sort_unstable();
        self.raised.dedup();
        self.raised.retain(|target| cluster.room_index().contains(*target) && !scene.is_failed(*target));
        let name = |node: NodeSlot| cluster.node_record(node).map(|record| &*record.name);
        self.raised.sort_unstable_by(|left, right| name(*left).cmp(&name(*right)));
        for target in &self.raised {
            // Recomputed from what it holds: where that is more than it can give, less of it is not yet room.
            let row = &mut self.rows[*target];
            row.copy_from_slice(&cluster.used_rows()[*target]);
            for (_, vm) in scene.released.iter().filter(|(released, _)| released == target) {
                for (used, demand) in row.iter_mut().zip(&cluster.demand_rows()[*vm]) {
                    *used = used.saturating_sub(*demand);
                }
            }
            for (free, most) in row.iter_mut().zip(&cluster.failover_rows()[*target]) {
                *free = most.saturating_sub(*free);
            }
            self.stamp[*target] = self.epoch;
        }
    }

    /// Nodes that have more free than the cluster's index knows.
    pub(super) fn raised(&self) -> &[NodeSlot] {
        &self.raised
    }

    /// What a node has free.
    #[inline]
    pub(super) fn free<'a>(&'a self, cluster: &'a Cluster, node: NodeSlot) -> &'a [u64] {
        if self.stamp[node] == self.epoch { &self.rows[node] } else { &cluster.free_rows()[node] }
    }

    /// What a node has free that the cluster's index lists with `listed`; `None` if it has failed.
    #[inline]
    pub(super) fn free_of_listed<'a, const WIDTH: usize>(
        &'a self,
        node: NodeSlot,
        listed: &'a [u64],
    ) -> Option<&'a [u64]> {
        match self.stamp[node] {
            stamp if stamp < self.epoch => Some(listed),
            stamp if stamp == self.epoch => Some(self.rows.row::<WIDTH>(node)),
            _ => None,
        }
    }

    /// Takes `need` from what a node has free; nothing is left of a kind of which less is there (in a plan made elsewhere).
    #[inline]
    pub(super) fn take<const WIDTH: usize>(&mut self, cluster: &Cluster, node: NodeSlot, need: &[u64]) {
        let row = self.rows.row_mut::<WIDTH>(node);
        if self.stamp[node] != self.epoch {
            self.stamp[node] = self.epoch;
            row.copy_from_slice(cluster.free_rows().row::<WIDTH>(node));
        }
        for (free, need) in row.iter_mut().zip(need) {
            *free = free.saturating_sub(*need);
        }
    }
}
