//! `free`: so much of every kind is free, in total and on at least one node.
//!
//! Uses `cluster`, `reserves::status`. What is free is what a VM could be started in today: allocatable (by the ordinary
//! over-commit) less what VMs hold by demand, of online nodes that are not spare.

use super::NodeView;
use super::status::{FreeFigures, FreeKind};
use crate::cluster::{Cluster, NodeRef};
use crate::ids::NodeSlot;
use crate::room::RoomKey;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

#[derive(Clone, Debug)]
pub(super) struct FreeCounter {
    total: Vec<Option<u64>>,
    one_node: Vec<Option<u64>>,
    /// Of every kind, on all nodes.
    free: Vec<u128>,
    /// Nodes by what each is short of `one_node`, ties in the order of their names' hashes. Empty where that is not asked.
    nodes: BTreeSet<(u64, RoomKey, NodeSlot)>,
}

/// What a node is short of: the largest share that is missing of a kind, in 2^32nds, rounded up; this much if there is
/// no node.
const ALL: u64 = 1 << 32;

impl FreeCounter {
    pub(super) fn new(total: Vec<Option<u64>>, one_node: Vec<Option<u64>>) -> Self {
        let free = alloc::vec![0; total.len()];
        Self { total, one_node, free, nodes: BTreeSet::new() }
    }

    fn asks_one_node(&self) -> bool {
        self.one_node.iter().any(Option::is_some)
    }

    fn short(&self, free: &[u64]) -> u64 {
        let kinds = free.iter().zip(&self.one_node).filter_map(|(free, wanted)| Some((*free, (*wanted)?)));
        let short = kinds.map(|(free, wanted)| {
            let missing = u128::from(wanted.saturating_sub(free)).saturating_mul(u128::from(ALL));
            if missing == 0 { 0 } else { u64::try_from(missing.div_ceil(u128::from(wanted).max(1))).unwrap_or(ALL) }
        });
        short.max().unwrap_or(0)
    }

    pub(super) fn add_node(&mut self, node: &NodeView<'_>) {
        for (sum, free) in self.free.iter_mut().zip(node.free) {
            *sum = sum.saturating_add(u128::from(*free));
        }
        if self.asks_one_node() {
            self.nodes.insert((self.short(node.free), node.count.key, node.slot));
        }
    }

    pub(super) fn remove_node(&mut self, node: &NodeView<'_>) {
        for (sum, free) in self.free.iter_mut().zip(node.free) {
            *sum = sum.saturating_sub(u128::from(*free));
        }
        if self.asks_one_node() {
            self.nodes.remove(&(self.short(node.free), node.count.key, node.slot));
        }
    }

    /// How many more VMs of a demand there can be before more is missing in total.
    pub(super) fn most_more(&self, demand: &[u64]) -> Option<u64> {
        let kinds = self.total.iter().zip(&self.free).zip(demand);
        let bounds = kinds.filter_map(|((wanted, free), demand)| {
            let left = free.saturating_sub(u128::from((*wanted).filter(|wanted| *wanted > 0)?));
            left.checked_div(u128::from(*demand))
        });
        bounds.min().map(|most| u64::try_from(most).unwrap_or(u64::MAX))
    }

    /// Kind by kind what is missing in total, then, as a share, what the node with most is short of.
    pub(super) fn shortfalls(&self) -> Vec<u128> {
        let mut short: Vec<u128> = self
            .total
            .iter()
            .zip(&self.free)
            .map(|(wanted, free)| u128::from(wanted.unwrap_or(0)).saturating_sub(*free))
            .collect();
        if self.asks_one_node() {
            let wants_nothing = self.one_node.iter().flatten().all(|wanted| *wanted == 0);
            let without = if wants_nothing { 0 } else { ALL };
            short.push(u128::from(self.nodes.first().map_or(without, |(short, _, _)| *short)));
        }
        short
    }

    pub(super) fn figures(&self, cluster: &Cluster) -> FreeFigures {
        let best = self.nodes.first().and_then(|(_, _, slot)| cluster.node_ref(*slot));
        let on_best = |node: NodeRef<'_>, kind: usize| {
            let of = |row: &[u64]| row.get(kind).copied().unwrap_or(0);
            u128::from(of(node.allocatable()).saturating_sub(of(node.used())))
        };
        let asked = |kind: usize, wanted: u64, free: u128| FreeKind {
            kind: cluster.kinds().get(kind).map_or_else(Default::default, |kind| kind.name.clone()),
            wanted: u128::from(wanted),
            free,
        };
        let total = self.total.iter().zip(&self.free).enumerate();
        let one_node = self.one_node.iter().enumerate();
        FreeFigures {
            total: total.filter_map(|(kind, (wanted, free))| Some(asked(kind, (*wanted)?, *free))).collect(),
            one_node: one_node
                .filter_map(|(kind, wanted)| Some(asked(kind, (*wanted)?, best.map_or(0, |node| on_best(node, kind)))))
                .collect(),
            best_node: best.map(NodeRef::id),
        }
    }
}
