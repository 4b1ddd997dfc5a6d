//! VMs tied to one domain of a level, as a graph: two VMs have an edge where one rule alone puts them into one domain.
//!
//! Uses `cluster` and `conflicts::domains`. Used by `conflicts::find`.
//!
//! A `together` rule ties each of its members to each other, a `follow` rule each follower to the leader. Sharing a domain
//! is an equivalence, so whoever a chain of ties connects is in one domain, and that is all the proof that a rule which
//! keeps two of them apart cannot hold. A shortest chain has no VM too many: were one left out, its ends would be tied by
//! nothing that is left.

use super::Core;
use super::domains::Domains;
use crate::ids::{RuleSlot, VmSlot};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

/// See the module documentation.
pub(super) struct Ties {
    rules_of: BTreeMap<VmSlot, Vec<RuleSlot>>,
    tied: BTreeMap<RuleSlot, Tie>,
    /// Of each tied VM, one that stands for its group.
    groups: BTreeMap<VmSlot, VmSlot>,
}

struct Tie {
    vms: Vec<VmSlot>,
    /// The leader, if it is a `follow` rule.
    leader: Option<VmSlot>,
}

/// A walk from a VM: for every VM reached the one before it, and the rule between.
struct Walk {
    came: BTreeMap<VmSlot, Option<(VmSlot, RuleSlot)>>,
}

impl Walk {
    /// The way from the start to a VM: the VMs, both ends included, and the rule between each and the next.
    fn to(&self, vm: VmSlot) -> (Vec<VmSlot>, Vec<RuleSlot>) {
        let (mut vms, mut rules) = (alloc::vec![vm], Vec::new());
        let mut at = vm;
        while let Some((before, rule)) = self.came.get(&at).copied().flatten() {
            vms.push(before);
            rules.push(rule);
            at = before;
        }
        vms.reverse();
        rules.reverse();
        (vms, rules)
    }
}

