//! A sequence of calls of the C ABI from any bytes: right ones, and wrong ones that the library can see. Each returns a
//! status, out-parameters are written on success alone, and everything can be freed in the end.
//!
//! Uses `lifeboat_testkit::calls`. Run by `cargo +nightly fuzz run capi` and by `.ci/run`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_testkit::{Choices, calls};

fuzz_target!(|bytes: &[u8]| calls::sequence(&mut Choices::from_bytes(bytes), 200));
