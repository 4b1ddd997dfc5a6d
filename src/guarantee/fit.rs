//! First fit over one bank: plans for the units of a tier, each as if it were the only one.
//!
//! Uses `cluster`, `guarantee::{banks, bonds, field, units}`, `restart` (where a VM may run). Used by `banks`.
//!
//! Holes lie side by side, the largest first, in groups with the largest amounts of each, so that a group without room is
//! passed over at once. A unit's VMs go in, larger ones first, each into the first hole that takes it; of a unit with
//! bonds those that move as one go before the others.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: room goes down only by a need that fits into it; counts are below 2^31"
)]

use super::banks::{Bank, Setting};
use super::bonds::{ApartIx, Bond, Mate, PartyIx};
use super::certificate::NOWHERE;
use super::field::Field;
use super::units::{Tier, UnitIx};
use crate::cluster::{Cluster, NO_HOME};
use crate::dense::{DenseId, IdVec, Rows, dense_id, fits, to_u32, to_usize};
use crate::ids::{NodeSlot, VmSlot};
use crate::restart::{may_run_on, may_run_on_few};
use alloc::vec::Vec;
use core::ops::Range;
use smallvec::SmallVec;

dense_id! {
    /// A position in a bank, in the order of the holes.
    struct PositionIx;
    /// 32 positions.
    struct GroupIx;
}

const GROUP: usize = 32;

/// A bank's room side by side.
pub(super) struct Layout<'b> {
    nodes: &'b [NodeSlot],
    free: Rows<PositionIx>,
    /// The component-wise maximum of each group.
    most: Rows<GroupIx>,
    /// The position of each node slot, if that is asked for.
    position_of: IdVec<NodeSlot, u32>,
}

/// Not in the bank.
const NO_POSITION: u32 = u32::MAX;

impl<'b> Layout<'b> {
    /// `limited`: whether members are limited in where they may go.
    pub(super) fn new(cluster: &Cluster, bank: &'b Bank, limited: bool) -> Self {
        let kinds = cluster.kinds().len();
        let mut position_of = IdVec::new();
        if limited {
            position_of = IdVec::filled(NO_POSITION, cluster.node_slots());
            for (at, node) in (0..).zip(&bank.nodes) {
                position_of[*node] = at;
            }
        }
        let mut free: Rows<PositionIx> = Rows::new(kinds);
        let mut most: Rows<GroupIx> = Rows::new(kinds);
        most.reset(kinds, bank.nodes.len().div_ceil(GROUP));
        for (at, node) in bank.nodes.iter().enumerate() {
            let row = &cluster.free_rows()[*node];
            free.push(row);
            for (most, free) in most[GroupIx::from_index(at / GROUP)].iter_mut().zip(row) {
                *most = (*most).max(*free);
            }
        }
        Self { nodes: &bank.nodes, free, most, position_of }
    }

    fn position(&self, node: NodeSlot) -> Option<usize> {
        self.position_of.lookup(node).copied().filter(|at| *at != NO_POSITION).map(to_usize)
    }
}

/// The members of one unit, larger first, or of several units, side by side.
#[derive(Clone, Copy)]
struct Items<'i> {
    vms: &'i [VmSlot],
    need: &'i [u64],
    limited: &'i [bool],
    /// Where the bonds of each begin and end; nothing, if nobody has any.
    bonds: &'i [(u32, u32)],
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
    pub(super) layout: &'b Layout<'b>,
    pub(super) targets: &'b mut [NodeSlot],
}

/// Which units. Members of single nodes stand node by node, those of wider units are listed unit by unit.
#[derive(Clone)]
pub(super) enum Span {
    Nodes(Range<u32>),
    Units(Range<u32>),
}

/// What first fit came to in a bank, besides targets.
#[derive(Default)]
pub(super) struct Fitted {
    pub(super) bank: usize,
    /// Units that the planner must look at.
    pub(super) open: Vec<UnitIx>,
    pub(super) work: u64,
}

