//! Which running VMs would have to go for the VMs that a plan leaves out: chosen by room, and by the rules that keep them
//! apart.
//!
//! Uses `restart::preempt` (who may evict whom, and the attempt that is to be improved). Used by it where there are too many
//! candidates to try every set.
//!
//! For each VM left out, the more important first: sets of one victim are looked for on all nodes, then of two, then of
//! three (VMs of one need and class share what was found: see [`Offers`]), so that the fewest are found that one VM
//! needs on one node; only where no three are enough are victims added up, those first that give the largest share of
//! what is missing. Of sets of one size the one whose victims matter least is taken, then the one that frees the least.
//! Candidates that a required `separate` rule keeps apart from the VM have to go in any case. What is chosen is a
//! proposal: whether it is legal and worth it the plan made with it shows.

use super::{Attempt, Class, Search, outranks};
use crate::cluster::{Cluster, RuleBody, Strength};
use crate::dense::{fits, to_u32};
use crate::ids::{NodeSlot, VmId, VmSlot};
use crate::restart::eligible::may_run_on;
use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap};
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Sets of three are looked for among so many VMs of one node at most.
const TRIPLES_AMONG: usize = 40;
/// The share of the work left that one choice may take.
const CHOOSE_SHARE: u64 = 4;

/// The size behind all that are tried exactly.
const ADD_UP: usize = 4;

/// What a node has free, and in which kinds it holds more than it has: who leaves gives that back first.
#[derive(Clone)]
struct Room {
    free: Vec<u64>,
    lack: Vec<u64>,
}

impl Room {
    fn new(most: &[u64], used: &[u64]) -> Self {
        let differences = |left: &[u64], right: &[u64]| -> Vec<u64> {
            left.iter().zip(right).map(|(left, right)| left.saturating_sub(*right)).collect()
        };
        Self { free: differences(most, used), lack: differences(used, most) }
    }

    fn give(&mut self, amounts: &[u64]) {
        for ((free, lack), amount) in self.free.iter_mut().zip(&mut self.lack).zip(amounts) {
            *free = free.saturating_add(amount.saturating_sub(*lack));
            *lack = lack.saturating_sub(*amount);
        }
    }

    fn take(&mut self, amounts: &[u64]) {
        for ((free, lack), amount) in self.free.iter_mut().zip(&mut self.lack).zip(amounts) {
            *lack = lack.saturating_add(amount.saturating_sub(*free));
            *free = free.saturating_sub(*amount);
        }
    }

    /// Whether there is room: a kind that is not needed may be short.
    fn fits(&self, need: &[u64]) -> bool {
        fits(need, &self.free)
    }

    /// What is missing of each kind that is needed.
    fn missing<'r>(&'r self, need: &'r [u64]) -> impl Iterator<Item = u64> + 'r {
        let kinds = need.iter().zip(&self.free).zip(&self.lack);
        kinds.map(|((need, free), lack)| if *need == 0 { 0 } else { need.saturating_sub(*free).saturating_add(*lack) })
    }
}

/// The room that is left and who may still go, node by node.
struct Rooms {
    free: BTreeMap<NodeSlot, Room>,
    /// By class, the least important first, then by name.
    residents: BTreeMap<NodeSlot, Vec<VmSlot>>,
}

impl Rooms {
    fn take(&mut self, node: NodeSlot, amounts: &[u64]) {
        if let Some(room) = self.free.get_mut(&node) {
            room.take(amounts);
        }
    }

    /// A VM goes: what it holds is free.
    fn lift(&mut self, cluster: &Cluster, vm: VmSlot) {
        let Some(node) = cluster.vm_record(vm).and_then(|record| record.node) else { return };
        if let Some(room) = self.free.get_mut(&node) {
            room.give(&cluster.demand_rows()[vm]);
        }
        if let Some(here) = self.residents.get_mut(&node) {
            here.retain(|resident| *resident != vm);
        }
    }
}

/// What looking at a node for sets of one size has come to.
enum Look {
    Found(Vec<VmSlot>),
    /// Larger sets may do.
    More,
    /// No set does, or none is needed.
    Never,
}

/// What one VM needs on one node: how important its victims are, the most important first, how large they are together,
/// then the node's name.
type Key<'n> = (Vec<Class>, u64, &'n str);

/// The nodes for VMs of one need and class, the best first. Nodes are looked at as far as it takes: first whether nobody
/// has to go there, then who alone would do, and so on.
struct Offers<'c> {
    need: &'c [u64],
    class: Class,
    /// Whether rules speak of the VM.
    ruled: bool,
    /// Who is kept apart from the VM, and where.
    apart: Vec<(VmSlot, BTreeSet<NodeSlot>)>,
    /// By how many go, or would have to go at least; what has been looked at has a key.
    open: BinaryHeap<Reverse<(usize, Option<Key<'c>>, NodeSlot)>>,
    /// Who goes, where that has been found.
    going: BTreeMap<NodeSlot, Vec<VmSlot>>,
}

