//! Certificates as they are stored: `lifeboat-certificate/1`.
//!
//! Uses `cluster` and `guarantee::certificate`. Feature `serde`.
//!
//! VMs and nodes stand as positions in the order of their names; the fingerprint binds them to the state of the cluster
//! for which they were made. What is read is trusted in nothing: positions out of range and lists of the wrong length
//! are refused, and whether the plans are good is for the checker to say.

use super::certificate::{Backup, Certificate, Column, Covers, Exception, NOWHERE};
use crate::cluster::{Cluster, ClusterState, Priority};
use crate::dense::{to_u32, to_usize};
use crate::ids::{NodeSlot, VmSlot};
use crate::policy::FailureClass;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The format's name.
const FORMAT: &str = "lifeboat-certificate/1";

/// The certificates of a verdict, in the form in which they are stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredCertificates {
    format: String,
    /// The fingerprint of the cluster, in hexadecimal.
    state: String,
    classes: Vec<StoredClass>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredClass {
    fail: Vec<(String, u32)>,
    tiers: Vec<(String, u32)>,
    min_priority: Option<u32>,
    any_order: bool,
    covers: String,
    left_out: Vec<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    evicts: Vec<u32>,
    standing: Vec<(u32, u32)>,
    vms: Vec<u32>,
    columns: Vec<StoredColumn>,
    exceptions: Vec<StoredException>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    backups: Vec<(u32, Vec<u32>)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    singles: Vec<u32>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredColumn {
    tier: u32,
    bank: Option<Vec<u32>>,
    /// A node per VM; the number of nodes where there is none.
    targets: Vec<u32>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredException {
    failed: Vec<u32>,
    placements: Vec<(u32, u32)>,
}

/// Why stored certificates cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// Another format, or a later version of it.
    #[error("this is not in the form lifeboat-certificate/1")]
    Format,
    /// The cluster is another one, or has changed.
    #[error("the certificates are for another state of the cluster: verify it again")]
    OtherState,
    /// A number that names nothing, or a list of the wrong length.
    #[error("damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
}

impl StoredError {
    /// A stable machine-readable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::OtherState => "other_state",
            Self::Damaged { .. } => "damaged",
        }
    }
}

/// The objects in the order of their names, and back.
struct Positions {
    vms: Vec<VmSlot>,
    nodes: Vec<NodeSlot>,
    of_vm: Vec<u32>,
    of_node: Vec<u32>,
}

impl Positions {
    fn new(cluster: &Cluster) -> Self {
        let mut vms: Vec<(&str, VmSlot)> = cluster.vms().map(|vm| (vm.name(), vm.id().slot)).collect();
        let mut nodes: Vec<(&str, NodeSlot)> = cluster.nodes().map(|node| (node.name(), node.id().slot)).collect();
        vms.sort_unstable();
        nodes.sort_unstable();
        let mut of_vm = alloc::vec![0; cluster.vm_slots_len()];
        let mut of_node = alloc::vec![0; cluster.node_slots()];
        for (at, (_, vm)) in (0..).zip(&vms) {
            if let Some(entry) = of_vm.get_mut(to_usize(vm.0)) {
                *entry = at;
            }
        }
        for (at, (_, node)) in (0..).zip(&nodes) {
            if let Some(entry) = of_node.get_mut(to_usize(node.0)) {
                *entry = at;
            }
        }
        Self {
            vms: vms.into_iter().map(|(_, vm)| vm).collect(),
            nodes: nodes.into_iter().map(|(_, node)| node).collect(),
            of_vm,
            of_node,
        }
    }

    fn of_vm(&self, vm: VmSlot) -> u32 {
        self.of_vm.get(to_usize(vm.0)).copied().unwrap_or(u32::MAX)
    }

    fn of_node(&self, node: NodeSlot) -> u32 {
        self.of_node.get(to_usize(node.0)).copied().unwrap_or_else(|| to_u32(self.nodes.len()))
    }

    fn vm(&self, at: u32) -> Result<VmSlot, StoredError> {
        let none = || StoredError::Damaged { what: format!("there is no VM {at}") };
        self.vms.get(to_usize(at)).copied().ok_or_else(none)
    }

