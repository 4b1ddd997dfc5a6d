//! How many losses are survived and how many more VMs can be started, as JSON: `lifeboat-capacity/1`.
//!
//! Uses `capacity`. Used by `answers::ask` and the example program. Fields are sorted.

use super::forms::{node_name, whole};
use crate::capacity::{
    Headroom, HeadroomError, HeadroomLimit, LargestVm, Newcomer, Tolerable, headroom_controlled, headroom_without,
    largest_vm, max_tolerable_controlled,
};
use crate::cluster::{Cluster, NODE_LEVEL};
use crate::placement::budget::Control;
use crate::policy::Policy;
use crate::resources::Amounts;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct CapacityQuestion {
    /// Which levels; none of them stands for all.
    pub levels: Vec<String>,
    /// What is to be added; without it a VM of the average size of those that are on.
    pub newcomer: Option<Newcomer>,
    /// Whether the headroom without each node is asked for, too.
    pub nodes: bool,
}

/// How much more there is room for.
#[derive(Debug)]
pub struct Capacity<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Per level, how many of its units may be lost.
    pub tolerable: Vec<(String, Tolerable)>,
    /// How many more VMs, or why no size stands for those that are on.
    pub more: Result<More, NoSize>,
}

/// Why there is no size to ask about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoSize {
    /// No VM is on.
    NoneOn,
    /// Those that are on need nothing.
    NothingNeeded,
}

impl NoSize {
    /// A stable machine-readable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoneOn => "none_on",
            Self::NothingNeeded => "nothing_needed",
        }
    }

    /// In words.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoneOn => "no VM is on whose size could be taken: say one, or a VM that the others are like",
            Self::NothingNeeded => {
                "the VMs that are on need nothing, so any number fits: say a size, or a VM that the others are like"
            }
        }
    }
}

/// How many more VMs.
#[derive(Debug)]
pub struct More {
    /// What a VM holds, per kind.
    pub shape: Amounts,
    /// The VM that they are like.
    pub like: Option<String>,
    /// How many.
    pub headroom: Headroom,
    /// The largest single one in this proportion, where they are like no VM.
    pub largest: Option<LargestVm>,
    /// The headroom without each node, by name.
    pub without: Vec<(String, Headroom)>,
}

impl<'a> Capacity<'a> {
    /// Counts.
    ///
    /// # Errors
    /// A level that is not there, a VM that is larger than any amount can be, or the caller's flag.
    pub fn ask(
        cluster: &'a Cluster,
        policy: &Policy,
        question: &CapacityQuestion,
        control: &Control,
    ) -> Result<Self, HeadroomError> {
        let levels: Vec<&str> = if question.levels.is_empty() {
            [NODE_LEVEL].into_iter().chain(cluster.levels()).collect()
        } else {
            question.levels.iter().map(String::as_str).collect()
        };
        let mut tolerable = Vec::new();
        for level in levels {
            tolerable.push((level.to_string(), max_tolerable_controlled(cluster, policy, level, control)?));
        }
        let more = |newcomer: &Newcomer| more(cluster, policy, newcomer, question.nodes, control);
        let more = match &question.newcomer {
            Some(newcomer) => Ok(more(newcomer)?),
            None => match average(cluster).map(|shape| more(&Newcomer::Shape(shape))) {
                None => Err(NoSize::NoneOn),
                Some(Err(HeadroomError::NothingWanted)) => Err(NoSize::NothingNeeded),
                Some(found) => Ok(found?),
            },
        };
        Ok(Self { cluster, tolerable, more })
    }

    /// The answer in the form that is printed.
    pub fn json(&self) -> impl Serialize + '_ {
        let more = self.more.as_ref().ok();
        let missing = self.more.as_ref().err().map(|why| NoSizeJson { code: why.code(), message: why.message() });
        let bounds = |headroom: &Headroom| [headroom.least, headroom.most];
        let least = |(amounts, node): &(Amounts, _)| LeastJson {
            demand: per_kind(self.cluster, amounts),
            node: node_name(self.cluster, *node).to_string(),
        };
        let interval = |found: &Tolerable| found.most.map(|most| [found.least.unwrap_or(0), most]);
        let uncovered = self.tolerable.iter().filter(|(_, found)| found.uncovered != [0; 2]);
        let uncovered = uncovered.map(|(level, found)| (level.as_str(), found.uncovered)).collect();
        CapacityJson {
            format: "lifeboat-capacity/1",
            headroom: more.map(|more| bounds(&more.headroom)),
            headroom_limit: more.map(|more| limit_json(more.headroom.limit)),
            headroom_missing: missing,
            headroom_nodes: more.map(|more| more.by_node(self.cluster)),
            headroom_of: more
                .map(|more| SizeJson { demand: per_kind(self.cluster, &more.shape), like: more.like.as_deref() }),
            headroom_without: more
                .filter(|more| !more.without.is_empty())
                .map(|more| more.without.iter().map(|(name, headroom)| (name.as_str(), bounds(headroom))).collect()),
            largest_vm: more.and_then(|more| more.largest.as_ref()).map(|largest| LargestJson {
                least: largest.least.as_ref().map(least),
                most: per_kind(self.cluster, &largest.most),
            }),
            max_tolerable: self.tolerable.iter().map(|(level, found)| (level.as_str(), interval(found))).collect(),
            max_tolerable_uncovered: uncovered,
        }
    }
}

