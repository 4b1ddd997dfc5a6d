//! Certificates: stored, loaded, checked, and looked up.
//!
//! Uses `guarantee`. Made by `capi::verdict` and from text.

use super::buffer::{BufferHandle, CancelHandle, controlled, put_text};
use super::cluster::{ClusterBody, ClusterHandle, losses};
use super::error::{ErrorHandle, cancelled, fail};
use super::handle::{free, guard, kind, lend};
use super::plan::{PlanBody, PlanHandle};
use super::policy::PolicyHandle;
use super::status::{LIFEBOAT_BAD_DOCUMENT, LIFEBOAT_NOT_FOUND, LIFEBOAT_NOT_VALID, Status};
use super::values::{
    Str, Texts, Unit, fill, first_version, position, put, put_handle, put_if, text, writable, writable_if,
};
use super::verdict::covers_code;
use crate::cluster::Cluster;
use crate::failure::Failure as Losses;
use crate::guarantee::{Certificate, Promise, StoredCertificates, VerdictFault, check_certificate_controlled};
use crate::policy::FailureClass;
use crate::restart::{Eviction, Placement, PlanParts, RestartPlan};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Certificates, one for each failure class that holds, and for each that holds but for VMs that cannot be covered.
pub struct CertificateHandle {
    _opaque: (),
}
kind!(CertificateHandle(Vec<Held>) = 0x1b0a_0008, "certificate");

/// As the class of a certificate: it was read from text, which does not say it. lifeboat_certificate_find does.
pub const LIFEBOAT_CLASS_NOT_KNOWN: u32 = u32::MAX;

/// What one certificate covers. `size` is sizeof(lifeboat_certificate_view).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CertificateView {
    /// sizeof(lifeboat_certificate_view), set by the caller.
    pub size: u32,
    /// LIFEBOAT_AT_ONCE or LIFEBOAT_ANY_ORDER.
    pub covers: i32,
    /// Which failure class of the policy it is for, from 0, as in the verdict; or LIFEBOAT_CLASS_NOT_KNOWN.
    pub class_index: u32,
    /// Only protected VMs of at least this priority; 0: all.
    pub min_priority: u32,
    /// How many levels the class has: lifeboat_certificate_level.
    pub levels: usize,
    /// How many banks it uses.
    pub banks: usize,
    /// How many failures have plans of their own.
    pub exceptions: usize,
    /// How many VMs it says nothing of: those that cannot be covered. Not 0: the class holds but for them.
    pub left_out: usize,
    /// How many best-effort VMs may have to be stopped: promises tell which.
    pub evicts: usize,
    /// How many VMs have places of their own, aside from banks.
    pub backups: usize,
}

first_version!(CertificateView { .., evicts: usize } = 56 | 36);

/// A certificate, the position of its class in the policy where that is known, and the names of the class's levels.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) class: Option<usize>,
    pub(super) certificate: Certificate,
    levels: Texts,
}

impl Held {
    /// Certificates with the positions of their classes.
    pub(super) fn all(given: impl IntoIterator<Item = (Option<usize>, Certificate)>) -> Vec<Self> {
        let held = |(class, certificate): (Option<usize>, Certificate)| {
            let mut levels = Texts::default();
            for (level, _) in &certificate.class().fail {
                levels.add(level);
            }
            Self { class, certificate, levels }
        };
        given.into_iter().map(held).collect()
    }

    /// Whether it is for this class of a policy.
    fn is_for(&self, class: &FailureClass) -> bool {
        let mine = self.certificate.class();
        let sorted = |class: &FailureClass| {
            let mut fail = class.fail.clone();
            fail.sort_unstable();
            fail
        };
        mine.min_priority == class.min_priority && mine.any_order == class.any_order && sorted(mine) == sorted(class)
    }
}

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
        let certificates = stored.certificates(&cluster.cluster)?;
        put_handle(out, Held::all(certificates.into_iter().map(|certificate| (None, certificate))))
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
        for held in certificates.iter() {
            held.certificate.begin(&cluster.cluster)?;
        }
        let stored = StoredCertificates::new(&cluster.cluster, certificates.iter().map(|held| &held.certificate));
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

/// What one certificate covers, and for which class.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificate_class(
    certificates: *mut CertificateHandle,
    index: usize,
    out: *mut CertificateView,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let certificates = lend(certificates)?;
        let Held { class, certificate, levels } = certificates.get(index).ok_or_else(position)?;
        let view = CertificateView {
            size: 0,
            covers: covers_code(Some(certificate.covers())),
            class_index: class.and_then(|class| u32::try_from(class).ok()).unwrap_or(LIFEBOAT_CLASS_NOT_KNOWN),
            min_priority: certificate.min_priority().map_or(0, |priority| priority.0),
            levels: levels.len(),
            banks: certificate.banks(),
            exceptions: certificate.exceptions(),
            left_out: certificate.left_out.len(),
            evicts: certificate.evicts.len(),
            backups: certificate.backups(),
        };
        fill(out, view)
    })
}

