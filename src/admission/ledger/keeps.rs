//! Whether the books would still balance after a change, without making it.
//!
//! Uses `ledger::{class, lists}`. Called by `admission::guard` for every request, so nothing here allocates (but for a node
//! where room is kept for VMs with places of their own).

use super::apart::Arrival;
use super::class::{Ask, ClassLedger, NO_BANK};
use crate::cluster::{Cluster, Priority, RestartClass};
use crate::dense::fits;
use crate::guarantee::NOWHERE;
use crate::ids::{NodeSlot, VmSlot};
use crate::resources::Amounts;

/// What a node will have free for restarts.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) node: NodeSlot,
    pub(crate) free: Amounts,
}

impl Moved {
    /// A node on which so much more and so much less is used.
    pub(crate) fn new(cluster: &Cluster, node: NodeSlot, more: &[u64], less: &[u64]) -> Self {
        let rows = cluster.failover_rows()[node].iter().zip(&cluster.used_rows()[node]).enumerate();
        let of = |row: &[u64], kind: usize| row.get(kind).copied().unwrap_or(0);
        let free = rows.map(|(kind, (most, used))| {
            most.saturating_sub(used.saturating_sub(of(less, kind)).saturating_add(of(more, kind)))
        });
        Self { node, free: free.collect() }
    }
}

/// A VM after a change: a plain one, or one that `separate` rules alone tie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct After<'a> {
    /// `None`: it is not there yet.
    pub(crate) vm: Option<VmSlot>,
    /// Its node, online or cordoned; `None`: it does not run.
    pub(crate) home: Option<NodeSlot>,
    pub(crate) restart: RestartClass,
    pub(crate) priority: Priority,
    /// What it needs to restart.
    pub(crate) need: &'a [u64],
    /// What it will hold as it runs.
    pub(crate) runs: &'a [u64],
    /// A node that it comes to.
    pub(crate) arrives: Option<NodeSlot>,
    /// The nodes on which more or less is used than now.
    pub(crate) moved: &'a [Moved],
}

impl ClassLedger {
    /// Whether the class holds after a change of a VM for all that the books say. `false` means that they do not
    /// know.
    pub(crate) fn keeps(&self, cluster: &Cluster, after: &After<'_>) -> bool {
        if self.broken || after.vm.is_some_and(|vm| self.leaves_out(cluster, vm)) {
            return false;
        }
        let Some(moved) = self.lists.beside(after.moved) else { return false };
        let claimed = |moved: &Moved| {
            let bank = self.bank_of.lookup(moved.node).copied().unwrap_or(NO_BANK);
            bank == NO_BANK || fits(&self.most[moved.node], &moved.free)
        };
        if !moved.iter().all(claimed) {
            return false;
        }
        if let (Some(vm), Some(node)) = (after.vm, after.arrives) {
            if !self.lets_in(cluster, Arrival { vm, node, lives_there: after.home == after.arrives }) {
                return false;
            }
        }
        let Some(home) = after.home.filter(|_| self.concerns(after.restart, after.priority)) else { return true };
        let was = after.vm.and_then(|vm| Some((vm, self.home_of(vm)?)));
        self.banks.iter().all(|bank| {
            let unit = self.unit(bank, home);
            let target = was.map_or(NOWHERE, |(vm, _)| bank.targets[vm]);
            // What it claims already, if it stays in its unit.
            let back = was.filter(|(_, old)| self.unit(bank, *old) == unit);
            let back = back.map(|(vm, _)| (target, &cluster.restart_rows()[vm]));
            let ask =
                Ask { vm: after.vm, need: after.need, runs: after.runs, unit, first: target, moved: &moved, back };
            self.find(cluster, bank, &ask).is_some()
        })
    }
}
