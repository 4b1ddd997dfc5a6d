//! The checker of restart plans: small, independent, straight from the definitions of SPEC.md 2.1.
//!
//! Uses `cluster` and `failure` through their public views, and a plan as data; shares no code with what makes plans.
//! Used by tests, benches, fuzz targets, and callers that want a second opinion before they act.
//!
//! [`check_placements`] asks whether placements and evictions are feasible, [`check_evictions`] whether evictions are
//! allowed and needed; [`check_plan`] asks both, and whether everything that the plan says about itself is so
//! (`account`, `costs`). The state after the plan is worked out in `after`, rules are in `rules`, faults in `fault`.
//!
//! **What a checked plan is not:** the best one. Whether a bound is right takes a search (the tests have an exhaustive
//! one); the checker sees to it that the bound is not below what is placed, nor above what is displaced.

mod account;
mod after;
mod costs;
mod fault;
mod rules;
#[cfg(test)]
mod tests;

pub use fault::PlanFault;

use crate::cluster::{Cluster, NodeRef, OnTimeout, Priority, RestartClass, RuleKind, VmRef};
use crate::failure::Failure;
use crate::ids::{NodeId, RuleId, VmId};
use crate::policy::{Policy, Preemption};
use crate::restart::plan::RestartPlan;
use after::{After, Fate, amount};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;

/// Checks a restart plan: feasible, every eviction allowed and needed, and every list and count as it should be.
///
/// Costs O(VMs + nodes), and what the rules of the placed VMs cost.
///
/// # Errors
/// Everything that is wrong, each once, in a defined order.
///
/// ```
/// use lifeboat::{Cluster, Failure, Node, Policy, ResourceKinds, RestartPlan, Vm, check_plan};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, [""; 0])?;
/// let node = cluster.add_node(Node::named("n1").capacity([8]))?;
/// cluster.add_vm(Vm::named("db").demand([4]).on(node))?;
/// // A plan that forgets the VM.
/// let faults = check_plan(&cluster, &Policy::default(), &Failure::of([node]), &RestartPlan::default());
/// assert!(faults.unwrap_err().iter().any(|fault| fault.code() == "missing"));
/// # Ok(())
/// # }
/// ```
pub fn check_plan(
    cluster: &Cluster,
    policy: &Policy,
    failure: &Failure,
    plan: &RestartPlan,
) -> Result<(), Vec<PlanFault>> {
    let placements: Vec<(VmId, NodeId)> = plan.placements().iter().map(|item| (item.vm, item.node)).collect();
    let evictions: Vec<(VmId, NodeId)> = plan.evictions().iter().map(|item| (item.vm, item.node)).collect();
    let mut faults = placement_faults(cluster, failure, &placements, &evictions);
    let after = after(cluster, failure, &placements, &evictions);
    eviction_faults(&after, policy, &mut faults);
    account::check_account(&after, policy, plan, &mut faults);
    verdict(faults)
}

/// Checks placements `(VM, target)` and evictions `(VM, the node it runs on)`: whether they are feasible after the
/// failure. Whether the policy allows the evictions is not asked.
///
/// Costs what the touched nodes and the rules of the placed VMs cost.
///
/// # Errors
/// Everything that is wrong, each once, in a defined order.
pub fn check_placements(
    cluster: &Cluster,
    failure: &Failure,
    placements: &[(VmId, NodeId)],
    evictions: &[(VmId, NodeId)],
) -> Result<(), Vec<PlanFault>> {
    verdict(placement_faults(cluster, failure, placements, evictions))
}

/// Checks whether every eviction is allowed by the policy, and needed: if the VM stays, some placed VM that may evict it
/// does not fit. Whether the placements are feasible is the matter of [`check_placements`].
///
/// # Errors
/// Every eviction that is not.
pub fn check_evictions(
    cluster: &Cluster,
    policy: &Policy,
    failure: &Failure,
    placements: &[(VmId, NodeId)],
    evictions: &[(VmId, NodeId)],
) -> Result<(), Vec<PlanFault>> {
    let mut faults = Vec::new();
    eviction_faults(&after(cluster, failure, placements, evictions), policy, &mut faults);
    verdict(faults)
}

fn verdict(mut faults: Vec<PlanFault>) -> Result<(), Vec<PlanFault>> {
    faults.sort();
    faults.dedup();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn after<'a>(
    cluster: &'a Cluster,
    failure: &'a Failure,
    placements: &[(VmId, NodeId)],
    evictions: &[(VmId, NodeId)],
) -> After<'a> {
    let evicted: BTreeSet<VmId> = evictions.iter().map(|(vm, _)| *vm).collect();
    After { cluster, failure, placed: placements.iter().copied().collect(), evicted }
}

