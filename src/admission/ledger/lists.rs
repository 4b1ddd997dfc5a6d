//! VMs with places of their own: what of a certificate stays as it is while the books go on.
//!
//! Uses `cluster`, `guarantee` (certificates), `ledger::keeps`. Used by `ledger` wherever it asks what a node has free.
//!
//! **Why it is sound.** That one of a VM's own places is always left depends on where VMs with such places are, and on nothing else
//! (`guarantee::mathematics`). So as long as none of them comes, goes or changes, their lists hold, if what has to stay free
//! for them does: to the books that room is not there. Nobody that a rule ties to one of them may change either, nor get
//! another target: such VMs are *fixed*, and a change of one ends the ledger.
//!
//! Beside such room plans count what their VMs hold as they run, too: who holds more then than as it starts gets no target
//! there.

use super::class::Ask;
use super::keeps::Moved;
use crate::cluster::{Cluster, Strength};
use crate::dense::fits;
use crate::guarantee::{Backup, Certificate, Units};
use crate::ids::{NodeSlot, VmSlot};
use crate::resources::Amounts;
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    pub(super) backups: Vec<Backup>,
    pub(super) singles: Vec<NodeSlot>,
    /// What stays free for them, by node.
    kept: BTreeMap<NodeSlot, Amounts>,
    /// They and whom rules tie to them, sorted.
    fixed: Vec<VmSlot>,
}

impl Lists {
    pub(super) fn new(cluster: &Cluster, units: &Units, certificate: &Certificate) -> Self {
        let (backups, singles) = (certificate.backups.clone(), certificate.singles.clone());
        let kept = certificate.kept_room(cluster, units).into_iter().collect();
        let mut fixed: Vec<VmSlot> = backups.iter().map(|backup| backup.vm).collect();
        let of_vm = |vm: VmSlot| cluster.vm_record(vm).into_iter().flat_map(|vm| vm.rules.iter().chain(&vm.leads));
        let rules = backups.iter().flat_map(|backup| of_vm(backup.vm)).filter_map(|rule| cluster.rule_record(*rule));
        let binding = rules.filter(|rule| !matches!(rule.strength, Strength::Preferred { .. }));
        let tied: Vec<VmSlot> = binding.flat_map(|rule| rule.members.iter().copied()).collect();
        fixed.extend(tied);
        fixed.sort_unstable();
        fixed.dedup();
        Self { backups, singles, kept, fixed }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.backups.is_empty()
    }

    /// Whether a VM has places of its own.
    pub(super) fn lists(&self, vm: VmSlot) -> bool {
        self.backups.binary_search_by_key(&vm, |backup| backup.vm).is_ok()
    }

    /// Whether a VM may not change.
    pub(super) fn fixes(&self, vm: VmSlot) -> bool {
        self.fixed.binary_search(&vm).is_ok()
    }

    /// Whether room is kept on a node.
    pub(super) fn is_kept(&self, node: NodeSlot) -> bool {
        self.kept.contains_key(&node)
    }

    /// What is kept on a node; nothing, if it is none.
    pub(super) fn kept_on(&self, node: NodeSlot) -> &[u64] {
        self.kept.get(&node).map_or(&[], |kept| kept)
    }

    /// What a node has free beside what is kept there.
    pub(super) fn free<'c>(&self, cluster: &'c Cluster, node: NodeSlot) -> Cow<'c, [u64]> {
        let free = &cluster.free_rows()[node];
        match self.kept.get(&node) {
            None => Cow::Borrowed(free),
            Some(kept) => free.iter().zip(&**kept).map(|(free, kept)| free.saturating_sub(*kept)).collect(),
        }
    }

    /// Whether what is kept on a node is free there.
    pub(super) fn is_free(&self, cluster: &Cluster, node: NodeSlot) -> bool {
        self.kept.get(&node).is_none_or(|kept| fits(kept, &cluster.free_rows()[node]))
    }

    /// Whether it is everywhere.
    pub(super) fn are_free(&self, cluster: &Cluster) -> bool {
        self.kept.keys().all(|node| self.is_free(cluster, *node))
    }

    /// What nodes will have free beside what is kept there; `None`, if that will not be free.
    pub(super) fn beside<'m>(&self, moved: &'m [Moved]) -> Option<Cow<'m, [Moved]>> {
        if !moved.iter().any(|moved| self.is_kept(moved.node)) {
            return Some(Cow::Borrowed(moved));
        }
        let less = |moved: &Moved| {
            let Some(kept) = self.kept.get(&moved.node) else { return Some(moved.clone()) };
            let free = moved.free.iter().zip(&**kept).map(|(free, kept)| free.checked_sub(*kept));
            Some(Moved { node: moved.node, free: free.collect::<Option<Amounts>>()? })
        };
        moved.iter().map(less).collect()
    }

    /// Whether a node may become a target: where room is kept, of VMs that hold no more as they run than as they start.
    pub(super) fn allow(&self, cluster: &Cluster, ask: &Ask<'_>, node: NodeSlot) -> bool {
        let holds_no_more =
            |vm: VmSlot| cluster.restart_rows()[vm] == *ask.need && fits(&cluster.demand_rows()[vm], ask.need);
        !self.is_kept(node) || ask.vm.is_some_and(holds_no_more)
    }
}
