//! SCVMM's over-commit check: four sufficient tests over memory.
//!
//! Uses nothing of the crate but numbers. Used by `compare`. Source: Microsoft KB 3023928, "cluster over-commit algorithm
//! details" (2012 R2 and later). The text says `<` for *proof-full*, its worked table accepts equality: here it is `<=`.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: amounts of memory are below 2^64, there are below 2^31 hosts and VMs: sums fit i128"
)]

use alloc::vec::Vec;

/// A host as the check sees it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScvmmHost {
    /// Total memory less all its VMs, whether they run or not, less what the host keeps. May be below 0.
    pub available: i128,
    /// The memory of its highly available VMs.
    pub ha_memory: i128,
    /// How many they are.
    pub ha_count: u32,
    /// The largest of them.
    pub ha_largest: i128,
}

/// One test with what it compared: it passes where `needed <= offered`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScvmmTest {
    /// Whether it passes; `None`: it is not run on so many hosts.
    pub passes: Option<bool>,
    /// What is needed, for the worst set of hosts: VMs for slots, memory for proofs.
    pub needed: i128,
    /// What is offered.
    pub offered: i128,
}

/// The four tests; the cluster is not over-committed where one passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScvmmTests {
    /// Slots of the size of the cluster's largest HA VM.
    pub slot_simple: ScvmmTest,
    /// Slots of the size of the largest HA VM on the hosts that fail, for every set of them.
    pub slot_full: ScvmmTest,
    /// Memory, less the size of the cluster's largest HA VM on every host.
    pub proof_simple: ScvmmTest,
    /// The same with the largest HA VM on the hosts that fail, for every set of them.
    pub proof_full: ScvmmTest,
}

impl ScvmmTests {
    /// Whether some test passes.
    #[must_use]
    pub fn passes(&self) -> bool {
        [self.slot_simple, self.slot_full, self.proof_simple, self.proof_full]
            .iter()
            .any(|test| test.passes == Some(true))
    }
}

/// The four tests for a reserve of so many hosts.
#[must_use]
pub fn scvmm_tests(hosts: &[ScvmmHost], reserve: u32) -> ScvmmTests {
    let lost = usize::try_from(reserve).unwrap_or(usize::MAX).min(hosts.len());
    let left = hosts.len() - lost;
    let largest = hosts.iter().map(|host| host.ha_largest).max().unwrap_or(0);
    let vms: i128 = hosts.iter().map(|host| i128::from(host.ha_count)).sum();
    let smallest = |of: &dyn Fn(&ScvmmHost) -> i128| -> i128 {
        let mut values: Vec<i128> = hosts.iter().map(of).collect();
        values.sort_unstable();
        values.iter().take(left).sum()
    };
    let mut memory: Vec<i128> = hosts.iter().map(|host| host.ha_memory).collect();
    memory.sort_unstable_by(|one, other| other.cmp(one));
    let orphaned: i128 = memory.iter().take(lost).sum();
    let slot_simple = slots(vms, smallest(&|host| total(host, largest)), largest);
    let proof_simple = proof(orphaned, largest, smallest(&|host| add(host, largest)));
    // N to the power of R below 5000.
    let runs = hosts.len().checked_pow(reserve).is_some_and(|sets| sets < 5000);
    let mut full = Full { hosts, vms, slot: None, proof: None };
    if runs {
        full.choose(0, lost, &mut Vec::new());
    }
    let not_run = ScvmmTest { passes: None, needed: 0, offered: 0 };
    ScvmmTests {
        slot_simple,
        slot_full: full.slot.unwrap_or(not_run),
        proof_simple,
        proof_full: full.proof.unwrap_or(not_run),
    }
}

fn slots(vms: i128, offered: i128, size: i128) -> ScvmmTest {
    // VMs of no size need no slots.
    ScvmmTest { passes: Some(size == 0 || vms <= offered), needed: vms, offered }
}

fn proof(orphaned: i128, largest: i128, offered: i128) -> ScvmmTest {
    let needed = orphaned - largest;
    // One VM, and nowhere room for more than it: the proof needs one host that could take it.
    let edge = needed == 0 && largest > 0 && offered == 0;
    ScvmmTest { passes: Some(needed <= offered && !edge), needed, offered }
}

fn total(host: &ScvmmHost, size: i128) -> i128 {
    host.available.max(0).checked_div(size).unwrap_or(0) + i128::from(host.ha_count)
}

fn add(host: &ScvmmHost, largest: i128) -> i128 {
    (host.available - largest).max(0)
}

/// The full tests over every set of hosts: the one with least to spare counts.
struct Full<'h> {
    hosts: &'h [ScvmmHost],
    vms: i128,
    slot: Option<ScvmmTest>,
    proof: Option<ScvmmTest>,
}

impl Full<'_> {
    fn choose(&mut self, from: usize, lost: usize, set: &mut Vec<usize>) {
        if set.len() == lost {
            self.judge(set);
            return;
        }
        for host in from..self.hosts.len() {
            set.push(host);
            self.choose(host + 1, lost, set);
            set.pop();
        }
    }

    fn judge(&mut self, set: &[usize]) {
        let fails = |at: usize| set.binary_search(&at).is_ok();
        let failed = || self.hosts.iter().enumerate().filter(|(at, _)| fails(*at)).map(|(_, host)| host);
        let alive = || self.hosts.iter().enumerate().filter(|(at, _)| !fails(*at)).map(|(_, host)| host);
        let largest = failed().map(|host| host.ha_largest).max().unwrap_or(0);
        let orphaned: i128 = failed().map(|host| host.ha_memory).sum();
        let slot = slots(self.vms, alive().map(|host| total(host, largest)).sum(), largest);
        let proof = proof(orphaned, largest, alive().map(|host| add(host, largest)).sum());
        worst(&mut self.slot, slot);
        worst(&mut self.proof, proof);
    }
}

/// A set that fails counts before one that passes, then the one with least to spare.
fn worst(kept: &mut Option<ScvmmTest>, test: ScvmmTest) {
    let rank = |test: &ScvmmTest| (test.passes, test.offered - test.needed);
    if kept.as_ref().is_none_or(|kept| rank(&test) < rank(kept)) {
        *kept = Some(test);
    }
}
