//! The best restart plan by exhaustion: slow, plain, straight from SPEC.md 2.1.
//!
//! Uses the views of `lifeboat`, and its checker only where evictions are concerned and to confirm what was found.
//! Used by property tests and fuzz targets, against whatever the library decides.
//!
//! Every displaced VM goes to every node or to none, most important class first; every set of evictions is tried where
//! the policy allows any. A branch is cut only if a node is over-full or a rule is broken for good, if the classes can
//! no longer beat the best found, or if it repeats another one with two equal VMs exchanged. What depends on the whole
//! plan (`spread`, the need of evictions) is judged at its end.

use lifeboat::policy::Preemption;
use lifeboat::{
    Cluster, Failure, NodeId, NodeState, OnTimeout, Place, Policy, Priority, RestartClass, RuleKind, Strength, VmId,
    VmRef, check_placements,
};
use std::collections::{BTreeMap, BTreeSet};

/// The best that any plan can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Optimum {
    /// Per class, the most important first.
    pub classes: Vec<ClassOptimum>,
    /// One plan that does it.
    pub placements: Vec<(VmId, NodeId)>,
    /// Its evictions.
    pub evictions: Vec<(VmId, NodeId)>,
    /// How many partial plans were looked at.
    pub steps: u64,
}

/// The best for one class, given the best for all above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClassOptimum {
    /// The effective class.
    pub restart: RestartClass,
    /// The effective priority.
    pub priority: Priority,
    /// How many VMs are displaced.
    pub displaced: i64,
    /// How many are placed, less those evicted and not placed again.
    pub placed: i64,
}

/// No choice is left open by more than so many candidates for eviction.
const MAX_CANDIDATES: usize = 10;

/// The optimum, or nothing if more than `limit` partial plans would have to be looked at.
///
/// # Panics
/// If the plan found does not pass the library's checker.
#[must_use]
pub fn optimum(cluster: &Cluster, policy: &Policy, failure: &Failure, limit: u64) -> Option<Optimum> {
    let effective = effective(cluster);
    let world = World::new(cluster, failure, &effective);
    let candidates = world.eviction_candidates(policy);
    if candidates.len() > MAX_CANDIDATES {
        return None;
    }
    let mut steps = 0;
    let mut best: Option<Found> = None;
    let mut sets: Vec<u32> = (0..1_u32 << candidates.len()).collect();
    // Few victims first, then few of the highest class, and so on: a set has to be better to replace one before it.
    let harm = |set: u32| -> Vec<usize> {
        let victim = |class: &Class| {
            let of_class = |(bit, vm): &(usize, &VmId)| set >> bit & 1 == 1 && effective[vm] == *class;
            candidates.iter().enumerate().filter(of_class).count()
        };
        world.classes.iter().map(victim).collect()
    };
    sets.sort_by_cached_key(|set| (set.count_ones(), harm(*set), *set));
    for set in sets {
        let chosen = candidates.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, vm)| *vm);
        let evicted: BTreeSet<VmId> = chosen.collect();
        let mut search = Search::new(&world, policy, evicted, best.take(), steps, limit);
        search.go(0);
        (best, steps) = (search.best, search.steps);
        if steps > limit {
            return None;
        }
    }
    let found = best.expect("the empty plan at least");
    check_placements(cluster, failure, &found.placements, &found.evictions).expect("the reference's plan is feasible");
    let classes = world.classes.iter().zip(&found.counts).map(|((restart, priority), placed)| {
        let class = |vm: &&VmId| effective.get(vm) == Some(&(*restart, *priority));
        let displaced = i64::try_from(world.displaced.iter().filter(class).count()).expect("few VMs");
        ClassOptimum { restart: *restart, priority: *priority, displaced, placed: *placed }
    });
    let classes = classes.filter(|class| class.displaced > 0 || class.placed != 0).collect();
    Some(Optimum { classes, placements: found.placements, evictions: found.evictions, steps })
}

