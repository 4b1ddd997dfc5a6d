//! Admission: requests judged, facts taken in, by changes as text.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use lifeboat::policy::FailureClass;
use lifeboat::{
    Answer, Cluster, Control, Decision, DecisionOutcome, Document, Guard, GuardError, Item, Node, Policy,
    ResourceKinds, Vm, read_changes, verify,
};

/// A guard over a document with memory and these nodes, VMs and the rest.
fn guard(nodes: &str, vms: &str, rest: &str) -> Guard {
    let text = format!(
        r#"{{"format": "lifeboat/1", "resources": [{{"name": "memory", "unit": "GiB"}}], "levels": ["rack"],
            "nodes": [{nodes}], "vms": [{vms}] {rest}}}"#
    );
    let (cluster, policy) = Document::from_json(&text).unwrap_or_else(|errors| panic!("{errors}")).into_parts();
    Guard::new(cluster, policy)
}

fn node(name: &str, memory: u64) -> String {
    format!(r#"{{"name": "{name}", "capacity": {{"memory": {memory}}}}}"#)
}

fn nodes(list: &[(&str, u64)]) -> String {
    list.iter().map(|(name, memory)| node(name, *memory)).collect::<Vec<_>>().join(",")
}

/// A VM on a node; off if the node is empty.
fn vm(name: &str, memory: u64, on: &str) -> String {
    let place = if on.is_empty() { String::new() } else { format!(r#", "node": "{on}""#) };
    format!(r#"{{"name": "{name}", "demand": {{"memory": {memory}}}{place}}}"#)
}

fn ask(guard: &mut Guard, line: &str) -> Decision {
    let changes = read_changes(guard.cluster(), guard.policy(), line).unwrap_or_else(|errors| panic!("{errors}"));
    guard.admit(&changes).unwrap()
}

fn tell(guard: &mut Guard, line: &str) -> Decision {
    let changes = read_changes(guard.cluster(), guard.policy(), line).unwrap_or_else(|errors| panic!("{errors}"));
    guard.observe(&changes).unwrap()
}

/// What refuses.
fn codes(decision: &Decision) -> Vec<&'static str> {
    decision.violations().iter().filter(|found| found.enforced).map(|found| found.kind.code()).collect()
}

/// What is only said.
fn notes(decision: &Decision) -> Vec<(&'static str, bool)> {
    let said = decision.violations().iter().filter(|found| !found.enforced);
    said.map(|found| (found.kind.code(), found.broken_before)).collect()
}

/// xapi's own cases: two hosts of 256 GiB, one failure to tolerate. An over-committed pool blocks nothing further, and
/// the decision says that it was broken before.
#[test]
fn worked_example_of_xapi() {
    let hosts = nodes(&[("one", 256), ("two", 256)]);
    let line = r#"{"op": "add_vm", "vm": {"name": "new", "demand": {"memory": 120}, "power": "on"}}"#;
    let mut room = guard(&hosts, &vm("a", 120, "one"), "");
    assert!(ask(&mut room, line).is_admitted());

    let two = [vm("a", 120, "one"), vm("b", 120, "one")].join(",");
    let mut full = guard(&hosts, &two, "");
    let decision = ask(&mut full, line);
    assert_eq!((decision.outcome(), codes(&decision)), (DecisionOutcome::Refused, vec!["tolerate"]));

    let three = [vm("a", 120, "one"), vm("b", 120, "one"), vm("c", 120, "two")].join(",");
    let mut over = guard(&hosts, &three, "");
    // It fits beside `c`, and the promise was broken before.
    let decision = ask(&mut over, line);
    assert!(decision.is_admitted(), "{:?}", decision.violations());
    assert_eq!(notes(&decision), [("tolerate", true)]);
}

#[test]
fn nothing_changes_until_a_decision_is_applied_and_an_old_one_is_stale() {
    let mut guard = guard(&nodes(&[("one", 8), ("two", 8)]), &[vm("a", 2, ""), vm("b", 2, "")].join(","), "");
    let first = ask(&mut guard, r#"{"op": "start", "vm": "a", "on": "one"}"#);
    let second = ask(&mut guard, r#"{"op": "start", "vm": "b"}"#);
    assert!(!guard.cluster().vms().any(lifeboat::VmRef::is_on));
    guard.apply(first).unwrap();
    assert!(guard.cluster().vm(guard.cluster().vm_id("a").unwrap()).unwrap().is_on());
    assert_eq!(guard.apply(second), Err(GuardError::Stale));
    // Spread: the emptier node.
    let again = ask(&mut guard, r#"{"op": "start", "vm": "b"}"#);
    assert_eq!(&*again.placed()[0].node_name, "two");
    let refused = ask(&mut guard, r#"{"op": "add_vm", "vm": {"name": "c", "demand": {"memory": 9}, "power": "on"}}"#);
    assert_eq!(codes(&refused), ["no_node", "tolerate"]);
    assert_eq!(guard.apply(refused), Err(GuardError::Refused));
}

/// Revisions count per guard: those of two guards say nothing of each other, be one a clone of the other.
#[test]
fn a_decision_is_for_the_guard_that_made_it() {
    let mut one = guard(&nodes(&[("one", 8), ("two", 8)]), &vm("a", 2, ""), "");
    let mut other = one.clone();
    let mut stranger = guard(&nodes(&[("one", 8), ("two", 8)]), &vm("b", 2, ""), "");
    let decision = ask(&mut one, r#"{"op": "start", "vm": "a", "on": "one"}"#);
    assert_eq!(stranger.apply(decision.clone()), Err(GuardError::Stale));
    assert_eq!(other.apply(decision.clone()), Err(GuardError::Stale));
    assert_eq!(one.apply(decision), Ok(()));
    assert!(!stranger.cluster().vms().any(lifeboat::VmRef::is_on));
}

#[test]
fn every_demand_on_the_node_has_its_code() {
    let hosts = [
        node("n1", 10),
        node("n2", 10),
        r#"{"name": "spare", "capacity": {"memory": 10}, "role": "spare"}"#.into(),
        r#"{"name": "drained", "capacity": {"memory": 10}, "state": "cordoned"}"#.into(),
        r#"{"name": "san", "capacity": {"memory": 10}, "labels": ["san"]}"#.into(),
    ]
    .join(",");
    let vms = [
        vm("runs", 7, "n1"),
        vm("off", 4, ""),
        r#"{"name": "needs-san", "demand": {"memory": 1}, "requires": ["san"]}"#.into(),
        r#"{"name": "pair", "demand": {"memory": 1}, "allowed_nodes": ["n1", "san"]}"#.into(),
        r#"{"name": "pinned", "demand": {"memory": 1}, "node": "n2", "migratable": false}"#.into(),
        r#"{"name": "ballooned", "demand": {"memory": 2}, "restart_demand": {"memory": 5}}"#.into(),
    ]
    .join(",");
    let policy = r#", "policy": {"tolerate": []}"#;
    let mut guard = guard(&hosts, &vms, policy);
    for (line, expected) in [
        (r#"{"op": "start", "vm": "off", "on": "n1"}"#, "insufficient"),
        (r#"{"op": "start", "vm": "ballooned", "on": "n1"}"#, "insufficient"),
        (r#"{"op": "start", "vm": "off", "on": "spare"}"#, "spare_reserved"),
        (r#"{"op": "start", "vm": "off", "on": "drained"}"#, "not_accepting"),
        (r#"{"op": "start", "vm": "needs-san", "on": "n1"}"#, "missing_label"),
        (r#"{"op": "start", "vm": "pair", "on": "n2"}"#, "not_allowed"),
        (r#"{"op": "migrate", "vm": "pinned", "to": "n1"}"#, "not_migratable"),
        (r#"{"op": "migrate", "vm": "runs", "to": "drained"}"#, "not_accepting"),
        (r#"{"op": "resize", "vm": "runs", "demand": {"memory": 11}}"#, "insufficient"),
        (r#"{"op": "set_state", "node": "n1", "state": "maintenance"}"#, "not_empty"),
        (r#"{"op": "remove_node", "node": "n1"}"#, "not_empty"),
        (r#"{"op": "start", "vm": "runs", "on": "n2"}"#, "wrong_power"),
        (r#"{"op": "migrate_done", "vm": "runs"}"#, "bad_migration"),
    ] {
        let decision = ask(&mut guard, line);
        assert_eq!(codes(&decision), [expected], "{line}");
    }
    for line in [
        r#"{"op": "start", "vm": "off", "on": "n2"}"#,
        r#"{"op": "start", "vm": "needs-san"}"#,
        r#"{"op": "start", "vm": "ballooned"}"#,
        r#"{"op": "resize", "vm": "runs", "demand": {"memory": 10}}"#,
        r#"{"op": "migrate", "vm": "runs"}"#,
        r#"[{"op": "stop", "vm": "runs"}, {"op": "set_state", "node": "n1", "state": "maintenance"}]"#,
    ] {
        let decision = ask(&mut guard, line);
        assert!(decision.is_admitted(), "{line}: {:?}", decision.violations());
    }
}

#[test]
fn relaxed_rules_bind_requests_and_what_was_broken_before_does_not_count() {
    let hosts = nodes(&[("n1", 10), ("n2", 10)]);
    let vms = [vm("dc-1", 1, "n1"), vm("dc-2", 1, ""), vm("x", 1, "n2"), vm("y", 1, "n2")].join(",");
    let rules = r#", "policy": {"tolerate": []}, "rules": [
        {"name": "dc apart", "kind": "separate", "vms": ["dc-1", "dc-2"], "strength": "relaxed"},
        {"name": "xy apart", "kind": "separate", "vms": ["x", "y"]}]"#;
    let mut guard = guard(&hosts, &vms, rules);
    let decision = ask(&mut guard, r#"{"op": "start", "vm": "dc-2", "on": "n1"}"#);
    assert_eq!(codes(&decision), ["rule"]);
    assert_eq!(decision.violations()[0].message, "rule 'dc apart' would be broken, by 1");
    // An open node is chosen around the rule.
    assert_eq!(&*ask(&mut guard, r#"{"op": "start", "vm": "dc-2"}"#).placed()[0].node_name, "n2");
    // A live move counts on both nodes while it lasts: apart from `y`, and it was together before.
    assert!(ask(&mut guard, r#"{"op": "migrate", "vm": "x", "to": "n1"}"#).is_admitted());
}

/// The chain of lowered counts: from two losses to one is worse, from one to one is not.
#[test]
fn worse_is_judged_by_what_is_still_held() {
    let hosts = nodes(&[("n1", 10), ("n2", 10), ("n3", 10)]);
    let policy = r#", "policy": {"tolerate": [{"fail": {"node": 2}}]}"#;
    let vms = [vm("a", 5, "n1"), vm("b", 4, "")].join(",");
    let mut held_two = guard(&hosts, &vms, policy);
    // Any two lost: one node of 10 takes 5 + 4.
    assert!(ask(&mut held_two, r#"{"op": "start", "vm": "b", "on": "n2"}"#).is_admitted());
    let line = r#"{"op": "add_vm", "vm": {"name": "c", "demand": {"memory": 6}, "node": "n2"}}"#;
    let decision = ask(&mut held_two, line);
    assert_eq!(codes(&decision), ["tolerate"]);
    let Item::Tolerate(after) = &decision.after()[0].item else { panic!("a class") };
    assert_eq!((after.answer, after.held.clone()), (Answer::Fails, Some(vec![("node".into(), 1)])));
    assert!(after.counterexample.is_some());
    // As a fact it is taken in; from then on what one loss allows is admitted.
    let observed = tell(&mut held_two, line);
    assert_eq!((observed.outcome(), notes(&observed)), (DecisionOutcome::Observed, vec![("tolerate", false)]));
    let decision = ask(&mut held_two, r#"{"op": "start", "vm": "b", "on": "n2"}"#);
    assert!(decision.is_admitted());
    assert_eq!(notes(&decision), [("tolerate", true)]);
}

#[test]
fn modes_say_what_is_enforced() {
    let hosts = nodes(&[("n1", 10), ("n2", 10)]);
    let line = r#"{"op": "add_vm", "vm": {"name": "new", "demand": {"memory": 6}, "node": "n2"}}"#;
    let with = |policy: &str| guard(&hosts, &vm("a", 6, "n1"), &format!(r#", "policy": {policy}"#));
    let mut enforced = with(r#"{"reserves": [{"kind": "percentage", "percent": {"memory": 50}}]}"#);
    assert_eq!(codes(&ask(&mut enforced, line)), ["tolerate", "percentage"]);
    let mut warned = with(r#"{"admission": "warn"}"#);
    let decision = ask(&mut warned, line);
    assert!(decision.is_admitted());
    assert_eq!(notes(&decision), [("tolerate", false)]);
    let mut off = with(r#"{"admission": "off"}"#);
    let decision = ask(&mut off, line);
    assert!(decision.is_admitted() && decision.violations().is_empty());
    assert_eq!(decision.after()[0].state(), "off");
    let mut one = with(
        r#"{"tolerate": [{"fail": {"node": 1}, "mode": "warn"}],
        "reserves": [{"kind": "free", "total": {"memory": 14}}]}"#,
    );
    let decision = ask(&mut one, line);
    assert_eq!((codes(&decision), notes(&decision)), (vec!["free"], vec![("tolerate", false)]));
}

/// Two nodes of which one is being worked on: without the switch nothing can be tolerated, with it nothing need be.
#[test]
fn maintenance_can_use_the_tolerance() {
    let hosts = nodes(&[("n1", 10), ("n2", 10)]);
    let line = r#"{"op": "set_state", "node": "n2", "state": "maintenance"}"#;
    let mut strict = guard(&hosts, &vm("a", 6, "n1"), "");
    assert_eq!(codes(&ask(&mut strict, line)), ["tolerate"]);
    let policy = r#", "policy": {"maintenance_uses_tolerance": true}"#;
    let mut patched = guard(&hosts, &vm("a", 6, "n1"), policy);
    assert!(ask(&mut patched, line).is_admitted());
}

/// A VM that only one node can run is a failure of its own: what is asked of the others is judged all the same.
#[test]
fn an_uncoverable_vm_does_not_hide_what_others_make_worse() {
    let hosts = nodes(&[("n1", 10), ("n2", 10)]);
    let dongle = r#"{"name": "dongle", "demand": {"memory": 1}, "node": "n1", "allowed_nodes": ["n1"]}"#;
    let mut guard = guard(&hosts, &[dongle.into(), vm("a", 6, "n1"), vm("b", 6, "")].join(","), "");
    let decision = ask(&mut guard, r#"{"op": "start", "vm": "b"}"#);
    assert_eq!(codes(&decision), ["tolerate"]);
    let small = r#"{"op": "add_vm", "vm": {"name": "c", "demand": {"memory": 1}, "power": "on"}}"#;
    let decision = ask(&mut guard, small);
    assert_eq!((codes(&decision), notes(&decision)), (vec![], vec![("tolerate", true)]));
    // A second one is worse.
    let more =
        r#"{"op": "add_vm", "vm": {"name": "d", "demand": {"memory": 1}, "node": "n2", "allowed_nodes": ["n2"]}}"#;
    assert_eq!(codes(&ask(&mut guard, more)), ["tolerate"]);
}

#[test]
fn facts_are_never_refused_for_room_and_leave_the_cluster_consistent() {
    let mut guard = guard(&nodes(&[("n1", 10), ("n2", 10)]), &vm("a", 6, "n1"), "");
    let decision = tell(
        &mut guard,
        r#"[{"op": "add_vm", "vm": {"name": "b", "demand": {"memory": 60}, "node": "n2"}},
            {"op": "set_state", "node": "n1", "state": "failed"}, {"op": "start", "vm": "a", "on": "n2"}]"#,
    );
    assert_eq!(notes(&decision), [("tolerate", false)]);
    guard.cluster().check_invariants().unwrap();
    // Inconsistent: nothing of the transaction is taken in.
    let changes = read_changes(
        guard.cluster(),
        guard.policy(),
        r#"[{"op": "remove_vm", "vm": "b"}, {"op": "migrate_done", "vm": "a"}]"#,
    );
    let error = guard.observe(&changes.unwrap()).unwrap_err();
    assert_eq!(error.code(), "bad_migration");
    assert!(guard.cluster().vm_id("b").is_some());
}

#[test]
fn errors_of_a_line_come_all_at_once_with_their_paths() {
    let guard = guard(&nodes(&[("n1", 10)]), &vm("a", 6, "n1"), "");
    let line = r#"[{"op": "strat", "vm": "a"}, {"op": "stop", "vm": "A"}, {"op": "add_vm", "vm": {"name": "b",
        "demand": {"memroy": 1}, "demand": {}}}, {"op": "start", "on": "n9", "where": 1}, 7,
        {"op": "set_state", "node": "n1", "state": "off"}]"#;
    let errors = read_changes(guard.cluster(), guard.policy(), line).unwrap_err();
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            r#"[0].op: there is no operation "strat", did you mean "start"?"#,
            r#"[1].vm: there is no VM "A", did you mean "a"?"#,
            r#"[2] "b".vm.demand: the field stands there twice"#,
            r#"[2] "b".vm.demand.memroy: unknown resource kind, did you mean "memory"?"#,
            r#"[3].where: unknown field of operation "start""#,
            r#"[3].on: there is no node "n9""#,
            r#"[3].vm: the field "vm" is missing"#,
            "[4]: expected an operation, an object with \"op\", found a number",
            "[5].state: \"off\" is none of online, cordoned, maintenance, unreachable, failed",
        ]
    );
}

/// Random requests and facts: what is admitted is what a verdict on the changed cluster allows.
#[test]
fn an_admitted_start_leaves_the_guarantee_as_it_was() {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")]).unwrap(), ["rack"]).unwrap();
    for name in ["n1", "n2", "n3", "n4"] {
        cluster.add_node(Node::named(name).capacity([16])).unwrap();
    }
    let mut guard = Guard::new(cluster, Policy::default());
    let mut state = 7_u64;
    let (mut admitted, mut refused) = (0, 0);
    for step in 0..60 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let size = 1 + (state >> 33) % 7;
        let new = Vm::named(format!("vm-{step}")).demand([size]).powered_on();
        let decision = guard.admit(&[lifeboat::Change::AddVm(Box::new(new))]).unwrap();
        if decision.is_admitted() {
            guard.apply(decision).unwrap();
            admitted += 1;
        } else {
            refused += 1;
            // Whatever the node: with the VM there the promise is broken.
            let open: Vec<_> = guard.cluster().nodes().map(lifeboat::NodeRef::id).collect();
            for node in open {
                let mut with = guard.cluster().clone();
                with.add_vm(Vm::named("new").demand([size]).on(node)).unwrap();
                let fits = with.node(node).unwrap().used()[0] <= 16;
                assert!(!fits || verify(&with, guard.policy()).unwrap().answer() != Answer::Holds);
            }
        }
        guard.cluster().check_invariants().unwrap();
        assert_eq!(verify(guard.cluster(), guard.policy()).unwrap().answer(), Answer::Holds);
    }
    assert!(admitted > 5 && refused > 5, "{admitted} {refused}");
}

/// A node that is down takes no starts: a VM put there would wait for a place, and not run.
#[test]
fn nothing_is_started_on_a_node_that_is_down() {
    let down =
        |name: &str, state: &str| format!(r#"{{"name": "{name}", "capacity": {{"memory": 9}}, "state": "{state}"}}"#);
    let hosts = [node("up", 9), down("dead", "failed"), down("work", "maintenance"), down("gone", "unreachable")];
    let waits = r#"{"name": "waits", "demand": {"memory": 1}, "power": "on"}"#.to_string();
    let vms = [vm("off", 1, ""), waits, vm("lost", 1, "dead")];
    let mut guard = guard(&hosts.join(","), &vms.join(","), r#", "policy": {"tolerate": []}"#);
    for name in ["dead", "work", "gone"] {
        for line in [
            format!(r#"{{"op": "start", "vm": "off", "on": "{name}"}}"#),
            format!(r#"{{"op": "start", "vm": "waits", "on": "{name}"}}"#),
            format!(r#"{{"op": "start", "vm": "lost", "on": "{name}"}}"#),
            format!(r#"{{"op": "add_vm", "vm": {}}}"#, vm("new", 1, name)),
            format!(r#"{{"op": "update_vm", "vm": {}}}"#, vm("off", 1, name)),
        ] {
            let decision = ask(&mut guard, &line);
            assert_eq!(codes(&decision), ["not_accepting"], "{line}");
        }
    }
    // What is listed there already may be described anew.
    assert!(ask(&mut guard, r#"{"op": "resize", "vm": "lost", "demand": {"memory": 2}}"#).is_admitted());
    assert!(ask(&mut guard, r#"{"op": "start", "vm": "lost"}"#).is_admitted());
}

/// Nodes that are barred to a VM by a rule are passed over, however many: they use up no tries.
#[test]
fn rules_use_up_no_tries() {
    let hosts: Vec<String> = (0..70).map(|at| node(&format!("n{at:02}"), 100)).collect();
    // The last nodes are the fullest.
    let fill = |at: usize| vm(&format!("v{at:02}"), if at < 68 { 10 } else { 20 }, &format!("n{at:02}"));
    let mut vms: Vec<String> = (0..70).map(fill).collect();
    vms.push(vm("new", 5, ""));
    let apart: Vec<String> = (0..68).map(|at| format!(r#""v{at:02}""#)).collect();
    let apart = apart.join(",");
    let rules = [
        r#"{"name": "licensed", "kind": "confine", "vms": ["new"], "nodes": ["n69", "n68"]}"#.to_string(),
        format!(r#"{{"name": "apart", "kind": "separate", "vms": ["new", {apart}]}}"#),
        format!(r#"{{"name": "rather apart", "kind": "separate", "vms": ["new", {apart}], "strength": "relaxed"}}"#),
    ];
    for rule in rules {
        let quick = guard(&hosts.join(","), &vms.join(","), &format!(r#", "rules": [{rule}]"#));
        for mut guard in [quick.clone(), quick.without_ledger()] {
            let decision = ask(&mut guard, r#"{"op": "start", "vm": "new"}"#);
            assert!(decision.is_admitted(), "{rule}: {:?}", decision.violations());
            assert_eq!(&*decision.placed()[0].node_name, "n68");
        }
    }
    // Where all are barred the rule is named, and no more is said to be open.
    let rule = r#"{"name": "nowhere", "kind": "exclude", "vms": ["new"], "domains": {"rack": ["r"]}}"#;
    let hosts: Vec<String> = (0..70)
        .map(|at| format!(r#"{{"name": "n{at:02}", "capacity": {{"memory": 100}}, "domain": {{"rack": "r"}}}}"#))
        .collect();
    let rest = format!(r#", "rules": [{rule}], "policy": {{"tolerate": []}}"#);
    let mut guard = guard(&hosts.join(","), &vms.join(","), &rest);
    assert_eq!(codes(&ask(&mut guard, r#"{"op": "start", "vm": "new"}"#)), ["rule"]);
}

/// As many nodes as are tried at most, and none is left over: the answer is a plain no.
#[test]
fn sixty_four_nodes_are_all_there_are() {
    let list = |count: usize| -> String {
        let hosts: Vec<String> = (0..count).map(|at| node(&format!("n{at:02}"), 10)).collect();
        hosts.join(",")
    };
    let full = |count: usize| -> Vec<String> {
        (0..count).map(|at| vm(&format!("v{at:02}"), 5, &format!("n{at:02}"))).chain([vm("new", 4, "")]).collect()
    };
    // The reserve keeps free what the nodes have free now.
    for (count, expected) in [(64, vec!["free"]), (65, vec!["free", "undecided"])] {
        let free = 5 * count;
        let rest = format!(
            r#", "policy": {{"tolerate": [], "reserves": [{{"kind": "free", "total": {{"memory": {free}}}}}]}}"#
        );
        let mut guard = guard(&list(count), &full(count).join(","), &rest);
        assert_eq!(codes(&ask(&mut guard, r#"{"op": "start", "vm": "new"}"#)), expected);
    }
}

/// What became of a guarantee is told in the terms of what was kept.
#[test]
fn a_guarantee_that_became_weaker_says_so() {
    let hosts = nodes(&[("one", 8), ("two", 8), ("three", 8)]);
    let vms = [vm("a", 4, "one"), vm("b", 3, "two")].join(",");
    let mut guard = guard(&hosts, &vms, r#", "policy": {"tolerate": [{"fail": {"node": 2}}]}"#);
    let line = r#"{"op": "add_vm", "vm": {"name": "c", "demand": {"memory": 4}, "node": "three"}}"#;
    let refused = ask(&mut guard, line);
    assert_eq!(codes(&refused), ["tolerate"]);
    let told = "up to 2 nodes: kept for the loss of up to 2 nodes before, and now of 1 node: not every loss";
    assert!(refused.violations()[0].message.starts_with(told), "{:?}", refused.violations());
    let observed = tell(&mut guard, line);
    assert!(observed.violations()[0].message.starts_with(told), "{:?}", observed.violations());
    // Beside none of the three is there room for one of this size.
    let observed = tell(&mut guard, r#"{"op": "add_vm", "vm": {"name": "d", "demand": {"memory": 6}, "power": "on"}}"#);
    let told = "kept for the loss of 1 node before, and now not even while nothing fails: ";
    assert!(observed.violations()[0].message.contains(told), "{:?}", observed.violations());
}

/// A node more makes VMs coverable that were not, and then there is no room for all of them: nobody has lost anything.
#[test]
fn what_becomes_coverable_is_not_held_against_a_request() {
    let hosts = nodes(&[("big", 20), ("small", 5)]);
    let vms = [vm("a", 10, "big"), vm("b", 10, "big"), vm("c", 2, "small")].join(",");
    let larger = r#"{"op": "add_node", "node": {"name": "new", "capacity": {"memory": 12}}}"#;
    for policy in [r#""uncoverable": "fail""#, r#""uncoverable": "warn""#] {
        let mut guard = guard(&hosts, &vms, &format!(r#", "policy": {{{policy}}}"#));
        let decision = ask(&mut guard, larger);
        assert!(decision.is_admitted(), "{policy}: {:?}", decision.violations());
        // What is covered already stays so: there is no room for more than `c` beside `a` and `b`.
        let start = r#"{"op": "add_vm", "vm": {"name": "d", "demand": {"memory": 4}, "power": "on", "node": "small"}}"#;
        assert!(!ask(&mut guard, &format!("[{start}]")).is_admitted());
        // Whoever goes takes nobody's part.
        let stop = r#"{"op": "stop", "vm": "a"}"#;
        assert!(ask(&mut guard, stop).is_admitted());
    }
}

/// What refuses is told, also where other VMs cannot be covered anyway.
#[test]
fn uncoverable_vms_do_not_hide_why_a_request_is_refused() {
    let hosts = nodes(&[("one", 10), ("two", 10)]);
    let local = |name: &str| {
        format!(r#"{{"name": "{name}", "demand": {{"memory": 1}}, "node": "one", "allowed_nodes": ["one"]}}"#)
    };
    let mut guard = guard(&hosts, &[local("disk"), local("card"), vm("a", 6, "one")].join(","), "");
    let refused = ask(&mut guard, r#"{"op": "add_vm", "vm": {"name": "b", "demand": {"memory": 5}, "node": "two"}}"#);
    assert_eq!(codes(&refused), ["tolerate"]);
    let message = &refused.violations()[0].message;
    assert!(message.contains("the displaced VMs need 5 GiB of memory, and 2 are left: 3 too few"), "{message}");
    assert!(message.contains("'card'") && message.contains("(likewise 'disk')"), "{message}");
}

/// A migration whose source is down has no claim on its target any more: neither on a spare, nor on a node that is to be
/// taken down.
#[test]
fn moves_that_have_ended_with_their_source_hold_nothing() {
    let hosts = [
        node("one", 10),
        node("two", 10),
        r#"{"name": "spare", "capacity": {"memory": 10}, "role": "spare"}"#.to_string(),
        r#"{"name": "dead", "capacity": {"memory": 10}, "state": "failed"}"#.to_string(),
    ];
    let moves = |name: &str, to: &str| {
        format!(r#"{{"name": "{name}", "demand": {{"memory": 1}}, "node": "dead", "migrating_to": "{to}"}}"#)
    };
    let rest = r#", "policy": {"tolerate": [], "reserves": [{"kind": "spare_nodes"}]}"#;
    let mut guard = guard(&hosts.join(","), &[moves("a", "spare"), moves("b", "two")].join(","), rest);
    assert!(guard.items().unwrap()[0].is_ok());
    let decision = ask(&mut guard, r#"{"op": "set_state", "node": "two", "state": "maintenance"}"#);
    assert!(decision.is_admitted(), "{:?}", decision.violations());
}

/// A count beyond all nodes costs no more verdicts than there are nodes.
#[test]
fn a_class_of_billions_of_losses_is_judged_at_once() {
    let rest = r#", "policy": {"tolerate": [{"fail": {"node": 4000000000}}]}"#;
    let local = r#"{"name": "local", "demand": {"memory": 1}, "node": "one", "allowed_nodes": ["one"]}"#.to_string();
    for vms in [vm("a", 6, "one"), [vm("a", 6, "one"), vm("b", 6, "two")].join(","), local] {
        let mut guard = guard(&nodes(&[("one", 10), ("two", 10)]), &vms, rest);
        let start = r#"{"op": "add_vm", "vm": {"name": "c", "demand": {"memory": 2}, "power": "on"}}"#;
        assert_eq!(codes(&ask(&mut guard, start)), ["tolerate"]);
    }
}

/// In which order rules are listed is not seen in what is said of them.
#[test]
fn broken_rules_are_told_by_name() {
    let rule = |name: &str, kind: &str, more: &str| {
        format!(r#"{{"name": "{name}", "kind": "{kind}", "vms": ["a", "b"]{more}}}"#)
    };
    let rules = [rule("x", "separate", ""), rule("m", "exclude", r#", "nodes": ["one"]"#), rule("q", "separate", "")];
    let orders = [[0, 1, 2], [2, 1, 0], [1, 2, 0]].map(|order| order.map(|at| rules[at].clone()).join(","));
    for list in &orders {
        let vms = [vm("a", 1, "one"), vm("b", 1, "")].join(",");
        let mut guard = guard(&nodes(&[("one", 9), ("two", 9)]), &vms, &format!(r#", "rules": [{list}]"#));
        let decision = ask(&mut guard, r#"{"op": "start", "vm": "b", "on": "one"}"#);
        let told: Vec<&str> =
            decision.violations().iter().filter_map(|found| found.message.split('\'').nth(1)).collect();
        assert_eq!(told, ["m", "q", "x"]);
    }
}

/// Cancelled in the middle, facts are not taken in and decisions made before are still good; a guard serves on.
#[test]
fn what_is_cancelled_changes_nothing() {
    let pair = r#", "rules": [{"name": "spread", "kind": "spread", "min_domains": 2, "vms": ["b", "c"]}]"#;
    let vms = [vm("a", 4, "n1"), vm("b", 4, "n2"), vm("c", 4, "n3"), vm("d", 4, "")].join(",");
    let mut judge = guard(&nodes(&[("n1", 16), ("n2", 16), ("n3", 16)]), &vms, pair);
    let cancelled = Control::new();
    cancelled.cancel();
    assert_eq!(judge.items_controlled(&cancelled).unwrap_err(), GuardError::Cancelled);
    judge.items().unwrap();
    let decision = ask(&mut judge, r#"{"op": "start", "vm": "d"}"#);
    assert!(decision.is_admitted());
    let before = (judge.cluster().state(), judge.items().unwrap().to_vec());
    // Edits of nodes, a VM that a rule ties, one that a rule will tie, several, another policy.
    let facts = [
        r#"{"op": "set_state", "node": "n1", "state": "failed"}"#,
        r#"{"op": "stop", "vm": "b"}"#,
        r#"[{"op": "stop", "vm": "b"}, {"op": "stop", "vm": "c"}]"#,
        r#"[{"op": "stop", "vm": "b"}, {"op": "set_state", "node": "n2", "state": "maintenance"}]"#,
        r#"{"op": "remove_vm", "vm": "c"}"#,
        r#"{"op": "set_policy", "policy": {"tolerate": [{"fail": {"node": 2}}]}}"#,
    ];
    for fact in facts {
        let changes = read_changes(judge.cluster(), judge.policy(), fact).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(judge.observe_controlled(&changes, &cancelled).unwrap_err(), GuardError::Cancelled, "{fact}");
        judge.cluster().check_invariants().unwrap();
        assert!(judge.items_controlled(&cancelled).is_ok(), "what was known is known still: {fact}");
        assert_eq!(before, (judge.cluster().state(), judge.items().unwrap().to_vec()), "{fact}");
        assert_eq!(judge.policy().tolerate, [FailureClass::nodes(1)], "{fact}");
    }
    // A request is judged on a copy; what no verdict is needed for is judged all the same.
    let changes = read_changes(judge.cluster(), judge.policy(), facts[1]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(judge.admit_controlled(&changes, &cancelled).unwrap_err(), GuardError::Cancelled);
    let class = judge.policy().tolerate[0].clone();
    assert!(judge.certificate_controlled(&class, &Control::new()).unwrap().is_some());
    judge.apply(decision).unwrap();
    // With a flag that is not set all is as without one.
    let mut other = judge.clone();
    for fact in facts {
        let changes = read_changes(judge.cluster(), judge.policy(), fact).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(judge.admit(&changes), other.admit_controlled(&changes, &Control::new()), "{fact}");
    }
    for fact in &facts[..4] {
        let changes = read_changes(judge.cluster(), judge.policy(), fact).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(judge.observe(&changes), other.observe_controlled(&changes, &Control::new()), "{fact}");
    }
    assert_eq!(judge.cluster().state(), other.cluster().state());
}

/// A guard over nodes `a` and `b` of 10 CPUs and 10 GiB each.
fn two_kinds(vms: &str) -> Guard {
    let text = format!(
        r#"{{"format": "lifeboat/1", "resources": [{{"name": "cpu"}}, {{"name": "memory"}}],
            "nodes": [{{"name": "a", "capacity": {{"cpu": 10, "memory": 10}}}},
                      {{"name": "b", "capacity": {{"cpu": 10, "memory": 10}}}}], "vms": [{vms}]}}"#
    );
    let (cluster, policy) = Document::from_json(&text).unwrap_or_else(|errors| panic!("{errors}")).into_parts();
    Guard::new(cluster, policy)
}

/// A resize that speaks of memory alone leaves the CPUs as they are.
#[test]
fn a_resize_changes_the_kinds_that_it_states() {
    let mut guard = two_kinds(
        r#"{"name": "v", "demand": {"cpu": 6, "memory": 4}, "node": "a"},
           {"name": "w", "demand": {"cpu": 4, "memory": 4}, "node": "b"}"#,
    );
    let decision = ask(&mut guard, r#"{"op": "resize", "vm": "v", "demand": {"memory": 5}}"#);
    guard.apply(decision).unwrap();
    let id = guard.cluster().vm_id("v").unwrap();
    assert_eq!(guard.cluster().vm(id).unwrap().demand(), [6, 5]);
    let more = r#"{"op": "add_vm", "vm": {"name": "x", "demand": {"cpu": 6, "memory": 1}, "power": "on"}}"#;
    assert_eq!(codes(&ask(&mut guard, more)), ["tolerate"]);
}

/// A restart demand that is stated for one kind follows the demand in the others, whenever that changes.
#[test]
fn restart_demands_follow_in_the_kinds_that_they_leave_out() {
    let mut guard = two_kinds(
        r#"{"name": "v", "demand": {"cpu": 2, "memory": 4}, "restart_demand": {"cpu": 3}, "node": "a"},
           {"name": "w", "demand": {"cpu": 2, "memory": 2}, "node": "b"}"#,
    );
    let id = guard.cluster().vm_id("v").unwrap();
    assert_eq!(guard.cluster().vm(id).unwrap().restart_demand(), [3, 4]);
    // After the loss of `a` it would need 9 of the 8 that are free on `b`.
    let line = r#"{"op": "resize", "vm": "v", "demand": {"cpu": 2, "memory": 9}}"#;
    assert_eq!(codes(&ask(&mut guard, line)), ["tolerate"]);
    tell(&mut guard, line);
    assert_eq!(guard.cluster().vm(id).unwrap().restart_demand(), [3, 9]);
    let out = lifeboat::document::to_json(guard.cluster(), guard.policy());
    assert!(out.contains(r#""restart_demand":{"cpu":3}"#), "{out}");
    let (again, _) = Document::from_json(&out).unwrap().into_parts();
    assert_eq!(again.fingerprint(), guard.cluster().fingerprint());
}

/// While a VM moves it holds its demand on both nodes, whatever it is resized to.
#[test]
fn a_moving_vm_is_resized_on_both_nodes() {
    let moving = r#"{"name": "v", "demand": {"memory": 3}, "node": "a", "migrating_to": "b"}"#.to_string();
    let mut guard = guard(&nodes(&[("a", 10), ("b", 10)]), &[moving, vm("w", 5, "b")].join(","), NOTHING);
    assert_eq!(codes(&ask(&mut guard, r#"{"op": "resize", "vm": "v", "demand": {"memory": 6}}"#)), ["insufficient"]);
    assert!(ask(&mut guard, r#"{"op": "resize", "vm": "v", "demand": {"memory": 5}}"#).is_admitted());
}

/// A policy that promises nothing.
const NOTHING: &str = r#", "policy": {"tolerate": []}"#;

/// Only what runs can be moved while it runs.
#[test]
fn what_does_not_run_is_not_moved_live() {
    for state in ["failed", "maintenance", "unreachable"] {
        let hosts = format!(r#"{{"name": "a", "capacity": {{"memory": 10}}, "state": "{state}"}}, {}"#, node("b", 10));
        let mut guard = guard(&hosts, &vm("v", 4, "a"), NOTHING);
        for line in [r#"{"op": "migrate", "vm": "v", "to": "b"}"#, r#"{"op": "migrate", "vm": "v"}"#] {
            assert_eq!(codes(&ask(&mut guard, line)), ["bad_migration"], "{state} {line}");
        }
    }
}

/// Of a transaction only the end is judged: the order in which it is written changes no answer.
#[test]
fn the_order_within_a_transaction_does_not_matter() {
    let stop = r#"{"op": "stop", "vm": "w"}"#;
    let down = r#"{"op": "set_state", "node": "a", "state": "maintenance"}"#;
    let up = r#"{"op": "set_state", "node": "b", "state": "online"}"#;
    let start = r#"{"op": "start", "vm": "v"}"#;
    let hosts = format!(r#"{}, {{"name": "b", "capacity": {{"memory": 4}}, "state": "cordoned"}}"#, node("a", 4));
    for pair in [[start, stop], [start, up], [stop, down]] {
        for line in [format!("[{}, {}]", pair[0], pair[1]), format!("[{}, {}]", pair[1], pair[0])] {
            let mut guard = guard(&hosts, &[vm("w", 4, "a"), vm("v", 4, "")].join(","), NOTHING);
            let decision = ask(&mut guard, &line);
            assert!(decision.is_admitted(), "{line}: {:?}", decision.violations());
            guard.apply(decision).unwrap();
        }
    }
    // What ran there is stopped, not started elsewhere.
    let mut guard = guard(&nodes(&[("a", 4), ("b", 4)]), &vm("w", 4, "a"), NOTHING);
    let line = format!(r#"[{down}, {{"op": "start", "vm": "w", "on": "b"}}]"#);
    assert_eq!(codes(&ask(&mut guard, &line)), ["not_empty"]);
}

/// A rule stands against putting members where they should not be. A node that comes, one that comes back and a
/// VM that stops put nobody anywhere: what that breaks is said.
#[test]
fn rules_bar_only_what_puts_members_somewhere() {
    let host = |name: &str, rack: &str, state: &str| {
        format!(
            r#"{{"name": "{name}", "capacity": {{"memory": 8}}, "domain": {{"rack": "{rack}"}}, "state": "{state}"}}"#
        )
    };
    let hosts = [host("a", "r0", "online"), host("b", "r0", "online"), host("c", "r1", "maintenance")].join(",");
    let even = r#", "policy": {"tolerate": []}, "rules": [{"name": "even", "kind": "spread", "vms": ["v", "w", "x"],
        "level": "rack", "max_skew": 1}]"#;
    let vms = [vm("v", 1, "a"), vm("w", 1, "b"), vm("x", 1, "")].join(",");
    let mut judge = guard(&hosts, &vms, even);
    for line in [
        r#"{"op": "set_state", "node": "c", "state": "online"}"#.to_string(),
        format!(r#"{{"op": "add_node", "node": {}}}"#, host("d", "r2", "online")),
    ] {
        let decision = ask(&mut judge, &line);
        assert!(decision.is_admitted(), "{line}: {:?}", decision.violations());
        assert_eq!(notes(&decision), [("rule", false)]);
    }
    tell(&mut judge, r#"{"op": "set_state", "node": "c", "state": "online"}"#);
    assert_eq!(codes(&ask(&mut judge, r#"{"op": "start", "vm": "x", "on": "a"}"#)), ["rule"]);
    assert!(ask(&mut judge, r#"{"op": "start", "vm": "x", "on": "c"}"#).is_admitted());
    // A rule that is described anew is as a new one: it is said, and bars nothing.
    let narrow =
        r#"{"op": "update_rule", "rule": {"name": "even", "kind": "separate", "vms": ["v", "w"], "level": "rack"}}"#;
    let decision = ask(&mut judge, narrow);
    assert!(decision.is_admitted(), "{:?}", decision.violations());
    assert_eq!(notes(&decision), [("rule", false)]);
    // But it bars what comes with it.
    let line = format!(r#"[{narrow}, {{"op": "start", "vm": "x", "on": "c"}}]"#).replace(r#""w"]"#, r#""w", "x"]"#);
    assert!(ask(&mut judge, &line).is_admitted());
    assert_eq!(codes(&ask(&mut judge, &line.replace(r#""c""#, r#""a""#))), ["rule"]);
}

/// Of nodes that are only short of room the one that is least so is named, with numbers; a VM to be added has its name.
#[test]
fn no_node_says_what_is_missing() {
    let mut guard = guard(&nodes(&[("one", 4), ("two", 6)]), &vm("a", 1, "two"), NOTHING);
    let decision = ask(&mut guard, r#"{"op": "add_vm", "vm": {"name": "x", "demand": {"memory": 8}, "power": "on"}}"#);
    let told = &decision.violations()[0];
    let expected =
        "no node can take VM 'x': 2 short of room (closest is 'two', short of memory: needs 8 GiB, free 5 GiB)";
    assert_eq!((told.kind.code(), &*told.message), ("no_node", expected));
}

/// What follows in a transaction is in view where a node is open, and drops nothing.
#[test]
fn operations_after_an_open_start_are_neither_lost_nor_misread() {
    let vms = [vm("v", 2, ""), vm("w", 2, "a")].join(",");
    let mut judge = guard(&nodes(&[("a", 4), ("b", 4)]), &vms, NOTHING);
    // The VM that looks for a node is removed later: all is carried out all the same.
    let line = r#"[{"op": "start", "vm": "v"}, {"op": "remove_vm", "vm": "v"}, {"op": "stop", "vm": "w"}]"#;
    let decision = ask(&mut judge, line);
    assert_eq!((decision.is_admitted(), decision.changes().len()), (true, 3));
    judge.apply(decision).unwrap();
    assert_eq!(judge.cluster().vm_count(), 1);
    // A node that comes later is not there yet.
    let mut judge = guard(&nodes(&[("a", 4), ("b", 4)]), &vms, NOTHING);
    let new = r#"{"op": "add_node", "node": {"name": "c", "capacity": {"memory": 8}}}"#;
    let decision = ask(&mut judge, &format!(r#"[{{"op": "start", "vm": "v"}}, {new}]"#));
    assert_eq!((decision.is_admitted(), &*decision.placed()[0].node_name), (true, "b"));
    // One that is stopped and started elsewhere is not on the node that goes down.
    let line = r#"[{"op": "set_state", "node": "a", "state": "maintenance"}, {"op": "stop", "vm": "w"},
        {"op": "start", "vm": "w", "on": "b"}]"#;
    let decision = ask(&mut judge, line);
    assert!(decision.is_admitted(), "{:?}", decision.violations());
}

/// A move that cures a rule that comes with it is no move that breaks it.
#[test]
fn a_rule_may_come_with_the_move_that_keeps_it() {
    let mut judge = guard(&nodes(&[("a", 8), ("b", 8)]), &[vm("v", 2, "a"), vm("w", 2, "a")].join(","), NOTHING);
    let rule = r#"{"op": "add_rule", "rule": {"name": "apart", "kind": "separate", "vms": ["v", "w"]}}"#;
    let decision = ask(&mut judge, &format!(r#"[{rule}, {{"op": "migrate", "vm": "v", "to": "b"}}]"#));
    assert!(decision.is_admitted(), "{:?}", decision.violations());
    assert_eq!(notes(&decision), [("rule", false)]);
}

/// A restart demand that is set in a program is one of every kind, also of a VM that was read with one of some.
#[test]
fn a_restart_demand_set_by_a_program_speaks_of_every_kind() {
    let guard = two_kinds(r#"{"name": "v", "demand": {"cpu": 2, "memory": 4}, "restart_demand": {"cpu": 3}}"#);
    let (mut cluster, id) = (guard.cluster().clone(), guard.cluster().vm_id("v").unwrap());
    let vm = cluster.vm(id).unwrap().to_vm().restart_demand([3, 8]);
    cluster.update_vm(id, vm).unwrap();
    assert_eq!(cluster.vm(id).unwrap().restart_demand(), [3, 8]);
}
