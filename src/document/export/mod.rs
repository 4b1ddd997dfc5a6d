//! Writing a cluster and its policy as a document.
//!
//! Uses the views of `cluster`, and `policy`. Used by `document`.
//!
//! Everything is written straight from the cluster, in a defined order; nothing is collected but names to sort.

mod objects;
mod policy;

use crate::annotations::{AnnotationValue, Annotations};
use crate::cluster::{Cluster, NodeRef, RuleRef, VmRef};
use crate::policy::Policy;
use crate::resources::{KindSet, ResourceKinds};
use alloc::vec::Vec;
use objects::{KindForm, NodeForm, RuleForm, VmForm};
use policy::PolicyForm;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// A cluster and its policy, to be serialised as a document. Made by [`export`].
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    cluster: &'a Cluster,
    policy: &'a Policy,
}

/// A cluster and its policy as a document that loads to the same cluster and policy.
///
/// The order is defined: fields in the order of the documentation, nodes, VMs and rules by name, kinds and levels as
/// declared, all other names sorted; start edges, the sides of a rule, and the lists of the policy as they are. Fields
/// that have their default value are left out, except that every resource kind is stated, every priority, and the
/// whole policy. A level is exported with its list of domains if the list was declared, or if a rule names a domain
/// that no node is in any more.
pub const fn export<'a>(cluster: &'a Cluster, policy: &'a Policy) -> Export<'a> {
    Export { cluster, policy }
}

impl Serialize for Export<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let cluster = self.cluster;
        let mut map = output.serialize_map(None)?;
        map.serialize_entry("format", crate::document::parse::root::FORMAT)?;
        some(&mut map, "name", cluster.name())?;
        some(&mut map, "annotations", cluster.annotations())?;
        map.serialize_entry("resources", &Each(|| cluster.kinds().iter().map(KindForm)))?;
        let levels: Vec<&str> = cluster.levels().collect();
        list(&mut map, "levels", &levels)?;
        let domains: Vec<(&str, Vec<&str>)> = levels
            .iter()
            .filter_map(|level| {
                let (names, declared) = cluster.domains(level)?;
                let empty = |name: &&str| cluster.domain_nodes(level, name).is_none_or(|nodes| nodes.is_empty());
                (declared || names.iter().any(empty)).then_some((*level, names))
            })
            .collect();
        if !domains.is_empty() {
            map.serialize_entry("domains", &Pairs(&domains))?;
        }
        let mut nodes: Vec<NodeRef<'_>> = cluster.nodes().collect();
        nodes.sort_unstable_by_key(|node| node.name());
        map.serialize_entry("nodes", &Each(|| nodes.iter().map(|node| NodeForm { cluster, node: *node })))?;
        let mut vms: Vec<VmRef<'_>> = cluster.vms().collect();
        vms.sort_unstable_by_key(|vm| vm.name());
        if !vms.is_empty() {
            map.serialize_entry("vms", &Each(|| vms.iter().map(|vm| VmForm { cluster, vm: *vm })))?;
        }
        let mut rules: Vec<RuleRef<'_>> = cluster.rules().collect();
        rules.sort_unstable_by_key(|rule| rule.name());
        if !rules.is_empty() {
            map.serialize_entry("rules", &Each(|| rules.iter().map(|rule| RuleForm { cluster, rule: *rule })))?;
        }
        map.serialize_entry("policy", &PolicyForm(self.policy))?;
        map.end()
    }
}

/// Writes a field that has a value.
fn some<M: SerializeMap, T: Serialize>(map: &mut M, name: &'static str, value: Option<T>) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(name, &value),
        None => Ok(()),
    }
}

/// Writes a list that is not empty.
fn list<M: SerializeMap, T: Serialize>(map: &mut M, name: &'static str, items: &[T]) -> Result<(), M::Error> {
    if items.is_empty() { Ok(()) } else { map.serialize_entry(name, items) }
}

/// Writes a field that differs from its default.
fn unless<M: SerializeMap, T: Serialize>(
    map: &mut M,
    name: &'static str,
    value: T,
    default: bool,
) -> Result<(), M::Error> {
    if default { Ok(()) } else { map.serialize_entry(name, &value) }
}

/// A list that is made while it is written.
struct Each<F>(F);

impl<I: Iterator<Item = T>, T: Serialize, F: Fn() -> I> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_seq((self.0)())
    }
}

/// Pairs as an object.
struct Pairs<'a, K, V>(&'a [(K, V)]);

impl<K: Serialize, V: Serialize> Serialize for Pairs<'_, K, V> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Amounts as an object, every kind stated.
struct Row<'a> {
    kinds: &'a ResourceKinds,
    amounts: &'a [u64],
    /// Taken from each amount: what the cluster has added.
    per_vm: bool,
    /// The kinds that are said.
    said: KindSet,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_map(
            self.kinds.iter().zip(self.amounts).enumerate().filter(|(at, _)| self.said.contains(*at)).map(
                |(_, (kind, amount))| {
                    (&kind.name, if self.per_vm { amount.saturating_sub(kind.per_vm) } else { *amount })
                },
            ),
        )
    }
}

impl Serialize for Annotations {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        Pairs(&self.fields).serialize(output)
    }
}

impl Serialize for AnnotationValue {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => output.serialize_unit(),
            Self::Bool(value) => output.serialize_bool(*value),
            Self::Negative(value) => output.serialize_i64(*value),
            Self::Whole(value) => output.serialize_u64(*value),
            Self::FloatBits(bits) => output.serialize_f64(f64::from_bits(*bits)),
            Self::Text(value) => output.serialize_str(value),
            Self::List(values) => {
                let mut list = output.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(value)?;
                }
                list.end()
            }
            Self::Object(fields) => fields.serialize(output),
        }
    }
}
