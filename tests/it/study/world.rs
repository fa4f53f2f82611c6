//! The endpoints as they truly are: how long they take, when they queue, refuse and fail.

use std::collections::VecDeque;
use std::time::Duration;

use super::luck::Luck;
use super::scenario::{Scenario, Truth};
use super::traffic::Request;

/// A job is one attempt at an endpoint; jobs are numbered as they come.
pub type JobId = usize;

/// How long a refusal by 429 takes.
const REFUSAL: Duration = Duration::from_millis(40);

/// Something that a job will do, unless it changes first.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Due {
    /// When.
    pub at: Duration,
    /// Which job.
    pub job: JobId,
    /// Overtaken if the job has a higher one by then.
    pub version: u32,
}

/// What a job does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Signal {
    /// The first token comes.
    FirstToken,
    /// The answer is complete.
    Complete,
    /// The answer breaks off.
    Broken,
    /// 503.
    Failed,
    /// 429.
    Refused {
        /// What its `Retry-After` says.
        retry_after: Option<Duration>,
    },
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Phase {
    /// Nothing will come of it.
    Silent,
    /// It will be answered by this.
    Rejected(Signal),
    /// It waits for a slot.
    Queued,
    /// It is worked on until the first token.
    Reading { until: Duration },
    /// Tokens come: `done` of them until `since`, each taking `token_s`.
    Writing { done: f64, since: Duration, token_s: f64 },
    /// It has ended.
    Gone,
}

/// Standard normal numbers that make a job faster or slower than others, and where in its
/// answer it breaks.
#[derive(Clone, Copy, Debug)]
struct Fate {
    ttft: f64,
    token: f64,
    breaks_after: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Job {
    endpoint: usize,
    prompt_tokens: f64,
    output_tokens: f64,
    fate: Fate,
    phase: Phase,
    version: u32,
}

/// One endpoint.
#[derive(Debug)]
struct Place {
    timeline: Vec<(Duration, Truth)>,
    joins: Duration,
    truth: Truth,
    queue: VecDeque<JobId>,
    working: u32,
    requests: Bucket,
    tokens: Bucket,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    at: Duration,
}

/// All endpoints and what they work on.
#[derive(Debug)]
pub struct World {
    places: Vec<Place>,
    jobs: Vec<Job>,
    seed: u64,
    mean_prompt: f64,
    mean_output: f64,
    due: Vec<Due>,
}

impl World {
    /// As it is in the beginning.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let place = |endpoint: &super::scenario::Endpoint| {
            let timeline: Vec<_> =
                endpoint.timeline().into_iter().map(|(at, truth)| (Duration::from_secs_f64(at), truth)).collect();
            let truth = timeline[0].1;
            Place {
                joins: Duration::from_secs_f64(endpoint.joins_s),
                truth,
                timeline,
                queue: VecDeque::new(),
                working: 0,
                requests: Bucket { level: f64::INFINITY, at: Duration::ZERO },
                tokens: Bucket { level: f64::INFINITY, at: Duration::ZERO },
            }
        };
        Self {
            places: scenario.endpoints.iter().map(place).collect(),
            jobs: Vec::new(),
            seed,
            mean_prompt: scenario.traffic.mean(|kind| kind.prompt.mean()),
            mean_output: scenario.traffic.mean(|kind| kind.output.mean()),
            due: Vec::new(),
        }
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it is configured at this time.
    pub fn is_present(&self, endpoint: usize, now: Duration) -> bool {
        self.places[endpoint].joins <= now
    }

    /// When endpoints change.
    pub fn changes(&self) -> Vec<Duration> {
        let all = self.places.iter().flat_map(|place| place.timeline.iter().skip(1).map(|(at, _)| *at));
        let mut all: Vec<Duration> = all.collect();
        all.sort();
        all.dedup();
        all
    }

    /// What jobs will do that was decided since the last call.
    pub fn take_due(&mut self) -> Vec<Due> {
        std::mem::take(&mut self.due)
    }

