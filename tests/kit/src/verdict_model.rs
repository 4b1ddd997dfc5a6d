//! A cluster as plain tables, what a failure makes of it, and whether all that it displaces can be placed.
//!
//! Uses the public views of `lifeboat` and effective classes of `reference`; shares no code with planner, checker or
//! prover. Used by `verdict` and `verdict_replay`.
//!
//! The search puts every VM on every node. It leaves a branch only if a node is over-full, a rule is broken for good,
//! some VM left fits nowhere, all VMs left are together larger than all that is free, or the same state (what is free,
//! and where VMs under rules are) has failed before.

use crate::reference::effective;
use lifeboat::policy::Preemption;
use lifeboat::{
    Cluster, NODE_LEVEL, NodeId, NodeState, OnTimeout, Place, Priority, RestartClass, RuleKind, Strength, VmId, VmRef,
};
use std::collections::{BTreeMap, BTreeSet};

/// A cluster, with nodes and VMs by position.
pub(crate) struct Model<'a> {
    cluster: &'a Cluster,
    nodes: Vec<NodeId>,
    vms: Vec<ModelVm>,
    rules: Vec<ModelRule>,
}

struct ModelVm {
    id: VmId,
    on: bool,
    class: (RestartClass, Priority),
    own_class: RestartClass,
    preemptible: bool,
    node: Option<usize>,
    migrating_to: Option<usize>,
    demand: Vec<i128>,
    restart_demand: Vec<i128>,
    /// Per node: labels, and required `confine` and `exclude`.
    suits: Vec<bool>,
    /// Per node: `suits` and allowed nodes.
    eligible: Vec<bool>,
    /// Whom it gives up without.
    needs: Vec<usize>,
}

/// A required rule that binds several VMs.
struct ModelRule {
    name: String,
    members: Vec<usize>,
    /// Per node, its domain at the rule's level.
    domain: Vec<usize>,
    bond: Bond,
}

enum Bond {
    Separate {
        most: usize,
    },
    /// The side of every member.
    Sides(BTreeMap<usize, usize>),
    Together,
    Spread {
        min_domains: usize,
        max_skew: Option<usize>,
    },
    Follow {
        leader: usize,
    },
}

/// What a failure leaves, before anything is placed.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Per node: whether it takes restarts.
    pub(crate) target: Vec<bool>,
    /// Per VM, where it stays: its node, and the target of its migration.
    pub(crate) stays: Vec<Vec<usize>>,
    /// The VMs that all need a place.
    pub(crate) to_place: Vec<usize>,
    /// Powered-on VMs that are nowhere, covered or not.
    pub(crate) nowhere: Vec<usize>,
}

/// A plan that places all.
pub(crate) struct Found {
    /// VM and node.
    pub(crate) placed: Vec<(usize, usize)>,
    /// VM and the node it leaves.
    pub(crate) evicted: Vec<(usize, usize)>,
}

/// Why there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    Impossible,
    TooLong,
}

