//! The JSON document `lifeboat/1`: a cluster and its policy as text.
//!
//! Uses `cluster` and `policy`. Used by the example program and tests.
//!
//! ```
//! # #[cfg(feature = "json")] {
//! use lifeboat::Document;
//! let text = r#"{
//!     "format": "lifeboat/1",
//!     "resources": [{"name": "cpu", "unit": "MHz"}, {"name": "memory", "unit": "MiB"}],
//!     "nodes": [{"name": "esx-01", "capacity": {"cpu": 48000, "memory": 393216}}],
//!     "vms": [{"name": "db-1", "demand": {"cpu": 8000, "memroy": 32768}, "node": "esx-01"}]
//! }"#;
//! let errors = Document::from_json(text).unwrap_err();
//! assert_eq!(
//!     errors.to_string(),
//!     r#"vms[0] "db-1".demand.memroy: unknown resource kind, did you mean "memory"?"#
//! );
//! let document = Document::from_json(&text.replace("memroy", "memory"))?;
//! let (cluster, policy) = document.into_parts();
//! let again = lifeboat::document::to_json(&cluster, &policy);
//! # Document::from_json(&again)?;
//! # }
//! # Ok::<(), lifeboat::DocumentErrors>(())
//! ```
//!
//! # What is refused
//!
//! Unknown fields and keys that stand twice are errors: a constraint that is ignored would be a wrong yes. So are
//! unknown names, numbers that are not whole, negative or too large, and everything that [`Cluster`]'s edits refuse.
//! [`Document::from_json`] reports all errors at once, up to [`MAX_ERRORS`], each with a path and a stable code; only
//! an error of JSON syntax ends the reading (a number too large for a double, as `1e400`, is one to the JSON reader).
//! `null` stands for a field that is left out. Order means nothing: fields, nodes, VMs and rules can stand in any order
//! and name objects that stand further down. A byte order mark in front is passed over.
//!
//! A schema for editors and other tools is in `schema/lifeboat-1.schema.json`. It knows fields, types and limits; what
//! names mean only the library checks.
//!
//! # Fields and their defaults
//!
//! | document | form | if left out |
//! |---|---|---|
//! | `format` | `"lifeboat/1"` | required |
//! | `name` | string | none |
//! | `annotations` | any object: kept, never read; whole numbers beyond 64 bits become the nearest double | none |
//! | `resources` | list of kinds, 1 to 16 | required |
//! | `levels` | names of levels, widest first, at most 16; `node` is implicit | none |
//! | `domains` | per level the names that its domains can have | any name |
//! | `nodes` | list | required |
//! | `vms`, `rules` | lists | empty |
//! | `policy` | object | [`Policy::default`] |
//!
//! | resource kind | form | if left out |
//! |---|---|---|
//! | `name` | string, not empty | required |
//! | `unit` | string, for display | empty |
//! | `per_vm` | whole number, added to every demand, restart demand and reservation | 0 |
//! | `optional` | whether nodes and VMs may leave the kind out without a remark | `false` |
//!
//! Amounts are objects from kinds to whole numbers up to 2^64-1. So must be the sums over all nodes and all VMs; demands
//! count twice there, since a VM that migrates is on two nodes. A kind left out of a capacity, or of the demand of a
//! powered-on VM, is 0 there; unless it is optional that is a warning `kind_not_stated`, one per kind, and with
//! `strict` an error.
//!
//! | node | form | if left out |
//! |---|---|---|
//! | `name` | string, not empty, unique | required |
//! | `display` | a name for people | none |
//! | `capacity` | amounts | required |
//! | `reserved` | amounts, at most the capacity | 0 of each kind |
//! | `overcommit` | per cent by kind | 100 |
//! | `failover_overcommit` | per cent by kind, for restarts | as `overcommit` |
//! | `domain` | names by level | a domain of its own |
//! | `labels` | names | none |
//! | `role` | `general`, `spare` | `general` |
//! | `state` | `online`, `cordoned`, `maintenance`, `unreachable`, `failed` | `online` |
//! | `start_limit` | whole number from 1 on | no limit |
//! | `annotations` | any object | none |
//!
//! | VM | form | if left out |
//! |---|---|---|
//! | `name` | string, not empty, unique | required |
//! | `display` | a name for people | none |
//! | `demand` | amounts | required when on |
//! | `restart_demand` | amounts; kinds left out are as in `demand` | as `demand` |
//! | `reservation` | amounts; kinds left out are 0 | as `demand` |
//! | `node` | name of a node: where it runs or, off, last ran | none |
//! | `power` | `on`, `off` | `on` with a node, else `off` |
//! | `migrating_to` | name of another node, for a VM that is on and has a node | none |
//! | `priority` | `lowest` 500, `low` 1000, `medium` 2000, `high` 3000, `highest` 4000, or a whole number up to 2^32-1 | `medium` |
//! | `restart` | `protected`, `best_effort`, `never` | `protected` |
//! | `preemptible` | `true`, `false` | `true`; `false` for class `never` |
//! | `requires` | labels | none |
//! | `allowed_nodes` | names of nodes; an empty list means nowhere | any node |
//! | `migratable` | `true`, `false` | `true` |
//! | `migrate_requires` | labels | none |
//! | `groups` | names | none |
//! | `start_s` | whole seconds | not known |
//! | `starts_after` | list of prerequisites | none |
//! | `annotations` | any object | none |
//!
//! | prerequisite | form | if left out |
//! |---|---|---|
//! | `vm` | name of a VM | required |
//! | `until` | `started`, `ready` | `started` |
//! | `delay_s` | whole seconds | 0 |
//! | `timeout_s` | whole seconds | none: waits for ever |
//! | `on_timeout` | `continue`, `give_up` | `continue` |
//!
//! | rule | form | if left out |
//! |---|---|---|
//! | `name` | string, not empty, unique | required |
//! | `kind` | `separate`, `together`, `confine`, `exclude`, `spread`, `follow` | required |
//! | `vms`, `vm_groups` | names of members, and of groups of members; either can be empty | one of them, or `sides`, is required |
//! | `sides` (`separate`) | lists of names of VMs, instead of members | none |
//! | `level` (`separate`, `together`, `spread`) | name of a level | `node` |
//! | `max_per_domain` (`separate` without sides) | whole number from 1 on | 1 |
//! | `nodes`, `domains`, `labels` (`confine`, `exclude`) | names of nodes, names of domains by level, labels | one of them is required |
//! | `min_domains`, `max_skew` (`spread`) | whole numbers | one of them is required |
//! | `leader` (`follow`) | name of a VM | required |
//! | `strength` | `required`, `relaxed`, `preferred` | `required` |
//! | `weight` (`preferred`) | whole number | 1 |
//! | `annotations` | any object | none |
//!
//! A field that belongs to another kind of rule is an error. A group that no VM is in (`empty_group`) and a label that
//! no node carries (`unknown_label`) are warnings, so that a cluster whose group has emptied loads again.
//!
//! | policy | form | if left out |
//! |---|---|---|
//! | `tolerate` | list of failure classes; an empty list promises nothing | `[{"fail": {"node": 1}}]` |
//! | `reserves` | list of reserves | none |
//! | `admission` | `enforce`, `warn`, `off` | `enforce` |
//! | `uncoverable` | `fail`, `warn` | `fail` |
//! | `maintenance_uses_tolerance` | `true`, `false` | `false` |
//! | `preemption` | `never`, `best_effort`, `lower_priority` | `never` |
//! | `strategy` | `spread`, `pack` | `spread` |
//! | `start.tier_gate` | `none`, `started`, `ready` | `none` |
//! | `start.tier_timeout_s` | whole seconds | 600 |
//! | `strict` | whether a kind that is not stated is an error | `false` |
//! | `budget.plan`, `budget.admit`, `budget.verify` | node evaluations | 2 000 000, 2 000 000, 200 000 000 |
//!
//! | failure class | form | if left out |
//! |---|---|---|
//! | `fail` | whole numbers by level, `node` included | required |
//! | `min_priority` | as `priority` | all protected VMs |
//! | `mode` | `enforce`, `warn`, `off` | as `admission` |
//! | `order` | `at_once`, `any_order` | `at_once` |
//!
//! | reserve | fields | if left out |
//! |---|---|---|
//! | `percentage` | `percent`: whole per cent by kind up to 100, or `{"auto": "largest" or "average", "failures": 1}`; `floor`: amounts | `percent` is required; `failures` 1; no floor |
//! | `slots` | `failures`; `floor`, `size`, `cap`: amounts | 1; none |
//! | `spare_nodes` | | |
//! | `free` | `total`, `one_node`: amounts | one of them is required |
//! | each | `mode`: `enforce`, `warn`, `off` | as `admission` |
//!
//! In `percent`, `auto` is always the derived form: a kind of that name can be given no per cent there. `failures` is a
//! resource kind unless `auto` stands beside it.

