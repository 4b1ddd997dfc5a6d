//! The usual case: everything displaced is placed at once, in canonical order, by the cluster's own index.
//!
//! Uses `cluster`, `room`, `restart::{scene, overlay, eligible, compile}`, `placement::rules`. Used by
//! `restart::planner`; when it places everything, the counts are final and the solver is never asked.
//!
//! For each VM a few nodes are found that take it (spare nodes first), and the best of them by the strategy is chosen.
//! To spread, two are looked at, going on in the order of nodes from where the last VM stopped: so a node comes up
//! again only when all others did, and of each two the emptier one is taken. The order is one of hashes, so that
//! neighbours have nothing in common, and the first VM's name decides where in it the plan begins. To pack, eight
//! are looked at, from the beginning of the order each time.
//!
//! A VM that is limited to a short list of nodes is put on the best of the list.

use super::compile::Parts;
use super::eligible::{is_eligible, short_list};
use super::overlay::Overlay;
use super::scene::Scene;
use crate::cluster::{Cluster, VmTraits};
use crate::dense::{DenseId, IdVec, fits, least_left, to_u32};
use crate::ids::NodeSlot;
use crate::placement::problem::{ItemIx, Problem};
use crate::placement::rules::RuleStates;
use crate::policy::Strategy;
use crate::room::{RoomKey, Walk};
use alloc::vec::Vec;

/// How many fitting nodes are compared where load is to be spread.
const SPREAD_CHOICES: u32 = 2;

/// How many fitting nodes are compared where the biggest holes are to be left whole.
const PACK_CHOICES: u32 = 8;

/// What is to be placed, and by what.
#[derive(Clone, Copy)]
pub(super) struct Task<'a, 'p> {
    pub(super) cluster: &'a Cluster,
    pub(super) scene: &'a Scene,
    pub(super) parts: &'a Parts,
    pub(super) problem: &'a Problem<'p>,
    pub(super) strategy: Strategy,
}

/// What the placing of one VM reads. `WIDTH` as for [`Rows::row`](crate::dense::Rows::row).
#[derive(Clone, Copy)]
struct Candidate<'a, const WIDTH: usize> {
    cluster: &'a Cluster,
    overlay: &'a Overlay,
    strategy: Strategy,
    need: &'a [u64],
}

impl<const WIDTH: usize> Candidate<'_, WIDTH> {
    /// How good a node is that the cluster lists with so much free; `None` if it cannot take the VM, given what is
    /// placed already.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the innermost step: inlined it is half as long, as the width is known")]
    fn grade(&self, node: NodeSlot, listed: &[u64], allowed: impl Fn(NodeSlot) -> bool) -> Option<u64> {
        let free = self.overlay.free_of_listed::<WIDTH>(node, listed)?;
        if !fits(self.need, free) || !allowed(node) {
            return None;
        }
        let left = least_left(self.need, free, self.cluster.unit_share_rows().row::<WIDTH>(node));
        Some(match self.strategy {
            Strategy::Spread => left,
            Strategy::Pack => !left,
        })
    }

    /// The first of some targets that takes the VM.
    #[inline(never)]
    fn first(&self, nodes: &[NodeSlot], allowed: impl Fn(NodeSlot) -> bool + Copy) -> Option<NodeSlot> {
        let free = self.cluster.free_rows();
        nodes.iter().copied().find(|node| self.grade(*node, free.row::<WIDTH>(*node), allowed).is_some())
    }

    /// The best of some targets, of equally good ones the first in the order of nodes.
    #[inline(never)]
    fn best(
        &self,
        nodes: impl Iterator<Item = NodeSlot>,
        allowed: impl Fn(NodeSlot) -> bool + Copy,
    ) -> Option<NodeSlot> {
        let key = |node: NodeSlot| self.cluster.node_record(node).map(|record| record.key);
        let graded = nodes
            .filter_map(|node| Some((self.grade(node, self.cluster.free_rows().row::<WIDTH>(node), allowed)?, node)));
        let best = graded.reduce(|best, other| {
            if other.0 > best.0 || (other.0 == best.0 && key(other.1) < key(best.1)) { other } else { best }
        });
        best.map(|(_, node)| node)
    }

    /// The best of the next few nodes that take the VM.
    #[inline]
    fn search(&self, walk: &mut Walk<'_>, allowed: impl Fn(NodeSlot) -> bool + Copy) -> Option<NodeSlot> {
        let mut choices = match self.strategy {
            Strategy::Spread => SPREAD_CHOICES,
            Strategy::Pack => PACK_CHOICES,
        };
        let mut best = None;
        let mut highest = 0;
        walk.search::<WIDTH>(self.need, |node, listed| {
            let Some(grade) = self.grade(node, listed, allowed) else { return false };
            if best.is_none() || grade > highest {
                (best, highest) = (Some(node), grade);
            }
            choices = choices.saturating_sub(1);
            choices == 0
        });
        best
    }
}

