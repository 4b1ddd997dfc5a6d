//! An adversary for certificates of clusters of any size: it sees the plans, and loses next what they lean on.
//!
//! Uses the public views of `lifeboat`, and nothing that makes plans or verdicts. Used by tests of guarantees.
//! `verdict_replay` plays every loss of a small cluster; this one plays very many of a large one. So it judges a restart
//! at the cost of what it moves: [`Table`] keeps what every node has free and where the members of every rule are, and
//! takes a restart back when the game is over. The checker of plans judges a sample besides, on a cluster that is
//! brought into the same state.

use crate::Choices;
use lifeboat::{
    Cluster, Failure, NODE_LEVEL, NodeId, NodeState, OnTimeout, Priority, RestartClass, RuleKind, Strength, VmId,
    check_placements,
};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A cluster in the middle of a game, by positions.
pub struct Table<'c> {
    cluster: &'c Cluster,
    nodes: Vec<NodeId>,
    node_at: BTreeMap<NodeId, usize>,
    vms: Vec<VmId>,
    vm_at: BTreeMap<VmId, usize>,
    kinds: usize,
    /// Whether a certificate speaks of the VM.
    covered: Vec<bool>,
    demand: Vec<u64>,
    restart_demand: Vec<u64>,
    /// Per node and kind.
    free: Vec<u64>,
    up: Vec<bool>,
    accepts: Vec<bool>,
    /// Where each VM runs; nothing if it is off or displaced.
    place: Vec<Option<usize>>,
    /// Per node who was put there and may have left since.
    guests: Vec<Vec<usize>>,
    rules: Vec<TableRule>,
    rules_of: Vec<Vec<usize>>,
    needs: Vec<Vec<usize>>,
    log: Vec<Step>,
}

/// A required rule that binds several VMs.
struct TableRule {
    name: String,
    members: Vec<usize>,
    /// Per node; one table for all rules of a level.
    domain: Rc<Vec<usize>>,
    bond: Bond,
}

enum Bond {
    Separate(usize),
    Sides(BTreeMap<usize, usize>),
    Together,
    Spread(usize),
    Follow(usize),
}

/// What can be taken back.
enum Step {
    Lost { node: usize, accepted: bool },
    Left { vm: usize, node: usize },
    Came { vm: usize, node: usize },
}

impl<'c> Table<'c> {
    /// The cluster before any loss. Covered are protected VMs of at least this priority, those in `without` excepted.
    ///
    /// # Panics
    /// If it has VMs in migration, nodes that are not online, or `spread` rules with a skew: the table does not know them.
    #[must_use]
    pub fn new(cluster: &'c Cluster, least: Option<Priority>, without: &BTreeSet<VmId>) -> Self {
        let nodes: Vec<NodeId> = cluster.nodes().map(|node| node.id()).collect();
        let node_at: BTreeMap<NodeId, usize> = nodes.iter().enumerate().map(|(at, node)| (*node, at)).collect();
        let vms: Vec<VmId> = cluster.vms().map(|vm| vm.id()).collect();
        let vm_at: BTreeMap<VmId, usize> = vms.iter().enumerate().map(|(at, vm)| (*vm, at)).collect();
        let kinds = cluster.kinds().len();
        let mut table = Self {
            cluster,
            kinds,
            covered: Vec::new(),
            demand: Vec::new(),
            restart_demand: Vec::new(),
            free: Vec::new(),
            up: Vec::new(),
            accepts: Vec::new(),
            place: Vec::new(),
            guests: vec![Vec::new(); nodes.len()],
            rules: Vec::new(),
            rules_of: vec![Vec::new(); vms.len()],
            needs: Vec::new(),
            log: Vec::new(),
            nodes,
            node_at,
            vms,
            vm_at,
        };
        for node in cluster.nodes() {
            assert_eq!(node.state(), NodeState::Online, "the table knows nodes that are online");
            let free = node.failover_allocatable().iter().zip(node.used());
            table.free.extend(free.map(|(most, used)| most.saturating_sub(*used)));
            table.up.push(true);
            table.accepts.push(true);
        }
        for (at, vm) in cluster.vms().enumerate() {
            assert!(vm.migrating_to().is_none(), "the table knows no migrations");
            let (class, priority) = vm.effective();
            let counts = vm.is_on() && class == RestartClass::Protected;
            table.covered.push(counts && least.is_none_or(|least| priority >= least) && !without.contains(&vm.id()));
            table.demand.extend_from_slice(vm.demand());
            table.restart_demand.extend_from_slice(vm.restart_demand());
            let node = vm.node().filter(|_| vm.is_on()).map(|node| table.node_at[&node]);
            table.place.push(node);
            if let Some(node) = node {
                table.guests[node].push(at);
            }
            let needs = vm.starts_after().filter(|edge| edge.on_timeout == OnTimeout::GiveUp);
            table.needs.push(needs.map(|edge| table.vm_at[&edge.vm]).collect());
        }
        table.read_rules();
        table
    }

