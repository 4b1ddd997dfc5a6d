//! Many additions at once, as when a document is loaded.
//!
//! Uses the stores of `cluster`. Used by `document`.
//!
//! Every edit brings the free amounts of the nodes that it touches along, their entry in the room index, and their share
//! of the fingerprint. While a cluster is built nobody reads them, and every node is touched once per VM on it: so they
//! wait for the end, and are made once per node then.

use super::Cluster;
use crate::dense::DenseId;
use crate::ids::NodeSlot;
use alloc::vec::Vec;

impl Cluster {
    /// Begins a run of additions. Until [`end_bulk`](Self::end_bulk) nothing may be asked of the cluster but objects by
    /// name and id.
    pub(crate) fn begin_bulk(&mut self, nodes: usize, vms: usize) {
        self.bulk = true;
        self.nodes.reserve(nodes);
        self.node_names.reserve(nodes);
        for rows in [&mut self.allocatable, &mut self.failover, &mut self.unit_share, &mut self.used, &mut self.free] {
            rows.reserve(nodes);
        }
        self.vms.reserve(vms);
        self.vm_names.reserve(vms);
        for rows in [&mut self.demand, &mut self.restart_demand, &mut self.reservation] {
            rows.reserve(vms);
        }
        self.facts.reserve(vms);
        self.stamps.reserve(vms);
    }

    /// Ends it: all that is derived is right from here on.
    pub(crate) fn end_bulk(&mut self) {
        self.bulk = false;
        let mut targets: Vec<(u128, NodeSlot)> = Vec::with_capacity(self.nodes.len());
        for slot in (0..self.nodes.slots()).map(NodeSlot::from_index) {
            let Some(record) = self.nodes.get(slot) else { continue };
            if record.state.accepts() {
                targets.push((record.key, slot));
            }
            self.compute_free(slot);
            self.stamp_node(slot);
        }
        targets.sort_unstable();
        self.room.fill(&targets, &self.free);
    }
}
