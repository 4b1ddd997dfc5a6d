//! Rules that cannot all hold, found in the cluster as it is described, before anything fails.
//!
//! Uses `cluster` and the solver of `placement`. Called by embedders and the example program; no answer depends on it.
//!
//! **The data's path.** `find` looks for the known patterns (the general question is as hard as colouring) and names
//! candidates, each proved to have no placement by `matching` or `ties`; `trial` removes from a candidate whatever it has no
//! placement without, asking the solver; `words` says it. `domains` knows where each VM could be at all.
//!
//! What counts: powered-on VMs (of a VM by itself, any), required rules, every node in whatever state, empty. Joint room
//! counts only where VMs must share a domain.

mod domains;
mod find;
mod matching;
mod ties;
mod trial;
mod words;

use crate::cluster::Cluster;
use crate::ids::{RuleId, RuleSlot, VmId, VmSlot};
use crate::named::named;
use alloc::string::String;
use alloc::vec::Vec;

/// Rules, and the VMs by which they conflict: no placement of these VMs keeps all these rules, wherever all other VMs are
/// and whichever nodes are up.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Conflict {
    /// What sort of conflict it is.
    pub code: ConflictCode,
    /// The rules, by name. Empty if the VM can run nowhere even without them.
    pub rules: Vec<RuleId>,
    /// The VMs, by name.
    pub vms: Vec<VmId>,
    /// Whether it is proved that without any one of these rules or VMs the others have a placement. Only if work ran out
    /// it is not: a conflict it is all the same.
    pub minimal: bool,
    /// What it is about and what to do, for people.
    pub message: String,
}

/// What sort of conflict it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum ConflictCode {
    /// No node can ever take a VM: by its labels, its allowed nodes, its size.
    Nowhere,
    /// `confine` and `exclude` rules leave a VM no node that could take it.
    MustAndMustNot,
    /// A `separate` rule has more VMs than there is place for in the domains that they can go to.
    TooFewDomains,
    /// A `spread` rule wants more domains than its VMs can be on.
    SpreadTooWide,
    /// VMs that must share a domain must not.
    TogetherAndApart,
    /// VMs that must share a domain have none in common.
    TogetherNowhere,
    /// A follower cannot go where its leader can.
    FollowNowhere,
    /// VMs that must share a domain are too large for every one.
    TogetherTooLarge,
}

named!(ConflictCode {
    Nowhere = "nowhere",
    MustAndMustNot = "must_and_must_not",
    TooFewDomains = "too_few_domains",
    SpreadTooWide = "spread_too_wide",
    TogetherAndApart = "together_and_apart",
    TogetherNowhere = "together_nowhere",
    FollowNowhere = "follow_nowhere",
    TogetherTooLarge = "together_too_large",
});

/// A set of rules and VMs under suspicion, each sorted by name.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Core {
    rules: Vec<RuleSlot>,
    vms: Vec<VmSlot>,
}

/// The conflicts of a cluster: by code, then by the names of their rules and VMs.
///
/// Each is a set of rules and VMs that has no placement, and, where `minimal` says so, has one without any single rule
/// or VM of it. Looked for are: VMs that no node can take; `confine` against `exclude` and other `confine` rules; `separate`
/// with more VMs than their domains can hold; `spread` over more domains than its VMs can be on; VMs tied together
/// (`together`, `follow`, through chains of them) that are separate, have no domain in common, or are too large for
/// every one. However large these are, a rule or a group that is in one is named, with one set that shows it; what else it is
/// in shows once that is mended. Other contradictions are not found; none is reported that is not one. `relaxed` and
/// `preferred` rules cannot conflict.
///
/// Costs about the memberships of VMs in rules, and the VMs that differ in where they can go times the nodes; where
/// something is found a bounded amount of work more.
///
/// ```
/// use lifeboat::{Cluster, ConflictCode, Node, ResourceKinds, Rule, RuleKind, Vm, conflicts};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, ["rack"])?;
/// let one = cluster.add_node(Node::named("one").capacity([4096]))?;
/// cluster.add_node(Node::named("two").capacity([4096]))?;
/// let vms = ["a", "b", "c"].map(|name| cluster.add_vm(Vm::named(name).demand([512]).on(one)));
/// let vms = vms.into_iter().collect::<Result<Vec<_>, _>>()?;
/// let kind = RuleKind::Separate { level: "node".into(), max_per_domain: 1 };
/// let rule = cluster.add_rule(Rule::new("apart", kind).vms(vms))?;
///
/// let found = conflicts(&cluster);
/// assert_eq!((found[0].code, found[0].rules[0]), (ConflictCode::TooFewDomains, rule));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn conflicts(cluster: &Cluster) -> Vec<Conflict> {
    let (mut domains, found) = find::find(cluster);
    let mut found: Vec<Conflict> = found
        .into_iter()
        .map(|(code, core, minimal)| Conflict {
            code,
            message: words::message(&mut domains, code, &core),
            rules: core.rules.iter().map(|rule| cluster.rule_id_of(*rule)).collect(),
            vms: core.vms.iter().map(|vm| cluster.vm_id_of(*vm)).collect(),
            minimal,
        })
        .collect();
    let key = |conflict: &Conflict| {
        let rules = conflict.rules.iter().map(|id| rule_name(cluster, id.slot)).map(String::from);
        let vms = conflict.vms.iter().map(|id| vm_name(cluster, id.slot)).map(String::from);
        (conflict.code, rules.collect::<Vec<_>>(), vms.collect::<Vec<_>>())
    };
    found.sort_by_cached_key(key);
    found.dedup_by(|next, last| next.rules == last.rules && next.vms == last.vms);
    found
}

fn rule_name(cluster: &Cluster, rule: RuleSlot) -> &str {
    cluster.rule_record(rule).map_or("", |record| &record.name)
}

fn vm_name(cluster: &Cluster, vm: VmSlot) -> &str {
    cluster.vm_record(vm).map_or("", |record| &record.name)
}