    /// A request, its `nth` attempt counting from 0, is sent to an endpoint.
    pub fn submit(&mut self, number: usize, request: &Request, nth: u32, endpoint: usize, now: Duration) -> JobId {
        let mut luck = Luck::of(&[self.seed, 2, number as u64, endpoint as u64, u64::from(nth)]);
        let truth = self.places[endpoint].truth;
        let (fails, hangs, breaks) = (luck.chance(truth.fails), luck.chance(truth.hangs), luck.chance(truth.breaks));
        let breaks_after = luck.unit();
        let fate = Fate { ttft: luck.normal(), token: luck.normal(), breaks_after: breaks.then_some(breaks_after) };
        let id = self.jobs.len();
        self.jobs.push(Job {
            endpoint,
            prompt_tokens: request.prompt_tokens as f64,
            output_tokens: request.output_tokens as f64,
            fate,
            phase: Phase::Silent,
            version: 0,
        });
        if hangs {
            return id;
        }
        if let Some(retry_after) = self.places[endpoint].refuses(request, now) {
            self.reject(id, Signal::Refused { retry_after }, now + REFUSAL);
        } else if fails {
            self.reject(id, Signal::Failed, now + millis(truth.fails_ms));
        } else {
            self.jobs[id].phase = Phase::Queued;
            self.places[endpoint].queue.push_back(id);
            self.work(endpoint, now);
        }
        id
    }

    fn reject(&mut self, id: JobId, signal: Signal, at: Duration) {
        self.jobs[id].phase = Phase::Rejected(signal);
        self.plan(id, at);
    }

    /// What a due job does, if it was not overtaken.
    pub fn happen(&mut self, due: Due) -> Option<Signal> {
        let job = self.jobs[due.job];
        if job.version != due.version {
            return None;
        }
        match job.phase {
            Phase::Rejected(signal) => {
                self.jobs[due.job].phase = Phase::Gone;
                Some(signal)
            }
            Phase::Reading { .. } => {
                let truth = self.places[job.endpoint].truth;
                let token_s = truth.token_ms * truth.slow * (truth.token_sigma * job.fate.token).exp() / 1000.0;
                self.jobs[due.job].phase = Phase::Writing { done: 0.0, since: due.at, token_s };
                self.plan(due.job, due.at + seconds(job.until_end() * token_s));
                Some(Signal::FirstToken)
            }
            Phase::Writing { .. } => {
                self.leave(due.job, due.at);
                Some(if job.fate.breaks_after.is_some() { Signal::Broken } else { Signal::Complete })
            }
            Phase::Silent | Phase::Queued | Phase::Gone => None,
        }
    }

    /// Nobody waits for this job any more.
    pub fn cancel(&mut self, id: JobId, now: Duration) {
        if self.jobs[id].phase == Phase::Queued {
            self.places[self.jobs[id].endpoint].queue.retain(|queued| *queued != id);
        }
        self.leave(id, now);
    }

    /// Tokens of the answer that have come.
    pub fn tokens(&self, id: JobId, now: Duration) -> f64 {
        let job = &self.jobs[id];
        match job.phase {
            Phase::Writing { .. } => job.written(now),
            _ => 0.0,
        }
    }

    /// Endpoints change; what they work on goes on at the new speed.
    pub fn change(&mut self, now: Duration) {
        for endpoint in 0..self.places.len() {
            let place = &mut self.places[endpoint];
            let before = place.truth;
            let Some((_, truth)) = place.timeline.iter().rev().find(|(at, _)| *at <= now) else { continue };
            if *truth == before {
                continue;
            }
            place.truth = *truth;
            let truth = *truth;
            self.work(endpoint, now);
            for id in 0..self.jobs.len() {
                if self.jobs[id].endpoint == endpoint {
                    self.adjust(id, &before, &truth, now);
                }
            }
        }
    }

    fn adjust(&mut self, id: JobId, before: &Truth, truth: &Truth, now: Duration) {
        let job = &mut self.jobs[id];
        let at = match job.phase {
            Phase::Reading { until } => {
                let factor = truth.mean_ttft_s(job.prompt_tokens) / before.mean_ttft_s(job.prompt_tokens);
                let until = now + until.saturating_sub(now).mul_f64(factor);
                job.phase = Phase::Reading { until };
                until
            }
            Phase::Writing { token_s, .. } => {
                let done = job.written(now);
                let token_s = token_s * truth.mean_token_s() / before.mean_token_s();
                job.phase = Phase::Writing { done, since: now, token_s };
                now + seconds((job.until_end() - done).max(0.0) * token_s)
            }
            _ => return,
        };
        self.plan(id, at);
    }

    /// Takes jobs out of the queue while there are slots.
    fn work(&mut self, endpoint: usize, now: Duration) {
        let place = &mut self.places[endpoint];
        let mut begun = Vec::new();
        while place.truth.slots.is_none_or(|slots| place.working < slots)
            && let Some(id) = place.queue.pop_front()
        {
            place.working += 1;
            begun.push(id);
        }
        let truth = place.truth;
        for id in begun {
            let job = &mut self.jobs[id];
            let median = truth.ttft_ms + truth.prompt_ms_per_1k * job.prompt_tokens / 1000.0;
            let until = now + millis(median * truth.slow * (truth.ttft_sigma * job.fate.ttft).exp());
            job.phase = Phase::Reading { until };
            self.plan(id, until);
        }
    }

