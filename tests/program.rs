//! The example program as its users see it: exit statuses, what is on which stream, JSON, and text for people.
//!
//! Texts are compared with `tests/program/*.txt`; `LIFEBOAT_BLESS=1 cargo test --test program` rewrites them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]

#[path = "program/capacity.rs"]
mod capacity;

use serde_json::{Value, json};
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

const SMALL: &str = "examples/data/small.json";
const TIGHT: &str = "examples/data/tight.json";
const NORTH_SOUTH: &str = "examples/data/north-south.json";

/// The program, built if `cargo test` has not built it already (as with `--test program`).
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let here = env::current_exe().expect("a test knows where it is");
        let profile = here.ancestors().nth(2).expect("target/PROFILE/deps/program-HASH");
        let built = profile.join("examples").join(format!("lifeboat{}", env::consts::EXE_SUFFIX));
        if modified(&built).is_some_and(|built| newest_source() <= Some(built)) { built } else { build(&here) }
    })
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn newest_source() -> Option<SystemTime> {
    fn newest(folder: &Path) -> Option<SystemTime> {
        let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
        entries.filter_map(|path| if path.is_dir() { newest(&path) } else { modified(&path) }).max()
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    newest(&root.join("src")).max(newest(&root.join("examples/lifeboat")))
}

/// Builds the program in the profile of this test, and returns where cargo says it is.
fn build(here: &Path) -> PathBuf {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--example", "lifeboat", "--message-format=json"]);
    if here.components().any(|part| part.as_os_str() == "release") {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "the example program does not build");
    let text = String::from_utf8_lossy(&output.stdout);
    let built = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let is_it = message["target"]["kind"][0] == "example" && message["target"]["name"] == "lifeboat";
        is_it.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    });
    built.expect("cargo names the executable")
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).env_remove("NO_COLOR");
    command
}

/// What a run gave.
struct Run {
    status: i32,
    out: String,
    err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("ended by itself"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: not JSON alone: {}", self.out))
    }
}

fn run(args: &[&str]) -> Run {
    command(args).stdin(Stdio::null()).output().expect("runs").into()
}

fn run_with_input(args: &[&str], input: &str) -> Run {
    let mut child =
        command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("reads its input");
    child.wait_with_output().expect("runs").into()
}

/// Compares a text with the one that is kept.
fn expect_text(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program").join(format!("{name}.txt"));
    if env::var_os("LIFEBOAT_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} is not what is printed now:\n{text}", path.display());
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name")).collect()
}

fn fields(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn example_documents_are_clean() {
    for document in [SMALL, TIGHT, NORTH_SOUTH] {
        let check = run(&["check", document, "--json"]);
        assert_eq!((check.status, check.err.as_str()), (0, ""), "{document}");
        let json = check.json();
        assert_eq!(json["format"], "lifeboat-check/1");
        for list in ["errors", "warnings", "conflicts"] {
            assert_eq!(json[list].as_array().map(Vec::len), Some(0), "{document}: {list}");
        }
        assert!(json["utilisation"]["kinds"]["memory"]["used"].as_u64() > Some(0));
    }
}

#[test]
fn check_for_people() {
    for (name, document) in [("check-small", SMALL), ("check-north-south", NORTH_SOUTH)] {
        expect_text(name, &run(&["check", document]).out);
    }
}

#[test]
fn plans_for_people() {
    expect_text("plan-small", &run(&["plan", SMALL, "--fail", "kvm-1"]).out);
    expect_text("plan-tight", &run(&["plan", TIGHT, "--fail", "rack=a", "--explain", "warehouse"]).out);
    expect_text("plan-nothing", &run(&["plan", SMALL]).out);
}

#[test]
fn a_complete_plan() {
    let plan = run(&["plan", SMALL, "--fail", "kvm-1", "--json"]);
    assert_eq!((plan.status, plan.err.as_str()), (0, ""));
    let json = plan.json();
    assert_eq!(json["format"], "lifeboat-plan/1");
    assert_eq!(json["status"], "complete");
    assert_eq!(json["optimal"], true);
    assert_eq!(names(&json["failed"]), ["kvm-1"]);
    let mut placed: Vec<&str> =
        json["placements"].as_array().expect("a list").iter().filter_map(|start| start["vm"].as_str()).collect();
    placed.sort_unstable();
    assert_eq!(placed, ["app-1", "db-1", "dc-1"]);
    assert_eq!(names(&json["left_alone"]), ["sandbox"]);
    assert!(json["free"]["memory"]["largest"].as_u64() <= json["free"]["memory"]["total"].as_u64());
    // The order in the text is part of the form.
    let order = [
        "\"format\"",
        "\"status\"",
        "\"optimal\"",
        "\"failed\"",
        "\"placements\"",
        "\"evictions\"",
        "\"unplaced\"",
        "\"waiting\"",
        "\"left_alone\"",
        "\"classes\"",
        "\"free\"",
        "\"notes\"",
        "\"work\"",
    ];
    let at: Vec<Option<usize>> = order.iter().map(|field| plan.out.find(&format!("\n  {field}:"))).collect();
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?}");
}

