//! The scenarios of `tests/scenarios`, and random documents with rules, asked three ways: through Rust, through the typed calls of the C ABI, and through its
//! JSON call. All say the same.
//!
//! The calls are made as C makes them, by pointers; every handle is freed, which a leak checker can see.

#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::pedantic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::undocumented_unsafe_blocks,
    clippy::disallowed_methods,
    reason = "a test of an interface of pointers: all that it passes are good, and one that fails panics"
)]
#![cfg(feature = "capi")]

use lifeboat::answers::{Judged, Planned, ask, to_text};
use lifeboat::capi::*;
use lifeboat::document::to_json;
use lifeboat::{Certificate, Cluster, Control, Document, Failure, NodeId, NodeRef, Planner, Reason, VmId, verify};
use lifeboat_testkit::scenario::{Block, blocks};
use lifeboat_testkit::verdict_cases::{VerdictCase, ruled_from_seed, tight_from_seed};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

fn str(text: &str) -> Str {
    Str { data: text.as_ptr().cast(), length: text.len() }
}

fn text(given: Str) -> String {
    let bytes = unsafe { std::slice::from_raw_parts(given.data.cast::<u8>(), given.length + 1) };
    let (nul, text) = bytes.split_last().unwrap();
    assert_eq!(*nul, 0, "strings out end in NUL");
    String::from_utf8(text.to_vec()).unwrap()
}

fn done(status: Status) {
    assert_eq!(status, LIFEBOAT_OK);
}

fn empty() -> Str {
    str("")
}

/// A struct of zeros that says its size.
fn sized<T>(set: impl FnOnce(&mut T, u32)) -> T {
    let mut value = unsafe { std::mem::zeroed() };
    set(&mut value, u32::try_from(size_of::<T>()).unwrap());
    value
}

/// The text of a buffer, which is freed.
fn take(buffer: *mut BufferHandle) -> String {
    let mut view = empty();
    done(unsafe { lifeboat_buffer_text(buffer, &mut view) });
    let text = text(view);
    done(unsafe { lifeboat_buffer_free(buffer) });
    text
}

/// Code, name, nodes, amounts.
type ReasonTold = (String, String, u64, [u64; 3]);

/// What a plan says, however it was asked for.
#[derive(PartialEq, Eq, Debug, Default)]
struct Told {
    answer: i32,
    optimal: bool,
    work: u64,
    placements: Vec<(String, String, u32)>,
    evictions: Vec<(String, String)>,
    unplaced: Vec<(String, String, Vec<ReasonTold>)>,
    waiting: Vec<String>,
    left_alone: Vec<String>,
    failed: Vec<String>,
    classes: Vec<(i32, u32, u32, u32, u32)>,
    times: Vec<(String, u64, u64)>,
    total_free: Vec<u64>,
}

fn from_rust(planned: &Planned<'_>) -> Told {
    let (cluster, plan) = (planned.cluster, &planned.plan);
    let vm = |id| cluster.vm(id).unwrap().name().to_string();
    let node = |id| cluster.node(id).unwrap().name().to_string();
    let kind = |at: usize| cluster.kinds().get(at).unwrap().name.clone();
    let reason = |one: &lifeboat::ReasonCount| {
        let (name, amounts) = match &one.reason {
            Reason::NotAccepting { state } => (state.name().to_string(), [0; 3]),
            Reason::MissingLabel { label } => (label.clone(), [0; 3]),
            Reason::Rule { name, .. } | Reason::Prerequisite { name, .. } => (name.clone(), [0; 3]),
            Reason::Insufficient { kind: at, needed, free } => (kind(*at), [*needed, *free, 0]),
            Reason::Fragmentation { kind: at, total_free, largest_hole } => {
                (kind(*at), [0, *total_free, *largest_hole])
            }
            _ => (String::new(), [0; 3]),
        };
        (one.reason.code().to_string(), name, u64::try_from(one.nodes).unwrap(), amounts)
    };
    Told {
        answer: i32::from(planned.status()),
        optimal: plan.is_optimal(),
        work: plan.work(),
        placements: plan.placements().iter().map(|one| (vm(one.vm), node(one.node), one.wave)).collect(),
        evictions: plan.evictions().iter().map(|one| (vm(one.vm), node(one.node))).collect(),
        unplaced: plan
            .unplaced()
            .iter()
            .map(|left| (vm(left.vm), left.message.clone(), left.reasons.iter().map(reason).collect()))
            .collect(),
        waiting: plan.waiting().iter().map(|id| vm(*id)).collect(),
        left_alone: plan.left_alone().iter().map(|id| vm(*id)).collect(),
        failed: plan.failed().iter().map(|id| node(*id)).collect(),
        classes: plan
            .classes()
            .iter()
            .map(|class| {
                let restart = match class.restart {
                    lifeboat::RestartClass::Protected => LIFEBOAT_PROTECTED,
                    lifeboat::RestartClass::BestEffort => LIFEBOAT_BEST_EFFORT,
                    lifeboat::RestartClass::Never => LIFEBOAT_NEVER,
                };
                (restart, class.priority.0, class.displaced, class.placed, class.bound)
            })
            .collect(),
        times: planned.estimate.starts().iter().map(|one| (vm(one.vm), one.start_s, one.ready_s)).collect(),
        total_free: (0..cluster.kinds().len()).map(|at| planned.free.total.of(at)).collect(),
    }
}

