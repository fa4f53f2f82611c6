//! Replicas in one process, whose messages come in whatever order, twice, or from before a
//! restart.

use std::time::Duration;

use proptest::prelude::*;

use super::{Content, EndpointKey, Frame, Origin, Outbox, Peers, Speaker};
use crate::domain::provider::Limits;
use crate::domain::time::UnixMillis;
use crate::domain::usage::TokenUsage;
use crate::stats::history::{Distribution, History, Sample, Sums};
use crate::stats::{Ask, End, EndpointStats};

const KEY: EndpointKey = EndpointKey(7);
const BEGIN: UnixMillis = UnixMillis(1_700_000_000_000);
const WINDOW: Duration = Duration::from_secs(900);

/// An answer of `ms` milliseconds, `at` seconds after the beginning.
#[derive(Clone, Copy, Debug)]
struct Answer {
    replica: usize,
    at: u64,
    ms: u64,
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let answer = (0..3usize, 0..400u64, 1..60_000u64).prop_map(|(replica, at, ms)| Answer { replica, at, ms });
    proptest::collection::vec(answer, 1..120).prop_map(|mut answers| {
        answers.sort_by_key(|answer| answer.at);
        answers
    })
}

/// What each of three replicas has to say of its answers, and one history of all of them.
fn told(answers: &[Answer]) -> (Vec<Vec<u8>>, History) {
    let mut replicas: Vec<_> = (1..=3)
        .map(|replica| (EndpointStats::new(Limits::default()), Speaker::new(Origin { replica, epoch: 1 })))
        .collect();
    let (mut messages, mut whole) = (Vec::new(), History::default());
    let mut next = answers.iter().peekable();
    for second in 0..=410 {
        let now = BEGIN + Duration::from_secs(second);
        while let Some(answer) = next.next_if(|answer| answer.at == second) {
            let (stats, _) = &mut replicas[answer.replica];
            let took = Duration::from_millis(answer.ms);
            let usage = TokenUsage { input: 10, output: answer.ms % 50, ..TokenUsage::default() };
            if let Ok(ticket) = stats.begin(&Ask::default(), now) {
                stats.end(ticket, &End { usage, elapsed: took, ..End::default() }, now, 0.5);
            }
            whole.record(&Sample { total: took, usage, ..Sample::default() }, now);
        }
        for (stats, speaker) in replicas.iter_mut().filter(|_| second % 5 == 0) {
            stats.closed_slices(now, |number, slice, sums| speaker.outbox.put(KEY, number, slice, sums));
            while let (number, frames) = speaker.slices(now)
                && !frames.is_empty()
            {
                messages.extend(frames);
                speaker.outbox.arrived(number);
            }
        }
    }
    (messages, whole)
}

fn hear(stats: &mut EndpointStats, peers: &mut Peers, message: &[u8], now: UnixMillis) {
    let frame = Frame::read(message).unwrap();
    if peers.accept(&frame, Duration::ZERO, now)
        && let Content::Slices(records) = frame.content
    {
        records.for_each(|(_, slice)| stats.hear_slice(frame.from, &slice, Duration::ZERO, now));
    }
}

fn heard(messages: &[Vec<u8>], now: UnixMillis) -> (Sums, Sums, Vec<Duration>) {
    let (mut stats, mut peers) = (EndpointStats::new(Limits::default()), Peers::new(Origin { replica: 99, epoch: 1 }));
    messages.iter().for_each(|message| hear(&mut stats, &mut peers, message, now));
    let mut window = Sums::default();
    let voices = stats.voices().unwrap();
    voices.history().add_sums(&mut window, WINDOW, now);
    let mut buckets = voices.history().buckets(Distribution::AnswerTotal, WINDOW, now);
    let quantiles =
        History::default().quantiles(Distribution::AnswerTotal, [0.5, 0.95, 0.99], WINDOW, now, &mut buckets);
    (window, voices.since_start(), quantiles.unwrap().into())
}

