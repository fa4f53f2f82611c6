//! The steps of the encoder that are no matrix products, on plain slices, and their derivatives.
//!
//! They are written so that the compiler can make vector instructions of them: no calls into the
//! C library, sums side by side, no branches. All are inlined, so that whoever calls them within
//! [`pulp::Arch::dispatch`] gets the widest instructions that the processor has.

/// Sums and the like that are made side by side.
const LANES: usize = 16;

/// The sum of all values of `of`, in an order that depends on the length alone.
#[inline(always)]
fn sum(values: &[f32], of: impl Fn(usize, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let whole = values.len() / LANES * LANES;
    for (block, chunk) in values[..whole].chunks_exact(LANES).enumerate() {
        for (lane, value) in chunk.iter().enumerate() {
            lanes[lane] += of(block * LANES + lane, *value);
        }
    }
    let rest: f32 = values[whole..].iter().enumerate().map(|(at, value)| of(whole + at, *value)).sum();
    lanes.iter().sum::<f32>() + rest
}

/// e^x, to 2e-7 of its value; below -87 it is as at -87.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // x = (n + f) ln 2 with f in [-1/2, 1/2]; 2^n is made of bits, 2^f is a polynomial.
    const ROUND: f32 = 12_582_912.0;
    let t = x.clamp(-87.0, 88.0) * std::f32::consts::LOG2_E;
    let rounded = t + ROUND;
    let n = rounded - ROUND;
    let f = (t - n) * std::f32::consts::LN_2;
    let p = 1.0 + f * (1.0 + f * (0.5 + f * (1.0 / 6.0 + f * (1.0 / 24.0 + f * (1.0 / 120.0 + f / 720.0)))));
    p * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
}

/// The error function, to 5e-7: a quotient of polynomials in x.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let s = x * x;
    let p = -2.726_142_3e-10;
    let p = p * s + 2.770_681_4e-8;
    let p = p * s - 2.101_024e-6;
    let p = p * s - 5.692_506_4e-5;
    let p = p * s - 7.349_906_3e-4;
    let p = p * s - 2.954_6e-3;
    let p = p * s - 1.609_603_3e-2;
    let q = -1.456_607_2e-5;
    let q = q * s - 2.133_740_6e-4;
    let q = q * s - 1.682_827e-3;
    let q = q * s - 7.373_329e-3;
    let q = q * s - 1.426_473_9e-2;
    x * p / q
}

#[inline(always)]
fn normal_share(x: f32) -> f32 {
    0.5 + 0.5 * erf(x * std::f32::consts::FRAC_1_SQRT_2)
}

/// Adds a bias to every row.
#[inline(always)]
pub fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (value, bias) in row.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}

/// GELU of every value, as BERT has it (with the error function).
#[inline(always)]
pub fn gelu(values: &mut [f32]) {
    for value in values {
        *value *= normal_share(*value);
    }
}

/// Turns the gradients of GELU's results into those of its arguments `at`.
#[inline(always)]
pub fn gelu_backward(at: &[f32], gradient: &mut [f32]) {
    const SCALE: f32 = 0.398_942_3;
    for (gradient, x) in gradient.iter_mut().zip(at) {
        *gradient *= normal_share(*x) + x * SCALE * exp(-0.5 * x * x);
    }
}

/// What the backward pass of [`layer_norm`] needs.
#[derive(Debug, Default)]
pub struct Normed {
    /// The rows with mean 0 and variance 1, before scale and shift.
    pub rows: Vec<f32>,
    /// One over the standard deviation of each row.
    pub inverse: Vec<f32>,
}

