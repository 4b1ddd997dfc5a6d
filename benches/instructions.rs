//! How many instructions the usual questions take, which is the same on every run: what `.ci/instructions` compares
//! with its table. `cargo bench --bench instructions`; needs valgrind and `gungraun-runner` of the same version as
//! gungraun.
//!
//! Uses the test kit and the public interface. What is set up, and what is dropped, is not counted.
#![allow(
    clippy::expect_used,
    clippy::needless_pass_by_value,
    unreachable_pub,
    missing_docs,
    unused_qualifications,
    reason = "a bench: a panic is a failed bench; gungraun makes public items"
)]

use gungraun::prelude::*;
use lifeboat::document::to_json;
use lifeboat::policy::FailureClass;
use lifeboat::{
    Answer, Cluster, Document, Failure, NodeId, Planner, Policy, RestartPlan, Verdict, VmId, check_plan, check_verdict,
    verify,
};
use lifeboat_testkit::generate::{Layout, Shape};
use std::hint::black_box;

/// A cluster, what fails in it, and a planner that has planned for all of it once.
struct Plans {
    cluster: Cluster,
    failures: Vec<Failure>,
    planner: Planner,
    made: Vec<RestartPlan>,
}

/// Fifty different nodes that fail alone, or all if there are fewer.
fn plans(shape: Shape) -> Plans {
    let cluster = shape.build();
    let step = (cluster.node_count() / 50).max(1);
    let failures: Vec<Failure> = cluster.nodes().step_by(step).map(|node| Failure::of([node.id()])).take(50).collect();
    let mut planner = Planner::new();
    for failure in &failures {
        let plan = planner.restart(&cluster, &Policy::default(), failure).expect("a failure of the cluster");
        check_plan(&cluster, &Policy::default(), failure, &plan).expect("the plan passes the checker");
    }
    let made = Vec::with_capacity(failures.len());
    Plans { cluster, failures, planner, made }
}

#[library_benchmark]
#[bench::of_64_8000(plans(Shape::new(64, 8_000)))]
#[bench::of_1000_10000(plans(Shape::new(1_000, 10_000)))]
#[bench::of_1000_10000_ragged_85_rules(plans(
    Shape::new(1_000, 10_000).layout(Layout::Ragged).utilisation(85).kinds(4).with_rules()
))]
fn fifty_plans(mut plans: Plans) -> Plans {
    let policy = Policy::default();
    for failure in &plans.failures {
        let plan = plans.planner.restart(&plans.cluster, &policy, black_box(failure));
        plans.made.push(plan.expect("a failure of the cluster"));
    }
    plans
}

fn text(shape: Shape) -> String {
    to_json(&shape.build(), &Policy::default())
}

#[library_benchmark]
#[bench::of_1000_10000(text(Shape::new(1_000, 10_000).with_rules()))]
fn load(text: String) -> (String, Document) {
    let document = Document::from_json(black_box(&text)).expect("its own export");
    (text, document)
}

/// A thousand VMs, and where they run.
fn running(shape: Shape) -> (Cluster, Vec<(VmId, NodeId)>) {
    let cluster = shape.build();
    let vms = cluster.vms().step_by(10).filter_map(|vm| Some((vm.id(), vm.node()?))).take(1_000).collect();
    (cluster, vms)
}

#[library_benchmark]
#[bench::of_1000_10000(running(Shape::new(1_000, 10_000).with_rules()))]
fn thousand_vms_stop_and_start((mut cluster, vms): (Cluster, Vec<(VmId, NodeId)>)) -> (Cluster, Vec<(VmId, NodeId)>) {
    for (vm, node) in &vms {
        cluster.stop_vm(*vm).expect("a running VM");
        cluster.start_vm(*vm, Some(*node)).expect("its node");
    }
    (cluster, vms)
}

/// A cluster, and a policy that tolerates the loss of so many nodes; the checker accepts the verdict.
fn tolerating(shape: Shape, losses: u32, expected: Answer) -> (Cluster, Policy) {
    let cluster = shape.build();
    let mut policy = Policy::default();
    policy.tolerate = vec![FailureClass::nodes(losses)];
    let verdict = verify(&cluster, &policy).expect("a class of the cluster");
    check_verdict(&cluster, &policy, &verdict).expect("the checker accepts the verdict");
    assert_eq!(verdict.answer(), expected);
    (cluster, policy)
}

#[library_benchmark]
#[bench::one_of_64_8000(tolerating(Shape::new(64, 8_000), 1, Answer::Holds))]
#[bench::two_of_64_640(tolerating(Shape::new(64, 640), 2, Answer::Holds))]
#[bench::two_of_64_8000(tolerating(Shape::new(64, 8_000), 2, Answer::Holds))]
#[bench::two_of_1000_10000(tolerating(Shape::new(1_000, 10_000), 2, Answer::Holds))]
#[bench::two_of_1000_10000_rules(tolerating(Shape::new(1_000, 10_000).with_rules(), 2, Answer::Holds))]
#[bench::no_of_64_8000(tolerating(Shape::new(64, 8_000).utilisation(99), 2, Answer::Fails))]
fn verdict((cluster, policy): (Cluster, Policy)) -> (Cluster, Policy, Verdict) {
    let verdict = verify(black_box(&cluster), &policy).expect("a class of the cluster");
    (cluster, policy, verdict)
}

library_benchmark_group!(name = instructions, benchmarks = [fifty_plans, load, thousand_vms_stop_and_start, verdict]);

main!(library_benchmark_groups = instructions);
