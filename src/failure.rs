//! A failure: these nodes are lost.
//!
//! Uses `cluster`. Used by `restart` and, later, by the guarantee.

use crate::cluster::{Cluster, EditError, NODE_LEVEL};
use crate::ids::NodeId;
use alloc::string::String;
use alloc::vec::Vec;

/// Nodes that are lost, at once.
///
/// Naming an unreachable node confirms its death; naming one that has failed already changes nothing.
///
/// ```
/// # use lifeboat::{Cluster, Failure, Node, ResourceKinds};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, ["rack"])?;
/// let one = cluster.add_node(Node::named("one").domain("rack", "a"))?;
/// let two = cluster.add_node(Node::named("two").domain("rack", "a"))?;
/// assert_eq!(Failure::none().domain(&cluster, "rack", "a")?, Failure::of([two, one]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Failure {
    /// Sorted, each once.
    nodes: Vec<NodeId>,
}

/// Why a failure cannot be named.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FailureError {
    /// There is no such level.
    #[error("there is no level \"{level}\"")]
    UnknownLevel {
        /// The name given.
        level: String,
    },
    /// No node is in this domain.
    #[error("there is no domain \"{domain}\" at level \"{level}\"")]
    UnknownDomain {
        /// The level.
        level: String,
        /// The name given.
        domain: String,
    },
}

impl FailureError {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownLevel { .. } => "unknown_level",
            Self::UnknownDomain { .. } => "unknown_domain",
        }
    }
}

impl Failure {
    /// Nothing fails: what waits for a place is placed.
    #[must_use]
    pub const fn none() -> Self {
        Self { nodes: Vec::new() }
    }

    /// These nodes fail.
    #[must_use]
    pub fn of(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let mut nodes: Vec<NodeId> = nodes.into_iter().collect();
        nodes.sort_unstable();
        nodes.dedup();
        Self { nodes }
    }

    /// This node fails, too.
    #[must_use]
    pub fn node(self, node: NodeId) -> Self {
        Self::of(self.nodes.into_iter().chain([node]))
    }

    /// All nodes of a domain fail, too. At the level `node` a domain is a node; at any other, a node without a domain is
    /// one by itself, of its own name (unless a domain has that name).
    ///
    /// # Errors
    /// No such level or domain.
    pub fn domain(self, cluster: &Cluster, level: &str, domain: &str) -> Result<Self, FailureError> {
        if level != NODE_LEVEL && !cluster.levels().any(|known| known == level) {
            return Err(FailureError::UnknownLevel { level: level.into() });
        }
        let own = || {
            let node = cluster.node(cluster.node_id(domain)?).ok()?;
            node.domain(level).is_none().then(|| alloc::vec![node.id()])
        };
        let nodes = cluster
            .domain_nodes(level, domain)
            .or_else(own)
            .ok_or_else(|| FailureError::UnknownDomain { level: level.into(), domain: domain.into() })?;
        Ok(Self::of(self.nodes.into_iter().chain(nodes)))
    }

    /// The nodes that fail, each once, in the order of their ids.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// Whether a node is one of them.
    pub fn contains(&self, node: NodeId) -> bool {
        self.nodes.binary_search(&node).is_ok()
    }

    /// Refuses a failure that names a node which is not there.
    ///
    /// # Errors
    /// A stale id.
    pub fn validate(&self, cluster: &Cluster) -> Result<(), EditError> {
        self.nodes.iter().try_for_each(|node| cluster.node(*node).map(|_| ()))
    }
}
