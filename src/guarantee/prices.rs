//! Refutation by prices: a failure that cannot be survived, with a proof that is replayed in a few additions.
//!
//! Uses `cluster`, `guarantee::{units, field, verdict}`. Used by `guarantee::{outright, verify, pairs}`, there for single
//! scenarios, and by `more`. What families are tried first of all, before members are listed, `outright` says.
//!
//! A [`PriceFamily`] gives every VM a price w >= 0 and every node a limit W on the total price of any set of VMs that
//! fits into its room. What is displaced by a failure F must fit into the surviving targets, so F cannot be survived if
//! the prices of the displaced VMs exceed the sum of W over the surviving targets. With c(u) = the prices that unit u
//! displaces plus the limits it takes away, that is: prices of those without a home + sum of c over F > sum of W over
//! all targets; so the worst failures are those of the largest c, and one pass over the units finds them.
//!
//! Why W holds: *weighted* sums: what shares a node needs, kind by kind, at most its room. *Parts* of size s of one
//! kind: the sum of floors is at most the floor of the sum. *Shapes*: q VMs that each need at least the shape need q
//! times the shape. *Within E*: VMs that may also go outside E cost nothing, so outside E the limit is 0.
//! The room of a node is taken with every claim released that a failure may release: too much room never refutes.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: sums of needs and of rooms fit u64 (the cluster checks it), weights are below 2^32, there are at \
              most 16 kinds: all sums are below 2^108"
)]

use super::field::{Census, Field, MemberIx};
use super::units::{Tier, UnitIx, Units};
use super::verdict::{PriceFamily, Pricing, Proof};
use crate::cluster::{Cluster, NodeState, RestartClass, VmFacts};
use crate::dense::{DenseId, IdVec, Rows, fits, to_usize};
use crate::ids::{NodeSlot, VmId, VmSlot};
use crate::restart::Concern;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Of how many members needs are tried as shapes, and how many.
pub(super) const DRAWN: Drawn = Drawn { members: 512, shapes: 24 };
/// How many sets of eligible nodes are tried for E.
const RESTRICTIONS: usize = 16;
/// A node's room is divided into up to so many parts.
const PARTS: u64 = 4;

/// A failure that cannot be survived.
#[derive(Clone, Debug)]
pub(crate) struct Refuted {
    pub(crate) units: Vec<UnitIx>,
    pub(crate) proof: Proof,
}

/// How many members are drawn, about, and how many different needs of theirs are tried as shapes at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Drawn {
    pub(crate) members: usize,
    pub(crate) shapes: usize,
}

/// What a first look at a class has found (`outright`).
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    /// Per kind the most that a failure can cost; incomplete if one of several losses is refuted.
    pub(crate) most: Vec<u128>,
    /// A failure that is refuted; no units: there is no room even without one.
    pub(crate) refuted: Option<Refuted>,
    /// Of a class of one loss: all units that are refuted, in order.
    pub(crate) units: Vec<UnitIx>,
}

impl Outlook {
    pub(crate) fn has_refuted(&self, unit: UnitIx) -> bool {
        self.units.binary_search(&unit).is_ok()
    }
}

/// How close a failure comes to the limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tightest {
    pub(crate) units: Vec<UnitIx>,
    /// Prices of the displaced, and what the survivors can take.
    pub(crate) needed: u128,
    pub(crate) available: u128,
}

impl Tightest {
    pub(super) fn offer(&mut self, units: &[UnitIx], needed: u128, available: u128) {
        let tighter = |needed: u128, available: u128| needed.saturating_mul(1 << 20) / available.max(1);
        if self.available == 0 || tighter(needed, available) > tighter(self.needed, self.available) {
            *self = Self { units: units.to_vec(), needed, available };
        }
    }
}

/// The price of one VM.
pub(crate) fn price(pricing: &Pricing, need: &[u64]) -> u128 {
    match pricing {
        Pricing::Weighted { weights } => {
            need.iter().zip(weights).map(|(need, weight)| u128::from(*need) * u128::from(*weight)).sum()
        }
        Pricing::Parts { kind, size } => {
            let amount = need.get(*kind).copied().unwrap_or(0);
            // Most have no whole part, and a division takes longer.
            if amount < *size { 0 } else { u128::from(amount / (*size).max(1)) }
        }
        Pricing::Shape { shape } => u128::from(fits(shape, need)),
    }
}

