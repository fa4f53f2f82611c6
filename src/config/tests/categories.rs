//! Categories: what is read, what is inherited, what is refused and in which words.

use std::time::Duration;

use super::accepted::alias;
use super::problems::behind_base;
use super::*;
use crate::config::category::{MOST_CATEGORIES, MOST_EXAMPLES};
use crate::domain::alias::{Alias, Scoring, Strategy};
use crate::domain::category::{BuiltIn, CategoryKind, Tier};
use crate::domain::grouping::{Grouping, OnExhausted};

const TARGETS: &str = "strategy = \"priority\"\ntargets = [{ model = \"gpt-4o\" }]";

/// A category with these fields, and a strategy and a target.
fn category(fields: &str) -> String {
    format!("[[aliases.categories]]\n{TARGETS}\n{fields}\n")
}

/// An alias of these categories and of default, behind a provider.
fn of(fields: &str, categories: &[&str]) -> String {
    let categories: String = categories.iter().map(|fields| category(fields)).collect();
    let alias = format!("[[aliases]]\nname = \"x\"\nstrategy = \"category\"\n{fields}\n{categories}");
    format!("[[providers]]\nid = \"openai\"\n{alias}{}", category("name = \"default\""))
}

fn read_of(fields: &str, categories: &[&str]) -> (Config, Grouping) {
    let config = accept(&of(fields, categories));
    let grouping = alias(&config, "x").grouping().unwrap().clone();
    (config, grouping)
}

/// The only problem of an alias with a category of these fields, without its place.
fn refused(fields: &str, categories: &[&str], expected: &str) {
    let problems = refuse(&of(fields, categories));
    let found: Vec<&str> = problems.iter().filter_map(|problem| Some(problem.split_once(": ")?.1)).collect();
    assert_eq!(found, [format!("aliases.x.{expected}")], "{fields} {categories:?}");
}

#[test]
fn the_example_is_an_alias_for_each_category() {
    let config = accept(EXAMPLE);
    let by_task = alias(&config, "by-task");
    let grouping = by_task.grouping().unwrap();
    assert_eq!((grouping.scheme.tier, grouping.scheme.budget), (Tier::Cascade, Duration::from_millis(20)));
    assert_eq!((grouping.hint, grouping.pin, by_task.strategy.as_str()), (true, false, "category"));
    assert_eq!(grouping.names(), ["coding", "refunds", "default"]);
    let [coding, refunds] = grouping.scheme.categories.as_slice() else { panic!("{grouping:?}") };
    assert_eq!((&coding.kind, coding.threshold), (&CategoryKind::BuiltIn(BuiltIn::Coding), Some(0.7)));
    let CategoryKind::Own { description, examples } = &refunds.kind else { panic!("{refunds:?}") };
    assert_eq!((description.as_deref(), examples.len()), (Some("customers who want their money back"), 2));
    let group = |category| config.catalog.alias(grouping.group(category));
    let what = |alias: &Alias| {
        let group = alias.group.clone().unwrap();
        (
            alias.name.to_string(),
            group.category.to_string(),
            group.on_exhausted,
            alias.strategy.as_str(),
            alias.targets.len(),
        )
    };
    let name = || "by-task".to_owned();
    assert_eq!(what(group(Some(0))), (name(), "coding".into(), OnExhausted::Fail, "lowest-latency", 2));
    assert_eq!(what(group(Some(1))), (name(), "refunds".into(), OnExhausted::Default, "lowest-price", 1));
    assert_eq!(what(group(None)), (name(), "default".into(), OnExhausted::Default, "lowest-price", 2));
    assert!(by_task.targets.is_empty() && by_task.group.is_none());
    assert_eq!(config.catalog.serving(by_task).count(), 3);
    assert!(config.catalog.aliases.iter().filter(|alias| alias.is_configured()).count() == 3);
}

#[test]
fn a_category_has_what_its_alias_says_unless_it_says_otherwise() {
    let fields = "deadline = \"1m\"\nmax_attempts = 2\nhedge = true\naffinity = \"user\"\n\
                  fallback = { any_error = true }\nmax_price = { input = 9 }\non_exhausted = \"fail\"";
    let own = "name = \"math\"\nmax_attempts = 4\nfallback = { content_policy = true }\non_exhausted = \"default\"";
    let (config, grouping) = read_of(fields, &[own, "name = \"coding\""]);
    let math = config.catalog.alias(grouping.group(Some(0)));
    assert_eq!((math.limits.max_attempts, math.limits.deadline), (4, Duration::from_secs(60)));
    assert!(math.fallback.any_error && math.fallback.content_policy && math.max_price.is_some());
    assert_eq!((math.adaptivity.hedge, math.adaptivity.affinity.is_some()), (0.04, true));
    let on_exhausted = |category| config.catalog.alias(grouping.group(category)).group.clone().unwrap().on_exhausted;
    assert_eq!((on_exhausted(Some(0)), on_exhausted(Some(1))), (OnExhausted::Default, OnExhausted::Fail));
}

