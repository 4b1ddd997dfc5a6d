//! Which domains a member of a rule keeps to: the colours of `bonds`, and the members that get them.
//!
//! Uses `cluster` (levels, room), `restart` (where a VM may run). Used by `bonds`, which says what colours are for.
//!
//! Every home has a colour, and the other domains have them in turn, from an offset on that differs from rule to rule. For
//! `separate`, members share a colour where they meet already, if all of them may be in one domain. Where a rule is broken, or
//! a VM that moves ties more members together than one domain may hold, the domains where they are get none: nothing comes
//! there, so that the rule says nothing of them. Those members keep to new colours, which no home has.

use crate::cluster::Cluster;
use crate::dense::{IdVec, dense_id, fits, to_u32, to_usize};
use crate::ids::{DomainKey, LevelIx, NodeSlot, VmSlot};
use crate::restart::may_run_on;
use alloc::vec::Vec;
use core::cmp::Reverse;
use smallvec::SmallVec;

dense_id! {
    /// A rule's painting of domains.
    pub(crate) struct PaintingIx;
}

/// A rule's running members.
pub(super) struct Members {
    pub(super) all: SmallVec<[Member; 6]>,
}

#[derive(Clone)]
pub(super) struct Member {
    pub(super) vm: VmSlot,
    pub(super) promised: bool,
    pub(super) side: u32,
    pub(super) home: NodeSlot,
    /// Where it migrates to.
    pub(super) going: Option<NodeSlot>,
    /// The first part of the hash of its name.
    pub(super) key: u32,
}

impl Members {
    /// The domain that all members are in, and move within.
    pub(super) fn one_domain(&self, cluster: &Cluster, level: LevelIx) -> Option<DomainKey> {
        let mut nodes = self.all.iter().flat_map(|member| core::iter::once(member.home).chain(member.going));
        let first = cluster.levels.domain(level, nodes.next()?);
        nodes.all(|node| cluster.levels.domain(level, node) == first).then_some(first)
    }

    pub(super) fn on_one_node(&self) -> bool {
        let first = self.all.first().map(|member| member.home);
        self.all.iter().all(|member| Some(member.home) == first && member.going.is_none())
    }

    pub(super) fn promised(&self) -> impl Iterator<Item = &Member> {
        self.all.iter().filter(|member| member.promised)
    }
}

/// The painting of a rule in the making.
pub(super) struct Paint {
    level: LevelIx,
    /// With which colour the domains begin that are nobody's home.
    offset: u32,
    /// The domains of the members' homes and their colours, sorted at first.
    domains: Vec<(DomainKey, u32)>,
    /// How many colours there are.
    colours: u32,
    /// The colour of each member.
    members: SmallVec<[u32; 6]>,
}

/// The colour of domains that are barred.
const BARRED: u32 = u32::MAX;

impl Paint {
    /// A colour for each home, in the order of the members. `key`: of the rule.
    pub(super) fn new(cluster: &Cluster, key: u64, members: &Members, level: LevelIx) -> Self {
        let offset = u32::try_from(key & 0xFFFF).unwrap_or(0);
        let mut paint = Self { level, offset, domains: Vec::new(), colours: 0, members: SmallVec::new() };
        for member in &members.all {
            let colour = paint.colour_of(cluster.levels.domain(level, member.home));
            paint.members.push(colour);
        }
        paint
    }

    /// The colour of a domain; of a new one, the next.
    fn colour_of(&mut self, domain: DomainKey) -> u32 {
        match self.domains.binary_search_by_key(&domain, |(home, _)| *home) {
            Ok(at) => self.domains.get(at).map_or(BARRED, |(_, colour)| *colour),
            Err(at) => {
                self.domains.insert(at, (domain, self.colours));
                self.colours = self.colours.saturating_add(1);
                self.colours.saturating_sub(1)
            }
        }
    }

