//! What a document means: names become ids, and the cluster is built.
//!
//! Uses `parse` and `cluster`. Used by `document`. One file per object.
//!
//! Two phases of names: nodes first, then VMs, then what speaks of VMs (start edges in one bulk edit, rules), then the
//! policy; so an object may name one that stands further down. An object with an error is not added, but stays known
//! by name, so that one error is not followed by others that it causes.

mod node;
mod policy;
mod rule;
mod starts;
mod stated;
mod vm;

use super::error::{DocumentWarning, Mark, Sink, item, join, quoted, segment};
use super::parse::root::{RawDocument, RawKind};
use super::read::{Key, Reader, Span, Text};
use crate::cluster::{Cluster, EditError, MAX_LEVELS, NODE_LEVEL, NodeRef, VmRef};
use crate::dense::{DenseId, to_usize};
use crate::ids::{NodeId, VmId};
use crate::policy::Policy;
use crate::resources::{Amounts, KindSet, MAX_KINDS, ResourceKind, ResourceKinds};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Objects that are not in the cluster because something is wrong with them: their positions by name.
type Lost<'de> = BTreeMap<Text<'de>, usize>;

/// What is known while names are resolved.
pub(super) struct Resolver<'de> {
    pub(super) reader: Reader<'de>,
    /// The kind that each key names.
    kind_of: Vec<Option<usize>>,
    kinds_unsure: bool,
    levels_unsure: bool,
    lost_nodes: Lost<'de>,
    lost_vms: Lost<'de>,
    /// The positions in the document of the nodes, VMs and rules added, by slot.
    node_at: Vec<usize>,
    vm_at: Vec<usize>,
    stated: stated::Stated,
}

/// A document that was read, with what is odd about it.
pub(super) struct Resolved {
    pub(super) cluster: Cluster,
    pub(super) policy: Policy,
    pub(super) warnings: Vec<DocumentWarning>,
}

impl<'de> Resolver<'de> {
    /// Resolves names of a cluster that is there already.
    pub(super) fn within(cluster: &Cluster, reader: Reader<'de>) -> Self {
        let mut resolver = Self::empty(reader);
        resolver.know_kinds(cluster);
        resolver
    }

    fn empty(reader: Reader<'de>) -> Self {
        Self {
            reader,
            kind_of: Vec::new(),
            kinds_unsure: false,
            levels_unsure: false,
            lost_nodes: Lost::default(),
            lost_vms: Lost::default(),
            node_at: Vec::new(),
            vm_at: Vec::new(),
            stated: stated::Stated::default(),
        }
    }

    fn know_kinds(&mut self, cluster: &Cluster) {
        let keys = &self.reader.keys;
        self.kind_of =
            (0..keys.len()).map(|key| cluster.kinds().position(keys.name(Key(crate::dense::to_u32(key))))).collect();
        self.stated = stated::Stated::new(cluster);
    }

    /// Builds the cluster. Errors are in the reader's sink; the result is worth something only if there are none.
    pub(super) fn document(reader: Reader<'de>, mut raw: RawDocument<'de>, strict: bool) -> (Sink, Option<Resolved>) {
        let mut this = Self::empty(reader);
        this.kinds_unsure = raw.kinds_unsure;
        this.levels_unsure = raw.levels_unsure;
        let kinds = this.kinds(raw.resources.take().unwrap_or_default());
        let levels = this.levels(raw.levels.take().unwrap_or_default());
        let cluster = kinds.and_then(|kinds| Cluster::new(kinds, levels).ok());
        let Some(mut cluster) = cluster else { return (this.reader.sink, None) };
        this.know_kinds(&cluster);
        cluster.set_name(raw.name.take().map(Text::into_owned));
        cluster.set_annotations(raw.annotations.take());
        this.domains(&mut cluster, raw.domains.take().unwrap_or_default());
        let strict = strict || raw.policy.as_ref().and_then(|policy| policy.strict).unwrap_or(false);

        let (nodes, vms) = (raw.nodes.take().unwrap_or_default(), raw.vms.take().unwrap_or_default());
        cluster.begin_bulk(nodes.len(), vms.len());
        this.add_nodes(&mut cluster, nodes);
        let (edges, labels) = this.add_vms(&mut cluster, vms);
        this.add_edges(&mut cluster, edges);
        let rules = raw.rules.take().unwrap_or_default();
        let mut warnings = this.label_warnings(&cluster, &labels, &rules);
        this.add_rules(&mut cluster, rules, &mut warnings);
        cluster.end_bulk();
        let policy = this.in_part("policy", |this| {
            raw.policy.take().map_or_else(Policy::default, |policy| this.policy(&cluster, policy))
        });
        let unstated = this.stated.warnings(&cluster);
        if strict {
            for warning in unstated {
                let before = this.reader.sink.mark();
                this.reader.sink.add(warning.path, warning.code, warning.message);
                this.reader.sink.name_object(before, warning.object.as_deref().unwrap_or_default());
            }
        } else {
            warnings.splice(0..0, unstated);
        }
        (this.reader.sink, Some(Resolved { cluster, policy, warnings }))
    }

