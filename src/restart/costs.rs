//! What a plan costs in `relaxed` and `preferred` rules, and moves of placed VMs that lower it.
//!
//! Uses `cluster` (what each rule's excess is), `restart::{scene, plan}`, `placement::{instance, assignment}`. Used by
//! `restart::planner` once it is settled who is placed, and only if such a rule concerns a displaced VM.
//!
//! **The data's path.** The rules of the displaced VMs that do not bind -> places of the plan -> moves of one VM and
//! exchanges of two, each taken if it lowers the cost and keeps the plan legal, until none does or the work is spent ->
//! the rules still broken, as data. What a rule's excess is it says itself (`cluster::excess`); nothing here knows a kind.
//!
//! The cost compares `relaxed` before `preferred`, each as the sum of weight times excess. The search is local: it ends
//! where no single move or exchange helps, which need not be the least cost. Whether it is, `least` finds out.

use super::plan::BrokenRule;
use super::scene::Scene;
use crate::cluster::{Cluster, More, Seen, Strength};
use crate::dense::{IdVec, fits};
use crate::ids::{NodeSlot, RuleSlot, VmSlot};
use crate::placement::assignment::Assignment;
use crate::placement::budget::{Budget, Stop};
use crate::placement::instance::{Instance, TargetIx};
use crate::placement::problem::ItemIx;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// What `relaxed` and `preferred` rules cost, the former first.
pub(super) type Cost = (u128, u128);

/// The rules that cost, by name, and how much each does now.
pub(super) struct Costs<'c> {
    pub(super) cluster: &'c Cluster,
    scene: &'c Scene,
    pub(super) rules: Vec<RuleSlot>,
    excess: Vec<u64>,
    /// Per item the positions of its rules in `rules`.
    pub(super) of_item: IdVec<ItemIx, Vec<usize>>,
}

impl<'c> Costs<'c> {
    /// Those of some rules that do not bind; nothing if there are none.
    pub(super) fn new(cluster: &'c Cluster, scene: &'c Scene, rules: &[RuleSlot]) -> Option<Self> {
        let soft = |rule: &RuleSlot| cluster.rule_record(*rule).is_some_and(|rule| rule.strength != Strength::Required);
        let mut rules: Vec<RuleSlot> = rules.iter().copied().filter(soft).collect();
        if rules.is_empty() {
            return None;
        }
        rules.sort_by_key(|rule| cluster.rule_record(*rule).map(|rule| &*rule.name));
        let of_item = scene.items.iter().map(|vm| {
            let of = |rule: &RuleSlot| {
                cluster.vm_record(*vm).is_some_and(|vm| vm.rules.contains(rule) || vm.leads.contains(rule))
            };
            rules.iter().enumerate().filter(|(_, rule)| of(rule)).map(|(at, _)| at).collect()
        });
        let of_item = of_item.collect();
        Some(Self { cluster, scene, excess: alloc::vec![0; rules.len()], rules, of_item })
    }

    /// How far a rule is broken with the items on these nodes.
    pub(super) fn measure(&self, rule: RuleSlot, node: &dyn Fn(ItemIx) -> Option<NodeSlot>) -> u64 {
        self.seen(node, |seen| self.cluster.excess_seen(rule, seen))
    }

    /// How far it is broken at least once more of its members are placed.
    pub(super) fn measure_least(
        &self,
        rule: RuleSlot,
        node: &dyn Fn(ItemIx) -> Option<NodeSlot>,
        more: &More<'_>,
    ) -> u64 {
        self.seen(node, |seen| self.cluster.least_excess(rule, seen, more))
    }

