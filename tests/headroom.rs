//! Headroom against every way to add one VM more, and reserves against the rules as they are written.
//!
//! Uses the test kit (`verdict_cases`, `random_small`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]

use lifeboat::document::to_json;
use lifeboat::policy::{FailureClass, Percent, Preemption, Reserve, Uncoverable};
use lifeboat::{
    Answer, Change, Cluster, Control, Guard, Headroom, Newcomer, Node, NodeId, NodeState, Policy, Priority,
    ReserveFigures, Reserves, ResourceKinds, RestartClass, Role, Vm, VmId, headroom, headroom_without, largest_vm,
    reserves_status, verify,
};
use lifeboat_testkit::Choices;
use lifeboat_testkit::random_small;
use lifeboat_testkit::verdict_cases::tight_from_seed;

fn with(cluster: &Cluster, shape: &[u64], nodes: &[NodeId]) -> Cluster {
    let mut more = cluster.clone();
    for (at, node) in nodes.iter().enumerate() {
        more.add_vm(Vm::named(format!("added {at}")).demand(shape).on(*node)).unwrap();
    }
    more
}

/// Whether everything that headroom kept is kept with these copies.
fn keeps(cluster: &Cluster, policy: &Policy, found: &Headroom, more: &Cluster) -> Answer {
    let mut kept = policy.clone();
    kept.tolerate = found.kept.iter().flatten().cloned().collect();
    let before = reserves_status(cluster, policy).unwrap();
    let after = reserves_status(more, policy).unwrap();
    if after.iter().zip(&before).any(|(after, before)| after.is_worse_than(before)) {
        return Answer::Fails;
    }
    // VMs that nothing could take before stand in nobody's way; one more does.
    let uncoverable = |cluster: &Cluster| -> Vec<VmId> {
        let verdict = verify(cluster, policy).unwrap();
        verdict.classes()[0].uncoverable().iter().map(|found| found.vm).collect()
    };
    let before = uncoverable(cluster);
    if policy.uncoverable == Uncoverable::Fail && uncoverable(more).iter().any(|vm| !before.contains(vm)) {
        return Answer::Fails;
    }
    verify(more, &kept).unwrap().classes()[0].rest()
}

/// Every way to start `count` copies, by today's room.
fn ways(room: &[(NodeId, u64)], count: u64) -> Vec<Vec<NodeId>> {
    let Some(((node, most), rest)) = room.split_first() else {
        return if count == 0 { vec![vec![]] } else { vec![] };
    };
    let mut all = Vec::new();
    for here in 0..=count.min(*most) {
        for mut way in ways(rest, count - here) {
            way.extend(std::iter::repeat_n(*node, here as usize));
            all.push(way);
        }
    }
    all
}

fn room(cluster: &Cluster, shape: &[u64]) -> Vec<(NodeId, u64)> {
    let open = cluster.nodes().filter(|node| node.state() == NodeState::Online && node.role() == Role::General);
    open.map(|node| {
        let kinds = node.allocatable().iter().zip(node.used()).zip(shape);
        let fit = kinds.filter_map(|((all, used), shape)| all.saturating_sub(*used).checked_div(*shape)).min();
        (node.id(), fit.unwrap_or(0))
    })
    .collect()
}

