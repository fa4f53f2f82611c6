//! With which weights does training of the strong classifier begin? Those of a BERT encoder, out
//! of a safetensors file or a Python package that carries one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use safetensors::tensor::{Dtype, SafeTensors};
use zip::ZipArchive;

use crate::classifier::encoder::{Encoder, Shape};
use crate::training::export::{Whole, bytes};

/// Numbers by name, with their shape.
#[derive(Debug)]
pub struct Base {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Base {
    /// Reads a safetensors file, or the one in a package (`.whl`).
    ///
    /// # Errors
    /// If the file cannot be read or holds no tensors.
    pub fn read(path: &Path) -> Result<Self> {
        let file = if path.extension().is_some_and(|extension| extension == "whl") {
            let mut archive = ZipArchive::new(File::open(path)?)?;
            let names: Vec<String> = archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<_>>()?;
            let name = names.iter().find(|name| name.ends_with(".safetensors"));
            let name = name.with_context(|| format!("{} carries no weights", path.display()))?;
            let mut file = Vec::new();
            archive.by_name(name)?.read_to_end(&mut file)?;
            file
        } else {
            fs::read(path).with_context(|| format!("{}", path.display()))?
        };
        let mut tensors = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(&file)?.tensors() {
            if view.dtype() == Dtype::F32 {
                let numbers = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                tensors.insert(name, (view.shape().to_vec(), numbers));
            }
        }
        Ok(Self { tensors })
    }

    fn get(&self, name: &str) -> Result<&(Vec<usize>, Vec<f32>)> {
        self.tensors.get(name).with_context(|| format!("the base has no {name}"))
    }

    fn row(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.get(name)?.1.clone())
    }

    /// The table of pieces: how wide it is, and its numbers.
    ///
    /// # Errors
    /// If there is none.
    pub fn pieces(&self) -> Result<(usize, &[f32])> {
        let (shape, numbers) = self.get("embeddings.word_embeddings.weight")?;
        ensure!(shape.len() == 2, "the table of pieces should have two dimensions");
        Ok((shape[1], numbers))
    }

    /// A matrix as files have it (a row for each output), the other way round.
    fn matrix(&self, name: &str) -> Result<Vec<f32>> {
        let (shape, numbers) = self.get(name)?;
        let &[outputs, inputs] = shape.as_slice() else { bail!("{name} should have two dimensions") };
        let mut turned = vec![0.0; numbers.len()];
        for (output, row) in numbers.chunks_exact(inputs).enumerate() {
            for (input, number) in row.iter().enumerate() {
                turned[input * outputs + output] = *number;
            }
        }
        Ok(turned)
    }

    /// An encoder of these layers of the base, for texts of at most `pieces` pieces, with a head of
    /// small random numbers.
    ///
    /// # Errors
    /// If the base lacks a part, or a part has a surprising shape.
    pub fn encoder(&self, kept: &[usize], heads: usize, pieces: usize, seed: u64) -> Result<Encoder> {
        let layers = kept.len();
        let (width, table) = self.pieces()?;
        let inner = self.get("encoder.layer.0.intermediate.dense.bias")?.1.len();
        let shape = Shape { layers, heads, width, inner, pieces };
        let mut parts = Vec::new();
        for layer in kept {
            let name = |rest: &str| format!("encoder.layer.{layer}.{rest}");
            let qkv = ["query", "key", "value"].map(|what| name(&format!("attention.self.{what}")));
            let matrices = [0, 1, 2].map(|at| self.matrix(&format!("{}.weight", qkv[at])));
            let [query, key, value] = matrices;
            let [query, key, value] = [query?, key?, value?];
            let rows = query.chunks_exact(width).zip(key.chunks_exact(width)).zip(value.chunks_exact(width));
            parts.push(rows.flat_map(|((query, key), value)| [query, key, value].concat()).collect());
            let mut bias = Vec::new();
            for what in &qkv {
                bias.extend(self.row(&format!("{what}.bias"))?);
            }
            parts.push(bias);
            parts.push(self.matrix(&name("attention.output.dense.weight"))?);
            parts.push(self.row(&name("attention.output.dense.bias"))?);
            parts.push(self.row(&name("attention.output.LayerNorm.weight"))?);
            parts.push(self.row(&name("attention.output.LayerNorm.bias"))?);
            parts.push(self.matrix(&name("intermediate.dense.weight"))?);
            parts.push(self.row(&name("intermediate.dense.bias"))?);
            parts.push(self.matrix(&name("output.dense.weight"))?);
            parts.push(self.row(&name("output.dense.bias"))?);
            parts.push(self.row(&name("output.LayerNorm.weight"))?);
            parts.push(self.row(&name("output.LayerNorm.bias"))?);
        }
        let mut rng = StdRng::seed_from_u64(seed);
        for part in shape.parts().iter().filter(|part| part.layer == layers) {
            let spread = if part.is_matrix() { 0.02 } else { f32::MIN_POSITIVE };
            parts.push((0..part.inputs * part.outputs).map(|_| rng.random_range(-spread..spread)).collect());
        }
        let mut positions = self.row("embeddings.position_embeddings.weight")?;
        ensure!(positions.len() >= pieces * width, "the base knows only {} positions", positions.len() / width);
        positions.truncate(pieces * width);
        // Every piece is of the first kind of text.
        let kind = &self.get("embeddings.token_type_embeddings.weight")?.1[..width];
        for row in positions.chunks_exact_mut(width) {
            row.iter_mut().zip(kind).for_each(|(number, kind)| *number += kind);
        }
        let whole = Whole {
            shape,
            pieces: table,
            positions: &positions,
            scale: &self.row("embeddings.LayerNorm.weight")?,
            shift: &self.row("embeddings.LayerNorm.bias")?,
        };
        // What is frozen is what will be shipped: in 8 bits. The layers begin with all they have.
        let file = Bytes::from(bytes(&whole, &parts)?);
        let read = Encoder::read(&file, layers, heads, pieces, table.len() / width).map_err(anyhow::Error::msg)?;
        let (layers, head) = crate::classifier::encoder::assemble(&shape, parts.into_iter())?;
        Ok(Encoder { layers, head, ..read })
    }
}