    /// Puts a segment in front of the paths of what is recorded meanwhile.
    fn in_part<T>(&mut self, segment: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let start = self.reader.sink.mark();
        let result = work(self);
        if self.reader.sink.grew(start) {
            self.reader.sink.prefix(start, segment);
        }
        result
    }

    /// Records kinds that a single object leaves out, if that is an error.
    pub(super) fn unstated_here(&mut self, cluster: &Cluster, strict: bool) {
        if !strict {
            return;
        }
        for warning in self.stated.warnings(cluster) {
            let kind = warning.object.unwrap_or_default();
            let message = format!("the resource kind {} is not stated", quoted(&kind));
            self.sink().add("", "kind_not_stated", message);
        }
    }

    fn sink(&mut self) -> &mut Sink {
        &mut self.reader.sink
    }

    /// Names and places what was recorded about an object of a list.
    fn place_errors(&mut self, start: Mark, list: &str, index: usize, name: Option<&str>) {
        if self.reader.sink.grew(start) {
            self.reader.sink.prefix(start, &item(list, index));
            if let Some(name) = name {
                self.reader.sink.name_object(start, name);
            }
        }
    }

    fn kinds(&mut self, raw: Vec<RawKind<'de>>) -> Option<ResourceKinds> {
        let start = self.reader.sink.mark();
        if raw.is_empty() && !self.kinds_unsure {
            self.sink().add("", "no_resource_kinds", "a cluster needs at least one resource kind");
        }
        if raw.len() > MAX_KINDS {
            let message = format!("{} resource kinds are too many: at most {MAX_KINDS} are supported", raw.len());
            self.sink().add("", "too_many_resource_kinds", message);
        }
        let mut kinds: Vec<ResourceKind> = Vec::new();
        for (index, raw) in raw.into_iter().enumerate() {
            let Some(name) = raw.name else { continue };
            if kinds.iter().any(|kind| kind.name == *name) {
                let before = self.reader.sink.mark();
                self.sink().add(
                    format!("[{index}].name"),
                    "duplicate_name",
                    "there is another resource kind of this name",
                );
                self.sink().name_object(before, &name);
            } else if kinds.len() < MAX_KINDS {
                let mut kind = ResourceKind::new(name, raw.unit.unwrap_or_default());
                kind.per_vm = raw.per_vm.unwrap_or(0);
                kind.optional = raw.optional.unwrap_or(false);
                kinds.push(kind);
            }
        }
        if self.reader.sink.grew(start) {
            self.kinds_unsure = true;
            self.sink().prefix(start, "resources");
        }
        // Where no kind is known one stands in, so that the rest can be checked.
        ResourceKinds::from_kinds(kinds).or_else(|_| ResourceKinds::new([("amount", "")])).ok()
    }

    fn levels(&mut self, raw: Vec<Text<'de>>) -> Vec<String> {
        let start = self.reader.sink.mark();
        if raw.len() > MAX_LEVELS {
            let error = EditError::TooManyLevels { count: raw.len(), limit: MAX_LEVELS };
            self.sink().add("", error.code(), error.to_string());
        }
        let mut levels: Vec<String> = Vec::new();
        for (index, name) in raw.into_iter().enumerate() {
            let error = if name == NODE_LEVEL {
                EditError::NodeLevel
            } else if levels.iter().any(|level| *level == name) {
                EditError::DuplicateName { what: "level", name: name.into_owned() }
            } else {
                if levels.len() < MAX_LEVELS {
                    levels.push(name.into_owned());
                }
                continue;
            };
            self.sink().add(format!("[{index}]"), error.code(), error.to_string());
        }
        if self.reader.sink.grew(start) {
            self.levels_unsure = true;
            self.sink().prefix(start, "levels");
        }
        levels
    }

