//! The verdict: from a cluster and a policy to holds, fails or undecided for every failure class.
//!
//! Uses everything else in `guarantee`, and `restart` for single scenarios. Called by embedders, `capacity` and the
//! example program.
//!
//! **The data's path**, per class: `units` resolves what may fail; `uncoverable` sets VMs aside that nothing could take;
//! `outright` looks for a refutation that needs no list of the VMs that count; `field` lists them. VMs that wait for a
//! place get one (`standing`), and what follows looks at the cluster as that leaves it. Meanwhile `deal` deals targets to
//! banks, and `banks` proves the class in bulk, for losses in any order. Members that have hardly a place in some bank are seen to
//! by the next deal (`scarce`) or get places of their own (`backups`). Where banks do not apply, `prices` looks for a refutation
//! by all families, and `pairs` proves the class for losses at once, looking at the failures in which base plans collide
//! one by one. What the budget leaves is undecided. Where the policy allows evictions and a class is not settled with
//! everyone in place, the same is done on a copy of the cluster without those who may go (`evict`).

use super::backups::Aside;
use super::banks::{self, Bank, Filled, Setting};
use super::certificate::{Backup, Certificate, Column, ColumnIx, Covers};
use super::deal::Deals;
use super::entries::Entries;
use super::error::VerifyError;
use super::evict;
use super::exhaust::{self, Tried};
use super::field::{Census, Field, MemberIx};
use super::outright::Outright;
use super::pairs::{self, Searched, States};
use super::prices::{Outlook, Prices, Refuted, Released, Tightest};
use super::scarce::{Next, Scarce};
use super::ties::Ties;
use super::uncoverable::{Found as NotCovered, leave_out};
use super::units::{UnitIx, Units};
use super::verdict::{
    ClassVerdict, Counterexample, Method, Outcome, Proof, Tight, Uncoverable as UncoverableVm, Unit, Verdict, Way,
};
use super::words;
use crate::cluster::{Cluster, NodeState, RuleBody, RuleRecord, Strength};
use crate::dense::{IdVec, to_u32};
use crate::ids::{NodeSlot, VmSlot};
use crate::parallel::Threads;
use crate::placement::budget::{Budget, Cancelled, Control};
use crate::policy::{FailureClass, Policy, Preemption, Uncoverable};
use crate::restart::{Concern, Found, Planner};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::AtomicBool;

/// Proves that every failure in the policy's tolerance is survived, or shows one that is not.
///
/// Costs up to `policy.budget.verify` node evaluations in all; where there is room, about the number of VMs times the
/// number of losses.
///
/// # Errors
/// A class that names a level which the cluster does not have.
///
/// ```
/// use lifeboat::{Answer, Cluster, Failure, Node, Policy, ResourceKinds, Vm, verify};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, [""; 0])?;
/// let one = cluster.add_node(Node::named("one").capacity([4096]))?;
/// let two = cluster.add_node(Node::named("two").capacity([4096]))?;
/// let vm = cluster.add_vm(Vm::named("db").demand([1024]).on(one))?;
///
/// // The default policy tolerates the loss of any one node.
/// let verdict = verify(&cluster, &Policy::default())?;
/// assert_eq!(verdict.answer(), Answer::Holds);
/// // The certificate has the plan for every such failure.
/// let certificate = verdict.certificates().next().ok_or("it holds")?;
/// let promise = certificate.plan_for(&cluster, &Failure::of([one]))?;
/// assert_eq!(promise.placements, [(vm, two)]);
/// # Ok(())
/// # }
/// ```
pub fn verify(cluster: &Cluster, policy: &Policy) -> Result<Verdict, VerifyError> {
    run(cluster, policy, None)
}

/// The same, watched and stopped through `control`.
///
/// # Errors
/// Besides, [`VerifyError::Cancelled`].
pub fn verify_controlled(cluster: &Cluster, policy: &Policy, control: &Control) -> Result<Verdict, VerifyError> {
    run(cluster, policy, Some(control))
}

