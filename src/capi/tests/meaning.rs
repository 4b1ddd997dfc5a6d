//! What typed calls refuse that could not be told in a document, what they keep, and what certificates say of themselves.

use super::bounds::{size_of_u32, zeroed};
use super::*;
use std::string::ToString;

/// Bytes of a view.
pub(super) fn told(view: Str) -> String {
    // SAFETY: the library says that so many bytes are there.
    let bytes = unsafe { core::slice::from_raw_parts(view.data.cast::<u8>(), view.length) };
    core::str::from_utf8(bytes).unwrap().to_string()
}

/// The text of a buffer, which is freed.
pub(super) fn take(buffer: *mut BufferHandle) -> String {
    let mut view = empty();
    // SAFETY: a live buffer.
    unsafe {
        assert_eq!(lifeboat_buffer_text(buffer, &raw mut view), LIFEBOAT_OK);
        let text = told(view);
        assert_eq!(lifeboat_buffer_free(buffer), LIFEBOAT_OK);
        text
    }
}

/// Adds a class of these levels to a policy.
fn tolerate(policy: *mut PolicyHandle, fail: &[(&str, u32)]) -> Status {
    let levels: Vec<Str> = fail.iter().map(|(level, _)| str(level)).collect();
    let counts: Vec<u32> = fail.iter().map(|(_, count)| *count).collect();
    let mut class: ToleranceSpec = zeroed();
    (class.size, class.levels) = (size_of_u32::<ToleranceSpec>(), levels.as_ptr());
    (class.counts, class.level_count) = (counts.as_ptr(), fail.len());
    // SAFETY: a live handle and a good struct.
    unsafe { lifeboat_policy_tolerate(policy, &raw const class, null_mut()) }
}

