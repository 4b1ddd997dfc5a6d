//! One call for every question: JSON in, JSON out, nothing kept.
//!
//! Uses every part of `answers`. Used by the C ABI and embedders. The answer is, byte for byte, what the example program
//! prints with `--json` for the same question.

use super::capacity::{Capacity, CapacityQuestion};
use super::certificates::{CheckedCertificates, certificates_text};
use super::check::Checked;
use super::comparison::{comparison_json, not_comparable};
use super::decision::{decision_json, transaction};
use super::faults::{Fault, errors};
use super::forms::{to_line, to_text};
use super::names;
use super::plan::Planned;
use super::plan_check::{CheckedPlan, PlanText};
use super::request::{Question, Request, one};
use super::verdict::{Judged, status};
use crate::admission::{DecisionOutcome, Guard};
use crate::capacity::{HeadroomError, Newcomer};
use crate::cluster::Cluster;
use crate::compare::{CompareError, compare};
use crate::document::tree::Tree;
use crate::document::{Document, LoadOptions, Objects};
use crate::failure::Failure;
use crate::guarantee::{StoredCertificates, VerifyError, verify_controlled};
use crate::placement::budget::Control;
use crate::policy::FailureClass;
use crate::restart::PlanError;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Deserialize as _;

/// An answer as JSON text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The answer, or `lifeboat-error/1`; of `admit` and `observe` a line for each transaction.
    pub text: String,
    /// The exit status of the example program for it: 0 yes, 1 no, 2 bad input, 3 undecided, 4 cancelled.
    pub status: u8,
}

/// Answers a question.
///
/// | question | fields besides `cluster` (a document `lifeboat/1`) | answer |
/// |---|---|---|
/// | `check` | `strict`: true or false | `lifeboat-check/1` |
/// | `plan` | `fail`: units, each `"NODE"`, `"LEVEL=DOMAIN"` or `{"LEVEL": "DOMAIN"}`; `explain`: VMs | `lifeboat-plan/1` |
/// | `check_plan` | `plan`: a plan; `fail` | `lifeboat-plan-check/1` |
/// | `verify` | `tolerate`: classes, each as in a policy or `"rack=1,node=1:high"` | `lifeboat-verdict/1` |
/// | `certify` | `tolerate` | `lifeboat-certificate/1` of the classes that hold |
/// | `check_certificate` | `certificate`: what `certify` gave | `lifeboat-certificate-check/1` |
/// | `admit`, `observe` | `changes`: a list of transactions, or the text of a changes file | `lifeboat-decision/1`, a line for each |
/// | `capacity` | `level`: names; `shape`: amounts, or `like`: a VM; `nodes`: true or false | `lifeboat-capacity/1` |
/// | `compare` | `tolerate` | `lifeboat-compare/1` |
///
/// What is wrong with the input is answered by `lifeboat-error/1`, with every error of it.
///
/// ```
/// let response = lifeboat::answers::ask(r#"{"format": "lifeboat-request/1", "question": "verify", "cluster":
///     {"format": "lifeboat/1", "resources": [{"name": "memory"}], "nodes": [{"name": "a", "capacity": {"memory": 8}}],
///      "vms": [{"name": "db", "demand": {"memory": 2}, "node": "a"}]}}"#);
/// assert_eq!(response.status, 1);
/// assert!(response.text.contains(r#""verdict": "fails""#));
/// ```
pub fn ask(request: &str) -> Response {
    ask_controlled(request, &Control::new())
}

/// The same, and the caller can end it.
pub fn ask_controlled(request: &str, control: &Control) -> Response {
    let answered = Request::read(request).map_err(Stop::from).and_then(|request| answer(request, control));
    answered.unwrap_or_else(|stop| {
        let (faults, status) = match stop {
            Stop::BadInput(faults) => (faults, 2),
            Stop::Cancelled => (one("", "cancelled", "the call was cancelled"), 4),
        };
        Response { text: to_text(&errors(&faults)), status }
    })
}

/// Why there is no answer.
enum Stop {
    BadInput(Vec<Fault>),
    Cancelled,
}

impl From<Vec<Fault>> for Stop {
    fn from(faults: Vec<Fault>) -> Self {
        Self::BadInput(faults)
    }
}

impl From<VerifyError> for Stop {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Cancelled => Self::Cancelled,
            error => one("policy.tolerate", error.code(), error.to_string()).into(),
        }
    }
}

