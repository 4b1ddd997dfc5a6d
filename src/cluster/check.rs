//! What is odd about a cluster and yet allowed.
//!
//! Uses the stores of `cluster` and `excess`. For people; what must always hold is proved in `invariants`.

use super::{Cluster, Role};
use crate::ids::{LevelIx, NodeSlot};
use crate::named::named;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How many names a message lists.
const SHOWN: usize = 3;

/// Something about a cluster that is allowed and worth a look.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Warning {
    /// What sort of thing it is.
    pub kind: WarningKind,
    /// The name of what it is about: of a node, level, domain, rule, VM or label, as the kind says.
    pub object: String,
    /// What to do about it, for people.
    pub message: String,
}

/// Prints as `node "esx-01": its VMs hold ...`.
impl core::fmt::Display for Warning {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{} {:?}: {}", self.kind.what(), self.object, self.message)
    }
}

/// What sort of thing a [`Warning`] is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum WarningKind {
    /// A node's VMs hold more than the node can give.
    OverFull,
    /// A spare node runs VMs.
    SpareInUse,
    /// Names of domains of an undeclared level that differ by case and spaces alone.
    SimilarDomains,
    /// Domains with one node.
    SmallDomains,
    /// A domain that lies in two domains of a wider level, in which other domains of its level nest.
    StraddlingDomain,
    /// Nodes without a domain at a level that others use.
    NoDomain,
    /// A required rule that is broken by the VMs where they are.
    RuleBroken,
    /// A VM whose list of allowed nodes is empty.
    NoAllowedNode,
    /// A label that VMs require and no node carries.
    LabelMissing,
}

named!(WarningKind {
    OverFull = "over_full",
    SpareInUse = "spare_in_use",
    SimilarDomains = "similar_domains",
    SmallDomains = "small_domains",
    StraddlingDomain = "straddling_domain",
    NoDomain = "no_domain",
    RuleBroken = "rule_broken",
    NoAllowedNode = "no_allowed_node",
    LabelMissing = "label_missing",
});

impl WarningKind {
    /// What the warning's object is.
    const fn what(self) -> &'static str {
        match self {
            Self::OverFull | Self::SpareInUse => "node",
            Self::SimilarDomains | Self::SmallDomains | Self::NoDomain => "level",
            Self::StraddlingDomain => "domain",
            Self::RuleBroken => "rule",
            Self::NoAllowedNode => "VM",
            Self::LabelMissing => "label",
        }
    }
}

