//! Edits of rules, and which VMs and nodes each one speaks of.
//!
//! Uses the stores of `cluster`. Keeps `members` (by VM and by group) and, for `confine` and `exclude`, the set of
//! nodes meant (by node, domain and label) in step with every edit.

use super::fingerprint::Said;
use super::node_set::NodeSet;
use super::slab::hash_name;
use super::{
    Cluster, EditError, GroupSlot, LabelSlot, MAX_OBJECTS, Place, Rule, RuleKind, Strength, VmRecord, insert_sorted,
    remove_sorted,
};
use crate::annotations::Annotations;
use crate::dense::{to_u32, to_usize};
use crate::ids::{LevelIx, NodeId, NodeSlot, RuleId, RuleSlot, VmId, VmSlot};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A rule as the cluster keeps it.
#[derive(Clone, Debug)]
pub(crate) struct RuleRecord {
    pub(crate) name: Arc<str>,
    /// A hash of its name.
    pub(crate) key: u64,
    pub(crate) body: RuleBody,
    pub(crate) strength: Strength,
    /// Named members, sorted.
    pub(crate) vms: Vec<VmSlot>,
    pub(crate) vm_groups: Vec<GroupSlot>,
    /// All members, sorted: those named, those of its groups, those of its sides.
    pub(crate) members: Vec<VmSlot>,
    pub(crate) annotations: Option<Box<Annotations>>,
    /// The sum over the hashes of the members named, or of the sides.
    pub(super) named: u128,
    /// What it adds to the fingerprint.
    pub(super) stamp: u128,
}

impl RuleRecord {
    /// Whether it is a required `confine` or `exclude` rule: one that decides for each VM by itself.
    pub(crate) fn is_place(&self) -> bool {
        self.strength == Strength::Required && matches!(self.body, RuleBody::Place { .. })
    }
}

/// What a rule asks, in slots.
#[derive(Clone, Debug)]
pub(crate) enum RuleBody {
    Separate {
        level: LevelIx,
        max_per_domain: u32,
    },
    Sides {
        level: LevelIx,
        sides: Vec<Vec<VmSlot>>,
    },
    Together {
        level: LevelIx,
    },
    /// `confine` (inside) or `exclude`.
    Place {
        inside: bool,
        place: PlaceRecord,
        nodes: NodeSet,
    },
    Spread {
        level: LevelIx,
        min_domains: u32,
        max_skew: Option<u32>,
    },
    Follow {
        leader: VmSlot,
    },
}

/// A place by what defines it.
#[derive(Clone, Debug)]
pub(crate) struct PlaceRecord {
    /// Sorted; nodes that were removed are passed over.
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) domains: Vec<(LevelIx, String)>,
    pub(crate) labels: Vec<LabelSlot>,
}

/// A rule's description, checked; levels found.
struct Checked {
    level: LevelIx,
    domains: Vec<(LevelIx, String)>,
    named: Vec<VmSlot>,
    sides: Vec<Vec<VmSlot>>,
    leader: Option<VmSlot>,
}

impl Cluster {
    /// Adds a rule. It may be broken already: that is reported, not refused.
    ///
    /// # Errors
    /// A name that is empty or taken, stale ids, an unknown level or domain, a rule that asks for nothing, a VM with
    /// two parts in it, or a leader that never runs.
    pub fn add_rule(&mut self, rule: Rule) -> Result<RuleId, EditError> {
        Self::new_name("rule", &rule.name, self.rule_named(&rule.name, hash_name(&rule.name, 0)), None)?;
        if self.rules.len() >= to_usize(MAX_OBJECTS) {
            return Err(EditError::TooManyObjects { limit: MAX_OBJECTS });
        }
        let checked = self.check_rule(&rule)?;
        let slot = self.file_rule(rule, checked);
        Ok(self.rule_id_of(slot))
    }

