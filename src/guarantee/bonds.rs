//! What stands for the rules in a proof by banks: conditions on each VM by itself, which together imply the rules.
//!
//! Uses `cluster` (rules), `guarantee::{paintings, units}`, `restart` (whom a verdict concerns). Used by `deal`, `banks`, `listed`
//! and `fit`, which keep plans to them, and by the ledger of `admission`, which changes plans.
//!
//! A proof by banks makes plans unit by unit; any of them may come to stand beside any other. A rule whose members are on
//! several units, or come to be on several nodes, is therefore not looked at in a plan alone. Each rule is turned into
//! one of four *bonds* of its members (a member: powered on and running; *promised*, if the verdict concerns it):
//!
//! - **Colour.** The domains of the rule's level are painted, and every member keeps to domains of its own colour, its home
//!   being one. `separate` gives every home its own colour (with sides: every side): domains of two members never meet.
//!   `spread` on at least m domains uses m colours, all of them taken by some member: there is always a domain of each.
//!   `together` paints the home of the group and nothing else. Whatever combination of plans is in force, the rule holds.
//!   Where `separate` is broken already the domains concerned are barred (`paintings`).
//! - **Apart.** For `separate` where no domain of the level meets two banks: plans of different units never share a domain,
//!   so it is enough that every plan alone keeps the rule, against those that stay and within itself.
//! - **As one.** The VMs of a group that runs on one node (`together`, a leader with its followers) have one target in every
//!   plan: they fail together and are placed together, always.
//! - **Planned.** The plan alone must keep the rule, and the planner sees to it: of one loss, or where the units of every
//!   tier take whole domains of a `together` rule's level, so that the group, in one domain, fails and moves as a whole.
//!
//! What fits none of them rules banks out ([`Bonds::new`] says `None`), but for a single loss, where every plan stands
//! alone. Colours ask for more than the rule does: where they leave no room, there may still be a proof by other means.

use super::deal::DOMAIN_SHARE;
use super::paintings::{Member, Members, Paint, Painting, PaintingIx, Paintings};
use super::units::{NO_UNIT, Tier, Units};
use crate::cluster::{Cluster, NO_HOME, RuleBody, RuleRecord, Strength, VmFacts};
use crate::dense::{DenseId, IdVec, dense_id, to_u32, to_usize};
use crate::ids::{DomainKey, LevelIx, NodeSlot, VmSlot};
use crate::restart::Concern;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use smallvec::SmallVec;

dense_id! {
    /// A `separate` rule.
    pub(crate) struct ApartIx;
    /// VMs that move as one.
    pub(crate) struct PartyIx;
}

/// What is asked of where a VM may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bond {
    /// Only domains of this colour.
    Colour(PaintingIx, u32),
    /// Not in a domain with too many members of the rule, or with members of another side; this is its own.
    Apart(ApartIx, u32),
    /// On the node where the others of the party are.
    AsOne(PartyIx),
    /// As the planner finds.
    Planned,
}

#[derive(Clone, Debug)]
struct Apart {
    level: LevelIx,
    /// `None`: members of other sides may not be there at all.
    limit: Option<u32>,
    /// Where what is known of the domains of its members begins and ends.
    there: (u32, u32),
}

/// A member of a `separate` rule that a unit displaces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mate {
    pub(crate) side: u32,
    pub(crate) home: NodeSlot,
    /// Where it migrates to: it counts there, too, until it is displaced.
    pub(crate) going: Option<NodeSlot>,
    /// Where it goes, if that is decided.
    pub(crate) target: Option<NodeSlot>,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Bonds {
    /// Where the bonds of each VM begin and end.
    spans: IdVec<VmSlot, (u32, u32)>,
    all: Vec<Bond>,
    paintings: Paintings,
    aparts: IdVec<ApartIx, Apart>,
    there: Vec<There>,
}

/// How many members of a side of a `separate` rule are in a domain.
#[derive(Clone, Copy, Debug)]
struct There {
    domain: DomainKey,
    side: u32,
    count: u32,
}

/// A rule that no bond stands for.
struct Unbound;

/// What is read of members waits for memory: for those of so many rules at once, if nothing else is done between.
const RULES_AT_ONCE: usize = 64;

