//! What must not happen to a caller, whatever is passed: every misuse that can be seen is a status.
//!
//! The calls are made as C makes them, by pointers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::too_many_lines,
    reason = "a test that fails panics; pointers go to another thread as numbers"
)]

mod bounds;
mod cancel;
mod meaning;

use super::handle::{Kind, guard, lend};
use super::*;
use core::mem::offset_of;
use core::ptr::{null, null_mut};
use std::format;
use std::string::String;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec::Vec;

const SMALL: &str = include_str!("../../examples/data/small.json");
const NUL: usize = usize::MAX;

fn str(text: &str) -> Str {
    Str { data: text.as_ptr().cast(), length: text.len() }
}

const fn empty() -> Str {
    Str { data: null(), length: 0 }
}

fn load() -> (*mut ClusterHandle, *mut PolicyHandle) {
    let (mut cluster, mut policy) = (null_mut(), null_mut());
    // SAFETY: all pointers are good.
    let status = unsafe { lifeboat_cluster_from_json(str(SMALL), &raw mut cluster, &raw mut policy, null_mut()) };
    assert_eq!(status, LIFEBOAT_OK);
    (cluster, policy)
}

/// A call that panics in the middle, as a bug inside would make it.
unsafe extern "C" fn panicking_call(cluster: *mut ClusterHandle, error: *mut *mut ErrorHandle) -> Status {
    guard(error, || {
        let _lease = lend(cluster)?;
        panic!("injected")
    })
}

#[test]
fn a_panic_becomes_a_status_and_poisons() {
    let (cluster, policy) = load();
    let mut error = null_mut();
    let mut plan = null_mut();
    // SAFETY: all pointers are good.
    unsafe {
        assert_eq!(panicking_call(cluster, &raw mut error), LIFEBOAT_PANIC);
        let mut status = 0;
        assert_eq!(lifeboat_error_status(error, &raw mut status), LIFEBOAT_OK);
        assert_eq!(status, LIFEBOAT_PANIC);
        assert_eq!(lifeboat_error_free(error), LIFEBOAT_OK);
        let again = lifeboat_plan_restart(cluster, policy, null(), 0, null(), &raw mut plan, null_mut());
        assert_eq!((again, plan.is_null()), (LIFEBOAT_POISONED, true));
        // What the call did not have is as it was.
        let (good, other) = load();
        assert_eq!(lifeboat_plan_restart(good, policy, null(), 0, null(), &raw mut plan, null_mut()), LIFEBOAT_OK);
        for status in [
            lifeboat_plan_free(plan),
            lifeboat_cluster_free(cluster),
            lifeboat_cluster_free(good),
            lifeboat_policy_free(policy),
            lifeboat_policy_free(other),
        ] {
            assert_eq!(status, LIFEBOAT_OK);
        }
    }
}

#[test]
fn a_handle_serves_one_call_at_a_time() {
    let (cluster, policy) = load();
    let address = cluster as usize;
    let (begun, done, enough) = (Barrier::new(2), Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let lease = lend(address as *mut ClusterHandle).unwrap();
            begun.wait();
            done.wait();
            drop(lease);
            enough.store(true, Ordering::Release);
        });
        begun.wait();
        let mut plan = null_mut();
        // SAFETY: all pointers are good.
        unsafe {
            let status = lifeboat_plan_restart(cluster, policy, null(), 0, null(), &raw mut plan, null_mut());
            assert_eq!(status, LIFEBOAT_BUSY);
            assert_eq!(lifeboat_cluster_free(cluster), LIFEBOAT_BUSY);
        }
        done.wait();
    });
    assert!(enough.load(Ordering::Acquire));
    // Many threads at once: each call is done or told that it cannot be.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    // SAFETY: a live handle.
                    let status = unsafe {
                        let (cluster, text) = (address as *mut ClusterHandle, str("online"));
                        lifeboat_cluster_set_node_state(cluster, str("kvm-1"), text, null_mut())
                    };
                    assert!([LIFEBOAT_OK, LIFEBOAT_BUSY].contains(&status), "{status}");
                }
            });
        }
    });
    // SAFETY: both are live.
    unsafe {
        assert_eq!(lifeboat_cluster_free(cluster), LIFEBOAT_OK);
        assert_eq!(lifeboat_policy_free(policy), LIFEBOAT_OK);
    }
}

