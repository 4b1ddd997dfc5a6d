//! Verdicts against the exhaustive reference, and certificates against every order of losses.
//!
//! Uses the test kit (`verdict`, `verdict_cases`, `verdict_replay`).

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
    Answer, Cluster, Covers, Document, Failure, NodeState, Policy, Promise, RestartClass, RuleKind, StoredCertificates,
    Strength, VmId, check_certificate, check_evictions, check_verdict, verify,
};
use lifeboat_testkit::verdict::{Ask, verdict};
use lifeboat_testkit::verdict_cases::{
    VerdictCase, broken_from_seed, roomy_from_seed, ruled_from_seed, scarce_from_seed, tight_from_seed,
};
use lifeboat_testkit::verdict_replay::{Order, Restart, replay};
use std::collections::{BTreeMap, BTreeSet};

/// How many partial plans the reference may look at for one failure.
const LIMIT: u64 = 3_000_000;

/// What was seen: (answer, covers, way) -> how often.
type Seen = BTreeMap<String, u32>;

fn with_class(policy: &Policy, class: &FailureClass) -> Policy {
    let mut one = policy.clone();
    one.tolerate = vec![class.clone()];
    one
}

/// Whether some VM that may be evicted is one by whose place a required rule measures where others may go: the one kind of
/// case in which a search without those who may go refutes nothing.
fn eviction_may_hurt(case: &VerdictCase) -> bool {
    let may_go = |vm: VmId| {
        let vm = case.cluster.vm(vm).expect("a VM");
        vm.is_preemptible() && vm.effective().0 == RestartClass::BestEffort
    };
    let measures = |rule: &lifeboat::RuleRef<'_>| {
        rule.strength() == Strength::Required
            && matches!(rule.kind(), RuleKind::Together { .. } | RuleKind::Spread { .. })
    };
    case.policy.preemption != Preemption::Never
        && case.cluster.rules().filter(measures).any(|rule| rule.members().any(may_go))
}

