//! `percentage`: so much of every kind is unreserved, in per cent of the whole.
//!
//! Uses `cluster`, `reserves::{status, tally}`. vSphere's "cluster resource percentage": vSphere Availability 8.0,
//! "Cluster Resources Percentage Admission Control": free = floor(100 * (total - reserved) / total), refused when free is
//! below the configured integer on either resource.
//!
//! *Automatic* per cents are those of the loss of k nodes. vSphere does not publish the formula: of its sources one speaks
//! of the average host's share, and the figures that it shows are those of the largest hosts per resource; both can be
//! asked for. They are rounded up (one host of eight is 13 %), because a reserve rounded down would not hold what it is
//! named after.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: sums of capacities fit u64 (the cluster checks it), sums of reservations with floors are below \
              2^96, per cents below 2^32: all products are below 2^128"
)]

use super::status::Percentage;
use super::tally::Tally;
use super::{ReserveError, by_kind};
use crate::cluster::Cluster;
use crate::policy::Percent;
use alloc::vec::Vec;

#[derive(Clone, Debug)]
pub(super) struct PercentageCounter {
    required: Required,
    /// `per_vm` included.
    floor: Vec<u64>,
    nodes: u32,
    total: Vec<u128>,
    used: Vec<u128>,
}

#[derive(Clone, Debug)]
enum Required {
    /// Per kind; `None`: not asked for.
    Given(Vec<Option<u32>>),
    /// As the k largest nodes have, kind by kind.
    Largest(u32, Vec<Tally>),
    /// As k average nodes have.
    Average(u32),
}

impl PercentageCounter {
    pub(super) fn new(cluster: &Cluster, percent: &Percent, floor: Vec<u64>) -> Result<Self, ReserveError> {
        let kinds = cluster.kinds().len();
        let required = match percent {
            Percent::Given(given) => Required::Given(by_kind(cluster, given)?),
            Percent::Auto { largest: true, failures } => {
                Required::Largest(*failures, alloc::vec![Tally::default(); kinds])
            }
            Percent::Auto { largest: false, failures } => Required::Average(*failures),
        };
        Ok(Self { required, floor, nodes: 0, total: alloc::vec![0; kinds], used: alloc::vec![0; kinds] })
    }

    pub(super) fn add_vm(&mut self, reservation: &[u64]) {
        for ((used, amount), floor) in self.used.iter_mut().zip(reservation).zip(&self.floor) {
            *used += u128::from(*amount.max(floor));
        }
    }

    pub(super) fn remove_vm(&mut self, reservation: &[u64]) {
        for ((used, amount), floor) in self.used.iter_mut().zip(reservation).zip(&self.floor) {
            *used -= u128::from(*amount.max(floor));
        }
    }

    pub(super) fn add_node(&mut self, allocatable: &[u64]) {
        self.nodes += 1;
        for (total, amount) in self.total.iter_mut().zip(allocatable) {
            *total += u128::from(*amount);
        }
        if let Required::Largest(_, tallies) = &mut self.required {
            tallies.iter_mut().zip(allocatable).for_each(|(tally, amount)| tally.add(*amount));
        }
    }

    pub(super) fn remove_node(&mut self, allocatable: &[u64]) {
        self.nodes -= 1;
        for (total, amount) in self.total.iter_mut().zip(allocatable) {
            *total -= u128::from(*amount);
        }
        if let Required::Largest(_, tallies) = &mut self.required {
            tallies.iter_mut().zip(allocatable).for_each(|(tally, amount)| tally.remove(*amount));
        }
    }

    /// The per cent asked for, kind by kind; `None` where nothing is: the kind is not named, or there is none of it.
    fn required(&self) -> impl Iterator<Item = Option<u32>> {
        let of = |(kind, total): (usize, &u128)| match &self.required {
            _ if *total == 0 => None,
            Required::Given(given) => given.get(kind).copied().flatten(),
            Required::Largest(failures, tallies) => {
                let lost = tallies.get(kind).map_or(0, |tally| tally.top(*failures));
                Some(up(100 * lost, *total))
            }
            Required::Average(failures) => {
                Some(up(100 * u128::from((*failures).min(self.nodes)), u128::from(self.nodes)))
            }
        };
        self.total.iter().enumerate().map(of)
    }

    /// What is missing of each kind: that the truncated per cent is at least p, an integer, says exactly that free * 100
    /// is at least p * total, so what must be free is p per cent of the total, rounded up.
    ///
    /// A kind that is asked for with 0 per cent is never short, however much more is reserved than there is.
    pub(super) fn shortfalls(&self) -> impl Iterator<Item = u128> {
        self.required().zip(&self.total).zip(&self.used).map(|((required, total), used)| match required {
            None | Some(0) => 0,
            Some(percent) => (keep(percent, *total) + used).saturating_sub(*total),
        })
    }

    /// How many more VMs of a reservation there can be before more is missing.
    pub(super) fn most_more(&self, reservation: &[u64]) -> Option<u64> {
        let kinds = self.required().zip(&self.total).zip(&self.used).zip(reservation.iter().zip(&self.floor));
        let bounds = kinds.filter_map(|(((required, total), used), (amount, floor))| {
            let percent = required.filter(|percent| *percent > 0)?;
            let left = total.saturating_sub(keep(percent, *total) + used);
            left.checked_div(u128::from(*amount.max(floor)))
        });
        bounds.min().map(|most| u64::try_from(most).unwrap_or(u64::MAX))
    }

    pub(super) fn figures(&self, cluster: &Cluster) -> Vec<Percentage> {
        self.required()
            .zip(self.shortfalls())
            .zip(cluster.kinds())
            .zip(self.total.iter().zip(&self.used))
            .filter(|((_, _), (total, _))| **total > 0)
            .map(|(((required, shortfall), kind), (total, used))| Percentage {
                kind: kind.name.clone(),
                total: *total,
                used: *used,
                free_percent: (100 * total.saturating_sub(*used))
                    .checked_div(*total)
                    .and_then(|percent| u32::try_from(percent).ok())
                    .unwrap_or(0),
                required_percent: required,
                reserve: required.map_or(0, |percent| keep(percent, *total)),
                shortfall,
            })
            .collect()
    }
}

/// What must be free for so many per cent.
fn keep(percent: u32, total: u128) -> u128 {
    (u128::from(percent) * total).div_ceil(100)
}

/// A quotient rounded up.
fn up(part: u128, whole: u128) -> u32 {
    if whole == 0 { 0 } else { u32::try_from(part.div_ceil(whole)).unwrap_or(u32::MAX) }
}
