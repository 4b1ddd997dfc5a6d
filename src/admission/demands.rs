//! What a request must keep on the nodes it touches, whatever the policy: states, roles, labels, room, rules.
//!
//! Uses `cluster`, `admission::{change, violation}`. Used by `admission::guard`.
//!
//! The room here is that of every day (`overcommit`), not that of restarts: a VM that starts needs the larger of its demand
//! and its restart demand. Rules of strength `relaxed` bind here like required ones. What was broken before and is not
//! broken further stands against nothing.

use super::violation::{Shortage, Violation, ViolationKind};
use crate::cluster::{Cluster, LabelSlot, NodeRef, NodeState, Role, RuleRef, Strength, VmRecord, VmRef};
use crate::ids::{NodeId, NodeSlot, RuleSlot, VmId, VmSlot};
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

/// The VM's new places, comparing two states. One that is started arrives where it is started, also if it was listed there:
/// on a node that is down it would not run.
pub(super) fn arrivals(before: &Cluster, after: &Cluster, vm: VmId, started: bool) -> Vec<Arrival> {
    let places = |vm: VmRef<'_>| -> Vec<NodeId> {
        if vm.is_on() { vm.node().into_iter().chain(vm.migrating_to()).collect() } else { Vec::new() }
    };
    let (old, now) = (before.vm(vm).ok(), after.vm(vm).ok());
    let runs = old.is_some_and(|old| old.is_on() && !old.is_displaced());
    let old = old.filter(|_| runs || !started).map(places).unwrap_or_default();
    let new = now.map(places).unwrap_or_default().into_iter().filter(|node| !old.contains(node));
    new.map(|node| Arrival { vm, node, live: runs }).collect()
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

/// Whether nothing of that bars a VM from a node; `None`: a VM that is not there yet and that nothing limits.
pub(super) fn may_go(cluster: &Cluster, vm: Option<&VmRecord>, node: NodeSlot, live: bool) -> bool {
    let Some(target) = cluster.node_record(node) else { return false };
    if target.state != NodeState::Online || target.role == Role::Spare {
        return false;
    }
    let Some(vm) = vm else { return true };
    let carries = |label: &LabelSlot| target.labels.binary_search(label).is_ok();
    let moves = !live || (!vm.pinned && vm.migrate_requires.iter().all(carries));
    let allowed = |nodes: &[NodeId]| nodes.binary_search(&cluster.node_id_of(node)).is_ok();
    moves && vm.requires.iter().all(carries) && vm.allowed_nodes.as_ref().is_none_or(|nodes| allowed(nodes))
}

/// The node's shortage, if the change puts more on it than it has.
pub(super) fn short_of(before: &Cluster, after: &Cluster, node: NodeId, starting: &[VmId]) -> Option<Violation> {
    // What is listed on a node that is down holds nothing there.
    let target = after.node(node).ok().filter(|target| target.state().runs_vms())?;
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
    let (_, shortage) = worst(node, short)?;
    let message = format!("node '{}' is short of {}", target.name(), in_words(after, &shortage));
    let Shortage { node, resource, needed, free } = shortage;
    Some(against(ViolationKind::Insufficient { node, resource, needed, free }, message))
}

/// What a VM that needs this much lacks on a node, with how much that is of the need, in 2^32nds; `None`: it fits.
pub(super) fn lacks(node: NodeRef<'_>, need: &[u64]) -> Option<(u128, Shortage)> {
    let rows = need.iter().zip(node.used()).zip(node.allocatable()).enumerate();
    let short = rows.filter(|(_, ((need, used), most))| **need > 0 && used.saturating_add(**need) > **most);
    worst(node.id(), short.map(|(kind, ((need, used), most))| (kind, *need, most.saturating_sub(*used))))
}

/// Of the kinds of which a node has too little, each with what is needed and free, the one that lacks most of the need.
fn worst(node: NodeId, short: impl Iterator<Item = (usize, u64, u64)>) -> Option<(u128, Shortage)> {
    let part = |needed: u64, free: u64| {
        let missing = u128::from(needed.saturating_sub(free));
        missing.saturating_mul(1 << 32).checked_div(u128::from(needed)).unwrap_or(0)
    };
    let by_part = short.map(|(resource, needed, free)| (part(needed, free), Shortage { node, resource, needed, free }));
    by_part.max_by_key(|(part, shortage)| (*part, core::cmp::Reverse(shortage.resource)))
}

/// "memory: needs 8 GiB, free 6 GiB".
pub(super) fn in_words(cluster: &Cluster, shortage: &Shortage) -> String {
    let Shortage { resource, needed, free, .. } = shortage;
    let kind = cluster.kinds().get(*resource);
    let (kind, unit) = kind.map_or(("?", ""), |kind| (kind.name.as_str(), kind.unit.as_str()));
    let space = if unit.is_empty() { "" } else { " " };
    format!("{kind}: needs {needed}{space}{unit}, free {free}{space}{unit}")
}

