//! From a scene to the solver's terms: needs, classes, constraints among the displaced VMs, prerequisites.
//!
//! Uses `cluster`, `restart::scene`, `placement::problem`. Used by `restart::planner`.
//!
//! Only rules with a displaced member are looked at, and of those only required ones. `confine`, `exclude` and a
//! leader that stays decide where a VM may go by itself (`restart::eligible`); the others become constraints, each
//! with the members that stay.

use super::eligible::Leader;
use super::scene::Scene;
use crate::cluster::{Cluster, OnTimeout, RuleBody, RuleRecord, Strength, VmTraits};
use crate::dense::{IdVec, Rows, to_u32};
use crate::ids::{DomainKey, LevelIx, NodeSlot, RuleSlot, VmSlot};
use crate::placement::problem::{Constraint, ConstraintIx, EligibleIx, EligibleNodes, ItemIx, Membership, Problem};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The parts of a [`Problem`] that are made anew for each plan, kept for their memory.
#[derive(Debug)]
pub(super) struct Parts {
    need: Rows<ItemIx>,
    class: IdVec<ItemIx, u32>,
    eligible: IdVec<ItemIx, EligibleIx>,
    eligible_sets: IdVec<EligibleIx, EligibleNodes>,
    constraints: IdVec<ConstraintIx, Constraint>,
    member_of: IdVec<ItemIx, SmallVec<[Membership; 2]>>,
    prerequisites: IdVec<ItemIx, SmallVec<[ItemIx; 1]>>,
    /// The rule of each constraint.
    pub(super) rule_of: IdVec<ConstraintIx, RuleSlot>,
    /// Per item the leaders that stay; empty if no item has one.
    leaders: IdVec<ItemIx, Vec<Leader>>,
    /// Items that need a VM that neither runs nor is displaced, and that VM.
    pub(super) missing: Vec<(ItemIx, VmSlot)>,
    /// Rules already looked at, sorted.
    pub(super) seen: Vec<RuleSlot>,
    /// Rules of one VM that are not among them.
    new: Vec<RuleSlot>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            need: Rows::new(0),
            class: IdVec::new(),
            eligible: IdVec::new(),
            eligible_sets: IdVec::new(),
            constraints: IdVec::new(),
            member_of: IdVec::new(),
            prerequisites: IdVec::new(),
            rule_of: IdVec::new(),
            leaders: IdVec::new(),
            missing: Vec::new(),
            seen: Vec::new(),
            new: Vec::new(),
        }
    }
}

impl Parts {
    /// Compiles what ties the items of a scene together; of items that nothing ties it costs nothing.
    pub(super) fn set(&mut self, cluster: &Cluster, scene: &mut Scene) {
        self.need.reset(cluster.kinds().len(), 0);
        self.class.clear();
        self.eligible.clear();
        self.eligible_sets.clear();
        self.constraints.clear();
        self.rule_of.clear();
        self.leaders.clear();
        self.missing.clear();
        self.seen.clear();
        self.member_of.clear();
        self.prerequisites.clear();
        let ties = VmTraits::RULES.with(VmTraits::EDGES);
        if !scene.traits.any(ties) {
            return;
        }
        scene.index_items(cluster);
        let items = scene.items.len();
        self.member_of.reset(SmallVec::new(), items);
        self.prerequisites.reset(SmallVec::new(), items);
        for (item, vm) in scene.items.enumerate() {
            if !cluster.facts(*vm).traits.any(ties) {
                continue;
            }
            let Some(record) = cluster.vm_record(*vm) else { continue };
            for rule in record.rules.iter().chain(&record.leads) {
                if let Err(position) = self.seen.binary_search(rule) {
                    self.seen.insert(position, *rule);
                    self.new.push(*rule);
                }
            }
            // By name, so that the order of the constraints depends on nothing else.
            let rule_name = |rule: RuleSlot| cluster.rule_record(rule).map(|rule| &*rule.name);
            self.new.sort_unstable_by(|left, right| rule_name(*left).cmp(&rule_name(*right)));
            let new = core::mem::take(&mut self.new);
            for rule in &new {
                self.compile_rule(cluster, scene, *rule);
            }
            self.new = new;
            self.new.clear();
            for edge in &record.starts_after {
                if edge.on_timeout == OnTimeout::GiveUp {
                    self.compile_edge(cluster, scene, item, edge.vm);
                }
            }
            self.prerequisites[item].sort_unstable();
        }
    }

    /// Makes one class of all items, for questions to which only everything is an answer.
    pub(super) fn one_class(&mut self) {
        for class in self.class.iter_mut() {
            *class = 0;
        }
    }

