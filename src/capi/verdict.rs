//! Verdicts: made, and read without JSON.
//!
//! Uses `guarantee` and `answers` (verdicts as JSON).

use super::buffer::{BufferHandle, CancelHandle, controlled, put_text};
use super::certificate::{CertificateHandle, Held};
use super::cluster::ClusterHandle;
use super::error::ErrorHandle;
use super::handle::{free, guard, kind, lend};
use super::plan::{add_node, add_vm, one, pair, same_state};
use super::policy::PolicyHandle;
use super::status::{LIFEBOAT_NO, LIFEBOAT_UNDECIDED, LIFEBOAT_YES, Status};
use super::values::{Str, Texts, Unit, fill, first_version, position, put, put_handle, put_if, writable, writable_if};
use crate::answers::{Judged, to_text};
use crate::cluster::{Cluster, ClusterState};
use crate::guarantee::{Answer, ClassVerdict, Counterexample, Covers, Unit as Lost, Verdict, verify_controlled};
use alloc::string::ToString;
use alloc::vec::Vec;

/// A verdict: whether every failure that a policy tolerates is survived.
pub struct VerdictHandle {
    _opaque: (),
}
kind!(VerdictHandle(VerdictBody) = 0x1b0a_0007, "verdict");

/// A certificate covers losses that come at once.
pub const LIFEBOAT_AT_ONCE: i32 = 1;
/// A certificate covers losses one after another, in any order.
pub const LIFEBOAT_ANY_ORDER: i32 = 2;

/// The verdict on one failure class. `size` is sizeof(lifeboat_class_verdict).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ClassVerdictView {
    /// sizeof(lifeboat_class_verdict), set by the caller.
    pub size: u32,
    /// LIFEBOAT_YES: holds; LIFEBOAT_NO: fails; LIFEBOAT_UNDECIDED.
    pub answer: i32,
    /// The same, with the VMs aside that cannot be covered.
    pub rest: i32,
    /// LIFEBOAT_AT_ONCE, LIFEBOAT_ANY_ORDER, or 0: nothing.
    pub covers: i32,
    /// Only protected VMs of at least this priority; 0: all.
    pub min_priority: u32,
    /// How many banks the proof has.
    pub banks: u32,
    /// What it cost, in node evaluations.
    pub work: u64,
    /// How many units may not fail alone: lifeboat_verdict_failing_unit.
    pub failing_units: usize,
    /// How many VMs cannot be covered: lifeboat_verdict_uncoverable.
    pub uncoverable: usize,
    /// How many units the counterexample has, 0 if there is none: lifeboat_verdict_counterexample_unit.
    pub counterexample_units: usize,
    /// How many nodes they are: lifeboat_verdict_counterexample_node.
    pub counterexample_nodes: usize,
    /// A sentence.
    pub message: Str,
    /// How it was found: prices, banks, pairs, search.
    pub way: Str,
    /// Of a counterexample: prices or search; else empty.
    pub proof: Str,
    /// How many failures there are in the class, as text: it may be large.
    pub scenarios: Str,
    /// How many of them are open.
    pub open: Str,
}

first_version!(ClassVerdictView { .., open: Str } = 144 | 88);

/// Where the texts of one class begin: message, way, proof, scenarios, open, then the lists.
#[derive(Debug)]
struct ClassTexts {
    begin: usize,
    failing: usize,
    uncoverable: usize,
    units: usize,
    nodes: usize,
}

/// A verdict, and the names in it.
#[derive(Debug)]
pub(super) struct VerdictBody {
    verdict: Verdict,
    state: ClusterState,
    texts: Texts,
    classes: Vec<ClassTexts>,
}

impl VerdictBody {
    fn new(cluster: &Cluster, verdict: Verdict) -> Self {
        let mut texts = Texts::default();
        let classes = verdict.classes().iter().map(|class| class_texts(&mut texts, cluster, class)).collect();
        Self { verdict, state: cluster.state(), texts, classes }
    }

    fn class(&self, index: usize) -> Option<(&ClassVerdict, &ClassTexts)> {
        self.verdict.classes().get(index).zip(self.classes.get(index))
    }
}

fn class_texts(texts: &mut Texts, cluster: &Cluster, class: &ClassVerdict) -> ClassTexts {
    let begin = texts.add(&class.summary());
    texts.add(class.method().way.name());
    texts.add(class.counterexample().map_or("", |found| found.proof().code()));
    texts.add(&class.scenarios().to_string());
    texts.add(&class.open().to_string());
    let failing = texts.len();
    add_units(texts, class.failing_units());
    let uncoverable = texts.len();
    for found in class.uncoverable() {
        add_vm(texts, cluster, found.vm);
        texts.add(&found.message(cluster));
    }
    let units = texts.len();
    add_units(texts, class.counterexample().map_or(&[], Counterexample::units));
    let nodes = texts.len();
    let failed = class.counterexample().map_or(&[][..], Counterexample::failed);
    for node in failed {
        add_node(texts, cluster, *node);
    }
    ClassTexts { begin, failing, uncoverable, units, nodes }
}

fn add_units(texts: &mut Texts, units: &[Lost]) {
    for unit in units {
        texts.add(&unit.level);
        texts.add(&unit.name);
    }
}

const fn answer_code(answer: Answer) -> i32 {
    match answer {
        Answer::Holds => LIFEBOAT_YES,
        Answer::Fails => LIFEBOAT_NO,
        Answer::Undecided => LIFEBOAT_UNDECIDED,
    }
}

