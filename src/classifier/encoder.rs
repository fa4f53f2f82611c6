//! A small transformer encoder (BERT): what do the pieces of a text mean, each in its context?
//!
//! Texts are not padded. All pieces of a batch are rows of one matrix, and only attention looks
//! at where a text begins and ends; serving is a batch of one. Matrix products are candle's;
//! what lies between them is in [`kernels`]. Training walks the same forward pass, with a
//! [`Tape`] that keeps what the way back needs.

pub mod input;
pub mod kernels;
mod weights;

use std::cell::RefCell;

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Result, Tensor};
use pulp::Arch;

use self::kernels::Normed;
pub use self::weights::{Part, Shape, assemble};
use super::table::Table;

/// What stops a row of equal numbers from being divided by zero, as BERT has it.
const EPSILON: f32 = 1e-12;

/// A product with a matrix, and a bias.
#[derive(Clone, Debug)]
pub struct Dense {
    /// Inputs by outputs: this way round, small products are fastest.
    pub weight: Tensor,
    /// One number for each output.
    pub bias: Vec<f32>,
}

/// Scale and shift of a layer normalisation.
#[derive(Clone, Debug)]
pub struct Norm {
    /// What each number is multiplied with.
    pub scale: Vec<f32>,
    /// What is added to it then.
    pub shift: Vec<f32>,
}

/// A layer: attention, then a network of two steps for each piece; each is added to what went in
/// and normalised.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Queries, keys and values of all heads, side by side.
    pub qkv: Dense,
    /// What becomes of what the heads gathered.
    pub gathered: Dense,
    /// After attention.
    pub attended: Norm,
    /// The first step of the network.
    pub up: Dense,
    /// The second.
    pub down: Dense,
    /// After the network.
    pub fed: Norm,
}

/// What the way back through a layer needs.
#[derive(Debug)]
pub struct Tape {
    /// What went in.
    pub input: Tensor,
    /// Queries, keys and values.
    pub qkv: Tensor,
    /// Each text's shares of attention, heads by pieces by pieces.
    pub shares: Vec<Tensor>,
    /// What the heads gathered.
    pub gathered: Tensor,
    /// The first normalisation.
    pub attended: Normed,
    /// Its result.
    pub middle: Tensor,
    /// The network's first step, before GELU.
    pub up: Tensor,
    /// And after.
    pub active: Tensor,
    /// The second normalisation.
    pub fed: Normed,
}

/// An encoder with a classifying head.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// The numbers that the weights were trained with.
    pub shape: Shape,
    /// A row for each piece of the vocabulary.
    pub pieces: Table,
    /// A row for each position in a text, laid end to end.
    pub positions: Vec<f32>,
    /// After the sum of both.
    pub embedded: Norm,
    /// From the first to the last.
    pub layers: Vec<Layer>,
    /// From the mean of all pieces and the first piece, side by side, to logits.
    pub head: Dense,
}

impl Encoder {
    /// The logits of a text that is made of these pieces.
    ///
    /// # Errors
    /// If candle cannot compute them.
    pub fn logits(&self, pieces: &[u32]) -> Result<Vec<f32>> {
        let pieces = &pieces[..pieces.len().min(self.shape.pieces)];
        if pieces.is_empty() {
            return Ok(self.head.bias.clone());
        }
        let lengths = [pieces.len()];
        let mut rows = self.embed(&[pieces])?;
        for layer in &self.layers {
            rows = layer.forward(&rows, &lengths, self.shape.heads, None)?;
        }
        self.head.forward(&self.pool(&rows, &lengths)?)?.flatten_all()?.to_vec1()
    }

    /// What goes into the first layer: for each piece of each text, what it is and where it stands.
    ///
    /// # Errors
    /// If candle cannot hold it.
    pub fn embed(&self, texts: &[&[u32]]) -> Result<Tensor> {
        let width = self.shape.width;
        let count: usize = texts.iter().map(|pieces| pieces.len()).sum();
        let mut rows = Vec::with_capacity(count * width);
        for pieces in texts {
            rows.extend_from_slice(&self.positions[..pieces.len() * width]);
        }
        for (piece, row) in texts.iter().copied().flatten().zip(rows.chunks_exact_mut(width)) {
            self.pieces.add(&[*piece], row);
        }
        let Norm { scale, shift } = &self.embedded;
        Arch::new().dispatch(|| kernels::layer_norm(&mut rows, scale, shift, EPSILON, None));
        Tensor::from_vec(rows, (count, width), &Device::Cpu)
    }

