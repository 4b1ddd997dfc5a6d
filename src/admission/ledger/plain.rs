//! What ties VMs to others: plain VMs are those whose coming, going and growing concerns nothing but room.
//!
//! Uses `cluster`. Used by `ledger` and `admission::quick`.
//!
//! A VM is plain if no rule but `confine` and `exclude` binds it (preferred rules bind nothing), it leads no one, and no
//! VM gives up on another between it and the rest. Rules of strength `relaxed` bind admissions, so they count here.

use super::apart::MOST_MEMBERS;
use crate::cluster::{Cluster, OnTimeout, RuleBody, RuleRecord, Strength, Vm, VmTraits};
use crate::ids::VmSlot;

/// What ties a VM to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tie {
    /// It is plain.
    None,
    /// `separate` rules, of few members, and nothing else.
    Apart,
    /// Anything else.
    Other,
}

/// Whether a rule binds its members to one another.
pub(super) fn ties(rule: &RuleRecord) -> bool {
    !matches!(rule.strength, Strength::Preferred { .. }) && !matches!(rule.body, RuleBody::Place { .. })
}

/// Whether the books can follow a VM that comes, goes or changes: a plain one, or one that `separate` rules alone tie.
pub(crate) fn is_followed(cluster: &Cluster, vm: VmSlot) -> bool {
    tie(cluster, vm) != Tie::Other
}

/// Whether a VM is plain; one that is not there is.
pub(crate) fn is_plain(cluster: &Cluster, vm: VmSlot) -> bool {
    tie(cluster, vm) == Tie::None
}

/// What ties a VM; one that is not there is plain.
fn tie(cluster: &Cluster, vm: VmSlot) -> Tie {
    let Some(record) = cluster.vm_record(vm) else { return Tie::None };
    let traits = cluster.facts(vm).traits;
    let mut tie = Tie::None;
    if traits.any(VmTraits::RULES) {
        let rules = record.rules.iter().chain(&record.leads).filter_map(|rule| cluster.rule_record(*rule));
        for rule in rules.filter(|rule| ties(rule)) {
            let separate = matches!(rule.body, RuleBody::Separate { .. } | RuleBody::Sides { .. });
            if !separate || rule.members.len() > MOST_MEMBERS {
                return Tie::Other;
            }
            tie = Tie::Apart;
        }
    }
    if traits.any(VmTraits::EDGES) && record.starts_after.iter().any(|edge| edge.on_timeout == OnTimeout::GiveUp) {
        return Tie::Other;
    }
    if record.dependents.iter().any(|dependent| cluster.gives_up_on(*dependent, vm)) { Tie::Other } else { tie }
}

/// Whether a VM that is to be added will be plain, and nothing will limit where it may go.
pub(crate) fn is_plain_described(cluster: &Cluster, vm: &Vm) -> bool {
    vm.requires.is_empty()
        && vm.allowed_nodes.is_none()
        && vm.starts_after.iter().all(|edge| edge.on_timeout != OnTimeout::GiveUp)
        && vm.groups.iter().all(|group| cluster.is_group_without_rules(group))
}
