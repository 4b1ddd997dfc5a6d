//! Why a failure cannot be survived, in words for the person who must act on it.
//!
//! Uses `cluster`, `guarantee::verdict`. Used by `guarantee::verify`.

use super::verdict::{PriceFamily, Pricing, Proof, Unit, describe_units, list};
use crate::cluster::{Cluster, VmRef};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

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
                            "{when} the displaced VMs{within} need {} {unit} of {name}, and {} are left: {} too few",
                            amount(needed),
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
                    format!(
                        "{when} the displaced VMs{within} need {needed} whole parts of {size} {unit} of {name} on single \
                         nodes, and {available} are left"
                    )
                }
                Pricing::Shape { shape } => {
                    let amounts: Vec<String> = cluster
                        .kinds()
                        .iter()
                        .zip(shape)
                        .filter(|(_, amount)| **amount > 0)
                        .map(|(kind, amount)| format!("{amount} {} of {}", kind.unit, kind.name))
                        .collect();
                    let amounts: Vec<&str> = amounts.iter().map(String::as_str).collect();
                    format!(
                        "{when} {needed} displaced VMs{within} need at least {} each, and there is room for \
                         {available} such",
                        list(&amounts)
                    )
                }
            }
        }
    }
}

/// " that can run only where VM 'x' can", for a restricted family.
fn within(cluster: &Cluster, family: &PriceFamily) -> String {
    let name = family.within.and_then(|vm| cluster.vm(vm).ok()).map(VmRef::name);
    name.map_or_else(String::new, |name| format!(" that can run only where VM '{name}' can"))
}
