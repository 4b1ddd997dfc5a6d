//! Evictions in verdicts: whom a guarantee may stop, the cluster without them, and who of them really has to go.
//!
//! Uses `cluster`, `failure`, `restart` (the check of placements). Used by `guarantee::verify`, which proves a class on the
//! cluster [`without`] those who [`may_go`] where it does not hold as it is, and by `cover`, which tells the victims of each
//! loss.
//!
//! **Why the cluster without them settles it.** Say E are the running best-effort VMs that may be stopped, and C' is the
//! cluster in which they all wait for a place. A verdict places protected VMs only, so in C' nobody of E is anywhere.
//!
//! - *A plan of C' is a plan of the cluster*, with everyone of E on a survivor evicted: what stays, what is free and where
//!   members of rules are is the same in both. Of those evictions some subset is needed, one by one: take away what is not.
//!   The same goes for losses one after another, as long as everyone of E who is left may still go.
//! - *No plan in C' means none in the cluster*, if nobody of E is a member of a required `together` or `spread` rule: take a
//!   plan of the cluster with some of E evicted, and evict the others, too. Room only grows; `separate` (with sides, too) and
//!   `follow` judge the domains of placed VMs, where there are fewer members then; a leader of `follow` is as important as
//!   its members, so one of E leads nobody who is placed, and for the same reason nobody who is placed needs one of E.
//!   `together` lets a placed VM only where a member stays, `spread` counts members up: there a VM that stays can be what
//!   makes a plan legal, so a search in C' that finds none is no refutation. Prices ask about room alone: they always are.
//!
//! Waiting, not stopped: to stop a VM that others need is refused, and could change what others count for.

use crate::cluster::{Cluster, NodeState, RestartClass, RuleBody, Strength};
use crate::failure::Failure;
use crate::ids::{NodeId, NodeSlot, VmId, VmSlot};
use crate::restart::check_placements;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

/// The running best-effort VMs that a guarantee may stop, sorted.
pub(super) fn may_go(cluster: &Cluster) -> Vec<VmSlot> {
    let mut found: Vec<VmSlot> = cluster
        .nodes()
        .filter(|node| matches!(node.state(), NodeState::Online | NodeState::Cordoned))
        .flat_map(crate::cluster::NodeRef::vms)
        .filter(|vm| {
            cluster
                .vm(*vm)
                .is_ok_and(|vm| vm.is_on() && vm.is_preemptible() && vm.effective().0 == RestartClass::BestEffort)
        })
        .map(|vm| vm.slot)
        .collect();
    found.sort_unstable();
    found
}

/// The cluster with these VMs waiting for a place; `None` if one of them does not run.
pub(super) fn without(cluster: &Cluster, vms: &[VmSlot]) -> Option<Cluster> {
    let mut without = cluster.clone();
    for vm in vms {
        without.move_vm(cluster.vm_id_of(*vm), None).ok()?;
    }
    Some(without)
}

/// Whether one of them is a member of a required `together` or `spread` rule (module documentation).
pub(super) fn can_help(cluster: &Cluster, vms: &[VmSlot]) -> bool {
    vms.iter().filter_map(|vm| cluster.vm_record(*vm)).flat_map(|vm| &vm.rules).any(|rule| {
        cluster.rule_record(*rule).is_some_and(|rule| {
            rule.strength == Strength::Required
                && matches!(rule.body, RuleBody::Together { .. } | RuleBody::Spread { .. })
        })
    })
}

/// The cluster while a certificate that evicts is used: as it is after the losses so far and their restarts.
#[derive(Clone, Debug)]
pub(super) struct Evicting {
    now: Cluster,
    /// Who may still have to go, sorted.
    may_go: Vec<VmSlot>,
}

impl Evicting {
    /// Before the first loss; unreachable nodes are dead from the beginning.
    pub(super) fn new(cluster: &Cluster, may_go: &[VmSlot]) -> Option<Self> {
        let mut now = cluster.clone();
        for node in cluster.unreachable_nodes() {
            now.set_node_state(cluster.node_id_of(*node), NodeState::Failed).ok()?;
        }
        Some(Self { now, may_go: may_go.to_vec() })
    }

    /// Takes in a loss and the restarts that answer it, and says who stands in their way: no fewer would do, for whoever
    /// of them stayed. `None` if an id is not of the cluster.
    pub(super) fn lose(&mut self, batch: &[NodeSlot], placed: &[(VmId, NodeId)]) -> Option<Vec<(VmId, NodeId)>> {
        for node in batch {
            self.now.set_node_state(self.now.node_id_of(*node), NodeState::Failed).ok()?;
        }
        let gone = Choice::new(&self.now, &self.may_go, placed).settle();
        let mut evictions = Vec::with_capacity(gone.len());
        for vm in &gone {
            let (id, node) = (self.now.vm_id_of(*vm), self.now.vm_record(*vm)?.node?);
            evictions.push((id, self.now.node_id_of(node)));
            self.now.move_vm(id, None).ok()?;
        }
        for (vm, node) in placed {
            self.now.move_vm(*vm, Some(*node)).ok()?;
        }
        self.may_go.retain(|vm| !gone.contains(vm));
        Some(evictions)
    }
}

