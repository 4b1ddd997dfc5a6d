//! `verify`: whether every failure in the tolerance is survived.

use crate::args::VerifyArgs;
use crate::input::{self, Fault, Stop};
use crate::interrupt::Interrupt;
use crate::plan::HELPED;
use crate::plan_json::{help_json, node_names, vm_name};
use crate::screen::Screen;
use crate::words::{did_you_mean, similar};
use crate::{Answer, verify_text};
use lifeboat::policy::FailureClass;
use lifeboat::{
    Answer as Verdict, ClassVerdict, Cluster, Control, Counterexample, Evidence, Help, NODE_LEVEL, Outcome, Planner,
    Policy, PriceFamily, Pricing, Priority, Proof, RestartClass, StoredCertificates, Unit, Unplaced, VerifyError,
    VmRef, check_certificate, check_counterexample, verify_controlled,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A class with its verdict, and what else is printed of it.
pub(crate) struct Judged<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) verdict: &'a ClassVerdict,
    /// Whether the independent checker accepted the evidence; `None` if there is nothing that it could replay.
    pub(crate) checked: Option<bool>,
    /// Of a counterexample: the protected VMs that a plan for it leaves out, and what would help them.
    pub(crate) unplaced: Vec<(Unplaced, Vec<Help>)>,
}

pub(crate) fn run(args: &VerifyArgs, interrupt: &Interrupt) -> Result<Answer, Stop> {
    let (cluster, mut policy) = input::read_cluster(&args.cluster)?;
    if !args.tolerate.is_empty() {
        policy.tolerate = classes(&cluster, &args.tolerate)?;
    }
    let verdict = interrupt
        .during("verifying", policy.budget.verify, |control| verify_controlled(&cluster, &policy, control))
        .map_err(stop)?;
    let judged: Vec<Judged<'_>> = verdict
        .classes()
        .iter()
        .map(|class| {
            interrupt.during("checking", policy.budget.plan, |control| judge(&cluster, &policy, class, control))
        })
        .collect::<Result<_, _>>()?;
    if let Some(path) = &args.certificate {
        let stored = StoredCertificates::new(&cluster, verdict.certificates());
        let text = serde_json::to_string(&stored).unwrap_or_default();
        std::fs::write(path, text).map_err(|error| {
            Stop::BadInput(vec![Fault::new(
                "--certificate",
                None,
                "unwritable",
                format!("cannot write {path}: {error}"),
            )])
        })?;
    }
    let text = if args.json {
        input::to_json(&to_json(verdict.answer(), &judged))
    } else {
        verify_text::verdict(verdict.answer(), &judged, Screen::of_stdout(args.all))
    };
    let status = match verdict.answer() {
        Verdict::Holds => 0,
        Verdict::Fails => 1,
        Verdict::Undecided => 3,
    };
    Ok(Answer { text, status })
}

pub(crate) fn stop(error: VerifyError) -> Stop {
    match error {
        VerifyError::Cancelled => Stop::Cancelled,
        error => Stop::BadInput(vec![Fault::new("policy.tolerate", None, error.code(), error.to_string())]),
    }
}

fn judge<'a>(
    cluster: &'a Cluster,
    policy: &Policy,
    class: &'a ClassVerdict,
    control: &Control,
) -> Result<Judged<'a>, Stop> {
    let mut judged = Judged { cluster, verdict: class, checked: None, unplaced: Vec::new() };
    match class.outcome() {
        Outcome::Holds(certificate) => {
            judged.checked = Some(check_certificate(cluster, policy, certificate).is_ok());
        }
        Outcome::Fails(counterexample) => {
            judged.checked = match check_counterexample(cluster, policy, class.class(), counterexample) {
                Ok(Evidence::Replayed) => Some(true),
                Ok(Evidence::NotReplayed) => None,
                Err(_) => Some(false),
            };
            judged.unplaced = unplaced(cluster, policy, class, counterexample, control)?;
        }
        Outcome::Undecided { .. } => {}
    }
    Ok(judged)
}

