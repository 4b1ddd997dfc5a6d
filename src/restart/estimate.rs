//! When everything should be back: an estimate from the starts of a plan.
//!
//! Uses `cluster`, `policy` and a plan as data, through public views. Called by whoever asks: a plan is made without it.
//!
//! **The model.** Time 0 is when the restarts begin. A start takes the VM's `start_s`, or [`ASSUMED_START_S`] where none is
//! stated; it counts as *started* when it begins (how long powering on takes is not known) and as *ready* when it ends.
//! A node has at most `start_limit` starts under way; of the VMs that may start on it, those earlier in the plan come
//! first. A VM may start once its band is open and all edges to VMs of the plan are over: an edge is over `delay_s` after its
//! prerequisite is started or ready, or when `timeout_s` has passed since the band opened, without the delay; with
//! `give_up` the VM is then given up instead. A prerequisite that runs already is not waited for. A band opens when
//! all VMs of the bands above are started or ready, as the gate says, or given up, at the latest `tier_timeout_s` after the
//! band above opened. Stopping evicted VMs takes no time.
//!
//! It is a simulation by events, in order of time; within one moment in the order of the plan.

use super::plan::RestartPlan;
use super::waves::band;
use crate::cluster::{Cluster, NodeRef, OnTimeout, Priority, RestartClass, StartEdge, Until, VmRef};
use crate::ids::{NodeId, VmId};
use crate::policy::{Policy, TierGate};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

/// How long a VM is taken to start that does not state it, in seconds.
pub const ASSUMED_START_S: u32 = 60;

/// When the VMs of a plan start and are ready, by the model of [`RestartPlan::estimate`]. All times are in seconds from
/// the beginning of the restarts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Estimate {
    starts: Vec<StartTime>,
    classes: Vec<ClassTime>,
    given_up: Vec<VmId>,
    assumed: usize,
}

/// When one VM starts and is ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StartTime {
    /// The VM.
    pub vm: VmId,
    /// Its node.
    pub node: NodeId,
    /// When its start begins.
    pub start_s: u64,
    /// When it is ready.
    pub ready_s: u64,
}

/// When the last VM of a class is ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClassTime {
    /// The effective class.
    pub restart: RestartClass,
    /// The effective priority.
    pub priority: Priority,
    /// How many of its VMs start.
    pub vms: u32,
    /// When the last of them is ready.
    pub ready_s: u64,
}

impl Estimate {
    /// Per VM that starts: by time of start, then in the order of the plan.
    pub fn starts(&self) -> &[StartTime] {
        &self.starts
    }

    /// Per class and priority, the most important first.
    pub fn classes(&self) -> &[ClassTime] {
        &self.classes
    }

    /// When the last VM is ready; 0 if none starts.
    pub fn ready_s(&self) -> u64 {
        self.starts.iter().map(|start| start.ready_s).max().unwrap_or(0)
    }

    /// VMs of the plan that would be given up, as a prerequisite takes longer than they wait for it: by name.
    pub fn given_up(&self) -> &[VmId] {
        &self.given_up
    }

    /// How many of the VMs state no `start_s`.
    pub fn assumed(&self) -> usize {
        self.assumed
    }
}

impl RestartPlan {
    /// When everything should be back, if each start takes as long as its VM's `start_s` says.
    ///
    /// Time 0 is when the restarts begin: how long it takes to notice the failure and to fence the nodes is not in it.
    /// A start takes `start_s` ([`ASSUMED_START_S`] where none is stated) and counts as started when it begins, as ready when
    /// it ends; a node has at most `start_limit` of them under way. Start edges (`until`, `delay_s`, `timeout_s`) and the
    /// gate between priority bands (`policy.start`) are waited for. Costs about (VMs + edges) * log of that.
    ///
    /// `cluster` is the one that the plan was made for, in the same state.
    ///
    /// ```
    /// use lifeboat::{Cluster, Failure, Node, Planner, Policy, ResourceKinds, Vm};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, ["rack"])?;
    /// let mut two = Node::named("two").capacity([4096]);
    /// two.start_limit = Some(1);
    /// let one = cluster.add_node(Node::named("one").capacity([4096]))?;
    /// cluster.add_node(two)?;
    /// for name in ["a", "b"] {
    ///     let mut vm = Vm::named(name).demand([1024]).on(one);
    ///     vm.start_s = Some(90);
    ///     cluster.add_vm(vm)?;
    /// }
    /// let policy = Policy::default();
    /// let plan = Planner::new().restart(&cluster, &policy, &Failure::of([one]))?;
    /// // One after the other.
    /// assert_eq!(plan.estimate(&cluster, &policy).ready_s(), 180);
    /// # Ok(())
    /// # }
    /// ```
    pub fn estimate(&self, cluster: &Cluster, policy: &Policy) -> Estimate {
        Simulation::new(self, cluster, policy).run(cluster)
    }
}

