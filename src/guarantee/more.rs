//! How many more VMs a class can bear at most, and which VMs it cannot cover.
//!
//! Uses `cluster`, `guarantee::{units, uncoverable, prices}`. Used by `capacity`, and by
//! `admission` for what cannot be started anywhere.
//!
//! **The data's path.** Prices (`guarantee::prices`) bound what a class can bear: of every family the worst failure leaves
//! so much. The VMs that count are summed up per node. What failures cost in each kind bounds what they cost by any other
//! family, so that for most families the limits of a part of the nodes tell that they leave more than those before. From the
//! sums alone the others tell at least how much they leave; only one that may leave less looks at the VMs one by one.
//!
//! **Above the failover line.** A newcomer starts by what its node has room for today, `overcommit`; what is displaced needs
//! room by `failover_overcommit`. Where that is less, newcomers beyond it take no failover room away, for there is none left.
//! So of what k of them, each at price w, start on a node with failover room R, at most k w + W(R without what they hold)
//! counts. That is largest with none or with all that the node takes today: between them W falls by more than w each while
//! R holds them, and is 0 in what they need once it does not. Where failover room is no less than today's it is W(R).

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: as in `prices`: sums of needs and of rooms fit u64, and all sums of prices are below 2^108; \
              counts of VMs are below 2^31"
)]

use super::error::VerifyError;
use super::field::{Census, is_limited};
use super::prices::{
    Costs, DRAWN, Released, add_shapes, bound, every, is_drawn, limit, one, price, pricings_by_room, stays_within,
    sum_below,
};
use super::uncoverable::concern_of;
use super::units::Units;
use super::verdict::Pricing;
use crate::cluster::{Cluster, Role};
use crate::dense::{IdVec, Rows};
use crate::ids::{NodeSlot, VmId, VmSlot};
use crate::parallel::Threads;
use crate::policy::{FailureClass, Policy, Preemption};
use crate::resources::Amounts;
use crate::restart::Concern;
use alloc::vec::Vec;

/// VMs that are all alike, to be started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newcomers<'n> {
    /// What each of them holds while it runs.
    pub(crate) demand: &'n [u64],
    /// What its node must have free to start it again.
    pub(crate) restart: &'n [u64],
    /// A VM that they share all limits with.
    pub(crate) like: Option<VmId>,
    /// Whether no more than one of them is asked about.
    pub(crate) single: bool,
}

impl Newcomers<'_> {
    /// What each takes for certain, running or restarting.
    fn least_need(&self) -> Vec<u64> {
        self.demand.iter().zip(self.restart).map(|(now, again)| *now.min(again)).collect()
    }

    /// How many could start on a node, for all that it has room for by the ordinary over-commit.
    pub(crate) fn starts_on(&self, cluster: &Cluster, node: NodeSlot) -> u64 {
        let takes_starts =
            cluster.node_record(node).is_some_and(|node| node.state.accepts() && node.role != Role::Spare);
        if !takes_starts || self.like.is_some_and(|like| !crate::restart::may_run_on(cluster, like.slot, node)) {
            return 0;
        }
        let rows = cluster.allocatable_row(node).iter().zip(&cluster.used_rows()[node]);
        let kinds = rows.zip(self.demand.iter().zip(self.restart)).filter_map(|((all, used), (demand, again))| {
            let start = *demand.max(again);
            // The last one needs what a start needs, those before it what they hold.
            let rest = all.saturating_sub(*used).checked_sub(start);
            let count =
                rest.map_or(0, |rest| rest.checked_div(*demand).map_or(u64::MAX, |more| more.saturating_add(1)));
            (start > 0).then_some(count)
        });
        kinds.min().unwrap_or(0)
    }
}

/// A proved bound on how many newcomers that the class concerns can run with the class still held; `None`: nothing is known.
///
/// Each of them costs its price either among the displaced or out of the limit of its node, so the worst failure by a
/// family leaves room for what it leaves of the prices, divided by theirs; and beside that for what may run above the
/// failover line.
pub(crate) fn most_more(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    newcomers: &Newcomers<'_>,
) -> Result<Option<u128>, VerifyError> {
    let units = Units::new(cluster, policy, class)?;
    let concern = concern_of(cluster, &units, class.min_priority);
    Ok(most_more_of(cluster, policy, (&units, &concern), newcomers))
}

