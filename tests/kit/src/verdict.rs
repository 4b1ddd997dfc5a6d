//! Verdicts by exhaustion: every failure of a class, and for each every way to restart. Slow, plain, straight from
//! SPEC.md 2.2.
//!
//! Uses the public views of `lifeboat` through `verdict_model`, effective classes of `reference`, and nothing that makes
//! plans or verdicts. Used by tests and fuzz targets, against whatever the library says of a guarantee.
//! `verdict_replay` plays losses one after another against somebody's plans.
//!
//! What this page takes the specification to say, where it leaves a choice:
//! - a unit of a level is a domain with at least one node that is up (online or cordoned), or such a node without a
//!   domain there; nodes in maintenance or failed are no units and unreachable ones fail in every scenario;
//! - in a scenario nothing but the covered VMs is placed: best-effort VMs, those below `min_priority`, and for *the rest*
//!   the uncoverable ones, are gone if their node is;
//! - a VM that needs (`give_up`) an uncoverable one which is gone is not uncoverable itself: the rest fails on it.

use crate::verdict_model::{Model, Stop};
use lifeboat::policy::FailureClass;
use lifeboat::{Cluster, NODE_LEVEL, NodeId, NodeState, Policy, Priority, VmId};
use std::collections::{BTreeMap, BTreeSet};

/// Something that fails as a whole: a node, or a domain of a level.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Unit {
    /// The level.
    pub level: String,
    /// The domain; for a node, and for a domain of one node that has no name, the node.
    pub name: String,
    /// A node that is a domain of its own, as it has none at this level.
    pub own: bool,
    /// Its nodes that are up, by id.
    pub nodes: Vec<NodeId>,
}

/// How many failures of a class there are, counted in three ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scenarios {
    /// Choices of up to so many units, the empty one included.
    pub choices: u128,
    /// Choices of just so many units, or of all where there are fewer.
    pub largest: u128,
    /// Different sets of nodes that fail.
    pub node_sets: u128,
}

/// Which failing sets are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// The first, of the fewest units.
    First,
    /// All.
    All,
}

/// A VM that some failure of the class leaves without any node that could take it, were it alone in the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uncoverable {
    /// The VM.
    pub vm: VmId,
    /// The first such failure, of the fewest units.
    pub failure: Vec<Unit>,
}

/// Whether a class of failures is survived, and if not, by what it is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survival {
    /// Whether every failure is.
    pub survives: bool,
    /// Those that are not: by number of units, then by name; only the first if no more was asked for.
    pub failing: Vec<Vec<Unit>>,
}

/// What is true of a class of failures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassVerdict {
    /// Of all covered VMs: no class with an uncoverable VM is survived.
    pub all: Survival,
    /// Of the covered VMs without the uncoverable ones, which hold their room while their node is up.
    pub rest: Survival,
    /// In the order of the cluster.
    pub uncoverable: Vec<Uncoverable>,
    /// How many failures there are.
    pub scenarios: Scenarios,
}

/// The units of a level: what may fail.
///
/// # Panics
/// If there is no such level.
#[must_use]
pub fn units(cluster: &Cluster, level: &str) -> Vec<Unit> {
    assert!(level == NODE_LEVEL || cluster.levels().any(|known| known == level), "there is no level {level}");
    let up = |node: &lifeboat::NodeRef<'_>| matches!(node.state(), NodeState::Online | NodeState::Cordoned);
    let mut units: BTreeMap<(String, bool), Vec<NodeId>> = BTreeMap::new();
    for node in cluster.nodes().filter(up) {
        let key = node.domain(level).map_or((node.name().to_string(), true), |name| (name.to_string(), false));
        units.entry(key).or_default().push(node.id());
    }
    let own = |own| own && level != NODE_LEVEL;
    let unit = |((name, alone), nodes)| Unit { level: level.to_string(), name, own: own(alone), nodes };
    units.into_iter().map(unit).collect()
}

