//! The items of a policy, and what has become of each in one state of the cluster: failure classes and reserves.
//!
//! Uses `cluster`, `policy`, `guarantee`, `restart`, `admission::reserves`. Used by `admission::guard`, which compares
//! the states before and after a change.
//!
//! **Worse**, for a failure class: its counts are lowered one by one, narrowest level first, down to the empty failure;
//! *held* is the first of that chain that holds, uncoverable VMs aside (one VM on a local disk would else switch off the
//! judgement of all others). Worse is if held moves down; if a VM is uncoverable that was not, where the policy takes that
//! for a failure; where even the empty failure fails, if more VMs are left without a place in the highest class that
//! differs; and otherwise if the answer goes from yes to undecided or from either to no. Where a VM is coverable that
//! was not, which adds to what must return, held is compared with uncoverable VMs counted. For a reserve: if it is
//! short of more of something.

use super::reserves::{ReserveStatus, Reserves};
use crate::cluster::{Cluster, Priority, RestartClass, VmRef};
use crate::dense::{to_u32, to_usize};
use crate::failure::Failure;
use crate::guarantee::{Answer, Certificate, Outcome, Uncoverable, VerifyError, describe_class, list, verify_class};
use crate::ids::VmId;
use crate::placement::budget::Control;
use crate::policy::{FailureClass, Mode, Policy, Reserve};
use crate::restart::{ClassCount, PlanError, Planner};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What has become of one item of the policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ItemState {
    /// What admission does if it is made worse.
    pub mode: Mode,
    /// The item, with what was found.
    pub item: Item,
    /// In words.
    pub message: String,
}

/// One item of the policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A failure class.
    Tolerate(ClassState),
    /// A reserve.
    Reserve {
        /// It, as the policy has it.
        reserve: Reserve,
        /// What was counted.
        status: ReserveStatus,
    },
    /// An item of mode `off`: not looked at.
    Off {
        /// In words.
        what: String,
    },
}

/// What has become of a failure class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassState {
    /// The class.
    pub class: FailureClass,
    /// Whether it holds, uncoverable VMs aside.
    pub answer: Answer,
    /// The counts that hold, by level: those of the class, or lowered ones; `None`: not even without a failure.
    pub held: Option<Vec<(String, u32)>>,
    /// How far down the chain of lowered counts that is; its length where nothing holds.
    pub lowered: usize,
    /// The same with uncoverable VMs counted: how far down the counts are that hold for every VM. `None`: open, as other
    /// VMs have come, gone or changed since it was known; a guard looks at it before any verdict.
    pub lowered_for_all: Option<usize>,
    /// Where nothing holds: how many VMs of the class have no place, by restart class and priority, highest first.
    pub unplaced: Vec<(RestartClass, Priority, u32)>,
    /// A failure that is not survived, with the nodes that fail and why, if the class fails and there is one.
    pub counterexample: Option<ClassFault>,
    /// VMs that some failure leaves without any node that could take them.
    pub uncoverable: Vec<Uncoverable>,
    /// Whether these make the class fail.
    pub uncoverable_fails: bool,
}

/// A failure that a class does not survive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassFault {
    /// The units that fail, as `level=name`, a node by its name alone.
    pub units: Vec<String>,
    /// In words.
    pub message: String,
}

