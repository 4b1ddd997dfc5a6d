//! Classes refuted outright: by families that speak of all nodes and all VMs, before members are looked at one by one.
//!
//! Uses `cluster`, `guarantee::{units, field, prices}`. Used by `guarantee::verify` before anything is built that a plan
//! would need.
//!
//! **The data's path.** First the sum of each kind, from what the [`Census`] has of every node. If none refutes, the most
//! that a failure costs in each kind bounds what it can cost by any other family: a part of size s costs at most 1/s of
//! what it needs, and so does a limit; a shape is bounded so by each of its kinds. Limits of targets are added up until
//! they reach that bound, which where there is room takes a few nodes, and then the family refutes nothing. Only what is
//! left, and likely to refute, is priced, in one pass over the VMs each. Of a class of one loss every unit is judged, by
//! all families.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: sums of needs and of rooms fit u64 (the cluster checks it), weights are below 2^32, there are at \
              most 16 kinds: all sums are below 2^108"
)]

use super::field::Census;
use super::prices::{self, Costs, Drawn, Outlook, Refuted, Released, Tightest};
use super::units::{Tier, UnitIx, Units};
use super::verdict::{PriceFamily, Pricing, Proof};
use crate::cluster::Cluster;
use crate::dense::{DenseId, IdVec, fits};
use crate::ids::NodeSlot;
use crate::restart::Concern;
use alloc::vec::Vec;

/// So many VMs are drawn for a first look, and give up to so many shapes.
const FIRST: Drawn = Drawn { members: 64, shapes: 8 };

/// The refuter.
#[derive(Debug)]
pub(crate) struct Outright<'a> {
    cluster: &'a Cluster,
    units: &'a Units,
    concern: &'a Concern,
    census: &'a Census,
    released: &'a Released,
    /// What the targets can take at most by the family at hand, target by target.
    limits: Vec<u128>,
    /// The failure that came closest to a refutation so far.
    pub(crate) tightest: Tightest,
    /// Node evaluations spent.
    pub(crate) work: u64,
}

impl<'a> Outright<'a> {
    pub(crate) fn new(
        cluster: &'a Cluster,
        units: &'a Units,
        concern: &'a Concern,
        census: &'a Census,
        released: &'a Released,
    ) -> Self {
        let (limits, tightest) = (Vec::new(), Tightest::default());
        Self { cluster, units, concern, census, released, limits, tightest, work: 0 }
    }

    /// Looks for a failure of the class that a family refutes.
    pub(crate) fn refute(&mut self) -> Outlook {
        let mut outlook = Outlook::default();
        for kind in 0..self.released.room.width() {
            let costs = self.costs_in(kind);
            outlook.refuted = self.judge(&self.one(kind), &costs);
            if outlook.refuted.is_some() {
                return outlook;
            }
            outlook.most.push(costs.most(self.units));
        }
        let drawn = self.drawn(FIRST);
        for pricing in self.pricings(FIRST, &drawn) {
            let costs = self.costs(&pricing, &drawn, &outlook.most);
            outlook.refuted = costs.and_then(|costs| self.judge(&pricing, &costs));
            if outlook.refuted.is_some() {
                break;
            }
        }
        outlook
    }

    /// Of a class of one loss: looks at every unit, whether a family refutes it.
    pub(crate) fn refute_each(&mut self) -> Outlook {
        let mut outlook = Outlook::default();
        let mut open: Vec<UnitIx> = self.units.tiers.iter().flat_map(Tier::units).collect();
        let mut sums: Vec<Costs> = Vec::new();
        for kind in 0..self.released.room.width() {
            let costs = self.costs_in(kind);
            self.settle(&self.one(kind), &costs, &mut open, &mut outlook);
            outlook.most.push(costs.most(self.units));
            sums.push(costs);
        }
        let units = self.units;
        let most_of = |open: &[UnitIx]| -> Vec<u128> {
            let most = |costs: &Costs| open.iter().map(|unit| costs.of(units, *unit)).max().unwrap_or(0);
            sums.iter().map(|costs| costs.homeless + most(costs)).collect()
        };
        // Where one unit is refuted all that are shall be listed, and it pays to look harder.
        let mut most = most_of(&open);
        for size in [FIRST, prices::DRAWN] {
            if open.is_empty() || (size == prices::DRAWN && outlook.refuted.is_none()) {
                break;
            }
            let drawn = self.drawn(size);
            // The smallest amounts first: what stays unused of every node is what large units are short of.
            for pricing in self.pricings(size, &drawn).into_iter().rev() {
                let Some(costs) = self.costs(&pricing, &drawn, &most) else { continue };
                let before = open.len();
                self.settle(&pricing, &costs, &mut open, &mut outlook);
                if open.is_empty() {
                    break;
                }
                if open.len() < before {
                    most = most_of(&open);
                }
            }
        }
        outlook.units.sort_unstable();
        outlook
    }

