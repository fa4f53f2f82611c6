//! Orders by what is observed.

use super::super::*;
use crate::domain::alias::{Identity, LatencyOptions, MaxPrice, PriceOptions, ThroughputMetric, UsageOptions};
use crate::domain::failure::FailureKind;
use crate::domain::money::{PicoUsd, Prices, Rates};
use crate::health::State;
use crate::routing::tests_support::{Case, fleet, measured, order, unmeasured};
use crate::stats::Usage;
use crate::stats::share::FleetReading;

/// A case under a scoring, each endpoint measured at these seconds to the first token and
/// per output token.
fn scored(scoring: Scoring, speeds: &[(f64, f64)]) -> (Case, Snapshot) {
    let mut case = fleet(&vec![None; speeds.len()]);
    case.alias.strategy = Strategy::Scored(scoring);
    for target in &mut case.alias.targets {
        target.rank = 0;
    }
    let mut snapshot = case.snapshot();
    for (state, (first, token)) in snapshot.endpoints.iter_mut().zip(speeds) {
        state.reading = measured(*first, *token);
    }
    (case, snapshot)
}

fn latency() -> Scoring {
    Scoring::LowestLatency(LatencyOptions::default())
}

#[test]
fn latency_weighs_the_first_token_and_the_expected_length() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.02), (1.0, 0.005)]);
    snapshot.alias.expected_output = 10.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.alias.expected_output = 1000.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

#[test]
fn latency_of_long_prompts_follows_the_slope() {
    let (mut case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.4, 0.01)]);
    snapshot.endpoints[0].reading.slope = 1.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    case.facts.prompt_tokens = 8000;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

#[test]
fn a_queue_is_charged_and_a_target_without_one_is_not() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.5, 0.01)]);
    let fast = &mut snapshot.endpoints[0].reading;
    (fast.window, fast.in_flight, fast.holding_s) = (4.0, 8, 3.0);
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.endpoints[0].reading.queued = true;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

#[test]
fn requests_that_wait_far_too_long_count_before_they_end() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.8, 0.01)]);
    let wait = crate::stats::Wait { since: UnixMillis(Case::NOW.0 - 4000), predicted_s: 0.2 };
    snapshot.endpoints[0].reading.waits = [wait; 2];
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

#[test]
fn near_ties_go_to_the_less_busy_and_then_to_anybody() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.2, 0.010_01)]);
    let firsts = (0..200).filter(|seed| order(&case.rank_with(&snapshot, *seed))[0] == 0).count();
    assert!((60..140).contains(&firsts), "{firsts}");
    snapshot.endpoints[0].reading.in_flight = 3;
    assert!((0..50).all(|seed| order(&case.rank_with(&snapshot, seed))[0] == 1));
}

#[test]
fn the_never_measured_gets_a_few_requests_and_no_more() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.3, 0.01)]);
    snapshot.endpoints[1].reading = unmeasured();
    let plan = case.rank_with(&snapshot, 1);
    assert_eq!((order(&plan), plan.candidates[0].purpose), (vec![1, 0], Purpose::Cold));
    snapshot.endpoints[1].reading.in_flight = 2;
    assert_eq!(case.rank_with(&snapshot, 1).candidates[0].purpose, Purpose::Usual);
    assert_eq!(order(&case.rank_with(&snapshot, 1))[0], 0);
}

#[test]
fn where_nothing_is_measured_the_least_busy_comes_first() {
    let (case, mut snapshot) = scored(latency(), &[(0.2, 0.01); 3]);
    for (state, busy) in snapshot.endpoints.iter_mut().zip([3, 1, 2]) {
        state.reading = unmeasured();
        state.reading.in_flight = busy;
    }
    let plan = case.rank_with(&snapshot, 1);
    assert_eq!((plan.candidates[0].endpoint, plan.candidates[0].purpose), (EndpointIdx(1), Purpose::Usual));
}

#[test]
fn who_looks_worse_is_looked_at_again_when_it_is_due_and_can_be_paid() {
    let (mut case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.6, 0.02)]);
    let slow = &mut snapshot.endpoints[1].reading;
    slow.sent_at = UnixMillis(Case::NOW.0 - 30_000);
    // It was faster once.
    slow.potential = 0.02f64.ln();
    (slow.first_at, slow.token_at) = (slow.sent_at, slow.sent_at);
    slow.token_s = 0.011;
    snapshot.alias.explore = 2.0;
    let plan = case.rank_with(&snapshot, 1);
    assert_eq!((order(&plan), plan.candidates[0].purpose), (vec![1, 0], Purpose::Explore));
    assert!(plan.excess > 0.0 && plan.promising);
    snapshot.alias.explore = 0.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.alias.explore = 2.0;
    snapshot.endpoints[1].reading.sent_at = Case::NOW;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.endpoints[1].reading.sent_at = UnixMillis(0);
    case.alias.adaptivity.explore = 0.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
}