#[test]
fn a_short_plan_says_why() {
    let plan = run(&["plan", TIGHT, "--fail", "rack=a", "--json"]);
    assert_eq!((plan.status, plan.err.as_str()), (1, ""));
    let json = plan.json();
    assert_eq!(json["status"], "short");
    let unplaced = json["unplaced"].as_array().expect("a list");
    let reasons = |name: &str| {
        let found = unplaced.iter().find(|unplaced| unplaced["vm"] == name);
        found.unwrap_or_else(|| panic!("{name} is placed"))["reasons"].as_array().expect("a list")
    };
    let code_of = |name: &str, code: &str| {
        reasons(name).iter().find(|reason| reason["code"] == code).unwrap_or_else(|| panic!("{name}: no {code}"))
    };
    assert_eq!(code_of("sql-1", "rule")["name"], "sql nodes in three racks");
    let short = code_of("warehouse", "insufficient");
    assert_eq!((short["kind"].as_str(), short["needed"].as_u64()), (Some("memory"), Some(180_224)));
    assert!(short["free"].as_u64() < short["needed"].as_u64());
    assert_eq!(code_of("warehouse-ui", "prerequisite")["vm"], "warehouse");
    assert_eq!(code_of("license-server", "not_allowed")["nodes"], 5);
    assert_eq!(code_of("tape", "missing_label")["label"], "fc-tape");
    assert_eq!(code_of("sql-1", "not_accepting")["state"], "cordoned");
    let failed = code_of("sql-1", "failed");
    assert_eq!(failed["nodes"], 3);
    assert_eq!(names(&failed["examples"]), ["blade-a1", "blade-a2", "blade-a3"]);
    assert!(unplaced.iter().all(|unplaced| unplaced["message"].as_str().is_some_and(|message| !message.is_empty())));
    for class in json["classes"].as_array().expect("a list") {
        assert_eq!(fields(class).len(), 5);
        assert!(class["placed"].as_u64() <= class["bound"].as_u64());
    }
}

#[test]
fn every_loss_of_a_unit_gives_a_valid_plan() {
    for (document, units) in [
        (SMALL, &["kvm-1", "kvm-2", "kvm-3", "kvm-4", "rack=left", "rack=right"][..]),
        (TIGHT, &["blade-a1", "blade-c3", "rack=a", "rack=b", "rack=c"]),
        (NORTH_SOUTH, &["hv-n11", "hv-s21", "rack=n1", "rack=n2", "rack=s1", "power_feed=north-a", "site=south"]),
    ] {
        for unit in units {
            let plan = run(&["plan", document, "--fail", unit, "--json"]);
            assert!([0, 1, 3].contains(&plan.status), "{document} {unit}: {}", plan.err);
            let check = run_with_input(&["check-plan", document, "-", "--json"], &plan.out);
            assert_eq!(check.status, 0, "{document} {unit}: {}", check.out);
            let again = run_with_input(&["check-plan", document, "-", "--fail", unit], &plan.out);
            assert_eq!(again.status, 0, "{document} {unit}: {}", again.out);
        }
    }
}