    /// Takes the units out of those that are open whose loss the family refutes.
    fn settle(&mut self, pricing: &Pricing, costs: &Costs, open: &mut Vec<UnitIx>, outlook: &mut Outlook) {
        let Some(left) = costs.available.checked_sub(costs.homeless) else {
            outlook.units.clear();
            outlook.refuted = Some(self.refuted(pricing, Vec::new(), (costs.homeless, costs.available)));
            open.clear();
            return;
        };
        let before = outlook.units.len();
        let mut worst: Option<(u128, UnitIx)> = None;
        open.retain(|unit| {
            let cost = costs.of(self.units, *unit);
            if worst.is_none_or(|(most, _)| cost > most) {
                worst = Some((cost, *unit));
            }
            if cost > left {
                outlook.units.push(*unit);
            }
            cost <= left
        });
        if let Some((_, unit)) = worst {
            let (needed, available) = costs.balance(self.units, &[unit]);
            self.tightest.offer(&[unit], needed, available);
        }
        if let (None, Some(unit)) = (&outlook.refuted, outlook.units.get(before)) {
            let balance = costs.balance(self.units, &[*unit]);
            outlook.refuted = Some(self.refuted(pricing, alloc::vec![*unit], balance));
        }
    }

    /// Whether the worst failure by a family is refuted.
    fn judge(&mut self, pricing: &Pricing, costs: &Costs) -> Option<Refuted> {
        let (units, needed, available) = costs.worst(self.units);
        self.tightest.offer(&units, needed, available);
        (needed > available).then(|| self.refuted(pricing, units, (needed, available)))
    }

    /// A failure that a family refutes. Where parts only count VMs, a shape says the same in plainer words.
    fn refuted(&self, pricing: &Pricing, units: Vec<UnitIx>, (needed, available): (u128, u128)) -> Refuted {
        let (mut pricing, mut needed) = (pricing.clone(), needed);
        if let Pricing::Parts { kind, size } = pricing {
            let shape: Vec<u64> = prices::one(self.released.room.width(), kind).iter().map(|one| one * size).collect();
            let (nodes, nowhere) = (self.units.union(&units), self.released.room.len());
            let mut count: u128 = 0;
            self.census.each_member::<0>(self.cluster, self.concern, |home, _, _, need| {
                let is_displaced = home.index() == nowhere || nodes.binary_search(&home).is_ok();
                count += u128::from(is_displaced && fits(&shape, need));
            });
            if count > available {
                (pricing, needed) = (Pricing::Shape { shape }, count);
            }
        }
        Refuted { units, proof: Proof::Prices { family: PriceFamily { pricing, within: None }, needed, available } }
    }

    /// The price of a VM is what it needs of one kind.
    fn one(&self, kind: usize) -> Pricing {
        Pricing::Weighted { weights: prices::one(self.released.room.width(), kind) }
    }

