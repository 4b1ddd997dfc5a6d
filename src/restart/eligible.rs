//! Where a VM may go, whatever else goes where: labels, allowed nodes, `confine` and `exclude`, a leader that stays.
//!
//! Uses `cluster`. Used by `restart::quick` (node by node), `restart::targets` (as sets) and `restart::reasons` (why
//! not).

use crate::cluster::node_set::NodeSet;
use crate::cluster::{Cluster, LabelSlot, VmRecord};
use crate::ids::{NodeSlot, RuleSlot, VmSlot};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// What bars a VM from a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bar {
    Label(LabelSlot),
    NotAllowed,
    Rule(RuleSlot),
}

/// A leader that stays, under this rule: the follower must be where it runs.
pub(super) type Leader = (RuleSlot, SmallVec<[NodeSlot; 2]>);

/// What bars `vm` from `node`, the first reason in the order of [`Reason`](super::plan::Reason); its state and its room
/// aside. Of several labels or rules the first by name.
pub(super) fn bar(cluster: &Cluster, vm: &VmRecord, leaders: &[Leader], node: NodeSlot) -> Option<Bar> {
    let carried = cluster.node_record(node).map_or(&[][..], |record| &record.labels);
    let missing = vm.requires.iter().filter(|label| carried.binary_search(label).is_err());
    if let Some(label) = missing.min_by_key(|label| cluster.label_name(**label)) {
        return Some(Bar::Label(*label));
    }
    if !is_allowed(cluster, vm, node) {
        return Some(Bar::NotAllowed);
    }
    let placed =
        cluster.place_rules(vm).filter(|(_, inside, nodes)| nodes.contains(node) != *inside).map(|(rule, _, _)| rule);
    let led = leaders.iter().filter(|(_, nodes)| !nodes.contains(&node)).map(|(rule, _)| *rule);
    placed.chain(led).min_by_key(|rule| cluster.rule_record(*rule).map(|rule| &*rule.name)).map(Bar::Rule)
}

/// Whether nothing bars `vm` from `node`; its state and its room aside.
#[inline]
pub(super) fn is_eligible(cluster: &Cluster, vm: &VmRecord, leaders: &[Leader], node: NodeSlot) -> bool {
    cluster.suits(vm, node) && is_allowed(cluster, vm, node) && leaders.iter().all(|(_, nodes)| nodes.contains(&node))
}

fn is_allowed(cluster: &Cluster, vm: &VmRecord, node: NodeSlot) -> bool {
    vm.allowed_nodes.as_ref().is_none_or(|allowed| allowed.binary_search(&cluster.node_id_of(node)).is_ok())
}

/// A short list that contains every node that the VM is eligible for, if something limits it to one.
pub(super) fn short_list(cluster: &Cluster, vm: &VmRecord, leaders: &[Leader], list: &mut Vec<NodeSlot>) -> bool {
    list.clear();
    if let Some((_, nodes)) = leaders.first() {
        list.extend_from_slice(nodes);
        return true;
    }
    if let Some(allowed) = &vm.allowed_nodes {
        list.extend(allowed.iter().filter_map(|id| cluster.live_node(*id)));
        return true;
    }
    let labelled = vm.requires.iter().filter_map(|label| cluster.labelled(*label));
    let confined = cluster.place_rules(vm).filter(|(_, inside, _)| *inside).map(|(_, _, nodes)| nodes);
    let short = labelled.chain(confined).filter_map(|nodes| match nodes {
        NodeSet::Short(nodes) => Some(nodes),
        NodeSet::Bits(..) => None,
    });
    // Of several the shortest, so that it does not matter which was listed first.
    let Some(nodes) = short.min_by_key(|nodes| nodes.len()) else { return false };
    list.extend_from_slice(nodes);
    true
}

/// A short list that contains every node on which labels, allowed nodes and `confine` let a VM run, if there is one.
pub(crate) fn may_run_on_few(cluster: &Cluster, vm: VmSlot, list: &mut Vec<NodeSlot>) -> bool {
    cluster.vm_record(vm).is_some_and(|record| short_list(cluster, record, &[], list))
}

/// Whether labels, allowed nodes, `confine` and `exclude` let a VM run on a node; its state and its room aside.
pub(crate) fn may_run_on(cluster: &Cluster, vm: VmSlot, node: NodeSlot) -> bool {
    cluster.vm_record(vm).is_some_and(|record| is_eligible(cluster, record, &[], node))
}
