//! Worked examples with published answers, exact: vSphere's admission control, SCVMM's over-commit check, xapi's planner.
//!
//! Numbers in names are those of the collection of examples that they were taken from; sources stand beside each.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use lifeboat::policy::{FailureClass, Percent, Reserve};
use lifeboat::{
    Answer, Cluster, CompareRule, Control, Node, Percentage, Policy, ReserveFigures, ReserveStatus, ResourceKinds,
    RestartClass, ScvmmHost, SlotFigures, Vm, XapiAdmission, XapiHost, compare, reserves_status, scvmm_tests,
    xapi_admission, xapi_plan,
};

/// A cluster of nodes, and VMs on the first of them.
fn cluster(kinds: &[(&str, &str)], nodes: &[&[u64]], vms: &[&[u64]]) -> Cluster {
    let kinds = ResourceKinds::new(kinds.iter().copied()).unwrap();
    let mut cluster = Cluster::new(kinds, [""; 0]).unwrap();
    let added: Vec<_> = (1..)
        .zip(nodes)
        .map(|(at, capacity)| cluster.add_node(Node::named(format!("h{at}")).capacity(*capacity)).unwrap())
        .collect();
    for (at, demand) in (1..).zip(vms) {
        cluster.add_vm(Vm::named(format!("vm{at}")).demand(*demand).on(added[0])).unwrap();
    }
    cluster
}

fn status(cluster: &Cluster, reserve: Reserve) -> ReserveStatus {
    let mut policy = Policy::default();
    policy.reserves = vec![reserve];
    reserves_status(cluster, &policy).unwrap().remove(0)
}

fn slots(cluster: &Cluster, failures: u32) -> (bool, SlotFigures) {
    sized_slots(cluster, failures, &[])
}

fn sized_slots(cluster: &Cluster, failures: u32, size: &[(&str, u64)]) -> (bool, SlotFigures) {
    let size = size.iter().map(|(kind, size)| ((*kind).to_string(), *size)).collect();
    let found = status(cluster, Reserve::Slots { failures, floor: vec![], size, cap: vec![], mode: None });
    let ReserveFigures::Slots(figures) = found.figures else { panic!("asked for slots") };
    (found.held, figures)
}

fn percentage(cluster: &Cluster, percent: Percent) -> (bool, Vec<Percentage>) {
    let found = status(cluster, Reserve::Percentage { percent, floor: vec![], mode: None });
    let ReserveFigures::Percentage(figures) = found.figures else { panic!("asked for per cents") };
    (found.held, figures)
}

fn given(percents: &[(&str, u32)]) -> Percent {
    Percent::Given(percents.iter().map(|(kind, percent)| ((*kind).to_string(), *percent)).collect())
}

fn auto(largest: bool, failures: u32) -> Percent {
    Percent::Auto { largest, failures }
}

fn required(figures: &[Percentage]) -> Vec<u32> {
    figures.iter().map(|figure| figure.required_percent.unwrap()).collect()
}

/// vSphere Availability 6.7, pp. 21 to 25, in MHz and MB.
fn availability_guide() -> Cluster {
    cluster(
        &[("cpu", "MHz"), ("memory", "MB")],
        &[&[9000, 9000], &[9000, 6000], &[6000, 6000]],
        &[&[2000, 1000], &[2000, 1000], &[1000, 2000], &[1000, 1000], &[1000, 1000]],
    )
}

#[test]
fn e1_slot_policy() {
    let cluster = availability_guide();
    let (held, figures) = slots(&cluster, 1);
    assert_eq!(figures.sizes.iter().map(|size| size.size).collect::<Vec<_>>(), [2000, 2000]);
    assert_eq!(
        (figures.slots, figures.left, figures.used),
        (Some(10), Some(6), 5),
        "slots 4, 3, 3; 6 without the first"
    );
    assert_eq!((figures.failover_capacity, figures.unreserved, held), (Some(1), Some(1), true));
    // The dominating VMs are named.
    let named: Vec<_> = figures.sizes.iter().map(|size| cluster.vm(size.set_by.unwrap()).unwrap().name()).collect();
    assert_eq!(named, ["vm1", "vm3"]);

    let (held, figures) = slots(&cluster, 2);
    assert_eq!((held, figures.left, figures.unreserved, figures.shortfall), (false, Some(3), Some(0), 2));
    // The same in GHz, where the floor of 32 MHz cannot be said.
    let guide = [&[9_u64, 9][..], &[9, 6], &[6, 6]];
    let vms = [&[2_u64, 1][..], &[2, 1], &[1, 2], &[1, 1], &[1, 1]];
    let (held, figures) = slots(&self::cluster(&[("cpu", "GHz"), ("memory", "GB")], &guide, &vms), 1);
    assert_eq!((held, figures.left, figures.failover_capacity), (true, Some(6), Some(1)));
}

