//! What a restart plan asks first about every VM: a few bytes each, side by side.
//!
//! Uses the records of `vms` and `rules`, from which everything here is derived; every edit of one brings the facts along.
//! Read by `restart` and `guarantee`, which for most VMs need not touch the record then.

use super::{Cluster, Priority, RestartClass, VmRecord};
use crate::dense::IdVec;
use crate::ids::{NodeSlot, VmSlot};

/// See the module documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct VmFacts {
    /// Effective class and priority.
    pub(crate) restart: RestartClass,
    pub(crate) priority: Priority,
    pub(crate) traits: VmTraits,
    /// Part of a hash of the name: it orders VMs that are alike.
    pub(crate) key: u32,
    /// Where it runs, whatever the node's state; [`NO_HOME`] if it is off or waits without a node.
    pub(crate) home: NodeSlot,
}

/// No node.
pub(crate) const NO_HOME: NodeSlot = NodeSlot(u32::MAX);

/// What is special about a VM, or about some of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct VmTraits(u8);

impl VmTraits {
    /// It is a member of rules, or leads some.
    pub(crate) const RULES: Self = Self(1);
    /// It starts after others.
    pub(crate) const EDGES: Self = Self(2);
    /// It requires labels, or has a list of nodes.
    pub(crate) const LIMITS: Self = Self(4);
    /// It is being moved.
    pub(crate) const MIGRATES: Self = Self(8);
    /// It counts for more than its own class and priority say.
    pub(crate) const PROMOTED: Self = Self(16);
    /// Required `confine` or `exclude` rules say where it may be.
    pub(crate) const PLACED: Self = Self(32);

    /// These and those.
    #[inline]
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of those is among these.
    #[inline]
    pub(crate) const fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }
}

impl VmFacts {
    /// What holds of a slot without a VM.
    pub(super) const NONE: Self =
        Self { restart: RestartClass::Never, priority: Priority(0), traits: VmTraits(0), key: 0, home: NO_HOME };

    /// What a record says. `placed`: see [`VmTraits::PLACED`].
    fn of(record: &VmRecord, placed: bool) -> Self {
        let (restart, priority) = record.effective;
        let mut traits = VmTraits::default();
        for (holds, this) in [
            (!record.rules.is_empty() || !record.leads.is_empty(), VmTraits::RULES),
            (!record.starts_after.is_empty(), VmTraits::EDGES),
            (!record.requires.is_empty() || record.allowed_nodes.is_some(), VmTraits::LIMITS),
            (record.migrating_to.is_some(), VmTraits::MIGRATES),
            (record.effective > (record.restart, record.priority), VmTraits::PROMOTED),
            (placed, VmTraits::PLACED),
        ] {
            if holds {
                traits = traits.with(this);
            }
        }
        let key = u32::try_from(record.key >> u32::BITS).unwrap_or(0);
        let home = record.node.filter(|_| record.on).unwrap_or(NO_HOME);
        Self { restart, priority, traits, key, home }
    }
}

impl Cluster {
    #[inline]
    pub(crate) fn facts(&self, vm: VmSlot) -> VmFacts {
        self.facts[vm]
    }

    /// The facts of all VM slots; slots beyond never held a VM that runs or waits.
    pub(crate) fn all_facts(&self) -> &IdVec<VmSlot, VmFacts> {
        &self.facts
    }

    /// Where a VM with these facts is being moved to. Its record is looked at only if it is.
    #[inline]
    pub(crate) fn moving_to(&self, vm: VmSlot, facts: VmFacts) -> Option<NodeSlot> {
        if facts.traits.any(VmTraits::MIGRATES) { self.vms.get(vm)?.migrating_to } else { None }
    }

    /// Brings the facts of a VM in line with its record and its rules.
    pub(super) fn refresh_facts(&mut self, vm: VmSlot) {
        self.facts.grow_to(vm, &VmFacts::NONE);
        self.facts[vm] = self.vms.get(vm).map_or(VmFacts::NONE, |record| self.facts_of(record));
    }

    /// What the facts of a VM have to be.
    pub(super) fn facts_of(&self, record: &VmRecord) -> VmFacts {
        VmFacts::of(record, self.place_rules(record).next().is_some())
    }
}
