//! Are the walls of the house standing? Reads `src/` and holds its imports to the arrows
//! that `src/lib.rs` draws.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms that it may name. A room may always name itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("domain", &[]),
    ("wire", &["domain"]),
    ("health", &["domain"]),
    ("limits", &["domain"]),
    ("secrets", &["domain"]),
    ("stats", &["domain", "health"]),
    ("routing", &["domain", "health", "stats"]),
    ("catalogue", &["domain"]),
    ("classifier", &["domain"]),
    ("config", &["domain", "catalogue"]),
    ("import", &["domain", "catalogue", "config"]),
    ("clock", &["domain"]),
    ("telemetry", &["domain"]),
    ("training", &["classifier", "clock", "domain"]),
    ("bin", &[]),
    ("transport", &["domain"]),
    (
        "live",
        &["classifier", "clock", "config", "domain", "health", "limits", "routing", "stats", "telemetry", "transport"],
    ),
    ("store", &["config", "domain"]),
    ("fleet", &["clock", "config", "domain", "limits", "live", "store"]),
    ("control", &["clock", "config", "domain", "fleet", "limits", "live", "secrets", "store", "transport"]),
    ("upstream", &["clock", "domain", "health", "live", "routing", "stats", "transport", "wire"]),
    (
        "proxy",
        &[
            "classifier",
            "clock",
            "config",
            "domain",
            "fleet",
            "health",
            "limits",
            "live",
            "routing",
            "stats",
            "telemetry",
            "transport",
            "upstream",
            "wire",
        ],
    ),
    ("dashboard", &["domain"]),
    (
        "admin",
        &[
            "api",
            "catalogue",
            "classifier",
            "clock",
            "config",
            "control",
            "dashboard",
            "domain",
            "fleet",
            "health",
            "limits",
            "live",
            "proxy",
            "routing",
            "stats",
            "store",
            "telemetry",
            "upstream",
            "wire",
        ],
    ),
    ("command", &["api", "classifier", "clock", "config", "domain", "secrets"]),
    ("simulate", &["domain"]),
    (
        "app",
        &[
            "admin",
            "clock",
            "config",
            "control",
            "domain",
            "fleet",
            "proxy",
            "secrets",
            "store",
            "telemetry",
            "transport",
        ],
    ),
    ("demo", &["admin", "api", "app", "config", "domain", "simulate"]),
    ("cli", &["app", "command", "config", "demo", "import", "live", "simulate", "telemetry"]),
];

/// Words that only the shell may say.
const IMPURE: &[&str] = &["tokio::", "std::fs", "std::net", "std::env", "reqwest", "rand::rng()", "SystemTime::now"];
/// Rooms that must not.
const PURE: &[&str] = &["domain", "wire", "health", "limits", "secrets", "stats", "routing", "classifier", "import"];
/// The files of such rooms that stand at the door of the house.
const DOORS: &[&str] = &["import/command.rs"];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
        let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut paths);
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn room(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Whether a file holds nothing but tests.
fn is_of_tests(path: &Path) -> bool {
    path.iter().any(|name| ["tests", "tests.rs", "tests_support.rs", "properties.rs"].iter().any(|of| name == *of))
}

/// The code of a file without its tests and comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_tests = |at: &usize| {
        let mut lines = text[*at..].lines().skip_while(|line| line.starts_with("#["));
        lines.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    let end = text.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(is_tests).unwrap_or(text.len());
    text[..end].lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Rooms named in a line as `crate::room` or in `use crate::{room…`.
fn named(line: &str) -> Vec<String> {
    line.match_indices("crate::")
        .map(|(at, _)| line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn rooms_name_only_the_rooms_they_may() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let room = room(&path);
        if ["lib", "main"].contains(&room.as_str()) || is_of_tests(&path) {
            continue;
        }
        let Some(allowed) = arrows.get(room.as_str()) else {
            panic!("{} is in a room without arrows; draw them here and in src/lib.rs", path.display());
        };
        for (i, line) in code(&text) {
            for name in named(line) {
                if name != room && !allowed.contains(&name.as_str()) {
                    broken.push(format!("{}:{}: {room} may not name {name}", path.display(), i + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// Drawn from the bottom up: a room may only name rooms that stand before it.
#[test]
fn arrows_never_run_in_a_circle() {
    for (i, (room, allowed)) in ARROWS.iter().enumerate() {
        for name in *allowed {
            let before = ARROWS[..i].iter().any(|(other, _)| other == name);
            assert!(before, "{room} may name {name}, which does not stand before it");
        }
    }
}

#[test]
fn pure_rooms_do_no_io_and_read_no_clock() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        if !PURE.contains(&room(&path).as_str()) || DOORS.iter().any(|door| path.ends_with(door)) {
            continue;
        }
        for (i, line) in code(&text) {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{}:{}: `{word}` in a pure room", path.display(), i + 1));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    for (path, text) in sources() {
        let is_test_file = path.file_name().is_some_and(|name| name == "tests.rs");
        assert!(is_test_file || text.starts_with("//!"), "{} does not say what it is for", path.display());
    }
}

#[test]
fn nothing_is_left_to_do_without_an_issue() {
    for (path, text) in sources() {
        for word in ["todo!", "unimplemented!", "FIXME", "TODO", "dbg!("] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn unwraps_outside_tests_say_why_they_are_safe() {
    let mut bare = Vec::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| !is_of_tests(path)) {
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in code(&text) {
            let reasoned = (i.saturating_sub(4)..=i).any(|j| lines[j].contains("Unwrap safety"));
            if (line.contains(".unwrap()") || line.contains(".expect(")) && !reasoned {
                bare.push(format!("{}:{}: {}", path.display(), i + 1, line.trim()));
            }
        }
    }
    assert!(bare.is_empty(), "\n{}", bare.join("\n"));
}