    /// Adds what the solver reads of every item, and makes the scene answer for every VM.
    pub(super) fn complete(&mut self, cluster: &Cluster, scene: &mut Scene) {
        scene.index_items(cluster);
        let items = scene.items.len();
        self.need.reset(cluster.kinds().len(), items);
        for (item, vm) in scene.items.enumerate() {
            self.need[item].copy_from_slice(&cluster.restart_rows()[*vm]);
        }
        self.class.clear();
        self.class.extend(scene.class_of());
        if self.member_of.len() < items {
            self.member_of.reset(SmallVec::new(), items);
            self.prerequisites.reset(SmallVec::new(), items);
        }
    }

    /// The leaders that stay, of an item.
    pub(super) fn leaders(&self, item: ItemIx) -> &[Leader] {
        self.leaders.lookup(item).map_or(&[], |leaders| leaders)
    }

    /// Lends the parts to a problem over this room. Give them back with [`take_back`](Self::take_back).
    pub(super) fn lend<'a>(
        &mut self,
        cluster: &'a Cluster,
        room: &'a Rows<NodeSlot>,
        nodes: &'a [NodeSlot],
        classes: usize,
    ) -> Problem<'a> {
        Problem {
            nodes,
            room,
            levels: cluster.levels.table(),
            need: core::mem::replace(&mut self.need, Rows::new(0)),
            class: core::mem::take(&mut self.class),
            classes: to_u32(classes),
            eligible: core::mem::take(&mut self.eligible),
            eligible_sets: core::mem::take(&mut self.eligible_sets),
            constraints: core::mem::take(&mut self.constraints),
            member_of: core::mem::take(&mut self.member_of),
            prerequisites: core::mem::take(&mut self.prerequisites),
        }
    }

    pub(super) fn take_back(&mut self, problem: Problem<'_>) {
        self.need = problem.need;
        self.class = problem.class;
        self.eligible = problem.eligible;
        self.eligible_sets = problem.eligible_sets;
        self.constraints = problem.constraints;
        self.member_of = problem.member_of;
        self.prerequisites = problem.prerequisites;
    }

    fn compile_rule(&mut self, cluster: &Cluster, scene: &Scene, slot: RuleSlot) {
        let Some(rule) = cluster.rule_record(slot).filter(|rule| rule.strength == Strength::Required) else { return };
        match &rule.body {
            RuleBody::Place { .. } => {}
            RuleBody::Separate { level, max_per_domain } => {
                let stay = tally(stays(cluster, scene, rule, *level).map(|(domain, _)| domain));
                self.add(scene, slot, rule, Constraint::Separate { level: *level, limit: *max_per_domain, stay });
            }
            RuleBody::Sides { level, sides } => {
                let side_of = |vm| to_u32(sides.iter().position(|side| side.binary_search(&vm).is_ok()).unwrap_or(0));
                let mut stay: Vec<(DomainKey, u32)> =
                    stays(cluster, scene, rule, *level).map(|(domain, vm)| (domain, side_of(vm))).collect();
                stay.sort_unstable();
                stay.dedup();
                self.add(scene, slot, rule, Constraint::Sides { level: *level, stay });
            }
            RuleBody::Together { level } => {
                let mut stay: Vec<DomainKey> = stays(cluster, scene, rule, *level).map(|(domain, _)| domain).collect();
                stay.sort_unstable();
                stay.dedup();
                self.add(scene, slot, rule, Constraint::Together { level: *level, stay });
            }
            RuleBody::Spread { level, min_domains, max_skew } => {
                let stay = tally(stays(cluster, scene, rule, *level).map(|(domain, _)| domain));
                let counting =
                    if max_skew.is_some() { counting_domains(cluster, scene, rule, *level) } else { Vec::new() };
                let constraint = Constraint::Spread {
                    level: *level,
                    min_domains: *min_domains,
                    max_skew: *max_skew,
                    stay,
                    stay_members: to_u32(
                        rule.members
                            .iter()
                            .filter_map(|vm| cluster.vm_record(*vm))
                            .filter(|record| !scene.places(cluster, record).is_empty())
                            .count(),
                    ),
                    counting,
                };
                self.add(scene, slot, rule, constraint);
            }
            RuleBody::Follow { leader } => self.compile_follow(cluster, scene, slot, rule, *leader),
        }
    }

    /// Enters a constraint with the displaced members of its rule, unless it cannot bind.
    fn add(&mut self, scene: &Scene, slot: RuleSlot, rule: &RuleRecord, constraint: Constraint) {
        let displaced = || rule.members.iter().filter_map(|vm| scene.item_of(*vm).map(|item| (*vm, item)));
        let alone = displaced().nth(1).is_none();
        let nobody_stays = match &constraint {
            Constraint::Separate { stay, .. } | Constraint::Sides { stay, .. } => stay.is_empty(),
            Constraint::Together { stay, .. } => stay.is_empty(),
            Constraint::Spread { .. } | Constraint::Follow => false,
        };
        if alone && nobody_stays {
            return;
        }
        let index = self.constraints.push(constraint);
        self.rule_of.push(slot);
        for (vm, item) in displaced() {
            let side = match &rule.body {
                RuleBody::Sides { sides, .. } => {
                    to_u32(sides.iter().position(|side| side.binary_search(&vm).is_ok()).unwrap_or(0))
                }
                RuleBody::Follow { .. } => 1,
                _ => 0,
            };
            self.join(item, index, side);
        }
    }

    fn join(&mut self, item: ItemIx, constraint: ConstraintIx, side: u32) {
        let memberships = &mut self.member_of[item];
        let position = memberships.partition_point(|membership| membership.constraint < constraint);
        memberships.insert(position, Membership { constraint, side });
    }

    fn compile_follow(&mut self, cluster: &Cluster, scene: &Scene, slot: RuleSlot, rule: &RuleRecord, leader: VmSlot) {
        if let Some(leader) = scene.item_of(leader) {
            if rule.members.iter().any(|vm| scene.item_of(*vm).is_some()) {
                let index = to_u32(self.constraints.len());
                self.add(scene, slot, rule, Constraint::Follow);
                self.join(leader, ConstraintIx(index), 0);
            }
            return;
        }
        let Some(record) = cluster.vm_record(leader) else { return };
        let places = scene.places(cluster, record);
        if places.is_empty() {
            return;
        }
        for item in rule.members.iter().filter_map(|vm| scene.item_of(*vm)) {
            if self.leaders.is_empty() {
                self.leaders.reset(Vec::new(), scene.items.len());
            }
            self.leaders[item].push((slot, places.clone()));
        }
    }

    fn compile_edge(&mut self, cluster: &Cluster, scene: &Scene, item: ItemIx, needed: VmSlot) {
        if let Some(needed) = scene.item_of(needed) {
            if !self.prerequisites[item].contains(&needed) {
                self.prerequisites[item].push(needed);
            }
            return;
        }
        let runs = cluster.vm_record(needed).is_some_and(|record| !scene.places(cluster, record).is_empty());
        if runs {
            return;
        }
        // One per item is enough: the first by name.
        let vm_name = |vm: VmSlot| cluster.vm_record(vm).map(|record| &*record.name);
        match self.missing.iter_mut().find(|(missing, _)| *missing == item) {
            Some((_, first)) if vm_name(needed) < vm_name(*first) => *first = needed,
            Some(_) => {}
            None => self.missing.push((item, needed)),
        }
    }
}

