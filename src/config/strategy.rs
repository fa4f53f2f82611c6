//! How are targets ordered? `strategy` and the options that belong to it, as they stand in
//! any table that has targets.

use super::header;
use super::problem::{Report, one_of};
use super::read::{Item, Table};
use super::settings::limit;
use crate::domain::alias::{
    Identity, LatencyMetric, LatencyOptions, PriceOptions, Scoring, Strategy, ThroughputMetric, UsageOptions,
    UsageScope, UsageUnit,
};
use crate::domain::nearest::nearest;

/// The options, each of which is read only under the strategies in [`HAVING`].
pub(super) const OPTIONS: &[&str] =
    &["within", "metric", "quantile", "unit", "scope", "strict", "max_latency", "sticky_by"];

/// Which strategies have which option.
pub(super) const HAVING: [(&str, &[&str]); 8] = [
    ("within", &["priority"]),
    ("metric", &["lowest-latency", "highest-throughput"]),
    ("quantile", &["lowest-latency"]),
    ("unit", &["lowest-usage"]),
    ("scope", &["lowest-usage"]),
    ("strict", &["lowest-price"]),
    ("max_latency", &["lowest-price"]),
    ("sticky_by", &["random-shuffle"]),
];

/// The strategy whose targets stand in its categories.
const CATEGORY: &str = "category";

/// The lowest and the highest quantile of a time that may be compared: below the median it
/// says nothing of waiting, beyond 99 % little is known of it.
const QUANTILES: std::ops::RangeInclusive<f64> = 0.5..=0.99;

/// The strategies that score, with their usual options.
fn scorings() -> [Scoring; 4] {
    [
        Scoring::LowestLatency(LatencyOptions::default()),
        Scoring::HighestThroughput(ThroughputMetric::default()),
        Scoring::LowestUsage(UsageOptions::default()),
        Scoring::LowestPrice(PriceOptions::default()),
    ]
}

/// The names of all of them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    strategies().map(|strategy| strategy.as_str()).chain([CATEGORY])
}

/// Those that order targets, with their usual options.
fn strategies() -> impl Iterator<Item = Strategy> {
    [Strategy::Priority { within: None }, Strategy::RandomShuffle { sticky_by: None }]
        .into_iter()
        .chain(scorings().map(Strategy::Scored))
}

/// What the `strategy` of an alias says.
pub(super) enum OfAlias {
    /// It orders the alias's targets.
    Orders(Strategy),
    /// The alias is of categories, and its targets are theirs.
    Category,
}

/// The strategy of an alias. `None` where it is missing or wrong, which has been reported;
/// its options have no meaning then.
pub(super) fn read(table: &Table<'_>, report: &Report) -> Option<OfAlias> {
    let item = table.require("strategy", report)?;
    if item.node.value.as_text() == Some(CATEGORY) {
        Reader { table, report }.check_options(CATEGORY);
        return Some(OfAlias::Category);
    }
    let names: Vec<&str> = names().collect();
    let named = named(&item, &names, report)?;
    Some(OfAlias::Orders(with_options(table, named, report)))
}

/// The strategy of a category; otherwise as [`read`].
pub(super) fn read_in_category(table: &Table<'_>, report: &Report) -> Option<Strategy> {
    let item = table.require("strategy", report)?;
    let names: Vec<&str> = strategies().map(|strategy| strategy.as_str()).collect();
    if item.node.value.as_text() == Some(CATEGORY) {
        let problem = item.problem("a category cannot have categories of its own");
        report.problem(problem.expected(one_of(&names)));
        return None;
    }
    let named = named(&item, &names, report)?;
    Some(with_options(table, named, report))
}

/// A strategy with the options of a table whose fields include [`OPTIONS`].
fn with_options(table: &Table<'_>, named: Strategy, report: &Report) -> Strategy {
    let reader = Reader { table, report };
    reader.check_options(named.as_str());
    match named {
        Strategy::Priority { .. } => Strategy::Priority { within: reader.within() },
        Strategy::RandomShuffle { .. } => {
            Strategy::RandomShuffle { sticky_by: table.read("sticky_by", |item| identity(item, report)) }
        }
        Strategy::Scored(scoring) => Strategy::Scored(reader.with_options(scoring)),
        // It is read elsewhere.
        Strategy::Category(grouping) => Strategy::Category(grouping),
    }
}

/// The strategy of that name, with its usual options.
fn named(item: &Item<'_>, names: &[&str], report: &Report) -> Option<Strategy> {
    let name = item.text(report)?;
    if let Some(strategy) = strategies().find(|strategy| strategy.as_str() == name) {
        return Some(strategy);
    }
    let problem = item.problem(format!("no strategy {name:?}")).expected(one_of(names));
    report.problem(problem.suggest(nearest(name, names.iter().copied())));
    None
}