#[test]
fn no_way_exceeds_the_upper_bound_and_the_lower_one_holds() {
    let (mut exact, mut wide, mut least_is_best, mut searched) = (0, 0, 0, 0);
    for seed in 0..250 {
        let mut case = tight_from_seed(seed);
        let mut choices = Choices::from_seed(seed);
        let class = case.policy.tolerate[choices.below(case.policy.tolerate.len() as u64) as usize].clone();
        case.policy.tolerate = vec![class];
        if choices.chance(1, 3) {
            let percent = Percent::Auto { largest: choices.chance(1, 2), failures: 1 };
            case.policy.reserves = vec![Reserve::Percentage { percent, floor: vec![], mode: None }];
        } else if choices.chance(1, 3) {
            let failures = choices.below(2) as u32;
            case.policy.reserves =
                vec![Reserve::Slots { failures, floor: vec![], size: vec![], cap: vec![], mode: None }];
        }
        let shape: Vec<u64> = case.cluster.kinds().iter().map(|_| choices.between(2, 4)).collect();
        let what = || format!("seed {seed}, shape {shape:?}\n{}", to_json(&case.cluster, &case.policy));
        // What the overhead of a kind adds, counted here as part of the shape.
        let full: Vec<u64> =
            shape.iter().zip(case.cluster.kinds()).map(|(amount, kind)| amount + kind.per_vm).collect();
        let found = headroom(&case.cluster, &case.policy, &Newcomer::Shape(shape.clone().into())).unwrap();
        assert!(found.least <= found.most, "{found:?}, {}", what());
        assert_eq!(found.placements.len() as u64, found.least);
        if found.least > 0 {
            let more = with(&case.cluster, &shape, &found.placements);
            assert_eq!(keeps(&case.cluster, &case.policy, &found, &more), Answer::Holds, "{}", what());
        }
        if found.kept[0].is_none() {
            assert_eq!(found.most, 0);
            continue;
        }
        let room = room(&case.cluster, &full);
        let holds = |count: u64| {
            let ways = ways(&room, count);
            let tried = ways.iter().take(400);
            tried
                .filter(|way| {
                    let more = with(&case.cluster, &shape, way);
                    keeps(&case.cluster, &case.policy, &found, &more) == Answer::Holds
                })
                .count()
        };
        assert_eq!(holds(found.most + 1), 0, "more than {} fit, {}", found.most, what());
        if found.least == found.most {
            exact += 1;
        } else {
            wide += 1;
            searched += 1;
            least_is_best += u32::from(holds(found.least + 1) == 0);
        }
    }
    println!("{exact} exact, {wide} intervals; of {searched} intervals the least was the best in {least_is_best}");
    assert!(exact > wide, "most intervals are points");
    assert!(least_is_best * 10 >= searched * 7, "the least is mostly the best there is");
}

/// A small cluster whose nodes take more by day than when others are down, or less, or as much.
fn over_committed(choices: &mut Choices<'_>) -> (Cluster, Policy) {
    let mut kinds = vec![("cpu", ""), ("memory", "")];
    kinds.truncate(choices.between(1, 2) as usize);
    let width = kinds.len();
    let mut cluster = Cluster::new(ResourceKinds::new(kinds).unwrap(), ["rack"]).unwrap();
    let nodes: Vec<NodeId> = (0..choices.between(2, 4))
        .map(|at| {
            let capacity: Vec<u64> = (0..width).map(|_| choices.between(3, 9)).collect();
            let mut node = Node::named(format!("n{at}")).capacity(capacity);
            for kind in 0..width {
                node = node.overcommit(kind, choices.pick(&[50, 100, 100, 150, 175]));
                node = node.failover_overcommit(kind, choices.pick(&[50, 75, 100, 100, 150]));
            }
            if choices.chance(1, 2) {
                node = node.domain("rack", format!("r{}", choices.below(2)));
            }
            cluster.add_node(node).unwrap()
        })
        .collect();
    for at in 0..choices.below(6) {
        let demand: Vec<u64> = (0..width).map(|_| choices.between(0, 3)).collect();
        let mut vm = Vm::named(format!("v{at}")).demand(demand);
        vm.restart = choices.pick(&[RestartClass::Protected, RestartClass::Protected, RestartClass::BestEffort]);
        vm.priority = choices.pick(&[Priority::MEDIUM, Priority::HIGH]);
        let vm = if choices.chance(7, 8) { vm.on(choices.pick(&nodes)) } else { vm.powered_on() };
        cluster.add_vm(vm).unwrap();
    }
    let mut policy = Policy::default();
    let class = match choices.below(4) {
        0 => FailureClass::nodes(0),
        1 => FailureClass::units("rack", 1),
        _ => FailureClass::nodes(1),
    };
    policy.tolerate = vec![class];
    if choices.chance(1, 4) {
        policy.uncoverable = Uncoverable::Warn;
    }
    if choices.chance(1, 3) {
        policy.preemption = Preemption::BestEffort;
    }
    (cluster, policy)
}

