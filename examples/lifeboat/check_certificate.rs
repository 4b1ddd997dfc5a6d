//! `check-certificate`: whether stored certificates are good for a cluster, by the library's independent checker.

use crate::Answer;
use crate::args::CheckCertificateArgs;
use crate::input::{self, Stop};
use lifeboat::answers::{CheckedCertificates, Fault, to_text};
use lifeboat::{Control, StoredCertificates};
use std::fmt::Write;

pub(crate) fn run(args: &CheckCertificateArgs) -> Result<Answer, Stop> {
    let (cluster, policy) = input::read_cluster(&args.cluster)?;
    let text = input::read_text(&args.certificate)?;
    let stored: StoredCertificates = serde_json::from_str(&text).map_err(|error| {
        let message = format!("{} holds no certificates: {error}", args.certificate);
        Stop::BadInput(vec![Fault::new("", None, "format", message)])
    })?;
    let checked = CheckedCertificates::ask(&cluster, &policy, &stored, &Control::new());
    let text = if args.json { to_text(&checked.json()) } else { for_people(&checked) };
    Ok(Answer { text, status: checked.status() })
}

fn for_people(checked: &CheckedCertificates) -> String {
    let mut out = String::new();
    if checked.faults.is_empty() {
        let classes = crate::words::count(checked.classes, "failure class");
        let _ = writeln!(out, "Valid: {classes} certified for this cluster.");
    } else {
        let _ = writeln!(out, "Not valid:");
        for (code, message) in &checked.faults {
            let _ = writeln!(out, "  {message} [{code}]");
        }
    }
    out
}
