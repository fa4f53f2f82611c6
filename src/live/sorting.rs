//! How are the categories of an alias told apart, and what was a prompt taken for before?
//!
//! Learned when the view that has them is built, and kept from view to view as long as they
//! are the same. Nothing here can fail a request: whatever goes wrong comes back as a reason
//! for Default.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::classifier::{Choice, Classifier, Doubt, Judgement, Sorter};
use crate::config::Problem;
use crate::domain::catalog::Catalog;
use crate::domain::category::{CategoryScheme, Tier};
use crate::domain::conversation::{Conversation, Passage};
use crate::domain::ids::AliasIdx;

/// As many answers are remembered for each alias.
const ANSWERS: usize = 1024;

/// Why a request went where it did, where that is not what the classifier said with
/// confidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The caller said so.
    Hint,
    /// It belongs to a category that the alias does not have.
    Elsewhere,
    /// No category is likely enough.
    Unsure,
    /// Two categories are about as likely.
    Close,
    /// There is no text that asks for anything.
    Unreadable,
    /// In doubt, and too many others wait for a second look.
    Overloaded,
    /// In doubt, and the second look took longer than it may.
    Timeout,
    /// The classifier does not work.
    Broken,
    /// No target of its category could serve it.
    Exhausted,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Hint,
        Self::Elsewhere,
        Self::Unsure,
        Self::Close,
        Self::Unreadable,
        Self::Overloaded,
        Self::Timeout,
        Self::Broken,
        Self::Exhausted,
    ];

    /// In a word, as the answer's header has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Elsewhere => "elsewhere",
            Self::Unsure => "unsure",
            Self::Close => "close",
            Self::Unreadable => "unreadable",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Exhausted => "exhausted",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The category, by its position in the scheme; `None` is Default.
    pub category: Option<usize>,
    /// Why, where it is not a plain match.
    pub reason: Option<Reason>,
    /// What the classifier made of it, if it was asked.
    pub judgement: Option<Arc<Judgement>>,
    /// What it took to find out.
    pub took: Duration,
}

impl Verdict {
    /// Default, since the classifier was not or could not be asked.
    pub fn default(reason: Reason) -> Self {
        Self { category: None, reason: Some(reason), judgement: None, took: Duration::ZERO }
    }

    /// What the caller said.
    pub fn hinted(category: Option<usize>) -> Self {
        Self { category, reason: Some(Reason::Hint), judgement: None, took: Duration::ZERO }
    }

    /// What the classifier said. `missed`: why the second look that it wanted did not happen,
    /// which is the reason for a Default that it might have spared.
    pub fn of(judgement: Arc<Judgement>, missed: Option<Reason>) -> Self {
        let (category, reason) = match judgement.choice {
            Choice::Category(category) => (Some(category), None),
            Choice::Default(Doubt::Empty) => (None, Some(Reason::Unreadable)),
            Choice::Default(doubt) => {
                let own = match doubt {
                    Doubt::Elsewhere(_) => Reason::Elsewhere,
                    Doubt::Close => Reason::Close,
                    Doubt::Unsure | Doubt::Empty => Reason::Unsure,
                };
                (None, Some(missed.unwrap_or(own)))
            }
        };
        Self { category, reason, judgement: Some(judgement), took: Duration::ZERO }
    }
}

/// The categories of an alias, told apart.
pub struct Sorting {
    scheme: CategoryScheme,
    /// What went wrong, where the classifier cannot be used.
    sorter: Result<Sorter, String>,
    answers: Answers,
}

