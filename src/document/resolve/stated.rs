//! Which kinds nodes and VMs leave out.
//!
//! Uses `cluster`. Used by `resolve`.

use crate::cluster::Cluster;
use crate::document::error::{DocumentWarning, quoted};
use crate::resources::KindSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How many names a warning lists.
const SHOWN: usize = 3;

/// Counts, per kind that is not optional, the objects that leave it out.
#[derive(Default)]
pub(crate) struct Stated {
    /// The kinds that must be stated.
    wanted: KindSet,
    kinds: Vec<Missing>,
}

#[derive(Clone, Default)]
struct Missing {
    nodes: Names,
    vms: Names,
}

#[derive(Clone, Default)]
struct Names {
    count: usize,
    first: Vec<String>,
}

impl Stated {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let kinds = cluster.kinds();
        let wanted = kinds.iter().enumerate().filter(|(_, kind)| !kind.optional);
        let wanted = wanted.fold(KindSet::NONE, |all, (kind, _)| all.with(kind));
        Self { wanted, kinds: alloc::vec![Missing::default(); kinds.len()] }
    }

    pub(crate) fn node(&mut self, name: &str, stated: KindSet) {
        self.note(name, stated, |missing| &mut missing.nodes);
    }

    pub(crate) fn vm(&mut self, name: &str, stated: KindSet) {
        self.note(name, stated, |missing| &mut missing.vms);
    }

    fn note(&mut self, name: &str, stated: KindSet, names: impl Fn(&mut Missing) -> &mut Names) {
        let left_out = self.wanted.without(stated);
        if left_out.is_empty() {
            return;
        }
        for (kind, missing) in self.kinds.iter_mut().enumerate() {
            if left_out.contains(kind) {
                let names = names(missing);
                names.count = names.count.saturating_add(1);
                if names.first.len() < SHOWN {
                    names.first.push(name.to_string());
                }
            }
        }
    }

    /// One warning per kind that some object leaves out.
    pub(crate) fn warnings(&self, cluster: &Cluster) -> Vec<DocumentWarning> {
        let mut warnings = Vec::new();
        for (position, (kind, missing)) in cluster.kinds().iter().zip(&self.kinds).enumerate() {
            let parts: Vec<String> =
                [missing.nodes.text("node"), missing.vms.text("powered-on VM")].into_iter().flatten().collect();
            if parts.is_empty() {
                continue;
            }
            let parts = parts.join(" and ");
            warnings.push(DocumentWarning {
                path: format!("resources[{position}]"),
                object: Some(kind.name.clone()),
                code: "kind_not_stated",
                message: format!(
                    "not stated by {parts}: it counts as 0 there (state it, or declare the kind optional)"
                ),
            });
        }
        warnings
    }
}

impl Names {
    fn text(&self, what: &str) -> Option<String> {
        let plural = match self.count {
            0 => return None,
            1 => "",
            _ => "s",
        };
        let names: Vec<String> = self.first.iter().map(|name| quoted(name)).collect();
        let more = if self.count > self.first.len() { ", …" } else { "" };
        Some(format!("{} {what}{plural} ({}{more})", self.count, names.join(", ")))
    }
}