/// Effective classes and priorities from the definition: the highest of a VM's own and of all powered-on VMs that need
/// it, as leader of a required `follow` rule or as prerequisite to give up on, transitively.
#[must_use]
pub fn effective(cluster: &Cluster) -> BTreeMap<VmId, (RestartClass, Priority)> {
    let mut effective: BTreeMap<VmId, (RestartClass, Priority)> =
        cluster.vms().map(|vm| (vm.id(), (vm.restart(), vm.priority()))).collect();
    let mut needs: Vec<(VmId, VmId)> = Vec::new();
    for vm in cluster.vms().filter(|vm| vm.is_on()) {
        let edges = vm.starts_after().filter(|edge| edge.on_timeout == OnTimeout::GiveUp);
        needs.extend(edges.map(|edge| (vm.id(), edge.vm)));
    }
    for rule in cluster.rules().filter(|rule| rule.strength() == Strength::Required) {
        if let RuleKind::Follow { leader } = rule.kind() {
            let running = rule.members().filter(|vm| cluster.vm(*vm).is_ok_and(VmRef::is_on));
            needs.extend(running.map(|vm| (vm, leader)));
        }
    }
    loop {
        let before = effective.clone();
        for (needer, needed) in &needs {
            let raised = effective[needer].max(effective[needed]);
            effective.insert(*needed, raised);
        }
        if effective == before {
            return effective;
        }
    }
}

type Class = (RestartClass, Priority);

/// What a cluster is after a failure, before any plan.
struct World<'a> {
    cluster: &'a Cluster,
    failure: &'a Failure,
    effective: &'a BTreeMap<VmId, Class>,
    /// The most important first.
    classes: Vec<Class>,
    /// Displaced VMs, without those to leave alone.
    displaced: Vec<VmId>,
    /// Where each VM that stays is: its node, and the target of its migration.
    stays: BTreeMap<VmId, Vec<NodeId>>,
    targets: Vec<NodeId>,
}

impl<'a> World<'a> {
    fn new(cluster: &'a Cluster, failure: &'a Failure, effective: &'a BTreeMap<VmId, Class>) -> Self {
        let state = |node: NodeId| cluster.node(node).expect("a node").state();
        let gone = |node: NodeId| {
            failure.contains(node) || state(node) == NodeState::Failed || state(node) == NodeState::Maintenance
        };
        let mut displaced = Vec::new();
        let mut stays = BTreeMap::new();
        for vm in cluster.vms().filter(|vm| vm.is_on()) {
            match vm.node() {
                Some(node) if !gone(node) => {
                    let target = vm.migrating_to().filter(|target| !gone(*target));
                    stays.insert(vm.id(), [Some(node), target].into_iter().flatten().collect());
                }
                _ if vm.restart() == RestartClass::Never => {}
                _ => displaced.push(vm.id()),
            }
        }
        let mut classes: Vec<Class> =
            effective.values().copied().filter(|class| class.0 != RestartClass::Never).collect();
        classes.sort_unstable();
        classes.dedup();
        classes.reverse();
        let accepting = |node: &NodeId| !failure.contains(*node) && state(*node) == NodeState::Online;
        let targets = cluster.nodes().map(|node| node.id()).filter(accepting).collect();
        Self { cluster, failure, effective, classes, displaced, stays, targets }
    }

    fn vm(&self, vm: VmId) -> VmRef<'a> {
        self.cluster.vm(vm).expect("a VM")
    }

    /// The VMs that somebody may evict: running for certain, preemptible, below some displaced or evictable VM.
    fn eviction_candidates(&self, policy: &Policy) -> Vec<VmId> {
        let on = self.cluster.vms().filter(|vm| vm.is_on() && vm.restart() != RestartClass::Never);
        let evictors: Vec<Class> = on.map(|vm| self.effective[&vm.id()]).collect();
        let running = |vm: &VmId| {
            let node = self.stays[vm][0];
            self.cluster.node(node).is_ok_and(|node| node.state() != NodeState::Unreachable)
        };
        let open = |vm: &VmId| evictors.iter().any(|by| self.may_evict(policy, *by, *vm));
        if self.displaced.is_empty() {
            return Vec::new();
        }
        self.stays.keys().copied().filter(running).filter(open).collect()
    }

    fn may_evict(&self, policy: &Policy, by: Class, vm: VmId) -> bool {
        let class = self.effective[&vm];
        let best_effort = by.0 == RestartClass::Protected && class.0 == RestartClass::BestEffort;
        let lower = by.0 == class.0 && by.1 > class.1;
        self.vm(vm).is_preemptible()
            && match policy.preemption {
                Preemption::Never => false,
                Preemption::BestEffort => best_effort,
                Preemption::LowerPriority => best_effort || lower,
            }
    }

    /// Labels, and required confine and exclude rules: what does not depend on the plan.
    fn eligible(&self, vm: VmRef<'_>, node: NodeId) -> bool {
        let at = self.cluster.node(node).expect("a node");
        let in_place = |place: &Place| {
            place.nodes.contains(&node)
                || place.labels.iter().any(|label| at.has_label(label))
                || place.domains.iter().any(|(level, name)| at.domain(level) == Some(name.as_str()))
        };
        vm.requires().iter().all(|label| at.has_label(label))
            && self.cluster.rules().filter(|rule| rule.strength() == Strength::Required).all(|rule| match rule.kind() {
                RuleKind::Confine(place) => !rule.members().any(|member| member == vm.id()) || in_place(&place),
                RuleKind::Exclude(place) => !rule.members().any(|member| member == vm.id()) || !in_place(&place),
                _ => true,
            })
    }

    /// A node's domain at a level, as a name that no other domain of the level has.
    fn domain(&self, node: NodeId, level: &str) -> String {
        let node = self.cluster.node(node).expect("a node");
        node.domain(level).map_or_else(|| format!("own {}", node.name()), |name| format!("named {name}"))
    }
}