/// What a plan for the counterexample leaves out of the VMs that the class speaks of.
fn unplaced(
    cluster: &Cluster,
    policy: &Policy,
    class: &ClassVerdict,
    counterexample: &Counterexample,
    control: &Control,
) -> Result<Vec<(Unplaced, Vec<Help>)>, Stop> {
    let mut planner = Planner::new();
    let failure = counterexample.failure(cluster);
    let plan = planner.restart_controlled(cluster, policy, &failure, control).map_err(|_| Stop::Cancelled)?;
    let least = class.class().min_priority.unwrap_or(Priority(0));
    let counts = |left: &&Unplaced| {
        let (restart, priority) = cluster.vm(left.vm).map_or((RestartClass::Never, Priority(0)), VmRef::effective);
        restart == RestartClass::Protected && priority >= least
    };
    let with_help = |(position, left): (usize, &Unplaced)| {
        let help = if position < HELPED { planner.help(cluster, &failure, &plan, left.vm).ok() } else { None };
        (left.clone(), help.unwrap_or_default())
    };
    Ok(plan.unplaced().iter().filter(counts).enumerate().map(with_help).collect())
}

/// The failure classes that the arguments of `--tolerate` say, or a fault for every one that says none.
pub(crate) fn classes(cluster: &Cluster, texts: &[String]) -> Result<Vec<FailureClass>, Stop> {
    let mut faults = Vec::new();
    let mut classes = Vec::new();
    for text in texts {
        match class(cluster, text) {
            Ok(class) => classes.push(class),
            Err(message) => faults.push(Fault::new("--tolerate", Some(text), "tolerate", message)),
        }
    }
    if faults.is_empty() { Ok(classes) } else { Err(Stop::BadInput(faults)) }
}

fn class(cluster: &Cluster, text: &str) -> Result<FailureClass, String> {
    let (units, priority) = match text.split_once(':') {
        Some((units, priority)) => (units, Some(priority)),
        None => (text, None),
    };
    let mut class = FailureClass::nodes(0);
    class.fail.clear();
    for part in units.split(',') {
        let (level, count) = part
            .split_once('=')
            .ok_or_else(|| format!("\"{part}\" is not LEVEL=COUNT, as in node=2 or rack=1,node=1:high"))?;
        if level != NODE_LEVEL && !cluster.levels().any(|known| known == level) {
            let known: Vec<&str> = cluster.levels().chain([NODE_LEVEL]).collect();
            let hint = did_you_mean(&similar(level, known.iter().copied()));
            return Err(format!("there is no level \"{level}\"{hint}; the levels are {}", known.join(", ")));
        }
        if class.fail.iter().any(|(other, _)| other == level) {
            return Err(format!("the level \"{level}\" is named twice"));
        }
        let count = count.parse().map_err(|_| format!("\"{count}\" is not a number of units"))?;
        class.fail.push((level.to_string(), count));
    }
    if let Some(priority) = priority {
        let named = Priority::from_name(priority).or_else(|| priority.parse().ok().map(Priority));
        class.min_priority = Some(named.ok_or_else(|| {
            let known: Vec<&str> = Priority::NAMED.iter().map(|(name, _)| *name).collect();
            format!("\"{priority}\" is no priority: a number, or one of {}", known.join(", "))
        })?);
    }
    Ok(class)
}

/// A unit as `--fail` takes it.
pub(crate) fn unit_text(unit: &Unit) -> String {
    if unit.level == NODE_LEVEL { unit.name.clone() } else { format!("{}={}", unit.level, unit.name) }
}

