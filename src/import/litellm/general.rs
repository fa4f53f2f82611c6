//! Who may call, and how large may it be? `general_settings`.

use super::findings::Findings;
use super::rules::GENERAL;
use super::world::variable;
use crate::import::draft::{KeyDraft, ServerDraft};
use crate::import::report::Verdict;
use crate::import::yaml::{Entry, Node};

/// Where LiteLLM looks for its key if the file does not give one.
const MASTER_KEY: &str = "LITELLM_MASTER_KEY";

/// The largest body or answer that may be allowed, in MiB.
const LARGEST: u64 = 1024;

/// Reads the section, judges all of it, and returns the key that callers show.
pub(super) fn read(section: Option<&Node>, server: &mut ServerDraft, findings: &Findings) -> KeyDraft {
    let mut key = None;
    for entry in section.map(Node::entries).unwrap_or_default() {
        let node = &entry.node;
        match entry.key.as_str() {
            "master_key" => key = master_key(node, findings),
            "max_request_size_mb" => server.max_body_mib = size(entry, "max_body_bytes", findings),
            "max_response_size_mb" => server.max_answer_mib = size(entry, "max_answer_bytes", findings),
            _ => _ = findings.by_rules(entry, GENERAL),
        }
    }
    key.unwrap_or_else(|| {
        findings.absent(
            "general_settings.master_key",
            Verdict::Approximated,
            format!(
                "is not given; callers need a key here, and its variable is the one LiteLLM looks at, {MASTER_KEY}"
            ),
            format!("set {MASTER_KEY}, or write [[keys]] for each caller"),
        );
        KeyDraft { name: "master".to_owned(), line: None, key_env: MASTER_KEY.to_owned() }
    })
}

fn master_key(node: &Node, findings: &Findings) -> Option<KeyDraft> {
    let given = node.name()?;
    let key_env = match variable(&given) {
        Some(name) => {
            let message = format!("[[keys]] \"master\" in {name}; it calls every alias, and opens no admin interface");
            findings.approximated_but(node, message, "a key for each caller, if some were made in the admin interface");
            name.to_owned()
        }
        None => {
            let message =
                "the key itself is not copied; [[keys]] \"master\" calls every alias, and opens no admin interface";
            findings.approximated_but(node, message, format!("set {MASTER_KEY} to the key in this line"));
            MASTER_KEY.to_owned()
        }
    };
    Some(KeyDraft { name: "master".to_owned(), line: Some(node.place.line), key_env })
}

fn size(entry: &Entry, field: &str, findings: &Findings) -> Option<u64> {
    let node = &entry.node;
    let mib = node.count().filter(|mib| *mib <= LARGEST);
    match mib {
        Some(_) => findings.exact(node, format!("server.limits.{field}")),
        None => findings.not_possible(node, "is no size from 1 to 1024 MiB", format!("write server.limits.{field}")),
    }
    mib
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml::parse;

    fn read_all(text: &str) -> (KeyDraft, ServerDraft, Vec<String>) {
        let root = parse(text).unwrap();
        let (mut server, findings) = (ServerDraft::default(), Findings::default());
        let key = read(root.get("general_settings"), &mut server, &findings);
        let told = findings.finish(&root).iter().map(|finding| finding.in_file("c")).collect();
        (key, server, told)
    }

    #[test]
    fn the_master_key_stays_in_its_variable() {
        let (key, _, told) = read_all("general_settings: {master_key: os.environ/MY_KEY}\n");
        assert_eq!((key.key_env.as_str(), key.line), ("MY_KEY", Some(1)));
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn a_master_key_in_the_file_is_not_repeated() {
        let (key, _, told) = read_all("general_settings: {master_key: sk-1234}\n");
        assert_eq!(key.key_env, MASTER_KEY);
        assert!(told[0].contains("set LITELLM_MASTER_KEY to the key in this line"), "{told:?}");
        assert!(!format!("{told:?}{key:?}").contains("sk-1234"));
    }

    #[test]
    fn without_a_master_key_there_is_a_key_all_the_same() {
        let (key, _, told) = read_all("model_list: []\n");
        assert_eq!((key.key_env.as_str(), key.line), (MASTER_KEY, None));
        assert!(told.iter().any(|line| line.starts_with("c: approximated: general_settings.master_key: ")), "{told:?}");
    }

    #[test]
    fn sizes_are_in_mebibytes() {
        let (_, server, told) = read_all("general_settings: {max_request_size_mb: 32, max_response_size_mb: 5000}\n");
        assert_eq!((server.max_body_mib, server.max_answer_mib), (Some(32), None));
        assert_eq!(told.len(), 3, "{told:?}");
    }
}
