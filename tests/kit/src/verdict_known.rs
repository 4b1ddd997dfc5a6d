//! The verdicts that are known of public data: what a guarantee has to answer there.
//!
//! Uses `data` (the instances of `../shared/data` and how a cluster is made of them). Used by `known_verdicts`.
//!
//! - **derived** (`known.single_*`, `known.any_*`): which hosts, pairs, triples or racks can be lost, by an exact program
//!   that is not this library. A class of which only some units were tried can be refuted by it and not confirmed.
//! - **published**: Ganeti's own count of hosts that cannot be lost, where the derived one agrees; placements that the
//!   authors of Proxmox and Pacemaker expect; optimal numbers of bins.
//! - A *no* outlives more kinds and more rules; a *yes* does not, so it is listed just for the kinds and rules that it is
//!   about ([`Known::cluster`] leaves out the others).
//! - **Packing as failover.** All VMs on one large node beside as many empty nodes as the optimum: it can be lost; with one
//!   empty node less it cannot. With one empty node more, it can be lost together with any other. And the same with VMs
//!   that wait for a place from the beginning.

use crate::data::{self, Instance, Quantities, Reading};
use lifeboat::policy::FailureClass;
use lifeboat::{Cluster, Failure, Node, Policy, ResourceKinds, Vm, VmRef};
use serde_json::{Number, Value};
use std::collections::BTreeSet;
use std::rc::Rc;

/// What is known of a class as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    /// It is survived.
    Holds,
    /// So far as it was tried, it is survived; the text says how far.
    HoldsIf(String),
    /// It is not survived.
    Fails,
    /// Nothing, but something of some of its units.
    Open,
}

/// Who says so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// The authors of the data.
    Published,
    /// An exact program.
    Derived,
    /// Both, and they agree.
    Both,
}

/// A known verdict.
#[derive(Clone, Debug)]
pub struct Known {
    /// The file, `group/file`.
    pub file: String,
    /// The instance's name.
    pub instance: String,
    /// The entry of `known` that says it, or how it is made of one.
    pub key: String,
    /// Who says so.
    pub origin: Origin,
    /// The class, of one level.
    pub class: FailureClass,
    /// What is known of the class.
    pub expected: Expected,
    /// Sets of units of the class's level, by name, that cannot be lost.
    pub failing: Vec<Vec<String>>,
    /// Of all sets of as many units as the class allows, no others fail.
    pub failing_is_all: bool,
    /// Sets of units that can be lost.
    pub surviving: Vec<Vec<String>>,
    recipe: Recipe,
}

/// How a cluster is made of an instance.
#[derive(Clone, Debug)]
enum Recipe {
    /// As it is read.
    Read(Rc<Instance>, Reading),
    /// Packing: so many empty nodes, and perhaps one that holds every VM (otherwise they wait).
    Pack { instance: Rc<Instance>, empty: usize, on_source: bool },
}

/// The node that holds every VM of a packing instance.
pub const SOURCE: &str = "source";

impl Known {
    /// The cluster that it is about.
    ///
    /// # Panics
    /// If an instance is not what it should be.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        match &self.recipe {
            Recipe::Read(instance, reading) => instance.read(*reading).cluster,
            Recipe::Pack { instance, empty, on_source } => pack(instance, *empty, *on_source),
        }
    }

    /// The policy that asks for it, and for nothing else.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let mut policy = Policy::default();
        policy.tolerate = vec![self.class.clone()];
        policy
    }

    /// The level of its units.
    #[must_use]
    pub fn level(&self) -> &str {
        self.class.fail.first().map_or(lifeboat::NODE_LEVEL, |(level, _)| level)
    }

    /// The failure of some of its units, by name.
    ///
    /// # Panics
    /// If the cluster has no such unit.
    #[must_use]
    pub fn failure(&self, cluster: &Cluster, units: &[String]) -> Failure {
        let add = |failure: Failure, unit: &String| failure.domain(cluster, self.level(), unit).expect("a unit");
        units.iter().fold(Failure::none(), add)
    }
}

