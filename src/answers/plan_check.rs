//! Whether a plan that was printed earlier is valid for a cluster, as JSON: `lifeboat-plan-check/1`.
//!
//! Uses `restart` (its checker). Used by `answers::ask` and the example program.

use crate::cluster::{Cluster, Priority, RestartClass};
use crate::failure::Failure;
use crate::ids::{NodeId, VmId};
use crate::policy::Policy;
use crate::restart::{BrokenRule, ClassCount, Eviction, Note, Placement, PlanParts, RestartPlan, Unplaced, check_plan};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A plan that was checked.
#[derive(Debug)]
pub struct CheckedPlan {
    /// The plan, as far as its names are those of the cluster.
    pub plan: RestartPlan,
    /// What is wrong with it: valid if there is nothing.
    pub problems: Vec<Problem>,
}

impl CheckedPlan {
    /// Checks a plan; for a failure, or for the nodes that the plan itself names as failed.
    pub fn ask(cluster: &Cluster, policy: &Policy, text: &PlanText, failure: Option<&Failure>) -> Self {
        let mut problems = Vec::new();
        let plan = to_plan(cluster, text, &mut problems);
        let own = Failure::of(plan.failed().iter().copied());
        if let Err(faults) = check_plan(cluster, policy, failure.unwrap_or(&own), &plan) {
            problems.extend(faults.iter().map(|fault| Problem { code: fault.code(), message: fault.to_string() }));
        }
        problems.extend(check_free(cluster, text, &plan));
        Self { plan, problems }
    }

    /// The exit status of the answer: 0 valid, 1 not.
    pub fn status(&self) -> u8 {
        u8::from(!self.problems.is_empty())
    }

    /// The answer in the form that is printed.
    pub fn json(&self) -> impl Serialize + '_ {
        Report { format: "lifeboat-plan-check/1", valid: self.problems.is_empty(), problems: &self.problems }
    }
}

impl PlanText {
    /// What is wrong with its form, if something is.
    pub fn wrong_format(&self) -> Option<String> {
        (self.format != "lifeboat-plan/1").then(|| format!("has the format {:?}, not \"lifeboat-plan/1\"", self.format))
    }
}

/// What is read of `lifeboat-plan/1`. Plans may gain fields: others are passed over.
#[derive(Debug, Deserialize)]
pub struct PlanText {
    format: String,
    status: String,
    optimal: bool,
    failed: Vec<String>,
    placements: Vec<Start>,
    evictions: Vec<Stop>,
    unplaced: Vec<Left>,
    waiting: Vec<String>,
    left_alone: Vec<String>,
    classes: Vec<Class>,
    #[serde(default)]
    costs: Option<CostsText>,
    #[serde(default)]
    broken_rules: Vec<Broken>,
    #[serde(default)]
    notes: Vec<NoteText>,
    free: BTreeMap<String, FreeText>,
}

#[derive(Debug, Deserialize)]
struct Stop {
    vm: String,
    node: String,
}

#[derive(Debug, Deserialize)]
struct Start {
    vm: String,
    node: String,
    wave: u32,
}

/// What is read of a note: those that bear on the status.
#[derive(Debug, Deserialize)]
struct NoteText {
    code: String,
    vm: Option<String>,
}

#[derive(Debug, Deserialize)]
struct CostsText {
    relaxed: String,
    preferred: String,
}

#[derive(Debug, Deserialize)]
struct Broken {
    rule: String,
    excess: String,
}

#[derive(Debug, Deserialize)]
struct Left {
    vm: String,
}

#[derive(Debug, Deserialize)]
struct Class {
    restart: String,
    priority: u32,
    displaced: u32,
    placed: u32,
    bound: u32,
}

#[derive(Debug, Deserialize)]
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

/// One thing that is wrong with a plan.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// What sort of thing it is: stable.
    pub code: &'static str,
    /// For people.
    pub message: String,
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
        broken_rules: text.broken_rules.iter().filter_map(|broken| names.broken(broken)).collect(),
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
    let costs = plan.costs();
    let told =
        |text: &CostsText| text.relaxed == costs.relaxed.to_string() && text.preferred == costs.preferred.to_string();
    if text.costs.as_ref().is_some_and(|text| !told(text)) {
        let message = "the costs that the plan gives are not those of the rules that it calls broken".to_string();
        problems.push(Problem { code: "costs", message });
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

    /// A rule that the plan calls broken.
    fn broken(&mut self, text: &Broken) -> Option<BrokenRule> {
        let found = self.cluster.rules().find(|rule| rule.name() == text.rule);
        let excess = text.excess.parse().ok();
        if let (Some(rule), Some(excess)) = (found, excess) {
            return Some(BrokenRule { rule: rule.id(), strength: rule.strength(), excess, vms: Vec::new() });
        }
        let Broken { rule, excess } = text;
        let message = format!("the plan calls a rule {rule:?} broken by {excess:?}, which is none or no number");
        self.problem("broken_rule", message);
        None
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
