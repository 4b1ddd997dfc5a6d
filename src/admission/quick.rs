//! The quick way: a request about one VM that is plain, or that `separate` rules alone tie, or about a node's state, judged by the
//! ledgers alone.
//!
//! Uses `cluster`, `admission::{books, change, demands, ledger, seats}`. Used by `admission::guard`, which asks the slow
//! way (`choose`) whenever there is no answer here.
//!
//! It only ever says yes, and only what the slow way says, too: the same node for a VM whose node is open, and no item of
//! the policy worse. It looks at the cluster as it is, and reckons what the change would do; nothing is copied, and for
//! starts and stops nothing is allocated.

use super::books::{Books, turn_of};
use super::change::Change;
use super::demands::may_go;
use super::guard::Placed;
use super::ledger::{After, Moved, counts_takers, is_apart_by_node, is_barred, is_followed, is_plain_described};
use super::seats::{Wish, dominant};
use crate::cluster::{Cluster, NodeState, Priority, RestartClass, RuleBody, Strength, Vm, VmRecord};
use crate::dense::fits;
use crate::guarantee::NOWHERE;
use crate::ids::{NodeSlot, VmId, VmSlot};
use crate::policy::Policy;
use crate::resources::Amounts;
use alloc::boxed::Box;
use alloc::sync::Arc;
use smallvec::{SmallVec, smallvec};

/// A request that may be carried out.
pub(super) struct Quick {
    /// The operations, with the nodes chosen.
    pub(super) changes: SmallVec<[Change; 1]>,
    pub(super) placed: SmallVec<[Placed; 1]>,
}

impl Quick {
    fn one(change: Change, placed: Option<Placed>) -> Self {
        Self { changes: smallvec![change], placed: placed.into_iter().collect() }
    }
}

/// What a request is judged by.
pub(super) struct Desk<'d> {
    pub(super) cluster: &'d Cluster,
    pub(super) policy: &'d Policy,
    pub(super) books: &'d mut Books,
}

/// A VM that looks for a node.
#[derive(Clone, Copy)]
struct Seeker<'s> {
    /// `None`: it is not there yet.
    vm: Option<VmSlot>,
    /// Whether it moves while it runs.
    live: bool,
    restart: RestartClass,
    priority: Priority,
    demand: &'s [u64],
    again: &'s [u64],
}

impl<'d> Desk<'d> {
    /// Yes, or no answer.
    pub(super) fn decide(&mut self, change: &Change) -> Option<Quick> {
        match change {
            Change::Start { vm, node } => {
                self.start(*vm, node.map(|node| self.cluster.node_slot(node)).transpose().ok()?)
            }
            Change::AddVm(vm) => self.add(vm),
            Change::Stop { vm } => self.end(*vm, change, true),
            Change::RemoveVm { vm } => self.end(*vm, change, false),
            Change::Resize { vm, demand } => self.resize(*vm, demand),
            Change::Migrate { vm, to } => self.migrate(*vm, to.map(|to| self.cluster.node_slot(to)).transpose().ok()?),
            Change::MigrateDone { vm } => self.arrive(*vm),
            Change::MigrateAborted { vm } => self.abort(*vm),
            Change::SetState { .. } | Change::AddNode(_) | Change::RemoveNode { .. } => self.turn(change),
            _ => None,
        }
    }

    /// A VM that the ledgers follow.
    fn followed(&self, vm: VmId) -> Option<(VmSlot, &'d VmRecord)> {
        let cluster = self.cluster;
        let slot = cluster.vm_slot(vm).ok().filter(|slot| is_followed(cluster, *slot))?;
        cluster.vm_record(slot).map(|record| (slot, record))
    }

    fn start(&mut self, vm: VmId, node: Option<NodeSlot>) -> Option<Quick> {
        let cluster = self.cluster;
        let (slot, record) = self.followed(vm).filter(|(_, record)| !record.on && record.has_demand)?;
        let (restart, priority) = record.effective;
        let (demand, again) = (&cluster.demand_rows()[slot], &cluster.restart_rows()[slot]);
        let seeker = Seeker { vm: Some(slot), live: false, restart, priority, demand, again };
        let node = self.seat(&seeker, node)?;
        let change = Change::Start { vm, node: Some(cluster.node_id_of(node)) };
        Some(Quick::one(change, self.placed(vm, node)))
    }

