//! A certificate: enough to read off a restart plan for every failure of a class, and to be checked.
//!
//! Uses `cluster`, `failure`, `guarantee::units`. Made by `banks` and `pairs`, read by `Cover` (which looks plans up),
//! by the planner that keeps the promise, by `stored` (its serialised form) and by the checker.
//!
//! It holds one node per VM and *column*. With banks, a column is a bank: the targets of the VMs of one unit in one
//! column are a plan that puts them all into that bank, clear of the unit itself, and fits alone. Without banks, a
//! column is a level of the class: the base plans of its units; failures in which base plans collide are exceptions
//! with a plan of their own. VMs with *backups* have no targets in columns: they go to the first of theirs that is left (`needs`). *Standing* are the places of VMs that wait for one already. A certificate that *evicts* has
//! plans for the cluster without the best-effort VMs that it names; who of them has to go is found when a plan is used.

use super::units::Units;
use crate::cluster::{Cluster, ClusterState, Priority};
use crate::dense::{IdVec, dense_id};
use crate::ids::{NodeId, NodeSlot, VmId, VmSlot};
use crate::named::named;
use crate::policy::FailureClass;
use alloc::string::String;
use alloc::vec::Vec;

dense_id! {
    /// A column of a certificate.
    pub(crate) struct ColumnIx;
}

/// No node.
pub(crate) const NOWHERE: NodeSlot = NodeSlot(u32::MAX);

/// What a yes speaks of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Covers {
    /// The losses come at once; once VMs have been restarted, nothing is promised any more.
    AtOnce,
    /// The losses come at once or one after another, in batches of whole units, up to the tolerance in total, as long
    /// as each restart in between is the certificate's.
    AnyOrder,
}

named!(Covers { AtOnce = "at_once", AnyOrder = "any_order" });

/// A proof that every failure of a class is survived, as plans.
///
/// It belongs to the cluster in the state for which it was made: [`is_for`](Self::is_for) tells, and every use with
/// another state is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The class as it was asked.
    pub(crate) class: FailureClass,
    /// `(level, count)` with what nodes in maintenance take off, widest level first; levels that may lose nothing
    /// left out.
    pub(crate) tiers: Vec<(String, u32)>,
    pub(crate) covers: Covers,
    /// The state it is for.
    pub(crate) state: ClusterState,
    /// VMs of which it says nothing: uncoverable ones. Sorted.
    pub(crate) left_out: Vec<VmSlot>,
    /// Best-effort VMs that may have to be stopped: with all of them gone every plan is legal. Sorted; empty if no plan
    /// needs an eviction.
    pub(crate) evicts: Vec<VmSlot>,
    /// Where VMs go that wait for a place. Sorted by VM.
    pub(crate) standing: Vec<(VmSlot, NodeSlot)>,
    /// The VMs that it speaks of, sorted.
    pub(crate) vms: Vec<VmSlot>,
    /// The columns: banks, or one per tier.
    pub(crate) columns: IdVec<ColumnIx, Column>,
    /// Per column a target per VM; [`NOWHERE`] where the VM has no unit there.
    pub(crate) targets: IdVec<ColumnIx, Vec<NodeSlot>>,
    /// Failures with plans of their own, sorted by their nodes.
    pub(crate) exceptions: Vec<Exception>,
    /// VMs with places of their own, sorted by VM. Those of one home with the same places are always together.
    pub(crate) backups: Vec<Backup>,
    /// Of those places the ones that take no other VMs with places of their own while they have some, sorted.
    pub(crate) singles: Vec<NodeSlot>,
}

/// A column of targets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Column {
    /// The position in `tiers` of the units that it serves.
    pub(crate) tier: usize,
    /// The nodes of the bank, sorted; `None`: no bank, any node.
    pub(crate) bank: Option<Vec<NodeSlot>>,
}

/// A failure with a plan of its own: all VMs of the class that it displaces, those that wait included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Exception {
    /// The nodes that fail, sorted.
    pub(crate) failed: Vec<NodeSlot>,
    pub(crate) placements: Vec<(VmSlot, NodeSlot)>,
}

/// A VM that no column has targets for: it is at home, or else where it came on the first of these nodes that had not failed and,
/// if it is one of `singles`, had no others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Backup {
    pub(crate) vm: VmSlot,
    pub(crate) targets: Vec<NodeSlot>,
}

