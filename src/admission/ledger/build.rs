//! From a certificate to the books, and back.
//!
//! Uses `guarantee` (certificates), `ledger::{claims, class, lists}`.
//!
//! Plans of a certificate fill the largest holes to the brim: the next VM to be started would be put exactly there, and
//! every plan would have to move. So plans are packed again, first into holes of middling size, leaving an eighth of each;
//! where that does not work out for a unit, the certificate's plan stands.

use super::claims::{Claims, Targets};
use super::class::{Bank, ClassLedger, NO_BANK};
use super::lists::Lists;
use crate::cluster::Cluster;
use crate::dense::{IdVec, Rows, fits, to_u32};
use crate::guarantee::{Bonds, Certificate, Column, Covers, NO_UNIT, NOWHERE, Units, one_per_domain};
use crate::ids::{LevelIx, NodeSlot, VmSlot};
use crate::policy::Policy;
use crate::restart::Concern;
use crate::room::{RoomIndex, RoomKey};
use alloc::vec::Vec;
use core::sync::atomic::AtomicBool;

impl ClassLedger {
    /// The books of a certificate for this very state; `None` if it is of another kind than a ledger keeps, or a VM waits
    /// for a place.
    pub(crate) fn new(cluster: &Cluster, policy: &Policy, certificate: &Certificate) -> Option<Self> {
        let class = &certificate.class;
        let banked = certificate.columns.iter().all(|column| column.bank.is_some());
        let applies = certificate.covers == Covers::AnyOrder
            && banked
            && certificate.exceptions.is_empty()
            && certificate.standing.is_empty()
            && certificate.evicts.is_empty()
            && cluster.unreachable_nodes().is_empty();
        let units = Units::new(cluster, policy, class).ok().filter(|_| applies)?;
        let lists = Lists::new(cluster, &units, certificate);
        let mut left_out = certificate.left_out.clone();
        left_out.extend(lists.backups.iter().map(|backup| backup.vm));
        left_out.sort_unstable();
        let concern = Concern { min_priority: class.min_priority, left_out };
        let respected: Vec<LevelIx> =
            cluster.levels.named_levels().filter(|level| is_respected(cluster, certificate, *level)).collect();
        let bonds = bonds_of(cluster, &units, &concern, certificate)?;
        let width = cluster.kinds().len();
        let mut most = Rows::new(width);
        most.resize(cluster.node_slots());
        let mut ledger = Self {
            class: class.clone(),
            units,
            concern,
            lists,
            bonds,
            respected,
            banks: Vec::new(),
            bank_of: IdVec::filled(NO_BANK, cluster.node_slots()),
            most,
            stale: false,
            home: IdVec::filled(NOWHERE, cluster.vm_slots_len()),
            short: Vec::new(),
            without: Vec::new(),
            broken: false,
        };
        for vm in certificate.vms.iter().filter(|vm| !ledger.lists.has(**vm)) {
            ledger.home[*vm] = cluster.vm_record(*vm)?.node?;
        }
        for (column, targets) in certificate.columns.iter().zip(certificate.targets.iter()) {
            ledger.add_bank(cluster, column, &certificate.vms, targets)?;
        }
        ledger.pack_loosely(cluster);
        ledger.stale = true;
        ledger.tighten();
        // A plan may count on room that a migration from the failed unit releases: the books know of no such room.
        let fits_all = |node: NodeSlot| fits(&ledger.most[node], &ledger.lists.free(cluster, node));
        let fit = (0..to_u32(cluster.node_slots())).map(NodeSlot).all(fits_all);
        // What is free is followed only of nodes in banks.
        let followed = ledger.lists.nodes().all(|node| ledger.bank_of[node] != NO_BANK);
        (fit && followed && ledger.lists.are_free(cluster)).then_some(ledger)
    }

    fn add_bank(&mut self, cluster: &Cluster, column: &Column, vms: &[VmSlot], targets: &[NodeSlot]) -> Option<()> {
        let width = cluster.kinds().len();
        let tier = self.units.tiers.get(column.tier)?;
        let at = self.banks.len();
        let nodes = fill_order(cluster, column.bank.as_deref()?);
        let mut room = RoomIndex::new(width);
        for (rank, node) in nodes.iter().enumerate() {
            room.insert(*node, RoomKey::from(to_u32(rank)), &self.lists.free(cluster, *node));
            self.bank_of[*node] = to_u32(at);
        }
        let mut by_vm: Targets = IdVec::filled(NOWHERE, cluster.vm_slots_len());
        let mut claims = Claims::new(width, tier.first, tier.len());
        for (vm, target) in vms.iter().zip(targets).filter(|(vm, _)| !self.lists.has(**vm)) {
            let unit = tier.unit_of[self.home[*vm]];
            if *target == NOWHERE || unit == NO_UNIT {
                return None;
            }
            let need = &cluster.restart_rows()[*vm];
            // Plans that count more than that beside kept room are not followed.
            if self.lists.is_kept(*target) && !fits(&cluster.demand_rows()[*vm], need) {
                return None;
            }
            by_vm[*vm] = *target;
            claims.add(unit, *target, need);
        }
        self.banks.push(Bank { tier: column.tier, room, targets: by_vm, claims });
        Some(())
    }