    /// Colours for `separate`: members that meet in a domain, now or while one of them moves, share one, as they may if all
    /// of them may be in one domain. Otherwise their domains are barred, and the members get new colours, each as many as
    /// it may. Returns whether there are barred domains.
    pub(super) fn keep_apart(&mut self, cluster: &Cluster, members: &Members, limit: Option<u32>) -> bool {
        for (at, member) in members.all.iter().enumerate() {
            let Some(going) = member.going else { continue };
            let there = self.colour_of(cluster.levels.domain(self.level, going));
            let here = self.members.get(at).copied().unwrap_or(there);
            let all = self.domains.iter_mut().map(|(_, colour)| colour).chain(&mut self.members);
            all.filter(|colour| **colour == there).for_each(|colour| *colour = here);
        }
        let mut groups: SmallVec<[Group; 6]> = smallvec::smallvec![Group::default(); to_usize(self.colours)];
        for (member, colour) in members.all.iter().zip(&self.members) {
            let Some(group) = groups.get_mut(to_usize(*colour)) else { continue };
            if group.count == 0 {
                group.side = member.side;
            }
            group.mixed |= group.side != member.side;
            group.count = group.count.saturating_add(1);
        }
        for group in &mut groups {
            group.crowded = limit.map_or(group.mixed, |limit| group.count > limit);
        }
        self.colours = 0;
        for (member, colour) in members.all.iter().zip(&mut self.members) {
            let Some(group) = groups.get_mut(to_usize(*colour)) else { continue };
            group.colour = match limit {
                // Each side has its own.
                None => member.side,
                Some(limit) if group.done == 0 || group.crowded && group.done.checked_rem(limit) == Some(0) => {
                    self.colours
                }
                Some(_) => group.colour,
            };
            group.done = group.done.saturating_add(1);
            self.colours = self.colours.max(group.colour.saturating_add(1));
            *colour = group.colour;
        }
        for (_, colour) in &mut self.domains {
            let group = groups.get(to_usize(*colour)).filter(|group| !group.crowded);
            *colour = group.map_or(BARRED, |group| group.colour);
        }
        groups.iter().any(|group| group.crowded)
    }

    /// Paints all other domains, in turn from the offset on, those colours first that have no domain.
    pub(super) fn others(&mut self, all: &[DomainKey]) {
        let mut with_domain: Vec<u32> = self.domains.iter().map(|(_, colour)| *colour).collect();
        with_domain.sort_unstable();
        let mut colours: Vec<u32> = (0..self.colours).collect();
        colours.sort_by_key(|colour| with_domain.binary_search(colour).is_ok());
        let first = to_usize(self.offset).checked_rem(all.len()).unwrap_or(0);
        let (before, behind) = all.split_at(first);
        let is_home = |domain: &DomainKey| self.domains.binary_search_by_key(domain, |(home, _)| *home).is_ok();
        let others = behind.iter().chain(before).copied().filter(|domain| !is_home(domain));
        let others: Vec<(DomainKey, u32)> = others.zip(colours.into_iter().cycle()).collect();
        self.domains.extend(others);
        self.bar_others();
    }

    /// Paints all other domains for members that are short of places: the colour with fewest targets that take its members gets
    /// the domain with most of them, until nothing is gained.
    pub(super) fn share_out(&mut self, cluster: &Cluster, members: &Members, all: &[DomainKey]) {
        let takes = |colour: u32, domain: DomainKey| {
            let of_colour = || members.all.iter().zip(&self.members).filter(|(_, own)| **own == colour);
            let nodes = cluster.levels.nodes(self.level, domain).iter().copied();
            let targets = nodes.filter(|node| cluster.room_index().contains(*node));
            let room = |node: NodeSlot| &cluster.free_rows()[node];
            let all_fit = |node: &NodeSlot| {
                of_colour().all(|(member, _)| {
                    fits(&cluster.restart_rows()[member.vm], room(*node)) && may_run_on(cluster, member.vm, *node)
                })
            };
            to_u32(targets.filter(all_fit).count())
        };
        let is_home = |domain: &DomainKey| self.domains.binary_search_by_key(domain, |(home, _)| *home).is_ok();
        let mut supply: Vec<u32> = (0..self.colours)
            .map(|colour| {
                let own = self.domains.iter().filter(|(_, known)| *known == colour);
                own.map(|(domain, _)| takes(colour, *domain)).fold(0, u32::saturating_add)
            })
            .collect();
        let mut left: Vec<(DomainKey, Vec<u32>)> = all
            .iter()
            .filter(|domain| !is_home(domain))
            .map(|domain| (*domain, (0..self.colours).map(|colour| takes(colour, *domain)).collect()))
            .collect();
        let mut painted = Vec::new();
        while let Some((colour, has)) = supply.iter_mut().enumerate().min_by_key(|(_, has)| **has) {
            let count = |(_, counts): &(DomainKey, Vec<u32>)| counts.get(colour).copied().unwrap_or(0);
            let others = |(_, counts): &(DomainKey, Vec<u32>)| counts.iter().copied().fold(0, u32::saturating_add);
            let best =
                |entry: &(usize, &(DomainKey, Vec<u32>))| (count(entry.1), Reverse(others(entry.1)), Reverse(entry.0));
            let Some((at, gain)) = left.iter().enumerate().max_by_key(best).map(|(at, entry)| (at, count(entry)))
            else {
                break;
            };
            let (domain, _) = left.remove(at);
            painted.push((domain, to_u32(colour)));
            // Nobody else gains by a colour without targets anywhere.
            *has = if gain == 0 { u32::MAX } else { has.saturating_add(gain) };
        }
        self.domains.extend(painted);
        self.bar_others();
    }

