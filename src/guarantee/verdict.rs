//! Verdicts as data: what holds, what fails and why, what is open.
//!
//! Uses `ids`, `policy`, `guarantee::certificate`. Made by `guarantee::verify`, validated by `guarantee::checker`,
//! printed by whoever asks.

use super::certificate::{Certificate, Covers};
use crate::cluster::{Cluster, NodeRef};
use crate::failure::Failure;
use crate::ids::{NodeId, VmId};
use crate::named::named;
use crate::policy::FailureClass;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The three answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Answer {
    /// Proved: every failure is survived.
    Holds,
    /// Neither proved nor refuted within the budget.
    Undecided,
    /// Refuted: there is a failure that cannot be survived.
    Fails,
}

named!(Answer { Holds = "holds", Undecided = "undecided", Fails = "fails" });

/// The verdict on a policy's tolerance: one verdict per failure class.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    pub(crate) classes: Vec<ClassVerdict>,
}

impl Verdict {
    /// Fails if a class fails, undecided if one is undecided, else holds; also where nothing is promised.
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.classes.iter().map(ClassVerdict::answer).max().unwrap_or(Answer::Holds)
    }

    /// The classes, in the order of the policy.
    #[must_use]
    pub fn classes(&self) -> &[ClassVerdict] {
        &self.classes
    }

    /// The classes, to keep.
    #[must_use]
    pub fn into_classes(self) -> Vec<ClassVerdict> {
        self.classes
    }

    /// The certificates of the classes that hold.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.classes.iter().filter_map(ClassVerdict::certificate)
    }
}

/// The verdict on one failure class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassVerdict {
    pub(crate) class: FailureClass,
    pub(crate) outcome: Outcome,
    /// Whether VMs that nothing could take make the class fail.
    pub(crate) uncoverable_fails: bool,
    pub(crate) uncoverable: Vec<Uncoverable>,
    pub(crate) scenarios: u128,
    pub(crate) open: u128,
    pub(crate) failing_units: Vec<Unit>,
    pub(crate) method: Method,
    pub(crate) work: u64,
}

/// What became of a class, VMs that nothing could take aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every failure is survived.
    Holds(Certificate),
    /// This one is not.
    Fails(Counterexample),
    /// The budget ended first.
    Undecided {
        /// The failure that comes closest to the limit.
        tightest: Option<Tight>,
        /// Whether the class demanded losses in any order, and only losses at once are proved.
        only_at_once: bool,
    },
}

impl ClassVerdict {
    /// The failure class.
    #[must_use]
    pub fn class(&self) -> &FailureClass {
        &self.class
    }

    /// The answer for the class: fails also where a VM is uncoverable, unless the policy only warns of that.
    #[must_use]
    pub fn answer(&self) -> Answer {
        if self.uncoverable_fails && !self.uncoverable.is_empty() { Answer::Fails } else { self.rest() }
    }

    /// The answer for all VMs but the uncoverable ones.
    #[must_use]
    pub fn rest(&self) -> Answer {
        match &self.outcome {
            Outcome::Holds(_) => Answer::Holds,
            Outcome::Fails(_) => Answer::Fails,
            Outcome::Undecided { .. } => Answer::Undecided,
        }
    }

