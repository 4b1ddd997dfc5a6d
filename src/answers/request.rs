//! A question as JSON, `lifeboat-request/1`: its form.
//!
//! Uses `document` (trees of values). Used by `answers::ask`. Unknown fields and keys that stand twice are faults, as in
//! documents: what is passed over would be another question.

use super::faults::Fault;
use crate::document::tree::Tree;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The questions, each with the fields that it can have besides `format`, `question` and `cluster`.
const QUESTIONS: [(&str, Question, &[&str]); 10] = [
    ("check", Question::Check, &["strict"]),
    ("plan", Question::Plan, &["fail", "explain"]),
    ("check_plan", Question::CheckPlan, &["plan", "fail"]),
    ("verify", Question::Verify, &["tolerate"]),
    ("certify", Question::Certify, &["tolerate"]),
    ("check_certificate", Question::CheckCertificate, &["certificate"]),
    ("admit", Question::Admit, &["changes"]),
    ("observe", Question::Observe, &["changes"]),
    ("capacity", Question::Capacity, &["level", "shape", "like", "nodes"]),
    ("compare", Question::Compare, &["tolerate"]),
];

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Question {
    Check,
    Plan,
    CheckPlan,
    Verify,
    Certify,
    CheckCertificate,
    Admit,
    Observe,
    Capacity,
    Compare,
}

/// A request whose form is right. What its names mean is not looked at yet.
pub(super) struct Request {
    pub(super) question: Question,
    pub(super) cluster: Tree,
    pub(super) strict: bool,
    pub(super) nodes: bool,
    pub(super) explain: Vec<String>,
    pub(super) level: Vec<String>,
    pub(super) like: Option<String>,
    pub(super) fail: Option<Vec<Tree>>,
    pub(super) tolerate: Option<Vec<Tree>>,
    pub(super) shape: Option<Tree>,
    pub(super) plan: Option<Tree>,
    pub(super) certificate: Option<Tree>,
    pub(super) changes: Option<Tree>,
}

impl Request {
    /// Reads a request.
    pub(super) fn read(text: &str) -> Result<Self, Vec<Fault>> {
        let tree = serde_json::from_str(crate::document::without_mark(text))
            .map_err(|error| one("", "syntax", error.to_string()))?;
        let Tree::Object(fields) = tree else {
            return Err(one("", "wrong_type", "a request is an object"));
        };
        let mut reader = Reader { fields, faults: Vec::new() };
        reader.twice();
        match reader.text("format").as_deref() {
            Some("lifeboat-request/1") | None => {}
            Some(other) => reader.fault("format", "format", format!("is {other:?}, not \"lifeboat-request/1\"")),
        }
        let asked = reader.text("question");
        let known = asked.as_ref().and_then(|asked| QUESTIONS.iter().find(|(name, _, _)| name == asked));
        if let (Some(asked), None) = (&asked, known) {
            let names: Vec<&str> = QUESTIONS.iter().map(|(name, _, _)| *name).collect();
            let message = format!("there is no question {asked:?}; the questions are {}", names.join(", "));
            reader.fault("question", "unknown_question", message);
        }
        let cluster = reader.needed("cluster");
        let request = Self {
            question: known.map_or(Question::Check, |(_, question, _)| *question),
            cluster: cluster.unwrap_or(Tree::Null),
            strict: reader.flag("strict"),
            nodes: reader.flag("nodes"),
            explain: reader.texts("explain"),
            level: reader.texts("level"),
            like: if reader.has("like") { reader.text("like") } else { None },
            fail: reader.list("fail"),
            tolerate: reader.list("tolerate"),
            shape: reader.take("shape"),
            plan: reader.take("plan"),
            certificate: reader.take("certificate"),
            changes: reader.take("changes"),
        };
        if let Some((name, _, allowed)) = known {
            reader.misplaced(name, allowed);
            let required = match request.question {
                Question::CheckPlan if request.plan.is_none() => Some("plan"),
                Question::CheckCertificate if request.certificate.is_none() => Some("certificate"),
                Question::Admit | Question::Observe if request.changes.is_none() => Some("changes"),
                _ => None,
            };
            if let Some(field) = required {
                reader.fault(field, "missing", format!("the question {name:?} needs {field:?}"));
            }
        }
        if reader.faults.is_empty() { Ok(request) } else { Err(reader.faults) }
    }
}

