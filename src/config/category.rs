//! What kinds of prompts does an alias tell apart, and who serves each? `[[aliases.categories]]`
//! and the options that stand beside it.

use std::time::Duration;

use super::alias::{Around, NAME_MARKS, index};
use super::node::Value;
use super::problem::{Report, one_of};
use super::read::{Item, Table, together};
use super::settings::{self, Settings};
use super::{adaptivity, strategy, target};
use crate::domain::alias::{Alias, Strategy, Target};
use crate::domain::budget::Budgets;
use crate::domain::category::{BuiltIn, CategoryKind, CategoryScheme, CategorySpec, Tier};
use crate::domain::grouping::{DEFAULT_CATEGORY, Group, Grouping, OnExhausted, default_category, same_name};
use crate::domain::ids::{AliasIdx, CategoryName, ModelIdx};
use crate::domain::nearest::nearest;

/// What an alias of categories has beside what others have.
pub(super) const ALIAS_FIELDS: &[&str] = &["categories", "classifier", "pin", "hint", "on_exhausted"];
pub(super) const CLASSIFIER_FIELDS: &[&str] = &["tier", "budget"];
/// What is a category's own; the rest are options that aliases have too.
pub(super) const OWN_FIELDS: &[&str] =
    &["name", "description", "examples", "threshold", "margin", "strategy", "targets", "on_exhausted"];
const FIELDS: &[&str] = &together::<
    { OWN_FIELDS.len() + settings::FIELDS.len() + adaptivity::FIELDS.len() + strategy::OPTIONS.len() },
>(&[OWN_FIELDS, settings::FIELDS, adaptivity::FIELDS, strategy::OPTIONS]);

/// What only makes sense where something has to match.
const MATCHING: [&str; 5] = ["description", "examples", "threshold", "margin", "on_exhausted"];

/// How long a request waits for the strong classifier where nothing is said.
const USUAL_BUDGET: Duration = Duration::from_millis(20);
const LONGEST_BUDGET: Duration = Duration::from_secs(5);

/// Categories of an alias at most, Default included.
pub(super) const MOST_CATEGORIES: usize = 32;
/// Examples of a category at most, and of an alias.
pub(super) const MOST_EXAMPLES: usize = 50;
const MOST_EXAMPLES_IN_ALL: usize = 500;
/// The longest example and the longest description, in bytes.
const LONGEST_EXAMPLE: usize = 8192;
const LONGEST_DESCRIPTION: usize = 2000;

/// The categories that can be named without being described.
fn built_ins() -> Vec<&'static str> {
    let nameable = |category: &BuiltIn| *category != BuiltIn::Other;
    BuiltIn::ALL.into_iter().filter(nameable).map(BuiltIn::as_str).collect()
}

/// An alias of categories has no targets of its own.
pub(super) fn check_no_targets(table: &Table<'_>, report: &Report) {
    if let Some(item) = table.get("targets") {
        let problem = item.problem("has no meaning with strategy = \"category\"");
        report.problem(problem.expected("targets in each of its categories"));
    }
}

/// Other aliases have nothing of categories. `strategy` is `None` where it could not be read:
/// it may have been meant.
pub(super) fn check_no_categories(table: &Table<'_>, strategy: Option<&Strategy>, report: &Report) {
    let Some(strategy) = strategy else { return };
    for item in ALIAS_FIELDS.iter().filter_map(|field| table.get(field)) {
        let problem = item.problem(format!("has no meaning with strategy = {:?}", strategy.as_str()));
        report.problem(problem.expected("strategy = \"category\" with it"));
    }
}

/// An alias of categories while they are read.
pub(super) struct Reader<'r, 'n> {
    pub(super) table: &'r Table<'n>,
    pub(super) around: Around<'r>,
    /// What it says for all of them.
    pub(super) alias: &'r Alias,
    /// Where it stands; those of its categories follow.
    pub(super) first: AliasIdx,
}

/// A category and the alias that serves it.
struct Read<'n> {
    item: Item<'n>,
    /// `None` for Default.
    spec: Option<CategorySpec>,
    alias: Alias,
}

