//! The guard: a cluster with its policy, asked before every change and told of every fact.
//!
//! Uses everything else in `admission`, `cluster`, `policy`. Called by embedders and the example program.
//!
//! **The data's path.** A request goes the quick way first (`quick`): where every class of the policy that is looked at has
//! a ledger (`books`), a request about one plain VM or one node is judged by that, in a few index queries, and so are
//! several such operations one after the other (`several`). Where there is no answer, the slow way (`choose`) gives it, which alone refuses: the request is carried out on a copy, with nodes picked where
//! they are open, `demands` says what stands against it on the nodes it touches, `item` what becomes of every item of the
//! policy; what is worse than before refuses it, as the item's mode has it. An admitted decision keeps the operations with
//! the nodes chosen, and `apply` carries them out; the ledgers follow, or are begun anew from the certificates that the
//! slow way has found. Only the state after the whole transaction is judged; for a live move also the one after its end.
//!
//! The slow way costs a copy of the cluster and a verdict for every class, per choice of nodes.

use super::books::{Books, turn_of};
use super::change::Change;
use super::choose::Search;
use super::item::{Item, ItemError, ItemState, States, kept_up, reserve_items, sharpen, states_but};
use super::ledger::{ClassLedger, is_followed, is_plain_described};
use super::quick::{Desk, Quick};
use super::reserves::{ReserveError, ReserveStatus};
use super::several::Several;
use super::violation::{Violation, ViolationKind};
use crate::cluster::{Cluster, EditError, VmBefore, VmRef};
use crate::guarantee::{Answer, Certificate, VerifyError};
use crate::ids::{NodeId, VmId};
use crate::placement::budget::Control;
use crate::policy::{FailureClass, Mode, Policy};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// A cluster with its policy, kept while things change.
///
/// ```
/// use lifeboat::{Change, Cluster, Guard, Node, Policy, ResourceKinds, Vm};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, [""; 0])?;
/// for name in ["one", "two"] {
///     cluster.add_node(Node::named(name).capacity([4096]))?;
/// }
/// // The default policy: the loss of any one node is survived.
/// let mut guard = Guard::new(cluster, Policy::default());
/// let vm = Vm::named("db").demand([3072]).powered_on();
/// let decision = guard.admit(&[Change::AddVm(Box::new(vm.clone()))])?;
/// assert!(decision.is_admitted());
/// guard.apply(decision)?;
///
/// let mut second = vm;
/// second.name = "web".into();
/// let decision = guard.admit(&[Change::AddVm(Box::new(second))])?;
/// assert!(!decision.is_admitted());
/// assert_eq!(decision.violations()[0].kind.code(), "tolerate");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Guard {
    cluster: Cluster,
    policy: Policy,
    itself: Itself,
    revision: u64,
    /// What has become of the items of the policy, where that is known.
    now: Option<Arc<[ItemState]>>,
    books: Books,
    judged: (u64, u64),
}

/// Tells a guard from every other one, clones included: revisions of two guards say nothing of each other.
#[derive(Debug)]
struct Itself(Arc<()>);

impl Itself {
    fn new() -> Self {
        Self(Arc::new(()))
    }
}

impl Clone for Itself {
    fn clone(&self) -> Self {
        Self::new()
    }
}

/// What became of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing stands against it.
    Admitted,
    /// Something does.
    Refused,
    /// It has happened.
    Observed,
}

/// The answer to a request, or what a fact has done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    outcome: Outcome,
    changes: SmallVec<[Change; 1]>,
    /// The guard that made it; equal to any other, so that decisions compare by what they say.
    by: Arc<()>,
    revision: u64,
    placed: SmallVec<[Placed; 1]>,
    violations: Vec<Violation>,
    before: Arc<[ItemState]>,
    after: Arc<[ItemState]>,
    /// How the classes hold afterwards, where the slow way has found that.
    certificates: Option<Arc<[Option<Certificate>]>>,
}

/// Where a VM of a transaction goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The VM; of one that is added, the id that it gets.
    pub vm: VmId,
    /// Its name.
    pub vm_name: Arc<str>,
    /// The node; of a migration its target.
    pub node: NodeId,
    /// Its name.
    pub node_name: Arc<str>,
}

