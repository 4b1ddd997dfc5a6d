//! The C ABI. Feature `capi`; the contract for C programmers stands in `src/capi/lifeboat.h`.
//!
//! Uses the public interface of the crate. The only unsafe code of the crate is in this module: `handle` has the
//! handles and the one guard that every call goes through; here are the calls. Build it with
//! `cargo rustc --release --lib --features capi --crate-type cdylib,staticlib`.

mod handle;

pub use handle::{ErrorBody, Handle, Str, status};

use crate::document::{Document, to_json};
use crate::guarantee::{Answer, Covers, StoredCertificates, check_certificate, verify_controlled};
use crate::max_tolerable_controlled;
use crate::policy::{FailureClass, Policy};
use crate::restart::{PlanError, PlanStatus, Planner};
use crate::{Cluster, Control, Failure as Losses, Node, NodeRef, NodeState, Priority, VerifyError, Vm, VmRef};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use handle::{Failure, Kind, Text, fail, guard, list, put, put_handle, text};

/// The version of the ABI: grows when calls are added; what is there stays as it is.
pub const ABI_VERSION: u32 = 1;

macro_rules! kinds {
    ($($(#[$doc:meta])* $body:ident($inner:ty) = $magic:literal, $name:literal, $free:ident;)+) => { $(
        $(#[$doc])*
        pub struct $body($inner);
        impl Kind for $body {
            const MAGIC: u32 = $magic;
            const NAME: &'static str = $name;
        }
        /// Frees the handle; NULL is fine.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $free(handle: *mut Handle<$body>) -> i32 {
            Handle::free(handle)
        }
    )+ };
}

kinds! {
    /// A cluster.
    ClusterBody(Cluster) = 0x1b0a_0002, "cluster", lifeboat_cluster_free;
    /// A policy.
    PolicyBody(Policy) = 0x1b0a_0003, "policy", lifeboat_policy_free;
    /// A plan.
    PlanBody(PlanData) = 0x1b0a_0004, "plan", lifeboat_plan_free;
    /// A verdict.
    VerdictBody(VerdictData) = 0x1b0a_0005, "verdict", lifeboat_verdict_free;
    /// Text that a call made.
    BufferBody(Text) = 0x1b0a_0006, "buffer", lifeboat_buffer_free;
    /// A flag that ends long work.
    CancelBody(Control) = 0x1b0a_0007, "cancel flag", lifeboat_cancel_free;
}

type Err = *mut *mut Handle<ErrorBody>;

struct PlanData {
    status: i32,
    optimal: bool,
    placements: Vec<(Text, Text, u32)>,
    unplaced: Vec<Left>,
}

/// A VM, the message about it, and its reasons.
type Left = (Text, Text, Vec<(Text, u64)>);

struct VerdictData {
    answer: i32,
    classes: Vec<(i32, i32, Text)>,
    certificates: String,
}

/// Frees an error; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_error_free(handle: *mut Handle<ErrorBody>) -> i32 {
    Handle::free(handle)
}

/// The status of an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_error_status(error: *mut Handle<ErrorBody>, out: *mut i32) -> i32 {
    guard(core::ptr::null_mut(), || put(out, Handle::lend(error)?.status()))
}

/// The message of an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_error_message(error: *mut Handle<ErrorBody>, out: *mut Str) -> i32 {
    guard(core::ptr::null_mut(), || put(out, Handle::lend(error)?.message()))
}

/// The version of the ABI.
#[unsafe(no_mangle)]
pub extern "C" fn lifeboat_abi_version() -> u32 {
    ABI_VERSION
}

/// The text of a buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_buffer_text(buffer: *mut Handle<BufferBody>, out: *mut Str) -> i32 {
    guard(core::ptr::null_mut(), || put(out, Handle::lend(buffer)?.0.view()))
}

/// A cancel flag.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cancel_new(out: *mut *mut Handle<CancelBody>) -> i32 {
    guard(core::ptr::null_mut(), || put_handle(out, CancelBody(Control::new())))
}