struct Maker<'m> {
    cluster: &'m Cluster,
    units: &'m Units,
    concern: &'m Concern,
    respected: &'m dyn Fn(LevelIx) -> bool,
    /// Members that are short of places, sorted.
    scarce: &'m [VmSlot],
    made: Vec<(VmSlot, Bond)>,
    paintings: IdVec<PaintingIx, Painting>,
    aparts: IdVec<ApartIx, Apart>,
    there: Vec<There>,
    parties: Vec<Vec<VmSlot>>,
    party_of: BTreeMap<VmSlot, usize>,
    /// Per level whether units take its domains whole, where that has been asked.
    whole: Vec<(LevelIx, bool)>,
    /// The domains of levels in which a rule is broken.
    domains: Vec<(LevelIx, Vec<DomainKey>)>,
}

impl Bonds {
    /// The bonds for a class's units. `respected` tells of which levels no domain meets two banks. The rules of `scarce` members,
    /// sorted, are painted so that they have places, which takes longer. `None`: a rule needs a bond that there is not,
    /// or bonds are `unwanted` by now.
    pub(crate) fn new(
        cluster: &Cluster,
        units: &Units,
        concern: &Concern,
        respected: &dyn Fn(LevelIx) -> bool,
        scarce: &[VmSlot],
        unwanted: &AtomicBool,
    ) -> Option<Self> {
        let mut maker = Maker {
            cluster,
            units,
            concern,
            respected,
            scarce,
            made: Vec::new(),
            paintings: IdVec::new(),
            aparts: IdVec::new(),
            there: Vec::new(),
            parties: Vec::new(),
            party_of: BTreeMap::new(),
            whole: Vec::new(),
            domains: Vec::new(),
        };
        let binds =
            |rule: &&RuleRecord| rule.strength == Strength::Required && !matches!(rule.body, RuleBody::Place { .. });
        let rules: Vec<&RuleRecord> = cluster.rule_records().filter(binds).collect();
        let mut listed: Vec<(VmSlot, VmFacts, u32)> = Vec::new();
        let mut ends: Vec<usize> = Vec::new();
        for rules in rules.chunks(RULES_AT_ONCE) {
            if unwanted.load(Ordering::Relaxed) {
                return None;
            }
            listed.clear();
            ends.clear();
            for rule in rules {
                list_members(cluster, rule, &mut listed);
                ends.push(listed.len());
            }
            let mut first = 0;
            for (rule, end) in rules.iter().zip(&ends) {
                let members = maker.members(listed.get(first..*end).unwrap_or_default());
                first = *end;
                if members.promised().next().is_some() && maker.bind(rule, &members).is_err() {
                    if units.losses() > 1 {
                        return None;
                    }
                    maker.made.extend(members.promised().map(|member| (member.vm, Bond::Planned)));
                }
            }
        }
        let needs = maker.needs_one_left_out();
        if !needs.is_empty() && units.losses() > 1 {
            return None;
        }
        maker.made.extend(needs.into_iter().map(|vm| (vm, Bond::Planned)));
        Some(maker.finish())
    }

    /// Whether no VM has a bond.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether any of them rests on which nodes can fail together: colours, and what the plan as a whole must keep.
    pub(crate) fn rest_on_units(&self) -> bool {
        self.have_colours() || self.all.contains(&Bond::Planned)
    }

    /// Whether domains have colours.
    pub(crate) fn have_colours(&self) -> bool {
        self.paintings.levels().next().is_some()
    }

    /// The bonds of a VM.
    #[inline]
    pub(crate) fn of(&self, vm: VmSlot) -> &[Bond] {
        let (start, end) = self.spans.lookup(vm).copied().unwrap_or_default();
        self.all.get(to_usize(start)..to_usize(end)).unwrap_or_default()
    }

    /// The levels, `node` aside, of which no domain may meet two banks.
    pub(crate) fn levels(&self, cluster: &Cluster) -> Vec<LevelIx> {
        let mut levels: Vec<LevelIx> = self.aparts.iter().map(|apart| apart.level).collect();
        levels.sort_unstable();
        levels.dedup();
        levels.retain(|level| *level != cluster.levels.node_level());
        levels
    }

