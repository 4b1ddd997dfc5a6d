//! What can be wrong with a restart plan.
//!
//! Uses `cluster` for classes and states. Made by the checker, read by tests, fuzzing and whoever audits a plan.

use crate::cluster::{NodeState, Priority, RestartClass};
use crate::policy::Preemption;
use alloc::string::String;

/// Something wrong with a restart plan. Objects are named, amounts are as the cluster counts them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanFault {
    /// The plan speaks of a VM that is not there.
    #[error("the plan names a VM that is not in the cluster")]
    UnknownVm,
    /// The plan or the failure speaks of a node that is not there.
    #[error("the plan or the failure names a node that is not in the cluster")]
    UnknownNode,
    /// A VM gets two places.
    #[error("\"{vm}\" is placed twice")]
    PlacedTwice {
        /// The VM.
        vm: String,
    },
    /// A VM is placed that is not displaced (nor evicted).
    #[error("\"{vm}\" is placed although it {why}")]
    NotDisplaced {
        /// The VM.
        vm: String,
        /// What is the case instead.
        why: &'static str,
    },
    /// A VM is placed that is to be left alone.
    #[error("\"{vm}\" is placed although its class is never")]
    NeverClass {
        /// The VM.
        vm: String,
    },
    /// A VM is placed on a node in a state in which it takes nothing.
    #[error("\"{vm}\" is placed on \"{node}\", which is {}", .state.name())]
    NotAccepting {
        /// The VM.
        vm: String,
        /// The node.
        node: String,
        /// The node's state.
        state: NodeState,
    },
    /// A VM is placed on a node of the failure.
    #[error("\"{vm}\" is placed on \"{node}\", which fails")]
    TargetFails {
        /// The VM.
        vm: String,
        /// The node.
        node: String,
    },
    /// A node is given more than it can take.
    #[error("\"{node}\" holds {load} of {kind} and can give {allocatable}: {} too much", .load.saturating_sub(u128::from(*.allocatable)))]
    Capacity {
        /// The node.
        node: String,
        /// The resource kind.
        kind: String,
        /// What its residents, incoming migrations and placed VMs hold.
        load: u128,
        /// What it can give after a failure.
        allocatable: u64,
    },
    /// The node lacks a label that the VM requires.
    #[error("\"{vm}\" requires label \"{label}\", which \"{node}\" does not carry")]
    MissingLabel {
        /// The VM.
        vm: String,
        /// The node.
        node: String,
        /// The label.
        label: String,
    },
    /// The node is not one of the VM's allowed nodes.
    #[error("\"{node}\" is not one of the allowed nodes of \"{vm}\"")]
    NotAllowed {
        /// The VM.
        vm: String,
        /// The node.
        node: String,
    },
    /// A domain that receives a member holds too many of them.
    #[error("rule \"{rule}\": {level} \"{domain}\" holds {members} members, {} more than {max_per_domain}", .members.saturating_sub(*.max_per_domain))]
    Separate {
        /// The rule.
        rule: String,
        /// Its level.
        level: String,
        /// The domain; of a node without one the node.
        domain: String,
        /// How many members it holds after the plan.
        members: u64,
        /// How many it may hold.
        max_per_domain: u64,
    },
    /// A domain that receives a member holds members of several sides.
    #[error("rule \"{rule}\": {level} \"{domain}\" holds members of {sides} sides")]
    Sides {
        /// The rule.
        rule: String,
        /// Its level.
        level: String,
        /// The domain.
        domain: String,
        /// How many sides are there.
        sides: u64,
    },
    /// Placed members are in several domains.
    #[error("rule \"{rule}\": placed members are in {domains} domains of level {level}")]
    TogetherSplit {
        /// The rule.
        rule: String,
        /// Its level.
        level: String,
        /// In how many.
        domains: u64,
    },
    /// Members are placed away from those that stay.
    #[error("rule \"{rule}\": \"{vm}\" is placed in {level} \"{domain}\", where no member stays")]
    TogetherApart {
        /// The rule.
        rule: String,
        /// Its level.
        level: String,
        /// A placed member.
        vm: String,
        /// Its domain.
        domain: String,
    },
    /// A member is placed outside the nodes it is confined to.
    #[error("rule \"{rule}\": \"{vm}\" is placed on \"{node}\", outside the nodes it is confined to")]
    Confine {
        /// The rule.
        rule: String,
        /// The member.
        vm: String,
        /// Its node.
        node: String,
    },
    /// A member is placed on a node from which it is excluded.
    #[error("rule \"{rule}\": \"{vm}\" is placed on \"{node}\", from which it is excluded")]
    Exclude {
        /// The rule.
        rule: String,
        /// The member.
        vm: String,
        /// Its node.
        node: String,
    },
    /// Members end up on too few domains.
    #[error("rule \"{rule}\": members end up on {domains} domains of level {level}, and could be on {needed}")]
    SpreadDomains {
        /// The rule.
        rule: String,
        /// Its level.
        level: String,
        /// On how many they are.
        domains: u64,
        /// On how many they must be.
        needed: u64,
    },
    /// A domain that receives a member holds too many more than the emptiest one.
    #[error(
        "rule \"{rule}\": {level} \"{domain}\" holds {members} members, another one {least}: they may differ by {max_skew}"
    )]
    SpreadSkew {
        /// The rule.
        rule: String,
        /// Its level.
        level: String,
        /// The domain.
        domain: String,
        /// How many members it holds after the plan.
        members: u64,
        /// The least that a counting domain holds.
        least: u64,
        /// By how much they may differ.
        max_skew: u64,
    },
    /// A follower is placed away from its leader.
    #[error("rule \"{rule}\": \"{vm}\" is placed on \"{node}\", away from its leader \"{leader}\"")]
    Follow {
        /// The rule.
        rule: String,
        /// The follower.
        vm: String,
        /// Its node.
        node: String,
        /// The leader.
        leader: String,
    },
    /// A VM is placed, and one that it needs neither runs nor is placed.
    #[error("\"{vm}\" is placed, and its prerequisite \"{prerequisite}\" neither runs nor is placed")]
    Prerequisite {
        /// The VM.
        vm: String,
        /// The one it needs.
        prerequisite: String,
    },
    /// A VM is evicted twice.
    #[error("\"{vm}\" is evicted twice")]
    EvictedTwice {
        /// The VM.
        vm: String,
    },
    /// A VM is evicted from a node on which it does not run.
    #[error("\"{vm}\" is evicted from \"{node}\", where it does not run")]
    EvictedNotRunning {
        /// The VM.
        vm: String,
        /// The node.
        node: String,
    },
    /// A VM that is evicted is placed where it was.
    #[error("\"{vm}\" is evicted from \"{node}\" and placed there again")]
    EvictedInPlace {
        /// The VM.
        vm: String,
        /// The node.
        node: String,
    },
    /// A VM is evicted that nobody may evict.
    #[error("\"{vm}\" is evicted: it is not preemptible, or no placed VM may evict it under preemption {}", .preemption.name())]
    EvictionForbidden {
        /// The VM.
        vm: String,
        /// The policy.
        preemption: Preemption,
    },
    /// A VM is evicted, and those that may evict it would fit without that.
    #[error("\"{vm}\" is evicted without need")]
    EvictionUnneeded {
        /// The VM.
        vm: String,
    },
    /// The nodes that the plan takes as failed are not those of the failure, in name order.
    #[error("the plan's failed nodes are not those of the failure, by name")]
    FailedNodes,
    /// A displaced VM is in no list of the plan.
    #[error("\"{vm}\" is displaced, and neither placed nor unplaced nor left alone")]
    Missing {
        /// The VM.
        vm: String,
    },
    /// A VM on an unreachable node is not listed as waiting.
    #[error("\"{vm}\" is on an unreachable node, and not listed as waiting")]
    NotWaiting {
        /// The VM.
        vm: String,
    },
    /// A VM is in a list of the plan where it does not belong, or twice.
    #[error("\"{vm}\" does not belong into the list {list}, or is in another list, too")]
    Listed {
        /// The VM.
        vm: String,
        /// `unplaced`, `waiting` or `left_alone`.
        list: &'static str,
    },
    /// A list of the plan is not in its order.
    #[error("the list {list} is not in its order")]
    Order {
        /// `placements`, `evictions`, `unplaced`, `waiting`, `left_alone` or `classes`.
        list: &'static str,
    },
    /// A class is missing, or listed without a displaced or evicted VM.
    #[error("class {} {priority} {}", .restart.name(), if *.listed { "has no displaced VM" } else { "is missing" })]
    Class {
        /// The effective class.
        restart: RestartClass,
        /// The effective priority.
        priority: Priority,
        /// Whether it is listed.
        listed: bool,
    },
    /// A class's counts are not those of the lists.
    #[error("class {} {priority}: {what} is given as {given} and counts {counted}", .restart.name())]
    ClassCount {
        /// The effective class.
        restart: RestartClass,
        /// The effective priority.
        priority: Priority,
        /// `displaced` or `placed`.
        what: &'static str,
        /// What the plan says.
        given: u32,
        /// What is the case.
        counted: i64,
    },
    /// A class's bound is below what is placed, or above what is displaced.
    #[error("class {} {priority}: bound {bound} is not between {placed} placed and {displaced} displaced", .restart.name())]
    ClassBound {
        /// The effective class.
        restart: RestartClass,
        /// The effective priority.
        priority: Priority,
        /// The bound.
        bound: u32,
        /// How many are placed.
        placed: u32,
        /// How many are displaced.
        displaced: u32,
    },
    /// A rule that does not bind is broken by another amount than the plan says; 0 where it does not name it.
    #[error("rule \"{rule}\" is broken by {excess}, and not by {given}")]
    BrokenRule {
        /// The rule.
        rule: String,
        /// What the plan says.
        given: u64,
        /// What it is.
        excess: u64,
    },
    /// A VM's wave is not one more than the highest that it waits for.
    #[error("\"{vm}\" starts in wave {given} and not in {wave}")]
    Wave {
        /// The VM.
        vm: String,
        /// What the plan says.
        given: u32,
        /// One more than the highest wave it waits for.
        wave: u32,
    },
}

