//! The checker of verdicts: certificates, counterexamples, uncoverable VMs, from first principles.
//!
//! Uses `cluster` through its public views, `failure`, the checker of plans, and verdicts as data; shares no code with
//! what proves them. Used by tests, the example program, and callers that want a second opinion.
//!
//! A certificate with banks is checked plan by plan: each unit's plan in each bank must be legal alone, and the banks must
//! be as the theorem of [`mathematics`](crate::mathematics) needs them (`banks`, `rules`), and so must VMs with places of their own (`backups`). Costs O(units x banks) checks of
//! what a unit displaces. One without banks is checked failure by failure, as long as there are not too many.

mod backups;
mod banks;
mod rules;

use super::certificate::{Certificate, Covers, NOWHERE};
use super::exhaust::{self, Tried};
use super::verdict::{ClassVerdict, Counterexample, Outcome, Pricing, Proof, Uncoverable, Unit, Verdict};
use crate::cluster::{Cluster, NODE_LEVEL, NodeRef, NodeState, RestartClass, RuleKind, Strength, VmRef};
use crate::failure::Failure;
use crate::ids::{NodeId, VmId};
use crate::placement::budget::Control;
use crate::policy::{FailureClass, Policy, Preemption};
use crate::restart::{PlanFault, check_placements};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// More failures than this are not checked one by one.
const MOST_SETS: u64 = 200_000;

/// What is wrong with a verdict.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerdictFault {
    /// The caller cancelled: nothing is known.
    #[error("the check was cancelled")]
    Cancelled,
    /// The certificate is for another state of the cluster.
    #[error("the certificate is for another state of the cluster")]
    OtherState,
    /// It does not speak of the class, or of its levels and counts.
    #[error("the class: {what}")]
    Class {
        /// What is wrong.
        what: String,
    },
    /// It does not speak of the VMs that it must.
    #[error("VM '{vm}': {what}")]
    Vm {
        /// The VM's name.
        vm: String,
        /// What is wrong.
        what: String,
    },
    /// The banks are not as the proof needs them.
    #[error("the banks: {what}")]
    Banks {
        /// What is wrong.
        what: String,
    },
    /// A rule ties units together in a way that the proof does not cover.
    #[error("rule '{rule}' ties different units together")]
    Rule {
        /// The rule's name.
        rule: String,
    },
    /// A plan is not legal.
    #[error("the plan for the loss of {}: {}", nodes.join(", "), faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Plan {
        /// The names of the nodes that fail.
        nodes: Vec<String>,
        /// What is wrong with it.
        faults: Vec<PlanFault>,
    },
    /// The proof of a counterexample does not hold.
    #[error("the proof: {what}")]
    Proof {
        /// What is wrong.
        what: String,
    },
    /// There are more failures than are checked one by one.
    #[error("more than {limit} failures would have to be checked one by one")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
}

impl VerdictFault {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::OtherState => "other_state",
            Self::Class { .. } => "class",
            Self::Vm { .. } => "vm",
            Self::Banks { .. } => "banks",
            Self::Rule { .. } => "rule",
            Self::Plan { .. } => "plan",
            Self::Proof { .. } => "proof",
            Self::TooLarge { .. } => "too_large",
        }
    }
}

/// How far a counterexample could be checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// The proof was replayed.
    Replayed,
    /// It rests on an exhausted search that is too large to be done again.
    NotReplayed,
}

