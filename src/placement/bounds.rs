//! Upper bounds: of the items of a class, at most so many can be placed, given how many are placed in the classes
//! above.
//!
//! Uses `placement::{instance, budget, matching}`. Used by `placement::solve` (early exit and final bounds).
//! Data: `Instance` and the counts of the classes above -> [`class_bound`] -> a count.
//!
//! **Prices.** Every item i has a price w(i) >= 0 and every target t a limit W(t) such that any set of items which
//! may share t has prices of at most W(t) in total. Let T be the sum of all W(t). In every legal assignment the prices
//! of the placed items are at most T. If it places at least n(j) items in each class j above c, these cost at least
//! the sum of the n(j) smallest prices in class j; so class c has at most as many as its smallest prices fit into the
//! rest of T. Each family below gives w and W and says why W holds. Items that cannot be placed at all are left out
//! everywhere (they are in no assignment).
//!
//! **Restriction to a set E of targets.** With w(i) = 0 for every item that may also go outside E, W(t) = 0 outside E
//! holds: only items of price 0 are there. So each family is tried for all targets and for each eligible set.
//! Inside E a target on which no priced item fits has W(t) = 0, too; that is tested against the component-wise
//! smallest need, which every priced item exceeds.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: sums of needs and of capacities fit u64 (the cluster checks it), weighted ones are u128 with \
              weights below 2^32, and there are at most 16 kinds; counts fit u32"
)]

use super::budget::{Budget, Stop};
use super::instance::{ClassIx, Instance, TargetIx};
use super::matching::Matching;
use super::problem::{Constraint, EligibleIx, ItemIx};
use crate::dense::{DenseId, IdVec, fits, to_u32, to_usize};
use crate::ids::DomainKey;
use alloc::vec::Vec;

/// At most so many eligible sets are tried as E.
const RESTRICTIONS: usize = 32;
/// At most so many shapes are tried for slots.
const SHAPES: usize = 128;
/// A room is divided into at most so many parts by the thresholds that come from rooms.
const PARTS: u64 = 6;

/// The memory of the bounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    price: IdVec<ItemIx, u128>,
    sorted: Vec<u128>,
    domains: Vec<(DomainKey, u32)>,
    matching: Matching,
}

/// One question.
struct Query<'q> {
    class: ClassIx,
    placed: &'q IdVec<ClassIx, u32>,
    /// The least bound so far.
    bound: u32,
}

/// The targets and items that count in one restriction.
struct Restriction {
    items: Vec<ItemIx>,
    targets: Vec<TargetIx>,
}

impl Bounds {
    /// An upper bound on the items of `class` in any assignment that places at least `placed` in each class above.
    /// Stops early once the bound is down to what is placed in `class` itself: it cannot be lower.
    pub(crate) fn class_bound(
        &mut self,
        instance: &Instance<'_, '_>,
        placed: &IdVec<ClassIx, u32>,
        class: ClassIx,
        budget: &mut Budget<'_>,
    ) -> Result<u32, Stop> {
        let mut query = Query { class, placed, bound: instance.placeable_count[class] };
        self.price.reset(0, instance.problem.class.len());
        match self.try_all(instance, &mut query, budget) {
            Ok(()) | Err(Stop::Spent) => Ok(query.bound),
            Err(Stop::Cancelled) => Err(Stop::Cancelled),
        }
    }

    fn try_all(
        &mut self,
        instance: &Instance<'_, '_>,
        query: &mut Query<'_>,
        budget: &mut Budget<'_>,
    ) -> Result<(), Stop> {
        let sets = (0..instance.eligible.len().min(RESTRICTIONS)).map(EligibleIx::from_index);
        for set in core::iter::once(None).chain(sets.map(Some)) {
            let Some(restriction) = restriction(instance, set) else { continue };
            if query.settled() {
                return Ok(());
            }
            self.resources(instance, &restriction, query, budget)?;
            if query.settled() {
                return Ok(());
            }
            self.exclusive(instance, &restriction, query, budget)?;
            if query.settled() {
                return Ok(());
            }
            self.slots(instance, &restriction, query, budget)?;
        }
        self.separated(instance, query, budget)
    }

