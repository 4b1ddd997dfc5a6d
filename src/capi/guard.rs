//! Guards and decisions: may this be changed, where, and what would it break.
//!
//! Uses `admission` and `answers` (decisions as JSON).

use super::buffer::{BufferHandle, CancelHandle, controlled, put_text};
use super::certificate::{CertificateHandle, Held};
use super::cluster::{ClusterBody, ClusterHandle, node_of, node_or_none, state_of, vm_of};
use super::error::{ErrorHandle, Failure, fail};
use super::handle::{free, guard, kind, lend};
use super::plan::pair;
use super::policy::PolicyHandle;
use super::status::{LIFEBOAT_NO, LIFEBOAT_NOT_FOUND, LIFEBOAT_OBSERVED, LIFEBOAT_YES, Status};
use super::values::{Str, Texts, fill, first_version, position, put_handle, text, writable, writable_if};
use crate::admission::{Change, Decision, DecisionOutcome, Guard, ItemState, Reserves, read_changes};
use crate::answers::{decision_json, item_name, items_json, to_line, to_text};
use crate::cluster::{Cluster, NODE_LEVEL};
use crate::guarantee::VerifyError;
use crate::policy::Policy;
use alloc::vec::Vec;

/// A guard: a cluster with its policy, and the judge of what is to be changed.
pub struct GuardHandle {
    _opaque: (),
}
kind!(GuardHandle(Guard) = 0x1b0a_0009, "guard");

/// A decision on a transaction.
pub struct DecisionHandle {
    _opaque: (),
}
kind!(DecisionHandle(DecisionBody) = 0x1b0a_000a, "decision");

/// What a decision says, and how long its lists are. `size` is sizeof(lifeboat_decision_summary).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DecisionSummary {
    /// sizeof(lifeboat_decision_summary), set by the caller.
    pub size: u32,
    /// LIFEBOAT_YES: admitted; LIFEBOAT_NO: refused; LIFEBOAT_OBSERVED: a fact, taken in.
    pub answer: i32,
    /// How many VMs it starts or moves: lifeboat_decision_placed.
    pub placed: usize,
    /// What stands against it, was broken before, or (of a fact) is worse now: lifeboat_decision_violation.
    pub violations: usize,
    /// How many items the policy had: lifeboat_decision_item.
    pub items_before: usize,
    /// How many items it has after it.
    pub items_after: usize,
}

first_version!(DecisionSummary { .., items_after: usize } = 40 | 24);

/// Something that stands against a request. `size` is sizeof(lifeboat_violation).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ViolationView {
    /// sizeof(lifeboat_violation), set by the caller.
    pub size: u32,
    /// 1 if it makes the request refused.
    pub enforced: u32,
    /// 1 if it was broken before.
    pub broken_before: u32,
    /// 0.
    pub padding: u32,
    /// The stable code: not_empty, not_accepting, insufficient, rule, no_node, tolerate, percentage ...
    pub code: Str,
    /// A sentence.
    pub message: Str,
}

first_version!(ViolationView { .., message: Str } = 48 | 32);

/// The state of one item of the policy. `size` is sizeof(lifeboat_policy_item).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ItemView {
    /// sizeof(lifeboat_policy_item), set by the caller.
    pub size: u32,
    /// 0.
    pub padding: u32,
    /// Its name: `tolerate node=2`, `percentage` ...
    pub name: Str,
    /// ok, undecided, violated, off.
    pub state: Str,
    /// enforce, warn, off.
    pub mode: Str,
    /// A sentence.
    pub message: Str,
}

first_version!(ItemView { .., message: Str } = 72 | 40);

/// A decision, and its texts once they are asked for.
#[derive(Debug)]
pub(super) struct DecisionBody {
    decision: Decision,
    texts: Option<DecisionTexts>,
}

/// Where the texts of each list begin.
#[derive(Debug)]
struct DecisionTexts {
    texts: Texts,
    violations: usize,
    before: usize,
    after: usize,
}

impl DecisionBody {
    const fn new(decision: Decision) -> Self {
        Self { decision, texts: None }
    }

    fn texts(&mut self) -> &DecisionTexts {
        let decision = &self.decision;
        self.texts.get_or_insert_with(|| DecisionTexts::of(decision))
    }
}

impl DecisionTexts {
    fn of(decision: &Decision) -> Self {
        let mut texts = Texts::default();
        for placed in decision.placed() {
            texts.add(&placed.vm_name);
            texts.add(&placed.node_name);
        }
        let violations = texts.len();
        for violation in decision.violations() {
            texts.add(violation.kind.code());
            texts.add(&violation.message);
        }
        let before = texts.len();
        for item in decision.before() {
            add_item(&mut texts, item);
        }
        let after = texts.len();
        for item in decision.after() {
            add_item(&mut texts, item);
        }
        Self { texts, violations, before, after }
    }
}

fn add_item(texts: &mut Texts, item: &ItemState) {
    texts.add(&item_name(item));
    texts.add(item.state());
    texts.add(item.mode.name());
    texts.add(&item.message);
}

