//! What would help a VM without a place: more room on a node, a live move, a rule that gives way.
//!
//! Uses `cluster`, `failure`, a plan as data, `Planner::explain` for where to look, and the independent checker for
//! whether it is true: nothing is named that the checker does not accept. Called by whoever asks; a plan is made without
//! it. Two moves, where one does not do, are looked for in `two_moves`.

mod two_moves;

use super::checker::{PlanFault, check_placements};
use super::plan::{Reason, RestartPlan};
use super::planner::{PlanError, Planner};
use crate::cluster::{Cluster, NodeRef, NodeState, RuleKind, RuleRef, Strength, VmRef};
use crate::dense::fits;
use crate::failure::Failure;
use crate::ids::{NodeId, RuleId, VmId};
use crate::placement::budget::Control;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How many changes are tried for one VM, at the most; fewer beside a plan of many placements.
const TRIALS: usize = 256;
/// How many placements all trials for one VM may look at together.
const LOOKS: usize = 400_000;

/// One change that would give a VM its place, all else as the plan has it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Help {
    /// A node with so much more would take it: the node where the least is missing, by the kind of which the largest
    /// part of the VM's need is missing.
    MoreRoom {
        /// The node.
        node: NodeId,
        /// Positions of kinds, and how much of each is missing.
        missing: Vec<(usize, u64)>,
    },
    /// Another VM moves away while it runs.
    Move {
        /// That VM.
        vm: VmId,
        /// Where it runs, and the unplaced VM could then start.
        from: NodeId,
        /// Where it could go.
        to: NodeId,
    },
    /// Two VMs move, one after the other, while they run.
    TwoMoves {
        /// The first move.
        first: LiveMove,
        /// The second: what the unplaced VM could then start on is the node that one of the two leaves.
        second: LiveMove,
        /// That node.
        node: NodeId,
    },
    /// A required rule gives way: with strength `relaxed` it would.
    Relax {
        /// The rule.
        rule: RuleId,
        /// A node that would then take the VM.
        node: NodeId,
    },
}

/// A VM that moves while it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiveMove {
    /// The VM.
    pub vm: VmId,
    /// Where it runs.
    pub from: NodeId,
    /// Where it goes.
    pub to: NodeId,
}

impl Help {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MoreRoom { .. } => "more_room",
            Self::Move { .. } => "move",
            Self::TwoMoves { .. } => "two_moves",
            Self::Relax { .. } => "relax",
        }
    }

    /// The change in words.
    #[must_use]
    pub fn message(&self, cluster: &Cluster) -> String {
        let node = |id: NodeId| cluster.node(id).map_or("?", NodeRef::name);
        match self {
            Self::MoreRoom { node: at, missing } => {
                let amounts: Vec<String> = missing
                    .iter()
                    .filter_map(|(position, amount)| Some((cluster.kinds().get(*position)?, amount)))
                    .map(|(kind, amount)| {
                        let unit = if kind.unit.is_empty() { String::new() } else { format!(" {}", kind.unit) };
                        format!("{amount}{unit} of {}", kind.name)
                    })
                    .collect();
                format!("{} more on {} would do", amounts.join(" and "), node(*at))
            }
            Self::Move { vm, from, to } => {
                let name = cluster.vm(*vm).map_or("?", VmRef::name);
                format!("moving '{name}' from {} to {} would make room", node(*from), node(*to))
            }
            Self::TwoMoves { first, second, node: at } => {
                let words = |step: &LiveMove| {
                    let name = cluster.vm(step.vm).map_or("?", VmRef::name);
                    format!("'{name}' from {} to {}", node(step.from), node(step.to))
                };
                format!("moving {} and then {} would make room on {}", words(first), words(second), node(*at))
            }
            Self::Relax { rule, node: at } => {
                let name = cluster.rule(*rule).map_or("?", RuleRef::name);
                format!("rule '{name}' with strength `relaxed` would let it start on {}", node(*at))
            }
        }
    }
}

