//! What the tests, benches and fuzz targets of `lifeboat` measure it by.
//!
//! Uses the public interface of `lifeboat` only; never published. `reference` finds the best restart plan by
//! exhaustion; `generate` makes realistic clusters of any size; `random_small` makes small nasty ones; `rebuild` makes
//! the same cluster again in another order or under other names; `data` reads the instances of `../shared/data`.
//! `verdict` decides guarantees by exhaustion, over the plain tables of `verdict_model`; `verdict_replay` plays losses
//! one after another against somebody's restarts, `adversary` very many of a large cluster; `verdict_cases` makes small clusters;
//! `verdict_known` lists what is known of public data.
//! `guarded` compares a guard's state with a verdict made anew; `pools` are clusters for long runs under a guard. `scenario` reads the files of `tests/scenarios`.
//! `edits` are random edits of a cluster and a naive model of it; `properties` is what must hold of every document,
//! plan and sequence of edits; `calls` are random calls of the C ABI. `choices` is where everything random comes from: a seed, or the bytes of a fuzzer.
//!
//! Being test code it may panic: a panic is a failed test.

pub mod adversary;
pub mod calls;
pub mod choices;
pub mod data;
pub mod edits;
pub mod generate;
pub mod guarded;
pub mod pools;
pub mod properties;
pub mod random_small;
pub mod rebuild;
pub mod reference;
pub mod scenario;
pub mod verdict;
pub mod verdict_cases;
pub mod verdict_known;
mod verdict_model;
pub mod verdict_nasty;
pub mod verdict_replay;

pub use choices::Choices;
pub use random_small::Case;
