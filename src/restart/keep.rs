//! A plan in which some VMs go where they were promised a place, and the others around them.
//!
//! Uses `restart::{planner, scene, waves}` and `cluster`. Used by `guarantee::keep`, and by `restart::preempt`, which adds to
//! a plan that it has.
//!
//! **The data's path.** On a copy of the cluster those with a promise stand in their places and what is claimed for later is
//! taken; the planner plans for everyone else there. Where some of them would come to hold more as they run than is left beside
//! the claims, it plans once more with what they hold then, wherever they go. What it finds and what was promised then become
//! one plan of the cluster itself, with waves over all.

use super::costs::Costs;
use super::plan::{RestartPlan, Unplaced};
use super::planner::{Detail, PlanError, Planner};
use super::preempt;
use crate::cluster::{Cluster, NodeState, RestartClass, Vm};
use crate::dense::{DenseId, Rows, fits};
use crate::failure::Failure;
use crate::ids::{NodeSlot, VmId, VmSlot};
use crate::placement::budget::Control;
use crate::policy::{Policy, Preemption};
use crate::resources::Amounts;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What is promised.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Who goes where; sorted by VM.
    pub(crate) places: Vec<(VmSlot, NodeSlot)>,
    /// Who is stopped for it. They may be placed elsewhere like the displaced ones.
    pub(crate) evicted: BTreeSet<VmId>,
    /// What must stay free on each node for losses to come, per node slot; `None`: nothing.
    pub(crate) claims: Option<Rows<NodeSlot>>,
    /// VMs that, displaced, are left waiting until nothing is to come any more, with the rule that ties them. Sorted.
    pub(crate) held_back: Vec<(VmSlot, String)>,
}

impl Planner {
    /// Plans for a failure with what is promised in place.
    pub(crate) fn restart_keeping(
        &mut self,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
        control: Option<&Control>,
        kept: &Kept,
    ) -> Result<RestartPlan, PlanError> {
        let mut without_evictions = policy.clone();
        without_evictions.preemption = Preemption::Never;
        let policy = &without_evictions;
        if kept.evicted.is_empty() {
            return self.keep(cluster, policy, failure, control, kept, Detail::Full);
        }
        let lifted = preempt::lifted(cluster, &kept.evicted);
        let mut plan = self.keep(&lifted, policy, failure, control, kept, Detail::Full)?;
        preempt::tell_victims(cluster, &kept.evicted, &mut plan);
        preempt::tell_counts(cluster, &kept.evicted, &mut plan);
        Ok(plan)
    }

    /// The same with the victims waiting for a place. The policy allows no evictions.
    pub(super) fn keep(
        &mut self,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
        control: Option<&Control>,
        kept: &Kept,
        detail: Detail,
    ) -> Result<RestartPlan, PlanError> {
        let mut around = cluster.clone();
        for (vm, node) in &kept.places {
            around.settle(*vm, *node);
        }
        for (vm, _) in &kept.held_back {
            // One that runs holds its room.
            if waits(&around, failure, *vm) {
                let id = around.vm_id_of(*vm);
                let mut nowhere = around.vm(id)?.to_vm();
                nowhere.allowed_nodes = Some(Vec::new());
                around.update_vm(id, nowhere)?;
            }
        }
        if let Some(claims) = &kept.claims {
            claim(&mut around, claims);
        }
        let mut rest = self.plan_as_it_is(&around, policy, failure, control, detail)?;
        if kept.claims.as_ref().is_some_and(|claims| !leaves_free(&around, claims, &rest)) {
            let before = rest.work;
            start_as_they_run(&mut around, failure)?;
            rest = self.plan_as_it_is(&around, policy, failure, control, detail)?;
            rest.work = rest.work.saturating_add(before);
        }
        let mut planned: Vec<(VmSlot, NodeSlot)> =
            rest.placements.iter().map(|placed| (placed.vm.slot, placed.node.slot)).collect();
        planned.sort_unstable();

        self.scene.set(cluster, failure)?;
        self.parts.set(cluster, &mut self.scene);
        self.parts.complete(cluster, &mut self.scene);
        let mut plan = RestartPlan { work: rest.work, unplaced: rest.unplaced, ..RestartPlan::default() };
        self.describe(cluster, failure, &mut plan);
        self.places.reset(None, self.scene.items.len());
        for (item, vm) in self.scene.items.enumerate() {
            let place_in = |places: &[(VmSlot, NodeSlot)]| {
                let at = places.binary_search_by_key(vm, |(vm, _)| *vm).ok()?;
                places.get(at).map(|(_, node)| *node)
            };
            self.places[item] = place_in(&kept.places).or_else(|| place_in(&planned));
        }
        for (class, (item, vm)) in self.scene.class_of().zip(self.scene.items.enumerate()) {
            if self.places[item].is_some() {
                continue;
            }
            if let Some(count) = usize::try_from(class).ok().and_then(|class| plan.classes.get_mut(class)) {
                // What any plan could do is not looked into: the bound stays that of all who are displaced.
                count.placed = count.placed.saturating_sub(1);
            }
            if let Ok(at) = kept.held_back.binary_search_by_key(vm, |(vm, _)| *vm) {
                let rule = kept.held_back.get(at).map_or("", |(_, rule)| rule);
                let until = if kept.claims.is_some() { " while further losses are covered" } else { "" };
                let message = format!("kept back{until}: rule '{rule}' ties it to what is promised");
                let vm = cluster.vm_id_of(*vm);
                plan.unplaced.retain(|left| left.vm != vm);
                plan.unplaced.push(Unplaced { vm, reasons: Vec::new(), message });
            }
        }
        let key = |left: &Unplaced| {
            let name = cluster.vm_record(left.vm.slot).map(|record| &*record.name);
            (core::cmp::Reverse(cluster.effective(left.vm.slot)), name)
        };
        plan.unplaced.sort_by(|left, right| key(left).cmp(&key(right)));
        if let Some(mut costs) = Costs::new(cluster, &self.scene, &self.parts.seen) {
            costs.set(&|item| self.places[item]);
            plan.broken_rules = costs.broken(&|item| self.places[item]);
            plan.costs_open = costs.total() > (0, 0);
        }
        self.waves.set(cluster, policy, &self.scene, &self.places);
        self.waves.placements(cluster, &self.scene, &self.places, &mut plan);
        Ok(plan)
    }
}

