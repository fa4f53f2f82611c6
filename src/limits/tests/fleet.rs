//! What holds for several replicas together, whatever comes and whatever gets lost. Redis is a
//! model here: what its scripts do, in a few lines and in whole numbers.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::domain::period::Period;
use crate::limits::WaitingSpend;

const REPLICAS: usize = 3;
const MINUTE: u64 = 60_000_000;

/// A bucket in microseconds: when it is full, which one it is, how often it has changed; what
/// was taken since it was made, and when it was full before that, as far as is known.
#[derive(Clone, Copy)]
struct Bucket {
    full_at: u64,
    found_full: u64,
    made: u64,
    seq: u64,
    taken: i64,
    base: i64,
}

/// What the scripts keep, for one account.
#[derive(Clone)]
struct Redis {
    requests: Bucket,
    tokens: Bucket,
    places: HashMap<usize, (u32, UnixMillis)>,
    spent: HashMap<usize, (Spent, PicoUsd, UnixMillis)>,
}

impl Bucket {
    fn made(made: u64) -> Self {
        Self { full_at: 0, found_full: 0, made, seq: 0, taken: 0, base: 0 }
    }

    fn prepare(&mut self, ask: &RateAsk, now: u64) -> u64 {
        if ask.made > 0 && ask.made != self.made {
            self.base = self.base.max(now.cast_signed() + ask.full_in_us);
        } else if let Some(taken) = ask.taken_us {
            self.base = self.base.max(now.cast_signed() + ask.full_in_us - taken);
        }
        let worth = MINUTE / u64::from(ask.limit);
        if self.found_full <= now - u64::try_from(ask.back_age.as_micros()).unwrap() {
            self.full_at -= (ask.back * worth).min(self.full_at);
            self.taken -= (ask.back * worth).cast_signed();
        }
        self.full_at = self.full_at.max(now) + ask.charge * worth;
        self.taken += (ask.charge_in_all * worth).cast_signed();
        self.full_at = self.full_at.max((self.base + self.taken).try_into().unwrap_or(0));
        (now + MINUTE).saturating_sub(self.full_at) / worth
    }

    fn give(&mut self, ask: &RateAsk, free: u64, enough: bool, now: u64) -> RateGrant {
        let mut granted = 0;
        if enough {
            granted = ask.wanted.min(free);
            granted += ask.ahead.min((free - granted) / (4 * REPLICAS as u64));
        }
        if granted > 0 && self.full_at <= now {
            self.found_full = now;
        }
        let worth = MINUTE / u64::from(ask.limit);
        self.full_at += granted * worth;
        self.taken += (granted * worth).cast_signed();
        self.seq += 1;
        RateGrant { granted, owed_us: self.full_at - now, made: self.made, seq: self.seq, taken_us: self.taken }
    }
}

impl Default for Redis {
    fn default() -> Self {
        let (requests, tokens) = (Bucket::made(1), Bucket::made(1));
        Self { requests, tokens, places: HashMap::new(), spent: HashMap::new() }
    }
}

impl Redis {
    /// Forgets all but who has which places, which is known again as soon as everybody has told.
    fn forget(&mut self) {
        (self.requests, self.tokens) = (Bucket::made(self.requests.made + 1), Bucket::made(self.tokens.made + 1));
        self.spent.clear();
    }

    fn enter(&mut self, who: usize, ask: &EntryAsk, now: UnixMillis) -> EntryGrant {
        let us = now.0 * 1000;
        let others = self.places.iter().filter(|(other, (_, until))| **other != who && *until > now);
        let others: u32 = others.map(|(_, (places, _))| places).sum();
        let max = ask.places.max.unwrap_or(u32::MAX);
        let mut held = ask.places.held.max(ask.places.wanted.min(max.saturating_sub(others)));
        let of = |bucket: &mut Bucket, ask: &RateAsk| if ask.limit > 0 { bucket.prepare(ask, us) } else { u64::MAX };
        let (requests, tokens) = (of(&mut self.requests, &ask.requests), of(&mut self.tokens, &ask.tokens));
        let enough = held >= ask.places.need && requests >= ask.requests.need && tokens >= ask.tokens.need;
        if !enough {
            held = ask.places.held;
        }
        self.places.insert(who, (held, now + LEASE));
        let give = |bucket: &mut Bucket, ask: &RateAsk, free: u64| match ask.limit {
            0 => RateGrant::default(),
            _ => bucket.give(ask, free, enough, us),
        };
        EntryGrant {
            requests: give(&mut self.requests, &ask.requests, requests),
            tokens: give(&mut self.tokens, &ask.tokens, tokens),
            places: PlacesGrant { held, others },
        }
    }

