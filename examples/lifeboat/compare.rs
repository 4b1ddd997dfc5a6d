//! `compare`: what other products' rules say about the cluster, beside the exact verdict.

use crate::Answer;
use crate::args::CompareArgs;
use crate::input::{self, Fault, Stop};
use crate::interrupt::Interrupt;
use crate::screen::Screen;
use crate::verify::{classes, stop};
use crate::words::clean;
use lifeboat::{Answer as Verdict, CompareError, Comparison, Opinion, compare};
use serde_json::{Value, json};
use std::fmt::Write;

pub(crate) fn run(args: &CompareArgs, interrupt: &Interrupt) -> Result<Answer, Stop> {
    let (cluster, mut policy) = input::read_cluster(&args.cluster)?;
    if !args.tolerate.is_empty() {
        policy.tolerate = classes(&cluster, &args.tolerate)?;
    }
    let found = interrupt
        .during("comparing", policy.budget.verify, |control| compare(&cluster, &policy, control))
        .map_err(|error| match error {
            CompareError::Verify(error) => stop(error),
            error => Stop::BadInput(vec![Fault::new("policy.reserves", None, error.code(), error.to_string())]),
        })?;
    let text = if args.json { input::to_json(&to_json(&found)) } else { to_text(&found, Screen::of_stdout(true)) };
    let status = match found.verdict.answer() {
        Verdict::Holds => 0,
        Verdict::Fails => 1,
        Verdict::Undecided => 3,
    };
    Ok(Answer { text, status })
}

fn says(opinion: &Opinion) -> &'static str {
    match opinion.survives {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not_applicable",
    }
}

/// Whether a rule says what the verdict says; `None` where one of them says nothing.
fn agrees(opinion: &Opinion, answer: Verdict) -> Option<bool> {
    match (opinion.survives?, answer) {
        (_, Verdict::Undecided) => None,
        (says, answer) => Some(says == (answer == Verdict::Holds)),
    }
}

fn summary(found: &Comparison) -> String {
    found.verdict.classes().iter().map(lifeboat::ClassVerdict::summary).collect::<Vec<_>>().join("; ")
}

fn to_json(found: &Comparison) -> Value {
    let answer = found.verdict.answer();
    let rules: Vec<Value> = found
        .opinions
        .iter()
        .map(|opinion| {
            let differences: Vec<Value> = opinion
                .differences
                .iter()
                .map(|difference| json!({"code": difference.code, "message": difference.message}))
                .collect();
            let number = |number: i128| i64::try_from(number).map_or_else(|_| json!(number.to_string()), Value::from);
            json!({
                "rule": opinion.rule.name(),
                "survives": says(opinion),
                "figure": opinion.figure,
                "needed": opinion.counted.map(|(needed, _)| number(needed)),
                "offered": opinion.counted.map(|(_, offered)| number(offered)),
                "assumed_reservation": opinion.assumed_reservation,
                "agrees": agrees(opinion, answer),
                "differences": differences,
            })
        })
        .collect();
    json!({
        "format": "lifeboat-compare/1",
        "failures": found.failures,
        "verdict": answer.name(),
        "message": summary(found),
        "beyond": found.beyond,
        "rules": rules,
    })
}

fn to_text(found: &Comparison, screen: Screen) -> String {
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
