//! A restart plan as JSON, `lifeboat-plan/1`, with what goes with it: what is free afterwards, when everything is back,
//! what would help the VMs without a place, and where a VM that was asked about can run.
//!
//! Uses `restart`. Used by `answers::ask` and the example program. The order of the fields here is that of the text.

use super::forms::{Fields, node_name, node_names, vm_name, vm_names};
use crate::cluster::{Cluster, RestartClass, RuleRef, VmRef};
use crate::failure::Failure;
use crate::ids::{NodeId, VmId};
use crate::placement::budget::Control;
use crate::policy::Policy;
use crate::resources::ResourceKinds;
use crate::restart::{self, Free, Help, Note, PlanError, PlanStatus, Planner, Reason, ReasonCount, RestartPlan};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;

/// For how many VMs without a place it is looked what would help.
pub const HELPED: usize = 32;

/// A plan, and all that is needed to print it.
#[derive(Debug)]
pub struct Planned<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The plan.
    pub plan: RestartPlan,
    /// What is free once it is carried out.
    pub free: Free,
    /// When everything is back.
    pub estimate: restart::Estimate,
    /// What would help the VMs without a place, the most important ones first: of as many as were looked at.
    pub help: Vec<(VmId, Vec<Help>)>,
    /// Per VM that was asked about: every node, and why not there.
    pub explained: Vec<Explained>,
}

/// Where one VM can run.
#[derive(Debug)]
pub struct Explained {
    /// The VM.
    pub vm: VmId,
    /// Every node, and what stands against it.
    pub nodes: Vec<(NodeId, Option<Reason>)>,
}

impl<'a> Planned<'a> {
    /// Plans for a failure, and says of some VMs node by node why they can or cannot run there.
    ///
    /// # Errors
    /// As [`Planner::restart_controlled`].
    pub fn ask(
        cluster: &'a Cluster,
        policy: &Policy,
        failure: &Failure,
        asked: &[VmId],
        control: &Control,
    ) -> Result<Self, PlanError> {
        let mut planner = Planner::new();
        let plan = planner.restart_controlled(cluster, policy, failure, control)?;
        Self::of(cluster, policy, failure, plan, asked, control)
    }

    /// The same of a plan that is there already.
    ///
    /// # Errors
    /// A plan, a failure or VMs of another state of the cluster, or the caller cancelled.
    pub fn of(
        cluster: &'a Cluster,
        policy: &Policy,
        failure: &Failure,
        plan: RestartPlan,
        asked: &[VmId],
        control: &Control,
    ) -> Result<Self, PlanError> {
        let mut planner = Planner::new();
        let explained = asked
            .iter()
            .map(|vm| Ok(Explained { vm: *vm, nodes: planner.explain(cluster, failure, &plan, *vm)? }))
            .collect::<Result<_, PlanError>>()?;
        let help = plan
            .unplaced()
            .iter()
            .take(HELPED)
            .map(|left| Ok((left.vm, planner.help_controlled(cluster, failure, &plan, left.vm, control)?)))
            .collect::<Result<_, PlanError>>()?;
        let (free, estimate) = (plan.free(cluster), plan.estimate(cluster, policy));
        Ok(Self { cluster, plan, free, estimate, help, explained })
    }

    /// The exit status of the answer: 0 complete, 1 short, 3 unproved.
    pub fn status(&self) -> u8 {
        match self.plan.status() {
            PlanStatus::Complete => 0,
            PlanStatus::Short => 1,
            PlanStatus::Unproved => 3,
        }
    }

    /// The answer in the form that is printed.
    pub fn json(&self) -> impl Serialize + '_ {
        plan(self)
    }
}

#[derive(Serialize)]
struct PlanJson<'a> {
    format: &'static str,
    status: &'static str,
    optimal: bool,
    failed: Vec<&'a str>,
    placements: Vec<Where<'a>>,
    evictions: Vec<Where<'a>>,
    unplaced: Vec<Unplaced<'a>>,
    waiting: Vec<&'a str>,
    left_alone: Vec<&'a str>,
    classes: Vec<Class>,
    costs: CostsJson,
    costs_proved: bool,
    broken_rules: Vec<Broken<'a>>,
    free: Fields<'a, FreeJson>,
    estimate: EstimateJson<'a>,
    notes: Vec<NoteJson<'a>>,
    work: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explain: Vec<ExplainJson<'a>>,
}

