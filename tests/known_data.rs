//! Known answers of real instances, where `../shared/data` is present: placements that their authors call feasible
//! pass the checker, those they call infeasible are refused for the reason they give.
//!
//! Uses the test kit and the checker. Says loudly what is skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]

use lifeboat::{Cluster, Failure, NodeId, Place, PlanFault, RuleKind, Strength, VmId, check_placements};
use lifeboat_testkit::data::{self, Reading};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Takes VMs off their nodes and says where the moves put them.
fn moved(cluster: &mut Cluster, moves: &Value) -> Vec<(VmId, NodeId)> {
    let moves = moves.as_object().expect("moves");
    let placements: Vec<(VmId, NodeId)> = moves
        .iter()
        .map(|(vm, node)| {
            let node = node.as_str().and_then(|node| cluster.node_id(node));
            (cluster.vm_id(vm).expect("a VM"), node.expect("a node"))
        })
        .collect();
    for (vm, _) in &placements {
        cluster.move_vm(*vm, None).expect("a VM that runs");
    }
    placements
}

fn codes(result: Result<(), Vec<PlanFault>>) -> BTreeSet<&'static str> {
    result.err().unwrap_or_default().iter().map(PlanFault::code).collect()
}

#[test]
fn roadef_alternatives() {
    let (mut refused, mut skipped) = (0, BTreeMap::<String, usize>::new());
    let files: Vec<String> = data::files().into_iter().filter(|file| file.starts_with("roadef2012/")).collect();
    for file in &files {
        for instance in data::instances(file) {
            let converted = instance.read(Reading::default());
            for (what, count) in &converted.skipped {
                *skipped.entry(format!("{what} (a rule that a cluster cannot say)")).or_default() += count;
            }
            let good = &instance.known["verified_feasible_alternative"]["moves"];
            let mut cluster = converted.cluster.clone();
            let placements = moved(&mut cluster, good);
            assert!(!placements.is_empty());
            assert_eq!(check_placements(&cluster, &Failure::none(), &placements, &[]), Ok(()), "{file}");

            for bad in instance.known["verified_infeasible_alternatives"].as_array().expect("alternatives") {
                let mut cluster = converted.cluster.clone();
                let placements = moved(&mut cluster, &bad["moves"]);
                let found = codes(check_placements(&cluster, &Failure::none(), &placements, &[]));
                let mut expected = BTreeSet::new();
                for violated in bad["violated"].as_array().expect("what is violated") {
                    match violated.as_str().expect("a name") {
                        "capacity" => expected.insert("capacity"),
                        "conflict" => expected.insert("separate"),
                        "spread" => expected.insert("spread_domains"),
                        other => {
                            *skipped.entry(format!("{other} (violated by an alternative)")).or_default() += 1;
                            false
                        }
                    };
                }
                assert_eq!(found, expected, "{file}: {bad}");
                refused += usize::from(!expected.is_empty());
            }
        }
    }
    println!("{} instances, {refused} infeasible alternatives refused, not said: {skipped:?}", files.len());
    assert!(files.is_empty() || refused >= 15);
}

/// What every instance starts from: rules hold where VMs are, and nodes hold what they can, but for those said to be
/// over-full.
#[test]
fn initial_placements_break_no_rule() {
    let (mut clusters, mut placed, mut over) = (0, 0, 0);
    let mut broken = Vec::new();
    let mut skipped = BTreeMap::<String, usize>::new();
    for file in data::files() {
        for instance in data::instances(&file) {
            let converted = instance.read(Reading::default());
            for (what, count) in converted.skipped {
                *skipped.entry(what).or_default() += count;
            }
            let mut cluster = converted.cluster;
            // A node that is down keeps nothing: its VMs wait for a place and are no part of the question.
            let accepting = |node: NodeId| cluster.node(node).expect("a node").state().accepts();
            let homes: Vec<(VmId, NodeId)> = cluster
                .vms()
                .filter(|vm| vm.is_on() && vm.restart() != lifeboat::RestartClass::Never)
                .filter_map(|vm| vm.node().filter(|node| accepting(*node)).map(|node| (vm.id(), node)))
                .collect();
            for (vm, _) in &homes {
                cluster.move_vm(*vm, None).expect("a VM that runs");
            }
            let faults = check_placements(&cluster, &Failure::none(), &homes, &[]).err().unwrap_or_default();
            let full = |fault: &PlanFault| match fault {
                PlanFault::Capacity { node, kind, load, .. } => Some((node.clone(), kind.clone(), *load)),
                _ => None,
            };
            let (over_full, other): (Vec<_>, Vec<_>) = faults.into_iter().partition(|fault| full(fault).is_some());
            // Some scenarios of Proxmox and Pacemaker begin with broken rules or too full, to see that mended.
            if file.starts_with("ha_products/") {
                if !other.is_empty() || !over_full.is_empty() {
                    broken.push(instance.name.clone());
                }
                continue;
            }
            assert_eq!(other, [], "{file}: {}", instance.name);
            let over_full: BTreeSet<(String, String, u128)> = over_full.iter().filter_map(full).collect();
            let known = instance.known["initial_over_capacity"].as_array().into_iter().flatten();
            let known: BTreeSet<(String, String, u128)> = known
                .map(|entry| {
                    let text = |field: &str| entry[field].as_str().expect("a name").to_string();
                    (text("host"), text("resource"), u128::from(entry["used"].as_u64().expect("an amount")))
                })
                .collect();
            assert_eq!(over_full, known, "{file}: {}", instance.name);
            over += known.len();
            clusters += 1;
            placed += homes.len();
        }
    }
    println!(
        "{clusters} instances, {placed} VMs where they are, {over} amounts over-full as known, not said: {skipped:?}"
    );
    println!("scenarios that begin with broken rules or too full: {broken:?}");
    assert!(broken.len() <= 5, "{broken:?}");
}

