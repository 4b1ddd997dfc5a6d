//! Random calls of the C ABI, as a program with bugs would make them: handles that are NULL or of another kind, structs of
//! wrong sizes, strings that are no text, positions that are not there. What no library can see is not done: freed handles
//! and pointers to nothing.
//!
//! Uses `choices` and the C ABI. Used by the fuzz target `capi` and by tests. Every call must return a known status, must
//! write its out-parameter on success alone, and must leave everything such that it can be freed.

#![allow(unsafe_code, reason = "the interface is one of pointers")]

use crate::Choices;
use lifeboat::capi::*;
use std::ffi::c_void;
use std::ptr::{null, null_mut};

const DOCUMENTS: [&str; 3] = [
    include_str!("../../../examples/data/small.json"),
    r#"{"format":"lifeboat/1","resources":[{"name":"m"}],"levels":["rack"],"nodes":[{"name":"kvm-1","capacity":{"m":8},
        "domain":{"rack":"left"}},{"name":"kvm-2","capacity":{"m":8}}],"vms":[{"name":"db-1","demand":{"m":6},"node":"kvm-1"},
        {"name":"new","demand":{"m":5},"node":"kvm-2","restart":"best_effort"}],"policy":{"preemption":"best_effort"}}"#,
    r#"{"format":"lifeboat/1"}"#,
];
const NAMES: [&str; 12] =
    ["kvm-1", "kvm-2", "db-1", "new", "dc-1", "left", "rack", "node", "failed", "online", "maintenance", ""];
const CHANGES: [&str; 8] = [
    r#"{"op":"stop","vm":"db-1"}"#,
    r#"{"op":"start","vm":"db-1"}"#,
    r#"[{"op":"set_state","node":"kvm-1","state":"failed"},{"op":"remove_vm","vm":"new"}]"#,
    r#"{"op":"migrate","vm":"db-1"}"#,
    r#"{"op":"add_vm","vm":{"name":"new","demand":{"cpu":2000,"memory":8192},"power":"on"}}"#,
    r#"{"op":"set_policy","policy":{"tolerate":[{"fail":{"node":2}}],"budget":{"plan":5000,"admit":5000,"verify":20000}}}"#,
    r#"{"op":"remove_node","node":"kvm-2"}"#,
    r#"{"op":"#,
];
const RULES: [&str; 3] = [
    r#"{"name":"node","kind":"separate","vms":["db-1","dc-1"]}"#,
    r#"{"name":"node","kind":"together","vms":["db-1","new"],"strength":"preferred"}"#,
    "[]",
];

/// The handles that there are, of every kind.
#[derive(Default)]
struct Live {
    clusters: Vec<*mut ClusterHandle>,
    policies: Vec<*mut PolicyHandle>,
    plans: Vec<*mut PlanHandle>,
    verdicts: Vec<*mut VerdictHandle>,
    certificates: Vec<*mut CertificateHandle>,
    covers: Vec<*mut CoverHandle>,
    guards: Vec<*mut GuardHandle>,
    decisions: Vec<*mut DecisionHandle>,
    buffers: Vec<*mut BufferHandle>,
    errors: Vec<*mut ErrorHandle>,
    cancels: Vec<*mut CancelHandle>,
}

impl Live {
    /// Any handle of any kind.
    fn any(&self, choices: &mut Choices<'_>) -> *mut c_void {
        let all: Vec<*mut c_void> = (self.clusters.iter().map(|one| one.cast()))
            .chain(self.policies.iter().map(|one| one.cast()))
            .chain(self.plans.iter().map(|one| one.cast()))
            .chain(self.guards.iter().map(|one| one.cast()))
            .chain(self.errors.iter().map(|one| one.cast()))
            .chain(self.buffers.iter().map(|one| one.cast()))
            .collect();
        if all.is_empty() { null_mut() } else { choices.pick(&all) }
    }
}

/// One of a kind; now and then NULL or one of another kind.
macro_rules! one {
    ($live:ident.$kind:ident, $choices:ident) => {
        match $choices.below(24) {
            23 => null_mut(),
            22 => $live.any($choices).cast(),
            _ if $live.$kind.is_empty() => null_mut(),
            _ => $choices.pick(&$live.$kind),
        }
    };
}

