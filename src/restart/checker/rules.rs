//! Required rules on the state after a plan, where placed VMs are (SPEC.md 1).
//!
//! Uses the public views of `cluster`. Used by the checker of placements.

use super::after::{After, Domain, domain_of};
use super::fault::PlanFault;
use crate::cluster::{NodeRef, Place, RuleKind, RuleRef, Strength, VmRef};
use crate::ids::{NodeId, RuleId, VmId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;

/// Checks every required rule that a placed VM is a member of.
pub(super) fn check_rules(after: &After<'_>, faults: &mut Vec<PlanFault>) {
    check_these(after, spoken_of(after), faults);
}

/// The rules that a placed VM is a member of.
pub(super) fn spoken_of(after: &After<'_>) -> BTreeSet<RuleId> {
    after.placed.keys().filter_map(|vm| after.cluster.vm(*vm).ok()).flat_map(VmRef::rules).collect()
}

/// Checks those of these rules that are required.
pub(super) fn check_these(after: &After<'_>, rules: BTreeSet<RuleId>, faults: &mut Vec<PlanFault>) {
    for rule in rules.into_iter().filter_map(|rule| after.cluster.rule(rule).ok()) {
        if rule.strength() == Strength::Required {
            check_rule(after, rule, faults);
        }
    }
}

fn check_rule(after: &After<'_>, rule: RuleRef<'_>, faults: &mut Vec<PlanFault>) {
    match rule.kind() {
        RuleKind::Separate { level, max_per_domain } => separate(after, rule, &level, max_per_domain, faults),
        RuleKind::SeparateSides { level, sides } => apart(after, rule, &level, &sides, faults),
        RuleKind::Together { level } => together(after, rule, &level, faults),
        RuleKind::Confine(place) => {
            for (vm, node) in placed_members(after, rule).filter(|(_, node)| !means(after, &place, *node)) {
                let (vm, node) = (after.vm_name(vm), after.node_name(node));
                faults.push(PlanFault::Confine { rule: rule.name().to_string(), vm, node });
            }
        }
        RuleKind::Exclude(place) => {
            for (vm, node) in placed_members(after, rule).filter(|(_, node)| means(after, &place, *node)) {
                let (vm, node) = (after.vm_name(vm), after.node_name(node));
                faults.push(PlanFault::Exclude { rule: rule.name().to_string(), vm, node });
            }
        }
        RuleKind::Spread { level, min_domains, max_skew } => {
            spread_domains(after, rule, &level, min_domains, faults);
            if let Some(max_skew) = max_skew {
                spread_skew(after, rule, &level, max_skew, faults);
            }
        }
        RuleKind::Follow { leader } => {
            if after.is_up(leader) {
                let away = |node: NodeId| !after.is_on(leader).any(|at| at == node);
                for (vm, node) in placed_members(after, rule).filter(|(_, node)| away(*node)) {
                    faults.push(PlanFault::Follow {
                        rule: rule.name().to_string(),
                        vm: after.vm_name(vm),
                        node: after.node_name(node),
                        leader: after.vm_name(leader),
                    });
                }
            }
        }
    }
}

/// At most so many members in every domain that receives one.
fn separate(after: &After<'_>, rule: RuleRef<'_>, level: &str, max_per_domain: u32, faults: &mut Vec<PlanFault>) {
    let counts = counts(after, rule, level);
    for domain in receiving(after, rule.members(), level) {
        let members = counts.get(&domain).copied().unwrap_or(0);
        if members > u64::from(max_per_domain) {
            faults.push(PlanFault::Separate {
                rule: rule.name().to_string(),
                level: level.to_string(),
                domain: domain.name(),
                members,
                max_per_domain: max_per_domain.into(),
            });
        }
    }
}

/// Members of one side only in every domain that receives one.
fn apart(after: &After<'_>, rule: RuleRef<'_>, level: &str, sides: &[Vec<VmId>], faults: &mut Vec<PlanFault>) {
    let mut present: BTreeMap<Domain<'_>, BTreeSet<usize>> = BTreeMap::new();
    for (side, members) in sides.iter().enumerate() {
        for node in members.iter().flat_map(|vm| after.is_on(*vm)) {
            if let Some(domain) = after.domain(node, level) {
                present.entry(domain).or_default().insert(side);
            }
        }
    }
    for domain in receiving(after, rule.members(), level) {
        let sides = present.get(&domain).map_or(0, BTreeSet::len);
        if sides > 1 {
            faults.push(PlanFault::Sides {
                rule: rule.name().to_string(),
                level: level.to_string(),
                domain: domain.name(),
                sides: count(sides),
            });
        }
    }
}

/// All placed members in one domain, and if members stay, in one where a member stays.
fn together(after: &After<'_>, rule: RuleRef<'_>, level: &str, faults: &mut Vec<PlanFault>) {
    let domains = receiving(after, rule.members(), level);
    if domains.len() > 1 {
        faults.push(PlanFault::TogetherSplit {
            rule: rule.name().to_string(),
            level: level.to_string(),
            domains: count(domains.len()),
        });
    }
    let stay = staying(after, rule, level);
    if stay.is_empty() {
        return;
    }
    for (vm, node) in placed_members(after, rule) {
        if let Some(domain) = after.domain(node, level).filter(|domain| !stay.contains(domain)) {
            faults.push(PlanFault::TogetherApart {
                rule: rule.name().to_string(),
                level: level.to_string(),
                vm: after.vm_name(vm),
                domain: domain.name(),
            });
        }
    }
}

/// On as many domains as asked for, but for more than there are members up, and as far as those that stay leave it
/// possible: each placed member can add one. (One that migrates is in two domains, and one member.)
fn spread_domains(after: &After<'_>, rule: RuleRef<'_>, level: &str, min_domains: u32, faults: &mut Vec<PlanFault>) {
    let domains = count(counts(after, rule, level).len());
    let possible = count(staying(after, rule, level).len()).saturating_add(count(placed_members(after, rule).count()));
    let up = count(rule.members().filter(|vm| after.is_up(*vm)).count());
    let needed = u64::from(min_domains).min(possible).min(up);
    if domains < needed {
        let (rule, level) = (rule.name().to_string(), level.to_string());
        faults.push(PlanFault::SpreadDomains { rule, level, domains, needed });
    }
}

/// No domain that receives a member exceeds the least count over the counting domains by more than allowed.
fn spread_skew(after: &After<'_>, rule: RuleRef<'_>, level: &str, max_skew: u32, faults: &mut Vec<PlanFault>) {
    let counts = counts(after, rule, level);
    let of = |domain: &Domain<'_>| counts.get(domain).copied().unwrap_or(0);
    let Some(least) = counting(after, rule, level).iter().map(of).min() else { return };
    for domain in receiving(after, rule.members(), level) {
        let members = of(&domain);
        if members.saturating_sub(least) > u64::from(max_skew) {
            faults.push(PlanFault::SpreadSkew {
                rule: rule.name().to_string(),
                level: level.to_string(),
                domain: domain.name(),
                members,
                least,
                max_skew: max_skew.into(),
            });
        }
    }
}

/// The domains that count for skew: those with an accepting node on which some powered-on member may be, by labels,
/// confine and exclude. A member that is not placed counts here, too: otherwise leaving it out would change what the
/// others are measured by.
pub(super) fn counting<'a>(after: &After<'a>, rule: RuleRef<'_>, level: &str) -> BTreeSet<Domain<'a>> {
    let members: Vec<VmRef<'_>> =
        rule.members().filter_map(|vm| after.cluster.vm(vm).ok()).filter(|vm| vm.is_on()).collect();
    let places: Vec<Vec<(bool, Place)>> = members.iter().map(|vm| places_of(after, *vm)).collect();
    let labels: Vec<Vec<&str>> = members.iter().map(|vm| vm.requires()).collect();
    let mut domains = BTreeSet::new();
    for node in after.cluster.nodes().filter(|node| accepts(after, *node)) {
        let domain = domain_of(node, level);
        if domains.contains(&domain) {
            continue;
        }
        let eligible = labels.iter().zip(&places).any(|(labels, places)| {
            labels.iter().all(|label| node.has_label(label))
                && places.iter().all(|(inside, place)| means(after, place, node.id()) == *inside)
        });
        if eligible {
            domains.insert(domain);
        }
    }
    domains
}

/// The required `confine` (true) and `exclude` (false) rules of a VM.
fn places_of(after: &After<'_>, vm: VmRef<'_>) -> Vec<(bool, Place)> {
    let rules = vm.rules().filter_map(|rule| after.cluster.rule(rule).ok());
    let required = rules.filter(|rule| rule.strength() == Strength::Required);
    required
        .filter_map(|rule| match rule.kind() {
            RuleKind::Confine(place) => Some((true, place)),
            RuleKind::Exclude(place) => Some((false, place)),
            _ => None,
        })
        .collect()
}

/// Whether a node takes restarts.
pub(super) fn accepts(after: &After<'_>, node: NodeRef<'_>) -> bool {
    node.state().accepts() && !after.failure.contains(node.id())
}

/// Whether a place means a node: by name, by one of its domains, or by a label.
pub(super) fn means(after: &After<'_>, place: &Place, node: NodeId) -> bool {
    let Ok(node) = after.cluster.node(node) else { return false };
    place.nodes.contains(&node.id())
        || place.domains.iter().any(|(level, domain)| node.domain(level) == Some(domain))
        || place.labels.iter().any(|label| node.has_label(label))
}

/// The members that the plan places, with their nodes.
fn placed_members<'a>(after: &'a After<'_>, rule: RuleRef<'a>) -> impl Iterator<Item = (VmId, NodeId)> + 'a {
    rule.members().filter_map(|vm| after.placed.get(&vm).map(|node| (vm, *node)))
}

/// The domains that receive a member.
fn receiving<'a>(after: &After<'a>, members: impl Iterator<Item = VmId>, level: &str) -> BTreeSet<Domain<'a>> {
    members.filter_map(|vm| after.placed.get(&vm)).filter_map(|node| after.domain(*node, level)).collect()
}

/// The domains where members stay.
fn staying<'a>(after: &After<'a>, rule: RuleRef<'_>, level: &str) -> BTreeSet<Domain<'a>> {
    rule.members().flat_map(|vm| after.stays_on(vm)).filter_map(|node| after.domain(node, level)).collect()
}

/// How many members are in each domain in the end; one that migrates is in both, and once in one if both are the same.
pub(super) fn counts<'a>(after: &After<'a>, rule: RuleRef<'_>, level: &str) -> BTreeMap<Domain<'a>, u64> {
    let mut counts: BTreeMap<Domain<'a>, u64> = BTreeMap::new();
    for vm in rule.members() {
        let domains: BTreeSet<Domain<'a>> = after.is_on(vm).filter_map(|node| after.domain(node, level)).collect();
        for domain in domains {
            let entry = counts.entry(domain).or_default();
            *entry = entry.saturating_add(1);
        }
    }
    counts
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