impl PlanFault {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownVm => "unknown_vm",
            Self::UnknownNode => "unknown_node",
            Self::PlacedTwice { .. } => "placed_twice",
            Self::NotDisplaced { .. } => "not_displaced",
            Self::NeverClass { .. } => "never_class",
            Self::NotAccepting { .. } => "not_accepting",
            Self::TargetFails { .. } => "target_fails",
            Self::Capacity { .. } => "capacity",
            Self::MissingLabel { .. } => "missing_label",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Separate { .. } => "separate",
            Self::Sides { .. } => "sides",
            Self::TogetherSplit { .. } => "together_split",
            Self::TogetherApart { .. } => "together_apart",
            Self::Confine { .. } => "confine",
            Self::Exclude { .. } => "exclude",
            Self::SpreadDomains { .. } => "spread_domains",
            Self::SpreadSkew { .. } => "spread_skew",
            Self::Follow { .. } => "follow",
            Self::Prerequisite { .. } => "prerequisite",
            Self::EvictedTwice { .. } => "evicted_twice",
            Self::EvictedNotRunning { .. } => "evicted_not_running",
            Self::EvictedInPlace { .. } => "evicted_in_place",
            Self::EvictionForbidden { .. } => "eviction_forbidden",
            Self::EvictionUnneeded { .. } => "eviction_unneeded",
            Self::FailedNodes => "failed_nodes",
            Self::Missing { .. } => "missing",
            Self::NotWaiting { .. } => "not_waiting",
            Self::Listed { .. } => "listed",
            Self::Order { .. } => "order",
            Self::Class { .. } => "class",
            Self::ClassCount { .. } => "class_count",
            Self::ClassBound { .. } => "class_bound",
            Self::BrokenRule { .. } => "broken_rule",
            Self::Wave { .. } => "wave",
        }
    }
}