/// Checks every certificate, counterexample and uncoverable VM of a verdict.
///
/// # Errors
/// Everything that is wrong, class by class.
pub fn check_verdict(cluster: &Cluster, policy: &Policy, verdict: &Verdict) -> Result<(), Vec<VerdictFault>> {
    let mut faults = Vec::new();
    if verdict.classes().len() != policy.tolerate.len() {
        faults.push(VerdictFault::Class { what: "the verdict has another number of classes than the policy".into() });
    }
    for (class, asked) in verdict.classes().iter().zip(&policy.tolerate) {
        if class.class() != asked {
            faults.push(VerdictFault::Class { what: "the verdict is on another class than the policy's".into() });
        }
        faults.extend(check_class(cluster, policy, class));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn check_class(cluster: &Cluster, policy: &Policy, verdict: &ClassVerdict) -> Vec<VerdictFault> {
    let mut faults = Vec::new();
    for found in verdict.uncoverable() {
        faults.extend(check_uncoverable(cluster, policy, verdict.class(), found));
    }
    match verdict.outcome() {
        Outcome::Holds(certificate) => {
            let listed: BTreeSet<VmId> = verdict.uncoverable().iter().map(|found| found.vm).collect();
            let left_out = certificate.left_out.iter().map(|vm| cluster.vm_id_of(*vm)).collect::<BTreeSet<_>>();
            if listed != left_out {
                faults.push(VerdictFault::Class { what: "VMs left out are not those that are uncoverable".into() });
            }
            faults.extend(check_certificate(cluster, policy, certificate).err().into_iter().flatten());
        }
        Outcome::Fails(counterexample) => {
            let found = check_counterexample(cluster, policy, verdict.class(), counterexample);
            faults.extend(found.err().into_iter().flatten());
        }
        Outcome::Undecided { .. } => {}
    }
    faults
}

/// The class over the cluster's nodes, worked out anew: per level its count and the nodes of each unit by name.
pub(super) struct Class<'c> {
    cluster: &'c Cluster,
    tiers: Vec<(String, u32, BTreeMap<String, BTreeSet<NodeId>>)>,
    /// Unreachable nodes: failed in every scenario.
    gone: Vec<NodeId>,
}

impl<'c> Class<'c> {
    pub(super) fn new(cluster: &'c Cluster, policy: &Policy, class: &FailureClass) -> Result<Self, VerdictFault> {
        let maintenance = cluster.nodes().filter(|node| node.state() == NodeState::Maintenance).count();
        if let Some((level, _)) = class.fail.iter().find(|(level, _)| !levels_of(cluster).any(|known| known == level)) {
            return Err(VerdictFault::Class { what: format!("there is no level '{level}'") });
        }
        let mut tiers = Vec::new();
        for level in levels_of(cluster) {
            // A level that is named twice may lose the sum.
            let named = class.fail.iter().filter(|(known, _)| known == level);
            let mut count = named.map(|(_, count)| *count).fold(0, u32::saturating_add);
            if policy.maintenance_uses_tolerance && level == NODE_LEVEL {
                count = count.saturating_sub(u32::try_from(maintenance).unwrap_or(u32::MAX));
            }
            let mut units: BTreeMap<String, BTreeSet<NodeId>> = BTreeMap::new();
            for node in cluster.nodes().filter(|node| matches!(node.state(), NodeState::Online | NodeState::Cordoned)) {
                units.entry(unit_name(node, level)).or_default().insert(node.id());
            }
            if count > 0 && !units.is_empty() {
                tiers.push((level.to_string(), count, units));
            }
        }
        let gone = cluster.nodes().filter(|node| node.state() == NodeState::Unreachable).map(NodeRef::id).collect();
        Ok(Self { cluster, tiers, gone })
    }

    pub(super) fn failure(&self, nodes: &BTreeSet<NodeId>) -> Failure {
        Failure::of(nodes.iter().chain(&self.gone).copied())
    }

    fn names(&self, nodes: &BTreeSet<NodeId>) -> Vec<String> {
        nodes.iter().filter_map(|node| self.cluster.node(*node).ok()).map(|node| node.name().to_string()).collect()
    }

    /// Whether units within the counts take all these nodes.
    fn can_take(&self, nodes: &BTreeSet<NodeId>, used: &mut Vec<u32>) -> bool {
        let Some(node) = nodes.first() else { return true };
        for (at, (_, count, units)) in self.tiers.iter().enumerate() {
            let spent = used.get(at).copied().unwrap_or(0);
            let Some(unit) = units.values().find(|unit| unit.contains(node)).filter(|_| spent < *count) else {
                continue;
            };
            let rest: BTreeSet<NodeId> = nodes.difference(unit).copied().collect();
            if let Some(entry) = used.get_mut(at) {
                *entry = spent.saturating_add(1);
            }
            let found = self.can_take(&rest, used);
            if let Some(entry) = used.get_mut(at) {
                *entry = spent;
            }
            if found {
                return true;
            }
        }
        false
    }

    /// Calls `visit` with the nodes of every set of units, until it says `false`.
    fn each(&self, tier: usize, chosen: &[Chosen<'_>], visit: &mut dyn FnMut(&[Chosen<'_>]) -> bool) -> bool {
        let Some((_, count, units)) = self.tiers.get(tier) else { return visit(chosen) };
        let units: Vec<&BTreeSet<NodeId>> = units.values().collect();
        self.choose(tier, &units, *count, chosen, visit)
    }

    fn choose(
        &self,
        tier: usize,
        units: &[&BTreeSet<NodeId>],
        left: u32,
        chosen: &[Chosen<'_>],
        visit: &mut dyn FnMut(&[Chosen<'_>]) -> bool,
    ) -> bool {
        if !self.each(tier.saturating_add(1), chosen, visit) {
            return false;
        }
        let Some(fewer) = left.checked_sub(1) else { return true };
        units.iter().enumerate().all(|(at, unit)| {
            let more: Vec<Chosen<'_>> = chosen.iter().copied().chain([(tier, *unit)]).collect();
            let rest = units.get(at.saturating_add(1)..).unwrap_or_default();
            self.choose(tier, rest, fewer, &more, visit)
        })
    }
}

/// A unit that fails, and the tier that it is of: a node alone in its rack can fail as either.
type Chosen<'u> = (usize, &'u BTreeSet<NodeId>);

/// All levels, the widest first.
fn levels_of(cluster: &Cluster) -> impl Iterator<Item = &str> {
    cluster.levels().chain([NODE_LEVEL])
}

fn unit_name(node: NodeRef<'_>, level: &str) -> String {
    let own = || format!("node {}", node.name());
    if level == NODE_LEVEL { own() } else { node.domain(level).map_or_else(own, |domain| format!("domain {domain}")) }
}

/// Whether a VM counts: protected, on, of the least priority.
pub(super) fn counts(vm: VmRef<'_>, class: &FailureClass) -> bool {
    let (restart, priority) = vm.effective();
    vm.is_on() && restart == RestartClass::Protected && class.min_priority.is_none_or(|least| priority >= least)
}

/// Whether a VM waits for a place in every scenario.
pub(super) fn waits(cluster: &Cluster, vm: VmRef<'_>) -> bool {
    let state = vm.node().and_then(|node| cluster.node(node).ok()).map(NodeRef::state);
    !matches!(state, Some(NodeState::Online | NodeState::Cordoned))
}

/// Whether labels, allowed nodes, `confine` and `exclude` let a VM run on a node.
pub(super) fn suits(cluster: &Cluster, vm: VmRef<'_>, node: NodeRef<'_>) -> bool {
    vm.requires().into_iter().all(|label| node.has_label(label))
        && vm.allowed_nodes().is_none_or(|nodes| nodes.contains(&node.id()))
        && vm.rules().filter_map(|rule| cluster.rule(rule).ok()).all(|rule| {
            rule.strength() != Strength::Required
                || match rule.kind() {
                    RuleKind::Confine { .. } => rule.means_node(node.id()),
                    RuleKind::Exclude { .. } => !rule.means_node(node.id()),
                    _ => true,
                }
        })
}

pub(super) fn within(need: &[u64], room: &[u64]) -> bool {
    need.iter().zip(room).all(|(need, room)| need <= room)
}

fn vm_fault(cluster: &Cluster, vm: VmId, what: &str) -> VerdictFault {
    VerdictFault::Vm { vm: cluster.vm(vm).map_or_else(|_| "?".into(), |vm| vm.name().to_string()), what: what.into() }
}

/// Whether a VM really is uncoverable: some failure displaces it and takes every node that could take it.
fn check_uncoverable(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    found: &Uncoverable,
) -> Vec<VerdictFault> {
    let resolved = match Class::new(cluster, policy, class) {
        Ok(resolved) => resolved,
        Err(fault) => return alloc::vec![fault],
    };
    let Ok(vm) = cluster.vm(found.vm) else { return alloc::vec![vm_fault(cluster, found.vm, "is not there")] };
    if is_uncoverable(&resolved, vm, class) {
        Vec::new()
    } else {
        alloc::vec![vm_fault(cluster, found.vm, "is called uncoverable and is not")]
    }
}

pub(super) fn is_uncoverable(class: &Class<'_>, vm: VmRef<'_>, asked: &FailureClass) -> bool {
    let takes = |node: &NodeRef<'_>| {
        node.state() == NodeState::Online
            && within(vm.restart_demand(), node.failover_allocatable())
            && suits(class.cluster, vm, *node)
    };
    let mut nodes: BTreeSet<NodeId> = class.cluster.nodes().filter(takes).map(NodeRef::id).collect();
    if !waits(class.cluster, vm) {
        nodes.extend(vm.node());
    }
    let mut used = class.tiers.iter().map(|_| 0).collect();
    counts(vm, asked) && class.can_take(&nodes, &mut used)
}

/// Checks a certificate against the cluster and policy that it should be for.
///
/// Costs a check of what each unit displaces, per bank; without banks of what each failure does, up to 200 000.
///
/// # Errors
/// Everything that is wrong.
pub fn check_certificate(
    cluster: &Cluster,
    policy: &Policy,
    certificate: &Certificate,
) -> Result<(), Vec<VerdictFault>> {
    check_certificate_controlled(cluster, policy, certificate, &Control::new())
}

/// The same, stopped through `control`.
///
/// # Errors
/// Besides, [`VerdictFault::Cancelled`].
pub fn check_certificate_controlled(
    cluster: &Cluster,
    policy: &Policy,
    certificate: &Certificate,
    control: &Control,
) -> Result<(), Vec<VerdictFault>> {
    let mut check = match Check::new(cluster, policy, certificate, control) {
        Ok(check) => check,
        Err(fault) => return Err(alloc::vec![fault]),
    };
    check.vms();
    check.standing();
    if check.faults.is_empty() {
        if certificate.columns.iter().any(|column| column.bank.is_some()) {
            check.backups();
            check.banks();
        } else {
            if !certificate.backups.is_empty() {
                check.faults.push(VerdictFault::Class { what: "there are places of VMs' own, and no banks".into() });
            }
            check.one_by_one();
        }
        if check.faults.is_empty() && check.looked_at.len() < certificate.exceptions.len() {
            let what = "an exception is for no failure of the class".into();
            check.faults.push(VerdictFault::Class { what });
        }
    }
    if control.is_cancelled() {
        return Err(alloc::vec![VerdictFault::Cancelled]);
    }
    if check.faults.is_empty() { Ok(()) } else { Err(check.faults) }
}

struct Check<'c> {
    control: &'c Control,
    cluster: &'c Cluster,
    class: Class<'c>,
    certificate: &'c Certificate,
    losses: u32,
    /// Where each VM of the certificate is: its node, or its standing place.
    home: BTreeMap<VmId, NodeId>,
    /// Per node the VMs of the certificate that it is the home of, and where they are in it.
    at: BTreeMap<NodeId, Vec<(VmId, usize)>>,
    spoken_of: BTreeSet<VmId>,
    standing: Vec<(VmId, NodeId)>,
    waiting: BTreeSet<VmId>,
    /// The cluster once those that waited run.
    after: Option<Cluster>,
    /// Whom the certificate may evict, and where they run.
    evicts: BTreeMap<VmId, NodeId>,
    /// Per node what has to stay free for VMs with places of their own.
    kept: BTreeMap<NodeId, Vec<u64>>,
    /// Exceptions that were checked, by position.
    looked_at: BTreeSet<usize>,
    faults: Vec<VerdictFault>,
}

