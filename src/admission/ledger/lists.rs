//! VMs with places of their own: what of a certificate stays as it is while the books go on.
//!
//! Uses `cluster`, `guarantee` (certificates), `ledger::{keeps, plain}`. Used by `ledger` wherever it asks what a node has free.
//!
//! **Why it is sound.** That one of a VM's own places is always left depends on where VMs with such places are, and on nothing else
//! (`guarantee::mathematics`). So as long as none of them comes, goes or changes, their lists hold, if what has to stay free
//! for them does: to the books that room is not there. Nobody that a rule ties to one of them may change either, nor get
//! another target: such VMs are *fixed*, and a change of one ends the ledger.
//!
//! Beside such room plans count what their VMs hold as they run, too: who holds more then than as it starts gets no target
//! there.

use super::keeps::Moved;
use super::plain::ties;
use crate::cluster::{Cluster, VmRecord};
use crate::dense::fits;
use crate::guarantee::{Backup, Certificate, Units};
use crate::ids::{NodeSlot, RuleSlot, VmSlot};
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
    /// The rules that tie them to others, sorted: whoever joins one later is tied, too.
    rules: Vec<RuleSlot>,
}

impl Lists {
    pub(super) fn new(cluster: &Cluster, units: &Units, certificate: &Certificate) -> Self {
        let (backups, singles) = (certificate.backups.clone(), certificate.singles.clone());
        let kept = certificate.kept_room(cluster, units).into_iter().collect();
        let records = backups.iter().filter_map(|backup| cluster.vm_record(backup.vm));
        let all = records.flat_map(|record| record.rules.iter().chain(&record.leads)).copied();
        let mut rules: Vec<RuleSlot> = all.filter(|rule| cluster.rule_record(*rule).is_some_and(ties)).collect();
        rules.sort_unstable();
        rules.dedup();
        Self { backups, singles, kept, rules }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.backups.is_empty()
    }

    /// Whether a VM has places of its own.
    pub(super) fn has(&self, vm: VmSlot) -> bool {
        self.backups.binary_search_by_key(&vm, |backup| backup.vm).is_ok()
    }

    /// Whether a VM may not change: it has places of its own, or is tied to one that has.
    pub(super) fn is_fixed(&self, cluster: &Cluster, vm: VmSlot) -> bool {
        let is_tied = |record: &VmRecord| {
            let mut rules = record.rules.iter().chain(&record.leads);
            rules.any(|rule| self.rules.binary_search(rule).is_ok())
        };
        self.has(vm) || (!self.rules.is_empty() && cluster.vm_record(vm).is_some_and(is_tied))
    }

    /// Whether a node is one of somebody's own places.
    pub(super) fn use_node(&self, node: NodeSlot) -> bool {
        self.is_kept(node) || self.backups.iter().any(|backup| backup.targets.contains(&node))
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

    /// Whether a node may become a target of one that starts with `need` and then holds `runs`: where room is kept, only if that is
    /// no more.
    pub(super) fn allow(&self, node: NodeSlot, runs: &[u64], need: &[u64]) -> bool {
        !self.is_kept(node) || fits(runs, need)
    }

    /// The nodes where room is kept.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeSlot> + '_ {
        self.kept.keys().copied()
    }
}