/// The most that VMs which fit into a room together can cost.
pub(crate) fn limit(pricing: &Pricing, room: &[u64]) -> u128 {
    match pricing {
        Pricing::Weighted { .. } | Pricing::Parts { .. } => price(pricing, room),
        // Where room is short, that is most of the nodes.
        Pricing::Shape { shape } if !fits(shape, room) => 0,
        Pricing::Shape { shape } => {
            let slots =
                room.iter().zip(shape.iter()).filter(|(_, shape)| **shape > 0).map(|(room, shape)| room / shape);
            slots.min().map_or(u128::MAX >> 20, u128::from)
        }
    }
}

/// A bound on the price of anything that takes no more than `most` in each kind.
pub(super) fn bound(pricing: &Pricing, most: &[u128]) -> u128 {
    match pricing {
        Pricing::Weighted { weights } => {
            most.iter().zip(weights).map(|(most, weight)| most * u128::from(*weight)).sum()
        }
        Pricing::Parts { kind, size } => most.get(*kind).copied().unwrap_or(0) / u128::from(*size).max(1),
        Pricing::Shape { shape } => {
            let needed = most.iter().zip(shape).filter(|(_, shape)| **shape > 0);
            needed.map(|(most, shape)| most / u128::from(*shape)).min().unwrap_or(u128::MAX)
        }
    }
}

/// The sum, if it is below a bound; adds no more up than settles that.
pub(super) fn sum_below(bound: u128, amounts: impl IntoIterator<Item = u128>) -> Option<u128> {
    let mut sum = 0_u128;
    for amount in amounts {
        if sum >= bound {
            return None;
        }
        sum = sum.saturating_add(amount);
    }
    (sum < bound).then_some(sum)
}

/// Weights that count one kind alone.
pub(super) fn one(kinds: usize, kind: usize) -> Vec<u64> {
    (0..kinds).map(|other| u64::from(other == kind)).collect()
}

/// Adds weighted sums of two kinds each. What they refute the sum of one of the kinds refutes, too; but where there are
/// several tiers, they may lead to a failure that the sums of one kind do not lead to.
pub(super) fn add_pairs(units: &Units, released: &Released, pricings: &mut Vec<Pricing>) {
    let kinds = released.room.width();
    if units.tiers.len() < 2 || kinds < 2 {
        return;
    }
    let total = |kind: usize| {
        let of_kind = |node: &NodeSlot| released.room[*node].get(kind).copied().unwrap_or(0);
        released.targets.iter().map(of_kind).fold(0, u64::saturating_add)
    };
    let totals: Vec<u64> = (0..kinds).map(total).collect();
    // The scarcest kind decides the scale: every weight is below 2^32.
    let least = totals.iter().copied().filter(|total| *total > 0).min().unwrap_or(1);
    let fair = |kind: usize| {
        let total = totals.get(kind).copied().unwrap_or(0).max(1);
        u64::try_from((u128::from(least) << 24) / u128::from(total)).unwrap_or(0).min(u64::from(u32::MAX))
    };
    for first in 0..kinds {
        for second in first + 1..kinds {
            let weights = (0..kinds).map(|kind| if kind == first || kind == second { fair(kind) } else { 0 });
            pricings.push(Pricing::Weighted { weights: weights.collect() });
        }
    }
}

/// Adds parts of the largest room.
pub(super) fn add_parts(released: &Released, pricings: &mut Vec<Pricing>) {
    for kind in 0..released.room.width() {
        let of_kind = |node: &NodeSlot| released.room[*node].get(kind).copied().unwrap_or(0);
        let largest = released.targets.iter().map(of_kind).max().unwrap_or(0);
        pricings.extend((2..=PARTS).map(|parts| Pricing::Parts { kind, size: largest / parts + 1 }));
    }
}

/// The pricings that ask nothing of VMs: sums of one kind and of two, parts of rooms.
pub(super) fn pricings_by_room(units: &Units, released: &Released) -> Vec<Pricing> {
    let kinds = released.room.width();
    let mut pricings = (0..kinds).map(|kind| Pricing::Weighted { weights: one(kinds, kind) }).collect();
    add_pairs(units, released, &mut pricings);
    add_parts(released, &mut pricings);
    pricings
}

