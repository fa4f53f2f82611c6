//! Any number of mistakes at once: each is reported, under its own path, and nothing panics.

use proptest::prelude::*;

use super::*;
use crate::config::{World, category, check, parse_file, settings, to_toml};

/// A way to spoil the example: what to replace by what, and the path of the problem that
/// has to follow.
const MISTAKES: [(&str, &str, &str); 19] = [
    ("listen = \"0.0.0.0:8080\"", "listen = \"everywhere\"", "server.listen"),
    ("admin_listen =", "admin_lissten =", "server.admin_lissten"),
    ("path = \"pointsman.db\"", "url = \"http://x\"", "store.url"),
    ("protocol = \"openai\"", "protocol = \"telnet\"", "providers.office-vllm.protocol"),
    ("base_url = \"http://", "base_url = \"gopher://", "providers.office-vllm.base_url"),
    ("requests_per_minute = 600", "requests_per_minute = \"many\"", "providers.office-vllm.requests_per_minute"),
    ("max_in_flight = 32", "max_in_flight = -1", "providers.office-vllm.max_in_flight"),
    ("provider = \"office-vllm\"", "provider = \"office-vlm\"", "models.office/llama.endpoints[0].provider"),
    ("output = 0.10", "output = 1e99", "models.office/llama.endpoints[0].usd_per_mtok.output"),
    ("strategy = \"priority\"", "strategy = \"categories\"", "aliases.prod-chat.strategy"),
    (
        "{ model = \"google/gemini-3-pro\" }",
        "{ model = \"google/gemini-33-pro\" }",
        "aliases.prod-chat.targets[2].model",
    ),
    ("weight = 30", "weight = nan", "aliases.ab-test.targets[1].weight"),
    ("tier = \"cascade\"", "tier = \"slow\"", "aliases.by-task.classifier.tier"),
    ("budget = \"20ms\"", "budget = \"1h\"", "aliases.by-task.classifier.budget"),
    ("on_exhausted = \"fail\"", "on_exhausted = \"give-up\"", "aliases.by-task.categories.coding.on_exhausted"),
    ("threshold = 0.7", "threshold = 70", "aliases.by-task.categories.coding.threshold"),
    (
        "description = \"customers who want their money back\"",
        "description = 3",
        "aliases.by-task.categories.refunds.description",
    ),
    ("strategy = \"lowest-price\"", "strategy = \"category\"", "aliases.by-task.categories.refunds.strategy"),
    (
        "{ model = \"office/llama\" }",
        "{ model = \"office/lama\" }",
        "aliases.by-task.categories.refunds.targets[0].model",
    ),
];