/// Sets a cancel flag, from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cancel_set(cancel: *const Handle<CancelBody>) -> i32 {
    guard(core::ptr::null_mut(), || {
        Handle::share(cancel)?.0.cancel();
        Ok(())
    })
}

/// Runs long work under the caller's flag, or under none.
fn controlled<T>(cancel: *const Handle<CancelBody>, work: impl FnOnce(&Control) -> T) -> Result<T, Failure> {
    if cancel.is_null() { Ok(work(&Control::new())) } else { Ok(work(&Handle::share(cancel)?.0)) }
}

/// Reads a document; either out-parameter may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_from_json(
    document: Str,
    cluster: *mut *mut Handle<ClusterBody>,
    policy: *mut *mut Handle<PolicyBody>,
    error: Err,
) -> i32 {
    guard(error, || {
        let read = Document::from_json(&text(document)?);
        let (read, rules) = read.map_err(|errors| fail(status::BAD_DOCUMENT, errors.to_string()))?.into_parts();
        if !cluster.is_null() {
            put_handle(cluster, ClusterBody(read))?;
        }
        if !policy.is_null() {
            put_handle(policy, PolicyBody(rules))?;
        }
        Ok(())
    })
}

/// Writes a document.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_to_json(
    cluster: *mut Handle<ClusterBody>,
    policy: *mut Handle<PolicyBody>,
    out: *mut *mut Handle<BufferBody>,
    error: Err,
) -> i32 {
    guard(error, || {
        let (cluster, policy) = (Handle::lend(cluster)?, Handle::lend(policy)?);
        put_handle(out, BufferBody(Text::new(to_json(&cluster.0, &policy.0))))
    })
}

/// Adds an online node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_add_node(
    cluster: *mut Handle<ClusterBody>,
    name: Str,
    capacity: *const u64,
    count: usize,
    error: Err,
) -> i32 {
    guard(error, || {
        let mut cluster = Handle::lend(cluster)?;
        let node = Node::named(text(name)?).capacity(list(capacity, count)?.to_vec());
        cluster.0.add_node(node).map(|_| ()).map_err(refused)
    })
}

/// Adds a VM that is on: on a node, or, with an empty name of a node, waiting for a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_add_vm(
    cluster: *mut Handle<ClusterBody>,
    name: Str,
    demand: *const u64,
    count: usize,
    node: Str,
    priority: u32,
    error: Err,
) -> i32 {
    guard(error, || {
        let mut cluster = Handle::lend(cluster)?;
        let mut vm = Vm::named(text(name)?).demand(list(demand, count)?.to_vec()).powered_on();
        vm = vm.priority(Priority(priority));
        let node = text(node)?;
        if !node.is_empty() {
            vm = vm.on(node_of(&cluster.0, &node)?);
        }
        cluster.0.add_vm(vm).map(|_| ()).map_err(refused)
    })
}

/// Removes a VM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_remove_vm(cluster: *mut Handle<ClusterBody>, name: Str, error: Err) -> i32 {
    guard(error, || {
        let mut cluster = Handle::lend(cluster)?;
        let name = text(name)?;
        let vm = cluster.0.vm_id(&name).ok_or_else(|| not_found("VM", &name))?;
        cluster.0.remove_vm(vm).map_err(refused)
    })
}

/// Removes a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_remove_node(cluster: *mut Handle<ClusterBody>, name: Str, error: Err) -> i32 {
    guard(error, || {
        let mut cluster = Handle::lend(cluster)?;
        let node = node_of(&cluster.0, &text(name)?)?;
        cluster.0.remove_node(node).map_err(refused)
    })
}

