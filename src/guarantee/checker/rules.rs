//! Whether required rules hold whatever plans of a certificate with banks are in force.
//!
//! Uses `cluster` through its public views. Part of the checker, which calls [`Check::rules`] for more than one loss.
//!
//! Each VM is at home or where some column has it: its *range*. A rule holds always if it holds for every choice from the
//! ranges of its members, or by one of two arguments about plans:
//!
//! - `separate`, if no domain of its level meets two banks, and no member has places of its own: two plans in force are in two
//!   banks, and each was checked alone.
//!   Otherwise only domains count that some member has a target in: of one that receives none the rule says nothing, though
//!   it may be broken there.
//! - `spread` counts a VM that migrates where it is until it fails, and where columns have it: what else it holds only adds.
//! - `together`, `follow`: all members are in one domain, every column has them in one, and no loss takes a part of such a
//!   domain: they fail together and are placed by one plan, always. Single nodes are such domains. Those with places of their own
//!   must have the same ones.

use super::{Check, VerdictFault, unit_name};
use crate::cluster::{Cluster, NODE_LEVEL, NodeRef, NodeState, RuleKind, RuleRef, Strength};
use crate::ids::{NodeId, VmId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A member of a rule that runs, as far as the rule is concerned.
struct Member {
    /// Whether the certificate speaks of it; others vanish with their nodes.
    promised: bool,
    /// Whether it may be evicted: it is gone with the first plan in whose way it stands.
    may_go: bool,
    side: usize,
    home: NodeId,
    /// Its home, where it migrates to, and its targets, column by column.
    range: Vec<NodeId>,
    targets: Vec<Option<NodeId>>,
    /// Its places aside from columns, if it has some.
    own: Vec<NodeId>,
    /// Where it migrates to.
    going: Option<NodeId>,
}

impl Member {
    /// Where plans may put it.
    fn places(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.targets.iter().flatten().chain(&self.own).copied()
    }

    fn domains(&self, cluster: &Cluster, level: &str) -> BTreeSet<String> {
        self.range.iter().map(|node| domain(cluster, level, *node)).collect()
    }
}

fn domain(cluster: &Cluster, level: &str, node: NodeId) -> String {
    cluster.node(node).map(|node| unit_name(node, level)).unwrap_or_default()
}

/// What is the same for all rules.
struct Setting {
    /// Where each VM is in the certificate.
    entries: BTreeMap<VmId, usize>,
    /// Levels of which no domain meets two banks.
    apart: BTreeSet<String>,
    /// Levels of which every loss takes whole domains.
    whole: BTreeSet<String>,
}

impl Check<'_> {
    /// Notes required rules that the plans of different units could break together.
    pub(super) fn rules(&mut self, bank_of: &BTreeMap<NodeId, usize>) {
        let levels: BTreeSet<String> =
            self.cluster.levels().map(ToString::to_string).chain([NODE_LEVEL.to_string()]).collect();
        let setting = Setting {
            entries: self.at.values().flatten().copied().collect(),
            apart: levels.iter().filter(|level| self.meets_one_bank(level, bank_of)).cloned().collect(),
            whole: levels.iter().filter(|level| self.is_lost_whole(level)).cloned().collect(),
        };
        for rule in self.cluster.rules().filter(|rule| rule.strength() == Strength::Required) {
            if !self.holds_always(rule, &setting) {
                let name = rule.name().to_string();
                self.faults.push(VerdictFault::Rule { rule: name });
            }
        }
    }

    fn meets_one_bank(&self, level: &str, bank_of: &BTreeMap<NodeId, usize>) -> bool {
        let mut banks: BTreeMap<String, usize> = BTreeMap::new();
        let mut nodes = self.cluster.nodes().filter_map(|node| Some((node, *bank_of.get(&node.id())?)));
        nodes.all(|(node, bank)| *banks.entry(unit_name(node, level)).or_insert(bank) == bank)
    }

    fn is_lost_whole(&self, level: &str) -> bool {
        self.class.tiers.iter().all(|(_, _, units)| {
            let mut unit_of: BTreeMap<String, &String> = BTreeMap::new();
            let mut nodes = units.iter().flat_map(|(unit, nodes)| nodes.iter().map(move |node| (unit, *node)));
            nodes.all(|(unit, node)| *unit_of.entry(domain(self.cluster, level, node)).or_insert(unit) == unit)
        })
    }

    fn holds_always(&self, rule: RuleRef<'_>, setting: &Setting) -> bool {
        let member = |vm: VmId, side: usize| self.member(vm, side, &setting.entries);
        let all = |vms: &mut dyn Iterator<Item = VmId>| vms.filter_map(|vm| member(vm, 0)).collect::<Vec<_>>();
        match rule.kind() {
            RuleKind::Confine(_) | RuleKind::Exclude(_) => true,
            RuleKind::Separate { level, max_per_domain } => {
                let members = all(&mut rule.members());
                self.is_apart(&level, &members, setting, |there| {
                    there.len() <= usize::try_from(max_per_domain).unwrap_or(usize::MAX)
                })
            }
            RuleKind::SeparateSides { level, sides } => {
                let of_side = |(side, vms): (usize, Vec<VmId>)| vms.into_iter().filter_map(move |vm| member(vm, side));
                let members: Vec<Member> = sides.into_iter().enumerate().flat_map(of_side).collect();
                self.is_apart(&level, &members, setting, |there| {
                    there.iter().map(|member| member.side).collect::<BTreeSet<_>>().len() < 2
                })
            }
            RuleKind::Together { level } => {
                // Whoever may be evicted is gone with the first plan in whose way they stand.
                let members = all(&mut rule.members()).into_iter().filter(|member| !member.may_go).collect::<Vec<_>>();
                let domains: BTreeSet<String> =
                    members.iter().flat_map(|member| member.domains(self.cluster, &level)).collect();
                none_promised(&members)
                    || domains.len() <= 1
                    || members.len() < 2
                    || self.moves_as_one(&members, NODE_LEVEL, setting)
                    || self.moves_as_one(&members, &level, setting)
            }
            RuleKind::Follow { leader } => {
                let Some(leads) = member(leader, 0) else { return true };
                let mut bound: Vec<Member> =
                    all(&mut rule.members()).into_iter().filter(|member| member.promised).collect();
                let nobody = bound.is_empty();
                let promised = leads.promised;
                bound.push(leads);
                nobody || (promised && self.moves_as_one(&bound, NODE_LEVEL, setting))
            }
            RuleKind::Spread { level, min_domains, max_skew } => {
                let members = all(&mut rule.members()).into_iter().filter(|member| !member.may_go).collect::<Vec<_>>();
                let least = members.len().min(usize::try_from(min_domains).unwrap_or(usize::MAX));
                let even = max_skew.is_none_or(|skew| members.len() <= usize::try_from(skew).unwrap_or(usize::MAX));
                let places = |member: &Member| {
                    let nodes = core::iter::once(member.home).chain(member.places());
                    nodes.map(|node| domain(self.cluster, &level, node)).collect()
                };
                let ranges: Vec<BTreeSet<String>> = members.iter().map(places).collect();
                let all_stay = members.iter().all(|member| member.promised);
                none_promised(&members) || (even && (least < 2 || (all_stay && parts(&ranges) >= least)))
            }
        }
    }

    /// A member that runs; `None` for others.
    fn member(&self, vm: VmId, side: usize, entries: &BTreeMap<VmId, usize>) -> Option<Member> {
        let home = *self.home.get(&vm)?;
        let vm = self.cluster.vm(vm).ok().filter(|vm| vm.is_on())?;
        let entry = entries.get(&vm.id()).filter(|_| self.speaks_of(vm)).copied();
        let columns = self.certificate.targets.iter();
        let target = |targets: &Vec<_>| {
            targets.get(entry?).filter(|target| **target != super::NOWHERE).map(|node| self.cluster.node_id_of(*node))
        };
        let targets: Vec<Option<NodeId>> = columns.map(target).collect();
        let backup = self.certificate.backup(vm.id().slot).filter(|_| entry.is_some());
        let own = backup.into_iter().flat_map(|backup| &backup.targets).map(|node| self.cluster.node_id_of(*node));
        let own: Vec<NodeId> = own.collect();
        // On its way to a node that is down, or that fails in every scenario, it comes nowhere.
        let comes = |node: &NodeId| {
            let state = self.cluster.node(*node).map(NodeRef::state);
            matches!(state, Ok(NodeState::Online | NodeState::Cordoned))
        };
        let going = vm.migrating_to().filter(|target| vm.node() == Some(home) && comes(target));
        let range = core::iter::once(home).chain(going).chain(targets.iter().flatten().chain(&own).copied()).collect();
        let may_go = self.evicts.contains_key(&vm.id());
        Some(Member { promised: entry.is_some(), may_go, side, home, range, targets, own, going })
    }

    /// `separate`: whether no domain meets two banks, or none that receives a member can come to hold more than it may.
    fn is_apart(
        &self,
        level: &str,
        members: &[Member],
        setting: &Setting,
        may_hold: impl Fn(&[&Member]) -> bool,
    ) -> bool {
        let all_in_banks = members.iter().all(|member| member.own.is_empty());
        if none_promised(members) || (all_in_banks && setting.apart.contains(level)) {
            return true;
        }
        let receives: BTreeSet<String> =
            members.iter().flat_map(Member::places).map(|node| domain(self.cluster, level, node)).collect();
        let mut reach: BTreeMap<String, Vec<&Member>> = BTreeMap::new();
        for member in members.iter().filter(|member| !member.may_go) {
            for domain in member.domains(self.cluster, level) {
                reach.entry(domain).or_default().push(member);
            }
        }
        reach.iter().all(|(domain, there)| !receives.contains(domain) || may_hold(there))
    }

    /// Whether all are in one domain of a level, every column has them in one, and no loss takes a part of a domain.
    fn moves_as_one(&self, members: &[Member], level: &str, setting: &Setting) -> bool {
        let promised = || members.iter().filter(|member| member.promised);
        let domains = |nodes: &mut dyn Iterator<Item = Option<NodeId>>| {
            nodes.map(|node| node.map(|node| domain(self.cluster, level, node))).collect::<BTreeSet<_>>().len()
        };
        let columns = members.first().map_or(0, |member| member.targets.len());
        // Of two homes they are not always together on places for one item at a time.
        let alike = |member: &Member| {
            let is_single = |node: &NodeId| self.certificate.singles.contains(&node.slot);
            let first = promised().next().filter(|first| first.own == member.own);
            first.is_some_and(|first| first.home == member.home || !member.own.iter().any(is_single))
        };
        setting.whole.contains(level)
            && promised().all(alike)
            && domains(&mut members.iter().flat_map(|member| [Some(member.home), member.going.or(Some(member.home))]))
                <= 1
            && (0..columns)
                .all(|column| domains(&mut promised().map(|member| member.targets.get(column).copied().flatten())) <= 1)
    }
}

fn none_promised(members: &[Member]) -> bool {
    !members.iter().any(|member| member.promised)
}

/// In how many parts the ranges fall, of which no two have a domain in common: so many domains are taken at least.
fn parts(ranges: &[BTreeSet<String>]) -> usize {
    let mut parts: Vec<BTreeSet<String>> = Vec::new();
    for range in ranges {
        let (meeting, mut rest): (Vec<_>, Vec<_>) =
            core::mem::take(&mut parts).into_iter().partition(|part| !part.is_disjoint(range));
        rest.push(meeting.into_iter().flatten().chain(range.iter().cloned()).collect());
        parts = rest;
    }
    parts.len()
}
