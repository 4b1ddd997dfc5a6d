//! Spare nodes first, then the strategy: what is left of the objective once it is settled who is placed and what rules
//! cost.
//!
//! Uses `placement::{instance, assignment}`, `restart::costs`. Used by `restart::planner` after the solver, which looks at
//! counts alone. (Where everything is placed at once, the nodes are chosen by this from the start.)
//!
//! One VM at a time moves to a better target, as long as the plan stays legal and rules cost no more: to a spare node
//! from one that is none; else, among nodes of one sort, to where more is left beside it than where it is (`spread`),
//! or less (`pack`), by the kind of which the smallest share is left. Of one kind each move to spread raises the lower of two
//! amounts left, and each one to pack the higher, so it ends; and the work is limited in any case: what it does not come
//! to stays as it is.

use super::costs::Costs;
use crate::cluster::{Cluster, Role};
use crate::dense::{IdVec, fits, least_left};
use crate::placement::assignment::Assignment;
use crate::placement::budget::{Budget, Stop};
use crate::placement::instance::{Instance, TargetIx};
use crate::placement::problem::ItemIx;
use crate::policy::Strategy;

/// How good a target is for an item that would leave `left` there: spare nodes are better than others.
type Grade = (bool, u64);

/// Moves what is placed to better targets; says whether anything moved.
pub(super) fn tidy(
    cluster: &Cluster,
    instance: &Instance<'_, '_>,
    assignment: &mut Assignment,
    mut costs: Option<&mut Costs<'_>>,
    strategy: Strategy,
    budget: &mut Budget<'_>,
) -> Result<bool, Stop> {
    let is_spare =
        |target: TargetIx| cluster.node_record(instance.node(target)).is_some_and(|record| record.role == Role::Spare);
    let spare: IdVec<TargetIx, bool> = instance.targets().map(is_spare).collect();
    let mut any = false;
    loop {
        let mut moved = false;
        for item in instance.items() {
            let Some(from) = assignment.place_of[item] else { continue };
            let need = &instance.problem.need[item];
            assignment.remove(instance, item);
            let grade = |assignment: &Assignment, target: TargetIx| -> Grade {
                let weight = &cluster.unit_share_rows()[instance.node(target)];
                let left = least_left(need, &assignment.room[target], weight);
                (spare[target], if strategy == Strategy::Spread { left } else { !left })
            };
            let (mut best, mut here) = (None, grade(assignment, from));
            for target in instance.targets().filter(|target| *target != from) {
                if let Err(stop) = budget.spend(1) {
                    assignment.place(instance, item, best.unwrap_or(from));
                    return if stop == Stop::Spent { Ok(any || best.is_some()) } else { Err(stop) };
                }
                if !fits(need, &assignment.room[target]) || !instance.is_eligible(item, target) {
                    continue;
                }
                let there = grade(assignment, target);
                if there > here && is_good(instance, assignment, &mut costs, item, target) {
                    (best, here) = (Some(target), there);
                }
            }
            assignment.place(instance, item, best.unwrap_or(from));
            moved |= best.is_some();
        }
        if !moved {
            return Ok(any);
        }
        any = true;
    }
}

/// Whether an item that is nowhere may go to a target where it fits, at no more cost. Leaves it nowhere; costs are then
/// as they would be there.
fn is_good(
    instance: &Instance<'_, '_>,
    assignment: &mut Assignment,
    costs: &mut Option<&mut Costs<'_>>,
    item: ItemIx,
    target: TargetIx,
) -> bool {
    assignment.place(instance, item, target);
    let good = assignment.legal(instance)
        && costs.as_deref_mut().is_none_or(|costs| costs.no_worse(instance, assignment, item));
    assignment.remove(instance, item);
    good
}
