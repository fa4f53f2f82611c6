//! Which files are the dashboard made of? All are in the binary.

use std::sync::LazyLock;

use http::HeaderValue;
use sha2::{Digest, Sha256};

/// A file, ready to be sent.
#[derive(Debug)]
pub(super) struct Asset {
    name: &'static str,
    /// Its MIME type.
    pub(super) content_type: &'static str,
    /// What is in it.
    pub(super) bytes: &'static [u8],
    /// A digest of that, quoted.
    pub(super) etag: HeaderValue,
}

/// The files of `assets/`, by their names.
macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("assets/", $name)).as_slice())),*]
    };
}

/// The first is the page itself.
static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let all = embedded![
        "index.html",
        "alias-traffic.js",
        "api.js",
        "app.js",
        "category-form.js",
        "chart.js",
        "decisions.js",
        "dialog.js",
        "diff.js",
        "dom.js",
        "drag.js",
        "fields.js",
        "format.js",
        "icon.svg",
        "live.js",
        "model-search.js",
        "options.js",
        "page-alias.js",
        "page-demo.js",
        "page-document.js",
        "page-edit.js",
        "page-history.js",
        "page-keys.js",
        "page-login.js",
        "page-models.js",
        "page-overview.js",
        "page-playground.js",
        "page-projects.js",
        "page-providers.js",
        "page-replicas.js",
        "page-revision.js",
        "page-usage.js",
        "router.js",
        "save.js",
        "style.css",
        "table.js",
        "target-list.js",
        "theme.js",
        "widgets.js",
    ];
    all.into_iter().map(|(name, bytes)| Asset::new(name, bytes)).collect()
});

impl Asset {
    fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        let digest = hex::encode(&Sha256::digest(bytes)[..12]);
        // Unwrap safety: hexadecimal digits in quotes are a header's value.
        let etag = HeaderValue::from_str(&format!("\"{digest}\"")).expect("a header's value");
        Self { name, content_type: content_type(name), bytes, etag }
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webmanifest" => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

/// The page.
pub(super) fn index() -> &'static Asset {
    &ASSETS[0]
}

/// The file of this name.
pub(super) fn named(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// What a browser loads before the first page can be seen, and in the end.
    const FIRST: usize = 150_000;
    const ALL: usize = 400_000;

    #[test]
    fn every_file_of_the_folder_is_embedded_and_has_a_type() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard/assets");
        let there: BTreeSet<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let embedded: BTreeSet<String> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
        assert_eq!(there, embedded, "assets.rs has to list what is in assets/");
        assert_eq!(index().name, "index.html");
        for asset in ASSETS.iter() {
            assert_ne!(asset.content_type, "application/octet-stream", "{}", asset.name);
        }
    }

    /// The files that one asks for as soon as it is read.
    fn needs(asset: &Asset) -> Vec<&'static str> {
        let text = std::str::from_utf8(asset.bytes).unwrap_or_default();
        let pieces = || text.split(['"', '\'']);
        let named = pieces().zip(pieces().skip(1)).filter(|(before, _)| {
            let before = before.trim_end();
            before.ends_with("from")
                || before.ends_with("import")
                || before.ends_with("src=")
                || before.ends_with("href=")
        });
        let files = named.map(|(_, name)| name.rsplit('/').next().unwrap_or_default());
        files.filter_map(|name| ASSETS.iter().find(|asset| asset.name == name)).map(|asset| asset.name).collect()
    }

    #[test]
    fn the_first_page_is_small_and_all_of_it_is() {
        let all: usize = ASSETS.iter().map(|asset| asset.bytes.len()).sum();
        assert!(all < ALL, "{all} bytes");
        let mut first = vec![index().name];
        let mut at = 0;
        while let Some(name) = first.get(at) {
            needs(named(name).unwrap()).into_iter().for_each(|name| {
                if !first.contains(&name) {
                    first.push(name);
                }
            });
            at += 1;
        }
        assert!(first.contains(&"app.js") && first.contains(&"style.css"), "{first:?}");
        let bytes: usize = first.iter().map(|name| named(name).unwrap().bytes.len()).sum();
        assert!(bytes < FIRST, "{bytes} bytes before anything is seen: {first:?}");
    }

    /// The names of XML's vocabularies look like addresses, but nobody asks for them.
    const NO_ADDRESSES: [&str; 2] = ["http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"];

    #[test]
    fn nothing_names_another_host_or_needs_more_than_the_policy_allows() {
        for asset in ASSETS.iter() {
            let Ok(text) = std::str::from_utf8(asset.bytes) else { continue };
            let text = NO_ADDRESSES.iter().fold(text.to_owned(), |text, name| text.replace(name, ""));
            for word in ["http://", "https://", "ws://", "wss://", "\"//", "'//", "url(//", "eval(", "new Function("] {
                assert!(!text.contains(word), "{}: {word}", asset.name);
            }
        }
        let page = std::str::from_utf8(index().bytes).unwrap();
        for word in ["<style", " style=", " onclick=", " onload=", "javascript:", "<base"] {
            assert!(!page.contains(word), "index.html: {word}");
        }
        for script in page.split("<script").skip(1) {
            assert!(script.split('>').next().unwrap().contains("src="), "an inline script: {script}");
        }
    }
}
