//! Whether the banks of a certificate are as its theorem needs them, and the plan of every unit in every bank is legal.
//!
//! Uses `cluster` through its public views, and `rules` beside it. Part of the checker.

use super::{Check, VerdictFault, vm_fault};
use crate::cluster::{Cluster, NodeState, OnTimeout, RuleKind, RuleRef, Strength, VmRef};
use crate::guarantee::certificate::Covers;
use crate::ids::{NodeId, VmId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Standing places, apart by what a plan can change for them.
struct Standing {
    /// Those of VMs that a required rule speaks of or whom one follows, that need another VM or that another one needs.
    tied: Vec<(VmId, NodeId)>,
    /// The others, node by node.
    free_on: BTreeMap<NodeId, Vec<(VmId, NodeId)>>,
}

impl Standing {
    fn new(cluster: &Cluster, standing: &[(VmId, NodeId)]) -> Self {
        let required =
            |rule| cluster.rule(rule).map(RuleRef::strength).is_ok_and(|strength| strength == Strength::Required);
        let needed: BTreeSet<VmId> = cluster.vms().flat_map(VmRef::starts_after).map(|edge| edge.vm).collect();
        let leaders: BTreeSet<VmId> = cluster
            .rules()
            .filter_map(|rule| if let RuleKind::Follow { leader } = rule.kind() { Some(leader) } else { None })
            .collect();
        let is_tied = |vm: VmRef<'_>| {
            vm.rules().any(required)
                || vm.starts_after().next().is_some()
                || needed.contains(&vm.id())
                || leaders.contains(&vm.id())
        };
        let mut sorted = Self { tied: Vec::new(), free_on: BTreeMap::new() };
        for place in standing {
            if cluster.vm(place.0).is_ok_and(|vm| !is_tied(vm)) {
                sorted.free_on.entry(place.1).or_default().push(*place);
            } else {
                sorted.tied.push(*place);
            }
        }
        sorted
    }
}

impl Check<'_> {
    pub(super) fn banks(&mut self) {
        let bank_fault = |what: String| VerdictFault::Banks { what };
        let mut bank_of: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut served: BTreeMap<String, u32> = BTreeMap::new();
        for (at, column) in self.certificate.columns.iter().enumerate() {
            let Some(bank) = &column.bank else {
                self.faults.push(bank_fault("a column has no bank".into()));
                continue;
            };
            let level = self.certificate.tiers.get(column.tier).map(|(level, _)| level.clone()).unwrap_or_default();
            let count = served.entry(level).or_default();
            *count = count.saturating_add(1);
            for node in bank.iter().map(|node| self.cluster.node_id_of(*node)) {
                if !self.cluster.node(node).is_ok_and(|node| node.state() == NodeState::Online) {
                    self.faults.push(bank_fault("a node in a bank takes no restarts".into()));
                }
                if bank_of.insert(node, at).is_some() {
                    self.faults.push(bank_fault("a node is in two banks".into()));
                }
            }
        }
        for (level, count) in &self.certificate.tiers {
            let needed = count.saturating_add(self.losses).saturating_sub(1);
            if served.get(level).copied().unwrap_or(0) < needed {
                self.faults.push(bank_fault(format!("level '{level}' needs {needed} of them")));
            }
        }
        if self.losses > 1 {
            if !self.certificate.exceptions.is_empty() {
                self.faults.push(bank_fault("exceptions and banks together prove one loss only".into()));
            }
            let tiers: Vec<BTreeMap<String, BTreeSet<NodeId>>> =
                self.class.tiers.iter().map(|(_, _, units)| units.clone()).collect();
            for unit in tiers.iter().flat_map(BTreeMap::values) {
                let met: BTreeSet<usize> = unit.iter().filter_map(|node| bank_of.get(node).copied()).collect();
                if met.len() > 1 {
                    self.faults.push(bank_fault("a unit of the class meets two banks".into()));
                }
            }
            self.rules(&bank_of);
            self.needs();
        }
        let standing = Standing::new(self.cluster, &self.standing);
        let tiers = self.certificate.tiers.clone();
        for (column, served) in self.certificate.columns.iter().enumerate() {
            let Some((level, _)) = tiers.get(served.tier) else { continue };
            let units: Vec<BTreeSet<NodeId>> = self
                .class
                .tiers
                .iter()
                .filter(|(known, _, _)| known == level)
                .flat_map(|(_, _, units)| units.values().cloned())
                .collect();
            for nodes in units {
                if self.control.is_cancelled() {
                    return;
                }
                if let Some(plan) = self.exception(&nodes) {
                    self.legal(&nodes, &plan, self.certificate.covers == Covers::AnyOrder);
                    continue;
                }
                let moved = self.moved(column, &nodes);
                if moved.iter().any(|(_, node)| bank_of.get(node) != Some(&column)) {
                    self.faults.push(bank_fault("a plan leaves its bank".into()));
                }
                self.unit_is_legal(&nodes, &moved, &standing);
            }
        }
    }

    /// Notes a plan of a unit that is not legal, beside the standing places that its loss leaves as they are.
    ///
    /// That these are legal by themselves is known, as is that everyone who waits has one. So of the standing VMs only
    /// those are looked at again for whom the plan can change anything: those on nodes that it uses, and those that a rule
    /// or a prerequisite ties.
    fn unit_is_legal(&mut self, nodes: &BTreeSet<NodeId>, moved: &[(VmId, NodeId)], standing: &Standing) {
        let displaced: BTreeSet<VmId> = self.homes_on(nodes).map(|(vm, _)| vm).collect();
        let own = self.own_places(&displaced);
        let all: Vec<(VmId, NodeId)> = moved.iter().chain(&own).copied().collect();
        self.displaced_are_placed(&displaced, &all);
        let used: BTreeSet<NodeId> = all.iter().map(|(_, node)| *node).collect();
        let free = used.iter().filter_map(|node| standing.free_on.get(node)).flatten();
        let beside = free.chain(&standing.tied).filter(|placed| self.stands(nodes, placed));
        let placements: Vec<(VmId, NodeId)> = all.iter().chain(beside).copied().collect();
        let settled = self.certificate.covers == Covers::AnyOrder;
        self.placements_are_legal(nodes, &placements, settled.then_some(&all));
        self.kept_room_is_free(nodes, moved);
    }

    /// VMs that need one which is left out: the plans of two units together may displace both.
    fn needs(&mut self) {
        let left_out = |vm: VmId| self.certificate.left_out.binary_search(&vm.slot).is_ok();
        let needs =
            |vm: &VmRef<'_>| vm.starts_after().any(|edge| edge.on_timeout == OnTimeout::GiveUp && left_out(edge.vm));
        let found = self.cluster.vms().find(|vm| self.speaks_of(*vm) && needs(vm)).map(VmRef::id);
        if let Some(vm) = found {
            self.faults.push(vm_fault(self.cluster, vm, "needs a VM that is left out, which banks do not cover"));
        }
    }
}
