//! Base plans and the failures in which they collide: the proof for the narrow band in which no banks fit, for losses at
//! once.
//!
//! Uses `cluster`, `guarantee::{units, field, ties, prices, turns}`, `restart`. Used by `guarantee::verify`.
//!
//! **The data's path.** Every unit gets one plan for its loss alone, spread over the whole cluster. A failure of several
//! units is survived by the union of their plans unless it is *hot*: a plan puts a VM on a node of another unit that
//! fails, two plans together ask more of a node than it has, or a rule ties the units together. With two losses the hot
//! pairs are found without looking at the others, by the nodes that plans share; with more, every set is looked at. Each
//! hot set is tried as it is, and else searched by itself: a plan of its own becomes an exception of the certificate, a
//! refutation ends the matter, and what the budget leaves is open.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: sums of needs fit u64 (the cluster checks it); counts of units are below 2^31"
)]

use super::certificate::{Exception, NOWHERE};
use super::field::{Field, MemberIx};
use super::prices::{Prices, Refuted};
use super::ties::Ties;
use super::turns::Turns;
use super::units::{NO_UNIT, UnitIx, Units};
use super::verdict::Proof;
use crate::cluster::Cluster;
use crate::dense::{DenseId, IdVec};
use crate::failure::Failure;
use crate::ids::{NodeSlot, VmSlot};
use crate::placement::budget::{Budget, Cancelled, Stop};
use crate::restart::{Concern, Found, Planner};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// What one scenario may cost at most, in node evaluations.
const SCENARIO_WORK: u64 = 4_000_000;
/// What it may cost at first: those that need more wait until all have been looked at, since one that is refuted easily
/// settles the class.
const FIRST_WORK: u64 = 10_000;
/// What the base plan of one unit may cost.
const BASE_WORK: u64 = SCENARIO_WORK / 16;
/// So many sets are listed at a time, where all are looked at.
const LISTED: usize = 512;
/// More hot sets than this are not listed: the class is undecided.
const MOST_HOT: usize = 4_000_000;
/// So many sets at most wait for a second look.
const MOST_PUT_OFF: usize = 100_000;
/// More VMs than this in exceptions are not kept: the class is undecided.
const MOST_EXCEPTIONS: usize = 50_000_000;

/// The cluster as it is, and as it will be once the VMs that wait have been placed.
pub(crate) struct States<'s> {
    /// As it is.
    pub(crate) now: &'s Cluster,
    /// With everything that waits in its standing place, and no node unreachable: the same as `now` if nothing waits.
    pub(crate) settled: &'s Cluster,
    pub(crate) standing: &'s [(VmSlot, NodeSlot)],
    pub(crate) concern: &'s Concern,
    /// Whether a refutation by search is one: not if evictions could make room that the search does not see.
    pub(crate) exact: bool,
}

/// The loss of these nodes, with the unreachable ones, which count as lost.
fn failure_of(cluster: &Cluster, nodes: &[NodeSlot]) -> Failure {
    let unreachable = cluster.unreachable_nodes();
    Failure::of(nodes.iter().chain(unreachable).map(|node| cluster.node_id_of(*node)))
}

/// What the search of one scenario came to.
pub(crate) struct Searched {
    pub(crate) found: Found,
    /// The places of all VMs that it displaces, those that wait included.
    pub(crate) placements: Vec<(VmSlot, NodeSlot)>,
    /// Whether those that wait are where they stand.
    pub(crate) settled: bool,
}

impl States<'_> {
    /// Searches one scenario: in the settled state first, then with those that wait to be placed anew.
    pub(crate) fn search(
        &self,
        nodes: &[NodeSlot],
        planner: &mut Planner,
        budget: &mut Budget<'_>,
    ) -> Result<Searched, Cancelled> {
        self.search_for(SCENARIO_WORK, nodes, planner, budget)
    }

    /// The same, either state for at most so much work.
    fn search_for(
        &self,
        work: u64,
        nodes: &[NodeSlot],
        planner: &mut Planner,
        budget: &mut Budget<'_>,
    ) -> Result<Searched, Cancelled> {
        let mut found = Found::Open;
        let failure = failure_of(self.settled, nodes);
        let settled =
            budget.limited(work, |part| Ok(planner.scenario(self.settled, self.concern, &failure, None, part)))?;
        if let Some(outcome) = settled {
            found = outcome?;
        }
        if found == Found::Placed {
            let failed = |node: &NodeSlot| nodes.contains(node);
            let kept = self.standing.iter().copied().filter(|(_, node)| !failed(node));
            let placements = kept.chain(planner.found_places()).collect();
            return Ok(Searched { found, placements, settled: true });
        }
        if self.standing.is_empty() {
            return Ok(Searched { found: self.judged(found), placements: Vec::new(), settled: true });
        }
        let failure = failure_of(self.now, nodes);
        let outcome =
            budget.limited(work, |part| Ok(planner.scenario(self.now, self.concern, &failure, None, part)))?;
        found = outcome.transpose()?.unwrap_or(Found::Open);
        let placements = if found == Found::Placed { planner.found_places().collect() } else { Vec::new() };
        Ok(Searched { found: self.judged(found), placements, settled: false })
    }

    fn judged(&self, found: Found) -> Found {
        if found == Found::Impossible && !self.exact { Found::Open } else { found }
    }
}