#[test]
fn a_guard_takes_no_policy_that_speaks_of_what_is_not_there() {
    let (cluster, policy) = load();
    assert_eq!(tolerate(policy, &[("pdu", 1)]), LIFEBOAT_OK);
    let (mut judge, mut verdict, mut error, mut other) = (null_mut(), null_mut(), null_mut(), null_mut());
    let (mut message, mut same) = (empty(), empty());
    // SAFETY: all pointers are good.
    unsafe {
        assert_eq!(lifeboat_guard_new(cluster, policy, &raw mut judge, &raw mut error), LIFEBOAT_NOT_FOUND);
        assert!(judge.is_null());
        assert_eq!(lifeboat_verify(cluster, policy, null(), &raw mut verdict, &raw mut other), LIFEBOAT_NOT_FOUND);
        assert_eq!(lifeboat_error_message(error, &raw mut message), LIFEBOAT_OK);
        assert_eq!(lifeboat_error_message(other, &raw mut same), LIFEBOAT_OK);
        assert_eq!(told(message), told(same));
        lifeboat_error_free(error);
        lifeboat_error_free(other);
        // A policy for a cluster of other kinds.
        let elsewhere = str(r#"{"format":"lifeboat/1","resources":[{"name":"gpu"}],"nodes":[],"vms":[],
                "policy":{"reserves":[{"kind":"percentage","percent":{"gpu":10}}]}}"#);
        let (mut there, mut rules) = (null_mut(), null_mut());
        let status = lifeboat_cluster_from_json(elsewhere, &raw mut there, &raw mut rules, null_mut());
        assert_eq!(status, LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_new(cluster, rules, &raw mut judge, null_mut()), LIFEBOAT_NOT_FOUND);
        lifeboat_cluster_free(there);
        lifeboat_policy_free(rules);
        lifeboat_policy_free(policy);

        // By a change it cannot come in either, and what comes after is judged as before.
        let (again, policy) = load();
        assert_eq!(lifeboat_guard_new(again, policy, &raw mut judge, null_mut()), LIFEBOAT_OK);
        let change = str(r#"{"op":"set_policy","policy":{"tolerate":[{"fail":{"pdu":1}}]}}"#);
        let mut decision = null_mut();
        let out = &raw mut decision;
        assert_eq!(lifeboat_guard_admit(judge, change, null(), out, null_mut()), LIFEBOAT_BAD_DOCUMENT);
        assert_eq!(lifeboat_guard_observe(judge, change, null(), out, null_mut()), LIFEBOAT_BAD_DOCUMENT);
        assert_eq!(lifeboat_guard_admit_stop(judge, str("db-1"), null(), out, null_mut()), LIFEBOAT_OK);
        lifeboat_decision_free(decision);
        lifeboat_guard_free(judge);
        lifeboat_cluster_free(again);
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}

#[test]
fn a_failure_class_says_each_level_once_and_by_name() {
    let (cluster, policy) = load();
    for wrong in
        [&[("node", 1), ("node", 1)][..], &[("", 1)], &[("rack", 1), ("node", 1), ("rack", 0)], &[("no\0de", 1)]]
    {
        assert_eq!(tolerate(policy, wrong), LIFEBOAT_INVALID_ARGUMENT, "{wrong:?}");
    }
    assert_eq!(tolerate(policy, &[("rack", 1), ("node", 1)]), LIFEBOAT_OK);
    let (mut buffer, mut again) = (null_mut(), null_mut());
    // SAFETY: all pointers are good.
    unsafe {
        assert_eq!(lifeboat_cluster_to_json(cluster, policy, 0, &raw mut buffer, null_mut()), LIFEBOAT_OK);
        let text = take(buffer);
        assert_eq!(lifeboat_cluster_from_json(str(&text), &raw mut again, null_mut(), null_mut()), LIFEBOAT_OK);
        lifeboat_cluster_free(again);
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}

#[test]
fn names_have_no_nul_inside() {
    let (cluster, policy) = load();
    let (bad, good, amounts) = ([str("mail\0")], [str("mail")], [1_u64, 1]);
    let mut vm: VmSpec = zeroed();
    (vm.size, vm.demand, vm.kind_count) = (size_of_u32::<VmSpec>(), amounts.as_ptr(), 2);
    let mut node: NodeSpec = zeroed();
    (node.size, node.capacity, node.kind_count) = (size_of_u32::<NodeSpec>(), amounts.as_ptr(), 2);
    let mut kind: ResourceSpec = zeroed();
    (kind.size, kind.name) = (size_of_u32::<ResourceSpec>(), bad[0]);
    let mut out = null_mut();
    // SAFETY: all pointers are good.
    unsafe {
        let add_vm = |vm: VmSpec| lifeboat_cluster_add_vm(cluster, &raw const vm, null_mut());
        let add_node = |node: NodeSpec| lifeboat_cluster_add_node(cluster, &raw const node, null_mut());
        let (bad, good, one) = (bad.as_ptr(), good.as_ptr(), str("one"));
        let vms = [
            VmSpec { name: *bad, ..vm },
            VmSpec { name: one, groups: bad, group_count: 1, ..vm },
            VmSpec { name: one, requires: bad, requires_count: 1, ..vm },
            VmSpec { name: one, migrate_requires: bad, migrate_requires_count: 1, ..vm },
        ];
        for vm in vms {
            assert_eq!(add_vm(vm), LIFEBOAT_INVALID_ARGUMENT);
        }
        let rack = str("rack");
        let nodes = [
            NodeSpec { name: *bad, ..node },
            NodeSpec { name: one, labels: bad, label_count: 1, ..node },
            NodeSpec { name: one, levels: &raw const rack, domains: bad, domain_count: 1, ..node },
        ];
        for node in nodes {
            assert_eq!(add_node(node), LIFEBOAT_INVALID_ARGUMENT);
        }
        let made = &raw mut out;
        assert_eq!(lifeboat_cluster_new(&raw const kind, 1, null(), 0, made, null_mut()), LIFEBOAT_INVALID_ARGUMENT);
        kind.name = *good;
        assert_eq!(lifeboat_cluster_new(&raw const kind, 1, bad, 1, made, null_mut()), LIFEBOAT_INVALID_ARGUMENT);
        assert_eq!(add_vm(VmSpec { name: one, groups: good, group_count: 1, ..vm }), LIFEBOAT_OK);
        assert_eq!(add_node(NodeSpec { name: *good, labels: good, label_count: 1, ..node }), LIFEBOAT_OK);
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}

#[test]
fn typed_updates_keep_what_they_cannot_say() {
    let document = str(r#"{"format":"lifeboat/1","resources":[{"name":"m"}],
        "nodes":[{"name":"n","capacity":{"m":9},"display":"Node","annotations":{"serial":"77"}}],
        "vms":[{"name":"v","demand":{"m":1},"node":"n","display":"Mail","annotations":{"owner":"ops"}}]}"#);
    let (mut cluster, mut buffer) = (null_mut(), null_mut());
    let (node_name, amount) = (str("n"), [5_u64]);
    let mut vm: VmSpec = zeroed();
    (vm.size, vm.name, vm.node) = (size_of_u32::<VmSpec>(), str("v"), node_name);
    (vm.demand, vm.kind_count) = (amount.as_ptr(), 1);
    let mut node: NodeSpec = zeroed();
    (node.size, node.name) = (size_of_u32::<NodeSpec>(), node_name);
    (node.capacity, node.kind_count) = (amount.as_ptr(), 1);
    // SAFETY: all pointers are good.
    unsafe {
        assert_eq!(lifeboat_cluster_from_json(document, &raw mut cluster, null_mut(), null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_cluster_update_vm(cluster, &raw const vm, null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_cluster_update_node(cluster, &raw const node, null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_cluster_to_json(cluster, null_mut(), 0, &raw mut buffer, null_mut()), LIFEBOAT_OK);
        let text = take(buffer);
        for kept in ["Node", "serial", "77", "Mail", "owner", "ops"] {
            assert!(text.contains(&format!("\"{kept}\"")), "{kept}: {text}");
        }
        lifeboat_cluster_free(cluster);
    }
}

/// A cluster of which one VM runs where alone it can: it cannot be covered, and all others are.
const LEFT_OUT: &str = r#"{"format":"lifeboat/1","resources":[{"name":"m"}],"levels":["rack"],
    "nodes":[{"name":"a","capacity":{"m":10},"domain":{"rack":"r"}},{"name":"b","capacity":{"m":10},"domain":{"rack":"s"}},
        {"name":"c","capacity":{"m":10},"domain":{"rack":"t"}}],
    "vms":[{"name":"v","demand":{"m":4},"node":"a"},{"name":"w","demand":{"m":7},"node":"c"},
        {"name":"tied","demand":{"m":1},"node":"b","allowed_nodes":["b"]}],
    "policy":{"tolerate":[{"fail":{"node":2}},{"fail":{"node":1}},{"fail":{"rack":1},"min_priority":3000}]}}"#;

#[test]
fn certificates_say_for_which_class_they_are() {
    let (mut cluster, mut policy, mut verdict, mut held) = (null_mut(), null_mut(), null_mut(), null_mut());
    let mut buffer = null_mut();
    // SAFETY: all pointers are good.
    unsafe {
        let none = null_mut();
        let out = (&raw mut cluster, &raw mut policy);
        assert_eq!(lifeboat_cluster_from_json(str(LEFT_OUT), out.0, out.1, none), LIFEBOAT_OK);
        assert_eq!(lifeboat_verify(cluster, policy, null(), &raw mut verdict, none), LIFEBOAT_OK);
        assert_eq!(lifeboat_verdict_certificates(verdict, &raw mut held, none), LIFEBOAT_OK);
        let view_of = |held, at| {
            let mut view: CertificateView = zeroed();
            view.size = size_of_u32::<CertificateView>();
            assert_eq!(lifeboat_certificate_class(held, at, &raw mut view, null_mut()), LIFEBOAT_OK);
            view
        };
        let mut count = 0;
        assert_eq!(lifeboat_certificate_count(held, &raw mut count, none), LIFEBOAT_OK);
        assert_eq!(count, 2);
        // The first class fails; the second does so for the tied VM alone; the third speaks of no VM.
        let (one, other) = (view_of(held, 0), view_of(held, 1));
        assert_eq!((one.class_index, one.levels, one.left_out, one.min_priority), (1, 1, 1, 0));
        assert_eq!((other.class_index, other.levels, other.left_out, other.min_priority), (2, 1, 0, 3000));
        let mut class: ClassVerdictView = zeroed();
        class.size = size_of_u32::<ClassVerdictView>();
        assert_eq!(lifeboat_verdict_class(verdict, 1, &raw mut class, none), LIFEBOAT_OK);
        assert_eq!((class.answer, class.rest), (LIFEBOAT_NO, LIFEBOAT_YES));
        let (mut level, mut units) = (empty(), 0);
        assert_eq!(lifeboat_certificate_level(held, 1, 0, &raw mut level, &raw mut units, none), LIFEBOAT_OK);
        assert_eq!((told(level), units), ("rack".to_string(), 1));
        assert_eq!(lifeboat_certificate_level(held, 1, 1, &raw mut level, none.cast(), none), LIFEBOAT_NOT_FOUND);

        // Read from text they do not know their class any more, and are found by the policy.
        assert_eq!(lifeboat_certificate_to_json(held, cluster, &raw mut buffer, none), LIFEBOAT_OK);
        let (text, mut read, mut at) = (take(buffer), null_mut(), 9);
        assert_eq!(lifeboat_certificate_from_json(cluster, str(&text), &raw mut read, none), LIFEBOAT_OK);
        assert_eq!(view_of(read, 0).class_index, LIFEBOAT_CLASS_NOT_KNOWN);
        assert_eq!(lifeboat_certificate_find(read, policy, 2, &raw mut at, none), LIFEBOAT_OK);
        assert_eq!(at, 1);
        assert_eq!(lifeboat_certificate_find(read, policy, 0, &raw mut at, none), LIFEBOAT_NOT_FOUND);
        assert_eq!(lifeboat_certificate_find(read, policy, 3, &raw mut at, none), LIFEBOAT_NOT_FOUND);

        // A guard has its own.
        let (mut judge, mut kept) = (null_mut(), null_mut());
        assert_eq!(lifeboat_guard_new(cluster, policy, &raw mut judge, none), LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_certificate(judge, 0, null(), &raw mut kept, none), LIFEBOAT_NOT_FOUND);
        assert_eq!(lifeboat_guard_certificate(judge, 2, null(), &raw mut kept, none), LIFEBOAT_OK);
        assert_eq!(view_of(kept, 0).class_index, 2);
        assert_eq!(lifeboat_certificate_free(kept), LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_items(judge, null(), &raw mut buffer, none), LIFEBOAT_OK);
        let items: serde_json::Value = serde_json::from_str(&take(buffer)).unwrap();
        assert_eq!(items["format"], "lifeboat-items/1");
        assert_eq!(items["items"].as_array().map(Vec::len), Some(3));

        // A copy is known by the same, another state is not.
        let mut fingerprints = Vec::new();
        let mut copy = null_mut();
        assert_eq!(lifeboat_cluster_clone(cluster, &raw mut copy, none), LIFEBOAT_OK);
        assert_eq!(lifeboat_cluster_stop_vm(copy, str("v"), none), LIFEBOAT_OK);
        for one in [cluster, cluster, copy] {
            assert_eq!(lifeboat_cluster_fingerprint(one, &raw mut buffer, none), LIFEBOAT_OK);
            fingerprints.push(take(buffer));
        }
        assert_eq!(fingerprints[0].len(), 32);
        assert!(fingerprints[0] == fingerprints[1] && fingerprints[0] != fingerprints[2]);
        lifeboat_cluster_free(copy);
        lifeboat_guard_free(judge);
        lifeboat_certificate_free(read);
        lifeboat_certificate_free(held);
        lifeboat_verdict_free(verdict);
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}

/// Two of four nodes may be lost, and there is room for that.
const TWO_LOSSES: &str = r#"{"format":"lifeboat/1","resources":[{"name":"m"}],
    "nodes":[{"name":"a","capacity":{"m":10}},{"name":"b","capacity":{"m":10}},{"name":"c","capacity":{"m":10}},
        {"name":"d","capacity":{"m":10}}],
    "vms":[{"name":"v","demand":{"m":2},"node":"a"},{"name":"w","demand":{"m":2},"node":"b"}],
    "policy":{"tolerate":[{"fail":{"node":2}}]}}"#;

#[test]
fn a_cover_is_told_of_losses_one_after_another() {
    let (mut cluster, mut policy, mut verdict, mut held) = (null_mut(), null_mut(), null_mut(), null_mut());
    let (mut cover, mut left) = (null_mut(), 0);
    let quiet = null_mut();
    // SAFETY: all pointers are good.
    unsafe {
        let out = (&raw mut cluster, &raw mut policy);
        assert_eq!(lifeboat_cluster_from_json(str(TWO_LOSSES), out.0, out.1, quiet), LIFEBOAT_OK);
        assert_eq!(lifeboat_verify(cluster, policy, null(), &raw mut verdict, quiet), LIFEBOAT_OK);
        assert_eq!(lifeboat_verdict_certificates(verdict, &raw mut held, quiet), LIFEBOAT_OK);
        assert_eq!(lifeboat_cover_begin(held, 1, cluster, &raw mut cover, quiet), LIFEBOAT_NOT_FOUND);
        assert_eq!(lifeboat_cover_begin(held, 0, cluster, &raw mut cover, quiet), LIFEBOAT_OK);
        // The cover has copies: what becomes of the others is nothing to it.
        assert_eq!(lifeboat_certificate_free(held), LIFEBOAT_OK);
        assert_eq!(lifeboat_cluster_free(cluster), LIFEBOAT_OK);
        let mut lose = |name: &str| {
            let (unit, mut plan) = (Unit { level: empty(), name: str(name) }, null_mut());
            let status = lifeboat_cover_lose(cover, &raw const unit, 1, &raw mut plan, null_mut());
            let mut summary: PlanSummary = zeroed();
            summary.size = size_of_u32::<PlanSummary>();
            let mut found = Vec::new();
            if status == LIFEBOAT_OK {
                assert_eq!(lifeboat_plan_summarize(plan, &raw mut summary, null_mut()), LIFEBOAT_OK);
            }
            for at in 0..summary.placements {
                let (mut vm, mut node) = (empty(), empty());
                let wave = null_mut();
                let (first, second) = (&raw mut vm, &raw mut node);
                assert_eq!(lifeboat_plan_placement(plan, at, first, second, wave, null_mut()), LIFEBOAT_OK);
                found.push((told(vm), told(node)));
            }
            assert_eq!(lifeboat_plan_free(plan), LIFEBOAT_OK);
            assert_eq!(lifeboat_cover_remaining(cover, &raw mut left, null_mut()), LIFEBOAT_OK);
            (status, found, left)
        };
        let (status, first, remaining) = lose("a");
        assert_eq!((status, first.len(), remaining), (LIFEBOAT_OK, 1, 1));
        let (vm, refuge) = &first[0];
        assert!(vm == "v" && refuge != "a");
        // Its refuge fails next: it moves on, with what ran there.
        let (status, second, remaining) = lose(refuge);
        assert_eq!((status, remaining), (LIFEBOAT_OK, 0));
        assert!(second.iter().any(|(vm, node)| vm == "v" && node != "a" && node != refuge));
        let third = ["b", "c", "d"].into_iter().find(|name| name != refuge).unwrap();
        assert_eq!(lose(third), (LIFEBOAT_NOT_VALID, Vec::new(), 0));
        assert_eq!(lifeboat_cover_free(cover), LIFEBOAT_OK);
        lifeboat_verdict_free(verdict);
        lifeboat_policy_free(policy);
    }
}
