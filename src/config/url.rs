//! Is that an address to send requests to? `http` or `https`, a host, perhaps a path.

use std::net::IpAddr;

use http::Uri;

use super::problem::Report;
use super::read::Item;

/// A base URL.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct BaseUrl {
    /// Without a slash at the end.
    pub(super) text: String,
    /// Plain `http` to another machine.
    pub(super) in_clear_to_elsewhere: bool,
}

/// Paths that we append ourselves.
const OUR_PATHS: [&str; 5] = ["/chat/completions", "/completions", "/responses", "/embeddings", "/messages"];

const EXAMPLE: &str = "a URL such as \"https://api.example.com/v1\"";

impl BaseUrl {
    /// One that the catalogue vouches for.
    pub(super) fn well_known(text: &str) -> Self {
        Self { text: text.to_owned(), in_clear_to_elsewhere: false }
    }
}

/// Reads a base URL. What is wrong with it is said without repeating it, because it may
/// hold a password.
pub(super) fn base_url(item: &Item<'_>, report: &Report) -> Option<BaseUrl> {
    match parse(item.text(report)?) {
        Ok(url) => Some(url),
        Err((message, expected)) => {
            report.problem(item.problem(message).expected(expected));
            None
        }
    }
}

/// Whether a base URL may be written like that.
pub(crate) fn is_base_url(text: &str) -> bool {
    parse(text).is_ok()
}

fn parse(text: &str) -> Result<BaseUrl, (&'static str, &'static str)> {
    let text = text.trim();
    if !text.contains("://") {
        return Err(("is not a URL: it has no scheme", EXAMPLE));
    }
    if text.contains(['#', '?']) {
        return Err(("has a query or a fragment", EXAMPLE));
    }
    let uri: Uri = text.parse().map_err(|_| ("is not a URL", EXAMPLE))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(("is not a URL", EXAMPLE));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(("has a scheme that is not spoken here", "http or https"));
    }
    if authority.as_str().contains('@') {
        return Err(("has a user name or password in it", "api_key_env or api_key_file for the credential"));
    }
    if authority.host().is_empty() || authority.port().is_none() && authority.as_str().contains("]:") {
        return Err(("has no host", EXAMPLE));
    }
    let text = text.trim_end_matches('/');
    if OUR_PATHS.iter().any(|path| text.ends_with(path)) {
        return Err((
            "ends in the path of an operation",
            "only the part before it, such as \"https://api.example.com/v1\"",
        ));
    }
    let in_clear_to_elsewhere = scheme == "http" && !is_this_machine(authority.host());
    Ok(BaseUrl { text: text.to_owned(), in_clear_to_elsewhere })
}

fn is_this_machine(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.trim_start_matches('[').trim_end_matches(']').parse();
    address.map_or(host == "localhost" || host.ends_with(".localhost"), |address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slashes_at_the_end_are_taken_off() {
        assert_eq!(parse("https://api.example.com/v1//").unwrap().text, "https://api.example.com/v1");
        assert_eq!(parse("http://[::1]:8000").unwrap().text, "http://[::1]:8000");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |text| parse(text).unwrap_err().0;
        assert_eq!(message("api.example.com/v1"), "is not a URL: it has no scheme");
        assert_eq!(message("ftp://x/v1"), "has a scheme that is not spoken here");
        assert_eq!(message("https://me:secret@x/v1"), "has a user name or password in it");
        assert_eq!(message("https://x/v1?key=1"), "has a query or a fragment");
        assert_eq!(message("https://x/v1/chat/completions/"), "ends in the path of an operation");
        assert_eq!(message("https:// x"), "is not a URL");
        assert_eq!(message("https://"), "is not a URL");
    }

    #[test]
    fn plain_http_counts_as_clear_only_beyond_this_machine() {
        assert!(!parse("http://localhost:1/v1").unwrap().in_clear_to_elsewhere);
        assert!(!parse("http://127.0.0.2").unwrap().in_clear_to_elsewhere);
        assert!(parse("http://gpu-box.local:8000/v1").unwrap().in_clear_to_elsewhere);
        assert!(!parse("https://gpu-box.local").unwrap().in_clear_to_elsewhere);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(https?://)?.{0,30}") {
            if let Ok(url) = parse(&text) {
                prop_assert!(!url.text.ends_with('/'));
            }
        }
    }
}
