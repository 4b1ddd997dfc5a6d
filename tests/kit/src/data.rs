//! The instances of `../shared/data`, as clusters: what `../shared/tools/to_lifeboat.py` makes of them.
//!
//! Uses `serde_json`, `flate2` and the public interface of `lifeboat`. Used by tests of known answers, which say so
//! loudly when the data is not there. What a cluster cannot say is counted, never guessed; every number is as the
//! source has it (fractions are scaled to integers, by the same factor for a whole kind).

use flate2::read::GzDecoder;
use lifeboat::{
    Cluster, Node, NodeId, NodeState, Place, Power, Priority, ResourceKind, ResourceKinds, RestartClass, Rule,
    RuleKind, Strength, Vm, VmId,
};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Number, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

/// The directory of the data, if it is there.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    // The kit is in tests/kit of the repository; the data stands beside the repository.
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    directory.is_dir().then_some(directory)
}

/// The files of the data, as `group/file`, sorted; none, and a loud remark, if the data is not there.
#[must_use]
pub fn files() -> Vec<String> {
    let Some(directory) = directory() else {
        eprintln!("SKIPPED: ../shared/data is not there, so known answers are not compared");
        return Vec::new();
    };
    let mut files = Vec::new();
    for group in directory.read_dir().into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        for file in group.path().read_dir().into_iter().flatten().flatten() {
            files.push(format!("{}/{}", group.file_name().to_string_lossy(), file.file_name().to_string_lossy()));
        }
    }
    files.sort();
    files
}

/// The instances of a file, `group/file`; none, and a loud remark, if it is not there.
///
/// # Panics
/// If the file is not what it should be.
#[must_use]
pub fn instances(file: &str) -> Vec<Instance> {
    let Some(path) = directory().map(|directory| directory.join(file)).filter(|path| path.is_file()) else {
        eprintln!("SKIPPED: ../shared/data/{file} is not there");
        return Vec::new();
    };
    let opened = File::open(&path).expect("a readable file");
    let reader: Box<dyn Read> = if file.ends_with(".gz") { Box::new(GzDecoder::new(opened)) } else { Box::new(opened) };
    let mut reader = BufReader::new(reader);
    if file.contains(".jsonl") {
        let lines = reader.lines().map(|line| line.expect("text"));
        return lines.map(|line| serde_json::from_str(&line).expect("an instance")).collect();
    }
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    vec![serde_json::from_str(&text).expect("an instance")]
}

/// One instance, as it stands in its file (`../shared/data/README.md`).
#[derive(Clone, Deserialize, Debug)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Levels, outermost first; `host` is a node.
    #[serde(default)]
    pub fault_domain_levels: Option<Vec<String>>,
    /// Units by kind, or a text about all of them.
    #[serde(default)]
    pub units: Value,
    /// The hosts.
    pub nodes: Vec<RawNode>,
    /// The VMs.
    pub vms: Vec<RawVm>,
    /// The rules.
    #[serde(default)]
    pub rules: Vec<Value>,
    /// Known answers.
    #[serde(default)]
    pub known: Value,
}

/// A host of an instance.
#[derive(Clone, Deserialize, Debug)]
pub struct RawNode {
    /// Its name.
    pub name: String,
    /// Amounts by kind; empty = unlimited.
    pub capacity: Quantities,
    /// Names by level.
    #[serde(default)]
    pub fault_domain: Option<Vec<Option<Value>>>,
    /// Online if absent.
    #[serde(default)]
    pub status: Option<String>,
    /// A field that a cluster cannot say.
    #[serde(default)]
    pub neighborhood: Option<Value>,
    /// Facts that are not capacities.
    #[serde(default)]
    pub attributes: Value,
}

/// A VM of an instance.
#[derive(Clone, Deserialize, Debug)]
pub struct RawVm {
    /// Its name.
    pub name: String,
    /// Amounts by kind.
    pub demand: Quantities,
    /// The host, if it is placed.
    #[serde(default)]
    pub host: Option<String>,
    /// Larger is more important.
    #[serde(default)]
    pub priority: Option<Number>,
    /// On if absent.
    #[serde(default)]
    pub power: Option<String>,
    /// `false`: cannot be restarted elsewhere.
    #[serde(default)]
    pub restart: Option<bool>,
    /// What the source reserves for it.
    #[serde(default)]
    pub reservation: Quantities,
    /// What the hypervisor needs to run it.
    #[serde(default)]
    pub memory_overhead_mib: Option<u64>,
}

/// Amounts by kind, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Quantities(pub Vec<(String, Number)>);