/// Whether a VM has no node, or one that is dead after the failure.
fn waits(cluster: &Cluster, failure: &Failure, vm: VmSlot) -> bool {
    let node = cluster.vm_record(vm).and_then(|record| record.node);
    let state = node.and_then(|node| cluster.node_record(node)).map(|node| node.state);
    node.is_none_or(|node| failure.contains(cluster.node_id_of(node)))
        || matches!(state, Some(NodeState::Failed | NodeState::Maintenance))
}

/// Whether the VMs of a plan leave what is claimed free once they run: losses may come one after another. `cluster`: with the
/// claims taken.
fn leaves_free(cluster: &Cluster, claims: &Rows<NodeSlot>, plan: &RestartPlan) -> bool {
    let mut held: BTreeMap<NodeSlot, Vec<u64>> = BTreeMap::new();
    for placed in plan.placements() {
        let (vm, node) = (placed.vm.slot, placed.node.slot);
        if claims[node].iter().any(|amount| *amount > 0) {
            let sum = held.entry(node).or_insert_with(|| alloc::vec![0; claims.width()]);
            sum.iter_mut().zip(cluster.held_by(vm)).for_each(|(sum, held)| *sum = sum.saturating_add(held));
        }
    }
    held.iter().all(|(node, held)| fits(held, &cluster.free_rows()[*node]))
}

/// Has the VMs that wait for a place ask for as much as they start as they hold once they run, if that is more.
fn start_as_they_run(cluster: &mut Cluster, failure: &Failure) -> Result<(), PlanError> {
    let starts_small = |vm: &VmSlot| !fits(&cluster.demand_rows()[*vm], &cluster.restart_rows()[*vm]);
    let vms = cluster.vms().filter(|vm| vm.is_on()).map(|vm| vm.id().slot).filter(starts_small);
    for slot in vms.filter(|vm| waits(cluster, failure, *vm)).collect::<Vec<_>>() {
        let id = cluster.vm_id_of(slot);
        let mut vm = cluster.vm(id)?.to_vm();
        if let (Some(restart), Some(runs)) = (&vm.restart_demand, &vm.demand) {
            vm.restart_demand = Some(restart.iter().zip(&**runs).map(|(restart, runs)| *restart.max(runs)).collect());
            vm.restart_kinds = None;
            cluster.update_vm(id, vm)?;
        }
    }
    Ok(())
}

/// Takes what is claimed on each node, by a VM that nobody restarts.
fn claim(cluster: &mut Cluster, claims: &Rows<NodeSlot>) {
    let per_vm: Vec<u64> = cluster.kinds().iter().map(|kind| kind.per_vm).collect();
    let mut number = 0_u64;
    for slot in (0..cluster.node_slots()).map(NodeSlot::from_index) {
        if cluster.node_record(slot).is_none() || claims[slot].iter().all(|amount| *amount == 0) {
            continue;
        }
        // The cluster adds what every VM costs: claims are of at least one.
        let rest = claims[slot].iter().zip(&per_vm).map(|(claim, per_vm)| claim.saturating_sub(*per_vm));
        let amounts: Amounts = rest.collect();
        loop {
            number = number.saturating_add(1);
            let name = format!("claim {number}");
            if cluster.vm_id(&name).is_some() {
                continue;
            }
            let vm = Vm::named(name).demand(amounts).on(cluster.node_id_of(slot)).restart(RestartClass::Never);
            // It is refused only where sums exceed 2^64; then the node is taken to be full in no kind.
            let _ = cluster.add_vm(vm);
            break;
        }
    }
}
