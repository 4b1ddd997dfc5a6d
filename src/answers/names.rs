//! Looking up what a question names: failures, VMs, levels, failure classes. What is not there is a fault with a hint.
//!
//! Uses `cluster`, `failure`, `policy` and `answers::faults`. Used by `answers::ask` and the example program.

use super::faults::Fault;
use crate::cluster::{Cluster, NODE_LEVEL, NodeRef, Priority, VmRef};
use crate::failure::{Failure, FailureError};
use crate::ids::VmId;
use crate::policy::FailureClass;
use crate::resources::Amounts;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The failure that texts name (a node, or `LEVEL=DOMAIN`), and a fault for every one that names nothing.
pub fn failure(cluster: &Cluster, path: &str, fails: &[String], faults: &mut Vec<Fault>) -> Failure {
    let mut failure = Failure::none();
    for fail in fails {
        match add_failure(cluster, failure.clone(), path, fail) {
            Ok(more) => failure = more,
            Err(fault) => faults.push(fault),
        }
    }
    failure
}

fn add_failure(cluster: &Cluster, failure: Failure, path: &str, fail: &str) -> Result<Failure, Fault> {
    let is_level = |name: &str| name == NODE_LEVEL || cluster.levels().any(|level| level == name);
    // Levels and domains may contain `=`, too: any split counts whose left part is a level.
    let split = |(at, _)| fail.split_at_checked(at).and_then(|(level, rest)| Some((level, rest.strip_prefix('=')?)));
    let splits: Vec<(&str, &str)> = fail.match_indices('=').filter_map(split).collect();
    let split = splits.iter().find(|(level, _)| is_level(level));
    // A node of exactly this name is meant, whatever characters are in it, unless it is the name of a domain as well.
    if let Some(node) = cluster.node_id(fail) {
        return match split {
            Some((level, domain)) if Failure::none().domain(cluster, level, domain).is_ok() => {
                let message = format!(
                    "\"{fail}\" is a node, and \"{domain}\" is one of the level \"{level}\": write \"{NODE_LEVEL}={fail}\" \
                     for the node, and name the nodes of the other one by one"
                );
                Err(Fault::new(path, Some(fail), "ambiguous", message))
            }
            _ => Ok(failure.node(node)),
        };
    }
    if let Some((level, domain)) = split {
        return unit(cluster, failure, path, level, domain);
    }
    if let Some((level, _)) = splits.first() {
        let hint = hint(level, cluster.levels().chain([NODE_LEVEL]));
        let message = format!("there is no node \"{fail}\", and no level \"{level}\"{hint}");
        return Err(Fault::new(path, Some(fail), "unknown_level", message));
    }
    let hint = hint(fail, node_names(cluster).into_iter());
    let hint = if hint.is_empty() { domain_hint(cluster, fail) } else { hint };
    Err(Fault::new(path, Some(fail), "unknown_node", format!("there is no node \"{fail}\"{hint}")))
}

/// The failure with a unit more: a domain of a level, or a node.
///
/// # Errors
/// There is no such level, or no such unit of it.
pub fn unit(cluster: &Cluster, failure: Failure, path: &str, level: &str, name: &str) -> Result<Failure, Fault> {
    failure.domain(cluster, level, name).map_err(|error| {
        let (code, hint) = match &error {
            FailureError::UnknownLevel { .. } => (error.code(), hint(level, cluster.levels().chain([NODE_LEVEL]))),
            FailureError::UnknownDomain { .. } if level == NODE_LEVEL => {
                ("unknown_node", hint(name, node_names(cluster).into_iter()))
            }
            FailureError::UnknownDomain { .. } => (error.code(), hint(name, domain_names(cluster, level).into_iter())),
        };
        Fault::new(path, Some(&format!("{level}={name}")), code, format!("{error}{hint}"))
    })
}