/// What came of it.
pub(crate) struct Outcome {
    /// Per tier a target per member.
    pub(crate) base: Vec<IdVec<MemberIx, NodeSlot>>,
    pub(crate) exceptions: Vec<Exception>,
    /// The first refuted set.
    pub(crate) refuted: Option<Refuted>,
    /// Of a class of one loss: every unit that is refuted.
    pub(crate) failing: Vec<UnitIx>,
    /// How many sets are open, and one of them.
    pub(crate) open: u128,
    pub(crate) open_example: Vec<UnitIx>,
    pub(crate) searched: u64,
}

/// Tries to prove the class for losses at once. With `each` every failure is searched by itself, without base plans:
/// where VMs that wait are tied by rules to VMs of the units, no plan per unit can speak for them.
#[expect(clippy::too_many_arguments, reason = "the parts of a proof, borrowed one by one")]
pub(crate) fn prove(
    states: &States<'_>,
    units: &Units,
    field: &Field,
    ties: &Ties,
    prices: &mut Prices<'_>,
    planner: &mut Planner,
    budget: &mut Budget<'_>,
    each: bool,
) -> Result<Outcome, Cancelled> {
    let mut work = Work {
        states,
        units,
        field,
        outcome: Outcome {
            base: units.tiers.iter().map(|_| IdVec::filled(NOWHERE, field.vms.len())).collect(),
            exceptions: Vec::new(),
            refuted: None,
            failing: Vec::new(),
            open: 0,
            open_example: Vec::new(),
            searched: 0,
        },
        member_of: IdVec::filled(None, states.now.vm_slots_len()),
        kept: 0,
        per_scenario: FIRST_WORK,
        put_off: Vec::new(),
    };
    for member in field.members() {
        work.member_of[field.vms[member]] = Some(member);
    }
    if each {
        work.every_set(&|_| false, 1, prices, planner, budget)?;
        work.again(prices, planner, budget)?;
        return Ok(work.outcome.sorted());
    }
    let bare = work.base_plans(planner, budget)?;
    let alone = bare.iter().map(|unit| Hot::new(&[*unit], false)).collect::<Vec<_>>();
    if work.hot(&alone, prices, planner, budget, Work::is_refuted)?.is_some() {
        return Ok(work.outcome);
    }
    let is_bare = |set: &[UnitIx]| set.iter().any(|unit| bare.binary_search(unit).is_ok());
    if units.losses() == 2 {
        let Some(pairs) = hot_pairs(states.settled, units, field, ties, &work, &bare) else {
            work.outcome.open = units.sets();
            return Ok(work.outcome);
        };
        let pairs = pairs.into_iter().map(|(left, right)| [left, right]);
        let pairs = pairs.map(|pair| Hot::new(&pair, !is_bare(&pair))).collect::<Vec<_>>();
        work.hot(&pairs, prices, planner, budget, Work::is_refuted)?;
    } else if units.losses() > 2 {
        work.every_set(&|set| !is_bare(set), 2, prices, planner, budget)?;
    }
    work.again(prices, planner, budget)?;
    Ok(work.outcome.sorted())
}

impl Outcome {
    fn sorted(mut self) -> Self {
        self.exceptions.sort_unstable_by(|left, right| left.failed.cmp(&right.failed));
        self.exceptions.dedup_by(|left, right| left.failed == right.failed);
        self
    }
}

/// What came of looking at a set.
enum Looked {
    /// There was no budget for it.
    Not,
    /// The union of the base plans will do.
    Holds,
    /// Its nodes, and a plan of its own or none.
    Searched(Vec<NodeSlot>, Searched),
}

/// A set of units to be looked at.
struct Hot {
    set: SmallVec<[UnitIx; 4]>,
    /// Whether each of them has a base plan, so that their union may do.
    has_plans: bool,
}

