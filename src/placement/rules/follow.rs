//! `Follow`: placed followers are on the node of the leader, if the leader is placed; free when it is not.
//!
//! Uses the tallies of `placement::rules`, which alone uses it. Side 0 is the leader, side 1 a follower; the tallies
//! count by node.

use super::{Scope, Tally, Traits};
use crate::ids::DomainKey;

/// Without the leader followers are free, without a follower nothing changes: closed. Under restriction not: the
/// leader may stay where the larger failure displaced it.
pub(super) const TRAITS: Traits = Traits {
    scope: Scope::AcrossDomains,
    subset_closed: true,
    members_alike: true,
    restriction_closed_at_node_level: false,
};

pub(super) fn allows(tally: &Tally, node: DomainKey, side: u32) -> bool {
    if side == 0 {
        // All followers placed so far are here.
        return tally.total(node, 1) == tally.placed;
    }
    tally.placed_side_0 == 0 || tally.total(node, 0) > 0
}

pub(super) fn legal(tally: &Tally) -> bool {
    tally
        .entries
        .iter()
        .find(|entry| entry.side == 0 && entry.placed > 0)
        .is_none_or(|leader| tally.total(leader.domain, 1) == tally.placed - tally.placed_side_0)
}
