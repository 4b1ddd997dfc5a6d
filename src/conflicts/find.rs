//! The patterns: which rules and VMs are suspects, each candidate proved to have no placement.
//!
//! Uses `cluster`, `conflicts::{domains, matching, ties, trial}`. Used by `conflicts`.
//!
//! VMs that can be nowhere come first and are left out of everything else. Then rule by rule: too few domains, by a
//! matching of VMs to domains (the VMs that an alternating path reaches from one left over are a minimal set: any one
//! of them less, and the path frees a place). Then VMs that are tied: at a level L by `together` rules of L, and by
//! everything that puts them on one node. Sharing a domain is an equivalence, so ties reach along chains.
//!
//! Every pattern is proved by counting or by ties, whatever the size: no conflict of one is missed because work ran out.
//! Work is limited where a set is made smaller; where it runs out the set is not said to be minimal.

use super::domains::{Chosen, Domains, Limited, ListIx};
use super::matching::Matching;
use super::ties::Ties;
use super::trial::Trial;
use super::{ConflictCode, Core, vm_name};
use crate::cluster::{Cluster, RuleBody, Strength};
use crate::dense::to_usize;
use crate::ids::{DomainKey, LevelIx, NodeSlot, RuleSlot, VmSlot};
use alloc::collections::BTreeSet;
use alloc::collections::btree_map::{BTreeMap, Entry};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

pub(super) type Found = (ConflictCode, Core, bool);

/// How many VMs may be matched to see which place rules a set can do without.
const MATCHED: usize = 4_000_000;
/// So many looks at a node and a rule, to list the domains of a VM, cost about as much as matching one.
const LOOKS_PER_VM: usize = 16;

/// Every conflict of the patterns, in the order in which they are looked for.
pub(super) fn find(cluster: &Cluster) -> (Domains<'_>, Vec<Found>) {
    let mut search = Search::new(cluster);
    if search.domains.nodes.is_empty() {
        return (search.domains, search.found);
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
    (search.domains, search.found)
}

struct Search<'a> {
    cluster: &'a Cluster,
    domains: Domains<'a>,
    trial: Trial,
    /// What is left of [`MATCHED`].
    left: usize,
    /// Required rules, by name.
    rules: Vec<RuleSlot>,
    /// VMs that can be nowhere.
    nowhere: BTreeSet<VmSlot>,
    found: Vec<Found>,
}