/// How many copies a guard admits one after the other, in an order drawn anew.
fn admitted_at_random(choices: &mut Choices<'_>, cluster: &Cluster, policy: &Policy, shape: &[u64]) -> u64 {
    let mut guard = Guard::new(cluster.clone(), policy.clone());
    let mut nodes: Vec<Option<NodeId>> = cluster.nodes().map(|node| Some(node.id())).collect();
    nodes.push(None);
    let mut count = 0;
    while !nodes.is_empty() {
        let at = choices.below(nodes.len() as u64) as usize;
        let mut vm = Vm::named(format!("added {count}")).demand(shape);
        vm.node = nodes[at];
        let decision = guard.admit(&[Change::AddVm(Box::new(vm.powered_on()))]).unwrap();
        if decision.is_admitted() {
            guard.apply(decision).unwrap();
            count += 1;
        } else if nodes.swap_remove(at).is_none() {
            // Where the node was open, no node at all would have done.
            for node in cluster.nodes() {
                let vm = Vm::named(format!("added {count}")).demand(shape).on(node.id());
                let decision = guard.admit(&[Change::AddVm(Box::new(vm))]).unwrap();
                assert!(!decision.is_admitted(), "{}, {shape:?}\n{}", node.name(), to_json(guard.cluster(), policy));
            }
        }
    }
    count
}

/// What runs above the failover line takes no failover room away.
#[test]
fn admission_never_exceeds_the_upper_bound_however_nodes_are_over_committed() {
    let (mut reached, mut asked, mut lower) = (0, 0, 0);
    for seed in 0..600 {
        let mut choices = Choices::from_seed(seed);
        let (cluster, policy) = over_committed(&mut choices);
        let shape: Vec<u64> = cluster.kinds().iter().map(|_| choices.between(1, 4)).collect();
        let found = headroom(&cluster, &policy, &Newcomer::Shape(shape.clone().into())).unwrap();
        if found.kept[0].is_none() {
            continue;
        }
        let most = (0..6).map(|_| admitted_at_random(&mut choices, &cluster, &policy, &shape)).max().unwrap();
        let what = || format!("seed {seed}, shape {shape:?}\n{}", to_json(&cluster, &policy));
        assert!(most <= found.most, "{most} were admitted, at most {} are said, {}", found.most, what());
        asked += 1;
        reached += u32::from(most.max(found.least) == found.most);
        lower += u32::from(cluster.nodes().any(|node| {
            let mut rows = node.failover_allocatable().iter().zip(node.allocatable());
            rows.any(|(failover, today)| failover < today)
        }));
    }
    println!("{asked} asked, {lower} of them with a node that takes less by failover; {reached} reached the bound");
    assert!(asked > 400 && lower > 200 && reached * 10 > asked * 7, "{asked} {lower} {reached}");
}

