//! Handles and the one guard of the C ABI.
//!
//! Uses `status` and `error`. Used by every part of `capi`. A handle is a header (what it is, whether it is in use,
//! whether a panic passed through it) and a value. The C side sees an opaque type per kind of handle. A call borrows the
//! value by [`lend`]; the lease gives it back, and poisons it when it is dropped by a panic. What many calls use at a time is
//! taken by [`share`], which counts them. Freed is only what nobody uses.

use super::error::{ErrorHandle, Failure, fail, report};
use super::status::{
    LIFEBOAT_BAD_HANDLE, LIFEBOAT_BUSY, LIFEBOAT_INVALID_ARGUMENT, LIFEBOAT_NULL_ARGUMENT, LIFEBOAT_OK, LIFEBOAT_PANIC,
    LIFEBOAT_POISONED,
};
use alloc::boxed::Box;
use alloc::format;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A kind of handle: an opaque type of the C side, and the value behind it.
pub(super) trait Kind {
    /// What is behind it.
    type Value;
    /// Stands in the header of its handles.
    const TAG: u32;
    /// For messages.
    const NAME: &'static str;
}

/// Gives an opaque type its value, tag and name.
macro_rules! kind {
    ($handle:ident($value:ty) = $tag:literal, $name:literal) => {
        impl $crate::capi::handle::Kind for $handle {
            type Value = $value;
            const TAG: u32 = $tag;
            const NAME: &'static str = $name;
        }
    };
}
pub(super) use kind;

const IDLE: u32 = 0;
const IN_USE: u32 = 1;
const POISON: u32 = 2;
/// The state of a shared handle is so much for each call that uses it.
const USER: u32 = 4;

/// What every handle begins with.
#[repr(C)]
struct Header {
    tag: AtomicU32,
    state: AtomicU32,
}

/// What a pointer of the C side points to.
#[repr(C)]
struct Inner<T> {
    header: Header,
    value: T,
}

/// A value while a call uses it.
pub(super) struct Lease<'h, T> {
    state: &'h AtomicU32,
    value: &'h mut T,
    /// Whether the caller's thread was unwinding already: then its panic is none of ours.
    was_panicking: bool,
}

impl<T> Deref for Lease<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> DerefMut for Lease<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value
    }
}

impl<T> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        let state = if std::thread::panicking() && !self.was_panicking { POISON } else { IDLE };
        self.state.store(state, Ordering::Release);
    }
}

/// A value while a call uses it beside others.
pub(super) struct Share<'h, T> {
    state: &'h AtomicU32,
    value: &'h T,
}

impl<T> Deref for Share<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> Drop for Share<'_, T> {
    fn drop(&mut self) {
        self.state.fetch_sub(USER, Ordering::Release);
    }
}

/// A new handle.
pub(super) fn create<K: Kind>(value: K::Value) -> *mut K {
    let header = Header { tag: AtomicU32::new(K::TAG), state: AtomicU32::new(IDLE) };
    Box::into_raw(Box::new(Inner { header, value })).cast()
}

/// The value behind a pointer, once its header says that it is of this kind.
fn check<K: Kind>(handle: *const K) -> Result<*mut Inner<K::Value>, Failure> {
    if handle.is_null() {
        return Err(fail(LIFEBOAT_NULL_ARGUMENT, format!("the {} is NULL", K::NAME)));
    }
    let header = handle.cast::<Header>();
    let inner = handle.cast_mut().cast::<Inner<K::Value>>();
    let other = || fail(LIFEBOAT_BAD_HANDLE, format!("this is not a {}", K::NAME));
    if !header.is_aligned() {
        return Err(other());
    }
    // SAFETY: aligned, and the caller passes a pointer to a live handle of some kind: all begin with a header. Nothing else
    // is read unless that says that the rest is of this kind.
    let tag = unsafe { &(*header).tag }.load(Ordering::Acquire);
    if tag == K::TAG && inner.is_aligned() { Ok(inner) } else { Err(other()) }
}

