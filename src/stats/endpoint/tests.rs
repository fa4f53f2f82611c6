use super::*;
use crate::domain::failure::FailureKind;
use crate::domain::usage::TokenUsage;
use crate::stats::attempt::End;

const OUTPUT: u64 = 50;

fn at(ms: u64) -> UnixMillis {
    UnixMillis(1_000_000 + ms)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn ask() -> Ask {
    Ask { prompt_tokens: 100, output_tokens: OUTPUT, stream: true, ..Ask::default() }
}

fn usage() -> TokenUsage {
    TokenUsage { input: 100, output: OUTPUT, ..TokenUsage::default() }
}

/// One stream from beginning to end.
fn stream(stats: &mut EndpointStats, now: u64, first: u64, total: u64) {
    let mut ticket = stats.begin(&ask(), at(now)).unwrap();
    stats.first_token(&mut ticket, ms(first), at(now + first));
    let end = End { usage: usage(), pieces: OUTPUT, elapsed: ms(total), ..End::default() };
    stats.end(ticket, &end, at(now + total), 0.5);
}

fn fail(stats: &mut EndpointStats, now: u64, kind: FailureKind, elapsed: u64) {
    let ticket = stats.begin(&ask(), at(now)).unwrap();
    let end = End { failure: Some(kind), elapsed: ms(elapsed), ..End::default() };
    stats.end(ticket, &end, at(now + elapsed), 0.5);
}

#[test]
fn streams_teach_both_speeds() {
    let mut stats = EndpointStats::new(Limits::default());
    for i in 0..30 {
        stream(&mut stats, i * 2000, 200, 200 + 490);
    }
    let reading = stats.reading(at(60_000));
    assert!((reading.first_s / 0.2).ln().abs() < 0.15, "{reading:?}");
    assert!((reading.token_s / 0.01).ln().abs() < 0.2, "{reading:?}");
    assert_eq!((reading.in_flight, reading.samples), (0, 30));
}

#[test]
fn a_429_is_no_latency_sample_and_no_failure() {
    let mut stats = EndpointStats::new(Limits::default());
    stream(&mut stats, 0, 200, 700);
    let before = stats.reading(at(1000));
    let ticket = stats.begin(&ask(), at(1000)).unwrap();
    let end =
        End { failure: Some(FailureKind::RateLimited), retry_at: Some(at(9000)), elapsed: ms(3), ..End::default() };
    stats.end(ticket, &end, at(1003), 0.5);
    let after = stats.reading(at(1003));
    assert_eq!((after.first_s, after.failing, after.samples), (before.first_s, 0.0, 1));
    assert_eq!(after.health.blocked_until, at(9000));
}

#[test]
fn a_fast_failure_never_makes_a_target_look_fast() {
    let mut stats = EndpointStats::new(Limits::default());
    for i in 0..5 {
        stream(&mut stats, i * 1000, 200, 700);
    }
    let before = stats.reading(at(5000)).first_s;
    fail(&mut stats, 5000, FailureKind::ServerError, 1);
    fail(&mut stats, 5100, FailureKind::Connect, 1);
    let after = stats.reading(at(5200));
    assert_eq!(after.first_s, before);
    assert!(after.failing > 0.2);
}

#[test]
fn a_time_out_counts_as_at_least_its_deadline() {
    let mut stats = EndpointStats::new(Limits::default());
    for i in 0..20 {
        stream(&mut stats, i * 1000, 200, 700);
    }
    fail(&mut stats, 20_000, FailureKind::Timeout, 5000);
    fail(&mut stats, 25_000, FailureKind::Timeout, 5000);
    assert!(stats.reading(at(30_000)).first_s > 2.0);
}

#[test]
fn tokens_are_reserved_and_what_was_not_used_is_given_back() {
    let limits = Limits { tokens_per_minute: Some(400), ..Limits::default() };
    let mut stats = EndpointStats::new(limits);
    let one = stats.begin(&ask(), at(0)).unwrap();
    let two = stats.begin(&ask(), at(0)).unwrap();
    assert_eq!(stats.begin(&ask(), at(0)), Err(Refused::AtLimit));
    assert_eq!(stats.reading(at(0)).usage.tokens, 300);
    for ticket in [one, two] {
        let used = TokenUsage { input: 20, output: 5, ..TokenUsage::default() };
        stats.end(ticket, &End { usage: used, elapsed: ms(1), ..End::default() }, at(1), 0.5);
    }
    assert_eq!(stats.reading(at(1)).usage.tokens, 50);
    assert!(stats.begin(&ask(), at(1)).is_ok());
}

#[test]
fn limits_hold_and_are_seen_before_they_are_hit() {
    let limits = Limits { requests_per_minute: Some(2), max_in_flight: Some(1), ..Limits::default() };
    let mut stats = EndpointStats::new(limits);
    let ticket = stats.begin(&ask(), at(0)).unwrap();
    assert_eq!(stats.begin(&ask(), at(0)), Err(Refused::AtLimit));
    assert_eq!(stats.reading(at(0)).limit_used, 1.0);
    stats.end(ticket, &End::default(), at(1), 0.5);
    stream(&mut stats, 2, 1, 2);
    let reading = stats.reading(at(10));
    assert!(reading.limited_until > at(29_000) && reading.limited_until < at(31_000));
}

#[test]
fn what_a_provider_tells_of_its_limits_is_believed_until_its_reset() {
    let mut stats = EndpointStats::new(Limits::default());
    let told = Allowance { limit: Some(60), remaining: Some(0), reset_at: Some(at(5000)) };
    stats.told(&RateHint { requests: Some(told), tokens: None }, at(0));
    let reading = stats.reading(at(0));
    assert_eq!((reading.limited_until, reading.limit_used, reading.rate), (at(5000), 1.0, 1.0));
    assert_eq!(stats.begin(&ask(), at(10)), Err(Refused::AtLimit));
    assert!(stats.begin(&ask(), at(5000)).is_ok());
}

#[test]
fn an_explorer_goes_alone() {
    let mut stats = EndpointStats::new(Limits::default());
    let seen = stats.reading(at(0)).sent_at;
    let explore = Ask { purpose: Purpose::Explore, seen_sent_at: seen, ..ask() };
    assert!(stats.begin(&explore, at(0)).is_ok());
    assert_eq!(stats.begin(&explore, at(1)), Err(Refused::Explored));
}

#[test]
fn the_never_measured_gets_two_at_a_time() {
    let mut stats = EndpointStats::new(Limits::default());
    let cold = Ask { purpose: Purpose::Cold, ..ask() };
    assert!(stats.begin(&cold, at(0)).is_ok() && stats.begin(&cold, at(0)).is_ok());
    assert_eq!(stats.begin(&cold, at(0)), Err(Refused::Explored));
}

#[test]
fn counting_tokens_says_nothing_of_the_speed() {
    let mut stats = EndpointStats::new(Limits::default());
    for i in 0..5 {
        let counting = Ask { stream: false, unmeasured: true, ..ask() };
        let ticket = stats.begin(&counting, at(i)).unwrap();
        stats.end(ticket, &End { elapsed: ms(2), ..End::default() }, at(i), 0.5);
    }
    assert_eq!(stats.reading(at(9)).samples, 0);
    assert_eq!(stats.history().since_start().successes, 5);
}

#[test]
fn a_piece_of_many_tokens_is_no_slow_token() {
    let mut stats = EndpointStats::new(Limits::default());
    for i in 0..20 {
        let mut ticket = stats.begin(&ask(), at(i * 2000)).unwrap();
        stats.first_token(&mut ticket, ms(200), at(i * 2000 + 200));
        // Ten pieces of ten tokens each, in a second.
        let used = TokenUsage { input: 100, output: 100, ..TokenUsage::default() };
        let end = End { usage: used, pieces: 10, elapsed: ms(1200), ..End::default() };
        stats.end(ticket, &end, at(i * 2000 + 1200), 0.5);
    }
    let token_s = stats.reading(at(40_000)).token_s;
    assert!((token_s / 0.01).ln().abs() < 0.3, "{token_s}");
}

#[test]
fn a_long_answer_that_is_not_streamed_is_no_hang() {
    let mut stats = EndpointStats::new(Limits::default());
    let whole = Ask { stream: false, ..ask() };
    for i in 0..30 {
        let ticket = stats.begin(&whole, at(i * 1000)).unwrap();
        let end = End { usage: usage(), elapsed: ms(700), ..End::default() };
        stats.end(ticket, &end, at(i * 1000 + 700), 0.5);
    }
    stats.begin(&whole, at(40_000)).unwrap();
    stats.begin(&whole, at(40_000)).unwrap();
    // Answers three times as long as expected are ordinary, ten times as long are not.
    assert_eq!(stats.reading(at(42_000)).predict(0.1, at(42_000)).raised, 0.0);
    assert!(stats.reading(at(50_000)).predict(0.1, at(50_000)).raised > 0.0);
}
