//! VMs: where they are and where they may be.
//!
//! Uses `parse::vm` and `cluster`. Used by `resolve`.

use super::starts::Starts;
use super::{Resolver, duplicate};
use crate::cluster::{Cluster, EditError, Power, Vm};
use crate::dense::DenseId;
use crate::document::error::{DocumentWarning, item, join, quoted, segment};
use crate::document::parse::rule::RawRule;
use crate::document::parse::vm::{RareOfVm, RawVm};
use crate::document::read::Text;
use crate::ids::NodeId;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Labels that no node carries, with the first place that names each.
pub(super) type UnknownLabels = BTreeMap<String, (String, Option<String>)>;

impl<'de> Resolver<'de> {
    /// Adds the VMs without their start edges, which are returned for all VMs at once.
    pub(super) fn add_vms(&mut self, cluster: &mut Cluster, raw: Vec<RawVm<'de>>) -> (Vec<Starts<'de>>, UnknownLabels) {
        let mut all_starts = Vec::new();
        let mut labels = UnknownLabels::new();
        let mut carried = Text::default();
        // Each look-up waits for memory; in a loop of nothing else they wait together, and what they read stays near.
        let homes: Vec<Option<NodeId>> = raw.iter().map(|raw| cluster.node_id(raw.node.as_deref()?)).collect();
        for ((index, mut raw), home) in raw.into_iter().enumerate().zip(homes) {
            let start = self.reader.sink.mark();
            let edges = raw.rare.as_mut().map(|rare| core::mem::take(&mut rare.starts_after)).unwrap_or_default();
            let mut starts = (!edges.is_empty()).then_some(Starts { at: index, vm: None, name: String::new(), edges });
            note_labels(cluster, &raw, index, &mut labels, &mut carried);
            let Some(name) = raw.name.take() else {
                let vm = self.vm(cluster, raw, "", home);
                self.count_lost_vm(cluster, &vm);
                self.place_errors(start, "vms", index, None);
                all_starts.extend(starts);
                continue;
            };
            let mut broken = raw.broken;
            let vm = self.vm(cluster, raw, &name, home);
            let earlier = if self.lost_vms.is_empty() { None } else { self.lost_vms.get(&name).copied() };
            if earlier.is_some() {
                duplicate(self.sink(), "VM", &name, "vms", earlier);
            }
            let mut added = None;
            if !broken && !self.reader.sink.grew(start) {
                match cluster.add_vm_named(&name, vm) {
                    Ok(id) => {
                        self.vm_at.push(index);
                        added = Some(id);
                    }
                    Err(EditError::DuplicateName { .. }) => self.duplicate_vm(cluster, &name),
                    Err(error) => self.sink().add(field_of(&error), error.code(), error.to_string()),
                }
            } else if cluster.vm_id(&name).is_some() {
                self.duplicate_vm(cluster, &name);
            } else if earlier.is_none() {
                self.count_lost_vm(cluster, &vm);
            }
            if let Some(starts) = &mut starts {
                starts.vm = added;
                starts.name = name.clone().into_owned();
            }
            all_starts.extend(starts);
            broken |= self.reader.sink.grew(start);
            self.place_errors(start, "vms", index, Some(&name));
            if broken && cluster.vm_id(&name).is_none() {
                self.lost_vms.entry(name).or_insert(index);
            }
        }
        (all_starts, labels)
    }

    /// Counts the amounts of a VM with errors: a sum beyond what there can be is an error beside them.
    fn count_lost_vm(&mut self, cluster: &mut Cluster, vm: &Vm) {
        if let Err(error @ EditError::Overflow { .. }) = cluster.count_lost_vm(vm) {
            self.sink().add(field_of(&error), error.code(), error.to_string());
        }
    }

    fn duplicate_vm(&mut self, cluster: &Cluster, name: &str) {
        let at = cluster.vm_id(name).and_then(|vm| self.vm_at.get(vm.slot.index()).copied());
        duplicate(self.sink(), "VM", name, "vms", at);
    }

