//! The header of the C ABI against its sources, and against C and C++ compilers where there are any.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::pedantic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test that fails panics, and says what it skips"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn names(text: &str, follows: char) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("lifeboat_") {
        let rest = &text[at..];
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        if rest[end..].starts_with(follows) {
            found.insert(rest[..end].to_string());
        }
    }
    found
}

#[test]
fn the_header_declares_what_is_exported() {
    let source = read("src/capi/mod.rs");
    let calls: String = source.lines().filter(|line| line.contains("extern \"C\" fn lifeboat_")).collect();
    let freed: String = source.lines().filter(|line| line.contains("= 0x1b0a_")).collect();
    let mut exported = names(&calls, '(');
    exported.extend(names(&freed, ';'));
    assert!(exported.len() > 30);
    assert_eq!(exported, names(&read("src/capi/lifeboat.h"), '('));
}

#[test]
fn statuses_have_the_numbers_of_the_header() {
    let header = read("src/capi/lifeboat.h");
    let source = read("src/capi/handle.rs");
    let mut count = 0;
    for line in source.lines().map(str::trim).filter_map(|line| line.strip_prefix("pub const ")) {
        let Some((name, rest)) = line.split_once(": i32 = ") else { continue };
        assert!(header.contains(&format!("#define LIFEBOAT_{name} {}\n", rest.trim_end_matches(';'))), "{name}");
        count += 1;
    }
    assert_eq!(count, 13);
}

#[test]
fn unsafe_code_stands_in_the_c_abi_alone() {
    fn look(folder: &Path, found: &mut Vec<PathBuf>) {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                look(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                if code.into_iter().any(|line| {
                    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe("]
                        .iter()
                        .any(|word| line.contains(word))
                }) {
                    found.push(path);
                }
            }
        }
    }
    let mut found = Vec::new();
    look(&root().join("src"), &mut found);
    found.retain(|path| !path.starts_with(root().join("src/capi")));
    assert_eq!(found, Vec::<PathBuf>::new());
}

#[test]
fn the_client_is_accepted_by_c_and_cpp() {
    let compile = |program: &str, arguments: &[&str]| {
        let run = Command::new(program)
            .current_dir(root())
            .args(arguments)
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-Isrc/capi"])
            .output();
        match run {
            Err(_) => println!("skipped: no {program}"),
            Ok(run) => assert!(run.status.success(), "{program}: {}", String::from_utf8_lossy(&run.stderr)),
        }
    };
    compile("cc", &["-std=c99", "examples/c/client.c"]);
    compile("c++", &["-std=c++11", "-x", "c++", "src/capi/lifeboat.h", "-Wno-pragma-once-outside-header"]);
}