proptest! {
    // Every case reads the whole catalogue.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_one_of_several_mistakes_is_reported(chosen in prop::collection::hash_set(0..MISTAKES.len(), 1..=MISTAKES.len())) {
        let mut text = EXAMPLE.to_owned();
        for &(right, wrong, _) in chosen.iter().map(|&i| &MISTAKES[i]) {
            prop_assert!(text.contains(right), "{right}");
            text = text.replacen(right, wrong, 1);
        }
        let problems = read(&text).unwrap_err();
        prop_assert!(problems.list.len() >= chosen.len());
        for (_, _, path) in chosen.iter().map(|&i| &MISTAKES[i]) {
            prop_assert!(problems.list.iter().any(|problem| problem.path == *path), "{path}: {problems}");
        }
        prop_assert!(problems.list.iter().all(|problem| problem.place.is_some()));
    }

    /// Any known field with any kind of value in a category, whatever its name.
    #[test]
    fn any_value_in_any_category_is_answered(
        name in prop::sample::select(vec!["coding", "content-writing", "refunds", "other", "Default", "", "codng"]),
        of_alias in prop::collection::vec((prop::sample::select(category::ALIAS_FIELDS.to_vec()), value(2)), 0..3),
        fields in prop::collection::vec((of_category(), value(2)), 0..6),
        with_default in any::<bool>(),
    ) {
        let lines = |fields: &[(&str, String)]| -> String {
            fields.iter().map(|(field, value)| format!("{field} = {value}\n")).collect()
        };
        let head = format!("[[aliases]]\nname = \"x\"\nstrategy = \"category\"\n{}", lines(&of_alias));
        let category = format!("[[aliases.categories]]\nname = {name:?}\n{}", lines(&fields));
        let default = "[[aliases.categories]]\nname = \"default\"\nstrategy = \"priority\"\ntargets = [{ model = \"gpt-5.5\" }]";
        let text = format!("{EXAMPLE}\n{head}\n{category}\n{}", if with_default { default } else { "" });
        if let Ok(config) = read(&text) {
            for alias in config.catalog.aliases.iter().filter_map(|alias| alias.grouping()) {
                prop_assert_eq!(alias.groups.len(), alias.scheme.categories.len());
                let groups = alias.groups.iter().chain([&alias.default]).map(|idx| config.catalog.alias(*idx));
                prop_assert!(groups.into_iter().all(|group| group.group.is_some() && !group.targets.is_empty()));
            }
            let file = parse_file(&text, &env, &no_files).unwrap();
            let exported = to_toml(&file.documents).unwrap();
            prop_assert_eq!(parse_file(&exported, &env, &no_files).unwrap().documents, file.documents);
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_answered(at in 0..EXAMPLE.len()) {
        let _ = read(&EXAMPLE[..at]);
    }

    #[test]
    fn a_file_with_a_part_missing_is_answered(from in 0..EXAMPLE.len(), length in 0usize..200) {
        let end = EXAMPLE.len().min(from + length);
        let _ = read(&format!("{}{}", &EXAMPLE[..from], &EXAMPLE[end..]));
    }

    /// Any known or unknown field with any kind of value, anywhere.
    #[test]
    fn any_value_in_any_field_is_answered(
        list in prop::sample::select(vec!["server", "store", "providers", "models", "projects", "aliases", "keys", "x"]),
        fields in prop::collection::vec((field(), value(3)), 0..6),
        single in any::<bool>(),
    ) {
        let body: Vec<String> = fields.iter().map(|(field, value)| format!("{field} = {value}")).collect();
        let header = if single { format!("[{list}]") } else { format!("[[{list}]]") };
        let _ = read(&format!("{EXAMPLE}\n{header}\nid = \"openai\"\nname = \"x\"\n{}", body.join("\n")));
        let _ = read(&format!("{header}\n{}", body.join("\n")));
    }

    /// The documents of a file are as good or bad together as the file is, and are the same
    /// after they were exported.
    #[test]
    fn documents_are_what_the_file_was(
        list in prop::sample::select(vec!["providers", "models", "projects", "aliases", "keys"]),
        fields in prop::collection::vec((field(), value(3)), 0..4),
    ) {
        let body: Vec<String> = fields.iter().map(|(field, value)| format!("{field} = {value}")).collect();
        let text = format!("{EXAMPLE}\n[[{list}]]\nid = \"openai/own\"\nname = \"x\"\n{}", body.join("\n"));
        if let Ok(file) = parse_file(&text, &env, &no_files) {
            let exported = to_toml(&file.documents).unwrap();
            let again = parse_file(&exported, &env, &no_files).unwrap_or_else(|error| panic!("{error}\n{exported}"));
            prop_assert_eq!(&again.documents, &file.documents);
            let world = World { env: &env, files: &no_files, sealed: &|_, _| Err(String::new()) };
            let checked = check(&file.documents, &file.keys, &file.places, file.server.direct_models, world);
            prop_assert_eq!(checked.is_ok(), read(&text).is_ok(), "{:?}", checked.err().map(|error| error.to_string()));
        }
    }
}

fn field() -> impl Strategy<Value = &'static str> {
    let fields: Vec<&str> = super::documented::SECTIONS.iter().flat_map(|(_, fields)| fields.iter().copied()).collect();
    prop::sample::select(fields)
}

fn of_category() -> impl Strategy<Value = &'static str> {
    prop::sample::select([category::OWN_FIELDS, settings::FIELDS].concat())
}

fn value(depth: u32) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        (0i64..40).prop_map(|number| number.to_string()),
        Just("nan".to_owned()),
        Just("-inf".to_owned()),
        Just("1e308".to_owned()),
        Just("1979-05-27".to_owned()),
        "\"[ -!#-Z^-~]{0,12}\"",
        prop::sample::select(vec![
            "openai",
            "openai/gpt-5.5",
            "gpt-oss-120b",
            "prod-chat",
            "30s",
            "32MiB",
            "sha256:00"
        ])
        .prop_map(|text| format!("{text:?}")),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((field(), inner), 0..4).prop_map(|fields| {
                let fields: Vec<String> = fields.iter().map(|(field, value)| format!("{field} = {value}")).collect();
                format!("{{ {} }}", fields.join(", "))
            }),
        ]
    })
}
