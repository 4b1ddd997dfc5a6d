//! The fingerprint of a cluster: what binds a stored certificate, and anything kept, to the state for which it was made.
//!
//! Uses the stores of `cluster`; every edit calls it for what it touches. Read by `guarantee` and whoever keeps answers.
//!
//! A sum, modulo 2^128, over all objects of a hash of everything about an object that an answer may depend on, by hashes
//! of names: two clusters with the same content have the same fingerprint, whatever the order in which they were listed
//! and whatever edits led there. Names for people and annotations do not count.
//!
//! **Kept, never computed on demand.** Each object keeps its share of the sum (its *stamp*); an edit exchanges the stamps
//! of the objects it touches. What an object says of another must not outlive a change of the other's name, and must
//! not cost a search for all that speak of it:
//!
//! - what speaks of a *node* (a VM runs there, migrates there, ran there last, may run there; a rule means it) is added
//!   up at the node, so that a node that is renamed or removed takes it along;
//! - what speaks of a *VM* (start edges, rules) is found from the VM, which lists both: its new name is entered there.
//!
//! **Ids.** Answers in memory speak of objects by id, and which object has which depends on the order of edits. So beside the
//! fingerprint there is a sum over all names with their slots and generations; both together are the [`ClusterState`].
//! What is stored speaks of objects by name, and keeps to the fingerprint alone.
//!
//! **What it protects against.** It tells states apart that differ by accident or by change: two that differ collide
//! once in 2^128 for what is hashed here, and two names that take each other's place once in 2^64, since names enter by
//! a hash of 64 bits (nodes: 128). The hash is a fast one, and a sum of hashes can be steered by someone who chooses
//! many objects: it is no seal against people who craft a collision on purpose.

use super::slab::hash_name;
use super::{
    Cluster, Edge, NodeRecord, NodeState, OnTimeout, RestartClass, Role, RuleBody, RuleRecord, Strength, Until,
    VmRecord,
};
use crate::dense::{DenseId, to_u32};
use crate::ids::{NodeId, NodeSlot, RuleSlot, VmSlot};
use alloc::collections::BTreeMap;

/// What an answer that speaks of objects by their ids is bound to: the content of a cluster, and which id each object has.
///
/// Equal for two clusters exactly if (but for collisions, see [`Cluster::fingerprint`]) they hold the same, with the same
/// ids: a clone and what it was cloned from, until either is edited otherwise. A cluster that is loaded again from the same
/// objects in another order has the same fingerprint, and another state: its ids mean other objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClusterState {
    pub(crate) content: u128,
    pub(crate) ids: u128,
}

/// Two running hashes of 64 bits, each a multiplication folded upon itself per word.
struct Mix(u64, u64);

impl Mix {
    /// Begins with what sort of thing is hashed.
    #[inline]
    const fn of(sort: Sort) -> Self {
        match sort {
            Sort::Cluster => Self(1, 2),
            Sort::Node => Self(3, 4),
            Sort::Vm => Self(5, 6),
            Sort::Rule => Self(7, 8),
            Sort::Name => Self(9, 10),
            Sort::Edge => Self(11, 12),
            Sort::Side => Self(13, 14),
            Sort::Domain => Self(15, 16),
            Sort::RunsOn => Self(17, 18),
            Sort::MovesTo => Self(19, 20),
            Sort::RanOn => Self(21, 22),
            Sort::MayRunOn => Self(23, 24),
            Sort::Means => Self(25, 26),
            Sort::Stamp => Self(27, 28),
            Sort::NodeSeat => Self(29, 30),
            Sort::VmSeat => Self(31, 32),
            Sort::RuleSeat => Self(33, 34),
        }
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, 0x9e37_79b9_7f4a_7c15);
        self.1 = fold(self.1.rotate_left(23) ^ word, 0xd6e8_feb8_6659_fd93);
    }

    #[inline]
    fn words(&mut self, words: &[u64]) {
        for word in words {
            self.word(*word);
        }
    }

    /// A hash that was made before, or a sum of them.
    #[inline]
    fn hash(&mut self, hash: u128) {
        let (high, low) = halves(hash);
        self.word(high);
        self.word(low);
    }

    /// Once more, so that the last word counts as much as the first.
    #[inline]
    fn finish(mut self) -> u128 {
        self.word(0);
        (u128::from(self.0) << 64) | u128::from(self.1)
    }
}

/// The two halves of a product, one upon the other.
#[inline]
fn fold(word: u64, by: u64) -> u64 {
    let (high, low) = halves(u128::from(word ^ 0xa076_1d64_78bd_642f).wrapping_mul(u128::from(by)));
    high ^ low.rotate_left(32)
}

