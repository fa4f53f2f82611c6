//! What is asked, and what does the simulated model answer? Both in words that no protocol owns:
//! the protocol folders read an [`Ask`] out of a request and write an [`Answer`] in their form.

use serde_json::{Value, json};

use super::instance::conforming;
use super::words::{hash, id, pieces, prompt_tokens, tokens, words};

/// The tokens an image counts for.
const IMAGE_TOKENS: u64 = 258;

/// A request, as far as the answer depends on it.
#[derive(Debug, Default)]
pub(super) struct Ask {
    /// The model asked for.
    pub model: String,
    /// A stream is wanted.
    pub stream: bool,
    /// All system text.
    pub system: String,
    /// The text of the last user turn.
    pub prompt: String,
    /// The tool results of the last turn, as text.
    pub results: Vec<String>,
    /// Media type or address of each image in the last user turn.
    pub images: Vec<String>,
    /// The tools offered.
    pub tools: Vec<Tool>,
    /// Which of them must or may be called.
    pub choice: Choice,
    /// More than one call is allowed.
    pub parallel: bool,
    /// The schema the answer must conform to.
    pub schema: Option<Value>,
    /// The thoughts are wanted.
    pub reasoning: bool,
    /// The most tokens wanted.
    pub max_tokens: Option<u64>,
    /// Texts at which the answer ends.
    pub stops: Vec<String>,
    /// How many answers are wanted; 0 is read as 1.
    pub count: u64,
    /// Usage is wanted in the stream (OpenAI), or the stream is server-sent events (Gemini).
    pub flag: bool,
    /// Bytes of all text in the prompt, and images in it.
    pub prompt_bytes: usize,
    /// Images anywhere in the prompt.
    pub images_total: u64,
    /// The whole request.
    pub request: Value,
}

/// A tool on offer.
#[derive(Debug)]
pub(super) struct Tool {
    pub name: String,
    pub schema: Value,
}

/// Which tools must or may be called.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Choice {
    #[default]
    Auto,
    None,
    Required,
    Named(String),
}

impl Ask {
    /// Counts text towards the prompt.
    pub fn count_text(&mut self, text: &str) {
        self.prompt_bytes += text.len();
    }

    /// Counts a value (a tool definition, arguments) towards the prompt by its JSON.
    pub fn count_value(&mut self, value: &Value) {
        if !value.is_null() {
            self.prompt_bytes += value.to_string().len();
        }
    }

    /// Tokens of the prompt: a quarter of its text's bytes, and a fixed count per image.
    pub fn prompt_tokens(&self) -> u64 {
        prompt_tokens(self.prompt_bytes).max(1) + IMAGE_TOKENS * self.images_total
    }
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// The thoughts, token by token.
    pub reasoning: Vec<String>,
    /// The text, token by token.
    pub text: Vec<String>,
    /// The tool calls.
    pub calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: Finish,
}

/// A call of a tool.
#[derive(Debug)]
pub(super) struct ToolCall {
    /// 24 letters and digits behind no prefix.
    pub id: String,
    pub name: String,
    pub arguments: Value,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    StopSequence(String),
    Length,
    ToolCalls,
}

/// Token counts to report.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub prompt: u64,
    /// Of the prompt, read from a cache.
    pub cached: u64,
    /// Thoughts, text and calls.
    pub output: u64,
    /// Of the output, thoughts.
    pub reasoning: u64,
}

impl Answer {
    /// All output tokens: thoughts, text and the arguments of calls.
    pub fn output_tokens(&self) -> u64 {
        let arguments: usize = self.calls.iter().map(|call| call.pieces().len()).sum();
        (self.reasoning.len() + self.text.len() + arguments) as u64
    }

    pub fn reasoning_text(&self) -> String {
        self.reasoning.concat()
    }

    pub fn full_text(&self) -> String {
        self.text.concat()
    }
}

impl ToolCall {
    /// The arguments in the pieces in which they are streamed.
    pub fn pieces(&self) -> Vec<String> {
        pieces(&self.arguments.to_string())
    }
}

/// What an answer depends on beside the request.
pub(super) struct Author<'a> {
    /// The simulated provider's name.
    pub name: &'a str,
    /// Its seed.
    pub seed: u64,
    /// The number of this call, for ids.
    pub serial: u64,
    /// The fixed answer of the behaviour.
    pub fixed: Option<&'a str>,
    /// How long a made-up answer is.
    pub length: u64,
}

