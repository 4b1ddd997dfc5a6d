//! `capacity`: how many nodes and domains may be lost, and how many more VMs can be started.

use crate::Answer;
use crate::args::CapacityArgs;
use crate::input::{self, Fault, Stop};
use crate::interrupt::Interrupt;
use crate::verify::stop;
use crate::words::{self, clean};
use lifeboat::{
    Amounts, Cluster, Headroom, HeadroomError, HeadroomLimit, LargestVm, NODE_LEVEL, Newcomer, NodeId, Policy,
    Tolerable, headroom_controlled, headroom_without, largest_vm, max_tolerable_controlled,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What was asked about more VMs, and found.
struct More {
    /// What a VM holds, per kind.
    shape: Amounts,
    like: Option<String>,
    headroom: Headroom,
    largest: Option<LargestVm>,
    /// The headroom without each node, by name.
    without: Vec<(String, Headroom)>,
}

pub(crate) fn run(args: &CapacityArgs, interrupt: &Interrupt) -> Result<Answer, Stop> {
    let (cluster, policy) = input::read_cluster(&args.cluster)?;
    let newcomer = newcomer(&cluster, args)?;
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
    let more = newcomer.map(|newcomer| more(&cluster, &policy, args, &newcomer, interrupt)).transpose()?;
    let text = if args.json {
        input::to_json(&to_json(&cluster, &found, more.as_ref()))
    } else {
        to_text(&cluster, &found, more.as_ref())
    };
    Ok(Answer { text, status: 0 })
}

/// What to add: as said, or else of the average size of the VMs that are on; `None` if there is none.
fn newcomer(cluster: &Cluster, args: &CapacityArgs) -> Result<Option<Newcomer>, Stop> {
    if let Some(name) = &args.like {
        let mut faults = Vec::new();
        let vms = input::vms(cluster, "--like", std::slice::from_ref(name), &mut faults);
        return if faults.is_empty() {
            Ok(vms.first().copied().map(Newcomer::Like))
        } else {
            Err(Stop::BadInput(faults))
        };
    }
    if let Some(text) = &args.shape {
        return shape(cluster, text)
            .map(|shape| Some(Newcomer::Shape(shape)))
            .map_err(|message| Stop::BadInput(vec![Fault::new("--shape", Some(text), "shape", message)]));
    }
    let on: Vec<_> = cluster.vms().filter(|vm| vm.is_on()).collect();
    let count = u128::from(words::u64_of(on.len()));
    let average = cluster.kinds().iter().enumerate().map(|(at, kind)| {
        let sum: u128 =
            on.iter().map(|vm| u128::from(vm.demand().get(at).map_or(0, |all| all.saturating_sub(kind.per_vm)))).sum();
        u64::try_from(sum.div_ceil(count.max(1))).unwrap_or(u64::MAX)
    });
    let average: Amounts = average.collect();
    Ok((!on.is_empty()).then_some(Newcomer::Shape(average)))
}

/// `cpu=2000,memory=4096`.
fn shape(cluster: &Cluster, text: &str) -> Result<Amounts, String> {
    let mut amounts = vec![0; cluster.kinds().len()];
    for part in text.split(',') {
        let (kind, amount) = part.split_once('=').ok_or("expected KIND=AMOUNT[,KIND=AMOUNT...]")?;
        let at = cluster.kinds().position(kind.trim());
        let entry =
            at.and_then(|at| amounts.get_mut(at)).ok_or_else(|| format!("there is no resource kind \"{kind}\""))?;
        *entry = amount.trim().parse().map_err(|_| format!("\"{amount}\" is not a whole number"))?;
    }
    Ok(amounts.into())
}

fn more(
    cluster: &Cluster,
    policy: &Policy,
    args: &CapacityArgs,
    newcomer: &Newcomer,
    interrupt: &Interrupt,
) -> Result<More, Stop> {
    let fault = |error: HeadroomError| match error {
        HeadroomError::Verify(error) => stop(error),
        error => {
            let argument = if args.like.is_some() { "--like" } else { "--shape" };
            Stop::BadInput(vec![Fault::new(argument, None, error.code(), error.to_string())])
        }
    };
    let headroom = interrupt
        .during("adding", policy.budget.verify, |control| headroom_controlled(cluster, policy, newcomer, control))
        .map_err(fault)?;
    let shape = match newcomer {
        Newcomer::Shape(shape) => shape.clone(),
        Newcomer::Like(vm) => cluster.vm(*vm).map(|vm| vm.to_vm().demand.unwrap_or_default()).unwrap_or_default(),
    };
    let largest = args.like.is_none().then(|| {
        interrupt
            .during("growing", policy.budget.verify, |control| largest_vm(cluster, policy, &shape, control))
            .map_err(fault)
    });
    let mut without = Vec::new();
    if args.nodes {
        for node in cluster.nodes() {
            let found = interrupt.during("leaving out", policy.budget.verify, |control| {
                headroom_without(cluster, policy, newcomer, node.id(), control)
            });
            without.push((node.name().to_string(), found.map_err(fault)?));
        }
        without.sort_by(|left, right| left.0.cmp(&right.0));
    }
    Ok(More { shape, like: args.like.clone(), headroom, largest: largest.transpose()?, without })
}

fn per_kind(cluster: &Cluster, amounts: &Amounts) -> Map<String, Value> {
    let kinds = cluster.kinds().iter().enumerate();
    kinds.map(|(at, kind)| (kind.name.clone(), Value::from(amounts.of(at)))).collect()
}

fn node_name(cluster: &Cluster, node: NodeId) -> &str {
    cluster.node(node).map_or("?", |node| node.name())
}

/// How many of the VMs go to each node, by name.
fn by_node<'a>(cluster: &'a Cluster, headroom: &Headroom) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for node in &headroom.placements {
        *counts.entry(node_name(cluster, *node)).or_insert(0) += 1;
    }
    counts
}