/// A VM and a node: where it starts, in which wave, or where it is stopped.
#[derive(Serialize)]
struct Where<'a> {
    vm: &'a str,
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wave: Option<u32>,
}

#[derive(Serialize)]
struct Unplaced<'a> {
    vm: &'a str,
    reasons: Vec<Counted<'a>>,
    message: &'a str,
    /// What would give it a place; absent where it was not looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<Vec<HelpJson<'a>>>,
}

/// One change that would help: its code, and the fields that this code has.
#[derive(Serialize, Default)]
pub(super) struct HelpJson<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Fields<'a, u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    /// Of two moves, the first and the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    moves: Option<[MoveJson<'a>; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    message: String,
}

/// A live move.
#[derive(Serialize)]
struct MoveJson<'a> {
    vm: &'a str,
    from: &'a str,
    to: &'a str,
}

#[derive(Serialize)]
struct Counted<'a> {
    #[serde(flatten)]
    reason: ReasonJson<'a>,
    nodes: usize,
    examples: Vec<&'a str>,
}

/// A reason: its code, and the fields that this code has.
#[derive(Serialize, Default)]
struct ReasonJson<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    free: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_free: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    largest_hole: Option<u64>,
}

#[derive(Serialize)]
struct Class {
    restart: &'static str,
    priority: u32,
    displaced: u32,
    placed: u32,
    bound: u32,
}

/// What `relaxed` and `preferred` rules cost, as text: it may pass 2^53.
#[derive(Serialize)]
struct CostsJson {
    relaxed: String,
    preferred: String,
}

#[derive(Serialize)]
struct Broken<'a> {
    rule: &'a str,
    strength: &'static str,
    excess: String,
    vms: Vec<&'a str>,
}

#[derive(Serialize)]
struct FreeJson {
    total: u64,
    largest: u64,
}

/// When everything is back, in seconds from the beginning of the restarts.
#[derive(Serialize)]
struct EstimateJson<'a> {
    ready_s: u64,
    /// How many VMs state no `start_s`, and what they are taken to need.
    assumed: usize,
    assumed_start_s: u32,
    classes: Vec<ClassTime>,
    starts: Vec<StartTime<'a>>,
    given_up: Vec<&'a str>,
}

#[derive(Serialize)]
struct ClassTime {
    restart: &'static str,
    priority: u32,
    vms: u32,
    ready_s: u64,
}

#[derive(Serialize)]
struct StartTime<'a> {
    vm: &'a str,
    start_s: u64,
    ready_s: u64,
}

#[derive(Serialize, Default)]
struct NoteJson<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prerequisite: Option<&'a str>,
    message: String,
}

#[derive(Serialize)]
struct ExplainJson<'a> {
    vm: &'a str,
    nodes: Vec<ExplainNode<'a>>,
}

#[derive(Serialize)]
struct ExplainNode<'a> {
    node: &'a str,
    /// Whether the VM is placed there, or could be beside what the plan places.
    fits: bool,
    placed: bool,
    #[serde(flatten)]
    reason: Option<ReasonJson<'a>>,
}