/// Of which number of members one is drawn, so that it is about `wanted` of them.
pub(super) fn every(members: usize, wanted: usize) -> u64 {
    u64::try_from(members / wanted.max(1) + 1).unwrap_or(u64::MAX)
}

/// One VM in so many, by the hashes of their names: the same ones however the cluster was listed.
pub(super) fn is_drawn(facts: VmFacts, every: u64) -> bool {
    // The hash as a part of 1 has no whole in so many times itself.
    u64::from(facts.key).saturating_mul(every) >> u32::BITS == 0
}

/// Adds at most so many different needs as shapes, the largest of every kind first.
pub(super) fn add_shapes(mut needs: Vec<&[u64]>, most: usize, pricings: &mut Vec<Pricing>) {
    needs.retain(|need| need.iter().any(|amount| *amount > 0));
    let shapes = different(needs, most).into_iter().map(|need| Pricing::Shape { shape: need.to_vec() });
    pricings.extend(shapes);
}

/// Adds at most so many different amounts of each kind as parts: of needs that are multiples of one, nothing is lost, and
/// of every room what is left over.
pub(super) fn add_amounts(needs: &[&[u64]], kinds: usize, most: usize, pricings: &mut Vec<Pricing>) {
    for kind in 0..kinds {
        let amounts = needs.iter().filter_map(|need| need.get(kind)).copied().filter(|amount| *amount > 0);
        let sizes = different(amounts.collect(), most);
        pricings.extend(sizes.into_iter().map(|size| Pricing::Parts { kind, size }));
    }
}

/// At most so many different ones, the largest first.
fn different<T: Ord>(mut all: Vec<T>, most: usize) -> Vec<T> {
    all.sort_unstable();
    all.dedup();
    let stride = all.len() / most.max(1) + 1;
    all.into_iter().rev().step_by(stride).collect()
}

/// The room of the targets, with all claims released that a failure may release.
#[derive(Debug)]
pub(crate) struct Released {
    /// 0 for nodes that take nothing.
    pub(super) room: Rows<NodeSlot>,
    /// By slot.
    pub(super) targets: Vec<NodeSlot>,
}

impl Released {
    /// `evictable`: whether VMs that may be stopped count as room.
    pub(crate) fn new(cluster: &Cluster, evictable: bool) -> Self {
        let mut room = cluster.free_rows().clone();
        let mut targets = Vec::new();
        for node in (0..cluster.node_slots()).map(NodeSlot::from_index) {
            let Some(record) = cluster.node_record(node).filter(|record| record.state.accepts()) else {
                if room.len() > node.index() {
                    room[node].fill(0);
                }
                continue;
            };
            targets.push(node);
            let fallible = |source: NodeSlot| {
                cluster.node_record(source).is_some_and(|source| {
                    matches!(source.state, NodeState::Online | NodeState::Cordoned | NodeState::Unreachable)
                })
            };
            let mut used: Option<Vec<u64>> = None;
            for vm in &record.incoming {
                if cluster.vm_record(*vm).and_then(|vm| vm.node).is_some_and(fallible) {
                    let used = used.get_or_insert_with(|| cluster.used_rows()[node].to_vec());
                    for (used, demand) in used.iter_mut().zip(&cluster.demand_rows()[*vm]) {
                        *used = used.saturating_sub(*demand);
                    }
                }
            }
            if evictable {
                let stoppable = |vm: &&VmSlot| {
                    cluster
                        .vm_ref(**vm)
                        .is_some_and(|vm| vm.is_preemptible() && vm.effective().0 == RestartClass::BestEffort)
                };
                for vm in record.residents.iter().filter(stoppable) {
                    let used = used.get_or_insert_with(|| cluster.used_rows()[node].to_vec());
                    for (used, demand) in used.iter_mut().zip(&cluster.demand_rows()[*vm]) {
                        *used = used.saturating_sub(*demand);
                    }
                }
            }
            if let Some(used) = used {
                for ((room, used), most) in room[node].iter_mut().zip(&used).zip(&cluster.failover_rows()[node]) {
                    *room = most.saturating_sub(*used);
                }
            }
        }
        Self { room, targets }
    }

