//! What a cluster and its certificate take of memory, counted by the allocator.
//!
//! Uses the test kit (`generate`). A test of its own, since it counts everything that the process allocates:
//! `cargo test --release --test known_memory -- --include-ignored --nocapture`.

#![allow(
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::pedantic,
    reason = "a test that fails panics, and says on the way what it measured"
)]
#![expect(unsafe_code, reason = "the only way to count allocations is to be the allocator")]

use lifeboat::document::to_json;
use lifeboat::policy::FailureClass;
use lifeboat::{Answer, Document, Policy, verify};
use lifeboat_testkit::generate::Shape;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes in use.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn grow(bytes: usize) {
    let now = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// What is in use more after `work`, its result being kept, and the most in between.
fn cost<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = live();
    MOST.store(before, Ordering::Relaxed);
    let kept = work();
    (kept, live() - before, MOST.load(Ordering::Relaxed) - before)
}

const MIB: usize = 1 << 20;

/// A loaded cluster of 10 000 nodes and 100 000 VMs with a certificate for any two losses takes less than 64 MiB, twice that
/// where rules tie a fifth of the VMs; and loading and proving take no more than that on the way.
#[test]
#[cfg_attr(debug_assertions, ignore = "heavy without optimisation")]
fn a_large_cluster_and_its_certificate_are_small() {
    let mut policy = Policy::default();
    policy.tolerate = vec![FailureClass::nodes(2)];
    // With rules the proof is by base plans, and each of its hot pairs has a plan of its own.
    let plain = Shape::new(10_000, 100_000);
    for (name, shape, most) in [("plain", plain.clone(), 64 * MIB), ("rules", plain.with_rules(), 128 * MIB)] {
        let text = to_json(&shape.build(), &policy);
        let (document, loaded, loading) = cost(|| Document::from_json(&text).expect("its own export"));
        let (cluster, policy) = document.into_parts();
        let (verdict, proof, proving) = cost(|| verify(&cluster, &policy).expect("a class of the cluster"));
        println!(
            "{name}: cluster {} KiB (most while loading {} KiB); verdict {} with certificate {} KiB (most while proving {} KiB)",
            loaded / 1024,
            loading / 1024,
            verdict.answer().name(),
            proof / 1024,
            proving / 1024
        );
        assert!(loaded + proof < most, "{} MiB", (loaded + proof) / MIB);
        assert!(loading < 128 * MIB && proving < 128 * MIB, "{} and {} MiB on the way", loading / MIB, proving / MIB);
        if name == "plain" {
            assert_eq!(verdict.answer(), Answer::Holds);
        }
    }
}
