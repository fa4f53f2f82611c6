//! Does the routing hold what every file of `tests/scenarios` expects of it?

use super::study::baselines::Rule;
use super::study::fresh;
use super::study::measure::{Study, summary, violations};
use super::study::parallel::side_by_side;
use super::study::router::Kind;
use super::study::scenario::Scenario;
use super::study::table;

const OURS: Kind = Kind::Ours("lowest-latency");
/// Seeds for each scenario; the bench takes more.
const SEEDS: u64 = 2;

#[test]
fn every_scenario_is_within_its_ranges() {
    let scenarios = Scenario::all();
    assert!(scenarios.len() >= 20, "only {} scenarios", scenarios.len());
    let figures = side_by_side(&scenarios, |scenario| Study::new(scenario, 1..=SEEDS).figures(OURS));
    let broken: Vec<String> = scenarios
        .iter()
        .zip(&figures)
        .flat_map(|(scenario, figures)| {
            violations(scenario, figures).into_iter().map(|what| format!("{}: {what}", scenario.name))
        })
        .collect();
    let details = || table::details(scenarios.iter().zip(&figures));
    assert!(broken.is_empty(), "{}\n\n{}", broken.join("\n"), details());
    let (mean, worst) = summary(&figures.iter().map(|figures| figures.ratio).collect::<Vec<_>>());
    assert!(mean <= 1.1 && worst <= 1.3, "mean {mean:.3}, worst {worst:.3}\n\n{}", details());
}

#[test]
fn scenarios_that_nobody_tuned_for_go_well_too() {
    let scenarios: Vec<Scenario> = (0..12).map(fresh::scenario).collect();
    let ratios = side_by_side(&scenarios, |scenario| Study::new(scenario, [1]).figures(OURS).ratio);
    let (mean, worst) = summary(&ratios);
    assert!(mean <= 1.15 && worst <= 1.5, "mean {mean:.3}, worst {worst:.3}: {ratios:.2?}");
}

/// The measure measures: whoever knows less is worse, and the order is that of the books.
#[test]
fn usual_balancers_are_worse_than_ours_where_targets_differ() {
    let scenarios: Vec<Scenario> = Scenario::all().into_iter().filter(|scenario| scenario.name == "steady").collect();
    let study = Study::new(&scenarios[0], [1]);
    let ours = study.figures(OURS).ratio;
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != OURS) {
        let ratio = study.figures(kind).ratio;
        assert!(ratio > ours, "{}: {ratio:.2}, ours {ours:.2}", kind.name());
    }
}

/// Three targets with slots bear 11.5 requests a second between them: 44 slots, each held for
/// its target's mean answer. A rate that is not sustained lets queues grow to the end.
#[test]
fn highest_throughput_sustains_nine_tenths_of_all_capacity() {
    let mut scenario = Scenario::all().into_iter().find(|scenario| scenario.name == "self-hosted").unwrap();
    (scenario.traffic.rate, scenario.seconds) = (10.35, 300.0);
    let study = Study::new(&scenario, 1..=SEEDS);
    let figures = study.figures(Kind::Ours("highest-throughput"));
    assert!(figures.failed == 0.0 && figures.ratio < 1.2 && figures.ttft_p99_s < 10.0, "{figures:?}");
    // A ranking by what was seen of speed alone does not bear it.
    let lowest_mean = study.figures(Kind::Usual(Rule::LowestMean));
    assert!(lowest_mean.ttft_p99_s > 30.0, "{lowest_mean:?}");
}
