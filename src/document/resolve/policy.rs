//! The policy: its levels and kinds.
//!
//! Uses `parse::policy` and `policy`. Used by `resolve`.

use super::Resolver;
use crate::cluster::Cluster;
use crate::document::error::{item, join, segment};
use crate::document::parse::policy::{RawPolicy, RawReserve, RawTolerance};
use crate::document::read::Span;
use crate::policy::{FailureClass, Percent, Policy, Reserve};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl<'de> Resolver<'de> {
    /// The policy, as far as it has no errors.
    pub(in crate::document) fn policy(&mut self, cluster: &Cluster, raw: RawPolicy<'de>) -> Policy {
        let mut policy = Policy::default();
        if let Some(tolerate) = raw.tolerate {
            policy.tolerate.clear();
            for (at, class) in tolerate.into_iter().enumerate() {
                let class = self.in_part(&item("tolerate", at), |this| this.tolerance(cluster, &class));
                policy.tolerate.push(class);
            }
        }
        for (at, reserve) in raw.reserves.into_iter().flatten().enumerate() {
            let reserve = self.in_part(&item("reserves", at), |this| this.reserve(cluster, &reserve));
            policy.reserves.extend(reserve);
        }
        policy.admission = raw.admission.unwrap_or(policy.admission);
        policy.uncoverable = raw.uncoverable.unwrap_or(policy.uncoverable);
        policy.maintenance_uses_tolerance = raw.maintenance_uses_tolerance.unwrap_or(policy.maintenance_uses_tolerance);
        policy.preemption = raw.preemption.unwrap_or(policy.preemption);
        policy.strategy = raw.strategy.unwrap_or(policy.strategy);
        if let Some(start) = raw.start {
            policy.start.tier_gate = start.tier_gate.unwrap_or(policy.start.tier_gate);
            policy.start.tier_timeout_s = start.tier_timeout_s.unwrap_or(policy.start.tier_timeout_s);
        }
        policy.strict = raw.strict.unwrap_or(policy.strict);
        if let Some(budget) = raw.budget {
            policy.budget.plan = budget.plan.unwrap_or(policy.budget.plan);
            policy.budget.admit = budget.admit.unwrap_or(policy.budget.admit);
            policy.budget.verify = budget.verify.unwrap_or(policy.budget.verify);
        }
        policy
    }

    fn tolerance(&mut self, cluster: &Cluster, raw: &RawTolerance) -> FailureClass {
        let mut class = FailureClass::nodes(0);
        class.fail.clear();
        for at in 0..raw.fail.map_or(0, Span::len) {
            let Some((key, count)) = raw.fail.and_then(|span| self.reader.number_at(span, at)) else { break };
            let level = self.reader.keys.name(key).to_string();
            if self.know_level(cluster, &level, join("fail", &segment(&level))) {
                class.fail.push((level, u32::try_from(count).unwrap_or(u32::MAX)));
            }
        }
        class.min_priority = raw.min_priority;
        class.mode = raw.mode;
        class.any_order = raw.order == Some("any_order");
        class
    }

    fn reserve(&mut self, cluster: &Cluster, raw: &RawReserve) -> Option<Reserve> {
        let mut by_kind = |field: &str, span: Option<Span>| -> Vec<(String, u64)> {
            let numbers = self.numbers(cluster, field, span);
            let named = |(kind, number)| cluster.kinds().get(kind).map(|kind| (kind.name.clone(), number));
            numbers.into_iter().filter_map(named).collect()
        };
        let (floor, size, cap) = (by_kind("floor", raw.floor), by_kind("size", raw.size), by_kind("cap", raw.cap));
        let (total, one_node) = (by_kind("total", raw.total), by_kind("one_node", raw.one_node));
        let percent = raw.percent.as_ref().map(|percent| {
            if let Some(largest) = percent.auto {
                return Percent::Auto { largest, failures: percent.failures };
            }
            let narrow = |(kind, percent): (String, u64)| (kind, u32::try_from(percent).unwrap_or(u32::MAX));
            Percent::Given(by_kind("percent", Some(percent.given)).into_iter().map(narrow).collect())
        });
        let mode = raw.mode;
        Some(match raw.kind? {
            "percentage" => Reserve::Percentage { percent: percent?, floor, mode },
            "slots" => Reserve::Slots { failures: raw.failures.unwrap_or(1), floor, size, cap, mode },
            "spare_nodes" => Reserve::SpareNodes { mode },
            "free" => Reserve::Free { total, one_node, mode },
            _ => return None,
        })
    }
}