impl<'c> Check<'c> {
    fn new(
        cluster: &'c Cluster,
        policy: &Policy,
        certificate: &'c Certificate,
        control: &'c Control,
    ) -> Result<Self, VerdictFault> {
        if !certificate.is_for(cluster) {
            return Err(VerdictFault::OtherState);
        }
        let class = Class::new(cluster, policy, &certificate.class)?;
        let asked: Vec<(String, u32)> = class
            .tiers
            .iter()
            .map(|(level, count, units)| (level.clone(), (*count).min(u32::try_from(units.len()).unwrap_or(u32::MAX))))
            .collect();
        // In this very order: columns name their tier by its position.
        if certificate.tiers != asked {
            return Err(VerdictFault::Class { what: "levels and counts are not those of the class".into() });
        }
        let columns: Vec<usize> = certificate.columns.iter().map(|column| column.tier).collect();
        if !columns.is_sorted() || columns.iter().any(|tier| *tier >= asked.len()) {
            return Err(VerdictFault::Class { what: "columns are not in the order of the levels".into() });
        }
        let failed = || certificate.exceptions.iter().map(|exception| &exception.failed);
        if !failed().zip(failed().skip(1)).all(|(left, right)| left < right) {
            return Err(VerdictFault::Class { what: "exceptions are not in order, each once".into() });
        }
        let backed = || certificate.backups.iter().map(|backup| backup.vm);
        if !backed().zip(backed().skip(1)).all(|(left, right)| left < right) {
            return Err(VerdictFault::Class {
                what: "VMs with places of their own are not in order, each once".into(),
            });
        }
        let losses = asked.iter().map(|(_, count)| *count).fold(0, u32::saturating_add);
        let standing = certificate.standing(cluster);
        let mut home: BTreeMap<VmId, NodeId> = cluster
            .vms()
            .filter(|vm| !waits(cluster, *vm))
            .filter_map(|vm| vm.node().map(|node| (vm.id(), node)))
            .collect();
        home.extend(standing.iter().copied());
        let mut after = None;
        if !standing.is_empty() || !class.gone.is_empty() {
            let mut settled = cluster.clone();
            for node in &class.gone {
                // The id is that of a node of this very cluster.
                let _ = settled.set_node_state(*node, NodeState::Failed);
            }
            for (vm, node) in &standing {
                let _ = settled.move_vm(*vm, Some(*node));
            }
            after = Some(settled);
        }
        let evicts = certificate.evicts.iter().map(|vm| cluster.vm_id_of(*vm));
        let evicts: BTreeMap<VmId, NodeId> = evicts.filter_map(|vm| Some((vm, cluster.vm(vm).ok()?.node()?))).collect();
        let mut at: BTreeMap<NodeId, Vec<(VmId, usize)>> = BTreeMap::new();
        let entries = certificate.vms.iter().map(|vm| cluster.vm_id_of(*vm));
        for (entry, vm) in entries.enumerate() {
            if let Some(home) = home.get(&vm) {
                at.entry(*home).or_default().push((vm, entry));
            }
        }
        let spoken_of = certificate.vms.iter().map(|vm| cluster.vm_id_of(*vm)).collect();
        let waiting = standing.iter().map(|(vm, _)| *vm).collect();
        let faults = Vec::new();
        let mut check = Self {
            control,
            cluster,
            class,
            certificate,
            losses,
            home,
            at,
            spoken_of,
            standing,
            waiting,
            after,
            evicts,
            kept: BTreeMap::new(),
            looked_at: BTreeSet::new(),
            faults,
        };
        check.evictions(policy);
        Ok(check)
    }