/// The room of a node above its failover line takes newcomers, whose restart others have room for.
#[test]
fn newcomers_start_by_the_ordinary_over_commit() {
    let build = |level: &str, count: u32, nodes: [(u64, u32, u32); 2], (size, on): (u64, usize)| {
        let mut cluster = Cluster::new(ResourceKinds::new([("cpu", "")]).unwrap(), ["rack"]).unwrap();
        let nodes: Vec<NodeId> = ["n1", "n2"]
            .into_iter()
            .zip(nodes)
            .map(|(name, (capacity, today, failover))| {
                let node = Node::named(name).capacity([capacity]);
                cluster.add_node(node.overcommit(0, today).failover_overcommit(0, failover)).unwrap()
            })
            .collect();
        cluster.add_vm(Vm::named("v").demand([size]).on(nodes[on])).unwrap();
        let mut policy = Policy::default();
        policy.tolerate = vec![FailureClass::units(level, count)];
        (cluster, policy)
    };
    let cases = [
        (build("node", 0, [(8, 100, 75), (8, 100, 100)], (1, 1)), 7, 2),
        (build("rack", 1, [(4, 150, 100), (5, 100, 100)], (2, 0)), 3, 1),
    ];
    for ((cluster, policy), size, expected) in cases {
        let found = headroom(&cluster, &policy, &Newcomer::Shape([size].into())).unwrap();
        assert_eq!((found.least, found.most), (expected, expected));
        let mut guard = Guard::new(cluster, policy);
        for at in 0..=expected {
            let start = Change::AddVm(Box::new(Vm::named(format!("s{at}")).demand([size]).powered_on()));
            let decision = guard.admit(&[start]).unwrap();
            assert_eq!(decision.is_admitted(), at < expected, "{:?}", decision.violations());
            if at < expected {
                guard.apply(decision).unwrap();
            }
        }
    }
}

fn three(capacity: [u64; 3]) -> Cluster {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), [""; 0]).unwrap();
    for (name, capacity) in ["a", "b", "c"].into_iter().zip(capacity) {
        cluster.add_node(Node::named(name).capacity([capacity])).unwrap();
    }
    cluster
}

#[test]
fn a_big_node_is_worth_nothing_and_says_so() {
    // The complaint: a new host twice as large as the others changes nothing.
    let (policy, control) = (Policy::default(), Control::new());
    let shape = Newcomer::Shape([1].into());
    assert_eq!(headroom(&three([16, 16, 16]), &policy, &shape).unwrap().most, 32);
    let big = three([16, 16, 32]);
    let found = headroom(&big, &policy, &shape).unwrap();
    assert_eq!((found.least, found.most), (32, 32));
    let worth = |name: &str| {
        let node = big.node_id(name).unwrap();
        32 - headroom_without(&big, &policy, &shape, node, &control).unwrap().least
    };
    assert_eq!((worth("a"), worth("c")), (16, 16));
    // The largest VM is bounded by what is left when its node is lost.
    let largest = largest_vm(&big, &policy, &[1].into(), &control).unwrap();
    assert_eq!(largest.least.unwrap().0, [16].into());
    assert_eq!(largest.most, [16].into());
}

#[test]
fn copies_obey_the_rules_of_what_they_are_like() {
    use lifeboat::{Rule, RuleKind};
    let mut cluster = three([16, 16, 16]);
    let node = cluster.node_id("a").unwrap();
    let vm = cluster.add_vm(Vm::named("dc").demand([1]).on(node)).unwrap();
    let apart = RuleKind::Separate { level: "node".into(), max_per_domain: 1 };
    cluster.add_rule(Rule::new("apart", apart).vms([vm])).unwrap();
    let found = headroom(&cluster, &Policy::default(), &Newcomer::Like(vm)).unwrap();
    // Two of three nodes: when one of them is lost, its VM goes to the third.
    assert_eq!(found.least, 1);
    assert_eq!(headroom(&cluster, &Policy::default(), &Newcomer::Shape([1].into())).unwrap().least, 31);
}

#[test]
fn order_of_nodes_changes_nothing() {
    for seed in 0..40 {
        let mut choices = Choices::from_seed(seed);
        let nodes: Vec<(String, u64)> = (0..5).map(|at| (format!("n{at}"), choices.between(4, 12))).collect();
        let build = |nodes: &mut dyn Iterator<Item = &(String, u64)>| {
            let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), [""; 0]).unwrap();
            for (name, capacity) in nodes {
                cluster.add_node(Node::named(name).capacity([*capacity])).unwrap();
            }
            cluster
        };
        let names = |cluster: &Cluster| {
            let found = headroom(cluster, &Policy::default(), &Newcomer::Shape([2].into())).unwrap();
            let names: Vec<String> =
                found.placements.iter().map(|node| cluster.node(*node).unwrap().name().to_string()).collect();
            (found.least, found.most, names)
        };
        let forward = names(&build(&mut nodes.iter()));
        assert_eq!(forward, names(&build(&mut nodes.iter().rev())), "seed {seed}");
        // A node more never takes headroom away.
        let mut larger = nodes.clone();
        larger.push(("another".into(), choices.between(1, 12)));
        assert!(names(&build(&mut larger.iter())).0 >= forward.0, "seed {seed}");
    }
}