fn str(text: &str) -> Str {
    Str { data: text.as_ptr().cast(), length: text.len() }
}

/// A string; now and then none.
fn name(choices: &mut Choices<'_>) -> Str {
    match choices.below(32) {
        31 => Str { data: null(), length: choices.index(3) },
        30 => Str { data: b"\xff\xc0".as_ptr().cast(), length: 2 },
        29 => Str { data: c"db-1".as_ptr(), length: usize::MAX },
        28 => Str { data: b"abc".as_ptr().cast(), length: usize::MAX - 1 - choices.index(9) },
        _ => str(choices.pick(&NAMES)),
    }
}

fn position(choices: &mut Choices<'_>) -> usize {
    if choices.chance(1, 12) { usize::MAX - choices.index(2) } else { choices.index(4) }
}

/// The size of a struct; now and then another.
fn size<T>(choices: &mut Choices<'_>) -> u32 {
    let whole = u32::try_from(size_of::<T>()).expect("small");
    match choices.below(16) {
        15 => choices.pick(&[0, 1, whole - 1, u32::MAX]),
        _ => whole,
    }
}

/// How many amounts a list has: as many as there are; now and then what nobody can mean.
fn count(choices: &mut Choices<'_>) -> usize {
    if choices.chance(1, 12) {
        choices.pick(&[usize::MAX >> (usize::BITS / 3), usize::MAX, 17])
    } else {
        choices.index(3)
    }
}

/// Amounts of the size that the nodes of a cluster have, so that a handful fills one: headroom counts copies one by one, and
/// many small ones would take all the time there is.
fn amounts(cluster: *mut ClusterHandle, choices: &mut Choices<'_>) -> [u64; 2] {
    let mut kinds = 0;
    // SAFETY: a live handle, or one that the library sees is none.
    unsafe { lifeboat_cluster_counts(cluster, &raw mut kinds, null_mut(), null_mut(), null_mut(), null_mut()) };
    let unit = if kinds == 1 { 1 } else { 4_000 };
    [unit * (1 + choices.below(8)), unit * (1 + choices.below(8))]
}

fn zeroed<T>() -> T {
    // SAFETY: structs of the ABI are numbers and pointers.
    unsafe { std::mem::zeroed() }
}

/// Makes up to so many calls.
///
/// # Panics
/// If a call does what it must not.
pub fn sequence(choices: &mut Choices<'_>, most: usize) {
    let mut live = Live::default();
    for _ in 0..most {
        if choices.is_empty() {
            break;
        }
        call(&mut live, choices);
    }
    finish(live);
}

/// What came out of a call: kept on success, and not there otherwise.
fn keep<T>(status: Status, out: *mut T, kept: &mut Vec<*mut T>) {
    assert!((0..=LIFEBOAT_UNSUPPORTED).contains(&status) && status != LIFEBOAT_PANIC, "status {status}");
    assert_eq!(status == LIFEBOAT_OK, !out.is_null(), "status {status}");
    if !out.is_null() {
        kept.push(out);
    }
}

fn seen(status: Status) {
    assert!((0..=LIFEBOAT_UNSUPPORTED).contains(&status) && status != LIFEBOAT_PANIC, "status {status}");
}

/// Text that came out is text.
fn text(status: Status, given: Str) {
    if status == LIFEBOAT_OK {
        // SAFETY: the library says that so many bytes are there, and a NUL.
        let bytes = unsafe { std::slice::from_raw_parts(given.data.cast::<u8>(), given.length + 1) };
        assert_eq!(bytes.last(), Some(&0));
        std::str::from_utf8(bytes).expect("UTF-8");
    }
}