#[test]
fn a_wrong_plan_is_refused() {
    let plan = run(&["plan", SMALL, "--fail", "kvm-1", "--json"]).json();
    let refused = |change: fn(&mut Value), code: &str| {
        let mut plan = plan.clone();
        change(&mut plan);
        let check = run_with_input(&["check-plan", SMALL, "-", "--json"], &plan.to_string());
        assert_eq!(check.status, 1, "{code}: {}", check.out);
        let json = check.json();
        assert_eq!((&json["format"], &json["valid"]), (&"lifeboat-plan-check/1".into(), &false.into()));
        let found = json["problems"].as_array().expect("a list").iter().any(|problem| problem["code"] == code);
        assert!(found, "{code}: {}", check.out);
    };
    refused(|plan| plan["placements"][0]["node"] = "kvm-1".into(), "target_fails");
    refused(|plan| plan["placements"][0]["vm"] = "dc-9".into(), "unknown_vm");
    refused(|plan| plan["placements"][0]["node"] = "kvm-9".into(), "unknown_node");
    refused(|plan| plan["placements"] = Value::Array(Vec::new()), "missing");
    refused(|plan| plan["free"]["memory"]["total"] = 1.into(), "free");
    refused(|plan| plan["status"] = "short".into(), "status");
    let not_a_plan = run_with_input(&["check-plan", SMALL, "-", "--json"], "{}");
    assert_eq!(not_a_plan.status, 2);
    assert_eq!(not_a_plan.json()["errors"][0]["code"], "bad_plan");
    // A plan for one failure is none for another.
    let other = run_with_input(&["check-plan", SMALL, "-", "--fail", "kvm-2"], &plan.to_string());
    assert_eq!(other.status, 1, "{}", other.out);
}

#[test]
fn explain_is_node_by_node() {
    let json = run(&["plan", SMALL, "--fail", "kvm-1", "--explain", "db-1", "--explain", "mail", "--json"]).json();
    let explain = json["explain"].as_array().expect("a list");
    assert_eq!(explain.len(), 2);
    let nodes = explain[0]["nodes"].as_array().expect("a list");
    assert_eq!(nodes.len(), 4);
    assert_eq!(nodes.iter().filter(|node| node["placed"] == true).count(), 1);
    assert_eq!((&nodes[0]["node"], &nodes[0]["code"]), (&"kvm-1".into(), &"failed".into()));
    assert_eq!((&nodes[3]["code"], &nodes[3]["name"]), (&"rule".into(), &"db apart".into()));
}

const BROKEN: &str = r#"{
  "format": "lifeboat/1",
  "resources": [{"name": "memory", "unit": "MiB"}],
  "nodes": [{"name": "one", "capacity": {"memroy": 8}}, {"name": "one", "capacity": {"memory": 8}}],
  "vms": [{"name": "db", "node": "two", "demand": {"memory": 1}, "color": "red"}]
}"#;

#[test]
fn every_error_is_listed() {
    for (command, format) in [("plan", "lifeboat-error/1"), ("check", "lifeboat-check/1")] {
        let broken = run_with_input(&[command, "-", "--json"], BROKEN);
        assert_eq!(broken.status, 2);
        let json = broken.json();
        assert_eq!(json["format"], format);
        let errors = json["errors"].as_array().expect("a list");
        // The unknown kind, the name twice, the unknown node, the unknown field.
        assert!(errors.len() >= 4, "{}", broken.out);
        for error in errors {
            assert_eq!(fields(error), ["code", "message", "object", "path"]);
            assert!(error["code"].as_str().is_some_and(|code| broken.err.contains(code)), "{}", broken.err);
        }
        assert_eq!(broken.err.lines().count(), errors.len());
        let plain = run_with_input(&[command, "-"], BROKEN);
        assert_eq!((plain.status, plain.out.as_str(), &plain.err), (2, "", &broken.err));
    }
}

