//! `pointsman provider`: where requests may go. The key of a provider comes from standard
//! input, never from the line, where the shell would remember it.

use std::io::Read as _;

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value as Json, json};

use super::Task;
use super::change::{Edit, change};
use super::client::{Answer, Gateway};
use super::document::{self, Becomes, Gone, Named};
use super::exit::Exit;
use super::failure::Failure;
use super::listing::Listing;
use super::request::{Request, name};
use super::screen::{Said, Screen};
use super::table::{Column, Table, facts};
use crate::api::Page;
use crate::api::provider::{ConnectionTest, ProviderStatus};
use crate::api::resource::Resource;
use crate::config::Kind;

/// What can be done with providers.
#[derive(Debug, Subcommand)]
pub enum ProviderCommand {
    /// List providers.
    List(Listing),
    /// Show a provider as a configuration file would have it.
    Show(Named),
    /// How one provider stands, or all of them.
    Status {
        /// Its id.
        #[arg(value_parser = name)]
        id: Option<String>,
    },
    /// Change fields of a provider; one that is not there is put in.
    Set(Set),
    /// Take a provider out.
    Delete(Gone),
    /// Call a provider to see whether it answers; exit 1 if it does not.
    Test(Named),
    /// Send it requests again.
    Enable(Switched),
    /// Send it nothing.
    Disable(Switched),
}

/// A change of a provider's fields.
#[derive(Clone, Debug, Args)]
pub struct Set {
    /// Its id.
    #[arg(value_parser = name)]
    id: String,
    /// The protocol that it speaks: openai, anthropic or gemini.
    #[arg(long)]
    protocol: Option<String>,
    /// The part of its addresses before /chat/completions, /messages or /models.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The environment variable of the gateway with its key.
    #[arg(long, value_name = "NAME", conflicts_with = "api_key_stdin")]
    api_key_env: Option<String>,
    /// Read its key from standard input; the gateway seals it in its store.
    #[arg(long)]
    api_key_stdin: bool,
    #[command(flatten)]
    becomes: Becomes,
}

/// A provider that is switched on or off.
#[derive(Clone, Debug, Args)]
pub struct Switched {
    /// Its id.
    #[arg(value_parser = name)]
    id: String,
    #[command(flatten)]
    edit: Edit,
}

impl Set {
    /// The fields that are said by arguments of their own. A key takes the place of every
    /// other source of one.
    fn patch(&self, key: Option<&SecretString>) -> Map<String, Json> {
        let mut patch = Map::new();
        let mut put = |field: &str, value: &Option<String>| {
            if let Some(value) = value {
                patch.insert(field.to_owned(), Json::from(value.as_str()));
            }
        };
        put("protocol", &self.protocol);
        put("base_url", &self.base_url);
        put("api_key_env", &self.api_key_env);
        if key.is_some() || self.api_key_env.is_some() {
            for source in ["api_key", "api_key_env", "api_key_file", "api_key_sealed"] {
                patch.entry(source).or_insert(Json::Null);
            }
        }
        if let Some(key) = key {
            patch.insert("api_key".to_owned(), Json::from(key.expose_secret()));
        }
        patch
    }

    fn key(&self) -> Result<Option<SecretString>, Failure> {
        if !self.api_key_stdin {
            return Ok(None);
        }
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text).map(|_| SecretString::from(text.trim()));
        let key = read.map_err(|error| Failure::File { path: "standard input".into(), error })?;
        if key.expose_secret().is_empty() {
            return Err(Failure::Arguments("there is no key on standard input".to_owned()));
        }
        Ok(Some(key))
    }
}

impl Task for ProviderCommand {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        match self {
            Self::List(listing) => list(gateway, screen, &listing).await,
            Self::Show(of) => document::show(gateway, screen, Kind::Provider, &of.name).await,
            Self::Status { id: Some(id) } => {
                let answer: Answer<ProviderStatus> = gateway.ask(&Request::get(&["providers", &id, "status"])).await?;
                Ok(screen.show(&answer.raw, || one(&answer.read)))
            }
            Self::Status { id: None } => {
                let page: Answer<Page<ProviderStatus>> = gateway.ask(&statuses()).await?;
                Ok(document::told(screen, &page, "providers", |all| table(all, screen)))
            }
            Self::Set(set) => {
                let patch = set.patch(set.key()?.as_ref());
                document::set_or_create(gateway, screen, Kind::Provider, &set.id, patch, &set.becomes).await
            }
            Self::Delete(gone) => change(gateway, screen, &document::delete(Kind::Provider, &gone)).await,
            Self::Test(of) => {
                let request = Request::post(&["providers", &of.name, "test"], json!({}));
                let answer: Answer<ConnectionTest> = gateway.ask(&request).await?;
                let exit = if answer.read.ok { Exit::Done } else { Exit::Refused };
                Ok(screen.show(&answer.raw, || tested(&of.name, &answer.read)).exit(exit))
            }
            Self::Enable(this) => change(gateway, screen, &this.request(true)).await,
            Self::Disable(this) => change(gateway, screen, &this.request(false)).await,
        }
    }
}

impl Switched {
    fn request(&self, on: bool) -> Request {
        self.edit.of(Request::patch(&["providers", &self.id], json!({"enabled": on})))
    }
}

fn statuses() -> Request {
    Request::get(&["status", "providers"])
}

