//! The list of models as Anthropic's SDK reads it.

use serde_json::{Value, json};

use super::json::bytes;

/// Anthropic asks for the day of a model's release and takes the epoch for an unknown one.
const UNKNOWN_DAY: &str = "1970-01-01T00:00:00Z";

/// `GET /v1/models`, from ids and the names people see. All on one page.
pub fn encode_list(models: &[(String, String)]) -> Vec<u8> {
    let id = |entry: Option<&(String, String)>| entry.map(|(id, _)| id.clone());
    bytes(&json!({
        "data": models.iter().map(|(id, name)| model(id, name)).collect::<Vec<_>>(),
        "has_more": false,
        "first_id": id(models.first()),
        "last_id": id(models.last()),
    }))
}

/// `GET /v1/models/{id}`.
pub fn encode_one(id: &str, display_name: &str) -> Vec<u8> {
    bytes(&model(id, display_name))
}

fn model(id: &str, display_name: &str) -> Value {
    json!({
        "type": "model",
        "id": id,
        "display_name": display_name,
        "created_at": UNKNOWN_DAY,
        "lifecycle": "active",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_one_page() {
        let models = [("a".to_owned(), "A".to_owned()), ("b".to_owned(), "B".to_owned())];
        let list: Value = serde_json::from_slice(&encode_list(&models)).unwrap();
        assert_eq!((&list["first_id"], &list["last_id"], &list["has_more"]), (&json!("a"), &json!("b"), &json!(false)));
        assert_eq!(list["data"][1]["display_name"], "B");
        let empty: Value = serde_json::from_slice(&encode_list(&[])).unwrap();
        assert_eq!((&empty["data"], &empty["first_id"]), (&json!([]), &Value::Null));
    }
}