    /// Replaces everything about a rule but its identity.
    ///
    /// # Errors
    /// As [`add_rule`](Self::add_rule), or a stale id.
    pub fn update_rule(&mut self, id: RuleId, rule: Rule) -> Result<(), EditError> {
        let slot = self.rule_slot(id)?;
        Self::new_name("rule", &rule.name, self.rule_named(&rule.name, hash_name(&rule.name, 0)), Some(slot))?;
        let checked = self.check_rule(&rule)?;
        self.clear_rule(slot);
        self.fill_rule(slot, rule, checked);
        Ok(())
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// A stale id.
    pub fn remove_rule(&mut self, id: RuleId) -> Result<(), EditError> {
        let slot = self.rule_slot(id)?;
        self.clear_rule(slot);
        if let Some(record) = self.rules.remove(slot) {
            self.fingerprint = self.fingerprint.wrapping_sub(record.stamp);
        }
        self.changed();
        Ok(())
    }

    fn check_rule(&self, rule: &Rule) -> Result<Checked, EditError> {
        let find_level =
            |name: &String| self.levels.find(name).ok_or_else(|| EditError::UnknownLevel { level: name.clone() });
        let mut checked = Checked {
            level: self.levels.node_level(),
            domains: Vec::new(),
            named: self.vm_slots(&rule.vms)?,
            sides: Vec::new(),
            leader: None,
        };
        if rule.vm_groups.iter().any(String::is_empty) {
            return Err(EditError::EmptyName { what: "group" });
        }
        match &rule.kind {
            RuleKind::Separate { level, max_per_domain } => {
                checked.level = find_level(level)?;
                if *max_per_domain == 0 {
                    return Err(EditError::MaxPerDomainZero);
                }
            }
            RuleKind::SeparateSides { level, sides } => {
                checked.level = find_level(level)?;
                if !rule.vms.is_empty() || !rule.vm_groups.is_empty() {
                    return Err(EditError::SidesAndMembers);
                }
                for side in sides {
                    let side = self.vm_slots(side)?;
                    checked.named.extend_from_slice(&side);
                    checked.sides.push(side);
                }
                checked.named.sort_unstable();
                let twice = checked.named.windows(2).find(|pair| pair.first() == pair.last());
                if let Some(twice) = twice.and_then(|pair| pair.first()) {
                    return Err(EditError::TwoParts { vm: self.name_of_vm(*twice) });
                }
            }
            RuleKind::Together { level } => checked.level = find_level(level)?,
            RuleKind::Confine(place) | RuleKind::Exclude(place) => self.check_place(place, &mut checked)?,
            RuleKind::Spread { level, min_domains, max_skew } => {
                checked.level = find_level(level)?;
                if *min_domains == 0 && max_skew.is_none() {
                    return Err(EditError::SpreadOfNothing);
                }
            }
            RuleKind::Follow { leader } => {
                let leader = self.vm_slot(*leader)?;
                if checked.named.binary_search(&leader).is_ok() {
                    return Err(EditError::TwoParts { vm: self.name_of_vm(leader) });
                }
                checked.leader = Some(leader);
                if rule.strength == Strength::Required {
                    self.check_followers(rule, &checked.named, leader)?;
                }
            }
        }
        Ok(checked)
    }

    fn check_place(&self, place: &Place, checked: &mut Checked) -> Result<(), EditError> {
        for node in &place.nodes {
            self.node_slot(*node)?;
        }
        if place.labels.iter().any(String::is_empty) {
            return Err(EditError::EmptyName { what: "label" });
        }
        for (level, domain) in &place.domains {
            let found = self.levels.find(level).ok_or_else(|| EditError::UnknownLevel { level: level.clone() })?;
            if found == self.levels.node_level() {
                return Err(EditError::NodeLevel);
            }
            if self.levels.find_domain(found, domain).is_none() {
                return Err(EditError::UnknownDomain { level: level.clone(), domain: domain.clone() });
            }
            checked.domains.push((found, domain.clone()));
        }
        Ok(())
    }

    /// Refuses a leader that never runs while one of the followers does.
    fn check_followers(&self, rule: &Rule, named: &[VmSlot], leader: VmSlot) -> Result<(), EditError> {
        let grouped =
            rule.vm_groups.iter().filter_map(|name| self.groups.get(name)).filter_map(|group| self.groups.value(group));
        for follower in named.iter().chain(grouped.flat_map(|group| &group.vms)).filter(|vm| **vm != leader) {
            if let Some(record) = self.vms.get(*follower) {
                if record.on && record.restart != super::RestartClass::Never {
                    self.check_needed(&record.name, leader)?;
                }
            }
        }
        Ok(())
    }

    fn file_rule(&mut self, rule: Rule, checked: Checked) -> RuleSlot {
        let slot = self.rules.insert(RuleRecord {
            name: Arc::from(""),
            key: 0,
            body: RuleBody::Together { level: checked.level },
            strength: rule.strength,
            vms: Vec::new(),
            vm_groups: Vec::new(),
            members: Vec::new(),
            annotations: None,
            named: 0,
            stamp: 0,
        });
        self.fill_rule(slot, rule, checked);
        slot
    }

    fn fill_rule(&mut self, slot: RuleSlot, rule: Rule, checked: Checked) {
        let name: Arc<str> = Arc::from(rule.name.as_str());
        let key = hash_name(&name, 0);
        let rules = &self.rules;
        self.rule_names.insert(key, slot, |slot| rules.get(slot).map_or(0, |rule| rule.key));
        self.seat_rule(slot, key, true);
        let mut members = checked.named.clone();
        // In the order given: so the rule reads as it was written.
        let mut vm_groups: Vec<GroupSlot> = Vec::with_capacity(rule.vm_groups.len());
        let mut seen = BTreeSet::new();
        for group in &rule.vm_groups {
            let group = self.groups.acquire(group);
            if !seen.insert(group) {
                self.groups.release(group);
                continue;
            }
            vm_groups.push(group);
            if let Some(uses) = self.groups.value_mut(group) {
                insert_sorted(&mut uses.rules, slot);
                members.extend_from_slice(&uses.vms);
            }
        }
        let body = self.make_body(rule.kind, &checked);
        if let RuleBody::Follow { leader } = &body {
            members.retain(|member| member != leader);
            if let Some(leader) = self.vms.get_mut(*leader) {
                insert_sorted(&mut leader.leads, slot);
            }
        }
        members.sort_unstable();
        members.dedup();
        for member in &members {
            if let Some(vm) = self.vms.get_mut(*member) {
                if let Err(position) = vm.rules.binary_search(&slot) {
                    vm.rules.insert(position, slot);
                }
            }
        }
        if let RuleBody::Place { place, .. } = &body {
            self.tell_nodes(&place.nodes, Said::Means, key, true);
        }
        let leader = if let RuleBody::Follow { leader } = &body { Some(*leader) } else { None };
        let touched = members.clone();
        if let Some(record) = self.rules.get_mut(slot) {
            record.name = name;
            record.key = key;
            record.body = body;
            record.strength = rule.strength;
            record.vms = if checked.sides.is_empty() { checked.named } else { Vec::new() };
            record.vm_groups = vm_groups;
            record.members = members;
            record.annotations = rule.annotations.map(Box::new);
        }
        for vm in touched.iter().copied().chain(leader) {
            self.refresh_facts(vm);
        }
        if leader.is_some() {
            self.recompute_effective(&touched);
        }
        let named = self.rules.get(slot).map_or(0, |record| self.sum_of_named(record));
        if let Some(record) = self.rules.get_mut(slot) {
            record.named = named;
        }
        self.stamp_rule(slot);
        self.changed();
    }

    fn make_body(&mut self, kind: RuleKind, checked: &Checked) -> RuleBody {
        let level = checked.level;
        match kind {
            RuleKind::Separate { max_per_domain, .. } => RuleBody::Separate { level, max_per_domain },
            RuleKind::SeparateSides { .. } => RuleBody::Sides { level, sides: checked.sides.clone() },
            RuleKind::Together { .. } => RuleBody::Together { level },
            RuleKind::Confine(place) => self.make_place(true, place, checked),
            RuleKind::Exclude(place) => self.make_place(false, place, checked),
            RuleKind::Spread { min_domains, max_skew, .. } => RuleBody::Spread { level, min_domains, max_skew },
            RuleKind::Follow { .. } => RuleBody::Follow { leader: checked.leader.unwrap_or(VmSlot(u32::MAX)) },
        }
    }

    fn make_place(&mut self, inside: bool, place: Place, checked: &Checked) -> RuleBody {
        let labels = self.labels.acquire_each(&place.labels).into_vec();
        for (level, domain) in &checked.domains {
            self.levels.hold(*level, domain);
        }
        let mut ids = place.nodes;
        ids.sort_unstable();
        ids.dedup();
        let mut nodes: NodeSet = ids.iter().map(|id| id.slot).collect();
        for (level, domain) in &checked.domains {
            if let Some(key) = self.levels.find_domain(*level, domain) {
                for node in self.levels.nodes(*level, key) {
                    nodes.insert(*node);
                }
            }
        }
        for label in &labels {
            if let Some(uses) = self.labels.value(*label) {
                for node in uses.nodes.iter() {
                    nodes.insert(node);
                }
            }
        }
        RuleBody::Place { inside, place: PlaceRecord { nodes: ids, domains: checked.domains.clone(), labels }, nodes }
    }

    /// Undoes what a rule has entered elsewhere; the record stays, empty.
    fn clear_rule(&mut self, slot: RuleSlot) {
        let Some(key) = self.rules.get(slot).map(|record| record.key) else { return };
        self.rule_names.remove(key, slot);
        self.seat_rule(slot, key, false);
        let Some(record) = self.rules.get_mut(slot) else { return };
        let members = core::mem::take(&mut record.members);
        let vm_groups = core::mem::take(&mut record.vm_groups);
        let body = core::mem::replace(&mut record.body, RuleBody::Together { level: self.levels.node_level() });
        for member in &members {
            if let Some(vm) = self.vms.get_mut(*member) {
                if let Ok(position) = vm.rules.binary_search(&slot) {
                    vm.rules.remove(position);
                }
            }
            self.refresh_facts(*member);
        }
        for group in vm_groups {
            if let Some(uses) = self.groups.value_mut(group) {
                remove_sorted(&mut uses.rules, &slot);
            }
            self.groups.release(group);
        }
        match body {
            RuleBody::Place { place, .. } => {
                self.tell_nodes(&place.nodes, Said::Means, key, false);
                for label in place.labels {
                    self.labels.release(label);
                }
                for (level, domain) in place.domains {
                    self.levels.let_go(level, &domain);
                }
            }
            RuleBody::Follow { leader } => {
                if let Some(vm) = self.vms.get_mut(leader) {
                    remove_sorted(&mut vm.leads, &slot);
                }
                self.refresh_facts(leader);
                self.recompute_effective(&[leader]);
            }
            _ => {}
        }
    }

    /// A VM joins or leaves a group: so it does the rules that name the group.
    pub(super) fn group_membership(&mut self, vm: VmSlot, group: GroupSlot, joins: bool) {
        let rules = self.groups.value(group).map(|uses| uses.rules.clone()).unwrap_or_default();
        for slot in rules {
            let Some(rule) = self.rules.get_mut(slot) else { continue };
            let Some(record) = self.vms.get_mut(vm) else { continue };
            if joins {
                if matches!(&rule.body, RuleBody::Follow { leader } if *leader == vm) {
                    continue;
                }
                insert_sorted(&mut rule.members, vm);
                if let Err(position) = record.rules.binary_search(&slot) {
                    record.rules.insert(position, slot);
                }
                continue;
            }
            let otherwise = rule.vms.binary_search(&vm).is_ok()
                || rule.vm_groups.iter().any(|other| {
                    *other != group && self.groups.value(*other).is_some_and(|uses| uses.vms.binary_search(&vm).is_ok())
                });
            if otherwise {
                continue;
            }
            remove_sorted(&mut rule.members, &vm);
            if let Ok(position) = record.rules.binary_search(&slot) {
                record.rules.remove(position);
            }
        }
        self.refresh_facts(vm);
    }

    /// Takes a VM out of every rule that names it.
    pub(super) fn leave_rules(&mut self, vm: VmSlot) {
        let Some(record) = self.vms.get_mut(vm) else { return };
        let key = record.key;
        for slot in core::mem::take(&mut record.rules) {
            let Some(rule) = self.rules.get_mut(slot) else { continue };
            remove_sorted(&mut rule.members, &vm);
            let mut named = remove_sorted(&mut rule.vms, &vm);
            if let RuleBody::Sides { sides, .. } = &mut rule.body {
                for side in sides {
                    named |= remove_sorted(side, &vm);
                }
            }
            if named {
                self.exchange_named(slot, vm, Some(key), None);
                self.stamp_rule(slot);
            }
        }
    }

    /// A node enters or leaves the places that `confine` and `exclude` rules define. Costs the number of such rules.
    pub(super) fn node_in_places(&mut self, node: NodeSlot, enters: bool) {
        let id = self.node_id_of(node);
        for index in 0..self.rules.slots() {
            let Some(rule) = self.rules.get_mut(RuleSlot(to_u32(index))) else { continue };
            let RuleBody::Place { place, nodes, .. } = &mut rule.body else { continue };
            if !enters {
                nodes.remove(node);
                continue;
            }
            let labels = self.nodes.get(node).map_or(&[][..], |record| &record.labels);
            let meant = place.nodes.binary_search(&id).is_ok()
                || place.labels.iter().any(|label| labels.binary_search(label).is_ok())
                || place.domains.iter().any(|(level, name)| {
                    self.levels.domain_name(*level, self.levels.domain(*level, node)) == Some(name.as_str())
                });
            if meant {
                nodes.insert(node);
            }
        }
    }

    /// The required `confine` (true) and `exclude` (false) rules of a VM, with the nodes that each means.
    pub(crate) fn place_rules<'a>(&'a self, vm: &'a VmRecord) -> impl Iterator<Item = (RuleSlot, bool, &'a NodeSet)> {
        vm.rules.iter().filter_map(|slot| {
            let rule = self.rules.get(*slot).filter(|rule| rule.strength == Strength::Required)?;
            match &rule.body {
                RuleBody::Place { inside, nodes, .. } => Some((*slot, *inside, nodes)),
                _ => None,
            }
        })
    }

    /// Whether a node suits a VM by labels, `confine` and `exclude`.
    #[inline]
    pub(crate) fn suits(&self, vm: &VmRecord, node: NodeSlot) -> bool {
        let labelled = vm.requires.is_empty() || {
            let carried = self.nodes.get(node).map_or(&[][..], |record| &record.labels);
            vm.requires.iter().all(|label| carried.binary_search(label).is_ok())
        };
        labelled && self.place_rules(vm).all(|(_, inside, nodes)| nodes.contains(node) == inside)
    }

    /// Slots of VMs, sorted, each once.
    fn vm_slots(&self, ids: &[VmId]) -> Result<Vec<VmSlot>, EditError> {
        let mut slots = ids.iter().map(|id| self.vm_slot(*id)).collect::<Result<Vec<_>, _>>()?;
        slots.sort_unstable();
        slots.dedup();
        Ok(slots)
    }

    fn name_of_vm(&self, slot: VmSlot) -> String {
        self.vms.get(slot).map_or_else(String::new, |record| String::from(&*record.name))
    }
}
