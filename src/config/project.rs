//! Which keys belong together? `[[projects]]`, of which `default` is always there.

use std::collections::HashSet;

use super::caller::{self, Names};
use super::problem::Report;
use super::read::{Item, together};
use crate::domain::caller::{DEFAULT_PROJECT, default_project};
use crate::domain::ids::ProjectName;
use crate::domain::nearest::nearest;
use crate::domain::project::Project;

/// What is the project's own.
pub(super) const OWN_FIELDS: &[&str] = &["name", "description", "enabled"];
const FIELDS: &[&str] = &together::<{ OWN_FIELDS.len() + caller::FIELDS.len() }>(&[OWN_FIELDS, caller::FIELDS]);

/// What may be in a project's name beside letters and digits.
pub(super) const NAME_MARKS: &[char] = &['-', '_', '.', ':'];

/// The names of all projects, which aliases may be confined to.
pub(super) struct ProjectNames(HashSet<String>);

impl ProjectNames {
    pub(super) fn read(item: Option<&Item<'_>>) -> Self {
        // What is wrong with them is told when the projects themselves are read.
        let quiet = Report::default();
        let items = item.and_then(|item| item.list(&quiet)).unwrap_or_default();
        let named = items.iter().filter_map(|item| {
            let entry = item.open(&quiet)?.iter().find(|entry| entry.key == "name")?;
            entry.node.value.as_text().map(str::to_owned)
        });
        Self(named.chain([default_project().to_string()]).collect())
    }

    /// The project that an item names; that there is none is reported.
    pub(super) fn find(&self, item: &Item<'_>, name: &str, report: &Report) -> Option<ProjectName> {
        if self.0.contains(name) {
            return Some(ProjectName::new(name));
        }
        let suggestions = nearest(name, self.0.iter().map(String::as_str));
        report.problem(item.problem(format!("no project {name:?}")).suggest(suggestions));
        None
    }
}

/// All of them, the one that is always there included.
pub(super) fn read(item: Option<&Item<'_>>, names: &Names<'_>, report: &Report) -> Vec<Project> {
    let mut projects: Vec<Project> = Vec::new();
    let mut seen = HashSet::new();
    for item in item.and_then(|item| item.list(report)).unwrap_or_default() {
        let item = item.named_by("projects", "name");
        let Some(table) = item.table(FIELDS, report) else { continue };
        let Some(name_item) = table.require("name", report) else { continue };
        let Some(name) = name_item.name(NAME_MARKS, report) else { continue };
        if !seen.insert(name) {
            report.problem(name_item.problem(format!("there is a project {name:?} already")));
            continue;
        }
        table.read("description", |item| item.text(report));
        projects.push(Project {
            name: ProjectName::new(name),
            rights: names.rights(&table, report),
            limits: caller::limits(&table, report),
            enabled: table.read("enabled", |item| item.boolean(report)).unwrap_or(true),
        });
    }
    if !seen.contains(DEFAULT_PROJECT) {
        projects.push(Project::default_one());
    }
    projects
}
