//! The policy, in full.
//!
//! Uses `policy`. Used by `export`.

use super::{Each, Pairs, some, unless};
use crate::policy::{FailureClass, Percent, Policy, Reserve, StartPolicy, WorkBudget};
use alloc::string::String;
use serde::ser::{Serialize, SerializeMap, Serializer};

pub(super) struct PolicyForm<'a>(pub(super) &'a Policy);

impl Serialize for PolicyForm<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let policy = self.0;
        let mut map = output.serialize_map(None)?;
        map.serialize_entry("tolerate", &Each(|| policy.tolerate.iter().map(ToleranceForm)))?;
        map.serialize_entry("reserves", &Each(|| policy.reserves.iter().map(ReserveForm)))?;
        map.serialize_entry("admission", policy.admission.name())?;
        map.serialize_entry("uncoverable", policy.uncoverable.name())?;
        map.serialize_entry("maintenance_uses_tolerance", &policy.maintenance_uses_tolerance)?;
        map.serialize_entry("preemption", policy.preemption.name())?;
        map.serialize_entry("strategy", policy.strategy.name())?;
        map.serialize_entry("start", &StartForm(policy.start))?;
        map.serialize_entry("strict", &policy.strict)?;
        map.serialize_entry("budget", &BudgetForm(policy.budget))?;
        map.end()
    }
}

struct StartForm(StartPolicy);

impl Serialize for StartForm {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let mut map = output.serialize_map(None)?;
        map.serialize_entry("tier_gate", self.0.tier_gate.name())?;
        map.serialize_entry("tier_timeout_s", &self.0.tier_timeout_s)?;
        map.end()
    }
}

struct BudgetForm(WorkBudget);

impl Serialize for BudgetForm {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let mut map = output.serialize_map(None)?;
        map.serialize_entry("plan", &self.0.plan)?;
        map.serialize_entry("admit", &self.0.admit)?;
        map.serialize_entry("verify", &self.0.verify)?;
        map.end()
    }
}

struct ToleranceForm<'a>(&'a FailureClass);

impl Serialize for ToleranceForm<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let class = self.0;
        let mut map = output.serialize_map(None)?;
        map.serialize_entry("fail", &Pairs(&class.fail))?;
        some(&mut map, "min_priority", class.min_priority.map(|priority| priority.0))?;
        some(&mut map, "mode", class.mode.map(crate::policy::Mode::name))?;
        unless(&mut map, "order", "any_order", !class.any_order)?;
        map.end()
    }
}

struct ReserveForm<'a>(&'a Reserve);

impl Serialize for ReserveForm<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let mut map = output.serialize_map(None)?;
        let mode = match self.0 {
            Reserve::Percentage { percent, floor, mode } => {
                map.serialize_entry("kind", "percentage")?;
                map.serialize_entry("percent", &PercentForm(percent))?;
                amounts(&mut map, "floor", floor)?;
                mode
            }
            Reserve::Slots { failures, floor, size, cap, mode } => {
                map.serialize_entry("kind", "slots")?;
                map.serialize_entry("failures", failures)?;
                amounts(&mut map, "floor", floor)?;
                amounts(&mut map, "size", size)?;
                amounts(&mut map, "cap", cap)?;
                mode
            }
            Reserve::SpareNodes { mode } => {
                map.serialize_entry("kind", "spare_nodes")?;
                mode
            }
            Reserve::Free { total, one_node, mode } => {
                map.serialize_entry("kind", "free")?;
                // One of both must be stated, even if it asks for nothing.
                unless(&mut map, "total", Pairs(total), total.is_empty() && !one_node.is_empty())?;
                amounts(&mut map, "one_node", one_node)?;
                mode
            }
        };
        some(&mut map, "mode", mode.map(crate::policy::Mode::name))?;
        map.end()
    }
}

fn amounts<M: SerializeMap>(map: &mut M, name: &'static str, amounts: &[(String, u64)]) -> Result<(), M::Error> {
    unless(map, name, Pairs(amounts), amounts.is_empty())
}

struct PercentForm<'a>(&'a Percent);

impl Serialize for PercentForm<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Percent::Given(percents) => Pairs(percents).serialize(output),
            Percent::Auto { largest, failures } => {
                let mut map = output.serialize_map(None)?;
                map.serialize_entry("auto", if *largest { "largest" } else { "average" })?;
                map.serialize_entry("failures", failures)?;
                map.end()
            }
        }
    }
}