    fn read_rules(&mut self) {
        let mut levels: BTreeMap<String, Rc<Vec<usize>>> = BTreeMap::new();
        for rule in self.cluster.rules().filter(|rule| rule.strength() == Strength::Required) {
            let at = |vm: VmId| self.vm_at[&vm];
            let (level, bond) = match rule.kind() {
                RuleKind::Confine(_) | RuleKind::Exclude(_) => continue,
                RuleKind::Separate { level, max_per_domain } => (level, Bond::Separate(max_per_domain as usize)),
                RuleKind::SeparateSides { level, sides } => {
                    let numbered = sides.iter().enumerate();
                    let sides = numbered.flat_map(|(side, vms)| vms.iter().map(move |vm| (*vm, side)));
                    (level, Bond::Sides(sides.map(|(vm, side)| (at(vm), side)).collect()))
                }
                RuleKind::Together { level } => (level, Bond::Together),
                RuleKind::Spread { level, min_domains, max_skew: None } => (level, Bond::Spread(min_domains as usize)),
                RuleKind::Spread { .. } => panic!("the table knows no skew"),
                RuleKind::Follow { leader } => (NODE_LEVEL.to_string(), Bond::Follow(at(leader))),
            };
            let members: Vec<usize> = rule.members().map(at).collect();
            let domain = Rc::clone(levels.entry(level.clone()).or_insert_with(|| domains(self.cluster, &level)));
            let leader = if let Bond::Follow(leader) = &bond { Some(*leader) } else { None };
            for vm in members.iter().copied().chain(leader) {
                self.rules_of[vm].push(self.rules.len());
            }
            self.rules.push(TableRule { name: rule.name().to_string(), members, domain, bond });
        }
    }

    /// The VMs that a certificate speaks of and that run on these nodes.
    fn hit(&self, nodes: &BTreeSet<usize>) -> BTreeSet<usize> {
        let guests = nodes.iter().flat_map(|node| self.guests[*node].iter().map(move |vm| (*vm, *node)));
        guests.filter(|(vm, node)| self.place[*vm] == Some(*node)).map(|(vm, _)| vm).collect()
    }

    /// Loses nodes and puts VMs on others; what is wrong with that. What was done stays done until [`undo`](Self::undo).
    ///
    /// # Panics
    /// If a VM or node is not there.
    pub fn lose(&mut self, lost: &BTreeSet<NodeId>, placements: &[(VmId, NodeId)]) -> Vec<String> {
        let lost: BTreeSet<usize> = lost.iter().map(|node| self.node_at[node]).collect();
        let hit = self.hit(&lost);
        for node in &lost {
            self.log.push(Step::Lost { node: *node, accepted: self.accepts[*node] });
            self.up[*node] = false;
            self.accepts[*node] = false;
        }
        for vm in &hit {
            let node = self.place[*vm].take().expect("it was there");
            self.log.push(Step::Left { vm: *vm, node });
        }
        let mut faults = Vec::new();
        let placed: BTreeMap<usize, usize> =
            placements.iter().map(|(vm, node)| (self.vm_at[vm], self.node_at[node])).collect();
        if placed.len() != placements.len() {
            faults.push("a VM is placed twice".to_string());
        }
        for vm in hit.iter().filter(|vm| self.covered[**vm] && !placed.contains_key(vm)) {
            faults.push(format!("{} has no place", self.name(*vm)));
        }
        for (vm, node) in &placed {
            if self.place[*vm].is_some() {
                faults.push(format!("{} runs and is placed", self.name(*vm)));
                continue;
            }
            if !self.accepts[*node] || !self.suits(*vm, *node) {
                faults.push(format!("{} cannot run where it is put", self.name(*vm)));
            }
            self.place[*vm] = Some(*node);
            self.guests[*node].push(*vm);
            self.log.push(Step::Came { vm: *vm, node: *node });
        }
        self.check_room(&placed, &mut faults);
        self.check_rules(&placed, &mut faults);
        for vm in placed.keys() {
            for needed in self.needs[*vm].iter().filter(|needed| self.place[**needed].is_none()) {
                faults.push(format!("{} needs {}, which does not run", self.name(*vm), self.name(*needed)));
            }
        }
        faults
    }

