//! The one call that keeps nothing, JSON in and JSON out; and what other products say.
//!
//! Uses `answers` and `compare`.

use super::buffer::{BufferHandle, CancelHandle, controlled, flagged, put_text};
use super::cluster::ClusterHandle;
use super::error::{ErrorHandle, Failure, coded};
use super::handle::{guard, lend};
use super::policy::PolicyHandle;
use super::status::{LIFEBOAT_INVALID_ARGUMENT, Status};
use super::values::{Str, Text, put_handle, put_if, text, writable, writable_if};
use crate::answers::{ask_controlled, comparison_json, to_text};
use crate::compare::{CompareError, compare};
use alloc::string::ToString;

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Verify(error) => error.into(),
            error => coded(LIFEBOAT_INVALID_ARGUMENT, error.code(), error.to_string()),
        }
    }
}

/// Answers a question without any handle. The request is JSON, lifeboat-request/1:
///
/// ```text
/// {"format": "lifeboat-request/1", "question": "plan", "cluster": {...}, "fail": ["kvm-1"]}
/// ```
///
/// `cluster` is a document lifeboat/1, with its policy. The questions, each with the fields that it can have besides:
///
/// ```text
/// check              strict
/// plan               fail, explain
/// check_plan         plan, fail
/// verify             tolerate
/// certify            tolerate
/// check_certificate  certificate
/// admit, observe     changes
/// capacity           level, shape, like, nodes
/// compare            tolerate
/// ```
///
/// examples/c/requests.md says what they mean and what is answered.
/// The answer is what the example program prints with --json, or lifeboat-error/1: the call succeeds in either case.
/// `answer` (may be NULL) is 0 yes, 1 no, 2 bad input, 3 undecided, 4 cancelled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_json_call(
    request: Str,
    cancel: *const CancelHandle,
    answer: *mut i32,
    out: *mut *mut BufferHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        writable_if(answer)?;
        let request = text(request)?;
        let response = flagged(cancel, |control| ask_controlled(request, control))?;
        put_if(answer, i32::from(response.status))?;
        put_handle(out, Text::new(response.text))
    })
}

/// What other products' rules say about a cluster, beside the exact verdict: JSON, lifeboat-compare/1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_compare(
    cluster: *mut ClusterHandle,
    policy: *mut PolicyHandle,
    cancel: *const CancelHandle,
    out: *mut *mut BufferHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    guard(error, || {
        writable(out)?;
        let (cluster, policy) = (lend(cluster)?, lend(policy)?);
        put_text(out, || {
            let found = controlled(cancel, |control| compare(&cluster.cluster, &policy, control))??;
            Ok(to_text(&comparison_json(&found)))
        })
    })
}
