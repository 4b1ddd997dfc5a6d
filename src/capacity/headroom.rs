//! Headroom: how many more VMs of one kind can be started with everything kept that is promised.
//!
//! Uses `guarantee`, `admission` (reserves, ledgers), `capacity::newcomer`. Called by embedders and the example program.
//!
//! **The data's path.** What is *kept*: of every class of the tolerance the first in the chain of lowered counts that holds
//! now (the class itself, where the guarantee holds), VMs that are uncoverable already aside, and of every reserve no larger
//! shortfall than now; items of mode `off` are not looked at. *At most*: what the nodes have room for, what prices leave of
//! each class (`guarantee::more`), what the arithmetic of each reserve leaves. *At least*, where every class that is kept
//! has a ledger (`admission::ledger`) and nothing but room speaks of a copy: copies are started on paper, with a place in
//! every plan that they belong to, until no node takes one: node by node, all copies of a node at once, and where that is not
//! near what is possible one after another in a few orders. Otherwise, and in small clusters besides: for the longest
//! beginning of an order that still verifies, found by halving, all is proved. Of rule-free VMs a shorter beginning holds
//! wherever a longer one does, so halving misses nothing but what the prover leaves undecided.
//!
//! What ledgers find rests on the plans that they keep. So close to the limit a verdict made anew may not find these plans
//! and be undecided; in small clusters `least` is what such a verdict confirms.
//!
//! By ledgers this costs a few index queries per node, or per copy where copies come one after another; halving costs a
//! verdict for every class per step, and the number of steps is logarithmic in the answer.

use super::newcomer::{Order, Seat, Template};
use crate::admission::ledger::{ClassLedger, Ghost, Paper};
use crate::admission::reserves::{ReserveError, Reserves};
use crate::admission::{Guard, GuardError};
use crate::cluster::{Cluster, EditError, NodeState};
use crate::guarantee::{Certificate, VerifyError, most_more, uncoverable_of, verify_controlled};
use crate::ids::{NodeId, NodeSlot, VmId, VmSlot};
use crate::placement::budget::Control;
use crate::policy::{FailureClass, Mode, Policy, Uncoverable};
use crate::resources::Amounts;
use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// In clusters of up to so many nodes halving is tried besides the ledgers, to find a few more.
const SMALL: usize = 16;

/// What is found in bulk is answered if it is within this part of what is possible.
const NEAR: usize = 32;

/// No more than so many copies are tried: `least` is never larger.
pub const MAX_TRIED: usize = 100_000;

/// What is to be added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Newcomer {
    /// A protected VM of medium priority that holds this much, per kind, without the kinds' `per_vm`; no rule binds it.
    Shape(Amounts),
    /// A VM like this one: the same amounts, labels, allowed nodes, class, priority, groups and rules, and the same
    /// prerequisites.
    Like(VmId),
}

/// How many more VMs can be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Headroom {
    /// So many for certain, on the nodes of `placements`.
    pub least: u64,
    /// More than so many cannot.
    pub most: u64,
    /// What bounds `most`.
    pub limit: HeadroomLimit,
    /// A node for each of the `least`.
    pub placements: Vec<NodeId>,
    /// What was kept of every class of the tolerance: the class, or with the lowered counts that hold now. `None`: it is
    /// off, or cannot be kept, because not even what waits already can be placed for certain; then there is no headroom.
    pub kept: Vec<Option<FailureClass>>,
}

/// What bounds headroom from above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadroomLimit {
    /// What nodes that take starts have free today.
    Room,
    /// The class of the tolerance at this position.
    Class(usize),
    /// The reserve at this position.
    Reserve(usize),
}