    fn add(&mut self, vm: &Vm) -> Option<Quick> {
        let cluster = self.cluster;
        if !is_plain_described(cluster, vm) || vm.migrating_to.is_some() {
            return None;
        }
        let new = cluster.about_to_add(vm).ok()?;
        if !vm.is_on() {
            return Some(Quick::one(Change::AddVm(Box::new(vm.clone())), None));
        }
        let node = vm.node.map(|node| cluster.node_slot(node)).transpose().ok()?;
        let (restart, priority) = (vm.restart, vm.priority);
        let (demand, again) = (&*new.demand, &*new.restart_demand);
        let node = self.seat(&Seeker { vm: None, live: false, restart, priority, demand, again }, node)?;
        let vm = Vm { node: Some(cluster.node_id_of(node)), ..vm.clone() };
        let record = cluster.node_record(node)?;
        let placed = Placed {
            vm: new.id,
            vm_name: Arc::from(vm.name.as_str()),
            node: cluster.node_id_of(node),
            node_name: Arc::clone(&record.name),
        };
        Some(Quick::one(Change::AddVm(Box::new(vm)), Some(placed)))
    }

    /// A VM stops, or is removed.
    fn end(&mut self, vm: VmId, change: &Change, stop: bool) -> Option<Quick> {
        let (slot, record) = self.followed(vm)?;
        let possible = if stop { record.on } else { record.leads.is_empty() };
        let gone = self.after(slot, None, &[]);
        let kept = possible && self.ensure(&gone);
        kept.then(|| Quick::one(change.clone(), None))
    }

    fn resize(&mut self, vm: VmId, to: &Amounts) -> Option<Quick> {
        let cluster = self.cluster;
        let (slot, record) = self.followed(vm).filter(|(_, record)| record.migrating_to.is_none())?;
        let (demand, again) = cluster.about_to_resize(vm, to).ok()?;
        let mut placed = None;
        if record.on {
            let node = record.node.filter(|node| runs(cluster, *node))?;
            let was = &cluster.demand_rows()[slot];
            let (used, most) = (&cluster.used_rows()[node], cluster.allocatable_row(node));
            let short = |kind: usize| {
                let of = |row: &[u64]| row.get(kind).copied().unwrap_or(0);
                let now = of(used).saturating_sub(of(was)).saturating_add(of(&demand));
                now > of(used) && now > of(most)
            };
            if (0..used.len()).any(short) {
                return None;
            }
            let moved = [Moved::new(cluster, node, &demand, was)];
            let after = After { need: &again, runs: &demand, ..self.after(slot, Some(node), &moved) };
            if !self.ensure(&after) {
                return None;
            }
            placed = self.placed(vm, node);
        }
        Some(Quick::one(Change::Resize { vm, demand: to.clone() }, placed))
    }

    fn migrate(&mut self, vm: VmId, to: Option<NodeSlot>) -> Option<Quick> {
        let cluster = self.cluster;
        let (slot, record) =
            self.followed(vm).filter(|(_, record)| record.on && record.migrating_to.is_none() && !record.pinned)?;
        let source = record.node.filter(|node| runs(cluster, *node))?;
        if to == Some(source) || binds_places(cluster, record) || !is_apart_by_node(cluster, record) {
            return None;
        }
        let (restart, priority) = record.effective;
        let (demand, again) = (&cluster.demand_rows()[slot], &cluster.restart_rows()[slot]);
        let target = self.seat(&Seeker { vm: Some(slot), live: true, restart, priority, demand, again }, to)?;
        let change = Change::Migrate { vm, to: Some(cluster.node_id_of(target)) };
        Some(Quick::one(change, self.placed(vm, target)))
    }

