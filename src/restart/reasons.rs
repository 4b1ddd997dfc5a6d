//! Why a VM is not placed: node by node, added up, and in one line.
//!
//! Uses `cluster`, `restart::{scene, compile, overlay, eligible}`, `placement::rules`. Used by `restart::planner`,
//! against the finished plan.
//!
//! **The data's path**: what bars a VM from each node, the nodes in the order of their names and nothing allocated
//! ([`Why`]); added up, with the best examples; then told with names. O(nodes) per VM.

use super::compile::Parts;
use super::eligible::{self, Bar};
use super::overlay::Overlay;
use super::plan::{Reason, ReasonCount, Unplaced};
use super::scene::Scene;
use crate::cluster::{Cluster, NodeState};
use crate::dense::{IdVec, fits};
use crate::ids::{NodeId, NodeSlot, VmSlot};
use crate::placement::problem::{ItemIx, Problem};
use crate::placement::rules::RuleStates;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// How many nodes are named as examples of a reason.
const EXAMPLES: usize = 3;

/// The finished plan, as the reasons see it.
pub(super) struct View<'a, 'p> {
    pub(super) cluster: &'a Cluster,
    pub(super) scene: &'a Scene,
    pub(super) parts: &'a Parts,
    pub(super) problem: &'a Problem<'p>,
    pub(super) overlay: &'a Overlay,
    pub(super) states: &'a RuleStates,
    by_name: Vec<NodeSlot>,
}

/// What bars a VM from a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Failed,
    NotAccepting(NodeState),
    Barred(Bar),
    Insufficient { kind: usize, needed: u64, free: u64 },
    Unproved,
}

impl Why {
    /// Whether two are counted together.
    fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Insufficient { kind: left, .. }, Self::Insufficient { kind: right, .. }) => left == right,
            _ => self == other,
        }
    }

    const fn free(self) -> u64 {
        if let Self::Insufficient { free, .. } = self { free } else { 0 }
    }
}

/// What bars a VM from some nodes, with the extreme number.
struct Tally {
    why: Why,
    nodes: usize,
    /// The largest holes first, of equals by name.
    examples: SmallVec<[(u64, NodeSlot); EXAMPLES + 1]>,
}

impl Tally {
    fn add(&mut self, why: Why, node: NodeSlot) {
        self.nodes = self.nodes.saturating_add(1);
        if why.free() > self.why.free() {
            self.why = why;
        }
        let at = self.examples.iter().take_while(|(hole, _)| *hole >= why.free()).count();
        if at < EXAMPLES {
            self.examples.insert(at, (why.free(), node));
            self.examples.truncate(EXAMPLES);
        }
    }
}

/// The same, told with names.
struct Group {
    reason: Reason,
    nodes: usize,
    examples: SmallVec<[NodeSlot; EXAMPLES]>,
}

impl<'a, 'p> View<'a, 'p> {
    pub(super) fn new(
        cluster: &'a Cluster,
        scene: &'a Scene,
        parts: &'a Parts,
        problem: &'a Problem<'p>,
        overlay: &'a Overlay,
        states: &'a RuleStates,
    ) -> Self {
        let mut nodes: Vec<(&str, NodeSlot)> = cluster.nodes().map(|node| (node.name(), node.id().slot)).collect();
        nodes.sort_unstable();
        let by_name = nodes.into_iter().map(|(_, node)| node).collect();
        Self { cluster, scene, parts, problem, overlay, states, by_name }
    }

    /// What stands in a plan about a VM without a place.
    pub(super) fn unplaced(&self, item: ItemIx, vm: VmSlot, places: &IdVec<ItemIx, Option<NodeSlot>>) -> Unplaced {
        let id = self.cluster.vm_id_of(vm);
        let missing = self.parts.missing.iter().find(|(missing, _)| *missing == item).map(|(_, needed)| *needed);
        let unplaced = || {
            self.problem.prerequisites[item]
                .iter()
                .find(|needed| places[**needed].is_none())
                .map(|item| self.scene.items[*item])
        };
        if let Some(needed) = missing.or_else(unplaced) {
            let name = self.cluster.vm_record(needed).map_or_else(String::new, |record| record.name.to_string());
            let message = format!("needs \"{name}\", which neither runs nor is placed");
            let reason = Reason::Prerequisite { vm: self.cluster.vm_id_of(needed), name };
            return Unplaced {
                vm: id,
                reasons: alloc::vec![ReasonCount { reason, nodes: 0, examples: Vec::new() }],
                message,
            };
        }
        let groups = self.groups(item, vm);
        let message = self.message(&groups);
        let mut reasons: Vec<ReasonCount> = groups.iter().map(|group| self.count(group)).collect();
        if let Some(reason) = self.fragmentation(&groups, vm) {
            reasons.push(ReasonCount { reason, nodes: 0, examples: Vec::new() });
        }
        Unplaced { vm: id, reasons, message }
    }

