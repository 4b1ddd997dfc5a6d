//! Reading and writing documents: every default, round trips, warnings, single objects, limits.

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
#![cfg(feature = "json")]

use lifeboat::document::{DocumentErrors, LoadOptions, Objects, to_json, to_json_pretty};
use lifeboat::policy::{FailureClass, Mode, Percent, Policy, Preemption, Reserve, TierGate, Uncoverable};
use lifeboat::{
    Cluster, Document, NodeState, OnTimeout, Power, Priority, RestartClass, Role, RuleKind, Strength, Until,
};
use proptest::prelude::*;
use serde_json::json;

const EXAMPLE: &str = include_str!("document/example.json");

fn load(text: &str) -> Document {
    Document::from_json(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn errors(text: &str) -> DocumentErrors {
    Document::from_json(text).unwrap_err()
}

/// A document with these nodes, VMs, rules and policy, as JSON.
fn document(rest: &str) -> String {
    format!(
        r#"{{"format":"lifeboat/1","resources":[{{"name":"cpu","unit":"MHz"}},{{"name":"memory","unit":"MiB","per_vm":64}}],
            "levels":["site","rack"],{rest}}}"#
    )
}

const TWO_NODES: &str = r#""nodes":[{"name":"n1","capacity":{"cpu":1000,"memory":8000}},{"name":"n2","capacity":{"cpu":1000,"memory":8000}}]"#;