    /// The mean of each text's rows and its first row, side by side.
    ///
    /// # Errors
    /// If candle cannot compute it.
    pub fn pool(&self, rows: &Tensor, lengths: &[usize]) -> Result<Tensor> {
        let width = self.shape.width;
        let mut pooled = vec![0.0; lengths.len() * 2 * width];
        read(rows, |rows| {
            let mut rest = rows;
            for (length, pooled) in lengths.iter().zip(pooled.chunks_exact_mut(2 * width)) {
                let (text, after) = rest.split_at(length * width);
                let (mean, first) = pooled.split_at_mut(width);
                kernels::add_rows(text, mean);
                mean.iter_mut().for_each(|number| *number /= *length as f32);
                first.copy_from_slice(&text[..width]);
                rest = after;
            }
        })?;
        Tensor::from_vec(pooled, (lengths.len(), 2 * width), &Device::Cpu)
    }
}

impl Dense {
    /// The product with each row, and the bias.
    ///
    /// # Errors
    /// If the rows are not as wide as the matrix is high.
    pub fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        let product = rows.matmul(&self.weight)?;
        alter(&product, |numbers| kernels::add_bias(numbers, &self.bias))?;
        Ok(product)
    }
}

impl Norm {
    /// Normalises the sum of rows and what they are added to, in place.
    fn forward(&self, rows: &Tensor, onto: &Tensor, kept: Option<&mut Normed>) -> Result<()> {
        read(onto, |onto| {
            alter(rows, |numbers| {
                numbers.iter_mut().zip(onto).for_each(|(number, onto)| *number += onto);
                kernels::layer_norm(numbers, &self.scale, &self.shift, EPSILON, kept);
            })
        })?
    }
}

impl Layer {
    /// What becomes of the rows of texts of these lengths. Where somebody will want to come
    /// back, `tape` becomes what that needs.
    ///
    /// # Errors
    /// If the rows do not fit the layer.
    pub fn forward(
        &self,
        rows: &Tensor,
        lengths: &[usize],
        heads: usize,
        tape: Option<&mut Option<Tape>>,
    ) -> Result<Tensor> {
        let keep = tape.is_some();
        let mut norms = (Normed::default(), Normed::default());
        let qkv = self.qkv.forward(rows)?;
        let (gathered, shares) = attend(&qkv, lengths, heads, keep)?;
        let middle = self.gathered.forward(&gathered)?;
        self.attended.forward(&middle, rows, keep.then_some(&mut norms.0))?;
        let up = self.up.forward(&middle)?;
        let active = if keep { up.copy()? } else { up.clone() };
        alter(&active, kernels::gelu)?;
        let output = self.down.forward(&active)?;
        self.fed.forward(&output, &middle, keep.then_some(&mut norms.1))?;
        if let Some(tape) = tape {
            let (attended, fed) = norms;
            *tape = Some(Tape { input: rows.clone(), qkv, shares, gathered, attended, middle, up, active, fed });
        }
        Ok(output)
    }
}

/// Queries, keys and values of the text at these rows, each heads by pieces by width. They are
/// views.
///
/// # Errors
/// If the rows are not there.
pub fn views(qkv: &Tensor, start: usize, length: usize, heads: usize) -> Result<[Tensor; 3]> {
    let width = qkv.dim(1)? / 3 / heads;
    let text = qkv.narrow(0, start, length)?.reshape((length, 3, heads, width))?;
    let view = |at: usize| text.narrow(1, at, 1)?.squeeze(1)?.transpose(0, 1);
    Ok([view(0)?, view(1)?, view(2)?])
}

/// What attention multiplies its scores with.
pub fn factor(width: usize) -> f32 {
    1.0 / (width as f32).sqrt()
}

/// Each piece gathers what it looks at in its own text.
fn attend(qkv: &Tensor, lengths: &[usize], heads: usize, keep: bool) -> Result<(Tensor, Vec<Tensor>)> {
    let mut gathered = Vec::with_capacity(lengths.len());
    let mut kept = Vec::with_capacity(if keep { lengths.len() } else { 0 });
    let width = qkv.dim(1)? / 3;
    let mut start = 0;
    for length in lengths {
        let [queries, keys, values] = views(qkv, start, *length, heads)?;
        let shares = queries.matmul(&keys.t()?)?;
        alter(&shares, |scores| kernels::softmax(scores, *length, factor(width / heads)))?;
        gathered.push(shares.matmul(&values)?.transpose(0, 1)?.reshape((*length, width))?);
        if keep {
            kept.push(shares);
        }
        start += length;
    }
    let gathered = if let [only] = &gathered[..] { only.clone() } else { Tensor::cat(&gathered, 0)? };
    Ok((gathered, kept))
}

