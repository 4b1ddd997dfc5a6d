//! Members with places of their own, aside from all banks: ranked backup lists.
//!
//! Uses `cluster`, `guarantee::{bonds, field, units}`, `restart` (where a VM may run). Used by `guarantee::verify`, for members
//! that have no place in some bank (`scarce`), and, for the room that lists keep, by `keep`.
//!
//! **Why it works.** A member's list has as many targets as units may be lost, none of them in a unit of its home, no two in one
//! unit. Its home takes one loss, so that one of the targets is always left: it is on the first of them that has not failed.
//! On each target stays free what its listed members can need there at once ([`Needs::most`]): they all come from lost units,
//! of which there are only so many. That is taken off before banks are dealt, so every plan in a bank fits beside it, and
//! the argument about banks goes on without these members (`guarantee::mathematics`).
//!
//! **Rules.** A colour speaks of each VM by itself, so it is kept in a list as in a bank. Those that move as one have one list.
//! Plans in different banks are what keeps apart members of a `separate` rule that has no colours: with one of them all
//! are listed, each with targets in domains where no other member is or comes to.

use super::banks::{Bank, Filled};
use super::bonds::{ApartIx, Bond, Bonds, PartyIx};
use super::certificate::Backup;
use super::field::{Census, Field};
use super::units::{NO_UNIT, Tier, UnitIx, Units};
use crate::cluster::Cluster;
use crate::dense::{IdVec, fits, to_usize};
use crate::ids::{DomainKey, NodeSlot, VmSlot};
use crate::parallel::Threads;
use crate::restart::{Concern, may_run_on};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use smallvec::SmallVec;

type Row = SmallVec<[u64; 4]>;

/// What listed members of each unit need on each target.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs(BTreeMap<NodeSlot, Vec<(UnitIx, Row)>>);

impl Needs {
    /// Enters a VM of this home with a target.
    pub(super) fn add(&mut self, units: &Units, home: NodeSlot, target: NodeSlot, need: &[u64]) {
        let there = self.0.entry(target).or_default();
        for unit in units.tiers.iter().map(|tier| tier.unit_of[home]).filter(|unit| *unit != NO_UNIT) {
            match there.iter_mut().find(|(known, _)| *known == unit) {
                Some((_, sum)) => add(sum, need),
                None => there.push((unit, SmallVec::from_slice(need))),
            }
        }
    }

    /// The targets.
    pub(super) fn targets(&self) -> impl Iterator<Item = NodeSlot> + '_ {
        self.0.keys().copied()
    }

    /// The most that can be needed on a target at once, kind by kind: of every tier so many units as may be lost.
    pub(super) fn most(&self, units: &Units, kinds: usize, target: NodeSlot) -> Row {
        let there = self.0.get(&target).map_or(&[][..], Vec::as_slice);
        let of_tier = |tier: &Tier, kind: usize| {
            let needs = there.iter().filter(|(unit, _)| tier.holds(*unit));
            let mut needs: SmallVec<[u64; 16]> = needs.map(|(_, need)| need.get(kind).copied().unwrap_or(0)).collect();
            needs.sort_unstable_by(|left, right| right.cmp(left));
            needs.iter().take(to_usize(tier.count)).copied().fold(0, u64::saturating_add)
        };
        let of_kind = |kind| units.tiers.iter().map(|tier| of_tier(tier, kind)).fold(0, u64::saturating_add);
        (0..kinds).map(of_kind).collect()
    }

    /// The same with one more VM there.
    fn most_with(&mut self, units: &Units, home: NodeSlot, target: NodeSlot, need: &[u64]) -> Row {
        let before = self.0.get(&target).cloned();
        self.add(units, home, target, need);
        let most = self.most(units, need.len(), target);
        match before {
            Some(before) => self.0.insert(target, before),
            None => self.0.remove(&target),
        };
        most
    }
}

/// What a VM holds where it is started: as it starts or as it runs, whichever is more, since losses may come one by one.
pub(super) fn held(cluster: &Cluster, vm: VmSlot) -> Row {
    let rows = cluster.restart_rows()[vm].iter().zip(&cluster.demand_rows()[vm]);
    rows.map(|(restart, demand)| *restart.max(demand)).collect()
}

fn add(sum: &mut Row, need: &[u64]) {
    sum.iter_mut().zip(need).for_each(|(sum, need)| *sum = sum.saturating_add(*need));
}

