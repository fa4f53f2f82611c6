//! How may a field be spelled? As in every API of Google's: `inlineData` or `inline_data`. The
//! documentation has the first, the Python SDK sends some of both.

use serde_json::{Map, Value};

/// Fields whose contents are the client's own: schemas, arguments and results of tools.
const OPAQUE: [&str; 7] =
    ["args", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "responseSchema", "labels"];

/// The request with every field spelled as in the documentation.
pub(super) fn canonical(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.into_iter().map(field).collect::<Map<_, _>>()),
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        other => other,
    }
}

fn field((name, value): (String, Value)) -> (String, Value) {
    let name = camel_case(&name);
    let value = if OPAQUE.contains(&name.as_str()) { value } else { canonical(value) };
    (name, value)
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_have_two_spellings_and_what_is_the_clients_own_has_one() {
        let sent = json!({"system_instruction": {"parts": [{"inline_data": {"mime_type": "image/png"}}]},
            "tools": [{"functionDeclarations": [{"parameters_json_schema": {"my_field": {}}}]}],
            "contents": [{"parts": [{"function_call": {"name": "f_g", "args": {"a_b": 1}}}]}]});
        let read = json!({"systemInstruction": {"parts": [{"inlineData": {"mimeType": "image/png"}}]},
            "tools": [{"functionDeclarations": [{"parametersJsonSchema": {"my_field": {}}}]}],
            "contents": [{"parts": [{"functionCall": {"name": "f_g", "args": {"a_b": 1}}}]}]});
        assert_eq!(canonical(sent), read);
        assert_eq!(canonical(read.clone()), read);
    }
}
