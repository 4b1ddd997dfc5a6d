//! Realistic clusters of any size, from a seed.
//!
//! Uses `choices`. Used by benches, size tests and property tests. Integers only; the same shape and seed give the same
//! cluster. After `../shared/tools/gen_cluster.py`: hosts of three models (1 : 1.5 : 2), VMs of cloud flavours (1:2,
//! 1:4, 1:8 vCPU to GiB, powers of two with a long tail, some odd sizes), host sizes scaled so that so many VMs fill
//! them to the utilisation asked for in the scarcer kind.
//!
//! Levels: `site` and `rack`, which nest, and `power_feed`, which crosses the racks. Rules hold in what is generated.

use crate::Choices;
use lifeboat::{
    Cluster, Node, NodeId, Place, Priority, ResourceKind, ResourceKinds, RestartClass, Rule, RuleKind, Vm, VmId,
};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// What a cluster should look like.
#[derive(Clone, Debug)]
pub struct Shape {
    /// How many nodes.
    pub nodes: usize,
    /// How many VMs; a few of the largest may be left out of a nearly full cluster.
    pub vms: usize,
    /// How full the scarcer of CPU and memory is, in per cent of all nodes.
    pub utilisation_percent: u64,
    /// 2: CPU and memory; 4: network and disk besides.
    pub kinds: usize,
    /// How the VMs are laid out.
    pub layout: Layout,
    /// How many nodes make a rack.
    pub nodes_per_rack: usize,
    /// Whether there are rules: about a fifth of the VMs are in some.
    pub rules: bool,
    /// Every VM can run only on its own node and so many others; `None` = anywhere.
    pub allowed_nodes: Option<usize>,
    /// How many of a hundred VMs are best effort.
    pub best_effort_percent: u64,
    /// The seed.
    pub seed: u64,
}

/// How VMs are laid out over the nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// The least loaded node first: what a balancer leaves.
    Balanced,
    /// Any node that has room, and some first fit: what years leave.
    Ragged,
}

/// The sizes of the benches: name, nodes, VMs.
pub const STANDARD: [(&str, usize, usize); 5] = [
    ("64/640", 64, 640),
    ("64/8000", 64, 8_000),
    ("1000/10000", 1_000, 10_000),
    ("10000/100000", 10_000, 100_000),
    ("100000/1000000", 100_000, 1_000_000),
];

impl Shape {
    /// So many nodes and VMs, 75 % full, 2 kinds, balanced, without rules.
    #[must_use]
    pub const fn new(nodes: usize, vms: usize) -> Self {
        Self {
            nodes,
            vms,
            utilisation_percent: 75,
            kinds: 2,
            layout: Layout::Balanced,
            nodes_per_rack: if nodes >= 1_000 { 40 } else { 16 },
            rules: false,
            allowed_nodes: None,
            best_effort_percent: 0,
            seed: 1,
        }
    }

    /// One of the [`STANDARD`] sizes.
    #[must_use]
    pub fn standard(name: &str) -> Option<Self> {
        STANDARD.iter().find(|(known, _, _)| *known == name).map(|(_, nodes, vms)| Self::new(*nodes, *vms))
    }

    /// How full, in per cent.
    #[must_use]
    pub const fn utilisation(mut self, percent: u64) -> Self {
        self.utilisation_percent = percent;
        self
    }

    /// How VMs are laid out.
    #[must_use]
    pub const fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// 2 or 4 kinds.
    #[must_use]
    pub const fn kinds(mut self, kinds: usize) -> Self {
        self.kinds = kinds;
        self
    }

    /// With rules.
    #[must_use]
    pub const fn with_rules(mut self) -> Self {
        self.rules = true;
        self
    }

    /// Every VM can run only on its own node and so many others.
    #[must_use]
    pub const fn allowed_nodes(mut self, others: usize) -> Self {
        self.allowed_nodes = Some(others);
        self
    }

