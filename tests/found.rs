//! Cases in which an answer was wrong, each a document under `tests/found`, kept so that it stays mended.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails panics")]

use lifeboat::document::Document;
use lifeboat::{
    Answer, Change, Cluster, Failure, Guard, NodeState, Planner, Policy, RestartClass, RestartPlan, StoredCertificates,
    Verdict, VmRef, check_certificate, check_plan, check_verdict, verify,
};

fn read(name: &str) -> (Cluster, Policy) {
    let text = std::fs::read_to_string(format!("tests/found/{name}.json")).unwrap();
    Document::from_json(&text).unwrap().into_parts()
}

fn checked(cluster: &Cluster, policy: &Policy) -> Verdict {
    let verdict = verify(cluster, policy).unwrap();
    check_verdict(cluster, policy, &verdict).unwrap_or_else(|faults| panic!("{faults:?}"));
    verdict
}

/// Carries a plan out.
fn carry_out(cluster: &mut Cluster, failure: &Failure, plan: &RestartPlan) {
    for node in failure.nodes() {
        cluster.set_node_state(*node, NodeState::Failed).unwrap();
    }
    for eviction in plan.evictions() {
        cluster.stop_vm(eviction.vm).unwrap();
    }
    for placed in plan.placements() {
        cluster.move_vm(placed.vm, Some(placed.node)).unwrap();
    }
}

/// Loses nodes batch by batch; everyone whom the certificate speaks of runs after each.
fn survive(name: &str, batches: &[&[&str]]) {
    let (mut cluster, policy) = read(name);
    let verdict = checked(&cluster, &policy);
    let certificate = verdict.certificates().next().unwrap().clone();
    let uncoverable: Vec<_> = verdict.classes()[0].uncoverable().iter().map(|found| found.vm).collect();
    let of_class = cluster.vms().filter(|vm| vm.restart() == RestartClass::Protected).map(VmRef::id);
    let promised: Vec<_> = of_class.filter(|vm| !uncoverable.contains(vm)).collect();
    let at_first = cluster.clone();
    let mut cover = certificate.begin(&at_first).unwrap();
    for batch in batches {
        let failure = Failure::of(batch.iter().map(|name| cluster.node_id(name).unwrap()));
        let plan = Planner::new().restart_covered(&mut cover, &cluster, &policy, &failure).unwrap();
        check_plan(&cluster, &policy, &failure, &plan).unwrap_or_else(|faults| panic!("{faults:?}"));
        carry_out(&mut cluster, &failure, &plan);
        let runs = |vm: VmRef<'_>| vm.is_on() && vm.node().is_some() && !vm.is_displaced();
        for vm in &promised {
            let vm = cluster.vm(*vm).unwrap();
            assert!(runs(vm), "{name}: {} does not run after {batch:?}", vm.name());
        }
    }
}

/// VMs of one node that are to stay near each other, and apart, had one list of places.
#[test]
fn who_is_kept_apart_has_no_list_together() {
    let (cluster, policy) = read("near-and-apart");
    checked(&cluster, &policy);
}

/// A node in two units that cross: both may be lost, which the places of its VM do not outlast.
#[test]
fn units_that_cross_are_counted_both() {
    let (cluster, policy) = read("crossing-levels");
    assert_eq!(checked(&cluster, &policy).answer(), Answer::Undecided);
}

/// Best-effort VMs that start small and run large took what is claimed for the next loss.
#[test]
fn who_runs_larger_than_it_starts_leaves_claims_alone() {
    survive("starts-small", &[&["he"], &["h"]]);
    survive("runs-large", &[&["he", "hb1"], &["hw"]]);
    survive("runs-large", &[&["he"], &["hw"], &["hb1"]]);
}

/// A place for a VM that asks for nothing, where one that waited stands with more than there is.
#[test]
fn who_asks_for_nothing_goes_where_others_stand() {
    let (cluster, policy) = read("standing-over-full");
    assert_eq!(checked(&cluster, &policy).answer(), Answer::Holds);
}

/// Two homes with equal lists are not always on one place, where places take one at a time.
#[test]
fn equal_lists_of_two_homes_are_not_one() {
    let (cluster, policy) = read("two-homes");
    assert_eq!(checked(&cluster, &policy).answer(), Answer::Fails);
    let text = std::fs::read_to_string("tests/found/two-homes.certificate.json").unwrap();
    // It was made by hand, for whatever state.
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["state"] = format!("{:032x}", cluster.fingerprint()).into();
    let stored: StoredCertificates = serde_json::from_value(value).unwrap();
    let certificate = stored.certificates(&cluster).unwrap().remove(0);
    let faults = check_certificate(&cluster, &policy, &certificate).unwrap_err();
    assert_eq!(faults[0].code(), "rule");
}

/// The last loss: the planner's own plan does not stop for good whom the certificate promised a place.
#[test]
fn the_last_plan_keeps_who_was_promised() {
    survive("evicts-promised", &[&[], &["n09", "n10"]]);
}

/// What remains is what is answered, whatever losses are in hindsight.
#[test]
fn what_remains_is_answered() {
    let (cluster, policy) = read("hindsight");
    let verdict = checked(&cluster, &policy);
    let certificate = verdict.certificates().next().unwrap();
    let lose = |names: &[&str]| {
        let mut cover = certificate.begin(&cluster).unwrap();
        for name in names {
            let remaining = cover.remaining();
            let lost = cover.lose(&Failure::of([cluster.node_id(name).unwrap()]));
            assert!(remaining == 0 || lost.is_ok(), "{names:?}: {name} is refused though {remaining} remain");
        }
    };
    lose(&["n10", "n11", "n05"]);
    lose(&["n11", "n10", "n05"]);
    lose(&["n05", "n10", "n11"]);
}

/// Of a VM that is being moved and described anew, the worse of the states as the move lasts and as it has ended was taken for what
/// is.
#[test]
fn what_a_move_will_come_to_is_not_what_is() {
    let (cluster, policy) = read("moves-described");
    let (stopped, moving) = (cluster.vm_id("v0").unwrap(), cluster.vm_id("v9").unwrap());
    let mut to = cluster.vm(moving).unwrap().to_vm();
    to.groups.push("h".into());
    let mut guard = Guard::new(cluster, policy);
    let changes = [Change::Stop { vm: stopped }, Change::UpdateVm { vm: moving, to: Box::new(to) }];
    let decision = guard.admit(&changes).unwrap();
    guard.apply(decision).unwrap();
    let mut fresh = Guard::new(guard.cluster().clone(), guard.policy().clone());
    assert_eq!(guard.items().unwrap(), fresh.items().unwrap());
}