    /// The VM as a cluster takes it, as far as it has no errors, without its name and start edges. `home` is its node, if
    /// that was looked up already.
    pub(in crate::document) fn vm(
        &mut self,
        cluster: &Cluster,
        raw: RawVm<'de>,
        name: &str,
        home: Option<NodeId>,
    ) -> Vm {
        let on = raw.power.map_or(raw.node.is_some(), |power| power == Power::On);
        let mut vm = Vm::named(String::new());
        vm.power = Some(if on { Power::On } else { Power::Off });
        if let Some(span) = raw.demand {
            let (demand, stated) = self.amounts(cluster, "demand", span);
            if on && !raw.broken {
                self.stated.vm(name, stated);
            }
            vm.demand = Some(demand);
        }
        let rare = raw.rare;
        if let Some(rare) = &rare {
            if let Some(span) = rare.restart_demand {
                let (demand, stated) = self.amounts(cluster, "restart_demand", span);
                vm.restart_demand = Some(demand);
                vm.restart_kinds = Some(stated);
            }
            if let Some(span) = rare.reservation {
                vm.reservation = Some(self.amounts(cluster, "reservation", span).0);
            }
        }
        vm.node = home.or_else(|| self.find_node(cluster, raw.node.as_deref()?, || "node".into()));
        vm.priority = raw.priority.unwrap_or_default();
        vm.restart = raw.restart.unwrap_or_default();
        vm.preemptible = raw.preemptible;
        vm.pinned = !raw.migratable.unwrap_or(true);
        if let Some(rare) = rare {
            self.rare_of_vm(cluster, &mut vm, *rare, on, raw.node.as_ref());
        }
        vm
    }

    fn rare_of_vm(&mut self, cluster: &Cluster, vm: &mut Vm, rare: RareOfVm<'de>, on: bool, node: Option<&Text<'de>>) {
        if let Some(target) = &rare.migrating_to {
            let to = self.find_node(cluster, target, || "migrating_to".into());
            if !on || node.is_none() || node == Some(target) {
                let error = EditError::BadMigration;
                self.sink().add("migrating_to", error.code(), error.to_string());
            } else if vm.node.is_some() {
                vm.migrating_to = to;
            }
        }
        vm.display = rare.display.map(Text::into_owned);
        vm.requires = rare.requires.into_iter().map(Text::into_owned).collect();
        vm.allowed_nodes = rare.allowed_nodes.map(|names| {
            let found = |(at, name): (usize, Text<'de>)| self.find_node(cluster, &name, || item("allowed_nodes", at));
            names.into_iter().enumerate().filter_map(found).collect()
        });
        vm.migrate_requires = rare.migrate_requires.into_iter().map(Text::into_owned).collect();
        vm.groups = rare.groups.into_iter().map(Text::into_owned).collect();
        vm.start_s = rare.start_s;
        vm.annotations = rare.annotations;
    }

    /// One warning for each label that is asked for and that no node carries.
    pub(super) fn label_warnings(
        &mut self,
        cluster: &Cluster,
        of_vms: &UnknownLabels,
        rules: &[RawRule<'de>],
    ) -> Vec<DocumentWarning> {
        let mut unknown = of_vms.clone();
        for (index, rule) in rules.iter().enumerate() {
            for (at, label) in rule.labels.iter().flatten().enumerate() {
                if cluster.label_nodes(label) == 0 && !unknown.contains_key(&**label) {
                    let path = format!("rules[{index}].labels[{at}]");
                    unknown.insert(label.to_string(), (path, rule.name.as_ref().map(ToString::to_string)));
                }
            }
        }
        let carried: Vec<&str> = cluster.labels().into_iter().filter(|known| cluster.label_nodes(known) > 0).collect();
        let mut warnings = Vec::new();
        for (label, (path, object)) in unknown {
            let hint = self.reader.nearest.hint(&label, carried.iter().copied());
            let message = format!("no node carries the label {}{hint}", quoted(&label));
            warnings.push(DocumentWarning { path, object, code: "unknown_label", message });
        }
        warnings
    }
}

/// `carried` is a label known to be carried by some node: VMs often ask for the same.
fn note_labels<'de>(
    cluster: &Cluster,
    raw: &RawVm<'de>,
    index: usize,
    labels: &mut UnknownLabels,
    carried: &mut Text<'de>,
) {
    let Some(rare) = &raw.rare else { return };
    for (field, names) in [("requires", &rare.requires), ("migrate_requires", &rare.migrate_requires)] {
        for (at, label) in names.iter().enumerate() {
            if label == carried {
                continue;
            }
            if cluster.label_nodes(label) > 0 {
                carried.clone_from(label);
            } else if !labels.contains_key(&**label) {
                let path = format!("vms[{index}].{field}[{at}]");
                labels.insert(label.to_string(), (path, raw.name.as_ref().map(ToString::to_string)));
            }
        }
    }
}

/// The field that the refusal of a VM is about.
fn field_of(error: &EditError) -> String {
    let field = match error {
        EditError::Overflow { kind, .. } => return join("demand", &segment(kind)),
        EditError::DuplicateName { .. } | EditError::EmptyName { what: "vm" } => "name",
        EditError::DemandMissing => "demand",
        EditError::BadMigration => "migrating_to",
        EditError::NeedsIdle { .. } | EditError::StartCycle { .. } => "starts_after",
        _ => "",
    };
    field.into()
}
