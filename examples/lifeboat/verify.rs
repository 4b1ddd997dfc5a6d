//! `verify`: whether every failure in the tolerance is survived.

use crate::args::VerifyArgs;
use crate::input::{self, Stop};
use crate::interrupt::Interrupt;
use crate::screen::Screen;
use crate::{Answer, verify_text};
use lifeboat::answers::{Fault, Judged, certificates_text, names, to_text};
use lifeboat::{VerifyError, verify_controlled};

pub(crate) fn run(args: &VerifyArgs, interrupt: &Interrupt) -> Result<Answer, Stop> {
    let (cluster, mut policy) = input::read_cluster(&args.cluster)?;
    if !args.tolerate.is_empty() {
        policy.tolerate = input::sound(|faults| names::classes(&cluster, "--tolerate", &args.tolerate, faults))?;
    }
    let verdict = interrupt
        .during("verifying", policy.budget.verify, |control| verify_controlled(&cluster, &policy, control))
        .map_err(stop)?;
    let judged = interrupt
        .during("checking", policy.budget.plan, |control| Judged::of(&cluster, &policy, verdict, control))
        .map_err(stop)?;
    if let Some(path) = &args.certificate {
        std::fs::write(path, certificates_text(&cluster, &judged.verdict)).map_err(|error| {
            let message = format!("cannot write {path}: {error}");
            Stop::BadInput(vec![Fault::new("--certificate", None, "unwritable", message)])
        })?;
    }
    let text =
        if args.json { to_text(&judged.json()) } else { verify_text::verdict(&judged, Screen::of_stdout(args.all)) };
    Ok(Answer { text, status: judged.status() })
}

pub(crate) fn stop(error: VerifyError) -> Stop {
    match error {
        VerifyError::Cancelled => Stop::Cancelled,
        error => Stop::BadInput(vec![Fault::new("policy.tolerate", None, error.code(), error.to_string())]),
    }
}
