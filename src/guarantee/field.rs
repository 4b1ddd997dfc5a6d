//! The VMs of a verdict side by side: who is displaced by which unit, and what each needs.
//!
//! Uses `cluster`, `guarantee::units`, `restart` (whom a verdict concerns). Used by the provers of `guarantee`.
//!
//! A *member* is a protected VM that some failure of the class displaces, or that waits for a place already. Members
//! stand by home node, larger ones first, so that a unit's members are a slice; those without a home come last.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: counts of VMs and nodes are below 2^31; sums of needs fit u64 (the cluster checks it)"
)]

use super::units::{UnitIx, Units};
use crate::cluster::{Cluster, NodeState, VmTraits};
use crate::dense::{DenseId, IdVec, Rows, dense_id, to_u32, to_usize};
use crate::ids::{NodeSlot, VmSlot};
use crate::restart::Concern;
use alloc::vec::Vec;

dense_id! {
    /// A member: a VM of the verdict.
    pub(crate) struct MemberIx;
}

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) vms: IdVec<MemberIx, VmSlot>,
    pub(crate) need: Rows<MemberIx>,
    /// Whether labels, allowed nodes, `confine` or `exclude` limit where the member may go.
    pub(crate) limited: IdVec<MemberIx, bool>,
    /// What the members of each node need together; behind the last node those without a home.
    pub(crate) load: Rows<NodeSlot>,
    /// Per node slot where its members begin; behind the last node those without a home.
    starts: IdVec<NodeSlot, u32>,
    /// Units of more than one node: their members, larger first. Per unit of those tiers a range.
    wide: Vec<MemberIx>,
    wide_starts: IdVec<UnitIx, (u32, u32)>,
}

/// What members of one home are sorted by, in one number: from the top, how small it is (64 bits), half a hash of its
/// name (32), its slot (32).
type SortKey = u128;

const SLOT_BITS: u32 = u32::BITS;
const NAME_BITS: u32 = u32::BITS;

impl Field {
    pub(crate) fn new(cluster: &Cluster, units: &Units, concern: &Concern) -> Self {
        let nodes = cluster.node_slots();
        let kinds = cluster.kinds().len();
        let mut field = Self {
            vms: IdVec::new(),
            need: Rows::new(kinds),
            limited: IdVec::new(),
            load: Rows::new(kinds),
            starts: IdVec::new(),
            wide: Vec::new(),
            wide_starts: IdVec::new(),
        };
        field.load.reset(kinds, nodes + 1);
        let mut scales = Vec::new();
        cluster.size_scales(&mut scales);
        let mut keys: Vec<SortKey> = Vec::new();
        let mut homeless: Vec<SortKey> = Vec::new();
        let mut sizes: Vec<SortKey> = Vec::new();
        let key_of = |vm: VmSlot| -> SortKey {
            let need = &cluster.restart_rows()[vm];
            let size = need.iter().zip(&scales).map(|(amount, scale)| scale.size(*amount)).max().unwrap_or(0);
            let name = u128::from(cluster.facts(vm).key) << SLOT_BITS;
            (u128::from(u64::MAX - size) << (NAME_BITS + SLOT_BITS)) | name | u128::from(vm.0)
        };
        homeless.extend(cluster.homeless().iter().filter(|vm| concern.includes(cluster, **vm)).map(|vm| key_of(*vm)));
        for node in (0..nodes).map(NodeSlot::from_index) {
            field.starts.push(to_u32(field.vms.len()));
            let Some(record) = cluster.node_record(node) else { continue };
            let counted = record.residents.iter().filter(|vm| concern.includes(cluster, **vm)).map(|vm| key_of(*vm));
            if matches!(record.state, NodeState::Online | NodeState::Cordoned) {
                keys.clear();
                keys.extend(counted);
                field.enter(cluster, node, &mut keys, &mut sizes);
            } else {
                homeless.extend(counted);
            }
        }
        field.starts.push(to_u32(field.vms.len()));
        field.enter(cluster, NodeSlot::from_index(nodes), &mut homeless, &mut sizes);
        field.starts.push(to_u32(field.vms.len()));
        field.enter_wide(cluster, units, &sizes);
        field
    }

