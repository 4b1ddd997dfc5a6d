//! A sequence of edits from any bytes: after each the cluster is whole and reads back as a plain model says.
//!
//! Uses `lifeboat_testkit::properties`. Run by `cargo +nightly fuzz run edits` and by `.ci/run`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_testkit::{Choices, properties};

fuzz_target!(|bytes: &[u8]| properties::edits(&mut Choices::from_bytes(bytes), 200));
