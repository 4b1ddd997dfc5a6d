//! A rule.
//!
//! Uses `read`. Used by `resolve`.

use super::annotations::read_annotations;
use super::fields;
use crate::annotations::Annotations;
use crate::cluster::{RuleKind, Strength};
use crate::document::read::{Fields, Items, NameLists, ReadItem, Reader, Shape as _, Stated, Text, Texts, Value};
use alloc::format;
use alloc::vec::Vec;
use serde::de::{MapAccess, SeqAccess};

/// A rule as it stands.
#[derive(Default)]
pub(crate) struct RawRule<'de> {
    pub(crate) name: Option<Text<'de>>,
    /// One of [`RuleKind::NAMES`].
    pub(crate) kind: Option<&'static str>,
    pub(crate) vms: Option<Vec<Text<'de>>>,
    pub(crate) vm_groups: Option<Vec<Text<'de>>>,
    pub(crate) sides: Option<Vec<Vec<Text<'de>>>>,
    pub(crate) level: Option<Text<'de>>,
    pub(crate) max_per_domain: Option<u32>,
    pub(crate) nodes: Option<Vec<Text<'de>>>,
    pub(crate) domains: Option<NameLists<'de>>,
    pub(crate) labels: Option<Vec<Text<'de>>>,
    pub(crate) min_domains: Option<u32>,
    pub(crate) max_skew: Option<u32>,
    pub(crate) leader: Option<Text<'de>>,
    /// One of [`Strength::NAMES`].
    pub(crate) strength: Option<&'static str>,
    pub(crate) weight: Option<u32>,
    pub(crate) annotations: Option<Annotations>,
    /// Whether something about it could not be read.
    pub(crate) broken: bool,
}

/// The fields that not every kind of rule has, and the kinds that have them.
const OWN_FIELDS: [(&str, &[&str]); 9] = [
    ("sides", &["separate"]),
    ("level", &["separate", "together", "spread"]),
    ("max_per_domain", &["separate"]),
    ("nodes", &["confine", "exclude"]),
    ("domains", &["confine", "exclude"]),
    ("labels", &["confine", "exclude"]),
    ("min_domains", &["spread"]),
    ("max_skew", &["spread"]),
    ("leader", &["follow"]),
];

impl RawRule<'_> {
    fn has(&self, field: &str) -> bool {
        match field {
            "sides" => self.sides.is_some(),
            "level" => self.level.is_some(),
            "max_per_domain" => self.max_per_domain.is_some(),
            "nodes" => self.nodes.is_some(),
            "domains" => self.domains.is_some(),
            "labels" => self.labels.is_some(),
            "min_domains" => self.min_domains.is_some(),
            "max_skew" => self.max_skew.is_some(),
            "leader" => self.leader.is_some(),
            _ => false,
        }
    }

    fn check_kind(&self, kind: &str, stated: Stated, reader: &mut Reader<'_>) {
        for (field, kinds) in OWN_FIELDS {
            if self.has(field) && !kinds.contains(&kind) {
                let kinds = kinds.join(", ");
                let message = format!("the field belongs to rules of kind {kinds}, not \"{kind}\"");
                reader.sink.add(field, "field_of_other_kind", message);
            }
        }
        let lacks = |field: &str| !self.has(field) && !stated.is_broken::<RawRule<'_>>(field);
        match kind {
            "follow" if lacks("leader") => {
                reader.sink.add("", "missing_field", "a rule of kind \"follow\" needs the field \"leader\"");
            }
            "confine" | "exclude" if lacks("nodes") && lacks("domains") && lacks("labels") => {
                let message = format!("a rule of kind \"{kind}\" needs \"nodes\", \"domains\" or \"labels\"");
                reader.sink.add("", "no_place", message);
            }
            "spread" if lacks("min_domains") && lacks("max_skew") => {
                let message = "a rule of kind \"spread\" needs \"min_domains\" or \"max_skew\"";
                reader.sink.add("", "spread_of_nothing", message);
            }
            _ => {}
        }
        if self.sides.is_some() && self.max_per_domain.is_some() {
            let message = "a rule with sides has no such field: no domain holds members of two sides";
            reader.sink.add("max_per_domain", "field_of_other_kind", message);
        }
        if self.sides.is_some() {
            for (field, stated) in [("vms", self.vms.is_some()), ("vm_groups", self.vm_groups.is_some())] {
                if stated {
                    let message = "a rule with sides takes its members from them alone";
                    reader.sink.add(field, "sides_and_members", message);
                }
            }
        }
    }
}