    /// The limits of some nodes by a pricing, and their sum.
    pub(super) fn limits(&self, pricing: &Pricing, nodes: &[NodeSlot]) -> (IdVec<NodeSlot, u128>, u128) {
        let mut limits = IdVec::filled(0, self.room.len());
        let mut sum: u128 = 0;
        for node in nodes {
            let most = limit(pricing, &self.room[*node]);
            sum = sum.saturating_add(most);
            limits[*node] = most;
        }
        (limits, sum)
    }
}

impl Census {
    /// The prices of what each node displaces; behind the last node those of members without a home.
    pub(super) fn displaced(&self, cluster: &Cluster, concern: &Concern, pricing: &Pricing) -> IdVec<NodeSlot, u128> {
        match cluster.kinds().len() {
            2 => self.displaced_in::<2>(cluster, concern, pricing),
            4 => self.displaced_in::<4>(cluster, concern, pricing),
            _ => self.displaced_in::<0>(cluster, concern, pricing),
        }
    }

    /// The same; `WIDTH` as for [`Rows::row`].
    fn displaced_in<const WIDTH: usize>(
        &self,
        cluster: &Cluster,
        concern: &Concern,
        pricing: &Pricing,
    ) -> IdVec<NodeSlot, u128> {
        let mut sums: IdVec<NodeSlot, u128> = IdVec::filled(0, self.load.len());
        match pricing {
            // Linear: of all members of a node together they are those of its load.
            Pricing::Weighted { .. } => self.load.iter().map(|load| price(pricing, load)).collect(),
            Pricing::Parts { kind, size } => {
                self.each_member::<WIDTH>(cluster, concern, |home, _, _, need| {
                    if need.get(*kind).is_some_and(|need| need >= size) {
                        sums[home] += price(pricing, need);
                    }
                });
                sums
            }
            Pricing::Shape { shape } => {
                self.each_member::<WIDTH>(cluster, concern, |home, _, _, need| {
                    if fits(shape, need) {
                        sums[home] += 1;
                    }
                });
                sums
            }
        }
    }
}

/// What the loss of each node costs by a family.
#[derive(Debug)]
pub(super) struct Costs {
    /// What it takes away of what is available.
    taken: IdVec<NodeSlot, u128>,
    /// That, and what it displaces.
    cost: IdVec<NodeSlot, u128>,
    /// What is displaced without a loss.
    pub(super) homeless: u128,
    pub(super) available: u128,
}

impl Costs {
    /// `displaced`: the prices of what each node displaces; behind the last node those of members without a home.
    pub(super) fn new(taken: IdVec<NodeSlot, u128>, available: u128, displaced: impl Fn(NodeSlot) -> u128) -> Self {
        let cost = taken.enumerate().map(|(node, taken)| taken + displaced(node)).collect();
        let homeless = displaced(NodeSlot::from_index(taken.len()));
        Self { taken, cost, homeless, available }
    }

    /// The same with other prices displaced.
    pub(super) fn displacing(self, displaced: impl Fn(NodeSlot) -> u128) -> Self {
        Self::new(self.taken, self.available, displaced)
    }

    /// What a unit costs.
    pub(super) fn of(&self, units: &Units, unit: UnitIx) -> u128 {
        units.nodes(unit).iter().map(|node| self.cost[*node]).sum()
    }

    /// What the loss of some units needs, and what it leaves.
    pub(super) fn balance(&self, units: &Units, lost: &[UnitIx]) -> (u128, u128) {
        let nodes = units.union(lost);
        let gone: u128 = nodes.iter().map(|node| self.taken[*node]).sum();
        let sum: u128 = nodes.iter().map(|node| self.cost[*node]).sum();
        (self.homeless + sum - gone, self.available - gone)
    }

    /// The worst failure of the class, what it needs and what it leaves.
    pub(super) fn worst(&self, units: &Units) -> (Vec<UnitIx>, u128, u128) {
        let lost = worst(units, &self.cost, self.homeless, self.available);
        let (needed, left) = self.balance(units, &lost);
        (lost, needed, left)
    }

