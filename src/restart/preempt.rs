//! Preemption: which running VMs are stopped so that more important ones can start.
//!
//! Uses `cluster`, `policy`, `restart::{planner, plan, checker}`. Used by `restart::planner`, only where the policy allows
//! evictions and a plan without any leaves something out.
//!
//! **The data's path.** *Candidates* are the running VMs that some displaced VM may evict. A set of victims is tried by
//! planning on a copy of the cluster in which they wait for a place like the displaced ones (their own nodes excepted):
//! so a victim may be placed elsewhere by the same plan, and rules see it as it is then. The *ceiling* is a plan for a
//! cluster in which all candidates are gone: no set of victims lets more be placed, so where nothing is gained even then,
//! nobody is evicted. With few candidates every set is tried, those of fewer and less important victims first, until
//! one reaches the ceiling; where the plan that is found for a set is better but does not need all of them, it is tried
//! what comes of somebody starting just where a victim was. With many, victims are chosen for the VMs left out (`victims`)
//! and the plan is *extended*: what it places stays where it is, and only those left out and the victims are planned for.
//! So a plan with evictions is never worse than the one without, however large the cluster is. Victims who turn out not to
//! be needed stay after all. One copy of the cluster serves all tries: from one set to the next only those change in whom
//! they differ. A set whose evictions are not all allowed and needed, as the checker of plans has it, is never taken.
//!
//! The plan without evictions may take the whole budget, as if there were none; the search for victims as much again.

mod victims;

use super::checker::{PlanFault, check_evictions, check_placements};
use super::eligible::may_run_on;
use super::keep::Kept;
use super::plan::{ClassCount, Eviction, Note, Reason, ReasonCount, RestartPlan, Unplaced};
use super::planner::{Detail, PlanError, Planner};
use crate::cluster::{Cluster, NodeRef, NodeState, OnTimeout, Power, Priority, RestartClass, RuleBody, Strength, Vm};
use crate::dense::to_u32;
use crate::failure::Failure;
use crate::ids::{NodeId, NodeSlot, VmId, VmSlot};
use crate::placement::budget::Control;
use crate::policy::{Policy, Preemption};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use victims::Choice;

/// Up to so many candidates every set of victims is tried.
const TRY_ALL: usize = 10;
/// How many VMs left out are tried one by one once a step for all of them gains nothing.
const SINGLES: usize = 8;
/// How many victims are tried to be kept after all.
const KEEP_TRIES: usize = 200;
/// How many ways of starting somebody where each victim was are tried for one set of victims.
const SEATINGS: usize = 64;
/// How often victims who need not go are looked for in one plan.
const PRUNINGS: usize = 8;
/// The share of the work left that one try may take.
const TRY_SHARE: u64 = 8;

type Class = (RestartClass, Priority);

/// The number placed less the number evicted and not placed again, per class, the most important first.
type Net = BTreeMap<Reverse<Class>, i64>;

/// Whether a VM of class `by` may evict one of class `victim`; whether that one is preemptible is not asked.
fn outranks(preemption: Preemption, by: Class, victim: Class) -> bool {
    let best_effort = by.0 == RestartClass::Protected && victim.0 == RestartClass::BestEffort;
    match preemption {
        Preemption::Never => false,
        Preemption::BestEffort => best_effort,
        Preemption::LowerPriority => best_effort || (by.0 == victim.0 && by.1 > victim.1),
    }
}

/// A set of victims with the best plan found for it.
struct Attempt {
    victims: BTreeSet<VmId>,
    plan: RestartPlan,
    net: Net,
    /// The work that it was allowed: with as much the same plan is found again. `None`: it extends another plan.
    budget: Option<u64>,
}

impl Attempt {
    fn is_better_than(&self, other: &Self) -> bool {
        compare(&self.net, &other.net).is_gt()
    }
}