/// Why there is no headroom to tell.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadroomError {
    /// The VM needs nothing, so there is no limit.
    #[error("a VM that needs nothing fits without limit")]
    NothingWanted,
    /// A class names an unknown level, or the caller cancelled.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A reserve names an unknown kind.
    #[error(transparent)]
    Reserve(#[from] ReserveError),
    /// A guard cannot tell what it guards.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The VM cannot be added: a stale id, too many amounts, or a sum beyond `u64`.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl HeadroomError {
    /// A stable machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NothingWanted => "nothing_wanted",
            Self::Verify(error) => error.code(),
            Self::Reserve(error) => error.code(),
            Self::Guard(error) => error.code(),
            Self::Edit(error) => error.code(),
        }
    }
}

/// How many more such VMs can be started with the policy's tolerance and reserves kept, as a proved interval.
///
/// Where the guarantee does not hold at present, what is kept is what admission would keep: the first class with lowered
/// counts that holds, and every shortfall as it is.
///
/// Costs a verdict for every class, and then, where all classes hold for losses in any order, a few index queries per copy;
/// otherwise about three times as many verdicts as the answer has binary digits. See [`MAX_TRIED`]. A [`Guard`] needs no
/// verdict first: [`headroom_guarded`].
///
/// # Errors
/// See [`HeadroomError`].
///
/// ```
/// use lifeboat::{Cluster, Newcomer, Node, Policy, ResourceKinds, Vm, headroom};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, [""; 0])?;
/// for name in ["one", "two", "three"] {
///     cluster.add_node(Node::named(name).capacity([4096]))?;
/// }
/// // Twelve would fit; of those that any lost node takes along, the others must have room.
/// let found = headroom(&cluster, &Policy::default(), &Newcomer::Shape([1024].into()))?;
/// assert_eq!((found.least, found.most), (8, 8));
/// # Ok(())
/// # }
/// ```
pub fn headroom(cluster: &Cluster, policy: &Policy, newcomer: &Newcomer) -> Result<Headroom, HeadroomError> {
    headroom_controlled(cluster, policy, newcomer, &Control::new())
}

/// The headroom of a guarded cluster: the guard's ledgers stand for the verdicts.
///
/// # Errors
/// As [`headroom_controlled`], or a guard's policy that speaks of what is not there.
///
/// ```
/// use lifeboat::{Cluster, Control, Guard, Newcomer, Node, Policy, ResourceKinds, headroom_guarded};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, [""; 0])?;
/// for name in ["one", "two", "three"] {
///     cluster.add_node(Node::named(name).capacity([4096]))?;
/// }
/// let mut guard = Guard::new(cluster, Policy::default());
/// let found = headroom_guarded(&mut guard, &Newcomer::Shape([1024].into()), &Control::new())?;
/// assert_eq!((found.least, found.most), (8, 8));
/// # Ok(())
/// # }
/// ```
pub fn headroom_guarded(guard: &mut Guard, newcomer: &Newcomer, control: &Control) -> Result<Headroom, HeadroomError> {
    let (cluster, policy, ledgers) = guard.ledgers(control)?;
    let classes = policy.tolerate.iter().enumerate();
    let kept = classes.map(|(at, class)| match ledgers.get(at).and_then(Option::as_ref) {
        Some(ledger) => Ok(Some(Kept::Class(class.clone(), Proof::Ledger(ledger)))),
        None => kept_of(cluster, policy, class, control),
    });
    let kept = kept.collect::<Result<Vec<_>, _>>()?;
    Ask::new(cluster, policy, newcomer, kept, control)?.headroom()
}

/// The same, watched and stopped through `control`.
///
/// # Errors
/// Besides, [`VerifyError::Cancelled`].
pub fn headroom_controlled(
    cluster: &Cluster,
    policy: &Policy,
    newcomer: &Newcomer,
    control: &Control,
) -> Result<Headroom, HeadroomError> {
    let kept = kept(cluster, policy, control)?;
    Ask::new(cluster, policy, newcomer, kept, control)?.headroom()
}

