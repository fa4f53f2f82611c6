//! How a chat request is said to `generateContent`: instructions, tools and settings around
//! the conversation that [`super::contents`] builds.
//!
//! Left out because the API has no word for it: `user`, `parallel_tool_calls` and `strict`,
//! all of them hints.

use serde::Serialize;
use serde_json::Value;

use super::contents;
use super::model::Model;
use super::parts::{Content, Part};
use crate::domain::feature::Feature;
use crate::wire::chat::{ChatRequest, Format, Sampling, ToolChoice};
use crate::wire::error::Unsupported;
use crate::wire::meta::EncodeFor;
use crate::wire::tree;

/// The most stop sequences that the API takes.
const MAX_STOPS: usize = 5;

/// The body of `generateContent` and, with the model's name in it, of `countTokens`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    /// Only inside `countTokens`; elsewhere the path names the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<SystemInstruction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<[ToolSet<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    generation_config: GenerationConfig<'a>,
}

#[derive(Debug, Serialize)]
struct SystemInstruction<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolSet<'a> {
    function_declarations: Vec<FunctionDeclaration<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionDeclaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// JSON Schema as it is; the older `parameters` takes a narrow dialect of its own and
    /// refuses the whole request for a keyword it does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: FunctionCallingConfig<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionCallingConfig<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    include_thoughts: bool,
}

/// The JSON body of `generateContent` and `streamGenerateContent`.
///
/// # Errors
/// If the request needs what this model does not have or what the protocol cannot say, unless
/// such things are to be left out ([`EncodeFor::drop_unsupported`]).
pub fn encode_request(request: &ChatRequest, to: &EncodeFor<'_>) -> Result<Vec<u8>, Unsupported> {
    Ok(write(&body(request, to)?))
}

/// Everything that is said of a request.
pub(super) fn body<'a>(request: &'a ChatRequest, to: &EncodeFor<'_>) -> Result<Body<'a>, Unsupported> {
    let model = Model::of(to.model);
    let refusal = Refusal { drop: to.drop_unsupported };
    let conversation = contents::build(request, model, refusal)?;
    let system_instruction =
        (!conversation.system.is_empty()).then_some(SystemInstruction { parts: conversation.system });
    let tools = (!request.tools.is_empty()).then(|| {
        let function_declarations = request
            .tools
            .iter()
            .map(|tool| FunctionDeclaration {
                name: &tool.name,
                description: tool.description.as_deref(),
                parameters_json_schema: tool.parameters.is_object().then_some(&tool.parameters),
            })
            .collect();
        [ToolSet { function_declarations }]
    });
    let tool_config = tools.as_ref().and_then(|_| tool_config(&request.tool_choice));
    let generation_config = generation_config(request, to, model, refusal)?;
    Ok(Body { model: None, contents: conversation.contents, system_instruction, tools, tool_config, generation_config })
}

/// As JSON text.
pub(super) fn write(body: &impl Serialize) -> Vec<u8> {
    // Unwrap safety: writing to memory cannot fail, and these types have string keys only.
    tree::write(body).expect("a body of plain values is JSON")
}

/// What happens to a feature that cannot be said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    drop: bool,
}

impl Refusal {
    /// Refuses, unless such things are to be left out.
    pub(super) fn of(self, feature: Feature, detail: impl Into<String>) -> Result<(), Unsupported> {
        if self.drop { Ok(()) } else { Err(Unsupported { feature, detail: detail.into() }) }
    }
}

/// `None` is the API's own default, `AUTO`.
fn tool_config(choice: &ToolChoice) -> Option<ToolConfig<'_>> {
    let (mode, allowed_function_names) = match choice {
        ToolChoice::Auto => return None,
        ToolChoice::None => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::Named(name) => ("ANY", Some([name.as_str()])),
    };
    Some(ToolConfig { function_calling_config: FunctionCallingConfig { mode, allowed_function_names } })
}