    /// Whether everyone whom the certificate names may be evicted for a protected VM.
    fn evictions(&mut self, policy: &Policy) {
        if !self.certificate.evicts.is_empty() && policy.preemption == Preemption::Never {
            self.faults.push(VerdictFault::Class { what: "it needs evictions, and the policy allows none".into() });
        }
        for vm in &self.certificate.evicts {
            let may_go = self.cluster.vm_ref(*vm).is_some_and(|vm| {
                vm.is_on()
                    && vm.is_preemptible()
                    && vm.effective().0 == RestartClass::BestEffort
                    && !waits(self.cluster, vm)
            });
            if !may_go {
                self.faults.push(vm_fault(self.cluster, self.cluster.vm_id_of(*vm), "may not be evicted"));
            }
        }
    }

    /// Everyone whom the certificate may evict and who is still there after a failure. That they all go is allowed; that a
    /// plan lets stay who need not go changes nothing for those who are placed.
    fn gone(&self, nodes: &BTreeSet<NodeId>) -> Vec<(VmId, NodeId)> {
        self.evicts.iter().filter(|(_, node)| !nodes.contains(node)).map(|(vm, node)| (*vm, *node)).collect()
    }

    fn speaks_of(&self, vm: VmRef<'_>) -> bool {
        counts(vm, &self.certificate.class) && self.certificate.left_out.binary_search(&vm.id().slot).is_err()
    }