pub(super) const fn covers_code(covers: Option<Covers>) -> i32 {
    match covers {
        None => 0,
        Some(Covers::AtOnce) => LIFEBOAT_AT_ONCE,
        Some(Covers::AnyOrder) => LIFEBOAT_ANY_ORDER,
    }
}

/// Verifies that a policy's tolerance is survived.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verify(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    cancel: *const CancelHandle,
    out: *mut *mut VerdictHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (cluster, policy) = (lend(cluster)?, lend(policy)?);
        let verdict = controlled(cancel, |control| verify_controlled(&cluster.cluster, &policy, control))??;
        put_handle(out, VerdictBody::new(&cluster.cluster, verdict))
    })
}

/// Frees a verdict; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_free(verdict: *mut VerdictHandle) -> Status {
    free(verdict)
}

/// The answer of a verdict (LIFEBOAT_YES: holds, LIFEBOAT_NO: fails, LIFEBOAT_UNDECIDED), and how many classes it has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_summary(
    verdict: *mut VerdictHandle,
    answer: *mut i32,
    classes: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable_if(answer)?;
        writable_if(classes)?;
        let body = lend(verdict)?;
        put_if(answer, answer_code(body.verdict.answer()))?;
        put_if(classes, body.classes.len())
    })
}

/// The verdict on one class.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_class(
    verdict: *mut VerdictHandle,
    index: usize,
    out: *mut ClassVerdictView,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(verdict)?;
        let (class, texts) = body.class(index).ok_or_else(position)?;
        let text = |at: usize| body.texts.view(texts.begin.saturating_add(at));
        let found = class.counterexample();
        let view = ClassVerdictView {
            size: 0,
            answer: answer_code(class.answer()),
            rest: answer_code(class.rest()),
            covers: covers_code(class.covers()),
            min_priority: class.class().min_priority.map_or(0, |priority| priority.0),
            banks: class.method().banks,
            work: class.work(),
            failing_units: class.failing_units().len(),
            uncoverable: class.uncoverable().len(),
            counterexample_units: found.map_or(0, |found| found.units().len()),
            counterexample_nodes: found.map_or(0, |found| found.failed().len()),
            message: text(0),
            way: text(1),
            proof: text(2),
            scenarios: text(3),
            open: text(4),
        };
        fill(out, view)
    })
}

/// One unit that may not fail alone, of a class of one unit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_failing_unit(
    verdict: *mut VerdictHandle,
    class: usize,
    index: usize,
    out: *mut Unit,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(verdict)?;
        let (class, texts) = body.class(class).ok_or_else(position)?;
        class.failing_units().get(index).ok_or_else(position)?;
        put(out, unit(&body.texts, texts.failing, index))
    })
}

/// One unit of a class's counterexample: they cannot all fail together.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_counterexample_unit(
    verdict: *mut VerdictHandle,
    class: usize,
    index: usize,
    out: *mut Unit,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(verdict)?;
        let (class, texts) = body.class(class).ok_or_else(position)?;
        class.counterexample().and_then(|found| found.units().get(index)).ok_or_else(position)?;
        put(out, unit(&body.texts, texts.units, index))
    })
}

/// One node of the units of a class's counterexample.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_counterexample_node(
    verdict: *mut VerdictHandle,
    class: usize,
    index: usize,
    node: *mut Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(verdict)?;
        let (class, texts) = body.class(class).ok_or_else(position)?;
        let failed = class.counterexample().map_or(0, |found| found.failed().len());
        one(&body.texts, texts.nodes, failed, index, node)
    })
}

/// One VM that some failure of a class leaves without any node that could take it: which, and a sentence.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_uncoverable(
    verdict: *mut VerdictHandle,
    class: usize,
    index: usize,
    vm: *mut Str,
    message: *mut Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(verdict)?;
        let (class, texts) = body.class(class).ok_or_else(position)?;
        class.uncoverable().get(index).ok_or_else(position)?;
        pair(&body.texts, texts.uncoverable, index, vm, message)
    })
}

fn unit(texts: &Texts, begin: usize, index: usize) -> Unit {
    let at = begin.saturating_add(index.saturating_mul(2));
    Unit { level: texts.view(at), name: texts.view(at.saturating_add(1)) }
}

/// The certificates of a verdict, to look plans up in, check or store: of each class that holds, and of each that fails
/// for VMs alone that cannot be covered (its `rest` holds), which the certificate leaves out. lifeboat_certificate_class
/// says for which class each is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_certificates(
    verdict: *mut VerdictHandle,
    out: *mut *mut CertificateHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let body = lend(verdict)?;
        let classes = body.verdict.classes().iter().enumerate();
        let held = classes.filter_map(|(at, class)| class.certificate().map(|found| (Some(at), found.clone())));
        put_handle(out, Held::all(held))
    })
}

/// A verdict as JSON, lifeboat-verdict/1, with what the independent checker says of its evidence.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_verdict_to_json(
    verdict: *mut VerdictHandle,
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    cancel: *const CancelHandle,
    out: *mut *mut BufferHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (body, cluster, policy) = (lend(verdict)?, lend(cluster)?, lend(policy)?);
        let cluster = &cluster.cluster;
        same_state(body.state, cluster)?;
        put_text(out, || {
            let verdict = body.verdict.clone();
            let judged = controlled(cancel, |control| Judged::of(cluster, &policy, verdict, control))??;
            Ok(to_text(&judged.json()))
        })
    })
}