fn generation_config<'a>(
    request: &'a ChatRequest,
    to: &EncodeFor<'_>,
    model: Model<'_>,
    refusal: Refusal,
) -> Result<GenerationConfig<'a>, Unsupported> {
    let (mime, schema) = output_format(request, model, refusal)?;
    let Sampling { temperature, top_p, top_k, frequency_penalty, presence_penalty, seed } = request.sampling;
    let thinking = request.reasoning.as_ref().and_then(|reasoning| model.thinking(reasoning));
    Ok(GenerationConfig {
        temperature: temperature.map(|t| t.clamp(0.0, 2.0)),
        top_p,
        top_k,
        // More than the model can is refused, so a known limit caps what the client asks for.
        max_output_tokens: request.max_output_tokens.map(|limit| limit.min(to.max_output_tokens.unwrap_or(u64::MAX))),
        stop_sequences: stop_sequences(&request.stop, refusal)?,
        seed: seed.and_then(|seed| i32::try_from(seed).ok()),
        presence_penalty: penalty(presence_penalty),
        frequency_penalty: penalty(frequency_penalty),
        response_mime_type: mime,
        response_json_schema: schema,
        thinking_config: thinking.map(|thinking| ThinkingConfig {
            thinking_level: thinking.level,
            thinking_budget: thinking.budget,
            include_thoughts: thinking.show,
        }),
    })
}

/// Several models refuse penalties altogether, and clients send the default explicitly.
fn penalty(value: Option<f64>) -> Option<f64> {
    value.filter(|penalty| *penalty != 0.0)
}

fn stop_sequences(stop: &[String], refusal: Refusal) -> Result<Vec<&str>, Unsupported> {
    let mut sequences: Vec<&str> = stop.iter().map(String::as_str).filter(|sequence| !sequence.is_empty()).collect();
    if sequences.len() > MAX_STOPS {
        refusal.of(Feature::ManyStops, format!("it takes {MAX_STOPS} stop sequences, not {}", sequences.len()))?;
        sequences.truncate(MAX_STOPS);
    }
    Ok(sequences)
}

