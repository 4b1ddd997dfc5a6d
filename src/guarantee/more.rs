//! How many more VMs a class can bear at most, and which VMs it cannot cover.
//!
//! Uses `guarantee::{units, uncoverable, field, prices}`. Used by `capacity`, and by
//! `admission` for what cannot be started anywhere.

use super::error::VerifyError;
use super::field::Field;
use super::prices::{Prices, Released, Tightest};
use super::uncoverable::leave_out;
use super::units::Units;
use crate::cluster::Cluster;
use crate::ids::{VmId, VmSlot};
use crate::parallel::Threads;
use crate::policy::{FailureClass, Policy, Preemption};
use crate::restart::Concern;

/// A proved bound on how many more VMs that the class concerns, each of which takes at least `need` where it runs and to
/// restart it, can run with the class still held; `None`: nothing is known. `like`: a VM that they share all limits with.
pub(crate) fn most_more(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
    need: &[u64],
    like: Option<VmId>,
) -> Result<Option<u128>, VerifyError> {
    let units = Units::new(cluster, policy, class)?;
    let mut concern = Concern { min_priority: class.min_priority, left_out: alloc::vec::Vec::new() };
    let (_, census) = leave_out(cluster, &units, &mut concern, Threads::ONE);
    let field = Field::new(cluster, &units, &concern, census, Threads::ONE);
    let released = Released::new(cluster, policy.preemption != Preemption::Never);
    Ok(Prices::new(cluster, &units, &field, released, Tightest::default()).most_more(need, like))
}

/// The VMs that some failure of a class leaves without any node that could take them, by slot.
pub(crate) fn uncoverable_of(
    cluster: &Cluster,
    policy: &Policy,
    class: &FailureClass,
) -> Result<alloc::vec::Vec<VmSlot>, VerifyError> {
    let units = Units::new(cluster, policy, class)?;
    let mut concern = Concern { min_priority: class.min_priority, left_out: alloc::vec::Vec::new() };
    let _ = leave_out(cluster, &units, &mut concern, Threads::ONE);
    Ok(concern.left_out)
}
