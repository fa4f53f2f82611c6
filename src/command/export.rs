//! `pointsman export`: the configuration as a file, to be kept, compared and applied.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value as Json;

use super::Task;
use super::client::Gateway;
use super::failure::Failure;
use super::request::Request;
use super::screen::{Said, Screen};

/// Where to.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// The file that it is written to, in the place of what was there; standard output, if
    /// it is not given.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Task for Export {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let request = Request::get(&["export"]);
        let text = if screen.json {
            let answer = gateway.ask::<Json>(&request.query("format", Some("json"))).await?;
            format!("{:#}\n", answer.raw)
        } else {
            gateway.text(&request).await?
        };
        let Some(path) = self.out else { return Ok(Said { text, ..Said::default() }) };
        match std::fs::write(&path, text) {
            Ok(()) => Ok(Said::default().remark(format!("written to {}", path.display()))),
            Err(error) => Err(Failure::File { path, error }),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;
    use crate::command::tests_support::{PIPE, StandIn, answer, args};

    #[tokio::test]
    async fn an_export_goes_to_a_file_or_is_printed() {
        let stand_in = StandIn::start(|asked| match asked.line.ends_with("?format=json") {
            true => answer(200, serde_json::json!({"aliases": []})),
            false => "[[aliases]]\n".into_response(),
        })
        .await;
        let run = async |line: &[&str], screen: &Screen| {
            args::<Export>(line).unwrap().run(&stand_in.gateway(), screen).await.unwrap()
        };
        assert_eq!(run(&[], &PIPE).await.text, "[[aliases]]\n");
        assert_eq!(run(&[], &Screen { json: true, ..PIPE }).await.text, "{\n  \"aliases\": []\n}\n");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.toml");
        assert_eq!(run(&["--out", path.to_str().unwrap()], &PIPE).await.text, "");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "[[aliases]]\n");
    }
}