/// The plan in the form that is printed.
fn plan<'a>(planned: &'a Planned<'_>) -> PlanJson<'a> {
    let Planned { cluster, plan, free, estimate, help, explained } = planned;
    let kinds = cluster.kinds();
    let free = kinds.iter().enumerate().map(|(position, kind)| {
        (kind.name.as_str(), FreeJson { total: free.total.of(position), largest: free.largest.of(position) })
    });
    PlanJson {
        format: "lifeboat-plan/1",
        status: plan.status().name(),
        optimal: plan.is_optimal(),
        failed: node_names(cluster, plan.failed()),
        placements: plan
            .placements()
            .iter()
            .map(|start| Where {
                vm: vm_name(cluster, start.vm),
                node: node_name(cluster, start.node),
                wave: Some(start.wave),
            })
            .collect(),
        evictions: plan
            .evictions()
            .iter()
            .map(|stop| Where { vm: vm_name(cluster, stop.vm), node: node_name(cluster, stop.node), wave: None })
            .collect(),
        unplaced: plan
            .unplaced()
            .iter()
            .map(|unplaced| Unplaced {
                vm: vm_name(cluster, unplaced.vm),
                reasons: unplaced.reasons.iter().map(|reason| counted(cluster, reason)).collect(),
                message: &unplaced.message,
                help: help
                    .iter()
                    .find(|(vm, _)| *vm == unplaced.vm)
                    .map(|(_, help)| help.iter().map(|help| help_json(cluster, help)).collect()),
            })
            .collect(),
        waiting: vm_names(cluster, plan.waiting()),
        left_alone: vm_names(cluster, plan.left_alone()),
        classes: plan
            .classes()
            .iter()
            .map(|class| Class {
                restart: class.restart.name(),
                priority: class.priority.0,
                displaced: class.displaced,
                placed: class.placed,
                bound: class.bound,
            })
            .collect(),
        free: Fields(free.collect()),
        estimate: estimate_json(cluster, estimate),
        costs: CostsJson { relaxed: plan.costs().relaxed.to_string(), preferred: plan.costs().preferred.to_string() },
        costs_proved: plan.costs_are_proved(),
        broken_rules: plan
            .broken_rules()
            .iter()
            .map(|broken| Broken {
                rule: cluster.rule(broken.rule).map_or("?", RuleRef::name),
                strength: broken.strength.name(),
                excess: broken.excess.to_string(),
                vms: broken.vms.iter().map(|vm| vm_name(cluster, *vm)).collect(),
            })
            .collect(),
        notes: plan.notes().iter().map(|note| note_json(cluster, note)).collect(),
        work: plan.work(),
        explain: explained.iter().map(|explained| explain(planned, explained)).collect(),
    }
}

/// A change that would help, in the form that is printed.
pub(super) fn help_json<'a>(cluster: &'a Cluster, help: &Help) -> HelpJson<'a> {
    let json = HelpJson { code: help.code(), message: help.message(cluster), ..HelpJson::default() };
    let node = |node: &NodeId| Some(node_name(cluster, *node));
    match help {
        Help::MoreRoom { node: at, missing } => {
            let kind = |position: usize| cluster.kinds().get(position).map_or("?", |kind| kind.name.as_str());
            let missing = missing.iter().map(|(position, amount)| (kind(*position), *amount)).collect();
            HelpJson { node: node(at), missing: Some(Fields(missing)), ..json }
        }
        Help::Move { vm, from, to } => {
            HelpJson { vm: Some(vm_name(cluster, *vm)), from: node(from), to: node(to), ..json }
        }
        Help::TwoMoves { first, second, node: at } => {
            let step = |step: &restart::LiveMove| MoveJson {
                vm: vm_name(cluster, step.vm),
                from: node_name(cluster, step.from),
                to: node_name(cluster, step.to),
            };
            HelpJson { node: node(at), moves: Some([step(first), step(second)]), ..json }
        }
        Help::Relax { rule, node: at } => {
            HelpJson { rule: cluster.rule(*rule).ok().map(RuleRef::name), node: node(at), ..json }
        }
    }
}

fn estimate_json<'a>(cluster: &'a Cluster, estimate: &restart::Estimate) -> EstimateJson<'a> {
    let class = |class: &restart::ClassTime| ClassTime {
        restart: class.restart.name(),
        priority: class.priority.0,
        vms: class.vms,
        ready_s: class.ready_s,
    };
    let start = |start: &restart::StartTime| StartTime {
        vm: vm_name(cluster, start.vm),
        start_s: start.start_s,
        ready_s: start.ready_s,
    };
    EstimateJson {
        ready_s: estimate.ready_s(),
        assumed: estimate.assumed(),
        assumed_start_s: restart::ASSUMED_START_S,
        classes: estimate.classes().iter().map(class).collect(),
        starts: estimate.starts().iter().map(start).collect(),
        given_up: vm_names(cluster, estimate.given_up()),
    }
}

