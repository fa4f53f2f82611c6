//! `pointsman apply`: makes the configuration what a file says, and shows the difference.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value as Json};

use super::Task;
use super::change::{How, told, warnings};
use super::client::{Answer, Gateway};
use super::document::read_text;
use super::failure::Failure;
use super::request::{Condition, Request};
use super::screen::{Said, Screen};
use super::words::plain;
use crate::api::change::ChangeReport;
use crate::api::resource::DocumentLists;
use crate::config::{Documents, FileToApply, Kind, Problem, Problems};

/// What is applied, and how.
#[derive(Clone, Debug, Args)]
pub struct Apply {
    /// A configuration file, or `-` for standard input. What it says of `[server]` and
    /// `[store]` is passed over.
    file: PathBuf,
    /// Take out the providers, models, projects and aliases that it does not have. Keys stay.
    #[arg(long)]
    prune: bool,
    /// Only if this is still the latest revision of the configuration.
    #[arg(long, value_name = "N")]
    if_revision: Option<u64>,
    #[command(flatten)]
    how: How,
}

impl Apply {
    fn request(&self, file: &FileToApply) -> Request {
        let request = Request::post(&["apply"], lists(&file.documents, &file.keys)).flag("prune", self.prune);
        self.how.of(request).on(self.if_revision.map_or(Condition::None, Condition::Revision))
    }
}

impl Task for Apply {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let text = read_text(&self.file)?;
        let file = FileToApply::read(&text, &self.file).map_err(Failure::Wrong)?;
        let answer: Answer<ChangeReport> =
            gateway.ask(&self.request(&file)).await.map_err(|failure| placed(failure, &file, &self.file))?;
        let mut said = told(&answer, screen);
        if screen.json {
            return Ok(said);
        }
        if self.prune {
            said.text.push_str(&gone(&answer.read));
        }
        let shown = self.file.display().to_string();
        let warnings = warnings(&answer.read).map(|warning| at_its_place(warning, &file));
        let warnings = file.warnings.iter().cloned().chain(warnings);
        said.remarks = warnings.map(|warning| format!("warning: {}", warning.in_file(&shown))).collect();
        let passed_over = file
            .passed_over
            .iter()
            .map(|table| format!("{shown}: [{table}] is of the gateway's own file, and passed over"));
        said.remarks.extend(passed_over);
        Ok(said)
    }
}

fn lists(documents: &Documents, keys: &[Map<String, Json>]) -> DocumentLists {
    let of = |kind| documents.of(kind).map(|(_, document)| document.fields()).collect();
    DocumentLists {
        providers: of(Kind::Provider),
        models: of(Kind::Model),
        projects: of(Kind::Project),
        aliases: of(Kind::Alias),
        keys: keys.to_vec(),
    }
}

fn at_its_place(problem: Problem, file: &FileToApply) -> Problem {
    Problem { place: file.place(&problem.path), ..problem }
}

/// The failure, its problems with their lines in the file.
fn placed(failure: Failure, file: &FileToApply, path: &Path) -> Failure {
    match failure {
        Failure::Refused(mut refusal) if !refusal.body.problems.is_empty() => {
            let mut list: Vec<Problem> = refusal.problems().map(|problem| at_its_place(problem, file)).collect();
            list.sort_by_key(|problem| problem.place);
            refusal.placed = Some(Problems { file: Some(path.display().to_string()), list });
            Failure::Refused(refusal)
        }
        other => other,
    }
}

