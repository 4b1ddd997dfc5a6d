//! Tests: small random problems, solved by trying everything, against the solver.
//!
//! Shares no code with the engines: legality here is written straight from the meaning of each constraint.
//! Uses `placement::{problem, solve, budget}`, `dense`, `ids`.

#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::similar_names,
    clippy::too_many_lines,
    reason = "a test: the numbers are small, and a slip fails it"
)]

use super::budget::Budget;
use super::problem::{Constraint, ConstraintIx, EligibleIx, EligibleNodes, ItemIx, Membership, Problem, Solution};
use super::solve::{Scratch, solve};
use crate::dense::{DenseId, IdVec, Rows};
use crate::dice::Dice;
use crate::ids::{DomainKey, LevelIx, NodeSlot};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use smallvec::SmallVec;
use std::println;

/// What owns the parts that a problem borrows.
pub(super) struct Case {
    pub(super) nodes: Vec<NodeSlot>,
    pub(super) room: Rows<NodeSlot>,
    pub(super) levels: IdVec<LevelIx, IdVec<NodeSlot, DomainKey>>,
    pub(super) need: Rows<ItemIx>,
    pub(super) class: IdVec<ItemIx, u32>,
    pub(super) classes: u32,
    pub(super) eligible: IdVec<ItemIx, EligibleIx>,
    pub(super) eligible_sets: IdVec<EligibleIx, EligibleNodes>,
    pub(super) constraints: IdVec<ConstraintIx, Constraint>,
    pub(super) member_of: IdVec<ItemIx, SmallVec<[Membership; 2]>>,
    pub(super) prerequisites: IdVec<ItemIx, SmallVec<[ItemIx; 1]>>,
}

impl Case {
    pub(super) fn problem(&self) -> Problem<'_> {
        Problem {
            nodes: &self.nodes,
            room: &self.room,
            levels: &self.levels,
            need: self.need.clone(),
            class: self.class.clone(),
            classes: self.classes,
            eligible: self.eligible.clone(),
            eligible_sets: self.eligible_sets.clone(),
            constraints: self.constraints.clone(),
            member_of: self.member_of.clone(),
            prerequisites: self.prerequisites.clone(),
        }
    }
}

fn random_case(dice: &mut Dice, items_max: u64, nodes_max: u64) -> Case {
    let slots = 1 + dice.below(nodes_max);
    let kinds = 1 + usize::try_from(dice.below(4)).unwrap();
    let scale = 1 + dice.below(12);
    let mut room = Rows::new(kinds);
    for _ in 0..slots {
        let row: Vec<u64> = (0..kinds).map(|_| dice.below(10 * scale)).collect();
        room.push(&row);
    }
    let mut nodes: Vec<NodeSlot> = (0..slots).filter(|_| !dice.chance(6)).map(|slot| NodeSlot(slot as u32)).collect();
    if dice.chance(3) {
        nodes.reverse();
    }
    let mut levels: IdVec<LevelIx, IdVec<NodeSlot, DomainKey>> = IdVec::new();
    let racks = 1 + dice.below(4);
    levels.push((0..slots).map(|_| DomainKey(dice.below(racks) as u32)).collect());
    levels.push((0..slots).map(|slot| DomainKey(slot as u32)).collect());

    let count = 1 + dice.below(items_max);
    let classes = 1 + dice.below(3) as u32;
    let mut class: Vec<u32> = (0..count).map(|_| dice.below(u64::from(classes)) as u32).collect();
    class.sort_unstable();
    let mut need = Rows::new(kinds);
    let alike = dice.chance(3);
    for at in 0..count {
        let row: Vec<u64> = if alike && at > 0 && dice.chance(2) {
            need[ItemIx((at - 1) as u32)].to_vec()
        } else {
            (0..kinds).map(|_| dice.below(6 * scale)).collect()
        };
        need.push(&row);
    }
    let mut eligible_sets = IdVec::new();
    eligible_sets.push(EligibleNodes::All);
    eligible_sets.push(EligibleNodes::Short(nodes.iter().copied().filter(|_| dice.chance(2)).collect()));
    eligible_sets.push(EligibleNodes::Bits(vec![dice.below(1 << slots)]));
    let eligible = (0..count).map(|_| EligibleIx(dice.below(6).saturating_sub(3) as u32)).collect();
    let mut constraints = IdVec::new();
    let mut member_of: IdVec<ItemIx, SmallVec<[Membership; 2]>> = IdVec::filled(SmallVec::new(), count as usize);
    for _ in 0..dice.below(4) {
        let level = LevelIx(dice.below(2) as u32);
        let domains: BTreeSet<DomainKey> = levels[level].iter().copied().collect();
        let stay: Vec<(DomainKey, u32)> = domains
            .iter()
            .copied()
            .filter(|_| dice.chance(4))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|domain| (domain, 1 + dice.below(2) as u32))
            .collect();
        let kind = dice.below(5);
        let constraint = match kind {
            0 => Constraint::Separate { level, limit: 1 + dice.below(2) as u32, stay },
            1 => {
                let mut stay: Vec<(DomainKey, u32)> =
                    stay.iter().map(|entry| (entry.0, dice.below(2) as u32)).collect();
                if let Some(first) = stay.first().copied().filter(|_| dice.chance(4)) {
                    stay.push((first.0, 1 - first.1));
                    stay.sort_unstable();
                }
                Constraint::Sides { level, stay }
            }
            2 => Constraint::Together {
                level,
                stay: stay.iter().map(|entry| entry.0).filter(|_| dice.chance(2)).collect(),
            },
            3 => Constraint::Spread {
                level,
                min_domains: dice.below(4) as u32,
                max_skew: if dice.chance(2) { Some(dice.below(3) as u32) } else { None },
                // Sometimes fewer than domains: members that migrate.
                stay_members: stay.iter().map(|entry| entry.1).sum::<u32>().saturating_sub(u32::from(dice.chance(4))),
                stay,
                counting: domains.iter().copied().filter(|_| !dice.chance(4)).collect(),
            },
            _ => Constraint::Follow,
        };
        let constraint = constraints.push(constraint);
        let mut leader = true;
        for item in (0..count).map(|at| ItemIx(at as u32)) {
            if dice.chance(2) {
                let side = match kind {
                    1 => dice.below(2) as u32,
                    4 => u32::from(!core::mem::take(&mut leader)),
                    _ => 0,
                };
                member_of[item].push(Membership { constraint, side });
            }
        }
    }
    let mut prerequisites: IdVec<ItemIx, SmallVec<[ItemIx; 1]>> = IdVec::filled(SmallVec::new(), count as usize);
    if dice.chance(3) {
        for _ in 0..=dice.below(3) {
            let (one, two) = (dice.below(count) as u32, dice.below(count) as u32);
            if one < two && !prerequisites[ItemIx(two)].contains(&ItemIx(one)) {
                prerequisites[ItemIx(two)].push(ItemIx(one));
            }
        }
    }
    Case {
        nodes,
        room,
        levels,
        need,
        class: class.into_iter().collect(),
        classes,
        eligible,
        eligible_sets,
        constraints,
        member_of,
        prerequisites,
    }
}

