//! A table of small vectors in 8 bits, each with a scale of its own, and sums of its rows.

use bytes::Bytes;
use pulp::{Arch, WithSimd};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// Rows of 8-bit numbers. The rows stay where they are, in the file that they come from.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Bytes,
    scales: Vec<f32>,
    width: usize,
    arch: Arch,
}

impl Table {
    /// Takes the tensors `{name}` (I8, rows by width) and `{name}_scale` (F32, rows) out of a file.
    ///
    /// # Errors
    /// If they are not there, or not of these kinds; says what is wrong.
    pub fn read(file: &Bytes, tensors: &SafeTensors<'_>, name: &str) -> Result<Self, String> {
        let rows = tensor(tensors, name, Dtype::I8)?;
        let &[count, width] = rows.shape() else {
            return Err(format!("tensor {name}: it should have two dimensions, not {}", rows.shape().len()));
        };
        let scales = floats(tensors, &format!("{name}_scale"), &[count])?;
        Ok(Self { rows: file.slice_ref(rows.data()), scales, width, arch: Arch::new() })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.scales.is_empty()
    }

    /// How many numbers are in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Adds rows to `into`, which is as wide as a row. Rows that are not there are left out.
    pub fn add(&self, rows: &[u32], into: &mut [f32]) {
        self.arch.dispatch(Sum { table: self, rows, into });
    }
}

struct Sum<'a> {
    table: &'a Table,
    rows: &'a [u32],
    into: &'a mut [f32],
}

impl WithSimd for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { table, rows, into } = self;
        for row in rows {
            let at = *row as usize;
            let Some(scale) = table.scales.get(at) else { continue };
            let Some(numbers) = table.rows.get(at * table.width..(at + 1) * table.width) else { continue };
            for (sum, number) in into.iter_mut().zip(numbers) {
                *sum += scale * f32::from(*number as i8);
            }
        }
    }
}

/// A tensor of this kind.
pub(super) fn tensor<'a>(tensors: &SafeTensors<'a>, name: &str, dtype: Dtype) -> Result<TensorView<'a>, String> {
    let view = tensors.tensor(name).map_err(|_| format!("tensor {name} is missing"))?;
    if view.dtype() != dtype {
        return Err(format!("tensor {name}: it holds {:?}, not {dtype:?}", view.dtype()));
    }
    Ok(view)
}

/// The numbers of a tensor of this shape.
pub(super) fn floats(tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let view = tensor(tensors, name, Dtype::F32)?;
    if view.shape() != shape {
        return Err(format!("tensor {name}: its shape is {:?}, not {shape:?}", view.shape()));
    }
    let numbers: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err(format!("tensor {name}: it holds something that is no number"));
    }
    Ok(numbers)
}

/// What a file of tensors holds.
pub(super) fn tensors(file: &Bytes) -> Result<SafeTensors<'_>, String> {
    SafeTensors::deserialize(file).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of a table of these rows.
    fn file(rows: &[i8], scales: &[f32], width: usize) -> Bytes {
        let rows_bytes: Vec<u8> = rows.iter().map(|number| *number as u8).collect();
        let scale_bytes: Vec<u8> = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
        let views = [
            ("t", TensorView::new(Dtype::I8, vec![rows.len() / width, width], &rows_bytes).unwrap()),
            ("t_scale", TensorView::new(Dtype::F32, vec![scales.len()], &scale_bytes).unwrap()),
        ];
        safetensors::serialize(views, None).unwrap().into()
    }

    fn read(file: &Bytes) -> Result<Table, String> {
        Table::read(file, &tensors(file)?, "t")
    }

    #[test]
    fn sums_are_of_scaled_rows() {
        let table = read(&file(&[1, -2, 127, -128, 0, 4], &[0.5, 2.0, 1.0], 2)).unwrap();
        let mut sum = [1.0, 1.0];
        table.add(&[0, 1, 1, 9], &mut sum);
        assert_eq!(sum, [1.0 + 0.5 + 508.0, 1.0 - 1.0 - 512.0]);
        assert_eq!((table.len(), table.width()), (3, 2));
    }

    #[test]
    fn files_that_are_none_are_named() {
        assert_eq!(read(&file(&[1, 2], &[1.0, 2.0], 2)).unwrap_err(), "tensor t_scale: its shape is [2], not [1]");
        assert_eq!(
            read(&file(&[1, 2], &[f32::NAN], 2)).unwrap_err(),
            "tensor t_scale: it holds something that is no number"
        );
        assert!(read(&Bytes::from_static(b"nothing")).is_err());
        let good = file(&[1, 2], &[1.0], 2);
        assert_eq!(Table::read(&good, &tensors(&good).unwrap(), "u").unwrap_err(), "tensor u is missing");
        assert_eq!(
            Table::read(&good, &tensors(&good).unwrap(), "t_scale").unwrap_err(),
            "tensor t_scale: it holds F32, not I8"
        );
    }
}