/// The members of a part.
struct Listed<'l> {
    setting: &'l Setting<'l>,
    tier: &'l Tier,
    items: Items<'l>,
    /// Their bonds, one after the other.
    bonds: &'l [Bond],
}

/// One unit, and its members, for one bank.
struct Task<'t> {
    listed: &'t Listed<'t>,
    layout: &'t Layout<'t>,
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
    /// Members of `separate` rules in the unit at hand: the rule, which item, and what is known of it. Sorted.
    mates: Vec<(ApartIx, usize, Mate)>,
    /// How free each item of the unit at hand is.
    freedoms: Vec<Freedom>,
    work: u64,
}

/// How free a VM is in where it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freedom {
    /// Anywhere.
    All,
    /// Kept apart from others.
    Bonded,
    /// Limited to few places: by labels, rules or a colour.
    Few,
}

impl Kernel {
    /// Finds plans for the units of a part, in one bank after the other: so what is read of them is at hand.
    pub(super) fn fit_part(&mut self, setting: &Setting<'_>, part: Part<'_>) -> Vec<Fitted> {
        let field = setting.field;
        let mut units: Vec<(UnitIx, usize)> = Vec::new();
        let (mut vms, mut need, mut limited) = (Vec::new(), Vec::new(), Vec::new());
        let items = match part.units {
            Span::Nodes(nodes) => {
                let range = field.start(NodeSlot(nodes.start))..field.start(NodeSlot(nodes.end));
                units.extend(nodes.map(NodeSlot).map(|node| (part.tier.unit_of[node], field.at(node).len())));
                field.items().range(range)
            }
            Span::Units(wide) => {
                let mut members = Vec::new();
                for unit in wide.map(UnitIx) {
                    field.of_unit(setting.units, unit, &mut members);
                    units.push((unit, members.len()));
                    for member in &members {
                        vms.push(field.vms[*member]);
                        need.extend_from_slice(&field.need[*member]);
                        limited.push(field.limited[*member]);
                    }
                }
                Items { vms: &vms, need: &need, limited: &limited, bonds: &[] }
            }
        };
        let (spans, bonds) = setting.bonds.of_each(items.vms);
        let listed = Listed { setting, tier: part.tier, items: Items { bonds: &spans, ..items }, bonds: &bonds };
        let fit = |goal| match setting.cluster.kinds().len() {
            2 => self.fit_bank::<2>(&listed, &units, goal),
            4 => self.fit_bank::<4>(&listed, &units, goal),
            _ => self.fit_bank::<0>(&listed, &units, goal),
        };
        part.banks.into_iter().map(fit).collect()
    }

    /// Finds plans for units with so many members each, in one bank. `WIDTH` as for [`Rows::row`].
    fn fit_bank<const WIDTH: usize>(
        &mut self,
        listed: &Listed<'_>,
        units: &[(UnitIx, usize)],
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
        let mut first = 0;
        for (unit, count) in units {
            let (own, behind) = targets.split_at_mut((*count).min(targets.len()));
            targets = behind;
            let task = Task { listed, layout, unit: *unit, items: listed.items.range(first..first + count) };
            first += count;
            let bonded = || task.items.bonds.iter().any(|span| has_any(*span));
            let planned = || task.bonded().any(|(_, bonds)| bonds.contains(&Bond::Planned));
            let complete = match task.items.vms.is_empty() {
                true => true,
                false if !bonded() => self.first_fit::<WIDTH>(&task, own),
                false => !planned() && self.fit_bonded::<WIDTH>(&task, own),
            };
            if !complete {
                fitted.open.push(*unit);
            }
        }
        if let Some(left) = self.lefts.get_mut(bank) {
            *left = core::mem::take(&mut self.left);
        }
        fitted.work = core::mem::take(&mut self.work);
        fitted
    }