/// Who goes, and who starts where for it: of those that no rule speaks of.
pub(super) struct Choice {
    pub(super) victims: BTreeSet<VmId>,
    pub(super) seats: Vec<(VmSlot, NodeSlot)>,
}

impl<'c> Search<'c> {
    /// The victims of an attempt, and for each VM left out those whose going makes room for it where they matter least: as
    /// far as a quarter of the work that is left suffices.
    pub(super) fn choose(&mut self, attempt: &Attempt, left_out: &[VmId]) -> Choice {
        let limit = self.work.saturating_add(self.policy.budget.plan.saturating_sub(self.work) / CHOOSE_SHARE);
        let mut choice = Choice { victims: attempt.victims.clone(), seats: Vec::new() };
        let mut rooms = self.rooms(attempt);
        // Larger VMs first: they have the least choice.
        let size = |vm: &VmId| self.cluster.size_of(&self.cluster.restart_rows()[vm.slot]);
        let mut left_out: Vec<VmId> =
            left_out.iter().copied().filter(|vm| !attempt.victims.contains(vm) && self.can_evict(*vm)).collect();
        left_out.sort_by_cached_key(|vm| (Reverse(self.class(*vm)), Reverse(size(vm)), self.need(*vm)));
        let mut of_kind: Option<Offers<'c>> = None;
        for vm in left_out {
            if self.work >= limit {
                break;
            }
            // What is offered to one of a kind is offered to the next, but for the node that was taken.
            let alone = self.cluster.vm_record(vm.slot).is_none_or(|record| {
                record.allowed_nodes.is_some() || !record.requires.is_empty() || !record.rules.is_empty()
            });
            let kind = (self.need(vm), self.class(vm));
            let same = of_kind.take().filter(|offers| !alone && (offers.need, offers.class) == kind);
            let mut offers = same.unwrap_or_else(|| self.offers(vm, &rooms));
            if let Some((node, going)) = self.best_of(&mut offers, &rooms) {
                for other in going {
                    rooms.lift(self.cluster, other);
                    choice.victims.insert(self.cluster.vm_id_of(other));
                }
                rooms.take(node, offers.need);
                if !offers.ruled {
                    choice.seats.push((vm.slot, node));
                }
                offers.open.push(Reverse((0, None, node)));
            }
            of_kind = (!alone).then_some(offers);
        }
        choice
    }

