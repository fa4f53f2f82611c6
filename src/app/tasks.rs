//! What goes on beside requests as long as the process lives: usage is written down, metrics are
//! kept up, the configuration file and the certificates are looked at again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::proxy::tls::{self, TlsConfig};
use crate::telemetry::Telemetry;

/// How often the configuration file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When usage that could not be written down is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How often what requests have recorded is moved into buckets: each value is kept by itself until
/// then.
const UPKEEP_EVERY: Duration = Duration::from_secs(2);

/// How often usage that is too old is looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

pub(super) async fn reload(control: &Arc<Control>, path: &Path) {
    match control.reload(path).await {
        Ok(applied) => {
            for warning in &applied.warnings {
                tracing::warn!("configuration: {warning}");
            }
            let (revision, changes) = (applied.revision, applied.changes.len());
            tracing::info!(revision, changes, file = %path.display(), "the configuration was read again");
        }
        Err(error) => tracing::error!("the configuration stays as it was:\n{error}"),
    }
}

/// Writes down what was used, soon after it happened.
pub(super) async fn write_usage_down(control: Arc<Control>, drained: CancellationToken) {
    let mut tick = tokio::time::interval(control.flush_every());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut forget = tokio::time::interval(FORGET_EVERY);
    let mut failing = false;
    loop {
        let forgetting = tokio::select! {
            // The rest is written when everything else has ended.
            () = drained.cancelled() => return,
            _ = tick.tick() => false,
            _ = forget.tick() => true,
        };
        let of = Arc::clone(&control);
        let written = tokio::task::spawn_blocking(move || if forgetting { of.forget_old_usage() } else { of.flush() });
        match written.await {
            Ok(Err(error)) if !failing => {
                tracing::error!("usage cannot be written down; it is kept in memory until it can: {error}");
                failing = true;
            }
            Ok(Ok(())) if failing => {
                tracing::info!("usage is written down again");
                failing = false;
            }
            _ => {}
        }
        if failing {
            tokio::select! {
                () = drained.cancelled() => return,
                () = tokio::time::sleep(TRY_AGAIN) => {}
            }
        }
    }
}

/// Moves what requests have recorded into buckets.
pub(super) async fn keep_metrics_up(telemetry: Arc<Telemetry>, drained: CancellationToken) {
    loop {
        tokio::select! {
            () = drained.cancelled() => return,
            () = tokio::time::sleep(UPKEEP_EVERY) => telemetry.metrics.upkeep(),
        }
    }
}

/// Reads the configuration file again when it has changed.
pub(super) async fn watch_file(control: Arc<Control>, path: PathBuf, stop: CancellationToken) {
    let mut seen = state_of(&path).await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now = state_of(&path).await;
        // A file that is gone for a moment is being replaced.
        if now.is_some() && now != seen {
            seen = now;
            reload(&control, &path).await;
        }
    }
}

/// When a file was written last, and its length.
async fn state_of(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = tokio::fs::metadata(path).await.ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

pub(super) async fn watch_certificates(tls: Arc<TlsConfig>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(tls::CHECK_EVERY) => refresh_certificates(&tls),
        }
    }
}

pub(super) fn refresh_certificates(tls: &TlsConfig) {
    match tls.refresh() {
        Ok(true) => tracing::info!("the certificate was read again"),
        Ok(false) => {}
        Err(error) => tracing::error!("the certificate stays as it was: {error}"),
    }
}
