//! How does one read what a key or a project has used, and what is left to it?

use super::client::{Answer, Gateway};
use super::failure::Failure;
use super::request::Request;
use super::screen::{Said, Screen};
use super::table::facts;
use super::words::{count, money, ms, when};
use crate::api::project::{BudgetStanding, RateStanding, Standing};

/// Asks for the standing of one of a list.
///
/// # Errors
/// If it cannot be had.
pub async fn show(gateway: &Gateway, screen: &Screen, list: &str, name: &str) -> Result<Said, Failure> {
    let answer: Answer<Standing> = gateway.ask(&Request::get(&[list, name, "standing"])).await?;
    Ok(screen.show(&answer.raw, || text(&answer.read, screen)))
}

/// A standing, a line for each fact.
pub fn text(standing: &Standing, screen: &Screen) -> String {
    let rate = |rate: &RateStanding| {
        let resets = match rate.resets_in_ms {
            0 => String::new(),
            left => format!(", all in {}", ms(left as f64)),
        };
        format!("{} of {} left{resets}", count(rate.remaining.into()), count(rate.limit.into()))
    };
    let budget = |budget: &BudgetStanding| {
        format!(
            "{}: {} left, begins anew {}",
            budget.budget,
            money(budget.remaining_usd),
            when(budget.resets_at_ms, screen.now)
        )
    };
    let limited = standing.requests.is_some() || standing.tokens.is_some() || standing.in_flight > 0;
    let spent = [standing.spent_day_usd, standing.spent_week_usd, standing.spent_month_usd].map(money);
    let mut told = vec![
        ("in flight", limited.then(|| standing.in_flight.to_string())),
        ("requests/min", standing.requests.as_ref().map(rate)),
        ("tokens/min", standing.tokens.as_ref().map(rate)),
    ];
    told.extend(standing.budgets.iter().map(|of| ("budget", Some(budget(of)))));
    let [day, week, month] = spent;
    told.push(("spent", Some(format!("{day} today, {week} this week, {month} this month"))));
    facts(&told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests_support::PIPE;

    #[test]
    fn what_is_left_is_told_where_there_is_a_limit() {
        let standing = Standing {
            in_flight: 2,
            requests: Some(RateStanding { limit: 600, remaining: 590, resets_in_ms: 1000 }),
            tokens: None,
            budgets: vec![BudgetStanding {
                budget: "$50/day".into(),
                remaining_usd: 49.5,
                resets_at_ms: PIPE.now.0 + 2 * 3_600_000,
            }],
            spent_day_usd: 0.5,
            ..Standing::default()
        };
        assert_eq!(
            text(&standing, &PIPE),
            "in flight     2\nrequests/min  590 of 600 left, all in 1.0 s\n\
             budget        $50/day: $49.5000 left, begins anew in 2 h\n\
             spent         $0.5000 today, $0.0000 this week, $0.0000 this month\n"
        );
        assert_eq!(text(&Standing::default(), &PIPE).lines().count(), 1);
    }
}
