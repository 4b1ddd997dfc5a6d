//! A failure of which it is said that no assignment survives it, tried out: every VM on every node.
//!
//! Uses `guarantee::checker` for what fails and who counts, `restart::checker` for what is legal, and the public views
//! of `cluster`; shares no code with the solver, whose exhausted searches it repeats. Used by the checker, and by verdicts
//! to say of such a proof whether it was checked.
//!
//! A branch is left only where a VM cannot run or does not fit; what is complete is judged by the checker of plans, and so
//! is what is not complete, where rules are of kinds that only get worse by more VMs. So it is slow, and gives up after
//! [`MOST_WORK`] steps.

use super::checker::{Class, counts, is_uncoverable, room_of, suits, waits, within};
use crate::cluster::{Cluster, NodeRef, NodeState, OnTimeout, RestartClass, RuleKind, Strength, VmRef};
use crate::failure::Failure;
use crate::ids::{NodeId, VmId};
use crate::policy::{FailureClass, Policy, Preemption};
use crate::restart::check_placements;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// The most steps: one for each VM tried on a node, and [`JUDGED`] for each assignment judged.
pub(super) const MOST_WORK: u64 = 200_000;

/// What an assignment costs that the checker of plans judges.
const JUDGED: u64 = 50;

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tried {
    /// There is none that is legal.
    None,
    /// This failure is survived.
    Some,
    /// Too large, or fewer evictions could make legal what is not.
    Open,
}

/// Tries every assignment of the VMs of a class that must return after these nodes have failed.
pub(super) fn try_all(cluster: &Cluster, policy: &Policy, asked: &FailureClass, nodes: &BTreeSet<NodeId>) -> Tried {
    let Ok(class) = Class::new(cluster, policy, asked) else { return Tried::Open };
    let targets: Vec<NodeRef<'_>> =
        cluster.nodes().filter(|node| node.state() == NodeState::Online && !nodes.contains(&node.id())).collect();
    let displaced = |vm: &VmRef<'_>| waits(cluster, *vm) || vm.node().is_some_and(|node| nodes.contains(&node));
    let vms: Vec<VmRef<'_>> = cluster.vms().filter(|vm| counts(*vm, asked) && displaced(vm)).collect();
    if to_u64(vms.len()).saturating_mul(to_u64(targets.len())) > MOST_WORK {
        return Tried::Open;
    }
    let room: Vec<Vec<u64>> = targets.iter().map(|target| room_of(cluster, policy, *target)).collect();
    let leaders: BTreeSet<VmId> = cluster.rules().filter_map(|rule| leader(&rule.kind())).collect();
    let mut items: Vec<Item<'_>> = Vec::new();
    for vm in vms {
        if is_uncoverable(&class, vm, asked) {
            continue;
        }
        let fits = |(target, room): &(&NodeRef<'_>, &Vec<u64>)| {
            suits(cluster, vm, **target) && within(vm.restart_demand(), room)
        };
        let places = targets.iter().zip(&room).enumerate().filter(|(_, pair)| fits(pair)).map(|(at, _)| at).collect();
        let tied = leaders.contains(&vm.id()) || is_member(cluster, vm);
        items.push(Item { id: vm.id(), need: vm.restart_demand(), places, tied });
    }
    // The most constrained first; alike ones side by side.
    items.sort_by(|left, right| {
        let key = |item: &Item<'_>| (item.places.len(), Reverse(item.need.to_vec()), item.tied, item.id);
        key(left).cmp(&key(right))
    });
    // All that may be evicted goes at once: whoever is gone takes no room and breaks no rule, unless it is what makes a
    // rule hold that wants company.
    let may_go = |vm: &VmRef<'_>| {
        policy.preemption != Preemption::Never
            && vm.is_on()
            && vm.is_preemptible()
            && vm.effective().0 == RestartClass::BestEffort
            && !displaced(vm)
    };
    let evicted: Vec<VmRef<'_>> = cluster.vms().filter(may_go).collect();
    let wanted = evicted.iter().any(|vm| is_company(cluster, *vm));
    let chosen = items.iter().map(|item| item.id).collect::<BTreeSet<VmId>>();
    let mut search = Search {
        cluster,
        failure: class.failure(nodes),
        room,
        targets: targets.iter().map(|target| target.id()).collect(),
        worsens: only_worsens(cluster, &chosen),
        evictions: evicted.iter().filter_map(|vm| Some((vm.id(), vm.node()?))).collect(),
        items,
        placed: Vec::new(),
        rejected: false,
        work: 0,
    };
    match search.extend() {
        Ok(true) => Tried::Some,
        // Where nothing fits even then, no rule matters.
        Ok(false) if !wanted || !search.rejected => Tried::None,
        Ok(false) | Err(TooLarge) => Tried::Open,
    }
}

