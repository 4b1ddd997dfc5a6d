//! What the constraints among items allow, kept up to date item by item.
//!
//! Uses `placement::problem`, `dense`, `ids`. Used by every engine of `placement`.
//! Data: `Problem` -> [`RuleStates::reset`] -> `allows`, `place`, `remove` while an engine works -> `legal`.
//!
//! One file per kind. Each declares in its `TRAITS` what an engine may assume of it, and engines read
//! [`Traits`], never the kind. Building the states costs as much as the constraints' own stay lists; no cost grows
//! with the number of nodes or of domains, and nothing is allocated once the lists have their size.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: tallies count items and VMs, of which there are fewer than u32::MAX, and go down only for an \
              item that went in before"
)]

mod follow;
mod separate;
mod sides;
mod spread;
mod together;

use super::problem::{Constraint, ConstraintIx, ItemIx, Membership, Problem};
use crate::dense::IdVec;
use crate::ids::{DomainKey, LevelIx, NodeSlot};
use alloc::vec::Vec;

/// What a kind's condition ties together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// Each domain is judged by itself: what happens in one never bears on another.
    EachDomain,
    /// Items of different domains bear on one another.
    AcrossDomains,
}

/// What an engine may assume of a constraint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Traits {
    pub(crate) scope: Scope,
    /// Every subset of a legal placement is legal. Then `allows` is exact in every order: a placement is legal if and
    /// only if its items are allowed one after the other, whatever the order.
    pub(crate) subset_closed: bool,
    /// Members of the same side may be exchanged for one another.
    pub(crate) members_alike: bool,
    /// A plan for a larger failure, kept for the items of a smaller one, stays legal (the constraint at node level).
    pub(crate) restriction_closed_at_node_level: bool,
}

/// What an engine may assume of `constraint`.
pub(crate) const fn traits(constraint: &Constraint) -> Traits {
    match constraint {
        Constraint::Separate { .. } => separate::TRAITS,
        Constraint::Sides { .. } => sides::TRAITS,
        Constraint::Together { .. } => together::TRAITS,
        Constraint::Spread { .. } => spread::TRAITS,
        Constraint::Follow => follow::TRAITS,
    }
}

/// The level whose domains a constraint speaks of; `None` where it speaks of nodes themselves.
pub(crate) const fn level(constraint: &Constraint) -> Option<LevelIx> {
    match constraint {
        Constraint::Separate { level, .. }
        | Constraint::Sides { level, .. }
        | Constraint::Together { level, .. }
        | Constraint::Spread { level, .. } => Some(*level),
        Constraint::Follow => None,
    }
}

/// How many members of one side are in one domain.
#[derive(Clone, Copy, Debug)]
struct Entry {
    domain: DomainKey,
    side: u32,
    stay: u32,
    placed: u32,
    /// Only for kinds that distinguish some domains: whether this is one of them.
    marked: bool,
}

impl Entry {
    const fn total(&self) -> u32 {
        self.stay + self.placed
    }
}

/// The counts of one constraint: entries sorted by (domain, side), one for each that ever held a member.
#[derive(Clone, Debug, Default)]
struct Tally {
    entries: Vec<Entry>,
    /// Items placed.
    placed: u32,
    /// Items of side 0 placed.
    placed_side_0: u32,
    /// Items not placed yet that may still be (only kept for search, see [`RuleStates::reset`]).
    open: u32,
    /// Domains with a member that stays; of a spread at most as many as such members.
    stay_domains: u32,
    /// Domains with any member.
    used_domains: u32,
    /// Marked domains with any member.
    used_marked: u32,
}

impl Tally {
    fn clear(&mut self) {
        self.entries.clear();
        self.placed = 0;
        self.placed_side_0 = 0;
        self.open = 0;
        self.stay_domains = 0;
        self.used_domains = 0;
        self.used_marked = 0;
    }

    /// Adds `count` members that stay. Calls come in order of (domain, side).
    fn add_stay(&mut self, domain: DomainKey, side: u32, count: u32, marked: bool) {
        if count == 0 {
            return;
        }
        if let Some(last) = self.entries.last_mut() {
            if last.domain == domain && last.side == side {
                last.stay += count;
                return;
            }
            debug_assert!((last.domain, last.side) < (domain, side), "stay lists are sorted");
        }
        self.entries.push(Entry { domain, side, stay: count, placed: 0, marked });
        self.stay_domains += 1;
        self.used_domains += 1;
        self.used_marked += u32::from(marked);
    }

