//! In which API does a caller ask? One word for each path, for metrics, logs and traces.

/// The API a request came by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum ClientProtocol {
    /// OpenAI's `/v1/chat/completions`.
    ChatCompletions,
    /// OpenAI's `/v1/responses`.
    Responses,
    /// Anthropic's `/v1/messages`.
    Messages,
    /// OpenAI's `/v1/completions`.
    Completions,
    /// OpenAI's `/v1/embeddings`.
    Embeddings,
    /// Anthropic's `/v1/messages/count_tokens`.
    CountTokens,
    /// Any other path.
    #[default]
    Other,
}

impl ClientProtocol {
    /// How many there are.
    pub const COUNT: usize = 7;

    /// Every protocol, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::ChatCompletions,
        Self::Responses,
        Self::Messages,
        Self::Completions,
        Self::Embeddings,
        Self::CountTokens,
        Self::Other,
    ];

    /// The stable name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::CountTokens => "count_tokens",
            Self::Other => "other",
        }
    }

    /// What is done, in the words of OpenTelemetry's conventions (`gen_ai.operation.name`) as
    /// far as they have one.
    pub fn operation(self) -> OperationName {
        match self {
            Self::ChatCompletions | Self::Responses | Self::Messages => OperationName::Chat,
            Self::Completions => OperationName::TextCompletion,
            Self::Embeddings => OperationName::Embeddings,
            Self::CountTokens => OperationName::CountTokens,
            Self::Other => OperationName::Other,
        }
    }
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum OperationName {
    /// A chat.
    Chat,
    /// The completion of a text.
    TextCompletion,
    /// Vectors of texts.
    Embeddings,
    /// Only the number of tokens.
    CountTokens,
    /// Anything else.
    Other,
}

impl OperationName {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
            Self::CountTokens => "count_tokens",
            Self::Other => "other",
        }
    }
}