/// Position of a VM in the plan's placements.
type At = usize;

/// What happens at some moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A start ends.
    Ready(At),
    /// An edge of a VM has been waited for long enough, the delay included: the number of edges that are over.
    Over(At, usize),
    /// A band opens.
    Open(usize),
    /// An edge has been waited for as long as it may be. Last of a moment: what comes in time at the last moment comes.
    TimeOut(At, usize),
}

struct Simulation {
    gate: TierGate,
    gate_s: u64,
    vms: Vec<Start>,
    /// The VMs of each band, from the top.
    bands: Vec<Vec<At>>,
    opened: Vec<bool>,
    /// Of each band: how many of its VMs the gate still waits for.
    left: Vec<usize>,
    nodes: BTreeMap<NodeId, Queue>,
    events: BTreeSet<(u64, Event)>,
    assumed: usize,
}

/// A VM of the plan.
struct Start {
    vm: VmId,
    node: NodeId,
    band: usize,
    takes_s: u64,
    /// Edges to VMs of the plan, with whether they are over (but for the delay).
    edges: Vec<(At, StartEdge, bool)>,
    /// Edges that are not over, the delay included.
    open_edges: usize,
    /// Who waits for it: the VM and which of its edges.
    followers: Vec<(At, usize)>,
    begun: Option<u64>,
    ready: Option<u64>,
    given_up: bool,
    queued: bool,
}

/// The starts of a node.
struct Queue {
    limit: usize,
    under_way: usize,
    waiting: BTreeSet<At>,
}

impl Simulation {
    fn new(plan: &RestartPlan, cluster: &Cluster, policy: &Policy) -> Self {
        let at: BTreeMap<VmId, At> =
            plan.placements().iter().enumerate().map(|(at, placement)| (placement.vm, at)).collect();
        let mut assumed = 0_usize;
        let mut vms: Vec<Start> = plan
            .placements()
            .iter()
            .map(|placement| {
                let vm = cluster.vm(placement.vm).ok();
                let stated = vm.and_then(VmRef::start_s);
                assumed = assumed.saturating_add(usize::from(stated.is_none()));
                let edges = vm.into_iter().flat_map(VmRef::starts_after);
                let edges: Vec<_> =
                    edges.filter_map(|edge| at.get(&edge.vm).map(|other| (*other, edge, false))).collect();
                Start {
                    vm: placement.vm,
                    node: placement.node,
                    band: 0,
                    takes_s: u64::from(stated.unwrap_or(ASSUMED_START_S)),
                    open_edges: edges.len(),
                    edges,
                    followers: Vec::new(),
                    begun: None,
                    ready: None,
                    given_up: false,
                    queued: false,
                }
            })
            .collect();
        let edges: Vec<(At, usize, At)> = (0..)
            .zip(&vms)
            .flat_map(|(from, vm)| (0..).zip(&vm.edges).map(move |(edge, (to, _, _))| (from, edge, *to)))
            .collect();
        for (from, edge, to) in &edges {
            if let Some(vm) = vms.get_mut(*to) {
                vm.followers.push((*from, *edge));
            }
        }
        let gate = policy.start.tier_gate;
        let bands =
            if gate == TierGate::None { alloc::vec![(0..vms.len()).collect()] } else { bands(cluster, &mut vms) };
        let mut nodes = BTreeMap::new();
        for vm in &vms {
            nodes.entry(vm.node).or_insert_with(|| {
                let limit = cluster.node(vm.node).ok().and_then(NodeRef::start_limit);
                let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
                Queue { limit: limit.max(1), under_way: 0, waiting: BTreeSet::new() }
            });
        }
        Self {
            gate,
            gate_s: u64::from(policy.start.tier_timeout_s),
            vms,
            opened: alloc::vec![false; bands.len()],
            left: bands.iter().map(Vec::len).collect(),
            bands,
            nodes,
            events: BTreeSet::from([(0, Event::Open(0))]),
            assumed,
        }
    }