unsafe fn from_c(plan: *mut PlanHandle, cluster: *mut ClusterHandle, policy: *mut PolicyHandle, kinds: usize) -> Told {
    let mut told = Told::default();
    let mut summary: PlanSummary = sized(|summary: &mut PlanSummary, size| summary.size = size);
    let (mut first, mut second, mut count) = (empty(), empty(), 0);
    unsafe {
        done(lifeboat_plan_summarize(plan, &mut summary, null_mut()));
        (told.answer, told.optimal, told.work) = (summary.answer, summary.optimal == 1, summary.work);
        for at in 0..summary.placements {
            let mut wave = 0;
            done(lifeboat_plan_placement(plan, at, &mut first, &mut second, &mut wave, null_mut()));
            told.placements.push((text(first), text(second), wave));
        }
        for at in 0..summary.evictions {
            done(lifeboat_plan_eviction(plan, at, &mut first, &mut second, null_mut()));
            told.evictions.push((text(first), text(second)));
        }
        for at in 0..summary.unplaced {
            done(lifeboat_plan_unplaced(plan, at, &mut first, &mut second, &mut count, null_mut()));
            let mut reasons = Vec::new();
            for index in 0..count {
                let mut reason: ReasonView = sized(|reason: &mut ReasonView, size| reason.size = size);
                done(lifeboat_plan_reason(plan, at, index, &mut reason, null_mut()));
                let amounts = [reason.needed, reason.free, reason.largest_hole];
                reasons.push((text(reason.code), text(reason.name), reason.nodes, amounts));
            }
            told.unplaced.push((text(first), text(second), reasons));
        }
        for at in 0..summary.waiting {
            done(lifeboat_plan_waiting(plan, at, &mut first, null_mut()));
            told.waiting.push(text(first));
        }
        for at in 0..summary.left_alone {
            done(lifeboat_plan_left_alone(plan, at, &mut first, null_mut()));
            told.left_alone.push(text(first));
        }
        for at in 0..summary.failed {
            done(lifeboat_plan_failed(plan, at, &mut first, null_mut()));
            told.failed.push(text(first));
        }
        for at in 0..summary.classes {
            let mut class: PlanClassCounts = sized(|class: &mut PlanClassCounts, size| class.size = size);
            done(lifeboat_plan_class(plan, at, &mut class, null_mut()));
            told.classes.push((class.restart, class.priority, class.displaced, class.placed, class.bound));
        }
        // One more than there are is not there.
        assert_eq!(lifeboat_plan_failed(plan, summary.failed, &mut first, null_mut()), LIFEBOAT_NOT_FOUND);
        let past = lifeboat_plan_placement(plan, summary.placements, &mut first, null_mut(), null_mut(), null_mut());
        assert_eq!(past, LIFEBOAT_NOT_FOUND);
        done(lifeboat_plan_estimate(plan, cluster, policy, null_mut(), &mut count, null_mut()));
        for at in 0..count {
            let (mut start_s, mut ready_s) = (0, 0);
            done(lifeboat_plan_start_time(plan, at, &mut first, &mut start_s, &mut ready_s, null_mut()));
            told.times.push((text(first), start_s, ready_s));
        }
        told.total_free = vec![0; kinds];
        let total = told.total_free.as_mut_ptr();
        done(lifeboat_plan_free_amounts(plan, cluster, total, null_mut(), kinds, null_mut()));
    }
    told
}

