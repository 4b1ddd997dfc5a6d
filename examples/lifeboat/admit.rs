//! `admit`: transactions in, a decision out for each; the state goes on with those that are admitted or observed.

use crate::args::AdmitArgs;
use crate::input::{self, Stop};
use crate::words::clean;
use crate::{Answer, BAD_INPUT};
use lifeboat::answers::{Fault, decision_json, errors, outcome_name, to_line, transaction};
use lifeboat::document::to_json_pretty;
use lifeboat::{Control, Decision, DecisionOutcome, Guard, Item, ItemState, ViolationKind};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write as _};

pub(crate) fn run(args: &AdmitArgs) -> Result<Answer, Stop> {
    let (cluster, policy) = input::read_cluster(&args.cluster)?;
    let lines: Box<dyn BufRead> = if args.changes == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = std::fs::File::open(&args.changes).map_err(|error| {
            bad(Fault::new("--changes", None, "unreadable", format!("cannot read {}: {error}", args.changes)))
        })?;
        Box::new(BufReader::new(file))
    };
    let mut guard = Guard::new(cluster, policy);
    let mut status = 0;
    for (number, line) in (1_u64..).zip(lines.lines()) {
        let line = line.map_err(|error| bad(Fault::new("--changes", None, "unreadable", error.to_string())))?;
        if line.trim().is_empty() {
            continue;
        }
        let said = match transaction(&mut guard, &line, &format!("line {number}"), args.observe, &Control::new()) {
            Ok(decision) => {
                if decision.outcome() == DecisionOutcome::Refused {
                    status = status.max(1);
                }
                if args.json {
                    to_line(&decision_json(guard.cluster(), &decision))
                } else {
                    decision_text(number, &decision)
                }
            }
            Err(faults) => {
                // Nothing of a bad line is carried out; those after it are judged all the same.
                status = BAD_INPUT;
                input::complain(&faults);
                if args.json { to_line(&errors(&faults)) } else { String::new() }
            }
        };
        // Whoever sends the next line may be waiting for this answer.
        let mut out = io::stdout().lock();
        if out.write_all(said.as_bytes()).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    if let Some(path) = &args.save {
        std::fs::write(path, to_json_pretty(guard.cluster(), guard.policy()))
            .map_err(|error| bad(Fault::new("--save", None, "unwritable", format!("cannot write {path}: {error}"))))?;
    }
    Ok(Answer { text: String::new(), status })
}

fn bad(fault: Fault) -> Stop {
    Stop::BadInput(vec![fault])
}

fn decision_text(number: u64, decision: &Decision) -> String {
    let mut out = String::new();
    let places: Vec<String> =
        decision.placed().iter().map(|placed| format!("{} on {}", placed.vm_name, placed.node_name)).collect();
    let places = if places.is_empty() || decision.outcome() == DecisionOutcome::Refused {
        String::new()
    } else {
        format!(": {}", places.join(", "))
    };
    let _ = writeln!(out, "{number}: {}{}", outcome_name(decision.outcome()), clean(&places));
    for violation in decision.violations() {
        let mark = match violation.kind {
            _ if violation.enforced => "because",
            // A fact has made a promise weaker: that is more than a note.
            ViolationKind::Item { item, .. } if !violation.broken_before && was_there(decision, item) => "worse",
            _ => "note",
        };
        let _ = writeln!(out, "   {mark}: {} [{}]", clean(&violation.message), violation.kind.code());
    }
    // A guarantee can become weaker or stronger and still be kept: losses at once instead of one after another.
    let told = |now: &&ItemState| {
        let same = decision.before().iter().find(|then| then.is_of_same_item(now));
        let changed = same.is_some_and(|then| then.message != now.message);
        changed && now.is_ok() && matches!(now.item, Item::Tolerate(_))
    };
    if decision.outcome() != DecisionOutcome::Refused {
        for now in decision.after().iter().filter(told) {
            let _ = writeln!(out, "   now: {} [tolerate]", clean(&now.message));
        }
    }
    out
}

/// Whether an item of the policy was one before.
fn was_there(decision: &Decision, item: usize) -> bool {
    let after = decision.after().get(item);
    after.is_some_and(|after| decision.before().iter().any(|before| before.is_of_same_item(after)))
}