/// The value behind a handle, for this call alone.
pub(super) fn lend<'h, K: Kind>(handle: *mut K) -> Result<Lease<'h, K::Value>, Failure> {
    let inner = check(handle)?;
    // SAFETY: checked to be a live handle of this kind; the state is an atomic.
    let state = unsafe { &(*inner).header.state };
    match state.compare_exchange(IDLE, IN_USE, Ordering::Acquire, Ordering::Acquire) {
        Ok(_) => Ok(Lease {
            state,
            // SAFETY: the state makes this call the only one that has the value, until the lease is dropped.
            value: unsafe { &mut (*inner).value },
            was_panicking: std::thread::panicking(),
        }),
        Err(POISON) => Err(fail(LIFEBOAT_POISONED, format!("the {} can only be freed", K::NAME))),
        Err(_) => Err(fail(LIFEBOAT_BUSY, format!("another call uses the {}", K::NAME))),
    }
}

/// The value behind a handle, beside other calls: only for kinds that are never lent. While it is shared it cannot be freed.
pub(super) fn share<'h, K: Kind>(handle: *const K) -> Result<Share<'h, K::Value>, Failure>
where
    K::Value: Sync,
{
    let inner = check(handle)?;
    // SAFETY: checked to be a live handle of this kind; the state is an atomic.
    let state = unsafe { &(*inner).header.state };
    let one_more = |users: u32| if users == IN_USE { None } else { users.checked_add(USER) };
    match state.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more) {
        // SAFETY: a live handle of this kind, whose value is only ever reached by this function; the state keeps it from
        // being freed until the share is dropped.
        Ok(_) => Ok(Share { state, value: unsafe { &(*inner).value } }),
        Err(_) => Err(fail(LIFEBOAT_BUSY, format!("the {} is being freed", K::NAME))),
    }
}

/// Frees a handle; NULL is fine. What is not of this kind, or is in use, is left alone.
pub(super) fn free<K: Kind>(handle: *mut K) -> i32 {
    if handle.is_null() {
        return LIFEBOAT_OK;
    }
    let freed = catch_unwind(AssertUnwindSafe(|| {
        let inner = match check(handle) {
            Ok(inner) => inner,
            Err(failure) => return failure.status,
        };
        // SAFETY: checked to be a live handle of this kind.
        let header = unsafe { &(*inner).header };
        let take = |from| header.state.compare_exchange(from, IN_USE, Ordering::Acquire, Ordering::Acquire).is_ok();
        if !take(IDLE) && !take(POISON) {
            return LIFEBOAT_BUSY;
        }
        // SAFETY: made by `create` as this kind, and the state keeps every other call out.
        drop(unsafe { Box::from_raw(inner) });
        LIFEBOAT_OK
    }));
    freed.unwrap_or(LIFEBOAT_PANIC)
}

/// Runs the inside of a call: a failure or a panic becomes a status, and an error object where one is wanted.
pub(super) fn guard(error: *mut *mut ErrorHandle, work: impl FnOnce() -> Result<(), Failure>) -> i32 {
    // Nothing is done that could not be told.
    if !error.is_null() && !error.is_aligned() {
        return LIFEBOAT_INVALID_ARGUMENT;
    }
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return LIFEBOAT_OK,
        Ok(Err(failure)) => failure,
        Err(_) => fail(LIFEBOAT_PANIC, "the library has a bug: it panicked; free the handles of this call"),
    };
    let status = failure.status;
    if !error.is_null() {
        // The details of an error are text made from it: that it is made is guarded, too.
        if let Ok(body) = catch_unwind(AssertUnwindSafe(|| report(failure))) {
            // SAFETY: an out-parameter is NULL or valid for a write.
            unsafe { error.write(create(body)) };
        }
    }
    status
}

/// As [`guard`], for calls without an error object.
pub(super) fn quietly(work: impl FnOnce() -> Result<(), Failure>) -> i32 {
    guard(core::ptr::null_mut(), work)
}
