//! The slow way, which alone refuses: a request on a copy of the cluster, operation by operation, with a node for every VM
//! whose node is open.
//!
//! Uses `cluster`, `guarantee` (how many more VMs there can be), `admission::{change, demands, item, violation}`. Used by
//! `admission::guard`.

use super::change::Change;
use super::demands::{self, Arrival, Concerned, against};
use super::guard::{GuardError, Placed, compare, placed};
use super::item::{self, Item, ItemError, ItemState, States};
use super::quick::runs;
use super::seats::dominant;
use super::violation::{Shortage, Violation, ViolationKind};
use crate::cluster::{Cluster, EditError, NodeRef, RestartClass, Vm, VmBefore, VmRef};
use crate::guarantee::{Answer, Newcomers, most_more};
use crate::ids::{NodeId, VmId};
use crate::placement::budget::Control;
use crate::policy::{Mode, Policy, Strategy, Uncoverable};
use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// How many choices of nodes are judged at most for one request.
pub const MAX_TRIES: usize = 64;

/// A request being judged.
pub(super) struct Search<'s> {
    cluster: &'s Cluster,
    policy: &'s Policy,
    now: &'s [ItemState],
    control: Option<&'s Control>,
    tried: usize,
    /// Whether choices were left that would have been tried otherwise.
    cut: bool,
}

/// What was found for a request.
pub(super) struct Judged {
    pub(super) changes: Vec<Change>,
    pub(super) placed: Vec<Placed>,
    pub(super) violations: Vec<Violation>,
    pub(super) states: States,
}

impl Judged {
    fn is_refused(&self) -> bool {
        self.violations.iter().any(|violation| violation.enforced)
    }
}

/// The copy, as far as the operations are carried out.
#[derive(Clone)]
struct Draft {
    cluster: Cluster,
    policy: Policy,
    changes: Vec<Change>,
    touched: Vec<VmId>,
    starting: Vec<VmId>,
    moving: Vec<VmId>,
    concerned: Concerned,
    down: Vec<Down>,
    violations: Vec<Violation>,
}

impl<'s> Search<'s> {
    pub(super) const fn new(
        cluster: &'s Cluster,
        policy: &'s Policy,
        now: &'s [ItemState],
        control: Option<&'s Control>,
    ) -> Self {
        Self { cluster, policy, now, control, tried: 0, cut: false }
    }

    /// The first choice of nodes against which nothing stands; if there is none, the first that was tried.
    pub(super) fn decide(mut self, changes: &[Change]) -> Result<Judged, GuardError> {
        let draft = Draft {
            cluster: self.cluster.clone(),
            policy: self.policy.clone(),
            changes: Vec::new(),
            touched: Vec::new(),
            starting: Vec::new(),
            moving: Vec::new(),
            concerned: Concerned::default(),
            down: Vec::new(),
            violations: Vec::new(),
        };
        let mut found = self.go(draft, changes)?;
        if found.is_refused() && self.cut {
            let tried = self.tried;
            let message = format!("{tried} choices of nodes were tried, and not all there are");
            found.violations.push(against(ViolationKind::BudgetSpent { tried }, message));
        }
        Ok(found)
    }

