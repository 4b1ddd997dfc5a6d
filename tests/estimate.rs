//! What must hold of every estimate: limits, edges and gates are kept, and nothing waits without a cause.
//!
//! Uses the planner and the test kit's choices. The judge below knows nothing of events: it looks at the finished times.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]

use lifeboat::policy::TierGate;
use lifeboat::{
    Cluster, Estimate, Failure, Node, OnTimeout, Planner, Policy, Priority, ResourceKinds, StartEdge, StartTime, Until,
    Vm, VmId,
};
use lifeboat_testkit::Choices;
use std::collections::BTreeMap;

fn case(seed: u64) -> (Cluster, Policy, Failure) {
    let mut choices = Choices::from_seed(seed);
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")]).unwrap(), [""; 0]).unwrap();
    let lost = cluster.add_node(Node::named("lost").capacity([1000])).unwrap();
    for name in ["one", "two", "three"] {
        let mut node = Node::named(name).capacity([5]);
        node.start_limit = (!choices.chance(1, 4)).then(|| 1 + choices.index(2) as u32);
        cluster.add_node(node).unwrap();
    }
    let mut vms: Vec<VmId> = Vec::new();
    for number in 0..3 + choices.index(8) {
        let mut vm = Vm::named(format!("vm-{number}")).demand([1]).on(lost);
        vm.priority = choices.pick(&[Priority::HIGH, Priority::MEDIUM, Priority::LOW]);
        vm.start_s = Some(choices.index(6) as u32 * 10);
        for _ in 0..choices.index(3) {
            if vms.is_empty() {
                continue;
            }
            let edge = StartEdge {
                vm: choices.pick(&vms),
                until: choices.pick(&[Until::Started, Until::Ready]),
                delay_s: choices.pick(&[0, 0, 5]),
                timeout_s: choices.pick(&[None, None, Some(15), Some(60)]),
                on_timeout: choices.pick(&[OnTimeout::Continue, OnTimeout::GiveUp]),
            };
            if vm.starts_after.iter().all(|other| other.vm != edge.vm) {
                vm.starts_after.push(edge);
            }
        }
        vms.push(cluster.add_vm(vm).unwrap());
    }
    let mut policy = Policy::default();
    policy.start.tier_gate = choices.pick(&[TierGate::None, TierGate::Started, TierGate::Ready]);
    policy.start.tier_timeout_s = choices.pick(&[40, 600]);
    (cluster, policy, Failure::of([lost]))
}

/// When an edge to a VM of the plan is over, and whether that is by its time-out; `None` if the VM was given up by
/// then. `open` is when the band opened.
fn over(edge: StartEdge, times: &BTreeMap<VmId, StartTime>, open: u64) -> Option<u64> {
    let reached = times.get(&edge.vm).map(|start| match edge.until {
        Until::Started => start.start_s,
        Until::Ready => start.ready_s,
    });
    let limit = edge.timeout_s.map(|timeout| open + u64::from(timeout));
    match (reached, limit) {
        (Some(reached), Some(limit)) if reached > limit => Some(limit),
        (Some(reached), _) => Some(reached + u64::from(edge.delay_s)),
        (None, limit) => limit,
    }
}

