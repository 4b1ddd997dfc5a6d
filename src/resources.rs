//! Resource kinds and amounts.
//!
//! Uses nothing of the crate. Used by everything.
//!
//! A cluster declares its kinds once, in order; every amount after that is a plain list of `u64` in that order.
//! All arithmetic on amounts is checked integer arithmetic: exact fit is a fit.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Deref;
use smallvec::SmallVec;

/// The most resource kinds a cluster can have.
pub const MAX_KINDS: usize = 16;

/// One kind of resource, such as CPU in MHz or memory in MiB.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceKind {
    /// The name used in documents and messages.
    pub name: String,
    /// The unit, for display only.
    pub unit: String,
    /// Added to every demand, restart demand and reservation of a VM: the hypervisor's overhead per VM, or 1 for a
    /// kind that counts VMs. 0 by default.
    pub per_vm: u64,
    /// Whether nodes and VMs may leave the kind out without a remark. They have 0 of it then in any case.
    pub optional: bool,
}

impl ResourceKind {
    /// A kind that is not optional and has no overhead per VM.
    #[must_use]
    pub fn new(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { name: name.into(), unit: unit.into(), per_vm: 0, optional: false }
    }
}

/// The resource kinds of a cluster, in order.
///
/// ```
/// use lifeboat::ResourceKinds;
/// let kinds = ResourceKinds::new([("cpu", "MHz"), ("memory", "MiB")])?;
/// assert_eq!(kinds.position("memory"), Some(1));
/// # Ok::<(), lifeboat::ResourceError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceKinds {
    kinds: Vec<ResourceKind>,
}

/// Why a list of resource kinds is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// There is no kind at all.
    #[error("a cluster needs at least one resource kind")]
    None,
    /// There are more than [`MAX_KINDS`].
    #[error("{count} resource kinds are too many: at most {MAX_KINDS} are supported")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// Two kinds have the same name.
    #[error("resource kind \"{name}\" is declared twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A kind has an empty name.
    #[error("a resource kind has an empty name")]
    EmptyName,
}

impl ResourceError {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::None => "no_resource_kinds",
            Self::TooMany { .. } => "too_many_resource_kinds",
            Self::Duplicate { .. } => "duplicate_name",
            Self::EmptyName => "empty_name",
        }
    }
}

impl ResourceKinds {
    /// Kinds from names and units.
    ///
    /// # Errors
    /// No kind, more than [`MAX_KINDS`], an empty name, or a name twice.
    pub fn new<N: Into<String>, U: Into<String>>(
        kinds: impl IntoIterator<Item = (N, U)>,
    ) -> Result<Self, ResourceError> {
        Self::from_kinds(kinds.into_iter().map(|(name, unit)| ResourceKind::new(name, unit)).collect())
    }

    /// Kinds in full.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_kinds(kinds: Vec<ResourceKind>) -> Result<Self, ResourceError> {
        if kinds.is_empty() {
            return Err(ResourceError::None);
        }
        if kinds.len() > MAX_KINDS {
            return Err(ResourceError::TooMany { count: kinds.len() });
        }
        for (position, kind) in kinds.iter().enumerate() {
            if kind.name.is_empty() {
                return Err(ResourceError::EmptyName);
            }
            if kinds.iter().take(position).any(|earlier| earlier.name == kind.name) {
                return Err(ResourceError::Duplicate { name: kind.name.clone() });
            }
        }
        Ok(Self { kinds })
    }

    /// How many kinds there are: 1 to [`MAX_KINDS`].
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// The kinds, in order.
    pub fn iter(&self) -> core::slice::Iter<'_, ResourceKind> {
        self.kinds.iter()
    }

    /// The kind at a position.
    pub fn get(&self, position: usize) -> Option<&ResourceKind> {
        self.kinds.get(position)
    }

    /// The position of the kind with this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.kinds.iter().position(|kind| kind.name == name)
    }
}

impl<'a> IntoIterator for &'a ResourceKinds {
    type Item = &'a ResourceKind;
    type IntoIter = core::slice::Iter<'a, ResourceKind>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Some of a cluster's resource kinds, by position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct KindSet(u16);

impl KindSet {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Every kind there can be.
    pub const ALL: Self = Self(u16::MAX);

    /// With the kind at a position; one beyond what there can be changes nothing.
    #[must_use]
    pub fn with(self, position: usize) -> Self {
        Self(self.0 | bit(position))
    }

    /// Without the kinds of another set.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it has the kind at a position.
    pub fn contains(self, position: usize) -> bool {
        self.0 & bit(position) != 0
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

fn bit(position: usize) -> u16 {
    u32::try_from(position).ok().and_then(|position| 1_u16.checked_shl(position)).unwrap_or(0)
}

/// An amount of every resource kind, in the order of the cluster's kinds.
///
/// Made from an array, a vector or an iterator; a list shorter than the kinds means 0 of the rest.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amounts(SmallVec<[u64; 4]>);

impl Clone for Amounts {
    fn clone(&self) -> Self {
        Self(SmallVec::from_slice(&self.0))
    }
}

impl Amounts {
    /// Nothing of any kind.
    #[must_use]
    pub fn zero() -> Self {
        Self::default()
    }

    /// The amount of the kind at a position; 0 beyond the end.
    pub fn of(&self, position: usize) -> u64 {
        self.0.get(position).copied().unwrap_or(0)
    }
}

impl Deref for Amounts {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl core::fmt::Debug for Amounts {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_list().entries(self.0.iter()).finish()
    }
}

impl<const N: usize> From<[u64; N]> for Amounts {
    fn from(amounts: [u64; N]) -> Self {
        Self(amounts.into_iter().collect())
    }
}

impl From<Vec<u64>> for Amounts {
    fn from(amounts: Vec<u64>) -> Self {
        Self(SmallVec::from_vec(amounts))
    }
}

impl From<&[u64]> for Amounts {
    fn from(amounts: &[u64]) -> Self {
        Self(SmallVec::from_slice(amounts))
    }
}

impl FromIterator<u64> for Amounts {
    fn from_iter<I: IntoIterator<Item = u64>>(amounts: I) -> Self {
        Self(amounts.into_iter().collect())
    }
}
