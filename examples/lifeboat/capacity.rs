//! `capacity`: how many nodes and domains may be lost, and how many more VMs can be started.

use crate::Answer;
use crate::args::CapacityArgs;
use crate::input::{self, Stop};
use crate::interrupt::Interrupt;
use crate::verify::stop;
use crate::words::{self, clean, node_name};
use lifeboat::answers::{Capacity, CapacityQuestion, Fault, names, to_text};
use lifeboat::{Amounts, Cluster, Headroom, HeadroomError, HeadroomLimit, Newcomer};
use std::fmt::Write;

pub(crate) fn run(args: &CapacityArgs, interrupt: &Interrupt) -> Result<Answer, Stop> {
    let (cluster, policy) = input::read_cluster(&args.cluster)?;
    let newcomer = newcomer(&cluster, args)?;
    let levels = input::sound(|faults| names::levels(&cluster, "--level", &args.level, faults))?;
    let question = CapacityQuestion { levels, newcomer, nodes: args.nodes };
    let capacity = interrupt
        .during("counting", policy.budget.verify, |control| Capacity::ask(&cluster, &policy, &question, control))
        .map_err(|error| match error {
            HeadroomError::Verify(error) => stop(error),
            error => {
                let argument = if args.like.is_some() { "--like" } else { "--shape" };
                Stop::BadInput(vec![Fault::new(argument, None, error.code(), error.to_string())])
            }
        })?;
    let text = if args.json { to_text(&capacity.json()) } else { for_people(&capacity) };
    Ok(Answer { text, status: 0 })
}

/// What is said to be added.
fn newcomer(cluster: &Cluster, args: &CapacityArgs) -> Result<Option<Newcomer>, Stop> {
    if let Some(name) = &args.like {
        let vms = input::sound(|faults| names::vms(cluster, "--like", std::slice::from_ref(name), faults))?;
        return Ok(vms.first().copied().map(Newcomer::Like));
    }
    let Some(text) = &args.shape else { return Ok(None) };
    names::shape(cluster, text)
        .map(|shape| Some(Newcomer::Shape(shape)))
        .map_err(|message| Stop::BadInput(vec![Fault::new("--shape", Some(text), "shape", message)]))
}

fn for_people(capacity: &Capacity<'_>) -> String {
    let cluster = capacity.cluster;
    let mut out = String::new();
    let _ = writeln!(out, "How many may be lost together, whichever they are, with every protected VM restarted:");
    for (level, found) in &capacity.tolerable {
        let many = match (found.least, found.most) {
            (_, None) => "none: what waits for a place already cannot all be placed".to_string(),
            (Some(least), Some(most)) if least == most => format!("{most}{}", but_for(found.uncovered[1])),
            (least, Some(most)) => {
                let [fewer, more] = found.uncovered.map(but_for);
                let fewer = if fewer == more { String::new() } else { fewer };
                format!("between {}{fewer} and {most}{more} (not decided within the budget)", least.unwrap_or(0))
            }
        };
        let _ = writeln!(out, "  {}: {many}", clean(level));
    }
    let more = match &capacity.more {
        Ok(more) => more,
        Err(why) => {
            let _ = writeln!(out, "\nHow many more VMs can be started is not said: {}", why.message());
            return out;
        }
    };
    let size = |amounts: &Amounts| {
        let kinds = cluster.kinds().iter().enumerate().filter(|(at, _)| amounts.of(*at) > 0);
        let parts: Vec<String> =
            kinds.map(|(at, kind)| format!("{} {}", clean(&kind.name), words::amount(kind, amounts.of(at)))).collect();
        parts.join(", ")
    };
    let what = more.like.as_ref().map_or_else(String::new, |name| format!("like '{}', ", clean(name)));
    let _ = writeln!(
        out,
        "\nHow many more VMs ({what}{}) can be started with everything kept that is promised:",
        size(&more.shape)
    );
    let _ = writeln!(out, "  {}, for {}", range(&more.headroom), limit_text(more.headroom.limit));
    let nodes = more.by_node(cluster);
    if !nodes.is_empty() {
        let shown: Vec<String> =
            nodes.iter().take(8).map(|(name, count)| format!("{count} on {}", clean(name))).collect();
        let rest = if nodes.len() > 8 { format!(", and on {} more", nodes.len() - 8) } else { String::new() };
        let _ = writeln!(out, "  {}{rest}", shown.join(", "));
    }
    if let Some(largest) = &more.largest {
        let most = size(&largest.most);
        let what = match &largest.least {
            Some((amounts, node)) => {
                let node = clean(node_name(cluster, *node));
                let beyond = if *amounts == largest.most { String::new() } else { format!(", and none above {most}") };
                format!("{} (on {node}){beyond}", size(amounts))
            }
            None if most.is_empty() => "not even the smallest".to_string(),
            None => format!("none for certain, and none above {most}"),
        };
        let _ = writeln!(out, "  the largest single one in this proportion: {what}");
    }
    if !more.without.is_empty() {
        let _ = writeln!(out, "\nThe same without one node, its VMs restarted elsewhere:");
        for (name, headroom) in &more.without {
            let worth = more.headroom.least.saturating_sub(headroom.least);
            let _ = writeln!(out, "  without {}: {} (it is worth {worth})", clean(name), range(headroom));
        }
    }
    out
}

/// How many VMs a number of losses leaves out.
fn but_for(uncovered: usize) -> String {
    if uncovered == 0 {
        return String::new();
    }
    format!(", but for {} that no node could take", words::count(uncovered, "VM"))
}

fn range(headroom: &Headroom) -> String {
    if headroom.least == headroom.most {
        words::thousands(headroom.least)
    } else {
        format!("between {} and {}", words::thousands(headroom.least), words::thousands(headroom.most))
    }
}

fn limit_text(limit: HeadroomLimit) -> String {
    match limit {
        HeadroomLimit::Room => "that is what nodes have free today".to_string(),
        HeadroomLimit::Class(at) => format!("more would break tolerate[{at}] of the policy"),
        HeadroomLimit::Reserve(at) => format!("more would break reserves[{at}] of the policy"),
    }
}