#[inline]
fn halves(wide: u128) -> (u64, u64) {
    (u64::try_from(wide >> 64).unwrap_or(0), u64::try_from(wide & u128::from(u64::MAX)).unwrap_or(0))
}

/// What is hashed: things of two sorts never share a hash.
#[derive(Clone, Copy)]
enum Sort {
    Cluster,
    Node,
    Vm,
    Rule,
    /// A name in a set of names.
    Name,
    Edge,
    Side,
    Domain,
    /// What can be said of a node by a VM, and by a rule.
    RunsOn,
    MovesTo,
    RanOn,
    MayRunOn,
    Means,
    Stamp,
    /// Which id an object of a name has.
    NodeSeat,
    VmSeat,
    RuleSeat,
}

/// A thing that has a name, and no more to it.
#[inline]
fn named(sort: Sort, key: u64) -> u128 {
    let mut mix = Mix::of(sort);
    mix.word(key);
    mix.finish()
}

/// The hash of a set of names.
#[inline]
fn set(keys: impl Iterator<Item = u64>) -> u128 {
    keys.fold(0, |sum, key| sum.wrapping_add(named(Sort::Name, key)))
}

/// Which id the object of a name has.
fn seat(sort: Sort, slot: usize, generation: u32, name: u64) -> u128 {
    let mut mix = Mix::of(sort);
    mix.word((u64::from(generation) << 32) | u64::from(to_u32(slot)));
    mix.word(name);
    mix.finish()
}

fn exchange(sum: &mut u128, share: u128, there: bool) {
    *sum = if there { sum.wrapping_add(share) } else { sum.wrapping_sub(share) };
}

/// A number that may be missing, in one word.
fn optional(number: Option<u32>) -> u64 {
    number.map_or(0, |number| (1 << 32) | u64::from(number))
}

/// What a node adds to the fingerprint.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct NodeStamp {
    /// Everything about the node itself.
    own: u128,
    /// The sum of what VMs and rules say of it.
    said: u128,
    /// Its share of the fingerprint, made of the two.
    share: u128,
}

impl NodeStamp {
    /// Exchanges the node's share of the sum for what it is now.
    #[inline]
    fn refresh(&mut self, sum: &mut u128) {
        let mut mix = Mix::of(Sort::Stamp);
        mix.hash(self.own);
        mix.hash(self.said);
        let share = mix.finish();
        *sum = sum.wrapping_sub(self.share).wrapping_add(share);
        self.share = share;
    }

    /// Takes the node out of the sum.
    pub(super) const fn leave(&self, sum: &mut u128) {
        *sum = sum.wrapping_sub(self.share);
    }
}

/// What a VM or rule says of a node.
#[derive(Clone, Copy)]
pub(super) enum Said {
    RunsOn,
    MovesTo,
    RanOn,
    MayRunOn,
    Means,
}

impl Said {
    /// As said by an object of this name.
    #[inline]
    fn by(self, key: u64) -> u128 {
        let sort = match self {
            Self::RunsOn => Sort::RunsOn,
            Self::MovesTo => Sort::MovesTo,
            Self::RanOn => Sort::RanOn,
            Self::MayRunOn => Sort::MayRunOn,
            Self::Means => Sort::Means,
        };
        named(sort, key)
    }
}

impl NodeRecord {
    /// Enters what an object of this name says of the node, or takes it back. In bulk the sum comes later.
    #[inline]
    pub(super) fn hear(&mut self, bulk: bool, sum: &mut u128, said: Said, key: u64, enters: bool) {
        let hash = said.by(key);
        let total = self.stamp.said;
        self.stamp.said = if enters { total.wrapping_add(hash) } else { total.wrapping_sub(hash) };
        if !bulk {
            self.stamp.refresh(sum);
        }
    }
}

