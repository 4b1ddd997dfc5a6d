//! A verdict as JSON, `lifeboat-verdict/1`, with what the independent checker says of its evidence.
//!
//! Uses `guarantee` and `restart`. Used by `answers::ask` and the example program. The order of the fields here is that
//! of the text.

use super::forms::{node_names, vm_name};
use super::plan::{HELPED, help_json};
use crate::cluster::{Cluster, Priority, RestartClass, VmRef};
use crate::guarantee::{
    Answer, Certificate, ClassVerdict, Counterexample, Covers, Evidence, Outcome, PriceFamily, Pricing, Proof,
    Uncoverable, Unit, Verdict, VerifyError, check_certificate_controlled, check_counterexample, verify_controlled,
};
use crate::placement::budget::Control;
use crate::policy::{FailureClass, Policy};
use crate::restart::{Help, Planner, Unplaced};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;
use serde_json::Value;

/// A verdict, and all that is needed to print it.
#[derive(Debug)]
pub struct Judged<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The verdict.
    pub verdict: Verdict,
    /// Per class, what else is said of it.
    pub looked_at: Vec<LookedAt>,
}

/// What is said of a class besides its verdict.
#[derive(Debug, Default)]
pub struct LookedAt {
    /// Whether the independent checker accepted the evidence; `None` if there is nothing that it could replay.
    pub checked: Option<bool>,
    /// Of a counterexample: the protected VMs that a plan for it leaves out, and what would help them.
    pub unplaced: Vec<(Unplaced, Vec<Help>)>,
}

impl<'a> Judged<'a> {
    /// Verifies the policy's tolerance, has the evidence checked, and plans for the counterexamples.
    ///
    /// # Errors
    /// As [`verify_controlled`].
    pub fn ask(cluster: &'a Cluster, policy: &Policy, control: &Control) -> Result<Self, VerifyError> {
        let verdict = verify_controlled(cluster, policy, control)?;
        Self::of(cluster, policy, verdict, control)
    }

    /// The same of a verdict that is there already.
    ///
    /// # Errors
    /// [`VerifyError::Cancelled`].
    pub fn of(cluster: &'a Cluster, policy: &Policy, verdict: Verdict, control: &Control) -> Result<Self, VerifyError> {
        let look = |class| look_at(cluster, policy, class, control);
        let looked_at = verdict.classes().iter().map(look).collect::<Result<_, _>>()?;
        Ok(Self { cluster, verdict, looked_at })
    }

    /// Whether the independent checker refused the evidence of a class: then the prover is wrong, and its answer is worth
    /// nothing.
    pub fn is_doubted(&self) -> bool {
        self.looked_at.iter().any(|seen| seen.checked == Some(false))
    }

    /// The exit status of the answer: 0 holds, 1 fails, 3 undecided, or the evidence is not what it should be.
    pub fn status(&self) -> u8 {
        if self.is_doubted() { status(Answer::Undecided) } else { status(self.verdict.answer()) }
    }

    /// The classes with what is said of them.
    pub fn classes(&self) -> impl Iterator<Item = (&ClassVerdict, &LookedAt)> {
        self.verdict.classes().iter().zip(&self.looked_at)
    }

    /// The answer in the form that is printed.
    pub fn json(&self) -> impl Serialize + '_ {
        VerdictJson {
            classes: self.classes().map(|(class, seen)| class_json(self.cluster, class, seen)).collect(),
            format: "lifeboat-verdict/1",
            uncoverable: self.classes().flat_map(|(class, _)| uncoverable_json(self.cluster, class)).collect(),
            verdict: self.verdict.answer().name(),
        }
    }
}

/// The exit status of an answer: 0 holds, 1 fails, 3 undecided.
pub const fn status(answer: Answer) -> u8 {
    match answer {
        Answer::Holds => 0,
        Answer::Fails => 1,
        Answer::Undecided => 3,
    }
}

fn look_at(
    cluster: &Cluster,
    policy: &Policy,
    class: &ClassVerdict,
    control: &Control,
) -> Result<LookedAt, VerifyError> {
    let mut seen = LookedAt::default();
    match class.outcome() {
        Outcome::Holds(certificate) => {
            seen.checked = Some(check_certificate_controlled(cluster, policy, certificate, control).is_ok());
        }
        Outcome::Fails(counterexample) => {
            seen.checked = match check_counterexample(cluster, policy, class.class(), counterexample) {
                Ok(Evidence::Replayed) => Some(true),
                Ok(Evidence::NotReplayed) => None,
                Err(_) => Some(false),
            };
            seen.unplaced = unplaced(cluster, policy, class, counterexample, control)?;
        }
        Outcome::Undecided { .. } => {}
    }
    if control.is_cancelled() {
        return Err(VerifyError::Cancelled);
    }
    Ok(seen)
}

