//! The patterns: which rules and VMs are suspects, each candidate proved to have no placement.
//!
//! Uses `cluster`, `conflicts::{domains, trial}`. Used by `conflicts`.
//!
//! VMs that can be nowhere come first and are left out of everything else. Then rule by rule: too few domains, by a
//! matching of VMs to domains (the VMs that an alternating path reaches from one left over are a minimal set: any one
//! of them less, and the path frees a place). Then VMs that are tied: at a level L by `together` rules of L, and by
//! everything that puts them on one node. Sharing a domain is an equivalence, so ties reach along chains.

use super::domains::Domains;
use super::trial::Trial;
use super::{ConflictCode, Core, vm_name};
use crate::cluster::{Cluster, RuleBody, Strength};
use crate::dense::to_usize;
use crate::ids::{DomainKey, LevelIx, RuleSlot, VmSlot};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

type Found = (ConflictCode, Core, bool);

/// Every conflict of the patterns, in the order in which they are looked for.
pub(super) fn find(cluster: &Cluster) -> Vec<Found> {
    let mut search = Search::new(cluster);
    if search.domains.nodes.is_empty() {
        return search.found;
    }
    search.find_nowhere();
    for rule in search.rules.clone() {
        match cluster.rule_record(rule).map(|record| &record.body) {
            Some(RuleBody::Separate { level, max_per_domain }) => search.separate(rule, *level, *max_per_domain),
            Some(RuleBody::Spread { level, min_domains, .. }) => search.spread(rule, *level, *min_domains),
            _ => {}
        }
    }
    for level in cluster.levels.named_levels().chain([cluster.levels.node_level()]) {
        search.ties(level);
    }
    search.found
}

struct Search<'a> {
    cluster: &'a Cluster,
    domains: Domains<'a>,
    trial: Trial,
    /// Required rules, by name.
    rules: Vec<RuleSlot>,
    /// VMs that can be nowhere.
    nowhere: BTreeSet<VmSlot>,
    found: Vec<Found>,
}

