//! What does a prompt ask for? A small classifier in this process.
//!
//! A conversation becomes [`features`]: pieces of words ([`wordpiece`]), hashed pairs and runs of
//! characters ([`hash`]), and what it looks like from afar ([`surface`]). The [`fast`] classifier
//! makes logits of them within microseconds; where it is in doubt, a small transformer looks
//! again. [`calibration`] turns logits into honest probabilities, `own` learns what the
//! operator described himself, and a [`sorter`] makes one decision of both. [`bundle`] and
//! [`manifest`] hold the weights to what was trained.
//!
//! It is pure: its weights are part of the program, and it neither reads a clock nor draws a
//! random number.

pub mod bundle;
pub mod calibration;
pub mod encoder;
pub mod fast;
pub mod features;
pub mod hash;
pub mod judgement;
pub mod labelled;
pub mod manifest;
mod normal;
mod overlap;
mod own;
pub mod remark;
mod ridge;
mod rise;
pub mod sorter;
pub mod surface;
mod table;
#[cfg(test)]
mod tests_support;
pub mod topic;
pub mod wordpiece;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use self::bundle::Bundle;
pub use self::bundle::BundleError;
use self::encoder::{Encoder, input};
use self::fast::{Fast, LABELS};
use self::features::{Features, Featuriser};
pub use self::judgement::{Choice, Doubt, Judge, Judgement, Score, Scored};
use self::manifest::{Manifest, StrongEntry};
pub use self::remark::{Likeness, Remark};
pub use self::sorter::Sorter;
use self::topic::Topics;
use self::wordpiece::WordPiece;
use crate::domain::category::CategoryScheme;
use crate::domain::conversation::Conversation;

/// The loaded weights. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Classifier {
    loaded: Arc<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    manifest: Manifest,
    wordpiece: WordPiece,
    featuriser: Featuriser,
    fast: Fast,
    /// Its file, and what was made of it when it was first needed.
    strong: (Bytes, OnceLock<Result<Encoder, BundleError>>),
    topics: Topics,
}

impl Classifier {
    /// The classifier that is part of the program; loaded and checked once.
    ///
    /// # Errors
    /// If the files in the program are not those that its manifest describes.
    pub fn shipped() -> Result<&'static Self, &'static BundleError> {
        static SHIPPED: OnceLock<Result<Classifier, BundleError>> = OnceLock::new();
        SHIPPED.get_or_init(|| Self::load(&Bundle::shipped())).as_ref()
    }

    /// Loads weights, the strong classifier's excepted, which are loaded when they are first
    /// needed.
    ///
    /// # Errors
    /// If a file is not the one that the manifest describes, or does not hold what it should.
    pub fn load(bundle: &Bundle) -> Result<Self, BundleError> {
        let manifest = bundle.check()?;
        let name = &manifest.vocabulary.file;
        let wordpiece = WordPiece::new(bundle::text(name, &bundle.vocabulary)?)
            .map_err(|problem| BundleError::content(name, problem))?;
        let entry = &manifest.fast;
        let fast = Fast::read(&bundle.fast, &entry.shape, wordpiece.len())
            .map_err(|problem| BundleError::content(&entry.weights.file, problem))?;
        let featuriser = Featuriser::new(entry.shape.clone());
        let topics = Topics::read(bundle, &manifest, &wordpiece, &featuriser)?;
        let strong = (bundle.strong.clone(), OnceLock::new());
        Ok(Self { loaded: Arc::new(Loaded { manifest, wordpiece, featuriser, fast, strong, topics }) })
    }

    /// What the weights say of themselves.
    pub fn manifest(&self) -> &Manifest {
        &self.loaded.manifest
    }

    /// Learns the operator's own categories, and sorts prompts into those of a scheme from then
    /// on: within 100 ms for 20 categories of 10 examples. It never fails; what looks wrong is in
    /// [`Sorter::remarks`].
    pub fn sorter(&self, scheme: &CategoryScheme) -> Sorter {
        Sorter::new(self, scheme)
    }

    /// Loads the strong classifier, if there is one and it is not yet loaded: some milliseconds,
    /// which the first prompt in doubt would have to wait for otherwise.
    ///
    /// # Errors
    /// If its file is not the one that the manifest describes, or does not hold what it should.
    pub fn warm(&self) -> Result<(), BundleError> {
        self.strong().map_or(Ok(()), |strong| strong.map(drop).map_err(Clone::clone))
    }

    fn strong(&self) -> Option<Result<(&Encoder, &StrongEntry), &BundleError>> {
        let Loaded { manifest, wordpiece, strong: (file, encoder), .. } = &*self.loaded;
        let entry = manifest.strong.as_ref()?;
        let encoder = encoder.get_or_init(|| {
            bundle::check(&entry.weights, file)?;
            Encoder::read(file, entry.layers, entry.heads, entry.pieces, wordpiece.len())
                .map_err(|problem| BundleError::content(&entry.weights.file, problem))
        });
        Some(encoder.as_ref().map(|encoder| (encoder, entry)))
    }

    /// The strong classifier's logits of the built-in categories, in their order; `None` where
    /// there is no such classifier or it cannot compute them.
    pub fn strong_logits(&self, conversation: &Conversation) -> Option<[f32; LABELS]> {
        let (encoder, entry) = self.strong()?.ok()?;
        let pieces = input::pieces(&self.loaded.wordpiece, conversation, entry.pieces);
        encoder.logits(&pieces).ok()?.try_into().ok()
    }

    fn topics(&self) -> &Topics {
        &self.loaded.topics
    }

    /// What the fast classifier sees of a conversation.
    pub fn features(&self, conversation: &Conversation, into: &mut Features) {
        self.loaded.featuriser.look(&self.loaded.wordpiece, conversation, into);
    }

    /// The fast classifier's logits of the built-in categories, in their order, before any
    /// temperature.
    ///
    /// # Errors
    /// If candle cannot compute them.
    pub fn fast_logits(&self, features: &Features) -> candle_core::Result<[f32; LABELS]> {
        self.loaded.fast.logits(features)
    }
}
