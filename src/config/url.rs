//! Is that an address to send requests to? `http` or `https`, a host, perhaps a path.

use std::net::IpAddr;

use http::Uri;
use url::{Host, Url};

use super::problem::Report;
use super::read::Item;
use crate::domain::address::{is_link_local, is_public};

/// A base URL.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct BaseUrl {
    /// Without a slash at the end.
    pub(super) text: String,
    /// Plain `http` to another machine.
    pub(super) in_clear_to_elsewhere: bool,
    /// What its host says of where it leads.
    pub(super) leads: Leads,
}

/// Where a host leads, as far as can be said without asking for its address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Leads {
    /// A name that anybody may have, or a public address.
    #[default]
    Out,
    /// A name that only means something on this network, such as `gpu-box.local`.
    Inside,
    /// A private address or one of this machine.
    ToPrivate,
    /// An address of the link, where clouds keep the credentials of their machines.
    ToLink,
}

/// Paths that we append ourselves.
const OUR_PATHS: [&str; 5] = ["/chat/completions", "/completions", "/responses", "/embeddings", "/messages"];

const EXAMPLE: &str = "a URL such as \"https://api.example.com/v1\"";

impl BaseUrl {
    /// One that the catalogue vouches for.
    pub(super) fn well_known(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

/// Whether a file that names this URL means a private address, and so allows it.
pub(super) fn is_plainly_private(text: &str) -> bool {
    parse(text).is_ok_and(|url| matches!(url.leads, Leads::Inside | Leads::ToPrivate))
}

/// Where names end that are only known inside.
const INSIDE: [&str; 6] = [".local", ".localhost", ".internal", ".lan", ".home.arpa", ".intranet"];

/// Where a URL leads. Its host is read as the client will read it: `127.1` and `0x7f000001`
/// are addresses as well.
fn leads(url: &Url) -> Leads {
    let address: IpAddr = match url.host() {
        Some(Host::Ipv4(v4)) => v4.into(),
        Some(Host::Ipv6(v6)) => v6.into(),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let inside = !name.contains('.') || INSIDE.iter().any(|end| name.ends_with(end));
            return if inside { Leads::Inside } else { Leads::Out };
        }
        None => return Leads::Out,
    };
    match address {
        address if is_link_local(address) => Leads::ToLink,
        address if is_public(address) => Leads::Out,
        _ => Leads::ToPrivate,
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
    let read = Url::parse(text).map_err(|_| ("is not a URL", EXAMPLE))?;
    let in_clear_to_elsewhere = scheme == "http" && !is_this_machine(authority.host());
    Ok(BaseUrl { text: text.to_owned(), in_clear_to_elsewhere, leads: leads(&read) })
}

pub(super) fn is_this_machine(host: &str) -> bool {
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

    #[test]
    fn a_host_says_where_it_leads() {
        let leads = |text| parse(text).unwrap().leads;
        assert_eq!(leads("https://api.example.com/v1"), Leads::Out);
        assert_eq!(leads("https://1.1.1.1"), Leads::Out);
        for inside in ["http://gpu-box.local:8000/v1", "http://vllm:8000", "http://x.svc.internal", "http://localhost"]
        {
            assert_eq!(leads(inside), Leads::Inside, "{inside}");
        }
        for private in [
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://10.0.0.1",
            "http://[::ffff:192.168.0.1]",
            "http://127.1",
            "http://2130706433/v1",
            "http://0x7f.0.0.1",
        ] {
            assert_eq!(leads(private), Leads::ToPrivate, "{private}");
        }
        assert_eq!(leads("http://169.254.169.254/latest"), Leads::ToLink);
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