impl<'a> Search<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let domains = Domains::new(cluster);
        let trial = Trial::new(&domains);
        let required = cluster.rules().filter(|rule| rule.strength() == Strength::Required);
        let mut rules: Vec<RuleSlot> = required.map(|rule| rule.id().slot).collect();
        domains.sort_rules(&mut rules);
        Self { cluster, domains, trial, rules, nowhere: BTreeSet::new(), found: Vec::new() }
    }

    fn report(&mut self, code: ConflictCode, suspects: Core, joint: bool) {
        let (suspects, minimal) = self.trial.minimise(&self.domains, suspects, joint);
        self.found.push((code, suspects, minimal));
    }

    /// VMs that no node can take: by themselves if they are to run, and whether or not for their rules.
    fn find_nowhere(&mut self) {
        for vm in self.cluster.vms() {
            let slot = vm.id().slot;
            let rules = self.domains.place_rules(&[slot]);
            if (!vm.is_on() && rules.is_empty())
                || self.domains.nodes.iter().any(|node| self.domains.takes(slot, &rules, *node))
            {
                continue;
            }
            self.nowhere.insert(slot);
            let alone = !self.domains.nodes.iter().any(|node| self.domains.takes(slot, &[], *node));
            if alone && vm.is_on() {
                self.found.push((ConflictCode::Nowhere, Core { rules: Vec::new(), vms: alloc::vec![slot] }, true));
            } else if !alone {
                // Rules go one by one as long as the rest leaves no node.
                let mut kept = rules;
                let mut position = 0;
                while position < kept.len() {
                    let mut fewer = kept.clone();
                    fewer.remove(position);
                    if self.domains.nodes.iter().any(|node| self.domains.takes(slot, &fewer, *node)) {
                        position = position.saturating_add(1);
                    } else {
                        kept = fewer;
                    }
                }
                self.found.push((ConflictCode::MustAndMustNot, Core { rules: kept, vms: alloc::vec![slot] }, true));
            }
        }
    }

    /// The powered-on members of a rule that can be somewhere.
    fn members(&self, rule: RuleSlot) -> Vec<VmSlot> {
        let mut members = self.domains.members(rule);
        members.retain(|vm| !self.nowhere.contains(vm));
        members
    }

    fn separate(&mut self, rule: RuleSlot, level: LevelIx, most: u32) {
        let members = self.members(rule);
        let mut places = self.domains.place_rules(&members);
        let Some(mut vms) = self.too_many(&members, level, most, &places) else { return };
        // Without a place rule every VM can go to more domains, so the set stays minimal as long as it has no matching.
        let mut position = 0;
        places = self.domains.place_rules(&vms);
        while position < places.len() {
            let mut fewer = places.clone();
            fewer.remove(position);
            if let Some(still) = self.too_many(&vms, level, most, &fewer) {
                (vms, places) = (still, fewer);
            } else {
                position = position.saturating_add(1);
            }
        }
        self.domains.sort_vms(&mut vms);
        places.push(rule);
        self.domains.sort_rules(&mut places);
        self.found.push((ConflictCode::TooFewDomains, Core { rules: places, vms }, true));
    }

    /// A minimal set of these VMs that does not fit into their domains, so many to each.
    fn too_many(&mut self, vms: &[VmSlot], level: LevelIx, most: u32, places: &[RuleSlot]) -> Option<Vec<VmSlot>> {
        let mut matching = Matching::new(to_usize(most));
        for vm in vms {
            let domains = self.domains.of(level, *vm, places);
            if let Err(set) = matching.add(*vm, &domains) {
                return Some(set);
            }
        }
        None
    }

    /// A spread over more domains than a matching reaches: by the domains there are, or by where its VMs can go.
    fn spread(&mut self, rule: RuleSlot, level: LevelIx, min_domains: u32) {
        let members = self.domains.members(rule);
        if members.iter().any(|vm| self.nowhere.contains(vm)) {
            return;
        }
        let places = self.domains.place_rules(&members);
        let wanted = to_usize(min_domains).min(members.len());
        let mut matching = Matching::new(1);
        let mut left_over = None;
        let mut matched = Vec::new();
        for vm in &members {
            let domains = self.domains.of(level, *vm, &places);
            match matching.add(*vm, &domains) {
                Ok(()) => matched.push(*vm),
                Err(_) => left_over = left_over.or(Some(*vm)),
            }
        }
        let Some(left_over) = left_over.filter(|_| matched.len() < wanted) else { return };
        // One more than can be matched: as many domains are wanted, whoever of the others is there.
        let mut vms = matched;
        vms.push(left_over);
        self.domains.sort_vms(&mut vms);
        let mut rules = self.domains.place_rules(&vms);
        rules.push(rule);
        self.domains.sort_rules(&mut rules);
        let suspects = Core { rules, vms };
        if self.trial.has_placement(&self.domains, &suspects, false) == Some(false) {
            self.report(ConflictCode::SpreadTooWide, suspects, false);
        }
    }

    /// What is wrong with VMs that must share a domain of a level.
    fn ties(&mut self, level: LevelIx) {
        let ties = Ties::new(self, level);
        if ties.rules_of.is_empty() {
            return;
        }
        for rule in self.rules.clone() {
            self.apart(&ties, level, rule);
        }
        for group in ties.groups(&self.domains) {
            self.common_domain(&ties, level, &group);
        }
    }

    /// A rule that keeps apart at this level what is tied there.
    fn apart(&mut self, ties: &Ties, level: LevelIx, rule: RuleSlot) {
        let Some(record) = self.cluster.rule_record(rule) else { return };
        let (sides, least) = match &record.body {
            RuleBody::Separate { level: at, max_per_domain } if *at == level => {
                (Vec::new(), to_usize(*max_per_domain).saturating_add(1))
            }
            RuleBody::Sides { level: at, sides } if *at == level => (sides.clone(), 2),
            RuleBody::Spread { level: at, min_domains, .. } if *at == level => {
                return self.spread_of_tied(ties, rule, to_usize(*min_domains));
            }
            _ => return,
        };
        let members = self.members(rule);
        let mut by_group: BTreeMap<VmSlot, Vec<VmSlot>> = BTreeMap::new();
        for vm in members {
            if let Some(group) = ties.group(vm) {
                by_group.entry(group).or_default().push(vm);
            }
        }
        let side = |vm: VmSlot| sides.iter().position(|side| side.binary_search(&vm).is_ok());
        let mut candidates: Vec<Core> = Vec::new();
        for members in by_group.into_values() {
            let parts = |one: VmSlot, other: VmSlot| one != other && (sides.is_empty() || side(one) != side(other));
            let pair = members.iter().copied().find(|one| members.iter().any(|other| parts(*one, *other)));
            let Some(from) = pair.filter(|_| members.len() >= least) else { continue };
            if least == 2 {
                let is_goal = |vm: VmSlot| members.contains(&vm) && parts(vm, from);
                if let Some((vms, mut rules)) = ties.path(from, is_goal) {
                    rules.push(rule);
                    candidates.push(Core { rules, vms });
                }
            } else {
                let (vms, mut rules) = ties.all_of(from);
                rules.push(rule);
                candidates.push(Core { rules, vms });
            }
        }
        for suspects in &mut candidates {
            self.domains.sort_vms(&mut suspects.vms);
            self.domains.sort_rules(&mut suspects.rules);
        }
        candidates
            .sort_by_cached_key(|suspects| suspects.vms.first().map(|vm| String::from(vm_name(self.cluster, *vm))));
        for suspects in candidates {
            if self.trial.has_placement(&self.domains, &suspects, false) == Some(false) {
                self.report(ConflictCode::TogetherAndApart, suspects, false);
            }
        }
    }

    /// A spread whose VMs are tied into fewer groups than it wants domains.
    fn spread_of_tied(&mut self, ties: &Ties, rule: RuleSlot, min_domains: usize) {
        let members = self.domains.members(rule);
        let wanted = min_domains.min(members.len());
        let groups: BTreeSet<VmSlot> = members.iter().map(|vm| ties.group(*vm).unwrap_or(*vm)).collect();
        if groups.len() >= wanted || members.iter().any(|vm| self.nowhere.contains(vm)) {
            return;
        }
        let mut suspects = Core { rules: alloc::vec![rule], vms: members };
        for vm in suspects.vms.clone() {
            let (vms, rules) = ties.all_of(vm);
            suspects.vms.extend(vms);
            suspects.rules.extend(rules);
        }
        self.domains.sort_vms(&mut suspects.vms);
        self.domains.sort_rules(&mut suspects.rules);
        if self.trial.has_placement(&self.domains, &suspects, false) == Some(false) {
            self.report(ConflictCode::TogetherAndApart, suspects, false);
        }
    }

    /// A tied group that has no domain of the level in common, or none that is large enough.
    fn common_domain(&mut self, ties: &Ties, level: LevelIx, group: &[VmSlot]) {
        let places = self.domains.place_rules(group);
        let mut common: Option<BTreeSet<DomainKey>> = None;
        for vm in group {
            let mine: BTreeSet<DomainKey> = self.domains.of(level, *vm, &places).iter().copied().collect();
            common = Some(common.map_or_else(|| mine.clone(), |common| common.intersection(&mine).copied().collect()));
        }
        let common = common.unwrap_or_default();
        let joint = !common.is_empty();
        if joint && self.fits_somewhere(level, group, &common) {
            return;
        }
        let Some(first) = group.first() else { return };
        let (vms, mut rules) = ties.all_of(*first);
        let only_follow = rules.iter().all(|rule| {
            self.cluster.rule_record(*rule).is_some_and(|record| matches!(record.body, RuleBody::Follow { .. }))
        });
        rules.extend(places);
        let mut suspects = Core { rules, vms };
        self.domains.sort_vms(&mut suspects.vms);
        self.domains.sort_rules(&mut suspects.rules);
        if self.trial.has_placement(&self.domains, &suspects, joint) != Some(false) {
            return;
        }
        let code = match (joint, only_follow) {
            (true, _) => ConflictCode::TogetherTooLarge,
            (false, true) => ConflictCode::FollowNowhere,
            (false, false) => ConflictCode::TogetherNowhere,
        };
        self.report(code, suspects, joint);
    }

    /// Whether some domain has as much of every kind in total as a group needs.
    fn fits_somewhere(&self, level: LevelIx, group: &[VmSlot], domains: &BTreeSet<DomainKey>) -> bool {
        let add = |sums: &mut Vec<u128>, row: &[u64]| {
            sums.resize(row.len(), 0);
            for (sum, amount) in sums.iter_mut().zip(row) {
                *sum = sum.saturating_add(u128::from(*amount));
            }
        };
        let mut need = Vec::new();
        for vm in group {
            add(&mut need, &self.domains.need(*vm));
        }
        let mut room: BTreeMap<DomainKey, Vec<u128>> = BTreeMap::new();
        for node in &self.domains.nodes {
            let domain = self.cluster.levels.domain(level, *node);
            if domains.contains(&domain) {
                add(room.entry(domain).or_default(), &self.domains.most(*node));
            }
        }
        room.values().any(|room| need.iter().zip(room).all(|(need, room)| need <= room))
    }
}

