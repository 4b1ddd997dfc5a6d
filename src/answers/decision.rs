//! A decision on a transaction as JSON, `lifeboat-decision/1`, one line for each.
//!
//! Uses `admission`. Used by `answers::ask` and the example program. Fields are sorted.

use super::faults::Fault;
use super::verdict::{Tolerate, tolerate_json};
use crate::admission::{
    ClassFault, Decision, DecisionOutcome, Guard, GuardError, Item, ItemState, Placed, Shortage, Violation,
    ViolationKind, read_changes,
};
use crate::cluster::{Cluster, NodeRef, RuleRef, VmRef};
use crate::ids::{NodeId, VmId};
use crate::placement::budget::Control;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Judges a line of a changes file, and carries it out if it is admitted; or, where it has happened, takes it in.
/// Paths of faults begin with `place`.
///
/// # Errors
/// What is wrong with the line, or that it was cancelled: nothing of it is carried out then.
pub fn transaction(
    guard: &mut Guard,
    line: &str,
    place: &str,
    observe: bool,
    control: &Control,
) -> Result<Decision, Vec<Fault>> {
    let at = |path: &str| if path.is_empty() { place.to_string() } else { format!("{place}: {path}") };
    let changes = read_changes(guard.cluster(), guard.policy(), line).map_err(|errors| {
        errors
            .iter()
            .map(|error| Fault::new(&at(&error.path), error.object.as_deref(), error.code, &*error.message))
            .collect::<Vec<_>>()
    })?;
    let fault = |error: GuardError| Vec::from([Fault::new(&at(""), None, error.code(), error.to_string())]);
    if observe {
        return guard.observe_controlled(&changes, control).map_err(fault);
    }
    let decision = guard.admit_controlled(&changes, control).map_err(fault)?;
    if decision.is_admitted() {
        guard.apply(decision.clone()).map_err(fault)?;
    }
    Ok(decision)
}

/// What became of a transaction, in a word.
pub const fn outcome_name(outcome: DecisionOutcome) -> &'static str {
    match outcome {
        DecisionOutcome::Admitted => "admitted",
        DecisionOutcome::Refused => "refused",
        DecisionOutcome::Observed => "observed",
    }
}

/// A decision in the form that is printed. `cluster` is the guard's, before or after the decision is carried out.
pub fn decision_json<'a>(cluster: &'a Cluster, decision: &'a Decision) -> impl Serialize + 'a {
    let goes = |_: &&Placed| decision.outcome() != DecisionOutcome::Refused;
    let placed = decision.placed().iter().filter(goes);
    let violations = decision.violations().iter();
    DecisionJson {
        after: decision.after().iter().map(item_json).collect(),
        before: decision.before().iter().map(item_json).collect(),
        decision: outcome_name(decision.outcome()),
        format: "lifeboat-decision/1",
        violations: violations.map(|violation| violation_json(cluster, decision, violation)).collect(),
        vm_nodes: placed.map(|placed| (&*placed.vm_name, &*placed.node_name)).collect(),
    }
}

/// The items of a policy in the form that is printed, `lifeboat-items/1`.
pub fn items_json(items: &[ItemState]) -> impl Serialize + '_ {
    ItemsJson { format: "lifeboat-items/1", items: items.iter().map(item_json).collect() }
}

#[derive(Serialize)]
struct ItemsJson<'a> {
    format: &'static str,
    items: Vec<ItemJson<'a>>,
}

#[derive(Serialize)]
struct DecisionJson<'a> {
    after: Vec<ItemJson<'a>>,
    before: Vec<ItemJson<'a>>,
    decision: &'static str,
    format: &'static str,
    violations: Vec<ViolationJson>,
    vm_nodes: BTreeMap<&'a str, &'a str>,
}

/// An item of the policy: its fields, and those that only failure classes or reserves have.
#[derive(Serialize, Default)]
struct ItemJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    counterexample: Option<FaultJson<'a>>,
    #[serde(skip_serializing_if = "Held::is_absent")]
    held: Held<'a>,
    item: String,
    message: &'a str,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    shortfalls: Option<Vec<String>>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerate: Option<Tolerate<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unplaced: Vec<UnplacedJson>,
}

/// The counts of a class that hold: `null` where not even those without a failure do.
#[derive(Default)]
enum Held<'a> {
    #[default]
    Absent,
    Nothing,
    Counts(Tolerate<'a>),
}

impl Held<'_> {
    const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl Serialize for Held<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Nothing => serializer.serialize_none(),
            Self::Counts(counts) => counts.serialize(serializer),
        }
    }
}

#[derive(Serialize)]
struct FaultJson<'a> {
    message: &'a str,
    units: &'a [String],
}

#[derive(Serialize)]
struct UnplacedJson {
    priority: u32,
    restart: &'static str,
    vms: u32,
}