/// Why a certificate gives no plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The cluster has changed since, or it is another one.
    #[error("the certificate is for another state of the cluster")]
    OtherState,
    /// The nodes that failed are more than the class tolerates.
    #[error("these losses are more than the certificate covers")]
    BeyondTolerance,
    /// The certificate speaks of losses at once only, and one was used already.
    #[error("the certificate covers losses at once only, and there was a loss already")]
    AtOnceOnly,
    /// It needs evictions, and the policy allows none.
    #[error("the certificate needs evictions, and the policy allows none")]
    EvictionsForbidden,
    /// No plan is left: this does not happen within what a checked certificate covers, counted by [`Cover::remaining`](
    /// super::Cover::remaining).
    #[error("the certificate has no plan left for this loss")]
    NoPlan,
}

impl CertificateError {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherState => "other_state",
            Self::BeyondTolerance => "beyond_tolerance",
            Self::AtOnceOnly => "at_once_only",
            Self::EvictionsForbidden => "evictions_forbidden",
            Self::NoPlan => "no_plan",
        }
    }
}

impl Certificate {
    /// The class that it proves.
    #[must_use]
    pub fn class(&self) -> &FailureClass {
        &self.class
    }

    /// Whether losses one after another are covered, or only losses at once.
    #[must_use]
    pub fn covers(&self) -> Covers {
        self.covers
    }

    /// The least priority of the VMs that it speaks of; `None`: all protected ones.
    #[must_use]
    pub fn min_priority(&self) -> Option<Priority> {
        self.class.min_priority
    }

    /// How many banks it uses; none if it rests on base plans and exceptions.
    #[must_use]
    pub fn banks(&self) -> usize {
        self.columns.iter().filter(|column| column.bank.is_some()).count()
    }

    /// How many failures have plans of their own.
    #[must_use]
    pub fn exceptions(&self) -> usize {
        self.exceptions.len()
    }

    /// How many VMs have places of their own, aside from banks.
    #[must_use]
    pub fn backups(&self) -> usize {
        self.backups.len()
    }

    /// The bytes that its lists take.
    #[must_use]
    pub fn size(&self) -> usize {
        let exceptions = self
            .exceptions
            .iter()
            .map(|one| size_of_val(one.failed.as_slice()).saturating_add(size_of_val(one.placements.as_slice())));
        let columns =
            self.columns.iter().filter_map(|column| column.bank.as_ref()).map(|bank| size_of_val(bank.as_slice()));
        let targets = self.targets.iter().map(|column| size_of_val(column.as_slice()));
        let backups =
            self.backups.iter().map(|one| size_of_val(one).saturating_add(size_of_val(one.targets.as_slice())));
        exceptions
            .chain(columns)
            .chain(targets)
            .chain(backups)
            .fold(size_of_val(self.vms.as_slice()), usize::saturating_add)
    }

    /// Whether it was made for this cluster in the state it is in, or for another with the same content and the same ids.
    /// Free.
    #[must_use]
    pub fn is_for(&self, cluster: &Cluster) -> bool {
        self.state == cluster.state()
    }

    /// Whether restarts may need the room of best-effort VMs that run: then promises tell whom to stop.
    #[must_use]
    pub fn evicts(&self) -> bool {
        !self.evicts.is_empty()
    }

    /// Where VMs go that wait for a place already, by id.
    pub fn standing(&self, cluster: &Cluster) -> Vec<(VmId, NodeId)> {
        self.standing.iter().map(|(vm, node)| (cluster.vm_id_of(*vm), cluster.node_id_of(*node))).collect()
    }

    /// Enters VMs with places of their own, sorted, that it does not speak of yet.
    pub(crate) fn add_backups(&mut self, backups: Vec<Backup>, singles: Vec<NodeSlot>) {
        for backup in &backups {
            if let Err(at) = self.vms.binary_search(&backup.vm) {
                self.vms.insert(at, backup.vm);
                self.targets.iter_mut().for_each(|column| column.insert(at, NOWHERE));
            }
        }
        (self.backups, self.singles) = (backups, singles);
    }

    /// The position of a VM.
    pub(crate) fn entry(&self, vm: VmSlot) -> Option<usize> {
        self.vms.binary_search(&vm).ok()
    }

    /// The places of a VM that has its own.
    pub(crate) fn backup(&self, vm: VmSlot) -> Option<&Backup> {
        let at = self.backups.binary_search_by_key(&vm, |backup| backup.vm).ok()?;
        self.backups.get(at)
    }

    /// The exception for exactly these failed nodes.
    pub(crate) fn exception(&self, failed: &[NodeSlot]) -> Option<&Exception> {
        let at = self.exceptions.binary_search_by(|exception| exception.failed.as_slice().cmp(failed)).ok()?;
        self.exceptions.get(at)
    }

    /// The class over the nodes of a cluster, with the counts that were proved.
    pub(crate) fn units(&self, cluster: &Cluster) -> Option<Units> {
        let mut class = self.class.clone();
        class.fail.clone_from(&self.tiers);
        Units::new(cluster, &crate::policy::Policy::default(), &class).ok()
    }
}
