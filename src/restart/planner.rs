//! The planner: from a cluster, a policy and a failure to a restart plan.
//!
//! Uses everything else in `restart`, and `placement`. Called by embedders, the example program and, later, by
//! verdicts.
//!
//! **The data's path.** `scene` finds who is displaced; `compile` turns rules and start edges into constraints among
//! them; `quick` places everything through the cluster's index, which settles it in the usual case. Otherwise
//! `targets` lays out the nodes and the solver of `placement` finds the most that can be placed, class by class, with
//! a bound for each; `costs`, `least` and `tidy` then look after the rules that do not bind, spare nodes and the strategy.
//! `waves` orders the starts; `reasons` tells why the rest is left. In the usual case all
//! memory but that of the plan itself belongs to the planner and is used again; the solver allocates for itself.

use super::compile::Parts;
use super::costs::Costs;
use super::least::Least;
use super::overlay::Overlay;
use super::plan::{ClassCount, Note, Reason, RestartPlan, Unplaced};
use super::quick::{Quick, Task};
use super::scene::Scene;
use super::{preempt, reasons, targets, tidy, waves};
use crate::cluster::{Cluster, EditError, Strength, VmTraits};
use crate::dense::IdVec;
use crate::failure::Failure;
use crate::ids::{NodeId, NodeSlot, RuleSlot, VmId, VmSlot};
use crate::placement::assignment::Assignment;
use crate::placement::budget::{Budget, Cancelled, Control, Stop};
use crate::placement::instance::{Instance, TargetIx};
use crate::placement::problem::{ItemIx, Problem};
use crate::placement::rules::RuleStates;
use crate::placement::solve::{Scratch, solve};
use crate::policy::{Policy, Preemption};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Makes restart plans. It owns the memory that planning needs, so that a planner used again allocates little more than
/// the plan itself as long as everything can be placed at once.
///
/// ```
/// use lifeboat::{Cluster, Failure, Node, Planner, Policy, ResourceKinds, Vm};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, ["rack"])?;
/// let one = cluster.add_node(Node::named("one").capacity([4096]))?;
/// let two = cluster.add_node(Node::named("two").capacity([4096]))?;
/// let vm = cluster.add_vm(Vm::named("db").demand([1024]).on(one))?;
///
/// let plan = Planner::new().restart(&cluster, &Policy::default(), &Failure::of([one]))?;
/// assert_eq!(plan.placements()[0].node, two);
/// assert_eq!(plan.placements()[0].vm, vm);
/// assert!(plan.is_optimal());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Planner {
    pub(super) scene: Scene,
    pub(super) parts: Parts,
    pub(super) overlay: Overlay,
    pub(super) states: RuleStates,
    pub(super) quick: Quick,
    pub(super) places: IdVec<ItemIx, Option<NodeSlot>>,
    pub(super) scratch: Scratch,
    pub(super) waves: waves::Waves,
}

/// Why there is no plan.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The failure names a node that is not there.
    #[error("the failure names a node that is not in the cluster: {0}")]
    Node(#[from] EditError),
    /// The caller cancelled through the [`Control`].
    #[error("the plan was cancelled")]
    Cancelled,
}

impl PlanError {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Node(error) => error.code(),
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<Cancelled> for PlanError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// The most that lowering the costs of a plan may take, in node evaluations; and proving that they are the least.
const PREFER_WORK: u64 = 200_000;
const PROVE_WORK: u64 = 200_000;

/// The most that going on to spare nodes and by the strategy may take after the solver, in node evaluations.
const TIDY_WORK: u64 = 100_000;

/// Makes an assignment what `places` says.
fn load(
    cluster: &Cluster,
    instance: &Instance<'_, '_>,
    places: &IdVec<ItemIx, Option<NodeSlot>>,
    assignment: &mut Assignment,
) {
    let mut target_of: IdVec<NodeSlot, Option<TargetIx>> = IdVec::filled(None, cluster.node_slots());
    for target in instance.targets() {
        target_of[instance.node(target)] = Some(target);
    }
    assignment.reset(instance);
    for (item, node) in places.enumerate() {
        if let Some(target) = node.and_then(|node| target_of[node]) {
            assignment.place(instance, item, target);
        }
    }
}

/// Takes the room of what is placed, on an overlay where nothing is, and notes it for the rules.
fn take_places(
    cluster: &Cluster,
    problem: &Problem<'_>,
    places: &IdVec<ItemIx, Option<NodeSlot>>,
    overlay: &mut Overlay,
    states: &mut RuleStates,
) {
    states.reset(problem);
    for (item, node) in places.enumerate() {
        if let Some(node) = node {
            overlay.take::<0>(cluster, *node, &problem.need[item]);
            states.place(problem, item, *node);
        }
    }
}

/// What is placed, and what it takes to move it.
struct Desk<'p> {
    scene: &'p Scene,
    parts: &'p mut Parts,
    overlay: &'p mut Overlay,
    states: &'p mut RuleStates,
    places: &'p mut IdVec<ItemIx, Option<NodeSlot>>,
    assignment: &'p mut Assignment,
}

