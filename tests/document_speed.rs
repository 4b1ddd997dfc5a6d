//! How long a large document takes from text to cluster.
//!
//! `cargo test --release --all-features --test document_speed -- --ignored --nocapture`

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

use lifeboat::Document;
use std::fmt::Write as _;

/// A cluster of 10,000 nodes and 100,000 VMs.
fn large(nodes: usize, vms: usize) -> String {
    let mut text = String::from(
        r#"{"format":"lifeboat/1","resources":[{"name":"cpu","unit":"MHz"},{"name":"memory","unit":"MiB"}],"levels":["site","rack"],"nodes":["#,
    );
    for node in 0..nodes {
        let comma = if node == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"name":"node-{node:05}","capacity":{{"cpu":96000,"memory":786432}},"reserved":{{"memory":8192}},"overcommit":{{"cpu":400}},"domain":{{"site":"site-{}","rack":"rack-{}"}},"labels":["san-{}","net-a"]}}"#,
            node % 4, node / 40, node % 8
        )
        .unwrap();
    }
    text.push_str(r#"],"vms":["#);
    for vm in 0..vms {
        let comma = if vm == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"name":"vm-{vm:06}","display":"Machine number {vm}","demand":{{"cpu":{},"memory":{}}},"reservation":{{"memory":{}}},"node":"node-{:05}","power":"on","priority":"{}","requires":["net-a"],"groups":["group-{}"]}}"#,
            500 + vm % 4000, 1024 + vm % 16384, vm % 1024, (vm * 7919) % nodes, ["low", "medium", "high"][vm % 3], vm % 500
        )
        .unwrap();
    }
    text.push_str(r#"],"rules":["#);
    for rule in 0..500 {
        let comma = if rule == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"name":"rule-{rule}","kind":"separate","vm_groups":["group-{rule}"],"level":"rack","max_per_domain":40}}"#).unwrap();
    }
    text.push_str("]}");
    text
}

#[test]
#[ignore = "measures; run it in release"]
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement for people")]
fn load_10000_nodes_100000_vms() {
    let text = large(10_000, 100_000);
    let mut times = Vec::new();
    for _ in 0..9 {
        let start = std::time::Instant::now();
        let document = Document::from_json(&text).unwrap();
        times.push(start.elapsed());
        assert_eq!(document.cluster().vm_count(), 100_000);
    }
    times.sort();
    let start = std::time::Instant::now();
    serde_json::from_str::<serde::de::IgnoredAny>(&text).unwrap();
    println!("passing over the text alone: {:?}", start.elapsed());
    let start = std::time::Instant::now();
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
    println!("a tree of values: {:?}", start.elapsed());
    println!("{} MB, median {:?}, least {:?}", text.len() / 1_000_000, times[4], times[0]);
    let (cluster, policy) = Document::from_json(&text).unwrap().into_parts();
    let start = std::time::Instant::now();
    let exported = lifeboat::document::to_json(&cluster, &policy);
    println!("export {:?}, {} MB", start.elapsed(), exported.len() / 1_000_000);
}

/// The same kind of document ten times smaller, once: to be counted under callgrind.
#[test]
#[ignore = "measures; run it in release"]
fn load_1000_nodes_10000_vms() {
    assert_eq!(Document::from_json(&large(1_000, 10_000)).unwrap().cluster().vm_count(), 10_000);
}
