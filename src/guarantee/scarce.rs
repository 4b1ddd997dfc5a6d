//! Members that have hardly a place in some bank: what the next deal has to see to, and who had better be set aside.
//!
//! Uses `cluster`, `guarantee::{banks, bonds, units}`, `restart` (where a VM may run). Used by `banks`, which finds such members,
//! `deal`, which deals their targets evenly, and `guarantee::verify`.
//!
//! **The data's path.** Where no plan is found for a unit in a bank, [`lacking`] names those of its members that have no place
//! there or few, and lists every target in the cluster that could take them. [`Scarce`] collects them over the deals: the
//! next one gives every bank of the tier some of those targets ([`Wanted`]). For a member with fewer targets than that takes, its
//! rules are painted anew (`paintings`), if colours are the reason. If they are not, or it has no place still after several
//! deals, it is set aside: `backups` gives it places of its own.

use super::banks::{Bank, Setting};
use super::bonds::{ApartIx, Bond, PartyIx};
use super::field::MemberIx;
use super::listed::mate;
use super::units::UnitIx;
use crate::cluster::Cluster;
use crate::dense::{fits, to_u32};
use crate::ids::{NodeSlot, VmSlot};
use crate::restart::may_run_on;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// A member, or the first of a party that moves as one, that has hardly a place in a bank of a tier.
#[derive(Debug)]
pub(super) struct Lacking {
    pub(super) tier: usize,
    pub(super) vm: VmSlot,
    /// Whether it keeps to a colour.
    has_colour: bool,
    /// The targets that could take it, whatever bank they are in.
    pub(super) targets: Vec<NodeSlot>,
}

/// Targets of which every bank of a tier is to get some.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) tier: usize,
    vm: VmSlot,
    pub(super) targets: Vec<NodeSlot>,
    /// How many each bank is to get at least.
    pub(super) each: u32,
}

/// A member with more places than this in a bank is not why its unit has no plan there.
const FEW: usize = 2;

/// Of so many members more lack places than can be helped.
pub(super) const fn are_too_many(lacking: usize, members: usize) -> bool {
    lacking > 64_usize.saturating_add(members / 32)
}

/// Which members of a unit have no place in a bank; or, if that is not why it has no plan there, `few`.
pub(super) fn lacking(
    setting: &Setting<'_>,
    bank: &Bank,
    unit: UnitIx,
    members: &[MemberIx],
    few: bool,
) -> Vec<Lacking> {
    let mut found = Vec::new();
    // What moves away gives room back, which is not looked at here.
    let moves = |vm: &VmSlot| setting.cluster.vm_record(*vm).is_some_and(|vm| vm.migrating_to.is_some());
    let residents = |node: &NodeSlot| setting.cluster.node_record(*node).map_or(&[][..], |record| &record.residents);
    if !few && setting.units.nodes(unit).iter().flat_map(residents).any(moves) {
        return found;
    }
    let most = if few { FEW } else { 0 };
    let mut parties: SmallVec<[PartyIx; 4]> = SmallVec::new();
    for member in members {
        let vm = setting.field.vms[*member];
        let mut need: SmallVec<[u64; 4]> = SmallVec::from_slice(&setting.field.need[*member]);
        if let Some(party) = setting.bonds.party_of(vm) {
            if parties.contains(&party) {
                continue;
            }
            parties.push(party);
            let others = members
                .iter()
                .filter(|other| *other != member && setting.bonds.party_of(setting.field.vms[**other]) == Some(party));
            for other in others {
                for (sum, need) in need.iter_mut().zip(&setting.field.need[*other]) {
                    *sum = sum.saturating_add(*need);
                }
            }
        }
        let tier = setting.units.tiers.get(bank.tier);
        let keeps_apart = |rule: ApartIx, side: u32, node: NodeSlot| {
            let of_rule = |other: &MemberIx| {
                let other = setting.field.vms[*other];
                mate(setting.cluster, setting.units, other, setting.bonds.side_in(other, rule)?)
            };
            setting.bonds.is_apart(setting.cluster, (rule, side), node, members.iter().filter_map(of_rule))
        };
        let takes = |node: &NodeSlot| {
            fits(&need, &setting.cluster.free_rows()[*node])
                && tier.is_some_and(|tier| tier.unit_of[*node] != unit)
                && setting.bonds.colours_allow(setting.cluster, vm, *node)
                && (!setting.field.limited[*member] || may_run_on(setting.cluster, vm, *node))
                && setting.bonds.of(vm).iter().all(|bond| match bond {
                    Bond::Apart(rule, side) => keeps_apart(*rule, *side, *node),
                    Bond::Colour(..) | Bond::AsOne(_) | Bond::Planned => true,
                })
        };
        if bank.nodes().iter().filter(|node| takes(node)).nth(most).is_none() {
            let targets = setting.cluster.room_index().iter().filter(takes).collect();
            found.push(Lacking { tier: bank.tier, vm, has_colour: setting.bonds.has_colour(vm), targets });
        }
    }
    found
}

