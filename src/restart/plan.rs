//! The restart plan as data.
//!
//! Uses `cluster` and `ids`. Made by `restart`, validated by `restart::checker`, printed by whoever asks.

use crate::cluster::{Cluster, NodeRef, NodeState, Priority, RestartClass, Strength, VmRef};
use crate::ids::{NodeId, RuleId, VmId};
use crate::resources::Amounts;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// Where every VM restarts after a failure, what cannot be restarted, and why.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RestartPlan {
    pub(crate) failed: Vec<NodeId>,
    pub(crate) placements: Vec<Placement>,
    pub(crate) evictions: Vec<Eviction>,
    pub(crate) unplaced: Vec<Unplaced>,
    pub(crate) waiting: Vec<VmId>,
    pub(crate) left_alone: Vec<VmId>,
    pub(crate) classes: Vec<ClassCount>,
    pub(crate) broken_rules: Vec<BrokenRule>,
    /// Whether these rules cost something, and it is not proved that they must.
    pub(crate) costs_open: bool,
    pub(crate) notes: Vec<Note>,
    pub(crate) work: u64,
}

impl RestartPlan {
    /// The nodes that were taken as failed: those named, in name order, those failed before not among them unless
    /// named.
    pub fn failed(&self) -> &[NodeId] {
        &self.failed
    }

    /// Where VMs start: by wave, then class and priority, then larger ones first; of equally large ones in an order made
    /// from hashes of their names.
    pub fn placements(&self) -> &[Placement] {
        &self.placements
    }

    /// Running VMs that are stopped to make room, by name.
    pub fn evictions(&self) -> &[Eviction] {
        &self.evictions
    }

    /// VMs that are displaced and get no place: by class and priority, then by name.
    pub fn unplaced(&self) -> &[Unplaced] {
        &self.unplaced
    }

    /// VMs on unreachable nodes, which may still run: not started elsewhere. By name.
    pub fn waiting(&self) -> &[VmId] {
        &self.waiting
    }

    /// Displaced VMs of class `never`, by name.
    pub fn left_alone(&self) -> &[VmId] {
        &self.left_alone
    }

    /// Per class and priority what was displaced and placed, the most important first.
    pub fn classes(&self) -> &[ClassCount] {
        &self.classes
    }

    /// What the nodes that take restarts have free once the plan is carried out. Costs the number of nodes.
    ///
    /// `cluster` is the one that the plan was made for, in the same state.
    pub fn free(&self, cluster: &Cluster) -> Free {
        let mut rows: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        let mut released: Vec<(NodeId, VmId)> = Vec::new();
        for node in self.failed.iter().filter_map(|node| cluster.node(*node).ok()) {
            for vm in node.vms().filter_map(|vm| cluster.vm(vm).ok()).filter(|_| node.state().runs_vms()) {
                released.extend(vm.migrating_to().map(|target| (target, vm.id())));
            }
        }
        for node in cluster.nodes() {
            if node.state().accepts() && !self.failed.contains(&node.id()) {
                rows.insert(node.id(), node.used().to_vec());
            }
        }
        let mut change = |node: NodeId, amounts: &[u64], adds: bool| {
            for (used, amount) in rows.get_mut(&node).into_iter().flatten().zip(amounts) {
                *used = if adds { used.saturating_add(*amount) } else { used.saturating_sub(*amount) };
            }
        };
        for (node, vm) in released {
            change(node, cluster.vm(vm).map_or(&[], VmRef::demand), false);
        }
        for eviction in &self.evictions {
            change(eviction.node, cluster.vm(eviction.vm).map_or(&[], VmRef::demand), false);
        }
        for placement in &self.placements {
            change(placement.node, cluster.vm(placement.vm).map_or(&[], VmRef::restart_demand), true);
        }
        let kinds = cluster.kinds().len();
        let (mut total, mut largest) = (alloc::vec![0_u64; kinds], alloc::vec![0_u64; kinds]);
        for (node, used) in rows {
            let most = cluster.node(node).map_or(&[][..], NodeRef::failover_allocatable);
            for (((used, most), total), largest) in used.iter().zip(most).zip(&mut total).zip(&mut largest) {
                let free = most.saturating_sub(*used);
                *total = total.saturating_add(free);
                *largest = (*largest).max(free);
            }
        }
        Free { total: total.into(), largest: largest.into() }
    }