    /// What was found, uncoverable VMs aside.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The certificate, if the class holds (uncoverable VMs aside).
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        match &self.outcome {
            Outcome::Holds(certificate) => Some(certificate),
            _ => None,
        }
    }

    /// The counterexample, if the class fails (uncoverable VMs aside).
    #[must_use]
    pub fn counterexample(&self) -> Option<&Counterexample> {
        match &self.outcome {
            Outcome::Fails(counterexample) => Some(counterexample),
            _ => None,
        }
    }

    /// What the yes covers, if there is one.
    #[must_use]
    pub fn covers(&self) -> Option<Covers> {
        self.certificate().map(Certificate::covers)
    }

    /// Protected VMs that some failure of the class leaves without any node that could take them, by name.
    #[must_use]
    pub fn uncoverable(&self) -> &[Uncoverable] {
        &self.uncoverable
    }

    /// How many failures of the full size the class has. Saturates at `u128::MAX`.
    #[must_use]
    pub fn scenarios(&self) -> u128 {
        self.scenarios
    }

    /// How many failures (of any size) are neither proved nor refuted. Saturates.
    #[must_use]
    pub fn open(&self) -> u128 {
        self.open
    }

    /// For a class of one unit: every unit that may not fail, by name (and besides, perhaps, some of the
    /// [`open`](Self::open) ones); otherwise empty.
    #[must_use]
    pub fn failing_units(&self) -> &[Unit] {
        &self.failing_units
    }

    /// How the answer was found.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The work it took, in node evaluations.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.work
    }

    /// The verdict in one sentence, saying what it covers.
    #[must_use]
    pub fn summary(&self) -> String {
        let what = describe_class(&self.class);
        let of_nothing = self.class.fail.iter().all(|(_, count)| *count == 0);
        // Where only the uncoverable VMs make the class fail, that is the message.
        let count = self.uncoverable.len();
        let alone = self.rest() != Answer::Fails && self.answer() == Answer::Fails;
        let (vms, have, them) =
            if count == 1 { (String::from("1 VM"), "has", "it") } else { (format!("{count} VMs"), "have", "them") };
        match (alone, of_nothing) {
            (false, false) => self.of_losses(&what, if count == 0 { "" } else { ", apart from the uncoverable VMs," }),
            (false, true) => self.of_no_loss("", if count == 0 { "" } else { ", apart from the uncoverable ones," }),
            (true, false) => format!(
                "some loss of {what} leaves {vms} without a node that could take {them}; for all others {}",
                self.of_losses(&what, "")
            ),
            (true, true) => {
                format!("{vms} {have} no node that could take {them}; {}", self.of_no_loss("other ", ""))
            }
        }
    }

    /// In words, what becomes of the losses of the class.
    fn of_losses(&self, what: &str, rest: &str) -> String {
        let evicting = self.evicting();
        match &self.outcome {
            Outcome::Holds(certificate) if certificate.covers() == Covers::AnyOrder => {
                format!("any loss of {what}{rest} is survived, at once or one after another{evicting}")
            }
            Outcome::Holds(_) => {
                format!(
                    "any loss of {what}{rest} is survived if it comes at once{evicting}; losses one after another are not \
                     proved"
                )
            }
            Outcome::Fails(counterexample) => {
                format!("not every loss of {what}{rest} is survived: {}", counterexample.message())
            }
            Outcome::Undecided { only_at_once: true, .. } => format!(
                "any loss of {what}{rest} is survived if it comes at once; losses one after another, which the class \
                 demands, are neither proved nor refuted"
            ),
            Outcome::Undecided { tightest, .. } => {
                let tightest = tightest.as_ref().map_or_else(String::new, |tight| {
                    format!("; the tightest is {}, which fills {}", describe_units(&tight.units), tight.fill())
                });
                let open = self.open;
                let are = if open == 1 { "is" } else { "are" };
                format!("{open} of the failures of {what}{rest} {are} neither proved nor refuted{tightest}")
            }
        }
    }

    /// The same of a class without losses: only what waits already needs a place.
    fn of_no_loss(&self, other: &str, rest: &str) -> String {
        let least = self.class.min_priority;
        let least = least.map_or_else(String::new, |least| format!(" of priority {least} and above"));
        let every = format!("every {other}protected VM{least}{rest}");
        match &self.outcome {
            Outcome::Holds(_) => format!("with nothing lost {every} has a place{}", self.evicting()),
            Outcome::Fails(counterexample) => {
                format!("with nothing lost not {every} has a place: {}", counterexample.message())
            }
            Outcome::Undecided { .. } => {
                format!("that with nothing lost {every} has a place is neither proved nor refuted")
            }
        }
    }

    fn evicting(&self) -> &'static str {
        let evicts = self.certificate().is_some_and(Certificate::evicts);
        if evicts { ", with best-effort VMs stopped where they stand in the way" } else { "" }
    }
}

/// How a verdict was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Method {
    /// The way that settled it.
    pub way: Way,
    /// How many banks the proof uses.
    pub banks: u32,
    /// How many failures were looked at one by one.
    pub searched: u64,
}

/// The way that settled a verdict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Way {
    /// Prices: needs against room, without a search.
    Prices,
    /// Banks: a plan per unit and bank.
    Banks,
    /// Base plans, and the failures in which they collide, one by one.
    Pairs,
    /// Every failure by itself.
    #[default]
    Search,
}

named!(Way { Prices = "prices", Banks = "banks", Pairs = "pairs", Search = "search" });

/// A unit of failure: a fault domain, or a node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Unit {
    /// The level, `node` for a node.
    pub level: String,
    /// The domain's name, or the node's.
    pub name: String,
}

/// `level=name`, a node by its name alone.
impl core::fmt::Display for Unit {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.level != crate::cluster::NODE_LEVEL {
            write!(formatter, "{}=", self.level)?;
        }
        formatter.write_str(&self.name)
    }
}

/// A protected VM that some failure leaves without any node that could take it, even with all other VMs away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uncoverable {
    /// The VM.
    pub vm: VmId,
    /// A failure that does it; empty if no failure is needed.
    pub units: Vec<Unit>,
    /// The nodes that could take it if they were not lost.
    pub nodes: Vec<NodeId>,
}