/// The same of a class whose units are known, and the VMs that it leaves out: at least those that are uncoverable.
pub(crate) fn most_more_of(
    cluster: &Cluster,
    policy: &Policy,
    (units, concern): (&Units, &Concern),
    newcomers: &Newcomers<'_>,
) -> Option<u128> {
    let released = Released::new(cluster, policy.preemption != Preemption::Never);
    let need = &*newcomers.least_need();
    let everywhere = Scope::everywhere(cluster, &released.targets, concern);
    let mut pricings = pricings_by_room(units, &released);
    if need.iter().any(|amount| *amount > 0) {
        pricings.push(Pricing::Shape { shape: need.to_vec() });
    }
    add_shapes(everywhere.drawn(), DRAWN.shapes, &mut pricings);
    pricings.retain(|pricing| price(pricing, need) > 0);
    // What VMs without limits are like says no more than that.
    let like = newcomers.like.map(|like| like.slot).filter(|like| is_limited(cluster, *like));
    let eligible = |like: VmSlot| {
        let nodes = released.targets.iter().copied();
        nodes.filter(|node| crate::restart::may_run_on(cluster, like, *node)).collect::<Vec<NodeSlot>>()
    };
    let nodes = like.map(eligible);
    let within = nodes.as_ref().map(|nodes| {
        let inside = everywhere.inside(&released.targets, nodes);
        Scope::new(cluster, nodes, concern, inside)
    });
    let more = More { above: above(cluster, &released, newcomers), single: newcomers.single };
    let mut least = None;
    for scope in core::iter::once(&everywhere).chain(&within) {
        let kinds =
            (0..cluster.kinds().len()).map(|kind| Pricing::Weighted { weights: one(cluster.kinds().len(), kind) });
        let most: Vec<u128> = kinds.map(|kind| scope.costs(&released, &kind).most(units)).collect();
        for pricing in &pricings {
            let below = least.unwrap_or(u128::MAX);
            let one_more = price(pricing, need);
            if more.above.is_empty() && scope.leaves(&released, pricing, &most, below.saturating_mul(one_more)) {
                continue;
            }
            least = scope.bound(units, &released, (pricing, one_more), &more, below).or(least);
        }
    }
    least
}

/// The nodes on which newcomers may run above the failover line.
struct More {
    above: Vec<Above>,
    single: bool,
}

/// A node that takes more newcomers today than it has failover room for.
struct Above {
    node: NodeSlot,
    /// How many it takes.
    count: u64,
    /// What they leave of its failover room.
    left: Amounts,
}

impl Above {
    /// What the newcomers and what they leave can cost, if that is more than the limit without them.
    fn limit(&self, pricing: &Pricing, one_more: u128, limit_without: u128) -> u128 {
        limit_without.max(one_more.saturating_mul(self.count.into()).saturating_add(limit(pricing, &self.left)))
    }
}

/// Only nodes on which failover room ends before today's are of interest.
fn above(cluster: &Cluster, released: &Released, newcomers: &Newcomers<'_>) -> Vec<Above> {
    let is_lower = |node: &NodeSlot| {
        let rows = cluster.failover_rows()[*node].iter().zip(cluster.allocatable_row(*node));
        rows.into_iter().any(|(failover, today)| failover < today)
    };
    let of_node = |node: NodeSlot| {
        let count = newcomers.starts_on(cluster, node).min(if newcomers.single { 1 } else { u64::MAX });
        let rows = released.room[node].iter().zip(newcomers.demand);
        let left = rows.map(|(room, demand)| room.saturating_sub(demand.saturating_mul(count))).collect();
        (count > 0).then_some(Above { node, count, left })
    };
    released.targets.iter().copied().filter(is_lower).filter_map(of_node).collect()
}

/// What families of every pricing speak of: some nodes, and VMs that can go nowhere else.
struct Scope<'a> {
    cluster: &'a Cluster,
    concern: &'a Concern,
    nodes: &'a [NodeSlot],
    members: Members,
}