impl<'a> Model<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        let nodes: Vec<NodeId> = cluster.nodes().map(|node| node.id()).collect();
        let ids: Vec<VmId> = cluster.vms().map(VmRef::id).collect();
        let classes = effective(cluster);
        let position = |node: NodeId| nodes.iter().position(|known| *known == node).expect("a node");
        let vm_position = |vm: VmId| ids.iter().position(|known| *known == vm).expect("a VM");
        let wide = |amounts: &[u64]| amounts.iter().map(|amount| i128::from(*amount)).collect();
        let vms = cluster.vms().map(|vm| {
            let suits: Vec<bool> = nodes.iter().map(|node| suits(cluster, vm, *node)).collect();
            let allowed = vm.allowed_nodes();
            let is_allowed = |node| allowed.as_ref().is_none_or(|allowed| allowed.contains(node));
            let eligible = nodes.iter().zip(&suits).map(|(node, suits)| *suits && is_allowed(node)).collect();
            let needs = vm.starts_after().filter(|edge| edge.on_timeout == OnTimeout::GiveUp);
            ModelVm {
                id: vm.id(),
                on: vm.is_on(),
                class: classes[&vm.id()],
                own_class: vm.restart(),
                preemptible: vm.is_preemptible(),
                node: vm.node().map(position),
                migrating_to: vm.migrating_to().map(position),
                demand: wide(vm.demand()),
                restart_demand: wide(vm.restart_demand()),
                suits,
                eligible,
                needs: needs.map(|edge| vm_position(edge.vm)).collect(),
            }
        });
        let required = cluster.rules().filter(|rule| rule.strength() == Strength::Required);
        let rules = required.filter_map(|rule| {
            let (level, bond) = match rule.kind() {
                RuleKind::Confine(_) | RuleKind::Exclude(_) => return None,
                RuleKind::Separate { level, max_per_domain } => {
                    (level, Bond::Separate { most: max_per_domain as usize })
                }
                RuleKind::SeparateSides { level, sides } => {
                    let numbered = sides.iter().enumerate();
                    let sides = numbered.flat_map(|(side, vms)| vms.iter().map(move |vm| (vm_position(*vm), side)));
                    (level, Bond::Sides(sides.collect()))
                }
                RuleKind::Together { level } => (level, Bond::Together),
                RuleKind::Spread { level, min_domains, max_skew } => {
                    let max_skew = max_skew.map(|skew| skew as usize);
                    (level, Bond::Spread { min_domains: min_domains as usize, max_skew })
                }
                RuleKind::Follow { leader } => (NODE_LEVEL.to_string(), Bond::Follow { leader: vm_position(leader) }),
            };
            let members = rule.members().map(vm_position).collect();
            Some(ModelRule { name: rule.name().to_string(), members, domain: domains(cluster, &level), bond })
        });
        Self { cluster, vms: vms.collect(), rules: rules.collect(), nodes: nodes.clone() }
    }

    pub(crate) fn ids(&self, vms: &[usize]) -> Vec<VmId> {
        vms.iter().map(|vm| self.vms[*vm].id).collect()
    }

    pub(crate) fn named(&self, pairs: &[(usize, usize)]) -> Vec<(VmId, NodeId)> {
        pairs.iter().map(|(vm, node)| (self.vms[*vm].id, self.nodes[*node])).collect()
    }

    pub(crate) fn vm_position(&self, vm: VmId) -> Option<usize> {
        self.vms.iter().position(|known| known.id == vm)
    }

    pub(crate) fn node_position(&self, node: NodeId) -> Option<usize> {
        self.nodes.iter().position(|known| *known == node)
    }

    /// What is left when these nodes fail, and with them all that are unreachable. Covered are protected VMs of at least
    /// this priority, those in `without` excepted.
    pub(crate) fn scenario(
        &self,
        failed: &BTreeSet<NodeId>,
        min_priority: Option<Priority>,
        without: &BTreeSet<VmId>,
    ) -> Scenario {
        let state = |node: usize| self.cluster.node(self.nodes[node]).expect("a node").state();
        let lost = |node: usize| {
            failed.contains(&self.nodes[node])
                || matches!(state(node), NodeState::Failed | NodeState::Maintenance | NodeState::Unreachable)
        };
        let covered = |vm: &ModelVm| {
            vm.class.0 == RestartClass::Protected
                && min_priority.is_none_or(|least| vm.class.1 >= least)
                && !without.contains(&vm.id)
        };
        let (mut stays, mut nowhere) = (Vec::new(), Vec::new());
        for (position, vm) in self.vms.iter().enumerate() {
            let node = vm.node.filter(|node| vm.on && !lost(*node));
            // A migration ends with its source, and with its target.
            let target = vm.migrating_to.filter(|target| node.is_some() && !lost(*target));
            stays.push(node.into_iter().chain(target).collect::<Vec<usize>>());
            if vm.on && node.is_none() {
                nowhere.push(position);
            }
        }
        let to_place = nowhere.iter().copied().filter(|vm| covered(&self.vms[*vm])).collect();
        let target =
            (0..self.nodes.len()).map(|node| !lost(node) && state(node) == NodeState::Online).collect::<Vec<bool>>();
        Scenario { target, stays, to_place, nowhere }
    }

    /// Those to be placed for which no target is eligible and, empty, big enough.
    pub(crate) fn fitting_nowhere(&self, scenario: &Scenario) -> Vec<VmId> {
        let fits = |vm: &ModelVm, node: usize| {
            let most = self.cluster.node(self.nodes[node]).expect("a node").failover_allocatable();
            let mut kinds = vm.restart_demand.iter().zip(most);
            scenario.target[node] && vm.eligible[node] && kinds.all(|(size, most)| *size <= i128::from(*most))
        };
        let nowhere = |vm: &&usize| !(0..self.nodes.len()).any(|node| fits(&self.vms[**vm], node));
        scenario.to_place.iter().filter(nowhere).map(|vm| self.vms[*vm].id).collect()
    }

    /// What every node has free: what it can give after a failure, less the demand of what stays there or is on its way
    /// there. Below zero where that is more.
    fn free(&self, stays: &[Vec<usize>]) -> Vec<Vec<i128>> {
        let mut free: Vec<Vec<i128>> = Vec::new();
        for node in &self.nodes {
            let most = self.cluster.node(*node).expect("a node").failover_allocatable();
            free.push(most.iter().map(|amount| i128::from(*amount)).collect());
        }
        for (vm, nodes) in self.vms.iter().zip(stays) {
            for node in nodes {
                for (free, demand) in free[*node].iter_mut().zip(&vm.demand) {
                    *free -= demand;
                }
            }
        }
        free
    }

    /// A plan that gives every VM of a scenario its place. Nothing else is placed. Best-effort VMs may be evicted for it
    /// under any policy of preemption but `never`.
    pub(crate) fn place_all(&self, scenario: &Scenario, preemption: Preemption, limit: u64) -> Result<Found, Stop> {
        let mut steps = 0;
        let mut attempt = |evicted: &[usize]| {
            let mut stays = scenario.stays.clone();
            for vm in evicted {
                stays[*vm].clear();
            }
            let mut search = Search::new(self, scenario, stays, limit, steps);
            let found = search.run();
            steps = search.steps;
            let evicted = evicted.iter().map(|vm| (*vm, scenario.stays[*vm][0])).collect();
            found.map(|placed| Found { placed, evicted })
        };
        let first = attempt(&[]);
        if preemption == Preemption::Never || first.as_ref().err() != Some(&Stop::Impossible) {
            return first;
        }
        let may_go = |vm: &usize| {
            let model = &self.vms[*vm];
            model.class.0 == RestartClass::BestEffort && model.preemptible && !scenario.stays[*vm].is_empty()
        };
        // To evict a VM that stays never hurts, but for these two rules, of which it may be the member others go by.
        let (mut open, mut always) = (Vec::new(), Vec::new());
        for vm in (0..self.vms.len()).filter(may_go) {
            let bound = self
                .rules
                .iter()
                .any(|rule| rule.members.contains(&vm) && matches!(rule.bond, Bond::Together | Bond::Spread { .. }));
            if bound { open.push(vm) } else { always.push(vm) }
        }
        for set in 0..1_u64 << open.len() {
            let chosen = open.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1).map(|(_, vm)| *vm);
            let evicted: Vec<usize> = always.iter().copied().chain(chosen).collect();
            match attempt(&evicted) {
                Err(Stop::Impossible) => {}
                decided => return decided,
            }
        }
        Err(Stop::Impossible)
    }

    /// Everything that is wrong with a plan for a scenario, whoever made it and whomever it places.
    pub(crate) fn faults(
        &self,
        scenario: &Scenario,
        preemption: Preemption,
        placed: &[(usize, usize)],
        evicted: &[(usize, usize)],
    ) -> Vec<String> {
        let mut faults = Vec::new();
        let name = |vm: usize| self.cluster.vm(self.vms[vm].id).expect("a VM").name();
        let mut stays = scenario.stays.clone();
        for (vm, from) in evicted {
            let model = &self.vms[*vm];
            let runs_there = scenario.stays[*vm].first() == Some(from);
            let may_go = model.class.0 == RestartClass::BestEffort && model.preemptible;
            if preemption == Preemption::Never || !may_go || !runs_there {
                faults.push(format!("{} may not be evicted", name(*vm)));
            }
            stays[*vm].clear();
        }
        let mut at: Vec<Option<usize>> = vec![None; self.vms.len()];
        let mut free = self.free(&stays);
        for (vm, node) in placed {
            let model = &self.vms[*vm];
            // One that is evicted may be placed elsewhere.
            let waits = scenario.nowhere.contains(vm) || evicted.iter().any(|(evicted, _)| evicted == vm);
            if !waits || model.own_class == RestartClass::Never {
                faults.push(format!("{} is not to be placed", name(*vm)));
            }
            if at[*vm].replace(*node).is_some() {
                faults.push(format!("{} is placed twice", name(*vm)));
            }
            if !scenario.target[*node] || !model.eligible[*node] {
                faults.push(format!("{} cannot be where it is placed", name(*vm)));
            }
            for (free, size) in free[*node].iter_mut().zip(&model.restart_demand) {
                *free -= size;
            }
        }
        for (vm, node) in placed {
            let mut kinds = self.vms[*vm].restart_demand.iter().zip(&free[*node]);
            if kinds.any(|(size, free)| *size > 0 && *free < 0) {
                faults.push(format!("the node of {} is over-full", name(*vm)));
            }
            let up = |needed: &usize| at[*needed].is_some() || !stays[*needed].is_empty();
            if !self.vms[*vm].needs.iter().all(up) {
                faults.push(format!("what {} needs is not there", name(*vm)));
            }
        }
        for rule in &self.rules {
            if !self.kept(rule, &scenario.target, &stays, &at, true) {
                faults.push(format!("the rule {} is broken", rule.name));
            }
        }
        faults
    }

    /// Whether a required rule holds where VMs are placed. While VMs are still to be placed, whether it can.
    fn kept(
        &self,
        rule: &ModelRule,
        target: &[bool],
        stays: &[Vec<usize>],
        placed: &[Option<usize>],
        finished: bool,
    ) -> bool {
        let in_domain =
            |vm: usize, domain: usize| placed[vm].iter().chain(&stays[vm]).any(|node| rule.domain[*node] == domain);
        let count = |domain: usize| rule.members.iter().filter(|vm| in_domain(**vm, domain)).count();
        let receiving: BTreeSet<usize> =
            rule.members.iter().filter_map(|vm| placed[*vm]).map(|node| rule.domain[node]).collect();
        let staying: BTreeSet<usize> =
            rule.members.iter().flat_map(|vm| &stays[*vm]).map(|node| rule.domain[*node]).collect();
        match &rule.bond {
            Bond::Separate { most } => receiving.iter().all(|domain| count(*domain) <= *most),
            Bond::Sides(sides) => receiving.iter().all(|domain| {
                let here = rule.members.iter().filter(|vm| in_domain(**vm, *domain));
                here.map(|vm| sides[vm]).collect::<BTreeSet<usize>>().len() == 1
            }),
            Bond::Together => {
                receiving.len() <= 1 && (staying.is_empty() || receiving.iter().all(|domain| staying.contains(domain)))
            }
            Bond::Spread { min_domains, max_skew } => {
                if !finished || receiving.is_empty() {
                    return true;
                }
                let used = receiving.union(&staying).count();
                let up = rule.members.iter().filter(|vm| placed[**vm].is_some() || !stays[**vm].is_empty()).count();
                // Those that stay prevent more than one domain for each that is placed besides their own.
                let received = rule.members.iter().filter(|vm| placed[**vm].is_some()).count();
                let needed = (*min_domains).min(up).min(staying.len() + received);
                let counting = (0..self.nodes.len()).filter(|node| {
                    let takes = |vm: &usize| self.vms[*vm].on && self.vms[*vm].suits[*node];
                    target[*node] && rule.members.iter().any(takes)
                });
                let least = counting.map(|node| count(rule.domain[node])).min().unwrap_or(0);
                used >= needed
                    && max_skew.is_none_or(|skew| receiving.iter().all(|domain| count(*domain) <= least + skew))
            }
            Bond::Follow { leader } => {
                let leader: Vec<usize> = placed[*leader].iter().chain(&stays[*leader]).copied().collect();
                let mut placed = rule.members.iter().filter_map(|vm| placed[*vm]);
                leader.is_empty() || placed.all(|node| leader.contains(&node))
            }
        }
    }
}