/// What tells callers or conversations apart.
pub(super) fn identity(item: &Item<'_>, report: &Report) -> Option<Identity> {
    const HEADER: &str = "header:";
    let text = item.text(report)?;
    if let Some(name) = text.strip_prefix(HEADER) {
        return header::identifying(item, name, report).map(Identity::Header);
    }
    let words = [
        ("user", Identity::User),
        ("prompt_cache_key", Identity::PromptCacheKey),
        ("conversation", Identity::Conversation),
    ];
    let names = words.each_ref().map(|(name, _)| *name);
    let found = words.into_iter().find(|(name, _)| *name == text).map(|(_, identity)| identity);
    if found.is_none() {
        let problem = item.problem(format!("{text:?} is unknown"));
        let expected = one_of(&[names.as_slice(), &["header:NAME"]].concat());
        report.problem(problem.expected(expected).suggest(nearest(text, names)));
    }
    found
}

/// A table while its options are read.
struct Reader<'r, 'n> {
    table: &'r Table<'n>,
    report: &'r Report,
}

impl Reader<'_, '_> {
    /// The scoring that orders equal ranks.
    fn within(&self) -> Option<Scoring> {
        let words = scorings().map(|scoring| (scoring.as_str(), scoring));
        let scoring = self.table.read("within", |item| item.word(words, self.report))?;
        Some(self.with_options(scoring))
    }

    /// Reads the options that the scoring has.
    fn with_options(&self, scoring: Scoring) -> Scoring {
        let (table, report) = (self.table, self.report);
        match scoring {
            Scoring::LowestLatency(usual) => {
                let metrics = [("total", LatencyMetric::Total), ("ttft", LatencyMetric::FirstToken)];
                Scoring::LowestLatency(LatencyOptions {
                    metric: table.read("metric", |item| item.word(metrics, report)).unwrap_or(usual.metric),
                    quantile: table.read("quantile", |item| item.number(QUANTILES, report)),
                })
            }
            Scoring::HighestThroughput(usual) => {
                let metrics = [
                    ("requests", ThroughputMetric::Requests),
                    ("tokens_per_second", ThroughputMetric::TokensPerSecond),
                ];
                let metric = table.read("metric", |item| item.word(metrics, report));
                Scoring::HighestThroughput(metric.unwrap_or(usual))
            }
            Scoring::LowestUsage(usual) => {
                let units =
                    [("tokens", UsageUnit::Tokens), ("requests", UsageUnit::Requests), ("cost", UsageUnit::Cost)];
                Scoring::LowestUsage(UsageOptions {
                    unit: table.read("unit", |item| item.word(units, report)),
                    scope: table.read("scope", |item| scope(item, report)).unwrap_or(usual.scope),
                })
            }
            Scoring::LowestPrice(usual) => Scoring::LowestPrice(PriceOptions {
                strict: table.read("strict", |item| item.boolean(report)).unwrap_or(usual.strict),
                max_latency: table.read("max_latency", |item| limit(item, report)),
            }),
        }
    }

    /// An option of another strategy would be passed over in silence.
    fn check_options(&self, strategy: &str) {
        let priority = strategy == "priority";
        // Of a `within` that cannot be read nobody knows which options it has.
        let within = match self.table.get("within") {
            Some(item) if priority => {
                let named = item.node.value.as_text();
                match scorings().iter().map(Scoring::as_str).find(|name| Some(*name) == named) {
                    Some(name) => Some(name),
                    None => return,
                }
            }
            _ => None,
        };
        for (option, having) in HAVING {
            let Some(item) = self.table.get(option) else { continue };
            if having.contains(&strategy) || within.is_some_and(|within| having.contains(&within)) {
                continue;
            }
            let scored = having.iter().all(|name| scorings().iter().any(|scoring| scoring.as_str() == *name));
            let field = if priority && scored { "within" } else { "strategy" };
            let under = match within {
                Some(within) if scored => format!("within = {within:?}"),
                _ => format!("strategy = {strategy:?}"),
            };
            let expected = format!("{field} = {} with it", one_of(having));
            self.report.problem(item.problem(format!("has no meaning with {under}")).expected(expected));
        }
    }
}

fn scope(item: &Item<'_>, report: &Report) -> Option<UsageScope> {
    item.word([("fleet", UsageScope::Fleet), ("project", UsageScope::Project), ("key", UsageScope::Key)], report)
}