impl fmt::Debug for Sorting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sorting").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Sorting {
    /// Learns a scheme.
    pub fn new(scheme: &CategoryScheme) -> Self {
        let learned = catch_unwind(|| match Classifier::shipped() {
            Ok(classifier) => {
                // The first prompt in doubt would have to wait for it.
                if scheme.tier == Tier::Cascade
                    && let Err(error) = classifier.warm()
                {
                    tracing::error!("prompts in doubt get no second look: {error}");
                }
                Ok(classifier.sorter(scheme))
            }
            Err(error) => Err(error.to_string()),
        });
        let sorter = learned.unwrap_or_else(|_| Err("the classifier broke down while it learned".to_owned()));
        if let Err(error) = &sorter {
            tracing::error!("prompts cannot be told apart: {error}");
        }
        Self { scheme: scheme.clone(), sorter, answers: Answers::default() }
    }

    /// What the operator should know of the scheme.
    pub fn remarks(&self) -> Vec<String> {
        match &self.sorter {
            Ok(sorter) => sorter.remarks().iter().map(ToString::to_string).collect(),
            Err(error) => vec![format!("everything goes to default: {error}")],
        }
    }

    /// How long a request in doubt may wait for a second look; `None` where there is none.
    pub fn patience(&self) -> Option<Duration> {
        Some(self.scheme.budget).filter(|budget| self.scheme.tier == Tier::Cascade && !budget.is_zero())
    }

    /// A hash of a conversation, to remember it by.
    pub fn key(&self, conversation: &Conversation) -> u64 {
        let mut hasher = self.answers.hasher.build_hasher();
        let Conversation { system, earlier, answer, prompt } = conversation;
        for Passage { head, tail } in [system, earlier, answer, prompt] {
            (head, tail).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// What was made of the same conversation before, if that is remembered.
    pub fn remembered(&self, key: u64) -> Option<Arc<Judgement>> {
        self.answers.get(key)
    }

    /// Remembers what was made of a conversation.
    pub fn remember(&self, key: u64, judgement: Arc<Judgement>) {
        self.answers.put(key, judgement);
    }

    /// Remembers it unless there is an answer to go by already.
    pub fn remember_late(&self, key: u64, judgement: Arc<Judgement>) {
        if self.answers.get(key).is_none() {
            self.answers.put(key, judgement);
        }
    }

    /// A first look, which takes microseconds.
    ///
    /// # Errors
    /// If the classifier does not work.
    pub fn first_look(&self, conversation: &Conversation) -> Result<Arc<Judgement>, Reason> {
        self.look(|sorter| sorter.fast(conversation))
    }

    /// A second look, which takes milliseconds: not for threads that others wait for.
    ///
    /// # Errors
    /// If the classifier does not work.
    pub fn second_look(&self, conversation: &Conversation, first: &Judgement) -> Result<Arc<Judgement>, Reason> {
        self.look(|sorter| sorter.strong(conversation, first))
    }

    fn look(&self, look: impl FnOnce(&Sorter) -> Judgement) -> Result<Arc<Judgement>, Reason> {
        let sorter = self.sorter.as_ref().map_err(|_| Reason::Broken)?;
        let seen = catch_unwind(AssertUnwindSafe(|| look(sorter))).map_err(|_| Reason::Broken)?;
        // An index beyond the scheme would be another scheme's.
        let known = !matches!(seen.choice, Choice::Category(at) if at >= self.scheme.categories.len());
        if known { Ok(Arc::new(seen)) } else { Err(Reason::Broken) }
    }
}

/// Those of a catalog, by their aliases; what `earlier` has learned already is kept.
pub(super) fn all(
    catalog: &Catalog,
    earlier: Option<(&Catalog, &HashMap<AliasIdx, Arc<Sorting>>)>,
) -> HashMap<AliasIdx, Arc<Sorting>> {
    let of_categories = (0u32..).map(AliasIdx).zip(&catalog.aliases);
    let sorting = |(idx, alias): (AliasIdx, &crate::domain::alias::Alias)| {
        let scheme = &alias.grouping()?.scheme;
        let known = earlier.and_then(|(catalog, all)| {
            let same = all.get(catalog.alias_by_name.get(alias.name.as_str())?)?;
            (same.scheme == *scheme).then(|| Arc::clone(same))
        });
        Some((idx, known.unwrap_or_else(|| Arc::new(Sorting::new(scheme)))))
    };
    of_categories.filter_map(sorting).collect()
}

/// What the operator should know of the categories of a configuration, that is not served.
pub fn remarks(catalog: &Catalog) -> Vec<Problem> {
    told(catalog, &all(catalog, None))
}

/// The remarks on each, in the order of the configuration.
pub(super) fn told(catalog: &Catalog, all: &HashMap<AliasIdx, Arc<Sorting>>) -> Vec<Problem> {
    let aliases = (0u32..).map(AliasIdx).zip(&catalog.aliases);
    let of = |(idx, alias): (AliasIdx, &crate::domain::alias::Alias)| {
        let path = format!("{}.categories", crate::config::path_of("alias", alias.name.as_str()));
        let remarks = all.get(&idx).map(|sorting| sorting.remarks()).unwrap_or_default();
        remarks.into_iter().map(move |remark| Problem::remark(path.clone(), remark)).collect::<Vec<_>>()
    };
    aliases.flat_map(of).collect()
}

/// A place for the answer to one conversation.
type Place = Mutex<Option<(u64, Arc<Judgement>)>>;

/// Answers in a table of a fixed size, in which a newer one takes an older one's place.
/// Hashed by a secret, so that nobody can make prompts meet.
#[derive(Default)]
struct Answers {
    hasher: RandomState,
    places: OnceLock<Box<[Place]>>,
}

impl Answers {
    fn place<'p>(&self, places: &'p [Place], key: u64) -> &'p Place {
        &places[(key % ANSWERS as u64) as usize]
    }

    fn get(&self, key: u64) -> Option<Arc<Judgement>> {
        let place = self.place(self.places.get()?, key).lock().unwrap_or_else(PoisonError::into_inner);
        place.as_ref().filter(|(known, _)| *known == key).map(|(_, judgement)| Arc::clone(judgement))
    }

    fn put(&self, key: u64, judgement: Arc<Judgement>) {
        let places = self.places.get_or_init(|| (0..ANSWERS).map(|_| Mutex::new(None)).collect());
        *self.place(places, key).lock().unwrap_or_else(PoisonError::into_inner) = Some((key, judgement));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::category::{BuiltIn, CategoryKind, CategorySpec};
    use crate::domain::ids::CategoryName;

    fn coding() -> CategoryScheme {
        let kind = CategoryKind::BuiltIn(BuiltIn::Coding);
        let spec = CategorySpec { name: CategoryName::new("coding"), kind, threshold: None, margin: None };
        CategoryScheme { categories: vec![spec], tier: Tier::Cascade, budget: Duration::from_millis(20) }
    }

    #[test]
    fn an_answer_is_remembered_for_the_same_conversation_alone() {
        let sorting = Sorting::new(&coding());
        let asked = Conversation::prompt("Write a Python function that reverses a linked list.");
        let key = sorting.key(&asked);
        assert!(sorting.remembered(key).is_none());
        let seen = sorting.first_look(&asked).unwrap();
        assert_eq!(seen.choice, Choice::Category(0));
        sorting.remember(key, Arc::clone(&seen));
        assert_eq!(sorting.remembered(sorting.key(&asked.clone())), Some(seen));
        let elsewhere = Conversation { system: Passage::new("be brief"), ..asked.clone() };
        assert!(sorting.remembered(sorting.key(&elsewhere)).is_none());
        let moved = Conversation { earlier: asked.prompt.clone(), ..Conversation::default() };
        assert_ne!(sorting.key(&moved), key);
    }

    #[test]
    fn whatever_breaks_is_a_reason_for_default() {
        let broken = Sorting { sorter: Err("no weights".into()), ..Sorting::new(&coding()) };
        assert_eq!(broken.first_look(&Conversation::default()), Err(Reason::Broken));
        assert_eq!(broken.remarks(), ["everything goes to default: no weights"]);
        let sorting = Sorting::new(&coding());
        assert_eq!(sorting.look(|_| panic!("on purpose")), Err(Reason::Broken));
        let sure = sorting.first_look(&Conversation::prompt("Write a Python function.")).unwrap();
        let beyond = sorting.look(|_| Judgement { choice: Choice::Category(7), ..(*sure).clone() });
        assert_eq!(beyond, Err(Reason::Broken));
    }

    #[test]
    fn a_second_look_that_did_not_happen_explains_default_only() {
        let sorting = Sorting::new(&coding());
        let sure = sorting.first_look(&Conversation::prompt("Write a Python function.")).unwrap();
        let verdict = Verdict::of(Arc::clone(&sure), Some(Reason::Timeout));
        assert_eq!((verdict.category, verdict.reason), (Some(0), None));
        for (doubt, missed, reason) in [
            (Doubt::Unsure, Some(Reason::Overloaded), Reason::Overloaded),
            (Doubt::Close, None, Reason::Close),
            (Doubt::Elsewhere(BuiltIn::Math), None, Reason::Elsewhere),
            (Doubt::Empty, Some(Reason::Timeout), Reason::Unreadable),
        ] {
            let unsure = Judgement { choice: Choice::Default(doubt), ..(*sure).clone() };
            let verdict = Verdict::of(Arc::new(unsure), missed);
            assert_eq!((verdict.category, verdict.reason), (None, Some(reason)));
        }
    }
}
