//! What does the log say of requests, and where do spans go? `[logs]` and `[traces]`.

use secrecy::SecretString;
use url::Url;

use super::problem::{Problem, Report};
use super::read::Item;
use super::secret::World;
use crate::domain::telemetry::{LogPolicy, RequestLines, TracePolicy};

pub(super) const LOG_FIELDS: &[&str] = &["requests", "sample", "content"];
pub(super) const TRACE_FIELDS: &[&str] = &["endpoint", "sample", "content", "headers_env"];

/// Where OpenTelemetry's own variables name the collector: with the path for spans, and without.
const ENDPOINT_VARIABLES: [(&str, bool); 2] =
    [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", true), ("OTEL_EXPORTER_OTLP_ENDPOINT", false)];

/// The variable with headers of the export, unless another is named.
const HEADERS_VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// What operators are told of requests.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TelemetryConfig {
    /// In the log.
    pub logs: LogPolicy,
    /// As spans; `None` where nothing is traced.
    pub traces: Option<TracePolicy>,
}

impl TelemetryConfig {
    pub(super) fn read(logs: Option<&Item<'_>>, traces: Option<&Item<'_>>, world: World<'_>, report: &Report) -> Self {
        Self { logs: read_logs(logs, report), traces: read_traces(traces, world, report) }
    }
}

fn read_logs(item: Option<&Item<'_>>, report: &Report) -> LogPolicy {
    let mut logs = LogPolicy::default();
    let Some(table) = item.and_then(|item| item.table(LOG_FIELDS, report)) else { return logs };
    logs.requests = table.read("requests", |item| item.word(RequestLines::ALL, report)).unwrap_or(logs.requests);
    logs.sample = table.read("sample", |item| item.number(0.0..=1.0, report)).unwrap_or(logs.sample);
    logs.content = table.read("content", |item| item.boolean(report)).unwrap_or(logs.content);
    if let Some(item) = table.get("sample")
        && logs.requests != RequestLines::All
    {
        report.warn(item.problem("has no effect unless requests = \"all\""));
    }
    logs
}

