//! How much the cluster can take: losses, and more VMs.
//!
//! Uses `guarantee`, `admission::reserves` and `policy`. Called by embedders and the example program.
//!
//! `max_tolerable` lowers nothing and adds nothing, it asks for one class after another; `headroom` adds VMs until the
//! policy breaks; `largest` asks how large a single one may be; `newcomer` is the VM that is added.

mod headroom;
mod largest;
mod max_tolerable;
mod newcomer;

pub use headroom::{
    Headroom, HeadroomError, HeadroomLimit, MAX_TRIED, Newcomer, headroom, headroom_controlled, headroom_guarded,
    headroom_without,
};
pub use largest::{LargestVm, largest_vm};
pub use max_tolerable::{Tolerable, max_tolerable, max_tolerable_controlled};
