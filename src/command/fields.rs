//! What do `--set` and `--unset` say? Fields of a document, by paths and values as TOML
//! writes them, as a merge patch (RFC 7396).

use std::str::FromStr;

use clap::Args;
use serde_json::{Map, Number, Value as Json};
use toml::Value as Toml;

/// Fields that are named on the line.
#[derive(Clone, Debug, Default, Args)]
pub struct Fields {
    /// Set a field: `max_attempts=2`, `fallback.any_error=true`, `deadline=2m`. The value is
    /// one of TOML, and text where it is none.
    #[arg(long, value_name = "FIELD=VALUE")]
    pub set: Vec<Assignment>,
    /// Take a field out, so that its default holds.
    #[arg(long, value_name = "FIELD")]
    pub unset: Vec<FieldPath>,
}

/// Where a field is: `a.b` is field `b` of the table `a`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldPath(Vec<String>);

/// A field and what it becomes.
#[derive(Clone, PartialEq, Debug)]
pub struct Assignment {
    path: FieldPath,
    value: Json,
}

impl Fields {
    /// Puts them into a patch, or into a document of which nothing has to be taken out.
    pub fn put_into(&self, fields: &mut Map<String, Json>) {
        for Assignment { path, value } in &self.set {
            put(fields, &path.0, value.clone());
        }
        for FieldPath(path) in &self.unset {
            put(fields, path, Json::Null);
        }
    }
}

fn put(fields: &mut Map<String, Json>, path: &[String], value: Json) {
    match path {
        [] => {}
        [last] => {
            fields.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let table = fields.entry(first.clone()).or_insert_with(|| Json::Object(Map::new()));
            if !table.is_object() {
                *table = Json::Object(Map::new());
            }
            if let Json::Object(table) = table {
                put(table, rest, value);
            }
        }
    }
}

/// Takes the nulls of a patch out, so that it is a document.
pub fn without_nulls(fields: Map<String, Json>) -> Map<String, Json> {
    let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
    let inner = |value| match value {
        Json::Object(fields) => Json::Object(without_nulls(fields)),
        value => value,
    };
    kept.map(|(key, value)| (key, inner(value))).collect()
}

impl FromStr for FieldPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || match text.contains('[') {
            true => format!("{text:?} names an element of a list, which cannot be set by itself"),
            false => format!("{text:?} is not the name of a field such as max_attempts or fallback.any_error"),
        };
        // A line of its own would be another field.
        if text.contains(['\n', '\r', '=', '#', '[']) {
            return Err(wrong());
        }
        let mut table: toml::Table = toml::from_str(&format!("{text} = 0")).map_err(|_| wrong())?;
        let mut path = Vec::new();
        loop {
            match table.into_iter().next() {
                Some((key, Toml::Table(inner))) => {
                    path.push(key);
                    table = inner;
                }
                Some((key, _)) => {
                    path.push(key);
                    return Ok(Self(path));
                }
                None => return Err(wrong()),
            }
        }
    }
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, value) =
            text.split_once('=').ok_or_else(|| format!("{text:?} has no \"=\"; expected FIELD=VALUE"))?;
        Ok(Self { path: path.trim().parse()?, value: value_of(value) })
    }
}

/// A value of TOML; text if it is none, or none that JSON has.
fn value_of(text: &str) -> Json {
    text.trim().parse::<Toml>().ok().and_then(to_json).unwrap_or_else(|| Json::from(text))
}

/// A value of TOML in JSON, which has neither infinities nor dates: the ones are nothing,
/// the others text.
pub fn to_json(value: Toml) -> Option<Json> {
    Some(match value {
        Toml::String(text) => Json::String(text),
        Toml::Integer(value) => Json::from(value),
        Toml::Float(value) => Json::Number(Number::from_f64(value)?),
        Toml::Boolean(value) => Json::Bool(value),
        Toml::Datetime(value) => Json::String(value.to_string()),
        Toml::Array(values) => values.into_iter().map(to_json).collect::<Option<_>>()?,
        Toml::Table(fields) => Json::Object(table_to_json(fields)?),
    })
}

/// A table of TOML in JSON.
pub fn table_to_json(fields: toml::Table) -> Option<Map<String, Json>> {
    fields.into_iter().map(|(key, value)| Some((key, to_json(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn patch(set: &[&str], unset: &[&str]) -> Json {
        let fields = Fields {
            set: set.iter().map(|text| text.parse().unwrap()).collect(),
            unset: unset.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let mut patch = Map::new();
        fields.put_into(&mut patch);
        patch.into()
    }

    #[test]
    fn values_are_those_of_toml_or_text() {
        let set =
            ["a=4", "b=true", "c=0.5", "d=2m", "e=$5/day", "f=\"4\"", "g=[1, \"x\"]", "h={ i = 1 }", "j=", "k=x=y"];
        let expected = json!({
            "a": 4, "b": true, "c": 0.5, "d": "2m", "e": "$5/day", "f": "4", "g": [1, "x"], "h": {"i": 1}, "j": "", "k": "x=y"
        });
        assert_eq!(patch(&set, &[]), expected);
        assert_eq!(
            patch(&["a=2027-01-31", "b=nan", "c=1\nd=2"], &[]),
            json!({"a": "2027-01-31", "b": "nan", "c": "1\nd=2"})
        );
    }

    #[test]
    fn paths_lead_into_tables() {
        let set = ["fallback.any_error=true", "headers.\"x.team\"=a", "fallback.content_policy=false"];
        let expected = json!({
            "fallback": {"any_error": true, "content_policy": false}, "headers": {"x.team": "a"}, "max_price": {"input": null}, "deadline": null
        });
        assert_eq!(patch(&set, &["max_price.input", "deadline"]), expected);
        assert_eq!(patch(&["a=1", "a.b=2"], &[]), json!({"a": {"b": 2}}), "the last one wins");
    }

    #[test]
    fn what_is_no_field_is_said() {
        let error = |text: &str| text.parse::<Assignment>().unwrap_err();
        assert!(error("deadline").contains("FIELD=VALUE"));
        assert!(error("targets[0].weight=1").contains("element of a list"));
        assert!(error("=1").contains("not the name of a field") && error("a b=1").contains("not the name"));
    }

    #[test]
    fn a_patch_without_nulls_is_a_document() {
        let Json::Object(fields) = json!({"a": null, "b": {"c": null, "d": 1}}) else { panic!() };
        assert_eq!(Json::from(without_nulls(fields)), json!({"b": {"d": 1}}));
    }

    proptest! {
        #[test]
        fn any_line_is_answered(text in ".{0,30}", like in "[a-c.\"\\[\\]{}=# \n0-9-]{0,20}") {
            let _ = (text.parse::<Assignment>(), like.parse::<Assignment>(), like.parse::<FieldPath>());
        }
    }
}