impl ItemState {
    /// `ok`, `undecided`, `violated`, or `off`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match &self.item {
            Item::Off { .. } => "off",
            Item::Tolerate(class) => match class.answer {
                _ if class.uncoverable_fails && !class.uncoverable.is_empty() => "violated",
                Answer::Holds => "ok",
                Answer::Undecided => "undecided",
                Answer::Fails => "violated",
            },
            Item::Reserve { status, .. } => {
                if status.held {
                    "ok"
                } else {
                    "violated"
                }
            }
        }
    }

    /// Whether it is kept, or not looked at.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self.state(), "ok" | "off")
    }

    /// Whether [`ClassState::lowered_for_all`] is open.
    pub(super) const fn is_open(&self) -> bool {
        matches!(&self.item, Item::Tolerate(class) if class.lowered_for_all.is_none())
    }

    /// Whether it speaks of a VM that nothing can take.
    pub(super) fn has_uncoverable(&self, vm: VmId) -> bool {
        matches!(&self.item, Item::Tolerate(class) if class.uncoverable.iter().any(|found| found.vm == vm))
    }

    /// Whether it is worse than it was `before`. What is open ([`ClassState::lowered_for_all`]) counts as no worse.
    #[must_use]
    pub fn is_worse_than(&self, before: &Self) -> bool {
        self.is_worse(before, &|_| true)
    }

    /// The same, where it is known which VMs are still on.
    pub(super) fn is_worse(&self, before: &Self, is_on: &dyn Fn(VmId) -> bool) -> bool {
        match (&before.item, &self.item) {
            (Item::Tolerate(before), Item::Tolerate(after)) => after.is_worse(before, is_on),
            (Item::Reserve { status: before, .. }, Item::Reserve { status: after, .. }) => after.is_worse_than(before),
            _ => false,
        }
    }

    /// How much less a failure class promises than `before`, in words that stand in front of the message. `None`: no less,
    /// or the message says it all: one loss was survived, and is not.
    pub(super) fn weaker_than(&self, before: &Self) -> Option<String> {
        let (Item::Tolerate(before), Item::Tolerate(after)) = (&before.item, &self.item) else { return None };
        let words = |held: &Counts| {
            describe_class(&FailureClass { fail: held.clone(), min_priority: None, ..after.class.clone() })
        };
        let held = words(before.held.as_ref()?);
        let least =
            before.lowered == 0 && before.class.fail.iter().map(|(_, count)| u64::from(*count)).sum::<u64>() <= 1;
        match &after.held {
            None => Some(format!("kept for the loss of {held} before, and now not even while nothing fails: ")),
            Some(left) if after.lowered > before.lowered && !least => {
                Some(format!("kept for the loss of {held} before, and now of {}: ", words(left)))
            }
            Some(_) => None,
        }
    }

    /// Whether both speak of the same promise.
    #[must_use]
    pub fn is_of_same_item(&self, other: &Self) -> bool {
        match (&self.item, &other.item) {
            (Item::Tolerate(one), Item::Tolerate(other)) => one.class == other.class,
            (Item::Reserve { reserve: one, .. }, Item::Reserve { reserve: other, .. }) => one == other,
            _ => false,
        }
    }
}

impl ClassState {
    fn is_worse(&self, before: &Self, is_on: &dyn Fn(VmId) -> bool) -> bool {
        let listed = |vm: &Uncoverable, list: &[Uncoverable]| list.iter().any(|other| other.vm == vm.vm);
        if self.uncoverable_fails && self.uncoverable.iter().any(|vm| !listed(vm, &before.uncoverable)) {
            return true;
        }
        // A VM that has become coverable is promised something now: if that cannot be kept, nobody has lost anything by it.
        if before.uncoverable.iter().any(|vm| !listed(vm, &self.uncoverable) && is_on(vm.vm)) {
            return before.lowered_for_all.zip(self.lowered_for_all).is_some_and(|(before, after)| after > before);
        }
        match (&before.held, &self.held) {
            (None, Some(_)) => false,
            (Some(_), None) => true,
            (None, None) => more_unplaced(&before.unplaced, &self.unplaced),
            (Some(_), Some(_)) => {
                self.lowered > before.lowered || (self.lowered == before.lowered && self.answer > before.answer)
            }
        }
    }
}

/// Whether more are without a place in the highest class that differs.
fn more_unplaced(before: &[(RestartClass, Priority, u32)], after: &[(RestartClass, Priority, u32)]) -> bool {
    let count = |list: &[(RestartClass, Priority, u32)], class: (RestartClass, Priority)| {
        list.iter().find(|entry| (entry.0, entry.1) == class).map_or(0, |entry| entry.2)
    };
    let mut classes: Vec<_> = before.iter().chain(after).map(|entry| (entry.0, entry.1)).collect();
    classes.sort_unstable_by(|left, right| right.cmp(left));
    classes.dedup();
    let first = classes.into_iter().find(|class| count(before, *class) != count(after, *class));
    first.is_some_and(|class| count(after, class) > count(before, class))
}