/// Why a guard gives no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The policy speaks of what is not there.
    #[error(transparent)]
    Policy(ItemError),
    /// A fact is inconsistent: nothing has changed.
    #[error("operation {} of the transaction ({op}): {error}", change.saturating_add(1))]
    Inconsistent {
        /// Which operation of the transaction, the first being 0.
        change: usize,
        /// Its name.
        op: &'static str,
        /// Why.
        error: EditError,
    },
    /// The decision was made for a state that has changed since, or by another guard: ask again.
    #[error("the decision was made for another state, or by another guard: ask again")]
    Stale,
    /// A refused decision cannot be carried out.
    #[error("the request was refused")]
    Refused,
    /// The work was cancelled through its [`Control`]: nothing has changed.
    #[error("the work was cancelled")]
    Cancelled,
}

impl From<ItemError> for GuardError {
    fn from(error: ItemError) -> Self {
        match error {
            ItemError::Class(VerifyError::Cancelled) => Self::Cancelled,
            error => Self::Policy(error),
        }
    }
}

impl GuardError {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Policy(_) => "policy",
            Self::Inconsistent { error, .. } => error.code(),
            Self::Stale => "stale",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Guard {
    /// Guards a cluster; a broken one, too.
    #[must_use]
    pub fn new(cluster: Cluster, policy: Policy) -> Self {
        Self { cluster, policy, itself: Itself::new(), revision: 0, now: None, books: Books::new(true), judged: (0, 0) }
    }

    /// The same without ledgers: everything goes the slow way. For tests, which compare both.
    #[doc(hidden)]
    #[must_use]
    pub fn without_ledger(mut self) -> Self {
        self.books = Books::new(false);
        self
    }

    /// How many requests were judged by ledgers, and how many the slow way. For tests.
    #[doc(hidden)]
    #[must_use]
    pub const fn judged(&self) -> (u64, u64) {
        self.judged
    }

    /// How many classes have a ledger, each compared with what it should be. For tests.
    ///
    /// # Errors
    /// The first thing that is not as it should be.
    #[doc(hidden)]
    pub fn check_ledgers(&self) -> Result<usize, &'static str> {
        let ledgers = self.books.classes.iter().flatten();
        ledgers
            .map(|ledger| ledger.audit(&self.cluster))
            .try_fold(0_usize, |count, found| found.map(|()| count.saturating_add(1)))
    }

    /// The cluster as it is now.
    #[must_use]
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The policy as it is now.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The cluster and the policy, to keep.
    #[must_use]
    pub fn into_parts(self) -> (Cluster, Policy) {
        (self.cluster, self.policy)
    }

    /// The state of every item of the policy, failure classes before reserves.
    ///
    /// # Errors
    /// A policy that speaks of levels or kinds which are not there.
    pub fn items(&mut self) -> Result<&[ItemState], GuardError> {
        self.look(None)?;
        Ok(self.now.as_deref().unwrap_or_default())
    }

    /// The same, watched and stopped through `control`.
    ///
    /// # Errors
    /// Besides, [`GuardError::Cancelled`].
    pub fn items_controlled(&mut self, control: &Control) -> Result<&[ItemState], GuardError> {
        self.look(Some(control))?;
        Ok(self.now.as_deref().unwrap_or_default())
    }

    /// A certificate for a failure class of the policy in the present state, from the ledger where there is one, so that a
    /// planner can [keep the promise](crate::Planner::restart_with) at any time; `None`: the class does not hold, or is not
    /// looked at, or not one of the policy.
    ///
    /// Costs about the size of the certificate, or a verdict where the class has no ledger.
    ///
    /// # Errors
    /// A policy that speaks of levels or kinds which are not there.
    pub fn certificate(&mut self, class: &FailureClass) -> Result<Option<Certificate>, GuardError> {
        self.certify(class, None)
    }

    /// The same, watched and stopped through `control`.
    ///
    /// # Errors
    /// Besides, [`GuardError::Cancelled`].
    pub fn certificate_controlled(
        &mut self,
        class: &FailureClass,
        control: &Control,
    ) -> Result<Option<Certificate>, GuardError> {
        self.certify(class, Some(control))
    }

