//! What becomes of a world if its requests come through several gateways?

use super::baselines::Rule;
use super::measure::{Figures, Study};
use super::parallel::side_by_side;
use super::router::Kind;
use super::scenario::Scenario;
use super::sharing::Sharing;
use super::table::{self, Table};

/// Worlds of one gateway that are looked at with more of them.
const WORLDS: [&str; 8] =
    ["steady", "brown-out", "outage", "rank-swap", "late-start", "rate-limits", "quiet", "capacity"];

const OURS: Kind = Kind::Ours("lowest-latency");

/// How many gateways there are, and what they do.
pub struct Setting {
    /// For the heading of a column.
    pub name: &'static str,
    replicas: usize,
    sharing: Option<Sharing>,
    kind: Kind,
}

/// The columns of the table, the single gateway first.
pub fn settings() -> Vec<Setting> {
    let shared = |every_s: f64| Some(Sharing { every_s, ..Sharing::default() });
    let beliefs = Some(Sharing { beliefs: true, ..Sharing::default() });
    let mean = Kind::Usual(Rule::SharedMean);
    [
        ("1", 1, None, OURS),
        ("4 alone", 4, None, OURS),
        ("4 told", 4, shared(1.0), OURS),
        ("16 alone", 16, None, OURS),
        ("16 told", 16, shared(1.0), OURS),
        ("16 told every 5 s", 16, shared(5.0), OURS),
        ("16 told beliefs", 16, beliefs, OURS),
        ("16, lowest told mean", 16, shared(1.0), mean),
    ]
    .map(|(name, replicas, sharing, kind)| Setting { name, replicas, sharing, kind })
    .into()
}

impl Setting {
    /// A world with these gateways.
    fn of(&self, world: &Scenario) -> Scenario {
        Scenario { replicas: self.replicas, sharing: self.sharing.clone(), ..world.clone() }
    }

    /// How it goes there.
    pub fn figures(&self, world: &Scenario, seeds: u64) -> Figures {
        let scenario = self.of(world);
        Study::new(&scenario, 1..=seeds).figures(self.kind)
    }
}

/// All settings in all worlds: the ratio to the oracle, and how many are under way at the
/// busiest target.
pub fn tables(seeds: u64) -> String {
    let (all, settings) = (Scenario::all(), settings());
    let worlds: Vec<&Scenario> =
        WORLDS.iter().filter_map(|name| all.iter().find(|world| world.name == *name)).collect();
    let jobs: Vec<(&Scenario, &Setting)> =
        worlds.iter().flat_map(|world| settings.iter().map(move |setting| (*world, setting))).collect();
    let figures = side_by_side(&jobs, |(world, setting)| setting.figures(world, seeds));
    let names: Vec<&str> = settings.iter().map(|setting| setting.name).collect();
    let rows: Vec<(String, Vec<Figures>)> = worlds
        .iter()
        .zip(figures.chunks(settings.len()))
        .map(|(world, row)| (world.about.clone(), row.to_vec()))
        .collect();
    let mut crowding = Table::new(std::iter::once("most under way / oracle's").chain(names.iter().copied()));
    for (name, row) in &rows {
        crowding.row(std::iter::once(name.clone()).chain(row.iter().map(|of| format!("{:.2}", of.crowding))));
    }
    format!("{}\n{}", table::ratios(&names, &rows), crowding.markdown())
}
