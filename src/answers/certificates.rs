//! Stored certificates: their text, and what the independent checker says of them, `lifeboat-certificate-check/1`.
//!
//! Uses `guarantee`. Used by `answers::ask` and the example program.

use crate::cluster::Cluster;
use crate::guarantee::{StoredCertificates, Verdict, check_certificate_controlled};
use crate::placement::budget::Control;
use crate::policy::Policy;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;

/// The certificates of the classes that hold, `lifeboat-certificate/1`.
pub fn certificates_text(cluster: &Cluster, verdict: &Verdict) -> String {
    serde_json::to_string(&StoredCertificates::new(cluster, verdict.certificates())).unwrap_or_default()
}

/// What the checker says of stored certificates.
#[derive(Debug)]
pub struct CheckedCertificates {
    /// How many classes there are certificates for.
    pub classes: usize,
    /// What is wrong, as code and message: valid if there is nothing.
    pub faults: Vec<(String, String)>,
}

impl CheckedCertificates {
    /// Checks certificates for a cluster with its policy. Whoever cancels it throws the answer away.
    pub fn ask(cluster: &Cluster, policy: &Policy, stored: &StoredCertificates, control: &Control) -> Self {
        let mut faults: Vec<(String, String)> = Vec::new();
        let mut classes = 0_usize;
        match stored.certificates(cluster) {
            Err(error) => faults.push((error.code().to_string(), error.to_string())),
            Ok(certificates) => {
                classes = certificates.len();
                for certificate in &certificates {
                    let found =
                        check_certificate_controlled(cluster, policy, certificate, control).err().unwrap_or_default();
                    faults.extend(found.iter().map(|fault| (fault.code().to_string(), fault.to_string())));
                }
            }
        }
        if classes == 0 && faults.is_empty() {
            faults.push(("empty".to_string(), "the file holds no certificate".to_string()));
        }
        Self { classes, faults }
    }

    /// The exit status of the answer: 0 valid, 1 not.
    pub fn status(&self) -> u8 {
        u8::from(!self.faults.is_empty())
    }

    /// The answer in the form that is printed.
    pub fn json(&self) -> impl Serialize + '_ {
        CheckJson {
            classes: self.classes,
            faults: self.faults.iter().map(|(code, message)| FaultJson { code, message }).collect(),
            format: "lifeboat-certificate-check/1",
            valid: self.faults.is_empty(),
        }
    }
}

#[derive(Serialize)]
struct CheckJson<'a> {
    classes: usize,
    faults: Vec<FaultJson<'a>>,
    format: &'static str,
    valid: bool,
}

#[derive(Serialize)]
struct FaultJson<'a> {
    code: &'a str,
    message: &'a str,
}
