//! A transaction of several operations, judged by the ledgers step by step.
//!
//! Uses `cluster`, `admission::{books, change, guard, quick, reserves}`. Used by `admission::guard`, which asks the slow way
//! (`choose`) whenever there is no answer here.
//!
//! **The data's path.** Each operation is judged the quick way and carried out, then the next; in the end the cluster is taken back,
//! and the books are those of before, of which a copy was made. That costs about their size, where the slow way costs a
//! verdict.
//!
//! **Why the answer is the slow way's.** Only a transaction's end is judged, and what is kept after every step is kept in the end.
//! The slow way compares the end with the beginning, VM by VM and node by node: so no VM may be spoken of twice, and a node
//! that is started on must be what it was in the end. A VM that needs more to start than it holds is counted with that in
//! the end, too, whatever comes after it; moves that begin are judged as they last and as they all have ended; and an open
//! start looks at what comes after it: such transactions go the slow way, as does what one of the steps does not know.

use super::books::Books;
use super::change::Change;
use super::guard::placed;
use super::quick::{Desk, Quick};
use super::reserves::{ReserveError, ReserveStatus};
use crate::cluster::{Cluster, NodeState, VmBefore};
use crate::dense::fits;
use crate::ids::{NodeId, VmId};
use crate::policy::Policy;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// What a transaction is judged by.
pub(super) struct Several<'g> {
    pub(super) cluster: &'g mut Cluster,
    pub(super) policy: &'g mut Policy,
    pub(super) books: &'g mut Books,
}

/// A yes, with what the reserves will count.
pub(super) type Found = (Quick, Result<Vec<ReserveStatus>, ReserveError>);

/// What one step has changed, as it was.
enum Before {
    Vm(VmBefore),
    Node(NodeId, NodeState),
}

impl Several<'_> {
    /// Yes, or no answer. Everything is as it was afterwards.
    pub(super) fn decide(self, changes: &[Change]) -> Option<Found> {
        if !are_judged_by_steps(changes) {
            return None;
        }
        let Self { cluster, policy, books } = self;
        let revision = cluster.revision();
        let kept = books.clone();
        let mut back = Vec::with_capacity(changes.len());
        let found = Several { cluster: &mut *cluster, policy, books: &mut *books }.go(changes, &mut back);
        *books = kept;
        for before in back.iter().rev() {
            match before {
                Before::Vm(before) => cluster.restore_vm(before),
                Before::Node(node, state) => cluster.restore_state(*node, *state, revision),
            }
        }
        found
    }

    fn go(self, changes: &[Change], back: &mut Vec<Before>) -> Option<Found> {
        let Self { cluster, policy, books } = self;
        let ledgers = books.count();
        let mut done = Quick { changes: SmallVec::new(), placed: SmallVec::new() };
        let mut touched: SmallVec<[VmId; 2]> = SmallVec::new();
        for change in changes {
            let step = Desk { cluster, policy, books }.decide(change)?;
            for change in step.changes {
                if let Change::Start { vm, node: Some(node) } = &change {
                    let turned =
                        |change: &Change| matches!(change, Change::SetState { node: other, .. } if other == node);
                    let holds_less = !fits(&cluster.restart_rows()[vm.slot], &cluster.demand_rows()[vm.slot]);
                    if holds_less || changes.iter().any(turned) {
                        return None;
                    }
                }
                back.push(as_it_is(cluster, &change)?);
                touched.extend(books.carry_out(cluster, policy, &change).ok()?);
                done.changes.push(change);
            }
            books.settle(cluster);
            if books.count() < ledgers {
                return None;
            }
        }
        done.placed = placed(cluster, &touched).into();
        let reserves = books.reserves(cluster, policy);
        Some((done, reserves))
    }
}

/// Whether step by step comes to the same as the end, as far as can be seen beforehand.
fn are_judged_by_steps(changes: &[Change]) -> bool {
    let last = changes.len().saturating_sub(1);
    let known = |(at, change): (usize, &Change)| match change {
        Change::Start { node, .. } => node.is_some() || at == last,
        Change::Stop { .. }
        | Change::Resize { .. }
        | Change::MigrateDone { .. }
        | Change::MigrateAborted { .. }
        | Change::SetState { .. } => true,
        _ => false,
    };
    let mut vms: Vec<VmId> = changes.iter().filter_map(Change::vm).collect();
    let state_of = |change: &Change| if let Change::SetState { node, .. } = change { Some(*node) } else { None };
    let mut nodes: Vec<NodeId> = changes.iter().filter_map(state_of).collect();
    changes.len() > 1 && changes.iter().enumerate().all(known) && are_different(&mut vms) && are_different(&mut nodes)
}

fn are_different<T: Ord>(list: &mut [T]) -> bool {
    list.sort_unstable();
    list.windows(2).all(|pair| matches!(pair, [left, right] if left != right))
}

/// What an operation will change, as it is now.
fn as_it_is(cluster: &Cluster, change: &Change) -> Option<Before> {
    if let Change::SetState { node, .. } = change {
        return Some(Before::Node(*node, cluster.node(*node).ok()?.state()));
    }
    let slot = cluster.vm_slot(change.vm()?).ok()?;
    cluster.vm_before(slot).map(Before::Vm)
}
