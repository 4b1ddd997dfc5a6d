//! What is wrong with a document: every error at once, each with a path into the input.
//!
//! Uses nothing of the crate. Used by every part of `document`.
//!
//! Paths are made from the inside out: a reader that finds an error records it without a path, and each part that
//! contains it puts its own segment in front on the way back. A document without errors pays nothing for paths.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// The most errors that are listed. One more then says how many there are besides.
pub const MAX_ERRORS: usize = 10_000;

/// The most characters of a name from the input that are repeated in a path or message.
const MAX_SHOWN: usize = 80;

/// One thing that is wrong with a document, or, among its warnings, odd about it.
///
/// It prints as `vms[17] "db-1".demand.memroy: unknown resource kind, did you mean "memory"?`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DocumentError {
    /// Where it is: `vms[17].demand.memroy`. Empty for the document as a whole, and for errors of syntax, whose
    /// message tells line and column.
    pub path: String,
    /// The name of the object (resource kind, node, VM or rule) that the path leads into, as far as it is known.
    pub object: Option<String>,
    /// What sort of error it is: stable, for programs.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

/// A thing that is odd about a document: in the form of an error.
pub type DocumentWarning = DocumentError;

impl fmt::Display for DocumentError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The object's name stands behind the first segment, index included.
        let head = self
            .path
            .find(['.', ']'])
            .map_or(self.path.len(), |at| at.saturating_add(usize::from(self.path.as_bytes().get(at) == Some(&b']'))));
        let (head, rest) = self.path.split_at_checked(head).unwrap_or((&self.path, ""));
        formatter.write_str(head)?;
        if let Some(object) = &self.object {
            let space = if head.is_empty() { "" } else { " " };
            write!(formatter, "{space}{}", quoted(object))?;
        }
        formatter.write_str(rest)?;
        if !self.path.is_empty() || self.object.is_some() {
            formatter.write_str(": ")?;
        }
        formatter.write_str(&self.message)
    }
}

impl core::error::Error for DocumentError {}

/// All that is wrong with a document, in the order in which it was found: first what is wrong with its form, in the
/// order of the text, then what is wrong with its meaning. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DocumentErrors {
    errors: Vec<DocumentError>,
}

impl DocumentErrors {
    /// These errors: at least one.
    #[cfg(feature = "json")]
    pub(crate) fn of(errors: Vec<DocumentError>) -> Self {
        Self { errors }
    }

    /// The errors.
    pub fn iter(&self) -> core::slice::Iter<'_, DocumentError> {
        self.errors.iter()
    }

    /// How many errors are listed: at least 1, at most [`MAX_ERRORS`] and one.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// The errors, to keep.
    pub fn into_vec(self) -> Vec<DocumentError> {
        self.errors
    }
}

impl<'a> IntoIterator for &'a DocumentErrors {
    type Item = &'a DocumentError;
    type IntoIter = core::slice::Iter<'a, DocumentError>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One error per line.
impl fmt::Display for DocumentErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.errors.iter().enumerate() {
            if position > 0 {
                formatter.write_str("\n")?;
            }
            fmt::Display::fmt(error, formatter)?;
        }
        Ok(())
    }
}

impl core::error::Error for DocumentErrors {}

/// Where errors are recorded.
#[derive(Default)]
pub(crate) struct Sink {
    errors: Vec<DocumentError>,
    left_out: usize,
}

/// How many errors there were at some point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    all: usize,
    listed: usize,
}

impl Sink {
    pub(crate) fn mark(&self) -> Mark {
        Mark { all: self.errors.len().saturating_add(self.left_out), listed: self.errors.len() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether more errors are counted and no longer listed.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.len() >= MAX_ERRORS
    }

    /// Whether errors were recorded since.
    pub(crate) fn grew(&self, since: Mark) -> bool {
        self.mark().all != since.all
    }

    /// Records an error at a path relative to the part being read.
    pub(crate) fn add(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(DocumentError { path: path.into(), object: None, code, message: message.into() });
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// Records an error that is listed even if there are too many.
    pub(crate) fn add_always(&mut self, code: &'static str, message: String) {
        self.errors.push(DocumentError { path: String::new(), object: None, code, message });
    }

    /// Puts a segment in front of the paths of all errors recorded since.
    pub(crate) fn prefix(&mut self, since: Mark, segment: &str) {
        for error in self.errors.iter_mut().skip(since.listed) {
            error.path = join(segment, &error.path);
        }
    }

    /// The same for a position in a list.
    pub(crate) fn prefix_index(&mut self, since: Mark, index: usize) {
        if self.grew(since) {
            self.prefix(since, &format!("[{index}]"));
        }
    }

    /// Says which object the errors recorded since are about.
    pub(crate) fn name_object(&mut self, since: Mark, name: &str) {
        for error in self.errors.iter_mut().skip(since.listed) {
            if error.object.is_none() {
                error.object = Some(shortened(name));
            }
        }
    }

    /// The errors as the caller gets them.
    pub(crate) fn finish(mut self) -> DocumentErrors {
        if self.left_out > 0 {
            self.add_always("more_errors", format!("there are {} more errors", self.left_out));
        }
        DocumentErrors { errors: self.errors }
    }
}

/// A path inside another.
pub(crate) fn join(head: &str, tail: &str) -> String {
    let dot = if tail.is_empty() || tail.starts_with('[') { "" } else { "." };
    format!("{head}{dot}{tail}")
}

/// A key of the input as a segment of a path: as it is if that is unmistakable, else quoted in brackets.
pub(crate) fn segment(key: &str) -> String {
    let plain = |symbol: char| symbol.is_alphanumeric() || symbol == '_' || symbol == '-';
    let key = shortened(key);
    if !key.is_empty() && key.chars().all(plain) { key } else { format!("[{key:?}]") }
}

/// The place of a named item in a list that is a field.
pub(crate) fn item(field: &str, index: usize) -> String {
    format!("{field}[{index}]")
}

/// A name of the input in quotes, shortened if it is long.
pub(crate) fn quoted(name: &str) -> String {
    format!("{:?}", shortened(name))
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(MAX_SHOWN) {
        None => name.to_string(),
        Some((end, _)) => {
            let mut short = name.get(..end).unwrap_or_default().to_owned();
            short.push('…');
            short
        }
    }
}
