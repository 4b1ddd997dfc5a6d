//! The members of some units, and what first fit asks about them whatever bank they go into.
//!
//! Uses `cluster`, `guarantee::{banks, bonds, field, units}`. Used by `fit`, by `banks` (spans) and `scarce`.
//!
//! Every member goes into several banks, one after the other. What is looked up in many places (its bonds, who else of its unit
//! is in the same `separate` rule) is therefore looked up once, and stands in the members' order. Most members are free to go
//! anywhere: of those nothing is noted, so that first fit runs over them without a look at anything but needs.

#![expect(clippy::arithmetic_side_effects, reason = "INVARIANT: counts of members and bonds are below 2^31")]

use super::banks::Setting;
use super::bonds::{ApartIx, Bond, Mate};
use super::field::Field;
use super::units::{Tier, UnitIx, Units};
use crate::cluster::{Cluster, NO_HOME};
use crate::dense::{to_u32, to_usize};
use crate::ids::{NodeSlot, VmSlot};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Range;
use smallvec::SmallVec;

/// Which units. Members of single nodes stand node by node, those of wider units are listed unit by unit.
#[derive(Clone)]
pub(super) enum Span {
    Nodes(Range<u32>),
    Units(Range<u32>),
}

/// See the module documentation.
pub(super) struct Listed<'l> {
    pub(super) setting: &'l Setting<'l>,
    pub(super) tier: &'l Tier,
    pub(super) units: Vec<Own>,
    vms: Cow<'l, [VmSlot]>,
    need: Cow<'l, [u64]>,
    limited: Cow<'l, [bool]>,
    tied: Vec<Tied>,
    bonds: Vec<TiedBy>,
    mates: Vec<(usize, Mate)>,
}

/// A unit, and where its members are, those of them that are not free, and its mates.
pub(super) struct Own {
    pub(super) unit: UnitIx,
    pub(super) manner: Manner,
    members: Range<usize>,
    tied: Range<usize>,
    mates: Range<usize>,
}

/// How the members of a unit are placed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// By first fit: those that move as one, if there are `parties`, then those with `few` places, then the others.
    FirstFit { few: bool, parties: bool },
    /// As the planner finds.
    Planned,
}

/// A member that is limited in where it goes, or has bonds.
#[derive(Clone, Copy)]
pub(super) struct Tied {
    /// Which of the unit's.
    pub(super) item: usize,
    /// Whether labels or rules about nodes limit where it goes.
    pub(super) limited: bool,
    /// Whether those or a colour limit it to few places; bonds that only keep it apart do not.
    pub(super) few: bool,
    bonds: (u32, u32),
}

/// A bond, and for one that keeps apart where those of the rule are among the mates of the unit.
#[derive(Clone, Copy)]
pub(super) struct TiedBy {
    pub(super) bond: Bond,
    mates: (u32, u32),
}

impl TiedBy {
    pub(super) fn mates(&self) -> Range<usize> {
        to_usize(self.mates.0)..to_usize(self.mates.1)
    }
}

/// The members of one unit, larger first, side by side.
#[derive(Clone, Copy)]
pub(super) struct Items<'i> {
    pub(super) vms: &'i [VmSlot],
    pub(super) need: &'i [u64],
    /// Those that are not free, in order.
    pub(super) tied: &'i [Tied],
    bonds: &'i [TiedBy],
    /// Members of `separate` rules: which item, and what is known of it before it has a target. Rule by rule.
    pub(super) mates: &'i [(usize, Mate)],
}

impl Items<'_> {
    #[inline]
    pub(super) fn bonds(&self, tied: &Tied) -> &[TiedBy] {
        let (start, end) = tied.bonds;
        within(self.bonds, to_usize(start)..to_usize(end))
    }
}

#[inline]
fn within<T>(all: &[T], range: Range<usize>) -> &[T] {
    all.get(range).unwrap_or_default()
}

