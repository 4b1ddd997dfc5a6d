//! What a request must keep on the nodes it touches, whatever the policy: states, roles, labels, room, rules.
//!
//! Uses `cluster`, `admission::{change, violation}`. Used by `admission::guard`.
//!
//! The room here is that of every day (`overcommit`), not that of restarts: a VM that starts needs the larger of its demand
//! and its restart demand. Rules of strength `relaxed` bind here like required ones. What was broken before and is not
//! broken further stands against nothing.

use super::violation::{Violation, ViolationKind};
use crate::cluster::{Cluster, NodeRef, NodeState, Role, Strength, VmRef};
use crate::ids::{NodeId, RuleId, VmId};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A VM that the request puts on a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Arrival {
    pub(super) vm: VmId,
    pub(super) node: NodeId,
    /// Whether it moves there while it runs.
    pub(super) live: bool,
}

/// The VM's new places, comparing two states.
pub(super) fn arrivals(before: &Cluster, after: &Cluster, vm: VmId) -> Vec<Arrival> {
    let Ok(now) = after.vm(vm) else { return Vec::new() };
    let places = |vm: VmRef<'_>| -> Vec<NodeId> {
        if vm.is_displaced() || !vm.is_on() {
            Vec::new()
        } else {
            vm.node().into_iter().chain(vm.migrating_to()).collect()
        }
    };
    let old = before.vm(vm).map(places).unwrap_or_default();
    let new = places(now).into_iter().filter(|node| !old.contains(node));
    new.map(|node| Arrival { vm, node, live: !old.is_empty() }).collect()
}

/// What bars a VM from a node it arrives at, room and rules aside.
pub(super) fn barred(after: &Cluster, arrival: Arrival) -> Option<Violation> {
    let Arrival { vm, node, live } = arrival;
    let (Ok(record), Ok(target)) = (after.vm(vm), after.node(node)) else { return None };
    let (vm_name, node_name) = (record.name(), target.name());
    if live && !record.is_migratable() {
        let message = format!("VM '{vm_name}' cannot be moved while it runs");
        return Some(against(ViolationKind::NotMigratable { vm }, message));
    }
    if target.state() != NodeState::Online {
        let state = target.state();
        let message = format!("node '{node_name}' is {}: VM '{vm_name}' cannot go there", state.name());
        return Some(against(ViolationKind::NotAccepting { vm, node, state }, message));
    }
    if target.role() == Role::Spare {
        let message = format!("node '{node_name}' is a spare: it takes restarts only, not VM '{vm_name}'");
        return Some(against(ViolationKind::SpareReserved { vm, node }, message));
    }
    let on_the_move = if live { record.migrate_requires() } else { Vec::new() };
    let missing = record.requires().into_iter().chain(on_the_move).find(|label| !target.has_label(label));
    if let Some(label) = missing {
        let message = format!("node '{node_name}' lacks the label '{label}' that VM '{vm_name}' requires");
        return Some(against(ViolationKind::MissingLabel { vm, node, label: label.into() }, message));
    }
    if record.allowed_nodes().is_some_and(|allowed| !allowed.contains(&node)) {
        let message = format!("node '{node_name}' is not among the allowed nodes of VM '{vm_name}'");
        return Some(against(ViolationKind::NotAllowed { vm, node }, message));
    }
    None
}

/// The node's shortage, if the change puts more on it than it has.
pub(super) fn short_of(before: &Cluster, after: &Cluster, node: NodeId, starting: &[VmId]) -> Option<Violation> {
    let target = after.node(node).ok()?;
    let old = before.node(node).ok().map(NodeRef::used).unwrap_or_default();
    // A start needs the larger of both demands; what is used counts the demand already.
    let extra = |kind: usize| {
        let more = starting.iter().filter_map(|vm| after.vm(*vm).ok()).filter(|vm| vm.node() == Some(node));
        more.map(|vm| at(vm.restart_demand(), kind).saturating_sub(at(vm.demand(), kind))).fold(0, u64::saturating_add)
    };
    let kinds = 0..target.used().len();
    let short = kinds.filter_map(|kind| {
        let now = at(target.used(), kind).saturating_add(extra(kind));
        let (was, most) = (at(old, kind), at(target.allocatable(), kind));
        let (needed, free) = (now.saturating_sub(was), most.saturating_sub(was));
        (now > was && now > most).then_some((kind, needed, free))
    });
    let worst = short.max_by_key(|(kind, needed, free)| {
        let missing = u128::from(needed.saturating_sub(*free));
        (missing.saturating_mul(1 << 32).checked_div(u128::from(*needed)), core::cmp::Reverse(*kind))
    })?;
    let (resource, needed, free) = worst;
    let kind = after.kinds().get(resource);
    let (kind, unit) = kind.map_or(("?", ""), |kind| (kind.name.as_str(), kind.unit.as_str()));
    let space = if unit.is_empty() { "" } else { " " };
    let name = target.name();
    let message = format!("node '{name}' is short of {kind}: needs {needed}{space}{unit}, free {free}{space}{unit}");
    Some(against(ViolationKind::Insufficient { node, resource, needed, free }, message))
}

fn at(row: &[u64], kind: usize) -> u64 {
    row.get(kind).copied().unwrap_or(0)
}

/// The excess of every rule that binds here, in the order of the cluster.
pub(super) fn rule_excesses(cluster: &Cluster) -> Vec<(RuleId, u64)> {
    let binding = cluster.rules().filter(|rule| !matches!(rule.strength(), Strength::Preferred { .. }));
    binding.map(|rule| (rule.id(), cluster.rule_excess(rule.id()).unwrap_or(0))).collect()
}

/// Rules that are broken, or broken further, than they were. A rule that is new is said to be broken, and bars nothing:
/// the VMs were where they are before it.
pub(super) fn rules_broken(before: &[(RuleId, u64)], after: &Cluster) -> Vec<Violation> {
    let mut broken = Vec::new();
    for (rule, excess) in rule_excesses(after) {
        let old = before.iter().find(|(other, _)| *other == rule).map(|(_, excess)| *excess);
        if excess <= old.unwrap_or(0) {
            continue;
        }
        let name = after.rule(rule).map_or_else(|_| String::new(), |rule| String::from(rule.name()));
        let message = match old {
            Some(0) => format!("rule '{name}' would be broken, by {excess}"),
            Some(old) => format!("rule '{name}' is broken by {old}, and would be by {excess}"),
            None => format!("rule '{name}' is new, and broken by {excess} as VMs run now"),
        };
        let kind = ViolationKind::Rule { rule, before: old.unwrap_or(0), after: excess };
        broken.push(Violation { enforced: old.is_some(), ..against(kind, message) });
    }
    broken
}

/// A violation that refuses.
pub(super) fn against(kind: ViolationKind, message: String) -> Violation {
    Violation { kind, enforced: true, broken_before: false, message }
}
