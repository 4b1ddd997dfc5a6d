//! How long a verdict takes: `cargo bench --bench verify [FILTER]`.
//!
//! Uses `support`. For people; the gate counts instructions instead (`instructions`).
//!
//! The checker accepts every verdict before anything is measured. Besides, lines below a bench tell what the verdict is
//! and how the time compares, in the same run, with the naive way: a restart plan for every failure of the class, one
//! after the other, by the same planner, warm. Where there are too many failures, a sample of them spread over all is
//! planned, and its median times the number of failures is what is compared. (A naive proof would be a weaker one, too:
//! plans for failures at once say nothing of failures one after another.)
//!
//! `LIFEBOAT_BENCH_FULL=1` adds ragged and fuller clusters and four kinds, with rules and without.
//! `LIFEBOAT_BENCH_HUGE=1` adds 100000/1000000, which takes gigabytes and minutes to set up.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::pedantic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a bench: it prints, measures, and a panic is a failed bench"
)]

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use lifeboat::policy::FailureClass;
use lifeboat::{Answer, Cluster, Failure, NodeId, Planner, Policy, Verdict, check_verdict, verify};
use lifeboat_testkit::generate::{Layout, Shape};
use std::cell::OnceCell;
use std::hint::black_box;
use std::time::{Duration, Instant};
use support::latency::Latency;
use support::scenario::{Loss, Variant};

/// The naive way may take so many seconds to sample.
const BASELINE_SECONDS: u64 = 3;
/// So many failures are sampled at most.
const SAMPLE: usize = 2_000;

/// A question: the cluster, what may fail, and the answer that it was chosen for.
#[derive(Clone)]
struct Question {
    shape: Shape,
    class: FailureClass,
    expected: Answer,
}

/// A question ready to be asked.
struct Asked {
    cluster: Cluster,
    policy: Policy,
}

impl Question {
    fn yes(shape: Shape, class: FailureClass) -> Self {
        Self { shape, class, expected: Answer::Holds }
    }

    fn no(shape: Shape, class: FailureClass) -> Self {
        Self { shape, class, expected: Answer::Fails }
    }

    /// `10000/100000 balanced 75 % 2 kinds, any 1 rack 1 node`.
    fn name(&self) -> String {
        let counts: Vec<String> = self.class.fail.iter().map(|(level, count)| format!("{count} {level}")).collect();
        format!("{}, any {}", Variant::new(self.shape.clone(), Loss::Node).name(), counts.join(" "))
    }

    /// Builds the cluster and has the verdict checked.
    fn ask(&self) -> Asked {
        let cluster = self.shape.build();
        let mut policy = Policy::default();
        policy.tolerate = vec![self.class.clone()];
        let verdict = verify(&cluster, &policy).expect("a class of the cluster");
        let start = Instant::now();
        let checked = match check_verdict(&cluster, &policy, &verdict) {
            Ok(()) => format!("checked in {:.3} ms", start.elapsed().as_secs_f64() * 1e3),
            Err(faults) if faults.iter().all(|fault| fault.code() == "too_large") => "too large to check".into(),
            Err(faults) => panic!("the checker refuses the verdict: {faults:?}"),
        };
        let judged = &verdict.classes()[0];
        println!("    {}; {checked}", judged.summary());
        assert_eq!(verdict.answer(), self.expected, "{}: {}", self.name(), judged.summary());
        Asked { cluster, policy }
    }

    /// How many failures of the full size the class has, and a sample of them: of each level so many domains, drawn by
    /// a fixed stride.
    fn failures(&self, cluster: &Cluster) -> (f64, Vec<Failure>) {
        let domains: Vec<(Vec<Vec<NodeId>>, usize)> = self
            .class
            .fail
            .iter()
            .map(|(level, count)| (nodes_of_domains(cluster, level), usize::try_from(*count).expect("a count")))
            .collect();
        let choose = |(domains, count): &(Vec<Vec<NodeId>>, usize)| {
            (0..*count).map(|chosen| (domains.len() - chosen) as f64 / (chosen + 1) as f64).product::<f64>()
        };
        let number: f64 = domains.iter().map(choose).product();
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut draw = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).expect("31 bits") % below
        };
        let mut sample = Vec::new();
        for _ in 0..SAMPLE.min(number as usize) {
            let mut nodes = Vec::new();
            for (domains, count) in &domains {
                for _ in 0..*count {
                    nodes.extend_from_slice(&domains[draw(domains.len())]);
                }
            }
            sample.push(Failure::of(nodes));
        }
        (number, sample)
    }
}

fn nodes_of_domains(cluster: &Cluster, level: &str) -> Vec<Vec<NodeId>> {
    if level == "node" {
        return cluster.nodes().map(|node| vec![node.id()]).collect();
    }
    let (names, _) = cluster.domains(level).expect("a level of the cluster");
    names.iter().map(|name| cluster.domain_nodes(level, name).expect("a domain")).collect()
}