impl<'l> Listed<'l> {
    pub(super) fn new(setting: &'l Setting<'l>, tier: &'l Tier, span: Span) -> Self {
        let Field { vms, need, limited, .. } = setting.field;
        let (field, kinds) = (setting.field, need.width());
        let mut listed = Self {
            setting,
            tier,
            units: Vec::new(),
            vms: Cow::Borrowed(&[]),
            need: Cow::Borrowed(&[]),
            limited: Cow::Borrowed(&[]),
            tied: Vec::new(),
            bonds: Vec::new(),
            mates: Vec::new(),
        };
        match span {
            Span::Nodes(nodes) => {
                let (first, end) = (field.start(NodeSlot(nodes.start)), field.start(NodeSlot(nodes.end)));
                listed.vms = Cow::Borrowed(within(vms.as_slice(), first..end));
                listed.need = Cow::Borrowed(within(need.cells(), first * kinds..end * kinds));
                listed.limited = Cow::Borrowed(within(limited.as_slice(), first..end));
                for node in nodes.map(NodeSlot) {
                    listed.enter(tier.unit_of[node], field.at(node).len());
                }
            }
            Span::Units(units) => {
                let mut members = Vec::new();
                for unit in units.map(UnitIx) {
                    field.of_unit(setting.units, unit, &mut members);
                    listed.vms.to_mut().extend(members.iter().map(|member| vms[*member]));
                    for member in &members {
                        listed.need.to_mut().extend_from_slice(&need[*member]);
                    }
                    listed.limited.to_mut().extend(members.iter().map(|member| limited[*member]));
                    listed.enter(unit, members.len());
                }
            }
        }
        listed
    }

    /// The members of a unit.
    pub(super) fn items(&self, own: &Own) -> Items<'_> {
        let kinds = self.setting.field.need.width();
        let members = own.members.clone();
        Items {
            need: within(&self.need, members.start * kinds..members.end * kinds),
            vms: within(&self.vms, members),
            tied: within(&self.tied, own.tied.clone()),
            bonds: &self.bonds,
            mates: within(&self.mates, own.mates.clone()),
        }
    }

    /// A unit with the next so many members.
    fn enter(&mut self, unit: UnitIx, count: usize) {
        if count == 0 {
            return;
        }
        let first = self.units.last().map_or(0, |last| last.members.end);
        let members = first..first + count;
        let (tied, mates) = (self.tied.len(), self.mates.len());
        let Setting { field, bonds, .. } = self.setting;
        let all_are_free = bonds.is_empty() && !field.census.any_limited();
        let free = Manner::FirstFit { few: false, parties: false };
        let manner = if all_are_free { free } else { self.bind(members.clone()) };
        let (tied, mates) = (tied..self.tied.len(), mates..self.mates.len());
        self.units.push(Own { unit, manner, members, tied, mates });
    }

    /// Looks up the bonds of the members of a unit.
    fn bind(&mut self, members: Range<usize>) -> Manner {
        let Setting { cluster, units, bonds, .. } = *self.setting;
        let mut apart: SmallVec<[(ApartIx, usize, u32, Mate); 8]> = SmallVec::new();
        let (mut few, mut parties, mut planned) = (false, false, false);
        let vms = within(&self.vms, members.clone()).iter().zip(within(&self.limited, members));
        for (item, (vm, limited)) in vms.enumerate() {
            let of_vm = bonds.of(*vm);
            if of_vm.is_empty() && !limited {
                continue;
            }
            let start = to_u32(self.bonds.len());
            let mut tied = Tied { item, limited: *limited, few: *limited, bonds: (start, start) };
            for bond in of_vm {
                match bond {
                    Bond::Planned => planned = true,
                    Bond::AsOne(_) => parties = true,
                    Bond::Colour(..) => tied.few = true,
                    Bond::Apart(rule, side) => match mate(cluster, units, *vm, *side) {
                        Some(mate) => apart.push((*rule, item, to_u32(self.bonds.len()), mate)),
                        None => planned = true,
                    },
                }
                self.bonds.push(TiedBy { bond: *bond, mates: (0, 0) });
            }
            tied.bonds.1 = to_u32(self.bonds.len());
            few |= tied.few;
            self.tied.push(tied);
        }
        apart.sort_unstable_by_key(|(rule, item, ..)| (*rule, *item));
        let mut first = 0_u32;
        for of_rule in apart.chunk_by(|left, right| left.0 == right.0) {
            let end = first + to_u32(of_rule.len());
            for (_, item, at, mate) in of_rule {
                self.mates.push((*item, *mate));
                if let Some(by) = self.bonds.get_mut(to_usize(*at)) {
                    by.mates = (first, end);
                }
            }
            first = end;
        }
        if planned { Manner::Planned } else { Manner::FirstFit { few, parties } }
    }
}

/// A member of a `separate` rule, of this side, that has no target yet. `None`: it has no home.
pub(super) fn mate(cluster: &Cluster, units: &Units, vm: VmSlot, side: u32) -> Option<Mate> {
    let facts = cluster.facts(vm);
    // As it is counted there: not on a node that is down.
    let going = cluster.moving_to(vm, facts).filter(|node| units.can_fail(*node));
    (facts.home != NO_HOME).then_some(Mate { side, home: facts.home, going, target: None })
}
