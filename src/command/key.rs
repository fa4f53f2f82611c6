//! `pointsman key`: keys of callers. What a key is can be seen once, when it is made.

use clap::{Args, Subcommand};
use rand::RngExt as _;
use serde_json::{Map, Value as Json};

use super::Task;
use super::change::{Edit, How, Note, change};
use super::client::{Answer, Gateway};
use super::document::{self, Named};
use super::failure::Failure;
use super::fields::{Fields, without_nulls};
use super::limits::Limits;
use super::listing::Listing;
use super::request::{Request, name};
use super::screen::{Said, Screen};
use super::standing;
use super::table::{Column, Table, facts};
use super::words::{count, moment, seconds, when};
use crate::api::key::{KeyCreated, KeyReport, Rotation, SecretReport};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// List keys.
    List(List),
    /// Show a key, but not what it is.
    Show(Named),
    /// What it has used, and what is left of its limits and budgets.
    Standing(Named),
    /// Make a key. What it is is shown only now.
    Create(Create),
    /// Change what a key may do.
    Set(Set),
    /// Give a key another secret; the one before stays valid for a while.
    Rotate(Rotate),
    /// Take a key back, for good.
    Revoke(Gone),
    /// Forget a key; what it has used stays counted.
    Delete(Gone),
}

/// Which keys.
#[derive(Clone, Debug, Args)]
pub struct List {
    #[command(flatten)]
    listing: Listing,
    /// Only those of this project.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
}

/// A new key.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// Its name; one is made up if it is not given.
    #[arg(value_parser = name)]
    name: Option<String>,
    #[command(flatten)]
    terms: Terms,
    /// Print nothing but the key.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    note: Note,
}

/// What a key may do, and for how long.
#[derive(Clone, Debug, Args)]
pub struct Terms {
    /// Its project.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    #[command(flatten)]
    limits: Limits,
    /// When it ends: a moment such as 2027-01-31T12:00:00Z, or a day.
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    #[command(flatten)]
    fields: Fields,
}

/// A change of what a key may do.
#[derive(Clone, Debug, Args)]
pub struct Set {
    /// Its name.
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    terms: Terms,
    /// Let it in again.
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Refuse it until it is enabled again.
    #[arg(long)]
    disable: bool,
    #[command(flatten)]
    edit: Edit,
}

/// Another secret.
#[derive(Clone, Debug, Args)]
pub struct Rotate {
    /// Its name.
    #[arg(value_parser = name)]
    name: String,
    /// How long the secret of before stays valid: 24h, 30m, 0; a day if it is not given.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    grace: Option<u32>,
    /// Print nothing but the secret.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    note: Note,
}

/// A key that goes.
#[derive(Clone, Debug, Args)]
pub struct Gone {
    /// Its name.
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    how: How,
}

impl Terms {
    fn put_into(&self, fields: &mut Map<String, Json>) {
        for (field, value) in [("project", &self.project), ("expires", &self.expires)] {
            if let Some(value) = value {
                fields.insert(field.to_owned(), Json::from(value.as_str()));
            }
        }
        self.limits.put_into(fields);
        self.fields.put_into(fields);
    }
}

impl Create {
    /// The request for it; `draw` makes a name different from others.
    fn request(&self, draw: u32) -> Request {
        let stem = self.terms.project.as_deref().unwrap_or("key");
        let name = self.name.clone().unwrap_or_else(|| format!("{stem}-{:06x}", draw % (1 << 24)));
        let mut fields = Map::new();
        fields.insert("name".to_owned(), Json::from(name));
        self.terms.put_into(&mut fields);
        self.note.of(Request::post(&["keys"], without_nulls(fields)))
    }
}

impl Set {
    fn request(&self) -> Result<Request, Failure> {
        let mut patch = Map::new();
        self.terms.put_into(&mut patch);
        if self.enable || self.disable {
            patch.insert("enabled".to_owned(), Json::Bool(self.enable));
        }
        if patch.is_empty() {
            return Err(Failure::Arguments("nothing is said of what to set; see --help".to_owned()));
        }
        Ok(self.edit.of(Request::patch(&["keys", &self.name], patch)))
    }
}

impl Rotate {
    fn request(&self) -> Request {
        self.note.of(Request::post(&["keys", &self.name, "rotate"], Rotation { grace_s: self.grace }))
    }
}

