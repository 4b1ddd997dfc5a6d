//! The planner that keeps the promise: the certificate's places for its VMs, and everyone else around them.
//!
//! Uses `guarantee::{certificate, cover, needs}`, `restart` (the planner). Called by embedders.
//!
//! While further losses are covered, others get only room that no plan of an untaken bank claims: of each node the largest
//! claim of any one unit stays free. A best-effort VM that a required rule ties to a VM of the certificate is kept back then,
//! since a place for it could spoil a promised one; at the last loss only where it did. Where the certificate evicts,
//! whoever stands in the way of its places is stopped, and may be placed elsewhere like all others. Once nothing
//! further is covered, the planner's own plan replaces this one where it gives every promised VM a place, evicts none of them
//! for good, and is better: more placed, class by class, less what is evicted for good; or as much with fewer victims.

use super::certificate::{Certificate, CertificateError};
use super::cover::Cover;
use super::evict;
use super::needs::held;
use crate::cluster::{Cluster, NodeState, Priority, RestartClass, RuleBody, RuleRecord, Strength, VmRef};
use crate::dense::{DenseId, Rows};
use crate::failure::Failure;
use crate::ids::{NodeSlot, VmId, VmSlot};
use crate::placement::budget::Control;
use crate::policy::{Policy, Preemption};
use crate::restart::{Kept, PlanError, Planner, RestartPlan, check_placements};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Why there is no plan that keeps a promise.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// The certificate does not speak of this.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// There is no plan at all.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl KeepError {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Certificate(error) => error.code(),
            Self::Plan(error) => error.code(),
        }
    }
}

impl Planner {
    /// Plans for a first loss as the certificate promises: every VM that it speaks of has its place, whatever else is
    /// displaced. Never worse than what was promised.
    ///
    /// # Errors
    /// A certificate for another state of the cluster, or a loss that it does not cover.
    ///
    /// ```
    /// use lifeboat::{Cluster, Failure, Node, Planner, Policy, ResourceKinds, Vm, verify};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, [""; 0])?;
    /// let one = cluster.add_node(Node::named("one").capacity([4096]))?;
    /// let two = cluster.add_node(Node::named("two").capacity([4096]))?;
    /// let vm = cluster.add_vm(Vm::named("db").demand([1024]).on(one))?;
    /// let policy = Policy::default();
    /// let verdict = verify(&cluster, &policy)?;
    /// let certificate = verdict.certificates().next().ok_or("it holds")?;
    /// let plan = Planner::new().restart_with(certificate, &cluster, &policy, &Failure::of([one]))?;
    /// assert_eq!((plan.placements()[0].vm, plan.placements()[0].node), (vm, two));
    /// # Ok(())
    /// # }
    /// ```
    pub fn restart_with(
        &mut self,
        certificate: &Certificate,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
    ) -> Result<RestartPlan, KeepError> {
        let mut cover = certificate.begin(cluster)?;
        self.restart_covered(&mut cover, cluster, policy, failure)
    }

    /// The same, watched and stopped through `control`.
    ///
    /// # Errors
    /// Besides, [`PlanError::Cancelled`].
    pub fn restart_with_controlled(
        &mut self,
        certificate: &Certificate,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
        control: &Control,
    ) -> Result<RestartPlan, KeepError> {
        let mut cover = certificate.begin(cluster)?;
        self.restart_covered_controlled(&mut cover, cluster, policy, failure, control)
    }

    /// The same for losses one after another: `cluster` is as it is when this loss comes, each plan before carried out.
    ///
    /// # Errors
    /// As [`Cover::lose`]. Nothing has changed then.
    pub fn restart_covered(
        &mut self,
        cover: &mut Cover<'_>,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
    ) -> Result<RestartPlan, KeepError> {
        self.cover_loss(cover, cluster, policy, failure, None)
    }

    /// The same, watched and stopped through `control`.
    ///
    /// # Errors
    /// Besides, [`PlanError::Cancelled`]. Nothing has changed then, either.
    pub fn restart_covered_controlled(
        &mut self,
        cover: &mut Cover<'_>,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
        control: &Control,
    ) -> Result<RestartPlan, KeepError> {
        self.cover_loss(cover, cluster, policy, failure, Some(control))
    }