    fn vms(&mut self) {
        let must: BTreeSet<VmId> = self.cluster.vms().filter(|vm| self.speaks_of(*vm)).map(VmRef::id).collect();
        let does: BTreeSet<VmId> = self.certificate.vms.iter().map(|vm| self.cluster.vm_id_of(*vm)).collect();
        for vm in must.symmetric_difference(&does) {
            let what =
                if must.contains(vm) { "is not in the certificate" } else { "does not belong in the certificate" };
            self.faults.push(vm_fault(self.cluster, *vm, what));
        }
        for vm in &self.certificate.left_out {
            let really = self.cluster.vm_ref(*vm);
            if !really.is_some_and(|vm| is_uncoverable(&self.class, vm, &self.certificate.class)) {
                self.faults.push(vm_fault(
                    self.cluster,
                    self.cluster.vm_id_of(*vm),
                    "is left out and could be covered",
                ));
            }
        }
    }

    fn standing(&mut self) {
        let must: BTreeSet<VmId> =
            self.cluster.vms().filter(|vm| self.speaks_of(*vm) && waits(self.cluster, *vm)).map(VmRef::id).collect();
        let does: BTreeSet<VmId> = self.standing.iter().map(|(vm, _)| *vm).collect();
        for vm in must.symmetric_difference(&does) {
            self.faults.push(vm_fault(
                self.cluster,
                *vm,
                "waits and has no standing place, or has one and does not wait",
            ));
        }
        self.legal(&BTreeSet::new(), &self.standing.clone(), false);
    }

