//! A request of any dialect as OpenAI-compatible servers get it: all but the conversation,
//! which is in [`turns`](super::turns).

use super::outgoing::{BodyOut, ChoiceOut, FormatOut, FunctionOut, NameOut, SchemaOut, StreamOptionsOut, ToolOut};
use super::turns::encode_turns;
use crate::domain::feature::{Feature, FeatureSet};
use crate::domain::provider::OutputLimitField;
use crate::wire::chat::{ChatRequest, Effort, Format, Reasoning, Role, ToolChoice};
use crate::wire::error::Unsupported;
use crate::wire::meta::EncodeFor;
use crate::wire::tree;

/// What Chat Completions can say of a translated request.
pub const EXPRESSIBLE: FeatureSet = FeatureSet::of(&[
    Feature::Tools,
    Feature::Images,
    Feature::ImageUrls,
    Feature::Documents,
    Feature::JsonObject,
    Feature::JsonSchema,
    Feature::Stops,
]);

/// How many stop sequences the API takes.
const MAX_STOPS: usize = 4;

/// Writes the JSON body for a provider.
///
/// # Errors
/// If the request has more than four stop sequences, a last assistant message to go on
/// with, a document by URL, or media from the assistant — unless these may be dropped.
pub fn encode_request(request: &ChatRequest, to: &EncodeFor<'_>) -> Result<Vec<u8>, Unsupported> {
    let ends_with_assistant = request.messages.last().is_some_and(|message| message.role == Role::Assistant);
    if ends_with_assistant && !to.drop_unsupported {
        let detail = "the last message is the assistant's, to be continued".to_owned();
        return Err(Unsupported { feature: Feature::Prefill, detail });
    }
    if request.stop.len() > MAX_STOPS && !to.drop_unsupported {
        let detail = format!("{} stop sequences", request.stop.len());
        return Err(Unsupported { feature: Feature::ManyStops, detail });
    }
    let with_tools = !request.tools.is_empty();
    // A limit beyond the model's own is refused by OpenAI, and means the same as its own.
    let most = to.max_output_tokens.unwrap_or(u64::MAX);
    let limit = request.max_output_tokens.map(|wanted| wanted.min(most));
    let (max_tokens, max_completion_tokens) = match to.quirks.output_limit {
        OutputLimitField::MaxTokens => (limit, None),
        OutputLimitField::MaxCompletionTokens => (None, limit),
    };
    let body = BodyOut {
        model: to.model,
        messages: encode_turns(request, to)?,
        tools: request
            .tools
            .iter()
            .map(|tool| ToolOut {
                r#type: "function",
                function: FunctionOut {
                    name: &tool.name,
                    description: tool.description.as_deref(),
                    parameters: &tool.parameters,
                    strict: tool.strict,
                },
            })
            .collect(),
        // The API refuses both where there are no tools.
        tool_choice: encode_choice(&request.tool_choice).filter(|_| with_tools),
        parallel_tool_calls: request.parallel_tool_calls.filter(|_| with_tools),
        response_format: encode_format(&request.format),
        stop: &request.stop[..request.stop.len().min(MAX_STOPS)],
        max_tokens,
        max_completion_tokens,
        temperature: request.sampling.temperature.map(|t| t.clamp(0.0, 2.0)),
        top_p: request.sampling.top_p,
        frequency_penalty: request.sampling.frequency_penalty.map(|p| p.clamp(-2.0, 2.0)),
        presence_penalty: request.sampling.presence_penalty.map(|p| p.clamp(-2.0, 2.0)),
        seed: request.sampling.seed,
        reasoning_effort: request.reasoning.and_then(encode_effort),
        user: request.user.as_deref(),
        stream: request.stream,
        stream_options: (request.stream && to.quirks.stream_usage).then_some(StreamOptionsOut { include_usage: true }),
    };
    // Unwrap safety: no map keys but strings, and writing to memory does not fail.
    Ok(tree::write(&body).expect("a request can be written"))
}

fn encode_choice(choice: &ToolChoice) -> Option<ChoiceOut<'_>> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(ChoiceOut::Word("none")),
        ToolChoice::Required => Some(ChoiceOut::Word("required")),
        ToolChoice::Named(name) => Some(ChoiceOut::Named { r#type: "function", function: NameOut { name } }),
    }
}

fn encode_format(format: &Format) -> Option<FormatOut<'_>> {
    match format {
        Format::Text => None,
        Format::JsonObject => Some(FormatOut::JsonObject),
        Format::JsonSchema { name, description, schema, strict } => Some(FormatOut::JsonSchema {
            json_schema: SchemaOut {
                name: name.as_deref().unwrap_or("response"),
                description: description.as_deref(),
                schema,
                strict: *strict,
            },
        }),
    }
}

