//! A chat request and its answer as every dialect can say them.
//!
//! This is what translation goes through. It holds what at least two protocols share;
//! what only one can say is a [`Feature`](crate::domain::feature::Feature) that keeps a
//! request on providers of that protocol, or a hint that is dropped.

use serde_json::Value;

use crate::domain::usage::TokenUsage;
use crate::wire::turn::step;

/// A whole conversation and how to go on with it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ChatRequest {
    /// System and developer text that precedes the conversation, in order.
    pub instructions: Vec<String>,
    /// The conversation. Consecutive messages may have the same role; encoders whose
    /// protocol wants turns to alternate merge them.
    pub messages: Vec<Message>,
    /// Function tools on offer.
    pub tools: Vec<Tool>,
    /// Whether and which tool must be called.
    pub tool_choice: ToolChoice,
    /// Whether several tools may be called in one turn; `None` is the provider's default.
    pub parallel_tool_calls: Option<bool>,
    /// What shape the answer has to have.
    pub format: Format,
    /// Sequences at which generation stops.
    pub stop: Vec<String>,
    /// Upper bound of generated tokens, reasoning included.
    pub max_output_tokens: Option<u64>,
    /// How tokens are drawn. All hints.
    pub sampling: Sampling,
    /// Whether and how much the model is to reason first; `None` is the model's default.
    pub reasoning: Option<Reasoning>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Chat Completions only: the client asked for a usage chunk at the end of the stream.
    pub stream_usage: bool,
    /// The end user, as the application names them. A hint.
    pub user: Option<String>,
}

impl ChatRequest {
    /// Gives it up in [turns](crate::wire::turn) with others.
    pub fn give_up(self) {
        self.messages.into_iter().flat_map(|message| message.parts).for_each(|part| {
            step();
            drop(part);
        });
    }
}

/// One turn, or a part of one.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

/// Who speaks. Results of tools are [`Part::ToolResult`]s of the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Instructions in the middle of a conversation. Protocols that have no such turn
    /// move them to the other instructions.
    System,
    /// The caller, and the tools that act for it.
    User,
    /// The model.
    Assistant,
}

/// A piece of a turn.
#[derive(Clone, PartialEq, Debug)]
pub enum Part {
    /// Plain text.
    Text(String),
    /// The model declines to answer, in its own words. Only from the assistant.
    Refusal(String),
    /// The model's reasoning. Only from the assistant.
    Reasoning(ReasoningPart),
    /// A picture. Only from the user or in a tool's result.
    Image(Media),
    /// A document, PDF most often. Only from the user or in a tool's result.
    Document {
        /// The bytes or where they are.
        media: Media,
        /// The file's name, where given.
        name: Option<String>,
    },
    /// The model calls a tool. Only from the assistant.
    ToolCall(ToolCall),
    /// What a tool returned. Only from the user.
    ToolResult(ToolResult),
}

/// Reasoning that the model showed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReasoningPart {
    /// The text or its summary; empty where the provider hides it.
    pub text: String,
    /// The provider's proof that the text is its own, in that provider's form. Only the
    /// [`Seal::origin`] protocol understands it; encoders of other protocols drop the
    /// whole part, which every protocol allows.
    pub seal: Option<Seal>,
}

/// Opaque provider state that has to travel with a reasoning part or a tool call.
///
/// Clients carry it in whatever opaque field their dialect has, in the form that
/// [`Seal::to_token`] gives, so that it finds its way back to the right protocol only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seal {
    /// Whose state it is.
    pub origin: SealOrigin,
    /// The state as the provider wrote it.
    pub data: String,
}

/// Whose opaque state a [`Seal`] holds, and which kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SealOrigin {
    /// Anthropic's `signature` of a thinking block.
    AnthropicSignature,
    /// Anthropic's `data` of a redacted thinking block.
    AnthropicRedacted,
    /// Gemini's `thoughtSignature`.
    Gemini,
    /// OpenAI's `encrypted_content` of a reasoning item.
    OpenAi,
}

/// What every token of ours begins with, so that a foreign seal in a body that would pass
/// through can be found by a plain search.
pub const SEAL_PREFIX: &str = "pmseal.";

impl Seal {
    const ORIGINS: [(&'static str, SealOrigin); 4] = [
        ("anthropic", SealOrigin::AnthropicSignature),
        ("redacted", SealOrigin::AnthropicRedacted),
        ("gemini", SealOrigin::Gemini),
        ("openai", SealOrigin::OpenAi),
    ];

    /// As a client of another dialect carries it: `pmseal.<origin>.<data>`.
    pub fn to_token(&self) -> String {
        let name = Self::ORIGINS.iter().find(|(_, o)| *o == self.origin).map_or("", |(n, _)| n);
        format!("{SEAL_PREFIX}{name}.{}", self.data)
    }

    /// Reads what [`to_token`](Self::to_token) wrote; `None` for anything else.
    pub fn from_token(token: &str) -> Option<Self> {
        let (name, data) = token.strip_prefix(SEAL_PREFIX)?.split_once('.')?;
        let (_, origin) = Self::ORIGINS.iter().find(|(n, _)| *n == name)?;
        Some(Self { origin: *origin, data: data.to_owned() })
    }
}

/// Bytes of an image or a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Media {
    /// In the request itself.
    Inline {
        /// MIME type, `image/png`.
        media_type: String,
        /// Standard base64, as the client wrote it.
        base64: String,
    },
    /// To be fetched by the provider.
    Url(String),
}

