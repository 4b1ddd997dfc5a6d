//! A flag that is set before a call ends it, changes nothing, and the handles serve on.

use super::meaning::take;
use super::*;
use std::vec;

/// What a guard says of its items, and which state its cluster is in.
fn state_of(judge: *mut GuardHandle) -> (String, String) {
    let (mut items, mut print, mut cluster) = (null_mut(), null_mut(), null_mut());
    // SAFETY: a live guard, and pointers that are good.
    unsafe {
        assert_eq!(lifeboat_guard_items(judge, null(), &raw mut items, null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_state(judge, &raw mut cluster, null_mut(), null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_cluster_fingerprint(cluster, &raw mut print, null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_cluster_free(cluster), LIFEBOAT_OK);
    }
    (take(items), take(print))
}

#[test]
fn a_set_flag_ends_every_call_that_takes_one() {
    let (cluster, policy) = load();
    let none = null_mut();
    let unit = Unit { level: str("node"), name: str("kvm-1") };
    let fact = str(r#"{"op": "set_state", "node": "kvm-1", "state": "failed"}"#);
    let (mut set, mut judge, mut decision, mut verdict) = (null_mut(), null_mut(), null_mut(), null_mut());
    let (mut certificate, mut plan, mut buffer) = (null_mut(), null_mut(), null_mut());
    let (mut least, mut error, mut code) = (7_i64, null_mut(), empty());
    let mut room: HeadroomInterval = bounds::zeroed();
    room.size = bounds::size_of_u32::<HeadroomInterval>();
    let (mut largest, proportion) = ([7_u64; 2], [1_u64, 2]);
    // SAFETY: all pointers are good.
    unsafe {
        assert_eq!(lifeboat_cancel_new(&raw mut set), LIFEBOAT_OK);
        assert_eq!(lifeboat_cancel_set(set), LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_new(cluster, policy, &raw mut judge, none), LIFEBOAT_OK);
        assert_eq!(lifeboat_verify(cluster, policy, null(), &raw mut verdict, none), LIFEBOAT_OK);
        assert_eq!(lifeboat_verdict_certificates(verdict, &raw mut certificate, none), LIFEBOAT_OK);
        let mut made = null_mut();
        assert_eq!(
            lifeboat_plan_restart(cluster, policy, &raw const unit, 1, null(), &raw mut made, none),
            LIFEBOAT_OK
        );
        let before = state_of(judge);
        let (unit, plan_out, text, least_out) = (&raw const unit, &raw mut plan, &raw mut buffer, &raw mut least);
        let (out, no_verdict) = (&raw mut decision, &raw mut verdict);
        let (db, target, amounts) = (str("db-1"), str("kvm-2"), &raw mut largest[0]);
        let mut kept = null_mut();
        let ended = vec![
            ("plan_restart", lifeboat_plan_restart(cluster, policy, unit, 1, set, plan_out, none)),
            ("restart_with", lifeboat_plan_restart_with(certificate, 0, cluster, policy, unit, 1, set, plan_out, none)),
            ("plan_to_json", lifeboat_plan_to_json(made, cluster, policy, set, text, none)),
            ("verify", lifeboat_verify(cluster, policy, set, no_verdict, none)),
            ("verdict_to_json", lifeboat_verdict_to_json(verdict, cluster, policy, set, text, none)),
            ("certificate_check", lifeboat_certificate_check(certificate, cluster, policy, set, none)),
            ("guard_certificate", lifeboat_guard_certificate(judge, 0, set, &raw mut kept, none)),
            ("guard_items", lifeboat_guard_items(judge, set, text, none)),
            ("guard_admit", lifeboat_guard_admit(judge, fact, set, out, none)),
            ("admit_start", lifeboat_guard_admit_start(judge, db, empty(), set, out, none)),
            ("admit_stop", lifeboat_guard_admit_stop(judge, db, set, out, none)),
            ("admit_migrate", lifeboat_guard_admit_migrate(judge, db, target, set, out, none)),
            ("observe", lifeboat_guard_observe(judge, fact, set, out, none)),
            ("observe, nothing wanted", lifeboat_guard_observe(judge, fact, set, null_mut(), none)),
            ("node_state", lifeboat_guard_observe_node_state(judge, str("kvm-1"), str("failed"), set, out, none)),
            ("max_tolerable", lifeboat_max_tolerable(cluster, policy, str("node"), set, least_out, null_mut(), none)),
            ("headroom", lifeboat_headroom(cluster, policy, proportion.as_ptr(), 2, set, &raw mut room, none)),
            ("headroom_like", lifeboat_headroom_like(cluster, policy, db, set, &raw mut room, none)),
            (
                "largest_vm",
                lifeboat_largest_vm(cluster, policy, proportion.as_ptr(), 2, set, amounts, null_mut(), none),
            ),
            ("capacity", lifeboat_capacity(cluster, policy, set, text, none)),
            ("compare", lifeboat_compare(cluster, policy, set, text, none)),
        ];
        for (name, status) in ended {
            assert_eq!(status, LIFEBOAT_CANCELLED, "{name}");
        }
        assert!(plan.is_null() && decision.is_null() && buffer.is_null() && kept.is_null());
        assert_eq!((least, largest, room.most), (7, [7, 7], 0));
        assert_eq!(state_of(judge), before);
        // The flag does nothing to what is not given it.
        assert_eq!(lifeboat_guard_observe(judge, fact, set, null_mut(), &raw mut error), LIFEBOAT_CANCELLED);
        assert_eq!(lifeboat_error_code(error, &raw mut code), LIFEBOAT_OK);
        assert_eq!(meaning::told(code), "cancelled");
        assert_eq!(lifeboat_certificate_check(certificate, cluster, policy, null(), none), LIFEBOAT_OK);
        assert_eq!(
            lifeboat_plan_restart_with(certificate, 0, cluster, policy, unit, 1, null(), plan_out, none),
            LIFEBOAT_OK
        );
        assert_eq!(lifeboat_guard_admit_stop(judge, db, null(), out, none), LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_apply(judge, decision, none), LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_observe(judge, fact, null(), null_mut(), none), LIFEBOAT_OK);
        assert_ne!(state_of(judge), before);
        for status in [
            lifeboat_error_free(error),
            lifeboat_decision_free(decision),
            lifeboat_guard_free(judge),
            lifeboat_certificate_free(certificate),
            lifeboat_verdict_free(verdict),
            lifeboat_plan_free(plan),
            lifeboat_plan_free(made),
            lifeboat_cancel_free(set),
            lifeboat_cluster_free(cluster),
            lifeboat_policy_free(policy),
        ] {
            assert_eq!(status, LIFEBOAT_OK);
        }
    }
}

#[test]
fn the_one_call_ends_for_every_question_that_can_take_long() {
    let mut set = null_mut();
    // SAFETY: all pointers are good.
    unsafe {
        assert_eq!(lifeboat_cancel_new(&raw mut set), LIFEBOAT_OK);
        assert_eq!(lifeboat_cancel_set(set), LIFEBOAT_OK);
    }
    let change = r#""changes": [{"op": "set_state", "node": "kvm-1", "state": "failed"}]"#;
    let mut certified = null_mut();
    let request = |question: &str, more: &str| {
        format!(r#"{{"format": "lifeboat-request/1", "question": "{question}", "cluster": {SMALL}{more}}}"#)
    };
    let certify = request("certify", "");
    // SAFETY: all pointers are good.
    let status = unsafe { lifeboat_json_call(str(&certify), null(), null_mut(), &raw mut certified, null_mut()) };
    assert_eq!(status, LIFEBOAT_OK);
    let certificate = format!(r#", "certificate": {}"#, take(certified));
    let change = format!(", {change}");
    for (question, more) in [
        ("verify", ""),
        ("check_certificate", &*certificate),
        ("admit", &*change),
        ("observe", &*change),
        ("capacity", ""),
    ] {
        let (mut answer, mut out) = (-1, null_mut());
        let request = request(question, more);
        // SAFETY: all pointers are good.
        let status = unsafe { lifeboat_json_call(str(&request), set, &raw mut answer, &raw mut out, null_mut()) };
        assert_eq!((status, answer), (LIFEBOAT_OK, 4), "{question}");
        assert!(take(out).contains("cancelled"), "{question}");
    }
    // SAFETY: a live flag.
    unsafe { assert_eq!(lifeboat_cancel_free(set), LIFEBOAT_OK) };
}
