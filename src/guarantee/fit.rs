//! First fit over one bank: plans for the units of a tier, each as if it were the only one.
//!
//! Uses `cluster`, `guarantee::{banks, bonds, listed, units}`, `restart` (where a VM may run). Used by `banks`.
//!
//! Holes lie side by side, the largest first, in groups with the largest amounts of each, so that a group without room is
//! passed over at once. A unit's VMs go in, larger ones first, each into the first hole that takes it; those that move as one
//! go before the others, and those with few places before those that are free or only kept apart.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: room goes down only by a need that fits into it; counts are below 2^31"
)]

use super::banks::Setting;
use super::bonds::{Bond, Mate, PartyIx};
use super::certificate::NOWHERE;
use super::listed::{Items, Listed, Manner, Span, Tied, TiedBy};
use super::units::{Tier, UnitIx};
use crate::cluster::Cluster;
use crate::dense::{DenseId, IdVec, Rows, dense_id, fits, to_u32};
use crate::ids::{NodeSlot, VmSlot};
use crate::restart::{may_run_on, may_run_on_few};
use alloc::vec::Vec;
use smallvec::SmallVec;

dense_id! {
    /// A position in a bank, in the order of the holes.
    struct PositionIx;
    /// 32 positions.
    struct GroupIx;
}

const GROUP: usize = 32;

/// A bank's nodes, the largest hole first, and their room side by side.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) nodes: Vec<NodeSlot>,
    free: Rows<PositionIx>,
    /// The component-wise maximum of each group.
    most: Rows<GroupIx>,
    /// The position of each node slot, if that is asked for.
    position_of: IdVec<NodeSlot, u32>,
}

/// Not in the bank.
const NO_POSITION: u32 = u32::MAX;

impl Layout {
    /// `limited`: whether members are limited in where they may go.
    pub(super) fn new(cluster: &Cluster, nodes: Vec<NodeSlot>, limited: bool) -> Self {
        let kinds = cluster.kinds().len();
        let mut position_of = IdVec::new();
        if limited {
            position_of = IdVec::filled(NO_POSITION, cluster.node_slots());
            for (at, node) in (0..).zip(&nodes) {
                position_of[*node] = at;
            }
        }
        let mut free: Rows<PositionIx> = Rows::new(kinds);
        let mut most: Rows<GroupIx> = Rows::new(kinds);
        most.reset(kinds, nodes.len().div_ceil(GROUP));
        for (at, node) in nodes.iter().enumerate() {
            let row = &cluster.free_rows()[*node];
            free.push(row);
            for (most, free) in most[GroupIx::from_index(at / GROUP)].iter_mut().zip(row) {
                *most = (*most).max(*free);
            }
        }
        Self { nodes, free, most, position_of }
    }

    fn position(&self, node: NodeSlot) -> Option<PositionIx> {
        self.position_of.lookup(node).copied().filter(|at| *at != NO_POSITION).map(PositionIx)
    }
}

/// Some units of one tier, and the banks that they are to have plans in.
pub(super) struct Part<'b> {
    pub(super) tier: &'b Tier,
    pub(super) units: Span,
    pub(super) banks: Vec<Goal<'b>>,
}

/// A bank, and where the targets of some units' members go.
pub(super) struct Goal<'b> {
    /// Which bank.
    pub(super) bank: usize,
    pub(super) layout: &'b Layout,
    pub(super) targets: &'b mut [NodeSlot],
}

/// What first fit came to in a bank, besides targets.
#[derive(Default)]
pub(super) struct Fitted {
    pub(super) bank: usize,
    /// Units that the planner must look at.
    pub(super) open: Vec<UnitIx>,
    pub(super) work: u64,
}

/// One unit, and its members, for one bank.
struct Task<'t> {
    listed: &'t Listed<'t>,
    layout: &'t Layout,
    unit: UnitIx,
    items: Items<'t>,
}

/// First fit over one bank after the other. What a unit takes of it is given back before the next.
#[derive(Default)]
pub(super) struct Kernel {
    /// What is free at each position of the bank at hand, less what the unit at hand has taken.
    left: Rows<PositionIx>,
    /// The same of banks that have been at hand.
    lefts: Vec<Rows<PositionIx>>,
    /// Where the unit at hand has taken something.
    taken: Vec<PositionIx>,
    /// The nodes that a limited member is limited to.
    few: Vec<NodeSlot>,
    /// Members of `separate` rules in the unit at hand, as [`Items`] has them, with their targets.
    mates: Vec<(usize, Mate)>,
    work: u64,
}

