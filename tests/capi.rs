//! The C ABI from outside: its header is made from its sources, its symbols are those of the list, and C and C++ compilers
//! take it. `LIFEBOAT_BLESS=1` writes header and list anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::pedantic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test that fails panics, and says what it skips"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files of the ABI, in the order in which they stand in the header.
const SOURCES: [&str; 14] = [
    "status",
    "values",
    "error",
    "buffer",
    "specs",
    "cluster",
    "policy",
    "plan",
    "verdict",
    "certificate",
    "cover",
    "guard",
    "capacity",
    "call",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Compares a text with the committed one, or writes it.
fn committed(path: &str, made: &str) {
    if std::env::var_os("LIFEBOAT_BLESS").is_some() {
        fs::write(root().join(path), made).unwrap();
    }
    let there = fs::read_to_string(root().join(path)).unwrap_or_default();
    assert!(there == made, "{path} is not what the sources say; LIFEBOAT_BLESS=1 writes it anew");
}

/// The header, made from the sources.
fn header() -> String {
    let folder = root().join("src/capi");
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(folder.join(source).with_extension("rs"));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    let text = String::from_utf8(text).unwrap();
    let asserts = layout_asserts(&text);
    let end = text.rfind("#endif").unwrap();
    short_comments(&format!("{}{asserts}\n{}", &text[..end], &text[end..]))
}

/// Comments of one line stand in one line.
fn short_comments(header: &str) -> String {
    let lines: Vec<&str> = header.lines().collect();
    let mut text = String::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let is_short = line.trim() == "/**" && lines.get(at + 2).is_some_and(|line| line.trim() == "*/");
        if is_short {
            let words = lines[at + 1].trim().trim_start_matches("* ");
            writeln!(text, "{}/** {words} */", line.trim_end_matches("/**")).unwrap();
            at += 3;
        } else {
            writeln!(text, "{line}").unwrap();
            at += 1;
        }
    }
    text
}

/// Size and alignment of a C type for a width of pointers.
fn measure(kind: &str, pointer: usize, known: &BTreeMap<String, (usize, usize)>) -> (usize, usize) {
    match kind {
        _ if kind.ends_with('*') => (pointer, pointer),
        "size_t" => (pointer, pointer),
        "uint32_t" | "int32_t" => (4, 4),
        "uint64_t" | "int64_t" => (8, 8),
        other => {
            let name = other.trim_start_matches("struct ");
            *known.get(name).unwrap_or_else(|| panic!("unknown type {other:?}; known are {known:?}"))
        }
    }
}

/// The structs of a header: name, and type and name of each field.
fn structs(header: &str) -> Vec<(String, Vec<(String, String)>)> {
    let code: String = header.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, code)| code)).collect();
    let mut found = Vec::new();
    for part in code.split("typedef struct ").skip(1) {
        let Some((name, rest)) = part.split_once(" {") else { continue };
        if name.contains(';') {
            continue;
        }
        let body = &rest[..rest.find('}').unwrap()];
        let fields = body.split(';').map(str::trim).filter(|field| !field.is_empty()).map(|field| {
            let at = field.rfind([' ', '*']).unwrap() + 1;
            (field[..at].trim().to_string(), field[at..].to_string())
        });
        found.push((name.to_string(), fields.collect()));
    }
    found
}

/// What both sides take the structs to be, for 64 and 32 bits, as a compiler checks it. Worked out by the rules of C, and
/// compared with what Rust has in `capi::tests`.
fn layout_asserts(header: &str) -> String {
    let mut text = String::from(
        "\n/* What both sides take the structs to be: where it is not so, this does not compile. */\n\
         #define LIFEBOAT_LAYOUT(name, holds) typedef char lifeboat_layout_of_##name[(holds) ? 1 : -1]\n",
    );
    let structs = structs(header);
    assert!(structs.len() >= 12, "{structs:?}");
    for (pointer, condition) in [(8, "#if UINTPTR_MAX > 0xffffffffu"), (4, "#elif UINTPTR_MAX == 0xffffffffu")] {
        writeln!(text, "{condition}").unwrap();
        let mut known = BTreeMap::new();
        for (name, fields) in &structs {
            let (mut at, mut widest) = (0, 1);
            let mut offsets = String::new();
            for (kind, field) in fields {
                let (size, align) = measure(kind, pointer, &known);
                // No gaps: then it does not matter how a 32-bit platform aligns 64-bit numbers.
                assert_eq!(at % align, 0, "{name}.{field} stands behind a gap on {} bits", pointer * 8);
                write!(offsets, " &&\n    offsetof({name}, {field}) == {at}").unwrap();
                at += size;
                widest = widest.max(align);
            }
            assert_eq!(at % widest, 0, "{name} ends with a gap on {} bits", pointer * 8);
            writeln!(text, "LIFEBOAT_LAYOUT({name}, sizeof({name}) == {at}{offsets});").unwrap();
            known.insert(name.clone(), (at, widest));
        }
    }
    text.push_str("#endif\n#undef LIFEBOAT_LAYOUT\n");
    text
}

#[test]
fn the_header_is_made_from_the_sources() {
    committed("src/capi/lifeboat.h", &header());
}

/// The functions that the sources export.
fn exported() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in SOURCES {
        let text = read(&format!("src/capi/{source}.rs"));
        assert_eq!(text.matches("no_mangle").count(), text.matches("extern \"C\" fn lifeboat_").count(), "{source}");
        for part in text.split("extern \"C\" fn ").skip(1) {
            found.insert(part[..part.find('(').unwrap()].to_string());
        }
    }
    found
}

#[test]
fn the_symbols_are_those_of_the_list() {
    let exported = exported();
    let list: String = exported.iter().map(|name| format!("{name}\n")).collect();
    committed("src/capi/symbols.txt", &list);
    let header = read("src/capi/lifeboat.h");
    for name in &exported {
        assert!(header.contains(&format!("{name}(")), "{name} is not declared");
    }
    let others: Vec<_> = fs::read_dir(root().join("src/capi"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .filter(|path| !SOURCES.contains(&path.file_stem().unwrap().to_str().unwrap()))
        .filter(|path| fs::read_to_string(path).unwrap().contains("no_mangle"))
        .collect();
    assert_eq!(others, Vec::<PathBuf>::new());
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
fn c_and_cpp_compilers_take_header_and_clients() {
    let compile = |program: &str, arguments: &[&str]| {
        let run = Command::new(program)
            .current_dir(root())
            .args(arguments)
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-Isrc/capi"])
            .output();
        match run {
            Err(_) => println!("skipped: no {program}"),
            Ok(run) => {
                let told = String::from_utf8_lossy(&run.stderr).into_owned();
                if arguments.contains(&"-m32") && told.contains("No such file") {
                    println!("skipped: {program} has no 32-bit headers");
                } else {
                    assert!(run.status.success(), "{program} {arguments:?}: {told}");
                }
            }
        }
    };
    compile("cc", &["-std=c99", "examples/c/client.c"]);
    compile("cc", &["-std=c99", "-m32", "examples/c/client.c"]);
    compile("c++", &["-std=c++11", "-x", "c++", "src/capi/lifeboat.h", "-Wno-pragma-once-outside-header"]);
    compile("c++", &["-std=c++17", "examples/cpp/client.cpp"]);
}