    fn run(mut self, cluster: &Cluster) -> Estimate {
        while let Some((now, first)) = self.events.first().copied() {
            self.events.remove(&(now, first));
            self.happen(now, first);
            // Everything that happens at this moment, before any node takes the next start.
            let next = |event: &(u64, Event)| event.0 == now && !matches!(event.1, Event::TimeOut(..));
            while let Some((time, event)) = self.events.first().copied().filter(next) {
                self.events.remove(&(time, event));
                self.happen(now, event);
            }
            self.start_what_may(now);
        }
        let mut starts: Vec<StartTime> = self
            .vms
            .iter()
            .filter_map(|vm| {
                let (start_s, ready_s) = (vm.begun?, vm.ready?);
                Some(StartTime { vm: vm.vm, node: vm.node, start_s, ready_s })
            })
            .collect();
        starts.sort_by_key(|start| start.start_s);
        let mut classes: BTreeMap<Reverse<(RestartClass, Priority)>, (u32, u64)> = BTreeMap::new();
        for start in &starts {
            let class = cluster.vm(start.vm).map(VmRef::effective).unwrap_or_default();
            let (vms, ready_s) = classes.entry(Reverse(class)).or_default();
            *vms = vms.saturating_add(1);
            *ready_s = start.ready_s.max(*ready_s);
        }
        let classes = classes.into_iter().map(|(Reverse((restart, priority)), (vms, ready_s))| ClassTime {
            restart,
            priority,
            vms,
            ready_s,
        });
        let mut given_up: Vec<VmId> = self.vms.iter().filter(|vm| vm.begun.is_none()).map(|vm| vm.vm).collect();
        given_up.sort_by_key(|vm| cluster.vm(*vm).map_or("", VmRef::name));
        Estimate { starts, classes: classes.collect(), given_up, assumed: self.assumed }
    }

    fn happen(&mut self, now: u64, event: Event) {
        match event {
            Event::Ready(at) => {
                let Some(vm) = self.vms.get_mut(at) else { return };
                vm.ready = Some(now);
                if let Some(queue) = self.nodes.get_mut(&vm.node) {
                    queue.under_way = queue.under_way.saturating_sub(1);
                }
                self.tell(now, at, Until::Ready);
            }
            Event::Over(at, _) => {
                if let Some(vm) = self.vms.get_mut(at) {
                    vm.open_edges = vm.open_edges.saturating_sub(1);
                }
                self.queue(at);
            }
            Event::TimeOut(at, edge) => {
                let Some(vm) = self.vms.get_mut(at) else { return };
                match vm.edges.get_mut(edge) {
                    Some((_, edge, over)) if !*over => {
                        if edge.on_timeout == OnTimeout::GiveUp {
                            self.give_up(now, at);
                        } else {
                            *over = true;
                            vm.open_edges = vm.open_edges.saturating_sub(1);
                            self.queue(at);
                        }
                    }
                    _ => {}
                }
            }
            Event::Open(band) => self.open(now, band),
        }
    }

    fn open(&mut self, now: u64, band: usize) {
        match self.opened.get_mut(band) {
            Some(opened) if !*opened => *opened = true,
            _ => return,
        }
        let next = band.saturating_add(1);
        if next < self.bands.len() {
            self.events.insert((now.saturating_add(self.gate_s), Event::Open(next)));
        }
        for at in self.bands.get(band).cloned().unwrap_or_default() {
            for (edge, (_, of, _)) in self.vms.get(at).map_or(&[][..], |vm| &vm.edges).iter().enumerate() {
                if let Some(timeout) = of.timeout_s {
                    self.events.insert((now.saturating_add(u64::from(timeout)), Event::TimeOut(at, edge)));
                }
            }
            self.queue(at);
        }
        self.pass(now, band);
    }

    /// Opens the next band if nothing of this one is waited for any more.
    fn pass(&mut self, now: u64, band: usize) {
        if self.opened.get(band) != Some(&true) {
            return;
        }
        let next = band.saturating_add(1);
        // A VM of a band above may still be waited for where the gate's time-out opened this one.
        if next < self.bands.len() && self.left.iter().take(next).all(|left| *left == 0) {
            self.events.insert((now, Event::Open(next)));
        }
    }

