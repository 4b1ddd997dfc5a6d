//! Two live moves that make room for a VM where one does not.
//!
//! Uses `cluster` and the replay of `restart::help`. Called by it.
//!
//! Two ways: *two leave* the node, or one leaves it for a node that *another leaves first*. Amounts decide what is
//! worth a replay, and small VMs come first; both the amounts looked at and the replays are limited.

use super::{Help, LiveMove, NodeId, Search, may_move};
use crate::cluster::{Cluster, VmRef};
use alloc::vec::Vec;

/// How many combinations of VMs and nodes are looked at, by their amounts alone.
const COMBINATIONS: usize = 100_000;
/// How many of them are replayed.
const REPLAYS: usize = 64;

/// What each node has free, by name of the node.
type Free = [(NodeId, Vec<u64>)];

struct Counter {
    combinations: usize,
    replays: usize,
}

impl Counter {
    /// Takes one combination; nothing if there are none left.
    fn look(&mut self) -> Option<()> {
        self.combinations = self.combinations.checked_sub(1)?;
        Some(())
    }
}

impl Search<'_> {
    pub(super) fn two_moves(&mut self, cluster: &Cluster, rooms: &[(NodeId, Vec<(usize, u64)>)]) -> Option<Help> {
        if rooms.is_empty() {
            return None;
        }
        let mut replay = self.after_failure(cluster)?;
        let free = self.free_after(cluster);
        let mut counter = Counter { combinations: COMBINATIONS, replays: REPLAYS };
        rooms.iter().find_map(|(from, missing)| {
            let two = self.two_leave(cluster, &mut replay, &free, *from, missing, &mut counter);
            two.or_else(|| self.another_first(cluster, &mut replay, &free, *from, missing, &mut counter))
        })
    }

    /// The VMs of a node that can move, smaller ones first.
    pub(super) fn movable<'c>(&self, cluster: &'c Cluster, node: NodeId) -> Vec<VmRef<'c>> {
        let vms = cluster.node(node).into_iter().flat_map(crate::cluster::NodeRef::vms);
        let mut movable: Vec<VmRef<'c>> = vms
            .filter_map(|vm| cluster.vm(vm).ok())
            .filter(|vm| vm.is_migratable() && vm.migrating_to().is_none())
            .filter(|vm| !self.evictions.iter().any(|(evicted, _)| *evicted == vm.id()))
            .collect();
        movable.sort_by(|left, right| (left.demand(), left.name()).cmp(&(right.demand(), right.name())));
        movable
    }

    fn try_out(
        &mut self,
        replay: &mut Cluster,
        first: LiveMove,
        second: LiveMove,
        node: NodeId,
        counter: &mut Counter,
    ) -> Option<Help> {
        counter.replays = counter.replays.checked_sub(1)?;
        // What is replayed here has a limit of its own.
        self.trials = self.trials.saturating_add(1);
        self.works(replay, &[first, second], node).then_some(Help::TwoMoves { first, second, node })
    }

    fn two_leave(
        &mut self,
        cluster: &Cluster,
        replay: &mut Cluster,
        free: &Free,
        from: NodeId,
        missing: &[(usize, u64)],
        counter: &mut Counter,
    ) -> Option<Help> {
        let movable = self.movable(cluster, from);
        for (at, one) in movable.iter().enumerate() {
            for other in movable.iter().take(at) {
                counter.look()?;
                let together = |kind: usize| amount(*one, kind).saturating_add(amount(*other, kind));
                if missing.iter().any(|(kind, missing)| together(*kind) < *missing) {
                    continue;
                }
                for (to, room) in free.iter().filter(|(to, room)| *to != from && fits(*one, room)) {
                    for (second_to, second_room) in free.iter().filter(|(to, _)| *to != from) {
                        counter.look()?;
                        let left: Vec<u64> = if second_to == to { without(room, *one) } else { second_room.clone() };
                        if fits(*other, &left)
                            && may_move(cluster, *one, *to)
                            && may_move(cluster, *other, *second_to)
                            && counter.replays > 0
                        {
                            let first = LiveMove { vm: one.id(), from, to: *to };
                            let second = LiveMove { vm: other.id(), from, to: *second_to };
                            let found = self.try_out(replay, first, second, from, counter);
                            if found.is_some() {
                                return found;
                            }
                        }
                    }
                }
            }
        }
        None
    }

    fn another_first(
        &mut self,
        cluster: &Cluster,
        replay: &mut Cluster,
        free: &Free,
        from: NodeId,
        missing: &[(usize, u64)],
        counter: &mut Counter,
    ) -> Option<Help> {
        let enough = |vm: &VmRef<'_>| missing.iter().all(|(kind, missing)| amount(*vm, *kind) >= *missing);
        for one in self.movable(cluster, from).into_iter().filter(enough) {
            for (to, room) in free.iter().filter(|(to, _)| *to != from) {
                counter.look()?;
                if fits(one, room) || !may_move(cluster, one, *to) {
                    continue;
                }
                for other in self.movable(cluster, *to) {
                    counter.look()?;
                    if !fits(one, &with(room, other)) {
                        continue;
                    }
                    for (other_to, _) in free.iter().filter(|(node, room)| *node != from && fits(other, room)) {
                        counter.look()?;
                        if other_to != to && may_move(cluster, other, *other_to) && counter.replays > 0 {
                            let first = LiveMove { vm: other.id(), from: *to, to: *other_to };
                            let second = LiveMove { vm: one.id(), from, to: *to };
                            let found = self.try_out(replay, first, second, from, counter);
                            if found.is_some() {
                                return found;
                            }
                        }
                    }
                }
            }
        }
        None
    }
}

fn amount(vm: VmRef<'_>, kind: usize) -> u64 {
    vm.demand().get(kind).copied().unwrap_or(0)
}

fn fits(vm: VmRef<'_>, room: &[u64]) -> bool {
    vm.demand().iter().zip(room).all(|(demand, room)| demand <= room)
}

fn with(room: &[u64], vm: VmRef<'_>) -> Vec<u64> {
    room.iter().zip(vm.demand()).map(|(room, demand)| room.saturating_add(*demand)).collect()
}

fn without(room: &[u64], vm: VmRef<'_>) -> Vec<u64> {
    room.iter().zip(vm.demand()).map(|(room, demand)| room.saturating_sub(*demand)).collect()
}