impl Ties {
    /// The ties of rules, each with the members that count and, of a `follow` rule, the leader among them.
    pub(super) fn new(rules: Vec<(RuleSlot, Vec<VmSlot>, Option<VmSlot>)>) -> Self {
        let mut ties = Self { rules_of: BTreeMap::new(), tied: BTreeMap::new(), groups: BTreeMap::new() };
        for (rule, vms, leader) in rules {
            for vm in &vms {
                ties.rules_of.entry(*vm).or_default().push(rule);
            }
            ties.tied.insert(rule, Tie { vms, leader });
        }
        let vms: Vec<VmSlot> = ties.rules_of.keys().copied().collect();
        for vm in vms {
            if !ties.groups.contains_key(&vm) {
                for member in ties.all_of(vm).0 {
                    ties.groups.insert(member, vm);
                }
            }
        }
        ties
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The VM that stands for the group of a tied VM.
    pub(super) fn group(&self, vm: VmSlot) -> Option<VmSlot> {
        self.groups.get(&vm).copied()
    }

    /// The groups, and in them the VMs, by name.
    pub(super) fn groups(&self, domains: &Domains<'_>) -> Vec<Vec<VmSlot>> {
        let mut groups: BTreeMap<VmSlot, Vec<VmSlot>> = BTreeMap::new();
        for (vm, group) in &self.groups {
            groups.entry(*group).or_default().push(*vm);
        }
        let mut groups: Vec<Vec<VmSlot>> = groups.into_values().collect();
        for group in &mut groups {
            domains.sort_vms(group);
        }
        groups.sort_by_cached_key(|group| group.first().map(|vm| domains.rank(*vm)));
        groups
    }

    /// Everyone tied to a VM, itself included, and by which rules.
    pub(super) fn all_of(&self, vm: VmSlot) -> (Vec<VmSlot>, Vec<RuleSlot>) {
        let (mut vms, mut rules) = (BTreeSet::from([vm]), BTreeSet::new());
        let mut open = alloc::vec![vm];
        while let Some(vm) = open.pop() {
            for rule in self.rules_of.get(&vm).into_iter().flatten().filter(|rule| rules.insert(**rule)) {
                let tied = self.tied.get(rule).map_or(&[][..], |tie| &tie.vms);
                open.extend(tied.iter().filter(|other| vms.insert(**other)));
            }
        }
        (vms.into_iter().collect(), rules.into_iter().collect())
    }

    /// Goes from a VM along ties, the nearest first, until told to stop.
    fn walk(&self, from: VmSlot, mut stop: impl FnMut(VmSlot) -> bool) -> Walk {
        let mut walk = Walk { came: BTreeMap::from([(from, None)]) };
        let mut open = VecDeque::from([from]);
        let mut used = BTreeSet::new();
        while let Some(vm) = open.pop_front() {
            if stop(vm) {
                break;
            }
            for rule in self.rules_of.get(&vm).into_iter().flatten() {
                let Some(tie) = self.tied.get(rule) else { continue };
                // A follower is tied to its leader alone.
                let leader = tie.leader.filter(|leader| *leader != vm);
                let others = match &leader {
                    Some(leader) => core::slice::from_ref(leader),
                    None if used.insert(*rule) => &tie.vms,
                    None => &[],
                };
                for other in others {
                    walk.came.entry(*other).or_insert_with(|| {
                        open.push_back(*other);
                        Some((vm, *rule))
                    });
                }
            }
        }
        walk
    }

    /// A chain between two of these VMs, all tied, that are of different parts, with no VM and no rule too many; none if all
    /// are of one part.
    pub(super) fn chain(&self, parts: &[(VmSlot, usize)]) -> Option<Core> {
        let (from, part) = parts.first()?;
        let part_of: BTreeMap<VmSlot, usize> = parts.iter().copied().collect();
        let apart = |vm: VmSlot, part: usize| part_of.get(&vm).is_some_and(|other| *other != part);
        let mut goal = None;
        let walk = self.walk(*from, |vm| {
            goal = Some(vm).filter(|vm| apart(*vm, *part));
            goal.is_some()
        });
        let goal = goal?;
        let (mut vms, mut rules) = walk.to(goal);
        // From the last VM on that is of another part than the goal.
        let part = part_of.get(&goal).copied()?;
        let start = vms.iter().rposition(|vm| apart(*vm, part))?;
        vms.drain(..start);
        rules.drain(..start);
        self.merge(&vms, &mut rules);
        Some(Core { rules, vms })
    }

    /// Along a shortest chain a rule ties at most two pairs: a `follow` rule its leader to both sides. Where it does, no other
    /// rule is needed for either.
    fn merge(&self, vms: &[VmSlot], rules: &mut [RuleSlot]) {
        let leads_to = |rule: RuleSlot, leader: VmSlot, other: VmSlot| {
            self.tied.get(&rule).is_some_and(|tie| tie.leader == Some(leader))
                && self.rules_of.get(&other).is_some_and(|rules| rules.contains(&rule))
        };
        // The rules before and after each inner VM.
        for at in 1..rules.len() {
            if let (Some([before, own]), Some([_, vm, next])) = (pair(rules, at), triple(vms, at)) {
                if leads_to(*before, vm, next) {
                    *own = *before;
                }
            }
        }
        for at in (1..rules.len()).rev() {
            if let (Some([before, own]), Some([last, vm, _])) = (pair(rules, at), triple(vms, at)) {
                if leads_to(*own, vm, last) {
                    *before = *own;
                }
            }
        }
    }

    /// Whether VMs and rules hang together by one way only: without any one of them, but for the ends, some are tied no more.
    pub(super) fn is_tree(&self, core: &Core) -> bool {
        let vms: BTreeSet<VmSlot> = core.vms.iter().copied().collect();
        let ties = |rule: &RuleSlot| {
            let tied = self.tied.get(rule).map_or(&[][..], |tie| &tie.vms);
            tied.iter().filter(|vm| vms.contains(vm)).count().saturating_sub(1)
        };
        core.rules.iter().map(ties).fold(1, usize::saturating_add) == vms.len()
    }

    /// So many of these VMs, all tied, that lie near each other, and the chains between them.
    pub(super) fn near(&self, members: &[(VmSlot, usize)], count: usize) -> Option<Core> {
        let (from, _) = *members.first()?;
        let wanted: BTreeSet<VmSlot> = members.iter().map(|(vm, _)| *vm).collect();
        let mut found: Vec<VmSlot> = Vec::new();
        let walk = self.walk(from, |vm| {
            found.extend(Some(vm).filter(|vm| wanted.contains(vm)));
            found.len() >= count
        });
        let mut core = Core { rules: Vec::new(), vms: Vec::new() };
        for vm in found {
            let (vms, rules) = walk.to(vm);
            core.vms.extend(vms);
            core.rules.extend(rules);
        }
        Some(core)
    }
}

/// The rules before and after the VM at a place.
fn pair(rules: &mut [RuleSlot], at: usize) -> Option<&mut [RuleSlot; 2]> {
    rules.get_mut(at.checked_sub(1)?..)?.first_chunk_mut()
}

/// The VM at a place between its neighbours.
fn triple(vms: &[VmSlot], at: usize) -> Option<[VmSlot; 3]> {
    vms.get(at.checked_sub(1)?..)?.first_chunk().copied()
}