#[allow(clippy::too_many_lines, reason = "a table of calls")]
fn call(live: &mut Live, choices: &mut Choices<'_>) {
    let mut error = null_mut();
    let err: *mut *mut ErrorHandle = if choices.chance(1, 3) { null_mut() } else { &raw mut error };
    let (mut first, mut second, mut remaining) = (str(""), str(""), 0);
    // SAFETY: every handle is live or NULL, every list and struct has what it says or says what the library can see.
    unsafe {
        match choices.below(42) {
            0 | 1 => {
                let (mut cluster, mut policy) = (null_mut(), null_mut());
                let document = if choices.chance(1, 10) { name(choices) } else { str(choices.pick(&DOCUMENTS)) };
                seen(lifeboat_cluster_from_json(document, &raw mut cluster, &raw mut policy, err));
                live.clusters.extend(Some(cluster).filter(|one| !one.is_null()));
                if !policy.is_null() {
                    // Long work would be a fuzzer's dream and nobody's gain.
                    assert_eq!(lifeboat_policy_set_budgets(policy, 5000, 5000, 20_000, null_mut()), LIFEBOAT_OK);
                    live.policies.push(policy);
                }
            }
            2..=5 => {
                let mut plan = null_mut();
                let units =
                    [Unit { level: str(""), name: name(choices) }, Unit { level: name(choices), name: name(choices) }];
                let count = if choices.chance(1, 20) { usize::MAX / 2 } else { choices.index(3) };
                let (cluster, policy) = (one!(live.clusters, choices), one!(live.policies, choices));
                let cancel = if choices.chance(1, 8) { one!(live.cancels, choices) } else { null_mut() };
                let status = lifeboat_plan_restart(cluster, policy, units.as_ptr(), count, cancel, &raw mut plan, err);
                keep(status, plan, &mut live.plans);
            }
            6 => {
                let mut verdict = null_mut();
                let (cluster, policy) = (one!(live.clusters, choices), one!(live.policies, choices));
                keep(lifeboat_verify(cluster, policy, null(), &raw mut verdict, err), verdict, &mut live.verdicts);
            }
            7 => {
                let mut judge = null_mut();
                let (cluster, policy) = (one!(live.clusters, choices), one!(live.policies, choices));
                keep(lifeboat_guard_new(cluster, policy, &raw mut judge, err), judge, &mut live.guards);
            }
            8 | 9 => {
                let mut decision = null_mut();
                let judge = one!(live.guards, choices);
                let out = &raw mut decision;
                let cancel = if choices.chance(1, 8) { one!(live.cancels, choices) } else { null_mut() };
                let status = match choices.below(5) {
                    0 => lifeboat_guard_admit(judge, str(choices.pick(&CHANGES)), cancel, out, err),
                    1 => lifeboat_guard_observe(judge, str(choices.pick(&CHANGES)), cancel, out, err),
                    2 => lifeboat_guard_admit_start(judge, name(choices), name(choices), cancel, out, err),
                    3 => lifeboat_guard_admit_stop(judge, name(choices), cancel, out, err),
                    _ => lifeboat_guard_admit_migrate(judge, name(choices), name(choices), cancel, out, err),
                };
                keep(status, decision, &mut live.decisions);
            }
            10 => {
                let (judge, decision) = (one!(live.guards, choices), one!(live.decisions, choices));
                seen(lifeboat_guard_apply(judge, decision, err));
            }
            11 => {
                let mut certificate = null_mut();
                let verdict = one!(live.verdicts, choices);
                let status = lifeboat_verdict_certificates(verdict, &raw mut certificate, err);
                keep(status, certificate, &mut live.certificates);
            }
            12 => {
                let mut plan = null_mut();
                let unit = Unit { level: str(""), name: name(choices) };
                let (certificate, cluster) = (one!(live.certificates, choices), one!(live.clusters, choices));
                let (at, units, out) = (position(choices), &raw const unit, &raw mut plan);
                let status = if choices.chance(1, 2) {
                    lifeboat_certificate_plan_for(certificate, at, cluster, units, 1, out, err)
                } else {
                    let policy = one!(live.policies, choices);
                    let cancel = if choices.chance(1, 8) { one!(live.cancels, choices) } else { null_mut() };
                    lifeboat_plan_restart_with(certificate, at, cluster, policy, units, 1, cancel, out, err)
                };
                keep(status, plan, &mut live.plans);
            }
            13 => {
                let (certificate, cluster) = (one!(live.certificates, choices), one!(live.clusters, choices));
                let cancel = if choices.chance(1, 8) { one!(live.cancels, choices) } else { null_mut() };
                seen(lifeboat_certificate_check(certificate, cluster, one!(live.policies, choices), cancel, err));
                // The first call may have given an error already.
                let mut view: CertificateView = zeroed();
                view.size = size::<CertificateView>(choices);
                let (index, level) = (position(choices), position(choices));
                seen(lifeboat_certificate_class(certificate, index, &raw mut view, null_mut()));
                let status =
                    lifeboat_certificate_level(certificate, index, level, &raw mut first, null_mut(), null_mut());
                text(status, first);
            }
            14..=16 => {
                let (cluster, mut buffer) = (one!(live.clusters, choices), null_mut());
                let (policy, out) = (one!(live.policies, choices), &raw mut buffer);
                let status = match choices.below(9) {
                    0 => lifeboat_cluster_to_json(cluster, policy, 1, out, err),
                    1 => lifeboat_cluster_check(cluster, out, err),
                    2 => lifeboat_compare(cluster, policy, null(), out, err),
                    3 => lifeboat_capacity(cluster, policy, null(), out, err),
                    4 => lifeboat_plan_to_json(one!(live.plans, choices), cluster, policy, null(), out, err),
                    5 => lifeboat_verdict_to_json(one!(live.verdicts, choices), cluster, policy, null(), out, err),
                    6 => lifeboat_certificate_to_json(one!(live.certificates, choices), cluster, out, err),
                    7 => lifeboat_decision_to_json(one!(live.decisions, choices), one!(live.guards, choices), out, err),
                    _ => lifeboat_json_call(str(choices.pick(&CHANGES)), null(), null_mut(), out, err),
                };
                keep(status, buffer, &mut live.buffers);
            }
            17..=21 => {
                let cluster = one!(live.clusters, choices);
                let (one, other) = (name(choices), name(choices));
                seen(match choices.below(13) {
                    0 => lifeboat_cluster_remove_node(cluster, one, err),
                    1 => lifeboat_cluster_set_node_state(cluster, one, other, err),
                    2 => lifeboat_cluster_remove_vm(cluster, one, err),
                    3 => lifeboat_cluster_start_vm(cluster, one, other, err),
                    4 => lifeboat_cluster_stop_vm(cluster, one, err),
                    5 => lifeboat_cluster_move_vm(cluster, one, other, err),
                    6 => lifeboat_cluster_start_migration(cluster, one, other, err),
                    7 => lifeboat_cluster_end_migration(cluster, one, 1, err),
                    8 => lifeboat_cluster_add_rule(cluster, str(choices.pick(&RULES)), err),
                    9 => lifeboat_cluster_update_rule(cluster, str(choices.pick(&RULES)), err),
                    10 => lifeboat_cluster_remove_rule(cluster, one, err),
                    11 => lifeboat_cluster_counts(cluster, null_mut(), null_mut(), null_mut(), null_mut(), err),
                    _ => lifeboat_cluster_edit(cluster, one!(live.policies, choices), str(choices.pick(&CHANGES)), err),
                });
            }
            22 => {
                let cluster = one!(live.clusters, choices);
                let amounts = amounts(cluster, choices);
                let mut node: NodeSpec = zeroed();
                (node.size, node.name, node.state) = (size::<NodeSpec>(choices), name(choices), name(choices));
                (node.capacity, node.kind_count) = (amounts.as_ptr(), count(choices));
                seen(lifeboat_cluster_add_node(cluster, &raw const node, err));
                seen(lifeboat_cluster_update_node(cluster, &raw const node, null_mut()));
            }
            23 => {
                let cluster = one!(live.clusters, choices);
                let amounts = amounts(cluster, choices);
                let mut vm: VmSpec = zeroed();
                (vm.size, vm.name, vm.node) = (size::<VmSpec>(choices), name(choices), name(choices));
                vm.flags = u32::try_from(choices.below(20)).expect("small");
                (vm.demand, vm.kind_count) = (amounts.as_ptr(), count(choices));
                seen(lifeboat_cluster_add_vm(cluster, &raw const vm, err));
                seen(lifeboat_cluster_update_vm(cluster, &raw const vm, null_mut()));
            }
            24 => {
                let (level, count) = (name(choices), 1);
                let mut class: ToleranceSpec = zeroed();
                (class.size, class.levels) = (size::<ToleranceSpec>(choices), &raw const level);
                (class.counts, class.level_count) = (&raw const count, 1);
                let policy = one!(live.policies, choices);
                seen(lifeboat_policy_tolerate_nothing(policy, null_mut()));
                seen(lifeboat_policy_tolerate(policy, &raw const class, err));
            }
            25..=28 => {
                let (plan, at) = (one!(live.plans, choices), position(choices));
                let mut summary: PlanSummary = zeroed();
                summary.size = size::<PlanSummary>(choices);
                seen(lifeboat_plan_summarize(plan, &raw mut summary, err));
                let status = lifeboat_plan_placement(plan, at, &raw mut first, &raw mut second, null_mut(), null_mut());
                text(status, first);
                text(status, second);
                let status = lifeboat_plan_unplaced(plan, at, &raw mut first, &raw mut second, null_mut(), null_mut());
                text(status, second);
                text(lifeboat_plan_waiting(plan, at, &raw mut first, null_mut()), first);
                text(lifeboat_plan_left_alone(plan, at, &raw mut first, null_mut()), first);
                text(lifeboat_plan_failed(plan, at, &raw mut first, null_mut()), first);
                let mut reason: ReasonView = zeroed();
                reason.size = size::<ReasonView>(choices);
                let status = lifeboat_plan_reason(plan, at, position(choices), &raw mut reason, null_mut());
                text(status, reason.code);
                let mut class: PlanClassCounts = zeroed();
                class.size = size::<PlanClassCounts>(choices);
                seen(lifeboat_plan_class(plan, at, &raw mut class, null_mut()));
                let (cluster, policy) = (one!(live.clusters, choices), one!(live.policies, choices));
                seen(lifeboat_plan_estimate(plan, cluster, policy, null_mut(), null_mut(), null_mut()));
                let mut amounts = [0; 4];
                let count = choices.index(4);
                seen(lifeboat_plan_free_amounts(plan, cluster, amounts.as_mut_ptr(), null_mut(), count, null_mut()));
                let (vm, none) = (&raw mut first, null_mut());
                text(lifeboat_plan_start_time(plan, at, vm, none, none, null_mut()), first);
            }
            29 | 30 => {
                let (verdict, at, index) = (one!(live.verdicts, choices), position(choices), position(choices));
                let mut class: ClassVerdictView = zeroed();
                class.size = size::<ClassVerdictView>(choices);
                let status = lifeboat_verdict_class(verdict, at, &raw mut class, err);
                text(status, class.message);
                let mut unit = Unit { level: str(""), name: str("") };
                let status = lifeboat_verdict_counterexample_unit(verdict, at, index, &raw mut unit, null_mut());
                text(status, unit.name);
                seen(lifeboat_verdict_failing_unit(verdict, at, index, &raw mut unit, null_mut()));
                seen(lifeboat_verdict_counterexample_node(verdict, at, index, &raw mut first, null_mut()));
                seen(lifeboat_verdict_uncoverable(verdict, at, index, &raw mut first, null_mut(), null_mut()));
            }
            31 | 32 => {
                let (decision, at) = (one!(live.decisions, choices), position(choices));
                let mut summary: DecisionSummary = zeroed();
                summary.size = size::<DecisionSummary>(choices);
                seen(lifeboat_decision_summarize(decision, &raw mut summary, err));
                let status = lifeboat_decision_placed(decision, at, &raw mut first, null_mut(), null_mut());
                text(status, first);
                let mut violation: ViolationView = zeroed();
                violation.size = size::<ViolationView>(choices);
                let status = lifeboat_decision_violation(decision, at, &raw mut violation, null_mut());
                text(status, violation.message);
                let mut item: ItemView = zeroed();
                item.size = size::<ItemView>(choices);
                text(lifeboat_decision_item(decision, 1, at, &raw mut item, null_mut()), item.message);
            }
            33 => {
                let mut interval: HeadroomInterval = zeroed();
                interval.size = size::<HeadroomInterval>(choices);
                let (cluster, policy) = (one!(live.clusters, choices), one!(live.policies, choices));
                let (amounts, count, vm) = (amounts(cluster, choices), count(choices), name(choices));
                seen(lifeboat_headroom(cluster, policy, amounts.as_ptr(), count, null(), &raw mut interval, err));
                seen(lifeboat_headroom_like(cluster, policy, vm, null(), &raw mut interval, null_mut()));
            }
            34 => {
                let mut cancel = null_mut();
                keep(lifeboat_cancel_new(&raw mut cancel), cancel, &mut live.cancels);
                if choices.chance(1, 2) {
                    seen(lifeboat_cancel_set(cancel));
                }
            }
            35 => {
                let error = one!(live.errors, choices);
                text(lifeboat_error_message(error, &raw mut first), first);
                text(lifeboat_error_code(error, &raw mut first), first);
                text(lifeboat_error_details(error, &raw mut second), second);
            }
            36 => {
                let buffer = one!(live.buffers, choices);
                text(lifeboat_buffer_text(buffer, &raw mut first), first);
            }
            37 => {
                let (certificate, cluster) = (one!(live.certificates, choices), one!(live.clusters, choices));
                let (mut cover, mut plan) = (null_mut(), null_mut());
                let status = lifeboat_cover_begin(certificate, position(choices), cluster, &raw mut cover, err);
                keep(status, cover, &mut live.covers);
                let (cover, unit) = (one!(live.covers, choices), Unit { level: str(""), name: name(choices) });
                keep(lifeboat_cover_lose(cover, &raw const unit, 1, &raw mut plan, null_mut()), plan, &mut live.plans);
                seen(lifeboat_cover_remaining(cover, &raw mut remaining, null_mut()));
            }
            38 => {
                let (judge, class) = (one!(live.guards, choices), position(choices));
                let (mut certificate, mut buffer) = (null_mut(), null_mut());
                let status = lifeboat_guard_certificate(judge, class, null(), &raw mut certificate, err);
                keep(status, certificate, &mut live.certificates);
                let status = lifeboat_guard_items(judge, null(), &raw mut buffer, null_mut());
                keep(status, buffer, &mut live.buffers);
            }
            _ => free_one(live, choices),
        }
    }
    live.errors.extend(Some(error).filter(|one| !one.is_null()));
}

