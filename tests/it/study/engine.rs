//! One run: every request walked through its plan as the proxy does it, in virtual time.
//!
//! The walk is that of `src/proxy/pipeline.rs`, on the same functions: attempt limits,
//! what follows a failure, the retry budget, the wait for the one that is back first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;

use pointsman::domain::alias::{FallbackPolicy, RequestLimits};
use pointsman::domain::failure::FailureKind;
use pointsman::health::RetryBudget;
use pointsman::routing::retry::{LONGEST_WAIT, NextStep, Progress, attempt_limit, next_step};
use pointsman::routing::{Candidate, Plan};
use pointsman::stats::Purpose;

use super::fleet::Fleet;
use super::luck::Luck;
use super::router::{AttemptId, Ended, Kind, Router, Sight, wall};
use super::scenario::Scenario;
use super::sharing::KNOWLEDGE_S;
use super::traffic::Request;
use super::world::{Due, Signal, World};

/// How often the tokens of a running stream are reported.
const TICK: Duration = Duration::from_millis(500);

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// When it came.
    pub at: Duration,
    /// The endpoint of its first attempt.
    pub first: Option<usize>,
    /// The first attempt was made in order to learn.
    pub explored: bool,
    /// How much longer the first choice was expected to take than the best one, in seconds,
    /// by somebody who knows the truth.
    pub regret_s: f64,
    /// Until its end.
    pub total: Duration,
    /// Until its first token.
    pub ttft: Option<Duration>,
    /// How it failed.
    pub failure: Option<FailureKind>,
    /// Upstream calls.
    pub attempts: u32,
    /// Upstream calls left early.
    pub left_early: u32,
    /// Upstream calls answered 429.
    pub refused: u32,
    /// Upstream calls under way at each endpoint when it came.
    pub busy: Vec<u32>,
}

/// What one run cost in messages.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Told {
    /// Messages.
    pub messages: u64,
    /// Bytes of them.
    pub bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    /// Endpoints change.
    Change,
    /// A request comes.
    Arrive(usize),
    /// A job does something, by its number and version.
    Happen(AttemptId, u32),
    /// An attempt has had its time.
    Limit(AttemptId),
    /// A stream reports its progress.
    Tick(AttemptId),
    /// A request goes on after a pause.
    GoOn(usize),
    /// A replica tells the others what happened.
    Tell(usize),
    /// A replica tells them all that it knows.
    TellAll(usize),
    /// A message arrives at a replica.
    Hear(usize, usize),
    /// A replica hears what is kept of all others: it starts, or can be reached again.
    CatchUp(usize),
}

/// A message on its way.
#[derive(Clone, Debug)]
struct Message {
    bytes: Rc<[u8]>,
    /// When it was written.
    written: Duration,
}

/// A request on its way.
#[derive(Debug)]
struct Walk {
    plan: Plan,
    position: usize,
    repeated: bool,
    last_resort: bool,
}

/// An attempt under way.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    request: usize,
    endpoint: usize,
    began: Duration,
    /// It has until then.
    ends_at: Duration,
    answered: bool,
    ended: bool,
    /// When its progress was told, and the tokens until then.
    told: (Duration, u64),
}

struct Run<'a> {
    scenario: &'a Scenario,
    requests: &'a [Request],
    fleet: Fleet,
    limits: RequestLimits,
    world: World,
    routers: Vec<Box<dyn Router>>,
    budgets: Vec<RetryBudget>,
    walks: Vec<Option<Walk>>,
    attempts: Vec<Attempt>,
    records: Vec<Record>,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    scheduled: u64,
    now: Duration,
    luck: Luck,
    /// For the network between replicas.
    fortune: Luck,
    messages: Vec<Message>,
    /// What each replica told of all it knows, last.
    kept: Vec<Vec<Message>>,
    told: Told,
    busy: Vec<u32>,
}

/// Runs a scenario under a router.
pub fn run(scenario: &Scenario, requests: &[Request], kind: Kind, seed: u64) -> Vec<Record> {
    run_and_tell(scenario, requests, kind, seed).0
}

