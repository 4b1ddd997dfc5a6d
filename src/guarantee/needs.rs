//! What places of VMs' own come to: the room that has to stay free for them, and whether one is always left.
//!
//! Uses `cluster`, `guarantee::{certificate, units}`. Used by `backups`, which chooses the places, by `cover`, `keep` and the
//! ledgers of `admission`.
//!
//! An *item* is VMs of one home with one list, which are always together. It is on the first place that is left: one that has not
//! failed and, if it is a *single* one, where no other item is. A place that is not single has room for all that can come to
//! be there: they all come from lost units, of which there are only so many ([`Needs::most`]). A single one has room for any
//! one of its items.
//!
//! **One is always left** to an item whose list is longer than all that can happen to it ([`Needs::is_always_left`]): of the other
//! losses each takes at most one of its places, as no two are in one unit, and displaces items of its own, of which each
//! can be on one of its single places; the loss of its home takes none, and may displace others, too. Where levels cross, its
//! home is in several units, of which one is that loss and the others may be lost besides.

use super::certificate::Certificate;
use super::units::{NO_UNIT, Tier, UnitIx, Units};
use crate::cluster::Cluster;
use crate::dense::to_usize;
use crate::ids::{NodeSlot, VmSlot};
use crate::resources::Amounts;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use smallvec::SmallVec;

/// An amount per kind.
pub(super) type Row = SmallVec<[u64; 4]>;

/// What a VM holds where it is started: as it starts or as it runs, whichever is more, since losses may come one by one.
pub(super) fn held(cluster: &Cluster, vm: VmSlot) -> Row {
    cluster.held_by(vm).collect()
}

pub(super) fn add(sum: &mut Row, need: &[u64]) {
    sum.resize(need.len(), 0);
    sum.iter_mut().zip(need).for_each(|(sum, need)| *sum = sum.saturating_add(*need));
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Needs<'n> {
    units: &'n Units,
    kinds: usize,
    singles: BTreeSet<NodeSlot>,
    /// The home, the places and the need of each item.
    items: Vec<(NodeSlot, Vec<NodeSlot>, Row)>,
    /// The items that have a node as a place.
    at: BTreeMap<NodeSlot, Vec<usize>>,
}

impl<'n> Needs<'n> {
    pub(super) fn new(units: &'n Units, kinds: usize, singles: BTreeSet<NodeSlot>) -> Self {
        Self { units, kinds, singles, items: Vec::new(), at: BTreeMap::new() }
    }

    /// Of the places of a certificate, whose VMs have or had these homes.
    pub(super) fn of(
        certificate: &Certificate,
        cluster: &Cluster,
        units: &'n Units,
        home: impl Fn(VmSlot) -> Option<NodeSlot>,
    ) -> Self {
        let mut items: BTreeMap<(NodeSlot, &[NodeSlot]), Row> = BTreeMap::new();
        for backup in &certificate.backups {
            if let Some(home) = home(backup.vm) {
                add(items.entry((home, &backup.targets)).or_default(), &held(cluster, backup.vm));
            }
        }
        let mut needs = Self::new(units, cluster.kinds().len(), certificate.singles.iter().copied().collect());
        for ((home, targets), need) in items {
            needs.push(home, targets, need);
        }
        needs
    }

    pub(super) fn is_single(&self, target: NodeSlot) -> bool {
        self.singles.contains(&target)
    }

    pub(super) fn push(&mut self, home: NodeSlot, targets: &[NodeSlot], need: Row) {
        for target in targets {
            self.at.entry(*target).or_default().push(self.items.len());
        }
        self.items.push((home, targets.to_vec(), need));
    }

    /// Whether there is an item of this home with this list.
    pub(super) fn holds(&self, home: NodeSlot, targets: &[NodeSlot]) -> bool {
        self.items.iter().any(|(known, list, _)| *known == home && list == targets)
    }

