//! `pointsman alias`: what callers name, and how it becomes a model.

mod order;
mod target;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value as Json, json};

use self::order::{Move, Order, Weight};
use self::target::{Add, Which};
use super::Task;
use super::change::{Edit, How, change};
use super::client::Gateway;
use super::document::{self, Becomes, Gone, Named};
use super::failure::Failure;
use super::fields::{Fields, without_nulls};
use super::listing::Listing;
use super::request::{Request, name};
use super::screen::{Said, Screen};
use super::table::{Column, Table};
use crate::api::resource::{NewName, Resource};
use crate::config::Kind;

/// What can be done with aliases.
#[derive(Debug, Subcommand)]
pub enum AliasCommand {
    /// List aliases.
    List(Listing),
    /// Show an alias as a configuration file would have it.
    Show(Named),
    /// Make an alias, of models on the line or as a file says.
    Create(Create),
    /// Change fields of an alias.
    Set(Set),
    /// Give an alias another name; the keys and projects that may call it keep the right to.
    Rename(Rename),
    /// Take an alias out.
    Delete(Gone),
    /// Put a target in.
    Add(Add),
    /// Take a target out.
    Remove(Which),
    /// Put the targets into this order.
    Order(Order),
    /// Move one target.
    Move(Move),
    /// Set weights of targets.
    Weight(Weight),
    /// Let a target be chosen again.
    Enable(Which),
    /// Keep a target from being chosen.
    Disable(Which),
}

/// A new alias.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// Its name.
    #[arg(value_parser = name)]
    name: String,
    /// Its targets, in order: models, each with its weight if it has one.
    #[arg(value_name = "MODEL[=WEIGHT]", value_parser = target::weighted)]
    targets: Vec<target::Weighted>,
    /// How targets are ordered: priority, random-shuffle, lowest-latency …
    #[arg(long, required_unless_present = "file")]
    strategy: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// A file that says all of it, in the form in which `show` prints it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["targets", "strategy", "set", "unset"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// A change of an alias's fields.
#[derive(Clone, Debug, Args)]
pub struct Set {
    /// Its name.
    #[arg(value_parser = name)]
    name: String,
    /// How targets are ordered: priority, random-shuffle, lowest-latency …
    #[arg(long)]
    strategy: Option<String>,
    #[command(flatten)]
    becomes: Becomes,
}

/// Another name for an alias.
#[derive(Clone, Debug, Args)]
pub struct Rename {
    /// The name that it has.
    #[arg(value_parser = name)]
    name: String,
    /// The name that it gets.
    #[arg(value_parser = name)]
    new_name: String,
    #[command(flatten)]
    edit: Edit,
}

impl Create {
    fn request(&self) -> Result<Request, Failure> {
        let document = match &self.file {
            Some(path) => document::from_file(Kind::Alias, Some(&self.name), path)?,
            None => {
                let targets: Vec<Json> = self.targets.iter().map(target::Weighted::as_json).collect();
                let mut fields = Map::new();
                fields.insert("name".to_owned(), Json::from(self.name.as_str()));
                fields.insert("strategy".to_owned(), json!(self.strategy));
                // Those of an alias of categories stand there.
                if !targets.is_empty() || self.strategy.as_deref() != Some("category") {
                    fields.insert("targets".to_owned(), Json::from(targets));
                }
                self.fields.put_into(&mut fields);
                without_nulls(fields)
            }
        };
        Ok(document::create(Kind::Alias, document, &self.how))
    }
}

impl Set {
    fn patch(&self) -> Map<String, Json> {
        self.strategy.iter().map(|strategy| ("strategy".to_owned(), Json::from(strategy.as_str()))).collect()
    }
}

impl Rename {
    fn request(&self) -> Request {
        self.edit.of(Request::post(&["aliases", &self.name, "rename"], NewName { name: self.new_name.clone() }))
    }
}

impl Task for AliasCommand {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let request = match self {
            Self::List(listing) => {
                let page = listing.read(gateway, Request::get(&[Kind::Alias.list()])).await?;
                return Ok(document::told(screen, &page, "aliases", |aliases| table(aliases, screen)));
            }
            Self::Show(of) => return document::show(gateway, screen, Kind::Alias, &of.name).await,
            Self::Set(set) => {
                return document::set(gateway, screen, Kind::Alias, &set.name, set.patch(), &set.becomes).await;
            }
            Self::Move(this) => return this.run(gateway, screen).await,
            Self::Create(create) => create.request()?,
            Self::Rename(rename) => rename.request(),
            Self::Delete(gone) => document::delete(Kind::Alias, &gone),
            Self::Add(add) => add.request(),
            Self::Remove(which) => which.removed(),
            Self::Order(order) => order.request(),
            Self::Weight(weight) => weight.request(),
            Self::Enable(which) => which.switched(true),
            Self::Disable(which) => which.switched(false),
        };
        change(gateway, screen, &request).await
    }
}

