//! Which rules tie different units together so that no plan per unit can speak for them, where plans are for losses at once.
//!
//! Uses `cluster` (rules), `guarantee::{units, field}`. Used by `pairs`; for banks see `bonds`.
//!
//! Only required rules bind, and of those `confine` and `exclude` are part of where a VM may go. Of the others, one whose
//! kind judges each domain by itself (`separate`, with `sides` or without) ties units together only where two of their plans
//! put members into one domain. A rule of any other kind ties together all units with a member, and is harmless where there
//! is only one such unit.

use super::field::{Field, MemberIx};
use super::units::{NO_UNIT, UnitIx, Units};
use crate::cluster::{Cluster, RuleBody, Strength};
use crate::dense::IdVec;
use crate::ids::{LevelIx, RuleSlot, VmSlot};
use crate::restart::Concern;
use alloc::vec::Vec;

/// A rule that has members on more than one unit of some tier.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// `None`: what ties them is that a VM needs another one which is left out.
    pub(crate) rule: Option<RuleSlot>,
    /// The units with a member that the rule ties together, sorted; of one tier or several.
    pub(crate) units: Vec<UnitIx>,
    /// The level whose domains it judges one by one; `None` if it ties its units together whatever the domains.
    pub(crate) each_domain_of: Option<LevelIx>,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(crate) struct Ties {
    pub(crate) spans: Vec<Span>,
}

impl Ties {
    pub(crate) fn new(cluster: &Cluster, units: &Units, field: &Field, concern: &Concern) -> Self {
        if cluster.rule_count() == 0 && concern.left_out.is_empty() {
            return Self::default();
        }
        let mut member_of: IdVec<VmSlot, Option<MemberIx>> = IdVec::filled(None, cluster.vm_slots_len());
        for member in field.members() {
            member_of[field.vms[member]] = Some(member);
        }
        let mut ties = Self::default();
        for rule in cluster.rules() {
            let slot = rule.id().slot;
            let Some(record) = cluster.rule_record(slot).filter(|rule| rule.strength == Strength::Required) else {
                continue;
            };
            let each_domain_of = match &record.body {
                RuleBody::Place { .. } => continue,
                RuleBody::Separate { level, .. } | RuleBody::Sides { level, .. } => Some(*level),
                RuleBody::Together { .. } | RuleBody::Spread { .. } | RuleBody::Follow { .. } => None,
            };
            let leader = match &record.body {
                RuleBody::Follow { leader } => Some(*leader),
                _ => None,
            };
            let all = record.members.iter().copied().chain(leader);
            let mut spanned: Vec<UnitIx> = Vec::new();
            let mut concerned = false;
            for vm in all {
                let member = member_of[vm];
                concerned |= member.is_some();
                // Of a kind that is judged domain by domain a member that is not placed again only makes room.
                if member.is_none() && each_domain_of.is_some() {
                    continue;
                }
                let Some(vm) = cluster.vm_record(vm).filter(|vm| vm.on) else { continue };
                for node in vm.node.into_iter().chain(vm.migrating_to) {
                    spanned.extend(units.tiers.iter().map(|tier| tier.unit_of[node]).filter(|unit| *unit != NO_UNIT));
                }
            }
            spanned.sort_unstable();
            spanned.dedup();
            let several = units.tiers.iter().any(|tier| spanned.iter().filter(|unit| tier.holds(**unit)).count() > 1);
            if concerned && several {
                ties.spans.push(Span { rule: Some(slot), units: spanned, each_domain_of });
            }
        }
        ties.add_needs(cluster, units, &member_of, concern);
        ties
    }

    /// VMs that need one which nothing could take: they cannot be placed where both are displaced.
    fn add_needs(
        &mut self,
        cluster: &Cluster,
        units: &Units,
        member_of: &IdVec<VmSlot, Option<MemberIx>>,
        concern: &Concern,
    ) {
        let units_of = |vm: VmSlot| {
            let home = cluster.vm_record(vm).and_then(|record| record.node);
            home.into_iter().flat_map(|node| units.tiers.iter().map(move |tier| tier.unit_of[node]))
        };
        for needed in &concern.left_out {
            let dependents = cluster.vm_record(*needed).map_or(&[][..], |record| &record.dependents);
            for vm in dependents {
                if member_of[*vm].is_none() || !cluster.gives_up_on(*vm, *needed) {
                    continue;
                }
                let mut spanned: Vec<UnitIx> =
                    units_of(*vm).chain(units_of(*needed)).filter(|unit| *unit != NO_UNIT).collect();
                spanned.sort_unstable();
                spanned.dedup();
                if spanned.len() > 1 {
                    self.spans.push(Span { rule: None, units: spanned, each_domain_of: None });
                }
            }
        }
    }
}
