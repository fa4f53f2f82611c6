//! How do published prices become ours? Dollars per million tokens into [`Prices`].

use serde::Deserialize;

use crate::domain::money::{PicoUsd, Prices, Rates, Tier};

/// Prices as they are published, in US dollars per million tokens.
#[derive(Deserialize)]
pub(super) struct UsdPerMtok {
    #[serde(flatten)]
    base: UsdRates,
    #[serde(default)]
    tiers: Vec<UsdTier>,
}

#[derive(Deserialize)]
struct UsdRates {
    input: f64,
    output: f64,
    cached_input: Option<f64>,
    cache_write: Option<f64>,
}

#[derive(Deserialize)]
struct UsdTier {
    above_input_tokens: u64,
    #[serde(flatten)]
    rates: UsdRates,
}

impl UsdPerMtok {
    /// `None` if one of them is negative or absurd.
    pub(super) fn prices(&self) -> Option<Prices> {
        let tiers = self
            .tiers
            .iter()
            .map(|tier| Some(Tier { above_input_tokens: tier.above_input_tokens, rates: tier.rates.rates()? }));
        let mut tiers: Vec<Tier> = tiers.collect::<Option<_>>()?;
        tiers.sort_by_key(|tier| tier.above_input_tokens);
        Some(Prices { base: self.base.rates()?, tiers })
    }
}

impl UsdRates {
    fn rates(&self) -> Option<Rates> {
        let price = PicoUsd::per_token_from_usd_per_mtok;
        let input = price(self.input)?;
        Some(Rates {
            input,
            output: price(self.output)?,
            cached_input: self.cached_input.map_or(Some(input), price)?,
            cache_write: self.cache_write.map_or(Some(input), price)?,
        })
    }
}