    fn leave(&mut self, id: JobId, now: Duration) {
        let job = &mut self.jobs[id];
        let worked_on = matches!(job.phase, Phase::Reading { .. } | Phase::Writing { .. });
        job.phase = Phase::Gone;
        job.version += 1;
        if worked_on {
            let endpoint = job.endpoint;
            self.places[endpoint].working -= 1;
            self.work(endpoint, now);
        }
    }

    fn plan(&mut self, id: JobId, at: Duration) {
        let job = &mut self.jobs[id];
        job.version += 1;
        self.due.push(Due { at, job: id, version: job.version });
    }

    /// The expected total time of a request at an endpoint in seconds, as somebody knows it
    /// who sees parameters, queues and limits, but not the luck. Infinite where it would be
    /// refused or is more likely to fail than not. `failure_s` is what a failure costs; a
    /// second of waiting in a queue, which makes others wait too, counts `waiting` times.
    pub fn expected_s(&self, endpoint: usize, request: &Request, failure_s: f64, waiting: f64, now: Duration) -> f64 {
        let place = &self.places[endpoint];
        let truth = &place.truth;
        if place.joins > now || truth.fails + truth.hangs > 0.5 || !place.admits(request, now) {
            return f64::INFINITY;
        }
        let held = truth.mean_ttft_s(self.mean_prompt) + truth.mean_token_s() * self.mean_output;
        let wait = match truth.slots {
            Some(slots) if place.working >= slots => (place.queue.len() + 1) as f64 * held / f64::from(slots.max(1)),
            _ => 0.0,
        };
        let time = waiting * wait
            + truth.mean_ttft_s(request.prompt_tokens as f64)
            + truth.mean_token_s() * request.mean_output;
        let again = truth.fails * (truth.fails_ms / 1000.0 + time) + truth.hangs * failure_s / 2.0;
        time + again + truth.breaks * failure_s
    }
}

impl Job {
    /// Tokens until it ends or breaks.
    fn until_end(&self) -> f64 {
        self.output_tokens * self.fate.breaks_after.unwrap_or(1.0)
    }

    fn written(&self, now: Duration) -> f64 {
        match self.phase {
            Phase::Writing { done, since, token_s } => {
                (done + now.saturating_sub(since).as_secs_f64() / token_s).min(self.until_end())
            }
            _ => 0.0,
        }
    }
}

impl Place {
    fn limits(&self) -> [(Bucket, Option<f64>); 2] {
        [(self.requests, self.truth.requests_per_minute), (self.tokens, self.truth.tokens_per_minute)]
    }

    fn admits(&self, request: &Request, now: Duration) -> bool {
        let asked = [1.0, (request.prompt_tokens + request.output_tokens) as f64];
        let enough = |((bucket, limit), asked): ((Bucket, Option<f64>), f64)| {
            limit.is_none_or(|limit| bucket.filled(limit, self.truth.limit_burst_s, now) >= asked)
        };
        self.limits().into_iter().zip(asked).all(enough)
    }

    /// `Some` if the request is beyond the limits, with what `Retry-After` says; otherwise
    /// it is counted.
    fn refuses(&mut self, request: &Request, now: Duration) -> Option<Option<Duration>> {
        let asked = [1.0, (request.prompt_tokens + request.output_tokens) as f64];
        let burst_s = self.truth.limit_burst_s;
        let [requests, tokens] = self.limits().map(|(bucket, limit)| {
            let level = limit.map_or(f64::INFINITY, |limit| bucket.filled(limit, burst_s, now));
            (level, limit.unwrap_or(f64::INFINITY) / 60.0)
        });
        let wait = |(level, per_s): (f64, f64), asked: f64| {
            if level >= asked { 0.0 } else { (asked - level) / per_s }
        };
        let wait = wait(requests, asked[0]).max(wait(tokens, asked[1]));
        if wait > 0.0 {
            return Some(self.truth.retry_after.then(|| seconds(wait.ceil())));
        }
        self.requests = Bucket { level: requests.0 - asked[0], at: now };
        self.tokens = Bucket { level: tokens.0 - asked[1], at: now };
        None
    }
}

impl Bucket {
    fn filled(&self, per_minute: f64, burst_s: f64, now: Duration) -> f64 {
        let per_s = per_minute / 60.0;
        (self.level + now.saturating_sub(self.at).as_secs_f64() * per_s).min(per_s * burst_s)
    }
}

fn millis(ms: f64) -> Duration {
    seconds(ms / 1000.0)
}

fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s.max(0.0))
}
