//! Handles, strings and the one guard of the C ABI.
//!
//! Uses nothing of the crate. Used by `capi`. A handle is a header (what it is, whether it is in use, whether a panic
//! passed through it) and a value. A call borrows a handle by [`Handle::lend`]; the lease gives it back, and poisons
//! it when it is dropped by a panic.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::ffi::c_char;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Every status; the numbers are never used for anything else.
pub mod status {
    /// Done.
    pub const OK: i32 = 0;
    /// A pointer that must not be NULL is.
    pub const NULL_ARGUMENT: i32 = 1;
    /// An argument has a value that it cannot have.
    pub const INVALID_ARGUMENT: i32 = 2;
    /// A string is not UTF-8.
    pub const NOT_UTF8: i32 = 3;
    /// A handle is of another type.
    pub const BAD_HANDLE: i32 = 4;
    /// Another call uses the handle.
    pub const BUSY: i32 = 5;
    /// A panic passed through the handle: it can only be freed.
    pub const POISONED: i32 = 6;
    /// The library has a bug: it panicked.
    pub const PANIC: i32 = 7;
    /// The document or the certificates cannot be read.
    pub const BAD_DOCUMENT: i32 = 8;
    /// The change would make the cluster inconsistent.
    pub const REFUSED: i32 = 9;
    /// Nothing has that name, or that position.
    pub const NOT_FOUND: i32 = 10;
    /// The call was cancelled.
    pub const CANCELLED: i32 = 11;
    /// The certificates are not good for this cluster.
    pub const NOT_VALID: i32 = 12;
}

/// A string: UTF-8 and its length in bytes, or `LIFEBOAT_NUL_TERMINATED` (`SIZE_MAX`) for one that ends in NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Str {
    /// The bytes; may be NULL if the length is 0.
    pub data: *const c_char,
    /// How many.
    pub length: usize,
}

/// Why a call fails.
pub(super) struct Failure {
    pub(super) status: i32,
    pub(super) message: String,
}

pub(super) fn fail(status: i32, message: impl Into<String>) -> Failure {
    Failure { status, message: message.into() }
}

/// Text that the library owns: its bytes are followed by NUL.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn new(mut text: String) -> Self {
        text.push('\0');
        Self(text)
    }

    pub(super) fn view(&self) -> Str {
        Str { data: self.0.as_ptr().cast(), length: self.0.len().saturating_sub(1) }
    }
}

/// What every value that has a handle says of itself.
pub trait Kind {
    /// Stands in the header of its handles.
    const MAGIC: u32;
    /// For messages.
    const NAME: &'static str;
}

const FREED: u32 = 0xdead_1b0a;
const IDLE: u32 = 0;
const IN_USE: u32 = 1;
const POISON: u32 = 2;

/// What a pointer of the C side points to.
#[repr(C)]
pub struct Handle<T> {
    magic: AtomicU32,
    state: AtomicU32,
    value: T,
}

/// A handle while a call uses it.
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

impl<T: Kind> Handle<T> {
    pub(super) fn create(value: T) -> *mut Self {
        Box::into_raw(Box::new(Self { magic: AtomicU32::new(T::MAGIC), state: AtomicU32::new(IDLE), value }))
    }

    fn check(handle: *const Self) -> Result<(), Failure> {
        if handle.is_null() {
            return Err(fail(status::NULL_ARGUMENT, format!("the {} is NULL", T::NAME)));
        }
        if !handle.is_aligned() {
            return Err(fail(status::BAD_HANDLE, format!("this is not a {}", T::NAME)));
        }
        // SAFETY: the caller passes a pointer that this library made; its header is read, and nothing else unless
        // that says that the rest is of this type.
        let magic = unsafe { &(*handle).magic }.load(Ordering::Acquire);
        if magic == T::MAGIC { Ok(()) } else { Err(fail(status::BAD_HANDLE, format!("this is not a {}", T::NAME))) }
    }

    /// The value, for this call alone.
    pub(super) fn lend<'h>(handle: *mut Self) -> Result<Lease<'h, T>, Failure> {
        Self::check(handle)?;
        // SAFETY: checked to be a live handle of this type; the state is an atomic.
        let state = unsafe { &(*handle).state };
        match state.compare_exchange(IDLE, IN_USE, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => Ok(Lease {
                state,
                // SAFETY: the state makes this call the only one that has the value, until the lease is dropped.
                value: unsafe { &mut (*handle).value },
                was_panicking: std::thread::panicking(),
            }),
            Err(POISON) => Err(fail(status::POISONED, format!("the {} can only be freed", T::NAME))),
            Err(_) => Err(fail(status::BUSY, format!("another call uses the {}", T::NAME))),
        }
    }

