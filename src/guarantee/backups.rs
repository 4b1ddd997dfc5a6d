//! Members with places of their own, aside from all banks: ranked backup lists.
//!
//! Uses `cluster`, `guarantee::{bonds, field, needs, units}`, `restart` (where a VM may run). Used by `guarantee::verify`, for
//! members that have no place in some bank (`scarce`).
//!
//! A member's list has places at least for as many losses as there may be, none of them in a unit of its home, no two in one unit;
//! `needs` says why one of them is always left. What has to stay free on them is taken off before banks are dealt, so that every
//! plan in a bank fits beside it, and the argument about banks goes on without these members
//! (`guarantee::mathematics`). Where places have no room for all that could come, they are single ones: then lists are longer.
//!
//! **Rules.** A colour speaks of each VM by itself, so it is kept in a list as in a bank. Those that move as one have one list.
//! Plans in different banks are what keeps apart members of a `separate` rule that has no colours: with one of them all
//! are listed, each with targets in domains where no other member is or comes to.

use super::banks::{Bank, Filled};
use super::bonds::{ApartIx, Bond, Bonds, Mate};
use super::certificate::Backup;
use super::field::{Census, Field};
use super::needs::{Needs, Row, add, held};
use super::units::{Tier, Units};
use crate::cluster::Cluster;
use crate::dense::{IdVec, fits, to_usize};
use crate::ids::{DomainKey, NodeSlot, VmSlot};
use crate::parallel::Threads;
use crate::restart::{Concern, may_run_on};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// What is left to be proved once some members have lists.
pub(super) struct Aside {
    /// The cluster without the room that the lists keep.
    pub(super) cluster: Cluster,
    /// The members without those that have lists.
    pub(super) concern: Concern,
    pub(super) field: Field,
    /// Sorted by VM.
    pub(super) backups: Vec<Backup>,
    /// The places for one item at a time, sorted.
    pub(super) singles: Vec<NodeSlot>,
    /// Node evaluations spent.
    pub(super) work: u64,
}

impl Aside {
    /// Gives lists to these members, and to those that have to be listed with them; `None` if there is no room for that.
    pub(super) fn new(
        cluster: &Cluster,
        units: &Units,
        concern: &Concern,
        bonds: &Bonds,
        vms: &[VmSlot],
        threads: Threads,
    ) -> Option<Self> {
        let lists = Lists { cluster, units, bonds };
        let (backups, needs) = lists.make(vms)?;
        let looked_at = backups.len().saturating_mul(cluster.room_index().len());
        let mut without = cluster.clone();
        for target in needs.targets() {
            without.take_room(target, &needs.most(target));
        }
        let singles = needs.single_targets().collect();
        let mut concern = concern.clone();
        concern.left_out.extend(backups.iter().map(|backup| backup.vm));
        concern.left_out.sort_unstable();
        let census = Census::new(&without, &concern, threads);
        let field = Field::new(&without, units, &concern, census, threads);
        let work = u64::try_from(looked_at.saturating_add(field.vms.len()) / 8).unwrap_or(u64::MAX);
        Some(Self { cluster: without, concern, field, backups, singles, work })
    }

    /// Whether plans leave the room of the lists free as their VMs run, too: banks count what those need to start.
    pub(super) fn is_kept_free(&self, units: &Units, banks: &[Bank], filled: &[Filled]) -> bool {
        let kinds = self.cluster.kinds().len();
        let mut is_kept = IdVec::filled(false, self.cluster.node_slots());
        self.backups.iter().flat_map(|backup| &backup.targets).for_each(|target| is_kept[*target] = true);
        let mut members = Vec::new();
        let mut loads: BTreeMap<NodeSlot, Row> = BTreeMap::new();
        banks.iter().zip(filled).all(|(bank, filled)| {
            let of_tier = units.tiers.get(bank.tier).into_iter().flat_map(Tier::units);
            of_tier.into_iter().all(|unit| {
                self.field.of_unit(units, unit, &mut members);
                loads.clear();
                for member in &members {
                    let target = filled.targets[*member];
                    if is_kept.lookup(target) == Some(&true) {
                        let load = loads.entry(target).or_insert_with(|| SmallVec::from_elem(0, kinds));
                        add(load, &held(&self.cluster, self.field.vms[*member]));
                    }
                }
                loads.iter().all(|(target, load)| fits(load, &self.cluster.free_rows()[*target]))
            })
        })
    }
}