    fn certify(&mut self, class: &FailureClass, control: Option<&Control>) -> Result<Option<Certificate>, GuardError> {
        let Some(at) = self.policy.tolerate.iter().position(|known| known == class) else { return Ok(None) };
        let now = self.look(control)?;
        let item = now.get(at).map(|state| &state.item);
        if !matches!(item, Some(Item::Tolerate(state)) if state.answer == Answer::Holds) {
            return Ok(None);
        }
        if let Some(ledger) = self.books.classes.get(at).and_then(Option::as_ref) {
            return Ok(Some(ledger.certificate(&self.cluster)));
        }
        let verdict =
            crate::guarantee::verify_class(&self.cluster, &self.policy, class, self.policy.budget.admit, control);
        Ok(verdict.map_err(ItemError::from)?.certificate().cloned())
    }

    /// What is guarded, and the ledger of every class of the policy where there is one.
    pub(crate) fn ledgers(
        &mut self,
        control: &Control,
    ) -> Result<(&Cluster, &Policy, &[Option<ClassLedger>]), GuardError> {
        self.look(Some(control))?;
        Ok((&self.cluster, &self.policy, &self.books.classes))
    }

    fn look(&mut self, control: Option<&Control>) -> Result<Arc<[ItemState]>, GuardError> {
        if let Some(now) = &self.now {
            return Ok(Arc::clone(now));
        }
        let reserves = self.books.reserves(&self.cluster, &self.policy).map_err(ItemError::from)?;
        let States { items, certificates } = states_but(&self.cluster, &self.policy, |_| None, reserves, control)?;
        self.books.begin(&self.cluster, &self.policy, &certificates);
        Ok(Arc::clone(self.now.insert(items.into())))
    }

    /// The same, with what ledgers leave open looked at.
    fn look_closely(&mut self, control: Option<&Control>) -> Result<Arc<[ItemState]>, GuardError> {
        let mut now = self.look(control)?;
        if now.iter().any(ItemState::is_open) {
            let mut items = now.to_vec();
            sharpen(&self.cluster, &self.policy, &mut items, control)?;
            now = items.into();
            self.now = Some(Arc::clone(&now));
        }
        Ok(now)
    }

    /// May this be done? Nothing changes yet. All operations together are one transaction.
    ///
    /// Where a node is open (a start, a new VM that is on, a migration), nodes that can take the VM are tried in the order
    /// of the policy's strategy, then by name, until one makes no item of the policy worse: up to
    /// [`MAX_TRIES`](super::MAX_TRIES) choices.
    ///
    /// A request about one VM that no rule but `confine`, `exclude` and `separate` (of up to 64 VMs) binds and no other VM
    /// needs costs a few queries of an index per class, as long as all classes hold for losses in any order and no VM
    /// waits for a place; with reserves in the policy besides what it costs to tell their figures, and a move goes the
    /// other way. One about a node that is cordoned, opened, or, being empty, goes into maintenance, fails, comes or goes
    /// costs such queries for every VM that plans have put there, and a look at all nodes (unless VMs are uncoverable, a
    /// `spread` rule has a `max_skew`, or rules or places of VMs' own rest on which nodes fail together). Several of these in
    /// one transaction, each about another VM or node, cost a copy of the ledgers besides, unless one adds, removes or begins
    /// to move something, starts a VM that needs more to restart than it holds, or leaves a node open before the end. Any
    /// other request costs a copy of the cluster and a verdict per class and choice of nodes, and where VMs are
    /// uncoverable one per lowered count.
    ///
    /// # Errors
    /// A policy that speaks of levels or kinds which are not there.
    pub fn admit(&mut self, changes: &[Change]) -> Result<Decision, GuardError> {
        self.decide(changes, None)
    }

    /// The same, watched and stopped through `control`.
    ///
    /// # Errors
    /// Besides, [`GuardError::Cancelled`].
    pub fn admit_controlled(&mut self, changes: &[Change], control: &Control) -> Result<Decision, GuardError> {
        self.decide(changes, Some(control))
    }