/// Sets the state of a node, by its name in the document.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_set_node_state(
    cluster: *mut Handle<ClusterBody>,
    name: Str,
    state: Str,
    error: Err,
) -> i32 {
    guard(error, || {
        let mut cluster = Handle::lend(cluster)?;
        let node = node_of(&cluster.0, &text(name)?)?;
        let state = text(state)?;
        let state = NodeState::from_name(&state).ok_or_else(|| not_found("state", &state))?;
        cluster.0.set_node_state(node, state).map_err(refused)
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: crate::EditError) -> Failure {
    fail(status::REFUSED, error.to_string())
}

fn not_found(what: &str, name: &str) -> Failure {
    fail(status::NOT_FOUND, alloc::format!("there is no {what} \"{name}\""))
}

fn node_of(cluster: &Cluster, name: &str) -> Result<crate::NodeId, Failure> {
    cluster.node_id(name).ok_or_else(|| not_found("node", name))
}

/// The default policy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_policy_new(out: *mut *mut Handle<PolicyBody>, error: Err) -> i32 {
    guard(error, || put_handle(out, PolicyBody(Policy::default())))
}

/// Replaces the tolerance by one class: so many units of a level.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_policy_tolerate(
    policy: *mut Handle<PolicyBody>,
    level: Str,
    count: u32,
    error: Err,
) -> i32 {
    guard(error, || {
        let level = text(level)?;
        Handle::lend(policy)?.0.tolerate = alloc::vec![FailureClass::units(&level, count)];
        Ok(())
    })
}

/// Sets the budget of verdicts, in node evaluations.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_policy_budget_verify(policy: *mut Handle<PolicyBody>, units: u64, error: Err) -> i32 {
    guard(error, || {
        Handle::lend(policy)?.0.budget.verify = units;
        Ok(())
    })
}

/// Plans the restarts after these nodes fail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_restart(
    cluster: *mut Handle<ClusterBody>,
    policy: *mut Handle<PolicyBody>,
    failed: *const Str,
    count: usize,
    cancel: *const Handle<CancelBody>,
    out: *mut *mut Handle<PlanBody>,
    error: Err,
) -> i32 {
    guard(error, || {
        let (cluster, policy) = (Handle::lend(cluster)?, Handle::lend(policy)?);
        let mut nodes = Vec::new();
        for name in list(failed, count)? {
            nodes.push(node_of(&cluster.0, &text(*name)?)?);
        }
        let failure = Losses::of(nodes);
        let mut planner = Planner::new();
        let plan = controlled(cancel, |control| planner.restart_controlled(&cluster.0, &policy.0, &failure, control))?;
        let plan = plan.map_err(|error| match error {
            PlanError::Cancelled => fail(status::CANCELLED, error.to_string()),
            _ => fail(status::NOT_FOUND, error.to_string()),
        })?;
        let vm = |id| Text::new(cluster.0.vm(id).map_or("", VmRef::name).to_string());
        let node = |id| Text::new(cluster.0.node(id).map_or("", NodeRef::name).to_string());
        let reasons = |left: &crate::Unplaced| {
            let one = |count: &crate::ReasonCount| {
                (Text::new(count.reason.code().to_string()), u64::try_from(count.nodes).unwrap_or(u64::MAX))
            };
            left.reasons.iter().map(one).collect()
        };
        let data = PlanData {
            status: match plan.status() {
                PlanStatus::Complete => 0,
                PlanStatus::Short => 1,
                PlanStatus::Unproved => 3,
            },
            optimal: plan.is_optimal(),
            placements: plan.placements().iter().map(|start| (vm(start.vm), node(start.node), start.wave)).collect(),
            unplaced: plan
                .unplaced()
                .iter()
                .map(|left| (vm(left.vm), Text::new(left.message.clone()), reasons(left)))
                .collect(),
        };
        put_handle(out, PlanBody(data))
    })
}

/// The status of a plan (0 complete, 1 short, 3 unproved), whether it is optimal, and how long its lists are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_summary(
    plan: *mut Handle<PlanBody>,
    state: *mut i32,
    optimal: *mut i32,
    placements: *mut usize,
    unplaced: *mut usize,
    error: Err,
) -> i32 {
    guard(error, || {
        let plan = Handle::lend(plan)?;
        put(state, plan.0.status)?;
        put(optimal, i32::from(plan.0.optimal))?;
        put(placements, plan.0.placements.len())?;
        put(unplaced, plan.0.unplaced.len())
    })
}

