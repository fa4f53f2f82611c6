//! How do the numbers of an encoder lie in a file? Matrices and the table of pieces in 8 bits
//! with a scale for each row, all else as it is.

use bytes::Bytes;
use candle_core::{Device, Tensor};

use super::{Dense, Encoder, Layer, Norm};
use crate::classifier::fast::LABELS;
use crate::classifier::table::{Table, floats, tensors};

/// The numbers that an encoder was trained with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Layers.
    pub layers: usize,
    /// Heads of each.
    pub heads: usize,
    /// Numbers for each piece.
    pub width: usize,
    /// Numbers between the two steps of a layer's network.
    pub inner: usize,
    /// The most pieces of a text.
    pub pieces: usize,
}

/// A group of numbers that can be trained: a matrix or a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its name in files.
    pub name: String,
    /// Inputs, or 1 for a row.
    pub inputs: usize,
    /// Outputs.
    pub outputs: usize,
    /// The layer it belongs to; the head comes after the last.
    pub layer: usize,
}

impl Part {
    /// Whether it is a matrix.
    pub fn is_matrix(&self) -> bool {
        self.name.ends_with(".weight")
    }
}

impl Shape {
    /// All that can be trained, in the order of [`Encoder::parts`] and [`Encoder::assemble`].
    pub fn parts(&self) -> Vec<Part> {
        let (width, inner) = (self.width, self.inner);
        let mut parts = Vec::new();
        for layer in 0..self.layers {
            let mut part = |name: &str, inputs, outputs| {
                parts.push(Part { name: format!("layers.{layer}.{name}"), inputs, outputs, layer });
            };
            part("qkv.weight", width, 3 * width);
            part("qkv.bias", 1, 3 * width);
            part("gathered.weight", width, width);
            part("gathered.bias", 1, width);
            part("attended.scale", 1, width);
            part("attended.shift", 1, width);
            part("up.weight", width, inner);
            part("up.bias", 1, inner);
            part("down.weight", inner, width);
            part("down.bias", 1, width);
            part("fed.scale", 1, width);
            part("fed.shift", 1, width);
        }
        for (name, inputs) in [("head.weight", 2 * width), ("head.bias", 1)] {
            parts.push(Part { name: name.to_owned(), inputs, outputs: LABELS, layer: self.layers });
        }
        parts
    }
}

/// Hands out the numbers of part after part.
struct Take<'a, I>(&'a mut I);

impl<I: Iterator<Item = Vec<f32>>> Take<'_, I> {
    fn row(&mut self, length: usize) -> candle_core::Result<Vec<f32>> {
        match self.0.next() {
            Some(numbers) if numbers.len() == length => Ok(numbers),
            _ => candle_core::bail!("a part of the weights is missing, or has another size"),
        }
    }

    fn dense(&mut self, inputs: usize, outputs: usize) -> candle_core::Result<Dense> {
        let weight = Tensor::from_vec(self.row(inputs * outputs)?, (inputs, outputs), &Device::Cpu)?;
        Ok(Dense { weight, bias: self.row(outputs)? })
    }

    fn norm(&mut self, width: usize) -> candle_core::Result<Norm> {
        Ok(Norm { scale: self.row(width)?, shift: self.row(width)? })
    }
}

/// Layers and head, of the numbers of all parts in the order of [`Shape::parts`].
///
/// # Errors
/// If a part is missing or has another size.
pub fn assemble(shape: &Shape, mut parts: impl Iterator<Item = Vec<f32>>) -> candle_core::Result<(Vec<Layer>, Dense)> {
    let Shape { width, inner, .. } = *shape;
    let mut take = Take(&mut parts);
    let mut layers = Vec::with_capacity(shape.layers);
    for _ in 0..shape.layers {
        let qkv = take.dense(width, 3 * width)?;
        let gathered = take.dense(width, width)?;
        let attended = take.norm(width)?;
        let up = take.dense(width, inner)?;
        let down = take.dense(inner, width)?;
        layers.push(Layer { qkv, gathered, attended, up, down, fed: take.norm(width)? });
    }
    Ok((layers, take.dense(2 * width, LABELS)?))
}

impl Encoder {
    /// Reads weights: `pieces` (I8) and `pieces_scale`; `positions`, `embedded.scale` and
    /// `embedded.shift` (F32); and all [`Shape::parts`], matrices as I8 with `{name}_scale`, a
    /// row of the file for each output. Width, inner width and positions are those of the file.
    ///
    /// # Errors
    /// If the file does not hold them, in these shapes; says what is wrong.
    pub fn read(file: &Bytes, layers: usize, heads: usize, pieces: usize, vocabulary: usize) -> Result<Self, String> {
        let tensors = tensors(file)?;
        let table = Table::read(file, &tensors, "pieces")?;
        let width = table.width();
        if table.len() != vocabulary || heads == 0 || !width.is_multiple_of(heads) || width == 0 {
            return Err(format!("tensor pieces: {} rows of {width} for {heads} heads", table.len()));
        }
        let inner = tensors.tensor("layers.0.up.bias").map_or(0, |view| view.shape().iter().product());
        let shape = Shape { layers, heads, width, inner, pieces };
        let mut numbers = Vec::new();
        for part in shape.parts() {
            numbers.push(if part.is_matrix() {
                let rows = Table::read(file, &tensors, &part.name)?;
                if (rows.len(), rows.width()) != (part.outputs, part.inputs) {
                    return Err(format!("tensor {}: it has another shape", part.name));
                }
                turned(&rows)
            } else {
                floats(&tensors, &part.name, &[part.outputs])?
            });
        }
        let (layers, head) = assemble(&shape, numbers.into_iter()).map_err(|error| error.to_string())?;
        let embedded = Norm {
            scale: floats(&tensors, "embedded.scale", &[width])?,
            shift: floats(&tensors, "embedded.shift", &[width])?,
        };
        let positions = floats(&tensors, "positions", &[pieces, width])?;
        Ok(Self { shape, pieces: table, positions, embedded, layers, head })
    }
}

/// The numbers of a table, columns for rows.
fn turned(table: &Table) -> Vec<f32> {
    let (rows, width) = (table.len(), table.width());
    let mut numbers = vec![0.0; rows * width];
    let mut row = vec![0.0; width];
    for at in 0..rows {
        row.fill(0.0);
        table.add(&[at as u32], &mut row);
        for (column, number) in row.iter().enumerate() {
            numbers[column * rows + at] = *number;
        }
    }
    numbers
}
