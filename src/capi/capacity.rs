//! How many losses are survived, and how much more there is room for.
//!
//! Uses `capacity` and `answers` (the whole answer as JSON).

use super::buffer::{BufferHandle, CancelHandle, controlled, put_text};
use super::cluster::{ClusterHandle, vm_of};
use super::error::{ErrorHandle, Failure, coded, fail};
use super::handle::{guard, lend};
use super::policy::PolicyHandle;
use super::status::{LIFEBOAT_INVALID_ARGUMENT, Status};
use super::values::{Str, fill, fillable, first_version, list, list_mut, put_if, text, writable, writable_if};
use crate::answers::{Capacity, CapacityQuestion, to_text};
use crate::capacity::{
    HeadroomError, HeadroomLimit, Newcomer, headroom_controlled, largest_vm, max_tolerable_controlled,
};
use crate::cluster::Cluster;
use crate::resources::Amounts;
use alloc::string::ToString;

/// What ends the room for more VMs: what nodes have free.
pub const LIFEBOAT_LIMIT_ROOM: i32 = 0;
/// What ends the room for more VMs: a failure class of the policy.
pub const LIFEBOAT_LIMIT_TOLERATE: i32 = 1;
/// What ends the room for more VMs: a reserve of the policy.
pub const LIFEBOAT_LIMIT_RESERVE: i32 = 2;

/// How many more VMs can be started with everything kept: an interval. `size` is sizeof(lifeboat_headroom_interval).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HeadroomInterval {
    /// sizeof(lifeboat_headroom_interval), set by the caller.
    pub size: u32,
    /// What ends it: LIFEBOAT_LIMIT_*.
    pub limit: i32,
    /// Which failure class or reserve of the policy, from 0.
    pub limit_index: u32,
    /// 0.
    pub padding: u32,
    /// So many can be started, for certain.
    pub least: u64,
    /// More than so many cannot.
    pub most: u64,
}

first_version!(HeadroomInterval { .., most: u64 } = 32 | 32);

impl From<HeadroomError> for Failure {
    fn from(error: HeadroomError) -> Self {
        match error {
            HeadroomError::Verify(error) => error.into(),
            error => coded(LIFEBOAT_INVALID_ARGUMENT, error.code(), error.to_string()),
        }
    }
}

/// How many units of a level may be lost: the interval from `least` to `most`; -1 where not even no loss is survived.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_max_tolerable(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    level: Str,
    cancel: *const CancelHandle,
    least: *mut i64,
    most: *mut i64,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable_if(least)?;
        writable_if(most)?;
        let (cluster, policy) = (lend(cluster)?, lend(policy)?);
        let level = text(level)?;
        let found = controlled(cancel, |control| max_tolerable_controlled(&cluster.cluster, &policy, level, control))??;
        put_if(least, found.least.map_or(-1, i64::from))?;
        put_if(most, found.most.map_or(-1, i64::from))
    })
}

/// How many more VMs that hold so much, per kind, can be started with everything kept.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_headroom(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    demand: *const u64,
    kind_count: usize,
    cancel: *const CancelHandle,
    out: *mut HeadroomInterval,
    error: *mut *mut ErrorHandle,
) -> Status {
    more(cluster, policy, cancel, out, error, |cluster| {
        Ok(Newcomer::Shape(list(demand, kind_count, cluster.kinds().len())?.into()))
    })
}

/// How many more VMs like this one, with its limits and rules, can be started with everything kept.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_headroom_like(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    vm: Str,
    cancel: *const CancelHandle,
    out: *mut HeadroomInterval,
    error: *mut *mut ErrorHandle,
) -> Status {
    more(cluster, policy, cancel, out, error, |cluster| vm_of(cluster, text(vm)?).map(Newcomer::Like))
}

fn more(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    cancel: *const CancelHandle,
    out: *mut HeadroomInterval,
    error: *mut *mut ErrorHandle,
    newcomer: impl FnOnce(&Cluster) -> Result<Newcomer, Failure>,
) -> Status {
    guard(error, || {
        fillable(out)?;
        let (cluster, policy) = (lend(cluster)?, lend(policy)?);
        let cluster = &cluster.cluster;
        let newcomer = newcomer(cluster)?;
        let found = controlled(cancel, |control| headroom_controlled(cluster, &policy, &newcomer, control))??;
        let (limit, index) = match found.limit {
            HeadroomLimit::Room => (LIFEBOAT_LIMIT_ROOM, 0),
            HeadroomLimit::Class(at) => (LIFEBOAT_LIMIT_TOLERATE, at),
            HeadroomLimit::Reserve(at) => (LIFEBOAT_LIMIT_RESERVE, at),
        };
        let limit_index = u32::try_from(index).unwrap_or(u32::MAX);
        let (least, most) = (found.least, found.most);
        fill(out, HeadroomInterval { size: 0, limit, limit_index, padding: 0, least, most })
    })
}

/// How large one more VM of this proportion can be, with everything kept, per kind: `least` for certain (zeros if there
/// is no room), and no larger than `most`. All lists have `kind_count` places; `least` and `most` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_largest_vm(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    proportion: *const u64,
    kind_count: usize,
    cancel: *const CancelHandle,
    least: *mut u64,
    most: *mut u64,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable_if(least)?;
        writable_if(most)?;
        let (cluster, policy) = (lend(cluster)?, lend(policy)?);
        let cluster = &cluster.cluster;
        if kind_count != cluster.kinds().len() {
            return Err(fail(LIFEBOAT_INVALID_ARGUMENT, "the lists need as many places as there are kinds"));
        }
        let shape: Amounts = list(proportion, kind_count, kind_count)?.into();
        let found = controlled(cancel, |control| largest_vm(cluster, &policy, &shape, control))??;
        let sure = found.least.map_or_else(Amounts::default, |(amounts, _)| amounts);
        for (out, amounts) in [(least, &sure), (most, &found.most)] {
            if !out.is_null() {
                let out = list_mut(out, kind_count, kind_count)?;
                out.iter_mut().enumerate().for_each(|(at, place)| *place = amounts.of(at));
            }
        }
        Ok(())
    })
}

/// All of that as JSON, lifeboat-capacity/1: losses of every level, and more VMs of the average size of those that are on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_capacity(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    cancel: *const CancelHandle,
    out: *mut *mut BufferHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (cluster, policy) = (lend(cluster)?, lend(policy)?);
        let question = CapacityQuestion::default();
        put_text(out, || {
            let found = controlled(cancel, |control| Capacity::ask(&cluster.cluster, &policy, &question, control))??;
            Ok(to_text(&found.json()))
        })
    })
}
