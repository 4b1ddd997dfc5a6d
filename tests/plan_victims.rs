//! Evictions with more candidates than every set of can be tried: how many victims against how many are enough.
//!
//! Uses the planner and the checker, on clusters that are made around a solution.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]

use lifeboat::policy::Preemption;
use lifeboat::{
    Cluster, Failure, Node, NodeId, Planner, Policy, Priority, ResourceKinds, RestartClass, RestartPlan, Rule,
    RuleKind, Vm, check_plan,
};

/// A small generator of numbers: the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

fn empty(kinds: usize, nodes: usize, room: u64) -> (Cluster, Vec<NodeId>) {
    let names = [("cpu", ""), ("memory", "")];
    let mut cluster = Cluster::new(ResourceKinds::new(names[..kinds].to_vec()).unwrap(), [""; 0]).unwrap();
    let all = (0..nodes).map(|at| {
        let node = Node::named(format!("n{at:02}")).capacity(vec![room; kinds]);
        cluster.add_node(node).unwrap()
    });
    let all = all.collect();
    (cluster, all)
}

/// How many are evicted, and how many displaced VMs are left out all the same; the plan is legal.
fn victims(cluster: &Cluster, failed: NodeId, preemption: Preemption) -> (usize, usize) {
    let mut policy = Policy::default();
    policy.preemption = preemption;
    let failure = Failure::of([failed]);
    let plan = Planner::new().restart(cluster, &policy, &failure).unwrap();
    check_plan(cluster, &policy, &failure, &plan).unwrap();
    let gone = |vm| plan.evictions().iter().any(|gone| gone.vm == vm);
    let left_out = plan.unplaced().iter().filter(|left| !gone(left.vm)).count();
    (plan.evictions().len(), left_out)
}

/// Every displaced VM needs a victim of its own, as no hole takes it and no victim's room takes two: exactly as many
/// victims are needed, and there are as many that leave just enough, among small ones that are no help.
#[test]
fn one_victim_each_where_one_each_is_enough() {
    for seed in 0..30 {
        let mut numbers = Numbers(seed);
        let count = 10 + numbers.below(16) as usize;
        let (mut cluster, nodes) = empty(1, count + 1, 64);
        let wanted = 2 + numbers.below(count as u64 - 2) as usize;
        for (at, node) in nodes[1..].iter().enumerate() {
            let (large, free) = (12 + numbers.below(8), numbers.below(3));
            let mut add = |name: String, size| {
                let vm = Vm::named(name).demand([size]).on(*node).restart(RestartClass::BestEffort);
                cluster.add_vm(vm).unwrap();
            };
            add(format!("large{at:02}"), large);
            let mut left = 64 - large - free;
            while left > 0 {
                let size = left.min(1 + numbers.below(7));
                left -= size;
                add(format!("small{at:02}-{left}"), size);
            }
            if at < wanted {
                cluster.add_vm(Vm::named(format!("db{at:02}")).demand([large + free]).on(nodes[0])).unwrap();
            }
        }
        // Displaced VMs beyond the room of their node are where reality is bad: their node fails.
        let candidates = cluster.vms().filter(|vm| vm.restart() == RestartClass::BestEffort).count();
        let found = victims(&cluster, nodes[0], Preemption::BestEffort);
        assert_eq!(found, (wanted, 0), "seed {seed}, {candidates} candidates");
    }
}

/// Two kinds, full nodes, and VMs that fit exactly where some victims were: legal plans, never fewer victims than amounts
/// allow where all are placed, and not many more in all than are enough. (Not every plan places all: some such puzzles are
/// beyond the budget.)
#[test]
fn not_many_more_victims_than_are_enough() {
    let (mut found, mut enough, mut least, mut left) = (0, 0, 0, 0);
    for seed in 100..106 {
        let mut numbers = Numbers(seed);
        let count = 6 + numbers.below(14) as usize;
        let (mut cluster, nodes) = empty(2, count + 1, 100);
        let (mut sizes, mut needed, mut free) = (Vec::new(), [0, 0], [0, 0]);
        for (at, node) in nodes[1..].iter().enumerate() {
            let mut left = [100_u64, 100];
            let mut gone = [0, 0];
            for number in 0..12 {
                let size = [1 + numbers.below(20), 1 + numbers.below(20)];
                if size[0] > left[0] || size[1] > left[1] {
                    break;
                }
                left = [left[0] - size[0], left[1] - size[1]];
                sizes.push(size);
                let priority = Priority(numbers.below(3) as u32 * 1000);
                let vm = Vm::named(format!("b{at:02}-{number}")).demand(size).on(*node);
                cluster.add_vm(vm.restart(RestartClass::BestEffort).priority(priority)).unwrap();
                if numbers.below(5) == 0 {
                    gone = [gone[0] + size[0], gone[1] + size[1]];
                    enough += 1;
                }
            }
            if gone[0] > 0 {
                let size = [gone[0] + left[0], gone[1] + left[1]];
                needed = [needed[0] + size[0], needed[1] + size[1]];
                cluster.add_vm(Vm::named(format!("db{at:02}")).demand(size).on(nodes[0])).unwrap();
            }
            free = [free[0] + left[0], free[1] + left[1]];
        }
        let bound = |kind: usize| {
            let mut largest: Vec<u64> = sizes.iter().map(|size| size[kind]).collect();
            largest.sort_unstable_by(|left, right| right.cmp(left));
            let mut sum = 0;
            largest
                .iter()
                .take_while(|size| {
                    let more = sum + free[kind] < needed[kind];
                    sum += **size;
                    more
                })
                .count()
        };
        let (here, left_out) = victims(&cluster, nodes[0], Preemption::BestEffort);
        let bound = bound(0).max(bound(1));
        assert!(left_out > 0 || here >= bound, "seed {seed}: {here} victims, and no fewer than {bound} are enough");
        found += here;
        left += left_out;
        least += bound;
    }
    println!("{found} victims; {enough} are enough, {least} at least; {left} VMs left out");
    assert!(found <= enough * 2);
}