/// The recoveries that Proxmox's authors expect break no hard rule of theirs.
#[test]
fn expected_recoveries_are_legal() {
    let (mut checked, mut skipped) = (0, 0);
    for instance in data::instances("ha_products/pve_ha_scenarios.jsonl") {
        let mut cluster = instance.read(Reading::default()).cluster;
        for recovery in instance.known["expected_recoveries"].as_array().into_iter().flatten() {
            let id = |field: &str| recovery[field].as_str().expect("a name");
            let (vm, from) = (cluster.vm_id(id("vm")).expect("a VM"), cluster.node_id(id("from")).expect("a node"));
            let to = cluster.node_id(id("to")).expect("a node");
            if cluster.vm(vm).expect("a VM").node() != Some(from) {
                skipped += 1;
                continue;
            }
            // One after the other: the rest of the failed node's VMs waits.
            let result = check_placements(&cluster, &Failure::of([from]), &[(vm, to)], &[]);
            assert_eq!(result, Ok(()), "{}: {recovery}", instance.name);
            cluster.move_vm(vm, Some(to)).expect("a VM");
            checked += 1;
        }
    }
    println!("{checked} recoveries are legal; {skipped} skipped: their VM was moved by hand before");
}

/// What the conversion says on small inputs, by hand.
#[test]
fn conversion_by_hand() {
    let text = r#"{"name": "t", "fault_domain_levels": ["rack", "host"], "units": {"cpu": "cores"},
        "nodes": [{"name": "a", "capacity": {"cpu": 1.5, "mem_mib": 10}, "fault_domain": ["r1", "a"], "status": "offline"},
                  {"name": "b", "capacity": {}, "fault_domain": [null, "b"]},
                  {"name": "c", "capacity": {"cpu": 2}, "fault_domain": ["r2", "c"]}],
        "vms": [{"name": "v", "demand": {"cpu": 0.25, "mem_mib": 4}, "host": "b", "priority": -3},
                {"name": "w", "demand": {"cpu": 1}, "host": null, "priority": null, "restart": false},
                {"name": "x", "demand": {"cpu": 1}, "host": "c", "power": "off"}],
        "rules": [{"type": "anti_affinity", "vms": ["v", "w"], "scope": "rack"},
                  {"type": "affinity", "vms": ["v", "w"], "hard": false},
                  {"type": "allowed_hosts", "vms": ["v"], "hosts": ["b", "zz"]},
                  {"type": "affinity", "vms": ["v", "unknown"]},
                  {"type": "depends", "service": "s"}]}"#;
    let instance: data::Instance = serde_json::from_str(text).expect("an instance");
    let converted = instance.read(Reading::default());
    let cluster = &converted.cluster;
    let skipped: Vec<(&str, usize)> = converted.skipped.iter().map(|(what, count)| (what.as_str(), *count)).collect();
    assert_eq!(skipped, [("depends", 1), ("rule names an unknown VM", 1)]);
    let node = |name: &str| cluster.node(cluster.node_id(name).expect("a node")).expect("a node");
    let vm = |name: &str| cluster.vm(cluster.vm_id(name).expect("a VM")).expect("a VM");
    assert_eq!(cluster.kinds().iter().map(|kind| kind.name.as_str()).collect::<Vec<_>>(), ["cpu", "mem_mib"]);
    assert_eq!(node("a").capacity(), [6, 10], "quarters");
    assert_eq!(node("b").capacity(), [9, 4], "unlimited: all that there is");
    assert_eq!(node("c").capacity(), [8, 0]);
    assert_eq!(node("a").state(), lifeboat::NodeState::Failed);
    assert_eq!((node("a").domain("rack"), node("b").domain("rack")), (Some("r1"), None));
    assert_eq!(vm("v").demand(), [1, 4]);
    assert_eq!((vm("v").priority(), vm("w").priority()), (lifeboat::Priority(0), lifeboat::Priority::MEDIUM));
    assert_eq!(vm("w").restart(), lifeboat::RestartClass::Never);
    assert!(vm("w").is_displaced() && !vm("x").is_on() && !vm("v").is_displaced());
    let rule = |name: &str| cluster.rule(cluster.rule_id(name).expect("a rule")).expect("a rule");
    assert_eq!(rule("r0-separate").kind(), RuleKind::Separate { level: "rack".into(), max_per_domain: 1 });
    assert_eq!(rule("r1-together").strength(), Strength::Preferred { weight: 1 });
    let b = cluster.node_id("b").expect("a node");
    assert_eq!(rule("r2-confine").kind(), RuleKind::Confine(Place { nodes: vec![b], ..Place::default() }));
    let memory = instance.read(Reading { memory_only: true, drop_nodes: 2 }).cluster;
    assert_eq!((memory.node_count(), memory.kinds().len()), (1, 1));
    assert!(memory.vm(memory.vm_id("v").expect("a VM")).expect("a VM").is_displaced());
}