impl Hot {
    fn new(set: &[UnitIx], has_plans: bool) -> Self {
        Self { set: set.iter().copied().collect(), has_plans }
    }
}

struct Work<'w> {
    states: &'w States<'w>,
    units: &'w Units,
    field: &'w Field,
    outcome: Outcome,
    member_of: IdVec<VmSlot, Option<MemberIx>>,
    /// VMs in exceptions.
    kept: usize,
    /// What one scenario may cost now.
    per_scenario: u64,
    /// Sets that may need more.
    put_off: Vec<Hot>,
}

impl Work<'_> {
    /// Makes a base plan for every unit; returns the units without one.
    fn base_plans(&mut self, planner: &mut Planner, budget: &mut Budget<'_>) -> Result<Vec<UnitIx>, Cancelled> {
        let units = self.units;
        let all = (0..units.len()).map(UnitIx::from_index).filter(|unit| units.tier_of(*unit).is_some());
        let all: Vec<UnitIx> = all.collect();
        let mut bare = Vec::new();
        let turns = Turns { planner, budget, most: BASE_WORK };
        turns.each(
            self,
            &all,
            |work, unit, planner, budget| {
                let failure = failure_of(work.states.settled, units.nodes(*unit));
                let found = budget.limited(BASE_WORK, |part| {
                    Ok(planner.scenario(work.states.settled, work.states.concern, &failure, None, part))
                })?;
                let placed = matches!(found.transpose()?, Some(Found::Placed));
                Ok(placed.then(|| planner.found_places().collect::<Vec<_>>()))
            },
            |work, unit, plan, _| {
                work.outcome.searched += 1;
                let at = units.tiers.iter().position(|tier| tier.holds(*unit)).unwrap_or(0);
                let Some(plan) = plan else {
                    bare.push(*unit);
                    return false;
                };
                for (vm, node) in plan {
                    if let (Some(member), Some(base)) = (work.member_of[vm], work.outcome.base.get_mut(at)) {
                        base[member] = node;
                    }
                }
                false
            },
        )?;
        Ok(bare)
    }

    fn is_refuted(&self, _: &Budget<'_>) -> bool {
        self.outcome.refuted.is_some()
    }

    /// Looks at every set of at least so many units, until one is refuted or the budget ends.
    fn every_set(
        &mut self,
        has_plans: &dyn Fn(&[UnitIx]) -> bool,
        least: usize,
        prices: &mut Prices<'_>,
        planner: &mut Planner,
        budget: &mut Budget<'_>,
    ) -> Result<(), Cancelled> {
        let units = self.units;
        let sets = units.sets();
        // Of one loss all failing units are wanted.
        let several = units.losses() > 1;
        let done = move |work: &Self, budget: &Budget<'_>| (several && work.is_refuted(budget)) || budget.left() == 0;
        let mut seen: u128 = 0;
        // Sets that are listed, and how many there were before each.
        let mut listed: Vec<Hot> = Vec::new();
        let mut before: Vec<u128> = Vec::new();
        let mut look = |work: &mut Self, listed: &mut Vec<Hot>, before: &mut Vec<u128>| {
            let ended = work.hot(listed, prices, planner, budget, done);
            let seen = ended.map(|ended| Some(before.get(ended?).map_or(sets, |before| before + 1)));
            listed.clear();
            before.clear();
            seen.transpose()
        };
        let stopped = units.each_set(&mut |set| {
            seen += 1;
            if set.len() >= least {
                listed.push(Hot::new(set, has_plans(set)));
                before.push(seen - 1);
            }
            if listed.len() < LISTED { None } else { look(self, &mut listed, &mut before) }
        });
        let stopped = stopped.or_else(|| look(self, &mut listed, &mut before));
        if let Some(seen) = stopped.transpose()? {
            self.outcome.open = self.outcome.open.saturating_add(sets.saturating_sub(seen));
        }
        Ok(())
    }

    /// Looks at sets of units in turn, until `done`: the position of that set is returned.
    fn hot(
        &mut self,
        sets: &[Hot],
        prices: &mut Prices<'_>,
        planner: &mut Planner,
        budget: &mut Budget<'_>,
        done: impl Fn(&Self, &Budget<'_>) -> bool,
    ) -> Result<Option<usize>, Cancelled> {
        let most = self.per_scenario.saturating_mul(2);
        Turns { planner, budget, most }.each(self, sets, Self::look, |work, hot, looked, budget| {
            work.outcome.searched += 1;
            work.take_in(&hot.set, looked, prices);
            done(work, budget)
        })
    }

    /// Looks at one set of units: whether the union of the base plans will do (if each has one), else a plan of its own.
    fn look(&self, hot: &Hot, planner: &mut Planner, budget: &mut Budget<'_>) -> Result<Looked, Cancelled> {
        if budget.left() == 0 {
            return Ok(Looked::Not);
        }
        let nodes = self.units.union(&hot.set);
        if hot.has_plans {
            let failure = failure_of(self.states.settled, &nodes);
            let target = |vm: VmSlot| self.target(&hot.set, vm);
            let holds = planner.holds_together(self.states.settled, self.states.concern, &failure, target);
            let displaced: usize = nodes.iter().map(|node| self.field.at(*node).len()).sum();
            let spent = budget.spend(u64::try_from(nodes.len() + displaced / 4).unwrap_or(1));
            if spent == Err(Stop::Cancelled) {
                return Err(Cancelled);
            }
            if holds {
                return Ok(Looked::Holds);
            }
        }
        let mut searched = self.states.search_for(self.per_scenario, &nodes, planner, budget)?;
        searched.placements.sort_unstable();
        Ok(Looked::Searched(nodes, searched))
    }

    fn take_in(&mut self, set: &[UnitIx], looked: Looked, prices: &mut Prices<'_>) {
        let (nodes, Searched { found, placements, .. }) = match looked {
            Looked::Not => return self.leave_open(set),
            Looked::Holds => return,
            Looked::Searched(nodes, searched) => (nodes, searched),
        };
        match found {
            Found::Placed => {
                self.kept += placements.len();
                if self.kept > MOST_EXCEPTIONS {
                    self.leave_open(set);
                } else {
                    self.outcome.exceptions.push(Exception { failed: nodes, placements });
                }
            }
            Found::Impossible => {
                let proof = prices.prove(set).unwrap_or(Proof::Search { checked: false });
                self.refute(set, proof);
            }
            // Of what was put off, prices have shown nothing.
            Found::Open if self.per_scenario == SCENARIO_WORK => self.leave_open(set),
            Found::Open => match prices.prove(set) {
                Some(proof) => self.refute(set, proof),
                None if self.put_off.len() < MOST_PUT_OFF => self.put_off.push(Hot::new(set, false)),
                None => self.leave_open(set),
            },
        }
    }

    /// Looks again at the sets that were put off, with all the work that one may cost. Of one loss all failing units are
    /// wanted, of several a single refuted set is enough.
    fn again(
        &mut self,
        prices: &mut Prices<'_>,
        planner: &mut Planner,
        budget: &mut Budget<'_>,
    ) -> Result<(), Cancelled> {
        self.per_scenario = SCENARIO_WORK;
        let put_off = core::mem::take(&mut self.put_off);
        let several = self.units.losses() > 1;
        if !(several && self.is_refuted(budget)) {
            self.hot(&put_off, prices, planner, budget, |work, budget| several && work.is_refuted(budget))?;
        }
        Ok(())
    }

    fn refute(&mut self, set: &[UnitIx], proof: Proof) {
        if let [unit] = set {
            self.outcome.failing.push(*unit);
        }
        self.outcome.refuted.get_or_insert(Refuted { units: set.to_vec(), proof });
    }

    fn leave_open(&mut self, set: &[UnitIx]) {
        self.outcome.open = self.outcome.open.saturating_add(1);
        if self.outcome.open_example.is_empty() {
            self.outcome.open_example = set.to_vec();
        }
    }

    /// Where the base plans of a set put a VM: that of the first of its units which displaces it.
    fn target(&self, set: &[UnitIx], vm: VmSlot) -> Option<NodeSlot> {
        let home = self.states.settled.vm_record(vm)?.node?;
        let member = self.member_of[vm]?;
        let lost = |unit: &UnitIx| set.contains(unit);
        let tier = self.units.tiers.iter().position(|tier| lost(&tier.unit_of[home]))?;
        self.outcome.base.get(tier).map(|base| base[member]).filter(|node| *node != NOWHERE)
    }
}