#[test]
fn throughput_takes_the_least_utilised_and_the_fastest_stream_if_asked() {
    let (mut case, mut snapshot) =
        scored(Scoring::HighestThroughput(ThroughputMetric::Requests), &[(0.2, 0.01), (0.2, 0.02)]);
    for (state, (size, busy)) in snapshot.endpoints.iter_mut().zip([(4.0, 3), (40.0, 5)]) {
        let reading = &mut state.reading;
        (reading.window, reading.in_flight, reading.queued, reading.holding_s) = (size, busy, true, 2.0);
        reading.peak = 0.0;
    }
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
    case.alias.strategy = Strategy::Scored(Scoring::HighestThroughput(ThroughputMetric::TokensPerSecond));
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
}

#[test]
fn usage_takes_the_least_used_against_its_weight_or_its_limits() {
    let (mut case, mut snapshot) = scored(Scoring::LowestUsage(UsageOptions::default()), &[(0.2, 0.01); 2]);
    for (state, tokens) in snapshot.endpoints.iter_mut().zip([300, 200]) {
        state.reading.usage = Usage { requests: 1, tokens, cost: 0 };
    }
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
    case.alias.targets[0].weight = 2.0;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    // One limit alone is of another unit than the other's tokens.
    snapshot.endpoints[0].reading.limit_used = 0.9;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.endpoints[1].reading.limit_used = 0.1;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

#[test]
fn usage_is_equal_where_others_may_have_used_the_difference_since() {
    let (case, mut snapshot) = scored(Scoring::LowestUsage(UsageOptions::default()), &[(0.2, 0.01); 2]);
    for (state, tokens) in snapshot.endpoints.iter_mut().zip([10_000, 10_200]) {
        state.reading.usage = Usage { requests: 1, tokens, cost: 0 };
    }
    let firsts = |snapshot: &Snapshot| (0..100).filter(|seed| order(&case.rank_with(snapshot, *seed))[0] == 0).count();
    assert_eq!(firsts(&snapshot), 100);
    // Three others, heard two seconds ago: 3/4 of what a minute has in two seconds.
    let oldest = UnixMillis(Case::NOW.0 - 2000);
    snapshot.fleet = FleetReading { others: 3, oldest, newest: oldest };
    assert!((30..70).contains(&firsts(&snapshot)), "{}", firsts(&snapshot));
    snapshot.endpoints[1].reading.usage.tokens = 10_300;
    assert_eq!(firsts(&snapshot), 100);
}

fn priced(case: &mut Case, usd: &[Option<f64>]) {
    for (endpoint, usd) in case.catalog.endpoints.iter_mut().zip(usd) {
        endpoint.prices = usd.and_then(PicoUsd::per_token_from_usd_per_mtok).map(|price| {
            let base = Rates { input: price, output: price, cached_input: price, cache_write: price };
            Prices { base, tiers: Vec::new() }.into()
        });
    }
}

#[test]
fn an_unknown_price_comes_last_and_zero_is_a_price() {
    let scoring = |strict| Scoring::LowestPrice(PriceOptions { strict, max_latency: None });
    let (mut case, snapshot) = scored(scoring(false), &[(0.2, 0.01); 4]);
    case.facts.prompt_tokens = 1000;
    priced(&mut case, &[None, Some(2.0), Some(0.0), Some(1.0)]);
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [2, 3, 1, 0]);
    case.alias.strategy = Strategy::Scored(scoring(true));
    let plan = case.rank_with(&snapshot, 1);
    assert_eq!((order(&plan), &plan.skipped[0].reason), (vec![2, 3, 1], &SkipReason::NoPrice));
}

#[test]
fn the_cheap_that_are_too_slow_come_after_those_that_are_not() {
    let max_latency = Some(std::time::Duration::from_secs(2));
    let scoring = Scoring::LowestPrice(PriceOptions { strict: false, max_latency });
    let (mut case, mut snapshot) = scored(scoring, &[(5.0, 0.001), (0.2, 0.001)]);
    snapshot.alias.expected_output = 100.0;
    case.facts.prompt_tokens = 1000;
    priced(&mut case, &[Some(1.0), Some(9.0)]);
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
}

#[test]
fn what_costs_more_than_the_alias_accepts_is_left_out() {
    let mut case = fleet(&[None; 3]);
    priced(&mut case, &[Some(2.0), Some(1.0), None]);
    case.alias.max_price = Some(MaxPrice { input: PicoUsd::per_token_from_usd_per_mtok(1.5), output: None });
    let plan = case.rank(&[], 1);
    let reasons: Vec<_> = plan.skipped.iter().map(|skipped| skipped.reason.clone()).collect();
    assert_eq!((order(&plan), reasons), (vec![1], vec![SkipReason::TooDear, SkipReason::NoPrice]));
}

#[test]
fn who_fails_far_more_than_its_peers_stands_behind_and_nobody_is_left_out() {
    let case = fleet(&[None; 3]);
    let mut snapshot = case.snapshot();
    snapshot.endpoints[0].reading.failing = 0.45;
    snapshot.endpoints[0].reading.failing_at = Case::NOW;
    snapshot.endpoints[0].reading.sent_at = Case::NOW;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 2, 0]);
    for state in &mut snapshot.endpoints {
        state.reading.failing = 0.45;
        state.reading.failing_at = Case::NOW;
    }
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1, 2]);
}

