//! Whether what a plan says about itself is so: its lists, counts, waves and free amounts.
//!
//! Uses the public views of `cluster`, `policy`, and the plan. Used by the checker of plans.

use super::after::{After, Fate};
use super::costs::check_costs;
use super::fault::PlanFault;
use crate::cluster::{Priority, RestartClass, VmRef};
use crate::ids::{NodeId, VmId};
use crate::policy::{Policy, TierGate};
use crate::restart::plan::RestartPlan;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Checks everything about a plan but the feasibility of its placements and evictions.
pub(super) fn check_account(after: &After<'_>, policy: &Policy, plan: &RestartPlan, faults: &mut Vec<PlanFault>) {
    let failed: BTreeMap<String, NodeId> =
        after.failure.nodes().iter().map(|node| (after.node_name(*node), *node)).collect();
    if !failed.values().eq(plan.failed()) {
        faults.push(PlanFault::FailedNodes);
    }
    check_lists(after, plan, faults);
    check_order(after, plan, faults);
    check_classes(after, plan, faults);
    check_waves(after, policy, plan, faults);
    check_costs(after, plan, faults);
}

/// Every VM is in the list where it belongs, and in no other.
fn check_lists(after: &After<'_>, plan: &RestartPlan, faults: &mut Vec<PlanFault>) {
    let mut unplaced: BTreeSet<VmId> = BTreeSet::new();
    let mut waiting: BTreeSet<VmId> = BTreeSet::new();
    let mut left_alone: BTreeSet<VmId> = BTreeSet::new();
    let vms = plan.unplaced().iter().map(|item| item.vm).collect::<Vec<_>>();
    let lists: [(&'static str, &[VmId], &mut BTreeSet<VmId>); 3] = [
        ("unplaced", &vms, &mut unplaced),
        ("waiting", plan.waiting(), &mut waiting),
        ("left_alone", plan.left_alone(), &mut left_alone),
    ];
    for (list, vms, set) in lists {
        for vm in vms {
            if after.cluster.vm(*vm).is_err() {
                faults.push(PlanFault::UnknownVm);
            } else if !set.insert(*vm) {
                faults.push(PlanFault::Listed { vm: after.vm_name(*vm), list });
            }
        }
    }
    for vm in after.cluster.vms() {
        let id = vm.id();
        let fate = after.fate(id);
        let never = vm.restart() == RestartClass::Never;
        let placed = after.placed.contains_key(&id);
        let displaced = fate == Fate::Displaced;
        // An evicted VM without a new place is told among the unplaced.
        let evicted = after.evicted.contains(&id);
        let name = || String::from(vm.name());
        if unplaced.contains(&id) && (placed || never || !(displaced || evicted)) {
            faults.push(PlanFault::Listed { vm: name(), list: "unplaced" });
        }
        if left_alone.contains(&id) && !(displaced && never) {
            faults.push(PlanFault::Listed { vm: name(), list: "left_alone" });
        }
        if (displaced || evicted) && !placed && !unplaced.contains(&id) && !left_alone.contains(&id) {
            faults.push(PlanFault::Missing { vm: name() });
        }
        let waits = matches!(fate, Fate::Stays { waits: true, .. });
        match (waits, waiting.contains(&id)) {
            (true, false) => faults.push(PlanFault::NotWaiting { vm: name() }),
            (false, true) => faults.push(PlanFault::Listed { vm: name(), list: "waiting" }),
            _ => {}
        }
    }
}

/// Whether two VMs, one listed right before the other, are in order: by class and priority. (How they compare otherwise
/// is the planner's own matter.)
fn in_order(after: &After<'_>, first: VmId, second: VmId) -> bool {
    let (Ok(first), Ok(second)) = (after.cluster.vm(first), after.cluster.vm(second)) else { return false };
    first.effective() >= second.effective()
}

/// What a list by class, priority and name is sorted by.
fn by_name<'a>(after: &After<'a>, vm: VmId) -> (Reverse<Option<(RestartClass, Priority)>>, &'a str) {
    (Reverse(after.cluster.vm(vm).ok().map(VmRef::effective)), after.cluster.vm(vm).map_or("", VmRef::name))
}

/// The lists are in the order that they promise.
fn check_order(after: &After<'_>, plan: &RestartPlan, faults: &mut Vec<PlanFault>) {
    let names = |vms: &[VmId]| vms.iter().map(|vm| after.vm_name(*vm)).collect::<Vec<_>>();
    let evictions: Vec<VmId> = plan.evictions().iter().map(|item| item.vm).collect();
    let lists = [
        (
            "placements",
            plan.placements().is_sorted_by(|first, second| {
                first.wave < second.wave || (first.wave == second.wave && in_order(after, first.vm, second.vm))
            }),
        ),
        ("evictions", names(&evictions).is_sorted()),
        ("unplaced", plan.unplaced().iter().map(|item| by_name(after, item.vm)).is_sorted()),
        ("waiting", names(plan.waiting()).is_sorted()),
        ("left_alone", names(plan.left_alone()).is_sorted()),
        ("classes", plan.classes().iter().map(|class| Reverse((class.restart, class.priority))).is_sorted()),
    ];
    for (list, _) in lists.into_iter().filter(|(_, in_order)| !in_order) {
        faults.push(PlanFault::Order { list });
    }
}

