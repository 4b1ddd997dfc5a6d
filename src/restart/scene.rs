//! Who is displaced by a failure, who waits, who is left alone.
//!
//! Uses `cluster` and `failure`. Used by `restart::planner` and the parts of it; its memory is used again from plan to
//! plan, and nothing in it costs more than the VMs that the failure touches.

use crate::cluster::{Cluster, EditError, NodeState, Priority, RestartClass, SizeScale, VmFacts, VmRecord, VmTraits};
use crate::dense::{DenseId, IdVec, to_u32};
use crate::failure::Failure;
use crate::ids::{NodeSlot, VmSlot};
use crate::placement::problem::ItemIx;
use crate::restart::scenario::Concern;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The nodes on which a VM that stays counts: where it runs, and where it is migrating to.
pub(super) type Places = SmallVec<[NodeSlot; 2]>;

/// The displaced VMs of one failure, in the order in which the solver takes them.
#[derive(Debug, Default)]
pub(super) struct Scene {
    /// Displaced VMs to be placed: by class and priority, then larger ones first, then by hashes of their names, so
    /// that the order depends on names and not on how the cluster was listed.
    pub(super) items: IdVec<ItemIx, VmSlot>,
    /// Effective classes and priorities with their items, the most important first.
    pub(super) classes: Vec<Class>,
    /// What is special about some item.
    pub(super) traits: VmTraits,
    /// VMs on unreachable nodes that were not named as failing.
    pub(super) waiting: Vec<VmSlot>,
    /// Displaced VMs of class `never`.
    pub(super) left_alone: Vec<VmSlot>,
    /// Nodes of the failure that had failed before.
    pub(super) failed_already: Vec<NodeSlot>,
    /// Targets of migrations whose source fails: the claims on them are released.
    pub(super) released: Vec<(NodeSlot, VmSlot)>,
    /// Per node the epoch of the failure that last took it.
    failed: IdVec<NodeSlot, u32>,
    /// Per VM the epoch in which it was last an item, and which; see [`index_items`](Scene::index_items).
    item_of: IdVec<VmSlot, (u32, ItemIx)>,
    epoch: u32,
    order: Vec<SortKey>,
    scales: Vec<SizeScale>,
}

/// The items of one class and priority: they stand next to each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    pub(super) restart: RestartClass,
    pub(super) priority: Priority,
    pub(super) items: u32,
}

/// What an item is sorted by, in one number, and which VM it is: from the top, how unimportant (34 bits) and how small
/// it is (30), its name's hash (32), its slot (32).
type SortKey = u128;

const IMPORTANCE_BITS: u32 = 2 + u32::BITS;
const _: () = assert!(IMPORTANCE_BITS + SizeScale::BITS == u64::BITS, "importance and size fill the upper half");

impl Scene {
    /// Finds out what `failure` does to `cluster`.
    pub(super) fn set(&mut self, cluster: &Cluster, failure: &Failure) -> Result<(), EditError> {
        self.set_for(cluster, failure, None)
    }

    /// The same, with only the VMs that concern someone to be placed: the others vanish when they are displaced.
    pub(super) fn set_for(
        &mut self,
        cluster: &Cluster,
        failure: &Failure,
        concern: Option<&Concern>,
    ) -> Result<(), EditError> {
        failure.validate(cluster)?;
        self.clear(cluster);
        cluster.size_scales(&mut self.scales);
        for node in failure.nodes() {
            self.failed[node.slot] = self.epoch;
        }
        match cluster.kinds().len() {
            2 => self.collect::<2>(cluster, failure, concern),
            4 => self.collect::<4>(cluster, failure, concern),
            _ => self.collect::<0>(cluster, failure, concern),
        }
        for node in cluster.unreachable_nodes() {
            if !self.is_failed(*node) {
                let residents = cluster.node_record(*node).map_or(&[][..], |record| &record.residents);
                self.waiting.extend_from_slice(residents);
            }
        }
        self.sort(cluster);
        Ok(())
    }

    /// Whether the failure takes a node.
    #[inline]
    pub(super) fn is_failed(&self, node: NodeSlot) -> bool {
        self.failed.lookup(node) == Some(&self.epoch)
    }