impl Cluster {
    /// A 128-bit hash of everything in the cluster that an answer may depend on: kinds, levels, nodes, VMs, rules and
    /// their state; names for people, annotations and the cluster's own name left out. The same for every order of
    /// listing, whatever edits led to this state, and on every machine. Kept up by every edit: reading it costs
    /// nothing.
    ///
    /// It tells states apart that differ by accident or by change. It is no cryptographic hash: whoever chooses the
    /// content of a cluster can make two of one fingerprint.
    ///
    /// ```
    /// use lifeboat::{Cluster, Node, ResourceKinds, Vm};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, ["rack"])?;
    /// let node = cluster.add_node(Node::named("esx-01").capacity([393_216]))?;
    /// let vm = cluster.add_vm(Vm::named("db-1").demand([32_768]).on(node))?;
    /// let before = cluster.fingerprint();
    /// cluster.stop_vm(vm)?;
    /// assert_ne!(cluster.fingerprint(), before);
    /// cluster.start_vm(vm, Some(node))?;
    /// assert_eq!(cluster.fingerprint(), before);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// The content with the ids that its objects have: what answers that speak of ids are bound to. Free to read.
    pub fn state(&self) -> ClusterState {
        ClusterState { content: self.fingerprint, ids: self.seats }
    }

    /// Takes in that a node of a name has this slot, or no longer has it. Its generation is that of the slot now.
    pub(super) fn seat_node(&mut self, slot: NodeSlot, name: u64, there: bool) {
        let seat = seat(Sort::NodeSeat, slot.index(), self.nodes.generation(slot), name);
        exchange(&mut self.seats, seat, there);
    }

    /// The same of a VM.
    pub(super) fn seat_vm(&mut self, slot: VmSlot, name: u64, there: bool) {
        let seat = seat(Sort::VmSeat, slot.index(), self.vms.generation(slot), name);
        exchange(&mut self.seats, seat, there);
    }

    /// The same of a rule.
    pub(super) fn seat_rule(&mut self, slot: RuleSlot, name: u64, there: bool) {
        let seat = seat(Sort::RuleSeat, slot.index(), self.rules.generation(slot), name);
        exchange(&mut self.seats, seat, there);
    }

    /// The seats of everything that is there. For tests.
    pub(super) fn recomputed_seats(&self) -> u128 {
        let nodes = self
            .nodes
            .iter()
            .map(|(slot, node)| (Sort::NodeSeat, slot.index(), self.nodes.generation(slot), node.name_hash()));
        let vms = self.vms.iter().map(|(slot, vm)| (Sort::VmSeat, slot.index(), self.vms.generation(slot), vm.key));
        let rules =
            self.rules.iter().map(|(slot, rule)| (Sort::RuleSeat, slot.index(), self.rules.generation(slot), rule.key));
        let all = nodes.chain(vms).chain(rules);
        all.fold(0, |sum, (sort, slot, generation, name)| sum.wrapping_add(seat(sort, slot, generation, name)))
    }

    /// The fingerprint of a cluster without objects.
    pub(super) fn empty_fingerprint(&self) -> u128 {
        let mut mix = Mix::of(Sort::Cluster);
        for kind in &self.kinds {
            mix.words(&[hash_name(&kind.name, 0), kind.per_vm]);
        }
        // A bar between the two lists: no name of a kind can pass for one of a level.
        mix.word(u64::try_from(self.kinds.len()).unwrap_or(u64::MAX));
        for level in self.levels.names() {
            mix.word(hash_name(level, 0));
        }
        mix.finish()
    }

    /// Brings a VM's share of the fingerprint in line with its record and amounts; where it is stands at the nodes.
    pub(super) fn stamp_vm(&mut self, slot: VmSlot) {
        self.stamps.grow_to(slot, &0);
        let now = self.vms.get(slot).map_or(0, |vm| self.vm_share(slot, vm));
        let before = core::mem::replace(&mut self.stamps[slot], now);
        self.fingerprint = self.fingerprint.wrapping_sub(before).wrapping_add(now);
    }

    fn vm_share(&self, slot: VmSlot, vm: &VmRecord) -> u128 {
        let mut mix = Mix::of(Sort::Vm);
        mix.word(vm.key);
        for rows in [&self.demand, &self.restart_demand, &self.reservation] {
            mix.words(&rows[slot]);
        }
        let class = match vm.restart {
            RestartClass::Never => 0,
            RestartClass::BestEffort => 1,
            RestartClass::Protected => 2,
        };
        let preemptible = vm.preemptible.map_or(0, |may| 2 | u64::from(may));
        let facts = [u64::from(vm.on), u64::from(vm.pinned), u64::from(vm.has_demand)];
        let facts = facts.iter().fold((class << 2) | preemptible, |facts, fact| (facts << 1) | fact);
        let listed = (facts << 1) | u64::from(vm.allowed_nodes.is_some());
        mix.word((listed << 32) | u64::from(vm.priority.0));
        mix.word(optional(vm.start_s));
        // What most VMs have none of is passed over; how much of each there is tells them apart.
        let extras = [vm.requires.len(), vm.migrate_requires.len(), vm.groups.len(), vm.starts_after.len()];
        if extras != [0; 4] {
            for count in extras {
                mix.word(u64::try_from(count).unwrap_or(u64::MAX));
            }
            for labels in [&vm.requires, &vm.migrate_requires] {
                mix.hash(set(labels.iter().map(|label| self.labels.key(*label))));
            }
            mix.hash(set(vm.groups.iter().map(|group| self.groups.key(*group))));
            let edges = vm.starts_after.iter().map(|edge| self.edge_hash(edge));
            mix.hash(edges.fold(0, u128::wrapping_add));
        }
        mix.finish()
    }

