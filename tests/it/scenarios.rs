//! Does the routing hold what every file of `tests/scenarios` expects of it?

use super::study::baselines::Rule;
use super::study::fresh;
use super::study::measure::{Study, summary, violations};
use super::study::parallel::side_by_side;
use super::study::replicas;
use super::study::router::Kind;
use super::study::scenario::{Scenario, Spread, Traffic};
use super::study::sharing::Sharing;
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

/// Sixteen gateways that go by what each other said a second ago: nobody herds, and it goes
/// nearly as well as with one. Whoever publishes a mean and takes the lowest does herd.
#[test]
fn sixteen_replicas_that_tell_each_other_are_nearly_as_good_as_one() {
    let worlds: Vec<Scenario> = Scenario::all()
        .into_iter()
        .filter(|world| ["steady", "brown-out", "rank-swap", "capacity"].contains(&world.name.as_str()))
        .collect();
    let [one, alone, told, lowest] = ["1", "16 alone", "16 told", "16, lowest told mean"]
        .map(|name| replicas::settings().into_iter().find(|setting| setting.name == name).unwrap());
    let [mut ratios, mut alone_ratios] = [Vec::new(), Vec::new()];
    for world in &worlds {
        let figures = side_by_side(&[&one, &alone, &told, &lowest], |setting| setting.figures(world, SEEDS));
        let [one, alone, told, lowest] = &figures[..] else { panic!() };
        let name = &world.name;
        assert!(told.ratio <= one.ratio * 1.08, "{name}: {:.3}, with one {:.3}", told.ratio, one.ratio);
        assert!(told.crowding <= 1.2, "{name}: {:.2} of the most that the oracle has under way", told.crowding);
        if ["brown-out", "rank-swap", "capacity"].contains(&name.as_str()) {
            assert!(lowest.crowding >= 1.5, "{name}: {:.2}", lowest.crowding);
        }
        ratios.push(told.ratio);
        alone_ratios.push(alone.ratio);
    }
    let [(mean, _), (alone, _)] = [summary(&ratios), summary(&alone_ratios)];
    assert!(mean < alone, "told {mean:.3}, alone {alone:.3}");
}

/// For a minute and a half nothing is heard, and a target becomes slow and recovers meanwhile.
#[test]
fn what_is_not_heard_for_a_while_costs_little() {
    let scenarios = Scenario::all();
    let of = |name: &str| scenarios.iter().find(|scenario| scenario.name == name).unwrap();
    let ratios = side_by_side(&["shared-brown-out", "shared-lost", "shared-rough"], |name| {
        Study::new(of(name), 1..=SEEDS).figures(OURS).ratio
    });
    let [heard, lost, rough] = ratios[..] else { panic!() };
    assert!(lost <= heard * 1.05 && rough <= heard * 1.05, "heard {heard:.3}, lost {lost:.3}, rough {rough:.3}");
}

/// What was used is known a second late; whoever went by it to the last token would go to the
/// same target as everybody else, for a second, and then all to the next.
#[test]
fn sixteen_replicas_that_go_by_usage_do_not_move_together() {
    let world = Scenario::all().into_iter().find(|scenario| scenario.name == "steady").unwrap();
    // Answers that are over before anybody has heard of them.
    let mut traffic = Traffic { rate: 160.0, ..world.traffic.clone() };
    traffic.mix.iter_mut().for_each(|kind| kind.output = Spread { median: 10.0, sigma: 0.5 });
    let world = Scenario { traffic, seconds: 60.0, ..world };
    let by_usage = |replicas: usize| {
        let sharing = (replicas > 1).then(Sharing::default);
        let scenario = Scenario { replicas, sharing, ..world.clone() };
        Study::new(&scenario, 1..=SEEDS).figures(Kind::Ours("lowest-usage")).crowding
    };
    let crowding = side_by_side(&[1, 16], |replicas| by_usage(*replicas));
    assert!(crowding[1] <= crowding[0] * 1.15, "{crowding:.2?}");
}