fn to_json(answer: Verdict, judged: &[Judged<'_>]) -> Value {
    let uncoverable: Vec<Value> = judged.iter().flat_map(uncoverable_json).collect();
    json!({
        "format": "lifeboat-verdict/1",
        "verdict": answer.name(),
        "classes": judged.iter().map(class_json).collect::<Vec<_>>(),
        "uncoverable": uncoverable,
    })
}

fn uncoverable_json(judged: &Judged<'_>) -> Vec<Value> {
    let one = |found: &lifeboat::Uncoverable| {
        json!({
            "vm": vm_name(judged.cluster, found.vm),
            "tolerate": tolerate_json(judged.verdict.class()),
            "failure": found.units.iter().map(unit_text).collect::<Vec<_>>(),
            "nodes": node_names(judged.cluster, &found.nodes),
            "message": found.message(judged.cluster),
        })
    };
    judged.verdict.uncoverable().iter().map(one).collect()
}

fn tolerate_json(class: &FailureClass) -> Value {
    Value::Object(class.fail.iter().map(|(level, count)| (level.clone(), json!(count))).collect::<Map<_, _>>())
}

/// The class as an object: what is printed of it always, and what only where it is so.
#[derive(Serialize)]
struct ClassJson {
    covers: Option<&'static str>,
    tolerate: Value,
    min_priority: Option<u32>,
    verdict: &'static str,
    /// The verdict with the uncoverable VMs aside.
    rest: &'static str,
    scenarios: String,
    open: String,
    counterexample: Option<Value>,
    failing_units: Vec<String>,
    tightest: Option<Value>,
    method: Value,
    checked: bool,
    message: String,
}

fn class_json(judged: &Judged<'_>) -> ClassJson {
    let verdict = judged.verdict;
    let tightest = match verdict.outcome() {
        Outcome::Undecided { tightest: Some(tight), .. } => Some(json!({
            "units": tight.units.iter().map(unit_text).collect::<Vec<_>>(),
            "needed": tight.needed.to_string(),
            "available": tight.available.to_string(),
        })),
        _ => None,
    };
    ClassJson {
        covers: verdict.covers().map(lifeboat::Covers::name),
        tolerate: tolerate_json(verdict.class()),
        min_priority: verdict.class().min_priority.map(|priority| priority.0),
        verdict: verdict.answer().name(),
        rest: verdict.rest().name(),
        scenarios: verdict.scenarios().to_string(),
        open: verdict.open().to_string(),
        counterexample: verdict.counterexample().map(|found| counterexample_json(judged, found)),
        failing_units: verdict.failing_units().iter().map(unit_text).collect(),
        tightest,
        method: json!({
            "way": verdict.method().way.name(),
            "banks": verdict.method().banks,
            "exceptions": verdict.certificate().map_or(0, lifeboat::Certificate::exceptions),
            "searched": verdict.method().searched.to_string(),
            "work": verdict.work().to_string(),
        }),
        checked: judged.checked == Some(true),
        message: verdict.summary(),
    }
}

fn counterexample_json(judged: &Judged<'_>, found: &Counterexample) -> Value {
    let cluster = judged.cluster;
    let unplaced: Vec<Value> = judged
        .unplaced
        .iter()
        .map(|(left, help)| {
            let reasons: Vec<Value> = left
                .reasons
                .iter()
                .map(|reason| json!({"code": reason.reason.code(), "nodes": reason.nodes}))
                .collect();
            let help: Vec<_> = help.iter().map(|help| help_json(cluster, help)).collect();
            json!({"vm": vm_name(cluster, left.vm), "reasons": reasons, "message": left.message, "help": help})
        })
        .collect();
    json!({
        "units": found.units().iter().map(unit_text).collect::<Vec<_>>(),
        "failed": node_names(cluster, found.failed()),
        "unplaced": unplaced,
        "proof": proof_json(cluster, found.proof()),
        "message": found.message(),
    })
}

fn proof_json(cluster: &Cluster, proof: &Proof) -> Value {
    match proof {
        Proof::Search { checked } => json!({"code": proof.code(), "checked": checked}),
        Proof::Prices { family, needed, available } => json!({
            "code": proof.code(),
            "prices": family_json(cluster, family),
            "needed": needed.to_string(),
            "available": available.to_string(),
        }),
    }
}

fn family_json(cluster: &Cluster, family: &PriceFamily) -> Value {
    let by_kind = |amounts: &[u64]| -> Map<String, Value> {
        cluster.kinds().iter().zip(amounts).map(|(kind, amount)| (kind.name.clone(), json!(amount))).collect()
    };
    let within = family.within.map(|vm| vm_name(cluster, vm));
    match &family.pricing {
        Pricing::Weighted { weights } => json!({"weights": by_kind(weights), "within": within}),
        Pricing::Parts { kind, size } => {
            let name = cluster.kinds().get(*kind).map(|kind| kind.name.clone());
            json!({"kind": name, "part": size, "within": within})
        }
        Pricing::Shape { shape } => json!({"shape": by_kind(shape), "within": within}),
    }
}
