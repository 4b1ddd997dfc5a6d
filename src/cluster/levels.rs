//! Fault domains: named levels, the domains of each, and which nodes are in them.
//!
//! Uses `dense`, `ids`, `slab`. Used by `cluster`; the table of domains per node is read by every engine.
//!
//! Every node slot has a [`DomainKey`] at every level. A node without a domain at a level is a domain of its own
//! there: its key is its slot with the top bit set, so that keys compare without a special case. The last level is
//! `node`, where each node is its own domain. Levels need not nest, and nothing here assumes that they do.

use super::slab::Interner;
use crate::dense::{DenseId, IdVec, to_u32, to_usize};
use crate::ids::{DomainKey, LevelIx, NodeSlot};
use alloc::string::String;
use alloc::vec::Vec;

/// The most levels a cluster can have, `node` not counted.
pub const MAX_LEVELS: usize = 16;

/// The name of the implicit narrowest level.
pub const NODE_LEVEL: &str = "node";

/// Set in the key of a node that is a domain of its own.
const OWN: u32 = 1 << 31;

/// The key of a node that has no domain at a level.
pub(crate) const fn own_domain(node: NodeSlot) -> DomainKey {
    DomainKey(node.0 | OWN)
}

/// The node that is a domain of its own under this key.
pub(crate) const fn own_node(key: DomainKey) -> Option<NodeSlot> {
    if key.0 & OWN == 0 { None } else { Some(NodeSlot(key.0 & !OWN)) }
}

/// Nodes, each with the rank of its domain, and the domains by rank, with how many of the nodes each has.
pub(crate) struct Ranked {
    pub(crate) nodes: Vec<(u32, NodeSlot)>,
    pub(crate) domains: Vec<(DomainKey, u32)>,
}

/// The nodes of each level's domains.
#[derive(Clone, Debug)]
pub(crate) struct Levels {
    levels: Vec<Level>,
    /// Per level, the last one being `node`, the domain of every node slot.
    domain_of: IdVec<LevelIx, IdVec<NodeSlot, DomainKey>>,
}

#[derive(Clone, Debug)]
struct Level {
    name: String,
    domains: Interner<DomainKey, Vec<NodeSlot>>,
    /// Whether the level's names were listed: then there are no others.
    declared: bool,
}

impl Levels {
    pub(crate) fn new(names: Vec<String>) -> Self {
        let levels: Vec<Level> =
            names.into_iter().map(|name| Level { name, domains: Interner::new(), declared: false }).collect();
        let domain_of = (0..=levels.len()).map(|_| IdVec::new()).collect();
        Self { levels, domain_of }
    }