#[test]
fn null_and_handles_of_another_kind() {
    let (cluster, policy) = load();
    let mut plan = null_mut();
    let out = &raw mut plan;
    // SAFETY: wrong kinds are among what the library checks; all else is good.
    unsafe {
        let restart = |cluster, policy, out| lifeboat_plan_restart(cluster, policy, null(), 0, null(), out, null_mut());
        assert_eq!(restart(null_mut(), policy, out), LIFEBOAT_NULL_ARGUMENT);
        assert_eq!(restart(cluster, null_mut(), out), LIFEBOAT_NULL_ARGUMENT);
        assert_eq!(restart(cluster, policy, null_mut()), LIFEBOAT_NULL_ARGUMENT);
        assert_eq!(restart(policy.cast(), policy, out), LIFEBOAT_BAD_HANDLE);
        assert_eq!(restart(cluster, cluster.cast(), out), LIFEBOAT_BAD_HANDLE);
        assert_eq!(restart(cluster.byte_add(1), policy, out), LIFEBOAT_BAD_HANDLE);
        assert_eq!(lifeboat_cluster_free(policy.cast()), LIFEBOAT_BAD_HANDLE);
        assert_eq!(lifeboat_plan_restart(cluster, policy, null(), 1, null(), out, null_mut()), LIFEBOAT_NULL_ARGUMENT);
        assert_eq!(lifeboat_error_status(null_mut(), null_mut()), LIFEBOAT_NULL_ARGUMENT);
        // The same handle twice in one call is one that is in use.
        let mut buffer = null_mut();
        let mut cancel = null_mut();
        assert_eq!(lifeboat_cancel_new(&raw mut cancel), LIFEBOAT_OK);
        let status = lifeboat_plan_restart(cluster, policy, null(), 0, cluster.cast(), out, null_mut());
        assert_eq!(status, LIFEBOAT_BAD_HANDLE);
        assert_eq!(lifeboat_cancel_set(cancel), LIFEBOAT_OK);
        assert_eq!(lifeboat_compare(cluster, policy, cancel, &raw mut buffer, null_mut()), LIFEBOAT_CANCELLED);
        assert!(plan.is_null() && buffer.is_null());
        for status in [
            lifeboat_cluster_free(null_mut()),
            lifeboat_plan_free(null_mut()),
            lifeboat_cancel_free(cancel),
            lifeboat_cluster_free(cluster),
            lifeboat_policy_free(policy),
        ] {
            assert_eq!(status, LIFEBOAT_OK);
        }
    }
}

