//! What must always hold of a cluster: everything derived, recomputed from the records.
//!
//! Uses the stores of `cluster`. For tests and fuzzing alone.

use super::nodes::unit_share;
use super::rules::RuleBody;
use super::{Cluster, NodeState, OnTimeout, Role, Strength, node_set::NodeSet};
use crate::dense::{DenseId, to_usize};
use crate::ids::{NodeSlot, VmSlot};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Fails with a message unless the condition holds.
macro_rules! hold {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

impl Cluster {
    /// Recomputes everything that is derived and compares. For tests.
    ///
    /// # Errors
    /// The first thing that is not as it should be.
    #[doc(hidden)]
    pub fn check_invariants(&self) -> Result<(), String> {
        self.check_amounts()?;
        self.check_places()?;
        self.check_names()?;
        self.check_rule_sets()?;
        self.check_effective()?;
        let recomputed = self.recomputed_fingerprint();
        hold!(self.fingerprint == recomputed, "the fingerprint is {:032x}, not {recomputed:032x}", self.fingerprint);
        hold!(self.state().ids == self.recomputed_seats(), "the sum of seats is not that of what is there");
        Ok(())
    }

    /// How many slots there are for nodes, VMs and rules, free ones included. For tests of memory.
    #[doc(hidden)]
    pub fn slot_counts(&self) -> [usize; 3] {
        [self.nodes.slots(), self.vms.slots(), self.rules.slots()]
    }

    fn check_amounts(&self) -> Result<(), String> {
        let width = self.kinds.len();
        let mut used: BTreeMap<NodeSlot, Vec<u64>> = BTreeMap::new();
        let mut totals = [vec![0_u64; width], vec![0; width], vec![0; width]];
        for (slot, vm) in self.vms.iter() {
            for (total, row) in
                totals.iter_mut().zip([&self.demand[slot], &self.restart_demand[slot], &self.reservation[slot]])
            {
                add(total, row);
            }
            let (Some(node), true) = (vm.node, vm.on) else { continue };
            add(used.entry(node).or_insert_with(|| vec![0; width]), &self.demand[slot]);
            let runs = self.nodes.get(node).is_some_and(|node| node.state.runs_vms());
            if let Some(target) = vm.migrating_to.filter(|_| runs) {
                add(used.entry(target).or_insert_with(|| vec![0; width]), &self.demand[slot]);
            }
        }
        let [demand, restart_demand, reservation] = totals;
        let twice: Vec<u64> = demand.iter().map(|amount| amount.saturating_mul(2)).collect();
        hold!(twice == self.totals.demand, "total demand is {:?}, not {twice:?}", self.totals.demand);
        hold!(restart_demand == self.totals.restart_demand, "total restart demand is not {restart_demand:?}");
        hold!(reservation == self.totals.reservation, "total reservation is not {reservation:?}");
        let mut totals = [vec![0_u64; width], vec![0; width], vec![0; width]];
        for (slot, node) in self.nodes.iter() {
            let name = &node.name;
            let expected = used.remove(&slot).unwrap_or_else(|| vec![0; width]);
            hold!(self.used[slot] == expected[..], "{name} has used {:?}, not {expected:?}", &self.used[slot]);
            let free: Vec<u64> =
                self.failover[slot].iter().zip(&expected).map(|(all, used)| all.saturating_sub(*used)).collect();
            hold!(self.free[slot] == free[..], "{name} has free {:?}, not {free:?}", &self.free[slot]);
            let shares = self.failover[slot].iter().map(|most| unit_share(*most));
            hold!(shares.eq(self.unit_share[slot].iter().copied()), "the share of a unit of {name}");
            for (total, row) in totals.iter_mut().zip([&*node.capacity, &self.allocatable[slot], &self.failover[slot]])
            {
                add(total, row);
            }
            let accepts = node.state.accepts();
            hold!(self.room.contains(slot) == accepts, "{name} in the room index: {}", !accepts);
            hold!(
                self.down.contains(&slot) == matches!(node.state, NodeState::Failed | NodeState::Maintenance),
                "{name} among the nodes that are down"
            );
            hold!(
                self.unreachable.contains(&slot) == (node.state == NodeState::Unreachable),
                "{name} among the unreachable nodes"
            );
        }
        let [capacity, allocatable, failover] = totals;
        hold!(capacity == self.totals.capacity, "total capacity is not {capacity:?}");
        hold!(allocatable == self.totals.allocatable, "total allocatable is not {allocatable:?}");
        hold!(failover == self.totals.failover, "total failover is not {failover:?}");
        hold!(used.is_empty(), "VMs on nodes that are not there: {used:?}");
        let listed = self.down.len().saturating_add(self.unreachable.len());
        let down = self.nodes.iter().filter(|(_, node)| !matches!(node.state, NodeState::Online | NodeState::Cordoned));
        hold!(listed == down.count(), "{listed} nodes are listed as down or unreachable");
        let rooms = self.nodes.iter().filter(|(_, node)| node.state.accepts()).count();
        let spares = self.nodes.iter().filter(|(_, node)| node.state.accepts() && node.role == Role::Spare);
        hold!(spares.map(|(slot, _)| slot).eq(self.spares.iter().copied()), "the list of spare nodes is wrong");
        hold!(self.room.is_consistent(|node| &self.free[node]), "the room index contradicts itself");
        hold!(self.room.len() == rooms, "the room index has {} nodes, not {rooms}", self.room.len());
        for (slot, node) in self.nodes.iter().filter(|(_, node)| node.state.accepts()) {
            let found = self.room.walk_from(node.key).search::<0>(&self.free[slot], |found, _| found == slot);
            hold!(found == Some(slot), "{} is not found by what it has free", node.name);
        }
        Ok(())
    }

    fn check_places(&self) -> Result<(), String> {
        let mut homeless = 0_usize;
        let mut residents: BTreeMap<NodeSlot, usize> = BTreeMap::new();
        let mut incoming: BTreeMap<NodeSlot, usize> = BTreeMap::new();
        for (slot, vm) in self.vms.iter() {
            let name = &vm.name;
            let at = to_usize(vm.place_at);
            match (vm.on, vm.node) {
                (false, _) => {
                    hold!(vm.node.is_none() && vm.migrating_to.is_none(), "{name} is off and somewhere");
                    continue;
                }
                (true, None) => {
                    hold!(self.homeless.get(at) == Some(&slot), "{name} is not where it waits");
                    hold!(vm.migrating_to.is_none(), "{name} migrates from nowhere");
                    homeless = homeless.saturating_add(1);
                }
                (true, Some(node)) => {
                    let found = self.nodes.get(node).and_then(|node| node.residents.get(at));
                    hold!(found == Some(&slot), "{name} is not among the residents of its node");
                    count(&mut residents, node);
                }
            }
            if let Some(target) = vm.migrating_to {
                hold!(vm.node != Some(target), "{name} migrates to where it is");
                let target_record = self.nodes.get(target);
                let found = target_record.and_then(|node| node.incoming.get(to_usize(vm.incoming_at)));
                hold!(found == Some(&slot), "{name} is not among those that come to its target");
                count(&mut incoming, target);
            }
        }
        hold!(self.homeless.len() == homeless, "{} wait, not {homeless}", self.homeless.len());
        for (slot, node) in self.nodes.iter() {
            let expected = residents.get(&slot).copied().unwrap_or(0);
            hold!(
                node.residents.len() == expected,
                "{} has {} residents, not {expected}",
                node.name,
                node.residents.len()
            );
            let expected = incoming.get(&slot).copied().unwrap_or(0);
            hold!(node.incoming.len() == expected, "{expected} VMs come to {}, not {}", node.name, node.incoming.len());
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), String> {
        hold!(self.node_names.len() == self.nodes.len(), "names of nodes");
        hold!(self.vm_names.len() == self.vms.len(), "names of VMs");
        hold!(self.rule_names.len() == self.rules.len(), "names of rules");
        let mut carried: BTreeMap<_, BTreeSet<NodeSlot>> = BTreeMap::new();
        let mut labels = BTreeSet::new();
        for (slot, node) in self.nodes.iter() {
            hold!(self.node_named(&node.name, node.name_hash()) == Some(slot), "{} is not found by name", node.name);
            for label in &node.labels {
                carried.entry(*label).or_default().insert(slot);
                labels.insert(*label);
            }
            for level in self.levels.named_levels() {
                let domain = self.levels.domain(level, slot);
                let own = super::own_node(domain);
                hold!(own.is_none_or(|own| own == slot), "{} is in the domain of another node", node.name);
                let listed = self.levels.nodes(level, domain).iter().filter(|node| **node == slot).count();
                hold!(listed == usize::from(own.is_none()), "{} is listed {listed} times in its domain", node.name);
            }
        }
        for level in self.levels.named_levels() {
            for (key, name, nodes) in self.levels.domains(level) {
                let here = |node: &NodeSlot| self.nodes.get(*node).is_some() && self.levels.domain(level, *node) == key;
                hold!(nodes.iter().all(here), "the domain {name} lists nodes of others");
            }
        }
        let mut grouped: BTreeMap<_, BTreeSet<VmSlot>> = BTreeMap::new();
        for (slot, vm) in self.vms.iter() {
            hold!(self.vm_named(&vm.name, vm.key) == Some(slot), "{} is not found by name", vm.name);
            labels.extend(vm.requires.iter().chain(&vm.migrate_requires).copied());
            for group in &vm.groups {
                grouped.entry(*group).or_default().insert(slot);
            }
        }
        let mut named = BTreeSet::new();
        for (slot, rule) in self.rules.iter() {
            hold!(self.rule_named(&rule.name, rule.key) == Some(slot), "{} is not found by name", rule.name);
            named.extend(rule.vm_groups.iter().copied());
            if let RuleBody::Place { place, .. } = &rule.body {
                labels.extend(place.labels.iter().copied());
            }
        }
        for (label, name, uses) in self.labels.iter() {
            hold!(labels.remove(&label), "nobody uses the label {name}");
            let expected = carried.remove(&label).unwrap_or_default();
            hold!(uses.nodes.iter().collect::<BTreeSet<_>>() == expected, "the nodes of the label {name}");
            hold!(uses.nodes.len() == expected.len(), "the number of nodes of the label {name}");
        }
        hold!(labels.is_empty(), "labels that are not kept");
        for (group, name, uses) in self.groups.iter() {
            let expected = grouped.remove(&group).unwrap_or_default();
            hold!(named.contains(&group) || !expected.is_empty(), "nobody uses the group {name}");
            hold!(uses.vms.iter().copied().eq(expected.iter().copied()), "the VMs of the group {name}");
            let rules = self.rules.iter().filter(|(_, rule)| rule.vm_groups.contains(&group)).map(|(slot, _)| slot);
            hold!(uses.rules.iter().copied().eq(rules), "the rules of the group {name}");
        }
        hold!(grouped.is_empty(), "groups that are not kept");
        Ok(())
    }

    fn check_rule_sets(&self) -> Result<(), String> {
        let mut rules_of: BTreeMap<VmSlot, Vec<_>> = BTreeMap::new();
        let mut leads: BTreeMap<VmSlot, Vec<_>> = BTreeMap::new();
        for (slot, rule) in self.rules.iter() {
            let name = &rule.name;
            let mut members: BTreeSet<VmSlot> = rule.vms.iter().copied().collect();
            for group in &rule.vm_groups {
                members.extend(self.groups.value(*group).map_or(&[][..], |uses| &uses.vms));
            }
            match &rule.body {
                RuleBody::Sides { sides, .. } => members.extend(sides.iter().flatten()),
                RuleBody::Follow { leader } => {
                    members.remove(leader);
                    hold!(self.vms.get(*leader).is_some(), "{name} has no leader");
                    leads.entry(*leader).or_default().push(slot);
                }
                RuleBody::Place { place, nodes, .. } => {
                    let meant = |node: NodeSlot| {
                        place.nodes.contains(&self.node_id_of(node))
                            || place
                                .labels
                                .iter()
                                .any(|label| self.nodes.get(node).is_some_and(|record| record.labels.contains(label)))
                            || place.domains.iter().any(|(level, domain)| {
                                self.levels.domain_name(*level, self.levels.domain(*level, node)) == Some(domain)
                            })
                    };
                    let expected: NodeSet =
                        self.nodes.iter().map(|(node, _)| node).filter(|node| meant(*node)).collect();
                    hold!(nodes.iter().eq(expected.iter()), "the nodes that {name} means");
                }
                _ => {}
            }
            hold!(members.iter().all(|vm| self.vms.get(*vm).is_some()), "{name} has members that are not there");
            hold!(rule.members.iter().copied().eq(members.iter().copied()), "the members of {name}");
            for member in members {
                rules_of.entry(member).or_default().push(slot);
            }
        }
        for (slot, vm) in self.vms.iter() {
            let expected = rules_of.remove(&slot).unwrap_or_default();
            hold!(vm.rules[..] == expected[..], "the rules of {}", vm.name);
            hold!(vm.leads == leads.remove(&slot).unwrap_or_default(), "the rules that {} leads", vm.name);
        }
        Ok(())
    }

    fn check_effective(&self) -> Result<(), String> {
        let mut dependents: BTreeMap<VmSlot, Vec<VmSlot>> = BTreeMap::new();
        for (slot, vm) in self.vms.iter() {
            for edge in &vm.starts_after {
                dependents.entry(edge.vm).or_default().push(slot);
            }
        }
        // Raised until nothing changes: the definition, without its order.
        let mut effective: Vec<_> = vec![None; self.vms.slots()];
        for (slot, vm) in self.vms.iter() {
            let mut found = vm.dependents.clone();
            found.sort_unstable();
            hold!(found == dependents.remove(&slot).unwrap_or_default(), "the dependents of {}", vm.name);
            if let Some(entry) = effective.get_mut(slot.index()) {
                *entry = Some((vm.restart, vm.priority));
            }
        }
        let mut changed = true;
        while core::mem::take(&mut changed) {
            for (slot, vm) in self.vms.iter().filter(|(_, vm)| vm.on) {
                let claim = effective.get(slot.index()).copied().flatten();
                let edges =
                    vm.starts_after.iter().filter(|edge| edge.on_timeout == OnTimeout::GiveUp).map(|edge| edge.vm);
                let leaders =
                    vm.rules.iter().filter_map(|rule| self.rules.get(*rule)).filter_map(|rule| match rule.body {
                        RuleBody::Follow { leader } if rule.strength == Strength::Required && leader != slot => {
                            Some(leader)
                        }
                        _ => None,
                    });
                for needed in edges.chain(leaders) {
                    if let Some(entry) = effective.get_mut(needed.index()).filter(|entry| **entry < claim) {
                        *entry = claim;
                        changed = true;
                    }
                }
            }
        }
        for (slot, vm) in self.vms.iter() {
            let expected = effective.get(slot.index()).copied().flatten();
            hold!(self.facts(slot) == self.facts_of(vm), "the facts of {}", vm.name);
            hold!(Some(vm.effective) == expected, "{} counts as {:?}, not {expected:?}", vm.name, vm.effective);
        }
        hold!(self.find_cycle(self.vms.iter().map(|(slot, _)| slot)).is_none(), "the start order has a cycle");
        Ok(())
    }
}

fn add(row: &mut [u64], amounts: &[u64]) {
    for (row, amount) in row.iter_mut().zip(amounts) {
        *row = row.saturating_add(*amount);
    }
}

fn count(counts: &mut BTreeMap<NodeSlot, usize>, node: NodeSlot) {
    let count = counts.entry(node).or_default();
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use crate::cluster::{Cluster, Node, Vm};
    use crate::resources::ResourceKinds;

    /// What a settled VM holds counts in the totals, too: edits of it afterwards take no more off than was put on.
    #[test]
    fn settled_vms_count_in_the_totals() {
        let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")]).unwrap(), [""; 0]).unwrap();
        let node = cluster.add_node(Node::named("n").capacity([16])).unwrap();
        let vm = cluster.add_vm(Vm::named("v").demand([2]).restart_demand([5]).on(node)).unwrap();
        let again = cluster.vm(vm).unwrap().to_vm();
        cluster.settle(vm.slot, node.slot);
        cluster.check_invariants().unwrap();
        assert_eq!(cluster.node(node).unwrap().used(), [5]);
        cluster.update_vm(vm, again).unwrap();
        cluster.check_invariants().unwrap();
        assert_eq!(cluster.node(node).unwrap().used(), [2]);
    }
}
