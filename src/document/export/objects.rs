//! Kinds, nodes, VMs and rules.
//!
//! Uses the views of `cluster`. Used by `export`.

use super::{Each, Pairs, Row, list, some, unless};
use crate::cluster::{
    Cluster, NODE_LEVEL, NodeRef, NodeState, OnTimeout, Place, RestartClass, Role, RuleKind, RuleRef, StartEdge,
    Strength, Until, VmRef,
};
use crate::ids::{NodeId, VmId};
use crate::resources::{KindSet, ResourceKind};
use alloc::string::String;
use alloc::vec::Vec;
use serde::ser::{Serialize, SerializeMap, Serializer};

pub(super) struct KindForm<'a>(pub(super) &'a ResourceKind);

impl Serialize for KindForm<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let kind = self.0;
        let mut map = output.serialize_map(None)?;
        map.serialize_entry("name", &kind.name)?;
        unless(&mut map, "unit", &kind.unit, kind.unit.is_empty())?;
        unless(&mut map, "per_vm", kind.per_vm, kind.per_vm == 0)?;
        unless(&mut map, "optional", kind.optional, !kind.optional)?;
        map.end()
    }
}

pub(super) struct NodeForm<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) node: NodeRef<'a>,
}

impl Serialize for NodeForm<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let kinds = self.cluster.kinds();
        let node = self.node.to_node();
        let row = |amounts| Row { kinds, amounts, per_vm: false, said: KindSet::ALL };
        let percents = |percents: &[(usize, u32)]| -> Vec<(String, u32)> {
            let named = percents.iter().filter_map(|(kind, percent)| Some((kinds.get(*kind)?.name.clone(), *percent)));
            named.collect()
        };
        let mut map = output.serialize_map(None)?;
        map.serialize_entry("name", &node.name)?;
        some(&mut map, "display", node.display.as_ref())?;
        map.serialize_entry("capacity", &row(&node.capacity))?;
        unless(&mut map, "reserved", row(&node.reserved), node.reserved.iter().all(|amount| *amount == 0))?;
        unless(&mut map, "overcommit", Pairs(&percents(&node.overcommit)), node.overcommit.is_empty())?;
        let failover = &node.failover_overcommit;
        unless(&mut map, "failover_overcommit", Pairs(&percents(failover)), failover.is_empty())?;
        unless(&mut map, "domain", Pairs(&node.domains), node.domains.is_empty())?;
        list(&mut map, "labels", &node.labels)?;
        unless(&mut map, "role", node.role.name(), node.role == Role::General)?;
        unless(&mut map, "state", node.state.name(), node.state == NodeState::Online)?;
        some(&mut map, "start_limit", node.start_limit)?;
        some(&mut map, "annotations", node.annotations.as_ref())?;
        map.end()
    }
}

pub(super) struct VmForm<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) vm: VmRef<'a>,
}

impl Serialize for VmForm<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let (cluster, vm) = (self.cluster, self.vm);
        let own = vm.own_restart_kinds();
        let row = |amounts| Row { kinds: cluster.kinds(), amounts, per_vm: true, said: KindSet::ALL };
        let restart = Row { said: own, ..row(vm.restart_demand()) };
        let node = vm.node().and_then(|node| name_of_node(cluster, node));
        let edges: Vec<EdgeForm<'_>> =
            vm.starts_after().filter_map(|edge| Some(EdgeForm(edge, name_of_vm(cluster, edge.vm)?))).collect();
        let mut map = output.serialize_map(None)?;
        map.serialize_entry("name", vm.name())?;
        some(&mut map, "display", vm.display())?;
        some(&mut map, "demand", vm.has_demand().then(|| row(vm.demand())))?;
        some(&mut map, "restart_demand", (!own.is_empty()).then_some(restart))?;
        some(&mut map, "reservation", vm.has_own_reservation().then(|| row(vm.reservation())))?;
        some(&mut map, "node", node)?;
        unless(&mut map, "power", vm.power().name(), vm.is_on() == node.is_some())?;
        some(&mut map, "migrating_to", vm.migrating_to().and_then(|node| name_of_node(cluster, node)))?;
        map.serialize_entry("priority", &vm.priority().0)?;
        unless(&mut map, "restart", vm.restart().name(), vm.restart() == RestartClass::Protected)?;
        some(&mut map, "preemptible", vm.own_preemptible())?;
        list(&mut map, "requires", &vm.requires())?;
        some(&mut map, "allowed_nodes", vm.allowed_nodes().map(|nodes| node_names(cluster, &nodes)))?;
        unless(&mut map, "migratable", vm.is_migratable(), vm.is_migratable())?;
        list(&mut map, "migrate_requires", &vm.migrate_requires())?;
        list(&mut map, "groups", &vm.groups())?;
        some(&mut map, "start_s", vm.start_s())?;
        list(&mut map, "starts_after", &edges)?;
        some(&mut map, "annotations", vm.annotations())?;
        map.end()
    }
}