/// What is left to be proved once some members have lists.
pub(super) struct Aside {
    /// The cluster without the room that the lists keep.
    pub(super) cluster: Cluster,
    /// The members without those that have lists.
    pub(super) concern: Concern,
    pub(super) field: Field,
    /// Sorted by VM.
    pub(super) backups: Vec<Backup>,
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
        let lists = Lists { cluster, units, bonds, needs: Needs::default(), taken: BTreeSet::new() };
        let (backups, needs) = lists.make(vms)?;
        let mut without = cluster.clone();
        for target in needs.targets() {
            without.take_room(target, &needs.most(units, cluster.kinds().len(), target));
        }
        let mut concern = concern.clone();
        concern.left_out.extend(backups.iter().map(|backup| backup.vm));
        concern.left_out.sort_unstable();
        let census = Census::new(&without, &concern, threads);
        let field = Field::new(&without, units, &concern, census, threads);
        Some(Self { cluster: without, concern, field, backups })
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
    needs: Needs,
    /// Domains in which listed members of `separate` rules may come to be.
    taken: BTreeSet<(ApartIx, DomainKey)>,
}

impl Lists<'_> {
    fn make(mut self, vms: &[VmSlot]) -> Option<(Vec<Backup>, Needs)> {
        let mut items = self.items(vms)?;
        let name =
            |item: &Item| item.vms.first().and_then(|vm| self.cluster.vm_record(*vm)).map(|vm| (vm.key, &*vm.name));
        // Those with the least choice first, in an order that depends on names alone.
        items.sort_by(|left, right| {
            left.targets.len().cmp(&right.targets.len()).then_with(|| name(left).cmp(&name(right)))
        });
        let mut backups = Vec::new();
        for item in &items {
            let targets = self.choose(item)?;
            for vm in &item.vms {
                for target in &targets {
                    self.needs.add(self.units, item.home, *target, &held(self.cluster, *vm));
                }
                backups.push(Backup { vm: *vm, targets: targets.clone() });
            }
        }
        backups.sort_unstable_by_key(|backup| backup.vm);
        Some((backups, self.needs))
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
        let party_of = |vm: VmSlot| -> Option<PartyIx> {
            self.bonds.of(vm).iter().find_map(|bond| if let Bond::AsOne(party) = bond { Some(*party) } else { None })
        };
        let Some(party) = party_of(vm) else { return smallvec::smallvec![vm] };
        let residents = self.cluster.node_record(home).map_or(&[][..], |record| &record.residents);
        residents.iter().copied().filter(|other| party_of(*other) == Some(party)).collect()
    }

    /// Whether the VMs of an item may ever be on a node, whatever else is listed.
    fn suits(&self, item: &Item, node: NodeSlot) -> bool {
        let same_unit = |tier: &Tier| tier.unit_of[node] == tier.unit_of[item.home] && tier.unit_of[node] != NO_UNIT;
        fits(&item.need, &self.cluster.free_rows()[node])
            && node != item.home
            && !self.units.tiers.iter().any(same_unit)
            && item.vms.iter().all(|vm| {
                self.bonds.colours_allow(self.cluster, *vm, node)
                    && may_run_on(self.cluster, *vm, node)
                    && self.aparts(*vm).all(|rule| !self.bonds.is_there(self.cluster, rule, node))
            })
    }

    /// Targets for an item: those that are left with most room, for its size.
    fn choose(&mut self, item: &Item) -> Option<Vec<NodeSlot>> {
        let Self { cluster, units, .. } = *self;
        let mut shares: Vec<(u64, usize, NodeSlot)> = Vec::new();
        for (rank, target) in item.targets.iter().enumerate() {
            let free = &cluster.free_rows()[*target];
            let most = self.needs.most_with(units, item.home, *target, &item.need);
            let is_taken = |rule| self.taken.contains(&(rule, self.bonds.domain_for(cluster, rule, *target)));
            if !fits(&most, free) || item.vms.iter().flat_map(|vm| self.aparts(*vm)).any(is_taken) {
                continue;
            }
            let share = |(most, free): (&u64, &u64)| {
                u64::try_from(u128::from(*most) * (1 << 20) / u128::from(*free).max(1)).unwrap_or(u64::MAX)
            };
            shares.push((most.iter().zip(free).map(share).max().unwrap_or(0), rank, *target));
        }
        shares.sort_unstable();
        let mut chosen: Vec<NodeSlot> = Vec::new();
        for (.., target) in shares {
            let meets = |other: &NodeSlot| {
                units
                    .tiers
                    .iter()
                    .any(|tier| tier.unit_of[*other] == tier.unit_of[target] && tier.unit_of[target] != NO_UNIT)
            };
            if !chosen.iter().any(meets) {
                chosen.push(target);
            }
            if chosen.len() == to_usize(units.losses()) {
                let rules: Vec<ApartIx> = item.vms.iter().flat_map(|vm| self.aparts(*vm)).collect();
                for rule in rules {
                    self.taken
                        .extend(chosen.iter().map(|target| (rule, self.bonds.domain_for(cluster, rule, *target))));
                }
                return Some(chosen);
            }
        }
        None
    }
}