impl Planner {
    /// What would give a VM that a plan leaves out its place: at most one of each sort of [`Help`] (two moves only
    /// where one does not do), and of rules each
    /// that alone is in the way.
    ///
    /// Each is replayed through the independent checker: with it, the plan and the VM beside it are legal. A move obeys
    /// `migratable`, `migrate_requires`, ordinary room on its target, and every required and relaxed rule while it is under
    /// way and after it. Work is limited, and the likeliest is tried first: that nothing is named proves nothing. For a VM
    /// that lacks a prerequisite nothing is named: help the other one.
    ///
    /// Costs a look at every node, two copies of the cluster, and at the most some hundred checks of the plan and 400,000
    /// comparisons of a VM with the room of a node.
    ///
    /// ```
    /// use lifeboat::{Cluster, Failure, Help, Node, Planner, Policy, ResourceKinds, Vm};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, [""; 0])?;
    /// let one = cluster.add_node(Node::named("one").capacity([8]))?;
    /// let two = cluster.add_node(Node::named("two").capacity([8]))?;
    /// let vm = cluster.add_vm(Vm::named("db").demand([6]).on(one))?;
    /// cluster.add_vm(Vm::named("other").demand([5]).on(two))?;
    ///
    /// let failure = Failure::of([one]);
    /// let mut planner = Planner::new();
    /// let plan = planner.restart(&cluster, &Policy::default(), &failure)?;
    /// let help = planner.help(&cluster, &failure, &plan, vm)?;
    /// assert_eq!(help, [Help::MoreRoom { node: two, missing: vec![(0, 3)] }]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Ids of the failure, the plan or the VM that are not in the cluster.
    pub fn help(
        &mut self,
        cluster: &Cluster,
        failure: &Failure,
        plan: &RestartPlan,
        vm: VmId,
    ) -> Result<Vec<Help>, PlanError> {
        self.find_help(cluster, failure, plan, vm, None)
    }

    /// The same, stopped through `control`.
    ///
    /// # Errors
    /// Besides, [`PlanError::Cancelled`].
    pub fn help_controlled(
        &mut self,
        cluster: &Cluster,
        failure: &Failure,
        plan: &RestartPlan,
        vm: VmId,
        control: &Control,
    ) -> Result<Vec<Help>, PlanError> {
        self.find_help(cluster, failure, plan, vm, Some(control))
    }

    fn find_help(
        &mut self,
        cluster: &Cluster,
        failure: &Failure,
        plan: &RestartPlan,
        vm: VmId,
        control: Option<&Control>,
    ) -> Result<Vec<Help>, PlanError> {
        let cancelled = || control.is_some_and(Control::is_cancelled);
        if cancelled() {
            return Err(PlanError::Cancelled);
        }
        let left_out = plan.unplaced.iter().find(|unplaced| unplaced.vm == vm);
        let lacks = |reason: &Reason| matches!(reason, Reason::Prerequisite { .. });
        if left_out.is_none_or(|unplaced| unplaced.reasons.iter().any(|count| lacks(&count.reason))) {
            return Ok(Vec::new());
        }
        let table = self.explain(cluster, failure, plan, vm)?;
        let mut placements: Vec<(VmId, NodeId)> = plan.placements.iter().map(|start| (start.vm, start.node)).collect();
        let looks = placements.len().saturating_add(1);
        placements.push((vm, NodeId::from_bits(0)));
        let search = Search {
            failure,
            evictions: plan.evictions.iter().map(|eviction| (eviction.vm, eviction.node)).collect(),
            evicted: plan.evictions.iter().map(|eviction| eviction.vm).collect(),
            trials: LOOKS.checked_div(looks).unwrap_or(0).clamp(8, TRIALS),
            placements,
            control,
        };
        let found = search.run(cluster, vm, &table);
        if cancelled() { Err(PlanError::Cancelled) } else { Ok(found) }
    }
}

struct Search<'a> {
    failure: &'a Failure,
    control: Option<&'a Control>,
    /// The plan's, and last the VM to help.
    placements: Vec<(VmId, NodeId)>,
    evictions: Vec<(VmId, NodeId)>,
    evicted: BTreeSet<VmId>,
    /// How many more changes may be tried.
    trials: usize,
}