/// Of those who may go the ones who stand in the way of these placements after a failure: no fewer would do, for whoever of
/// them stayed. `None` if an id is not of the cluster.
pub(super) fn in_the_way(
    cluster: &Cluster,
    failure: &Failure,
    may_go: &[VmSlot],
    placed: &[(VmId, NodeId)],
) -> Option<BTreeSet<VmId>> {
    let mut now = cluster.clone();
    for node in failure.nodes() {
        now.set_node_state(*node, NodeState::Failed).ok()?;
    }
    Some(Choice::new(&now, may_go, placed).settle().into_iter().map(|vm| now.vm_id_of(vm)).collect())
}

/// The choice of victims for given placements.
struct Choice<'c> {
    cluster: &'c Cluster,
    placed: &'c [(VmId, NodeId)],
    /// What is asked of each node that receives someone, and what it can give, with the victims gone.
    asked: BTreeMap<NodeSlot, Vec<u128>>,
    given: BTreeMap<NodeSlot, Vec<u128>>,
    /// The kinds that those who are placed need there: of others a node may have too little already.
    counts: BTreeMap<NodeSlot, Vec<bool>>,
    /// Who may go and shares a rule with someone placed.
    tied: BTreeSet<VmSlot>,
    gone: BTreeSet<VmSlot>,
}

impl<'c> Choice<'c> {
    fn new(cluster: &'c Cluster, may_go: &[VmSlot], placed: &'c [(VmId, NodeId)]) -> Self {
        let wide = |row: &[u64]| row.iter().map(|amount| u128::from(*amount)).collect::<Vec<u128>>();
        let mut choice = Self {
            cluster,
            placed,
            asked: BTreeMap::new(),
            given: BTreeMap::new(),
            counts: BTreeMap::new(),
            tied: BTreeSet::new(),
            gone: BTreeSet::new(),
        };
        let stands = |vm: &VmSlot| may_go.binary_search(vm).is_ok() && runs(cluster, *vm);
        for (vm, node) in placed {
            let asked = choice.asked.entry(node.slot).or_insert_with(|| wide(&cluster.used_rows()[node.slot]));
            let counts = choice.counts.entry(node.slot).or_insert_with(|| alloc::vec![false; asked.len()]);
            for ((asked, counts), need) in asked.iter_mut().zip(counts).zip(&cluster.restart_rows()[vm.slot]) {
                *asked = asked.saturating_add(u128::from(*need));
                *counts |= *need > 0;
            }
            choice.given.entry(node.slot).or_insert_with(|| wide(&cluster.failover_rows()[node.slot]));
            let rules = cluster.vm_record(vm.slot).map_or(&[][..], |record| &record.rules);
            for rule in rules.iter().filter_map(|rule| cluster.rule_record(*rule)) {
                if rule.strength == Strength::Required && !rule.is_place() {
                    choice.tied.extend(rule.members.iter().copied().filter(stands));
                }
            }
        }
        for vm in choice.tied.clone() {
            choice.go(vm);
        }
        let nodes: Vec<NodeSlot> = choice.asked.keys().copied().collect();
        for node in nodes {
            let Some(record) = cluster.node_record(node) else { continue };
            let here = record.residents.iter().chain(&record.incoming).copied().filter(stands);
            choice.make_room(node, here.filter(|vm| !choice.gone.contains(vm)).collect());
        }
        choice
    }

    /// Lets VMs of a node go until those who are placed there fit: of those who would do alone the least important, else
    /// whoever gives the largest share of what is missing.
    fn make_room(&mut self, node: NodeSlot, mut here: Vec<VmSlot>) {
        while !self.fits(node, None) {
            let missing = self.missing(node);
            let share = |vm: VmSlot| -> u128 {
                let demand = self.cluster.demand_rows()[vm].iter().zip(&missing);
                demand
                    .filter(|(_, missing)| **missing > 0)
                    .map(|(demand, missing)| (u128::from(*demand).min(*missing) << 20_u32).checked_div(*missing))
                    .map(Option::unwrap_or_default)
                    .fold(0, u128::saturating_add)
            };
            let best = (0..).zip(&here).max_by_key(|(_, vm)| (share(**vm), Reverse(self.importance(**vm))));
            let Some((at, vm)) = best.map(|(at, vm)| (at, *vm)).filter(|(_, vm)| share(*vm) > 0) else { return };
            here.swap_remove(at);
            self.go(vm);
        }
    }