/// The MIME type of the answer and the schema it is held to.
fn output_format<'a>(
    request: &'a ChatRequest,
    model: Model<'_>,
    refusal: Refusal,
) -> Result<(Option<&'static str>, Option<&'a Value>), Unsupported> {
    let (feature, schema) = match &request.format {
        Format::Text => return Ok((None, None)),
        Format::JsonObject => (Feature::JsonObject, None),
        Format::JsonSchema { schema, .. } => (Feature::JsonSchema, Some(schema)),
    };
    if !request.tools.is_empty() && !model.has_json_beside_tools() {
        refusal.of(feature, "this model has no JSON output while tools are on offer")?;
        return Ok((None, None));
    }
    Ok((Some("application/json"), schema))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::provider::{OpenAiQuirks, OutputLimitField};
    use crate::wire::chat::{Effort, Message, Part as ChatPart, Reasoning, Role, Tool};

    fn to(model: &str) -> EncodeFor<'_> {
        let quirks =
            OpenAiQuirks { responses_api: false, stream_usage: false, output_limit: OutputLimitField::MaxTokens };
        EncodeFor { model, max_output_tokens: None, quirks, drop_unsupported: false }
    }

    fn hello() -> ChatRequest {
        ChatRequest {
            messages: vec![Message { role: Role::User, parts: vec![ChatPart::Text("hi".into())] }],
            ..ChatRequest::default()
        }
    }

    fn encoded(request: &ChatRequest, to: &EncodeFor<'_>) -> Value {
        serde_json::from_slice(&encode_request(request, to).unwrap()).unwrap()
    }

    fn tool(name: &str) -> Tool {
        Tool {
            name: name.into(),
            description: Some("what it does".into()),
            parameters: json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}, "$defs": {"n": {}}}),
            strict: Some(true),
        }
    }

    #[test]
    fn a_plain_request_says_nothing_that_was_not_asked() {
        assert_eq!(
            encoded(&hello(), &to("gemini-2.5-flash")),
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {}})
        );
    }

    #[test]
    fn settings_go_to_the_generation_config() {
        let request = ChatRequest {
            stop: vec!["a".into(), String::new(), "b".into()],
            max_output_tokens: Some(100),
            sampling: Sampling {
                temperature: Some(3.0),
                top_p: Some(0.5),
                top_k: Some(40),
                frequency_penalty: Some(0.0),
                presence_penalty: Some(0.25),
                seed: Some(7),
            },
            reasoning: Some(Reasoning { effort: Some(Effort::Low), budget_tokens: None, show: true }),
            user: Some("someone".into()),
            parallel_tool_calls: Some(false),
            ..hello()
        };
        assert_eq!(
            encoded(&request, &to("gemini-3.5-flash"))["generationConfig"],
            json!({
                "temperature": 2.0, "topP": 0.5, "topK": 40, "maxOutputTokens": 100, "stopSequences": ["a", "b"],
                "seed": 7, "presencePenalty": 0.25,
                "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": true}
            })
        );
    }

    #[test]
    fn a_seed_outside_of_its_range_is_dropped() {
        let mut request = hello();
        request.sampling.seed = Some(1 << 40);
        assert_eq!(encoded(&request, &to("x"))["generationConfig"], json!({}));
    }

    #[test]
    fn the_output_limit_stays_within_the_models() {
        let request = ChatRequest { max_output_tokens: Some(1_000_000), ..hello() };
        let to = EncodeFor { max_output_tokens: Some(65_536), ..to("gemini-2.5-pro") };
        assert_eq!(encoded(&request, &to)["generationConfig"]["maxOutputTokens"], 65_536);
        assert_eq!(encoded(&hello(), &to)["generationConfig"], json!({}));
    }

    #[test]
    fn five_stop_sequences_are_the_most() {
        let with = |n: usize| ChatRequest { stop: (0..n).map(|i| i.to_string()).collect(), ..hello() };
        assert!(encode_request(&with(5), &to("x")).is_ok());
        assert_eq!(encode_request(&with(6), &to("x")).unwrap_err().feature, Feature::ManyStops);
        let lenient = EncodeFor { drop_unsupported: true, ..to("x") };
        let config = &encoded(&with(6), &lenient)["generationConfig"];
        assert_eq!(config["stopSequences"], json!(["0", "1", "2", "3", "4"]));
    }

    #[test]
    fn tools_keep_their_whole_schema() {
        let request = ChatRequest { tools: vec![tool("f")], ..hello() };
        let body = encoded(&request, &to("gemini-2.5-flash"));
        assert_eq!(
            body["tools"],
            json!([{"functionDeclarations": [{
                "name": "f", "description": "what it does", "parametersJsonSchema": request.tools[0].parameters
            }]}])
        );
        assert_eq!(body.get("toolConfig"), None);
    }

    #[test]
    fn the_tool_choice_is_a_mode() {
        for (choice, expected) in [
            (ToolChoice::None, json!({"mode": "NONE"})),
            (ToolChoice::Required, json!({"mode": "ANY"})),
            (ToolChoice::Named("f".into()), json!({"mode": "ANY", "allowedFunctionNames": ["f"]})),
        ] {
            let request = ChatRequest { tools: vec![tool("f")], tool_choice: choice, ..hello() };
            assert_eq!(encoded(&request, &to("x"))["toolConfig"], json!({"functionCallingConfig": expected}));
        }
        let without_tools = ChatRequest { tool_choice: ToolChoice::Required, ..hello() };
        assert_eq!(encoded(&without_tools, &to("x")).get("toolConfig"), None);
    }

    #[test]
    fn a_schema_holds_the_answer_to_json() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
        let format = Format::JsonSchema { name: None, description: None, schema: schema.clone(), strict: Some(true) };
        let config = &encoded(&ChatRequest { format, ..hello() }, &to("x"))["generationConfig"];
        assert_eq!(config, &json!({"responseMimeType": "application/json", "responseJsonSchema": schema}));
        let config = &encoded(&ChatRequest { format: Format::JsonObject, ..hello() }, &to("x"))["generationConfig"];
        assert_eq!(config, &json!({"responseMimeType": "application/json"}));
    }

    #[test]
    fn json_beside_tools_needs_gemini_3() {
        let request = ChatRequest { tools: vec![tool("f")], format: Format::JsonObject, ..hello() };
        assert!(encode_request(&request, &to("gemini-3-pro-preview")).is_ok());
        let refused = encode_request(&request, &to("gemini-2.5-pro")).unwrap_err();
        assert_eq!(refused.feature, Feature::JsonObject);
        let lenient = EncodeFor { drop_unsupported: true, ..to("gemini-2.5-pro") };
        assert_eq!(encoded(&request, &lenient)["generationConfig"], json!({}));
    }
}
