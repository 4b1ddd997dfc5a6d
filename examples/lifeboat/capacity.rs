//! `capacity`: how many nodes, and how many domains of each level, may be lost.

use crate::Answer;
use crate::args::CapacityArgs;
use crate::input::{self, Stop};
use crate::interrupt::Interrupt;
use crate::verify::stop;
use lifeboat::{NODE_LEVEL, Tolerable, max_tolerable_controlled};
use serde_json::{Map, Value, json};
use std::fmt::Write;

pub(crate) fn run(args: &CapacityArgs, interrupt: &Interrupt) -> Result<Answer, Stop> {
    let (cluster, policy) = input::read_cluster(&args.cluster)?;
    let levels: Vec<&str> = if args.level.is_empty() {
        [NODE_LEVEL].into_iter().chain(cluster.levels()).collect()
    } else {
        args.level.iter().map(String::as_str).collect()
    };
    let found: Vec<(&str, Tolerable)> = levels
        .into_iter()
        .map(|level| {
            interrupt
                .during("counting", policy.budget.verify, |control| {
                    max_tolerable_controlled(&cluster, &policy, level, control)
                })
                .map(|found| (level, found))
        })
        .collect::<Result<_, _>>()
        .map_err(stop)?;
    let text = if args.json {
        let interval = |found: &Tolerable| match (found.least, found.most) {
            (_, None) => Value::Null,
            (least, Some(most)) => json!([least.unwrap_or(0), most]),
        };
        let tolerable: Map<String, Value> =
            found.iter().map(|(level, found)| ((*level).to_string(), interval(found))).collect();
        input::to_json(&json!({"format": "lifeboat-capacity/1", "max_tolerable": tolerable}))
    } else {
        let mut out = String::new();
        let _ = writeln!(out, "How many may be lost together, whichever they are, with every protected VM restarted:");
        for (level, found) in &found {
            let many = match (found.least, found.most) {
                (_, None) => "none: what waits for a place already cannot all be placed".to_string(),
                (Some(least), Some(most)) if least == most => most.to_string(),
                (least, Some(most)) => {
                    format!("between {} and {most} (not decided within the budget)", least.unwrap_or(0))
                }
            };
            let _ = writeln!(out, "  {level}: {many}");
        }
        out
    };
    Ok(Answer { text, status: 0 })
}