/// Every size, one after the other, against what a guard admits.
#[test]
fn the_largest_vm_is_found_to_the_unit() {
    let (mut exact, mut asked) = (0, 0);
    for seed in 0..300 {
        let mut choices = Choices::from_seed(seed);
        let (cluster, policy) = over_committed(&mut choices);
        let shape: Vec<u64> = cluster.kinds().iter().map(|_| choices.between(1, 5000)).collect();
        let found = largest_vm(&cluster, &policy, &shape.clone().into(), &Control::new()).unwrap();
        let unit = *shape.iter().max().unwrap();
        let size = |size: u64| shape.iter().map(|amount| (amount * size).div_ceil(unit)).collect::<Vec<u64>>();
        let mut guard = Guard::new(cluster.clone(), policy.clone());
        let what = || format!("seed {seed}, shape {shape:?}, {found:?}\n{}", to_json(&cluster, &policy));
        if guard.items().unwrap().iter().any(|item| !item.is_ok()) {
            continue;
        }
        let admits = |guard: &mut Guard, size: &[u64]| {
            let admits = |node: NodeId| {
                let vm = Vm::named("one").demand(size).on(node);
                guard.admit(&[Change::AddVm(Box::new(vm))]).unwrap().is_admitted()
            };
            cluster.nodes().map(|node| node.id()).any(admits)
        };
        let largest = (1..40).rev().find(|at| admits(&mut guard, &size(*at)));
        let largest = largest.map_or_else(|| vec![0; shape.len()], size);
        let fits = |small: &[u64], large: &[u64]| small.iter().zip(large).all(|(small, large)| small <= large);
        assert!(fits(&largest, &found.most), "{largest:?}, {}", what());
        asked += 1;
        if let Some((least, node)) = &found.least {
            let vm = Vm::named("one").demand(least.clone()).on(*node);
            assert!(guard.admit(&[Change::AddVm(Box::new(vm))]).unwrap().is_admitted(), "{}", what());
        }
        let least = found.least.map_or_else(|| vec![0; shape.len()], |(least, _)| least.iter().copied().collect());
        exact += u32::from(least == largest);
    }
    println!("{exact} of {asked} exact");
    assert!(asked > 100 && exact * 20 >= asked * 19, "{exact} of {asked}");
}

/// The reserves of every kind, as the rules of `naive` count them.
fn reserves(choices: &mut Choices<'_>, cluster: &Cluster) -> Vec<Reserve> {
    let mut amounts = |most: u64| -> Vec<(String, u64)> {
        let kinds: Vec<String> = cluster.kinds().iter().map(|kind| kind.name.clone()).collect();
        kinds.into_iter().filter_map(|kind| choices.chance(1, 2).then(|| (kind, choices.below(most)))).collect()
    };
    let percent = amounts(101).into_iter().map(|(kind, percent)| (kind, percent as u32)).collect();
    vec![
        Reserve::Percentage { percent: Percent::Given(percent), floor: amounts(3), mode: None },
        Reserve::Percentage { percent: Percent::Auto { largest: true, failures: 2 }, floor: amounts(3), mode: None },
        Reserve::Percentage { percent: Percent::Auto { largest: false, failures: 1 }, floor: amounts(3), mode: None },
        Reserve::Slots { failures: 1, floor: amounts(3), size: vec![], cap: amounts(4), mode: None },
        Reserve::Slots { failures: 0, floor: vec![], size: amounts(5), cap: amounts(4), mode: None },
        Reserve::SpareNodes { mode: None },
        Reserve::Free { total: amounts(30), one_node: amounts(9), mode: None },
    ]
}