    /// What some members need: the same ones however the cluster was listed.
    fn drawn(&mut self, size: Drawn) -> Vec<&'a [u64]> {
        let every = prices::every(self.census.members(), size.members);
        let rows = self.cluster.restart_rows();
        let mut needs = Vec::new();
        self.census.each_member::<0>(self.cluster, self.concern, |_, vm, facts, _| {
            if prices::is_drawn(facts, every) {
                needs.push(&rows[vm]);
            }
        });
        self.work += u64::try_from(self.census.members() / 64).unwrap_or(u64::MAX);
        needs
    }

    /// All families but the sums of one kind.
    fn pricings(&self, size: Drawn, drawn: &[&[u64]]) -> Vec<Pricing> {
        let mut pricings = Vec::new();
        prices::add_pairs(self.units, self.released, &mut pricings);
        prices::add_parts(self.released, &mut pricings);
        prices::add_shapes(drawn.to_vec(), size.shapes, &mut pricings);
        prices::add_amounts(drawn, self.released.room.width(), size.shapes, &mut pricings);
        pricings
    }

    /// What nodes cost in one kind.
    fn costs_in(&mut self, kind: usize) -> Costs {
        let room = &self.released.room;
        let amount = |row: &[u64]| row.get(kind).copied().map_or(0, u128::from);
        let taken: IdVec<NodeSlot, u128> = room.iter().map(amount).collect();
        self.work += u64::try_from(room.len() / 32).unwrap_or(u64::MAX);
        let available = taken.iter().sum();
        Costs::new(taken, available, |home| amount(&self.census.load[home]))
    }

    /// What nodes cost by a family; `None` if it refutes nothing, as no failure costs so much, or hardly anything, going by
    /// the drawn members. `most`: what a failure can cost in each kind.
    fn costs(&mut self, pricing: &Pricing, drawn: &[&[u64]], most: &[u128]) -> Option<Costs> {
        let (targets, nodes) = (&self.released.targets, self.released.room.len());
        let looked_at = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.limits.clear();
        let limits = targets.iter().map(|node| {
            let limit = prices::limit(pricing, &self.released.room[*node]);
            self.limits.push(limit);
            limit
        });
        let Some(available) = prices::sum_below(prices::bound(pricing, most), limits) else {
            // How many targets it took depends on their order, which what is counted must not.
            self.work += looked_at(targets.len() / 256);
            return None;
        };
        if !may_cost(available, pricing, drawn, most) {
            self.work += looked_at(targets.len() / 32);
            return None;
        }
        self.work += looked_at((targets.len() + self.census.members()) / 32);
        let mut taken = IdVec::filled(0, nodes);
        for (node, limit) in targets.iter().zip(&self.limits) {
            taken[*node] = *limit;
        }
        let displaced = self.census.displaced(self.cluster, self.concern, pricing);
        Some(Costs::new(taken, available, |home| displaced[home]))
    }
}

