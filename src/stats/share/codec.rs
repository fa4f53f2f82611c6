//! How are numbers written down, in few bytes, and read from a stranger without harm?
//!
//! Whole numbers as varints (seven bits a byte, LEB128), what needs no more than a part in a
//! thousand as sixteen bits. Every read is bounded by what is there and allocates nothing;
//! what cannot be read is `None`. So is a number that would make no sense: what comes out of
//! here is always finite and within its range.
//!
//! Written by hand instead of derived (`postcard` was the other choice): sixteen bits for a
//! logarithm instead of sixty-four make half the size, and records that carry their length
//! let an older version read a newer one's.

use std::time::Duration;

/// Steps of a logarithm: a part in a thousand.
const LEVEL_STEPS: f64 = 1024.0;
/// Steps of a variance, which is below 4.
const VARIANCE_STEPS: f64 = 16_384.0;
/// No age is longer than a day: what is older is of no use to anybody.
const OLDEST: u64 = 86_400_000;

/// Bytes to be sent.
#[derive(Clone, Debug, Default)]
pub struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn word(&mut self, word: u64) {
        self.bytes(&word.to_le_bytes());
    }

    fn short(&mut self, short: u16) {
        self.bytes(&short.to_le_bytes());
    }

    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            // The low seven bits.
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// In whole milliseconds.
    pub(super) fn age(&mut self, age: Duration) {
        self.number(u64::try_from(age.as_millis()).unwrap_or(u64::MAX).min(OLDEST));
    }

    /// A logarithm; unknown is NaN.
    pub(super) fn level(&mut self, level: f64) {
        let steps = (level * LEVEL_STEPS).round().clamp(-32_767.0, 32_767.0);
        // Within range, or NaN, which becomes the one number that no level has.
        let steps = if steps.is_nan() { i16::MIN } else { steps as i16 };
        self.short(steps.cast_unsigned());
    }

    /// In [0, 4).
    pub(super) fn variance(&mut self, variance: f64) {
        // A cast of a float saturates.
        self.short((variance * VARIANCE_STEPS).round() as u16);
    }

    /// In [0, 1].
    pub(super) fn share(&mut self, share: f64) {
        self.short((share * 65_535.0).round() as u16);
    }

    /// Any number that needs no more than seven digits.
    pub(super) fn float(&mut self, float: f64) {
        self.bytes(&(float as f32).to_le_bytes());
    }
}

/// Bytes that came.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn word(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A number that fits 32 bits.
    pub(super) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    pub(super) fn age(&mut self) -> Option<Duration> {
        self.number().filter(|ms| *ms <= OLDEST).map(Duration::from_millis)
    }

    pub(super) fn level(&mut self) -> Option<f64> {
        let steps = self.short()?.cast_signed();
        Some(if steps == i16::MIN { f64::NAN } else { f64::from(steps) / LEVEL_STEPS })
    }

    pub(super) fn variance(&mut self) -> Option<f64> {
        self.short().map(|steps| f64::from(steps) / VARIANCE_STEPS)
    }

    pub(super) fn share(&mut self) -> Option<f64> {
        self.short().map(|steps| f64::from(steps) / 65_535.0)
    }

    /// Finite and not negative.
    pub(super) fn float(&mut self) -> Option<f64> {
        let float = f64::from(f32::from_le_bytes(self.array()?));
        (float.is_finite() && float >= 0.0).then_some(float)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.level(0.35f64.ln());
        writer.level(f64::NAN);
        writer.variance(0.123);
        writer.variance(99.0);
        writer.share(0.25);
        writer.float(1.5e9);
        writer.age(Duration::from_millis(1234));
        let mut reader = Reader(&writer.0);
        assert!((reader.level().unwrap() - 0.35f64.ln()).abs() < 1e-3);
        assert!(reader.level().unwrap().is_nan());
        assert!((reader.variance().unwrap() - 0.123).abs() < 1e-4);
        assert!(reader.variance().unwrap() < 4.0);
        assert!((reader.share().unwrap() - 0.25).abs() < 1e-4);
        assert_eq!(reader.float(), Some(1.5e9));
        assert_eq!(reader.age(), Some(Duration::from_millis(1234)));
        assert!(reader.byte().is_none());
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        assert_eq!(Reader(&[0x80; 11]).number(), None);
        assert_eq!(Reader(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).number(), None);
        assert_eq!(Reader(&f32::NAN.to_le_bytes()).float(), None);
        assert_eq!(Reader(&(-1f32).to_le_bytes()).float(), None);
    }

    proptest! {
        #[test]
        fn every_number_survives(numbers in proptest::collection::vec(any::<u64>(), 0..20)) {
            let mut writer = Writer::default();
            numbers.iter().for_each(|number| writer.number(*number));
            let mut reader = Reader(&writer.0);
            for number in numbers {
                prop_assert_eq!(reader.number(), Some(number));
            }
            prop_assert!(reader.0.is_empty());
        }
    }
}
