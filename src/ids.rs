//! Identifiers: generational ids for callers, dense slots for the engine.
//!
//! Uses `dense`. Used by everything.
//!
//! A public id is a slot and a generation: the slot of a removed object is used again under another generation, so
//! a stale id is an error and never another object. The engine works on the slots alone.

use crate::dense::dense_id;

dense_id! {
    /// Slot of a node: the index of its rows in every dense array.
    pub(crate) struct NodeSlot;
    /// Slot of a VM.
    pub(crate) struct VmSlot;
    /// Slot of a rule.
    pub(crate) struct RuleSlot;
    /// Position of a level, widest first; the last one is always `node`.
    pub(crate) struct LevelIx;
    /// A fault domain at some level, or a node that is a domain of its own there (see `cluster::levels`).
    pub(crate) struct DomainKey;
}

/// Declares a public generational id over a slot type.
macro_rules! public_id {
    ($($(#[$meta:meta])* $name:ident($slot:ident);)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name {
            pub(crate) slot: $slot,
            pub(crate) generation: u32,
        }

        impl $name {
            /// The id as one number, for callers that keep it outside (a C program, a database row).
            #[must_use]
            pub fn to_bits(self) -> u64 {
                (u64::from(self.generation) << 32) | u64::from(self.slot.0)
            }

            /// The id that [`to_bits`](Self::to_bits) gave. Any number is accepted: one that names no object is
            /// refused by the operation it is used with.
            #[must_use]
            pub fn from_bits(bits: u64) -> Self {
                let [low, high] = [bits & u64::from(u32::MAX), bits >> 32];
                Self {
                    slot: $slot(u32::try_from(low).unwrap_or(u32::MAX)),
                    generation: u32::try_from(high).unwrap_or(u32::MAX),
                }
            }
        }
    )*};
}

public_id! {
    /// A node of a cluster. Stale after the node's removal.
    NodeId(NodeSlot);
    /// A VM of a cluster. Stale after the VM's removal.
    VmId(VmSlot);
    /// A rule of a cluster. Stale after the rule's removal.
    RuleId(RuleSlot);
}