/// A plan, and what it counts for.
struct Found {
    counts: Vec<i64>,
    placements: Vec<(VmId, NodeId)>,
    evictions: Vec<(VmId, NodeId)>,
}

/// A VM to be placed.
struct Item {
    vm: VmId,
    class: usize,
    size: Vec<u64>,
    /// Positions of the targets that it may go to.
    nodes: Vec<usize>,
    /// Equal to the one before: then exchanging the two changes nothing.
    repeats: bool,
}

/// A rule that binds more than one VM.
struct Bond {
    kind: RuleKind,
    /// The items that are members, by position.
    items: Vec<usize>,
    /// The domain of each target at the rule's level.
    domains: Vec<String>,
    /// The domains of the members that stay, one list per member (with its side, 0 where there are none).
    stayers: Vec<(usize, BTreeSet<String>)>,
    /// The side of each item.
    sides: Vec<usize>,
    /// For `follow`: the leader, as an item or as the targets where it stays.
    leader: Option<Leader>,
    /// For `spread` with a skew: the members that may be up, to find the domains that count.
    members: Vec<VmId>,
}

enum Leader {
    Item(usize),
    Stays(Vec<NodeId>),
    Away,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spot {
    Open,
    None,
    On(usize),
}

struct Search<'a, 'w> {
    world: &'w World<'a>,
    policy: &'w Policy,
    evicted: BTreeSet<VmId>,
    items: Vec<Item>,
    bonds: Vec<Bond>,
    /// For every item the items that it gives up without, and whether it needs one that never comes.
    needs: Vec<(Vec<usize>, bool)>,
    /// What is free per target and kind; below 0 where it is over-full.
    free: Vec<Vec<i128>>,
    spots: Vec<Spot>,
    counts: Vec<i64>,
    best: Option<Found>,
    steps: u64,
    limit: u64,
}

impl<'a, 'w> Search<'a, 'w> {
    fn new(
        world: &'w World<'a>,
        policy: &'w Policy,
        evicted: BTreeSet<VmId>,
        best: Option<Found>,
        steps: u64,
        limit: u64,
    ) -> Self {
        let class_of =
            |vm: &VmId| world.classes.iter().position(|class| *class == world.effective[vm]).expect("a class");
        let mut movable: Vec<VmId> = world.displaced.iter().chain(&evicted).copied().collect();
        movable.sort_by_key(|vm| (class_of(vm), world.vm(*vm).restart_demand().to_vec(), *vm));
        let mut counts = vec![0; world.classes.len()];
        for vm in &evicted {
            counts[class_of(vm)] -= 1;
        }
        let items: Vec<Item> = movable
            .iter()
            .map(|vm| {
                let view = world.vm(*vm);
                let allowed = view.allowed_nodes();
                let from = evicted.contains(vm).then(|| world.stays[vm][0]);
                let open = |node: NodeId| {
                    Some(node) != from
                        && allowed.as_ref().is_none_or(|allowed| allowed.contains(&node))
                        && world.eligible(view, node)
                };
                let nodes = (0..world.targets.len()).filter(|target| open(world.targets[*target])).collect();
                Item { vm: *vm, class: class_of(vm), size: view.restart_demand().to_vec(), nodes, repeats: false }
            })
            .collect();
        let free = world.targets.iter().map(|target| {
            let node = world.cluster.node(*target).expect("a node");
            let mut free: Vec<i128> = node.failover_allocatable().iter().map(|amount| i128::from(*amount)).collect();
            for (vm, nodes) in world.stays.iter().filter(|(vm, nodes)| !evicted.contains(vm) && nodes.contains(target))
            {
                debug_assert!(!nodes.is_empty());
                for (free, demand) in free.iter_mut().zip(world.vm(*vm).demand()) {
                    *free -= i128::from(*demand);
                }
            }
            free
        });
        let mut search = Self {
            world,
            policy,
            free: free.collect(),
            spots: vec![Spot::Open; items.len()],
            bonds: Vec::new(),
            needs: Vec::new(),
            items,
            evicted,
            counts,
            best,
            steps,
            limit,
        };
        search.bind();
        search
    }