    fn go(&mut self, mut draft: Draft, changes: &[Change]) -> Result<Judged, GuardError> {
        let Some((change, rest)) = changes.split_first() else { return self.judge(draft) };
        if let Some(node) = change.takes_down(&draft.cluster) {
            draft.down.extend(Down::new(&draft.cluster, node));
        }
        if cannot_move(&draft.cluster, change) {
            return Ok(self.inconsistent(draft, change, EditError::BadMigration));
        }
        let waiting = match open(change) {
            Open::No => match draft.carry_out(change) {
                Ok(()) => return self.go(draft, rest),
                Err(error) => return Ok(self.inconsistent(draft, change, error)),
            },
            Open::Yes(vm) => vm,
            Open::New(vm) => {
                let mut cluster = draft.cluster.clone();
                match cluster.add_vm((*vm).clone()) {
                    Ok(id) => {
                        draft.cluster = cluster;
                        id
                    }
                    Err(error) => return Ok(self.inconsistent(draft, change, error)),
                }
            }
        };
        let candidates = candidates(&draft, rest, waiting, matches!(change, Change::Migrate { .. }));
        let mut first = None;
        match candidates {
            Ok(nodes) => {
                // Nodes where a rule bars the VM are passed over without a verdict, so that they use up no tries. Of a
                // transaction that goes on the rest may still put the rule right.
                let mut bound = Bound::new(&draft, change, waiting).filter(|_| rest.is_empty());
                let mut barred = None;
                for node in nodes {
                    if bound.as_mut().is_some_and(|bound| bound.bars(self.cluster, node)) {
                        barred.get_or_insert(node);
                        continue;
                    }
                    if self.tried >= MAX_TRIES {
                        self.cut = true;
                        break;
                    }
                    let mut next = draft.clone();
                    if let Err(error) = next.settle(change, waiting, node) {
                        return Ok(self.inconsistent(draft, change, error));
                    }
                    let found = self.go(next, rest)?;
                    if !found.is_refused() {
                        return Ok(found);
                    }
                    let is_first = first.is_none();
                    first.get_or_insert(found);
                    if is_first && rest.is_empty() && self.is_hopeless(&draft, waiting)? {
                        break;
                    }
                }
                // Where all are barred the first says by which rule, and how far it would be broken.
                if let (None, Some(node)) = (&first, barred) {
                    return match draft.settle(change, waiting, node) {
                        Ok(()) => self.go(draft, rest),
                        Err(error) => Ok(self.inconsistent(draft, change, error)),
                    };
                }
            }
            Err(violation) => {
                draft.violations.push(*violation);
                draft.changes.push(change.clone());
                // The others may stand in the way of something, too: they are said in the same answer.
                return self.go(draft, rest);
            }
        }
        if let Some(found) = first {
            return Ok(found);
        }
        // No node could be tried.
        self.cut = true;
        let message = format!("operation {} of the transaction was not judged", draft.changes.len().saturating_add(1));
        draft.violations.push(against(ViolationKind::BudgetSpent { tried: self.tried }, message));
        self.judge(draft)
    }