/// Labels, and required `confine` and `exclude` rules.
fn suits(cluster: &Cluster, vm: VmRef<'_>, node: NodeId) -> bool {
    let at = cluster.node(node).expect("a node");
    let means = |place: &Place| {
        place.nodes.contains(&node)
            || place.labels.iter().any(|label| at.has_label(label))
            || place.domains.iter().any(|(level, name)| at.domain(level) == Some(name.as_str()))
    };
    let mut required = cluster.rules().filter(|rule| rule.strength() == Strength::Required);
    vm.requires().iter().all(|label| at.has_label(label))
        && required.all(|rule| match rule.kind() {
            RuleKind::Confine(place) => means(&place) || !rule.members().any(|member| member == vm.id()),
            RuleKind::Exclude(place) => !means(&place) || !rule.members().any(|member| member == vm.id()),
            _ => true,
        })
}

/// The domain of every node at a level, by number; a node without one is one of its own.
fn domains(cluster: &Cluster, level: &str) -> Vec<usize> {
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    let mut domains = Vec::new();
    for (position, node) in cluster.nodes().enumerate() {
        let domain = node.domain(level).map_or(position, |name| *named.entry(name).or_insert(position));
        domains.push(domain);
    }
    domains
}

/// The search for one plan.
struct Search<'a> {
    model: &'a Model<'a>,
    scenario: &'a Scenario,
    stays: Vec<Vec<usize>>,
    free: Vec<Vec<i128>>,
    /// What is to be placed, what has fewest nodes and is largest first.
    items: Vec<usize>,
    placed: Vec<Option<usize>>,
    /// Per VM: whether a rule speaks of it.
    bound: Vec<bool>,
    failed: BTreeSet<State>,
    steps: u64,
    limit: u64,
}

