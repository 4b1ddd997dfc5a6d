//! What may fail: a failure class resolved to units, and the sets of units that make its scenarios.
//!
//! Uses `cluster` and `policy`. Used by every part of `guarantee` but the checker.
//!
//! A *unit* is a domain of one of the class's levels: the nodes in it that can fail (online and cordoned ones; nodes in
//! maintenance and failed ones are absent, unreachable ones have failed already in every scenario). Units stand in an
//! order that depends on names alone. A *tier* is one level of the class with its count.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: counts of units and nodes are below 2^31; products of binomials are checked"
)]

use super::error::VerifyError;
use crate::cluster::node_set::NodeSet;
use crate::cluster::{Cluster, NodeState};
use crate::dense::{DenseId, IdVec, dense_id, to_u32, to_usize};
use crate::ids::{DomainKey, LevelIx, NodeSlot};
use crate::policy::{FailureClass, Policy};
use crate::room::RoomKey;
use alloc::string::String;
use alloc::vec::Vec;

dense_id! {
    /// A unit of any tier: tier by tier, each tier's in an order of names.
    pub(crate) struct UnitIx;
}

/// No unit: the node cannot fail.
pub(crate) const NO_UNIT: UnitIx = UnitIx(u32::MAX);

/// One level of a class.
#[derive(Clone, Debug)]
pub(crate) struct Tier {
    pub(crate) level: LevelIx,
    /// How many units may fail, at most as many as there are.
    pub(crate) count: u32,
    /// The tier's units: `first .. end`.
    pub(crate) first: u32,
    pub(crate) end: u32,
    /// The unit of every node slot, [`NO_UNIT`] for nodes that cannot fail.
    pub(crate) unit_of: IdVec<NodeSlot, UnitIx>,
}

impl Tier {
    pub(crate) fn units(&self) -> impl DoubleEndedIterator<Item = UnitIx> + ExactSizeIterator + use<> {
        (self.first..self.end).map(UnitIx)
    }

    pub(crate) const fn len(&self) -> u32 {
        self.end - self.first
    }

    pub(crate) const fn holds(&self, unit: UnitIx) -> bool {
        self.first <= unit.0 && unit.0 < self.end
    }
}

/// A failure class over the nodes of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Units {
    /// The levels that may lose at least one unit, widest first.
    pub(crate) tiers: Vec<Tier>,
    /// Per unit where its nodes begin in `nodes`; one more at the end.
    starts: IdVec<UnitIx, u32>,
    nodes: Vec<NodeSlot>,
    domains: IdVec<UnitIx, DomainKey>,
    /// The nodes that can fail.
    fallible: NodeSet,
}

impl Units {
    /// Resolves a class.
    pub(crate) fn new(cluster: &Cluster, policy: &Policy, class: &FailureClass) -> Result<Self, VerifyError> {
        let mut wanted: Vec<(LevelIx, u32)> = Vec::new();
        for (name, count) in &class.fail {
            let level = cluster.levels.find(name).ok_or_else(|| VerifyError::UnknownLevel { level: name.clone() })?;
            wanted.push((level, *count));
        }
        wanted.sort_unstable();
        // Spoken of twice, a level may lose the sum: no document says so, a caller might.
        wanted.dedup_by(|later, first| {
            let same = later.0 == first.0;
            first.1 = if same { first.1.saturating_add(later.1) } else { first.1 };
            same
        });
        if policy.maintenance_uses_tolerance {
            let taken = to_u32(cluster.nodes().filter(|node| node.state() == NodeState::Maintenance).count());
            for (_, count) in wanted.iter_mut().filter(|(level, _)| *level == cluster.levels.node_level()) {
                *count = count.saturating_sub(taken);
            }
        }
        let fallible = fallible(cluster);
        let mut units = Self {
            tiers: Vec::new(),
            starts: IdVec::new(),
            nodes: Vec::new(),
            domains: IdVec::new(),
            fallible: fallible.iter().copied().collect(),
        };
        for (level, count) in wanted {
            units.add_tier(cluster, &fallible, level, count);
        }
        units.starts.push(to_u32(units.nodes.len()));
        units.tiers.retain(|tier| tier.count > 0);
        Ok(units)
    }

    fn add_tier(&mut self, cluster: &Cluster, fallible: &[NodeSlot], level: LevelIx, count: u32) {
        let first = to_u32(self.domains.len());
        let mut unit_of = IdVec::filled(NO_UNIT, cluster.node_slots());
        if level == cluster.levels.node_level() {
            for node in fallible {
                self.starts.push(to_u32(self.nodes.len()));
                self.nodes.push(*node);
                unit_of[*node] = self.domains.push(cluster.levels.domain(level, *node));
            }
        } else {
            // Nodes are in order of their keys, so the first of each domain gives the domain its place.
            cluster.levels.each_among(level, fallible.iter().copied(), |domain, nodes| {
                self.starts.push(to_u32(self.nodes.len()));
                self.nodes.extend_from_slice(nodes);
                let unit = self.domains.push(domain);
                for node in nodes {
                    unit_of[*node] = unit;
                }
            });
        }
        let end = to_u32(self.domains.len());
        self.tiers.push(Tier { level, count: count.min(end - first), first, end, unit_of });
    }

