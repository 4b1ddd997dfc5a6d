//! Losses one after another, in every order and in every batch, against somebody's restarts: an adversary for
//! certificates (SPEC.md 2.2, `any_order`).
//!
//! Uses `verdict` (units, failures) and `verdict_model` (what a loss leaves, what is wrong with a restart). Used by tests
//! of guarantees; who restarts is a closure, so a certificate, a planner or a trick can be put in its place.
//!
//! What was restarted runs afterwards, where it was put, and holds its `demand` there; VMs that are not covered stay
//! displaced unless the closure places them, too. Unreachable nodes are dead from the beginning.

use crate::verdict::{Unit, failures, nodes_of};
use crate::verdict_model::Model;
use lifeboat::policy::FailureClass;
use lifeboat::{Cluster, NodeId, NodeState, Policy, VmId};
use std::collections::BTreeSet;

/// What the adversary may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Everything is lost in one batch.
    AtOnce,
    /// Any batches one after the other, up to the tolerance in total.
    AnyOrder,
}

/// A loss that somebody has to answer.
#[derive(Debug)]
pub struct Moment<'a, M> {
    /// The cluster as it is with the losses before this one, and their restarts done. The nodes lost now are still
    /// shown as they were.
    pub cluster: &'a Cluster,
    /// The nodes lost before.
    pub before: &'a BTreeSet<NodeId>,
    /// The nodes lost now; none if only those that wait are to be placed.
    pub now: &'a BTreeSet<NodeId>,
    /// What the last answer left to remember.
    pub memory: &'a M,
}

/// An answer to a loss.
#[derive(Clone, Debug, Default)]
pub struct Restart {
    /// VMs and where they start.
    pub placements: Vec<(VmId, NodeId)>,
    /// VMs that make room, and the nodes they leave.
    pub evictions: Vec<(VmId, NodeId)>,
}

/// What was played.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Played {
    /// How many losses were answered.
    pub restarts: u64,
    /// How many of them were the last that the tolerance allows.
    pub ends: u64,
}

/// Losses that were not answered well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// The losses, one batch after the other.
    pub losses: Vec<Vec<Unit>>,
    /// What is wrong with the answer to the last.
    pub faults: Vec<String>,
}

/// Plays all losses of a class. Each time `restart` gets the moment and gives an answer with what to remember, or nothing
/// if it has none. After each answer every covered VM, those in `without` excepted, must have a legal place.
///
/// # Errors
/// The first losses whose answer leaves a covered VM without a place or is not legal.
///
/// # Panics
/// If an answer names VMs or nodes that the cluster does not have.
pub fn replay<M>(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    without: &BTreeSet<VmId>,
    order: Order,
    memory: M,
    restart: impl FnMut(&Moment<'_, M>) -> Option<(Restart, M)>,
) -> Result<Played, Broken> {
    let mut start = cluster.clone();
    for node in cluster.nodes().filter(|node| node.state() == NodeState::Unreachable) {
        start.set_node_state(node.id(), NodeState::Failed).expect("a node");
    }
    let all: Vec<Vec<Unit>> = failures(cluster, policy, class);
    let waiting = start.vms().any(lifeboat::VmRef::is_displaced);
    let mut game = Game { policy, class, without, restart, played: Played::default() };
    match order {
        Order::AtOnce => {
            for failure in &all {
                let table = Table { cluster: start.clone(), lost: BTreeSet::new(), losses: Vec::new() };
                game.lose(&table, failure, &memory)?;
                game.played.ends += 1;
            }
        }
        Order::AnyOrder => {
            let table = Table { cluster: start, lost: BTreeSet::new(), losses: Vec::new() };
            let (settled, remembered) = game.lose(&table, &[], &memory)?;
            game.play(&settled, &all, &remembered)?;
            // Those that wait may also be placed with the first loss.
            if waiting {
                game.play(&table, &all, &memory)?;
            }
        }
    }
    Ok(game.played)
}

/// The cluster between two losses.
struct Table {
    cluster: Cluster,
    lost: BTreeSet<NodeId>,
    losses: Vec<Vec<Unit>>,
}

struct Game<'a, R> {
    policy: &'a Policy,
    class: &'a FailureClass,
    without: &'a BTreeSet<VmId>,
    restart: R,
    played: Played,
}

impl<R> Game<'_, R> {
    /// Every next loss that stays within the tolerance, and every one after it.
    fn play<M>(&mut self, table: &Table, all: &[Vec<Unit>], memory: &M) -> Result<(), Broken>
    where
        R: FnMut(&Moment<'_, M>) -> Option<(Restart, M)>,
    {
        let gone: Vec<Unit> = table.losses.concat();
        let mut last = true;
        for total in all {
            // What is lost in total grows: the next loss is what it has more.
            let next: Vec<Unit> = total.iter().filter(|unit| !gone.contains(unit)).cloned().collect();
            if next.is_empty() || next.len() + gone.len() != total.len() {
                continue;
            }
            // A unit that is gone with others is no loss.
            if next.iter().any(|unit| unit.nodes.iter().all(|node| table.lost.contains(node))) {
                continue;
            }
            last = false;
            let (after, remembered) = self.lose(table, &next, memory)?;
            self.play(&after, all, &remembered)?;
        }
        self.played.ends += u64::from(last);
        Ok(())
    }

    /// One loss and the answer to it, judged and done.
    fn lose<M>(&mut self, table: &Table, loss: &[Unit], memory: &M) -> Result<(Table, M), Broken>
    where
        R: FnMut(&Moment<'_, M>) -> Option<(Restart, M)>,
    {
        self.played.restarts += 1;
        let losses = [&table.losses[..], &[loss.to_vec()]].concat();
        let now: BTreeSet<NodeId> = nodes_of(loss).difference(&table.lost).copied().collect();
        let moment = Moment { cluster: &table.cluster, before: &table.lost, now: &now, memory };
        let Some((answer, remembered)) = (self.restart)(&moment) else {
            return Err(Broken { losses, faults: vec!["no answer".to_string()] });
        };
        let faults = self.faults(&table.cluster, &now, &answer);
        if !faults.is_empty() {
            return Err(Broken { losses, faults });
        }
        let mut cluster = table.cluster.clone();
        for node in &now {
            cluster.set_node_state(*node, NodeState::Failed).expect("a node");
        }
        for (vm, _) in &answer.evictions {
            cluster.move_vm(*vm, None).expect("a VM that runs");
        }
        for (vm, node) in &answer.placements {
            cluster.move_vm(*vm, Some(*node)).expect("a VM that waits");
        }
        let lost = table.lost.union(&now).copied().collect();
        Ok((Table { cluster, lost, losses }, remembered))
    }

    fn faults(&self, cluster: &Cluster, now: &BTreeSet<NodeId>, answer: &Restart) -> Vec<String> {
        let model = Model::new(cluster);
        let scenario = model.scenario(now, self.class.min_priority, self.without);
        let positions = |pairs: &[(VmId, NodeId)]| -> Vec<(usize, usize)> {
            let position = |(vm, node): &(VmId, NodeId)| {
                (model.vm_position(*vm).expect("a VM"), model.node_position(*node).expect("a node"))
            };
            pairs.iter().map(position).collect()
        };
        let (placed, evicted) = (positions(&answer.placements), positions(&answer.evictions));
        let mut faults = model.faults(&scenario, self.policy.preemption, &placed, &evicted);
        for vm in model.ids(&scenario.to_place) {
            if !answer.placements.iter().any(|(placed, _)| *placed == vm) {
                faults.push(format!("{} has no place", cluster.vm(vm).expect("a VM").name()));
            }
        }
        faults
    }
}
