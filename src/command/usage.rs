//! `pointsman usage`: what was used and spent, by day, by whom, and where.

use clap::{Args, ValueEnum};
use jiff::ToSpan as _;
use jiff::civil::Date;

use super::Task;
use super::client::{Answer, Gateway};
use super::failure::Failure;
use super::request::Request;
use super::screen::{Said, Screen};
use super::table::{Column, Table};
use super::words::{count, day, money};
use crate::api::usage::{UsageNumbers, UsageReport, UsageRow};

/// Which usage is wanted.
#[derive(Clone, Debug, Args)]
pub struct Usage {
    /// By what it is summed, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "day")]
    by: Vec<By>,
    /// The first day, as 2026-11-01, in UTC.
    #[arg(long, value_name = "DAY", conflicts_with = "last")]
    from: Option<Date>,
    /// The last day; today, if it is not given.
    #[arg(long, value_name = "DAY", requires = "from")]
    to: Option<Date>,
    /// The last days or weeks, today included: 1d, 30d, 4w.
    #[arg(long, value_name = "DAYS", default_value = "30d", value_parser = days)]
    last: i64,
    /// Only that of this project.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// Only that of this key.
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Only that of this alias.
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
    /// Only that of this target, as model@provider.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Only that of this model.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Only that of this provider.
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Print it as comma-separated values.
    #[arg(long)]
    csv: bool,
}

/// By what usage is summed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum By {
    /// The day, in UTC.
    Day,
    /// The project.
    Project,
    /// The key.
    Key,
    /// The alias.
    Alias,
    /// The target, as model@provider.
    Target,
    /// The model, wherever it was served.
    Model,
    /// The provider.
    Provider,
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Project => "project",
            Self::Key => "key",
            Self::Alias => "alias",
            Self::Target => "target",
            Self::Model => "model",
            Self::Provider => "provider",
        }
    }
}

/// Days, or weeks.
fn days(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a number of days or weeks such as 30d or 4w");
    let (digits, each) = match text.strip_suffix('w') {
        Some(digits) => (digits, 7),
        None => (text.strip_suffix('d').unwrap_or(text), 1),
    };
    let count = digits.parse::<u16>().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
    Ok(i64::from(count) * each)
}

impl Usage {
    fn request(&self, today: Date) -> Request {
        let to = self.to.unwrap_or(today);
        let from = self.from.unwrap_or_else(|| today.saturating_sub((self.last - 1).days()));
        let by: Vec<&str> = self.by.iter().map(|by| by.as_str()).collect();
        let request = Request::get(&["usage"]).query("from", Some(from)).query("to", Some(to));
        let request = request.query("by", Some(by.join(",")));
        let only = [
            ("project", &self.project),
            ("key", &self.key),
            ("alias", &self.alias),
            ("target", &self.target),
            ("model", &self.model),
            ("provider", &self.provider),
        ];
        only.into_iter().fold(request, |request, (name, only)| request.query(name, only.as_deref()))
    }
}

impl Task for Usage {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let today = day(screen.now).unwrap_or_default();
        let request = self.request(today);
        if self.csv {
            let text = gateway.text(&request.query("format", Some("csv"))).await?;
            return Ok(Said { text, ..Said::default() });
        }
        let answer: Answer<UsageReport> = gateway.ask(&request).await?;
        let said = screen.show(&answer.raw, || table(&answer.read, screen));
        let UsageReport { from, to, rows, .. } = &answer.read;
        if screen.json || !rows.is_empty() {
            return Ok(said);
        }
        Ok(said.remark(format!("nothing was used from {from} to {to}")))
    }
}

/// A name that a sum goes by, if it was summed by that.
type Name = fn(&UsageRow) -> Option<&String>;

fn table(report: &UsageReport, screen: &Screen) -> String {
    if report.rows.is_empty() {
        return String::new();
    }
    let named: [(&str, Name); 7] = [
        ("DAY", |row| row.day.as_ref()),
        ("PROJECT", |row| row.project.as_ref()),
        ("KEY", |row| row.key.as_ref()),
        ("ALIAS", |row| row.alias.as_ref()),
        ("TARGET", |row| row.target.as_ref()),
        ("MODEL", |row| row.model.as_ref()),
        ("PROVIDER", |row| row.provider.as_ref()),
    ];
    let is_asked = |(heading, _): &(&str, _)| report.by.iter().any(|by| by.eq_ignore_ascii_case(heading));
    let named: Vec<_> = named.into_iter().filter(is_asked).collect();
    let numbers = ["REQUESTS", "CALLS", "FAILED", "IN", "CACHED", "OUT", "COST"];
    let columns = named.iter().map(|(heading, _)| Column::Name(heading));
    let mut table = Table::new(columns.chain(numbers.map(Column::Number)));
    for row in &report.rows {
        let names = named.iter().map(|(_, name)| name(row).cloned().unwrap_or_default());
        table.row(names.chain(cells(&row.numbers)));
    }
    if report.rows.len() > 1 {
        let names = named.iter().enumerate().map(|(at, _)| if at == 0 { "total" } else { "" }.to_owned());
        table.row(names.chain(cells(&report.total)));
    }
    table.text(screen)
}

