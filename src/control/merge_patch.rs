//! How are some fields changed and all others left? A JSON merge patch (RFC 7396).

use serde_json::{Map, Value as Json};

/// Objects are merged, a null takes its field out, all else takes the place of what was there.
pub(super) fn merge(fields: &mut Map<String, Json>, patch: Map<String, Json>) {
    for (key, value) in patch {
        match (value, fields.get_mut(&key)) {
            (Json::Null, _) => {
                fields.remove(&key);
            }
            (Json::Object(patch), Some(Json::Object(fields))) => merge(fields, patch),
            (Json::Object(patch), _) => {
                let mut new = Map::new();
                merge(&mut new, patch);
                fields.insert(key, Json::Object(new));
            }
            (value, _) => {
                fields.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_that_of_the_rfc() {
        // Its own examples, those whose target is an object.
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ];
        for (target, patch, expected) in cases {
            let mut fields = target.as_object().unwrap().clone();
            merge(&mut fields, patch.as_object().unwrap().clone());
            assert_eq!(Json::Object(fields), expected, "{target} {patch}");
        }
    }
}
