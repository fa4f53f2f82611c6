//! The real thing: `routing::rank` on the real statistics, as the data plane calls them.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use pointsman::domain::alias::Alias;
use pointsman::domain::feature::FeatureSet;
use pointsman::domain::time::UnixMillis;
use pointsman::domain::usage::TokenUsage;
use pointsman::routing::facts::Fit;
use pointsman::routing::{EndpointState, Narrowing, Plan, Query, RequestFacts, Snapshot, rank};
use pointsman::stats::share::{Content, EndpointKey, Frame, Origin, Peers, Speaker};
use pointsman::stats::{AliasStats, Ask, End, EndpointStats, Purpose, Reading, Ticket};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::beliefs::Beliefs;
use super::fleet::Fleet;
use super::router::{AttemptId, Ended, Router, Sight, wall};
use super::scenario::Scenario;
use super::traffic::Request;

/// How old a reading may be, as in `live`.
const STALE: Duration = Duration::from_secs(1);

/// An endpoint's statistics, and what decisions read of them.
#[derive(Debug)]
struct Known {
    key: EndpointKey,
    stats: EndpointStats,
    published: Reading,
}

impl Known {
    fn change<T>(&mut self, now: UnixMillis, change: impl FnOnce(&mut EndpointStats) -> T) -> T {
        let result = change(&mut self.stats);
        self.published = self.stats.reading(now);
        result
    }
}

/// An attempt under way.
#[derive(Debug)]
struct Flight {
    endpoint: usize,
    ticket: Ticket,
    request: Request,
}

/// One gateway.
#[derive(Debug)]
pub struct Ours {
    fleet: Rc<Fleet>,
    alias: Alias,
    stats: AliasStats,
    known: Vec<Known>,
    flights: HashMap<AttemptId, Flight>,
    rng: StdRng,
    /// By how much its clock is ahead.
    ahead: Duration,
    speaker: Speaker,
    peers: Peers,
    shares: bool,
    rung: bool,
    /// What others believe, where they tell that.
    beliefs: Option<Beliefs>,
}

impl Ours {
    /// That of one replica.
    pub fn new(fleet: Rc<Fleet>, scenario: &Scenario, seed: u64, replica: usize) -> Self {
        let sharing = scenario.sharing.as_ref().filter(|_| scenario.replicas > 1);
        let known = |endpoint| {
            let mut stats = EndpointStats::new(fleet.catalog.endpoint(endpoint).limits);
            if sharing.is_some() {
                stats.tell();
            }
            let key = EndpointKey::of(&fleet.catalog.endpoint(endpoint).id);
            Known { key, stats, published: Reading::default() }
        };
        let me = Origin { replica: replica as u64 + 1, epoch: 1 };
        Self {
            alias: fleet.alias.clone(),
            stats: AliasStats::default(),
            known: fleet.endpoints.iter().copied().map(known).collect(),
            flights: HashMap::new(),
            rng: StdRng::seed_from_u64(seed << 8 | replica as u64),
            ahead: sharing.map(|sharing| sharing.ahead(replica, seed)).unwrap_or_default(),
            speaker: Speaker::new(me),
            peers: Peers::new(me),
            shares: sharing.is_some(),
            rung: false,
            beliefs: sharing.filter(|sharing| sharing.beliefs).map(|_| Beliefs::default()),
            fleet,
        }
    }

    fn change<T>(&mut self, endpoint: usize, now: UnixMillis, change: impl FnOnce(&mut EndpointStats) -> T) -> T {
        let known = &mut self.known[endpoint];
        let result = known.change(now, change);
        self.rung |= known.stats.note_events(now);
        result
    }

    fn believed(&mut self, now: UnixMillis) -> Vec<Vec<u8>> {
        let known = |known: &Known| known.stats.knowledge(now).map(|knows| (known.key, knows));
        self.speaker.knowledge(self.known.iter().filter_map(known))
    }

    fn snapshot(&mut self, request: &Request, now: UnixMillis) -> Snapshot {
        for known in &mut self.known {
            if now.since(known.published.read_at) >= STALE {
                known.change(now, |_| ());
            }
        }
        let state = |known: &Known| EndpointState {
            reading: match &self.beliefs {
                Some(beliefs) => beliefs.fuse(known.key, &known.published, now),
                None => known.published,
            },
            full: false,
            by_caller: None,
            forbidden: false,
            over_budget: None,
        };
        Snapshot {
            endpoints: self.known.iter().map(state).collect(),
            alias: self.stats.reading(request.max_tokens),
            fleet: self.peers.reading(now),
            home: None,
        }
    }
}

impl Router for Ours {
    fn plan(&mut self, sight: &Sight<'_>) -> Plan {
        for (at, target) in self.alias.targets.iter_mut().enumerate() {
            target.enabled = sight.world.is_present(at, sight.now);
        }
        let now = self.clock(sight.now);
        let snapshot = self.snapshot(sight.request, now);
        let able = Some(FeatureSet::EMPTY);
        let facts = RequestFacts {
            fit: Fit { openai: able, openai_responses: able, anthropic: able, gemini: able },
            prompt_tokens: sight.request.prompt_tokens,
            max_output_tokens: sight.request.max_tokens,
            stream: sight.request.stream,
            ..RequestFacts::default()
        };
        let narrowing = Narrowing::default();
        let query =
            Query { catalog: &self.fleet.catalog, alias: &self.alias, facts: &facts, narrowing: &narrowing, now };
        let plan = rank(&query, &snapshot, &mut self.rng);
        let adaptivity = &self.alias.adaptivity;
        self.stats.earn(adaptivity.explore, adaptivity.hedge, plan.promising);
        if plan.candidates.first().is_some_and(|first| first.purpose == Purpose::Explore) {
            self.stats.explored(plan.excess);
        }
        plan
    }