    fn decide(&mut self, changes: &[Change], control: Option<&Control>) -> Result<Decision, GuardError> {
        let now = self.look(control)?;
        if let Some((Quick { changes, placed }, after)) = self.quickly(&now, changes)? {
            let after = kept_up(&after);
            self.judged.0 = self.judged.0.saturating_add(1);
            let violations =
                if after.iter().all(ItemState::is_ok) { Vec::new() } else { compare(&self.cluster, &now, &after) };
            return Ok(Decision {
                outcome: Outcome::Admitted,
                changes,
                by: Arc::clone(&self.itself.0),
                revision: self.revision,
                placed,
                violations,
                before: now,
                after,
                certificates: None,
            });
        }
        self.judged.1 = self.judged.1.saturating_add(1);
        let now = self.look_closely(control)?;
        let found = Search::new(&self.cluster, &self.policy, &now, control).decide(changes)?;
        Ok(Decision {
            outcome: if found.violations.iter().any(|violation| violation.enforced) {
                Outcome::Refused
            } else {
                Outcome::Admitted
            },
            changes: found.changes.into(),
            by: Arc::clone(&self.itself.0),
            revision: self.revision,
            placed: found.placed.into(),
            violations: found.violations,
            before: now,
            after: found.states.items.into(),
            certificates: Some(found.states.certificates.into()),
        })
    }

    /// The quick way: a yes with the items as they will be, or no answer.
    #[expect(clippy::type_complexity, reason = "an answer, if there is one, with the states")]
    fn quickly(
        &mut self,
        now: &Arc<[ItemState]>,
        changes: &[Change],
    ) -> Result<Option<(Quick, Arc<[ItemState]>)>, GuardError> {
        let known = |(at, state): (usize, &ItemState)| match &state.item {
            Item::Off { .. } | Item::Reserve { .. } => true,
            Item::Tolerate(_) => self.books.classes.get(at).is_some_and(Option::is_some),
        };
        if !self.books.are_kept() || !now.iter().enumerate().all(known) {
            return Ok(None);
        }
        let (cluster, policy, books) = (&mut self.cluster, &mut self.policy, &mut self.books);
        let [change] = changes else {
            let Some((quick, reserves)) = (Several { cluster, policy, books }).decide(changes) else { return Ok(None) };
            return Ok(self.with_reserves(now, reserves)?.map(|after| (quick, after)));
        };
        let Some(quick) = (Desk { cluster, policy, books }).decide(change) else { return Ok(None) };
        if self.policy.reserves.is_empty() {
            return Ok(Some((quick, Arc::clone(now))));
        }
        let reserves = match quick.changes.first() {
            Some(Change::SetState { node, state }) => {
                Books::reserves_with_state(&mut self.cluster, &self.policy, (*node, *state))
            }
            change => change.and_then(|change| self.reserves_after(change)),
        };
        let Some(reserves) = reserves else { return Ok(None) };
        Ok(self.with_reserves(now, reserves)?.map(|after| (quick, after)))
    }

    /// The items with what the reserves will count, after what every class bears. `None`: it would be refused.
    fn with_reserves(
        &self,
        now: &Arc<[ItemState]>,
        found: Result<Vec<ReserveStatus>, ReserveError>,
    ) -> Result<Option<Arc<[ItemState]>>, GuardError> {
        if self.policy.reserves.is_empty() {
            return Ok(Some(Arc::clone(now)));
        }
        let classes = now.iter().take(self.policy.tolerate.len()).cloned();
        let after: Vec<ItemState> =
            classes.chain(reserve_items(&self.policy, found.map_err(ItemError::from)?)).collect();
        let refused = compare(&self.cluster, now, &after).iter().any(|violation| violation.enforced);
        Ok((!refused).then(|| after.into()))
    }

    /// What the reserves count after a change of a VM: it is made, looked at, and taken back.
    fn reserves_after(&mut self, change: &Change) -> Option<Result<Vec<ReserveStatus>, ReserveError>> {
        // Of a move two states would have to be looked at.
        if !change.can_be_taken_back() || matches!(change, Change::Migrate { .. }) {
            return None;
        }
        let slot = self.cluster.vm_slot(change.vm()?).ok()?;
        let before = self.cluster.vm_before(slot)?;
        self.books.carry_out(&mut self.cluster, &mut self.policy, change).ok()?;
        let found = self.books.reserves(&self.cluster, &self.policy);
        self.books.take_back(&mut self.cluster, slot, &before);
        self.books.settle(&self.cluster);
        Some(found)
    }

