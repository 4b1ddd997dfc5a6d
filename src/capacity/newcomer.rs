//! The VM that is added again and again, and where copies of it could be started.
//!
//! Uses `cluster`, `guarantee` (what fits a node), `admission::ledger`. Used by `capacity::headroom`.

use super::headroom::{HeadroomError, Newcomer};
use crate::admission::ledger::{Ghost, is_plain};
use crate::cluster::{Cluster, EditError, Priority, RestartClass, RuleKind, Strength, Vm};
use crate::guarantee::Newcomers;
use crate::ids::{NodeId, NodeSlot, RuleId, VmId};
use crate::resources::Amounts;
use crate::room::RoomKey;
use alloc::collections::BinaryHeap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// In which order nodes get copies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Always where most copies still fit: holes become equal.
    Even,
    /// One on every node, then another: no node has many to lose.
    Round,
    /// Node by node, the smallest hole first: the largest stay whole.
    Pack,
}

impl Order {
    pub(super) const ALL: [Self; 3] = [Self::Even, Self::Round, Self::Pack];
}

/// A node that takes copies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) node: NodeSlot,
    /// Its place in the order of names.
    pub(super) key: RoomKey,
    /// How many, for all that its room says.
    pub(super) fit: u64,
}

/// What is added.
#[derive(Clone, Debug)]
pub(super) struct Template {
    vm: Vm,
    pub(super) like: Option<VmId>,
    /// Rules that name the VM it is like.
    named_in: Vec<RuleId>,
    /// Whether a rule may bind copies.
    ruled: bool,
    /// `per_vm` included: what a copy holds, what restarts it, what is reserved for it.
    pub(super) demand: Vec<u64>,
    restart: Vec<u64>,
    pub(super) reservation: Vec<u64>,
    class: RestartClass,
    priority: Priority,
}

impl Template {
    pub(super) fn new(cluster: &Cluster, newcomer: &Newcomer) -> Result<Self, HeadroomError> {
        let (vm, like) = match newcomer {
            Newcomer::Shape(shape) => (Vm::named("").demand(shape.clone()), None),
            Newcomer::Like(id) => (cluster.vm(*id)?.to_vm(), Some(*id)),
        };
        // Amounts as the cluster keeps them, overhead included.
        let mut scratch = Cluster::new(cluster.kinds().clone(), [""; 0])?;
        let bare = Vm {
            demand: vm.demand.clone().or_else(|| Some(Amounts::zero())),
            restart_demand: vm.restart_demand.clone(),
            reservation: vm.reservation.clone(),
            ..Vm::named("x")
        };
        let id = scratch.add_vm(bare)?;
        let kept = scratch.vm(id)?;
        let named_in: Vec<RuleId> = like.map_or_else(Vec::new, |like| {
            let names = |id: &RuleId| {
                cluster.rule(*id).is_ok_and(|rule| {
                    let rule = rule.to_rule();
                    rule.vms.contains(&like) || matches!(&rule.kind, RuleKind::SeparateSides { sides, .. } if sides.iter().any(|side| side.contains(&like)))
                })
            };
            cluster.vm(like).map_or_else(|_| Vec::new(), |vm| vm.rules().filter(names).collect())
        });
        let (class, priority) = like.and_then(|like| cluster.vm(like).ok()).map_or_else(
            || (vm.restart, vm.priority),
            // What needs the VM needs no copy of it.
            |vm| (vm.restart(), vm.priority()),
        );
        let ruled = like.and_then(|like| cluster.vm(like).ok()).is_some_and(|vm| vm.rules().next().is_some());
        let template = Self {
            like,
            named_in,
            ruled,
            demand: kept.demand().to_vec(),
            restart: kept.restart_demand().to_vec(),
            reservation: kept.reservation().to_vec(),
            class,
            priority,
            vm: Vm { node: None, migrating_to: None, power: None, ..vm },
        };
        if template.demand.iter().all(|amount| *amount == 0) {
            return Err(HeadroomError::NothingWanted);
        }
        Ok(template)
    }

    /// Whether a class of failures promises anything to copies.
    pub(super) fn concerns(&self, min_priority: Option<Priority>) -> bool {
        self.class == RestartClass::Protected && min_priority.is_none_or(|least| self.priority >= least)
    }