impl<'n> Reader<'_, 'n> {
    /// The categories, and the aliases that serve them, in the order in which they follow.
    pub(super) fn read(&self) -> (Grouping, Vec<Alias>) {
        let (table, report) = (self.table, self.around.report);
        let classifier = table.read("classifier", |item| item.table(CLASSIFIER_FIELDS, report));
        let tiers = [Tier::Fast, Tier::Cascade].map(|tier| (tier.as_str(), tier));
        let tier = classifier.as_ref().and_then(|table| table.read("tier", |item| item.word(tiers, report)));
        let tier = tier.unwrap_or_default();
        let budget = classifier.as_ref().and_then(|table| {
            let item = table.get("budget")?;
            if tier == Tier::Fast {
                report.warn(item.problem("has no effect: the fast classifier waits for nobody"));
            }
            item.duration(Duration::ZERO..=LONGEST_BUDGET, report)
        });
        let flag = |field| table.read(field, |item| item.boolean(report)).unwrap_or_default();
        let (pin, hint) = (flag("pin"), flag("hint"));
        let read = self.categories();
        let (mut categories, mut groups, mut aliases, mut default) = (Vec::new(), Vec::new(), Vec::new(), self.first);
        for Read { spec, alias, .. } in read {
            let at = index(self.first.get() + 1 + aliases.len());
            aliases.push(alias);
            match spec {
                Some(spec) => {
                    categories.push(spec);
                    groups.push(at);
                }
                None => default = at,
            }
        }
        let scheme = CategoryScheme { categories, tier, budget: budget.unwrap_or(USUAL_BUDGET) };
        (Grouping { scheme, groups, default, pin, hint }, aliases)
    }

    fn categories(&self) -> Vec<Read<'n>> {
        let report = self.around.report;
        let Some(item) = self.table.require("categories", report) else { return Vec::new() };
        let Some(items) = item.list(report) else { return Vec::new() };
        if !check_count(&item, items.len(), report) {
            return Vec::new();
        }
        let usual = self.table.read("on_exhausted", |item| on_exhausted(item, report)).unwrap_or_default();
        let mut read: Vec<Read<'n>> = Vec::with_capacity(items.len());
        let (count, list) = (items.len(), item.path.clone());
        for item in items {
            let item = item.named_by(&list, "name");
            read.extend(self.category(item, usual, &read));
        }
        // What could not be read has been reported, and may have been Default.
        if read.len() == count {
            if read.iter().all(|one| one.spec.is_some()) {
                let problem = item.problem(format!("has no {DEFAULT_CATEGORY:?}, which serves what matches nothing"));
                report.problem(problem.expected(format!("an entry with name = {DEFAULT_CATEGORY:?}")));
            } else if read.len() == 1 {
                report.warn(item.problem("everything goes to the only category there is"));
            }
            check_examples(&item, read.iter().filter_map(|one| one.spec.as_ref()), report);
            self.check_budgets(&read);
        }
        read
    }

    /// The category, unless its name is missing or taken.
    fn category(&self, item: Item<'n>, usual: OnExhausted, others: &[Read<'n>]) -> Option<Read<'n>> {
        let report = self.around.report;
        let table = item.table(FIELDS, report)?;
        let (named, spec) = spec(&table, report);
        let strategy = strategy::read_in_category(&table, report);
        let settings = settings::read(&table, strategy.as_ref(), &Settings::of(self.alias), report);
        let reader = target::Reader { providers: self.around.providers, models: self.around.models, report };
        let targets = reader.targets(&table, strategy.as_ref());
        let on_exhausted = table.read("on_exhausted", |item| on_exhausted(item, report)).unwrap_or(usual);
        if is_taken(&named?, spec.as_ref(), others.iter().map(|other| other.spec.as_ref()), report) {
            return None;
        }
        let alias = Alias {
            strategy: strategy.unwrap_or(Strategy::Priority { within: None }),
            targets,
            projects: self.alias.projects.clone(),
            budgets: Budgets::default(),
            group: Some(Group {
                category: spec.as_ref().map_or_else(default_category, |spec| spec.name.clone()),
                on_exhausted,
            }),
            ..settings.alias(self.alias.name.clone())
        };
        Some(Read { item, spec, alias })
    }

    /// What a target may spend is counted for its model in the whole alias.
    fn check_budgets(&self, read: &[Read<'_>]) {
        let report = self.around.report;
        let mut seen: Vec<(ModelIdx, &Target)> = Vec::new();
        for Read { item, alias, .. } in read {
            for target in alias.targets.iter().filter(|target| !target.budgets.is_empty()) {
                match seen.iter().find(|(model, _)| *model == target.model) {
                    Some((_, other)) if other.budgets != target.budgets => {
                        let model = &self.around.models.models[target.model.get()].id;
                        let message = format!("another category has another budget for {model:?}");
                        let expected = "the same one: what a model spends is counted over all categories of the alias";
                        report.problem(item.problem(message).expected(expected));
                    }
                    Some(_) => {}
                    None => seen.push((target.model, target)),
                }
            }
        }
    }
}

