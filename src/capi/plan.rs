//! Restart plans: made, and read without JSON.
//!
//! Uses `restart` and `answers` (plans as JSON). A plan keeps the names that it speaks of, so that it needs its cluster no
//! more; only what is worked out on demand (what is free afterwards, times, JSON) asks for it again, and refuses one that
//! has changed.

use super::buffer::{BufferHandle, CancelHandle, controlled, put_text};
use super::cluster::{ClusterBody, ClusterHandle, losses};
use super::error::{ErrorHandle, Failure, fail};
use super::handle::{free, guard, kind, lend};
use super::policy::PolicyHandle;
use super::status::{LIFEBOAT_INVALID_ARGUMENT, LIFEBOAT_NO, LIFEBOAT_STALE, LIFEBOAT_UNDECIDED, LIFEBOAT_YES, Status};
use super::values::{
    Str, Texts, Unit, fill, first_version, list_mut, position, put, put_handle, put_if, writable, writable_if,
};
use crate::answers::{Planned, to_text};
use crate::cluster::{Cluster, ClusterState, NodeRef, RestartClass, VmRef};
use crate::failure::Failure as Losses;
use crate::ids::{NodeId, VmId};
use crate::restart::{Estimate, PlanStatus, Reason, RestartPlan};
use alloc::vec::Vec;

/// A restart plan: which VM starts where, what stays down, and why.
pub struct PlanHandle {
    _opaque: (),
}
kind!(PlanHandle(PlanBody) = 0x1b0a_0006, "plan");

/// The class of VMs that are part of every guarantee.
pub const LIFEBOAT_PROTECTED: i32 = 0;
/// The class of VMs that restart if there is room.
pub const LIFEBOAT_BEST_EFFORT: i32 = 1;
/// The class of VMs that are left alone.
pub const LIFEBOAT_NEVER: i32 = 2;

/// What a plan says, and how long its lists are. `size` is sizeof(lifeboat_plan_summary).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PlanSummary {
    /// sizeof(lifeboat_plan_summary), set by the caller.
    pub size: u32,
    /// LIFEBOAT_YES: all protected VMs restart; LIFEBOAT_NO: proved that not all can; LIFEBOAT_UNDECIDED: not all do, and
    /// that more could is not excluded.
    pub answer: i32,
    /// 1 if it is proved that no plan places more.
    pub optimal: u32,
    /// 0.
    pub padding: u32,
    /// What it cost, in node evaluations.
    pub work: u64,
    /// How many VMs start: lifeboat_plan_placement.
    pub placements: usize,
    /// How many are stopped for them: lifeboat_plan_eviction.
    pub evictions: usize,
    /// How many have no place: lifeboat_plan_unplaced.
    pub unplaced: usize,
    /// How many wait on unreachable nodes: lifeboat_plan_waiting.
    pub waiting: usize,
    /// How many are of class never: lifeboat_plan_left_alone.
    pub left_alone: usize,
    /// How many classes there are: lifeboat_plan_class.
    pub classes: usize,
    /// How many nodes have failed: lifeboat_plan_failed.
    pub failed: usize,
    /// How many relaxed and preferred rules are broken; the JSON has them.
    pub broken_rules: usize,
}

first_version!(PlanSummary { .., broken_rules: usize } = 88 | 56);

/// What became of the VMs of one class and priority. `size` is sizeof(lifeboat_plan_class_counts).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PlanClassCounts {
    /// sizeof(lifeboat_plan_class_counts), set by the caller.
    pub size: u32,
    /// LIFEBOAT_PROTECTED, LIFEBOAT_BEST_EFFORT.
    pub restart: i32,
    /// The priority.
    pub priority: u32,
    /// How many need a place.
    pub displaced: u32,
    /// How many get one.
    pub placed: u32,
    /// How many any plan could place at most.
    pub bound: u32,
}

first_version!(PlanClassCounts { .., bound: u32 } = 24 | 24);

/// A reason why a VM has no place. `size` is sizeof(lifeboat_reason).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ReasonView {
    /// sizeof(lifeboat_reason), set by the caller.
    pub size: u32,
    /// 0.
    pub padding: u32,
    /// How many nodes it bars; 0 where it is about the VM as a whole.
    pub nodes: u64,
    /// Of insufficient: how much is needed.
    pub needed: u64,
    /// Of insufficient: how much is free at most on one of the nodes; of fragmentation: in total.
    pub free: u64,
    /// Of fragmentation: the most that is free on one node.
    pub largest_hole: u64,
    /// The stable code: failed, not_accepting, missing_label, not_allowed, rule, spare_reserved, insufficient,
    /// fragmentation, prerequisite, preempted ...
    pub code: Str,
    /// What the code is about: a kind of resource, a label, a rule, a state, a VM; empty where it is about nothing more.
    pub name: Str,
}