/// Judges every class of a case both ways, and plays every certificate.
fn compare(seed: u64, case: &VerdictCase, seen: &mut Seen) {
    for class in &case.policy.tolerate {
        let policy = with_class(&case.policy, class);
        let what = || format!("seed {seed}, {:?}\n{}", class.fail, to_json(&case.cluster, &policy));
        let verdict_here = verify(&case.cluster, &policy).expect("a verdict");
        let ours = &verdict_here.classes()[0];
        if let Err(faults) = check_verdict(&case.cluster, &policy, &verdict_here) {
            panic!("the checker refuses: {faults:#?}, {}", what());
        }
        let Some(truth) = verdict(&case.cluster, &policy, class, Ask::All, LIMIT) else {
            *seen.entry("reference gave up".into()).or_default() += 1;
            continue;
        };
        let uncoverable: BTreeSet<VmId> = ours.uncoverable().iter().map(|found| found.vm).collect();
        let expected: BTreeSet<VmId> = truth.uncoverable.iter().map(|found| found.vm).collect();
        assert_eq!(uncoverable, expected, "uncoverable VMs, {}", what());
        match ours.rest() {
            Answer::Holds => {
                assert!(truth.rest.survives, "a wrong yes, fails for {:?}, {}", truth.rest.failing, what())
            }
            Answer::Fails => {
                assert!(!truth.rest.survives, "a wrong no: {}, {}", ours.summary(), what());
                let counterexample = ours.counterexample().expect("a counterexample");
                let units: BTreeSet<(String, String)> =
                    counterexample.units().iter().map(|unit| (unit.level.clone(), unit.name.clone())).collect();
                let known = truth.rest.failing.iter().any(|set| {
                    set.iter().map(|unit| (unit.level.clone(), unit.name.clone())).collect::<BTreeSet<_>>() == units
                });
                assert!(known, "{:?} is survived, {}", counterexample.units(), what());
                if class.fail.iter().map(|(_, count)| count).sum::<u32>() == 1
                    && ours.open() == 0
                    && !ours.failing_units().is_empty()
                {
                    let ours: BTreeSet<String> = ours.failing_units().iter().map(|unit| unit.name.clone()).collect();
                    let truth: BTreeSet<String> =
                        truth.rest.failing.iter().flatten().map(|unit| unit.name.clone()).collect();
                    assert_eq!(ours, truth, "failing units, {}", what());
                }
            }
            Answer::Undecided => {}
        }
        let covers = ours.covers().map_or("-", Covers::name);
        let key = format!("{} {covers} by {}", ours.rest().name(), ours.method().way.name());
        if ours.rest() == Answer::Undecided {
            assert!(eviction_may_hurt(case), "undecided: {}, {}", ours.summary(), what());
            println!("undecided: seed {seed} {:?} {:?}: {}", case.policy.preemption, class.fail, ours.summary());
        }
        let aside =
            if ours.certificate().is_some_and(|it| it.backups() > 0) { ", some with places of their own" } else { "" };
        let key = format!("{key}{aside}");
        *seen.entry(key.clone()).or_default() += 1;
        if let Some(certificate) = ours.certificate() {
            let stored = StoredCertificates::new(&case.cluster, [certificate]);
            let text = serde_json::to_string(&stored).expect("JSON");
            let read: StoredCertificates = serde_json::from_str(&text).expect("its own form");
            assert_eq!(read.certificates(&case.cluster).expect("its own state"), std::slice::from_ref(certificate));
            let order = if certificate.covers() == Covers::AnyOrder { Order::AnyOrder } else { Order::AtOnce };
            let begin = certificate.begin(&case.cluster).expect("its own state");
            let mut evicted = 0;
            let played = replay(&case.cluster, &policy, class, &uncoverable, order, begin, |moment| {
                let mut cover = moment.memory.clone();
                let failure = Failure::of(moment.now.iter().copied());
                let Promise { placements, evictions } = cover.lose(&failure).ok()?;
                if let Err(faults) = check_evictions(moment.cluster, &policy, &failure, &placements, &evictions) {
                    panic!("evictions: {faults:?}, {}", what());
                }
                evicted += evictions.len();
                Some((Restart { placements, evictions }, cover))
            });
            assert!(played.is_ok(), "{:?}, {}", played.unwrap_err(), what());
            assert!(certificate.evicts() || evicted == 0, "evictions without need, {}", what());
            if evicted > 0 {
                *seen.entry(format!("{key}, evicting")).or_default() += 1;
            }
        }
    }
}

fn compare_many(name: &str, seeds: std::ops::Range<u64>, make: fn(u64) -> VerdictCase) -> Seen {
    let mut seen = Seen::new();
    for seed in seeds {
        compare(seed, &make(seed), &mut seen);
    }
    println!("{name}:");
    for (key, count) in &seen {
        println!("  {count:>6} {key}");
    }
    seen
}

fn share(seen: &Seen, key: &str) -> (u32, u32) {
    let of = |part: &str| seen.iter().filter(|(name, _)| name.contains(part)).map(|(_, count)| count).sum::<u32>();
    (of(key), seen.values().sum())
}

#[test]
fn verdicts_of_small_clusters_are_right() {
    let seen = compare_many("tight", 0..1_500, tight_from_seed);
    let (undecided, all) = share(&seen, "undecided");
    assert!(undecided * 500 <= all, "{undecided} of {all} undecided");
    assert!(share(&seen, "evicting").0 > 0);
}

#[test]
fn certificates_with_banks_survive_every_order() {
    let seen = compare_many("roomy", 0..60, roomy_from_seed);
    assert!(share(&seen, "any_order").0 > 0);
}

/// Rules of every kind that plans of different units could break together.
#[test]
fn certificates_with_rules_survive_every_order() {
    let seen = compare_many("ruled", 0..50, ruled_from_seed);
    assert!(share(&seen, "any_order").0 > 0);
}

/// Rules that are broken already, and VMs on their way from rack to rack: banks carry them all the same.
#[test]
fn certificates_with_broken_rules_survive_every_order() {
    let seen = compare_many("broken", 0..50, broken_from_seed);
    let (banks, all) = share(&seen, "any_order by banks");
    assert!(banks * 4 > all, "{seen:?}");
}