/// People see how the listed ones stand; programs get the documents.
async fn list(gateway: &Gateway, screen: &Screen, listing: &Listing) -> Result<Said, Failure> {
    let page: Answer<Page<Resource>> = listing.read(gateway, Request::get(&["providers"])).await?;
    if screen.json || page.read.items.is_empty() {
        return Ok(document::told(screen, &page, "providers", |_| String::new()));
    }
    let statuses: Answer<Page<ProviderStatus>> = gateway.ask(&statuses()).await?;
    let listed = |status: &ProviderStatus| page.read.items.iter().any(|provider| provider.name == status.id);
    let listed: Vec<ProviderStatus> = statuses.read.items.into_iter().filter(listed).collect();
    Ok(document::told(screen, &page, "providers", |_| table(&listed, screen)))
}

fn table(all: &[ProviderStatus], screen: &Screen) -> String {
    let columns = [
        Column::Name("ID"),
        Column::Name("PROTOCOL"),
        Column::Name("KEY"),
        Column::Number("IN FLIGHT"),
        Column::Text("STATE"),
    ];
    let mut table = Table::new(columns);
    for status in all {
        let ProviderStatus { id, protocol, key, .. } = status.clone();
        table.row([id, protocol, key, status.in_flight.to_string(), state(status)]);
    }
    table.text(screen)
}

fn state(status: &ProviderStatus) -> String {
    match &status.unusable {
        _ if !status.enabled => "off".to_owned(),
        Some(reason) => format!("unusable: {reason}"),
        None => "ready".to_owned(),
    }
}

fn one(status: &ProviderStatus) -> String {
    let said = |text: &str| Some(text.to_owned());
    facts(&[
        ("provider", said(&status.id)),
        ("state", Some(state(status))),
        ("protocol", said(&status.protocol)),
        ("base url", said(&status.base_url)),
        ("key", said(&status.key)),
        ("in flight", Some(status.in_flight.to_string())),
    ])
}

fn tested(id: &str, test: &ConnectionTest) -> String {
    facts(&[
        ("provider", Some(id.to_owned())),
        ("result", Some(if test.ok { "it answers" } else { "it does not answer as it should" }.to_owned())),
        ("status", test.status.map(|status| status.to_string())),
        ("took", Some(format!("{} ms", test.took_ms))),
        ("models", test.models.map(|models| models.to_string())),
        ("message", Some(test.message.clone())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests_support::{PIPE, StandIn, answer, args};

    #[test]
    fn one_source_of_a_key_takes_the_place_of_another() {
        let set = args::<Set>(&["p", "--protocol", "openai", "--base-url", "https://x/v1", "--api-key-env", "P_KEY"])
            .unwrap();
        let expected = json!({
            "protocol": "openai", "base_url": "https://x/v1", "api_key_env": "P_KEY",
            "api_key": null, "api_key_file": null, "api_key_sealed": null,
        });
        assert_eq!(Json::from(set.patch(None)), expected);
        let set = args::<Set>(&["p", "--api-key-stdin"]).unwrap();
        let patch = Json::from(set.patch(Some(&SecretString::from("sk-1"))));
        assert_eq!((&patch["api_key"], &patch["api_key_sealed"]), (&json!("sk-1"), &Json::Null));
        assert!(args::<Set>(&["p", "--set", "enabled=true"]).unwrap().patch(None).is_empty());
        assert!(args::<Set>(&["p", "--api-key", "sk-1"]).is_err(), "a key never stands on the line");
    }

    fn status(id: &str, unusable: Option<&str>) -> ProviderStatus {
        ProviderStatus {
            id: id.into(),
            base_url: "https://x/v1".into(),
            protocol: "openai".into(),
            enabled: true,
            key: "set".into(),
            unusable: unusable.map(str::to_owned),
            in_flight: 3,
        }
    }

    #[tokio::test]
    async fn people_see_how_the_listed_ones_stand() {
        let stand_in = StandIn::start(|asked| match asked.line.contains("status") {
            true => answer(200, json!({"items": [status("a", None), status("b", Some("no key"))], "next": null})),
            false => answer(
                200,
                json!({"items": [{"kind": "provider", "name": "b", "revision": 1, "document": {}}], "next": null}),
            ),
        })
        .await;
        let listing = args::<Listing>(&["b"]).unwrap();
        let said = list(&stand_in.gateway(), &PIPE, &listing).await.unwrap();
        assert_eq!(said.text, "ID  PROTOCOL  KEY  IN FLIGHT  STATE\nb   openai    set          3  unusable: no key\n");
        let json = list(&stand_in.gateway(), &Screen { json: true, ..PIPE }, &listing).await.unwrap();
        let page: Page<Resource> = serde_json::from_str(&json.text).unwrap();
        assert_eq!(page.items[0].name, "b");
    }

    #[tokio::test]
    async fn a_test_that_fails_ends_with_a_number() {
        let failed =
            ConnectionTest { ok: false, status: Some(401), took_ms: 12, models: None, message: "HTTP 401".into() };
        let stand_in = StandIn::start(move |_| answer(200, &failed)).await;
        let test = ProviderCommand::Test(Named { name: "p".into() });
        let said = test.run(&stand_in.gateway(), &PIPE).await.unwrap();
        assert_eq!(said.exit, Exit::Refused);
        assert!(said.text.contains("status    401\n"), "{}", said.text);
        assert_eq!(stand_in.lines(), ["POST /admin/v1/providers/p/test"]);
    }
}
