//! Which prompts does training see, and which are kept apart? Reads labelled prompts as JSON lines.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::classifier::labelled;
use crate::domain::category::BuiltIn;
use crate::domain::conversation::Conversation;

/// What a row is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// The weights learn from it.
    Training,
    /// Kept apart to choose temperatures and thresholds by: half of the prompts from sources that
    /// training never sees.
    Tuning,
    /// Kept apart to choose thresholds by: some of the prompts that were written for this.
    Written,
    /// Kept apart; from the same sources as what is learned. Only for the report.
    HeldOut,
    /// Kept apart; the other half of those from sources that training never sees. Only for the
    /// report.
    Unseen,
}

/// A labelled prompt.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The first 64 bits of its text's SHA-256.
    pub hash: u64,
    /// What is to be judged.
    pub conversation: Conversation,
    /// What it is.
    pub label: BuiltIn,
    /// Where it comes from.
    pub source: String,
    /// Under which licence.
    pub licence: String,
    /// The language.
    pub lang: String,
    /// What it is used for.
    pub used: Use,
}

impl Sample {
    /// Whether nobody states a licence for the collection it comes from.
    pub fn is_unclear(&self) -> bool {
        self.licence.contains(UNCLEAR)
    }
}

#[derive(Deserialize)]
struct Raw {
    text: String,
    category: String,
    source: String,
    #[serde(default)]
    licence: String,
    #[serde(default)]
    lang: String,
    #[serde(default)]
    split: String,
}

/// What the licence of a row says where nobody states one for the collection it comes from.
const UNCLEAR: &str = "states none";
/// Of the rows that come without a split, one in this many is kept apart.
const KEPT_APART: u64 = 12;

/// Reads `train.jsonl.gz`, `validation.jsonl.gz` and `own/*.jsonl` of a directory, and
/// `own/*.jsonl` of another if it is there. Rows of unclear licence are left out unless they are
/// wanted; no text is there twice.
///
/// # Errors
/// If a file cannot be read, or a row has a category that is not built in.
pub fn read(dir: &Path, more: Option<&Path>, unclear: bool) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    rows(&dir.join("train.jsonl.gz"), &mut samples, |_, _| Use::Training)?;
    let split = |hash: u64, split: &str| match split {
        "other-source" if (hash >> 32).is_multiple_of(2) => Use::Tuning,
        "other-source" => Use::Unseen,
        _ => Use::HeldOut,
    };
    rows(&dir.join("validation.jsonl.gz"), &mut samples, split)?;
    for own in [Some(dir.join("own")), more.map(|more| more.join("own"))].into_iter().flatten() {
        for path in own_files(&own)? {
            rows(
                &path,
                &mut samples,
                |hash: u64, _| {
                    if hash.is_multiple_of(KEPT_APART) { Use::Written } else { Use::Training }
                },
            )?;
        }
    }
    // What nothing is learned from may be of any licence.
    samples.retain(|sample| unclear || sample.used != Use::Training || !sample.is_unclear());
    // What is kept apart is never learned from, whichever file it is in as well.
    samples.sort_by_key(|sample| (sample.hash, sample.used == Use::Training, sample.used == Use::HeldOut));
    samples.dedup_by_key(|sample| sample.hash);
    Ok(samples)
}

fn own_files(own: &Path) -> Result<Vec<PathBuf>> {
    if !own.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(own).with_context(|| format!("{}", own.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    Ok(paths)
}

fn rows(path: &Path, into: &mut Vec<Sample>, used: impl Fn(u64, &str) -> Use) -> Result<()> {
    let named = || format!("{}", path.display());
    let file = File::open(path).with_context(named)?;
    let reader: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    for (at, line) in BufReader::new(reader).lines().enumerate() {
        let line = line.with_context(named)?;
        let raw: Raw = serde_json::from_str(&line).with_context(|| format!("{}:{}", path.display(), at + 1))?;
        let Some(label) = BuiltIn::parse(&raw.category) else {
            bail!("{}:{}: there is no category {}", path.display(), at + 1, raw.category);
        };
        let digest = Sha256::digest(raw.text.as_bytes());
        let hash = digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        into.push(Sample {
            hash,
            conversation: labelled::conversation(&raw.text),
            label,
            source: raw.source,
            licence: raw.licence,
            lang: raw.lang,
            used: used(hash, &raw.split),
        });
    }
    Ok(())
}
