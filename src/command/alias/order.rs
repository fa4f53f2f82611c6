//! The order of an alias's targets, and their weights.

use clap::Args;
use serde_json::Value as Json;

use super::target::{Weighted, short, weighted};
use crate::api::resource::{Resource, TargetOrder, TargetWeights};
use crate::command::change::{Edit, How, change};
use crate::command::client::{Answer, Gateway};
use crate::command::document;
use crate::command::failure::Failure;
use crate::command::request::{Condition, Request, name};
use crate::command::screen::{Said, Screen};
use crate::config::Kind;
use crate::domain::names::NameIndex;

/// An order.
#[derive(Clone, Debug, Args)]
pub struct Order {
    /// The alias.
    #[arg(value_parser = name)]
    alias: String,
    /// Every target once: its model, or its position until now, counted from 0.
    #[arg(required = true, value_name = "TARGET", value_parser = name)]
    targets: Vec<String>,
    #[command(flatten)]
    edit: Edit,
}

impl Order {
    /// The request for it.
    pub fn request(&self) -> Request {
        let body = TargetOrder { targets: self.targets.clone() };
        self.edit.of(Request::put(&["aliases", &self.alias, "order"], body))
    }
}

/// Weights.
#[derive(Clone, Debug, Args)]
pub struct Weight {
    /// The alias.
    #[arg(value_parser = name)]
    alias: String,
    /// Targets, by their models or positions, and their weights; the others keep theirs.
    #[arg(required = true, value_name = "TARGET=WEIGHT", value_parser = with_weight)]
    weights: Vec<Weighted>,
    #[command(flatten)]
    edit: Edit,
}

fn with_weight(text: &str) -> Result<Weighted, String> {
    let read = weighted(text)?;
    if read.weight.is_some() { Ok(read) } else { Err(format!("{text:?} has no weight; expected TARGET=WEIGHT")) }
}

impl Weight {
    /// The request for it.
    pub fn request(&self) -> Request {
        let weights = self.weights.iter().filter_map(|of| Some((of.target.clone(), of.weight?))).collect();
        self.edit.of(Request::put(&["aliases", &self.alias, "weights"], TargetWeights { weights }))
    }
}

/// A target that goes to another place.
#[derive(Clone, Debug, Args)]
pub struct Move {
    /// The alias.
    #[arg(value_parser = name)]
    alias: String,
    /// The target: its model, or its position, counted from 0.
    #[arg(value_parser = name)]
    target: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    how: How,
}

/// Where it goes.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// Before all others.
    #[arg(long)]
    first: bool,
    /// Behind all others.
    #[arg(long)]
    last: bool,
    /// To this position, counted from 0.
    #[arg(long, value_name = "N")]
    to: Option<usize>,
    /// Before this target.
    #[arg(long, value_name = "TARGET")]
    before: Option<String>,
    /// Behind this target.
    #[arg(long, value_name = "TARGET")]
    after: Option<String>,
}

impl Move {
    /// Looks at the order and asks for the other one, if it is still the same then.
    pub async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let answer: Answer<Resource> = gateway.ask(&document::get(Kind::Alias, &self.alias)).await?;
        change(gateway, screen, &self.request(&answer.read)?).await
    }

    fn request(&self, alias: &Resource) -> Result<Request, Failure> {
        let targets = alias.document.get("targets").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        let order = self.order(targets)?.iter().map(ToString::to_string).collect();
        let request = Request::put(&["aliases", &self.alias, "order"], TargetOrder { targets: order });
        Ok(self.how.of(request.on(Condition::Revision(alias.revision))))
    }

    /// The positions until now, in the order that is wanted.
    fn order(&self, targets: &[Json]) -> Result<Vec<usize>, Failure> {
        let find = |name: &str| find(targets, name).map_err(|reason| self.no_target(targets, name, reason));
        let moved = find(&self.target)?;
        let mut order: Vec<usize> = (0..targets.len()).filter(|at| *at != moved).collect();
        let position = |of: usize| order.iter().position(|at| *at == of);
        let place = &self.place;
        let to = match (&place.before, &place.after, place.to) {
            (Some(other), ..) => find(other).map(position)?,
            (_, Some(other), _) => find(other).map(|of| Some(position(of)? + 1))?,
            (.., Some(to)) if to > order.len() => {
                let message = format!("there is no position {to}; the last is {}", order.len());
                return Err(Failure::Arguments(message));
            }
            (.., Some(to)) => Some(to),
            _ if place.first => Some(0),
            _ => Some(order.len()),
        };
        let to = to.ok_or_else(|| Failure::Arguments("a target cannot stand before or behind itself".to_owned()))?;
        order.insert(to, moved);
        Ok(order)
    }

    fn no_target(&self, targets: &[Json], name: &str, reason: &str) -> Failure {
        let targets: Vec<String> = targets.iter().enumerate().map(|(at, of)| format!("{at} {}", short(of))).collect();
        let (alias, targets) = (&self.alias, targets.join(", "));
        Failure::NoSuchThing(format!("alias {alias:?} has {reason} {name:?}; its targets are {targets}"))
    }
}