    /// Takes the restarts of a game back.
    pub fn undo(&mut self) {
        while let Some(step) = self.log.pop() {
            match step {
                Step::Lost { node, accepted } => {
                    self.up[node] = true;
                    self.accepts[node] = accepted;
                }
                Step::Left { vm, node } => self.place[vm] = Some(node),
                Step::Came { vm, node } => {
                    self.place[vm] = None;
                    self.guests[node].pop();
                    for kind in 0..self.kinds {
                        self.free[node * self.kinds + kind] += self.demand[vm * self.kinds + kind];
                    }
                }
            }
        }
    }

    /// Starts take `restart_demand` all at once; what runs then holds `demand`.
    fn check_room(&mut self, placed: &BTreeMap<usize, usize>, faults: &mut Vec<String>) {
        let mut needs: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (vm, node) in placed {
            let need = needs.entry(*node).or_insert_with(|| vec![0; self.kinds]);
            for (kind, need) in need.iter_mut().enumerate() {
                *need += self.restart_demand[vm * self.kinds + kind];
            }
        }
        for (node, need) in &needs {
            for (kind, need) in need.iter().enumerate() {
                let free = self.free[node * self.kinds + kind];
                if *need > free {
                    let name = self.cluster.node(self.nodes[*node]).expect("a node").name();
                    faults.push(format!("{name} has {free} of kind {kind}, and {need} are put there"));
                }
            }
        }
        for (vm, node) in placed {
            for kind in 0..self.kinds {
                let free = &mut self.free[node * self.kinds + kind];
                // Demands beyond the room were told above; the sum must come back when it is undone.
                *free = free.wrapping_sub(self.demand[vm * self.kinds + kind]);
            }
        }
    }

    /// Every required rule of what was placed, on the state afterwards, where placed VMs are (SPEC.md 1).
    fn check_rules(&self, placed: &BTreeMap<usize, usize>, faults: &mut Vec<String>) {
        let touched: BTreeSet<usize> = placed.keys().flat_map(|vm| self.rules_of[*vm].iter().copied()).collect();
        for rule in touched.into_iter().map(|at| &self.rules[at]) {
            let up: Vec<(usize, usize)> =
                rule.members.iter().filter_map(|vm| Some((*vm, rule.domain[self.place[*vm]?]))).collect();
            let new = |(vm, _): &&(usize, usize)| placed.contains_key(vm);
            let receives: BTreeSet<usize> = up.iter().filter(new).map(|(_, domain)| *domain).collect();
            let inside = |domain: usize| up.iter().filter(move |(_, other)| *other == domain);
            let stays: BTreeSet<usize> = up.iter().filter(|member| !new(member)).map(|(_, domain)| *domain).collect();
            let broken = match &rule.bond {
                Bond::Separate(most) => receives.iter().any(|domain| inside(*domain).count() > *most),
                Bond::Sides(side) => receives
                    .iter()
                    .any(|domain| inside(*domain).map(|(vm, _)| side[vm]).collect::<BTreeSet<_>>().len() > 1),
                Bond::Together => {
                    receives.len() > 1 || (!stays.is_empty() && !receives.iter().all(|domain| stays.contains(domain)))
                }
                Bond::Spread(least) => {
                    let used: BTreeSet<usize> = up.iter().map(|(_, domain)| *domain).collect();
                    let reachable = stays.len() + up.iter().filter(new).count();
                    !receives.is_empty() && used.len() < (*least).min(up.len()).min(reachable)
                }
                Bond::Follow(leader) => self.place[*leader]
                    .is_some_and(|leader| up.iter().filter(new).any(|(vm, _)| self.place[*vm] != Some(leader))),
            };
            if broken {
                faults.push(format!("rule '{}' is broken", rule.name));
            }
        }
    }

