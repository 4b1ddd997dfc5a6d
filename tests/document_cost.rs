//! What documents cost that were made to cost much: each is read, and its cluster looked at, in time about in
//! proportion to its length.
//!
//! The limits are a hundred times what the work takes, and a tenth of what its square would.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]
#![cfg(feature = "json")]

use lifeboat::{Document, DocumentErrors};
use std::time::{Duration, Instant};

/// Runs in at most so many seconds.
fn within<T>(seconds: u64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    println!("{took:?}");
    assert!(took < Duration::from_secs(seconds), "{took:?}");
    result
}

fn document(nodes: usize, vms: &[String], rules: &[String]) -> String {
    let nodes: Vec<String> =
        (0..nodes).map(|node| format!(r#"{{"name":"n{node}","capacity":{{"cpu":1000000}}}}"#)).collect();
    format!(
        r#"{{"format":"lifeboat/1","resources":[{{"name":"cpu"}}],"nodes":[{}],"vms":[{}],"rules":[{}]}}"#,
        nodes.join(","),
        vms.join(","),
        rules.join(",")
    )
}

/// A VM on the first node, with these fields besides.
fn vm(number: usize, fields: &str) -> String {
    format!(r#"{{"name":"v{number}","demand":{{"cpu":1}},"node":"n0"{fields}}}"#)
}

fn load(text: &str) -> Document {
    Document::from_json(text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(text: &str) -> DocumentErrors {
    Document::from_json(text).expect_err("has errors")
}

/// VMs that each start after the next.
fn chain(count: usize, fields: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(|number| vm(number, &fields(number))).collect()
}

#[test]
fn many_edges_that_close_a_long_cycle() {
    const LONG: usize = 20_000;
    let next = |number: usize| format!(r#","starts_after":[{{"vm":"v{}"}}]"#, number + 1);
    for back in [|_| 0, |edge: usize| edge % LONG] {
        let mut vms = chain(LONG - 1, next);
        let edges: Vec<String> = (0..5 * LONG).map(|edge| format!(r#"{{"vm":"v{}"}}"#, back(edge))).collect();
        vms.push(vm(LONG - 1, &format!(r#","starts_after":[{}]"#, edges.join(","))));
        let text = document(1, &vms, &[]);
        let found = within(8, || errors(&text));
        assert_eq!(found.len(), lifeboat::document::MAX_ERRORS + 1);
        let first = found.iter().next().unwrap();
        assert_eq!(first.path, format!("vms[{}].starts_after[0]", LONG - 1));
        assert!(first.message.starts_with(r#"the start order is a cycle: "v19999" after "v0" after "v1" after "#));
        assert!(first.message.ends_with(r#"after 19988 more after "v19999""#), "{}", first.message);
        assert_eq!(found.iter().last().unwrap().message, "there are 90000 more errors");
    }
}

#[test]
fn taking_back_many_edges_to_one() {
    let mut vms = chain(100_000, |_| r#","starts_after":[{"vm":"last"}]"#.into());
    vms.push(r#"{"name":"last","starts_after":[{"vm":"last"}]}"#.into());
    let text = document(1, &vms, &[]);
    assert_eq!(within(8, || errors(&text)).len(), 1);
}

#[test]
fn labels_that_no_node_carries() {
    let vms = chain(20_000, |number| format!(r#","requires":["z{number}"]"#));
    let text = document(1, &vms, &[]);
    let document = within(8, || load(&text));
    assert_eq!(document.warnings().len(), 20_000);
}

#[test]
fn long_names_that_are_alike_in_nothing() {
    let name = |seed: usize| -> String {
        let mut state = (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let letter = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + (state >> 60) as u8 % 8)
        };
        (0..64).map(letter).collect()
    };
    let nodes: Vec<String> =
        (0..2_000).map(|node| format!(r#"{{"name":"{}","capacity":{{"cpu":1}}}}"#, name(node))).collect();
    let vms: Vec<String> = (0..2_000)
        .map(|vm| format!(r#"{{"name":"v{vm}","demand":{{"cpu":1}},"node":"{}"}}"#, name(vm + 10_000)))
        .collect();
    let text = document(0, &vms, &[]).replace(r#""nodes":[]"#, &format!(r#""nodes":[{}]"#, nodes.join(",")));
    assert_eq!(within(8, || errors(&text)).len(), 2_000);
}

#[test]
fn long_chains_of_vms_that_need_each_other() {
    const LONG: usize = 20_000;
    let rules: Vec<String> = (0..LONG - 1)
        .map(|rule| format!(r#"{{"name":"r{rule}","kind":"follow","vms":["v{}"],"leader":"v{rule}"}}"#, rule + 1))
        .collect();
    let mut vms = chain(LONG, |_| r#","priority":1"#.into());
    vms[LONG - 1] = vm(LONG - 1, r#","priority":9"#);
    let text = document(1, &vms, &rules);
    let document = within(8, || load(&text));
    let first = document.cluster().vm_id("v0").unwrap();
    assert_eq!(document.cluster().vm(first).unwrap().effective().1.0, 9);

    // Each more important than the next, which it needs: whoever comes last raises all.
    let vms = chain(LONG, |number| {
        let edges = if number + 1 == LONG {
            String::new()
        } else {
            format!(r#"{{"vm":"v{}","on_timeout":"give_up"}}"#, number + 1)
        };
        format!(r#","priority":{},"starts_after":[{edges}]"#, LONG - number)
    });
    let text = self::document(1, &vms, &[]);
    let document = within(8, || load(&text));
    let cluster = document.cluster();
    assert!(cluster.vms().all(|vm| vm.effective().1.0 == LONG as u32));

    // One that gives up on all the others.
    let mut vms = chain(LONG, |_| String::new());
    let edges: Vec<String> = (0..LONG).map(|other| format!(r#"{{"vm":"v{other}","on_timeout":"give_up"}}"#)).collect();
    vms.push(vm(LONG, &format!(r#","starts_after":[{}]"#, edges.join(","))));
    let text = self::document(1, &vms, &[]);
    within(8, || load(&text));
}

#[test]
fn one_object_with_many_names() {
    let names = |letter: char| (0..200_000).map(|name| format!(r#""{letter}{name}""#)).collect::<Vec<_>>().join(",");
    let text = document(1, &[vm(0, &format!(r#","groups":[{0}],"requires":[{1}]"#, names('g'), names('l')))], &[])
        .replace(r#""capacity""#, &format!(r#""labels":[{},"l0"],"capacity""#, names('l')));
    let document = within(8, || load(&text));
    assert_eq!(document.cluster().groups().len(), 200_000);
    assert_eq!(document.cluster().labels().len(), 200_000);
    let rule = format!(r#"{{"name":"r","kind":"together","vm_groups":[{0},"g0"]}}"#, names('g'));
    let text = self::document(1, &[vm(0, r#","groups":["g7"]"#)], &[rule]);
    let document = within(8, || load(&text));
    assert_eq!(document.warnings().len(), 199_999 + 1);
}

#[test]
fn one_group_in_many_rules() {
    // 1.6 million memberships: more than fit, all that fit, and as many as fit exactly.
    for (nodes, most) in [(2, 1), (20, 100_000), (20, 200), (20, 199), (200, 20)] {
        let vms: Vec<String> = (0..4_000)
            .map(|number| {
                format!(r#"{{"name":"v{number}","demand":{{"cpu":{}}},"power":"on","groups":["g"]}}"#, number % 7)
            })
            .collect();
        let rule = |number: usize| {
            let (kind, fields) = match number % 4 {
                0 => ("exclude", r#","labels":["none"]"#.to_string()),
                1 => ("spread", r#","min_domains":2"#.to_string()),
                _ => ("separate", format!(r#","max_per_domain":{most}"#)),
            };
            format!(r#"{{"name":"r{number}","kind":"{kind}","vm_groups":["g"]{fields}}}"#)
        };
        let text = document(nodes, &vms, &(0..400).map(rule).collect::<Vec<_>>());
        let cluster = within(8, || load(&text)).into_parts().0;
        within(8, || cluster.warnings());
        let found = within(20, || lifeboat::conflicts(&cluster));
        assert_eq!(found.len(), if nodes * most < 4_000 { 200 } else { 0 }, "{nodes} {most}");
    }
}