    /// All places.
    pub(super) fn targets(&self) -> impl Iterator<Item = NodeSlot> + '_ {
        self.at.keys().copied()
    }

    /// The single ones among them.
    pub(super) fn single_targets(&self) -> impl Iterator<Item = NodeSlot> + '_ {
        self.targets().filter(|target| self.is_single(*target))
    }

    /// The most that can be needed on a place at once, kind by kind.
    pub(super) fn most(&self, target: NodeSlot) -> Row {
        self.most_with(target, None)
    }

    /// The same with one item more there.
    pub(super) fn most_with(&self, target: NodeSlot, more: Option<(NodeSlot, &[u64])>) -> Row {
        let there = self.at.get(&target).map_or(&[][..], Vec::as_slice);
        let there = there.iter().filter_map(|item| self.items.get(*item)).map(|(home, _, need)| (*home, &**need));
        let there: SmallVec<[(NodeSlot, &[u64]); 8]> = there.chain(more).collect();
        let amount = |need: &[u64], kind: usize| need.get(kind).copied().unwrap_or(0);
        let of_tier = |tier: &Tier, kind: usize| {
            let mut of_unit: SmallVec<[(UnitIx, u64); 8]> = SmallVec::new();
            for (home, need) in &there {
                let (unit, amount) = (tier.unit_of[*home], amount(need, kind));
                match of_unit.iter_mut().find(|(known, _)| *known == unit) {
                    Some((_, sum)) => *sum = sum.saturating_add(amount),
                    None => of_unit.push((unit, amount)),
                }
            }
            of_unit.sort_unstable_by_key(|(_, amount)| Reverse(*amount));
            of_unit.iter().take(to_usize(tier.count)).map(|(_, amount)| *amount).fold(0, u64::saturating_add)
        };
        let of_kind = |kind: usize| {
            if self.is_single(target) {
                return there.iter().map(|(_, need)| amount(need, kind)).max().unwrap_or(0);
            }
            self.units.tiers.iter().map(|tier| of_tier(tier, kind)).fold(0, u64::saturating_add)
        };
        (0..self.kinds).map(of_kind).collect()
    }

    /// Whether every item always has a place left.
    pub(super) fn is_always_left(&self) -> bool {
        (0..self.items.len()).all(|item| self.is_left_to(item))
    }

    fn is_left_to(&self, item: usize) -> bool {
        let Some((home, targets, _)) = self.items.get(item) else { return true };
        let mut others: BTreeSet<usize> = BTreeSet::new();
        for target in targets.iter().filter(|target| self.is_single(**target)) {
            others.extend(self.at.get(target).into_iter().flatten().filter(|other| **other != item));
        }
        let units_of = |node: NodeSlot| {
            let units = self.units.tiers.iter().map(move |tier| tier.unit_of[node]);
            units.filter(|unit| *unit != NO_UNIT)
        };
        // What the loss of each unit does to it.
        let mut harm: BTreeMap<UnitIx, u32> = BTreeMap::new();
        let homes = others.iter().filter_map(|other| self.items.get(*other)).map(|(home, _, _)| *home);
        for unit in targets.iter().copied().chain(homes).flat_map(units_of) {
            let harm = harm.entry(unit).or_default();
            *harm = harm.saturating_add(1);
        }
        // Of a unit of its home that lies within another one nothing more is lost.
        let lies_within = |unit: UnitIx, other: UnitIx| {
            let inner = self.units.nodes(unit);
            let is_first = (self.units.nodes(other).len(), unit) > (inner.len(), other);
            is_first && inner.iter().all(|node| units_of(*node).any(|unit| unit == other))
        };
        for unit in units_of(*home) {
            if units_of(*home).any(|other| other != unit && lies_within(unit, other)) {
                harm.remove(&unit);
            }
        }
        let first = units_of(*home).max_by_key(|unit| harm.get(unit).copied());
        let own = first.and_then(|unit| harm.remove(&unit)).unwrap_or(0);
        let mut harm: Vec<u32> = harm.into_values().collect();
        harm.sort_unstable_by_key(|harm| Reverse(*harm));
        let losses = to_usize(self.units.losses().saturating_sub(1));
        let most = harm.into_iter().take(losses).fold(own, u32::saturating_add);
        targets.len() > to_usize(most)
    }
}