/// Whether `places` is legal, straight from the meanings.
pub(super) fn is_legal(problem: &Problem<'_>, places: &[Option<NodeSlot>]) -> bool {
    let item_of = |at: usize| ItemIx(at as u32);
    let mut load: BTreeMap<NodeSlot, Vec<u64>> = BTreeMap::new();
    for (at, place) in places.iter().enumerate() {
        let Some(node) = *place else { continue };
        if !problem.nodes.contains(&node) {
            return false;
        }
        let allowed = match &problem.eligible_sets[problem.eligible[item_of(at)]] {
            EligibleNodes::All => true,
            EligibleNodes::Short(list) => list.contains(&node),
            EligibleNodes::Bits(words) => words[node.index() / 64] >> (node.index() % 64) & 1 == 1,
        };
        if !allowed || problem.prerequisites[item_of(at)].iter().any(|needed| places[needed.index()].is_none()) {
            return false;
        }
        let sum = load.entry(node).or_insert_with(|| vec![0; problem.room.width()]);
        for (sum, need) in sum.iter_mut().zip(&problem.need[item_of(at)]) {
            *sum += need;
        }
    }
    if load.iter().any(|(node, sum)| sum.iter().zip(&problem.room[*node]).any(|(sum, room)| sum > room)) {
        return false;
    }
    problem.constraints.enumerate().all(|(constraint_ix, constraint)| {
        // (node, side) of each placed member.
        let placed: Vec<(NodeSlot, u32)> = places
            .iter()
            .enumerate()
            .filter_map(|(at, place)| {
                let part = problem.member_of[item_of(at)].iter().find(|part| part.constraint == constraint_ix)?;
                Some(((*place)?, part.side))
            })
            .collect();
        let domain = |level: LevelIx, node: NodeSlot| problem.levels[level][node];
        match constraint {
            Constraint::Separate { level, limit, stay } => placed.iter().all(|(node, _)| {
                let here = domain(*level, *node);
                let count = placed.iter().filter(|other| domain(*level, other.0) == here).count() as u32
                    + stay.iter().filter(|entry| entry.0 == here).map(|entry| entry.1).sum::<u32>();
                count <= *limit
            }),
            Constraint::Sides { level, stay } => placed.iter().all(|(node, side)| {
                let here = domain(*level, *node);
                placed.iter().all(|other| domain(*level, other.0) != here || other.1 == *side)
                    && stay.iter().all(|entry| entry.0 != here || entry.1 == *side)
            }),
            Constraint::Together { level, stay } => {
                let used: BTreeSet<DomainKey> = placed.iter().map(|(node, _)| domain(*level, *node)).collect();
                used.len() <= 1 && (stay.is_empty() || used.iter().all(|domain| stay.contains(domain)))
            }
            Constraint::Follow => match placed.iter().find(|(_, side)| *side == 0) {
                Some((leader, _)) => placed.iter().all(|(node, _)| node == leader),
                None => true,
            },
            Constraint::Spread { level, min_domains, max_skew, stay, stay_members, counting } => {
                let mut count: BTreeMap<DomainKey, u32> = stay.iter().copied().collect();
                for (node, _) in &placed {
                    *count.entry(domain(*level, *node)).or_default() += 1;
                }
                let staying = (stay.len() as u32).min(*stay_members);
                let enough = count.len() as u32 >= (*min_domains).min(staying + placed.len() as u32);
                let least = counting.iter().map(|domain| count.get(domain).copied().unwrap_or(0)).min();
                let even = match (max_skew, least) {
                    (Some(skew), Some(least)) => {
                        placed.iter().all(|(node, _)| count[&domain(*level, *node)] <= least + skew)
                    }
                    _ => true,
                };
                enough && even
            }
        }
    })
}

