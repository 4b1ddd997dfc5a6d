//! What is wrong with the input, as `lifeboat-error/1`.
//!
//! Uses `document` (its errors). Used by every part of `answers` that reads.

use crate::document::{DocumentError, DocumentErrors};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::Serialize;

/// One thing that is wrong with the input.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fault {
    /// Where in the document or request, or which argument.
    pub path: String,
    /// The name of the object it is about, if there is one.
    pub object: Option<String>,
    /// What sort of thing it is: stable.
    pub code: String,
    /// For people.
    pub message: String,
    /// Path, object and message in a line.
    #[serde(skip)]
    line: String,
}

impl Fault {
    /// A fault at a path; an empty one is the input as a whole.
    pub fn new(path: &str, object: Option<&str>, code: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let line = if path.is_empty() { message.clone() } else { alloc::format!("{path}: {message}") };
        Self { path: path.into(), object: object.map(Into::into), code: code.into(), message, line }
    }

    /// An error of a document.
    pub fn of_document(error: &DocumentError) -> Self {
        Self { line: error.to_string(), ..Self::new(&error.path, error.object.as_deref(), error.code, &*error.message) }
    }

    /// All errors of a document.
    pub fn of_documents(errors: &DocumentErrors) -> Vec<Self> {
        errors.iter().map(Self::of_document).collect()
    }
}

/// The line for people, without the code.
impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.line)
    }
}

/// `lifeboat-error/1`.
#[derive(Serialize)]
struct Errors<'a> {
    format: &'static str,
    errors: &'a [Fault],
}

/// Faults in the form that is printed.
pub fn errors(faults: &[Fault]) -> impl Serialize + '_ {
    Errors { format: "lifeboat-error/1", errors: faults }
}