    /// Whether it is proved that a VM can be started on no node at all with a class kept that is kept now: then it is not
    /// tried on one after the other, each of which costs a verdict.
    fn is_hopeless(&self, draft: &Draft, vm: VmId) -> Result<bool, GuardError> {
        let waits = self.cluster.vm(vm).is_ok_and(VmRef::is_on);
        let (cluster, policy) = (&draft.cluster, self.policy);
        // What waits is counted among the displaced already; and of what is not covered the class says nothing.
        if waits || !draft.changes.is_empty() || policy.uncoverable != Uncoverable::Fail {
            return Ok(false);
        }
        let (demand, again) = (&cluster.demand_rows()[vm.slot], &cluster.restart_rows()[vm.slot]);
        let one = Newcomers { demand, restart: again, like: None, single: true };
        let (restart, priority) = cluster.effective(vm.slot);
        for state in self.now {
            let Item::Tolerate(kept) = &state.item else { continue };
            let concerns = restart == RestartClass::Protected
                && kept.class.min_priority.is_none_or(|least| priority >= least)
                && kept.class.mode.unwrap_or(policy.admission) == Mode::Enforce
                && kept.answer == Answer::Holds;
            if concerns && most_more(self.cluster, policy, &kept.class, &one).map_err(ItemError::from)? == Some(0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn inconsistent(&self, draft: Draft, change: &Change, error: EditError) -> Judged {
        let at = draft.changes.len();
        let vm = change.vm().and_then(|vm| self.cluster.vm(vm).ok());
        let of = vm.map_or_else(String::new, |vm| format!(" of VM '{}'", vm.name()));
        let number = at.saturating_add(1);
        let message = format!("operation {number} of the transaction ({}{of}): {error}", change.op());
        let mut violations = draft.violations;
        violations.push(against(ViolationKind::Inconsistent { change: at, error }, message));
        Judged {
            changes: draft.changes,
            placed: Vec::new(),
            violations,
            states: States { items: self.now.to_vec(), certificates: Vec::new() },
        }
    }

    fn judge(&mut self, draft: Draft) -> Result<Judged, GuardError> {
        // What is judged without a verdict looks at no budget.
        if self.control.is_some_and(Control::is_cancelled) {
            return Err(GuardError::Cancelled);
        }
        self.tried = self.tried.saturating_add(1);
        let Draft { cluster, policy, changes, touched, starting, moving, concerned, down, mut violations } = draft;
        violations.extend(down.iter().filter_map(|down| down.not_empty(&cluster)));
        let mut nodes: Vec<NodeId> = Vec::new();
        for vm in &touched {
            for arrival in demands::arrivals(self.cluster, &cluster, *vm, starting.contains(vm)) {
                violations.extend(demands::barred(&cluster, arrival));
                nodes.push(arrival.node);
            }
            let places = |vm: VmRef<'_>| vm.node().into_iter().chain(vm.migrating_to());
            nodes.extend(cluster.vm(*vm).into_iter().flat_map(places));
        }
        nodes.sort_unstable();
        nodes.dedup();
        let name = |node: &NodeId| cluster.node(*node).map(NodeRef::name).ok();
        nodes.sort_by(|left, right| name(left).cmp(&name(right)));
        violations.extend(nodes.iter().filter_map(|node| demands::short_of(self.cluster, &cluster, *node, &starting)));
        violations.extend(demands::rules_broken(self.cluster, &cluster, &concerned));
        let mut states = item::states(&cluster, &policy, self.control)?;
        if !moving.is_empty() {
            let mut arrived = cluster.clone();
            for vm in &moving {
                // A move that the same transaction has ended is none any more.
                let _ = arrived.end_migration(*vm, true);
            }
            for (item, later) in states.items.iter_mut().zip(item::states(&arrived, &policy, self.control)?.items) {
                if later.is_worse_than(item) {
                    *item = later;
                }
            }
        }
        violations.extend(compare(&cluster, self.now, &states.items));
        Ok(Judged { changes, placed: placed(&cluster, &touched), violations, states })
    }
}

impl Draft {
    /// The cluster with what is still to come of the transaction, as far as it can be carried out and says where: only the
    /// end is judged. A VM that starts somewhere waits meanwhile.
    fn seen_after(&self, rest: &[Change], waiting: VmId) -> Cow<'_, Cluster> {
        if rest.is_empty() {
            return Cow::Borrowed(&self.cluster);
        }
        let (mut cluster, mut policy) = (self.cluster.clone(), self.policy.clone());
        for change in rest {
            let passed_over =
                matches!(open(change), Open::Yes(_)) || matches!(change, Change::RemoveVm { vm } if *vm == waiting);
            if !passed_over {
                let _ = change.apply(&mut cluster, &mut policy);
            }
        }
        Cow::Owned(cluster)
    }

    fn carry_out(&mut self, change: &Change) -> Result<(), EditError> {
        let vm = change.apply(&mut self.cluster, &mut self.policy)?;
        self.note(change, vm);
        self.changes.push(change.clone());
        Ok(())
    }

    /// Puts a VM whose node was open on a node. A new one is in the copy already, waiting.
    fn settle(&mut self, change: &Change, vm: VmId, node: NodeId) -> Result<(), EditError> {
        let settled = match change {
            Change::AddVm(described) => {
                self.cluster.move_vm(vm, Some(node))?;
                let mut described = described.clone();
                described.node = Some(node);
                Change::AddVm(described)
            }
            Change::Migrate { vm, .. } => Change::Migrate { vm: *vm, to: Some(node) },
            _ => Change::Start { vm, node: Some(node) },
        };
        if !matches!(settled, Change::AddVm(_)) {
            settled.apply(&mut self.cluster, &mut self.policy)?;
        }
        self.note(&settled, Some(vm));
        self.changes.push(settled);
        Ok(())
    }

    fn note(&mut self, change: &Change, vm: Option<VmId>) {
        match change.vm().or(vm) {
            Some(vm) => self.concerned.vms.push(vm),
            None => self.concerned.all = true,
        }
        if let Change::Stop { vm } = change {
            self.down.iter_mut().for_each(|down| down.guests.retain(|(guest, _)| guest != vm));
        }
        if let Change::UpdateRule { rule, .. } = change {
            self.concerned.edited.push(rule.slot);
        }
        let Some(vm) = vm else { return };
        match change {
            Change::Start { .. } | Change::AddVm(_) => self.starting.push(vm),
            _ if self.cluster.vm(vm).is_ok_and(|vm| vm.migrating_to().is_some()) => self.moving.push(vm),
            _ => {}
        }
        if !self.touched.contains(&vm) {
            self.touched.push(vm);
        }
    }
}

/// A VM that rules bind, looking for a node.
struct Bound<'c> {
    draft: Draft,
    change: &'c Change,
    vm: VmId,
    before: VmBefore,
    concerned: Concerned,
}

impl<'c> Bound<'c> {
    /// `None`: no rule binds it.
    fn new(draft: &Draft, change: &'c Change, vm: VmId) -> Option<Self> {
        let record = draft.cluster.vm_record(vm.slot)?;
        if record.rules.is_empty() && record.leads.is_empty() {
            return None;
        }
        let concerned = Concerned { vms: Vec::from([vm]), edited: draft.concerned.edited.clone(), all: false };
        Some(Self { draft: draft.clone(), change, vm, before: draft.cluster.vm_before(vm.slot)?, concerned })
    }