fn run(cluster: &Cluster, policy: &Policy, control: Option<&Control>) -> Result<Verdict, VerifyError> {
    let mut budget = Budget::new(policy.budget.verify, control);
    budget.use_threads(cluster.vm_slots_len() >= SEVERAL_THREADS);
    let mut planner = Planner::new();
    let classes = policy
        .tolerate
        .iter()
        .map(|class| judge(cluster, policy, class, &mut planner, &mut budget))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Verdict { classes })
}

/// One class alone, whether the policy has it or not, for so much work.
pub(crate) fn verify_class(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    work: u64,
    control: Option<&Control>,
) -> Result<ClassVerdict, VerifyError> {
    judge(cluster, policy, class, &mut Planner::new(), &mut Budget::new(work, control))
}

fn judge(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    planner: &mut Planner,
    budget: &mut Budget<'_>,
) -> Result<ClassVerdict, VerifyError> {
    let (run, census) = Run::new(cluster, policy, class, budget.threads())?;
    Ok(run.verdict(census, planner, budget)?)
}

/// With fewer VMs one thread is done with all but searches before another has begun.
const SEVERAL_THREADS: usize = 10_000;

/// One class being judged.
struct Run<'r> {
    cluster: &'r Cluster,
    policy: &'r Policy,
    class: &'r FailureClass,
    units: Units,
    concern: Concern,
    uncoverable: Vec<NotCovered>,
    /// Whether a search that finds no plan proves that there is none: evictions, which it does not see, could make one.
    exact: bool,
}

/// What settles a class at the first look, after so much work.
type Settled = Box<(Judged, u64)>;

fn counted((judged, work): (Judged, u64), budget: &mut Budget<'_>) -> Judged {
    let _ = budget.spend(work);
    judged
}

/// Banks with their plans, the order of a certificate, and the members with places of their own.
struct InBanks {
    banks: Vec<(Bank, Filled)>,
    entries: Entries,
    backups: Vec<Backup>,
    singles: Vec<NodeSlot>,
}

/// What a first look at a class came to.
struct Look {
    released: Released,
    outlook: Outlook,
    tightest: Tightest,
    /// Node evaluations spent.
    work: u64,
}

/// What a way of proving came to.
struct Judged {
    outcome: Outcome,
    open: u128,
    failing: Vec<UnitIx>,
    method: Method,
}

impl<'r> Run<'r> {
    fn new(
        cluster: &'r Cluster,
        policy: &'r Policy,
        class: &'r FailureClass,
        threads: Threads,
    ) -> Result<(Self, Census), VerifyError> {
        let mut concern = Concern { min_priority: class.min_priority, left_out: Vec::new() };
        let (census, units) = Census::beside(cluster, &concern, threads, || Units::new(cluster, policy, class));
        let units = units?;
        let (uncoverable, census) = leave_out(cluster, &units, &mut concern, census, threads);
        let run = Self { cluster, policy, class, units, concern, uncoverable, exact: true };
        Ok((run, census))
    }

    fn verdict(
        mut self,
        census: Census,
        planner: &mut Planner,
        budget: &mut Budget<'_>,
    ) -> Result<ClassVerdict, Cancelled> {
        let before = budget.spent();
        let mut found = self.prove_evicting(census, planner, budget)?;
        self.try_again(&mut found.outcome);
        let mut listed: Vec<UncoverableVm> = self
            .uncoverable
            .iter()
            .map(|found| UncoverableVm {
                vm: self.cluster.vm_id_of(found.vm),
                units: self.named(&found.units),
                nodes: found.nodes.iter().map(|node| self.cluster.node_id_of(*node)).collect(),
            })
            .collect();
        let name = |vm: &UncoverableVm| self.cluster.vm_record(vm.vm.slot).map(|record| &*record.name);
        listed.sort_by(|left, right| name(left).cmp(&name(right)));
        let mut failing_units = self.named(&found.failing);
        failing_units.sort_unstable();
        Ok(ClassVerdict {
            class: self.class.clone(),
            outcome: found.outcome,
            uncoverable_fails: self.policy.uncoverable == Uncoverable::Fail,
            uncoverable: listed,
            scenarios: self.units.scenarios(),
            open: found.open,
            failing_units,
            method: found.method,
            work: budget.spent().saturating_sub(before),
        })
    }

