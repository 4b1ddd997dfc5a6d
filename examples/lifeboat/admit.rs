//! `admit`: transactions in, a decision out for each; the state goes on with those that are admitted or observed.

use crate::args::AdmitArgs;
use crate::input::{self, Fault, Stop};
use crate::words::clean;
use crate::{Answer, BAD_INPUT};
use lifeboat::{
    Change, Cluster, Decision, DecisionOutcome, Guard, Item, ItemState, Violation, ViolationKind, read_changes,
};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write as _};

pub(crate) fn run(args: &AdmitArgs) -> Result<Answer, Stop> {
    let (cluster, policy) = input::read_cluster(&args.cluster)?;
    let lines: Box<dyn BufRead> = if args.changes == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = std::fs::File::open(&args.changes).map_err(|error| {
            bad(Fault::new("--changes", None, "unreadable", format!("cannot read {}: {error}", args.changes)))
        })?;
        Box::new(BufReader::new(file))
    };
    let mut guard = Guard::new(cluster, policy);
    let mut status = 0;
    for (number, line) in (1_u64..).zip(lines.lines()) {
        let line = line.map_err(|error| bad(Fault::new("--changes", None, "unreadable", error.to_string())))?;
        if line.trim().is_empty() {
            continue;
        }
        let said = match transaction(&mut guard, &line, number, args.observe) {
            Ok(decision) => {
                if decision.outcome() == DecisionOutcome::Refused {
                    status = status.max(1);
                }
                if args.json { decision_json(&guard, &decision) } else { decision_text(number, &decision) }
            }
            Err(faults) => {
                // Nothing of a bad line is carried out; those after it are judged all the same.
                status = BAD_INPUT;
                input::complain(&faults);
                if args.json { input::faults_json_line(&faults) } else { String::new() }
            }
        };
        // Whoever sends the next line may be waiting for this answer.
        let mut out = io::stdout().lock();
        if out.write_all(said.as_bytes()).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    Ok(Answer { text: String::new(), status })
}

fn bad(fault: Fault) -> Stop {
    Stop::BadInput(vec![fault])
}

fn transaction(guard: &mut Guard, line: &str, number: u64, observe: bool) -> Result<Decision, Vec<Fault>> {
    let place = |path: &str| if path.is_empty() { format!("line {number}") } else { format!("line {number}: {path}") };
    let changes: Vec<Change> = read_changes(guard.cluster(), guard.policy(), line).map_err(|errors| {
        errors
            .iter()
            .map(|error| Fault::new(&place(&error.path), error.object.as_deref(), error.code, &*error.message))
            .collect::<Vec<_>>()
    })?;
    let fault = |error: lifeboat::GuardError| vec![Fault::new(&place(""), None, error.code(), error.to_string())];
    if observe {
        return guard.observe(&changes).map_err(fault);
    }
    let decision = guard.admit(&changes).map_err(fault)?;
    if decision.is_admitted() {
        guard.apply(decision.clone()).map_err(fault)?;
    }
    Ok(decision)
}

fn name(outcome: DecisionOutcome) -> &'static str {
    match outcome {
        DecisionOutcome::Admitted => "admitted",
        DecisionOutcome::Refused => "refused",
        DecisionOutcome::Observed => "observed",
    }
}

fn decision_json(guard: &Guard, decision: &Decision) -> String {
    let cluster = guard.cluster();
    let goes = |_: &&lifeboat::Placed| decision.outcome() != DecisionOutcome::Refused;
    let vm_nodes: Map<String, Value> =
        decision.placed().iter().filter(goes).map(|placed| (placed.vm_name.clone(), json!(placed.node_name))).collect();
    let items = |states: &[ItemState]| states.iter().map(item_json).collect::<Vec<_>>();
    let violations: Vec<Value> =
        decision.violations().iter().map(|violation| violation_json(cluster, decision, violation)).collect();
    let mut line = json!({
        "format": "lifeboat-decision/1",
        "decision": name(decision.outcome()),
        "vm_nodes": vm_nodes,
        "violations": violations,
        "before": items(decision.before()),
        "after": items(decision.after()),
    })
    .to_string();
    line.push('\n');
    line
}