/// VMs tied to one domain of a level, as a graph of VMs and rules.
struct Ties {
    rules_of: BTreeMap<VmSlot, Vec<RuleSlot>>,
    tied: BTreeMap<RuleSlot, Vec<VmSlot>>,
    /// Of each tied VM, one that stands for its group.
    groups: BTreeMap<VmSlot, VmSlot>,
}

impl Ties {
    fn new(search: &Search<'_>, level: LevelIx) -> Self {
        let mut ties = Self { rules_of: BTreeMap::new(), tied: BTreeMap::new(), groups: BTreeMap::new() };
        let node_level = search.cluster.levels.node_level();
        for rule in &search.rules {
            let binds = match search.cluster.rule_record(*rule).map(|record| &record.body) {
                Some(RuleBody::Together { level: at }) => *at == level || *at == node_level,
                Some(RuleBody::Follow { .. }) => true,
                _ => false,
            };
            let members = if binds { search.members(*rule) } else { Vec::new() };
            // A follow rule whose leader can be nowhere ties nothing.
            let led = match search.cluster.rule_record(*rule).map(|record| &record.body) {
                Some(RuleBody::Follow { leader }) => members.contains(leader),
                _ => true,
            };
            if members.len() < 2 || !led {
                continue;
            }
            for vm in &members {
                ties.rules_of.entry(*vm).or_default().push(*rule);
            }
            ties.tied.insert(*rule, members);
        }
        let vms: Vec<VmSlot> = ties.rules_of.keys().copied().collect();
        for vm in vms {
            if !ties.groups.contains_key(&vm) {
                for member in ties.all_of(vm).0 {
                    ties.groups.insert(member, vm);
                }
            }
        }
        ties
    }

