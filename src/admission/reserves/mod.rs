//! Reserves: what must stay free in the terms of other products, counted by their published arithmetic.
//!
//! Uses `cluster` and `policy`. Used by admission, `compare`, `capacity`, and by embedders through
//! [`reserves_status`].
//!
//! **The data's path.** [`Reserves`] resolves the policy's reserves to one counter each (`percentage`, `slots`, `spare`,
//! `free`), and keeps of every node and VM what it counted last. After an edit the owner names the nodes and VMs that it
//! touched ([`Reserves::refresh_node`], [`Reserves::refresh_vm`]); what had been counted is taken off and what is there
//! now is added, so that naming one too many does no harm. A counter costs O(1) per VM and node, but for those that need
//! the largest or smallest of all, which cost O(log). [`Reserves::shortfalls`] is what admission compares; `status` adds
//! numbers and words for people.
//!
//! Who counts, as SPEC has it for `percentage` and the counters here have it for `slots` alike: all powered-on VMs,
//! displaced ones included, by reservation and at least the floor; and all nodes that are not spare and not in
//! maintenance. A node that has failed stays in the sums until it is removed, as in vSphere; an unreachable one does,
//! too, where vSphere drops a host once it is disconnected. vSphere's gate of two (or three: its documents differ) usable
//! hosts is not part of the rule.

mod error;
mod free;
mod percentage;
mod slots;
mod spare;
mod status;
mod tally;

pub use error::ReserveError;
pub use status::{
    FreeFigures, FreeKind, Percentage, ReserveFigures, ReserveStatus, SlotFigures, SlotSize, SpareFigures,
};

use crate::cluster::{Cluster, NodeState, Role};
use crate::dense::{DenseId, IdVec, Rows, to_u32};
use crate::ids::{NodeId, NodeSlot, VmId, VmSlot};
use crate::policy::{Mode, Policy, Reserve};
use crate::room::RoomKey;
use alloc::string::String;
use alloc::vec::Vec;
use free::FreeCounter;
use percentage::PercentageCounter;
use slots::SlotCounter;
use spare::SpareCounter;

/// What has become of every reserve of the policy, in their order there.
///
/// Costs a look at every node and VM.
///
/// # Errors
/// A reserve that names a resource kind which the cluster does not have.
///
/// ```
/// use lifeboat::policy::{Percent, Reserve};
/// use lifeboat::{Cluster, Node, Policy, ResourceKinds, Vm, reserves_status};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, [""; 0])?;
/// let one = cluster.add_node(Node::named("one").capacity([4096]))?;
/// cluster.add_node(Node::named("two").capacity([4096]))?;
/// cluster.add_vm(Vm::named("db").demand([3072]).on(one))?;
///
/// let mut policy = Policy::default();
/// let percent = Percent::Auto { largest: true, failures: 1 };
/// policy.reserves.push(Reserve::Percentage { percent, floor: Vec::new(), mode: None });
/// let status = reserves_status(&cluster, &policy)?.remove(0);
/// assert!(status.held);
/// assert_eq!(status.message, "62 % of memory is free, and 50 % must be");
/// # Ok(())
/// # }
/// ```
pub fn reserves_status(cluster: &Cluster, policy: &Policy) -> Result<Vec<ReserveStatus>, ReserveError> {
    Ok(Reserves::new(cluster, policy)?.status(cluster))
}

/// All reserves of a policy over one cluster, kept up to date as it changes: after every edit, name the nodes and VMs that
/// it touched.
///
/// ```
/// # use lifeboat::{Cluster, Node, Policy, Reserves, ResourceKinds, Vm, policy::Reserve};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, [""; 0])?;
/// let spare = cluster.add_node(Node::named("spare").capacity([4096]).spare())?;
/// let mut policy = Policy::default();
/// policy.reserves.push(Reserve::SpareNodes { mode: None });
/// let mut reserves = Reserves::new(&cluster, &policy)?;
/// assert_eq!(reserves.shortfalls(0), [0]);
///
/// let vm = cluster.add_vm(Vm::named("db").demand([1024]).on(spare))?;
/// reserves.refresh_vm(&cluster, vm);
/// reserves.refresh_node(&cluster, spare);
/// assert_eq!(reserves.shortfalls(0), [1]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Reserves {
    items: Vec<Item>,
    nodes: IdVec<NodeSlot, Option<NodeCount>>,
    allocatable: Rows<NodeSlot>,
    free: Rows<NodeSlot>,
    vms: IdVec<VmSlot, bool>,
    reservation: Rows<VmSlot>,
}

