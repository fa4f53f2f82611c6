//! The way back through the encoder: by how much would the loss change with each number?

use candle_core::{Result, Tensor};

use crate::classifier::encoder::kernels::{self, Normed};
use crate::classifier::encoder::{Dense, Encoder, Layer, Tape, alter, factor, read, views};

/// A text, and how likely each label should be.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// Its pieces.
    pub pieces: Vec<u32>,
    /// What it should be, adding up to 1.
    pub target: Vec<f32>,
    /// How much it counts.
    pub weight: f32,
}

/// What is learned from some lessons: the loss, summed with the lessons' weights, and the gradients
/// of all parts in their order.
#[derive(Debug)]
pub struct Learned {
    /// The summed loss.
    pub loss: f64,
    /// The gradients; those of frozen layers are empty.
    pub gradients: Vec<Vec<f32>>,
}

/// Goes forth and back. `keep` says of each number of the pooled rows what it is multiplied with
/// (dropout). The first `frozen` layers are not gone back through.
///
/// # Errors
/// If candle cannot compute something.
pub fn learn(encoder: &Encoder, lessons: &[&Lesson], keep: Option<&[f32]>, frozen: usize) -> Result<Learned> {
    let texts: Vec<&[u32]> = lessons.iter().map(|lesson| lesson.pieces.as_slice()).collect();
    let lengths: Vec<usize> = texts.iter().map(|pieces| pieces.len()).collect();
    let heads = encoder.shape.heads;
    let mut rows = encoder.embed(&texts)?;
    let mut tapes = Vec::new();
    for (at, layer) in encoder.layers.iter().enumerate() {
        let mut tape = None;
        rows = layer.forward(&rows, &lengths, heads, (at >= frozen).then_some(&mut tape))?;
        tapes.push(tape);
    }
    let pooled = encoder.pool(&rows, &lengths)?;
    let drop =
        |pooled: &mut [f32]| pooled.iter_mut().zip(keep.unwrap_or(&[])).for_each(|(number, keep)| *number *= keep);
    alter(&pooled, drop)?;
    let logits = encoder.head.forward(&pooled)?;
    let mut loss = 0.0;
    // From here on it is the gradient.
    alter(&logits, |logits| {
        for (row, lesson) in logits.chunks_exact_mut(encoder.head.bias.len()).zip(lessons) {
            kernels::softmax(row, lesson.target.len(), 1.0);
            for (share, target) in row.iter_mut().zip(&lesson.target) {
                loss -= f64::from(target * lesson.weight) * f64::from(share.max(1e-9)).ln();
                *share = (*share - target) * lesson.weight;
            }
        }
    })?;
    let [weight, bias] = dense(&encoder.head, &pooled, &logits)?;
    let of_pooled = back(&encoder.head, &logits)?;
    alter(&of_pooled, drop)?;
    let mut gradient = spread(&of_pooled, &lengths)?;
    let mut gradients = vec![bias, weight];
    for (layer, tape) in encoder.layers.iter().zip(tapes).skip(frozen).rev() {
        let Some(tape) = tape else { continue };
        let mut of_parts = layer_backward(layer, tape, &mut gradient, &lengths, heads)?;
        of_parts.reverse();
        gradients.extend(of_parts);
    }
    gradients.resize_with(encoder.shape.parts().len(), Vec::new);
    gradients.reverse();
    Ok(Learned { loss, gradients })
}

/// What the rows would be, from what their pooled rows would be.
fn spread(pooled: &Tensor, lengths: &[usize]) -> Result<Tensor> {
    let width = pooled.dim(1)? / 2;
    let mut rows = Vec::with_capacity(lengths.iter().sum::<usize>() * width);
    read(pooled, |pooled| {
        for (length, row) in lengths.iter().zip(pooled.chunks_exact(2 * width)) {
            let (mean, first) = row.split_at(width);
            let start = rows.len();
            for _ in 0..*length {
                rows.extend(mean.iter().map(|number| number / *length as f32));
            }
            rows[start..start + width].iter_mut().zip(first).for_each(|(number, first)| *number += first);
        }
    })?;
    Tensor::from_vec(rows, (lengths.iter().sum::<usize>(), width), pooled.device())
}

/// The gradients of a matrix and its bias.
pub(super) fn dense(dense: &Dense, input: &Tensor, gradient: &Tensor) -> Result<[Vec<f32>; 2]> {
    let weight = input.t()?.matmul(gradient)?.flatten_all()?.to_vec1()?;
    let mut bias = vec![0.0; dense.bias.len()];
    read(gradient, |gradient| kernels::add_rows(gradient, &mut bias))?;
    Ok([weight, bias])
}

/// The gradient of what went into a matrix.
pub(super) fn back(dense: &Dense, gradient: &Tensor) -> Result<Tensor> {
    gradient.matmul(&dense.weight.t()?)
}

pub(super) fn norm(scale: &[f32], kept: &Normed, gradient: &Tensor) -> Result<[Vec<f32>; 2]> {
    let mut of = [vec![0.0; scale.len()], vec![0.0; scale.len()]];
    let [of_scale, of_shift] = &mut of;
    alter(gradient, |gradient| kernels::layer_norm_backward(kept, scale, gradient, of_scale, of_shift))?;
    Ok(of)
}

fn add(into: &Tensor, other: &Tensor) -> Result<()> {
    read(other, |other| alter(into, |into| into.iter_mut().zip(other).for_each(|(number, other)| *number += other)))?
}