impl Author<'_> {
    /// The `index`-th answer to `ask`.
    pub fn answer(&self, ask: &Ask, index: u64) -> Answer {
        let seed = hash(self.seed ^ index, &[ask.model.as_bytes(), ask.system.as_bytes(), ask.prompt.as_bytes()]);
        let reasoning = if ask.reasoning { words(seed ^ 1, 12) } else { Vec::new() };
        let calls = self.calls(ask, seed);
        if !calls.is_empty() {
            return Answer { reasoning, text: Vec::new(), calls, finish: Finish::ToolCalls };
        }
        let (text, finish) = cut_at_stops(self.text(ask, seed), &ask.stops);
        let mut answer = Answer { reasoning, text, calls, finish };
        if let Some(max) = ask.max_tokens.map(|max| usize::try_from(max).unwrap_or(usize::MAX)) {
            let room = max.saturating_sub(answer.reasoning.len());
            if answer.text.len() > room || answer.reasoning.len() > max {
                answer.reasoning.truncate(max);
                answer.text.truncate(room);
                answer.finish = Finish::Length;
            }
        }
        answer
    }

    fn calls(&self, ask: &Ask, seed: u64) -> Vec<ToolCall> {
        let dictated = self.fixed.is_some() || echoed(&ask.prompt).is_some() || counted(&ask.prompt).is_some();
        let chosen: Vec<&Tool> = match &ask.choice {
            Choice::None => Vec::new(),
            _ if !ask.results.is_empty() => Vec::new(),
            Choice::Named(name) => ask.tools.iter().filter(|tool| tool.name == *name).collect(),
            Choice::Auto if dictated => Vec::new(),
            _ if ask.parallel && ask.prompt.contains("parallel") => ask.tools.iter().collect(),
            _ => ask.tools.iter().take(1).collect(),
        };
        chosen
            .iter()
            .zip(0..)
            .map(|(tool, index)| ToolCall {
                id: id("", hash(self.serial, &[&[index]])),
                name: tool.name.clone(),
                arguments: match conforming(&tool.schema, seed) {
                    Value::Object(arguments) => Value::Object(arguments),
                    _ => json!({}),
                },
            })
            .collect()
    }

    fn text(&self, ask: &Ask, seed: u64) -> Vec<String> {
        if let Some(fixed) = self.fixed {
            return tokens(fixed);
        }
        if let Some(text) = echoed(&ask.prompt) {
            return tokens(text);
        }
        if let Some(schema) = &ask.schema {
            return pieces(&conforming(schema, seed).to_string());
        }
        if let Some(last) = counted(&ask.prompt) {
            return (1..=last).map(|n| if n == last { n.to_string() } else { format!("{n} ") }).collect();
        }
        let mut text = tokens(&format!("[{}/{}] ", self.name, ask.model));
        if ask.prompt.contains("system?") {
            let start: String = ask.system.chars().take(40).collect();
            text.extend(tokens(&format!("system: {start} ")));
        }
        if !ask.images.is_empty() {
            text.extend(tokens(&format!("saw {} image(s): {} ", ask.images.len(), ask.images.join(", "))));
        }
        if !ask.results.is_empty() {
            text.extend(tokens(&format!("the tools say: {} ", ask.results.join("; "))));
        }
        text.extend(words(seed, self.length.saturating_sub(text.len() as u64).max(1)));
        text
    }
}

/// The text after `echo:` in the prompt, which the answer repeats.
fn echoed(prompt: &str) -> Option<&str> {
    prompt.split_once("echo:").map(|(_, text)| text.trim()).filter(|text| !text.is_empty())
}

/// The `N` of `count to N` in the prompt, at most 10,000.
fn counted(prompt: &str) -> Option<u64> {
    let (_, rest) = prompt.split_once("count to ")?;
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..digits)?.parse().ok().filter(|last| (1..=10_000).contains(last))
}

