//! VMs that are all alike, started on paper: what headroom asks.
//!
//! Uses `ledger::{class, claims, lists}`. Used by `capacity`.
//!
//! **The data's path.** A [`Paper`] holds beside a ledger, which stays as it is, what ghosts have taken and claimed.
//! [`room_for`](Paper::room_for) tells how many can start on a node: as many as go beside what is claimed there, and as
//! have a place in the plans of every bank: first within what the largest plan claims on a node anyhow, which takes room
//! from none, then all together on the first node of the bank's order that has room, then half of them, and so on, until
//! no node takes one. [`start`](Paper::start) starts them in the places that were found.
//!
//! **Cost.** A few divisions for every claimed node that is looked at, and a query of the bank's index for every node that
//! was not claimed; the number of copies hardly matters. On paper room only shrinks, so where a query finds nothing and
//! few nodes came into question, no other nodes are looked at for as many again.

use super::claims::Claims;
use super::class::{ClassLedger, NO_BANK};
use crate::cluster::{Cluster, Priority, RestartClass};
use crate::dense::{Rows, to_usize};
use crate::ids::{NodeSlot, VmSlot};
use crate::resources::Amounts;
use crate::restart::may_run_on;
use crate::room::RoomIndex;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// How many nodes are remembered as the only ones that have some room.
const MOST_FEW: usize = 16;

/// What is started. It is plain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ghost<'g> {
    pub(crate) demand: &'g [u64],
    pub(crate) need: &'g [u64],
    pub(crate) restart: RestartClass,
    pub(crate) priority: Priority,
    /// A VM whose labels, allowed nodes, `confine` and `exclude` rules limit ghosts, too.
    pub(crate) like: Option<VmSlot>,
}

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Paper<'l> {
    ledger: &'l ClassLedger,
    /// Bank by bank.
    sheets: Vec<Sheet>,
    /// At least what any one unit claims on each node.
    most: Rows<NodeSlot>,
    /// Where those last asked about have their places, bank by bank.
    places: Vec<Place>,
}

/// What ghosts have made of a bank.
#[derive(Debug)]
struct Sheet {
    /// What nodes have free.
    room: RoomIndex,
    /// What units claim for ghosts.
    claims: Claims,
    /// The nodes on which some unit claims something: those of the ledger in the bank's order, then others as they came.
    claimed: Vec<NodeSlot>,
    few: Few,
}

/// The only nodes, in the bank's order, that have room for so many together: what a query has found out.
#[derive(Clone, Debug)]
struct Few {
    together: u64,
    nodes: SmallVec<[NodeSlot; MOST_FEW]>,
}

/// Room for some of those that start together.
#[derive(Clone, Copy, Debug)]
struct Place {
    bank: usize,
    target: NodeSlot,
    count: u64,
}

impl<'l> Paper<'l> {
    pub(crate) fn new(ledger: &'l ClassLedger) -> Self {
        let is_claimed = |node: &NodeSlot| ledger.most[*node].iter().any(|most| *most > 0);
        let sheets = ledger.banks.iter().map(|bank| Sheet {
            room: bank.room.clone(),
            claims: bank.claims.none_of(),
            claimed: bank.room.iter().filter(is_claimed).collect(),
            few: Few { together: u64::MAX, nodes: SmallVec::new() },
        });
        Self { ledger, sheets: sheets.collect(), most: ledger.most.clone(), places: Vec::new() }
    }

    /// How many, of so many wanted, can start on a node with every plan kept. Once there is no room for one it stays so:
    /// claims only grow, and room only shrinks.
    pub(crate) fn room_for(&mut self, cluster: &Cluster, ghost: &Ghost<'_>, node: NodeSlot, wanted: u64) -> u64 {
        self.places.clear();
        if self.ledger.broken {
            return 0;
        }
        let beside = wanted.min(self.beside_claims(ghost, node));
        if !self.ledger.concerns(ghost.restart, ghost.priority) {
            return beside;
        }
        (0..self.ledger.banks.len()).fold(beside, |count, at| match cluster.kinds().len() {
            2 => self.find_places::<2>(cluster, ghost, node, at, count),
            4 => self.find_places::<4>(cluster, ghost, node, at, count),
            _ => self.find_places::<0>(cluster, ghost, node, at, count),
        })
    }