    /// Copies, as the prices of a class see them.
    pub(super) fn newcomers(&self) -> Newcomers<'_> {
        Newcomers { demand: &self.demand, restart: &self.restart, like: self.like, single: false }
    }

    /// How many copies fit on every node that takes starts, spare nodes aside, by the ordinary over-commit: in the order of
    /// names, as far as one fits.
    pub(super) fn seats(&self, cluster: &Cluster) -> Vec<Seat> {
        let newcomers = self.newcomers();
        let seat = |node: NodeSlot| {
            let fit = Some(newcomers.starts_on(cluster, node)).filter(|fit| *fit > 0)?;
            Some(Seat { node, key: cluster.node_record(node)?.key, fit })
        };
        cluster.room_index().iter().filter_map(seat).collect()
    }

    /// Whether nothing about a copy concerns others but the room that it takes: then ledgers can speak of it.
    pub(super) fn ghost(&self, cluster: &Cluster) -> Option<Ghost<'_>> {
        let like = self.like.map(|like| like.slot);
        let plain = !self.ruled && like.is_none_or(|like| is_plain(cluster, like));
        let Self { demand, restart: need, class, priority, .. } = self;
        plain.then_some(Ghost { demand, need, restart: *class, priority: *priority, like })
    }

    /// The first `most` nodes to start copies on, one after another, in an order: each start keeps required and relaxed
    /// rules as far as they were kept, and `accept` takes it. A node that is not taken once is not asked about again.
    pub(super) fn sequence(
        &self,
        cluster: &Cluster,
        seats: &[Seat],
        order: Order,
        most: usize,
        mut accept: impl FnMut(NodeSlot) -> bool,
    ) -> Result<Vec<NodeSlot>, HeadroomError> {
        let mut sequence = Vec::new();
        let mut trial = if self.ruled { Some((cluster.clone(), unused_prefix(cluster))) } else { None };
        // What comes first, then the order of names; taken, so many are left.
        let mut heap: BinaryHeap<(u64, RoomKey, NodeSlot, u64)> = BinaryHeap::new();
        let urgency = |left: u64, taken: u64| match order {
            Order::Even => left,
            Order::Round => u64::MAX.saturating_sub(taken),
            Order::Pack => u64::MAX.saturating_sub(left),
        };
        let mut all = alloc::collections::BTreeMap::new();
        for Seat { node, key, fit } in seats {
            heap.push((urgency(*fit, 0), *key, *node, *fit));
            all.insert(*node, *fit);
        }
        while let Some((_, key, slot, left)) = heap.pop() {
            if sequence.len() >= most {
                break;
            }
            if let Some((trial, prefix)) = &mut trial {
                if !self.start_keeps_rules(trial, slot, &format!("{prefix} {}", sequence.len()))? {
                    continue;
                }
            }
            if !accept(slot) {
                continue;
            }
            sequence.push(slot);
            let left = left.saturating_sub(1);
            if left > 0 {
                let taken = all.get(&slot).copied().unwrap_or(left).saturating_sub(left);
                heap.push((urgency(left, taken), key, slot, left));
            }
        }
        Ok(sequence)
    }

    /// Starts a copy, if no rule is broken further by it; otherwise changes nothing.
    fn start_keeps_rules(&self, trial: &mut Cluster, slot: NodeSlot, name: &str) -> Result<bool, EditError> {
        let binding = |trial: &Cluster, vm: VmId| -> Result<u64, EditError> {
            let rules = trial.vm(vm)?.rules().filter(|rule| {
                trial.rule(*rule).is_ok_and(|rule| matches!(rule.strength(), Strength::Required | Strength::Relaxed))
            });
            let mut sum = 0_u64;
            for rule in rules {
                sum = sum.saturating_add(trial.rule_excess(rule)?);
            }
            Ok(sum)
        };
        let Some(like) = self.like else { return Ok(true) };
        let before = binding(trial, like)?;
        let added = self.add(trial, slot, name)?;
        let kept = binding(trial, like)? <= before;
        if !kept {
            self.leave_rules(trial, added)?;
            trial.remove_vm(added)?;
        }
        Ok(kept)
    }

    /// The cluster with copies on these nodes.
    pub(super) fn with(&self, cluster: &Cluster, nodes: &[NodeSlot]) -> Result<Cluster, EditError> {
        let mut more = cluster.clone();
        let prefix = unused_prefix(cluster);
        for (at, node) in nodes.iter().enumerate() {
            self.add(&mut more, *node, &format!("{prefix} {at}"))?;
        }
        Ok(more)
    }

    fn add(&self, cluster: &mut Cluster, slot: NodeSlot, name: &str) -> Result<VmId, EditError> {
        let node: NodeId = cluster.node_id_of(slot);
        let vm = Vm { name: name.into(), node: Some(node), ..self.vm.clone() };
        let added = cluster.add_vm(vm)?;
        let Some(like) = self.like else { return Ok(added) };
        for id in &self.named_in {
            let mut rule = cluster.rule(*id)?.to_rule();
            if rule.vms.contains(&like) {
                rule.vms.push(added);
            }
            if let RuleKind::SeparateSides { sides, .. } = &mut rule.kind {
                for side in sides.iter_mut().filter(|side| side.contains(&like)) {
                    side.push(added);
                }
            }
            cluster.update_rule(*id, rule)?;
        }
        Ok(added)
    }

    fn leave_rules(&self, cluster: &mut Cluster, vm: VmId) -> Result<(), EditError> {
        for id in &self.named_in {
            let mut rule = cluster.rule(*id)?.to_rule();
            rule.vms.retain(|member| *member != vm);
            if let RuleKind::SeparateSides { sides, .. } = &mut rule.kind {
                for side in sides {
                    side.retain(|member| *member != vm);
                }
            }
            cluster.update_rule(*id, rule)?;
        }
        Ok(())
    }
}

/// What no VM's name begins with.
fn unused_prefix(cluster: &Cluster) -> String {
    let mut prefix = String::from("one more");
    while cluster.vms().any(|vm| vm.name().starts_with(&prefix)) {
        prefix.push('+');
    }
    prefix
}
