//! The six promises of SPEC.md, each as a property of random small clusters with rules, domains and states.
//!
//! Uses the test kit: `verdict` (truth by exhaustion), `verdict_cases` and `random_small` (clusters), `verdict_replay`
//! (losses one after another), `rebuild` (the same cluster in another order, under other names, or changed).
//! `PROPTEST_CASES=10000 cargo test --release --test promises` asks more of them.

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

use lifeboat::document::to_json;
use lifeboat::policy::{FailureClass, Preemption};
use lifeboat::{
    Answer, Certificate, ClassVerdict, Cluster, Covers, Document, Evidence, Failure, Guard, Node, NodeId, NodeState,
    Planner, Policy, Proof, Reason, ResourceKinds, RestartClass, RuleKind, StoredCertificates, Strength, Vm, VmId,
    VmRef, check_certificate, check_counterexample, check_plan, check_verdict, read_changes, verify,
};
use lifeboat_testkit::random_small::{self, Limits};
use lifeboat_testkit::rebuild::Rebuild;
use lifeboat_testkit::verdict::{Outcome, displaced, failures, nodes_of, outcome};
use lifeboat_testkit::verdict_cases::{
    VerdictCase, classes, roomy_from_seed, ruled_from_seed, scarce_from_seed, tight_from_seed,
};
use lifeboat_testkit::verdict_replay::{Broken, Order, Played, Restart, replay};
use lifeboat_testkit::{Case, Choices};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::collections::{BTreeMap, BTreeSet};

/// How many partial plans the reference may look at for one failure.
const LIMIT: u64 = 1_000_000;

fn config(cases: u32) -> ProptestConfig {
    // A multiple of the usual number, so that the environment's PROPTEST_CASES scales all of them.
    let usual = ProptestConfig::default();
    let cases = (u64::from(usual.cases) * u64::from(cases) / 256) as u32;
    ProptestConfig { cases, failure_persistence: None, ..usual }
}

/// Mostly a tight case; one in eight is roomy, where banks apply, some have many rules, and some VMs with few places.
fn case(seed: u64) -> VerdictCase {
    match seed % 16 {
        0 | 1 => roomy_from_seed(seed),
        2 => ruled_from_seed(seed),
        3 => scarce_from_seed(seed),
        _ => tight_from_seed(seed),
    }
}

/// The same for a game: a verdict counts on evicting best-effort VMs alone, and so must the plans.
fn playable(seed: u64) -> VerdictCase {
    let mut case = case(seed);
    if case.policy.preemption == Preemption::LowerPriority {
        case.policy.preemption = Preemption::BestEffort;
    }
    case
}

fn with_class(policy: &Policy, class: &FailureClass) -> Policy {
    let mut one = policy.clone();
    one.tolerate = vec![class.clone()];
    one
}

/// These nodes, and the unreachable ones, which count as failed in every scenario.
fn failure_of(cluster: &Cluster, nodes: &BTreeSet<NodeId>) -> Failure {
    let dead = cluster.nodes().filter(|node| node.state() == NodeState::Unreachable).map(|node| node.id());
    Failure::of(nodes.iter().copied().chain(dead))
}

fn left_out(class: &ClassVerdict) -> BTreeSet<VmId> {
    class.uncoverable().iter().map(|found| found.vm).collect()
}

/// The VMs that a class promises to bring back after these nodes have failed.
fn promised(cluster: &Cluster, class: &ClassVerdict, nodes: &BTreeSet<NodeId>) -> BTreeSet<VmId> {
    let without = left_out(class);
    let all = displaced(cluster, class.class().min_priority, nodes).into_iter();
    all.filter(|vm| !without.contains(vm)).collect()
}

