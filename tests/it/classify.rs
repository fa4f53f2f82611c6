//! `pointsman classify`, the real binary: prompts in, judgements out, and how it ends.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Runs the command over standard input.
fn classify(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .arg("classify")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // What refuses its arguments reads nothing.
    let _ = child.stdin.take().expect("standard input").write_all(input.as_bytes());
    child.wait_with_output().expect("the binary ends")
}

fn answers(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn prompts_are_judged_a_line_each() {
    let long = "word ".repeat(20_000);
    let output = classify(&["--tier", "fast"], &format!("write a poem\n{long}\n{{\"text\":\"[user] hi\"}}\n"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answers = answers(&output);
    assert_eq!(answers.len(), 3);
    for answer in answers {
        let scores: f64 = answer["scores"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
        assert!((scores - 1.0).abs() < 0.01, "{answer}");
        assert_eq!(answer["tier"], "fast");
        assert!(answer["category"].is_string() && answer["microseconds"].is_u64(), "{answer}");
    }
}

#[test]
fn a_line_that_cannot_be_read_is_numbered() {
    let output = classify(&[], "hi\n{\"messages\": 1}\nhi\n");
    assert_eq!(output.status.code(), Some(1));
    let answers = answers(&output);
    assert_eq!((answers.len(), &answers[1]["line"]), (3, &Value::from(2)));
    assert!(answers[1]["error"].as_str().unwrap().contains("expected a sequence"), "{}", answers[1]);
}

#[test]
fn own_categories_of_a_file_are_learned_and_remarked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.toml");
    let example = "[[categories]]\nname = \"refunds\"\nexamples = [\"I want my money back\", \"refund my order\"]\n";
    std::fs::write(&file, example).unwrap();
    let path = file.to_str().unwrap();
    let output = classify(&["--categories", path], "please refund my order\n");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(answers(&output)[0]["scores"]["refunds"].is_number());
    assert!(String::from_utf8_lossy(&output.stderr).contains("category refunds has only 2 examples"), "{output:?}");
    std::fs::write(&file, "[[categories]]\nname = \"refunds\"\n").unwrap();
    let output = classify(&["--categories", path], "");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("mine.toml:2:8: categories.refunds.name: \"refunds\" is not built in"), "{said}");
}

const ALIASES: &str = r#"
[[providers]]
id = "p"
protocol = "openai"
base_url = "http://127.0.0.1:9/v1"
auth = "none"

[[models]]
id = "m"
endpoints = [{ provider = "p", upstream_model = "m" }]

[[aliases]]
name = "plain"
strategy = "priority"
targets = [{ model = "m" }]

[[aliases]]
name = "by-task"
strategy = "category"
classifier = { tier = "fast" }

[[aliases.categories]]
name = "translation"
threshold = 0.0
margin = 0.0
strategy = "priority"
targets = [{ model = "m" }]

[[aliases.categories]]
name = "coding"
threshold = 1.0
strategy = "priority"
targets = [{ model = "m" }]

[[aliases.categories]]
name = "default"
strategy = "priority"
targets = [{ model = "m" }]
"#;

#[test]
fn an_alias_is_tried_as_the_configuration_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pointsman.toml");
    std::fs::write(&file, ALIASES).unwrap();
    let path = file.to_str().unwrap();
    let prompts = "Translate 'good morning, how are you?' into German.\nWrite a Python function.\n";
    let output = classify(&["--alias", "by-task", "--config", path], prompts);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answers = answers(&output);
    assert_eq!((&answers[0]["category"], &answers[0]["tier"]), (&"translation".into(), &"fast".into()));
    // Its own threshold is beyond whatever is likely.
    assert_eq!((&answers[1]["category"], &answers[1]["reason"]), (&"default".into(), &"unsure".into()));
    assert!(answers[1]["scores"]["coding"].is_number() && answers[1]["scores"]["(math)"].is_number());

    for (alias, expected) in [
        ("by-tsk", "there is no alias `by-tsk`; aliases with categories: by-task"),
        ("plain", "the alias `plain` has the strategy priority and no categories; aliases with categories: by-task"),
    ] {
        let output = classify(&["--alias", alias, "--config", path], "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.trim_end()), (Some(2), &*format!("pointsman: {path}: {expected}")));
    }
    let both = classify(&["--alias", "by-task", "--categories", path], "");
    assert!(String::from_utf8_lossy(&both.stderr).contains("cannot be used with"), "{both:?}");
}
