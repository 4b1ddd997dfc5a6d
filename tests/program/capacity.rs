//! What `capacity` and `compare` say, and where verdicts leave VMs out.
//!
//! Uses the program as `program` runs it.

use super::{Value, json, run_with_input};

/// With `uncoverable: warn` losses that hold for some of the VMs only are not said to hold for all.
#[test]
fn capacity_tells_what_losses_it_leaves_out() {
    let document = |policy: Value, rules: Value, vms: Value| {
        let nodes = json!([{"name": "one", "capacity": {"m": 8}}, {"name": "two", "capacity": {"m": 8}}]);
        json!({"format": "lifeboat/1", "resources": [{"name": "m"}], "nodes": nodes, "vms": vms, "rules": rules,
            "policy": policy})
        .to_string()
    };
    let both =
        json!([{"name": "db", "demand": {"m": 4}, "node": "one"}, {"name": "web", "demand": {"m": 2}, "node": "two"}]);
    let warned = document(json!({"uncoverable": "warn"}), json!([]), both.clone());
    let found = run_with_input(&["capacity", "-", "--json"], &warned).json();
    assert_eq!(found["max_tolerable"]["node"], json!([2, 2]));
    assert_eq!(found["max_tolerable_uncovered"]["node"], json!([2, 2]));
    let text = run_with_input(&["capacity", "-"], &warned).out;
    assert!(text.contains("  node: 2, but for 2 VMs that no node could take\n"), "{text}");
    let strict = document(json!({}), json!([]), both);
    let found = run_with_input(&["capacity", "-", "--json"], &strict).json();
    assert_eq!(found["max_tolerable"]["node"], json!([1, 1]));
    assert!(found.get("max_tolerable_uncovered").is_none());
    // One loss is left open; that of both nodes at once settles it only for VMs that it does not set aside.
    let open = document(
        json!({"preemption": "best_effort", "uncoverable": "warn", "tolerate": [{"fail": {"node": 1}}]}),
        json!([{"name": "apart", "kind": "spread", "vms": ["v5", "v3", "v2"], "min_domains": 2}]),
        json!([{"name": "v2", "demand": {"m": 0}, "node": "two"}, {"name": "v5", "demand": {"m": 0}, "node": "one"},
            {"name": "v3", "demand": {"m": 0}, "node": "one", "restart": "best_effort"}]),
    );
    assert_eq!(run_with_input(&["verify", "-", "--json"], &open).json()["verdict"], "undecided");
    let found = run_with_input(&["capacity", "-", "--json"], &open);
    assert_eq!(found.status, 0);
    assert_eq!(found.json()["max_tolerable"]["node"], json!([0, 2]));
    assert_eq!(found.json()["max_tolerable_uncovered"]["node"], json!([0, 2]));
}

/// Where only VMs that nothing could take make a verdict fail, its words say so.
#[test]
fn a_verdict_that_fails_by_uncoverable_vms_alone_says_so() {
    let document = |local: usize, losses: u32, vms: Value| {
        let nodes: Vec<Value> = ["a", "b", "c"]
            .into_iter()
            .map(|name| json!({"name": name, "capacity": {"memory": 8}, "labels": [format!("disk-{name}")]}))
            .collect();
        let mut all: Vec<Value> = vms.as_array().unwrap().clone();
        all.extend((0..local).map(
            |at| json!({"name": format!("local-{at}"), "demand": {"memory": 1}, "node": "a", "requires": ["disk-a"]}),
        ));
        json!({"format": "lifeboat/1", "resources": [{"name": "memory"}], "nodes": nodes, "vms": all,
            "policy": {"tolerate": [{"fail": {"node": losses}}]}})
        .to_string()
    };
    let said = |document: &str| {
        let (compared, verified) = (
            run_with_input(&["compare", "-", "--json"], document),
            run_with_input(&["verify", "-", "--json"], document).json(),
        );
        let message = compared.json()["message"].clone();
        assert_eq!(message, verified["classes"][0]["message"]);
        assert_eq!(compared.json()["verdict"], verified["verdict"]);
        (compared.json()["verdict"].as_str().unwrap().to_string(), message.as_str().unwrap().to_string())
    };
    let web = json!([{"name": "web", "demand": {"memory": 2}, "node": "b"}]);
    let survived = "any loss of 1 node is survived, at once or one after another";
    for (local, leaves) in
        [(1, "1 VM without a node that could take it"), (2, "2 VMs without a node that could take them")]
    {
        let words = format!("some loss of 1 node leaves {leaves}; for all others {survived}");
        assert_eq!(said(&document(local, 1, web.clone())), ("fails".to_string(), words));
    }
    assert_eq!(said(&document(0, 1, web.clone())), ("holds".to_string(), survived.to_string()));
    let nothing = "with nothing lost every protected VM has a place";
    assert_eq!(said(&document(2, 0, web)), ("holds".to_string(), nothing.to_string()));
    let huge = json!([{"name": "huge", "demand": {"memory": 9}, "power": "on"}]);
    let words = "1 VM has no node that could take it; with nothing lost every other protected VM has a place";
    assert_eq!(said(&document(1, 0, huge)), ("fails".to_string(), words.to_string()));
}