fn position() -> Failure {
    fail(status::NOT_FOUND, "there is nothing at that position")
}

/// One placement of a plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_placement(
    plan: *mut Handle<PlanBody>,
    index: usize,
    vm: *mut Str,
    node: *mut Str,
    wave: *mut u32,
    error: Err,
) -> i32 {
    guard(error, || {
        let plan = Handle::lend(plan)?;
        let (of_vm, of_node, of_wave) = plan.0.placements.get(index).ok_or_else(position)?;
        put(vm, of_vm.view())?;
        put(node, of_node.view())?;
        put(wave, *of_wave)
    })
}

/// One VM without a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_unplaced(
    plan: *mut Handle<PlanBody>,
    index: usize,
    vm: *mut Str,
    message: *mut Str,
    reasons: *mut usize,
    error: Err,
) -> i32 {
    guard(error, || {
        let plan = Handle::lend(plan)?;
        let (of_vm, of_message, of_reasons) = plan.0.unplaced.get(index).ok_or_else(position)?;
        put(vm, of_vm.view())?;
        put(message, of_message.view())?;
        put(reasons, of_reasons.len())
    })
}

/// One reason of a VM without a place: its code, and how many nodes it bars.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_reason(
    plan: *mut Handle<PlanBody>,
    unplaced: usize,
    index: usize,
    code: *mut Str,
    nodes: *mut u64,
    error: Err,
) -> i32 {
    guard(error, || {
        let plan = Handle::lend(plan)?;
        let reasons = plan.0.unplaced.get(unplaced).map(|(_, _, reasons)| reasons).ok_or_else(position)?;
        let (of_code, count) = reasons.get(index).ok_or_else(position)?;
        put(code, of_code.view())?;
        put(nodes, *count)
    })
}

const fn answer_code(answer: Answer) -> i32 {
    match answer {
        Answer::Holds => 0,
        Answer::Fails => 1,
        Answer::Undecided => 3,
    }
}

fn not_verified(error: &VerifyError) -> Failure {
    let status = if *error == VerifyError::Cancelled { status::CANCELLED } else { status::INVALID_ARGUMENT };
    fail(status, error.to_string())
}

/// Verifies the policy's tolerance.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verify(
    cluster: *mut Handle<ClusterBody>,
    policy: *mut Handle<PolicyBody>,
    cancel: *const Handle<CancelBody>,
    out: *mut *mut Handle<VerdictBody>,
    error: Err,
) -> i32 {
    guard(error, || {
        let (cluster, policy) = (Handle::lend(cluster)?, Handle::lend(policy)?);
        let verdict = controlled(cancel, |control| verify_controlled(&cluster.0, &policy.0, control))?;
        let verdict = verdict.map_err(|error| not_verified(&error))?;
        let stored = StoredCertificates::new(&cluster.0, verdict.certificates());
        let covers = |covers: Option<Covers>| match covers {
            None => 0,
            Some(Covers::AtOnce) => 1,
            Some(Covers::AnyOrder) => 2,
        };
        let classes = verdict.classes().iter();
        let classes =
            classes.map(|class| (answer_code(class.answer()), covers(class.covers()), Text::new(class.summary())));
        let data = VerdictData {
            answer: answer_code(verdict.answer()),
            classes: classes.collect(),
            certificates: serde_json::to_string(&stored).unwrap_or_default(),
        };
        put_handle(out, VerdictBody(data))
    })
}

/// The answer of a verdict (0 holds, 1 fails, 3 undecided), and how many classes it has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_summary(
    verdict: *mut Handle<VerdictBody>,
    answer: *mut i32,
    classes: *mut usize,
    error: Err,
) -> i32 {
    guard(error, || {
        let verdict = Handle::lend(verdict)?;
        put(answer, verdict.0.answer)?;
        put(classes, verdict.0.classes.len())
    })
}

