//! What can be changed of an alias without naming all of it? Its targets, one by one, their
//! order and their weights.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::ControlError;
use super::merge_patch::merge;
use crate::config::Document;
use crate::domain::catalog::Catalog;

/// A change of a part of an alias. A target goes by the model that it names, or, since an
/// alias may name one twice, by its position, counted from 0.
#[derive(Clone, PartialEq, Debug)]
pub enum AtPart {
    /// Puts a target in, before the one at a position, or at the end.
    Add {
        /// Its fields.
        target: Map<String, Json>,
        /// Where.
        at: Option<usize>,
    },
    /// Changes fields of a target; null takes one out.
    Change {
        /// Which.
        target: String,
        /// The fields.
        patch: Map<String, Json>,
    },
    /// Takes a target out.
    Remove {
        /// Which.
        target: String,
    },
    /// Puts the targets into this order, which names each of them once.
    Order(Vec<String>),
    /// Sets the weights of targets; those that are not named keep theirs.
    Weights(Vec<(String, f64)>),
}

/// The alias with that part changed.
pub(super) fn changed(alias: &Document, part: &AtPart, catalog: &Catalog) -> Result<Document, ControlError> {
    let mut fields = alias.fields();
    let of_categories = fields.contains_key("categories");
    let Some(Json::Array(targets)) = fields.get_mut("targets") else {
        let message = match of_categories {
            true => "the targets of this alias are those of its categories; change its field \"categories\"",
            false => "the alias has no list of targets",
        };
        return Err(ControlError::Mistake(message.to_owned()));
    };
    let find = |targets: &[Json], name: &str| find(targets, name, catalog);
    match part {
        AtPart::Add { target, at } => {
            let at = at.unwrap_or(targets.len());
            if at > targets.len() {
                return Err(ControlError::Mistake(format!("there is no position {at}; there are {}", targets.len())));
            }
            targets.insert(at, Json::Object(target.clone()));
        }
        AtPart::Change { target, patch } => {
            let at = find(targets, target)?;
            if let Json::Object(fields) = &mut targets[at] {
                merge(fields, patch.clone());
            }
        }
        AtPart::Remove { target } => {
            let at = find(targets, target)?;
            targets.remove(at);
        }
        AtPart::Order(names) => reorder(targets, names, find)?,
        AtPart::Weights(weights) => {
            for (name, weight) in weights {
                let at = find(targets, name)?;
                if let Json::Object(fields) = &mut targets[at] {
                    fields.insert("weight".to_owned(), Json::from(*weight));
                }
            }
        }
    }
    Ok(Document::new(&fields))
}

/// Where a target is in the list.
fn find(targets: &[Json], name: &str, catalog: &Catalog) -> Result<usize, ControlError> {
    if let Ok(position) = name.parse::<usize>() {
        return if position < targets.len() { Ok(position) } else { Err(no_target(targets, name)) };
    }
    let model = |name: &str| catalog.model_names.lookup(name).and_then(Result::ok);
    let meant = model(name);
    let is_meant = |target: &Json| {
        let named = target.get("model").and_then(Json::as_str).unwrap_or_default();
        named == name || (meant.is_some() && model(named) == meant)
    };
    let mut found = targets.iter().enumerate().filter(|(_, target)| is_meant(target)).map(|(at, _)| at);
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (Some(first), Some(second)) => Err(ControlError::Mistake(format!(
            "the alias names {name:?} more than once; say which by its position, such as {first} or {second}"
        ))),
        _ => Err(no_target(targets, name)),
    }
}

fn no_target(targets: &[Json], name: &str) -> ControlError {
    let models = targets.iter().filter_map(|target| target.get("model").and_then(Json::as_str));
    let nearest = crate::domain::nearest::nearest(name, models);
    ControlError::NotFound { what: "target", name: name.to_owned(), nearest }
}

