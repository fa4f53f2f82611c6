//! What a model takes, told from its name.
//!
//! Generations of Claude refuse, with a 400, what earlier ones took: thinking budgets and
//! sampling parameters since 4.7, prefill since 4.6, forced tool calls since 5.5. The
//! catalogue knows nothing of this, so the name has to tell. A name that is no Claude's
//! belongs to a server that speaks Anthropic's protocol for other models; those follow the
//! protocol as it was first.

/// The kinds of thinking a model can be asked for, and how it is turned off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Thinking {
    /// It cannot think (before 3.7).
    Never,
    /// Only with a budget of tokens (3.7 to 4.5, and other vendors' models).
    Budget,
    /// Best as it sees fit; a budget is still taken (4.6).
    BudgetOrAdaptive,
    /// Only as it sees fit (since 4.7).
    Adaptive(Off),
}

/// How a model that thinks as it sees fit is kept from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Off {
    /// It does not unless asked (4.7, 4.8).
    NotAsked,
    /// `{"type": …}` of this name; without it, it thinks.
    Sent(&'static str),
    /// Not at all: it always thinks, at low effort the least.
    Impossible,
}

/// What a model takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Generation {
    /// How it can be asked to think.
    pub thinking: Thinking,
    /// Whether it takes `temperature`, `top_p` and `top_k`.
    pub sampling: bool,
    /// Whether it continues a last message of the assistant.
    pub prefill: bool,
    /// Whether a tool call can be forced.
    pub forced_tools: bool,
    /// Whether it knows the effort `xhigh`.
    pub xhigh: bool,
    /// Whether tools may be `strict`.
    pub strict_tools: bool,
}

/// Other vendors' models behind Anthropic's protocol.
const OTHER: Generation = Generation {
    thinking: Thinking::Budget,
    sampling: true,
    prefill: true,
    forced_tools: true,
    xhigh: false,
    strict_tools: false,
};

/// Claude's product lines, so far as they differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Opus,
    /// Sonnet and Haiku.
    Small,
    /// Fable and Mythos, which always think.
    Large,
}

impl Generation {
    /// Of the model with this name at its provider: `claude-opus-4-8`,
    /// `anthropic.claude-3-7-sonnet-20250219-v1:0`, `claude-sonnet-4-5@20250929`.
    pub fn of(model: &str) -> Self {
        let name = model.to_ascii_lowercase();
        let Some((_, name)) = name.split_once("claude") else { return OTHER };
        let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
        let line = if words.contains(&"opus") {
            Line::Opus
        } else if words.contains(&"fable") || words.contains(&"mythos") {
            Line::Large
        } else {
            Line::Small
        };
        // A name without a version is one that always leads to the latest.
        Self::by(line, version(&words).unwrap_or((u32::MAX, 0)))
    }

    fn by(line: Line, version: (u32, u32)) -> Self {
        let thinking = match line {
            Line::Large => Thinking::Adaptive(Off::Impossible),
            _ if version < (3, 7) => Thinking::Never,
            _ if version < (4, 6) => Thinking::Budget,
            _ if version < (4, 7) => Thinking::BudgetOrAdaptive,
            _ if version < (5, 0) => Thinking::Adaptive(Off::NotAsked),
            _ if version < (5, 5) => Thinking::Adaptive(Off::Sent("disabled")),
            Line::Opus => Thinking::Adaptive(Off::Impossible),
            Line::Small => Thinking::Adaptive(Off::Sent("between_tools")),
        };
        Self {
            thinking,
            sampling: line != Line::Large && version < (4, 7),
            prefill: line != Line::Large && version < (4, 6),
            forced_tools: version < if line == Line::Large { (5, 1) } else { (5, 5) },
            xhigh: line == Line::Large || version >= (4, 7),
            strict_tools: line == Line::Large || version >= (4, 5),
        }
    }
}

/// The first number and the one right after it; dates are no versions.
fn version(words: &[&str]) -> Option<(u32, u32)> {
    let number = |word: &&str| (word.len() <= 2).then(|| word.parse::<u32>().ok()).flatten();
    let at = words.iter().position(|word| number(word).is_some())?;
    let major = words.get(at).and_then(number)?;
    Some((major, words.get(at + 1).and_then(number).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_style_tell_the_generation() {
        use Thinking::*;
        let table = [
            ("claude-3-haiku-20240307", Never),
            ("claude-3-5-sonnet-20241022", Never),
            ("anthropic.claude-3-7-sonnet-20250219-v1:0", Budget),
            ("claude-opus-4-20250514", Budget),
            ("claude-4-opus-20250514", Budget),
            ("claude-sonnet-4-5@20250929", Budget),
            ("claude-haiku-4-5-20251001", Budget),
            ("claude-opus-4-6", BudgetOrAdaptive),
            ("us.anthropic.claude-opus-4-7-v1:0", Adaptive(Off::NotAsked)),
            ("anthropic/claude-opus-4.8", Adaptive(Off::NotAsked)),
            ("claude-opus-5", Adaptive(Off::Sent("disabled"))),
            ("claude-sonnet-5-v1:0", Adaptive(Off::Sent("disabled"))),
            ("claude-opus-5-5", Adaptive(Off::Impossible)),
            ("claude-sonnet-5-5", Adaptive(Off::Sent("between_tools"))),
            ("claude-fable-5", Adaptive(Off::Impossible)),
            ("claude-mythos-preview", Adaptive(Off::Impossible)),
            ("claude-opus-latest", Adaptive(Off::Impossible)),
            ("deepseek-chat", Budget),
        ];
        for (name, thinking) in table {
            assert_eq!(Generation::of(name).thinking, thinking, "{name}");
        }
    }

    #[test]
    fn newer_models_refuse_what_older_ones_took() {
        let takes = |name| {
            let it = Generation::of(name);
            (it.prefill, it.sampling, it.forced_tools)
        };
        assert_eq!(takes("claude-sonnet-4-5"), (true, true, true));
        assert_eq!(takes("claude-sonnet-4-6"), (false, true, true));
        assert_eq!(takes("claude-opus-4-8"), (false, false, true));
        assert_eq!(takes("claude-fable-5"), (false, false, true));
        assert_eq!(takes("claude-fable-5-1"), (false, false, false));
        assert_eq!(takes("claude-opus-5-5"), (false, false, false));
        assert_eq!(takes("kimi-k2"), (true, true, true));
    }
}