/// The answer of the JSON call.
fn call(block: &Block, question: &str, fields: Value) -> (String, i32) {
    let mut request = fields;
    request["format"] = "lifeboat-request/1".into();
    request["question"] = question.into();
    request["cluster"] = "HERE".into();
    // As it stands: a tree would sort the levels of a failure class, which certificates keep in their order.
    let request = request.to_string().replacen("\"HERE\"", &block.document, 1);
    let (mut buffer, mut answer) = (null_mut(), -1);
    done(unsafe { lifeboat_json_call(str(&request), null(), &mut answer, &mut buffer, null_mut()) });
    let said = take(buffer);
    assert_eq!(said, ask(&request).text);
    (said, answer)
}

fn plans_agree(block: &Block, fails: &[(String, String)]) {
    let (cluster, policy) = Document::from_json(&block.document).unwrap().into_parts();
    let mut failure = Failure::none();
    for (level, name) in fails {
        failure = failure.domain(&cluster, level, name).unwrap();
    }
    let plan = Planner::new().restart(&cluster, &policy, &failure).unwrap();
    let planned = Planned::of(&cluster, &policy, &failure, plan, &[], &Control::new()).unwrap();
    let json = to_text(&planned.json());

    let units: Vec<Unit> = fails.iter().map(|(level, name)| Unit { level: str(level), name: str(name) }).collect();
    let (mut there, mut rules, mut plan, mut buffer) = (null_mut(), null_mut(), null_mut(), null_mut());
    unsafe {
        done(lifeboat_cluster_from_json(str(&block.document), &mut there, &mut rules, null_mut()));
        done(lifeboat_plan_restart(there, rules, units.as_ptr(), units.len(), null(), &mut plan, null_mut()));
        assert_eq!(from_c(plan, there, rules, cluster.kinds().len()), from_rust(&planned), "{}", block.title);
        done(lifeboat_plan_to_json(plan, there, rules, null(), &mut buffer, null_mut()));
        assert_eq!(take(buffer), json, "{}", block.title);
        done(lifeboat_plan_free(plan));
        done(lifeboat_policy_free(rules));
        done(lifeboat_cluster_free(there));
    }
    let fail: Vec<Value> = fails.iter().map(|(level, name)| json!({ level: name })).collect();
    assert_eq!(call(block, "plan", json!({ "fail": fail })), (json, i32::from(planned.status())), "{}", block.title);
}

