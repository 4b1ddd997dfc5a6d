//! Two live moves that make room for a VM where one does not.
//!
//! Uses `cluster` and the replay of `restart::help`. Called by it.
//!
//! Two ways: *two leave* the node, or one leaves it for a node that *another leaves first*. Amounts decide what is
//! worth a replay, and small VMs come first; both the amounts looked at and the replays are limited. A VM that no node has
//! room for is not compared with every node.

use super::{Help, LiveMove, NodeId, Search, may_move};
use crate::cluster::{Cluster, VmRef};
use crate::dense::fits;
use crate::placement::budget::Control;
use alloc::vec::Vec;

/// How many combinations of VMs and nodes are looked at, by their amounts alone.
const COMBINATIONS: usize = 400_000;
/// How many of them are replayed.
const REPLAYS: usize = 64;

/// What each node has free, by name of the node.
type Free = [(NodeId, Vec<u64>)];

/// What may still be looked at.
struct Counter<'c> {
    combinations: usize,
    replays: usize,
    control: Option<&'c Control>,
}

impl Counter<'_> {
    /// Takes one combination; nothing if there are none left, if none can be replayed any more, or if the caller has
    /// cancelled.
    fn look(&mut self) -> Option<()> {
        self.combinations = self.combinations.checked_sub(1).filter(|_| self.replays > 0)?;
        let cancelled = self.combinations % 4096 == 0 && self.control.is_some_and(Control::is_cancelled);
        (!cancelled).then_some(())
    }
}

impl Search<'_> {
    pub(super) fn two_moves(&mut self, cluster: &Cluster, rooms: &[(NodeId, Vec<(usize, u64)>)]) -> Option<Help> {
        if rooms.is_empty() {
            return None;
        }
        let mut replay = self.after_failure(cluster)?;
        let free = self.free_after(cluster);
        let mut counter = Counter { combinations: COMBINATIONS, replays: REPLAYS, control: self.control };
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
            .filter(|vm| !self.evicted.contains(&vm.id()))
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
        counter: &mut Counter<'_>,
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
        counter: &mut Counter<'_>,
    ) -> Option<Help> {
        let largest = largest(free);
        let movable: Vec<VmRef<'_>> =
            self.movable(cluster, from).into_iter().filter(|vm| fits(vm.demand(), &largest)).collect();
        for (at, one) in movable.iter().enumerate() {
            for other in movable.iter().take(at) {
                counter.look()?;
                let together = |kind: usize| amount(*one, kind).saturating_add(amount(*other, kind));
                if missing.iter().any(|(kind, missing)| together(*kind) < *missing) {
                    continue;
                }
                for (to, room) in free {
                    counter.look()?;
                    if *to == from || !fits(one.demand(), room) {
                        continue;
                    }
                    for (second_to, second_room) in free {
                        counter.look()?;
                        if *second_to == from || !fits(other.demand(), second_room) {
                            continue;
                        }
                        let left: Vec<u64> = if second_to == to { without(room, *one) } else { second_room.clone() };
                        if fits(other.demand(), &left)
                            && may_move(cluster, *one, *to)
                            && may_move(cluster, *other, *second_to)
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
        counter: &mut Counter<'_>,
    ) -> Option<Help> {
        let largest = largest(free);
        let enough = |vm: &VmRef<'_>| missing.iter().all(|(kind, missing)| amount(*vm, *kind) >= *missing);
        for one in self.movable(cluster, from).into_iter().filter(enough) {
            for (to, room) in free.iter().filter(|(to, _)| *to != from) {
                counter.look()?;
                if fits(one.demand(), room) || !may_move(cluster, one, *to) {
                    continue;
                }
                for other in self.movable(cluster, *to) {
                    counter.look()?;
                    if !fits(other.demand(), &largest) || !fits(one.demand(), &with(room, other)) {
                        continue;
                    }
                    for (other_to, other_room) in free {
                        counter.look()?;
                        if *other_to == from || other_to == to || !fits(other.demand(), other_room) {
                            continue;
                        }
                        if may_move(cluster, other, *other_to) {
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

/// The most that any node has free, kind by kind.
pub(super) fn largest(free: &Free) -> Vec<u64> {
    let mut largest: Vec<u64> = Vec::new();
    for (_, room) in free {
        largest.resize(room.len(), 0);
        for (most, amount) in largest.iter_mut().zip(room) {
            *most = (*most).max(*amount);
        }
    }
    largest
}

fn amount(vm: VmRef<'_>, kind: usize) -> u64 {
    vm.demand().get(kind).copied().unwrap_or(0)
}

fn with(room: &[u64], vm: VmRef<'_>) -> Vec<u64> {
    room.iter().zip(vm.demand()).map(|(room, demand)| room.saturating_add(*demand)).collect()
}

fn without(room: &[u64], vm: VmRef<'_>) -> Vec<u64> {
    room.iter().zip(vm.demand()).map(|(room, demand)| room.saturating_sub(*demand)).collect()
}
