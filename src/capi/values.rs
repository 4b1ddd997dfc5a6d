//! What crosses the boundary by value: strings, lists, structs that say their size; and out-parameters.
//!
//! Uses `status` and `error`. Used by every part of `capi`.

use super::error::{Failure, fail};
use super::handle::{Kind, create};
use super::status::{
    LIFEBOAT_INVALID_ARGUMENT, LIFEBOAT_NOT_FOUND, LIFEBOAT_NOT_UTF8, LIFEBOAT_NULL_ARGUMENT, LIFEBOAT_UNSUPPORTED,
};
use crate::cluster::MAX_OBJECTS;
use crate::dense::to_usize;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ffi::c_char;

/// A string: UTF-8 and its length in bytes, or LIFEBOAT_NUL_TERMINATED for one that ends in NUL. Given by the library it
/// is a view into its owner, and a NUL stands behind it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Str {
    /// The bytes; may be NULL if the length is 0.
    pub data: *const c_char,
    /// How many.
    pub length: usize,
}

/// A unit that fails: a node, or a whole domain of a level. Like lifeboat_str it is what it is for ever, and never grows.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// The level; empty or `node` for a node.
    pub level: Str,
    /// The name of the node or domain.
    pub name: Str,
}

/// Text that the library owns: its bytes are followed by NUL.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.push('\0');
        Self(text)
    }

    pub(super) fn view(&self) -> Str {
        Str { data: self.0.as_ptr().cast(), length: self.0.len().saturating_sub(1) }
    }
}

/// Many short texts in one piece of memory, so that a result with a hundred names is two allocations.
#[derive(Debug, Default)]
pub(super) struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Adds a text. Views that were given before are no longer valid: texts are added before any is shown.
    pub(super) fn add(&mut self, text: &str) -> usize {
        self.all.push_str(text);
        self.ends.push(self.all.len());
        self.all.push('\0');
        self.ends.len().saturating_sub(1)
    }

    /// Makes room for texts of so many bytes together.
    pub(super) fn reserve(&mut self, texts: usize, bytes: usize) {
        self.ends.reserve(texts);
        self.all.reserve(bytes.saturating_add(texts));
    }

    /// How many texts there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn view(&self, at: usize) -> Str {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| end.saturating_add(1));
        let text = self.ends.get(at).and_then(|end| self.all.get(start..*end)).unwrap_or_default();
        Str { data: text.as_ptr().cast(), length: text.len() }
    }
}

/// A constant name as the C side gets it: a NUL stands behind it, which is not part of it.
pub(super) fn constant(with_nul: &'static str) -> Str {
    Str { data: with_nul.as_ptr().cast(), length: with_nul.len().saturating_sub(1) }
}

/// Writes an out-parameter.
pub(super) fn put<T>(out: *mut T, value: T) -> Result<(), Failure> {
    writable(out)?;
    // SAFETY: not NULL, aligned, and the caller passes what can be written to.
    unsafe { out.write(value) };
    Ok(())
}

/// Writes an out-parameter that may be NULL.
pub(super) fn put_if<T>(out: *mut T, value: T) -> Result<(), Failure> {
    if out.is_null() { Ok(()) } else { put(out, value) }
}

/// Writes an out-parameter with a new handle; nothing is made if there is nowhere to put it.
pub(super) fn put_handle<K: Kind>(out: *mut *mut K, value: K::Value) -> Result<(), Failure> {
    writable(out)?;
    put(out, create(value))
}

/// Whether an out-parameter can be written to, as far as that can be seen. Every call asks this of all that it writes,
/// before it changes anything and before the first is written: so either all are, or none.
pub(super) fn writable<T>(out: *mut T) -> Result<(), Failure> {
    if out.is_null() {
        return Err(fail(LIFEBOAT_NULL_ARGUMENT, "an out-parameter is NULL"));
    }
    if !out.is_aligned() {
        return Err(fail(LIFEBOAT_INVALID_ARGUMENT, "an out-parameter is not aligned"));
    }
    Ok(())
}

/// The most names that one object can list where nothing of the cluster says fewer: labels, groups.
pub(super) const NAMES: usize = to_usize(MAX_OBJECTS);

