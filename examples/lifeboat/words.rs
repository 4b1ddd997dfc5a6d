//! Numbers, amounts and names as words.
//!
//! Used by the commands' forms for people, and by error messages.

use lifeboat::{Cluster, NodeId, NodeRef, ResourceKind, VmId, VmRef};

/// A name or message with its control characters made visible, so that a document cannot drive the terminal.
pub(crate) fn clean(text: &str) -> String {
    let is_plain = |character: char| !character.is_control() && !is_direction(character);
    if text.chars().all(is_plain) {
        return text.to_string();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut cleaned, character| {
        if is_plain(character) {
            cleaned.push(character);
        } else {
            cleaned.extend(character.escape_unicode());
        }
        cleaned
    })
}

/// Whether a character changes the direction of the text around it, and so could disguise it.
const fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `1 VM`, `2 VMs`, `2 classes`.
pub(crate) fn count(count: usize, one: &str) -> String {
    let plural = if one.ends_with('s') { "es" } else { "s" };
    if count == 1 { format!("1 {one}") } else { format!("{} {one}{plural}", thousands(u64_of(count))) }
}

/// A number with its thousands set apart.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount in a unit that suits its size: `393216 MiB` is `384 GiB`. Rounded down to a tenth.
pub(crate) fn amount(kind: &ResourceKind, amount: u64) -> String {
    const LADDERS: [(&[&str], u64); 4] = [
        (&["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 1024),
        (&["kB", "MB", "GB", "TB", "PB", "EB"], 1000),
        (&["Hz", "kHz", "MHz", "GHz", "THz"], 1000),
        (&["mCPU", "CPU"], 1000),
    ];
    for (units, step) in LADDERS {
        let Some(mut position) = units.iter().position(|unit| *unit == kind.unit) else { continue };
        // In tenths, so that what is shown is an integer computation.
        let mut tenths = u128::from(amount) * 10;
        while tenths >= u128::from(step) * 100 && position + 1 < units.len() {
            tenths /= u128::from(step);
            position += 1;
        }
        let unit = units.get(position).copied().unwrap_or_default();
        let whole = thousands(u64::try_from(tenths / 10).unwrap_or(u64::MAX));
        return if tenths % 10 == 0 { format!("{whole} {unit}") } else { format!("{whole}.{} {unit}", tenths % 10) };
    }
    let number = thousands(amount);
    if kind.unit.is_empty() { number } else { format!("{number} {}", clean(&kind.unit)) }
}

/// A share in whole per cent, rounded down; nothing of nothing is `-`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    percent_of(part, whole).map_or_else(|| "-".to_string(), |percent| format!("{percent} %"))
}

/// A share in whole per cent, rounded down.
pub(crate) fn percent_of(part: u64, whole: u64) -> Option<u64> {
    (u128::from(part) * 100).checked_div(u128::from(whole)).map(|percent| u64::try_from(percent).unwrap_or(u64::MAX))
}

/// A duration: `45 s`, `4 min 30 s`, `2 h 5 min`.
pub(crate) fn seconds(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{} h {minutes} min", thousands(hours)),
    }
}

/// A length as `u64`.
pub(crate) fn u64_of(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A VM's name. All ids in an answer are those of its cluster.
pub(crate) fn vm_name(cluster: &Cluster, vm: VmId) -> &str {
    cluster.vm(vm).map_or("?", VmRef::name)
}

/// A node's name.
pub(crate) fn node_name(cluster: &Cluster, node: NodeId) -> &str {
    cluster.node(node).map_or("?", NodeRef::name)
}

pub(crate) fn vm_names<'a>(cluster: &'a Cluster, vms: &[VmId]) -> Vec<&'a str> {
    vms.iter().map(|vm| vm_name(cluster, *vm)).collect()
}

pub(crate) fn node_names<'a>(cluster: &'a Cluster, nodes: &[NodeId]) -> Vec<&'a str> {
    nodes.iter().map(|node| node_name(cluster, *node)).collect()
}