    fn node(&self, at: u32) -> Result<NodeSlot, StoredError> {
        let none = || StoredError::Damaged { what: format!("there is no node {at}") };
        self.nodes.get(to_usize(at)).copied().ok_or_else(none)
    }

    fn target(&self, at: u32) -> Result<NodeSlot, StoredError> {
        if to_usize(at) == self.nodes.len() { Ok(NOWHERE) } else { self.node(at) }
    }
}

impl StoredCertificates {
    /// Certificates of one cluster in the form in which they are stored.
    pub fn new<'c>(cluster: &Cluster, certificates: impl IntoIterator<Item = &'c Certificate>) -> Self {
        let positions = Positions::new(cluster);
        Self {
            format: FORMAT.into(),
            state: format!("{:032x}", cluster.fingerprint()),
            classes: certificates.into_iter().map(|certificate| store(&positions, certificate)).collect(),
        }
    }

    /// The certificates, for the cluster that they were made for.
    ///
    /// # Errors
    /// Another format or state, numbers that name nothing. That the plans are good is not checked here.
    pub fn certificates(&self, cluster: &Cluster) -> Result<Vec<Certificate>, StoredError> {
        if self.format != FORMAT {
            return Err(StoredError::Format);
        }
        if self.state != format!("{:032x}", cluster.fingerprint()) {
            return Err(StoredError::OtherState);
        }
        let positions = Positions::new(cluster);
        self.classes.iter().map(|class| restore(&positions, class, cluster.state())).collect()
    }
}

fn store(positions: &Positions, certificate: &Certificate) -> StoredClass {
    let pair = |(vm, node): &(VmSlot, NodeSlot)| (positions.of_vm(*vm), positions.of_node(*node));
    // In the order of names, so that the text depends on nothing else.
    let mut order: Vec<(u32, usize)> =
        certificate.vms.iter().enumerate().map(|(at, vm)| (positions.of_vm(*vm), at)).collect();
    order.sort_unstable();
    let nodes = |nodes: &[NodeSlot]| {
        let mut nodes: Vec<u32> = nodes.iter().map(|node| positions.of_node(*node)).collect();
        nodes.sort_unstable();
        nodes
    };
    let columns = certificate.columns.iter().zip(certificate.targets.iter()).map(|(column, targets)| StoredColumn {
        tier: to_u32(column.tier),
        bank: column.bank.as_ref().map(|bank| nodes(bank)),
        targets: order
            .iter()
            .map(|(_, at)| targets.get(*at).copied().unwrap_or(NOWHERE))
            .map(|node| positions.of_node(node))
            .collect(),
    });
    let mut exceptions: Vec<StoredException> = certificate
        .exceptions
        .iter()
        .map(|exception| {
            let mut placements: Vec<(u32, u32)> = exception.placements.iter().map(pair).collect();
            placements.sort_unstable();
            StoredException { failed: nodes(&exception.failed), placements }
        })
        .collect();
    exceptions.sort_unstable_by(|left, right| left.failed.cmp(&right.failed));
    let mut standing: Vec<(u32, u32)> = certificate.standing.iter().map(pair).collect();
    standing.sort_unstable();
    let ranked = |backup: &Backup| {
        (positions.of_vm(backup.vm), backup.targets.iter().map(|node| positions.of_node(*node)).collect())
    };
    let mut backups: Vec<(u32, Vec<u32>)> = certificate.backups.iter().map(ranked).collect();
    backups.sort_unstable();
    let vms = |vms: &[VmSlot]| {
        let mut vms: Vec<u32> = vms.iter().map(|vm| positions.of_vm(*vm)).collect();
        vms.sort_unstable();
        vms
    };
    StoredClass {
        fail: certificate.class.fail.clone(),
        tiers: certificate.tiers.clone(),
        min_priority: certificate.class.min_priority.map(|priority| priority.0),
        any_order: certificate.class.any_order,
        covers: certificate.covers.name().into(),
        left_out: vms(&certificate.left_out),
        evicts: vms(&certificate.evicts),
        standing,
        vms: order.iter().map(|(vm, _)| *vm).collect(),
        columns: columns.collect(),
        exceptions,
        backups,
        singles: nodes(&certificate.singles),
    }
}