    /// How many units there are in all tiers.
    pub(crate) fn len(&self) -> usize {
        self.domains.len()
    }

    /// How many units may fail together.
    pub(crate) fn losses(&self) -> u32 {
        self.tiers.iter().map(|tier| tier.count).fold(0, u32::saturating_add)
    }

    /// Whether a node can fail: it runs VMs now.
    #[inline]
    pub(crate) fn can_fail(&self, node: NodeSlot) -> bool {
        self.fallible.contains(node)
    }

    /// Whether one loss can take both of these nodes.
    pub(crate) fn share_one(&self, left: NodeSlot, right: NodeSlot) -> bool {
        let both = |tier: &Tier| tier.unit_of[left] == tier.unit_of[right] && tier.unit_of[left] != NO_UNIT;
        self.tiers.iter().any(both)
    }

    /// The nodes of a unit.
    #[inline]
    pub(crate) fn nodes(&self, unit: UnitIx) -> &[NodeSlot] {
        let start = to_usize(self.starts[unit]);
        let end = to_usize(self.starts[UnitIx(unit.0 + 1)]);
        self.nodes.get(start..end).unwrap_or_default()
    }

    /// The tier of a unit.
    pub(crate) fn tier_of(&self, unit: UnitIx) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.holds(unit))
    }

    /// The level's name and the unit's: that of the domain, or of the node that is one by itself.
    pub(crate) fn name(&self, cluster: &Cluster, unit: UnitIx) -> (String, String) {
        let Some(tier) = self.tier_of(unit) else { return (String::new(), String::new()) };
        let domain = cluster.levels.domain_name(tier.level, self.domains[unit]);
        let node = || self.nodes(unit).first().and_then(|node| cluster.node_record(*node)).map(|record| &*record.name);
        let name = domain.filter(|_| tier.level != cluster.levels.node_level()).or_else(node).unwrap_or_default();
        (cluster.levels.name(tier.level).into(), name.into())
    }

    /// The nodes of several units, by slot, each once.
    pub(crate) fn union(&self, units: &[UnitIx]) -> Vec<NodeSlot> {
        let mut nodes: Vec<NodeSlot> = units.iter().flat_map(|unit| self.nodes(*unit)).copied().collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// How many sets of the full size there are: as many units of every tier as may fail. Saturates.
    pub(crate) fn scenarios(&self) -> u128 {
        self.tiers.iter().map(|tier| binomial(tier.len(), tier.count)).fold(1, u128::saturating_mul)
    }

    /// How many sets up to that size there are, the empty one included. Saturates.
    pub(crate) fn sets(&self) -> u128 {
        let of_tier =
            |tier: &Tier| (0..=tier.count).map(|size| binomial(tier.len(), size)).fold(0, u128::saturating_add);
        self.tiers.iter().map(of_tier).fold(1, u128::saturating_mul)
    }

    /// Calls `visit` with every set of units that the class allows, smaller sets of one tier before larger ones, until
    /// it breaks off.
    pub(crate) fn each_set<B>(&self, visit: &mut impl FnMut(&[UnitIx]) -> Option<B>) -> Option<B> {
        let mut chosen = Vec::new();
        self.choose(0, &mut chosen, visit)
    }

    fn choose<B>(
        &self,
        tier: usize,
        chosen: &mut Vec<UnitIx>,
        visit: &mut impl FnMut(&[UnitIx]) -> Option<B>,
    ) -> Option<B> {
        let Some(current) = self.tiers.get(tier) else { return visit(chosen) };
        for size in 0..=current.count {
            let found = self.choose_units(tier, current.first, size, chosen, visit);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn choose_units<B>(
        &self,
        tier: usize,
        from: u32,
        left: u32,
        chosen: &mut Vec<UnitIx>,
        visit: &mut impl FnMut(&[UnitIx]) -> Option<B>,
    ) -> Option<B> {
        if left == 0 {
            return self.choose(tier + 1, chosen, visit);
        }
        let end = self.tiers.get(tier).map_or(0, |tier| tier.end);
        for unit in from..end {
            chosen.push(UnitIx(unit));
            let found = self.choose_units(tier, unit + 1, left - 1, chosen, visit);
            chosen.pop();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Units that explain why these nodes failed, if the class allows it: each node in one of them. `given` are units that
    /// failed before and count. Of several explanations one whose units have the fewest other nodes, as plans are made for
    /// the loss of whole units, and of those one of the fewest units.
    pub(crate) fn explain(&self, given: &[UnitIx], nodes: &[NodeSlot]) -> Option<Vec<UnitIx>> {
        let mut left: Vec<u32> = self.tiers.iter().map(|tier| tier.count).collect();
        for unit in given {
            let at = self.tiers.iter().position(|tier| tier.holds(*unit))?;
            let count = left.get_mut(at)?;
            *count = count.checked_sub(1)?;
        }
        let mut units = given.to_vec();
        let open: Vec<NodeSlot> = nodes.iter().copied().filter(|node| !self.covers(given, *node)).collect();
        let mut best = None;
        self.cover(&open, &mut left, &mut units, &mut best);
        best.map(|(_, units)| units)
    }

    fn covers(&self, units: &[UnitIx], node: NodeSlot) -> bool {
        self.tiers.iter().any(|tier| units.contains(&tier.unit_of[node]))
    }

    fn cover(
        &self,
        open: &[NodeSlot],
        left: &mut Vec<u32>,
        units: &mut Vec<UnitIx>,
        best: &mut Option<((usize, usize), Vec<UnitIx>)>,
    ) {
        let Some(node) = open.iter().find(|node| !self.covers(units, **node)) else {
            let size = (self.union(units).len(), units.len());
            if best.as_ref().is_none_or(|(least, _)| size < *least) {
                *best = Some((size, units.clone()));
            }
            return;
        };
        for (at, tier) in self.tiers.iter().enumerate().rev() {
            let unit = tier.unit_of[*node];
            let Some(count) = left.get(at).copied().filter(|count| *count > 0 && unit != NO_UNIT) else { continue };
            if let Some(entry) = left.get_mut(at) {
                *entry = count - 1;
            }
            units.push(unit);
            self.cover(open, left, units, best);
            units.pop();
            if let Some(entry) = left.get_mut(at) {
                *entry = count;
            }
        }
    }
}

/// How many units a level has, as far as a class of the policy could lose them.
pub(crate) fn unit_count(cluster: &Cluster, policy: &Policy, level: &str) -> Result<u32, VerifyError> {
    let all = Units::new(cluster, policy, &FailureClass::units(level, u32::MAX))?;
    Ok(all.losses())
}

/// The nodes that can fail, in an order of their names: those that take starts, as the room index has them, and the cordoned
/// ones among them.
fn fallible(cluster: &Cluster) -> Vec<NodeSlot> {
    let online = cluster.room_index().keyed();
    let others = cluster.down_nodes().len() + cluster.unreachable_nodes().len();
    if cluster.room_index().len() + others == cluster.node_count() {
        return online.map(|(_, node)| node).collect();
    }
    let record = |node: NodeSlot| cluster.node_record(node).filter(|record| record.state == NodeState::Cordoned);
    let slots = (0..cluster.node_slots()).map(NodeSlot::from_index);
    let mut cordoned: Vec<(RoomKey, NodeSlot)> =
        slots.filter_map(|node| record(node).map(|record| (record.key, node))).collect();
    cordoned.extend(online);
    cordoned.sort_unstable();
    cordoned.into_iter().map(|(_, node)| node).collect()
}

/// `n` over `k`, saturating.
fn binomial(n: u32, k: u32) -> u128 {
    let k = k.min(n.saturating_sub(k));
    let mut value: u128 = 1;
    for step in 0..k {
        let Some(product) = value.checked_mul(u128::from(n - step)) else { return u128::MAX };
        value = product / u128::from(step + 1);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Node;
    use crate::resources::ResourceKinds;

    #[test]
    fn counts_sets() {
        assert_eq!(binomial(10_000, 2), 49_995_000);
        assert_eq!(binomial(5, 5), 1);
        assert_eq!(binomial(u32::MAX, 60), u128::MAX);
    }

    #[test]
    fn explains_failed_nodes_by_the_units_that_fit_best() {
        let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), ["rack"]).unwrap();
        let nodes: Vec<_> = ["a1", "a2", "b1", "b2"]
            .map(|name| {
                cluster.add_node(Node::named(name).capacity([1]).domain("rack", name.split_at(1).0)).unwrap().slot
            })
            .into_iter()
            .collect();
        let mut class = FailureClass::nodes(1);
        class.fail.push(("rack".into(), 1));
        let units = Units::new(&cluster, &Policy::default(), &class).unwrap();
        assert_eq!((units.scenarios(), units.sets()), (8, 15));
        let mut seen = 0;
        assert_eq!(
            units.each_set(&mut |_| {
                seen += 1;
                None::<()>
            }),
            None
        );
        assert_eq!(seen, 15);
        let names = |set: &[NodeSlot]| {
            let found = units.explain(&[], set)?;
            Some(found.into_iter().map(|unit| units.name(&cluster, unit).1).collect::<Vec<_>>())
        };
        assert_eq!(names(&nodes[..1]), Some(alloc::vec!["a1".into()]));
        assert_eq!(names(&nodes[..3]), Some(alloc::vec!["a".into(), "b1".into()]));
        assert_eq!(names(&nodes), None);
    }
}