    fn need(&self, vm: VmId) -> &'c [u64] {
        &self.cluster.restart_rows()[vm.slot]
    }

    /// Whether there is anybody whom the VM may evict: candidates stand in the order of their importance.
    pub(super) fn can_evict(&self, vm: VmId) -> bool {
        let class = self.class(vm);
        self.candidates.iter().any(|other| outranks(self.policy.preemption, class, self.class(*other)))
    }

    fn offers(&mut self, vm: VmId, rooms: &Rooms) -> Offers<'c> {
        let class = self.class(vm);
        let suits = |node: &&NodeSlot| may_run_on(self.cluster, vm.slot, **node);
        let open = rooms.free.keys().filter(suits).map(|node| Reverse((0, None, *node))).collect();
        self.work = self.work.saturating_add(u64::from(to_u32(rooms.free.len())));
        Offers {
            need: self.need(vm),
            class,
            ruled: self.cluster.vm_record(vm.slot).is_some_and(|record| !record.rules.is_empty()),
            apart: self.kept_apart(vm, class, rooms),
            open,
            going: BTreeMap::new(),
        }
    }

    /// The node on which the fewest and least important have to go, and who they are.
    fn best_of(&mut self, offers: &mut Offers<'c>, rooms: &Rooms) -> Option<(NodeSlot, Vec<VmSlot>)> {
        while let Some(Reverse((count, key, node))) = offers.open.pop() {
            if key.is_some() {
                return offers.going.remove(&node).map(|going| (node, going));
            }
            match self.look(offers, rooms, node, count) {
                Look::Found(going) => {
                    let key = self.key_of(node, &going);
                    offers.open.push(Reverse((going.len(), Some(key), node)));
                    offers.going.insert(node, going);
                }
                Look::More if count < ADD_UP => offers.open.push(Reverse((count.saturating_add(1), None, node))),
                Look::More | Look::Never => {}
            }
        }
        None
    }

    /// What sets of so many come to on a node.
    fn look(&mut self, offers: &Offers<'c>, rooms: &Rooms, node: NodeSlot, count: usize) -> Look {
        let cluster = self.cluster;
        let demand = cluster.demand_rows();
        let Some(room) = rooms.free.get(&node) else { return Look::Never };
        let residents = rooms.residents.get(&node).map_or(&[][..], |here| here);
        let must: Vec<VmSlot> =
            offers.apart.iter().filter(|(_, nodes)| nodes.contains(&node)).map(|(vm, _)| *vm).collect();
        let mut room = room.clone();
        for other in must.iter().filter(|vm| cluster.vm_record(**vm).is_some_and(|record| record.node == Some(node))) {
            room.give(&demand[*other]);
        }
        let may_go = |other: &VmSlot| {
            outranks(self.policy.preemption, offers.class, cluster.effective(*other)) && !must.contains(other)
        };
        let here: Vec<VmSlot> = residents.iter().copied().filter(may_go).collect();
        let sets = |size: usize| here.len().saturating_pow(to_u32(size)).checked_div(16).unwrap_or(0);
        self.work = self.work.saturating_add(1).saturating_add(u64::from(to_u32(here.len() / 16)));
        let mut all = room.clone();
        for other in &here {
            all.give(&demand[*other]);
        }
        if !all.fits(offers.need) {
            return Look::Never;
        }
        let going = if count == ADD_UP {
            Some(self.add_up(offers.need, &room, &here))
        } else {
            let Some(more) = count.checked_sub(must.len()) else { return Look::More };
            if more >= 3 && here.len() > TRIPLES_AMONG {
                return Look::More;
            }
            self.work = self.work.saturating_add(u64::from(to_u32(sets(more))));
            self.just(more, offers.need, &room, &here)
        };
        let Some(mut going) = going else { return Look::More };
        going.extend(must);
        // Room that is there already is made use of, but where rules may be what keeps the VM from it.
        if going.is_empty() && offers.ruled { Look::Never } else { Look::Found(going) }
    }

    fn key_of(&self, node: NodeSlot, going: &[VmSlot]) -> Key<'c> {
        let cluster = self.cluster;
        let mut classes: Vec<Class> = going.iter().map(|vm| cluster.effective(*vm)).collect();
        classes.sort_unstable_by_key(|class| Reverse(*class));
        let sizes = going.iter().map(|vm| cluster.size_of(&cluster.demand_rows()[*vm]));
        let name = cluster.node_record(node).map_or("", |record| &record.name);
        (classes, sizes.fold(0, u64::saturating_add), name)
    }

    fn rooms(&self, attempt: &Attempt) -> Rooms {
        let mut rooms = Rooms { free: BTreeMap::new(), residents: BTreeMap::new() };
        let nodes = self.cluster.room_index().iter();
        for node in nodes.filter(|node| !self.failure.contains(self.cluster.node_id_of(*node))) {
            let (most, used) = (&self.cluster.failover_rows()[node], &self.cluster.used_rows()[node]);
            rooms.free.insert(node, Room::new(most, used));
        }
        for vm in &self.candidates {
            let Some(node) = self.cluster.vm_record(vm.slot).and_then(|record| record.node) else { continue };
            rooms.residents.entry(node).or_default().push(vm.slot);
            if attempt.victims.contains(vm) {
                rooms.lift(self.cluster, vm.slot);
            }
        }
        for placed in &attempt.plan.placements {
            rooms.take(placed.node.slot, &self.cluster.restart_rows()[placed.vm.slot]);
        }
        rooms
    }

    /// Just so many whose going is enough, the least important that there are.
    fn just(&self, count: usize, need: &[u64], room: &Room, here: &[VmSlot]) -> Option<Vec<VmSlot>> {
        let Some(fewer) = count.checked_sub(1) else { return room.fits(need).then(Vec::new) };
        here.iter().enumerate().find_map(|(at, vm)| {
            let mut more = room.clone();
            more.give(&self.cluster.demand_rows()[*vm]);
            let mut going = self.just(fewer, need, &more, here.get(..at).unwrap_or_default())?;
            going.push(*vm);
            Some(going)
        })
    }

    /// Those who give the largest share of what is missing, until it is enough; then without whoever is not needed, the
    /// most important first.
    fn add_up(&self, need: &[u64], room: &Room, here: &[VmSlot]) -> Vec<VmSlot> {
        let demand = self.cluster.demand_rows();
        let (mut room, mut left, mut going) = (room.clone(), here.to_vec(), Vec::new());
        while !room.fits(need) {
            let share = |vm: &VmSlot| -> u128 {
                let kinds = room.missing(need).zip(&demand[*vm]);
                kinds
                    .map(|(missing, gives)| {
                        let missing = u128::from(missing);
                        (u128::from(*gives).min(missing) << 32_u32).checked_div(missing).unwrap_or(0)
                    })
                    .fold(0, u128::saturating_add)
            };
            let best =
                left.iter().enumerate().max_by_key(|(at, vm)| (share(vm), Reverse(*at))).map(|(at, vm)| (at, *vm));
            let Some((at, vm)) = best else { break };
            left.remove(at);
            room.give(&demand[vm]);
            going.push(vm);
        }
        going.sort_by_key(|vm| Reverse(self.cluster.effective(*vm)));
        going.retain(|vm| {
            let mut less = room.clone();
            less.take(&demand[*vm]);
            let needed = !less.fits(need);
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