/// VMs with few places: deals see to them, or they get places of their own.
#[test]
fn certificates_with_few_places_survive_every_order() {
    let seen = compare_many("scarce", 0..60, scarce_from_seed);
    assert!(share(&seen, "own").0 > 5, "{seen:?}");
}

/// What the test below has found: a move that is over with an eviction, a VM that needs one with places of its own, a node that is
/// alone in its rack and lost before another of the class.
#[test]
fn what_very_many_cases_found_stays_mended() {
    let mut seen = Seen::new();
    for seed in [92, 10_773, 13_280, 22_579, 35_989] {
        compare(seed, &tight_from_seed(seed), &mut seen);
    }
    assert!(seen.values().sum::<u32>() > 5);
}

/// Millions of cases: `cargo test --release --test verdicts -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn verdicts_of_very_many_small_clusters_are_right() {
    compare_many("tight", 10_000..60_000, tight_from_seed);
    compare_many("roomy", 10_000..12_000, roomy_from_seed);
    compare_many("ruled", 10_000..14_000, ruled_from_seed);
    compare_many("broken", 10_000..14_000, broken_from_seed);
    compare_many("scarce", 10_000..14_000, scarce_from_seed);
}

/// A certificate goes with the content of a cluster: not with its slots, and not with another content.
#[test]
fn stored_certificates_belong_to_a_state() {
    let case = roomy_from_seed(3);
    let policy = with_class(&case.policy, &FailureClass::nodes(1));
    let verdict = verify(&case.cluster, &policy).expect("a verdict");
    let stored = StoredCertificates::new(&case.cluster, verdict.certificates());
    let (mut copy, _) = Document::from_json(&to_json(&case.cluster, &policy)).expect("its own export").into_parts();
    let read = stored.certificates(&copy).expect("the same content");
    assert_eq!(read.len(), 1, "{}", verdict.classes()[0].summary());
    check_certificate(&copy, &policy, &read[0]).expect("a good certificate");
    let node = copy.nodes().next().expect("a node").id();
    copy.set_node_state(node, NodeState::Failed).expect("a node");
    assert_eq!(stored.certificates(&copy).expect_err("changed").code(), "other_state");
    assert_eq!(check_certificate(&copy, &policy, &read[0]).expect_err("changed")[0].code(), "other_state");
    assert_eq!(read[0].plan_for(&copy, &Failure::of([node])).expect_err("changed").code(), "other_state");
}

/// What is tampered with is refused.
#[test]
fn tampered_certificates_are_refused() {
    let mut refused = BTreeMap::<&str, u32>::new();
    for seed in 0..40 {
        let case = roomy_from_seed(seed);
        let policy = with_class(&case.policy, &FailureClass::nodes(2));
        let verdict = verify(&case.cluster, &policy).expect("a verdict");
        let Some(_) = verdict.certificates().next() else { continue };
        let stored = serde_json::to_value(StoredCertificates::new(&case.cluster, verdict.certificates())).unwrap();
        let nodes = case.cluster.node_count() as u64;
        let check = |value: serde_json::Value| -> Option<&'static str> {
            let read: StoredCertificates = serde_json::from_value(value).expect("the form is right");
            match read.certificates(&case.cluster) {
                Err(error) => Some(error.code()),
                Ok(read) => check_certificate(&case.cluster, &policy, &read[0]).err().map(|faults| faults[0].code()),
            }
        };
        assert_eq!(check(stored.clone()), None);
        // A VM is sent to its own node; a VM is forgotten; a number names nothing; a bank gives a node away.
        let home = case.cluster.vms().find_map(|vm| vm.node()).map(|node| {
            let mut names: Vec<_> = case.cluster.nodes().map(|node| (node.name(), node.id())).collect();
            names.sort();
            names.iter().position(|(_, id)| *id == node).unwrap()
        });
        let mut own = stored.clone();
        for target in own["classes"][0]["columns"][0]["targets"].as_array_mut().unwrap() {
            *target = home.into();
        }
        let mut forgotten = stored.clone();
        forgotten["classes"][0]["vms"].as_array_mut().unwrap().pop();
        for column in forgotten["classes"][0]["columns"].as_array_mut().unwrap() {
            column["targets"].as_array_mut().unwrap().pop();
        }
        let mut nothing = stored.clone();
        nothing["classes"][0]["columns"][0]["targets"][0] = (nodes + 1).into();
        let mut counts = stored.clone();
        counts["classes"][0]["tiers"][0][1] = 1.into();
        for (what, value) in [("own", own), ("forgotten", forgotten), ("nothing", nothing), ("counts", counts)] {
            if stored == value {
                continue;
            }
            let code = check(value).unwrap_or_else(|| panic!("{what} passes, seed {seed}"));
            *refused.entry(code).or_default() += 1;
        }
        if stored["classes"][0]["columns"].as_array().unwrap().len() > 1 {
            let mut shared = stored.clone();
            let node = shared["classes"][0]["columns"][0]["bank"][0].clone();
            shared["classes"][0]["columns"][1]["bank"].as_array_mut().unwrap().push(node);
            *refused.entry(check(shared).expect("a shared node")).or_default() += 1;
        }
    }
    println!("{refused:?}");
    assert!(refused.len() >= 3);
}