    /// The items that a rule counts.
    pub(super) fn members(&self, rule: RuleSlot) -> impl Iterator<Item = ItemIx> + use<'_> {
        let members = self.cluster.rule_record(rule).map_or(&[][..], |rule| &rule.members);
        members.iter().filter_map(|vm| self.scene.item_of(*vm))
    }

    fn seen<T>(&self, node: &dyn Fn(ItemIx) -> Option<NodeSlot>, measure: impl FnOnce(Seen<'_>) -> T) -> T {
        let places = |vm: VmSlot| match self.scene.item_of(vm) {
            Some(item) => node(item).into_iter().collect(),
            None => {
                self.cluster.vm_record(vm).map_or_else(SmallVec::new, |record| self.scene.places(self.cluster, record))
            }
        };
        let takes = |node: NodeSlot| self.cluster.room_index().contains(node) && !self.scene.is_failed(node);
        measure(Seen { places: &places, takes: &takes })
    }

    /// What the rules cost if each is broken so far.
    pub(super) fn weigh(&self, excess: &[u64]) -> Cost {
        let mut cost: Cost = (0, 0);
        for (rule, excess) in self.rules.iter().zip(excess) {
            match self.cluster.rule_record(*rule).map(|rule| rule.strength) {
                Some(Strength::Relaxed) => cost.0 = cost.0.saturating_add(u128::from(*excess)),
                Some(Strength::Preferred { weight }) => {
                    cost.1 = cost.1.saturating_add(u128::from(*excess).saturating_mul(u128::from(weight)));
                }
                Some(Strength::Required) | None => {}
            }
        }
        cost
    }

    /// Measures every rule with the items on these nodes.
    pub(super) fn set(&mut self, node: &dyn Fn(ItemIx) -> Option<NodeSlot>) {
        self.excess = self.rules.iter().map(|rule| self.measure(*rule, node)).collect();
    }

    /// What the rules cost as last measured.
    pub(super) fn total(&self) -> Cost {
        self.weigh(&self.excess)
    }

    /// The rules that are broken as last measured, by name, with the placed VMs concerned.
    pub(super) fn broken(&self, node: &dyn Fn(ItemIx) -> Option<NodeSlot>) -> Vec<BrokenRule> {
        let mut broken = Vec::new();
        for (rule, excess) in self.rules.iter().zip(&self.excess).filter(|(_, excess)| **excess > 0) {
            let Some(record) = self.cluster.rule_record(*rule) else { continue };
            let placed = |vm: &&VmSlot| self.scene.item_of(**vm).and_then(node).is_some();
            let mut vms: Vec<VmSlot> = record.members.iter().filter(placed).copied().collect();
            vms.sort_by_key(|vm| self.cluster.vm_record(*vm).map(|vm| &*vm.name));
            broken.push(BrokenRule {
                rule: self.cluster.rule_id_of(*rule),
                strength: record.strength,
                excess: *excess,
                vms: vms.into_iter().map(|vm| self.cluster.vm_id_of(vm)).collect(),
            });
        }
        broken
    }

    /// Takes the assignment as it is if it costs less than before.
    fn better(&mut self, instance: &Instance<'_, '_>, assignment: &Assignment, moved: &[ItemIx]) -> bool {
        let before = self.total();
        self.take_if(instance, assignment, moved, |now| now < before)
    }

    /// Takes the assignment as it is if it costs no more than before.
    pub(super) fn no_worse(&mut self, instance: &Instance<'_, '_>, assignment: &Assignment, moved: ItemIx) -> bool {
        let before = self.total();
        self.take_if(instance, assignment, &[moved], |now| now <= before)
    }

    fn take_if(
        &mut self,
        instance: &Instance<'_, '_>,
        assignment: &Assignment,
        moved: &[ItemIx],
        is_good: impl Fn(Cost) -> bool,
    ) -> bool {
        let node = |item: ItemIx| assignment.place_of[item].map(|target| instance.node(target));
        let mut excess = self.excess.clone();
        for at in moved.iter().flat_map(|item| self.of_item[*item].iter()) {
            if let (Some(entry), Some(rule)) = (excess.get_mut(*at), self.rules.get(*at)) {
                *entry = self.measure(*rule, &node);
            }
        }
        let good = is_good(self.weigh(&excess));
        if good {
            self.excess = excess;
        }
        good
    }

    /// Lowers the cost by moves and exchanges until none helps, or the work is spent.
    pub(super) fn improve(
        &mut self,
        instance: &Instance<'_, '_>,
        assignment: &mut Assignment,
        budget: &mut Budget<'_>,
    ) -> Result<(), Stop> {
        let touched: Vec<ItemIx> =
            self.of_item.enumerate().filter(|(_, rules)| !rules.is_empty()).map(|(item, _)| item).collect();
        let mut moved = true;
        while moved && self.total() > (0, 0) {
            moved = false;
            for item in &touched {
                if self.of_item[*item].iter().all(|at| self.excess.get(*at).is_none_or(|excess| *excess == 0)) {
                    continue;
                }
                moved |= self.move_one(instance, assignment, *item, budget)?
                    || self.exchange(instance, assignment, *item, budget)?;
            }
        }
        Ok(())
    }

    fn move_one(
        &mut self,
        instance: &Instance<'_, '_>,
        assignment: &mut Assignment,
        item: ItemIx,
        budget: &mut Budget<'_>,
    ) -> Result<bool, Stop> {
        let Some(from) = assignment.place_of[item] else { return Ok(false) };
        let mut best = None;
        for target in instance.targets().filter(|target| *target != from) {
            budget.spend(1)?;
            assignment.remove(instance, item);
            let put = put(instance, assignment, item, target);
            if put && assignment.legal(instance) && self.better(instance, assignment, &[item]) {
                best = Some(target);
            }
            assignment.remove(instance, item);
            assignment.place(instance, item, best.unwrap_or(from));
        }
        Ok(best.is_some())
    }

    fn exchange(
        &mut self,
        instance: &Instance<'_, '_>,
        assignment: &mut Assignment,
        item: ItemIx,
        budget: &mut Budget<'_>,
    ) -> Result<bool, Stop> {
        for other in instance.items().filter(|other| *other != item) {
            budget.spend(1)?;
            let (Some(from), Some(to)) = (assignment.place_of[item], assignment.place_of[other]) else { continue };
            if from == to {
                continue;
            }
            assignment.remove(instance, item);
            assignment.remove(instance, other);
            if put(instance, assignment, item, to)
                && put(instance, assignment, other, from)
                && assignment.legal(instance)
                && self.better(instance, assignment, &[item, other])
            {
                return Ok(true);
            }
            assignment.remove(instance, item);
            assignment.remove(instance, other);
            assignment.place(instance, item, from);
            assignment.place(instance, other, to);
        }
        Ok(false)
    }
}

/// Puts an item on a target if it fits and may be there; rules among items are judged by the whole afterwards.
fn put(instance: &Instance<'_, '_>, assignment: &mut Assignment, item: ItemIx, target: TargetIx) -> bool {
    let may = instance.is_eligible(item, target) && fits(&instance.problem.need[item], &assignment.room[target]);
    if may {
        assignment.place(instance, item, target);
    }
    may
}