fn restore(positions: &Positions, stored: &StoredClass, state: ClusterState) -> Result<Certificate, StoredError> {
    let damaged = |what: &str| StoredError::Damaged { what: what.into() };
    let pairs = |pairs: &[(u32, u32)]| {
        let mut pairs = pairs
            .iter()
            .map(|(vm, node)| Ok((positions.vm(*vm)?, positions.node(*node)?)))
            .collect::<Result<Vec<_>, StoredError>>()?;
        pairs.sort_unstable();
        Ok::<_, StoredError>(pairs)
    };
    let nodes = |list: &[u32]| {
        let mut nodes = list.iter().map(|at| positions.node(*at)).collect::<Result<Vec<_>, _>>()?;
        nodes.sort_unstable();
        nodes.dedup();
        Ok::<_, StoredError>(nodes)
    };
    let mut order = stored
        .vms
        .iter()
        .enumerate()
        .map(|(at, vm)| Ok((positions.vm(*vm)?, at)))
        .collect::<Result<Vec<_>, StoredError>>()?;
    order.sort_unstable();
    if order.windows(2).any(|pair| matches!(pair, [left, right] if left.0 == right.0)) {
        return Err(damaged("a VM is listed twice"));
    }
    let mut columns = Vec::new();
    let mut targets = Vec::new();
    for column in &stored.columns {
        if column.targets.len() != order.len() {
            return Err(damaged("a column has another length than the list of VMs"));
        }
        if to_usize(column.tier) >= stored.tiers.len() {
            return Err(damaged("a column serves a level that the class does not have"));
        }
        columns.push(Column {
            tier: to_usize(column.tier),
            bank: column.bank.as_ref().map(|bank| nodes(bank)).transpose()?,
        });
        let of_column = order
            .iter()
            .map(|(_, at)| positions.target(column.targets.get(*at).copied().unwrap_or(u32::MAX)))
            .collect::<Result<Vec<_>, _>>()?;
        targets.push(of_column);
    }
    let mut exceptions = stored
        .exceptions
        .iter()
        .map(|exception| Ok(Exception { failed: nodes(&exception.failed)?, placements: pairs(&exception.placements)? }))
        .collect::<Result<Vec<_>, StoredError>>()?;
    exceptions.sort_unstable_by(|left, right| left.failed.cmp(&right.failed));
    let mut backups = stored
        .backups
        .iter()
        .map(|(vm, targets)| {
            let targets = targets.iter().map(|at| positions.node(*at)).collect::<Result<_, _>>()?;
            Ok(Backup { vm: positions.vm(*vm)?, targets })
        })
        .collect::<Result<Vec<_>, StoredError>>()?;
    backups.sort_unstable_by_key(|backup| backup.vm);
    if backups.windows(2).any(|pair| matches!(pair, [left, right] if left.vm == right.vm)) {
        return Err(damaged("a VM has two lists of places"));
    }
    let vms = |list: &[u32]| {
        let mut vms = list.iter().map(|vm| positions.vm(*vm)).collect::<Result<Vec<_>, _>>()?;
        vms.sort_unstable();
        vms.dedup();
        Ok::<_, StoredError>(vms)
    };
    let class = FailureClass {
        fail: stored.fail.clone(),
        min_priority: stored.min_priority.map(Priority),
        mode: None,
        any_order: stored.any_order,
    };
    Ok(Certificate {
        class,
        tiers: stored.tiers.clone(),
        covers: Covers::from_name(&stored.covers).ok_or_else(|| damaged("unknown word for what it covers"))?,
        state,
        left_out: vms(&stored.left_out)?,
        evicts: vms(&stored.evicts)?,
        standing: pairs(&stored.standing)?,
        vms: order.into_iter().map(|(vm, _)| vm).collect(),
        columns: columns.into_iter().collect(),
        targets: targets.into_iter().collect(),
        exceptions,
        backups,
        singles: nodes(&stored.singles)?,
    })
}