    fn position(&self, domain: DomainKey, side: u32) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (entry.domain, entry.side).cmp(&(domain, side)))
    }

    fn find(&self, domain: DomainKey, side: u32) -> Option<&Entry> {
        self.position(domain, side).ok().and_then(|at| self.entries.get(at))
    }

    fn total(&self, domain: DomainKey, side: u32) -> u32 {
        self.find(domain, side).map_or(0, Entry::total)
    }

    fn place(&mut self, domain: DomainKey, side: u32, marked: impl FnOnce() -> bool) {
        self.placed += 1;
        self.placed_side_0 += u32::from(side == 0);
        match self.position(domain, side) {
            Ok(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    if entry.total() == 0 {
                        self.used_domains += 1;
                        self.used_marked += u32::from(entry.marked);
                    }
                    entry.placed += 1;
                }
            }
            Err(at) => {
                let marked = marked();
                self.used_domains += 1;
                self.used_marked += u32::from(marked);
                self.entries.insert(at, Entry { domain, side, stay: 0, placed: 1, marked });
            }
        }
    }

    fn remove(&mut self, domain: DomainKey, side: u32) {
        let Ok(at) = self.position(domain, side) else {
            debug_assert!(false, "an item that is removed was placed");
            return;
        };
        if let Some(entry) = self.entries.get_mut(at) {
            debug_assert!(entry.placed > 0 && self.placed > 0, "an item that is removed was placed");
            entry.placed = entry.placed.saturating_sub(1);
            self.placed = self.placed.saturating_sub(1);
            self.placed_side_0 = self.placed_side_0.saturating_sub(u32::from(side == 0));
            if entry.total() == 0 {
                self.used_domains -= 1;
                self.used_marked -= u32::from(entry.marked);
            }
        }
    }
}

/// The state of every constraint of a problem under a growing or shrinking assignment.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleStates {
    /// One per constraint of the problem; more may lie behind them, kept for their memory.
    tallies: IdVec<ConstraintIx, Tally>,
    /// How many constraints the problem has.
    used: usize,
    /// Constraints that are not closed under subsets, in order.
    open_ended: Vec<ConstraintIx>,
}

impl RuleStates {
    /// Starts over: nothing is placed.
    pub(crate) fn reset(&mut self, problem: &Problem<'_>) {
        self.used = problem.constraints.len();
        self.open_ended.clear();
        while self.tallies.len() < self.used {
            self.tallies.push(Tally::default());
        }
        for (constraint_ix, constraint) in problem.constraints.enumerate() {
            let tally = &mut self.tallies[constraint_ix];
            tally.clear();
            match constraint {
                Constraint::Separate { stay, .. } => separate::start(tally, stay),
                Constraint::Sides { stay, .. } => sides::start(tally, stay),
                Constraint::Together { stay, .. } => together::start(tally, stay),
                Constraint::Spread { stay, stay_members, counting, .. } => {
                    spread::start(tally, stay, *stay_members, counting);
                }
                Constraint::Follow => {}
            }
            if !traits(constraint).subset_closed {
                self.open_ended.push(constraint_ix);
            }
        }
    }

    /// Tells the constraints that `item` may still be placed later; see [`could_allow`](Self::could_allow).
    pub(crate) fn open(&mut self, problem: &Problem<'_>, item: ItemIx) {
        for membership in &problem.member_of[item] {
            self.tallies[membership.constraint].open += 1;
        }
    }

    /// Takes back [`open`](Self::open): the item is placed now, or never will be.
    pub(crate) fn close(&mut self, problem: &Problem<'_>, item: ItemIx) {
        for membership in &problem.member_of[item] {
            let tally = &mut self.tallies[membership.constraint];
            tally.open = tally.open.saturating_sub(1);
        }
    }

    /// Whether the constraints of `item` hold with it on `node`, given that they hold without it.
    #[inline]
    pub(crate) fn allows(&self, problem: &Problem<'_>, item: ItemIx, node: NodeSlot) -> bool {
        self.barring(problem, item, node).is_none()
    }

    /// The first constraint of `item` that would not hold with it on `node`, given that they hold without it.
    #[inline]
    pub(crate) fn barring(&self, problem: &Problem<'_>, item: ItemIx, node: NodeSlot) -> Option<ConstraintIx> {
        let mut parts = problem.member_of[item].iter();
        parts.find(|part| !self.part_allows(problem, **part, node, spread::allows)).map(|part| part.constraint)
    }

    /// Whether the constraints of `item` could hold in the end with it on `node`, if the items told by
    /// [`open`](Self::open) (this one among them) are placed well. `false` is certain, `true` is not; the same as
    /// [`allows`](Self::allows) for kinds closed under subsets.
    #[inline]
    pub(crate) fn could_allow(&self, problem: &Problem<'_>, item: ItemIx, node: NodeSlot) -> bool {
        problem.member_of[item].iter().all(|part| self.part_allows(problem, *part, node, spread::could_allow))
    }

