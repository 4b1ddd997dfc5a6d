//! A node.
//!
//! Uses `read`. Used by `resolve`.

use super::annotations::read_annotations;
use super::{fields, names_of};
use crate::annotations::Annotations;
use crate::cluster::{NodeState, Role};
use crate::document::read::{Fields, Key, Reader, Span, Stated, Text};
use alloc::vec::Vec;

/// A node as it stands.
#[derive(Default)]
pub(crate) struct RawNode<'de> {
    pub(crate) name: Option<Text<'de>>,
    pub(crate) display: Option<Text<'de>>,
    pub(crate) capacity: Option<Span>,
    pub(crate) reserved: Option<Span>,
    pub(crate) overcommit: Option<Span>,
    pub(crate) failover_overcommit: Option<Span>,
    pub(crate) domain: Vec<(Key, Text<'de>)>,
    pub(crate) labels: Vec<Text<'de>>,
    pub(crate) role: Option<Role>,
    pub(crate) state: Option<NodeState>,
    pub(crate) start_limit: Option<u32>,
    pub(crate) annotations: Option<Annotations>,
    /// Whether something about it could not be read.
    pub(crate) broken: bool,
}

impl<'de> Fields<'de> for RawNode<'de> {
    fields!(RawNode, "a node (an object)", self, object, reader, {
        "name" => self.name = reader.name(object)?,
        "display" => self.display = reader.text(object)?,
        "capacity" => self.capacity = reader.number_map(object, u64::MAX)?,
        "reserved" => self.reserved = reader.number_map(object, u64::MAX)?,
        "overcommit" => self.overcommit = reader.number_map(object, u64::from(u32::MAX))?,
        "failover_overcommit" => self.failover_overcommit = reader.number_map(object, u64::from(u32::MAX))?,
        "domain" => self.domain = reader.name_map(object)?.unwrap_or_default(),
        "labels" => self.labels = reader.names(object)?.unwrap_or_default(),
        "role" => self.role = reader.choice(object, Role::from_name, names_of!(Role))?,
        "state" => self.state = reader.choice(object, NodeState::from_name, names_of!(NodeState))?,
        "start_limit" => self.start_limit = reader.count(object)?,
        "annotations" => self.annotations = read_annotations(object, reader)?,
    });

    fn finish(&mut self, stated: Stated, reader: &mut Reader<'de>) {
        if self.name.is_none() && !stated.is_broken::<Self>("name") {
            reader.missing("a node", "name");
        }
        if self.capacity.is_none() && !stated.is_broken::<Self>("capacity") {
            reader.missing("a node", "capacity");
        }
        self.broken = stated.any_broken() || self.name.is_none() || self.capacity.is_none();
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}