enum Members {
    /// All that the class concerns.
    All(Census),
    Some {
        /// With their homes; those that wait for a place behind the last node.
        vms: Vec<(NodeSlot, VmSlot)>,
        /// What those of each node need together, and how many there are; behind the last node those without a home.
        load: Rows<NodeSlot>,
        count: IdVec<NodeSlot, u32>,
    },
}

impl<'a> Scope<'a> {
    /// All targets, and all VMs.
    fn everywhere(cluster: &'a Cluster, nodes: &'a [NodeSlot], concern: &'a Concern) -> Self {
        let members = Members::All(Census::new(cluster, concern, Threads::ONE));
        Self { cluster, concern, nodes, members }
    }

    fn new(cluster: &'a Cluster, nodes: &'a [NodeSlot], concern: &'a Concern, vms: Vec<(NodeSlot, VmSlot)>) -> Self {
        let homes = cluster.node_slots() + 1;
        let mut load = Rows::new(cluster.kinds().len());
        load.resize(homes);
        let mut count = IdVec::filled(0, homes);
        for (home, vm) in &vms {
            count[*home] += 1;
            for (load, need) in load[*home].iter_mut().zip(&cluster.restart_rows()[*vm]) {
                *load += need;
            }
        }
        Self { cluster, concern, nodes, members: Members::Some { vms, load, count } }
    }

    /// Calls `visit` with every member and its home.
    fn each(&self, mut visit: impl FnMut(NodeSlot, VmSlot)) {
        match &self.members {
            Members::All(census) => {
                census.each_member::<0>(self.cluster, self.concern, |home, vm, _, _| visit(home, vm));
            }
            Members::Some { vms, .. } => vms.iter().for_each(|(home, vm)| visit(*home, *vm)),
        }
    }

    /// How many members there are.
    fn len(&self) -> usize {
        match &self.members {
            Members::All(census) => census.members(),
            Members::Some { vms, .. } => vms.len(),
        }
    }

    /// The prices of what each node displaces; behind the last node those of members without a home.
    fn displaced(&self, pricing: &Pricing) -> IdVec<NodeSlot, u128> {
        match &self.members {
            Members::All(census) => census.displaced(self.cluster, self.concern, pricing),
            Members::Some { vms, load, .. } => {
                let mut displaced: IdVec<NodeSlot, u128> = IdVec::filled(0, load.len());
                for (home, vm) in vms {
                    displaced[*home] += price(pricing, &self.cluster.restart_rows()[*vm]);
                }
                displaced
            }
        }
    }

    /// What some of the members need, drawn by the hashes of their names.
    fn drawn(&self) -> Vec<&[u64]> {
        let every = every(self.len(), DRAWN.members);
        let mut drawn = Vec::new();
        self.each(|_, vm| {
            if is_drawn(self.cluster.facts(vm), every) {
                drawn.push(&self.cluster.restart_rows()[vm]);
            }
        });
        drawn
    }

    /// The members that can go nowhere but to some of the targets.
    fn inside(&self, targets: &[NodeSlot], nodes: &[NodeSlot]) -> Vec<(NodeSlot, VmSlot)> {
        let mut within = IdVec::filled(false, self.cluster.node_slots());
        for node in nodes {
            within[*node] = true;
        }
        let (mut few, mut inside) = (Vec::new(), Vec::new());
        self.each(|home, vm| {
            if is_limited(self.cluster, vm) && stays_within(self.cluster, targets, vm, &within, &mut few) {
                inside.push((home, vm));
            }
        });
        inside
    }

    /// What the loss of each node costs at most, going by the sums of what its VMs need.
    fn costs(&self, released: &Released, pricing: &Pricing) -> Costs {
        let (taken, available) = released.limits(pricing, self.nodes);
        self.costs_of(pricing, taken, available)
    }

    fn costs_of(&self, pricing: &Pricing, taken: IdVec<NodeSlot, u128>, available: u128) -> Costs {
        let of_home = |home: NodeSlot| match &self.members {
            Members::All(census) => most_price(pricing, &census.load[home], census.count(home)),
            Members::Some { load, count, .. } => most_price(pricing, &load[home], count[home]),
        };
        Costs::new(taken, available, of_home)
    }

