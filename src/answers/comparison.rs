//! What other products' rules say beside the exact verdict, as JSON: `lifeboat-compare/1`.
//!
//! Uses `compare`. Used by `answers::ask` and the example program. Fields are sorted.

use crate::compare::{Comparison, Opinion};
use crate::guarantee::{Answer, ClassVerdict};
use crate::policy::FailureClass;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;

/// What a rule says, in a word.
pub const fn says(opinion: &Opinion) -> &'static str {
    match opinion.survives {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not_applicable",
    }
}

/// Why classes that were asked for cannot be compared; `None` if they can.
pub fn not_comparable(classes: &[FailureClass]) -> Option<&'static str> {
    if classes.iter().all(FailureClass::is_of_nodes) {
        return None;
    }
    Some("the rules of other products know nodes only, no racks and no priorities: say node=1 or more, or ask `verify`")
}

/// Whether a rule says what the verdict says; `None` where one of them says nothing.
pub fn agrees(opinion: &Opinion, answer: Answer) -> Option<bool> {
    match (opinion.survives?, answer) {
        (_, Answer::Undecided) => None,
        (says, answer) => Some(says == (answer == Answer::Holds)),
    }
}

/// The verdict in words.
pub fn summary(found: &Comparison) -> String {
    found.verdict.classes().iter().map(ClassVerdict::summary).collect::<Vec<_>>().join("; ")
}

/// A comparison in the form that is printed.
pub fn comparison_json(found: &Comparison) -> impl Serialize + '_ {
    let answer = found.verdict.answer();
    let rule = |opinion: &'_ Opinion| {
        let difference = |difference: &crate::compare::Difference| DifferenceJson {
            code: difference.code,
            message: difference.message.clone(),
        };
        RuleJson {
            agrees: agrees(opinion, answer),
            assumed_reservation: opinion.assumed_reservation,
            differences: opinion.differences.iter().map(difference).collect(),
            figure: opinion.figure.clone(),
            needed: opinion.counted.map(|(needed, _)| number(needed)),
            offered: opinion.counted.map(|(_, offered)| number(offered)),
            rule: opinion.rule.name(),
            survives: says(opinion),
        }
    };
    ComparisonJson {
        beyond: found.beyond,
        failures: found.failures,
        format: "lifeboat-compare/1",
        message: summary(found),
        rules: found.opinions.iter().map(rule).collect(),
        verdict: answer.name(),
    }
}

#[derive(Serialize)]
struct ComparisonJson {
    beyond: usize,
    failures: u32,
    format: &'static str,
    message: String,
    rules: Vec<RuleJson>,
    verdict: &'static str,
}

#[derive(Serialize)]
struct RuleJson {
    agrees: Option<bool>,
    assumed_reservation: bool,
    differences: Vec<DifferenceJson>,
    figure: String,
    needed: Option<Number>,
    offered: Option<Number>,
    rule: &'static str,
    survives: &'static str,
}

#[derive(Serialize)]
struct DifferenceJson {
    code: &'static str,
    message: String,
}

/// A number, as text where JSON readers would round it.
#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Short(i64),
    Long(String),
}

fn number(number: i128) -> Number {
    i64::try_from(number).map_or_else(|_| Number::Long(number.to_string()), Number::Short)
}
