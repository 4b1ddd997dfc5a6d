//! Generated clusters are what their shape says, and fast to make.
//!
//! Uses the test kit.

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

use lifeboat::{Cluster, Failure, NodeId, Strength, VmId, check_placements};
use lifeboat_testkit::generate::{Layout, Shape};

fn utilisation(cluster: &Cluster) -> u64 {
    let sum = |amounts: Vec<u64>| amounts.iter().sum::<u64>();
    (0..2)
        .map(|kind| {
            let used = sum(cluster.vms().map(|vm| vm.demand()[kind]).collect());
            used * 100 / sum(cluster.nodes().map(|node| node.allocatable()[kind]).collect())
        })
        .max()
        .unwrap_or(0)
}

#[test]
fn a_generated_cluster_is_what_its_shape_says() {
    for (layout, percent, kinds) in
        [(Layout::Balanced, 60, 2), (Layout::Ragged, 75, 4), (Layout::Balanced, 92, 4), (Layout::Ragged, 92, 2)]
    {
        for name in ["64/640", "64/8000", "1000/10000"] {
            let shape = Shape::standard(name).expect("a size").utilisation(percent).layout(layout).kinds(kinds);
            let cluster = shape.with_rules().allowed_nodes(1).build();
            let full = utilisation(&cluster);
            assert!((percent - 3..=percent + 1).contains(&full), "{name}: {full} per cent, not {percent}");
            for node in cluster.nodes() {
                assert!(node.used().iter().zip(node.allocatable()).all(|(used, allocatable)| used <= allocatable));
            }
            assert!(cluster.rule_count() > 20);
            assert!(cluster.rules().all(|rule| rule.strength() == Strength::Required));
            println!("{name} {layout:?}: {full} per cent, {} VMs, {} rules", cluster.vm_count(), cluster.rule_count());
        }
    }
}

/// Every rule holds where the VMs are: displaced and placed again, all of them pass.
#[test]
fn rules_hold_in_generated_clusters() {
    for seed in 0..3 {
        let mut cluster = Shape::new(64, 1_000).with_rules().allowed_nodes(2).seed(seed).build();
        let homes: Vec<(VmId, NodeId)> = cluster.vms().filter_map(|vm| vm.node().map(|node| (vm.id(), node))).collect();
        for (vm, _) in &homes {
            cluster.move_vm(*vm, None).expect("a VM");
        }
        assert_eq!(check_placements(&cluster, &Failure::none(), &homes, &[]), Ok(()));
    }
}

#[test]
fn the_same_seed_gives_the_same_cluster() {
    let make = |seed| Shape::new(64, 640).with_rules().seed(seed).build();
    let text = |cluster: Cluster| {
        let vms = cluster.vms().map(|vm| format!("{:?}", vm.to_vm())).collect::<Vec<_>>();
        let rules = cluster.rules().map(|rule| format!("{:?}", rule.to_rule())).collect::<Vec<_>>();
        (vms, rules)
    };
    assert_eq!(text(make(5)), text(make(5)));
    assert_ne!(text(make(5)), text(make(6)));
}

/// A figure for people: `cargo test --release --test generated -- --ignored --nocapture`.
#[test]
#[ignore = "takes seconds: a measurement, not a test"]
fn large_clusters_are_made_in_seconds() {
    for name in ["10000/100000", "100000/1000000"] {
        for layout in [Layout::Balanced, Layout::Ragged] {
            for percent in [60, 92] {
                let shape = Shape::standard(name).expect("a size").utilisation(percent).layout(layout);
                #[expect(clippy::disallowed_methods, reason = "a measurement for people")]
                let start = std::time::Instant::now();
                let cluster = shape.with_rules().build();
                let took = start.elapsed();
                println!(
                    "{name} {layout:?} {percent}: {took:?}, {} VMs, {} per cent",
                    cluster.vm_count(),
                    utilisation(&cluster)
                );
            }
        }
    }
}