first_version!(ReasonView { .., name: Str } = 72 | 56);

/// A reason, with its texts by position.
#[derive(Debug)]
struct Told {
    code: usize,
    name: usize,
    nodes: u64,
    amounts: [u64; 3],
}

/// A plan, and the names in it.
#[derive(Debug)]
pub(super) struct PlanBody {
    plan: RestartPlan,
    losses: Losses,
    /// Which state of the cluster it is for.
    state: ClusterState,
    texts: Texts,
    /// Where the names of each list begin.
    evictions: usize,
    failed: usize,
    waiting: usize,
    left_alone: usize,
    unplaced: usize,
    reasons: Vec<Vec<Told>>,
    estimate: Option<(Estimate, Texts)>,
    /// Whether it is what a certificate promises, and no whole plan.
    promise: bool,
}

impl PlanBody {
    /// What a certificate promises: it speaks of the VMs of its class alone.
    pub(super) fn of_promise(cluster: &Cluster, losses: Losses, promised: RestartPlan) -> Self {
        Self { promise: true, ..Self::new(cluster, losses, promised) }
    }

    pub(super) fn new(cluster: &Cluster, losses: Losses, plan: RestartPlan) -> Self {
        let mut texts = Texts::default();
        let pairs = plan.placements().len().saturating_add(plan.evictions().len()).saturating_mul(2);
        texts.reserve(pairs.saturating_add(plan.failed().len()), pairs.saturating_mul(12));
        for start in plan.placements() {
            add_vm(&mut texts, cluster, start.vm);
            add_node(&mut texts, cluster, start.node);
        }
        let evictions = texts.len();
        for stop in plan.evictions() {
            add_vm(&mut texts, cluster, stop.vm);
            add_node(&mut texts, cluster, stop.node);
        }
        let failed = texts.len();
        for node in plan.failed() {
            add_node(&mut texts, cluster, *node);
        }
        let waiting = texts.len();
        for vm in plan.waiting() {
            add_vm(&mut texts, cluster, *vm);
        }
        let left_alone = texts.len();
        for vm in plan.left_alone() {
            add_vm(&mut texts, cluster, *vm);
        }
        let unplaced = texts.len();
        for left in plan.unplaced() {
            add_vm(&mut texts, cluster, left.vm);
            texts.add(&left.message);
        }
        let mut reasons = Vec::new();
        for left in plan.unplaced() {
            let told = |one: &crate::restart::ReasonCount| tell(&mut texts, cluster, &one.reason, one.nodes);
            reasons.push(left.reasons.iter().map(told).collect());
        }
        let state = cluster.state();
        Self {
            plan,
            losses,
            state,
            texts,
            evictions,
            failed,
            waiting,
            left_alone,
            unplaced,
            reasons,
            estimate: None,
            promise: false,
        }
    }

    fn same_state(&self, cluster: &Cluster) -> Result<(), Failure> {
        same_state(self.state, cluster)
    }
}

/// Refuses a cluster that is not as it was when an answer was made.
pub(super) fn same_state(state: ClusterState, cluster: &Cluster) -> Result<(), Failure> {
    if state == cluster.state() {
        Ok(())
    } else {
        Err(fail(LIFEBOAT_STALE, "the cluster has changed since: ask again"))
    }
}

pub(super) fn add_vm(texts: &mut Texts, cluster: &Cluster, vm: VmId) {
    texts.add(cluster.vm(vm).map_or("?", VmRef::name));
}

pub(super) fn add_node(texts: &mut Texts, cluster: &Cluster, node: NodeId) {
    texts.add(cluster.node(node).map_or("?", NodeRef::name));
}

fn tell(texts: &mut Texts, cluster: &Cluster, reason: &Reason, nodes: usize) -> Told {
    let kind = |at: usize| cluster.kinds().get(at).map_or("?", |kind| kind.name.as_str());
    let (name, amounts) = match reason {
        Reason::NotAccepting { state } => (state.name(), [0; 3]),
        Reason::MissingLabel { label } => (label.as_str(), [0; 3]),
        Reason::Rule { name, .. } | Reason::Prerequisite { name, .. } => (name.as_str(), [0; 3]),
        Reason::Insufficient { kind: at, needed, free } => (kind(*at), [*needed, *free, 0]),
        Reason::Fragmentation { kind: at, total_free, largest_hole } => (kind(*at), [0, *total_free, *largest_hole]),
        _ => ("", [0; 3]),
    };
    let (code, name) = (texts.add(reason.code()), texts.add(name));
    Told { code, name, nodes: u64::try_from(nodes).unwrap_or(u64::MAX), amounts }
}