fn item_name(state: &ItemState) -> String {
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

fn item_json(state: &ItemState) -> Value {
    let mut json = json!({
        "item": item_name(state),
        "state": state.state(),
        "mode": state.mode.name(),
        "message": state.message,
    });
    if let Some(fields) = json.as_object_mut() {
        match &state.item {
            Item::Tolerate(class) => {
                let counts = |list: &[(String, u32)]| -> Map<String, Value> {
                    list.iter().map(|(level, count)| (level.clone(), json!(count))).collect()
                };
                fields.insert("tolerate".into(), Value::Object(counts(&class.class.fail)));
                let held = class.held.as_ref().map(|held| Value::Object(counts(held)));
                fields.insert("held".into(), held.unwrap_or(Value::Null));
                if !class.unplaced.is_empty() {
                    let unplaced = class.unplaced.iter().map(|(restart, priority, count)| {
                        json!({"restart": restart.name(), "priority": priority.0, "vms": count})
                    });
                    fields.insert("unplaced".into(), unplaced.collect());
                }
                if let Some(fault) = &class.counterexample {
                    let found = json!({"units": fault.units, "message": fault.message});
                    fields.insert("counterexample".into(), found);
                }
            }
            Item::Reserve { status, .. } => {
                let short: Vec<String> = status.shortfalls.iter().map(ToString::to_string).collect();
                fields.insert("shortfalls".into(), json!(short));
            }
            Item::Off { .. } => {}
        }
    }
    json
}

fn violation_json(cluster: &Cluster, decision: &Decision, violation: &Violation) -> Value {
    let mut json = json!({
        "code": violation.kind.code(),
        "enforced": violation.enforced,
        "broken_before": violation.broken_before,
        "message": violation.message,
    });
    let vm_name = |vm: &lifeboat::VmId| {
        let placed = decision.placed().iter().find(|placed| placed.vm == *vm).map(|placed| placed.vm_name.as_str());
        cluster.vm(*vm).ok().map(lifeboat::VmRef::name).or(placed)
    };
    let node_name = |node: &lifeboat::NodeId| cluster.node(*node).ok().map(lifeboat::NodeRef::name);
    let detail = match &violation.kind {
        ViolationKind::Inconsistent { change, .. } => json!({"operation": change}),
        ViolationKind::NotEmpty { node, vms } => json!({"node": node_name(node), "vms": vms}),
        ViolationKind::NotAccepting { vm, node, state } => {
            json!({"vm": vm_name(vm), "node": node_name(node), "state": state.name()})
        }
        ViolationKind::MissingLabel { vm, node, label } => {
            json!({"vm": vm_name(vm), "node": node_name(node), "label": label})
        }
        ViolationKind::SpareReserved { vm, node } | ViolationKind::NotAllowed { vm, node } => {
            json!({"vm": vm_name(vm), "node": node_name(node)})
        }
        ViolationKind::NotMigratable { vm } => json!({"vm": vm_name(vm)}),
        ViolationKind::Insufficient { node, resource, needed, free } => {
            let kind = cluster.kinds().get(*resource).map(|kind| kind.name.as_str());
            json!({"node": node_name(node), "kind": kind, "needed": needed, "free": free})
        }
        ViolationKind::Rule { rule, before, after } => {
            let rule = cluster.rule(*rule).ok().map(lifeboat::RuleRef::name);
            json!({"rule": rule, "before": before, "after": after})
        }
        ViolationKind::NoNode { vm, nodes } => {
            let nodes: Map<String, Value> =
                nodes.iter().map(|(code, count)| ((*code).to_string(), json!(count))).collect();
            json!({"vm": vm_name(vm), "nodes": nodes})
        }
        ViolationKind::Item { item, code, .. } => {
            let after = decision.after().get(*item);
            json!({"item": after.map(item_name), "kind": code})
        }
        ViolationKind::BudgetSpent { tried } => json!({"tried": tried}),
    };
    if let (Some(fields), Value::Object(detail)) = (json.as_object_mut(), detail) {
        fields.extend(detail);
    }
    json
}

fn decision_text(number: u64, decision: &Decision) -> String {
    let mut out = String::new();
    let places: Vec<String> =
        decision.placed().iter().map(|placed| format!("{} on {}", placed.vm_name, placed.node_name)).collect();
    let places = if places.is_empty() || decision.outcome() == DecisionOutcome::Refused {
        String::new()
    } else {
        format!(": {}", places.join(", "))
    };
    let _ = writeln!(out, "{number}: {}{}", name(decision.outcome()), clean(&places));
    for violation in decision.violations() {
        let mark = if violation.enforced { "because" } else { "note" };
        let _ = writeln!(out, "   {mark}: {} [{}]", clean(&violation.message), violation.kind.code());
    }
    out
}
