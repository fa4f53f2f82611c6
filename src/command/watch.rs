//! `pointsman watch`: changes of the configuration, and targets that come and go, as it
//! happens. A connection that breaks is made again.

use std::time::Duration;

use clap::Args;
use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};

use super::Task;
use super::client::Gateway;
use super::failure::Failure;
use super::history::touched;
use super::request::Request;
use super::screen::{Said, Screen, print};
use super::words::{moment, plain};
use crate::api::revision::RevisionReport;

/// For how long.
#[derive(Clone, Debug, Args)]
pub struct Watch {
    /// End after so many events; without it, with Ctrl-C.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// How long it takes until a broken connection is made again; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Task for Watch {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let mut watching = Watching { left: self.count, last: None, screen };
        // That nobody answers at all is told at once.
        let mut stream = gateway.events(&events(), None).await?;
        let mut pause = FIRST_PAUSE;
        loop {
            if watching.follow(stream).await {
                return Ok(Said::default());
            }
            stream = loop {
                tokio::time::sleep(pause).await;
                match gateway.events(&events(), watching.last).await {
                    Ok(stream) => break stream,
                    Err(failure @ Failure::Unreachable { .. }) => {
                        eprintln!("{}; trying again", failure.to_string().lines().next().unwrap_or_default());
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                    // It will not get better by itself.
                    Err(failure) => return Err(failure),
                }
            };
            pause = FIRST_PAUSE;
        }
    }
}

fn events() -> Request {
    Request::get(&["events"])
}

/// What has been seen so far.
#[derive(Debug)]
struct Watching<'s> {
    left: Option<u64>,
    /// The last event that has a number.
    last: Option<u64>,
    screen: &'s Screen,
}

impl Watching<'_> {
    /// Prints what comes; whether it was enough before the end of the stream.
    async fn follow(&mut self, stream: reqwest::Response) -> bool {
        let mut chunks = stream.bytes_stream();
        let mut parser = Parser::default();
        while self.left != Some(0) {
            // Whatever broke it, the next one says.
            let Some(Ok(chunk)) = chunks.next().await else { return false };
            for event in parser.take(&chunk) {
                if self.left == Some(0) {
                    break;
                }
                self.left = self.left.map(|left| left - 1);
                self.last = event.id.or(self.last);
                print(&line(&event, self.screen));
            }
        }
        true
    }
}

/// One event.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Event {
    name: String,
    id: Option<u64>,
    data: String,
}

/// Reads server-sent events from pieces that end anywhere.
#[derive(Debug, Default)]
struct Parser {
    buffer: Vec<u8>,
    event: Event,
}

impl Parser {
    fn take(&mut self, chunk: &[u8]) -> Vec<Event> {
        self.buffer.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            self.line(line.trim_end_matches(['\n', '\r']), &mut events);
        }
        events
    }

    fn line(&mut self, line: &str, events: &mut Vec<Event>) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            events.extend(Some(event).filter(|event| !event.data.is_empty()));
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.name = value.to_owned(),
            "id" => self.event.id = value.parse().ok(),
            "data" if self.event.data.is_empty() => self.event.data = value.to_owned(),
            "data" => self.event.data = format!("{}\n{value}", self.event.data),
            _ => {}
        }
    }
}

/// An event as a line.
fn line(event: &Event, screen: &Screen) -> String {
    let data: Json = serde_json::from_str(&event.data).unwrap_or_else(|_| Json::from(event.data.as_str()));
    if screen.json {
        return format!("{}\n", json!({"event": event.name, "data": data}));
    }
    let at = data["at_ms"].as_u64().map_or_else(|| moment(screen.now.0), moment);
    let what = match event.name.as_str() {
        "revision" => revision(&data),
        "target" => {
            let field = |name: &str| data[name].as_str().unwrap_or("?").to_owned();
            format!("target {}: {}", field("target"), field("state"))
        }
        other => format!("{other} {data}"),
    };
    format!("{at}  {}\n", plain(&what))
}