#[test]
fn where_a_category_says_who_stays_where_the_affinity_of_its_alias_is_not_asked() {
    let text = of("affinity = \"user\"", &["name = \"math\""]);
    let text =
        text.replacen("strategy = \"priority\"", "strategy = \"random-shuffle\"\nsticky_by = \"conversation\"", 1);
    let config = accept(&text);
    let grouping = alias(&config, "x").grouping().unwrap();
    assert_eq!(config.catalog.alias(grouping.group(Some(0))).adaptivity.affinity, None);
    assert!(config.catalog.alias(grouping.default).adaptivity.affinity.is_some());
}

#[test]
fn built_in_names_come_in_every_spelling() {
    let (_, grouping) = read_of("", &["name = \"content-writing\"", "name = \"Question-Answering\""]);
    let kinds: Vec<&CategoryKind> = grouping.scheme.categories.iter().map(|spec| &spec.kind).collect();
    let built_in = [BuiltIn::Writing, BuiltIn::QuestionAnswering].map(CategoryKind::BuiltIn);
    assert_eq!(kinds, built_in.iter().collect::<Vec<_>>());
    let (_, fast) = read_of("classifier = { tier = \"fast\" }\npin = true", &["name = \"math\""]);
    assert_eq!((fast.scheme.tier, fast.pin), (Tier::Fast, true));
}

#[test]
fn of_names() {
    refused(
        "",
        &["name = \"codng\""],
        "categories.codng.name: \"codng\" is not built in, and has neither a description nor examples; \
         expected one of them, or \"coding\", \"math\", \"data_analysis\", \"translation\", \"writing\", \"rewriting\", \
         \"summarization\", \"classification\", \"extraction\", \"question_answering\", \"brainstorming\" or \
         \"conversation\"; did you mean \"coding\"?",
    );
    refused(
        "",
        &["name = \"coding\"\ndescription = \"Rust\""],
        "categories.coding.description: \"coding\" is built in and needs none; \
         expected none, or another name, such as \"my-coding\", for a category of your own",
    );
    refused(
        "",
        &["name = \"other\""],
        "categories.other.name: \"other\" is what belongs to no category; expected its targets in \"default\"",
    );
    refused(
        "",
        &["name = \"writing\"", "name = \"Content_Writing\""],
        "categories.Content_Writing.name: there is a category \"writing\" already",
    );
    refused(
        "",
        &["name = \"re-funds\"\ndescription = \"a\"", "name = \"Re_Funds\"\ndescription = \"b\""],
        "categories.Re_Funds.name: there is a category \"re-funds\" already",
    );
    refused("", &["name = \"Default\""], "categories.default.name: there is a category \"default\" already");
    refused("", &["description = \"a\""], "categories[0]: field \"name\" is missing");
}

#[test]
fn of_default() {
    let text = of("", &["name = \"math\""]).replace("name = \"default\"", "name = \"coding\"");
    let problems = refuse(&text);
    let expected = "aliases.x.categories: has no \"default\", which serves what matches nothing; \
                    expected an entry with name = \"default\"";
    assert!(matches!(problems.as_slice(), [problem] if problem.ends_with(expected)), "{problems:?}");
    for field in ["threshold = 0.5", "margin = 0", "examples = [\"a\"]", "on_exhausted = \"fail\""] {
        let text = of("", &["name = \"math\""]).replace("name = \"default\"", &format!("name = \"default\"\n{field}"));
        let name = field.split_once(' ').unwrap().0;
        let expected = format!(
            "aliases.x.categories.default.{name}: has no meaning in \"default\"; \
             expected only a strategy, targets and their settings"
        );
        let problems = refuse(&text);
        assert!(matches!(problems.as_slice(), [problem] if problem.ends_with(&expected)), "{problems:?}");
    }
    let config = accept(&of("", &[]));
    assert!(warnings(&config)[0].ends_with("aliases.x.categories: everything goes to the only category there is"));
}

#[test]
fn of_what_has_no_place() {
    refused(
        "targets = [{ model = \"gpt-4o\" }]",
        &["name = \"math\""],
        "targets: has no meaning with strategy = \"category\"; expected targets in each of its categories",
    );
    refused(
        "metric = \"ttft\"",
        &["name = \"math\""],
        "metric: has no meaning with strategy = \"category\"; \
         expected strategy = \"lowest-latency\" or \"highest-throughput\" with it",
    );
    let text = of("", &["name = \"math\""]).replacen("strategy = \"priority\"", "strategy = \"category\"", 1);
    let problems = refuse(&text);
    let expected = "aliases.x.categories.math.strategy: a category cannot have categories of its own; \
                    expected \"priority\", \"random-shuffle\", \"lowest-latency\", \"highest-throughput\", \
                    \"lowest-usage\" or \"lowest-price\"";
    assert!(matches!(problems.as_slice(), [problem] if problem.ends_with(expected)), "{problems:?}");
    for field in ["pin = true", "hint = true", "classifier = {}", "on_exhausted = \"fail\"", "categories = []"] {
        let name = field.split_once(' ').unwrap().0;
        behind_base(
            &format!("[[aliases]]\nname = \"x\"\n{TARGETS}\n{field}"),
            &format!(
                "8:{}: aliases.x.{name}: has no meaning with strategy = \"priority\"; expected strategy = \"category\" with it",
                name.len() + 4
            ),
        );
    }
    behind_base(
        "[[aliases]]\nname = \"x\"\nstrategy = \"category\"",
        "4:1: aliases.x: field \"categories\" is missing",
    );
}

