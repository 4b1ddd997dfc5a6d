//! `slots`: the nodes that are left after the largest ones have so many slots as the VMs use.
//!
//! Uses `cluster`, `reserves::{status, tally}`. vSphere's "slot policy": vSphere Availability, "Slot Policy Admission
//! Control"; caps are `das.slotcpuinmhz` and `das.slotmeminmb`, a given size is the interface's "fixed slot size", and
//! unreserved slots are as the API defines them: at least 0.
//!
//! A slot has of every kind the largest reservation of a powered-on VM (the maxima may come from different VMs), at most
//! the cap; a given size takes the place of both. A node has as many slots as fit into it in every kind. A VM takes one
//! slot, or, where it is larger than a slot, as many as its worst kind needs; nothing says that one node has them all.
//! Kinds of which a slot has nothing do not count; where that is every kind, slots have no size and there is always room.
//!
//! Slots of nodes and VMs are counted for one slot size. When that changes, [`SlotCounter::settle`] counts them anew:
//! that costs a look at every node and VM, and happens when the largest VM comes or goes.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: counts are below 2^32 and slots of one node or VM below 2^64: sums are below 2^96; what is taken \
              off was added"
)]

use super::status::{SlotFigures, SlotSize};
use super::tally::Tally;
use crate::cluster::Cluster;
use alloc::vec::Vec;

#[derive(Clone, Debug)]
pub(super) struct SlotCounter {
    failures: u32,
    /// `per_vm` included.
    floor: Vec<u64>,
    size: Vec<Option<u64>>,
    cap: Vec<Option<u64>>,
    /// What is reserved, kind by kind.
    reserved: Vec<Tally>,
    vms: u32,
    nodes: u32,
    /// The slot for which the following is counted.
    slot: Vec<u64>,
    /// Slots of each node; none where slots have no size.
    slots: Tally,
    all: u128,
    used: u128,
    /// VMs that take more than one slot.
    large: u32,
}

impl SlotCounter {
    pub(super) fn new(failures: u32, floor: Vec<u64>, size: Vec<Option<u64>>, cap: Vec<Option<u64>>) -> Self {
        let kinds = floor.len();
        let mut counter = Self {
            failures,
            floor,
            size,
            cap,
            reserved: alloc::vec![Tally::default(); kinds],
            vms: 0,
            nodes: 0,
            slot: Vec::new(),
            slots: Tally::default(),
            all: 0,
            used: 0,
            large: 0,
        };
        counter.slot = counter.current_slot().collect();
        counter
    }

    /// The slot for what is there now.
    fn current_slot(&self) -> impl Iterator<Item = u64> {
        self.size.iter().zip(&self.cap).zip(&self.reserved).map(|((size, cap), reserved)| {
            size.unwrap_or_else(|| reserved.largest().unwrap_or(0).min(cap.unwrap_or(u64::MAX)))
        })
    }

    fn has_size(&self) -> bool {
        self.slot.iter().any(|size| *size > 0)
    }

    fn of_node(&self, allocatable: &[u64]) -> u64 {
        let kinds = allocatable.iter().zip(&self.slot);
        kinds.filter_map(|(amount, slot)| amount.checked_div(*slot)).min().unwrap_or(0)
    }

    fn of_vm(&self, reservation: &[u64]) -> u64 {
        let kinds = reservation.iter().zip(&self.floor).zip(&self.slot).filter(|(_, slot)| **slot > 0);
        kinds.map(|((amount, floor), slot)| amount.max(floor).div_ceil(*slot)).max().unwrap_or(1).max(1)
    }

    pub(super) fn add_vm(&mut self, reservation: &[u64]) {
        self.vms += 1;
        for ((tally, amount), floor) in self.reserved.iter_mut().zip(reservation).zip(&self.floor) {
            tally.add(*amount.max(floor));
        }
        let slots = self.of_vm(reservation);
        self.used += u128::from(slots);
        self.large += u32::from(slots > 1);
    }

    pub(super) fn remove_vm(&mut self, reservation: &[u64]) {
        self.vms -= 1;
        for ((tally, amount), floor) in self.reserved.iter_mut().zip(reservation).zip(&self.floor) {
            tally.remove(*amount.max(floor));
        }
        let slots = self.of_vm(reservation);
        self.used -= u128::from(slots);
        self.large -= u32::from(slots > 1);
    }