/// Where a domain of some level has the name that no node has.
fn domain_hint(cluster: &Cluster, name: &str) -> String {
    let levels = cluster.levels().filter(|level| domain_names(cluster, level).contains(&name));
    let meant: Vec<String> = levels.map(|level| format!("{level}={name}")).collect();
    did_you_mean(&meant.iter().map(String::as_str).collect::<Vec<_>>())
}

fn node_names(cluster: &Cluster) -> Vec<&str> {
    cluster.nodes().map(NodeRef::name).collect()
}

fn domain_names<'a>(cluster: &'a Cluster, level: &str) -> Vec<&'a str> {
    cluster.domains(level).map_or_else(Vec::new, |(names, _)| names)
}

/// The VMs of these names, and a fault for every name that no VM has.
pub fn vms(cluster: &Cluster, path: &str, names: &[String], faults: &mut Vec<Fault>) -> Vec<VmId> {
    let mut found = Vec::new();
    for name in names {
        if let Some(vm) = cluster.vm_id(name) {
            found.push(vm);
        } else {
            let hint = hint(name, cluster.vms().map(VmRef::name));
            faults.push(Fault::new(path, Some(name), "unknown_vm", format!("there is no VM \"{name}\"{hint}")));
        }
    }
    found
}

/// The failure classes that texts say (`rack=1,node=1:high`), and a fault for every one that says none.
pub fn classes(cluster: &Cluster, path: &str, texts: &[String], faults: &mut Vec<Fault>) -> Vec<FailureClass> {
    let mut classes = Vec::new();
    for text in texts {
        match class(cluster, text) {
            Ok(class) => classes.push(class),
            Err(message) => faults.push(Fault::new(path, Some(text), "tolerate", message)),
        }
    }
    classes
}

/// Levels of the cluster by name, `node` included.
pub fn levels(cluster: &Cluster, path: &str, texts: &[String], faults: &mut Vec<Fault>) -> Vec<String> {
    let mut levels = Vec::new();
    for text in texts {
        match level(cluster, text) {
            Ok(()) => levels.push(text.clone()),
            Err(message) => faults.push(Fault::new(path, Some(text), "unknown_level", message)),
        }
    }
    levels
}

fn level(cluster: &Cluster, name: &str) -> Result<(), String> {
    if name == NODE_LEVEL || cluster.levels().any(|known| known == name) {
        return Ok(());
    }
    let known: Vec<&str> = cluster.levels().chain([NODE_LEVEL]).collect();
    let hint = hint(name, known.iter().copied());
    Err(format!("there is no level \"{name}\"{hint} (levels: {})", known.join(", ")))
}

fn class(cluster: &Cluster, text: &str) -> Result<FailureClass, String> {
    let (units, priority) = match text.split_once(':') {
        Some((units, priority)) => (units, Some(priority)),
        None => (text, None),
    };
    let mut class = FailureClass::nodes(0);
    class.fail.clear();
    for part in units.split(',') {
        let (name, count) = part
            .split_once('=')
            .ok_or_else(|| format!("\"{part}\" is not LEVEL=COUNT, as in node=2 or rack=1,node=1:high"))?;
        level(cluster, name)?;
        if class.fail.iter().any(|(other, _)| other == name) {
            return Err(format!("the level \"{name}\" is named twice"));
        }
        let count = count.parse().map_err(|_| format!("\"{count}\" is not a number of units"))?;
        class.fail.push((name.to_string(), count));
    }
    if let Some(priority) = priority {
        let named = Priority::from_name(priority).or_else(|| priority.parse().ok().map(Priority));
        class.min_priority = Some(named.ok_or_else(|| {
            let known: Vec<&str> = Priority::NAMED.iter().map(|(name, _)| *name).collect();
            format!("\"{priority}\" is no priority: a number, or one of {}", known.join(", "))
        })?);
    }
    Ok(class)
}