fn at(row: &[u64], kind: usize) -> u64 {
    row.get(kind).copied().unwrap_or(0)
}

/// Which rules a transaction may break.
#[derive(Clone, Debug, Default)]
pub(super) struct Concerned {
    /// VMs that it starts, stops, moves or changes.
    pub(super) vms: Vec<VmId>,
    /// Rules that it describes anew.
    pub(super) edited: Vec<RuleSlot>,
    /// Whether it changes nodes or rules, so that any rule may be concerned.
    pub(super) all: bool,
}

impl Concerned {
    /// The rules, by name.
    fn rules(&self, before: &Cluster, after: &Cluster) -> Vec<RuleSlot> {
        let mut rules = self.concerned(before, after);
        let name = |rule: &RuleSlot| after.rule_ref(*rule).map(RuleRef::name);
        rules.sort_by(|left, right| name(left).cmp(&name(right)));
        rules
    }

    fn concerned(&self, before: &Cluster, after: &Cluster) -> Vec<RuleSlot> {
        if self.all {
            return after.rules().map(|rule| rule.id().slot).collect();
        }
        let of = |cluster: &Cluster, vm: VmSlot| {
            let record = cluster.vm_record(vm);
            record.map_or_else(Vec::new, |record| record.rules.iter().chain(&record.leads).copied().collect::<Vec<_>>())
        };
        let mut rules: Vec<RuleSlot> =
            self.vms.iter().flat_map(|vm| of(before, vm.slot).into_iter().chain(of(after, vm.slot))).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}

/// Rules that are broken, or broken further, than they were. A rule bars what puts one of its members, or its leader,
/// somewhere. A VM that stops, a node that comes back and a rule that is new or described anew leave the VMs where they
/// were: what that breaks is said.
pub(super) fn rules_broken(before: &Cluster, after: &Cluster, concerned: &Concerned) -> Vec<Violation> {
    let mut broken = Vec::new();
    for slot in concerned.rules(before, after) {
        let Some(rule) = after.rule_ref(slot).filter(|rule| !matches!(rule.strength(), Strength::Preferred { .. }))
        else {
            continue;
        };
        let excess = after.excess(slot);
        // A rule that was preferred bound nothing: it counts as new.
        let is_edited = concerned.edited.contains(&slot);
        let bound =
            !is_edited && before.rule(rule.id()).is_ok_and(|old| !matches!(old.strength(), Strength::Preferred { .. }));
        let was = if before.rule(rule.id()).is_ok() { before.excess(slot) } else { 0 };
        let old = bound.then_some(was);
        if excess <= old.unwrap_or(0) {
            continue;
        }
        let speaks_of = |vm: &&VmId| {
            let record = after.vm_record(vm.slot);
            record.is_some_and(|record| record.rules.contains(&slot) || record.leads.contains(&slot))
        };
        let arrives = |vm: &&VmId| {
            let waits = after.vm(**vm).is_ok_and(VmRef::is_displaced);
            !waits && !arrivals(before, after, **vm, true).is_empty()
        };
        let arriving: Vec<VmId> = concerned.vms.iter().filter(speaks_of).filter(arrives).copied().collect();
        // Where nothing else changes, what was before is what would be without them.
        let alone = bound && !concerned.all && concerned.vms.len() == 1;
        let enforced = !arriving.is_empty() && (alone || excess > excess_without(before, after, slot, &arriving));
        let name = rule.name();
        let message = match old {
            Some(0) => format!("rule '{name}' would be broken, by {excess}"),
            Some(old) => format!("rule '{name}' is broken by {old}, and would be by {excess}"),
            None => {
                let what = if is_edited { "described anew" } else { "new" };
                let how = if enforced { "would be broken" } else { "broken" };
                let when = if enforced { "" } else { " as VMs run now" };
                format!("rule '{name}' is {what}, and {how} by {excess}{when}")
            }
        };
        let kind = ViolationKind::Rule { rule: rule.id(), before: was, after: excess };
        broken.push(Violation { enforced, ..against(kind, message) });
    }
    broken
}

/// The excess of a rule if some VMs were where they ran before, or waited for a place.
fn excess_without(before: &Cluster, after: &Cluster, rule: RuleSlot, vms: &[VmId]) -> u64 {
    let mut without = after.clone();
    for vm in vms {
        let ran = before.vm(*vm).ok().filter(|vm| vm.is_on() && !vm.is_displaced()).and_then(VmRef::node);
        let home = ran.filter(|node| after.node(*node).is_ok());
        // They are on: they arrive.
        let _ = without.move_vm(*vm, home);
    }
    without.excess(rule)
}

/// A violation that refuses.
pub(super) fn against(kind: ViolationKind, message: String) -> Violation {
    Violation { kind, enforced: true, broken_before: false, message }
}
