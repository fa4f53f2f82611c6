//! Which model does a form name? Audio and image uploads carry `model` as a part of a
//! `multipart/form-data` body (RFC 7578), which passes on with only that part changed.

use http::HeaderValue;
use memchr::memmem;

use crate::wire::error::BadRequest;
use crate::wire::peek::{Peek, estimate_tokens};

/// The boundary of a form, if the body is one.
pub fn boundary(content_type: &HeaderValue) -> Option<String> {
    let text = content_type.to_str().ok()?;
    let (kind, parameters) = text.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    // RFC 2046, section 5.1.1: 1 to 70 characters.
    (1..=70).contains(&value.len()).then_some(value)
}

/// Reads the `model` of a form; its span is that of the part's bytes, without quotes.
///
/// # Errors
/// If the form is not one, or has no or more than one `model`.
pub fn peek(body: &[u8], boundary: &str) -> Result<Peek, BadRequest> {
    let bad = |message: &str| BadRequest::at("model", message);
    let delimiter = format!("--{boundary}");
    let mut found: Option<std::ops::Range<usize>> = None;
    let mut starts = memmem::find_iter(body, &delimiter).map(|at| at + delimiter.len()).peekable();
    while let Some(start) = starts.next() {
        // The closing delimiter has two hyphens behind it.
        if body[start..].starts_with(b"--") {
            break;
        }
        let end = starts.peek().map(|next| next - delimiter.len()).ok_or_else(|| bad("the form has no end"))?;
        let part = &body[start..end];
        let Some(head_end) = memmem::find(part, b"\r\n\r\n") else { continue };
        if !names_model(&part[..head_end]) {
            continue;
        }
        let value = start + head_end + 4;
        let value_end = if part.ends_with(b"\r\n") { end - 2 } else { end };
        if value > value_end {
            return Err(bad("the part has no value"));
        }
        if found.replace(value..value_end).is_some() {
            return Err(bad("the form names it twice; send it once"));
        }
    }
    let span = found.ok_or_else(|| bad("the form has no such part"))?;
    let model = std::str::from_utf8(&body[span.clone()]).map_err(|_| bad("expected text"))?.to_owned();
    Ok(Peek { model, model_span: span, prompt_tokens: estimate_tokens(0), ..Peek::default() })
}

fn names_model(head: &[u8]) -> bool {
    String::from_utf8_lossy(head).lines().any(|line| {
        let Some((name, value)) = line.split_once(':') else { return false };
        name.trim().eq_ignore_ascii_case("content-disposition")
            && value.split(';').any(|parameter| matches!(parameter.trim(), "name=\"model\"" | "name=model"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nmodel=\0\r\n--xyz\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--xyz--\r\n";

    #[test]
    fn the_model_of_a_form_is_found() {
        let peek = peek(FORM.as_bytes(), "xyz").unwrap();
        assert_eq!(peek.model, "whisper");
        assert_eq!(&FORM[peek.model_span], "whisper");
    }

    #[test]
    fn forms_without_one_clear_model_are_refused() {
        for form in [
            "",
            "--xyz--",
            "--xyz\r\n\r\n--xyz--",
            &FORM.replace("name=\"model\"", "name=\"mode\""),
            &FORM.replace("name=\"file\"", "name=\"model\""),
            &FORM.replace("--xyz--", ""),
        ] {
            assert!(peek(form.as_bytes(), "xyz").is_err(), "{form:?}");
        }
    }

    #[test]
    fn boundaries_are_read_as_clients_write_them() {
        let read = |text: &str| boundary(&text.parse().unwrap());
        assert_eq!(read("multipart/form-data; boundary=xyz").as_deref(), Some("xyz"));
        assert_eq!(read("Multipart/Form-Data; charset=utf-8; BOUNDARY=\"x y\"").as_deref(), Some("x y"));
        assert_eq!(read("application/json"), None);
        assert_eq!(read("multipart/form-data; boundary="), None);
    }
}
