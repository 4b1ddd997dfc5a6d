//! The fingerprint of a cluster: what binds a stored certificate to the state for which it was made.
//!
//! Uses the stores of `cluster`. Used by `guarantee`.
//!
//! A sum, modulo 2^128, over all objects of a hash of everything about an object that an answer may depend on, by
//! names (or the hashes of names that the cluster keeps): two clusters with the same content have the same fingerprint,
//! whatever the order in which they were listed. Names for people and annotations do not count. The hash is a fast one
//! on purpose: a fingerprint tells states apart that differ by accident or by change, it is no seal against someone who
//! crafts a collision.

use super::{Cluster, NodeRecord, RuleBody, RuleRecord, VmRecord};
use crate::dense::DenseId;
use crate::ids::{NodeSlot, RuleSlot, VmSlot};
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

/// Two running hashes of 64 bits, each a multiplication folded upon itself per word.
struct Mix(u64, u64);

impl Mix {
    #[inline]
    fn word(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, 0x9e37_79b9_7f4a_7c15);
        self.1 = fold(self.1.rotate_left(23) ^ word, 0xd6e8_feb8_6659_fd93);
    }
}

/// The two halves of a product, one upon the other.
#[inline]
fn fold(word: u64, by: u64) -> u64 {
    let product = u128::from(word ^ 0xa076_1d64_78bd_642f).wrapping_mul(u128::from(by));
    let high = u64::try_from(product >> 64).unwrap_or(0);
    let low = u64::try_from(product & u128::from(u64::MAX)).unwrap_or(0);
    high ^ low.rotate_left(32)
}