/// One level of the class of a certificate, and how many of its units may be lost, as the policy had it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificate_level(
    certificates: *mut CertificateHandle,
    index: usize,
    level_index: usize,
    level: *mut Str,
    count: *mut u32,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable_if(level)?;
        writable_if(count)?;
        let certificates = lend(certificates)?;
        let held = certificates.get(index).ok_or_else(position)?;
        let (_, units) = held.certificate.class().fail.get(level_index).ok_or_else(position)?;
        put_if(level, held.levels.view(level_index))?;
        put_if(count, *units)
    })
}

/// Which certificate is for a failure class of a policy, by the position of the class: also where they were read from
/// text. LIFEBOAT_NOT_FOUND if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificate_find(
    certificates: *mut CertificateHandle,
    policy: *mut PolicyHandle,
    class: usize,
    out: *mut usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (certificates, policy) = (lend(certificates)?, lend(policy)?);
        let class = policy.tolerate.get(class).ok_or_else(position)?;
        let found = certificates.iter().position(|held| held.is_for(class));
        put(out, found.ok_or_else(|| fail(LIFEBOAT_NOT_FOUND, "there is no certificate for this class"))?)
    })
}

/// Has the independent checker look at certificates: LIFEBOAT_OK if all are good for the cluster and the policy, else
/// LIFEBOAT_NOT_VALID with everything that is wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_certificate_check(
    certificates: *mut CertificateHandle,
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    cancel: *const CancelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        let (certificates, cluster, policy) = (lend(certificates)?, lend(cluster)?, lend(policy)?);
        if certificates.is_empty() {
            return Err(fail(LIFEBOAT_NOT_VALID, "there is no certificate"));
        }
        let mut lines: Vec<String> = Vec::new();
        controlled(cancel, |control| {
            for held in certificates.iter() {
                let checked = check_certificate_controlled(&cluster.cluster, &policy, &held.certificate, control);
                let faults = checked.err().unwrap_or_default();
                if faults.iter().any(|fault| matches!(fault, VerdictFault::Cancelled)) {
                    return Err(cancelled());
                }
                lines.extend(faults.iter().map(ToString::to_string));
            }
            Ok(())
        })??;
        if lines.is_empty() { Ok(()) } else { Err(fail(LIFEBOAT_NOT_VALID, lines.join("\n"))) }
    })
}

/// Looks up what a certificate promises for a loss: placements in wave 0, and the evictions they need. No search. It is no
/// whole plan: it says nothing of VMs that the certificate's class does not speak of, its summary answers
/// LIFEBOAT_UNDECIDED, and there is no JSON of it; lifeboat_plan_restart_with makes a whole plan that keeps it.
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
        let certificate = &certificates.get(index).ok_or_else(position)?.certificate;
        let cluster = &cluster.cluster;
        let losses = losses(cluster, units, unit_count)?;
        let promise = certificate.plan_for(cluster, &losses)?;
        put_handle(out, promised(cluster, losses, &promise))
    })
}

/// What a certificate promises for a loss, as a plan.
pub(super) fn promised(cluster: &Cluster, losses: Losses, promise: &Promise) -> PlanBody {
    let placements = promise.placements.iter().map(|(vm, node)| Placement { vm: *vm, node: *node, wave: 0 });
    let evictions = promise.evictions.iter().map(|(vm, node)| Eviction { vm: *vm, node: *node });
    let parts = PlanParts {
        failed: losses.nodes().to_vec(),
        placements: placements.collect(),
        evictions: evictions.collect(),
        ..PlanParts::default()
    };
    PlanBody::of_promise(cluster, losses, RestartPlan::from(parts))
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
    cancel: *const CancelHandle,
    out: *mut *mut PlanHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (certificates, mut cluster, policy) = (lend(certificates)?, lend(cluster)?, lend(policy)?);
        let certificate = &certificates.get(index).ok_or_else(position)?.certificate;
        let ClusterBody { cluster, planner } = &mut *cluster;
        let losses = losses(cluster, units, unit_count)?;
        let plan = controlled(cancel, |control| {
            planner.restart_with_controlled(certificate, cluster, &policy, &losses, control)
        })??;
        put_handle(out, PlanBody::new(cluster, losses, plan))
    })
}
