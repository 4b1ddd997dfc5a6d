//! Many additions at once, as when a document is loaded.
//!
//! Uses the stores of `cluster`. Used by `document`.
//!
//! Every edit brings the free amounts of the nodes that it touches along, their entry in the room index, and their share
//! of the fingerprint. While a cluster is built nobody reads them, and every node is touched once per VM on it: so they
//! wait for the end, and are made once per node then. So do the effective classes and priorities of VMs that need others:
//! each edge and rule more would go through all that hangs on it.

use super::{Cluster, EditError, Node, Vm, add_row};
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

    /// Counts a node that cannot be added in the sums that must fit. The cluster is good for finding errors only from
    /// then on.
    ///
    /// # Errors
    /// What is wrong with its amounts: a sum beyond `u64`, or more reserved than there is.
    pub(crate) fn count_lost_node(&mut self, node: &Node) -> Result<(), EditError> {
        let amounts = self.prepare_amounts_of_node(node, None)?;
        add_row(&mut self.totals.capacity, &amounts.capacity);
        add_row(&mut self.totals.allocatable, &amounts.allocatable);
        add_row(&mut self.totals.failover, &amounts.failover);
        Ok(())
    }

    /// The same for a VM.
    ///
    /// # Errors
    /// A sum beyond `u64`.
    pub(crate) fn count_lost_vm(&mut self, vm: &Vm) -> Result<(), EditError> {
        let (demand, reservation) = (vm.demand.as_ref(), vm.reservation.as_ref());
        let amounts = self.prepare_amounts(None, demand, vm.own_restart_demand(), reservation)?;
        self.add_to_totals(&amounts);
        Ok(())
    }

    /// Ends it: all that is derived is right from here on.
    pub(crate) fn end_bulk(&mut self) {
        self.bulk = false;
        if core::mem::take(&mut self.effective_due) {
            self.recompute_all_effective();
        }
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
