//! How long admissions take with two losses covered: `cargo bench --bench admission [FILTER]`.
//!
//! Uses `support`. For people. Besides the mean, a line tells the median and the 99th percentile of single requests, and how
//! many of them were judged by ledgers and how many the slow way.
//!
//! Starts and stops take turns: a thousand VMs (a third of them in small clusters) are stopped one by one, then started
//! again one by one, on their own nodes or where the guard chooses.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a bench: it prints, and a panic is a failed bench"
)]

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use lifeboat::policy::FailureClass;
use lifeboat::{Change, Control, Guard, Newcomer, NodeId, NodeState, Policy, Vm, VmId, headroom_guarded};
use lifeboat_testkit::generate::{Layout, Shape};
use std::hint::black_box;
use std::time::{Duration, Instant};
use support::latency::Latency;

/// Two nodes may be lost.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.tolerate = vec![FailureClass::nodes(2)];
    policy
}

fn guard(shape: &Shape) -> Guard {
    let mut guard = Guard::new(shape.build(), policy());
    let held = guard.items().expect("a policy that fits").iter().all(lifeboat::ItemState::is_ok);
    assert!(held, "two losses are covered");
    guard
}

fn name(shape: &Shape) -> String {
    format!("{}/{}", shape.nodes, shape.vms)
}

fn shapes() -> [Shape; 4] {
    let large = Shape::new(10_000, 100_000).utilisation(60);
    [
        Shape::new(64, 640).utilisation(60),
        Shape::new(1_000, 10_000).utilisation(60),
        large.clone(),
        large.layout(Layout::Ragged).utilisation(75),
    ]
}

/// Admits and applies.
fn make(guard: &mut Guard, change: Change) -> bool {
    let decision = guard.admit(black_box(&[change])).expect("a policy that fits");
    let admitted = decision.is_admitted();
    if admitted {
        guard.apply(decision).expect("it is not stale");
    }
    admitted
}

/// VMs that run, spread over the cluster, with their nodes.
fn running(guard: &Guard) -> Vec<(VmId, NodeId)> {
    let cluster = guard.cluster();
    let on: Vec<(VmId, NodeId)> = cluster.vms().filter_map(|vm| Some((vm.id(), vm.node()?))).collect();
    let wanted = (on.len() / 3).min(1_000);
    let step = on.len() / wanted;
    on.into_iter().step_by(step).take(wanted).collect()
}

/// The durations of so many stops and starts, each.
fn turns(guard: &mut Guard, vms: &[(VmId, NodeId)], open: bool, count: usize) -> (Vec<Duration>, Vec<Duration>) {
    let (mut stops, mut starts) = (Vec::with_capacity(count), Vec::with_capacity(count));
    while starts.len() < count {
        for (vm, _) in vms {
            let begun = Instant::now();
            let admitted = make(guard, Change::Stop { vm: *vm });
            stops.push(begun.elapsed());
            assert!(admitted, "a stop");
        }
        for (vm, node) in vms {
            let change = Change::Start { vm: *vm, node: (!open).then_some(*node) };
            let begun = Instant::now();
            let admitted = make(guard, change);
            starts.push(begun.elapsed());
            assert!(admitted, "a start of what ran before");
        }
    }
    (stops, starts)
}

fn starts_and_stops(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit and apply, N+2 kept");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(1));
    for shape in shapes() {
        for open in [false, true] {
            let what = if open { "start where it fits" } else { "start on its node" };
            let kind = if shape.utilisation_percent > 70 { ", ragged, 75 % full" } else { "" };
            let title = format!("{what}, {}{kind}", name(&shape));
            let mut made = None;
            let mut told = false;
            group.bench_function(&title, |bencher| {
                let (guard, vms) = made.get_or_insert_with(|| {
                    let guard = guard(&shape);
                    let vms = running(&guard);
                    (guard, vms)
                });
                if !told {
                    told = true;
                    turns(guard, vms, open, 2_000);
                    let before = guard.judged();
                    let (stops, starts) = turns(guard, vms, open, 10_000);
                    let judged = guard.judged();
                    println!(
                        "{title}: start {}; stop {}; {} by ledgers, {} slowly",
                        Latency::from(starts).text(),
                        Latency::from(stops).text(),
                        judged.0 - before.0,
                        judged.1 - before.1,
                    );
                }
                bencher.iter_custom(|iterations| {
                    let count = usize::try_from(iterations).expect("a count");
                    let (_, starts) = turns(guard, vms, open, count);
                    starts.iter().take(count).sum()
                });
            });
        }
    }
    group.finish();
}

/// May all VMs of a node be stopped and the node go into maintenance, as one transaction? By the ledgers, and by a
/// verdict.
fn transactions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a node emptied and taken down at once, N+2 kept");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(1));
    for shape in shapes().into_iter().take(3) {
        for (what, ledgers) in [("by the ledger", true), ("by a verdict", false)] {
            let mut made = None;
            group.bench_function(format!("{what}, {}", name(&shape)), |bencher| {
                let (guard, changes) = made.get_or_insert_with(|| {
                    let guard = if ledgers { guard(&shape) } else { guard(&shape).without_ledger() };
                    let node = guard.cluster().nodes().nth(7).expect("a node");
                    let stops = node.vms().map(|vm| Change::Stop { vm });
                    let down = Change::node_state(node.id(), NodeState::Maintenance);
                    let changes: Vec<Change> = stops.chain([down]).collect();
                    (guard, changes)
                });
                let before = guard.judged().0;
                bencher.iter(|| assert!(guard.admit(changes).expect("a policy that fits").is_admitted()));
                assert_eq!(guard.judged().0 > before, ledgers);
            });
        }
    }
    group.finish();
}

