//! `check-plan`: whether a plan that was printed earlier is valid for a cluster, by the library's checker.

use crate::Answer;
use crate::args::CheckPlanArgs;
use crate::input::{self, Fault, Stop};
use crate::screen::{Screen, Tone};
use crate::words::count;
use lifeboat::{
    ClassCount, Cluster, Eviction, Failure, NodeId, Note, Placement, PlanParts, Priority, RestartClass, RestartPlan,
    Unplaced, VmId, check_plan,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What is read of `lifeboat-plan/1`. Plans may gain fields: others are passed over.
#[derive(Deserialize)]
struct PlanText {
    format: String,
    status: String,
    optimal: bool,
    failed: Vec<String>,
    placements: Vec<Start>,
    evictions: Vec<Stopped>,
    unplaced: Vec<Left>,
    waiting: Vec<String>,
    left_alone: Vec<String>,
    classes: Vec<Class>,
    #[serde(default)]
    notes: Vec<NoteText>,
    free: BTreeMap<String, FreeText>,
}

#[derive(Deserialize)]
struct Start {
    vm: String,
    node: String,
    wave: u32,
}

/// What is read of a note: those that bear on the status.
#[derive(Deserialize)]
struct NoteText {
    code: String,
    vm: Option<String>,
}

#[derive(Deserialize)]
struct Stopped {
    vm: String,
    node: String,
}

#[derive(Deserialize)]
struct Left {
    vm: String,
}

#[derive(Deserialize)]
struct Class {
    restart: String,
    priority: u32,
    displaced: u32,
    placed: u32,
    bound: u32,
}

#[derive(Deserialize)]
struct FreeText {
    total: u64,
    largest: u64,
}

/// `lifeboat-plan-check/1`.
#[derive(Serialize)]
struct Report<'a> {
    format: &'static str,
    valid: bool,
    problems: &'a [Problem],
}

#[derive(Serialize)]
struct Problem {
    code: &'static str,
    message: String,
}

pub(crate) fn run(args: &CheckPlanArgs) -> Result<Answer, Stop> {
    let (cluster, policy) = input::read_cluster(&args.cluster)?;
    let text = read_plan(&args.plan)?;
    let mut problems = Vec::new();
    let plan = to_plan(&cluster, &text, &mut problems);
    let failure = if args.fail.is_empty() {
        Failure::of(plan.failed().iter().copied())
    } else {
        let mut faults = Vec::new();
        let failure = input::failure(&cluster, &args.fail, &mut faults);
        if !faults.is_empty() {
            return Err(Stop::BadInput(faults));
        }
        failure
    };
    if let Err(faults) = check_plan(&cluster, &policy, &failure, &plan) {
        problems.extend(faults.iter().map(|fault| Problem { code: fault.code(), message: fault.to_string() }));
    }
    if let Some(problem) = check_free(&cluster, &text, &plan) {
        problems.push(problem);
    }
    let valid = problems.is_empty();
    let text = if args.json {
        input::to_json(&Report { format: "lifeboat-plan-check/1", valid, problems: &problems })
    } else {
        report(&plan, problems, Screen::of_stdout(false))
    };
    Ok(Answer { text, status: u8::from(!valid) })
}

/// What the plan says is free, against what is.
fn check_free(cluster: &Cluster, text: &PlanText, plan: &RestartPlan) -> Option<Problem> {
    let free = plan.free(cluster);
    let is_so = cluster.kinds().iter().enumerate().all(|(position, kind)| {
        let given = text.free.get(&kind.name);
        given.is_some_and(|given| given.total == free.total.of(position) && given.largest == free.largest.of(position))
    });
    let message = "the amounts that the plan says are free afterwards are not those that are".to_string();
    (!is_so || text.free.len() != cluster.kinds().len()).then_some(Problem { code: "free", message })
}

fn report(plan: &RestartPlan, problems: Vec<Problem>, screen: Screen) -> String {
    let mut out = String::new();
    if problems.is_empty() {
        let what = format!("The plan is valid: {} checked.", count(plan.placements().len(), "restart"));
        let _ = writeln!(out, "{}", screen.tone(Tone::Good, &what));
        screen.paragraph(&mut out, 0, "Whether a better plan exists is not what this check answers.");
    } else {
        let what = format!("The plan is not valid: {}.", count(problems.len(), "problem"));
        let _ = writeln!(out, "{}", screen.tone(Tone::Bad, &what));
        let line = |problem: Problem| crate::words::clean(&format!("{} [{}]", problem.message, problem.code));
        screen.lines(&mut out, problems.into_iter().map(line).collect());
    }
    out
}