mod error;
mod export;
mod nearest;
mod parse;
mod read;
mod resolve;
#[cfg(feature = "json")]
pub(crate) mod tree;

pub use error::{DocumentError, DocumentErrors, DocumentWarning, MAX_ERRORS};
pub use export::{Export, export};

#[cfg(feature = "json")]
pub(crate) use error::{join, quoted};
#[cfg(feature = "json")]
pub(crate) use nearest::Nearest;

use crate::cluster::{Cluster, Node, Rule, Vm};
use crate::policy::Policy;
use crate::resources::{Amounts, KindSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use parse::node::RawNode;
use parse::policy::RawPolicy;
use parse::root::RawDocument;
use parse::rule::RawRule;
use parse::vm::RawVm;
use read::{Fields, Object, Reader, Shape as _};
use resolve::Resolver;
use serde::de::{DeserializeSeed as _, Deserializer};

/// How a document is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Whether a kind that is not stated is an error. The document's `policy.strict` can demand this, too.
    pub strict: bool,
}

impl LoadOptions {
    /// Reads as the document's policy says.
    #[must_use]
    pub const fn new() -> Self {
        Self { strict: false }
    }

    /// Sets whether a kind that is not stated is an error.
    #[must_use]
    pub const fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }
}

/// A document that was read: a cluster, its policy, and what is odd about the text.
#[derive(Clone, Debug)]
pub struct Document {
    cluster: Cluster,
    policy: Policy,
    warnings: Vec<DocumentWarning>,
}

