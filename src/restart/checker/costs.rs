//! What a plan costs in `relaxed` and `preferred` rules, added up anew (SPEC.md 1: the excess of each kind).
//!
//! Uses the public views of `cluster`, and the plan. Used by the checker of plans. That no other plan costs less takes a
//! search, which is not repeated here.

use super::after::{After, Domain, Fate};
use super::fault::PlanFault;
use super::rules::{counting, counts, means};
use crate::cluster::{RestartClass, RuleKind, RuleRef, Strength, VmRef};
use crate::ids::{RuleId, VmId};
use crate::restart::plan::RestartPlan;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The plan names every rule of a displaced or evicted VM that does not bind and is broken, each with its excess; no
/// other, and each once.
pub(super) fn check_costs(after: &After<'_>, plan: &RestartPlan, faults: &mut Vec<PlanFault>) {
    let concerned = |vm: &VmRef<'_>| {
        let displaced = after.fate(vm.id()) == Fate::Displaced || after.evicted.contains(&vm.id());
        displaced && vm.restart() != RestartClass::Never
    };
    let vms: BTreeSet<VmId> = after.cluster.vms().filter(concerned).map(VmRef::id).collect();
    let mut given: BTreeMap<RuleId, u64> = BTreeMap::new();
    for broken in plan.broken_rules() {
        let strength = after.cluster.rule(broken.rule).map(RuleRef::strength);
        if given.insert(broken.rule, broken.excess).is_some() || strength != Ok(broken.strength) {
            faults.push(PlanFault::BrokenRule { rule: rule_name(after, broken.rule), given: broken.excess, excess: 0 });
        }
    }
    for rule in after.cluster.rules().filter(|rule| rule.strength() != Strength::Required) {
        let leads = matches!(rule.kind(), RuleKind::Follow { leader } if vms.contains(&leader));
        let told = given.remove(&rule.id()).unwrap_or(0);
        if !leads && told == 0 && !rule.members().any(|vm| vms.contains(&vm)) {
            continue;
        }
        let excess = excess(after, rule);
        if excess != told {
            faults.push(PlanFault::BrokenRule { rule: rule.name().to_string(), given: told, excess });
        }
    }
    for (rule, told) in given {
        faults.push(PlanFault::BrokenRule { rule: rule_name(after, rule), given: told, excess: 0 });
    }
}

fn rule_name(after: &After<'_>, rule: RuleId) -> String {
    after.cluster.rule(rule).map_or_else(|_| String::new(), |rule| rule.name().to_string())
}

/// By how much a rule is broken in the end.
fn excess(after: &After<'_>, rule: RuleRef<'_>) -> u64 {
    let number = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let members_with = |wrong: &dyn Fn(VmId) -> bool| number(rule.members().filter(|vm| wrong(*vm)).count());
    match rule.kind() {
        RuleKind::Separate { level, max_per_domain } => {
            let over = counts(after, rule, &level).into_values();
            over.map(|count| count.saturating_sub(max_per_domain.into())).fold(0, u64::saturating_add)
        }
        RuleKind::SeparateSides { level, sides } => {
            let mut present: BTreeMap<Domain<'_>, BTreeSet<usize>> = BTreeMap::new();
            for (side, vm) in sides.iter().enumerate().flat_map(|(side, vms)| vms.iter().map(move |vm| (side, *vm))) {
                for domain in after.is_on(vm).filter_map(|node| after.domain(node, &level)) {
                    present.entry(domain).or_default().insert(side);
                }
            }
            present.values().map(|sides| number(sides.len()).saturating_sub(1)).fold(0, u64::saturating_add)
        }
        RuleKind::Together { level } => number(counts(after, rule, &level).len()).saturating_sub(1),
        RuleKind::Confine(place) => members_with(&|vm| after.is_on(vm).any(|node| !means(after, &place, node))),
        RuleKind::Exclude(place) => members_with(&|vm| after.is_on(vm).any(|node| means(after, &place, node))),
        RuleKind::Spread { level, min_domains, max_skew } => {
            let counts = counts(after, rule, &level);
            let up = members_with(&|vm| after.is_up(vm));
            let missing = u64::from(min_domains).min(up).saturating_sub(number(counts.len()));
            let domains = counting(after, rule, &level);
            let of = |domain: &Domain<'_>| counts.get(domain).copied().unwrap_or(0);
            let most = domains.iter().map(of).max().unwrap_or(0);
            let least = domains.iter().map(of).min().unwrap_or(0);
            let skew = max_skew.map_or(0, |allowed| most.saturating_sub(least).saturating_sub(allowed.into()));
            missing.saturating_add(skew)
        }
        RuleKind::Follow { leader } if after.is_up(leader) => {
            members_with(&|vm| after.is_on(vm).any(|node| !after.is_on(leader).any(|at| at == node)))
        }
        RuleKind::Follow { .. } => 0,
    }
}