proptest! {
    #[test]
    fn sums_and_quantiles_are_those_of_one_process_in_any_order_and_however_often(
        answers in answers(),
        order in any::<u64>(),
        again in 0..3usize,
    ) {
        let now = BEGIN + Duration::from_secs(410);
        let (messages, whole) = told(&answers);
        let mut shuffled: Vec<Vec<u8>> = messages.iter().cycle().take(messages.len() * (again + 1)).cloned().collect();
        let count = shuffled.len();
        for at in 1..count {
            // As good as any, and the same for the same seed.
            let other = order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(at as u64 * 40_503) as usize % (at + 1);
            shuffled.swap(at, other);
        }
        let (window, since_start, quantiles) = heard(&shuffled, now);
        prop_assert_eq!(&window, whole.since_start());
        prop_assert_eq!(&since_start, whole.since_start());
        let of_one = whole.quantiles(Distribution::AnswerTotal, [0.5, 0.95, 0.99], WINDOW, now, &mut std::iter::empty());
        prop_assert_eq!(quantiles, of_one.unwrap().to_vec());
    }

    #[test]
    fn a_message_that_is_none_is_refused_or_passed_over(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let frame = [&[1, 3][..], &bytes].concat();
        for bytes in [bytes, frame] {
            if let Ok(Frame { content: Content::Slices(records), .. }) = Frame::read(&bytes) {
                records.for_each(drop);
            }
        }
    }
}

#[test]
fn slices_wait_until_they_have_arrived_and_the_oldest_give_way() {
    let mut outbox = Outbox::default();
    let me = Origin { replica: 1, epoch: 1 };
    let (mut sequence, sums) = (0, Sums { successes: 1, ..Sums::default() });
    let slice = |second: u64| crate::stats::history::Slice {
        start: BEGIN + Duration::from_secs(second),
        sums,
        ..Default::default()
    };
    outbox.put(KEY, 1, &slice(0), &sums);
    outbox.put(KEY, 2, &slice(600), &sums);
    let (first, frames) = outbox.frames(me, &mut sequence, BEGIN + Duration::from_secs(601));
    assert_eq!(frames.len(), 1);
    // While they were under way another one came.
    outbox.put(KEY, 3, &slice(605), &sums);
    outbox.arrived(first);
    assert_eq!(outbox.standing(), (1, 0));
    // What has waited for long comes in parts, the oldest first.
    let long = crate::stats::history::Slice {
        buckets: std::array::from_fn(|_| (0..200).map(|value| (value, 1)).collect()),
        ..slice(610)
    };
    (4..200).for_each(|number| outbox.put(KEY, number, &long, &sums));
    let mut parts = 0;
    while let (number, frames) = outbox.frames(me, &mut sequence, BEGIN + Duration::from_secs(700))
        && !frames.is_empty()
        && outbox.standing().0 > 1
    {
        let bytes: usize = frames.iter().map(Vec::len).sum();
        assert!(bytes < 80 << 10, "{bytes}");
        outbox.arrived(number);
        parts += 1;
    }
    assert!((3..20).contains(&parts), "{parts}");
    outbox.put(KEY, 200, &slice(615), &sums);
    // Nobody's window reaches so far back any more.
    let (_, frames) = outbox.frames(me, &mut sequence, BEGIN + Duration::from_secs(1600));
    assert!(frames.is_empty());
    assert_eq!(outbox.standing(), (0, 1));
}

#[test]
fn an_earlier_process_of_ones_own_is_heard_but_not_its_pulses() {
    let (now, me) = (BEGIN, Origin { replica: 1, epoch: 2 });
    let mut peers = Peers::new(me);
    let mut before = Speaker::new(Origin { replica: 1, epoch: 1 });
    let (pulse, known) = (before.pulses([]).remove(0), before.knowledge([]).remove(0));
    let mut accept = |message: &[u8]| peers.accept(&Frame::read(message).unwrap(), Duration::ZERO, now);
    assert!(!accept(&pulse) && accept(&known));
    let mut mine = Speaker::new(me);
    assert!(!accept(&mine.knowledge([]).remove(0)));
    assert_eq!(peers.reading(now).others, 0);
}