    /// Finds rules, needs and equal VMs.
    fn bind(&mut self) {
        let world = self.world;
        let item_of = |vm: VmId, items: &[Item]| items.iter().position(|item| item.vm == vm);
        for rule in world.cluster.rules().filter(|rule| rule.strength() == Strength::Required) {
            let kind = rule.kind();
            let level = match &kind {
                RuleKind::Separate { level, .. }
                | RuleKind::SeparateSides { level, .. }
                | RuleKind::Together { level }
                | RuleKind::Spread { level, .. } => level.clone(),
                RuleKind::Follow { .. } => lifeboat::NODE_LEVEL.to_string(),
                _ => continue,
            };
            let side_of = |vm: VmId| match &kind {
                RuleKind::SeparateSides { sides, .. } => {
                    sides.iter().position(|side| side.contains(&vm)).expect("a member is on a side")
                }
                _ => 0,
            };
            let members: Vec<VmId> = rule.members().collect();
            let items: Vec<usize> = members.iter().filter_map(|vm| item_of(*vm, &self.items)).collect();
            let staying = members.iter().filter(|vm| !self.evicted.contains(vm));
            let stayers = staying
                .filter_map(|vm| world.stays.get(vm).map(|nodes| (vm, nodes)))
                .map(|(vm, nodes)| (side_of(*vm), nodes.iter().map(|node| world.domain(*node, &level)).collect()))
                .collect();
            let leader = match &kind {
                RuleKind::Follow { leader } => Some(match (item_of(*leader, &self.items), world.stays.get(leader)) {
                    (Some(item), _) => Leader::Item(item),
                    (None, Some(nodes)) => Leader::Stays(nodes.clone()),
                    (None, None) => Leader::Away,
                }),
                _ => None,
            };
            let sides = items.iter().map(|item| side_of(self.items[*item].vm)).collect();
            let domains = world.targets.iter().map(|node| world.domain(*node, &level)).collect();
            self.bonds.push(Bond { kind, items, domains, stayers, sides, leader, members });
        }
        for item in &self.items {
            let mut needs = (Vec::new(), false);
            for edge in world.vm(item.vm).starts_after().filter(|edge| edge.on_timeout == OnTimeout::GiveUp) {
                let stays = world.stays.contains_key(&edge.vm) && !self.evicted.contains(&edge.vm);
                match item_of(edge.vm, &self.items) {
                    Some(other) => needs.0.push(other),
                    None => needs.1 |= !stays,
                }
            }
            self.needs.push(needs);
        }
        let free_of_bonds = |item: usize, search: &Self| {
            let needed = search.needs.iter().any(|(needs, _)| needs.contains(&item));
            let leads = |bond: &Bond| matches!(bond.leader, Some(Leader::Item(leader)) if leader == item);
            search.needs[item] == (Vec::new(), false)
                && !needed
                && !search.bonds.iter().any(|bond| bond.items.contains(&item) || leads(bond))
        };
        for item in 1..self.items.len() {
            let (left, right) = (&self.items[item - 1], &self.items[item]);
            let alike = left.class == right.class && left.size == right.size && left.nodes == right.nodes;
            let evicted = [left, right].iter().any(|item| self.evicted.contains(&item.vm));
            let repeats = alike && !evicted && free_of_bonds(item - 1, self) && free_of_bonds(item, self);
            self.items[item].repeats = repeats;
        }
    }