    /// Makes [`item_of`](Self::item_of) answer. A plan in which no VM refers to others does without.
    pub(super) fn index_items(&mut self, cluster: &Cluster) {
        if let Some(last) = cluster.vm_slots_len().checked_sub(1) {
            self.item_of.grow_to(VmSlot::from_index(last), &(0, ItemIx(0)));
        }
        for (item, vm) in self.items.enumerate() {
            self.item_of[*vm] = (self.epoch, item);
        }
    }

    /// The class of each item, as a position in `classes`.
    pub(super) fn class_of(&self) -> impl Iterator<Item = u32> + '_ {
        (0_u32..).zip(&self.classes).flat_map(|(class, of)| (0..of.items).map(move |_| class))
    }

    /// The item that a VM is, if it is one and the items were indexed.
    #[inline]
    pub(super) fn item_of(&self, vm: VmSlot) -> Option<ItemIx> {
        self.item_of.lookup(vm).filter(|(epoch, _)| *epoch == self.epoch).map(|(_, item)| *item)
    }

    /// Where a VM counts that runs and stays where it is; nothing for one that is displaced or off.
    pub(super) fn places(&self, cluster: &Cluster, vm: &VmRecord) -> Places {
        let up = |node: &NodeSlot| {
            !self.is_failed(*node) && cluster.node_record(*node).is_some_and(|node| node.state.runs_vms())
        };
        let mut places = Places::new();
        if let Some(node) = vm.node.filter(|node| vm.on && up(node)) {
            places.push(node);
            places.extend(vm.migrating_to.filter(up));
        }
        places
    }

    fn clear(&mut self, cluster: &Cluster) {
        self.items.clear();
        self.classes.clear();
        self.traits = VmTraits::default();
        self.waiting.clear();
        self.left_alone.clear();
        self.failed_already.clear();
        self.released.clear();
        self.order.clear();
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // Once in four thousand million plans: no stamp of an earlier round may look like one of this.
            self.failed.clear();
            self.item_of.clear();
            self.epoch = 1;
        }
        if let Some(last) = cluster.node_slots().checked_sub(1) {
            self.failed.grow_to(NodeSlot::from_index(last), &0);
        }
    }

    /// Everyone who is displaced. `WIDTH` as for [`Rows::row`](crate::dense::Rows::row).
    fn collect<const WIDTH: usize>(&mut self, cluster: &Cluster, failure: &Failure, concern: Option<&Concern>) {
        self.displace::<WIDTH>(cluster, cluster.homeless(), false, concern);
        for node in cluster.down_nodes() {
            self.displace_residents::<WIDTH>(cluster, *node, concern);
        }
        for node in failure.nodes() {
            match cluster.node_record(node.slot).map(|record| record.state) {
                Some(NodeState::Failed) => self.failed_already.push(node.slot),
                // Its residents are displaced as it is.
                Some(NodeState::Maintenance) | None => {}
                Some(NodeState::Online | NodeState::Cordoned | NodeState::Unreachable) => {
                    self.displace_residents::<WIDTH>(cluster, node.slot, concern);
                }
            }
        }
    }

    fn displace_residents<const WIDTH: usize>(&mut self, cluster: &Cluster, node: NodeSlot, concern: Option<&Concern>) {
        if let Some(record) = cluster.node_record(node) {
            self.displace::<WIDTH>(cluster, &record.residents, record.state.runs_vms(), concern);
        }
    }

    /// VMs are displaced; from a node that runs its VMs until then, or not.
    fn displace<const WIDTH: usize>(
        &mut self,
        cluster: &Cluster,
        vms: &[VmSlot],
        running: bool,
        concern: Option<&Concern>,
    ) {
        for vm in vms {
            let VmFacts { restart, priority, traits, key, .. } = cluster.facts(*vm);
            if running && traits.any(VmTraits::MIGRATES) {
                let target = cluster.vm_record(*vm).and_then(|vm| vm.migrating_to);
                self.released.extend(target.map(|target| (target, *vm)));
            }
            if concern.is_some_and(|concern| !concern.includes(cluster, *vm)) {
                continue;
            }
            if restart == RestartClass::Never {
                self.left_alone.push(*vm);
                continue;
            }
            self.traits = self.traits.with(traits);
            let amounts = cluster.restart_rows().row::<WIDTH>(*vm).iter().zip(&self.scales);
            let size = amounts.map(|(amount, scale)| scale.size(*amount)).max().unwrap_or(0);
            let importance = (u64::from(restart != RestartClass::Protected) << u32::BITS) | u64::from(!priority.0);
            let upper = (importance << SizeScale::BITS) | (((1 << SizeScale::BITS) - 1) ^ size);
            let lower = (u64::from(key) << u32::BITS) | u64::from(vm.0);
            self.order.push((SortKey::from(upper) << u64::BITS) | SortKey::from(lower));
        }
    }

    fn sort(&mut self, cluster: &Cluster) {
        let name = |vm: VmSlot| cluster.vm_record(vm).map(|record| &*record.name);
        self.order.sort_unstable();
        self.sort_ties(name);
        self.items.extend(self.order.iter().map(|key| slot_of(*key)));
        let importance = |key: &SortKey| key >> (SortKey::BITS - IMPORTANCE_BITS);
        let mut rest = self.order.as_slice();
        while let Some(first) = rest.first() {
            let (class, others) = rest.split_at(rest.partition_point(|key| importance(key) == importance(first)));
            let VmFacts { restart, priority, .. } = cluster.facts(slot_of(*first));
            self.classes.push(Class { restart, priority, items: to_u32(class.len()) });
            rest = others;
        }
        self.waiting.sort_unstable_by(|left, right| name(*left).cmp(&name(*right)));
        self.left_alone.sort_unstable_by(|left, right| name(*left).cmp(&name(*right)));
    }

    /// Where everything but the slots agrees, names decide.
    fn sort_ties<'a>(&mut self, name: impl Fn(VmSlot) -> Option<&'a str>) {
        let alike = |left: &SortKey, right: &SortKey| left >> u32::BITS == right >> u32::BITS;
        if self.order.windows(2).any(|pair| matches!(pair, [left, right] if alike(left, right))) {
            for run in self.order.chunk_by_mut(alike) {
                run.sort_unstable_by(|left, right| name(slot_of(*left)).cmp(&name(slot_of(*right))));
            }
        }
    }
}