    /// One resource, and weighted sums of resources: w = the sum over kinds of m(k) * need(k), W = the sum of
    /// m(k) * room(k). What shares a target needs at most its room in every kind, so also in the weighted sum.
    fn resources(
        &mut self,
        instance: &Instance<'_, '_>,
        restriction: &Restriction,
        query: &mut Query<'_>,
        budget: &mut Budget<'_>,
    ) -> Result<(), Stop> {
        let kinds = instance.kinds();
        // A kind's fair weight: one over what there is of it.
        let mut fair = Vec::with_capacity(kinds);
        for kind in 0..kinds {
            let total: u128 =
                restriction.targets.iter().map(|&target| u128::from(at(&instance.room[target], kind))).sum();
            fair.push((1_u128 << 64) / total.max(1));
        }
        // Single kinds, then all kinds, then pairs.
        let singles = (0..kinds).map(|kind| (kind, kind));
        let pairs = (0..kinds).flat_map(|first| (first + 1..kinds).map(move |second| (first, second)));
        for (first, second) in singles.chain(core::iter::once((0, usize::MAX))).chain(pairs) {
            let weight = |kind: usize| -> u128 {
                if first == second {
                    u128::from(kind == first)
                } else if second == usize::MAX || kind == first || kind == second {
                    fair.get(kind).copied().unwrap_or(0) >> 32
                } else {
                    0
                }
            };
            let weigh = |row: &[u64]| -> u128 {
                row.iter().enumerate().map(|(kind, &amount)| u128::from(amount) * weight(kind)).sum()
            };
            budget.spend_steps(u64::from(to_u32(restriction.items.len() + restriction.targets.len())))?;
            for &item in &restriction.items {
                self.price[item] = weigh(&instance.problem.need[item]);
            }
            let total = restriction.targets.iter().map(|&target| weigh(&instance.room[target])).sum();
            self.judge(instance, restriction, total, query);
        }
        Ok(())
    }

