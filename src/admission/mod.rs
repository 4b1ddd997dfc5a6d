//! Admission: may this change be made, and what has become of the promises since.
//!
//! Uses `cluster`, `policy`, `guarantee`, `restart`. Called by embedders and the example program.
//!
//! `guard` is the way in and tells the data's path. `reserves` counts what the policy's reserves say, in the published
//! arithmetic of the products that they come from.

mod books;
mod change;
mod choose;
mod demands;
mod guard;
mod item;
pub(crate) mod ledger;
mod quick;
#[cfg(feature = "json")]
mod read;
pub(crate) mod reserves;
mod seats;
mod several;
mod violation;

pub use change::Change;
pub use choose::MAX_TRIES;
pub use guard::{Decision, Guard, GuardError, Outcome as DecisionOutcome, Placed};
pub use item::{ClassFault, ClassState, Item, ItemError, ItemState};
#[cfg(feature = "json")]
#[cfg_attr(docsrs, doc(cfg(feature = "json")))]
pub use read::read_changes;
pub use reserves::{
    FreeFigures, FreeKind, Percentage, ReserveError, ReserveFigures, ReserveStatus, Reserves, SlotFigures, SlotSize,
    SpareFigures, reserves_status,
};
pub use violation::{Shortage, Violation, ViolationKind};