    fn begin(&mut self, attempt: AttemptId, sight: &Sight<'_>, plan: &Plan, position: usize, last: bool) -> bool {
        let candidate = &plan.candidates[position];
        let now = self.clock(sight.now);
        let ask = Ask {
            prompt_tokens: sight.request.prompt_tokens,
            // A float of at most a few million.
            output_tokens: self.stats.reading(sight.request.max_tokens).expected_output as u64,
            stream: sight.request.stream,
            purpose: if last { Purpose::LastResort } else { candidate.purpose },
            seen_sent_at: candidate.seen_sent_at,
            ..Ask::default()
        };
        let begun = self.change(candidate.target, now, |stats| stats.begin(&ask, now));
        let Ok(ticket) = begun else { return false };
        self.flights.insert(attempt, Flight { endpoint: candidate.target, ticket, request: *sight.request });
        true
    }

    fn may_give_up(&mut self) -> bool {
        self.stats.may_give_up()
    }

    fn first_token(&mut self, attempt: AttemptId, waited: Duration, now: Duration) {
        let now = self.clock(now);
        let Some(mut flight) = self.flights.remove(&attempt) else { return };
        self.change(flight.endpoint, now, |stats| stats.first_token(&mut flight.ticket, waited, now));
        self.flights.insert(attempt, flight);
    }

    fn follows_streams(&self) -> bool {
        true
    }

    fn progress(&mut self, attempt: AttemptId, tokens: u64, over: Duration, now: Duration) {
        let now = self.clock(now);
        let Some(mut flight) = self.flights.remove(&attempt) else { return };
        self.change(flight.endpoint, now, |stats| stats.progress(&mut flight.ticket, tokens, over, now));
        self.flights.insert(attempt, flight);
    }

    fn end(&mut self, attempt: AttemptId, ended: &Ended, now: Duration) {
        let Some(flight) = self.flights.remove(&attempt) else { return };
        let Flight { endpoint, ticket, request } = flight;
        let now = self.clock(now);
        let read = if ended.output_tokens > 0 { request.prompt_tokens } else { 0 };
        let end = End {
            failure: ended.failure,
            retry_at: ended.retry_after.map(|after| now + after),
            usage: TokenUsage { input: read, output: ended.output_tokens, ..TokenUsage::default() },
            pieces: if request.stream { ended.output_tokens } else { 0 },
            elapsed: ended.elapsed,
            ..End::default()
        };
        self.change(endpoint, now, |stats| stats.end(ticket, &end, now, ended.jitter));
        if ended.failure.is_none() {
            self.stats.answered(request.max_tokens, ended.output_tokens);
        }
    }

    fn clock(&self, now: Duration) -> UnixMillis {
        wall(now) + self.ahead
    }

    fn tell(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let now = self.clock(now);
        if !self.shares {
            return Vec::new();
        }
        if self.beliefs.is_some() {
            return self.believed(now);
        }
        let pulse = |known: &mut Known| known.stats.pulse(now).map(|pulse| (known.key, pulse));
        self.speaker.pulses(self.known.iter_mut().filter_map(pulse))
    }

    fn tell_all(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let now = self.clock(now);
        if self.shares && self.beliefs.is_none() { self.believed(now) } else { Vec::new() }
    }

    fn tell_now(&mut self, now: Duration) -> Vec<Vec<u8>> {
        if !std::mem::take(&mut self.rung) {
            return Vec::new();
        }
        let now = self.clock(now);
        let mut events = Vec::new();
        for known in &mut self.known {
            known.stats.take_events(now, |event| events.push((known.key, event)));
        }
        self.speaker.events(events)
    }

    fn hear(&mut self, message: &[u8], kept: Duration, now: Duration) {
        let now = self.clock(now);
        let frame = Frame::read(message).unwrap();
        if !self.peers.accept(&frame, kept, now) {
            return;
        }
        let (from, jitter) = (frame.from, self.rng.random());
        let mut at = |key: EndpointKey, hear: &dyn Fn(&mut EndpointStats)| {
            if let Some(known) = self.known.iter_mut().find(|known| known.key == key) {
                known.change(now, hear);
            }
        };
        match frame.content {
            Content::Pulses(records) => records.for_each(|(key, pulse)| {
                at(key, &|stats| stats.hear_pulse(from, &pulse, kept, now, jitter));
            }),
            Content::Knowledge(records) => records.for_each(|(key, known)| match &mut self.beliefs {
                Some(beliefs) => beliefs.hear(from.replica, key, &known, now - kept),
                None => at(key, &|stats| stats.hear_knowledge(&known, kept, now)),
            }),
            Content::Events(records) => records.for_each(|(key, event)| {
                at(key, &|stats| stats.hear_event(&event, kept, now, jitter));
            }),
            Content::Slices(_) => {}
        }
    }
}
