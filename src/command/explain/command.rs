//! `pointsman explain`: asks a running gateway where a request would go, and why.

use clap::Args;

use super::table::table;
use crate::api::decision::{DecisionReport, ExplainRequest};
use crate::command::Task;
use crate::command::client::{Answer, Gateway};
use crate::command::exit::Exit;
use crate::command::failure::Failure;
use crate::command::request::Request;
use crate::command::screen::{Said, Screen};

/// The question.
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// The alias, or a model that may be called directly.
    alias: String,
    /// What a caller would ask; what counts is how long it is and, where the alias is of
    /// categories, what it asks for.
    #[arg(default_value = "")]
    prompt: String,
    /// The caller would want the answer as a stream.
    #[arg(long, overrides_with = "no_stream")]
    stream: bool,
    /// The caller would want the answer whole; this is usual.
    #[arg(long, overrides_with = "stream")]
    no_stream: bool,
    /// The longest answer the caller would take, in tokens.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_tokens: Option<u64>,
    /// The caller would have this key, by its name: its rights and its usage count.
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
}

impl Explain {
    fn request(&self) -> Request {
        let question = ExplainRequest {
            alias: self.alias.clone(),
            prompt: self.prompt.clone(),
            messages: None,
            stream: self.stream && !self.no_stream,
            max_tokens: self.max_tokens,
            key: self.key.clone(),
            document: None,
        };
        Request::post(&["explain"], question)
    }
}

impl Task for Explain {
    /// Ends well if somebody could serve such a request.
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let answer: Answer<DecisionReport> = gateway.ask(&self.request()).await?;
        let exit = if answer.read.candidates.is_empty() { Exit::Refused } else { Exit::Done };
        Ok(screen.show(&answer.raw, || table(&answer.read)).exit(exit))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::decision::{CandidateReport, EXPLAIN_PATH};
    use crate::command::tests_support::{PIPE, StandIn, answer, args};

    fn question(line: &[&str]) -> Value {
        args::<Explain>(line).unwrap().request().body.unwrap()
    }

    #[test]
    fn the_question_is_what_was_typed() {
        assert_eq!(question(&["chat"]), json!({"alias": "chat", "prompt": "", "stream": false, "max_tokens": null}));
        assert_eq!(
            question(&["chat", "Hello?", "--stream", "--max-tokens", "50", "--key", "shop"]),
            json!({"alias": "chat", "prompt": "Hello?", "stream": true, "max_tokens": 50, "key": "shop"})
        );
        assert_eq!(question(&["chat", "--stream", "--no-stream"])["stream"], false, "the last one wins");
        assert_eq!(question(&["chat", "--no-stream", "--stream"])["stream"], true);
    }

    async fn asked(report: Value, screen: &Screen) -> Said {
        let stand_in = StandIn::start(move |_| answer(200, &report)).await;
        let said = args::<Explain>(&["chat"]).unwrap().run(&stand_in.gateway(), screen).await.unwrap();
        assert_eq!(stand_in.lines(), [format!("POST {EXPLAIN_PATH}")]);
        said
    }

    #[tokio::test]
    async fn somebody_and_nobody_are_told_apart() {
        let nobody = asked(json!(DecisionReport::default()), &PIPE).await;
        assert_eq!(nobody.exit, Exit::Refused);
        assert!(nobody.text.ends_with("nobody can serve it now\n"), "{}", nobody.text);
        let candidates = vec![CandidateReport { target: "m@a".into(), ..CandidateReport::default() }];
        let somebody = asked(json!(DecisionReport { candidates, ..DecisionReport::default() }), &PIPE).await;
        assert_eq!(somebody.exit, Exit::Done);
    }

    #[tokio::test]
    async fn what_a_newer_gateway_says_beyond_is_kept_for_json() {
        let mut report = json!(DecisionReport::default());
        report["later"] = json!(1);
        let said = asked(report.clone(), &Screen { json: true, ..PIPE }).await;
        assert_eq!(serde_json::from_str::<Value>(&said.text).unwrap(), report);
    }
}
