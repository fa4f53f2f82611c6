//! Which of an alias's categories does a request belong to? What the caller says, where the
//! alias believes it, or else what the classifier says: at once, or, where that is in doubt, by
//! a second look on a thread of its own that is waited for only so long.
//!
//! Asked once for a request, before its first attempt. The only error is the caller's own: a
//! category that nobody has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::error::GatewayError;
use crate::classifier::Judgement;
use crate::domain::conversation::Conversation;
use crate::domain::grouping::Grouping;
use crate::live::sorting::{Reason, Sorting, Verdict};
use crate::upstream::call::Call;
use crate::upstream::lane::Operation;
use crate::wire::Dialect;
use crate::wire::conversation::{Turns, of_chat, of_completion};

/// In which a caller says what its prompt is, and an answer what it was taken for.
pub const CATEGORY_HEADER: &str = "x-pointsman-category";

/// Second looks at the same time, beyond which they wait for each other.
const LOOKERS: usize = 2;
/// More than so many do not wait.
const MOST_WAITING: usize = 64;

/// Where second looks are taken.
#[derive(Debug)]
pub struct Desk {
    lookers: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The log knows that the classifier does not work.
    told: AtomicBool,
}

impl Default for Desk {
    fn default() -> Self {
        Self { lookers: Arc::new(Semaphore::new(LOOKERS)), waiting: AtomicUsize::new(0), told: AtomicBool::new(false) }
    }
}

/// A place among those who wait, given back however the wait ends.
struct Waiting<'d>(&'d AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A second look that is wanted.
struct Look {
    sorting: Arc<Sorting>,
    conversation: Conversation,
    first: Arc<Judgement>,
    key: u64,
}

impl Desk {
    /// Takes a second look, and waits for it no longer than `patience`. Once begun it goes on
    /// when nobody waits any more, for whoever asks the same later.
    async fn look(&self, look: Look, patience: Duration) -> Result<Arc<Judgement>, Reason> {
        if self.waiting.fetch_add(1, Relaxed) >= MOST_WAITING {
            self.waiting.fetch_sub(1, Relaxed);
            return Err(Reason::Overloaded);
        }
        let _waiting = Waiting(&self.waiting);
        let seen = async {
            let Ok(looker) = Arc::clone(&self.lookers).acquire_owned().await else { return Err(Reason::Broken) };
            let seen = tokio::task::spawn_blocking(move || {
                let Look { sorting, conversation, first, key } = look;
                let seen = sorting.second_look(&conversation, &first);
                if let Ok(seen) = &seen {
                    sorting.remember_late(key, Arc::clone(seen));
                }
                drop(looker);
                seen
            });
            // A thread that cannot be had, or is ended, is no reason to fail.
            seen.await.unwrap_or(Err(Reason::Broken))
        };
        tokio::time::timeout(patience, seen).await.unwrap_or(Err(Reason::Timeout))
    }

    /// What the classifier makes of a conversation. `for_good`: it is to be taken for the same
    /// from now on, even if a second look that comes too late sees something else.
    pub async fn sort(&self, sorting: &Arc<Sorting>, conversation: Option<Conversation>, for_good: bool) -> Verdict {
        let begun = Instant::now();
        let verdict = match conversation {
            None => Verdict::default(Reason::Unreadable),
            Some(conversation) => self.judge(sorting, conversation, for_good).await,
        };
        // Once is enough: metrics count the requests.
        if verdict.reason == Some(Reason::Broken) && !self.told.swap(true, Relaxed) {
            tracing::error!(target: "pointsman::routing", "the classifier does not work: default serves all requests");
        }
        Verdict { took: begun.elapsed(), ..verdict }
    }

    async fn judge(&self, sorting: &Arc<Sorting>, conversation: Conversation, for_good: bool) -> Verdict {
        let key = sorting.key(&conversation);
        if let Some(known) = sorting.remembered(key) {
            return Verdict::of(known, None);
        }
        let first = match sorting.first_look(&conversation) {
            Ok(first) => first,
            Err(reason) => return Verdict::default(reason),
        };
        let Some(patience) = sorting.patience().filter(|_| first.in_doubt) else {
            sorting.remember(key, Arc::clone(&first));
            return Verdict::of(first, None);
        };
        let look = Look { sorting: Arc::clone(sorting), conversation, first: Arc::clone(&first), key };
        match self.look(look, patience).await {
            Ok(second) => Verdict::of(second, None),
            Err(missed) => {
                if for_good {
                    sorting.remember(key, Arc::clone(&first));
                }
                Verdict::of(first, Some(missed))
            }
        }
    }
}