    /// Whether one constraint allows a member on `node`; `spread` judges those that are not closed under subsets, for
    /// which it matters whether more is to come.
    #[inline]
    fn part_allows(
        &self,
        problem: &Problem<'_>,
        part: Membership,
        node: NodeSlot,
        spread: impl Fn(&Tally, u32, Option<u32>, &[DomainKey], DomainKey) -> bool,
    ) -> bool {
        let constraint = &problem.constraints[part.constraint];
        let tally = &self.tallies[part.constraint];
        let domain = domain_of(problem, constraint, node);
        match constraint {
            Constraint::Separate { limit, .. } => separate::allows(tally, *limit, domain),
            Constraint::Sides { .. } => sides::allows(tally, domain, part.side),
            Constraint::Together { stay, .. } => together::allows(tally, stay, domain),
            Constraint::Spread { min_domains, max_skew, counting, .. } => {
                spread(tally, *min_domains, *max_skew, counting, domain)
            }
            Constraint::Follow => follow::allows(tally, domain, part.side),
        }
    }

    /// Puts `item` on `node`.
    pub(crate) fn place(&mut self, problem: &Problem<'_>, item: ItemIx, node: NodeSlot) {
        for membership in &problem.member_of[item] {
            let constraint = &problem.constraints[membership.constraint];
            let domain = domain_of(problem, constraint, node);
            self.tallies[membership.constraint].place(domain, membership.side, || match constraint {
                Constraint::Spread { counting, .. } => counting.binary_search(&domain).is_ok(),
                _ => false,
            });
        }
    }

    /// Takes `item` from `node`, where it is.
    pub(crate) fn remove(&mut self, problem: &Problem<'_>, item: ItemIx, node: NodeSlot) {
        for membership in &problem.member_of[item] {
            let domain = domain_of(problem, &problem.constraints[membership.constraint], node);
            self.tallies[membership.constraint].remove(domain, membership.side);
        }
    }

    /// Whether every constraint holds.
    pub(crate) fn legal(&self, problem: &Problem<'_>) -> bool {
        problem.constraints.enumerate().all(|(constraint_ix, _)| self.one_legal(problem, constraint_ix))
    }

    /// Whether the constraints hold that are not closed under subsets: what is left to check once every item was
    /// allowed when it was placed.
    pub(crate) fn open_ended_legal(&self, problem: &Problem<'_>) -> bool {
        self.open_ended.iter().all(|&constraint_ix| self.one_legal(problem, constraint_ix))
    }

    fn one_legal(&self, problem: &Problem<'_>, constraint_ix: ConstraintIx) -> bool {
        let tally = &self.tallies[constraint_ix];
        match &problem.constraints[constraint_ix] {
            Constraint::Separate { limit, .. } => separate::legal(tally, *limit),
            Constraint::Sides { .. } => sides::legal(tally),
            Constraint::Together { stay, .. } => together::legal(tally, stay),
            Constraint::Spread { min_domains, max_skew, counting, .. } => {
                spread::legal(tally, *min_domains, *max_skew, counting)
            }
            Constraint::Follow => follow::legal(tally),
        }
    }
}

/// The domain in which `constraint` counts an item on `node`. A constraint without level counts by node: its tallies
/// take the node's slot for a key.
#[inline]
fn domain_of(problem: &Problem<'_>, constraint: &Constraint, node: NodeSlot) -> DomainKey {
    match level(constraint) {
        Some(level) => problem.levels[level][node],
        None => DomainKey(node.0),
    }
}

/// Whether `constraint` makes no difference between two nodes as long as neither holds a placed item: they share the
/// domain, or each is alone in its own (`alone`) and the same stays in both.
pub(crate) fn nodes_alike(
    problem: &Problem<'_>,
    constraint: &Constraint,
    left: NodeSlot,
    right: NodeSlot,
    alone: impl Fn(LevelIx, DomainKey) -> bool,
) -> bool {
    let Some(level) = level(constraint) else { return true };
    let (left, right) = (problem.levels[level][left], problem.levels[level][right]);
    if left == right {
        return true;
    }
    if !alone(level, left) || !alone(level, right) {
        return false;
    }
    match constraint {
        Constraint::Separate { stay, .. } | Constraint::Sides { stay, .. } => {
            entries_of(stay, left).map(|entry| entry.1).eq(entries_of(stay, right).map(|entry| entry.1))
        }
        Constraint::Together { stay, .. } => stay.binary_search(&left).is_ok() == stay.binary_search(&right).is_ok(),
        Constraint::Spread { stay, counting, .. } => {
            entries_of(stay, left).map(|entry| entry.1).eq(entries_of(stay, right).map(|entry| entry.1))
                && counting.binary_search(&left).is_ok() == counting.binary_search(&right).is_ok()
        }
        Constraint::Follow => true,
    }
}

fn entries_of(stay: &[(DomainKey, u32)], domain: DomainKey) -> impl Iterator<Item = &(DomainKey, u32)> {
    let from = stay.partition_point(|entry| entry.0 < domain);
    stay.get(from..).unwrap_or_default().iter().take_while(move |entry| entry.0 == domain)
}
