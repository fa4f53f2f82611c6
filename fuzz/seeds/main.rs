//! What does fuzzing begin with? Small examples of what each target reads, from the tests'
//! golden files and from what the program itself writes, one file each in `corpus/<target>`.
//!
//! `cargo run --example seeds` in this folder; what is there already stays.

use std::fs;
use std::path::{Path, PathBuf};

use pointsman::config::{Document, Kind};
use pointsman::secrets::{MasterKey, MasterKeys};
use pointsman::store::{DocumentEdit, Entry, KeyEdit, Position, RowEdit, Step};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

mod frames;
mod targets;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    golden(&root)?;
    configurations(&root)?;
    store()?;
    frames::write()?;
    headers()?;
    connections()?;
    texts()?;
    numbers()?;
    prompts()
}

/// Puts a seed down.
fn seed(target: &str, name: &str, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("seed-{name}")), bytes)
}

/// For targets that read how long pieces are before what is cut into them: the last byte says it.
fn in_pieces(target: &str, name: &str, text: &str) -> std::io::Result<()> {
    for size in [0, 6, 255] {
        seed(target, &format!("{name}-{size}"), [text.as_bytes(), &[size]].concat())?;
    }
    Ok(())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { all.extend(files(&entry.path())) } else { all.push(entry.path()) }
    }
    all.sort();
    all
}

/// Requests and answers of every dialect, without the space that people need.
fn golden(root: &Path) -> std::io::Result<()> {
    let folder = root.join("tests/golden");
    for file in files(&folder) {
        let Ok(body) = serde_json::from_slice::<Value>(&fs::read(&file)?) else { continue };
        let path = file.strip_prefix(&folder).unwrap_or(&file).with_extension("");
        let name = path.display().to_string().replace(['/', '.'], "-");
        let body = body.to_string();
        if path.components().any(|part| part.as_os_str() == "answer") {
            seed("answers", &name, &body)?;
        } else {
            for target in ["requests", "conversation", "splice", "scan"] {
                seed(target, &name, &body)?;
            }
        }
    }
    seed("scan", "own", r#" [ {"a\"" : -1.5E+3, "role":[true,false,null,{}],"b":"\u00e9\\"} , "image_url" ] "#)?;
    seed("splice", "own", r#"{"a":{"b":1},"b":[1,2,{"c":"\u00e9\\"}],"c":{"d":1,"e":{}},"x":1e400}"#)?;
    streams()
}

/// A stream of each protocol, as providers write them.
fn streams() -> std::io::Result<()> {
    let chat = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"}}]}\n\ndata: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\ndata: [DONE]\n\n";
    let messages = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"m\"}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}},\"thoughtSignature\":\"c2ln\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2,\"totalTokenCount\":5}}\r\n\r\n";
    let responses = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"object\":\"response\",\"status\":\"in_progress\",\"output\":[]}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hi\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"id\":\"r\",\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"id\":\"i\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hi\",\"annotations\":[]}]}],\"usage\":{\"input_tokens\":3,\"output_tokens\":2,\"total_tokens\":5}}}\n\n";
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    for (name, text) in
        [("chat", chat), ("messages", messages), ("gemini", gemini), ("responses", responses), ("error", error)]
    {
        in_pieces("streams", name, text)?;
        in_pieces("sse", name, text)?;
    }
    in_pieces("sse", "fields", ":c\r\nid: 1\rdata\ndata: a\ndata:b\nevent:x\nretry: 3\n\n\u{feff}data: last")?;
    let form = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\nID3\r\n--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--x--\r\n";
    seed("multipart", "form", form)
}

/// Configurations of ours and of LiteLLM's.
fn configurations(root: &Path) -> std::io::Result<()> {
    for file in files(&root.join("tests/litellm")) {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("yaml") => seed("import", &name, fs::read(&file)?)?,
            Some("toml") => configuration(&name, &fs::read_to_string(&file)?)?,
            _ => {}
        }
    }
    for page in [root.join("README.md"), root.join("docs/configuration.md"), root.join("docs/categories.md")] {
        let text = fs::read_to_string(&page).unwrap_or_default();
        for (at, block) in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).enumerate() {
            let name = page.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            configuration(&format!("{name}-{at}"), block)?;
        }
    }
    Ok(())
}

