//! Which requests get a line in the log, and what may stand in lines about them?

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::domain::outcome::RequestOutcome;
use crate::domain::telemetry::{LogPolicy, RequestLines};
use crate::domain::time::UnixMillis;

/// The policy, which may change while requests are under way.
#[derive(Debug)]
pub struct Lines {
    requests: AtomicU8,
    /// The bits of a float.
    sample: AtomicU64,
    content: AtomicBool,
}

impl Default for Lines {
    fn default() -> Self {
        let policy = LogPolicy::default();
        Self {
            requests: AtomicU8::new(policy.requests as u8),
            sample: AtomicU64::new(policy.sample.to_bits()),
            content: AtomicBool::new(policy.content),
        }
    }
}

impl Lines {
    /// The policy.
    pub fn policy(&self) -> LogPolicy {
        let requests = self.requests.load(Relaxed);
        let words = RequestLines::ALL.into_iter().map(|(_, lines)| lines);
        LogPolicy {
            requests: words.into_iter().find(|lines| *lines as u8 == requests).unwrap_or_default(),
            sample: f64::from_bits(self.sample.load(Relaxed)),
            content: self.content.load(Relaxed),
        }
    }

    /// From now on it is this one.
    pub fn set(&self, policy: LogPolicy) {
        self.sample.store(policy.sample.to_bits(), Relaxed);
        self.content.store(policy.content, Relaxed);
        self.requests.store(policy.requests as u8, Relaxed);
    }

    /// Whether any request may get a line.
    pub fn any(&self) -> bool {
        self.requests.load(Relaxed) != RequestLines::None as u8
    }

    /// Whether this one does. The same id is chosen everywhere.
    pub fn wants(&self, id: &str, outcome: RequestOutcome) -> bool {
        let policy = self.policy();
        match policy.requests {
            RequestLines::None => false,
            RequestLines::Failed => outcome != RequestOutcome::Ok,
            RequestLines::All => outcome != RequestOutcome::Ok || share(id) < policy.sample,
        }
    }

    /// Words about a failed attempt, as they may be logged: never with what looks like a key. Of
    /// those that may quote what was asked or answered (a provider's, or what is wrong with an
    /// answer) only the length, unless it was chosen otherwise.
    pub fn words<'w>(&self, words: &'w str, quote: bool) -> Cow<'w, str> {
        if quote && !self.content.load(Relaxed) {
            Cow::Owned(format!("({} bytes, not logged)", words.len()))
        } else {
            without_keys(words)
        }
    }
}

/// An even number in [0, 1) for an id of hexadecimal digits.
fn share(id: &str) -> f64 {
    let digits = id.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0);
    f64::from(digits) / (f64::from(u32::MAX) + 1.0)
}

/// How keys of providers, and ours, begin.
const KEYS: [&str; 9] = ["sk-", "sk_", "pk-", "pm-", "pma-", "gsk_", "xai-", "AIza", "AKIA"];

/// The text, with whatever looks like a key taken out.
pub fn without_keys(text: &str) -> Cow<'_, str> {
    let part_of_a_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.');
    let looks_like_a_key = |word: &str| {
        KEYS.iter().any(|start| word.len() > start.len() + 3 && word.starts_with(start))
            || (word.len() >= 32
                && word.bytes().any(|b| b.is_ascii_digit())
                && word.bytes().any(|b| b.is_ascii_alphabetic()))
    };
    let mut clean = String::new();
    let mut kept = 0;
    for (at, word) in
        text.split(|c| !part_of_a_word(c)).map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
    {
        if looks_like_a_key(word) {
            clean.push_str(&text[kept..at]);
            clean.push_str("[redacted]");
            kept = at + word.len();
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    clean.push_str(&text[kept..]);
    Cow::Owned(clean)
}

/// A line that may come very often is written at most once in this time.
const PAUSE: Duration = Duration::from_secs(1);

/// Holds back lines that come too often, and counts them.
#[derive(Debug, Default)]
pub struct Quiet {
    last: AtomicU64,
    held_back: AtomicU64,
}

impl Quiet {
    /// Whether a line may be written at `now`; if so, how many were held back before it.
    pub fn may(&self, now: UnixMillis) -> Option<u64> {
        let last = self.last.load(Relaxed);
        let due = last == 0 || now.since(UnixMillis(last)) >= PAUSE;
        // Of several that come at once one wins.
        if due && self.last.compare_exchange(last, now.0.max(1), Relaxed, Relaxed).is_ok() {
            return Some(self.held_back.swap(0, Relaxed));
        }
        self.held_back.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_requests_always_get_a_line_and_of_others_a_share() {
        let lines = Lines::default();
        let ids: Vec<String> = (0..=255u32).map(|i| format!("{:08x}rest", i << 24)).collect();
        let wanted = |lines: &Lines, outcome| ids.iter().filter(|id| lines.wants(id, outcome)).count();
        assert_eq!((wanted(&lines, RequestOutcome::Ok), wanted(&lines, RequestOutcome::Denied)), (0, 0));
        lines.set(LogPolicy { requests: RequestLines::Failed, ..LogPolicy::default() });
        assert_eq!((wanted(&lines, RequestOutcome::Ok), wanted(&lines, RequestOutcome::Denied)), (0, 256));
        lines.set(LogPolicy { requests: RequestLines::All, sample: 0.25, content: false });
        assert_eq!((wanted(&lines, RequestOutcome::Ok), wanted(&lines, RequestOutcome::UpstreamFailed)), (64, 256));
        assert_eq!(lines.policy().sample, 0.25);
    }

    #[test]
    fn what_looks_like_a_key_is_never_logged() {
        let cases = [
            ("Incorrect API key provided: sk-proj-abc***xyz. See", "Incorrect API key provided: [redacted] See"),
            ("key=AIzaSyA1234567890abcdef, retry", "key=[redacted], retry"),
            ("Bearer 0123456789abcdef0123456789abcdef!", "Bearer [redacted]!"),
            ("two: pm-aaaa1 gsk_bbbb2", "two: [redacted] [redacted]"),
            ("the model gpt-5.5-mini is overloaded", "the model gpt-5.5-mini is overloaded"),
            ("ein Schlüssel: sk-äöü", "ein Schlüssel: sk-äöü"),
        ];
        for (text, clean) in cases {
            assert_eq!(without_keys(text), clean);
        }
    }

    #[test]
    fn what_may_quote_a_prompt_is_logged_only_by_choice() {
        let lines = Lines::default();
        assert_eq!(lines.words("my diary, sk-1234", true), "(17 bytes, not logged)");
        assert_eq!(lines.words("nobody at sk-1234", false), "nobody at [redacted]");
        lines.set(LogPolicy { content: true, ..LogPolicy::default() });
        assert_eq!(lines.words("my diary, sk-1234", true), "my diary, [redacted]");
    }

    #[test]
    fn a_flood_of_lines_becomes_one_a_second_that_tells_of_the_others() {
        let quiet = Quiet::default();
        let at = |ms: u64| UnixMillis(1_000_000 + ms);
        assert_eq!(quiet.may(at(0)), Some(0));
        assert_eq!((quiet.may(at(10)), quiet.may(at(999))), (None, None));
        assert_eq!(quiet.may(at(1000)), Some(2));
        assert_eq!(quiet.may(at(2500)), Some(0));
    }
}
