//! `compare`: what other products' rules say about the cluster, beside the exact verdict.

use crate::Answer;
use crate::args::CompareArgs;
use crate::input::{self, Stop};
use crate::interrupt::Interrupt;
use crate::screen::Screen;
use crate::verify::stop;
use crate::words::clean;
use lifeboat::answers::{Fault, agrees, comparison_json, names, not_comparable, says, status, summary, to_text};
use lifeboat::{CompareError, Comparison, Opinion, compare};
use std::fmt::Write;

pub(crate) fn run(args: &CompareArgs, interrupt: &Interrupt) -> Result<Answer, Stop> {
    let (cluster, mut policy) = input::read_cluster(&args.cluster)?;
    if !args.tolerate.is_empty() {
        policy.tolerate = input::sound(|faults| names::classes(&cluster, "--tolerate", &args.tolerate, faults))?;
        if let Some(why) = not_comparable(&policy.tolerate) {
            return Err(Stop::BadInput(vec![Fault::new("--tolerate", None, "tolerate", why)]));
        }
    }
    let found = interrupt
        .during("comparing", policy.budget.verify, |control| compare(&cluster, &policy, control))
        .map_err(|error| match error {
            CompareError::Verify(error) => stop(error),
            error => Stop::BadInput(vec![Fault::new("policy.reserves", None, error.code(), error.to_string())]),
        })?;
    let text = if args.json { to_text(&comparison_json(&found)) } else { for_people(&found, Screen::of_stdout(true)) };
    Ok(Answer { text, status: status(found.verdict.answer()) })
}

fn for_people(found: &Comparison, screen: Screen) -> String {
    let mut out = String::new();
    let answer = found.verdict.answer();
    let nodes = if found.failures == 1 { "node".to_string() } else { format!("{} nodes", found.failures) };
    let _ = writeln!(
        out,
        "Does everything that is protected come back when any {nodes} fail{}?\n",
        if found.failures == 1 { "s" } else { "" }
    );
    let mut rows = vec![vec!["lifeboat (exact)".to_string(), answer.name().to_string(), clean(&summary(found))]];
    for opinion in &found.opinions {
        let mark = if agrees(opinion, answer) == Some(false) { "  <-- differs" } else { "" };
        let star = if opinion.assumed_reservation { " *" } else { "" };
        let says = says(opinion).replace('_', " ");
        let name = opinion.rule.name().replace('_', " ");
        rows.push(vec![format!("{name}{star}"), format!("{says}{mark}"), clean(&opinion.figure)]);
    }
    screen.table(&mut out, &["rule", "survives", "counted"], &[], rows);
    let differing: Vec<&Opinion> = found.opinions.iter().filter(|opinion| !opinion.differences.is_empty()).collect();
    if !differing.is_empty() {
        let _ = writeln!(out, "\nWhy they differ");
        for opinion in differing {
            for difference in &opinion.differences {
                let _ = writeln!(out, "  {}: {}", opinion.rule.name().replace('_', " "), clean(&difference.message));
            }
        }
    }
    if found.opinions.iter().any(|opinion| opinion.assumed_reservation) {
        let _ = writeln!(out, "\n* counts reservations; where a VM states none, its demand was taken for it");
    }
    if found.beyond > 0 {
        let _ = writeln!(
            out,
            "\nThe policy also speaks of wider domains or priorities ({} of its classes): none of these rules can; see `verify`.",
            found.beyond
        );
    }
    out
}
