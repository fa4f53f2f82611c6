//! What does a model cost? Prices per token, which may stand beside `model` or in
//! `model_info`, as dollars per million tokens.

use super::findings::Findings;
use crate::catalogue::KnownModel;
use crate::domain::money::{PicoUsd, Rates};
use crate::import::draft::{PricesDraft, RatesDraft};
use crate::import::yaml::{Entry, Node};

/// Prices of a model as they are given, each with where it stands.
#[derive(Default)]
pub(super) struct GivenPrices<'y> {
    input: Option<(f64, &'y Node)>,
    output: Option<(f64, &'y Node)>,
    cached_input: Option<(f64, &'y Node)>,
    cache_write: Option<(f64, &'y Node)>,
    /// Beyond so many tokens: which of the two, and how much.
    tiers: Vec<(u64, Side, f64, &'y Node)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

/// The most that a price may be, in US dollars per million tokens.
const HIGHEST: f64 = 1e6;

impl<'y> GivenPrices<'y> {
    /// Reads one entry, if it is a price per token.
    pub(super) fn read(&mut self, entry: &'y Entry, findings: &Findings) -> bool {
        let node = &entry.node;
        let tier = tier(&entry.key);
        let known = ["input_cost_per_token", "output_cost_per_token"].contains(&entry.key.as_str())
            || ["cache_read_input_token_cost", "cache_creation_input_token_cost"].contains(&entry.key.as_str());
        if !known && tier.is_none() {
            return false;
        }
        let Some(price) = node.number().map(per_million).filter(|price| (0.0..=HIGHEST).contains(price)) else {
            findings.not_possible(node, "is no price that can be taken over", "write it into usd_per_mtok by hand");
            return true;
        };
        // What stands beside `model` is read first, and wins.
        let given = Some((price, node));
        match entry.key.as_str() {
            "input_cost_per_token" => self.input = self.input.or(given),
            "output_cost_per_token" => self.output = self.output.or(given),
            "cache_read_input_token_cost" => self.cached_input = self.cached_input.or(given),
            "cache_creation_input_token_cost" => self.cache_write = self.cache_write.or(given),
            _ => self.tiers.extend(tier.map(|(above, side)| (above, side, price, node))),
        }
        true
    }

    /// All of it together; `usual` are the prices of the model that it is.
    pub(super) fn finish(self, usual: Option<&KnownModel>, findings: &Findings) -> Option<PricesDraft> {
        let usual = usual.map(|known| rates(&known.prices.base));
        let mut nodes: Vec<&Node> = [self.input, self.output].into_iter().flatten().map(|(_, node)| node).collect();
        let others = [self.cached_input, self.cache_write].into_iter().flatten().map(|(_, node)| node);
        nodes.extend(others.chain(self.tiers.iter().map(|(.., node)| *node)));
        let price = |given: Option<(f64, &Node)>, usual: Option<f64>| given.map(|(price, _)| price).or(usual);
        let (input, output) =
            (price(self.input, usual.map(|of| of.input)), price(self.output, usual.map(|of| of.output)));
        let (input, output) = match (input, output) {
            (Some(input), Some(output)) => (input, output),
            (None, None) => {
                let message = "a price of the cache alone says too little";
                nodes
                    .iter()
                    .for_each(|node| findings.not_possible(node, message, "usd_per_mtok with input and output"));
                return None;
            }
            // Embeddings have no answer that costs.
            (input, output) => (input.unwrap_or(0.0), output.unwrap_or(0.0)),
        };
        for node in nodes {
            match (self.input, self.output, usual) {
                (Some(_), Some(_), _) => findings.exact(node, "usd_per_mtok of the endpoint"),
                (_, _, Some(_)) => {
                    findings.exact(node, "usd_per_mtok of the endpoint, with the usual price of the rest")
                }
                _ => findings
                    .approximated(node, "usd_per_mtok of the endpoint, in which what is not given costs nothing"),
            }
        }
        let base = RatesDraft {
            input,
            output,
            cached_input: price(self.cached_input, None),
            cache_write: price(self.cache_write, None),
        };
        Some(PricesDraft { base, tiers: tiers(&self.tiers, &base) })
    }

    /// Whether anything was given.
    pub(super) fn is_empty(&self) -> bool {
        let some = self.input.or(self.output).or(self.cached_input).or(self.cache_write);
        some.is_none() && self.tiers.is_empty()
    }
}

/// Above how many tokens `input_cost_per_token_above_200k_tokens` applies, and to what.
fn tier(key: &str) -> Option<(u64, Side)> {
    let (side, rest) = match key.strip_prefix("input_cost_per_token_above_") {
        Some(rest) => (Side::Input, rest),
        None => (Side::Output, key.strip_prefix("output_cost_per_token_above_")?),
    };
    let thousands: u64 = rest.strip_suffix("k_tokens")?.parse().ok()?;
    Some((thousands.checked_mul(1000)?, side)).filter(|(above, _)| *above > 0)
}

fn tiers(given: &[(u64, Side, f64, &Node)], base: &RatesDraft) -> Vec<(u64, RatesDraft)> {
    let mut bounds: Vec<u64> = given.iter().map(|(above, ..)| *above).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let of = |above: u64, side: Side| {
        given.iter().find(|(a, s, ..)| (*a, *s) == (above, side)).map(|(_, _, price, _)| *price)
    };
    let tier = |above: u64| RatesDraft {
        input: of(above, Side::Input).unwrap_or(base.input),
        output: of(above, Side::Output).unwrap_or(base.output),
        cached_input: None,
        cache_write: None,
    };
    bounds.into_iter().map(|above| (above, tier(above))).collect()
}

/// Dollars per token as dollars per million; what the multiplication adds to the last digits
/// is taken off.
fn per_million(per_token: f64) -> f64 {
    (per_token * 1e6 * 1e9).round() / 1e9
}

fn usd(price: PicoUsd) -> f64 {
    // A pico-dollar per token is a micro-dollar per million.
    price.0 as f64 / 1e6
}

fn rates(rates: &Rates) -> RatesDraft {
    let other = |price: PicoUsd| (price != rates.input).then(|| usd(price));
    RatesDraft {
        input: usd(rates.input),
        output: usd(rates.output),
        cached_input: other(rates.cached_input),
        cache_write: other(rates.cache_write),
    }
}

/// What a model of the catalogue costs, to be said of the same model elsewhere.
pub(super) fn prices_of(known: &KnownModel) -> PricesDraft {
    let tiers = known.prices.tiers.iter().map(|tier| (tier.above_input_tokens, rates(&tier.rates)));
    PricesDraft { base: rates(&known.prices.base), tiers: tiers.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::litellm::facts::known_model;
    use crate::import::yaml::parse;

    fn read_all(text: &str, usual: Option<&KnownModel>) -> (Option<PricesDraft>, Vec<String>) {
        let root = parse(text).unwrap();
        let (mut prices, findings) = (GivenPrices::default(), Findings::default());
        for entry in root.entries() {
            prices.read(entry, &findings);
        }
        let draft = prices.finish(usual, &findings);
        (draft, findings.finish(&root).iter().map(|f| format!("{}: {}", f.path, f.verdict)).collect())
    }

    #[test]
    fn a_price_per_token_is_a_million_times_as_much_per_million() {
        let text =
            "input_cost_per_token: 0.00000015\noutput_cost_per_token: 6e-7\ncache_read_input_token_cost: 7.5e-8\n";
        let (draft, told) = read_all(text, None);
        let base = RatesDraft { input: 0.15, output: 0.6, cached_input: Some(0.075), cache_write: None };
        assert_eq!(draft, Some(PricesDraft { base, tiers: Vec::new() }));
        assert!(told.iter().all(|line| line.ends_with(": exact")), "{told:?}");
    }

    #[test]
    fn long_prompts_have_tiers() {
        let text = "input_cost_per_token: 1.0e-6\noutput_cost_per_token: 2.0e-6\ninput_cost_per_token_above_200k_tokens: 3.0e-6\n";
        let tiers = read_all(text, None).0.unwrap().tiers;
        let rates = RatesDraft { input: 3.0, output: 2.0, cached_input: None, cache_write: None };
        assert_eq!(tiers, [(200_000, rates)]);
    }

    #[test]
    fn half_a_price_is_completed_from_the_catalogue_or_free() {
        let known = known_model("openai/gpt-4o-mini").unwrap();
        let (draft, told) = read_all("input_cost_per_token: 1.0e-6\n", Some(known));
        assert_eq!(draft.unwrap().base.output, usd(known.prices.base.output));
        assert_eq!(told, ["input_cost_per_token: exact"]);
        let (draft, told) = read_all("input_cost_per_token: 1.0e-6\n", None);
        assert_eq!(draft.unwrap().base.output, 0.0);
        assert_eq!(told, ["input_cost_per_token: approximated"]);
    }

    #[test]
    fn what_is_no_price_is_told() {
        for text in ["input_cost_per_token: -1\n", "input_cost_per_token: much\n", "input_cost_per_token: 1.0e+300\n"] {
            assert_eq!(read_all(text, None), (None, vec!["input_cost_per_token: not possible".to_owned()]), "{text}");
        }
        assert_eq!(
            read_all("cache_read_input_token_cost: 1.0e-6\n", None),
            (None, vec!["cache_read_input_token_cost: not possible".to_owned()])
        );
    }
}