    /// The levels with painted domains, and how many domains with targets each has.
    pub(crate) fn painted(&self) -> impl Iterator<Item = (LevelIx, u32)> + '_ {
        self.paintings.levels()
    }

    /// Whether two VMs that move as one have different targets.
    pub(super) fn splits(&self, targets: impl Iterator<Item = (VmSlot, NodeSlot)>) -> bool {
        let mut seen: BTreeMap<PartyIx, NodeSlot> = BTreeMap::new();
        let mut parties = targets.flat_map(|(vm, target)| {
            self.of(vm).iter().filter_map(move |bond| match bond {
                Bond::AsOne(party) => Some((*party, target)),
                _ => None,
            })
        });
        parties.any(|(party, target)| *seen.entry(party).or_insert(target) != target)
    }

    /// Those that a VM moves as one with.
    pub(super) fn party_of(&self, vm: VmSlot) -> Option<PartyIx> {
        self.of(vm).iter().find_map(|bond| if let Bond::AsOne(party) = bond { Some(*party) } else { None })
    }

    /// On which side of a `separate` rule a VM is that is kept apart by it.
    pub(super) fn side_in(&self, vm: VmSlot, rule: ApartIx) -> Option<u32> {
        self.of(vm).iter().find_map(|bond| match bond {
            Bond::Apart(known, side) if *known == rule => Some(*side),
            _ => None,
        })
    }

    /// Whether a VM has a colour to keep to.
    pub(crate) fn has_colour(&self, vm: VmSlot) -> bool {
        self.of(vm).iter().any(|bond| matches!(bond, Bond::Colour(..)))
    }

    /// Whether a node has the colours that a VM keeps to.
    #[inline]
    pub(crate) fn colours_allow(&self, cluster: &Cluster, vm: VmSlot, node: NodeSlot) -> bool {
        self.of(vm).iter().all(|bond| self.colour_allows(cluster, bond, node))
    }

    /// Whether a node has the colour, if the bond is one.
    #[inline]
    pub(super) fn colour_allows(&self, cluster: &Cluster, bond: &Bond, node: NodeSlot) -> bool {
        let Bond::Colour(painting, colour) = bond else { return true };
        self.paintings.colour_of(cluster, *painting, node) == Some(*colour)
    }

    /// The promised members of each `separate` rule that is kept apart.
    pub(super) fn apart_members(&self) -> IdVec<ApartIx, Vec<VmSlot>> {
        let mut members = IdVec::filled(Vec::new(), self.aparts.len());
        for (vm, (start, end)) in self.spans.enumerate() {
            for bond in self.all.get(to_usize(*start)..to_usize(*end)).unwrap_or_default() {
                if let Bond::Apart(rule, _) = bond {
                    members[*rule].push(vm);
                }
            }
        }
        members
    }

    /// The domain of a node that a `separate` rule looks at.
    pub(super) fn domain_for(&self, cluster: &Cluster, rule: ApartIx, node: NodeSlot) -> DomainKey {
        cluster.levels.domain(self.aparts[rule].level, node)
    }

    /// Whether a member of a `separate` rule, promised or not, is in a node's domain or on its way there.
    pub(super) fn is_there(&self, cluster: &Cluster, rule: ApartIx, node: NodeSlot) -> bool {
        let (start, end) = self.aparts[rule].there;
        let there = self.there.get(to_usize(start)..to_usize(end)).unwrap_or_default();
        there.iter().any(|there| there.domain == self.domain_for(cluster, rule, node))
    }

    /// Whether a member of a `separate` rule can come to a node, beside those that stay and these, of its own unit.
    #[inline]
    pub(crate) fn is_apart(
        &self,
        cluster: &Cluster,
        (apart, side): (ApartIx, u32),
        node: NodeSlot,
        mates: impl Iterator<Item = Mate>,
    ) -> bool {
        let apart = &self.aparts[apart];
        let domain = cluster.levels.domain(apart.level, node);
        let in_the_way = |other: u32| apart.limit.is_some() || other != side;
        let (start, end) = apart.there;
        let there = self.there.get(to_usize(start)..to_usize(end)).unwrap_or_default();
        let there = there.iter().filter(|there| there.domain == domain && in_the_way(there.side));
        let mut count: u32 = there.map(|there| there.count).fold(0, u32::saturating_add);
        for mate in mates.filter(|mate| in_the_way(mate.side)) {
            let is_here = |node: NodeSlot| cluster.levels.domain(apart.level, node) == domain;
            if is_here(mate.home) || mate.going.is_some_and(is_here) {
                count = count.saturating_sub(1);
            }
            if mate.target.is_some_and(is_here) {
                count = count.saturating_add(1);
            }
        }
        count < apart.limit.unwrap_or(1)
    }
}

