//! Which running VMs would have to go for the VMs that a plan leaves out: chosen by room, and by the rules that keep them
//! apart.
//!
//! Uses `restart::preempt` (who may evict whom, and the attempt that is to be improved). Used by it where there are too many
//! candidates to try every set.
//!
//! For each VM left out, the more important first: sets of one victim are looked for on all nodes, then of two, then of
//! three, so that the fewest are found that one VM needs on one node; only where no three are enough are victims added
//! up, those first that give the largest share of what is missing. Of sets of one size the one whose victims matter least
//! is taken, then the one that frees the least. Candidates that a required `separate` rule keeps apart from the VM have to go in any case. What is chosen is
//! a proposal: whether it is legal and worth it the plan made with it shows.

use super::{Attempt, Class, Search, add, outranks, subtract, take};
use crate::cluster::{Cluster, RuleBody, Strength};
use crate::dense::{fits, to_u32};
use crate::ids::{NodeSlot, VmId, VmSlot};
use crate::restart::eligible::may_run_on;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Sets of three are looked for among so many VMs of one node at most.
const TRIPLES_AMONG: usize = 40;
/// And only where all nodes together have no more sets to look at.
const TRIPLES_IN_ALL: usize = 2_000_000;

/// The size behind all that are tried exactly.
const ADD_UP: usize = 4;

/// The room that is left and who may still go, node by node.
struct Rooms {
    free: BTreeMap<NodeSlot, Vec<u64>>,
    /// By class, the least important first, then by name.
    residents: BTreeMap<NodeSlot, Vec<VmSlot>>,
}

impl Rooms {
    /// A VM goes: what it holds is free.
    fn lift(&mut self, cluster: &Cluster, vm: VmSlot) {
        let Some(node) = cluster.vm_record(vm).and_then(|record| record.node) else { return };
        if let Some(room) = self.free.get_mut(&node) {
            add(room, &cluster.demand_rows()[vm]);
        }
        if let Some(here) = self.residents.get_mut(&node) {
            here.retain(|resident| *resident != vm);
        }
    }
}

/// A node for one VM: who goes in any case, what is free then, and who else may go.
type Offer = (NodeSlot, Vec<VmSlot>, Vec<u64>, Vec<VmSlot>);

/// What one VM needs on one node: how important its victims are, the most important first, how large they are together,
/// then the node's name.
type Key<'n> = (Vec<Class>, u64, &'n str);

