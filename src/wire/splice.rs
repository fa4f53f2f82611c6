//! Changing a few top-level fields of a JSON body without rebuilding the rest.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value};

use super::error::BadRequest;
use super::peek::{TopLevel, span_in};

/// From so many bytes on, it is cheaper to send a body in pieces than to copy it.
const LONG: usize = 8 * 1024;

/// A body in pieces, to be sent one after the other; some may be empty.
pub type Pieces = [Bytes; 3];

/// Puts another model's name where `model_span` stands.
pub fn replace_model(body: &Bytes, model_span: &Range<usize>, model: &str) -> Pieces {
    replace_span(body, model_span, &quoted(model))
}

/// Puts other bytes where `span` stands; the body itself where they are the same.
pub fn replace_span(body: &Bytes, span: &Range<usize>, with: &[u8]) -> Pieces {
    if body.get(span.clone()) == Some(with) {
        return [body.clone(), Bytes::new(), Bytes::new()];
    }
    pieces(body, b"", 0, span, with)
}

/// As [`replace_model`], and puts one more field (`"name":value`, which the body must not
/// have yet) at the head of the object.
pub fn replace_model_and_add(body: &Bytes, model_span: &Range<usize>, model: &str, field: &[u8]) -> Pieces {
    // Unwrap-free: a body whose model was found is an object, so its brace comes first.
    let Some(brace) = memchr::memchr(b'{', body) else { return [body.clone(), Bytes::new(), Bytes::new()] };
    let front = [&body[..=brace], field, b","].concat();
    pieces(body, &front, brace + 1, model_span, &quoted(model))
}

/// `front`, then the body from `from` on with `with` where `span` stands. What is long of it is
/// not copied.
fn pieces(body: &Bytes, front: &[u8], from: usize, span: &Range<usize>, with: &[u8]) -> Pieces {
    let (head, tail) = (from..span.start, span.end..body.len());
    let join = |parts: &[&[u8]]| Bytes::from(parts.concat());
    match (head.len() >= LONG, tail.len() >= LONG) {
        (false, false) => [join(&[front, &body[head], with, &body[tail]]), Bytes::new(), Bytes::new()],
        (true, false) => [Bytes::copy_from_slice(front), body.slice(head), join(&[with, &body[tail]])],
        (true, true) if front.is_empty() => [body.slice(head), Bytes::copy_from_slice(with), body.slice(tail)],
        (_, true) => [join(&[front, &body[head], with]), body.slice(tail), Bytes::new()],
    }
}

fn quoted(text: &str) -> Vec<u8> {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        return ["\"", text, "\""].concat().into_bytes();
    }
    Value::String(text.to_owned()).to_string().into_bytes()
}

/// Where the value of `model` stands in a body.
///
/// # Errors
/// If the body is not a JSON object with a `model`.
pub fn model_span(body: &[u8]) -> Result<Range<usize>, BadRequest> {
    TopLevel::parse(body)?
        .get("model")
        .and_then(|raw| span_in(body, raw.get()))
        .ok_or_else(|| BadRequest::at("model", "the field is missing"))
}

/// Merges `patch` into the top level of a JSON object by RFC 7396: objects merge, `null`
/// removes, anything else replaces. Fields that the patch does not name keep their bytes.
///
/// # Errors
/// If the body is not a JSON object.
pub fn merge(body: &[u8], patch: &Map<String, Value>) -> Result<Bytes, BadRequest> {
    let top = TopLevel::parse(body)?;
    let mut out = BytesMut::with_capacity(body.len() + 64);
    out.put_u8(b'{');
    let mut first = true;
    let mut put = |name: &str, value: &[u8]| {
        if !std::mem::take(&mut first) {
            out.put_u8(b',');
        }
        out.put_slice(Value::String(name.to_owned()).to_string().as_bytes());
        out.put_u8(b':');
        out.put_slice(value);
    };
    for (name, raw) in &top.fields {
        match patch.get(name.as_ref()) {
            None => put(name, span_in(body, raw.get()).map_or(raw.get().as_bytes(), |span| &body[span])),
            Some(Value::Null) => {}
            Some(change) => {
                // JSON knows numbers that a tree cannot hold. Where one stands in a field that
                // is only replaced it does not matter; within one that is merged it would be lost.
                let mut value = match (change, serde_json::from_str(raw.get())) {
                    (_, Ok(value)) => value,
                    (Value::Object(_), Err(error)) => return Err(BadRequest::at(name.as_ref(), error.to_string())),
                    (_, Err(_)) => Value::Null,
                };
                merge_value(&mut value, change);
                put(name, value.to_string().as_bytes());
            }
        }
    }
    for (name, change) in patch {
        if !change.is_null() && !top.fields.iter().any(|(n, _)| n == name) {
            let mut value = Value::Null;
            merge_value(&mut value, change);
            put(name, value.to_string().as_bytes());
        }
    }
    out.put_u8(b'}');
    Ok(out.freeze())
}

