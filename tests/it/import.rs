//! `pointsman import litellm`, the real binary, on configurations as people write them: what
//! comes of each is written beside it in `tests/litellm`, and `pointsman check` accepts it.
//!
//! `UPDATE_GOLDEN=1 cargo test --test it import` writes what comes out; read the difference
//! before you commit it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// What stands in every secret of the samples.
const SECRET: &str = "not-a-real";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("litellm")
}

fn samples() -> Vec<PathBuf> {
    let paths = fs::read_dir(folder()).expect("samples").map(|entry| entry.expect("an entry").path());
    let mut samples: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
    samples.sort();
    samples
}

/// Runs the binary in the folder of the samples, without any variable of the environment.
fn pointsman(line: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command.args(line).env_clear().current_dir(folder()).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// Compares with the file, or writes it.
fn hold(path: &Path, made: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, made).expect("it can be written");
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    let differs = made.lines().zip(expected.lines()).find(|(made, expected)| made != expected);
    assert!(made == expected, "{} differs, first here: {differs:#?}\n{made}", path.display());
}

#[test]
fn every_sample_becomes_what_is_written_beside_it() {
    let scratch = tempfile::tempdir().expect("a folder");
    for sample in samples() {
        let (out, report) = (scratch.path().join("new.toml"), scratch.path().join("report"));
        let places = [out.display().to_string(), report.display().to_string()];
        let done = pointsman(&["import", "litellm", &name(&sample), "--out", &places[0], "--report", &places[1]]);
        assert!(done.status.success(), "{}: {}", sample.display(), text(&done.stderr));
        let [toml, report] = [out, report].map(|path| fs::read_to_string(path).expect("it is written"));
        assert!(!format!("{toml}{report}{}", text(&done.stderr)).contains(SECRET), "{}: a secret", sample.display());
        hold(&sample.with_extension("toml"), &toml);
        hold(&sample.with_extension("report"), &report);
    }
}

#[test]
fn what_comes_of_every_sample_is_a_configuration() {
    for sample in samples() {
        let done = pointsman(&["check", &name(&sample.with_extension("toml"))]);
        let said = text(&done.stdout);
        assert!(done.status.success(), "{}: {said}{}", sample.display(), text(&done.stderr));
        // Keys are not there, which is all that may be doubtful, beside names of models.
        let doubtful = said.lines().filter(|line| line.starts_with("warning: "));
        let mut other =
            doubtful.filter(|line| !line.contains("is not set") && !line.contains("is the id of a model too"));
        assert_eq!(other.next(), None, "{}", sample.display());
    }
}

#[test]
fn programs_get_the_report_as_json_and_people_what_is_not_exact() {
    let scratch = tempfile::tempdir().expect("a folder");
    let out = scratch.path().join("new.toml").display().to_string();
    let line = ["import", "litellm", "fallbacks.yaml", "--out", &out];
    let done = pointsman(&[&line[..], &["--report", "-", "--json"]].concat());
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let findings = report["findings"].as_array().expect("findings");
    let sum = ["exact", "approximated", "not_possible"].map(|verdict| report[verdict].as_u64().expect("a number"));
    assert_eq!(sum.iter().sum::<u64>(), findings.len() as u64);

    let done = pointsman(&line);
    let said = text(&done.stderr);
    assert!(done.stdout.is_empty() && !said.contains(": exact: "), "{said}");
    assert_eq!(said.lines().count() as u64, sum[1] + sum[2] + 1, "{said}");
}

#[test]
fn a_configuration_may_go_to_standard_output() {
    let done = pointsman(&["import", "litellm", "simple.yaml"]);
    let expected = fs::read_to_string(folder().join("simple.toml")).expect("it is there");
    assert_eq!(text(&done.stdout), expected);
    assert!(done.status.success());
}

#[test]
fn what_is_no_yaml_is_refused_with_its_place() {
    let scratch = tempfile::tempdir().expect("a folder");
    let path = scratch.path().join("bad.yaml").display().to_string();
    fs::write(&path, "model_list:\n  - model_name: a\n   litellm_params: {}\n").expect("it can be written");
    let done = pointsman(&["import", "litellm", &path]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).starts_with(&format!("pointsman: {path}:3:")), "{}", text(&done.stderr));
    assert!(done.stdout.is_empty());
}