impl<'de> Deserialize<'de> for Quantities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Quantities;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("amounts by kind")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Quantities, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Quantities(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl Quantities {
    fn get(&self, kind: &str) -> Fraction {
        self.0
            .iter()
            .find(|(name, _)| name == kind)
            .map_or(Fraction { over: 0, under: 1 }, |(_, number)| fraction(number))
    }
}

/// A number that is not negative, in lowest terms.
#[derive(Clone, Copy, Debug)]
struct Fraction {
    over: u128,
    under: u128,
}

fn greatest_divisor(left: u128, right: u128) -> u128 {
    if right == 0 { left } else { greatest_divisor(right, left % right) }
}

/// A decimal number, exactly as it is written.
fn fraction(number: &Number) -> Fraction {
    let text = number.to_string();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().expect("an exponent");
    let digits: u128 = format!("{whole}{decimals}").parse().expect("a number that is not negative");
    let shift = exponent - i64::try_from(decimals.len()).expect("few digits");
    let power = 10_u128.pow(u32::try_from(shift.unsigned_abs()).expect("a sane exponent"));
    let (over, under) = if shift < 0 { (digits, power) } else { (digits * power, 1) };
    let divisor = greatest_divisor(over, under).max(1);
    Fraction { over: over / divisor, under: under / divisor }
}

/// What to read of an instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Only the kind whose name has `mem`, or else the first.
    pub memory_only: bool,
    /// Leave out the last so many nodes: their VMs are displaced.
    pub drop_nodes: usize,
}

/// An instance as a cluster.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The cluster.
    pub cluster: Cluster,
    /// What could not be said, by sort, and how often.
    pub skipped: BTreeMap<String, usize>,
}

impl Instance {
    /// The instance as a cluster.
    ///
    /// # Panics
    /// If the cluster refuses an object.
    #[must_use]
    pub fn read(&self, reading: Reading) -> Converted {
        let mut skipped: BTreeMap<String, usize> = BTreeMap::new();
        let kinds = self.kinds(reading);
        let scales: Vec<u128> = kinds.iter().map(|kind| self.scale(kind)).collect();
        let amounts = |quantities: &Quantities| -> Vec<u64> {
            let scaled = kinds.iter().zip(&scales).map(|(kind, scale)| {
                let fraction = quantities.get(kind);
                u64::try_from(fraction.over * scale / fraction.under).expect("an amount")
            });
            scaled.collect()
        };
        let unit = |kind: &str| match &self.units {
            Value::Object(units) => units
                .get(kind)
                .and_then(Value::as_str)
                .map_or_else(|| kind.rsplit('_').next().unwrap_or(kind).to_string(), String::from),
            _ => kind.to_string(),
        };
        let declared = kinds.iter().map(|kind| ResourceKind::new(kind.clone(), unit(kind))).collect();
        let kept = self.nodes.len().saturating_sub(reading.drop_nodes);
        let levels = self.levels(kept);
        let mut cluster =
            Cluster::new(ResourceKinds::from_kinds(declared).expect("good kinds"), levels.iter().cloned())
                .expect("good levels");
        // A host without capacity is unlimited: it can take everything there is.
        let mut plenty = vec![0_u64; kinds.len()];
        for vm in &self.vms {
            for (sum, amount) in plenty.iter_mut().zip(amounts(&vm.demand)) {
                *sum += amount;
            }
        }
        let mut nodes: BTreeMap<&str, NodeId> = BTreeMap::new();
        for raw in self.nodes.iter().take(kept) {
            let unlimited = raw.capacity.0.is_empty();
            let mut node =
                Node::named(raw.name.clone()).capacity(if unlimited { plenty.clone() } else { amounts(&raw.capacity) });
            node.domains = self.domains(raw);
            if raw.status.as_deref().is_some_and(|status| status != "online") {
                node.state = NodeState::Failed;
            }
            nodes.insert(&raw.name, cluster.add_node(node).expect("a good node"));
        }
        let mut vms: BTreeMap<&str, VmId> = BTreeMap::new();
        for raw in &self.vms {
            let mut vm = Vm::named(raw.name.clone()).demand(amounts(&raw.demand));
            let on = raw.power.as_deref().unwrap_or("on") == "on";
            vm.power = Some(if on { Power::On } else { Power::Off });
            vm.node = raw.host.as_deref().filter(|_| on).and_then(|host| nodes.get(host).copied());
            if raw.restart == Some(false) {
                vm.restart = RestartClass::Never;
            }
            if let Some(priority) = &raw.priority {
                let priority = priority.as_i64().expect("a whole priority").max(0);
                vm.priority = Priority(u32::try_from(priority).expect("a small priority"));
            }
            vms.insert(&raw.name, cluster.add_vm(vm).expect("a good VM"));
        }
        let mut number = 0_usize;
        for raw in &self.rules {
            match rule_of(raw, number, &levels, &nodes, &vms) {
                Ok(rule) => {
                    cluster.add_rule(rule).expect("a good rule");
                    number += 1;
                }
                Err(what) => *skipped.entry(what).or_default() += 1,
            }
        }
        if self.nodes.iter().take(kept).any(|node| node.neighborhood.is_some()) {
            skipped.insert("node field neighborhood".to_string(), 1);
        }
        Converted { cluster, skipped }
    }

    fn kinds(&self, reading: Reading) -> Vec<String> {
        let mut kinds: Vec<String> = Vec::new();
        let nodes = self.nodes.iter().map(|node| &node.capacity);
        for (name, _) in nodes.chain(self.vms.iter().map(|vm| &vm.demand)).flat_map(|quantities| &quantities.0) {
            if !kinds.contains(name) {
                kinds.push(name.clone());
            }
        }
        if reading.memory_only {
            let memory = kinds.iter().position(|kind| kind.contains("mem")).unwrap_or(0);
            kinds = kinds.into_iter().skip(memory).take(1).collect();
        }
        if kinds.is_empty() {
            kinds.push("memory".to_string());
        }
        kinds
    }