fn of(list: &[(String, u64)], kind: &str) -> Option<u64> {
    list.iter().find(|(name, _)| name == kind).map(|(_, amount)| *amount)
}

/// Whether a reserve is held, straight from the rule.
fn naive(cluster: &Cluster, reserve: &Reserve) -> bool {
    let kinds: Vec<_> = cluster.kinds().iter().cloned().collect();
    let counted: Vec<_> =
        cluster.nodes().filter(|node| node.role() == Role::General && node.state() != NodeState::Maintenance).collect();
    let row = |floor: &[(String, u64)], vm: lifeboat::VmRef<'_>| -> Vec<u128> {
        let kinds = kinds.iter().enumerate();
        kinds
            .map(|(at, kind)| {
                let floor = of(floor, &kind.name).unwrap_or(if kind.unit == "MHz" { 32 } else { 0 });
                u128::from(vm.reservation()[at].max(floor + kind.per_vm))
            })
            .collect()
    };
    let on: Vec<_> = cluster.vms().filter(|vm| vm.is_on()).collect();
    match reserve {
        Reserve::Percentage { percent, floor, .. } => kinds.iter().enumerate().all(|(at, kind)| {
            let mut sizes: Vec<u128> = counted.iter().map(|node| u128::from(node.allocatable()[at])).collect();
            let total: u128 = sizes.iter().sum();
            let used: u128 = on.iter().map(|vm| row(floor, *vm)[at]).sum();
            if total == 0 {
                return true;
            }
            sizes.sort_unstable_by(|left, right| right.cmp(left));
            let required = match percent {
                Percent::Given(given) => match given.iter().find(|(name, _)| *name == kind.name) {
                    Some((_, percent)) => u128::from(*percent),
                    None => return true,
                },
                Percent::Auto { largest: true, failures } => {
                    (100 * sizes.iter().take(*failures as usize).sum::<u128>()).div_ceil(total)
                }
                Percent::Auto { failures, .. } => (100 * u128::from(*failures)).div_ceil(sizes.len() as u128).min(100),
            };
            100 * total.saturating_sub(used) / total >= required
        }),
        Reserve::Slots { failures, floor, size, cap, .. } => {
            let rows: Vec<Vec<u128>> = on.iter().map(|vm| row(floor, *vm)).collect();
            let slot: Vec<u128> = kinds
                .iter()
                .enumerate()
                .map(|(at, kind)| {
                    let largest = rows.iter().map(|row| row[at]).max().unwrap_or(0);
                    let capped = largest.min(of(cap, &kind.name).map_or(u128::MAX, u128::from));
                    of(size, &kind.name).map_or(capped, u128::from)
                })
                .collect();
            let real: Vec<usize> = (0..slot.len()).filter(|at| slot[*at] > 0).collect();
            if real.is_empty() {
                return true;
            }
            let mut slots: Vec<u128> = counted
                .iter()
                .map(|node| real.iter().map(|at| u128::from(node.allocatable()[*at]) / slot[*at]).min().unwrap())
                .collect();
            slots.sort_unstable_by(|left, right| right.cmp(left));
            let used: u128 =
                rows.iter().map(|row| real.iter().map(|at| row[*at].div_ceil(slot[*at])).max().unwrap().max(1)).sum();
            slots.iter().skip(*failures as usize).sum::<u128>() >= used
        }
        Reserve::SpareNodes { .. } => cluster
            .nodes()
            .filter(|node| node.role() == Role::Spare)
            .all(|node| !node.state().runs_vms() || (node.vms().len() == 0 && node.incoming().len() == 0)),
        Reserve::Free { total, one_node, .. } => {
            let open: Vec<Vec<u64>> = cluster
                .nodes()
                .filter(|node| node.role() == Role::General && node.state() == NodeState::Online)
                .map(|node| {
                    node.allocatable().iter().zip(node.used()).map(|(all, used)| all.saturating_sub(*used)).collect()
                })
                .collect();
            let wants = |list: &[(String, u64)], have: &dyn Fn(usize) -> u64| {
                kinds.iter().enumerate().all(|(at, kind)| of(list, &kind.name).is_none_or(|want| have(at) >= want))
            };
            wants(total, &|at| open.iter().map(|free| free[at]).sum())
                && (one_node.iter().all(|(_, amount)| *amount == 0)
                    || open.iter().any(|free| wants(one_node, &|at| free[at])))
        }
        _ => unreachable!("no other kind"),
    }
}

