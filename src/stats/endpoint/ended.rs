//! What is learned of an attempt when it has ended, in whatever way.

use super::EndpointStats;
use crate::domain::failure::FailureKind;
use crate::domain::time::UnixMillis;
use crate::health::{Outcome, State, outcome_of};
use crate::stats::attempt::{End, Ticket};
use crate::stats::history::Sample;
use crate::stats::minute::Usage;
use crate::stats::speed::Observation;

impl EndpointStats {
    /// It ended. `jitter` in [0, 1) spreads the end of a time out.
    pub fn end(&mut self, mut ticket: Ticket, end: &End, now: UnixMillis, jitter: f64) {
        self.end_wait(&mut ticket);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.settle(&ticket, end, now);
        match end.failure {
            None => self.succeeded(&mut ticket, end, now),
            Some(kind) => {
                self.health.record(outcome_of(kind, end.retry_at), now, jitter);
                self.learn_failure(&ticket, kind, end, now);
            }
        }
        let generation = ticket.first_token.map(|first| end.elapsed.saturating_sub(first));
        let sample = Sample {
            unmeasured: ticket.ask.unmeasured,
            failure: end.failure,
            stream: ticket.ask.stream,
            first_token: ticket.first_token,
            total: end.elapsed,
            generation,
            usage: end.usage,
            estimated: end.estimated,
            cost: end.cost,
            queued: end.queued,
        };
        self.history.record(&sample, now);
    }

    fn succeeded(&mut self, ticket: &mut Ticket, end: &End, now: UnixMillis) {
        let seconds = end.elapsed.as_secs_f64().max(1e-4);
        let kilotokens = ticket.ask.prompt_tokens as f64 / 1000.0;
        let output = end.usage.output as f64;
        if let Some(first) = ticket.first_token {
            self.learn_pieces(end);
            let rest = end.elapsed.saturating_sub(first).saturating_sub(ticket.fed_over);
            let pieces = end.pieces.saturating_sub(ticket.fed + 1);
            if pieces >= 3 {
                self.progress(ticket, pieces, rest, now);
            }
            let waited = first.as_secs_f64();
            let at_best = self.window.potential().map_or(waited, |level| level.exp() * self.speed.growth(kilotokens));
            self.window.held(seconds - (waited - at_best).max(0.0));
            self.breaking.observe(false, now);
            self.shared.ends.whole += 1;
        } else if ticket.ask.unmeasured {
            self.health.record(Outcome::Success, now, 0.0);
        } else if !ticket.ask.stream {
            self.works(ticket.begun, now);
            let growth = self.speed.growth(kilotokens);
            let best = self.window.potential().unwrap_or(self.speed.first.mean);
            let at_best = growth * best.exp() + output * self.speed.token.mean.exp();
            let level = best + (seconds / at_best).ln();
            self.window.first_token(level, ticket.in_flight, self.speed.first.noise.max(self.speed.token.noise));
            self.window.held(seconds.min(at_best));
            let seen = Observation { seconds, prompt_kilotokens: Some(kilotokens), tokens: output };
            self.observe(&seen, now);
            self.samples = self.samples.saturating_add(1);
        }
        if end.usage.input > 0 {
            let cached = end.usage.cached_input as f64 / end.usage.input as f64;
            self.cached += 0.1 * (cached.min(1.0) - self.cached);
        }
    }

    fn learn_failure(&mut self, ticket: &Ticket, kind: FailureKind, end: &End, now: UnixMillis) {
        match kind {
            FailureKind::RateLimited => self.pace.refused(now),
            FailureKind::BrokenStream => {
                self.breaking.observe(true, now);
                self.shared.ends.broken += 1;
            }
            FailureKind::Timeout | FailureKind::Superseded if ticket.first_token.is_none() => {
                if kind == FailureKind::Timeout {
                    self.failed(Some(kind), now);
                }
                // It takes at least as long as it has taken.
                let seconds = end.elapsed.as_secs_f64();
                if seconds > ticket.predicted_s {
                    let tokens = if ticket.ask.stream { 0.0 } else { ticket.ask.output_tokens as f64 };
                    let kilotokens = ticket.ask.prompt_tokens as f64 / 1000.0;
                    self.observe(&Observation { seconds, prompt_kilotokens: Some(kilotokens), tokens }, now);
                }
            }
            FailureKind::Connect | FailureKind::ServerError | FailureKind::Malformed => self.failed(Some(kind), now),
            _ => {}
        }
    }

    /// It delivered content. A probe's success ends an outage, which says that the failures
    /// before are over; how fast traffic comes back is the slow start's to say.
    pub(super) fn works(&mut self, sent: UnixMillis, now: UnixMillis) {
        self.waiting.answered(sent);
        if matches!(self.health.reading().state, State::HalfOpen { .. }) {
            self.failing.forgive();
        }
        self.health.record(Outcome::Success, now, 0.0);
        self.pace.admitted(now);
        self.failed(None, now);
    }

    fn failed(&mut self, failure: Option<FailureKind>, now: UnixMillis) {
        self.failing.observe(failure.is_some(), now);
        self.failing_at = now;
        let ends = &mut self.shared.ends;
        match failure {
            Some(_) => (ends.failed, ends.failure) = (ends.failed + 1, failure),
            None => ends.answered += 1,
        }
    }

    /// A speed that has really changed makes further exploring worth while again.
    pub(super) fn observe(&mut self, seen: &Observation, now: UnixMillis) {
        let deviation = (self.speed.first.variance_at(now) + self.speed.first.noise).sqrt();
        let innovation = self.speed.observe(seen, now);
        self.shared.saw(seen, now);
        if innovation.abs() > 2.2 * deviation {
            self.explored = 0;
        }
    }

    /// A piece of a stream may hold several tokens; that is known once usage was reported.
    fn learn_pieces(&mut self, end: &End) {
        if end.estimated || end.pieces < 5 || end.usage.output == 0 {
            return;
        }
        let ratio = (end.usage.output as f64 / end.pieces as f64).clamp(0.2, 100.0);
        match &mut self.piece_tokens {
            Some(known) => *known += 0.1 * (ratio - *known),
            None => {
                self.piece_tokens = Some(ratio);
                // What was followed so far took each piece for a token.
                self.speed.token.mean -= ratio.ln();
            }
        }
    }

    pub(super) fn end_wait(&mut self, ticket: &mut Ticket) {
        if let Some(place) = ticket.place.take() {
            self.waiting.end(place);
        }
    }

    /// Replaces what was reserved by what was used.
    fn settle(&mut self, ticket: &Ticket, end: &End, now: UnixMillis) {
        let reserved = ticket.ask.prompt_tokens + ticket.ask.output_tokens;
        let used = end.usage.input + end.usage.output;
        if let Some(bucket) = &mut self.tokens {
            bucket.take(used as f64 - reserved as f64, now);
        }
        self.minute.give_back(reserved.saturating_sub(used), ticket.begun, now);
        let spent = &mut self.shared.spent.tokens;
        *spent = spent.saturating_add(used).saturating_sub(reserved);
        let more = Usage { requests: 0, tokens: used.saturating_sub(reserved), cost: end.cost.0 };
        self.minute.add(more, now);
    }
}