fn limit_json(limit: HeadroomLimit) -> Value {
    match limit {
        HeadroomLimit::Room => json!({"by": "room"}),
        HeadroomLimit::Class(at) => json!({"by": "tolerate", "index": at}),
        HeadroomLimit::Reserve(at) => json!({"by": "reserve", "index": at}),
    }
}

fn to_json(cluster: &Cluster, found: &[(&str, Tolerable)], more: Option<&More>) -> Value {
    let interval = |found: &Tolerable| match (found.least, found.most) {
        (_, None) => Value::Null,
        (least, Some(most)) => json!([least.unwrap_or(0), most]),
    };
    let tolerable: Map<String, Value> =
        found.iter().map(|(level, found)| ((*level).to_string(), interval(found))).collect();
    let mut answer = json!({"format": "lifeboat-capacity/1", "max_tolerable": tolerable, "headroom": null});
    let (Some(more), Some(fields)) = (more, answer.as_object_mut()) else { return answer };
    let bounds = |headroom: &Headroom| json!([headroom.least, headroom.most]);
    fields.insert("headroom".into(), bounds(&more.headroom));
    fields.insert("headroom_of".into(), json!({"like": more.like, "demand": per_kind(cluster, &more.shape)}));
    fields.insert("headroom_limit".into(), limit_json(more.headroom.limit));
    fields.insert("headroom_nodes".into(), json!(by_node(cluster, &more.headroom)));
    if let Some(largest) = &more.largest {
        let least = largest
            .least
            .as_ref()
            .map(|(amounts, node)| json!({"demand": per_kind(cluster, amounts), "node": node_name(cluster, *node)}));
        fields.insert("largest_vm".into(), json!({"least": least, "most": per_kind(cluster, &largest.most)}));
    }
    if !more.without.is_empty() {
        let without: Map<String, Value> =
            more.without.iter().map(|(name, headroom)| (name.clone(), bounds(headroom))).collect();
        fields.insert("headroom_without".into(), Value::Object(without));
    }
    answer
}

fn to_text(cluster: &Cluster, found: &[(&str, Tolerable)], more: Option<&More>) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "How many may be lost together, whichever they are, with every protected VM restarted:");
    for (level, found) in found {
        let many = match (found.least, found.most) {
            (_, None) => "none: what waits for a place already cannot all be placed".to_string(),
            (Some(least), Some(most)) if least == most => most.to_string(),
            (least, Some(most)) => {
                format!("between {} and {most} (not decided within the budget)", least.unwrap_or(0))
            }
        };
        let _ = writeln!(out, "  {}: {many}", clean(level));
    }
    let Some(more) = more else { return out };
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
    let nodes = by_node(cluster, &more.headroom);
    if !nodes.is_empty() {
        let shown: Vec<String> =
            nodes.iter().take(8).map(|(name, count)| format!("{count} on {}", clean(name))).collect();
        let rest = if nodes.len() > 8 { format!(", and on {} more", nodes.len() - 8) } else { String::new() };
        let _ = writeln!(out, "  {}{rest}", shown.join(", "));
    }
    if let Some(largest) = &more.largest {
        match &largest.least {
            Some((amounts, node)) => {
                let node = clean(node_name(cluster, *node));
                let _ = writeln!(out, "  the largest single one in this proportion: {} (on {node})", size(amounts));
            }
            None => {
                let _ = writeln!(out, "  not even a small one in this proportion");
            }
        }
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