#[test]
fn strict_asks_for_every_kind() {
    let document = r#"{"format": "lifeboat/1", "resources": [{"name": "cpu", "unit": "MHz"}, {"name": "memory", "unit": "MiB"}],
        "nodes": [{"name": "one", "capacity": {"memory": 8}}]}"#;
    let lenient = run_with_input(&["check", "-", "--json"], document);
    assert_eq!(lenient.status, 1);
    assert_eq!(lenient.json()["warnings"][0]["code"], "kind_not_stated");
    let strict = run_with_input(&["check", "-", "--strict", "--json"], document);
    assert_eq!(strict.status, 2);
    assert_eq!(strict.json()["errors"][0]["code"], "kind_not_stated");
}

#[test]
fn names_that_do_not_exist() {
    let wrong = run(&[
        "plan",
        SMALL,
        "--fail",
        "kvm1",
        "--fail",
        "rack=lfet",
        "--fail",
        "rakc=left",
        "--explain",
        "bd-1",
        "--json",
    ]);
    assert_eq!(wrong.status, 2);
    let json = wrong.json();
    let codes: Vec<&Value> = json["errors"].as_array().expect("a list").iter().map(|error| &error["code"]).collect();
    assert_eq!(codes, ["unknown_node", "unknown_domain", "unknown_level", "unknown_vm"]);
    for meant in ["\"kvm-1\"", "\"left\"", "\"rack\"", "\"db-1\""] {
        assert!(wrong.err.contains(&format!("did you mean {meant}")), "{}", wrong.err);
    }
    let domain = run(&["plan", SMALL, "--fail", "left"]);
    assert!(domain.err.contains("did you mean \"rack=left\"?"), "{}", domain.err);
}

#[test]
fn text_on_standard_input_that_is_no_text() {
    let mut child = Command::new(program())
        .args(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("is piped").write_all(b"{\xff").expect("is read");
    let output = child.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(err.contains("standard input is not UTF-8 text: byte 1 is wrong"), "{err}");
}

#[test]
fn a_node_whose_name_looks_like_a_domain() {
    let document = r#"{"format": "lifeboat/1", "resources": [{"name": "memory", "unit": "MiB"}], "levels": ["rack", "a=b"],
        "nodes": [{"name": "rack=1", "capacity": {"memory": 8}, "domain": {"rack": "2"}},
                  {"name": "other", "capacity": {"memory": 8}, "domain": {"rack": "1", "a=b": "c=d"}}]}"#;
    let failed = |fail: &str| {
        let plan = run_with_input(&["plan", "-", "--json", "--fail", fail], document);
        assert_eq!(plan.status, 0, "{}", plan.err);
        names(&plan.json()["failed"]).into_iter().map(str::to_string).collect::<Vec<_>>()
    };
    // A node of that name and a domain of that name: nobody knows which is meant.
    let both = run_with_input(&["plan", "-", "--json", "--fail", "rack=1"], document);
    assert_eq!(both.status, 2, "{}", both.err);
    assert!(both.err.contains("write \"node=rack=1\" for the node"), "{}", both.err);
    assert_eq!(failed("rack=2"), ["rack=1"]);
    // A node without a domain is one by itself, of its own name.
    assert_eq!(failed("a=b=rack=1"), ["rack=1"]);
    assert_eq!(failed("node=other"), ["other"]);
    assert_eq!(failed("node=rack=1"), ["rack=1"]);
    assert_eq!(failed("a=b=c=d"), ["other"]);
}

