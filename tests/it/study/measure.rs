//! How well did it go? Figures of runs, relative to the oracle's runs with the same luck.

use std::time::Duration;

use super::engine::{Record, run};
use super::router::Kind;
use super::scenario::{Event, Scenario, Should};
use super::traffic::{Request, requests};

/// A scenario with its requests and what the oracle made of them, for some seeds.
pub struct Study<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    seeds: Vec<(u64, Vec<Request>, Vec<Record>)>,
}

/// The figures of a router in a scenario: means over seeds.
#[derive(Clone, PartialEq, Debug)]
pub struct Figures {
    /// Mean total time in seconds; a failed request is charged at least the deadline.
    pub mean_s: f64,
    /// That, relative to the oracle's.
    pub ratio: f64,
    /// Half of the total times are below.
    pub p50_s: f64,
    /// 99 % of the total times are below.
    pub p99_s: f64,
    /// 99 % of the times to the first token are below.
    pub ttft_p99_s: f64,
    /// Share of requests that failed.
    pub failed: f64,
    /// 429s per request.
    pub refused: f64,
    /// Attempts per request.
    pub attempts: f64,
    /// Share of requests whose attempt was left early.
    pub left_early: f64,
    /// Share of requests that explored.
    pub explored: f64,
    /// Share of all time that exploring cost.
    pub exploring: f64,
    /// Share of all time lost by first choices that were not the best, exploring apart.
    pub misjudged: f64,
    /// Requests under way at the busiest endpoint (99 % of the time no more), relative to the
    /// most that the oracle has at any.
    pub crowding: f64,
    /// For each event: how fast it was followed.
    pub reactions: Vec<Reaction>,
}

/// How fast an event was followed; `None` where it was not, in at least one seed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reaction {
    /// Seconds, the mean over seeds.
    pub seconds: Option<f64>,
    /// Requests, the mean over seeds.
    pub requests: Option<f64>,
}

impl<'a> Study<'a> {
    /// Runs the oracles for these seeds and keeps the better one.
    pub fn new(scenario: &'a Scenario, seeds: impl IntoIterator<Item = u64>) -> Self {
        let of_seed = |seed| {
            let requests = requests(scenario, seed);
            let [own, others] = [false, true].map(|social| run(scenario, &requests, Kind::Oracle { social }, seed));
            let best = if mean_s(scenario, &own) <= mean_s(scenario, &others) { own } else { others };
            (seed, requests, best)
        };
        Self { scenario, seeds: seeds.into_iter().map(of_seed).collect() }
    }

    /// The figures of a router.
    pub fn figures(&self, kind: Kind) -> Figures {
        let of_seed = |(seed, requests, best): &(u64, Vec<Request>, Vec<Record>)| {
            self.of_run(&run(self.scenario, requests, kind, *seed), best)
        };
        mean_of(&self.seeds.iter().map(of_seed).collect::<Vec<_>>())
    }

    /// How the first choices were shared out over time under a router, with the first seed:
    /// for each of so many equal parts of the run, the share of each endpoint.
    pub fn shares(&self, kind: Kind, parts: usize) -> Vec<Vec<f64>> {
        let (seed, requests, _) = &self.seeds[0];
        let records = run(self.scenario, requests, kind, *seed);
        let part_of = |record: &Record| (record.at.as_secs_f64() / self.scenario.seconds * parts as f64) as usize;
        let of_part = |part: usize| {
            let chosen: Vec<usize> =
                records.iter().filter(|record| part_of(record) == part).filter_map(|record| record.first).collect();
            let share = |endpoint: usize| {
                chosen.iter().filter(|first| **first == endpoint).count() as f64 / chosen.len().max(1) as f64
            };
            (0..self.scenario.endpoints.len()).map(share).collect()
        };
        (0..parts).map(of_part).collect()
    }

    fn of_run(&self, records: &[Record], best: &[Record]) -> Figures {
        let charged = |record: &Record| charged_s(self.scenario, record);
        let mean = |of: &dyn Fn(&Record) -> f64| records.iter().map(of).sum::<f64>() / records.len().max(1) as f64;
        let mean_s = self::mean_s(self.scenario, records);
        let best_s = self::mean_s(self.scenario, best);
        let share = |test: &dyn Fn(&Record) -> bool| mean(&|record| f64::from(u8::from(test(record))));
        let total = sorted(records.iter().map(charged));
        let ttft = sorted(records.iter().filter_map(|record| record.ttft.map(|ttft| ttft.as_secs_f64())));
        let lost =
            |explored: bool| mean(&|record| if record.explored == explored { record.regret_s } else { 0.0 }) / mean_s;
        Figures {
            mean_s,
            ratio: mean_s / best_s,
            p50_s: quantile(&total, 0.5),
            p99_s: quantile(&total, 0.99),
            ttft_p99_s: quantile(&ttft, 0.99),
            failed: share(&|record| record.failure.is_some()),
            refused: mean(&|record| f64::from(record.refused)),
            attempts: mean(&|record| f64::from(record.attempts)),
            left_early: share(&|record| record.left_early > 0),
            explored: share(&|record| record.explored),
            exploring: lost(true),
            misjudged: lost(false),
            crowding: crowd(records) / crowd(best),
            reactions: self.scenario.events.iter().map(|event| self.reaction(event, records, best)).collect(),
        }
    }