impl Maker<'_> {
    /// The members of a rule among those that it lists.
    fn members(&self, listed: &[(VmSlot, VmFacts, u32)]) -> Members {
        let cluster = self.cluster;
        let running = listed.iter().filter(|(_, facts, _)| facts.home != NO_HOME && self.units.can_fail(facts.home));
        let member = |(vm, facts, side): &(VmSlot, VmFacts, u32)| {
            let promised = self.concern.includes_one_of((facts.restart, facts.priority), *vm);
            let going = cluster.moving_to(*vm, *facts).filter(|node| self.units.can_fail(*node));
            Member { vm: *vm, promised, side: *side, home: facts.home, going, key: facts.key }
        };
        let mut all: SmallVec<[Member; 6]> = running.map(member).collect();
        // Colours are given out in this order, which depends on names alone.
        let name = |member: &Member| cluster.vm_record(member.vm).map(|record| (record.key, &*record.name));
        let by_name =
            |left: &Member, right: &Member| left.key.cmp(&right.key).then_with(|| name(left).cmp(&name(right)));
        all.sort_unstable_by(by_name);
        // Sides are numbered as they come here, too.
        let mut sides: SmallVec<[u32; 4]> = SmallVec::new();
        for member in &mut all {
            let known = sides.iter().position(|side| *side == member.side);
            let number = known.unwrap_or(sides.len());
            if known.is_none() {
                sides.push(member.side);
            }
            member.side = to_u32(number);
        }
        Members { all }
    }

    fn bind(&mut self, rule: &RuleRecord, members: &Members) -> Result<(), Unbound> {
        let count = to_u32(members.all.len());
        match &rule.body {
            RuleBody::Place { .. } => Ok(()),
            RuleBody::Separate { max_per_domain, .. } if count <= *max_per_domain => Ok(()),
            RuleBody::Separate { level, max_per_domain } => {
                self.separate(rule, members, *level, Some(*max_per_domain));
                Ok(())
            }
            RuleBody::Sides { level, .. } => {
                let side = members.all.first().map(|member| member.side);
                if !members.all.iter().all(|member| Some(member.side) == side) {
                    self.separate(rule, members, *level, None);
                }
                Ok(())
            }
            RuleBody::Together { .. } if count < 2 => Ok(()),
            RuleBody::Together { level } => self.together(rule, members, *level),
            RuleBody::Spread { level, min_domains, max_skew } => {
                if max_skew.is_some_and(|skew| skew < count) {
                    return Err(Unbound);
                }
                self.spread(rule, members, *level, (*min_domains).min(count))
            }
            RuleBody::Follow { leader } => self.follow(members, *leader),
        }
    }

    fn separate(&mut self, rule: &RuleRecord, members: &Members, level: LevelIx, limit: Option<u32>) {
        let alone = self.units.losses() == 1;
        if alone || level == self.cluster.levels.node_level() || (self.respected)(level) {
            self.apart(members, level, limit);
            return;
        }
        let mut paint = Paint::new(self.cluster, rule.key, members, level);
        let barred = paint.keep_apart(self.cluster, members, limit);
        if self.are_scarce(members) {
            paint.share_out(self.cluster, members, self.domains(level));
        } else if barred {
            paint.others(self.domains(level));
        }
        self.paint(members, paint);
    }

    /// Whether one of them is short of places.
    fn are_scarce(&self, members: &Members) -> bool {
        !self.scarce.is_empty() && members.promised().any(|member| self.scarce.binary_search(&member.vm).is_ok())
    }

    /// The domains of a level, in the order of the room index.
    fn domains(&mut self, level: LevelIx) -> &[DomainKey] {
        if !self.domains.iter().any(|(known, _)| *known == level) {
            let mut all = Vec::new();
            self.cluster.levels.each_among(level, self.cluster.room_index().iter(), |domain, _| all.push(domain));
            self.domains.push((level, all));
        }
        self.domains.iter().find(|(known, _)| *known == level).map_or(&[], |(_, all)| all)
    }

    fn apart(&mut self, members: &Members, level: LevelIx, limit: Option<u32>) {
        let mut places: SmallVec<[(DomainKey, u32); 8]> = SmallVec::new();
        for member in &members.all {
            let mut domains: SmallVec<[DomainKey; 2]> = core::iter::once(member.home)
                .chain(member.going)
                .map(|node| self.cluster.levels.domain(level, node))
                .collect();
            // Of a VM that moves within a domain both are one.
            domains.dedup();
            places.extend(domains.into_iter().map(|domain| (domain, member.side)));
        }
        places.sort_unstable();
        let start = to_u32(self.there.len());
        for same in places.chunk_by(|left, right| left == right) {
            let count = to_u32(same.len());
            self.there.extend(same.first().map(|(domain, side)| There { domain: *domain, side: *side, count }));
        }
        let apart = self.aparts.push(Apart { level, limit, there: (start, to_u32(self.there.len())) });
        self.made.extend(members.promised().map(|member| (member.vm, Bond::Apart(apart, member.side))));
    }

    fn together(&mut self, rule: &RuleRecord, members: &Members, level: LevelIx) -> Result<(), Unbound> {
        let Some(home) = members.one_domain(self.cluster, level) else { return Err(Unbound) };
        if level == self.cluster.levels.node_level() {
            return self.as_one(members);
        }
        let small = self.cluster.levels.nodes(level, home).len() < to_usize(self.banks()).saturating_mul(DOMAIN_SHARE);
        if small && members.on_one_node() {
            return self.as_one(members);
        }
        if !self.units.tiers.iter().any(|tier| self.can_take(tier, level, home)) {
            // The others are barred.
            let mut paint = Paint::new(self.cluster, rule.key, members, level);
            paint.bar_others();
            self.paint(members, paint);
            return Ok(());
        }
        if self.takes_whole_domains(level) {
            self.made.extend(members.promised().map(|member| (member.vm, Bond::Planned)));
            return Ok(());
        }
        self.as_one(members)
    }

    /// How many banks there will be.
    fn banks(&self) -> u32 {
        let others = self.units.losses().saturating_sub(1);
        self.units.tiers.iter().map(|tier| tier.count.saturating_add(others)).fold(0, u32::saturating_add)
    }

    /// Whether the loss of one unit can take every node of a domain.
    fn can_take(&self, tier: &Tier, level: LevelIx, domain: DomainKey) -> bool {
        let units = self.cluster.levels.nodes(level, domain).iter().map(|node| tier.unit_of[*node]);
        let mut units = units.filter(|unit| *unit != NO_UNIT);
        let first = units.next();
        units.all(|unit| Some(unit) == first)
    }

    /// Whether every unit has all of a domain of this level or nothing.
    fn takes_whole_domains(&mut self, level: LevelIx) -> bool {
        if let Some((_, whole)) = self.whole.iter().find(|(known, _)| *known == level) {
            return *whole;
        }
        let whole = self.units.tiers.iter().all(|tier| {
            let units = tier.unit_of.enumerate().filter(|(_, unit)| **unit != NO_UNIT);
            one_per_domain(self.cluster, level, units.map(|(node, unit)| (node, *unit)))
        });
        self.whole.push((level, whole));
        whole
    }

    fn as_one(&mut self, members: &Members) -> Result<(), Unbound> {
        if !members.on_one_node() {
            return Err(Unbound);
        }
        let party: Vec<VmSlot> = members.promised().map(|member| member.vm).collect();
        let mut known: SmallVec<[usize; 4]> = party.iter().filter_map(|vm| self.party_of.get(vm).copied()).collect();
        known.sort_unstable();
        known.dedup();
        let at = known.first().copied().unwrap_or(self.parties.len());
        if at == self.parties.len() {
            self.parties.push(Vec::new());
        }
        // Parties that meet become one.
        let mut joined = party;
        for other in known.iter().skip(1) {
            joined.extend(self.parties.get_mut(*other).map(core::mem::take).unwrap_or_default());
        }
        for vm in joined {
            if self.party_of.insert(vm, at) != Some(at) {
                self.parties.get_mut(at).into_iter().for_each(|party| party.push(vm));
            }
        }
        Ok(())
    }

    fn spread(&mut self, rule: &RuleRecord, members: &Members, level: LevelIx, least: u32) -> Result<(), Unbound> {
        if least < 2 {
            return Ok(());
        }
        let mut paint = Paint::new(self.cluster, rule.key, members, level);
        if !members.all.iter().all(|member| member.promised) || !paint.use_no_more_than(least) {
            return Err(Unbound);
        }
        if self.are_scarce(members) {
            paint.share_out(self.cluster, members, self.domains(level));
        }
        self.paint(members, paint);
        Ok(())
    }

    fn follow(&mut self, members: &Members, leader: VmSlot) -> Result<(), Unbound> {
        let Some(leads) = members.all.iter().find(|member| member.vm == leader) else { return Ok(()) };
        let bound: SmallVec<[Member; 6]> =
            members.all.iter().filter(|member| member.promised || member.vm == leader).cloned().collect();
        match bound.len() {
            0 | 1 => Ok(()),
            _ if leads.promised => self.as_one(&Members { all: bound }),
            _ => Err(Unbound),
        }
    }

    fn paint(&mut self, members: &Members, paint: Paint) {
        let (painting, colours) = paint.finish();
        let painting = self.paintings.push(painting);
        let coloured = members.all.iter().zip(colours).filter(|(member, _)| member.promised);
        self.made.extend(coloured.map(|(member, colour)| (member.vm, Bond::Colour(painting, colour))));
    }

    /// Promised VMs that give up on one which nothing could take.
    fn needs_one_left_out(&self) -> Vec<VmSlot> {
        let mut found = Vec::new();
        for needed in &self.concern.left_out {
            let dependents = self.cluster.vm_record(*needed).map_or(&[][..], |record| &record.dependents);
            let promised = dependents.iter().filter(|vm| self.concern.includes(self.cluster, **vm));
            found.extend(promised.copied().filter(|vm| self.cluster.gives_up_on(*vm, *needed)));
        }
        found
    }

    fn finish(self) -> Bonds {
        let Self { cluster, mut made, paintings, aparts, there, parties, .. } = self;
        for (at, party) in parties.iter().enumerate().filter(|(_, party)| party.len() > 1) {
            made.extend(party.iter().map(|vm| (*vm, Bond::AsOne(PartyIx::from_index(at)))));
        }
        let mut spans: IdVec<VmSlot, (u32, u32)> = IdVec::new();
        let mut all = Vec::new();
        if !made.is_empty() {
            spans = IdVec::filled((0, 0), cluster.vm_slots_len());
            for (vm, _) in &made {
                let (_, count) = &mut spans[*vm];
                *count = count.saturating_add(1);
            }
            let mut next = 0_u32;
            for (start, end) in spans.iter_mut().filter(|(_, count)| *count > 0) {
                let count = *end;
                (*start, *end) = (next, next);
                next = next.saturating_add(count);
            }
            all.resize(made.len(), Bond::Planned);
            for (vm, bond) in made {
                let (_, end) = &mut spans[vm];
                if let Some(place) = all.get_mut(to_usize(*end)) {
                    *place = bond;
                }
                *end = end.saturating_add(1);
            }
        }
        let paintings = Paintings::new(cluster, paintings);
        Bonds { spans, all, paintings, aparts, there }
    }
}

/// The VMs that a rule speaks of, what is known of them, and on which side each is.
fn list_members(cluster: &Cluster, rule: &RuleRecord, listed: &mut Vec<(VmSlot, VmFacts, u32)>) {
    let mut list = |vms: &[VmSlot], side: u32| {
        listed.extend(vms.iter().filter_map(|vm| Some((*vm, *cluster.all_facts().lookup(*vm)?, side))));
    };
    match &rule.body {
        RuleBody::Sides { sides, .. } => (0..).zip(sides).for_each(|(side, vms)| list(vms, side)),
        RuleBody::Follow { leader } => {
            list(&[*leader], 0);
            list(&rule.members, 1);
        }
        _ => list(&rule.members, 0),
    }
}

/// Whether nodes that share a domain of a level share what is said of them.
pub(crate) fn one_per_domain<T: PartialEq + Copy>(
    cluster: &Cluster,
    level: LevelIx,
    mut said: impl Iterator<Item = (NodeSlot, T)>,
) -> bool {
    let mut of_domain: BTreeMap<DomainKey, T> = BTreeMap::new();
    said.all(|(node, what)| *of_domain.entry(cluster.levels.domain(level, node)).or_insert(what) == what)
}