/// Frees a handle of some kind, by the function of its kind or of another.
fn free_one(live: &mut Live, choices: &mut Choices<'_>) {
    if choices.chance(1, 6) {
        let (any, mine) = (live.any(choices), choices.chance(1, 2));
        // SAFETY: a live handle; a function of another kind leaves it alone.
        let status =
            unsafe { if mine { lifeboat_verdict_free(any.cast()) } else { lifeboat_certificate_free(any.cast()) } };
        assert!(status == LIFEBOAT_BAD_HANDLE || any.is_null());
        return;
    }
    macro_rules! drop_one {
        ($kind:ident, $free:ident) => {{
            let at = choices.index(live.$kind.len());
            if at < live.$kind.len() {
                // SAFETY: a live handle of this kind, forgotten here.
                assert_eq!(unsafe { $free(live.$kind.swap_remove(at)) }, LIFEBOAT_OK);
            }
        }};
    }
    match choices.below(4) {
        0 => drop_one!(clusters, lifeboat_cluster_free),
        1 => drop_one!(plans, lifeboat_plan_free),
        2 => drop_one!(guards, lifeboat_guard_free),
        _ => drop_one!(policies, lifeboat_policy_free),
    }
}

fn finish(live: Live) {
    macro_rules! drop_all {
        ($($kind:ident, $free:ident;)+) => { $(
            for handle in live.$kind {
                // SAFETY: live handles of this kind.
                assert_eq!(unsafe { $free(handle) }, LIFEBOAT_OK);
            }
        )+ };
    }
    drop_all! {
        clusters, lifeboat_cluster_free;
        policies, lifeboat_policy_free;
        plans, lifeboat_plan_free;
        verdicts, lifeboat_verdict_free;
        certificates, lifeboat_certificate_free;
        covers, lifeboat_cover_free;
        guards, lifeboat_guard_free;
        decisions, lifeboat_decision_free;
        buffers, lifeboat_buffer_free;
        errors, lifeboat_error_free;
        cancels, lifeboat_cancel_free;
    }
}