    /// The reason of every node, by node name; none for the node that the VM is placed on.
    pub(super) fn node_by_node(&self, vm: VmSlot, placed: Option<NodeSlot>) -> Vec<(NodeId, Option<Reason>)> {
        let item = self.scene.item_of(vm);
        let why = |node| if Some(node) == placed { None } else { self.why(item, vm, node) };
        let nodes = self.by_name.iter().map(|node| (self.cluster.node_id_of(*node), why(*node)));
        nodes.map(|(id, why)| (id, why.map(|why| self.told(why)))).collect()
    }

    /// The first reason that bars a VM from a node, in the order of [`Reason`].
    fn why(&self, item: Option<ItemIx>, vm: VmSlot, node: NodeSlot) -> Option<Why> {
        let record = self.cluster.vm_record(vm)?;
        let state = self.cluster.node_record(node).map_or(NodeState::Failed, |node| node.state);
        if state == NodeState::Failed || self.scene.is_failed(node) {
            return Some(Why::Failed);
        }
        if !state.accepts() {
            return Some(Why::NotAccepting(state));
        }
        let leaders = item.map_or(&[][..], |item| self.parts.leaders(item));
        if let Some(bar) = eligible::bar(self.cluster, record, leaders, node) {
            return Some(Why::Barred(bar));
        }
        if let Some(constraint) = item.and_then(|item| self.states.barring(self.problem, item, node)) {
            return Some(Why::Barred(Bar::Rule(self.parts.rule_of[constraint])));
        }
        let need = &self.cluster.restart_rows()[vm];
        let free = self.overlay.free(self.cluster, node);
        if fits(need, free) {
            return None;
        }
        worst_shortage(need, free).map(|(kind, needed, free)| Why::Insufficient { kind, needed, free })
    }

    fn told(&self, why: Why) -> Reason {
        match why {
            Why::Failed => Reason::Failed,
            Why::NotAccepting(state) => Reason::NotAccepting { state },
            Why::Barred(Bar::Label(label)) => Reason::MissingLabel { label: self.cluster.label_name(label).into() },
            Why::Barred(Bar::NotAllowed) => Reason::NotAllowed,
            Why::Barred(Bar::Rule(rule)) => {
                let name = self.cluster.rule_record(rule).map_or_else(String::new, |record| record.name.to_string());
                Reason::Rule { rule: self.cluster.rule_id_of(rule), name }
            }
            Why::Insufficient { kind, needed, free } => Reason::Insufficient { kind, needed, free },
            Why::Unproved => Reason::Unproved,
        }
    }

    /// The reasons of all nodes, added up: the most frequent first, then by code.
    fn groups(&self, item: ItemIx, vm: VmSlot) -> Vec<Group> {
        let mut tallies: SmallVec<[Tally; 4]> = SmallVec::new();
        for node in &self.by_name {
            let why = self.why(Some(item), vm, *node).unwrap_or(Why::Unproved);
            if let Some(tally) = tallies.iter_mut().find(|tally| tally.why.is_like(why)) {
                tally.add(why, *node);
            } else {
                let mut tally = Tally { why, nodes: 0, examples: SmallVec::new() };
                tally.add(why, *node);
                tallies.push(tally);
            }
        }
        let told = |tally: Tally| Group {
            reason: self.told(tally.why),
            nodes: tally.nodes,
            examples: tally.examples.into_iter().map(|(_, node)| node).collect(),
        };
        let mut groups: Vec<Group> = tallies.into_iter().map(told).collect();
        let key = |group: &Group| {
            // Last the first node's name: reasons that read alike must not stay in the order of slots.
            let first = group.examples.first().and_then(|node| self.cluster.node_record(*node));
            let first = first.map(|record| String::from(&*record.name));
            (usize::MAX.saturating_sub(group.nodes), group.reason.code(), describe(&group.reason), first)
        };
        groups.sort_by_cached_key(key);
        groups
    }

