//! The guarantee: any failure in the tolerance can be survived, or here is one that cannot.
//!
//! Uses `cluster`, `failure`, `policy`, `placement`, `restart`. `verify` is the way in and tells the data's path;
//! `certificate` and `cover` are what it leaves behind.

mod backups;
mod banks;
mod bonds;
mod certificate;
mod checker;
mod cover;
mod deal;
mod entries;
mod error;
mod evict;
mod exhaust;
mod field;
mod fit;
mod keep;
mod listed;
mod more;
mod needs;
mod outright;
mod paintings;
mod pairs;
mod prices;
mod scarce;
#[cfg(feature = "serde")]
mod stored;
mod ties;
mod turns;
mod uncoverable;
mod units;
mod verdict;
mod verify;
mod words;

pub(crate) use bonds::{Bond, Bonds, one_per_domain};
pub(crate) use certificate::{Backup, Column, NOWHERE};
pub use certificate::{Certificate, CertificateError, Covers};
pub use checker::{
    Evidence, VerdictFault, check_certificate, check_certificate_controlled, check_counterexample, check_verdict,
};
pub use cover::{Cover, Promise};
pub use error::VerifyError;
pub(crate) use field::is_limited;
pub use keep::KeepError;
pub(crate) use more::{Newcomers, most_more, most_more_of, uncoverable_of};
#[cfg(feature = "serde")]
pub use stored::{StoredCertificates, StoredError};
pub(crate) use units::{NO_UNIT, Tier, UnitIx, Units, unit_count};
pub use verdict::{
    Answer, ClassVerdict, Counterexample, Method, Outcome, PriceFamily, Pricing, Proof, Tight, Uncoverable, Unit,
    Verdict, Way,
};
pub(crate) use verdict::{describe_class, list};
pub(crate) use verify::verify_class;
pub use verify::{verify, verify_controlled};
