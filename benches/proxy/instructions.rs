//! How many instructions does a whole request take, in user space? The same on a busy machine
//! and on a quiet one, to a few in a thousand. Pointsman runs under valgrind's callgrind, twice,
//! with few and with many requests on one connection; the difference, divided, is what one takes.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;

use super::load;
use super::systems;
use super::{RUNS, job};

/// Requests of both runs. The first hundreds make what is only made once.
const REQUESTS: [usize; 2] = [300, 1300];

/// What is counted.
const LOADS: [&str; 5] = ["whole", "whole-eight", "whole-translated", "100k", "stream"];

/// Prints a table, of one load alone if `only` names it. `keep`: where callgrind's account of the
/// longer run is left, for `callgrind_annotate`.
pub async fn count(
    program: &Path,
    upstream: SocketAddr,
    dir: &Path,
    only: Option<&str>,
    keep: Option<&Path>,
) -> anyhow::Result<()> {
    println!("| load | instructions of a request, in user space |\n|---|---:|");
    for id in LOADS.into_iter().filter(|id| only.is_none_or(|only| only == *id)) {
        let run = RUNS.iter().find(|run| run.id == id).context("no such load")?;
        let mut counted = [0.0; 2];
        for (requests, counted) in REQUESTS.into_iter().zip(&mut counted) {
            let file = dir.join("callgrind.out");
            let (pointsman, _) = systems::start_under_valgrind(program, upstream, dir, &file)?;
            load::times(&job(run, pointsman.addr), requests).await?;
            drop(pointsman);
            *counted = total(&file).with_context(|| format!("{} has no sum", file.display()))?;
            anyhow::ensure!(*counted > 0.0, "nothing was counted: there is no `{}`", systems::SERVING);
            if let Some(keep) = keep {
                std::fs::copy(&file, keep)?;
            }
        }
        println!("| {id} | {:.0} |", (counted[1] - counted[0]) / (REQUESTS[1] - REQUESTS[0]) as f64);
    }
    Ok(())
}

/// The sum in a file of callgrind's.
fn total(file: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")))?;
    line.trim().parse().ok()
}