/// What the search for victims reads.
struct Search<'s> {
    cluster: &'s Cluster,
    policy: &'s Policy,
    failure: &'s Failure,
    control: Option<&'s Control>,
    /// By class, the least important first, then by name.
    candidates: Vec<VmId>,
    work: u64,
    /// A copy of the cluster in which `lifted` wait for a place; made for the first try.
    copy: Option<Cluster>,
    lifted: BTreeSet<VmId>,
}

impl Planner {
    /// Improves a plan that leaves something out by evictions, if that helps. `base` is the best plan without.
    pub(super) fn preempt(
        &mut self,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
        control: Option<&Control>,
        base: RestartPlan,
    ) -> Result<RestartPlan, PlanError> {
        let mut search = Search {
            cluster,
            policy,
            failure,
            control,
            candidates: Vec::new(),
            work: 0,
            copy: None,
            lifted: BTreeSet::new(),
        };
        search.find_candidates(&base);
        if search.candidates.is_empty() {
            return Ok(base);
        }
        let without = base.work;
        let nobody =
            Attempt { victims: BTreeSet::new(), net: search.net(&base, &BTreeSet::new()), plan: base, budget: None };
        let ceiling = search.ceiling(self)?;
        let reached = |attempt: &Attempt| ceiling.as_ref().is_some_and(|ceiling| same_counts(&attempt.net, ceiling));
        let (best, proved) = if reached(&nobody) {
            (nobody, ceiling.as_ref().is_some_and(RestartPlan::is_optimal))
        } else if search.candidates.len() <= TRY_ALL {
            search.try_all(self, nobody, ceiling.as_ref())?
        } else {
            search.try_some(self, nobody)?
        };
        let mut plan = search.finish(self, best, ceiling.as_ref(), proved)?;
        plan.work = without.saturating_add(search.work);
        Ok(plan)
    }
}

/// Whether net counts are those of a plan in which nobody is evicted.
fn same_counts(net: &Net, ceiling: &RestartPlan) -> bool {
    let class = |class: &ClassCount| (Reverse((class.restart, class.priority)), i64::from(class.placed));
    let ceiling: Net = ceiling.classes.iter().map(class).filter(|(_, placed)| *placed != 0).collect();
    net.iter().filter(|(_, placed)| **placed != 0).eq(ceiling.iter())
}

/// Whether `left` counts for more: the highest class that differs decides. Classes without a count have 0.
fn compare(left: &Net, right: &Net) -> core::cmp::Ordering {
    let keys: BTreeSet<Reverse<Class>> = left.keys().chain(right.keys()).copied().collect();
    let of = |net: &Net, key| net.get(key).copied().unwrap_or(0);
    keys.iter()
        .map(|key| of(left, key).cmp(&of(right, key)))
        .find(|order| order.is_ne())
        .unwrap_or(core::cmp::Ordering::Equal)
}

