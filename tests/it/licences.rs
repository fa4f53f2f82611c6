//! May we use what we depend on, and do we tell of it? `deny.toml` says which licences are
//! welcome; `docs/licences.md` lists what there is.
//!
//! `UPDATE_LICENCES=1 cargo test --test it licences` writes the list anew.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What the list is made for, wherever it is made.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// All crates that we depend on, of all features.
fn metadata() -> Value {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked", "--all-features", "--filter-platform", PLATFORM]);
    let output = command.current_dir(file("")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// A dependency.
#[derive(Debug)]
struct Crate {
    name: String,
    version: String,
    licence: String,
    /// It is part of the program, or makes a part of it.
    in_program: bool,
}

/// Everything but ourselves.
fn crates(metadata: &Value) -> Vec<Crate> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = metadata["resolve"]["nodes"].as_array().expect("nodes");
    let nodes: HashMap<&str, &Value> = nodes.iter().map(|node| (node["id"].as_str().expect("an id"), node)).collect();
    let root = metadata["resolve"]["root"].as_str().expect("a root");
    let reach = |also_for_tests: bool| {
        let (mut reached, mut next) = (BTreeSet::new(), VecDeque::from([root]));
        while let Some(id) = next.pop_front() {
            for dependency in nodes[id]["deps"].as_array().into_iter().flatten() {
                let kinds = dependency["dep_kinds"].as_array();
                let counts =
                    kinds.into_iter().flatten().any(|kind| also_for_tests && id == root || kind["kind"] != "dev");
                let id = dependency["pkg"].as_str().expect("an id");
                if counts && reached.insert(id) {
                    next.push_back(id);
                }
            }
        }
        reached
    };
    // The fuzzer is in the same workspace, and nobody is given it.
    let (in_program, all) = (reach(false), reach(true));
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let others = packages.filter(|package| package["id"].as_str().is_some_and(|id| all.contains(id)));
    let dependency = |package: &Value| Crate {
        name: text(&package["name"]),
        version: text(&package["version"]),
        licence: text(&package["license"]),
        in_program: package["id"].as_str().is_some_and(|id| in_program.contains(id)),
    };
    let mut crates: Vec<Crate> = others.map(dependency).collect();
    crates.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    crates
}

/// The licences that are welcome.
fn welcome() -> BTreeSet<String> {
    let deny: toml::Table = fs::read_to_string(file("deny.toml")).expect("deny.toml").parse().expect("TOML");
    let allow = deny["licenses"]["allow"].as_array().expect("a list").iter();
    allow.map(|one| one.as_str().expect("a name").to_owned()).collect()
}

/// Whether an expression can be met by licences that are welcome: one of those between `OR`, and
/// all of those between `AND`. Old ones have `/` for `OR`.
fn is_welcome(expression: &str, welcome: &BTreeSet<String>) -> bool {
    let plain = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words: VecDeque<&str> = plain.split_whitespace().collect();
    any(&mut words, welcome) && words.is_empty()
}

fn any(words: &mut VecDeque<&str>, welcome: &BTreeSet<String>) -> bool {
    let mut met = all(words, welcome);
    while words.front() == Some(&"OR") {
        words.pop_front();
        met |= all(words, welcome);
    }
    met
}

fn all(words: &mut VecDeque<&str>, welcome: &BTreeSet<String>) -> bool {
    let mut met = one(words, welcome);
    while words.front() == Some(&"AND") {
        words.pop_front();
        met &= one(words, welcome);
    }
    met
}

fn one(words: &mut VecDeque<&str>, welcome: &BTreeSet<String>) -> bool {
    match words.pop_front() {
        Some("(") => {
            let met = any(words, welcome);
            words.pop_front() == Some(")") && met
        }
        Some(name) if words.front() == Some(&"WITH") => {
            words.pop_front();
            words.pop_front().is_some_and(|exception| welcome.contains(&format!("{name} WITH {exception}")))
        }
        Some(name) => welcome.contains(name),
        None => false,
    }
}

/// The list, by licence.
fn page(crates: &[Crate]) -> String {
    let mut page = "# What we depend on\n\n\
        Pointsman itself is under Apache-2.0 ([LICENSE](../LICENSE)). What it is built from is listed here as each\n\
        crate says it of itself. `deny.toml` has the licences that are welcome; a test fails for any other, and\n\
        where this list is not that of `Cargo.lock`. `UPDATE_LICENCES=1 cargo test --test it licences` writes it.\n\
        `cargo deny check` looks into the texts of the licences as well, at where crates come from, at versions\n\
        that stand there twice, and at faults that are known.\n\n\
        The pages of the dashboard use nothing of others. The classifier's weights have a card of their own,\n\
        `models/category/MODEL_CARD.md`, with the licences of all that they were trained on.\n\n\
        Our own code has no `unsafe` but for two blocks of `src/main.rs`; the library forbids it. One sets a\n\
        variable of the environment as the very first thing, before there is another thread that could read it.\n\
        The other tells the system, once, that it need not keep pages of code in memory which only starting has run.\n"
        .to_owned();
    for (title, in_program) in
        [("In the program, or making parts of it", true), ("Only in tests and benchmarks", false)]
    {
        let mut by_licence: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for one in crates.iter().filter(|one| one.in_program == in_program) {
            by_licence.entry(&one.licence).or_default().push(format!("{} {}", one.name, one.version));
        }
        let count: usize = by_licence.values().map(Vec::len).sum();
        page.push_str(&format!("\n## {title}\n\n{count} crates.\n\n| licence | crates |\n|---|---|\n"));
        for (licence, names) in by_licence {
            page.push_str(&format!("| {licence} | {} |\n", names.join(", ")));
        }
    }
    page
}

#[test]
fn every_dependency_has_a_licence_that_is_welcome_and_is_listed() {
    let (crates, welcome) = (crates(&metadata()), welcome());
    assert!(crates.len() > 200 && crates.iter().any(|one| one.in_program), "{}", crates.len());
    let others: Vec<&Crate> = crates.iter().filter(|one| !is_welcome(&one.licence, &welcome)).collect();
    assert!(others.is_empty(), "deny.toml does not allow the licences of {others:#?}");
    let (path, page) = (file("docs/licences.md"), page(&crates));
    if std::env::var_os("UPDATE_LICENCES").is_some() {
        fs::write(&path, &page).expect("the list can be written");
    }
    let listed = fs::read_to_string(&path).unwrap_or_default();
    assert!(listed == page, "docs/licences.md is not of this Cargo.lock; UPDATE_LICENCES=1 writes it anew");
}

#[test]
fn an_expression_is_met_as_it_says() {
    let welcome: BTreeSet<String> =
        ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into_iter().collect();
    for good in
        ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "MIT AND ISC", "(MIT OR GPL-3.0) AND ISC", "GPL-3.0 OR (MIT AND ISC)"]
    {
        assert!(is_welcome(good, &welcome), "{good}");
    }
    assert!(is_welcome("Apache-2.0 WITH LLVM-exception OR GPL-3.0", &welcome));
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "GPL-3.0 OR (MIT AND GPL-2.0)", "Apache-2.0", "MIT ISC", "(MIT"] {
        assert!(!is_welcome(bad, &welcome), "{bad}");
    }
}
