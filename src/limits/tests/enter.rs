//! Who is let in, who is not, and what both are told.

use std::time::Duration;

use super::*;

fn told(refusal: &Refusal) -> (String, Option<Duration>) {
    (refusal.to_string(), refusal.retry_after())
}

fn refused(accounts: &[Arc<Account>], tokens: u64, now: UnixMillis) -> (String, Option<Duration>) {
    told(&enter(accounts, tokens, now).unwrap_err())
}

#[test]
fn without_limits_everybody_comes_in() {
    let shop = key(CallerLimits::NONE);
    let permits: Vec<_> = (0..100).map(|_| enter(&[Arc::clone(&shop)], u64::MAX, NOON).unwrap()).collect();
    permits.iter().for_each(|permit| permit.used(u64::MAX, NOON));
    assert_eq!(shop.in_flight(), 100);
    assert_eq!(shop.standing(NOON), Standing::default());
    drop(permits);
    assert_eq!(shop.in_flight(), 0);
    drop(enter(&[], 5, NOON).unwrap());
}

#[test]
fn each_limit_says_what_it_allows_and_when() {
    let second = Some(Duration::from_secs(1));
    let shop = [key(limits(60, 0, &[]))];
    (0..60).for_each(|_| drop(enter(&shop, 5, NOON).unwrap()));
    assert_eq!(refused(&shop, 5, NOON), ("key \"shop\" is limited to 60 requests per minute".into(), second));

    let shop = [key(limits(0, 60, &[]))];
    let _first = enter(&shop, 60, NOON).unwrap();
    assert_eq!(refused(&shop, 1, NOON), ("key \"shop\" is limited to 60 tokens per minute".into(), second));
    let too_large = "key \"shop\" is limited to 60 tokens per minute, and this request alone may need 61";
    assert_eq!(refused(&shop, 61, NOON), (too_large.into(), None));

    let shop = [key(at_once(1))];
    let first = enter(&shop, 1, NOON).unwrap();
    assert_eq!(refused(&shop, 1, NOON), ("key \"shop\" is limited to 1 requests at once".into(), None));
    drop(first);
    drop(enter(&shop, 1, NOON).unwrap());
    assert_eq!(enter(&[key(at_once(0))], 1, NOON).unwrap_err().wait, Wait::Never);

    let shop = [project(limits(0, 0, &["$5/day"]))];
    shop[0].purse().settle(usd(0), usd(5), NOON);
    let midnight = Some(Duration::from_secs(12 * 3600));
    assert_eq!(refused(&shop, 1, NOON), ("project \"shop\" is limited to $5/day".into(), midnight));
}

#[test]
fn one_refusal_leaves_the_others_untouched() {
    let accounts = [key(limits(60, 1000, &[])), project(limits(1, 0, &[]))];
    let permit = enter(&accounts, 100, NOON).unwrap();
    let before = (accounts[0].standing(NOON), accounts[0].in_flight());
    assert_eq!(enter(&accounts, 100, NOON).unwrap_err().owner.kind, Kind::Project);
    assert_eq!((accounts[0].standing(NOON), accounts[0].in_flight()), before);
    assert_eq!(accounts[1].in_flight(), 1);
    drop(permit);
}

#[test]
fn of_several_limits_the_one_that_lasts_longest_is_told() {
    let accounts = [key(limits(60, 100, &[])), project(limits(6, 0, &["$5/day"]))];
    (0..6).for_each(|_| drop(enter(&accounts, 1, NOON).unwrap()));
    let _most = enter(&accounts[..1], 100, NOON).unwrap();
    let kind = |tokens| {
        let refusal = enter(&accounts, tokens, NOON).unwrap_err();
        (refusal.owner.kind, refusal.limit.as_str())
    };
    // A request of the project comes in 10 s, a token in 0.6 s, twenty in 12 s.
    assert_eq!(kind(1), (Kind::Project, "requests"));
    assert_eq!(kind(20), (Kind::Key, "tokens"));
    accounts[1].purse().settle(usd(0), usd(6), NOON);
    assert_eq!(kind(20), (Kind::Project, "budget"));
    assert_eq!(kind(101), (Kind::Key, "too_large"));
}