/// How far the search is, what is free, and where the VMs under rules are: what the rest of it depends on.
type State = (usize, Vec<Vec<i128>>, Vec<Option<usize>>);

impl<'a> Search<'a> {
    fn new(model: &'a Model<'a>, scenario: &'a Scenario, stays: Vec<Vec<usize>>, limit: u64, steps: u64) -> Self {
        let nodes_for = |vm: &usize| {
            (0..model.nodes.len()).filter(|node| scenario.target[*node] && model.vms[*vm].eligible[*node]).count()
        };
        let mut items = scenario.to_place.clone();
        items.sort_by_key(|vm| (nodes_for(vm), std::cmp::Reverse(model.vms[*vm].restart_demand.clone())));
        let leads = |rule: &ModelRule, vm: usize| matches!(rule.bond, Bond::Follow { leader } if leader == vm);
        let bound = (0..model.vms.len())
            .map(|vm| model.rules.iter().any(|rule| rule.members.contains(&vm) || leads(rule, vm)))
            .collect();
        let placed = vec![None; model.vms.len()];
        let free = model.free(&stays);
        Self { model, scenario, stays, free, items, placed, bound, failed: BTreeSet::new(), steps, limit }
    }

    fn run(&mut self) -> Result<Vec<(usize, usize)>, Stop> {
        // Whom a placed VM needs runs, or is placed with it.
        let there = |vm: &usize| self.items.contains(vm) || !self.stays[*vm].is_empty();
        if !self.items.iter().all(|vm| self.model.vms[*vm].needs.iter().all(there)) {
            return Err(Stop::Impossible);
        }
        self.go(0)?;
        Ok(self.items.iter().map(|vm| (*vm, self.placed[*vm].expect("a place"))).collect())
    }

