//! Reading documents, and looking up what the command line names.
//!
//! Every error is collected; none hides another.

use crate::check::Checked;
use crate::plan_json;
use crate::words::{clean, did_you_mean, similar};
use lifeboat::document::{Document, DocumentError, LoadOptions};
use lifeboat::{Cluster, Failure, NODE_LEVEL, Policy, VmId, Warning};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Read, Write};

/// Why a command does not come to an answer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The input is wrong.
    BadInput(Vec<Fault>),
    /// Ctrl-C.
    Cancelled,
}

/// One thing that is wrong with the input.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    /// Where in the document, or which argument.
    path: String,
    /// The name of the object it is about, if there is one.
    object: Option<String>,
    /// What sort of thing it is: stable.
    code: String,
    /// For people.
    message: String,
    /// All of that in a line, for people.
    #[serde(skip)]
    line: String,
}

impl Fault {
    pub(crate) fn new(path: &str, object: Option<&str>, code: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let line = if path.is_empty() { message.clone() } else { format!("{path}: {message}") };
        Self { path: path.to_string(), object: object.map(str::to_string), code: code.to_string(), message, line }
    }

    fn of_document(error: &DocumentError) -> Self {
        Self { line: error.to_string(), ..Self::new(&error.path, error.object.as_deref(), error.code, &*error.message) }
    }
}

impl Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} [{}]", clean(&self.line), self.code)
    }
}

/// Prints every fault on standard error.
pub(crate) fn complain(faults: &[Fault]) {
    let mut out = io::stderr().lock();
    for fault in faults {
        let _ = writeln!(out, "error: {fault}");
    }
}

/// Faults as `lifeboat-error/1`.
#[derive(Serialize)]
struct Errors<'a> {
    format: &'static str,
    errors: &'a [Fault],
}

/// The faults as `lifeboat-error/1`.
pub(crate) fn faults_json(faults: &[Fault]) -> String {
    to_json(&Errors { format: "lifeboat-error/1", errors: faults })
}

/// The same in one line, among the answers of a stream.
pub(crate) fn faults_json_line(faults: &[Fault]) -> String {
    let mut text = serde_json::to_string(&Errors { format: "lifeboat-error/1", errors: faults }).unwrap_or_default();
    text.push('\n');
    text
}

/// Any answer as JSON text, ending in a line break.
pub(crate) fn to_json(answer: &impl Serialize) -> String {
    // Strings, numbers, lists and maps with string keys always serialise.
    let mut text = serde_json::to_string_pretty(answer).unwrap_or_default();
    text.push('\n');
    text
}

/// The text of a file; `-` is standard input.
pub(crate) fn read_text(path: &str) -> Result<String, Stop> {
    let read = if path == "-" { read_stdin() } else { std::fs::read(path) };
    let fault = |code: &str, message: String| Stop::BadInput(vec![Fault::new("", None, code, message)]);
    let bytes = read.map_err(|error| fault("unreadable", format!("cannot read {path}: {error}")))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        fault("not_utf8", format!("{path} is not UTF-8 text: byte {at} is wrong"))
    })
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The document in a text, or every error in it.
fn parse_document(text: &str, options: LoadOptions) -> Result<Document, Stop> {
    Document::from_json_with(text, options)
        .map_err(|errors| Stop::BadInput(errors.iter().map(Fault::of_document).collect()))
}

/// Reads a document that is to be checked; `strict` as if its policy said so.
pub(crate) fn check_document(text: &str, strict: bool) -> Result<Checked, Stop> {
    let document = parse_document(text, LoadOptions::new().strict(strict))?;
    let of_text = document.warnings().iter().map(Oddity::of_document);
    let warnings = of_text.chain(document.cluster().warnings().iter().map(Oddity::of_cluster)).collect();
    let (cluster, _) = document.into_parts();
    let clashes = lifeboat::conflicts(&cluster).into_iter().map(|conflict| Clash::of(&cluster, conflict)).collect();
    Ok(Checked { cluster, warnings, conflicts: clashes })
}

/// Rules that cannot all hold.
#[derive(Debug, Serialize)]
pub(crate) struct Clash {
    code: &'static str,
    rules: Vec<String>,
    vms: Vec<String>,
    message: String,
    /// Whether it is proved that nothing of it can be left out.
    minimal: bool,
}

impl Clash {
    fn of(cluster: &Cluster, conflict: lifeboat::Conflict) -> Self {
        let rule = |id: &lifeboat::RuleId| cluster.rule(*id).map_or("?", lifeboat::RuleRef::name).to_string();
        Self {
            code: conflict.code.name(),
            rules: conflict.rules.iter().map(rule).collect(),
            vms: plan_json::vm_names(cluster, &conflict.vms).into_iter().map(String::from).collect(),
            message: conflict.message,
            minimal: conflict.minimal,
        }
    }

    /// The line for people.
    pub(crate) fn line(&self) -> String {
        format!("{} [{}]", clean(&self.message), self.code)
    }
}