    /// Puts every item on the first position that takes it; `false` if one finds none.
    fn first_fit<const WIDTH: usize>(&mut self, task: &Task<'_>, targets: &mut [NodeSlot]) -> bool {
        let items = task.items;
        let width = if WIDTH == 0 { self.left.width() } else { WIDTH };
        let mut complete = true;
        // Where the last item went, and what it needed: one of the same need finds nothing before.
        let mut last = 0;
        let mut last_need: &[u64] = &[];
        let needs = items.need.chunks_exact(width.max(1));
        for (((need, vm), limited), target) in needs.zip(items.vms).zip(items.limited).zip(targets) {
            let from = if are_same(need, last_need) { last } else { 0 };
            let found = if *limited {
                self.search_limited::<WIDTH>(task, *vm, need, |node| may_run_on(task.listed.setting.cluster, *vm, node))
            } else {
                search::<WIDTH>(&self.left, &mut self.work, task.layout, need, from, |node| task.is_outside(node))
            };
            let Some((position, node)) = found else {
                complete = false;
                break;
            };
            self.take::<WIDTH>(position, need);
            *target = node;
            if !*limited {
                (last, last_need) = (position, need);
            }
        }
        self.give_back::<WIDTH>(task.layout);
        complete
    }

    /// The same for a unit of which some VMs have bonds.
    fn fit_bonded<const WIDTH: usize>(&mut self, task: &Task<'_>, targets: &mut [NodeSlot]) -> bool {
        let complete = self.place_bonded::<WIDTH>(task, targets);
        self.give_back::<WIDTH>(task.layout);
        complete
    }

    fn place_bonded<const WIDTH: usize>(&mut self, task: &Task<'_>, targets: &mut [NodeSlot]) -> bool {
        let items = task.items;
        let width = if WIDTH == 0 { self.left.width() } else { WIDTH };
        let mut parties: SmallVec<[PartyIx; 4]> = SmallVec::new();
        self.mates.clear();
        self.freedoms.clear();
        for (limited, bonds) in items.limited.iter().zip(items.bonds) {
            self.freedoms.push(match (*limited, has_any(*bonds)) {
                (true, _) => Freedom::Few,
                (false, true) => Freedom::Bonded,
                (false, false) => Freedom::All,
            });
        }
        for (item, bonds) in task.bonded() {
            for bond in bonds {
                match bond {
                    Bond::Planned => {}
                    Bond::AsOne(party) => parties.push(*party),
                    Bond::Colour(..) => {
                        if let Some(freedom) = self.freedoms.get_mut(item) {
                            *freedom = Freedom::Few;
                        }
                    }
                    Bond::Apart(apart, side) => {
                        let Some(mate) = items.vms.get(item).and_then(|vm| task.mate(*vm, *side)) else { return false };
                        self.mates.push((*apart, item, mate));
                    }
                }
            }
        }
        self.mates.sort_unstable_by_key(|(apart, item, _)| (*apart, *item));
        targets.fill(NOWHERE);
        // Larger ones first, as their first VMs stand.
        let mut seen: SmallVec<[PartyIx; 4]> = SmallVec::new();
        for party in parties {
            if seen.contains(&party) {
                continue;
            }
            seen.push(party);
            let of_party = |item: &usize| task.bonds(*item).contains(&Bond::AsOne(party));
            let group: Vec<usize> = (0..items.vms.len()).filter(of_party).collect();
            let mut sum: SmallVec<[u64; 4]> = smallvec::smallvec![0; width];
            for item in &group {
                let need = items.need.get(item * width..(item + 1) * width).unwrap_or_default();
                for (sum, need) in sum.iter_mut().zip(need) {
                    *sum = sum.saturating_add(*need);
                }
            }
            let Self { left, mates, work, .. } = self;
            let takes = |node| task.is_outside(node) && task.takes_all(mates, &group, node);
            let Some((position, node)) = search::<WIDTH>(left, work, task.layout, &sum, 0, takes) else {
                return false;
            };
            self.take::<WIDTH>(position, &sum);
            for item in group {
                self.settle(task, item, node);
                if let Some(target) = targets.get_mut(item) {
                    *target = node;
                }
            }
        }
        // Those with few places before those with many. Where the last one went that may go anywhere, and what it needed: one
        // of the same need finds nothing before.
        let mut last = 0;
        let mut last_need: &[u64] = &[];
        for few in [true, false] {
            if few && !self.freedoms.contains(&Freedom::Few) {
                continue;
            }
            for (item, need) in items.need.chunks_exact(width.max(1)).enumerate() {
                let Some(freedom) = self.freedoms.get(item).copied() else { return false };
                if (freedom == Freedom::Few) != few || targets.get(item) != Some(&NOWHERE) {
                    continue;
                }
                let from = if are_same(need, last_need) { last } else { 0 };
                let Some((position, node)) = self.place_one::<WIDTH>(task, item, need, freedom, from) else {
                    return false;
                };
                self.take::<WIDTH>(position, need);
                if let Some(target) = targets.get_mut(item) {
                    *target = node;
                }
                match freedom {
                    Freedom::All => (last, last_need) = (position, need),
                    Freedom::Bonded | Freedom::Few => self.settle(task, item, node),
                }
            }
        }
        true
    }

