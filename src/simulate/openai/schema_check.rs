//! Which JSON schemas does OpenAI accept in strict mode? Objects closed, every property required.

use serde_json::Value;

use crate::simulate::refusal::Refusal;

/// Refuses a schema that strict mode does not accept. `what` is `response_format 'name'` or
/// `function 'name'`.
pub(super) fn strict(schema: &Value, what: &str, param: &str) -> Result<(), Refusal> {
    if schema.get("type").and_then(Value::as_str) != Some("object") && schema.get("$ref").is_none() {
        return Err(refuse(what, param, &[], "schema must be a JSON Schema of 'type: \"object\"'"));
    }
    closed(schema, what, param, &mut Vec::new())
}

fn refuse(what: &str, param: &str, context: &[&str], problem: &str) -> Refusal {
    let mut place = context.iter().map(|step| format!("'{step}'")).collect::<Vec<_>>().join(", ");
    if context.len() == 1 {
        place.push(',');
    }
    let message = format!("Invalid schema for {what}: In context=({place}), {problem}.");
    Refusal::invalid(message).param(param).code(if param == "tools" {
        "invalid_function_parameters"
    } else {
        "invalid_json_schema"
    })
}

fn closed<'a>(schema: &'a Value, what: &str, param: &str, context: &mut Vec<&'a str>) -> Result<(), Refusal> {
    let Value::Object(fields) = schema else { return Ok(()) };
    if let Some(properties) = fields.get("properties").and_then(Value::as_object) {
        if fields.get("additionalProperties") != Some(&Value::Bool(false)) {
            let problem = "'additionalProperties' is required to be supplied and to be false";
            return Err(refuse(what, param, context, problem));
        }
        let required = fields.get("required").and_then(Value::as_array);
        let missing = properties.keys().find(|key| !required.is_some_and(|r| r.iter().any(|r| r == key.as_str())));
        if let Some(missing) = missing {
            let problem = format!(
                "'required' is required to be supplied and to be an array including every key in properties. Missing \
                 '{missing}'"
            );
            return Err(refuse(what, param, context, &problem));
        }
    }
    for key in ["allOf", "not", "dependentRequired", "dependentSchemas", "if", "oneOf"] {
        if fields.contains_key(key) {
            return Err(refuse(what, param, context, &format!("'{key}' is not permitted")));
        }
    }
    // The depth is bounded: the JSON reader refuses documents nested more than 128 deep.
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(children)) => {
                for (name, child) in children {
                    context.extend([key.as_str(), name.as_str()]);
                    closed(child, what, param, context)?;
                    context.truncate(context.len() - 2);
                }
            }
            ("items", child) => {
                context.push(key);
                closed(child, what, param, context)?;
                context.pop();
            }
            ("anyOf", Value::Array(children)) => {
                context.push(key);
                for child in children {
                    closed(child, what, param, context)?;
                }
                context.pop();
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(schema: &Value) -> String {
        strict(schema, "response_format 'x'", "response_format").err().and_then(|r| r.message).unwrap_or_default()
    }

    #[test]
    fn strict_schemas_are_closed_and_require_everything() {
        let closed = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object",
            "properties": {}, "additionalProperties": false, "required": []}}}, "required": ["a"],
            "additionalProperties": false});
        assert_eq!(problem(&closed), "");
        let mut open = closed.clone();
        open["properties"]["a"]["items"]["additionalProperties"] = json!(true);
        assert!(problem(&open).contains("('properties', 'a', 'items'), 'additionalProperties'"), "{}", problem(&open));
        let mut optional = closed.clone();
        optional["required"] = json!([]);
        assert!(problem(&optional).contains("context=(), 'required'") && problem(&optional).contains("Missing 'a'"));
        assert!(problem(&json!({"type": "array"})).contains("type: \"object\""));
    }
}