#[test]
fn tokens_that_were_not_used_are_given_back() {
    let shop = key(limits(0, 1000, &[]));
    let permit = enter(&[Arc::clone(&shop)], 600, NOON).unwrap();
    assert_eq!(tokens_left(&shop, NOON), 400);
    permit.used(100, NOON);
    permit.used(50, NOON);
    assert_eq!(tokens_left(&shop, NOON), 400);
    drop(permit);
    assert_eq!(tokens_left(&shop, NOON), 850);
}

#[test]
fn tokens_beyond_what_was_taken_are_taken_when_they_are_used() {
    let shop = key(limits(0, 1000, &[]));
    let permit = enter(&[Arc::clone(&shop)], 600, NOON).unwrap();
    permit.used(500, NOON);
    permit.used(300, NOON);
    assert_eq!(tokens_left(&shop, NOON), 200);
    permit.used(100, NOON);
    assert_eq!(tokens_left(&shop, NOON), 100);
    drop(permit);
    assert_eq!(tokens_left(&shop, NOON), 100);
}

#[test]
fn an_edit_of_the_limits_resets_nothing_that_stays() {
    let before = key(limits(10, 1000, &["$9/day"]));
    before.purse().settle(usd(0), usd(4), NOON);
    let permit = enter(&[Arc::clone(&before)], 600, NOON).unwrap();
    let after = before.with_limits(limits(20, 1000, &["$5/day"]));
    let standing = after.standing(NOON);
    assert_eq!(standing.requests.unwrap().remaining, 20, "a changed limit begins anew");
    assert_eq!(standing.tokens.unwrap().remaining, 400);
    assert_eq!(standing.budgets[0].remaining, usd(1));
    assert_eq!(after.in_flight(), 1);
    drop(permit);
    assert_eq!(after.in_flight(), 0);
    assert_eq!(tokens_left(&after, NOON), 1000);
}

#[test]
fn a_permit_that_outlives_its_limit_harms_no_new_one() {
    let before = key(limits(0, 1000, &[]));
    let permit = enter(&[Arc::clone(&before)], 600, NOON).unwrap();
    let after = Arc::new(before.with_limits(limits(0, 700, &[])));
    let newer = enter(&[Arc::clone(&after)], 700, NOON).unwrap();
    permit.used(50, NOON);
    drop(permit);
    assert_eq!(tokens_left(&after, NOON), 0);
    drop(newer);
}

#[test]
fn a_permit_shows_what_is_left_of_both() {
    let accounts = [key(limits(9, 0, &[])), project(limits(5, 1000, &[]))];
    let permit = enter(&accounts, 100, NOON).unwrap();
    let standing = permit.standing(NOON);
    assert_eq!(standing.requests.unwrap().remaining, 4);
    assert_eq!(standing.tokens.unwrap().remaining, 900);
    assert_eq!(permit.accounts().len(), 2);
}

#[test]
fn money_is_set_aside_with_all_or_with_none() {
    let accounts = [key(limits(0, 0, &["$5/day"])), project(limits(0, 0, &["$8/day"]))];
    let first = reserve(&accounts, usd(4), NOON).unwrap();
    let second = reserve(&accounts[1..], usd(4), NOON).unwrap();
    let refusal = reserve(&accounts, usd(1), NOON).unwrap_err();
    assert_eq!(told(&refusal), ("project \"shop\" is limited to $8/day".into(), None));
    assert_eq!(accounts[0].purse().reserved(), usd(4));
    first.settle(usd(3), NOON);
    drop(second);
    assert_eq!(accounts[0].purse().left(&accounts[0].limits().budgets, NOON).unwrap().remaining, usd(2));
    assert_eq!(accounts[1].purse().left(&accounts[1].limits().budgets, NOON).unwrap().remaining, usd(5));
    let refusal = reserve(&accounts, usd(3), NOON).unwrap_err();
    assert_eq!(refusal.retry_after(), Some(Duration::from_secs(12 * 3600)));
    reserve(&accounts, usd(0), NOON).unwrap().settle(usd(9), NOON);
    reserve(&accounts, usd(0), NOON).unwrap().settle(usd(0), NOON);
    assert_eq!(accounts[1].purse().spent(NOON).week.spent, usd(12));
}