    /// Starts so many of those that there was room for when last asked, on that node.
    pub(crate) fn start(&mut self, ghost: &Ghost<'_>, node: NodeSlot, count: u64) {
        let bank = to_usize(self.ledger.bank_of.lookup(node).copied().unwrap_or(NO_BANK));
        if let Some(sheet) = self.sheets.get_mut(bank) {
            let taken = times(ghost.demand, count);
            let free = sheet.room.free_of(node).map(|free| free.iter().zip(&*taken));
            if let Some(free) = free {
                let free: Amounts = free.map(|(free, taken)| free.saturating_sub(*taken)).collect();
                sheet.room.set(node, &free);
            }
        }
        let mut open = (usize::MAX, 0);
        for Place { bank: at, target, count: most } in self.places.drain(..) {
            if open.0 != at {
                open = (at, count);
            }
            let here = most.min(open.1);
            open.1 = open.1.saturating_sub(here);
            let Some((bank, sheet)) = self.ledger.banks.get(at).zip(self.sheets.get_mut(at)).filter(|_| here > 0)
            else {
                continue;
            };
            let unit = self.ledger.unit(bank, node);
            let claimed = bank.claims.on(unit, target).unwrap_or(&[]);
            let more = sheet.claims.add(unit, target, &times(ghost.need, here));
            if self.most[target].iter().all(|most| *most == 0) {
                sheet.claimed.push(target);
            }
            for (kind, (most, more)) in self.most[target].iter_mut().zip(more).enumerate() {
                *most = (*most).max(claimed.get(kind).copied().unwrap_or(0).saturating_add(*more));
            }
        }
    }

    /// How many a node takes with what is claimed there left free; where nothing is, a class does not ask.
    fn beside_claims(&self, ghost: &Ghost<'_>, node: NodeSlot) -> u64 {
        let bank = to_usize(self.ledger.bank_of.lookup(node).copied().unwrap_or(NO_BANK));
        let Some(free) = self.sheets.get(bank).and_then(|sheet| sheet.room.free_of(node)) else { return u64::MAX };
        let kept = self.ledger.lists.kept_on(node);
        let is_asked = |kind: usize, most: u64| most > 0 || kept.get(kind).is_some_and(|kept| *kept > 0);
        let kinds = ghost.demand.iter().zip(free).zip(&self.most[node]).enumerate();
        let takes = kinds
            .filter(|(kind, (_, most))| is_asked(*kind, **most))
            .map(|(_, ((demand, free), most))| how_often(*demand, free.checked_sub(*most)));
        takes.min().unwrap_or(u64::MAX)
    }

