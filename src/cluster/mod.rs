//! What there is: nodes, VMs, fault domains, rules and labels, kept consistent by every edit.
//!
//! Uses `resources`, `ids`, `dense`, `room`. Used by everything above; knows nothing of documents, failures or plans.
//!
//! **The data's path.** A caller describes objects by [`Node`], [`Vm`] and [`Rule`]; an edit checks the description,
//! interns its names and files it as a record in a slot, with amounts in dense rows beside it. From then on everything
//! is slots. Every edit brings along what is derived: who is on which node (`residents`, `incoming`), what each node
//! holds (`used`) and has free for restarts (`free`, and the [`RoomIndex`] over it), which nodes a rule or label
//! speaks of, who waits for a place (`homeless`), effective classes and priorities, and the short form of VMs that
//! plans read (`facts`), and the `fingerprint`. An edit costs what it touches; a refused edit changes nothing.
//!
//! `error`, `node`, `vm`, `rule` hold what callers see; `slab`, `names`, `node_set`, `levels` are the stores; `nodes`, `vms`,
//! `rules`, `effective` are the edits, `bulk` is for many of them, `trial` for what admission looks at before an edit and
//! takes back after it; `view` reads back; `fingerprint` binds answers to states; `excess` says how far rules are broken,
//! `check` what is odd; `invariants` proves what is derived.

#[cfg(feature = "serde")]
mod bulk;
mod check;
mod effective;
mod error;
mod excess;
mod facts;
mod fingerprint;
mod invariants;
mod levels;
mod names;
mod node;
pub(crate) mod node_set;
mod nodes;
mod rule;
mod rules;
pub(crate) mod slab;
mod trial;
mod view;
mod vm;
mod vms;

pub use check::{Warning, WarningKind};
pub use error::EditError;
pub use fingerprint::ClusterState;
pub use levels::{MAX_LEVELS, NODE_LEVEL};
pub use node::{Node, NodeState, Role};
pub use rule::{Place, Rule, RuleKind, Strength};
pub use view::{NodeRef, RuleRef, VmRef};
pub use vm::{OnTimeout, Power, Priority, RestartClass, StartEdge, Until, Vm};

pub(crate) use excess::{More, Seen};
pub(crate) use facts::{NO_HOME, VmFacts, VmTraits};
pub(crate) use levels::{Levels, own_node};
pub(crate) use nodes::NodeRecord;
pub(crate) use rules::{RuleBody, RuleRecord};
pub(crate) use trial::VmBefore;
pub(crate) use view::SizeScale;
pub(crate) use vms::{Edge, VmRecord};

use crate::annotations::Annotations;
use crate::dense::{IdVec, Rows, dense_id};
use crate::ids::{NodeId, NodeSlot, RuleId, RuleSlot, VmId, VmSlot};
use crate::resources::{Amounts, ResourceKinds};
use crate::room::RoomIndex;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use names::Names;
use node_set::NodeSet;
use slab::{Interner, Slab};

dense_id! {
    /// An interned label.
    pub(crate) struct LabelSlot;
    /// An interned group name.
    pub(crate) struct GroupSlot;
}

/// The most nodes, VMs or rules in one cluster: half of what an id can tell apart.
pub(crate) const MAX_OBJECTS: u32 = 1 << 30;