    fn domains(&mut self, cluster: &mut Cluster, raw: Vec<(Key, Vec<Text<'de>>)>) {
        self.in_part("domains", |this| {
            for (key, names) in raw {
                let Some(level) = this.level_of_key(cluster, key, "") else { continue };
                let path = segment(&level);
                let mut sorted: Vec<&str> = names.iter().map(|name| &**name).collect();
                sorted.sort_unstable();
                for pair in sorted.windows(2) {
                    if let [first, second] = pair {
                        if first == second {
                            let message = format!("{} is listed twice", quoted(first));
                            this.sink().add(path.clone(), "duplicate_name", message);
                        }
                    }
                }
                if let Err(error) = cluster.declare_domains(&level, names) {
                    this.sink().add(path, error.code(), error.to_string());
                }
            }
        });
    }

    /// The level that a key names, `node` excluded.
    fn level_of_key(&mut self, cluster: &Cluster, key: Key, field: &str) -> Option<String> {
        let name = self.reader.keys.name(key).to_string();
        let path = if field.is_empty() { segment(&name) } else { join(field, &segment(&name)) };
        if name == NODE_LEVEL {
            let error = EditError::NodeLevel;
            self.sink().add(path, error.code(), error.to_string());
            return None;
        }
        self.know_level(cluster, &name, path).then_some(name)
    }

    /// Whether there is such a level, `node` included; records if not.
    fn know_level(&mut self, cluster: &Cluster, name: &str, path: String) -> bool {
        let known = cluster.levels.find(name).is_some();
        if !known && !self.levels_unsure {
            let hint = self.reader.nearest.hint(name, cluster.levels().chain([NODE_LEVEL]));
            self.sink().add(path, "unknown_level", format!("there is no level {}{hint}", quoted(name)));
        }
        known
    }

    /// Amounts by kind, 0 of those that are left out; and the kinds that are stated.
    pub(super) fn amounts(&mut self, cluster: &Cluster, field: &str, span: Span) -> (Amounts, KindSet) {
        let mut row = [0_u64; MAX_KINDS];
        let mut stated = KindSet::NONE;
        for at in 0..span.len() {
            let Some((key, amount)) = self.reader.number_at(span, at) else { break };
            if let Some(kind) = self.kind_of(cluster, key, field) {
                if let Some(cell) = row.get_mut(kind) {
                    *cell = amount;
                }
                stated = stated.with(kind);
            }
        }
        (Amounts::from(row.get(..cluster.kinds().len()).unwrap_or_default()), stated)
    }

    /// Numbers by position of the kind.
    fn numbers(&mut self, cluster: &Cluster, field: &str, span: Option<Span>) -> Vec<(usize, u64)> {
        let mut numbers = Vec::new();
        let Some(span) = span else { return numbers };
        for at in 0..span.len() {
            let Some((key, number)) = self.reader.number_at(span, at) else { break };
            if let Some(kind) = self.kind_of(cluster, key, field) {
                numbers.push((kind, number));
            }
        }
        numbers
    }

    /// The kind that a key names.
    fn kind_of(&mut self, cluster: &Cluster, key: Key, field: &str) -> Option<usize> {
        let kind = self.kind_of.get(to_usize(key.0)).copied().flatten();
        if kind.is_none() && !self.kinds_unsure {
            let name = self.reader.keys.name(key);
            let hint = self.reader.nearest.hint(name, cluster.kinds().iter().map(|kind| kind.name.as_str()));
            let path = join(field, &segment(name));
            self.reader.sink.add(path, "unknown_kind", format!("unknown resource kind{hint}"));
        }
        kind
    }

    /// The node of a name; records if there is none, unless it is one that could not be added.
    fn find_node(&mut self, cluster: &Cluster, name: &str, path: impl FnOnce() -> String) -> Option<NodeId> {
        let found = cluster.node_id(name);
        if found.is_none() && !self.lost_nodes.contains_key(name) {
            let known = cluster.nodes().map(NodeRef::name).chain(self.lost_nodes.keys().map(|name| &**name));
            let hint = self.reader.nearest.hint(name, known);
            self.reader.sink.add(path(), "unknown_node", format!("there is no node {}{hint}", quoted(name)));
        }
        found
    }

    /// The VM of a name, likewise.
    fn find_vm(&mut self, cluster: &Cluster, name: &str, path: impl FnOnce() -> String) -> Option<VmId> {
        let found = cluster.vm_id(name);
        if found.is_none() && !self.lost_vms.contains_key(name) {
            let known = cluster.vms().map(VmRef::name).chain(self.lost_vms.keys().map(|name| &**name));
            let hint = self.reader.nearest.hint(name, known);
            self.reader.sink.add(path(), "unknown_vm", format!("there is no VM {}{hint}", quoted(name)));
        }
        found
    }

    fn vm_at(&self, vm: VmId) -> usize {
        self.vm_at.get(vm.slot.index()).copied().unwrap_or(usize::MAX)
    }
}

/// Records that a name is taken by an earlier object.
fn duplicate(sink: &mut Sink, what: &str, name: &str, list: &str, at: Option<usize>) {
    let place = at.map_or_else(String::new, |at| format!(", at {list}[{at}]"));
    sink.add("name", "duplicate_name", format!("there is another {what} named {}{place}", quoted(name)));
}
