//! What can be asked on the command line.
//!
//! Used by `main` and the commands; knows nothing of the library.

use clap::{Args, Parser, Subcommand};

/// Decides where every VM restarts when hosts fail.
#[derive(Debug, Parser)]
#[command(name = "lifeboat", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a document: errors, warnings, rules that cannot all hold, utilisation.
    ///
    /// Exit status: 0 clean, 1 warnings or conflicts, 2 errors.
    Check(CheckArgs),
    /// Plan the restarts after a failure: which VM starts where, what does not fit, and why.
    ///
    /// Exit status: 0 all protected VMs restart, 1 proved that not all of them can, 3 not all of them do and that
    /// more could is not excluded, 2 bad input, 4 cancelled.
    Plan(PlanArgs),
    /// Check a plan that `plan --json` printed, by independent code.
    ///
    /// Exit status: 0 valid, 1 not valid, 2 bad input.
    CheckPlan(CheckPlanArgs),
    /// Prove that every failure in the tolerance is survived, or show one that is not.
    ///
    /// Exit status: 0 holds, 1 fails, 3 undecided or refused by the checker, 2 bad input, 4 cancelled.
    Verify(VerifyArgs),
    /// Check certificates that `verify --certificate` wrote, by independent code.
    ///
    /// Exit status: 0 valid, 1 not valid, 2 bad input.
    CheckCertificate(CheckCertificateArgs),
    /// Say how many nodes, and how many domains of each level, may be lost, and how many more VMs can be started with
    /// everything kept that the policy promises.
    ///
    /// Exit status: 0, 2 bad input, 4 cancelled.
    Capacity(CapacityArgs),
    /// Show what other products' rules (vSphere, SCVMM, xapi) say about the cluster, beside the exact verdict.
    ///
    /// Exit status, that of the exact verdict: 0 holds, 1 fails, 3 undecided, 2 bad input, 4 cancelled.
    Compare(CompareArgs),
    /// Judge changes before they are made, or take in what has happened: one transaction a line.
    ///
    /// Every line of the changes file is one operation (a JSON object with "op") or a list of them that is judged as a
    /// whole. Each is answered by one line, at once, and the state goes on with those that are admitted or observed. A line
    /// that is bad input is answered by its errors, and nothing of it is carried out.
    ///
    /// Exit status: 0 all admitted or observed, 1 some refused, 2 bad input, 4 cancelled.
    Admit(AdmitArgs),
}

impl Command {
    /// Whether the answer is to be JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Check(args) => args.json,
            Self::Plan(args) => args.json,
            Self::CheckPlan(args) => args.json,
            Self::Verify(args) => args.json,
            Self::CheckCertificate(args) => args.json,
            Self::Capacity(args) => args.json,
            Self::Compare(args) => args.json,
            Self::Admit(args) => args.json,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The document (lifeboat/1), or - for standard input.
    pub(crate) cluster: String,
    /// Take a resource kind that nodes or VMs leave out for an error.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print JSON (lifeboat-check/1) and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print long lists in full.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The document (lifeboat/1), or - for standard input.
    pub(crate) cluster: String,
    /// What fails: a node, or a whole domain as LEVEL=DOMAIN (a node without one is a domain of its own name). May be given
    /// more than once.
    #[arg(long, value_name = "NODE | LEVEL=DOMAIN")]
    pub(crate) fail: Vec<String>,
    /// Say of this VM, node by node, why it can or cannot run there. May be given more than once.
    #[arg(long, value_name = "VM")]
    pub(crate) explain: Vec<String>,
    /// Print JSON (lifeboat-plan/1) and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print long lists in full.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckPlanArgs {
    /// The document (lifeboat/1), or - for standard input.
    pub(crate) cluster: String,
    /// The plan (lifeboat-plan/1), or - for standard input.
    pub(crate) plan: String,
    /// What failed, as for `plan`; without it the nodes that the plan itself names as failed.
    #[arg(long, value_name = "NODE | LEVEL=DOMAIN")]
    pub(crate) fail: Vec<String>,
    /// Print JSON (lifeboat-plan-check/1) and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The document (lifeboat/1), or - for standard input.
    pub(crate) cluster: String,
    /// What must be survived, as LEVEL=COUNT[,LEVEL=COUNT...][:PRIORITY]: node=2, or rack=1,node=1:high. May be given
    /// more than once; without it the document's policy counts.
    #[arg(long, value_name = "LEVEL=COUNT[,...][:PRIORITY]")]
    pub(crate) tolerate: Vec<String>,
    /// Write the certificates of the classes that hold to this file (lifeboat-certificate/1).
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<String>,
    /// Print JSON (lifeboat-verdict/1) and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print long lists in full.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckCertificateArgs {
    /// The document (lifeboat/1), or - for standard input.
    pub(crate) cluster: String,
    /// The certificates (lifeboat-certificate/1), or - for standard input.
    pub(crate) certificate: String,
    /// Print JSON (lifeboat-certificate-check/1) and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CapacityArgs {
    /// The document (lifeboat/1), or - for standard input.
    pub(crate) cluster: String,
    /// Only these levels (`node` or a level of the document). May be given more than once.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) level: Vec<String>,
    /// How many more VMs of this size, as KIND=AMOUNT[,KIND=AMOUNT...]; without it and --like, of the average size of the
    /// VMs that are on.
    #[arg(long, value_name = "KIND=AMOUNT[,...]", conflicts_with = "like")]
    pub(crate) shape: Option<String>,
    /// How many more VMs like this one: of its size, with its limits and rules.
    #[arg(long, value_name = "VM")]
    pub(crate) like: Option<String>,
    /// Say of every node how headroom falls without it: a headroom per node.
    #[arg(long)]
    pub(crate) nodes: bool,
    /// Print JSON (lifeboat-capacity/1) and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The document (lifeboat/1), or - for standard input.
    pub(crate) cluster: String,
    /// How many nodes are lost, as for `verify`; without it the largest count of nodes in the document's policy.
    #[arg(long, value_name = "LEVEL=COUNT[,...][:PRIORITY]")]
    pub(crate) tolerate: Vec<String>,
    /// Print JSON (lifeboat-compare/1) and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AdmitArgs {
    /// The document (lifeboat/1), or - for standard input.
    pub(crate) cluster: String,
    /// The changes, JSON lines, or - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) changes: String,
    /// They have happened: take them in instead of judging them.
    #[arg(long)]
    pub(crate) observe: bool,
    /// Write the document as it is in the end, with all that was admitted or observed.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<String>,
    /// Print JSON (lifeboat-decision/1), a line for each transaction, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}