/// A cluster: nodes, VMs, fault domains and rules.
///
/// ```
/// use lifeboat::{Cluster, Node, Priority, ResourceKinds, Vm};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("cpu", "MHz"), ("memory", "MiB")])?, ["site", "rack"])?;
/// let node = cluster.add_node(Node::named("esx-01").capacity([48_000, 393_216]).domain("rack", "n1"))?;
/// let vm = cluster.add_vm(Vm::named("db-1").demand([8_000, 32_768]).on(node).priority(Priority::HIGH))?;
/// assert_eq!(cluster.vm(vm)?.node(), Some(node));
/// assert_eq!(cluster.node(node)?.free(), [40_000, 360_448]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Cluster {
    name: Option<String>,
    annotations: Option<Box<Annotations>>,
    kinds: ResourceKinds,
    /// `per_vm` of every kind.
    per_vm: Amounts,
    pub(crate) levels: Levels,
    labels: Interner<LabelSlot, LabelUse>,
    groups: Interner<GroupSlot, GroupUse>,
    nodes: Slab<NodeSlot, NodeRecord>,
    node_names: Names<NodeSlot>,
    vms: Slab<VmSlot, VmRecord>,
    vm_names: Names<VmSlot>,
    /// The records in short.
    facts: IdVec<VmSlot, VmFacts>,
    /// What each VM adds to the fingerprint.
    stamps: IdVec<VmSlot, u128>,
    rules: Slab<RuleSlot, RuleRecord>,
    rule_names: Names<RuleSlot>,
    /// (capacity - reserved) * overcommit.
    allocatable: Rows<NodeSlot>,
    /// (capacity - reserved) * failover overcommit.
    failover: Rows<NodeSlot>,
    /// What a unit is of all that a node can give for restarts, in 2^63rds, rounded down; 0 where it gives nothing.
    unit_share: Rows<NodeSlot>,
    /// What VMs hold, migrations under way to the node included.
    used: Rows<NodeSlot>,
    /// `failover - used`, at least 0.
    free: Rows<NodeSlot>,
    /// Demand, restart demand and reservation of every VM, `per_vm` included; zeros where it has no demand.
    demand: Rows<VmSlot>,
    restart_demand: Rows<VmSlot>,
    reservation: Rows<VmSlot>,
    /// The restart targets by what they have free.
    room: RoomIndex,
    /// Powered-on VMs without a node.
    homeless: Vec<VmSlot>,
    /// Nodes in state failed or maintenance, and unreachable ones: sorted by slot.
    down: Vec<NodeSlot>,
    unreachable: Vec<NodeSlot>,
    /// Restart targets of role spare, sorted by slot.
    spares: Vec<NodeSlot>,
    /// Sums that must fit `u64`: capacity (and allocatable amounts), demand, restart demand, reservation.
    totals: Totals,
    /// Whether objects are being added by the thousand, so that what is kept per node waits for the end.
    bulk: bool,
    /// Whether effective classes and priorities wait for the end, too.
    #[cfg(feature = "serde")]
    effective_due: bool,
    fingerprint: u128,
    /// A sum over which name has which id.
    seats: u128,
    revision: u64,
}

/// Who uses a label.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelUse {
    /// The nodes that carry it.
    pub(crate) nodes: NodeSet,
}

/// Who uses a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupUse {
    /// The VMs in it, sorted.
    pub(crate) vms: Vec<VmSlot>,
    /// The rules that name it.
    rules: Vec<RuleSlot>,
}

/// Sums per kind that are kept within `u64`, so that no sum over nodes or VMs can overflow anywhere.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Totals {
    capacity: Vec<u64>,
    failover: Vec<u64>,
    allocatable: Vec<u64>,
    /// Every VM twice, so that migrations, which count on both nodes, fit too.
    demand: Vec<u64>,
    restart_demand: Vec<u64>,
    reservation: Vec<u64>,
}