    /// No failure of the class costs more than this: of every tier the units that cost most, nodes in several of them counted
    /// in each.
    pub(super) fn most(&self, units: &Units) -> u128 {
        let of_tier = |tier: &Tier| {
            let costs = tier.units().map(|unit| self.of(units, unit));
            first_of(costs, to_usize(tier.count), |left, right| right.cmp(left)).into_iter().sum::<u128>()
        };
        self.homeless + units.tiers.iter().map(of_tier).sum::<u128>()
    }
}

/// Units of the class that cost most together, given what each node costs; none more once the limit is passed.
///
/// Tier by tier, widest first, always the unit that adds most: with one tier of disjoint units that is the worst
/// failure. With several tiers it may miss the worst; what it finds is judged all the same.
fn worst(units: &Units, cost: &IdVec<NodeSlot, u128>, start: u128, limit: u128) -> Vec<UnitIx> {
    let mut sum = start;
    let mut chosen: Vec<UnitIx> = Vec::new();
    let mut gone: Vec<NodeSlot> = Vec::new();
    for tier in &units.tiers {
        let added = tier.units().map(|unit| {
            let left = units.nodes(unit).iter().filter(|node| gone.binary_search(node).is_err());
            (left.map(|node| cost[*node]).sum::<u128>(), unit)
        });
        // The largest first, of equals the first in the order of names.
        let order = |left: &(u128, UnitIx), right: &(u128, UnitIx)| right.0.cmp(&left.0).then(left.1.cmp(&right.1));
        for (value, unit) in first_of(added, to_usize(tier.count), order) {
            if sum > limit {
                break;
            }
            sum = sum.saturating_add(value);
            chosen.push(unit);
        }
        gone = units.union(&chosen);
    }
    chosen
}

/// The first of some items, so many, in order: in one pass that keeps few of them.
fn first_of<T>(items: impl Iterator<Item = T>, count: usize, order: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    /// So many more are kept until those behind are dropped.
    const MORE: usize = 64;
    let Some(last) = count.checked_sub(1) else { return Vec::new() };
    let mut first: Vec<T> = Vec::new();
    // Whether `last` is where the last one stands of those that are the first so far.
    let mut known = false;
    for item in items {
        if known && first.get(last).is_some_and(|last| order(&item, last) != Ordering::Less) {
            continue;
        }
        first.push(item);
        if first.len() > last.saturating_mul(2).saturating_add(MORE) {
            first.select_nth_unstable_by(last, &order);
            first.truncate(count);
            known = true;
        }
    }
    if first.len() > count {
        first.select_nth_unstable_by(last, &order);
        first.truncate(count);
    }
    first.sort_unstable_by(order);
    first
}

/// Whether a VM with limits can go nowhere but to these nodes.
pub(super) fn stays_within(
    cluster: &Cluster,
    targets: &[NodeSlot],
    vm: VmSlot,
    within: &IdVec<NodeSlot, bool>,
    few: &mut Vec<NodeSlot>,
) -> bool {
    let is_outside = |node: &NodeSlot| !within[*node] && crate::restart::may_run_on(cluster, vm, *node);
    if crate::restart::may_run_on_few(cluster, vm, few) {
        let targets = few.iter().filter(|node| targets.binary_search(node).is_ok());
        return !targets.into_iter().any(is_outside);
    }
    !targets.iter().any(is_outside)
}

/// What families of every pricing speak of: all nodes and members, or E and those that can go nowhere else.
#[derive(Debug)]
struct Scope {
    /// Whose eligible nodes E is.
    within: Option<VmId>,
    /// By slot.
    nodes: Vec<NodeSlot>,
    /// The members that cost something, in order; `None`: all.
    inside: Option<Vec<MemberIx>>,
}

/// The refuter: what it reads again and again, in dense rows.
#[derive(Debug)]
pub(crate) struct Prices<'a> {
    cluster: &'a Cluster,
    units: &'a Units,
    field: &'a Field,
    released: Released,
    /// What was found before members were listed.
    pub(crate) outlook: Outlook,
    /// The failure that came closest to a refutation so far.
    pub(crate) tightest: Tightest,
    /// Node evaluations spent.
    pub(crate) work: u64,
}

