//! How is a change asked for, and how is it told what it changed? The arguments that all
//! changes share, and their common answer: a diff and a revision.

use clap::Args;

use super::client::{Answer, Gateway};
use super::failure::{Failure, problem};
use super::request::{Condition, Request};
use super::screen::{Said, Screen};
use super::words::{many, plain, plain_lines};
use crate::api::change::ChangeReport;
use crate::config::{Problem, path_of};

/// What is said of a change.
#[derive(Clone, Debug, Default, Args)]
pub struct Note {
    /// What the history says of the change.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// How a change is made.
#[derive(Clone, Debug, Default, Args)]
pub struct How {
    /// Only show what would change.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    note: Note,
}

/// How something that is there is changed.
#[derive(Clone, Debug, Default, Args)]
pub struct Edit {
    /// Only if this revision, as `show` tells it, is still the one that changed it last.
    #[arg(long, value_name = "N")]
    if_revision: Option<u64>,
    #[command(flatten)]
    how: How,
}

impl Note {
    /// The request, with it.
    pub fn of(&self, request: Request) -> Request {
        request.query("note", self.note.as_deref())
    }
}

impl How {
    /// The request, made in that way.
    pub fn of(&self, request: Request) -> Request {
        self.note.of(request.flag("dry_run", self.dry_run))
    }
}

impl Edit {
    /// The request, made in that way; `otherwise` is its condition where none was given.
    pub fn of_or(&self, request: Request, otherwise: Condition) -> Request {
        self.how.of(request).on(self.if_revision.map_or(otherwise, Condition::Revision))
    }