impl Desk<'_> {
    /// Lays out what is placed as the solver has it, lets `change` move it, and takes over where it is then.
    fn rearrange<R>(
        &mut self,
        cluster: &Cluster,
        failure: &Failure,
        change: impl FnOnce(&Instance<'_, '_>, &mut Assignment) -> R,
    ) -> R {
        let nodes = targets::targets(cluster, self.scene);
        self.overlay.set(cluster, self.scene, failure.nodes());
        let room = targets::room(cluster, self.overlay);
        let room = room.as_ref().unwrap_or_else(|| cluster.free_rows());
        let mut problem = self.parts.lend(cluster, room, &nodes, self.scene.classes.len());
        targets::enter_eligible(cluster, self.scene, self.parts, &mut problem);
        let instance = Instance::new(&problem);
        load(cluster, &instance, self.places, self.assignment);
        let changed = change(&instance, self.assignment);
        *self.places = self.assignment.place_of.iter().map(|place| place.map(|target| instance.node(target))).collect();
        take_places(cluster, &problem, self.places, self.overlay, self.states);
        self.parts.take_back(problem);
        changed
    }
}

/// Whether a rule does not bind restarts.
fn is_soft(cluster: &Cluster, rule: RuleSlot) -> bool {
    cluster.rule_record(rule).is_some_and(|rule| rule.strength != Strength::Required)
}

/// How much is made of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Detail {
    /// Places alone.
    Brief,
    /// Evened out by the strategy, with a proof of its costs, with reasons.
    Full,
}

impl Planner {
    /// A planner without any memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides where every VM restarts that `failure` displaces or that waits for a place already.
    ///
    /// The plan places as many VMs as it can, class by class (protected ones by falling priority, then best-effort ones),
    /// and says where that is proved to be the most. Where everything can be placed at once it costs about the VMs
    /// displaced; otherwise up to
    /// `policy.budget.plan` node evaluations.
    ///
    /// # Errors
    /// The failure names a node that is not there.
    pub fn restart(&mut self, cluster: &Cluster, policy: &Policy, failure: &Failure) -> Result<RestartPlan, PlanError> {
        self.run(cluster, policy, failure, None)
    }

    /// The same, watched and stopped through `control`.
    ///
    /// # Errors
    /// Besides, [`PlanError::Cancelled`].
    pub fn restart_controlled(
        &mut self,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
        control: &Control,
    ) -> Result<RestartPlan, PlanError> {
        self.run(cluster, policy, failure, Some(control))
    }

    /// Says for every node, by name, why a VM does not start there under a plan; `None` where nothing bars it, or where
    /// the plan puts it.
    ///
    /// # Errors
    /// Ids of the failure, the plan or the VM that are not in the cluster.
    pub fn explain(
        &mut self,
        cluster: &Cluster,
        failure: &Failure,
        plan: &RestartPlan,
        vm: VmId,
    ) -> Result<Vec<(NodeId, Option<Reason>)>, PlanError> {
        let slot = cluster.vm_slot(vm)?;
        let after;
        let mut cluster = cluster;
        if !plan.evictions.is_empty() {
            let victims = plan.evictions.iter().map(|eviction| eviction.vm).collect();
            // Where the others may go nobody asks here.
            after = preempt::lifted_where(cluster, &victims, |victim| victim == vm);
            cluster = &after;
        }
        self.scene.set(cluster, failure)?;
        self.parts.set(cluster, &mut self.scene);
        self.parts.complete(cluster, &mut self.scene);
        self.overlay.set(cluster, &self.scene, failure.nodes());
        self.places.reset(None, self.scene.items.len());
        for placement in &plan.placements {
            let (vm, node) = (cluster.vm_slot(placement.vm)?, cluster.node_slot(placement.node)?);
            if let Some(item) = self.scene.item_of(vm) {
                self.places[item] = Some(node);
            }
        }
        let problem = self.parts.lend(cluster, cluster.free_rows(), &[], self.scene.classes.len());
        self.states.reset(&problem);
        for (item, node) in self.places.enumerate().filter_map(|(item, node)| node.map(|node| (item, node))) {
            self.overlay.take::<0>(cluster, node, &problem.need[item]);
            self.states.place(&problem, item, node);
        }
        let view = reasons::View::new(cluster, &self.scene, &self.parts, &problem, &self.overlay, &self.states);
        let placed = self.scene.item_of(slot).and_then(|item| self.places[item]);
        let table = view.node_by_node(slot, placed);
        self.parts.take_back(problem);
        Ok(table)
    }