impl Kernel {
    /// Finds plans for the units of a part, in one bank after the other: so what is read of them is at hand.
    pub(super) fn fit_part(&mut self, setting: &Setting<'_>, part: Part<'_>) -> Vec<Fitted> {
        let listed = Listed::new(setting, part.tier, part.units);
        let fit = |goal| match setting.cluster.kinds().len() {
            2 => self.fit_bank::<2>(&listed, goal),
            4 => self.fit_bank::<4>(&listed, goal),
            _ => self.fit_bank::<0>(&listed, goal),
        };
        part.banks.into_iter().map(fit).collect()
    }

    /// Finds plans for units in one bank. `WIDTH` as for [`Rows::row`].
    fn fit_bank<const WIDTH: usize>(
        &mut self,
        listed: &Listed<'_>,
        Goal { bank, layout, mut targets }: Goal<'_>,
    ) -> Fitted {
        if self.lefts.len() <= bank {
            self.lefts.resize(bank + 1, Rows::new(0));
        }
        self.left = self.lefts.get_mut(bank).map(core::mem::take).unwrap_or_default();
        if self.left.len() == 0 {
            self.left.copy_from(&layout.free);
        }
        let mut fitted = Fitted { bank, ..Fitted::default() };
        for own in &listed.units {
            let task = Task { listed, layout, unit: own.unit, items: listed.items(own) };
            let (own_targets, behind) = targets.split_at_mut(task.items.vms.len().min(targets.len()));
            targets = behind;
            let complete = match own.manner {
                Manner::FirstFit { few, parties } => {
                    self.mates.clear();
                    self.mates.extend_from_slice(task.items.mates);
                    (!parties || self.place_parties::<WIDTH>(&task, own_targets))
                        && (!few || self.place_few::<WIDTH>(&task, own_targets))
                        && self.place_others::<WIDTH>(&task, own_targets)
                }
                Manner::Planned => false,
            };
            self.give_back::<WIDTH>(layout);
            if !complete {
                fitted.open.push(own.unit);
            }
        }
        if let Some(left) = self.lefts.get_mut(bank) {
            *left = core::mem::take(&mut self.left);
        }
        fitted.work = core::mem::take(&mut self.work);
        fitted
    }

