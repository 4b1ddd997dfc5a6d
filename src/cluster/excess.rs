//! How far each rule is broken in the present state: each rule kind by its definition.
//!
//! Uses the stores of `cluster`. Used by `check` and by callers; 0 means that the rule is kept.

use super::rules::RuleBody;
use super::{Cluster, EditError, RuleRecord, Strength, own_node};
use crate::dense::to_usize;
use crate::ids::{DomainKey, LevelIx, NodeSlot, RuleId, RuleSlot, VmSlot};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The nodes that a VM counts on: its own, and the target of a migration.
pub(crate) type Places = SmallVec<[NodeSlot; 2]>;

/// A state that rules are measured in: the present one, or one that is being planned.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'s> {
    /// The nodes where a VM counts: none, one, or two while it migrates.
    pub(crate) places: &'s dyn Fn(VmSlot) -> Places,
    /// Whether a node takes VMs.
    pub(crate) takes: &'s dyn Fn(NodeSlot) -> bool,
}

/// What may still come to a state: members that are placed later.
#[derive(Clone, Copy)]
pub(crate) struct More<'m> {
    /// How many of the rule's members at most.
    pub(crate) most: u64,
    /// How many at least.
    pub(crate) must: u64,
    /// The domains of the rule's level that they can come to; empty for a rule without a level.
    pub(crate) domains: &'m BTreeSet<DomainKey>,
}

impl Cluster {
    /// How far a rule is broken by the VMs where they are now; 0 = it is kept. A migrating VM counts in both domains;
    /// VMs that are off or have no node that is up break nothing.
    ///
    /// Costs the number of members; for `spread` with `max_skew` the number of nodes times that of members at worst.
    ///
    /// # Errors
    /// A stale id.
    pub fn rule_excess(&self, rule: RuleId) -> Result<u64, EditError> {
        self.rule_slot(rule).map(|slot| self.excess(slot))
    }

    pub(crate) fn excess(&self, slot: RuleSlot) -> u64 {
        let takes = |node: NodeSlot| self.nodes.get(node).is_some_and(|record| record.state.accepts());
        self.excess_seen(slot, Seen { places: &|vm| self.places(vm), takes: &takes })
    }

    /// By how much a rule is broken in a state.
    pub(crate) fn excess_seen(&self, slot: RuleSlot, seen: Seen<'_>) -> u64 {
        let Some(rule) = self.rules.get(slot) else { return 0 };
        match &rule.body {
            RuleBody::Separate { level, max_per_domain } => {
                let most = u64::from(*max_per_domain);
                self.counts(&rule.members, *level, seen).values().map(|count| count.saturating_sub(most)).fold(0, add)
            }
            RuleBody::Sides { level, sides } => {
                let mut sides_in: BTreeMap<DomainKey, u64> = BTreeMap::new();
                for side in sides {
                    for domain in self.counts(side, *level, seen).into_keys() {
                        let sides = sides_in.entry(domain).or_default();
                        *sides = sides.saturating_add(1);
                    }
                }
                sides_in.values().map(|sides| sides.saturating_sub(1)).fold(0, add)
            }
            RuleBody::Together { level } => count(self.counts(&rule.members, *level, seen).len()).saturating_sub(1),
            RuleBody::Place { inside, nodes, .. } => {
                let wrong = |node: &NodeSlot| nodes.contains(*node) != *inside;
                count(rule.members.iter().filter(|vm| (seen.places)(**vm).iter().any(wrong)).count())
            }
            RuleBody::Spread { level, min_domains, max_skew } => {
                self.spread_excess(rule, *level, *min_domains, *max_skew, seen)
            }
            RuleBody::Follow { leader } => {
                let leader = (seen.places)(*leader);
                if leader.is_empty() {
                    return 0;
                }
                let away = |vm: &&VmSlot| (seen.places)(**vm).iter().any(|node| !leader.contains(node));
                count(rule.members.iter().filter(away).count())
            }
        }
    }

    /// A lower bound on by how much a rule is broken once more members have been placed, wherever they go. (Those that are
    /// placed by then stay where they are.)
    pub(crate) fn least_excess(&self, slot: RuleSlot, seen: Seen<'_>, more: &More<'_>) -> u64 {
        let now = self.excess_seen(slot, seen);
        let Some(rule) = self.rules.get(slot) else { return 0 };
        match &rule.body {
            // Each member more is one too many where there is no domain left with room for it.
            RuleBody::Separate { level, max_per_domain } => {
                let most = u64::from(*max_per_domain);
                let counts = self.counts(&rule.members, *level, seen);
                let room = |domain: &DomainKey| most.saturating_sub(counts.get(domain).copied().unwrap_or(0));
                add(now, more.must.saturating_sub(more.domains.iter().map(room).fold(0, add)))
            }
            // One member more never mends these.
            RuleBody::Sides { .. } | RuleBody::Together { .. } | RuleBody::Place { .. } | RuleBody::Follow { .. } => {
                now
            }
            // One member more lowers what is missing, and the skew, by one each at most. In the end there are no more
            // domains than those used now and those that can be.
            RuleBody::Spread { level, min_domains, .. } => {
                let counts = self.counts(&rule.members, *level, seen);
                let up = count(rule.members.iter().filter(|vm| !(seen.places)(**vm).is_empty()).count());
                let used = count(counts.keys().chain(more.domains).collect::<BTreeSet<_>>().len());
                let missing = u64::from(*min_domains).min(add(up, more.must)).saturating_sub(used);
                now.saturating_sub(more.most.saturating_mul(2)).max(missing)
            }
        }
    }