/// The best counts per class over all legal placements, by trying each.
fn best_counts(problem: &Problem<'_>) -> Vec<u32> {
    fn extend(
        problem: &Problem<'_>,
        places: &mut Vec<Option<NodeSlot>>,
        room: &mut Vec<Vec<u64>>,
        best: &mut Vec<u32>,
    ) {
        let at = places.len();
        if at == problem.class.len() {
            let counts = counts_of(problem, places);
            if counts > *best && is_legal(problem, places) {
                *best = counts;
            }
            return;
        }
        let need = problem.need[ItemIx(at as u32)].to_vec();
        for (position, &node) in problem.nodes.iter().enumerate() {
            if need.iter().zip(&room[position]).all(|(need, room)| need <= room) {
                room[position].iter_mut().zip(&need).for_each(|(room, need)| *room -= need);
                places.push(Some(node));
                extend(problem, places, room, best);
                places.pop();
                room[position].iter_mut().zip(&need).for_each(|(room, need)| *room += need);
            }
        }
        places.push(None);
        extend(problem, places, room, best);
        places.pop();
    }
    let mut best = vec![0; problem.classes as usize];
    let mut room = problem.nodes.iter().map(|&node| problem.room[node].to_vec()).collect();
    extend(problem, &mut Vec::new(), &mut room, &mut best);
    best
}

fn counts_of(problem: &Problem<'_>, places: &[Option<NodeSlot>]) -> Vec<u32> {
    let mut counts = vec![0; problem.classes as usize];
    for (class, place) in problem.class.iter().zip(places) {
        counts[*class as usize] += u32::from(place.is_some());
    }
    counts
}

/// Checks a solution by itself: legal, counted right, bounds not below what is placed.
pub(super) fn check_solution(problem: &Problem<'_>, solution: &Solution) {
    assert!(is_legal(problem, solution.node.as_slice()), "an illegal solution");
    assert_eq!(counts_of(problem, solution.node.as_slice()), solution.placed, "counts");
    assert!(solution.placed.iter().zip(&solution.bound).all(|(placed, bound)| placed <= bound), "bounds");
}

fn compare(cases: u64, seed: u64, items_max: u64, nodes_max: u64, units: u64) -> (u64, u64) {
    let mut scratch = Scratch::default();
    let mut proved = 0;
    let mut units_most = 0;
    for number in 0..cases {
        let mut dice = Dice(seed.wrapping_add(number.wrapping_mul(0x1234_5678_9ABC_DEF1)));
        let case = random_case(&mut dice, items_max, nodes_max);
        let problem = case.problem();
        let mut budget = Budget::new(units, None);
        let solution = solve(&problem, &mut scratch, &mut budget).unwrap();
        units_most = units_most.max(budget.spent());
        check_solution(&problem, &solution);
        let best = best_counts(&problem);
        assert!(solution.placed <= best, "case {number}: more than possible");
        // Each bound holds over what reaches this solution's counts above; so the first class that differs from the
        // best shows whether a bound was too low.
        if let Some(class) = (0..best.len()).find(|&class| best[class] != solution.placed[class]) {
            assert!(
                solution.bound[class] >= best[class],
                "case {number}: class {class} bound below the best {best:?} {solution:?} {problem:#?}"
            );
        }
        if solution.placed == solution.bound {
            assert_eq!(solution.placed, best, "case {number}: optimal claimed");
            proved += 1;
        }
    }
    (proved, units_most)
}

#[test]
fn agrees_with_trying_everything() {
    let cases = 4000;
    let (proved, units_most) = compare(cases, 1, 6, 5, 2_000_000);
    println!("{proved} of {cases} proved, at most {units_most} units");
    assert_eq!(proved, cases);
}

#[test]
fn stays_honest_on_a_small_budget() {
    for units in [0, 1, 10, 100, 1000] {
        compare(300, units + 77, 6, 5, units);
    }
}

#[test]
#[ignore = "minutes of exhaustive search"]
fn agrees_with_trying_everything_at_length() {
    let (proved, units_most) = compare(40_000, 1_000_003, 7, 5, 2_000_000);
    println!("{proved} proved, at most {units_most} units");
    let (proved, units_most) = compare(3_000, 2_000_003, 9, 6, 2_000_000);
    println!("{proved} proved, at most {units_most} units");
}