    /// No domains but those that have a colour.
    pub(super) const fn bar_others(&mut self) {
        self.colours = 0;
    }

    /// Only so many colours, in turn; `false` if there are fewer.
    pub(super) fn use_no_more_than(&mut self, most: u32) -> bool {
        if self.colours < most {
            return false;
        }
        let colours = self.domains.iter_mut().map(|(_, colour)| colour).chain(&mut self.members);
        colours.for_each(|colour| *colour = colour.checked_rem(most).unwrap_or(0));
        self.colours = most;
        true
    }

    /// The painting, and the colour of each member.
    pub(super) fn finish(self) -> (Painting, SmallVec<[u32; 6]>) {
        let Self { level, offset, mut domains, colours, members } = self;
        domains.sort_unstable();
        (Painting { level, domains, colours, offset }, members)
    }
}

/// Members that share a colour.
#[derive(Clone, Copy, Default)]
struct Group {
    count: u32,
    /// How many of them have their colours.
    done: u32,
    /// The side of the first, and whether others are of another.
    side: u32,
    mixed: bool,
    /// Whether they may not be in one domain.
    crowded: bool,
    /// The colour that they get, or the last of them.
    colour: u32,
}

/// Which colour the domains of a level have for a rule.
#[derive(Clone, Debug)]
pub(super) struct Painting {
    level: LevelIx,
    /// The members' homes, and others whose colour is not their turn's, with their colours; sorted.
    domains: Vec<(DomainKey, u32)>,
    /// How many colours the other domains have, in turn; with none they are barred.
    colours: u32,
    /// With which colour they begin.
    offset: u32,
}

/// The paintings of all rules.
#[derive(Clone, Debug)]
pub(super) struct Paintings {
    all: IdVec<PaintingIx, Painting>,
    /// Per level with paintings the rank of the domain of every node, and how many domains there are.
    ranks: Vec<(LevelIx, IdVec<NodeSlot, u32>, u32)>,
}

impl Paintings {
    pub(super) fn new(cluster: &Cluster, all: IdVec<PaintingIx, Painting>) -> Self {
        let mut levels: Vec<LevelIx> = all.iter().map(|painting| painting.level).collect();
        levels.sort_unstable();
        levels.dedup();
        let ranked = |level| {
            let (ranks, domains) = ranks(cluster, level);
            (level, ranks, domains)
        };
        Self { ranks: levels.into_iter().map(ranked).collect(), all }
    }

    /// The levels with painted domains, and how many domains with targets each has.
    pub(super) fn levels(&self) -> impl Iterator<Item = (LevelIx, u32)> + '_ {
        self.ranks.iter().map(|(level, _, domains)| (*level, *domains))
    }

    /// The colour of a node's domain; `None`: it has none. [`BARRED`] is no member's.
    pub(super) fn colour_of(&self, cluster: &Cluster, painting: PaintingIx, node: NodeSlot) -> Option<u32> {
        let painting = &self.all[painting];
        let domain = cluster.levels.domain(painting.level, node);
        if let Ok(at) = painting.domains.binary_search_by_key(&domain, |(known, _)| *known) {
            return painting.domains.get(at).map(|(_, colour)| *colour);
        }
        let (_, ranks, _) = self.ranks.iter().find(|(level, ..)| *level == painting.level)?;
        ranks[node].wrapping_add(painting.offset).checked_rem(painting.colours)
    }
}