/// Where a target is.
fn find(targets: &[Json], name: &str) -> Result<usize, &'static str> {
    const NONE: &str = "no target";
    if let Ok(position) = name.parse::<usize>() {
        return if position < targets.len() { Ok(position) } else { Err(NONE) };
    }
    let model = |target: &Json| target["model"].as_str().unwrap_or_default().to_owned();
    let mut models: Vec<String> = targets.iter().map(model).collect();
    let all = models.clone();
    models.sort_unstable();
    models.dedup();
    let meant = NameIndex::new(models.iter().map(String::as_str)).resolve(name).map_err(|_| NONE)?;
    let mut found = (0..all.len()).filter(|at| all[*at] == models[meant]);
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        _ => Err("more than one target"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::change::ChangeReport;
    use crate::command::exit::Exit;
    use crate::command::tests_support::{PIPE, StandIn, answer, args};

    fn targets() -> Vec<Json> {
        ["openai/gpt-5.5", "anthropic/claude-opus-4-8", "google/g"].map(|model| json!({"model": model})).into()
    }

    fn order(line: &[&str]) -> Result<Vec<usize>, Failure> {
        args::<Move>(&[&["chat"], line].concat()).unwrap().order(&targets())
    }

    #[test]
    fn a_target_goes_where_it_is_told_to() {
        assert_eq!(order(&["google/g", "--first"]).unwrap(), [2, 0, 1]);
        assert_eq!(order(&["0", "--last"]).unwrap(), [1, 2, 0]);
        assert_eq!(order(&["gpt-5.5", "--to", "1"]).unwrap(), [1, 0, 2]);
        assert_eq!(order(&["google/g", "--before", "claude-opus-4.8"]).unwrap(), [0, 2, 1]);
        assert_eq!(order(&["openai/gpt-5.5", "--after", "anthropic/claude-opus-4.8"]).unwrap(), [1, 0, 2]);
        assert_eq!(order(&["0", "--to", "0"]).unwrap(), [0, 1, 2]);
    }

    #[test]
    fn what_cannot_be_moved_is_said() {
        let error = order(&["gpt-4", "--first"]).unwrap_err();
        assert_eq!(error.exit(), Exit::NoSuchThing);
        assert!(error.to_string().contains("0 openai/gpt-5.5, 1 anthropic"), "{error}");
        assert_eq!(order(&["0", "--to", "3"]).unwrap_err().to_string(), "there is no position 3; the last is 2");
        assert_eq!(order(&["0", "--before", "0"]).unwrap_err().exit(), Exit::NotAsked);
        assert_eq!(find(&[json!({"model": "m"}), json!({"model": "m"})], "m"), Err("more than one target"));
        assert!(args::<Move>(&["chat", "0"]).is_err() && args::<Move>(&["chat", "0", "--first", "--last"]).is_err());
    }

    #[test]
    fn weights_need_numbers() {
        let request = args::<Weight>(&["chat", "gpt-5.5=70", "1=30"]).unwrap().request();
        assert_eq!((request.method.as_str(), request.path.join("/")), ("PUT", "aliases/chat/weights".into()));
        assert_eq!(request.body, Some(json!({"weights": {"1": 30.0, "gpt-5.5": 70.0}})));
        assert!(args::<Weight>(&["chat", "gpt-5.5"]).is_err() && args::<Weight>(&["chat"]).is_err());
    }

    #[tokio::test]
    async fn a_move_is_made_only_to_the_order_that_was_seen() {
        let alias = json!({"kind": "alias", "name": "chat", "revision": 7, "document": {"targets": targets()}});
        let stand_in = StandIn::start(move |asked| match asked.line.starts_with("GET") {
            true => answer(200, &alias),
            false => answer(200, ChangeReport::default()),
        })
        .await;
        let this = args::<Move>(&["chat", "google/g", "--first", "--dry-run"]).unwrap();
        this.run(&stand_in.gateway(), &PIPE).await.unwrap();
        let asked = &stand_in.asked()[1];
        assert_eq!(asked.line, "PUT /admin/v1/aliases/chat/order?dry_run=true");
        assert_eq!((asked.header("if-match"), &asked.body), ("\"7\"", &json!({"targets": ["2", "0", "1"]})));
    }
}
