//! What all answers share: objects whose fields keep their order, names for ids, text.
//!
//! Uses `cluster`. Used by every part of `answers`.

use crate::cluster::{Cluster, NodeRef, VmRef};
use crate::ids::{NodeId, VmId};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Serialize, Serializer};

/// An object whose fields keep their order.
pub(super) struct Fields<'a, T>(pub(super) Vec<(&'a str, T)>);

impl<T: Serialize> Serialize for Fields<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A VM's name. All ids in an answer are those of its cluster.
pub(super) fn vm_name(cluster: &Cluster, vm: VmId) -> &str {
    cluster.vm(vm).map_or("?", VmRef::name)
}

/// A node's name.
pub(super) fn node_name(cluster: &Cluster, node: NodeId) -> &str {
    cluster.node(node).map_or("?", NodeRef::name)
}

pub(super) fn vm_names<'a>(cluster: &'a Cluster, vms: &[VmId]) -> Vec<&'a str> {
    vms.iter().map(|vm| vm_name(cluster, *vm)).collect()
}

pub(super) fn node_names<'a>(cluster: &'a Cluster, nodes: &[NodeId]) -> Vec<&'a str> {
    nodes.iter().map(|node| node_name(cluster, *node)).collect()
}

/// A count as JSON has it.
pub(super) fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// An answer as JSON text for people and programs, ending in a line break.
pub fn to_text(answer: &impl Serialize) -> String {
    // Strings, numbers, lists and maps with string keys always serialise.
    let mut text = serde_json::to_string_pretty(answer).unwrap_or_default();
    text.push('\n');
    text
}

/// An answer as one line of JSON, among the answers of a stream.
pub fn to_line(answer: &impl Serialize) -> String {
    let mut text = serde_json::to_string(answer).unwrap_or_default();
    text.push('\n');
    text
}