/// Categories by themselves, to try what belongs to them: who serves them is not looked at, and
/// Default may be left out.
pub(super) fn without_targets(item: &Item<'_>, report: &Report) -> Vec<CategorySpec> {
    let Some(items) = item.list(report) else { return Vec::new() };
    if items.is_empty() {
        report.problem(item.problem("is empty").expected("at least one category"));
    }
    if !check_count(item, items.len(), report) {
        return Vec::new();
    }
    let mut read: Vec<Option<CategorySpec>> = Vec::with_capacity(items.len());
    for category in items {
        let Some(table) = category.named_by(&item.path, "name").table(FIELDS, report) else { continue };
        let (named, spec) = spec(&table, report);
        if named.is_some_and(|named| !is_taken(&named, spec.as_ref(), read.iter().map(Option::as_ref), report)) {
            read.push(spec);
        }
    }
    check_examples(item, read.iter().flatten(), report);
    read.into_iter().flatten().collect()
}

/// What belongs to a category; `None` is Default. Its name apart, with where it stands, unless
/// that has been reported.
fn spec<'n>(table: &Table<'n>, report: &Report) -> (Option<(Item<'n>, &'n str)>, Option<CategorySpec>) {
    let named = table.require("name", report).and_then(|item| item.name(NAME_MARKS, report).map(|name| (item, name)));
    let spec = match &named {
        Some((_, name)) if same_name(name, DEFAULT_CATEGORY) => {
            check_default(table, report);
            None
        }
        _ => Some(CategorySpec {
            name: CategoryName::new(named.as_ref().map_or("", |(_, name)| name)),
            kind: kind(table, named.as_ref().map(|(item, name)| (item, *name)), report),
            threshold: share(table, "threshold", report),
            margin: share(table, "margin", report),
        }),
    };
    (named, spec)
}

fn check_count(item: &Item<'_>, count: usize, report: &Report) -> bool {
    if count > MOST_CATEGORIES {
        let problem = item.problem(format!("there are {count} categories"));
        report.problem(problem.expected(format!("at most {MOST_CATEGORIES}")));
    }
    count <= MOST_CATEGORIES
}

fn check_examples<'s>(item: &Item<'_>, specs: impl Iterator<Item = &'s CategorySpec>, report: &Report) {
    let examples = specs.filter_map(|spec| match &spec.kind {
        CategoryKind::Own { examples, .. } => Some(examples.len()),
        CategoryKind::BuiltIn(_) => None,
    });
    let count: usize = examples.sum();
    if count > MOST_EXAMPLES_IN_ALL {
        let problem = item.problem(format!("there are {count} examples in all"));
        report.problem(problem.expected(format!("at most {MOST_EXAMPLES_IN_ALL}")));
    }
}

/// Whether one of the others has the name of a category; then that is reported.
fn is_taken<'s>(
    (item, name): &(Item<'_>, &str),
    spec: Option<&CategorySpec>,
    mut others: impl Iterator<Item = Option<&'s CategorySpec>>,
    report: &Report,
) -> bool {
    let Some(other) = others.find(|other| is_same(*other, name, spec)) else { return false };
    let other = other.map_or(DEFAULT_CATEGORY, |spec| spec.name.as_str());
    report.problem(item.problem(format!("there is a category {other:?} already")));
    true
}

