//! How often a verdict stays open where the room runs out: 64 nodes, two losses, clusters filled up per cent by per cent.
//!
//! `cargo test --release --test known_limit -- --include-ignored --nocapture`. Uses the test kit's generator.
//!
//! Near the limit means: from the last filling that holds to the first that is refuted, and a point on either side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]

use lifeboat::policy::FailureClass;
use lifeboat::{Answer, Policy, check_verdict, verify};
use lifeboat_testkit::generate::{Layout, Shape};
use std::time::{Duration, Instant};

/// What one verdict may cost, in node evaluations: up to some 80 ms without rules, a second with them.
const WORK: u64 = 1_000_000;

#[derive(Default)]
struct Seen {
    near: u32,
    near_open: u32,
    elsewhere: u32,
    elsewhere_open: u32,
    longest: Duration,
}

fn fill(shape: &Shape, seen: &mut Seen) {
    let mut policy = Policy::default();
    policy.tolerate = vec![FailureClass::nodes(2)];
    policy.budget.verify = WORK;
    let answers: Vec<(u64, Answer)> = (50..100)
        .map(|percent| {
            let cluster = shape.clone().utilisation(percent).build();
            let start = Instant::now();
            let verdict = verify(&cluster, &policy).unwrap();
            seen.longest = seen.longest.max(start.elapsed());
            if percent % 8 == 0 || verdict.answer() != Answer::Holds {
                check_verdict(&cluster, &policy, &verdict).unwrap_or_else(|faults| panic!("{percent} %: {faults:?}"));
            }
            (percent, verdict.answer())
        })
        .collect();
    let last_yes = answers.iter().filter(|(_, answer)| *answer == Answer::Holds).map(|(percent, _)| *percent).max();
    let first_no = answers.iter().filter(|(_, answer)| *answer == Answer::Fails).map(|(percent, _)| *percent).min();
    let (last_yes, first_no) = (last_yes.unwrap_or(50), first_no.unwrap_or(99));
    let (from, to) = (last_yes.min(first_no).saturating_sub(1), last_yes.max(first_no) + 1);
    for (percent, answer) in answers {
        let open = u32::from(answer == Answer::Undecided);
        if (from..=to).contains(&percent) {
            seen.near += 1;
            seen.near_open += open;
        } else {
            seen.elsewhere += 1;
            seen.elsewhere_open += open;
        }
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "heavy without optimisation")]
fn verdicts_stay_open_only_near_the_limit() {
    let (mut all, mut open) = (0, 0);
    for kinds in [2, 4] {
        for layout in [Layout::Balanced, Layout::Ragged] {
            for rules in [false, true] {
                let mut seen = Seen::default();
                for (vms, seeds) in [(640, 10), (8_000, 2)] {
                    for seed in 0..seeds {
                        let shape = Shape::new(64, vms).kinds(kinds).layout(layout).seed(seed);
                        fill(&if rules { shape.with_rules() } else { shape }, &mut seen);
                    }
                }
                let Seen { near, near_open, elsewhere, elsewhere_open, longest } = seen;
                println!(
                    "{kinds} kinds, {layout:?}, rules: {rules}: near the limit {near_open} of {near} open, elsewhere \
                     {elsewhere_open} of {elsewhere}; longest {longest:?}"
                );
                assert_eq!(elsewhere_open, 0);
                (all, open) = (all + near, open + near_open);
            }
        }
    }
    println!("near the limit in all: {open} of {all} open");
    assert!(open * 100 <= all, "more than one in a hundred");
}