    /// The seed.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Builds the cluster.
    ///
    /// # Panics
    /// If the cluster refuses an object.
    #[must_use]
    pub fn build(&self) -> Cluster {
        let mut choices = Choices::from_seed(self.seed ^ (self.nodes as u64) << 40 ^ (self.vms as u64) << 8);
        // Twice the size of a node, so that one and a half is whole.
        let models: Vec<u64> = (0..self.nodes).map(|_| choices.pick(&[2, 3, 4])).collect();
        let (flavours, base) = self.flavours(&mut choices, &models);
        let capacities: Vec<Vec<u64>> = models.iter().map(|model| self.capacity(base * model / 2)).collect();
        let demands: Vec<Vec<u64>> = flavours.iter().map(|flavour| self.demand(&mut choices, *flavour)).collect();
        let hosts = match self.layout {
            Layout::Balanced => balanced(&capacities, &demands),
            Layout::Ragged => ragged(&mut choices, &capacities, &demands),
        };
        self.fill(&mut choices, capacities, demands, &hosts)
    }

    /// `(vCPU, MiB)` of every VM, and the memory of the smallest model.
    fn flavours(&self, choices: &mut Choices<'_>, models: &[u64]) -> (Vec<(u64, u64)>, u64) {
        let sizes = [(1, 220), (2, 280), (4, 240), (8, 140), (16, 70), (32, 35), (64, 12), (96, 3)];
        let mut limit = u64::MAX;
        loop {
            let draw = |choices: &mut Choices<'_>| loop {
                let vcpu = choices.weighted(&sizes);
                let mut mib = vcpu * choices.weighted(&[(2, 30), (4, 45), (8, 25)]) * 1024;
                if choices.chance(15, 100) {
                    mib = mib * choices.pick(&[3, 5, 6]) / 4 / 256 * 256;
                }
                if mib <= limit && vcpu * MIB_PER_VCPU <= limit.saturating_mul(2) {
                    return (vcpu, mib);
                }
            };
            let flavours: Vec<(u64, u64)> = (0..self.vms).map(|_| draw(choices)).collect();
            let memory: u64 = flavours.iter().map(|(_, mib)| mib).sum();
            let cpu: u64 = flavours.iter().map(|(vcpu, _)| vcpu * MIB_PER_VCPU).sum();
            let halves: u64 = models.iter().sum();
            let base = (memory.max(cpu) * 100).div_ceil(self.utilisation_percent * halves.max(1)) * 2;
            // The largest VM takes at most two fifths of the smallest node.
            let largest = (base * 2 / 5).max(4096);
            let fits = flavours.iter().all(|(vcpu, mib)| *mib <= largest && vcpu * MIB_PER_VCPU <= largest * 2);
            if fits {
                return (flavours, base);
            }
            limit = largest.min(if limit == u64::MAX { largest } else { limit * 4 / 5 });
        }
    }

    fn capacity(&self, mib: u64) -> Vec<u64> {
        let mib = mib.div_ceil(256) * 256;
        // Network and disk have room to spare, and rarely decide.
        let all = [(mib * 1000).div_ceil(MIB_PER_VCPU), mib, mib / 4, mib * 14 / 1024];
        all.into_iter().take(self.kinds).collect()
    }

    fn demand(&self, choices: &mut Choices<'_>, (vcpu, mib): (u64, u64)) -> Vec<u64> {
        let network = mib / 8 + choices.below(mib / 16 + 1);
        let disk = mib * choices.between(4, 13) / 1024;
        [vcpu * 1000, mib, network, disk].into_iter().take(self.kinds).collect()
    }

    fn fill(
        &self,
        choices: &mut Choices<'_>,
        capacities: Vec<Vec<u64>>,
        demands: Vec<Vec<u64>>,
        hosts: &[Option<usize>],
    ) -> Cluster {
        let kinds = [("cpu", "mCPU"), ("memory", "MiB"), ("network", "Mbit/s"), ("disk", "GiB")];
        let kinds = kinds.into_iter().take(self.kinds).map(|(name, unit)| ResourceKind::new(name, unit)).collect();
        let kinds = ResourceKinds::from_kinds(kinds).expect("good kinds");
        let mut cluster = Cluster::new(kinds, ["site", "rack", "power_feed"]).expect("good levels");
        let per_rack = self.nodes_per_rack.max(1);
        let racks = self.nodes.div_ceil(per_rack);
        let mut nodes: Vec<NodeId> = Vec::with_capacity(self.nodes);
        for (number, capacity) in capacities.into_iter().enumerate() {
            let rack = number / per_rack;
            let site = rack * 4.min(racks) / racks;
            let mut node = Node::named(format!("node-{number:06}"))
                .capacity(capacity)
                .domain("site", format!("site-{site}"))
                .domain("rack", format!("rack-{rack:05}"))
                .domain("power_feed", format!("feed-{site}-{}", number % 2));
            if number % 10 == 3 {
                node = node.label("licensed");
            }
            nodes.push(cluster.add_node(node).expect("a good node"));
        }
        let priorities = [(Priority::HIGHEST, 10), (Priority::HIGH, 25), (Priority::MEDIUM, 40), (Priority::LOW, 25)];
        let mut vms: Vec<(VmId, usize)> = Vec::with_capacity(self.vms);
        for (number, (demand, host)) in demands.into_iter().zip(hosts).enumerate() {
            let Some(host) = *host else { continue };
            let mut vm = Vm::named(format!("vm-{number:07}")).demand(demand).on(nodes[host]);
            vm.priority = choices.weighted(&priorities);
            if choices.below(100) < self.best_effort_percent {
                vm.restart = RestartClass::BestEffort;
            }
            if let Some(others) = self.allowed_nodes {
                let mut allowed = vec![nodes[host]];
                allowed.extend((0..others).map(|_| choices.pick(&nodes)));
                vm.allowed_nodes = Some(allowed);
            }
            vms.push((cluster.add_vm(vm).expect("a good VM"), host));
        }
        if self.rules {
            self.add_rules(choices, &mut cluster, &vms);
        }
        cluster
    }

    /// Applications of two to five VMs: mostly apart by node, some apart by rack, spread, or together in a site; and
    /// what runs on licensed nodes confined to them. Members are chosen so that the rule holds.
    fn add_rules(&self, choices: &mut Choices<'_>, cluster: &mut Cluster, vms: &[(VmId, usize)]) {
        let per_rack = self.nodes_per_rack.max(1);
        let mut free = vms.to_vec();
        choices.shuffle(&mut free);
        let mut left = vms.len() / 5;
        let mut number = 0;
        while left > 1 {
            let sort = choices.below(20);
            let members: Vec<(VmId, usize)> = {
                let wanted = 2 + choices.index(4);
                let start = free.len().saturating_sub(wanted);
                free.split_off(start)
            };
            left = left.saturating_sub(members.len().max(1));
            let count = |per: usize| members.iter().map(|(_, host)| host / per).collect::<BTreeSet<_>>().len();
            let (by_node, by_rack) = (count(1) == members.len(), count(per_rack) == members.len());
            let kind = match sort {
                0..=12 if by_node => RuleKind::Separate { level: "node".into(), max_per_domain: 1 },
                13..=15 if by_rack => RuleKind::Separate { level: "rack".into(), max_per_domain: 1 },
                16..=17 if count(per_rack) > 1 => {
                    RuleKind::Spread { level: "rack".into(), min_domains: 2, max_skew: None }
                }
                18 => RuleKind::Confine(Place { labels: vec!["licensed".into()], ..Place::default() }),
                19 => RuleKind::Together { level: "site".into() },
                _ => continue,
            };
            let site = |host: usize| cluster_site(host, per_rack, self.nodes);
            let members: Vec<VmId> = match &kind {
                RuleKind::Confine(_) => members.iter().filter(|(_, host)| host % 10 == 3).map(|(vm, _)| *vm).collect(),
                RuleKind::Together { .. } => {
                    let home = site(members[0].1);
                    members.iter().filter(|(_, host)| site(*host) == home).map(|(vm, _)| *vm).collect()
                }
                _ => members.iter().map(|(vm, _)| *vm).collect(),
            };
            if members.is_empty() {
                continue;
            }
            cluster.add_rule(Rule::new(format!("rule-{number:06}"), kind).vms(members)).expect("a good rule");
            number += 1;
        }
    }
}

