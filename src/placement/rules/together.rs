//! `Together`: all placed items in one domain; if members stay, in a domain where one stays.
//!
//! Uses the tallies of `placement::rules`, which alone uses it.

use super::{Scope, Tally, Traits};
use crate::ids::DomainKey;

/// Fewer items are still in that domain: closed. A larger failure may displace the members that stay, and its plan
/// may then use another domain: not closed under restriction.
pub(super) const TRAITS: Traits = Traits {
    scope: Scope::AcrossDomains,
    subset_closed: true,
    members_alike: true,
    restriction_closed_at_node_level: false,
};

pub(super) fn start(tally: &mut Tally, stay: &[DomainKey]) {
    for &domain in stay {
        tally.add_stay(domain, 0, 1, false);
    }
}

pub(super) fn allows(tally: &Tally, stay: &[DomainKey], domain: DomainKey) -> bool {
    if tally.placed > 0 {
        return tally.find(domain, 0).is_some_and(|entry| entry.placed > 0);
    }
    stay.is_empty() || stay.binary_search(&domain).is_ok()
}

pub(super) fn legal(tally: &Tally, stay: &[DomainKey]) -> bool {
    let mut receiving = tally.entries.iter().filter(|entry| entry.placed > 0);
    let first = receiving.next();
    receiving.next().is_none() && first.is_none_or(|entry| stay.is_empty() || stay.binary_search(&entry.domain).is_ok())
}