/// Refuses a count that no caller can mean, before anything is read.
pub(super) fn believe(count: usize, most: usize) -> Result<(), Failure> {
    if count <= most {
        return Ok(());
    }
    let message = format!("a list says that it has {count} places: it can have {most} at most");
    Err(fail(LIFEBOAT_INVALID_ARGUMENT, message))
}

/// The same of one that may be NULL.
pub(super) fn writable_if<T>(out: *mut T) -> Result<(), Failure> {
    if out.is_null() { Ok(()) } else { writable(out) }
}

/// The bound of a list of names of what there is: of a cluster without any it is one, which is then not found.
pub(super) fn at_least_one(count: usize) -> usize {
    count.max(1)
}

/// The list that a pointer and a count describe, which has `most` places at most.
pub(super) fn list<'a, T>(data: *const T, count: usize, most: usize) -> Result<&'a [T], Failure> {
    let memory = isize::MAX.unsigned_abs().checked_div(size_of::<T>()).unwrap_or(0);
    believe(count, most.min(memory))?;
    if count == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(fail(LIFEBOAT_NULL_ARGUMENT, "a list is NULL"));
    }
    if !data.is_aligned() {
        return Err(fail(LIFEBOAT_INVALID_ARGUMENT, "a list is not aligned"));
    }
    // SAFETY: not NULL, aligned, within what an object can span; the caller says that so many are there.
    Ok(unsafe { core::slice::from_raw_parts(data, count) })
}

/// The same, to write to.
pub(super) fn list_mut<'a, T>(data: *mut T, count: usize, most: usize) -> Result<&'a mut [T], Failure> {
    list(data.cast_const(), count, most)?;
    if count == 0 {
        return Ok(&mut []);
    }
    // SAFETY: as for `list`, which has checked what can be checked; the caller lends it for this call alone.
    Ok(unsafe { core::slice::from_raw_parts_mut(data, count) })
}

/// A string of the caller, for the length of the call.
pub(super) fn text<'a>(given: Str) -> Result<&'a str, Failure> {
    let bytes: &'a [u8] = if given.length == usize::MAX {
        if given.data.is_null() {
            return Err(fail(LIFEBOAT_NULL_ARGUMENT, "a string is NULL"));
        }
        // SAFETY: not NULL, and the caller says that it ends in NUL.
        unsafe { core::ffi::CStr::from_ptr(given.data) }.to_bytes()
    } else {
        list(given.data.cast::<u8>(), given.length, usize::MAX)?
    };
    core::str::from_utf8(bytes).map_err(|error| fail(LIFEBOAT_NOT_UTF8, format!("a string is not UTF-8: {error}")))
}

/// Strings of the caller, copied.
pub(super) fn texts(data: *const Str, count: usize, most: usize) -> Result<Vec<String>, Failure> {
    list(data, count, most)?.iter().map(|given| text(*given).map(ToString::to_string)).collect()
}

/// A name that the caller gives to something. One with a NUL inside would read as another in every C program.
pub(super) fn name(given: Str) -> Result<String, Failure> {
    let name = text(given)?;
    if name.contains('\0') {
        return Err(fail(LIFEBOAT_INVALID_ARGUMENT, format!("the name {name:?} has a NUL inside")));
    }
    Ok(name.to_string())
}

/// Names that the caller gives.
pub(super) fn names(data: *const Str, count: usize, most: usize) -> Result<Vec<String>, Failure> {
    list(data, count, most)?.iter().map(|given| name(*given)).collect()
}

/// A struct that begins with its size. Its numbers and pointers are such that all bits zero stand for nothing.
pub(super) trait Sized32: Copy {
    /// The size of the first version.
    const FIRST: usize;
}

/// Gives a struct the size of its first version: what ends with the field that was the last one then, whatever was added
/// behind it. The numbers are that size on 64 and on 32 bits, and never change.
macro_rules! first_version {
    ($name:ident { .., $last:ident: $kind:ty } = $wide:literal | $narrow:literal) => {
        impl $crate::capi::values::Sized32 for $name {
            const FIRST: usize = core::mem::offset_of!($name, $last) + size_of::<$kind>();
        }
        const _: () = {
            let first = <$name as $crate::capi::values::Sized32>::FIRST;
            assert!(first == if size_of::<usize>() == 8 { $wide } else { $narrow });
        };
    };
}
pub(super) use first_version;

