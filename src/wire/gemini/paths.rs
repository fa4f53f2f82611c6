//! Where in the API a request goes: the path under the base URL for a model and an operation.
//!
//! A bare model id stands under `models/`. A resource name that says its collection itself
//! (`tunedModels/x`, `publishers/google/models/x`) is taken as it is, the way Google's own
//! clients read it.

use std::borrow::Cow;

/// What is asked of a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// A whole answer.
    Generate,
    /// An answer as server-sent events.
    Stream,
    /// How many tokens a prompt has.
    CountTokens,
    /// Vectors for several texts.
    BatchEmbed,
}

impl Operation {
    /// The method after the model's name, with its query.
    fn method(self) -> &'static str {
        match self {
            Self::Generate => "generateContent",
            // Without `alt=sse` the API sends one JSON array, piece by piece.
            Self::Stream => "streamGenerateContent?alt=sse",
            Self::CountTokens => "countTokens",
            Self::BatchEmbed => "batchEmbedContents",
        }
    }
}

/// Collections that a resource name may begin with.
const COLLECTIONS: [&str; 4] = ["models/", "tunedModels/", "publishers/", "projects/"];

/// The path with its query, relative to the base URL, slash first:
/// `/models/gemini-3-pro-preview:generateContent`.
pub fn path(model: &str, operation: Operation) -> String {
    let mut path = String::from("/");
    for byte in resource(model).bytes() {
        match byte {
            // What RFC 3986 lets stand in a path unreserved, and the slash of resource names.
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => path.push(char::from(byte)),
            _ => {
                const HEX: [char; 16] =
                    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
                path.push('%');
                path.push(HEX[usize::from(byte >> 4)]);
                path.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    path.push(':');
    path.push_str(operation.method());
    path
}

/// The model's full resource name, as bodies that name it want it.
pub(super) fn resource(model: &str) -> Cow<'_, str> {
    if COLLECTIONS.iter().any(|collection| model.starts_with(collection)) {
        Cow::Borrowed(model)
    } else {
        Cow::Owned(format!("models/{model}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_id_stands_under_models() {
        assert_eq!(
            path("gemini-3-pro-preview", Operation::Stream),
            "/models/gemini-3-pro-preview:streamGenerateContent?alt=sse"
        );
        assert_eq!(path("gemini-2.5-flash", Operation::Generate), "/models/gemini-2.5-flash:generateContent");
        assert_eq!(path("gemini-2.5-flash", Operation::CountTokens), "/models/gemini-2.5-flash:countTokens");
        assert_eq!(
            path("gemini-embedding-001", Operation::BatchEmbed),
            "/models/gemini-embedding-001:batchEmbedContents"
        );
    }

    #[test]
    fn a_full_resource_name_goes_as_given() {
        for name in ["models/gemini-x", "tunedModels/mine-1", "publishers/google/models/gemini-x"] {
            assert_eq!(path(name, Operation::Generate), format!("/{name}:generateContent"));
        }
    }

    #[test]
    fn what_would_change_the_url_is_escaped() {
        assert_eq!(path("a?b#c:d %é", Operation::Generate), "/models/a%3Fb%23c%3Ad%20%25%C3%A9:generateContent");
    }
}
