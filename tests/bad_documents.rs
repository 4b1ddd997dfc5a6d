//! Broken documents and what is said about them: `tests/bad-documents/*.txt`.
//!
//! Each case is a title behind `#`, a document, a line `----`, and the errors line by line. With the variable
//! `UPDATE_SCENARIOS` set the expected lines are written anew; read the difference before it is kept.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]
#![cfg(feature = "json")]

use lifeboat::Document;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

struct Case {
    title: String,
    input: String,
    expected: String,
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for part in format!("\n{text}").split("\n# ").skip(1) {
        let (title, rest) = part.split_once('\n').unwrap();
        let (input, expected) = rest.split_once("----\n").unwrap();
        cases.push(Case { title: title.into(), input: input.into(), expected: expected.trim_end().into() });
    }
    cases
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-documents");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a flag for the developer")]
fn every_error_is_named_at_its_path() {
    let update = std::env::var("UPDATE_SCENARIOS").is_ok();
    let mut count = 0;
    let mut wrong = String::new();
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut anew = String::new();
        for case in cases(&text) {
            count += 1;
            let found = match Document::from_json(&case.input) {
                Ok(_) => String::from("(loads)"),
                Err(errors) => {
                    assert!(errors.iter().all(|error| !error.code.is_empty() && !error.message.is_empty()));
                    errors.to_string()
                }
            };
            if found != case.expected {
                writeln!(wrong, "{}: {}\n{found}\n  instead of\n{}\n", file.display(), case.title, case.expected)
                    .unwrap();
            }
            write!(anew, "# {}\n{}----\n{found}\n\n", case.title, case.input).unwrap();
        }
        if update {
            std::fs::write(&file, anew).unwrap();
        }
    }
    assert!(count >= 100, "only {count} cases");
    assert!(update || wrong.is_empty(), "{wrong}");
}
