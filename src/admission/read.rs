//! Transactions as text: a line of a changes file, to operations.
//!
//! Uses `document` (single objects, errors), `cluster`, `admission::change`. Used by the example program and embedders.
//!
//! Names are resolved operation by operation, each against the cluster as those before it leave it, so that a transaction
//! can start what it adds. All errors of the line are reported, each with its path: `[2].vm.demand.memroy`.

use super::change::Change;
use crate::cluster::{Cluster, Node, NodeRef, NodeState, RuleRef, Vm, VmRef};
use crate::document::tree::Tree;
use crate::document::{DocumentError, DocumentErrors, Nearest, Objects, join, quoted};
use crate::ids::{NodeId, RuleId, VmId};
use crate::policy::Policy;
use crate::resources::{Amounts, KindSet};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The operations, each with the fields that it can have besides `op`; the first is required.
const OPERATIONS: [(&str, &[&str]); 17] = [
    ("start", &["vm", "on"]),
    ("add_vm", &["vm"]),
    ("update_vm", &["vm"]),
    ("remove_vm", &["vm"]),
    ("stop", &["vm"]),
    ("resize", &["vm", "demand"]),
    ("migrate", &["vm", "to"]),
    ("migrate_done", &["vm"]),
    ("migrate_aborted", &["vm"]),
    ("add_node", &["node"]),
    ("update_node", &["node"]),
    ("remove_node", &["node"]),
    ("set_state", &["node", "state"]),
    ("add_rule", &["rule"]),
    ("update_rule", &["rule"]),
    ("remove_rule", &["rule"]),
    ("set_policy", &["policy"]),
];

/// Reads a transaction: an operation, or a list of them, as JSON text.
///
/// `resize` states kinds of the demand: those left out stay as they are.
///
/// `update_vm`, `update_node` and `update_rule` describe the object anew, as a whole, under the name that it has; but a VM
/// of which neither `power` nor `node` nor `migrating_to` is stated stays where and as it is, and a node whose `state` is
/// not stated stays in its state.
///
/// # Errors
/// All errors of the text at once, with their paths.
///
/// ```
/// use lifeboat::{Change, Document, read_changes};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (cluster, policy) = Document::from_json(r#"{"format": "lifeboat/1", "resources": [{"name": "memory"}],
///     "nodes": [{"name": "n1", "capacity": {"memory": 8}}], "vms": [{"name": "db", "demand": {"memory": 2}}]}"#)?
///     .into_parts();
/// let changes = read_changes(&cluster, &policy, r#"{"op": "start", "vm": "db", "on": "n1"}"#)?;
/// assert_eq!(changes[0].op(), "start");
/// let errors = read_changes(&cluster, &policy, r#"{"op": "stat", "vm": "db"}"#).unwrap_err();
/// assert_eq!(errors.to_string(), r#"op: there is no operation "stat", did you mean "start"?"#);
/// # Ok(())
/// # }
/// ```
pub fn read_changes(cluster: &Cluster, policy: &Policy, text: &str) -> Result<Vec<Change>, DocumentErrors> {
    let tree: Tree = match serde_json::from_str(crate::document::without_mark(text)) {
        Ok(tree) => tree,
        Err(error) => return Err(DocumentErrors::of(Vec::from([error_at("", "syntax", error.to_string())]))),
    };
    let (list, whole) = match tree {
        Tree::List(list) => (list, false),
        one => (Vec::from([one]), true),
    };
    let mut reader = Reader {
        cluster: Cow::Borrowed(cluster),
        policy: policy.clone(),
        nearest: Nearest::default(),
        errors: Vec::new(),
    };
    let count = list.len();
    let mut changes = Vec::with_capacity(count);
    for (at, operation) in list.into_iter().enumerate() {
        let before = reader.errors.len();
        if let Some(change) = reader.operation(operation) {
            if at.saturating_add(1) < count {
                // What cannot be done is the guard's to say.
                let _ = change.apply(reader.cluster.to_mut(), &mut reader.policy);
            }
            changes.push(change);
        }
        if !whole {
            let place = format!("[{at}]");
            for error in reader.errors.iter_mut().skip(before) {
                error.path = join(&place, &error.path);
            }
        }
    }
    if reader.errors.is_empty() { Ok(changes) } else { Err(DocumentErrors::of(reader.errors)) }
}

fn error_at(path: &str, code: &'static str, message: String) -> DocumentError {
    DocumentError { path: path.to_string(), object: None, code, message }
}

struct Reader<'c> {
    cluster: Cow<'c, Cluster>,
    policy: Policy,
    nearest: Nearest,
    errors: Vec<DocumentError>,
}

/// The fields of an operation.
struct FieldsOf(Vec<(String, Tree)>);

impl FieldsOf {
    fn take(&mut self, name: &str) -> Option<Tree> {
        let at = self.0.iter().position(|(key, _)| key == name)?;
        let (_, value) = self.0.swap_remove(at);
        (!matches!(value, Tree::Null)).then_some(value)
    }

