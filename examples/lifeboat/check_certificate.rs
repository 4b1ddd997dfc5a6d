//! `check-certificate`: whether stored certificates are good for a cluster, by the library's independent checker.

use crate::Answer;
use crate::args::CheckCertificateArgs;
use crate::input::{self, Fault, Stop};
use lifeboat::{StoredCertificates, check_certificate};
use serde_json::json;
use std::fmt::Write;

pub(crate) fn run(args: &CheckCertificateArgs) -> Result<Answer, Stop> {
    let (cluster, policy) = input::read_cluster(&args.cluster)?;
    let text = input::read_text(&args.certificate)?;
    let stored: StoredCertificates = serde_json::from_str(&text).map_err(|error| {
        let message = format!("{} holds no certificates: {error}", args.certificate);
        Stop::BadInput(vec![Fault::new("", None, "format", message)])
    })?;
    let mut faults: Vec<(String, String)> = Vec::new();
    let mut classes = 0_usize;
    match stored.certificates(&cluster) {
        Err(error) => faults.push((error.code().to_string(), error.to_string())),
        Ok(certificates) => {
            classes = certificates.len();
            for certificate in &certificates {
                let found = check_certificate(&cluster, &policy, certificate).err().unwrap_or_default();
                faults.extend(found.iter().map(|fault| (fault.code().to_string(), fault.to_string())));
            }
        }
    }
    if classes == 0 && faults.is_empty() {
        faults.push(("empty".to_string(), "the file holds no certificate".to_string()));
    }
    let text = if args.json {
        let faults: Vec<_> = faults.iter().map(|(code, message)| json!({"code": code, "message": message})).collect();
        input::to_json(&json!({
            "format": "lifeboat-certificate-check/1", "valid": faults.is_empty(), "classes": classes, "faults": faults,
        }))
    } else {
        let mut out = String::new();
        if faults.is_empty() {
            let _ =
                writeln!(out, "Valid: {} certified for this cluster.", crate::words::count(classes, "failure class"));
        } else {
            let _ = writeln!(out, "Not valid:");
            for (code, message) in &faults {
                let _ = writeln!(out, "  {message} [{code}]");
            }
        }
        out
    };
    Ok(Answer { text, status: u8::from(!faults.is_empty()) })
}
