//! A verdict is the same bits on any number of threads: the answer, the certificate, the work that it took.
//!
//! With the feature `parallel` that is shown; without it, that asking for threads changes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::pedantic,
    reason = "a test that fails panics"
)]

use lifeboat::policy::FailureClass;
use lifeboat::{Answer, Cluster, Control, Policy, Verdict, VerifyError, verify, verify_controlled};
use lifeboat_testkit::generate::{Layout, Shape};

fn tolerating(class: FailureClass, budget: u64) -> Policy {
    let mut policy = Policy::default();
    policy.tolerate = vec![class];
    policy.budget.verify = budget;
    policy
}

/// The verdict on one thread, after a look at all others.
fn on_any_threads(cluster: &Cluster, policy: &Policy) -> Verdict {
    let one = verify_controlled(cluster, policy, &Control::new().threads(1)).unwrap();
    for threads in [2, 3, 7] {
        let several = verify_controlled(cluster, policy, &Control::new().threads(threads)).unwrap();
        assert!(
            one == several,
            "{threads} threads: {} and {}",
            one.classes()[0].summary(),
            several.classes()[0].summary()
        );
    }
    assert!(one == verify(cluster, policy).unwrap());
    one
}

#[test]
fn certificates_are_the_same_bits() {
    let shapes = [
        Shape::new(2_000, 20_000),
        Shape::new(2_000, 20_000).layout(Layout::Ragged).kinds(4).utilisation(85),
        Shape::new(64, 24_000),
    ];
    let mut rack_and_node = FailureClass::units("rack", 1);
    rack_and_node.fail.push(("node".into(), 1));
    let classes = [FailureClass::nodes(1), FailureClass::nodes(2), FailureClass::nodes(3), rack_and_node];
    let mut certificates = 0;
    for shape in shapes {
        let cluster = shape.build();
        for class in &classes {
            let verdict = on_any_threads(&cluster, &tolerating(class.clone(), 20_000_000));
            certificates += verdict.certificates().count();
        }
    }
    assert!(certificates >= 8, "{certificates} of 12");
    // Some VMs have so few places that they get their own.
    let cluster = Shape::new(64, 12_000).with_rules().build();
    let verdict = on_any_threads(&cluster, &tolerating(FailureClass::nodes(3), 20_000_000));
    assert!(verdict.certificates().any(|certificate| certificate.backups() > 0));
}

/// Where plans must be searched the budget decides how far it goes, and that is counted alike.
#[test]
fn what_the_budget_leaves_is_the_same() {
    let ruled = Shape::new(1_000, 10_000).with_rules().utilisation(70).build();
    let tight = Shape::new(64, 8_000).utilisation(93).build();
    for budget in [0, 1_000, 30_000, 1_000_000, 10_000_000] {
        let policy = tolerating(FailureClass::nodes(2), budget);
        on_any_threads(&ruled, &policy);
        on_any_threads(&tight, &policy);
    }
}

/// In the narrow band before the limit scenario after scenario is searched, several at a time.
#[test]
fn searches_come_to_the_same() {
    let mut answers = std::collections::BTreeSet::new();
    for (percent, rules) in [(86, false), (90, false), (94, false), (80, true)] {
        let shape = Shape::new(24, 240).layout(Layout::Ragged).utilisation(percent);
        let cluster = if rules { shape.with_rules() } else { shape }.build();
        for (losses, budget) in [(1, 200_000), (2, 3_000), (2, 20_000), (2, 5_000_000), (3, 300_000)] {
            let verdict = on_any_threads(&cluster, &tolerating(FailureClass::nodes(losses), budget));
            answers.insert(format!("{:?}", verdict.answer()));
        }
    }
    assert_eq!(answers.len(), 3, "{answers:?}");
}

#[test]
fn refutations_are_the_same() {
    let full = Shape::new(1_000, 10_000).utilisation(99).build();
    for class in [FailureClass::nodes(1), FailureClass::nodes(40), FailureClass::units("site", 1)] {
        let verdict = on_any_threads(&full, &tolerating(class, 20_000_000));
        assert_ne!(verdict.answer(), Answer::Holds);
    }
}

#[test]
fn cancelled_work_has_no_verdict() {
    let cluster = Shape::new(1_000, 10_000).build();
    let control = Control::new().threads(2);
    control.cancel();
    let error = verify_controlled(&cluster, &tolerating(FailureClass::nodes(2), u64::MAX), &control).unwrap_err();
    assert_eq!(error, VerifyError::Cancelled);
}
