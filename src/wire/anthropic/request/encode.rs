//! A [`ChatRequest`] as the body of a `POST /v1/messages` to a provider.

use serde_json::{Map, Value, json};

use super::generation::Generation;
use super::reasoning::{self, Said};
use super::schema;
use super::turns::Conversation;
use crate::domain::feature::{Feature, FeatureSet};
use crate::wire::anthropic::json::bytes;
use crate::wire::chat::{ChatRequest, Format, Sampling, Tool, ToolChoice};
use crate::wire::error::Unsupported;
use crate::wire::meta::EncodeFor;
use crate::wire::tree;

/// The features of a [`ChatRequest`] that this protocol can say.
pub const EXPRESSIBLE: FeatureSet = FeatureSet::of(&[
    Feature::Tools,
    Feature::Images,
    Feature::ImageUrls,
    Feature::Documents,
    Feature::JsonSchema,
    Feature::ManyStops,
    Feature::Stops,
    Feature::Prefill,
]);

/// `max_tokens` where neither the client nor the catalogue knows a limit: Anthropic demands
/// one, and this is the most that every Claude since 3 takes.
const DEFAULT_MAX_TOKENS: u64 = 4_096;

/// The longest `metadata.user_id` Anthropic takes, in characters.
const LONGEST_USER_ID: usize = 256;

/// Writes the request for one model. Sampling parameters and the user's name are hints:
/// each is left out where the model, or the rest of the request, would have it refused.
///
/// # Errors
/// If the request needs what the protocol, or the model of that name, does not have.
pub fn encode_request(request: &ChatRequest, to: &EncodeFor<'_>) -> Result<Vec<u8>, Unsupported> {
    let generation = Generation::of(to.model);
    let mut conversation = Conversation::of(request, to.drop_unsupported)?;
    let unsupported = |feature, detail: &str| {
        if to.drop_unsupported { Ok(()) } else { Err(Unsupported { feature, detail: detail.to_owned() }) }
    };
    if conversation.ends_with_assistant() && !generation.prefill {
        unsupported(Feature::Prefill, "this model does not continue an assistant's message")?;
        conversation.drop_prefill();
    }
    let mut choice = &request.tool_choice;
    let mut forced = matches!(choice, ToolChoice::Required | ToolChoice::Named(_)) && !request.tools.is_empty();
    if forced && !generation.forced_tools {
        unsupported(Feature::Tools, "this model cannot be forced to call a tool")?;
        (choice, forced) = (&ToolChoice::Auto, false);
    }
    if request.format == Format::JsonObject {
        unsupported(Feature::JsonObject, "`response_format` is `json_object`; give a JSON schema")?;
    }
    let stops: Vec<&String> = request.stop.iter().filter(|stop| !stop.trim().is_empty()).collect();
    if stops.len() < request.stop.len() {
        unsupported(Feature::Stops, "a stop sequence of white space only")?;
    }

    let max_tokens = max_tokens(request.max_output_tokens, to.max_output_tokens);
    let said = reasoning::say(
        request.reasoning.as_ref(),
        &generation,
        max_tokens,
        forced || conversation.ends_with_assistant(),
        conversation.answers_unsealed_turn(),
    );

    let mut body = Map::new();
    let mut put = |name: &str, value: Value| _ = body.insert(name.to_owned(), value);
    put("model", json!(to.model));
    put("max_tokens", json!(max_tokens));
    if !conversation.system.is_empty() {
        put("system", json!(conversation.system.join("\n\n")));
    }
    put("messages", Value::Array(conversation.into_messages()));
    if !request.tools.is_empty() {
        put("tools", request.tools.iter().map(|it| tool(it, &generation)).collect());
        if let Some(choice) = tool_choice(choice, request.parallel_tool_calls) {
            put("tool_choice", choice);
        }
    }
    if !stops.is_empty() {
        put("stop_sequences", json!(stops));
    }
    for (name, value) in sampling(&request.sampling, &generation, &said) {
        put(name, value);
    }
    if let Some(config) = output_config(&request.format, said.effort) {
        put("output_config", config);
    }
    if let Some(thinking) = said.thinking {
        put("thinking", thinking);
    }
    if let Some(user) = request.user.as_deref().filter(|user| is_opaque(user)) {
        put("metadata", json!({"user_id": user}));
    }
    if request.stream {
        put("stream", json!(true));
    }
    let written = bytes(&body);
    tree::give_up(Value::Object(body));
    Ok(written)
}