/// Why the state of a policy cannot be told.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// A class names a level that is not there.
    #[error(transparent)]
    Class(#[from] VerifyError),
    /// A reserve names a kind that is not there.
    #[error(transparent)]
    Reserve(#[from] super::ReserveError),
}

/// The items of a policy, with the certificates of the classes that hold.
#[derive(Clone, Debug, Default)]
pub(super) struct States {
    pub(super) items: Vec<ItemState>,
    /// Per class of the policy; `None` where it does not hold or is not looked at.
    pub(super) certificates: Vec<Option<Certificate>>,
}

/// The state of every item of the policy, classes before reserves. Each class may cost `policy.budget.admit`.
///
/// # Errors
/// A class that names a level, or a reserve that names a kind, which the cluster does not have.
pub(super) fn states(cluster: &Cluster, policy: &Policy, control: Option<&Control>) -> Result<States, ItemError> {
    let found = if policy.reserves.is_empty() { Vec::new() } else { Reserves::new(cluster, policy)?.status(cluster) };
    states_but(cluster, policy, |_| None, found, control)
}

/// The same, with the states of those classes taken as they are that `known` knows, by their positions, and what was found
/// of the reserves.
pub(super) fn states_but(
    cluster: &Cluster,
    policy: &Policy,
    known: impl Fn(usize) -> Option<ItemState>,
    reserves: Vec<ReserveStatus>,
    control: Option<&Control>,
) -> Result<States, ItemError> {
    let mut states = States::default();
    for (at, class) in policy.tolerate.iter().enumerate() {
        let (item, certificate) = match known(at) {
            Some(item) => (item, None),
            None => match class.mode.unwrap_or(policy.admission) {
                Mode::Off => (off(describe_class(class)), None),
                mode => class_state(cluster, policy, class, mode, control)?,
            },
        };
        states.items.push(item);
        states.certificates.push(certificate);
    }
    states.items.extend(reserve_items(policy, reserves));
    Ok(states)
}

/// The items of a policy's reserves.
pub(super) fn reserve_items(policy: &Policy, found: Vec<ReserveStatus>) -> impl Iterator<Item = ItemState> + '_ {
    policy.reserves.iter().zip(found).map(|(reserve, status)| {
        if status.mode == Mode::Off {
            return off(status.figures.name().to_string());
        }
        let message = status.message.clone();
        ItemState { mode: status.mode, item: Item::Reserve { reserve: reserve.clone(), status }, message }
    })
}

fn off(what: String) -> ItemState {
    ItemState { mode: Mode::Off, item: Item::Off { what }, message: String::from("not looked at") }
}

fn class_state(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    mode: Mode,
    control: Option<&Control>,
) -> Result<(ItemState, Option<Certificate>), ItemError> {
    let verdict = verify_class(cluster, policy, class, policy.budget.admit, control)?;
    let answer = verdict.rest();
    let uncoverable_fails = policy.uncoverable == crate::policy::Uncoverable::Fail;
    let mut message = verdict.summary();
    if let Some(uncoverable) = verdict.uncoverable().first().filter(|_| uncoverable_fails) {
        let alone = uncoverable_message(cluster, uncoverable, verdict.uncoverable());
        // Of the others it may be said that they are no longer covered: that comes first.
        message = if answer == Answer::Holds { alone } else { format!("{message}; besides, {alone}") };
    }
    let counterexample = verdict.counterexample().map(|found| ClassFault {
        units: found.units().iter().map(ToString::to_string).collect(),
        message: found.message().to_string(),
    });
    let mut state = ClassState {
        class: class.clone(),
        answer,
        held: Some(class.fail.clone()),
        lowered: 0,
        lowered_for_all: None,
        unplaced: Vec::new(),
        counterexample,
        uncoverable: verdict.uncoverable().to_vec(),
        uncoverable_fails,
    };
    let found = held(cluster, policy, class, (answer == Answer::Holds, verdict.uncoverable()), control)?;
    (state.held, state.lowered, state.lowered_for_all) = (found.counts, found.lowered, Some(found.lowered_for_all));
    if state.held.is_none() {
        let aside = if uncoverable_fails { Vec::new() } else { found.aside };
        state.unplaced = unplaced(cluster, policy, class, &aside, control)?;
    }
    let certificate = match verdict.outcome {
        Outcome::Holds(certificate) => Some(certificate),
        Outcome::Fails(_) | Outcome::Undecided { .. } => None,
    };
    Ok((ItemState { mode, item: Item::Tolerate(state), message }, certificate))
}

/// Looks at what is open of classes: how far down the counts are that hold for every VM.
pub(super) fn sharpen(
    cluster: &Cluster,
    policy: &Policy,
    items: &mut [ItemState],
    control: Option<&Control>,
) -> Result<(), ItemError> {
    for item in items.iter_mut().filter(|item| item.is_open()) {
        if let Item::Tolerate(state) = &mut item.item {
            let known = (state.answer == Answer::Holds, &*state.uncoverable);
            state.lowered_for_all = Some(held(cluster, policy, &state.class, known, control)?.lowered_for_all);
        }
    }
    Ok(())
}

/// The items after changes of coverable VMs that ledgers have followed: all are as they were, but it is open now which
/// lower counts hold with uncoverable VMs.
pub(super) fn kept_up(items: &Arc<[ItemState]>) -> Arc<[ItemState]> {
    let opens = |item: &ItemState| match &item.item {
        Item::Tolerate(class) => class.lowered_for_all.is_some() && !class.uncoverable.is_empty(),
        Item::Reserve { .. } | Item::Off { .. } => false,
    };
    if !items.iter().any(opens) {
        return Arc::clone(items);
    }
    let mut items = items.to_vec();
    for item in items.iter_mut().filter(|item| opens(item)) {
        if let Item::Tolerate(class) = &mut item.item {
            class.lowered_for_all = None;
        }
    }
    items.into()
}