    /// The named levels, widest first, without `node`.
    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.levels.iter().map(|level| level.name.as_str())
    }

    pub(crate) fn node_level(&self) -> LevelIx {
        LevelIx::from_index(self.levels.len())
    }

    pub(crate) fn named_levels(&self) -> impl Iterator<Item = LevelIx> + use<> {
        (0..self.levels.len()).map(LevelIx::from_index)
    }

    /// The level of a name, `node` included.
    pub(crate) fn find(&self, name: &str) -> Option<LevelIx> {
        if name == NODE_LEVEL {
            return Some(self.node_level());
        }
        self.levels.iter().position(|level| level.name == name).map(LevelIx::from_index)
    }

    pub(crate) fn name(&self, level: LevelIx) -> &str {
        self.levels.get(level.index()).map_or(NODE_LEVEL, |level| &level.name)
    }

    pub(crate) fn is_declared(&self, level: LevelIx) -> bool {
        self.levels.get(level.index()).is_some_and(|level| level.declared)
    }

    /// Lists the names of a level's domains; from then on there are no others.
    pub(crate) fn declare(&mut self, level: LevelIx, names: &[String]) {
        let Some(level) = self.levels.get_mut(level.index()) else { return };
        level.declared = true;
        for name in names {
            level.domains.acquire(name);
        }
    }

    pub(crate) fn find_domain(&self, level: LevelIx, name: &str) -> Option<DomainKey> {
        self.levels.get(level.index())?.domains.get(name)
    }

    /// The domain's name, or nothing if the key is that of a node of its own or the level is `node`.
    pub(crate) fn domain_name(&self, level: LevelIx, key: DomainKey) -> Option<&str> {
        if own_node(key).is_some() {
            return None;
        }
        self.levels.get(level.index()).map(|level| level.domains.name(key))
    }

    /// The hash of the domain's name, where it has one.
    pub(crate) fn domain_name_key(&self, level: LevelIx, key: DomainKey) -> Option<u64> {
        if own_node(key).is_some() {
            return None;
        }
        self.levels.get(level.index()).map(|level| level.domains.key(key))
    }

    /// The nodes of a domain.
    pub(crate) fn nodes(&self, level: LevelIx, key: DomainKey) -> &[NodeSlot] {
        self.levels.get(level.index()).and_then(|level| level.domains.value(key)).map_or(&[], |nodes| nodes)
    }

    /// The named domains of a level with their nodes, in an order that depends on edits.
    pub(crate) fn domains(&self, level: LevelIx) -> impl Iterator<Item = (DomainKey, &str, &[NodeSlot])> {
        self.levels
            .get(level.index())
            .into_iter()
            .flat_map(|level| level.domains.iter().map(|(key, name, nodes)| (key, name, nodes.as_slice())))
    }

    /// Keeps a domain's name while a rule speaks of it.
    pub(crate) fn hold(&mut self, level: LevelIx, name: &str) {
        if let Some(level) = self.levels.get_mut(level.index()) {
            level.domains.acquire(name);
        }
    }

    /// The opposite of [`hold`](Self::hold).
    pub(crate) fn let_go(&mut self, level: LevelIx, name: &str) {
        if let Some(level) = self.levels.get_mut(level.index()) {
            if let Some(key) = level.domains.get(name) {
                level.domains.release(key);
            }
        }
    }

    /// Enters a node, with a domain at some levels.
    pub(crate) fn add_node(&mut self, node: NodeSlot, domains: &[(LevelIx, &str)]) {
        let node_level = self.node_level();
        for (level, table) in self.domain_of.ids().zip(self.domain_of.iter_mut()) {
            table.grow_to(node, &own_domain(NodeSlot(0)));
            table[node] = if level == node_level { DomainKey(node.0) } else { own_domain(node) };
        }
        for (level, name) in domains {
            let Some(entry) = self.levels.get_mut(level.index()) else { continue };
            let key = entry.domains.acquire(name);
            if let Some(nodes) = entry.domains.value_mut(key) {
                nodes.push(node);
            }
            self.domain_of[*level][node] = key;
        }
    }

    /// Takes a node out of its domains.
    pub(crate) fn remove_node(&mut self, node: NodeSlot) {
        for (level, table) in self.levels.iter_mut().zip(self.domain_of.iter_mut()) {
            let key = table[node];
            if own_node(key).is_some() {
                continue;
            }
            if let Some(nodes) = level.domains.value_mut(key) {
                nodes.retain(|member| *member != node);
            }
            level.domains.release(key);
            table[node] = own_domain(node);
        }
    }

    #[inline]
    pub(crate) fn domain(&self, level: LevelIx, node: NodeSlot) -> DomainKey {
        self.domain_of[level][node]
    }

    /// These nodes and their domains at a level, which are ranked as the nodes come to them.
    pub(crate) fn ranked(&self, level: LevelIx, nodes: impl Iterator<Item = NodeSlot>) -> Ranked {
        const NO_RANK: u32 = u32::MAX;
        let mut rank_of: IdVec<DomainKey, u32> = IdVec::new();
        let mut domains: Vec<(DomainKey, u32)> = Vec::new();
        let domain_of = &self.domain_of[level];
        let rank = |node: NodeSlot| {
            let domain = domain_of[node];
            if let Some((_, count)) = rank_of.lookup(domain).and_then(|rank| domains.get_mut(to_usize(*rank))) {
                *count = count.saturating_add(1);
                return (rank_of[domain], node);
            }
            let rank = to_u32(domains.len());
            domains.push((domain, 1));
            // A node that is a domain of its own comes once.
            if own_node(domain).is_none() {
                rank_of.grow_to(domain, &NO_RANK);
                rank_of[domain] = rank;
            }
            (rank, node)
        };
        let ranked = nodes.map(rank).collect();
        Ranked { nodes: ranked, domains }
    }

    /// Calls `visit` with every domain of a level that holds some of these nodes, each listed once, in the order of its
    /// first one, and with those nodes in order.
    pub(crate) fn each_among(
        &self,
        level: LevelIx,
        nodes: impl Iterator<Item = NodeSlot>,
        mut visit: impl FnMut(DomainKey, &[NodeSlot]),
    ) {
        let Ranked { nodes: ranked, domains } = self.ranked(level, nodes);
        // Where the next node of each domain goes.
        let mut next: Vec<u32> = Vec::with_capacity(domains.len());
        let mut sum = 0_u32;
        for (_, count) in &domains {
            next.push(sum);
            sum = sum.saturating_add(*count);
        }
        let mut placed: Vec<NodeSlot> = alloc::vec![NodeSlot(0); ranked.len()];
        for (rank, node) in ranked {
            let Some(next) = next.get_mut(to_usize(rank)) else { continue };
            if let Some(place) = placed.get_mut(to_usize(*next)) {
                *place = node;
            }
            *next = next.saturating_add(1);
        }
        let mut rest = placed.as_slice();
        for (domain, count) in domains {
            let (together, behind) = rest.split_at(to_usize(count).min(rest.len()));
            rest = behind;
            visit(domain, together);
        }
    }

    /// Per level the domain of every node slot.
    pub(crate) fn table(&self) -> &IdVec<LevelIx, IdVec<NodeSlot, DomainKey>> {
        &self.domain_of
    }
}