/// A VM that fits on its node and would break the promise: the slow way says so.
fn refusals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("refuse, N+2 kept");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(2));
    for shape in shapes().into_iter().take(3) {
        let mut made = None;
        group.bench_function(name(&shape), |bencher| {
            let (guard, vm) = made.get_or_insert_with(|| {
                let guard = guard(&shape);
                // As large as all that is free on the emptiest node: when that fails, no other can take it.
                let cluster = guard.cluster();
                let node = cluster.nodes().max_by_key(|node| node.free()[0]).expect("a node");
                let vm = Vm::named("too large").demand(node.free().to_vec()).on(node.id());
                (guard, Box::new(vm))
            });
            bencher.iter(|| {
                let decision = guard.admit(&[Change::AddVm(vm.clone())]).expect("a policy that fits");
                assert!(!decision.is_admitted(), "it cannot be restarted anywhere");
                decision
            });
        });
    }
    group.finish();
}

/// A node is cordoned, drained, taken down and brought back, and its VMs return: how long the four changes of its state took.
fn maintain(guard: &mut Guard, node: NodeId) -> Duration {
    let turn = |guard: &mut Guard, state| {
        let begun = Instant::now();
        let admitted = make(guard, Change::node_state(node, state));
        assert!(admitted, "{state:?}");
        begun.elapsed()
    };
    let vms: Vec<VmId> = guard.cluster().node(node).expect("a node").vms().collect();
    let mut spent = turn(guard, NodeState::Cordoned);
    for vm in &vms {
        assert!(make(guard, Change::Stop { vm: *vm }), "a stop");
    }
    spent += turn(guard, NodeState::Maintenance) + turn(guard, NodeState::Cordoned) + turn(guard, NodeState::Online);
    for vm in vms {
        assert!(make(guard, Change::start_on(vm, node)), "a start of what ran before");
    }
    spent
}

/// Nodes in maintenance, one after the other; beside it what the same changes cost where each takes a verdict.
fn node_states(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("four changes of a node's state, N+2 kept");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(2));
    for shape in shapes().into_iter().take(3) {
        for (what, ledgers) in [("by the ledger", true), ("by verdicts", false)] {
            let mut made = None;
            group.bench_function(format!("{what}, {}", name(&shape)), |bencher| {
                let (guard, nodes) = made.get_or_insert_with(|| {
                    let guard = if ledgers { guard(&shape) } else { guard(&shape).without_ledger() };
                    let nodes: Vec<NodeId> = guard.cluster().nodes().map(lifeboat::NodeRef::id).collect();
                    (guard, nodes)
                });
                let mut at = 0;
                bencher.iter_custom(|iterations| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..iterations {
                        spent += maintain(guard, nodes[at * 7 % nodes.len()]);
                        at += 1;
                    }
                    spent
                });
            });
        }
    }
    group.finish();
}

/// What monitoring tells: many VMs demand a little more or less than before.
fn facts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("observe");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(2));
    let shape = Shape::new(10_000, 100_000).utilisation(60);
    let mut made = None;
    group.bench_function("10,000 demand changes, 10000/100000", |bencher| {
        let (guard, batches) = made.get_or_insert_with(|| {
            let guard = guard(&shape);
            let on = guard.cluster().vms().filter(|vm| vm.node().is_some()).step_by(9).take(10_000);
            let mut batches = [Vec::new(), Vec::new()];
            for (at, vm) in on.enumerate() {
                // A hundredth more for every second VM, less for the others; then back.
                let change = |percent: u64| Change::Resize {
                    vm: vm.id(),
                    demand: vm.demand().iter().map(|amount| amount * percent / 100).collect(),
                };
                batches[0].push(change(if at % 2 == 0 { 101 } else { 99 }));
                batches[1].push(change(100));
            }
            (guard, batches)
        });
        let mut turn = 0;
        bencher.iter(|| {
            turn += 1;
            guard.observe(&batches[turn % 2]).expect("facts that are consistent")
        });
        assert_eq!(guard.check_ledgers(), Ok(1), "the ledger has followed");
    });
    group.finish();
}

/// How many more VMs like an average one, from the ledger.
fn headroom(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("headroom, N+2 kept");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(2));
    for shape in shapes() {
        let kind = if shape.utilisation_percent > 70 { ", ragged, 75 % full" } else { "" };
        let title = format!("{}{kind}", name(&shape));
        let mut made = None;
        let mut told = false;
        group.bench_function(&title, |bencher| {
            let (guard, newcomer) = made.get_or_insert_with(|| {
                let guard = guard(&shape);
                let cluster = guard.cluster();
                let vms = u64::try_from(cluster.vm_count()).expect("a count");
                let sum = |kind: usize| cluster.vms().map(|vm| vm.demand()[kind]).sum::<u64>();
                let average = (0..cluster.kinds().len()).map(|kind| sum(kind) / vms).collect();
                (guard, Newcomer::Shape(average))
            });
            if !told {
                told = true;
                let found = headroom_guarded(guard, newcomer, &Control::new()).expect("an answer");
                println!("{title}: {} to {}", found.least, found.most);
            }
            bencher.iter(|| headroom_guarded(guard, newcomer, &Control::new()).expect("an answer"));
        });
    }
    group.finish();
}

criterion_group!(benches, starts_and_stops, node_states, transactions, refusals, facts, headroom);
criterion_main!(benches);