/// What is displaced, placed and lost in one class.
#[derive(Default)]
struct Counted {
    displaced: i64,
    placed: i64,
    lost: i64,
}

/// Per class what is displaced and placed, less what is evicted and not placed again. A class that loses more than
/// it gets is given as 0.
fn check_classes(after: &After<'_>, plan: &RestartPlan, faults: &mut Vec<PlanFault>) {
    let mut counted: BTreeMap<(RestartClass, Priority), Counted> = BTreeMap::new();
    for vm in after.cluster.vms().filter(|vm| vm.restart() != RestartClass::Never) {
        let placed = after.placed.contains_key(&vm.id());
        if after.fate(vm.id()) == Fate::Displaced {
            let class = counted.entry(vm.effective()).or_default();
            class.displaced = class.displaced.saturating_add(1);
            class.placed = class.placed.saturating_add(i64::from(placed));
        } else if after.evicted.contains(&vm.id()) && !placed {
            let class = counted.entry(vm.effective()).or_default();
            class.lost = class.lost.saturating_add(1);
        }
    }
    let mut given = BTreeSet::new();
    for class in plan.classes() {
        let (restart, priority) = (class.restart, class.priority);
        if !given.insert((restart, priority)) {
            faults.push(PlanFault::Class { restart, priority, listed: true });
        }
        let Some(counted) = counted.get(&(restart, priority)) else {
            faults.push(PlanFault::Class { restart, priority, listed: true });
            continue;
        };
        let placed = counted.placed.saturating_sub(counted.lost).max(0);
        for (what, given, counted) in
            [("displaced", class.displaced, counted.displaced), ("placed", class.placed, placed)]
        {
            if i64::from(given) != counted {
                faults.push(PlanFault::ClassCount { restart, priority, what, given, counted });
            }
        }
        if class.bound < class.placed || class.bound > class.displaced {
            let (bound, placed, displaced) = (class.bound, class.placed, class.displaced);
            faults.push(PlanFault::ClassBound { restart, priority, bound, placed, displaced });
        }
    }
    for ((restart, priority), counted) in counted {
        // A class that only loses VMs by eviction may be left out.
        if counted.displaced > 0 && !given.contains(&(restart, priority)) {
            faults.push(PlanFault::Class { restart, priority, listed: false });
        }
    }
}

/// A VM starts one wave after the last of those it waits for: the placed ones among those it starts after, and, if the
/// policy has bands wait, the placed ones of every band above. A VM that others start after belongs to their band if
/// that is higher: it would otherwise wait for those that wait for it.
fn check_waves(after: &After<'_>, policy: &Policy, plan: &RestartPlan, faults: &mut Vec<PlanFault>) {
    let waves: BTreeMap<VmId, u32> = plan.placements().iter().map(|item| (item.vm, item.wave)).collect();
    let bands = bands(after);
    // The highest wave of each band, from above.
    let mut highest: BTreeMap<Reverse<u32>, u32> = BTreeMap::new();
    for (vm, wave) in &waves {
        let band = highest.entry(Reverse(bands.get(vm).copied().unwrap_or(0))).or_default();
        *band = (*band).max(*wave);
    }
    for item in plan.placements() {
        let Ok(vm) = after.cluster.vm(item.vm) else { continue };
        let prerequisites = vm.starts_after().filter_map(|edge| waves.get(&edge.vm).copied());
        let mut last = prerequisites.max().unwrap_or(0);
        if policy.start.tier_gate != TierGate::None {
            let band = Reverse(bands.get(&item.vm).copied().unwrap_or(0));
            last = last.max(highest.range(..band).map(|(_, wave)| *wave).max().unwrap_or(0));
        }
        let wave = last.saturating_add(1);
        if item.wave != wave {
            faults.push(PlanFault::Wave { vm: after.vm_name(item.vm), given: item.wave, wave });
        }
    }
}

/// The band of every placed VM: the highest named priority that its own reaches (0 below the lowest), or the band of a
/// placed one that starts after it.
fn bands(after: &After<'_>) -> BTreeMap<VmId, u32> {
    let own = |vm: &VmId| {
        let priority = after.cluster.vm(*vm).map_or(Priority(0), |vm| vm.effective().1);
        let reached = Priority::NAMED.iter().map(|(_, named)| *named).filter(|named| *named <= priority).max();
        reached.map_or(0, |named| named.0)
    };
    let mut bands: BTreeMap<VmId, u32> = after.placed.keys().map(|vm| (*vm, own(vm))).collect();
    let mut open: Vec<VmId> = bands.keys().copied().collect();
    while let Some(vm) = open.pop() {
        let band = bands.get(&vm).copied().unwrap_or(0);
        for edge in after.cluster.vm(vm).into_iter().flat_map(VmRef::starts_after) {
            if let Some(before) = bands.get_mut(&edge.vm).filter(|before| **before < band) {
                *before = band;
                open.push(edge.vm);
            }
        }
    }
    bands
}