impl Uncoverable {
    /// In words.
    #[must_use]
    pub fn message(&self, cluster: &Cluster) -> String {
        let name = cluster.vm(self.vm).map_or("?", |vm| vm.name());
        if self.nodes.is_empty() {
            return format!("no node can take VM '{name}', even if it were empty");
        }
        let nodes: Vec<&str> =
            self.nodes.iter().filter_map(|node| cluster.node(*node).ok()).map(NodeRef::name).collect();
        let units = describe_units(&self.units);
        format!(
            "after the loss of {units} no node can take VM '{name}', even if it were empty: it can run only on {}",
            list(&nodes)
        )
    }
}

/// A failure close to the limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tight {
    /// What fails.
    pub units: Vec<Unit>,
    /// What is displaced, in the prices that come closest to a refutation.
    pub needed: u128,
    /// What the survivors can take, in the same prices.
    pub available: u128,
}

impl Tight {
    /// How full the survivors would be by these prices, in words.
    #[must_use]
    pub fn fill(&self) -> String {
        let per_mille = self.needed.saturating_mul(1000).checked_div(self.available).unwrap_or(0);
        format!("{}.{} % of what is left", per_mille / 10, per_mille.wrapping_rem(10))
    }
}

/// A failure that cannot be survived, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counterexample {
    pub(crate) units: Vec<Unit>,
    pub(crate) failed: Vec<NodeId>,
    pub(crate) proof: Proof,
    /// In words, made while the cluster was at hand.
    pub(crate) message: String,
}

impl Counterexample {
    /// The units that fail; none if the VMs that wait already cannot all be placed.
    #[must_use]
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The nodes that fail, unreachable nodes not among them.
    #[must_use]
    pub fn failed(&self) -> &[NodeId] {
        &self.failed
    }

    /// The failure, to ask the planner about; unreachable nodes, which count as failed in every verdict, are part of it.
    #[must_use]
    pub fn failure(&self, cluster: &Cluster) -> Failure {
        let unreachable = cluster.unreachable_nodes().iter().map(|node| cluster.node_id_of(*node));
        Failure::of(self.failed.iter().copied().chain(unreachable))
    }

    /// Why not all VMs can return.
    #[must_use]
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// In words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Why a failure cannot be survived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    /// What is displaced costs more than the survivors can take: replayed by adding up.
    Prices {
        /// The prices.
        family: PriceFamily,
        /// The prices of all displaced VMs that are to return.
        needed: u128,
        /// The sum over the surviving targets of the most that VMs which fit there can cost.
        available: u128,
    },
    /// A search through all assignments found none.
    Search {
        /// Whether the checker's own search, which tries every VM on every node, said the same; it gives up after
        /// 200 000 steps, so for all but small failures this is `false`.
        checked: bool,
    },
}

impl Proof {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Prices { .. } => "prices",
            Self::Search { .. } => "search",
        }
    }
}

/// Prices of VMs and limits of nodes, such that VMs which fit on a node together never cost more than its limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PriceFamily {
    /// What a VM costs and a node can take.
    pub pricing: Pricing,
    /// If given, only VMs count that can run nowhere but where this VM can, and only the nodes where it can.
    pub within: Option<VmId>,
}

/// What a VM costs, and what a node with so much room can take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pricing {
    /// The weighted sum of what is needed, and of what is free.
    Weighted {
        /// Per kind, below 2^32.
        weights: Vec<u64>,
    },
    /// How many whole parts of this size are needed of one kind, and how many are free.
    Parts {
        /// The position of the kind.
        kind: usize,
        /// The size of a part, at least 1.
        size: u64,
    },
    /// 1 for a VM that needs at least the shape in every kind; and how often the shape fits.
    Shape {
        /// Per kind; at least one is not 0.
        shape: Vec<u64>,
    },
}

/// A class in words: "2 nodes", "1 rack and 1 node".
pub(crate) fn describe_class(class: &FailureClass) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (level, count) in class.fail.iter().filter(|(_, count)| *count > 0) {
        let plural = if *count == 1 { "" } else { "s" };
        parts.push(format!("{}{count} {level}{plural}", if *count > 1 { "up to " } else { "" }));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let what = if parts.is_empty() { String::from("nothing") } else { list(&parts) };
    match class.min_priority {
        Some(priority) => format!("{what} (VMs of priority {priority} and above)"),
        None => what,
    }
}

/// Units in words: "rack r1 and node n7".
pub(crate) fn describe_units(units: &[Unit]) -> String {
    let parts: Vec<String> = units.iter().map(|unit| format!("{} {}", unit.level, unit.name)).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    if parts.is_empty() { String::from("nothing more") } else { list(&parts) }
}

/// "a", "a and b", "a, b and c"; of many the first few and how many more.
pub(crate) fn list(parts: &[&str]) -> String {
    const MOST: usize = 6;
    match parts {
        [] => String::new(),
        [one] => String::from(*one),
        [first @ .., last] if parts.len() <= MOST => format!("{} and {last}", first.join(", ")),
        _ => {
            let first = parts.get(..MOST).unwrap_or_default().join(", ");
            format!("{first} and {} more", parts.len().saturating_sub(MOST))
        }
    }
}
