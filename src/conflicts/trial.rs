//! What of a set of rules and VMs that has no placement is needed for it to have none.
//!
//! Uses `placement` and `conflicts::domains`. Used by `conflicts::find`.

use super::Core;
use super::domains::Domains;
use crate::cluster::node_set::set_bit;
use crate::cluster::{RuleBody, Strength};
use crate::dense::{DenseId, IdVec, Rows, to_u32};
use crate::ids::{RuleSlot, VmSlot};
use crate::placement::budget::Budget;
use crate::placement::decide::{Decision, decide};
use crate::placement::problem::{Constraint, ConstraintIx, EligibleIx, EligibleNodes, ItemIx, Membership, Problem};
use crate::placement::solve::Scratch;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// What all trials of one search for conflicts may cost, in node evaluations.
const WORK: u64 = 20_000_000;
/// What one trial may cost.
const TRIAL_WORK: u64 = 500_000;

pub(super) struct Trial {
    scratch: Scratch,
    left: u64,
}

impl Default for Trial {
    fn default() -> Self {
        Self { scratch: Scratch::default(), left: WORK }
    }
}

impl Trial {
    /// Whether it is proved that a core has no placement, or that it has one; `None` if work ran out. VMs hold room
    /// together only where `joint` says so.
    fn has_placement(&mut self, domains: &Domains<'_>, core: &Core, joint: bool) -> Option<bool> {
        let items = core.vms.len();
        self.left = self.left.checked_sub(building(domains, core))?;
        let mut problem = Problem {
            nodes: &domains.nodes,
            room: &domains.room,
            levels: domains.cluster.levels.table(),
            need: Rows::new(domains.cluster.kinds().len()),
            class: IdVec::filled(0, items),
            classes: 1,
            eligible: IdVec::new(),
            eligible_sets: IdVec::new(),
            constraints: IdVec::new(),
            member_of: IdVec::filled(SmallVec::new(), items),
            prerequisites: IdVec::filled(SmallVec::new(), items),
        };
        problem.need.reset(domains.cluster.kinds().len(), items);
        let chosen: BTreeSet<RuleSlot> = core.rules.iter().copied().collect();
        for (item, vm) in core.vms.iter().enumerate() {
            let item = ItemIx::from_index(item);
            if joint {
                problem.need[item].copy_from_slice(&domains.need(*vm));
            }
            enter_eligible(domains, &chosen, *vm, &mut problem);
        }
        enter_rules(domains, core, &mut problem);
        let mut budget = Budget::new(self.left.min(TRIAL_WORK), None);
        let decision = decide(&problem, &mut self.scratch, &mut budget);
        self.left = self.left.saturating_sub(budget.spent());
        match decision {
            Ok(Decision::Placed(_)) => Some(true),
            Ok(Decision::Impossible) => Some(false),
            _ => None,
        }
    }

    /// Removes from a core without placement whatever can go: chunks first, then one by one. With it, whether every
    /// single rule and VM that is left is proved to be needed.
    pub(super) fn minimise(&mut self, domains: &Domains<'_>, mut core: Core, joint: bool) -> (Core, bool) {
        let mut chunk = core.rules.len().max(core.vms.len()).max(2);
        while chunk > 1 {
            chunk = chunk.div_ceil(2);
            self.drop_chunks(domains, &mut core, joint, chunk);
        }
        // A rule that could not go beside some VM may go without it.
        loop {
            let before = core.clone();
            let proved = self.drop_chunks(domains, &mut core, joint, 1);
            if core == before {
                return (core, proved);
            }
        }
    }

    /// Tries to do without each run of so many VMs, then rules; whether all that stay are proved to be needed.
    fn drop_chunks(&mut self, domains: &Domains<'_>, core: &mut Core, joint: bool, chunk: usize) -> bool {
        let vms = self.drop_from(domains, core, joint, chunk, |core| &mut core.vms);
        let rules = self.drop_from(domains, core, joint, chunk, |core| &mut core.rules);
        vms && rules
    }