/// What a plan for the counterexample leaves out of the VMs that the class speaks of.
fn unplaced(
    cluster: &Cluster,
    policy: &Policy,
    class: &ClassVerdict,
    counterexample: &Counterexample,
    control: &Control,
) -> Result<Vec<(Unplaced, Vec<Help>)>, VerifyError> {
    let mut planner = Planner::new();
    let failure = counterexample.failure(cluster);
    // The failure is one of this cluster: only the caller's flag can end this.
    let plan = planner.restart_controlled(cluster, policy, &failure, control).map_err(|_| VerifyError::Cancelled)?;
    let least = class.class().min_priority.unwrap_or(Priority(0));
    let counts = |left: &&Unplaced| {
        let (restart, priority) = cluster.vm(left.vm).map_or((RestartClass::Never, Priority(0)), VmRef::effective);
        restart == RestartClass::Protected && priority >= least
    };
    let with_help = |(position, left): (usize, &Unplaced)| {
        let help = if position < HELPED {
            planner.help_controlled(cluster, &failure, &plan, left.vm, control).ok()
        } else {
            None
        };
        (left.clone(), help.unwrap_or_default())
    };
    Ok(plan.unplaced().iter().filter(counts).enumerate().map(with_help).collect())
}

fn unit_texts(units: &[Unit]) -> Vec<String> {
    units.iter().map(ToString::to_string).collect()
}

#[derive(Serialize)]
struct VerdictJson<'a> {
    classes: Vec<ClassJson<'a>>,
    format: &'static str,
    uncoverable: Vec<UncoverableJson<'a>>,
    verdict: &'static str,
}

#[derive(Serialize)]
struct UncoverableJson<'a> {
    failure: Vec<String>,
    message: String,
    nodes: Vec<&'a str>,
    tolerate: Tolerate<'a>,
    vm: &'a str,
}

/// Counts by level.
pub(super) type Tolerate<'a> = BTreeMap<&'a str, u32>;

pub(super) fn tolerate_json(fail: &[(String, u32)]) -> Tolerate<'_> {
    fail.iter().map(|(level, count)| (level.as_str(), *count)).collect()
}

/// The class as an object. It stands among others whose fields are sorted.
#[derive(Serialize)]
struct ClassJson<'a> {
    checked: bool,
    counterexample: Option<CounterexampleJson<'a>>,
    covers: Option<&'static str>,
    /// Whether its plans stop best-effort VMs where they stand in the way.
    evicts: bool,
    failing_units: Vec<String>,
    message: String,
    method: MethodJson,
    min_priority: Option<u32>,
    open: String,
    /// The verdict with the uncoverable VMs aside.
    rest: &'static str,
    scenarios: String,
    tightest: Option<TightestJson>,
    tolerate: Tolerate<'a>,
    verdict: &'static str,
}

#[derive(Serialize)]
struct MethodJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    backups: Option<usize>,
    banks: u32,
    exceptions: usize,
    searched: String,
    way: &'static str,
    work: String,
}

#[derive(Serialize)]
struct TightestJson {
    available: String,
    needed: String,
    units: Vec<String>,
}

#[derive(Serialize)]
struct CounterexampleJson<'a> {
    failed: Vec<&'a str>,
    message: &'a str,
    proof: ProofJson<'a>,
    units: Vec<String>,
    unplaced: Vec<UnplacedJson<'a>>,
}

#[derive(Serialize)]
struct UnplacedJson<'a> {
    /// As in a plan, with sorted fields.
    help: Vec<Value>,
    message: &'a str,
    reasons: Vec<ReasonJson>,
    vm: &'a str,
}

#[derive(Serialize)]
struct ReasonJson {
    code: &'static str,
    nodes: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ProofJson<'a> {
    Search { checked: bool, code: &'static str },
    Prices { available: String, code: &'static str, needed: String, prices: PricesJson<'a> },
}

#[derive(Serialize)]
#[serde(untagged)]
enum PricesJson<'a> {
    Weighted { weights: BTreeMap<&'a str, u64>, within: Option<&'a str> },
    Parts { kind: Option<&'a str>, part: u64, within: Option<&'a str> },
    Shape { shape: BTreeMap<&'a str, u64>, within: Option<&'a str> },
}