impl From<PlanError> for Stop {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Cancelled => Self::Cancelled,
            error => one("", error.code(), error.to_string()).into(),
        }
    }
}

impl From<CompareError> for Stop {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Verify(error) => error.into(),
            error => one("policy.reserves", error.code(), error.to_string()).into(),
        }
    }
}

fn answer(request: Request, control: &Control) -> Result<Response, Stop> {
    let options = LoadOptions::new().strict(request.strict);
    let read = Document::from_deserializer(request.cluster, options);
    if request.question == Question::Check {
        let checked = Checked::ask(read);
        return Ok(Response { text: to_text(&checked.json()), status: checked.status() });
    }
    let (cluster, mut policy) = read.map_err(|errors| Fault::of_documents(&errors))?.into_parts();
    if let Some(classes) = request.tolerate {
        policy.tolerate = tolerate(&cluster, classes)?;
        let bars = || not_comparable(&policy.tolerate);
        if let Some(why) = (request.question == Question::Compare).then(bars).flatten() {
            return Err(one("tolerate", "tolerate", why.to_string()).into());
        }
    }
    let mut faults = Vec::new();
    let failure = request.fail.map(|fail| failure(&cluster, fail, &mut faults));
    let explain = names::vms(&cluster, "explain", &request.explain, &mut faults);
    if !faults.is_empty() {
        return Err(faults.into());
    }
    let (text, status) = match request.question {
        Question::Check => (String::new(), 0),
        Question::Plan => {
            let planned = Planned::ask(&cluster, &policy, &failure.unwrap_or_default(), &explain, control)?;
            (to_text(&planned.json()), planned.status())
        }
        Question::CheckPlan => {
            let plan = PlanText::deserialize(request.plan.unwrap_or(Tree::Null))
                .map_err(|error| one("plan", "bad_plan", format!("is not a plan: {error}")))?;
            if let Some(message) = plan.wrong_format() {
                return Err(one("plan", "format", message).into());
            }
            let checked = CheckedPlan::ask(&cluster, &policy, &plan, failure.as_ref());
            (to_text(&checked.json()), checked.status())
        }
        Question::Verify => {
            let judged = Judged::ask(&cluster, &policy, control)?;
            (to_text(&judged.json()), judged.status())
        }
        Question::Certify => {
            let verdict = verify_controlled(&cluster, &policy, control)?;
            (certificates_text(&cluster, &verdict), status(verdict.answer()))
        }
        Question::CheckCertificate => {
            let stored = StoredCertificates::deserialize(request.certificate.unwrap_or(Tree::Null))
                .map_err(|error| one("certificate", "format", format!("holds no certificates: {error}")))?;
            let checked = CheckedCertificates::ask(&cluster, &policy, &stored, control);
            if control.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            (to_text(&checked.json()), checked.status())
        }
        Question::Admit | Question::Observe => {
            let changes = request.changes.unwrap_or(Tree::Null);
            admit(Guard::new(cluster, policy), changes, request.question == Question::Observe, control)?
        }
        Question::Capacity => {
            let newcomer = newcomer(&cluster, request.shape, request.like)?;
            let argument = if matches!(newcomer, Some(Newcomer::Like(_))) { "like" } else { "shape" };
            let question = CapacityQuestion { levels: request.level, newcomer, nodes: request.nodes };
            let capacity = Capacity::ask(&cluster, &policy, &question, control).map_err(|error| match error {
                HeadroomError::Verify(error) => error.into(),
                error => Stop::from(one(argument, error.code(), error.to_string())),
            })?;
            (to_text(&capacity.json()), 0)
        }
        Question::Compare => {
            let found = compare(&cluster, &policy, control)?;
            (to_text(&comparison_json(&found)), status(found.verdict.answer()))
        }
    };
    Ok(Response { text, status })
}

