//! A VM.
//!
//! Uses `read`. Used by `resolve`.

use super::annotations::read_annotations;
use super::{fields, names_of};
use crate::annotations::Annotations;
use crate::cluster::{OnTimeout, Power, Priority, RestartClass, Until};
use crate::document::read::{Fields, Reader, Scalar, Shape as _, Span, Stated, Text, Value};
use alloc::boxed::Box;
use alloc::vec::Vec;
use serde::de::MapAccess;

/// A VM as it stands. There are many of them, so what few have is put away.
#[derive(Default)]
pub(crate) struct RawVm<'de> {
    pub(crate) name: Option<Text<'de>>,
    pub(crate) demand: Option<Span>,
    pub(crate) node: Option<Text<'de>>,
    pub(crate) priority: Option<Priority>,
    pub(crate) power: Option<Power>,
    pub(crate) restart: Option<RestartClass>,
    pub(crate) preemptible: Option<bool>,
    pub(crate) migratable: Option<bool>,
    /// Whether something about it could not be read.
    pub(crate) broken: bool,
    pub(crate) rare: Option<Box<RareOfVm<'de>>>,
}

/// What most VMs have none of.
#[derive(Default)]
pub(crate) struct RareOfVm<'de> {
    pub(crate) display: Option<Text<'de>>,
    pub(crate) restart_demand: Option<Span>,
    pub(crate) reservation: Option<Span>,
    pub(crate) migrating_to: Option<Text<'de>>,
    pub(crate) requires: Vec<Text<'de>>,
    pub(crate) allowed_nodes: Option<Vec<Text<'de>>>,
    pub(crate) migrate_requires: Vec<Text<'de>>,
    pub(crate) groups: Vec<Text<'de>>,
    pub(crate) start_s: Option<u32>,
    pub(crate) starts_after: Vec<RawEdge<'de>>,
    pub(crate) annotations: Option<Annotations>,
}

impl<'de> RawVm<'de> {
    fn rare(&mut self) -> &mut RareOfVm<'de> {
        self.rare.get_or_insert_default()
    }
}

impl<'de> Fields<'de> for RawVm<'de> {
    fields!(RawVm, "a VM (an object)", self, object, reader, {
        "name" => self.name = reader.name(object)?,
        "display" => self.rare().display = reader.text(object)?,
        "demand" => self.demand = reader.number_map(object, u64::MAX)?,
        "restart_demand" => self.rare().restart_demand = reader.number_map(object, u64::MAX)?,
        "reservation" => self.rare().reservation = reader.number_map(object, u64::MAX)?,
        "node" => self.node = reader.name(object)?,
        "power" => self.power = reader.choice(object, Power::from_name, names_of!(Power))?,
        "migrating_to" => self.rare().migrating_to = reader.name(object)?,
        "priority" => self.priority = read_priority(object, reader)?,
        "restart" => self.restart = reader.choice(object, RestartClass::from_name, names_of!(RestartClass))?,
        "preemptible" => self.preemptible = reader.flag(object)?,
        "requires" => self.rare().requires = reader.names(object)?.unwrap_or_default(),
        "allowed_nodes" => self.rare().allowed_nodes = reader.names(object)?,
        "migratable" => self.migratable = reader.flag(object)?,
        "migrate_requires" => self.rare().migrate_requires = reader.names(object)?.unwrap_or_default(),
        "groups" => self.rare().groups = reader.names(object)?.unwrap_or_default(),
        "start_s" => self.rare().start_s = reader.count(object)?,
        "starts_after" => self.rare().starts_after = reader.objects(object)?.unwrap_or_default(),
        "annotations" => self.rare().annotations = read_annotations(object, reader)?,
    });

    fn finish(&mut self, stated: Stated, reader: &mut Reader<'de>) {
        if self.name.is_none() && !stated.is_broken::<Self>("name") {
            reader.missing("a VM", "name");
        }
        let on = self.power.map_or(self.node.is_some(), |power| power == Power::On);
        if on && self.demand.is_none() && !stated.is_broken::<Self>("demand") && !stated.is_broken::<Self>("power") {
            reader.sink.add("", "demand_missing", "a powered-on VM needs the field \"demand\"");
        }
        self.broken = stated.any_broken() || self.name.is_none() || (on && self.demand.is_none());
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// What a VM starts after.
#[derive(Default)]
pub(crate) struct RawEdge<'de> {
    pub(crate) vm: Option<Text<'de>>,
    pub(crate) until: Option<Until>,
    pub(crate) delay_s: Option<u32>,
    pub(crate) timeout_s: Option<u32>,
    pub(crate) on_timeout: Option<OnTimeout>,
}

impl<'de> Fields<'de> for RawEdge<'de> {
    fields!(RawEdge, "a prerequisite (an object)", self, object, reader, {
        "vm" => self.vm = reader.name(object)?,
        "until" => self.until = reader.choice(object, Until::from_name, names_of!(Until))?,
        "delay_s" => self.delay_s = reader.count(object)?,
        "timeout_s" => self.timeout_s = reader.count(object)?,
        "on_timeout" => self.on_timeout = reader.choice(object, OnTimeout::from_name, names_of!(OnTimeout))?,
    });

    fn finish(&mut self, stated: Stated, reader: &mut Reader<'de>) {
        if self.vm.is_none() && !stated.is_broken::<Self>("vm") {
            reader.missing("a prerequisite", "vm");
        }
    }
}

/// A priority by name or number, or nothing.
pub(crate) fn read_priority<'de, A: MapAccess<'de>>(
    object: &mut A,
    reader: &mut Reader<'de>,
) -> Result<Option<Priority>, A::Error> {
    let value = object.next_value_seed(Scalar.seed())?;
    if let Value::Text(name) = &value {
        let found = Priority::from_name(name);
        if found.is_none() {
            reader.no_such_choice(name, Priority::NAMED.iter().map(|(name, _)| *name));
        }
        return Ok(found);
    }
    if matches!(value, Value::Flag(_) | Value::List | Value::Object) {
        reader.mismatch("a priority (a name or a whole number)", &value);
        return Ok(None);
    }
    Ok(reader.take_whole(&value, u64::from(u32::MAX)).and_then(|whole| u32::try_from(whole).ok()).map(Priority))
}
