//! Money in integers: prices per token and what an answer cost, in pico-dollars.

use std::fmt;

use super::usage::TokenUsage;

/// 10⁻¹² US dollars. One dollar per million tokens is 1,000,000 of these per token, so
/// every published price is a whole number and sums never drift.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct PicoUsd(pub u64);

impl PicoUsd {
    /// The price of one token from a price in US dollars per million tokens.
    /// `None` if it is negative, not finite or above a million dollars per million.
    pub fn per_token_from_usd_per_mtok(usd: f64) -> Option<Self> {
        if !usd.is_finite() || !(0.0..=1e6).contains(&usd) {
            return None;
        }
        // Bounded above, so the product is at most 1e12 and the cast is exact to a unit.
        Some(Self((usd * 1e6).round() as u64))
    }

    /// In US dollars, for people.
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e12
    }
}

impl fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.6}", self.as_usd())
    }
}

/// Prices of one token each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// A prompt token that was not cached.
    pub input: PicoUsd,
    /// A generated token.
    pub output: PicoUsd,
    /// A prompt token read from the cache; as `input` where nothing else is published.
    pub cached_input: PicoUsd,
    /// A prompt token written to the cache; as `input` where nothing else is published.
    pub cache_write: PicoUsd,
}

/// Rates that apply to the whole request once its prompt is longer than a bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tier {
    /// The tier applies above this many prompt tokens.
    pub above_input_tokens: u64,
    /// What tokens cost then.
    pub rates: Rates,
}

/// All published prices of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prices {
    /// Rates below every tier.
    pub base: Rates,
    /// Higher tiers, ascending by bound.
    pub tiers: Vec<Tier>,
}

impl Prices {
    /// The rates for a prompt of `input_tokens`.
    pub fn rates_for(&self, input_tokens: u64) -> &Rates {
        self.tiers
            .iter()
            .rev()
            .find(|tier| input_tokens > tier.above_input_tokens)
            .map_or(&self.base, |tier| &tier.rates)
    }

    /// What this usage costs.
    pub fn cost(&self, usage: &TokenUsage) -> PicoUsd {
        let rates = self.rates_for(usage.input);
        let plain = usage.input.saturating_sub(usage.cached_input).saturating_sub(usage.cache_write);
        let terms = [
            (plain, rates.input),
            (usage.cached_input, rates.cached_input),
            (usage.cache_write, rates.cache_write),
            (usage.output, rates.output),
        ];
        PicoUsd(terms.iter().fold(0u64, |sum, (tokens, price)| sum.saturating_add(tokens.saturating_mul(price.0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(input: f64, output: f64) -> Rates {
        let price = |usd| PicoUsd::per_token_from_usd_per_mtok(usd).unwrap();
        Rates {
            input: price(input),
            output: price(output),
            cached_input: price(input / 10.0),
            cache_write: price(input),
        }
    }

    #[test]
    fn a_dollar_per_million_is_a_million_pico_dollars_per_token() {
        assert_eq!(PicoUsd::per_token_from_usd_per_mtok(1.0), Some(PicoUsd(1_000_000)));
        assert_eq!(PicoUsd::per_token_from_usd_per_mtok(0.0), Some(PicoUsd(0)));
        assert_eq!(PicoUsd::per_token_from_usd_per_mtok(-0.1), None);
        assert_eq!(PicoUsd::per_token_from_usd_per_mtok(f64::NAN), None);
    }

    #[test]
    fn cached_tokens_cost_their_own_price() {
        let prices = Prices { base: rates(2.0, 10.0), tiers: vec![] };
        let usage = TokenUsage { input: 1000, cached_input: 600, output: 100, ..Default::default() };
        assert_eq!(prices.cost(&usage), PicoUsd(400 * 2_000_000 + 600 * 200_000 + 100 * 10_000_000));
    }

    #[test]
    fn a_tier_prices_the_whole_request() {
        let prices =
            Prices { base: rates(1.0, 1.0), tiers: vec![Tier { above_input_tokens: 200, rates: rates(2.0, 3.0) }] };
        let usage = |input| TokenUsage { input, output: 1, ..Default::default() };
        assert_eq!(prices.cost(&usage(200)), PicoUsd(201_000_000));
        assert_eq!(prices.cost(&usage(201)), PicoUsd(201 * 2_000_000 + 3_000_000));
    }
}
