//! Are these the files that the manifest describes? The files of a set of weights, checked
//! against their digests before anything is made of them.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::manifest::{FileEntry, Manifest};

/// The files of a set of weights. The strong classifier's may be empty where the manifest has
/// none.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// `manifest.json`.
    pub manifest: Bytes,
    /// The vocabulary.
    pub vocabulary: Bytes,
    /// The fast classifier's weights.
    pub fast: Bytes,
    /// The strong classifier's weights.
    pub strong: Bytes,
    /// A vector for each piece.
    pub topic: Bytes,
    /// Prompts of no particular category.
    pub background: Bytes,
}

impl Bundle {
    /// The files that are part of the program.
    pub fn shipped() -> Self {
        Self {
            manifest: Bytes::from_static(include_bytes!("../../models/category/manifest.json")),
            vocabulary: Bytes::from_static(include_bytes!("../../models/category/vocab.txt")),
            fast: Bytes::from_static(include_bytes!("../../models/category/fast.safetensors")),
            strong: Bytes::from_static(include_bytes!("../../models/category/strong.safetensors")),
            topic: Bytes::from_static(include_bytes!("../../models/category/topic.safetensors")),
            background: Bytes::from_static(include_bytes!("../../models/category/background.jsonl")),
        }
    }

    /// Reads the manifest, and checks all files but the strong classifier's, which is checked
    /// when it is first needed.
    ///
    /// # Errors
    /// If the manifest cannot be read or a file is another.
    pub fn check(&self) -> Result<Manifest, BundleError> {
        let text = text("manifest.json", &self.manifest)?;
        let manifest = Manifest::parse(text).map_err(|problem| BundleError::content("manifest.json", problem))?;
        check(&manifest.vocabulary, &self.vocabulary)?;
        check(&manifest.fast.weights, &self.fast)?;
        check(&manifest.topic.weights, &self.topic)?;
        check(&manifest.topic.background, &self.background)?;
        Ok(manifest)
    }
}

/// Checks that a file is the one that a manifest describes.
///
/// # Errors
/// If it is another.
pub fn check(entry: &FileEntry, file: &[u8]) -> Result<(), BundleError> {
    let found = digest(file);
    if found == entry.sha256 {
        return Ok(());
    }
    Err(BundleError::Digest { file: entry.file.clone(), expected: entry.sha256.clone(), found })
}

/// The SHA-256 of a file, in small hexadecimal digits.
pub fn digest(file: &[u8]) -> String {
    hex::encode(Sha256::digest(file))
}

/// A file as text.
///
/// # Errors
/// If it is none.
pub(super) fn text<'a>(name: &str, file: &'a [u8]) -> Result<&'a str, BundleError> {
    std::str::from_utf8(file).map_err(|error| BundleError::content(name, error.to_string()))
}

/// Why weights cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BundleError {
    /// A file is not the one that the manifest describes.
    #[error("{file}: its SHA-256 is {found}, the manifest says {expected}")]
    Digest {
        /// The file.
        file: String,
        /// As the manifest says, in hexadecimal.
        expected: String,
        /// As it is, in hexadecimal.
        found: String,
    },
    /// A file does not hold what it should.
    #[error("{file}: {problem}")]
    Content {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl BundleError {
    /// A file that does not hold what it should.
    pub fn content(file: &str, problem: impl Into<String>) -> Self {
        Self::Content { file: file.to_owned(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Classifier;
    use crate::classifier::tests_support::bundle;

    fn refused(bundle: &Bundle) -> String {
        Classifier::load(bundle).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn the_shipped_files_are_those_of_their_manifest() {
        let manifest = Bundle::shipped().check().unwrap();
        assert!(manifest.strong.is_none_or(|strong| check(&strong.weights, &Bundle::shipped().strong).is_ok()));
        assert!(Classifier::shipped().is_ok());
    }

    #[test]
    fn another_file_is_refused() {
        let mut bundle = bundle();
        assert!(Classifier::load(&bundle).is_ok());
        bundle.vocabulary = Bytes::from_static(b"[UNK]\n");
        let expected = digest(include_bytes!("../../models/category/vocab.txt"));
        let error = Classifier::load(&bundle).map(drop).unwrap_err();
        let found = digest(b"[UNK]\n");
        assert_eq!(error, BundleError::Digest { file: "vocab.txt".to_owned(), expected, found });
    }

    #[test]
    fn a_manifest_that_does_not_fit_is_refused() {
        let good = bundle();
        let manifest: serde_json::Value = serde_json::from_slice(&good.manifest).unwrap();
        let with = |pointer: &str, value: serde_json::Value| {
            let mut changed = manifest.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            refused(&Bundle { manifest: changed.to_string().into(), ..good.clone() })
        };
        assert_eq!(with("/version", 2.into()), "manifest.json: its version is 2, this program reads 1");
        assert!(with("/labels/0/name", "code".into()).contains("built-in categories in their order"));
        assert!(with("/labels/0/threshold", 1.5.into()).contains("threshold: 1.5"));
        assert!(with("/fast/temperature", 0.into()).contains("temperature"));
        assert!(with("/fast/shape/buckets", 0.into()).contains("shape"));
        assert!(with("/fast/shape/buckets", 513.into()).contains("fast.safetensors: tensor table"));
        assert!(with("/fast/shape/hidden", 9.into()).contains("tensor hidden.weight: its shape is"));
        assert!(refused(&Bundle { manifest: Bytes::from_static(b"{}"), ..good.clone() }).contains("missing field"));
        assert!(refused(&Bundle { manifest: Bytes::from_static(b"\xff"), ..good }).contains("utf-8"));
    }
}
