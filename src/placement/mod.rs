//! The one solver: these VMs, this room, these rules -> assignment and bounds.

pub(crate) mod assignment;
pub(crate) mod bounds;
pub(crate) mod budget;
pub(crate) mod cover;
pub(crate) mod decide;
pub(crate) mod exact;
pub(crate) mod greedy;
pub(crate) mod improve;
pub(crate) mod instance;
pub(crate) mod matching;
pub(crate) mod problem;
pub(crate) mod rules;
pub(crate) mod solve;
pub(crate) mod symmetry;

#[cfg(test)]
mod brute_force;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod packing;