    /// The request, made in that way.
    pub fn of(&self, request: Request) -> Request {
        self.of_or(request, Condition::None)
    }
}

/// Asks for a change, and tells what it changed.
///
/// # Errors
/// If it was not made.
pub async fn change(gateway: &Gateway, screen: &Screen, request: &Request) -> Result<Said, Failure> {
    Ok(told(&gateway.ask(request).await?, screen))
}

/// What a change changed.
pub fn told(answer: &Answer<ChangeReport>, screen: &Screen) -> Said {
    let said = screen.show(&answer.raw, || text(&answer.read, screen.colours));
    if screen.json {
        return said;
    }
    let warnings = warnings(&answer.read).map(|warning| format!("warning: {warning}"));
    let late = answer.read.unconfirmed.iter();
    let late = late.map(|late| format!("warning: replica {:?} may not serve it yet: {}", late.replica, late.why));
    warnings.chain(late).fold(said, |said, warning| said.remark(warning))
}

/// What is probably not meant of that which changed. What was doubtful before is no news.
pub fn warnings(report: &ChangeReport) -> impl Iterator<Item = Problem> {
    let changed: Vec<String> = report.changes.iter().map(|change| path_of(&change.kind, &change.name)).collect();
    let is_news = move |path: &str| {
        changed.iter().any(|changed| {
            path.strip_prefix(changed.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    };
    report.warnings.iter().filter(move |warning| is_news(&warning.path)).map(problem)
}

fn text(report: &ChangeReport, colours: bool) -> String {
    let ChangeReport { revision, dry_run, changes, diff, .. } = report;
    let end = match (changes.is_empty(), dry_run) {
        (true, _) => format!("nothing to change at revision {revision}\n"),
        (false, true) => format!("a dry run: {} would change after revision {revision}\n", things(report)),
        (false, false) => format!("revision {revision}: {} changed\n", things(report)),
    };
    diff_text(diff, colours) + &end
}

/// What changed: one thing by its name, several by their number.
fn things(report: &ChangeReport) -> String {
    if let [one] = report.changes.as_slice() {
        return format!("{} {}", plain(&one.kind), plain(&one.name));
    }
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for change in &report.changes {
        match kinds.iter_mut().find(|(kind, _)| *kind == change.kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((&change.kind, 1)),
        }
    }
    let several = |kind: &str| if kind.ends_with('s') { format!("{kind}es") } else { format!("{kind}s") };
    let all = kinds.into_iter().map(|(kind, count)| plain(&many(count, kind, &several(kind))));
    all.collect::<Vec<_>>().join(", ")
}

/// A unified diff, in colours if they are wanted.
pub fn diff_text(diff: &str, colours: bool) -> String {
    let diff = plain_lines(diff);
    if !colours {
        return diff;
    }
    let painted = |line: &str| {
        let colour = match line.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => "1",
            [b'+', ..] => "32",
            [b'-', ..] => "31",
            [b'@', ..] => "36",
            _ => return format!("{line}\n"),
        };
        format!("\u{1b}[{colour}m{line}\u{1b}[0m\n")
    };
    diff.lines().map(painted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::change::Change;
    use crate::api::error::ProblemReport;
    use crate::domain::time::UnixMillis;

    const SCREEN: Screen = Screen { json: false, width: None, colours: false, now: UnixMillis(0) };

    fn report() -> ChangeReport {
        ChangeReport {
            revision: 13,
            changes: vec![Change { kind: "alias".into(), name: "chat".into(), ..Change::default() }],
            diff: "--- alias chat\n+++ alias chat\n@@ -1 +1 @@\n-strategy = \"priority\"\n+strategy = \"x\"\n".into(),
            ..ChangeReport::default()
        }
    }

    fn said(report: ChangeReport) -> Said {
        told(&Answer { raw: serde_json::to_value(&report).unwrap(), read: report }, &SCREEN)
    }

    #[test]
    fn a_change_is_told_as_a_diff_and_its_revision() {
        let text = said(report()).text;
        assert!(text.starts_with("--- alias chat\n"), "{text}");
        assert!(text.ends_with("+strategy = \"x\"\nrevision 13: alias chat changed\n"), "{text}");
        let dry = said(ChangeReport { dry_run: true, ..report() }).text;
        assert!(dry.ends_with("a dry run: alias chat would change after revision 13\n"), "{dry}");
        let one = |kind: &str| Change { kind: kind.into(), ..Change::default() };
        let several = ChangeReport { changes: vec![one("key"), one("alias"), one("alias")], ..report() };
        assert!(said(several).text.ends_with("revision 13: 1 key, 2 aliases changed\n"));
        let nothing = said(ChangeReport { revision: 12, ..ChangeReport::default() }).text;
        assert_eq!(nothing, "nothing to change at revision 12\n");
    }

    #[test]
    fn warnings_are_remarks() {
        let warning = ProblemReport { path: "aliases.chat".into(), message: "hm".into(), ..ProblemReport::default() };
        let old = ProblemReport { path: "aliases.chat-2.targets".into(), ..warning.clone() };
        let told = said(ChangeReport { warnings: vec![warning, old], ..report() });
        assert_eq!(told.remarks, ["warning: aliases.chat: hm"], "and no old ones");
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert!(!diff_text(&report().diff, false).contains('\u{1b}'));
        let painted = diff_text(&report().diff, true);
        assert!(painted.contains("\u{1b}[31m-strategy = \"priority\"\u{1b}[0m\n"), "{painted}");
        assert!(painted.starts_with("\u{1b}[1m--- alias chat\u{1b}[0m\n"), "{painted}");
    }

    #[test]
    fn a_change_says_how_it_is_to_be_made() {
        let edit = Edit { if_revision: Some(12), how: How { dry_run: true, note: Note { note: Some("why".into()) } } };
        let request = edit.of(Request::delete(&["aliases", "chat"]));
        assert_eq!(request.condition, Condition::Revision(12));
        assert_eq!(request.query, [("dry_run", "true".to_owned()), ("note", "why".to_owned())]);
        let unsaid = Edit::default().of_or(Request::delete(&["aliases", "chat"]), Condition::IsThere);
        assert_eq!((unsaid.condition, unsaid.query.len()), (Condition::IsThere, 0));
    }
}