fn table(aliases: &[Resource], screen: &Screen) -> String {
    let columns = [Column::Name("NAME"), Column::Name("STRATEGY"), Column::Number("REV"), Column::Text("TARGETS")];
    let mut table = Table::new(columns);
    for alias in aliases {
        let categories = alias.document.get("categories").and_then(Json::as_array);
        let targets = match categories {
            None => targets(alias.document.get("targets")),
            Some(categories) => categories.iter().map(category).collect::<Vec<_>>().join("; "),
        };
        let strategy = document::field(&alias.document, "strategy");
        table.row([alias.name.clone(), strategy, alias.revision.to_string(), targets]);
    }
    table.text(screen)
}

fn targets(list: Option<&Json>) -> String {
    let list = list.and_then(Json::as_array).into_iter().flatten();
    list.map(target::short).collect::<Vec<_>>().join(", ")
}

/// A category and who serves it.
fn category(of: &Json) -> String {
    format!("{}: {}", of["name"].as_str().unwrap_or("?"), targets(of.get("targets")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests_support::{PIPE, subcommand};

    fn create(line: &[&str]) -> Request {
        match subcommand::<AliasCommand>(&[&["create"], line].concat()).unwrap() {
            AliasCommand::Create(create) => create.request().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_alias_is_made_of_models_on_the_line() {
        let line = [
            "ab",
            "--strategy",
            "random-shuffle",
            "openai/gpt-5.5=70",
            "anthropic/claude-opus-4.8",
            "--set",
            "deadline=2m",
        ];
        let request = create(&line);
        assert_eq!((request.method.as_str(), request.path.join("/")), ("POST", "aliases".into()));
        let expected = json!({
            "name": "ab", "strategy": "random-shuffle", "deadline": "2m",
            "targets": [{"model": "openai/gpt-5.5", "weight": 70}, {"model": "anthropic/claude-opus-4.8"}],
        });
        assert_eq!(request.body, Some(expected));
    }

    #[test]
    fn an_alias_of_categories_has_no_targets_of_its_own() {
        let request = create(&["by-task", "--strategy", "category", "--set", "pin=true"]);
        assert_eq!(request.body, Some(json!({"name": "by-task", "strategy": "category", "pin": true})));
        let empty = create(&["none", "--strategy", "priority"]);
        assert_eq!(empty.body, Some(json!({"name": "none", "strategy": "priority", "targets": []})));
    }

    #[test]
    fn an_alias_needs_a_strategy_or_a_file() {
        assert!(subcommand::<AliasCommand>(&["create", "ab", "m"]).is_err());
        assert!(subcommand::<AliasCommand>(&["create", "ab", "--file", "x", "--strategy", "y"]).is_err());
    }

    #[test]
    fn aliases_are_a_line_each() {
        let Json::Object(document) = json!({
            "name": "chat", "strategy": "priority",
            "targets": [{"model": "m", "weight": 2.0}, {"model": "n", "enabled": false}, {"model": "o", "last_resort": true}]
        }) else {
            panic!()
        };
        let alias = Resource { kind: "alias".into(), name: "chat".into(), revision: 7, document };
        let text = table(&[alias], &PIPE);
        assert_eq!(text, "NAME  STRATEGY  REV  TARGETS\nchat  priority    7  m=2, n (off), o (last resort)\n");
    }

    #[test]
    fn categories_stand_before_their_targets() {
        let Json::Object(document) = json!({
            "name": "by-task", "strategy": "category",
            "categories": [
                {"name": "coding", "strategy": "priority", "targets": [{"model": "m"}, {"model": "n"}]},
                {"name": "default", "strategy": "priority", "targets": [{"model": "o", "weight": 2}]},
            ],
        }) else {
            panic!()
        };
        let alias = Resource { kind: "alias".into(), name: "by-task".into(), revision: 7, document };
        let text = table(&[alias], &PIPE);
        assert_eq!(text, "NAME     STRATEGY  REV  TARGETS\nby-task  category    7  coding: m, n; default: o=2\n");
    }

    #[test]
    fn a_rename_names_both() {
        match subcommand::<AliasCommand>(&["rename", "a/b", "c", "--note", "why"]).unwrap() {
            AliasCommand::Rename(rename) => {
                let request = rename.request();
                assert_eq!(
                    (request.path, request.body),
                    (vec!["aliases".into(), "a/b".into(), "rename".into()], Some(json!({"name": "c"})))
                );
                assert_eq!(request.query, [("note", "why".to_owned())]);
            }
            other => panic!("{other:?}"),
        }
    }
}