/// One fault.
pub(super) fn one(path: &str, code: &str, message: impl Into<String>) -> Vec<Fault> {
    Vec::from([Fault::new(path, None, code, message)])
}

struct Reader {
    fields: Vec<(String, Tree)>,
    faults: Vec<Fault>,
}

impl Reader {
    fn fault(&mut self, path: &str, code: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(path, None, code, message));
    }

    fn twice(&mut self) {
        let twice = |(at, (key, _)): (usize, &(String, Tree))| {
            self.fields.iter().take(at).any(|(other, _)| other == key).then(|| key.clone())
        };
        let found: Vec<String> = self.fields.iter().enumerate().filter_map(twice).collect();
        for key in found {
            self.fault(&key, "duplicate_key", "the field stands there twice");
        }
    }

    /// Faults for fields that the question does not have.
    fn misplaced(&mut self, question: &str, allowed: &[&str]) {
        let is_known = |key: &str| ["format", "question", "cluster"].contains(&key) || allowed.contains(&key);
        let found: Vec<String> = self.fields.iter().map(|(key, _)| key).filter(|key| !is_known(key)).cloned().collect();
        for key in found {
            self.fault(&key, "unknown_field", format!("unknown field of question {question:?}"));
        }
    }

    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(key, value)| key == name && !matches!(value, Tree::Null))
    }

    /// A field; `null` is one that is left out.
    fn take(&mut self, name: &str) -> Option<Tree> {
        let (_, value) = self.fields.iter_mut().find(|(key, _)| key == name)?;
        let value = core::mem::replace(value, Tree::Null);
        (!matches!(value, Tree::Null)).then_some(value)
    }

    fn needed(&mut self, name: &str) -> Option<Tree> {
        let found = self.take(name);
        if found.is_none() {
            self.fault(name, "missing", format!("a request needs {name:?}"));
        }
        found
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.needed(name)? {
            Tree::Text(text) => Some(text),
            other => {
                self.fault(name, "wrong_type", format!("expected a string, found {}", other.form()));
                None
            }
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.take(name) {
            None => false,
            Some(Tree::Bool(flag)) => flag,
            Some(other) => {
                self.fault(name, "wrong_type", format!("expected true or false, found {}", other.form()));
                false
            }
        }
    }

    fn list(&mut self, name: &str) -> Option<Vec<Tree>> {
        match self.take(name)? {
            Tree::List(list) => Some(list),
            other => {
                self.fault(name, "wrong_type", format!("expected a list, found {}", other.form()));
                None
            }
        }
    }

    fn texts(&mut self, name: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for (at, item) in self.list(name).unwrap_or_default().into_iter().enumerate() {
            match item {
                Tree::Text(text) => texts.push(text),
                other => {
                    let message = format!("expected a string, found {}", other.form());
                    self.fault(&format!("{name}[{at}]"), "wrong_type", message);
                }
            }
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::QUESTIONS;
    use alloc::format;

    #[test]
    fn the_descriptions_have_every_question_with_its_fields() {
        let page = include_str!("../../examples/c/requests.md");
        let header = include_str!("../capi/lifeboat.h");
        let table = header.split_once("The questions, each with").and_then(|(_, rest)| rest.split_once("requests.md"));
        for (name, _, fields) in QUESTIONS {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap_or_default();
            let is_of = |line: &&str| {
                let words = line.trim_start_matches(" * ").split_once("  ");
                words.is_some_and(|(names, _)| names.split(", ").any(|one| one == name))
            };
            let line = table.and_then(|(table, _)| table.lines().find(is_of)).unwrap_or_default();
            for field in fields {
                assert!(row.contains(&format!("`{field}`")), "{name} {field}: {row:?}");
                assert!(line.contains(field), "{name} {field}: {line:?}");
            }
        }
    }
}