fn cut_at_stops(text: Vec<String>, stops: &[String]) -> (Vec<String>, Finish) {
    if stops.is_empty() {
        return (text, Finish::Stop);
    }
    let whole = text.concat();
    let first =
        stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| Some((whole.find(stop.as_str())?, stop)));
    let Some((mut left, stop)) = first.min_by_key(|(at, _)| *at) else {
        return (text, Finish::Stop);
    };
    let mut kept = Vec::new();
    for token in text {
        if left == 0 {
            break;
        }
        // `left` is where a substring begins, so it is a boundary between letters.
        let part = token.get(..left.min(token.len())).unwrap_or_default().to_owned();
        left -= part.len();
        kept.push(part);
    }
    (kept, Finish::StopSequence(stop.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author() -> Author<'static> {
        Author { name: "acme", seed: 1, serial: 5, fixed: None, length: 20 }
    }

    fn ask(prompt: &str) -> Ask {
        Ask { model: "m".into(), prompt: prompt.into(), parallel: true, ..Ask::default() }
    }

    fn tool(name: &str) -> Tool {
        Tool { name: name.into(), schema: json!({"type": "object", "properties": {"city": {"type": "string"}}}) }
    }

    #[test]
    fn the_answer_names_provider_and_model_and_is_as_long_as_programmed() {
        let answer = author().answer(&ask("hello"), 0);
        assert!(answer.full_text().starts_with("[acme/m] "));
        assert_eq!(answer.output_tokens(), 20);
        assert_eq!(answer.full_text(), author().answer(&ask("hello"), 0).full_text());
        assert_ne!(answer.full_text(), author().answer(&ask("hello"), 1).full_text());
    }

    #[test]
    fn echo_and_count_are_exact() {
        assert_eq!(author().answer(&ask("please echo: a  b\nc "), 0).full_text(), "a  b\nc");
        assert_eq!(author().answer(&ask("count to 5!"), 0).full_text(), "1 2 3 4 5");
    }

    #[test]
    fn the_first_stop_sequence_ends_the_text() {
        let ask = Ask { stops: vec!["9".into(), "4 5".into()], ..ask("count to 12") };
        let answer = author().answer(&ask, 0);
        assert_eq!(answer.full_text(), "1 2 3 ");
        assert_eq!(answer.finish, Finish::StopSequence("4 5".into()));
    }

    #[test]
    fn the_token_limit_ends_the_text() {
        let answer = author().answer(&Ask { max_tokens: Some(3), ..ask("count to 9") }, 0);
        assert_eq!((answer.full_text().as_str(), answer.finish), ("1 2 3 ", Finish::Length));
        let thinking = Ask { max_tokens: Some(14), reasoning: true, ..ask("count to 9") };
        assert_eq!(author().answer(&thinking, 0).output_tokens(), 14);
        let exact = author().answer(&Ask { max_tokens: Some(9), ..ask("count to 9") }, 0);
        assert_eq!(exact.finish, Finish::Stop);
    }

    #[test]
    fn tools_are_called_as_the_choice_says() {
        let with = |prompt: &str, choice| Ask { tools: vec![tool("a"), tool("b")], choice, ..ask(prompt) };
        let names = |ask: &Ask| author().answer(ask, 0).calls.into_iter().map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(names(&with("x", Choice::Auto)), ["a"]);
        assert_eq!(names(&with("in parallel", Choice::Auto)), ["a", "b"]);
        assert_eq!(names(&with("x", Choice::Named("b".into()))), ["b"]);
        assert_eq!(names(&with("echo: x", Choice::Required)), ["a"]);
        assert!(names(&with("echo: x", Choice::Auto)).is_empty());
        assert!(names(&with("x", Choice::None)).is_empty());
    }

    #[test]
    fn results_are_quoted_and_end_the_loop() {
        let ask = Ask { tools: vec![tool("a")], results: vec!["17 degrees".into()], ..ask("") };
        let answer = author().answer(&ask, 0);
        assert!(answer.calls.is_empty());
        assert!(answer.full_text().contains("17 degrees"));
    }

    #[test]
    fn images_and_the_system_prompt_are_mentioned() {
        let ask = Ask { images: vec!["image/png".into()], system: "Be kind.".into(), ..ask("system? and this?") };
        let text = author().answer(&ask, 0).full_text();
        assert!(text.contains("saw 1 image(s): image/png") && text.contains("system: Be kind."), "{text}");
    }
}