    fn go(&mut self, at: usize) {
        self.steps += 1;
        if self.steps > self.limit || !self.can_win(at) {
            return;
        }
        if at == self.items.len() {
            self.judge();
            return;
        }
        let first = match (self.items[at].repeats, at.checked_sub(1).map(|before| self.spots[before])) {
            (true, Some(Spot::On(node))) => node,
            (true, Some(Spot::None)) => usize::MAX,
            _ => 0,
        };
        let class = self.items[at].class;
        for node in self.items[at].nodes.clone() {
            if node < first || !self.fits(at, node) {
                continue;
            }
            self.spots[at] = Spot::On(node);
            self.counts[class] += 1;
            self.take(at, node, -1);
            if self.holds(at) {
                self.go(at + 1);
            }
            self.take(at, node, 1);
            self.counts[class] -= 1;
        }
        self.spots[at] = Spot::None;
        if self.holds(at) {
            self.go(at + 1);
        }
        self.spots[at] = Spot::Open;
    }

    fn fits(&self, item: usize, node: usize) -> bool {
        let mut kinds = self.items[item].size.iter().zip(&self.free[node]);
        kinds.all(|(size, free)| *size == 0 || i128::from(*size) <= *free)
    }

    fn take(&mut self, item: usize, node: usize, sign: i128) {
        for (size, free) in self.items[item].size.iter().zip(&mut self.free[node]) {
            *free += sign * i128::from(*size);
        }
    }

    /// Whether the open items could still make the counts better than the best found: per class at most as many as fit
    /// somewhere alone, and as many of the smallest as fit into all that is free, kind by kind.
    fn can_win(&self, at: usize) -> bool {
        let Some(best) = &self.best else { return true };
        let kinds = self.world.cluster.kinds().len();
        let total: Vec<i128> =
            (0..kinds).map(|kind| self.free.iter().map(|free| free[kind].max(0)).sum::<i128>()).collect();
        let mut hope = self.counts.clone();
        for (class, hope) in hope.iter_mut().enumerate() {
            let open: Vec<usize> = (at..self.items.len()).filter(|item| self.items[*item].class == class).collect();
            let alone = |item: &&usize| self.items[**item].nodes.iter().any(|node| self.fits(**item, *node));
            let mut most = open.iter().filter(alone).count();
            for (kind, total) in total.iter().enumerate() {
                let mut sizes: Vec<i128> = open.iter().map(|item| i128::from(self.items[*item].size[kind])).collect();
                sizes.sort_unstable();
                let mut left = *total;
                let fit = sizes.iter().take_while(|size| {
                    left -= **size;
                    left >= 0
                });
                most = most.min(fit.count());
            }
            *hope += i64::try_from(most).expect("few VMs");
        }
        hope > best.counts
    }

    /// Whether the choice for an item breaks something that no later choice can mend.
    fn holds(&self, item: usize) -> bool {
        if let Spot::On(_) = self.spots[item] {
            let (needs, never) = &self.needs[item];
            if *never || needs.iter().any(|needed| self.spots[*needed] == Spot::None) {
                return false;
            }
        } else {
            let waits = |other: usize| matches!(self.spots[other], Spot::On(_)) && self.needs[other].0.contains(&item);
            if (0..self.items.len()).any(waits) {
                return false;
            }
        }
        self.bonds.iter().all(|bond| self.bond_holds(bond))
    }