impl Document {
    /// Reads a document from JSON text.
    ///
    /// # Errors
    /// All errors of the document at once. An error of JSON syntax ends the reading: it comes last, with line and
    /// column in its message, after those found before it.
    #[cfg(feature = "json")]
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn from_json(text: &str) -> Result<Self, DocumentErrors> {
        Self::from_json_with(text, LoadOptions::new())
    }

    /// Reads a document from JSON text, with options.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    #[cfg(feature = "json")]
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    pub fn from_json_with(text: &str, options: LoadOptions) -> Result<Self, DocumentErrors> {
        let mut reader = Reader::default();
        let mut raw = RawDocument::default();
        let mut input = serde_json::Deserializer::from_str(without_mark(text));
        let read = Object { into: &mut raw, reader: &mut reader }.seed().deserialize(&mut input);
        let read = read.and_then(|is_object| input.end().map(|()| is_object));
        Self::resolve(reader, raw, read.map_err(|error| error.to_string()), options)
    }

    /// Reads a document from any self-describing form of it: a tree of JSON values, another text format.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_deserializer<'de, D: Deserializer<'de>>(
        input: D,
        options: LoadOptions,
    ) -> Result<Self, DocumentErrors> {
        let mut reader = Reader::default();
        let mut raw = RawDocument::default();
        let read = Object { into: &mut raw, reader: &mut reader }.seed().deserialize(input);
        Self::resolve(reader, raw, read.map_err(|error| error.to_string()), options)
    }

    fn resolve<'de>(
        mut reader: Reader<'de>,
        raw: RawDocument<'de>,
        read: Result<bool, String>,
        options: LoadOptions,
    ) -> Result<Self, DocumentErrors> {
        match read {
            Ok(true) => {}
            Ok(false) => return Err(reader.sink.finish()),
            Err(message) => {
                reader.sink.add_always("syntax", message);
                return Err(reader.sink.finish());
            }
        }
        let (sink, resolved) = Resolver::document(reader, raw, options.strict);
        match resolved {
            Some(resolved) if sink.is_empty() => {
                Ok(Self { cluster: resolved.cluster, policy: resolved.policy, warnings: resolved.warnings })
            }
            _ => Err(sink.finish()),
        }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The policy; the default one if the document has none.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What is odd about the text: kinds that are not stated, groups without VMs, labels that no node carries. What
    /// is odd about the cluster itself tells [`Cluster::warnings`].
    pub fn warnings(&self) -> &[DocumentWarning] {
        &self.warnings
    }

    /// The cluster and the policy, to keep.
    pub fn into_parts(self) -> (Cluster, Policy) {
        (self.cluster, self.policy)
    }
}

