//! What the C ABI adds to a call: `cargo bench --bench capi`. Goal: within 1 us.
//!
//! A plan for one node and an admission, natively and through the ABI, on the same cluster, in turns; and a document
//! across it. The differences of the medians are printed below.
#![allow(
    unsafe_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::undocumented_unsafe_blocks,
    clippy::disallowed_methods,
    clippy::borrow_as_ptr,
    clippy::ref_as_ptr,
    clippy::wildcard_imports,
    reason = "a bench of an interface of pointers: all are good; it prints, and a panic is a failed bench"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use lifeboat::capi::*;
use lifeboat::{Change, Document, Failure, Guard, Planner, Policy, document::to_json};
use lifeboat_testkit::generate::Shape;
use std::hint::black_box;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

fn str(text: &str) -> Str {
    Str { data: text.as_ptr().cast(), length: text.len() }
}

/// The medians of two works done in turns.
fn medians(rounds: usize, mut one: impl FnMut(usize), mut other: impl FnMut(usize)) -> (Duration, Duration) {
    let mut times = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let begin = Instant::now();
        one(round);
        let middle = Instant::now();
        other(round);
        times.0.push(middle - begin);
        times.1.push(middle.elapsed());
    }
    times.0.sort_unstable();
    times.1.sort_unstable();
    (times.0[rounds / 2], times.1[rounds / 2])
}

fn capi(criterion: &mut Criterion) {
    let (cluster, policy) = (Shape::new(1_000, 10_000).build(), Policy::default());
    let document = to_json(&cluster, &policy);
    let names: Vec<String> = cluster.nodes().take(64).map(|node| node.name().to_string()).collect();
    let ids: Vec<_> = names.iter().map(|name| cluster.node_id(name).expect("is there")).collect();
    let (mut there, mut rules) = (null_mut(), null_mut());
    assert_eq!(unsafe { lifeboat_cluster_from_json(str(&document), &mut there, &mut rules, null_mut()) }, LIFEBOAT_OK);
    let mut planner = Planner::new();
    let mut native = |round: usize| {
        let failure = Failure::of([ids[round % ids.len()]]);
        black_box(planner.restart(&cluster, &policy, &failure).expect("plans"));
    };
    let across = |round: usize| unsafe {
        let mut plan = null_mut();
        let unit = Unit { level: str(""), name: str(&names[round % names.len()]) };
        assert_eq!(lifeboat_plan_restart(there, rules, &unit, 1, null(), &mut plan, null_mut()), LIFEBOAT_OK);
        lifeboat_plan_free(plan);
    };
    let mut group = criterion.benchmark_group("1000/10000");
    let mut round = 0;
    group.bench_function("plan, 1 node lost, native", |bencher| {
        bencher.iter(|| {
            round += 1;
            native(round);
        });
    });
    group.bench_function("plan, 1 node lost, C ABI", |bencher| {
        bencher.iter(|| {
            round += 1;
            across(round);
        });
    });
    let (inside, outside) = medians(20_000, &mut native, across);
    println!("plan, 1 node lost: native {inside:?}, C ABI {outside:?}, more {:?}", outside.saturating_sub(inside));

    // Admission of a small cluster's VM, so that the verdict behind it does not drown the call.
    let text = include_str!("../examples/data/small.json");
    let (small, mut promise) = Document::from_json(text).expect("reads").into_parts();
    promise.tolerate.clear();
    let small_text = to_json(&small, &promise);
    let vm = small.vm_id("db-1").expect("is there");
    let mut guard = Guard::new(small, promise);
    let (mut small_there, mut small_rules, mut judge) = (null_mut(), null_mut(), null_mut());
    unsafe {
        let status = lifeboat_cluster_from_json(str(&small_text), &mut small_there, &mut small_rules, null_mut());
        assert_eq!(status, LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_new(small_there, small_rules, &mut judge, null_mut()), LIFEBOAT_OK);
    }
    let native = |_: usize| {
        black_box(guard.admit(&[Change::Stop { vm }]).expect("answers"));
    };
    let across = |_: usize| unsafe {
        let mut decision = null_mut();
        assert_eq!(lifeboat_guard_admit_stop(judge, str("db-1"), null(), &mut decision, null_mut()), LIFEBOAT_OK);
        lifeboat_decision_free(decision);
    };
    let (inside, outside) = medians(20_000, native, across);
    println!("admit, small cluster: native {inside:?}, C ABI {outside:?}, more {:?}", outside.saturating_sub(inside));

    let (inside, outside) = medians(
        9,
        |_| {
            black_box(Document::from_json(&document).expect("reads"));
        },
        |_| unsafe {
            let mut again = null_mut();
            assert_eq!(lifeboat_cluster_from_json(str(&document), &mut again, null_mut(), null_mut()), LIFEBOAT_OK);
            lifeboat_cluster_free(again);
        },
    );
    println!("load a document: native {inside:?}, C ABI {outside:?}");
    unsafe {
        lifeboat_guard_free(judge);
        lifeboat_cluster_free(small_there);
        lifeboat_policy_free(small_rules);
        lifeboat_cluster_free(there);
        lifeboat_policy_free(rules);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = capi
}
criterion_main!(benches);