    /// The `relaxed` and `preferred` rules of displaced VMs that the plan leaves broken, by name.
    pub fn broken_rules(&self) -> &[BrokenRule] {
        &self.broken_rules
    }

    /// What these rules cost: those that are `relaxed`, which come first, and those that are `preferred`, each the sum of
    /// weight times excess (a `relaxed` rule has weight 1).
    pub fn costs(&self) -> Costs {
        let mut costs = Costs::default();
        for broken in &self.broken_rules {
            let excess = u128::from(broken.excess);
            match broken.strength {
                Strength::Required => {}
                Strength::Relaxed => costs.relaxed = costs.relaxed.saturating_add(excess),
                Strength::Preferred { weight } => {
                    costs.preferred = costs.preferred.saturating_add(excess.saturating_mul(u128::from(weight)));
                }
            }
        }
        costs
    }

    /// Whether it is proved that no plan which places as many of every class, and evicts nobody else, costs less.
    pub fn costs_are_proved(&self) -> bool {
        !self.costs_open
    }

    /// What else there is to know.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// How much work it took, in node evaluations.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// Whether all protected VMs come back.
    pub fn status(&self) -> PlanStatus {
        // Classes are in order of importance, and a bound holds given the counts above it: so the first protected
        // class that is short decides.
        let short = self
            .classes
            .iter()
            .find(|class| class.restart == RestartClass::Protected && class.placed < class.displaced);
        match short {
            None if !self.notes.iter().any(|note| matches!(note, Note::ProtectedEvicted { .. })) => {
                PlanStatus::Complete
            }
            None if self.victims_proved() => PlanStatus::Short,
            Some(class) if class.bound < class.displaced => PlanStatus::Short,
            None | Some(_) => PlanStatus::Unproved,
        }
    }

    /// Whether it is proved that no plan compares better in the number of VMs placed, class by class, nor, where
    /// evictions are allowed, in the number and importance of victims.
    pub fn is_optimal(&self) -> bool {
        self.classes.iter().all(|class| class.placed == class.bound) && self.victims_proved()
    }

    fn victims_proved(&self) -> bool {
        !self.notes.iter().any(|note| matches!(note, Note::VictimsUnproved))
    }
}

/// A VM starts on a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// The VM.
    pub vm: VmId,
    /// Its node from now on.
    pub node: NodeId,
    /// 1 for what starts at once; else one more than the highest wave it waits for.
    pub wave: u32,
}

/// A running VM is stopped to make room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Eviction {
    /// The VM.
    pub vm: VmId,
    /// The node that it ran on.
    pub node: NodeId,
}

/// A displaced VM without a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unplaced {
    /// The VM.
    pub vm: VmId,
    /// Why, by reason, the most frequent first; each node of the cluster is counted once.
    pub reasons: Vec<ReasonCount>,
    /// The reasons in one line, for people.
    pub message: String,
}

/// How many nodes a reason bars.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReasonCount {
    /// The reason; of a shortage the least severe one, on the node where the least is missing.
    pub reason: Reason,
    /// How many nodes it bars; 0 for a reason that does not speak of nodes.
    pub nodes: usize,
    /// Up to three of the nodes, by name.
    pub examples: Vec<NodeId>,
}