/// Turns the gradient of a layer's output into that of its input; returns those of its parts.
fn layer_backward(
    layer: &Layer,
    tape: Tape,
    gradient: &mut Tensor,
    lengths: &[usize],
    heads: usize,
) -> Result<Vec<Vec<f32>>> {
    let fed = norm(&layer.fed.scale, &tape.fed, gradient)?;
    let down = dense(&layer.down, &tape.active, gradient)?;
    let inner = back(&layer.down, gradient)?;
    read(&tape.up, |up| alter(&inner, |inner| kernels::gelu_backward(up, inner)))??;
    let up = dense(&layer.up, &tape.middle, &inner)?;
    let middle = back(&layer.up, &inner)?;
    add(&middle, gradient)?;
    let attended = norm(&layer.attended.scale, &tape.attended, &middle)?;
    let gathered = dense(&layer.gathered, &tape.gathered, &middle)?;
    let of_qkv = attention(&tape, &back(&layer.gathered, &middle)?, lengths, heads)?;
    let qkv = dense(&layer.qkv, &tape.input, &of_qkv)?;
    *gradient = back(&layer.qkv, &of_qkv)?;
    add(gradient, &middle)?;
    Ok([qkv, gathered, attended, up, down, fed].into_iter().flatten().collect())
}

/// The gradient of queries, keys and values, from that of what was gathered.
fn attention(tape: &Tape, gradient: &Tensor, lengths: &[usize], heads: usize) -> Result<Tensor> {
    let width = gradient.dim(1)?;
    let factor = factor(width / heads);
    let mut all = Vec::with_capacity(lengths.len());
    let mut start = 0;
    for (length, shares) in lengths.iter().zip(&tape.shares) {
        let [queries, keys, values] = views(&tape.qkv, start, *length, heads)?;
        let text = gradient.narrow(0, start, *length)?.reshape((*length, heads, width / heads))?.transpose(0, 1)?;
        let of_values = shares.t()?.matmul(&text)?;
        let of_scores = text.matmul(&values.t()?)?;
        read(shares, |shares| alter(&of_scores, |scores| kernels::softmax_backward(shares, *length, factor, scores)))??;
        let of_queries = of_scores.matmul(&keys)?;
        let of_keys = of_scores.t()?.matmul(&queries)?;
        let parts = [of_queries.transpose(0, 1)?, of_keys.transpose(0, 1)?, of_values.transpose(0, 1)?];
        all.push(Tensor::stack(&parts, 1)?.reshape((*length, 3 * width))?);
        start += length;
    }
    Tensor::cat(&all, 0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::classifier::encoder::{Shape, assemble};
    use crate::training::export::{Whole, bytes};

    fn numbers(seed: usize, count: usize) -> Vec<f32> {
        (1..=count).map(|at| (0.37 * at as f32 * (seed + 1) as f32 + seed as f32).sin() * 0.3).collect()
    }

    fn parts(shape: &Shape) -> Vec<Vec<f32>> {
        let parts = shape.parts().into_iter().enumerate();
        let one = |name: &str| if name.ends_with(".scale") { 1.0 } else { 0.0 };
        parts
            .map(|(seed, part)| {
                let numbers = numbers(seed, part.inputs * part.outputs);
                numbers.into_iter().map(|number| number + one(&part.name)).collect()
            })
            .collect()
    }

    fn encoder(shape: Shape, parts: &[Vec<f32>]) -> Encoder {
        let (pieces, positions, scale) =
            (numbers(60, 8 * shape.width), numbers(61, 6 * shape.width), vec![1.0; shape.width]);
        let shift = vec![0.0; shape.width];
        let whole = Whole { shape, pieces: &pieces, positions: &positions, scale: &scale, shift: &shift };
        let file = Bytes::from(bytes(&whole, parts).unwrap());
        let read = Encoder::read(&file, shape.layers, shape.heads, shape.pieces, 8).unwrap();
        let (layers, head) = assemble(&shape, parts.iter().cloned()).unwrap();
        Encoder { layers, head, ..read }
    }

    /// Every gradient is how the loss changes when its number is moved a little.
    #[test]
    fn gradients_are_slopes() {
        let shape = Shape { layers: 2, heads: 2, width: 8, inner: 16, pieces: 6 };
        let lessons = [(vec![3, 1, 4, 1], 2, 1.0), (vec![5, 2], 0, 0.5)].map(|(pieces, label, weight)| {
            let mut target = vec![0.02; 13];
            target[label] = 0.76;
            Lesson { pieces, target, weight }
        });
        let lessons: Vec<&Lesson> = lessons.iter().collect();
        let keep: Vec<f32> = (0..2 * 16).map(|at| if at % 5 == 0 { 0.0 } else { 1.25 }).collect();
        let parts = parts(&shape);
        let learned = learn(&encoder(shape, &parts), &lessons, Some(&keep), 0).unwrap();
        let loss = |part: usize, at: usize, by: f32| {
            let mut moved = parts.clone();
            moved[part][at] += by;
            learn(&encoder(shape, &moved), &lessons, Some(&keep), 0).unwrap().loss
        };
        for (part, info) in shape.parts().iter().enumerate() {
            for at in [0, parts[part].len() / 2, parts[part].len() - 1] {
                let slope = (loss(part, at, 2e-3) - loss(part, at, -2e-3)) / 4e-3;
                let found = f64::from(learned.gradients[part][at]);
                assert!((slope - found).abs() < 2e-3 + 0.03 * slope.abs(), "{}[{at}]: {found}, not {slope}", info.name);
            }
        }
        let frozen = learn(&encoder(shape, &parts), &lessons, Some(&keep), 1).unwrap();
        assert!(frozen.gradients[..12].iter().all(Vec::is_empty));
        assert_eq!(frozen.gradients[12..], learned.gradients[12..]);
    }
}
