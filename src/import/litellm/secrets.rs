//! Is that a secret? What looks like one is never copied, wherever it stands.

use crate::import::yaml::Node;

/// Words in the names of credentials.
const WORDS: [&str; 7] = ["authorization", "secret", "password", "credential", "cookie", "api-key", "api_key"];

/// How keys and tokens of well-known services begin, and how they travel.
const BEGINNINGS: [&str; 10] = ["sk-", "pk-", "Bearer ", "Basic ", "eyJ", "ghp_", "gsk_", "xoxb-", "AKIA", "AIza"];

/// Whether something of that name is probably a credential.
pub(super) fn is_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word)) || name.ends_with("token") || name.ends_with("key")
}

/// Whether a text is probably a credential.
pub(super) fn is_value(text: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| text.trim_start().starts_with(beginning))
}

/// Whether a credential is probably somewhere in it.
pub(super) fn is_in(node: &Node) -> bool {
    let named = node.entries().iter().any(|entry| is_name(&entry.key) && entry.node.is_leaf());
    named || node.text().is_some_and(is_value) || node.children().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml::parse;

    #[test]
    fn names_of_credentials_are_known() {
        for name in ["Authorization", "x-api-key", "Ocp-Apim-Subscription-Key", "X-Auth-Token", "client_secret"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["x-team", "max_tokens", "AI-Resource-Group", "helicone-cache-enabled"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn credentials_are_found_however_deep() {
        let is_in = |text: &str| super::is_in(&parse(text).unwrap());
        assert!(is_in("a: [{b: {token: x}}]\n") && is_in("a: [b, sk-1234]\n"));
        assert!(!is_in("a: [{b: {max_tokens: 5}}]\n"));
    }
}