/// A VM that must return.
struct Item<'c> {
    id: VmId,
    need: &'c [u64],
    /// The targets that can take it, were it alone.
    places: Vec<usize>,
    /// Whether a rule speaks of it.
    tied: bool,
}

struct TooLarge;

struct Search<'c> {
    cluster: &'c Cluster,
    failure: Failure,
    items: Vec<Item<'c>>,
    targets: Vec<NodeId>,
    /// What each target has left, all that could be evicted or released counted in.
    room: Vec<Vec<u64>>,
    /// Of the first items, the target of each.
    placed: Vec<usize>,
    /// Whether what is illegal stays so whatever else is placed.
    worsens: bool,
    /// Whether something that fits was found illegal.
    rejected: bool,
    evictions: Vec<(VmId, NodeId)>,
    work: u64,
}

impl Search<'_> {
    /// Whether the items from here on can be placed, too.
    fn extend(&mut self) -> Result<bool, TooLarge> {
        let at = self.placed.len();
        let Some(item) = self.items.get(at) else { return self.judge() };
        // What is alike is placed in the order of the targets.
        let first = match at.checked_sub(1).and_then(|before| Some((self.items.get(before)?, self.placed.get(before)?)))
        {
            Some((before, target)) if before.alike(item) => *target,
            _ => 0,
        };
        let (need, tied) = (item.need.to_vec(), item.tied);
        let places: Vec<usize> = item.places.iter().copied().filter(|target| *target >= first).collect();
        for target in places {
            self.spend(1)?;
            if !self.room.get(target).is_some_and(|room| within(&need, room)) {
                continue;
            }
            self.change(target, &need, u64::saturating_sub);
            self.placed.push(target);
            let hopeless = tied && self.worsens && !self.judge()?;
            let found = !hopeless && self.extend()?;
            self.placed.pop();
            self.change(target, &need, u64::saturating_add);
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn change(&mut self, target: usize, need: &[u64], by: fn(u64, u64) -> u64) {
        for (room, need) in self.room.get_mut(target).into_iter().flatten().zip(need) {
            *room = by(*room, *need);
        }
    }

    fn spend(&mut self, steps: u64) -> Result<(), TooLarge> {
        self.work = self.work.saturating_add(steps);
        if self.work > MOST_WORK { Err(TooLarge) } else { Ok(()) }
    }

    /// Whether what is placed is legal.
    fn judge(&mut self) -> Result<bool, TooLarge> {
        self.spend(JUDGED)?;
        let placed = self.items.iter().zip(&self.placed);
        let placements: Vec<(VmId, NodeId)> =
            placed.filter_map(|(item, target)| Some((item.id, *self.targets.get(*target)?))).collect();
        let legal = check_placements(self.cluster, &self.failure, &placements, &self.evictions).is_ok();
        self.rejected |= !legal;
        Ok(legal)
    }
}

impl Item<'_> {
    /// Whether it makes no difference which of the two is where.
    fn alike(&self, other: &Self) -> bool {
        !self.tied && !other.tied && self.need == other.need && self.places == other.places
    }
}

/// Whether a VM is a member of a rule that is not judged node by node.
fn is_member(cluster: &Cluster, vm: VmRef<'_>) -> bool {
    let place = |kind: RuleKind| matches!(kind, RuleKind::Confine { .. } | RuleKind::Exclude { .. });
    vm.rules().filter_map(|rule| cluster.rule(rule).ok()).any(|rule| !place(rule.kind()))
}

/// Whether a VM that stays can be what makes a placement legal.
fn is_company(cluster: &Cluster, vm: VmRef<'_>) -> bool {
    vm.rules().filter_map(|rule| cluster.rule(rule).ok()).any(|rule| {
        rule.strength() == Strength::Required
            && matches!(rule.kind(), RuleKind::Together { .. } | RuleKind::Spread { .. })
    })
}

fn leader(kind: &RuleKind) -> Option<VmId> {
    if let RuleKind::Follow { leader } = kind { Some(*leader) } else { None }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Whether more VMs of these never make legal what is not: no rule but those that count what a domain holds, and nobody
/// who needs another one.
fn only_worsens(cluster: &Cluster, vms: &BTreeSet<VmId>) -> bool {
    let counting = |kind: RuleKind| {
        matches!(
            kind,
            RuleKind::Separate { .. }
                | RuleKind::SeparateSides { .. }
                | RuleKind::Confine { .. }
                | RuleKind::Exclude { .. }
        )
    };
    let binds = cluster.rules().filter(|rule| rule.strength() == Strength::Required && !counting(rule.kind()));
    let free = binds.flat_map(|rule| rule.members().chain(leader(&rule.kind())).collect::<Vec<_>>());
    let needs =
        |vm: &VmId| cluster.vm(*vm).is_ok_and(|vm| vm.starts_after().any(|edge| edge.on_timeout == OnTimeout::GiveUp));
    !free.into_iter().any(|vm| vms.contains(&vm)) && !vms.iter().any(needs)
}