    /// Notes a plan that is not legal: as it is, and, if `settled`, also once those that waited run.
    fn legal(&mut self, nodes: &BTreeSet<NodeId>, placements: &[(VmId, NodeId)], settled: bool) {
        let moved: Option<Vec<(VmId, NodeId)>> =
            settled.then(|| placements.iter().filter(|placed| !self.stands(nodes, placed)).copied().collect());
        let displaced: BTreeSet<VmId> =
            self.homes_on(nodes).map(|(vm, _)| vm).chain(self.waiting.intersection(&self.spoken_of).copied()).collect();
        self.displaced_are_placed(&displaced, placements);
        self.placements_are_legal(nodes, placements, moved.as_deref());
    }

    /// Notes who is displaced and not placed, or placed and not displaced.
    fn displaced_are_placed(&mut self, displaced: &BTreeSet<VmId>, placements: &[(VmId, NodeId)]) {
        let placed: BTreeSet<VmId> =
            placements.iter().map(|(vm, _)| *vm).filter(|vm| self.spoken_of.contains(vm)).collect();
        for vm in displaced.symmetric_difference(&placed) {
            let what = "is displaced and not placed, or placed and not displaced";
            self.faults.push(vm_fault(self.cluster, *vm, what));
        }
    }

    /// Notes placements that are not legal: as they are, and of those that are `moved` also once those that waited run.
    fn placements_are_legal(
        &mut self,
        nodes: &BTreeSet<NodeId>,
        placements: &[(VmId, NodeId)],
        moved: Option<&[(VmId, NodeId)]>,
    ) {
        let gone = self.gone(nodes);
        let failure = self.class.failure(nodes);
        let mut faults = check_placements(self.cluster, &failure, placements, &gone).err().unwrap_or_default();
        if let Some((after, moved)) = self.after.as_ref().zip(moved) {
            let failure = Failure::of(nodes.iter().copied());
            faults.extend(check_placements(after, &failure, moved, &gone).err().unwrap_or_default());
        }
        if !faults.is_empty() {
            self.faults.push(VerdictFault::Plan { nodes: self.class.names(nodes), faults });
        }
    }

    /// Whether it is a standing place that the loss of these nodes leaves as it is.
    fn stands(&self, nodes: &BTreeSet<NodeId>, (vm, node): &(VmId, NodeId)) -> bool {
        self.waiting.contains(vm) && self.home.get(vm) == Some(node) && !nodes.contains(node)
    }

    /// The VMs of the certificate whose home is one of these nodes.
    fn homes_on<'s>(&'s self, nodes: &'s BTreeSet<NodeId>) -> impl Iterator<Item = (VmId, usize)> + 's {
        nodes.iter().filter_map(|node| self.at.get(node)).flatten().copied()
    }

    /// Where a column has the VMs that a unit displaces.
    fn moved(&self, column: usize, nodes: &BTreeSet<NodeId>) -> Vec<(VmId, NodeId)> {
        let targets = self.certificate.targets.iter().nth(column);
        let mut entries: Vec<(VmId, usize)> = self.homes_on(nodes).collect();
        entries.sort_unstable_by_key(|(_, entry)| *entry);
        let moved = entries.into_iter().filter_map(|(vm, entry)| {
            let target = *targets?.get(entry)?;
            (target != NOWHERE).then(|| (vm, self.cluster.node_id_of(target)))
        });
        moved.collect()
    }