/// One class of a verdict: its answer, what it covers (0 nothing, 1 at once, 2 any order), and a sentence.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_class(
    verdict: *mut Handle<VerdictBody>,
    index: usize,
    answer: *mut i32,
    covers: *mut i32,
    message: *mut Str,
    error: Err,
) -> i32 {
    guard(error, || {
        let verdict = Handle::lend(verdict)?;
        let (of_answer, of_covers, of_message) = verdict.0.classes.get(index).ok_or_else(position)?;
        put(answer, *of_answer)?;
        put(covers, *of_covers)?;
        put(message, of_message.view())
    })
}

/// The certificates of a verdict, as `lifeboat-certificate/1`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_certificates(
    verdict: *mut Handle<VerdictBody>,
    out: *mut *mut Handle<BufferBody>,
    error: Err,
) -> i32 {
    guard(error, || put_handle(out, BufferBody(Text::new(Handle::lend(verdict)?.0.certificates.clone()))))
}

/// Checks stored certificates by the independent checker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificates_check(
    cluster: *mut Handle<ClusterBody>,
    policy: *mut Handle<PolicyBody>,
    certificates: Str,
    classes: *mut usize,
    error: Err,
) -> i32 {
    guard(error, || {
        let (cluster, policy) = (Handle::lend(cluster)?, Handle::lend(policy)?);
        let stored: StoredCertificates = serde_json::from_str(&text(certificates)?)
            .map_err(|error| fail(status::BAD_DOCUMENT, error.to_string()))?;
        let found = stored.certificates(&cluster.0).map_err(|error| fail(status::NOT_VALID, error.to_string()))?;
        for certificate in &found {
            if let Err(faults) = check_certificate(&cluster.0, &policy.0, certificate) {
                let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
                return Err(fail(status::NOT_VALID, lines.join("\n")));
            }
        }
        put(classes, found.len())
    })
}

/// How many units of a level may be lost: the interval from `least` to `most`; -1 stands for none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_max_tolerable(
    cluster: *mut Handle<ClusterBody>,
    policy: *mut Handle<PolicyBody>,
    level: Str,
    cancel: *const Handle<CancelBody>,
    least: *mut i64,
    most: *mut i64,
    error: Err,
) -> i32 {
    guard(error, || {
        let (cluster, policy) = (Handle::lend(cluster)?, Handle::lend(policy)?);
        let level = text(level)?;
        let found = controlled(cancel, |control| max_tolerable_controlled(&cluster.0, &policy.0, &level, control))?;
        let found = found.map_err(|error| not_verified(&error))?;
        put(least, found.least.map_or(-1, i64::from))?;
        put(most, found.most.map_or(-1, i64::from))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status_and_poisons() {
        let cluster = Handle::create(PolicyBody(Policy::default()));
        let mut error = core::ptr::null_mut();
        let panicked = guard(&raw mut error, || {
            let _lease = Handle::lend(cluster)?;
            panic!("injected")
        });
        assert_eq!(panicked, status::PANIC);
        assert_eq!(Handle::lend(cluster).err().map(|failure| failure.status), Some(status::POISONED));
        assert_eq!(Handle::free(cluster), status::OK);
        assert_eq!(Handle::free(error), status::OK);
    }

    #[test]
    fn a_handle_serves_one_call_at_a_time() {
        let policy = Handle::create(PolicyBody(Policy::default()));
        let lease = Handle::lend(policy);
        assert_eq!(Handle::lend(policy).err().map(|failure| failure.status), Some(status::BUSY));
        assert_eq!(Handle::free(policy), status::BUSY);
        drop(lease);
        let other: *mut Handle<ClusterBody> = policy.cast();
        assert_eq!(Handle::lend(other).err().map(|failure| failure.status), Some(status::BAD_HANDLE));
        assert_eq!(Handle::free(policy), status::OK);
    }
}
