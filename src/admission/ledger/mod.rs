//! The ledger: a certificate of every class that holds, kept up as VMs come, go and grow.
//!
//! Uses `cluster`, `guarantee` (certificates, units), `restart` (where a VM may go). Used by `admission::guard`, and by
//! `capacity` for headroom.
//!
//! **The data's path.** A class that holds by banks, for losses in any order, without exceptions and evictions, leaves a
//! certificate: a target for every VM in every bank; VMs with places of their own aside, which stay as they are (`lists`). A
//! [`ClassLedger`] takes it apart: per bank and unit what the unit claims where (`claims`), per node the most that any one unit
//! claims there. Before an edit of a VM the owner calls
//! [`leave`](ClassLedger::leave), after it [`refresh`](ClassLedger::refresh) for every node that it touched and
//! [`enter`](ClassLedger::enter), at the end of a transaction [`settle`](ClassLedger::settle), which packs anew what no
//! longer fits (`repair`). [`keeps`](ClassLedger::keeps) tells beforehand whether a change would need any of that.
//!
//! **Why it is sound.** A certificate by banks speaks of every unit and bank by itself: the unit's plan there must fit
//! alone. So a VM that starts on a node takes room from the plans that claim the node, of which the largest decides, and
//! adds itself to the plans of the units that it fails with, where it needs one target in each bank. Nothing else is
//! touched, as long as no required rule but `confine` and `exclude` ties the VM and no other VM needs it: such a VM is
//! called *plain* (`plain`). VMs that are tied by `separate` rules alone are followed, too (`apart`): others of the rule
//! whose targets a newcomer makes impossible get new ones. So are nodes that are cordoned, opened, or, being empty, come or
//! go (`nodes`). The edit of any other VM, another description of a node, a rule or the policy ends the ledger of the
//! class; the next verdict begins it anew.
//!
//! The largest claims may be too high after a claim has gone. That is on the safe side, and put right
//! ([`tighten`](ClassLedger::tighten)) before anything is given up for it.
//!
//! A ledger says yes or knows nothing: only a verdict refuses.

mod apart;
mod build;
mod claims;
mod class;
mod ghosts;
mod keeps;
mod lists;
mod nodes;
mod plain;
mod repair;

pub(crate) use apart::{is_apart_by_node, is_barred};
pub(crate) use class::ClassLedger;
pub(crate) use ghosts::{Ghost, Paper};
pub(crate) use keeps::{After, Moved};
pub(crate) use nodes::{Turn, counts_takers};
pub(crate) use plain::{is_followed, is_plain, is_plain_described};