impl Search<'_> {
    fn class(&self, vm: VmId) -> Class {
        self.cluster.effective(vm.slot)
    }

    fn name(&self, vm: VmId) -> &str {
        self.cluster.vm_record(vm.slot).map_or("", |record| &record.name)
    }

    /// Running VMs that some VM left out, or any more important displaced one, may evict.
    fn find_candidates(&mut self, base: &RestartPlan) {
        let evictors: BTreeSet<Class> = base.classes.iter().map(|class| (class.restart, class.priority)).collect();
        let mut found = Vec::new();
        for node in self.cluster.nodes() {
            if !matches!(node.state(), NodeState::Online | NodeState::Cordoned) || self.failure.contains(node.id()) {
                continue;
            }
            for vm in
                node.vms().filter_map(|vm| self.cluster.vm(vm).ok()).filter(|vm| vm.is_on() && vm.is_preemptible())
            {
                let class = vm.effective();
                if class.0 != RestartClass::Never
                    && evictors.iter().any(|by| outranks(self.policy.preemption, *by, class))
                {
                    found.push(vm.id());
                }
            }
        }
        found
            .sort_by(|left, right| (self.class(*left), self.name(*left)).cmp(&(self.class(*right), self.name(*right))));
        self.candidates = found;
    }

    /// What a plan counts for if the victims are among its displaced VMs.
    fn net(&self, plan: &RestartPlan, victims: &BTreeSet<VmId>) -> Net {
        let mut net: Net = plan
            .classes
            .iter()
            .map(|class| (Reverse((class.restart, class.priority)), i64::from(class.placed)))
            .collect();
        for vm in victims {
            let count = net.entry(Reverse(self.class(*vm))).or_default();
            *count = count.saturating_sub(1);
        }
        net
    }

    /// The policy of one try: no evictions, and its share of the work that is left.
    fn part(&self, share: u64) -> Policy {
        let mut policy = self.policy.clone();
        policy.preemption = Preemption::Never;
        policy.budget.plan = self.policy.budget.plan.saturating_sub(self.work).checked_div(share).unwrap_or(0);
        policy
    }

    /// The best plan if all candidates were gone: no plan with evictions places more. `None` where that does not follow,
    /// because a VM that runs can also help: others need it, or a rule measures by it.
    fn ceiling(&mut self, planner: &mut Planner) -> Result<Option<RestartPlan>, PlanError> {
        if self.candidates.iter().any(|vm| self.can_help(*vm)) {
            return Ok(None);
        }
        let mut without = self.cluster.clone();
        self.note_copy();
        for vm in &self.candidates {
            // One that others need cannot be stopped.
            if without.stop_vm(*vm).is_err() {
                return Ok(None);
            }
        }
        let plan = planner.plan_as_it_is(&without, &self.part(2), self.failure, self.control, Detail::Brief)?;
        self.work = self.work.saturating_add(plan.work);
        Ok(Some(plan))
    }

    /// Whether some plan could be better because this VM runs: others need it, a rule measures by it, or it makes what it
    /// needs itself more important.
    fn can_help(&self, vm: VmId) -> bool {
        let measures = |rule: &crate::ids::RuleSlot| {
            self.cluster.rule_record(*rule).is_some_and(|rule| {
                rule.strength == Strength::Required
                    && matches!(
                        rule.body,
                        RuleBody::Spread { .. } | RuleBody::Together { .. } | RuleBody::Follow { .. }
                    )
            })
        };
        let Some(record) = self.cluster.vm_record(vm.slot) else { return true };
        let needed = || record.dependents.iter().any(|other| self.cluster.gives_up_on(*other, vm.slot));
        let gives_up = record.starts_after.iter().any(|edge| edge.on_timeout == OnTimeout::GiveUp);
        gives_up || record.rules.iter().any(measures) || needed()
    }

    fn attempt(&mut self, planner: &mut Planner, victims: BTreeSet<VmId>) -> Result<Attempt, PlanError> {
        self.lift(&victims);
        let policy = self.part(TRY_SHARE);
        let cluster = self.copy.as_ref().unwrap_or(self.cluster);
        let plan = planner.plan_as_it_is(cluster, &policy, self.failure, self.control, Detail::Brief)?;
        // The changes are work, too.
        self.work = self.work.saturating_add(plan.work).saturating_add(1);
        let net = self.net(&plan, &victims);
        Ok(Attempt { victims, plan, net, budget: Some(policy.budget.plan) })
    }

    /// The same with VMs in their places already: only the others are planned for.
    fn attempt_around(
        &mut self,
        planner: &mut Planner,
        victims: BTreeSet<VmId>,
        mut places: Vec<(VmSlot, NodeSlot)>,
    ) -> Result<Attempt, PlanError> {
        self.lift(&victims);
        // The planner puts them there on a copy of its own.
        self.note_copy();
        places.sort_unstable();
        let kept = Kept { places, ..Kept::default() };
        let cluster = self.copy.as_ref().unwrap_or(self.cluster);
        let policy = self.part(TRY_SHARE);
        let plan = planner.keep(cluster, &policy, self.failure, self.control, &kept, Detail::Brief)?;
        self.work = self.work.saturating_add(plan.work).saturating_add(1);
        let net = self.net(&plan, &victims);
        Ok(Attempt { victims, plan, net, budget: None })
    }

    /// Extends an attempt by further victims, or takes some back: what it places stays, but for whoever has to give way to
    /// those who go back. `seats` are more places that are given.
    fn extend(
        &mut self,
        planner: &mut Planner,
        attempt: &Attempt,
        victims: BTreeSet<VmId>,
        seats: &[(VmSlot, NodeSlot)],
    ) -> Result<Attempt, PlanError> {
        let home = |vm: &VmId| self.cluster.vm_record(vm.slot).and_then(|record| record.node);
        let back: BTreeSet<NodeSlot> = attempt.victims.difference(&victims).filter_map(home).collect();
        let goes_back = |vm: VmId| attempt.victims.contains(&vm) && !victims.contains(&vm);
        let stay = attempt.plan.placements.iter().filter(|item| !goes_back(item.vm) && !back.contains(&item.node.slot));
        let places = stay.map(|item| (item.vm.slot, item.node.slot)).chain(seats.iter().copied()).collect();
        self.attempt_around(planner, victims, places)
    }

    /// A plan with fewer victims that places as much, if the checker finds some who need not go; else the attempt itself.
    fn without_unneeded(&mut self, planner: &mut Planner, mut attempt: Attempt) -> Result<Attempt, PlanError> {
        for _ in 0..PRUNINGS {
            let unneeded = self.unneeded(&attempt);
            if unneeded.is_empty() || !self.may_go_on() {
                break;
            }
            let fewer: BTreeSet<VmId> = attempt.victims.difference(&unneeded).copied().collect();
            let next = self.extend(planner, &attempt, fewer, &[])?;
            if attempt.is_better_than(&next) {
                break;
            }
            attempt = next;
        }
        Ok(attempt)
    }

    /// Victims who may not be evicted, or need not go.
    fn unneeded(&self, attempt: &Attempt) -> BTreeSet<VmId> {
        let (placements, evictions) = (placements(&attempt.plan), self.evictions(&attempt.victims));
        let faults = check_evictions(self.cluster, self.policy, self.failure, &placements, &evictions);
        let named = faults.err().unwrap_or_default().into_iter().filter_map(|fault| match fault {
            PlanFault::EvictionUnneeded { vm } | PlanFault::EvictionForbidden { vm, .. } => self.cluster.vm_id(&vm),
            _ => None,
        });
        named.collect()
    }

    fn may_go_on(&self) -> bool {
        self.work < self.policy.budget.plan
    }

    /// Counts a copy of the cluster as work.
    fn note_copy(&mut self) {
        self.work = self.work.saturating_add(u64::from(to_u32(self.cluster.vm_count())));
    }

    /// Has just these victims wait in the copy.
    fn lift(&mut self, victims: &BTreeSet<VmId>) {
        let cluster = self.cluster;
        if self.copy.is_none() {
            self.note_copy();
        }
        let copy = self.copy.get_or_insert_with(|| cluster.clone());
        let mut good = true;
        for vm in self.lifted.symmetric_difference(victims) {
            let Ok(view) = cluster.vm(*vm) else { continue };
            let now = if victims.contains(vm) { waiting(cluster, *vm) } else { Some(view.to_vm()) };
            good &= now.is_none_or(|now| copy.update_vm(*vm, now).is_ok());
        }
        if !good {
            *copy = lifted(cluster, victims);
        }
        self.lifted.clone_from(victims);
    }

    fn evictions(&self, victims: &BTreeSet<VmId>) -> Vec<(VmId, NodeId)> {
        victims.iter().filter_map(|vm| Some((*vm, self.cluster.vm(*vm).ok()?.node()?))).collect()
    }

    /// Whether the plan is feasible, and every eviction allowed and needed.
    fn is_legal(&self, victims: &BTreeSet<VmId>, plan: &RestartPlan) -> bool {
        let (placements, evictions) = (placements(plan), self.evictions(victims));
        check_evictions(self.cluster, self.policy, self.failure, &placements, &evictions).is_ok()
            && check_placements(self.cluster, self.failure, &placements, &evictions).is_ok()
    }

    /// How bad a set of victims is: their number, then how many of the highest class, and so on.
    fn harm(&self, victims: &BTreeSet<VmId>) -> (usize, Vec<(Class, usize)>) {
        let mut per_class: BTreeMap<Reverse<Class>, usize> = BTreeMap::new();
        for vm in victims {
            let count = per_class.entry(Reverse(self.class(*vm))).or_default();
            *count = count.saturating_add(1);
        }
        (victims.len(), per_class.into_iter().map(|(Reverse(class), count)| (class, count)).collect())
    }

    /// Tries every set of victims; says whether the best is proved.
    fn try_all(
        &mut self,
        planner: &mut Planner,
        nobody: Attempt,
        ceiling: Option<&RestartPlan>,
    ) -> Result<(Attempt, bool), PlanError> {
        let count = self.candidates.len();
        let set = |bits: u32| -> BTreeSet<VmId> {
            self.candidates.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, vm)| *vm).collect()
        };
        // Candidates are in order of importance, then of names: so is, among equal harm, the order of the numbers.
        let last = 1_u32.checked_shl(to_u32(count)).unwrap_or(u32::MAX);
        let mut sets: Vec<_> = (1..last).map(|bits| (self.harm(&set(bits)), bits, set(bits))).collect();
        sets.sort_by(|left, right| (&left.0, left.1).cmp(&(&right.0, right.1)));
        let mut proved = nobody.plan.is_optimal();
        let mut best = nobody;
        for (_, _, victims) in sets {
            if ceiling.is_some_and(|ceiling| ceiling.is_optimal() && same_counts(&best.net, ceiling)) {
                break;
            }
            if !self.may_go_on() {
                proved = false;
                break;
            }
            let attempt = self.attempt(planner, victims)?;
            let most = attempt.plan.is_optimal().then(|| attempt.net.clone());
            let better = if !attempt.is_better_than(&best) {
                None
            } else if self.is_legal(&attempt.victims, &attempt.plan) {
                Some(attempt)
            } else {
                self.seat_evictors(planner, &attempt, &best)?
            };
            best = better.unwrap_or(best);
            // Another plan for these victims could be better, or legal, but where this one comes to as much as any.
            proved &= most.is_some_and(|most| compare(&most, &best.net).is_le());
        }
        Ok((best, proved))
    }

    /// A legal plan for the victims of an attempt whose own plan is not: a victim has to go only if somebody more important
    /// starts where it was, so that is tried with one after the other. The best of what is better than `least`.
    fn seat_evictors(
        &mut self,
        planner: &mut Planner,
        attempt: &Attempt,
        least: &Attempt,
    ) -> Result<Option<Attempt>, PlanError> {
        let cluster = self.cluster;
        let displaced = attempt.plan.placements.iter().map(|item| item.vm);
        let displaced: Vec<VmId> = displaced.chain(attempt.plan.unplaced.iter().map(|item| item.vm)).collect();
        let mut seatings: Vec<Vec<(VmSlot, NodeSlot)>> = alloc::vec![Vec::new()];
        for victim in &attempt.victims {
            let Some(home) = cluster.vm_record(victim.slot).and_then(|record| record.node) else { continue };
            let class = self.class(*victim);
            let evicts = |vm: &&VmId| {
                *vm != victim
                    && outranks(self.policy.preemption, self.class(**vm), class)
                    && may_run_on(cluster, vm.slot, home)
            };
            let evictors: Vec<VmSlot> = displaced.iter().filter(evicts).map(|vm| vm.slot).collect();
            let mut longer = Vec::new();
            for seating in &seatings {
                for vm in &evictors {
                    let seat = seating.iter().find(|(seated, _)| seated == vm).map(|(_, node)| *node);
                    let mut next = seating.clone();
                    match seat {
                        None => next.push((*vm, home)),
                        Some(node) if node != home => continue,
                        Some(_) => {}
                    }
                    longer.push(next);
                }
            }
            longer.truncate(SEATINGS);
            seatings = longer;
        }
        let mut best: Option<Attempt> = None;
        for seating in seatings {
            if !self.may_go_on() {
                break;
            }
            let found = self.attempt_around(planner, attempt.victims.clone(), seating)?;
            if found.is_better_than(best.as_ref().unwrap_or(least)) && self.is_legal(&found.victims, &found.plan) {
                best = Some(found);
            }
        }
        Ok(best)
    }

    /// Chooses victims for the VMs left out, node by node, and keeps those that need not go.
    fn try_some(&mut self, planner: &mut Planner, nobody: Attempt) -> Result<(Attempt, bool), PlanError> {
        let mut best = nobody;
        let mut singles = SINGLES;
        while self.may_go_on() {
            let left_out: Vec<VmId> = best.plan.unplaced.iter().map(|unplaced| unplaced.vm).collect();
            let mut improved = self.improve(planner, &best, &left_out)?;
            let each = left_out.iter().filter(|vm| !best.victims.contains(vm) && self.can_evict(**vm));
            let each: Vec<VmId> = each.copied().take(singles).collect();
            let mut each = each.into_iter();
            while let Some(vm) = each.next().filter(|_| improved.is_none() && self.may_go_on()) {
                singles = singles.saturating_sub(1);
                improved = self.improve(planner, &best, &[vm])?;
            }
            match improved {
                Some(attempt) => best = attempt,
                None => break,
            }
        }
        let mut order: Vec<VmId> = best.victims.iter().copied().collect();
        order
            .sort_by(|left, right| (self.class(*right), self.name(*left)).cmp(&(self.class(*left), self.name(*right))));
        for vm in order.into_iter().take(KEEP_TRIES) {
            if !self.may_go_on() {
                break;
            }
            let mut fewer = best.victims.clone();
            // With another one it may have stayed already.
            if !fewer.remove(&vm) {
                continue;
            }
            let attempt = self.extend(planner, &best, fewer.clone(), &[])?;
            let attempt = self.without_unneeded(planner, attempt)?;
            if !best.is_better_than(&attempt) && self.is_legal(&attempt.victims, &attempt.plan) {
                best = attempt;
                continue;
            }
            if !self.may_go_on() {
                break;
            }
            let attempt = self.attempt(planner, fewer)?;
            if !best.is_better_than(&attempt) && self.is_legal(&attempt.victims, &attempt.plan) {
                best = attempt;
            }
        }
        Ok((best, false))
    }

    /// A better attempt with more victims, chosen for some VMs that are left out. The plan is extended with everyone where it
    /// was chosen for, then with the choice left to the planner; last it is made anew.
    fn improve(
        &mut self,
        planner: &mut Planner,
        best: &Attempt,
        left_out: &[VmId],
    ) -> Result<Option<Attempt>, PlanError> {
        let Choice { victims, seats } = self.choose(best, left_out);
        if victims.len() <= best.victims.len() {
            return Ok(None);
        }
        for way in 0..3_u32 {
            let attempt = match way {
                0 => self.extend(planner, best, victims.clone(), &seats)?,
                1 => self.extend(planner, best, victims.clone(), &[])?,
                _ => self.attempt(planner, victims.clone())?,
            };
            let attempt = self.without_unneeded(planner, attempt)?;
            if attempt.is_better_than(best) && self.is_legal(&attempt.victims, &attempt.plan) {
                return Ok(Some(attempt));
            }
            if !self.may_go_on() {
                break;
            }
        }
        Ok(None)
    }

    /// Makes the plan of the best attempt in full, and says of it what it is.
    fn finish(
        &mut self,
        planner: &mut Planner,
        best: Attempt,
        ceiling: Option<&RestartPlan>,
        proved: bool,
    ) -> Result<RestartPlan, PlanError> {
        let Attempt { victims, plan, budget, .. } = best;
        let mut plan = if victims.is_empty() { plan } else { self.in_full(planner, &victims, &plan, budget)? };
        tell_victims(self.cluster, &victims, &mut plan);
        // Other victims, as many and as important, could let rules cost less.
        plan.costs_open |= !victims.is_empty() && !plan.broken_rules.is_empty();
        let mut as_ceiling = ceiling;
        let mut classes = Vec::new();
        for class in &plan.classes {
            let (lifted, ClassCount { displaced, placed, .. }) = without_victims(self.cluster, &victims, *class);
            let most = as_ceiling.and_then(|ceiling| {
                ceiling.classes.iter().find(|other| (other.restart, other.priority) == (class.restart, class.priority))
            });
            let mut bound = most.map_or(displaced, |most| most.bound.min(displaced)).max(placed);
            if proved {
                bound = placed;
            }
            // A bound holds for plans that reach the same counts above: below a class that differs it says nothing.
            let net = i64::from(class.placed).saturating_sub(i64::from(lifted));
            if net != most.map_or(0, |most| i64::from(most.placed)) {
                as_ceiling = None;
            }
            if displaced > 0 {
                classes.push(ClassCount { displaced, placed, bound, ..*class });
            }
        }
        plan.classes = classes;
        if !proved {
            plan.notes.push(Note::VictimsUnproved);
        }
        Ok(plan)
    }

    /// The plan of an attempt again, with everything that is told of a plan.
    fn in_full(
        &mut self,
        planner: &mut Planner,
        victims: &BTreeSet<VmId>,
        brief: &RestartPlan,
        budget: Option<u64>,
    ) -> Result<RestartPlan, PlanError> {
        let cluster = lifted(self.cluster, victims);
        let mut policy = self.part(1);
        if let Some(budget) = budget {
            policy.budget.plan = budget;
            let plan = planner.plan_as_it_is(&cluster, &policy, self.failure, self.control, Detail::Full)?;
            self.work = self.work.saturating_add(plan.work);
            if self.is_legal(victims, &plan) {
                return Ok(plan);
            }
        }
        // Evened out, it no longer needs someone's room: so it stays as it was found.
        let mut places: Vec<(VmSlot, NodeSlot)> =
            brief.placements.iter().map(|item| (item.vm.slot, item.node.slot)).collect();
        places.sort_unstable();
        policy.budget.plan = 0;
        let kept = Kept { places, ..Kept::default() };
        planner.keep(&cluster, &policy, self.failure, self.control, &kept, Detail::Full)
    }
}