/// An empty tolerance promises nothing, and that holds.
#[test]
fn nothing_is_promised_and_kept() {
    let cluster: Cluster = tight_from_seed(1).cluster;
    let mut policy = Policy::default();
    policy.tolerate.clear();
    assert_eq!(verify(&cluster, &policy).expect("a verdict").answer(), Answer::Holds);
}

/// The published example of the mathematics: prices refute the loss of two, and not of one.
#[test]
fn prices_refute_what_cannot_fit() {
    use lifeboat::{Node, ResourceKinds, Vm};
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")]).unwrap(), [""; 0]).unwrap();
    for (name, room, used) in [("a", 10, 6), ("b", 10, 5), ("c", 8, 5)] {
        let node = cluster.add_node(Node::named(name).capacity([room])).unwrap();
        for part in 0..used {
            cluster.add_vm(Vm::named(format!("{name}{part}")).demand([1]).on(node)).unwrap();
        }
    }
    let answer = |count| {
        let policy = with_class(&Policy::default(), &FailureClass::nodes(count));
        let verdict = verify(&cluster, &policy).expect("a verdict");
        check_verdict(&cluster, &policy, &verdict).expect("good evidence");
        (verdict.answer(), verdict.classes()[0].summary())
    };
    assert_eq!(answer(1).0, Answer::Holds);
    let (fails, why) = answer(2);
    assert_eq!(fails, Answer::Fails);
    assert!(why.contains("need 11 GiB of memory, and 3 are left: 8 too few"), "{why}");
}

/// A VM on its way to a node that is down is not there, so its loss leaves nobody's domain: the site keeps the rule's other
/// member, and takes no second one.
#[test]
fn a_move_to_a_node_that_is_down_leaves_no_domain() {
    use lifeboat::{Node, NodeState, ResourceKinds, Rule, RuleKind, Vm};
    let kinds = ResourceKinds::new([("memory", "GiB")]).unwrap();
    let mut cluster = Cluster::new(kinds, ["site"]).unwrap();
    let mut node = |name: &str, site: &str, room| {
        cluster.add_node(Node::named(name).capacity([room]).domain("site", site)).unwrap()
    };
    let [home, other] = [node("home", "one", 4), node("other", "two", 9)];
    let (down, beside, _) = (node("down", "two", 4), node("beside", "one", 4), node("third", "two", 4));
    cluster.set_node_state(down, NodeState::Failed).unwrap();
    let stays = cluster.add_vm(Vm::named("stays").demand([1]).on(other)).unwrap();
    let mut moves = Vm::named("moves").demand([1]).on(home);
    moves.migrating_to = Some(down);
    let moves = cluster.add_vm(moves).unwrap();
    let apart = RuleKind::Separate { level: "site".into(), max_per_domain: 1 };
    cluster.add_rule(Rule::new("apart", apart).vms([stays, moves])).unwrap();
    let policy = with_class(&Policy::default(), &FailureClass::nodes(1));
    let verdict = verify(&cluster, &policy).unwrap();
    check_verdict(&cluster, &policy, &verdict).expect("good evidence");
    let certificate = verdict.certificates().next().expect("it holds");
    assert_eq!(certificate.plan_for(&cluster, &Failure::of([home])).unwrap().placements, [(moves, beside)]);
}

