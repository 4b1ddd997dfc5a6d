//! What became of a reserve, as data and in words.
//!
//! Uses `cluster`, `policy`. Made by `reserves`, compared by admission, printed by whoever asks.

use crate::cluster::{Cluster, NodeRef, VmRef};
use crate::ids::{NodeId, VmId};
use crate::policy::Mode;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What became of a reserve.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ReserveStatus {
    /// What admission does about it: its own mode, or else the policy's.
    pub mode: Mode,
    /// Whether it is held.
    pub held: bool,
    /// What it is short of, in an order that depends on the reserve alone: `percentage`: an amount per kind; `slots`:
    /// slots; `spare_nodes`: VMs that run on spare nodes; `free`: an amount per kind, then the share of `one_node` that
    /// is missing on the best node, in 2^32nds. All 0 where it is held.
    pub shortfalls: Vec<u128>,
    /// What was counted.
    pub figures: ReserveFigures,
    /// In words.
    pub message: String,
}

/// What was counted for a reserve.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReserveFigures {
    /// Per kind of which there is any.
    Percentage(Vec<Percentage>),
    /// Slots.
    Slots(SlotFigures),
    /// Spare nodes.
    SpareNodes(SpareFigures),
    /// Free amounts.
    Free(FreeFigures),
}

/// One kind of a `percentage` reserve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Percentage {
    /// The resource kind.
    pub kind: String,
    /// What the nodes that count have allocatable.
    pub total: u128,
    /// What is reserved for powered-on VMs.
    pub used: u128,
    /// The per cent that are not reserved, rounded down; 0 where more is reserved than there is.
    pub free_percent: u32,
    /// The per cent that must not be; `None`: the reserve does not speak of the kind.
    pub required_percent: Option<u32>,
    /// The amount that these are, rounded up.
    pub reserve: u128,
    /// What is missing.
    pub shortfall: u128,
}

/// What a `slots` reserve counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotFigures {
    /// The size of a slot, kind by kind.
    pub sizes: Vec<SlotSize>,
    /// How many nodes may be lost.
    pub failures: u32,
    /// How many nodes count.
    pub nodes: u32,
    /// How many slots they have; `None`: slots have no size, so there is no limit.
    pub slots: Option<u128>,
    /// How many are left when the nodes with most slots are lost.
    pub left: Option<u128>,
    /// How many the VMs take.
    pub used: u128,
    /// How many are left and not taken, at least 0.
    pub unreserved: Option<u128>,
    /// How many VMs take more than one slot.
    pub large_vms: u32,
    /// How many of the nodes with most slots could be lost; `None`: there are too few slots already.
    pub failover_capacity: Option<u32>,
    /// How many slots are missing.
    pub shortfall: u128,
}

/// The size of a slot in one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotSize {
    /// The resource kind.
    pub kind: String,
    /// The size.
    pub size: u64,
    /// The largest reservation, or the floor if that is larger.
    pub largest: u64,
    /// The VM that has it, the first by name; `None`: the floor decides, or the size is given.
    pub set_by: Option<VmId>,
}

/// What a `spare_nodes` reserve counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SpareFigures {
    /// How many spare nodes there are.
    pub nodes: usize,
    /// Those that run VMs, by name.
    pub occupied: Vec<NodeId>,
    /// How many VMs run there or are on their way.
    pub vms: usize,
    /// How many spare nodes cannot take restarts in the state they are in. They do not break the reserve.
    pub unusable: usize,
}

/// What a `free` reserve counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FreeFigures {
    /// What must be free in total and is.
    pub total: Vec<FreeKind>,
    /// What must be free on one node, and is on the best.
    pub one_node: Vec<FreeKind>,
    /// The node that is short of the least; `None`: there is none, or none is asked for.
    pub best_node: Option<NodeId>,
}

/// One kind of a `free` reserve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FreeKind {
    /// The resource kind.
    pub kind: String,
    /// What must be free.
    pub wanted: u128,
    /// What is.
    pub free: u128,
}

impl ReserveStatus {
    pub(super) fn new(cluster: &Cluster, mode: Mode, shortfalls: Vec<u128>, figures: ReserveFigures) -> Self {
        let message = figures.message(cluster);
        Self { mode, held: shortfalls.iter().all(|short| *short == 0), shortfalls, figures, message }
    }

    /// Whether it is short of more of something than it was before: of a `percentage`, in amounts or in per cent (with less
    /// in all a smaller amount can be more of it).
    #[must_use]
    pub fn is_worse_than(&self, before: &Self) -> bool {
        worse(&before.shortfalls, &self.shortfalls)
            || self
                .per_cent_short()
                .any(|(kind, short)| before.per_cent_short().all(|was| was.0 != kind || was.1 < short))
    }

    /// Of which kinds how many per cent less is free than must be.
    fn per_cent_short(&self) -> impl Iterator<Item = (&str, u32)> {
        let kinds = if let ReserveFigures::Percentage(kinds) = &self.figures { &kinds[..] } else { &[] };
        let short = kinds.iter().filter(|kind| kind.shortfall > 0);
        short.map(|kind| (&*kind.kind, kind.required_percent.unwrap_or(0).saturating_sub(kind.free_percent)))
    }
}

/// Whether more of something is missing than before.
fn worse(before: &[u128], after: &[u128]) -> bool {
    after.iter().enumerate().any(|(at, short)| *short > before.get(at).copied().unwrap_or(0))
}