/// Reads a struct of the caller, of this version or another: what an older one lacks is zero, what a newer one has more
/// must be zero.
pub(super) fn sized<T: Sized32>(given: *const T) -> Result<T, Failure> {
    let size = stated_size(given)?;
    read_sized(given, size)
}

/// Reads a list of such structs: the first one's size is how far apart they are, and that of all.
pub(super) fn sized_list<T: Sized32>(data: *const T, count: usize, most: usize) -> Result<Vec<T>, Failure> {
    believe(count, most)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let size = stated_size(data)?;
    let one = |at: usize| {
        let each = data.wrapping_byte_add(size.saturating_mul(at));
        if stated_size(each)? == size {
            read_sized(each, size)
        } else {
            Err(fail(LIFEBOAT_INVALID_ARGUMENT, "the structs of a list say different sizes"))
        }
    };
    (0..count).map(one).collect()
}

/// The same, of which the size is known to be good.
fn read_sized<T: Sized32>(given: *const T, size: usize) -> Result<T, Failure> {
    let most = size_of::<T>();
    // SAFETY: `T` is a struct of numbers and pointers, for which zeros are a value.
    let mut value: T = unsafe { core::mem::zeroed() };
    let whole = given.cast::<u8>();
    // SAFETY: the caller says that so many bytes are there; no more than `T` has are written.
    unsafe { core::ptr::copy_nonoverlapping(whole, (&raw mut value).cast::<u8>(), size.min(most)) };
    if let Some(more) = size.checked_sub(most).filter(|more| *more > 0) {
        // SAFETY: the caller says that so many bytes are there.
        let tail = list(unsafe { whole.add(most) }, more, LARGEST)?;
        if tail.iter().any(|byte| *byte != 0) {
            return Err(fail(
                LIFEBOAT_UNSUPPORTED,
                "a struct has fields that this version of the library does not know",
            ));
        }
    }
    Ok(value)
}

/// Fills a struct of the caller, as much of it as there is; its size stays, and what is unknown here becomes zero.
pub(super) fn fill<T: Sized32>(out: *mut T, value: T) -> Result<(), Failure> {
    let size = stated_size(out.cast_const())?;
    let most = size_of::<T>();
    let skip = size_of::<u32>();
    let (to, from) = (out.cast::<u8>(), (&raw const value).cast::<u8>());
    let known = size.min(most).saturating_sub(skip);
    // SAFETY: the caller says that the struct has so many bytes, and `T` has no fewer than are copied.
    unsafe { core::ptr::copy_nonoverlapping(from.add(skip), to.add(skip), known) };
    if let Some(more) = size.checked_sub(most) {
        // SAFETY: the caller says that the struct has so many bytes.
        unsafe { core::ptr::write_bytes(to.add(most), 0, more) };
    }
    Ok(())
}

/// Whether a struct of the caller can be filled, as far as that can be seen.
pub(super) fn fillable<T: Sized32>(out: *mut T) -> Result<(), Failure> {
    stated_size(out.cast_const()).map(drop)
}

/// Structs are not larger than this: a size beyond it is a mistake of the caller.
const LARGEST: usize = 4096;

fn stated_size<T: Sized32>(given: *const T) -> Result<usize, Failure> {
    if given.is_null() {
        return Err(fail(LIFEBOAT_NULL_ARGUMENT, "a struct is NULL"));
    }
    if !given.is_aligned() {
        return Err(fail(LIFEBOAT_INVALID_ARGUMENT, "a struct is not aligned"));
    }
    // SAFETY: not NULL, aligned; the caller passes a struct, and all begin with their size.
    let size = usize::try_from(unsafe { given.cast::<u32>().read() }).unwrap_or(usize::MAX);
    if size < T::FIRST || size > LARGEST {
        let message = format!("a struct says that it has {size} bytes; the first version has {}", T::FIRST);
        return Err(fail(LIFEBOAT_INVALID_ARGUMENT, message));
    }
    Ok(size)
}

/// A position that is not there.
pub(super) fn position() -> Failure {
    fail(LIFEBOAT_NOT_FOUND, "there is nothing at that position")
}

/// A name that is not there.
pub(super) fn not_found(what: &str, name: &str) -> Failure {
    fail(LIFEBOAT_NOT_FOUND, format!("there is no {what} \"{name}\""))
}
