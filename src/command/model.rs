//! `pointsman model`: what the catalogue knows, what documents say beyond, and prices.

use clap::{Args, Subcommand};
use serde_json::{Map, Value as Json, json};

use super::Task;
use super::change::{Edit, change};
use super::client::{Answer, Gateway};
use super::document::{self, Becomes, Gone, Named};
use super::failure::{Failure, did_you_mean};
use super::listing::Listing;
use super::request::{Condition, Request, name};
use super::screen::{Said, Screen};
use super::table::{Column, Table, facts};
use super::words::{count, price};
use crate::api::Page;
use crate::api::provider::{EndpointReport, ModelReport};
use crate::api::resource::Resource;
use crate::config::Kind;
use crate::domain::names::{NameError, NameIndex};

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Search the models that are known, where they are served and at which price.
    List(List),
    /// Show what is known of a model.
    Show(Show),
    /// Change what is known of a model; one that is not there is put in.
    Set(Set),
    /// Take out what was said of a model; what the catalogue says holds again.
    Delete(Gone),
    /// Set what a model costs at a provider.
    Price(Price),
}

/// Which models.
#[derive(Clone, Debug, Args)]
pub struct List {
    #[command(flatten)]
    listing: Listing,
    /// Only those of this provider.
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Only those that a configured provider serves.
    #[arg(long)]
    served: bool,
    /// Only what was said of models beside the catalogue.
    #[arg(long, conflicts_with_all = ["provider", "served"])]
    documents: bool,
}

/// Which model, and what of it.
#[derive(Clone, Debug, Args)]
pub struct Show {
    #[command(flatten)]
    of: Named,
    /// What was said of it beside the catalogue, as a configuration file would have it.
    #[arg(long)]
    document: bool,
}

/// A change of what is known of a model.
#[derive(Clone, Debug, Args)]
pub struct Set {
    /// Its id.
    #[arg(value_parser = name)]
    id: String,
    #[command(flatten)]
    becomes: Becomes,
}

/// A price.
#[derive(Clone, Debug, Args)]
pub struct Price {
    /// The model's id.
    #[arg(value_parser = name)]
    id: String,
    /// Where it is served at that price.
    #[arg(long, value_name = "ID")]
    provider: String,
    /// US dollars per million prompt tokens.
    #[arg(long, value_name = "USD")]
    input: f64,
    /// US dollars per million generated tokens.
    #[arg(long, value_name = "USD")]
    output: f64,
    /// The same for prompt tokens read from the provider's cache; as --input without it.
    #[arg(long, value_name = "USD")]
    cached_input: Option<f64>,
    /// The same for prompt tokens written to it; as --input without it.
    #[arg(long, value_name = "USD")]
    cache_write: Option<f64>,
    /// What the provider calls the model, where the catalogue does not know.
    #[arg(long, value_name = "NAME")]
    upstream_model: Option<String>,
    #[command(flatten)]
    edit: Edit,
}

fn catalogue() -> Request {
    Request::get(&["catalogue", "models"])
}

impl List {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        if self.documents {
            let page: Answer<Page<Resource>> = self.listing.read(gateway, Request::get(&["models"])).await?;
            let list = |all: &[Resource]| all.iter().map(|of| document::text(Kind::Model, of)).collect();
            return Ok(document::told(screen, &page, "models beside the catalogue", list));
        }
        let request = catalogue().query("provider", self.provider.as_deref()).flag("served", self.served);
        let page: Answer<Page<ModelReport>> = self.listing.read(gateway, request).await?;
        Ok(document::told(screen, &page, "such models", |models| table(models, screen)))
    }
}

impl Show {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let id = &self.of.name;
        if self.document {
            return document::show(gateway, screen, Kind::Model, id).await;
        }
        // All are looked at, so that a model is found by every spelling that the gateway knows.
        let page: Answer<Page<ModelReport>> = Listing::default().read(gateway, catalogue()).await?;
        let names = NameIndex::new(page.read.items.iter().map(|model| model.id.as_str()));
        let at = names.resolve(id).map_err(|error| unknown(id, error))?;
        Ok(screen.show(&page.raw["items"][at], || one(&page.read.items[at], screen)))
    }
}

fn unknown(id: &str, error: NameError) -> Failure {
    Failure::NoSuchThing(match error {
        NameError::Unknown { nearest } => format!("there is no model {id:?}{}", did_you_mean(&nearest)),
        NameError::Ambiguous { candidates } => format!("{id:?} may mean any of {}", candidates.join(", ")),
    })
}

