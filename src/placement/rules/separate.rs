//! `Separate`: a domain that receives an item holds at most `limit` members, those that stay included.
//!
//! Uses the tallies of `placement::rules`, which alone uses it.

use super::{Scope, Tally, Traits};
use crate::ids::DomainKey;

/// Fewer items, fewer members in every domain: closed. At node level the members that stay on a node which does not
/// fail after all are on no target of the larger failure's plan: closed under restriction there.
pub(super) const TRAITS: Traits = Traits {
    scope: Scope::EachDomain,
    subset_closed: true,
    members_alike: true,
    restriction_closed_at_node_level: true,
};

pub(super) fn start(tally: &mut Tally, stay: &[(DomainKey, u32)]) {
    for &(domain, count) in stay {
        tally.add_stay(domain, 0, count, false);
    }
}

pub(super) fn allows(tally: &Tally, limit: u32, domain: DomainKey) -> bool {
    tally.total(domain, 0) < limit
}

pub(super) fn legal(tally: &Tally, limit: u32) -> bool {
    tally.entries.iter().all(|entry| entry.placed == 0 || entry.total() <= limit)
}
