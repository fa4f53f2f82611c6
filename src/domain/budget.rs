//! How much may be spent in which time? `$50/day`, and at most one such budget for each
//! period.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::money::PicoUsd;
pub use super::period::Period;

/// Decimals of a dollar that [`PicoUsd`] can hold.
const DECIMALS: usize = 12;
/// A dollar.
const DOLLAR: u64 = 1_000_000_000_000;

/// An amount that may be spent in every period of a kind.
///
/// Its text is the amount in dollars and the period, `$50/day` or `$0.25/week`, and reads
/// back exactly.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Budget {
    /// How much. Nothing is an amount too: only what is free may be used then.
    pub amount: PicoUsd,
    /// In which time.
    pub period: Period,
}

/// Why a text is no budget.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BudgetError {
    /// It does not begin with `$`.
    #[error("a budget begins with \"$\", as in \"$50/day\"")]
    NoDollar,
    /// Nothing says in which time.
    #[error("a budget ends with \"/day\", \"/week\" or \"/month\", as in \"$50/day\"")]
    NoPeriod,
    /// The amount is something else than digits with at most one dot between them.
    #[error("{0:?} is not an amount in dollars, such as \"50\" or \"0.25\"")]
    NotAnAmount(String),
    /// It has more than twelve decimals.
    #[error("{0:?} has more than {DECIMALS} decimals")]
    TooPrecise(String),
    /// It is more than [`PicoUsd`] can hold.
    #[error("{0:?} is more than the largest amount, 18446744 dollars")]
    TooLarge(String),
    /// There is no such period.
    #[error("{0:?} is not a period; there are \"day\", \"week\" and \"month\"")]
    NotAPeriod(String),
}

impl FromStr for Budget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        let text = text.strip_prefix('$').ok_or(BudgetError::NoDollar)?;
        let (amount, period) = text.split_once('/').ok_or(BudgetError::NoPeriod)?;
        let amount = dollars(amount)?;
        let known = Period::ALL.into_iter().find(|known| known.as_str() == period);
        let period = known.ok_or_else(|| BudgetError::NotAPeriod(period.to_owned()))?;
        Ok(Self { amount, period })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.amount.0 / DOLLAR, self.amount.0 % DOLLAR);
        write!(f, "${whole}")?;
        if part > 0 {
            let decimals = format!("{part:0DECIMALS$}");
            write!(f, ".{}", decimals.trim_end_matches('0'))?;
        }
        write!(f, "/{}", self.period)
    }
}

fn dollars(text: &str) -> Result<PicoUsd, BudgetError> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return Err(BudgetError::NotAnAmount(text.to_owned()));
    }
    if part.len() > DECIMALS {
        return Err(BudgetError::TooPrecise(text.to_owned()));
    }
    // Digits only, so that nothing but their number can be wrong with them.
    let amount = || {
        let whole = whole.parse::<u64>().ok()?.checked_mul(DOLLAR)?;
        let part = format!("{part:0<DECIMALS$}").parse::<u64>().ok()?;
        whole.checked_add(part)
    };
    amount().map(PicoUsd).ok_or_else(|| BudgetError::TooLarge(text.to_owned()))
}

/// There is a budget for this period already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("there is a budget per {0} already")]
pub struct PeriodTaken(pub Period);

/// Budgets, at most one for each period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Budgets {
    amounts: [Option<PicoUsd>; Period::ALL.len()],
}

impl Budgets {
    /// None at all.
    pub const NONE: Self = Self { amounts: [None; Period::ALL.len()] };

    /// Adds a budget.
    ///
    /// # Errors
    /// If there is one for its period; nothing is changed then.
    pub fn insert(&mut self, budget: Budget) -> Result<(), PeriodTaken> {
        let amount = &mut self.amounts[budget.period as usize];
        if amount.is_some() {
            return Err(PeriodTaken(budget.period));
        }
        *amount = Some(budget.amount);
        Ok(())
    }

