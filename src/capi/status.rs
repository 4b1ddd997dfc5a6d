//! Statuses: what every call returns.
//!
//! Uses nothing of the crate. Used by every part of `capi`; cbindgen puts them into the header.

/// What a call returns: `LIFEBOAT_OK`, or why there is no answer. Numbers are never used for anything else.
pub type Status = i32;

/// Done.
pub const LIFEBOAT_OK: i32 = 0;
/// A pointer that must not be NULL is.
pub const LIFEBOAT_NULL_ARGUMENT: i32 = 1;
/// An argument has a value that it cannot have; a struct is shorter than in the first version.
pub const LIFEBOAT_INVALID_ARGUMENT: i32 = 2;
/// A string is not UTF-8.
pub const LIFEBOAT_NOT_UTF8: i32 = 3;
/// A handle is of another type.
pub const LIFEBOAT_BAD_HANDLE: i32 = 4;
/// Another call uses the handle.
pub const LIFEBOAT_BUSY: i32 = 5;
/// A panic passed through the handle: it can only be freed.
pub const LIFEBOAT_POISONED: i32 = 6;
/// The library has a bug: it panicked.
pub const LIFEBOAT_PANIC: i32 = 7;
/// The document, the changes or the certificates cannot be read.
pub const LIFEBOAT_BAD_DOCUMENT: i32 = 8;
/// The change would make the cluster inconsistent, or the decision was a refusal.
pub const LIFEBOAT_REFUSED: i32 = 9;
/// Nothing has that name, or that position.
pub const LIFEBOAT_NOT_FOUND: i32 = 10;
/// The call was cancelled: nothing has changed.
pub const LIFEBOAT_CANCELLED: i32 = 11;
/// The certificates are not good for this cluster, or cover less than was asked.
pub const LIFEBOAT_NOT_VALID: i32 = 12;
/// The answer was made for another state of the cluster: ask again.
pub const LIFEBOAT_STALE: i32 = 13;
/// A struct says more than this version of the library knows of.
pub const LIFEBOAT_UNSUPPORTED: i32 = 14;

/// As an answer: yes. A plan is complete, a guarantee holds, a request is admitted.
pub const LIFEBOAT_YES: i32 = 0;
/// As an answer: no. A plan is short (proved), a guarantee fails, a request is refused.
pub const LIFEBOAT_NO: i32 = 1;
/// As an answer: a fact, which is taken in whatever it breaks.
pub const LIFEBOAT_OBSERVED: i32 = 2;
/// As an answer: not decided within the budget.
pub const LIFEBOAT_UNDECIDED: i32 = 3;
