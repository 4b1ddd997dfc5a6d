//! Counts that nobody can mean, out-parameters that cannot be written to, handles that are in use, structs that grow.

use super::super::handle::share;
use super::super::values::{Sized32, fill, first_version, sized};
use super::*;

/// 2^40, or on 32 bits half of all there is.
const HUGE: usize = usize::MAX >> if usize::BITS == 64 { 24 } else { 1 };

pub(super) fn zeroed<T>() -> T {
    // SAFETY: structs of the ABI are numbers and pointers, for which zeros are a value.
    unsafe { core::mem::zeroed() }
}

pub(super) fn size_of_u32<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap()
}

/// Calls with every count of a struct set, one after the other, to what is more than there can be: the lists have one place,
/// so that reading on would be seen.
#[test]
fn a_count_that_cannot_be_meant_is_a_status_before_anything_is_read() {
    let (cluster, policy) = load();
    let (amount, name, level_count) = ([1_u64], [str("x")], [1_u32]);
    let mut node: NodeSpec = zeroed();
    (node.size, node.name, node.capacity) = (size_of_u32::<NodeSpec>(), str("new"), amount.as_ptr());
    (node.levels, node.domains, node.labels) = (name.as_ptr(), name.as_ptr(), name.as_ptr());
    let mut vm: VmSpec = zeroed();
    (vm.size, vm.name, vm.demand) = (size_of_u32::<VmSpec>(), str("new"), amount.as_ptr());
    (vm.requires, vm.migrate_requires, vm.groups) = (name.as_ptr(), name.as_ptr(), name.as_ptr());
    vm.allowed_nodes = name.as_ptr();
    let nodes: [fn(&mut NodeSpec, usize); 3] = [
        |one, count| one.kind_count = count,
        |one, count| one.domain_count = count,
        |one, count| {
            one.label_count = count;
        },
    ];
    let vms: [fn(&mut VmSpec, usize); 5] = [
        |one, count| one.kind_count = count,
        |one, count| one.requires_count = count,
        |one, count| one.allowed_count = count,
        |one, count| one.migrate_requires_count = count,
        |one, count| one.group_count = count,
    ];
    let mut out = null_mut();
    // SAFETY: all pointers are good; the counts are what the library must not believe.
    unsafe {
        for count in [HUGE, usize::MAX, usize::MAX / 16] {
            for set in nodes {
                let mut node = node;
                set(&mut node, count);
                assert_eq!(lifeboat_cluster_add_node(cluster, &raw const node, null_mut()), LIFEBOAT_INVALID_ARGUMENT);
                node.name = str("kvm-1");
                assert_eq!(lifeboat_cluster_update_node(cluster, &raw const node, null_mut()), 2);
            }
            for set in vms {
                let mut vm = vm;
                set(&mut vm, count);
                assert_eq!(lifeboat_cluster_add_vm(cluster, &raw const vm, null_mut()), LIFEBOAT_INVALID_ARGUMENT);
            }
            let mut class: ToleranceSpec = zeroed();
            (class.size, class.levels) = (size_of_u32::<ToleranceSpec>(), name.as_ptr());
            (class.counts, class.level_count) = (level_count.as_ptr(), count);
            assert_eq!(lifeboat_policy_tolerate(policy, &raw const class, null_mut()), LIFEBOAT_INVALID_ARGUMENT);
            let mut kind: ResourceSpec = zeroed();
            (kind.size, kind.name) = (size_of_u32::<ResourceSpec>(), str("memory"));
            let made = &raw mut out;
            let kind = &raw const kind;
            assert_eq!(lifeboat_cluster_new(kind, count, null(), 0, made, null_mut()), LIFEBOAT_INVALID_ARGUMENT);
            assert_eq!(lifeboat_cluster_new(kind, 1, name.as_ptr(), count, made, null_mut()), 2);
            let mut interval: HeadroomInterval = zeroed();
            interval.size = size_of_u32::<HeadroomInterval>();
            let (ask, err) = (&raw mut interval, null_mut());
            assert_eq!(lifeboat_headroom(cluster, policy, amount.as_ptr(), count, null(), ask, err), 2);
            let (list, err) = (null_mut(), null_mut());
            assert_eq!(lifeboat_largest_vm(cluster, policy, amount.as_ptr(), count, null(), list, list, err), 2);
            let unit = Unit { level: empty(), name: str("kvm-1") };
            let mut plan = null_mut();
            let status =
                lifeboat_plan_restart(cluster, policy, &raw const unit, count, null(), &raw mut plan, null_mut());
            assert_eq!((status, plan.is_null()), (LIFEBOAT_INVALID_ARGUMENT, true));
            let mut verdict = null_mut();
            assert_eq!(lifeboat_verify(cluster, policy, null(), &raw mut verdict, null_mut()), LIFEBOAT_OK);
            let mut held = null_mut();
            assert_eq!(lifeboat_verdict_certificates(verdict, &raw mut held, null_mut()), LIFEBOAT_OK);
            let (units, plan) = (&raw const unit, &raw mut plan);
            assert_eq!(lifeboat_certificate_plan_for(held, 0, cluster, units, count, plan, null_mut()), 2);
            let status = lifeboat_plan_restart_with(held, 0, cluster, policy, units, count, null(), plan, null_mut());
            assert_eq!(status, LIFEBOAT_INVALID_ARGUMENT);
            lifeboat_certificate_free(held);
            lifeboat_verdict_free(verdict);
        }
        assert!(out.is_null());
        // As many as there can be are good, and one name that is not there is not found.
        let mut most: NodeSpec = node;
        (most.kind_count, most.label_count) = (1, 1);
        assert_eq!(lifeboat_cluster_add_node(cluster, &raw const most, null_mut()), LIFEBOAT_OK);
        let mut one: VmSpec = vm;
        (one.kind_count, one.allowed_count) = (1, 1);
        assert_eq!(lifeboat_cluster_add_vm(cluster, &raw const one, null_mut()), LIFEBOAT_NOT_FOUND);
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}

#[test]
fn out_parameters_are_all_written_or_none() {
    let (cluster, policy) = load();
    let mut space = [[null_mut::<u8>(); 2]; 2];
    let crooked = |at: *mut [*mut u8; 2]| at.cast::<u8>().wrapping_add(1);
    let [first, second] = &mut space;
    let bad = crooked(first);
    let mut made = null_mut();
    let mut judge = null_mut();
    // SAFETY: all pointers are good, or crooked, which the library sees.
    unsafe {
        let status = lifeboat_cluster_from_json(str(SMALL), &raw mut made, bad.cast(), null_mut());
        assert_eq!((status, made.is_null()), (LIFEBOAT_INVALID_ARGUMENT, true));
        assert_eq!(lifeboat_guard_new(cluster, policy, &raw mut judge, null_mut()), LIFEBOAT_OK);
        let fact = str(r#"{"op":"stop","vm":"db-1"}"#);
        assert_eq!(lifeboat_guard_observe(judge, fact, null(), bad.cast(), null_mut()), LIFEBOAT_INVALID_ARGUMENT);
        assert_eq!(lifeboat_guard_observe(judge, fact, null(), null_mut(), bad.cast()), LIFEBOAT_INVALID_ARGUMENT);
        // The fact was not taken in: it can still happen.
        assert_eq!(lifeboat_guard_observe(judge, fact, null(), null_mut(), null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_guard_state(judge, &raw mut made, bad.cast(), null_mut()), LIFEBOAT_INVALID_ARGUMENT);
        assert!(made.is_null());
        assert_eq!(lifeboat_cluster_stop_vm(cluster, str("db-1"), bad.cast()), LIFEBOAT_INVALID_ARGUMENT);
        assert_eq!(lifeboat_cluster_stop_vm(cluster, str("db-1"), null_mut()), LIFEBOAT_OK);
        let (mut one, mut answer) = (usize::MAX, i32::MAX);
        let ask = &raw mut one;
        let none = null_mut();
        assert_eq!(lifeboat_cluster_counts(cluster, ask, ask, ask, bad.cast(), none), LIFEBOAT_INVALID_ARGUMENT);
        let (mut least, mut buffer) = (i64::MAX, null_mut());
        let level = str("node");
        assert_eq!(lifeboat_max_tolerable(cluster, policy, level, null(), &raw mut least, bad.cast(), none), 2);
        assert_eq!(lifeboat_json_call(str("{}"), null(), bad.cast(), &raw mut buffer, null_mut()), 2);
        let mut plan = null_mut();
        let unit = Unit { level: empty(), name: str("kvm-1") };
        let (units, out) = (&raw const unit, &raw mut plan);
        assert_eq!(lifeboat_plan_restart(cluster, policy, units, 1, null(), out, null_mut()), LIFEBOAT_OK);
        let mut name = empty();
        let text = &raw mut name;
        assert_eq!(lifeboat_plan_placement(plan, 0, text, text, bad.cast(), null_mut()), LIFEBOAT_INVALID_ARGUMENT);
        assert_eq!(lifeboat_plan_placement(plan, 0, text, bad.cast(), null_mut(), null_mut()), 2);
        let mut seconds = u64::MAX;
        let ready = &raw mut seconds;
        assert_eq!(lifeboat_plan_estimate(plan, cluster, policy, ready, bad.cast(), null_mut()), 2);
        let mut amounts = [u64::MAX; 2];
        assert_eq!(lifeboat_plan_free_amounts(plan, cluster, amounts.as_mut_ptr(), bad.cast(), 2, null_mut()), 2);
        assert_eq!(amounts, [u64::MAX; 2]);
        let mut verdict = null_mut();
        assert_eq!(lifeboat_verify(cluster, policy, null(), &raw mut verdict, null_mut()), LIFEBOAT_OK);
        assert_eq!(lifeboat_verdict_summary(verdict, &raw mut answer, bad.cast(), null_mut()), 2);
        assert_eq!((one, answer, least, seconds), (usize::MAX, i32::MAX, i64::MAX, u64::MAX));
        assert!(name.data.is_null() && buffer.is_null());
        assert!(first.iter().chain(&*second).all(|place| place.is_null()));
        lifeboat_verdict_free(verdict);
        lifeboat_plan_free(plan);
        lifeboat_guard_free(judge);
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}

#[test]
fn a_cancel_flag_is_freed_once_no_call_uses_it() {
    let mut cancel = null_mut();
    // SAFETY: all pointers are good; the flag is live until it is freed.
    unsafe {
        assert_eq!(lifeboat_cancel_new(&raw mut cancel), LIFEBOAT_OK);
        let (one, other) = (share(cancel).unwrap(), share(cancel).unwrap());
        assert_eq!(lifeboat_cancel_free(cancel), LIFEBOAT_BUSY);
        assert_eq!(lifeboat_cancel_set(cancel), LIFEBOAT_OK);
        assert!(one.is_cancelled());
        drop(one);
        assert_eq!(lifeboat_cancel_free(cancel), LIFEBOAT_BUSY);
        drop(other);
        assert_eq!(lifeboat_cancel_free(cancel), LIFEBOAT_OK);
    }
}

#[test]
fn a_flag_that_is_set_ends_a_call_before_it_begins() {
    let (cluster, policy) = load();
    let (mut cancel, mut plan) = (null_mut(), null_mut());
    // SAFETY: all pointers are good.
    unsafe {
        assert_eq!(lifeboat_cancel_new(&raw mut cancel), LIFEBOAT_OK);
        assert_eq!(lifeboat_cancel_set(cancel), LIFEBOAT_OK);
        let status = lifeboat_plan_restart(cluster, policy, null(), 0, cancel, &raw mut plan, null_mut());
        assert_eq!((status, plan.is_null()), (LIFEBOAT_CANCELLED, true));
        lifeboat_cancel_free(cancel);
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}

/// A struct as its first version had it, and as a later version has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct First {
    size: u32,
    one: u32,
    two: usize,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Grown {
    size: u32,
    one: u32,
    two: usize,
    added: u64,
    more: u32,
    even_more: u32,
}

first_version!(Grown { .., two: usize } = 16 | 12);

#[test]
fn a_struct_that_has_grown_takes_callers_of_its_first_version() {
    let old = First { size: size_of_u32::<First>(), one: 7, two: 8 };
    assert_eq!(Grown::FIRST, size_of::<First>());
    let read = sized((&raw const old).cast::<Grown>()).unwrap();
    assert_eq!(read, Grown { size: old.size, one: 7, two: 8, added: 0, more: 0, even_more: 0 });
    // Filled, it gets what it has room for, and nothing behind it is touched.
    let mut room = [old, First { size: 1, one: 2, two: 3 }];
    let value = Grown { size: 0, one: 17, two: 18, added: 19, more: 20, even_more: 21 };
    fill((&raw mut room).cast::<Grown>(), value).unwrap();
    assert_eq!(room, [First { one: 17, two: 18, ..old }, First { size: 1, one: 2, two: 3 }]);
    // Of another later version it gets what that has.
    let mut between = Grown { size: size_of_u32::<Grown>() - 8, ..zeroed() };
    fill(&raw mut between, value).unwrap();
    assert_eq!((between.added, between.more), (19, 0));
    let shorter = First { size: old.size - 1, ..old };
    assert_eq!(sized((&raw const shorter).cast::<Grown>()).unwrap_err().status, LIFEBOAT_INVALID_ARGUMENT);
}

#[test]
fn structs_in_a_list_are_as_far_apart_as_they_say() {
    let kind = |name: &str| {
        let known = ResourceSpec { name: str(name), unit: empty(), per_vm: 0, optional: 0, size: 0 };
        let mut longer = Longer { known, more: [0; 4] };
        longer.known.size = u32::try_from(size_of_val(&longer)).unwrap();
        longer
    };
    let mut kinds = [kind("cpu"), kind("memory")];
    let (mut cluster, mut count) = (null_mut(), 0);
    // SAFETY: good structs, longer than the library knows.
    unsafe {
        let list = |kinds: &[Longer<ResourceSpec>; 2]| kinds.as_ptr().cast::<ResourceSpec>();
        let out = &raw mut cluster;
        assert_eq!(lifeboat_cluster_new(list(&kinds), 2, null(), 0, out, null_mut()), LIFEBOAT_OK);
        let none = null_mut();
        assert_eq!(lifeboat_cluster_counts(cluster, &raw mut count, none, none, none, null_mut()), LIFEBOAT_OK);
        assert_eq!(count, 2);
        lifeboat_cluster_free(cluster);
        kinds[1].more[3] = 1;
        assert_eq!(lifeboat_cluster_new(list(&kinds), 2, null(), 0, out, null_mut()), LIFEBOAT_UNSUPPORTED);
        kinds[1].known.size -= 4;
        assert_eq!(lifeboat_cluster_new(list(&kinds), 2, null(), 0, out, null_mut()), LIFEBOAT_INVALID_ARGUMENT);
    }
}

#[test]
fn padding_that_is_not_zero_is_not_known() {
    let (level, count) = (str("node"), 1);
    let (cluster, policy) = load();
    let mut class: ToleranceSpec = zeroed();
    (class.size, class.levels) = (size_of_u32::<ToleranceSpec>(), &raw const level);
    (class.counts, class.level_count, class.padding) = (&raw const count, 1, 1);
    // SAFETY: all pointers are good.
    unsafe {
        assert_eq!(lifeboat_policy_tolerate(policy, &raw const class, null_mut()), LIFEBOAT_UNSUPPORTED);
        class.padding = 0;
        assert_eq!(lifeboat_policy_tolerate(policy, &raw const class, null_mut()), LIFEBOAT_OK);
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}

#[test]
fn errors_of_a_wrong_call_say_which_in_their_code() {
    let (cluster, policy) = load();
    let codes = [(null_mut(), "null_argument"), (policy.cast(), "bad_handle")];
    for (handle, code) in codes {
        let (mut error, mut details) = (null_mut(), empty());
        // SAFETY: wrong kinds are among what the library checks; all else is good.
        unsafe {
            lifeboat_cluster_stop_vm(handle, str("db-1"), &raw mut error);
            assert_eq!(lifeboat_error_details(error, &raw mut details), LIFEBOAT_OK);
            let bytes = core::slice::from_raw_parts(details.data.cast::<u8>(), details.length);
            let text = core::str::from_utf8(bytes).unwrap();
            assert!(text.contains(&format!("\"code\": \"{code}\"")), "{text}");
            lifeboat_error_free(error);
        }
    }
    // SAFETY: both are live.
    unsafe {
        lifeboat_cluster_free(cluster);
        lifeboat_policy_free(policy);
    }
}
