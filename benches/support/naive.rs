//! Baselines: the planners that anybody would write first, without an index. They know amounts and states, no rules.
//!
//! Uses the public interface, once, to copy a cluster into flat tables: what is measured reads those alone. Used by
//! the benches, and checked there as every plan is.

use lifeboat::{Cluster, Failure, NodeId, VmId};

/// Which node a naive planner takes.
#[derive(Clone, Copy)]
pub enum Choice {
    /// The first on which the VM fits. Cheap while there is plenty of room; fills up the first nodes.
    FirstFit,
    /// The one with the largest share free, which needs a look at all nodes: evens out the load, as `lifeboat` does.
    LeastLoaded,
}

/// A cluster as flat tables.
pub struct Naive {
    kinds: usize,
    nodes: Vec<NodeId>,
    /// Per node and kind.
    free: Vec<u64>,
    most: Vec<u64>,
    accepts: Vec<bool>,
    /// Per node what runs there.
    residents: Vec<Vec<Resident>>,
}

#[derive(Clone)]
struct Resident {
    vm: VmId,
    rank: (lifeboat::RestartClass, lifeboat::Priority, u64),
    need: Vec<u64>,
}

impl Naive {
    pub fn of(cluster: &Cluster) -> Self {
        let resident = |vm: VmId| {
            let view = cluster.vm(vm).expect("a VM");
            let (class, priority) = view.effective();
            let need = view.restart_demand().to_vec();
            Resident { vm, rank: (class, priority, need[0]), need }
        };
        Self {
            kinds: cluster.kinds().len(),
            nodes: cluster.nodes().map(lifeboat::NodeRef::id).collect(),
            free: cluster.nodes().flat_map(|node| node.free().to_vec()).collect(),
            most: cluster.nodes().flat_map(|node| node.failover_allocatable().to_vec()).collect(),
            accepts: cluster.nodes().map(|node| node.state().accepts()).collect(),
            residents: cluster.nodes().map(|node| node.vms().map(resident).collect()).collect(),
        }
    }

    /// The positions of a failure's nodes, found beforehand: a table of positions by id would be part of any planner.
    pub fn positions(&self, failure: &Failure) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| failure.contains(self.nodes[*node])).collect()
    }

    /// Places what ran on the failed nodes, the most important and largest first; what fits nowhere is left out.
    pub fn restart(&mut self, failed: &[usize], choice: Choice) -> Vec<(VmId, NodeId)> {
        let mut order: Vec<&Resident> = failed.iter().flat_map(|node| &self.residents[*node]).collect();
        order.sort_by_key(|item| std::cmp::Reverse(item.rank));
        let mut placements = Vec::with_capacity(order.len());
        let mut taken: Vec<(usize, &Resident)> = Vec::with_capacity(order.len());
        for resident in order {
            let mut best: Option<(u64, usize)> = None;
            for node in 0..self.nodes.len() {
                let row = node * self.kinds..(node + 1) * self.kinds;
                let free = &self.free[row.clone()];
                let fits = resident.need.iter().zip(free).all(|(need, free)| need <= free);
                if !fits || !self.accepts[node] || failed.contains(&node) {
                    continue;
                }
                if matches!(choice, Choice::FirstFit) {
                    best = Some((0, node));
                    break;
                }
                let after = free.iter().zip(&resident.need).zip(&self.most[row]);
                let share =
                    after.map(|((free, need), most)| (free - need) * 1_000_000 / most.max(&1)).min().unwrap_or(0);
                if best.is_none_or(|(most_free, _)| share > most_free) {
                    best = Some((share, node));
                }
            }
            if let Some((_, node)) = best {
                for (kind, need) in resident.need.iter().enumerate() {
                    self.free[node * self.kinds + kind] -= need;
                }
                taken.push((node, resident));
                placements.push((resident.vm, self.nodes[node]));
            }
        }
        for (node, resident) in taken {
            for (kind, need) in resident.need.iter().enumerate() {
                self.free[node * self.kinds + kind] += need;
            }
        }
        placements
    }
}
