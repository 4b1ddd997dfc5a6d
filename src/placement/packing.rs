//! Tests on packing instances with a known optimum: every item placed on the optimal number of empty targets, never
//! on one fewer.
//!
//! Uses `placement::{problem, solve, budget, brute_force}`. The instances are read from `../shared/data/packing`
//! beside the repository; without them the tests say so and pass. Run them with
//! `cargo test --release --lib packing -- --ignored --nocapture`.

#![expect(clippy::arithmetic_side_effects, clippy::print_stdout, reason = "a measurement in a test")]

use super::brute_force::{Case, check_solution};
use super::budget::Budget;
use super::problem::{EligibleIx, EligibleNodes, ItemIx};
use super::solve::{Scratch, solve};
use crate::dense::{IdVec, Rows};
use crate::ids::{DomainKey, LevelIx, NodeSlot};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::Value;
use smallvec::SmallVec;
use std::io::Read;
use std::{eprintln, fs, path::PathBuf, println};

/// The default budget of a plan.
const UNITS: u64 = 2_000_000;

struct Packing {
    name: String,
    capacity: Vec<u64>,
    needs: Vec<Vec<u64>>,
    optimum: u64,
}

fn read(file: &str) -> Option<Vec<Packing>> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "shared", "data", "packing", file].iter().collect();
    let Ok(bytes) = fs::read(&path) else {
        eprintln!("SKIPPED: {} is not there", path.display());
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    Some(text.lines().map(|line| parse(&serde_json::from_str(line).unwrap())).collect())
}

fn parse(value: &Value) -> Packing {
    let capacity_of = &value["nodes"][0]["capacity"];
    let mut kinds: Vec<&String> = capacity_of.as_object().unwrap().keys().collect();
    kinds.sort();
    let row =
        |object: &Value| kinds.iter().map(|kind| object[kind.as_str()].as_u64().unwrap_or(0)).collect::<Vec<u64>>();
    let mut needs: Vec<Vec<u64>> = value["vms"].as_array().unwrap().iter().map(|vm| row(&vm["demand"])).collect();
    needs.sort_by_key(|need| core::cmp::Reverse(need.iter().max().copied()));
    Packing {
        name: value["name"].as_str().unwrap().to_string(),
        capacity: row(capacity_of),
        needs,
        optimum: value["known"]["optimal_hosts"].as_u64().unwrap(),
    }
}

fn case(packing: &Packing, hosts: u64) -> Case {
    let kinds = packing.capacity.len();
    let nodes: Vec<NodeSlot> = (0..hosts).map(|at| NodeSlot(u32::try_from(at).unwrap())).collect();
    let mut room = Rows::new(kinds);
    for _ in &nodes {
        room.push(&packing.capacity);
    }
    let mut levels: IdVec<LevelIx, IdVec<NodeSlot, DomainKey>> = IdVec::new();
    levels.push(nodes.iter().map(|node| DomainKey(node.0)).collect());
    let mut need: Rows<ItemIx> = Rows::new(kinds);
    for row in &packing.needs {
        need.push(row);
    }
    let items = packing.needs.len();
    let mut eligible_sets = IdVec::new();
    eligible_sets.push(EligibleNodes::All);
    Case {
        nodes,
        room,
        levels,
        need,
        class: IdVec::filled(0, items),
        classes: 1,
        eligible: IdVec::filled(EligibleIx(0), items),
        eligible_sets,
        constraints: IdVec::new(),
        member_of: IdVec::filled(SmallVec::new(), items),
        prerequisites: IdVec::filled(SmallVec::new(), items),
    }
}

fn run(file: &str) {
    let Some(packings) = read(file) else { return };
    let mut scratch = Scratch::default();
    let (mut solved, mut refuted) = (0, 0);
    let only = option_env!("LIFEBOAT_PACKING_ONLY");
    let every = option_env!("LIFEBOAT_PACKING_EVERY").map_or(1, |text| text.parse::<usize>().unwrap());
    let mut tried = 0;
    #[expect(clippy::disallowed_methods, reason = "a measurement in a test")]
    let start = std::time::Instant::now();
    let mut slowest = std::time::Duration::ZERO;
    for packing in packings.iter().filter(|packing| only.is_none_or(|only| packing.name.contains(only))).step_by(every)
    {
        tried += 1;
        #[expect(clippy::disallowed_methods, reason = "a measurement in a test")]
        let begin = std::time::Instant::now();
        let case_fits = case(packing, packing.optimum);
        let problem = case_fits.problem();
        let mut budget = Budget::new(UNITS, None);
        let solution = solve(&problem, &mut scratch, &mut budget).unwrap();
        check_solution(&problem, &solution);
        let all = u32::try_from(packing.needs.len()).unwrap();
        let fit = solution.placed == [all];
        assert!(solution.bound == [all], "{}: bound {:?} below what is known to fit", packing.name, solution.bound);
        slowest = slowest.max(begin.elapsed());
        solved += usize::from(fit);
        if !fit {
            println!(
                "  open {}: {} of {all}, {} units, {:?}",
                packing.name,
                solution.placed[0],
                budget.spent(),
                begin.elapsed()
            );
        }
        if option_env!("LIFEBOAT_PACKING_FEWER").is_some() {
            let case_short = case(packing, packing.optimum - 1);
            let problem = case_short.problem();
            let solution = solve(&problem, &mut scratch, &mut Budget::new(UNITS, None)).unwrap();
            check_solution(&problem, &solution);
            assert!(solution.placed[0] < all, "{}: placed on fewer than the optimum", packing.name);
            refuted += usize::from(solution.bound[0] < all);
        }
    }
    println!(
        "{file}: {solved} of {tried} solved, {refuted} refuted on one fewer, {:?}, slowest {slowest:?}",
        start.elapsed()
    );
}

#[test]
#[ignore = "minutes; needs the packing instances"]
fn packing_one_dimensional() {
    run("one_dimensional.jsonl.gz");
}

#[test]
#[ignore = "minutes; needs the packing instances"]
fn packing_vector_new() {
    run("vector_new.jsonl.gz");
}

#[test]
#[ignore = "minutes; needs the packing instances"]
fn packing_vector_panigrahy() {
    run("vector_panigrahy.jsonl.gz");
}

#[test]
#[ignore = "minutes; needs the packing instances"]
fn packing_vector_triplet() {
    run("vector_triplet.jsonl.gz");
}
