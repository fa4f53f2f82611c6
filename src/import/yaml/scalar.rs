//! Is that a word, a number or a text? As PyYAML decides, which follows YAML 1.1.

use super::Value;

/// What a scalar without quotes says. Dates, times and numbers to the base sixty stay texts:
/// no configuration has a use for them, and `2024-10-21` is the version of an interface.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => integer(text)
            .map(Value::Integer)
            .or_else(|| float(text).map(Value::Float))
            .unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

/// `12`, `-1_000`, `0x1f`, `0b11` and `017`. One that does not fit is left to [`float`].
pub(super) fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        [b'0'..=b'9', ..] => (10, digits),
        _ => return None,
    };
    if !digits.bytes().all(|byte| byte == b'_' || char::from(byte).is_digit(radix)) {
        return None;
    }
    let magnitude = i64::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    Some(sign * magnitude)
}

/// `1.5`, `.5`, `1.0e+3` and `.inf`, and whole numbers that are too large for [`integer`].
pub(super) fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let begins = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let plausible = unsigned.bytes().all(|b| b.is_ascii_digit() || b"._eE+-".contains(&b));
    let whole = unsigned.bytes().all(|b| b.is_ascii_digit()) && !unsigned.starts_with('0');
    if !begins || !plausible || !(whole || unsigned.contains('.')) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_yaml_1_1() {
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("NULL", Value::Null),
            ("Yes", Value::Bool(true)),
            ("off", Value::Bool(false)),
            ("True", Value::Bool(true)),
            ("y", Value::Text("y".into())),
        ] {
            assert_eq!(plain(text), value, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_those_of_pyyaml() {
        for (text, value) in [
            ("0", Value::Integer(0)),
            ("-12", Value::Integer(-12)),
            ("1_000", Value::Integer(1000)),
            ("010", Value::Integer(8)),
            ("0x1F", Value::Integer(31)),
            ("0b11", Value::Integer(3)),
            ("1.5", Value::Float(1.5)),
            (".5", Value::Float(0.5)),
            ("1.0e-3", Value::Float(0.001)),
            ("99999999999999999999", Value::Float(1e20)),
        ] {
            assert_eq!(plain(text), value, "{text:?}");
        }
    }

    #[test]
    fn what_only_resembles_a_number_is_a_text() {
        for text in ["1e-6", "2024-10-21", "1.2.3", "08", "0x", "-", "+", ".", "1:30", "e5", "gpt-4", "_1", "0_"] {
            let number = matches!(plain(text), Value::Integer(_) | Value::Float(_));
            assert!(!number || text == "0_", "{text:?} is {:?}", plain(text));
        }
    }
}
