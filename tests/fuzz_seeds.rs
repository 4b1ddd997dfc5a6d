//! The seeds of the fuzz targets, on any toolchain: `fuzz/seeds/TARGET/*`.
//!
//! Uses `lifeboat_testkit::properties`, which is what the targets call, so that they keep in step with the code where
//! no fuzzer is installed.

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

use lifeboat_testkit::{Choices, calls, properties, random_small};
use std::path::Path;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// The seeds of a target, and each of them cut off anywhere.
fn each(target: &str, cuts: usize, check: impl Fn(&[u8])) {
    let seeds = seeds(target);
    assert!(seeds.len() >= 5, "{target}: {} seeds", seeds.len());
    for seed in &seeds {
        for cut in 0..=cuts {
            check(&seed[..seed.len() * cut / cuts]);
        }
    }
}

#[test]
fn documents() {
    each("document", 200, |bytes| properties::document(std::str::from_utf8(bytes).unwrap_or_default()));
}

#[test]
fn plans() {
    each("plan", 40, |bytes| properties::plan(&random_small::from_bytes(bytes)));
}

#[test]
fn edits() {
    each("edits", 4, |bytes| properties::edits(&mut Choices::from_bytes(bytes), 200));
}

#[test]
fn calls_of_the_c_abi() {
    each("capi", 2, |bytes| calls::sequence(&mut Choices::from_bytes(bytes), 200));
    for seed in 0..20 {
        calls::sequence(&mut Choices::from_seed(seed), 60);
    }
}
