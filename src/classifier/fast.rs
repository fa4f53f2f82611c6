//! What does the fast classifier say? The rows of each segment are added up, and a small
//! network makes 13 numbers of the sums and of the prompt's surface.

use std::sync::Arc;

use bytes::Bytes;
use candle_core::{Device, Tensor};
use candle_nn::{LayerNorm, Linear, Module};

use super::features::{Features, HEAD, SEGMENTS, Shape, TAIL};
use super::surface::SURFACE;
use super::table::{Table, floats, tensors};
use crate::domain::category::BuiltIn;

/// How many built-in categories there are.
pub const LABELS: usize = BuiltIn::ALL.len();
/// What is added to a variance, so that nothing is divided by zero.
pub const EPSILON: f64 = 1e-5;

/// The fast classifier.
#[derive(Clone, Debug)]
pub struct Fast {
    table: Arc<Table>,
    norm: LayerNorm,
    hidden: Linear,
    out: Linear,
}

impl Fast {
    /// Reads weights: `table` (I8) and `table_scale`, `norm.weight`, `norm.bias`,
    /// `hidden.weight`, `hidden.bias`, `out.weight` and `out.bias` (F32). The table has a row
    /// for each piece of the vocabulary and for each bucket.
    ///
    /// # Errors
    /// If the file does not hold them, in these shapes; says what is wrong.
    pub fn read(file: &Bytes, shape: &Shape, vocabulary: usize) -> Result<Self, String> {
        let tensors = tensors(file)?;
        let table = Table::read(file, &tensors, "table")?;
        let rows = vocabulary + shape.buckets as usize;
        if (table.len(), table.width()) != (rows, shape.width) {
            let (found, width) = (table.len(), table.width());
            return Err(format!("tensor table: its shape is [{found}, {width}], not [{rows}, {}]", shape.width));
        }
        let read = |name: &str, dimensions: &[usize]| {
            let numbers = floats(&tensors, name, dimensions)?;
            Tensor::from_vec(numbers, dimensions, &Device::Cpu).map_err(|error| format!("tensor {name}: {error}"))
        };
        let inputs = SEGMENTS * shape.width + SURFACE;
        Ok(Self {
            table: Arc::new(table),
            norm: LayerNorm::new(read("norm.weight", &[inputs])?, read("norm.bias", &[inputs])?, EPSILON),
            hidden: Linear::new(
                read("hidden.weight", &[shape.hidden, inputs])?,
                Some(read("hidden.bias", &[shape.hidden])?),
            ),
            out: Linear::new(read("out.weight", &[LABELS, shape.hidden])?, Some(read("out.bias", &[LABELS])?)),
        })
    }

    /// The logits of the built-in categories, before any temperature.
    ///
    /// # Errors
    /// If candle cannot compute them.
    pub fn logits(&self, features: &Features) -> candle_core::Result<[f32; LABELS]> {
        let input = self.pooled(features);
        let length = input.len();
        let input = Tensor::from_vec(input, (1, length), &Device::Cpu)?;
        let hidden = self.hidden.forward(&self.norm.forward(&input)?)?.gelu_erf()?;
        let out = self.out.forward(&hidden)?.flatten_all()?.to_vec1::<f32>()?;
        let mut logits = [0.0; LABELS];
        logits.iter_mut().zip(out).for_each(|(logit, out)| *logit = out);
        Ok(logits)
    }

    /// Each segment's sum of n rows over the root of n, and the surface.
    fn pooled(&self, features: &Features) -> Vec<f32> {
        let width = self.table.width();
        let mut input = vec![0.0; SEGMENTS * width + SURFACE];
        let (sums, surface) = input.split_at_mut(SEGMENTS * width);
        for (at, rows) in features.segments.iter().enumerate() {
            let (before, sum) = sums[..(at + 1) * width].split_at_mut(at * width);
            // Most prompts are short, and end where they begin.
            if at == TAIL && *rows == features.segments[HEAD] {
                sum.copy_from_slice(&before[HEAD * width..(HEAD + 1) * width]);
                continue;
            }
            self.table.add(rows, sum);
            let scale = 1.0 / (rows.len().max(1) as f32).sqrt();
            sum.iter_mut().for_each(|number| *number *= scale);
        }
        surface.copy_from_slice(&features.surface);
        input
    }
}
