//! Covers: a certificate in use, told of losses one after another.
//!
//! Uses `guarantee`. Begun from `capi::certificate`. A cover keeps copies of the certificate and of the cluster as it was, and
//! the losses so far: a new one is looked up after those have been gone through again, which are few.

use super::certificate::{CertificateHandle, promised};
use super::cluster::{ClusterHandle, losses};
use super::error::ErrorHandle;
use super::handle::{free, guard, kind, lend};
use super::plan::PlanHandle;
use super::status::Status;
use super::values::{Unit, position, put, put_handle, writable};
use crate::cluster::Cluster;
use crate::failure::Failure as Losses;
use crate::guarantee::{Certificate, CertificateError, Cover};
use alloc::vec::Vec;

/// A certificate in use: told of losses one after another, it says what to do about each.
pub struct CoverHandle {
    _opaque: (),
}
kind!(CoverHandle(CoverBody) = 0x1b0a_000b, "cover");

/// A certificate, the cluster that it is for, and what was lost since.
#[derive(Debug)]
pub(super) struct CoverBody {
    certificate: Certificate,
    cluster: Cluster,
    lost: Vec<Losses>,
}

impl CoverBody {
    /// The cover after what was lost.
    fn now(&self) -> Result<Cover<'_>, CertificateError> {
        let mut cover = self.certificate.begin(&self.cluster)?;
        for lost in &self.lost {
            cover.lose(lost)?;
        }
        Ok(cover)
    }
}

/// Begins to use a certificate for a cluster in the state for which it was made: LIFEBOAT_STALE if it is in another. The
/// cover has copies of both.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cover_begin(
    certificates: *mut CertificateHandle,
    index: usize,
    cluster: *mut ClusterHandle,
    out: *mut *mut CoverHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (certificates, cluster) = (lend(certificates)?, lend(cluster)?);
        let certificate = certificates.get(index).ok_or_else(position)?.certificate.clone();
        let body = CoverBody { certificate, cluster: cluster.cluster.clone(), lost: Vec::new() };
        body.now()?;
        put_handle(out, body)
    })
}

/// Frees a cover; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cover_free(cover: *mut CoverHandle) -> Status {
    free(cover)
}

/// Tells a cover of a loss: the plan has the placements because of it, in wave 0, and the evictions that they need; the first
/// has also those of VMs that waited for a place. LIFEBOAT_NOT_VALID if it is more than is covered: nothing has changed then.
/// The plan is for the state in which the cover began.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cover_lose(
    cover: *mut CoverHandle,
    units: *const Unit,
    unit_count: usize,
    out: *mut *mut PlanHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let mut body = lend(cover)?;
        let lost = losses(&body.cluster, units, unit_count)?;
        let promise = body.now()?.lose(&lost)?;
        body.lost.push(lost.clone());
        put_handle(out, promised(&body.cluster, lost, &promise))
    })
}

/// How many more units may be lost and are covered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cover_remaining(
    cover: *mut CoverHandle,
    out: *mut u32,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let body = lend(cover)?;
        put(out, body.now()?.remaining())
    })
}