/// Whether a failure would cost more than is available if what it displaces were made up as the drawn members are.
fn may_cost(available: u128, pricing: &Pricing, drawn: &[&[u64]], most: &[u128]) -> bool {
    let price: u128 = drawn.iter().map(|need| prices::price(pricing, need)).sum();
    most.iter().enumerate().any(|(kind, most)| {
        let need: u128 = drawn.iter().filter_map(|need| need.get(kind)).copied().map(u128::from).sum();
        most.saturating_mul(price) > available.saturating_mul(need)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Node, Vm};
    use crate::dice::Dice;
    use crate::ids::VmSlot;
    use crate::parallel::Threads;
    use crate::policy::{FailureClass, Policy};
    use crate::resources::ResourceKinds;
    use alloc::format;
    use alloc::vec;

    /// 3 to 8 nodes in racks, nearly full; some VMs wait for a place.
    fn nearly_full(seed: u64) -> Cluster {
        let mut dice = Dice(seed);
        let mut below = |most: u64| dice.below(most);
        let kinds = ResourceKinds::new([("cpu", "mCPU"), ("memory", "MiB")]).unwrap();
        let mut cluster = Cluster::new(kinds, ["rack"]).unwrap();
        for number in 0..3 + below(6) {
            let node = Node::named(format!("n{number}")).domain("rack", format!("r{}", number / 2));
            let node = cluster.add_node(node.capacity([8 + below(9), 8 + below(9)])).unwrap();
            for vm in 0..2 + below(5) {
                let vm = Vm::named(format!("v{number}-{vm}")).demand([1 + below(4), below(5)]).powered_on();
                let vm = if below(12) > 0 { vm.on(node) } else { vm };
                // What does not fit is not there.
                let _ = cluster.add_vm(vm);
            }
        }
        cluster
    }

    /// What the loss of these nodes needs and leaves, straight from the definition.
    fn plain(cluster: &Cluster, pricing: &Pricing, lost: &[NodeSlot]) -> (u128, u128) {
        let is_lost = |node: &NodeSlot| lost.contains(node);
        let all = (0..cluster.vm_slots_len()).map(VmSlot::from_index);
        let displaced = all.filter(|vm| cluster.vm_record(*vm).unwrap().node.is_none_or(|node| is_lost(&node)));
        let needed = displaced.map(|vm| prices::price(pricing, &cluster.restart_rows()[vm])).sum();
        let left = (0..cluster.node_slots()).map(NodeSlot::from_index).filter(|node| !is_lost(node));
        (needed, left.map(|node| prices::limit(pricing, &cluster.free_rows()[node])).sum())
    }

    fn numbers(refuted: &Refuted) -> (&Pricing, (u128, u128)) {
        let Proof::Prices { family, needed, available } = &refuted.proof else { panic!("prices") };
        (&family.pricing, (*needed, *available))
    }

    /// Calls `look` with many refuters, one for each class.
    fn each_case(classes: &[FailureClass], mut look: impl FnMut(&Cluster, &Units, Outright<'_>)) {
        for (seed, class) in (0..400).flat_map(|seed| classes.iter().map(move |class| (seed, class))) {
            let cluster = nearly_full(seed);
            let units = Units::new(&cluster, &Policy::default(), class).unwrap();
            let concern = Concern { min_priority: None, left_out: Vec::new() };
            let (census, released) = (Census::new(&cluster, &concern, Threads::ONE), Released::new(&cluster, false));
            look(&cluster, &units, Outright::new(&cluster, &units, &concern, &census, &released));
        }
    }

    fn every_pricing(outright: &mut Outright<'_>) -> Vec<Pricing> {
        let drawn = outright.drawn(prices::DRAWN);
        let sums = (0..2).map(|kind| outright.one(kind));
        sums.chain(outright.pricings(prices::DRAWN, &drawn)).collect()
    }

    #[test]
    fn of_one_loss_the_units_that_families_refute_are_found() {
        let (mut found, mut missed) = (0, 0);
        each_case(&[FailureClass::nodes(1), FailureClass::units("rack", 1)], |cluster, units, mut outright| {
            let outlook = outright.refute_each();
            let pricings = every_pricing(&mut outright);
            if let Some(refuted) = &outlook.refuted {
                let (pricing, numbers) = numbers(refuted);
                assert_eq!(numbers, plain(cluster, pricing, &units.union(&refuted.units)));
                assert!(numbers.0 > numbers.1);
                if refuted.units.is_empty() {
                    return;
                }
            }
            for unit in units.tiers.iter().flat_map(Tier::units) {
                let is_refuted = |pricing: &Pricing| {
                    let (needed, left) = plain(cluster, pricing, units.nodes(unit));
                    needed > left
                };
                let (by_sums, by_any) = (pricings[..2].iter().any(is_refuted), pricings.iter().any(is_refuted));
                let ours = outlook.has_refuted(unit);
                assert!((ours || !by_sums) && (by_any || !ours), "{units:?} {unit:?}");
                found += u32::from(ours);
                missed += u32::from(by_any && !ours);
            }
        });
        // Those that are missed are proved one by one.
        assert!(found > 500 && missed * 4 < found, "{found} found, {missed} missed");
    }

    #[test]
    fn families_that_are_dropped_refute_nothing() {
        let mut both = FailureClass::units("rack", 1);
        both.fail.push(("node".into(), 1));
        let (mut dropped, mut refuted) = (0, 0);
        each_case(&[FailureClass::nodes(2), both], |cluster, units, mut outright| {
            let outlook = outright.refute();
            if let Some(found) = &outlook.refuted {
                let (pricing, numbers) = numbers(found);
                assert_eq!(numbers, plain(cluster, pricing, &units.union(&found.units)));
                assert!(numbers.0 > numbers.1);
                refuted += 1;
                return;
            }
            for pricing in every_pricing(&mut outright) {
                let limits = cluster.free_rows().iter().map(|room| prices::limit(&pricing, room));
                if prices::sum_below(prices::bound(&pricing, &outlook.most), limits).is_some() {
                    continue;
                }
                dropped += 1;
                let counterexample = units.each_set(&mut |set| {
                    let (needed, left) = plain(cluster, &pricing, &units.union(set));
                    (needed > left).then(|| vec![needed, left])
                });
                assert_eq!(counterexample, None, "{pricing:?}");
            }
        });
        assert!(dropped > 500 && refuted > 50, "{dropped} dropped, {refuted} refuted");
    }
}