/// A candidate that a rule keeps apart from a VM makes way for it, though there is room beside it.
#[test]
fn who_is_in_the_way_by_a_rule_makes_way() {
    let (mut cluster, nodes) = empty(1, 14, 64);
    let db = cluster.add_vm(Vm::named("db").demand([4]).on(nodes[0])).unwrap();
    let mut apart = vec![db];
    for (at, node) in nodes[1..].iter().enumerate() {
        let vm = Vm::named(format!("b{at:02}")).demand([4]).on(*node).restart(RestartClass::BestEffort);
        apart.push(cluster.add_vm(vm).unwrap());
    }
    let kind = RuleKind::Separate { level: "node".into(), max_per_domain: 1 };
    cluster.add_rule(Rule::new("apart", kind).vms(apart)).unwrap();
    assert_eq!(victims(&cluster, nodes[0], Preemption::BestEffort), (1, 0));
    assert_eq!(victims(&cluster, nodes[0], Preemption::LowerPriority), (1, 0));
}

/// In clusters of hundreds of nodes, some of them over-full: with evictions allowed nobody more important stays down than
/// without, and no protected VM does while a single best-effort VM in its way could go.
#[test]
fn large_clusters_make_way_too() {
    let mut evicted = 0;
    for (seed, nodes) in [(1, 60), (2, 200), (3, 400)] {
        let mut numbers = Numbers(seed);
        let (mut cluster, all) = empty(2, nodes, 110);
        for at in 0..nodes * 10 {
            let class = if numbers.below(2) == 0 { RestartClass::Protected } else { RestartClass::BestEffort };
            let vm = Vm::named(format!("v{at:05}")).demand([1 + numbers.below(20), 1 + numbers.below(20)]);
            let vm = vm.priority(Priority(1_000 + 1_000 * numbers.below(3) as u32)).restart(class);
            cluster.add_vm(vm.on(all[at % nodes])).unwrap();
        }
        let failure = Failure::of(all.iter().step_by(10).copied());
        let plan_with = |preemption| {
            let mut policy = Policy::default();
            policy.preemption = preemption;
            let plan = Planner::new().restart(&cluster, &policy, &failure).unwrap();
            check_plan(&cluster, &policy, &failure, &plan).unwrap();
            plan
        };
        let (without, with) = (plan_with(Preemption::Never), plan_with(Preemption::BestEffort));
        let protected = |plan: &RestartPlan| -> Vec<u32> {
            let classes = plan.classes().iter().filter(|class| class.restart == RestartClass::Protected);
            classes.map(|class| class.placed).collect()
        };
        assert!(protected(&with) >= protected(&without), "seed {seed}");
        evicted += with.evictions().len();
        let gone = |vm| with.evictions().iter().any(|gone| gone.vm == vm);
        for left in with.unplaced().iter().map(|left| cluster.vm(left.vm).unwrap()) {
            if left.restart() != RestartClass::Protected {
                continue;
            }
            for node in cluster.nodes().filter(|node| !failure.contains(node.id())) {
                let placed = with.placements().iter().filter(|placed| placed.node == node.id());
                let placed: Vec<_> = placed.map(|placed| cluster.vm(placed.vm).unwrap()).collect();
                let stay: Vec<_> = node.vms().filter(|vm| !gone(*vm)).map(|vm| cluster.vm(vm).unwrap()).collect();
                for victim in stay.iter().filter(|vm| vm.restart() == RestartClass::BestEffort) {
                    let load = |kind: usize| {
                        let stay = stay.iter().filter(|vm| vm.id() != victim.id()).map(|vm| vm.demand()[kind]);
                        stay.chain(placed.iter().map(|vm| vm.restart_demand()[kind])).sum::<u64>()
                    };
                    let fits = (0..2).all(|kind| load(kind) + left.restart_demand()[kind] <= 110);
                    assert!(!fits, "seed {seed}: {} could take the room of {}", left.name(), victim.name());
                }
            }
        }
    }
    assert!(evicted > 10, "{evicted}");
}

/// A victim may make room for a third VM: somebody who may evict it starts where it was, though another node would do.
#[test]
fn an_evictor_starts_where_it_helps_another() {
    let (mut cluster, nodes) = empty(1, 3, 11);
    let (failed, wide, narrow) = (nodes[0], nodes[1], nodes[2]);
    let labelled = Node::named("n02").capacity([7]).label("a");
    cluster.update_node(narrow, labelled).unwrap();
    let victim = cluster.add_vm(Vm::named("v0").demand([4]).on(narrow)).unwrap();
    cluster.add_vm(Vm::named("v2").demand([2]).priority(Priority(2_500)).on(failed)).unwrap();
    cluster.add_vm(Vm::named("v4").demand([1]).requires("a").on(failed)).unwrap();
    cluster.add_vm(Vm::named("v8").demand([3]).on(narrow)).unwrap();
    let mut policy = Policy::default();
    policy.preemption = Preemption::LowerPriority;
    let failure = Failure::of([failed]);
    let plan = Planner::new().restart(&cluster, &policy, &failure).unwrap();
    check_plan(&cluster, &policy, &failure, &plan).unwrap();
    assert!(plan.is_optimal() && plan.unplaced().is_empty());
    assert_eq!(plan.evictions().iter().map(|gone| gone.vm).collect::<Vec<_>>(), [victim]);
    assert!(plan.placements().iter().any(|placed| placed.vm == victim && placed.node == wide));
}