fn placement_faults(
    cluster: &Cluster,
    failure: &Failure,
    placements: &[(VmId, NodeId)],
    evictions: &[(VmId, NodeId)],
) -> Vec<PlanFault> {
    let mut faults = Vec::new();
    if failure.nodes().iter().any(|node| cluster.node(*node).is_err()) {
        faults.push(PlanFault::UnknownNode);
    }
    let after = after(cluster, failure, placements, evictions);
    if after.evicted.len() < evictions.len() || after.placed.len() < placements.len() {
        let evictions = evictions.iter().map(|(vm, _)| *vm);
        faults.extend(twice(evictions).map(|vm| PlanFault::EvictedTwice { vm: after.vm_name(vm) }));
        let placements = placements.iter().map(|(vm, _)| *vm);
        faults.extend(twice(placements).map(|vm| PlanFault::PlacedTwice { vm: after.vm_name(vm) }));
    }
    for (vm, node) in evictions {
        check_evicted(&after, *vm, *node, &mut faults);
    }
    for (vm, node) in placements {
        check_target(&after, *vm, *node, &mut faults);
    }
    check_capacity(&after, &mut faults);
    rules::check_rules(&after, &mut faults);
    check_prerequisites(&after, &mut faults);
    faults
}

/// The items that occur more than once.
fn twice(vms: impl Iterator<Item = VmId>) -> impl Iterator<Item = VmId> {
    let mut seen = BTreeSet::new();
    vms.filter(move |vm| !seen.insert(*vm))
}

/// The VM runs there: only then can it be stopped.
fn check_evicted(after: &After<'_>, vm: VmId, node: NodeId, faults: &mut Vec<PlanFault>) {
    if after.cluster.vm(vm).is_err() {
        faults.push(PlanFault::UnknownVm);
        return;
    }
    let runs = matches!(after.fate(vm), Fate::Stays { node: at, waits: false, .. } if at == node);
    if !runs {
        faults.push(PlanFault::EvictedNotRunning { vm: after.vm_name(vm), node: after.node_name(node) });
    }
}

/// The VM waits for a place, and may run on its target.
fn check_target(after: &After<'_>, vm: VmId, node: NodeId, faults: &mut Vec<PlanFault>) {
    let Ok(vm) = after.cluster.vm(vm) else {
        faults.push(PlanFault::UnknownVm);
        return;
    };
    let Ok(node) = after.cluster.node(node) else {
        faults.push(PlanFault::UnknownNode);
        return;
    };
    let (vm_name, node_name) = (vm.name().to_string(), node.name().to_string());
    match after.fate(vm.id()) {
        Fate::Displaced => {}
        Fate::Off => faults.push(PlanFault::NotDisplaced { vm: vm_name.clone(), why: "is powered off" }),
        Fate::Stays { node: at, .. } if after.evicted.contains(&vm.id()) => {
            if at == node.id() {
                faults.push(PlanFault::EvictedInPlace { vm: vm_name.clone(), node: node_name.clone() });
            }
        }
        Fate::Stays { waits: true, .. } => {
            faults.push(PlanFault::NotDisplaced { vm: vm_name.clone(), why: "may run on an unreachable node" });
        }
        Fate::Stays { .. } => faults.push(PlanFault::NotDisplaced { vm: vm_name.clone(), why: "runs" }),
    }
    if vm.restart() == RestartClass::Never {
        faults.push(PlanFault::NeverClass { vm: vm_name.clone() });
    }
    if after.failure.contains(node.id()) {
        faults.push(PlanFault::TargetFails { vm: vm_name.clone(), node: node_name.clone() });
    }
    if !node.state().accepts() {
        let (vm, node, state) = (vm_name.clone(), node_name.clone(), node.state());
        faults.push(PlanFault::NotAccepting { vm, node, state });
    }
    for label in vm.requires().into_iter().filter(|label| !node.has_label(label)) {
        let (vm, node, label) = (vm_name.clone(), node_name.clone(), label.to_string());
        faults.push(PlanFault::MissingLabel { vm, node, label });
    }
    if vm.allowed_nodes().is_some_and(|allowed| !allowed.contains(&node.id())) {
        faults.push(PlanFault::NotAllowed { vm: vm_name, node: node_name });
    }
}

/// In every node and kind, residents by demand and placed VMs by restart demand fit. Of a kind that the placed VMs do
/// not need, a node may have too little already.
fn check_capacity(after: &After<'_>, faults: &mut Vec<PlanFault>) {
    for (node, vms) in received(after) {
        if let Ok(node) = after.cluster.node(node) {
            node_faults(after, node, &vms, faults);
        }
    }
}

/// What is placed on each node.
fn received<'a>(after: &After<'a>) -> BTreeMap<NodeId, Vec<VmRef<'a>>> {
    let mut received: BTreeMap<NodeId, Vec<VmRef<'_>>> = BTreeMap::new();
    for (vm, node) in &after.placed {
        if let Ok(vm) = after.cluster.vm(*vm) {
            received.entry(*node).or_default().push(vm);
        }
    }
    received
}

