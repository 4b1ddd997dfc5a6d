//! Restart plans on real clusters and on packing instances with known optima.
//!
//! Uses the test kit, the planner and the checker. Says loudly where the data is not there; heavy, so run in release:
//! `cargo test --release --test known_plans -- --include-ignored --nocapture`. With `LIFEBOAT_FULL=1` every packing
//! instance is tried (otherwise one in four), and on one node fewer too, and every node of every cluster fails.

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

use lifeboat::policy::WorkBudget;
use lifeboat::{Cluster, Failure, NodeId, PlanStatus, Planner, Policy, check_plan};
use lifeboat_testkit::data::{self, Instance, Reading};
use std::time::Instant;

/// How many units of a kind fail in a run that is not full.
const SAMPLE: usize = 12;

fn full() -> bool {
    std::env::var_os("LIFEBOAT_FULL").is_some()
}

/// All of a list, or about `SAMPLE` of it, evenly.
fn sample<T: Clone>(list: &[T]) -> Vec<T> {
    let step = if full() { 1 } else { list.len().div_ceil(SAMPLE).max(1) };
    list.iter().step_by(step).cloned().collect()
}

/// Plans a failure, has the plan checked, and says what became of it.
fn plan(planner: &mut Planner, cluster: &Cluster, failure: &Failure, policy: &Policy, what: &str) -> PlanStatus {
    let plan = planner.restart(cluster, policy, failure).expect("a plan");
    if let Err(faults) = check_plan(cluster, policy, failure, &plan) {
        panic!("{what}: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    }
    plan.status()
}

/// Single nodes, pairs of nodes and whole domains of every instance: every plan is legal.
#[test]
#[cfg_attr(debug_assertions, ignore = "heavy without optimisation")]
fn every_plan_on_real_clusters_is_legal() {
    let mut policy = Policy::default();
    policy.budget = WorkBudget { plan: 100_000, ..policy.budget };
    let mut planner = Planner::new();
    let mut counts = [0_usize; 3];
    for file in data::files().into_iter().filter(|file| !file.starts_with("packing")) {
        for instance in data::instances(&file) {
            let cluster = instance.read(Reading::default()).cluster;
            let nodes: Vec<NodeId> = cluster.nodes().map(|node| node.id()).collect();
            let mut failures: Vec<(String, Failure)> = vec![("nothing".to_string(), Failure::none())];
            for node in sample(&nodes) {
                failures.push((format!("{node:?}"), Failure::of([node])));
            }
            for pair in sample(&nodes).windows(2) {
                failures.push((format!("{pair:?}"), Failure::of(pair.iter().copied())));
            }
            for level in cluster.levels() {
                let domains = cluster.domains(level).expect("a level").0;
                for domain in sample(&domains) {
                    let failure = Failure::none().domain(&cluster, level, domain).expect("a domain");
                    failures.push((format!("{level}={domain}"), failure));
                }
            }
            for (what, failure) in failures {
                let what = format!("{file} {}: {what}", instance.name);
                counts[plan(&mut planner, &cluster, &failure, &policy, &what) as usize] += 1;
            }
        }
    }
    println!("plans: {} complete, {} short, {} unproved", counts[0], counts[1], counts[2]);
}

/// Derived verdicts on single nodes and racks: what cannot be restarted is not, and what can be is.
#[test]
#[cfg_attr(debug_assertions, ignore = "heavy without optimisation")]
fn derived_verdicts_are_reproduced() {
    let policy = Policy::default();
    let mut planner = Planner::new();
    let mut open = Vec::new();
    let (mut no, mut yes) = (0, 0);
    for file in data::files().into_iter().filter(|file| !file.starts_with("packing")) {
        for instance in data::instances(&file) {
            let Some(known) = instance.known.as_object() else { continue };
            for (key, verdict) in known.iter().filter(|(key, _)| key.starts_with("single_")) {
                let Some(listed) = verdict["not_restartable"].as_array() else { continue };
                if key.contains("by_reservations") {
                    continue;
                }
                let memory_only = key.contains("memory_only");
                let cluster = instance.read(Reading { memory_only, ..Reading::default() }).cluster;
                let unit_of = |name: &str| match verdict["unit"].as_str() {
                    Some("rack") => Failure::none().domain(&cluster, "rack", name).ok(),
                    _ => cluster.node_id(name).map(|node| Failure::of([node])),
                };
                let listed: Vec<&str> = listed.iter().filter_map(|unit| unit.as_str()).collect();
                for name in sample(&listed) {
                    let Some(failure) = unit_of(name) else { continue };
                    let what = format!("{file} {} {key}: {name}", instance.name);
                    match plan(&mut planner, &cluster, &failure, &policy, &what) {
                        PlanStatus::Complete => panic!("{what} cannot be restarted, and the plan does it"),
                        PlanStatus::Short => no += 1,
                        PlanStatus::Unproved => open.push(what),
                    }
                }
                // A yes is final only where every unit was tried, under all that the cluster says.
                let all = verdict["checked"].as_u64() == Some(cluster.node_count() as u64);
                let rules = cluster.rule_count() > 0;
                let waiting = cluster.vms().any(|vm| vm.is_displaced());
                if !all || rules || waiting {
                    continue;
                }
                let unknown = verdict["unknown"].as_array().cloned().unwrap_or_default();
                let doubtful = |name: &str| listed.contains(&name) || unknown.iter().any(|unit| unit == name);
                let rest: Vec<&str> = cluster.nodes().map(|node| node.name()).filter(|name| !doubtful(name)).collect();
                for name in sample(&rest) {
                    let failure = Failure::of(cluster.node_id(name));
                    let what = format!("{file} {} {key}: {name}", instance.name);
                    match plan(&mut planner, &cluster, &failure, &policy, &what) {
                        PlanStatus::Complete => yes += 1,
                        PlanStatus::Short => panic!("{what} can be restarted, and the plan says it cannot"),
                        PlanStatus::Unproved => open.push(what),
                    }
                }
            }
        }
    }
    println!("{no} times no and {yes} times yes reproduced; not proved: {}", open.len());
    for what in open {
        println!("  {what}");
    }
}

fn pack(planner: &mut Planner, instance: &Instance, drop_nodes: usize) -> (PlanStatus, f64) {
    let cluster = instance.read(Reading { drop_nodes, ..Reading::default() }).cluster;
    let start = Instant::now();
    let status = plan(planner, &cluster, &Failure::none(), &Policy::default(), &instance.name);
    (status, start.elapsed().as_secs_f64())
}

/// All VMs unplaced on the optimal number of nodes: most are placed, none is called impossible; on one node fewer
/// none is placed. First-fit decreasing places everything in 124 of 513.
#[test]
#[ignore = "minutes"]
fn packing_instances_at_their_optimum() {
    let mut planner = Planner::new();
    let (mut solved, mut total, mut quick) = (0, 0, 0);
    let mut seconds = Vec::new();
    for file in data::files().into_iter().filter(|file| file.starts_with("packing")) {
        let (mut here, mut fewer_tried, mut fewer_proved) = (0, 0, 0);
        let instances = data::instances(&file);
        let chosen: Vec<&Instance> = instances.iter().step_by(if full() { 1 } else { 4 }).collect();
        for instance in &chosen {
            let (status, took) = pack(&mut planner, instance, 0);
            assert_ne!(status, PlanStatus::Short, "{} fits, and is called impossible", instance.name);
            here += usize::from(status == PlanStatus::Complete);
            quick += usize::from(status == PlanStatus::Complete && took <= 1.0);
            seconds.push(took);
        }
        for instance in instances.iter().step_by(if full() { 1 } else { 16 }) {
            let (status, _) = pack(&mut planner, instance, 1);
            assert_ne!(status, PlanStatus::Complete, "{} does not fit on one node fewer", instance.name);
            fewer_tried += 1;
            fewer_proved += usize::from(status == PlanStatus::Short);
        }
        println!(
            "{file}: {here} of {} placed; on one node fewer none of {fewer_tried}, {fewer_proved} proved impossible",
            chosen.len()
        );
        solved += here;
        total += chosen.len();
    }
    seconds.sort_by(f64::total_cmp);
    let at = |share: usize| seconds.get(seconds.len() * share / 100).or(seconds.last()).copied().unwrap_or(0.0);
    println!(
        "placed: {solved} of {total}, {quick} within a second; seconds: median {:.3}, 90 % {:.2}, longest {:.2}",
        at(50),
        at(90),
        at(100)
    );
    assert!(solved * 10 >= total * 8, "{solved} of {total}");
}
