//! The incumbents' rules beside the exact verdict, for one cluster.
//!
//! Uses `cluster`, `policy`, `guarantee`, `admission::reserves`; `scvmm` and `xapi` are their rules over plain numbers.
//! Called by embedders and the example program.
//!
//! **The data's path.** From the policy comes how many nodes may be lost; each rule counts the cluster in its own way and
//! says yes or no; the verdict of the guarantee on the same loss stands beside them. Where a rule says something else, what
//! it does not see on this very cluster is looked up and named.

mod scvmm;
mod xapi;

pub use scvmm::{ScvmmHost, ScvmmTest, ScvmmTests, scvmm_tests};
pub use xapi::{XapiAdmission, XapiHost, XapiPlan, xapi_admission, xapi_plan};

use crate::admission::reserves::{ReserveError, ReserveFigures, ReserveStatus, reserves_status};
use crate::cluster::{Cluster, NODE_LEVEL, NodeRef, NodeState, Power, RestartClass, Strength, VmRef};
use crate::guarantee::{Answer, Verdict, VerifyError, verify_controlled};
use crate::ids::NodeId;
use crate::named::named;
use crate::placement::budget::Control;
use crate::policy::{FailureClass, Percent, Policy, Reserve};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A rule that is compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CompareRule {
    /// vSphere HA, cluster resource percentage.
    VspherePercentage,
    /// vSphere HA, slot policy.
    VsphereSlots,
    /// SCVMM's over-commit check, first test.
    ScvmmSlotSimple,
    /// Its second.
    ScvmmSlotFull,
    /// Its third.
    ScvmmProofSimple,
    /// Its fourth.
    ScvmmProofFull,
    /// SCVMM's answer: yes if one of the four passes.
    Scvmm,
    /// xapi, the toolstack of Xen pools.
    Xapi,
}

named!(CompareRule {
    VspherePercentage = "vsphere_percentage",
    VsphereSlots = "vsphere_slots",
    ScvmmSlotSimple = "scvmm_slot_simple",
    ScvmmSlotFull = "scvmm_slot_full",
    ScvmmProofSimple = "scvmm_proof_simple",
    ScvmmProofFull = "scvmm_proof_full",
    Scvmm = "scvmm",
    Xapi = "xapi",
});

/// What one rule says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opinion {
    /// The rule.
    pub rule: CompareRule,
    /// Whether the losses are survived, as it has it; `None`: it does not apply here, `figure` says why.
    pub survives: Option<bool>,
    /// What it counted, in words.
    pub figure: String,
    /// The numbers in it: what is needed and what is offered, in the rule's own unit; a yes where the first is at most the
    /// second. `None`: the rule compares no two numbers.
    pub counted: Option<(i128, i128)>,
    /// Whether it reads reservations, and those of some VMs had to be assumed to be their demand.
    pub assumed_reservation: bool,
    /// Where it differs from the verdict: why, as far as this cluster shows it.
    pub differences: Vec<Difference>,
}

/// Why a rule differs from the verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// A stable code.
    pub code: &'static str,
    /// In words.
    pub message: String,
}

/// All rules beside the verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// How many nodes are lost in the comparison.
    pub failures: u32,
    /// What each rule says, in the order of [`CompareRule::ALL`].
    pub opinions: Vec<Opinion>,
    /// The verdict on the loss of so many nodes.
    pub verdict: Verdict,
    /// Classes of the policy that no incumbent can express: those with wider levels, or a least priority.
    pub beyond: usize,
}

/// Why nothing could be compared.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// There is no verdict.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A reserve cannot be counted.
    #[error(transparent)]
    Reserve(#[from] ReserveError),
}

impl CompareError {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Verify(error) => error.code(),
            Self::Reserve(error) => error.code(),
        }
    }
}