    fn edge_hash(&self, edge: &Edge) -> u128 {
        let mut mix = Mix::of(Sort::Edge);
        mix.word(self.vm_key(edge.vm));
        let until = match edge.until {
            Until::Started => 0,
            Until::Ready => 1,
        };
        let on_timeout = match edge.on_timeout {
            OnTimeout::Continue => 0,
            OnTimeout::GiveUp => 1,
        };
        mix.words(&[(until << 33) | (on_timeout << 32) | u64::from(edge.delay_s), optional(edge.timeout_s)]);
        mix.finish()
    }

    fn vm_key(&self, slot: VmSlot) -> u64 {
        self.vms.get(slot).map_or(0, |vm| vm.key)
    }

    /// Enters what a VM or rule of this name says of nodes that may have been removed since, or takes it back.
    pub(super) fn tell_nodes(&mut self, nodes: &[NodeId], said: Said, key: u64, enters: bool) {
        for id in nodes {
            if self.nodes.holds(id.slot, id.generation) {
                if let Some(node) = self.nodes.get_mut(id.slot) {
                    node.hear(self.bulk, &mut self.fingerprint, said, key, enters);
                }
            }
        }
    }

    /// Brings a node's share of the fingerprint in line with its record, amounts and domains.
    pub(super) fn stamp_node(&mut self, slot: NodeSlot) {
        if self.bulk {
            return;
        }
        let Some(node) = self.nodes.get(slot) else { return };
        let own = self.node_own(slot, node);
        if let Some(node) = self.nodes.get_mut(slot) {
            node.stamp.own = own;
            node.stamp.refresh(&mut self.fingerprint);
        }
    }

    fn node_own(&self, slot: NodeSlot, node: &NodeRecord) -> u128 {
        let mut mix = Mix::of(Sort::Node);
        mix.hash(node.key);
        mix.words(&self.allocatable[slot]);
        mix.words(&self.failover[slot]);
        let role = match node.role {
            Role::General => 0,
            Role::Spare => 1,
        };
        let state = match node.state {
            NodeState::Online => 0,
            NodeState::Cordoned => 1,
            NodeState::Maintenance => 2,
            NodeState::Unreachable => 3,
            NodeState::Failed => 4,
        };
        mix.words(&[(role << 8) | state, optional(node.start_limit)]);
        mix.hash(set(node.labels.iter().map(|label| self.labels.key(*label))));
        for level in self.levels.named_levels() {
            // No domain is told from any: a name's hash is not empty.
            let key = self.levels.domain_name_key(level, self.levels.domain(level, slot));
            mix.hash(key.map_or(0, |key| named(Sort::Domain, key)));
        }
        mix.finish()
    }

    /// Brings a rule's share of the fingerprint in line with its record, whose `named` must be right.
    pub(super) fn stamp_rule(&mut self, slot: RuleSlot) {
        let Some(rule) = self.rules.get(slot) else { return };
        let now = self.rule_share(rule);
        if let Some(rule) = self.rules.get_mut(slot) {
            let before = core::mem::replace(&mut rule.stamp, now);
            self.fingerprint = self.fingerprint.wrapping_sub(before).wrapping_add(now);
        }
    }

    /// A VM that rules name, or that leads some, gets another name: the hash of the old one is given.
    pub(super) fn rename_in_rules(&mut self, slot: VmSlot, old: u64) {
        let Some(vm) = self.vms.get(slot) else { return };
        let (new, rules) = (vm.key, vm.rules.iter().chain(&vm.leads).copied().collect::<alloc::vec::Vec<_>>());
        for rule in rules {
            self.exchange_named(rule, slot, Some(old), Some(new));
            self.stamp_rule(rule);
        }
    }