impl Cluster {
    /// Everything that is odd: by kind of warning, then by the name of what it is about.
    ///
    /// Costs a pass over the cluster, and [`rule_excess`](Self::rule_excess) for every required rule.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        self.warn_of_nodes(&mut warnings);
        for level in self.levels.named_levels() {
            self.warn_of_names(level, &mut warnings);
            self.warn_of_membership(level, &mut warnings);
            for narrow in self.levels.named_levels().filter(|narrow| *narrow > level) {
                self.warn_of_straddling(level, narrow, &mut warnings);
            }
        }
        for (rule, excess) in self.broken_rules() {
            let message = format!("required, and broken by {excess} where the VMs are now");
            warnings.push(Warning { kind: WarningKind::RuleBroken, object: rule.into(), message });
        }
        self.warn_of_vms(&mut warnings);
        warnings.sort_by(|left, right| (left.kind, &left.object).cmp(&(right.kind, &right.object)));
        warnings
    }

    fn warn_of_nodes(&self, warnings: &mut Vec<Warning>) {
        for (slot, record) in self.nodes.iter() {
            let rows = self.used[slot].iter().zip(&self.allocatable[slot]).zip(self.kinds.iter());
            for ((used, allocatable), kind) in rows {
                if let Some(over) = used.checked_sub(*allocatable).filter(|over| *over > 0) {
                    let unit = if kind.unit.is_empty() { String::new() } else { format!(" {}", kind.unit) };
                    let name = &kind.name;
                    let message =
                        format!("its VMs hold {over}{unit} of {name} more than the {allocatable}{unit} it can give");
                    warnings.push(Warning { kind: WarningKind::OverFull, object: (*record.name).into(), message });
                }
            }
            if record.role == Role::Spare && !record.residents.is_empty() {
                let message =
                    format!("a spare, yet {} run there: room for restarts is taken", vms(record.residents.len()));
                warnings.push(Warning { kind: WarningKind::SpareInUse, object: (*record.name).into(), message });
            }
        }
    }

    fn warn_of_names(&self, level: LevelIx, warnings: &mut Vec<Warning>) {
        if self.levels.is_declared(level) {
            return;
        }
        let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (_, name, _) in self.levels.domains(level) {
            let plain = name.chars().filter(|letter| !letter.is_whitespace()).flat_map(char::to_lowercase).collect();
            alike.entry(plain).or_default().push(name);
        }
        for mut names in alike.into_values().filter(|names| names.len() > 1) {
            names.sort_unstable();
            let message = format!("the domains {} are separate: if one is meant, give it one name", listed(&names));
            let object = self.levels.name(level).into();
            warnings.push(Warning { kind: WarningKind::SimilarDomains, object, message });
        }
    }

    fn warn_of_membership(&self, level: LevelIx, warnings: &mut Vec<Warning>) {
        let single = self.levels.domains(level).filter(|(_, _, nodes)| nodes.len() == 1);
        let mut single: Vec<&str> = single.map(|(_, name, _)| name).collect();
        single.sort_unstable();
        if !single.is_empty() {
            let noun = if single.len() == 1 { "domain has" } else { "domains have" };
            let message = format!("{} {noun} one node only: {}", single.len(), listed(&single));
            let object = self.levels.name(level).into();
            warnings.push(Warning { kind: WarningKind::SmallDomains, object, message });
        }
        let used = self.levels.domains(level).any(|(_, _, nodes)| !nodes.is_empty());
        let own = |slot: NodeSlot| super::own_node(self.levels.domain(level, slot)).is_some();
        let mut without: Vec<&str> =
            self.nodes.iter().filter(|(slot, _)| own(*slot)).map(|(_, node)| &*node.name).collect();
        without.sort_unstable();
        if used && !without.is_empty() {
            let noun = if without.len() == 1 { "node has" } else { "nodes have" };
            let message =
                format!("{} {noun} no domain here and count as one each: {}", without.len(), listed(&without));
            let object = self.levels.name(level).into();
            warnings.push(Warning { kind: WarningKind::NoDomain, object, message });
        }
    }

    /// Domains of the narrower level that lie in two of the wider one, if at most a quarter of them do.
    fn warn_of_straddling(&self, wide: LevelIx, narrow: LevelIx, warnings: &mut Vec<Warning>) {
        let mut straddling: Vec<(&str, BTreeSet<&str>)> = Vec::new();
        let mut inside = 0_usize;
        for (_, name, nodes) in self.levels.domains(narrow) {
            let wider = |node: &NodeSlot| self.levels.domain_name(wide, self.levels.domain(wide, *node));
            let domains: BTreeSet<&str> = nodes.iter().filter_map(wider).collect();
            match domains.len() {
                0 => {}
                1 => inside = inside.saturating_add(1),
                _ => straddling.push((name, domains)),
            }
        }
        if straddling.len().saturating_mul(3) > inside {
            return;
        }
        for (name, domains) in straddling {
            let (wide, narrow) = (self.levels.name(wide), self.levels.name(narrow));
            let domains: Vec<&str> = domains.into_iter().collect();
            let message = format!(
                "a domain of level {narrow:?} whose nodes lie in several of level {wide:?} ({}), unlike the others",
                listed(&domains)
            );
            warnings.push(Warning { kind: WarningKind::StraddlingDomain, object: name.into(), message });
        }
    }

    fn warn_of_vms(&self, warnings: &mut Vec<Warning>) {
        let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (_, record) in self.vms.iter() {
            let live = |nodes: &[crate::ids::NodeId]| nodes.iter().any(|node| self.live_node(*node).is_some());
            if record.allowed_nodes.as_deref().is_some_and(|nodes| !live(nodes)) {
                let message = "its list of allowed nodes is empty: it can run nowhere".to_string();
                warnings.push(Warning { kind: WarningKind::NoAllowedNode, object: (*record.name).into(), message });
            }
            for label in &record.requires {
                if self.labelled(*label).is_none_or(|nodes| nodes.len() == 0) {
                    missing.entry(self.label_name(*label)).or_default().push(&record.name);
                }
            }
        }
        for (label, mut names) in missing {
            names.sort_unstable();
            let verb = if names.len() == 1 { "requires" } else { "require" };
            let message = format!("no node carries it, and {} {verb} it: {}", vms(names.len()), listed(&names));
            warnings.push(Warning { kind: WarningKind::LabelMissing, object: label.into(), message });
        }
    }
}

fn vms(count: usize) -> String {
    if count == 1 { "1 VM".into() } else { format!("{count} VMs") }
}

/// The first few names, in quotes.
fn listed(names: &[&str]) -> String {
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    if names.len() > SHOWN {
        shown.push("…".into());
    }
    shown.join(", ")
}