impl More {
    /// How many of the VMs go to each node, by name.
    pub fn by_node<'a>(&self, cluster: &'a Cluster) -> BTreeMap<&'a str, u64> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for node in &self.headroom.placements {
            let count = counts.entry(node_name(cluster, *node)).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }
}

/// The average size of the VMs that are on; `None` if there is none.
fn average(cluster: &Cluster) -> Option<Amounts> {
    let on: Vec<_> = cluster.vms().filter(|vm| vm.is_on()).collect();
    let count = u128::from(whole(on.len()));
    let average = cluster.kinds().iter().enumerate().map(|(at, kind)| {
        let own = on.iter().map(|vm| vm.demand().get(at).map_or(0, |all| all.saturating_sub(kind.per_vm)));
        let sum = own.fold(0_u128, |sum, one| sum.saturating_add(one.into()));
        u64::try_from(sum.div_ceil(count.max(1))).unwrap_or(u64::MAX)
    });
    let average: Amounts = average.collect();
    (!on.is_empty()).then_some(average)
}

fn more(
    cluster: &Cluster,
    policy: &Policy,
    newcomer: &Newcomer,
    nodes: bool,
    control: &Control,
) -> Result<More, HeadroomError> {
    let headroom = headroom_controlled(cluster, policy, newcomer, control)?;
    let (shape, like) = match newcomer {
        Newcomer::Shape(shape) => (shape.clone(), None),
        Newcomer::Like(vm) => {
            let view = cluster.vm(*vm).ok();
            let shape = view.map(|vm| vm.to_vm().demand.unwrap_or_default()).unwrap_or_default();
            (shape, view.map(|vm| vm.name().to_string()))
        }
    };
    // What holds nothing but a kind's overhead has no proportion.
    let in_proportion = like.is_none() && shape.iter().any(|amount| *amount > 0);
    let largest = if in_proportion { Some(largest_vm(cluster, policy, &shape, control)?) } else { None };
    let mut without = Vec::new();
    if nodes {
        for node in cluster.nodes() {
            let found = headroom_without(cluster, policy, newcomer, node.id(), control)?;
            without.push((node.name().to_string(), found));
        }
        without.sort_by(|left, right| left.0.cmp(&right.0));
    }
    Ok(More { shape, like, headroom, largest, without })
}

#[derive(Serialize)]
struct CapacityJson<'a> {
    format: &'static str,
    headroom: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headroom_limit: Option<LimitJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headroom_missing: Option<NoSizeJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headroom_nodes: Option<BTreeMap<&'a str, u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headroom_of: Option<SizeJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headroom_without: Option<BTreeMap<&'a str, [u64; 2]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    largest_vm: Option<LargestJson<'a>>,
    max_tolerable: BTreeMap<&'a str, Option<[u32; 2]>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    max_tolerable_uncovered: BTreeMap<&'a str, [usize; 2]>,
}

#[derive(Serialize)]
struct NoSizeJson {
    code: &'static str,
    message: &'static str,
}

#[derive(Serialize)]
struct SizeJson<'a> {
    demand: BTreeMap<&'a str, u64>,
    like: Option<&'a str>,
}

#[derive(Serialize)]
struct LimitJson {
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
}

#[derive(Serialize)]
struct LargestJson<'a> {
    least: Option<LeastJson<'a>>,
    most: BTreeMap<&'a str, u64>,
}

#[derive(Serialize)]
struct LeastJson<'a> {
    demand: BTreeMap<&'a str, u64>,
    node: String,
}

fn per_kind<'a>(cluster: &'a Cluster, amounts: &Amounts) -> BTreeMap<&'a str, u64> {
    cluster.kinds().iter().enumerate().map(|(at, kind)| (kind.name.as_str(), amounts.of(at))).collect()
}

const fn limit_json(limit: HeadroomLimit) -> LimitJson {
    match limit {
        HeadroomLimit::Room => LimitJson { by: "room", index: None },
        HeadroomLimit::Class(at) => LimitJson { by: "tolerate", index: Some(at) },
        HeadroomLimit::Reserve(at) => LimitJson { by: "reserve", index: Some(at) },
    }
}
