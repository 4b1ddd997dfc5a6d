//! What is wrong with a document, what is odd about it, and how full the cluster is, as JSON: `lifeboat-check/1`.
//!
//! Uses `document`, `conflicts` and `answers::census`. Used by `answers::ask` and the example program. The order of the
//! fields here is that of the text.

use super::census::{self, Census, Share, Use};
use super::faults::Fault;
use super::forms::{Fields, vm_names};
use crate::cluster::{Cluster, Priority, RestartClass, RuleRef, Warning};
use crate::conflicts::{Conflict, conflicts};
use crate::document::{Document, DocumentError, DocumentErrors};
use crate::ids::RuleId;
use crate::resources::{ResourceKind, ResourceKinds};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;

/// A document that was looked at.
#[derive(Debug)]
pub enum Checked {
    /// It has errors.
    Broken(Vec<Fault>),
    /// It has none.
    Sound(Box<Sound>),
}

/// A document without errors.
#[derive(Debug)]
pub struct Sound {
    /// The cluster.
    pub cluster: Cluster,
    /// What is odd about the text, then about the cluster.
    pub warnings: Vec<Oddity>,
    /// Rules that cannot all hold.
    pub conflicts: Vec<Clash>,
}

impl Checked {
    /// Looks at a document.
    pub fn ask(read: Result<Document, DocumentErrors>) -> Self {
        let document = match read {
            Ok(document) => document,
            Err(errors) => return Self::Broken(Fault::of_documents(&errors)),
        };
        let of_text = document.warnings().iter().map(Oddity::of_document).collect();
        Self::Sound(Box::new(Sound::of(document.into_parts().0, of_text)))
    }

    /// The exit status of the answer: 0 clean, 1 warnings or conflicts, 2 errors.
    pub fn status(&self) -> u8 {
        match self {
            Self::Broken(_) => 2,
            Self::Sound(sound) => u8::from(!(sound.warnings.is_empty() && sound.conflicts.is_empty())),
        }
    }

    /// The answer in the form that is printed.
    pub fn json(&self) -> impl Serialize + '_ {
        match self {
            Self::Broken(faults) => Report {
                format: "lifeboat-check/1",
                errors: faults,
                warnings: &[],
                conflicts: &[],
                nodes: None,
                vms: None,
                utilisation: None,
            },
            Self::Sound(sound) => report(sound),
        }
    }
}

impl Sound {
    /// Looks at a cluster; these oddities of its text come first.
    pub fn of(cluster: Cluster, mut warnings: Vec<Oddity>) -> Self {
        warnings.extend(cluster.warnings().iter().map(Oddity::of_cluster));
        let clashes = conflicts(&cluster).into_iter().map(|conflict| Clash::of(&cluster, conflict)).collect();
        Self { cluster, warnings, conflicts: clashes }
    }

    /// The answer in the form that is printed.
    pub fn json(&self) -> impl Serialize + '_ {
        report(self)
    }

    /// Counts and sums over the cluster.
    pub fn census(&self) -> Census<'_> {
        census::take(&self.cluster)
    }
}

/// A share in whole per cent, rounded down.
fn percent_of(part: u64, whole: u64) -> Option<u64> {
    let percent = u128::from(part).saturating_mul(100).checked_div(whole.into())?;
    Some(u64::try_from(percent).unwrap_or(u64::MAX))
}

/// Rules that cannot all hold.
#[derive(Debug, Serialize)]
pub struct Clash {
    code: &'static str,
    rules: Vec<String>,
    vms: Vec<String>,
    message: String,
    /// Whether it is proved that nothing of it can be left out.
    minimal: bool,
}

impl Clash {
    fn of(cluster: &Cluster, conflict: Conflict) -> Self {
        let rule = |id: &RuleId| cluster.rule(*id).map_or("?", RuleRef::name).to_string();
        Self {
            code: conflict.code.name(),
            rules: conflict.rules.iter().map(rule).collect(),
            vms: vm_names(cluster, &conflict.vms).into_iter().map(String::from).collect(),
            message: conflict.message,
            minimal: conflict.minimal,
        }
    }

    /// The line for people: message and code.
    pub fn line(&self) -> String {
        let more =
            if self.minimal { "" } else { " (fewer of these may be in conflict already: the search ended first)" };
        format!("{}{more} [{}]", self.message, self.code)
    }
}

