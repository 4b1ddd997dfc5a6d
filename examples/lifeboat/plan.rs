//! `plan`: the restarts after a failure.

use crate::args::PlanArgs;
use crate::input::{self, Fault, Stop};
use crate::interrupt::Interrupt;
use crate::screen::Screen;
use crate::{Answer, plan_json, plan_text};
use lifeboat::{
    Cluster, Estimate, Failure, Free, Help, NodeId, PlanError, PlanStatus, Planner, Policy, Reason, RestartPlan, VmId,
};

/// A plan, and all that is needed to print it.
pub(crate) struct Planned<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) plan: &'a RestartPlan,
    /// What is free once it is carried out.
    pub(crate) free: &'a Free,
    /// When everything is back.
    pub(crate) estimate: &'a Estimate,
    /// What would help the VMs without a place, the most important ones first: of as many as were looked at.
    pub(crate) help: &'a [Helped],
    /// Per VM that was asked about: every node, and why not there.
    pub(crate) explained: &'a [Explained],
}

/// Where one VM can run.
pub(crate) struct Explained {
    pub(crate) vm: VmId,
    pub(crate) nodes: Vec<(NodeId, Option<Reason>)>,
}

/// A VM without a place, and what would help it.
pub(crate) type Helped = (VmId, Vec<Help>);

/// For how many VMs it is looked what would help.
pub(crate) const HELPED: usize = 32;

pub(crate) fn run(args: &PlanArgs, interrupt: &Interrupt) -> Result<Answer, Stop> {
    let (cluster, policy) = input::read_cluster(&args.cluster)?;
    let mut faults = Vec::new();
    let failure = input::failure(&cluster, &args.fail, &mut faults);
    let asked = input::vms(&cluster, "--explain", &args.explain, &mut faults);
    if !faults.is_empty() {
        return Err(Stop::BadInput(faults));
    }
    let (plan, explained, help) = ask(&cluster, &policy, &failure, &asked, interrupt)?;
    let free = plan.free(&cluster);
    let estimate = plan.estimate(&cluster, &policy);
    let planned = Planned {
        cluster: &cluster,
        plan: &plan,
        free: &free,
        estimate: &estimate,
        help: &help,
        explained: &explained,
    };
    let text = if args.json {
        input::to_json(&plan_json::plan(&planned))
    } else {
        plan_text::plan(&planned, Screen::of_stdout(args.all))
    };
    Ok(Answer { text, status: status(plan.status()) })
}

/// The plan, and what it means for the VMs that are asked about.
fn ask(
    cluster: &Cluster,
    policy: &Policy,
    failure: &Failure,
    asked: &[VmId],
    interrupt: &Interrupt,
) -> Result<(RestartPlan, Vec<Explained>, Vec<Helped>), Stop> {
    let mut planner = Planner::new();
    let plan = interrupt
        .during("planning", policy.budget.plan, |control| planner.restart_controlled(cluster, policy, failure, control))
        .map_err(stop)?;
    let explained = asked
        .iter()
        .map(|vm| Ok(Explained { vm: *vm, nodes: planner.explain(cluster, failure, &plan, *vm)? }))
        .collect::<Result<_, _>>()
        .map_err(stop)?;
    let help = plan
        .unplaced()
        .iter()
        .take(HELPED)
        .map(|left| Ok((left.vm, planner.help(cluster, failure, &plan, left.vm)?)))
        .collect::<Result<_, _>>()
        .map_err(stop)?;
    Ok((plan, explained, help))
}

fn stop(error: PlanError) -> Stop {
    match error {
        PlanError::Cancelled => Stop::Cancelled,
        error => Stop::BadInput(vec![Fault::new("", None, error.code(), error.to_string())]),
    }
}

const fn status(status: PlanStatus) -> u8 {
    match status {
        PlanStatus::Complete => 0,
        PlanStatus::Short => 1,
        PlanStatus::Unproved => 3,
    }
}