    /// Whether every failure leaves so much by a family for certain: `most` is what failures cost in each kind at most, and what
    /// that can cost by the family (`prices::bound`) leaves it.
    fn leaves(&self, released: &Released, pricing: &Pricing, most: &[u128], left: u128) -> bool {
        let limits = self.nodes.iter().map(|node| limit(pricing, &released.room[*node]));
        sum_below(left.saturating_add(bound(pricing, most)), limits).is_none()
    }

    /// What the worst failure by a family leaves of the prices, divided by the price of one more, if that is below `below`.
    fn bound(
        &self,
        units: &Units,
        released: &Released,
        (pricing, one_more): (&Pricing, u128),
        more: &More,
        below: u128,
    ) -> Option<u128> {
        let (mut taken, mut available) = released.limits(pricing, self.nodes);
        // A single one is on a single node, whichever it is.
        let mut single = 0;
        for above in more.above.iter().filter(|above| self.nodes.binary_search(&above.node).is_ok()) {
            let without = taken[above.node];
            let gained = above.limit(pricing, one_more, without) - without;
            if more.single {
                single = gained.max(single);
            } else {
                taken[above.node] += gained;
                available += gained;
            }
        }
        let mut costs = self.costs_of(pricing, taken, available);
        if (available + single).saturating_sub(costs.most(units)) / one_more >= below {
            return None;
        }
        // Weighted sums are linear: what is said of the sum of all VMs of a node is exact.
        if !matches!(pricing, Pricing::Weighted { .. }) {
            let displaced = self.displaced(pricing);
            costs = costs.displacing(|home| displaced[home]);
        }
        let (_, needed, left) = costs.worst(units);
        Some((left + single).saturating_sub(needed) / one_more).filter(|bound| *bound < below)
    }
}

/// The most that VMs can cost, so many that need so much together.
fn most_price(pricing: &Pricing, load: &[u64], count: u32) -> u128 {
    match pricing {
        Pricing::Weighted { .. } | Pricing::Parts { .. } => price(pricing, load),
        Pricing::Shape { .. } => u128::from(count),
    }
}

/// The VMs that some failure of a class leaves without any node that could take them, by slot.
pub(crate) fn uncoverable_of(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
) -> Result<Vec<VmSlot>, VerifyError> {
    let units = Units::new(cluster, policy, class)?;
    let concern = concern_of(cluster, &units, class.min_priority);
    Ok(concern.left_out)
}

#[cfg(test)]
#[allow(clippy::as_conversions, clippy::arithmetic_side_effects, clippy::pedantic, reason = "tests")]
mod tests {
    use super::*;
    use crate::cluster::{Node, NodeState, Vm};
    use crate::dense::DenseId;
    use crate::dice::Dice;
    use crate::guarantee::field::{each_member, homes_of};
    use crate::resources::ResourceKinds;
    use alloc::format;

