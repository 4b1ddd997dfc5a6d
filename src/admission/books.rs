//! What a guard keeps up beside the cluster: a ledger per class that holds, what the reserves count, and which nodes take a
//! VM.
//!
//! Uses `cluster`, `admission::{change, ledger, reserves, seats}`. Used by `admission::{guard, quick}`.
//!
//! Every edit of the guarded cluster goes through [`Books::carry_out`]: VMs leave the ledgers before it and enter them
//! after it; nodes take another state, come or go. What a ledger cannot follow ends it: a node described anew, an edit of a
//! rule or the policy, or of a VM that more than `separate` rules ties.

use super::change::Change;
use super::ledger::{ClassLedger, Turn, is_followed};
use super::reserves::{ReserveError, ReserveStatus, Reserves};
use super::seats::Seats;
use crate::cluster::{Cluster, EditError, NodeState, VmBefore};
use crate::guarantee::Certificate;
use crate::ids::{NodeId, NodeSlot, VmId, VmSlot};
use crate::policy::Policy;
use alloc::vec::Vec;
use smallvec::SmallVec;

#[derive(Clone, Debug)]
pub(super) struct Books {
    /// In the order of the policy; `None`: the class does not hold, or is not looked at, or holds in another way.
    pub(super) classes: Vec<Option<ClassLedger>>,
    seats: Option<Seats>,
    reserves: Option<Reserves>,
    /// Whether anything is kept at all.
    kept: bool,
}

/// Nodes on which an edit changes what is used.
type Touched = SmallVec<[NodeSlot; 4]>;

impl Books {
    pub(super) const fn new(kept: bool) -> Self {
        Self { classes: Vec::new(), seats: None, reserves: None, kept }
    }

    /// Whether anything is kept at all.
    pub(super) const fn are_kept(&self) -> bool {
        self.kept
    }

    /// How many classes have a ledger.
    pub(super) fn count(&self) -> usize {
        self.classes.iter().flatten().count()
    }

    /// Begins the ledgers of classes that have none, with certificates for this state.
    pub(super) fn begin(&mut self, cluster: &Cluster, policy: &Policy, certificates: &[Option<Certificate>]) {
        if !self.kept {
            return;
        }
        self.classes.resize_with(policy.tolerate.len(), || None);
        for (ledger, certificate) in self.classes.iter_mut().zip(certificates) {
            let fresh = certificate.as_ref().filter(|certificate| ledger.is_none() && certificate.is_for(cluster));
            if let Some(certificate) = fresh {
                *ledger = ClassLedger::new(cluster, policy, certificate);
            }
        }
    }

    /// The nodes that take starts.
    pub(super) fn seats(&mut self, cluster: &Cluster) -> &mut Seats {
        self.seats.get_or_insert_with(|| Seats::new(cluster))
    }

    /// What has become of the reserves.
    ///
    /// # Errors
    /// A reserve that names a resource kind which the cluster does not have.
    pub(super) fn reserves(&mut self, cluster: &Cluster, policy: &Policy) -> Result<Vec<ReserveStatus>, ReserveError> {
        if policy.reserves.is_empty() {
            return Ok(Vec::new());
        }
        let mut reserves = match self.reserves.take().filter(|_| self.kept) {
            Some(reserves) => reserves,
            None => Reserves::new(cluster, policy)?,
        };
        let found = reserves.status(cluster);
        self.reserves = Some(reserves);
        Ok(found)
    }

    /// What would become of the reserves with a node in another state.
    ///
    /// # Errors
    /// As [`reserves`](Self::reserves).
    pub(super) fn reserves_with_state(
        cluster: &mut Cluster,
        policy: &Policy,
        (node, state): (NodeId, NodeState),
    ) -> Option<Result<Vec<ReserveStatus>, ReserveError>> {
        let look = |cluster: &Cluster| Reserves::new(cluster, policy).map(|mut reserves| reserves.status(cluster));
        cluster.seen_with_state(node, state, look).ok()
    }

    /// Ends everything.
    pub(super) fn clear(&mut self) {
        self.classes.iter_mut().for_each(|ledger| *ledger = None);
        self.seats = None;
        self.reserves = None;
    }

    fn ledgers(&mut self) -> impl Iterator<Item = &mut ClassLedger> {
        self.classes.iter_mut().flatten()
    }