    /// The same, controlled or not.
    pub(crate) fn run(
        &mut self,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
        control: Option<&Control>,
    ) -> Result<RestartPlan, PlanError> {
        if policy.preemption == Preemption::Never {
            return self.plan_as_it_is(cluster, policy, failure, control, Detail::Full);
        }
        let plan = self.plan_as_it_is(cluster, policy, failure, control, Detail::Full)?;
        if plan.unplaced.is_empty() {
            return Ok(plan);
        }
        self.preempt(cluster, policy, failure, control, plan)
    }

    /// Plans without evictions.
    pub(super) fn plan_as_it_is(
        &mut self,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
        control: Option<&Control>,
        detail: Detail,
    ) -> Result<RestartPlan, PlanError> {
        self.scene.set(cluster, failure)?;
        self.parts.set(cluster, &mut self.scene);
        let classes = self.scene.classes.len();
        let mut plan = RestartPlan::default();
        let problem = self.parts.lend(cluster, cluster.free_rows(), &[], classes);
        self.overlay.set(cluster, &self.scene, failure.nodes());
        self.states.reset(&problem);
        let complete = self.parts.missing.is_empty()
            && self.quick.place_all(
                Task { cluster, scene: &self.scene, parts: &self.parts, problem: &problem, strategy: policy.strategy },
                &mut self.overlay,
                &mut self.states,
                &mut self.places,
            );
        plan.work = self.quick.work();
        self.parts.take_back(problem);
        self.describe(cluster, failure, &mut plan);
        if !complete {
            self.parts.complete(cluster, &mut self.scene);
            self.overlay.set(cluster, &self.scene, failure.nodes());
            self.solve(cluster, policy, control, &mut plan)?;
        }
        if self.parts.seen.iter().any(|rule| is_soft(cluster, *rule)) {
            if complete {
                self.parts.complete(cluster, &mut self.scene);
            }
            self.prefer(cluster, policy, failure, control, &mut plan, detail == Detail::Brief)?;
        }
        if !complete && detail == Detail::Full {
            self.tidy(cluster, policy, failure, control, &mut plan)?;
        }
        if !complete {
            self.leave_reasons(cluster, &mut plan, detail == Detail::Brief);
        }
        self.waves.set(cluster, policy, &self.scene, &self.places);
        self.waves.placements(cluster, &self.scene, &self.places, &mut plan);
        Ok(plan)
    }

    /// Everything about the plan that does not depend on where VMs go; the counts as if all were placed.
    pub(super) fn describe(&self, cluster: &Cluster, failure: &Failure, plan: &mut RestartPlan) {
        let vm_id = |vm: &_| cluster.vm_id_of(*vm);
        plan.waiting = self.scene.waiting.iter().map(vm_id).collect();
        plan.left_alone = self.scene.left_alone.iter().map(vm_id).collect();
        plan.failed = failure.nodes().to_vec();
        let name = |node: &NodeId| cluster.node_record(node.slot).map(|record| &*record.name);
        plan.failed.sort_unstable_by(|left, right| name(left).cmp(&name(right)));
        plan.classes.reserve_exact(self.scene.classes.len());
        plan.classes.extend(self.scene.classes.iter().map(|class| ClassCount {
            restart: class.restart,
            priority: class.priority,
            displaced: class.items,
            placed: class.items,
            bound: class.items,
        }));
        let mut already: Vec<NodeId> = self.scene.failed_already.iter().map(|node| cluster.node_id_of(*node)).collect();
        already.sort_unstable_by(|left, right| name(left).cmp(&name(right)));
        plan.notes.extend(already.into_iter().map(|node| Note::FailedAlready { node }));
        if self.scene.traits.any(VmTraits::PROMOTED) {
            let promoted = |vm: &&VmSlot| cluster.facts(**vm).traits.any(VmTraits::PROMOTED);
            let promoted = self.scene.items.iter().filter(promoted);
            plan.notes.extend(promoted.map(|vm| Note::Promoted { vm: cluster.vm_id_of(*vm) }));
        }
    }