/// A guard of a copy of a cluster, with a copy of a policy. A broken cluster can be guarded, too; a policy that speaks of
/// a level or a kind which the cluster does not have is LIFEBOAT_NOT_FOUND, as for lifeboat_verify.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_new(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    out: *mut *mut GuardHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (cluster, policy) = (lend(cluster)?, lend(policy)?);
        known(&cluster.cluster, &policy)?;
        put_handle(out, Guard::new(cluster.cluster.clone(), policy.clone()))
    })
}

/// Refuses a policy that speaks of what a cluster does not have: its guard could answer nothing.
fn known(cluster: &Cluster, policy: &Policy) -> Result<(), Failure> {
    let is_there = |name: &str| name == NODE_LEVEL || cluster.levels().any(|level| level == name);
    if let Some((level, _)) = policy.tolerate.iter().flat_map(|class| &class.fail).find(|(level, _)| !is_there(level)) {
        return Err(VerifyError::UnknownLevel { level: level.clone() }.into());
    }
    if !policy.reserves.is_empty() {
        Reserves::new(cluster, policy)?;
    }
    Ok(())
}

/// Frees a guard; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_free(judge: *mut GuardHandle) -> Status {
    free(judge)
}

/// Copies of the cluster and the policy of a guard, as they are now; either may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_state(
    judge: *mut GuardHandle,
    cluster: *mut *mut ClusterHandle,
    policy: *mut *mut PolicyHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable_if(cluster)?;
        writable_if(policy)?;
        let judge = lend(judge)?;
        if !cluster.is_null() {
            put_handle(cluster, ClusterBody::new(judge.cluster().clone()))?;
        }
        if !policy.is_null() {
            put_handle(policy, judge.policy().clone())?;
        }
        Ok(())
    })
}

/// A certificate for one failure class of a guard's policy, by its position, as things are now: to plan with
/// lifeboat_plan_restart_with at any time. LIFEBOAT_NOT_FOUND if the class does not hold, or is not looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_certificate(
    judge: *mut GuardHandle,
    class: usize,
    cancel: *const CancelHandle,
    out: *mut *mut CertificateHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let mut judge = lend(judge)?;
        let asked = judge.policy().tolerate.get(class).cloned().ok_or_else(position)?;
        let found = controlled(cancel, |control| judge.certificate_controlled(&asked, control))??;
        let certificate = found.ok_or_else(|| fail(LIFEBOAT_NOT_FOUND, "there is no certificate for this class"))?;
        put_handle(out, Held::all([(Some(class), certificate)]))
    })
}

/// The state of every item of a guard's policy now: JSON, lifeboat-items/1, with the items as a decision has them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_items(
    judge: *mut GuardHandle,
    cancel: *const CancelHandle,
    out: *mut *mut BufferHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let mut judge = lend(judge)?;
        put_text(out, || controlled(cancel, |control| Ok(to_text(&items_json(judge.items_controlled(control)?))))?)
    })
}

/// May this be done? JSON: an operation of a changes file or a list of them, judged as a whole. Nothing changes yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_admit(
    judge: *mut GuardHandle,
    changes: Str,
    cancel: *const CancelHandle,
    out: *mut *mut DecisionHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    admit(judge, cancel, out, error, |judge| Ok(read_changes(judge.cluster(), judge.policy(), text(changes)?)?))
}

/// May this VM start on this node? With an empty name of a node the guard chooses one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_admit_start(
    judge: *mut GuardHandle,
    vm: Str,
    node: Str,
    cancel: *const CancelHandle,
    out: *mut *mut DecisionHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    admit(judge, cancel, out, error, |judge| {
        let cluster = judge.cluster();
        let (vm, node) = (vm_of(cluster, text(vm)?)?, node_or_none(cluster, text(node)?)?);
        Ok(Vec::from([Change::Start { vm, node }]))
    })
}

/// May this VM stop?
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_admit_stop(
    judge: *mut GuardHandle,
    vm: Str,
    cancel: *const CancelHandle,
    out: *mut *mut DecisionHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    admit(judge, cancel, out, error, |judge| {
        let vm = vm_of(judge.cluster(), text(vm)?)?;
        Ok(Vec::from([Change::Stop { vm }]))
    })
}

/// May this VM be moved live to this node? With an empty name of a node the guard chooses one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_admit_migrate(
    judge: *mut GuardHandle,
    vm: Str,
    node: Str,
    cancel: *const CancelHandle,
    out: *mut *mut DecisionHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    admit(judge, cancel, out, error, |judge| {
        let cluster = judge.cluster();
        let (vm, to) = (vm_of(cluster, text(vm)?)?, node_or_none(cluster, text(node)?)?);
        Ok(Vec::from([Change::Migrate { vm, to }]))
    })
}

/// This has happened: JSON as for lifeboat_guard_admit. It is taken in unless it is inconsistent. `out` may be NULL. With
/// LIFEBOAT_CANCELLED nothing was taken in: observe it again, alone or with what has happened since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_observe(
    judge: *mut GuardHandle,
    changes: Str,
    cancel: *const CancelHandle,
    out: *mut *mut DecisionHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    observe(judge, cancel, out, error, |judge| Ok(read_changes(judge.cluster(), judge.policy(), text(changes)?)?))
}