#[test]
fn e2_percentage() {
    let (held, figures) = percentage(&availability_guide(), given(&[("cpu", 25), ("memory", 25)]));
    assert!(held);
    let numbers: Vec<_> = figures.iter().map(|figure| (figure.total, figure.used, figure.free_percent)).collect();
    assert_eq!(numbers, [(24_000, 7000, 70), (21_000, 6000, 71)]);
    let usable: Vec<_> = figures.iter().map(|figure| figure.free_percent - figure.required_percent.unwrap()).collect();
    assert_eq!(usable, [45, 46]);
    // To the unit: 70 % are held, 71 % of CPU are not.
    assert!(percentage(&availability_guide(), given(&[("cpu", 70), ("memory", 71)])).0);
    let (held, figures) = percentage(&availability_guide(), given(&[("cpu", 71)]));
    assert!(!held);
    assert_eq!(figures[0].shortfall, 40, "71 % of 24000 are 17040, and 17000 are free");
}

#[test]
fn e3_the_largest_of_each_kind_makes_the_slot() {
    let kinds = [("cpu", "MHz"), ("memory", "MB")];
    let two = cluster(&kinds, &[&[10_000, 10_000]], &[&[2000, 1024], &[1000, 2048]]);
    let sizes: Vec<u64> = slots(&two, 0).1.sizes.iter().map(|size| size.size).collect();
    assert_eq!(sizes, [2000, 2048]);
}

#[test]
fn e4_the_scarcer_kind_binds() {
    let (_, figures) = slots(&cluster(&[("cpu", "MHz"), ("memory", "MB")], &[&[25_000, 5000]], &[&[1000, 1000]]), 0);
    assert_eq!(figures.slots, Some(5), "25 by CPU, 5 by memory");
}

#[test]
fn e5_an_unbalanced_cluster_loses_its_largest_node() {
    let gib = 1024;
    let cluster = cluster(&[("memory", "MB")], &[&[16 * gib], &[16 * gib], &[32 * gib]], &[&[1024]]);
    assert_eq!(slots(&cluster, 0).1.slots, Some(64));
    assert_eq!(slots(&cluster, 1).1.left, Some(32));
    assert_eq!(slots(&cluster, 2).1.left, Some(16));
}

#[test]
fn e9_a_large_vm_takes_several_slots_of_a_given_size() {
    let cluster = cluster(&[("memory", "MB")], &[&[3072], &[3072]], &[&[4096]]);
    let (held, figures) = sized_slots(&cluster, 0, &[("memory", 1024)]);
    assert_eq!((figures.used, figures.large_vms, figures.slots), (4, 1, Some(6)));
    // Slots say yes, although no node has four of them: vSphere's own documents warn of it.
    assert!(held);
    let verdict = lifeboat::verify(&cluster, &Policy::default()).unwrap();
    assert_eq!(verdict.answer(), Answer::Fails);
}

#[test]
fn e10_what_twenty_per_cent_are() {
    let nodes = [&[70_u64][..]; 8];
    let cluster = cluster(&[("memory", "GB")], &nodes, &[]);
    let (_, figures) = percentage(&cluster, given(&[("memory", 20)]));
    assert_eq!((figures[0].reserve, figures[0].total - figures[0].reserve), (112, 448));
    // One of eight is 12.5 %: as an integer 13.
    assert_eq!(required(&percentage(&cluster, auto(true, 1)).1), [13]);
    assert_eq!(required(&percentage(&cluster, auto(false, 1)).1), [13]);
}

#[test]
fn e12_equal_nodes() {
    for (nodes, failures, percent) in [(8, 2, 25), (10, 2, 20), (4, 1, 25), (8, 4, 50)] {
        let cluster = cluster(&[("cpu", "MHz"), ("memory", "MB")], &vec![&[1000_u64, 1000][..]; nodes], &[]);
        for largest in [true, false] {
            let found = percentage(&cluster, auto(largest, failures)).1;
            assert_eq!(required(&found), [percent, percent], "{failures} of {nodes}");
        }
    }
}

#[test]
fn e13_one_node_twice_as_large() {
    // 128 GB and 34.8 GHz seven times, and 256 GB and 64.8 GHz.
    let mut nodes = vec![&[34_800_u64, 128][..]; 7];
    nodes.push(&[64_800, 256]);
    let cluster = cluster(&[("cpu", "MHz"), ("memory", "GB")], &nodes, &[]);
    let (_, figures) = percentage(&cluster, auto(true, 1));
    let totals: Vec<u128> = figures.iter().map(|figure| figure.total).collect();
    assert_eq!(totals, [308_400, 1152]);
    assert_eq!(required(&figures), [22, 23], "21.01 % and 22.22 %");
    assert_eq!(required(&percentage(&cluster, auto(false, 1)).1), [13, 13], "an average node is an eighth");
}