    /// Carries out an admitted decision.
    ///
    /// # Errors
    /// A decision that was refused, or one made for another state, or by another guard.
    pub fn apply(&mut self, decision: Decision) -> Result<(), GuardError> {
        let Decision { outcome, changes, by, revision, after, certificates, .. } = decision;
        match outcome {
            Outcome::Refused => return Err(GuardError::Refused),
            Outcome::Observed => return Err(GuardError::Stale),
            Outcome::Admitted => {}
        }
        if revision != self.revision || !Arc::ptr_eq(&by, &self.itself.0) {
            return Err(GuardError::Stale);
        }
        let ledgers = self.books.count();
        // It was carried out on a copy, or reckoned with, in this very state: it is consistent.
        let (touched, _) = self.carry_out(&changes, false)?;
        let is_moving = |vm: &VmId| self.cluster.vm(*vm).is_ok_and(|vm| vm.migrating_to().is_some());
        let moves = touched.iter().any(is_moving);
        match certificates {
            // What was judged is what is there now.
            None if self.books.count() == ledgers => self.now = Some(after),
            Some(found) if !moves => {
                self.books.begin(&self.cluster, &self.policy, &found);
                self.now = Some(after);
            }
            // Of several operations in one a ledger may have lost its way; and while a move lasts what was judged is not the
            // worse of its two states.
            None | Some(_) => {}
        }
        Ok(())
    }

    /// This has happened: it is taken in unless it is inconsistent.
    ///
    /// # Errors
    /// An operation that is inconsistent: nothing has changed then.
    pub fn observe(&mut self, changes: &[Change]) -> Result<Decision, GuardError> {
        self.take_in(changes, None)
    }

    /// The same, watched and stopped through `control`. What is cancelled is not taken in: observe it again, alone or with
    /// what has happened since. Facts that the ledgers follow are taken in at once, cancelled or not.
    ///
    /// Costs a copy of the ledgers more where a verdict is needed, and one of the cluster where there are other
    /// operations than those on VMs.
    ///
    /// # Errors
    /// Besides, [`GuardError::Cancelled`]: nothing has changed then, either.
    pub fn observe_controlled(&mut self, changes: &[Change], control: &Control) -> Result<Decision, GuardError> {
        self.take_in(changes, Some(control))
    }

    fn take_in(&mut self, changes: &[Change], control: Option<&Control>) -> Result<Decision, GuardError> {
        let (mut before, revision) = (self.look(control)?, self.revision);
        let is_followed = self.is_followed(&before, changes);
        if !is_followed {
            before = self.look_closely(control)?;
        }
        // Where no verdict is expected nothing is kept to go back to, and so there is no way back.
        let control = control.filter(|_| !is_followed);
        let known = control.map(|_| (self.books.clone(), Arc::clone(&before)));
        let (touched, back) = self.carry_out(changes, control.is_some())?;
        let after = match self.look_again(&before, changes, control) {
            Err(GuardError::Cancelled) => {
                self.take_back(back);
                self.revision = revision;
                // What was known is as it was: a verdict made anew might prove less.
                if let Some((books, before)) = known {
                    (self.books, self.now) = (books, Some(before));
                }
                return Err(GuardError::Cancelled);
            }
            after => after?,
        };
        let ok = Arc::ptr_eq(&before, &after) && after.iter().all(ItemState::is_ok);
        let mut violations = if ok { Vec::new() } else { compare(&self.cluster, &before, &after) };
        for violation in &mut violations {
            violation.enforced = false;
        }
        Ok(Decision {
            outcome: Outcome::Observed,
            changes: changes.into(),
            by: Arc::clone(&self.itself.0),
            revision: self.revision,
            placed: placed(&self.cluster, &touched).into(),
            violations,
            before,
            after,
            certificates: None,
        })
    }

