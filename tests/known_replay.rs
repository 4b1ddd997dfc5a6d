//! Certificates of clusters of real size against an adversary that sees the plans: at once, one after another, in batches.
//!
//! Uses the test kit (`generate`, `adversary`). Heavy, so run in release:
//! `cargo test --release --test known_replay -- --include-ignored --nocapture`. With `LIFEBOAT_FULL=1` 100 000 games per
//! certificate; otherwise a hundredth of that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]

use lifeboat::policy::FailureClass;
use lifeboat::{Certificate, Cluster, Covers, Failure, NodeId, Planner, Policy, RestartClass, VmId, verify};
use lifeboat_testkit::Choices;
use lifeboat_testkit::adversary::{Score, Script, Table, Tolerance, play};
use lifeboat_testkit::generate::{Layout, Shape};
use std::collections::BTreeSet;
use std::time::Instant;

type Placements = Vec<(VmId, NodeId)>;

/// Games per certificate.
fn games() -> u64 {
    if std::env::var_os("LIFEBOAT_FULL").is_some() { 100_000 } else { 1_000 }
}

fn class(fail: &[(&str, u32)]) -> FailureClass {
    let mut class = FailureClass::nodes(0);
    class.fail = fail.iter().map(|(level, count)| ((*level).to_string(), *count)).collect();
    class
}

fn failure(nodes: &BTreeSet<NodeId>) -> Failure {
    Failure::of(nodes.iter().copied())
}

/// Plays a class of a cluster, if it holds; says what was played.
fn replay(name: &str, cluster: &Cluster, class: &FailureClass) {
    let mut policy = Policy::default();
    policy.tolerate = vec![class.clone()];
    // What is not proved by then is not played.
    policy.budget.verify = 20_000_000;
    let start = Instant::now();
    let verdict = verify(cluster, &policy).expect("a class of the cluster");
    let found = &verdict.classes()[0];
    let what: Vec<String> = class.fail.iter().map(|(level, count)| format!("{level}={count}")).collect();
    let title = format!("{name} {}", what.join(","));
    let Some(certificate) = found.certificate() else {
        println!("{title:<34} {} ({:.1?})", found.rest().name(), start.elapsed());
        return;
    };
    let proved = start.elapsed();
    let without: BTreeSet<VmId> = found.uncoverable().iter().map(|vm| vm.vm).collect();
    let tolerance = Tolerance::new(cluster, &class.fail);
    let mut table = Table::new(cluster, class.min_priority, &without);
    let at_once = certificate.covers() == Covers::AtOnce;
    println!("{title:<34} holds {} ({proved:.1?})", certificate.covers().name());

    let cover = by_cover(cluster, certificate, &tolerance, &mut table, at_once);
    told(&title, "cover", cover);
    let look_up = by_look_up(cluster, certificate, &tolerance, &mut table);
    told(&title, "plan_for", look_up);
    let planner = by_planner(cluster, &policy, certificate, &tolerance, &mut table, at_once);
    told(&title, "restart_covered", planner);
}

fn told(title: &str, by: &str, (result, score, time): (Result<(), String>, Score, std::time::Duration)) {
    let Score { games, losses, restarts, checked } = score;
    println!(
        "  {by:<16} {games:>7} games, {losses:>7} losses, {restarts:>10} restarts, {checked:>5} checked twice, {time:.1?}"
    );
    if let Err(why) = result {
        panic!("{title}, {by}: {why}");
    }
}

/// Loss by loss through the certificate in use.
fn by_cover(
    cluster: &Cluster,
    certificate: &Certificate,
    tolerance: &Tolerance,
    table: &mut Table<'_>,
    at_once: bool,
) -> (Result<(), String>, Score, std::time::Duration) {
    let start = Instant::now();
    let units: usize = tolerance.counts.iter().sum();
    let begin = certificate.begin(cluster).expect("its own state");
    let mut choices = Choices::from_seed(7);
    let mut score = Score::default();
    for game in 0..games() {
        let script = Script::any(&mut choices, units, at_once);
        let mut cover = begin.clone();
        let before = std::cell::RefCell::new(begin.clone());
        let peek = |lost: &BTreeSet<NodeId>| before.borrow().clone().lose(&failure(lost)).ok().map(|it| it.placements);
        let answer = |_: Option<&Cluster>, lost: &BTreeSet<NodeId>| {
            let promise = cover.lose(&failure(lost)).ok()?;
            before.replace(cover.clone());
            Some(promise.placements)
        };
        let full = is_sample(game, cluster);
        if let Err(why) = play(table, tolerance, &script, &mut choices, full, &mut score, peek, answer) {
            return (Err(why), score, start.elapsed());
        }
    }
    (Ok(()), score, start.elapsed())
}