/// What vSphere, SCVMM and xapi say about a cluster beside the exact verdict, for as many lost nodes as the policy
/// tolerates (the largest `node` count among its classes; 1 if there is none).
///
/// vSphere's rules take their settings from the policy's first reserve of that kind; without one, per cents are derived from
/// the largest nodes, and slots from what is reserved. SCVMM and xapi see memory alone: the kind `memory`, or else the first
/// with a unit of bytes. HA VMs are the protected ones.
///
/// Costs one verdict, besides a look at everything per rule; SCVMM's full tests and xapi's orders are limited as theirs are.
///
/// # Errors
/// See [`CompareError`].
///
/// ```
/// use lifeboat::{Cluster, CompareRule, Control, Node, Policy, ResourceKinds, Vm, compare};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, [""; 0])?;
/// for name in ["a", "b", "c"] {
///     let node = cluster.add_node(Node::named(name).capacity([4096]))?;
///     cluster.add_vm(Vm::named(name).demand([2560]).on(node))?;
/// }
/// // In sum there is room for what a node runs, but in no single place.
/// let found = compare(&cluster, &Policy::default(), &Control::new())?;
/// let percentage = &found.opinions[0];
/// assert_eq!((percentage.rule, percentage.survives), (CompareRule::VspherePercentage, Some(true)));
/// assert!(percentage.differences.iter().any(|difference| difference.code == "fragmentation"));
/// # Ok(())
/// # }
/// ```
pub fn compare(cluster: &Cluster, policy: &Policy, control: &Control) -> Result<Comparison, CompareError> {
    let of_nodes = |class: &FailureClass| {
        let nodes = class.fail.iter().filter(|(level, _)| level == NODE_LEVEL);
        nodes.map(|(_, count)| *count).max()
    };
    let failures = policy.tolerate.iter().filter_map(of_nodes).max().unwrap_or(1);
    let beyond = policy.tolerate.iter().filter(|class| !class.is_of_nodes()).count();
    let mut asked = policy.clone();
    asked.tolerate = alloc::vec![FailureClass::nodes(failures)];
    let verdict = verify_controlled(cluster, &asked, control)?;
    let mut opinions = vsphere(cluster, policy, failures)?;
    if let Some(kind) = memory_kind(cluster) {
        opinions.extend(of_scvmm(cluster, kind, failures));
        opinions.push(of_xapi(cluster, kind, failures));
    } else {
        let without = CompareRule::ALL.iter().skip(2).map(|rule| Opinion {
            rule: *rule,
            survives: None,
            figure: String::from("the cluster counts no memory"),
            counted: None,
            assumed_reservation: false,
            differences: Vec::new(),
        });
        opinions.extend(without);
    }
    for opinion in &mut opinions {
        opinion.differences = differences(cluster, opinion, verdict.answer());
    }
    Ok(Comparison { failures, opinions, verdict, beyond })
}

fn memory_kind(cluster: &Cluster) -> Option<usize> {
    const BYTES: [&str; 11] = ["B", "kB", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let of_bytes = || cluster.kinds().iter().position(|kind| BYTES.contains(&kind.unit.as_str()));
    cluster.kinds().position("memory").or_else(of_bytes)
}

fn vsphere(cluster: &Cluster, policy: &Policy, failures: u32) -> Result<Vec<Opinion>, CompareError> {
    let set = |wanted: &dyn Fn(&Reserve) -> bool| policy.reserves.iter().find(|reserve| wanted(reserve)).cloned();
    let percentage = set(&|reserve| matches!(reserve, Reserve::Percentage { .. })).unwrap_or_else(|| {
        let percent = Percent::Auto { largest: true, failures };
        Reserve::Percentage { percent, floor: Vec::new(), mode: None }
    });
    let slots = set(&|reserve| matches!(reserve, Reserve::Slots { .. })).unwrap_or_else(|| Reserve::Slots {
        failures,
        floor: Vec::new(),
        size: Vec::new(),
        cap: Vec::new(),
        mode: None,
    });
    let mut asked = policy.clone();
    asked.reserves = alloc::vec![percentage, slots];
    let assumed = cluster.vms().any(|vm| vm.is_on() && !vm.has_own_reservation());
    let opinion = |status: ReserveStatus| {
        let (rule, counted) = match &status.figures {
            ReserveFigures::Slots(figures) => {
                let number = |number: u128| i128::try_from(number).unwrap_or(i128::MAX);
                (CompareRule::VsphereSlots, figures.left.map(|left| (number(figures.used), number(left))))
            }
            _ => (CompareRule::VspherePercentage, None),
        };
        Opinion {
            rule,
            survives: Some(status.held),
            figure: status.message,
            counted,
            assumed_reservation: assumed,
            differences: Vec::new(),
        }
    };
    Ok(reserves_status(cluster, &asked)?.into_iter().map(opinion).collect())
}

/// The hosts that SCVMM and xapi see: those that run VMs and can fail, by name.
fn hosts(cluster: &Cluster) -> Vec<NodeRef<'_>> {
    let up = |node: &NodeRef<'_>| matches!(node.state(), NodeState::Online | NodeState::Cordoned);
    let mut hosts: Vec<NodeRef<'_>> = cluster.nodes().filter(up).collect();
    hosts.sort_unstable_by_key(|node| node.name());
    hosts
}