/// A call of a function tool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolCall {
    /// Joins the call and its result.
    pub id: String,
    /// The function.
    pub name: String,
    /// JSON text of the arguments, as the model wrote it (not always valid JSON).
    pub arguments: String,
    /// Opaque provider state of the call (Gemini's thought signature).
    pub seal: Option<Seal>,
}

/// What a tool returned.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolResult {
    /// The call it answers.
    pub call_id: String,
    /// Text, images and documents.
    pub parts: Vec<Part>,
    /// The tool failed; the parts say how.
    pub is_error: bool,
}

/// A function the model may call.
#[derive(Clone, PartialEq, Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON schema of its arguments; an empty object schema where the client gave none.
    pub parameters: Value,
    /// Whether arguments must follow the schema exactly; `None` is the dialect's default.
    pub strict: Option<bool>,
}

/// Whether and which tool must be called.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No tool may be called.
    None,
    /// At least one must be.
    Required,
    /// This one must be.
    Named(String),
}

/// What shape the answer has to have.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Format {
    /// Free text.
    #[default]
    Text,
    /// Some JSON object ([`Feature::JsonObject`](crate::domain::feature::Feature)).
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// A name for the schema; dialects that need one get `response` where there is none.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The schema.
        schema: Value,
        /// Whether it must be followed exactly; `None` is the dialect's default.
        strict: Option<bool>,
    },
}

/// How tokens are drawn: hints, each dropped by protocols that lack it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Sampling {
    /// Temperature; encoders clamp it to their protocol's range.
    pub temperature: Option<f64>,
    /// Nucleus.
    pub top_p: Option<f64>,
    /// The k most likely.
    pub top_k: Option<u64>,
    /// By how often a token has come.
    pub frequency_penalty: Option<f64>,
    /// By whether a token has come.
    pub presence_penalty: Option<f64>,
    /// For repeatable draws.
    pub seed: Option<i64>,
}

/// Whether and how much the model is to reason before it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reasoning {
    /// How hard.
    pub effort: Option<Effort>,
    /// At most this many tokens.
    pub budget_tokens: Option<u64>,
    /// Whether the client wants to see the reasoning or its summary.
    pub show: bool,
}

/// How hard to reason.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// The usual.
    Medium,
    /// Much.
    High,
    /// More still.
    XHigh,
    /// As much as the model can.
    Max,
}

impl Effort {
    /// Name and value, ascending.
    pub const ALL: [(&'static str, Self); 7] = [
        ("none", Self::None),
        ("minimal", Self::Minimal),
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("xhigh", Self::XHigh),
        ("max", Self::Max),
    ];

    /// By the name that clients send.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, effort)| *effort)
    }

    /// The name that providers get.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, e)| *e == self).map_or("medium", |(name, _)| name)
    }
}

/// A whole answer.
#[derive(Clone, PartialEq, Debug)]
pub struct ChatResponse {
    /// The provider's id of the answer; empty where it gives none.
    pub id: String,
    /// The model that answered, as the provider names it.
    pub model: String,
    /// Reasoning, text, refusals and tool calls, in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub finish: Finish,
    /// What it used.
    pub usage: TokenUsage,
}

/// Why generation ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finish {
    /// The model was done.
    Stop,
    /// One of the request's stop sequences came; which, where the provider says it.
    StopSequence(Option<String>),
    /// The output limit or the context window was reached.
    Length,
    /// The model waits for the results of its tool calls.
    ToolCalls,
    /// A filter cut it.
    ContentFilter,
    /// The model refused.
    Refusal,
}

impl Finish {
    /// The word for it in traces.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stop | Self::StopSequence(_) => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Refusal => "refusal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_survive_the_way_through_a_client() {
        for origin in
            [SealOrigin::AnthropicSignature, SealOrigin::AnthropicRedacted, SealOrigin::Gemini, SealOrigin::OpenAi]
        {
            let seal = Seal { origin, data: "a.b/c+=".into() };
            assert_eq!(Seal::from_token(&seal.to_token()), Some(seal));
        }
        assert_eq!(Seal::from_token("EqQBCg…"), None);
        assert_eq!(Seal::from_token("pmseal.nobody.x"), None);
    }
}
