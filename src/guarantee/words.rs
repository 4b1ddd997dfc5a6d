//! Why a failure cannot be survived, in words for the person who must act on it.
//!
//! Uses `cluster`, `guarantee::verdict`, `restart` (a plan for the failure, its reasons and what would help). Used by
//! `guarantee::verify` and by callers.

use super::verdict::{Counterexample, PriceFamily, Pricing, Proof, Unit, describe_units, list};
use crate::cluster::{Cluster, RestartClass, VmRef};
use crate::policy::{FailureClass, Policy};
use crate::restart::{Help, Planner};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The most that the plan behind an explanation may take, in node evaluations.
const EXPLAIN_WORK: u64 = 200_000;

impl Counterexample {
    /// The message; and where no sum says why, which VM a plan for the failure leaves out, for what reasons, and what
    /// would help it: in the words of plans.
    ///
    /// `class` is the one that fails. Costs a restart plan of limited work and what [`Planner::help`] costs.
    #[must_use]
    pub fn explain(&self, cluster: &Cluster, policy: &Policy, class: &FailureClass) -> String {
        let mut text = String::from(self.message());
        if matches!(self.proof(), Proof::Prices { .. }) {
            return text;
        }
        let mut limited = policy.clone();
        limited.budget.plan = limited.budget.plan.min(EXPLAIN_WORK);
        let (mut planner, failure) = (Planner::new(), self.failure(cluster));
        let Ok(plan) = planner.restart(cluster, &limited, &failure) else { return text };
        let counts = |vm: VmRef<'_>| {
            let (restart, priority) = vm.effective();
            restart == RestartClass::Protected && class.min_priority.is_none_or(|least| priority >= least)
        };
        let covered = plan.unplaced().iter().find(|left| cluster.vm(left.vm).is_ok_and(counts));
        if let Some(left) = covered {
            let name = cluster.vm(left.vm).map_or("?", VmRef::name);
            let help: Vec<Help> = planner.help(cluster, &failure, &plan, left.vm).unwrap_or_default();
            let mut parts = alloc::vec![format!("{text}; a plan leaves out '{name}': {}", left.message)];
            parts.extend(help.iter().map(|help| help.message(cluster)));
            text = parts.join("; ");
        }
        text
    }
}

/// "after the loss of node n1 and node n2, 70000 MiB of memory are needed and 60000 are left".
pub(super) fn why_not(cluster: &Cluster, units: &[Unit], proof: &Proof) -> String {
    let when = if units.is_empty() {
        String::from("even without a failure")
    } else {
        format!("after the loss of {}", describe_units(units))
    };
    match proof {
        Proof::Search { .. } => format!("{when} not all protected VMs can be placed at once (found by search)"),
        Proof::Prices { family, needed, available } => {
            let within = within(cluster, family);
            let (needed, available) = (*needed, *available);
            let short = needed.saturating_sub(available);
            match &family.pricing {
                Pricing::Weighted { weights } => {
                    let kinds: Vec<(usize, &str, &str)> = cluster
                        .kinds()
                        .iter()
                        .enumerate()
                        .filter(|(kind, _)| weights.get(*kind).is_some_and(|weight| *weight > 0))
                        .map(|(kind, known)| (kind, known.name.as_str(), known.unit.as_str()))
                        .collect();
                    if let [(kind, name, unit)] = kinds.as_slice() {
                        let weight = u128::from(weights.get(*kind).copied().unwrap_or(1)).max(1);
                        let amount = |value: u128| value.checked_div(weight).unwrap_or(value);
                        format!(
                            "{when} the displaced VMs{within} need {}{} of {name}, and {} are left: {} too few",
                            amount(needed),
                            after_number(unit),
                            amount(available),
                            amount(short)
                        )
                    } else {
                        let names: Vec<&str> = kinds.iter().map(|(_, name, _)| *name).collect();
                        format!(
                            "{when} the displaced VMs{within} need more of {} taken together than is left ({needed} \
                             weighted units against {available})",
                            list(&names)
                        )
                    }
                }
                Pricing::Parts { kind, size } => {
                    let (name, unit) = cluster
                        .kinds()
                        .iter()
                        .nth(*kind)
                        .map_or(("?", ""), |known| (known.name.as_str(), known.unit.as_str()));
                    let unit = after_number(unit);
                    let parts = if needed == 1 { "part" } else { "parts" };
                    format!(
                        "{when} the displaced VMs{within} need {needed} whole {parts} of {size}{unit} of {name} on single \
                         nodes, and {available} are left"
                    )
                }
                Pricing::Shape { shape } => {
                    let amounts: Vec<String> = cluster
                        .kinds()
                        .iter()
                        .zip(shape)
                        .filter(|(_, amount)| **amount > 0)
                        .map(|(kind, amount)| format!("{amount}{} of {}", after_number(&kind.unit), kind.name))
                        .collect();
                    let amounts: Vec<&str> = amounts.iter().map(String::as_str).collect();
                    let (vms, each) = if needed == 1 { ("VM", "needs") } else { ("VMs", "need") };
                    let shape = list(&amounts);
                    let every = if needed == 1 { "" } else { " each" };
                    format!(
                        "{when} {needed} displaced {vms}{within} {each} at least {shape}{every}, and there is room for \
                         {available} such"
                    )
                }
            }
        }
    }
}

/// " GiB"; nothing for a kind without a unit.
fn after_number(unit: &str) -> String {
    if unit.is_empty() { String::new() } else { format!(" {unit}") }
}

/// " that can run only where VM 'x' can", for a restricted family.
fn within(cluster: &Cluster, family: &PriceFamily) -> String {
    let name = family.within.and_then(|vm| cluster.vm(vm).ok()).map(VmRef::name);
    name.map_or_else(String::new, |name| format!(" that can run only where VM '{name}' can"))
}
