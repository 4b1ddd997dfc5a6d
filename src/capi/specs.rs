//! Structs that describe objects, and the objects that they describe.
//!
//! Uses `values`, `cluster` and `document` (rules as text). Used by `capi::cluster` and `capi::policy`. All fields are
//! numbers of fixed width, pointers and counts, laid out without gaps on 32 and 64 bits.

use super::cluster::{node_of, node_or_none};
use super::error::{Failure, fail};
use super::status::{LIFEBOAT_BAD_DOCUMENT, LIFEBOAT_INVALID_ARGUMENT};
use super::values::{NAMES, Str, at_least_one, believe, first_version, list, name, names, not_found, text, texts};
use crate::cluster::{Cluster, MAX_LEVELS, Node, NodeState, Power, Priority, RestartClass, Role, Rule, Vm};
use crate::document::Objects;
use crate::document::tree::Tree;
use crate::policy::{FailureClass, Mode};
use crate::resources::{Amounts, MAX_KINDS};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// A kind of resource: what is counted, for example memory in MiB. `size` is sizeof(lifeboat_resource_spec), the same in all
/// places of a list.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ResourceSpec {
    /// sizeof(lifeboat_resource_spec).
    pub size: u32,
    /// Not 0: nodes and VMs may leave it out without a remark.
    pub optional: u32,
    /// Its name.
    pub name: Str,
    /// Its unit, for display.
    pub unit: Str,
    /// Added to every demand and reservation.
    pub per_vm: u64,
}

first_version!(ResourceSpec { .., per_vm: u64 } = 48 | 32);

/// A node. `size` is sizeof(lifeboat_node_spec); zeros stand for what is left out.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NodeSpec {
    /// sizeof(lifeboat_node_spec).
    pub size: u32,
    /// How many VMs it starts at a time; 0: no limit.
    pub start_limit: u32,
    /// Its name.
    pub name: Str,
    /// As in a document: online (if left out), cordoned, maintenance, unreachable, failed.
    pub state: Str,
    /// As in a document: general (if left out), spare.
    pub role: Str,
    /// What it has, in the order and units of the kinds.
    pub capacity: *const u64,
    /// What the hypervisor keeps of it; NULL: nothing.
    pub reserved: *const u64,
    /// Overcommitment in per cent; NULL: 100 of each; 0 in it: 100.
    pub overcommit: *const u64,
    /// The same for restarts; NULL: as `overcommit`; 0 in it: as `overcommit`.
    pub failover_overcommit: *const u64,
    /// How many amounts each of these lists has: at most as many as there are kinds.
    pub kind_count: usize,
    /// Levels, each with the domain at the same position in `domains`.
    pub levels: *const Str,
    /// Names of domains.
    pub domains: *const Str,
    /// How many levels and domains: at most as many as the cluster has levels.
    pub domain_count: usize,
    /// Labels.
    pub labels: *const Str,
    /// How many labels.
    pub label_count: usize,
}

first_version!(NodeSpec { .., label_count: usize } = 136 | 72);

/// In `flags` of a VM: it must not be evicted.
pub const LIFEBOAT_VM_NOT_PREEMPTIBLE: u32 = 1;
/// In `flags` of a VM: it cannot be moved while it runs.
pub const LIFEBOAT_VM_NOT_MIGRATABLE: u32 = 2;
/// In `flags` of a VM: its priority is the field `priority`, even if that is 0.
pub const LIFEBOAT_VM_PRIORITY_IS_SET: u32 = 4;
/// In `flags` of a VM: it can run on the nodes in `allowed_nodes` alone, even if there are none.
pub const LIFEBOAT_VM_ALLOWED_IS_SET: u32 = 8;