/// The headroom without a node: as if it were in maintenance, so that its VMs wait for a place. The difference is what the
/// node is worth. What is kept is what is kept with the node; where that does not hold without it, there is none.
///
/// # Errors
/// As [`headroom_controlled`].
pub fn headroom_without(
    cluster: &Cluster,
    policy: &Policy,
    newcomer: &Newcomer,
    node: NodeId,
    control: &Control,
) -> Result<Headroom, HeadroomError> {
    let kept = kept(cluster, policy, control)?;
    let mut without = cluster.clone();
    without.set_node_state(node, NodeState::Maintenance)?;
    let mut policy = policy.clone();
    // The node's absence is the question, not a loss that the tolerance pays for.
    policy.maintenance_uses_tolerance = false;
    Ask::new(&without, &policy, newcomer, kept, control)?.headroom()
}

/// The largest number up to `most` for which the answer is yes; 0 if there is none. Asks for `most` first.
pub(super) fn last<E>(most: u64, mut yes: impl FnMut(u64) -> Result<bool, E>) -> Result<u64, E> {
    let (mut low, mut high) = (0, most);
    let mut probe = most;
    while low < high {
        if yes(probe)? {
            low = probe;
        } else {
            high = probe.saturating_sub(1);
        }
        probe = low.saturating_add(high.saturating_sub(low).div_ceil(2));
    }
    Ok(low)
}

/// What is kept of every class.
pub(super) fn kept(
    cluster: &Cluster,
    policy: &Policy,
    control: &Control,
) -> Result<Vec<Option<Kept<'static>>>, HeadroomError> {
    policy.tolerate.iter().map(|class| kept_of(cluster, policy, class, control)).collect()
}

/// What is kept of a class.
#[derive(Clone, Debug)]
pub(super) enum Kept<'l> {
    /// It is not looked at.
    Off,
    /// This much of it.
    Class(FailureClass, Proof<'l>),
}

/// Why what is kept holds now.
#[derive(Clone, Debug)]
pub(super) enum Proof<'l> {
    Certificate(Arc<Certificate>),
    Ledger(&'l ClassLedger),
}

/// The first of the chain of lowered counts that holds: narrowest level first, down to the empty failure.
fn kept_of(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    control: &Control,
) -> Result<Option<Kept<'static>>, HeadroomError> {
    if class.mode.unwrap_or(policy.admission) == Mode::Off {
        return Ok(Some(Kept::Off));
    }
    let mut asked = class.clone();
    loop {
        if let Some(certificate) = holds(cluster, policy, &asked, control)? {
            return Ok(Some(Kept::Class(asked, Proof::Certificate(Arc::new(certificate)))));
        }
        let narrowest = |(level, _): &(&mut u32, usize)| **level > 0;
        let position = |name: &str| cluster.levels().position(|level| level == name).unwrap_or(usize::MAX);
        let counts = asked.fail.iter_mut().map(|(level, count)| (count, position(level)));
        let Some((count, _)) = counts.filter(narrowest).max_by_key(|(_, at)| *at) else { return Ok(None) };
        // More losses than there are nodes are as many as there are.
        let nodes = u32::try_from(cluster.node_count()).unwrap_or(u32::MAX);
        *count = (*count).min(nodes.saturating_add(1)).saturating_sub(1);
    }
}

/// A certificate of the class, if it holds, uncoverable VMs aside, as admission has it.
fn holds(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    control: &Control,
) -> Result<Option<Certificate>, HeadroomError> {
    let mut asked = policy.clone();
    asked.tolerate = alloc::vec![class.clone()];
    let verdict = verify_controlled(cluster, &asked, control)?;
    Ok(verdict.certificates().next().cloned())
}

/// A question about one newcomer.
pub(super) struct Ask<'a> {
    cluster: &'a Cluster,
    policy: &'a Policy,
    template: Template,
    /// Nodes that take copies, in the order of names.
    seats: Vec<Seat>,
    kept: Vec<Option<Kept<'a>>>,
    reserves: Reserves,
    /// What every reserve is short of now; `None` if it is not looked at.
    short: Vec<Option<Vec<u128>>>,
    control: &'a Control,
}