    /// The domains of a rule's level that these nodes are in; none for a rule without a level.
    pub(crate) fn rule_domains(&self, slot: RuleSlot, nodes: &[NodeSlot]) -> BTreeSet<DomainKey> {
        let level = self.rules.get(slot).and_then(|rule| match &rule.body {
            RuleBody::Separate { level, .. }
            | RuleBody::Sides { level, .. }
            | RuleBody::Together { level }
            | RuleBody::Spread { level, .. } => Some(*level),
            RuleBody::Place { .. } | RuleBody::Follow { .. } => None,
        });
        level.map_or_else(BTreeSet::new, |level| nodes.iter().map(|node| self.levels.domain(level, *node)).collect())
    }

    fn spread_excess(
        &self,
        rule: &RuleRecord,
        level: LevelIx,
        min_domains: u32,
        max_skew: Option<u32>,
        seen: Seen<'_>,
    ) -> u64 {
        let counts = self.counts(&rule.members, level, seen);
        let up = count(rule.members.iter().filter(|vm| !(seen.places)(**vm).is_empty()).count());
        let missing = u64::from(min_domains).min(up).saturating_sub(count(counts.len()));
        let Some(max_skew) = max_skew else { return missing };
        let (mut least, mut most) = (u64::MAX, 0);
        for domain in self.eligible_domains(rule, level, seen) {
            let here = counts.get(&domain).copied().unwrap_or(0);
            least = least.min(here);
            most = most.max(here);
        }
        add(missing, most.saturating_sub(least).saturating_sub(u64::from(max_skew)))
    }

    /// The domains that have an accepting node which suits one of the rule's powered-on members, whatever is free there.
    fn eligible_domains(&self, rule: &RuleRecord, level: LevelIx, seen: Seen<'_>) -> BTreeSet<DomainKey> {
        let mut domains = BTreeSet::new();
        for (node, _) in self.nodes.iter().filter(|(node, _)| (seen.takes)(*node)) {
            let domain = self.levels.domain(level, node);
            if domains.contains(&domain) {
                continue;
            }
            let takes = |vm: &VmSlot| self.vms.get(*vm).is_some_and(|vm| vm.on && self.suits(vm, node));
            if rule.members.iter().any(takes) {
                domains.insert(domain);
            }
        }
        domains
    }

    /// The nodes on which a VM counts: where it runs, and where it migrates to.
    pub(crate) fn places(&self, vm: VmSlot) -> Places {
        let runs = |node: &NodeSlot| self.nodes.get(*node).is_some_and(|node| node.state.runs_vms());
        let Some(record) = self.vms.get(vm).filter(|record| record.on) else { return Places::new() };
        let Some(node) = record.node.filter(runs) else { return Places::new() };
        [node].into_iter().chain(record.migrating_to.filter(runs)).collect()
    }

    /// How many of these VMs count in each domain of a level; domains without any are left out.
    fn counts(&self, vms: &[VmSlot], level: LevelIx, seen: Seen<'_>) -> BTreeMap<DomainKey, u64> {
        let mut counts: BTreeMap<DomainKey, u64> = BTreeMap::new();
        for vm in vms {
            let mut domains: SmallVec<[DomainKey; 2]> =
                (seen.places)(*vm).into_iter().map(|node| self.levels.domain(level, node)).collect();
            domains.dedup();
            for domain in domains {
                debug_assert!(own_node(domain).is_none_or(|node| to_usize(node.0) < self.nodes.slots()));
                let here = counts.entry(domain).or_default();
                *here = here.saturating_add(1);
            }
        }
        counts
    }
}

fn add(left: u64, right: u64) -> u64 {
    left.saturating_add(right)
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

impl Cluster {
    /// The required rules that are broken now, with their excess, by name.
    pub(super) fn broken_rules(&self) -> Vec<(&str, u64)> {
        let required = self.rules.iter().filter(|(_, rule)| rule.strength == Strength::Required);
        let mut broken: Vec<(&str, u64)> =
            required.map(|(slot, rule)| (&*rule.name, self.excess(slot))).filter(|(_, excess)| *excess > 0).collect();
        broken.sort_unstable();
        broken
    }
}