struct EdgeForm<'a>(StartEdge, &'a str);

impl Serialize for EdgeForm<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let edge = &self.0;
        let mut map = output.serialize_map(None)?;
        map.serialize_entry("vm", self.1)?;
        unless(&mut map, "until", edge.until.name(), edge.until == Until::Started)?;
        unless(&mut map, "delay_s", edge.delay_s, edge.delay_s == 0)?;
        some(&mut map, "timeout_s", edge.timeout_s)?;
        unless(&mut map, "on_timeout", edge.on_timeout.name(), edge.on_timeout == OnTimeout::Continue)?;
        map.end()
    }
}

pub(super) struct RuleForm<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) rule: RuleRef<'a>,
}

impl Serialize for RuleForm<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let cluster = self.cluster;
        let rule = self.rule.to_rule();
        let mut groups = rule.vm_groups;
        groups.sort_unstable();
        let sides = matches!(rule.kind, RuleKind::SeparateSides { .. });
        let mut map = output.serialize_map(None)?;
        map.serialize_entry("name", &rule.name)?;
        map.serialize_entry("kind", rule.kind.name())?;
        // Members must be stated, even if there are none left.
        unless(&mut map, "vms", vm_names(cluster, &rule.vms), sides || (rule.vms.is_empty() && !groups.is_empty()))?;
        list(&mut map, "vm_groups", &groups)?;
        match &rule.kind {
            RuleKind::Separate { level, max_per_domain } => {
                unless(&mut map, "level", level, level == NODE_LEVEL)?;
                unless(&mut map, "max_per_domain", max_per_domain, *max_per_domain == 1)?;
            }
            RuleKind::SeparateSides { level, sides } => {
                map.serialize_entry("sides", &Each(|| sides.iter().map(|side| vm_names(cluster, side))))?;
                unless(&mut map, "level", level, level == NODE_LEVEL)?;
            }
            RuleKind::Together { level } => unless(&mut map, "level", level, level == NODE_LEVEL)?,
            RuleKind::Confine(place) | RuleKind::Exclude(place) => place_fields(&mut map, cluster, place)?,
            RuleKind::Spread { level, min_domains, max_skew } => {
                unless(&mut map, "level", level, level == NODE_LEVEL)?;
                unless(&mut map, "min_domains", min_domains, *min_domains == 0)?;
                some(&mut map, "max_skew", *max_skew)?;
            }
            RuleKind::Follow { leader } => some(&mut map, "leader", name_of_vm(cluster, *leader))?,
        }
        unless(&mut map, "strength", rule.strength.name(), rule.strength == Strength::Required)?;
        if let Strength::Preferred { weight } = rule.strength {
            map.serialize_entry("weight", &weight)?;
        }
        some(&mut map, "annotations", rule.annotations.as_ref())?;
        map.end()
    }
}

fn place_fields<M: SerializeMap>(map: &mut M, cluster: &Cluster, place: &Place) -> Result<(), M::Error> {
    let nodes = node_names(cluster, &place.nodes);
    // A place must be stated, even if none of its nodes is left.
    unless(map, "nodes", &nodes, nodes.is_empty() && !(place.domains.is_empty() && place.labels.is_empty()))?;
    let mut domains: Vec<(&str, Vec<&str>)> = Vec::new();
    for level in cluster.levels() {
        let of_level = place.domains.iter().filter(|(at, _)| at == level);
        let mut names: Vec<&str> = of_level.map(|(_, name)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            domains.push((level, names));
        }
    }
    unless(map, "domains", Pairs(&domains), domains.is_empty())?;
    list(map, "labels", &place.labels)
}

fn name_of_node(cluster: &Cluster, node: NodeId) -> Option<&str> {
    cluster.node(node).ok().map(NodeRef::name)
}

fn name_of_vm(cluster: &Cluster, vm: VmId) -> Option<&str> {
    cluster.vm(vm).ok().map(VmRef::name)
}

fn node_names<'a>(cluster: &'a Cluster, nodes: &[NodeId]) -> Vec<&'a str> {
    let mut names: Vec<&str> = nodes.iter().filter_map(|node| name_of_node(cluster, *node)).collect();
    names.sort_unstable();
    names
}

fn vm_names<'a>(cluster: &'a Cluster, vms: &[VmId]) -> Vec<&'a str> {
    let mut names: Vec<&str> = vms.iter().filter_map(|vm| name_of_vm(cluster, *vm)).collect();
    names.sort_unstable();
    names
}