fn read_traces(item: Option<&Item<'_>>, world: World<'_>, report: &Report) -> Option<TracePolicy> {
    let table = item.and_then(|item| item.table(TRACE_FIELDS, report));
    let told = table.as_ref().and_then(|table| table.get("endpoint"));
    let endpoint = match told {
        Some(item) => endpoint(item.text(report)?, false, |message| item.problem(message), report)?,
        None => {
            let variable = |(name, whole): (&'static str, bool)| Some((name, (world.env)(name)?, whole));
            let told = ENDPOINT_VARIABLES.into_iter().filter_map(variable).find(|(_, text, _)| !text.trim().is_empty());
            let Some((name, text, whole)) = told else {
                if let Some(item) = item {
                    report
                        .warn(item.problem("has no effect: there is no endpoint").expected("endpoint = \"http://…\""));
                }
                return None;
            };
            endpoint(text.trim(), whole, |message| Problem::new(format!("env {name}"), None, message), report)?
        }
    };
    let sample = table.as_ref().and_then(|table| table.read("sample", |item| item.number(0.0..=1.0, report)));
    let content = table.as_ref().and_then(|table| table.read("content", |item| item.boolean(report)));
    let named = table.as_ref().and_then(|table| table.get("headers_env"));
    let variable = named.as_ref().and_then(|item| item.text(report)).unwrap_or(HEADERS_VARIABLE);
    let headers = (world.env)(variable).unwrap_or_default();
    let headers = headers_of(&headers).unwrap_or_else(|| {
        let problem = Problem::new(format!("env {variable}"), None, "does not hold headers");
        report.problem(problem.expected("name=value, separated by commas"));
        Vec::new()
    });
    Some(TracePolicy { endpoint, sample: sample.unwrap_or(1.0), content: content.unwrap_or(false), headers })
}

/// The URL for spans. A base URL is completed as OpenTelemetry does it; one that is `whole` is
/// taken as it is.
fn endpoint(text: &str, whole: bool, problem: impl Fn(String) -> Problem, report: &Report) -> Option<Url> {
    let parsed = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(mut url) = parsed else {
        let problem = problem(format!("{text:?} is not the URL of a collector"));
        report.problem(problem.expected("a URL such as \"http://127.0.0.1:4318\" (OTLP over HTTP, not gRPC)"));
        return None;
    };
    if !whole && !url.path().ends_with("/v1/traces") {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Some(url)
}

/// `name=value,name=value`, values with percent signs as in URLs.
fn headers_of(text: &str) -> Option<Vec<(String, SecretString)>> {
    let header = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let value = percent_decoded(value.trim())?;
        let valid =
            http::HeaderName::from_bytes(name.trim().as_bytes()).is_ok() && http::HeaderValue::from_str(&value).is_ok();
        valid.then(|| (name.trim().to_owned(), SecretString::from(value)))
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(header).collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    // A form decodes the plus sign as well, which stands for itself here.
    let form = format!("v={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::{File, Problems, parse_file};

    fn read(text: &str, env: &[(&str, &str)]) -> Result<File, Problems> {
        let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let files = |_: &Path| Err(io::Error::other("there are no files"));
        parse_file(text, &env, &files)
    }

    fn traces(text: &str, env: &[(&str, &str)]) -> TracePolicy {
        read(text, env).unwrap().telemetry.traces.unwrap()
    }

    #[test]
    fn nothing_is_told_unless_it_is_asked_for() {
        assert_eq!(read("", &[]).unwrap().telemetry, TelemetryConfig::default());
    }

    #[test]
    fn a_collector_is_named_by_the_file_or_as_opentelemetry_does() {
        let of_file = traces("[traces]\nendpoint = \"https://otel.example/base/\"\nsample = 0.25", &[]);
        assert_eq!(of_file.endpoint.as_str(), "https://otel.example/base/v1/traces");
        assert_eq!((of_file.sample, of_file.content), (0.25, false));
        let base = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")];
        assert_eq!(traces("", &base).endpoint.as_str(), "http://c:4318/v1/traces");
        let whole = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/spans"), base[0]];
        assert_eq!(traces("", &whole).endpoint.as_str(), "http://c:4318/spans");
        let of_file = traces("[traces]\nendpoint = \"http://d:1/v1/traces\"", &whole);
        assert_eq!(of_file.endpoint.as_str(), "http://d:1/v1/traces");
    }

    #[test]
    fn headers_of_the_export_come_from_a_variable_and_are_not_printed() {
        let env = [("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b+c, x=1"), ("OTHER", "y=2")];
        let policy = traces("[traces]\nendpoint = \"http://c:1\"", &env);
        let headers: Vec<(&str, &str)> =
            policy.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(headers, [("api-key", "a b+c"), ("x", "1")]);
        assert!(!format!("{policy:?}").contains("a b+c"));
        let other = traces("[traces]\nendpoint = \"http://c:1\"\nheaders_env = \"OTHER\"", &env);
        assert_eq!(other.headers.len(), 1);
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let problems = |text, env: &[(&str, &str)]| read(text, env).unwrap_err().to_string();
        assert!(problems("[traces]\nendpoint = \"c:4317\"", &[]).contains("not the URL of a collector"));
        assert!(
            problems("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere")]).contains("env OTEL_EXPORTER_OTLP_ENDPOINT")
        );
        let bad = [("OTEL_EXPORTER_OTLP_HEADERS", "novalue")];
        assert!(problems("[traces]\nendpoint = \"http://c:1\"", &bad).contains("env OTEL_EXPORTER_OTLP_HEADERS"));
        assert!(problems("[logs]\nrequests = \"some\"", &[]).contains("logs.requests"));
        assert!(problems("[logs]\nsample = 2", &[]).contains("logs.sample"));
        let warned = read("[traces]\nsample = 0.5\n[logs]\nsample = 0.5", &[]).unwrap().warnings;
        assert_eq!(warned.len(), 2, "{warned:?}");
    }
}