impl<'a> Ask<'a> {
    pub(super) fn new(
        cluster: &'a Cluster,
        policy: &'a Policy,
        newcomer: &Newcomer,
        kept: Vec<Option<Kept<'a>>>,
        control: &'a Control,
    ) -> Result<Self, HeadroomError> {
        let template = Template::new(cluster, newcomer)?;
        let mut reserves = Reserves::new(cluster, policy)?;
        let short = (0..reserves.len()).map(|at| {
            let looked_at = reserves.mode(at) != Mode::Off;
            looked_at.then(|| reserves.shortfalls(at))
        });
        let short = short.collect();
        let seats = template.seats(cluster);
        Ok(Self { cluster, policy, template, seats, kept, reserves, short, control })
    }

    fn headroom(&self) -> Result<Headroom, HeadroomError> {
        let (most, limit) = self.at_most()?;
        let tried = usize::try_from(most).unwrap_or(usize::MAX).min(MAX_TRIED);
        let mut best: Vec<NodeSlot> = if tried > 0 { self.by_ledgers(tried)? } else { Vec::new() };
        let small = self.cluster.node_count() <= SMALL;
        if small && !best.is_empty() && !self.keeps(&best)? {
            // The plans are there, and a verdict made anew does not find them: what is said here can be verified.
            best.clear();
        }
        if let Some(first) = best.first().filter(|_| !small && self.keeps_less()) {
            // Ledgers are of the class that is kept, and a copy must be coverable in that of the policy.
            if self.uncovers(&self.template.with(self.cluster, &[*first])?)? {
                best.clear();
            }
        }
        // Also without a newcomer it must hold: a node may be missing.
        if best.len() < tried && (small || best.is_empty()) && self.keeps(&[])? {
            for order in Order::ALL {
                let sequence = self.template.sequence(self.cluster, &self.seats, order, tried, |_| true)?;
                let beginning =
                    |count: u64| sequence.get(..usize::try_from(count).unwrap_or(usize::MAX)).unwrap_or(&sequence);
                let all = u64::try_from(sequence.len()).unwrap_or(u64::MAX);
                let found = u64::try_from(best.len()).unwrap_or(u64::MAX);
                // Only more than was found is of interest.
                if all <= found || !self.keeps(beginning(found.saturating_add(1)))? {
                    continue;
                }
                let beyond = found.saturating_add(1);
                let more = last(all.saturating_sub(beyond), |more| self.keeps(beginning(beyond.saturating_add(more))))?;
                best = beginning(beyond.saturating_add(more)).to_vec();
                if best.len() >= tried {
                    break;
                }
            }
        }
        let kept = self.kept.iter().map(|kept| match kept {
            Some(Kept::Class(class, _)) => Some(class.clone()),
            Some(Kept::Off) | None => None,
        });
        Ok(Headroom {
            least: u64::try_from(best.len()).unwrap_or(u64::MAX),
            most,
            limit,
            placements: best.into_iter().map(|node| self.cluster.node_id_of(node)).collect(),
            kept: kept.collect(),
        })
    }

    /// Nodes for as many copies as the ledgers find a place for; none where they cannot tell.
    fn by_ledgers(&self, tried: usize) -> Result<Vec<NodeSlot>, HeadroomError> {
        let mut best: Vec<NodeSlot> = Vec::new();
        // What reserves say of many copies is not kept in ledgers.
        let Some(ghost) = self.template.ghost(self.cluster).filter(|_| self.short.iter().all(Option::is_none)) else {
            return Ok(best);
        };
        let mut fresh: Vec<Cow<'_, ClassLedger>> = Vec::new();
        for kept in &self.kept {
            let ledger = match kept {
                Some(Kept::Off) => continue,
                Some(Kept::Class(_, Proof::Ledger(ledger))) => Some(Cow::Borrowed(*ledger)),
                Some(Kept::Class(_, Proof::Certificate(certificate))) => Some(certificate)
                    .filter(|certificate| certificate.is_for(self.cluster))
                    .and_then(|certificate| ClassLedger::new(self.cluster, self.policy, certificate))
                    .map(Cow::Owned),
                None => None,
            };
            match ledger.filter(|ledger| ghost.like.is_none_or(|like| !ledger.leaves_out(self.cluster, like))) {
                Some(ledger) => fresh.push(ledger),
                None => return Ok(best),
            }
        }
        let papers = || fresh.iter().map(|ledger| Paper::new(ledger)).collect::<Vec<_>>();
        best = self.in_bulk(papers(), &ghost, tried);
        // As near to what is possible as makes no difference to who plans with it.
        if best.len() >= tried.saturating_sub(tried / NEAR) {
            return Ok(best);
        }
        for order in Order::ALL {
            let mut papers = papers();
            let sequence = self.template.sequence(self.cluster, &self.seats, order, tried, |node| {
                self.start_on(&mut papers, &ghost, node, 1) > 0
            })?;
            if sequence.len() > best.len() {
                best = sequence;
            }
            // Within an eighth of what is possible another order is not worth its time.
            if best.len() >= tried.saturating_sub(tried / 8) {
                break;
            }
        }
        Ok(best)
    }

