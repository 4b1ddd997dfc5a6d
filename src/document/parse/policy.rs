//! The policy.
//!
//! Uses `read`. Used by `resolve`.

use super::rule::one_of;
use super::vm::read_priority;
use super::{fields, names_of};
use crate::cluster::Priority;
use crate::document::error::segment;
use crate::document::read::{Fields, Reader, Shape, Span, Stated, Value, next_key};
use crate::policy::{Mode, Preemption, Strategy, TierGate, Uncoverable};
use alloc::format;
use alloc::vec::Vec;
use core::marker::PhantomData;
use serde::de::MapAccess;

/// A policy as it stands.
#[derive(Default)]
pub(crate) struct RawPolicy<'de> {
    pub(crate) tolerate: Option<Vec<RawTolerance>>,
    pub(crate) reserves: Option<Vec<RawReserve>>,
    pub(crate) admission: Option<Mode>,
    pub(crate) uncoverable: Option<Uncoverable>,
    pub(crate) maintenance_uses_tolerance: Option<bool>,
    pub(crate) preemption: Option<Preemption>,
    pub(crate) strategy: Option<Strategy>,
    pub(crate) start: Option<RawStart>,
    pub(crate) strict: Option<bool>,
    pub(crate) budget: Option<RawBudget>,
    pub(crate) text: PhantomData<&'de str>,
}

impl<'de> Fields<'de> for RawPolicy<'de> {
    fields!(RawPolicy, "a policy (an object)", self, object, reader, {
        "tolerate" => self.tolerate = reader.objects(object)?,
        "reserves" => self.reserves = reader.objects(object)?,
        "admission" => self.admission = reader.choice(object, Mode::from_name, names_of!(Mode))?,
        "uncoverable" => self.uncoverable = reader.choice(object, Uncoverable::from_name, names_of!(Uncoverable))?,
        "maintenance_uses_tolerance" => self.maintenance_uses_tolerance = reader.flag(object)?,
        "preemption" => self.preemption = reader.choice(object, Preemption::from_name, names_of!(Preemption))?,
        "strategy" => self.strategy = reader.choice(object, Strategy::from_name, names_of!(Strategy))?,
        "start" => self.start = reader.object(object)?,
        "strict" => self.strict = reader.flag(object)?,
        "budget" => self.budget = reader.object(object)?,
    });
}

/// The order of starts.
#[derive(Default)]
pub(crate) struct RawStart {
    pub(crate) tier_gate: Option<TierGate>,
    pub(crate) tier_timeout_s: Option<u32>,
}

impl<'de> Fields<'de> for RawStart {
    fields!(RawStart, "the order of starts (an object)", self, object, reader, {
        "tier_gate" => self.tier_gate = reader.choice(object, TierGate::from_name, names_of!(TierGate))?,
        "tier_timeout_s" => self.tier_timeout_s = reader.count(object)?,
    });
}

/// Work budgets.
#[derive(Default)]
pub(crate) struct RawBudget {
    pub(crate) plan: Option<u64>,
    pub(crate) admit: Option<u64>,
    pub(crate) verify: Option<u64>,
}

impl<'de> Fields<'de> for RawBudget {
    fields!(RawBudget, "work budgets (an object)", self, object, reader, {
        "plan" => self.plan = reader.whole(object)?,
        "admit" => self.admit = reader.whole(object)?,
        "verify" => self.verify = reader.whole(object)?,
    });
}

/// A class of failures.
#[derive(Default)]
pub(crate) struct RawTolerance {
    pub(crate) fail: Option<Span>,
    pub(crate) min_priority: Option<Priority>,
    pub(crate) mode: Option<Mode>,
    pub(crate) order: Option<&'static str>,
}

/// The orders of losses that a class of failures can demand.
pub(crate) const ORDERS: [&str; 2] = ["at_once", "any_order"];

impl<'de> Fields<'de> for RawTolerance {
    fields!(RawTolerance, "a class of failures (an object)", self, object, reader, {
        "fail" => self.fail = reader.number_map(object, u64::from(u32::MAX))?,
        "min_priority" => self.min_priority = read_priority(object, reader)?,
        "mode" => self.mode = reader.choice(object, Mode::from_name, names_of!(Mode))?,
        "order" => self.order = reader.choice(object, |name| one_of(&ORDERS, name), ORDERS)?,
    });

    fn finish(&mut self, stated: Stated, reader: &mut Reader<'de>) {
        if self.fail.is_none() && !stated.is_broken::<Self>("fail") {
            reader.missing("a class of failures", "fail");
        }
    }
}

/// The kinds of reserves.
pub(crate) const RESERVES: [&str; 4] = ["percentage", "slots", "spare_nodes", "free"];

/// A reserve.
#[derive(Default)]
pub(crate) struct RawReserve {
    pub(crate) kind: Option<&'static str>,
    pub(crate) percent: Option<RawPercent>,
    pub(crate) failures: Option<u32>,
    pub(crate) floor: Option<Span>,
    pub(crate) size: Option<Span>,
    pub(crate) cap: Option<Span>,
    pub(crate) total: Option<Span>,
    pub(crate) one_node: Option<Span>,
    pub(crate) mode: Option<Mode>,
}