fn judge(cluster: &Cluster, policy: &Policy, placed: &[VmId], estimate: &Estimate, what: &str) {
    let times: BTreeMap<VmId, StartTime> = estimate.starts().iter().map(|start| (start.vm, *start)).collect();
    assert_eq!(times.len() + estimate.given_up().len(), placed.len(), "{what}");
    for start in times.values() {
        let vm = cluster.vm(start.vm).unwrap();
        assert_eq!(start.ready_s - start.start_s, u64::from(vm.start_s().unwrap()), "{what}");
        // Limits, at the moment of every start.
        let limit = cluster.node(start.node).unwrap().start_limit().map_or(usize::MAX, |limit| limit as usize);
        let here = times.values().filter(|other| other.node == start.node);
        let under_way = here.filter(|other| other.start_s <= start.start_s && start.start_s < other.ready_s).count();
        assert!(under_way <= limit, "{what}: {under_way} starts at once");
    }
    if policy.start.tier_gate != TierGate::None {
        return;
    }
    for start in times.values() {
        let vm = cluster.vm(start.vm).unwrap();
        let edges: Vec<StartEdge> = vm.starts_after().filter(|edge| placed.contains(&edge.vm)).collect();
        let mut free = 0;
        for edge in &edges {
            match over(*edge, &times, 0) {
                Some(at) if times.contains_key(&edge.vm) => {
                    assert!(start.start_s >= at, "{what}: {} starts before {edge:?} is over", vm.name());
                    let timed_out = edge.timeout_s.is_some_and(|timeout| at == u64::from(timeout));
                    let reached = match edge.until {
                        Until::Started => times[&edge.vm].start_s,
                        Until::Ready => times[&edge.vm].ready_s,
                    };
                    if timed_out && reached > at {
                        assert_eq!(edge.on_timeout, OnTimeout::Continue, "{what}: {} should be given up", vm.name());
                    }
                    free = free.max(at);
                }
                // Given up: at a moment that only the simulation knows.
                _ => {
                    assert_eq!(edge.on_timeout, OnTimeout::Continue, "{what}: {} needs {edge:?}", vm.name());
                    free = u64::MAX;
                }
            }
        }
        // Whoever starts later than it may does so when a start on its node ends.
        if start.start_s > free {
            let ends = times.values().any(|other| other.node == start.node && other.ready_s == start.start_s);
            assert!(ends, "{what}: {} could start at {free}", vm.name());
        }
    }
    for id in estimate.given_up() {
        let vm = cluster.vm(*id).unwrap();
        let cause = vm.starts_after().any(|edge| {
            let late = |start: &StartTime| {
                let reached = if edge.until == Until::Ready { start.ready_s } else { start.start_s };
                edge.timeout_s.is_some_and(|timeout| reached > u64::from(timeout))
            };
            edge.on_timeout == OnTimeout::GiveUp && times.get(&edge.vm).is_none_or(late)
        });
        assert!(cause, "{what}: {} is given up without a cause", vm.name());
    }
}

#[test]
fn estimates_keep_limits_and_edges_and_waste_no_time() {
    let (mut given_up, mut gated) = (0, 0);
    for seed in 0..3_000 {
        let (cluster, policy, failure) = case(seed);
        let plan = Planner::new().restart(&cluster, &policy, &failure).unwrap();
        let placed: Vec<VmId> = plan.placements().iter().map(|placement| placement.vm).collect();
        let estimate = plan.estimate(&cluster, &policy);
        judge(&cluster, &policy, &placed, &estimate, &format!("seed {seed}"));
        given_up += estimate.given_up().len();
        if policy.start.tier_gate != TierGate::None {
            gated += 1;
        }
    }
    println!("{given_up} given up, {gated} with a gate");
    assert!(given_up > 100 && gated > 500);
}

/// With a gate that is never timed out, no VM of a band starts before all above it are started or ready.
#[test]
fn gates_are_kept() {
    for seed in 0..2_000 {
        let (cluster, mut policy, failure) = case(seed);
        policy.start.tier_timeout_s = 1_000_000;
        let plan = Planner::new().restart(&cluster, &policy, &failure).unwrap();
        let estimate = plan.estimate(&cluster, &policy);
        let starts = estimate.starts();
        let effective = |vm: VmId| cluster.vm(vm).unwrap().priority();
        // A VM that someone waits for belongs to his band: then this simple rule does not speak of it.
        let waited_for = |vm: VmId| cluster.vms().any(|other| other.starts_after().any(|edge| edge.vm == vm));
        for below in starts.iter().filter(|start| !waited_for(start.vm)) {
            for above in starts.iter().filter(|start| effective(start.vm) > effective(below.vm)) {
                match policy.start.tier_gate {
                    TierGate::None => {}
                    TierGate::Started => assert!(below.start_s >= above.start_s, "seed {seed}"),
                    TierGate::Ready => assert!(below.start_s >= above.ready_s, "seed {seed}"),
                }
            }
        }
    }
}
