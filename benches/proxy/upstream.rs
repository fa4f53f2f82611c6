//! The simulated upstream: answers that were written once, in a process of its own.
//!
//! `pointsman simulate` does the same and more, and reads every request as a provider
//! would; here the upstream shares a core with the load generator and must cost less than
//! the fastest proxy, so it only looks at what decides the answer.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use memchr::memmem;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::http;

/// A request that names this model gets the beginning of a stream and then silence.
pub const SLOW_MODEL: &str = "mock-slow";
/// Pieces of content in a stream.
pub const TOKENS: usize = 50;
/// Events of an OpenAI stream: the role, the tokens, the end of the text, `[DONE]`.
pub const OPENAI_EVENTS: usize = TOKENS + 3;
/// Bytes of an answer that is not streamed.
pub const ANSWER_BYTES: usize = 1024;

const PACE: Duration = Duration::from_millis(1);

/// What is sent, ready with its framing.
struct Answers {
    openai: Protocol,
    anthropic: Protocol,
}

struct Protocol {
    /// Head and body.
    whole: Vec<u8>,
    /// The head, the preamble and the first token.
    begin: Vec<u8>,
    /// One token.
    token: Vec<u8>,
    /// The end of the stream; OpenAI's without and with usage.
    end: [Vec<u8>; 2],
}

/// Serves until the process ends; says on stdout where.
pub async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    println!("{}", listener.local_addr()?);
    let answers: &'static Answers = Box::leak(Box::new(Answers { openai: openai(), anthropic: anthropic() }));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(async move {
            // A proxy that closes its connection is no news.
            let _ = connection(stream, answers).await;
        });
    }
}

async fn connection(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    loop {
        let Some(head) = http::head_length(&buffer) else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let Some(length) = http::content_length(&buffer[..head]) else {
            return Err(std::io::Error::other("a request without a length"));
        };
        while buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let anthropic = buffer.starts_with(b"POST /v1/messages");
        let answer = if anthropic { &answers.anthropic } else { &answers.openai };
        let body = &buffer[head..head + length];
        let has = |text: &str| memmem::find(body, text.as_bytes()).is_some();
        let (streamed, slow, usage) = (has(r#""stream":true"#), has(SLOW_MODEL), has(r#""include_usage":true"#));
        buffer.advance(head + length);
        if slow {
            stream.write_all(&answer.begin).await?;
            return stream.read_buf(&mut buffer).await.map(|_| ());
        }
        if !streamed {
            stream.write_all(&answer.whole).await?;
            continue;
        }
        let started = Instant::now();
        stream.write_all(&answer.begin).await?;
        for at in 1..TOKENS as u32 {
            tokio::time::sleep_until(started + PACE * at).await;
            stream.write_all(&answer.token).await?;
        }
        stream.write_all(&answer.end[usize::from(usage)]).await?;
    }
}

const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

fn whole(body: &Value, pad: impl Fn(&str) -> Value) -> Vec<u8> {
    let missing = ANSWER_BYTES.saturating_sub(body.to_string().len());
    let body = pad(&"x".repeat(missing)).to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// Events as one chunk each.
fn chunks(events: &[String]) -> Vec<u8> {
    events.iter().map(|event| format!("{:x}\r\n{event}\r\n", event.len())).collect::<String>().into_bytes()
}

fn openai() -> Protocol {
    let answer = |text: &str| {
        json!({
            "id": "chatcmpl-bench", "object": "chat.completion", "created": 1_700_000_000, "model": "mock",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
        })
    };
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "mock",
            "system_fingerprint": "fp_bench", "choices": choices
        });
        if !usage.is_null() {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish: Value| {
        chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]), Value::Null)
    };
    let role = choice(json!({"role": "assistant", "content": ""}), Value::Null);
    let token = choice(json!({"content": " token"}), Value::Null);
    let finish = choice(json!({}), json!("stop"));
    let usage = chunk(json!([]), json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}));
    let done = "data: [DONE]\n\n".to_owned();
    let end = |events: &[String]| [chunks(events), b"0\r\n\r\n".to_vec()].concat();
    Protocol {
        whole: whole(&answer(""), answer),
        begin: [STREAM_HEAD.as_bytes(), &chunks(&[role, token.clone()])].concat(),
        token: chunks(&[token]),
        end: [end(&[finish.clone(), done.clone()]), end(&[finish, usage, done])],
    }
}

fn anthropic() -> Protocol {
    let usage = json!({"input_tokens": 100, "output_tokens": 50});
    let answer = |text: &str| {
        json!({
            "id": "msg_bench", "type": "message", "role": "assistant", "model": "mock",
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 100, "output_tokens": 50}
        })
    };
    let event = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    let start = event(json!({"type": "message_start", "message": {
        "id": "msg_bench", "type": "message", "role": "assistant", "model": "mock", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 100, "output_tokens": 1}
    }}));
    let block =
        event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}));
    let token =
        event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " token"}}));
    let end = [
        event(json!({"type": "content_block_stop", "index": 0})),
        event(
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": usage}),
        ),
        event(json!({"type": "message_stop"})),
    ];
    let end = [chunks(&end), b"0\r\n\r\n".to_vec()].concat();
    Protocol {
        whole: whole(&answer(""), answer),
        begin: [STREAM_HEAD.as_bytes(), &chunks(&[start, block, token.clone()])].concat(),
        token: chunks(&[token]),
        end: [end.clone(), end],
    }
}
