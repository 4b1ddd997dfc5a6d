//! Start edges: all VMs' at once, so that a VM may start after one that stands further down.
//!
//! Uses `parse::vm` and `cluster`. Used by `resolve`.

use super::Resolver;
use crate::cluster::{Cluster, EditError, OnTimeout, RestartClass, StartEdge, VmRef};
use crate::dense::DenseId;
use crate::document::error::{item, quoted};
use crate::document::parse::vm::RawEdge;
use crate::ids::VmId;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// The most names of a cycle that a message lists.
const SHOWN: usize = 12;

/// What a VM starts after, by names.
pub(super) struct Starts<'de> {
    /// The VM's position in the document.
    pub(super) at: usize,
    /// The VM, if it could be added.
    pub(super) vm: Option<VmId>,
    pub(super) name: String,
    pub(super) edges: Vec<RawEdge<'de>>,
}

impl<'de> Resolver<'de> {
    pub(super) fn add_edges(&mut self, cluster: &mut Cluster, starts: Vec<Starts<'de>>) {
        let mut changes: Vec<(VmId, Vec<StartEdge>)> = Vec::new();
        for starts in starts {
            let before = self.reader.sink.mark();
            let edges = self.edges(cluster, &starts.edges);
            if let Some(vm) = starts.vm {
                self.check_idle(cluster, vm, &edges);
                changes.push((vm, edges.into_iter().map(|(_, edge)| edge).collect()));
            }
            let name = (!starts.name.is_empty()).then_some(&*starts.name);
            self.place_errors(before, "vms", starts.at, name);
        }
        match cluster.set_starts_after(&changes) {
            Ok(()) => {}
            Err(EditError::StartCycle { .. }) => self.all_cycles(cluster, &changes),
            // Recorded by `check_idle` already.
            Err(EditError::NeedsIdle { .. }) => {
                if self.reader.sink.is_empty() {
                    self.sink().add("vms", "needs_idle", "a VM needs one that never runs");
                }
                self.all_cycles(cluster, &changes);
            }
            Err(error) => self.sink().add("vms", error.code(), error.to_string()),
        }
    }

    /// The edges with the positions at which they stand.
    pub(in crate::document) fn edges(&mut self, cluster: &Cluster, raw: &[RawEdge<'de>]) -> Vec<(usize, StartEdge)> {
        let mut edges = Vec::with_capacity(raw.len());
        for (at, raw) in raw.iter().enumerate() {
            let Some(name) = &raw.vm else { continue };
            let Some(vm) = self.find_vm(cluster, name, || format!("starts_after[{at}].vm")) else { continue };
            let mut edge = StartEdge::after(vm);
            edge.until = raw.until.unwrap_or_default();
            edge.delay_s = raw.delay_s.unwrap_or(0);
            edge.timeout_s = raw.timeout_s;
            edge.on_timeout = raw.on_timeout.unwrap_or_default();
            edges.push((at, edge));
        }
        edges
    }

    /// Records prerequisites that a VM needs and that never run.
    fn check_idle(&mut self, cluster: &Cluster, vm: VmId, edges: &[(usize, StartEdge)]) {
        let Ok(vm) = cluster.vm(vm) else { return };
        if !vm.is_on() || vm.restart() == RestartClass::Never {
            return;
        }
        for (at, edge) in edges.iter().filter(|(_, edge)| edge.on_timeout == OnTimeout::GiveUp) {
            let Ok(needed) = cluster.vm(edge.vm) else { continue };
            if !needed.is_on() || needed.restart() == RestartClass::Never {
                let error =
                    EditError::NeedsIdle { vm: vm.name().into(), needed: needed.name().into(), off: !needed.is_on() };
                self.sink().add(item("starts_after", *at), error.code(), error.to_string());
            }
        }
    }

    /// Records a cycle for every edge that closes one, in one walk over all edges. Of each no more is looked at than is
    /// shown: a long chain can close as many cycles as it has edges.
    fn all_cycles(&mut self, cluster: &Cluster, changes: &[(VmId, Vec<StartEdge>)]) {
        let mut edges_of: Vec<&[StartEdge]> = vec![&[]; cluster.vm_slots_len()];
        for (vm, edges) in changes {
            if let Some(entry) = edges_of.get_mut(vm.slot.index()) {
                *entry = edges;
            }
        }
        let mut walk = Walk { on_path: vec![None; edges_of.len()], done: vec![false; edges_of.len()] };
        for (start, _) in changes {
            if walk.is_done(*start) {
                continue;
            }
            let mut path: Vec<(VmId, usize)> = vec![(*start, 0)];
            walk.set_on_path(*start, Some(0));
            while let Some((vm, next)) = path.last_mut() {
                let edge = edges_of.get(vm.slot.index()).and_then(|edges| edges.get(*next));
                let (vm, at) = (*vm, *next);
                *next = next.saturating_add(1);
                let Some(edge) = edge else {
                    walk.set_on_path(vm, None);
                    walk.set_done(vm);
                    path.pop();
                    continue;
                };
                if let Some(from) = walk.on_path(edge.vm) {
                    self.cycle(cluster, path.get(from..).unwrap_or_default(), vm, at);
                } else if !walk.is_done(edge.vm) {
                    walk.set_on_path(edge.vm, Some(path.len()));
                    path.push((edge.vm, 0));
                }
            }
        }
    }

    /// A cycle, which the edge at this position of its last VM closes. It is told from that VM on, which the error is about.
    fn cycle(&mut self, cluster: &Cluster, cycle: &[(VmId, usize)], vm: VmId, at: usize) {
        let before = self.reader.sink.mark();
        if self.reader.sink.is_full() {
            self.sink().add("", "start_cycle", "");
            return;
        }
        let name = |vm: VmId| cluster.vm(vm).map_or("", VmRef::name);
        let others = cycle.len().saturating_sub(1);
        let from_last = core::iter::once(vm).chain(cycle.iter().take(others).map(|(vm, _)| *vm));
        let mut shown: Vec<String> = from_last.take(SHOWN).map(|vm| quoted(name(vm))).collect();
        if let more @ 1.. = cycle.len().saturating_sub(SHOWN) {
            shown.push(format!("{more} more"));
        }
        shown.push(quoted(name(vm)));
        let message = format!("the start order is a cycle: {}", shown.join(" after "));
        self.sink().add(item("starts_after", at), "start_cycle", message);
        let position = self.vm_at(vm);
        self.place_errors(before, "vms", position, Some(name(vm)));
    }
}

/// How far a walk over all VMs has come.
struct Walk {
    /// Where on the path a VM stands.
    on_path: Vec<Option<usize>>,
    done: Vec<bool>,
}

impl Walk {
    fn on_path(&self, vm: VmId) -> Option<usize> {
        self.on_path.get(vm.slot.index()).copied().flatten()
    }

    fn is_done(&self, vm: VmId) -> bool {
        self.done.get(vm.slot.index()).copied().unwrap_or(true)
    }

    fn set_on_path(&mut self, vm: VmId, on_path: Option<usize>) {
        if let Some(entry) = self.on_path.get_mut(vm.slot.index()) {
            *entry = on_path;
        }
    }

    fn set_done(&mut self, vm: VmId) {
        if let Some(entry) = self.done.get_mut(vm.slot.index()) {
            *entry = true;
        }
    }
}