#[test]
fn input_that_is_no_document() {
    for (input, code) in [("", "syntax"), ("[]", ""), ("{\"format\": \"lifeboat/9\"}", "")] {
        let run = run_with_input(&["plan", "-", "--json"], input);
        assert_eq!(run.status, 2, "{input}");
        let json = run.json();
        let first = json["errors"][0]["code"].as_str().expect("a code");
        assert!(code.is_empty() || first == code, "{input}: {first}");
    }
    let missing = run(&["plan", "no/such/file.json", "--json"]);
    assert_eq!((missing.status, &missing.json()["errors"][0]["code"]), (2, &"unreadable".into()));
    let usage = run(&["plan", "--json"]);
    assert_eq!((usage.status, &usage.json()["errors"][0]["code"]), (2, &"usage".into()));
    assert!(usage.err.contains("Usage"), "{}", usage.err);
    assert_eq!(run(&["--help"]).status, 0);
    assert_eq!(run(&["plan", "--help"]).status, 0);
}

#[test]
fn control_characters_stay_in_the_document() {
    let document = r#"{"format": "lifeboat/1", "name": "\u001b[2J", "resources": [{"name": "memory", "unit": "MiB"}],
        "nodes": [{"name": "one\u001b[31m", "capacity": {"memory": 8}}, {"name": "two", "capacity": {"memory": 8}}],
        "vms": [{"name": "db\nrm -rf", "node": "one\u001b[31m", "demand": {"memory": 1}}]}"#;
    for args in [
        &["check", "-"][..],
        &["plan", "-", "--fail", "node=one\u{1b}[31m", "--explain", "db\nrm -rf"],
        &["plan", "-", "--fail", "x\u{1b}"],
    ] {
        let run = run_with_input(args, document);
        assert!(!run.out.contains('\u{1b}') && !run.err.contains('\u{1b}'), "{}{}", run.out, run.err);
        assert!(!run.out.contains("\nrm"), "{}", run.out);
    }
}

