//! A guard's state against a verdict made anew, and what happens to nodes while it is guarded.

use crate::Choices;
use lifeboat::{
    Answer, Certificate, Change, Cluster, Guard, Item, NodeId, NodeRef, NodeState, VerdictFault, VmRef,
    check_certificate, verify,
};

/// What happens to a node in daily use: it is cordoned, drained, taken down, repaired, replaced. About as many stay as there are.
pub fn node_changes(choices: &mut Choices<'_>, cluster: &Cluster, step: u64, usual: usize) -> Vec<Change> {
    let of = |wanted: &dyn Fn(&NodeRef<'_>) -> bool| -> Vec<NodeId> {
        cluster.nodes().filter(wanted).map(NodeRef::id).collect()
    };
    let any = choices.pick(&of(&|_| true));
    let empty = of(&|node| node.state().runs_vms() && node.vms().len() == 0 && node.incoming().len() == 0);
    let down = of(&|node| !node.state().runs_vms());
    let (count, states) = (cluster.nodes().count(), [NodeState::Maintenance, NodeState::Failed]);
    match choices.below(8) {
        0 if count <= usual => {
            let mut node = cluster.node(any).expect("a node").to_node();
            node.name = format!("node-{step}");
            node.state = choices.pick(&[NodeState::Online, NodeState::Cordoned, NodeState::Maintenance]);
            // Domains of other nodes, so that levels come to cross, new ones, or none.
            for (level, domain) in &mut node.domains {
                let other = choices.pick(&of(&|_| true));
                match choices.below(4) {
                    0 => *domain = format!("{level}-{step}"),
                    1 => *domain = cluster.node(other).expect("a node").domain(level).unwrap_or(domain).to_string(),
                    _ => {}
                }
            }
            node.domains.retain(|_| !choices.chance(1, 8));
            vec![Change::AddNode(Box::new(node))]
        }
        1 if !empty.is_empty() && count >= usual => vec![Change::RemoveNode { node: choices.pick(&empty) }],
        2 | 3 if !empty.is_empty() => vec![Change::node_state(choices.pick(&empty), choices.pick(&states))],
        4 | 5 if !down.is_empty() => vec![Change::node_state(choices.pick(&down), NodeState::Online)],
        6 => {
            let here = |vm: &VmRef<'_>| vm.is_on() && [vm.node(), vm.migrating_to()].contains(&Some(any));
            let mut changes: Vec<Change> = cluster.vms().filter(here).map(|vm| Change::Stop { vm: vm.id() }).collect();
            if choices.chance(1, 2) {
                changes.push(Change::node_state(any, choices.pick(&states)));
            }
            changes
        }
        _ => vec![Change::node_state(any, choices.pick(&[NodeState::Online, NodeState::Cordoned]))],
    }
}

/// Compares what a guard says of its classes with a verdict made anew, and gives every certificate that it keeps with what the
/// checker of certificates finds.
///
/// # Panics
/// If the guard says anything else, or its cluster is inconsistent. `what` tells how it came to this.
pub fn compared(guard: &mut Guard, what: &str) -> Vec<(Certificate, Vec<VerdictFault>)> {
    guard.cluster().check_invariants().unwrap_or_else(|fault| panic!("{fault:?}: {what}"));
    let (cluster, policy) = (guard.cluster().clone(), guard.policy().clone());
    let fresh = verify(&cluster, &policy).expect("a verdict");
    let items = guard.items().expect("states").to_vec();
    for (class, item) in fresh.classes().iter().zip(&items) {
        let Item::Tolerate(state) = &item.item else { continue };
        // A ledger may hold on to a yes that a fresh verdict does not find any more.
        let same = state.answer == class.rest() || (state.answer == Answer::Holds && class.rest() == Answer::Undecided);
        assert!(same, "{:?} {:?}: {what}", state.answer, class.rest());
        assert_eq!(state.uncoverable, class.uncoverable(), "{what}");
    }
    let kept: Vec<_> = policy.tolerate.iter().map(|class| guard.certificate(class).expect("an answer")).collect();
    let checked = |certificate: Certificate| {
        let faults = check_certificate(&cluster, &policy, &certificate).err().unwrap_or_default();
        (certificate, faults)
    };
    kept.into_iter().flatten().map(checked).collect()
}