/// The client's limit, but no more than the model can: Anthropic refuses more, although it
/// could make no difference.
fn max_tokens(wanted: Option<u64>, most: Option<u64>) -> u64 {
    match (wanted, most) {
        (Some(wanted), Some(most)) => wanted.min(most),
        (Some(wanted), None) => wanted,
        (None, Some(most)) => most,
        (None, None) => DEFAULT_MAX_TOKENS,
    }
}

fn tool(tool: &Tool, generation: &Generation) -> Value {
    // A strict tool's schema has the same limits as that of structured output.
    let strict = tool.strict == Some(true) && generation.strict_tools;
    let input = schema::input(&tool.parameters);
    let mut out = json!({"name": tool.name});
    if let Some(description) = &tool.description {
        out["description"] = json!(description);
    }
    out["input_schema"] = if strict { schema::closed(&input) } else { input };
    if strict {
        out["strict"] = json!(true);
    }
    out
}

fn tool_choice(choice: &ToolChoice, parallel: Option<bool>) -> Option<Value> {
    let mut out = match choice {
        ToolChoice::None => return Some(json!({"type": "none"})),
        ToolChoice::Auto if parallel != Some(false) => return None,
        ToolChoice::Auto => json!({"type": "auto"}),
        ToolChoice::Required => json!({"type": "any"}),
        ToolChoice::Named(name) => json!({"type": "tool", "name": name}),
    };
    if parallel == Some(false) {
        out["disable_parallel_tool_use"] = json!(true);
    }
    Some(out)
}

/// Models that think keep to a temperature of 1, to a `top_p` of 0.95 at least, and to no
/// `top_k`; and no model since 4.1 takes temperature and `top_p` together.
fn sampling(wish: &Sampling, generation: &Generation, said: &Said) -> Vec<(&'static str, Value)> {
    let mut out = Vec::new();
    if !generation.sampling {
        return out;
    }
    let temperature = wish.temperature.filter(|_| !said.on).map(|t| t.clamp(0.0, 1.0));
    let top_p = wish.top_p.filter(|p| (if said.on { 0.95 } else { 0.0 }..=1.0).contains(p));
    match (temperature, top_p) {
        (Some(temperature), _) => out.push(("temperature", json!(temperature))),
        (None, Some(top_p)) => out.push(("top_p", json!(top_p))),
        (None, None) => {}
    }
    if let Some(top_k) = wish.top_k.filter(|_| !said.on) {
        out.push(("top_k", json!(top_k)));
    }
    out
}

