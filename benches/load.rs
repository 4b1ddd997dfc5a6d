//! How long a document takes from text to cluster: `cargo bench --bench load [FILTER]`.
//!
//! Uses `support` and the crate's own export, which makes the text. For people; the gate counts instructions instead.
//! By default 1000/10000 and 10000/100000 nodes/VMs with rules; `LIFEBOAT_BENCH_HUGE=1` adds 100000/1000000.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    reason = "a bench: a panic is a failed bench"
)]

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use lifeboat::document::to_json;
use lifeboat::{Document, Policy};
use lifeboat_testkit::generate::Shape;
use std::cell::OnceCell;
use std::time::Duration;

/// The text of a cluster, which must come back as it is.
fn text(nodes: usize, vms: usize) -> String {
    let cluster = Shape::new(nodes, vms).with_rules().build();
    let text = to_json(&cluster, &Policy::default());
    let again = Document::from_json(&text).expect("its own export");
    assert_eq!(to_json(again.cluster(), again.policy()), text);
    text
}

fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    let mut sizes = vec![(1_000, 10_000), (10_000, 100_000)];
    if support::switch("LIFEBOAT_BENCH_HUGE") {
        sizes.push((100_000, 1_000_000));
    }
    for (nodes, vms) in sizes {
        let document = OnceCell::new();
        group.bench_function(format!("load a {nodes}/{vms} document"), |bencher| {
            let document = document.get_or_init(|| text(nodes, vms));
            bencher.iter_with_large_drop(|| Document::from_json(document).expect("its own export"));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(4));
    targets = load
}
criterion_main!(benches);