#[derive(Clone, Debug)]
struct Item {
    mode: Mode,
    counter: Counter,
}

#[derive(Clone, Debug)]
enum Counter {
    Percentage(PercentageCounter),
    Slots(SlotCounter),
    Spare(SpareCounter),
    Free(FreeCounter),
}

/// What is counted of a node besides its amounts.
#[derive(Clone, Copy, Debug)]
struct NodeCount {
    key: RoomKey,
    /// Whether its allocatable amounts are in the sums of `percentage` and `slots`.
    counts: bool,
    /// Whether a VM could be started there today: online and not a spare.
    open: bool,
    spare: bool,
    /// VMs that run there or are on their way.
    guests: u32,
}

/// A node as the counters see it.
#[derive(Clone, Copy, Debug)]
struct NodeView<'a> {
    slot: NodeSlot,
    count: NodeCount,
    allocatable: &'a [u64],
    /// Allocatable less used, at least 0.
    free: &'a [u64],
}

impl Reserves {
    /// Counts everything. Costs a look at every node and VM.
    ///
    /// # Errors
    /// A reserve that names a resource kind which the cluster does not have.
    pub fn new(cluster: &Cluster, policy: &Policy) -> Result<Self, ReserveError> {
        let width = cluster.kinds().len();
        let items = policy.reserves.iter().map(|reserve| Item::new(cluster, policy, reserve));
        let mut reserves = Self {
            items: items.collect::<Result<_, _>>()?,
            nodes: IdVec::new(),
            allocatable: Rows::new(width),
            free: Rows::new(width),
            vms: IdVec::new(),
            reservation: Rows::new(width),
        };
        if !reserves.items.is_empty() {
            for node in (0..cluster.node_slots()).map(NodeSlot::from_index) {
                reserves.count_node(cluster, node);
            }
            for vm in (0..cluster.vm_slots_len()).map(VmSlot::from_index) {
                reserves.count_vm(cluster, vm);
            }
        }
        reserves.settle();
        Ok(reserves)
    }

    /// Counts a node anew: after its edit, or one of a VM that runs there, did, or is migrating there; also after another
    /// node's from which VMs were migrating there, because a source that fails releases their claims. It may be gone. To
    /// name one that has not changed does no harm.
    pub fn refresh_node(&mut self, cluster: &Cluster, node: NodeId) {
        if !self.items.is_empty() && node.slot.index() < cluster.node_slots() {
            self.count_node(cluster, node.slot);
        }
    }

    /// Counts a VM anew, after its edit. It may be gone. To name one that has not changed does no harm.
    pub fn refresh_vm(&mut self, cluster: &Cluster, vm: VmId) {
        if !self.items.is_empty() && vm.slot.index() < cluster.vm_slots_len() {
            self.count_vm(cluster, vm.slot);
        }
    }

    /// The same by slots, of a VM and the nodes on which it held or holds something.
    pub(super) fn refresh(&mut self, cluster: &Cluster, vm: VmSlot, nodes: &[NodeSlot]) {
        if !self.items.is_empty() {
            for node in nodes {
                self.count_node(cluster, *node);
            }
            self.count_vm(cluster, vm);
        }
    }

    fn count_node(&mut self, cluster: &Cluster, slot: NodeSlot) {
        self.nodes.grow_to(slot, &None);
        self.allocatable.grow_to(slot);
        self.free.grow_to(slot);
        if let Some(count) = self.nodes[slot] {
            let view = NodeView { slot, count, allocatable: &self.allocatable[slot], free: &self.free[slot] };
            self.items.iter_mut().for_each(|item| item.counter.remove_node(&view));
        }
        let now = cluster.node_ref(slot).zip(cluster.node_record(slot));
        self.nodes[slot] = now.map(|(node, record)| {
            let spare = node.role() == Role::Spare;
            let guests = if node.state().runs_vms() { node.guests() } else { 0 };
            self.allocatable[slot].copy_from_slice(node.allocatable());
            for ((free, all), used) in self.free[slot].iter_mut().zip(node.allocatable()).zip(node.used()) {
                *free = all.saturating_sub(*used);
            }
            NodeCount {
                key: record.key,
                counts: !spare && node.state() != NodeState::Maintenance,
                open: !spare && node.state().accepts(),
                spare,
                guests: to_u32(guests),
            }
        });
        if let Some(count) = self.nodes[slot] {
            let view = NodeView { slot, count, allocatable: &self.allocatable[slot], free: &self.free[slot] };
            self.items.iter_mut().for_each(|item| item.counter.add_node(&view));
        }
    }