fn placements(plan: &RestartPlan) -> Vec<(VmId, NodeId)> {
    plan.placements.iter().map(|item| (item.vm, item.node)).collect()
}

/// What a plan for the cluster in which victims wait for a place says of itself as a plan with evictions, but for the
/// classes.
pub(super) fn tell_victims(cluster: &Cluster, victims: &BTreeSet<VmId>, plan: &mut RestartPlan) {
    let placed: BTreeSet<VmId> = plan.placements.iter().map(|item| item.vm).collect();
    let name = |vm: VmId| cluster.vm_record(vm.slot).map_or("", |record| &record.name);
    let node = |vm: &VmId| Some(Eviction { vm: *vm, node: cluster.vm(*vm).ok()?.node()? });
    plan.evictions = victims.iter().filter_map(node).collect();
    plan.evictions.sort_by(|left, right| name(left.vm).cmp(name(right.vm)));
    plan.notes.retain(|note| !matches!(note, Note::Promoted { vm } if victims.contains(vm)));
    for vm in plan.evictions.iter().map(|eviction| eviction.vm).filter(|vm| !placed.contains(vm)) {
        if let Some(unplaced) = plan.unplaced.iter_mut().find(|unplaced| unplaced.vm == vm) {
            *unplaced = preempted(vm);
        } else {
            plan.unplaced.push(preempted(vm));
        }
        if cluster.effective(vm.slot).0 == RestartClass::Protected {
            plan.notes.push(Note::ProtectedEvicted { vm });
        }
    }
    let key = |vm: VmId| (Reverse(cluster.effective(vm.slot)), name(vm));
    plan.unplaced.sort_by(|left, right| key(left.vm).cmp(&key(right.vm)));
}

