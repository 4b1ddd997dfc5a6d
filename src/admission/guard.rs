//! The guard: a cluster with its policy, asked before every change and told of every fact.
//!
//! Uses everything else in `admission`, `cluster`, `policy`. Called by embedders and the example program.
//!
//! **The data's path.** A request is carried out on a copy (`choose` picks nodes where they are open), `demands` says what
//! stands against it on the nodes it touches, `item` what becomes of every item of the policy; what is worse than before
//! refuses it, as the item's mode has it. An admitted decision keeps the operations with the nodes chosen, and `apply`
//! carries them out. Only the state after the whole transaction is judged; for a live move also the one after its end.
//!
//! Every judgement is that of [`verify`](crate::verify) on the changed cluster, so it costs about as much as a verdict.

use super::change::Change;
use super::choose::Search;
use super::demands;
use super::item::{Item, ItemError, ItemState, states};
use super::violation::{Violation, ViolationKind};
use crate::cluster::{Cluster, EditError};
use crate::ids::{NodeId, RuleId, VmId};
use crate::policy::{Mode, Policy};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

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
    revision: u64,
    /// What is known of the present state.
    now: Option<Now>,
}

/// What a change is compared with.
#[derive(Clone, Debug)]
pub(super) struct Now {
    pub(super) items: Vec<ItemState>,
    pub(super) rules: Vec<(RuleId, u64)>,
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
    pub(super) outcome: Outcome,
    pub(super) changes: Vec<Change>,
    pub(super) revision: u64,
    pub(super) placed: Vec<Placed>,
    pub(super) violations: Vec<Violation>,
    pub(super) before: Vec<ItemState>,
    pub(super) after: Vec<ItemState>,
}

/// Where a VM of a transaction goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The VM; of one that is added, the id that it gets.
    pub vm: VmId,
    /// Its name.
    pub vm_name: String,
    /// The node; of a migration its target.
    pub node: NodeId,
    /// Its name.
    pub node_name: String,
}

/// Why a guard gives no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The policy speaks of what is not there.
    #[error(transparent)]
    Policy(#[from] ItemError),
    /// A fact is inconsistent: nothing has changed.
    #[error("operation {change} of the transaction ({op}): {error}")]
    Inconsistent {
        /// Which operation of the transaction.
        change: usize,
        /// Its name.
        op: &'static str,
        /// Why.
        error: EditError,
    },
    /// The decision was made for a state that has changed since: ask again.
    #[error("the decision was made for another state: ask again")]
    Stale,
    /// A refused decision cannot be carried out.
    #[error("the request was refused")]
    Refused,
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
        }
    }
}

impl Guard {
    /// Guards a cluster; a broken one, too.
    #[must_use]
    pub const fn new(cluster: Cluster, policy: Policy) -> Self {
        Self { cluster, policy, revision: 0, now: None }
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
        Ok(&self.look()?.items)
    }

    fn look(&mut self) -> Result<&Now, GuardError> {
        let now = match self.now.take() {
            Some(now) => now,
            None => Now { items: states(&self.cluster, &self.policy)?, rules: demands::rule_excesses(&self.cluster) },
        };
        Ok(self.now.insert(now))
    }

    /// May this be done? Nothing changes yet. All operations together are one transaction.
    ///
    /// Where a node is open (a start, a new VM that is on, a migration), nodes that can take the VM are tried in the order
    /// of the policy's strategy, then by name, until one makes no item of the policy worse: up to
    /// [`MAX_TRIES`](super::MAX_TRIES) choices.
    ///
    /// # Errors
    /// A policy that speaks of levels or kinds which are not there.
    pub fn admit(&mut self, changes: &[Change]) -> Result<Decision, GuardError> {
        let now = self.look()?.clone();
        let search = Search::new(&self.cluster, &self.policy, &now);
        let found = search.decide(changes)?;
        Ok(Decision {
            outcome: if found.violations.iter().any(|violation| violation.enforced) {
                Outcome::Refused
            } else {
                Outcome::Admitted
            },
            changes: found.changes,
            revision: self.revision,
            placed: found.placed,
            violations: found.violations,
            before: now.items,
            after: found.items,
        })
    }

    /// Carries out an admitted decision.
    ///
    /// # Errors
    /// A decision that was refused, or one made for another state.
    pub fn apply(&mut self, decision: Decision) -> Result<(), GuardError> {
        let Decision { outcome, changes, revision, after, .. } = decision;
        match outcome {
            Outcome::Refused => return Err(GuardError::Refused),
            Outcome::Observed => return Err(GuardError::Stale),
            Outcome::Admitted => {}
        }
        if revision != self.revision {
            return Err(GuardError::Stale);
        }
        let moves = changes.iter().any(|change| matches!(change, Change::Migrate { .. }));
        self.carry_out(&changes)?;
        if !moves {
            // What was judged is what is there now; while a move lasts, that is not the worse of its two states.
            self.now = Some(Now { items: after, rules: demands::rule_excesses(&self.cluster) });
        }
        Ok(())
    }

    /// This has happened: it is taken in unless it is inconsistent.
    ///
    /// # Errors
    /// An operation that is inconsistent: nothing has changed then.
    pub fn observe(&mut self, changes: &[Change]) -> Result<Decision, GuardError> {
        let before = self.look()?.clone();
        let touched = self.carry_out(changes)?;
        let after = self.look()?.items.clone();
        let mut violations = compare(&before.items, &after);
        for violation in &mut violations {
            violation.enforced = false;
        }
        Ok(Decision {
            outcome: Outcome::Observed,
            changes: changes.to_vec(),
            revision: self.revision,
            placed: placed(&self.cluster, &touched),
            violations,
            before: before.items,
            after,
        })
    }

    fn carry_out(&mut self, changes: &[Change]) -> Result<Vec<VmId>, GuardError> {
        let mut next = (self.cluster.clone(), self.policy.clone());
        let mut touched = Vec::new();
        for (change, operation) in changes.iter().enumerate() {
            let vm = operation.apply(&mut next.0, &mut next.1).map_err(|error| GuardError::Inconsistent {
                change,
                op: operation.op(),
                error,
            })?;
            touched.extend(vm);
        }
        (self.cluster, self.policy) = next;
        self.revision = self.revision.wrapping_add(1);
        self.now = None;
        Ok(touched)
    }
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

/// The items that are worse than before, or not kept.
pub(super) fn compare(before: &[ItemState], after: &[ItemState]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (item, state) in after.iter().enumerate() {
        let old = before.iter().find(|old| old.is_of_same_item(state));
        let worse = old.is_some_and(|old| state.is_worse_than(old));
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
            (true, _) => format!("{what}: {}", state.message),
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

/// Where VMs are, or are going.
pub(super) fn placed(cluster: &Cluster, vms: &[VmId]) -> Vec<Placed> {
    let mut placed: Vec<Placed> = Vec::new();
    for vm in vms {
        let Ok(record) = cluster.vm(*vm) else { continue };
        let node = record.migrating_to().or_else(|| record.node()).filter(|_| record.is_on());
        let Some(node) = node.and_then(|node| cluster.node(node).ok()) else { continue };
        if placed.iter().all(|other| other.vm != *vm) {
            placed.push(Placed {
                vm: *vm,
                vm_name: record.name().to_string(),
                node: node.id(),
                node_name: node.name().to_string(),
            });
        }
    }
    placed
}
