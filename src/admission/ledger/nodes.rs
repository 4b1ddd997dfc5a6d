//! Nodes that open, close, come and go: what a change of one node asks of the books.
//!
//! Uses `cluster`, `guarantee` (units), `ledger::{class, lists, repair}`. Called by `admission::books` for what has happened,
//! and by `admission::quick` for what is asked.
//!
//! **Why it is sound.** A node that takes nothing more leaves its bank's index, and plans that put VMs there put them
//! elsewhere in the bank. Its own VMs, if it runs any, stay what they are: those of a unit. It keeps its place among the
//! banks, so that its domains are still met by one bank only if it comes back. A node that no bank has yet comes to the bank
//! that has its domains, of every level that banks respect; if none has any, to the one with the fewest nodes; if two have,
//! to none: it is not a target then, which harms no plan. Colours are known of nodes that took VMs when they were painted:
//! where there are colours, a node that came later is no target, either.
//!
//! Units follow nodes that begin or cease to run VMs. Such a node must be empty: what it runs would wait for a place. More
//! of the class's units than may fail must be there before and after, since a verdict counts no more losses than there are
//! units. And units may come to cross by it: so nothing may rest on how they lie to each other, as colours, plans that keep
//! a rule as a whole, and places of VMs' own do.
//!
//! Where VMs are uncoverable every change may cover one, or tell of it in another way: that is for a verdict. So is what a
//! `spread` rule with a `max_skew` makes of it that another domain takes VMs, or one takes none.

use super::class::{ClassLedger, NO_BANK};
use crate::cluster::{Cluster, NodeState, RuleBody, RuleRecord, Strength};
use crate::dense::{to_u32, to_usize};
use crate::guarantee::{NO_UNIT, Tier, Units};
use crate::ids::NodeSlot;
use crate::policy::Policy;
use crate::room::RoomKey;

/// What becomes of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// `None`: it is not there yet.
    pub(crate) node: Option<NodeSlot>,
    /// Its states before and after; `None`: it is not there.
    pub(crate) was: Option<NodeState>,
    pub(crate) will: Option<NodeState>,
}

impl Turn {
    /// It took VMs that start, restart or move, and will not.
    fn closes(self) -> bool {
        takes(self.was) && !takes(self.will)
    }

    fn opens(self) -> bool {
        !takes(self.was) && takes(self.will)
    }

    pub(crate) fn changes_takers(self) -> bool {
        takes(self.was) != takes(self.will)
    }

    /// Whether it begins or ceases to be one that can fail.
    pub(crate) fn changes_units(self) -> bool {
        fails(self.was) != fails(self.will)
    }

    fn concerns(self, state: NodeState) -> bool {
        self.was != self.will && [self.was, self.will].contains(&Some(state))
    }
}

/// Whether a rule looks at which nodes take VMs, wherever its members are: a `spread` rule with a `max_skew`.
pub(crate) fn counts_takers(cluster: &Cluster) -> bool {
    let binds = |rule: &RuleRecord| {
        let skewed = matches!(rule.body, RuleBody::Spread { max_skew: Some(_), .. });
        skewed && !matches!(rule.strength, Strength::Preferred { .. })
    };
    cluster.rule_records().any(binds)
}

fn takes(state: Option<NodeState>) -> bool {
    state.is_some_and(NodeState::accepts)
}

fn fails(state: Option<NodeState>) -> bool {
    matches!(state, Some(NodeState::Online | NodeState::Cordoned))
}

impl ClassLedger {
    /// Whether the books can follow what becomes of a node, as far as that can be said beforehand.
    pub(crate) fn follows(&self, cluster: &Cluster, policy: &Policy, turn: Turn) -> bool {
        let empty = |node: NodeSlot| {
            let record = cluster.node_record(node);
            record.is_some_and(|record| record.residents.is_empty() && record.incoming.is_empty())
        };
        let units_follow = || {
            self.lists.is_empty()
                && !self.bonds.rest_on_units()
                && self.units.tiers.iter().all(|tier| tier.count < tier.len())
                && turn.node.is_none_or(empty)
        };
        // All but VMs with places of their own are in the books.
        let all_covered = || self.concern.left_out.iter().all(|vm| self.lists.has(*vm));
        let is_for_a_verdict = self.broken
            || turn.concerns(NodeState::Unreachable)
            || (policy.maintenance_uses_tolerance && turn.concerns(NodeState::Maintenance))
            || (turn.changes_takers() && counts_takers(cluster))
            || (turn.closes() && turn.node.is_some_and(|node| self.lists.use_node(node)));
        !is_for_a_verdict && all_covered() && (!turn.changes_units() || units_follow())
    }