/// The domains in which members of a rule stay, with the member, once per node on which it counts.
fn stays<'a>(
    cluster: &'a Cluster,
    scene: &'a Scene,
    rule: &'a RuleRecord,
    level: LevelIx,
) -> impl Iterator<Item = (DomainKey, VmSlot)> + 'a {
    rule.members.iter().flat_map(move |vm| {
        let places = cluster.vm_record(*vm).map(|record| scene.places(cluster, record)).unwrap_or_default();
        let mut domains: SmallVec<[DomainKey; 2]> =
            places.into_iter().map(|node| cluster.levels.domain(level, node)).collect();
        // A VM that moves within a domain is one member of it.
        domains.dedup();
        domains.into_iter().map(move |domain| (domain, *vm))
    })
}

/// How often each domain occurs, sorted.
fn tally(domains: impl Iterator<Item = DomainKey>) -> Vec<(DomainKey, u32)> {
    let mut counts: Vec<(DomainKey, u32)> = Vec::new();
    for domain in domains {
        match counts.binary_search_by_key(&domain, |(known, _)| *known) {
            Ok(position) => {
                if let Some((_, count)) = counts.get_mut(position) {
                    *count = count.saturating_add(1);
                }
            }
            Err(position) => counts.insert(position, (domain, 1)),
        }
    }
    counts
}

/// The domains that a `spread` rule compares: those with an accepting node that some powered-on member could go to by
/// labels, `confine` and `exclude`.
fn counting_domains(cluster: &Cluster, scene: &Scene, rule: &RuleRecord, level: LevelIx) -> Vec<DomainKey> {
    let members: Vec<_> =
        rule.members.iter().filter_map(|vm| cluster.vm_record(*vm)).filter(|record| record.on).collect();
    let mut counting: Vec<DomainKey> = cluster
        .room_index()
        .iter()
        .filter(|node| !scene.is_failed(*node))
        .filter(|node| members.iter().any(|vm| cluster.suits(vm, *node)))
        .map(|node| cluster.levels.domain(level, node))
        .collect();
    counting.sort_unstable();
    counting.dedup();
    counting
}