/// Pairs of units that a class may lose together.
struct Pairs<'p> {
    units: &'p Units,
    found: Vec<(UnitIx, UnitIx)>,
}

impl Pairs<'_> {
    /// Adds a pair, if the class may lose it; nothing if there are too many.
    fn add(&mut self, left: UnitIx, right: UnitIx) -> Option<()> {
        // With one tier two of its units, with two tiers one of each.
        let several = self.units.tiers.len() > 1;
        let same = self.units.tiers.iter().any(|tier| tier.holds(left) && tier.holds(right));
        if left != right && left != NO_UNIT && right != NO_UNIT && same != several {
            self.found.push((left.min(right), left.max(right)));
            if self.found.len() > MOST_HOT {
                self.found.sort_unstable();
                self.found.dedup();
            }
        }
        (self.found.len() <= MOST_HOT).then_some(())
    }

    /// Adds all pairs among some units.
    fn add_all(&mut self, units: &[UnitIx]) -> Option<()> {
        for (at, left) in units.iter().enumerate() {
            for right in units.iter().skip(at + 1) {
                self.add(*left, *right)?;
            }
        }
        Some(())
    }
}

/// The pairs of units whose plans may collide, sorted; `None` if there are too many to list.
fn hot_pairs(
    cluster: &Cluster,
    units: &Units,
    field: &Field,
    ties: &Ties,
    work: &Work<'_>,
    bare: &[UnitIx],
) -> Option<Vec<(UnitIx, UnitIx)>> {
    let mut pairs = Pairs { units, found: Vec::new() };
    for unit in bare {
        for other in (0..units.len()).map(UnitIx::from_index).filter(|unit| units.tier_of(*unit).is_some()) {
            pairs.add(*unit, other)?;
        }
    }
    let homes = field.homes();
    let plans = || units.tiers.iter().zip(&work.outcome.base);
    // Hits: a plan uses a node of the other unit.
    let mut loads: Vec<(NodeSlot, UnitIx, MemberIx)> = Vec::new();
    for (tier, base) in plans() {
        for (member, target) in base.enumerate().filter(|(_, target)| **target != NOWHERE) {
            let Some(home) = homes[member] else { continue };
            let unit = tier.unit_of[home];
            for other in &units.tiers {
                pairs.add(unit, other.unit_of[*target])?;
            }
            loads.push((*target, unit, member));
        }
    }
    loads.sort_unstable();
    for on_target in loads.chunk_by(|left, right| left.0 == right.0) {
        if let Some((target, _, _)) = on_target.first() {
            overflowing(&mut pairs, field, &cluster.free_rows()[*target], on_target)?;
        }
    }
    // Rules: of a kind that is judged domain by domain only where two plans put members into one domain.
    let mut landed: Vec<(u32, UnitIx)> = Vec::new();
    for span in &ties.spans {
        let Some(level) = span.each_domain_of else {
            pairs.add_all(&span.units)?;
            continue;
        };
        landed.clear();
        let members = span.rule.and_then(|rule| cluster.rule_record(rule)).map_or(&[][..], |rule| &rule.members);
        for member in members.iter().filter_map(|vm| work.member_of[*vm]) {
            for (tier, base) in plans() {
                if let (Some(home), target) = (homes[member], base[member]) {
                    if target != NOWHERE {
                        landed.push((cluster.levels.domain(level, target).0, tier.unit_of[home]));
                    }
                }
            }
        }
        landed.sort_unstable();
        landed.dedup();
        for domain in landed.chunk_by(|left, right| left.0 == right.0) {
            let together: Vec<UnitIx> = domain.iter().map(|(_, unit)| *unit).collect();
            pairs.add_all(&together)?;
        }
    }
    pairs.found.sort_unstable();
    pairs.found.dedup();
    Some(pairs.found)
}