/// The rank of every target's domain at a level, in the order in which the room index, one of names, comes to them; and how
/// many domains there are.
fn ranks(cluster: &Cluster, level: LevelIx) -> (IdVec<NodeSlot, u32>, u32) {
    let mut ranks = IdVec::filled(0, cluster.node_slots());
    let ranked = cluster.levels.ranked(level, cluster.room_index().iter());
    for (rank, node) in ranked.nodes {
        ranks[node] = rank;
    }
    (ranks, to_u32(ranked.domains.len()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::cluster::{Node, Vm};
    use crate::dice::Dice;
    use crate::resources::ResourceKinds;
    use alloc::format;
    use std::collections::BTreeMap;

    /// A painting keeps a `separate` rule whoever comes to whichever domain of their colour: what is said of colours, domain by
    /// domain, for members that meet where they are or move.
    #[test]
    fn a_domain_that_may_receive_members_can_hold_all_that_may_come() {
        let mut dice = Dice(1);
        let (mut barred, mut moved) = (0, 0);
        for _ in 0..3_000 {
            let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), ["rack"]).unwrap();
            let racks = 2 + dice.below(6);
            let nodes: Vec<_> = (0..racks * 2)
                .map(|at| {
                    let node = Node::named(format!("n{at}")).domain("rack", format!("r{}", at % racks));
                    cluster.add_node(node.capacity([9])).unwrap()
                })
                .collect();
            let any = |dice: &mut Dice| nodes[usize::try_from(dice.below(racks * 2)).unwrap()].slot;
            let sides = dice.below(3) + 1;
            let all = (0..2 + dice.below(6)).map(|at| {
                let id = cluster.add_vm(Vm::named(format!("v{at}")).demand([1])).unwrap();
                let going = dice.chance(4).then(|| any(&mut dice));
                let side = u32::try_from(dice.below(sides)).unwrap();
                Member { vm: id.slot, promised: true, side, home: any(&mut dice), going, key: 0 }
            });
            let members = Members { all: all.collect() };
            let limit = (sides == 1).then(|| 1 + u32::try_from(dice.below(3)).unwrap());
            let level = cluster.levels.find("rack").unwrap();
            let mut paint = Paint::new(&cluster, 3, &members, level);
            let crowded = paint.keep_apart(&cluster, &members, limit);
            if crowded {
                let mut domains = Vec::new();
                cluster.levels.each_among(level, cluster.room_index().iter(), |domain, _| domains.push(domain));
                paint.others(&domains);
            }
            let (painting, colours) = paint.finish();
            let index = PaintingIx(0);
            let paintings = Paintings::new(&cluster, IdVec::from_vec(alloc::vec![painting]));
            let mut receive: BTreeMap<DomainKey, Option<u32>> = BTreeMap::new();
            for node in &nodes {
                let colour = paintings.colour_of(&cluster, index, node.slot);
                let domain = cluster.levels.domain(level, node.slot);
                assert_eq!(*receive.entry(domain).or_insert(colour), colour, "a domain has one colour");
            }
            for (domain, colour) in &receive {
                let comes = |other: &u32| Some(*other) == *colour;
                if !colours.iter().any(comes) {
                    continue;
                }
                let is_here = |node: NodeSlot| cluster.levels.domain(level, node) == *domain;
                let may_be_here: Vec<&Member> = members
                    .all
                    .iter()
                    .zip(&colours)
                    .filter(|(member, colour)| {
                        comes(colour) || is_here(member.home) || member.going.is_some_and(is_here)
                    })
                    .map(|(member, _)| member)
                    .collect();
                match limit {
                    Some(limit) => assert!(may_be_here.len() <= usize::try_from(limit).unwrap()),
                    None => assert!(may_be_here.iter().all(|member| member.side == may_be_here[0].side)),
                }
            }
            barred += u32::from(crowded);
            moved += u32::from(!crowded && members.all.iter().any(|member| member.going.is_some()));
        }
        assert!(barred > 500 && moved > 200, "{barred} {moved}");
    }
}
