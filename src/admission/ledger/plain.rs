//! Plain VMs: those whose coming, going and growing concerns nothing but room.
//!
//! Uses `cluster`. Used by `admission::guard` before and after an edit.
//!
//! A VM is plain if no rule but `confine` and `exclude` binds it (preferred rules bind nothing), it leads no one, and no
//! VM gives up on another between it and the rest. Rules of strength `relaxed` bind admissions, so they count here.

use crate::cluster::{Cluster, OnTimeout, RuleBody, RuleRecord, Strength, Vm, VmTraits};
use crate::ids::VmSlot;

fn ties(rule: &RuleRecord) -> bool {
    !matches!(rule.strength, Strength::Preferred { .. }) && !matches!(rule.body, RuleBody::Place { .. })
}

/// Whether a VM is plain; one that is not there is.
pub(crate) fn is_plain(cluster: &Cluster, vm: VmSlot) -> bool {
    let Some(record) = cluster.vm_record(vm) else { return true };
    let traits = cluster.facts(vm).traits;
    if traits.any(VmTraits::RULES) {
        let rules = record.rules.iter().chain(&record.leads).filter_map(|rule| cluster.rule_record(*rule));
        let mut binding = rules.filter(|rule| ties(rule));
        if binding.next().is_some() {
            return false;
        }
    }
    if traits.any(VmTraits::EDGES) && record.starts_after.iter().any(|edge| edge.on_timeout == OnTimeout::GiveUp) {
        return false;
    }
    !record.dependents.iter().any(|dependent| cluster.gives_up_on(*dependent, vm))
}

/// Whether a VM that is to be added will be plain, and nothing will limit where it may go.
pub(crate) fn is_plain_described(cluster: &Cluster, vm: &Vm) -> bool {
    vm.requires.is_empty()
        && vm.allowed_nodes.is_none()
        && vm.starts_after.iter().all(|edge| edge.on_timeout != OnTimeout::GiveUp)
        && vm.groups.iter().all(|group| cluster.is_group_without_rules(group))
}