    /// Finds places in a bank for so many, and says for how many there are. `WIDTH` as for [`Rows::row`].
    fn find_places<const WIDTH: usize>(
        &mut self,
        cluster: &Cluster,
        ghost: &Ghost<'_>,
        node: NodeSlot,
        at: usize,
        wanted: u64,
    ) -> u64 {
        let Self { ledger, most, places, .. } = self;
        let Some((bank, sheet)) = ledger.banks.get(at).zip(self.sheets.get_mut(at)) else { return 0 };
        let Sheet { room, claims, claimed, few } = sheet;
        let unit = ledger.unit(bank, node);
        let first = places.len();
        // Nothing else is between a plain VM and a node.
        let suits = |target: NodeSlot| ledger.unit(bank, target) != unit && ghost.suits(cluster, ledger, target);
        let takes = |places: &[Place], target: NodeSlot, room: &[u64]| {
            let here = places.get(first..).unwrap_or(&[]).iter().filter(|place| place.target == target);
            let own = [bank.claims.on(unit, target).unwrap_or(&[]), claims.on(unit, target).unwrap_or(&[])];
            room_beside(ghost.need, room, own).saturating_sub(here.map(|place| place.count).sum())
        };
        let own = || bank.claims.of(unit).iter().chain(claims.of(unit)).map(|claim| claim.target);
        let mut left = wanted;
        // Its own are looked at once.
        let others = claimed.iter().copied().filter(|target| own().all(|own| own != *target));
        for target in own().chain(others) {
            if left == 0 {
                break;
            }
            let count = takes(places, target, &most[target]).min(left);
            if count > 0 && suits(target) {
                left = left.saturating_sub(count);
                places.push(Place { bank: at, target, count });
            }
        }
        let mut together = left;
        while together > 0 {
            let accept = |target: NodeSlot, free: &[u64]| takes(places, target, free) >= together && suits(target);
            let known = |target: &NodeSlot| room.free_of(*target).is_some_and(|free| accept(*target, free));
            let found = own().find(known).or_else(|| {
                if together >= few.together {
                    return few.nodes.iter().copied().find(known);
                }
                let mut seen = Few { together, nodes: SmallVec::new() };
                let mut count = 0_usize;
                let found = room.walk_from(0).search::<WIDTH>(&times(ghost.need, together), |target, free| {
                    count = count.saturating_add(1);
                    if count <= MOST_FEW {
                        seen.nodes.push(target);
                    }
                    accept(target, free)
                });
                if found.is_none() && count <= MOST_FEW {
                    *few = seen;
                }
                found
            });
            let Some(target) = found else {
                together /= 2;
                continue;
            };
            let count = room.free_of(target).map_or(0, |free| takes(places, target, free)).min(left);
            left = left.saturating_sub(count);
            together = together.min(left);
            places.push(Place { bank: at, target, count });
        }
        wanted.saturating_sub(left)
    }
}

impl Ghost<'_> {
    /// Whether what they are like leaves them a node.
    fn suits(&self, cluster: &Cluster, ledger: &ClassLedger, node: NodeSlot) -> bool {
        ledger.lists.allow(node, self.demand, self.need)
            && self
                .like
                .is_none_or(|like| may_run_on(cluster, like, node) && ledger.bonds.colours_allow(cluster, like, node))
    }
}

fn times(row: &[u64], count: u64) -> Amounts {
    row.iter().map(|amount| amount.saturating_mul(count)).collect()
}

/// How often an amount goes into what is left; not at all if less than nothing is.
fn how_often(amount: u64, left: Option<u64>) -> u64 {
    match left {
        // Where room is short, that is most of the nodes, and a division takes longer.
        Some(left) if left < amount => 0,
        Some(left) => left.checked_div(amount).unwrap_or(u64::MAX),
        None => 0,
    }
}

/// How often `need` goes into some room beside what is claimed.
fn room_beside(need: &[u64], room: &[u64], claimed: [&[u64]; 2]) -> u64 {
    let kinds = need.iter().zip(room).enumerate().map(|(kind, (need, room))| {
        let claimed = claimed.iter().filter_map(|row| row.get(kind));
        how_often(*need, room.checked_sub(claimed.fold(0, |sum, amount| sum.saturating_add(*amount))))
    });
    kinds.min().unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::as_conversions, clippy::arithmetic_side_effects, clippy::pedantic, reason = "tests")]
mod tests {
    use super::*;
    use crate::cluster::{Node, Vm};
    use crate::dice::Dice;
    use crate::guarantee::verify;
    use crate::policy::{FailureClass, Policy};
    use crate::resources::ResourceKinds;
    use alloc::format;