    /// Puts items that are free on the first positions that take them; `false` if one finds none.
    fn place_free<'n, const WIDTH: usize>(
        &mut self,
        task: &Task<'_>,
        needs: &'n [u64],
        targets: &mut [NodeSlot],
        last: &mut Last<'n>,
    ) -> bool {
        let width = if WIDTH == 0 { self.left.width() } else { WIDTH };
        let mut before = *last;
        for (need, target) in needs.chunks_exact(width.max(1)).zip(targets) {
            let from = before.from(need);
            if let Some(from) = from {
                let left = self.left.row_mut::<WIDTH>(from);
                if fits(need, left) {
                    subtract(left, need);
                    *target = before.node;
                    continue;
                }
            }
            let outside = |node| task.is_outside(node);
            let found =
                search::<WIDTH>(&self.left, &mut self.work, task.layout, need, from.unwrap_or(PositionIx(0)), outside);
            let Some((position, node)) = found else { return false };
            self.take::<WIDTH>(position, need);
            *target = node;
            before = Last { position, node, need };
        }
        *last = before;
        true
    }

    /// Puts those that move as one on the first position that takes them together. Larger ones first, as their first VMs stand.
    fn place_parties<const WIDTH: usize>(&mut self, task: &Task<'_>, targets: &mut [NodeSlot]) -> bool {
        let items = task.items;
        let width = if WIDTH == 0 { self.left.width() } else { WIDTH };
        let mut seen: SmallVec<[PartyIx; 4]> = SmallVec::new();
        let parties = items.tied.iter().flat_map(|tied| items.bonds(tied)).filter_map(|by| match by.bond {
            Bond::AsOne(party) => Some(party),
            _ => None,
        });
        for party in parties {
            if seen.contains(&party) {
                continue;
            }
            seen.push(party);
            let of_party = |tied: &&Tied| items.bonds(tied).iter().any(|by| by.bond == Bond::AsOne(party));
            let group: Vec<Tied> = items.tied.iter().filter(of_party).copied().collect();
            let mut sum: SmallVec<[u64; 4]> = smallvec::smallvec![0; width];
            for Tied { item, .. } in &group {
                let need = items.need.get(item * width..(item + 1) * width).unwrap_or_default();
                for (sum, need) in sum.iter_mut().zip(need) {
                    *sum = sum.saturating_add(*need);
                }
            }
            let Self { left, mates, work, .. } = self;
            let takes = |node| task.is_outside(node) && task.takes_all(mates, &group, node);
            let Some((position, node)) = search::<WIDTH>(left, work, task.layout, &sum, PositionIx(0), takes) else {
                return false;
            };
            self.take::<WIDTH>(position, &sum);
            for tied in &group {
                self.settle(task, tied, node);
                if let Some(target) = targets.get_mut(tied.item) {
                    *target = node;
                }
            }
        }
        true
    }

    /// Puts every item with few places that has none yet on the first position that takes it.
    fn place_few<const WIDTH: usize>(&mut self, task: &Task<'_>, targets: &mut [NodeSlot]) -> bool {
        task.items.tied.iter().filter(|tied| tied.few).all(|tied| {
            let target = targets.get_mut(tied.item).filter(|target| **target == NOWHERE);
            target.is_none_or(|target| self.place_tied::<WIDTH>(task, tied, PositionIx(0), target))
        })
    }

    /// Puts every item that has no place yet on the first position that takes it.
    fn place_others<const WIDTH: usize>(&mut self, task: &Task<'_>, targets: &mut [NodeSlot]) -> bool {
        let items = task.items;
        let width = if WIDTH == 0 { self.left.width() } else { WIDTH };
        let (mut needs, mut targets) = (items.need, targets);
        let mut last = Last { position: PositionIx(0), node: NOWHERE, need: &[] };
        let mut next = 0;
        for tied in items.tied {
            let free = tied.item - next;
            next = tied.item + 1;
            let (of_free, behind) = needs.split_at(free * width);
            let (targets_of_free, targets_behind) = targets.split_at_mut(free);
            let (need, others) = behind.split_at(width);
            needs = others;
            let Some((target, others)) = targets_behind.split_first_mut() else { return false };
            targets = others;
            if !self.place_free::<WIDTH>(task, of_free, targets_of_free, &mut last) {
                return false;
            }
            if *target == NOWHERE
                && !self.place_tied::<WIDTH>(task, tied, last.from(need).unwrap_or(PositionIx(0)), target)
            {
                return false;
            }
        }
        self.place_free::<WIDTH>(task, needs, targets, &mut last)
    }

    /// Puts an item with bonds or limits on the first position that takes it; one without limits, from here on. Not a part of
    /// the loop that calls it: most items are free, and have the registers for themselves.
    #[inline(never)]
    fn place_tied<const WIDTH: usize>(
        &mut self,
        task: &Task<'_>,
        tied: &Tied,
        from: PositionIx,
        target: &mut NodeSlot,
    ) -> bool {
        let width = if WIDTH == 0 { self.left.width() } else { WIDTH };
        let need = task.items.need.get(tied.item * width..(tied.item + 1) * width).unwrap_or_default();
        let mates = core::mem::take(&mut self.mates);
        let keeps = |node: NodeSlot| task.takes(&mates, tied, node, |_| false);
        let found = if tied.limited {
            let vm = task.items.vms.get(tied.item);
            vm.and_then(|vm| self.search_limited::<WIDTH>(task, *vm, need, keeps))
        } else {
            let takes = |node| task.is_outside(node) && keeps(node);
            search::<WIDTH>(&self.left, &mut self.work, task.layout, need, from, takes)
        };
        self.mates = mates;
        let Some((position, node)) = found else { return false };
        self.take::<WIDTH>(position, need);
        self.settle(task, tied, node);
        *target = node;
        true
    }

    /// Notes where an item goes.
    fn settle(&mut self, task: &Task<'_>, tied: &Tied, node: NodeSlot) {
        for by in task.items.bonds(tied) {
            let of_rule = self.mates.get_mut(by.mates()).unwrap_or_default();
            if let Some((_, mate)) = of_rule.iter_mut().find(|(other, _)| *other == tied.item) {
                mate.target = Some(node);
            }
        }
    }

    #[inline]
    fn take<const WIDTH: usize>(&mut self, here: PositionIx, need: &[u64]) {
        subtract(self.left.row_mut::<WIDTH>(here), need);
        self.taken.push(here);
    }

    fn give_back<const WIDTH: usize>(&mut self, layout: &Layout) {
        for here in self.taken.drain(..) {
            self.left.row_mut::<WIDTH>(here).copy_from_slice(layout.free.row::<WIDTH>(here));
        }
    }

    /// The first position with the room for a VM that may run on few nodes, if it may run there.
    fn search_limited<const WIDTH: usize>(
        &mut self,
        task: &Task<'_>,
        vm: VmSlot,
        need: &[u64],
        suits: impl Fn(NodeSlot) -> bool,
    ) -> Option<(PositionIx, NodeSlot)> {
        let cluster = task.listed.setting.cluster;
        let takes = |node: NodeSlot| task.is_outside(node) && suits(node);
        if !may_run_on_few(cluster, vm, &mut self.few) {
            return search::<WIDTH>(&self.left, &mut self.work, task.layout, need, PositionIx(0), takes);
        }
        self.work += u64::from(to_u32(self.few.len()));
        let few = self.few.iter().filter_map(|node| Some((task.layout.position(*node)?, *node)));
        let has_room = |position: PositionIx| fits(need, self.left.row::<WIDTH>(position));
        few.filter(|(position, node)| has_room(*position) && takes(*node)).min()
    }
}