/// A VM. `size` is sizeof(lifeboat_vm_spec); zeros stand for what is left out.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct VmSpec {
    /// sizeof(lifeboat_vm_spec).
    pub size: u32,
    /// Larger is more important; 0 is medium (2000) unless LIFEBOAT_VM_PRIORITY_IS_SET.
    pub priority: u32,
    /// LIFEBOAT_VM_* bits.
    pub flags: u32,
    /// Seconds that it takes to start; 0: not known.
    pub start_s: u32,
    /// Its name.
    pub name: Str,
    /// Where it runs or, off, last ran; empty: nowhere.
    pub node: Str,
    /// Where it is being moved to; empty: it is not.
    pub migrating_to: Str,
    /// on or off; empty: on with a node, else off.
    pub power: Str,
    /// protected (if left out), best_effort, never.
    pub restart: Str,
    /// What it holds while it runs, in the order and units of the kinds.
    pub demand: *const u64,
    /// What its node must have free to start it; NULL: as `demand`.
    pub restart_demand: *const u64,
    /// What is reserved for it; NULL: as `demand`.
    pub reservation: *const u64,
    /// How many amounts each of these lists has: at most as many as there are kinds.
    pub kind_count: usize,
    /// Labels that its node must carry.
    pub requires: *const Str,
    /// How many.
    pub requires_count: usize,
    /// The nodes that it can run on; none: any, unless LIFEBOAT_VM_ALLOWED_IS_SET.
    pub allowed_nodes: *const Str,
    /// How many: at most as many as there are nodes.
    pub allowed_count: usize,
    /// Labels that the target of a live move must carry besides.
    pub migrate_requires: *const Str,
    /// How many.
    pub migrate_requires_count: usize,
    /// Groups that rules can use.
    pub groups: *const Str,
    /// How many.
    pub group_count: usize,
}

first_version!(VmSpec { .., group_count: usize } = 192 | 104);

/// In `flags` of a failure class: losses may come one after another, in any order.
pub const LIFEBOAT_TOLERATE_ANY_ORDER: u32 = 1;

/// A failure class: up to so many units of each level. `size` is sizeof(lifeboat_tolerance_spec).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ToleranceSpec {
    /// sizeof(lifeboat_tolerance_spec).
    pub size: u32,
    /// LIFEBOAT_TOLERATE_* bits.
    pub flags: u32,
    /// Only protected VMs of at least this priority; 0: all.
    pub min_priority: u32,
    /// 0.
    pub padding: u32,
    /// enforce, warn, off; empty: as the policy says.
    pub mode: Str,
    /// Levels (node: nodes), each once, with the count at the same position in `counts`.
    pub levels: *const Str,
    /// How many units of each.
    pub counts: *const u32,
    /// How many levels and counts.
    pub level_count: usize,
}

first_version!(ToleranceSpec { .., level_count: usize } = 56 | 36);

/// Amounts; none where there is no list.
fn amounts(data: *const u64, count: usize) -> Result<Option<Amounts>, Failure> {
    if data.is_null() { Ok(None) } else { Ok(Some(Amounts::from(list(data, count, MAX_KINDS)?))) }
}

fn percents(data: *const u64, count: usize) -> Result<Vec<(usize, u32)>, Failure> {
    let given = if data.is_null() { &[] } else { list(data, count, MAX_KINDS)? };
    let stated = given.iter().enumerate().filter(|(_, percent)| **percent > 0);
    let wrong = |_| fail(LIFEBOAT_INVALID_ARGUMENT, "an overcommitment is larger than it can be");
    stated.map(|(at, percent)| Ok((at, u32::try_from(*percent).map_err(wrong)?))).collect()
}