#[test]
fn of_numbers_and_sizes() {
    refused("", &["name = \"math\"\nmargin = -0.1"], "categories.math.margin: -0.1 is out of range; expected 0 to 1");
    refused(
        "classifier = { budget = \"6s\" }",
        &["name = \"math\""],
        "classifier.budget: is out of range; expected 0ms to 5s",
    );
    refused("", &["name = \"a\"\nexamples = []"], "categories.a.examples: is empty; expected at least one prompt");
    let many = |count: usize| format!("{:?}", (0..count).map(|at| format!("prompt {at}")).collect::<Vec<_>>());
    refused(
        "",
        &[&format!("name = \"a\"\nexamples = {}", many(MOST_EXAMPLES + 1))],
        "categories.a.examples: there are 51 examples; expected at most 50",
    );
    let full: Vec<String> = (0..11).map(|at| format!("name = \"c{at}\"\nexamples = {}", many(50))).collect();
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    refused("", &full, "categories: there are 550 examples in all; expected at most 500");
    accept(&of("", &full[..10]));
    let many: Vec<String> = (0..MOST_CATEGORIES).map(|at| format!("name = \"c{at}\"\ndescription = \"a\"")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    refused("", &many, "categories: there are 33 categories; expected at most 32");
    refused(
        "",
        &[&format!("name = \"a\"\nexamples = [\"{}\"]", "a".repeat(8193))],
        "categories.a.examples[0]: has 8193 bytes; expected at most 8192",
    );
    refused(
        "",
        &[&format!("name = \"a\"\ndescription = \"{}\"", "a".repeat(2001))],
        "categories.a.description: has 2001 bytes; expected at most 2000",
    );
}

/// What a model spends is counted over the whole alias.
#[test]
fn of_budgets_that_contradict_each_other() {
    let budget = |amount: &str| format!("targets = [{{ model = \"gpt-4o\", budget = \"${amount}/day\" }}]");
    let text = |first: &str, second: &str| {
        let plain = "targets = [{ model = \"gpt-4o\" }]";
        of("", &["name = \"math\""]).replacen(plain, &budget(first), 1).replacen(plain, &budget(second), 1)
    };
    accept(&text("5", "5"));
    let problems = refuse(&text("5", "6"));
    assert!(problems[0].contains("another category has another budget for \"openai/gpt-4o\""), "{problems:?}");
}

#[test]
fn a_strategy_of_a_category_keeps_its_options() {
    let text = of("", &["name = \"math\""]);
    let strategy = "strategy = \"priority\"\nwithin = \"lowest-latency\"\nmetric = \"ttft\"";
    let config = accept(&text.replacen("strategy = \"priority\"", strategy, 1));
    let math = config.catalog.alias(alias(&config, "x").grouping().unwrap().group(Some(0)));
    assert!(matches!(math.strategy, Strategy::Priority { within: Some(Scoring::LowestLatency(_)) }));
}

#[test]
fn categories_are_read_without_whoever_serves_them() {
    let text = "[[categories]]\nname = \"refunds\"\nexamples = [\"money back\"]\nthreshold = 0.6\nstrategy = \"priority\"\n\n\
        [[categories]]\nname = \"content-writing\"\n\n[[categories]]\nname = \"default\"\n";
    let read = categories_of_toml(text).unwrap();
    let [own, writing] = read.as_slice() else { panic!("{read:?}") };
    assert_eq!(own.kind, CategoryKind::Own { description: None, examples: vec!["money back".to_owned()] });
    assert_eq!((own.threshold, &writing.kind), (Some(0.6), &CategoryKind::BuiltIn(BuiltIn::Writing)));
    let refused = |text: &str| categories_of_toml(text).unwrap_err().to_string();
    for (text, expected) in [
        ("", "1:1: field \"categories\" is missing"),
        ("categories = []", "1:14: categories: is empty; expected at least one category"),
        ("[[categories]]\nname = \"math\"\n[[categories]]\nname = \"Math\"", "there is a category \"math\" already"),
        ("[[categories]]\nname = \"math\"\nmargin = 2", "3:10: categories.math.margin: 2 is out of range"),
        ("[[categories]]\nname = \"math\"\nmargins = 2", "unknown field \"margins\""),
        ("[[categories]", "1:"),
    ] {
        assert!(refused(text).contains(expected), "{}", refused(text));
    }
    let many = vec![serde_json::Map::from_iter([("name".to_owned(), "math".into())]); MOST_CATEGORIES + 1];
    let said = categories_of_json(&many).unwrap_err().to_string();
    assert_eq!(said, "categories: there are 33 categories; expected at most 32");
}
