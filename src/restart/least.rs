//! The least cost of `relaxed` and `preferred` rules, proved: an exact search over all plans with the same counts.
//!
//! Uses `restart::costs` (what is measured), `cluster` (what a rule must cost at least), `placement`. Used by
//! `restart::planner` after moves and exchanges have found a cheap plan.
//!
//! Depth first: the items that a rule counts, rule by rule, then all others; each goes to every target or, as long as
//! its class may leave one more out, nowhere. Every rule has a *lower bound* on what it costs once everything is
//! decided (`Cluster::least_excess`): a branch ends where their sum is no less than the best cost known. The bound at the
//! root often is that cost already; then nothing is searched. A bound that a rule had before stays one further down, so
//! only the rules of the item at hand are looked at again.
//!
//! Where the work does not last the plan stays as it is, and its costs are not called proved.

use super::costs::{Cost, Costs};
use crate::cluster::More;
use crate::dense::{IdVec, fits, to_usize};
use crate::ids::{DomainKey, NodeSlot};
use crate::placement::assignment::{Assignment, Places};
use crate::placement::budget::{Budget, Stop};
use crate::placement::instance::{ClassIx, Instance, TargetIx};
use crate::placement::problem::ItemIx;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// The search recurses once per item: with more it is not begun, and only the bound at the root can prove anything.
const ITEMS_MAX: usize = 200;

/// What came of it.
pub(super) enum Least {
    /// The cost is the least.
    Proved,
    /// The work ended first.
    Open,
}

struct Search<'s, 'i, 'p, 'c> {
    costs: &'s Costs<'c>,
    instance: &'i Instance<'i, 'p>,
    order: Vec<ItemIx>,
    decided: IdVec<ItemIx, bool>,
    /// How many more of each class may be left out.
    spare: IdVec<ClassIx, u32>,
    /// Per rule the domains of its level that have a target.
    domains: Vec<BTreeSet<DomainKey>>,
    best: Cost,
    found: Option<Places>,
}

impl Costs<'_> {
    /// Looks for a plan with the same counts as `assignment` that costs less, until it is proved that there is none.
    /// `assignment` is the best one found, and the costs are as measured for it, whatever the answer.
    pub(super) fn least(
        &mut self,
        instance: &Instance<'_, '_>,
        assignment: &mut Assignment,
        budget: &mut Budget<'_>,
    ) -> Result<Least, Stop> {
        let mut search = Search {
            costs: self,
            instance,
            order: self.branching_order(instance),
            decided: IdVec::filled(false, instance.problem.class.len()),
            spare: IdVec::filled(0, to_usize(instance.problem.classes)),
            domains: self.domains(instance),
            best: self.total(),
            found: None,
        };
        for item in instance.items().filter(|item| assignment.place_of[*item].is_none()) {
            let spare = &mut search.spare[instance.class(item)];
            *spare = spare.saturating_add(1);
        }
        let before = assignment.place_of.clone();
        assignment.reset(instance);
        let lower: Vec<u64> = (0..self.rules.len()).map(|at| search.lower(at, assignment)).collect();
        let mut outcome = Ok(());
        let bound = self.weigh(&lower) >= search.best;
        if !bound && search.order.len() <= ITEMS_MAX {
            for item in &search.order {
                assignment.rules.open(instance.problem, *item);
            }
            outcome = search.descend(0, &lower, assignment, budget);
        }
        let searched = bound || search.order.len() <= ITEMS_MAX;
        let places = search.found.unwrap_or(before);
        assignment.load(instance, &places);
        self.set(&|item| assignment.place_of[item].map(|target| instance.node(target)));
        match outcome {
            Ok(()) if searched => Ok(Least::Proved),
            Ok(()) | Err(Stop::Spent) => Ok(Least::Open),
            Err(Stop::Cancelled) => Err(Stop::Cancelled),
        }
    }

    /// The items that rules count, rule by rule, then all others, larger ones first.
    fn branching_order(&self, instance: &Instance<'_, '_>) -> Vec<ItemIx> {
        let mut order: Vec<ItemIx> = instance.items().collect();
        order.sort_by_key(|item| {
            let first = self.of_item[*item].first().copied().unwrap_or(usize::MAX);
            (first, core::cmp::Reverse(instance.weighted[*item]), *item)
        });
        order
    }

    fn domains(&self, instance: &Instance<'_, '_>) -> Vec<BTreeSet<DomainKey>> {
        let nodes: Vec<NodeSlot> = instance.targets().map(|target| instance.node(target)).collect();
        self.rules.iter().map(|rule| self.cluster.rule_domains(*rule, &nodes)).collect()
    }
}