    /// How many can start on a node: every node that is not of its unit takes what its room says.
    fn slow(paper: &Paper<'_>, ghost: &Ghost<'_>, node: NodeSlot, wanted: u64) -> u64 {
        let fits = |demand: &[u64], count: u64, claimed: &dyn Fn(usize) -> u64, free: &[u64]| {
            demand.iter().zip(free).enumerate().all(|(kind, (demand, free))| claimed(kind) + demand * count <= *free)
        };
        let most = |fits: &dyn Fn(u64) -> bool| (0..=wanted).rev().find(|count| fits(*count)).unwrap_or(0);
        let own = paper.sheets.iter().find_map(|sheet| sheet.room.free_of(node));
        let claimed = |kind: usize| paper.most[node][kind];
        let beside = own.map_or(wanted, |free| most(&|count| fits(ghost.demand, count, &claimed, free)));
        let banks = paper.ledger.banks.iter().zip(&paper.sheets).map(|(bank, sheet)| {
            let unit = paper.ledger.unit(bank, node);
            let others = sheet.room.iter().filter(|target| paper.ledger.unit(bank, *target) != unit);
            others
                .map(|target| {
                    let of = |claims: &Claims, kind: usize| claims.on(unit, target).map_or(0, |row| row[kind]);
                    let claimed = |kind: usize| of(&bank.claims, kind) + of(&sheet.claims, kind);
                    most(&|count| fits(ghost.need, count, &claimed, sheet.room.free_of(target).unwrap()))
                })
                .sum::<u64>()
        });
        banks.fold(beside, u64::min)
    }

    /// Every count against a look at every node, with every plan within its room all the while.
    #[test]
    fn finds_all_the_room_there_is() {
        let mut dice = Dice(1);
        let mut random = |below: u64| dice.below(below);
        let (mut ledgers, mut started) = (0, 0);
        for seed in 0..60 {
            let kinds = ResourceKinds::new([("cpu", ""), ("memory", "")]).unwrap();
            let mut cluster = Cluster::new(kinds, ["rack"]).unwrap();
            for at in 0..12 + random(30) {
                let capacity = [40 + random(60), 40 + random(60)];
                let mut node = Node::named(format!("n{at}")).capacity(capacity).domain("rack", format!("r{}", at % 7));
                if seed % 4 == 3 {
                    // Ghosts may run above what restarts have room for.
                    node = node.failover_overcommit(0, 60 + random(60) as u32);
                }
                let node = cluster.add_node(node).unwrap();
                for vm in 0..random(6) {
                    let demand = [1 + random(8), 1 + random(8)];
                    let _ = cluster.add_vm(Vm::named(format!("v{at} {vm}")).demand(demand).on(node)).unwrap();
                }
            }
            let mut policy = Policy::default();
            let level = if seed % 3 == 0 { "rack" } else { "node" };
            policy.tolerate = alloc::vec![FailureClass::units(level, 1 + (seed % 2) as u32)];
            let verdict = verify(&cluster, &policy).unwrap();
            let Some(certificate) = verdict.certificates().next() else { continue };
            let Some(ledger) = ClassLedger::new(&cluster, &policy, certificate) else { continue };
            ledgers += 1;
            let (demand, need) = ([1 + random(4), random(5)], [random(4), 1 + random(4)]);
            let ghost = Ghost {
                demand: &demand,
                need: &need,
                restart: RestartClass::Protected,
                priority: Priority::default(),
                like: None,
            };
            let mut paper = Paper::new(&ledger);
            for _ in 0..200 {
                let node = NodeSlot(random(cluster.node_slots() as u64) as u32);
                let wanted = 1 + random(12);
                // A kind of which nothing is claimed there does not count.
                let expected = slow(&paper, &ghost, node, wanted);
                let none_claimed = paper.most[node].contains(&0);
                let found = paper.room_for(&cluster, &ghost, node, wanted);
                assert!(found == expected || (none_claimed && found > expected), "seed {seed}: {found}, {expected}");
                let count = found.min(expected).min(1 + random(12));
                paper.start(&ghost, node, count);
                started += count;
            }
            for (bank, sheet) in ledger.banks.iter().zip(&paper.sheets) {
                for unit in bank.claims.units() {
                    for target in sheet.room.iter() {
                        let of = |claims: &Claims| claims.on(unit, target).map_or([0, 0], |row| [row[0], row[1]]);
                        let (base, more) = (of(&bank.claims), of(&sheet.claims));
                        let free = sheet.room.free_of(target).unwrap();
                        for kind in 0..2 {
                            assert!(base[kind] + more[kind] <= paper.most[target][kind], "seed {seed}");
                            assert!(paper.most[target][kind] <= free[kind], "seed {seed}");
                        }
                    }
                }
            }
        }
        assert!(ledgers > 20 && started > 1_000, "{ledgers} ledgers, {started} started");
    }
}