    /// Whether a rule stands against the VM on a node.
    fn bars(&mut self, cluster: &Cluster, node: NodeId) -> bool {
        let settled = self.draft.settle(self.change, self.vm, node);
        let broken = demands::rules_broken(cluster, &self.draft.cluster, &self.concerned);
        self.draft.changes.clear();
        self.draft.cluster.restore_vm(&self.before);
        settled.is_ok() && broken.iter().any(|violation| violation.enforced)
    }
}

/// Whether the node of a VM is open.
enum Open {
    No,
    Yes(VmId),
    New(Box<Vm>),
}

fn open(change: &Change) -> Open {
    match change {
        Change::Start { vm, node: None } | Change::Migrate { vm, to: None } => Open::Yes(*vm),
        Change::AddVm(vm) if vm.is_on() && vm.node.is_none() => Open::New(vm.clone()),
        _ => Open::No,
    }
}

/// A node that a transaction takes down or away, with what runs there then.
#[derive(Clone)]
struct Down {
    node: NodeId,
    name: String,
    /// VMs that run there, or move there, with the node that each runs on.
    guests: Vec<(VmId, Option<NodeId>)>,
}

impl Down {
    fn new(cluster: &Cluster, node: NodeId) -> Option<Self> {
        let name = cluster.node(node).ok()?.name().to_owned();
        let is_there =
            |vm: &VmRef<'_>| vm.is_on() && !vm.is_displaced() && [vm.node(), vm.migrating_to()].contains(&Some(node));
        Some(Self { node, name, guests: cluster.vms().filter(is_there).map(|vm| (vm.id(), vm.node())).collect() })
    }