    /// The same of one of its lists.
    fn drop_from<T>(
        &mut self,
        domains: &Domains<'_>,
        core: &mut Core,
        joint: bool,
        chunk: usize,
        list: impl Fn(&mut Core) -> &mut Vec<T>,
    ) -> bool {
        let mut proved = true;
        let mut start = 0;
        while start < list(core).len() && building(domains, core) <= self.left {
            let end = list(core).len().min(start.saturating_add(chunk));
            let mut fewer = core.clone();
            list(&mut fewer).drain(start..end);
            match self.has_placement(domains, &fewer, joint) {
                Some(false) => *core = fewer,
                answer => {
                    proved &= answer.is_some();
                    start = end;
                }
            }
        }
        proved && start >= list(core).len()
    }
}

/// What it costs to put a question to the solver, apart from the answer: several passes over who can go where.
fn building(domains: &Domains<'_>, core: &Core) -> u64 {
    let members = |rule: &RuleSlot| domains.cluster.rule_record(*rule).map_or(0, |rule| rule.members.len());
    let eligible = core.vms.len().saturating_mul(domains.nodes.len());
    let pass = core.rules.iter().map(members).fold(eligible, usize::saturating_add);
    u64::from(to_u32(pass)).saturating_mul(8)
}

fn enter_eligible(domains: &Domains<'_>, chosen: &BTreeSet<RuleSlot>, vm: VmSlot, problem: &mut Problem<'_>) {
    let mut words = Vec::new();
    for node in domains.nodes.iter().filter(|node| domains.takes(vm, Some(chosen), **node)) {
        set_bit(&mut words, *node);
    }
    let set = EligibleNodes::Bits(words);
    let known = problem.eligible_sets.enumerate().find(|(_, known)| **known == set).map(|(index, _)| index);
    let index: EligibleIx = known.unwrap_or_else(|| problem.eligible_sets.push(set));
    problem.eligible.push(index);
}

fn enter_rules(domains: &Domains<'_>, core: &Core, problem: &mut Problem<'_>) {
    let items: BTreeMap<VmSlot, ItemIx> =
        core.vms.iter().enumerate().map(|(item, vm)| (*vm, ItemIx::from_index(item))).collect();
    let item_of = |vm: &VmSlot| items.get(vm).copied();
    for slot in &core.rules {
        let rule = domains.cluster.rule_record(*slot).filter(|rule| rule.strength == Strength::Required);
        let Some(rule) = rule else { continue };
        let mut parts: Vec<(ItemIx, u32)> = rule.members.iter().filter_map(item_of).map(|item| (item, 0)).collect();
        let constraint = match &rule.body {
            RuleBody::Place { .. } => continue,
            RuleBody::Separate { level, max_per_domain } => {
                Constraint::Separate { level: *level, limit: *max_per_domain, stay: Vec::new() }
            }
            RuleBody::Sides { level, sides } => {
                parts.clear();
                for (side, vms) in (0..).zip(sides) {
                    parts.extend(vms.iter().filter_map(item_of).map(|item| (item, side)));
                }
                Constraint::Sides { level: *level, stay: Vec::new() }
            }
            RuleBody::Together { level } => Constraint::Together { level: *level, stay: Vec::new() },
            // The skew is left out: without it more is possible, never less.
            RuleBody::Spread { level, min_domains, .. } => Constraint::Spread {
                level: *level,
                min_domains: *min_domains,
                max_skew: None,
                stay: Vec::new(),
                stay_members: 0,
                counting: Vec::new(),
            },
            RuleBody::Follow { leader } => {
                let Some(leader) = item_of(leader) else { continue };
                for (_, side) in &mut parts {
                    *side = 1;
                }
                parts.push((leader, 0));
                Constraint::Follow
            }
        };
        if parts.len() < 2 {
            continue;
        }
        let constraint: ConstraintIx = problem.constraints.push(constraint);
        for (item, side) in parts {
            problem.member_of[item].push(Membership { constraint, side });
        }
    }
}