impl<'a> Prices<'a> {
    pub(crate) fn new(
        cluster: &'a Cluster,
        units: &'a Units,
        field: &'a Field,
        released: Released,
        outlook: Outlook,
        tightest: Tightest,
    ) -> Self {
        Self { cluster, units, field, released, outlook, tightest, work: 0 }
    }

    /// Looks for a failure of the class that some family refutes.
    pub(crate) fn refute(&mut self) -> Option<Refuted> {
        let pricings = self.pricings(None);
        for within in self.scopes(None) {
            let Some(scope) = self.scope(within, self.field.members()) else { continue };
            let refuted = pricings.iter().find_map(|pricing| self.judge_all(pricing, &scope));
            if refuted.is_some() {
                return refuted;
            }
        }
        None
    }

    /// A proof that these units cannot be lost, if some family gives one.
    pub(crate) fn prove(&mut self, units: &[UnitIx]) -> Option<Proof> {
        let failed = self.units.union(units);
        let displaced = self.displaced(units);
        let pricings = self.pricings(Some(units));
        for within in self.scopes(Some(units)) {
            let Some(scope) = self.scope(within, displaced.iter().copied()) else { continue };
            let members = scope.inside.as_ref().unwrap_or(&displaced);
            for pricing in &pricings {
                self.work += u64::try_from(displaced.len() + self.released.targets.len()).unwrap_or(u64::MAX) / 8;
                let needed = self.needed(pricing, members.iter().copied());
                let left = scope.nodes.iter().filter(|node| failed.binary_search(node).is_err());
                let limits = left.map(|node| limit(pricing, &self.released.room[*node]));
                if let Some(available) = sum_below(needed, limits) {
                    let family = PriceFamily { pricing: pricing.clone(), within };
                    return Some(Proof::Prices { family, needed, available });
                }
            }
        }
        None
    }

    /// The scopes to try: all nodes first, then the sets of nodes that some members are limited to.
    fn scopes(&self, units: Option<&[UnitIx]>) -> Vec<Option<VmId>> {
        let examples = self.limited_examples(units).into_iter();
        core::iter::once(None)
            .chain(examples.map(|member| Some(self.cluster.vm_id_of(self.field.vms[member]))))
            .collect()
    }

    /// The pricings to try in each. With `units` given, shapes are those of what these displace.
    fn pricings(&self, units: Option<&[UnitIx]>) -> Vec<Pricing> {
        let kinds = self.cluster.kinds().len();
        let mut pricings = pricings_by_room(self.units, &self.released);
        let needs = if let Some(units) = units {
            let needs: Vec<&[u64]> = self.displaced(units).iter().map(|member| &self.field.need[*member]).collect();
            add_amounts(&needs, kinds, DRAWN.shapes, &mut pricings);
            needs
        } else {
            let every = every(self.field.vms.len(), DRAWN.members);
            let drawn =
                self.field.members().filter(|member| is_drawn(self.cluster.facts(self.field.vms[*member]), every));
            drawn.map(|member| &self.field.need[member]).collect()
        };
        add_shapes(needs, DRAWN.shapes, &mut pricings);
        pricings
    }

    /// One member for each of the smallest sets of nodes that members are limited to: of those with one set the first by
    /// name.
    fn limited_examples(&self, units: Option<&[UnitIx]>) -> Vec<MemberIx> {
        let mut members: Vec<MemberIx> = match units {
            Some(units) => self.displaced(units),
            None => self.field.members().collect(),
        };
        members.retain(|member| self.field.limited[*member]);
        let every = every(members.len(), 256);
        let node_key = |node: &NodeSlot| self.cluster.node_record(*node).map(|record| record.key);
        let name = |member: MemberIx| self.cluster.vm_record(self.field.vms[member]).map(|record| &*record.name);
        let mut found: Vec<(usize, Vec<_>, MemberIx)> = Vec::new();
        for member in members.into_iter().filter(|member| is_drawn(self.cluster.facts(self.field.vms[*member]), every))
        {
            let mut nodes: Vec<_> = self.eligible(member).iter().map(node_key).collect();
            nodes.sort_unstable();
            match found.iter_mut().find(|(_, known, _)| *known == nodes) {
                Some((_, _, first)) if name(member) < name(*first) => *first = member,
                Some(_) => {}
                None => found.push((nodes.len(), nodes, member)),
            }
        }
        found.sort_unstable_by(|left, right| (left.0, &left.1).cmp(&(right.0, &right.1)));
        found.into_iter().take(RESTRICTIONS).map(|(_, _, member)| member).collect()
    }