/// Where those who wait have no place even with nobody lost and all who may go gone, no loss is named.
#[test]
fn who_has_no_place_at_all_is_told_without_a_loss() {
    use lifeboat::{Node, ResourceKinds, Rule, RuleKind, Vm};
    let kinds = ResourceKinds::new([("memory", "GiB")]).unwrap();
    let mut cluster = Cluster::new(kinds, ["site"]).unwrap();
    let [one, two] =
        ["one", "two"].map(|name| cluster.add_node(Node::named(name).capacity([10]).domain("site", name)).unwrap());
    let mut fixed = |name: &str, node, size| {
        let vm = Vm::named(name).demand([size]).on(node).restart(RestartClass::Never);
        cluster.add_vm(vm).unwrap()
    };
    let others = [fixed("there", one, 1), fixed("here", two, 6)];
    let waits = cluster.add_vm(Vm::named("waits").demand([1]).powered_on()).unwrap();
    cluster.add_vm(Vm::named("large").demand([5]).on(one)).unwrap();
    cluster.add_vm(Vm::named("may go").demand([1]).on(two).restart(RestartClass::BestEffort)).unwrap();
    let sides = RuleKind::SeparateSides { level: "site".into(), sides: vec![vec![waits], others.to_vec()] };
    cluster.add_rule(Rule::new("apart", sides)).unwrap();
    let mut policy = with_class(&Policy::default(), &FailureClass::nodes(1));
    policy.preemption = Preemption::BestEffort;
    let verdict = verify(&cluster, &policy).unwrap();
    check_verdict(&cluster, &policy, &verdict).expect("good evidence");
    let class = &verdict.classes()[0];
    assert_eq!(class.rest(), Answer::Fails);
    assert!(class.counterexample().expect("a counterexample").units().is_empty(), "{}", class.summary());
    assert!(class.failing_units().is_empty());
}

/// What an eviction makes room for holds, is promised with that eviction alone, and is refused where it is forbidden or
/// where the certificate does not name it.
#[test]
fn best_effort_vms_make_room() {
    use lifeboat::{Node, Planner, ResourceKinds, Vm};
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")]).unwrap(), [""; 0]).unwrap();
    let [one, two] = ["one", "two"].map(|name| cluster.add_node(Node::named(name).capacity([10])).unwrap());
    let db = cluster.add_vm(Vm::named("db").demand([6]).on(one)).unwrap();
    let mut low = |name: &str, size| {
        let vm = Vm::named(name).demand([size]).on(two).restart(RestartClass::BestEffort);
        cluster.add_vm(vm).unwrap()
    };
    let (large, _, small) = (low("large", 4), low("medium", 3), low("small", 1));
    let mut policy = with_class(&Policy::default(), &FailureClass::nodes(1));
    assert_eq!(verify(&cluster, &policy).unwrap().answer(), Answer::Fails);
    policy.preemption = Preemption::BestEffort;
    let verdict = verify(&cluster, &policy).unwrap();
    check_verdict(&cluster, &policy, &verdict).unwrap();
    let certificate = verdict.certificates().next().expect("it holds");
    assert!(certificate.evicts() && certificate.covers() == Covers::AnyOrder);
    let failure = Failure::of([one]);
    let promise = certificate.plan_for(&cluster, &failure).unwrap();
    assert_eq!((promise.placements, promise.evictions), (vec![(db, two)], vec![(large, two)]));
    assert_eq!(certificate.plan_for(&cluster, &Failure::of([two])).unwrap(), Promise::default());
    let plan = Planner::new().restart_with(certificate, &cluster, &policy, &failure).unwrap();
    lifeboat::check_plan(&cluster, &policy, &failure, &plan).unwrap();
    assert_eq!((plan.evictions()[0].vm, plan.evictions().len(), plan.placements().len()), (large, 1, 1));
    // Not with a policy that forbids it, and not by a certificate that names somebody else.
    let mut forbids = policy.clone();
    forbids.preemption = Preemption::Never;
    let refused = Planner::new().restart_with(certificate, &cluster, &forbids, &failure);
    assert_eq!(refused.unwrap_err().code(), "evictions_forbidden");
    assert_eq!(check_certificate(&cluster, &forbids, certificate).unwrap_err()[0].code(), "class");
    let stored = serde_json::to_value(StoredCertificates::new(&cluster, [certificate])).unwrap();
    let tampered = |evicts: serde_json::Value| {
        let mut stored = stored.clone();
        stored["classes"][0]["evicts"] = evicts;
        let read: StoredCertificates = serde_json::from_value(stored).unwrap();
        let read = read.certificates(&cluster).unwrap();
        check_certificate(&cluster, &policy, &read[0]).err().map(|faults| faults[0].code())
    };
    assert_eq!(tampered(stored["classes"][0]["evicts"].clone()), None);
    assert_eq!(tampered(serde_json::json!([])), Some("plan"));
    // In the order of names: db, large, medium, small.
    assert_eq!(tampered(serde_json::json!([2])), Some("plan"));
    assert_eq!(tampered(serde_json::json!([0, 1, 2, 3])), Some("vm"));
    assert_eq!(cluster.vm(small).unwrap().name(), "small");
}

