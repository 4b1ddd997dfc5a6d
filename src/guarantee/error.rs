//! Why there is no verdict.
//!
//! Used by `guarantee` and what stands on it.

use crate::placement::budget::Cancelled;
use alloc::string::String;

/// Why there is no verdict.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A failure class names a level that the cluster does not have.
    #[error("there is no level \"{level}\"")]
    UnknownLevel {
        /// The name given.
        level: String,
    },
    /// The caller cancelled through the [`Control`](crate::Control).
    #[error("the verdict was cancelled")]
    Cancelled,
}

impl VerifyError {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownLevel { .. } => "unknown_level",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<Cancelled> for VerifyError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}