impl Task for KeyCommand {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let request = match self {
            Self::List(List { listing, project }) => {
                let request = Request::get(&["keys"]).query("project", project);
                let page = listing.read(gateway, request).await?;
                return Ok(document::told(screen, &page, "keys", |keys| table(keys, screen)));
            }
            Self::Show(of) => {
                let answer: Answer<KeyReport> = gateway.ask(&Request::get(&["keys", &of.name])).await?;
                return Ok(screen.show(&answer.raw, || one(&answer.read, screen)));
            }
            Self::Standing(of) => return standing::show(gateway, screen, "keys", &of.name).await,
            Self::Create(create) => {
                let answer = gateway.ask(&create.request(rand::rng().random())).await?;
                return Ok(created(&answer, create.quiet, screen));
            }
            Self::Rotate(rotate) => {
                let answer = gateway.ask(&rotate.request()).await?;
                return Ok(created(&answer, rotate.quiet, screen));
            }
            Self::Set(set) => set.request()?,
            Self::Revoke(gone) => gone.how.of(Request::post(&["keys", &gone.name, "revoke"], Json::Object(Map::new()))),
            Self::Delete(gone) => gone.how.of(Request::delete(&["keys", &gone.name])),
        };
        change(gateway, screen, &request).await
    }
}

fn created(answer: &Answer<KeyCreated>, quiet: bool, screen: &Screen) -> Said {
    let KeyCreated { key, secret, .. } = &answer.read;
    if quiet {
        return Said { text: format!("{secret}\n"), ..Said::default() };
    }
    screen.show(&answer.raw, || format!("{}\nthe key, shown only now:\n{secret}\n", one(key, screen)))
}

fn table(keys: &[KeyReport], screen: &Screen) -> String {
    let columns = [
        Column::Name("NAME"),
        Column::Name("PROJECT"),
        Column::Name("STATE"),
        Column::Name("BEGINS"),
        Column::Text("LIMITS"),
        Column::Text("ALIASES"),
    ];
    let mut table = Table::new(columns);
    for key in keys {
        table.row([
            key.name.clone(),
            key.project.clone(),
            key.state.clone(),
            key.secrets.last().map(|secret| secret.prefix.clone()).unwrap_or_default(),
            limits(key, screen),
            key.aliases.as_ref().map(|names| names.join(", ")).unwrap_or_default(),
        ]);
    }
    table.text(screen)
}

/// What limits a key, in a few words.
fn limits(key: &KeyReport, screen: &Screen) -> String {
    let rate = |limit: Option<u32>, unit: &str| limit.map(|limit| format!("{} {unit}", count(limit.into())));
    let rates = [
        rate(key.requests_per_minute, "req/min"),
        rate(key.tokens_per_minute, "tok/min"),
        rate(key.max_in_flight, "at once"),
    ];
    let end = key.expires_ms.map(|at| format!("ends {}", when(at, screen.now)));
    let all = rates.into_iter().flatten().chain(key.budget.iter().cloned()).chain(end);
    all.collect::<Vec<_>>().join(", ")
}