/// Lends the numbers of a contiguous tensor.
///
/// # Errors
/// If it is not contiguous, or holds something else than f32.
pub fn read<R>(tensor: &Tensor, with: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let (Some((start, end)), candle_core::Storage::Cpu(storage)) = (layout.contiguous_offsets(), &*storage) else {
        candle_core::bail!("the numbers do not lie side by side");
    };
    Ok(with(&storage.as_slice::<f32>()?[start..end]))
}

/// Changes the numbers of a contiguous tensor in place, with the widest instructions there are.
///
/// # Errors
/// If it is not contiguous, or holds something else than f32.
pub fn alter(tensor: &Tensor, with: impl FnOnce(&mut [f32])) -> Result<()> {
    tensor.inplace_op1(&Alter(RefCell::new(Some(with))))
}

struct Alter<F>(RefCell<Option<F>>);

impl<F: FnOnce(&mut [f32])> InplaceOp1 for Alter<F> {
    fn name(&self) -> &'static str {
        "alter"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (Some((start, end)), CpuStorage::F32(numbers)) = (layout.contiguous_offsets(), storage) else {
            candle_core::bail!("the numbers do not lie side by side");
        };
        let numbers = &mut numbers[start..end];
        if let Some(with) = self.0.take() {
            Arch::new().dispatch(|| with(numbers));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::Dtype;

    use super::*;
    use crate::classifier::table::tensors;
    use crate::classifier::tests_support::{Named, file};

    fn numbers(seed: usize, count: usize) -> Vec<f32> {
        (1..=count).map(|at| ((0.37 * at as f64 * (seed + 1) as f64 + seed as f64).sin() * 0.3) as f32).collect()
    }

    fn tiny() -> Encoder {
        let shape = Shape { layers: 2, heads: 4, width: 16, inner: 32, pieces: 6 };
        let parts = shape.parts().into_iter().enumerate().map(|(seed, part)| {
            let one = if part.name.ends_with(".scale") { 1.0 } else { 0.0 };
            numbers(seed, part.inputs * part.outputs).into_iter().map(|number| number + one).collect()
        });
        let (layers, head) = assemble(&shape, parts).unwrap();
        let rows = (0..8 * 16).map(|at| ((7 * (at / 16) + 3 * (at % 16)) % 23 - 11) as i8 as u8).collect();
        let scales = (0..8).flat_map(|_| 0.01f32.to_le_bytes()).collect();
        let table =
            file(&[Named("pieces", Dtype::I8, vec![8, 16], rows), Named("pieces_scale", Dtype::F32, vec![8], scales)]);
        let pieces = Table::read(&table, &tensors(&table).unwrap(), "pieces").unwrap();
        let scale = numbers(51, 16).into_iter().map(|number| number + 1.0).collect();
        let embedded = Norm { scale, shift: numbers(52, 16) };
        Encoder { shape, pieces, positions: numbers(50, 6 * 16), embedded, layers, head }
    }

    /// Computed once by a forward pass in NumPy that shares nothing with this one.
    const GOLDEN: [f32; 13] = [
        1.467_219, -1.420_256, 1.330_592, -1.201_374, 1.036_912, -0.842_541, 0.624_442, -0.389_447, 0.144_818,
        0.101_97, -0.343_464, 0.572_455, -0.782_192,
    ];

    #[test]
    fn logits_are_those_of_another_implementation() {
        let logits = tiny().logits(&[3, 1, 4, 1, 5]).unwrap();
        assert!(logits.iter().zip(GOLDEN).all(|(a, b)| (a - b).abs() < 1e-4), "{logits:?}");
    }

    #[test]
    fn texts_of_a_batch_do_not_see_each_other() {
        let encoder = tiny();
        let texts: [&[u32]; 3] = [&[3, 1, 4, 1, 5], &[2], &[7, 0, 7]];
        let lengths = texts.map(<[u32]>::len);
        let mut rows = encoder.embed(&texts).unwrap();
        for layer in &encoder.layers {
            rows = layer.forward(&rows, &lengths, 4, None).unwrap();
        }
        let pooled = encoder.pool(&rows, &lengths).unwrap();
        let together = encoder.head.forward(&pooled).unwrap().to_vec2::<f32>().unwrap();
        for (text, together) in texts.iter().zip(together) {
            let alone = encoder.logits(text).unwrap();
            assert!(alone.iter().zip(&together).all(|(a, b)| (a - b).abs() < 1e-5), "{alone:?} {together:?}");
        }
    }

    #[test]
    fn too_many_pieces_and_none_are_read_too() {
        let encoder = tiny();
        assert_eq!(encoder.logits(&[1; 40]).unwrap(), encoder.logits(&[1; 6]).unwrap());
        assert_eq!(encoder.logits(&[]).unwrap(), encoder.head.bias);
    }
}
