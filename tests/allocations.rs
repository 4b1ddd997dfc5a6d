//! A warm planner allocates for the plan's own lists, and for one list per rule concerned, however large cluster and
//! failure are.
//!
//! Uses the test kit, and an allocator that counts.

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
#![expect(unsafe_code, reason = "the only way to count allocations is to be the allocator")]

use lifeboat::policy::FailureClass;
use lifeboat::{
    Change, Cluster, Failure, Guard, NodeId, Planner, Policy, RestartPlan, RuleId, RuleKind, Strength, VmId,
};
use lifeboat_testkit::generate::Shape;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeSet;

struct Counting;

thread_local! {
    /// Tests run side by side: each thread counts its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `call` allocates, and what it gives.
fn allocations<T>(call: impl FnOnce() -> T) -> (u64, T) {
    let before = ALLOCATIONS.get();
    let value = call();
    (ALLOCATIONS.get() - before, value)
}

/// The lists of the plan that are not empty: each is allocated once.
fn lists(plan: &RestartPlan) -> u64 {
    let lengths = [
        plan.failed().len(),
        plan.placements().len(),
        plan.evictions().len(),
        plan.unplaced().len(),
        plan.waiting().len(),
        plan.left_alone().len(),
        plan.classes().len(),
        plan.notes().len(),
    ];
    lengths.iter().map(|length| u64::from(*length > 0)).sum()
}

/// The required rules that have a placed member and speak of domains: each makes a list of the members that stay
/// (`Parts::compile_rule`).
fn domain_rules(cluster: &Cluster, plan: &RestartPlan) -> u64 {
    let rules = plan.placements().iter().flat_map(|placement| cluster.vm(placement.vm).unwrap().rules());
    let speaks = |rule: &RuleId| {
        let rule = cluster.rule(*rule).unwrap();
        rule.strength() == Strength::Required && !matches!(rule.kind(), RuleKind::Confine(_) | RuleKind::Exclude(_))
    };
    u64::try_from(rules.filter(speaks).collect::<BTreeSet<_>>().len()).unwrap()
}

/// Plans for every failure, twice; the second time the planner has all memory that it needs. No plan of the quick path
/// may allocate more than `most` says. Returns the largest number of allocations.
fn plans_allocate(shape: &Shape, racks: bool, most: impl Fn(&Cluster, &RestartPlan) -> u64) -> u64 {
    let cluster = shape.build();
    let policy = Policy::default();
    let failures: Vec<Failure> = if racks {
        let (racks, _) = cluster.domains("rack").unwrap();
        racks.iter().map(|rack| Failure::none().domain(&cluster, "rack", rack).unwrap()).collect()
    } else {
        cluster.nodes().map(|node| Failure::of([node.id()])).collect()
    };
    let mut planner = Planner::new();
    for failure in &failures {
        planner.restart(&cluster, &policy, failure).unwrap();
    }
    let (mut largest, mut quick) = (0, 0);
    for failure in &failures {
        let (count, plan) = allocations(|| planner.restart(&cluster, &policy, failure).unwrap());
        if plan.unplaced().is_empty() {
            let most = most(&cluster, &plan);
            assert!(count <= most, "{count} allocations instead of {most}: {plan:?}");
            quick += 1;
            largest = largest.max(count);
        }
    }
    assert!(quick * 10 >= failures.len() * 9, "{quick} of {} plans place everything", failures.len());
    largest
}

#[test]
fn the_counter_counts() {
    let (count, list) = allocations(|| vec![1_u8, 2, 3]);
    assert_eq!((count, list.len()), (1, 3));
}

/// The failed nodes, the placements, the counts per class: three lists, whether 10 VMs are lost of 640 or 400 of
/// 10,000.
#[test]
fn a_warm_planner_allocates_for_the_plan_alone() {
    for (nodes, vms) in [(64, 640), (64, 8_000), (1_000, 10_000)] {
        let shape = Shape::new(nodes, vms).utilisation(60);
        assert_eq!(plans_allocate(&shape, false, |_, plan| lists(plan)), 3, "{nodes}/{vms}, a node lost");
        assert_eq!(plans_allocate(&shape.kinds(4), true, |_, plan| lists(plan)), 3, "{nodes}/{vms}, a rack lost");
    }
}

/// The same where every VM has its own list of nodes.
#[test]
fn lists_of_allowed_nodes_allocate_nothing() {
    let shape = Shape::new(1_000, 10_000).utilisation(60).allowed_nodes(20);
    assert_eq!(plans_allocate(&shape, false, |_, plan| lists(plan)), 3);
}

/// With rules, one list more for each rule that has a member among the VMs placed and members that stay.
#[test]
fn a_rule_allocates_one_list() {
    let shape = Shape::new(1_000, 10_000).utilisation(60).with_rules();
    let largest = plans_allocate(&shape, false, |cluster, plan| lists(plan) + domain_rules(cluster, plan));
    assert!(largest <= 16, "{largest} allocations");
}

/// Starts and stops of one VM after another, once every list has had the room that it needs: nothing is allocated, neither
/// by the decision nor by carrying it out.
#[test]
fn starts_and_stops_allocate_nothing() {
    for (shape, losses) in [(Shape::new(64, 640), 1), (Shape::new(64, 640).kinds(4), 2), (Shape::new(1_000, 10_000), 2)]
    {
        let cluster = shape.utilisation(60).build();
        let mut policy = Policy::default();
        policy.tolerate = vec![FailureClass::nodes(losses)];
        let vms: Vec<(VmId, NodeId)> =
            cluster.vms().filter_map(|vm| Some((vm.id(), vm.node()?))).step_by(9).take(60).collect();
        let mut guard = Guard::new(cluster, policy);
        guard.items().unwrap();
        let mut most = 0;
        for round in 0..6 {
            for (vm, node) in &vms {
                // On its node in the first rounds and the last, where it fits best in between.
                let node = (round != 2 && round != 4).then_some(*node);
                for change in [Change::Stop { vm: *vm }, Change::Start { vm: *vm, node }] {
                    let (count, admitted) = allocations(|| {
                        let decision = guard.admit(&[change]).unwrap();
                        let admitted = decision.is_admitted();
                        guard.apply(decision).unwrap();
                        admitted
                    });
                    assert!(admitted);
                    if round >= 4 {
                        most = most.max(count);
                    }
                }
            }
        }
        assert_eq!(guard.judged().1, 0, "all were judged by ledgers");
        assert_eq!(most, 0, "{losses} losses");
    }
}