    /// The value, beside other calls: only for what is made for that.
    pub(super) fn share<'h>(handle: *const Self) -> Result<&'h T, Failure> {
        Self::check(handle)?;
        // SAFETY: a live handle of this type, never lent but by this function.
        Ok(unsafe { &(*handle).value })
    }

    /// Frees a handle. What is not one of this type, or is in use, is left alone.
    pub(super) fn free(handle: *mut Self) -> i32 {
        if handle.is_null() {
            return status::OK;
        }
        let freed = catch_unwind(AssertUnwindSafe(|| {
            if let Err(failure) = Self::check(handle) {
                return failure.status;
            }
            // SAFETY: checked to be a live handle of this type.
            let header = unsafe { &*handle };
            let take = |from| header.state.compare_exchange(from, IN_USE, Ordering::Acquire, Ordering::Acquire).is_ok();
            if !take(IDLE) && !take(POISON) {
                return status::BUSY;
            }
            header.magic.store(FREED, Ordering::Release);
            // SAFETY: made by `create`, and the magic word lets no second call come here.
            drop(unsafe { Box::from_raw(handle) });
            status::OK
        }));
        freed.unwrap_or(status::PANIC)
    }
}

/// What is known of a failed call.
pub struct ErrorBody {
    status: i32,
    message: Text,
}

impl Kind for ErrorBody {
    const MAGIC: u32 = 0x1b0a_0001;
    const NAME: &'static str = "error";
}

impl ErrorBody {
    pub(super) const fn status(&self) -> i32 {
        self.status
    }

    pub(super) fn message(&self) -> Str {
        self.message.view()
    }
}

/// Runs the inside of a call: a failure or a panic becomes a status, and an error object where one is wanted.
pub(super) fn guard(error: *mut *mut Handle<ErrorBody>, work: impl FnOnce() -> Result<(), Failure>) -> i32 {
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return status::OK,
        Ok(Err(failure)) => failure,
        Err(_) => fail(status::PANIC, "the library has a bug: it panicked; free the handles of this call"),
    };
    if !error.is_null() {
        let body = ErrorBody { status: failure.status, message: Text::new(failure.message) };
        // SAFETY: an out-parameter is NULL or valid for a write.
        unsafe { error.write(Handle::create(body)) };
    }
    failure.status
}

/// Writes an out-parameter.
pub(super) fn put<T>(out: *mut T, value: T) -> Result<(), Failure> {
    if out.is_null() {
        return Err(fail(status::NULL_ARGUMENT, "an out-parameter is NULL"));
    }
    // SAFETY: not NULL, and the caller passes what can be written to.
    unsafe { out.write(value) };
    Ok(())
}

/// Writes an out-parameter with a new handle; nothing is made if there is nowhere to put it.
pub(super) fn put_handle<T: Kind>(out: *mut *mut Handle<T>, value: T) -> Result<(), Failure> {
    if out.is_null() {
        return Err(fail(status::NULL_ARGUMENT, "an out-parameter is NULL"));
    }
    put(out, Handle::create(value))
}

/// The list that a pointer and a count describe.
pub(super) fn list<'a, T>(data: *const T, count: usize) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(fail(status::NULL_ARGUMENT, "a list is NULL"));
    }
    let most = isize::MAX.unsigned_abs().checked_div(size_of::<T>()).unwrap_or(0);
    if count > most || !data.is_aligned() {
        return Err(fail(status::INVALID_ARGUMENT, "a list is longer than memory, or not aligned"));
    }
    // SAFETY: not NULL, aligned, within what an object can span; the caller says that so many are there.
    Ok(unsafe { core::slice::from_raw_parts(data, count) })
}

/// A string of the caller, copied.
pub(super) fn text(given: Str) -> Result<String, Failure> {
    let bytes: &[u8] = if given.length == usize::MAX {
        if given.data.is_null() {
            return Err(fail(status::NULL_ARGUMENT, "a string is NULL"));
        }
        // SAFETY: not NULL, and the caller says that it ends in NUL.
        unsafe { core::ffi::CStr::from_ptr(given.data) }.to_bytes()
    } else {
        list(given.data.cast::<u8>(), given.length)?
    };
    core::str::from_utf8(bytes)
        .map(ToString::to_string)
        .map_err(|error| fail(status::NOT_UTF8, format!("a string is not UTF-8: {error}")))
}
