//! A cluster and the failures that a bench goes through in turn; every plan is checked before anything is measured.
//!
//! Uses `lifeboat_testkit::generate`. Used by the benches.

use lifeboat::{Cluster, Failure, Planner, Policy, check_plan};
use lifeboat_testkit::generate::{Layout, Shape};

/// What fails.
#[derive(Clone, Copy)]
pub enum Loss {
    /// A node.
    Node,
    /// All nodes of a rack.
    Rack,
}

/// A bench: what the cluster looks like and what fails in it.
#[derive(Clone)]
pub struct Variant {
    pub shape: Shape,
    pub loss: Loss,
}

/// A cluster, and failures to go through in turn.
pub struct Scenario {
    pub cluster: Cluster,
    pub policy: Policy,
    pub failures: Vec<Failure>,
    /// How many VMs a failure displaces, on average.
    pub displaced: usize,
    /// How many of the plans place everything.
    pub complete: usize,
}

/// No bench goes through more different failures than this: each is planned and checked beforehand.
const MOST_FAILURES: usize = 500;

impl Variant {
    pub fn new(shape: Shape, loss: Loss) -> Self {
        Self { shape, loss }
    }

    /// `64/640 balanced 75 % 2 kinds`, and what else is special.
    pub fn name(&self) -> String {
        let Shape { nodes, vms, utilisation_percent, kinds, .. } = self.shape;
        let layout = if self.shape.layout == Layout::Balanced { "balanced" } else { "ragged" };
        let rules = if self.shape.rules { " rules" } else { "" };
        let lists = if self.shape.allowed_nodes.is_some() { " own allowed nodes" } else { "" };
        format!("{nodes}/{vms} {layout} {utilisation_percent} % {kinds} kinds{rules}{lists}")
    }

    /// Whether the naive baselines answer the same question: they know no rules and no lists.
    pub fn is_plain(&self) -> bool {
        !self.shape.rules && self.shape.allowed_nodes.is_none()
    }

    /// Builds it, and checks the plan for each of its failures.
    pub fn build(&self) -> Scenario {
        let cluster = self.shape.build();
        let policy = Policy::default();
        let failures: Vec<Failure> = match self.loss {
            Loss::Node => {
                let step = (cluster.node_count() / MOST_FAILURES).max(1);
                cluster.nodes().step_by(step).take(MOST_FAILURES).map(|node| Failure::of([node.id()])).collect()
            }
            Loss::Rack => {
                let (racks, _) = cluster.domains("rack").expect("racks");
                let of = |rack: &&str| Failure::none().domain(&cluster, "rack", rack).expect("a rack");
                racks.iter().take(MOST_FAILURES).map(of).collect()
            }
        };
        let (mut displaced, mut complete) = (0, 0);
        let mut planner = Planner::new();
        for failure in &failures {
            let plan = planner.restart(&cluster, &policy, failure).expect("a failure of the cluster");
            check_plan(&cluster, &policy, failure, &plan).expect("the plan passes the checker");
            displaced += plan.placements().len() + plan.unplaced().len();
            complete += usize::from(plan.unplaced().is_empty());
        }
        let displaced = (displaced + failures.len() / 2) / failures.len();
        Scenario { cluster, policy, failures, displaced, complete }
    }
}
