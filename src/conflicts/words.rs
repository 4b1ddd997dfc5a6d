//! A conflict in words, for the person who must change a rule.
//!
//! Uses `cluster`, `conflicts::domains`. Used by `conflicts`.

use super::domains::{Domains, ListIx};
use super::{ConflictCode, Core, rule_name, vm_name};
use crate::cluster::{Cluster, RuleBody};
use crate::ids::{LevelIx, RuleSlot, VmSlot};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How many names a message lists.
const SHOWN: usize = 4;

pub(super) fn message(domains: &mut Domains<'_>, code: ConflictCode, suspects: &Core) -> String {
    let cluster = domains.cluster;
    let rules = rules(cluster, &suspects.rules);
    let vms = vms(cluster, &suspects.vms);
    let verb = if suspects.rules.len() == 1 { "leaves" } else { "leave" };
    match code {
        ConflictCode::Nowhere => {
            let why = suspects.vms.first().map_or_else(String::new, |vm| why_nowhere(domains, *vm));
            format!("no node can ever take {vms}: {why}")
        }
        ConflictCode::MustAndMustNot => format!("{rules} {verb} {vms} no node that could take it"),
        ConflictCode::TooFewDomains => {
            let separate = suspects.rules.iter().find_map(|rule| match &cluster.rule_record(*rule)?.body {
                RuleBody::Separate { level, max_per_domain } => Some((*rule, *level, *max_per_domain)),
                _ => None,
            });
            let Some((rule, level, most)) = separate else { return format!("{rules} cannot hold for {vms}") };
            let chosen = suspects.rules.iter().copied().collect();
            let lists: BTreeSet<ListIx> =
                suspects.vms.iter().filter_map(|vm| domains.of(level, *vm, Some(&chosen))).collect();
            let open: BTreeSet<_> = lists.into_iter().flat_map(|list| domains.list(list).iter()).collect();
            let others: Vec<RuleSlot> = suspects.rules.iter().copied().filter(|other| *other != rule).collect();
            let under =
                if others.is_empty() { String::new() } else { format!(" under {}", self::rules(cluster, &others)) };
            let each = if most == 1 { String::from("one") } else { format!("at most {most}") };
            format!(
                "rule '{}' allows {each} of its VMs in each {}, and {} VMs have {} to go to{under}: {vms}",
                rule_name(cluster, rule),
                level_name(cluster, level),
                suspects.vms.len(),
                open.len(),
            )
        }
        ConflictCode::SpreadTooWide => format!("{rules}: {vms} cannot be on as many domains as that"),
        ConflictCode::TogetherAndApart => format!("{rules} keep {vms} both together and apart"),
        ConflictCode::TogetherNowhere => format!("{rules}: {vms} have no place in common"),
        ConflictCode::FollowNowhere => format!("{rules}: the followers among {vms} cannot go where the leader can"),
        ConflictCode::TogetherTooLarge => {
            format!("{rules}: {vms} must share a domain, and together they are too large for every one")
        }
    }
}

/// What bars a VM from every node by itself.
fn why_nowhere(domains: &Domains<'_>, vm: VmSlot) -> String {
    let cluster = domains.cluster;
    let Some(record) = cluster.vm_record(vm) else { return String::new() };
    if let Some(label) = record.requires.iter().find(|label| cluster.labelled(**label).is_none_or(|set| set.len() == 0))
    {
        return format!("no node carries the label '{}'", cluster.label_name(*label));
    }
    let admitting: Vec<_> = domains.nodes.iter().copied().filter(|node| domains.admits(vm, *node)).collect();
    if admitting.is_empty() {
        let allowed = record.allowed_nodes.is_some();
        return match (record.requires.is_empty(), allowed) {
            (true, _) => "none of its allowed nodes is left".to_string(),
            (false, true) => "none of its allowed nodes carries the labels that it requires".to_string(),
            (false, false) => "no node carries all the labels that it requires".to_string(),
        };
    }
    let among =
        if admitting.len() == domains.nodes.len() { "the largest node" } else { "the largest that it may run on" };
    let need = domains.need(vm);
    for ((kind, need), position) in cluster.kinds().iter().zip(&need).zip(0_usize..) {
        let most = admitting.iter().filter_map(|node| domains.room[*node].get(position).copied()).max().unwrap_or(0);
        if *need > most {
            let unit = if kind.unit.is_empty() { String::new() } else { format!(" {}", kind.unit) };
            return format!("it needs {need}{unit} of {}, and {among} gives {most}{unit}", kind.name);
        }
    }
    "no node that it may run on has enough of every kind".to_string()
}

fn level_name(cluster: &Cluster, level: LevelIx) -> &str {
    cluster.levels.name(level)
}

fn rules(cluster: &Cluster, rules: &[RuleSlot]) -> String {
    let names: Vec<&str> = rules.iter().map(|rule| rule_name(cluster, *rule)).collect();
    format!("{} {}", if names.len() == 1 { "rule" } else { "rules" }, listed(&names))
}

fn vms(cluster: &Cluster, vms: &[VmSlot]) -> String {
    let names: Vec<&str> = vms.iter().map(|vm| vm_name(cluster, *vm)).collect();
    format!("{} {}", if names.len() == 1 { "VM" } else { "VMs" }, listed(&names))
}

/// `'a', 'b' and 'c'`.
fn listed(names: &[&str]) -> String {
    let quoted = |names: &[&str]| names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    match names {
        [] => "none".to_string(),
        [one] => format!("'{one}'"),
        [most @ .., last] if names.len() <= SHOWN => format!("{} and '{last}'", quoted(most)),
        _ => {
            let shown = names.get(..SHOWN).unwrap_or(names);
            format!("{} and {} more", quoted(shown), names.len().saturating_sub(SHOWN))
        }
    }
}