    /// The placed members of a rule: side, domain, target.
    fn placed<'b>(&'b self, bond: &'b Bond) -> impl Iterator<Item = (usize, &'b String, usize)> + 'b {
        bond.items.iter().zip(&bond.sides).filter_map(|(item, side)| match self.spots[*item] {
            Spot::On(node) => Some((*side, &bond.domains[node], node)),
            _ => None,
        })
    }

    fn bond_holds(&self, bond: &Bond) -> bool {
        match &bond.kind {
            RuleKind::Separate { max_per_domain, .. } => self.placed(bond).all(|(_, domain, _)| {
                let placed = self.placed(bond).filter(|(_, other, _)| *other == domain).count();
                let stay = bond.stayers.iter().filter(|(_, domains)| domains.contains(domain)).count();
                placed + stay <= *max_per_domain as usize
            }),
            RuleKind::SeparateSides { .. } => self.placed(bond).all(|(side, domain, _)| {
                self.placed(bond).all(|(other, at, _)| at != domain || other == side)
                    && bond.stayers.iter().all(|(other, domains)| !domains.contains(domain) || *other == side)
            }),
            RuleKind::Together { .. } => {
                let domains: BTreeSet<&String> = self.placed(bond).map(|(_, domain, _)| domain).collect();
                let mut stay = bond.stayers.iter().flat_map(|(_, domains)| domains);
                domains.len() <= 1
                    && domains.first().is_none_or(|at| bond.stayers.is_empty() || stay.any(|domain| domain == *at))
            }
            RuleKind::Follow { .. } => match bond.leader.as_ref().expect("a leader") {
                Leader::Away => true,
                Leader::Stays(nodes) => self.placed(bond).all(|(_, _, node)| nodes.contains(&self.world.targets[node])),
                Leader::Item(leader) => match self.spots[*leader] {
                    Spot::On(at) => self.placed(bond).all(|(_, _, node)| node == at),
                    Spot::Open | Spot::None => true,
                },
            },
            _ => true,
        }
    }

    /// The end of a plan: what could not be judged before.
    fn judge(&mut self) {
        let spread = self.bonds.iter().all(|bond| match &bond.kind {
            RuleKind::Spread { level, min_domains, max_skew } => {
                self.spread_holds(bond, level, *min_domains, *max_skew)
            }
            _ => true,
        });
        if !spread {
            return;
        }
        let placements: Vec<(VmId, NodeId)> = self
            .items
            .iter()
            .zip(&self.spots)
            .filter_map(|(item, spot)| match spot {
                Spot::On(node) => Some((item.vm, self.world.targets[*node])),
                _ => None,
            })
            .collect();
        let evictions: Vec<(VmId, NodeId)> = self.evicted.iter().map(|vm| (*vm, self.world.stays[vm][0])).collect();
        if evictions.iter().all(|evicted| self.is_needed(*evicted, &placements, &evictions)) {
            self.best = Some(Found { counts: self.counts.clone(), placements, evictions });
        }
    }

    fn spread_holds(&self, bond: &Bond, level: &str, min_domains: u32, max_skew: Option<u32>) -> bool {
        let placed: Vec<&String> = self.placed(bond).map(|(_, domain, _)| domain).collect();
        let stay: BTreeSet<&String> = bond.stayers.iter().flat_map(|(_, domains)| domains).collect();
        let used: BTreeSet<&String> = stay.iter().copied().chain(placed.iter().copied()).collect();
        // A member that migrates stays in two domains, and is one member.
        let staying = stay.len().min(bond.stayers.len());
        if used.len() < (min_domains as usize).min(staying + placed.len()) {
            return false;
        }
        let Some(max_skew) = max_skew else { return true };
        let count = |domain: &String| {
            placed.iter().filter(|at| **at == domain).count()
                + bond.stayers.iter().filter(|(_, domains)| domains.contains(domain)).count()
        };
        let world = self.world;
        let up: Vec<VmRef<'_>> = bond.members.iter().map(|vm| world.vm(*vm)).filter(|vm| vm.is_on()).collect();
        let counting = world.targets.iter().filter(|node| up.iter().any(|vm| world.eligible(*vm, **node)));
        let least = counting.map(|node| count(&world.domain(*node, level))).min();
        placed.iter().all(|domain| count(domain) <= least.unwrap_or(0) + max_skew as usize)
    }

    /// Whether those that may evict a VM break something only if it stays.
    fn is_needed(&self, evicted: (VmId, NodeId), placements: &[(VmId, NodeId)], evictions: &[(VmId, NodeId)]) -> bool {
        let world = self.world;
        let entitled = |(vm, _): &&(VmId, NodeId)| {
            *vm != evicted.0 && world.may_evict(self.policy, world.effective[vm], evicted.0)
        };
        let entitled: Vec<(VmId, NodeId)> = placements.iter().filter(entitled).copied().collect();
        let without: Vec<(VmId, NodeId)> = evictions.iter().filter(|other| **other != evicted).copied().collect();
        let codes = |evictions: &[(VmId, NodeId)]| {
            let faults = check_placements(world.cluster, world.failure, &entitled, evictions).err().unwrap_or_default();
            // A VM that moves because another was to be evicted is of no concern here, nor is what it waits for.
            let told = |fault: &lifeboat::PlanFault| !matches!(fault.code(), "not_displaced" | "prerequisite");
            faults.into_iter().filter(told).collect::<Vec<_>>()
        };
        let gone = codes(evictions);
        codes(&without).iter().any(|fault| !gone.contains(fault))
    }
}
