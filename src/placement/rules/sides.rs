//! `Sides`: a domain that receives an item holds members of one side only, those that stay included.
//!
//! Uses the tallies of `placement::rules`, which alone uses it.

use super::{Scope, Tally, Traits};
use crate::ids::DomainKey;

/// Fewer items, fewer sides in every domain: closed; under restriction as for `separate`.
pub(super) const TRAITS: Traits = Traits {
    scope: Scope::EachDomain,
    subset_closed: true,
    members_alike: true,
    restriction_closed_at_node_level: true,
};

/// `stay` names every side that stays in a domain.
pub(super) fn start(tally: &mut Tally, stay: &[(DomainKey, u32)]) {
    for &(domain, side) in stay {
        tally.add_stay(domain, side, 1, false);
    }
}

pub(super) fn allows(tally: &Tally, domain: DomainKey, side: u32) -> bool {
    let from = tally.entries.partition_point(|entry| entry.domain < domain);
    tally
        .entries
        .get(from..)
        .unwrap_or_default()
        .iter()
        .take_while(|entry| entry.domain == domain)
        .all(|entry| entry.side == side || entry.total() == 0)
}

pub(super) fn legal(tally: &Tally) -> bool {
    tally.entries.iter().all(|entry| entry.placed == 0 || allows(tally, entry.domain, entry.side))
}