    /// Carries out one operation, and follows it. Nothing has changed if it is refused as inconsistent.
    ///
    /// # Errors
    /// As [`Change::apply`].
    pub(super) fn carry_out(
        &mut self,
        cluster: &mut Cluster,
        policy: &mut Policy,
        change: &Change,
    ) -> Result<Option<VmId>, EditError> {
        if let Some(turn) = turn_of(cluster, change) {
            return self.turn(cluster, policy, change, turn);
        }
        let about = change.vm();
        if about.is_none() && !matches!(change, Change::AddVm(_)) {
            let done = change.apply(cluster, policy)?;
            self.clear();
            return Ok(done);
        }
        let known = about.and_then(|vm| cluster.vm_slot(vm).ok());
        let mut touched = Touched::new();
        let followed = known.is_none_or(|vm| is_followed(cluster, vm));
        match known {
            Some(vm) if followed => self.before(cluster, vm, &mut touched),
            Some(vm) => places(cluster, vm, &mut touched),
            None => {}
        }
        let done = change.apply(cluster, policy);
        let vm = known.or_else(|| done.as_ref().ok().copied().flatten().map(|vm| vm.slot));
        // One that is not followed is still where the books have it, if nothing was done.
        if let Some(vm) = vm.filter(|_| followed || done.is_ok()) {
            if !(followed && is_followed(cluster, vm)) {
                self.classes.fill(None);
            }
            self.after(cluster, vm, &mut touched);
        }
        done
    }

    /// Carries out what becomes of a node.
    fn turn(
        &mut self,
        cluster: &mut Cluster,
        policy: &mut Policy,
        change: &Change,
        turn: Turn,
    ) -> Result<Option<VmId>, EditError> {
        let follow =
            |ledger: &Option<ClassLedger>| ledger.as_ref().is_some_and(|ledger| ledger.follows(cluster, policy, turn));
        let followed: SmallVec<[bool; 4]> = self.classes.iter().map(follow).collect();
        let done = change.apply(cluster, policy)?;
        let new = match change {
            Change::AddNode(node) => cluster.node_id(&node.name).map(|node| node.slot),
            _ => None,
        };
        let turn = Turn { node: turn.node.or(new), ..turn };
        for (ledger, followed) in self.classes.iter_mut().zip(followed) {
            match ledger {
                Some(books) if followed => books.turned(cluster, policy, turn),
                _ => *ledger = None,
            }
        }
        match (&mut self.seats, turn.node) {
            (Some(seats), Some(node)) if turn.was.is_some() && turn.will.is_some() => seats.refresh(cluster, node),
            _ => self.seats = None,
        }
        self.reserves = None;
        Ok(done)
    }

    /// Takes back what was done to a VM that every ledger follows.
    pub(super) fn take_back(&mut self, cluster: &mut Cluster, vm: VmSlot, before: &VmBefore) {
        let mut touched = Touched::new();
        self.before(cluster, vm, &mut touched);
        cluster.restore_vm(before);
        self.after(cluster, vm, &mut touched);
    }

    fn before(&mut self, cluster: &Cluster, vm: VmSlot, touched: &mut Touched) {
        places(cluster, vm, touched);
        self.ledgers().for_each(|ledger| ledger.leave(cluster, vm));
    }

    fn after(&mut self, cluster: &Cluster, vm: VmSlot, touched: &mut Touched) {
        places(cluster, vm, touched);
        for ledger in &mut self.classes {
            if ledger.as_ref().is_some_and(|books| books.leaves_out(cluster, vm)) {
                *ledger = None;
            }
        }
        for node in touched.iter() {
            self.ledgers().for_each(|ledger| ledger.refresh(cluster, *node));
            if let Some(seats) = &mut self.seats {
                seats.refresh(cluster, *node);
            }
        }
        if let Some(reserves) = &mut self.reserves {
            reserves.refresh(cluster, vm, touched);
        }
        self.ledgers().for_each(|ledger| ledger.enter(cluster, vm));
    }

    /// At the end of a transaction: ends the ledgers that do not balance.
    pub(super) fn settle(&mut self, cluster: &Cluster) {
        for ledger in &mut self.classes {
            if ledger.as_mut().is_some_and(|books| !books.settle(cluster)) {
                *ledger = None;
            }
        }
    }
}

/// What becomes of the node that an operation gives another state, adds or removes; `None`: it does no such thing, or speaks of a
/// node that is not there.
pub(super) fn turn_of(cluster: &Cluster, change: &Change) -> Option<Turn> {
    let (node, will) = match change {
        Change::SetState { node, state } => (*node, Some(*state)),
        Change::RemoveNode { node } => (*node, None),
        Change::AddNode(node) => return Some(Turn { node: None, was: None, will: Some(node.state) }),
        _ => return None,
    };
    let slot = cluster.node_slot(node).ok()?;
    let was = cluster.node_record(slot).map(|record| record.state);
    Some(Turn { node: Some(slot), was, will })
}

/// Adds the nodes on which a VM holds something.
fn places(cluster: &Cluster, vm: VmSlot, touched: &mut Touched) {
    let Some(record) = cluster.vm_record(vm).filter(|record| record.on) else { return };
    for node in record.node.into_iter().chain(record.migrating_to) {
        if !touched.contains(&node) {
            touched.push(node);
        }
    }
}