    /// What has become of the items after facts: what a ledger has followed is as it was.
    fn look_again(
        &mut self,
        before: &Arc<[ItemState]>,
        changes: &[Change],
        control: Option<&Control>,
    ) -> Result<Arc<[ItemState]>, GuardError> {
        if changes.iter().any(|change| matches!(change, Change::SetPolicy(_))) {
            return self.look(control);
        }
        let before = &kept_up(before);
        let followed = |at: usize| {
            let known = before.get(at).filter(|state| {
                matches!(state.item, Item::Off { .. }) || self.books.classes.get(at).is_some_and(Option::is_some)
            });
            known.cloned()
        };
        let followed: Vec<Option<ItemState>> = (0..self.policy.tolerate.len()).map(followed).collect();
        let after = if self.policy.reserves.is_empty() && followed.iter().all(Option::is_some) {
            Arc::clone(before)
        } else {
            let known = |at: usize| followed.get(at).cloned().flatten();
            let reserves = self.books.reserves(&self.cluster, &self.policy).map_err(ItemError::from)?;
            let States { items, certificates } = states_but(&self.cluster, &self.policy, known, reserves, control)?;
            self.books.begin(&self.cluster, &self.policy, &certificates);
            items.into()
        };
        Ok(Arc::clone(self.now.insert(after)))
    }

    /// Whether the ledgers will tell what has become of the items after these facts, without a verdict, as far as that can be
    /// said beforehand.
    fn is_followed(&self, before: &[ItemState], changes: &[Change]) -> bool {
        let follows = |change: &Change| match change {
            Change::AddVm(vm) => is_plain_described(&self.cluster, vm),
            Change::SetState { .. } | Change::AddNode(_) | Change::RemoveNode { .. } => {
                let turn = turn_of(&self.cluster, change);
                let mut ledgers = self.books.classes.iter().flatten();
                turn.is_some_and(|turn| ledgers.all(|ledger| ledger.follows(&self.cluster, &self.policy, turn)))
            }
            change => {
                // A VM that nothing could take may be coverable then.
                let turns = |vm: VmId| {
                    before.iter().any(|item| item.has_uncoverable(vm))
                        && !matches!(change, Change::Stop { .. } | Change::RemoveVm { .. })
                };
                let slot = change.vm().filter(|vm| !turns(*vm)).and_then(|vm| self.cluster.vm_slot(vm).ok());
                slot.is_some_and(|slot| is_followed(&self.cluster, slot))
            }
        };
        let all_followed = changes.iter().all(follows);
        let is_told = |(at, class): (usize, &FailureClass)| {
            (all_followed && self.books.classes.get(at).is_some_and(Option::is_some))
                || class.mode.unwrap_or(self.policy.admission) == Mode::Off
        };
        let is_other_policy = changes.iter().any(|change| matches!(change, Change::SetPolicy(_)));
        !is_other_policy && self.policy.tolerate.iter().enumerate().all(is_told)
    }

    /// Carries out a transaction, or nothing of it. What has become of the items is open afterwards. It can be taken back if
    /// `keep` says so.
    fn carry_out(&mut self, changes: &[Change], keep: bool) -> Result<(SmallVec<[VmId; 2]>, Back), GuardError> {
        let all_back = changes.iter().all(Change::can_be_taken_back);
        // One operation alone is carried out or refused as a whole.
        let mut back = match keep || changes.len() > 1 {
            true if all_back => Back::Vms(Vec::with_capacity(changes.len())),
            true => Back::All(Box::new((self.cluster.clone(), self.policy.clone()))),
            false => Back::Nowhere,
        };
        let mut touched: SmallVec<[VmId; 2]> = SmallVec::new();
        for (at, change) in changes.iter().enumerate() {
            if let Back::Vms(vms) = &mut back {
                let slot = change.vm().and_then(|vm| self.cluster.vm_slot(vm).ok());
                vms.extend(slot.and_then(|slot| self.cluster.vm_before(slot)));
            }
            match self.books.carry_out(&mut self.cluster, &mut self.policy, change) {
                Ok(vm) => touched.extend(vm),
                Err(error) => {
                    if changes.len() > 1 {
                        self.take_back(back);
                    } else {
                        self.books.settle(&self.cluster);
                    }
                    return Err(GuardError::Inconsistent { change: at, op: change.op(), error });
                }
            }
        }
        self.books.settle(&self.cluster);
        self.revision = self.revision.wrapping_add(1);
        self.now = None;
        Ok((touched, back))
    }