    /// Says of an exhausted search whether the checker's own comes to the same.
    fn try_again(&self, outcome: &mut Outcome) {
        let Outcome::Fails(Counterexample { failed, proof: Proof::Search { checked }, .. }) = outcome else { return };
        let tried = exhaust::try_all(self.cluster, self.policy, self.class, &failed.iter().copied().collect());
        debug_assert!(tried != Tried::Some, "an exhausted search missed a plan");
        *checked = tried == Tried::None;
    }

    /// With everyone in place; and, if that settles nothing, without those who may be stopped.
    fn prove_evicting(
        &mut self,
        census: Census,
        planner: &mut Planner,
        budget: &mut Budget<'_>,
    ) -> Result<Judged, Cancelled> {
        let evictable = self.policy.preemption != Preemption::Never;
        let may_go = if evictable { evict::may_go(self.cluster) } else { Vec::new() };
        if may_go.is_empty() {
            return self.prove(census, planner, budget);
        }
        self.exact = false;
        let half = budget.left() / 2;
        let first = budget.limited(half, |part| Ok(self.prove(census, planner, part)))?.transpose()?;
        let Some(without) = evict::without(self.cluster, &may_go) else {
            return self.prove(Census::new(self.cluster, &self.concern, budget.threads()), planner, budget);
        };
        // Of one loss all failing units are wanted: those that are open here may be refuted without them.
        let settled = |judged: &Judged| match judged.outcome {
            Outcome::Undecided { .. } => false,
            Outcome::Holds(_) => true,
            Outcome::Fails(_) => judged.open == 0 || self.units.losses() != 1,
        };
        let first = match first {
            Some(judged) if settled(&judged) => return Ok(judged),
            first => first.filter(|judged| matches!(judged.outcome, Outcome::Fails(_))),
        };
        let run = Run {
            cluster: &without,
            policy: self.policy,
            class: self.class,
            units: self.units.clone(),
            concern: self.concern.clone(),
            uncoverable: Vec::new(),
            exact: !evict::can_help(self.cluster, &may_go),
        };
        let mut judged = run.prove(Census::new(&without, &run.concern, budget.threads()), planner, budget)?;
        // If not even those who wait have their places, whatever is lost and whoever goes, that says more than any loss.
        let none_needed = |judged: &Judged| match &judged.outcome {
            Outcome::Fails(counterexample) => counterexample.units.is_empty(),
            Outcome::Holds(_) | Outcome::Undecided { .. } => false,
        };
        if let Some(mut first) = first.filter(|_| !none_needed(&judged)) {
            if matches!(judged.outcome, Outcome::Fails(_)) {
                let before = first.failing.len();
                first.failing.append(&mut judged.failing);
                first.failing.sort_unstable();
                first.failing.dedup();
                // What is listed now was open.
                let listed = to_u32(first.failing.len().saturating_sub(before)).into();
                first.open = first.open.saturating_sub(listed).min(judged.open);
            }
            return Ok(first);
        }
        match &mut judged.outcome {
            Outcome::Holds(certificate) => {
                certificate.state = self.cluster.state();
                certificate.evicts = may_go;
            }
            Outcome::Fails(counterexample) => counterexample.message.push_str(", even with best-effort VMs evicted"),
            Outcome::Undecided { .. } => {}
        }
        Ok(judged)
    }