impl Search<'_> {
    fn run(mut self, cluster: &Cluster, vm: VmId, table: &[(NodeId, Option<Reason>)]) -> Vec<Help> {
        let mut help = Vec::new();
        let mut short: Vec<(NodeId, u64, u64)> = Vec::new();
        let mut barred: Vec<(NodeId, RuleId)> = Vec::new();
        for (node, reason) in table {
            match reason {
                Some(Reason::Insufficient { needed, free, .. }) => short.push((*node, *needed, *free)),
                Some(Reason::Rule { rule, .. }) => barred.push((*node, *rule)),
                _ => {}
            }
        }
        // The least relative shortfall first: the largest free / needed. The table is in the order of names.
        let product = |free: u64, needed: u64| u128::from(free).saturating_mul(u128::from(needed));
        short.sort_by(|(_, needed, free), (_, other_needed, other_free)| {
            product(*other_free, *needed).cmp(&product(*free, *other_needed))
        });
        let mut rooms: Vec<(NodeId, Vec<(usize, u64)>)> = Vec::new();
        for (node, _, _) in short {
            if self.trials.saturating_mul(2) < TRIALS && !rooms.is_empty() {
                break;
            }
            if let Some(missing) = self.missing(cluster, node) {
                rooms.push((node, missing));
                if rooms.len() == 8 {
                    break;
                }
            }
        }
        if let Some((node, missing)) = rooms.first() {
            help.push(Help::MoreRoom { node: *node, missing: missing.clone() });
        }
        let moves = self.single_move(cluster, &rooms).or_else(|| self.two_moves(cluster, &rooms));
        help.extend(moves);
        help.extend(self.rules(cluster, vm, &barred));
        help
    }

    /// What the checker has to say about the VM on a node, beside the plan.
    fn faults(&mut self, cluster: &Cluster, node: NodeId) -> Option<Vec<PlanFault>> {
        self.trials = self.trials.checked_sub(1).filter(|_| !self.control.is_some_and(Control::is_cancelled))?;
        if let Some((_, at)) = self.placements.last_mut() {
            *at = node;
        }
        Some(check_placements(cluster, self.failure, &self.placements, &self.evictions).err().unwrap_or_default())
    }

    /// What a node lacks, if it lacks nothing but room.
    fn missing(&mut self, cluster: &Cluster, node: NodeId) -> Option<Vec<(usize, u64)>> {
        let faults = self.faults(cluster, node)?;
        let name = cluster.node(node).map_or("", NodeRef::name);
        let mut missing = Vec::new();
        for fault in faults {
            let PlanFault::Capacity { node, kind, load, allocatable } = fault else { return None };
            let position = cluster.kinds().iter().position(|known| known.name == kind)?;
            if node != name {
                return None;
            }
            missing.push((position, u64::try_from(load.saturating_sub(u128::from(allocatable))).ok()?));
        }
        missing.sort_unstable();
        Some(missing).filter(|missing| !missing.is_empty())
    }

    /// Each rule that is all that keeps the VM from some node.
    fn rules(&mut self, cluster: &Cluster, vm: VmId, barred: &[(NodeId, RuleId)]) -> Vec<Help> {
        let mut found: BTreeMap<String, Help> = BTreeMap::new();
        let mut tries: BTreeMap<RuleId, usize> = BTreeMap::new();
        debug_assert!(cluster.vm(vm).is_ok());
        for (node, rule) in barred {
            let name = cluster.rule(*rule).map_or("", RuleRef::name).to_string();
            let here = tries.entry(*rule).or_default();
            if found.contains_key(&name) || *here >= 16 {
                continue;
            }
            *here = here.saturating_add(1);
            let Some(faults) = self.faults(cluster, *node) else { break };
            if !faults.is_empty() && faults.iter().all(|fault| rule_of(fault) == Some(name.as_str())) {
                found.insert(name, Help::Relax { rule: *rule, node: *node });
            }
        }
        found.into_values().collect()
    }

    /// A running VM whose move to another node makes room on one of these.
    fn single_move(&mut self, cluster: &Cluster, rooms: &[(NodeId, Vec<(usize, u64)>)]) -> Option<Help> {
        if rooms.is_empty() {
            return None;
        }
        let mut replay = self.after_failure(cluster)?;
        let free = self.free_after(cluster);
        let largest = two_moves::largest(&free);
        for (from, missing) in rooms {
            // The smallest first: it is moved the soonest, and disturbs the least.
            let enough = |vm: &VmRef<'_>| missing.iter().all(|(kind, amount)| vm.demand().get(*kind) >= Some(amount));
            let movable = self.movable(cluster, *from).into_iter().filter(enough);
            for vm in movable.filter(|vm| fits(vm.demand(), &largest)) {
                for (to, room) in &free {
                    if to == from || !fits(vm.demand(), room) || !may_move(cluster, vm, *to) {
                        continue;
                    }
                    self.trials = self.trials.checked_sub(1)?;
                    let step = LiveMove { vm: vm.id(), from: *from, to: *to };
                    if self.works(&mut replay, &[step], *from) {
                        return Some(Help::Move { vm: vm.id(), from: *from, to: *to });
                    }
                }
            }
        }
        None
    }

    /// A copy in which the lost nodes have failed: moves are tried out there.
    fn after_failure(&self, cluster: &Cluster) -> Option<Cluster> {
        let mut copy = cluster.clone();
        for node in self.failure.nodes() {
            copy.set_node_state(*node, NodeState::Failed).ok()?;
        }
        Some(copy)
    }

    /// What each target has free beside the plan, by the smaller of its two allocatable amounts: by name.
    fn free_after(&self, cluster: &Cluster) -> Vec<(NodeId, Vec<u64>)> {
        let mut loads: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        let plan = self.placements.split_last().map_or(&[][..], |(_, plan)| plan);
        for (vm, node) in plan {
            let row = loads.entry(*node).or_insert_with(|| alloc::vec![0; cluster.kinds().len()]);
            for (sum, amount) in row.iter_mut().zip(cluster.vm(*vm).map_or(&[][..], VmRef::restart_demand)) {
                *sum = sum.saturating_add(*amount);
            }
        }
        let mut free: Vec<(&str, NodeId, Vec<u64>)> = cluster
            .nodes()
            .filter(|node| node.state().accepts() && !self.failure.contains(node.id()))
            .map(|node| {
                let most =
                    node.allocatable().iter().zip(node.failover_allocatable()).map(|(one, other)| *one.min(other));
                let mut row: Vec<u64> = most.zip(node.used()).map(|(most, used)| most.saturating_sub(*used)).collect();
                for (free, load) in row.iter_mut().zip(loads.get(&node.id()).into_iter().flatten()) {
                    *free = free.saturating_sub(*load);
                }
                (node.name(), node.id(), row)
            })
            .collect();
        free.sort_unstable();
        free.into_iter().map(|(_, id, row)| (id, row)).collect()
    }

    /// Whether moves, one after the other, keep every rule, and the plan with the VM on `node` is legal after them. Leaves
    /// `replay` as it was.
    fn works(&mut self, replay: &mut Cluster, moves: &[LiveMove], node: NodeId) -> bool {
        let done = moves.iter().take_while(|step| moves_well(replay, step)).count();
        let good = done == moves.len() && self.faults(replay, node).is_some_and(|all| all.is_empty());
        // Back to where they were, whatever came of it; one that went wrong, too.
        let back = moves.iter().rev().filter(|step| replay.move_vm(step.vm, Some(step.from)).is_ok()).count();
        back == moves.len() && good
    }
}