impl Cluster {
    /// An empty cluster with these resource kinds and levels of fault domains, widest level first. The narrowest
    /// level, `node`, is implicit.
    ///
    /// # Errors
    /// A level twice, an empty name, the name `node`, or more than [`MAX_LEVELS`].
    pub fn new<L: Into<String>>(kinds: ResourceKinds, levels: impl IntoIterator<Item = L>) -> Result<Self, EditError> {
        let levels: Vec<String> = levels.into_iter().map(Into::into).collect();
        if levels.len() > MAX_LEVELS {
            return Err(EditError::TooManyLevels { count: levels.len(), limit: MAX_LEVELS });
        }
        for (position, name) in levels.iter().enumerate() {
            if name.is_empty() {
                return Err(EditError::EmptyName { what: "level" });
            }
            if name == NODE_LEVEL {
                return Err(EditError::NodeLevel);
            }
            if levels.iter().take(position).any(|earlier| earlier == name) {
                return Err(EditError::DuplicateName { what: "level", name: name.clone() });
            }
        }
        let width = kinds.len();
        let zeros = alloc::vec![0; width];
        let mut cluster = Self {
            name: None,
            annotations: None,
            per_vm: kinds.iter().map(|kind| kind.per_vm).collect(),
            kinds,
            levels: Levels::new(levels),
            labels: Interner::new(),
            groups: Interner::new(),
            nodes: Slab::new(),
            node_names: Names::new(),
            vms: Slab::new(),
            vm_names: Names::new(),
            facts: IdVec::new(),
            stamps: IdVec::new(),
            rules: Slab::new(),
            rule_names: Names::new(),
            allocatable: Rows::new(width),
            failover: Rows::new(width),
            unit_share: Rows::new(width),
            used: Rows::new(width),
            free: Rows::new(width),
            demand: Rows::new(width),
            restart_demand: Rows::new(width),
            reservation: Rows::new(width),
            room: RoomIndex::new(width),
            homeless: Vec::new(),
            down: Vec::new(),
            unreachable: Vec::new(),
            spares: Vec::new(),
            totals: Totals {
                capacity: zeros.clone(),
                failover: zeros.clone(),
                allocatable: zeros.clone(),
                demand: zeros.clone(),
                restart_demand: zeros.clone(),
                reservation: zeros,
            },
            bulk: false,
            #[cfg(feature = "serde")]
            effective_due: false,
            fingerprint: 0,
            seats: 0,
            revision: 0,
        };
        cluster.fingerprint = cluster.empty_fingerprint();
        Ok(cluster)
    }

    /// The cluster's name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Names the cluster.
    pub fn set_name(&mut self, name: Option<String>) {
        self.name = name;
    }

    /// The caller's own data.
    pub fn annotations(&self) -> Option<&Annotations> {
        self.annotations.as_deref()
    }

    /// Sets the caller's own data.
    pub fn set_annotations(&mut self, annotations: Option<Annotations>) {
        self.annotations = annotations.map(Box::new);
    }

    /// The resource kinds.
    pub fn kinds(&self) -> &ResourceKinds {
        &self.kinds
    }