    pub(super) fn add_node(&mut self, allocatable: &[u64]) {
        self.nodes += 1;
        if self.has_size() {
            let slots = self.of_node(allocatable);
            self.slots.add(slots);
            self.all += u128::from(slots);
        }
    }

    pub(super) fn remove_node(&mut self, allocatable: &[u64]) {
        self.nodes -= 1;
        if self.has_size() {
            let slots = self.of_node(allocatable);
            self.slots.remove(slots);
            self.all -= u128::from(slots);
        }
    }

    /// Counts slots anew if a slot has another size than before: of these nodes, by what is allocatable, and these VMs,
    /// by what is reserved.
    pub(super) fn settle<'a>(&mut self, nodes: impl Iterator<Item = &'a [u64]>, vms: impl Iterator<Item = &'a [u64]>) {
        if self.current_slot().eq(self.slot.iter().copied()) {
            return;
        }
        self.slot = self.current_slot().collect();
        self.slots.clear();
        (self.all, self.used, self.large) = (0, 0, 0);
        if self.has_size() {
            for allocatable in nodes {
                let slots = self.of_node(allocatable);
                self.slots.add(slots);
                self.all += u128::from(slots);
            }
        }
        for reservation in vms {
            let slots = self.of_vm(reservation);
            self.used += u128::from(slots);
            self.large += u32::from(slots > 1);
        }
    }

    /// What the nodes have but for the k with most slots; `None`: without limit.
    fn left_after(&self, failures: u32) -> Option<u128> {
        self.has_size().then(|| self.all - self.slots.top(failures))
    }

    /// How many slots are missing.
    pub(super) fn shortfall(&self) -> u128 {
        self.left_after(self.failures).map_or(0, |left| self.used.saturating_sub(left))
    }

    /// With one VM of this reservation counted already: how many of them there can be before slots are missing, that one
    /// included; `None`: without limit.
    pub(super) fn most_like_last(&self, reservation: &[u64]) -> Option<u64> {
        let Some(more) = self.left_after(self.failures)?.checked_sub(self.used) else { return Some(0) };
        let more = more / u128::from(self.of_vm(reservation));
        Some(u64::try_from(more).unwrap_or(u64::MAX).saturating_add(1))
    }

    /// vSphere's "current failover capacity": how many of the nodes with most slots may be lost before fewer are left
    /// than used. `None`: there are too few already.
    fn failover_capacity(&self) -> Option<u32> {
        if !self.has_size() {
            return Some(self.nodes);
        }
        let spare = self.all.checked_sub(self.used)?;
        let (mut lost, mut capacity) = (0_u128, 0_u32);
        for (slots, count) in self.slots.descending() {
            let more = (spare - lost).checked_div(u128::from(slots)).unwrap_or(u128::MAX);
            let more = u32::try_from(more).unwrap_or(u32::MAX).min(count);
            capacity += more;
            lost += u128::from(slots) * u128::from(more);
            if more < count {
                break;
            }
        }
        Some(capacity)
    }

    pub(super) fn figures(&self, cluster: &Cluster) -> SlotFigures {
        let left = self.left_after(self.failures);
        let kinds = cluster.kinds().iter().zip(&self.slot).enumerate();
        let sizes = kinds.map(|(at, (kind, size))| {
            let computed = self.size.get(at).copied().flatten().is_none();
            let floor = self.floor.get(at).copied().unwrap_or(0);
            let largest = cluster
                .vms()
                .filter(|vm| vm.is_on())
                .map(|vm| (vm, vm.reservation().get(at).copied().unwrap_or(0)))
                .filter(|(_, amount)| *amount > floor)
                .max_by(|left, right| left.1.cmp(&right.1).then(right.0.name().cmp(left.0.name())));
            SlotSize {
                kind: kind.name.clone(),
                size: *size,
                largest: self.reserved.get(at).and_then(Tally::largest).unwrap_or(0),
                set_by: largest.filter(|_| computed).map(|(vm, _)| vm.id()),
            }
        });
        SlotFigures {
            sizes: sizes.collect(),
            failures: self.failures,
            nodes: self.nodes,
            slots: self.has_size().then_some(self.all),
            left,
            used: self.used,
            unreserved: left.map(|left| left.saturating_sub(self.used)),
            large_vms: self.large,
            failover_capacity: self.failover_capacity(),
            shortfall: self.shortfall(),
        }
    }
}