#[test]
fn reserves_follow_every_edit_and_agree_with_the_rules() {
    let (mut held, mut short) = (0, 0);
    for seed in 0..400 {
        let mut choices = Choices::from_seed(seed);
        let case = random_small::from_seed(seed, random_small::Limits::default());
        let (mut cluster, mut policy) = (case.cluster, case.policy);
        policy.reserves = reserves(&mut choices, &cluster);
        let mut kept = Reserves::new(&cluster, &policy).unwrap();
        for _ in 0..12 {
            let nodes: Vec<NodeId> = cluster.nodes().map(|node| node.id()).collect();
            let vms: Vec<_> = cluster.vms().map(|vm| vm.id()).collect();
            let mut touched = Vec::new();
            if !vms.is_empty() && choices.chance(3, 4) {
                let vm = vms[choices.below(vms.len() as u64) as usize];
                touched.extend(cluster.vm(vm).unwrap().node());
                touched.extend(cluster.vm(vm).unwrap().migrating_to());
                let to = choices.chance(3, 4).then(|| nodes[choices.below(nodes.len() as u64) as usize]);
                let result = match choices.below(4) {
                    0 => cluster.start_vm(vm, to),
                    1 => cluster.stop_vm(vm),
                    2 => cluster.remove_vm(vm),
                    _ => cluster.move_vm(vm, to),
                };
                let _ = result;
                touched.extend(to);
                kept.refresh_vm(&cluster, vm);
            } else {
                let node = nodes[choices.below(nodes.len() as u64) as usize];
                let state = choices.pick(NodeState::ALL);
                // Where a source fails, the claims of its migrations are released.
                for vm in cluster.node(node).unwrap().vms() {
                    touched.extend(cluster.vm(vm).unwrap().migrating_to());
                }
                let _ = cluster.set_node_state(node, state);
                touched.push(node);
            }
            for node in touched {
                kept.refresh_node(&cluster, node);
            }
            let fresh = reserves_status(&cluster, &policy).unwrap();
            assert_eq!(kept.status(&cluster), fresh, "seed {seed}");
            for (reserve, status) in policy.reserves.iter().zip(&fresh) {
                let what = || format!("seed {seed}, {reserve:?}, {status:?}\n{}", to_json(&cluster, &policy));
                assert_eq!(status.held, naive(&cluster, reserve), "{}", what());
                assert_eq!(status.held, status.shortfalls.iter().all(|short| *short == 0), "{}", what());
                if let ReserveFigures::Slots(figures) = &status.figures {
                    // The capacity by its definition: whether k is within it, for every k.
                    for failures in 0..=figures.nodes {
                        let Reserve::Slots { floor, size, cap, .. } = reserve else { panic!("slots") };
                        let asked = Reserve::Slots {
                            failures,
                            floor: floor.clone(),
                            size: size.clone(),
                            cap: cap.clone(),
                            mode: None,
                        };
                        let within = figures.failover_capacity.is_some_and(|most| failures <= most);
                        assert_eq!(naive(&cluster, &asked), within, "{failures} lost, {}", what());
                    }
                }
                if status.held { held += 1 } else { short += 1 }
            }
        }
    }
    println!("{held} held, {short} short");
    assert!(held > 1000 && short > 1000);
}