/// Returns how many evictions the certificates' plans have.
fn verdicts_agree(block: &Block, counts: &[(String, u32)], least: u32) -> usize {
    let (cluster, mut policy) = Document::from_json(&block.document).unwrap().into_parts();
    let mut fields = json!({});
    if !counts.is_empty() {
        let mut class = lifeboat::policy::FailureClass::nodes(0);
        class.fail = counts.to_vec();
        class.min_priority = Some(lifeboat::Priority(least)).filter(|least| least.0 > 0);
        policy.tolerate = vec![class];
        let texts: Vec<String> = counts.iter().map(|(level, count)| format!("{level}={count}")).collect();
        let priority = if least > 0 { format!(":{least}") } else { String::new() };
        fields["tolerate"] = json!([format!("{}{priority}", texts.join(","))]);
    }
    let verdict = verify(&cluster, &policy).unwrap();
    let judged = Judged::of(&cluster, &policy, verdict.clone(), &Control::new()).unwrap();
    let json = to_text(&judged.json());

    let (mut there, mut rules, mut found, mut buffer) = (null_mut(), null_mut(), null_mut(), null_mut());
    let (mut answer, mut classes, mut certificates, mut evictions) = (-1, 0, null_mut(), 0);
    unsafe {
        done(lifeboat_cluster_from_json(str(&block.document), &mut there, &mut rules, null_mut()));
        if !counts.is_empty() {
            let levels: Vec<Str> = counts.iter().map(|(level, _)| str(level)).collect();
            let numbers: Vec<u32> = counts.iter().map(|(_, count)| *count).collect();
            let mut spec: ToleranceSpec = sized(|spec: &mut ToleranceSpec, size| spec.size = size);
            (spec.levels, spec.counts, spec.level_count) = (levels.as_ptr(), numbers.as_ptr(), levels.len());
            spec.min_priority = least;
            done(lifeboat_policy_tolerate_nothing(rules, null_mut()));
            done(lifeboat_policy_tolerate(rules, &spec, null_mut()));
        }
        done(lifeboat_verify(there, rules, null(), &mut found, null_mut()));
        done(lifeboat_verdict_summary(found, &mut answer, &mut classes, null_mut()));
        assert_eq!((answer, classes), (i32::from(judged.status()), verdict.classes().len()), "{}", block.title);
        for (at, class) in verdict.classes().iter().enumerate() {
            let mut view: ClassVerdictView = sized(|view: &mut ClassVerdictView, size| view.size = size);
            done(lifeboat_verdict_class(found, at, &mut view, null_mut()));
            assert_eq!(text(view.message), class.summary());
            assert_eq!(text(view.way), class.method().way.name());
            assert_eq!(
                (text(view.scenarios), text(view.open)),
                (class.scenarios().to_string(), class.open().to_string())
            );
            assert_eq!(text(view.proof), class.counterexample().map_or("", |one| one.proof().code()));
            let units = |count: usize, of: &dyn Fn(usize, *mut Unit) -> Status| -> Vec<(String, String)> {
                let one = |index| {
                    let mut unit = Unit { level: empty(), name: empty() };
                    done(of(index, &mut unit));
                    (text(unit.level), text(unit.name))
                };
                (0..count).map(one).collect()
            };
            let names = |units: &[lifeboat::Unit]| -> Vec<(String, String)> {
                units.iter().map(|unit| (unit.level.clone(), unit.name.clone())).collect()
            };
            let failing = units(view.failing_units, &|index, out| {
                lifeboat_verdict_failing_unit(found, at, index, out, null_mut())
            });
            assert_eq!(failing, names(class.failing_units()));
            let counter = units(view.counterexample_units, &|index, out| {
                lifeboat_verdict_counterexample_unit(found, at, index, out, null_mut())
            });
            assert_eq!(counter, class.counterexample().map_or(Vec::new(), |one| names(one.units())));
            assert_eq!(view.counterexample_nodes, class.counterexample().map_or(0, |one| one.failed().len()));
            assert_eq!(view.uncoverable, class.uncoverable().len());
            for index in 0..view.uncoverable {
                let (mut vm, mut message) = (empty(), empty());
                done(lifeboat_verdict_uncoverable(found, at, index, &mut vm, &mut message, null_mut()));
                assert_eq!(text(message), class.uncoverable()[index].message(&cluster));
                assert_eq!(text(vm), cluster.vm(class.uncoverable()[index].vm).unwrap().name());
            }
        }
        done(lifeboat_verdict_to_json(found, there, rules, null(), &mut buffer, null_mut()));
        assert_eq!(take(buffer), json, "{}", block.title);
        // Certificates go out and come in, and the checker takes them.
        done(lifeboat_verdict_certificates(found, &mut certificates, null_mut()));
        let (mut count, mut loaded) = (0, null_mut());
        done(lifeboat_certificate_count(certificates, &mut count, null_mut()));
        assert_eq!(count, verdict.certificates().count());
        done(lifeboat_certificate_to_json(certificates, there, &mut buffer, null_mut()));
        let stored = take(buffer);
        done(lifeboat_certificate_from_json(there, str(&stored), &mut loaded, null_mut()));
        let checked = lifeboat_certificate_check(loaded, there, rules, null(), null_mut());
        assert_eq!(checked, if count == 0 { LIFEBOAT_NOT_VALID } else { LIFEBOAT_OK }, "{}", block.title);
        assert_eq!(call(block, "certify", fields.clone()).0, stored);
        for (at, certificate) in verdict.certificates().enumerate() {
            for node in cluster.nodes() {
                evictions += look_ups_agree(&cluster, certificate, node, certificates, at, there);
            }
        }
        done(lifeboat_certificate_free(loaded));
        done(lifeboat_certificate_free(certificates));
        done(lifeboat_verdict_free(found));
        done(lifeboat_policy_free(rules));
        done(lifeboat_cluster_free(there));
    }
    assert_eq!(call(block, "verify", fields), (json, i32::from(judged.status())), "{}", block.title);
    evictions
}

