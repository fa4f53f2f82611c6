//! How good is the routing, compared with usual balancers and with one that knows the
//! truth? Prints the tables of the study, in markdown. `cargo bench --bench study`.

#[path = "../tests/it/study/mod.rs"]
mod study;

use study::measure::{Figures, Study};
use study::parallel::side_by_side;
use study::router::Kind;
use study::scenario::Scenario;
use study::{fresh, replicas, table};

/// Seeds for each scenario.
const SEEDS: u64 = 5;
/// Points of time at which shares are shown, where a single scenario is run.
const PARTS: usize = 20;
/// Random scenarios.
const FRESH: u64 = 40;

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    // A scenario's name, or a part of several, runs those alone.
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let chosen = |all: Vec<Scenario>| -> Vec<Scenario> {
        let exact = all.iter().any(|scenario| scenario.name == part);
        let fits = |scenario: &Scenario| match exact {
            true => scenario.name == part,
            // Those of replicas that tell each other have tables of their own.
            false if part.is_empty() => scenario.sharing.is_none(),
            false => scenario.name.contains(&part),
        };
        all.into_iter().filter(fits).collect()
    };
    if part == "replicas" {
        return print!("## Replicas\n\n{}", replicas::tables(SEEDS));
    }
    report("Scenarios", &chosen(Scenario::all()), SEEDS);
    report("Random fresh scenarios", &chosen((0..FRESH).map(fresh::scenario).collect()), 1);
    if part.is_empty() {
        println!("## Replicas\n\n{}", replicas::tables(SEEDS));
    }
}

/// Runs all routers in these scenarios and prints how it went.
fn report(title: &str, scenarios: &[Scenario], seeds: u64) {
    if scenarios.is_empty() {
        return;
    }
    let all: Vec<Vec<Figures>> = side_by_side(scenarios, |scenario| {
        let study = Study::new(scenario, 1..=seeds);
        Kind::ALL.iter().map(|kind| study.figures(*kind)).collect()
    });
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    let rows: Vec<(String, Vec<Figures>)> =
        scenarios.iter().zip(&all).map(|(scenario, row)| (scenario.about.clone(), row.clone())).collect();
    println!("## {title}\n\n{}", table::ratios(&names, &rows));
    if let [scenario] = scenarios {
        let oracle = Study::new(scenario, [1]);
        for kind in [Kind::ALL[0], Kind::Oracle { social: false }] {
            println!("### Shares under {}\n\n{}", kind.name(), table::shares(scenario, &oracle.shares(kind, PARTS)));
        }
    }
    println!("### {} in detail\n\n{}", names[0], table::details(scenarios.iter().zip(all.iter().map(|row| &row[0]))));
}
