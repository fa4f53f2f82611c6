//! What holds whatever comes: refusals tell the truth, and nothing is lost or found.

use proptest::prelude::*;

use super::*;

/// What becomes of a request that is let in.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It is under way until the end.
    Stays,
    /// It is over, and has used this share of what it took, in percent.
    Ends(u64),
}

#[derive(Clone, Copy, Debug)]
struct Step {
    after_ms: u64,
    tokens: u64,
    fate: Fate,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![Just(Fate::Stays), (0..150u64).prop_map(Fate::Ends)];
    let step = (prop_oneof![Just(0), 0..20_000u64], 0..2500u64, fate);
    prop::collection::vec(step.prop_map(|(after_ms, tokens, fate)| Step { after_ms, tokens, fate }), 1..40)
}

/// Limits of a key and a project; 0 is none.
fn some_limits() -> impl Strategy<Value = CallerLimits> {
    let budgets = prop::sample::subsequence(vec!["$5/day", "$9/week", "$9/month"], 0..=3);
    (0..20u32, prop_oneof![Just(0), 1..3000u32], budgets)
        .prop_map(|(requests, tokens, budgets)| limits(requests, tokens, &budgets))
}

/// Takes the steps until one is refused, and says which and when.
fn walk(accounts: &[Arc<Account>], steps: &[Step]) -> (Vec<Permit>, UnixMillis, Option<(Step, Refusal)>) {
    let (mut under_way, mut now) = (Vec::new(), NOON);
    for step in steps {
        now.0 += step.after_ms;
        match enter(accounts, step.tokens, now) {
            Err(refusal) => return (under_way, now, Some((*step, refusal))),
            Ok(permit) => match step.fate {
                Fate::Stays => under_way.push(permit),
                Fate::Ends(percent) => permit.used(step.tokens * percent / 100, now),
            },
        }
    }
    (under_way, now, None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_retry_passes_at_the_time_that_was_told_and_not_before(
        own in some_limits(), shared in some_limits(), spent in 0..10u64, steps in steps(),
    ) {
        let accounts = [key(own), project(shared)];
        accounts[1].purse().settle(usd(0), usd(spent), NOON);
        let (_under_way, now, refused) = walk(&accounts, &steps);
        let Some((step, refusal)) = refused else { return Ok(()) };
        match refusal.wait {
            Wait::For(wait) => {
                let early = UnixMillis((now + wait).0 - 1);
                let again = enter(&accounts, step.tokens, early);
                prop_assert!(again.is_err(), "{refusal} passes before {wait:?}");
                let again = enter(&accounts, step.tokens, now + wait);
                prop_assert!(again.is_ok(), "{refusal} does not pass after {wait:?}: {again:?}");
            }
            Wait::Never => {
                let smallest = own.tokens_per_minute.into_iter().chain(shared.tokens_per_minute).min();
                prop_assert!(smallest.is_some_and(|limit| u64::from(limit.get()) < step.tokens));
            }
            Wait::Ask | Wait::Others => prop_assert!(false, "nothing limits what is under way, or is shared"),
        }
    }

    #[test]
    fn what_is_left_can_be_taken_and_no_more(limit in 1..3000u32, steps in steps()) {
        let shop = [key(limits(0, limit, &[]))];
        let (_under_way, now, _) = walk(&shop, &steps);
        let left = u64::from(tokens_left(&shop[0], now));
        prop_assert!(enter(&shop, left + 1, now).is_err());
        prop_assert!(enter(&shop, left, now).is_ok());
    }

    #[test]
    fn a_limit_is_whole_when_it_said(limit in 1..3000u32, steps in steps()) {
        let shop = [key(limits(0, limit, &[]))];
        let (_under_way, now, _) = walk(&shop, &steps);
        let resets_in = shop[0].standing(now).tokens.unwrap().resets_in;
        prop_assert_eq!(tokens_left(&shop[0], now + resets_in), limit);
    }

    #[test]
    fn a_refusal_changes_nothing(own in some_limits(), shared in some_limits(), steps in steps()) {
        let accounts = [key(own), project(shared)];
        let (_under_way, now, _) = walk(&accounts, &steps);
        let look = || accounts.iter().map(|account| (account.standing(now), account.in_flight())).collect::<Vec<_>>();
        for tokens in [0, 1, 500, 5000] {
            let before = look();
            if enter(&accounts, tokens, now).is_err() {
                prop_assert_eq!(look(), before);
            }
        }
    }

    #[test]
    fn what_was_not_used_is_all_there_again(limit in 1..3000u32, tokens in prop::collection::vec(0..1000u64, 1..20)) {
        let shop = [key(limits(0, limit, &[]))];
        let permits: Vec<_> = tokens.iter().filter_map(|tokens| enter(&shop, *tokens, NOON).ok()).collect();
        let mut used = 0;
        for (permit, tokens) in permits.iter().zip(&tokens) {
            used += tokens / 3;
            permit.used(tokens / 3, NOON);
        }
        drop(permits);
        prop_assert_eq!(tokens_left(&shop[0], NOON), limit.saturating_sub(u32::try_from(used).unwrap()));
    }

    #[test]
    fn no_more_is_used_than_there_was(limit in 1..3000u32, steps in steps()) {
        let shop = [key(limits(0, limit, &[]))];
        let (mut used, mut now, mut before) = (0, NOON, None);
        for step in steps {
            now.0 += step.after_ms;
            // The one before is over only now.
            before = enter(&shop, step.tokens, now).ok().inspect(|permit| {
                let share = match step.fate { Fate::Stays => 100, Fate::Ends(percent) => percent.min(100) };
                used += step.tokens * share / 100;
                permit.used(step.tokens * share / 100, now);
            });
            let refilled = u64::from(limit) * (now.0 - NOON.0) / 60_000;
            prop_assert!(used <= u64::from(limit) + refilled + 1, "{used} of {limit} and {refilled}");
        }
        drop(before);
    }

    #[test]
    fn budgets_are_kept_where_estimates_are(
        amounts in prop::collection::vec((0..4u64, 0..4u64, 0..40_000_000u64, any::<bool>()), 1..40),
    ) {
        let shop = [key(limits(0, 0, &["$5/day", "$9/week", "$9/month"]))];
        let (mut held, mut now) = (Vec::new(), NOON);
        for (amount, actual, after_ms, settle) in amounts {
            now.0 += after_ms;
            held.extend(reserve(&shop, usd(amount), now));
            if settle && let Some(reservation) = held.pop() {
                let actual = usd(actual).min(reservation.amount());
                reservation.settle(actual, now);
            }
            let purse = shop[0].purse();
            let reserved: u64 = held.iter().map(|reservation| reservation.amount().0).sum();
            prop_assert_eq!(purse.reserved(), PicoUsd(reserved));
            for budget in shop[0].limits().budgets.iter() {
                prop_assert!(purse.spent(now).get(budget.period) <= budget.amount);
            }
        }
        drop(held);
        prop_assert_eq!(shop[0].purse().reserved(), usd(0));
    }
}