/// A class with what maintenance takes off its nodes, where the policy says so.
fn effective_class(cluster: &Cluster, policy: &Policy, class: &FailureClass) -> FailureClass {
    let mut class = class.clone();
    if policy.maintenance_uses_tolerance {
        let down = cluster.nodes().filter(|node| node.state() == NodeState::Maintenance).count();
        for (_, count) in class.fail.iter_mut().filter(|(level, _)| level == NODE_LEVEL) {
            *count = count.saturating_sub(u32::try_from(down).expect("few nodes"));
        }
    }
    class
}

/// All failures of a class: every choice of up to so many units, of few units first, then by name.
#[must_use]
pub fn failures(cluster: &Cluster, policy: &Policy, class: &FailureClass) -> Vec<Vec<Unit>> {
    let mut all: Vec<Vec<Unit>> = vec![Vec::new()];
    for (level, count) in &effective_class(cluster, policy, class).fail {
        let mut here: Vec<Vec<Unit>> = vec![Vec::new()];
        for unit in units(cluster, level) {
            let with = here.iter().filter(|chosen| chosen.len() < *count as usize);
            let with: Vec<Vec<Unit>> = with.map(|chosen| [&chosen[..], std::slice::from_ref(&unit)].concat()).collect();
            here.extend(with);
        }
        all = all.iter().flat_map(|before| here.iter().map(|now| [&before[..], &now[..]].concat())).collect();
    }
    all.sort_by(|left, right| left.len().cmp(&right.len()).then_with(|| left.cmp(right)));
    all
}

/// The nodes of some units.
#[must_use]
pub fn nodes_of(failure: &[Unit]) -> BTreeSet<NodeId> {
    failure.iter().flat_map(|unit| unit.nodes.iter().copied()).collect()
}

fn scenarios(cluster: &Cluster, policy: &Policy, class: &FailureClass, failures: &[Vec<Unit>]) -> Scenarios {
    let class = effective_class(cluster, policy, class);
    let exact = |failure: &&Vec<Unit>| {
        class.fail.iter().all(|(level, count)| {
            let chosen = failure.iter().filter(|unit| unit.level == *level).count();
            chosen == (*count as usize).min(units(cluster, level).len())
        })
    };
    let node_sets: BTreeSet<BTreeSet<NodeId>> = failures.iter().map(|failure| nodes_of(failure)).collect();
    Scenarios {
        choices: failures.len() as u128,
        largest: failures.iter().filter(exact).count() as u128,
        node_sets: node_sets.len() as u128,
    }
}

/// The verdict on a class; nothing if a failure takes more than `limit` partial plans to decide.
#[must_use]
pub fn verdict(cluster: &Cluster, policy: &Policy, class: &FailureClass, ask: Ask, limit: u64) -> Option<ClassVerdict> {
    let model = Model::new(cluster);
    let failures = failures(cluster, policy, class);
    let uncoverable = uncoverable(&model, class.min_priority, &failures);
    let without: BTreeSet<VmId> = uncoverable.iter().map(|found| found.vm).collect();
    let all = survival(&model, policy, class.min_priority, &failures, &BTreeSet::new(), ask, limit)?;
    let rest = if without.is_empty() {
        all.clone()
    } else {
        survival(&model, policy, class.min_priority, &failures, &without, ask, limit)?
    };
    Some(ClassVerdict { all, rest, uncoverable, scenarios: scenarios(cluster, policy, class, &failures) })
}

/// The verdicts on all classes of a policy, in its order; nothing if one of them takes too long.
#[must_use]
pub fn verdicts(cluster: &Cluster, policy: &Policy, ask: Ask, limit: u64) -> Option<Vec<ClassVerdict>> {
    policy.tolerate.iter().map(|class| verdict(cluster, policy, class, ask, limit)).collect()
}