impl Task<'_> {
    #[inline]
    fn is_outside(&self, node: NodeSlot) -> bool {
        self.listed.tier.unit_of[node] != self.unit
    }

    /// Whether a node suits the limits and bonds of an item, if those that come with it are put there, too.
    #[inline]
    fn takes(&self, mates: &[(usize, Mate)], tied: &Tied, node: NodeSlot, comes: impl Fn(usize) -> bool) -> bool {
        let Setting { cluster, bonds, .. } = *self.listed.setting;
        let allows = |by: &TiedBy| {
            let Bond::Apart(apart, side) = by.bond else { return bonds.colour_allows(cluster, &by.bond, node) };
            let mates = mates
                .get(by.mates())
                .unwrap_or_default()
                .iter()
                .map(|(other, mate)| Mate { target: if comes(*other) { Some(node) } else { mate.target }, ..*mate });
            bonds.is_apart(cluster, (apart, side), node, mates)
        };
        self.items.bonds(tied).iter().all(allows)
            && (!tied.limited || self.items.vms.get(tied.item).is_some_and(|vm| may_run_on(cluster, *vm, node)))
    }

    /// The same of all these items, put there together.
    fn takes_all(&self, mates: &[(usize, Mate)], group: &[Tied], node: NodeSlot) -> bool {
        group.iter().enumerate().all(|(done, tied)| {
            let before = group.get(..done).unwrap_or_default();
            self.takes(mates, tied, node, |item| before.iter().any(|tied| tied.item == item))
        })
    }
}

/// Where the last item went that is free, and what it needed: one of the same need finds nothing before.
#[derive(Clone, Copy)]
struct Last<'n> {
    position: PositionIx,
    node: NodeSlot,
    need: &'n [u64],
}

impl Last<'_> {
    /// Where one may find something at the earliest, if there is somewhere.
    #[inline]
    fn from(&self, need: &[u64]) -> Option<PositionIx> {
        are_same(need, self.need).then_some(self.position)
    }
}

/// Whether two needs are the same: they are short, so that a call to compare memory would take longer.
#[inline]
fn are_same(left: &[u64], right: &[u64]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left == right)
}

#[inline]
fn subtract(left: &mut [u64], need: &[u64]) {
    for (left, need) in left.iter_mut().zip(need) {
        *left -= need;
    }
}

/// The first position from `from` on that has the room and that `accepts` takes.
#[inline]
fn search<const WIDTH: usize>(
    left: &Rows<PositionIx>,
    work: &mut u64,
    layout: &Layout,
    need: &[u64],
    from: PositionIx,
    accepts: impl Fn(NodeSlot) -> bool,
) -> Option<(PositionIx, NodeSlot)> {
    let mut position = from.index();
    while position < layout.nodes.len() {
        *work += 1;
        let group = position / GROUP;
        let end = ((group + 1) * GROUP).min(layout.nodes.len());
        if fits(need, layout.most.row::<WIDTH>(GroupIx::from_index(group))) {
            let nodes = layout.nodes.get(position..end).unwrap_or_default();
            let rows = left.cells().get(position * need.len()..end * need.len()).unwrap_or_default();
            let width = if WIDTH == 0 { need.len() } else { WIDTH };
            for ((at, node), row) in (to_u32(position)..).zip(nodes).zip(rows.chunks_exact(width.max(1))) {
                if fits(need, row) && accepts(*node) {
                    return Some((PositionIx(at), *node));
                }
            }
        }
        position = end;
    }
    None
}