    /// Slots. One kind k and a threshold s > 0: w = floor(need / s), W = floor(room / s), which holds because the sum
    /// of floors is at most the floor of the sum. A shape (a vector): w = 1 for items that need at least the shape in
    /// every kind, W = the least over kinds of floor(room / shape), because q such items need at least q times the shape.
    fn slots(
        &mut self,
        instance: &Instance<'_, '_>,
        restriction: &Restriction,
        query: &mut Query<'_>,
        budget: &mut Budget<'_>,
    ) -> Result<(), Stop> {
        let cost = u64::from(to_u32(restriction.items.len() + restriction.targets.len()));
        let mut thresholds = Vec::new();
        for kind in 0..instance.kinds() {
            thresholds.clear();
            let most = restriction.targets.iter().map(|&target| at(&instance.room[target], kind)).max().unwrap_or(0);
            thresholds.extend((1..=PARTS).map(|parts| most / (parts + 1) + 1));
            let stride = restriction.items.len() / SHAPES + 1;
            thresholds
                .extend(restriction.items.iter().step_by(stride).map(|&item| at(&instance.problem.need[item], kind)));
            thresholds.sort_unstable();
            thresholds.dedup();
            for &threshold in thresholds.iter().filter(|&&threshold| threshold > 0) {
                budget.spend_steps(cost)?;
                for &item in &restriction.items {
                    self.price[item] = u128::from(at(&instance.problem.need[item], kind) / threshold);
                }
                let total = restriction
                    .targets
                    .iter()
                    .map(|&target| u128::from(at(&instance.room[target], kind) / threshold))
                    .sum();
                self.judge(instance, restriction, total, query);
                if query.settled() {
                    return Ok(());
                }
            }
        }
        let stride = restriction.items.len() / SHAPES + 1;
        for &shape_of in restriction.items.iter().step_by(stride) {
            budget.spend_steps(cost)?;
            let shape = &instance.problem.need[shape_of];
            if shape.iter().all(|&amount| amount == 0) {
                continue;
            }
            for &item in &restriction.items {
                self.price[item] = u128::from(fits(shape, &instance.problem.need[item]));
            }
            let total = restriction
                .targets
                .iter()
                .map(|&target| {
                    let slots =
                        shape.iter().zip(&instance.room[target]).filter_map(|(size, room)| room.checked_div(*size));
                    u128::from(slots.min().unwrap_or(0))
                })
                .sum();
            self.judge(instance, restriction, total, query);
            if query.settled() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Items that exclude one another: a set of which no two fit together on any target, because in some kind their
    /// needs exceed the largest room. The placed ones among them sit on different targets, each on one where it fits
    /// alone: they form a matching, so there are at most as many as in a largest one. Prices: 1 each, T = that number.
    fn exclusive(
        &mut self,
        instance: &Instance<'_, '_>,
        restriction: &Restriction,
        query: &mut Query<'_>,
        budget: &mut Budget<'_>,
    ) -> Result<(), Stop> {
        let kinds = instance.kinds();
        let largest: Vec<u64> = (0..kinds)
            .map(|kind| restriction.targets.iter().map(|&target| at(&instance.room[target], kind)).max().unwrap_or(0))
            .collect();
        let exclude = |left: ItemIx, right: ItemIx| {
            let (left, right) = (&instance.problem.need[left], &instance.problem.need[right]);
            left.iter().zip(right).zip(&largest).any(|((left, right), most)| left.saturating_add(*right) > *most)
        };
        // Grown greedily, largest first, by two sizes and within each single kind.
        let mut clique: Vec<ItemIx> = Vec::new();
        let mut order = restriction.items.clone();
        for by in 0..kinds + 2 {
            if kinds == 1 && by > 0 {
                break;
            }
            order.sort_by_key(|&item| {
                let size = match by {
                    0 => instance.dominant[item],
                    1 => instance.weighted[item],
                    _ => at(&instance.problem.need[item], by - 2),
                };
                (core::cmp::Reverse(size), item)
            });
            clique.clear();
            for &item in &order {
                budget.spend_steps(u64::from(to_u32(clique.len())) + 1)?;
                if clique.iter().all(|&other| exclude(item, other)) {
                    clique.push(item);
                }
            }
            self.matching.start(instance.problem.nodes.len());
            for &item in &clique {
                budget.spend_steps(u64::from(to_u32(restriction.targets.len())))?;
                let need = &instance.problem.need[item];
                self.matching.add_left(
                    restriction
                        .targets
                        .iter()
                        .filter(|&&target| fits(need, &instance.room[target]) && instance.is_eligible(item, target))
                        .map(|target| target.0),
                );
            }
            let most = self.matching.largest(budget)?;
            for &item in &restriction.items {
                self.price[item] = 0;
            }
            for &item in &clique {
                self.price[item] = 1;
            }
            self.judge(instance, restriction, u128::from(most), query);
            if query.settled() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A `Separate` constraint: each domain that receives takes at most `limit` minus those that stay. Prices: 1 for
    /// members, T = the sum of that over the domains of targets where some member fits; for a limit of 1 the members
    /// placed form a matching with those domains.
    fn separated(
        &mut self,
        instance: &Instance<'_, '_>,
        query: &mut Query<'_>,
        budget: &mut Budget<'_>,
    ) -> Result<(), Stop> {
        for (constraint_ix, constraint) in instance.problem.constraints.enumerate() {
            let Constraint::Separate { level, limit, stay } = constraint else { continue };
            let members: Vec<ItemIx> = instance
                .items()
                .filter(|&item| {
                    instance.placeable[item]
                        && instance.problem.member_of[item].iter().any(|part| part.constraint == constraint_ix)
                })
                .collect();
            if members.is_empty() || query.settled() {
                continue;
            }
            // Domains with something left, and how much.
            self.domains.clear();
            for target in instance.targets() {
                let domain = instance.problem.levels[*level][instance.node(target)];
                let stays = stay.binary_search_by_key(&domain, |entry| entry.0).ok().and_then(|at| stay.get(at));
                let left = limit.saturating_sub(stays.map_or(0, |entry| entry.1));
                if left > 0 {
                    self.domains.push((domain, left));
                }
            }
            self.domains.sort_unstable();
            self.domains.dedup();
            self.matching.start(self.domains.len());
            // The last member that reaches each domain.
            let mut reached: Vec<Option<ItemIx>> = alloc::vec![None; self.domains.len()];
            for &item in &members {
                budget.spend(u64::from(to_u32(instance.problem.nodes.len())))?;
                let need = &instance.problem.need[item];
                let mut reach: Vec<u32> = Vec::new();
                for target in instance.targets() {
                    if fits(need, &instance.room[target]) && instance.is_eligible(item, target) {
                        let domain = instance.problem.levels[*level][instance.node(target)];
                        if let Ok(at) = self.domains.binary_search_by_key(&domain, |entry| entry.0) {
                            // In the order of the targets, which depends on names alone.
                            if reached.get_mut(at).is_some_and(|reached| reached.replace(item) != Some(item)) {
                                reach.push(to_u32(at));
                            }
                        }
                    }
                }
                self.matching.add_left(reach.into_iter());
            }
            let most = if *limit == 1 {
                u128::from(self.matching.largest(budget)?)
            } else {
                self.domains
                    .iter()
                    .zip(&reached)
                    .filter(|(_, reached)| reached.is_some())
                    .map(|(entry, _)| u128::from(entry.1))
                    .sum()
            };
            for item in instance.items() {
                self.price[item] = 0;
            }
            for &item in &members {
                self.price[item] = 1;
            }
            let everything = Restriction { items: Vec::new(), targets: Vec::new() };
            self.judge(instance, &everything, most, query);
        }
        Ok(())
    }

    /// Applies the argument on prices (module doc).
    fn judge(&mut self, instance: &Instance<'_, '_>, restriction: &Restriction, total: u128, query: &mut Query<'_>) {
        let mut left = total;
        for class in (0..=query.class.0).map(ClassIx) {
            self.sorted.clear();
            let items = instance.class_items(class).map(ItemIx::from_index);
            self.sorted.extend(items.filter(|&item| instance.placeable[item]).map(|item| self.price[item]));
            self.sorted.sort_unstable();
            let mut count = 0;
            let wanted = if class == query.class { u32::MAX } else { query.placed[class] };
            for &price in self.sorted.iter().take(to_usize(wanted)) {
                let Some(rest) = left.checked_sub(price) else {
                    if class != query.class {
                        // The classes above cannot have the counts given: whatever is said of this class holds.
                        query.bound = query.bound.min(query.placed[query.class]);
                        self.clear_prices(instance, restriction);
                        return;
                    }
                    break;
                };
                left = rest;
                count += 1;
            }
            if class == query.class {
                query.bound = query.bound.min(count);
            }
        }
        self.clear_prices(instance, restriction);
    }

    /// Leaves no price behind for a family that prices other items.
    fn clear_prices(&mut self, instance: &Instance<'_, '_>, restriction: &Restriction) {
        if restriction.items.is_empty() {
            self.price.reset(0, instance.problem.class.len());
        }
        for &item in &restriction.items {
            self.price[item] = 0;
        }
    }
}

impl Query<'_> {
    fn settled(&self) -> bool {
        self.bound <= self.placed[self.class]
    }
}

fn at(row: &[u64], kind: usize) -> u64 {
    row.get(kind).copied().unwrap_or(0)
}

/// The items that are confined to a set of targets, and the targets of it that any of them could use.
fn restriction(instance: &Instance<'_, '_>, within: Option<EligibleIx>) -> Option<Restriction> {
    let set = within.map(|within| &instance.eligible[within]);
    if set.is_some_and(|set| to_usize(set.count()) == instance.problem.nodes.len()) {
        return None;
    }
    let confined: IdVec<EligibleIx, bool> =
        instance.eligible.iter().map(|other| set.is_none_or(|set| set.includes(other))).collect();
    let items: Vec<ItemIx> = instance
        .items()
        .filter(|&item| instance.placeable[item] && confined[instance.problem.eligible[item]])
        .collect();
    if items.is_empty() {
        return None;
    }
    let mut smallest = alloc::vec![u64::MAX; instance.kinds()];
    for &item in &items {
        for (least, &need) in smallest.iter_mut().zip(&instance.problem.need[item]) {
            *least = (*least).min(need);
        }
    }
    let targets = instance
        .targets()
        .filter(|&target| set.is_none_or(|set| set.contains(target)) && fits(&smallest, &instance.room[target]))
        .collect();
    Some(Restriction { items, targets })
}