    fn spend(&mut self, who: usize, ask: &SpendAsk, now: UnixMillis) -> SpendGrant {
        let mut others = [0; 3];
        let mut others_held = 0;
        for (spent, held, until) in self.spent.iter().filter(|(other, _)| **other != who).map(|(_, told)| told) {
            for period in Period::ALL {
                let current = spent.window(period).start >= ask.spent.window(period).start;
                others[period as usize] += if current { spent.get(period).0 } else { 0 };
            }
            others_held += if *until > now { held.0 } else { 0 };
        }
        let free = ask.budgets.iter().map(|budget| {
            let taken = [ask.spent.get(budget.period).0, others[budget.period as usize], others_held, ask.held.0];
            i128::from(budget.amount.0) - taken.into_iter().map(i128::from).sum::<i128>()
        });
        let free = free.min().unwrap_or(i128::MAX);
        let mut held = ask.held.0;
        if free >= i128::from(ask.need.0) {
            let free = u64::try_from(free).unwrap_or(u64::MAX);
            let more = ask.wanted.0.min(free);
            held += more + ask.ahead.0.min((free - more) / (4 * REPLICAS as u64));
        }
        self.spent.insert(who, (ask.spent, PicoUsd(held), now + LEASE));
        SpendGrant { held: PicoUsd(held), others: others.map(PicoUsd), others_held: PicoUsd(others_held) }
    }
}

/// What becomes of a question.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    Answered,
    NotSent,
    AnswerLost,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Enter {
        at: usize,
        tokens: u64,
        cost: u64,
    },
    /// The oldest request that is under way ends, having used this share, in percent.
    End {
        used: u64,
    },
    /// A replica tells what is due.
    Tend {
        at: usize,
    },
    Pass {
        ms: u64,
    },
    /// Redis forgets what was taken and spent, and is told again, by that replica first.
    Forget {
        first: usize,
    },
}

fn step() -> impl Strategy<Value = (Step, Way)> {
    let at = 0..REPLICAS;
    let step = prop_oneof![
        6 => (at.clone(), 0..150u64, 0..200u64).prop_map(|(at, tokens, cost)| Step::Enter { at, tokens, cost }),
        4 => (0..=100u64).prop_map(|used| Step::End { used }),
        2 => at.prop_map(|at| Step::Tend { at }),
        3 => prop_oneof![0..300u64, 0..5_000u64].prop_map(|ms| Step::Pass { ms }),
        1 => (0..REPLICAS).prop_map(|first| Step::Forget { first }),
    ];
    let way = prop_oneof![8 => Just(Way::Answered), 1 => Just(Way::NotSent), 1 => Just(Way::AnswerLost)];
    (step, way)
}

struct Fleet {
    redis: Redis,
    replicas: Vec<Arc<Account>>,
    now: UnixMillis,
    /// With what each took.
    open: Vec<(Permit, Reservation, u64)>,
    entered: u64,
    tokens: u64,
    spent: u64,
}

fn peers(rank: usize) -> Peers {
    Peers { count: REPLICAS as u32, rank: rank as u32 }
}

impl Fleet {
    fn new(limits: CallerLimits) -> Self {
        let replicas: Vec<_> = (0..REPLICAS).map(|_| key(limits)).collect();
        replicas.iter().for_each(|replica| replica.join());
        Self { redis: Redis::default(), replicas, now: NOON, open: Vec::new(), entered: 0, tokens: 0, spent: 0 }
    }

    /// Asks or tells; a replica that may not go on alone tries again later.
    fn entry(&mut self, at: usize, tokens: Option<u64>, way: Way, apart: bool) {
        let account = &self.replicas[at];
        let waiting = Waiting { tokens, all_requests: tokens.is_some().into(), all_tokens: tokens.unwrap_or(0) };
        let ask = account.ask_to_enter(waiting, peers(at), self.now);
        if way != Way::NotSent {
            let grant = self.redis.enter(at, &ask, self.now);
            if way == Way::Answered {
                return account.may_enter(&ask, &grant, self.now);
            }
        }
        account.entry_unanswered(&ask, way == Way::AnswerLost, self.now);
        if apart {
            account.enter_apart(waiting, peers(at), self.now);
        }
    }

    fn spending(&mut self, at: usize, amount: PicoUsd, way: Way, apart: bool) {
        let account = &self.replicas[at];
        let ask = account.ask_to_spend(WaitingSpend { amount, all: amount }, self.now).unwrap();
        if way != Way::NotSent {
            let grant = self.redis.spend(at, &ask, self.now);
            if way == Way::Answered {
                return account.may_spend(&ask, &grant, self.now);
            }
        }
        if apart {
            account.spend_apart(amount, peers(at), self.now);
        }
    }

