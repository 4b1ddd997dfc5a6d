//! The same cluster again: its objects added in another order, under other names, or somewhat changed.
//!
//! Uses the views of `lifeboat`. Used by tests of what must not depend on order and names.

use lifeboat::{Cluster, Failure, Node, NodeId, Place, Rule, RuleId, RuleKind, Vm, VmId};
use std::collections::BTreeMap;

/// What to change while a cluster is built again.
pub struct Rebuild<'a> {
    old: &'a Cluster,
    nodes: Vec<NodeId>,
    vms: Vec<VmId>,
    rules: Vec<RuleId>,
    rename: Box<dyn Fn(&str) -> String + 'a>,
    alter_node: Box<dyn Fn(&mut Node) + 'a>,
    alter_vm: Box<dyn Fn(&mut Vm) + 'a>,
}

/// A cluster built again, and which object is which.
pub struct Rebuilt {
    /// The new cluster.
    pub cluster: Cluster,
    /// New ids by old ones.
    pub nodes: BTreeMap<NodeId, NodeId>,
    /// New ids by old ones.
    pub vms: BTreeMap<VmId, VmId>,
}

impl Rebuilt {
    /// A failure of the old cluster in the new one.
    #[must_use]
    pub fn failure(&self, failure: &Failure) -> Failure {
        Failure::of(failure.nodes().iter().filter_map(|node| self.nodes.get(node).copied()))
    }
}

impl<'a> Rebuild<'a> {
    /// The same cluster, in the same order, under the same names.
    #[must_use]
    pub fn of(old: &'a Cluster) -> Self {
        Self {
            old,
            nodes: old.nodes().map(|node| node.id()).collect(),
            vms: old.vms().map(|vm| vm.id()).collect(),
            rules: old.rules().map(|rule| rule.id()).collect(),
            rename: Box::new(str::to_string),
            alter_node: Box::new(|_| {}),
            alter_vm: Box::new(|_| {}),
        }
    }

    /// Another order of addition.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        let mut choices = crate::Choices::from_seed(seed);
        choices.shuffle(&mut self.nodes);
        choices.shuffle(&mut self.vms);
        choices.shuffle(&mut self.rules);
        self
    }

    /// Other names of nodes, VMs, rules, labels, groups, levels and domains. Must be one-to-one.
    #[must_use]
    pub fn renamed(mut self, rename: impl Fn(&str) -> String + 'a) -> Self {
        self.rename = Box::new(rename);
        self
    }

    /// Without these VMs.
    #[must_use]
    pub fn without_vms(mut self, vms: &[VmId]) -> Self {
        self.vms.retain(|vm| !vms.contains(vm));
        self
    }

    /// Changes every node's description.
    #[must_use]
    pub fn nodes(mut self, alter: impl Fn(&mut Node) + 'a) -> Self {
        self.alter_node = Box::new(alter);
        self
    }

    /// Changes every VM's description. Its ids are those of the old cluster, and its start edges come later.
    #[must_use]
    pub fn vms(mut self, alter: impl Fn(&mut Vm) + 'a) -> Self {
        self.alter_vm = Box::new(alter);
        self
    }

    /// Builds the cluster.
    ///
    /// # Panics
    /// If an object is refused: it was there before.
    #[must_use]
    pub fn build(self) -> Rebuilt {
        let (old, rename) = (self.old, &self.rename);
        let level_name = |level: &str| if level == lifeboat::NODE_LEVEL { level.to_string() } else { rename(level) };
        let rename_all = |names: &mut Vec<String>| names.iter_mut().for_each(|name| *name = rename(name));
        let levels: Vec<String> = old.levels().map(rename).collect();
        let mut cluster = Cluster::new(old.kinds().clone(), levels).expect("the old levels");
        let mut nodes = BTreeMap::new();
        for id in &self.nodes {
            let mut node = old.node(*id).expect("an old node").to_node();
            node.name = rename(&node.name);
            rename_all(&mut node.labels);
            for (level, domain) in &mut node.domains {
                (*level, *domain) = (level_name(level), rename(domain));
            }
            (self.alter_node)(&mut node);
            nodes.insert(*id, cluster.add_node(node).expect("an old node"));
        }
        for level in old.levels() {
            let (domains, declared) = old.domains(level).expect("an old level");
            if declared {
                let domains = domains.into_iter().map(rename);
                cluster.declare_domains(&level_name(level), domains).expect("the old domains");
            }
        }
        let mut vms = BTreeMap::new();
        for id in &self.vms {
            let mut vm = old.vm(*id).expect("an old VM").to_vm();
            (self.alter_vm)(&mut vm);
            vm.name = rename(&vm.name);
            for names in [&mut vm.requires, &mut vm.migrate_requires, &mut vm.groups] {
                rename_all(names);
            }
            vm.node = vm.node.and_then(|node| nodes.get(&node).copied());
            vm.migrating_to = vm.migrating_to.and_then(|node| nodes.get(&node).copied());
            vm.allowed_nodes =
                vm.allowed_nodes.map(|list| list.iter().filter_map(|node| nodes.get(node).copied()).collect());
            vm.starts_after.clear();
            vms.insert(*id, cluster.add_vm(vm).expect("an old VM"));
        }
        let edges: Vec<_> = vms
            .iter()
            .map(|(old_id, new_id)| {
                let edges = old.vm(*old_id).expect("an old VM").starts_after();
                let edges = edges.filter_map(|mut edge| {
                    edge.vm = *vms.get(&edge.vm)?;
                    Some(edge)
                });
                (*new_id, edges.collect::<Vec<_>>())
            })
            .filter(|(_, edges)| !edges.is_empty())
            .collect();
        cluster.set_starts_after(&edges).expect("the old start order");
        let new_vms = |list: &[VmId]| list.iter().filter_map(|vm| vms.get(vm).copied()).collect::<Vec<_>>();
        for id in &self.rules {
            let rule = old.rule(*id).expect("an old rule").to_rule();
            let place = |place: Place| Place {
                nodes: place.nodes.iter().filter_map(|node| nodes.get(node).copied()).collect(),
                domains: place.domains.iter().map(|(level, domain)| (level_name(level), rename(domain))).collect(),
                labels: place.labels.iter().map(|label| rename(label)).collect(),
            };
            let kind = match rule.kind.clone() {
                RuleKind::Separate { level, max_per_domain } => {
                    RuleKind::Separate { level: level_name(&level), max_per_domain }
                }
                RuleKind::SeparateSides { level, sides } => RuleKind::SeparateSides {
                    level: level_name(&level),
                    sides: sides.iter().map(|side| new_vms(side)).collect(),
                },
                RuleKind::Together { level } => RuleKind::Together { level: level_name(&level) },
                RuleKind::Confine(old) => RuleKind::Confine(place(old)),
                RuleKind::Exclude(old) => RuleKind::Exclude(place(old)),
                RuleKind::Spread { level, min_domains, max_skew } => {
                    RuleKind::Spread { level: level_name(&level), min_domains, max_skew }
                }
                RuleKind::Follow { leader } => match vms.get(&leader) {
                    Some(leader) => RuleKind::Follow { leader: *leader },
                    None => continue,
                },
            };
            let mut again = Rule::new(rename(&rule.name), kind).vms(new_vms(&rule.vms)).strength(rule.strength);
            again.vm_groups = rule.vm_groups.iter().map(|group| rename(group)).collect();
            cluster.add_rule(again).expect("an old rule");
        }
        Rebuilt { cluster, nodes, vms }
    }
}
