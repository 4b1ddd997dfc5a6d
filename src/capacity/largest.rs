//! The largest VM in the proportions of a shape.
//!
//! Uses `capacity::headroom` (what is kept, bounds and places for one) and `capacity::newcomer`. Called by embedders and the
//! example program.
//!
//! **The data's path.** Sizes are numbered: size `t` holds `t` units of the kind that the shape has most of, and of every
//! other kind what the proportion asks, rounded up. So they grow by a single unit, and whatever is asked of one holds for
//! smaller ones: halving finds the last that fits a node today, the last that no bound rules out, and the last that a
//! verdict confirms. Only where the policy admits VMs that nothing could take may a larger one be admitted and a smaller
//! one not; then what fits a node today is the bound.

use super::headroom::{Ask, HeadroomError, Newcomer, kept, last};
use super::newcomer::Template;
use crate::cluster::{Cluster, EditError};
use crate::ids::{NodeId, NodeSlot};
use crate::placement::budget::Control;
use crate::policy::Policy;
use crate::resources::Amounts;
use alloc::vec::Vec;

/// The largest VM that can still be started, in the proportions of a shape.
///
/// Sizes grow by a single unit of the kind that the shape has most of; of the others they have what the proportion asks,
/// rounded up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LargestVm {
    /// One of this size can, on this node; `None`: of no size that was tried.
    pub least: Option<(Amounts, NodeId)>,
    /// None of a larger size can; nothing at all: not even the smallest, of one unit.
    pub most: Amounts,
}

/// The largest VM in the proportions of a shape that can still be started with everything kept, to the unit: of all numbers
/// `t` the largest for which a VM can that holds, of each kind, `t / m` of the shape's amount, rounded up; `m` is the largest
/// of these amounts.
///
/// `least` is looked for on the eight nodes with most room for it. Where `uncoverable: warn` admits VMs that no node could
/// take after a failure, sizes above a refused one may be admitted; `most` bounds those, too.
///
/// # Errors
/// As [`headroom_controlled`](crate::headroom_controlled).
///
/// ```
/// use lifeboat::{Cluster, Control, Node, Policy, ResourceKinds, largest_vm};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("cpu", ""), ("memory", "MiB")])?, [""; 0])?;
/// for name in ["one", "two"] {
///     cluster.add_node(Node::named(name).capacity([8, 5000]))?;
/// }
/// let found = largest_vm(&cluster, &Policy::default(), &[1, 4096].into(), &Control::new())?;
/// assert_eq!(found.most, [2, 5000].into());
/// # Ok(())
/// # }
/// ```
pub fn largest_vm(
    cluster: &Cluster,
    policy: &Policy,
    shape: &Amounts,
    control: &Control,
) -> Result<LargestVm, HeadroomError> {
    let kept = kept(cluster, policy, control)?;
    let kinds = cluster.kinds().len();
    if shape.len() > kinds {
        return Err(EditError::TooManyAmounts { count: shape.len(), kinds }.into());
    }
    let sizes = Sizes::of(shape).ok_or(HeadroomError::NothingWanted)?;
    let newcomer = |size: u64| Newcomer::Shape(sizes.size(size));
    let ask = |size: u64| Ask::new(cluster, policy, &newcomer(size), kept.clone(), control);
    let seats = |size: u64| -> Result<Vec<NodeSlot>, HeadroomError> {
        let seats = Template::new(cluster, &newcomer(size))?.seats(cluster);
        Ok(seats.iter().map(|seat| seat.node).collect())
    };
    let room = last(sizes.within(cluster), |size| or(false, seats(size).map(|seats| !seats.is_empty())))?;
    // A VM that nothing could take is no less so if it is larger.
    let may_be_let_go = room > 0 && or(true, ask(room)?.may_be_let_go(&seats(1)?))?;
    let most = if may_be_let_go {
        room
    } else {
        last(room, |size| or(false, ask(size).and_then(|ask| Ok(ask.at_most()?.0 > 0))))?
    };
    let mut place = None;
    last(most, |size| {
        or(
            false,
            ask(size).and_then(|ask| {
                let found = ask.place_for_one()?;
                if let Some(node) = found {
                    place = Some((sizes.size(size), cluster.node_id_of(node)));
                }
                Ok(found.is_some())
            }),
        )
    })?;
    Ok(LargestVm { least: place, most: sizes.size(most) })
}

/// What is said of VMs that are beyond any amount.
fn or(beyond: bool, result: Result<bool, HeadroomError>) -> Result<bool, HeadroomError> {
    match result {
        Err(HeadroomError::Edit(EditError::Overflow { .. })) => Ok(beyond),
        other => other,
    }
}

/// VMs in one proportion, by size.
struct Sizes<'s> {
    shape: &'s Amounts,
    /// The largest of its amounts.
    unit: u64,
}

impl<'s> Sizes<'s> {
    fn of(shape: &'s Amounts) -> Option<Self> {
        let unit = shape.iter().copied().max().filter(|unit| *unit > 0)?;
        Some(Self { shape, unit })
    }

    fn size(&self, size: u64) -> Amounts {
        let of = |amount: &u64| {
            let scaled = u128::from(*amount).saturating_mul(size.into());
            u64::try_from(scaled.div_ceil(u128::from(self.unit).max(1))).unwrap_or(u64::MAX)
        };
        self.shape.iter().map(of).collect()
    }

    /// No VM can be larger than the most that any node has of a kind that the shape has.
    fn within(&self, cluster: &Cluster) -> u64 {
        let kinds = self.shape.iter().enumerate().filter(|(_, amount)| **amount > 0);
        let bounds = kinds.map(|(kind, amount)| {
            let most = cluster.nodes().filter_map(|node| node.allocatable().get(kind).copied()).max().unwrap_or(0);
            let size = u128::from(most).saturating_mul(self.unit.into()).checked_div((*amount).into()).unwrap_or(0);
            u64::try_from(size).unwrap_or(u64::MAX)
        });
        bounds.min().unwrap_or(0)
    }
}