fn cells(numbers: &UsageNumbers) -> [String; 7] {
    let UsageNumbers { requests, attempts, failures, input_tokens, cached_input_tokens, output_tokens, .. } = *numbers;
    let [requests, attempts, failures, input, cached, output] =
        [requests, attempts, failures, input_tokens, cached_input_tokens, output_tokens].map(count);
    [requests, attempts, failures, input, cached, output, money(numbers.cost_usd)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests_support::{PIPE, StandIn, answer, args};

    fn query(line: &[&str]) -> String {
        let request = args::<Usage>(line).unwrap().request("2026-11-30".parse().unwrap());
        request.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    #[test]
    fn days_are_counted_from_today() {
        assert_eq!(query(&[]), "from=2026-11-01&to=2026-11-30&by=day");
        assert_eq!(query(&["--last", "1d", "--by", "key,alias"]), "from=2026-11-30&to=2026-11-30&by=key,alias");
        assert_eq!(query(&["--last", "2w", "--project", "shop"]), "from=2026-11-17&to=2026-11-30&by=day&project=shop");
        assert_eq!(query(&["--from", "2026-10-01", "--to", "2026-10-31"]), "from=2026-10-01&to=2026-10-31&by=day");
        assert_eq!(
            query(&["--from", "2026-10-01", "--target", "m@a"]),
            "from=2026-10-01&to=2026-11-30&by=day&target=m@a"
        );
        for wrong in [
            &["--last", "0d"][..],
            &["--last", "1y"],
            &["--by", "hour"],
            &["--from", "yesterday"],
            &["--to", "2026-10-31"],
        ] {
            assert!(args::<Usage>(wrong).is_err(), "{wrong:?}");
        }
    }

    fn report() -> UsageReport {
        let numbers = |requests| UsageNumbers {
            requests,
            attempts: requests + 1,
            input_tokens: 1_234_567,
            cost_usd: 0.5,
            ..UsageNumbers::default()
        };
        let row = |day: &str, key: &str, requests| UsageRow {
            day: Some(day.into()),
            key: Some(key.into()),
            numbers: numbers(requests),
            ..UsageRow::default()
        };
        UsageReport {
            from: "2026-11-01".into(),
            to: "2026-11-30".into(),
            by: vec!["day".into(), "key".into()],
            rows: vec![row("2026-11-01", "shop", 5), row("2026-11-02", "", 1000)],
            total: numbers(1005),
        }
    }

    #[test]
    fn usage_is_a_line_for_each_sum_and_one_for_all() {
        assert_eq!(
            table(&report(), &PIPE),
            "DAY         KEY   REQUESTS  CALLS  FAILED         IN  CACHED  OUT     COST\n\
             2026-11-01  shop         5      6       0  1,234,567       0    0  $0.5000\n\
             2026-11-02  -        1,000  1,001       0  1,234,567       0    0  $0.5000\n\
             total       -        1,005  1,006       0  1,234,567       0    0  $0.5000\n"
        );
        assert!(table(&report(), &PIPE).lines().all(|line| line.len() <= 80));
    }

    #[tokio::test]
    async fn values_separated_by_commas_pass_as_they_are() {
        let stand_in = StandIn::start(|asked| match asked.line.ends_with("&format=csv") {
            true => axum::response::IntoResponse::into_response("day,requests\n"),
            false => answer(200, UsageReport { rows: Vec::new(), ..report() }),
        })
        .await;
        let run = async |line: &[&str]| args::<Usage>(line).unwrap().run(&stand_in.gateway(), &PIPE).await.unwrap();
        assert_eq!(run(&["--csv"]).await.text, "day,requests\n");
        assert_eq!(run(&[]).await.remarks, ["nothing was used from 2026-11-01 to 2026-11-30"]);
    }
}