impl Hasher for Mix {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.word(u64::from_le_bytes(word));
        }
    }
    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.word(u64::from(value));
    }
    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.word(u64::from(value));
    }
    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.word(value);
    }
    fn write_usize(&mut self, value: usize) {
        self.word(u64::try_from(value).unwrap_or(u64::MAX));
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// The hash of one object, `what` telling its sort.
fn object(what: u64, feed: impl FnOnce(&mut Mix)) -> u128 {
    let mut mix = Mix(1, 2);
    mix.word(what);
    feed(&mut mix);
    // Once more, so that the last word counts as much as the first.
    mix.word(what);
    (u128::from(mix.0) << 64) | u128::from(mix.1)
}

fn text(hasher: &mut Mix, text: &str) {
    text.hash(hasher);
}

fn numbers(hasher: &mut Mix, numbers: &[u64]) {
    for number in numbers {
        hasher.word(*number);
    }
}

fn some<T: Hash>(hasher: &mut Mix, value: T) {
    value.hash(hasher);
}

impl Cluster {
    /// A 128-bit hash of everything in the cluster that an answer may depend on: kinds, levels, nodes, VMs, rules and
    /// their state; names for people, annotations and the cluster's own name left out. The same for every order of
    /// listing. Costs a look at every object.
    pub fn fingerprint(&self) -> u128 {
        let mut sum = object(0, |hasher| {
            for kind in &self.kinds {
                text(hasher, &kind.name);
                numbers(hasher, &[kind.per_vm]);
            }
            for level in self.levels.names() {
                text(hasher, level);
            }
        });
        for (slot, node) in
            (0..self.node_slots()).map(NodeSlot::from_index).filter_map(|slot| Some((slot, self.node_record(slot)?)))
        {
            sum = sum.wrapping_add(self.node_hash(slot, node));
        }
        for (slot, vm) in
            (0..self.vm_slots_len()).map(VmSlot::from_index).filter_map(|slot| Some((slot, self.vm_record(slot)?)))
        {
            sum = sum.wrapping_add(self.vm_hash(slot, vm));
        }
        for rule in (0..self.rules.slots()).map(RuleSlot::from_index).filter_map(|slot| self.rule_record(slot)) {
            sum = sum.wrapping_add(self.rule_hash(rule));
        }
        sum
    }

    fn node_hash(&self, slot: NodeSlot, node: &NodeRecord) -> u128 {
        object(1, |hasher| {
            some(hasher, node.key);
            numbers(hasher, &self.allocatable[slot]);
            numbers(hasher, &self.failover[slot]);
            some(hasher, (node.role, node.state, node.start_limit));
            for label in self.labels.sorted_names(&node.labels) {
                text(hasher, &label);
            }
            for level in self.levels.named_levels() {
                some(hasher, self.levels.domain_name(level, self.levels.domain(level, slot)));
            }
        })
    }

    fn vm_hash(&self, slot: VmSlot, vm: &VmRecord) -> u128 {
        let node = |node: NodeSlot| self.node_record(node).map(|record| record.key);
        object(2, |hasher| {
            numbers(hasher, &[vm.key]);
            for rows in [&self.demand, &self.restart_demand, &self.reservation] {
                numbers(hasher, &rows[slot]);
            }
            some(hasher, (vm.on, vm.pinned, vm.restart, vm.preemptible, vm.priority.0, vm.start_s));
            some(hasher, (vm.node.and_then(node), vm.migrating_to.and_then(node)));
            some(hasher, vm.last_node.and_then(|id| self.live_node(id)).and_then(node));
            for labels in [&vm.requires, &vm.migrate_requires] {
                some(hasher, labels.len());
                for label in self.labels.sorted_names(labels) {
                    text(hasher, &label);
                }
            }
            let mut allowed: Option<Vec<u128>> = vm
                .allowed_nodes
                .as_ref()
                .map(|nodes| nodes.iter().filter_map(|id| self.live_node(*id)).filter_map(node).collect());
            if let Some(allowed) = &mut allowed {
                allowed.sort_unstable();
            }
            some(hasher, allowed);
            some(hasher, self.groups.sorted_names(&vm.groups));
            let mut edges: Vec<_> = vm
                .starts_after
                .iter()
                .map(|edge| {
                    let name = self.vm_record(edge.vm).map(|record| record.key);
                    (name, edge.until, edge.delay_s, edge.timeout_s, edge.on_timeout)
                })
                .collect();
            edges.sort_unstable();
            some(hasher, edges);
        })
    }

    fn rule_hash(&self, rule: &RuleRecord) -> u128 {
        let vms = |vms: &[VmSlot]| {
            let mut names: Vec<&str> =
                vms.iter().filter_map(|vm| self.vm_record(*vm)).map(|record| &*record.name).collect();
            names.sort_unstable();
            names.iter().map(|name| alloc::string::String::from(*name)).collect::<Vec<_>>()
        };
        object(3, |hasher| {
            text(hasher, &rule.name);
            some(hasher, rule.strength);
            some(hasher, (vms(&rule.vms), self.groups.sorted_names(&rule.vm_groups)));
            match &rule.body {
                RuleBody::Separate { level, max_per_domain } => some(hasher, (0_u8, level, max_per_domain)),
                RuleBody::Sides { level, sides } => {
                    let mut sides: Vec<Vec<_>> = sides.iter().map(|side| vms(side)).collect();
                    sides.sort_unstable();
                    some(hasher, (1_u8, level, sides));
                }
                RuleBody::Together { level } => some(hasher, (2_u8, level)),
                RuleBody::Place { inside, place, .. } => {
                    let mut nodes: Vec<&str> = place
                        .nodes
                        .iter()
                        .filter_map(|id| self.live_node(*id))
                        .filter_map(|node| self.node_record(node))
                        .map(|record| &*record.name)
                        .collect();
                    nodes.sort_unstable();
                    let mut domains = place.domains.clone();
                    domains.sort_unstable();
                    some(hasher, (3_u8, inside, nodes, domains, self.labels.sorted_names(&place.labels)));
                }
                RuleBody::Spread { level, min_domains, max_skew } => {
                    some(hasher, (4_u8, level, min_domains, max_skew));
                }
                RuleBody::Follow { leader } => some(hasher, (5_u8, vms(&[*leader]))),
            }
        })
    }
}