fn of_kind(row: &[u64], kind: usize) -> u64 {
    row.get(kind).copied().unwrap_or(0)
}

fn of_scvmm(cluster: &Cluster, kind: usize, failures: u32) -> Vec<Opinion> {
    // Stopped VMs count where they ran last.
    let mut by_node: BTreeMap<NodeId, Vec<VmRef<'_>>> = BTreeMap::new();
    for vm in cluster.vms() {
        if let Some(node) = vm.node() {
            by_node.entry(node).or_default().push(vm);
        }
    }
    let hosts: Vec<ScvmmHost> = hosts(cluster)
        .iter()
        .map(|node| {
            let vms = by_node.remove(&node.id()).unwrap_or_default();
            let size = |vm: &VmRef<'_>| i128::from(of_kind(vm.demand(), kind));
            let is_ha = |vm: &&VmRef<'_>| vm.effective().0 == RestartClass::Protected;
            let all: i128 = vms.iter().map(size).fold(0, i128::saturating_add);
            let ha = || vms.iter().filter(is_ha).map(size);
            let total = i128::from(of_kind(node.capacity(), kind));
            ScvmmHost {
                available: total.saturating_sub(i128::from(of_kind(node.reserved(), kind))).saturating_sub(all),
                ha_memory: ha().fold(0, i128::saturating_add),
                ha_count: crate::dense::to_u32(ha().count()),
                ha_largest: ha().max().unwrap_or(0),
            }
        })
        .collect();
    let tests = scvmm_tests(&hosts, failures);
    let unit = cluster.kinds().get(kind).map_or("", |kind| kind.unit.as_str());
    let opinion = |rule: CompareRule, test: ScvmmTest, of: &str| {
        let amount = |number: i128| match (of, number) {
            ("", _) => number.to_string(),
            ("slots", 1) => String::from("1 slot"),
            _ => format!("{number} {of}"),
        };
        Opinion {
            rule,
            survives: test.passes,
            figure: match test.passes {
                None => format!("not run on so many hosts: {} to the power of {failures} is 5000 or more", hosts.len()),
                Some(_) => format!("{} needed, {} offered", amount(test.needed), amount(test.offered)),
            },
            counted: test.passes.map(|_| (test.needed, test.offered)),
            assumed_reservation: false,
            differences: Vec::new(),
        }
    };
    let passes = tests.passes();
    let overall = Opinion {
        rule: CompareRule::Scvmm,
        survives: Some(passes),
        figure: String::from(if passes {
            "one of the four tests passes"
        } else {
            "none of the four tests passes: over-committed"
        }),
        counted: None,
        assumed_reservation: false,
        differences: Vec::new(),
    };
    alloc::vec![
        opinion(CompareRule::ScvmmSlotSimple, tests.slot_simple, "slots"),
        opinion(CompareRule::ScvmmSlotFull, tests.slot_full, "slots"),
        opinion(CompareRule::ScvmmProofSimple, tests.proof_simple, unit),
        opinion(CompareRule::ScvmmProofFull, tests.proof_full, unit),
        overall,
    ]
}

fn of_xapi(cluster: &Cluster, kind: usize, failures: u32) -> Opinion {
    let is_protected = |vm: &VmRef<'_>| vm.effective().0 == RestartClass::Protected;
    let size = |vm: VmRef<'_>| of_kind(vm.demand(), kind);
    let hosts: Vec<XapiHost> = hosts(cluster)
        .iter()
        .map(|node| {
            let all = of_kind(node.capacity(), kind).saturating_sub(of_kind(node.reserved(), kind));
            let vms = node.vms().filter_map(|vm| cluster.vm(vm).ok());
            XapiHost {
                free: all.saturating_sub(of_kind(node.used(), kind)),
                protected: vms.filter(is_protected).map(size).collect(),
            }
        })
        .collect();
    let waiting: Vec<u64> = cluster.vms().filter(|vm| vm.is_displaced() && is_protected(vm)).map(size).collect();
    let plan = xapi_plan(&hosts, &waiting, failures);
    let way =
        if plan.exhaustive { "greedy plans for every loss, in every order" } else { "the conservative test alone" };
    let says = if plan.exists {
        "a plan exists"
    } else {
        "no plan: the pool is over-committed, and starts are not blocked any more"
    };
    Opinion {
        rule: CompareRule::Xapi,
        survives: Some(plan.exists),
        figure: format!("{says} ({way})"),
        counted: None,
        assumed_reservation: false,
        differences: Vec::new(),
    }
}

