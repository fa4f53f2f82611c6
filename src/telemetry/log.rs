//! Logs: to standard error, as text for people or JSON for machines. What is logged can be
//! changed while the process runs.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// How a log line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// A filter that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("log filter `{filter}`: {why}; expected a level such as `info`, or a list of `target=level`")]
pub struct FilterError {
    filter: String,
    why: String,
}

/// The filter of this process: its words, and the way to change it. There is one, as there is one
/// standard error.
static FILTER: Mutex<Option<Filter>> = Mutex::new(None);

struct Filter {
    words: String,
    handle: reload::Handle<EnvFilter, Registry>,
}

/// A library that says a line for each connection that a client makes it close: with that anybody
/// could fill a disk. Such connections are counted as `malformed`. Who names it in a filter hears it.
const TALKATIVE: &str = "h2";

fn read(filter: &str) -> Result<EnvFilter, FilterError> {
    // One that says nothing means errors, and would no longer.
    let as_it_is = filter.is_empty() || filter.split(',').any(|one| one.trim_start().starts_with(TALKATIVE));
    let words = if as_it_is { filter.to_owned() } else { format!("{filter},{TALKATIVE}=off") };
    EnvFilter::try_new(words).map_err(|error| FilterError { filter: filter.to_owned(), why: error.to_string() })
}

/// Starts logging. `filter` is a level or a list of `target=level`.
///
/// # Errors
/// If the filter cannot be read.
pub fn start(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let (layer, handle) = reload::Layer::new(read(filter)?);
    // An error would be told on standard error as well, and panic where that fails, as on a full disk.
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(layer);
    match format {
        LogFormat::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
    *FILTER.lock().unwrap_or_else(PoisonError::into_inner) = Some(Filter { words: filter.to_owned(), handle });
    Ok(())
}

/// What is logged now; `None` where logging was never started.
pub fn filter() -> Option<String> {
    FILTER.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|filter| filter.words.clone())
}

/// Logs by another filter from now on.
///
/// # Errors
/// If it cannot be read; then nothing changes.
pub fn set_filter(words: &str) -> Result<(), FilterError> {
    let new = read(words)?;
    let mut filter = FILTER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(filter) = &mut *filter {
        let failed = |error: reload::Error| FilterError { filter: words.to_owned(), why: error.to_string() };
        filter.handle.reload(new).map_err(failed)?;
        words.clone_into(&mut filter.words);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_with_what_was_expected() {
        for good in ["", "info", "warn,pointsman::request=info", "off", "info,h2=debug"] {
            assert!(set_filter(good).is_ok(), "{good}");
        }
        let error = set_filter("pointsman=loud").unwrap_err().to_string();
        assert!(error.contains("pointsman=loud") && error.contains("expected a level"), "{error}");
    }
}
