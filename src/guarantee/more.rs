//! How many more VMs a class can bear at most, and which VMs it cannot cover.
//!
//! Uses `cluster`, `guarantee::{units, uncoverable, prices}`. Used by `capacity`, and by
//! `admission` for what cannot be started anywhere.
//!
//! **The data's path.** Prices (`guarantee::prices`) bound what a class can bear: of every family the worst failure leaves
//! so much. The VMs that count are listed once with their homes, and summed up per node. From the sums alone every family
//! tells at least how much it leaves; only a family that may leave less than those before looks at the VMs one by one.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: as in `prices`: sums of needs and of rooms fit u64, and all sums of prices are below 2^108; \
              counts of VMs are below 2^31"
)]

use super::error::VerifyError;
use super::field::{each_member, homes_of, is_limited};
use super::prices::{Costs, DRAWN, Released, add_shapes, every, is_drawn, price, pricings_by_room, stays_within};
use super::uncoverable::leave_out;
use super::units::Units;
use super::verdict::Pricing;
use crate::cluster::Cluster;
use crate::dense::{IdVec, Rows};
use crate::ids::{NodeSlot, VmId, VmSlot};
use crate::parallel::Threads;
use crate::policy::{FailureClass, Policy, Preemption};
use crate::restart::Concern;
use alloc::vec::Vec;

/// A proved bound on how many more VMs that the class concerns, each of which takes at least `need` where it runs and to
/// restart it, can run with the class still held; `None`: nothing is known. `like`: a VM that they share all limits with.
///
/// Each of them costs its price either among the displaced or out of the limit of its node, so the worst failure by a
/// family leaves room for what it leaves of the prices, divided by theirs.
pub(crate) fn most_more(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    need: &[u64],
    like: Option<VmId>,
) -> Result<Option<u128>, VerifyError> {
    let units = Units::new(cluster, policy, class)?;
    let mut concern = Concern { min_priority: class.min_priority, left_out: Vec::new() };
    let _ = leave_out(cluster, &units, &mut concern, Threads::ONE);
    Ok(most_more_of(cluster, policy, (&units, &concern), need, like))
}

/// The same of a class whose units are known, and the VMs that it leaves out: at least those that are uncoverable.
pub(crate) fn most_more_of(
    cluster: &Cluster,
    policy: &Policy,
    (units, concern): (&Units, &Concern),
    need: &[u64],
    like: Option<VmId>,
) -> Option<u128> {
    let released = Released::new(cluster, policy.preemption != Preemption::Never);
    let everywhere = Scope::new(cluster, &released.targets, members(cluster, concern));
    let mut pricings = pricings_by_room(units, &released);
    if need.iter().any(|amount| *amount > 0) {
        pricings.push(Pricing::Shape { shape: need.to_vec() });
    }
    add_shapes(everywhere.drawn(), DRAWN.shapes, &mut pricings);
    pricings.retain(|pricing| price(pricing, need) > 0);
    // What VMs without limits are like says no more than that.
    let like = like.map(|like| like.slot).filter(|like| is_limited(cluster, *like));
    let eligible = |like: VmSlot| {
        let nodes = released.targets.iter().copied();
        nodes.filter(|node| crate::restart::may_run_on(cluster, like, *node)).collect::<Vec<NodeSlot>>()
    };
    let nodes = like.map(eligible);
    let within = nodes.as_ref().map(|nodes| {
        let inside = everywhere.inside(&released.targets, nodes);
        Scope::new(cluster, nodes, inside)
    });
    let mut least = None;
    for scope in core::iter::once(&everywhere).chain(&within) {
        for pricing in &pricings {
            let below = least.unwrap_or(u128::MAX);
            least = scope.bound(units, &released, pricing, price(pricing, need), below).or(least);
        }
    }
    least
}

/// The VMs that a class concerns, with their homes; those that wait for a place behind the last node.
fn members(cluster: &Cluster, concern: &Concern) -> Vec<(NodeSlot, VmSlot)> {
    let mut members = Vec::new();
    each_member::<0>(cluster, concern, &homes_of(cluster), |home, vm, _, _| members.push((home, vm)));
    members
}

/// What families of every pricing speak of: some nodes, and VMs that can go nowhere else.
struct Scope<'a> {
    cluster: &'a Cluster,
    nodes: &'a [NodeSlot],
    members: Vec<(NodeSlot, VmSlot)>,
    /// What the members of each node need together, and how many there are; behind the last node those without a home.
    load: Rows<NodeSlot>,
    count: IdVec<NodeSlot, u32>,
}

