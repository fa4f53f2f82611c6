//! Which values do Gemini's protocol buffers not hold? Fields that they do not know, schemas
//! outside their dialect, data of two kinds in one part.
//!
//! Reads requests in the canonical spelling of [`super::names`].

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::check::known;
use super::{list, text};
use crate::simulate::refusal::Refusal;

/// What a tool may be; only functions have further fields that matter here.
const TOOL: &[&str] = &[
    "codeExecution",
    "computerUse",
    "fileSearch",
    "functionDeclarations",
    "googleMaps",
    "googleSearch",
    "googleSearchRetrieval",
    "mcpServers",
    "urlContext",
];
const FUNCTION: &[&str] =
    &["behavior", "description", "name", "parameters", "parametersJsonSchema", "response", "responseJsonSchema"];
/// Gemini's own dialect of JSON schema, for `parameters` and `responseSchema`.
const SCHEMA: &[&str] = &[
    "additionalProperties",
    "anyOf",
    "default",
    "defs",
    "description",
    "enum",
    "example",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "pattern",
    "properties",
    "propertyOrdering",
    "ref",
    "required",
    "title",
    "type",
];
/// The fields of a part that are its data; a part has one of them.
const DATA: [&str; 7] =
    ["text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"];

/// Checks tools, the choice among them, and what is asked about thoughts and schemas.
pub(super) fn check(body: &Value) -> Result<(), Refusal> {
    tools(body)?;
    let config = &body["generationConfig"];
    schema(&config["responseSchema"], "generation_config.response_schema")?;
    let thinking = &config["thinkingConfig"];
    let at = "generation_config.thinking_config";
    known(thinking, at, &["includeThoughts", "thinkingBudget", "thinkingLevel"])?;
    one_of(thinking, "thinkingLevel", &format!("{at}.thinking_level"), &["MINIMAL", "LOW", "MEDIUM", "HIGH"])
}

fn tools(body: &Value) -> Result<(), Refusal> {
    let mut names = Vec::new();
    for (t, tool) in list(body, "tools").enumerate() {
        known(tool, &format!("tools[{t}]"), TOOL)?;
        for (f, function) in list(tool, "functionDeclarations").enumerate() {
            let at = format!("tools[{t}].function_declarations[{f}]");
            known(function, &at, FUNCTION)?;
            let name = text(function, "name");
            if names.contains(&name) {
                return Err(Refusal::invalid(format!("Duplicate function declaration found: {name}")));
            }
            names.push(name);
            if function.get("parameters").is_some() && function.get("parametersJsonSchema").is_some() {
                return Err(Refusal::invalid(format!(
                    "* GenerateContentRequest.{at}: only one of parameters and parameters_json_schema may be set."
                )));
            }
            schema(&function["parameters"], &format!("{at}.parameters"))?;
        }
    }
    let at = "tool_config.function_calling_config";
    let calling = &body["toolConfig"]["functionCallingConfig"];
    known(calling, at, &["allowedFunctionNames", "mode", "streamFunctionCallArguments"])?;
    one_of(calling, "mode", &format!("{at}.mode"), &["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"])?;
    let mut allowed = list(calling, "allowedFunctionNames").filter_map(Value::as_str).peekable();
    if allowed.peek().is_some() && !matches!(text(calling, "mode"), "ANY" | "VALIDATED") {
        return Err(Refusal::invalid("Allowed function names may only be set when the function calling mode is ANY."));
    }
    match allowed.find(|name| !names.contains(name)) {
        Some(name) => Err(Refusal::invalid(format!("Allowed function name is not declared: {name}"))),
        None => Ok(()),
    }
}

/// Checks one part of a turn.
pub(super) fn part(part: &Value, at: &str) -> Result<(), Refusal> {
    let (call, response, blob) = (&part["functionCall"], &part["functionResponse"], &part["inlineData"]);
    known(call, &format!("{at}.function_call"), &["args", "id", "name"])?;
    known(
        response,
        &format!("{at}.function_response"),
        &["id", "name", "parts", "response", "scheduling", "willContinue"],
    )?;
    known(blob, &format!("{at}.inline_data"), &["data", "displayName", "mimeType"])?;
    if call.get("args").is_some_and(|args| !args.is_object()) {
        return Err(misfit(&format!("{at}.function_call.args"), &call["args"]));
    }
    if response.is_object() && !response["response"].is_object() {
        return Err(misfit(&format!("{at}.function_response.response"), &response["response"]));
    }
    if blob.is_object() && !decodes(text(blob, "data")) {
        return Err(Refusal::invalid(format!(
            "Invalid value at '{at}.inline_data.data' (TYPE_BYTES), Base64 decoding failed"
        )));
    }
    if blob.is_object() && text(blob, "mimeType").is_empty() {
        return Err(Refusal::invalid("Unable to process input: inline data without a MIME type."));
    }
    match DATA.iter().filter(|field| part.get(**field).is_some()).count() {
        // A signature may stand in a part of its own.
        0 if part.get("thoughtSignature").is_none() => Err(Refusal::invalid(format!(
            "* GenerateContentRequest.{at}.data: required oneof field 'data' must have one initialized field"
        ))),
        0 | 1 => Ok(()),
        _ => Err(Refusal::invalid(format!("Invalid value at '{at}' (oneof), oneof field 'data' is already set."))),
    }
}