/// What a certificate promises for the loss of a node. Returns how many evictions that needs.
unsafe fn look_ups_agree(
    cluster: &Cluster,
    certificate: &Certificate,
    node: NodeRef<'_>,
    certificates: *mut CertificateHandle,
    at: usize,
    there: *mut ClusterHandle,
) -> usize {
    let unit = Unit { level: empty(), name: str(node.name()) };
    let (mut plan, mut first, mut second) = (null_mut(), empty(), empty());
    let mut summary: PlanSummary = sized(|summary: &mut PlanSummary, size| summary.size = size);
    let promise = certificate.plan_for(cluster, &Failure::of([node.id()]));
    let mut told = (Vec::new(), Vec::new());
    unsafe {
        let status = lifeboat_certificate_plan_for(certificates, at, there, &unit, 1, &mut plan, null_mut());
        let Ok(promise) = promise else {
            assert_ne!(status, LIFEBOAT_OK);
            return 0;
        };
        done(status);
        done(lifeboat_plan_summarize(plan, &mut summary, null_mut()));
        // A promise speaks of its class alone: it says neither that all restart nor that no more could.
        assert_eq!((summary.answer, summary.optimal), (LIFEBOAT_UNDECIDED, 0));
        for index in 0..summary.placements {
            done(lifeboat_plan_placement(plan, index, &mut first, &mut second, null_mut(), null_mut()));
            told.0.push((text(first), text(second)));
        }
        for index in 0..summary.evictions {
            done(lifeboat_plan_eviction(plan, index, &mut first, &mut second, null_mut()));
            told.1.push((text(first), text(second)));
        }
        done(lifeboat_plan_free(plan));
        let names = |pairs: &[(VmId, NodeId)]| -> Vec<(String, String)> {
            let of = |(vm, node): &(VmId, NodeId)| {
                (cluster.vm(*vm).unwrap().name().to_string(), cluster.node(*node).unwrap().name().to_string())
            };
            pairs.iter().map(of).collect()
        };
        assert_eq!(told, (names(&promise.placements), names(&promise.evictions)));
    }
    told.1.len()
}

