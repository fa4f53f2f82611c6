//! What a replica holds of a limit per minute, with a bucket that answers as told.

use super::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const FOUR: Peers = Peers { count: 4, rank: 0 };

fn limit(units: u32) -> NonZeroU32 {
    NonZeroU32::new(units).unwrap()
}

/// Asks for so much and is given that.
fn given(pool: &mut Pool, units: u64, granted: u64, owed_ms: u64, now: UnixMillis) -> RateAsk {
    let ask = pool.ask(limit(600), units, units, FOUR, now);
    pool.granted(&ask, &RateGrant { granted, owed_us: owed_ms * 1000, made: 5, seq: 7, taken_us: 9 }, now);
    ask
}

#[test]
fn nothing_is_let_in_that_was_not_given() {
    let mut pool = Pool::default();
    assert_eq!(pool.take(1, limit(600), NOW), Err(Wait::Ask));
    let ask = given(&mut pool, 1, 3, 300, NOW);
    assert_eq!((ask.need, ask.wanted, ask.ahead, ask.seq), (1, 1, 0, 0));
    for _ in 0..3 {
        assert_eq!(pool.take(1, limit(600), NOW), Ok(()));
    }
    assert_eq!(pool.take(1, limit(600), NOW), Err(Wait::Ask));
    assert_eq!(pool.take(601, limit(600), NOW), Err(Wait::Never));
    // Three in 10 ms would be 75 in the next quarter of a second: more than a replica takes.
    let ask = pool.ask(limit(600), 1, 1, FOUR, NOW + Duration::from_millis(10));
    assert_eq!((ask.ahead, ask.made, ask.seq, ask.full_in_us), (18, 5, 7, 290_000));
    let later = NOW + Duration::from_millis(400);
    assert!(pool.has_taken(NOW) && !pool.has_taken(later));
    assert_eq!(pool.ask(limit(600), 1, 1, FOUR, later).full_in_us, -100_000);
}

#[test]
fn a_refusal_is_believed_for_a_moment() {
    let mut pool = Pool::default();
    given(&mut pool, 5, 0, 60_000, NOW);
    assert_eq!(pool.take(5, limit(600), NOW), Err(Wait::For(Duration::from_millis(500))));
    let later = NOW + Duration::from_millis(100);
    assert_eq!(pool.take(5, limit(600), later), Err(Wait::For(Duration::from_millis(400))));
    assert_eq!(pool.take(1, limit(600), later), Err(Wait::Ask), "one should have come back");
    assert_eq!(pool.take(5, limit(600), NOW + BELIEVED_FOR), Err(Wait::Ask));
}

#[test]
fn what_nobody_takes_goes_back() {
    let mut pool = Pool::default();
    given(&mut pool, 1, 5, 500, NOW);
    pool.take(2, limit(600), NOW).unwrap();
    pool.give_back_unused(1, NOW, NOW + Duration::from_millis(900));
    assert!(!pool.is_due(NOW + Duration::from_millis(999)));
    let later = NOW + HELD_FOR;
    assert!(pool.is_due(later));
    pool.give_back_unused(1, NOW, later);
    pool.charge(7, limit(600), later);
    let ask = pool.ask(limit(600), 0, 0, FOUR, later);
    assert_eq!((ask.back, ask.back_age, ask.charge), (1, HELD_FOR, 3), "the four that were held are used");
    assert!(pool.is_idle());
    pool.unanswered(&ask, false, later);
    assert!(pool.is_due(later));
    let again = pool.ask(limit(600), 0, 0, FOUR, later + HELD_FOR);
    assert_eq!((again.back, again.back_age, again.charge), (1, 2 * HELD_FOR, 3));
    pool.unanswered(&again, true, later);
    assert!(pool.is_idle(), "it may have been heard");
}

#[test]
fn alone_it_has_its_part_of_what_was_left() {
    let mut pool = Pool::default();
    // 400 of 600 are left, and the other three want as much as this one: 40.
    given(&mut pool, 1, 0, 20_000, NOW);
    pool.part(limit(600), 40, FOUR, NOW);
    let taken = (0..200).filter(|_| pool.take(1, limit(600), NOW).is_ok()).count();
    assert_eq!(taken, (400 - 3 * 40) / 4);
    assert_eq!(pool.take(1, limit(600), NOW), Err(Wait::For(Duration::from_millis(400))));
    assert_eq!(pool.left(limit(600), NOW).remaining, 0);
    let later = NOW + Duration::from_secs(4);
    assert_eq!((0..50).filter(|_| pool.take(1, limit(600), later).is_ok()).count(), 10);
    // Of the eighty, ten have refilled.
    assert_eq!(given(&mut pool, 0, 0, 0, later).charge, 80);
    assert_eq!(pool.take(1, limit(600), later), Err(Wait::Ask), "it is not alone any more");
}

#[test]
fn what_it_lets_in_alone_while_it_tells_is_told_next_time() {
    let mut pool = Pool::default();
    pool.part(limit(600), 1, FOUR, NOW);
    let take = |pool: &mut Pool, units| pool.take(units, limit(600), NOW).unwrap();
    take(&mut pool, 20);
    let ask = pool.ask(limit(600), 0, 0, FOUR, NOW);
    take(&mut pool, 30);
    pool.granted(&ask, &RateGrant { granted: 0, owed_us: 2_000_000, made: 5, seq: 7, taken_us: 9 }, NOW);
    assert!(pool.is_due(NOW) && !pool.is_idle());
    let next = pool.ask(limit(600), 0, 0, FOUR, NOW);
    assert_eq!((ask.charge, next.charge), (20, 30));
    // Left alone before it could tell, it has that much less.
    pool.unanswered(&next, false, NOW);
    pool.part(limit(600), 0, FOUR, NOW);
    assert_eq!(pool.left(limit(600), NOW).remaining, (580 - 3 * 30) / 4 - 30);
    assert_eq!(pool.ask(limit(600), 0, 0, FOUR, NOW).charge, 30);
}

#[test]
fn a_part_that_is_smaller_than_a_request_gives_it_when_it_is_full() {
    let mut pool = Pool::default();
    pool.part(limit(2), 1, FOUR, NOW);
    assert_eq!(pool.take(1, limit(2), NOW), Err(Wait::For(Duration::from_secs(60))));
    let later = NOW + Duration::from_secs(60);
    assert_eq!(pool.take(1, limit(2), later), Ok(()));
    assert_eq!(pool.take(1, limit(2), later), Err(Wait::For(Duration::from_secs(120))));
}
