//! Attacks on verdicts, certificates, the checker and the guard: clusters full of rules that overlap, and certificates in
//! forms that nobody gives out.
//!
//! Uses the test kit. What the checker accepts must survive every loss of its class, played move by move.
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
    Answer, Certificate, CertificateError, Change, Cluster, Cover, Covers, Failure, Guard, Node, NodeId, Planner,
    Policy, Promise, ResourceKinds, Rule, RuleKind, StoredCertificates, Vm, VmId, VmRef, check_certificate,
    check_evictions, check_plan, check_verdict, verify,
};
use lifeboat_testkit::Choices;
use lifeboat_testkit::verdict::{Ask, verdict};
use lifeboat_testkit::verdict_cases::{VerdictCase, scarce_from_seed};
use lifeboat_testkit::verdict_nasty::{class, nasty};
use lifeboat_testkit::verdict_replay::{Broken, Order, Played, Restart, replay};
use std::collections::{BTreeMap, BTreeSet};

type Seen = BTreeMap<String, u32>;

fn tally(seen: &mut Seen, what: impl Into<String>) {
    *seen.entry(what.into()).or_default() += 1;
}

fn report(name: &str, seen: &Seen, faults: &[String]) {
    println!("== {name}");
    for (key, count) in seen {
        println!("  {count:>6} {key}");
    }
    for fault in faults.iter().take(6) {
        println!("FAULT {fault}");
    }
    assert!(faults.is_empty(), "{} faults", faults.len());
}

fn with_class(policy: &Policy, class: &FailureClass) -> Policy {
    let mut one = policy.clone();
    one.tolerate = vec![class.clone()];
    one
}

