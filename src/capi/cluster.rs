//! Clusters: documents in and out, and edits.
//!
//! Uses `document`, `cluster` and `admission` (changes as text). Used by every part of `capi` that answers. Edits that are
//! refused change nothing.

use super::buffer::{BufferHandle, put_text};
use super::error::{ErrorHandle, Failure, fail};
use super::handle::{free, guard, kind, lend};
use super::policy::PolicyHandle;
use super::specs::{NodeSpec, ResourceSpec, VmSpec, node_of_spec, vm_of_spec};
use super::status::{LIFEBOAT_INVALID_ARGUMENT, LIFEBOAT_NULL_ARGUMENT, Status};
use super::values::{
    Str, Unit, at_least_one, list, name, names, not_found, put_handle, put_if, sized, sized_list, text, writable,
    writable_if,
};
use crate::admission::{Change, read_changes};
use crate::answers::{Sound, to_text};
use crate::cluster::{Cluster, MAX_LEVELS, NODE_LEVEL, NodeState};
use crate::document::{Document, to_json, to_json_pretty};
use crate::failure::Failure as Losses;
use crate::ids::{NodeId, RuleId, VmId};
use crate::policy::Policy;
use crate::resources::{MAX_KINDS, ResourceKind, ResourceKinds};
use crate::restart::Planner;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A cluster: nodes, VMs, fault domains and rules.
pub struct ClusterHandle {
    _opaque: (),
}
kind!(ClusterHandle(ClusterBody) = 0x1b0a_0004, "cluster");

/// A cluster, and the planner for it, which keeps its memory from plan to plan.
#[derive(Debug)]
pub(super) struct ClusterBody {
    pub(super) cluster: Cluster,
    pub(super) planner: Planner,
}

impl ClusterBody {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, planner: Planner::new() }
    }
}

pub(super) type Err = *mut *mut ErrorHandle;

/// Reads a document lifeboat/1. Either of `cluster` and `policy` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_from_json(
    document: Str,
    cluster: *mut *mut ClusterHandle,
    policy: *mut *mut PolicyHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable_if(cluster)?;
        writable_if(policy)?;
        let (read, rules) = Document::from_json(text(document)?)?.into_parts();
        if !cluster.is_null() {
            put_handle(cluster, ClusterBody::new(read))?;
        }
        if !policy.is_null() {
            put_handle(policy, rules)?;
        }
        Ok(())
    })
}

/// Writes a document lifeboat/1: for people if `pretty` is not 0. Without a policy (NULL) the default one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_to_json(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    pretty: u32,
    out: *mut *mut BufferHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let cluster = lend(cluster)?;
        let given = if policy.is_null() { None } else { Some(lend(policy)?) };
        let standard = Policy::default();
        let policy = given.as_deref().unwrap_or(&standard);
        let write = if pretty == 0 { to_json } else { to_json_pretty };
        put_text(out, || Ok(write(&cluster.cluster, policy)))
    })
}

/// An empty cluster with these kinds of resources, in this order, and these levels of fault domains, widest first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_new(
    kinds: *const ResourceSpec,
    kind_count: usize,
    levels: *const Str,
    level_count: usize,
    out: *mut *mut ClusterHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let mut found: Vec<ResourceKind> = Vec::new();
        for kind in sized_list(kinds, kind_count, MAX_KINDS)? {
            let mut one = ResourceKind::new(name(kind.name)?, name(kind.unit)?);
            (one.per_vm, one.optional) = (kind.per_vm, kind.optional != 0);
            found.push(one);
        }
        let wrong = |message: String| fail(LIFEBOAT_INVALID_ARGUMENT, message);
        let kinds = ResourceKinds::from_kinds(found).map_err(|error| wrong(error.to_string()))?;
        let cluster = Cluster::new(kinds, names(levels, level_count, MAX_LEVELS)?)?;
        put_handle(out, ClusterBody::new(cluster))
    })
}

/// A cluster of its own that is the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_clone(
    cluster: *mut ClusterHandle,
    out: *mut *mut ClusterHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        put_handle(out, ClusterBody::new(lend(cluster)?.cluster.clone()))
    })
}

/// Frees a cluster; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_free(cluster: *mut ClusterHandle) -> Status {
    free(cluster)
}

/// How many kinds of resources, nodes, VMs and rules there are; each out-parameter may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_counts(
    cluster: *mut ClusterHandle,
    kinds: *mut usize,
    nodes: *mut usize,
    vms: *mut usize,
    rules: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        for out in [kinds, nodes, vms, rules] {
            writable_if(out)?;
        }
        let ClusterBody { cluster, .. } = &*lend(cluster)?;
        put_if(kinds, cluster.kinds().len())?;
        put_if(nodes, cluster.node_count())?;
        put_if(vms, cluster.vm_count())?;
        put_if(rules, cluster.rule_count())
    })
}

