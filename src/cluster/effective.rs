//! Who needs whom: start cycles, prerequisites that never run, effective classes and priorities.
//!
//! Uses the records of `cluster`. Called by the edits of VMs and rules.
//!
//! A VM *needs* the prerequisites it gives up on and the leaders it must follow. A VM that is needed counts as at
//! least as important as those that need it: class first, then priority, transitively. The walk goes only where
//! something is needed, so that a cluster without such edges pays nothing.

use super::{Cluster, Edge, EditError, OnTimeout, Priority, RestartClass, Strength, Vm};
use crate::cluster::rules::RuleBody;
#[cfg(feature = "serde")]
use crate::dense::DenseId;
use crate::ids::VmSlot;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

impl Cluster {
    /// The VMs that a VM needs, each once or more.
    pub(crate) fn needs(&self, slot: VmSlot) -> Vec<VmSlot> {
        let Some(record) = self.vms.get(slot) else { return Vec::new() };
        let edges = record.starts_after.iter().filter(|edge| edge.on_timeout == OnTimeout::GiveUp).map(|edge| edge.vm);
        edges.chain(self.leaders(slot)).collect()
    }

    /// The leaders that required `follow` rules bind a VM to.
    pub(crate) fn leaders(&self, slot: VmSlot) -> impl Iterator<Item = VmSlot> + '_ {
        let rules = self.vms.get(slot).map_or(&[][..], |record| &record.rules);
        rules.iter().filter_map(move |rule| {
            let rule = self.rules.get(*rule).filter(|rule| rule.strength == Strength::Required)?;
            match &rule.body {
                RuleBody::Follow { leader } if *leader != slot => Some(*leader),
                _ => None,
            }
        })
    }

    /// Whether a VM is not started without another one.
    pub(crate) fn gives_up_on(&self, vm: VmSlot, needed: VmSlot) -> bool {
        self.vms.get(vm).is_some_and(|record| {
            record.starts_after.iter().any(|edge| edge.vm == needed && edge.on_timeout == OnTimeout::GiveUp)
        })
    }

    /// The VMs that need a VM, each once or more.
    fn needers(&self, slot: VmSlot) -> Vec<VmSlot> {
        let Some(record) = self.vms.get(slot) else { return Vec::new() };
        let mut dependents = record.dependents.clone();
        dependents.sort_unstable();
        dependents.dedup();
        let dependents = dependents.into_iter().filter(|dependent| self.gives_up_on(*dependent, slot));
        let followers = record
            .leads
            .iter()
            .filter_map(|rule| self.rules.get(*rule))
            .filter(|rule| rule.strength == Strength::Required)
            .flat_map(|rule| rule.members.iter().copied())
            .filter(|member| *member != slot);
        dependents.chain(followers).collect()
    }

    /// Refuses a VM that would run and needs one that never will.
    pub(super) fn check_needs(
        &self,
        slot: VmSlot,
        on: bool,
        restart: RestartClass,
        edges: &[Edge],
    ) -> Result<(), EditError> {
        let name = self.vms.get(slot).map_or("", |record| &record.name);
        self.check_edges(name, on, restart, edges)?;
        if on && restart != RestartClass::Never {
            for leader in self.leaders(slot) {
                self.check_needed(name, leader)?;
            }
        }
        Ok(())
    }

    /// The same for start edges alone.
    pub(super) fn check_edges(
        &self,
        name: &str,
        on: bool,
        restart: RestartClass,
        edges: &[Edge],
    ) -> Result<(), EditError> {
        if on && restart != RestartClass::Never {
            for edge in edges.iter().filter(|edge| edge.on_timeout == OnTimeout::GiveUp) {
                self.check_needed(name, edge.vm)?;
            }
        }
        Ok(())
    }

    /// The same for the leaders that a VM gets to follow by its groups, and, if it is there already, by name.
    pub(super) fn check_group_leaders(&self, name: &str, vm: &Vm, slot: Option<VmSlot>) -> Result<(), EditError> {
        if !vm.is_on() || vm.restart == RestartClass::Never {
            return Ok(());
        }
        let grouped =
            vm.groups.iter().filter_map(|name| self.groups.get(name)).filter_map(|group| self.groups.value(group));
        let named = slot.and_then(|slot| self.vms.get(slot)).map_or(&[][..], |record| &record.rules);
        for rule in grouped.flat_map(|group| &group.rules).chain(named).filter_map(|rule| self.rules.get(*rule)) {
            match &rule.body {
                RuleBody::Follow { leader } if rule.strength == Strength::Required && Some(*leader) != slot => {
                    self.check_needed(name, *leader)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn check_needed(&self, name: &str, needed: VmSlot) -> Result<(), EditError> {
        let Some(record) = self.vms.get(needed) else { return Ok(()) };
        if record.on && record.restart != RestartClass::Never {
            return Ok(());
        }
        Err(EditError::NeedsIdle { vm: name.into(), needed: (*record.name).into(), off: !record.on })
    }

    /// Refuses to make a VM idle that a running one needs.
    pub(super) fn check_needers(&self, slot: VmSlot, on: bool, restart: RestartClass) -> Result<(), EditError> {
        if on && restart != RestartClass::Never {
            return Ok(());
        }
        for needer in self.needers(slot) {
            let Some(record) = self.vms.get(needer) else { continue };
            if record.on && record.restart != RestartClass::Never {
                let needed = self.vms.get(slot).map_or_else(String::new, |record| (*record.name).into());
                return Err(EditError::NeedsIdle { vm: (*record.name).into(), needed, off: !on });
            }
        }
        Ok(())
    }

    /// Brings effective classes and priorities up to date for these VMs and all that they need. In bulk only of what
    /// needs nothing; the rest waits for the end.
    pub(super) fn recompute_effective(&mut self, seeds: &[VmSlot]) {
        // Nearly always one VM that neither needs others nor is needed.
        if let [slot] = seeds {
            let alone = self.vms.get(*slot).is_none_or(|record| {
                record.starts_after.is_empty()
                    && record.rules.is_empty()
                    && record.dependents.is_empty()
                    && record.leads.is_empty()
            });
            if alone || (!self.bulk && self.needs(*slot).is_empty() && self.needers(*slot).is_empty()) {
                self.reset_effective(*slot);
                return;
            }
        }
        #[cfg(feature = "serde")]
        if self.bulk {
            self.effective_due = true;
            return;
        }
        let mut reached: BTreeSet<VmSlot> = BTreeSet::new();
        let mut open: Vec<VmSlot> = seeds.to_vec();
        while let Some(slot) = open.pop() {
            if self.vms.get(slot).is_some() && reached.insert(slot) {
                open.extend(self.needs(slot));
            }
        }
        let mut claims: Vec<(Effective, VmSlot)> = Vec::new();
        for slot in &reached {
            self.reset_effective(*slot);
            claims.extend(self.claim_of(*slot).map(|claim| (claim, *slot)));
            let outside = self.needers(*slot).into_iter().filter(|needer| !reached.contains(needer));
            claims.extend(outside.filter_map(|needer| self.claim_of(needer)).map(|claim| (claim, *slot)));
        }
        self.spread_claims(claims);
    }

    /// Makes the effective classes and priorities of all VMs from their own.
    #[cfg(feature = "serde")]
    pub(super) fn recompute_all_effective(&mut self) {
        let mut claims: Vec<(Effective, VmSlot)> = Vec::new();
        for slot in (0..self.vms.slots()).map(VmSlot::from_index) {
            self.reset_effective(slot);
            // Who needs nobody makes nobody more important.
            if self.vms.get(slot).is_some_and(|record| !record.starts_after.is_empty() || !record.rules.is_empty()) {
                claims.extend(self.claim_of(slot).map(|claim| (claim, slot)));
            }
        }
        self.spread_claims(claims);
    }

    /// What a VM asks for those that it needs, if it runs or waits.
    fn claim_of(&self, slot: VmSlot) -> Option<Effective> {
        self.vms.get(slot).filter(|record| record.on).map(|record| record.effective)
    }

    /// Makes VMs, and all that they need, at least as important as is claimed for each. The highest claims go first: so
    /// each VM is passed once, also in a circle of leaders.
    fn spread_claims(&mut self, mut claims: Vec<(Effective, VmSlot)>) {
        claims.sort_unstable_by(|left, right| right.cmp(left));
        let mut passed: BTreeSet<VmSlot> = BTreeSet::new();
        for (claim, slot) in claims {
            let mut open = alloc::vec![slot];
            while let Some(slot) = open.pop() {
                if !passed.insert(slot) {
                    continue;
                }
                let Some(record) = self.vms.get_mut(slot) else { continue };
                let on = record.on;
                if claim > record.effective {
                    record.effective = claim;
                    self.refresh_facts(slot);
                }
                if on {
                    open.extend(self.needs(slot));
                }
            }
        }
    }

    /// Makes a VM as important as it is by itself.
    fn reset_effective(&mut self, slot: VmSlot) {
        if let Some(record) = self.vms.get_mut(slot) {
            let own = (record.restart, record.priority);
            let before = core::mem::replace(&mut record.effective, own);
            let restart_and_priority = (self.facts[slot].restart, self.facts[slot].priority);
            if before != own || restart_and_priority != own {
                self.refresh_facts(slot);
            }
        }
    }

    /// A cycle that these start edges of a VM would close, by names.
    pub(super) fn cycle_with(&self, slot: VmSlot, edges: &[Edge]) -> Option<Vec<String>> {
        let mut search = CycleSearch::default();
        search.edges_of.insert(slot, edges.iter().map(|edge| edge.vm).collect());
        search.run(self, [slot])
    }

    /// A cycle among the start edges that can be reached from these VMs, by names.
    pub(super) fn find_cycle(&self, from: impl IntoIterator<Item = VmSlot>) -> Option<Vec<String>> {
        CycleSearch::default().run(self, from)
    }

    /// What a VM is worth to a plan: its effective class and priority.
    pub(crate) fn effective(&self, slot: VmSlot) -> (RestartClass, Priority) {
        self.facts.lookup(slot).map_or((RestartClass::Never, Priority(0)), |facts| (facts.restart, facts.priority))
    }
}

/// Class and priority.
type Effective = (RestartClass, Priority);

/// Depth-first search for a cycle of start edges.
#[derive(Default)]
struct CycleSearch {
    /// Edges that stand in for those of the cluster.
    edges_of: BTreeMap<VmSlot, Vec<VmSlot>>,
    done: BTreeSet<VmSlot>,
}

impl CycleSearch {
    fn run(&mut self, cluster: &Cluster, from: impl IntoIterator<Item = VmSlot>) -> Option<Vec<String>> {
        let mut path: Vec<(VmSlot, usize)> = Vec::new();
        let mut on_path: BTreeSet<VmSlot> = BTreeSet::new();
        for start in from {
            if self.done.contains(&start) {
                continue;
            }
            path.push((start, 0));
            on_path.insert(start);
            while let Some((slot, next)) = path.last_mut() {
                let Some(successor) = self.successor(cluster, *slot, *next) else {
                    on_path.remove(slot);
                    self.done.insert(*slot);
                    path.pop();
                    continue;
                };
                *next = next.saturating_add(1);
                if on_path.contains(&successor) {
                    let cycle = path.iter().map(|(slot, _)| *slot).skip_while(|slot| *slot != successor);
                    let name =
                        |slot| cluster.vms.get(slot).map_or_else(String::new, |record| String::from(&*record.name));
                    return Some(canonical_cycle(cycle.map(name).collect()));
                }
                if !self.done.contains(&successor) {
                    path.push((successor, 0));
                    on_path.insert(successor);
                }
            }
        }
        None
    }

    fn successor(&self, cluster: &Cluster, slot: VmSlot, position: usize) -> Option<VmSlot> {
        match self.edges_of.get(&slot) {
            Some(edges) => edges.get(position).copied(),
            None => cluster.vms.get(slot)?.starts_after.get(position).map(|edge| edge.vm),
        }
    }
}

/// The cycle from its first name in order, that name repeated at the end.
fn canonical_cycle(mut names: Vec<String>) -> Vec<String> {
    let first = names.iter().enumerate().min_by(|left, right| left.1.cmp(right.1)).map_or(0, |(position, _)| position);
    names.rotate_left(first);
    if let Some(first) = names.first().cloned() {
        names.push(first);
    }
    names
}