impl<'a> Scope<'a> {
    fn new(cluster: &'a Cluster, nodes: &'a [NodeSlot], members: Vec<(NodeSlot, VmSlot)>) -> Self {
        let homes = cluster.node_slots() + 1;
        let mut load = Rows::new(cluster.kinds().len());
        load.resize(homes);
        let mut count = IdVec::filled(0, homes);
        for (home, vm) in &members {
            count[*home] += 1;
            for (load, need) in load[*home].iter_mut().zip(&cluster.restart_rows()[*vm]) {
                *load += need;
            }
        }
        Self { cluster, nodes, members, load, count }
    }

    /// What some of the members need, drawn by the hashes of their names.
    fn drawn(&self) -> Vec<&[u64]> {
        let every = every(self.members.len(), DRAWN.members);
        let drawn = self.members.iter().filter(|(_, vm)| is_drawn(self.cluster.facts(*vm), every));
        drawn.map(|(_, vm)| &self.cluster.restart_rows()[*vm]).collect()
    }

    /// The members that can go nowhere but to some of the targets.
    fn inside(&self, targets: &[NodeSlot], nodes: &[NodeSlot]) -> Vec<(NodeSlot, VmSlot)> {
        let mut within = IdVec::filled(false, self.cluster.node_slots());
        for node in nodes {
            within[*node] = true;
        }
        let mut few = Vec::new();
        let limited = self.members.iter().copied().filter(|(_, vm)| is_limited(self.cluster, *vm));
        limited.filter(|(_, vm)| stays_within(self.cluster, targets, *vm, &within, &mut few)).collect()
    }

    /// What the worst failure by a family leaves of the prices, divided by the price of one more, if that is below `below`.
    fn bound(
        &self,
        units: &Units,
        released: &Released,
        pricing: &Pricing,
        one_more: u128,
        below: u128,
    ) -> Option<u128> {
        let (taken, available) = released.limits(pricing, self.nodes);
        let most = |home: NodeSlot| most_price(pricing, &self.load[home], self.count[home]);
        let mut costs = Costs::new(taken, available, most);
        if available.saturating_sub(costs.most(units)) / one_more >= below {
            return None;
        }
        // Weighted sums are linear: what is said of the sum of all VMs of a node is exact.
        if !matches!(pricing, Pricing::Weighted { .. }) {
            let mut displaced: IdVec<NodeSlot, u128> = IdVec::filled(0, self.load.len());
            for (home, vm) in &self.members {
                displaced[*home] += price(pricing, &self.cluster.restart_rows()[*vm]);
            }
            costs = costs.displacing(|home| displaced[home]);
        }
        let (_, needed, left) = costs.worst(units);
        Some(left.saturating_sub(needed) / one_more).filter(|bound| *bound < below)
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
    let mut concern = Concern { min_priority: class.min_priority, left_out: Vec::new() };
    let _ = leave_out(cluster, &units, &mut concern, Threads::ONE);
    Ok(concern.left_out)
}

#[cfg(test)]
#[allow(clippy::as_conversions, clippy::arithmetic_side_effects, clippy::pedantic, reason = "tests")]
mod tests {
    use super::super::prices::limit;
    use super::*;
    use crate::cluster::{Node, NodeState, Vm};
    use crate::dense::DenseId;
    use crate::dice::Dice;
    use crate::resources::ResourceKinds;
    use alloc::format;

    /// What every failure leaves by every family, VM by VM.
    fn slow(cluster: &Cluster, units: &Units, concern: &Concern, need: &[u64], like: Option<VmSlot>) -> Option<u128> {
        let released = Released::new(cluster, false);
        let all = members(cluster, concern);
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
                    let left: u128 = nodes
                        .iter()
                        .filter(|node| !failed.contains(node))
                        .map(|node| limit(pricing, &released.room[*node]))
                        .sum();
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
                let node = Node::named(format!("n{at}")).capacity([20 + random(30), 20 + random(30)]);
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
            let mut concern = Concern { min_priority: None, left_out: Vec::new() };
            let _ = leave_out(&cluster, &units, &mut concern, Threads::ONE);
            let need = [random(5), 1 + random(5)];
            let like = vms.iter().find(|vm| is_limited(&cluster, vm.slot)).copied();
            let like = like.filter(|_| random(2) == 0);
            let found = most_more(&cluster, &policy, &class, &need, like).unwrap();
            assert_eq!(found, slow(&cluster, &units, &concern, &need, like.map(|like| like.slot)), "seed {seed}");
            positive += u32::from(found.is_some_and(|found| found > 0));
        }
        assert!(positive > 100, "{positive}");
    }
}