/// The largest VM is told to the unit, however large the shape is that says the proportion.
#[test]
fn capacity_tells_the_largest_vm_to_the_unit() {
    let tiny = json!({"format": "lifeboat/1", "resources": [{"name": "memory", "unit": "MiB"}],
        "nodes": [{"name": "one", "capacity": {"memory": 65536}}, {"name": "two", "capacity": {"memory": 65536}}],
        "vms": [{"name": "db", "demand": {"memory": 32768}, "node": "one", "priority": "high"},
            {"name": "web", "demand": {"memory": 16384}, "node": "two"}]})
    .to_string();
    for shape in [&[][..], &["--shape", "memory=3"], &["--shape", "memory=1000000"]] {
        let args: Vec<&str> = ["capacity", "-"].into_iter().chain(shape.iter().copied()).collect();
        let text = run_with_input(&args, &tiny).out;
        assert!(text.contains("the largest single one in this proportion: memory 16 GiB (on "), "{text}");
        let args: Vec<&str> = args.into_iter().chain(["--json"]).collect();
        let found = run_with_input(&args, &tiny).json();
        assert_eq!(found["largest_vm"]["most"], json!({"memory": 16384}));
        assert_eq!(found["largest_vm"]["least"]["demand"], json!({"memory": 16384}));
    }
    let nodes = json!([{"name": "a", "capacity": {"cpu": 8}}, {"name": "b", "capacity": {"cpu": 8}}]);
    let small = json!({"format": "lifeboat/1", "resources": [{"name": "cpu"}], "nodes": nodes}).to_string();
    let text = run_with_input(&["capacity", "-", "--shape", "cpu=10000"], &small).out;
    assert!(text.contains("the largest single one in this proportion: cpu 8 (on "), "{text}");
}

/// What needs nothing has no size to ask about: the rest is said, and why that is not.
#[test]
fn capacity_of_vms_that_need_nothing_says_the_rest() {
    let text = |vms: Value, per_vm: u64| {
        json!({"format": "lifeboat/1", "resources": [{"name": "m", "per_vm": per_vm}], "vms": vms,
            "nodes": [{"name": "one", "capacity": {"m": 8}}, {"name": "two", "capacity": {"m": 8}}]})
        .to_string()
    };
    let idle = json!([{"name": "idle", "demand": {"m": 0}, "node": "one"}]);
    for (vms, code, said) in
        [(json!([]), "none_on", "no VM is on"), (idle.clone(), "nothing_needed", "the VMs that are on need nothing")]
    {
        let document = text(vms, 0);
        let found = run_with_input(&["capacity", "-", "--json"], &document);
        assert_eq!(found.status, 0, "{}", found.err);
        let found = found.json();
        assert!(found["max_tolerable"]["node"].is_array() && found["headroom"].is_null(), "{found}");
        assert_eq!(found["headroom_missing"]["code"], code);
        let printed = run_with_input(&["capacity", "-"], &document);
        assert!(printed.out.contains("  node: ") && printed.out.contains(said), "{}", printed.out);
    }
    let asked = run_with_input(&["capacity", "-", "--shape", "m=0"], &text(idle.clone(), 0));
    assert_eq!(asked.status, 2);
    assert!(asked.err.contains("--shape: a VM that needs nothing"), "{}", asked.err);
    // What a kind adds to every VM is a size, though one without a proportion.
    let found = run_with_input(&["capacity", "-", "--json"], &text(idle, 1)).json();
    assert_eq!(found["headroom"], json!([7, 7]));
    assert!(found.get("largest_vm").is_none());
}