/// Plans the restarts after these units fail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_restart(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    units: *const Unit,
    unit_count: usize,
    cancel: *const CancelHandle,
    out: *mut *mut PlanHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (mut cluster, policy) = (lend(cluster)?, lend(policy)?);
        let ClusterBody { cluster, planner } = &mut *cluster;
        let losses = losses(cluster, units, unit_count)?;
        let plan = controlled(cancel, |control| planner.restart_controlled(cluster, &policy, &losses, control))??;
        put_handle(out, PlanBody::new(cluster, losses, plan))
    })
}

/// Frees a plan; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_free(plan: *mut PlanHandle) -> Status {
    free(plan)
}

/// What a plan says, and how long its lists are. Of what a certificate promises the answer is LIFEBOAT_UNDECIDED: it speaks
/// of the VMs of its class alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_summarize(
    plan: *mut PlanHandle,
    out: *mut PlanSummary,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let PlanBody { plan, promise, .. } = &*lend(plan)?;
        let summary = PlanSummary {
            size: 0,
            answer: match plan.status() {
                _ if *promise => LIFEBOAT_UNDECIDED,
                PlanStatus::Complete => LIFEBOAT_YES,
                PlanStatus::Short => LIFEBOAT_NO,
                PlanStatus::Unproved => LIFEBOAT_UNDECIDED,
            },
            optimal: u32::from(plan.is_optimal() && !promise),
            padding: 0,
            work: plan.work(),
            placements: plan.placements().len(),
            evictions: plan.evictions().len(),
            unplaced: plan.unplaced().len(),
            waiting: plan.waiting().len(),
            left_alone: plan.left_alone().len(),
            classes: plan.classes().len(),
            failed: plan.failed().len(),
            broken_rules: plan.broken_rules().len(),
        };
        fill(out, summary)
    })
}

/// One VM that starts: which, where, and in which wave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_placement(
    plan: *mut PlanHandle,
    index: usize,
    vm: *mut Str,
    node: *mut Str,
    wave: *mut u32,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(plan)?;
        let start = body.plan.placements().get(index).ok_or_else(position)?;
        writable_if(wave)?;
        pair(&body.texts, 0, index, vm, node)?;
        put_if(wave, start.wave)
    })
}

/// One VM that is stopped to make room: which, and where it runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_eviction(
    plan: *mut PlanHandle,
    index: usize,
    vm: *mut Str,
    node: *mut Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(plan)?;
        body.plan.evictions().get(index).ok_or_else(position)?;
        pair(&body.texts, body.evictions, index, vm, node)
    })
}

/// One VM without a place: which, a sentence, and how many reasons there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_unplaced(
    plan: *mut PlanHandle,
    index: usize,
    vm: *mut Str,
    message: *mut Str,
    reasons: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(plan)?;
        let told = body.reasons.get(index).ok_or_else(position)?;
        writable_if(reasons)?;
        pair(&body.texts, body.unplaced, index, vm, message)?;
        put_if(reasons, told.len())
    })
}

/// One reason of a VM without a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_reason(
    plan: *mut PlanHandle,
    unplaced: usize,
    index: usize,
    out: *mut ReasonView,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(plan)?;
        let told = body.reasons.get(unplaced).and_then(|told| told.get(index)).ok_or_else(position)?;
        let [needed, free, largest_hole] = told.amounts;
        let (code, name) = (body.texts.view(told.code), body.texts.view(told.name));
        fill(out, ReasonView { size: 0, padding: 0, nodes: told.nodes, needed, free, largest_hole, code, name })
    })
}

/// One VM that waits on an unreachable node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_waiting(
    plan: *mut PlanHandle,
    index: usize,
    vm: *mut Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(plan)?;
        one(&body.texts, body.waiting, body.plan.waiting().len(), index, vm)
    })
}

/// One VM of class never, which is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_left_alone(
    plan: *mut PlanHandle,
    index: usize,
    vm: *mut Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(plan)?;
        one(&body.texts, body.left_alone, body.plan.left_alone().len(), index, vm)
    })
}

/// One node that has failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_failed(
    plan: *mut PlanHandle,
    index: usize,
    node: *mut Str,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(plan)?;
        one(&body.texts, body.failed, body.plan.failed().len(), index, node)
    })
}

/// One class: how many VMs need a place, how many get one, and how many any plan could place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_class(
    plan: *mut PlanHandle,
    index: usize,
    out: *mut PlanClassCounts,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let body = lend(plan)?;
        let class = body.plan.classes().get(index).ok_or_else(position)?;
        let counts = PlanClassCounts {
            size: 0,
            restart: class_code(class.restart),
            priority: class.priority.0,
            displaced: class.displaced,
            placed: class.placed,
            bound: class.bound,
        };
        fill(out, counts)
    })
}

