//! Text that a call made, the flag that ends long work, and the version.
//!
//! Uses `handle` and `values`. Used by every part of `capi` that makes text or works long.

use super::error::{Failure, fail};
use super::handle::{free, kind, lend, quietly, share};
use super::status::{LIFEBOAT_CANCELLED, Status};
use super::values::{Str, Text, constant, put, put_handle, writable};
use crate::placement::budget::Control;
use alloc::string::String;
use core::ffi::c_char;

/// The version of the ABI: it grows when calls are added; what is there stays as it is.
pub const LIFEBOAT_ABI_VERSION: u32 = 4;

/// Text that a call made.
pub struct BufferHandle {
    _opaque: (),
}
kind!(BufferHandle(Text) = 0x1b0a_0002, "buffer");

/// A flag that ends long work.
pub struct CancelHandle {
    _opaque: (),
}
kind!(CancelHandle(Control) = 0x1b0a_0003, "cancel flag");

/// The version of the ABI that the library has: at least the LIFEBOAT_ABI_VERSION that a caller was built with.
#[unsafe(no_mangle)]
pub extern "C" fn lifeboat_abi_version() -> u32 {
    LIFEBOAT_ABI_VERSION
}

/// The version of the library, as "1.2.3": for people. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn lifeboat_version() -> *const c_char {
    constant(concat!(env!("CARGO_PKG_VERSION"), "\0")).data
}

/// Frees a buffer; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_buffer_free(buffer: *mut BufferHandle) -> Status {
    free(buffer)
}

/// The text of a buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_buffer_text(buffer: *mut BufferHandle, out: *mut Str) -> Status {
    quietly(|| put(out, lend(buffer)?.view()))
}

/// A flag that ends long work with LIFEBOAT_CANCELLED: the call has changed nothing then, and its handles serve on. Once set
/// it stays set. Wherever a call takes one, NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cancel_new(out: *mut *mut CancelHandle) -> Status {
    quietly(|| put_handle(out, Control::new()))
}

/// Sets a cancel flag, from any thread, while another call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cancel_set(cancel: *const CancelHandle) -> Status {
    quietly(|| {
        share(cancel)?.cancel();
        Ok(())
    })
}

/// How much work was done under a cancel flag, in node evaluations: for showing progress, from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cancel_work_done(cancel: *const CancelHandle, out: *mut u64) -> Status {
    quietly(|| {
        let flag = share(cancel)?;
        put(out, flag.work_done())
    })
}

/// Frees a cancel flag; NULL is fine. LIFEBOAT_BUSY while a call uses it: free it once that has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lifeboat_cancel_free(cancel: *mut CancelHandle) -> Status {
    free(cancel)
}

/// Runs long work under the caller's flag, or under none. One that is set already ends it before it begins.
pub(super) fn controlled<T>(cancel: *const CancelHandle, work: impl FnOnce(&Control) -> T) -> Result<T, Failure> {
    flagged(cancel, |control| {
        if control.is_cancelled() {
            return Err(fail(LIFEBOAT_CANCELLED, "the call was cancelled before it began"));
        }
        Ok(work(control))
    })?
}

/// Runs work under the caller's flag, or under none, whether it is set or not.
pub(super) fn flagged<T>(cancel: *const CancelHandle, work: impl FnOnce(&Control) -> T) -> Result<T, Failure> {
    if cancel.is_null() { Ok(work(&Control::new())) } else { Ok(work(&*share(cancel)?)) }
}

/// Gives text to the caller.
pub(super) fn put_text(
    out: *mut *mut BufferHandle,
    make: impl FnOnce() -> Result<String, Failure>,
) -> Result<(), Failure> {
    writable(out)?;
    put_handle(out, Text::new(make()?))
}