/// Moves a VM, and says whether no required or relaxed rule is worse for it under way or afterwards.
fn moves_well(replay: &mut Cluster, step: &LiveMove) -> bool {
    let rules = strict_rules(replay, step.vm);
    let excess = |cluster: &Cluster| rules.iter().map(|rule| cluster.rule_excess(*rule).unwrap_or(u64::MAX)).collect();
    let before: Vec<u64> = excess(replay);
    let no_worse = |now: Vec<u64>| now.iter().zip(&before).all(|(now, before)| now <= before);
    if replay.start_migration(step.vm, step.to).is_err() {
        return false;
    }
    let under_way = no_worse(excess(replay));
    replay.end_migration(step.vm, under_way).is_ok() && under_way && no_worse(excess(replay))
}

/// Labels, those for moves too, and allowed nodes.
fn may_move(cluster: &Cluster, vm: VmRef<'_>, to: NodeId) -> bool {
    let Ok(node) = cluster.node(to) else { return false };
    let carries = |label: &&str| node.has_label(label);
    vm.requires().iter().all(carries)
        && vm.migrate_requires().iter().all(carries)
        && vm.allowed_nodes().is_none_or(|allowed| allowed.contains(&to))
}

/// The required and relaxed rules that a VM is a member or the leader of.
fn strict_rules(cluster: &Cluster, vm: VmId) -> Vec<RuleId> {
    let own: BTreeSet<RuleId> = cluster.vm(vm).map(|vm| vm.rules().collect()).unwrap_or_default();
    let leads = |kind: RuleKind| matches!(kind, RuleKind::Follow { leader } if leader == vm);
    let strict = cluster.rules().filter(|rule| !matches!(rule.strength(), Strength::Preferred { .. }));
    strict.filter(|rule| own.contains(&rule.id()) || leads(rule.kind())).map(RuleRef::id).collect()
}

/// The rule that a fault is about.
fn rule_of(fault: &PlanFault) -> Option<&str> {
    match fault {
        PlanFault::Separate { rule, .. }
        | PlanFault::Sides { rule, .. }
        | PlanFault::TogetherSplit { rule, .. }
        | PlanFault::TogetherApart { rule, .. }
        | PlanFault::Confine { rule, .. }
        | PlanFault::Exclude { rule, .. }
        | PlanFault::SpreadDomains { rule, .. }
        | PlanFault::SpreadSkew { rule, .. }
        | PlanFault::Follow { rule, .. } => Some(rule),
        _ => None,
    }
}