fn with_vms(vms: &str) -> Document {
    load(&document(&format!(r#"{TWO_NODES},"vms":[{vms}]"#)))
}

fn same(left: &Cluster, right: &Cluster) {
    assert_eq!(left.kinds(), right.kinds());
    assert!(left.levels().eq(right.levels()));
    for node in left.nodes() {
        let other = right.node(right.node_id(node.name()).unwrap()).unwrap();
        assert_eq!(node.to_node(), other.to_node());
        assert_eq!((node.used(), node.free()), (other.used(), other.free()));
    }
    assert_eq!(
        [left.node_count(), left.vm_count(), left.rule_count()],
        [right.node_count(), right.vm_count(), right.rule_count()]
    );
}

#[test]
fn the_example_loads_and_comes_back() {
    let document = load(EXAMPLE);
    let (cluster, policy) = document.clone().into_parts();
    cluster.check_invariants().unwrap();
    assert_eq!((cluster.node_count(), cluster.vm_count(), cluster.rule_count()), (4, 12, 8));
    let once = to_json(&cluster, &policy);
    let again = load(&once);
    assert!(again.warnings().is_empty(), "{:?}", again.warnings());
    assert_eq!(to_json(again.cluster(), again.policy()), once);
    assert_eq!(again.policy(), &policy);
    same(&cluster, again.cluster());
    let pretty = to_json_pretty(&cluster, &policy);
    assert_eq!(to_json(load(&pretty).cluster(), &policy), once);
    assert_eq!(cluster.name(), Some("north-south"));
    assert!(cluster.annotations().is_some());
}

#[test]
fn a_tree_of_values_loads_like_text() {
    let value: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    let document = Document::from_deserializer(&value, LoadOptions::new()).unwrap();
    assert_eq!(
        to_json(document.cluster(), document.policy()),
        to_json(load(EXAMPLE).cluster(), load(EXAMPLE).policy())
    );
}

#[test]
fn defaults_of_a_document() {
    let document = load(r#"{"format":"lifeboat/1","resources":[{"name":"memory"}],"nodes":[]}"#);
    let (cluster, policy) = document.into_parts();
    assert_eq!((cluster.name(), cluster.annotations()), (None, None));
    assert_eq!(cluster.levels().len(), 0);
    let kind = cluster.kinds().get(0).unwrap();
    assert_eq!((kind.unit.as_str(), kind.per_vm, kind.optional), ("", 0, false));
    assert_eq!((cluster.vm_count(), cluster.rule_count()), (0, 0));
    assert_eq!(policy, Policy::default());
}

#[test]
fn defaults_of_a_node() {
    let document = load(&document(TWO_NODES));
    let node = document.cluster().node(document.cluster().node_id("n1").unwrap()).unwrap();
    assert_eq!((node.role(), node.state(), node.start_limit()), (Role::General, NodeState::Online, None));
    assert_eq!((node.display(), node.annotations()), (None, None));
    assert_eq!(node.reserved(), [0, 0]);
    assert_eq!((node.allocatable(), node.failover_allocatable()), (node.capacity(), node.capacity()));
    assert!(node.labels().is_empty());
    assert_eq!((node.domain("site"), node.domain("rack")), (None, None));
}

#[test]
fn failover_overcommit_is_as_overcommit_where_left_out() {
    let nodes = r#""nodes":[{"name":"n","capacity":{"cpu":1000,"memory":1000},"reserved":{"cpu":1},"overcommit":{"cpu":250}},
        {"name":"m","capacity":{"cpu":1000,"memory":1000},"overcommit":{"cpu":250},"failover_overcommit":{"memory":150}}]"#;
    let document = load(&document(nodes));
    let rows = |name: &str| {
        let node = document.cluster().node(document.cluster().node_id(name).unwrap()).unwrap();
        (node.allocatable().to_vec(), node.failover_allocatable().to_vec())
    };
    assert_eq!(rows("n"), (vec![2497, 1000], vec![2497, 1000]));
    assert_eq!(rows("m"), (vec![2500, 1000], vec![2500, 1500]));
}

#[test]
fn defaults_of_a_vm() {
    let document = with_vms(r#"{"name":"v","demand":{"cpu":10,"memory":100},"node":"n1"},{"name":"idle"}"#);
    let cluster = document.cluster();
    let vm = cluster.vm(cluster.vm_id("v").unwrap()).unwrap();
    assert_eq!((vm.power(), vm.priority(), vm.restart()), (Power::On, Priority::MEDIUM, RestartClass::Protected));
    assert_eq!((vm.demand(), vm.restart_demand(), vm.reservation()), (&[10, 164][..], &[10, 164][..], &[10, 164][..]));
    assert!(vm.is_preemptible() && vm.is_migratable());
    assert_eq!((vm.allowed_nodes(), vm.migrating_to(), vm.start_s(), vm.display()), (None, None, None, None));
    assert!(vm.requires().is_empty() && vm.migrate_requires().is_empty() && vm.groups().is_empty());
    assert_eq!(vm.starts_after().count(), 0);
    let idle = cluster.vm(cluster.vm_id("idle").unwrap()).unwrap();
    assert_eq!((idle.power(), idle.node(), idle.has_demand()), (Power::Off, None, false));
}

#[test]
fn power_is_on_with_a_node_and_off_without() {
    for (fields, on, node) in [
        (r#""node":"n1""#, true, true),
        (r#""node":"n1","power":"off""#, false, true),
        (r#""power":"on""#, true, false),
        (r#""power":null"#, false, false),
        (r#""node":null"#, false, false),
    ] {
        let document = with_vms(&format!(r#"{{"name":"v","demand":{{"cpu":1,"memory":1}},{fields}}}"#));
        let vm = document.cluster().vms().next().unwrap();
        assert_eq!((vm.is_on(), vm.node().is_some()), (on, node), "{fields}");
        let again = load(&to_json(document.cluster(), document.policy()));
        assert_eq!(again.cluster().vms().next().unwrap().to_vm().power, vm.to_vm().power);
    }
}

#[test]
fn kinds_left_out_of_restart_demand_are_as_demand_and_of_reservation_nothing() {
    let document = with_vms(
        r#"{"name":"v","demand":{"cpu":10,"memory":100},"restart_demand":{"memory":50},"reservation":{"memory":20},"node":"n1"}"#,
    );
    let vm = document.cluster().vms().next().unwrap();
    assert_eq!((vm.restart_demand(), vm.reservation()), (&[10, 114][..], &[0, 84][..]));
    let again = load(&to_json(document.cluster(), document.policy()));
    assert_eq!(again.cluster().vms().next().unwrap().to_vm(), vm.to_vm());
}

#[test]
fn priorities_by_name_and_number() {
    for (text, priority) in [
        (r#""lowest""#, 500),
        (r#""low""#, 1000),
        (r#""medium""#, 2000),
        (r#""high""#, 3000),
        (r#""highest""#, 4000),
        ("0", 0),
        ("4294967295", u32::MAX),
        ("null", 2000),
    ] {
        let document = with_vms(&format!(r#"{{"name":"v","priority":{text}}}"#));
        assert_eq!(document.cluster().vms().next().unwrap().priority(), Priority(priority));
        assert!(to_json(document.cluster(), document.policy()).contains(&format!("\"priority\":{priority}")));
    }
}

#[test]
fn the_class_never_is_not_preemptible_unless_said() {
    let document = with_vms(
        r#"{"name":"a","restart":"never"},{"name":"b","restart":"never","preemptible":true},{"name":"c","preemptible":false},{"name":"d","migratable":false}"#,
    );
    let vm = |name: &str| document.cluster().vm(document.cluster().vm_id(name).unwrap()).unwrap();
    assert_eq!(["a", "b", "c", "d"].map(|name| vm(name).is_preemptible()), [false, true, false, true]);
    assert!(!vm("d").is_migratable());
}

#[test]
fn defaults_of_a_start_edge_and_names_further_down() {
    let document = with_vms(r#"{"name":"a","starts_after":[{"vm":"b"}]},{"name":"b"}"#);
    let vm = document.cluster().vm(document.cluster().vm_id("a").unwrap()).unwrap();
    let edge = vm.starts_after().next().unwrap();
    assert_eq!(
        (edge.until, edge.delay_s, edge.timeout_s, edge.on_timeout),
        (Until::Started, 0, None, OnTimeout::Continue)
    );
}

#[test]
fn defaults_of_rules() {
    let rules = r#""vms":[{"name":"a","groups":["g"]},{"name":"b"}],"rules":[
        {"name":"1","kind":"separate","vms":["a","b"]},{"name":"2","kind":"together","vm_groups":["g"]},
        {"name":"3","kind":"spread","vms":["a"],"min_domains":2},{"name":"4","kind":"spread","vms":["a"],"max_skew":1,"strength":"preferred"},
        {"name":"5","kind":"separate","sides":[["a"],["b"]],"strength":"relaxed"},{"name":"6","kind":"confine","vms":[],"nodes":[]},
        {"name":"7","kind":"follow","vms":["a"],"leader":"b"}]"#;
    let text = document(&format!("{TWO_NODES},{rules}"));
    let loaded = load(&text);
    let kind = |name: &str| loaded.cluster().rule(loaded.cluster().rule_id(name).unwrap()).unwrap().kind();
    assert_eq!(kind("1"), RuleKind::Separate { level: "node".into(), max_per_domain: 1 });
    assert_eq!(kind("2"), RuleKind::Together { level: "node".into() });
    assert_eq!(kind("3"), RuleKind::Spread { level: "node".into(), min_domains: 2, max_skew: None });
    assert_eq!(kind("4"), RuleKind::Spread { level: "node".into(), min_domains: 0, max_skew: Some(1) });
    let strengths: Vec<Strength> = loaded.cluster().rules().map(lifeboat::RuleRef::strength).collect();
    assert_eq!(strengths[0], Strength::Required);
    assert_eq!((strengths[3], strengths[4]), (Strength::Preferred { weight: 1 }, Strength::Relaxed));
    let once = to_json(loaded.cluster(), loaded.policy());
    assert_eq!(to_json(load(&once).cluster(), loaded.policy()), once);
}

#[test]
fn policies_in_full() {
    let policy = r#""policy":{"tolerate":[{"fail":{"rack":1,"node":2},"min_priority":"high","mode":"warn","order":"any_order"},{"fail":{"node":1},"order":"at_once"}],
        "reserves":[{"kind":"percentage","percent":{"cpu":25},"floor":{"cpu":32},"mode":"off"},{"kind":"percentage","percent":{"auto":"average"}},
          {"kind":"slots","floor":{"cpu":32},"size":{"memory":10},"cap":{"cpu":5}},{"kind":"spare_nodes"},{"kind":"free","one_node":{"memory":5},"total":{}}],
        "admission":"warn","uncoverable":"warn","maintenance_uses_tolerance":true,"preemption":"lower_priority","strategy":"pack",
        "start":{"tier_gate":"ready"},"strict":true,"budget":{"plan":1}}"#;
    let loaded = load(&document(&format!("{TWO_NODES},{policy}")));
    let policy = loaded.policy();
    let mut class = FailureClass::units("rack", 1);
    class.fail.push(("node".into(), 2));
    class.min_priority = Some(Priority::HIGH);
    class.mode = Some(Mode::Warn);
    class.any_order = true;
    assert_eq!(policy.tolerate, [class, FailureClass::nodes(1)]);
    let kind = |name: &str, amount: u64| vec![(String::from(name), amount)];
    assert_eq!(
        policy.reserves[0],
        Reserve::Percentage {
            percent: Percent::Given(vec![("cpu".into(), 25)]),
            floor: kind("cpu", 32),
            mode: Some(Mode::Off)
        }
    );
    assert_eq!(
        policy.reserves[1],
        Reserve::Percentage { percent: Percent::Auto { largest: false, failures: 1 }, floor: vec![], mode: None }
    );
    assert_eq!(
        policy.reserves[2],
        Reserve::Slots {
            failures: 1,
            floor: kind("cpu", 32),
            size: kind("memory", 10),
            cap: kind("cpu", 5),
            mode: None
        }
    );
    assert_eq!(policy.reserves[3], Reserve::SpareNodes { mode: None });
    assert_eq!(policy.reserves[4], Reserve::Free { total: vec![], one_node: kind("memory", 5), mode: None });
    assert_eq!(
        (policy.admission, policy.uncoverable, policy.preemption),
        (Mode::Warn, Uncoverable::Warn, Preemption::LowerPriority)
    );
    assert_eq!((policy.start.tier_gate, policy.start.tier_timeout_s), (TierGate::Ready, 600));
    assert_eq!((policy.budget.plan, policy.budget.admit, policy.strict), (1, 2_000_000, true));
    assert_eq!(load(&to_json(loaded.cluster(), policy)).policy(), policy);
    let none = load(&document(&format!(r#"{TWO_NODES},"policy":{{"tolerate":[]}}"#)));
    assert!(none.policy().tolerate.is_empty());
}

#[test]
fn kinds_not_stated_are_reported_once_each() {
    let text = document(
        r#""nodes":[{"name":"n1","capacity":{"cpu":1}},{"name":"n2","capacity":{"memory":null,"cpu":1}}],"vms":[{"name":"v","demand":{"cpu":1},"node":"n1"},{"name":"off","demand":{}}]"#,
    );
    let loaded = load(&text);
    let warnings: Vec<String> = loaded.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            r#"resources[1] "memory": not stated by 2 nodes ("n1", "n2") and 1 powered-on VM ("v"): it counts as 0 there (state it, or declare the kind optional)"#
        ]
    );
    let strict = Document::from_json_with(&text, LoadOptions::new().strict(true)).unwrap_err();
    assert!(strict.iter().all(|error| error.code == "kind_not_stated"));
    assert!(load(&to_json(loaded.cluster(), loaded.policy())).warnings().is_empty());
    let optional = text.replace(r#""per_vm":64"#, r#""optional":true"#);
    assert!(load(&optional).warnings().is_empty());
}

#[test]
fn groups_without_vms_and_unknown_labels_are_warnings() {
    let text = document(&format!(
        r#"{TWO_NODES},"vms":[{{"name":"a","groups":["web"],"requires":["sdd"]}}],"rules":[{{"name":"r","kind":"together","vm_groups":["wbe"]}},{{"name":"s","kind":"exclude","vm_groups":["web"],"labels":["old"]}}]"#
    ))
    .replace(r#""name":"n1","#, r#""name":"n1","labels":["ssd"],"#);
    let found: Vec<String> =
        load(&text).warnings().iter().map(|warning| format!("{} {warning}", warning.code)).collect();
    assert_eq!(
        found,
        [
            r#"unknown_label rules[1] "s".labels[0]: no node carries the label "old""#,
            r#"unknown_label vms[0] "a".requires[0]: no node carries the label "sdd", did you mean "ssd"?"#,
            r#"empty_group rules[0] "r".vm_groups[0]: no VM is in the group "wbe", did you mean "web"?"#,
        ]
    );
}

#[test]
fn what_edits_leave_behind_loads_again() {
    let (mut cluster, policy) = load(EXAMPLE).into_parts();
    for name in ["esx-01", "esx-02", "esx-05", "esx-09"] {
        cluster.remove_node(cluster.node_id(name).unwrap()).unwrap();
    }
    for name in ["db-1", "web-1", "web-2", "web-3", "ora-1"] {
        cluster.remove_vm(cluster.vm_id(name).unwrap()).unwrap();
    }
    let once = to_json(&cluster, &policy);
    let again = load(&once);
    assert_eq!(to_json(again.cluster(), again.policy()), once);
    assert_eq!(again.cluster().rule_count(), 8);
}

#[test]
fn a_domain_named_by_a_rule_alone_is_exported() {
    let nodes = r#""nodes":[{"name":"n1","capacity":{"cpu":1,"memory":1},"domain":{"rack":"r1"}},{"name":"n2","capacity":{"cpu":1,"memory":1},"domain":{"rack":"r2"}}]"#;
    let rules = r#""vms":[{"name":"a"}],"rules":[{"name":"r","kind":"exclude","vms":["a"],"domains":{"rack":["r1"]}}]"#;
    let (mut cluster, policy) = load(&document(&format!("{nodes},{rules}"))).into_parts();
    assert!(!to_json(&cluster, &policy).contains("domains\":{\"rack\":[\"r1\",\"r2"));
    cluster.remove_node(cluster.node_id("n1").unwrap()).unwrap();
    let once = to_json(&cluster, &policy);
    assert!(once.contains(r#""domains":{"rack":["r1","r2"]}"#), "{once}");
    assert_eq!(to_json(load(&once).cluster(), &policy), once);
}

#[test]
fn order_in_the_document_changes_nothing() {
    let value: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    let mut turned = value.clone();
    for list in ["nodes", "vms", "rules"] {
        turned[list].as_array_mut().unwrap().reverse();
    }
    // Fields of the document in the opposite order: VMs come before kinds and nodes.
    let fields: Vec<String> =
        turned.as_object().unwrap().iter().rev().map(|(name, field)| format!("{name:?}:{field}")).collect();
    let turned = load(&format!("{{{}}}", fields.join(",")));
    assert_eq!(to_json(turned.cluster(), turned.policy()), to_json(load(EXAMPLE).cluster(), load(EXAMPLE).policy()));
}

#[test]
fn single_objects() {
    let (mut cluster, _) = load(EXAMPLE).into_parts();
    let objects = Objects::of(&cluster);
    let vm = json!({"name":"new","demand":{"cpu":1,"memory":2},"node":"esx-01","starts_after":[{"vm":"dc-1"}],"priority":"low"});
    let vm = objects.vm(&vm).unwrap();
    assert_eq!((vm.name.as_str(), vm.starts_after.len(), vm.priority), ("new", 1, Priority::LOW));
    let node = objects.node(json!({"name":"n","capacity":{"cpu":1,"memory":1},"domain":{"site":"north"}})).unwrap();
    let rule = objects.rule(json!({"name":"r","kind":"together","vms":["dc-1","dc-2"]})).unwrap();
    assert_eq!(objects.policy(json!({})).unwrap(), Policy::default());
    assert_eq!(objects.amounts(json!({"memory":5})).unwrap()[..], [0, 5, 0]);
    let say = |errors: DocumentErrors| errors.to_string();
    assert_eq!(
        say(objects.vm(json!({"name":"x","demand":{"memroy":1},"node":"esx"})).unwrap_err()),
        "vm \"x\".demand.memroy: unknown resource kind, did you mean \"memory\"?\nvm \"x\".node: there is no node \"esx\""
    );
    assert_eq!(
        say(objects.rule(json!({"name":"x","kind":"follow","vms":["dc-1"]})).unwrap_err()),
        "rule \"x\": a rule of kind \"follow\" needs the field \"leader\""
    );
    assert_eq!(say(objects.node(json!(5)).unwrap_err()), "node: expected a node (an object), found a number");
    assert_eq!(
        say(objects.amounts(json!({"cpu":-5})).unwrap_err()),
        "amounts.cpu: the number is negative: expected a whole number from 0 on"
    );
    assert_eq!(
        say(objects.policy(json!({"tolerate":[{"fail":{"row":1}}]})).unwrap_err()),
        "policy.tolerate[0].fail.row: there is no level \"row\""
    );
    assert_eq!(
        say(objects.strict(true).vm(json!({"name":"x","demand":{"cpu":1},"power":"on"})).unwrap_err()),
        "vm \"x\": the resource kind \"memory\" is not stated"
    );
    cluster.add_node(node).unwrap();
    cluster.add_vm(vm).unwrap();
    cluster.add_rule(rule).unwrap();
    cluster.check_invariants().unwrap();
}

#[test]
fn deep_nesting_ends_with_an_error() {
    for depth in [100, 1_000, 1_000_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for text in [
            deep.clone(),
            document(&format!(r#"{TWO_NODES},"annotations":{{"a":{deep}}}"#)),
            document(&format!(r#"{TWO_NODES},"surprise":{deep}"#)),
            document(&format!(r#""nodes":{deep}"#)),
        ] {
            match Document::from_json(&text) {
                Ok(_) => assert_eq!(depth, 100),
                Err(errors) => assert!(errors.len() >= 1),
            }
        }
    }
}

#[test]
fn a_million_empty_vms() {
    let text = document(&format!(r#"{TWO_NODES},"vms":[{}{{}}]"#, "{},".repeat(999_999)));
    let errors = errors(&text);
    assert_eq!(errors.len(), lifeboat::document::MAX_ERRORS + 1);
    assert_eq!(errors.into_vec().pop().unwrap().to_string(), "there are 990000 more errors");
}

#[test]
fn many_unknown_names_end_in_time() {
    let vms: Vec<String> = (0..20_000)
        .map(|vm| {
            format!(
                r#"{{"name":"virtual-{vm}","requires":["x"],"node":"node{}","starts_after":[{{"vm":"virtul-{vm}"}}]}}"#,
                vm % 3
            )
        })
        .collect();
    let text = document(&format!(r#"{TWO_NODES},"vms":[{}]"#, vms.join(",")));
    assert_eq!(errors(&text).len(), lifeboat::document::MAX_ERRORS + 1);
}

#[test]
fn every_beginning_of_a_document_is_refused() {
    for (end, _) in EXAMPLE.trim_end().char_indices() {
        let errors = errors(&EXAMPLE[..end]);
        assert_eq!(errors.into_vec().pop().unwrap().code, "syntax");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes changed, left out, or doubled: never a panic; what loads is whole and comes back.
    #[test]
    fn mutations_never_panic(edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..6)) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        for (at, how, byte) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, b"{}[],:\"0-1en"[usize::from(byte) % 12]),
                _ => {
                    let end = (at + usize::from(byte)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        match Document::from_json(&text) {
            Ok(document) => {
                document.cluster().check_invariants().unwrap();
                let once = to_json(document.cluster(), document.policy());
                prop_assert_eq!(to_json(load(&once).cluster(), document.policy()), once);
            }
            Err(errors) => prop_assert!(errors.iter().all(|error| !error.to_string().is_empty())),
        }
    }
}

#[test]
fn numbers_in_annotations_come_out_as_they_came_in() {
    let numbers = "[6.605577253747694e-243,0.1,-0.0,1e300,5e-324,1.7976931348623157e308,123456789.12345679,-7,18446744073709551615]";
    let text = format!(
        r#"{{"format":"lifeboat/1","annotations":{{"n":{numbers}}},"resources":[{{"name":"cpu"}}],"nodes":[]}}"#
    );
    let once = to_json(load(&text).cluster(), &Policy::default());
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["annotations"]["n"].clone();
    for (from, to) in value(&text).as_array().unwrap().iter().zip(value(&once).as_array().unwrap()) {
        assert_eq!(from.as_f64().map(f64::to_bits), to.as_f64().map(f64::to_bits));
    }
    assert!(once.contains("6.605577253747694e-243"), "{once}");
    assert_eq!(to_json(load(&once).cluster(), &Policy::default()), once);
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let text = format!("\u{feff}{EXAMPLE}");
    same(load(&text).cluster(), load(EXAMPLE).cluster());
}