/// The name of an item: `tolerate node=2:3000`, `percentage`.
pub fn item_name(state: &ItemState) -> String {
    match &state.item {
        Item::Tolerate(class) => {
            let counts: Vec<String> =
                class.class.fail.iter().map(|(level, count)| format!("{level}={count}")).collect();
            let least = class.class.min_priority.map_or_else(String::new, |priority| format!(":{priority}"));
            format!("tolerate {}{least}", counts.join(","))
        }
        Item::Reserve { status, .. } => status.figures.name().to_string(),
        Item::Off { what } => what.clone(),
    }
}

fn item_json(state: &ItemState) -> ItemJson<'_> {
    let json = ItemJson {
        item: item_name(state),
        message: &state.message,
        mode: state.mode.name(),
        state: state.state(),
        ..ItemJson::default()
    };
    match &state.item {
        Item::Tolerate(class) => {
            let unplaced = class.unplaced.iter().map(|(restart, priority, vms)| UnplacedJson {
                priority: priority.0,
                restart: restart.name(),
                vms: *vms,
            });
            ItemJson {
                counterexample: class.counterexample.as_ref().map(fault_json),
                held: class.held.as_ref().map_or(Held::Nothing, |held| Held::Counts(tolerate_json(held))),
                tolerate: Some(tolerate_json(&class.class.fail)),
                unplaced: unplaced.collect(),
                ..json
            }
        }
        Item::Reserve { status, .. } => {
            ItemJson { shortfalls: Some(status.shortfalls.iter().map(ToString::to_string).collect()), ..json }
        }
        Item::Off { .. } => json,
    }
}

fn fault_json(fault: &ClassFault) -> FaultJson<'_> {
    FaultJson { message: &fault.message, units: &fault.units }
}

/// A violation: its fields, and those that its code has.
type ViolationJson = BTreeMap<&'static str, Value>;

fn violation_json(cluster: &Cluster, decision: &Decision, violation: &Violation) -> ViolationJson {
    let vm_name = |vm: &VmId| {
        let placed = decision.placed().iter().find(|placed| placed.vm == *vm).map(|placed| &*placed.vm_name);
        Value::from(cluster.vm(*vm).ok().map(VmRef::name).or(placed))
    };
    let kind_name = |at: usize| Value::from(cluster.kinds().get(at).map(|kind| kind.name.as_str()));
    let node_name = |node: &NodeId| Value::from(cluster.node(*node).ok().map(NodeRef::name));
    let mut json = BTreeMap::from([
        ("code", Value::from(violation.kind.code())),
        ("enforced", violation.enforced.into()),
        ("broken_before", violation.broken_before.into()),
        ("message", violation.message.as_str().into()),
    ]);
    match &violation.kind {
        ViolationKind::Inconsistent { change, .. } => json.extend([("operation", (*change).into())]),
        ViolationKind::NotEmpty { node, vms } => {
            json.extend([("node", node_name(node)), ("vms", (*vms).into())]);
        }
        ViolationKind::NotAccepting { vm, node, state } => {
            json.extend([("vm", vm_name(vm)), ("node", node_name(node)), ("state", state.name().into())]);
        }
        ViolationKind::MissingLabel { vm, node, label } => {
            json.extend([("vm", vm_name(vm)), ("node", node_name(node)), ("label", label.as_str().into())]);
        }
        ViolationKind::SpareReserved { vm, node } | ViolationKind::NotAllowed { vm, node } => {
            json.extend([("vm", vm_name(vm)), ("node", node_name(node))]);
        }
        ViolationKind::NotMigratable { vm } => json.extend([("vm", vm_name(vm))]),
        ViolationKind::Insufficient { node, resource, needed, free } => {
            json.extend([("node", node_name(node)), ("kind", kind_name(*resource))]);
            json.extend([("needed", (*needed).into()), ("free", (*free).into())]);
        }
        ViolationKind::Rule { rule, before, after } => {
            let rule = cluster.rule(*rule).ok().map(RuleRef::name);
            json.extend([("rule", rule.into()), ("before", (*before).into()), ("after", (*after).into())]);
        }
        ViolationKind::NoNode { name, nodes, nearest, .. } => {
            let nodes = nodes.iter().map(|(code, count)| ((*code).to_string(), Value::from(*count)));
            json.extend([("vm", name.as_str().into()), ("nodes", Value::Object(nodes.collect()))]);
            if let Some(Shortage { node, resource, needed, free }) = nearest {
                json.extend([("node", node_name(node)), ("kind", kind_name(*resource))]);
                json.extend([("needed", (*needed).into()), ("free", (*free).into())]);
            }
        }
        ViolationKind::Item { item, code, .. } => {
            let after = decision.after().get(*item);
            json.extend([("item", after.map(item_name).into()), ("kind", (*code).into())]);
        }
        ViolationKind::BudgetSpent { tried } => json.extend([("tried", (*tried).into())]),
    }
    json
}