/// Something about a document that is allowed and worth a look.
#[derive(Debug, Serialize)]
pub(crate) struct Oddity {
    code: String,
    object: Option<String>,
    message: String,
    path: String,
    /// All of that in a line, for people.
    #[serde(skip)]
    line: String,
}

impl Oddity {
    fn of_document(warning: &DocumentError) -> Self {
        Self {
            code: warning.code.to_string(),
            object: warning.object.clone(),
            message: warning.message.clone(),
            path: warning.path.clone(),
            line: warning.to_string(),
        }
    }

    fn of_cluster(warning: &Warning) -> Self {
        let Warning { kind, object, message, .. } = warning;
        Self {
            code: kind.name().to_string(),
            object: Some(object.clone()),
            message: message.clone(),
            path: String::new(),
            line: format!("{object}: {message}"),
        }
    }

    /// The line for people.
    pub(crate) fn line(&self) -> String {
        format!("{} [{}]", clean(&self.line), self.code)
    }
}

/// Reads a cluster with its policy.
pub(crate) fn read_cluster(path: &str) -> Result<(Cluster, Policy), Stop> {
    parse_document(&read_text(path)?, LoadOptions::new()).map(Document::into_parts)
}

/// The failure that the arguments of `--fail` name, and a fault for every one that names nothing.
pub(crate) fn failure(cluster: &Cluster, fails: &[String], faults: &mut Vec<Fault>) -> Failure {
    let mut failure = Failure::none();
    for fail in fails {
        match add_failure(cluster, failure.clone(), fail) {
            Ok(more) => failure = more,
            Err(fault) => faults.push(fault),
        }
    }
    failure
}

fn add_failure(cluster: &Cluster, failure: Failure, fail: &str) -> Result<Failure, Fault> {
    // A node of exactly this name wins, whatever characters are in it.
    if let Some(node) = cluster.node_id(fail) {
        return Ok(failure.node(node));
    }
    let is_level = |name: &str| name == NODE_LEVEL || cluster.levels().any(|level| level == name);
    // Levels and domains may contain `=`, too: any split counts whose left part is a level.
    let split = |(at, _)| fail.split_at_checked(at).and_then(|(level, rest)| Some((level, rest.strip_prefix('=')?)));
    let splits: Vec<(&str, &str)> = fail.match_indices('=').filter_map(split).collect();
    if let Some((level, domain)) = splits.iter().find(|(level, _)| is_level(level)) {
        return failure.domain(cluster, level, domain).map_err(|error| {
            let known = if *level == NODE_LEVEL { node_names(cluster) } else { domain_names(cluster, level) };
            let code = if *level == NODE_LEVEL { "unknown_node" } else { "unknown_domain" };
            Fault::new(
                "--fail",
                Some(fail),
                code,
                format!("{error}{}", did_you_mean(&similar(domain, known.into_iter()))),
            )
        });
    }
    if let Some((level, _)) = splits.first() {
        let hint = did_you_mean(&similar(level, cluster.levels().chain([NODE_LEVEL])));
        let message = format!("there is no node \"{fail}\", and no level \"{level}\"{hint}");
        return Err(Fault::new("--fail", Some(fail), "unknown_level", message));
    }
    let hint = did_you_mean(&similar(fail, node_names(cluster).into_iter()));
    let hint = if hint.is_empty() { domain_hint(cluster, fail) } else { hint };
    Err(Fault::new("--fail", Some(fail), "unknown_node", format!("there is no node \"{fail}\"{hint}")))
}

/// Where a domain of some level has the name that no node has.
fn domain_hint(cluster: &Cluster, name: &str) -> String {
    let levels = cluster.levels().filter(|level| domain_names(cluster, level).contains(&name));
    let meant: Vec<String> = levels.map(|level| format!("{level}={name}")).collect();
    did_you_mean(&meant.iter().map(String::as_str).collect::<Vec<_>>())
}

fn node_names(cluster: &Cluster) -> Vec<&str> {
    cluster.nodes().map(lifeboat::NodeRef::name).collect()
}

fn domain_names<'a>(cluster: &'a Cluster, level: &str) -> Vec<&'a str> {
    cluster.domains(level).map_or_else(Vec::new, |(names, _)| names)
}

/// The VMs that arguments name, and a fault for every name that names none.
pub(crate) fn vms(cluster: &Cluster, argument: &str, names: &[String], faults: &mut Vec<Fault>) -> Vec<VmId> {
    let mut found = Vec::new();
    for name in names {
        if let Some(vm) = cluster.vm_id(name) {
            found.push(vm);
        } else {
            let hint = did_you_mean(&similar(name, cluster.vms().map(lifeboat::VmRef::name)));
            faults.push(Fault::new(argument, Some(name), "unknown_vm", format!("there is no VM \"{name}\"{hint}")));
        }
    }
    found
}