impl ReserveFigures {
    /// The reserve's name in documents.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Percentage(_) => "percentage",
            Self::Slots(_) => "slots",
            Self::SpareNodes(_) => "spare_nodes",
            Self::Free(_) => "free",
        }
    }

    fn message(&self, cluster: &Cluster) -> String {
        match self {
            Self::Percentage(kinds) => percentage_message(cluster, kinds),
            Self::Slots(figures) => figures.message(cluster),
            Self::SpareNodes(figures) => figures.message(cluster),
            Self::Free(figures) => figures.message(cluster),
        }
    }
}

fn percentage_message(cluster: &Cluster, kinds: &[Percentage]) -> String {
    let asked = kinds.iter().filter_map(|figure| Some((figure, figure.required_percent?)));
    let parts: Vec<String> = asked
        .map(|(figure, required)| {
            let kind = &figure.kind;
            let mut part = format!("{} % of {kind} is free, and {required} % must be", figure.free_percent);
            if figure.shortfall > 0 {
                part = format!("{part}: {} too little", amount(cluster, kind, figure.shortfall));
            }
            part
        })
        .collect();
    if parts.is_empty() { String::from("no kind of which there is any must stay free") } else { parts.join("; ") }
}

impl SlotFigures {
    fn message(&self, cluster: &Cluster) -> String {
        let (Some(slots), Some(left)) = (self.slots, self.left) else {
            let vms = if self.used == 1 { "1 VM takes" } else { &*format!("{} VMs take", self.used) };
            let nodes = if self.nodes == 1 { "1 node" } else { &*format!("{} nodes", self.nodes) };
            return format!("slots have no size, so {vms} none of {nodes}");
        };
        let sizes: Vec<String> = self
            .sizes
            .iter()
            .filter(|size| size.size > 0)
            .map(|size| {
                let by = size.set_by.and_then(|vm| cluster.vm(vm).ok()).map(VmRef::name);
                let by = by.map_or_else(String::new, |name| format!(" (VM '{name}')"));
                format!("{}{by}", amount(cluster, &size.kind, u128::from(size.size)))
            })
            .collect();
        let lost = match self.failures {
            0 => String::from("any loss"),
            1 => String::from("the node with most"),
            many => format!("the {many} nodes with most"),
        };
        let short = match self.shortfall {
            0 => String::new(),
            short => format!(": {short} too few"),
        };
        let are = |count: u128| if count == 1 { "is" } else { "are" };
        let slot = if slots == 1 { "slot" } else { "slots" };
        format!(
            "{} of {slots} {slot} {} used, and without {lost} {left} {} left{short}; a slot is {}",
            self.used,
            are(self.used),
            are(left),
            sizes.join(" and ")
        )
    }
}

impl SpareFigures {
    fn message(&self, cluster: &Cluster) -> String {
        let name = |node: &NodeId| cluster.node(*node).map(NodeRef::name).ok();
        let mut message = match (self.nodes, self.occupied.first().and_then(name)) {
            (0, _) => return String::from("there are no spare nodes"),
            (1, None) => String::from("the spare node is empty"),
            (nodes, None) => format!("all {nodes} spare nodes are empty"),
            (nodes, Some(first)) => {
                let occupied = self.occupied.len();
                let run = if occupied == 1 { "runs" } else { "run" };
                let spares = if nodes == 1 { "node" } else { "nodes" };
                format!("{occupied} of {nodes} spare {spares} {run} VMs ({} in all), the first is '{first}'", self.vms)
            }
        };
        if self.unusable > 0 {
            let which = match (self.nodes, self.unusable) {
                (1, _) => String::from("it cannot"),
                (_, unusable) => format!("{unusable} of them cannot"),
            };
            message = format!("{message}; {which} take restarts now");
        }
        message
    }
}

impl FreeFigures {
    fn message(&self, cluster: &Cluster) -> String {
        let part = |figure: &FreeKind, place: &str| {
            let kind = &figure.kind;
            let unit = cluster.kinds().iter().find(|known| known.name == *kind).map_or("", |known| known.unit.as_str());
            let space = if unit.is_empty() { "" } else { " " };
            let (free, wanted) = (figure.free, figure.wanted);
            let part = format!("{free}{space}{unit} of {kind} are free {place}, and {wanted}{space}{unit} must be");
            match wanted.checked_sub(free) {
                None | Some(0) => part,
                Some(short) => format!("{part}: {short}{space}{unit} too little"),
            }
        };
        let best = self.best_node.and_then(|node| cluster.node(node).ok()).map(NodeRef::name);
        let on_best = best.map_or_else(|| String::from("on any node"), |name| format!("on the best node '{name}'"));
        let total = self.total.iter().map(|figure| part(figure, "in total"));
        let parts: Vec<String> = total.chain(self.one_node.iter().map(|figure| part(figure, &on_best))).collect();
        parts.join("; ")
    }
}

/// "4096 MiB", "2 gpu" where the kind has no unit.
fn amount(cluster: &Cluster, kind: &str, amount: u128) -> String {
    let unit = cluster.kinds().iter().find(|known| known.name == kind).map_or("", |known| known.unit.as_str());
    let unit = if unit.is_empty() { kind } else { unit };
    let mut text = amount.to_string();
    text.push(' ');
    text.push_str(unit);
    text
}