/// Runs a scenario under a router, and says what its replicas told each other.
pub fn run_and_tell(scenario: &Scenario, requests: &[Request], kind: Kind, seed: u64) -> (Vec<Record>, Told) {
    let fleet = Fleet::new(scenario, "random-shuffle");
    let mut run = Run {
        limits: scenario.limits.of_alias(),
        world: World::new(scenario, seed),
        routers: kind.routers(scenario, seed),
        budgets: (0..scenario.replicas).map(|_| RetryBudget::new(wall(Duration::ZERO))).collect(),
        walks: requests.iter().map(|_| None).collect(),
        attempts: Vec::new(),
        records: vec![Record::default(); requests.len()],
        events: BinaryHeap::new(),
        scheduled: 0,
        now: Duration::ZERO,
        luck: Luck::of(&[seed, 4]),
        fortune: Luck::of(&[seed, 7]),
        messages: Vec::new(),
        kept: vec![Vec::new(); scenario.replicas],
        told: Told::default(),
        busy: vec![0; scenario.endpoints.len()],
        scenario,
        requests,
        fleet,
    };
    for at in run.world.changes() {
        run.schedule(at, Event::Change);
    }
    for (number, request) in requests.iter().enumerate() {
        run.schedule(request.at, Event::Arrive(number));
    }
    run.schedule_telling();
    while let Some(Reverse((at, _, event))) = run.events.pop() {
        run.now = at;
        run.handle(event);
        run.tell_now();
        for due in run.world.take_due() {
            run.schedule(due.at, Event::Happen(due.job, due.version));
        }
    }
    (run.records, run.told)
}

