//! One scenario of a verdict: whether all VMs that concern it can be placed after a failure, and whether given places
//! will do.
//!
//! Uses the parts of the planner. Used by `guarantee`, so that a verdict and a plan speak of the same thing.
//!
//! The same scene, constraints, room and solver as a restart plan, with two differences: VMs that the verdict does not
//! concern vanish with their nodes, and only everything is an answer, so that all VMs are one class.

use super::planner::Planner;
use super::quick::Task;
use super::targets;
use crate::cluster::{Cluster, Priority, RestartClass};
use crate::dense::fits;
use crate::failure::Failure;
use crate::ids::{NodeSlot, VmSlot};
use crate::placement::budget::{Budget, Cancelled};
use crate::placement::decide::{Decision, decide};
use crate::policy::Strategy;
use alloc::vec::Vec;

/// Whom a verdict concerns: protected VMs of at least some priority, but for those left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Concern {
    pub(crate) min_priority: Option<Priority>,
    /// Sorted.
    pub(crate) left_out: Vec<VmSlot>,
}

impl Concern {
    /// Whether a VM is one of them; whether it runs is not asked.
    #[inline]
    pub(crate) fn includes(&self, cluster: &Cluster, vm: VmSlot) -> bool {
        self.includes_one_of(cluster.effective(vm), vm)
    }

    /// The same of a VM of this effective class and priority.
    #[inline]
    pub(crate) fn includes_one_of(&self, (class, priority): (RestartClass, Priority), vm: VmSlot) -> bool {
        class == RestartClass::Protected
            && self.min_priority.is_none_or(|least| priority >= least)
            && (self.left_out.is_empty() || self.left_out.binary_search(&vm).is_err())
    }
}

/// Where places are looked for.
pub(crate) struct Within<'w> {
    /// On these nodes.
    pub(crate) node: &'w dyn Fn(NodeSlot) -> bool,
    /// Whether it is further limited where a VM may go,
    pub(crate) limits: &'w dyn Fn(VmSlot) -> bool,
    /// and then to these nodes.
    pub(crate) suits: &'w dyn Fn(VmSlot, NodeSlot) -> bool,
}

/// What was found for a scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Everything has a place: see [`Planner::found_places`].
    Placed,
    /// Proved: not everything can have one.
    Impossible,
    /// The budget ended first.
    Open,
}

impl Planner {
    /// Looks for places for all VMs of concern that a failure displaces, where `within` allows, if it is given (that there
    /// are none then says nothing of other places). Unreachable nodes are part of the failure where they should count as
    /// failed.
    pub(crate) fn scenario(
        &mut self,
        cluster: &Cluster,
        concern: &Concern,
        failure: &Failure,
        within: Option<&Within<'_>>,
        budget: &mut Budget<'_>,
    ) -> Result<Found, Cancelled> {
        if !self.set_scenario(cluster, concern, failure) {
            return Ok(Found::Impossible);
        }
        if within.is_none() {
            let problem = self.parts.lend(cluster, cluster.free_rows(), &[], 1);
            self.states.reset(&problem);
            let strategy = Strategy::Spread;
            let complete = self.quick.place_all(
                Task { cluster, scene: &self.scene, parts: &self.parts, problem: &problem, strategy },
                &mut self.overlay,
                &mut self.states,
                &mut self.places,
            );
            self.parts.take_back(problem);
            match budget.spend(self.quick.work()) {
                Err(crate::placement::budget::Stop::Cancelled) => return Err(Cancelled),
                Err(crate::placement::budget::Stop::Spent) if !complete => return Ok(Found::Open),
                _ => {}
            }
            if complete {
                return Ok(Found::Placed);
            }
            self.overlay.set(cluster, &self.scene, failure.nodes());
        }
        self.complete_scenario(cluster);
        let mut nodes = targets::targets(cluster, &self.scene);
        if let Some(within) = within {
            nodes.retain(|node| (within.node)(*node));
        }
        let room = targets::room(cluster, &self.overlay);
        let room = room.as_ref().unwrap_or_else(|| cluster.free_rows());
        let mut problem = self.parts.lend(cluster, room, &nodes, 1);
        targets::enter_eligible(cluster, &self.scene, &self.parts, &mut problem);
        if let Some(within) = within {
            targets::narrow(&self.scene, within, &mut problem);
        }
        let decision = decide(&problem, &mut self.scratch, budget);
        self.parts.take_back(problem);
        Ok(match decision? {
            Decision::Placed(places) => {
                self.places = places;
                Found::Placed
            }
            Decision::Impossible => Found::Impossible,
            Decision::Open => Found::Open,
        })
    }

    /// The places that the last scenario found.
    pub(crate) fn found_places(&self) -> impl Iterator<Item = (VmSlot, NodeSlot)> + '_ {
        self.scene.items.iter().zip(self.places.iter()).filter_map(|(vm, node)| node.map(|node| (*vm, node)))
    }

    /// Whether all VMs of concern that a failure displaces can be where `place` has them: alive targets with room,
    /// labels, allowed nodes, all required rules.
    pub(crate) fn holds_together(
        &mut self,
        cluster: &Cluster,
        concern: &Concern,
        failure: &Failure,
        place: impl Fn(VmSlot) -> Option<NodeSlot>,
    ) -> bool {
        if !self.set_scenario(cluster, concern, failure) {
            return false;
        }
        self.complete_scenario(cluster);
        let problem = self.parts.lend(cluster, cluster.free_rows(), &[], 1);
        self.states.reset(&problem);
        let mut good = true;
        for (item, slot) in self.scene.items.enumerate() {
            let Some(node) = place(*slot) else {
                good = false;
                break;
            };
            let need = &problem.need[item];
            good = !self.scene.is_failed(node)
                && cluster.room_index().contains(node)
                && fits(need, self.overlay.free(cluster, node))
                && cluster
                    .vm_record(*slot)
                    .is_some_and(|vm| super::eligible::is_eligible(cluster, vm, self.parts.leaders(item), node));
            if !good {
                break;
            }
            self.overlay.take::<0>(cluster, node, need);
            self.states.place(&problem, item, node);
        }
        good = good && self.states.legal(&problem);
        self.parts.take_back(problem);
        good
    }

    /// Sets scene, constraints and room; `false` if some VM needs another that will not run.
    fn set_scenario(&mut self, cluster: &Cluster, concern: &Concern, failure: &Failure) -> bool {
        if self.scene.set_for(cluster, failure, Some(concern)).is_err() {
            return false;
        }
        self.parts.set(cluster, &mut self.scene);
        self.overlay.set(cluster, &self.scene, failure.nodes());
        self.parts.missing.is_empty()
    }

    /// Adds what the quick way does without.
    fn complete_scenario(&mut self, cluster: &Cluster) {
        self.parts.complete(cluster, &mut self.scene);
        self.parts.one_class();
    }
}