/// Adds the pairs whose plans together ask more of one target than it has free.
fn overflowing(
    pairs: &mut Pairs<'_>,
    field: &Field,
    free: &[u64],
    on_target: &[(NodeSlot, UnitIx, MemberIx)],
) -> Option<()> {
    let mut sums: Vec<(UnitIx, Vec<u64>)> = Vec::new();
    for (_, unit, member) in on_target {
        let need = &field.need[*member];
        match sums.last_mut() {
            Some((last, sum)) if last == unit => {
                for (sum, need) in sum.iter_mut().zip(need) {
                    *sum = sum.saturating_add(*need);
                }
            }
            _ => sums.push((*unit, need.to_vec())),
        }
    }
    // If the two largest loads of every kind fit together, all pairs do.
    let fits_all = free.iter().enumerate().all(|(kind, free)| {
        let (mut first, mut second) = (0_u64, 0_u64);
        for amount in sums.iter().filter_map(|(_, sum)| sum.get(kind)) {
            second = second.max(first.min(*amount));
            first = first.max(*amount);
        }
        first.saturating_add(second) <= *free
    });
    if fits_all {
        return Some(());
    }
    for (at, (left, left_sum)) in sums.iter().enumerate() {
        for (right, right_sum) in sums.iter().skip(at + 1) {
            let mut rows = left_sum.iter().zip(right_sum).zip(free);
            if rows.any(|((left, right), free)| left.saturating_add(*right) > *free) {
                pairs.add(*left, *right)?;
            }
        }
    }
    Some(())
}