    /// What every failure leaves by every family, VM by VM, however many newcomers start on every node.
    fn slow(cluster: &Cluster, units: &Units, concern: &Concern, newcomers: &Newcomers<'_>) -> Option<u128> {
        let need = newcomers.demand;
        let like = newcomers.like.map(|like| like.slot);
        let released = Released::new(cluster, false);
        let mut all = Vec::new();
        each_member::<0>(cluster, concern, &homes_of(cluster), |home, vm, _, _| all.push((home, vm)));
        let every = every(all.len(), DRAWN.members);
        let drawn = all.iter().filter(|(_, vm)| is_drawn(cluster.facts(*vm), every));
        let mut pricings = pricings_by_room(units, &released);
        add_shapes(drawn.map(|(_, vm)| &cluster.restart_rows()[*vm]).collect(), DRAWN.shapes, &mut pricings);
        pricings.push(Pricing::Shape { shape: need.to_vec() });
        let may = |vm: VmSlot, node: NodeSlot| crate::restart::may_run_on(cluster, vm, node);
        let mut least = None;
        for like in [None, like] {
            let is_open = |node: &NodeSlot| like.is_none_or(|like| may(like, *node));
            let nodes: Vec<NodeSlot> = released.targets.iter().copied().filter(is_open).collect();
            let stays = |vm: VmSlot| {
                like.is_none() || released.targets.iter().all(|node| nodes.contains(node) || !may(vm, *node))
            };
            for pricing in pricings.iter().filter(|pricing| price(pricing, need) > 0) {
                units.each_set(&mut |set| {
                    let failed = units.union(set);
                    let displaced = all.iter().filter(|(home, vm)| {
                        (home.index() == cluster.node_slots() || failed.contains(home)) && stays(*vm)
                    });
                    let needed: u128 = displaced.map(|(_, vm)| price(pricing, &cluster.restart_rows()[*vm])).sum();
                    let of_node = |node: &NodeSlot| {
                        let with = |count: u64| {
                            let rows = released.room[*node].iter().zip(need);
                            let left: Vec<u64> = rows.map(|(room, need)| room.saturating_sub(need * count)).collect();
                            u128::from(count) * price(pricing, need) + limit(pricing, &left)
                        };
                        (0..=newcomers.starts_on(cluster, *node)).map(with).max().unwrap()
                    };
                    let left: u128 = nodes.iter().filter(|node| !failed.contains(node)).map(of_node).sum();
                    let bound = left.saturating_sub(needed) / price(pricing, need);
                    least = Some(least.map_or(bound, |least: u128| least.min(bound)));
                    None::<()>
                });
            }
        }
        least
    }

    /// Families passed over by their sums leave no less than those that are looked at.
    #[test]
    fn the_bound_is_the_least_that_any_failure_leaves() {
        let mut dice = Dice(1);
        let mut random = |below: u64| dice.below(below);
        let mut positive = 0;
        for seed in 0..300 {
            let kinds = ResourceKinds::new([("cpu", ""), ("memory", "")]).unwrap();
            let mut cluster = Cluster::new(kinds, ["rack"]).unwrap();
            let mut nodes = Vec::new();
            let mut vms = Vec::new();
            for at in 0..3 + random(6) {
                let mut node = Node::named(format!("n{at}")).capacity([20 + random(30), 20 + random(30)]);
                if seed % 2 == 1 && random(2) == 0 {
                    node = node.overcommit(0, 50 + random(150) as u32);
                    node = node.failover_overcommit(0, 50 + random(150) as u32);
                    node = node.failover_overcommit(1, 50 + random(100) as u32);
                }
                nodes.push(cluster.add_node(node.domain("rack", format!("r{}", at % 3))).unwrap());
            }
            for at in 0..random(25) {
                let home = nodes[random(nodes.len() as u64) as usize];
                let mut vm = Vm::named(format!("v{at}")).demand([1 + random(6), 1 + random(6)]).on(home);
                if random(3) == 0 {
                    vm.allowed_nodes =
                        Some(nodes.iter().copied().filter(|node| *node == home || random(2) == 0).collect());
                }
                vms.extend(cluster.add_vm(vm));
            }
            if random(4) == 0 {
                let state = if random(2) == 0 { NodeState::Failed } else { NodeState::Maintenance };
                cluster.set_node_state(nodes[0], state).unwrap();
            }
            let policy = Policy::default();
            let level = if seed % 2 == 0 { "node" } else { "rack" };
            let class = FailureClass::units(level, 1 + (seed % 3) as u32);
            let units = Units::new(&cluster, &policy, &class).unwrap();
            let concern = concern_of(&cluster, &units, None);
            let need = [random(5), 1 + random(5)];
            let like = vms.iter().find(|vm| is_limited(&cluster, vm.slot)).copied();
            let like = like.filter(|_| random(2) == 0);
            let newcomers = Newcomers { demand: &need, restart: &need, like, single: false };
            let found = most_more(&cluster, &policy, &class, &newcomers).unwrap();
            assert_eq!(found, slow(&cluster, &units, &concern, &newcomers), "seed {seed}");
            positive += u32::from(found.is_some_and(|found| found > 0));
        }
        assert!(positive > 100, "{positive}");
    }
}
