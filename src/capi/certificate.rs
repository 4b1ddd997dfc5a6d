//! Certificates: stored, loaded, checked, and looked up.
//!
//! Uses `guarantee`. Made by `capi::verdict` and from text.

use super::buffer::{BufferHandle, put_text};
use super::cluster::{ClusterBody, ClusterHandle, losses};
use super::error::{ErrorHandle, fail};
use super::handle::{free, guard, kind, lend};
use super::plan::{PlanBody, PlanHandle};
use super::policy::PolicyHandle;
use super::status::{LIFEBOAT_BAD_DOCUMENT, LIFEBOAT_NOT_VALID, Status};
use super::values::{Str, Unit, position, put, put_handle, put_if, text, writable};
use super::verdict::covers_code;
use crate::guarantee::{Certificate, StoredCertificates, check_certificate};
use crate::restart::{Eviction, Placement, PlanParts, RestartPlan};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Certificates, one for each failure class that holds.
pub struct CertificateHandle {
    _opaque: (),
}
kind!(CertificateHandle(Vec<Certificate>) = 0x1b0a_0008, "certificate");

/// Reads stored certificates, lifeboat-certificate/1, for the cluster as it was then: LIFEBOAT_STALE if it has changed.
/// Whether they are good says lifeboat_certificate_check.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificate_from_json(
    cluster: *mut ClusterHandle,
    certificates: Str,
    out: *mut *mut CertificateHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let cluster = lend(cluster)?;
        let stored: StoredCertificates = serde_json::from_str(text(certificates)?)
            .map_err(|error| fail(LIFEBOAT_BAD_DOCUMENT, error.to_string()))?;
        put_handle(out, stored.certificates(&cluster.cluster)?)
    })
}

/// Writes certificates, lifeboat-certificate/1, to be stored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificate_to_json(
    certificates: *mut CertificateHandle,
    cluster: *mut ClusterHandle,
    out: *mut *mut BufferHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (certificates, cluster) = (lend(certificates)?, lend(cluster)?);
        for certificate in certificates.iter() {
            certificate.begin(&cluster.cluster)?;
        }
        let stored = StoredCertificates::new(&cluster.cluster, certificates.iter());
        put_text(out, || Ok(serde_json::to_string(&stored).unwrap_or_default()))
    })
}

/// Frees certificates; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificate_free(certificates: *mut CertificateHandle) -> Status {
    free(certificates)
}

/// How many classes there are certificates for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificate_count(
    certificates: *mut CertificateHandle,
    out: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || put(out, lend(certificates)?.len()))
}

/// What one certificate covers: LIFEBOAT_AT_ONCE or LIFEBOAT_ANY_ORDER, and in how many banks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificate_class(
    certificates: *mut CertificateHandle,
    index: usize,
    covers: *mut i32,
    banks: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let certificates = lend(certificates)?;
        let certificate = certificates.get(index).ok_or_else(position)?;
        put_if(covers, covers_code(Some(certificate.covers())))?;
        put_if(banks, certificate.banks())
    })
}

/// Has the independent checker look at certificates: LIFEBOAT_OK if all are good for the cluster and the policy, else
/// LIFEBOAT_NOT_VALID with everything that is wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificate_check(
    certificates: *mut CertificateHandle,
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let (certificates, cluster, policy) = (lend(certificates)?, lend(cluster)?, lend(policy)?);
        if certificates.is_empty() {
            return Err(fail(LIFEBOAT_NOT_VALID, "there is no certificate"));
        }
        let faults = certificates.iter().filter_map(|each| check_certificate(&cluster.cluster, &policy, each).err());
        let lines: Vec<String> = faults.flatten().map(|fault| fault.to_string()).collect();
        if lines.is_empty() { Ok(()) } else { Err(fail(LIFEBOAT_NOT_VALID, lines.join("\n"))) }
    })
}

/// Looks up the plan that a certificate promises for a loss: placements in wave 0, and the evictions they need. No search.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificate_plan_for(
    certificates: *mut CertificateHandle,
    index: usize,
    cluster: *mut ClusterHandle,
    units: *const Unit,
    unit_count: usize,
    out: *mut *mut PlanHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (certificates, cluster) = (lend(certificates)?, lend(cluster)?);
        let certificate = certificates.get(index).ok_or_else(position)?;
        let cluster = &cluster.cluster;
        let losses = losses(cluster, units, unit_count)?;
        let promise = certificate.plan_for(cluster, &losses)?;
        let placements = promise.placements.iter().map(|(vm, node)| Placement { vm: *vm, node: *node, wave: 0 });
        let evictions = promise.evictions.iter().map(|(vm, node)| Eviction { vm: *vm, node: *node });
        let parts = PlanParts {
            failed: losses.nodes().to_vec(),
            placements: placements.collect(),
            evictions: evictions.collect(),
            ..PlanParts::default()
        };
        put_handle(out, PlanBody::new(cluster, losses, RestartPlan::from(parts)))
    })
}

/// Plans the restarts after a loss and keeps a certificate's promise: never worse than what was promised, and room for the
/// losses that are still covered stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_plan_restart_with(
    certificates: *mut CertificateHandle,
    index: usize,
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    units: *const Unit,
    unit_count: usize,
    out: *mut *mut PlanHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (certificates, mut cluster, policy) = (lend(certificates)?, lend(cluster)?, lend(policy)?);
        let certificate = certificates.get(index).ok_or_else(position)?;
        let ClusterBody { cluster, planner } = &mut *cluster;
        let losses = losses(cluster, units, unit_count)?;
        let plan = planner.restart_with(certificate, cluster, &policy, &losses)?;
        put_handle(out, PlanBody::new(cluster, losses, plan))
    })
}