    /// Keeps the sum of a rule's named members in step when the name of one changes, or it goes; its lists must be
    /// right already.
    pub(super) fn exchange_named(&mut self, rule: RuleSlot, vm: VmSlot, old: Option<u64>, new: Option<u64>) {
        let Some(record) = self.rules.get(rule) else { return };
        let named_now = if matches!(record.body, RuleBody::Sides { .. }) {
            self.sum_of_named(record)
        } else if new.is_none() || record.vms.binary_search(&vm).is_ok() {
            let of = |key: Option<u64>| key.map_or(0, |key| named(Sort::Name, key));
            record.named.wrapping_sub(of(old)).wrapping_add(of(new))
        } else {
            record.named
        };
        if let Some(record) = self.rules.get_mut(rule) {
            record.named = named_now;
        }
    }

    /// The sum over a rule's named members, or over its sides.
    pub(super) fn sum_of_named(&self, rule: &RuleRecord) -> u128 {
        let members = |vms: &[VmSlot]| set(vms.iter().map(|vm| self.vm_key(*vm)));
        match &rule.body {
            RuleBody::Sides { sides, .. } => sides.iter().fold(0, |sum, side| {
                let mut mix = Mix::of(Sort::Side);
                mix.hash(members(side));
                sum.wrapping_add(mix.finish())
            }),
            _ => members(&rule.vms),
        }
    }

    fn rule_share(&self, rule: &RuleRecord) -> u128 {
        let mut mix = Mix::of(Sort::Rule);
        let strength = match rule.strength {
            Strength::Required => 0,
            Strength::Relaxed => 1,
            Strength::Preferred { weight } => (1 << 32) | u64::from(weight),
        };
        mix.words(&[rule.key, strength]);
        mix.hash(rule.named);
        mix.hash(set(rule.vm_groups.iter().map(|group| self.groups.key(*group))));
        let number = |number: u32| u64::from(number);
        match &rule.body {
            RuleBody::Separate { level, max_per_domain } => mix.words(&[0, number(level.0), number(*max_per_domain)]),
            RuleBody::Sides { level, .. } => mix.words(&[1, number(level.0)]),
            RuleBody::Together { level } => mix.words(&[2, number(level.0)]),
            RuleBody::Place { inside, place, .. } => {
                // The nodes that it names hear of it.
                mix.words(&[3, u64::from(*inside)]);
                mix.hash(set(place.labels.iter().map(|label| self.labels.key(*label))));
                mix.hash(place.domains.iter().fold(0, |sum, (level, name)| {
                    let mut mix = Mix::of(Sort::Domain);
                    mix.words(&[number(level.0), hash_name(name, 0)]);
                    sum.wrapping_add(mix.finish())
                }));
            }
            RuleBody::Spread { level, min_domains, max_skew } => {
                mix.words(&[4, number(level.0), number(*min_domains), optional(*max_skew)]);
            }
            RuleBody::Follow { leader } => mix.words(&[5, self.vm_key(*leader)]),
        }
        mix.finish()
    }

    /// The fingerprint, from the records alone. For tests.
    pub(super) fn recomputed_fingerprint(&self) -> u128 {
        let mut said: BTreeMap<NodeSlot, u128> = BTreeMap::new();
        let mut hear = |node: Option<NodeSlot>, what: Said, key: u64| {
            if let Some(node) = node {
                let sum = said.entry(node).or_default();
                *sum = sum.wrapping_add(what.by(key));
            }
        };
        let mut sum = self.empty_fingerprint();
        for (slot, vm) in self.vms.iter() {
            sum = sum.wrapping_add(self.vm_share(slot, vm));
            hear(vm.node, Said::RunsOn, vm.key);
            hear(vm.migrating_to, Said::MovesTo, vm.key);
            hear(vm.last_node.and_then(|node| self.live_node(node)), Said::RanOn, vm.key);
            for node in vm.allowed_nodes.iter().flatten() {
                hear(self.live_node(*node), Said::MayRunOn, vm.key);
            }
        }
        for slot in (0..self.rules.slots()).map(RuleSlot::from_index) {
            let Some(rule) = self.rules.get(slot) else { continue };
            let rule = RuleRecord { named: self.sum_of_named(rule), key: hash_name(&rule.name, 0), ..rule.clone() };
            sum = sum.wrapping_add(self.rule_share(&rule));
            if let RuleBody::Place { place, .. } = &rule.body {
                for node in &place.nodes {
                    hear(self.live_node(*node), Said::Means, rule.key);
                }
            }
        }
        for (slot, node) in self.nodes.iter() {
            let said = said.get(&slot).copied().unwrap_or_default();
            let mut stamp = NodeStamp { own: self.node_own(slot, node), said, share: 0 };
            stamp.refresh(&mut sum);
        }
        sum
    }
}