    /// Against a transaction at whose end VMs that ran there are neither off nor run where they ran.
    fn not_empty(&self, after: &Cluster) -> Option<Violation> {
        let is_up = after.node(self.node).is_ok_and(|node| node.state().runs_vms());
        let left = |(vm, home): &&(VmId, Option<NodeId>)| {
            after.vm(*vm).is_ok_and(|vm| {
                // Of a move hither that was going on: the node is gone, or the move goes on.
                let hither = *home != Some(self.node)
                    && (after.node(self.node).is_err() || vm.migrating_to() == Some(self.node));
                vm.is_on() && (vm.is_displaced() || vm.node() != *home || (hither && !is_up))
            })
        };
        let vms = self.guests.iter().filter(left).count();
        let (what, them) = if vms == 1 { (String::from("1 VM"), "it") } else { (format!("{vms} VMs"), "them") };
        let message = format!("node '{}' still runs {what}: move or stop {them} first", self.name);
        (vms > 0).then(|| against(ViolationKind::NotEmpty { node: self.node, vms }, message))
    }
}

/// Whether it is a live move of a VM that runs nowhere, or of which nobody knows whether it runs.
fn cannot_move(cluster: &Cluster, change: &Change) -> bool {
    let Change::Migrate { vm, .. } = change else { return false };
    let source = cluster.vm(*vm).ok().and_then(VmRef::node);
    source.is_none_or(|source| !runs(cluster, source.slot))
}

/// The nodes that can take a VM, in the order of the strategy; or why there is none.
fn candidates(draft: &Draft, rest: &[Change], vm: VmId, live: bool) -> Result<Vec<NodeId>, Box<Violation>> {
    let seen = draft.seen_after(rest, vm);
    let cluster = &*seen;
    let Ok(record) = cluster.vm(vm) else { return Ok(Vec::new()) };
    let restart = |kind: usize| if live { 0 } else { record.restart_demand().get(kind).copied().unwrap_or(0) };
    let need: Vec<u64> =
        record.demand().iter().enumerate().map(|(kind, demand)| (*demand).max(restart(kind))).collect();
    let mut ranked: Vec<(u64, &str, NodeId)> = Vec::new();
    let mut against_it: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut nearest: Option<(u128, &str, Shortage)> = None;
    let mut bar = |code| {
        let count = against_it.entry(code).or_default();
        *count = count.saturating_add(1);
    };
    for node in cluster.nodes() {
        let is_there_yet = draft.cluster.node(node.id()).is_ok();
        if !is_there_yet || (live && record.node() == Some(node.id())) {
            continue;
        }
        if let Some(violation) = demands::barred(cluster, Arrival { vm, node: node.id(), live }) {
            bar(violation.kind.code());
            continue;
        }
        if let Some((part, shortage)) = demands::lacks(node, &need) {
            bar("insufficient");
            let least = nearest.as_ref().is_none_or(|(least, name, _)| (part, node.name()) < (*least, *name));
            if least {
                nearest = Some((part, node.name(), shortage));
            }
            continue;
        }
        ranked.push((dominant(cluster, node.id().slot, &need), node.name(), node.id()));
    }
    if ranked.is_empty() {
        let nodes: Vec<(&'static str, usize)> = against_it.into_iter().collect();
        let parts: Vec<String> = nodes.iter().map(|(code, count)| format!("{count} {}", words(code))).collect();
        let name = record.name().to_owned();
        let lacks = nearest
            .as_ref()
            .map(|(_, node, lacks)| format!(" (closest is '{node}', short of {})", demands::in_words(cluster, lacks)));
        let message = format!("no node can take VM '{name}': {}{}", parts.join(", "), lacks.unwrap_or_default());
        let nearest = nearest.map(|(.., lacks)| lacks);
        return Err(Box::new(against(ViolationKind::NoNode { vm, name, nodes, nearest }, message)));
    }
    match draft.policy.strategy {
        Strategy::Spread => ranked.sort_unstable(),
        Strategy::Pack => {
            ranked.sort_unstable_by(|left, right| (Reverse(left.0), left.1).cmp(&(Reverse(right.0), right.1)));
        }
    }
    Ok(ranked.into_iter().map(|(_, _, node)| node).collect())
}

/// A code in words, for "3 short of room".
fn words(code: &str) -> &str {
    match code {
        "insufficient" => "short of room",
        "not_accepting" => "not accepting VMs",
        "spare_reserved" => "kept as spares",
        "missing_label" => "without a label that it requires",
        "not_allowed" => "not among its allowed nodes",
        "not_migratable" => "out of reach: it cannot be moved while it runs",
        other => other,
    }
}
