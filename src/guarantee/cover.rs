//! A certificate in use: which plan answers which loss, and what is still covered afterwards.
//!
//! Uses `cluster` (once, to begin), `failure`, `guarantee::{certificate, units}`. Used by callers and by the planner that
//! keeps the promise.
//!
//! **The rule of the banks.** Of the units of one batch each takes its own bank, if that is of its tier, untaken, and
//! its plan there avoids all failed nodes. Every other unit with VMs to place (new ones, and earlier ones whose
//! restarted VMs were hit) takes any untaken bank of its tier in which its plan for those VMs avoids all failed nodes. VMs with
//! places of their own go to the first of them that is left (`needs`), and ask for no bank.
//! `guarantee::mathematics` has the proof that one is always left.

use super::certificate::{Backup, Certificate, CertificateError, Covers, NOWHERE};
use super::evict::Evicting;
use super::needs::{Needs, Row, add, held};
use super::units::{UnitIx, Units};
use crate::cluster::Cluster;
use crate::dense::{DenseId, IdVec, to_u32, to_usize};
use crate::failure::Failure;
use crate::ids::{NodeId, NodeSlot, VmId, VmSlot};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The losses so far under a certificate, and where its VMs are because of them.
///
/// It does not look at the cluster again (for a certificate that evicts it keeps a copy): what it says holds as long as
/// each restart was the one that it gave.
#[derive(Clone, Debug)]
pub struct Cover<'c> {
    certificate: &'c Certificate,
    base: Arc<Base>,
    /// Where the VMs are that are no longer at home, by their position in the certificate.
    moved: BTreeMap<usize, NodeSlot>,
    /// The unit that each column was taken by.
    taken: Vec<Option<UnitIx>>,
    failed: Vec<NodeSlot>,
    lost: Vec<UnitIx>,
    /// Whether the VMs that waited have been given their places.
    begun: bool,
    /// Only if the certificate evicts: boxed, as it is a whole cluster.
    evicting: Option<Box<Evicting>>,
}

/// What no loss changes.
#[derive(Debug)]
struct Base {
    units: Units,
    /// Where each VM of the certificate was, or was put to wait no more, when it began.
    home: Vec<NodeSlot>,
    /// The positions of the VMs, home by home, and where those of each node slot begin.
    order: Vec<u32>,
    starts: IdVec<NodeSlot, u32>,
    vm_ids: Vec<VmId>,
    node_ids: IdVec<NodeSlot, NodeId>,
}

impl Base {
    /// The positions of the VMs at home on a node.
    fn at(&self, node: NodeSlot) -> impl Iterator<Item = usize> + '_ {
        let start = |node: NodeSlot| self.starts.lookup(node).copied().map_or(self.order.len(), to_usize);
        let range = start(node)..start(NodeSlot(node.0.saturating_add(1)));
        self.order.get(range).unwrap_or_default().iter().map(|entry| to_usize(*entry))
    }

    fn home(&self, entry: usize) -> NodeSlot {
        self.home.get(entry).copied().unwrap_or(NOWHERE)
    }
}

/// Positions sorted by home, and where those of each of so many node slots begin.
fn by_home(home: &[NodeSlot], nodes: usize) -> (Vec<u32>, IdVec<NodeSlot, u32>) {
    let mut order: Vec<u32> = (0..to_u32(home.len())).collect();
    order.sort_by_key(|entry| home.get(to_usize(*entry)).copied().unwrap_or(NOWHERE));
    let mut starts = IdVec::new();
    let mut next = 0_usize;
    for node in (0..=nodes).map(NodeSlot::from_index) {
        let before = order.get(next..).unwrap_or_default();
        let count =
            before.iter().take_while(|entry| home.get(to_usize(**entry)).is_some_and(|home| *home < node)).count();
        next = next.saturating_add(count);
        starts.push(to_u32(next));
    }
    (order, starts)
}

/// What a certificate says to do about a loss.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Promise {
    /// Which of the certificate's VMs start where, by VM.
    pub placements: Vec<(VmId, NodeId)>,
    /// Which best-effort VMs must be stopped first, as they stand in the way, and where they run; by VM.
    pub evictions: Vec<(VmId, NodeId)>,
}

