//! How does a configuration of LiteLLM's proxy become one of ours?
//!
//! It goes in passes. `settings` reads what applies to everything, with `strategy`. `groups`
//! reads `model_list`: `entry` finds out whose model is meant, and `deployment` makes it one at
//! an account, with the help of `vendors`, `account` and `address` (where it goes), `options` and
//! `params` (how it is asked), `facts` and `prices` (what it can do and costs) and `wildcard`
//! (names with stars). `fallbacks` finds out which groups follow which. Then `providers` and
//! `models` give names to accounts and models, and `aliases`, with `weights`, puts targets in
//! order. `general` is about callers, `world` about variables, `secrets` about what is never
//! copied, and `rules` has what is always the same.
//!
//! All along `findings` gathers a verdict for each line of the file.

mod account;
mod address;
mod aliases;
mod deployment;
mod entry;
mod facts;
mod fallbacks;
mod findings;
mod general;
mod groups;
mod models;
mod naming;
mod options;
mod params;
mod prices;
mod providers;
mod rules;
mod secrets;
mod settings;
mod strategy;
#[cfg(test)]
mod tests;
mod vendors;
mod weights;
mod wildcard;
mod world;

use std::collections::HashSet;

use self::aliases::{Maker, Placed};
use self::entry::Reader;
use self::fallbacks::{Fallbacks, aliased_group};
use self::findings::Findings;
use self::groups::Book;
use self::models::Models;
use self::naming::{Taken, alias_name};
use self::providers::{Accounts, Providers};
use self::rules::{PARAMS, TOP};
use self::settings::Settings;
use self::vendors::vendor;
use self::world::World;
use super::draft::{AliasDraft, Draft};
use super::report::{Report, Verdict};
use super::yaml::{Node, Value};

/// Sections that are read; what else stands at the top level is judged by rules.
const SECTIONS: [&str; 6] = [
    "model_list",
    "router_settings",
    "litellm_settings",
    "general_settings",
    "environment_variables",
    "credential_list",
];

/// Translates a whole file.
pub(super) fn translate(root: &Node, source: &str, env: &dyn Fn(&str) -> Option<String>) -> (Draft, Report) {
    let findings = Findings::default();
    let world = World::new(root.get("environment_variables"), env);
    let settings = Settings::read(root, &findings);
    let reader =
        Reader { world: &world, findings: &findings, settings: &settings, credentials: root.get("credential_list") };
    let mut draft = Draft { source: source.to_owned(), ..Draft::default() };
    let mut book = Book::read(root.get("model_list"), reader);
    let fallbacks = Fallbacks::read(&settings, &mut book, reader);
    draft.keys = vec![general::read(root.get("general_settings"), &mut draft.server, &findings)];

    let (providers, positions, placed, models) = place(&book, &findings);
    let maker = Maker { book: &book, settings: &settings, fallbacks: &fallbacks, placed: &placed };
    judge_models(&maker, &providers, &positions, &findings);
    draft.aliases = aliases(&maker, &findings);
    draft.server.direct_models = book.patterns.iter().any(|pattern| pattern.direct);
    draft.models = models.finish();

    let mut variables = providers.variables();
    variables.extend(draft.keys.iter().map(|key| key.key_env.clone()));
    world.judge(root.get("environment_variables"), &variables, &findings);
    draft.providers = providers.list;
    judge_credentials(root.get("credential_list"), &findings);
    judge_top(root, &findings);
    if draft.aliases.is_empty() && (draft.providers.is_empty() || !draft.server.direct_models) {
        let instead = "[[aliases]] for the names that callers use";
        findings.absent(
            "model_list",
            Verdict::NotPossible,
            "no entry could be taken over, so there is nothing to call",
            instead,
        );
    }
    (draft, Report { source: source.to_owned(), findings: findings.finish(root) })
}

/// Accounts with names, and where each deployment is served.
fn place(book: &Book<'_>, findings: &Findings) -> (Providers, Vec<usize>, Vec<Placed>, Models) {
    let mut accounts = Accounts::default();
    let deployed = book.deployments.iter().map(|of| (&of.account, of.model_node, of.key_node));
    let patterns = book.patterns.iter().filter_map(|of| Some((of.account.as_ref()?, of.model_node, of.key_node)));
    let uses: Vec<_> = deployed.chain(patterns).collect();
    let positions: Vec<usize> = uses.iter().map(|(account, node, _)| accounts.put(account, node.place.line)).collect();
    let providers = accounts.name();
    for ((account, _, key_node), position) in uses.iter().zip(&positions) {
        if let Some(node) = key_node {
            providers.judge_key(*position, &account.key, node, findings);
        }
    }
    let mut models = Models::default();
    let id = |member: usize| providers.list[positions[member]].id.as_str();
    let of: Vec<String> =
        book.deployments.iter().enumerate().map(|(member, deployment)| models.place(deployment, id(member))).collect();
    let ids: Vec<&str> = providers.list.iter().map(|provider| provider.id.as_str()).collect();
    let placed = of.into_iter().enumerate().map(|(member, model)| {
        let only = models.is_served_elsewhere(&model, id(member), &ids).then(|| id(member).to_owned());
        Placed { model, only }
    });
    let placed: Vec<Placed> = placed.collect();
    (providers, positions, placed, models)
}

