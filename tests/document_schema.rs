//! The committed JSON Schema says what the library says, as far as a schema can: both on valid documents, on broken
//! ones, and on every small change of a valid one.

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
#![cfg(feature = "json")]

use lifeboat::Document;
use lifeboat::document::to_json;
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../schema/lifeboat-1.schema.json");
const EXAMPLE: &str = include_str!("document/example.json");

/// Codes of errors in the meaning of names and numbers, which no schema can see.
const BEYOND: [&str; 15] = [
    "unknown_node",
    "unknown_vm",
    "unknown_kind",
    "unknown_level",
    "unknown_domain",
    "duplicate_name",
    "overflow",
    "start_cycle",
    "needs_idle",
    "reserved_exceeds_capacity",
    "two_parts",
    "kind_not_stated",
    "duplicate_key",
    "syntax",
    "bad_migration",
];

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap()
}

/// Whether the library finds nothing wrong with the form; `None` where a schema has no say.
fn form_is_right(text: &str) -> Option<bool> {
    match Document::from_json(text) {
        Ok(_) => Some(true),
        Err(errors) if errors.iter().any(|error| !BEYOND.contains(&error.code)) => Some(false),
        Err(errors)
            if errors.iter().any(|error| ["syntax", "duplicate_key", "bad_migration"].contains(&error.code)) =>
        {
            None
        }
        Err(_) => Some(true),
    }
}

fn agree(validator: &jsonschema::Validator, text: &str, disagreements: &mut Vec<String>) {
    let (Some(expected), Ok(value)) = (form_is_right(text), serde_json::from_str::<Value>(text)) else { return };
    let by_schema = validator.is_valid(&value);
    if by_schema != expected {
        let said = Document::from_json(text).err().map(|errors| errors.to_string());
        disagreements.push(format!("schema {by_schema}, library {expected} ({said:?}): {text}"));
    }
}

#[test]
fn schema_and_library_agree() {
    let validator = validator();
    let mut wrong = Vec::new();
    agree(&validator, EXAMPLE, &mut wrong);
    let (cluster, policy) = Document::from_json(EXAMPLE).unwrap().into_parts();
    agree(&validator, &to_json(&cluster, &policy), &mut wrong);
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad-documents")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for case in format!("\n{text}").split("\n# ").skip(1) {
            let input = case.split_once('\n').unwrap().1.split_once("----\n").unwrap().0;
            agree(&validator, input, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{} disagreements\n{}", wrong.len(), wrong.join("\n"));
}

/// All values inside a value, by pointer.
fn pointers(value: &Value, path: String, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                pointers(field, format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                pointers(item, format!("{path}/{at}"), all);
            }
        }
        _ => {}
    }
    all.push(path);
}

#[test]
fn schema_and_library_agree_on_every_small_change() {
    let validator = validator();
    let example: Value = serde_json::from_str(EXAMPLE).unwrap();
    let mut all = Vec::new();
    pointers(&example, String::new(), &mut all);
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!("x"),
        json!(""),
        json!([]),
        json!({}),
        json!([null]),
    ];
    let mut wrong = Vec::new();
    for pointer in all {
        for value in &values {
            let mut changed = example.clone();
            *changed.pointer_mut(&pointer).unwrap() = value.clone();
            agree(&validator, &changed.to_string(), &mut wrong);
        }
        let mut changed = example.clone();
        if let Some(Value::Object(fields)) = changed.pointer_mut(&pointer) {
            fields.insert("surprise".into(), json!(1));
            agree(&validator, &changed.to_string(), &mut wrong);
        }
    }
    wrong.sort_by_key(String::len);
    assert!(
        wrong.is_empty(),
        "{} disagreements, such as\n{}",
        wrong.len(),
        wrong.iter().take(12).map(|text| &text[..300]).collect::<Vec<_>>().join("\n")
    );
}