    fn exception(&mut self, nodes: &BTreeSet<NodeId>) -> Option<Vec<(VmId, NodeId)>> {
        let failed: Vec<_> = nodes.iter().map(|node| node.slot).collect();
        let at = self.certificate.exceptions.binary_search_by(|exception| exception.failed.cmp(&failed)).ok()?;
        self.looked_at.insert(at);
        let exception = self.certificate.exceptions.get(at)?;
        let ids =
            exception.placements.iter().map(|(vm, node)| (self.cluster.vm_id_of(*vm), self.cluster.node_id_of(*node)));
        Some(ids.collect())
    }

    fn one_by_one(&mut self) {
        // Without banks those that wait are placed with the loss, not before.
        let waits = self.losses == 1 && !self.standing.is_empty();
        if (self.losses > 1 || waits) && self.certificate.covers == Covers::AnyOrder {
            self.faults.push(VerdictFault::Class { what: "base plans cover losses at once only".into() });
        }
        let tiers = self.certificate.tiers.clone();
        let mut sets: Vec<Vec<(usize, BTreeSet<NodeId>)>> = Vec::new();
        let complete = self.class.each(0, &[], &mut |chosen| {
            sets.push(chosen.iter().map(|(tier, unit)| (*tier, (*unit).clone())).collect());
            u64::try_from(sets.len()).unwrap_or(u64::MAX) <= MOST_SETS
        });
        if !complete {
            self.faults.push(VerdictFault::TooLarge { limit: MOST_SETS });
            return;
        }
        for units in sets {
            if self.control.is_cancelled() {
                return;
            }
            let nodes: BTreeSet<NodeId> = units.iter().flat_map(|(_, unit)| unit).copied().collect();
            let plan = self.exception(&nodes).unwrap_or_else(|| {
                let mut plan: BTreeMap<VmId, NodeId> =
                    self.standing.iter().filter(|(_, node)| !nodes.contains(node)).copied().collect();
                // Each VM by the widest of the units that displaces it.
                for (column, served) in self.certificate.columns.iter().enumerate() {
                    let level = tiers.get(served.tier).map(|(level, _)| level);
                    let of_level = self.class.tiers.iter().position(|(known, _, _)| Some(known) == level);
                    for (_, unit) in units.iter().filter(|(tier, _)| Some(*tier) == of_level) {
                        for (vm, node) in self.moved(column, unit) {
                            plan.entry(vm).or_insert(node);
                        }
                    }
                }
                plan.into_iter().collect()
            });
            self.legal(&nodes, &plan, self.certificate.covers == Covers::AnyOrder);
        }
    }
}

