//! The order of starts: waves from start edges and from the gate between priority bands.
//!
//! Uses `cluster`, `policy`, `restart::scene`. Used by `restart::planner` once it is known what starts.
//!
//! A VM's wave is 1 + the highest wave that it waits for. It waits for the VMs that it starts after, if they start in
//! this plan, and, where bands are gated, for every VM of a higher band. A VM that one of a higher band waits for
//! belongs to that band itself: otherwise both would wait for ever.

use super::plan::{Note, Placement, RestartPlan};
use super::scene::Scene;
use crate::cluster::{Cluster, Edge, OnTimeout, Priority, VmTraits};
use crate::dense::IdVec;
use crate::ids::{NodeSlot, VmSlot};
use crate::placement::problem::ItemIx;
use crate::policy::{Policy, TierGate};
use alloc::vec::Vec;

#[derive(Debug, Default)]
pub(super) struct Waves {
    /// 0 = not known yet; empty if everything starts at once.
    wave: IdVec<ItemIx, u32>,
    band: IdVec<ItemIx, u32>,
    /// Items to look at, with whether those before them are done.
    stack: Vec<(ItemIx, bool)>,
    notes: Vec<(VmSlot, VmSlot)>,
}

impl Waves {
    /// Computes the waves of the placed items.
    pub(super) fn set(
        &mut self,
        cluster: &Cluster,
        policy: &Policy,
        scene: &Scene,
        places: &IdVec<ItemIx, Option<NodeSlot>>,
    ) {
        self.notes.clear();
        self.wave.clear();
        let gated = policy.start.tier_gate != TierGate::None;
        if !gated && !scene.traits.any(VmTraits::EDGES) {
            return;
        }
        self.wave.reset(0, scene.items.len());
        self.band.reset(0, scene.items.len());
        if gated {
            self.set_bands(cluster, scene, places);
        }
        let mut bands: Vec<u32> = self.band.iter().copied().collect();
        bands.sort_unstable_by(|left, right| right.cmp(left));
        bands.dedup();
        let mut above = 0;
        for band in bands {
            let mut highest = above;
            for item in scene.items.ids() {
                if self.band[item] == band && places[item].is_some() {
                    self.set_wave(cluster, scene, places, item, above);
                    highest = highest.max(self.wave[item]);
                }
            }
            above = highest;
        }
        for (item, vm) in scene.items.enumerate().filter(|(item, _)| places[*item].is_some()) {
            debug_assert!(self.wave[item] > 0);
            for edge in edges(cluster, *vm).iter().filter(|edge| edge.on_timeout == OnTimeout::Continue) {
                let comes = match scene.item_of(edge.vm) {
                    Some(other) => places[other].is_some(),
                    None => cluster.vm_record(edge.vm).is_some_and(|record| !scene.places(cluster, record).is_empty()),
                };
                if !comes {
                    self.notes.push((*vm, edge.vm));
                }
            }
        }
    }

    /// Writes the placements into a plan, by wave.
    pub(super) fn placements(
        &self,
        cluster: &Cluster,
        scene: &Scene,
        places: &IdVec<ItemIx, Option<NodeSlot>>,
        plan: &mut RestartPlan,
    ) {
        plan.placements.reserve_exact(places.len());
        let placement = |vm: &VmSlot, node: &Option<NodeSlot>, wave| {
            node.map(|node| Placement { vm: cluster.vm_id_of(*vm), node: cluster.node_id_of(node), wave })
        };
        let pairs = scene.items.iter().zip(places.iter());
        if self.wave.is_empty() && places.iter().all(Option::is_some) {
            // The usual case, of a known length.
            let placement = |(vm, node): (&VmSlot, &Option<NodeSlot>)| Placement {
                vm: cluster.vm_id_of(*vm),
                node: cluster.node_id_of(node.unwrap_or(NodeSlot(0))),
                wave: 1,
            };
            plan.placements.extend(pairs.map(placement));
        } else if self.wave.is_empty() {
            plan.placements.extend(pairs.filter_map(|(vm, node)| placement(vm, node, 1)));
        } else {
            let waves = self.wave.iter().copied();
            plan.placements.extend(pairs.zip(waves).filter_map(|((vm, node), wave)| placement(vm, node, wave)));
            plan.placements.sort_by_key(|placement| placement.wave);
        }
        plan.notes.extend(self.notes.iter().map(|(vm, prerequisite)| Note::StartsWithout {
            vm: cluster.vm_id_of(*vm),
            prerequisite: cluster.vm_id_of(*prerequisite),
        }));
    }

    /// The band of each placed item: its own, or the highest of those that wait for it.
    fn set_bands(&mut self, cluster: &Cluster, scene: &Scene, places: &IdVec<ItemIx, Option<NodeSlot>>) {
        let mut open: Vec<ItemIx> = Vec::new();
        for (item, vm) in scene.items.enumerate() {
            self.band[item] = band(cluster.effective(*vm).1);
            if places[item].is_some() {
                open.push(item);
            }
        }
        while let Some(item) = open.pop() {
            for edge in edges(cluster, scene.items[item]) {
                if let Some(other) = scene.item_of(edge.vm).filter(|other| places[*other].is_some()) {
                    if self.band[other] < self.band[item] {
                        self.band[other] = self.band[item];
                        open.push(other);
                    }
                }
            }
        }
    }

    /// The wave of one item and of all that it waits for. Start edges form no cycle.
    fn set_wave(
        &mut self,
        cluster: &Cluster,
        scene: &Scene,
        places: &IdVec<ItemIx, Option<NodeSlot>>,
        item: ItemIx,
        above: u32,
    ) {
        self.stack.push((item, false));
        while let Some((item, ready)) = self.stack.pop() {
            if self.wave[item] > 0 {
                continue;
            }
            if !ready {
                self.stack.push((item, true));
            }
            let mut highest = above;
            for edge in edges(cluster, scene.items[item]) {
                let Some(other) = scene.item_of(edge.vm).filter(|other| places[*other].is_some()) else { continue };
                if ready {
                    highest = highest.max(self.wave[other]);
                } else if self.wave[other] == 0 {
                    self.stack.push((other, false));
                }
            }
            if ready {
                self.wave[item] = highest.saturating_add(1);
            }
        }
    }
}

fn edges(cluster: &Cluster, vm: VmSlot) -> &[Edge] {
    cluster.vm_record(vm).map_or(&[], |record| &record.starts_after)
}

/// The named priority band of a priority: 0 below the lowest named one.
pub(super) fn band(priority: Priority) -> u32 {
    let below = Priority::NAMED.iter().filter(|(_, named)| *named <= priority).count();
    crate::dense::to_u32(below)
}