fn survival(
    model: &Model<'_>,
    policy: &Policy,
    min_priority: Option<Priority>,
    failures: &[Vec<Unit>],
    without: &BTreeSet<VmId>,
    ask: Ask,
    limit: u64,
) -> Option<Survival> {
    let mut known: BTreeMap<BTreeSet<NodeId>, bool> = BTreeMap::new();
    let mut failing = Vec::new();
    for failure in failures {
        let nodes = nodes_of(failure);
        let survived = if let Some(known) = known.get(&nodes) {
            *known
        } else {
            let scenario = model.scenario(&nodes, min_priority, without);
            match model.place_all(&scenario, policy.preemption, limit) {
                Ok(_) => true,
                Err(Stop::Impossible) => false,
                Err(Stop::TooLong) => return None,
            }
        };
        known.insert(nodes, survived);
        if !survived {
            failing.push(failure.clone());
            if ask == Ask::First {
                break;
            }
        }
    }
    Some(Survival { survives: failing.is_empty(), failing })
}

/// The covered VMs that, displaced by some failure, fit on no node even alone.
fn uncoverable(model: &Model<'_>, min_priority: Option<Priority>, failures: &[Vec<Unit>]) -> Vec<Uncoverable> {
    let mut found: BTreeMap<VmId, Vec<Unit>> = BTreeMap::new();
    for failure in failures {
        let scenario = model.scenario(&nodes_of(failure), min_priority, &BTreeSet::new());
        for vm in model.fitting_nowhere(&scenario) {
            found.entry(vm).or_insert_with(|| failure.clone());
        }
    }
    found.into_iter().map(|(vm, failure)| Uncoverable { vm, failure }).collect()
}

/// What one failure does to a class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All covered VMs have a place: one way to do it.
    Survived {
        /// VMs and their nodes.
        placements: Vec<(VmId, NodeId)>,
        /// VMs that make room and the nodes they leave; not always as few as would do.
        evictions: Vec<(VmId, NodeId)>,
    },
    /// They have not.
    Lost,
}

/// Whether these nodes can be lost, all of them at once with the unreachable ones; nothing beyond `limit` partial plans.
/// VMs in `without` need no place, but hold their room where they run.
#[must_use]
pub fn outcome(
    cluster: &Cluster,
    policy: &Policy,
    min_priority: Option<Priority>,
    nodes: &BTreeSet<NodeId>,
    without: &BTreeSet<VmId>,
    limit: u64,
) -> Option<Outcome> {
    let model = Model::new(cluster);
    let scenario = model.scenario(nodes, min_priority, without);
    match model.place_all(&scenario, policy.preemption, limit) {
        Ok(found) => {
            Some(Outcome::Survived { placements: model.named(&found.placed), evictions: model.named(&found.evicted) })
        }
        Err(Stop::Impossible) => Some(Outcome::Lost),
        Err(Stop::TooLong) => None,
    }
}

/// The covered VMs that a failure displaces, in the order of the cluster.
#[must_use]
pub fn displaced(cluster: &Cluster, min_priority: Option<Priority>, nodes: &BTreeSet<NodeId>) -> Vec<VmId> {
    let model = Model::new(cluster);
    model.ids(&model.scenario(nodes, min_priority, &BTreeSet::new()).to_place)
}

/// The largest k for which every failure of up to k units of a level is survived by all protected VMs, at most the number of
/// units; the inner nothing if not even the empty failure is; the outer one beyond `limit` partial plans.
#[must_use]
pub fn max_tolerable(cluster: &Cluster, policy: &Policy, level: &str, limit: u64) -> Option<Option<u32>> {
    let most = u32::try_from(units(cluster, level).len()).expect("few units");
    let mut held = None;
    for count in 0..=most {
        let class = FailureClass::units(level, count);
        if !verdict(cluster, policy, &class, Ask::First, limit)?.all.survives {
            break;
        }
        held = Some(count);
    }
    Some(held)
}
