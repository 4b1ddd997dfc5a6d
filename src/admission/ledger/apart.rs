//! VMs that `separate` rules keep apart: what a rule says of plans, read from the cluster as it is.
//!
//! Uses `cluster`, `ledger::{class, plain}`. Used by `ledger` wherever a VM gets a target, comes or goes, and by
//! `admission::quick` for the node that a VM starts on.
//!
//! **Where plan by plan is enough.** In banks of which no two meet in one domain of the rule's level, plans of different
//! units never share a domain. So each plan alone must keep the rule: beside the VMs that run and do not fail with the unit,
//! and within itself. A VM that starts in a domain, or moves there, is one more that runs there, for the plans of all units
//! but its own; one that leaves is one less, which harms none.
//!
//! **Where it is not**, every domain that some plan puts a member into must be able to hold all members that may ever be
//! there at once: those that are there, or are on their way there, and those that any plan of any bank puts there. Whatever
//! plans are in force, no more come. A domain that no plan puts a member into asks nothing.
//!
//! **Cost.** The rule's members, once for each node that is looked at. VMs of larger rules than [`MOST_MEMBERS`] are not
//! followed.

use super::class::{Bank, ClassLedger};
use crate::cluster::{Cluster, RuleBody, RuleRecord, Strength, VmRecord, VmTraits};
use crate::guarantee::{NOWHERE, UnitIx};
use crate::ids::{DomainKey, LevelIx, NodeSlot, VmSlot};
use smallvec::SmallVec;

/// A rule with more members than this is left to verdicts.
pub(super) const MOST_MEMBERS: usize = 64;

/// A `separate` rule as one of its members sees it.
#[derive(Clone, Copy)]
struct Separate<'r> {
    rule: &'r RuleRecord,
    level: LevelIx,
    /// At most so many in one domain; `None`: none of another side.
    limit: Option<u32>,
}

impl<'r> Separate<'r> {
    fn new(rule: &'r RuleRecord) -> Option<Self> {
        match &rule.body {
            RuleBody::Separate { level, max_per_domain } => {
                Some(Self { rule, level: *level, limit: Some(*max_per_domain) })
            }
            RuleBody::Sides { level, .. } => Some(Self { rule, level: *level, limit: None }),
            _ => None,
        }
    }

    /// The other members that are in a VM's way: all, or those of other sides.
    fn others(self, vm: VmSlot) -> impl Iterator<Item = VmSlot> + use<'r> {
        let sides: &[_] = if let RuleBody::Sides { sides, .. } = &self.rule.body { sides } else { &[] };
        let own = sides.iter().find(|side| side.contains(&vm));
        let in_the_way = move |other: &VmSlot| *other != vm && own.is_none_or(|own| !own.contains(other));
        self.rule.members.iter().copied().filter(in_the_way)
    }

    const fn allows(self, others: u32) -> bool {
        match self.limit {
            Some(limit) => others < limit,
            None => others == 0,
        }
    }
}

/// The `separate` rules of a VM that are not merely preferred.
fn separates<'c>(cluster: &'c Cluster, record: &'c VmRecord) -> impl Iterator<Item = Separate<'c>> {
    let rules = record.rules.iter().filter_map(|rule| cluster.rule_record(*rule));
    rules.filter(|rule| !matches!(rule.strength, Strength::Preferred { .. })).filter_map(Separate::new)
}

/// Those that plans must keep.
fn required(cluster: &Cluster, vm: VmSlot) -> impl Iterator<Item = Separate<'_>> {
    let record = cluster.vm_record(vm).filter(|_| cluster.facts(vm).traits.any(VmTraits::RULES));
    record
        .into_iter()
        .flat_map(|record| separates(cluster, record))
        .filter(|separate| separate.rule.strength == Strength::Required)
}

/// Whether a `separate` rule bars a VM from a node, in whose domain it is not yet, as VMs run now, relaxed rules included:
/// whether it would be broken further.
pub(crate) fn is_barred(cluster: &Cluster, vm: VmSlot, record: &VmRecord, node: NodeSlot) -> bool {
    separates(cluster, record).any(|separate| {
        let domain = cluster.levels.domain(separate.level, node);
        let here = |other: &VmSlot| counts_in(cluster, *other, separate.level, domain);
        let others = separate.others(vm).filter(here).count();
        if separate.limit.is_none() {
            // Beside one of its own side it adds no side.
            let own = || separate.rule.members.iter().filter(|other| **other != vm && here(other)).count() > others;
            return others > 0 && !own();
        }
        !separate.allows(u32::try_from(others).unwrap_or(u32::MAX))
    })
}

/// Whether all `separate` rules of a VM are about single nodes: a move to another node is then a move to another domain, which
/// [`is_barred`] judges as if the VM came from nowhere.
pub(crate) fn is_apart_by_node(cluster: &Cluster, record: &VmRecord) -> bool {
    separates(cluster, record).all(|separate| separate.level == cluster.levels.node_level())
}