/// Plays every loss of a class that a certificate covers, with this answer to each.
fn play(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    without: &BTreeSet<VmId>,
    certificate: &Certificate,
    mut answer: impl FnMut(&Cluster, &mut Cover<'_>, &Failure) -> Option<Restart>,
) -> Result<Played, Broken> {
    let order = if certificate.covers() == Covers::AnyOrder { Order::AnyOrder } else { Order::AtOnce };
    let begin = certificate.begin(cluster).expect("its own state");
    replay(cluster, policy, class, without, order, begin, |moment| {
        let mut cover = moment.memory.clone();
        let failure = Failure::of(moment.now.iter().copied());
        let restart = answer(moment.cluster, &mut cover, &failure)?;
        Some((restart, cover))
    })
}

fn look_up(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    without: &BTreeSet<VmId>,
    certificate: &Certificate,
) -> Result<Played, Broken> {
    play(cluster, policy, class, without, certificate, |now, cover, failure| {
        let Promise { placements, evictions } = cover.lose(failure).ok()?;
        check_evictions(now, policy, failure, &placements, &evictions).ok()?;
        Some(Restart { placements, evictions })
    })
}

fn by_planner(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    without: &BTreeSet<VmId>,
    certificate: &Certificate,
) -> Result<Played, Broken> {
    let mut planner = Planner::new();
    play(cluster, policy, class, without, certificate, |now, cover, failure| {
        let plan = planner.restart_covered(cover, now, policy, failure).ok()?;
        if let Err(faults) = check_plan(now, policy, failure, &plan) {
            println!("check_plan: {faults:?}");
            return None;
        }
        let evictions = plan.evictions().iter().map(|evicted| (evicted.vm, evicted.node)).collect();
        let placements = plan.placements().iter().map(|placed| (placed.vm, placed.node)).collect();
        Some(Restart { placements, evictions })
    })
}

fn judge(seed: u64, case: &VerdictCase, seen: &mut Seen, faults: &mut Vec<String>) {
    let VerdictCase { cluster, policy } = case;
    for class in &policy.tolerate {
        let policy = with_class(policy, class);
        let said = verify(cluster, &policy).expect("a verdict");
        let found = &said.classes()[0];
        let what = |fault: String| format!("seed {seed} {:?}: {fault}\n{}", class.fail, to_json(cluster, &policy));
        if let Err(wrong) = check_verdict(cluster, &policy, &said) {
            faults.push(what(format!("checker refuses {wrong:?}")));
        }
        let covers = found.covers().map_or("-", Covers::name);
        let kinds: BTreeSet<&str> = cluster
            .rules()
            .map(|rule| match rule.kind() {
                RuleKind::Separate { .. } => "sep",
                RuleKind::SeparateSides { .. } => "sides",
                RuleKind::Together { .. } => "tog",
                RuleKind::Spread { .. } => "spread",
                RuleKind::Follow { .. } => "follow",
                _ => "place",
            })
            .collect();
        tally(seen, format!("{} {covers} by {}", found.rest().name(), found.method().way.name()));
        if covers == "any_order"
            && found.certificate().is_some_and(|_| class.fail.iter().map(|(_, count)| count).sum::<u32>() > 1)
        {
            for kind in kinds {
                tally(seen, format!("any_order k>1 with {kind}"));
            }
        }
        let uncoverable: BTreeSet<VmId> = found.uncoverable().iter().map(|found| found.vm).collect();
        if let Some(certificate) = found.certificate() {
            match look_up(cluster, &policy, class, &uncoverable, certificate) {
                Err(broken) => faults.push(what(format!("LOOK-UP {broken:?}"))),
                Ok(played) => *seen.entry("restarts played".into()).or_default() += played.restarts as u32,
            }
            if seed % 4 != 1 && certificate.covers() == Covers::AnyOrder {
                if let Err(broken) = by_planner(cluster, &policy, class, &uncoverable, certificate) {
                    faults.push(what(format!("PLANNER {broken:?}")));
                }
            }
        }
        let hard = (seed % 4 == 2 && seed / 4 % 2 == 0) || found.rest() == Answer::Fails;
        if hard {
            let Some(truth) = verdict(cluster, &policy, class, Ask::First, 4_000) else {
                tally(seen, "reference gave up");
                continue;
            };
            let expected: BTreeSet<VmId> = truth.uncoverable.iter().map(|found| found.vm).collect();
            if uncoverable != expected {
                faults.push(what("uncoverable differ".into()));
            }
            match found.rest() {
                Answer::Holds if !truth.rest.survives => {
                    faults.push(what(format!("WRONG YES {:?}", truth.rest.failing)))
                }
                Answer::Fails if truth.rest.survives => faults.push(what(format!("WRONG NO {}", found.summary()))),
                _ => tally(seen, "compared"),
            }
        }
    }
}

#[test]
fn verdicts_hold_what_they_say() {
    let (mut seen, mut faults) = (Seen::new(), Vec::new());
    for seed in 0..24 {
        tally(&mut seen, "seeds");
        judge(seed, &nasty(seed), &mut seen, &mut faults);
    }
    report("verdicts", &seen, &faults);
}

/// Certificates of the cluster with fewer rules, and certificates with changed targets and banks, shown to the checker.
#[test]
fn changed_certificates_are_refused_or_good() {
    let (mut seen, mut faults) = (Seen::new(), Vec::new());
    for seed in 0..24 {
        tally(&mut seen, "seeds");
        let VerdictCase { cluster, policy } = nasty(seed);
        let mut choices = Choices::from_seed(seed);
        for class in &policy.tolerate {
            let policy = with_class(&policy, class);
            let mut sources = vec![(cluster.clone(), "own")];
            // One rule gone, and all gone but one.
            let rules: Vec<_> = cluster.rules().map(|rule| rule.id()).collect();
            for rule in &rules {
                let mut fewer = cluster.clone();
                fewer.remove_rule(*rule).unwrap();
                sources.push((fewer, "without one rule"));
            }
            let mut none = cluster.clone();
            for rule in &rules {
                none.remove_rule(*rule).unwrap();
            }
            sources.push((none, "without rules"));
            let state = |cluster: &Cluster| {
                let empty: Vec<&Certificate> = Vec::new();
                serde_json::to_value(StoredCertificates::new(cluster, empty)).unwrap()["state"].clone()
            };
            for (source, name) in &sources {
                let said = verify(source, &policy).unwrap();
                let found = &said.classes()[0];
                let Some(certificate) = found.certificate() else { continue };
                let mut value = serde_json::to_value(StoredCertificates::new(source, [certificate])).unwrap();
                value["state"] = state(&cluster);
                for round in 0..if *name == "own" { 40 } else { 8 } {
                    let mut value = value.clone();
                    if round > 0 || *name == "own" {
                        tamper(&mut value["classes"][0], &mut choices, cluster.node_count() as u64);
                    }
                    let Ok(read) = serde_json::from_value::<StoredCertificates>(value) else { continue };
                    let Some(read) = accepted(&cluster, &policy, &read, name, &mut seen) else { continue };
                    let covers = read[0].covers().name();
                    tally(&mut seen, format!("{name}: accepted {covers}"));
                    let left_out: BTreeSet<VmId> = found.uncoverable().iter().map(|found| found.vm).collect();
                    if let Err(broken) = look_up(&cluster, &policy, class, &left_out, &read[0]) {
                        faults.push(format!(
                            "seed {seed} {:?} {name} round {round}: accepted, {broken:?}\n{}\n{}",
                            class.fail,
                            to_json(&cluster, &policy),
                            serde_json::to_string(&StoredCertificates::new(&cluster, [&read[0]])).unwrap()
                        ));
                    }
                }
            }
        }
    }
    report("tampering", &seen, &faults);
}

/// Places of VMs' own, changed one way or another, shown to the checker.
#[test]
fn changed_places_of_their_own_are_refused_or_good() {
    let (mut seen, mut faults) = (Seen::new(), Vec::new());
    for seed in 0..80 {
        let VerdictCase { cluster, policy } = scarce_from_seed(seed);
        let said = verify(&cluster, &policy).unwrap();
        let found = &said.classes()[0];
        let Some(certificate) = found.certificate().filter(|certificate| certificate.backups() > 0) else { continue };
        tally(&mut seen, "certificates");
        let own = serde_json::to_value(StoredCertificates::new(&cluster, [certificate])).unwrap();
        let left_out: BTreeSet<VmId> = found.uncoverable().iter().map(|found| found.vm).collect();
        let choices = &mut Choices::from_seed(seed);
        for _ in 0..60 {
            let mut changed = own.clone();
            let change = tamper_with_places(&mut changed["classes"][0], choices, cluster.node_count() as u64);
            let read: StoredCertificates = serde_json::from_value(changed).unwrap();
            let Some(read) = accepted(&cluster, &policy, &read, change, &mut seen) else { continue };
            tally(&mut seen, format!("{change}: accepted"));
            if let Err(broken) = look_up(&cluster, &policy, &policy.tolerate[0], &left_out, &read[0]) {
                let stored = serde_json::to_string(&StoredCertificates::new(&cluster, [&read[0]])).unwrap();
                let document = to_json(&cluster, &policy);
                faults.push(format!("seed {seed} {change}: accepted, {broken:?}\n{document}\n{stored}"));
            }
        }
    }
    report("places of their own", &seen, &faults);
    assert!(seen.keys().any(|key| key.ends_with("accepted")) && seen.keys().any(|key| key.contains("refused")));
}

/// Certificates as they were stored, if they can be read and the checker takes the first.
fn accepted(
    cluster: &Cluster,
    policy: &Policy,
    stored: &StoredCertificates,
    name: &str,
    seen: &mut Seen,
) -> Option<Vec<Certificate>> {
    let Ok(read) = stored.certificates(cluster) else {
        tally(seen, format!("{name}: unreadable"));
        return None;
    };
    if let Err(wrong) = check_certificate(cluster, policy, &read[0]) {
        tally(seen, format!("{name}: refused for {}", wrong[0].code()));
        return None;
    }
    Some(read)
}

fn tamper_with_places(class: &mut serde_json::Value, choices: &mut Choices<'_>, nodes: u64) -> &'static str {
    let count = class["backups"].as_array().unwrap().len();
    let (one, other) = (choices.index(count), choices.index(count));
    let entry = |class: &serde_json::Value, vm: &serde_json::Value| {
        class["vms"].as_array().unwrap().iter().position(|known| known == vm).unwrap()
    };
    let places = class["backups"][one][1].clone();
    match choices.below(7) {
        0 | 1 => {
            let places = class["backups"][one][1].as_array_mut().unwrap();
            let at = choices.index(places.len());
            places[at] = choices.below(nodes).into();
            "another place"
        }
        2 => {
            class["backups"][one][1].as_array_mut().unwrap().pop();
            "a place less"
        }
        3 => {
            class["backups"][one][1].as_array_mut().unwrap().reverse();
            "another order"
        }
        4 => {
            class["backups"][other][1] = places;
            "the places of another"
        }
        5 => {
            // A VM that is in the banks goes where another has places of its own, or with it.
            let vms = class["vms"].as_array().unwrap().clone();
            let vm = choices.pick(&vms.iter().collect::<Vec<_>>()).clone();
            let at = entry(class, &vm);
            for column in class["columns"].as_array_mut().unwrap() {
                column["targets"][at] = nodes.into();
            }
            class["backups"].as_array_mut().unwrap().push(serde_json::json!([vm, places]));
            "one more with places of its own"
        }
        _ => {
            let vm = class["backups"].as_array_mut().unwrap().remove(one)[0].clone();
            let at = entry(class, &vm);
            for column in class["columns"].as_array_mut().unwrap() {
                let bank: Vec<u64> = serde_json::from_value(column["bank"].clone()).unwrap();
                column["targets"][at] = bank.first().map_or(nodes, |_| choices.pick(&bank)).into();
            }
            "one less"
        }
    }
}

fn tamper(class: &mut serde_json::Value, choices: &mut Choices<'_>, nodes: u64) {
    let columns = class["columns"].as_array().map_or(0, Vec::len);
    if columns == 0 {
        return;
    }
    let column = choices.index(columns);
    let banked = !class["columns"][column]["bank"].is_null();
    match choices.below(8) {
        // Targets within the bank.
        0..=3 => {
            for _ in 0..choices.between(1, 3) {
                let column = choices.index(columns);
                let column = &mut class["columns"][column];
                let bank: Vec<u64> = column["bank"].as_array().map_or_else(
                    || (0..nodes).collect(),
                    |bank| bank.iter().map(|node| node.as_u64().unwrap()).collect(),
                );
                let targets = column["targets"].as_array_mut().unwrap();
                if targets.is_empty() || bank.is_empty() {
                    return;
                }
                let entry = choices.index(targets.len());
                if targets[entry].as_u64().unwrap() < nodes {
                    targets[entry] = choices.pick(&bank).into();
                }
            }
        }
        // One entry takes the targets of another, everywhere.
        4 => {
            let count = class["columns"][0]["targets"].as_array().unwrap().len();
            if count < 2 {
                return;
            }
            let (from, to) = (choices.index(count), choices.index(count));
            for column in class["columns"].as_array_mut().unwrap() {
                let targets = column["targets"].as_array_mut().unwrap();
                targets[to] = targets[from].clone();
            }
        }
        // A node changes its bank.
        5 if banked => {
            let other = choices.index(columns);
            let bank = class["columns"][column]["bank"].as_array_mut().unwrap();
            if bank.is_empty() || other == column {
                return;
            }
            let node = bank.remove(choices.index(bank.len()));
            if let Some(bank) = class["columns"][other]["bank"].as_array_mut() {
                bank.push(node);
                bank.sort_by_key(serde_json::Value::as_u64);
            }
        }
        // Columns swap their tiers, or their banks.
        6 => {
            let other = choices.index(columns);
            let field = choices.pick(&["tier", "bank", "targets"]);
            let (left, right) = (class["columns"][column][field].clone(), class["columns"][other][field].clone());
            class["columns"][column][field] = right;
            class["columns"][other][field] = left;
        }
        _ => match choices.below(4) {
            0 => class["any_order"] = true.into(),
            1 => class["covers"] = "any_order".into(),
            2 => {
                if let Some(list) = class["evicts"].as_array_mut() {
                    list.pop();
                }
            }
            _ => {
                if let Some(list) = class["standing"].as_array_mut() {
                    if !list.is_empty() {
                        let at = choices.index(list.len());
                        list[at][1] = choices.below(nodes).into();
                    }
                }
            }
        },
    }
}

/// Requests and facts under rules, and every certificate that the guard gives.
#[test]
fn a_guard_keeps_its_certificates_good() {
    let (mut seen, mut faults) = (Seen::new(), Vec::new());
    for seed in 0..24 {
        tally(&mut seen, "seeds");
        let VerdictCase { cluster, mut policy } = nasty(seed);
        let mut choices = Choices::from_seed(seed + 7);
        policy.preemption = Preemption::Never;
        // Only what a ledger keeps.
        let said = verify(&cluster, &policy).unwrap();
        policy.tolerate = said
            .classes()
            .iter()
            .filter(|class| class.covers() == Some(Covers::AnyOrder))
            .map(|class| class.class().clone())
            .collect();
        if policy.tolerate.is_empty() {
            continue;
        }
        let mut guard = Guard::new(cluster, policy);
        for step in 0..40 {
            let nodes: Vec<NodeId> = guard.cluster().nodes().map(|node| node.id()).collect();
            let vms: Vec<VmId> = guard.cluster().vms().map(VmRef::id).collect();
            if vms.is_empty() {
                break;
            }
            let node = choices.pick(&nodes);
            let open = choices.chance(1, 2).then_some(node);
            let vm = choices.pick(&vms);
            let view = guard.cluster().vm(vm).unwrap();
            let change = if !view.is_on() {
                Change::Start { vm, node: open }
            } else if view.migrating_to().is_some() {
                if choices.chance(2, 3) { Change::MigrateDone { vm } } else { Change::MigrateAborted { vm } }
            } else {
                match choices.below(5) {
                    0 => Change::Stop { vm },
                    1 | 2 => Change::Migrate { vm, to: open },
                    _ => {
                        let width = guard.cluster().kinds().len();
                        Change::Resize {
                            vm,
                            demand: (0..width).map(|_| choices.between(1, 5)).collect::<Vec<_>>().into(),
                        }
                    }
                }
            };
            let what = format!("seed {seed} step {step} {change:?}");
            let mut changes = vec![change];
            let forced = choices.chance(1, 5);
            if forced {
                for change in &mut changes {
                    if let Change::Start { node: to, .. } | Change::Migrate { to, .. } = change {
                        *to = Some(node);
                    }
                }
                if guard.observe(&changes).is_err() {
                    continue;
                }
                tally(&mut seen, "observed");
            } else {
                let Ok(decision) = guard.admit(&changes) else {
                    tally(&mut seen, "error");
                    continue;
                };
                if !decision.is_admitted() {
                    tally(&mut seen, "refused");
                    continue;
                }
                tally(&mut seen, "admitted");
                guard.apply(decision).unwrap();
            }
            if let Err(fault) = guard.check_ledgers() {
                faults.push(format!("{what}: {fault}"));
            }
            for class in guard.policy().tolerate.clone() {
                let Some(certificate) = guard.certificate(&class).unwrap() else { continue };
                let (cluster, policy) = (guard.cluster().clone(), with_class(guard.policy(), &class));
                let say = |fault: String| {
                    format!(
                        "{what} {:?}: {fault}\n{}\n{}",
                        class.fail,
                        to_json(&cluster, &policy),
                        serde_json::to_string(&StoredCertificates::new(&cluster, [&certificate])).unwrap()
                    )
                };
                if let Err(wrong) = check_certificate(&cluster, &policy, &certificate) {
                    faults.push(say(format!("checker refuses {wrong:?}")));
                }
                tally(&mut seen, format!("certificate {}", certificate.covers().name()));
                let left_out: BTreeSet<VmId> = lifeboat_left_out(&mut guard, &class);
                if step % 4 == 0 {
                    if let Err(broken) = look_up(&cluster, &policy, &class, &left_out, &certificate) {
                        faults.push(say(format!("LOOK-UP {broken:?}")));
                    }
                }
            }
        }
        let (quick, slow) = guard.judged();
        *seen.entry("judged by ledger".into()).or_default() += quick as u32;
        *seen.entry("judged slowly".into()).or_default() += slow as u32;
    }
    report("guard", &seen, &faults);
}

fn lifeboat_left_out(guard: &mut Guard, class: &FailureClass) -> BTreeSet<VmId> {
    let items = guard.items().unwrap().to_vec();
    let at = guard.policy().tolerate.iter().position(|known| known == class).unwrap();
    match &items[at].item {
        lifeboat::Item::Tolerate(state) => state.uncoverable.iter().map(|found| found.vm).collect(),
        _ => BTreeSet::new(),
    }
}

/// A group in one rack that is on one node and moves as one; no node takes the whole group, but a rack does.
#[test]
fn a_group_that_moves_as_one_is_not_parted() {
    let mut faults = Vec::new();
    let mut seen = Seen::new();
    for (shape, fails) in
        [(0, vec![("rack", 1), ("node", 1)]), (1, vec![("node", 2)]), (2, vec![("rack", 1), ("node", 1)])]
    {
        let mut cluster = Cluster::new(ResourceKinds::new([("m", "")]).unwrap(), ["rack"]).unwrap();
        let mut home = None;
        for rack in 0..9 {
            for at in 0..if shape == 1 && rack == 0 { 1 } else { 2 } {
                let size = if rack == 0 { 10 } else { 5 };
                let node = Node::named(format!("n{rack}{at}")).capacity([size]).domain("rack", format!("r{rack}"));
                let node = cluster.add_node(node).unwrap();
                home = home.or(Some(node));
            }
        }
        let home = home.unwrap();
        let group = [0, 1].map(|at| cluster.add_vm(Vm::named(format!("g{at}")).demand([4]).on(home)).unwrap());
        cluster.add_rule(Rule::new("t", RuleKind::Together { level: "rack".into() }).vms(group)).unwrap();
        let mut policy = Policy::default();
        policy.tolerate = vec![class(&fails)];
        judge(3 + 4 * shape, &VerdictCase { cluster, policy }, &mut seen, &mut faults);
    }
    report("party", &seen, &faults);
}

/// A class that names a level twice, and a certificate with too few banks for it.
#[test]
fn a_level_may_be_named_twice() {
    let mut cluster = Cluster::new(ResourceKinds::new([("m", "")]).unwrap(), ["rack"]).unwrap();
    for at in 0..9 {
        let node = cluster.add_node(Node::named(format!("n{at}")).capacity([10])).unwrap();
        cluster.add_vm(Vm::named(format!("v{at}")).demand([3]).on(node)).unwrap();
    }
    let twice = class(&[("node", 1), ("node", 1)]);
    let mut policy = Policy::default();
    policy.tolerate = vec![twice.clone()];
    let said = verify(&cluster, &policy);
    println!("twice: {:?}", said.as_ref().map(|said| said.classes()[0].summary()));
    let Ok(said) = said else { return };
    let own = check_verdict(&cluster, &policy, &said);
    println!("own: {own:?}");
    let certificate = said.certificates().next().unwrap();
    let mut value = serde_json::to_value(StoredCertificates::new(&cluster, [certificate])).unwrap();
    println!("{}", value["classes"][0]["tiers"]);
    let last = value["classes"][0]["columns"].as_array_mut().unwrap();
    last.truncate(2);
    value["classes"][0]["tiers"] = serde_json::json!([["node", 1], ["node", 1]]);
    let read: StoredCertificates = serde_json::from_value(value).unwrap();
    let read = read.certificates(&cluster).unwrap();
    let checked = check_certificate(&cluster, &policy, &read[0]);
    println!("two banks for two losses: {checked:?}");
    if checked.is_ok() {
        println!("{:?}", look_up(&cluster, &policy, &twice, &BTreeSet::new(), &read[0]));
        panic!("accepted");
    }
    own.expect("its own certificate");
}

/// Forms that a certificate never has: what the checker reads one way and the look-up another.
#[test]
fn forms_that_nobody_gives_out_are_refused_or_good() {
    let (mut seen, mut faults) = (Seen::new(), Vec::new());
    for seed in 0..24 {
        tally(&mut seen, "seeds");
        let VerdictCase { cluster, policy } = nasty(seed);
        let choices = &mut Choices::from_seed(seed);
        let nodes = cluster.node_count() as u64;
        let mut classes = policy.tolerate.clone();
        classes.extend([class(&[("node", 1)]), class(&[("rack", 1), ("feed", 1)]), class(&[("node", 1), ("rack", 1)])]);
        for class in &classes {
            let policy = with_class(&policy, class);
            let said = verify(&cluster, &policy).unwrap();
            let found = &said.classes()[0];
            let Some(certificate) = found.certificate() else { continue };
            let left_out: BTreeSet<VmId> = found.uncoverable().iter().map(|found| found.vm).collect();
            let own = serde_json::to_value(StoredCertificates::new(&cluster, [certificate])).unwrap();
            let mut forms: Vec<(&str, serde_json::Value)> = Vec::new();
            let list = |value: &serde_json::Value, field: &str| {
                value["classes"][0][field].as_array().cloned().unwrap_or_default()
            };
            if list(&own, "tiers").len() == 2 {
                let mut other = own.clone();
                other["classes"][0]["tiers"].as_array_mut().unwrap().reverse();
                for column in other["classes"][0]["columns"].as_array_mut().unwrap() {
                    column["tier"] = (1 - column["tier"].as_u64().unwrap()).into();
                }
                forms.push(("tiers in another order", other));
            }
            let mut other = own.clone();
            other["classes"][0]["columns"].as_array_mut().unwrap().reverse();
            forms.push(("columns in another order", other));
            for (at, exception) in list(&own, "exceptions").into_iter().enumerate().take(4) {
                for after in [false, true] {
                    let mut bad = exception.clone();
                    for placed in bad["placements"].as_array_mut().unwrap() {
                        placed[1] = choices.below(nodes).into();
                    }
                    let mut other = own.clone();
                    other["classes"][0]["exceptions"].as_array_mut().unwrap().insert(at + usize::from(after), bad);
                    forms.push(("an exception twice", other));
                }
            }
            if !list(&own, "standing").is_empty() {
                let mut bad = list(&own, "standing");
                for placed in &mut bad {
                    placed[1] = choices.below(nodes).into();
                }
                let mut other = own.clone();
                other["classes"][0]["exceptions"]
                    .as_array_mut()
                    .unwrap()
                    .push(serde_json::json!({"failed": [], "placements": bad}));
                forms.push(("an exception for no loss", other));
            }
            if class.fail.iter().map(|(_, count)| count).sum::<u32>() == 1 {
                let mut other = own.clone();
                other["classes"][0]["covers"] = "any_order".into();
                for column in other["classes"][0]["columns"].as_array_mut().unwrap() {
                    column["bank"] = serde_json::Value::Null;
                }
                forms.push(("any order without banks", other));
            }
            for (name, form) in forms {
                let read: StoredCertificates = serde_json::from_value(form).unwrap();
                let Some(read) = accepted(&cluster, &policy, &read, name, &mut seen) else { continue };
                if let Err(broken) = look_up(&cluster, &policy, class, &left_out, &read[0]) {
                    tally(&mut seen, format!("{name}: ACCEPTED AND BROKEN"));
                    faults.push(format!("{name}: seed {seed} {:?}: accepted, {broken:?}", class.fail));
                } else {
                    tally(&mut seen, format!("{name}: accepted and good"));
                }
            }
        }
    }
    report("forms", &seen, &faults);
}

/// What waits holds more once it runs: a plan without banks that fits only before.
#[test]
fn what_waits_counts_once_it_runs() {
    let mut cluster = Cluster::new(ResourceKinds::new([("m", "")]).unwrap(), ["rack"]).unwrap();
    let nodes: Vec<NodeId> =
        (0..3).map(|at| cluster.add_node(Node::named(format!("n{at}")).capacity([20])).unwrap()).collect();
    cluster.add_vm(Vm::named("v").demand([5]).on(nodes[0])).unwrap();
    cluster.add_vm(Vm::named("s").demand([18]).restart_demand([2]).powered_on()).unwrap();
    let one = class(&[("node", 1)]);
    let mut policy = Policy::default();
    policy.tolerate = vec![one.clone()];
    let said = verify(&cluster, &policy).unwrap();
    let mut value = serde_json::to_value(StoredCertificates::new(&cluster, said.certificates())).unwrap();
    println!("{value}");
    // VMs by name: s, v. s stands on n1, and goes to n2 from there; v goes to n1.
    value["classes"][0]["standing"] = serde_json::json!([[0, 1]]);
    value["classes"][0]["exceptions"] = serde_json::json!([]);
    value["classes"][0]["columns"] = serde_json::json!([{"tier": 0, "bank": null, "targets": [2, 1]}]);
    value["classes"][0]["covers"] = "any_order".into();
    let read: StoredCertificates = serde_json::from_value(value).unwrap();
    let read = read.certificates(&cluster).unwrap();
    let checked = check_certificate(&cluster, &policy, &read[0]);
    println!("checked: {checked:?}");
    if checked.is_ok() {
        look_up(&cluster, &policy, &one, &BTreeSet::new(), &read[0]).expect("accepted");
    }
}

/// A verdict for another tolerance than the policy's.
#[test]
fn a_verdict_belongs_to_its_policy() {
    let mut cluster = Cluster::new(ResourceKinds::new([("m", "")]).unwrap(), ["rack"]).unwrap();
    for at in 0..2 {
        let node = cluster.add_node(Node::named(format!("n{at}")).capacity([10])).unwrap();
        cluster.add_vm(Vm::named(format!("v{at}")).demand([5]).on(node)).unwrap();
    }
    let policy = |count| {
        let mut policy = Policy::default();
        policy.tolerate = vec![class(&[("node", count)])];
        policy
    };
    let said = verify(&cluster, &policy(1)).unwrap();
    assert_eq!(said.answer(), Answer::Holds);
    assert_eq!(verify(&cluster, &policy(2)).unwrap().answer(), Answer::Fails);
    assert!(check_verdict(&cluster, &policy(2), &said).is_err(), "accepted for two losses");
}

/// Two nodes of a rack of three fail as two nodes, and are looked up as the rack, whose plan has the third node's VM gone.
#[test]
fn two_nodes_are_not_read_as_their_rack() {
    let (mut seen, mut faults) = (Seen::new(), Vec::new());
    for seed in 0..60_u64 {
        let mut cluster = Cluster::new(ResourceKinds::new([("m", "")]).unwrap(), ["rack", "feed"]).unwrap();
        let mut add = |name: &str, size: u64, rack: &str, feed: &str| {
            cluster.add_node(Node::named(name).capacity([size]).domain("rack", rack).domain("feed", feed)).unwrap()
        };
        let stays = add("a", 10, "r", "f");
        let fails = add("b", 10, "r", "fb");
        let also = add("c", 10, "r", "fc");
        let beside = add("x", 11 + seed % 3, "rx", "f");
        for at in 0..26 + seed % 8 {
            add(&format!("n{at}"), 10, &format!("r{at}"), &format!("f{at}"));
        }
        let pair = [("m1", fails), ("m2", stays)]
            .map(|(name, on)| cluster.add_vm(Vm::named(name).demand([3]).on(on)).unwrap());
        cluster
            .add_rule(Rule::new("apart", RuleKind::Separate { level: "feed".into(), max_per_domain: 1 }).vms(pair))
            .unwrap();
        let mut policy = Policy::default();
        policy.tolerate = vec![class(&[("rack", 1), ("node", 2)])];
        let said = verify(&cluster, &policy).unwrap();
        let found = &said.classes()[0];
        tally(&mut seen, format!("{} {:?} {}", found.rest().name(), found.covers(), found.method().way.name()));
        let Some(certificate) = found.certificate() else { continue };
        let checked = check_verdict(&cluster, &policy, &said);
        let promise = certificate.plan_for(&cluster, &Failure::of([fails, also])).unwrap();
        if promise.placements == [(pair[0], beside)] {
            faults.push(format!(
                "seed {seed}: m1 comes to x beside m2's feed, checker {checked:?}, {:?}\n{}",
                found.covers(),
                to_json(&cluster, &policy)
            ));
        }
    }
    report("two nodes", &seen, &faults);
}

/// The same objects listed in another order: equal content, but ids mean other objects. A certificate in memory is refused
/// there; stored, it speaks by name, and holds.
#[test]
fn a_certificate_does_not_pass_to_other_ids() {
    let build = |order: &[(&str, u64)]| {
        let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GiB")]).unwrap(), [""; 0]).unwrap();
        for (name, memory) in order {
            cluster.add_node(Node::named(*name).capacity([*memory])).unwrap();
        }
        let home = cluster.node_id("n1").unwrap();
        cluster.add_vm(Vm::named("large").demand([70]).on(home)).unwrap();
        cluster
    };
    let nodes = [("n1", 80), ("n2", 90), ("n3", 40)];
    let (one, other) = (build(&nodes), build(&[nodes[2], nodes[1], nodes[0]]));
    assert_eq!(one.fingerprint(), other.fingerprint());
    assert_ne!(one.state(), other.state());
    let policy = Policy::default();
    let verdict = verify(&one, &policy).unwrap();
    let certificate = verdict.certificates().next().unwrap();
    assert!(certificate.is_for(&one) && certificate.is_for(&one.clone()) && !certificate.is_for(&other));
    let lost = Failure::of([other.node_id("n1").unwrap()]);
    assert_eq!(certificate.plan_for(&other, &lost), Err(CertificateError::OtherState));
    assert!(check_certificate(&other, &policy, certificate).is_err());
    let stored = StoredCertificates::new(&one, [certificate]);
    let again = stored.certificates(&other).unwrap();
    let promise = again[0].plan_for(&other, &lost).unwrap();
    assert_eq!(promise.placements, [(other.vm_id("large").unwrap(), other.node_id("n2").unwrap())]);
    // A VM that goes and comes again has another id.
    let mut gone = one.clone();
    let vm = gone.vm(gone.vm_id("large").unwrap()).unwrap().to_vm();
    gone.remove_vm(gone.vm_id("large").unwrap()).unwrap();
    gone.add_vm(vm).unwrap();
    assert_eq!((gone.fingerprint(), certificate.is_for(&gone)), (one.fingerprint(), false));
    gone.check_invariants().unwrap();
}
