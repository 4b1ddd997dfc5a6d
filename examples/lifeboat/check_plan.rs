//! `check-plan`: whether a plan that was printed earlier is valid for a cluster, by the library's checker.

use crate::Answer;
use crate::args::CheckPlanArgs;
use crate::input::{self, Stop};
use crate::screen::{Screen, Tone};
use crate::words::count;
use lifeboat::answers::{CheckedPlan, Fault, PlanText, Problem, names, to_text};
use std::fmt::Write;

pub(crate) fn run(args: &CheckPlanArgs) -> Result<Answer, Stop> {
    let (cluster, policy) = input::read_cluster(&args.cluster)?;
    let plan = read_plan(&args.plan)?;
    let failure = if args.fail.is_empty() {
        None
    } else {
        Some(input::sound(|faults| names::failure(&cluster, "--fail", &args.fail, faults))?)
    };
    let checked = CheckedPlan::ask(&cluster, &policy, &plan, failure.as_ref());
    let text = if args.json { to_text(&checked.json()) } else { report(&checked, Screen::of_stdout(false)) };
    Ok(Answer { text, status: checked.status() })
}

fn read_plan(path: &str) -> Result<PlanText, Stop> {
    let text = input::read_text(path)?;
    let fault = |code: &str, message: String| Stop::BadInput(vec![Fault::new(path, None, code, message)]);
    let plan: PlanText =
        serde_json::from_str(&text).map_err(|error| fault("bad_plan", format!("is not a plan: {error}")))?;
    plan.wrong_format().map_or(Ok(plan), |message| Err(fault("format", message)))
}

fn report(checked: &CheckedPlan, screen: Screen) -> String {
    let CheckedPlan { plan, problems } = checked;
    let mut out = String::new();
    if problems.is_empty() {
        let what = format!("The plan is valid: {} checked.", count(plan.placements().len(), "restart"));
        let _ = writeln!(out, "{}", screen.tone(Tone::Good, &what));
        screen.paragraph(&mut out, 0, "Whether a better plan exists is not what this check answers.");
    } else {
        let what = format!("The plan is not valid: {}.", count(problems.len(), "problem"));
        let _ = writeln!(out, "{}", screen.tone(Tone::Bad, &what));
        let line = |problem: &Problem| crate::words::clean(&format!("{} [{}]", problem.message, problem.code));
        screen.lines(&mut out, problems.iter().map(line).collect());
    }
    out
}