/// What is odd about a cluster, rules that cannot all hold, and how full it is: JSON, lifeboat-check/1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_check(
    cluster: *mut ClusterHandle,
    out: *mut *mut BufferHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let cluster = lend(cluster)?.cluster.clone();
        put_text(out, || Ok(to_text(&Sound::of(cluster, Vec::new()).json())))
    })
}

/// Adds a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_add_node(
    cluster: *mut ClusterHandle,
    node: *const NodeSpec,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let cluster = &mut lend(cluster)?.cluster;
        cluster.add_node(node_of_spec(cluster, &sized(node)?)?)?;
        Ok(())
    })
}

/// Describes the node of that name anew, as a whole: what the struct leaves out becomes the default. What it cannot say
/// stays: display name and annotations.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_update_node(
    cluster: *mut ClusterHandle,
    node: *const NodeSpec,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let cluster = &mut lend(cluster)?.cluster;
        let mut node = node_of_spec(cluster, &sized(node)?)?;
        let id = node_of(cluster, &node.name)?;
        let before = cluster.node(id)?.to_node();
        (node.display, node.annotations) = (before.display, before.annotations);
        Ok(cluster.update_node(id, node)?)
    })
}

/// What the state of a cluster is known by, as text of 32 hexadecimal digits: the same content has the same, whatever the
/// order in which it was entered. Plans, verdicts and certificates are for one state.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_fingerprint(
    cluster: *mut ClusterHandle,
    out: *mut *mut BufferHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let cluster = lend(cluster)?;
        put_text(out, || Ok(format!("{:032x}", cluster.cluster.fingerprint())))
    })
}

/// Removes a node; VMs that ran there wait for a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_remove_node(
    cluster: *mut ClusterHandle,
    name: Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    edit(cluster, error, |cluster| {
        let node = node_of(cluster, text(name)?)?;
        Ok(cluster.remove_node(node)?)
    })
}

/// Sets the state of a node, by its name in a document: online, cordoned, maintenance, unreachable, failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_set_node_state(
    cluster: *mut ClusterHandle,
    name: Str,
    state: Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    edit(cluster, error, |cluster| {
        let node = node_of(cluster, text(name)?)?;
        let state = state_of(text(state)?)?;
        Ok(cluster.set_node_state(node, state)?)
    })
}

/// Adds a VM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_add_vm(
    cluster: *mut ClusterHandle,
    vm: *const VmSpec,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let cluster = &mut lend(cluster)?.cluster;
        let vm = vm_of_spec(cluster, &sized(vm)?)?;
        cluster.add_vm(vm)?;
        Ok(())
    })
}

/// Describes the VM of that name anew, as a whole: what the struct leaves out becomes the default. What it cannot say
/// stays: what it starts after, display name and annotations.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_update_vm(
    cluster: *mut ClusterHandle,
    vm: *const VmSpec,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let cluster = &mut lend(cluster)?.cluster;
        let mut vm = vm_of_spec(cluster, &sized(vm)?)?;
        let id = vm_of(cluster, &vm.name)?;
        let before = cluster.vm(id)?.to_vm();
        (vm.starts_after, vm.display, vm.annotations) = (before.starts_after, before.display, before.annotations);
        Ok(cluster.update_vm(id, vm)?)
    })
}

/// Removes a VM from the cluster, its rules and its start edges.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_remove_vm(
    cluster: *mut ClusterHandle,
    name: Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    edit(cluster, error, |cluster| {
        let vm = vm_of(cluster, text(name)?)?;
        Ok(cluster.remove_vm(vm)?)
    })
}

/// A VM that is off starts on a node, or, with an empty name of a node, waits for a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_start_vm(
    cluster: *mut ClusterHandle,
    name: Str,
    node: Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    edit(cluster, error, |cluster| {
        let (vm, node) = (vm_of(cluster, text(name)?)?, node_or_none(cluster, text(node)?)?);
        Ok(cluster.start_vm(vm, node)?)
    })
}

/// A VM that is on stops.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_stop_vm(
    cluster: *mut ClusterHandle,
    name: Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    edit(cluster, error, |cluster| {
        let vm = vm_of(cluster, text(name)?)?;
        Ok(cluster.stop_vm(vm)?)
    })
}

/// A VM is on another node now; with an empty name of a node it waits for a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_move_vm(
    cluster: *mut ClusterHandle,
    name: Str,
    node: Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    edit(cluster, error, |cluster| {
        let (vm, node) = (vm_of(cluster, text(name)?)?, node_or_none(cluster, text(node)?)?);
        Ok(cluster.move_vm(vm, node)?)
    })
}