#[test]
fn a_brown_out_of_the_first_rank_is_found_by_its_latency() {
    let case = fleet(&[None; 2]);
    let mut snapshot = case.snapshot();
    for (state, first) in snapshot.endpoints.iter_mut().zip([20.0, 0.4]) {
        state.reading = measured(first, 0.001);
    }
    // Slow by nature is no brown-out: the person wanted it first.
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.endpoints[0].reading.potential = 0.3f64.ln();
    let plan = case.rank_with(&snapshot, 1);
    assert_eq!(order(&plan), [1, 0]);
    assert!(matches!(plan.candidates[1].why, Why::Slow { .. }));
}

#[test]
fn a_conversation_stays_at_home_if_home_is_nearly_as_good() {
    let (mut case, mut snapshot) = scored(latency(), &[(0.3, 0.01), (0.35, 0.01)]);
    case.facts.prompt_tokens = 8000;
    snapshot.alias.expected_output = 10.0;
    for state in &mut snapshot.endpoints {
        state.reading.slope = 0.2;
    }
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
    snapshot.home = Some(EndpointIdx(1));
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0]);
    snapshot.endpoints[1].reading.first_s = 3.5;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
}

#[test]
fn sticky_shares_are_exact_and_a_change_moves_only_who_must_move() {
    let mut case = fleet(&[None; 3]);
    case.alias.strategy = Strategy::RandomShuffle { sticky_by: Some(Identity::User) };
    let mut arms = |weights: [f64; 3]| -> Vec<usize> {
        for (target, weight) in case.alias.targets.iter_mut().zip(weights) {
            target.weight = weight;
        }
        let arm = |user: u64| {
            case.facts.identity = Some(user.wrapping_mul(0x2545_f491_4f6c_dd1d));
            let first = |seed| order(&case.rank(&[], seed))[0];
            assert_eq!(first(1), first(2));
            first(1)
        };
        (0..5000).map(arm).collect()
    };
    let (before, after) = (arms([50.0, 30.0, 20.0]), arms([50.0, 60.0, 20.0]));
    let share = |arms: &[usize], arm| arms.iter().filter(|a| **a == arm).count() as f64 / 5000.0;
    assert!((share(&before, 0) - 0.5).abs() < 0.03 && (share(&after, 1) - 60.0 / 130.0).abs() < 0.03);
    for (was, is) in before.iter().zip(&after) {
        assert!(was == is || *is == 1, "only towards the arm that grew");
    }
}

#[test]
fn where_another_stands_by_a_late_attempt_is_left_or_doubled() {
    let (mut case, mut snapshot) = scored(latency(), &[(0.2, 0.01), (0.21, 0.01)]);
    case.facts.stream = true;
    snapshot.alias.hedge = true;
    let plan = case.rank_with(&snapshot, 1);
    let after = plan.candidates[0].give_up_s.unwrap();
    assert!((1.0..3.0).contains(&after), "{after}");
    assert_eq!((plan.candidates[0].hedge_s, plan.candidates[1].give_up_s), (None, None));
    case.alias.adaptivity.hedge = 0.04;
    assert!(case.rank_with(&snapshot, 1).candidates[0].hedge_s.unwrap() < 0.5);
    snapshot.endpoints[1].reading.first_s = 0.9;
    assert_eq!(case.rank_with(&snapshot, 1).candidates[0].hedge_s, None);
    case.alias.adaptivity.give_up_early = false;
    assert_eq!(case.rank_with(&snapshot, 1).candidates[0].give_up_s, None);
}

#[test]
fn nobody_is_brought_forward_to_learn_over_a_higher_rank_or_as_a_last_resort() {
    let (mut case, mut snapshot) = scored(latency(), &[(0.2, 0.01); 3]);
    case.alias.strategy = Strategy::Priority { within: Some(latency()) };
    for (target, rank) in case.alias.targets.iter_mut().zip([0, 0, 1]) {
        target.rank = rank;
    }
    snapshot.endpoints[2].reading = unmeasured();
    assert!((0..20).all(|seed| order(&case.rank_with(&snapshot, seed))[2] == 2));
    snapshot.endpoints[1].reading = unmeasured();
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [1, 0, 2]);

    let (mut case, mut snapshot) = scored(latency(), &[(0.2, 0.01); 2]);
    case.alias.targets[1].last_resort = true;
    let out = State::Open { until: UnixMillis(5), round: 1, cause: FailureKind::Connect };
    snapshot.endpoints[1].reading.health.state = out;
    assert_eq!(order(&case.rank_with(&snapshot, 1)), [0, 1]);
}

#[test]
fn a_hedge_goes_to_the_next_so_the_next_has_to_be_as_fast() {
    let (mut case, mut snapshot) = scored(latency(), &[(0.2, 0.001), (0.9, 0.001), (0.25, 0.1)]);
    case.facts.stream = true;
    case.alias.adaptivity.hedge = 0.04;
    snapshot.alias.hedge = true;
    let plan = case.rank_with(&snapshot, 1);
    assert_eq!((order(&plan), plan.candidates[0].hedge_s), (vec![0, 1, 2], None));
}