fn one(key: &KeyReport, screen: &Screen) -> String {
    let number = |limit: Option<u32>| limit.map(|limit| count(limit.into()));
    let list = |names: &Option<Vec<String>>| names.as_ref().map(|names| names.join(", "));
    let at = |ms: u64| format!("{} ({})", when(ms, screen.now), moment(ms));
    let secret = |secret: &SecretReport| {
        let end = secret.expires_ms.map(|ms| format!(", ends {}", when(ms, screen.now))).unwrap_or_default();
        format!("{}…, made {}{end}", secret.prefix, when(secret.created_ms, screen.now))
    };
    let mut told = vec![
        ("key", Some(key.name.clone())),
        ("project", Some(key.project.clone())),
        ("state", Some(key.state.clone())),
        ("description", key.description.clone()),
        ("aliases", list(&key.aliases)),
        ("models", list(&key.models)),
        ("providers", list(&key.providers)),
        ("requests/min", number(key.requests_per_minute)),
        ("tokens/min", number(key.tokens_per_minute)),
        ("in flight", number(key.max_in_flight)),
        ("budget", Some(key.budget.join(", "))),
        ("expires", key.expires_ms.map(at)),
        ("made", Some(format!("{} by {}", at(key.created_ms), key.created_by))),
        ("revoked", key.revoked_ms.map(at)),
        ("file", key.of_file.then(|| "it stands in the configuration file".to_owned())),
        ("revision", Some(key.revision.to_string())),
    ];
    told.extend(key.secrets.iter().map(|of| ("secret", Some(secret(of)))));
    facts(&told)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::change::ChangeReport;
    use crate::command::tests_support::{PIPE, StandIn, answer, args, subcommand};

    #[test]
    fn a_key_is_made_as_it_is_told() {
        let line = [
            "--project",
            "shop",
            "--alias",
            "prod-chat",
            "--rpm",
            "600",
            "--budget",
            "$50/day",
            "--expires",
            "2027-01-31",
        ];
        let request = args::<Create>(&line).unwrap().request(0x1234_5678);
        let expected = json!({
            "name": "shop-345678", "project": "shop", "expires": "2027-01-31", "aliases": ["prod-chat"],
            "requests_per_minute": 600, "budget": ["$50/day"],
        });
        assert_eq!((request.path.join("/"), request.body), ("keys".into(), Some(expected)));
        let named = args::<Create>(&["mine", "--note", "why"]).unwrap().request(1);
        assert_eq!((named.body, named.query.len()), (Some(json!({"name": "mine"})), 1));
    }

    #[test]
    fn a_key_is_changed_by_fields() {
        let set = |line: &[&str]| args::<Set>(line).unwrap().request();
        let request = set(&["mine", "--tpm", "5", "--unset", "budget", "--disable", "--if-revision", "3"]).unwrap();
        assert_eq!(request.body, Some(json!({"tokens_per_minute": 5, "budget": null, "enabled": false})));
        assert!(set(&["mine"]).is_err());
        let rotate = args::<Rotate>(&["mine", "--grace", "2h"]).unwrap().request();
        assert_eq!((rotate.path.join("/"), rotate.body), ("keys/mine/rotate".into(), Some(json!({"grace_s": 7200}))));
    }

    fn created() -> KeyCreated {
        let key = KeyReport {
            name: "mine".into(),
            project: "shop".into(),
            state: "active".into(),
            budget: vec!["$50/day".into()],
            requests_per_minute: Some(1200),
            created_ms: PIPE.now.0 - 60_000,
            created_by: "ann".into(),
            secrets: vec![SecretReport { prefix: "pm-0123456".into(), created_ms: PIPE.now.0, expires_ms: None }],
            ..KeyReport::default()
        };
        KeyCreated { key, secret: "pm-0123456789".into(), revision: 5 }
    }

    #[tokio::test]
    async fn a_script_gets_the_key_alone() {
        let stand_in = StandIn::start(|_| answer(201, created())).await;
        let run = async |line: &[&str], screen: &Screen| {
            let command = subcommand::<KeyCommand>(line).unwrap();
            command.run(&stand_in.gateway(), screen).await.unwrap().text
        };
        assert_eq!(run(&["create", "mine", "--quiet"], &PIPE).await, "pm-0123456789\n");
        let people = run(&["create", "mine"], &PIPE).await;
        assert!(
            people.starts_with("key           mine\nproject       shop\nstate         active\nrequests/min  1,200\n"),
            "{people}"
        );
        assert!(people.ends_with("\nthe key, shown only now:\npm-0123456789\n"), "{people}");
        let json = run(&["rotate", "mine"], &Screen { json: true, ..PIPE }).await;
        assert_eq!(serde_json::from_str::<KeyCreated>(&json).unwrap(), created());
    }

    #[tokio::test]
    async fn keys_are_read_part_by_part() {
        let stand_in = StandIn::start(|asked| match asked.line.contains("after=b") {
            true => answer(200, json!({"items": [KeyReport { name: "c".into(), ..created().key }], "next": null})),
            false => answer(200, json!({"items": [created().key], "next": "b"})),
        })
        .await;
        let list = subcommand::<KeyCommand>(&["list", "m", "--project", "shop"]).unwrap();
        let said = list.run(&stand_in.gateway(), &PIPE).await.unwrap();
        assert_eq!(
            said.text,
            "NAME  PROJECT  STATE   BEGINS      LIMITS\nmine  shop     active  pm-0123456  1,200 req/min, $50/day\nc     shop     active  pm-0123456  1,200 req/min, $50/day\n"
        );
        assert_eq!(
            stand_in.lines(),
            [
                "GET /admin/v1/keys?project=shop&search=m&limit=1000",
                "GET /admin/v1/keys?project=shop&search=m&after=b&limit=1000",
            ]
        );
        let list = subcommand::<KeyCommand>(&["list", "--limit", "1"]).unwrap();
        let said = list.run(&stand_in.gateway(), &PIPE).await.unwrap();
        assert_eq!((said.text.lines().count(), said.remarks), (2, vec!["there are more, after b".to_owned()]));
    }

    #[tokio::test]
    async fn a_key_that_goes_is_asked_for_by_its_name() {
        let stand_in = StandIn::start(|_| answer(200, ChangeReport::default())).await;
        for line in [&["revoke", "a/b", "--note", "lost it"][..], &["delete", "a/b", "--dry-run"]] {
            subcommand::<KeyCommand>(line).unwrap().run(&stand_in.gateway(), &PIPE).await.unwrap();
        }
        assert_eq!(
            stand_in.lines(),
            ["POST /admin/v1/keys/a%2Fb/revoke?note=lost+it", "DELETE /admin/v1/keys/a%2Fb?dry_run=true",]
        );
    }
}
