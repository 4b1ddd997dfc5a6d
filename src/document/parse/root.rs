//! The document as a whole, its resource kinds and its levels.
//!
//! Uses `read` and the other objects of `parse`. Used by `resolve`.

use super::annotations::read_annotations;
use super::fields;
use super::node::RawNode;
use super::policy::RawPolicy;
use super::rule::RawRule;
use super::vm::RawVm;
use crate::annotations::Annotations;
use crate::document::read::{Fields, NameLists, Reader, Stated, Text};
use alloc::format;
use alloc::vec::Vec;

/// The name and version of the form.
pub(crate) const FORMAT: &str = "lifeboat/1";

/// A document as it stands.
#[derive(Default)]
pub(crate) struct RawDocument<'de> {
    format: Option<Text<'de>>,
    pub(crate) name: Option<Text<'de>>,
    pub(crate) annotations: Option<Annotations>,
    pub(crate) resources: Option<Vec<RawKind<'de>>>,
    pub(crate) levels: Option<Vec<Text<'de>>>,
    pub(crate) domains: Option<NameLists<'de>>,
    pub(crate) nodes: Option<Vec<RawNode<'de>>>,
    pub(crate) vms: Option<Vec<RawVm<'de>>>,
    pub(crate) rules: Option<Vec<RawRule<'de>>>,
    pub(crate) policy: Option<RawPolicy<'de>>,
    /// Whether kinds and levels could not be read in full, so that not knowing a name means nothing.
    pub(crate) kinds_unsure: bool,
    pub(crate) levels_unsure: bool,
    pub(crate) policy_unsure: bool,
}

impl<'de> Fields<'de> for RawDocument<'de> {
    fields!(RawDocument, "a document (an object)", self, object, reader, {
        "format" => self.format = reader.text(object)?,
        "name" => self.name = reader.text(object)?,
        "annotations" => self.annotations = read_annotations(object, reader)?,
        "resources" => self.resources = reader.objects(object)?,
        "levels" => self.levels = reader.names(object)?,
        "domains" => self.domains = reader.name_lists(object)?,
        "nodes" => self.nodes = reader.objects(object)?,
        "vms" => self.vms = reader.objects(object)?,
        "rules" => self.rules = reader.objects(object)?,
        "policy" => self.policy = reader.object(object)?,
    });

    fn finish(&mut self, stated: Stated, reader: &mut Reader<'de>) {
        let broken = |field: &str| stated.is_broken::<Self>(field);
        match &self.format {
            None if !broken("format") => reader.missing("a document", "format"),
            Some(format) if format != FORMAT => reader.sink.add(
                "format",
                "unsupported_format",
                format!("this library reads \"{FORMAT}\", not {}", crate::document::error::quoted(format)),
            ),
            _ => {}
        }
        if self.resources.is_none() && !broken("resources") {
            reader.missing("a document", "resources");
        }
        if self.nodes.is_none() && !broken("nodes") {
            reader.missing("a document", "nodes");
        }
        self.kinds_unsure = broken("resources") || self.resources.is_none();
        self.levels_unsure = broken("levels");
        self.policy_unsure = broken("policy");
    }
}

/// A resource kind.
#[derive(Default)]
pub(crate) struct RawKind<'de> {
    pub(crate) name: Option<Text<'de>>,
    pub(crate) unit: Option<Text<'de>>,
    pub(crate) per_vm: Option<u64>,
    pub(crate) optional: Option<bool>,
}

impl<'de> Fields<'de> for RawKind<'de> {
    fields!(RawKind, "a resource kind (an object)", self, object, reader, {
        "name" => self.name = reader.name(object)?,
        "unit" => self.unit = reader.text(object)?,
        "per_vm" => self.per_vm = reader.whole(object)?,
        "optional" => self.optional = reader.flag(object)?,
    });

    fn finish(&mut self, stated: Stated, reader: &mut Reader<'de>) {
        if self.name.is_none() && !stated.is_broken::<Self>("name") {
            reader.missing("a resource kind", "name");
        }
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}