    fn arrive(&mut self, vm: VmId) -> Option<Quick> {
        let (slot, record) = self.followed(vm)?;
        let (source, target) = (record.node?, record.migrating_to?);
        // Since the move began, plans of others that fail with its source may have come to count on its being gone.
        let after = After { arrives: Some(target), ..self.after(slot, Some(target), &[]) };
        let kept = runs(self.cluster, source) && runs(self.cluster, target) && self.ensure(&after);
        kept.then(|| Quick::one(Change::MigrateDone { vm }, self.placed(vm, target)))
    }

    fn abort(&mut self, vm: VmId) -> Option<Quick> {
        let (slot, record) = self.followed(vm).filter(|(_, record)| record.migrating_to.is_some())?;
        let after = self.after(slot, Some(record.node?), &[]);
        self.ensure(&after).then(|| Quick::one(Change::MigrateAborted { vm }, None))
    }

    /// A node takes another state, comes or goes.
    fn turn(&mut self, change: &Change) -> Option<Quick> {
        let (cluster, policy) = (self.cluster, self.policy);
        let turn = turn_of(cluster, change)?;
        let possible = match (change, turn.node.and_then(|node| cluster.node_record(node))) {
            (Change::AddNode(node), _) => cluster.may_add_node(node),
            (_, Some(record)) => {
                let goes_on = !turn.changes_units() && turn.will.is_some() && change.takes_down(cluster).is_none();
                goes_on || (record.residents.is_empty() && record.incoming.is_empty())
            }
            _ => false,
        };
        // By how much such a rule is broken now the slow way says.
        let is_told = turn.changes_takers() && counts_takers(cluster);
        let mut classes = self.books.classes.iter_mut().flatten();
        let kept = possible && !is_told && classes.all(|ledger| ledger.bears(cluster, policy, turn));
        kept.then(|| Quick::one(change.clone(), None))
    }