fn revision(data: &Json) -> String {
    let Ok(revision) = serde_json::from_value::<RevisionReport>(data.clone()) else {
        return format!("revision {data}");
    };
    let note = revision.note.map(|note| format!(" ({note})")).unwrap_or_default();
    let RevisionReport { number, author, via, changes, .. } = revision;
    format!("revision {number} by {author} ({via}): {}{note}", touched(&changes))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use proptest::prelude::*;

    use super::*;
    use crate::api::revision::Touched;
    use crate::command::tests_support::{PIPE, StandIn, args};

    fn revision_event(number: u64) -> String {
        let changes = vec![Touched { kind: "alias".into(), name: "chat".into(), action: "changed".into() }];
        let report = RevisionReport {
            number,
            at_ms: PIPE.now.0,
            author: "ann".into(),
            via: "cli".into(),
            note: Some("why".into()),
            changes,
        };
        format!(": alive\n\nevent: revision\nid: {number}\ndata: {}\n\n", serde_json::to_string(&report).unwrap())
    }

    #[test]
    fn events_are_a_line_each() {
        let events = Parser::default().take(revision_event(13).as_bytes());
        assert_eq!(line(&events[0], &PIPE), "2026-11-01T12:00:00Z  revision 13 by ann (cli): alias chat (why)\n");
        let target = Event {
            name: "target".into(),
            id: None,
            data: r#"{"target":"m@a","state":"cooling_down","at_ms":1793534400000}"#.into(),
        };
        assert_eq!(line(&target, &PIPE), "2026-11-01T12:00:00Z  target m@a: cooling_down\n");
        let told: Json = serde_json::from_str(&line(&events[0], &Screen { json: true, ..PIPE })).unwrap();
        assert_eq!((&told["event"], &told["data"]["number"]), (&json!("revision"), &json!(13)));
    }

    #[tokio::test]
    async fn a_broken_connection_is_made_again_behind_the_last_event() {
        let stand_in = StandIn::start(|asked| {
            let number = if asked.header("last-event-id").is_empty() { 13 } else { 14 };
            ([("content-type", "text/event-stream")], revision_event(number)).into_response()
        })
        .await;
        let watch = args::<Watch>(&["--count", "2"]).unwrap();
        assert_eq!(watch.run(&stand_in.gateway(), &PIPE).await.unwrap(), Said::default());
        let asked = stand_in.asked();
        assert_eq!((asked.len(), asked[1].header("last-event-id")), (2, "13"));
    }

    #[tokio::test]
    async fn what_is_no_stream_is_told_at_once() {
        let stand_in = StandIn::start(|_| "hello".into_response()).await;
        let failure = args::<Watch>(&[]).unwrap().run(&stand_in.gateway(), &PIPE).await.unwrap_err();
        assert!(matches!(failure, Failure::NotAdmin { .. }), "{failure}");
    }

    proptest! {
        #[test]
        fn pieces_make_the_same_events(sizes in prop::collection::vec(1usize..40, 1..60)) {
            let text = revision_event(13) + &revision_event(14) + "event: target\r\ndata: {}\r\n\r\n";
            let whole = Parser::default().take(text.as_bytes());
            prop_assert_eq!(whole.len(), 3);
            let (mut parser, mut rest, mut events) = (Parser::default(), text.as_bytes(), Vec::new());
            for size in sizes.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, others) = rest.split_at(size.min(rest.len()));
                events.extend(parser.take(piece));
                rest = others;
            }
            prop_assert_eq!(events, whole);
        }

        #[test]
        fn anything_is_read(bytes in prop::collection::vec(any::<u8>(), 0..200), name in ".{0,9}", data in ".{0,40}") {
            let _ = Parser::default().take(&bytes);
            let text = line(&Event { name, id: None, data }, &PIPE);
            prop_assert_eq!(text.lines().count(), 1);
        }
    }
}
