//! How do OpenAI-compatible servers differ from OpenAI's own? What is documented of each.

use crate::domain::provider::{OpenAiQuirks, OutputLimitField};

/// What may be asked of a compatible server that nothing is known of: the fields that
/// vLLM, Ollama, llama.cpp and the like have understood longest.
pub fn compatible_server() -> OpenAiQuirks {
    OpenAiQuirks { responses_api: false, stream_usage: true, output_limit: OutputLimitField::MaxTokens }
}

/// The deviations of a provider of the catalogue.
pub fn quirks_of(provider: &str) -> OpenAiQuirks {
    let ordinary = compatible_server();
    match provider {
        // xAI took over both of OpenAI's newer interfaces.
        "openai" | "xai" => OpenAiQuirks {
            responses_api: true,
            stream_usage: true,
            output_limit: OutputLimitField::MaxCompletionTokens,
        },
        // Both call `max_tokens` deprecated.
        "groq" | "cerebras" => OpenAiQuirks { output_limit: OutputLimitField::MaxCompletionTokens, ..ordinary },
        // They send usage at the end of every stream; Mistral and Cohere refuse a body with
        // `stream_options`, and Perplexity does not document it.
        "mistral" | "cohere" | "perplexity" => OpenAiQuirks { stream_usage: false, ..ordinary },
        _ => ordinary,
    }
}