    /// A VM that is there already, with a node and other nodes' room as they will be.
    fn after<'a>(&self, vm: VmSlot, home: Option<NodeSlot>, moved: &'a [Moved]) -> After<'a>
    where
        'd: 'a,
    {
        let cluster = self.cluster;
        let (restart, priority) = cluster.effective(vm);
        let (need, runs) = (&cluster.restart_rows()[vm], &cluster.demand_rows()[vm]);
        After { vm: Some(vm), home, restart, priority, need, runs, arrives: None, moved }
    }

    /// Whether every class is kept, if need be once claims are moved.
    fn ensure(&mut self, after: &After<'_>) -> bool {
        let cluster = self.cluster;
        let mut classes = self.books.classes.iter_mut().flatten();
        classes.all(|ledger| ledger.keeps(cluster, after) || ledger.make_room(cluster, after))
    }

    /// The node for a VM: the one given, or the first in the order of the strategy. `None` where the ledgers do not know
    /// of the first that the slow way would look at.
    fn seat(&mut self, seeker: &Seeker<'_>, given: Option<NodeSlot>) -> Option<NodeSlot> {
        let cluster = self.cluster;
        let both: Amounts;
        let need = if seeker.live || fits(seeker.again, seeker.demand) {
            seeker.demand
        } else {
            both = seeker.demand.iter().zip(seeker.again).map(|(now, again)| *now.max(again)).collect();
            &both
        };
        let record = seeker.vm.and_then(|vm| cluster.vm_record(vm));
        let home = record.and_then(|record| record.node).filter(|_| seeker.live);
        if let Some(node) = given {
            let takes = has_room(cluster, node, need)
                && may_go(cluster, record, node, seeker.live)
                && self.keeps_rules(seeker, node);
            return (takes && self.holds_at(seeker, node)).then_some(node);
        }
        let wish = Wish { need, strategy: self.policy.strategy };
        if let Some(allowed) = record.and_then(|record| record.allowed_nodes.as_ref()) {
            let listed = allowed.iter().filter_map(|node| cluster.live_node(*node));
            let open = listed.filter(|node| Some(*node) != home && has_room(cluster, *node, need));
            let mut open: alloc::vec::Vec<NodeSlot> =
                open.filter(|node| may_go(cluster, record, *node, seeker.live)).collect();
            let name = |node: NodeSlot| cluster.node_record(node).map(|record| Arc::clone(&record.name));
            open.sort_by_cached_key(|node| (wish.key(dominant(cluster, *node, need)), name(*node)));
            let first = open.into_iter().find(|node| self.keeps_rules(seeker, *node));
            return first.filter(|node| self.holds_at(seeker, *node));
        }
        self.books.seats(cluster).begin(cluster, &wish);
        loop {
            let node = self.books.seats(cluster).next(cluster, &wish)?;
            if Some(node) != home && may_go(cluster, record, node, seeker.live) && self.keeps_rules(seeker, node) {
                // The slow way is asked about a node of which the ledgers do not know.
                return self.holds_at(seeker, node).then_some(node);
            }
        }
    }

    /// Whether no rule that is not merely preferred stands against a VM on a node.
    fn keeps_rules(&self, seeker: &Seeker<'_>, node: NodeSlot) -> bool {
        let Some(vm) = seeker.vm else { return true };
        let cluster = self.cluster;
        cluster
            .vm_record(vm)
            .is_none_or(|record| keeps_places(cluster, record, node) && !is_barred(cluster, vm, record, node))
    }

    /// Whether every class is kept with the VM on a node; of a move also while it lasts.
    fn holds_at(&mut self, seeker: &Seeker<'_>, node: NodeSlot) -> bool {
        let Seeker { vm, live, restart, priority, demand, again } = *seeker;
        let moved = [Moved::new(self.cluster, node, demand, &[])];
        let home = Some(node);
        let after = After { vm, home, restart, priority, need: again, runs: demand, arrives: home, moved: &moved };
        let source = vm.and_then(|vm| self.cluster.vm_record(vm)).and_then(|record| record.node).filter(|_| live);
        let lasts = After { home: source, ..after };
        self.ensure(&after) && (source.is_none() || self.ensure(&lasts))
    }

    fn placed(&self, vm: VmId, node: NodeSlot) -> Option<Placed> {
        let (record, target) = (self.cluster.vm_record(vm.slot)?, self.cluster.node_record(node)?);
        Some(Placed {
            vm,
            vm_name: Arc::clone(&record.name),
            node: self.cluster.node_id_of(node),
            node_name: Arc::clone(&target.name),
        })
    }
}

/// Whether a node's VMs run, and fail with it.
pub(super) fn runs(cluster: &Cluster, node: NodeSlot) -> bool {
    cluster.node_record(node).is_some_and(|record| matches!(record.state, NodeState::Online | NodeState::Cordoned))
}

fn has_room(cluster: &Cluster, node: NodeSlot, need: &[u64]) -> bool {
    let rows = need.iter().zip(&cluster.used_rows()[node]).zip(cluster.allocatable_row(node));
    rows.into_iter().all(|((need, used), most)| *need == 0 || used.saturating_add(*need) <= *most)
}

/// Whether a `confine` or `exclude` rule that is not merely preferred speaks of a VM.
fn binds_places(cluster: &Cluster, record: &VmRecord) -> bool {
    let rules = record.rules.iter().filter_map(|rule| cluster.rule_record(*rule));
    rules
        .filter(|rule| !matches!(rule.strength, Strength::Preferred { .. }))
        .any(|rule| matches!(rule.body, RuleBody::Place { .. }))
}

/// Whether every such rule has a VM where it should be on a node.
fn keeps_places(cluster: &Cluster, record: &VmRecord, node: NodeSlot) -> bool {
    debug_assert!(node != NOWHERE, "a node that is there");
    let rules = record.rules.iter().filter_map(|rule| cluster.rule_record(*rule));
    let mut binding = rules.filter(|rule| !matches!(rule.strength, Strength::Preferred { .. }));
    binding.all(|rule| match &rule.body {
        RuleBody::Place { inside, nodes, .. } => nodes.contains(node) == *inside,
        _ => true,
    })
}
