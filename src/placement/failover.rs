//! Tests on problems of the shape that host failures have: the VMs of lost nodes into the ragged room of the others.
//!
//! Uses `placement::{problem, solve, budget, brute_force}`. The measurement is run with
//! `cargo test --release --lib failover -- --ignored --nocapture`.

#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement in a test"
)]

use super::brute_force::{Case, check_solution};
use super::budget::Budget;
use super::problem::{EligibleIx, EligibleNodes, ItemIx};
use super::solve::{Scratch, solve};
use crate::dense::{IdVec, Rows};
use crate::dice::Dice;
use crate::ids::{DomainKey, LevelIx, NodeSlot};
use alloc::vec::Vec;
use smallvec::SmallVec;
use std::println;
use std::time::Instant;

/// A cluster of `count` nodes, `per_cent` full, of which `lost` nodes fail.
fn case(dice: &mut Dice, count: u64, lost: u64, per_cent: u64) -> Case {
    let capacity = [96_000_u64, 512_000];
    let mut room: Rows<NodeSlot> = Rows::new(2);
    let mut displaced: Vec<(u32, [u64; 2])> = Vec::new();
    for node in 0..count {
        let mut left = capacity;
        let mut misses = 0;
        while misses < 6 {
            let cores = [1_000, 2_000, 4_000, 8_000, 16_000][dice.below(5) as usize];
            let vm = [cores, cores * (2 + dice.below(7)) + dice.below(16) * 256];
            let fits = vm
                .iter()
                .zip(left)
                .zip(capacity)
                .all(|((need, left), all)| need + all * (100 - per_cent) / 100 <= left);
            if !fits {
                misses += 1;
                continue;
            }
            left.iter_mut().zip(vm).for_each(|(left, need)| *left -= need);
            if node < lost {
                displaced.push((dice.below(3) as u32, vm));
            }
        }
        room.push(&left);
    }
    displaced.sort_by_key(|&(class, vm)| (class, core::cmp::Reverse(vm)));
    let mut need: Rows<ItemIx> = Rows::new(2);
    for (_, vm) in &displaced {
        need.push(vm);
    }
    let items = displaced.len();
    let mut levels: IdVec<LevelIx, IdVec<NodeSlot, DomainKey>> = IdVec::new();
    levels.push((0..count).map(|node| DomainKey(node as u32)).collect());
    let mut eligible_sets = IdVec::new();
    eligible_sets.push(EligibleNodes::All);
    Case {
        nodes: (lost..count).map(|node| NodeSlot(node as u32)).collect(),
        room,
        levels,
        need,
        class: displaced.iter().map(|entry| entry.0).collect(),
        classes: 3,
        eligible: IdVec::filled(EligibleIx(0), items),
        eligible_sets,
        constraints: IdVec::new(),
        member_of: IdVec::filled(SmallVec::new(), items),
        prerequisites: IdVec::filled(SmallVec::new(), items),
    }
}

fn measure(count: u64, lost: u64, per_cent: u64, units: u64) {
    let mut scratch = Scratch::default();
    let mut dice = Dice(count * 1_000 + lost * 100 + per_cent);
    let (mut items, mut placed, mut bound, mut proved, mut top_proved) = (0, 0, 0, 0, 0);
    let mut slowest = core::time::Duration::ZERO;
    let mut spent = 0;
    let cases = 5;
    for _ in 0..cases {
        let case = case(&mut dice, count, lost, per_cent);
        let problem = case.problem();
        let begin = Instant::now();
        let mut budget = Budget::new(units, None);
        let solution = solve(&problem, &mut scratch, &mut budget).unwrap();
        slowest = slowest.max(begin.elapsed());
        spent = spent.max(budget.spent());
        check_solution(&problem, &solution);
        items += problem.class.len();
        placed += solution.placed.iter().sum::<u32>();
        bound += solution.bound.iter().sum::<u32>();
        proved += u32::from(solution.placed == solution.bound);
        top_proved += u32::from(solution.placed[0] == solution.bound[0]);
    }
    println!(
        "{count} nodes, {lost} lost, {per_cent} % full, {units} units: {items} items, {placed} placed, bound {bound}, \
         optimal {proved}/{cases}, top class {top_proved}/{cases}, at most {spent} units, slowest {slowest:?}"
    );
}

#[test]
fn failover_places_what_fits() {
    let mut dice = Dice(5);
    let case = case(&mut dice, 16, 1, 70);
    let problem = case.problem();
    let solution = solve(&problem, &mut Scratch::default(), &mut Budget::new(2_000_000, None)).unwrap();
    check_solution(&problem, &solution);
    assert_eq!(solution.placed, solution.bound);
    assert_eq!(solution.placed.iter().sum::<u32>() as usize, problem.class.len());
}

#[test]
#[ignore = "a measurement"]
fn failover_measured() {
    for (count, lost) in [(16, 1), (16, 2), (64, 2), (200, 2)] {
        for per_cent in [85, 92, 95, 98] {
            for units in [20_000, 2_000_000] {
                measure(count, lost, per_cent, units);
            }
        }
    }
    measure(10_000, 20, 92, 2_000_000);
    measure(10_000, 20, 99, 2_000_000);
}
