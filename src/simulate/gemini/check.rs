//! What does the real API refuse? The checks of a request, in its own words.

use serde_json::Value;

use super::generate::SIGNATURE;
use super::{fields_check, list, text};
use crate::simulate::refusal::Refusal;

const TOP: &[&str] = &[
    "cachedContent",
    "contents",
    "generationConfig",
    "labels",
    "safetySettings",
    "serviceTier",
    "store",
    "systemInstruction",
    "toolConfig",
    "tools",
];
const CONFIG: &[&str] = &[
    "candidateCount",
    "enableEnhancedCivicAnswers",
    "frequencyPenalty",
    "imageConfig",
    "logprobs",
    "maxOutputTokens",
    "mediaResolution",
    "presencePenalty",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "seed",
    "speechConfig",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
];
const PART: &[&str] = &[
    "codeExecutionResult",
    "executableCode",
    "fileData",
    "functionCall",
    "functionResponse",
    "inlineData",
    "mediaResolution",
    "text",
    "thought",
    "thoughtSignature",
    "videoMetadata",
];
/// The value with which a history from elsewhere passes the check of signatures.
const BYPASS: [&str; 2] = ["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"];

/// Checks a request for content.
pub(super) fn check(model: &str, body: &Value) -> Result<(), Refusal> {
    known(body, "", TOP)?;
    let config = &body["generationConfig"];
    known(config, "generation_config", CONFIG)?;
    check_config(config)?;
    fields_check::check(body)?;
    for (t, tool) in list(body, "tools").enumerate() {
        for (f, function) in list(tool, "functionDeclarations").enumerate() {
            let name = text(function, "name");
            let fine = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
            let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !begins || name.len() > 128 || !name.chars().all(fine) {
                return Err(Refusal::invalid(format!(
                    "Invalid function name at tools[{t}].function_declarations[{f}].name: `{name}`. Must start with a \
                     letter or an underscore."
                )));
            }
        }
    }
    let contents: Vec<&Value> = list(body, "contents").collect();
    if contents.is_empty() {
        return Err(Refusal::invalid("* GenerateContentRequest.contents: contents is not specified"));
    }
    for (i, content) in contents.iter().enumerate() {
        if !matches!(text(content, "role"), "" | "user" | "model" | "function") {
            return Err(Refusal::invalid("Please use a valid role: user, model."));
        }
        if list(content, "parts").next().is_none() {
            return Err(Refusal::invalid(format!(
                "* GenerateContentRequest.contents[{i}].parts: contents.parts must not be empty."
            )));
        }
        for (p, part) in list(content, "parts").enumerate() {
            let at = format!("contents[{i}].parts[{p}]");
            known(part, &at, PART)?;
            fields_check::part(part, &at)?;
        }
    }
    check_turns(&contents)?;
    if generation(model).is_some_and(|generation| generation >= 3) { check_signatures(&contents) } else { Ok(()) }
}

/// Refuses fields that are not in the list; `at` is where the value stands.
pub(super) fn known(value: &Value, at: &str, fields: &[&str]) -> Result<(), Refusal> {
    for name in value.as_object().into_iter().flat_map(|object| object.keys()) {
        // Both spellings are accepted, as proto3's JSON mapping says.
        let camel = camel(name);
        if !fields.contains(&camel.as_str()) {
            let at = if at.is_empty() { String::new() } else { format!(" at '{at}'") };
            return Err(Refusal::invalid(format!(
                "Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field."
            )));
        }
    }
    Ok(())
}

fn camel(name: &str) -> String {
    let mut upper = false;
    name.chars().fold(String::with_capacity(name.len()), |mut out, c| {
        if c == '_' {
            upper = true;
        } else {
            out.push(if std::mem::take(&mut upper) { c.to_ascii_uppercase() } else { c });
        }
        out
    })
}

fn check_config(config: &Value) -> Result<(), Refusal> {
    let out_of = |field: &str, low: f64, high: f64| {
        config.get(field).and_then(Value::as_f64).is_some_and(|value| !(low..=high).contains(&value))
    };
    if out_of("temperature", 0.0, 2.0) {
        return Err(Refusal::invalid(
            "* GenerateContentRequest.generation_config.temperature: must be in the range [0.0, 2.0].",
        ));
    }
    if out_of("topP", 0.0, 1.0) {
        return Err(Refusal::invalid(
            "* GenerateContentRequest.generation_config.top_p: must be in the range [0.0, 1.0].",
        ));
    }
    if list(config, "stopSequences").count() > 5 {
        return Err(Refusal::invalid("* GenerateContentRequest.generation_config.stop_sequences: at most 5."));
    }
    if config["maxOutputTokens"].as_u64() == Some(0) {
        return Err(Refusal::invalid(
            "* GenerateContentRequest.generation_config.max_output_tokens: must be positive.",
        ));
    }
    let thinking = &config["thinkingConfig"];
    if thinking.get("thinkingLevel").is_some() && thinking.get("thinkingBudget").is_some() {
        return Err(Refusal::invalid("You can only set only one of thinking budget and thinking level."));
    }
    let schema = config.get("responseJsonSchema").is_some() || config.get("responseSchema").is_some();
    if schema && text(config, "responseMimeType") != "application/json" {
        return Err(Refusal::invalid("Response schema is set but the response mime type is not application/json."));
    }
    Ok(())
}