/// The VM of a sort key.
#[inline]
fn slot_of(key: SortKey) -> VmSlot {
    VmSlot(u32::try_from(key & SortKey::from(u32::MAX)).unwrap_or(u32::MAX))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::pedantic,
    reason = "tests"
)]
mod tests {
    use super::*;
    use crate::cluster::{Node, Vm};
    use crate::resources::ResourceKinds;
    use alloc::string::String;

    /// Two names with the same key, listed either way round: the name decides. A third one of the same size has another
    /// key; a larger VM comes before them, and a more important one before that.
    #[test]
    fn the_order_depends_on_names_alone() {
        let sorted = |vms: &[(&str, u64, Priority)]| -> Vec<String> {
            let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), [""; 0]).unwrap();
            let node = cluster.add_node(Node::named("n").capacity([1000])).unwrap();
            for (name, demand, priority) in vms {
                cluster.add_vm(Vm::named(*name).demand([*demand]).on(node).priority(*priority)).unwrap();
            }
            let keys = ["vm-9612", "vm-66364", "vm-1"].map(|name| cluster.facts(cluster.vm_id(name).unwrap().slot).key);
            assert!(keys[0] == keys[1] && keys[0] != keys[2]);
            let mut scene = Scene::default();
            scene.set(&cluster, &Failure::of([node])).unwrap();
            assert_eq!(scene.classes.iter().map(|class| class.items).collect::<Vec<_>>(), [1, 4]);
            scene.items.iter().map(|vm| String::from(&*cluster.vm_record(*vm).unwrap().name)).collect()
        };
        let mut vms = [
            ("vm-9612", 4, Priority::LOW),
            ("vm-66364", 4, Priority::LOW),
            ("vm-1", 4, Priority::LOW),
            ("large", 5, Priority::LOW),
            ("important", 1, Priority::HIGH),
        ];
        let expected = sorted(&vms);
        assert_eq!(expected[..2], ["important", "large"]);
        let of = |name: &str| expected.iter().position(|other| other == name);
        assert_eq!(of("vm-9612"), of("vm-66364").map(|position| position + 1));
        for _ in 0..vms.len() {
            vms.rotate_left(1);
            assert_eq!(sorted(&vms), expected);
        }
        vms.reverse();
        assert_eq!(sorted(&vms), expected);
    }
}