fn rack_and_node() -> FailureClass {
    let mut class = FailureClass::units("rack", 1);
    class.fail.push(("node".into(), 1));
    class
}

fn of_size(nodes: usize) -> Shape {
    let vms = match nodes {
        64 => 8_000,
        _ => nodes * 10,
    };
    Shape::new(nodes, vms)
}

/// The shape as it is, and, if all is wanted, ragged, fuller and with four kinds.
fn kinds_of(shape: &Shape) -> Vec<Shape> {
    let mut shapes = vec![shape.clone()];
    if support::switch("LIFEBOAT_BENCH_FULL") {
        shapes.push(shape.clone().layout(Layout::Ragged));
        shapes.push(shape.clone().layout(Layout::Ragged).utilisation(85).kinds(4));
        shapes.push(shape.clone().utilisation(60));
    }
    shapes
}

fn verdicts(criterion: &mut Criterion) {
    let yes = |shape: Shape, class: &FailureClass| {
        kinds_of(&shape).into_iter().map(|shape| Question::yes(shape, class.clone())).collect::<Vec<_>>()
    };
    let nodes = FailureClass::nodes;
    group(criterion, "N+1 proof", &yes(of_size(64), &nodes(1)));

    let mut two = yes(Shape::new(64, 640), &nodes(2));
    for size in [64, 1_000, 10_000] {
        two.extend(yes(of_size(size), &nodes(2)));
    }
    group(criterion, "N+2 proof", &two);
    group(criterion, "N+4 proof", &yes(of_size(10_000), &nodes(4)));
    group(criterion, "any rack + any node", &yes(of_size(10_000), &rack_and_node()));

    let with_rules = |shape: Shape, class: FailureClass| yes(shape.with_rules(), &class);
    let mut rules = with_rules(Shape::new(64, 640), nodes(2));
    for size in [64, 1_000, 10_000] {
        rules.extend(with_rules(of_size(size), nodes(2)));
    }
    rules.extend(with_rules(of_size(10_000), nodes(4)));
    rules.extend(with_rules(of_size(10_000), rack_and_node()));
    group(criterion, "proof with rules", &rules);

    // By the sum of one kind, by single losses, by shapes, and where most of the nodes survive.
    let no = [
        Question::no(Shape::new(64, 640).utilisation(99), nodes(2)),
        Question::no(of_size(64).utilisation(99), nodes(2)),
        Question::no(of_size(10_000).utilisation(99), nodes(200)),
        Question::no(of_size(64).utilisation(99), nodes(1)),
        Question::no(of_size(10_000).utilisation(99), FailureClass::units("rack", 4)),
        Question::no(of_size(10_000), FailureClass::units("site", 1)),
    ];
    group(criterion, "no with proof", &no);
}

/// A million VMs: a group of its own, since each verdict takes most of a second.
fn huge(criterion: &mut Criterion) {
    if support::switch("LIFEBOAT_BENCH_HUGE") {
        group(
            criterion,
            "N+2 proof, a million VMs",
            &[Question::yes(Shape::new(100_000, 1_000_000), FailureClass::nodes(2))],
        );
    }
}

fn group(criterion: &mut Criterion, name: &str, questions: &[Question]) {
    let mut group = criterion.benchmark_group(name);
    for question in questions {
        // Built when the filter of the command line lets it through.
        let asked: OnceCell<Asked> = OnceCell::new();
        group.bench_function(question.name(), |bencher| {
            let Asked { cluster, policy } = asked.get_or_init(|| question.ask());
            bencher.iter_with_large_drop(|| -> Verdict { verify(cluster, policy).expect("a class of the cluster") });
        });
        if let Some(asked) = asked.get() {
            beside_the_naive_way(question, asked);
        }
    }
    group.finish();
}

/// The median of single verdicts, and how many times as long plans for all failures would take.
fn beside_the_naive_way(question: &Question, Asked { cluster, policy }: &Asked) {
    let own = Latency::of(BASELINE_SECONDS, |_| {
        black_box(verify(cluster, policy).expect("a class of the cluster"));
    });
    let (number, sample) = question.failures(cluster);
    let mut planner = Planner::new();
    let naive = Latency::of(BASELINE_SECONDS, |index| {
        let plan = planner.restart(cluster, policy, &sample[index % sample.len()]);
        black_box(plan.expect("a failure of the cluster"));
    });
    let all = naive.percentile(50).as_secs_f64() * number;
    println!(
        "    {} of {} verdicts; naive, a plan for each of {number:.3e} failures (sampled): {all:.3e} s, {:.1} times as long",
        own.text(),
        own.calls(),
        all / own.percentile(50).as_secs_f64()
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = verdicts, huge
}
criterion_main!(benches);