fn verdict_of(text: &str) -> lifeboat::Verdict {
    let (cluster, policy) = Document::from_json(text).unwrap_or_else(|errors| panic!("{errors}")).into_parts();
    let verdict = verify(&cluster, &policy).unwrap();
    check_verdict(&cluster, &policy, &verdict).unwrap();
    verdict
}

/// A VM that waits and gives up on one which only the failing node could run cannot be placed once that is lost, though it
/// stands while the other runs.
#[test]
fn who_waits_gives_up_on_who_nothing_could_take() {
    let verdict = verdict_of(
        r#"{"format": "lifeboat/1", "resources": [{"name": "cpu"}],
            "nodes": [{"name": "n0", "capacity": {"cpu": 10}}, {"name": "n1", "capacity": {"cpu": 10}},
                      {"name": "big", "capacity": {"cpu": 10}, "labels": ["san"]}],
            "vms": [{"name": "db", "demand": {"cpu": 2}, "node": "big", "requires": ["san"]},
                    {"name": "app", "demand": {"cpu": 2}, "power": "on",
                     "starts_after": [{"vm": "db", "on_timeout": "give_up"}]}],
            "policy": {"tolerate": [{"fail": {"node": 1}}], "uncoverable": "warn"}}"#,
    );
    let class = &verdict.classes()[0];
    assert_eq!(class.answer(), Answer::Fails);
    assert_eq!(class.failing_units().iter().map(ToString::to_string).collect::<Vec<_>>(), ["big"]);
}

/// Of one loss all failing units are listed, also where VMs that may be evicted keep a search from refuting them.
#[test]
fn failing_units_are_all_listed_where_evictions_do_not_help() {
    let verdict = verdict_of(
        r#"{"format": "lifeboat/1", "resources": [{"name": "cpu"}],
            "nodes": [{"name": "n1", "capacity": {"cpu": 0}}, {"name": "n2", "capacity": {"cpu": 4}},
                      {"name": "n3", "capacity": {"cpu": 0}}],
            "vms": [{"name": "v2", "demand": {"cpu": 2}, "node": "n3", "migrating_to": "n2"},
                    {"name": "v4", "demand": {"cpu": 3}, "node": "n2"}, {"name": "v6", "demand": {"cpu": 1}, "node": "n1"},
                    {"name": "v8", "demand": {"cpu": 0}, "node": "n3", "restart": "best_effort"}],
            "policy": {"tolerate": [{"fail": {"node": 1}}], "preemption": "best_effort"}}"#,
    );
    let class = &verdict.classes()[0];
    assert_eq!((class.answer(), class.open()), (Answer::Fails, 0));
    assert_eq!(class.failing_units().iter().map(ToString::to_string).collect::<Vec<_>>(), ["n1", "n3"]);
}