    /// Whether the class holds after what becomes of a node for all that the books say; claims are moved off one that closes.
    /// `false` means that they do not know. The books balance in any case.
    pub(crate) fn bears(&mut self, cluster: &Cluster, policy: &Policy, turn: Turn) -> bool {
        if !self.follows(cluster, policy, turn) {
            return false;
        }
        let Some(node) = turn.node.filter(|_| turn.closes()) else { return true };
        let Some((at, key)) = self.place_of(node) else { return true };
        let cleared = self.clear(cluster, at, node);
        if let Some(bank) = self.banks.get_mut(at) {
            bank.room.insert(node, key, &self.lists.free(cluster, node));
        }
        cleared
    }

    /// After what has become of a node that the books follow.
    pub(crate) fn turned(&mut self, cluster: &Cluster, policy: &Policy, turn: Turn) {
        let Some(node) = turn.node else { return };
        self.broken |= turn.changes_units() && !self.follow_units(cluster, policy);
        self.bank_of.grow_to(node, &NO_BANK);
        self.most.grow_to(node);
        if turn.closes() {
            if let Some((at, _)) = self.place_of(node) {
                self.broken |= !self.clear(cluster, at, node);
            }
        }
        if turn.opens() {
            self.open(cluster, node);
        }
        if turn.will.is_none() {
            self.bank_of[node] = NO_BANK;
        }
    }

    /// The bank where a node is a target, and its place there.
    fn place_of(&self, node: NodeSlot) -> Option<(usize, RoomKey)> {
        let at = to_usize(*self.bank_of.lookup(node)?);
        Some((at, self.banks.get(at)?.room.key_of(node)?))
    }

    /// Takes a node out of its bank, and moves all claims off it. `false`: some stay.
    fn clear(&mut self, cluster: &Cluster, at: usize, node: NodeSlot) -> bool {
        if let Some(bank) = self.banks.get_mut(at) {
            bank.room.remove(node);
        }
        self.move_off(cluster, (at, node), &[], &|_| true)
    }

    fn open(&mut self, cluster: &Cluster, node: NodeSlot) {
        if self.bank_of[node] == NO_BANK {
            self.bank_of[node] = self.bank_for(cluster, node);
        }
        let free = self.lists.free(cluster, node);
        if let Some(bank) = self.banks.get_mut(to_usize(self.bank_of[node])) {
            // It is empty, or nearly so: among the largest holes, which are filled last.
            let last = bank.room.keyed().last().map_or(0, |(key, _)| key);
            bank.room.insert(node, last.saturating_add(1), &free);
        }
    }

    /// The bank of a node that has none yet.
    fn bank_for(&self, cluster: &Cluster, node: NodeSlot) -> u32 {
        if self.bonds.have_colours() {
            return NO_BANK;
        }
        let mut levels = self.respected.clone();
        levels.extend(self.units.tiers.iter().map(|tier| tier.level));
        let is_near = |other: NodeSlot| {
            levels.iter().any(|level| cluster.levels.domain(*level, other) == cluster.levels.domain(*level, node))
        };
        let banked = self.bank_of.enumerate().filter(|(_, bank)| **bank != NO_BANK);
        let mut near = banked.filter(|(other, _)| is_near(*other)).map(|(_, bank)| *bank);
        match near.next() {
            Some(bank) if near.all(|other| other == bank) => bank,
            Some(_) => NO_BANK,
            None => (0..to_u32(self.banks.len())).min_by_key(|bank| self.len_of(*bank)).unwrap_or(NO_BANK),
        }
    }

    fn len_of(&self, bank: u32) -> usize {
        self.banks.get(to_usize(bank)).map_or(0, |bank| bank.room.len())
    }

    /// Takes in which nodes can fail now. `false`: it is another class then.
    fn follow_units(&mut self, cluster: &Cluster, policy: &Policy) -> bool {
        let Ok(units) = Units::new(cluster, policy, &self.class) else { return false };
        let count = |tier: &Tier| (tier.level, tier.count);
        if !units.tiers.iter().map(count).eq(self.units.tiers.iter().map(count)) {
            return false;
        }
        for bank in &mut self.banks {
            let Some((old, new)) = self.units.tiers.get(bank.tier).zip(units.tiers.get(bank.tier)) else {
                return false;
            };
            bank.claims.renumber(
                new.first,
                new.units().map(|unit| {
                    let was = |node: &NodeSlot| old.unit_of.lookup(*node).copied().filter(|unit| *unit != NO_UNIT);
                    units.nodes(unit).iter().find_map(was)
                }),
            );
        }
        self.units = units;
        true
    }
}
