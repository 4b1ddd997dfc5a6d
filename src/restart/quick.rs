//! The usual case: everything displaced is placed at once, in canonical order, by the cluster's own index.
//!
//! Uses `cluster`, `room`, `restart::{scene, overlay, eligible, compile}`, `placement::rules`. Used by
//! `restart::planner`; when it places everything, the counts are final and the solver is never asked.
//!
//! For each VM a few nodes are found that take it (spare nodes first), and the best of them by the strategy is chosen.
//! To spread, two are looked at, from a point of the node order that the VM's name decides: the order is one of hashes,
//! so that the two are as good as drawn by lot, and two choices spread a failure over the cluster almost as evenly as
//! looking at every node. To pack, eight are looked at, from the beginning of the order.

use super::compile::Parts;
use super::eligible::{is_eligible, short_list};
use super::overlay::Overlay;
use super::scene::Scene;
use crate::cluster::{Cluster, VmRecord};
use crate::dense::{IdVec, fits};
use crate::ids::NodeSlot;
use crate::placement::problem::{ItemIx, Problem};
use crate::placement::rules::RuleStates;
use crate::policy::Strategy;
use crate::room::RoomKey;
use alloc::vec::Vec;

/// How many fitting nodes are compared where load is to be spread.
const SPREAD_CHOICES: usize = 2;

/// How many fitting nodes are compared where the biggest holes are to be left whole.
const PACK_CHOICES: usize = 8;

/// What the placing of one VM reads.
struct Candidate<'a, 'p> {
    cluster: &'a Cluster,
    scene: &'a Scene,
    parts: &'a Parts,
    problem: &'a Problem<'p>,
    overlay: &'a Overlay,
    states: &'a RuleStates,
    item: ItemIx,
    vm: &'a VmRecord,
    need: &'a [u64],
}

impl Candidate<'_, '_> {
    /// Whether the VM can go to a node, given what is placed already.
    #[inline]
    fn accepts(&self, node: NodeSlot) -> bool {
        !self.scene.is_failed(node)
            && fits(self.need, self.overlay.free(self.cluster, node))
            && is_eligible(self.cluster, self.vm, self.parts.leaders(self.item), node)
            && self.states.allows(self.problem, self.item, node)
    }

    /// The largest share of the node that would be in use with the VM on it, as a fraction.
    fn share(&self, node: NodeSlot) -> (u64, u64) {
        let free = self.overlay.free(self.cluster, node);
        let most = &self.cluster.failover_rows()[node];
        let mut largest = (0, 1);
        for ((need, free), most) in self.need.iter().zip(free).zip(most) {
            let used = (most.saturating_sub(free.saturating_sub(*need)), (*most).max(1));
            if less(largest, used) {
                largest = used;
            }
        }
        largest
    }

    /// The better of two nodes by the strategy.
    fn better(&self, strategy: Strategy, left: NodeSlot, right: NodeSlot) -> NodeSlot {
        let wins = match strategy {
            Strategy::Spread => less(self.share(right), self.share(left)),
            Strategy::Pack => less(self.share(left), self.share(right)),
        };
        if wins { right } else { left }
    }

    fn best(&self, strategy: Strategy, nodes: impl Iterator<Item = NodeSlot>) -> Option<NodeSlot> {
        nodes.filter(|node| self.accepts(*node)).reduce(|best, node| self.better(strategy, best, node))
    }

    /// The best of the first few nodes that take the VM, from a point of the node order on.
    fn search(&self, strategy: Strategy) -> Option<NodeSlot> {
        let (from, mut left) = match strategy {
            Strategy::Spread => (RoomKey::from(self.vm.key) << 64, SPREAD_CHOICES),
            Strategy::Pack => (0, PACK_CHOICES),
        };
        let mut best: Option<NodeSlot> = None;
        self.cluster.room_index().search(from, self.need, |node| {
            if !self.accepts(node) {
                return false;
            }
            best = Some(best.map_or(node, |best| self.better(strategy, best, node)));
            left = left.saturating_sub(1);
            left == 0
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
    #[expect(clippy::too_many_arguments, reason = "the planner's parts, borrowed one by one")]
    pub(super) fn place_all(
        &mut self,
        cluster: &Cluster,
        scene: &Scene,
        parts: &Parts,
        problem: &Problem<'_>,
        overlay: &mut Overlay,
        states: &mut RuleStates,
        strategy: Strategy,
        places: &mut IdVec<ItemIx, Option<NodeSlot>>,
    ) -> bool {
        self.work = 0;
        places.reset(None, scene.items.len());
        self.spares.clear();
        self.spares.extend_from_slice(cluster.spares());
        let name = |node: NodeSlot| cluster.node_record(node).map(|record| &*record.name);
        self.spares.sort_unstable_by(|left, right| name(*left).cmp(&name(*right)));
        for (item, slot) in scene.items.enumerate() {
            let Some(vm) = cluster.vm_record(*slot) else { return false };
            let need = &problem.need[item];
            let candidate = Candidate { cluster, scene, parts, problem, overlay, states, item, vm, need };
            self.work = self.work.saturating_add(2);
            let found = if short_list(cluster, vm, parts.leaders(item), &mut self.list) {
                self.list.sort_unstable_by(|left, right| name(*left).cmp(&name(*right)));
                let targets = || self.list.iter().copied().filter(|node| cluster.room_index().contains(*node));
                let spare = |node: &NodeSlot| cluster.spares().binary_search(node).is_ok();
                candidate.best(strategy, targets().filter(spare)).or_else(|| candidate.best(strategy, targets()))
            } else {
                let spare = self.spares.iter().copied().find(|node| candidate.accepts(*node));
                spare.or_else(|| candidate.search(strategy)).or_else(|| {
                    // Room that the index does not know of.
                    candidate.best(strategy, overlay.raised().iter().copied())
                })
            };
            let Some(node) = found else { return false };
            overlay.take(cluster, node, need);
            states.place(problem, item, node);
            places[item] = Some(node);
        }
        true
    }

    /// The work of the last placing, in node evaluations.
    pub(super) fn work(&self) -> u64 {
        self.work
    }
}

/// Whether one fraction is less than another.
fn less(left: (u64, u64), right: (u64, u64)) -> bool {
    u128::from(left.0).saturating_mul(u128::from(right.1)) < u128::from(right.0).saturating_mul(u128::from(left.1))
}