/// Everything that is known; empty, and a loud remark, if the data is not there.
///
/// # Panics
/// If the data is not what it should be.
#[must_use]
pub fn known_verdicts() -> Vec<Known> {
    let mut all = Vec::new();
    for file in data::files() {
        for instance in data::instances(&file) {
            let instance = Rc::new(instance);
            match file.split('/').next().unwrap_or_default() {
                "packing" => packing(&file, &instance, &mut all),
                "ha_products" => {
                    recoveries(&file, &instance, &mut all);
                    expected_placement(&file, &instance, &mut all);
                }
                _ => derived(&file, &instance, &mut all),
            }
        }
    }
    all
}

fn class_of(level: &str, count: usize) -> FailureClass {
    FailureClass::units(level, u32::try_from(count).expect("a small count"))
}

/// The names of a list of units, or of a list of sets of units.
fn sets(value: &Value) -> Vec<Vec<String>> {
    let name = |value: &Value| value.as_str().expect("a name").to_string();
    let set = |value: &Value| match value {
        Value::Array(units) => units.iter().map(name).collect(),
        unit => vec![name(unit)],
    };
    value.as_array().into_iter().flatten().map(set).collect()
}

/// How many ways there are to choose `count` of `of`.
fn choices(of: usize, count: usize) -> usize {
    (0..count).fold(1, |ways, chosen| ways * of.saturating_sub(chosen) / (chosen + 1))
}

/// The entries `single_*` and `any_*` of an instance.
fn derived(file: &str, instance: &Rc<Instance>, all: &mut Vec<Known>) {
    // Ganeti looks at disks and policies, too: where its count is another, it answers another question.
    let agreed = instance.known.get("tool_and_derived_agree").and_then(Value::as_bool);
    if agreed == Some(false) {
        return;
    }
    for (key, entry) in instance.known.as_object().into_iter().flatten() {
        if !key.starts_with("single_") && !key.starts_with("any_") {
            continue;
        }
        let number = |field: &str| entry.get(field).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let level = if entry["unit"] == "rack" { "rack" } else { lifeboat::NODE_LEVEL };
        let count = number("k").unwrap_or(1);
        let memory_only = key.ends_with("memory_only");
        let asked = if key.ends_with("by_reservations") {
            Rc::new(by_reservations(instance))
        } else {
            Rc::new(with_rules_of(key, instance))
        };
        let failing = sets(&entry["not_restartable"]);
        let listed = number("not_restartable_count").unwrap_or(failing.len()) == failing.len();
        let decided = entry["unknown"].as_array().is_some_and(Vec::is_empty);
        let units = unit_count(&asked, level);
        let checked = number("checked").expect("how many were tried");
        let complete = decided && checked == choices(units, count);
        let waiting = asked.vms.iter().any(|vm| vm.host.is_none() && vm.power.as_deref() != Some("off"));
        let expected = match (failing.is_empty(), complete, waiting) {
            (false, _, _) => Expected::Fails,
            (true, true, false) => Expected::Holds,
            (true, true, true) => Expected::HoldsIf("not asked of VMs that wait for a place".to_string()),
            (true, false, _) => Expected::HoldsIf(format!("{checked} of {} were tried", choices(units, count))),
        };
        let known = Known {
            file: file.to_string(),
            instance: instance.name.clone(),
            key: key.clone(),
            origin: if agreed == Some(true) { Origin::Both } else { Origin::Derived },
            class: class_of(level, count),
            failing_is_all: complete && listed,
            expected,
            failing,
            surviving: Vec::new(),
            recipe: Recipe::Read(asked, Reading { memory_only, ..Reading::default() }),
        };
        // With all kinds and rules a no is still a no.
        let restricted = memory_only || with_rules_of(key, instance).rules.len() < instance.rules.len();
        if known.expected == Expected::Fails && restricted {
            all.push(Known {
                key: format!("{key}, all kinds and rules"),
                failing_is_all: false,
                recipe: Recipe::Read(Rc::clone(instance), Reading::default()),
                ..known.clone()
            });
        }
        all.push(known);
    }
}