/// Puts targets into an order. Where they have ranks, the ranks stay with the positions, so
/// that the groups of equal rank keep their sizes.
fn reorder(
    targets: &mut Vec<Json>,
    names: &[String],
    find: impl Fn(&[Json], &str) -> Result<usize, ControlError>,
) -> Result<(), ControlError> {
    let mut position_of = HashMap::new();
    for (to, name) in names.iter().enumerate() {
        if position_of.insert(find(targets, name)?, to).is_some() {
            return Err(ControlError::Mistake(format!("{name:?} is named twice")));
        }
    }
    if position_of.len() != targets.len() {
        let left_out = (0..targets.len()).find(|at| !position_of.contains_key(at));
        let model = left_out.and_then(|at| targets[at].get("model")).and_then(Json::as_str).unwrap_or_default();
        return Err(ControlError::Mistake(format!("the order leaves {model:?} out; it has to name every target")));
    }
    let rank =
        |(position, target): (usize, &Json)| target.get("rank").and_then(Json::as_u64).unwrap_or(position as u64);
    let mut ranks: Vec<u64> = targets.iter().enumerate().map(rank).collect();
    ranks.sort_unstable();
    let ranked = targets.iter().any(|target| target.get("rank").is_some());
    let mut ordered: Vec<(usize, Json)> = std::mem::take(targets)
        .into_iter()
        .enumerate()
        .map(|(from, target)| (position_of.get(&from).copied().unwrap_or(from), target))
        .collect();
    ordered.sort_by_key(|(to, _)| *to);
    targets.extend(ordered.into_iter().map(|(_, target)| target));
    if ranked {
        for (target, rank) in targets.iter_mut().zip(ranks) {
            if let Json::Object(fields) = target {
                fields.insert("rank".to_owned(), Json::from(rank));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(targets: Json, part: AtPart) -> Result<Json, String> {
        let alias = Document::from_text(&json!({"name": "a", "targets": targets}).to_string()).unwrap();
        let changed = changed(&alias, &part, &Catalog::default()).map_err(|error| error.to_string())?;
        Ok(changed.fields()["targets"].clone())
    }

    fn three() -> Json {
        json!([{"model": "m"}, {"model": "n", "weight": 2}, {"model": "o"}])
    }

    fn fields(value: Json) -> Map<String, Json> {
        value.as_object().unwrap().clone()
    }

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn targets_are_put_in_changed_and_taken_out() {
        let target = fields(json!({"model": "x"}));
        let at_first = after(three(), AtPart::Add { target: target.clone(), at: Some(0) }).unwrap();
        assert_eq!((&at_first[0]["model"], &at_first[1]["model"]), (&json!("x"), &json!("m")));
        assert_eq!(after(three(), AtPart::Add { target: target.clone(), at: None }).unwrap()[3]["model"], "x");
        assert!(after(three(), AtPart::Add { target, at: Some(4) }).is_err());
        let patch = fields(json!({"weight": null, "enabled": false}));
        let changed = after(three(), AtPart::Change { target: "n".into(), patch }).unwrap();
        assert_eq!(changed[1], json!({"model": "n", "enabled": false}));
        assert_eq!(
            after(three(), AtPart::Remove { target: "1".into() }).unwrap(),
            json!([{"model": "m"}, {"model": "o"}])
        );
        assert_eq!(after(three(), AtPart::Remove { target: "q".into() }).unwrap_err(), "there is no target \"q\"");
        let twice = json!([{"model": "m"}, {"model": "m"}]);
        let error = after(twice, AtPart::Remove { target: "m".into() }).unwrap_err();
        assert!(error.contains("position, such as 0 or 1"), "{error}");
    }

    #[test]
    fn an_order_names_every_target_once() {
        let order = |of: &[&str]| after(three(), AtPart::Order(names(of)));
        assert_eq!(
            order(&["o", "m", "1"]).unwrap(),
            json!([{"model": "o"}, {"model": "m"}, {"model": "n", "weight": 2}])
        );
        assert_eq!(order(&["o", "m"]).unwrap_err(), "the order leaves \"n\" out; it has to name every target");
        assert_eq!(order(&["o", "m", "m"]).unwrap_err(), "\"m\" is named twice");
    }

    #[test]
    fn ranks_stay_with_their_positions() {
        let ranked = json!([{"model": "m", "rank": 0}, {"model": "n", "rank": 0}, {"model": "o", "rank": 1}]);
        let ordered = after(ranked, AtPart::Order(names(&["o", "n", "m"]))).unwrap();
        assert_eq!(ordered, json!([{"model": "o", "rank": 0}, {"model": "n", "rank": 0}, {"model": "m", "rank": 1}]));
    }

    #[test]
    fn weights_are_set_by_name() {
        let weighted = after(three(), AtPart::Weights(vec![("m".into(), 5.0), ("n".into(), 0.0)])).unwrap();
        assert_eq!(weighted, json!([{"model": "m", "weight": 5.0}, {"model": "n", "weight": 0.0}, {"model": "o"}]));
    }
}