/// Layer normalisation of every row, in place; keeps in `kept` what the way back needs. `epsilon`
/// stops a row of equal values from being divided by zero.
#[inline(always)]
pub fn layer_norm(rows: &mut [f32], scale: &[f32], shift: &[f32], epsilon: f32, mut kept: Option<&mut Normed>) {
    let width = scale.len();
    for row in rows.chunks_exact_mut(width) {
        let mean = sum(row, |_, value| value) / width as f32;
        let variance = sum(row, |_, value| (value - mean) * (value - mean)) / width as f32;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        for value in row.iter_mut() {
            *value = (*value - mean) * inverse;
        }
        if let Some(kept) = kept.as_deref_mut() {
            kept.rows.extend_from_slice(row);
            kept.inverse.push(inverse);
        }
        for ((value, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
            *value = *value * scale + shift;
        }
    }
}

/// Turns the gradients of [`layer_norm`]'s results into those of its arguments, in place, and
/// adds those of scale and shift.
#[inline(always)]
pub fn layer_norm_backward(
    kept: &Normed,
    scale: &[f32],
    gradient: &mut [f32],
    of_scale: &mut [f32],
    of_shift: &mut [f32],
) {
    let width = scale.len();
    let rows = gradient.chunks_exact_mut(width).zip(kept.rows.chunks_exact(width)).zip(&kept.inverse);
    for ((gradient, normed), inverse) in rows {
        for at in 0..width {
            of_scale[at] += gradient[at] * normed[at];
            of_shift[at] += gradient[at];
            gradient[at] *= scale[at];
        }
        let mean = sum(gradient, |_, value| value) / width as f32;
        let along = sum(gradient, |at, value| value * normed[at]) / width as f32;
        for (gradient, normed) in gradient.iter_mut().zip(normed) {
            *gradient = inverse * (*gradient - mean - normed * along);
        }
    }
}

/// Softmax of `factor` times every row of `width` values, in place.
#[inline(always)]
pub fn softmax(rows: &mut [f32], width: usize, factor: f32) {
    for row in rows.chunks_exact_mut(width) {
        let mut lanes = [f32::MIN; LANES];
        for chunk in row.chunks(LANES) {
            lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane = lane.max(*value));
        }
        let greatest = lanes.into_iter().fold(f32::MIN, f32::max);
        for value in row.iter_mut() {
            *value = exp((*value - greatest) * factor);
        }
        let inverse = 1.0 / sum(row, |_, value| value);
        for value in row.iter_mut() {
            *value *= inverse;
        }
    }
}

/// Turns the gradients of [`softmax`]'s results `shares` into those of its arguments.
#[inline(always)]
pub fn softmax_backward(shares: &[f32], width: usize, factor: f32, gradient: &mut [f32]) {
    for (gradient, shares) in gradient.chunks_exact_mut(width).zip(shares.chunks_exact(width)) {
        let along = sum(gradient, |at, value| value * shares[at]);
        for (gradient, share) in gradient.iter_mut().zip(shares) {
            *gradient = share * (*gradient - along) * factor;
        }
    }
}

/// Adds every row to `into`.
#[inline(always)]
pub fn add_rows(rows: &[f32], into: &mut [f32]) {
    for row in rows.chunks_exact(into.len()) {
        for (sum, value) in into.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_what_they_are_called() {
        for (x, expected) in [(0.0, 1.0), (1.0, 2.718_281_7), (-10.0, 4.539_993e-5), (20.0, 4.851_652e8)] {
            assert!((exp(x) / expected - 1.0).abs() < 1e-6, "exp({x}) = {}", exp(x));
        }
        for (x, expected) in [(0.0, 0.0), (0.5, 0.520_499_9), (-1.0, -0.842_700_8), (2.0, 0.995_322_3), (9.0, 1.0)] {
            assert!((erf(x) - expected).abs() < 1e-6, "erf({x}) = {}", erf(x));
        }
    }

    #[test]
    fn softmax_of_large_values_is_a_share() {
        let mut rows = [1000.0, 1000.0, -1000.0, 3.0, 1.0, 2.0];
        softmax(&mut rows, 3, 1.0);
        for (found, expected) in rows.iter().zip([0.5, 0.5, 0.0, 0.665_240_9, 0.090_030_6, 0.244_728_5]) {
            assert!((found - expected).abs() < 1e-6, "{rows:?}");
        }
    }
}