impl<'de> Fields<'de> for RawRule<'de> {
    fields!(RawRule, "a rule (an object)", self, object, reader, {
        "name" => self.name = reader.name(object)?,
        "kind" => self.kind = reader.choice(object, |name| one_of(&RuleKind::NAMES, name), RuleKind::NAMES)?,
        "vms" => self.vms = reader.names(object)?,
        "vm_groups" => self.vm_groups = reader.names(object)?,
        "sides" => self.sides = read_sides(object, reader)?,
        "level" => self.level = reader.name(object)?,
        "max_per_domain" => self.max_per_domain = reader.count(object)?,
        "nodes" => self.nodes = reader.names(object)?,
        "domains" => self.domains = reader.name_lists(object)?,
        "labels" => self.labels = reader.names(object)?,
        "min_domains" => self.min_domains = reader.count(object)?,
        "max_skew" => self.max_skew = reader.count(object)?,
        "leader" => self.leader = reader.name(object)?,
        "strength" => self.strength = reader.choice(object, |name| one_of(&Strength::NAMES, name), Strength::NAMES)?,
        "weight" => self.weight = reader.count(object)?,
        "annotations" => self.annotations = read_annotations(object, reader)?,
    });

    fn finish(&mut self, stated: Stated, reader: &mut Reader<'de>) {
        let before = reader.sink.mark();
        let broken = |field: &str| stated.is_broken::<Self>(field);
        if self.name.is_none() && !broken("name") {
            reader.missing("a rule", "name");
        }
        if self.kind.is_none() && !broken("kind") {
            reader.missing("a rule", "kind");
        }
        let members = self.vms.is_some() || self.vm_groups.is_some() || self.sides.is_some();
        if !members && !broken("vms") && !broken("vm_groups") && !broken("sides") {
            let message = "a rule needs members: \"vms\", \"vm_groups\", or, if it is of kind \"separate\", \"sides\"";
            reader.sink.add("", "missing_field", message);
        }
        if let Some(kind) = self.kind {
            self.check_kind(kind, stated, reader);
        }
        if self.weight.is_some() && self.strength != Some("preferred") && !broken("strength") {
            let message = "only a rule of strength \"preferred\" has a weight";
            reader.sink.add("weight", "field_of_other_kind", message);
        }
        self.broken = stated.any_broken() || reader.sink.grew(before);
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// The name as one of these.
pub(crate) fn one_of(names: &[&'static str], name: &str) -> Option<&'static str> {
    names.iter().copied().find(|known| *known == name)
}

/// The sides of a rule, as they are read.
struct Sides<'de>(Vec<Vec<Text<'de>>>);

impl<'de> ReadItem<'de> for Sides<'de> {
    fn item<A: SeqAccess<'de>>(&mut self, list: &mut A, reader: &mut Reader<'de>) -> Result<bool, A::Error> {
        let side = Items { what: "a list of VM names", reader: &mut *reader, each: Texts(Vec::new()) };
        let before = side.reader.sink.mark();
        let Some(side) = list.next_element_seed(side.seed())? else { return Ok(false) };
        if side.is_none() && !reader.sink.grew(before) {
            reader.mismatch("a list of VM names", &Value::Null);
        }
        self.0.push(side.map(|texts| texts.0).unwrap_or_default());
        Ok(true)
    }
}

fn read_sides<'de, A: MapAccess<'de>>(
    object: &mut A,
    reader: &mut Reader<'de>,
) -> Result<Option<Vec<Vec<Text<'de>>>>, A::Error> {
    let sides = Items { what: "a list of sides", reader, each: Sides(Vec::new()) };
    Ok(object.next_value_seed(sides.seed())?.map(|sides| sides.0))
}
