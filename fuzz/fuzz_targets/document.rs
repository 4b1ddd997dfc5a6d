//! Any bytes as a document: they load or are refused, and what loads is whole and comes back the same.
//!
//! Uses `lifeboat_testkit::properties`. Run by `cargo +nightly fuzz run document` and by `.ci/run`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lifeboat_testkit::properties;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        properties::document(text);
    }
});