/// Why a VM does not start on a node, or at all. Of several that hold, the first in the order of the variants is given,
/// against the finished plan.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The node has failed.
    Failed,
    /// The node is in a state in which it takes nothing.
    NotAccepting {
        /// The state.
        state: NodeState,
    },
    /// The node lacks a label that the VM requires.
    MissingLabel {
        /// The label.
        label: String,
    },
    /// The node is not one of the VM's allowed nodes.
    NotAllowed,
    /// A rule bars the node.
    Rule {
        /// The rule.
        rule: RuleId,
        /// Its name.
        name: String,
    },
    /// The node has too little free.
    Insufficient {
        /// Position of the kind with the largest relative shortfall.
        kind: usize,
        /// What the VM needs.
        needed: u64,
        /// What the node has free; over several nodes the most.
        free: u64,
    },
    /// The room is there, and not in one piece.
    Fragmentation {
        /// Position of the kind.
        kind: usize,
        /// What all targets together have free.
        total_free: u64,
        /// The most that a single one has free.
        largest_hole: u64,
    },
    /// A VM that it needs neither runs nor is placed.
    Prerequisite {
        /// That VM.
        vm: VmId,
        /// Its name.
        name: String,
    },
    /// It ran, and is evicted to make room for more important ones.
    Preempted,
    /// The node has the room in this plan; whether the plan could be better is not proved.
    Unproved,
}

impl Reason {
    /// A stable machine-readable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::NotAccepting { .. } => "not_accepting",
            Self::MissingLabel { .. } => "missing_label",
            Self::NotAllowed => "not_allowed",
            Self::Rule { .. } => "rule",
            Self::Insufficient { .. } => "insufficient",
            Self::Fragmentation { .. } => "fragmentation",
            Self::Prerequisite { .. } => "prerequisite",
            Self::Preempted => "preempted",
            Self::Unproved => "unproved",
        }
    }
}

/// What became of the displaced VMs of one class and priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClassCount {
    /// The effective class.
    pub restart: RestartClass,
    /// The effective priority.
    pub priority: Priority,
    /// How many were displaced.
    pub displaced: u32,
    /// How many get a place (less those evicted and not placed again).
    pub placed: u32,
    /// An upper bound on how many any plan can place that places as many as this one in every class above.
    pub bound: u32,
}

/// A rule that does not bind restarts, and is broken after the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokenRule {
    /// The rule.
    pub rule: RuleId,
    /// Its strength: `relaxed` or `preferred`.
    pub strength: Strength,
    /// By how much, in the measure of its kind.
    pub excess: u64,
    /// Its members that the plan places, by name.
    pub vms: Vec<VmId>,
}

/// What the rules cost that a plan leaves broken; less is better, `relaxed` first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Costs {
    /// The excess of `relaxed` rules.
    pub relaxed: u128,
    /// Weight times excess of `preferred` rules.
    pub preferred: u128,
}

/// What the restart targets have free after the plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Free {
    /// Per kind in total.
    pub total: Amounts,
    /// Per kind the most on a single node.
    pub largest: Amounts,
}

/// Whether all protected VMs come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanStatus {
    /// They do.
    Complete,
    /// It is proved that not all of them can.
    Short,
    /// Not all of them do in this plan; whether they could is not proved.
    Unproved,
}

impl PlanStatus {
    /// The name used in documents and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Short => "short",
            Self::Unproved => "unproved",
        }
    }
}

/// Something to know about a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Note {
    /// A node that was named as failing had failed already.
    FailedAlready {
        /// The node.
        node: NodeId,
    },
    /// A VM counts for more than its own class and priority say, because another one needs it.
    Promoted {
        /// The VM.
        vm: VmId,
    },
    /// A VM starts although one that it starts after neither runs nor is placed.
    StartsWithout {
        /// The VM.
        vm: VmId,
        /// The one that does not come.
        prerequisite: VmId,
    },
    /// A protected VM is evicted for a more important one and gets no other place.
    ProtectedEvicted {
        /// The VM.
        vm: VmId,
    },
    /// Evictions are allowed, and it is not proved that others would not do better, or that fewer would not do.
    VictimsUnproved,
}

impl Note {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::FailedAlready { .. } => "failed_already",
            Self::Promoted { .. } => "promoted",
            Self::StartsWithout { .. } => "starts_without",
            Self::ProtectedEvicted { .. } => "protected_evicted",
            Self::VictimsUnproved => "victims_unproved",
        }
    }
}
