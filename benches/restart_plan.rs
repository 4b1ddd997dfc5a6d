//! How long a restart plan takes: `cargo bench --bench restart_plan [FILTER]`.
//!
//! Uses `support`. For people; the gate counts instructions instead (`instructions`).
//!
//! Each bench goes through different failing nodes (or racks) with one warm planner. Besides the mean, a line below
//! tells the median and the 99th percentile of single plans, and how many times as long two naive planners take in the
//! same run: first fit, and least loaded, which compares all nodes.
//!
//! By default one cluster of each size is measured, and what is special once. With the environment variable
//! `LIFEBOAT_BENCH_FULL=1` it is the whole matrix: 64/640, 64/8000, 1000/10000, 10000/100000 nodes/VMs, balanced and
//! ragged, 60, 75, 85, 92 % full, 2 and 4 kinds, with and without rules. `LIFEBOAT_BENCH_HUGE=1` adds 100000/1000000,
//! which takes gigabytes and minutes to set up.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a bench: it prints, and a panic is a failed bench"
)]

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use lifeboat::{Planner, check_placements};
use lifeboat_testkit::generate::{Layout, STANDARD, Shape};
use std::cell::OnceCell;
use std::hint::black_box;
use std::time::Duration;
use support::latency::Latency;
use support::naive::{Choice, Naive};
use support::scenario::{Loss, Scenario, Variant};

/// The naive planners may take so many seconds to measure.
const BASELINE_SECONDS: u64 = 3;

fn sizes() -> impl Iterator<Item = Shape> {
    let huge = support::switch("LIFEBOAT_BENCH_HUGE");
    STANDARD
        .iter()
        .filter(move |(_, nodes, _)| huge || *nodes < 100_000)
        .map(|(_, nodes, vms)| Shape::new(*nodes, *vms))
}

/// One node lost.
fn one_node() -> Vec<Variant> {
    let mut shapes: Vec<Shape> = Vec::new();
    if support::switch("LIFEBOAT_BENCH_FULL") {
        for shape in sizes() {
            for layout in [Layout::Balanced, Layout::Ragged] {
                for percent in [60, 75, 85, 92] {
                    for kinds in [2, 4] {
                        let plain = shape.clone().layout(layout).utilisation(percent).kinds(kinds);
                        shapes.extend([plain.clone(), plain.with_rules()]);
                    }
                }
            }
            shapes.push(shape.allowed_nodes(3));
        }
    } else {
        shapes.extend(sizes());
        let large = Shape::new(10_000, 100_000);
        shapes.push(large.clone().layout(Layout::Ragged).utilisation(92));
        shapes.push(large.clone().layout(Layout::Ragged).utilisation(85).kinds(4).with_rules());
        shapes.push(large.allowed_nodes(3));
    }
    shapes.into_iter().map(|shape| Variant::new(shape, Loss::Node)).collect()
}

fn restart_plan(criterion: &mut Criterion) {
    group(criterion, "restart plan, 1 node lost", &one_node());

    let small = Shape::new(64, 8_000);
    let mut shapes = vec![small.clone(), small.clone().layout(Layout::Ragged).utilisation(60).with_rules()];
    let large = Shape::new(10_000, 100_000);
    let mut racks = vec![large.clone()];
    if support::switch("LIFEBOAT_BENCH_FULL") {
        shapes.extend([60, 85].map(|percent| small.clone().utilisation(percent)));
        racks.extend([60, 85, 92].map(|percent| large.clone().utilisation(percent)));
        racks.push(large.with_rules());
    }
    let variants =
        |shapes: Vec<Shape>, loss| shapes.into_iter().map(|shape| Variant::new(shape, loss)).collect::<Vec<_>>();
    group(criterion, "restart plan, 64 nodes, 125 VMs lost", &variants(shapes, Loss::Node));
    group(criterion, "restart plan, 40-node rack lost, 400 VMs", &variants(racks, Loss::Rack));
}

fn group(criterion: &mut Criterion, name: &str, variants: &[Variant]) {
    let mut group = criterion.benchmark_group(name);
    for variant in variants {
        // Built when the filter of the command line lets it through.
        let scenario: OnceCell<Scenario> = OnceCell::new();
        group.bench_function(variant.name(), |bencher| {
            let Scenario { cluster, policy, failures, .. } = scenario.get_or_init(|| variant.build());
            let mut planner = Planner::new();
            let mut next = failures.iter().cycle();
            bencher.iter(|| planner.restart(cluster, policy, next.next().expect("a cycle")));
        });
        if let Some(scenario) = scenario.get() {
            one_by_one(variant, scenario);
        }
    }
    group.finish();
}

/// Median and tail of single plans, side by side with the baselines.
fn one_by_one(variant: &Variant, scenario: &Scenario) {
    let Scenario { cluster, policy, failures, displaced, complete } = scenario;
    let failure = |index: usize| &failures[index % failures.len()];
    let mut planner = Planner::new();
    let own = Latency::of(60, |index| {
        black_box(planner.restart(cluster, policy, failure(index)).expect("a failure of the cluster"));
    });
    println!(
        "    {} of {} plans: {displaced} VMs on average, {complete} of {} different failures placed whole",
        own.text(),
        own.calls(),
        failures.len()
    );
    if !variant.is_plain() {
        return;
    }
    let mut naive = Naive::of(cluster);
    let positions: Vec<Vec<usize>> = failures.iter().map(|failure| naive.positions(failure)).collect();
    for (name, choice) in [("first fit", Choice::FirstFit), ("least loaded", Choice::LeastLoaded)] {
        for (failure, failed) in failures.iter().zip(&positions) {
            let placements = naive.restart(failed, choice);
            check_placements(cluster, failure, &placements, &[]).expect("the baseline's plan passes the checker");
        }
        let baseline = Latency::of(BASELINE_SECONDS, |index| {
            black_box(naive.restart(&positions[index % positions.len()], choice));
        });
        println!("    naive, {name}: {}: {} times as long", baseline.text(), baseline.times(&own));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = restart_plan
}
criterion_main!(benches);
