//! A hash that stays what it is: trained weights depend on it.
//!
//! FNV-1a with 64 bits over numbers of 32 bits, each taken in at once; then a multiplication,
//! so that every bit of the bucket depends on every number. A bucket is
//! `(high 32 bits) * buckets / 2^32`.

/// What goes into a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hash(u64);

impl Hash {
    /// The hash of nothing, of one kind of thing; kinds do not meet in the same buckets but by
    /// chance.
    pub fn new(kind: u32) -> Self {
        Self(0xcbf2_9ce4_8422_2325).with(kind)
    }

    /// Takes in a number.
    #[must_use]
    pub fn with(self, number: u32) -> Self {
        Self((self.0 ^ u64::from(number)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// 32 bits of it.
    pub fn value(self) -> u32 {
        ((self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }

    /// Which of so many buckets it is.
    pub fn bucket(self, buckets: u32) -> u32 {
        ((u64::from(self.value()) * u64::from(buckets)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever changes these has to train anew.
    #[test]
    fn the_hash_is_what_weights_were_trained_with() {
        assert_eq!(Hash::new(1).value(), VALUES[0]);
        assert_eq!(Hash::new(2).with(7).with(30_521).value(), VALUES[1]);
        assert_eq!(Hash::new(2).with(u32::MAX).bucket(65_536), VALUES[2]);
    }

    const VALUES: [u32; 3] = [2_723_139_367, 1_548_520_529, 64_378];

    #[test]
    fn neighbours_spread_evenly() {
        let mut counts = [0u32; 64];
        for a in 0..64 {
            for b in 0..64 {
                counts[Hash::new(3).with(a).with(b).bucket(64) as usize] += 1;
            }
        }
        assert!(counts.iter().all(|count| (30..110).contains(count)), "{counts:?}");
    }
}