impl Certificate {
    /// What has to stay free for VMs with places of their own, all of them at home, by node.
    pub(crate) fn kept_room(&self, cluster: &Cluster, units: &Units) -> Vec<(NodeSlot, Amounts)> {
        let home = |vm: VmSlot| cluster.vm_record(vm).and_then(|record| record.node);
        let needs = Needs::of(self, cluster, units, home);
        needs.targets().map(|target| (target, needs.most(target).into_iter().collect())).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::cluster::Node;
    use crate::dice::Dice;
    use crate::policy::{FailureClass, Policy};
    use crate::resources::ResourceKinds;
    use alloc::format;

    /// Which place each item is on, if it is not at home, the nodes that have failed, and how many units of each tier may still
    /// be lost.
    #[derive(Clone)]
    struct Game<'g> {
        needs: &'g Needs<'g>,
        on: Vec<Option<NodeSlot>>,
        failed: BTreeSet<NodeSlot>,
        left: Vec<u32>,
    }

    impl Game<'_> {
        /// Loses a unit; whether everyone whom that hits finds a place.
        fn lose(&mut self, unit: UnitIx) -> bool {
            self.failed.extend(self.needs.units.nodes(unit));
            for (item, (home, targets, _)) in self.needs.items.iter().enumerate() {
                if !self.failed.contains(&self.on[item].unwrap_or(*home)) {
                    continue;
                }
                let is_left = |target: &NodeSlot| {
                    let is_taken = self.needs.is_single(*target) && self.on.contains(&Some(*target));
                    !self.failed.contains(target) && !is_taken
                };
                self.on[item] = targets.iter().copied().find(is_left);
                if self.on[item].is_none() {
                    return false;
                }
            }
            true
        }

        /// Whether everyone finds a place whatever is lost in whichever order.
        fn is_survived(&self) -> bool {
            self.needs.units.tiers.iter().enumerate().all(|(at, tier)| {
                self.left[at] == 0
                    || tier.units().all(|unit| {
                        let mut next = self.clone();
                        next.left[at] -= 1;
                        next.lose(unit) && next.is_survived()
                    })
            })
        }
    }

    /// What is said of lists against every order of losses.
    #[test]
    fn a_place_is_always_left_where_that_is_said() {
        let mut dice = Dice(5);
        let (mut yes, mut no) = (0, 0);
        for _ in 0..4_000 {
            let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), ["rack"]).unwrap();
            let (nodes, racks) = (6 + dice.below(3), 4 + dice.below(5));
            let slots: Vec<NodeSlot> = (0..nodes)
                .map(|at| {
                    let node = Node::named(format!("n{at}")).domain("rack", format!("r{}", at % racks));
                    cluster.add_node(node.capacity([9])).unwrap().slot
                })
                .collect();
            let mut class = FailureClass::nodes(1 + u32::try_from(dice.below(2)).unwrap());
            if dice.chance(3) {
                class = FailureClass::nodes(1);
                class.fail.push(("rack".into(), 1));
            }
            let units = Units::new(&cluster, &Policy::default(), &class).unwrap();
            let singles = slots.iter().copied().filter(|_| dice.chance(2)).collect();
            let mut needs = Needs::new(&units, 1, singles);
            for _ in 0..=dice.below(4) {
                let any = |dice: &mut Dice| slots[usize::try_from(dice.below(nodes)).unwrap()];
                let home = any(&mut dice);
                let mut places = alloc::vec![home];
                for _ in 0..3 + dice.below(9) {
                    let place = any(&mut dice);
                    if !places.iter().any(|other| units.share_one(*other, place)) {
                        places.push(place);
                    }
                }
                needs.push(home, &places[1..], smallvec::smallvec![1]);
            }
            let said = needs.is_always_left();
            let on = alloc::vec![None; needs.items.len()];
            let left = units.tiers.iter().map(|tier| tier.count).collect();
            let game = Game { needs: &needs, on, failed: BTreeSet::new(), left };
            if said {
                assert!(game.is_survived(), "{needs:?}");
            }
            yes += u32::from(said);
            no += u32::from(!said);
        }
        assert!(yes > 500 && no > 500, "{yes} {no}");
    }
}
