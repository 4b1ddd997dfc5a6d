//! What the benches share: clusters with failures to plan for, single plans measured one by one, baselines.
//!
//! Uses `lifeboat_testkit::generate` and the public interface. Used by the benches of this directory.
#![allow(dead_code, reason = "no bench uses all of it")]

pub mod latency;
pub mod naive;
pub mod scenario;

/// Whether a switch of the benches is set: an environment variable that is neither empty nor `0`.
#[expect(clippy::disallowed_methods, reason = "a switch for whoever runs the benches")]
pub fn switch(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0")
}