    /// Who has to go: whoever need not stays, the most important first, until nobody more can.
    fn settle(mut self) -> BTreeSet<VmSlot> {
        loop {
            let before = self.gone.len();
            let mut order: Vec<VmSlot> = self.gone.iter().copied().collect();
            order.sort_by_key(|vm| Reverse(self.importance(*vm)));
            for vm in order {
                if !self.nodes(vm).all(|node| self.fits(node, Some(vm))) {
                    continue;
                }
                self.stay(vm);
                if self.tied.contains(&vm) && !self.is_legal() {
                    self.go(vm);
                }
            }
            // One who stays can make it legal for another to stay.
            if self.gone.len() == before {
                return self.gone;
            }
        }
    }

    /// By class and priority, then by name: who counts for more comes later.
    fn importance(&self, vm: VmSlot) -> ((RestartClass, crate::cluster::Priority), Reverse<&'c str>) {
        let name = self.cluster.vm_record(vm).map_or("", |record| &record.name);
        (self.cluster.effective(vm), Reverse(name))
    }

    /// The nodes that receive someone and on which a VM counts.
    fn nodes(&self, vm: VmSlot) -> impl Iterator<Item = NodeSlot> + use<'_, 'c> {
        let record = self.cluster.vm_record(vm);
        let nodes = record.into_iter().flat_map(|record| record.node.into_iter().chain(record.migrating_to));
        nodes.filter(|node| self.asked.contains_key(node))
    }

    fn go(&mut self, vm: VmSlot) {
        for node in self.nodes(vm).collect::<Vec<_>>() {
            let Some(given) = self.given.get_mut(&node) else { continue };
            for (given, demand) in given.iter_mut().zip(&self.cluster.demand_rows()[vm]) {
                *given = given.saturating_add(u128::from(*demand));
            }
        }
        self.gone.insert(vm);
    }

    fn stay(&mut self, vm: VmSlot) {
        for node in self.nodes(vm).collect::<Vec<_>>() {
            let Some(given) = self.given.get_mut(&node) else { continue };
            for (given, demand) in given.iter_mut().zip(&self.cluster.demand_rows()[vm]) {
                *given = given.saturating_sub(u128::from(*demand));
            }
        }
        self.gone.remove(&vm);
    }

    /// Whether those who are placed on a node fit, and would if a VM that goes stayed.
    fn fits(&self, node: NodeSlot, stayer: Option<VmSlot>) -> bool {
        let demand = |kind: usize| {
            let row = stayer.map(|vm| &self.cluster.demand_rows()[vm]);
            row.and_then(|row| row.get(kind)).copied().map_or(0, u128::from)
        };
        let Some(((asked, given), counts)) =
            self.asked.get(&node).zip(self.given.get(&node)).zip(self.counts.get(&node))
        else {
            return true;
        };
        let kinds = asked.iter().zip(given).zip(counts).enumerate();
        kinds
            .filter(|(_, (_, counts))| **counts)
            .all(|(kind, ((asked, given), _))| asked.saturating_add(demand(kind)) <= *given)
    }

    /// What those who are placed on a node lack there, per kind.
    fn missing(&self, node: NodeSlot) -> Vec<u128> {
        let (Some(asked), Some(given), Some(counts)) =
            (self.asked.get(&node), self.given.get(&node), self.counts.get(&node))
        else {
            return Vec::new();
        };
        let kinds = asked.iter().zip(given).zip(counts);
        kinds.map(|((asked, given), counts)| if *counts { asked.saturating_sub(*given) } else { 0 }).collect()
    }

    /// Whether the placements are legal with just those gone who are.
    fn is_legal(&self) -> bool {
        let evictions: Option<Vec<(VmId, NodeId)>> = self
            .gone
            .iter()
            .map(|vm| {
                let node = self.cluster.vm_record(*vm)?.node?;
                Some((self.cluster.vm_id_of(*vm), self.cluster.node_id_of(node)))
            })
            .collect();
        evictions.is_some_and(|gone| check_placements(self.cluster, &Failure::none(), self.placed, &gone).is_ok())
    }
}

/// Whether a VM runs on a node that is up.
fn runs(cluster: &Cluster, vm: VmSlot) -> bool {
    let node = cluster.vm_record(vm).filter(|record| record.on).and_then(|record| record.node);
    let state = node.and_then(|node| cluster.node_record(node)).map(|node| node.state);
    matches!(state, Some(NodeState::Online | NodeState::Cordoned))
}