/// The text without the byte order mark that some editors put in front of it.
#[cfg(feature = "json")]
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// A cluster and its policy as JSON text, without white space. See [`export`].
#[cfg(feature = "json")]
#[cfg_attr(docsrs, doc(cfg(feature = "json")))]
pub fn to_json(cluster: &Cluster, policy: &Policy) -> String {
    // Keys are strings and writing to memory does not fail.
    serde_json::to_string(&export(cluster, policy)).unwrap_or_default()
}

/// A cluster and its policy as JSON text, for people. See [`export`].
#[cfg(feature = "json")]
#[cfg_attr(docsrs, doc(cfg(feature = "json")))]
pub fn to_json_pretty(cluster: &Cluster, policy: &Policy) -> String {
    serde_json::to_string_pretty(&export(cluster, policy)).unwrap_or_default()
}

/// Reads single objects, as they stand in a document, for a cluster that is there already.
///
/// The objects are described, not added: the cluster's edits do that. Names of other objects must be those of the
/// cluster; the object's own name may be taken already, so that it can describe a change.
#[derive(Clone, Copy, Debug)]
pub struct Objects<'c> {
    cluster: &'c Cluster,
    options: LoadOptions,
}

impl<'c> Objects<'c> {
    /// Objects for this cluster.
    pub const fn of(cluster: &'c Cluster) -> Self {
        Self { cluster, options: LoadOptions::new() }
    }

    /// Sets whether a kind that is not stated is an error.
    #[must_use]
    pub const fn strict(mut self, strict: bool) -> Self {
        self.options.strict = strict;
        self
    }

    /// A node.
    ///
    /// # Errors
    /// All errors of the object; paths begin with `node`.
    pub fn node<'de, D: Deserializer<'de>>(self, input: D) -> Result<Node, DocumentErrors> {
        self.read("node", input, |resolver, raw: RawNode<'de>| resolver.node(self.cluster, raw))
    }

    /// A VM, start edges included.
    ///
    /// # Errors
    /// All errors of the object; paths begin with `vm`.
    pub fn vm<'de, D: Deserializer<'de>>(self, input: D) -> Result<Vm, DocumentErrors> {
        self.read("vm", input, |resolver, mut raw: RawVm<'de>| {
            let edges = raw.rare.as_mut().map(|rare| core::mem::take(&mut rare.starts_after)).unwrap_or_default();
            let name = raw.name.take().unwrap_or_default();
            let mut vm = resolver.vm(self.cluster, raw, &name, None);
            vm.name = name.into_owned();
            vm.starts_after = resolver.edges(self.cluster, &edges).into_iter().map(|(_, edge)| edge).collect();
            vm
        })
    }