fn uncoverable_json<'a>(cluster: &'a Cluster, class: &'a ClassVerdict) -> Vec<UncoverableJson<'a>> {
    let one = |found: &'a Uncoverable| UncoverableJson {
        failure: unit_texts(&found.units),
        message: found.message(cluster),
        nodes: node_names(cluster, &found.nodes),
        tolerate: class_tolerate(class.class()),
        vm: vm_name(cluster, found.vm),
    };
    class.uncoverable().iter().map(one).collect()
}

fn class_tolerate(class: &FailureClass) -> Tolerate<'_> {
    tolerate_json(&class.fail)
}

fn class_json<'a>(cluster: &'a Cluster, class: &'a ClassVerdict, seen: &'a LookedAt) -> ClassJson<'a> {
    let tightest = match class.outcome() {
        Outcome::Undecided { tightest: Some(tight), .. } => Some(TightestJson {
            available: tight.available.to_string(),
            needed: tight.needed.to_string(),
            units: unit_texts(&tight.units),
        }),
        _ => None,
    };
    ClassJson {
        checked: seen.checked == Some(true),
        counterexample: class.counterexample().map(|found| counterexample_json(cluster, found, seen)),
        covers: class.covers().map(Covers::name),
        evicts: class.certificate().is_some_and(Certificate::evicts),
        failing_units: unit_texts(class.failing_units()),
        message: class.summary(),
        method: MethodJson {
            backups: class.certificate().map(Certificate::backups).filter(|count| *count > 0),
            banks: class.method().banks,
            exceptions: class.certificate().map_or(0, Certificate::exceptions),
            searched: class.method().searched.to_string(),
            way: class.method().way.name(),
            work: class.work().to_string(),
        },
        min_priority: class.class().min_priority.map(|priority| priority.0),
        open: class.open().to_string(),
        rest: class.rest().name(),
        scenarios: class.scenarios().to_string(),
        tightest,
        tolerate: class_tolerate(class.class()),
        verdict: class.answer().name(),
    }
}

fn counterexample_json<'a>(
    cluster: &'a Cluster,
    found: &'a Counterexample,
    seen: &'a LookedAt,
) -> CounterexampleJson<'a> {
    let sorted = |help: &Help| serde_json::to_value(help_json(cluster, help)).unwrap_or_default();
    let unplaced = seen.unplaced.iter().map(|(left, help)| UnplacedJson {
        help: help.iter().map(sorted).collect(),
        message: &left.message,
        reasons: left.reasons.iter().map(|one| ReasonJson { code: one.reason.code(), nodes: one.nodes }).collect(),
        vm: vm_name(cluster, left.vm),
    });
    CounterexampleJson {
        failed: node_names(cluster, found.failed()),
        message: found.message(),
        proof: proof_json(cluster, found.proof()),
        units: unit_texts(found.units()),
        unplaced: unplaced.collect(),
    }
}

fn proof_json<'a>(cluster: &'a Cluster, proof: &'a Proof) -> ProofJson<'a> {
    let code = proof.code();
    match proof {
        Proof::Search { checked } => ProofJson::Search { checked: *checked, code },
        Proof::Prices { family, needed, available } => ProofJson::Prices {
            available: available.to_string(),
            code,
            needed: needed.to_string(),
            prices: prices_json(cluster, family),
        },
    }
}

fn prices_json<'a>(cluster: &'a Cluster, family: &'a PriceFamily) -> PricesJson<'a> {
    let by_kind = |amounts: &[u64]| -> BTreeMap<&'a str, u64> {
        cluster.kinds().iter().zip(amounts).map(|(kind, amount)| (kind.name.as_str(), *amount)).collect()
    };
    let within = family.within.map(|vm| vm_name(cluster, vm));
    match &family.pricing {
        Pricing::Weighted { weights } => PricesJson::Weighted { weights: by_kind(weights), within },
        Pricing::Parts { kind, size } => {
            let kind = cluster.kinds().get(*kind).map(|kind| kind.name.as_str());
            PricesJson::Parts { kind, part: *size, within }
        }
        Pricing::Shape { shape } => PricesJson::Shape { shape: by_kind(shape), within },
    }
}
