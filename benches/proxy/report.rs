//! The table: medians of the rounds, and each figure as a ratio.

use std::collections::HashMap;

use super::load::median;

/// Every figure of every round.
#[derive(Debug, Default)]
pub struct Report {
    values: HashMap<(&'static str, &'static str), Vec<f64>>,
    /// Measurements made again since other programs were busy.
    pub repeated: usize,
    /// Those that count although others were busy every time.
    pub disturbed: usize,
}

impl Report {
    /// One figure of one load in one round.
    pub fn add(&mut self, id: &'static str, figure: &'static str, value: f64) {
        self.values.entry((id, figure)).or_default().push(value);
    }

    /// The median of its rounds; 0 where it was not measured.
    fn median(&self, id: &'static str, figure: &'static str) -> f64 {
        median(self.values.get(&(id, figure)).into_iter().flatten().copied())
    }

    /// Prints the medians of one load, where it was measured.
    pub fn print_load(&self, id: &'static str) {
        let rounds = self.values.get(&(id, "cpu")).map_or(0, Vec::len);
        if rounds > 0 {
            let [rate, cpu, p50, p99] = ["rate", "cpu", "p50", "p99"].map(|figure| self.median(id, figure));
            println!(
                "{id:18} {rate:8.0}/s  {cpu:7.1} µs CPU each  p50 {p50:.0} µs  p99 {p99:.0} µs  of {rounds} rounds"
            );
        }
    }

    /// Prints all of it.
    pub fn print(&self, guided: bool, litellm: bool) -> anyhow::Result<()> {
        let cpu = |id| self.median(id, "cpu");
        println!("| figure | nginx | Pointsman | |");
        println!("|---|---:|---:|---:|");
        let ratio = |name: &str, unit: &str, nginx: f64, ours: f64| {
            println!("| {name} | {} {unit} | {} {unit} | **{:.2} ×** |", rounded(nginx), rounded(ours), ours / nginx);
        };
        ratio("CPU per request: 0.5 KB in, 1 KB out, 64 connections", "µs", cpu("nginx-whole"), cpu("whole"));
        ratio("the same, lowest-latency over 8 targets", "µs", cpu("nginx-whole"), cpu("whole-eight"));
        let per_core = |id| 1e6 / cpu(id);
        ratio("requests per second of CPU", "/s", per_core("nginx-whole"), per_core("whole"));
        ratio("throughput with one core", "/s", self.median("nginx-whole", "rate"), self.median("whole", "rate"));
        ratio("CPU per request at 2,000 requests/s", "µs", cpu("nginx-rate"), cpu("rate"));
        let added = |name: &str, figure| {
            let direct = self.median("direct-rate", figure);
            let [nginx, ours] = ["nginx-rate", "rate"].map(|id| self.median(id, figure) - direct);
            println!("| {name} | +{nginx:.0} µs | +{ours:.0} µs | **{:+.0} µs** |", ours - nginx);
        };
        added("added to the median at 2,000 requests/s", "p50");
        added("added to the 99th percentile at 2,000 requests/s", "p99");
        let direct = self.median("direct-stream", "rate");
        let [nginx, ours] = ["nginx-stream", "stream"].map(|id| self.median(id, "rate") / direct);
        println!(
            "| 64 streams of 50 tokens at 1 ms: streams/s, direct = 1 | {nginx:.2} | {ours:.2} | **{:.2} ×** |",
            ours / nginx
        );
        ratio("CPU per such stream", "µs", cpu("nginx-stream"), cpu("stream"));
        let first = |id| {
            let direct = self.median("direct-stream", "first");
            let [nginx, ours] = ["nginx-stream", id].map(|id| (self.median(id, "first") - direct) / 1000.0);
            println!(
                "| added to the time to first content | +{nginx:.2} ms | +{ours:.2} ms | **{:+.2} ms** |",
                ours - nginx
            );
        };
        first("stream");
        ratio("CPU per request with 100 KB", "µs", cpu("nginx-100k"), cpu("100k"));
        ratio("CPU per request with 2 MB", "µs", cpu("nginx-2m"), cpu("2m"));
        let mib = |id| self.median(id, "idle") / 1_048_576.0;
        ratio("memory idle", "MiB", mib("nginx-memory"), mib("memory"));
        let kib = |id| self.median(id, "per_stream") / 1024.0;
        ratio("memory per slow stream, 1,000 at once", "KiB", kib("nginx-memory"), kib("memory"));
        let kib = |id| self.median(id, "per_stream_of_many") / 1024.0;
        ratio("memory per slow stream, 5,000 at once", "KiB", kib("nginx-memory"), kib("memory"));
        println!();
        println!("| translated (OpenAI client, Anthropic provider) | pass-through | translated | |");
        println!("|---|---:|---:|---:|");
        ratio("CPU per request", "µs", cpu("whole"), cpu("whole-translated"));
        ratio("CPU per stream of 50 tokens", "µs", cpu("stream"), cpu("stream-translated"));
        if guided {
            println!();
            println!("| as `benches/pgo` builds it | nginx | Pointsman | |");
            println!("|---|---:|---:|---:|");
            ratio("CPU per request", "µs", cpu("nginx-whole"), cpu("guided-whole"));
            ratio("the same, lowest-latency over 8 targets", "µs", cpu("nginx-whole"), cpu("guided-eight"));
            ratio("the same, translated", "µs", cpu("nginx-whole"), cpu("guided-translated"));
            ratio(
                "throughput with one core",
                "/s",
                self.median("nginx-whole", "rate"),
                self.median("guided-whole", "rate"),
            );
            ratio("CPU per request at 2,000 requests/s", "µs", cpu("nginx-rate"), cpu("guided-rate"));
            for (name, figure) in [("median", "p50"), ("99th percentile", "p99")] {
                let direct = self.median("direct-rate", figure);
                let [nginx, ours] = ["nginx-rate", "guided-rate"].map(|id| self.median(id, figure) - direct);
                println!(
                    "| added to the {name} there | +{nginx:.0} µs | +{ours:.0} µs | **{:+.0} µs** |",
                    ours - nginx
                );
            }
            ratio("CPU per stream of 50 tokens", "µs", cpu("nginx-stream"), cpu("guided-stream"));
            first("guided-stream");
            ratio("CPU per request with 100 KB", "µs", cpu("nginx-100k"), cpu("guided-100k"));
            ratio("memory idle", "MiB", mib("nginx-memory"), mib("guided-memory"));
            ratio("memory per slow stream, 5,000 at once", "KiB", kib("nginx-memory"), kib("guided-memory"));
        }
        println!();
        let busy = |id, figure| self.median(id, figure) * 100.0;
        println!("How busy the proxy's and the load's core were, in %:");
        for id in ["nginx-whole", "whole", "nginx-stream", "stream"] {
            println!("- {id}: {:.0}, {:.0}", busy(id, "busy"), busy(id, "load_busy"));
        }
        println!(
            "\nOther programs disturbed {} measurements, which were repeated, and {} for good.",
            self.repeated, self.disturbed
        );
        println!();
        self.print_short(guided, litellm);
        Ok(())
    }

