//! A placement problem: these items, this room, these constraints.
//!
//! Uses `dense` and `ids`. Built by `restart` (later `guarantee`, `admission`, `moves`), solved by `placement`.
//!
//! The problem speaks no JSON and no policy words. An *item* is a VM to place; its *class* says how much it matters
//! (class 0 above class 1 above ...; counts compare lexicographically). Items come in canonical order (class, then
//! larger first, then by hashes of names), nodes too (spare nodes first, then likewise), so that every tie that ends in
//! the lower index ends in an order that does not depend on how the cluster was listed.

use crate::dense::{DenseId, IdVec, Rows, dense_id};
use crate::ids::{DomainKey, LevelIx, NodeSlot};
use alloc::vec::Vec;
use smallvec::SmallVec;

dense_id! {
    /// An item to place.
    pub(crate) struct ItemIx;
    /// A constraint over items.
    pub(crate) struct ConstraintIx;
    /// A set of nodes that some items are eligible for.
    pub(crate) struct EligibleIx;
}

/// What is to be placed, where, and what must hold.
#[derive(Clone, Debug)]
pub(crate) struct Problem<'a> {
    /// The targets, in canonical order.
    pub(crate) nodes: &'a [NodeSlot],
    /// Free amounts, a row per node slot (also of nodes that are no targets).
    pub(crate) room: &'a Rows<NodeSlot>,
    /// Per level the domain of every node slot; the last level is `node`, where each node is its own domain.
    pub(crate) levels: &'a IdVec<LevelIx, IdVec<NodeSlot, DomainKey>>,
    /// What each item needs free on its node.
    pub(crate) need: Rows<ItemIx>,
    /// The class of each item: non-decreasing in item order.
    pub(crate) class: IdVec<ItemIx, u32>,
    /// How many classes there are.
    pub(crate) classes: u32,
    /// Where each item may go: labels, allowed nodes, confine and exclude rules, a leader or group that stays.
    pub(crate) eligible: IdVec<ItemIx, EligibleIx>,
    /// The sets that `eligible` names, each at most once.
    pub(crate) eligible_sets: IdVec<EligibleIx, EligibleNodes>,
    /// Constraints that tie items together or to VMs that stay.
    pub(crate) constraints: IdVec<ConstraintIx, Constraint>,
    /// Per item its constraints, ascending.
    pub(crate) member_of: IdVec<ItemIx, SmallVec<[Membership; 2]>>,
    /// Per item the items that must be placed if it is (prerequisites given up on); acyclic.
    pub(crate) prerequisites: IdVec<ItemIx, SmallVec<[ItemIx; 1]>>,
}

/// An item's part in a constraint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Membership {
    pub(crate) constraint: ConstraintIx,
    /// For [`Constraint::Sides`] the side; for [`Constraint::Follow`] 0 = the leader, 1 = a follower; else 0.
    pub(crate) side: u32,
}

/// The nodes that an item may go to, among the problem's targets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum EligibleNodes {
    /// Every target.
    All,
    /// These targets, in the order of the problem's `nodes`.
    Short(Vec<NodeSlot>),
    /// A bit per node slot.
    Bits(Vec<u64>),
}

impl EligibleNodes {
    /// Whether a target is among them.
    pub(crate) fn contains(&self, node: NodeSlot) -> bool {
        match self {
            Self::All => true,
            Self::Short(nodes) => nodes.contains(&node),
            Self::Bits(words) => words.get(node.index() / 64).is_some_and(|word| word >> (node.index() % 64) & 1 == 1),
        }
    }
}

/// A constraint in the form that the solver reads. *Stay* speaks of members that run where they are and do not move;
/// a domain key always belongs to the constraint's level. Lists are sorted.
#[derive(Clone, Debug)]
pub(crate) enum Constraint {
    /// A domain that receives an item holds at most `limit` members, those that stay included.
    Separate { level: LevelIx, limit: u32, stay: Vec<(DomainKey, u32)> },
    /// A domain that receives an item holds members of one side only, those that stay included.
    Sides { level: LevelIx, stay: Vec<(DomainKey, u32)> },
    /// All placed items in one domain; if members stay, in one of `stay`.
    Together { level: LevelIx, stay: Vec<DomainKey> },
    /// Placed items end up spread: see `placement::rules::spread` for the exact condition.
    Spread {
        level: LevelIx,
        min_domains: u32,
        max_skew: Option<u32>,
        stay: Vec<(DomainKey, u32)>,
        /// How many members stay: one that migrates counts in two domains.
        stay_members: u32,
        /// The domains over which the least count is taken.
        counting: Vec<DomainKey>,
    },
    /// Placed followers are on the node of the leader, if the leader is placed.
    Follow,
}

/// What a solver found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Solution {
    /// The node of each item, `None` where it is not placed.
    pub(crate) node: IdVec<ItemIx, Option<NodeSlot>>,
    /// Per class how many are placed.
    pub(crate) placed: Vec<u32>,
    /// Per class an upper bound on how many any solution can place that places as many as this one in every class
    /// above. `optimal` is `placed == bound` in every class.
    pub(crate) bound: Vec<u32>,
}