impl Price {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let known = gateway.ask::<Resource>(&document::get(Kind::Model, &self.id)).await;
        let request = match known {
            Ok(Answer { read, .. }) => self.request(read.document, Condition::Revision(read.revision)),
            Err(failure) if failure.is_not_found() => {
                let new = document::with_name(Kind::Model, &self.id, Map::new());
                self.request(new, Condition::IsNotThere)
            }
            Err(failure) => return Err(failure),
        };
        change(gateway, screen, &request).await
    }

    fn request(&self, mut document: Map<String, Json>, seen: Condition) -> Request {
        let mut endpoints = match document.remove("endpoints") {
            Some(Json::Array(endpoints)) => endpoints,
            _ => Vec::new(),
        };
        let known = endpoints.iter_mut().find(|endpoint| endpoint["provider"] == self.provider.as_str());
        match known {
            Some(endpoint) => self.put_into(endpoint),
            None => {
                let mut endpoint = json!({"provider": self.provider});
                self.put_into(&mut endpoint);
                endpoints.push(endpoint);
            }
        }
        document.insert("endpoints".to_owned(), Json::Array(endpoints));
        self.edit.of_or(Request::put(&["models", &self.id], document), seen)
    }

    fn put_into(&self, endpoint: &mut Json) {
        let mut prices = json!({"input": self.input, "output": self.output});
        for (field, price) in [("cached_input", self.cached_input), ("cache_write", self.cache_write)] {
            if let Some(price) = price {
                prices[field] = json!(price);
            }
        }
        endpoint["usd_per_mtok"] = prices;
        if let Some(upstream_model) = &self.upstream_model {
            endpoint["upstream_model"] = json!(upstream_model);
        }
    }
}

impl Task for ModelCommand {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        match self {
            Self::List(list) => list.run(gateway, screen).await,
            Self::Show(show) => show.run(gateway, screen).await,
            Self::Set(set) => {
                document::set_or_create(gateway, screen, Kind::Model, &set.id, Map::new(), &set.becomes).await
            }
            Self::Delete(gone) => change(gateway, screen, &document::delete(Kind::Model, &gone)).await,
            Self::Price(price) => price.run(gateway, screen).await,
        }
    }
}

/// A line for each endpoint; prices are for a million tokens.
fn table(models: &[ModelReport], screen: &Screen) -> String {
    let columns = [
        Column::Name("MODEL"),
        Column::Name("PROVIDER"),
        Column::Number("CONTEXT"),
        Column::Number("INPUT"),
        Column::Number("OUTPUT"),
        Column::Name("SERVED"),
    ];
    let mut table = Table::new(columns);
    let nowhere = [EndpointReport::default()];
    for model in models {
        let endpoints = if model.endpoints.is_empty() { &nowhere[..] } else { &model.endpoints };
        for endpoint in endpoints {
            table.row([
                model.id.clone(),
                endpoint.provider.clone(),
                model.context_window.map(count).unwrap_or_default(),
                endpoint.input_usd_per_mtok.map(price).unwrap_or_default(),
                endpoint.output_usd_per_mtok.map(price).unwrap_or_default(),
                served(model).to_owned(),
            ]);
        }
    }
    table.text(screen)
}

fn served(model: &ModelReport) -> &'static str {
    match (model.served, model.hidden) {
        (false, _) => "no",
        (true, true) => "hidden",
        (true, false) => "yes",
    }
}

fn state(model: &ModelReport) -> &'static str {
    match (model.served, model.hidden) {
        (false, _) => "not served",
        (true, true) => "served, but callers may not name it",
        (true, false) => "served",
    }
}