    /// Packs the plans of all units again, in the banks' own order.
    fn pack_loosely(&mut self, cluster: &Cluster) {
        for at in 0..self.banks.len() {
            let Some(bank) = self.banks.get(at) else { return };
            for unit in bank.claims.units() {
                // Where it fails the plan stays.
                let _ = self.pack(cluster, at, unit, None, &[]);
            }
        }
    }

    /// The certificate that the books amount to.
    pub(crate) fn certificate(&self, cluster: &Cluster) -> Certificate {
        let vms: Vec<VmSlot> = self.home.enumerate().filter(|(_, home)| **home != NOWHERE).map(|(vm, _)| vm).collect();
        let column = |bank: &Bank| {
            let mut nodes: Vec<NodeSlot> = bank.room.iter().collect();
            nodes.sort_unstable();
            Column { tier: bank.tier, bank: Some(nodes) }
        };
        let levels = self.units.tiers.iter().map(|tier| (cluster.levels.name(tier.level).into(), tier.count));
        let left_out = self.concern.left_out.iter().copied().filter(|vm| !self.lists.has(*vm)).collect();
        let mut certificate = Certificate {
            class: self.class.clone(),
            tiers: levels.collect(),
            covers: Covers::AnyOrder,
            state: cluster.state(),
            left_out,
            evicts: Vec::new(),
            standing: Vec::new(),
            columns: self.banks.iter().map(column).collect(),
            targets: self.banks.iter().map(|bank| vms.iter().map(|vm| bank.targets[*vm]).collect()).collect(),
            vms,
            exceptions: Vec::new(),
            backups: Vec::new(),
            singles: Vec::new(),
        };
        certificate.add_backups(self.lists.backups.clone(), self.lists.singles.clone());
        certificate
    }
}

/// The bonds that the plans of a certificate keep to; `None`: they cannot be told. What `separate` rules say is not among them: it is
/// read from the cluster as it is (`apart`). Other rules may have been painted so that members short of places have some: those
/// whose targets go against the usual colours tell.
fn bonds_of(cluster: &Cluster, units: &Units, concern: &Concern, certificate: &Certificate) -> Option<Bonds> {
    let strayed = |bonds: &Bonds| -> Vec<VmSlot> {
        let keeps = |at: usize, vm: VmSlot| {
            let mut targets = certificate.targets.iter().filter_map(|targets| targets.get(at));
            targets.all(|target| *target == NOWHERE || bonds.colours_allow(cluster, vm, *target))
        };
        let vms = certificate.vms.iter().enumerate();
        vms.filter(|(at, vm)| bonds.has_colour(**vm) && !keeps(*at, **vm)).map(|(_, vm)| *vm).collect()
    };
    let new_bonds = |scarce: &[VmSlot]| Bonds::new(cluster, units, concern, &|_| true, scarce, &AtomicBool::new(false));
    let mut bonds = new_bonds(&[])?;
    if units.losses() == 1 {
        // Every plan stands alone, and keeps to no colours.
        return Some(bonds);
    }
    let short_of_places = strayed(&bonds);
    if !short_of_places.is_empty() {
        bonds = new_bonds(&short_of_places)?;
    }
    strayed(&bonds).is_empty().then_some(bonds)
}

/// Whether no domain of a level meets two banks.
fn is_respected(cluster: &Cluster, certificate: &Certificate, level: LevelIx) -> bool {
    let banks = certificate.columns.iter().enumerate();
    let nodes = banks.flat_map(|(at, column)| column.bank.iter().flatten().map(move |node| (*node, at)));
    one_per_domain(cluster, level, nodes)
}

/// The nodes of a bank in the order in which plans fill them: from the hole that a quarter of them exceed downwards, the
/// largest ones last and the very largest at the end.
fn fill_order(cluster: &Cluster, nodes: &[NodeSlot]) -> Vec<NodeSlot> {
    let hole = |node: NodeSlot| {
        let rows = cluster.free_rows()[node].iter().zip(&cluster.unit_share_rows()[node]);
        // The share that is free of the scarcest kind, in 2^63rds.
        rows.filter(|(_, share)| **share > 0).map(|(free, share)| free.saturating_mul(*share)).min().unwrap_or(0)
    };
    let size = |node: NodeSlot| cluster.size_of(&cluster.free_rows()[node]);
    let mut order: Vec<NodeSlot> = nodes.to_vec();
    let key = |node: NodeSlot| cluster.node_record(node).map(|record| record.key);
    order.sort_by_cached_key(|node| (core::cmp::Reverse((hole(*node), size(*node))), key(*node)));
    let quarter = order.len() / 4;
    let (largest, rest) = order.split_at(quarter.min(order.len()));
    rest.iter().chain(largest.iter().rev()).copied().collect()
}
