//! Why a call fails, as a value inside and as a handle outside.
//!
//! Uses `answers` (the form of errors) and the errors of the crate. Used by every part of `capi`.

use super::handle::{free, kind, lend, quietly};
use super::status::{
    LIFEBOAT_BAD_DOCUMENT, LIFEBOAT_BAD_HANDLE, LIFEBOAT_BUSY, LIFEBOAT_CANCELLED, LIFEBOAT_INVALID_ARGUMENT,
    LIFEBOAT_NOT_FOUND, LIFEBOAT_NOT_UTF8, LIFEBOAT_NOT_VALID, LIFEBOAT_NULL_ARGUMENT, LIFEBOAT_PANIC,
    LIFEBOAT_POISONED, LIFEBOAT_REFUSED, LIFEBOAT_STALE, LIFEBOAT_UNSUPPORTED, Status,
};
use super::values::{Str, Text, put};
use crate::admission::{GuardError, ItemError, ReserveError};
use crate::answers::{Fault, errors, to_text};
use crate::cluster::EditError;
use crate::document::DocumentErrors;
use crate::failure::FailureError;
use crate::guarantee::{CertificateError, KeepError, StoredError, VerifyError};
use crate::restart::PlanError;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Why a call failed: a status, a message, and details.
pub struct ErrorHandle {
    _opaque: (),
}
kind!(ErrorHandle(ErrorBody) = 0x1b0a_0001, "error");

/// Why a call fails.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: i32,
    pub(super) message: String,
    /// What is wrong, one by one, where there is more to say than the message.
    pub(super) faults: Vec<Fault>,
    /// The code of the one thing that is wrong, where there are no faults.
    pub(super) code: &'static str,
}

pub(super) fn fail(status: i32, message: impl Into<String>) -> Failure {
    let code = match status {
        LIFEBOAT_INVALID_ARGUMENT => "invalid_argument",
        LIFEBOAT_NOT_FOUND => "not_found",
        LIFEBOAT_STALE => "stale",
        LIFEBOAT_NOT_VALID => "not_valid",
        LIFEBOAT_CANCELLED => "cancelled",
        LIFEBOAT_BAD_DOCUMENT => "bad_document",
        LIFEBOAT_REFUSED => "refused",
        LIFEBOAT_NULL_ARGUMENT => "null_argument",
        LIFEBOAT_NOT_UTF8 => "not_utf8",
        LIFEBOAT_BAD_HANDLE => "bad_handle",
        LIFEBOAT_BUSY => "busy",
        LIFEBOAT_POISONED => "poisoned",
        LIFEBOAT_PANIC => "panic",
        LIFEBOAT_UNSUPPORTED => "unsupported",
        _ => "call",
    };
    coded(status, code, message)
}

/// The caller's flag was set.
pub(super) fn cancelled() -> Failure {
    fail(LIFEBOAT_CANCELLED, "the call was cancelled")
}

pub(super) fn coded(status: i32, code: &'static str, message: impl Into<String>) -> Failure {
    Failure { status, message: message.into(), faults: Vec::new(), code }
}

/// Faults of an input, all of them.
pub(super) fn faulty(faults: Vec<Fault>) -> Failure {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Failure { status: LIFEBOAT_BAD_DOCUMENT, message: lines.join("\n"), faults, code: "bad_document" }
}

impl From<DocumentErrors> for Failure {
    fn from(errors: DocumentErrors) -> Self {
        faulty(Fault::of_documents(&errors))
    }
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        coded(LIFEBOAT_REFUSED, error.code(), error.to_string())
    }
}

impl From<FailureError> for Failure {
    fn from(error: FailureError) -> Self {
        coded(LIFEBOAT_NOT_FOUND, error.code(), error.to_string())
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let status = if error == PlanError::Cancelled { LIFEBOAT_CANCELLED } else { LIFEBOAT_NOT_FOUND };
        coded(status, error.code(), error.to_string())
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        let status = if error == VerifyError::Cancelled { LIFEBOAT_CANCELLED } else { LIFEBOAT_NOT_FOUND };
        coded(status, error.code(), error.to_string())
    }
}

impl From<StoredError> for Failure {
    fn from(error: StoredError) -> Self {
        let status = match error {
            StoredError::OtherState => LIFEBOAT_STALE,
            StoredError::Damaged { .. } => LIFEBOAT_NOT_VALID,
            StoredError::Format => LIFEBOAT_BAD_DOCUMENT,
        };
        coded(status, error.code(), error.to_string())
    }
}

impl From<CertificateError> for Failure {
    fn from(error: CertificateError) -> Self {
        let status = if error == CertificateError::OtherState { LIFEBOAT_STALE } else { LIFEBOAT_NOT_VALID };
        coded(status, error.code(), error.to_string())
    }
}

impl From<KeepError> for Failure {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Certificate(error) => error.into(),
            KeepError::Plan(error) => error.into(),
        }
    }
}

impl From<ReserveError> for Failure {
    fn from(error: ReserveError) -> Self {
        coded(LIFEBOAT_NOT_FOUND, error.code(), error.to_string())
    }
}

impl From<GuardError> for Failure {
    fn from(error: GuardError) -> Self {
        let status = match error {
            // What the policy speaks of is not there: as a verdict says it.
            GuardError::Policy(ItemError::Class(error)) => return error.into(),
            GuardError::Policy(ItemError::Reserve(error)) => return error.into(),
            GuardError::Stale => LIFEBOAT_STALE,
            GuardError::Cancelled => LIFEBOAT_CANCELLED,
            GuardError::Inconsistent { .. } | GuardError::Refused => LIFEBOAT_REFUSED,
        };
        coded(status, error.code(), error.to_string())
    }
}

/// What is known of a failed call.
#[derive(Debug)]
pub(super) struct ErrorBody {
    status: i32,
    code: Text,
    message: Text,
    details: Text,
}

/// A failure as the C side gets it.
pub(super) fn report(mut failure: Failure) -> ErrorBody {
    if failure.faults.is_empty() {
        failure.faults.push(Fault::new("", None, failure.code, &*failure.message));
    }
    ErrorBody {
        status: failure.status,
        code: Text::new(failure.faults.first().map_or(failure.code, |fault| &fault.code)),
        message: Text::new(failure.message),
        details: Text::new(to_text(&errors(&failure.faults))),
    }
}

/// Frees an error; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_error_free(error: *mut ErrorHandle) -> Status {
    free(error)
}

/// The status of an error: what the call returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_error_status(error: *mut ErrorHandle, out: *mut i32) -> Status {
    quietly(|| put(out, lend(error)?.status))
}

/// The stable code of an error, for programs: finer than its status. Of a document that of the first thing that is wrong; the
/// details have all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_error_code(error: *mut ErrorHandle, out: *mut Str) -> Status {
    quietly(|| put(out, lend(error)?.code.view()))
}

/// The message of an error, for people: of a document all its errors, one a line.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_error_message(error: *mut ErrorHandle, out: *mut Str) -> Status {
    quietly(|| put(out, lend(error)?.message.view()))
}

/// The details of an error, for programs: JSON, lifeboat-error/1, with path, object, code and message of everything that
/// is wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_error_details(error: *mut ErrorHandle, out: *mut Str) -> Status {
    quietly(|| put(out, lend(error)?.details.view()))
}