/// KB 3023928: four hosts of 32 GB that keep 9, two of them lost.
#[test]
fn e22_scvmm_borderline() {
    let mut cluster = Cluster::new(ResourceKinds::new([("memory", "GB")]).unwrap(), [""; 0]).unwrap();
    let hosts: [(&str, &[u64], &[u64]); 4] =
        [("a", &[4, 4], &[]), ("b", &[4, 4], &[]), ("c", &[8], &[8]), ("d", &[2, 2], &[6])];
    for (name, ha, other) in hosts {
        let node = cluster.add_node(Node::named(name).capacity([32]).reserved([9])).unwrap();
        for (at, size) in (0..).zip(ha) {
            cluster.add_vm(Vm::named(format!("{name}{at}")).demand([*size]).on(node)).unwrap();
        }
        for size in other {
            let vm = Vm::named(format!("{name}-other")).demand([*size]).on(node).restart(RestartClass::Never);
            cluster.add_vm(vm).unwrap();
        }
    }
    let mut policy = Policy::default();
    policy.tolerate = vec![FailureClass::nodes(2)];
    let found = compare(&cluster, &policy, &Control::new()).unwrap();
    assert_eq!(found.failures, 2);
    let says = |rule: CompareRule| {
        let opinion = found.opinions.iter().find(|opinion| opinion.rule == rule).unwrap();
        (opinion.survives, opinion.counted)
    };
    assert_eq!(says(CompareRule::ScvmmSlotSimple), (Some(false), Some((7, 4))));
    assert_eq!(says(CompareRule::ScvmmSlotFull), (Some(false), Some((7, 6))));
    assert_eq!(says(CompareRule::ScvmmProofSimple), (Some(false), Some((8, 5))));
    assert_eq!(says(CompareRule::ScvmmProofFull), (Some(true), Some((12, 12))), "the tightest is A and B");
    assert_eq!(says(CompareRule::Scvmm).0, Some(true), "one test suffices");
    assert_eq!(found.verdict.answer(), Answer::Holds);

    // Set by set: the hosts of the table alone, in pairs that are lost.
    let host = |available, ha_memory, ha_count, ha_largest| ScvmmHost { available, ha_memory, ha_count, ha_largest };
    let hosts = [host(15, 8, 2, 4), host(15, 8, 2, 4), host(7, 8, 1, 8), host(13, 4, 2, 2)];
    let tests = scvmm_tests(&hosts, 2);
    assert!(tests.passes());
    assert_eq!(tests.slot_full.passes, Some(false));
    // Beyond 70 hosts the full tests for two are not run.
    let many = vec![host(0, 8, 1, 8); 71];
    assert_eq!(scvmm_tests(&many, 2).proof_full.passes, None);
    assert!(scvmm_tests(&many[..70], 2).proof_full.passes.is_some());
}

fn xapi_hosts(vms: [&[u64]; 2]) -> Vec<XapiHost> {
    vms.iter().map(|vms| XapiHost { free: 256 - vms.iter().sum::<u64>(), protected: vms.to_vec() }).collect()
}

/// xen-api's own tests, in GiB.
#[test]
fn e33_xapi_plans() {
    for (vms, exists) in
        [([&[][..], &[]], true), ([&[120], &[]], true), ([&[120, 120], &[]], true), ([&[120, 120], &[120, 120]], false)]
    {
        let plan = xapi_plan(&xapi_hosts(vms), &[], 1);
        assert_eq!((plan.exists, plan.exhaustive), (exists, true), "{vms:?}");
    }
}

/// The rule's part: what it would do about a start.
#[test]
fn e34_xapi_admission() {
    let one_more = |before: [&[u64]; 2], after: [&[u64]; 2]| xapi_admission(&xapi_hosts(before), &xapi_hosts(after), 1);
    assert_eq!(one_more([&[120], &[]], [&[120], &[120]]), XapiAdmission::Admitted);
    assert_eq!(one_more([&[120, 120], &[]], [&[120, 120], &[120]]), XapiAdmission::Blocked);
    let broken = one_more([&[120, 120], &[120]], [&[120, 120], &[120, 120]]);
    assert_eq!(broken, XapiAdmission::NotBlockedOvercommitted, "over-committed already: not blocked");
    // And `compare` says so of such a pool.
    let pool = cluster(&[("memory", "GiB")], &[&[256], &[100]], &[&[120], &[120]]);
    let found = compare(&pool, &Policy::default(), &Control::new()).unwrap();
    let xapi = found.opinions.iter().find(|opinion| opinion.rule == CompareRule::Xapi).unwrap();
    assert_eq!(xapi.survives, Some(false));
    assert!(xapi.figure.contains("not blocked"), "{}", xapi.figure);
}