    fn prove(&self, census: Census, planner: &mut Planner, budget: &mut Budget<'_>) -> Result<Judged, Cancelled> {
        let nobody = States {
            now: self.cluster,
            settled: self.cluster,
            standing: &[],
            concern: &self.concern,
            exact: self.exact,
        };
        if !census.has_homeless() {
            let settled = self.settled(&[]);
            let states = States { settled: &settled, ..nobody };
            let threads = budget.threads();
            let unwanted = AtomicBool::new(false);
            let look = |census: &Census| self.look(census);
            let deal = |census: &Census| self.deal(&settled, census, &unwanted);
            let listed = Field::unless(&settled, &self.units, &self.concern, census, threads, &unwanted, look, deal);
            let (field, look, deals) = match listed {
                Ok(listed) => listed,
                Err(settled) => return Ok(counted(*settled, budget)),
            };
            let mut prices = self.prices(&field, look, budget);
            return self.by_banks(&states, &field, deals, &mut prices, planner, budget);
        }
        let look = match self.look(&census) {
            Ok(look) => look,
            Err(settled) => return Ok(counted(*settled, budget)),
        };
        let field = Field::new(self.cluster, &self.units, &self.concern, census, budget.threads());
        let mut prices = self.prices(&field, look, budget);
        let searched = nobody.search(&[], planner, budget)?;
        let mut standing = match searched.found {
            Found::Placed => searched.placements,
            Found::Impossible => {
                let proof = prices.prove(&[]).unwrap_or(Proof::Search { checked: false });
                return Ok(self.fails(Refuted { units: Vec::new(), proof }, Vec::new(), Way::Search, 1));
            }
            Found::Open => {
                if let Some(proof) = prices.prove(&[]) {
                    return Ok(self.fails(Refuted { units: Vec::new(), proof }, Vec::new(), Way::Prices, 1));
                }
                let Some(refuted) = prices.outlook.refuted.take() else {
                    return Ok(self.undecided(&prices.tightest, self.units.sets(), 1));
                };
                let failing = core::mem::take(&mut prices.outlook.units);
                let open = self.units.scenarios().saturating_sub(to_u32(failing.len()).into());
                return Ok(Judged { open, ..self.fails(refuted, failing, Way::Prices, 1) });
            }
        };
        standing.sort_unstable();
        if self.waiting_are_tied(&standing) {
            let ties = Ties::default();
            return self.by_pairs(&nobody, &standing, &field, &ties, &mut prices, planner, budget);
        }
        let settled = self.settled(&standing);
        let states = States { settled: &settled, standing: &standing, ..nobody };
        let census = Census::new(&settled, &self.concern, budget.threads());
        let unwanted = AtomicBool::new(false);
        let deal = |census: &Census| self.deal(&settled, census, &unwanted);
        let (field, deals) = Field::beside(&settled, &self.units, &self.concern, census, budget.threads(), deal);
        self.by_banks(&states, &field, deals, &mut prices, planner, budget)
    }

    /// Looks for a refutation that needs no list of members. `Err`: there is one that settles the class, after so much work.
    fn look(&self, census: &Census) -> Result<Look, Settled> {
        let released = Released::new(self.cluster, self.policy.preemption != Preemption::Never);
        let mut outright = Outright::new(self.cluster, &self.units, &self.concern, census, &released);
        let mut outlook = if self.units.losses() == 1 { outright.refute_each() } else { outright.refute() };
        let (work, tightest) = (outright.work, outright.tightest);
        // Of one loss all failing units are wanted; and if those who wait have no place whatever is lost, that is said.
        let settles = |refuted: &mut Refuted| {
            self.units.losses() != 1
                || refuted.units.is_empty()
                || (!census.has_homeless() && u128::from(to_u32(outlook.units.len())) == self.units.scenarios())
        };
        match outlook.refuted.take_if(settles) {
            Some(refuted) => Err(Box::new((self.fails(refuted, outlook.units, Way::Prices, 0), work))),
            None => Ok(Look { released, outlook, tightest, work }),
        }
    }