/// What is taken out, a line each.
fn gone(report: &ChangeReport) -> String {
    let verb = if report.dry_run { "would be taken out" } else { "taken out" };
    let gone = report.changes.iter().filter(|change| change.after.is_none());
    gone.map(|change| format!("{verb}: {} {}\n", plain(&change.kind), plain(&change.name))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::change::Change;
    use crate::api::error::{ErrorBody, ProblemReport};
    use crate::command::exit::Exit;
    use crate::command::tests_support::{PIPE, StandIn, answer, args};

    const TEXT: &str = "[store]\npath = \"x\"\n\n[[aliases]]\nname = \"chat\"\nstrategy = \"priorty\"\ntargets = [{ model = \"m\" }]\n";

    fn file(folder: &tempfile::TempDir) -> String {
        let path = folder.path().join("a.toml");
        std::fs::write(&path, TEXT).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_file_is_sent_and_the_difference_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let removed = Change { kind: "alias".into(), name: "old".into(), ..Change::default() };
        let changed = Change { name: "chat".into(), after: Some(Map::new()), ..removed.clone() };
        let report = ChangeReport {
            revision: 5,
            dry_run: true,
            changes: vec![removed, changed],
            diff: "--- alias old\n+++ /dev/null\n".into(),
            warnings: vec![ProblemReport {
                path: "aliases.chat.strategy".into(),
                message: "hm".into(),
                ..ProblemReport::default()
            }],
            unconfirmed: Vec::new(),
        };
        let stand_in = StandIn::start(move |_| answer(200, &report)).await;
        let apply = args::<Apply>(&[&file, "--prune", "--dry-run", "--if-revision", "5", "--note", "why"]).unwrap();
        let said = apply.run(&stand_in.gateway(), &PIPE).await.unwrap();
        assert_eq!(
            said.text,
            "--- alias old\n+++ /dev/null\na dry run: 2 aliases would change after revision 5\nwould be taken out: alias old\n"
        );
        assert_eq!(
            said.remarks,
            [
                format!("warning: {file}:6:12: aliases.chat.strategy: hm"),
                format!("{file}: [store] is of the gateway's own file, and passed over"),
            ]
        );
        let asked = &stand_in.asked()[0];
        assert_eq!(asked.line, "POST /admin/v1/apply?prune=true&dry_run=true&note=why");
        assert_eq!(asked.header("if-match"), "\"5\"");
        let lists: DocumentLists = serde_json::from_value(asked.body.clone()).unwrap();
        assert_eq!((lists.aliases.len(), lists.providers.len()), (1, 0));
    }

    #[tokio::test]
    async fn what_the_gateway_finds_wrong_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let problem =
            |path: &str| ProblemReport { path: path.into(), message: "is wrong".into(), ..ProblemReport::default() };
        let problems =
            vec![problem("aliases.chat.targets[0].model"), problem("aliases.chat.strategy"), problem("elsewhere")];
        let body = json!({"error": ErrorBody { code: "invalid".into(), problems, ..ErrorBody::default() }});
        let stand_in = StandIn::start(move |_| answer(422, &body)).await;
        let failure = args::<Apply>(&[&file]).unwrap().run(&stand_in.gateway(), &PIPE).await.unwrap_err();
        let lines: Vec<String> = failure.to_string().lines().skip(1).map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "elsewhere: is wrong".to_owned(),
                format!("{file}:6:12: aliases.chat.strategy: is wrong"),
                format!("{file}:7:22: aliases.chat.targets[0].model: is wrong"),
            ]
        );
        assert_eq!(failure.exit(), Exit::Refused);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_sent_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wrong.toml");
        std::fs::write(&path, "aliases = 5\n").unwrap();
        let stand_in = StandIn::start(|_| answer(200, ChangeReport::default())).await;
        let run = async |path: &Path| {
            args::<Apply>(&[path.to_str().unwrap()]).unwrap().run(&stand_in.gateway(), &PIPE).await.unwrap_err()
        };
        let wrong = run(&path).await;
        assert_eq!(
            (wrong.exit(), wrong.to_string().contains("wrong.toml:1:11: aliases: is an integer")),
            (Exit::Refused, true),
            "{wrong}"
        );
        assert_eq!(run(&folder.path().join("absent.toml")).await.exit(), Exit::NotAsked);
        assert!(stand_in.asked().is_empty());
    }
}
