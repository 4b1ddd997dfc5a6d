//! VMs that are all alike, started one after another on paper: what headroom asks.
//!
//! Uses `ledger::{class, keeps}`. Used by `capacity`. A ghost is in the books of its units and takes room on its node, but
//! is no VM of the cluster: the books balance as long as the cluster stays as it is.

use super::claims::raise_most;
use super::class::{Ask, ClassLedger, NO_BANK};
use super::keeps::{After, Moved};
use crate::cluster::{Cluster, Priority, RestartClass};
use crate::dense::to_usize;
use crate::guarantee::NOWHERE;
use crate::ids::{NodeSlot, VmSlot};

/// What is started. It is plain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ghost<'g> {
    pub(crate) demand: &'g [u64],
    pub(crate) need: &'g [u64],
    pub(crate) restart: RestartClass,
    pub(crate) priority: Priority,
    /// A VM whose labels, allowed nodes, `confine` and `exclude` rules limit ghosts, too.
    pub(crate) like: Option<VmSlot>,
}

impl ClassLedger {
    /// Whether one more can start on a node with every plan kept. Once this is `false` it stays so: claims only grow, and
    /// room only shrinks.
    pub(crate) fn has_room_for(&self, cluster: &Cluster, ghost: &Ghost<'_>, node: NodeSlot) -> bool {
        let moved = self.shrunk(ghost, node);
        let after = After {
            vm: None,
            like: ghost.like,
            home: Some(node),
            restart: ghost.restart,
            priority: ghost.priority,
            need: ghost.need,
            arrives: None,
            moved: moved.as_slice(),
        };
        self.keeps(cluster, &after)
    }

    /// Starts one for which there is room.
    pub(crate) fn start(&mut self, cluster: &Cluster, ghost: &Ghost<'_>, node: NodeSlot) {
        if let Some(Moved { node, free }) = self.shrunk(ghost, node) {
            let at = self.bank_of.lookup(node).copied().unwrap_or(NO_BANK);
            if let Some(bank) = self.banks.get_mut(to_usize(at)) {
                bank.room.set(node, &free);
            }
        }
        if !self.concerns(ghost.restart, ghost.priority) {
            return;
        }
        for at in 0..self.banks.len() {
            let Some(bank) = self.banks.get(at) else { continue };
            let unit = self.unit(bank, node);
            let ask = Ask { vm: ghost.like, need: ghost.need, unit, first: NOWHERE, moved: &[], back: None };
            let found = self.find(cluster, bank, &ask);
            debug_assert!(found.is_some(), "there was room");
            if let (Some(target), Some(bank)) = (found, self.banks.get_mut(at)) {
                raise_most(&mut self.most[target], bank.claims.add(unit, target, ghost.need));
            }
        }
    }

    /// What a node will have free with one more, if a bank has it.
    fn shrunk(&self, ghost: &Ghost<'_>, node: NodeSlot) -> Option<Moved> {
        let bank = self.banks.get(to_usize(self.bank_of.lookup(node).copied().unwrap_or(NO_BANK)))?;
        let free = bank.room.free_of(node)?.iter().zip(ghost.demand);
        Some(Moved { node, free: free.map(|(free, demand)| free.saturating_sub(*demand)).collect() })
    }
}
