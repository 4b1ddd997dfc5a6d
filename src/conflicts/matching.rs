//! VMs matched to domains, so many to each: the first VM that finds no place, and who is in its way.
//!
//! Uses `conflicts::domains`. Used by `conflicts::find`.
//!
//! What one more VM costs: a place among its own domains as a rule, found where the last of its list was; once those are
//! full, a walk over the VMs there, in which each list of domains is gone through once.

use super::domains::ListIx;
use crate::ids::{DomainKey, VmSlot};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// VMs matched to domains, so many to each, one VM after the other.
pub(super) struct Matching {
    most: usize,
    held: BTreeMap<DomainKey, Vec<VmSlot>>,
    at: BTreeMap<VmSlot, DomainKey>,
    open_to: BTreeMap<VmSlot, ListIx>,
    lists: BTreeMap<ListIx, List>,
}

struct List {
    domains: Rc<Vec<DomainKey>>,
    /// Domains before this one are full, and stay so: VMs are moved only where others take their place.
    full: usize,
    /// No VM of this list finds a place any more.
    spent: bool,
}

impl Matching {
    pub(super) fn new(most: usize) -> Self {
        Self { most, held: BTreeMap::new(), at: BTreeMap::new(), open_to: BTreeMap::new(), lists: BTreeMap::new() }
    }

    /// Whether VMs of this list have been in vain.
    pub(super) fn is_spent(&self, list: ListIx) -> bool {
        self.lists.get(&list).is_some_and(|list| list.spent)
    }

    /// Matches one VM more, moving others if need be; or gives the VMs that are in each other's way, the new one among
    /// them.
    pub(super) fn add(&mut self, vm: VmSlot, list: ListIx, domains: &Rc<Vec<DomainKey>>) -> Result<(), Vec<VmSlot>> {
        let known =
            self.lists.entry(list).or_insert_with(|| List { domains: Rc::clone(domains), full: 0, spent: false });
        while let Some(domain) = known.domains.get(known.full) {
            let holders = self.held.entry(*domain).or_default();
            if holders.len() < self.most {
                holders.push(vm);
                self.at.insert(vm, *domain);
                self.open_to.insert(vm, list);
                return Ok(());
            }
            known.full = known.full.saturating_add(1);
        }
        self.open_to.insert(vm, list);
        let mut came: BTreeMap<DomainKey, VmSlot> = BTreeMap::new();
        let mut seen = BTreeSet::from([vm]);
        let mut gone_through = BTreeSet::new();
        let mut open = VecDeque::from([vm]);
        while let Some(next) = open.pop_front() {
            let Some(list) = self.open_to.get(&next).filter(|list| gone_through.insert(**list)) else { continue };
            let Some(domains) = self.lists.get(list).map(|list| Rc::clone(&list.domains)) else { continue };
            for domain in domains.iter() {
                if came.contains_key(domain) {
                    continue;
                }
                came.insert(*domain, next);
                let holders = self.held.entry(*domain).or_default();
                if holders.len() < self.most {
                    self.shift(*domain, &came, vm);
                    return Ok(());
                }
                for holder in holders.iter() {
                    if seen.insert(*holder) {
                        open.push_back(*holder);
                    }
                }
            }
        }
        self.open_to.remove(&vm);
        if let Some(list) = self.lists.get_mut(&list) {
            list.spent = true;
        }
        Err(seen.into_iter().collect())
    }

    /// Moves everyone along the way that led to a free place.
    fn shift(&mut self, free: DomainKey, came: &BTreeMap<DomainKey, VmSlot>, new: VmSlot) {
        let mut to = free;
        while let Some(vm) = came.get(&to).copied() {
            let from = self.at.insert(vm, to);
            self.held.entry(to).or_default().push(vm);
            match from {
                Some(from) if vm != new => {
                    if let Some(holders) = self.held.get_mut(&from) {
                        holders.retain(|holder| *holder != vm);
                    }
                    to = from;
                }
                _ => return,
            }
        }
    }
}
