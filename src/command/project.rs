//! `pointsman project`: keys that share limits and budgets.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value as Json};

use super::Task;
use super::change::{How, change};
use super::client::Gateway;
use super::document::{self, Becomes, Gone, Named};
use super::failure::Failure;
use super::fields::{Fields, without_nulls};
use super::limits::Limits;
use super::listing::Listing;
use super::request::{Request, name};
use super::screen::{Said, Screen};
use super::standing;
use super::table::{Column, Table};
use crate::api::resource::Resource;
use crate::config::Kind;

/// What can be done with projects.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// List projects.
    List(Listing),
    /// Show a project as a configuration file would have it.
    Show(Named),
    /// What it has used, and what is left of its limits and budgets.
    Standing(Named),
    /// Make a project.
    Create(Create),
    /// Change fields of a project.
    Set(Set),
    /// Take a project out that has no keys.
    Delete(Gone),
}

/// A new project.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// Its name.
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    fields: Fields,
    /// A file that says all of it, in the form in which `show` prints it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["set", "unset"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// A change of a project's fields.
#[derive(Clone, Debug, Args)]
pub struct Set {
    /// Its name.
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    becomes: Becomes,
}

impl Create {
    fn request(&self) -> Result<Request, Failure> {
        let mut fields = match &self.file {
            Some(path) => document::from_file(Kind::Project, Some(&self.name), path)?,
            None => document::with_name(Kind::Project, &self.name, Map::new()),
        };
        self.limits.put_into(&mut fields);
        self.fields.put_into(&mut fields);
        Ok(document::create(Kind::Project, without_nulls(fields), &self.how))
    }
}

impl Set {
    fn patch(&self) -> Map<String, Json> {
        let mut patch = Map::new();
        self.limits.put_into(&mut patch);
        patch
    }
}

impl Task for ProjectCommand {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        match self {
            Self::List(listing) => {
                let page = listing.read(gateway, Request::get(&["projects"])).await?;
                Ok(document::told(screen, &page, "projects but the one that is always there", |all| table(all, screen)))
            }
            Self::Show(of) => document::show(gateway, screen, Kind::Project, &of.name).await,
            Self::Standing(of) => standing::show(gateway, screen, "projects", &of.name).await,
            Self::Create(create) => change(gateway, screen, &create.request()?).await,
            Self::Set(set) => document::set(gateway, screen, Kind::Project, &set.name, set.patch(), &set.becomes).await,
            Self::Delete(gone) => change(gateway, screen, &document::delete(Kind::Project, &gone)).await,
        }
    }
}

fn table(projects: &[Resource], screen: &Screen) -> String {
    let columns = [
        Column::Name("NAME"),
        Column::Name("STATE"),
        Column::Number("REQ/MIN"),
        Column::Number("TOK/MIN"),
        Column::Text("BUDGET"),
        Column::Text("ALIASES"),
        Column::Text("DESCRIPTION"),
    ];
    let mut table = Table::new(columns);
    for project in projects {
        let field = |name| document::field(&project.document, name);
        let off = project.document.get("enabled") == Some(&Json::Bool(false));
        table.row([
            project.name.clone(),
            if off { "off" } else { "on" }.to_owned(),
            field("requests_per_minute"),
            field("tokens_per_minute"),
            field("budget"),
            field("aliases"),
            field("description"),
        ]);
    }
    table.text(screen)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::command::tests_support::{PIPE, args};

    #[test]
    fn limits_are_fields() {
        let line = [
            "shop",
            "--rpm",
            "600",
            "--budget",
            "$50/day",
            "--budget",
            "$1000/month",
            "--alias",
            "chat",
            "--set",
            "enabled=false",
        ];
        let request = args::<Create>(&line).unwrap().request().unwrap();
        let expected = json!({
            "name": "shop", "aliases": ["chat"], "requests_per_minute": 600, "budget": ["$50/day", "$1000/month"], "enabled": false
        });
        assert_eq!((request.path.join("/"), request.body), ("projects".into(), Some(expected)));
        let set = args::<Set>(&["shop", "--tpm", "5", "--unset", "budget"]).unwrap();
        assert_eq!(Json::from(set.patch()), json!({"tokens_per_minute": 5}));
    }

    #[test]
    fn projects_are_a_line_each() {
        let Json::Object(document) = json!({"name": "shop", "requests_per_minute": 600, "budget": "$50/day"}) else {
            panic!()
        };
        let project = Resource { kind: "project".into(), name: "shop".into(), revision: 1, document };
        assert_eq!(table(&[project], &PIPE), "NAME  STATE  REQ/MIN  BUDGET\nshop  on         600  $50/day\n");
    }
}