    fn count_vm(&mut self, cluster: &Cluster, slot: VmSlot) {
        self.vms.grow_to(slot, &false);
        self.reservation.grow_to(slot);
        if self.vms[slot] {
            let row = &self.reservation[slot];
            self.items.iter_mut().for_each(|item| item.counter.remove_vm(row));
        }
        let now = cluster.vm_ref(slot).filter(|vm| vm.is_on());
        self.vms[slot] = now.is_some();
        if let Some(vm) = now {
            self.reservation[slot].copy_from_slice(vm.reservation());
            let row = &self.reservation[slot];
            self.items.iter_mut().for_each(|item| item.counter.add_vm(row));
        }
    }

    /// How many reserves there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What admission does about the reserve at a position: its own mode, or else the policy's.
    #[must_use]
    pub fn mode(&self, at: usize) -> Mode {
        self.items.get(at).map_or(Mode::Off, |item| item.mode)
    }

    /// What the reserve at a position is short of, as [`ReserveStatus::shortfalls`]; all 0 where it is held. `&mut`, because
    /// slots are counted anew here when their size has changed.
    pub fn shortfalls(&mut self, at: usize) -> Vec<u128> {
        self.settle();
        self.items.get(at).map_or_else(Vec::new, |item| item.counter.shortfalls())
    }

    /// A bound on how many more VMs of one reservation and demand the reserve at a position bears without being short of
    /// more than now, wherever they are started; `None`: it sets no bound of its own.
    pub(crate) fn most_more(&self, at: usize, reservation: &[u64], demand: &[u64]) -> Option<u64> {
        match &self.items.get(at)?.counter {
            Counter::Percentage(counter) => counter.most_more(reservation),
            Counter::Slots(counter) => {
                let mut one_more = counter.clone();
                one_more.add_vm(reservation);
                let nodes = self.nodes.enumerate().filter(|(_, node)| node.is_some_and(|node| node.counts));
                let on = self.vms.enumerate().filter(|(_, on)| **on);
                let vms = on.map(|(slot, _)| &self.reservation[slot]).chain([reservation]);
                one_more.settle(nodes.map(|(slot, _)| &self.allocatable[slot]), vms);
                one_more.most_like_last(reservation)
            }
            Counter::Spare(_) => None,
            Counter::Free(counter) => counter.most_more(demand),
        }
    }

    /// Numbers and words about every reserve, in the order of the policy. May look at every node and VM.
    pub fn status(&mut self, cluster: &Cluster) -> Vec<ReserveStatus> {
        self.settle();
        self.items
            .iter()
            .map(|item| {
                let figures = match &item.counter {
                    Counter::Percentage(counter) => ReserveFigures::Percentage(counter.figures(cluster)),
                    Counter::Slots(counter) => ReserveFigures::Slots(counter.figures(cluster)),
                    Counter::Spare(_) => ReserveFigures::SpareNodes(spare::figures(cluster)),
                    Counter::Free(counter) => ReserveFigures::Free(counter.figures(cluster)),
                };
                ReserveStatus::new(cluster, item.mode, item.counter.shortfalls(), figures)
            })
            .collect()
    }

    fn settle(&mut self) {
        for item in &mut self.items {
            if let Counter::Slots(counter) = &mut item.counter {
                let counted = self.nodes.enumerate().filter(|(_, node)| node.is_some_and(|node| node.counts));
                let on = self.vms.enumerate().filter(|(_, on)| **on);
                counter.settle(
                    counted.map(|(slot, _)| &self.allocatable[slot]),
                    on.map(|(slot, _)| &self.reservation[slot]),
                );
            }
        }
    }
}