/// Whether a VM counts in a domain.
fn counts_in(cluster: &Cluster, vm: VmSlot, level: LevelIx, domain: DomainKey) -> bool {
    cluster.places(vm).iter().any(|place| cluster.levels.domain(level, *place) == domain)
}

/// A VM that comes to a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) vm: VmSlot,
    pub(super) node: NodeSlot,
    /// Whether it fails with that node.
    pub(super) lives_there: bool,
}

impl ClassLedger {
    /// Whether plans of different units never share a domain of a level, or are never in force together.
    fn goes_by_plan(&self, cluster: &Cluster, level: LevelIx) -> bool {
        self.units.losses() == 1 || level == cluster.levels.node_level() || self.respected.contains(&level)
    }

    /// Whether a VM of a unit may have this target beside those that run, and those of its unit in their targets; and beside
    /// one that is about to come.
    pub(super) fn keeps_apart(
        &self,
        cluster: &Cluster,
        bank: &Bank,
        (vm, unit): (VmSlot, UnitIx),
        node: NodeSlot,
        arrival: Option<Arrival>,
    ) -> bool {
        required(cluster, vm).all(|separate| {
            let domain = cluster.levels.domain(separate.level, node);
            let is_here = |node: NodeSlot| cluster.levels.domain(separate.level, node) == domain;
            let by_plan = self.goes_by_plan(cluster, separate.level);
            let others = separate.others(vm).filter(|other| {
                let arrives = arrival.filter(|arrival| arrival.vm == *other && is_here(arrival.node));
                if arrives.is_some_and(|arrival| !by_plan || !self.fails_along(bank, unit, arrival)) {
                    return true;
                }
                if !by_plan {
                    let may_come = || self.banks.iter().filter_map(|bank| self.target_of(bank, *other)).any(is_here);
                    return counts_in(cluster, *other, separate.level, domain) || may_come();
                }
                let home = cluster.vm_record(*other).filter(|other| other.on).and_then(|other| other.node);
                if home.is_some_and(|home| self.unit(bank, home) == unit) {
                    // It fails, too, and is where it goes.
                    return self.target_of(bank, *other).is_some_and(is_here);
                }
                counts_in(cluster, *other, separate.level, domain)
            });
            separate.allows(u32::try_from(others.count()).unwrap_or(u32::MAX))
        })
    }

    /// Where a bank has a VM that the class concerns.
    fn target_of(&self, bank: &Bank, vm: VmSlot) -> Option<NodeSlot> {
        let target = bank.targets.lookup(vm).copied().filter(|target| *target != NOWHERE);
        self.home_of(vm).and(target)
    }

    fn fails_along(&self, bank: &Bank, unit: UnitIx, arrival: Arrival) -> bool {
        arrival.lives_there && self.unit(bank, arrival.node) == unit
    }

    /// Whether every plan of other units goes well with a VM that comes to a node.
    pub(super) fn lets_in(&self, cluster: &Cluster, arrival: Arrival) -> bool {
        self.disturbed(cluster, arrival.vm, arrival.node, Some(arrival)).is_empty()
    }

    /// After a VM has come: takes the targets of those away that cannot go there any more. `settle` finds others.
    pub(super) fn make_way(&mut self, cluster: &Cluster, vm: VmSlot) {
        for node in cluster.places(vm) {
            for (at, other, unit, target) in self.disturbed(cluster, vm, node, None) {
                self.unclaim(at, unit, other, target, cluster);
                self.without.push((at, other));
            }
        }
    }

    /// VMs kept apart from one that is on a node, or comes there, whose targets are in its domain and will not do: bank, VM,
    /// unit, target.
    fn disturbed(
        &self,
        cluster: &Cluster,
        vm: VmSlot,
        node: NodeSlot,
        arrival: Option<Arrival>,
    ) -> SmallVec<[(usize, VmSlot, UnitIx, NodeSlot); 4]> {
        let mut found: SmallVec<[(usize, VmSlot, UnitIx, NodeSlot); 4]> = SmallVec::new();
        for separate in required(cluster, vm) {
            let domain = cluster.levels.domain(separate.level, node);
            for other in separate.others(vm) {
                let Some(home) = self.home_of(other) else { continue };
                for (at, bank) in self.banks.iter().enumerate() {
                    let Some(target) = self.target_of(bank, other) else { continue };
                    let unit = self.unit(bank, home);
                    // Two VMs may share several rules.
                    let known = || found.iter().any(|(known, vm, ..)| (*known, *vm) == (at, other));
                    if cluster.levels.domain(separate.level, target) == domain
                        && !known()
                        && !self.keeps_apart(cluster, bank, (other, unit), target, arrival)
                    {
                        found.push((at, other, unit, target));
                    }
                }
            }
        }
        found
    }
}