fn configuration(name: &str, text: &str) -> std::io::Result<()> {
    seed("config", name, text)?;
    let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    // Keys are in the environment, and nothing that stands in for a setting.
    let env = |name: &str| (!name.starts_with("POINTSMAN_") && !name.starts_with("OTEL_")).then(|| "s".to_owned());
    let Ok(file) = pointsman::config::parse_file(text, &env, &no_files) else { return Ok(()) };
    let mut lists = serde_json::Map::new();
    for (kind, _, document) in file.documents.iter() {
        let list = lists.entry(kind.list()).or_insert_with(|| json!([]));
        list.as_array_mut().into_iter().for_each(|list| list.push(Value::Object(document.fields())));
    }
    seed("documents", name, Value::Object(lists).to_string())
}

/// Steps of a journal, and the rows that they make.
fn store() -> std::io::Result<()> {
    let alias = json!({"name": "a", "strategy": "priority", "targets": [{"model": "m"}]});
    let document = Document::from_text(&alias.to_string());
    let key = json!({"name": "k", "project": "default", "secrets": [], "created_ms": 1, "created_by": "me", "budget": ["$1/day"]});
    let entry = Entry {
        documents: vec![DocumentEdit { kind: Kind::Alias, name: "a".into(), to: document, was: None }],
        keys: serde_json::from_value(key)
            .ok()
            .map(|to| KeyEdit { name: "k".into(), to: Some(to) })
            .into_iter()
            .collect(),
        secrets: [("p".to_owned(), "v1.x".to_owned())].into(),
        ..Entry::default()
    };
    let step = Step::new(&Position::default(), &entry);
    seed("replicas", "step", &step.text)?;
    let mut lines = format!("+{}\n", step.text);
    for edit in entry.row_edits() {
        if let RowEdit::Put(row) = edit {
            lines.push_str(&format!("{}{}\t{}\n", &row.table.as_str()[..1], row.name, row.text));
        }
    }
    lines.push_str("sseen:d\t0\nskey:k\td\nsalias:a\t{\"name\":\"a\"}\n");
    seed("store", "entry", lines)
}

/// What clients and providers say in headers.
fn headers() -> std::io::Result<()> {
    for (name, lines) in [
        (
            "openai",
            "authorization: Bearer pm-1\nx-pointsman-only: a, b\nx-pointsman-order: m@c\nx-pointsman-ignore: d\n",
        ),
        (
            "anthropic",
            "x-api-key: pm-1\nx-pointsman-max-attempts: 3\nx-pointsman-timeout-ms: 1500\nx-pointsman-category: math\n",
        ),
        ("form", "api-key: k\ncontent-type: multipart/form-data; charset=utf-8; boundary=\"x y\"\n"),
        (
            "openai-limits",
            "x-ratelimit-limit-requests: 60\nx-ratelimit-remaining-requests: 59\nx-ratelimit-reset-requests: 1h2m3.5s\nx-ratelimit-limit-tokens: 150000\nx-ratelimit-remaining-tokens: 149984\nx-ratelimit-reset-tokens: 6m0s\n",
        ),
        (
            "anthropic-limits",
            "anthropic-ratelimit-requests-limit: 50\nanthropic-ratelimit-requests-remaining: 0\nanthropic-ratelimit-requests-reset: 2026-11-24T07:14:26.123+01:00\nanthropic-ratelimit-input-tokens-limit: 1000\nanthropic-ratelimit-input-tokens-remaining: 900\nanthropic-ratelimit-output-tokens-limit: 1000\nanthropic-ratelimit-output-tokens-remaining: 10\nanthropic-ratelimit-tokens-reset: 2026-11-24T07:14:26Z\n",
        ),
        ("after", "retry-after: Sun, 06 Nov 2094 08:49:37 GMT\nretry-after-ms: 17.5\n"),
        ("after-seconds", "retry-after: 1e3\n"),
    ] {
        seed("headers", name, lines)?;
    }
    let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\ntracestate: rojo=00f067aa0ba902b7, congo=t61rcWkgMzE\n";
    seed("headers", "trace", trace)
}