/// Whether a node holds its residents and these placed VMs.
fn node_faults(after: &After<'_>, node: NodeRef<'_>, placed: &[VmRef<'_>], faults: &mut Vec<PlanFault>) {
    for (kind, declared) in after.cluster.kinds().iter().enumerate() {
        let sizes = placed.iter().map(|vm| amount(vm.restart_demand(), kind));
        let needed = sizes.fold(0, u128::saturating_add);
        let load = after.residents_hold(node, kind).saturating_add(needed);
        let allocatable = node.failover_allocatable().get(kind).copied().unwrap_or(0);
        if needed > 0 && load > u128::from(allocatable) {
            faults.push(PlanFault::Capacity {
                node: node.name().to_string(),
                kind: declared.name.clone(),
                load,
                allocatable,
            });
        }
    }
}

/// Whom a placed VM gives up on runs or is placed, too. One that may run on an unreachable node counts as running.
fn check_prerequisites(after: &After<'_>, faults: &mut Vec<PlanFault>) {
    for vm in after.placed.keys().filter_map(|vm| after.cluster.vm(*vm).ok()) {
        for edge in vm.starts_after().filter(|edge| edge.on_timeout == OnTimeout::GiveUp) {
            if !after.is_up(edge.vm) {
                let (vm, prerequisite) = (vm.name().to_string(), after.vm_name(edge.vm));
                faults.push(PlanFault::Prerequisite { vm, prerequisite });
            }
        }
    }
}

/// Every eviction is allowed by the policy, and needed: if the VM stays, some placed VM that may evict it does not fit.
fn eviction_faults(after: &After<'_>, policy: &Policy, faults: &mut Vec<PlanFault>) {
    let mut by_kind: BTreeMap<(RestartClass, Priority, bool), Evictors<'_>> = BTreeMap::new();
    for vm in after.evicted.iter().filter_map(|vm| after.cluster.vm(*vm).ok()) {
        let (class, priority) = vm.effective();
        let evicts = |placed: &VmId| {
            after.cluster.vm(*placed).is_ok_and(|placed| may_evict(policy.preemption, placed.effective(), vm))
        };
        let evictors = by_kind
            .entry((class, priority, vm.is_preemptible()))
            .or_insert_with(|| Evictors::new(after, after.placed.iter().filter(|(placed, _)| evicts(placed))));
        if evictors.case.placed.is_empty() {
            faults.push(PlanFault::EvictionForbidden { vm: vm.name().to_string(), preemption: policy.preemption });
        } else if !evictors.need(vm) {
            faults.push(PlanFault::EvictionUnneeded { vm: vm.name().to_string() });
        }
    }
}

fn may_evict(preemption: Preemption, by: (RestartClass, Priority), vm: VmRef<'_>) -> bool {
    let (class, priority) = vm.effective();
    let best_effort = by.0 == RestartClass::Protected && class == RestartClass::BestEffort;
    vm.is_preemptible()
        && match preemption {
            Preemption::Never => false,
            Preemption::BestEffort => best_effort,
            Preemption::LowerPriority => best_effort || (by.0 == class && by.1 > priority),
        }
}

/// The placed VMs that may evict VMs of one kind, as if they alone were placed.
struct Evictors<'a> {
    case: After<'a>,
    /// What is placed on each node.
    received: BTreeMap<NodeId, Vec<VmRef<'a>>>,
    /// The rules that speak of them, and those of them in which a VM leads.
    rules: BTreeSet<RuleId>,
    led: BTreeMap<VmId, Vec<RuleId>>,
}

impl<'a> Evictors<'a> {
    fn new<'p>(after: &After<'a>, placed: impl Iterator<Item = (&'p VmId, &'p NodeId)>) -> Self {
        let placed = placed.map(|(vm, node)| (*vm, *node)).collect();
        let case = After { cluster: after.cluster, failure: after.failure, placed, evicted: after.evicted.clone() };
        let rules = rules::spoken_of(&case);
        let mut led: BTreeMap<VmId, Vec<RuleId>> = BTreeMap::new();
        for rule in rules.iter().filter_map(|rule| case.cluster.rule(*rule).ok()) {
            if let RuleKind::Follow { leader } = rule.kind() {
                led.entry(leader).or_default().push(rule.id());
            }
        }
        Self { received: received(&case), case, rules, led }
    }

    /// Whether they would break something if a VM stayed, and would not otherwise. That can only be the room of the nodes
    /// where it is, or a rule that speaks of it.
    fn need(&mut self, vm: VmRef<'a>) -> bool {
        let gone = self.faults_about(vm);
        self.case.evicted.remove(&vm.id());
        let stays = self.faults_about(vm);
        self.case.evicted.insert(vm.id());
        stays.iter().any(|fault| !gone.contains(fault))
    }

    fn faults_about(&self, vm: VmRef<'a>) -> Vec<PlanFault> {
        let mut faults = Vec::new();
        for node in vm.node().into_iter().chain(vm.migrating_to()) {
            if let Some((node, vms)) = self.case.cluster.node(node).ok().zip(self.received.get(&node)) {
                node_faults(&self.case, node, vms, &mut faults);
            }
        }
        let of_it = vm.rules().filter(|rule| self.rules.contains(rule));
        let of_it: BTreeSet<RuleId> = of_it.chain(self.led.get(&vm.id()).into_iter().flatten().copied()).collect();
        rules::check_these(&self.case, of_it, &mut faults);
        faults
    }
}