    fn suits(&self, vm: usize, node: usize) -> bool {
        let (vm, node) =
            (self.cluster.vm(self.vms[vm]).expect("a VM"), self.cluster.node(self.nodes[node]).expect("a node"));
        vm.requires().into_iter().all(|label| node.has_label(label))
            && vm.allowed_nodes().is_none_or(|nodes| nodes.contains(&node.id()))
            && vm.rules().filter_map(|rule| self.cluster.rule(rule).ok()).all(|rule| match rule.kind() {
                _ if rule.strength() != Strength::Required => true,
                RuleKind::Confine(_) => rule.means_node(node.id()),
                RuleKind::Exclude(_) => !rule.means_node(node.id()),
                _ => true,
            })
    }

    fn name(&self, vm: usize) -> String {
        self.cluster.vm(self.vms[vm]).expect("a VM").name().to_string()
    }

    /// Nodes that took most of what was restarted in this game, the most used first.
    fn leaned_on(&self) -> Vec<NodeId> {
        let mut count: BTreeMap<usize, usize> = BTreeMap::new();
        for step in &self.log {
            if let Step::Came { vm, node } = step {
                if self.place[*vm] == Some(*node) {
                    *count.entry(*node).or_default() += 1;
                }
            }
        }
        let mut nodes: Vec<(usize, usize)> = count.into_iter().map(|(node, count)| (count, node)).collect();
        nodes.sort_unstable_by(|left, right| right.cmp(left));
        nodes.into_iter().map(|(_, node)| self.nodes[node]).collect()
    }
}

/// The domain of every node at a level, by number; a node without one has its own.
fn domains(cluster: &Cluster, level: &str) -> Rc<Vec<usize>> {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let domain = cluster.nodes().map(|node| {
        let name = if level == NODE_LEVEL { None } else { node.domain(level) };
        let key = name.map_or_else(|| format!("node {}", node.name()), |name| format!("domain {name}"));
        let next = numbers.len();
        *numbers.entry(key).or_insert(next)
    });
    Rc::new(domain.collect())
}

/// Something to lose as a whole.
#[derive(Clone, Debug)]
pub struct Target {
    /// What tier of the class it belongs to.
    pub tier: usize,
    /// Its nodes.
    pub nodes: BTreeSet<NodeId>,
}

/// The losses that a class allows.
#[derive(Clone, Debug)]
pub struct Tolerance {
    /// How many of each tier.
    pub counts: Vec<usize>,
    /// All units.
    pub units: Vec<Target>,
    tier_units: Vec<Vec<usize>>,
    unit_of: Vec<BTreeMap<NodeId, usize>>,
}

impl Tolerance {
    /// So many units of each of these levels.
    #[must_use]
    pub fn new(cluster: &Cluster, fail: &[(String, u32)]) -> Self {
        let mut tolerance = Self { counts: Vec::new(), units: Vec::new(), tier_units: Vec::new(), unit_of: Vec::new() };
        for (tier, (level, count)) in fail.iter().enumerate() {
            tolerance.counts.push(*count as usize);
            let mut here = Vec::new();
            let mut unit_of = BTreeMap::new();
            for unit in crate::verdict::units(cluster, level) {
                for node in &unit.nodes {
                    unit_of.insert(*node, tolerance.units.len());
                }
                here.push(tolerance.units.len());
                tolerance.units.push(Target { tier, nodes: unit.nodes.into_iter().collect() });
            }
            tolerance.tier_units.push(here);
            tolerance.unit_of.push(unit_of);
        }
        tolerance
    }
}

/// How one game goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// How many units each batch has.
    pub batches: Vec<usize>,
    /// Whether it loses what the plans lean on, instead of anything.
    pub aimed: bool,
}

impl Script {
    /// A way to lose so many units: at once, one after another, or in batches.
    #[must_use]
    pub fn any(choices: &mut Choices<'_>, units: usize, at_once_only: bool) -> Self {
        let aimed = choices.chance(2, 3);
        let batches = match choices.below(3) {
            _ if at_once_only || units < 2 => vec![units],
            0 => vec![units],
            1 => vec![1; units],
            _ => {
                let mut left = units;
                let mut batches = Vec::new();
                while left > 0 {
                    let next = 1 + choices.index(left);
                    batches.push(next);
                    left -= next;
                }
                batches
            }
        };
        Self { batches, aimed }
    }
}

/// What was played.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Score {
    /// Games.
    pub games: u64,
    /// Losses answered.
    pub losses: u64,
    /// VMs restarted.
    pub restarts: u64,
    /// Restarts that the checker of plans judged besides.
    pub checked: u64,
}

