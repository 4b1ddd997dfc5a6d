//! Admission: may this change be made, and what has become of the promises since.
//!
//! Uses `cluster`, `policy`. Called by embedders and the example program.
//!
//! `reserves` counts what the policy's reserves say, in the published arithmetic of the products that they come from.

pub(crate) mod reserves;

pub use reserves::{
    FreeFigures, FreeKind, Percentage, ReserveError, ReserveFigures, ReserveStatus, Reserves, SlotFigures, SlotSize,
    SpareFigures, reserves_status,
};