/// RFC 7396, section 2.
fn merge_value(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in patch {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge_value(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn merged(body: &str, patch: Value) -> String {
        let Value::Object(patch) = patch else { panic!("a patch is an object") };
        String::from_utf8(merge(body.as_bytes(), &patch).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn only_the_name_of_the_model_changes() {
        let body = Bytes::from_static(br#"{ "x" : [1, 2],"model":"chat" , "y":1.50 }"#);
        let out = replace_model(&body, &(23..29), "a\"b").concat();
        assert_eq!(out, br#"{ "x" : [1, 2],"model":"a\"b" , "y":1.50 }"#.as_slice());
        assert_eq!(replace_model(&body, &(23..29), "chat")[0].as_ptr(), body.as_ptr());
    }

    #[test]
    fn a_field_is_added_without_touching_the_others() {
        let body = Bytes::from_static(br#" {"x":1, "model":"chat"}"#);
        let span = model_span(&body).unwrap();
        let out = replace_model_and_add(&body, &span, "m", br#""y":2"#).concat();
        assert_eq!(out, br#" {"y":2,"x":1, "model":"m"}"#.as_slice());
    }

    #[test]
    fn what_is_long_is_not_copied_wherever_the_model_stands() {
        let text = "x".repeat(LONG);
        for (before, after) in [(true, true), (true, false), (false, true), (false, false)] {
            let part =
                |long: bool, name: &str| if long { format!("\"{name}\":\"{text}\"") } else { format!("\"{name}\":1") };
            let body = Bytes::from(format!("{{{},\"model\":\"a\",{}}}", part(before, "b"), part(after, "c")));
            let span = model_span(&body).unwrap();
            let shared = |pieces: &Pieces| {
                let within = body.as_ptr_range();
                pieces.iter().filter(|piece| !piece.is_empty() && within.contains(&piece.as_ptr())).count()
            };
            let replaced = replace_model(&body, &span, "other");
            assert_eq!(shared(&replaced), usize::from(before) + usize::from(after));
            let expected = format!("{{{},\"model\":\"other\",{}}}", part(before, "b"), part(after, "c"));
            assert_eq!(replaced.concat(), expected.as_bytes());
            let added = replace_model_and_add(&body, &span, "other", b"\"y\":2").concat();
            assert_eq!(added, expected.replacen('{', "{\"y\":2,", 1).as_bytes());
        }
    }

    #[test]
    fn untouched_fields_keep_their_bytes() {
        assert_eq!(
            merged(
                r#"{"a": 1.50, "b": {"c":1,"d":2}, "e": 1}"#,
                json!({"b": {"c": null, "x": 3}, "e": null, "f": {"g": null, "h": 1}})
            ),
            r#"{"a":1.50,"b":{"d":2,"x":3},"f":{"h":1}}"#
        );
        assert_eq!(merged("{}", json!({"a": 1})), r#"{"a":1}"#);
    }

    #[test]
    fn a_number_that_no_tree_can_hold_is_kept_or_refused_and_never_lost() {
        assert_eq!(merged(r#"{"x":1e999,"y":1e999}"#, json!({"y": 2})), r#"{"x":1e999,"y":2}"#);
        let Value::Object(patch) = json!({"c": {"d": 1}}) else { unreachable!() };
        assert_eq!(merge(br#"{"c":{"x":1e999}}"#, &patch).unwrap_err().path, "c");
    }

    proptest! {
        #[test]
        fn merging_equals_the_same_merge_on_a_tree(
            body in prop::collection::btree_map("[a-e]", 0i32..9, 0..5),
            patch in prop::collection::btree_map("[a-e]", prop::option::of(0i32..9), 0..5),
        ) {
            let Value::Object(patch) = json!(patch) else { unreachable!() };
            let body = json!(body);
            let mut expected = body.clone();
            merge_value(&mut expected, &Value::Object(patch.clone()));
            let got: Value = serde_json::from_slice(&merge(body.to_string().as_bytes(), &patch).unwrap()).unwrap();
            prop_assert_eq!(got, expected);
        }
    }
}