    /// Whether an object in a field states one of some fields.
    fn states(&self, object: &str, fields: &[&str]) -> bool {
        let stated = |tree: &Tree| match tree {
            Tree::Object(inner) => {
                inner.iter().any(|(key, value)| fields.contains(&key.as_str()) && !matches!(value, Tree::Null))
            }
            _ => false,
        };
        self.0.iter().any(|(key, value)| key == object && stated(value))
    }
}

impl Reader<'_> {
    fn add(&mut self, path: &str, code: &'static str, message: String) {
        self.errors.push(error_at(path, code, message));
    }

    fn operation(&mut self, tree: Tree) -> Option<Change> {
        let Tree::Object(fields) = tree else {
            self.add("", "wrong_type", format!("expected an operation, an object with \"op\", found {}", tree.form()));
            return None;
        };
        let before = self.errors.len();
        for (at, (key, _)) in fields.iter().enumerate() {
            if fields.iter().take(at).any(|(other, _)| other == key) {
                self.add(key, "duplicate_key", String::from("the field stands there twice"));
            }
        }
        let mut fields = FieldsOf(fields);
        let name = match fields.take("op") {
            Some(Tree::Text(name)) => name,
            Some(other) => {
                self.add("op", "wrong_type", format!("expected a string, found {}", other.form()));
                return None;
            }
            None => {
                self.add("op", "missing", String::from("an operation needs \"op\""));
                return None;
            }
        };
        let Some((op, known)) = OPERATIONS.iter().find(|(op, _)| *op == name) else {
            let hint = self.nearest.hint(&name, OPERATIONS.iter().map(|(op, _)| *op));
            self.add("op", "unknown_operation", format!("there is no operation {}{hint}", quoted(&name)));
            return None;
        };
        for (key, _) in &fields.0 {
            if !known.contains(&key.as_str()) {
                let hint = self.nearest.hint(key, known.iter().copied());
                let message = format!("unknown field of operation \"{op}\"{hint}");
                self.errors.push(error_at(key, "unknown_field", message));
            }
        }
        let change = self.change(op, &mut fields);
        change.filter(|_| self.errors.len() == before)
    }

    fn change(&mut self, op: &str, fields: &mut FieldsOf) -> Option<Change> {
        Some(match op {
            "start" => {
                let node = fields.take("on").map(|name| self.node("on", Some(name)));
                let vm = self.vm(fields.take("vm"));
                Change::Start { vm: vm?, node: given(node)? }
            }
            "add_vm" => Change::AddVm(Box::new(self.described_vm(fields)?)),
            "update_vm" => {
                let keep = !fields.states("vm", &["power", "node", "migrating_to"]);
                let mut to = self.described_vm(fields)?;
                let vm = self.named_vm("vm.name", &to.name)?;
                if keep {
                    let now = self.cluster.vm(vm).ok()?.to_vm();
                    (to.power, to.node, to.migrating_to) = (now.power, now.node, now.migrating_to);
                    if to.power.is_none() {
                        to.power = Some(self.cluster.vm(vm).ok()?.power());
                    }
                }
                Change::UpdateVm { vm, to: Box::new(to) }
            }
            "remove_vm" => Change::RemoveVm { vm: self.vm(fields.take("vm"))? },
            "stop" => Change::Stop { vm: self.vm(fields.take("vm"))? },
            "resize" => {
                let vm = self.vm(fields.take("vm"));
                let demand = self.required("demand", fields.take("demand")).and_then(|tree| {
                    let read = Objects::of(&self.cluster).stated_amounts(tree);
                    self.object("amounts", "demand", read)
                });
                let (vm, (demand, stated)) = (vm?, demand?);
                Change::Resize { vm, demand: self.completed(vm, &demand, stated) }
            }
            "migrate" => {
                let to = fields.take("to").map(|name| self.node("to", Some(name)));
                let vm = self.vm(fields.take("vm"));
                Change::Migrate { vm: vm?, to: given(to)? }
            }
            "migrate_done" => Change::MigrateDone { vm: self.vm(fields.take("vm"))? },
            "migrate_aborted" => Change::MigrateAborted { vm: self.vm(fields.take("vm"))? },
            "add_node" => Change::AddNode(Box::new(self.described_node(fields)?)),
            "update_node" => {
                let keep = !fields.states("node", &["state"]);
                let mut to = self.described_node(fields)?;
                let node = self.named_node("node.name", &to.name)?;
                if keep {
                    to.state = self.cluster.node(node).ok()?.state();
                }
                Change::UpdateNode { node, to: Box::new(to) }
            }
            "remove_node" => Change::RemoveNode { node: self.node("node", fields.take("node"))? },
            "set_state" => {
                let node = self.node("node", fields.take("node"));
                let state = self.state(fields.take("state"));
                Change::SetState { node: node?, state: state? }
            }
            "add_rule" | "update_rule" => {
                let tree = self.required("rule", fields.take("rule"))?;
                let read = Objects::of(&self.cluster).rule(tree);
                let rule = Box::new(self.object("rule", "rule", read)?);
                if op == "add_rule" {
                    Change::AddRule(rule)
                } else {
                    Change::UpdateRule { rule: self.named_rule("rule.name", &rule.name)?, to: rule }
                }
            }
            "remove_rule" => {
                let name = self.text("rule", fields.take("rule"))?;
                Change::RemoveRule { rule: self.named_rule("rule", &name)? }
            }
            _ => {
                let tree = self.required("policy", fields.take("policy"))?;
                let read = Objects::of(&self.cluster).policy(tree);
                Change::SetPolicy(Box::new(self.object("policy", "policy", read)?))
            }
        })
    }

    /// The demand of a VM, with the kinds that are not stated as they are now.
    fn completed(&self, vm: VmId, demand: &Amounts, stated: KindSet) -> Amounts {
        let now = self.cluster.raw(self.cluster.vm(vm).map_or(&[][..], VmRef::demand));
        let kinds = 0..self.cluster.kinds().len();
        kinds.map(|kind| if stated.contains(kind) { demand.of(kind) } else { now.of(kind) }).collect()
    }

    /// Takes over what was read of an object, or its errors, whose paths begin with `part`, at `path`.
    fn object<T>(&mut self, part: &str, path: &str, read: Result<T, DocumentErrors>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(errors) => {
                self.errors.extend(errors.into_vec().into_iter().map(|mut error| {
                    let rest = error.path.strip_prefix(part).map_or_else(|| error.path.clone(), ToString::to_string);
                    error.path = join(path, rest.strip_prefix('.').unwrap_or(&rest));
                    error
                }));
                None
            }
        }
    }

    fn described_vm(&mut self, fields: &mut FieldsOf) -> Option<Vm> {
        let tree = self.required("vm", fields.take("vm"))?;
        let read = Objects::of(&self.cluster).strict(self.policy.strict).vm(tree);
        self.object("vm", "vm", read)
    }

    fn described_node(&mut self, fields: &mut FieldsOf) -> Option<Node> {
        let tree = self.required("node", fields.take("node"))?;
        let read = Objects::of(&self.cluster).strict(self.policy.strict).node(tree);
        self.object("node", "node", read)
    }

    fn required(&mut self, field: &str, tree: Option<Tree>) -> Option<Tree> {
        if tree.is_none() {
            self.add(field, "missing", format!("the field \"{field}\" is missing"));
        }
        tree
    }

    fn text(&mut self, field: &str, tree: Option<Tree>) -> Option<String> {
        match self.required(field, tree)? {
            Tree::Text(text) => Some(text),
            other => {
                self.add(field, "wrong_type", format!("expected a name, found {}", other.form()));
                None
            }
        }
    }

    fn vm(&mut self, tree: Option<Tree>) -> Option<VmId> {
        let name = self.text("vm", tree)?;
        self.named_vm("vm", &name)
    }

    fn named_vm(&mut self, path: &str, name: &str) -> Option<VmId> {
        let found = self.cluster.vm_id(name);
        if found.is_none() {
            let hint = self.nearest.hint(name, self.cluster.vms().map(VmRef::name));
            self.add(path, "unknown_vm", format!("there is no VM {}{hint}", quoted(name)));
        }
        found
    }

    fn node(&mut self, field: &str, tree: Option<Tree>) -> Option<NodeId> {
        let name = self.text(field, tree)?;
        self.named_node(field, &name)
    }

    fn named_node(&mut self, path: &str, name: &str) -> Option<NodeId> {
        let found = self.cluster.node_id(name);
        if found.is_none() {
            let hint = self.nearest.hint(name, self.cluster.nodes().map(NodeRef::name));
            self.add(path, "unknown_node", format!("there is no node {}{hint}", quoted(name)));
        }
        found
    }

    fn named_rule(&mut self, path: &str, name: &str) -> Option<RuleId> {
        let found = self.cluster.rule_id(name);
        if found.is_none() {
            let hint = self.nearest.hint(name, self.cluster.rules().map(RuleRef::name));
            self.add(path, "unknown_rule", format!("there is no rule {}{hint}", quoted(name)));
        }
        found
    }

    fn state(&mut self, tree: Option<Tree>) -> Option<NodeState> {
        let name = self.text("state", tree)?;
        let found = NodeState::from_name(&name);
        if found.is_none() {
            let known = || NodeState::ALL.iter().map(|state| state.name());
            let hint = self.nearest.hint(&name, known());
            let message = format!("{} is none of {}{hint}", quoted(&name), known().collect::<Vec<_>>().join(", "));
            self.add("state", "unknown_value", message);
        }
        found
    }
}

/// A field that may be left out: `None` if it is there and wrong.
#[expect(clippy::option_option, reason = "left out, wrong, or there")]
fn given<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(Some(value)) => Some(Some(value)),
        Some(None) => None,
    }
}