    fn go(&mut self, at: usize) -> Result<(), Stop> {
        self.steps += 1;
        if self.steps > self.limit {
            return Err(Stop::TooLong);
        }
        let Some(vm) = self.items.get(at).copied() else {
            return if self.rules_hold(true) { Ok(()) } else { Err(Stop::Impossible) };
        };
        if !self.can_fit(at) {
            return Err(Stop::Impossible);
        }
        let spots = self.placed.iter().zip(&self.bound).map(|(spot, bound)| spot.filter(|_| *bound)).collect();
        let state = (at, self.free.clone(), spots);
        if self.failed.contains(&state) {
            return Err(Stop::Impossible);
        }
        for node in 0..self.model.nodes.len() {
            if !self.fits(vm, node) {
                continue;
            }
            self.take(vm, node, -1);
            self.placed[vm] = Some(node);
            let result = if self.rules_hold(false) { self.go(at + 1) } else { Err(Stop::Impossible) };
            if result != Err(Stop::Impossible) {
                return result;
            }
            self.placed[vm] = None;
            self.take(vm, node, 1);
        }
        self.failed.insert(state);
        Err(Stop::Impossible)
    }

    fn fits(&self, vm: usize, node: usize) -> bool {
        let vm = &self.model.vms[vm];
        let mut kinds = vm.restart_demand.iter().zip(&self.free[node]);
        // Of a kind that it does not need a node may have less than nothing.
        self.scenario.target[node] && vm.eligible[node] && kinds.all(|(size, free)| *size == 0 || size <= free)
    }

    fn take(&mut self, vm: usize, node: usize, sign: i128) {
        for (size, free) in self.model.vms[vm].restart_demand.iter().zip(&mut self.free[node]) {
            *free += sign * size;
        }
    }

    /// Each VM left fits somewhere, and all of them into all that is free.
    fn can_fit(&self, at: usize) -> bool {
        let left = &self.items[at..];
        let targets = || (0..self.model.nodes.len()).filter(|node| self.scenario.target[*node]);
        left.iter().all(|vm| targets().any(|node| self.fits(*vm, node)))
            && (0..self.model.cluster.kinds().len()).all(|kind| {
                let needed: i128 = left.iter().map(|vm| self.model.vms[*vm].restart_demand[kind]).sum();
                needed <= targets().map(|node| self.free[node][kind].max(0)).sum()
            })
    }

    fn rules_hold(&self, finished: bool) -> bool {
        let kept = |rule| self.model.kept(rule, &self.scenario.target, &self.stays, &self.placed, finished);
        self.model.rules.iter().all(kept)
    }
}