/// Checks a counterexample: that its units may fail together, and that its proof holds. Prices are added up anew; an
/// exhausted search is done again by trying every VM on every node, up to 200 000 steps.
///
/// # Errors
/// Everything that is wrong.
pub fn check_counterexample(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    counterexample: &Counterexample,
) -> Result<Evidence, Vec<VerdictFault>> {
    let resolved = Class::new(cluster, policy, class).map_err(|fault| alloc::vec![fault])?;
    let class_fault = |what: &str| alloc::vec![VerdictFault::Class { what: what.into() }];
    let mut nodes: BTreeSet<NodeId> = BTreeSet::new();
    for (level, count, units) in &resolved.tiers {
        let of_level: BTreeSet<&Unit> = counterexample.units().iter().filter(|unit| unit.level == *level).collect();
        if of_level.len() > usize::try_from(*count).unwrap_or(usize::MAX) {
            return Err(class_fault("more units fail than the class allows"));
        }
        for unit in of_level {
            let (own, domain) = (format!("node {}", unit.name), format!("domain {}", unit.name));
            match units.get(&domain).or_else(|| units.get(&own)) {
                Some(found) => nodes.extend(found),
                None => return Err(class_fault("a unit that fails is none of the class")),
            }
        }
    }
    if counterexample.units().iter().any(|unit| !resolved.tiers.iter().any(|(level, _, _)| *level == unit.level)) {
        return Err(class_fault("a unit is of a level that the class does not speak of"));
    }
    if nodes != counterexample.failed().iter().copied().collect() {
        return Err(class_fault("the nodes that fail are not those of the units"));
    }
    let Proof::Prices { family, needed, available } = counterexample.proof() else {
        return match exhaust::try_all(cluster, policy, class, &nodes) {
            Tried::None => Ok(Evidence::Replayed),
            Tried::Some => Err(alloc::vec![VerdictFault::Proof { what: "all VMs can return".into() }]),
            Tried::Open => Ok(Evidence::NotReplayed),
        };
    };
    let example = family.within.map(|vm| cluster.vm(vm));
    let in_family = |node: NodeRef<'_>| match &example {
        Some(Ok(vm)) => suits(cluster, *vm, node),
        Some(Err(_)) => false,
        None => true,
    };
    let targets = || cluster.nodes().filter(|node| node.state() == NodeState::Online);
    let confined =
        |vm: VmRef<'_>| example.is_none() || targets().all(|node| !suits(cluster, vm, node) || in_family(node));
    let displaced = |vm: &VmRef<'_>| waits(cluster, *vm) || vm.node().is_some_and(|node| nodes.contains(&node));
    let cost: u128 = cluster
        .vms()
        .filter(|vm| counts(*vm, class) && displaced(vm) && confined(*vm))
        .map(|vm| price(&family.pricing, vm.restart_demand()))
        .fold(0, u128::saturating_add);
    let room: u128 = targets()
        .filter(|node| !nodes.contains(&node.id()) && in_family(*node))
        .map(|node| limit(&family.pricing, &room_of(cluster, policy, node)))
        .fold(0, u128::saturating_add);
    // VMs left out as uncoverable make the real need smaller than the one counted here, never larger.
    if cost < *needed || room > *available || needed <= available {
        let what = format!("{cost} are needed and {room} left, where it says {needed} and {available}");
        return Err(alloc::vec![VerdictFault::Proof { what }]);
    }
    Ok(Evidence::Replayed)
}

/// The most that can become free on a node: with all claims of migrations from nodes that may fail released, and, if VMs
/// may be stopped, without those.
pub(super) fn room_of(cluster: &Cluster, policy: &Policy, node: NodeRef<'_>) -> Vec<u64> {
    let runs = |source: NodeId| cluster.node(source).is_ok_and(|source| source.state().runs_vms());
    let stops = policy.preemption != Preemption::Never;
    room_without(
        cluster,
        node,
        |vm| vm.node().is_some_and(runs),
        |vm| stops && vm.is_preemptible() && vm.effective().0 == RestartClass::BestEffort,
    )
}

/// What a node can take once these of the VMs on the way to it come no more, and these of its own are gone.
pub(super) fn room_without(
    cluster: &Cluster,
    node: NodeRef<'_>,
    comes_no_more: impl Fn(VmRef<'_>) -> bool,
    is_gone: impl Fn(VmRef<'_>) -> bool,
) -> Vec<u64> {
    let mut used = node.used().to_vec();
    let incoming = node.incoming().filter_map(|vm| cluster.vm(vm).ok()).filter(|vm| comes_no_more(*vm));
    let own = node.vms().filter_map(|vm| cluster.vm(vm).ok()).filter(|vm| is_gone(*vm));
    for vm in incoming.chain(own) {
        for (used, demand) in used.iter_mut().zip(vm.demand()) {
            *used = used.saturating_sub(*demand);
        }
    }
    node.failover_allocatable().iter().zip(&used).map(|(most, used)| most.saturating_sub(*used)).collect()
}

fn price(pricing: &Pricing, need: &[u64]) -> u128 {
    let wide = |value: &u64| u128::from(*value);
    match pricing {
        Pricing::Weighted { weights } => need
            .iter()
            .zip(weights)
            .map(|(need, weight)| wide(need).saturating_mul(wide(weight)))
            .fold(0, u128::saturating_add),
        Pricing::Parts { kind, size } => need.get(*kind).and_then(|need| need.checked_div(*size)).map_or(0, u128::from),
        Pricing::Shape { shape } => u128::from(within(shape, need)),
    }
}

fn limit(pricing: &Pricing, room: &[u64]) -> u128 {
    match pricing {
        Pricing::Weighted { .. } | Pricing::Parts { .. } => price(pricing, room),
        // A shape of nothing fits without end: such a proof shows nothing.
        Pricing::Shape { shape } => {
            let times = room.iter().zip(shape).filter_map(|(room, shape)| room.checked_div(*shape)).min();
            times.map_or(u128::MAX, u128::from)
        }
    }
}