/// Memory of a host per vCPU that it can give, in MiB: the mean of the flavours.
const MIB_PER_VCPU: u64 = 4 * 1024;

fn cluster_site(host: usize, per_rack: usize, nodes: usize) -> usize {
    let racks = nodes.div_ceil(per_rack);
    host / per_rack * 4.min(racks) / racks
}

fn fits(free: &[u64], demand: &[u64]) -> bool {
    free.iter().zip(demand).all(|(free, demand)| demand <= free)
}

fn take(free: &mut [u64], demand: &[u64]) {
    for (free, demand) in free.iter_mut().zip(demand) {
        *free -= demand;
    }
}

/// Positions of the VMs, the largest first, in whichever of CPU and memory they are larger.
fn largest_first(demands: &[Vec<u64>]) -> Vec<usize> {
    let size = |demand: &Vec<u64>| (demand[0] * MIB_PER_VCPU / 1000).max(demand[1]);
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by_key(|vm| (Reverse(size(&demands[*vm])), *vm));
    order
}

/// The largest VM first, onto the node that is least loaded in its scarcest kind.
fn balanced(capacities: &[Vec<u64>], demands: &[Vec<u64>]) -> Vec<Option<usize>> {
    let mut free: Vec<Vec<u64>> = capacities.to_vec();
    let share = |free: &[u64], capacity: &[u64]| {
        free.iter().zip(capacity).map(|(free, capacity)| free * 1_000_000 / capacity.max(&1)).min().unwrap_or(0)
    };
    let mut heap: BinaryHeap<(u64, Reverse<usize>)> =
        (0..free.len()).map(|node| (share(&free[node], &capacities[node]), Reverse(node))).collect();
    let mut hosts = vec![None; demands.len()];
    for vm in largest_first(demands) {
        let mut passed = Vec::new();
        while let Some((_, Reverse(node))) = heap.pop() {
            if fits(&free[node], &demands[vm]) {
                take(&mut free[node], &demands[vm]);
                hosts[vm] = Some(node);
            }
            passed.push(node);
            // A VM that the emptiest nodes cannot take is left out.
            if hosts[vm].is_some() || passed.len() > 200 {
                break;
            }
        }
        heap.extend(passed.into_iter().map(|node| (share(&free[node], &capacities[node]), Reverse(node))));
    }
    hosts
}