/// A live migration to a node begins: until it ends the VM counts on both.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_start_migration(
    cluster: *mut ClusterHandle,
    name: Str,
    node: Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    edit(cluster, error, |cluster| {
        let (vm, node) = (vm_of(cluster, text(name)?)?, node_of(cluster, text(node)?)?);
        Ok(cluster.start_migration(vm, node)?)
    })
}

/// A live migration ends: it has arrived, or (`arrived` 0) was given up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_end_migration(
    cluster: *mut ClusterHandle,
    name: Str,
    arrived: u32,
    error: *mut *mut ErrorHandle,
) -> Status {
    edit(cluster, error, |cluster| {
        let vm = vm_of(cluster, text(name)?)?;
        Ok(cluster.end_migration(vm, arrived != 0)?)
    })
}

/// Adds a rule: JSON, as it stands in a document.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_add_rule(
    cluster: *mut ClusterHandle,
    rule: Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    edit(cluster, error, |cluster| {
        cluster.add_rule(super::specs::rule_of_json(cluster, text(rule)?)?)?;
        Ok(())
    })
}

/// Describes the rule of that name anew: JSON, as it stands in a document.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_update_rule(
    cluster: *mut ClusterHandle,
    rule: Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    edit(cluster, error, |cluster| {
        let rule = super::specs::rule_of_json(cluster, text(rule)?)?;
        let id = rule_of(cluster, &rule.name)?;
        Ok(cluster.update_rule(id, rule)?)
    })
}

/// Removes a rule.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_remove_rule(
    cluster: *mut ClusterHandle,
    name: Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    edit(cluster, error, |cluster| {
        let rule = rule_of(cluster, text(name)?)?;
        Ok(cluster.remove_rule(rule)?)
    })
}

/// Carries out changes: JSON, an operation of a changes file or a list of them, all or none. `policy` is changed by
/// `set_policy`; without one (NULL) it is not kept.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cluster_edit(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    changes: Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let cluster = &mut lend(cluster)?.cluster;
        let mut given = if policy.is_null() { None } else { Some(lend(policy)?) };
        let mut rules = given.as_deref().cloned().unwrap_or_default();
        let changes: Vec<Change> = read_changes(cluster, &rules, text(changes)?)?;
        let mut next = cluster.clone();
        for change in &changes {
            change.apply(&mut next, &mut rules)?;
        }
        *cluster = next;
        if let Some(policy) = given.as_deref_mut() {
            *policy = rules;
        }
        Ok(())
    })
}

fn edit(cluster: *mut ClusterHandle, error: Err, work: impl FnOnce(&mut Cluster) -> Result<(), Failure>) -> Status {
    guard(error, || work(&mut lend(cluster)?.cluster))
}

pub(super) fn node_of(cluster: &Cluster, name: &str) -> Result<NodeId, Failure> {
    cluster.node_id(name).ok_or_else(|| not_found("node", name))
}

/// A node, or none for an empty name.
pub(super) fn node_or_none(cluster: &Cluster, name: &str) -> Result<Option<NodeId>, Failure> {
    if name.is_empty() { Ok(None) } else { node_of(cluster, name).map(Some) }
}

pub(super) fn vm_of(cluster: &Cluster, name: &str) -> Result<VmId, Failure> {
    cluster.vm_id(name).ok_or_else(|| not_found("VM", name))
}

fn rule_of(cluster: &Cluster, name: &str) -> Result<RuleId, Failure> {
    cluster.rule_id(name).ok_or_else(|| not_found("rule", name))
}

pub(super) fn state_of(name: &str) -> Result<NodeState, Failure> {
    NodeState::from_name(name).ok_or_else(|| not_found("state", name))
}

/// The failure that units name.
pub(super) fn losses(cluster: &Cluster, units: *const Unit, count: usize) -> Result<Losses, Failure> {
    let mut nodes: Vec<NodeId> = Vec::new();
    let mut losses = Losses::none();
    // Each node, and the domains of each level, of which there are no more than nodes.
    let most = cluster.node_count().saturating_mul(cluster.levels().len().saturating_add(1));
    for unit in list(units, count, at_least_one(most))? {
        // A name may be NULL only by mistake: an empty one is no node's.
        if unit.name.data.is_null() {
            return Err(fail(LIFEBOAT_NULL_ARGUMENT, "the name of a unit is NULL"));
        }
        match (text(unit.level)?, text(unit.name)?) {
            ("" | NODE_LEVEL, name) => nodes.push(node_of(cluster, name)?),
            (level, name) => losses = losses.domain(cluster, level, name)?,
        }
    }
    Ok(if losses.nodes().is_empty() {
        Losses::of(nodes)
    } else {
        Losses::of(nodes.into_iter().chain(losses.nodes().iter().copied()))
    })
}
