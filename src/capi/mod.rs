//! The C ABI. Feature `capi`; the contract for C programmers stands in `src/capi/lifeboat.h`, which is made from these
//! files.
//!
//! Uses the public interface of the crate. The only unsafe code of the crate is in this module. `handle` has the handles
//! and the one guard that every call goes through, `values` what crosses by value, `specs` the structs that describe
//! objects; the others are the calls, one file per kind of handle. **The data's path** through a call: the guard, handles
//! lent and arguments read, the crate's own function, results put into new handles or out-parameters, the guard again.
//!
//! Build it with `cargo rustc --release --lib --features capi --crate-type cdylib,staticlib`; `examples/c/install.sh`
//! installs it.
//!
//! The header is made anew by `LIFEBOAT_BLESS=1 cargo test --features capi --test capi`.

mod buffer;
mod call;
mod capacity;
mod certificate;
mod cluster;
mod cover;
mod error;
mod guard;
mod handle;
mod plan;
mod policy;
mod specs;
mod status;
#[cfg(test)]
mod tests;
mod values;
mod verdict;

pub use buffer::*;
pub use call::*;
pub use capacity::*;
pub use certificate::*;
pub use cluster::*;
pub use cover::*;
pub use error::*;
pub use guard::*;
pub use plan::*;
pub use policy::*;
pub use specs::*;
pub use status::*;
pub use values::{Str, Unit};
pub use verdict::*;
