//! Where does an answer go, and how does it have to look there? On a terminal it fits its
//! width and may have colours; in a pipe it has neither, so that it looks the same wherever
//! it goes.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use super::exit::Exit;
use super::failure::Failure;
use crate::clock::Clock;
use crate::domain::time::UnixMillis;

/// How answers are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Screen {
    /// As JSON, just as the gateway says it.
    pub json: bool,
    /// As wide as this; `None` is as wide as it has to be.
    pub width: Option<u16>,
    /// In colours.
    pub colours: bool,
    /// What "ago" is counted from.
    pub now: UnixMillis,
}

impl Screen {
    /// That of this process.
    pub fn of_this_process(json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let size = terminal.then(terminal_size::terminal_size).flatten();
        // https://no-color.org: set and not empty.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = size.map(|(width, _)| width.0);
        Self { json, width, colours: terminal && !plain, now: Clock::new().now() }
    }

    /// An answer of the gateway: as it is, or as `tell` tells it to people.
    pub fn show(&self, answer: &Value, tell: impl FnOnce() -> String) -> Said {
        let text = match answer {
            _ if !self.json => tell(),
            Value::Null => String::new(),
            answer => format!("{answer:#}\n"),
        };
        Said { text, ..Said::default() }
    }
}

/// What a command says at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// What it was asked for, for standard output.
    pub text: String,
    /// What should be known beside it, for standard error, a line each.
    pub remarks: Vec<String>,
    /// How it ended.
    pub exit: Exit,
}

impl Default for Said {
    fn default() -> Self {
        Self { text: String::new(), remarks: Vec::new(), exit: Exit::Done }
    }
}

impl Said {
    /// With one more remark.
    #[must_use]
    pub fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remarks.push(remark.into());
        self
    }

    /// With another end.
    #[must_use]
    pub fn exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }
}

/// Writes to standard output. Whoever closes the pipe early has seen enough.
pub fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Ends a command: says what there is to say.
pub fn end(said: Result<Said, Failure>) -> ExitCode {
    match said {
        Ok(said) => {
            print(&said.text);
            for remark in &said.remarks {
                eprintln!("{remark}");
            }
            said.exit.into()
        }
        Err(failure) => {
            eprintln!("pointsman: {failure}");
            failure.exit().into()
        }
    }
}