impl Search<'_, '_, '_, '_> {
    /// What a rule costs at least once everything is decided.
    fn lower(&self, at: usize, assignment: &Assignment) -> u64 {
        let (Some(rule), Some(domains)) = (self.costs.rules.get(at), self.domains.get(at)) else { return 0 };
        let mut open: IdVec<ClassIx, u32> = IdVec::filled(0, self.spare.len());
        for item in self.costs.members(*rule).filter(|item| !self.decided[*item]) {
            let open = &mut open[self.instance.class(item)];
            *open = open.saturating_add(1);
        }
        let open_in_all = open.iter().fold(0_u64, |sum, open| sum.saturating_add(u64::from(*open)));
        let needed = open.iter().zip(self.spare.iter()).map(|(open, spare)| open.saturating_sub(*spare));
        let needed = needed.fold(0_u64, |sum, needed| sum.saturating_add(u64::from(needed)));
        let node = |item: ItemIx| assignment.place_of[item].map(|target| self.instance.node(target));
        self.costs.measure_least(*rule, &node, &More { most: open_in_all, must: needed, domains })
    }

    /// The bounds with those of an item's rules looked at again; `None` if they leave nothing to gain.
    fn bounds(&self, item: ItemIx, lower: &[u64], assignment: &Assignment) -> Option<(Cost, Vec<u64>)> {
        let mut next = lower.to_vec();
        for at in &self.costs.of_item[item] {
            if let Some(entry) = next.get_mut(*at) {
                *entry = (*entry).max(self.lower(*at, assignment));
            }
        }
        let cost = self.costs.weigh(&next);
        (cost < self.best).then_some((cost, next))
    }

    fn descend(
        &mut self,
        depth: usize,
        lower: &[u64],
        assignment: &mut Assignment,
        budget: &mut Budget<'_>,
    ) -> Result<(), Stop> {
        let Some(item) = self.order.get(depth).copied() else {
            if assignment.legal(self.instance) {
                let node = |item: ItemIx| assignment.place_of[item].map(|target| self.instance.node(target));
                let excess: Vec<u64> = self.costs.rules.iter().map(|rule| self.costs.measure(*rule, &node)).collect();
                let cost = self.costs.weigh(&excess);
                if cost < self.best {
                    self.best = cost;
                    self.found = Some(assignment.place_of.clone());
                }
            }
            return Ok(());
        };
        let (problem, below) = (self.instance.problem, depth.saturating_add(1));
        self.decided[item] = true;
        let mut tries: Vec<(Cost, TargetIx, Vec<u64>)> = Vec::new();
        for target in self.instance.targets() {
            budget.spend(1)?;
            if !fits(&problem.need[item], &assignment.room[target])
                || !self.instance.is_eligible(item, target)
                || !assignment.rules.could_allow(problem, item, self.instance.node(target))
            {
                continue;
            }
            // Measuring rules is more work than looking at a node.
            budget.spend(u64::try_from(self.costs.of_item[item].len()).unwrap_or(u64::MAX).saturating_mul(8))?;
            assignment.rules.close(problem, item);
            assignment.place(self.instance, item, target);
            tries.extend(self.bounds(item, lower, assignment).map(|(cost, next)| (cost, target, next)));
            assignment.remove(self.instance, item);
            assignment.rules.open(problem, item);
        }
        tries.sort_by_key(|(cost, target, _)| (*cost, *target));
        for (cost, target, next) in tries {
            if cost >= self.best {
                break;
            }
            assignment.rules.close(problem, item);
            assignment.place(self.instance, item, target);
            self.descend(below, &next, assignment, budget)?;
            assignment.remove(self.instance, item);
            assignment.rules.open(problem, item);
            if self.costs.weigh(lower) >= self.best {
                break;
            }
        }
        let class = self.instance.class(item);
        if self.spare[class] > 0 {
            self.spare[class] = self.spare[class].saturating_sub(1);
            assignment.rules.close(problem, item);
            if let Some((_, next)) = self.bounds(item, lower, assignment) {
                self.descend(below, &next, assignment, budget)?;
            }
            assignment.rules.open(problem, item);
            self.spare[class] = self.spare[class].saturating_add(1);
        }
        self.decided[item] = false;
        Ok(())
    }
}