fn read_plan(path: &str) -> Result<PlanText, Stop> {
    let text = input::read_text(path)?;
    let fault = |code: &str, message: String| Stop::BadInput(vec![Fault::new(path, None, code, message)]);
    let plan: PlanText =
        serde_json::from_str(&text).map_err(|error| fault("bad_plan", format!("is not a plan: {error}")))?;
    if plan.format != "lifeboat-plan/1" {
        return Err(fault("format", format!("has the format {:?}, not \"lifeboat-plan/1\"", plan.format)));
    }
    Ok(plan)
}

/// The plan with the cluster's ids. Names that the cluster does not have are problems of the plan.
fn to_plan(cluster: &Cluster, text: &PlanText, problems: &mut Vec<Problem>) -> RestartPlan {
    let mut names = Names { cluster, problems };
    let parts = PlanParts {
        failed: text.failed.iter().filter_map(|name| names.node(name)).collect(),
        placements: text
            .placements
            .iter()
            .filter_map(|start| {
                let (vm, node) = (names.vm(&start.vm), names.node(&start.node));
                Some(Placement { vm: vm?, node: node?, wave: start.wave })
            })
            .collect(),
        evictions: text
            .evictions
            .iter()
            .filter_map(|stop| {
                let (vm, node) = (names.vm(&stop.vm), names.node(&stop.node));
                Some(Eviction { vm: vm?, node: node? })
            })
            .collect(),
        unplaced: text
            .unplaced
            .iter()
            .filter_map(|left| Some(Unplaced { vm: names.vm(&left.vm)?, reasons: Vec::new(), message: String::new() }))
            .collect(),
        waiting: text.waiting.iter().filter_map(|name| names.vm(name)).collect(),
        left_alone: text.left_alone.iter().filter_map(|name| names.vm(name)).collect(),
        classes: text.classes.iter().filter_map(|class| names.class(class)).collect(),
        notes: text
            .notes
            .iter()
            .filter_map(|note| match (note.code.as_str(), &note.vm) {
                ("victims_unproved", _) => Some(Note::VictimsUnproved),
                ("protected_evicted", Some(vm)) => names.vm(vm).map(|vm| Note::ProtectedEvicted { vm }),
                _ => None,
            })
            .collect(),
        ..PlanParts::default()
    };
    let plan = RestartPlan::from(parts);
    if plan.status().name() != text.status || plan.is_optimal() != text.optimal {
        let message = format!(
            "the plan says that it is {}{}, and its classes say {}{}",
            text.status,
            if text.optimal { " and optimal" } else { "" },
            plan.status().name(),
            if plan.is_optimal() { " and optimal" } else { "" }
        );
        problems.push(Problem { code: "status", message });
    }
    plan
}

/// Looks up names, and notes those that are not there.
struct Names<'a> {
    cluster: &'a Cluster,
    problems: &'a mut Vec<Problem>,
}

impl Names<'_> {
    fn vm(&mut self, name: &str) -> Option<VmId> {
        let found = self.cluster.vm_id(name);
        if found.is_none() {
            self.problem("unknown_vm", format!("the plan names the VM {name:?}, which is not in the cluster"));
        }
        found
    }

    fn node(&mut self, name: &str) -> Option<NodeId> {
        let found = self.cluster.node_id(name);
        if found.is_none() {
            self.problem("unknown_node", format!("the plan names the node {name:?}, which is not in the cluster"));
        }
        found
    }

    fn class(&mut self, class: &Class) -> Option<ClassCount> {
        let restart = RestartClass::from_name(&class.restart);
        if restart.is_none() {
            self.problem(
                "class",
                format!("the plan names the restart class {:?}, which does not exist", class.restart),
            );
        }
        Some(ClassCount {
            restart: restart?,
            priority: Priority(class.priority),
            displaced: class.displaced,
            placed: class.placed,
            bound: class.bound,
        })
    }

    fn problem(&mut self, code: &'static str, message: String) {
        self.problems.push(Problem { code, message });
    }
}