/// Plays one game: `answer` gets what is lost now and says where VMs start, or nothing if it has no answer. `peek` says
/// the same of a loss that does not happen. `full`: the checker of plans judges every step, too.
///
/// # Errors
/// The losses, and what is wrong with the answer to the last.
///
/// # Panics
/// If an answer names what is not there.
#[expect(clippy::too_many_arguments, reason = "the parts of a game, borrowed one by one")]
pub fn play(
    table: &mut Table<'_>,
    tolerance: &Tolerance,
    script: &Script,
    choices: &mut Choices<'_>,
    full: bool,
    score: &mut Score,
    mut peek: impl FnMut(&BTreeSet<NodeId>) -> Option<Vec<(VmId, NodeId)>>,
    mut answer: impl FnMut(Option<&Cluster>, &BTreeSet<NodeId>) -> Option<Vec<(VmId, NodeId)>>,
) -> Result<(), String> {
    let mut left = tolerance.counts.clone();
    let mut gone: BTreeSet<NodeId> = BTreeSet::new();
    let mut now = full.then(|| table.cluster.clone());
    let mut told: Vec<Vec<NodeId>> = Vec::new();
    let result = (|| {
        for batch in &script.batches {
            let mut lost: BTreeSet<NodeId> = BTreeSet::new();
            for _ in 0..*batch {
                let aims = if !script.aimed {
                    Vec::new()
                } else if lost.is_empty() {
                    table.leaned_on()
                } else {
                    // Where what is lost in this batch would go by itself.
                    let mut nodes: Vec<NodeId> = peek(&lost).into_iter().flatten().map(|(_, node)| node).collect();
                    choices.shuffle(&mut nodes);
                    nodes
                };
                let Some(unit) = pick(tolerance, &left, &gone, &lost, &aims, choices) else { continue };
                left[unit.tier] -= 1;
                lost.extend(unit.nodes.iter().filter(|node| !gone.contains(node)));
            }
            if lost.is_empty() {
                continue;
            }
            told.push(lost.iter().copied().collect());
            let placements = answer(now.as_ref(), &lost).ok_or("no answer")?;
            score.losses += 1;
            score.restarts += placements.len() as u64;
            let mut faults = table.lose(&lost, &placements);
            if let Some(cluster) = &mut now {
                let failure = Failure::of(lost.iter().copied());
                let judged = check_placements(cluster, &failure, &placements, &[]);
                faults.extend(judged.err().into_iter().flatten().map(|fault| fault.to_string()));
                score.checked += 1;
                for node in &lost {
                    cluster.set_node_state(*node, NodeState::Failed).expect("a node");
                }
                for (vm, node) in &placements {
                    cluster.move_vm(*vm, Some(*node)).expect("a VM that waits");
                }
            }
            if !faults.is_empty() {
                return Err(faults.join("; "));
            }
            gone.extend(lost);
        }
        Ok(())
    })();
    table.undo();
    score.games += 1;
    result.map_err(|why: String| {
        let name = |node: &NodeId| table.cluster.node(*node).expect("a node").name().to_string();
        let told: Vec<Vec<String>> = told.iter().map(|batch| batch.iter().map(name).collect()).collect();
        format!("{script:?} {told:?}: {why}")
    })
}

/// A unit that may still be lost and takes something that is up; one that holds an aim if there is one.
fn pick<'t>(
    tolerance: &'t Tolerance,
    left: &[usize],
    gone: &BTreeSet<NodeId>,
    lost: &BTreeSet<NodeId>,
    aims: &[NodeId],
    choices: &mut Choices<'_>,
) -> Option<&'t Target> {
    let open: Vec<usize> = (0..left.len()).filter(|tier| left[*tier] > 0).collect();
    if open.is_empty() {
        return None;
    }
    let fresh = |unit: &Target| unit.nodes.iter().any(|node| !gone.contains(node) && !lost.contains(node));
    let tier = choices.pick(&open);
    for aim in aims.iter().take(8) {
        if let Some(unit) =
            tolerance.unit_of[tier].get(aim).map(|unit| &tolerance.units[*unit]).filter(|unit| fresh(unit))
        {
            return Some(unit);
        }
    }
    let any = &tolerance.tier_units[tier];
    (0..20).map(|_| &tolerance.units[choices.pick(any)]).find(|unit| fresh(unit))
}