const fn class_code(class: RestartClass) -> i32 {
    match class {
        RestartClass::Protected => LIFEBOAT_PROTECTED,
        RestartClass::BestEffort => LIFEBOAT_BEST_EFFORT,
        RestartClass::Never => LIFEBOAT_NEVER,
    }
}

/// What is free once a plan is carried out, per kind: in total, and on the node that has most. `count` is how many kinds
/// the cluster has; either list may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_free_amounts(
    plan: *mut PlanHandle,
    cluster: *mut ClusterHandle,
    total: *mut u64,
    largest: *mut u64,
    count: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let (body, cluster) = (lend(plan)?, lend(cluster)?);
        let cluster = &cluster.cluster;
        body.same_state(cluster)?;
        if count != cluster.kinds().len() {
            return Err(fail(LIFEBOAT_INVALID_ARGUMENT, "the lists need as many places as there are kinds"));
        }
        writable_if(total)?;
        writable_if(largest)?;
        let free = body.plan.free(cluster);
        for (out, amounts) in [(total, &free.total), (largest, &free.largest)] {
            if !out.is_null() {
                let out = list_mut(out, count, count)?;
                out.iter_mut().enumerate().for_each(|(at, place)| *place = amounts.of(at));
            }
        }
        Ok(())
    })
}

/// Works out when everything is back, in seconds from the beginning of the restarts: after how many all are ready, and
/// how many times there are to read with lifeboat_plan_start_time. Views into an earlier estimate are no longer valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_estimate(
    plan: *mut PlanHandle,
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    ready_s: *mut u64,
    starts: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable_if(ready_s)?;
        writable_if(starts)?;
        let (mut body, cluster, policy) = (lend(plan)?, lend(cluster)?, lend(policy)?);
        let cluster = &cluster.cluster;
        body.same_state(cluster)?;
        let estimate = body.plan.estimate(cluster, &policy);
        let mut texts = Texts::default();
        for start in estimate.starts() {
            add_vm(&mut texts, cluster, start.vm);
        }
        put_if(ready_s, estimate.ready_s())?;
        put_if(starts, estimate.starts().len())?;
        body.estimate = Some((estimate, texts));
        Ok(())
    })
}

/// One time of an estimate: when a VM starts, and when it is ready.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_start_time(
    plan: *mut PlanHandle,
    index: usize,
    vm: *mut Str,
    start_s: *mut u64,
    ready_s: *mut u64,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable_if(vm)?;
        writable_if(start_s)?;
        writable_if(ready_s)?;
        let body = lend(plan)?;
        let (estimate, texts) = body.estimate.as_ref().ok_or_else(position)?;
        let start = estimate.starts().get(index).ok_or_else(position)?;
        put_if(vm, texts.view(index))?;
        put_if(start_s, start.start_s)?;
        put_if(ready_s, start.ready_s)
    })
}

/// A plan as JSON, lifeboat-plan/1, with what would help the VMs without a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_to_json(
    plan: *mut PlanHandle,
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    cancel: *const CancelHandle,
    out: *mut *mut BufferHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (body, cluster, policy) = (lend(plan)?, lend(cluster)?, lend(policy)?);
        let cluster = &cluster.cluster;
        body.same_state(cluster)?;
        if body.promise {
            let what = "this is what a certificate promises, and no whole plan: ask lifeboat_plan_restart_with";
            return Err(fail(LIFEBOAT_INVALID_ARGUMENT, what));
        }
        put_text(out, || {
            let plan = body.plan.clone();
            let planned =
                controlled(cancel, |control| Planned::of(cluster, &policy, &body.losses, plan, &[], control))??;
            Ok(to_text(&planned.json()))
        })
    })
}

/// Two texts of a list of pairs; either out-parameter may be NULL.
pub(super) fn pair(
    texts: &Texts,
    begin: usize,
    index: usize,
    first: *mut Str,
    second: *mut Str,
) -> Result<(), Failure> {
    writable_if(first)?;
    writable_if(second)?;
    let at = begin.saturating_add(index.saturating_mul(2));
    put_if(first, texts.view(at))?;
    put_if(second, texts.view(at.saturating_add(1)))
}

/// One text of a list.
pub(super) fn one(texts: &Texts, begin: usize, length: usize, index: usize, out: *mut Str) -> Result<(), Failure> {
    if index >= length {
        return Err(position());
    }
    put(out, texts.view(begin.saturating_add(index)))
}