/// Tells what became of each `model`.
fn judge_models(maker: &Maker<'_, '_>, providers: &Providers, positions: &[usize], findings: &Findings) {
    let behind: HashSet<usize> = (0..maker.book.groups.len()).flat_map(|group| maker.behind(group)).collect();
    for (member, deployment) in maker.book.deployments.iter().enumerate() {
        // What a pattern stands for has been judged with the pattern.
        if findings.has_judged(deployment.model_node) {
            continue;
        }
        let mut message = format!("{}@{}", maker.placed[member].model, providers.list[positions[member]].id);
        if behind.contains(&member) {
            message.push_str(", behind those of its group that have a weight or a limit to be drawn by");
        }
        let differs = vendor(deployment.account.vendor).map(|vendor| vendor.differs).unwrap_or_default();
        if differs.is_empty() {
            findings.exact(deployment.model_node, message);
        } else {
            findings.approximated(deployment.model_node, format!("{message}, {differs}"));
        }
    }
}

/// An alias for each group that callers may name, and for each other name of one.
fn aliases(maker: &Maker<'_, '_>, findings: &Findings) -> Vec<AliasDraft> {
    let mut taken = Taken::default();
    let mut aliases = Vec::new();
    let public = maker.book.groups.iter().enumerate().filter(|(_, group)| group.public);
    for (position, group) in public {
        let name = taken.take(&alias_name(&group.name), '-');
        for member in &group.members {
            judge_name(maker.book.deployments[*member].group_node, &group.name, &name, findings);
        }
        judge_weights(maker, &group.members, findings);
        aliases.push(maker.alias(name, &group.name, position));
    }
    for entry in maker.settings.group_aliases.map(Node::entries).unwrap_or_default() {
        let group = aliased_group(&entry.node).and_then(|name| maker.book.public(&name));
        match group {
            Some(_) if maker.book.public(&entry.key).is_some() => findings.not_possible(
                &entry.node,
                "a group of model_list has this name already",
                "another name, or the other targets in the alias",
            ),
            Some(group) => {
                let name = taken.take(&alias_name(&entry.key), '-');
                judge_name(entry.node.get("model").unwrap_or(&entry.node), &entry.key, &name, findings);
                judge_hidden(&entry.node, findings);
                aliases.push(maker.alias(name, &entry.key, group));
            }
            None => findings.not_possible(
                &entry.node,
                "no group of model_list that could be taken over has that name",
                "an alias of this name with other targets",
            ),
        }
    }
    aliases
}

fn judge_name(node: &Node, asked: &str, name: &str, findings: &Findings) {
    if asked == name {
        findings.exact(node, format!("alias {name:?}"));
    } else {
        let message = format!("alias {name:?}, since not all letters of {asked:?} are allowed in names");
        findings.approximated_but(node, message, format!("{name:?} as model in the applications"));
    }
}

fn judge_hidden(node: &Node, findings: &Findings) {
    match node.get("hidden").map(|hidden| (hidden, hidden.boolean())) {
        Some((hidden, Some(true))) => findings.approximated(hidden, "/v1/models lists every alias"),
        Some((hidden, _)) => findings.exact(hidden, "/v1/models lists every alias"),
        None => {}
    }
}

fn judge_weights(maker: &Maker<'_, '_>, members: &[usize], findings: &Findings) {
    let draws = maker.settings.strategy.draws();
    let has = |member: &usize| maker.book.deployments[*member].weight.is_some_and(|weight| weight.value > 0.0);
    for member in members {
        let Some(weight) = maker.book.deployments[*member].weight else { continue };
        let message = match (draws, members.iter().all(has), has(member)) {
            (false, ..) => "has no effect under this strategy, as in LiteLLM",
            (true, true, _) => "weight of the target, in proportion to the others",
            (true, false, true) => "weight of the target; those of the group without one follow in the next rank",
            (true, false, false) => "the target follows behind those with a weight, in the next rank",
        };
        findings.exact(weight.node, message);
    }
}

/// What is left of credentials: those that nobody names, and what nobody takes from them.
fn judge_credentials(list: Option<&Node>, findings: &Findings) {
    for item in list.map(Node::elements).unwrap_or_default() {
        let values = item.get("credential_values");
        let used = values.is_some_and(|values| values.children().any(|value| findings.has_judged(value)));
        if !used {
            findings.exact(item, "no entry of model_list that could be taken over needs it");
            continue;
        }
        for entry in item.entries().iter().filter(|entry| entry.key != "credential_values") {
            findings.exact(&entry.node, "changes nothing for requests");
        }
        for entry in values.map(Node::entries).unwrap_or_default() {
            if !findings.has_judged(&entry.node) && !findings.by_rules(entry, PARAMS) {
                findings.exact(&entry.node, "no entry of model_list takes it from here");
            }
        }
    }
}

fn judge_top(root: &Node, findings: &Findings) {
    let sections: HashSet<&str> = SECTIONS.into();
    for entry in root.entries() {
        if sections.contains(entry.key.as_str()) {
            if entry.node.is_leaf() && entry.node.value != Value::Null && !findings.has_judged(&entry.node) {
                judge_odd_section(&entry.node, findings);
            }
        } else if !findings.by_rules(entry, TOP) && entry.node.lends() {
            findings.exact(&entry.node, "a template: what it holds is judged where it is used");
        }
    }
}

/// A section that is neither a list nor a map.
fn judge_odd_section(node: &Node, findings: &Findings) {
    match node.value {
        Value::List(_) | Value::Map(_) => findings.exact(node, "is empty"),
        _ => findings.not_possible(node, "is not what this section may be", "nothing, if LiteLLM did nothing with it"),
    }
}