/// Something about a document that is allowed and worth a look.
#[derive(Debug, Serialize)]
pub struct Oddity {
    code: String,
    object: Option<String>,
    message: String,
    path: String,
    /// All of that in a line, for people.
    #[serde(skip)]
    line: String,
}

impl Oddity {
    fn of_document(warning: &DocumentError) -> Self {
        Self {
            code: warning.code.to_string(),
            object: warning.object.clone(),
            message: warning.message.clone(),
            path: warning.path.clone(),
            line: warning.to_string(),
        }
    }

    fn of_cluster(warning: &Warning) -> Self {
        let Warning { kind, object, message, .. } = warning;
        Self {
            code: kind.name().to_string(),
            object: Some(object.clone()),
            message: message.clone(),
            path: String::new(),
            line: format!("{object}: {message}"),
        }
    }

    /// The line for people: where it is, what it is, and the code.
    pub fn line(&self) -> String {
        format!("{} [{}]", self.line, self.code)
    }
}

/// `lifeboat-check/1`.
#[derive(Serialize)]
struct Report<'a> {
    format: &'static str,
    errors: &'a [Fault],
    warnings: &'a [Oddity],
    conflicts: &'a [Clash],
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<NodeCounts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vms: Option<VmCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utilisation: Option<Utilisation<'a>>,
}

#[derive(Serialize)]
struct NodeCounts<'a> {
    total: usize,
    #[serde(flatten)]
    states: Fields<'a, usize>,
    spare: usize,
}

#[derive(Serialize)]
struct VmCounts {
    total: usize,
    on: usize,
    off: usize,
    displaced: usize,
    classes: Vec<Class>,
}

#[derive(Serialize)]
struct Class {
    restart: &'static str,
    priority: u32,
    vms: usize,
}

#[derive(Serialize)]
struct Utilisation<'a> {
    kinds: Fields<'a, Amounts<'a>>,
    levels: Fields<'a, Fields<'a, Domain<'a>>>,
}

#[derive(Serialize)]
struct Domain<'a> {
    nodes: usize,
    vms: usize,
    kinds: Fields<'a, Amounts<'a>>,
}

#[derive(Serialize)]
struct Amounts<'a> {
    unit: &'a str,
    capacity: u64,
    allocatable: u64,
    failover_allocatable: u64,
    used: u64,
    used_percent: Option<u64>,
    free: u64,
    largest: u64,
}

fn report(sound: &Sound) -> Report<'_> {
    let census = sound.census();
    let kinds = sound.cluster.kinds();
    let domain =
        |share: &Share<'_>| Domain { nodes: share.nodes, vms: share.vms, kinds: amounts_json(kinds, &share.uses) };
    let levels = census
        .levels
        .iter()
        .map(|level| (level.name, Fields(level.domains.iter().map(|share| (share.domain, domain(share))).collect())));
    let class = |((class, priority), vms): &((RestartClass, Priority), usize)| Class {
        restart: class.name(),
        priority: priority.0,
        vms: *vms,
    };
    let utilisation = Utilisation { kinds: amounts_json(kinds, &census.whole.uses), levels: Fields(levels.collect()) };
    Report {
        format: "lifeboat-check/1",
        errors: &[],
        warnings: &sound.warnings,
        conflicts: &sound.conflicts,
        nodes: Some(NodeCounts {
            total: sound.cluster.node_count(),
            spare: census.spare,
            states: Fields(census.states),
        }),
        vms: Some(VmCounts {
            total: sound.cluster.vm_count(),
            on: census.on,
            off: sound.cluster.vm_count().saturating_sub(census.on),
            displaced: census.displaced,
            classes: census.classes.iter().map(class).collect(),
        }),
        utilisation: Some(utilisation),
    }
}

fn amounts_json<'a>(kinds: &'a ResourceKinds, uses: &[Use]) -> Fields<'a, Amounts<'a>> {
    let amounts = |(kind, used): (&'a ResourceKind, &Use)| {
        let amounts = Amounts {
            unit: &kind.unit,
            capacity: used.capacity,
            allocatable: used.allocatable,
            failover_allocatable: used.failover_allocatable,
            used: used.used,
            used_percent: percent_of(used.used, used.allocatable),
            free: used.free,
            largest: used.largest,
        };
        (kind.name.as_str(), amounts)
    };
    Fields(kinds.iter().zip(uses).map(amounts).collect())
}