impl Run<'_> {
    fn schedule(&mut self, at: Duration, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((at, self.scheduled, event)));
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Change => self.world.change(self.now),
            Event::Arrive(number) => self.arrive(number),
            Event::Happen(job, version) => {
                if let Some(signal) = self.world.happen(Due { at: self.now, job, version }) {
                    self.hear(job, signal);
                }
            }
            Event::Limit(attempt) => self.time_is_up(attempt),
            Event::Tick(attempt) => self.tick(attempt),
            Event::GoOn(number) => self.try_next(number),
            Event::Tell(replica) => {
                for bytes in self.routers[replica].tell(self.now) {
                    self.send(replica, bytes.into());
                }
            }
            Event::TellAll(replica) => {
                let told: Vec<Rc<[u8]>> =
                    self.routers[replica].tell_all(self.now).into_iter().map(Into::into).collect();
                let written = self.now;
                if self.is_up() {
                    self.kept[replica] =
                        told.iter().map(|bytes| Message { bytes: Rc::clone(bytes), written }).collect();
                }
                told.into_iter().for_each(|bytes| self.send(replica, bytes));
            }
            Event::Hear(to, message) => {
                let bytes = Rc::clone(&self.messages[message].bytes);
                // How long it was under way, nobody knows.
                self.routers[to].hear(&bytes, Duration::ZERO, self.now);
            }
            Event::CatchUp(replica) => {
                for message in self.kept.iter().flatten() {
                    self.routers[replica].hear(&message.bytes, self.now - message.written, self.now);
                }
            }
        }
    }

    /// Replicas tell at times of their own.
    fn schedule_telling(&mut self) {
        let Some(sharing) = &self.scenario.sharing else { return };
        let until = self.scenario.seconds;
        let mut due = Vec::new();
        for replica in 0..self.scenario.replicas {
            let joining = self.scenario.joining.iter().find(|joining| joining.replica == replica);
            let joins = joining.map_or(0.0, |joining| joining.at_s);
            let mut at = |every: f64, event: Event| {
                let mut next = joins + self.fortune.unit() * every;
                while next < until {
                    due.push((next, event));
                    next += every;
                }
            };
            at(sharing.every_s, Event::Tell(replica));
            at(KNOWLEDGE_S, Event::TellAll(replica));
            due.extend(joining.map(|joining| (joining.at_s, Event::CatchUp(replica))));
            for outage in &sharing.outages {
                let over = outage.at_s + outage.for_s;
                // A connection is tried again once a second.
                let back = over + self.fortune.unit();
                due.push((back, Event::TellAll(replica)));
                due.push((back + 1.0, Event::CatchUp(replica)));
            }
        }
        for (at, event) in due {
            self.schedule(Duration::from_secs_f64(at), event);
        }
    }

    fn is_up(&self) -> bool {
        self.scenario.sharing.as_ref().is_some_and(|sharing| sharing.is_up(self.now))
    }

    /// What cannot wait.
    fn tell_now(&mut self) {
        if self.scenario.sharing.is_none() {
            return;
        }
        for replica in 0..self.routers.len() {
            for bytes in self.routers[replica].tell_now(self.now) {
                self.send(replica, bytes.into());
            }
        }
    }

    fn send(&mut self, from: usize, bytes: Rc<[u8]>) {
        let Some(sharing) = &self.scenario.sharing else { return };
        self.told.messages += 1;
        self.told.bytes += bytes.len() as u64;
        if !sharing.is_up(self.now) {
            return;
        }
        let number = self.messages.len();
        self.messages.push(Message { bytes, written: self.now });
        for to in (0..self.scenario.replicas).filter(|to| *to != from) {
            let joins = self.scenario.joining.iter().find(|joining| joining.replica == to);
            if joins.is_some_and(|joining| self.now.as_secs_f64() < joining.at_s) {
                continue;
            }
            if let Some(delay) = sharing.under_way(&mut self.fortune) {
                self.schedule(self.now + delay, Event::Hear(to, number));
            }
        }
    }

    fn arrive(&mut self, number: usize) {
        let replica = self.requests[number].replica;
        self.budgets[replica].deposit();
        self.records[number].at = self.now;
        self.records[number].busy.clone_from(&self.busy);
        let sight = Sight { request: &self.requests[number], now: self.now, world: &self.world };
        let mut plan = self.routers[replica].plan(&sight);
        let mut last_resort = false;
        let mut at = self.now;
        if plan.candidates.is_empty() {
            let soonest = plan.soonest;
            let wait = soonest.map(|soonest| soonest.at.since(self.routers[replica].clock(self.now)));
            let allowed = wait.is_some_and(|wait| wait <= LONGEST_WAIT) && self.may_repeat(replica);
            let Some(soonest) = soonest.filter(|_| allowed) else { return self.fail(number, FailureKind::RateLimited) };
            plan.candidates.push(soonest.candidate);
            last_resort = true;
            at += wait.unwrap_or_default();
        }
        self.walks[number] = Some(Walk { plan, position: 0, repeated: false, last_resort });
        if at > self.now { self.schedule(at, Event::GoOn(number)) } else { self.try_next(number) }
    }

    fn may_repeat(&mut self, replica: usize) -> bool {
        self.budgets[replica].withdraw(wall(self.now))
    }

    fn time_left(&self, number: usize) -> Duration {
        self.limits.deadline.saturating_sub(self.now - self.requests[number].at)
    }

    /// Makes the next attempt that is allowed.
    fn try_next(&mut self, number: usize) {
        let Some(mut walk) = self.walks[number].take() else { return };
        let candidates = walk.plan.candidates.len();
        let request = self.requests[number];
        while walk.position < candidates {
            let attempt = self.attempts.len();
            let sight = Sight { request: &self.requests[number], now: self.now, world: &self.world };
            let router = &mut self.routers[request.replica];
            if !router.begin(attempt, &sight, &walk.plan, walk.position, walk.last_resort) {
                walk.position += 1;
                walk.repeated = false;
                continue;
            }
            let candidate = walk.plan.candidates[walk.position];
            let made = self.records[number].attempts;
            if made == 0 {
                self.note_first(number, &candidate);
            }
            let may_come = (self.limits.max_attempts - made).min((candidates - walk.position) as u32);
            let own = if request.stream { self.limits.first_token_timeout } else { self.limits.answer_timeout };
            let limit = attempt_limit(own, self.time_left(number), may_come);
            let early = candidate.give_up_s.filter(|_| may_come > 1).map(Duration::from_secs_f64);
            let early = early.filter(|early| *early < limit);
            self.records[number].attempts += 1;
            let job = self.world.submit(number, &request, made, candidate.target, self.now);
            assert_eq!(job, attempt, "every job is an attempt");
            self.busy[candidate.target] += 1;
            self.attempts.push(Attempt {
                request: number,
                endpoint: candidate.target,
                began: self.now,
                ends_at: self.now + limit,
                answered: false,
                ended: false,
                // The first content is the first token.
                told: (self.now, 1),
            });
            self.schedule(self.now + early.unwrap_or(limit), Event::Limit(attempt));
            self.walks[number] = Some(walk);
            return;
        }
        self.fail(number, FailureKind::RateLimited);
    }

    fn note_first(&mut self, number: usize, candidate: &Candidate) {
        let failure_s = self.scenario.limits.failure_s;
        let expected =
            |endpoint: usize| self.world.expected_s(endpoint, &self.requests[number], failure_s, 1.0, self.now);
        let best = (0..self.world.len()).map(expected).fold(f64::INFINITY, f64::min);
        let chosen = expected(candidate.target);
        let record = &mut self.records[number];
        record.first = Some(candidate.target);
        record.explored = matches!(candidate.purpose, Purpose::Explore | Purpose::Cold);
        // What refuses or fails costs little but another attempt; those are counted apart.
        record.regret_s = if chosen.is_finite() { chosen - best } else { 0.0 };
    }

    /// The world says something about an attempt.
    fn hear(&mut self, attempt: AttemptId, signal: Signal) {
        let Attempt { request: number, began, .. } = self.attempts[attempt];
        let request = self.requests[number];
        match signal {
            Signal::FirstToken => {
                self.records[number].ttft = Some(self.now - request.at);
                if !request.stream {
                    return;
                }
                self.attempts[attempt].answered = true;
                self.attempts[attempt].told.0 = self.now;
                let router = &mut self.routers[request.replica];
                router.first_token(attempt, self.now - began, self.now);
                if router.follows_streams() {
                    self.schedule(self.now + TICK, Event::Tick(attempt));
                }
            }
            Signal::Complete => {
                self.end(attempt, None, None);
                self.records[number].total = self.now - request.at;
                self.walks[number] = None;
            }
            Signal::Broken => {
                // Before anything was said to the caller, another one may be tried.
                let kind = if request.stream { FailureKind::BrokenStream } else { FailureKind::Malformed };
                self.end(attempt, Some(kind), None);
                self.after_failure(number, kind, None);
            }
            Signal::Failed => {
                self.end(attempt, Some(FailureKind::ServerError), None);
                self.after_failure(number, FailureKind::ServerError, None);
            }
            Signal::Refused { retry_after } => {
                self.records[number].refused += 1;
                self.end(attempt, Some(FailureKind::RateLimited), retry_after);
                self.after_failure(number, FailureKind::RateLimited, retry_after);
            }
        }
    }

    fn time_is_up(&mut self, attempt: AttemptId) {
        let Attempt { request: number, ended, answered, ends_at, .. } = self.attempts[attempt];
        if ended || answered {
            return;
        }
        if self.now < ends_at {
            if !self.routers[self.requests[number].replica].may_give_up() {
                return self.schedule(ends_at, Event::Limit(attempt));
            }
            self.records[number].left_early += 1;
        }
        self.end(attempt, Some(FailureKind::Timeout), None);
        self.world.cancel(attempt, self.now);
        self.after_failure(number, FailureKind::Timeout, None);
    }

    fn tick(&mut self, attempt: AttemptId) {
        let Attempt { request: number, ended, told: (since, before), .. } = self.attempts[attempt];
        if ended {
            return;
        }
        let tokens = self.world.tokens(attempt, self.now) as u64;
        if tokens >= before + 3 {
            self.attempts[attempt].told = (self.now, tokens);
            let router = &mut self.routers[self.requests[number].replica];
            router.progress(attempt, tokens - before, self.now - since, self.now);
        }
        self.schedule(self.now + TICK, Event::Tick(attempt));
    }

    fn end(&mut self, attempt: AttemptId, failure: Option<FailureKind>, retry_after: Option<Duration>) {
        let Attempt { request: number, began, .. } = self.attempts[attempt];
        self.attempts[attempt].ended = true;
        self.busy[self.attempts[attempt].endpoint] -= 1;
        let request = self.requests[number];
        let output_tokens = match failure {
            None => request.output_tokens,
            Some(_) => self.world.tokens(attempt, self.now) as u64,
        };
        let end = Ended { failure, retry_after, output_tokens, elapsed: self.now - began, jitter: self.luck.unit() };
        self.routers[request.replica].end(attempt, &end, self.now);
    }

    fn after_failure(&mut self, number: usize, kind: FailureKind, retry_after: Option<Duration>) {
        let Some(mut walk) = self.walks[number].take() else { return };
        let progress = Progress {
            plan: &walk.plan,
            position: walk.position,
            repeated: walk.repeated,
            kind,
            retry_after,
            attempts_left: self.limits.max_attempts.saturating_sub(self.records[number].attempts),
            time_left: self.time_left(number),
            policy: FallbackPolicy::default(),
            jitter: self.luck.unit(),
        };
        match next_step(&progress, &self.fleet.catalog) {
            NextStep::Next(next) => {
                walk.position = next;
                walk.repeated = false;
                self.walks[number] = Some(walk);
                self.try_next(number);
            }
            NextStep::Same { after } if self.may_repeat(self.requests[number].replica) => {
                walk.repeated = true;
                self.walks[number] = Some(walk);
                self.schedule(self.now + after, Event::GoOn(number));
            }
            NextStep::Same { .. } | NextStep::GiveUp => self.fail(number, kind),
        }
    }

    fn fail(&mut self, number: usize, kind: FailureKind) {
        self.walks[number] = None;
        let record = &mut self.records[number];
        record.failure = Some(kind);
        record.total = self.now - self.requests[number].at;
    }
}