/// Plays every loss of a class against the planner that holds the certificate.
fn play(
    case: &VerdictCase,
    policy: &Policy,
    class: &ClassVerdict,
    certificate: &Certificate,
) -> Result<Played, Broken> {
    let order = if certificate.covers() == Covers::AnyOrder { Order::AnyOrder } else { Order::AtOnce };
    let begin = certificate.begin(&case.cluster).expect("its own state");
    let mut planner = Planner::new();
    replay(&case.cluster, policy, class.class(), &left_out(class), order, begin, |moment| {
        let mut cover = moment.memory.clone();
        let failure = Failure::of(moment.now.iter().copied());
        let plan = planner.restart_covered(&mut cover, moment.cluster, policy, &failure).ok()?;
        let evictions: Vec<(VmId, NodeId)> =
            plan.evictions().iter().map(|evicted| (evicted.vm, evicted.node)).collect();
        let placements = plan.placements().iter().map(|placed| (placed.vm, placed.node)).collect();
        Some((Restart { placements, evictions }, cover))
    })
}

fn keeps_what_it_proves(seed: u64) -> Result<(), TestCaseError> {
    let case = playable(seed);
    let VerdictCase { cluster, policy } = &case;
    let mut planner = Planner::new();
    for class in &policy.tolerate {
        let policy = with_class(policy, class);
        let verdict = verify(cluster, &policy).expect("a class of the cluster");
        let found = &verdict.classes()[0];
        let Some(certificate) = found.certificate() else { continue };
        for units in failures(cluster, &policy, class) {
            let nodes = nodes_of(&units);
            let failure = failure_of(cluster, &nodes);
            let plan = planner.restart_with(certificate, cluster, &policy, &failure);
            let plan = plan.map_err(|error| TestCaseError::fail(format!("{units:?}: {error}")))?;
            let legal = check_plan(cluster, &policy, &failure, &plan);
            prop_assert!(legal.is_ok(), "{units:?}: {legal:?}\n{}", to_json(cluster, &policy));
            let placed: BTreeSet<VmId> = plan.placements().iter().map(|placed| placed.vm).collect();
            let missing: Vec<VmId> = promised(cluster, found, &nodes).difference(&placed).copied().collect();
            prop_assert!(missing.is_empty(), "{units:?}: {missing:?}\n{}", to_json(cluster, &policy));
        }
        let played = play(&case, &policy, found, certificate);
        prop_assert!(played.is_ok(), "{:?}\n{}", played, to_json(cluster, &policy));
    }
    Ok(())
}

fn is_refused_or_good(seed: u64, at: u64) -> Result<(), TestCaseError> {
    let case = playable(seed);
    let mut choices = Choices::from_seed(at);
    for class in &case.policy.tolerate {
        let policy = with_class(&case.policy, class);
        let verdict = verify(&case.cluster, &policy).expect("a class of the cluster");
        let found = &verdict.classes()[0];
        let Some(certificate) = found.certificate() else { continue };
        let stored = StoredCertificates::new(&case.cluster, [certificate]);
        let mut value = serde_json::to_value(stored).expect("JSON");
        let columns = value["classes"][0]["columns"].as_array_mut().expect("columns");
        if columns.is_empty() {
            continue;
        }
        let column = choices.index(columns.len());
        let targets = columns[column]["targets"].as_array_mut().expect("targets");
        if targets.is_empty() {
            continue;
        }
        let entry = choices.index(targets.len());
        let other = choices.below(case.cluster.node_count() as u64);
        if targets[entry] == other {
            continue;
        }
        targets[entry] = other.into();
        let read: StoredCertificates = serde_json::from_value(value).expect("the form is right");
        let Ok(read) = read.certificates(&case.cluster) else { continue };
        if check_certificate(&case.cluster, &policy, &read[0]).is_ok() {
            let played = play(&case, &policy, found, &read[0]);
            prop_assert!(played.is_ok(), "accepted, and {:?}\n{}", played, to_json(&case.cluster, &policy));
        }
    }
    Ok(())
}

/// What was wrong once. A rack that was lost counted as a node and a rack, so that nothing more seemed to be covered and
/// the room for it was given away; a node alone in its rack was checked as the rack and lost as the node.
#[test]
fn what_was_broken_stays_whole() {
    // Who was evicted and found a place elsewhere counts for `spread`.
    is_refused_or_good(3_381_860_165_449_185_403, 0).expect("good");
    // A plan that was evened out no longer needed an eviction.
    keeps_what_it_proves(2_155_181_363_417_567_668).expect("kept");
    keeps_what_it_proves(17_841_396_193_219_050_856).expect("the promise");
    is_refused_or_good(17_266_425_069_990_431_922, 3_668_862_358_067_980_618).expect("the promise");
}