/// VMs that have one list.
struct Item {
    vms: SmallVec<[VmSlot; 2]>,
    home: NodeSlot,
    need: Row,
    /// Where room, limits, colours and rules allow them.
    targets: Vec<NodeSlot>,
}

/// Lists in the making.
struct Lists<'l> {
    cluster: &'l Cluster,
    units: &'l Units,
    bonds: &'l Bonds,
}

/// Domains in which listed members of `separate` rules may come to be.
type Taken = BTreeSet<(ApartIx, DomainKey)>;

impl<'l> Lists<'l> {
    /// So many times as many places as losses a list has at most.
    const MOST: usize = 4;
    /// Room is kept for them many times over: they must be few.
    const MOST_ITEMS: usize = 400;

    fn make(&self, vms: &[VmSlot]) -> Option<(Vec<Backup>, Needs<'l>)> {
        let mut items = self.items(vms)?;
        // Those with the least choice first, in an order that depends on names alone.
        let name = |item: &Item| item.vms.first().map(|vm| self.name(*vm));
        items.sort_by(|left, right| {
            left.targets.len().cmp(&right.targets.len()).then_with(|| name(left).cmp(&name(right)))
        });
        let mut singles: BTreeSet<NodeSlot> = BTreeSet::new();
        loop {
            let mut needs = Needs::new(self.units, self.cluster.kinds().len(), singles.clone());
            match self.fill(&items, &mut needs) {
                Ok(backups) => return needs.is_always_left().then_some((backups, needs)),
                Err(short) => {
                    let before = singles.len();
                    singles.extend(&short.targets);
                    if singles.len() == before {
                        return None;
                    }
                }
            }
        }
    }

    /// Lists for all items, or one that finds no places.
    fn fill<'i>(&self, items: &'i [Item], needs: &mut Needs<'_>) -> Result<Vec<Backup>, &'i Item> {
        let mut taken = Taken::new();
        let mut backups = Vec::new();
        for item in items {
            let mut targets = self.choose(item, needs, &taken).ok_or(item)?;
            // With the same list as another of its home it would be one with that.
            for _ in 0..targets.len() {
                if targets.iter().any(|target| needs.is_single(*target)) && needs.holds(item.home, &targets) {
                    targets.rotate_left(1);
                }
            }
            needs.push(item.home, &targets, item.need.clone());
            for rule in item.vms.iter().flat_map(|vm| self.aparts(*vm)) {
                taken.extend(targets.iter().map(|target| (rule, self.bonds.domain_for(self.cluster, rule, *target))));
            }
            backups.extend(item.vms.iter().map(|vm| Backup { vm: *vm, targets: targets.clone() }));
        }
        backups.sort_unstable_by_key(|backup| backup.vm);
        Ok(backups)
    }

    /// Everyone who has to be listed if these are; `None` if one of them cannot be.
    fn items(&self, vms: &[VmSlot]) -> Option<Vec<Item>> {
        let mates = self.bonds.apart_members();
        let mut items: Vec<Item> = Vec::new();
        let mut seen: BTreeSet<VmSlot> = BTreeSet::new();
        let mut waiting: Vec<VmSlot> = vms.to_vec();
        while let Some(vm) = waiting.pop() {
            if seen.contains(&vm) {
                continue;
            }
            let home = self.cluster.vm_record(vm)?.node?;
            let together = self.moving_with(vm, home);
            let mut need: Row = SmallVec::from_elem(0, self.cluster.kinds().len());
            for vm in &together {
                seen.insert(*vm);
                add(&mut need, &held(self.cluster, *vm));
                if self.bonds.of(*vm).contains(&Bond::Planned) {
                    return None;
                }
                waiting.extend(self.aparts(*vm).flat_map(|rule| &mates[rule]));
            }
            if items.len() == Self::MOST_ITEMS {
                return None;
            }
            let item = Item { vms: together, home, need, targets: Vec::new() };
            let targets = self.cluster.room_index().iter().filter(|node| self.suits(&item, *node)).collect();
            items.push(Item { targets, ..item });
        }
        Some(items)
    }

