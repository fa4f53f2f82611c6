//! How do trained weights become files? Matrices and tables in 8 bits, a scale for each row.

use anyhow::Result;
use safetensors::tensor::{Dtype, TensorView};

use crate::classifier::encoder::Shape;

/// What of an encoder is not trained.
#[derive(Debug)]
pub struct Whole<'a> {
    /// The numbers it is trained with.
    pub shape: Shape,
    /// A row for each piece of the vocabulary.
    pub pieces: &'a [f32],
    /// A row for each position.
    pub positions: &'a [f32],
    /// Scale of the sum of both.
    pub scale: &'a [f32],
    /// Shift of it.
    pub shift: &'a [f32],
}

/// A tensor that is to be written.
#[derive(Debug)]
pub struct Entry {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Entry {
    /// Numbers as they are.
    pub fn floats(name: &str, shape: &[usize], numbers: &[f32]) -> Self {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self { name: name.to_owned(), dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    /// Rows in 8 bits, and their scales as `{name}_scale`.
    pub fn rows(name: &str, width: usize, numbers: &[f32]) -> [Self; 2] {
        let mut bytes = Vec::with_capacity(numbers.len());
        let mut scales = Vec::with_capacity(numbers.len() / width);
        for row in numbers.chunks_exact(width) {
            let most = row.iter().fold(0f32, |most, number| most.max(number.abs()));
            let scale = most / 127.0;
            scales.push(scale);
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            bytes.extend(row.iter().map(|number| (number * inverse).round() as i8 as u8));
        }
        let shape = vec![scales.len(), width];
        let scales = Self::floats(&format!("{name}_scale"), &[scales.len()], &scales);
        [Self { name: name.to_owned(), dtype: Dtype::I8, shape, bytes }, scales]
    }
}

/// A safetensors file of these tensors.
///
/// # Errors
/// If two have the same name.
pub fn file(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut views = Vec::with_capacity(entries.len());
    for entry in entries {
        views.push((entry.name.as_str(), TensorView::new(entry.dtype, entry.shape.clone(), &entry.bytes)?));
    }
    Ok(safetensors::serialize(views, None)?)
}

/// The file of an encoder with these trained parts, in the order of [`Shape::parts`].
///
/// # Errors
/// If the file cannot be made.
pub fn bytes(whole: &Whole<'_>, parts: &[Vec<f32>]) -> Result<Vec<u8>> {
    let width = whole.shape.width;
    let mut entries = Vec::from(Entry::rows("pieces", width, whole.pieces));
    entries.push(Entry::floats("positions", &[whole.positions.len() / width, width], whole.positions));
    entries.push(Entry::floats("embedded.scale", &[width], whole.scale));
    entries.push(Entry::floats("embedded.shift", &[width], whole.shift));
    for (part, numbers) in whole.shape.parts().iter().zip(parts) {
        if part.is_matrix() {
            let mut turned = vec![0.0; numbers.len()];
            for (input, row) in numbers.chunks_exact(part.outputs).enumerate() {
                for (output, number) in row.iter().enumerate() {
                    turned[output * part.inputs + input] = *number;
                }
            }
            entries.extend(Entry::rows(&part.name, part.inputs, &turned));
        } else {
            entries.push(Entry::floats(&part.name, &[part.outputs], numbers));
        }
    }
    file(&entries)
}