/// How many victims were counted as displaced in a class, and the class without them: what is placed is then less the
/// victims that are not placed again.
fn without_victims(cluster: &Cluster, victims: &BTreeSet<VmId>, class: ClassCount) -> (u32, ClassCount) {
    let of_class = |vm: &&VmId| cluster.effective(vm.slot) == (class.restart, class.priority);
    let lifted = to_u32(victims.iter().filter(of_class).count());
    let (displaced, placed) = (class.displaced.saturating_sub(lifted), class.placed.saturating_sub(lifted));
    (lifted, ClassCount { displaced, placed, bound: displaced.max(placed), ..class })
}

/// The counts of a plan of which no more is known than that nothing is displaced besides: each bound is trivial.
pub(super) fn tell_counts(cluster: &Cluster, victims: &BTreeSet<VmId>, plan: &mut RestartPlan) {
    let classes = plan.classes.iter().map(|class| without_victims(cluster, victims, *class).1);
    plan.classes = classes.filter(|class| class.displaced > 0).collect();
    if !victims.is_empty() {
        plan.notes.push(Note::VictimsUnproved);
    }
}

/// The cluster with victims waiting for a place elsewhere.
pub(super) fn lifted(cluster: &Cluster, victims: &BTreeSet<VmId>) -> Cluster {
    lifted_where(cluster, victims, |_| true)
}