impl Certificate {
    /// What to do about a loss at once: a look-up.
    ///
    /// # Errors
    /// As [`Cover::lose`], and [`CertificateError::OtherState`].
    pub fn plan_for(&self, cluster: &Cluster, failure: &Failure) -> Result<Promise, CertificateError> {
        self.begin(cluster)?.lose(failure)
    }

    /// Begins to use the certificate: losses are told to what this returns, one batch after the other.
    ///
    /// # Errors
    /// [`CertificateError::OtherState`]: the certificate is not for this cluster as it is now.
    pub fn begin(&self, cluster: &Cluster) -> Result<Cover<'_>, CertificateError> {
        if !self.is_for(cluster) {
            return Err(CertificateError::OtherState);
        }
        self.begin_unchecked(cluster).ok_or(CertificateError::OtherState)
    }

    /// The same where the state is known to be the right one.
    pub(crate) fn begin_unchecked(&self, cluster: &Cluster) -> Option<Cover<'_>> {
        let units = self.units(cluster)?;
        let evicting =
            if self.evicts.is_empty() { None } else { Some(Box::new(Evicting::new(cluster, &self.evicts)?)) };
        let standing: BTreeMap<_, _> = self.standing.iter().copied().collect();
        let home: Vec<NodeSlot> = self
            .vms
            .iter()
            .map(|vm| match standing.get(vm) {
                Some(node) => *node,
                None => cluster.vm_record(*vm).and_then(|record| record.node).unwrap_or(NOWHERE),
            })
            .collect();
        let (order, starts) = by_home(&home, cluster.node_slots());
        let base = Base {
            units,
            home,
            order,
            starts,
            vm_ids: self.vms.iter().map(|vm| cluster.vm_id_of(*vm)).collect(),
            node_ids: (0..cluster.node_slots()).map(|slot| cluster.node_id_of(NodeSlot::from_index(slot))).collect(),
        };
        Some(Cover {
            certificate: self,
            base: Arc::new(base),
            moved: BTreeMap::new(),
            taken: self.columns.iter().map(|_| None).collect(),
            failed: Vec::new(),
            lost: Vec::new(),
            begun: false,
            evicting,
        })
    }
}