    /// The smallest factor that makes every amount of a kind whole.
    fn scale(&self, kind: &str) -> u128 {
        let nodes = self.nodes.iter().map(|node| &node.capacity);
        let all = nodes.chain(self.vms.iter().map(|vm| &vm.demand));
        all.map(|quantities| quantities.get(kind).under)
            .fold(1, |scale, under| scale / greatest_divisor(scale, under) * under)
    }

    fn levels(&self, kept: usize) -> Vec<String> {
        let given = self.fault_domain_levels.iter().flatten();
        let mut levels: Vec<String> = given.filter(|level| *level != "host").cloned().collect();
        for (level, _) in self.nodes.iter().take(kept).flat_map(|node| self.domains(node)) {
            if !levels.contains(&level) {
                levels.push(level);
            }
        }
        levels
    }

    fn domains(&self, node: &RawNode) -> Vec<(String, String)> {
        let path = node.fault_domain.iter().flatten().enumerate();
        let given = self.fault_domain_levels.as_deref().unwrap_or_default();
        let named = path.filter_map(|(depth, name)| {
            let level = given.get(depth).cloned().unwrap_or_else(|| format!("level{depth}"));
            let name = match name.as_ref()? {
                Value::String(name) => name.clone(),
                other => other.to_string(),
            };
            Some((level, name)).filter(|(level, _)| level != "host")
        });
        named.collect()
    }
}

/// The texts of a list in a rule.
fn texts<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    rule.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn rule_of(
    raw: &Value,
    number: usize,
    levels: &[String],
    nodes: &BTreeMap<&str, NodeId>,
    vms: &BTreeMap<&str, VmId>,
) -> Result<Rule, String> {
    let sort = raw.get("type").and_then(Value::as_str).unwrap_or_default();
    let text = |field: &str| raw.get(field).and_then(Value::as_str);
    let level = |name: &str| match name {
        "host" | "node" => Some(lifeboat::NODE_LEVEL.to_string()),
        name => levels.iter().find(|level| *level == name).cloned(),
    };
    let unknown = || sort.to_string();
    let scope = level(text("scope").unwrap_or("host")).ok_or_else(unknown);
    let place = |hosts: Vec<&str>| {
        let nodes: Vec<NodeId> =
            hosts.iter().filter_map(|host| nodes.get(host.split(':').next().unwrap_or(host)).copied()).collect();
        // Nowhere: a label that no node carries.
        let labels = if nodes.is_empty() { vec!["no such host".to_string()] } else { Vec::new() };
        Place { nodes, labels, ..Place::default() }
    };
    let mut hard = raw.get("hard").and_then(Value::as_bool).unwrap_or(true);
    let mut members = texts(raw, "vms");
    let mut sided = false;
    let ids = |names: &[&str]| {
        let ids: Option<Vec<VmId>> = names.iter().map(|name| vms.get(name).copied()).collect();
        ids.filter(|ids| !ids.is_empty()).ok_or_else(|| "rule names an unknown VM".to_string())
    };
    let kind = match sort {
        "anti_affinity" => RuleKind::Separate { level: scope?, max_per_domain: 1 },
        "affinity" => RuleKind::Together { level: scope? },
        "spread" => {
            let min_domains =
                raw.get("min_domains").and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
            let level = text("level").and_then(level).ok_or_else(unknown)?;
            RuleKind::Spread { level, min_domains: min_domains.ok_or_else(unknown)?, max_skew: None }
        }
        "separate_parts" => {
            let parts = raw.get("parts").and_then(Value::as_array).ok_or_else(unknown)?;
            let parts: Vec<Vec<&str>> = parts
                .iter()
                .map(|part| part.as_array().into_iter().flatten().filter_map(Value::as_str).collect())
                .collect();
            members = parts.concat();
            sided = true;
            ids(&members)?;
            let sides = parts.iter().map(|part| part.iter().filter_map(|name| vms.get(name).copied()).collect());
            let level = text("level").and_then(level).ok_or_else(unknown)?;
            RuleKind::SeparateSides { level, sides: sides.collect() }
        }
        "allowed_hosts" => RuleKind::Confine(place(texts(raw, "hosts"))),
        "forbid_hosts" => RuleKind::Exclude(place(texts(raw, "hosts"))),
        "pve:node-affinity" => {
            hard = text("strict") == Some("1");
            members = texts(raw, "resources");
            RuleKind::Confine(place(texts(raw, "nodes")))
        }
        _ => return Err(unknown()),
    };
    let members = ids(&members)?;
    let rule = Rule::new(format!("r{number}-{}", kind.name()), kind);
    let rule = if sided { rule } else { rule.vms(members) };
    Ok(if hard { rule } else { rule.strength(Strength::Preferred { weight: 1 }) })
}