    /// The README's table: each as a multiple of nginx's where that can be.
    fn print_short(&self, guided: bool, litellm: bool) {
        let all = [
            (true, "nginx", ["nginx-whole", "nginx-rate", "nginx-stream", "nginx-memory"]),
            (true, "Pointsman", ["whole", "rate", "stream", "memory"]),
            (guided, "guided", ["guided-whole", "guided-rate", "guided-stream", "guided-memory"]),
            (litellm, "LiteLLM", ["litellm-whole", "", "litellm-stream", "litellm-memory"]),
        ];
        let (names, systems): (Vec<&str>, Vec<[&str; 4]>) =
            all.into_iter().filter(|(measured, ..)| *measured).map(|(_, name, ids)| (name, ids)).unzip();
        let systems = &systems[..];
        println!("| | {} |", names.join(" | "));
        println!("|---|{}", "---:|".repeat(names.len()));
        let line = |name: &str, cell: &dyn Fn(&[&'static str; 4]) -> Option<String>| {
            let cells: Vec<String> = systems.iter().map(|ids| cell(ids).unwrap_or_else(|| "–".to_owned())).collect();
            println!("| {name} | {} |", cells.join(" | "));
        };
        let known = |id: &'static str, figure| Some(self.median(id, figure)).filter(|value| *value > 0.0);
        let times = |at: usize, figure: &'static str| {
            move |ids: &[&'static str; 4]| {
                let ratio = known(ids[at], figure)? / known(systems[0][at], figure)?;
                Some(if at_first(ids) { "1".to_owned() } else { format!("{} ×", rounded(ratio)) })
            }
        };
        line("CPU per request (0.5 KB in, 1 KB out, 64 connections)", &times(0, "cpu"));
        line("throughput of one core", &times(0, "rate"));
        line("CPU per request at 2,000 requests/s", &times(1, "cpu"));
        line("added to the median there", &|ids| {
            Some(format!("+{:.0} µs", known(ids[1], "p50")? - self.median("direct-rate", "p50")))
        });
        line("CPU per stream of 50 tokens", &times(2, "cpu"));
        line("streams per second against direct", &|ids| {
            Some(format!("{:.2}", known(ids[2], "rate")? / self.median("direct-stream", "rate")))
        });
        line("memory idle / per slow stream (1,000 at once)", &|ids| {
            let (idle, each) = (known(ids[3], "idle")? / 1_048_576.0, known(ids[3], "per_stream")? / 1024.0);
            Some(format!("{} MiB / {} KiB", rounded(idle), rounded(each)))
        });
    }
}

/// nginx is what the others are compared with.
fn at_first(ids: &[&'static str; 4]) -> bool {
    ids[0].starts_with("nginx")
}

/// Three significant digits, more only before the point.
fn rounded(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