    /// Moves what is placed so that `relaxed` and `preferred` rules cost less, and says which are broken all the same; but
    /// for a `brief` plan also whether that is the least.
    fn prefer(
        &mut self,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
        control: Option<&Control>,
        plan: &mut RestartPlan,
        brief: bool,
    ) -> Result<(), PlanError> {
        let mut desk = self.desk();
        let Some(mut costs) = Costs::new(cluster, desk.scene, &desk.parts.seen) else { return Ok(()) };
        costs.set(&|item| desk.places[item]);
        if costs.total() > (0, 0) {
            let left = policy.budget.plan.saturating_sub(plan.work);
            let (spent, open) = desk.rearrange(cluster, failure, |instance, assignment| {
                let mut budget = Budget::new(left.min(PREFER_WORK), control);
                if costs.improve(instance, assignment, &mut budget) == Err(Stop::Cancelled) {
                    return Err(PlanError::Cancelled);
                }
                let spent = budget.spent();
                if brief || costs.total() == (0, 0) {
                    return Ok((spent, costs.total() > (0, 0)));
                }
                let mut budget = Budget::new(left.saturating_sub(spent).min(PROVE_WORK), control);
                match costs.least(instance, assignment, &mut budget) {
                    Err(Stop::Cancelled) => Err(PlanError::Cancelled),
                    least => Ok((spent.saturating_add(budget.spent()), !matches!(least, Ok(Least::Proved)))),
                }
            })?;
            plan.work = plan.work.saturating_add(spent);
            plan.costs_open = open;
        }
        plan.broken_rules = costs.broken(&|item| desk.places[item]);
        Ok(())
    }

    /// Moves what the solver placed to spare nodes and to where the strategy has it, as far as nothing else is worse.
    fn tidy(
        &mut self,
        cluster: &Cluster,
        policy: &Policy,
        failure: &Failure,
        control: Option<&Control>,
        plan: &mut RestartPlan,
    ) -> Result<(), PlanError> {
        let mut desk = self.desk();
        let mut costs = Costs::new(cluster, desk.scene, &desk.parts.seen);
        if let Some(costs) = &mut costs {
            costs.set(&|item| desk.places[item]);
        }
        let left = policy.budget.plan.saturating_sub(plan.work);
        let mut budget = Budget::new(left.min(TIDY_WORK), control);
        let outcome = desk.rearrange(cluster, failure, |instance, assignment| {
            tidy::tidy(cluster, instance, assignment, costs.as_mut(), policy.strategy, &mut budget)
        });
        plan.work = plan.work.saturating_add(budget.spent());
        if let Some(costs) = &mut costs {
            costs.set(&|item| desk.places[item]);
            plan.broken_rules = costs.broken(&|item| desk.places[item]);
        }
        if outcome.is_err() { Err(PlanError::Cancelled) } else { Ok(()) }
    }

    fn desk(&mut self) -> Desk<'_> {
        Desk {
            scene: &self.scene,
            parts: &mut self.parts,
            overlay: &mut self.overlay,
            states: &mut self.states,
            places: &mut self.places,
            assignment: &mut self.scratch.assignment,
        }
    }

    /// Asks the solver for the most that can be placed.
    fn solve(
        &mut self,
        cluster: &Cluster,
        policy: &Policy,
        control: Option<&Control>,
        plan: &mut RestartPlan,
    ) -> Result<(), PlanError> {
        let nodes = targets::targets(cluster, &self.scene);
        let room = targets::room(cluster, &self.overlay);
        let room = room.as_ref().unwrap_or_else(|| cluster.free_rows());
        let mut problem = self.parts.lend(cluster, room, &nodes, self.scene.classes.len());
        targets::enter_eligible(cluster, &self.scene, &self.parts, &mut problem);
        let mut budget = Budget::new(policy.budget.plan, control);
        let solution = solve(&problem, &mut self.scratch, &mut budget);
        plan.work = plan.work.saturating_add(budget.spent());
        let solution = match solution {
            Ok(solution) => solution,
            Err(cancelled) => {
                self.parts.take_back(problem);
                return Err(cancelled.into());
            }
        };
        take_places(cluster, &problem, &solution.node, &mut self.overlay, &mut self.states);
        self.places = solution.node;
        self.parts.take_back(problem);
        for ((count, placed), bound) in plan.classes.iter_mut().zip(&solution.placed).zip(&solution.bound) {
            count.placed = *placed;
            count.bound = *bound;
        }
        Ok(())
    }

    fn leave_reasons(&mut self, cluster: &Cluster, plan: &mut RestartPlan, brief: bool) {
        let problem = self.parts.lend(cluster, cluster.free_rows(), &[], self.scene.classes.len());
        let (scene, parts, overlay, states) = (&self.scene, &self.parts, &self.overlay, &self.states);
        let view = (!brief).then(|| reasons::View::new(cluster, scene, parts, &problem, overlay, states));
        for (item, vm) in self.scene.items.enumerate() {
            if self.places[item].is_none() {
                let bare = || Unplaced { vm: cluster.vm_id_of(*vm), reasons: Vec::new(), message: String::new() };
                plan.unplaced.push(view.as_ref().map_or_else(bare, |view| view.unplaced(item, *vm, &self.places)));
            }
        }
        let key =
            |vm: VmId| (Reverse(cluster.effective(vm.slot)), cluster.vm_record(vm.slot).map(|record| &*record.name));
        plan.unplaced.sort_by(|left, right| key(left.vm).cmp(&key(right.vm)));
        self.parts.take_back(problem);
    }
}