#[test]
fn strings_and_lists_that_cannot_be() {
    let (cluster, policy) = load();
    let remove = |name| {
        // SAFETY: the strings are good, or such that the library sees that they are not.
        unsafe { lifeboat_cluster_remove_vm(cluster, name, null_mut()) }
    };
    let bytes = b"\xff\xfe";
    assert_eq!(remove(Str { data: bytes.as_ptr().cast(), length: 2 }), LIFEBOAT_NOT_UTF8);
    assert_eq!(remove(Str { data: null(), length: 3 }), LIFEBOAT_NULL_ARGUMENT);
    assert_eq!(remove(Str { data: null(), length: NUL }), LIFEBOAT_NULL_ARGUMENT);
    assert_eq!(remove(Str { data: bytes.as_ptr().cast(), length: NUL - 1 }), LIFEBOAT_INVALID_ARGUMENT);
    assert_eq!(remove(Str { data: bytes.as_ptr().cast(), length: isize::MAX.unsigned_abs() + 1 }), 2);
    assert_eq!(remove(empty()), LIFEBOAT_NOT_FOUND);
    assert_eq!(remove(Str { data: c"db-1".as_ptr(), length: NUL }), LIFEBOAT_OK);
    let unit = Unit { level: empty(), name: empty() };
    let mut plan = null_mut();
    // SAFETY: as above.
    unsafe {
        for count in [usize::MAX, usize::MAX / 8, isize::MAX.unsigned_abs() / 31] {
            let status =
                lifeboat_plan_restart(cluster, policy, &raw const unit, count, null(), &raw mut plan, null_mut());
            assert_eq!(status, LIFEBOAT_INVALID_ARGUMENT, "{count}");
        }
        let crooked = (&raw const unit).byte_add(1);
        assert_eq!(lifeboat_plan_restart(cluster, policy, crooked, 1, null(), &raw mut plan, null_mut()), 2);
        let status = lifeboat_plan_restart(cluster, policy, &raw const unit, 1, null(), &raw mut plan, null_mut());
        assert_eq!(status, LIFEBOAT_NULL_ARGUMENT);
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}

/// A struct that a later version could have.
#[repr(C)]
struct Longer<T> {
    known: T,
    more: [u32; 4],
}

#[test]
fn structs_of_other_versions() {
    let (cluster, policy) = load();
    let demand = [1_u64, 1];
    // SAFETY: all numbers and pointers, for which zeros are a value.
    let mut spec: VmSpec = unsafe { core::mem::zeroed() };
    (spec.name, spec.demand, spec.kind_count) = (str("new"), demand.as_ptr(), 2);
    let add = |spec: &VmSpec| {
        // SAFETY: a good struct, or one whose size says that it is not.
        unsafe { lifeboat_cluster_add_vm(cluster, spec, null_mut()) }
    };
    let whole = u32::try_from(size_of::<VmSpec>()).unwrap();
    for size in [0, 3, whole - 1, 5000, u32::MAX] {
        spec.size = size;
        assert_eq!(add(&spec), LIFEBOAT_INVALID_ARGUMENT, "{size}");
    }
    spec.size = whole;
    spec.flags = 1 << 31;
    assert_eq!(add(&spec), LIFEBOAT_UNSUPPORTED);
    spec.flags = 0;
    assert_eq!(add(&spec), LIFEBOAT_OK);
    assert_eq!(add(&spec), LIFEBOAT_REFUSED);
    spec.name = str("newer");
    let mut longer = Longer { known: spec, more: [0, 0, 1, 0] };
    longer.known.size = whole + 16;
    assert_eq!(add(&longer.known), LIFEBOAT_UNSUPPORTED);
    longer.more = [0; 4];
    let known = (&raw const longer).cast::<VmSpec>();
    // SAFETY: a good struct, longer than the library knows.
    assert_eq!(unsafe { lifeboat_cluster_add_vm(cluster, known, null_mut()) }, LIFEBOAT_OK);

    let mut plan = null_mut();
    // SAFETY: all pointers are good; structs have as many bytes as they say.
    unsafe {
        assert_eq!(lifeboat_plan_restart(cluster, policy, null(), 0, null(), &raw mut plan, null_mut()), LIFEBOAT_OK);
        let mut summary: Longer<PlanSummary> = core::mem::zeroed();
        let out = (&raw mut summary).cast::<PlanSummary>();
        assert_eq!(lifeboat_plan_summarize(plan, out, null_mut()), LIFEBOAT_INVALID_ARGUMENT);
        summary.known.size = u32::try_from(size_of_val(&summary)).unwrap();
        summary.more = [7; 4];
        let out = (&raw mut summary).cast::<PlanSummary>();
        assert_eq!(lifeboat_plan_summarize(plan, out, null_mut()), LIFEBOAT_OK);
        assert_eq!((summary.more, summary.known.optimal), ([0; 4], 1));
        assert_eq!(usize::try_from(summary.known.size), Ok(size_of_val(&summary)));
        lifeboat_plan_free(plan);
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}

#[test]
fn an_answer_for_another_state_is_stale() {
    let (cluster, policy) = load();
    let (mut plan, mut buffer, mut verdict) = (null_mut(), null_mut(), null_mut());
    let (mut judge, mut decision, mut certificates) = (null_mut(), null_mut(), null_mut());
    // SAFETY: all pointers are good.
    unsafe {
        assert_eq!(lifeboat_plan_restart(cluster, policy, null(), 0, null(), &raw mut plan, null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_verify(cluster, policy, null(), &raw mut verdict, null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_verdict_certificates(verdict, &raw mut certificates, null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_new(cluster, policy, &raw mut judge, null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_admit_stop(judge, str("db-1"), null(), &raw mut decision, null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_apply(judge, decision, null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_apply(judge, decision, null_mut()), LIFEBOAT_STALE);
        let out = &raw mut buffer;
        assert_eq!(lifeboat_certificate_check(certificates, cluster, policy, null(), null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_cluster_stop_vm(cluster, str("db-1"), null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_plan_to_json(plan, cluster, policy, null(), out, null_mut()), LIFEBOAT_STALE);
        assert_eq!(lifeboat_verdict_to_json(verdict, cluster, policy, null(), out, null_mut()), LIFEBOAT_STALE);
        assert_eq!(lifeboat_certificate_to_json(certificates, cluster, out, null_mut()), LIFEBOAT_STALE);
        assert_eq!(lifeboat_certificate_check(certificates, cluster, policy, null(), null_mut()), LIFEBOAT_NOT_VALID);
        assert!(buffer.is_null());
        lifeboat_plan_free(plan);
        lifeboat_verdict_free(verdict);
        lifeboat_certificate_free(certificates);
        lifeboat_decision_free(decision);
        lifeboat_guard_free(judge);
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}

#[test]
fn tags_and_names_of_kinds_differ() {
    fn of<K: Kind>() -> (u32, &'static str) {
        (K::TAG, K::NAME)
    }
    let all = [
        of::<ErrorHandle>(),
        of::<BufferHandle>(),
        of::<CancelHandle>(),
        of::<ClusterHandle>(),
        of::<PolicyHandle>(),
        of::<PlanHandle>(),
        of::<VerdictHandle>(),
        of::<CertificateHandle>(),
        of::<GuardHandle>(),
        of::<DecisionHandle>(),
        of::<CoverHandle>(),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(all.iter().skip(at + 1).all(|other| other.0 != one.0 && other.1 != one.1));
    }
}

/// What Rust has, in the words of the header.
macro_rules! layout {
    ($name:literal, $type:ty { $($field:ident),+ $(,)? }) => {{
        let mut line = format!("LIFEBOAT_LAYOUT({0}, sizeof({0}) == {1}", $name, size_of::<$type>());
        $( line += &format!(" &&\n    offsetof({}, {}) == {}", $name, stringify!($field), offset_of!($type, $field)); )+
        line + ");\n"
    }};
}

#[test]
fn structs_are_laid_out_as_the_header_says() {
    let header = include_str!("lifeboat.h");
    let all: Vec<String> = Vec::from([
        layout!("lifeboat_str", Str { data, length }),
        layout!("lifeboat_unit", Unit { level, name }),
        layout!("lifeboat_resource_spec", ResourceSpec { size, optional, name, unit, per_vm }),
        layout!(
            "lifeboat_node_spec",
            NodeSpec {
                size,
                start_limit,
                name,
                state,
                role,
                capacity,
                reserved,
                overcommit,
                failover_overcommit,
                kind_count,
                levels,
                domains,
                domain_count,
                labels,
                label_count
            }
        ),
        layout!(
            "lifeboat_vm_spec",
            VmSpec {
                size,
                priority,
                flags,
                start_s,
                name,
                node,
                migrating_to,
                power,
                restart,
                demand,
                restart_demand,
                reservation,
                kind_count,
                requires,
                requires_count,
                allowed_nodes,
                allowed_count,
                migrate_requires,
                migrate_requires_count,
                groups,
                group_count
            }
        ),
        layout!(
            "lifeboat_tolerance_spec",
            ToleranceSpec { size, flags, min_priority, padding, mode, levels, counts, level_count }
        ),
        layout!(
            "lifeboat_plan_summary",
            PlanSummary {
                size,
                answer,
                optimal,
                padding,
                work,
                placements,
                evictions,
                unplaced,
                waiting,
                left_alone,
                classes,
                failed,
                broken_rules
            }
        ),
        layout!("lifeboat_plan_class_counts", PlanClassCounts { size, restart, priority, displaced, placed, bound }),
        layout!("lifeboat_reason", ReasonView { size, padding, nodes, needed, free, largest_hole, code, name }),
        layout!(
            "lifeboat_class_verdict",
            ClassVerdictView {
                size,
                answer,
                rest,
                covers,
                min_priority,
                banks,
                work,
                failing_units,
                uncoverable,
                counterexample_units,
                counterexample_nodes,
                message,
                way,
                proof,
                scenarios,
                open
            }
        ),
        layout!(
            "lifeboat_certificate_view",
            CertificateView {
                size,
                covers,
                class_index,
                min_priority,
                levels,
                banks,
                exceptions,
                left_out,
                evicts,
                backups
            }
        ),
        layout!(
            "lifeboat_decision_summary",
            DecisionSummary { size, answer, placed, violations, items_before, items_after }
        ),
        layout!("lifeboat_violation", ViolationView { size, enforced, broken_before, padding, code, message }),
        layout!("lifeboat_policy_item", ItemView { size, padding, name, state, mode, message }),
        layout!("lifeboat_headroom_interval", HeadroomInterval { size, limit, limit_index, padding, least, most }),
    ]);
    for line in &all {
        assert!(header.contains(line.as_str()), "{line}");
    }
    // Of each struct one line for 64 and one for 32 bits.
    assert_eq!(header.matches("\nLIFEBOAT_LAYOUT(").count(), all.len() * 2);
}