    /// Takes a transaction back. What is known of the items, and the ledgers, begin anew.
    fn take_back(&mut self, back: Back) {
        match back {
            Back::Nowhere => return,
            Back::All(before) => (self.cluster, self.policy) = *before,
            Back::Vms(vms) => vms.iter().rev().for_each(|before| self.cluster.restore_vm(before)),
        }
        self.books.clear();
        self.now = None;
    }
}

/// The way back from a transaction.
enum Back {
    Nowhere,
    /// Everything as it was.
    All(Box<(Cluster, Policy)>),
    /// The VMs that it was about as they were, in its order.
    Vms(Vec<VmBefore>),
}

impl Decision {
    /// What became of it.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the request may be carried out.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.outcome == Outcome::Admitted
    }

    /// The operations, with the nodes that were chosen.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Where the VMs go that it starts or moves, in the order of the operations.
    #[must_use]
    pub fn placed(&self) -> &[Placed] {
        &self.placed
    }

    /// What stands against it, and what was broken before; of a fact, what it has made worse.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The items of the policy before, failure classes before reserves.
    #[must_use]
    pub fn before(&self) -> &[ItemState] {
        &self.before
    }

    /// The items of the policy after.
    #[must_use]
    pub fn after(&self) -> &[ItemState] {
        &self.after
    }
}

/// The items that are worse than before, or not kept, in the cluster as it is afterwards.
pub(super) fn compare(cluster: &Cluster, before: &[ItemState], after: &[ItemState]) -> Vec<Violation> {
    let is_on = |vm: VmId| cluster.vm(vm).is_ok_and(VmRef::is_on);
    let mut violations = Vec::new();
    for (item, state) in after.iter().enumerate() {
        let old = before.iter().find(|old| old.is_of_same_item(state));
        let worse = old.is_some_and(|old| state.is_worse(old, &is_on));
        if state.is_ok() && !worse {
            continue;
        }
        let undecided = state.state() == "undecided";
        let what = match &state.item {
            Item::Tolerate(class) => crate::guarantee::describe_class(&class.class),
            Item::Reserve { status, .. } => status.figures.name().to_string(),
            Item::Off { what } => what.clone(),
        };
        let code = match &state.item {
            Item::Reserve { status, .. } => status.figures.name(),
            _ => "tolerate",
        };
        let message = match (worse, old.is_some()) {
            (true, _) => {
                let weaker = old.and_then(|old| state.weaker_than(old)).unwrap_or_default();
                format!("{what}: {weaker}{}", state.message)
            }
            (false, true) => format!("{what}: not kept before either, and not made worse: {}", state.message),
            (false, false) => format!("{what}: new, and not kept: {}", state.message),
        };
        violations.push(Violation {
            kind: ViolationKind::Item { item, code, undecided: worse && undecided },
            enforced: worse && state.mode == Mode::Enforce,
            broken_before: !worse && old.is_some(),
            message,
        });
    }
    violations
}

/// Where VMs are, or are going: each once.
pub(super) fn placed(cluster: &Cluster, vms: &[VmId]) -> Vec<Placed> {
    let mut placed: Vec<Placed> = Vec::with_capacity(vms.len());
    let mut told: BTreeSet<VmId> = BTreeSet::new();
    for vm in vms {
        let Some(record) = cluster.vm_slot(*vm).ok().and_then(|slot| cluster.vm_record(slot)) else { continue };
        let Some(node) = record.migrating_to.or(record.node).filter(|_| record.on) else { continue };
        let Some(target) = cluster.node_record(node) else { continue };
        if vms.len() == 1 || told.insert(*vm) {
            placed.push(Placed {
                vm: *vm,
                vm_name: Arc::clone(&record.name),
                node: cluster.node_id_of(node),
                node_name: Arc::clone(&target.name),
            });
        }
    }
    placed
}