/// The effort, or what a budget in tokens comes to: none for 0, `low` up to 4,096,
/// `medium` up to 16,384, `high` above. `max` becomes `xhigh`, which more models know.
fn encode_effort(reasoning: Reasoning) -> Option<&'static str> {
    let effort = reasoning.effort.or_else(|| {
        reasoning.budget_tokens.map(|budget| match budget {
            0 => Effort::None,
            1..=4096 => Effort::Low,
            4097..=16_384 => Effort::Medium,
            _ => Effort::High,
        })
    });
    effort.map(|effort| effort.min(Effort::XHigh).as_str())
}

#[cfg(test)]
mod tests {
    use super::super::decode_request;
    use super::*;
    use crate::domain::provider::OpenAiQuirks;
    use crate::wire::chat::{Message, Part};
    use serde_json::{Value, json};

    const TO: EncodeFor<'static> = EncodeFor {
        model: "real",
        max_output_tokens: Some(100),
        quirks: OpenAiQuirks {
            responses_api: false,
            stream_usage: true,
            output_limit: OutputLimitField::MaxCompletionTokens,
        },
        drop_unsupported: false,
    };

    fn encoded(request: &ChatRequest, to: &EncodeFor<'_>) -> Value {
        serde_json::from_slice(&encode_request(request, to).unwrap()).unwrap()
    }

    #[test]
    fn what_a_client_says_reaches_the_provider_as_it_was() {
        let body = json!({
            "model": "real",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                    {"type": "image_url", "image_url": {"url": "https://x/y"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
                ]},
                {"role": "assistant", "content": "calling", "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                    {"id": "2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "1", "content": "one"},
                {"role": "tool", "tool_call_id": "2", "content": "two"},
                {"role": "system", "content": "now German"},
                {"role": "user", "content": "go on"},
            ],
            "tools": [{"type": "function", "function": {
                "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true,
            }}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": true,
            "response_format": {"type": "json_schema", "json_schema": {
                "name": "n", "schema": {"type": "object"}, "strict": true,
            }},
            "stop": ["a"],
            "max_completion_tokens": 9,
            "temperature": 0.5, "top_p": 0.5, "frequency_penalty": 0.5, "presence_penalty": 0.5, "seed": 1,
            "reasoning_effort": "low",
            "user": "u",
            "stream": true, "stream_options": {"include_usage": true},
        });
        let request = decode_request(body.to_string().as_bytes()).unwrap();
        assert_eq!(encoded(&request, &TO), body);
    }

    #[test]
    fn quirks_are_followed() {
        let request = ChatRequest { stream: true, max_output_tokens: Some(5), ..ChatRequest::default() };
        let quirks =
            OpenAiQuirks { responses_api: false, stream_usage: false, output_limit: OutputLimitField::MaxTokens };
        let expected = json!({"model": "real", "messages": [], "max_tokens": 5, "stream": true});
        assert_eq!(encoded(&request, &EncodeFor { quirks, ..TO }), expected);
        // Nothing is made up: a limit that the client did not set is not sent.
        assert_eq!(encoded(&ChatRequest::default(), &TO), json!({"model": "real", "messages": []}));
    }

    #[test]
    fn effort_and_budget() {
        let effort = |effort, budget_tokens| encode_effort(Reasoning { effort, budget_tokens, show: true });
        assert_eq!(effort(None, None), None);
        assert_eq!(effort(Some(Effort::None), None), Some("none"));
        assert_eq!(effort(Some(Effort::Max), None), Some("xhigh"));
        assert_eq!(effort(Some(Effort::Low), Some(50_000)), Some("low"));
        for (budget, expected) in [(0, "none"), (1024, "low"), (8000, "medium"), (32_000, "high")] {
            assert_eq!(effort(None, Some(budget)), Some(expected), "{budget}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused_or_dropped() {
        let stops = ChatRequest { stop: vec!["x".into(); 5], ..ChatRequest::default() };
        assert_eq!(encode_request(&stops, &TO).unwrap_err().feature, Feature::ManyStops);
        let dropping = EncodeFor { drop_unsupported: true, ..TO };
        assert_eq!(encoded(&stops, &dropping)["stop"], json!(["x", "x", "x", "x"]));

        let message = Message { role: Role::Assistant, parts: vec![Part::Text("so".into())] };
        let prefill = ChatRequest { messages: vec![message], ..ChatRequest::default() };
        assert_eq!(encode_request(&prefill, &TO).unwrap_err().feature, Feature::Prefill);
        assert_eq!(encoded(&prefill, &dropping)["messages"], json!([{"role": "assistant", "content": "so"}]));
    }

    #[test]
    fn choices_need_tools() {
        let request = ChatRequest {
            tool_choice: ToolChoice::Required,
            parallel_tool_calls: Some(false),
            ..ChatRequest::default()
        };
        assert_eq!(encoded(&request, &TO), json!({"model": "real", "messages": []}));
    }
}