/// The failure that a list of units names.
fn failure(cluster: &Cluster, units: Vec<Tree>, faults: &mut Vec<Fault>) -> Failure {
    let mut failure = Failure::none();
    for (at, unit) in units.into_iter().enumerate() {
        let path = format!("fail[{at}]");
        match unit {
            Tree::Text(text) => {
                let more = names::failure(cluster, &path, &[text], faults);
                failure = Failure::of(failure.nodes().iter().chain(more.nodes()).copied());
            }
            Tree::Object(fields) => {
                if let [(level, Tree::Text(name))] = fields.as_slice() {
                    match names::unit(cluster, failure.clone(), &path, level, name) {
                        Ok(more) => failure = more,
                        Err(fault) => faults.push(fault),
                    }
                } else {
                    let message = "expected one level with the name of a unit, as in {\"rack\": \"a\"}";
                    faults.push(Fault::new(&path, None, "wrong_type", message));
                }
            }
            other => {
                let message = format!("expected a name or a unit, found {}", other.form());
                faults.push(Fault::new(&path, None, "wrong_type", message));
            }
        }
    }
    failure
}

/// The failure classes that a list says, each as in a policy or in short.
fn tolerate(cluster: &Cluster, classes: Vec<Tree>) -> Result<Vec<FailureClass>, Vec<Fault>> {
    let mut found = Vec::new();
    let mut faults = Vec::new();
    for (at, class) in classes.into_iter().enumerate() {
        let path = format!("tolerate[{at}]");
        if let Tree::Text(text) = class {
            found.extend(names::classes(cluster, &path, &[text], &mut faults));
            continue;
        }
        let whole = Tree::Object(Vec::from([("tolerate".to_string(), Tree::List(Vec::from([class])))]));
        match Objects::of(cluster).policy(whole) {
            Ok(policy) => found.extend(policy.tolerate),
            Err(errors) => {
                for mut error in errors.into_vec() {
                    error.path = error.path.replacen("policy.tolerate[0]", &path, 1);
                    faults.push(Fault::of_document(&error));
                }
            }
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// What is to be added.
fn newcomer(cluster: &Cluster, shape: Option<Tree>, like: Option<String>) -> Result<Option<Newcomer>, Vec<Fault>> {
    match (shape, like) {
        (Some(_), Some(_)) => Err(one("shape", "conflict", "either \"shape\" or \"like\"")),
        (None, Some(name)) => {
            let mut faults = Vec::new();
            let vms = names::vms(cluster, "like", &[name], &mut faults);
            if faults.is_empty() { Ok(vms.first().copied().map(Newcomer::Like)) } else { Err(faults) }
        }
        (Some(Tree::Text(text)), None) => {
            let shape = names::shape(cluster, &text);
            shape.map(|shape| Some(Newcomer::Shape(shape))).map_err(|message| one("shape", "shape", message))
        }
        (Some(tree), None) => match Objects::of(cluster).amounts(tree) {
            Ok(amounts) => Ok(Some(Newcomer::Shape(amounts))),
            Err(errors) => {
                let faults = errors.into_vec().into_iter().map(|mut error| {
                    error.path = error.path.replacen("amounts", "shape", 1);
                    Fault::of_document(&error)
                });
                Err(faults.collect())
            }
        },
        (None, None) => Ok(None),
    }
}

/// Judges transaction after transaction; the state goes on with those that are admitted or observed.
fn admit(mut guard: Guard, changes: Tree, observe: bool, control: &Control) -> Result<(String, u8), Stop> {
    let lines: Vec<(String, String)> = match changes {
        Tree::Text(text) => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            lines.map(|(at, line)| (format!("line {}", at.saturating_add(1)), line.to_string())).collect()
        }
        Tree::List(list) => {
            let text = |change: &Tree| serde_json::to_string(change).unwrap_or_default();
            list.iter().enumerate().map(|(at, change)| (format!("changes[{at}]"), text(change))).collect()
        }
        other => {
            let message = format!("expected a list of transactions or text, found {}", other.form());
            return Err(one("changes", "wrong_type", message).into());
        }
    };
    let (mut text, mut status) = (String::new(), 0);
    for (place, line) in lines {
        match transaction(&mut guard, &line, &place, observe, control) {
            Ok(decision) => {
                if decision.outcome() == DecisionOutcome::Refused {
                    status = status.max(1);
                }
                text.push_str(&to_line(&decision_json(guard.cluster(), &decision)));
            }
            Err(_) if control.is_cancelled() => return Err(Stop::Cancelled),
            Err(faults) => {
                // Nothing of a bad transaction is carried out; those after it are judged all the same.
                status = 2;
                text.push_str(&to_line(&errors(&faults)));
            }
        }
    }
    Ok((text, status))
}