    fn group(&self, vm: VmSlot) -> Option<VmSlot> {
        self.groups.get(&vm).copied()
    }

    /// The groups, and in them the VMs, by name.
    fn groups(&self, domains: &Domains<'_>) -> Vec<Vec<VmSlot>> {
        let mut groups: BTreeMap<VmSlot, Vec<VmSlot>> = BTreeMap::new();
        for (vm, group) in &self.groups {
            groups.entry(*group).or_default().push(*vm);
        }
        let mut groups: Vec<Vec<VmSlot>> = groups.into_values().collect();
        for group in &mut groups {
            domains.sort_vms(group);
        }
        groups.sort_by_cached_key(|group| group.first().map(|vm| String::from(vm_name(domains.cluster, *vm))));
        groups
    }

    /// Everyone tied to a VM, itself included, and by which rules.
    fn all_of(&self, vm: VmSlot) -> (Vec<VmSlot>, Vec<RuleSlot>) {
        let (mut vms, mut rules) = (BTreeSet::from([vm]), BTreeSet::new());
        let mut open = alloc::vec![vm];
        while let Some(vm) = open.pop() {
            for rule in self.rules_of.get(&vm).into_iter().flatten().filter(|rule| rules.insert(**rule)) {
                open.extend(self.tied.get(rule).into_iter().flatten().filter(|other| vms.insert(**other)));
            }
        }
        (vms.into_iter().collect(), rules.into_iter().collect())
    }