/// A node is in another state now: online, cordoned, maintenance, unreachable, failed. `out` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_observe_node_state(
    judge: *mut GuardHandle,
    node: Str,
    state: Str,
    cancel: *const CancelHandle,
    out: *mut *mut DecisionHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    observe(judge, cancel, out, error, |judge| {
        let node = node_of(judge.cluster(), text(node)?)?;
        Ok(Vec::from([Change::node_state(node, state_of(text(state)?)?)]))
    })
}

/// Carries out an admitted decision: LIFEBOAT_STALE if the guard's cluster has changed since, LIFEBOAT_REFUSED if it was
/// refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_guard_apply(
    judge: *mut GuardHandle,
    decision: *mut DecisionHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let (mut judge, decision) = (lend(judge)?, lend(decision)?);
        Ok(judge.apply(decision.decision.clone())?)
    })
}

fn admit(
    judge: *mut GuardHandle,
    cancel: *const CancelHandle,
    out: *mut *mut DecisionHandle,
    error: *mut *mut ErrorHandle,
    changes: impl FnOnce(&Guard) -> Result<Vec<Change>, Failure>,
) -> Status {
    guard(error, || {
        writable(out)?;
        let mut judge = lend(judge)?;
        let changes = changes(&judge)?;
        let decision = controlled(cancel, |control| judge.admit_controlled(&changes, control))??;
        put_handle(out, DecisionBody::new(decision))
    })
}

fn observe(
    judge: *mut GuardHandle,
    cancel: *const CancelHandle,
    out: *mut *mut DecisionHandle,
    error: *mut *mut ErrorHandle,
    changes: impl FnOnce(&Guard) -> Result<Vec<Change>, Failure>,
) -> Status {
    guard(error, || {
        writable_if(out)?;
        let mut judge = lend(judge)?;
        let changes = changes(&judge)?;
        let decision = controlled(cancel, |control| judge.observe_controlled(&changes, control))??;
        if out.is_null() { Ok(()) } else { put_handle(out, DecisionBody::new(decision)) }
    })
}

/// Frees a decision; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_decision_free(decision: *mut DecisionHandle) -> Status {
    free(decision)
}

/// What a decision says, and how long its lists are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_decision_summarize(
    decision: *mut DecisionHandle,
    out: *mut DecisionSummary,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let DecisionBody { decision, .. } = &*lend(decision)?;
        let summary = DecisionSummary {
            size: 0,
            answer: match decision.outcome() {
                DecisionOutcome::Admitted => LIFEBOAT_YES,
                DecisionOutcome::Refused => LIFEBOAT_NO,
                DecisionOutcome::Observed => LIFEBOAT_OBSERVED,
            },
            placed: decision.placed().len(),
            violations: decision.violations().len(),
            items_before: decision.before().len(),
            items_after: decision.after().len(),
        };
        fill(out, summary)
    })
}

/// One VM that a decision starts or moves: which, and where.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_decision_placed(
    decision: *mut DecisionHandle,
    index: usize,
    vm: *mut Str,
    node: *mut Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let mut body = lend(decision)?;
        body.decision.placed().get(index).ok_or_else(position)?;
        pair(&body.texts().texts, 0, index, vm, node)
    })
}

/// One thing that stands against a request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_decision_violation(
    decision: *mut DecisionHandle,
    index: usize,
    out: *mut ViolationView,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let mut body = lend(decision)?;
        let violation = body.decision.violations().get(index).ok_or_else(position)?;
        let (enforced, broken_before) = (u32::from(violation.enforced), u32::from(violation.broken_before));
        let texts = body.texts();
        let at = texts.violations.saturating_add(index.saturating_mul(2));
        let (code, message) = (texts.texts.view(at), texts.texts.view(at.saturating_add(1)));
        fill(out, ViolationView { size: 0, enforced, broken_before, padding: 0, code, message })
    })
}

/// The state of one item of the policy: before a decision, or (`after` not 0) after it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_decision_item(
    decision: *mut DecisionHandle,
    after: u32,
    index: usize,
    out: *mut ItemView,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let mut body = lend(decision)?;
        let items = if after == 0 { body.decision.before() } else { body.decision.after() };
        items.get(index).ok_or_else(position)?;
        let texts = body.texts();
        let begin = if after == 0 { texts.before } else { texts.after };
        let text = |at: usize| texts.texts.view(begin.saturating_add(index.saturating_mul(4)).saturating_add(at));
        fill(out, ItemView { size: 0, padding: 0, name: text(0), state: text(1), mode: text(2), message: text(3) })
    })
}

/// A decision as JSON in one line, lifeboat-decision/1. `judge` is the guard that made it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_decision_to_json(
    decision: *mut DecisionHandle,
    judge: *mut GuardHandle,
    out: *mut *mut BufferHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (body, judge) = (lend(decision)?, lend(judge)?);
        put_text(out, || Ok(to_line(&decision_json(judge.cluster(), &body.decision))))
    })
}