impl Search<'_> {
    /// The victims of an attempt, and for each VM left out those whose going makes room for it where they matter least.
    pub(super) fn choose(&mut self, attempt: &Attempt, left_out: &[VmId]) -> BTreeSet<VmId> {
        let mut victims = attempt.victims.clone();
        let mut rooms = self.rooms(attempt);
        // Larger VMs first: they have the least choice.
        let size = |vm: &VmId| self.cluster.size_of(&self.cluster.restart_rows()[vm.slot]);
        let mut left_out: Vec<VmId> = left_out.to_vec();
        left_out.sort_by_key(|vm| (Reverse(self.class(*vm)), Reverse(size(vm))));
        for vm in left_out.iter().filter(|vm| !attempt.victims.contains(vm)) {
            let Some((node, going)) = self.best_for(*vm, &rooms) else { continue };
            for other in going {
                rooms.lift(self.cluster, other);
                victims.insert(self.cluster.vm_id_of(other));
            }
            take(&mut rooms.free, node, &self.cluster.restart_rows()[vm.slot]);
        }
        victims
    }

    fn rooms(&self, attempt: &Attempt) -> Rooms {
        let mut rooms = Rooms { free: BTreeMap::new(), residents: BTreeMap::new() };
        let nodes = self.cluster.room_index().iter();
        for node in nodes.filter(|node| !self.failure.contains(self.cluster.node_id_of(*node))) {
            rooms.free.insert(node, self.cluster.free_rows()[node].to_vec());
        }
        for vm in &self.candidates {
            let Some(node) = self.cluster.vm_record(vm.slot).and_then(|record| record.node) else { continue };
            rooms.residents.entry(node).or_default().push(vm.slot);
            if attempt.victims.contains(vm) {
                rooms.lift(self.cluster, vm.slot);
            }
        }
        for placed in &attempt.plan.placements {
            take(&mut rooms.free, placed.node.slot, &self.cluster.restart_rows()[placed.vm.slot]);
        }
        rooms
    }

    /// The node on which the fewest and least important have to go for a VM, and who they are; nobody goes for nothing.
    fn best_for(&mut self, vm: VmId, rooms: &Rooms) -> Option<(NodeSlot, Vec<VmSlot>)> {
        let cluster = self.cluster;
        let (need, class) = (&cluster.restart_rows()[vm.slot], self.class(vm));
        let apart = self.kept_apart(vm, class, rooms);
        let mut open: Vec<Offer> = Vec::new();
        for (node, room) in rooms.free.iter().filter(|(node, _)| may_run_on(cluster, vm.slot, **node)) {
            let must: Vec<VmSlot> = apart.iter().filter(|(_, nodes)| nodes.contains(node)).map(|(vm, _)| *vm).collect();
            let at_home = |vm: &&VmSlot| cluster.vm_record(**vm).is_some_and(|record| record.node == Some(*node));
            let mut room = room.clone();
            for other in must.iter().filter(at_home) {
                add(&mut room, &cluster.demand_rows()[*other]);
            }
            let may_go = |other: &VmSlot| {
                outranks(self.policy.preemption, class, cluster.effective(*other)) && !must.contains(other)
            };
            let here = rooms.residents.get(node).map_or(&[][..], |here| here);
            let here: Vec<VmSlot> = here.iter().copied().filter(may_go).collect();
            let mut all = room.clone();
            for other in &here {
                add(&mut all, &cluster.demand_rows()[*other]);
            }
            if fits(need, &all) {
                open.push((*node, must, room, here));
            }
        }
        self.work = self.work.saturating_add(u64::from(to_u32(rooms.free.len())));
        let triples = open.iter().fold(0_usize, |sum, (_, _, _, here)| {
            sum.saturating_add(here.len().saturating_pow(3).checked_div(6).unwrap_or(0))
        });
        for size in 0..=ADD_UP {
            let mut best: Option<(Key<'_>, NodeSlot, Vec<VmSlot>)> = None;
            for (node, must, room, here) in &open {
                let too_many = here.len() > TRIPLES_AMONG || triples > TRIPLES_IN_ALL;
                let going = match size.checked_sub(must.len()) {
                    _ if size == ADD_UP => Some(self.add_up(need, room, here)),
                    Some(more) if more < 3 || !too_many => self.just(more, need, room, here),
                    _ => None,
                };
                let Some(mut going) = going else { continue };
                going.extend(must);
                if going.is_empty() {
                    continue;
                }
                let mut classes: Vec<Class> = going.iter().map(|vm| cluster.effective(*vm)).collect();
                classes.sort_unstable_by_key(|class| Reverse(*class));
                let name = cluster.node_record(*node).map_or("", |record| &record.name);
                let sizes = going.iter().map(|vm| cluster.size_of(&cluster.demand_rows()[*vm]));
                let key = (classes, sizes.fold(0, u64::saturating_add), name);
                let better = |best: &(Key<'_>, NodeSlot, Vec<VmSlot>)| (going.len(), &key) < (best.2.len(), &best.0);
                if best.as_ref().is_none_or(better) {
                    best = Some((key, *node, going));
                }
            }
            if let Some((_, node, going)) = best {
                return Some((node, going));
            }
        }
        None
    }

    /// Just so many whose going is enough, the least important that there are.
    fn just(&self, count: usize, need: &[u64], room: &[u64], here: &[VmSlot]) -> Option<Vec<VmSlot>> {
        let Some(fewer) = count.checked_sub(1) else { return fits(need, room).then(Vec::new) };
        here.iter().enumerate().find_map(|(at, vm)| {
            let mut more = room.to_vec();
            add(&mut more, &self.cluster.demand_rows()[*vm]);
            let mut going = self.just(fewer, need, &more, here.get(..at).unwrap_or_default())?;
            going.push(*vm);
            Some(going)
        })
    }

    /// Those who give the largest share of what is missing, until it is enough; then without whoever is not needed, the
    /// most important first.
    fn add_up(&self, need: &[u64], room: &[u64], here: &[VmSlot]) -> Vec<VmSlot> {
        let demand = self.cluster.demand_rows();
        let (mut room, mut left, mut going) = (room.to_vec(), here.to_vec(), Vec::new());
        while !fits(need, &room) {
            let share = |vm: &VmSlot| -> u128 {
                let kinds = need.iter().zip(&room).zip(&demand[*vm]);
                kinds
                    .filter(|((need, room), _)| need > room)
                    .map(|((need, room), gives)| {
                        let missing = u128::from(need.saturating_sub(*room));
                        (u128::from(*gives).min(missing) << 32_u32).checked_div(missing).unwrap_or(0)
                    })
                    .fold(0, u128::saturating_add)
            };
            let best =
                left.iter().enumerate().max_by_key(|(at, vm)| (share(vm), Reverse(*at))).map(|(at, vm)| (at, *vm));
            let Some((at, vm)) = best else { break };
            left.remove(at);
            add(&mut room, &demand[vm]);
            going.push(vm);
        }
        going.sort_by_key(|vm| Reverse(self.cluster.effective(*vm)));
        going.retain(|vm| {
            let mut less = room.clone();
            subtract(&mut less, &demand[*vm]);
            let needed = !fits(need, &less);
            if !needed {
                room = less;
            }
            needed
        });
        going
    }

    /// Candidates that a required `separate` rule, with sides or without, keeps apart from a VM, and the nodes where
    /// they do.
    fn kept_apart(&self, vm: VmId, class: Class, rooms: &Rooms) -> Vec<(VmSlot, BTreeSet<NodeSlot>)> {
        let cluster = self.cluster;
        let mut apart = Vec::new();
        let rules = cluster.vm_record(vm.slot).map_or(&[][..], |record| &record.rules);
        for rule in rules.iter().filter_map(|rule| cluster.rule_record(*rule)) {
            let (level, others): (_, Vec<VmSlot>) = match &rule.body {
                RuleBody::Separate { level, max_per_domain: 1 } => (*level, rule.members.clone()),
                RuleBody::Sides { level, sides } => {
                    let other_sides = sides.iter().filter(|side| !side.contains(&vm.slot));
                    (*level, other_sides.flatten().copied().collect())
                }
                _ => continue,
            };
            if rule.strength != Strength::Required {
                continue;
            }
            for other in others {
                let home = cluster.vm_record(other).and_then(|record| record.node);
                let Some(home) = home.filter(|home| rooms.residents.get(home).is_some_and(|all| all.contains(&other)))
                else {
                    continue;
                };
                if outranks(self.policy.preemption, class, cluster.effective(other)) {
                    let domain = cluster.levels.domain(level, home);
                    let same = |node: &&NodeSlot| cluster.levels.domain(level, **node) == domain;
                    apart.push((other, rooms.free.keys().filter(same).copied().collect::<BTreeSet<_>>()));
                }
            }
        }
        apart.sort_unstable_by_key(|(vm, _)| *vm);
        apart.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1.append(&mut later.1);
            }
            same
        });
        apart
    }
}