/// An instance with just the rules that an entry of `known` is about.
fn with_rules_of(key: &str, instance: &Instance) -> Instance {
    let mut instance = instance.clone();
    if key.contains("capacity_and_anti_affinity") {
        instance.rules.retain(|rule| rule["type"] == "anti_affinity");
    } else if key.contains("capacity_only") {
        instance.rules.clear();
    }
    instance
}

/// What the source of `rvtools_vcenter_access` was operated with: reservations, at least 32 MHz, and the overhead of each
/// VM, against the CPU and memory of the hosts.
fn by_reservations(instance: &Instance) -> Instance {
    let amounts = |cpu: u64, memory: u64| {
        Quantities(vec![("cpu_mhz".to_string(), cpu.into()), ("memory_mib".to_string(), memory.into())])
    };
    let of = |quantities: &Quantities, kind: &str| {
        let found = quantities.0.iter().find(|(name, _)| name == kind);
        found.map_or(0, |(_, amount)| Number::as_u64(amount).expect("a whole amount"))
    };
    let mut instance = instance.clone();
    for node in &mut instance.nodes {
        let cpu = node.attributes["cpu_mhz"].as_u64().expect("the CPU of the host");
        node.capacity = amounts(cpu, of(&node.capacity, "memory_mib"));
    }
    for vm in &mut instance.vms {
        let memory = of(&vm.reservation, "memory_mib") + vm.memory_overhead_mib.unwrap_or(0);
        vm.demand = amounts(of(&vm.reservation, "cpu_mhz").max(32), memory);
    }
    instance
}

fn unit_count(instance: &Instance, level: &str) -> usize {
    let up = instance.nodes.iter().filter(|node| node.status.as_deref().unwrap_or("online") == "online");
    if level == lifeboat::NODE_LEVEL {
        return up.count();
    }
    let levels = instance.fault_domain_levels.iter().flatten();
    let depth = levels.into_iter().position(|known| known == level).expect("a level");
    let domain = |node: &data::RawNode| node.fault_domain.as_ref().and_then(|path| path.get(depth)?.clone());
    let (mut named, mut own) = (BTreeSet::new(), 0);
    for node in up {
        match domain(node) {
            Some(name) => drop(named.insert(name.to_string())),
            None => own += 1,
        }
    }
    named.len() + own
}

/// The recoveries that Proxmox's authors expect: a host whose VMs all come back can be lost.
fn recoveries(file: &str, instance: &Rc<Instance>, all: &mut Vec<Known>) {
    let Some(expected) = instance.known.get("expected_recoveries").and_then(Value::as_array) else { return };
    let field = |recovery: &Value, field: &str| recovery[field].as_str().expect("a name").to_string();
    let hosts: BTreeSet<String> = expected.iter().map(|recovery| field(recovery, "from")).collect();
    let comes_back = |host: &String| {
        let back: BTreeSet<String> = expected
            .iter()
            .filter(|recovery| field(recovery, "from") == *host)
            .map(|recovery| field(recovery, "vm"))
            .collect();
        let there =
            instance.vms.iter().filter(|vm| vm.host.as_ref() == Some(host) && vm.power.as_deref() != Some("off"));
        let there: BTreeSet<String> = there.map(|vm| vm.name.clone()).collect();
        // Several failures of one scenario may find the VMs elsewhere than at first.
        !there.is_empty() && back == there
    };
    let surviving: Vec<Vec<String>> =
        hosts.iter().filter(|host| comes_back(host)).map(|host| vec![host.clone()]).collect();
    if !surviving.is_empty() {
        all.push(Known {
            file: file.to_string(),
            instance: instance.name.clone(),
            key: "expected_recoveries".to_string(),
            origin: Origin::Published,
            class: class_of(lifeboat::NODE_LEVEL, 1),
            expected: Expected::Open,
            failing: Vec::new(),
            failing_is_all: false,
            surviving,
            recipe: Recipe::Read(Rc::clone(instance), Reading::default()),
        });
    }
}

