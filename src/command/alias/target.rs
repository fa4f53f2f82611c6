//! One target of an alias: put in, taken out, switched on and off.

use clap::Args;
use serde_json::{Map, Number, Value as Json, json};

use crate::api::resource::TargetToAdd;
use crate::command::change::Edit;
use crate::command::fields::{Fields, without_nulls};
use crate::command::request::{Request, name};

/// A target with what it weighs, if that is said.
#[derive(Clone, PartialEq, Debug)]
pub struct Weighted {
    /// The model, or a position.
    pub target: String,
    /// Its weight.
    pub weight: Option<f64>,
}

/// Reads `MODEL` or `MODEL=WEIGHT`.
///
/// # Errors
/// If it is neither.
pub fn weighted(text: &str) -> Result<Weighted, String> {
    let Some((target, weight)) = text.split_once('=') else {
        return Ok(Weighted { target: name(text)?, weight: None });
    };
    let weight = weight.trim().parse::<f64>().ok().filter(|weight| weight.is_finite() && *weight >= 0.0);
    let weight = weight.ok_or_else(|| format!("{text:?} has no weight; expected a number, as in MODEL=50"))?;
    Ok(Weighted { target: name(target.trim())?, weight: Some(weight) })
}

impl Weighted {
    /// As an entry of `targets`.
    pub fn as_json(&self) -> Json {
        match self.weight.and_then(number) {
            Some(weight) => json!({"model": self.target, "weight": weight}),
            None => json!({"model": self.target}),
        }
    }
}

/// A whole number is written as one, as a person would.
pub fn number(value: f64) -> Option<Number> {
    let whole = value.fract() == 0.0 && value.abs() < 1e15;
    // A whole number of less than 51 bits.
    if whole { Some(Number::from(value as i64)) } else { Number::from_f64(value) }
}

/// A target in a word or two.
pub fn short(target: &Json) -> String {
    let mut text = target["model"].as_str().unwrap_or("?").to_owned();
    if let Some(weight) = target["weight"].as_f64() {
        text.push_str(&format!("={weight}"));
    }
    if target["enabled"] == false {
        text.push_str(" (off)");
    }
    if target["last_resort"] == true {
        text.push_str(" (last resort)");
    }
    text
}

/// A target to be put in.
#[derive(Clone, Debug, Args)]
pub struct Add {
    /// The alias.
    #[arg(value_parser = name)]
    alias: String,
    /// The model.
    #[arg(value_parser = name)]
    model: String,
    /// Its share among targets that are drawn.
    #[arg(long)]
    weight: Option<f64>,
    /// Its place under priority, lower first.
    #[arg(long)]
    rank: Option<u32>,
    /// The position that it takes, counted from 0; at the end if it is not given.
    #[arg(long, value_name = "N")]
    at: Option<u32>,
    /// Only this provider of the model; may be said several times.
    #[arg(long, value_name = "PROVIDER")]
    provider_only: Vec<String>,
    /// This provider before others, in the order in which they are said.
    #[arg(long, value_name = "PROVIDER")]
    provider_order: Vec<String>,
    /// Not this provider.
    #[arg(long, value_name = "PROVIDER")]
    provider_ignore: Vec<String>,
    /// Only when all others have failed.
    #[arg(long)]
    last_resort: bool,
    /// It is not to be chosen yet.
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    edit: Edit,
}

impl Add {
    /// The request for it.
    pub fn request(&self) -> Request {
        let mut target = Map::new();
        let mut put = |field: &str, value: Option<Json>| {
            if let Some(value) = value {
                target.insert(field.to_owned(), value);
            }
        };
        put("model", Some(Json::from(self.model.as_str())));
        put("weight", self.weight.and_then(number).map(Json::Number));
        put("rank", self.rank.map(Json::from));
        put("providers", self.providers());
        put("last_resort", self.last_resort.then_some(Json::Bool(true)));
        put("enabled", self.disabled.then_some(Json::Bool(false)));
        self.fields.put_into(&mut target);
        let body = TargetToAdd { target: without_nulls(target), at: self.at };
        self.edit.of(Request::post(&["aliases", &self.alias, "targets"], body))
    }

    fn providers(&self) -> Option<Json> {
        let lists = [("only", &self.provider_only), ("order", &self.provider_order), ("ignore", &self.provider_ignore)];
        let said = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let said: Map<String, Json> = said.map(|(name, list)| (name.to_owned(), json!(list))).collect();
        (!said.is_empty()).then_some(Json::Object(said))
    }
}

/// A target that is there.
#[derive(Clone, Debug, Args)]
pub struct Which {
    /// The alias.
    #[arg(value_parser = name)]
    alias: String,
    /// The target: its model, or its position, counted from 0.
    #[arg(value_parser = name)]
    target: String,
    #[command(flatten)]
    edit: Edit,
}

impl Which {
    fn path(&self) -> [&str; 4] {
        ["aliases", &self.alias, "targets", &self.target]
    }

    /// The request that takes it out.
    pub fn removed(&self) -> Request {
        self.edit.of(Request::delete(&self.path()))
    }

    /// The request that switches it on or off.
    pub fn switched(&self, on: bool) -> Request {
        self.edit.of(Request::patch(&self.path(), json!({"enabled": on})))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests_support::args;

    #[test]
    fn a_weight_stands_behind_the_model() {
        let read = |text| weighted(text).map(|weighted| (weighted.target, weighted.weight));
        assert_eq!(read("openai/gpt-5.5"), Ok(("openai/gpt-5.5".into(), None)));
        assert_eq!(read("m=0.5"), Ok(("m".into(), Some(0.5))));
        for wrong in ["", "=1", "m=", "m=-1", "m=x", "m=inf"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!((number(50.0), number(0.5)), (Some(Number::from(50)), Number::from_f64(0.5)));
    }

    #[test]
    fn a_target_has_what_was_said_of_it() {
        let line = ["chat", "openai/gpt-5.5", "--weight", "2", "--rank", "1", "--at", "0", "--provider-only", "azure"];
        let more = ["--provider-only", "openai", "--last-resort", "--disabled", "--set", "params.temperature=0.2"];
        let request = args::<Add>(&[&line[..], &more].concat()).unwrap().request();
        assert_eq!((request.method.as_str(), request.path.join("/")), ("POST", "aliases/chat/targets".into()));
        let target = json!({
            "model": "openai/gpt-5.5", "weight": 2, "rank": 1, "providers": {"only": ["azure", "openai"]},
            "last_resort": true, "enabled": false, "params": {"temperature": 0.2},
        });
        assert_eq!(request.body, Some(json!({"target": target, "at": 0})));
        let plain = args::<Add>(&["chat", "m"]).unwrap().request();
        assert_eq!(plain.body, Some(json!({"target": {"model": "m"}, "at": null})));
    }

    #[test]
    fn a_target_goes_by_its_model_or_position() {
        let which = args::<Which>(&["chat", "openai/gpt-5.5", "--if-revision", "3"]).unwrap();
        assert_eq!(which.removed().path, ["aliases", "chat", "targets", "openai/gpt-5.5"]);
        let off = which.switched(false);
        assert_eq!((off.method.as_str(), off.body), ("PATCH", Some(json!({"enabled": false}))));
    }
}