    /// The levels of fault domains, widest first, without the implicit `node`.
    pub fn levels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.levels.names()
    }

    /// Grows with every change of the cluster, and with no refused one. The cluster's own name and annotations do not
    /// count. Two clusters of one content can have different revisions: what tells states apart is the
    /// [`fingerprint`](Self::fingerprint).
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Lists the names that the domains of a level can have; others are refused from then on.
    ///
    /// # Errors
    /// An unknown level, `node`, an empty name, or a node that is in a domain not listed.
    pub fn declare_domains<N: Into<String>>(
        &mut self,
        level: &str,
        names: impl IntoIterator<Item = N>,
    ) -> Result<(), EditError> {
        let found = self.levels.find(level).ok_or_else(|| EditError::UnknownLevel { level: level.into() })?;
        if found == self.levels.node_level() {
            return Err(EditError::NodeLevel);
        }
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.iter().any(String::is_empty) {
            return Err(EditError::EmptyName { what: "domain" });
        }
        let unlisted = self.levels.domains(found).find(|(_, name, _)| !names.iter().any(|listed| listed == name));
        if let Some((_, name, _)) = unlisted {
            return Err(EditError::UndeclaredDomain { level: level.into(), domain: name.into() });
        }
        names.retain(|name| self.levels.find_domain(found, name).is_none() || !self.levels.is_declared(found));
        self.levels.declare(found, &names);
        self.changed();
        Ok(())
    }

    /// The names of a level's domains, sorted, and whether they were declared.
    pub fn domains(&self, level: &str) -> Option<(Vec<&str>, bool)> {
        let found = self.levels.find(level).filter(|level| *level != self.levels.node_level())?;
        let mut names: Vec<&str> = self.levels.domains(found).map(|(_, name, _)| name).collect();
        names.sort_unstable();
        Some((names, self.levels.is_declared(found)))
    }

    /// The nodes of a domain, in no particular order; `None` if there is no such level or domain. At the level
    /// `node` a domain is a node.
    pub fn domain_nodes(&self, level: &str, domain: &str) -> Option<Vec<NodeId>> {
        let found = self.levels.find(level)?;
        if found == self.levels.node_level() {
            return self.node_id(domain).map(|node| alloc::vec![node]);
        }
        let key = self.levels.find_domain(found, domain)?;
        Some(self.levels.nodes(found, key).iter().map(|slot| self.node_id_of(*slot)).collect())
    }

    pub(crate) fn changed(&mut self) {
        self.revision = self.revision.wrapping_add(1);
    }

    #[inline]
    pub(crate) fn node_id_of(&self, slot: NodeSlot) -> NodeId {
        NodeId { slot, generation: self.nodes.generation(slot) }
    }

    #[inline]
    pub(crate) fn vm_id_of(&self, slot: VmSlot) -> VmId {
        VmId { slot, generation: self.vms.generation(slot) }
    }

    #[inline]
    pub(crate) fn rule_id_of(&self, slot: RuleSlot) -> RuleId {
        RuleId { slot, generation: self.rules.generation(slot) }
    }

    pub(crate) fn node_slot(&self, id: NodeId) -> Result<NodeSlot, EditError> {
        if self.nodes.holds(id.slot, id.generation) { Ok(id.slot) } else { Err(EditError::UnknownNode) }
    }

    pub(crate) fn vm_slot(&self, id: VmId) -> Result<VmSlot, EditError> {
        if self.vms.holds(id.slot, id.generation) { Ok(id.slot) } else { Err(EditError::UnknownVm) }
    }

    pub(crate) fn rule_slot(&self, id: RuleId) -> Result<RuleSlot, EditError> {
        if self.rules.holds(id.slot, id.generation) { Ok(id.slot) } else { Err(EditError::UnknownRule) }
    }

    /// A name that is free to be used.
    /// `holder` is the object that has the name now, `own` the one that is to get it.
    fn new_name<S: Copy + Eq>(
        what: &'static str,
        name: &str,
        holder: Option<S>,
        own: Option<S>,
    ) -> Result<(), EditError> {
        if name.is_empty() {
            return Err(EditError::EmptyName { what });
        }
        match holder {
            Some(other) if Some(other) != own => Err(EditError::DuplicateName { what, name: name.into() }),
            _ => Ok(()),
        }
    }

    /// The amounts as a full row, one per kind.
    fn full_row(&self, amounts: &Amounts) -> Result<Amounts, EditError> {
        if amounts.len() > self.kinds.len() {
            return Err(EditError::TooManyAmounts { count: amounts.len(), kinds: self.kinds.len() });
        }
        Ok((0..self.kinds.len()).map(|kind| amounts.of(kind)).collect())
    }

    fn overflow(&self, kind: usize) -> EditError {
        let kind = self.kinds.get(kind).map_or_else(String::new, |kind| kind.name.clone());
        EditError::Overflow { kind, twice: false }
    }
}

/// Whether `totals - old + times * new` fits, with `old` counted as often; else the kind that would overflow.
fn exchange(totals: &[u64], old: &[u64], new: &[u64], times: u64) -> Result<(), usize> {
    for (kind, (total, new)) in totals.iter().zip(new).enumerate() {
        let old = old.get(kind).copied().unwrap_or(0).saturating_mul(times);
        let sum = new.checked_mul(times).and_then(|new| total.saturating_sub(old).checked_add(new));
        sum.ok_or(kind)?;
    }
    Ok(())
}

/// Adds a row of amounts to another. Cannot overflow: totals are kept within `u64`.
fn add_row(row: &mut [u64], amounts: &[u64]) {
    for (row, amount) in row.iter_mut().zip(amounts) {
        debug_assert!(row.checked_add(*amount).is_some());
        *row = row.saturating_add(*amount);
    }
}

/// Takes a row of amounts from another that contains it.
fn subtract_row(row: &mut [u64], amounts: &[u64]) {
    for (row, amount) in row.iter_mut().zip(amounts) {
        debug_assert!(*row >= *amount);
        *row = row.saturating_sub(*amount);
    }
}

/// Inserts into a sorted list, once.
fn insert_sorted<T: Ord>(list: &mut Vec<T>, item: T) {
    if let Err(position) = list.binary_search(&item) {
        list.insert(position, item);
    }
}

/// Removes from a sorted list; says whether it was there.
fn remove_sorted<T: Ord>(list: &mut Vec<T>, item: &T) -> bool {
    let found = list.binary_search(item);
    if let Ok(position) = found {
        list.remove(position);
    }
    found.is_ok()
}