/// The size that a text says: `cpu=2000,memory=4096`.
///
/// # Errors
/// What is wrong, in words.
pub fn shape(cluster: &Cluster, text: &str) -> Result<Amounts, String> {
    let mut amounts = alloc::vec![0; cluster.kinds().len()];
    for part in text.split(',') {
        let (kind, amount) = part.split_once('=').ok_or("expected KIND=AMOUNT[,KIND=AMOUNT...]")?;
        let at = cluster.kinds().position(kind.trim());
        let entry =
            at.and_then(|at| amounts.get_mut(at)).ok_or_else(|| format!("there is no resource kind \"{kind}\""))?;
        *entry = amount.trim().parse().map_err(|_| format!("\"{amount}\" is not a whole number"))?;
    }
    Ok(amounts.into())
}

/// Names longer than this are not compared, and no more than so many.
const LONGEST: usize = 64;
const COMPARED: usize = 100_000;

/// `: did you mean "a" or "b"?` with the known names that a misspelt one is most likely meant to be, best first: at
/// most three; or nothing.
fn hint<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> String {
    if wrong.len() > LONGEST {
        return String::new();
    }
    let folded: Vec<char> = wrong.to_lowercase().chars().collect();
    let far = folded.len().checked_div(3).unwrap_or(0).clamp(1, 4);
    let mut found: Vec<(usize, &str)> = known
        .take(COMPARED)
        .filter(|name| name.len().abs_diff(wrong.len()) <= far.saturating_mul(4))
        .map(|name| (distance(&folded, &name.to_lowercase().chars().collect::<Vec<_>>()), name))
        .filter(|(distance, _)| *distance <= far)
        .collect();
    found.sort_unstable();
    did_you_mean(&found.into_iter().take(3).map(|(_, name)| name).collect::<Vec<_>>())
}

fn did_you_mean(similar: &[&str]) -> String {
    if similar.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = similar.iter().map(|name| format!("\"{name}\"")).collect();
    format!(": did you mean {}?", quoted.join(" or "))
}

/// How many letters must be added, left out, replaced, or change places with their neighbour.
fn distance(left: &[char], right: &[char]) -> usize {
    let first: Vec<usize> = (0..=right.len()).collect();
    let (mut above, mut row) = (first.clone(), first);
    let mut two_above: Vec<usize> = Vec::new();
    let mut before_left = None;
    for (line, letter) in left.iter().enumerate() {
        core::mem::swap(&mut above, &mut row);
        row.clear();
        row.push(line.saturating_add(1));
        let mut before_right = None;
        for (at, other) in right.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX);
            let replaced = cell(&above, at).saturating_add(usize::from(letter != other));
            let removed = cell(&above, at.saturating_add(1)).saturating_add(1);
            let added = cell(&row, at).saturating_add(1);
            let mut least = replaced.min(removed).min(added);
            if before_left == Some(other) && before_right == Some(letter) {
                least = least.min(cell(&two_above, at.saturating_sub(1)).saturating_add(1));
            }
            row.push(least);
            before_right = Some(other);
        }
        two_above.clone_from(&above);
        before_left = Some(letter);
    }
    row.last().copied().unwrap_or(left.len())
}

#[cfg(test)]
mod tests {
    use super::{distance, hint};
    use std::vec::Vec;

    fn letters(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("kvm-1", "kvm-1", 0),
            ("kmv-1", "kvm-1", 1),
            ("kvm1", "kvm-1", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(&letters(left), &letters(right)), expected, "{left} {right}");
            assert_eq!(distance(&letters(right), &letters(left)), expected, "{right} {left}");
        }
    }

    #[test]
    fn the_most_alike_come_first() {
        let known = ["kvm-2", "kvm-1", "esx", "KVM-1"];
        assert_eq!(hint("kmv-1", known.into_iter()), ": did you mean \"KVM-1\" or \"kvm-1\"?");
        assert_eq!(hint("storage", known.into_iter()), "");
    }
}