/// The largest tenth first; then in any order: two thirds anywhere there is room, a third first fit from a few corners.
fn ragged(choices: &mut Choices<'_>, capacities: &[Vec<u64>], demands: &[Vec<u64>]) -> Vec<Option<usize>> {
    let mut free: Vec<Vec<u64>> = capacities.to_vec();
    let mut order = largest_first(demands);
    let mut rest = order.split_off(order.len() / 10);
    choices.shuffle(&mut rest);
    order.append(&mut rest);
    let count = free.len();
    let corners: Vec<usize> = (0..8).map(|_| choices.index(count)).collect();
    let mut hosts = vec![None; demands.len()];
    for vm in order {
        let tries = if choices.chance(1, 3) { 0 } else { 12 };
        let anywhere = (0..tries).map(|_| choices.index(count)).find(|node| fits(&free[*node], &demands[vm]));
        let host = anywhere.or_else(|| {
            let corner = choices.pick(&corners);
            let mut nodes = (0..count.min(2_000)).map(|step| (corner + step) % count);
            let near = nodes.find(|node| fits(&free[*node], &demands[vm]));
            near.or_else(|| (0..200).map(|_| choices.index(count)).find(|node| fits(&free[*node], &demands[vm])))
        });
        if let Some(host) = host {
            take(&mut free[host], &demands[vm]);
            hosts[vm] = Some(host);
        }
    }
    hosts
}
