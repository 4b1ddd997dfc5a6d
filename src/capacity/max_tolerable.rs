//! How many losses of a level are survived: the largest number of losses of a level that every failure survives.
//!
//! Uses `guarantee` and `policy`. Called by embedders and the example program.

use crate::cluster::Cluster;
use crate::guarantee::{Answer, VerifyError, unit_count, verify_controlled};
use crate::placement::budget::Control;
use crate::policy::{FailureClass, Policy};

/// How many losses of a level are survived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tolerable {
    /// So many are proved to be survived; `None`: not even what waits for a place already can be placed for certain.
    pub least: Option<u32>,
    /// More than so many are proved not to be; `None`: what waits for a place already cannot all be placed. Where every
    /// unit may be lost (because nothing is to be restarted), the number of units.
    pub most: Option<u32>,
    /// How many VMs that holds without, with `least` losses and with `most`: some failure leaves them no node that could take
    /// them, and the policy only warns of that ([`ClassVerdict::uncoverable`](crate::ClassVerdict::uncoverable)).
    pub uncovered: [usize; 2],
}

/// The largest number of domains of a level (`node`: of nodes) that may be lost together, whichever they are: the
/// largest k for which the class `{level: k}` holds, as an interval that is a point when everything was decided.
///
/// Each k is asked as [`verify`](crate::verify) would, with the policy's whole budget, from 0 upwards until one fails. A
/// verdict that holds with more losses settles one with fewer that was left open, unless it sets aside VMs that are to be
/// covered there: with `uncoverable: warn` more losses may promise less.
///
/// # Errors
/// An unknown level.
///
/// ```
/// use lifeboat::{Cluster, Node, Policy, ResourceKinds, Vm, max_tolerable};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::new(ResourceKinds::new([("memory", "MiB")])?, [""; 0])?;
/// for name in ["one", "two", "three"] {
///     let node = cluster.add_node(Node::named(name).capacity([4096]))?;
///     cluster.add_vm(Vm::named(name).demand([1024]).on(node))?;
/// }
/// let tolerable = max_tolerable(&cluster, &Policy::default(), "node")?;
/// assert_eq!((tolerable.least, tolerable.most), (Some(2), Some(2)));
/// # Ok(())
/// # }
/// ```
pub fn max_tolerable(cluster: &Cluster, policy: &Policy, level: &str) -> Result<Tolerable, VerifyError> {
    max_tolerable_controlled(cluster, policy, level, &Control::new())
}

/// The same, watched and stopped through `control`.
///
/// # Errors
/// Besides, [`VerifyError::Cancelled`].
pub fn max_tolerable_controlled(
    cluster: &Cluster,
    policy: &Policy,
    level: &str,
    control: &Control,
) -> Result<Tolerable, VerifyError> {
    let mut asked = policy.clone();
    let mut tolerable = Tolerable { least: None, most: None, uncovered: [0; 2] };
    // Of the first that was left open, how many VMs it sets aside.
    let mut open: Option<usize> = None;
    for count in 0..=unit_count(cluster, policy, level)? {
        asked.tolerate = alloc::vec![FailureClass::units(level, count)];
        let verdict = verify_controlled(cluster, &asked, control)?;
        // With more losses the same VMs are uncoverable, and others besides.
        let uncovered: usize = verdict.classes().iter().map(|class| class.uncoverable().len()).sum();
        match verdict.answer() {
            Answer::Holds if open.is_none_or(|open| open == uncovered) => {
                (tolerable.least, open) = (Some(count), None);
                tolerable.uncovered = [uncovered; 2];
            }
            // A larger class may still be refuted, and bounds from above.
            Answer::Holds => {}
            Answer::Undecided => {
                open.get_or_insert(uncovered);
            }
            Answer::Fails => break,
        }
        tolerable.most = Some(count);
        let [_, most] = &mut tolerable.uncovered;
        *most = uncovered;
    }
    Ok(tolerable)
}