    /// The shortest chain from a VM to one that is a goal: its VMs, both ends included, and its rules.
    fn path(&self, from: VmSlot, is_goal: impl Fn(VmSlot) -> bool) -> Option<(Vec<VmSlot>, Vec<RuleSlot>)> {
        let mut came: BTreeMap<VmSlot, Option<(VmSlot, RuleSlot)>> = BTreeMap::from([(from, None)]);
        let mut open = VecDeque::from([from]);
        let mut used = BTreeSet::new();
        while let Some(vm) = open.pop_front() {
            if is_goal(vm) {
                let (mut vms, mut rules) = (alloc::vec![vm], Vec::new());
                let mut at = vm;
                while let Some((before, rule)) = came.get(&at).copied().flatten() {
                    vms.push(before);
                    rules.push(rule);
                    at = before;
                }
                self.add_leaders(&mut vms, &rules);
                return Some((vms, rules));
            }
            for rule in self.rules_of.get(&vm).into_iter().flatten().filter(|rule| used.insert(**rule)) {
                for other in self.tied.get(rule).into_iter().flatten() {
                    came.entry(*other).or_insert_with(|| {
                        open.push_back(*other);
                        Some((vm, *rule))
                    });
                }
            }
        }
        None
    }

    /// Two followers of one leader are tied through him alone: everyone of such a rule is a suspect.
    fn add_leaders(&self, vms: &mut Vec<VmSlot>, rules: &[RuleSlot]) {
        for rule in rules {
            vms.extend(self.tied.get(rule).into_iter().flatten());
        }
    }
}

/// VMs matched to domains, so many to each, one VM after the other.
struct Matching {
    most: usize,
    held: BTreeMap<DomainKey, Vec<VmSlot>>,
    at: BTreeMap<VmSlot, DomainKey>,
    open_to: BTreeMap<VmSlot, Vec<DomainKey>>,
}

impl Matching {
    fn new(most: usize) -> Self {
        Self { most, held: BTreeMap::new(), at: BTreeMap::new(), open_to: BTreeMap::new() }
    }

    /// Matches one VM more, moving others if need be; or gives the VMs that are in each other's way, the new one among
    /// them.
    fn add(&mut self, vm: VmSlot, domains: &[DomainKey]) -> Result<(), Vec<VmSlot>> {
        self.open_to.insert(vm, domains.to_vec());
        let mut came: BTreeMap<DomainKey, VmSlot> = BTreeMap::new();
        let mut seen = BTreeSet::from([vm]);
        let mut open = VecDeque::from([vm]);
        while let Some(next) = open.pop_front() {
            for domain in self.open_to.get(&next).cloned().unwrap_or_default() {
                if came.contains_key(&domain) {
                    continue;
                }
                came.insert(domain, next);
                let holders = self.held.entry(domain).or_default();
                if holders.len() < self.most {
                    self.shift(domain, &came, vm);
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