/// Places every item, or gives up at the first that finds no place.
#[derive(Debug, Default)]
pub(super) struct Quick {
    list: Vec<NodeSlot>,
    spares: Vec<NodeSlot>,
    work: u64,
}

impl Quick {
    /// Whether every item was placed; `places` then says where. Overlay and states are left as they are then.
    pub(super) fn place_all(
        &mut self,
        task: Task<'_, '_>,
        overlay: &mut Overlay,
        states: &mut RuleStates,
        places: &mut IdVec<ItemIx, Option<NodeSlot>>,
    ) -> bool {
        let complete = match task.cluster.kinds().len() {
            2 => self.place_each::<2>(task, overlay, states, places),
            4 => self.place_each::<4>(task, overlay, states, places),
            _ => self.place_each::<0>(task, overlay, states, places),
        };
        let tried = u64::from(to_u32(places.len())).saturating_add(u64::from(!complete));
        self.work = tried.saturating_mul(2);
        complete
    }

    /// Places one item after the other until one finds no place; says whether none did.
    fn place_each<const WIDTH: usize>(
        &mut self,
        task: Task<'_, '_>,
        overlay: &mut Overlay,
        states: &mut RuleStates,
        places: &mut IdVec<ItemIx, Option<NodeSlot>>,
    ) -> bool {
        let Task { cluster, scene, problem, strategy, .. } = task;
        places.clear();
        self.set_spares(cluster);
        let index = cluster.room_index();
        let start = scene.items.iter().next().map_or(0, |vm| RoomKey::from(cluster.facts(*vm).key) << 96);
        let mut walk = index.walk_from(if strategy == Strategy::Spread { start } else { 0 });
        let beginning = walk.clone();
        for slot in scene.items.iter() {
            if strategy == Strategy::Pack {
                walk = beginning.clone();
            }
            let traits = cluster.facts(*slot).traits;
            let need = cluster.restart_rows().row::<WIDTH>(*slot);
            let candidate = Candidate::<WIDTH> { cluster, overlay, strategy, need };
            let found = if traits.any(VmTraits::RULES.with(VmTraits::LIMITS)) {
                self.find_limited(task, states, ItemIx::from_index(places.len()), &candidate, &mut walk)
            } else {
                self.find(&candidate, &mut walk, |_| true)
            };
            let Some(node) = found else { return false };
            overlay.take::<WIDTH>(cluster, node, need);
            if traits.any(VmTraits::RULES) {
                states.place(problem, ItemIx::from_index(places.len()), node);
            }
            places.push(Some(node));
        }
        true
    }

    /// Of an item that more may keep from a node than room. Out of line, so that the way of most VMs stays short.
    #[inline(never)]
    fn find_limited<const WIDTH: usize>(
        &mut self,
        task: Task<'_, '_>,
        states: &RuleStates,
        item: ItemIx,
        candidate: &Candidate<'_, WIDTH>,
        walk: &mut Walk<'_>,
    ) -> Option<NodeSlot> {
        let Task { cluster, scene, parts, problem, .. } = task;
        let slot = scene.items[item];
        let vm = cluster.vm_record(slot)?;
        let leaders = parts.leaders(item);
        let tied = cluster.facts(slot).traits.any(VmTraits::RULES);
        let allowed = |node| is_eligible(cluster, vm, leaders, node) && (!tied || states.allows(problem, item, node));
        if !short_list(cluster, vm, leaders, &mut self.list) {
            return self.find(candidate, walk, allowed);
        }
        let targets = || self.list.iter().copied().filter(|node| cluster.room_index().contains(*node));
        let spare = |node: &NodeSlot| cluster.spares().binary_search(node).is_ok();
        candidate.best(targets().filter(spare), allowed).or_else(|| candidate.best(targets(), allowed))
    }

    #[inline]
    fn find<const WIDTH: usize>(
        &self,
        candidate: &Candidate<'_, WIDTH>,
        walk: &mut Walk<'_>,
        allowed: impl Fn(NodeSlot) -> bool + Copy,
    ) -> Option<NodeSlot> {
        if !self.spares.is_empty() {
            if let Some(spare) = candidate.first(&self.spares, allowed) {
                return Some(spare);
            }
        }
        candidate.search(walk, allowed).or_else(|| {
            // Room that the index does not know of.
            candidate.best(candidate.overlay.raised().iter().copied(), allowed)
        })
    }

    fn set_spares(&mut self, cluster: &Cluster) {
        self.spares.clear();
        self.spares.extend_from_slice(cluster.spares());
        let name = |node: NodeSlot| cluster.node_record(node).map(|record| &*record.name);
        self.spares.sort_unstable_by(|left, right| name(*left).cmp(&name(*right)));
    }

    /// The work of the last placing, in node evaluations.
    pub(super) fn work(&self) -> u64 {
        self.work
    }
}
