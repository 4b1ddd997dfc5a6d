//! The caller's own data on objects: kept and exported, never read.
//!
//! Uses nothing of the crate. Used by `cluster` and `document`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// A JSON object, as [`Annotations`] holds it: fields in the order given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Annotations {
    /// The fields.
    pub fields: Vec<(String, AnnotationValue)>,
}

/// A JSON value inside [`Annotations`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AnnotationValue {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that is negative.
    Negative(i64),
    /// A whole number.
    Whole(u64),
    /// Any other number, by the bits of its `f64`: never computed with. It comes out as it came in, but for more digits
    /// than an `f64` holds; a whole number beyond 64 bits is one of these, too.
    FloatBits(u64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<AnnotationValue>),
    /// An object.
    Object(Box<Annotations>),
}
