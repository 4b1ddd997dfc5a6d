//! A restart plan as JSON, `lifeboat-plan/1`.
//!
//! The order of the fields here is that of the text.

use crate::plan::{Explained, Planned};
use lifeboat::{Cluster, Help, NodeId, Note, Reason, ReasonCount, ResourceKinds, VmId};
use serde::{Serialize, Serializer};

#[derive(Serialize)]
pub(crate) struct Plan<'a> {
    format: &'static str,
    status: &'static str,
    optimal: bool,
    failed: Vec<&'a str>,
    placements: Vec<Start<'a>>,
    evictions: Vec<Stopped<'a>>,
    unplaced: Vec<Unplaced<'a>>,
    waiting: Vec<&'a str>,
    left_alone: Vec<&'a str>,
    classes: Vec<Class>,
    costs: Costs,
    broken_rules: Vec<Broken<'a>>,
    free: Fields<'a, Free>,
    estimate: Estimate<'a>,
    notes: Vec<NoteJson<'a>>,
    work: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explain: Vec<Explain<'a>>,
}

#[derive(Serialize)]
struct Start<'a> {
    vm: &'a str,
    node: &'a str,
    wave: u32,
}

#[derive(Serialize)]
struct Stopped<'a> {
    vm: &'a str,
    node: &'a str,
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
pub(crate) struct HelpJson<'a> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    message: String,
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
struct Costs {
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
struct Free {
    total: u64,
    largest: u64,
}

/// When everything is back, in seconds from the beginning of the restarts.
#[derive(Serialize)]
struct Estimate<'a> {
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
struct Explain<'a> {
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

/// An object whose fields keep their order.
pub(crate) struct Fields<'a, T>(pub(crate) Vec<(&'a str, T)>);

impl<T: Serialize> Serialize for Fields<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The plan in the form that is printed.
pub(crate) fn plan<'a>(planned: &Planned<'a>) -> Plan<'a> {
    let Planned { cluster, plan, free, estimate, help, explained } = *planned;
    let kinds = cluster.kinds();
    let free = kinds.iter().enumerate().map(|(position, kind)| {
        (kind.name.as_str(), Free { total: free.total.of(position), largest: free.largest.of(position) })
    });
    Plan {
        format: "lifeboat-plan/1",
        status: plan.status().name(),
        optimal: plan.is_optimal(),
        failed: node_names(cluster, plan.failed()),
        placements: plan
            .placements()
            .iter()
            .map(|start| Start {
                vm: vm_name(cluster, start.vm),
                node: node_name(cluster, start.node),
                wave: start.wave,
            })
            .collect(),
        evictions: plan
            .evictions()
            .iter()
            .map(|stop| Stopped { vm: vm_name(cluster, stop.vm), node: node_name(cluster, stop.node) })
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
        costs: Costs { relaxed: plan.costs().relaxed.to_string(), preferred: plan.costs().preferred.to_string() },
        broken_rules: plan
            .broken_rules()
            .iter()
            .map(|broken| Broken {
                rule: cluster.rule(broken.rule).map_or("?", lifeboat::RuleRef::name),
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
pub(crate) fn help_json<'a>(cluster: &'a Cluster, help: &Help) -> HelpJson<'a> {
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
        Help::Relax { rule, node: at } => {
            HelpJson { rule: cluster.rule(*rule).ok().map(lifeboat::RuleRef::name), node: node(at), ..json }
        }
        _ => json,
    }
}

fn estimate_json<'a>(cluster: &'a Cluster, estimate: &lifeboat::Estimate) -> Estimate<'a> {
    let class = |class: &lifeboat::ClassTime| ClassTime {
        restart: class.restart.name(),
        priority: class.priority.0,
        vms: class.vms,
        ready_s: class.ready_s,
    };
    let start = |start: &lifeboat::StartTime| StartTime {
        vm: vm_name(cluster, start.vm),
        start_s: start.start_s,
        ready_s: start.ready_s,
    };
    Estimate {
        ready_s: estimate.ready_s(),
        assumed: estimate.assumed(),
        assumed_start_s: lifeboat::ASSUMED_START_S,
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
pub(crate) fn note_text(cluster: &Cluster, note: &Note) -> String {
    match note {
        Note::FailedAlready { node } => format!("{} had failed already", node_name(cluster, *node)),
        Note::Promoted { vm } => {
            let (class, priority) = cluster.vm(*vm).map(lifeboat::VmRef::effective).unwrap_or_default();
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
        other => format!("{other:?}"),
    }
}

/// A restart class for people.
pub(crate) const fn class_name(class: lifeboat::RestartClass) -> &'static str {
    match class {
        lifeboat::RestartClass::Protected => "protected",
        lifeboat::RestartClass::BestEffort => "best effort",
        lifeboat::RestartClass::Never => "never",
    }
}

fn explain<'a>(planned: &Planned<'a>, explained: &'a Explained) -> Explain<'a> {
    let Planned { cluster, plan, .. } = *planned;
    let target = plan.placements().iter().find(|start| start.vm == explained.vm).map(|start| start.node);
    let nodes = explained.nodes.iter().map(|(node, reason)| ExplainNode {
        node: node_name(cluster, *node),
        fits: reason.is_none(),
        placed: target == Some(*node),
        reason: reason.as_ref().map(|reason| reason_json(cluster.kinds(), reason)),
    });
    Explain { vm: vm_name(cluster, explained.vm), nodes: nodes.collect() }
}

/// A VM's name. All ids in a plan are those of its cluster.
pub(crate) fn vm_name(cluster: &Cluster, vm: VmId) -> &str {
    cluster.vm(vm).map_or("?", lifeboat::VmRef::name)
}

/// A node's name.
pub(crate) fn node_name(cluster: &Cluster, node: NodeId) -> &str {
    cluster.node(node).map_or("?", lifeboat::NodeRef::name)
}

pub(crate) fn vm_names<'a>(cluster: &'a Cluster, vms: &[VmId]) -> Vec<&'a str> {
    vms.iter().map(|vm| vm_name(cluster, *vm)).collect()
}

pub(crate) fn node_names<'a>(cluster: &'a Cluster, nodes: &[NodeId]) -> Vec<&'a str> {
    nodes.iter().map(|node| node_name(cluster, *node)).collect()
}