/// Whether a category is one that is there already; two names of one built-in are one.
fn is_same(other: Option<&CategorySpec>, name: &str, spec: Option<&CategorySpec>) -> bool {
    match (other, spec) {
        (None, None) => true,
        (Some(other), Some(spec)) => {
            let one_kind = matches!(other.kind, CategoryKind::BuiltIn(_)) && other.kind == spec.kind;
            same_name(other.name.as_str(), name) || one_kind
        }
        _ => false,
    }
}

fn on_exhausted(item: &Item<'_>, report: &Report) -> Option<OnExhausted> {
    item.word([("default", OnExhausted::Default), ("fail", OnExhausted::Fail)], report)
}

fn share(table: &Table<'_>, field: &'static str, report: &Report) -> Option<f64> {
    table.read(field, |item| item.number(0.0..=1.0, report))
}

/// Default is what nothing else is: it matches by itself, and has nobody behind it.
fn check_default(table: &Table<'_>, report: &Report) {
    for field in MATCHING {
        if let Some(item) = table.get(field) {
            let problem = item.problem(format!("has no meaning in {DEFAULT_CATEGORY:?}"));
            report.problem(problem.expected("only a strategy, targets and their settings"));
        }
    }
}

/// What makes prompts belong to a category. `named` is `None` where that has been reported.
fn kind(table: &Table<'_>, named: Option<(&Item<'_>, &str)>, report: &Report) -> CategoryKind {
    let description = table.read("description", |item| description(item, report));
    let described = [table.get("description"), table.get("examples")];
    let examples = table.get("examples").map(|item| examples(&item, report)).unwrap_or_default();
    let built_in = named.and_then(|(item, name)| Some((item, name, BuiltIn::parse(name)?)));
    match built_in {
        Some((item, name, BuiltIn::Other)) => {
            let problem = item.problem(format!("{name:?} is what belongs to no category"));
            report.problem(problem.expected(format!("its targets in {DEFAULT_CATEGORY:?}")));
        }
        Some((_, name, _)) if described.iter().any(Option::is_some) => {
            for item in described.into_iter().flatten() {
                let problem = item.problem(format!("{name:?} is built in and needs none"));
                let expected = format!("none, or another name, such as \"my-{name}\", for a category of your own");
                report.problem(problem.expected(expected));
            }
        }
        Some((_, _, category)) => return CategoryKind::BuiltIn(category),
        None if described.iter().all(Option::is_none) => {
            if let Some((item, name)) = named {
                let problem =
                    item.problem(format!("{name:?} is not built in, and has neither a description nor examples"));
                let names = built_ins();
                let expected = format!("one of them, or {}", one_of(&names));
                report.problem(problem.expected(expected).suggest(nearest(name, names)));
            }
        }
        None => {}
    }
    CategoryKind::Own { description, examples }
}

fn description(item: &Item<'_>, report: &Report) -> Option<String> {
    let text = item.text(report)?;
    check_length(item, text, LONGEST_DESCRIPTION, report);
    Some(text.to_owned())
}

fn examples(item: &Item<'_>, report: &Report) -> Vec<String> {
    let texts = item.texts(report);
    if matches!(&item.node.value, Value::Array(list) if list.is_empty()) {
        report.problem(item.problem("is empty").expected("at least one prompt"));
    }
    if texts.len() > MOST_EXAMPLES {
        let problem = item.problem(format!("there are {} examples", texts.len()));
        report.problem(problem.expected(format!("at most {MOST_EXAMPLES}")));
    }
    for (item, text) in &texts {
        check_length(item, text, LONGEST_EXAMPLE, report);
    }
    let mut examples: Vec<String> = Vec::with_capacity(texts.len());
    for (item, text) in texts {
        if examples.iter().any(|other| other == text) {
            report.warn(item.problem("is there twice"));
        } else {
            examples.push(text.to_owned());
        }
    }
    examples
}

fn check_length(item: &Item<'_>, text: &str, most: usize, report: &Report) {
    if text.len() > most {
        report.problem(item.problem(format!("has {} bytes", text.len())).expected(format!("at most {most}")));
    }
}