    /// Queues a VM at its node if it may start.
    fn queue(&mut self, at: At) {
        let Some(vm) = self.vms.get_mut(at) else { return };
        let may = self.opened.get(vm.band) == Some(&true) && vm.open_edges == 0 && !vm.given_up && !vm.queued;
        if may {
            vm.queued = true;
            if let Some(queue) = self.nodes.get_mut(&vm.node) {
                queue.waiting.insert(at);
            }
        }
    }

    fn start_what_may(&mut self, now: u64) {
        let mut begun = Vec::new();
        for queue in self.nodes.values_mut() {
            while queue.under_way < queue.limit {
                let Some(at) = queue.waiting.pop_first() else { break };
                queue.under_way = queue.under_way.saturating_add(1);
                begun.push(at);
            }
        }
        begun.sort_unstable();
        for at in begun {
            if let Some(vm) = self.vms.get_mut(at) {
                vm.begun = Some(now);
                self.events.insert((now.saturating_add(vm.takes_s), Event::Ready(at)));
                self.tell(now, at, Until::Started);
            }
        }
    }

    /// Tells those who wait that a VM is started or ready.
    fn tell(&mut self, now: u64, at: At, reached: Until) {
        let (followers, band) = self.vms.get(at).map(|vm| (vm.followers.clone(), vm.band)).unwrap_or_default();
        for (follower, edge) in followers {
            if let Some((_, of, over)) = self.vms.get_mut(follower).and_then(|vm| vm.edges.get_mut(edge)) {
                if of.until == reached && !*over {
                    *over = true;
                    self.events.insert((now.saturating_add(u64::from(of.delay_s)), Event::Over(follower, edge)));
                }
            }
        }
        if (reached == Until::Ready) == (self.gate == TierGate::Ready) {
            self.count(now, band);
        }
    }

    /// A VM does not start after all; nor does who cannot do without it.
    fn give_up(&mut self, now: u64, at: At) {
        let mut lost = alloc::vec![at];
        while let Some(at) = lost.pop() {
            let Some(vm) = self.vms.get_mut(at).filter(|vm| !vm.given_up) else { continue };
            vm.given_up = true;
            let (followers, band) = (vm.followers.clone(), vm.band);
            for (follower, edge) in followers {
                if let Some((_, of, over)) = self.vms.get_mut(follower).and_then(|vm| vm.edges.get_mut(edge)) {
                    if *over {
                        continue;
                    }
                    if of.on_timeout == OnTimeout::GiveUp {
                        lost.push(follower);
                    } else {
                        *over = true;
                        self.events.insert((now, Event::Over(follower, edge)));
                    }
                }
            }
            self.count(now, band);
        }
    }

    /// The gate waits for one VM less of a band.
    fn count(&mut self, now: u64, band: usize) {
        if let Some(left) = self.left.get_mut(band) {
            *left = left.saturating_sub(1);
        }
        for band in band..self.bands.len() {
            self.pass(now, band);
        }
    }
}

/// Sorts VMs into bands, from the top. A VM that one of a higher band waits for belongs to that band, as for waves.
fn bands(cluster: &Cluster, vms: &mut [Start]) -> Vec<Vec<At>> {
    let mut of: Vec<u32> = vms.iter().map(|vm| cluster.vm(vm.vm).map_or(0, |vm| band(vm.effective().1))).collect();
    let mut open: Vec<At> = (0..vms.len()).collect();
    while let Some(at) = open.pop() {
        let here = of.get(at).copied().unwrap_or(0);
        for (other, _, _) in vms.get(at).map_or(&[][..], |vm| &vm.edges) {
            if let Some(there) = of.get_mut(*other).filter(|there| **there < here) {
                *there = here;
                open.push(*other);
            }
        }
    }
    let mut bands: BTreeMap<Reverse<u32>, Vec<At>> = BTreeMap::new();
    for (at, band) in of.iter().enumerate() {
        bands.entry(Reverse(*band)).or_default().push(at);
    }
    let mut sorted = Vec::new();
    for (position, (_, members)) in bands.into_iter().enumerate() {
        for at in &members {
            if let Some(vm) = vms.get_mut(*at) {
                vm.band = position;
            }
        }
        sorted.push(members);
    }
    if sorted.is_empty() { alloc::vec![Vec::new()] } else { sorted }
}