    fn cover_loss(
        &mut self,
        cover: &mut Cover<'_>,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
        control: Option<&Control>,
    ) -> Result<RestartPlan, KeepError> {
        failure.validate(cluster).map_err(PlanError::from)?;
        let mut next = cover.clone();
        let promise = next.lose(failure)?;
        let mut places: Vec<(VmSlot, NodeSlot)> =
            promise.placements.iter().map(|(vm, node)| (vm.slot, node.slot)).collect();
        places.sort_unstable();
        let more = next.may_remain() > 0;
        if !promise.evictions.is_empty() && policy.preemption == Preemption::Never {
            return Err(CertificateError::EvictionsForbidden.into());
        }
        let waits = |vm: &VmId| cluster.vm(*vm).is_ok_and(|vm| starts(cluster, failure, vm));
        let evicted = if promise.evictions.is_empty() || promise.placements.iter().all(|(vm, _)| waits(vm)) {
            promise.evictions.iter().map(|(vm, _)| *vm).collect()
        } else {
            // Nobody goes yet for those who may still run on an unreachable node.
            let now: Vec<_> = promise.placements.iter().filter(|(vm, _)| waits(vm)).copied().collect();
            evict::in_the_way(cluster, failure, &next.certificate().evicts, &now).ok_or(CertificateError::OtherState)?
        };
        let mut kept = Kept {
            places,
            evicted,
            claims: more.then(|| next.claims(cluster)),
            held_back: if more { tied(cluster, next.certificate()) } else { Vec::new() },
        };
        let mut plan = self.restart_keeping(cluster, policy, failure, control, &kept)?;
        if kept.held_back.is_empty() && !is_legal(cluster, failure, &plan) {
            // Others came where a rule does not have them together with what is promised.
            kept.held_back = tied(cluster, next.certificate());
            plan = self.restart_keeping(cluster, policy, failure, control, &kept)?;
        }
        if !is_legal(cluster, failure, &plan) {
            // Not what was promised: that is for unreachable nodes which are dead, and rules look at who may still run.
            plan = self.run(cluster, policy, failure, control)?;
        }
        if more || (plan.unplaced().is_empty() && plan.evictions().is_empty()) {
            *cover = next;
            return Ok(plan);
        }
        let own = self.run(cluster, policy, failure, control)?;
        // All that can fail is behind.
        *cover = next;
        let starts: BTreeSet<VmId> = own.placements().iter().map(|placed| placed.vm).collect();
        let has_place = |vm: VmId| !waits(&vm) || starts.contains(&vm);
        let all_start = kept.places.iter().all(|(vm, _)| has_place(cluster.vm_id_of(*vm)));
        // Nor does one that runs where it was promised a place have to go for good.
        let is_promised = |vm: VmId| cover.certificate().entry(vm.slot).is_some();
        let none_goes = own.evictions().iter().all(|gone| starts.contains(&gone.vm) || !is_promised(gone.vm));
        let rank = |plan: &RestartPlan| (net(cluster, plan), Reverse(plan.evictions().len()));
        Ok(if all_start && none_goes && rank(&own) > rank(&plan) { own } else { plan })
    }
}

/// Whether a VM of the certificate is started by a plan for this failure.
fn starts(cluster: &Cluster, failure: &Failure, vm: VmRef<'_>) -> bool {
    let state = vm.node().and_then(|node| Some((node, cluster.node(node).ok()?.state())));
    state.is_none_or(|(node, state)| {
        failure.contains(node) || matches!(state, NodeState::Failed | NodeState::Maintenance)
    })
}

fn is_legal(cluster: &Cluster, failure: &Failure, plan: &RestartPlan) -> bool {
    let placements: Vec<_> = plan.placements().iter().map(|placed| (placed.vm, placed.node)).collect();
    let evictions: Vec<_> = plan.evictions().iter().map(|eviction| (eviction.vm, eviction.node)).collect();
    check_placements(cluster, failure, &placements, &evictions).is_ok()
}

/// What a plan places less what it evicts for good, per class from the top, over all classes of the cluster.
fn net(cluster: &Cluster, plan: &RestartPlan) -> Vec<i64> {
    let mut net: BTreeMap<Reverse<(RestartClass, Priority)>, i64> =
        cluster.vms().map(|vm| (Reverse(vm.effective()), 0)).collect();
    let placed = plan.placements().iter().map(|placed| (placed.vm, 1));
    let evicted = plan.evictions().iter().map(|eviction| (eviction.vm, -1));
    for (vm, one) in placed.chain(evicted) {
        let count = net.entry(Reverse(cluster.effective(vm.slot))).or_default();
        *count = count.saturating_add(one);
    }
    net.into_values().collect()
}

impl Cover<'_> {
    /// The most that any one unit claims on each node, over the banks that are not taken, and what is kept for VMs with places of
    /// their own.
    fn claims(&self, cluster: &Cluster) -> Rows<NodeSlot> {
        let mut most: Rows<NodeSlot> = Rows::new(cluster.kinds().len());
        if let Some(last) = cluster.node_slots().checked_sub(1) {
            most.grow_to(NodeSlot::from_index(last));
        }
        let mut load = most.clone();
        // There plans have been made for VMs as they run, too (`backups`).
        let kept = self.kept_room(cluster);
        self.each_open_plan(|plan| {
            for (vm, target) in plan {
                let as_it_runs = kept.contains_key(target).then(|| held(cluster, *vm));
                let need = as_it_runs.as_deref().unwrap_or(&cluster.restart_rows()[*vm]);
                for (load, need) in load[*target].iter_mut().zip(need) {
                    *load = load.saturating_add(*need);
                }
            }
            for (_, target) in plan {
                for (most, load) in most[*target].iter_mut().zip(&mut load[*target]) {
                    *most = (*most).max(core::mem::take(load));
                }
            }
        });
        for (target, room) in &kept {
            for (most, room) in most[*target].iter_mut().zip(room) {
                *most = most.saturating_add(*room);
            }
        }
        most
    }
}

/// VMs outside a certificate that a required rule ties to one inside, with the rule's name.
fn tied(cluster: &Cluster, certificate: &Certificate) -> Vec<(VmSlot, String)> {
    let inside = |vm: &VmSlot| certificate.entry(*vm).is_some();
    let leader = |rule: &RuleRecord| match rule.body {
        RuleBody::Follow { leader } => Some(leader),
        _ => None,
    };
    let rules = cluster.rule_records();
    let members = rules.flat_map(|rule| leader(rule).into_iter().chain(rule.members.iter().copied()));
    let candidates: BTreeSet<VmSlot> = members.filter(|vm| !inside(vm)).collect();
    let mut tied = Vec::new();
    for vm in candidates {
        let Some(record) = cluster.vm_record(vm).filter(|record| record.on) else { continue };
        let rules = record.rules.iter().chain(&record.leads).filter_map(|rule| cluster.rule_record(*rule));
        let binding = rules
            .filter(|rule| rule.strength == Strength::Required && !rule.is_place())
            .find(|rule| leader(rule).iter().chain(&rule.members).any(inside));
        if let Some(rule) = binding {
            tied.push((vm, (*rule.name).into()));
        }
    }
    tied
}