proptest! {
    #![proptest_config(config(96))]

    /// Promise 1. For every class that holds, the planner that has the certificate answers every failure of the class with
    /// a legal plan that places every protected VM; where losses one after another are covered, also loss by loss.
    #[test]
    fn the_verdict_is_the_plan(seed in any::<u64>()) {
        keeps_what_it_proves(seed)?;
    }

    /// Promise 2. Every yes and no passes the checker; a budget that grows decides more and never loses an answer.
    #[test]
    fn yes_and_no_come_with_evidence(seed in any::<u64>()) {
        let VerdictCase { cluster, policy } = case(seed);
        let mut known: Vec<Option<Answer>> = vec![None; policy.tolerate.len()];
        for budget in [0, 30, 1_000, 30_000, 200_000_000] {
            let mut policy = policy.clone();
            policy.budget.verify = budget;
            let verdict = verify(&cluster, &policy).expect("classes of the cluster");
            let checked = check_verdict(&cluster, &policy, &verdict);
            prop_assert!(checked.is_ok(), "{checked:?}\n{}", to_json(&cluster, &policy));
            for (class, known) in verdict.classes().iter().zip(&mut known) {
                let decided = Some(class.rest()).filter(|answer| *answer != Answer::Undecided);
                prop_assert!(known.is_none() || decided == *known, "{known:?}, then {decided:?}: {}", class.summary());
                *known = decided;
                if let Some(counterexample) = class.counterexample() {
                    let evidence = check_counterexample(&cluster, &policy, class.class(), counterexample);
                    let says = !matches!(counterexample.proof(), Proof::Search { checked: false });
                    prop_assert_eq!(evidence, Ok(if says { Evidence::Replayed } else { Evidence::NotReplayed }));
                }
            }
        }
        if policy.preemption == Preemption::Never {
            // Open at the full budget: only a class that asks for losses in any order, which none here does.
            prop_assert!(known.iter().all(Option::is_some), "{known:?}\n{}", to_json(&cluster, &policy));
        }
    }

    /// Promise 2. A certificate in which one entry is changed is refused, or it is as good as the one before.
    #[test]
    fn a_tampered_certificate_is_refused_or_good(seed in any::<u64>(), at in any::<u64>()) {
        is_refused_or_good(seed, at)?;
    }

    /// Promise 2. A counterexample is refused where the failure that it names is survived.
    #[test]
    fn a_counterexample_of_another_cluster_is_refused(seed in any::<u64>()) {
        let VerdictCase { cluster, policy } = tight_from_seed(seed);
        let verdict = verify(&cluster, &policy).expect("classes of the cluster");
        let larger = |node: &mut Node| node.capacity = node.capacity.iter().map(|amount| amount * 20 + 20).collect();
        let other = Rebuild::of(&cluster).nodes(larger).build().cluster;
        prop_assert!(cluster.nodes().map(|node| node.id()).eq(other.nodes().map(|node| node.id())));
        let uncoverable = verify(&other, &policy).expect("classes of the cluster");
        for (class, other_class) in verdict.classes().iter().zip(uncoverable.classes()) {
            let Some(counterexample) = class.counterexample() else { continue };
            let nodes = counterexample.failed().iter().copied().collect();
            let without = left_out(other_class);
            let truth = outcome(&other, &policy, class.class().min_priority, &nodes, &without, LIMIT);
            if matches!(truth, Some(Outcome::Survived { .. })) {
                let checked = check_counterexample(&other, &policy, class.class(), counterexample);
                // An exhausted search over VMs that may be evicted is not tried again.
                let open = policy.preemption != Preemption::Never && checked == Ok(Evidence::NotReplayed);
                prop_assert!(open || checked.is_err(), "{checked:?}: {}", counterexample.message());
            }
        }
    }

    /// Promise 3. Room for exactly what fails is enough; one unit less of one kind on one node is not, and both are
    /// decided. Amounts may be so large that a float would not tell.
    #[test]
    fn an_exact_fit_is_a_fit(seed in any::<u64>()) {
        let mut choices = Choices::from_seed(seed);
        let width = 1 + choices.index(3);
        let kinds = ResourceKinds::new((0..width).map(|kind| (format!("k{kind}"), ""))).expect("kinds");
        let unit = choices.pick(&[1, 3, (1_u64 << 53) + 1]);
        let survivors = 1 + choices.index(4);
        let vms: Vec<Vec<u64>> = (0..1 + choices.below(7))
            .map(|_| (0..width).map(|_| unit * choices.between(1, 9) + choices.below(2)).collect())
            .collect();
        let mut room = vec![vec![0_u64; width]; survivors];
        for vm in &vms {
            let target = choices.index(survivors);
            room[target].iter_mut().zip(vm).for_each(|(room, need)| *room += need);
        }
        let own: Vec<u64> = (0..width).map(|_| choices.below(50)).collect();
        let build = |room: &[Vec<u64>]| {
            let mut cluster = Cluster::new(kinds.clone(), [""; 0]).expect("no levels");
            let first = cluster.add_node(Node::named("fails").capacity(vec![u64::MAX >> 8; width])).expect("a node");
            for (at, vm) in vms.iter().enumerate() {
                cluster.add_vm(Vm::named(format!("v{at}")).demand(vm.clone()).on(first)).expect("a VM");
            }
            for (at, room) in room.iter().enumerate() {
                let capacity: Vec<u64> = room.iter().zip(&own).map(|(room, own)| room + own).collect();
                let node = cluster.add_node(Node::named(format!("n{at}")).capacity(capacity)).expect("a node");
                let resident = Vm::named(format!("b{at}")).demand(own.clone()).restart(RestartClass::BestEffort);
                cluster.add_vm(resident.on(node)).expect("a VM");
            }
            cluster
        };
        let policy = with_class(&Policy::default(), &FailureClass::nodes(1));
        let answer = |cluster: &Cluster| {
            let verdict = verify(cluster, &policy).expect("a class");
            check_verdict(cluster, &policy, &verdict).expect("good evidence");
            verdict.answer()
        };
        let exact = build(&room);
        prop_assert_eq!(answer(&exact), Answer::Holds, "{}", to_json(&exact, &policy));
        let failure = Failure::of([exact.node_id("fails").expect("a node")]);
        let plan = Planner::new().restart(&exact, &policy, &failure).expect("a plan");
        prop_assert_eq!(plan.placements().len(), vms.len());
        let open: Vec<(usize, usize)> =
            (0..survivors).flat_map(|node| (0..width).map(move |kind| (node, kind))).filter(|(node, kind)| room[*node][*kind] > 0).collect();
        let (node, kind) = choices.pick(&open);
        room[node][kind] -= 1;
        let short = build(&room);
        prop_assert_eq!(answer(&short), Answer::Fails, "{}", to_json(&short, &policy));
    }

    /// Promise 4. Listing order changes nothing, bit for bit: verdicts, evidence and plans.
    #[test]
    fn listing_order_changes_nothing(seed in any::<u64>(), order in any::<u64>()) {
        let VerdictCase { cluster, policy } = case(seed);
        let again = Rebuild::of(&cluster).shuffled(order).build();
        let said = |cluster: &Cluster| {
            let verdict = verify(cluster, &policy).expect("classes of the cluster");
            let classes: Vec<_> = verdict.classes().iter().map(|class| {
                let uncoverable: Vec<String> = class.uncoverable().iter().map(|vm| vm.message(cluster)).collect();
                let units = class.counterexample().map(|found| (found.units().to_vec(), found.message().to_string()));
                // How much work it was to look for evictions is the one thing that order may change.
                let work = Some(class.work()).filter(|_| policy.preemption == Preemption::Never);
                (class.summary(), class.failing_units().to_vec(), units, uncoverable, class.open(), work)
            }).collect();
            let stored = StoredCertificates::new(cluster, verdict.certificates());
            (classes, serde_json::to_string(&stored).expect("JSON"))
        };
        prop_assert_eq!(said(&cluster), said(&again.cluster), "{}", to_json(&cluster, &policy));
        prop_assert_eq!(cluster.fingerprint(), again.cluster.fingerprint());
        for units in failures(&cluster, &policy, &classes()[1]).iter().take(12) {
            let failure = failure_of(&cluster, &nodes_of(units));
            let mut plans = Vec::new();
            for (cluster, failure) in [(&cluster, failure.clone()), (&again.cluster, again.failure(&failure))] {
                let plan = Planner::new().restart(cluster, &policy, &failure).expect("a plan");
                // How much work it was to look for evictions is the one thing that order may change.
                let work = Some(plan.work()).filter(|_| policy.preemption == Preemption::Never);
                plans.push((in_names(cluster, &plan), work));
            }
            prop_assert_eq!(&plans[0], &plans[1], "{:?}\n{}", units, to_json(&cluster, &policy));
        }
    }

    /// Promise 4. Other names never turn a yes into a no, and leave counts alone that are proved to be the best.
    #[test]
    fn names_change_no_answer(seed in any::<u64>(), salt in any::<u32>()) {
        let VerdictCase { cluster, policy } = case(seed);
        let again = Rebuild::of(&cluster).renamed(|name| format!("{}-{salt:x}", name.chars().rev().collect::<String>())).build();
        let mut renamed = policy.clone();
        for class in &mut renamed.tolerate {
            for (level, _) in class.fail.iter_mut().filter(|(level, _)| level != lifeboat::NODE_LEVEL) {
                *level = format!("{}-{salt:x}", level.chars().rev().collect::<String>());
            }
        }
        let before = verify(&cluster, &policy).expect("classes of the cluster");
        let after = verify(&again.cluster, &renamed).expect("classes of the cluster");
        for (before, after) in before.classes().iter().zip(after.classes()) {
            let both = [before.answer(), after.answer()];
            prop_assert!(both[0] == both[1] || both.contains(&Answer::Undecided), "{both:?}: {}", before.summary());
        }
        for units in failures(&cluster, &policy, &classes()[1]).iter().take(12) {
            let failure = failure_of(&cluster, &nodes_of(units));
            let before = Planner::new().restart(&cluster, &policy, &failure).expect("a plan");
            let after = Planner::new().restart(&again.cluster, &renamed, &again.failure(&failure)).expect("a plan");
            if before.is_optimal() && after.is_optimal() {
                prop_assert_eq!(before.classes(), after.classes());
            }
        }
    }

    /// Promise 5. An empty node more, capacity more, or a VM removed never turns a yes into a no.
    #[test]
    fn more_room_never_turns_a_yes_into_a_no(seed in any::<u64>(), at in any::<u64>()) {
        let VerdictCase { cluster, policy } = case(seed);
        if policy.maintenance_uses_tolerance || !is_monotone(&cluster) {
            return Ok(());
        }
        let mut choices = Choices::from_seed(at);
        let before = verify(&cluster, &policy).expect("classes of the cluster");
        let mut more: Vec<(&str, Cluster)> = Vec::new();
        let width = cluster.kinds().len();
        let mut empty = cluster.clone();
        let mut node = Node::named("one more").capacity(vec![choices.below(12); width]);
        if choices.chance(1, 2) {
            node = node.domain("rack", "rack1").label("x");
        }
        empty.add_node(node).expect("a good node");
        more.push(("an empty node more", empty));
        let nodes: Vec<NodeId> = cluster.nodes().map(|node| node.id()).collect();
        let mut larger = cluster.clone();
        let id = choices.pick(&nodes);
        let mut node = larger.node(id).expect("a node").to_node();
        node.capacity = node.capacity.iter().map(|amount| amount + choices.below(6)).collect();
        larger.update_node(id, node).expect("a good node");
        more.push(("capacity more", larger));
        let mut fewer = cluster.clone();
        let vms: Vec<VmId> = cluster.vms().map(VmRef::id).collect();
        if !vms.is_empty() && fewer.remove_vm(choices.pick(&vms)).is_ok() {
            more.push(("a VM removed", fewer));
        }
        for (what, after) in more {
            let after = verify(&after, &policy).expect("classes of the cluster");
            for (before, after) in before.classes().iter().zip(after.classes()) {
                prop_assert!(
                    before.answer() != Answer::Holds || after.answer() != Answer::Fails,
                    "{what}: {}\n{}", after.summary(), to_json(&cluster, &policy)
                );
            }
        }
    }

    /// Promise 6. A VM without a place has reasons with codes and numbers, and every node is accounted for; a no of a
    /// verdict names what fails, and by how much.
    #[test]
    fn plans_and_verdicts_say_why_not(seed in any::<u64>()) {
        let Case { cluster, policy, failure } = random_small::from_seed(seed, Limits { preemption: true, ..Limits::default() });
        let plan = Planner::new().restart(&cluster, &policy, &failure).expect("a plan");
        for unplaced in plan.unplaced() {
            let name = cluster.vm(unplaced.vm).expect("a VM").name();
            prop_assert!(!unplaced.reasons.is_empty() && !unplaced.message.is_empty(), "{name}: {unplaced:?}");
            let mut nodes = 0;
            for count in &unplaced.reasons {
                prop_assert!(is_code(count.reason.code()));
                nodes += count.nodes;
                match &count.reason {
                    Reason::Insufficient { kind, needed, free } => {
                        prop_assert!(needed > free && *kind < cluster.kinds().len(), "{name}: {count:?}");
                        prop_assert!(!count.examples.is_empty() && count.examples.len() <= 3.min(count.nodes));
                        prop_assert!(unplaced.message.contains(&needed.to_string()), "{}", unplaced.message);
                    }
                    Reason::Rule { name, .. } => prop_assert!(unplaced.message.contains(name.as_str())),
                    Reason::MissingLabel { label } => prop_assert!(!label.is_empty()),
                    Reason::Prerequisite { name, .. } => prop_assert!(unplaced.message.contains(name.as_str())),
                    _ => {}
                }
            }
            prop_assert!(nodes == cluster.node_count() || nodes == 0, "{name}: {nodes} of {}, {unplaced:?}", cluster.node_count());
        }
        let VerdictCase { cluster, policy } = tight_from_seed(seed);
        let verdict = verify(&cluster, &policy).expect("classes of the cluster");
        for class in verdict.classes() {
            for vm in class.uncoverable() {
                let name = cluster.vm(vm.vm).expect("a VM").name();
                prop_assert!(vm.message(&cluster).contains(name), "{}", vm.message(&cluster));
            }
            let Some(counterexample) = class.counterexample() else { continue };
            prop_assert!(is_code(counterexample.proof().code()));
            for unit in counterexample.units() {
                prop_assert!(counterexample.message().contains(&unit.name), "{}", counterexample.message());
            }
            if let Proof::Prices { needed, available, .. } = counterexample.proof() {
                prop_assert!(needed > available);
                let numbers = counterexample.message().chars().filter(char::is_ascii_digit).count();
                prop_assert!(numbers > 0, "{}", counterexample.message());
            }
        }
    }

    /// Promise 6. What admission refuses it refuses with a code and words for each thing that stands against it.
    #[test]
    fn admission_says_why_not(seed in any::<u64>()) {
        let VerdictCase { cluster, policy } = tight_from_seed(seed);
        let mut choices = Choices::from_seed(seed);
        let width = cluster.kinds().len();
        let names: Vec<String> = cluster.kinds().iter().map(|kind| kind.name.clone()).collect();
        let nodes: Vec<String> = cluster.nodes().map(|node| node.name().to_string()).collect();
        let vms: Vec<String> = cluster.vms().map(|vm| vm.name().to_string()).collect();
        let demand: BTreeMap<&str, u64> = (0..width).map(|kind| (&*names[kind], choices.between(1, 14))).collect();
        let node = choices.pick(&nodes);
        let mut lines = vec![
            serde_json::json!({"op": "add_vm", "vm": {"name": "new", "demand": demand, "power": "on"}}),
            serde_json::json!({"op": "add_vm", "vm": {"name": "new", "demand": demand, "node": node, "requires": ["x"]}}),
            serde_json::json!({"op": "set_state", "node": node, "state": "maintenance"}),
        ];
        if !vms.is_empty() {
            let vm = choices.pick(&vms);
            lines.push(serde_json::json!({"op": "migrate", "vm": vm, "to": node}));
            lines.push(serde_json::json!({"op": "resize", "vm": vm, "demand": demand}));
            lines.push(serde_json::json!({"op": "start", "vm": vm, "on": node}));
        }
        let mut guard = Guard::new(cluster, policy);
        for line in lines {
            let line = line.to_string();
            let changes = read_changes(guard.cluster(), guard.policy(), &line).expect("names that are there");
            let Ok(decision) = guard.admit(&changes) else { continue };
            let refusing = decision.violations().iter().filter(|violation| violation.enforced).count();
            prop_assert_eq!(decision.is_admitted(), refusing == 0, "{}: {:?}", line, decision.violations());
            for violation in decision.violations() {
                prop_assert!(is_code(violation.kind.code()) && !violation.message.is_empty(), "{line}: {violation:?}");
                if let lifeboat::ViolationKind::Insufficient { needed, free, .. } = &violation.kind {
                    prop_assert!(needed > free || violation.broken_before, "{line}: {violation:?}");
                }
            }
        }
    }

    /// Promise 6. Whatever is wrong with a document is said with a path, a code and words, and nothing is loaded.
    #[test]
    fn documents_say_why_not(seed in any::<u64>()) {
        let VerdictCase { cluster, policy } = tight_from_seed(seed);
        let mut value: serde_json::Value = serde_json::from_str(&to_json(&cluster, &policy)).expect("JSON");
        let mut choices = Choices::from_seed(seed);
        let mut damages = 0;
        for list in ["nodes", "vms", "rules"] {
            for item in value[list].as_array_mut().into_iter().flatten() {
                let fields: Vec<String> = item.as_object().expect("an object").keys().cloned().collect();
                let field = choices.pick(&fields);
                if !choices.chance(1, 4) {
                    continue;
                }
                damages += 1;
                let object = item.as_object_mut().expect("an object");
                match choices.below(3) {
                    // No field of any object has this name, or can be this.
                    0 => object.insert("colour".into(), 1.into()),
                    1 => object.insert(field, (-1.5).into()),
                    _ => object.insert("name".into(), "".into()),
                };
            }
        }
        let read = Document::from_json(&value.to_string());
        if damages == 0 {
            prop_assert!(read.is_ok());
            return Ok(());
        }
        let errors = read.expect_err("damaged");
        prop_assert!(errors.len() >= damages, "{damages} damages, {errors}");
        for error in &errors {
            prop_assert!(is_code(error.code) && !error.message.is_empty() && !error.path.is_empty(), "{error:?}");
        }
    }
}

