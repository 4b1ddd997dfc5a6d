//! Policies: what is promised and allowed.
//!
//! Uses `policy` and `document` (policies as text). Used by every part of `capi` that answers.

use super::cluster::ClusterHandle;
use super::error::ErrorHandle;
use super::handle::{free, guard, kind, lend};
use super::specs::{ToleranceSpec, class_of_spec, tree_of};
use super::status::Status;
use super::values::{Str, put_handle, sized, text, writable};
use crate::document::Objects;
use crate::policy::Policy;

/// A policy: what is promised and allowed.
pub struct PolicyHandle {
    _opaque: (),
}
kind!(PolicyHandle(Policy) = 0x1b0a_0005, "policy");

/// The default policy: any one node may fail.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_policy_new(out: *mut *mut PolicyHandle, error: *mut *mut ErrorHandle) -> Status {
    guard(error, || put_handle(out, Policy::default()))
}

/// A policy for a cluster: JSON, as it stands in a document.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_policy_from_json(
    cluster: *mut ClusterHandle,
    policy: Str,
    out: *mut *mut PolicyHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let policy = Objects::of(&lend(cluster)?.cluster).policy(tree_of(text(policy)?)?)?;
        put_handle(out, policy)
    })
}

/// A policy of its own that is the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_policy_clone(
    policy: *mut PolicyHandle,
    out: *mut *mut PolicyHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        put_handle(out, lend(policy)?.clone())
    })
}

/// Frees a policy; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_policy_free(policy: *mut PolicyHandle) -> Status {
    free(policy)
}

/// Takes all failure classes out of a policy: it promises nothing then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_policy_tolerate_nothing(
    policy: *mut PolicyHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        lend(policy)?.tolerate.clear();
        Ok(())
    })
}

/// Adds a failure class to a policy. Levels are looked up when the policy is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_policy_tolerate(
    policy: *mut PolicyHandle,
    class: *const ToleranceSpec,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let class = class_of_spec(&sized(class)?)?;
        lend(policy)?.tolerate.push(class);
        Ok(())
    })
}

/// Sets the budgets of plans, admissions and verdicts, in node evaluations; 0 leaves one as it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_policy_set_budgets(
    policy: *mut PolicyHandle,
    plan: u64,
    admit: u64,
    verify: u64,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let budget = &mut lend(policy)?.budget;
        for (budget, units) in [(&mut budget.plan, plan), (&mut budget.admit, admit), (&mut budget.verify, verify)] {
            if units > 0 {
                *budget = units;
            }
        }
        Ok(())
    })
}