impl Cover<'_> {
    /// How many more units may be lost and are covered: none after a loss if only losses at once are covered.
    ///
    /// Losses are counted as they were answered. In hindsight they may be fewer, wider units: then a loss beyond this may
    /// be answered still, or be refused as [`CertificateError::NoPlan`].
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.after(self.lost.len())
    }

    /// How many more may be answered at most.
    pub(super) fn may_remain(&self) -> u32 {
        let fewest = self.base.units.explain(&[], &self.failed).map_or(self.lost.len(), |units| units.len());
        self.after(fewest.min(self.lost.len()))
    }

    fn after(&self, lost: usize) -> u32 {
        let used = u32::try_from(lost).unwrap_or(u32::MAX);
        match self.certificate.covers {
            Covers::AtOnce if used > 0 => 0,
            _ => self.base.units.losses().saturating_sub(used),
        }
    }

    /// The certificate in use.
    pub(super) const fn certificate(&self) -> &Certificate {
        self.certificate
    }

    /// Whether a place of a VM's own is left to it (`guarantee::needs`).
    fn is_left(&self, backup: &Backup, target: NodeSlot) -> bool {
        if self.failed.binary_search(&target).is_ok() {
            return false;
        }
        let entry = |backup: &Backup| self.certificate.entry(backup.vm);
        let home = |backup: &Backup| entry(backup).map(|entry| self.base.home(entry));
        let is_there = |other: &Backup| entry(other).and_then(|entry| self.moved.get(&entry)) == Some(&target);
        let is_one_with = |other: &Backup| other.targets == backup.targets && home(other) == home(backup);
        let is_single = self.certificate.singles.binary_search(&target).is_ok();
        !is_single || self.certificate.backups.iter().filter(|other| is_there(other)).all(is_one_with)
    }

    /// What more of the VMs that have a node as a place of their own can come to need there, by node.
    pub(super) fn kept_room(&self, cluster: &Cluster) -> BTreeMap<NodeSlot, Row> {
        let mut taken: BTreeMap<NodeSlot, Row> = BTreeMap::new();
        for backup in &self.certificate.backups {
            let entry = self.certificate.entry(backup.vm);
            if let Some(node) = entry.and_then(|entry| self.moved.get(&entry)) {
                add(taken.entry(*node).or_default(), &held(cluster, backup.vm));
            }
        }
        let home = |vm: VmSlot| self.certificate.entry(vm).map(|entry| self.base.home(entry));
        let needs = Needs::of(self.certificate, cluster, &self.base.units, home);
        let left = |target: NodeSlot| {
            let mut most = needs.most(target);
            for (most, taken) in most.iter_mut().zip(taken.get(&target).into_iter().flatten()) {
                *most = most.saturating_sub(*taken);
            }
            (target, most)
        };
        needs.targets().map(left).collect()
    }

    /// Calls `visit` with the plan of every unit in every column that is not taken: VMs and their targets.
    pub(super) fn each_open_plan(&self, mut visit: impl FnMut(&[(VmSlot, NodeSlot)])) {
        let columns = self.certificate.columns.iter().zip(self.certificate.targets.iter()).zip(&self.taken);
        let mut plan: Vec<(VmSlot, NodeSlot)> = Vec::new();
        for ((column, targets), _) in columns.filter(|(_, taken)| taken.is_none()) {
            let Some(tier) = self.base.units.tiers.get(column.tier) else { continue };
            for unit in tier.units() {
                plan.clear();
                let entries = self.base.units.nodes(unit).iter().flat_map(|node| self.base.at(*node));
                let planned = entries.filter_map(|entry| {
                    let target = targets.get(entry).copied().filter(|target| *target != NOWHERE)?;
                    Some((*self.certificate.vms.get(entry)?, target))
                });
                plan.extend(planned);
                visit(&plan);
            }
        }
    }

    /// Takes in a loss and says which VMs start where because of it. The first time, also where VMs go that waited for a
    /// place.
    ///
    /// Naming nodes that cannot fail (in maintenance, failed or unreachable when it began) or that failed before changes
    /// nothing. After an error nothing has changed.
    ///
    /// # Errors
    /// More losses than the class tolerates; a second loss where only losses at once are covered.
    pub fn lose(&mut self, failure: &Failure) -> Result<Promise, CertificateError> {
        let mut batch: Vec<NodeSlot> = failure
            .nodes()
            .iter()
            .filter(|node| self.base.node_ids.lookup(node.slot) == Some(node))
            .map(|node| node.slot)
            .filter(|node| self.failed.binary_search(node).is_err())
            .filter(|node| self.base.units.tiers.iter().any(|tier| tier.unit_of[*node] != super::units::NO_UNIT))
            .collect();
        batch.sort_unstable();
        batch.dedup();
        if batch.is_empty() && failure.nodes().iter().any(|node| self.beyond(node.slot)) {
            return Err(CertificateError::BeyondTolerance);
        }
        if !batch.is_empty() && !self.lost.is_empty() && self.certificate.covers == Covers::AtOnce {
            return Err(CertificateError::AtOnceOnly);
        }
        // A copy is long only where there are evictions, and those change last.
        let mut evicting = self.evicting.take();
        let answer = self.lose_batch(&batch, evicting.as_deref_mut());
        self.evicting = evicting;
        answer
    }

    /// The same for nodes that can fail; `evicting` is what `self` had.
    fn lose_batch(&mut self, batch: &[NodeSlot], evicting: Option<&mut Evicting>) -> Result<Promise, CertificateError> {
        let (mut next, mut placed) = self.explained(batch)?;
        if !core::mem::replace(&mut next.begun, true) {
            // Those that waited and whose place has not failed at once.
            for (vm, _) in &self.certificate.standing {
                if let Some(entry) = self.certificate.entry(*vm) {
                    if !placed.contains(&entry) {
                        placed.push(entry);
                    }
                }
            }
        }
        placed.sort_unstable();
        let id = |node: NodeSlot| self.base.node_ids.lookup(node).copied();
        let place = |entry: usize| next.moved.get(&entry).copied().unwrap_or_else(|| self.base.home(entry));
        let placements: Vec<(VmId, NodeId)> =
            placed.into_iter().filter_map(|entry| Some((*self.base.vm_ids.get(entry)?, id(place(entry))?))).collect();
        let evictions = match evicting {
            Some(evicting) => evicting.lose(batch, &placements).ok_or(CertificateError::OtherState)?,
            None => Vec::new(),
        };
        *self = next;
        Ok(Promise { placements, evictions })
    }

    /// After a batch, and the positions of those that are placed because of it. What was lost before may count as other units in
    /// hindsight, as a node that is alone in its domain may be lost as either: the explanation by which fewest nodes are
    /// lost that are still there goes first, since the plan for a whole unit may count on all of it being gone.
    fn explained(&self, batch: &[NodeSlot]) -> Result<(Self, Vec<usize>), CertificateError> {
        let mut failed: Vec<NodeSlot> = self.failed.iter().chain(batch).copied().collect();
        failed.sort_unstable();
        let units = &self.base.units;
        let explanations = [units.explain(&self.lost, batch), units.explain(&[], &failed)];
        let still_there =
            |lost: &Vec<UnitIx>| units.union(lost).iter().filter(|node| failed.binary_search(node).is_err()).count();
        let mut explanations: Vec<Vec<UnitIx>> = explanations.into_iter().flatten().collect();
        explanations.sort_by_key(still_there);
        let mut error = CertificateError::BeyondTolerance;
        for lost in explanations {
            let mut next = Self { lost, failed: failed.clone(), ..self.clone() };
            match next.answer(batch) {
                Ok(placed) => return Ok((next, placed)),
                Err(without) => error = without,
            }
        }
        Err(error)
    }

    /// The positions of the VMs that are on some nodes now, in order.
    fn placed_on(&self, nodes: &[NodeSlot]) -> Vec<usize> {
        let stayed = nodes.iter().flat_map(|node| self.base.at(*node)).filter(|entry| !self.moved.contains_key(entry));
        let came = self.moved.iter().filter(|(_, node)| nodes.binary_search(node).is_ok()).map(|(entry, _)| *entry);
        let mut entries: Vec<usize> = stayed.chain(came).collect();
        entries.sort_unstable();
        entries
    }

    /// Whether a node can fail, but no unit of the class has it: the class tolerates nothing.
    fn beyond(&self, node: NodeSlot) -> bool {
        self.base.units.tiers.is_empty() && self.base.at(node).next().is_some()
    }

    /// Finds places for everything that a batch hit, and returns the entries placed.
    fn answer(&mut self, batch: &[NodeSlot]) -> Result<Vec<usize>, CertificateError> {
        if self.certificate.columns.iter().all(|column| column.bank.is_none()) || self.is_exception() {
            return self.answer_at_once();
        }
        let mut hit: BTreeMap<UnitIx, Vec<usize>> = BTreeMap::new();
        let mut placed = Vec::new();
        for entry in self.placed_on(batch) {
            if let Some(backup) = self.certificate.vms.get(entry).and_then(|vm| self.certificate.backup(*vm)) {
                let left = backup.targets.iter().find(|target| self.is_left(backup, **target));
                self.moved.insert(entry, *left.ok_or(CertificateError::NoPlan)?);
                placed.push(entry);
                continue;
            }
            let unit = self.unit_of(self.base.home(entry)).ok_or(CertificateError::NoPlan)?;
            hit.entry(unit).or_default().push(entry);
        }
        // Units of this batch alone: none of their VMs has been moved before.
        let is_new = |unit: &UnitIx| !self.taken.contains(&Some(*unit));
        let new: Vec<UnitIx> = hit.keys().copied().filter(is_new).collect();
        for unit in new {
            if let Some(column) = self.own_column(unit) {
                let entries = hit.get(&unit).cloned().unwrap_or_default();
                if self.taken.get(column) == Some(&None) && self.try_column(column, unit, &entries) {
                    placed.extend(entries);
                    hit.remove(&unit);
                }
            }
        }
        for (unit, entries) in hit {
            let tier = self.base.units.tiers.iter().position(|tier| tier.holds(unit));
            let held = |column: &usize| self.taken.get(*column) == Some(&Some(unit));
            let free = |column: &usize| self.taken.get(*column) == Some(&None);
            let serves =
                |column: &usize| self.certificate.columns.iter().nth(*column).map(|column| column.tier) == tier;
            let columns = || (0..self.taken.len()).filter(serves);
            let order: Vec<usize> = columns().filter(free).chain(columns().filter(held)).collect();
            let found = order.into_iter().any(|column| self.try_column(column, unit, &entries));
            if !found {
                return Err(CertificateError::NoPlan);
            }
            placed.extend(entries);
        }
        Ok(placed)
    }

    /// Whether this first loss has a plan of its own.
    fn is_exception(&self) -> bool {
        self.taken.iter().all(Option::is_none)
            && self.certificate.exception(&self.base.units.union(&self.lost)).is_some()
    }

    /// Without banks: the exception for this loss, or else the base plans of its units.
    fn answer_at_once(&mut self) -> Result<Vec<usize>, CertificateError> {
        let nodes = self.base.units.union(&self.lost);
        let mut placed = Vec::new();
        if let Some(exception) = self.certificate.exception(&nodes) {
            for (vm, node) in &exception.placements {
                let entry = self.certificate.entry(*vm).ok_or(CertificateError::NoPlan)?;
                let waited = self.certificate.standing.binary_search_by_key(vm, |(vm, _)| *vm).is_ok();
                let home = self.base.home(entry);
                if !waited && self.failed.binary_search(&home).is_err() {
                    continue;
                }
                self.moved.insert(entry, *node);
                placed.push(entry);
            }
            return Ok(placed);
        }
        let mut hit: Vec<usize> = self.failed.iter().flat_map(|node| self.base.at(*node)).collect();
        hit.sort_unstable();
        for entry in hit {
            let unit = self.unit_of(self.base.home(entry)).ok_or(CertificateError::NoPlan)?;
            let tier = self.base.units.tiers.iter().position(|tier| tier.holds(unit));
            let column = self.certificate.columns.enumerate().find(|(_, column)| Some(column.tier) == tier);
            let target = column.and_then(|(column, _)| self.certificate.targets[column].get(entry)).copied();
            let target = target.filter(|node| *node != NOWHERE && self.failed.binary_search(node).is_err());
            let target = target.ok_or(CertificateError::NoPlan)?;
            self.moved.insert(entry, target);
            placed.push(entry);
        }
        Ok(placed)
    }

    /// The lost unit that a node belongs to, of several the widest.
    fn unit_of(&self, node: NodeSlot) -> Option<UnitIx> {
        let of_tier = self.base.units.tiers.iter().map(|tier| tier.unit_of.lookup(node).copied());
        of_tier.flatten().find(|unit| self.lost.contains(unit))
    }

    /// The column whose bank holds a unit's nodes, if it serves the unit's tier.
    fn own_column(&self, unit: UnitIx) -> Option<usize> {
        let tier = self.base.units.tiers.iter().position(|tier| tier.holds(unit))?;
        let nodes = self.base.units.nodes(unit);
        self.certificate.columns.iter().position(|column| {
            let holds = |bank: &Vec<NodeSlot>| nodes.iter().any(|node| bank.binary_search(node).is_ok());
            column.tier == tier && column.bank.as_ref().is_some_and(holds)
        })
    }

    /// Puts entries where a column has them, if that avoids all failed nodes.
    fn try_column(&mut self, column: usize, unit: UnitIx, entries: &[usize]) -> bool {
        let Some(targets) = self.certificate.targets.iter().nth(column) else { return false };
        let good = |entry: &usize| {
            let target = targets.get(*entry).copied().unwrap_or(NOWHERE);
            target != NOWHERE && self.failed.binary_search(&target).is_err()
        };
        if !entries.iter().all(good) {
            return false;
        }
        for entry in entries {
            if let Some(target) = targets.get(*entry) {
                self.moved.insert(*entry, *target);
            }
        }
        if let Some(taken) = self.taken.get_mut(column) {
            *taken = Some(unit);
        }
        true
    }
}