fn one(model: &ModelReport, screen: &Screen) -> String {
    let mut text = facts(&[
        ("model", Some(model.id.clone())),
        ("state", Some(state(model).to_owned())),
        ("context", model.context_window.map(|tokens| format!("{} tokens", count(tokens)))),
        ("answer", model.max_output_tokens.map(|tokens| format!("at most {} tokens", count(tokens)))),
        ("lacks", Some(model.lacks.join(", "))),
    ]);
    let columns = [
        Column::Name("PROVIDER"),
        Column::Name("UPSTREAM MODEL"),
        Column::Number("INPUT"),
        Column::Number("OUTPUT"),
        Column::Number("CACHED"),
        Column::Text("TIERS"),
    ];
    let mut table = Table::new(columns);
    for endpoint in &model.endpoints {
        let usd = |value: Option<f64>| value.map(price).unwrap_or_default();
        table.row([
            endpoint.provider.clone(),
            endpoint.upstream_model.clone(),
            usd(endpoint.input_usd_per_mtok),
            usd(endpoint.output_usd_per_mtok),
            usd(endpoint.cached_input_usd_per_mtok),
            if endpoint.tiered { "dearer when long" } else { "" }.to_owned(),
        ]);
    }
    let endpoints = table.text(screen);
    if !endpoints.is_empty() {
        text.push('\n');
        text.push_str(&endpoints);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests_support::{PIPE, StandIn, answer, args};

    fn model(id: &str) -> ModelReport {
        let endpoint = EndpointReport {
            provider: "openai".into(),
            upstream_model: "gpt".into(),
            input_usd_per_mtok: Some(1.25),
            output_usd_per_mtok: Some(10.0),
            ..EndpointReport::default()
        };
        let endpoints = vec![endpoint, EndpointReport { provider: "azure".into(), ..EndpointReport::default() }];
        ModelReport { id: id.into(), served: true, context_window: Some(400_000), endpoints, ..ModelReport::default() }
    }

    #[test]
    fn models_are_a_line_for_each_endpoint() {
        assert_eq!(
            table(&[model("openai/gpt-5.5")], &PIPE),
            "MODEL           PROVIDER  CONTEXT  INPUT  OUTPUT  SERVED\n\
             openai/gpt-5.5  openai    400,000  $1.25  $10.00  yes\n\
             openai/gpt-5.5  azure     400,000      -       -  yes\n"
        );
    }

    fn price(line: &[&str]) -> Price {
        args(&[&["m/x", "--input", "1", "--output", "2.5"], line].concat()).unwrap()
    }

    #[test]
    fn a_price_goes_to_its_endpoint_and_leaves_the_others() {
        let Json::Object(document) = json!({"id": "m/x", "endpoints": [
            {"provider": "a", "upstream_model": "x", "usd_per_mtok": {"input": 9, "output": 9}}, {"provider": "b"}
        ]}) else {
            panic!()
        };
        let request =
            price(&["--provider", "a", "--cached-input", "0.1"]).request(document.clone(), Condition::Revision(4));
        let body = request.body.unwrap();
        assert_eq!(
            body["endpoints"],
            json!([
                {"provider": "a", "upstream_model": "x", "usd_per_mtok": {"input": 1.0, "output": 2.5, "cached_input": 0.1}},
                {"provider": "b"}
            ])
        );
        assert_eq!(request.condition, Condition::Revision(4));
        let request = price(&["--provider", "c", "--upstream-model", "y"]).request(document, Condition::Revision(4));
        assert_eq!(request.body.unwrap()["endpoints"][2]["upstream_model"], "y");
    }

    #[tokio::test]
    async fn a_model_without_a_document_gets_one() {
        let stand_in = StandIn::start(|asked| match asked.line.starts_with("GET") {
            true => answer(404, json!({"error": {"message": "no", "nearest": []}})),
            false => answer(200, crate::api::change::ChangeReport::default()),
        })
        .await;
        price(&["--provider", "a"]).run(&stand_in.gateway(), &PIPE).await.unwrap();
        let put = &stand_in.asked()[1];
        assert_eq!((put.line.as_str(), put.header("if-none-match")), ("PUT /admin/v1/models/m%2Fx", "*"));
        assert_eq!(put.body["id"], "m/x");
    }

    #[tokio::test]
    async fn a_model_is_shown_by_its_id() {
        let models = json!({"items": [model("openai/gpt-5.5-pro"), model("openai/gpt-5.5")], "next": null});
        let stand_in = StandIn::start(move |_| answer(200, &models)).await;
        let show = |id: &str| args::<Show>(&[id]).unwrap();
        let said = show("openai/gpt-5.5").run(&stand_in.gateway(), &PIPE).await.unwrap();
        assert!(
            said.text.starts_with("model    openai/gpt-5.5\nstate    served\ncontext  400,000 tokens\n\nPROVIDER"),
            "{}",
            said.text
        );
        let again = show("GPT-5-5").run(&stand_in.gateway(), &PIPE).await.unwrap();
        assert_eq!(again, said, "another spelling means the same");
        let error = show("gpt-5.6").run(&stand_in.gateway(), &PIPE).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no model \"gpt-5.6\"; did you mean openai/gpt-5.5?");
    }
}