fn scenarios() -> Vec<Block> {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "txt") {
                found.push(path);
            }
        }
        found.sort();
    }
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios"), &mut paths);
    paths.iter().flat_map(|path| blocks(&std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn rust_typed_calls_and_json_say_the_same() {
    let (mut plans, mut verdicts, mut broken, mut evictions) = (0, 0, 0, 0);
    for block in scenarios() {
        if let Err(errors) = Document::from_json(&block.document) {
            broken += 1;
            let (mut there, mut error) = (null_mut(), null_mut());
            let (mut message, mut details) = (empty(), empty());
            unsafe {
                let status = lifeboat_cluster_from_json(str(&block.document), &mut there, null_mut(), &mut error);
                assert_eq!(status, LIFEBOAT_BAD_DOCUMENT);
                done(lifeboat_error_message(error, &mut message));
                done(lifeboat_error_details(error, &mut details));
                assert_eq!(text(message), errors.to_string());
                let details: Value = serde_json::from_str(&text(details)).unwrap();
                let paths: Vec<&str> =
                    details["errors"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
                assert_eq!(paths, errors.iter().map(|error| error.path.as_str()).collect::<Vec<_>>());
                done(lifeboat_error_free(error));
            }
            continue;
        }
        evictions += verdicts_agree(&block, &[], 0);
        verdicts += 1;
        for ask in &block.asks {
            let (command, arguments) = ask.words.split_first().unwrap();
            if command == "verify" {
                let (mut counts, mut least) = (Vec::new(), 0);
                for argument in arguments {
                    match argument.split_once('=').unwrap() {
                        ("priority", name) => least = lifeboat::Priority::from_name(name).unwrap().0,
                        (level, count) => counts.push((level.to_string(), count.parse().unwrap())),
                    }
                }
                evictions += verdicts_agree(&block, &counts, least);
                verdicts += 1;
            } else if command != "check" {
                let fails = arguments.iter().filter_map(|argument| argument.strip_prefix("fail="));
                let unit = |failed: &str| {
                    let (level, name) = failed.split_once(':').unwrap_or(("node", failed));
                    (level.to_string(), name.to_string())
                };
                plans_agree(&block, &fails.map(unit).collect::<Vec<_>>());
                plans += 1;
            }
        }
    }
    println!("{plans} plans, {verdicts} verdicts, {broken} documents with errors");
    assert!(plans > 80 && verdicts > 80 && evictions > 0, "{plans} {verdicts} {evictions}");
}

#[test]
fn random_documents_are_answered_alike() {
    let cases = (0..140).map(tight_from_seed).chain((0..60).map(ruled_from_seed));
    let (mut unplaced, mut holding) = (0, 0);
    for (at, VerdictCase { cluster, mut policy }) in cases.enumerate() {
        policy.budget.verify = policy.budget.verify.min(100_000);
        let (title, document) = (format!("random document {at}"), to_json(&cluster, &policy));
        let block = Block { title, document, head: String::new(), asks: Vec::new() };
        let mut fails = vec![Vec::new()];
        let nodes: Vec<(String, String)> =
            cluster.nodes().map(|node| ("node".to_string(), node.name().to_string())).collect();
        fails.push(nodes.iter().take(1).cloned().collect());
        fails.push(nodes.iter().rev().take(2).cloned().collect());
        for fails in &fails {
            plans_agree(&block, fails);
            let failed: Vec<NodeId> = fails.iter().filter_map(|(_, name)| cluster.node_id(name)).collect();
            unplaced += Planner::new().restart(&cluster, &policy, &Failure::of(failed)).unwrap().unplaced().len();
        }
        verdicts_agree(&block, &[], 0);
        holding += verify(&cluster, &policy).unwrap().certificates().count();
    }
    println!("{unplaced} VMs without a place, {holding} classes that hold");
    assert!(unplaced > 50 && holding > 100, "{unplaced} {holding}");
}

#[test]
fn requests_are_judged_as_in_rust() {
    let document = include_str!("../examples/data/small.json");
    let lines = [
        r#"{"op": "stop", "vm": "db-1"}"#,
        r#"{"op": "start", "vm": "db-1"}"#,
        r#"{"op": "add_vm", "vm": {"name": "huge", "demand": {"cpu": 1, "memory": 99999999}, "power": "on"}}"#,
        r#"[{"op": "set_state", "node": "kvm-1", "state": "failed"}]"#,
    ];
    let (mut there, mut rules, mut judge) = (null_mut(), null_mut(), null_mut());
    let (cluster, policy) = Document::from_json(document).unwrap().into_parts();
    let mut guard = lifeboat::Guard::new(cluster, policy);
    unsafe {
        done(lifeboat_cluster_from_json(str(document), &mut there, &mut rules, null_mut()));
        done(lifeboat_guard_new(there, rules, &mut judge, null_mut()));
        for line in lines {
            let decision = lifeboat::answers::transaction(&mut guard, line, "line", false, &Control::new()).unwrap();
            let (mut found, mut buffer) = (null_mut(), null_mut());
            done(lifeboat_guard_admit(judge, str(line), null(), &mut found, null_mut()));
            let mut summary: DecisionSummary = sized(|summary: &mut DecisionSummary, size| summary.size = size);
            done(lifeboat_decision_summarize(found, &mut summary, null_mut()));
            assert_eq!(summary.answer == LIFEBOAT_YES, decision.is_admitted(), "{line}");
            let applied = lifeboat_guard_apply(judge, found, null_mut());
            assert_eq!(applied, if decision.is_admitted() { LIFEBOAT_OK } else { LIFEBOAT_REFUSED });
            for (at, placed) in decision.placed().iter().enumerate() {
                let (mut vm, mut node) = (empty(), empty());
                done(lifeboat_decision_placed(found, at, &mut vm, &mut node, null_mut()));
                assert_eq!((text(vm), text(node)), (placed.vm_name.to_string(), placed.node_name.to_string()));
            }
            assert_eq!(summary.violations, decision.violations().len());
            for (at, violation) in decision.violations().iter().enumerate() {
                let mut view: ViolationView = sized(|view: &mut ViolationView, size| view.size = size);
                done(lifeboat_decision_violation(found, at, &mut view, null_mut()));
                assert_eq!(
                    (text(view.code), text(view.message)),
                    (violation.kind.code().into(), violation.message.clone())
                );
                assert_eq!(view.enforced == 1, violation.enforced);
            }
            for (after, items) in [(0, decision.before()), (1, decision.after())] {
                for (at, item) in items.iter().enumerate() {
                    let mut view: ItemView = sized(|view: &mut ItemView, size| view.size = size);
                    done(lifeboat_decision_item(found, after, at, &mut view, null_mut()));
                    assert_eq!((text(view.state), text(view.message)), (item.state().into(), item.message.clone()));
                }
            }
            done(lifeboat_decision_to_json(found, judge, &mut buffer, null_mut()));
            let json = lifeboat::answers::to_line(&lifeboat::answers::decision_json(guard.cluster(), &decision));
            assert_eq!(take(buffer), json);
            done(lifeboat_decision_free(found));
        }
        // Facts are taken in, and the state is the same on both sides.
        done(lifeboat_guard_observe_node_state(judge, str("kvm-2"), str("failed"), null(), null_mut(), null_mut()));
        let fact = r#"{"op": "set_state", "node": "kvm-2", "state": "failed"}"#;
        lifeboat::answers::transaction(&mut guard, fact, "line", true, &Control::new()).unwrap();
        let (mut now, mut buffer) = (null_mut(), null_mut());
        done(lifeboat_guard_state(judge, &mut now, null_mut(), null_mut()));
        done(lifeboat_cluster_to_json(now, rules, 0, &mut buffer, null_mut()));
        assert_eq!(take(buffer), to_json(guard.cluster(), guard.policy()));
        done(lifeboat_cluster_free(now));
        done(lifeboat_guard_free(judge));
        done(lifeboat_policy_free(rules));
        done(lifeboat_cluster_free(there));
    }
}

#[test]
fn a_cluster_made_by_typed_calls_is_the_one_of_the_document() {
    let document = r#"{"format": "lifeboat/1", "resources": [{"name": "cpu", "unit": "MHz"}, {"name": "memory", "unit": "MiB",
        "per_vm": 64}], "levels": ["rack"], "nodes": [
        {"name": "a", "capacity": {"cpu": 8, "memory": 4096}, "domain": {"rack": "l"}, "labels": ["san"], "start_limit": 4},
        {"name": "b", "capacity": {"cpu": 8, "memory": 4096}, "reserved": {"memory": 96}, "overcommit": {"cpu": 400},
         "domain": {"rack": "r"}, "role": "spare", "state": "cordoned"}],
        "vms": [{"name": "db", "demand": {"cpu": 2, "memory": 512}, "node": "a", "priority": 3000, "requires": ["san"],
         "allowed_nodes": ["a", "b"], "groups": ["g"], "start_s": 30, "preemptible": false, "migratable": false},
        {"name": "web", "demand": {"cpu": 1, "memory": 256}, "restart_demand": {"cpu": 1, "memory": 300}, "power": "on",
         "restart": "best_effort"}],
        "rules": [{"name": "apart", "kind": "separate", "vms": ["db", "web"], "strength": "preferred", "weight": 3}]}"#;
    let (cluster, policy) = Document::from_json(document).unwrap().into_parts();
    let wanted = to_json(&cluster, &policy);
    let (mut made, mut rules, mut buffer) = (null_mut(), null_mut(), null_mut());
    let kinds = [("cpu", "MHz", 0), ("memory", "MiB", 64)].map(|(name, unit, per_vm)| ResourceSpec {
        name: str(name),
        unit: str(unit),
        per_vm,
        optional: 0,
        size: u32::try_from(size_of::<ResourceSpec>()).unwrap(),
    });
    let (levels, labels, groups) = ([str("rack")], [str("san")], [str("g")]);
    let (capacity, reserved, overcommit) = ([8_u64, 4096], [0_u64, 96], [400_u64, 0]);
    let (left, right, allowed) = ([str("l")], [str("r")], [str("a"), str("b")]);
    let mut node: NodeSpec = sized(|node: &mut NodeSpec, size| node.size = size);
    (node.name, node.capacity, node.kind_count) = (str("a"), capacity.as_ptr(), 2);
    (node.levels, node.domains, node.domain_count) = (levels.as_ptr(), left.as_ptr(), 1);
    (node.labels, node.label_count, node.start_limit) = (labels.as_ptr(), 1, 4);
    unsafe {
        done(lifeboat_policy_new(&mut rules, null_mut()));
        done(lifeboat_cluster_new(kinds.as_ptr(), 2, levels.as_ptr(), 1, &mut made, null_mut()));
        done(lifeboat_cluster_add_node(made, &node, null_mut()));
        (node.name, node.domains, node.label_count, node.start_limit) = (str("b"), right.as_ptr(), 0, 0);
        (node.reserved, node.overcommit, node.role) = (reserved.as_ptr(), overcommit.as_ptr(), str("spare"));
        done(lifeboat_cluster_add_node(made, &node, null_mut()));
        done(lifeboat_cluster_set_node_state(made, str("b"), str("cordoned"), null_mut()));
        let (large, small, again) = ([2_u64, 512], [1_u64, 256], [1_u64, 300]);
        let mut vm: VmSpec = sized(|vm: &mut VmSpec, size| vm.size = size);
        (vm.name, vm.node, vm.demand, vm.kind_count, vm.priority) = (str("db"), str("b"), large.as_ptr(), 2, 3000);
        (vm.requires, vm.requires_count, vm.start_s) = (labels.as_ptr(), 1, 30);
        (vm.allowed_nodes, vm.allowed_count, vm.groups, vm.group_count) = (allowed.as_ptr(), 2, groups.as_ptr(), 1);
        vm.flags = LIFEBOAT_VM_NOT_PREEMPTIBLE | LIFEBOAT_VM_NOT_MIGRATABLE;
        done(lifeboat_cluster_add_vm(made, &vm, null_mut()));
        done(lifeboat_cluster_stop_vm(made, str("db"), null_mut()));
        done(lifeboat_cluster_start_vm(made, str("db"), str("b"), null_mut()));
        done(lifeboat_cluster_move_vm(made, str("db"), str("a"), null_mut()));
        let mut web: VmSpec = sized(|vm: &mut VmSpec, size| vm.size = size);
        (web.name, web.demand, web.restart_demand, web.kind_count) = (str("web"), small.as_ptr(), again.as_ptr(), 2);
        done(lifeboat_cluster_add_vm(made, &web, null_mut()));
        (web.power, web.restart) = (str("on"), str("best_effort"));
        done(lifeboat_cluster_update_vm(made, &web, null_mut()));
        let rule =
            r#"{"name": "apart", "kind": "separate", "vms": ["db", "web"], "strength": "preferred", "weight": 2}"#;
        done(lifeboat_cluster_add_rule(made, str(rule), null_mut()));
        done(lifeboat_cluster_update_rule(made, str(&rule.replace('2', "3")), null_mut()));
        let edits = r#"[{"op": "add_node", "node": {"name": "c", "capacity": {"cpu": 1}}}, {"op": "remove_node", "node": "c"}]"#;
        done(lifeboat_cluster_edit(made, rules, str(edits), null_mut()));
        done(lifeboat_cluster_to_json(made, rules, 0, &mut buffer, null_mut()));
        assert_eq!(take(buffer), wanted);
        let (mut nodes, mut vms, mut count) = (0, 0, 0);
        done(lifeboat_cluster_counts(made, null_mut(), &mut nodes, &mut vms, &mut count, null_mut()));
        assert_eq!((nodes, vms, count), (2, 2, 1));
        done(lifeboat_cluster_remove_rule(made, str("apart"), null_mut()));
        done(lifeboat_cluster_remove_vm(made, str("web"), null_mut()));
        done(lifeboat_cluster_remove_node(made, str("b"), null_mut()));
        done(lifeboat_policy_free(rules));
        done(lifeboat_cluster_free(made));
    }
}
