//! Why reserves cannot be counted.
//!
//! Used by `reserves` and what stands on it.

use alloc::string::String;

/// Why reserves cannot be counted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// A reserve names a resource kind that the cluster does not have.
    #[error("there is no resource kind \"{kind}\"")]
    UnknownKind {
        /// The name given.
        kind: String,
    },
}

impl ReserveError {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownKind { .. } => "unknown_kind",
        }
    }
}