/// What a rule does not see on this cluster, or sees too coarsely, where it says something else than the verdict.
fn differences(cluster: &Cluster, opinion: &Opinion, answer: Answer) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |code: &'static str, message: String| found.push(Difference { code, message });
    let vsphere = matches!(opinion.rule, CompareRule::VspherePercentage | CompareRule::VsphereSlots);
    let name = |vm: &VmRef<'_>| vm.name().to_string();
    let mut on: Vec<VmRef<'_>> = cluster.vms().filter(|vm| vm.is_on()).collect();
    on.sort_unstable_by_key(|vm| vm.name());
    match (opinion.survives, answer) {
        (Some(true), Answer::Fails) => {
            if opinion.rule == CompareRule::VspherePercentage {
                add(
                    "fragmentation",
                    "it adds up what all nodes have free, and does not ask whether any single node has enough".into(),
                );
            }
            if opinion.rule == CompareRule::VsphereSlots {
                add(
                    "fragmentation",
                    "it does not ask whether one node has all the slots that a larger VM takes".into(),
                );
            }
            if !vsphere && cluster.kinds().len() > 1 {
                add("memory_only", "it looks at memory alone".into());
            }
            let less =
                |vm: &&VmRef<'_>| vm.reservation().iter().zip(vm.restart_demand()).any(|(less, need)| less < need);
            if let Some(vm) = on.iter().find(less).filter(|_| vsphere) {
                add(
                    "reservation_below_demand",
                    format!("it counts reservations, and VM '{}' needs more than it reserves", name(vm)),
                );
            }
            let required = |rule: &crate::cluster::RuleRef<'_>| rule.strength() == Strength::Required;
            let mut rules: Vec<&str> = cluster.rules().filter(required).map(crate::cluster::RuleRef::name).collect();
            rules.sort_unstable();
            if let Some(first) = rules.first() {
                add("rules_ignored", format!("it does not look at required rules, such as '{first}'"));
            }
            let limited = |vm: &&VmRef<'_>| vm.allowed_nodes().is_some() || !vm.requires().is_empty();
            if let Some(vm) = on.iter().find(limited) {
                add(
                    "limits_ignored",
                    format!("it does not ask where a VM may run, and '{}' may not everywhere", name(vm)),
                );
            }
            if vsphere && cluster.nodes().any(|node| matches!(node.state(), NodeState::Failed | NodeState::Unreachable))
            {
                add("failed_nodes_counted", "it counts nodes that have failed or cannot be reached".into());
            }
        }
        (Some(false), Answer::Holds) => {
            if opinion.rule == CompareRule::VsphereSlots {
                add("slot_size", "it takes every VM for as large as the largest of each kind".into());
            }
            if opinion.rule == CompareRule::VspherePercentage {
                add(
                    "all_reserved_counted",
                    "it keeps whole nodes free of all VMs, where only protected ones need to return".into(),
                );
            }
            let takes_more = |node: NodeRef<'_>| {
                let mut rows = node.failover_allocatable().iter().zip(node.allocatable());
                rows.any(|(failover, today)| failover > today)
            };
            if vsphere && cluster.nodes().any(takes_more) {
                add("failover_overcommit_ignored", "it does not know that nodes take more after a failure".into());
            }
            if vsphere && cluster.nodes().any(|node| node.role() == crate::cluster::Role::Spare) {
                add("spare_nodes_ignored", "it does not count spare nodes".into());
            }
            if !vsphere && opinion.rule != CompareRule::Xapi {
                add(
                    "sufficient_test_only",
                    "the test is sufficient and not necessary: that it fails proves nothing".into(),
                );
                if cluster.vms().any(|vm| vm.power() == Power::Off && vm.has_demand()) {
                    add("stopped_vms_counted", "it counts VMs that are off".into());
                }
            }
            if opinion.rule == CompareRule::Xapi {
                add("greedy", "it places the biggest VM on the emptiest node, and gives up where that fails".into());
            }
            if !vsphere && cluster.nodes().any(|node| node.failover_allocatable() != node.capacity()) {
                add("overcommit_ignored", "it does not know over-commit".into());
            }
        }
        _ => {}
    }
    found
}