impl Item {
    fn new(cluster: &Cluster, policy: &Policy, reserve: &Reserve) -> Result<Self, ReserveError> {
        let own = |mode: &Option<Mode>| mode.unwrap_or(policy.admission);
        Ok(match reserve {
            Reserve::Percentage { percent, floor, mode } => Self {
                mode: own(mode),
                counter: Counter::Percentage(PercentageCounter::new(cluster, percent, floors(cluster, floor)?)?),
            },
            Reserve::Slots { failures, floor, size, cap, mode } => {
                let (size, cap) = (by_kind(cluster, size)?, by_kind(cluster, cap)?);
                let counter = SlotCounter::new(*failures, floors(cluster, floor)?, size, cap);
                Self { mode: own(mode), counter: Counter::Slots(counter) }
            }
            Reserve::SpareNodes { mode } => Self { mode: own(mode), counter: Counter::Spare(SpareCounter::default()) },
            Reserve::Free { total, one_node, mode } => {
                let (total, one_node) = (by_kind(cluster, total)?, by_kind(cluster, one_node)?);
                Self { mode: own(mode), counter: Counter::Free(FreeCounter::new(total, one_node)) }
            }
        })
    }
}

impl Counter {
    fn add_vm(&mut self, reservation: &[u64]) {
        match self {
            Self::Percentage(counter) => counter.add_vm(reservation),
            Self::Slots(counter) => counter.add_vm(reservation),
            Self::Spare(_) | Self::Free(_) => {}
        }
    }

    fn remove_vm(&mut self, reservation: &[u64]) {
        match self {
            Self::Percentage(counter) => counter.remove_vm(reservation),
            Self::Slots(counter) => counter.remove_vm(reservation),
            Self::Spare(_) | Self::Free(_) => {}
        }
    }

    fn add_node(&mut self, node: &NodeView<'_>) {
        match self {
            Self::Percentage(counter) if node.count.counts => counter.add_node(node.allocatable),
            Self::Slots(counter) if node.count.counts => counter.add_node(node.allocatable),
            Self::Spare(counter) if node.count.spare => counter.add(node.count.guests),
            Self::Free(counter) if node.count.open => counter.add_node(node),
            _ => {}
        }
    }

    fn remove_node(&mut self, node: &NodeView<'_>) {
        match self {
            Self::Percentage(counter) if node.count.counts => counter.remove_node(node.allocatable),
            Self::Slots(counter) if node.count.counts => counter.remove_node(node.allocatable),
            Self::Spare(counter) if node.count.spare => counter.remove(node.count.guests),
            Self::Free(counter) if node.count.open => counter.remove_node(node),
            _ => {}
        }
    }

    fn shortfalls(&self) -> Vec<u128> {
        match self {
            Self::Percentage(counter) => counter.shortfalls().collect(),
            Self::Slots(counter) => alloc::vec![counter.shortfall()],
            Self::Spare(counter) => alloc::vec![counter.shortfall()],
            Self::Free(counter) => counter.shortfalls(),
        }
    }
}

/// Amounts by name as amounts by position; `None` where a kind is not named.
fn by_kind<T: Copy>(cluster: &Cluster, named: &[(String, T)]) -> Result<Vec<Option<T>>, ReserveError> {
    let mut found = alloc::vec![None; cluster.kinds().len()];
    for (name, amount) in named {
        let entry = cluster.kinds().position(name).and_then(|kind| found.get_mut(kind));
        *entry.ok_or_else(|| ReserveError::UnknownKind { kind: name.clone() })? = Some(*amount);
    }
    Ok(found)
}

/// The least that a VM counts, per kind, `per_vm` included: as the policy says, and where it says nothing as vSphere
/// does: 32 MHz of CPU (`das.vmcpuminmhz`), and nothing of other kinds (`das.vmmemoryminmb`).
///
/// What is CPU is told by the unit: Hz, kHz or MHz. In GHz 32 MHz cannot be said, and CPUs that are counted have no
/// frequency to take it of: there the floor is 0.
fn floors(cluster: &Cluster, given: &[(String, u64)]) -> Result<Vec<u64>, ReserveError> {
    let given = by_kind(cluster, given)?;
    let kinds = cluster.kinds().iter().zip(given);
    let floor = kinds.map(|(kind, given)| {
        let usual = match kind.unit.as_str() {
            "MHz" => 32,
            "kHz" => 32_000,
            "Hz" => 32_000_000,
            _ => 0,
        };
        given.unwrap_or(usual).saturating_add(kind.per_vm)
    });
    Ok(floor.collect())
}
