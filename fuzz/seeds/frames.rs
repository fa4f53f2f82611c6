//! What replicas tell of the targets that `hear` knows: frames of each kind, after some attempts.

use std::time::Duration;

use pointsman::domain::ids::EndpointIdx;
use pointsman::domain::usage::TokenUsage;
use pointsman::live::EndpointLive;
use pointsman::stats::{Ask, End};

use super::{seed, targets};

/// Frames of each kind apart, and all that another replica tells in a while together.
pub fn write() -> std::io::Result<()> {
    let (live, sharing) = targets::replica("there");
    let view = live.view();
    let mut now = targets::NOW;
    let mut all = Vec::new();
    for second in 0..8u32 {
        for at in 0..targets::TARGETS {
            attempt(view.endpoint(EndpointIdx(at as u32)), second > 4 && at == 1, now);
        }
        now = now + Duration::from_millis(2500);
        sharing.collect_slices(&view, now);
        let kinds = [
            ("pulses", sharing.pulses(&view, now)),
            ("events", sharing.events(&view, now)),
            ("knowledge", sharing.knowledge(&view, now)),
            ("slices", sharing.slices(now).1),
        ];
        for (kind, frames) in kinds {
            for frame in frames {
                seed("replicas", &format!("{kind}-{second}"), &frame)?;
                let mut one = Vec::new();
                targets::write(&mut one, 2500, 40, &frame);
                seed("hear", &format!("{kind}-{second}"), &one)?;
                targets::write(&mut all, 500, 10, &frame);
            }
        }
    }
    seed("hear", "all", all)
}

fn attempt(endpoint: &EndpointLive, fails: bool, now: pointsman::domain::time::UnixMillis) {
    let ask = Ask { prompt_tokens: 800, output_tokens: 250, stream: true, ..Ask::default() };
    let Ok(mut ticket) = endpoint.change(now, |stats| stats.begin(&ask, now)) else { return };
    let first = Duration::from_millis(400);
    if !fails {
        endpoint.change(now, |stats| stats.first_token(&mut ticket, first, now));
        endpoint.change(now, |stats| stats.progress(&mut ticket, 40, Duration::from_millis(700), now));
    }
    let usage = TokenUsage { input: 800, output: if fails { 0 } else { 160 }, ..TokenUsage::default() };
    let failure = fails.then_some(pointsman::domain::failure::FailureKind::ServerError);
    let end = End { usage, pieces: usage.output, elapsed: first + Duration::from_secs(2), failure, ..End::default() };
    endpoint.change(now, |stats| stats.end(ticket, &end, now, 0.3));
}
