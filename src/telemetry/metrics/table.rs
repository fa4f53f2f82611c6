//! Every metric that there is: name, kind, labels, help. `docs/metrics.md` has the same table,
//! and a test holds the two together.
//!
//! Names and units follow Prometheus's conventions and, where they have a word for it, those of
//! OpenTelemetry for generative AI: towards callers Pointsman is a *server* (`gen_ai_server_…`,
//! whose model is the alias), towards providers a *client* (`gen_ai_client_…`).

/// What kind of figure a metric is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Values by size, up to these bounds.
    Histogram(&'static [f64]),
}

/// A metric.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels, in the order in which their values are given. One without a value is left
    /// out.
    pub labels: &'static [&'static str],
    /// What it is, in a sentence.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($const:ident = $kind:ident $([$bounds:expr])? $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $const: Metric = Metric {
                name: $name,
                kind: Kind::$kind $(($bounds))?,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// All of them.
        pub const ALL: &[Metric] = &[$($const),*];
    };
}

/// Seconds of a whole request: OpenTelemetry's bounds, two doublings further.
const DURATION: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68];
/// Seconds until the first token: OpenTelemetry's bounds, and one more.
const FIRST_TOKEN: &[f64] =
    &[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0];
/// Seconds per token: OpenTelemetry's bounds, and three smaller ones, since there are fast models.
const PER_TOKEN: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
/// Tokens: OpenTelemetry's bounds, as far as any model goes.
const TOKENS: &[f64] =
    &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0];
/// Seconds inside this process.
const OWN: &[f64] = &[25e-6, 50e-6, 1e-4, 25e-5, 5e-4, 1e-3, 25e-4, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];
/// Seconds of a decision.
const DECISION: &[f64] = &[25e-8, 5e-7, 1e-6, 25e-7, 5e-6, 1e-5, 25e-6, 5e-5, 1e-4, 25e-5, 1e-3, 0.01];
/// Seconds of the classifier.
const CLASSIFIER: &[f64] = &[1e-5, 25e-6, 5e-5, 1e-4, 25e-5, 5e-4, 1e-3, 25e-4, 5e-3, 0.01, 0.025, 0.05, 0.1];
/// Seconds to make a connection.
const CONNECT: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Probabilities.
const SHARE: &[f64] = &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0];