    /// The first position for one item beside those that have their places; of one that is not limited, from here on.
    fn place_one<const WIDTH: usize>(
        &mut self,
        task: &Task<'_>,
        item: usize,
        need: &[u64],
        freedom: Freedom,
        from: usize,
    ) -> Option<(usize, NodeSlot)> {
        if freedom == Freedom::All {
            return search::<WIDTH>(&self.left, &mut self.work, task.layout, need, from, |node| task.is_outside(node));
        }
        let mates = core::mem::take(&mut self.mates);
        let keeps = |node: NodeSlot| task.takes_all(&mates, &[item], node);
        let found = if task.items.limited.get(item) == Some(&true) {
            self.search_limited::<WIDTH>(task, *task.items.vms.get(item)?, need, keeps)
        } else {
            let takes = |node| task.is_outside(node) && keeps(node);
            search::<WIDTH>(&self.left, &mut self.work, task.layout, need, from, takes)
        };
        self.mates = mates;
        found
    }

    /// Notes where an item goes.
    fn settle(&mut self, task: &Task<'_>, item: usize, node: NodeSlot) {
        for bond in task.bonds(item) {
            let Bond::Apart(apart, _) = bond else { continue };
            let at = self.mates.binary_search_by_key(&(*apart, item), |(apart, item, _)| (*apart, *item)).ok();
            if let Some((_, _, mate)) = at.and_then(|at| self.mates.get_mut(at)) {
                mate.target = Some(node);
            }
        }
    }

    #[inline]
    fn take<const WIDTH: usize>(&mut self, position: usize, need: &[u64]) {
        let here = PositionIx::from_index(position);
        for (left, need) in self.left.row_mut::<WIDTH>(here).iter_mut().zip(need) {
            *left -= need;
        }
        self.taken.push(here);
    }

    fn give_back<const WIDTH: usize>(&mut self, layout: &Layout<'_>) {
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
    ) -> Option<(usize, NodeSlot)> {
        let cluster = task.listed.setting.cluster;
        let takes = |node: NodeSlot| task.is_outside(node) && suits(node);
        if !may_run_on_few(cluster, vm, &mut self.few) {
            return search::<WIDTH>(&self.left, &mut self.work, task.layout, need, 0, takes);
        }
        self.work += u64::from(to_u32(self.few.len()));
        let few = self.few.iter().filter_map(|node| Some((task.layout.position(*node)?, *node)));
        let has_room = |position: usize| fits(need, self.left.row::<WIDTH>(PositionIx::from_index(position)));
        few.filter(|(position, node)| has_room(*position) && takes(*node)).min()
    }
}

impl<'l> Listed<'l> {
    #[inline]
    fn within(&self, (start, end): (u32, u32)) -> &'l [Bond] {
        self.bonds.get(to_usize(start)..to_usize(end)).unwrap_or_default()
    }
}

impl Items<'_> {
    fn range(&self, range: Range<usize>) -> Self {
        let width = self.need.len().checked_div(self.vms.len()).unwrap_or(0);
        Self {
            vms: self.vms.get(range.clone()).unwrap_or_default(),
            need: self.need.get(range.start * width..range.end * width).unwrap_or_default(),
            limited: self.limited.get(range.clone()).unwrap_or_default(),
            bonds: self.bonds.get(range).unwrap_or_default(),
        }
    }
}

