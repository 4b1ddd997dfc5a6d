//! Rules: their members and places.
//!
//! Uses `parse::rule` and `cluster`. Used by `resolve`.

use super::Resolver;
use crate::cluster::{Cluster, EditError, NODE_LEVEL, Place, Rule, RuleKind, Strength};
use crate::document::error::{DocumentWarning, item, join, quoted, segment};
use crate::document::parse::rule::RawRule;
use crate::document::read::Text;
use crate::ids::VmId;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl<'de> Resolver<'de> {
    pub(super) fn add_rules(
        &mut self,
        cluster: &mut Cluster,
        raw: Vec<RawRule<'de>>,
        warnings: &mut Vec<DocumentWarning>,
    ) {
        let mut seen: BTreeMap<Text<'de>, usize> = BTreeMap::new();
        // Groups with VMs, by name; rules change nothing about them.
        let mut groups: Option<Vec<String>> = None;
        for (index, raw) in raw.into_iter().enumerate() {
            let start = self.reader.sink.mark();
            let name = raw.name.clone();
            let broken = raw.broken;
            self.group_warnings(cluster, &raw, index, &mut groups, warnings);
            let rule = self.rule(cluster, raw);
            if let Some(name) = &name {
                match seen.get(name) {
                    Some(earlier) => super::duplicate(self.sink(), "rule", name, "rules", Some(*earlier)),
                    None => {
                        seen.insert(name.clone(), index);
                    }
                }
            }
            // Of objects that could not be added a rule is silent here; what is wrong with the rest of it is wrong.
            if let Some(rule) = rule.filter(|_| !broken && !self.reader.sink.grew(start)) {
                if let Err(error) = cluster.add_rule(rule) {
                    self.sink().add(field_of(&error), error.code(), error.to_string());
                }
            }
            self.place_errors(start, "rules", index, name.as_deref());
        }
    }

    /// A group without VMs is no error: a cluster whose group has emptied must load again.
    fn group_warnings(
        &mut self,
        cluster: &Cluster,
        raw: &RawRule<'de>,
        index: usize,
        groups: &mut Option<Vec<String>>,
        warnings: &mut Vec<DocumentWarning>,
    ) {
        for (at, group) in raw.vm_groups.iter().flatten().enumerate() {
            if cluster.group_vms(group).next().is_none() && self.lost_vms.is_empty() {
                let known = groups.get_or_insert_with(|| {
                    let with_vms = |known: &&str| cluster.group_vms(known).next().is_some();
                    cluster.groups().into_iter().filter(with_vms).map(String::from).collect()
                });
                let hint = self.reader.nearest.hint(group, known.iter().map(String::as_str));
                warnings.push(DocumentWarning {
                    path: format!("rules[{index}].vm_groups[{at}]"),
                    object: raw.name.as_ref().map(ToString::to_string),
                    code: "empty_group",
                    message: format!("no VM is in the group {}{hint}", quoted(group)),
                });
            }
        }
    }

    /// The rule as a cluster takes it; nothing if its kind is not known.
    pub(in crate::document) fn rule(&mut self, cluster: &Cluster, raw: RawRule<'de>) -> Option<Rule> {
        let mut sides = Vec::new();
        for (side, names) in raw.sides.iter().flatten().enumerate() {
            sides.push(self.members(cluster, names, &item("sides", side)));
        }
        let vms = self.members(cluster, raw.vms.as_deref().unwrap_or_default(), "vms");
        let leader = raw.leader.as_ref().and_then(|name| self.find_vm(cluster, name, || "leader".into()));
        let level = raw.level.as_ref().map_or_else(|| NODE_LEVEL.to_string(), ToString::to_string);
        self.know_level(cluster, &level, "level".into());
        let max_per_domain = raw.max_per_domain.unwrap_or(1);
        if max_per_domain == 0 {
            let error = EditError::MaxPerDomainZero;
            self.sink().add("max_per_domain", error.code(), error.to_string());
        }
        let has_sides = raw.sides.is_some();
        let place = self.place(cluster, &raw);
        let kind = match raw.kind? {
            "separate" if has_sides => RuleKind::SeparateSides { level, sides },
            "separate" => RuleKind::Separate { level, max_per_domain },
            "together" => RuleKind::Together { level },
            "confine" => RuleKind::Confine(place),
            "exclude" => RuleKind::Exclude(place),
            "spread" => RuleKind::Spread { level, min_domains: raw.min_domains.unwrap_or(0), max_skew: raw.max_skew },
            "follow" => RuleKind::Follow { leader: leader? },
            _ => return None,
        };
        let mut rule = Rule::new(raw.name.unwrap_or_default(), kind);
        rule.vms = vms;
        rule.vm_groups = raw.vm_groups.into_iter().flatten().map(Text::into_owned).collect();
        rule.strength = match raw.strength {
            Some("preferred") => Strength::Preferred { weight: raw.weight.unwrap_or(1) },
            Some("relaxed") => Strength::Relaxed,
            _ => Strength::Required,
        };
        rule.annotations = raw.annotations;
        Some(rule)
    }

    fn members(&mut self, cluster: &Cluster, names: &[Text<'de>], field: &str) -> Vec<VmId> {
        let mut members = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            members.extend(self.find_vm(cluster, name, || item(field, at)));
        }
        members
    }

    fn place(&mut self, cluster: &Cluster, raw: &RawRule<'de>) -> Place {
        let mut place = Place::default();
        for (at, name) in raw.nodes.iter().flatten().enumerate() {
            place.nodes.extend(self.find_node(cluster, name, || item("nodes", at)));
        }
        for (key, names) in raw.domains.iter().flatten() {
            let Some(level) = self.level_of_key(cluster, *key, "domains") else { continue };
            let Some(found) = cluster.levels.find(&level) else { continue };
            // The domains of nodes that could not be added are not known.
            let sure = cluster.levels.is_declared(found) || self.lost_nodes.is_empty();
            for (at, name) in names.iter().enumerate() {
                if cluster.levels.find_domain(found, name).is_some() {
                    place.domains.push((level.clone(), name.to_string()));
                } else if sure {
                    let known = cluster.levels.domains(found).map(|(_, name, _)| name);
                    let hint = self.reader.nearest.hint(name, known);
                    let message = format!("there is no domain {} at level {}{hint}", quoted(name), quoted(&level));
                    self.sink().add(format!("{}[{at}]", join("domains", &segment(&level))), "unknown_domain", message);
                }
            }
        }
        place.labels = raw.labels.iter().flatten().map(ToString::to_string).collect();
        place
    }
}

/// The field that the refusal of a rule is about.
fn field_of(error: &EditError) -> String {
    let field = match error {
        EditError::DuplicateName { .. } | EditError::EmptyName { what: "rule" } => "name",
        EditError::NeedsIdle { .. } => "leader",
        EditError::MaxPerDomainZero => "max_per_domain",
        EditError::UnknownLevel { .. } => "level",
        EditError::UnknownDomain { .. } => "domains",
        _ => "",
    };
    field.into()
}