fn counted<'a>(cluster: &'a Cluster, count: &'a ReasonCount) -> Counted<'a> {
    Counted {
        reason: reason_json(cluster.kinds(), &count.reason),
        nodes: count.nodes,
        examples: node_names(cluster, &count.examples),
    }
}

fn reason_json<'a>(kinds: &'a ResourceKinds, reason: &'a Reason) -> ReasonJson<'a> {
    let mut json = ReasonJson { code: reason.code(), ..ReasonJson::default() };
    let kind_name = |position: usize| kinds.get(position).map(|kind| kind.name.as_str());
    match reason {
        Reason::NotAccepting { state } => json.state = Some(state.name()),
        Reason::MissingLabel { label } => json.label = Some(label),
        Reason::Rule { name, .. } => json.name = Some(name),
        Reason::Insufficient { kind, needed, free } => {
            json.kind = kind_name(*kind);
            json.needed = Some(*needed);
            json.free = Some(*free);
        }
        Reason::Fragmentation { kind, total_free, largest_hole } => {
            json.kind = kind_name(*kind);
            json.total_free = Some(*total_free);
            json.largest_hole = Some(*largest_hole);
        }
        Reason::Prerequisite { name, .. } => json.vm = Some(name),
        _ => {}
    }
    json
}

fn note_json<'a>(cluster: &'a Cluster, note: &Note) -> NoteJson<'a> {
    let (code, message) = (note.code(), note_text(cluster, note));
    match note {
        Note::FailedAlready { node } => {
            NoteJson { code, node: Some(node_name(cluster, *node)), message, ..NoteJson::default() }
        }
        Note::Promoted { vm } | Note::ProtectedEvicted { vm } => {
            NoteJson { code, vm: Some(vm_name(cluster, *vm)), message, ..NoteJson::default() }
        }
        Note::StartsWithout { vm, prerequisite } => NoteJson {
            code,
            vm: Some(vm_name(cluster, *vm)),
            prerequisite: Some(vm_name(cluster, *prerequisite)),
            message,
            ..NoteJson::default()
        },
        _ => NoteJson { code, message, ..NoteJson::default() },
    }
}

/// A note for people.
pub fn note_text(cluster: &Cluster, note: &Note) -> String {
    match note {
        Note::FailedAlready { node } => format!("{} had failed already", node_name(cluster, *node)),
        Note::Promoted { vm } => {
            let (class, priority) = cluster.vm(*vm).map(VmRef::effective).unwrap_or_default();
            let name = vm_name(cluster, *vm);
            format!("{name} counts as {}, priority {priority}, because another VM needs it", class_name(class))
        }
        Note::StartsWithout { vm, prerequisite } => {
            let (vm, prerequisite) = (vm_name(cluster, *vm), vm_name(cluster, *prerequisite));
            format!("{vm} starts without {prerequisite}, which neither runs nor restarts")
        }
        Note::ProtectedEvicted { vm } => {
            format!("{} is protected, and is evicted without another place", vm_name(cluster, *vm))
        }
        Note::VictimsUnproved => "it is not proved that no other evictions would do better".to_string(),
    }
}

/// A restart class for people.
pub const fn class_name(class: RestartClass) -> &'static str {
    match class {
        RestartClass::Protected => "protected",
        RestartClass::BestEffort => "best effort",
        RestartClass::Never => "never",
    }
}

fn explain<'a>(planned: &'a Planned<'_>, explained: &'a Explained) -> ExplainJson<'a> {
    let Planned { cluster, plan, .. } = planned;
    let target = plan.placements().iter().find(|start| start.vm == explained.vm).map(|start| start.node);
    let nodes = explained.nodes.iter().map(|(node, reason)| ExplainNode {
        node: node_name(cluster, *node),
        fits: reason.is_none(),
        placed: target == Some(*node),
        reason: reason.as_ref().map(|reason| reason_json(cluster.kinds(), reason)),
    });
    ExplainJson { vm: vm_name(cluster, explained.vm), nodes: nodes.collect() }
}
