//! xapi's rule: protected VMs, memory alone, the biggest VM to the host with most free memory.
//!
//! Uses nothing of the crate but numbers. Used by `compare`. Source: xen-api `binpack.ml` and `xapi_ha_vm_failover.ml`: the
//! rule tries every set of hosts in every order of their loss, where there are at most 32 hosts and fewer than 3500 such
//! orders; otherwise it takes all VMs for as big as the biggest, and the hosts with most room for lost. The greedy way is
//! sufficient and not exact; the rule looks at no second resource and at no placement rules.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: what is taken of a host's memory fits into it; counts are below 2^31; amounts are below 2^64 and \
              added in 128 bits"
)]

use alloc::vec::Vec;
use core::cmp::Reverse;

/// A host as the rule sees it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct XapiHost {
    /// Memory that nothing holds.
    pub free: u64,
    /// The memory of each protected VM that runs there.
    pub protected: Vec<u64>,
}

/// What the rule says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XapiPlan {
    /// Whether it finds a plan for every loss.
    pub exists: bool,
    /// Whether it looked at all losses, in every order; otherwise at the conservative test alone.
    pub exhaustive: bool,
}

/// What xapi would do about a start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum XapiAdmission {
    /// There is a plan with the VM, too.
    Admitted,
    /// There is a plan without the VM and none with it.
    Blocked,
    /// There is no plan as it is, so nothing is blocked: the pool is over-committed already.
    NotBlockedOvercommitted,
}

/// What xapi would do about a change from one state to another.
#[must_use]
pub fn xapi_admission(before: &[XapiHost], after: &[XapiHost], failures: u32) -> XapiAdmission {
    match (xapi_plan(before, &[], failures).exists, xapi_plan(after, &[], failures).exists) {
        (false, _) => XapiAdmission::NotBlockedOvercommitted,
        (true, true) => XapiAdmission::Admitted,
        (true, false) => XapiAdmission::Blocked,
    }
}

/// Whether the rule finds a plan for the loss of any so many hosts. `waiting`: protected VMs that have no host now.
#[must_use]
pub fn xapi_plan(hosts: &[XapiHost], waiting: &[u64], failures: u32) -> XapiPlan {
    let lost = usize::try_from(failures).unwrap_or(usize::MAX).min(hosts.len());
    let orders = (0..lost)
        .try_fold(1_u64, |product, at| product.checked_mul(u64::try_from(hosts.len() - at).unwrap_or(u64::MAX)));
    let exhaustive = hosts.len() <= 32 && orders.is_some_and(|orders| orders < 3500);
    let exists = if exhaustive {
        let mut state = State { free: hosts.iter().map(|host| Some(host.free)).collect(), on: Vec::new() };
        state.on = hosts.iter().map(|host| host.protected.clone()).collect();
        state.place(waiting.to_vec()) && state.survives(lost)
    } else {
        conservative(hosts, waiting, lost)
    };
    XapiPlan { exists, exhaustive }
}

fn conservative(hosts: &[XapiHost], waiting: &[u64], lost: usize) -> bool {
    let protected = || hosts.iter().flat_map(|host| &host.protected).chain(waiting);
    let Some(biggest) = protected().copied().max().filter(|biggest| *biggest > 0) else { return true };
    let mut slots: Vec<u64> = hosts.iter().map(|host| host.free / biggest).collect();
    slots.sort_unstable();
    slots.truncate(hosts.len() - lost);
    let mut counts: Vec<usize> = hosts.iter().map(|host| host.protected.len()).collect();
    counts.sort_unstable_by_key(|count| Reverse(*count));
    let needed = counts.iter().take(lost).sum::<usize>() + waiting.len();
    slots.iter().map(|slots| u128::from(*slots)).sum::<u128>() >= u128::try_from(needed).unwrap_or(u128::MAX)
}

/// Hosts on the way through losses one after another; those that are lost have no memory.
#[derive(Clone)]
struct State {
    free: Vec<Option<u64>>,
    on: Vec<Vec<u64>>,
}

impl State {
    fn survives(&self, lost: usize) -> bool {
        lost == 0
            || (0..self.free.len()).filter(|host| self.free.get(*host).is_some_and(Option::is_some)).all(|host| {
                let mut next = self.clone();
                if let Some(free) = next.free.get_mut(host) {
                    *free = None;
                }
                let displaced = next.on.get_mut(host).map(core::mem::take).unwrap_or_default();
                next.place(displaced) && next.survives(lost - 1)
            })
    }

    /// The biggest first, each to the host with most free memory, of equals the first.
    fn place(&mut self, mut vms: Vec<u64>) -> bool {
        vms.sort_unstable_by_key(|vm| Reverse(*vm));
        vms.into_iter().all(|vm| {
            let alive = self.free.iter_mut().zip(&mut self.on).filter_map(|(free, on)| Some((free.as_mut()?, on)));
            match alive.max_by_key(|(free, _)| **free) {
                Some((free, on)) if *free >= vm => {
                    *free -= vm;
                    on.push(vm);
                    true
                }
                _ => false,
            }
        })
    }
}
