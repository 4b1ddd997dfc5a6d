//! A small cluster and a failure from any bytes: the plan passes the checker and agrees with the exhaustive reference.
//!
//! Uses `lifeboat_testkit::properties`. Run by `cargo +nightly fuzz run plan` and by `.ci/run`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_testkit::{properties, random_small};

fuzz_target!(|bytes: &[u8]| properties::plan(&random_small::from_bytes(bytes)));