    /// What may be spent in a period of this kind, if that is limited.
    pub fn get(&self, period: Period) -> Option<PicoUsd> {
        self.amounts[period as usize]
    }

    /// All budgets, those of the shortest period first.
    pub fn iter(&self) -> impl Iterator<Item = Budget> + use<> {
        let amounts = self.amounts;
        Period::ALL
            .into_iter()
            .filter_map(move |period| amounts[period as usize].map(|amount| Budget { amount, period }))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn budget(text: &str) -> Budget {
        text.parse().unwrap()
    }

    #[test]
    fn a_budget_is_dollars_and_a_period() {
        assert_eq!(budget("$50/day"), Budget { amount: PicoUsd(50 * DOLLAR), period: Period::Day });
        assert_eq!(budget("$0.25/week"), Budget { amount: PicoUsd(DOLLAR / 4), period: Period::Week });
        assert_eq!(budget("$1000/month"), Budget { amount: PicoUsd(1000 * DOLLAR), period: Period::Month });
        assert_eq!(budget("$0.000000000001/day").amount, PicoUsd(1));
        assert_eq!(budget("$18446744.073709551615/day").amount, PicoUsd(u64::MAX));
        assert_eq!(budget("$007.10/day").to_string(), "$7.1/day");
        assert_eq!(budget("$0/day").to_string(), "$0/day");
    }

    #[test]
    fn what_is_wrong_is_said_exactly() {
        use BudgetError::*;
        let wrong = [
            ("", NoDollar),
            ("50/day", NoDollar),
            (" $50/day", NoDollar),
            ("$50", NoPeriod),
            ("$/day", NotAnAmount(String::new())),
            ("$.5/day", NotAnAmount(".5".into())),
            ("$5./day", NotAnAmount("5.".into())),
            ("$-5/day", NotAnAmount("-5".into())),
            ("$+5/day", NotAnAmount("+5".into())),
            ("$1e3/day", NotAnAmount("1e3".into())),
            ("$1,000/day", NotAnAmount("1,000".into())),
            ("$1.2.3/day", NotAnAmount("1.2.3".into())),
            ("$50 /day", NotAnAmount("50 ".into())),
            ("$0.0000000000001/day", TooPrecise("0.0000000000001".into())),
            ("$18446744.073709551616/day", TooLarge("18446744.073709551616".into())),
            ("$99999999999999999999999/day", TooLarge("99999999999999999999999".into())),
            ("$50/hour", NotAPeriod("hour".into())),
            ("$50/Day", NotAPeriod("Day".into())),
            ("$50/day/week", NotAPeriod("day/week".into())),
            ("$50/", NotAPeriod(String::new())),
        ];
        for (text, error) in wrong {
            assert_eq!(text.parse::<Budget>(), Err(error), "{text}");
        }
    }

    #[test]
    fn there_is_one_budget_for_a_period() {
        let mut budgets = Budgets::default();
        assert!(budgets.is_empty());
        budgets.insert(budget("$1000/month")).unwrap();
        budgets.insert(budget("$50/day")).unwrap();
        assert_eq!(budgets.insert(budget("$60/day")), Err(PeriodTaken(Period::Day)));
        assert_eq!(budgets.get(Period::Day), Some(PicoUsd(50 * DOLLAR)));
        assert_eq!(budgets.get(Period::Week), None);
        assert_eq!(budgets.iter().collect::<Vec<_>>(), [budget("$50/day"), budget("$1000/month")]);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(amount: u64, period in prop::sample::select(Period::ALL.to_vec())) {
            let budget = Budget { amount: PicoUsd(amount), period };
            prop_assert_eq!(budget.to_string().parse(), Ok(budget));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,20}", amount in "[$0-9./]{0,30}") {
            let _ = (text.parse::<Budget>(), format!("${amount}/day").parse::<Budget>());
        }
    }
}