    fn count(&self, group: &Group) -> ReasonCount {
        ReasonCount {
            reason: group.reason.clone(),
            nodes: group.nodes,
            examples: group.examples.iter().map(|node| self.cluster.node_id_of(*node)).collect(),
        }
    }

    /// Room enough in total of the kind that most nodes are short of, and no hole that is large enough.
    fn fragmentation(&self, groups: &[Group], vm: VmSlot) -> Option<Reason> {
        let kind = groups.iter().find_map(|group| match &group.reason {
            Reason::Insufficient { kind, .. } => Some(*kind),
            _ => None,
        })?;
        let needed = *self.cluster.restart_rows()[vm].get(kind)?;
        let (mut total_free, mut largest_hole) = (0_u64, 0_u64);
        for node in self.cluster.room_index().iter().filter(|node| !self.scene.is_failed(*node)) {
            let free = self.overlay.free(self.cluster, node).get(kind).copied().unwrap_or(0);
            total_free = total_free.saturating_add(free);
            largest_hole = largest_hole.max(free);
        }
        (total_free >= needed && largest_hole < needed).then_some(Reason::Fragmentation {
            kind,
            total_free,
            largest_hole,
        })
    }

    /// The reasons in one line.
    fn message(&self, groups: &[Group]) -> String {
        let total = self.cluster.node_count();
        if groups.iter().any(|group| group.reason == Reason::Unproved) {
            return format!(
                "no place was found among {total} nodes within the work budget; it is not proved that there is none"
            );
        }
        let parts: Vec<String> = groups.iter().map(|group| self.part(group)).collect();
        format!("0 of {total} nodes: {}", parts.join(", "))
    }

    fn part(&self, group: &Group) -> String {
        let count = group.nodes;
        let first =
            group.examples.first().and_then(|node| self.cluster.node_record(*node)).map_or("", |node| &node.name);
        let Reason::Insufficient { kind, needed, free } = &group.reason else {
            return format!("{count} {}", describe(&group.reason));
        };
        let (name, unit) =
            self.cluster.kinds().get(*kind).map_or(("", ""), |kind| (kind.name.as_str(), kind.unit.as_str()));
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        format!("{count} short of {name} (needs {needed}{unit}, largest hole {free}{unit} on {first})")
    }
}

/// A reason for people, without numbers.
fn describe(reason: &Reason) -> String {
    match reason {
        Reason::Failed => "failed".to_string(),
        Reason::NotAccepting { state: NodeState::Maintenance } => "in maintenance".to_string(),
        Reason::NotAccepting { state } => state.name().to_string(),
        Reason::MissingLabel { label } => format!("without label '{label}'"),
        Reason::NotAllowed => "not among its allowed nodes".to_string(),
        Reason::Rule { name, .. } => format!("barred by rule '{name}'"),
        Reason::Insufficient { .. } => "short of room".to_string(),
        Reason::Fragmentation { .. } => "fragmented".to_string(),
        Reason::Prerequisite { name, .. } => format!("waiting for '{name}'"),
        Reason::Preempted => "evicted for more important VMs".to_string(),
        Reason::Unproved => "with room".to_string(),
    }
}

/// The kind with the largest shortfall against what is needed, what is needed of it, and what is free.
fn worst_shortage(need: &[u64], free: &[u64]) -> Option<(usize, u64, u64)> {
    let short = need.iter().zip(free).enumerate().filter(|(_, (need, free))| need > free);
    // (need - free) / need is largest where free / need is smallest; the first of equals stays.
    short.map(|(kind, (need, free))| (kind, *need, *free)).reduce(|worst, next| {
        let product = |free: u64, need: u64| u128::from(free).saturating_mul(u128::from(need));
        if product(next.2, worst.1) < product(worst.2, next.1) { next } else { worst }
    })
}
