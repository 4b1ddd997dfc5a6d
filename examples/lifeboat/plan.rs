//! `plan`: the restarts after a failure.

use crate::args::PlanArgs;
use crate::input::{self, Stop};
use crate::interrupt::Interrupt;
use crate::screen::Screen;
use crate::{Answer, plan_text};
use lifeboat::PlanError;
use lifeboat::answers::{Fault, Planned, names, to_text};

pub(crate) fn run(args: &PlanArgs, interrupt: &Interrupt) -> Result<Answer, Stop> {
    let (cluster, policy) = input::read_cluster(&args.cluster)?;
    let (failure, asked) = input::sound(|faults| {
        let failure = names::failure(&cluster, "--fail", &args.fail, faults);
        (failure, names::vms(&cluster, "--explain", &args.explain, faults))
    })?;
    let planned = interrupt
        .during("planning", policy.budget.plan, |control| Planned::ask(&cluster, &policy, &failure, &asked, control))
        .map_err(stop)?;
    let text =
        if args.json { to_text(&planned.json()) } else { plan_text::plan(&planned, Screen::of_stdout(args.all)) };
    Ok(Answer { text, status: planned.status() })
}

fn stop(error: PlanError) -> Stop {
    match error {
        PlanError::Cancelled => Stop::Cancelled,
        error => Stop::BadInput(vec![Fault::new("", None, error.code(), error.to_string())]),
    }
}