impl<'t> Task<'t> {
    /// Its items with bonds.
    fn bonded(&self) -> impl Iterator<Item = (usize, &'t [Bond])> + use<'t> {
        let listed = self.listed;
        let items = self.items.bonds.iter().enumerate().filter(|(_, span)| has_any(**span));
        items.map(|(item, span)| (item, listed.within(*span)))
    }

    /// The bonds of an item.
    #[inline]
    fn bonds(&self, item: usize) -> &'t [Bond] {
        self.items.bonds.get(item).map_or(&[][..], |span| self.listed.within(*span))
    }

    /// A member of a `separate` rule, of this side, that has no target yet. `None`: it has no home.
    fn mate(&self, vm: VmSlot, side: u32) -> Option<Mate> {
        let cluster = self.listed.setting.cluster;
        let facts = cluster.facts(vm);
        let going = cluster.moving_to(vm, facts);
        (facts.home != NO_HOME).then_some(Mate { side, home: facts.home, going, target: None })
    }

    #[inline]
    fn is_outside(&self, node: NodeSlot) -> bool {
        self.listed.tier.unit_of[node] != self.unit
    }

    /// Whether a node suits the limits and bonds of all these items, put there together.
    fn takes_all(&self, mates: &[(ApartIx, usize, Mate)], group: &[usize], node: NodeSlot) -> bool {
        let Setting { cluster, bonds, .. } = *self.listed.setting;
        group.iter().enumerate().all(|(done, item)| {
            let Some(vm) = self.items.vms.get(*item) else { return false };
            let before = group.get(..done).unwrap_or_default();
            let allows = |bond: &Bond| {
                let Bond::Apart(apart, side) = bond else { return bonds.colour_allows(cluster, bond, node) };
                let first = mates.partition_point(|(rule, _, _)| rule < apart);
                let of_rule = mates.get(first..).unwrap_or_default().iter().take_while(|(rule, _, _)| rule == apart);
                let mates = of_rule.map(|(_, other, mate)| Mate {
                    target: if before.contains(other) { Some(node) } else { mate.target },
                    ..*mate
                });
                bonds.is_apart(cluster, (*apart, *side), node, mates)
            };
            self.bonds(*item).iter().all(allows)
                && (self.items.limited.get(*item) != Some(&true) || may_run_on(cluster, *vm, node))
        })
    }
}

/// Whether there is a bond between these bounds.
const fn has_any((start, end): (u32, u32)) -> bool {
    start != end
}

/// Whether two needs are the same: they are short, so that a call to compare memory would take longer.
#[inline]
fn are_same(left: &[u64], right: &[u64]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left == right)
}

/// The first position from `from` on that has the room and that `accepts` takes.
#[inline]
fn search<const WIDTH: usize>(
    left: &Rows<PositionIx>,
    work: &mut u64,
    layout: &Layout<'_>,
    need: &[u64],
    from: usize,
    accepts: impl Fn(NodeSlot) -> bool,
) -> Option<(usize, NodeSlot)> {
    let mut position = from;
    while position < layout.nodes.len() {
        *work += 1;
        let group = position / GROUP;
        let end = ((group + 1) * GROUP).min(layout.nodes.len());
        if fits(need, layout.most.row::<WIDTH>(GroupIx::from_index(group))) {
            let nodes = layout.nodes.get(position..end).unwrap_or_default();
            for (at, node) in (position..).zip(nodes) {
                if fits(need, left.row::<WIDTH>(PositionIx::from_index(at))) && accepts(*node) {
                    return Some((at, *node));
                }
            }
        }
        position = end;
    }
    None
}

impl Field {
    /// All members, side by side.
    fn items(&self) -> Items<'_> {
        let (vms, limited) = (self.vms.as_slice(), self.limited.as_slice());
        Items { vms, need: self.need.cells(), limited, bonds: &[] }
    }
}