/// The placements that Pacemaker's authors expect: where nothing moves and everything that waits has a place, nothing is
/// lost by the empty failure.
fn expected_placement(file: &str, instance: &Rc<Instance>, all: &mut Vec<Known>) {
    let Some(expected) = instance.known.get("expected_placement") else { return };
    let online = |host: &str| {
        let found = instance.nodes.iter().find(|node| node.name == host);
        found.is_some_and(|node| node.status.as_deref().unwrap_or("online") == "online")
    };
    let stays = |vm: &data::RawVm| {
        let place = expected.get(&vm.name).and_then(Value::as_str);
        let runs = vm.host.as_deref().filter(|host| online(host));
        vm.power.as_deref() == Some("off") || (place.is_some() && (runs.is_none() || runs == place))
    };
    if instance.vms.iter().all(stays) {
        all.push(Known {
            file: file.to_string(),
            instance: instance.name.clone(),
            key: "expected_placement".to_string(),
            origin: Origin::Published,
            class: class_of(lifeboat::NODE_LEVEL, 0),
            expected: Expected::Holds,
            failing: Vec::new(),
            failing_is_all: true,
            surviving: Vec::new(),
            recipe: Recipe::Read(Rc::clone(instance), Reading::default()),
        });
    }
}

/// A packing instance in six ways.
fn packing(file: &str, instance: &Rc<Instance>, all: &mut Vec<Known>) {
    let number = |field: &str| {
        let value = instance.known[field].as_u64().expect("a number of hosts");
        usize::try_from(value).expect("a small number")
    };
    let fits = number("fits_on");
    assert_eq!(number("does_not_fit_on") + 1, fits, "{}: the optimum", instance.name);
    let first = || empty_name(0);
    let source = || SOURCE.to_string();
    let ways = [
        ("loss of the one full node", fits, true, 1, Vec::new()),
        ("loss of the one full node, a node less", fits - 1, true, 1, vec![vec![source()]]),
        ("loss of the one full node and another", fits + 1, true, 2, Vec::new()),
        ("loss of the one full node and another, a node less", fits, true, 2, vec![vec![first(), source()]]),
        ("all wait", fits, false, 0, Vec::new()),
        ("all wait, a node less", fits - 1, false, 0, vec![Vec::new()]),
        ("all wait and a node is lost", fits + 1, false, 1, Vec::new()),
        ("all wait and a node is lost, a node less", fits, false, 1, vec![vec![first()]]),
    ];
    for (key, empty, on_source, count, failing) in ways {
        all.push(Known {
            file: file.to_string(),
            instance: instance.name.clone(),
            key: key.to_string(),
            origin: Origin::Published,
            class: class_of(lifeboat::NODE_LEVEL, count),
            expected: if failing.is_empty() { Expected::Holds } else { Expected::Fails },
            failing_is_all: failing.is_empty() || key.starts_with("loss of the one full node, "),
            failing,
            surviving: Vec::new(),
            recipe: Recipe::Pack { instance: Rc::clone(instance), empty, on_source },
        });
    }
}

fn empty_name(number: usize) -> String {
    format!("empty-{number:03}")
}

fn pack(instance: &Instance, empty: usize, on_source: bool) -> Cluster {
    let given = instance.read(Reading::default()).cluster;
    let kinds: Vec<_> = given.kinds().iter().cloned().collect();
    let mut cluster = Cluster::new(ResourceKinds::from_kinds(kinds).expect("good kinds"), [""; 0]).expect("no levels");
    let host = given.nodes().next().expect("a host").capacity().to_vec();
    assert!(given.nodes().all(|node| node.capacity() == host), "{}: hosts of one size", instance.name);
    for number in 0..empty {
        cluster.add_node(Node::named(empty_name(number)).capacity(host.clone())).expect("a good node");
    }
    let all = given.vms().fold(vec![0; host.len()], |mut sum, vm: VmRef<'_>| {
        sum.iter_mut().zip(vm.demand()).for_each(|(sum, amount)| *sum += amount);
        sum
    });
    let source = on_source.then(|| cluster.add_node(Node::named(SOURCE).capacity(all)).expect("a good node"));
    for vm in given.vms() {
        let mut vm = Vm::named(vm.name()).demand(vm.demand().to_vec()).powered_on();
        vm.node = source;
        cluster.add_vm(vm).expect("a good VM");
    }
    cluster
}