    /// The `separate` rules of a VM that no colours keep.
    fn aparts(&self, vm: VmSlot) -> impl Iterator<Item = ApartIx> + '_ {
        self.bonds.of(vm).iter().filter_map(|bond| if let Bond::Apart(rule, _) = bond { Some(*rule) } else { None })
    }

    /// The members that move as one with a VM, and it.
    fn moving_with(&self, vm: VmSlot, home: NodeSlot) -> SmallVec<[VmSlot; 2]> {
        let Some(party) = self.bonds.party_of(vm) else { return smallvec::smallvec![vm] };
        let residents = self.cluster.node_record(home).map_or(&[][..], |record| &record.residents);
        let mut together: SmallVec<[VmSlot; 2]> =
            residents.iter().copied().filter(|other| self.bonds.party_of(*other) == Some(party)).collect();
        together.sort_by(|left, right| self.name(*left).cmp(&self.name(*right)));
        together
    }

    fn name(&self, vm: VmSlot) -> Option<(u64, &str)> {
        self.cluster.vm_record(vm).map(|record| (record.key, &*record.name))
    }

    /// Whether the VMs of an item may ever be on a node, whatever else is listed.
    fn suits(&self, item: &Item, node: NodeSlot) -> bool {
        fits(&item.need, &self.cluster.free_rows()[node])
            && node != item.home
            && !self.units.share_one(node, item.home)
            && item.vms.iter().all(|vm| {
                self.bonds.colours_allow(self.cluster, *vm, node)
                    && may_run_on(self.cluster, *vm, node)
                    && self.aparts(*vm).all(|rule| !self.bonds.is_there(self.cluster, rule, node))
            })
            && self.may_meet(item, node)
    }

    /// Whether the VMs of an item may be together on a node, where nobody else of their rules is.
    fn may_meet(&self, item: &Item, node: NodeSlot) -> bool {
        item.vms.iter().enumerate().all(|(done, vm)| {
            let before = item.vms.get(..done).unwrap_or_default();
            self.bonds.of(*vm).iter().all(|bond| {
                let Bond::Apart(rule, side) = *bond else { return true };
                let there = |side: u32| Mate { side, home: item.home, going: None, target: Some(node) };
                let mates = before.iter().filter_map(|other| self.bonds.side_in(*other, rule)).map(there);
                self.bonds.is_apart(self.cluster, (rule, side), node, mates)
            })
        })
    }

    /// Places for an item: as many as losses that need not be single ones, those that are left with most room for its size;
    /// else what there is of these, and single ones. `None`: there are too few, or none of these and no single ones.
    fn choose(&self, item: &Item, needs: &Needs<'_>, taken: &Taken) -> Option<Vec<NodeSlot>> {
        let Self { cluster, units, .. } = *self;
        let mut shares: Vec<(bool, u128, usize, NodeSlot)> = Vec::new();
        for (rank, target) in item.targets.iter().enumerate() {
            let is_taken = |rule| taken.contains(&(rule, self.bonds.domain_for(cluster, rule, *target)));
            if item.vms.iter().flat_map(|vm| self.aparts(*vm)).any(is_taken) {
                continue;
            }
            let free = &cluster.free_rows()[*target];
            let most = needs.most_with(*target, Some((item.home, &item.need)));
            if fits(&most, free) {
                let share = |(most, free): (&u64, &u64)| {
                    u128::from(*most).saturating_mul(1 << 20).checked_div(u128::from(*free)).unwrap_or(0)
                };
                let share = most.iter().zip(free).map(share).max().unwrap_or(0);
                shares.push((needs.is_single(*target), share, rank, *target));
            }
        }
        shares.sort_unstable();
        let losses = to_usize(units.losses());
        let mut chosen: Vec<NodeSlot> = Vec::new();
        for (is_single, .., target) in shares {
            let most = if is_single { losses.saturating_mul(Self::MOST) } else { losses };
            if chosen.len() == most || (is_single && chosen.len() == losses && !needs.is_single(*chosen.last()?)) {
                break;
            }
            if !chosen.iter().any(|other| units.share_one(*other, target)) {
                chosen.push(target);
            }
        }
        (chosen.len() >= losses).then_some(chosen)
    }
}
