//! Which items and which targets an exact search need not tell apart.
//!
//! Uses `placement::{instance, rules}`. Used by `placement::exact`.
//! Data: `Instance` -> [`Symmetry::find`] -> groups of twins and classes of targets.
//!
//! *Twins* are items that may be exchanged in any assignment: equal need, class, eligible set, constraints (with the
//! same side, and of a kind whose members are alike), prerequisites and dependents.
//! Targets of one *class* may be exchanged, with all that is placed on them, as long as the constraints of the
//! problem make no difference between them: same eligible sets, and for each constraint the same domain, or domains
//! of their own with the same members staying. Whether their room is the same changes during a search and is compared
//! there.

use super::instance::{Instance, TargetIx};
use super::problem::ItemIx;
use super::rules;
use crate::dense::{IdVec, dense_id, to_u32};
use crate::ids::{DomainKey, LevelIx};
use alloc::vec::Vec;

dense_id! {
    /// A group of twins.
    pub(crate) struct TwinsIx;
}

/// The symmetries of an instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symmetry {
    pub(crate) twins: IdVec<ItemIx, TwinsIx>,
    pub(crate) twins_count: usize,
    pub(crate) target_class: IdVec<TargetIx, u32>,
    /// Whether any of the items is in a constraint: then targets are alike only while both are empty.
    pub(crate) constrained: bool,
}

impl Symmetry {
    /// Finds the symmetries among `items` and all targets.
    pub(crate) fn find(&mut self, instance: &Instance<'_, '_>, items: &[ItemIx]) {
        let problem = instance.problem;
        self.constrained = items.iter().any(|&item| !problem.member_of[item].is_empty());
        self.twins.reset(TwinsIx(0), problem.class.len());
        let mut first_of: Vec<ItemIx> = Vec::new();
        for &item in items {
            let known = first_of.iter().position(|&other| twins(instance, item, other));
            let group = known.unwrap_or_else(|| {
                first_of.push(item);
                first_of.len().saturating_sub(1)
            });
            self.twins[item] = TwinsIx(to_u32(group));
        }
        self.twins_count = first_of.len();

        // Domains of constraints, with the number of targets in them.
        let mut crowd: Vec<(LevelIx, DomainKey)> = Vec::new();
        let mut levels: Vec<LevelIx> = problem.constraints.iter().filter_map(rules::level).collect();
        levels.sort_unstable();
        levels.dedup();
        for &level in &levels {
            crowd.extend(instance.targets().map(|target| (level, problem.levels[level][instance.node(target)])));
        }
        crowd.sort_unstable();
        let alone = |level: LevelIx, domain: DomainKey| {
            let from = crowd.partition_point(|entry| *entry < (level, domain));
            crowd.get(from.saturating_add(1)).is_none_or(|next| *next != (level, domain))
        };
        self.target_class.reset(0, problem.nodes.len());
        let mut representatives: Vec<TargetIx> = Vec::new();
        for target in instance.targets() {
            let known = representatives.iter().position(|&other| targets_alike(instance, target, other, alone));
            let class = known.unwrap_or_else(|| {
                representatives.push(target);
                representatives.len().saturating_sub(1)
            });
            self.target_class[target] = to_u32(class);
        }
    }
}

fn twins(instance: &Instance<'_, '_>, left: ItemIx, right: ItemIx) -> bool {
    let problem = instance.problem;
    problem.need[left] == problem.need[right]
        && problem.class[left] == problem.class[right]
        && problem.eligible[left] == problem.eligible[right]
        && problem.member_of[left] == problem.member_of[right]
        && problem.member_of[left].iter().all(|part| rules::traits(&problem.constraints[part.constraint]).members_alike)
        && problem.prerequisites[left] == problem.prerequisites[right]
        && instance.dependents[left] == instance.dependents[right]
}

fn targets_alike(
    instance: &Instance<'_, '_>,
    left: TargetIx,
    right: TargetIx,
    alone: impl Fn(LevelIx, DomainKey) -> bool + Copy,
) -> bool {
    let problem = instance.problem;
    instance.eligible.iter().all(|set| set.contains(left) == set.contains(right))
        && problem
            .constraints
            .iter()
            .all(|constraint| rules::nodes_alike(problem, constraint, instance.node(left), instance.node(right), alone))
}