/// Lower case words with underscores.
fn is_code(code: &str) -> bool {
    !code.is_empty()
        && code.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit())
}

/// Where promise 5 holds: no required `spread`, and no `together` group that is split.
fn is_monotone(cluster: &Cluster) -> bool {
    let required = cluster.rules().filter(|rule| rule.strength() == Strength::Required);
    required.into_iter().all(|rule| match rule.kind() {
        RuleKind::Spread { .. } => false,
        RuleKind::Together { .. } => cluster.rule_excess(rule.id()).is_ok_and(|excess| excess == 0),
        _ => true,
    })
}

/// A plan by names.
fn in_names(cluster: &Cluster, plan: &lifeboat::RestartPlan) -> String {
    let vm = |vm: VmId| cluster.vm(vm).expect("a VM").name().to_string();
    let node = |node: NodeId| cluster.node(node).expect("a node").name().to_string();
    let placed: Vec<_> = plan.placements().iter().map(|item| (vm(item.vm), node(item.node), item.wave)).collect();
    let evicted: Vec<_> = plan.evictions().iter().map(|item| (vm(item.vm), node(item.node))).collect();
    let unplaced: Vec<_> = plan.unplaced().iter().map(|item| (vm(item.vm), item.message.clone())).collect();
    format!("{placed:?}\n{evicted:?}\n{unplaced:?}\n{:?}\n{:?}", plan.classes(), plan.costs())
}