/// What to do about them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Deal the same way again, with what is [`wanted`](Scarce::wanted).
    Again,
    /// The same, with other colours for those of [`Scarce::repaint`], and places of their own for those of [`Scarce::aside`].
    Anew,
    /// There is nothing to be done with this way to deal.
    GiveUp,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Scarce {
    /// What is wanted of a deal, rare targets first.
    pub(super) wanted: Vec<Wanted>,
    /// Members whose colours left them too few places, sorted.
    pub(super) repaint: Vec<VmSlot>,
    /// Those to be set aside.
    pub(super) aside: Vec<VmSlot>,
    /// How many deals there have been.
    deals: u32,
}

impl Scarce {
    /// So many deals are made before a member is set aside for which targets were wanted.
    const DEALS: u32 = 6;
    /// And so many at most.
    const MOST: u32 = 18;

    /// Of a new way to deal.
    pub(super) fn new() -> Self {
        Self { wanted: Vec::new(), repaint: Vec::new(), aside: Vec::new(), deals: 0 }
    }

    /// Takes in who had hardly a place in which of these banks. Nobody is set aside before there is no other way, since only a
    /// certificate without lists is kept up to date as things change.
    pub(super) fn take_in(&mut self, cluster: &Cluster, banks: &[Bank], lacking: Vec<Lacking>) -> Next {
        self.deals = self.deals.saturating_add(1);
        if lacking.is_empty() || self.deals > Self::MOST {
            return Next::GiveUp;
        }
        let mut next = Next::Again;
        let mut seen: Vec<(usize, VmSlot)> = Vec::new();
        for Lacking { tier, vm, has_colour, targets } in lacking {
            // It may be short of places in several banks.
            if seen.contains(&(tier, vm)) {
                continue;
            }
            seen.push((tier, vm));
            let count = banks.iter().filter(|bank| bank.tier == tier).count();
            let at = self.wanted.iter().position(|wanted| (wanted.tier, wanted.vm) == (tier, vm));
            let each = at.and_then(|at| self.wanted.get(at)).map_or(1, |wanted| wanted.each.saturating_add(1));
            let too_few = to_u32(targets.len()) < each.saturating_mul(to_u32(count));
            if let (true, Err(at)) = (too_few && has_colour, self.repaint.binary_search(&vm)) {
                self.repaint.insert(at, vm);
                next = Next::Anew;
            } else if too_few || self.deals > Self::DEALS {
                self.aside.push(vm);
                self.wanted.retain(|wanted| wanted.vm != vm);
                next = Next::Anew;
            } else if let Some(wanted) = at.and_then(|at| self.wanted.get_mut(at)) {
                (wanted.each, wanted.targets) = (each, targets);
            } else {
                self.wanted.push(Wanted { tier, vm, targets, each });
            }
        }
        // In an order that depends on names alone.
        let name = |vm: VmSlot| cluster.vm_record(vm).map(|record| (record.key, &*record.name));
        self.wanted.sort_by(|left, right| {
            let by_count = left.targets.len().cmp(&right.targets.len());
            by_count.then_with(|| name(left.vm).cmp(&name(right.vm))).then(left.tier.cmp(&right.tier))
        });
        next
    }
}