    /// The same, node by node, the smallest hole first, with all copies of a node at a time: a few look-ups for every node
    /// and plan, where the other orders take one for every copy.
    fn in_bulk(&self, mut papers: Vec<Paper<'_>>, ghost: &Ghost<'_>, tried: usize) -> Vec<NodeSlot> {
        let mut found: Vec<NodeSlot> = Vec::new();
        let mut seats = self.seats.clone();
        // Of equals the first by name.
        seats.sort_by_key(|seat| seat.fit);
        for Seat { node, fit, .. } in seats {
            let left = u64::try_from(tried.saturating_sub(found.len())).unwrap_or(u64::MAX);
            let count = self.start_on(&mut papers, ghost, node, fit.min(left));
            found.extend(core::iter::repeat_n(node, usize::try_from(count).unwrap_or(0)));
        }
        found
    }

    /// Starts as many copies on a node as there is room for in all ledgers, of so many wanted.
    fn start_on(&self, papers: &mut [Paper<'_>], ghost: &Ghost<'_>, node: NodeSlot, wanted: u64) -> u64 {
        let room = |wanted: u64, paper: &mut Paper<'_>| paper.room_for(self.cluster, ghost, node, wanted);
        let count = papers.iter_mut().fold(wanted, room);
        if count > 0 {
            for paper in papers {
                paper.start(ghost, node, count);
            }
        }
        count
    }

    /// A node on which one can be started with everything kept.
    pub(super) fn place_for_one(&self) -> Result<Option<NodeSlot>, HeadroomError> {
        const NODES: usize = 8;
        let mut roomy: Vec<&Seat> = self.seats.iter().collect();
        roomy.sort_unstable_by_key(|seat| (Reverse(seat.fit), seat.key));
        for seat in roomy.into_iter().take(NODES) {
            if self.keeps(&[seat.node])? {
                return Ok(Some(seat.node));
            }
        }
        Ok(None)
    }

    /// A bound, and what gives it: the first of the least.
    pub(super) fn at_most(&self) -> Result<(u64, HeadroomLimit), HeadroomError> {
        let room = self.seats.iter().fold(0_u64, |sum, seat| sum.saturating_add(seat.fit));
        let mut least = (room, HeadroomLimit::Room);
        let mut offer = |bound: u64, limit: HeadroomLimit| {
            if bound < least.0 {
                least = (bound, limit);
            }
        };
        for (at, kept) in self.kept.iter().enumerate() {
            let (class, proof) = match kept {
                // Not even what waits can be placed for certain.
                None => {
                    offer(0, HeadroomLimit::Class(at));
                    continue;
                }
                Some(Kept::Off) => continue,
                Some(Kept::Class(class, proof)) => (class, proof),
            };
            if !self.template.concerns(class.min_priority) {
                continue;
            }
            // Of copies that nothing could take, and that the policy admits all the same, a class says nothing.
            if self.policy.uncoverable == Uncoverable::Warn && self.may_be_uncoverable(class)? {
                continue;
            }
            let newcomers = self.template.newcomers();
            let bound = match proof {
                Proof::Ledger(ledger) => ledger.most_more(self.cluster, self.policy, &newcomers),
                Proof::Certificate(_) => most_more(self.cluster, self.policy, class, &newcomers)?,
            };
            if let Some(bound) = bound {
                offer(u64::try_from(bound).unwrap_or(u64::MAX), HeadroomLimit::Class(at));
            }
        }
        for (at, short) in self.short.iter().enumerate() {
            if short.is_some() {
                if let Some(bound) = self.reserves.most_more(at, &self.template.reservation, &self.template.demand) {
                    offer(bound, HeadroomLimit::Reserve(at));
                }
            }
        }
        Ok(least)
    }

    /// Whether everything is kept with copies on these nodes.
    fn keeps(&self, nodes: &[NodeSlot]) -> Result<bool, HeadroomError> {
        let more = self.template.with(self.cluster, nodes)?;
        if !self.short.is_empty() {
            let mut reserves = Reserves::new(&more, self.policy)?;
            for (at, before) in self.short.iter().enumerate() {
                let worse =
                    |before: &Vec<u128>| reserves.shortfalls(at).iter().zip(before).any(|(now, then)| now > then);
                if before.as_ref().is_some_and(worse) {
                    return Ok(false);
                }
            }
        }
        for kept in &self.kept {
            match kept {
                Some(Kept::Off) => {}
                Some(Kept::Class(class, _)) if holds(&more, self.policy, class, self.control)?.is_some() => {}
                Some(Kept::Class(..)) | None => return Ok(false),
            }
        }
        Ok(!self.uncovers(&more)?)
    }

    /// Whether less is kept of some class than the policy asks for.
    fn keeps_less(&self) -> bool {
        let classes = self.policy.tolerate.iter().zip(&self.kept);
        classes.into_iter().any(|(class, kept)| matches!(kept, Some(Kept::Class(kept, _)) if kept.fail != class.fail))
    }

    /// Whether a copy may be admitted because it is uncoverable, on one of these nodes.
    pub(super) fn may_be_let_go(&self, nodes: &[NodeSlot]) -> Result<bool, HeadroomError> {
        if self.policy.uncoverable != Uncoverable::Warn {
            return Ok(false);
        }
        for kept in &self.kept {
            if let Some(Kept::Class(class, _)) = kept {
                if self.template.concerns(class.min_priority) && self.is_uncoverable_on_some(class, nodes)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether a copy is uncoverable on some node where it could be started.
    fn may_be_uncoverable(&self, class: &FailureClass) -> Result<bool, HeadroomError> {
        let seats: Vec<NodeSlot> = self.seats.iter().map(|seat| seat.node).collect();
        self.is_uncoverable_on_some(class, &seats)
    }

    fn is_uncoverable_on_some(&self, class: &FailureClass, seats: &[NodeSlot]) -> Result<bool, HeadroomError> {
        let before: Vec<VmSlot> = uncoverable_of(self.cluster, self.policy, class)?;
        let after = uncoverable_of(&self.template.with(self.cluster, seats)?, self.policy, class)?;
        Ok(after.iter().any(|vm| !before.contains(vm)))
    }

    /// Whether a VM is uncoverable that was not, and the policy takes that for a failure: what was uncoverable before stands
    /// in nobody's way.
    fn uncovers(&self, more: &Cluster) -> Result<bool, HeadroomError> {
        if self.policy.uncoverable != Uncoverable::Fail {
            return Ok(false);
        }
        for (class, _) in
            self.policy.tolerate.iter().zip(&self.kept).filter(|(_, kept)| !matches!(kept, Some(Kept::Off)))
        {
            let before: Vec<VmSlot> = uncoverable_of(self.cluster, self.policy, class)?;
            let after = uncoverable_of(more, self.policy, class)?;
            if after.iter().any(|vm| !before.contains(vm)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
