//! Reading documents, and saying what is wrong with the input.
//!
//! Every error is collected; none hides another.

use crate::words::clean;
use lifeboat::answers::Fault;
use lifeboat::{Cluster, Document, Policy};
use std::io::{self, Read, Write};

/// Why a command does not come to an answer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The input is wrong.
    BadInput(Vec<Fault>),
    /// Ctrl-C.
    Cancelled,
}

/// Prints every fault on standard error.
pub(crate) fn complain(faults: &[Fault]) {
    let mut out = io::stderr().lock();
    for fault in faults {
        let _ = writeln!(out, "error: {} [{}]", clean(&fault.to_string()), fault.code);
    }
}

/// The text of a file; `-` is standard input.
pub(crate) fn read_text(path: &str) -> Result<String, Stop> {
    let (read, what) = if path == "-" { (read_stdin(), "standard input") } else { (std::fs::read(path), path) };
    let fault = |code: &str, message: String| Stop::BadInput(vec![Fault::new("", None, code, message)]);
    let bytes = read.map_err(|error| fault("unreadable", format!("cannot read {what}: {error}")))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        fault("not_utf8", format!("{what} is not UTF-8 text: byte {at} is wrong"))
    })
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a cluster with its policy.
pub(crate) fn read_cluster(path: &str) -> Result<(Cluster, Policy), Stop> {
    let read = Document::from_json(&read_text(path)?);
    read.map(Document::into_parts).map_err(|errors| Stop::BadInput(Fault::of_documents(&errors)))
}

/// What a look-up found, or the faults that it had.
pub(crate) fn sound<T>(look_up: impl FnOnce(&mut Vec<Fault>) -> T) -> Result<T, Stop> {
    let mut faults = Vec::new();
    let found = look_up(&mut faults);
    if faults.is_empty() { Ok(found) } else { Err(Stop::BadInput(faults)) }
}