/// Everything at once, by the look-up alone; in a tenth of the games.
fn by_look_up(
    cluster: &Cluster,
    certificate: &Certificate,
    tolerance: &Tolerance,
    table: &mut Table<'_>,
) -> (Result<(), String>, Score, std::time::Duration) {
    let start = Instant::now();
    let units: usize = tolerance.counts.iter().sum();
    let mut choices = Choices::from_seed(8);
    let mut score = Score::default();
    for game in 0..games() / 10 {
        let script = Script::any(&mut choices, units, true);
        let plan = |lost: &BTreeSet<NodeId>| certificate.plan_for(cluster, &failure(lost)).ok().map(|it| it.placements);
        let full = is_sample(game, cluster);
        let answer = |_: Option<&Cluster>, lost: &BTreeSet<NodeId>| plan(lost);
        if let Err(why) = play(table, tolerance, &script, &mut choices, full, &mut score, plan, answer) {
            return (Err(why), score, start.elapsed());
        }
    }
    (Ok(()), score, start.elapsed())
}

/// By the planner that holds the certificate, on the cluster as it is at each loss. It copies the cluster for every plan,
/// so there are fewer games the larger that is.
fn by_planner(
    cluster: &Cluster,
    policy: &Policy,
    certificate: &Certificate,
    tolerance: &Tolerance,
    table: &mut Table<'_>,
    at_once: bool,
) -> (Result<(), String>, Score, std::time::Duration) {
    let start = Instant::now();
    let units: usize = tolerance.counts.iter().sum();
    let begin = certificate.begin(cluster).expect("its own state");
    let mut choices = Choices::from_seed(9);
    let mut score = Score::default();
    let mut planner = Planner::new();
    let most = games() * 64 / (cluster.node_count() as u64).max(64) / 10;
    for _ in 0..most.max(10) {
        let script = Script::any(&mut choices, units, at_once);
        let cover = std::cell::RefCell::new(begin.clone());
        let peek = |lost: &BTreeSet<NodeId>| cover.borrow().clone().lose(&failure(lost)).ok().map(|it| it.placements);
        let answer = |now: Option<&Cluster>, lost: &BTreeSet<NodeId>| -> Option<Placements> {
            let now = now.expect("the cluster as it is");
            let mut held = cover.borrow_mut();
            let plan = planner.restart_covered(&mut held, now, policy, &failure(lost)).ok()?;
            let displaced = plan.classes().iter().filter(|class| class.restart == RestartClass::Protected);
            displaced.into_iter().all(|class| class.placed == class.displaced).then_some(())?;
            Some(plan.placements().iter().map(|placed| (placed.vm, placed.node)).collect())
        };
        if let Err(why) = play(table, tolerance, &script, &mut choices, true, &mut score, peek, answer) {
            return (Err(why), score, start.elapsed());
        }
    }
    (Ok(()), score, start.elapsed())
}

/// Whether the checker of plans judges a game, too: on a copy of the cluster, so seldom where that is large.
fn is_sample(game: u64, cluster: &Cluster) -> bool {
    game % (cluster.node_count() as u64).max(64) == 0
}

fn all_classes(name: &str, shape: Shape) {
    let cluster = shape.build();
    for class in [class(&[("node", 2)]), class(&[("node", 4)]), class(&[("rack", 1), ("node", 1)])] {
        replay(name, &cluster, &class);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "heavy without optimisation")]
fn sixty_four_nodes() {
    all_classes("64/640", Shape::new(64, 640).utilisation(60));
    all_classes("64/640 rules", Shape::new(64, 640).utilisation(55).with_rules());
    all_classes("64/8000 ragged", Shape::new(64, 8_000).utilisation(60).layout(Layout::Ragged));
    // Best-effort VMs take what the promise leaves; racks so small that losses one after another are covered.
    let racks = Shape { best_effort_percent: 20, nodes_per_rack: 4, ..Shape::new(64, 640).utilisation(60) };
    all_classes("64/640 best effort", racks);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "heavy without optimisation")]
fn a_thousand_nodes() {
    all_classes("1000/10000", Shape::new(1_000, 10_000));
    all_classes("1000/10000 rules", Shape::new(1_000, 10_000).with_rules());
    all_classes(
        "1000/10000 ragged, 4 kinds",
        Shape::new(1_000, 10_000).layout(Layout::Ragged).utilisation(85).kinds(4),
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "heavy without optimisation")]
fn ten_thousand_nodes() {
    all_classes("10000/100000", Shape::new(10_000, 100_000));
    all_classes("10000/100000 rules", Shape::new(10_000, 100_000).with_rules());
}