    /// A rule.
    ///
    /// # Errors
    /// All errors of the object; paths begin with `rule`.
    pub fn rule<'de, D: Deserializer<'de>>(self, input: D) -> Result<Rule, DocumentErrors> {
        let kindless = || Rule::new("", crate::cluster::RuleKind::Together { level: "node".into() });
        self.read("rule", input, |resolver, raw: RawRule<'de>| {
            resolver.rule(self.cluster, raw).unwrap_or_else(kindless)
        })
    }

    /// A policy.
    ///
    /// # Errors
    /// All errors of the policy; paths begin with `policy`.
    pub fn policy<'de, D: Deserializer<'de>>(self, input: D) -> Result<Policy, DocumentErrors> {
        self.read("policy", input, |resolver, raw: RawPolicy<'de>| resolver.policy(self.cluster, raw))
    }

    /// Amounts by kind, as `demand` has them; kinds left out are 0.
    ///
    /// # Errors
    /// All errors; paths begin with `amounts`.
    pub fn amounts<'de, D: Deserializer<'de>>(self, input: D) -> Result<Amounts, DocumentErrors> {
        self.stated_amounts(input).map(|(amounts, _)| amounts)
    }

    /// The same, with the kinds that are stated.
    ///
    /// # Errors
    /// As [`amounts`](Self::amounts).
    pub fn stated_amounts<'de, D: Deserializer<'de>>(self, input: D) -> Result<(Amounts, KindSet), DocumentErrors> {
        let mut reader = Reader::default();
        let start = reader.sink.mark();
        let span = reader.number_map_of(input, u64::MAX);
        if reader.sink.grew(start) {
            reader.sink.prefix(start, "amounts");
        }
        let span = match span {
            Ok(span) => span,
            Err(error) => {
                reader.sink.add_always("syntax", error.to_string());
                return Err(reader.sink.finish());
            }
        };
        let mut resolver = Resolver::within(self.cluster, reader);
        let amounts = span.map(|span| resolver.amounts(self.cluster, "amounts", span));
        if span.is_none() && resolver.reader.sink.is_empty() {
            resolver.reader.sink.add("amounts", "wrong_type", "expected an object of numbers by name, found null");
        }
        if resolver.reader.sink.is_empty() {
            Ok(amounts.unwrap_or((Amounts::zero(), KindSet::NONE)))
        } else {
            Err(resolver.reader.sink.finish())
        }
    }

    fn read<'de, D: Deserializer<'de>, R: Fields<'de> + Default, T>(
        self,
        part: &str,
        input: D,
        resolve: impl FnOnce(&mut Resolver<'de>, R) -> T,
    ) -> Result<T, DocumentErrors> {
        let mut reader = Reader::default();
        let mut raw = R::default();
        let start = reader.sink.mark();
        let read = Object { into: &mut raw, reader: &mut reader }.seed().deserialize(input);
        let name = raw.name().map(ToString::to_string);
        if let Err(error) = read {
            reader.sink.prefix(start, part);
            reader.sink.add_always("syntax", error.to_string());
            return Err(reader.sink.finish());
        }
        let mut resolver = Resolver::within(self.cluster, reader);
        let value = resolve(&mut resolver, raw);
        resolver.unstated_here(self.cluster, self.options.strict);
        let mut sink = resolver.reader.sink;
        if sink.is_empty() {
            return Ok(value);
        }
        sink.prefix(start, part);
        if let Some(name) = name {
            sink.name_object(start, &name);
        }
        Err(sink.finish())
    }
}