metrics! {
    REQUESTS = Counter "pointsman_requests_total" ["alias", "strategy", "protocol", "outcome"]
        "Requests that have ended, as their callers saw it.";
    REQUESTS_IN_FLIGHT = Gauge "pointsman_requests_in_flight" []
        "Requests that have come and not ended.";
    ALIAS_IN_FLIGHT = Gauge "pointsman_alias_requests_in_flight" ["alias"]
        "Requests of an alias that have not ended.";
    REQUEST_DURATION = Histogram[DURATION] "gen_ai_server_request_duration_seconds"
        ["gen_ai_request_model", "gen_ai_operation_name", "strategy", "protocol", "error_type"]
        "Time from a request to the last byte of its answer, by alias, strategy and client protocol.";
    FIRST_TOKEN_TIME = Histogram[FIRST_TOKEN] "gen_ai_server_time_to_first_token_seconds"
        ["gen_ai_request_model", "gen_ai_operation_name"]
        "Time from a request to the first content of its streamed answer, failed attempts included, by alias.";
    OUTPUT_TOKEN_TIME = Histogram[PER_TOKEN] "gen_ai_server_time_per_output_token_seconds"
        ["gen_ai_request_model", "gen_ai_operation_name"]
        "Time per output token after the first, of streams that came to their end, by alias.";
    OVERHEAD = Histogram[OWN] "pointsman_overhead_seconds" []
        "The gateway's own share of a request that took one attempt: from its whole body to the answer, less the attempt.";
    DECISION_TIME = Histogram[DECISION] "pointsman_decision_seconds" []
        "Time to put the targets of an alias in order.";
    ATTEMPTS = Counter "pointsman_attempts_total" ["alias", "target", "purpose", "outcome"]
        "Calls of providers that have ended, by why they were made and how they ended.";
    FALLBACKS = Counter "pointsman_fallbacks_total" ["alias", "reason"]
        "Times that another candidate, or the same once more, was asked after an attempt had failed.";
    TOKENS_USED = Counter "pointsman_tokens_total" ["alias", "target", "type"]
        "Tokens as providers reported them, or estimated. Cached input and cache writes are parts of input, reasoning of output.";
    COST = Counter "pointsman_cost_usd_total" ["alias", "target"]
        "What attempts cost in US dollars, by the prices that are configured.";
    PROJECT_REQUESTS = Counter "pointsman_project_requests_total" ["project", "outcome"]
        "Requests of a project's keys: ok or failed.";
    PROJECT_COST = Counter "pointsman_project_cost_usd_total" ["project"]
        "What a project's keys cost in US dollars.";
    CATEGORIES = Counter "pointsman_category_decisions_total" ["alias", "category", "reason"]
        "Requests by the category they were taken for, and why where it was no plain match.";
    CATEGORIES_EXHAUSTED = Counter "pointsman_category_exhausted_total" ["alias", "category"]
        "Requests that Default's targets were asked to serve, since nobody of their category could.";
    CATEGORY_CONFIDENCE = Histogram[SHARE] "pointsman_category_confidence" ["alias"]
        "How sure the classifier was of its category.";
    CATEGORY_TIME = Histogram[CLASSIFIER] "pointsman_category_seconds" ["tier"]
        "Time to find the category: fast alone, or with a second look by the strong tier.";
    REFUSALS = Counter "pointsman_limit_refusals_total" ["owner", "limit"]
        "Requests and attempts that a limit or a budget refused, by whose and which it was.";

    OPERATION_DURATION = Histogram[DURATION] "gen_ai_client_operation_duration_seconds"
        ["gen_ai_provider_name", "gen_ai_request_model", "gen_ai_operation_name", "target", "error_type"]
        "Time of a call of a provider, to the last byte of its answer; making a connection is no part of it.";
    FIRST_CHUNK_TIME = Histogram[FIRST_TOKEN] "gen_ai_client_operation_time_to_first_chunk_seconds"
        ["gen_ai_provider_name", "gen_ai_request_model", "gen_ai_operation_name", "target"]
        "Time until the first content of a provider's stream.";
    TOKEN_USAGE = Histogram[TOKENS] "gen_ai_client_token_usage"
        ["gen_ai_provider_name", "gen_ai_request_model", "gen_ai_operation_name", "target", "gen_ai_token_type"]
        "Tokens of a call.";
    CONNECT_TIME = Histogram[CONNECT] "pointsman_connect_seconds" ["provider"]
        "Time to make a connection to a provider.";

    ALIAS_INFO = Gauge "pointsman_alias_info" ["alias", "strategy"]
        "1 for each alias of the configuration.";
    ALIAS_SERVABLE = Gauge "pointsman_alias_servable" ["alias"]
        "Whether any target of the alias can be used now.";
    TARGET_INFO = Gauge "pointsman_target_info" ["target", "provider", "model"]
        "1 for each target.";
    TARGET_STATE = Gauge "pointsman_target_state" ["target", "state"]
        "1 for the state that the target is in, 0 for the others.";
    TARGET_IN_FLIGHT = Gauge "pointsman_target_in_flight" ["target"]
        "Attempts under way.";
    TARGET_CAPACITY = Gauge "pointsman_target_capacity" ["target"]
        "Requests that the target bears at once, as learned.";
    TARGET_FIRST_TOKEN = Gauge "pointsman_target_predicted_first_token_seconds" ["target"]
        "Time to the first token that decisions expect for an empty prompt.";
    TARGET_PER_TOKEN = Gauge "pointsman_target_predicted_token_seconds" ["target"]
        "Time per output token that decisions expect.";
    TARGET_FAILING = Gauge "pointsman_target_failing_ratio" ["target"]
        "Share of recent attempts that failed before their first content.";
    TARGET_BREAKING = Gauge "pointsman_target_breaking_ratio" ["target"]
        "Share of recent streams that broke.";
    TARGET_LIMIT_USED = Gauge "pointsman_target_limit_used_ratio" ["target"]
        "Used share of the tightest limit of the target, own or told by its provider.";
    TARGET_LAST_SENT = Gauge "pointsman_target_last_sent_timestamp_seconds" ["target"]
        "When an attempt last went out.";
    PROVIDER_IN_FLIGHT = Gauge "pointsman_provider_in_flight" ["provider"]
        "Attempts under way at a provider.";

    LIMIT_USED = Gauge "pointsman_limit_used_ratio" ["owner", "name", "limit"]
        "Used share of a limit per minute of a project.";
    BUDGET_LIMIT = Gauge "pointsman_budget_limit_usd" ["owner", "name", "period"]
        "A budget in US dollars.";
    BUDGET_REMAINING = Gauge "pointsman_budget_remaining_usd" ["owner", "name", "period"]
        "What of a budget is neither spent nor set aside, in US dollars.";
    KEYS = Gauge "pointsman_keys" ["state"]
        "Keys of callers.";

    BUILD_INFO = Gauge "pointsman_build_info" ["version"]
        "1 for the version that runs.";
    CONFIG_REVISION = Gauge "pointsman_config_revision" []
        "The revision of the configuration that requests are served by.";
    CONFIG_RELOAD_SUCCESS = Gauge "pointsman_config_last_reload_success" []
        "Whether the configuration file could be used when it was last read.";
    CONFIG_CHANGED = Gauge "pointsman_config_last_change_timestamp_seconds" []
        "When the configuration last changed.";
    STORE_UP = Gauge "pointsman_store_up" []
        "Whether usage can be written down.";
    USAGE_UNWRITTEN = Gauge "pointsman_usage_unwritten" []
        "Sums of usage that wait to be written down.";
    REDIS_UP = Gauge "pointsman_redis_up" []
        "Whether Redis answers.";
    REDIS_CALLS = Counter "pointsman_redis_calls_total" ["result"]
        "Calls of Redis: answered, unanswered (too late, or the connection broke) or refused at once.";
    REDIS_CONNECTIONS = Counter "pointsman_redis_connections_total" []
        "Connections to Redis that were made.";
    REDIS_BYTES = Counter "pointsman_redis_bytes_total" ["direction"]
        "Bytes to and from Redis.";
    REDIS_ROUND_TRIP = Gauge "pointsman_redis_round_trip_seconds" []
        "What the last heartbeat took.";
    REPLICAS = Gauge "pointsman_replicas" []
        "Replicas that live, this one included.";
    SHARED_AGE = Gauge "pointsman_shared_age_seconds" []
        "Time since another replica was last heard; absent where there is none.";
    JOURNAL_AGE = Gauge "pointsman_journal_age_seconds" []
        "Time since the configuration that replicas share was last read.";
    SLICES_WAITING = Gauge "pointsman_slices_waiting" []
        "Slices of statistics that wait to be told to other replicas.";
    SLICES_DROPPED = Counter "pointsman_slices_dropped_total" []
        "Slices of statistics that will never be told.";
    CONNECTIONS = Gauge "pointsman_connections" ["listener"]
        "Connections that are open.";
    CONNECTIONS_ACCEPTED = Counter "pointsman_connections_total" ["listener"]
        "Connections that were taken from the system.";
    CONNECTIONS_REFUSED = Counter "pointsman_connections_refused_total" ["listener", "reason"]
        "Connections that could not be taken, and those that were ended for what their clients did or did not do.";
    GUESSES = Counter "pointsman_guesses_refused_total" []
        "Keys and admin tokens that nobody knows, refused since their address had shown too many.";
    BODY_BYTES = Gauge "pointsman_body_bytes" []
        "Bytes of requests' bodies that are held.";

    CPU = Counter "process_cpu_seconds_total" []
        "User and system time.";
    RESIDENT = Gauge "process_resident_memory_bytes" []
        "Resident memory.";
    VIRTUAL = Gauge "process_virtual_memory_bytes" []
        "Virtual memory.";
    OPEN_FDS = Gauge "process_open_fds" []
        "Open file descriptors.";
    MAX_FDS = Gauge "process_max_fds" []
        "File descriptors that may be open.";
    START_TIME = Gauge "process_start_time_seconds" []
        "When the process started.";
    THREADS = Gauge "process_threads" []
        "Threads.";
    RUNTIME_WORKERS = Gauge "pointsman_runtime_workers" ["runtime"]
        "Worker threads of a runtime.";
    RUNTIME_TASKS = Gauge "pointsman_runtime_tasks" ["runtime"]
        "Tasks that have not ended.";
    RUNTIME_QUEUE = Gauge "pointsman_runtime_queue_depth" ["runtime"]
        "Tasks that wait for any worker.";
    RUNTIME_BUSY = Counter "pointsman_runtime_busy_seconds_total" ["runtime"]
        "Time that workers were busy.";
    SPANS = Counter "pointsman_spans_total" ["result"]
        "Spans that the collector took (exported), and those that it did not or that there was no room for (dropped).";
    SERIES = Gauge "pointsman_series" []
        "Names, and pairs of names, that have series of their own.";
    SERIES_LIMIT = Gauge "pointsman_series_limit" []
        "How many may have: beyond it, new names are counted as _other.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_say_what_they_count() {
        let names: HashSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.') && metric.help.len() < 140, "{}", metric.name);
            let labels: HashSet<&&str> = metric.labels.iter().collect();
            assert_eq!(labels.len(), metric.labels.len(), "{}", metric.name);
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(bounds.is_sorted() && bounds.len() < 20, "{}", metric.name);
            }
        }
    }

    #[test]
    fn the_documented_table_is_this_one() {
        let page = include_str!("../../../docs/metrics.md");
        for metric in ALL {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram(_) => "histogram",
            };
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let row = format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help);
            assert!(page.lines().any(|line| line == row), "{row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `pointsman_") || line.starts_with("| `gen_ai_"));
        let all = ALL.iter().filter(|metric| !metric.name.starts_with("process_"));
        assert_eq!(rows.count(), all.count());
        assert!(page.contains(&format!(
            "{},{:03} names",
            super::super::MOST_NAMES / 1000,
            super::super::MOST_NAMES % 1000
        )));
    }
}