/// What is said of VMs that nothing can take: all of the first, and the names of the others.
fn uncoverable_message(cluster: &Cluster, first: &Uncoverable, all: &[Uncoverable]) -> String {
    let names = all.iter().skip(1).filter_map(|vm| cluster.vm(vm.vm).ok());
    let names: Vec<String> = names.map(|vm| format!("'{}'", vm.name())).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let others = if names.is_empty() { String::new() } else { format!(" (likewise {})", list(&names)) };
    format!("{}{others}", first.message(cluster))
}

/// Counts by level.
type Counts = Vec<(String, u32)>;

/// What holds in the chain of lowered counts.
struct Held {
    counts: Option<Counts>,
    lowered: usize,
    lowered_for_all: usize,
    /// The uncoverable VMs of the last of the chain that was looked at.
    aside: Vec<Uncoverable>,
}

/// The first of the chain of lowered counts that holds, and its place in the chain; once with uncoverable VMs aside, once
/// with them. Known of the class itself: whether it holds, and who is uncoverable.
fn held(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    (rest, uncoverable): (bool, &[Uncoverable]),
    control: Option<&Control>,
) -> Result<Held, VerifyError> {
    let mut found = rest.then(|| (class.fail.clone(), 0));
    let mut for_all = (rest && uncoverable.is_empty()).then_some(0);
    let mut lower = class.clone();
    let width = |name: &str| cluster.levels().position(|level| level == name).unwrap_or(usize::MAX);
    // Widest first, so that the narrowest is lowered from the end.
    lower.fail.sort_by_key(|(level, _)| width(level));
    let nodes = u32::try_from(cluster.node_count()).unwrap_or(u32::MAX);
    let mut lowered = 0_usize;
    let mut aside = uncoverable.to_vec();
    while found.is_none() || for_all.is_none() {
        let Some((_, count)) = lower.fail.iter_mut().rev().find(|(_, count)| *count > 0) else { break };
        // More losses than there are nodes are as many as there are: those between need no verdict.
        let next = (*count).min(nodes.saturating_add(1)).saturating_sub(1);
        lowered = lowered.saturating_add(to_usize(count.saturating_sub(next)));
        *count = next;
        let verdict = verify_class(cluster, policy, &lower, policy.budget.admit, control)?;
        let rest = verdict.rest() == Answer::Holds;
        aside = verdict.uncoverable().to_vec();
        if rest && found.is_none() {
            found = Some((lower.fail.clone(), lowered));
        }
        for_all = for_all.or((rest && aside.is_empty()).then_some(lowered));
    }
    let nothing = lowered.saturating_add(1);
    let lowered_for_all = for_all.unwrap_or(nothing);
    Ok(match found {
        Some((counts, lowered)) => Held { counts: Some(counts), lowered, lowered_for_all, aside },
        None => Held { counts: None, lowered: nothing, lowered_for_all, aside },
    })
}

/// How many protected VMs of the class the best plan without a failure leaves without a place, those set aside not counted.
fn unplaced(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    aside: &[Uncoverable],
    control: Option<&Control>,
) -> Result<Vec<(RestartClass, Priority, u32)>, VerifyError> {
    let unreachable = cluster.unreachable_nodes().iter().map(|node| cluster.node_id_of(*node));
    let plan = match Planner::new().run(cluster, policy, &Failure::of(unreachable), control) {
        Ok(plan) => plan,
        Err(PlanError::Cancelled) => return Err(VerifyError::Cancelled),
        Err(_) => return Ok(Vec::new()),
    };
    let counts = plan.classes().iter().filter(|count| {
        count.restart == RestartClass::Protected && class.min_priority.is_none_or(|least| count.priority >= least)
    });
    let left_out = plan.unplaced().iter().filter(|left| aside.iter().any(|other| other.vm == left.vm));
    let left_out: Vec<_> = left_out.filter_map(|left| cluster.vm(left.vm).ok().map(VmRef::effective)).collect();
    let of_class = |count: &ClassCount| {
        let of_them = left_out.iter().filter(|class| **class == (count.restart, count.priority)).count();
        count.displaced.saturating_sub(count.placed).saturating_sub(to_u32(of_them))
    };
    let left = counts.map(|count| (count.restart, count.priority, of_class(count))).filter(|entry| entry.2 > 0);
    Ok(left.collect())
}