#[test]
fn long_lists_are_cut_and_all_shows_them() {
    let vms: Vec<String> =
        (0..60).map(|vm| format!(r#"{{"name": "vm-{vm:02}", "node": "one", "demand": {{"memory": 1}}}}"#)).collect();
    let document = format!(
        r#"{{"format": "lifeboat/1", "resources": [{{"name": "memory", "unit": "MiB"}}],
        "nodes": [{{"name": "one", "capacity": {{"memory": 99}}}}, {{"name": "two", "capacity": {{"memory": 99}}}}], "vms": [{}]}}"#,
        vms.join(",")
    );
    let short = run_with_input(&["plan", "-", "--fail", "one"], &document);
    assert!(short.out.contains("and 40 more; --all shows them"), "{}", short.out);
    assert!(!short.out.contains("vm-59"));
    let all = run_with_input(&["plan", "-", "--fail", "one", "--all"], &document);
    assert!(all.out.contains("vm-59") && !all.out.contains("--all"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command(&["plan", NORTH_SOUTH, "--fail", "rack=n1", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("UTF-8");
    let status = child.wait().expect("ends");
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_with_4() {
    let mut child = command(&["plan", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let input = child.stdin.take().expect("piped");
    // The handler is in place soon after the start; until then the signal would end the program the system's way.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let run = Run::from(child.wait_with_output().expect("ends"));
    drop(input);
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (4, "", "cancelled\n"));
}

#[test]
fn the_document_of_the_readme_works() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    let document = readme.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a document");
    assert!(document.lines().count() <= 12);
    let check = run_with_input(&["check", "-"], document);
    assert_eq!(check.status, 0, "{}{}", check.out, check.err);
    let plan = run_with_input(&["plan", "-", "--fail", "one", "--json"], document);
    assert_eq!(plan.status, 0);
    assert_eq!(plan.json()["placements"][0]["node"], "two");
}

#[test]
fn the_commands_of_the_readme_work() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    let commands: Vec<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("cargo run --release --example lifeboat -- ")).collect();
    assert!(!commands.is_empty());
    for line in commands {
        let args: Vec<&str> = line.split_whitespace().collect();
        let run = run(&args);
        assert!([0, 1, 3].contains(&run.status), "{line}: {}", run.err);
        assert!(!run.out.is_empty() && run.err.is_empty());
    }
}

fn temporary(name: &str) -> PathBuf {
    env::temp_dir().join(format!("lifeboat-{}-{name}", std::process::id()))
}

#[test]
fn verify_says_what_holds_and_what_it_covers() {
    let holds = run(&["verify", SMALL, "--tolerate", "node=1", "--json"]);
    let json = holds.json();
    assert_eq!(json["format"], "lifeboat-verdict/1");
    let class = &json["classes"][0];
    let status = match json["verdict"].as_str() {
        Some("holds") => 0,
        Some("fails") => 1,
        _ => 3,
    };
    assert_eq!(holds.status, status, "{json}");
    for key in ["covers", "tolerate", "verdict", "scenarios", "open", "failing_units", "method", "checked"] {
        assert!(class.get(key).is_some(), "{key} is missing: {class}");
    }
    assert!(class["scenarios"].is_string() && class["open"].is_string());
    let text = run(&["verify", SMALL, "--tolerate", "node=1"]);
    assert_eq!(text.status, status);
    assert!(text.out.contains("node=1"), "{}", text.out);
}

#[test]
fn verify_shows_a_failure_that_cannot_be_survived() {
    let fails = run(&["verify", TIGHT, "--tolerate", "rack=1", "--json"]);
    assert_eq!(fails.status, 1, "{}", fails.out);
    let json = fails.json();
    assert_eq!(json["verdict"], "fails");
    let text = run(&["verify", TIGHT, "--tolerate", "rack=1"]);
    assert_eq!(text.status, 1);
    assert!(text.out.starts_with("Fails"), "{}", text.out);
}

#[test]
fn verify_refuses_what_it_does_not_understand() {
    for (argument, said) in [
        ("node", "is not LEVEL=COUNT"),
        ("rak=1", "there is no level"),
        ("node=many", "is not a number"),
        ("node=1,node=2", "named twice"),
        ("node=1:urgent", "is no priority"),
    ] {
        let refused = run(&["verify", SMALL, "--tolerate", argument]);
        assert_eq!(refused.status, 2, "{argument}");
        assert!(refused.err.contains(said), "{argument}: {}", refused.err);
    }
}

#[test]
fn certificates_are_written_and_checked() {
    let file = temporary("certificate.json");
    let path = file.to_str().unwrap();
    // A cluster with room for everything.
    let text = r#"{"format":"lifeboat/1","resources":[{"name":"memory"}],"nodes":[{"name":"a","capacity":{"memory":8}},
        {"name":"b","capacity":{"memory":8}},{"name":"c","capacity":{"memory":8}}],
        "vms":[{"name":"x","demand":{"memory":3},"node":"a"},{"name":"y","demand":{"memory":3},"node":"b"}]}"#;
    let cluster = temporary("cluster.json");
    fs::write(&cluster, text).unwrap();
    let cluster = cluster.to_str().unwrap();
    let verified = run(&["verify", cluster, "--tolerate", "node=2", "--certificate", path, "--json"]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
    assert_eq!(verified.json()["classes"][0]["checked"], true);
    assert_eq!(run(&["check-certificate", cluster, path]).status, 0);
    let changed = temporary("changed.json");
    fs::write(&changed, text.replace("\"memory\":3},\"node\":\"b\"", "\"memory\":4},\"node\":\"b\"")).unwrap();
    let refused = run(&["check-certificate", changed.to_str().unwrap(), path, "--json"]);
    assert_eq!(refused.status, 1, "{}{}", refused.out, refused.err);
    assert_eq!(refused.json()["faults"][0]["code"], "other_state");
    assert_eq!(run(&["check-certificate", cluster, cluster]).status, 2);
    let capacity = run(&["capacity", cluster, "--json"]);
    assert_eq!(capacity.status, 0);
    assert_eq!(capacity.json()["max_tolerable"]["node"], serde_json::json!([2, 2]));
    for file in [path, cluster, changed.to_str().unwrap()] {
        let _ = fs::remove_file(file);
    }
}

/// A question to the library's one call; fields besides the cluster.
fn asked(document: &str, question: &str, mut fields: Value) -> lifeboat::answers::Response {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).expect("readable");
    fields["format"] = "lifeboat-request/1".into();
    fields["question"] = question.into();
    fields["cluster"] = serde_json::from_str(&text).expect("JSON");
    lifeboat::answers::ask(&fields.to_string())
}

#[test]
fn the_one_call_says_what_the_program_prints() {
    let same = |document: &str, question: &str, fields: Value, args: &[&str], input: &str| {
        let response = asked(document, question, fields);
        let (command, rest) = args.split_first().expect("a command");
        let args: Vec<&str> = [*command, document].into_iter().chain(rest.iter().copied()).chain(["--json"]).collect();
        let printed = run_with_input(&args, input);
        assert_eq!(i32::from(response.status), printed.status, "{args:?}");
        assert!(response.text == printed.out, "{args:?}:\n{}\n{}", response.text, printed.out);
        response.text
    };
    for (document, node, rack, vm) in
        [(SMALL, "kvm-1", "left", "db-1"), (TIGHT, "blade-a1", "a", "sql-1"), (NORTH_SOUTH, "hv-n11", "n1", "dc-n")]
    {
        let vm = if document == NORTH_SOUTH {
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).expect("readable");
            let json: Value = serde_json::from_str(&text).expect("JSON");
            json["vms"][0]["name"].as_str().expect("a name").to_string()
        } else {
            vm.to_string()
        };
        let rack = format!("rack={rack}");
        let (fail, explain) = (vec!["plan", "--fail", node, "--fail", &rack], ["--explain", &vm]);
        same(document, "check", json!({}), &["check"], "");
        same(document, "check", json!({"strict": true}), &["check", "--strict"], "");
        same(document, "plan", json!({}), &["plan"], "");
        let args: Vec<&str> = fail.iter().chain(&explain).copied().collect();
        let plan = same(document, "plan", json!({"fail": [node, rack], "explain": [vm]}), &args, "");
        let units = json!({"fail": [{"node": node}, {"rack": rack.trim_start_matches("rack=")}], "explain": [vm]});
        assert_eq!(same(document, "plan", units, &args, ""), plan);
        let as_json: Value = serde_json::from_str(&plan).expect("JSON");
        same(document, "check_plan", json!({"plan": as_json}), &["check-plan", "-"], &plan);
        same(document, "verify", json!({}), &["verify"], "");
        let args = ["verify", "--tolerate", "node=2", "--tolerate", "node=1,rack=1:high"];
        let verdict = same(document, "verify", json!({"tolerate": ["node=2", "node=1,rack=1:high"]}), &args, "");
        let classes = json!([{"fail": {"node": 2}}, {"fail": {"rack": 1, "node": 1}, "min_priority": "high"}]);
        assert_eq!(asked(document, "verify", json!({"tolerate": classes})).text, verdict);
        let certificate = asked(document, "certify", json!({})).text;
        let as_json: Value = serde_json::from_str(&certificate).expect("JSON");
        let fields = json!({"certificate": as_json});
        same(document, "check_certificate", fields, &["check-certificate", "-"], &certificate);
        same(document, "capacity", json!({}), &["capacity"], "");
        same(document, "capacity", json!({"like": vm}), &["capacity", "--like", &vm], "");
        // A question about every node is a long one where there are many.
        let every_node = document != NORTH_SOUTH;
        let mut args = vec!["capacity", "--level", "node", "--shape", "cpu=500,memory=1000"];
        args.extend(every_node.then_some("--nodes"));
        let shape = json!({"level": ["node"], "nodes": every_node, "shape": {"cpu": 500, "memory": 1000}});
        same(document, "capacity", shape, &args, "");
        same(document, "compare", json!({"tolerate": ["node=2"]}), &["compare", "--tolerate", "node=2"], "");
        let changes = format!(
            "{}\n{}\n{}\n{}\n",
            json!({"op": "stop", "vm": vm}),
            json!([{"op": "start", "vm": vm}, {"op": "set_state", "node": node, "state": "cordoned"}]),
            json!({"op": "strat", "vm": vm}),
            json!({"op": "add_vm", "vm": {"name": "new", "demand": {"cpu": 100, "memory": 1000}, "power": "on"}}),
        );
        for (question, flag) in [("admit", None), ("observe", Some("--observe"))] {
            let args: Vec<&str> = ["admit", "--changes", "-"].into_iter().chain(flag).collect();
            let said = same(document, question, json!({"changes": changes}), &args, &changes);
            let list: Vec<Value> = changes.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let listed = asked(document, question, json!({"changes": list})).text;
            assert_eq!(listed.replace("changes[2]", "line 3"), said);
        }
    }
}