fn output_config(format: &Format, effort: Option<&str>) -> Option<Value> {
    let mut out = Map::new();
    if let Some(effort) = effort {
        out.insert("effort".to_owned(), json!(effort));
    }
    if let Format::JsonSchema { schema, .. } = format {
        out.insert("format".to_owned(), json!({"type": "json_schema", "schema": schema::closed(schema)}));
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// Whether a user's name may be sent: Anthropic refuses ids in which it sees an address or
/// a telephone number.
fn is_opaque(user: &str) -> bool {
    let dialled = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | ' ' | '(' | ')');
    let is_telephone = user.len() >= 7 && user.chars().all(dialled);
    !user.is_empty() && !user.contains('@') && !is_telephone && user.chars().count() <= LONGEST_USER_ID
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::provider::{OpenAiQuirks, OutputLimitField};
    use crate::wire::anthropic::request::decode_request;
    use crate::wire::chat::{Effort, Message, Part, Reasoning, Role};
    use proptest::prelude::*;

    fn to(model: &str) -> EncodeFor<'_> {
        let quirks =
            OpenAiQuirks { responses_api: false, stream_usage: true, output_limit: OutputLimitField::MaxTokens };
        EncodeFor { model, max_output_tokens: None, quirks, drop_unsupported: false }
    }

    fn asks() -> ChatRequest {
        let messages = vec![Message { role: Role::User, parts: vec![Part::Text("hi".into())] }];
        ChatRequest { messages, ..ChatRequest::default() }
    }

    fn written(request: &ChatRequest, model: &str) -> Value {
        serde_json::from_slice(&encode_request(request, &to(model)).unwrap()).unwrap()
    }

    fn function(strict: Option<bool>) -> Tool {
        Tool { name: "f".into(), description: None, parameters: json!({"properties": {}}), strict }
    }

    #[test]
    fn the_least_request() {
        assert_eq!(
            written(&asks(), "claude-sonnet-4-5"),
            json!({"model": "claude-sonnet-4-5", "max_tokens": 4096,
                "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]})
        );
    }

    #[test]
    fn a_limit_is_always_there_and_never_above_the_models() {
        let limit = |client, model| {
            let request = ChatRequest { max_output_tokens: client, ..asks() };
            let to = EncodeFor { max_output_tokens: model, ..to("m") };
            let body: Value = serde_json::from_slice(&encode_request(&request, &to).unwrap()).unwrap();
            body["max_tokens"].as_u64().unwrap()
        };
        assert_eq!(limit(Some(5), None), 5);
        assert_eq!(limit(None, Some(8192)), 8192);
        assert_eq!(limit(Some(100_000), Some(8192)), 8192);
        assert_eq!(limit(None, None), 4096);
    }

    #[test]
    fn tools_and_their_choice() {
        let request = ChatRequest {
            tools: vec![function(Some(true))],
            tool_choice: ToolChoice::Required,
            parallel_tool_calls: Some(false),
            ..asks()
        };
        let body = written(&request, "claude-sonnet-4-5");
        let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
        assert_eq!(body["tools"], json!([{"name": "f", "input_schema": schema, "strict": true}]));
        assert_eq!(body["tool_choice"], json!({"type": "any", "disable_parallel_tool_use": true}));
        assert_eq!(written(&request, "claude-opus-4-1")["tools"][0].get("strict"), None);
        let choice = |tool_choice| written(&ChatRequest { tool_choice, ..request.clone() }, "m")["tool_choice"].clone();
        assert_eq!(choice(ToolChoice::Named("f".into()))["name"], "f");
        assert_eq!(choice(ToolChoice::None), json!({"type": "none"}));
        assert_eq!(choice(ToolChoice::Auto), json!({"type": "auto", "disable_parallel_tool_use": true}));
    }

    #[test]
    fn a_forced_tool_wins_over_thinking() {
        let request = ChatRequest {
            tools: vec![function(None)],
            tool_choice: ToolChoice::Required,
            reasoning: Some(Reasoning { effort: Some(Effort::High), ..Reasoning::default() }),
            ..asks()
        };
        assert_eq!(written(&request, "claude-sonnet-4-5").get("thinking"), None);
        let refused = encode_request(&request, &to("claude-opus-5-5")).unwrap_err();
        assert_eq!(refused.feature, Feature::Tools);
        let dropped = EncodeFor { drop_unsupported: true, ..to("claude-opus-5-5") };
        let body: Value = serde_json::from_slice(&encode_request(&request, &dropped).unwrap()).unwrap();
        assert_eq!((body.get("tool_choice"), &body["thinking"]["type"]), (None, &json!("adaptive")));
    }

    #[test]
    fn sampling_is_clamped_or_left_out() {
        let sampling = Sampling { temperature: Some(1.7), top_p: Some(0.9), top_k: Some(5), ..Sampling::default() };
        let plain = ChatRequest { sampling, ..asks() };
        let body = written(&plain, "claude-sonnet-4-5");
        assert_eq!((&body["temperature"], body.get("top_p"), &body["top_k"]), (&json!(1.0), None, &json!(5)));
        let thinks = ChatRequest {
            reasoning: Some(Reasoning { budget_tokens: Some(2048), ..Reasoning::default() }),
            sampling: Sampling { top_p: Some(0.97), ..sampling },
            ..asks()
        };
        let body = written(&thinks, "claude-sonnet-4-5");
        assert_eq!((body.get("temperature"), &body["top_p"], body.get("top_k")), (None, &json!(0.97), None));
        let newer = written(&plain, "claude-opus-4-8");
        assert!(["temperature", "top_p", "top_k"].iter().all(|name| newer.get(name).is_none()));
    }

    #[test]
    fn structured_output() {
        let format = Format::JsonSchema {
            name: Some("n".into()),
            description: None,
            schema: json!({"type": "object", "properties": {}}),
            strict: None,
        };
        let body = written(&ChatRequest { format, ..asks() }, "claude-sonnet-4-5");
        assert_eq!(
            body["output_config"],
            json!({"format": {"type": "json_schema",
                "schema": {"type": "object", "properties": {}, "additionalProperties": false}}})
        );
        let any = ChatRequest { format: Format::JsonObject, ..asks() };
        assert_eq!(encode_request(&any, &to("m")).unwrap_err().feature, Feature::JsonObject);
        assert!(encode_request(&any, &EncodeFor { drop_unsupported: true, ..to("m") }).is_ok());
    }

    #[test]
    fn a_prefill_goes_to_models_that_continue_it() {
        let mut request = asks();
        request.messages.push(Message { role: Role::Assistant, parts: vec![Part::Text("{ ".into())] });
        assert_eq!(written(&request, "claude-sonnet-4-5")["messages"][1]["content"][0]["text"], "{");
        assert_eq!(encode_request(&request, &to("claude-opus-4-6")).unwrap_err().feature, Feature::Prefill);
    }

    #[test]
    fn users_are_named_only_by_opaque_ids() {
        let user =
            |user: &str| written(&ChatRequest { user: Some(user.into()), ..asks() }, "m").get("metadata").cloned();
        assert_eq!(user("u-1"), Some(json!({"user_id": "u-1"})));
        assert_eq!(user("a@b.c"), None);
        assert_eq!(user("+49 170 1234567"), None);
    }

    #[test]
    fn what_a_client_says_survives_translation() {
        let body = json!({
            "model": "claude-sonnet-4-5", "max_tokens": 9000, "system": "be brief",
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}},
                ]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"b": 1, "a": [2]}},
                    {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "ok"},
                    {"type": "tool_result", "tool_use_id": "t2", "content": "bad", "is_error": true},
                ]},
            ],
            "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}],
            "stop_sequences": ["END"],
            "thinking": {"type": "enabled", "budget_tokens": 2000},
            "metadata": {"user_id": "u"},
            "stream": true,
        });
        let request = decode_request(body.to_string().as_bytes()).unwrap();
        assert_eq!(written(&request, "claude-sonnet-4-5"), body);
    }

    fn any_part() -> impl Strategy<Value = Part> {
        prop_oneof![
            "[a-z ]{0,3}".prop_map(Part::Text),
            ("[a-z.]{0,3}", ".{0,5}").prop_map(|(id, arguments)| Part::ToolCall(crate::wire::chat::ToolCall {
                id,
                name: "f".into(),
                arguments,
                seal: None
            })),
            "[a-z.]{0,3}".prop_map(|call_id| Part::ToolResult(crate::wire::chat::ToolResult {
                call_id,
                parts: vec![],
                is_error: false
            })),
        ]
    }

    proptest! {
        #[test]
        fn any_conversation_alternates_from_the_user_on_and_says_something(
            said in prop::collection::vec((0..3usize, prop::collection::vec(any_part(), 0..3)), 0..6),
        ) {
            let roles = [Role::User, Role::Assistant, Role::System];
            let messages = said.into_iter().map(|(role, parts)| Message { role: roles[role], parts }).collect();
            let body = written(&ChatRequest { messages, ..ChatRequest::default() }, "claude-sonnet-4-5");
            let turns = body["messages"].as_array().unwrap();
            prop_assert!(!turns.is_empty());
            for (i, turn) in turns.iter().enumerate() {
                prop_assert_eq!(&turn["role"], ["user", "assistant"][i % 2]);
                prop_assert!(!turn["content"].as_array().unwrap().is_empty());
            }
        }
    }
}