    /// The targets that a member may go to, by slot.
    fn eligible(&self, member: MemberIx) -> Vec<NodeSlot> {
        let vm = self.field.vms[member];
        let eligible = |node: &NodeSlot| crate::restart::may_run_on(self.cluster, vm, *node);
        self.released.targets.iter().copied().filter(eligible).collect()
    }

    /// What the units displace, those without a home included.
    pub(crate) fn displaced(&self, units: &[UnitIx]) -> Vec<MemberIx> {
        let nodes = self.units.union(units);
        nodes.iter().flat_map(|node| self.field.at(*node)).chain(self.field.homeless()).collect()
    }

    /// A scope, as far as these members are concerned. Costs a look at every target for each of them that can go nowhere but
    /// to E, and less for others. `None`: the example is no member.
    fn scope(&mut self, within: Option<VmId>, members: impl Iterator<Item = MemberIx>) -> Option<Scope> {
        let Some(example) = within else {
            return Some(Scope { within, nodes: self.released.targets.clone(), inside: None });
        };
        let limits = self.field.members().find(|member| self.field.vms[*member] == example.slot)?;
        let nodes = self.eligible(limits);
        let mut is_inside: IdVec<NodeSlot, bool> = IdVec::filled(false, self.cluster.node_slots());
        for node in &nodes {
            is_inside[*node] = true;
        }
        let mut few = Vec::new();
        let (targets, vms) = (&self.released.targets, &self.field.vms);
        let inside: Vec<MemberIx> = members
            .filter(|member| self.field.limited[*member])
            .filter(|member| stays_within(self.cluster, targets, vms[*member], &is_inside, &mut few))
            .collect();
        self.work += u64::try_from((inside.len() + self.released.targets.len()) / 8).unwrap_or(u64::MAX);
        Some(Scope { within, nodes, inside: Some(inside) })
    }

    fn needed(&self, pricing: &Pricing, members: impl Iterator<Item = MemberIx>) -> u128 {
        members.map(|member| price(pricing, &self.field.need[member])).sum()
    }

    /// Judges all failures of the class at once: finds the worst by the family, and whether it is refuted.
    fn judge_all(&mut self, pricing: &Pricing, scope: &Scope) -> Option<Refuted> {
        let bound = bound(pricing, &self.outlook.most);
        if sum_below(bound, scope.nodes.iter().map(|node| limit(pricing, &self.released.room[*node]))).is_none() {
            self.work += u64::try_from(scope.nodes.len() / 256).unwrap_or(u64::MAX);
            return None;
        }
        let (units, needed, left) = self.weigh_all(pricing, scope);
        self.tightest.offer(&units, needed, left);
        if needed <= left {
            return None;
        }
        let family = PriceFamily { pricing: pricing.clone(), within: scope.within };
        Some(Refuted { units, proof: Proof::Prices { family, needed, available: left } })
    }

    /// The worst failure of the class by a family, the prices of what it displaces and what the survivors can take.
    fn weigh_all(&mut self, pricing: &Pricing, scope: &Scope) -> (Vec<UnitIx>, u128, u128) {
        self.work += u64::try_from((self.field.vms.len() + self.released.targets.len()) / 32).unwrap_or(u64::MAX);
        let (taken, available) = self.released.limits(pricing, &scope.nodes);
        let displaced = |node: NodeSlot| match &scope.inside {
            // The members of a node stand side by side.
            Some(inside) => {
                let before = |end: usize| inside.partition_point(|member| member.index() < end);
                let first = self.field.start(node);
                let here = inside.get(before(first)..before(first + self.field.at(node).len()));
                self.needed(pricing, here.unwrap_or_default().iter().copied())
            }
            // Weighted sums are linear: of all members of a node together they are those of its load.
            None if matches!(pricing, Pricing::Weighted { .. }) => price(pricing, &self.field.census.load[node]),
            None => self.needed(pricing, self.field.at(node)),
        };
        Costs::new(taken, available, displaced).worst(self.units)
    }
}