    /// Goes on with what a look has found.
    fn prices<'p>(&'p self, field: &'p Field, look: Look, budget: &mut Budget<'_>) -> Prices<'p> {
        // Running out here is noticed by whoever goes on.
        let _ = budget.spend(look.work);
        Prices::new(self.cluster, &self.units, field, look.released, look.outlook, look.tightest)
    }

    /// Deals banks, unless they are `unwanted` by then.
    fn deal<'c>(&'c self, settled: &'c Cluster, census: &Census, unwanted: &'c AtomicBool) -> Deals<'c> {
        let mut deals = Deals::new(settled, &self.units, &self.concern, unwanted);
        deals.deal(census);
        deals
    }

    /// Whether a rule that is not judged domain by domain has a VM in it that waits for a place: then where it stands
    /// and where a failure puts other members cannot be decided one after the other. The same holds of a VM that waits and
    /// gives up on one that nothing could take: it may stand only while the other runs.
    fn waiting_are_tied(&self, standing: &[(VmSlot, NodeSlot)]) -> bool {
        let ties = |rule: &RuleRecord| {
            rule.strength == Strength::Required
                && matches!(rule.body, RuleBody::Together { .. } | RuleBody::Spread { .. } | RuleBody::Follow { .. })
        };
        let left_out = &self.concern.left_out;
        standing.iter().filter_map(|(vm, _)| Some((*vm, self.cluster.vm_record(*vm)?))).any(|(vm, record)| {
            record.rules.iter().chain(&record.leads).filter_map(|rule| self.cluster.rule_record(*rule)).any(ties)
                || left_out.iter().any(|needed| self.cluster.gives_up_on(vm, *needed))
        })
    }

    /// The cluster with everything that waits in its standing place, and unreachable nodes confirmed dead.
    fn settled(&self, standing: &[(VmSlot, NodeSlot)]) -> Cow<'r, Cluster> {
        if standing.is_empty() && self.cluster.unreachable_nodes().is_empty() {
            return Cow::Borrowed(self.cluster);
        }
        let mut cluster = self.cluster.clone();
        for node in self.cluster.unreachable_nodes() {
            // The id is that of a node of this very cluster.
            let _ = cluster.set_node_state(cluster.node_id_of(*node), NodeState::Failed);
        }
        for (vm, node) in standing {
            cluster.settle(*vm, *node);
        }
        Cow::Owned(cluster)
    }

    /// By banks, or else by base plans.
    fn by_banks(
        &self,
        states: &States<'_>,
        field: &Field,
        deals: Deals<'_>,
        prices: &mut Prices<'_>,
        planner: &mut Planner,
        budget: &mut Budget<'_>,
    ) -> Result<Judged, Cancelled> {
        let single = self.units.losses() == 1;
        let mut columns: Vec<IdVec<MemberIx, NodeSlot>> = Vec::new();
        let mut unplanned: Vec<UnitIx> = Vec::new();
        let is_hopeless = |unit: UnitIx| prices.outlook.has_refuted(unit);
        let tolerated: Option<&dyn Fn(UnitIx) -> bool> = if single { Some(&is_hopeless) } else { None };
        let in_banks = self.fill_banks(deals, field, tolerated, planner, budget)?;
        let Some(InBanks { banks: filled, mut entries, backups, singles }) = in_banks else {
            let ties = Ties::new(states.settled, &self.units, field, &self.concern);
            return self.by_pairs(states, states.standing, field, &ties, prices, planner, budget);
        };
        let mut banks: Vec<Bank> = Vec::with_capacity(filled.len());
        for (bank, filled) in filled {
            banks.push(bank);
            columns.push(filled.targets);
            unplanned.extend(filled.failed);
        }
        let mut method = Method { way: Way::Banks, banks: to_u32(banks.len()), searched: 0 };
        let mut covers = Covers::AnyOrder;
        let mut exceptions = Vec::new();
        let mut failing = core::mem::take(&mut prices.outlook.units);
        let mut refuted = prices.outlook.refuted.take();
        unplanned.retain(|unit| failing.binary_search(unit).is_err());
        let mut open: Vec<UnitIx> = Vec::new();
        for unit in unplanned {
            method.searched = method.searched.saturating_add(1);
            let nodes = self.units.union(&[unit]);
            let proof = prices.prove(&[unit]);
            let Searched { found, mut placements, settled } = match &proof {
                Some(_) => Searched { found: Found::Impossible, placements: Vec::new(), settled: true },
                None => states.search(&nodes, planner, budget)?,
            };
            match found {
                Found::Placed => {
                    if !settled {
                        covers = Covers::AtOnce;
                    }
                    placements.sort_unstable();
                    exceptions.push(super::certificate::Exception { failed: nodes, placements });
                }
                Found::Impossible => {
                    failing.push(unit);
                    let proof = proof.unwrap_or(Proof::Search { checked: false });
                    refuted.get_or_insert(Refuted { units: alloc::vec![unit], proof });
                }
                Found::Open => open.push(unit),
            }
        }
        if let Some(refuted) = refuted {
            let mut judged = self.fails(refuted, failing, Way::Search, method.searched);
            judged.open = u128::from(to_u32(open.len()));
            return Ok(judged);
        }
        if !open.is_empty() {
            let _ = prices.refute();
            let count = u128::from(to_u32(open.len()));
            return Ok(self.undecided(&prices.tightest, count, method.searched));
        }
        exceptions.sort_unstable_by(|left, right| left.failed.cmp(&right.failed));
        let columns = entries.fill(&columns, budget.threads(), || banks::columns(&banks));
        let mut certificate = self.certificate(states.standing, entries, covers, columns, exceptions);
        certificate.add_backups(backups, singles);
        Ok(self.holds(certificate, method))
    }

    /// Fills the banks of the first deal that can be filled, and finds the order of a certificate meanwhile.
    fn fill_banks(
        &self,
        mut deals: Deals<'_>,
        field: &Field,
        tolerated: Option<&dyn Fn(UnitIx) -> bool>,
        planner: &mut Planner,
        budget: &mut Budget<'_>,
    ) -> Result<Option<InBanks>, Cancelled> {
        let slots = self.cluster.vm_slots_len();
        let mut entries = None;
        let mut scarce = Scarce::new();
        let mut aside: Option<Aside> = None;
        while let (Some(banks), Some(bonds)) = (deals.banks.take(), &deals.bonds) {
            let (cluster, concern, listed) = aside
                .as_ref()
                .map_or((deals.cluster, &self.concern, field), |aside| (&aside.cluster, &aside.concern, &aside.field));
            let setting = Setting { cluster, units: &self.units, field: listed, bonds, concern };
            let list = || {
                if aside.is_none() {
                    entries.get_or_insert_with(|| Entries::new(field, slots, banks.len()));
                }
            };
            let is_kept_free =
                |filled: &[Filled]| aside.as_ref().is_none_or(|aside| aside.is_kept_free(&self.units, &banks, filled));
            let lacking = match banks::fill(&setting, &banks, tolerated, planner, budget, list)? {
                Ok(filled) if is_kept_free(&filled) => {
                    let entries = entries
                        .filter(|_| aside.is_none())
                        .unwrap_or_else(|| Entries::new(listed, slots, filled.len()));
                    let banks = banks.into_iter().zip(filled).collect();
                    let (backups, singles) = aside.map(|aside| (aside.backups, aside.singles)).unwrap_or_default();
                    return Ok(Some(InBanks { banks, entries, backups, singles }));
                }
                Ok(_) => Vec::new(),
                Err(lacking) => lacking,
            };
            let mut next = scarce.take_in(cluster, &banks, lacking);
            if next == Next::Anew {
                deals.repaint(&scarce.repaint);
                aside = None;
                if let (false, Some(bonds)) = (scarce.aside.is_empty(), &deals.bonds) {
                    let threads = budget.threads();
                    aside = Aside::new(deals.cluster, &self.units, &self.concern, bonds, &scarce.aside, threads);
                    next = match &aside {
                        Some(aside) if budget.spend(aside.work).is_ok() => Next::Again,
                        _ => Next::GiveUp,
                    };
                }
            }
            if next == Next::GiveUp {
                (scarce, aside) = (Scarce::new(), None);
                deals.deal(&field.census);
            } else {
                let (cluster, listed) =
                    aside.as_ref().map_or((deals.cluster, field), |aside| (&aside.cluster, &aside.field));
                deals.again(cluster, &listed.census, &scarce.wanted);
            }
        }
        Ok(None)
    }

    /// By base plans, or, if the VMs that wait have places that `states` does not speak of, failure by failure.
    #[expect(clippy::too_many_arguments, reason = "the parts of a proof, borrowed one by one")]
    fn by_pairs(
        &self,
        states: &States<'_>,
        standing: &[(VmSlot, NodeSlot)],
        field: &Field,
        ties: &Ties,
        prices: &mut Prices<'_>,
        planner: &mut Planner,
        budget: &mut Budget<'_>,
    ) -> Result<Judged, Cancelled> {
        if self.units.losses() != 1 {
            if let Some(refuted) = prices.refute() {
                return Ok(self.fails(refuted, Vec::new(), Way::Prices, 0));
            }
            let _ = budget.spend(core::mem::take(&mut prices.work));
        }
        let each = states.standing.len() != standing.len();
        let mut outcome = pairs::prove(states, &self.units, field, ties, prices, planner, budget, each)?;
        for unit in core::mem::take(&mut prices.outlook.units) {
            if !outcome.failing.contains(&unit) {
                // It has no plan, so it was left open.
                outcome.failing.push(unit);
                outcome.open = outcome.open.saturating_sub(1);
            }
        }
        if let Some(refuted) = outcome.refuted.or(prices.outlook.refuted.take()) {
            let failing = if self.units.losses() == 1 { outcome.failing } else { Vec::new() };
            let mut judged = self.fails(refuted, failing, Way::Search, outcome.searched);
            judged.open = if self.units.losses() == 1 { outcome.open } else { 0 };
            return Ok(judged);
        }
        if outcome.open > 0 {
            if prices.tightest.available == 0 {
                prices.tightest = Tightest { units: outcome.open_example, needed: 0, available: 0 };
            }
            return Ok(self.undecided(&prices.tightest, outcome.open, outcome.searched));
        }
        let columns = (0..self.units.tiers.len()).map(|tier| Column { tier, bank: None }).collect();
        let (base, exceptions) = (outcome.base, outcome.exceptions);
        let mut entries = Entries::new(field, self.cluster.vm_slots_len(), base.len());
        entries.fill(&base, budget.threads(), || ());
        let certificate = self.certificate(standing, entries, Covers::AtOnce, columns, exceptions);
        Ok(self.holds(certificate, Method { way: Way::Pairs, banks: 0, searched: outcome.searched }))
    }

    fn certificate(
        &self,
        standing: &[(VmSlot, NodeSlot)],
        entries: Entries,
        covers: Covers,
        columns: IdVec<ColumnIx, Column>,
        exceptions: Vec<super::certificate::Exception>,
    ) -> Certificate {
        Certificate {
            class: self.class.clone(),
            tiers: self
                .units
                .tiers
                .iter()
                .map(|tier| (self.cluster.levels.name(tier.level).into(), tier.count))
                .collect(),
            covers,
            state: self.cluster.state(),
            left_out: self.concern.left_out.clone(),
            evicts: Vec::new(),
            standing: standing.to_vec(),
            vms: entries.vms,
            targets: entries.targets,
            columns,
            exceptions,
            backups: Vec::new(),
            singles: Vec::new(),
        }
    }

    fn holds(&self, certificate: Certificate, method: Method) -> Judged {
        let outcome = if self.class.any_order && certificate.covers() != Covers::AnyOrder {
            Outcome::Undecided { tightest: None, only_at_once: true }
        } else {
            Outcome::Holds(certificate)
        };
        Judged { outcome, open: 0, failing: Vec::new(), method }
    }

    fn fails(&self, refuted: Refuted, failing: Vec<UnitIx>, way: Way, searched: u64) -> Judged {
        let Refuted { units, proof } = refuted;
        let named = self.named(&units);
        let mut failed: Vec<_> =
            self.units.union(&units).into_iter().map(|node| self.cluster.node_id_of(node)).collect();
        let name = |id: &crate::ids::NodeId| self.cluster.node_record(id.slot).map(|record| &*record.name);
        failed.sort_unstable_by(|left, right| name(left).cmp(&name(right)));
        let message = words::why_not(self.cluster, &named, &proof);
        let way = if matches!(proof, Proof::Prices { .. }) { Way::Prices } else { way };
        let failing = if self.units.losses() == 1 && failing.is_empty() && !units.is_empty() { units } else { failing };
        Judged {
            outcome: Outcome::Fails(Counterexample { units: named, failed, proof, message }),
            open: 0,
            failing,
            method: Method { way, banks: 0, searched },
        }
    }

    fn undecided(&self, tightest: &Tightest, open: u128, searched: u64) -> Judged {
        let tightest =
            Tight { units: self.named(&tightest.units), needed: tightest.needed, available: tightest.available };
        Judged {
            outcome: Outcome::Undecided { tightest: Some(tightest), only_at_once: false },
            open,
            failing: Vec::new(),
            method: Method { way: Way::Search, banks: 0, searched },
        }
    }

    fn named(&self, units: &[UnitIx]) -> Vec<Unit> {
        let mut named: Vec<Unit> = units
            .iter()
            .map(|unit| self.units.name(self.cluster, *unit))
            .map(|(level, name)| Unit { level, name })
            .collect();
        named.sort_unstable();
        named
    }
}
