//! `Spread`: placed items end up on enough domains, and evenly.
//!
//! Uses the tallies of `placement::rules`, which alone uses it.
//!
//! The condition, with p items placed, s the smaller of the members that stay and of the domains they are in (one that
//! migrates is in two), D domains used in the end:
//! - D is at least min(`min_domains`, s + p): as many as wanted, or as many as there could be or are members;
//! - if `max_skew` is given, in every domain that received an item the count exceeds the least count over the
//!   `counting` domains by at most `max_skew` (with no counting domain there is nothing to exceed). Both counts are
//!   those at the end.

use super::{Scope, Tally, Traits};
use crate::dense::to_u32;
use crate::ids::DomainKey;

/// Not closed: the items that are left out may be those that made it even. With `max_skew` of at least 1 every legal
/// placement can be reached through legal ones, always filling the emptiest domain next, but not in every order; with
/// 0 not at all. So an engine that takes items in its own order checks at the end and prunes by `could_allow`.
pub(super) const TRAITS: Traits = Traits {
    scope: Scope::AcrossDomains,
    subset_closed: false,
    members_alike: true,
    restriction_closed_at_node_level: false,
};

/// The tally marks the counting domains.
pub(super) fn start(tally: &mut Tally, stay: &[(DomainKey, u32)], stay_members: u32, counting: &[DomainKey]) {
    for &(domain, count) in stay {
        tally.add_stay(domain, 0, count, counting.binary_search(&domain).is_ok());
    }
    tally.stay_domains = tally.stay_domains.min(stay_members);
}

/// The least count over the counting domains; `None` if there are none.
fn least(tally: &Tally, counting: &[DomainKey], received: Option<DomainKey>) -> Option<u32> {
    let newly_used =
        received.is_some_and(|domain| tally.total(domain, 0) == 0 && counting.binary_search(&domain).is_ok());
    if tally.used_marked + u32::from(newly_used) < to_u32(counting.len()) {
        return Some(0);
    }
    let one_more = |domain| u32::from(received == Some(domain));
    let listed = tally
        .entries
        .iter()
        .filter(|entry| entry.marked && entry.total() + one_more(entry.domain) > 0)
        .map(|entry| entry.total() + one_more(entry.domain))
        .min();
    // Every counting domain is used; one that has no entry yet holds the item received now.
    match (listed, newly_used) {
        (Some(count), false) => Some(count),
        (_, true) => Some(1),
        (None, false) => None,
    }
}

/// Whether the condition holds after one more item in `domain`.
pub(super) fn allows(
    tally: &Tally,
    min_domains: u32,
    max_skew: Option<u32>,
    counting: &[DomainKey],
    domain: DomainKey,
) -> bool {
    let used = tally.used_domains + u32::from(tally.total(domain, 0) == 0);
    if used < min_domains.min(tally.stay_domains + tally.placed + 1) {
        return false;
    }
    let Some(max_skew) = max_skew else { return true };
    let Some(least) = least(tally, counting, Some(domain)) else { return true };
    let bound = least.saturating_add(max_skew);
    tally.total(domain, 0) < bound
        && tally.entries.iter().all(|entry| entry.placed == 0 || entry.domain == domain || entry.total() <= bound)
}

/// Whether the condition could hold in the end with one more item in `domain`, `open` items (this one among them)
/// not being decided yet.
///
/// The other open items can each use at most one more domain, and together raise the total of the counting domains by
/// at most their number; the least count is at most what an even distribution of that total gives, and also at most
/// its present value plus the number of items to come. What exceeds even that is certain to stay so, because counts
/// never fall below a partial assignment. For the first condition: each further item raises D by at most one and the
/// right side by at most one too, so D only catches up with min(`min_domains`, s + p) where `min_domains` caps it.
pub(super) fn could_allow(
    tally: &Tally,
    min_domains: u32,
    max_skew: Option<u32>,
    counting: &[DomainKey],
    domain: DomainKey,
) -> bool {
    let used = tally.used_domains + u32::from(tally.total(domain, 0) == 0);
    let placed = tally.placed + 1;
    let to_come = tally.open.saturating_sub(1);
    // Let q of the open items be placed, each on a new domain: used + q >= min(min_domains, s + placed + q). For
    // used >= s + placed it holds at once; else it needs used + q >= min_domains, best with q = to_come.
    if used < tally.stay_domains + placed && used.saturating_add(to_come) < min_domains {
        return false;
    }
    let Some(max_skew) = max_skew else { return true };
    let Some(least) = least(tally, counting, Some(domain)) else { return true };
    let bound = least.saturating_add(to_come).saturating_add(max_skew);
    tally.total(domain, 0) < bound
        && tally.entries.iter().all(|entry| entry.placed == 0 || entry.domain == domain || entry.total() <= bound)
}

pub(super) fn legal(tally: &Tally, min_domains: u32, max_skew: Option<u32>, counting: &[DomainKey]) -> bool {
    if tally.used_domains < min_domains.min(tally.stay_domains + tally.placed) {
        return false;
    }
    let Some(max_skew) = max_skew else { return true };
    let Some(least) = least(tally, counting, None) else { return true };
    tally.entries.iter().all(|entry| entry.placed == 0 || entry.total() <= least.saturating_add(max_skew))
}