/// The same where only of some victims it matters that they do not go back: to say so of one takes as long as the cluster
/// is large.
pub(super) fn lifted_where(cluster: &Cluster, victims: &BTreeSet<VmId>, elsewhere: impl Fn(VmId) -> bool) -> Cluster {
    let mut after = cluster.clone();
    for id in victims {
        let vm = if elsewhere(*id) { waiting(cluster, *id) } else { homeless(cluster, *id) };
        if let Some(vm) = vm {
            // What it says is what the cluster said of it: there is nothing to refuse.
            let _ = after.update_vm(*id, vm);
        }
    }
    after
}

/// A VM that runs as one that waits for a place.
fn homeless(cluster: &Cluster, id: VmId) -> Option<Vm> {
    let view = cluster.vm(id).ok()?;
    view.node()?;
    Some(Vm { node: None, migrating_to: None, power: Some(Power::On), ..view.to_vm() })
}

/// A VM that runs as one that waits for a place elsewhere.
fn waiting(cluster: &Cluster, id: VmId) -> Option<Vm> {
    let home = cluster.vm(id).ok()?.node()?;
    let mut vm = homeless(cluster, id)?;
    let nodes = vm.allowed_nodes.take().unwrap_or_else(|| cluster.nodes().map(NodeRef::id).collect());
    vm.allowed_nodes = Some(nodes.into_iter().filter(|node| *node != home).collect());
    Some(vm)
}

fn preempted(vm: VmId) -> Unplaced {
    Unplaced {
        vm,
        reasons: alloc::vec![ReasonCount { reason: Reason::Preempted, nodes: 0, examples: Vec::new() }],
        message: String::from("evicted to make room for more important VMs, and fits nowhere else"),
    }
}
