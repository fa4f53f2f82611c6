//! Who comes first by chance? A weighted draw without replacement.
//!
//! It is an exponential race: each target runs a time of −ln(u)/w, the order of arrival is
//! the order of the list (Efraimidis and Spirakis, "Weighted random sampling with a
//! reservoir", 2006). With `u` a hash of who asks and of the target it is weighted rendezvous
//! hashing: the same one keeps the same target, and a change of weights moves only those who
//! must move.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use super::rank::Query;
use crate::domain::alias::{Strategy, Target};
use crate::domain::ids::ModelId;

/// The random source of one decision: the same for the same seed. Nobody has to be kept from guessing
/// how it goes on, for each decision has a seed of its own.
pub fn chance(seed: u64) -> impl Rng {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// The running time of a target in the race; infinite for weight zero.
pub(super) fn race(query: &Query<'_>, target: &Target, rng: &mut impl Rng) -> f64 {
    // In (0, 1], so that the logarithm is finite.
    let u = match (&query.alias.strategy, query.facts.identity) {
        (Strategy::RandomShuffle { sticky_by: Some(_) }, Some(identity)) => {
            unit_hash(identity, &query.catalog.model(target.model).id)
        }
        _ => 1.0 - rng.random::<f64>(),
    };
    if target.weight > 0.0 { -u.ln() / target.weight } else { f64::INFINITY }
}

/// A number in (0, 1] that is always the same for the same caller and model: FNV-1a of the
/// model's name, mixed with the caller by the finaliser of SplitMix64.
fn unit_hash(identity: u64, model: &ModelId) -> f64 {
    let name = model
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut mixed = name ^ identity.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((mixed >> 11) as f64 + 1.0) / (1u64 << 53) as f64
}
