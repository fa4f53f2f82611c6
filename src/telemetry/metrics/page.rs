//! What is put on a page for Prometheus at each scrape: states, and sums that others keep.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use metrics::Recorder;
use metrics_exporter_prometheus::PrometheusRecorder;

use super::{Kind, METADATA, Metric, key, recorder};

/// The series of a metric: labels as the format writes them, and the sum.
#[derive(Default)]
struct Sums {
    help: &'static str,
    series: Vec<(String, f64)>,
}

/// States at one moment.
pub struct Page {
    recorder: PrometheusRecorder,
    /// Sums that are no whole numbers, by metric and labels.
    sums: BTreeMap<&'static str, Sums>,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { recorder: recorder(), sums: BTreeMap::new() }
    }
}

impl Page {
    /// How it stands; nothing where that is not a number.
    pub fn gauge(&mut self, metric: &Metric, values: &[&str], value: f64) {
        debug_assert_eq!(metric.kind, Kind::Gauge, "{}", metric.name);
        if value.is_finite() {
            self.recorder.register_gauge(&key(metric, values), &METADATA).set(value);
        }
    }

    /// What others have counted.
    pub fn counter(&mut self, metric: &Metric, values: &[&str], value: u64) {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        self.recorder.register_counter(&key(metric, values), &METADATA).absolute(value);
    }

    /// What others have added up and is no whole number, which the recorder has no counters for.
    pub fn sum(&mut self, metric: &Metric, values: &[&str], value: f64) {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        let labels = metric.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
        let labels: Vec<String> = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let sums = self.sums.entry(metric.name).or_default();
        sums.help = metric.help;
        sums.series.push((labels, value));
    }

    pub(super) fn render(self) -> String {
        let mut text = self.recorder.handle().render();
        for (name, Sums { help, series }) in self.sums {
            // Writing to a String does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
            for (labels, value) in series {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
            text.push('\n');
        }
        text
    }
}

/// A label's value as the format writes it.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}