    /// Enters the members of one home, whose keys these are.
    fn enter(&mut self, cluster: &Cluster, home: NodeSlot, keys: &mut [SortKey], sizes: &mut Vec<SortKey>) {
        keys.sort_unstable();
        settle_ties(cluster, keys);
        for key in keys.iter() {
            let vm = vm_of(*key);
            let need = &cluster.restart_rows()[vm];
            self.vms.push(vm);
            self.need.push(need);
            for (load, need) in self.load[home].iter_mut().zip(need) {
                *load += need;
            }
            self.limited.push(is_limited(cluster, vm));
            sizes.push(*key);
        }
    }

    fn enter_wide(&mut self, cluster: &Cluster, units: &Units, keys: &[SortKey]) {
        let mut sorted: Vec<(SortKey, MemberIx)> = Vec::new();
        for unit in (0..units.len()).map(UnitIx::from_index) {
            let nodes = units.nodes(unit);
            let first = to_u32(self.wide.len());
            if nodes.len() > 1 {
                sorted.clear();
                for member in nodes.iter().flat_map(|node| self.at(*node)) {
                    sorted.push((keys.get(member.index()).copied().unwrap_or(0), member));
                }
                sorted.sort_unstable_by(|left, right| compare(cluster, left.0, right.0));
                self.wide.extend(sorted.iter().map(|(_, member)| *member));
            }
            self.wide_starts.push((first, to_u32(self.wide.len())));
        }
    }

    /// The members whose home is a node, larger first.
    #[inline]
    pub(crate) fn at(&self, node: NodeSlot) -> impl ExactSizeIterator<Item = MemberIx> + use<> {
        (self.starts[node]..self.starts[NodeSlot(node.0 + 1)]).map(MemberIx)
    }

    /// The members without a home: displaced in every scenario.
    pub(crate) fn homeless(&self) -> impl ExactSizeIterator<Item = MemberIx> + use<> {
        self.at(NodeSlot::from_index(self.starts.len() - 2))
    }

    /// The members that a unit displaces, larger first.
    #[inline]
    pub(crate) fn of_unit(&self, units: &Units, unit: UnitIx, list: &mut Vec<MemberIx>) {
        list.clear();
        if let [node] = units.nodes(unit) {
            list.extend(self.at(*node));
        } else {
            let (first, end) = self.wide_starts[unit];
            list.extend_from_slice(self.wide.get(to_usize(first)..to_usize(end)).unwrap_or_default());
        }
    }

    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = MemberIx> + use<> {
        self.vms.ids()
    }

    /// The home of every member; `None` for those without.
    pub(crate) fn homes(&self) -> IdVec<MemberIx, Option<NodeSlot>> {
        let mut homes = IdVec::filled(None, self.vms.len());
        for node in (0..self.starts.len() - 2).map(NodeSlot::from_index) {
            for member in self.at(node) {
                homes[member] = Some(node);
            }
        }
        homes
    }
}

fn vm_of(key: SortKey) -> VmSlot {
    VmSlot(u32::try_from(key & u128::from(u32::MAX)).unwrap_or(u32::MAX))
}

/// The order of two keys. Of two VMs alike in size and half a hash of the name, the whole hash decides, so that the order
/// depends on names alone.
fn compare(cluster: &Cluster, left: SortKey, right: SortKey) -> core::cmp::Ordering {
    let name = |key: SortKey| cluster.vm_record(vm_of(key)).map(|record| record.key);
    (left >> SLOT_BITS).cmp(&(right >> SLOT_BITS)).then_with(|| name(left).cmp(&name(right))).then(left.cmp(&right))
}

/// Brings sorted keys that only slots tell apart into the order of the names.
fn settle_ties(cluster: &Cluster, keys: &mut [SortKey]) {
    let alike = |pair: &[SortKey]| matches!(pair, [left, right] if left >> SLOT_BITS == right >> SLOT_BITS);
    if keys.windows(2).any(alike) {
        keys.sort_unstable_by(|left, right| compare(cluster, *left, *right));
    }
}

/// Whether labels, allowed nodes, `confine` or `exclude` limit where a VM may go.
pub(crate) fn is_limited(cluster: &Cluster, vm: VmSlot) -> bool {
    let traits = cluster.facts(vm).traits;
    traits.any(VmTraits::LIMITS)
        || (traits.any(VmTraits::RULES)
            && cluster.vm_record(vm).is_some_and(|record| cluster.place_rules(record).next().is_some()))
}