impl<'a> Search<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let domains = Domains::new(cluster);
        let required = cluster.rules().filter(|rule| rule.strength() == Strength::Required);
        let mut rules: Vec<RuleSlot> = required.map(|rule| rule.id().slot).collect();
        domains.sort_rules(&mut rules);
        let (trial, nowhere, found) = (Trial::default(), BTreeSet::new(), Vec::new());
        Self { cluster, domains, trial, left: MATCHED, rules, nowhere, found }
    }

    /// Reports suspects that are proved to have no placement, with whatever can be left out left out.
    fn report(&mut self, code: ConflictCode, suspects: Core, joint: bool) {
        let (suspects, minimal) = self.trial.minimise(&self.domains, suspects, joint);
        self.found.push((code, suspects, minimal));
    }

    fn sort(&self, core: &mut Core) {
        self.domains.sort_vms(&mut core.vms);
        self.domains.sort_rules(&mut core.rules);
    }

    fn goes_somewhere(&self, vm: VmSlot, chosen: Chosen<'_>) -> bool {
        self.domains.nodes.iter().any(|node| self.domains.takes(vm, chosen, *node))
    }

    /// VMs that no node can take: by themselves if they are to run, and whether or not for their rules.
    fn find_nowhere(&mut self) {
        for vm in self.cluster.vms() {
            let slot = vm.id().slot;
            let rules = self.domains.place_rules(&[slot]);
            if (!vm.is_on() && rules.is_empty()) || self.goes_somewhere(slot, None) {
                continue;
            }
            self.nowhere.insert(slot);
            let alone = !self.goes_somewhere(slot, Some(&BTreeSet::new()));
            if alone && vm.is_on() {
                self.found.push((ConflictCode::Nowhere, Core { rules: Vec::new(), vms: alloc::vec![slot] }, true));
            } else if !alone {
                let mut core = Core { rules: self.just_enough(slot, rules), vms: alloc::vec![slot] };
                self.sort(&mut core);
                self.found.push((ConflictCode::MustAndMustNot, core, true));
            }
        }
    }

    /// A minimal set of these place rules that leaves a VM no node: a rule can go if no node is kept from the VM by it alone.
    fn just_enough(&self, vm: VmSlot, rules: Vec<RuleSlot>) -> Vec<RuleSlot> {
        let bars = |rule: &RuleSlot, node: NodeSlot| !self.domains.takes(vm, Some(&BTreeSet::from([*rule])), node);
        let open = self.domains.nodes.iter().copied();
        let mut barred: Vec<(NodeSlot, usize)> = open
            .filter(|node| self.domains.takes(vm, Some(&BTreeSet::new()), *node))
            .map(|node| (node, rules.iter().filter(|rule| bars(rule, node)).count()))
            .collect();
        let mut kept = rules;
        kept.retain(|rule| {
            let by_it: Vec<bool> = barred.iter().map(|(node, _)| bars(rule, *node)).collect();
            let needed = barred.iter().zip(&by_it).any(|((_, count), by_it)| *by_it && *count == 1);
            if !needed {
                for ((_, count), by_it) in barred.iter_mut().zip(by_it) {
                    *count = count.saturating_sub(usize::from(by_it));
                }
            }
            needed
        });
        kept
    }

    /// The powered-on members of a rule that can be somewhere.
    fn members(&self, rule: RuleSlot) -> Vec<VmSlot> {
        let mut members = self.domains.members(rule);
        if !self.nowhere.is_empty() {
            members.retain(|vm| !self.nowhere.contains(vm));
        }
        members
    }

    fn separate(&mut self, rule: RuleSlot, level: LevelIx, most: u32) {
        let members = self.members(rule);
        if self.always_fit(&members, level, most) {
            return;
        }
        let Some(mut vms) = self.too_many(&members, level, most, None) else { return };
        // Without a place rule every VM can go to more domains, so the set stays minimal as long as it has no matching. All
        // rules at once are tried first, then halves: most have nothing to do with it.
        let mut kept = self.domains.place_rules(&vms);
        let mut chunk = kept.len();
        let mut minimal = true;
        while chunk > 0 && minimal {
            let mut start = 0;
            while start < kept.len() {
                minimal = self.left >= vms.len();
                if !minimal {
                    break;
                }
                let mut fewer = kept.clone();
                fewer.drain(start..kept.len().min(start.saturating_add(chunk)));
                let lists = self.domains.lists_made();
                let still = self.too_many(&vms, level, most, Some(&fewer.iter().copied().collect()));
                let made = self.domains.lists_made().saturating_sub(lists);
                let looks = made.saturating_mul(self.domains.nodes.len()).saturating_mul(fewer.len());
                self.left = self.left.saturating_sub(vms.len().saturating_add(looks / LOOKS_PER_VM));
                match still {
                    Some(still) => (vms, kept) = (still, fewer),
                    None => start = start.saturating_add(chunk),
                }
            }
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
        }
        kept.push(rule);
        let mut core = Core { rules: kept, vms };
        self.sort(&mut core);
        self.found.push((ConflictCode::TooFewDomains, core, minimal));
    }

    /// Whether the VMs are so few that each finds a place among its own domains, however the others lie.
    fn always_fit(&mut self, vms: &[VmSlot], level: LevelIx, most: u32) -> bool {
        let most = to_usize(most);
        vms.len() <= most
            || vms.iter().all(|vm| {
                let list = self.domains.of(level, *vm, None);
                list.is_some_and(|list| vms.len() <= self.domains.list(list).len().saturating_mul(most))
            })
    }

    /// A minimal set of these VMs that does not fit into their domains, so many to each.
    fn too_many(&mut self, vms: &[VmSlot], level: LevelIx, most: u32, chosen: Chosen<'_>) -> Option<Vec<VmSlot>> {
        let mut matching = Matching::new(to_usize(most));
        let mut lists: BTreeMap<Limited, ListIx> = BTreeMap::new();
        for vm in vms {
            let list = match lists.entry(self.domains.limited(*vm)?) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(self.domains.of(level, *vm, chosen)?),
            };
            if let Err(set) = matching.add(*vm, list, self.domains.list(list)) {
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
        let wanted = to_usize(min_domains).min(members.len());
        let mut matching = Matching::new(1);
        let mut left_over = None;
        let mut matched = Vec::new();
        for vm in &members {
            if matched.len() >= wanted {
                return;
            }
            let Some(list) = self.domains.of(level, *vm, None) else { return };
            if !matching.is_spent(list) && matching.add(*vm, list, self.domains.list(list)).is_ok() {
                matched.push(*vm);
            } else {
                left_over = left_over.or(Some(*vm));
            }
        }
        let Some(left_over) = left_over.filter(|_| matched.len() < wanted) else { return };
        // One more than can be matched: as many domains are wanted, whoever of the others is there.
        let mut vms = matched;
        vms.push(left_over);
        let mut rules = self.domains.place_rules(&vms);
        rules.push(rule);
        let mut suspects = Core { rules, vms };
        self.sort(&mut suspects);
        self.report(ConflictCode::SpreadTooWide, suspects, false);
    }

    /// What is wrong with VMs that must share a domain of a level.
    fn ties(&mut self, level: LevelIx) {
        let ties = Ties::new(self.tying_rules(level));
        if ties.is_empty() {
            return;
        }
        for rule in self.rules.clone() {
            self.apart(&ties, level, rule);
        }
        for group in ties.groups(&self.domains) {
            self.common_domain(&ties, level, &group);
        }
    }

    /// The rules that put VMs into one domain of a level, with the members that count and the leader.
    fn tying_rules(&self, level: LevelIx) -> Vec<(RuleSlot, Vec<VmSlot>, Option<VmSlot>)> {
        let node_level = self.cluster.levels.node_level();
        let mut tying = Vec::new();
        for rule in &self.rules {
            let leader = match self.cluster.rule_record(*rule).map(|record| &record.body) {
                Some(RuleBody::Together { level: at }) if *at == level || *at == node_level => None,
                Some(RuleBody::Follow { leader }) => Some(*leader),
                _ => continue,
            };
            let members = self.members(*rule);
            // A follow rule whose leader can be nowhere ties nothing.
            if members.len() > 1 && leader.is_none_or(|leader| members.contains(&leader)) {
                tying.push((*rule, members, leader));
            }
        }
        tying
    }

    /// A rule that keeps apart at this level what is tied there.
    fn apart(&mut self, ties: &Ties, level: LevelIx, rule: RuleSlot) {
        let Some(record) = self.cluster.rule_record(rule) else { return };
        let (sides, least): (&[Vec<VmSlot>], _) = match &record.body {
            RuleBody::Separate { level: at, max_per_domain } if *at == level => {
                (&[], to_usize(*max_per_domain).saturating_add(1))
            }
            RuleBody::Sides { level: at, sides } if *at == level => (sides, 2),
            RuleBody::Spread { level: at, min_domains, .. } if *at == level => {
                return self.spread_of_tied(ties, rule, to_usize(*min_domains));
            }
            _ => return,
        };
        // The side of each; without sides each is one by itself.
        let sides: BTreeMap<VmSlot, usize> =
            sides.iter().zip(0..).flat_map(|(side, number)| side.iter().map(move |vm| (*vm, number))).collect();
        let mut by_group: BTreeMap<VmSlot, Vec<(VmSlot, usize)>> = BTreeMap::new();
        for (number, vm) in self.members(rule).into_iter().enumerate() {
            if let Some(group) = ties.group(vm) {
                by_group.entry(group).or_default().push((vm, sides.get(&vm).copied().unwrap_or(number)));
            }
        }
        let mut candidates: Vec<(Core, bool)> = Vec::new();
        for members in by_group.into_values().filter(|members| members.len() >= least) {
            let candidate = if least == 2 { ties.chain(&members) } else { ties.near(&members, least) };
            let Some(mut suspects) = candidate else { continue };
            self.sort(&mut suspects);
            let tree = ties.is_tree(&suspects);
            suspects.rules.push(rule);
            self.sort(&mut suspects);
            candidates.push((suspects, tree));
        }
        candidates.sort_by_cached_key(|(suspects, _)| {
            suspects.vms.first().map(|vm| String::from(vm_name(self.cluster, *vm)))
        });
        for (suspects, tree) in candidates {
            // A tree falls apart without any one of its VMs and ties: if two domains take all of its VMs, what is left has a
            // placement there.
            if tree && self.go_to_two_domains(level, &suspects.vms) {
                self.found.push((ConflictCode::TogetherAndApart, suspects, true));
            } else {
                self.report(ConflictCode::TogetherAndApart, suspects, false);
            }
        }
    }

    /// Whether two domains have a node each that takes every single one of these VMs, rules aside.
    fn go_to_two_domains(&mut self, level: LevelIx, vms: &[VmSlot]) -> bool {
        let kinds = self.domains.one_of_each(vms);
        let none = BTreeSet::new();
        let takes_all = |node: &&_| kinds.iter().all(|vm| self.domains.takes(*vm, Some(&none), **node));
        let mut domains =
            self.domains.nodes.iter().filter(takes_all).map(|node| self.cluster.levels.domain(level, *node));
        domains.next().is_some_and(|first| domains.any(|other| other != first))
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
        for vm in groups {
            let (vms, rules) = ties.all_of(vm);
            suspects.vms.extend(vms);
            suspects.rules.extend(rules);
        }
        self.sort(&mut suspects);
        self.report(ConflictCode::TogetherAndApart, suspects, false);
    }

    /// A tied group that has no domain of the level in common, or none that is large enough.
    fn common_domain(&mut self, ties: &Ties, level: LevelIx, group: &[VmSlot]) {
        let lists: BTreeSet<ListIx> = group.iter().filter_map(|vm| self.domains.of(level, *vm, None)).collect();
        let lists: Vec<Rc<Vec<DomainKey>>> = lists.into_iter().map(|list| Rc::clone(self.domains.list(list))).collect();
        let mut count: BTreeMap<DomainKey, usize> = BTreeMap::new();
        for domain in lists.iter().flat_map(|list| list.iter()) {
            let lists = count.entry(*domain).or_default();
            *lists = lists.saturating_add(1);
        }
        let common: BTreeSet<DomainKey> =
            count.into_iter().filter(|(_, count)| *count == lists.len()).map(|(domain, _)| domain).collect();
        let joint = !common.is_empty();
        if joint && self.fits_somewhere(level, group, &common) {
            return;
        }
        let Some(first) = group.first() else { return };
        let (vms, mut rules) = ties.all_of(*first);
        let only_follow = rules.iter().all(|rule| {
            self.cluster.rule_record(*rule).is_some_and(|record| matches!(record.body, RuleBody::Follow { .. }))
        });
        rules.extend(self.domains.place_rules(group));
        let mut suspects = Core { rules, vms };
        self.sort(&mut suspects);
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
                add(room.entry(domain).or_default(), &self.domains.room[*node]);
            }
        }
        room.values().any(|room| need.iter().zip(room).all(|(need, room)| need <= room))
    }
}