impl<'de> Fields<'de> for RawReserve {
    fields!(RawReserve, "a reserve (an object)", self, object, reader, {
        "kind" => self.kind = reader.choice(object, |name| one_of(&RESERVES, name), RESERVES)?,
        "percent" => self.percent = read_percent(object, reader)?,
        "failures" => self.failures = reader.count(object)?,
        "floor" => self.floor = reader.number_map(object, u64::MAX)?,
        "size" => self.size = reader.number_map(object, u64::MAX)?,
        "cap" => self.cap = reader.number_map(object, u64::MAX)?,
        "total" => self.total = reader.number_map(object, u64::MAX)?,
        "one_node" => self.one_node = reader.number_map(object, u64::MAX)?,
        "mode" => self.mode = reader.choice(object, Mode::from_name, names_of!(Mode))?,
    });

    fn finish(&mut self, stated: Stated, reader: &mut Reader<'de>) {
        let Some(kind) = self.kind else {
            if !stated.is_broken::<Self>("kind") {
                reader.missing("a reserve", "kind");
            }
            return;
        };
        let fields: [(&str, bool, &[&str]); 7] = [
            ("percent", self.percent.is_some(), &["percentage"]),
            ("failures", self.failures.is_some(), &["slots"]),
            ("floor", self.floor.is_some(), &["percentage", "slots"]),
            ("size", self.size.is_some(), &["slots"]),
            ("cap", self.cap.is_some(), &["slots"]),
            ("total", self.total.is_some(), &["free"]),
            ("one_node", self.one_node.is_some(), &["free"]),
        ];
        for (field, has, kinds) in fields {
            if has && !kinds.contains(&kind) {
                let kinds = kinds.join(", ");
                let message = format!("the field belongs to reserves of kind {kinds}, not \"{kind}\"");
                reader.sink.add(field, "field_of_other_kind", message);
            }
        }
        let lacks = |field: &str, has: bool| !has && !stated.is_broken::<Self>(field);
        if kind == "percentage" && lacks("percent", self.percent.is_some()) {
            reader.sink.add("", "missing_field", "a reserve of kind \"percentage\" needs the field \"percent\"");
        }
        if kind == "free" && lacks("total", self.total.is_some()) && lacks("one_node", self.one_node.is_some()) {
            reader.sink.add("", "missing_field", "a reserve of kind \"free\" needs \"total\" or \"one_node\"");
        }
    }
}

/// How much a percentage reserve keeps: numbers by kind, or what they are derived from.
pub(crate) struct RawPercent {
    /// Whether the largest nodes are meant rather than average ones; `None` if the numbers are given.
    pub(crate) auto: Option<bool>,
    pub(crate) failures: u32,
    pub(crate) given: Span,
}

const TOO_MUCH: &str = "at most 100 per cent can stay free";

struct Percents<'r, 'de>(&'r mut Reader<'de>);

impl<'de> Shape<'de> for Percents<'_, 'de> {
    type Out = Option<RawPercent>;

    fn other(self, value: Value<'de>) -> Option<RawPercent> {
        if !matches!(value, Value::Null) {
            self.0.mismatch("per cent by resource kind, or \"auto\" and \"failures\" (an object)", &value);
        }
        None
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Option<RawPercent>, A::Error> {
        let reader = self.0;
        let mut span = reader.begin_numbers();
        let (mut auto, mut failures) = (None, None);
        while let Some(name) = next_key(&mut object)? {
            let start = reader.sink.mark();
            let shown = segment(&name);
            let (key, twice) = reader.keys.note(name);
            let result = read_percent_entry(&mut object, reader, key, twice, &mut auto, &mut failures);
            if reader.sink.grew(start) {
                reader.sink.prefix(start, &shown);
            }
            result?;
        }
        reader.end_numbers(&mut span);
        if auto.is_some() {
            for (key, _) in reader.numbers_of(span).to_vec() {
                let field = segment(reader.keys.name(key));
                reader.sink.add(field, "unknown_field", "per cent are either derived (\"auto\") or given by kind");
            }
        } else if let Some(failures) = failures {
            // Without "auto" it is a resource kind.
            if failures > 100 {
                reader.sink.add("failures", "too_large", TOO_MUCH);
            }
            let (key, _) = reader.keys.note("failures".into());
            reader.numbers.push((key, u64::from(failures)));
            reader.end_numbers(&mut span);
        }
        Ok(Some(RawPercent { auto, failures: failures.unwrap_or(1), given: span }))
    }
}

fn read_percent_entry<'de, A: MapAccess<'de>>(
    object: &mut A,
    reader: &mut Reader<'de>,
    key: crate::document::read::Key,
    twice: bool,
    auto: &mut Option<bool>,
    failures: &mut Option<u32>,
) -> Result<(), A::Error> {
    if twice {
        object.next_value::<serde::de::IgnoredAny>()?;
        reader.sink.add("", "duplicate_key", "the key stands there twice");
        return Ok(());
    }
    match reader.keys.name(key) {
        "auto" => {
            let names = ["largest", "average"];
            *auto = reader.choice(object, |name| one_of(&names, name), names)?.map(|name| name == "largest");
        }
        "failures" => *failures = reader.count(object)?,
        _ => {
            if let Some(percent) = reader.count(object)? {
                if percent > 100 {
                    reader.sink.add("", "too_large", TOO_MUCH);
                }
                reader.numbers.push((key, u64::from(percent)));
            }
        }
    }
    Ok(())
}

fn read_percent<'de, A: MapAccess<'de>>(
    object: &mut A,
    reader: &mut Reader<'de>,
) -> Result<Option<RawPercent>, A::Error> {
    object.next_value_seed(Percents(reader).seed())
}