/// Answers of HTTP/1.1, and of Redis.
fn connections() -> std::io::Result<()> {
    for (name, answer) in [
        ("sized", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
        (
            "chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
        ),
        ("both", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n\r\n1\r\na\r\n0\r\n\r\n"),
        (
            "interim",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        ),
        ("old", "HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"),
        ("close", "HTTP/1.1 500 \r\nConnection: close\r\n\r\nto the end"),
        ("twice", "\r\nHTTP/1.1 200 OK\nContent-Length: 1, 1\nContent-Length: 1\n\naHTTP/1.1 200 OK\r\n"),
    ] {
        in_pieces("http1", name, answer)?;
    }
    for (name, answer) in [
        (
            "slots",
            "*2\r\n*3\r\n:0\r\n:8191\r\n*3\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n*3\r\n:8192\r\n:16383\r\n*2\r\n_\r\n:7001\r\n",
        ),
        ("moved", "-MOVED 3999 127.0.0.1:6381\r\n"),
        ("ask", "*2\r\n+OK\r\n-ASK 3999 :6381\r\n"),
        ("later", "-TRYAGAIN Multiple keys request during rehashing of slot\r\n"),
        ("sentinel", "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n"),
        ("beat", "*3\r\n+PONG\r\n*2\r\n$10\r\n1795504456\r\n$6\r\n123456\r\n*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n"),
        ("cluster", "*3\r\n-LOADING x\r\n*2\r\n:1\r\n:2\r\n=22\r\ntxt:cluster_state:fail\r\n\r\n"),
        ("push", ">2\r\n$1\r\nc\r\n$3\r\nabc\r\n"),
        ("rows", "*2\r\n*3\r\n$1\r\na\r\n:5\r\n$2\r\nxy\r\n*3\r\n$1\r\nb\r\n:6\r\n$0\r\n\r\n"),
        ("map", "%1\r\n+a\r\n~1\r\n#t\r\n"),
    ] {
        seed("redis", name, answer)?;
    }
    Ok(())
}

fn texts() -> std::io::Result<()> {
    let mut rng = rand::rng();
    let key = MasterKey::generate(&mut rng);
    let text = key.to_text().expose_secret().to_owned();
    if let Ok(keys) = text.parse::<MasterKeys>() {
        seed("texts", "sealed", keys.seal("p", &"sk-1".to_owned().into(), &mut rng).to_string())?;
    }
    seed("texts", "key", &text)?;
    for (name, text) in [
        ("budget", "$0.25/week"),
        ("day", "2026-11-24"),
        ("redis", "rediss://user:pass@[::1]:6380/3"),
        ("cluster", "redis+cluster://:pass@a:1,b"),
        ("sentinel", "redis+sentinel://a:1,b/master/2"),
        ("unix", "unix:///run/redis.sock?db=2"),
        ("category", "Content-Writing"),
        (
            "row",
            r#"{"messages":[{"role":"user","content":[{"text":"a"}]},{"role":"assistant","content":"b"}],"category":"math"}"#,
        ),
        ("chat", "[system] a\n[user] b\nc\n[assistant] d\n[user] e"),
    ] {
        seed("texts", name, text)?;
    }
    Ok(())
}

/// Operations on a share of a limit.
fn numbers() -> std::io::Result<()> {
    let limits = [0u8, 60, 1, 3, 232, 0, 5, 0, 50];
    let waiting = [0, 9, 0, 20, 0, 1, 0, 2];
    let grant = [2, 0, 3, 0, 1, 0, 5, 0, 9, 0, 1, 1, 1, 0, 0, 9, 0, 1];
    let spend = [5, 0, 1, 0, 2, 0, 3, 0, 9, 0, 4];
    let rest = [0, 0, 7, 8, 0, 1, 9, 0, 2, 10, 0, 3, 11, 1, 4, 0, 1, 3, 0, 4, 6, 7, 2, 3, 255];
    seed("quota", "life", [&limits[..], &waiting, &grant, &spend, &rest].concat())
}

fn prompts() -> std::io::Result<()> {
    for (at, prompt) in [
        "Write a Python function that reverses a linked list.",
        "[system] You are terse.\n[user] Schreibe ein Gedicht über den Herbst.\n[assistant] Nein.\n[user] Bitte!",
        "SELECT * FROM t;\n\tfn main() { println!(\"1\"); }",
        "日本語 e\u{301} \u{200b}\u{1f600}",
    ]
    .iter()
    .enumerate()
    {
        seed("classify", &at.to_string(), prompt)?;
    }
    let own = json!([
        {"name": "math"},
        {"name": "harbours", "description": "Ships and their berths.", "examples": ["When does the ferry leave?"], "threshold": 0.4},
        {"name": "more", "examples": ["a b c", "d e f"], "margin": 0.1},
    ]);
    seed("categories", "own", own.to_string())
}
