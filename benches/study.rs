//! How good is the routing, compared with usual balancers and with one that knows the
//! truth? Prints the tables of the study, in markdown. `cargo bench --bench study`.

#[path = "../tests/it/study/mod.rs"]
mod study;

use study::measure::{Figures, Study};
use study::parallel::side_by_side;
use study::router::Kind;
use study::scenario::Scenario;
use study::{fresh, table};

/// Seeds for each scenario.
const SEEDS: u64 = 5;
/// Random scenarios.
const FRESH: u64 = 40;

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let scenarios = Scenario::all();
    let all = run(&scenarios, SEEDS);
    println!("## Scenarios\n\n{}", table::ratios(&names(), &rows(&scenarios, &all)));
    let fresh: Vec<Scenario> = (0..FRESH).map(fresh::scenario).collect();
    let all = run(&fresh, 1);
    println!("## Random fresh scenarios\n\n{}", table::ratios(&names(), &rows(&fresh, &all)));
}

fn names() -> Vec<&'static str> {
    Kind::ALL.iter().map(|kind| kind.name()).collect()
}

/// The figures of all routers in each scenario.
fn run(scenarios: &[Scenario], seeds: u64) -> Vec<Vec<Figures>> {
    side_by_side(scenarios, |scenario| {
        let study = Study::new(scenario, 1..=seeds);
        Kind::ALL.iter().map(|kind| study.figures(*kind)).collect()
    })
}

fn rows(scenarios: &[Scenario], figures: &[Vec<Figures>]) -> Vec<(String, Vec<Figures>)> {
    scenarios.iter().zip(figures).map(|(scenario, row)| (scenario.about.clone(), row.clone())).collect()
}
