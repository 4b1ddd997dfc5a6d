//! Nodes: names of kinds and domains, and what can be wrong with amounts.
//!
//! Uses `parse::node` and `cluster`. Used by `resolve`.

use super::{Resolver, duplicate};
use crate::cluster::{Cluster, EditError, Node};
use crate::dense::DenseId;
use crate::document::error::{join, quoted, segment};
use crate::document::parse::node::RawNode;
use crate::document::read::Text;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl<'de> Resolver<'de> {
    pub(super) fn add_nodes(&mut self, cluster: &mut Cluster, raw: Vec<RawNode<'de>>) {
        for (index, mut raw) in raw.into_iter().enumerate() {
            let start = self.reader.sink.mark();
            let Some(name) = raw.name.clone() else {
                let node = self.node(cluster, raw);
                self.count_lost(cluster, &node);
                self.place_errors(start, "nodes", index, None);
                continue;
            };
            let mut broken = core::mem::take(&mut raw.broken);
            let node = self.node(cluster, raw);
            let earlier = self.lost_nodes.get(&name).copied();
            if earlier.is_some() {
                duplicate(self.sink(), "node", &name, "nodes", earlier);
            }
            if !broken && !self.reader.sink.grew(start) {
                match cluster.add_node(node) {
                    Ok(_) => self.node_at.push(index),
                    Err(EditError::DuplicateName { .. }) => self.duplicate_node(cluster, &name),
                    Err(error) => self.sink().add(field_of(&error), error.code(), error.to_string()),
                }
            } else if cluster.node_id(&name).is_some() {
                self.duplicate_node(cluster, &name);
            } else if earlier.is_none() {
                self.count_lost(cluster, &node);
            }
            broken |= self.reader.sink.grew(start);
            self.place_errors(start, "nodes", index, Some(&name));
            if broken && cluster.node_id(&name).is_none() {
                self.lost_nodes.entry(name).or_insert(index);
            }
        }
    }

    /// Counts the amounts of a node with errors: a sum beyond what there can be is an error beside them.
    fn count_lost(&mut self, cluster: &mut Cluster, node: &Node) {
        if let Err(error @ EditError::Overflow { .. }) = cluster.count_lost_node(node) {
            self.sink().add(field_of(&error), error.code(), error.to_string());
        }
    }

    fn duplicate_node(&mut self, cluster: &Cluster, name: &str) {
        let at = cluster.node_id(name).and_then(|node| self.node_at.get(node.slot.index()).copied());
        duplicate(self.sink(), "node", name, "nodes", at);
    }

    /// The node as a cluster takes it, as far as it has no errors.
    pub(in crate::document) fn node(&mut self, cluster: &Cluster, raw: RawNode<'de>) -> Node {
        let mut node = Node::named(raw.name.unwrap_or_default());
        node.display = raw.display.map(Text::into_owned);
        if let Some(capacity) = raw.capacity {
            let (amounts, stated) = self.amounts(cluster, "capacity", capacity);
            node.capacity = amounts;
            if !raw.broken {
                self.stated.node(&node.name, stated);
            }
        }
        if let Some(reserved) = raw.reserved {
            node.reserved = self.amounts(cluster, "reserved", reserved).0;
        }
        if raw.capacity.is_some() {
            self.check_reserved(cluster, &node);
        }
        node.overcommit = self.percents(cluster, "overcommit", raw.overcommit);
        node.failover_overcommit = self.percents(cluster, "failover_overcommit", raw.failover_overcommit);
        for (key, domain) in raw.domain {
            let Some(level) = self.level_of_key(cluster, key, "domain") else { continue };
            self.check_declared(cluster, &level, &domain);
            node.domains.push((level, domain.into_owned()));
        }
        node.labels = raw.labels.into_iter().map(Text::into_owned).collect();
        node.role = raw.role.unwrap_or_default();
        node.state = raw.state.unwrap_or_default();
        node.start_limit = raw.start_limit;
        if raw.start_limit == Some(0) {
            let error = EditError::StartLimitZero;
            self.sink().add("start_limit", error.code(), error.to_string());
        }
        node.annotations = raw.annotations;
        node
    }

    fn check_reserved(&mut self, cluster: &Cluster, node: &Node) {
        for (kind, (capacity, reserved)) in cluster.kinds().iter().zip(node.capacity.iter().zip(node.reserved.iter())) {
            if reserved > capacity {
                let error = EditError::ReservedExceedsCapacity {
                    kind: kind.name.clone(),
                    reserved: *reserved,
                    capacity: *capacity,
                };
                self.sink().add(join("reserved", &segment(&kind.name)), error.code(), error.to_string());
            }
        }
    }

    fn check_declared(&mut self, cluster: &Cluster, level: &str, domain: &str) {
        let Some(found) = cluster.levels.find(level) else { return };
        if cluster.levels.is_declared(found) && cluster.levels.find_domain(found, domain).is_none() {
            let hint = self.reader.nearest.hint(domain, cluster.levels.domains(found).map(|(_, name, _)| name));
            let message = format!("{} is not one of the declared domains{hint}", quoted(domain));
            self.sink().add(join("domain", &segment(level)), "unknown_domain", message);
        }
    }

    fn percents(
        &mut self,
        cluster: &Cluster,
        field: &str,
        span: Option<crate::document::read::Span>,
    ) -> Vec<(usize, u32)> {
        let numbers = self.numbers(cluster, field, span);
        numbers.into_iter().map(|(kind, percent)| (kind, u32::try_from(percent).unwrap_or(u32::MAX))).collect()
    }
}

/// The field that the refusal of a node is about.
fn field_of(error: &EditError) -> String {
    let field = match error {
        EditError::Overflow { kind, .. } => return join("capacity", &segment(kind)),
        EditError::DuplicateName { .. } | EditError::EmptyName { what: "node" } => "name",
        EditError::ReservedExceedsCapacity { .. } => "reserved",
        EditError::StartLimitZero => "start_limit",
        EditError::UnknownLevel { .. } | EditError::UndeclaredDomain { .. } | EditError::TwoDomains { .. } => "domain",
        _ => "",
    };
    field.into()
}