/// By a guard's ledgers: the interval of a verdict made anew, and placements that no verdict refutes. So close to the limit a
/// verdict made anew may not find the plans that the ledgers have.
#[test]
fn a_guard_tells_the_headroom_from_its_ledgers() {
    use lifeboat::policy::FailureClass;
    use lifeboat::{Guard, headroom_guarded};
    use lifeboat_testkit::generate::Shape;
    for (nodes, losses) in [(64, 1), (64, 2), (300, 2)] {
        let cluster = Shape::new(nodes, nodes * 10).utilisation(60).build();
        let mut policy = Policy::default();
        policy.tolerate = vec![FailureClass::nodes(losses)];
        let shape: Vec<u64> = cluster.vms().next().unwrap().demand().to_vec();
        let newcomer = Newcomer::Shape(shape.clone().into());
        let mut guard = Guard::new(cluster.clone(), policy.clone());
        let found = headroom_guarded(&mut guard, &newcomer, &Control::new()).unwrap();
        let fresh = headroom(&cluster, &policy, &newcomer).unwrap();
        println!("{nodes} nodes, {losses} losses: {} to {}, anew {}", found.least, found.most, fresh.least);
        assert_eq!(found.most, fresh.most);
        assert!(found.least <= found.most && found.least * 100 >= found.most * 80, "{} {}", found.least, found.most);
        let more = with(&cluster, &shape, &found.placements);
        assert_ne!(keeps(&cluster, &policy, &found, &more), Answer::Fails, "{nodes} nodes, {losses} losses");
    }
}

/// VMs that nothing could take stand in nobody's way: what admission keeps beside them is what headroom keeps.
#[test]
fn uncoverable_vms_leave_the_promise_to_the_others_as_it_is() {
    for uncoverable in [Uncoverable::Fail, Uncoverable::Warn] {
        let mut cluster = Cluster::new(ResourceKinds::new([("memory", "")]).unwrap(), [""; 0]).unwrap();
        let nodes = ["a", "b", "c"].map(|name| cluster.add_node(Node::named(name).capacity([10])).unwrap());
        let mut local = Vm::named("local").demand([1]).on(nodes[0]);
        local.allowed_nodes = Some(vec![nodes[0]]);
        cluster.add_vm(local).unwrap();
        let mut policy = Policy::default();
        policy.uncoverable = uncoverable;
        let found = headroom(&cluster, &policy, &Newcomer::Shape([2].into())).unwrap();
        assert_eq!((found.least, found.most), (9, 9));
        let mut guard = Guard::new(cluster, policy);
        for (at, node) in found.placements.iter().enumerate() {
            let start = Change::AddVm(Box::new(Vm::named(format!("s{at}")).demand([2]).on(*node)));
            let decision = guard.admit(&[start]).unwrap();
            assert!(decision.is_admitted(), "{:?}", decision.violations());
            guard.apply(decision).unwrap();
        }
        let more = Change::AddVm(Box::new(Vm::named("more").demand([2]).powered_on()));
        assert!(!guard.admit(&[more]).unwrap().is_admitted());
    }
}

/// Copies that nothing could take, where the policy only warns of them, are bounded by what nodes have free.
#[test]
fn copies_that_cannot_be_covered_are_admitted_where_the_policy_warns() {
    for (uncoverable, expected) in [(Uncoverable::Warn, 6), (Uncoverable::Fail, 0)] {
        let mut cluster = Cluster::new(ResourceKinds::new([("memory", "")]).unwrap(), ["rack"]).unwrap();
        for name in ["a", "b"] {
            cluster.add_node(Node::named(name).capacity([10]).domain("rack", "only")).unwrap();
        }
        let mut policy = Policy::default();
        policy.tolerate = vec![FailureClass::units("rack", 1)];
        policy.uncoverable = uncoverable;
        let found = headroom(&cluster, &policy, &Newcomer::Shape([3].into())).unwrap();
        assert_eq!((found.least, found.most), (expected, expected));
    }
}
