//! Which key does a request show? OpenAI's SDKs send a bearer token, Anthropic's and
//! Azure's a header of their own.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The key, if the request shows one.
pub fn shown_key(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
    });
    bearer
        .or_else(|| headers.get("x-api-key").map(|value| value.as_bytes()))
        .or_else(|| headers.get("api-key").map(|value| value.as_bytes()))
        .map(<[u8]>::trim_ascii)
        .filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &'static str, value: &'static str) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        shown_key(&headers).map(<[u8]>::to_vec)
    }

    #[test]
    fn keys_are_found_where_the_sdks_put_them() {
        assert_eq!(shown("authorization", "Bearer pm-1").unwrap(), b"pm-1");
        assert_eq!(shown("authorization", "bearer  pm-1 ").unwrap(), b"pm-1");
        assert_eq!(shown("x-api-key", "pm-1").unwrap(), b"pm-1");
        assert_eq!(shown("api-key", "pm-1").unwrap(), b"pm-1");
        for (name, value) in
            [("authorization", "Basic abc"), ("authorization", "Bearer "), ("x-api-key", ""), ("cookie", "k")]
        {
            assert_eq!(shown(name, value), None, "{name}: {value}");
        }
    }
}
