//! How is a value read that carries a tag? Those of YAML itself change how a scalar is read; all
//! others are of programs, and have no meaning here.

use saphyr_parser::{ScalarStyle, Tag};

use super::{Value, YamlError, scalar, wrong};
use crate::config::Place;

/// What the tags of YAML itself begin with.
const CORE: &str = "tag:yaml.org,2002:";

/// What a scalar says.
pub(super) fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Place) -> Result<Value, YamlError> {
    let suffix = match tag {
        None if style == ScalarStyle::Plain => return Ok(scalar::plain(text)),
        None => return Ok(Value::Text(text.to_owned())),
        // A lone `!` says that it is a text.
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => "str",
        Some(tag) if tag.handle == CORE => tag.suffix.as_str(),
        Some(tag) => return Err(unknown_tag(tag, at)),
    };
    let value = match suffix {
        "str" => Some(Value::Text(text.to_owned())),
        "int" => scalar::integer(text).map(Value::Integer),
        "float" => scalar::float(text).or(scalar::integer(text).map(|number| number as f64)).map(Value::Float),
        "bool" => Some(scalar::plain(text)).filter(|value| matches!(value, Value::Bool(_))),
        "null" => Some(Value::Null),
        _ => return Err(wrong(at, format!("a value with the tag !!{suffix} has no use in a configuration"))),
    };
    value.ok_or_else(|| wrong(at, format!("is no !!{suffix}")))
}

/// Refuses a list or a map with a tag, unless it says what it is anyway.
pub(super) fn collection_tag(tag: Option<&Tag>, usual: &str, at: Place) -> Result<(), YamlError> {
    match tag {
        Some(tag) if tag.handle != CORE || tag.suffix != usual => Err(unknown_tag(tag, at)),
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, at: Place) -> YamlError {
    let prefix = if tag.handle == CORE { "!!" } else { &tag.handle };
    wrong(at, format!("the tag {prefix}{} has no meaning here", tag.suffix))
}
