//! A guard's state against a verdict made anew.

use lifeboat::{Answer, Certificate, Guard, Item, VerdictFault, check_certificate, verify};

/// Compares what a guard says of its classes with a verdict made anew, and gives every certificate that it keeps with what the
/// checker of certificates finds.
///
/// # Panics
/// If the guard says anything else, or its cluster is inconsistent. `what` tells how it came to this.
pub fn compared(guard: &mut Guard, what: &str) -> Vec<(Certificate, Vec<VerdictFault>)> {
    guard.cluster().check_invariants().unwrap_or_else(|fault| panic!("{fault:?}: {what}"));
    let (cluster, policy) = (guard.cluster().clone(), guard.policy().clone());
    let fresh = verify(&cluster, &policy).expect("a verdict");
    let items = guard.items().expect("states").to_vec();
    for (class, item) in fresh.classes().iter().zip(&items) {
        let Item::Tolerate(state) = &item.item else { continue };
        // A ledger may hold on to a yes that a fresh verdict does not find any more.
        let same = state.answer == class.rest() || (state.answer == Answer::Holds && class.rest() == Answer::Undecided);
        assert!(same, "{:?} {:?}: {what}", state.answer, class.rest());
        assert_eq!(state.uncoverable, class.uncoverable(), "{what}");
    }
    let kept: Vec<_> = policy.tolerate.iter().map(|class| guard.certificate(class).expect("an answer")).collect();
    let checked = |certificate: Certificate| {
        let faults = check_certificate(&cluster, &policy, &certificate).err().unwrap_or_default();
        (certificate, faults)
    };
    kept.into_iter().flatten().map(checked).collect()
}