/// Calls and their responses: as many, by name, in the turn right after.
fn check_turns(contents: &[&Value]) -> Result<(), Refusal> {
    let names = |content: &Value, field: &str| -> Vec<String> {
        list(content, "parts").filter_map(|part| Some(part.get(field)?["name"].as_str()?.to_owned())).collect()
    };
    for (i, content) in contents.iter().enumerate() {
        let calls = names(content, "functionCall");
        let answered = contents.get(i + 1).map(|next| names(next, "functionResponse")).unwrap_or_default();
        let next_exists = i + 1 < contents.len();
        if !calls.is_empty() && next_exists && calls.len() != answered.len() {
            return Err(Refusal::invalid(
                "Please ensure that the number of function response parts is equal to the number of function call \
                 parts of the function call turn.",
            ));
        }
        let before = i.checked_sub(1).map(|i| names(contents[i], "functionCall")).unwrap_or_default();
        let here = names(content, "functionResponse");
        if !here.is_empty() && before.is_empty() {
            return Err(Refusal::invalid(
                "Please ensure that function response turn comes immediately after a function call turn.",
            ));
        }
        if here.iter().any(|name| !before.contains(name)) {
            return Err(Refusal::invalid("Function response name does not match any function call name."));
        }
    }
    Ok(())
}

/// The major version in a model's name, `gemini-3-pro` → 3.
fn generation(model: &str) -> Option<u32> {
    let rest = model.strip_prefix("gemini-")?;
    rest.split(['-', '.']).next()?.parse().ok()
}

/// Calls of the current turn need the signature they came with, on the first of each batch.
fn check_signatures(contents: &[&Value]) -> Result<(), Refusal> {
    let asks = |content: &Value| {
        text(content, "role") == "user" && list(content, "parts").all(|part| part.get("functionResponse").is_none())
    };
    let current = contents.iter().rposition(|content| asks(content)).unwrap_or(0);
    for (i, content) in contents.iter().enumerate().skip(current) {
        let first = list(content, "parts").find(|part| part.get("functionCall").is_some());
        let Some(call) = first else { continue };
        let signature = text(call, "thoughtSignature");
        if signature.is_empty() {
            let name = text(&call["functionCall"], "name");
            return Err(Refusal::invalid(format!(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to \
                 work correctly. Additional data, function call `default_api:{name}`, position {i}."
            )));
        }
        if signature != SIGNATURE && !BYPASS.contains(&signature) {
            return Err(Refusal::invalid("Corrupted thought signature."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(model: &str, body: Value) -> String {
        check(model, &body).err().and_then(|refusal| refusal.message).unwrap_or_default()
    }

    #[test]
    fn a_plain_request_passes_in_either_spelling() {
        let body =
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generation_config": {"topP": 0.5}});
        assert_eq!(words("gemini-3-pro", body), "");
    }

    #[test]
    fn unknown_names_are_refused_with_their_place() {
        let body = json!({"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"max_tokens": 5}});
        assert!(words("m", body).contains("\"max_tokens\" at 'generation_config'"));
    }

    #[test]
    fn calls_need_their_responses_and_on_new_models_their_signature() {
        let turns = |signature: Value, name: &str| {
            json!({"contents": [
                {"role": "user", "parts": [{"text": "hi"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": signature}]},
                {"role": "user", "parts": [{"functionResponse": {"name": name, "response": {}}}]},
            ]})
        };
        assert_eq!(words("gemini-3-pro", turns(SIGNATURE.into(), "f")), "");
        assert_eq!(words("gemini-3-pro", turns(BYPASS[0].into(), "f")), "");
        assert!(words("gemini-3-pro", turns("other".into(), "f")).contains("Corrupted"));
        assert!(words("gemini-3-pro", turns(Value::Null, "f")).contains("missing a thought_signature"));
        assert_eq!(words("gemini-2.5-pro", turns(Value::Null, "f")), "");
        assert!(words("gemini-2.5-pro", turns(Value::Null, "g")).contains("does not match"));
    }
}