/// The value of this name; the default for an empty one.
fn choice<T: Default>(given: Str, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<T, Failure> {
    match text(given)? {
        "" => Ok(T::default()),
        name => find(name).ok_or_else(|| not_found(what, name)),
    }
}

fn bits(flags: u32, known: u32) -> Result<(), Failure> {
    if flags & !known == 0 {
        Ok(())
    } else {
        Err(fail(super::status::LIFEBOAT_UNSUPPORTED, "there are flags that this version of the library does not know"))
    }
}

/// The node that a struct describes.
pub(super) fn node_of_spec(cluster: &Cluster, spec: &NodeSpec) -> Result<Node, Failure> {
    believe(spec.kind_count, cluster.kinds().len())?;
    let mut node = Node::named(name(spec.name)?);
    if let Some(state) = choice(spec.state, "state", |name| NodeState::from_name(name).map(Some))? {
        node.state = state;
    }
    node.role = choice(spec.role, "role", Role::from_name)?;
    node.capacity = amounts(spec.capacity, spec.kind_count)?.unwrap_or_default();
    node.reserved = amounts(spec.reserved, spec.kind_count)?.unwrap_or_default();
    node.overcommit = percents(spec.overcommit, spec.kind_count)?;
    node.failover_overcommit = percents(spec.failover_overcommit, spec.kind_count)?;
    let (count, most) = (spec.domain_count, cluster.levels().len());
    let (levels, domains) = (names(spec.levels, count, most)?, names(spec.domains, count, most)?);
    node.domains = levels.into_iter().zip(domains).collect();
    node.labels = names(spec.labels, spec.label_count, NAMES)?;
    node.start_limit = Some(spec.start_limit).filter(|limit| *limit > 0);
    Ok(node)
}

/// The VM that a struct describes.
pub(super) fn vm_of_spec(cluster: &Cluster, spec: &VmSpec) -> Result<Vm, Failure> {
    bits(
        spec.flags,
        LIFEBOAT_VM_NOT_PREEMPTIBLE
            | LIFEBOAT_VM_NOT_MIGRATABLE
            | LIFEBOAT_VM_PRIORITY_IS_SET
            | LIFEBOAT_VM_ALLOWED_IS_SET,
    )?;
    believe(spec.kind_count, cluster.kinds().len())?;
    let is_set = |flag: u32| spec.flags & flag != 0;
    let mut vm = Vm::named(name(spec.name)?);
    if spec.priority > 0 || is_set(LIFEBOAT_VM_PRIORITY_IS_SET) {
        vm.priority = Priority(spec.priority);
    }
    vm.node = node_or_none(cluster, text(spec.node)?)?;
    vm.migrating_to = node_or_none(cluster, text(spec.migrating_to)?)?;
    vm.power = choice(spec.power, "power", |name| Power::from_name(name).map(Some))?;
    vm.restart = choice(spec.restart, "restart class", RestartClass::from_name)?;
    vm.demand = amounts(spec.demand, spec.kind_count)?;
    vm.restart_demand = amounts(spec.restart_demand, spec.kind_count)?;
    vm.reservation = amounts(spec.reservation, spec.kind_count)?;
    vm.requires = names(spec.requires, spec.requires_count, NAMES)?;
    vm.migrate_requires = names(spec.migrate_requires, spec.migrate_requires_count, NAMES)?;
    vm.groups = names(spec.groups, spec.group_count, NAMES)?;
    if spec.allowed_count > 0 || is_set(LIFEBOAT_VM_ALLOWED_IS_SET) {
        let names = texts(spec.allowed_nodes, spec.allowed_count, at_least_one(cluster.node_count()))?;
        vm.allowed_nodes = Some(names.iter().map(|name| node_of(cluster, name)).collect::<Result<_, _>>()?);
    }
    if is_set(LIFEBOAT_VM_NOT_PREEMPTIBLE) {
        vm.preemptible = Some(false);
    }
    vm.pinned = is_set(LIFEBOAT_VM_NOT_MIGRATABLE);
    vm.start_s = Some(spec.start_s).filter(|seconds| *seconds > 0);
    Ok(vm)
}

/// The failure class that a struct describes.
pub(super) fn class_of_spec(spec: &ToleranceSpec) -> Result<FailureClass, Failure> {
    bits(spec.flags, LIFEBOAT_TOLERATE_ANY_ORDER)?;
    // What is 0 today may come to mean something.
    bits(spec.padding, 0)?;
    // All levels, and that of the nodes.
    let most = MAX_LEVELS.saturating_add(1);
    let counts = list(spec.counts, spec.level_count, most)?;
    let mut class = FailureClass::nodes(0);
    let levels = names(spec.levels, spec.level_count, most)?;
    for (at, level) in levels.iter().enumerate() {
        if level.is_empty() {
            return Err(fail(LIFEBOAT_INVALID_ARGUMENT, "a level of a failure class has no name"));
        }
        if levels.iter().take(at).any(|other| other == level) {
            return Err(fail(
                LIFEBOAT_INVALID_ARGUMENT,
                format!("the level \"{level}\" stands twice in a failure class"),
            ));
        }
    }
    class.fail = levels.into_iter().zip(counts.iter().copied()).collect();
    class.min_priority = Some(Priority(spec.min_priority)).filter(|least| least.0 > 0);
    class.mode = choice(spec.mode, "mode", |name| Mode::from_name(name).map(Some))?;
    class.any_order = spec.flags & LIFEBOAT_TOLERATE_ANY_ORDER != 0;
    Ok(class)
}

/// A value as JSON text has it.
pub(super) fn tree_of(json: &str) -> Result<Tree, Failure> {
    serde_json::from_str(json).map_err(|error| fail(LIFEBOAT_BAD_DOCUMENT, error.to_string()))
}

/// The rule that JSON text describes.
pub(super) fn rule_of_json(cluster: &Cluster, json: &str) -> Result<Rule, Failure> {
    Ok(Objects::of(cluster).rule(tree_of(json)?)?)
}