fn misfit(at: &str, value: &Value) -> Refusal {
    Refusal::invalid(format!("Invalid value at '{at}' (type.googleapis.com/google.protobuf.Struct), {value}"))
}

/// Refuses an enum's value that it does not have. The API reads the names in either case.
fn one_of(value: &Value, field: &str, at: &str, names: &[&str]) -> Result<(), Refusal> {
    match value.get(field) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(name)) if names.iter().any(|known| known.eq_ignore_ascii_case(name)) => Ok(()),
        Some(other) => Err(Refusal::invalid(format!("Invalid value at '{at}' (TYPE_ENUM), {other}"))),
    }
}

/// Whether the text is base64 in either alphabet, padded or not: protocol buffers read them all.
pub(super) fn decodes(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    STANDARD_NO_PAD.decode(bare).is_ok() || URL_SAFE_NO_PAD.decode(bare).is_ok()
}

/// Refuses what Gemini's dialect of JSON schema lacks. The JSON reader bounds the depth.
fn schema(value: &Value, at: &str) -> Result<(), Refusal> {
    if value.is_null() {
        return Ok(());
    }
    known(value, at, SCHEMA)?;
    if value.get("type").is_some_and(|kind| !kind.is_string()) {
        return Err(Refusal::invalid(format!(
            "Invalid JSON payload received. Unknown name \"type\" at '{at}': Proto field is not repeating, cannot \
             start list."
        )));
    }
    for (index, (_, property)) in value["properties"].as_object().into_iter().flatten().enumerate() {
        schema(property, &format!("{at}.properties[{index}].value"))?;
    }
    for (index, option) in list(value, "anyOf").enumerate() {
        schema(option, &format!("{at}.any_of[{index}]"))?;
    }
    schema(&value["items"], &format!("{at}.items"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(result: Result<(), Refusal>) -> String {
        result.err().and_then(|refusal| refusal.message).unwrap_or_default()
    }

    fn of_parameters(schema: Value) -> String {
        words(check(&json!({"tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]})))
    }

    #[test]
    fn schemas_keep_to_the_dialect_wherever_they_nest() {
        let plain = json!({"type": "OBJECT", "properties": {"$ref": {"type": "string"}}, "required": ["$ref"]});
        assert_eq!(of_parameters(plain), "");
        let nested = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"const": 1}}}});
        let place = "\"const\" at 'tools[0].function_declarations[0].parameters.properties[0].value.items'";
        assert!(of_parameters(nested).contains(place));
        assert!(of_parameters(json!({"type": ["string", "null"]})).contains("not repeating"));
        assert!(of_parameters(json!({"anyOf": [{"$ref": "#/x"}]})).contains("any_of[0]"));
    }

    #[test]
    fn any_schema_passes_as_json_schema() {
        let function = json!({"name": "f", "parametersJsonSchema": {"$defs": {}, "oneOf": []}});
        let body = json!({"tools": [{"functionDeclarations": [function]}],
            "generationConfig": {"responseJsonSchema": {"$ref": "#"}}});
        assert_eq!(words(check(&body)), "");
    }

    #[test]
    fn the_choice_is_among_declared_functions() {
        let choice = |mode: &str, name: &str| {
            words(check(&json!({"tools": [{"functionDeclarations": [{"name": "f"}]}], "toolConfig":
                {"functionCallingConfig": {"mode": mode, "allowedFunctionNames": [name]}}})))
        };
        assert_eq!(choice("ANY", "f"), "");
        assert!(choice("ANY", "g").contains("not declared"));
        assert!(choice("AUTO", "f").contains("mode is ANY"));
        assert!(choice("REQUIRED", "f").contains("TYPE_ENUM"));
    }

    #[test]
    fn thought_levels_are_those_that_exist() {
        let level =
            |level: &str| words(check(&json!({"generationConfig": {"thinkingConfig": {"thinkingLevel": level}}})));
        assert_eq!(level("low"), "");
        assert!(level("xhigh").contains("thinking_level"));
    }

    #[test]
    fn a_part_holds_one_kind_of_data_and_structs_are_objects() {
        let of = |value: Value| words(part(&value, "p"));
        assert_eq!(of(json!({"text": "x", "thought": true})), "");
        assert_eq!(of(json!({"thoughtSignature": "eA=="})), "");
        assert!(
            of(json!({"text": "x", "inlineData": {"data": "eA", "mimeType": "image/png"}})).contains("already set")
        );
        assert!(of(json!({"thought": true})).contains("required oneof"));
        assert!(of(json!({"inlineData": {"data": "&", "mimeType": "image/png"}})).contains("Base64"));
        assert!(of(json!({"functionResponse": {"name": "f", "response": "sunny"}})).contains("Struct"));
        assert!(of(json!({"functionResponse": {"name": "f", "response": {}, "is_error": true}})).contains("is_error"));
        assert!(of(json!({"functionCall": {"name": "f", "args": "{}"}})).contains("Struct"));
    }
}