#[test]
fn requests_that_cannot_be_understood() {
    let faults = |response: lifeboat::answers::Response| -> Vec<(String, String)> {
        assert_eq!(response.status, 2, "{}", response.text);
        let json: Value = serde_json::from_str(&response.text).expect("JSON");
        assert_eq!(json["format"], "lifeboat-error/1");
        let text = |value: &Value| value.as_str().expect("text").to_string();
        json["errors"].as_array().expect("a list").iter().map(|one| (text(&one["path"]), text(&one["code"]))).collect()
    };
    let expect = |response, expected: &[(&str, &str)]| {
        let found = faults(response);
        let found: Vec<(&str, &str)> = found.iter().map(|(path, code)| (path.as_str(), code.as_str())).collect();
        assert_eq!(found, expected);
    };
    let ask = lifeboat::answers::ask;
    expect(ask(""), &[("", "syntax")]);
    expect(ask("[]"), &[("", "wrong_type")]);
    expect(ask("{}"), &[("format", "missing"), ("question", "missing"), ("cluster", "missing")]);
    let twice = r#"{"format": "lifeboat-request/2", "question": "plam", "cluster": {}, "cluster": {}}"#;
    expect(ask(twice), &[("cluster", "duplicate_key"), ("format", "format"), ("question", "unknown_question")]);
    let fields = json!({"changes": [], "explain": [1], "fail": "kvm-1"});
    expect(
        asked(SMALL, "plan", fields),
        &[("explain[0]", "wrong_type"), ("fail", "wrong_type"), ("changes", "unknown_field")],
    );
    expect(asked(SMALL, "admit", json!({})), &[("changes", "missing")]);
    let fields = json!({"fail": ["kvm1", {"rack": "lfet"}, {"rakc": "left"}, 3], "explain": ["bd-1"]});
    let expected = [
        ("fail[0]", "unknown_node"),
        ("fail[1]", "unknown_domain"),
        ("fail[2]", "unknown_level"),
        ("fail[3]", "wrong_type"),
        ("explain", "unknown_vm"),
    ];
    expect(asked(SMALL, "plan", fields), &expected);
    let fields = json!({"tolerate": [{"fail": {"rakc": 1}}, "node=x"]});
    expect(asked(SMALL, "verify", fields), &[("tolerate[0].fail.rakc", "unknown_level"), ("tolerate[1]", "tolerate")]);
    expect(asked(SMALL, "capacity", json!({"shape": {"cup": 1}})), &[("shape.cup", "unknown_kind")]);
    let broken = r#"{"format": "lifeboat-request/1", "question": "plan", "cluster": {"format": "lifeboat/1", "resources":
        [{"name": "m"}], "nodes": [{"name": "a", "capacity": {"m": 1, "m": 2}}], "vms": [{"name": "b", "node": "c"}]}}"#;
    let found = faults(ask(broken));
    assert!(found.len() >= 2 && found.iter().any(|(path, _)| path == "nodes[0].capacity.m"), "{found:?}");
    let control = lifeboat::Control::new();
    control.cancel();
    let request = json!({"format": "lifeboat-request/1", "question": "verify", "cluster":
        serde_json::from_str::<Value>(&fs::read_to_string(SMALL).expect("readable")).expect("JSON")});
    let cancelled = lifeboat::answers::ask_controlled(&request.to_string(), &control);
    assert_eq!(cancelled.status, 4);
    assert!(cancelled.text.contains("\"cancelled\""));
}