    fn enter(&mut self, at: usize, tokens: u64, cost: u64, way: Way, apart: bool) -> Result<(), Refusal> {
        let account = [Arc::clone(&self.replicas[at])];
        if self.replicas[at].has_to_ask_to_enter(tokens, self.now) {
            self.entry(at, Some(tokens), way, apart);
        }
        let permit = enter(&account, tokens, self.now)?;
        let cost = PicoUsd(cost * DOLLAR / 100);
        if self.replicas[at].has_to_ask_to_spend(cost, self.now) {
            self.spending(at, cost, way, apart);
        }
        self.entered += 1;
        match reserve(&account, cost, self.now) {
            Ok(reservation) => {
                self.tokens += tokens;
                self.open.push((permit, reservation, tokens));
                Ok(())
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn step(&mut self, step: Step, way: Way, apart: bool) {
        match step {
            Step::Enter { at, tokens, cost } => drop(self.enter(at, tokens, cost, way, apart)),
            Step::End { used } if !self.open.is_empty() => {
                let (permit, reservation, all) = self.open.remove(0);
                permit.used(all * used / 100, self.now);
                self.tokens -= all - all * used / 100;
                let cost = PicoUsd(reservation.amount().0 * used / 100);
                self.spent += cost.0;
                reservation.settle(cost, self.now);
            }
            Step::End { .. } => {}
            Step::Tend { at } => {
                if self.replicas[at].has_to_tell_of_entries(self.now) {
                    self.entry(at, None, way, apart);
                }
                if self.replicas[at].has_to_tell_of_spending(self.now) {
                    self.spending(at, PicoUsd(0), way, apart);
                }
            }
            Step::Pass { ms } => self.now.0 += ms,
            Step::Forget { first } => {
                self.redis.forget();
                for at in (0..REPLICAS).map(|i| (first + i) % REPLICAS) {
                    self.entry(at, None, Way::Answered, false);
                    self.spending(at, PicoUsd(0), Way::Answered, false);
                }
            }
        }
    }

    fn reserved(&self) -> u64 {
        self.open.iter().map(|(_, reservation, _)| reservation.amount().0).sum()
    }

    fn in_flight(&self) -> u32 {
        self.replicas.iter().map(|replica| replica.in_flight()).sum()
    }

    /// What a limit per minute allows until now.
    fn allowed(&self, limit: u64) -> u64 {
        limit + limit * (self.now.0 - NOON.0) / 60_000
    }
}

#[test]
fn together_they_use_all_that_there_is() {
    // Whoever is refused by the one that is short first takes nothing of the others.
    let of = |limits, tokens, cost| {
        let mut fleet = Fleet::new(limits);
        let refused =
            (0..400).filter(|i| fleet.enter(i % REPLICAS, tokens, cost, Way::Answered, false).is_err()).count();
        (fleet.open.len(), refused + fleet.open.len(), fleet.tokens, fleet.reserved() / DOLLAR, fleet.in_flight())
    };
    assert_eq!(of(all_limits(60, 10_000, 100, "$500/month"), 10, 100), (60, 400, 600, 60, 60));
    assert_eq!(of(all_limits(600, 1000, 100, "$500/month"), 30, 100), (33, 400, 990, 33, 33));
    assert_eq!(of(all_limits(600, 10_000, 7, "$500/month"), 10, 100), (7, 400, 70, 7, 7));
    assert_eq!(of(all_limits(600, 10_000, 100, "$20/month"), 10, 300), (6, 400, 60, 18, 6));
}

fn all_limits(requests: u32, tokens: u32, max: u32, budget: &str) -> CallerLimits {
    CallerLimits { max_in_flight: Some(max), ..limits(requests, tokens, &[budget]) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Leases of places end with time, so no replica is silent for longer than one.
    #[test]
    fn together_they_keep_to_every_limit(steps in prop::collection::vec(step(), 1..120)) {
        let (requests, tokens, max, budget) = (60, 1000, 7, 20);
        let mut fleet = Fleet::new(all_limits(requests, tokens, max, "$20/month"));
        for (step, way) in steps {
            fleet.step(step, way, false);
            for at in 0..REPLICAS {
                fleet.step(Step::Tend { at }, Way::Answered, false);
            }
            prop_assert!(fleet.entered <= fleet.allowed(requests.into()), "{} requests", fleet.entered);
            prop_assert!(fleet.tokens <= fleet.allowed(tokens.into()), "{} tokens", fleet.tokens);
            prop_assert!(fleet.in_flight() <= max, "{} at once", fleet.in_flight());
            let money = fleet.spent + fleet.reserved();
            prop_assert!(money <= budget * DOLLAR, "{money} spent or set aside");
        }
    }

    #[test]
    fn what_is_not_used_can_be_used_by_others(steps in prop::collection::vec(step(), 1..60)) {
        let mut fleet = Fleet::new(all_limits(60, 1000, 7, "$20/month"));
        for (step, _) in steps {
            fleet.step(step, Way::Answered, false);
        }
        fleet.open.clear();
        // Whatever was held is back after a while, and all is there again but for the money.
        for _ in 0..4 {
            for at in 0..REPLICAS {
                fleet.step(Step::Tend { at }, Way::Answered, false);
            }
            fleet.now.0 += 1500;
        }
        prop_assert!(fleet.replicas.iter().all(|replica| replica.is_idle(fleet.now)));
        fleet.now.0 += 120_000;
        let left = PicoUsd(20 * DOLLAR - fleet.spent);
        fleet.enter(1, 1000, left.0 / (DOLLAR / 100), Way::Answered, false).unwrap();
    }

    /// Redis is never there, and nobody has heard of the others.
    #[test]
    fn apart_they_keep_to_every_limit_as_well(steps in prop::collection::vec(step(), 1..120)) {
        let (requests, tokens, max, budget) = (60, 1000, 7, 20);
        let mut fleet = Fleet::new(all_limits(requests, tokens, max, "$20/month"));
        // A Redis that forgets is one that is asked afterwards.
        for (step, _) in steps.into_iter().filter(|(step, _)| !matches!(step, Step::Forget { .. })) {
            fleet.step(step, Way::NotSent, true);
            prop_assert!(fleet.entered <= fleet.allowed(requests.into()), "{} requests", fleet.entered);
            prop_assert!(fleet.tokens <= fleet.allowed(tokens.into()), "{} tokens", fleet.tokens);
            prop_assert!(fleet.in_flight() <= max, "{} at once", fleet.in_flight());
            prop_assert!(fleet.spent + fleet.reserved() <= budget * DOLLAR);
        }
    }

    /// Redis goes and comes, for all at once. Who is apart does not know what the others have
    /// taken since it heard of them last, so together they may take some of that again; but never
    /// the limit of each, and nothing more once all have told what they did.
    #[test]
    fn an_outage_adds_less_than_the_limit(
        steps in prop::collection::vec(step(), 1..150), goes in 0..80usize, comes in 80..150usize,
    ) {
        let (requests, budget) = (60, 20);
        let mut fleet = Fleet::new(all_limits(requests, 1000, 7, "$20/month"));
        for (i, (step, _)) in steps.into_iter().enumerate() {
            let away = (goes..comes).contains(&i);
            if i == comes {
                (0..REPLICAS).for_each(|at| fleet.step(Step::Tend { at }, Way::Answered, false));
            }
            fleet.step(step, if away { Way::NotSent } else { Way::Answered }, away);
            let money = fleet.spent + fleet.reserved();
            prop_assert!(fleet.entered < 2 * fleet.allowed(requests.into()), "{} requests", fleet.entered);
            prop_assert!(money < 2 * budget * DOLLAR, "{money} spent or set aside");
        }
    }

    /// Redis goes, and perhaps what it knew with it. The replicas come back one by one, and those that are
    /// back go on meanwhile. When all have told what they know, as much is taken as was.
    #[test]
    fn once_all_have_told_after_an_outage_redis_knows_all(
        before in prop::collection::vec(step(), 1..80), during in prop::collection::vec(step(), 0..60),
        forgets in any::<bool>(), order in Just([0, 1, 2]).prop_shuffle(), between in prop::collection::vec(step(), 0..40),
    ) {
        let requests = 60;
        let mut fleet = Fleet::new(all_limits(requests, 1000, 7, "$2000/month"));
        for (step, _) in before {
            fleet.step(step, Way::Answered, false);
        }
        if forgets {
            fleet.redis.forget();
        }
        let remembered = |step: &Step| !matches!(step, Step::Forget { .. });
        for (step, _) in during.into_iter().filter(|(step, _)| remembered(step)) {
            fleet.step(step, Way::NotSent, true);
        }
        let mut between = between.into_iter().filter(|(step, _)| remembered(step));
        for (i, at) in order.into_iter().enumerate() {
            fleet.entry(at, None, Way::Answered, false);
            for (step, _) in between.by_ref().take(8) {
                let (Step::Enter { at: who, .. } | Step::Tend { at: who }) = step else {
                    fleet.step(step, Way::Answered, false);
                    continue;
                };
                let is_back = order[..=i].contains(&who);
                fleet.step(step, if is_back { Way::Answered } else { Way::NotSent }, !is_back);
            }
        }
        let entered = fleet.entered;
        fleet.open.clear();
        for i in 0..100 {
            drop(fleet.enter(i % REPLICAS, 0, 0, Way::Answered, false));
            fleet.open.clear();
        }
        let allowed = fleet.allowed(requests.into()).max(entered);
        prop_assert!(fleet.entered <= allowed, "{entered}, then {} of {allowed}", fleet.entered);
    }
}