/// What the caller says, if that is believed and it says something.
///
/// # Errors
/// If it says a category that the alias does not have.
pub fn hinted(headers: &HeaderMap, grouping: &Grouping) -> Result<Option<Verdict>, GatewayError> {
    let Some(value) = headers.get(CATEGORY_HEADER).filter(|_| grouping.hint) else { return Ok(None) };
    let named = value.to_str().ok().and_then(|name| grouping.find(name.trim()));
    match named {
        Some(category) => Ok(Some(Verdict::hinted(category))),
        None => Err(GatewayError::header(CATEGORY_HEADER, &format!("one of {}", grouping.names().join(", ")))),
    }
}

/// Which turns of a conversation tell its category.
pub fn turns(grouping: &Grouping) -> Turns {
    if grouping.pin { Turns::First } else { Turns::Last }
}

/// What of a call tells its category; `None` where it asks for nothing in words.
pub fn conversation(call: &Call, grouping: &Grouping) -> Option<Conversation> {
    let turns = turns(grouping);
    match call.operation {
        Operation::Chat(dialect) => of_chat(dialect, &call.body, turns),
        Operation::CountTokens => of_chat(Dialect::Messages, &call.body, turns),
        Operation::Completions => of_completion(&call.body),
        Operation::Embeddings | Operation::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::category::{CategoryScheme, Tier};
    use crate::domain::ids::AliasIdx;

    fn scheme(budget: Duration) -> CategoryScheme {
        CategoryScheme { categories: Vec::new(), tier: Tier::Cascade, budget }
    }

    fn look(sorting: &Arc<Sorting>) -> Look {
        let conversation = Conversation::prompt("hello");
        let first = sorting.first_look(&conversation).unwrap();
        Look { sorting: Arc::clone(sorting), key: sorting.key(&conversation), conversation, first }
    }

    #[tokio::test]
    async fn a_second_look_is_waited_for_only_so_long_and_remembered() {
        let (desk, sorting) = (Desk::default(), Arc::new(Sorting::new(&scheme(Duration::from_secs(5)))));
        let taken = Arc::clone(&desk.lookers).acquire_many_owned(LOOKERS as u32).await.unwrap();
        let seen = desk.look(look(&sorting), Duration::from_millis(1)).await;
        assert_eq!(seen, Err(Reason::Timeout));
        assert_eq!(sorting.remembered(look(&sorting).key), None);
        drop(taken);
        let seen = desk.look(look(&sorting), Duration::from_secs(60)).await.unwrap();
        assert_eq!(sorting.remembered(look(&sorting).key), Some(seen));
        assert_eq!(desk.waiting.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn a_look_that_comes_too_late_changes_nothing_that_holds_for_good() {
        let sorting = Arc::new(Sorting::new(&scheme(Duration::from_secs(5))));
        let Look { first, key, .. } = look(&sorting);
        let other = Arc::new(Judgement { confidence: 0.123, ..(*first).clone() });
        sorting.remember(key, Arc::clone(&first));
        sorting.remember_late(key, Arc::clone(&other));
        assert_eq!(sorting.remembered(key), Some(first));
        sorting.remember_late(key ^ 1, Arc::clone(&other));
        assert_eq!(sorting.remembered(key ^ 1), Some(other));
    }

    #[tokio::test]
    async fn too_many_do_not_wait() {
        let (desk, sorting) = (Desk::default(), Arc::new(Sorting::new(&scheme(Duration::from_secs(5)))));
        desk.waiting.store(MOST_WAITING, Relaxed);
        assert_eq!(desk.look(look(&sorting), Duration::from_secs(60)).await, Err(Reason::Overloaded));
        assert_eq!(desk.waiting.load(Relaxed), MOST_WAITING);
    }

    #[test]
    fn callers_are_believed_where_the_alias_says_so() {
        let with = |hint| Grouping {
            scheme: scheme(Duration::ZERO),
            groups: Vec::new(),
            default: AliasIdx(0),
            pin: false,
            hint,
        };
        let said = |name: &'static str| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static(CATEGORY_HEADER),
                http::HeaderValue::from_static(name),
            )])
        };
        assert!(hinted(&said("coding"), &with(false)).unwrap().is_none());
        assert!(hinted(&HeaderMap::new(), &with(true)).unwrap().is_none());
        let verdict = hinted(&said(" Default"), &with(true)).unwrap().unwrap();
        assert_eq!((verdict.category, verdict.reason), (None, Some(Reason::Hint)));
        assert!(hinted(&said("coding"), &with(true)).is_err());
    }
}