    /// Until when an event was not followed yet: the first request from which on a window
    /// of first choices is as it should be.
    fn reaction(&self, event: &Event, records: &[Record], best: &[Record]) -> Reaction {
        let endpoint = self.scenario.endpoint(&event.endpoint);
        let from = Duration::from_secs_f64(event.at_s);
        let until = Duration::from_secs_f64(event.until_s.unwrap_or(self.scenario.seconds));
        let within = |records: &[Record]| {
            let phase = records.iter().filter(|record| (from..until).contains(&record.at));
            phase.map(|record| (record.at, record.first == Some(endpoint))).collect::<Vec<_>>()
        };
        let share = |part: &[(Duration, bool)]| {
            part.iter().filter(|(_, chosen)| *chosen).count() as f64 / part.len().max(1) as f64
        };
        let phase = within(records);
        let fair = share(&within(best));
        let right = |part: &[(Duration, bool)]| match event.should {
            Should::Leave => share(part) <= 0.1,
            Should::Use => share(part) >= fair / 2.0,
        };
        match phase.windows(event.window.min(phase.len().max(1))).position(right) {
            Some(0) => Reaction { seconds: Some(0.0), requests: Some(0.0) },
            Some(wrong) => {
                Reaction { seconds: Some((phase[wrong - 1].0 - from).as_secs_f64()), requests: Some(wrong as f64) }
            }
            None => Reaction { seconds: None, requests: None },
        }
    }
}

/// What a request counts: a failed one more than it took.
fn charged_s(scenario: &Scenario, record: &Record) -> f64 {
    match record.failure {
        Some(_) => record.total.as_secs_f64().max(scenario.limits.failure_s),
        None => record.total.as_secs_f64(),
    }
}

fn mean_s(scenario: &Scenario, records: &[Record]) -> f64 {
    records.iter().map(|record| charged_s(scenario, record)).sum::<f64>() / records.len().max(1) as f64
}

/// What a scenario expects and figures do not show.
pub fn violations(scenario: &Scenario, figures: &Figures) -> Vec<String> {
    let expect = &scenario.expect;
    let ranges = [
        ("ratio to the oracle", Some(figures.ratio), expect.ratio),
        ("failed", Some(figures.failed), expect.failed),
        ("429s per request", Some(figures.refused), expect.refused),
        ("share of exploring", Some(figures.exploring), expect.exploring),
        ("attempts per request", Some(figures.attempts), expect.attempts),
        ("crowding", Some(figures.crowding), expect.crowding),
    ];
    let mut broken: Vec<String> = ranges.into_iter().filter_map(|(what, is, most)| beyond(what, is, most)).collect();
    for (event, reaction) in scenario.events.iter().zip(&figures.reactions) {
        let what = |unit: &str| format!("{:?} {} after {} s, {unit}", event.should, event.endpoint, event.at_s);
        broken.extend(beyond(&what("seconds"), reaction.seconds, event.within_s));
        broken.extend(beyond(&what("requests"), reaction.requests, event.within_requests));
    }
    broken
}

fn beyond(what: &str, is: Option<f64>, most: Option<f64>) -> Option<String> {
    let most = most?;
    match is {
        Some(is) if is <= most => None,
        Some(is) => Some(format!("{what}: {is:.3}, at most {most} expected")),
        None => Some(format!("{what}: never, at most {most} expected")),
    }
}

/// The geometric mean and the largest of ratios.
pub fn summary(ratios: &[f64]) -> (f64, f64) {
    let logs = ratios.iter().map(|ratio| ratio.ln()).sum::<f64>();
    ((logs / ratios.len().max(1) as f64).exp(), ratios.iter().copied().fold(0.0, f64::max))
}

fn mean_of(all: &[Figures]) -> Figures {
    let mean = |of: &dyn Fn(&Figures) -> f64| all.iter().map(of).sum::<f64>() / all.len().max(1) as f64;
    let reaction = |at: usize| {
        let mean = |of: &dyn Fn(&Reaction) -> Option<f64>| {
            let values: Option<Vec<f64>> = all.iter().map(|figures| of(&figures.reactions[at])).collect();
            values.map(|values| values.iter().sum::<f64>() / values.len().max(1) as f64)
        };
        Reaction { seconds: mean(&|reaction| reaction.seconds), requests: mean(&|reaction| reaction.requests) }
    };
    Figures {
        mean_s: mean(&|figures| figures.mean_s),
        ratio: summary(&all.iter().map(|figures| figures.ratio).collect::<Vec<_>>()).0,
        p50_s: mean(&|figures| figures.p50_s),
        p99_s: mean(&|figures| figures.p99_s),
        ttft_p99_s: mean(&|figures| figures.ttft_p99_s),
        failed: mean(&|figures| figures.failed),
        refused: mean(&|figures| figures.refused),
        attempts: mean(&|figures| figures.attempts),
        left_early: mean(&|figures| figures.left_early),
        explored: mean(&|figures| figures.explored),
        exploring: mean(&|figures| figures.exploring),
        misjudged: mean(&|figures| figures.misjudged),
        crowding: mean(&|figures| figures.crowding),
        reactions: (0..all.first().map_or(0, |figures| figures.reactions.len())).map(reaction).collect(),
    }
}

/// What the busiest endpoint has under way at most, but for one request in a hundred.
fn crowd(records: &[Record]) -> f64 {
    let endpoints = records.first().map_or(0, |record| record.busy.len());
    let of_endpoint = |at: usize| quantile(&sorted(records.iter().map(|record| f64::from(record.busy[at]))), 0.99);
    (0..endpoints).map(of_endpoint).fold(1.0, f64::max)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = (sorted.len() as f64 * q) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}
