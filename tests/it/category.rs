//! Routing by what a prompt asks for, end to end: the real binary, simulated providers.

use std::process::{Command, Output};

use pointsman::api::classify::{CLASSIFY_PATH, ClassifyReport};
use pointsman::api::decision::{DecisionReport, RecordedDecision};
use pointsman::domain::provider::Protocol;
use serde_json::{Value, json};

use crate::support::admin::{Admin, If};
use crate::support::chat::{Asked, Got, ask};
use crate::support::config::ConfigText;
use crate::support::gateway::{ADMIN_TOKEN, BINARY, Gateway, Signal};
use crate::support::sim::Sim;
use crate::support::{eventually, http, python};

const CODING: &str = "Write a Python function that reverses a linked list.";
const TRANSLATION: &str = "Translate 'good morning, how are you?' into German.";
const REFUND: &str = "I'd like to return my order and get a refund, please.";
const NEITHER: &str = "hello there";

/// A category with one target. `more` is further TOML.
fn category(name: &str, target: &str, more: &str) -> String {
    format!(
        "[[aliases.categories]]\nname = \"{name}\"\nstrategy = \"priority\"\ntargets = [{{ model = \"{target}/m\" }}]\n{more}\n"
    )
}

const REFUNDS: &str = "description = \"customers who want their money back\"\nexamples = [\
    \"I'd like to return my order\", \"when do I get my refund?\", \"I want my money back for the broken lamp\", \
    \"how do I send the shoes back and get a refund\", \"please refund my last payment\"]";

/// Coding, translation, refunds and default, each with a provider of its name.
fn by_task(fields: &str) -> String {
    let categories = [
        category("coding", "coding", ""),
        category("translation", "translation", ""),
        category("refunds", "refunds", REFUNDS),
        category("default", "default", ""),
    ];
    format!("[[aliases]]\nname = \"by-task\"\nstrategy = \"category\"\n{fields}\n{}", categories.concat())
}

struct World {
    gateway: Gateway,
    sims: Vec<Sim>,
}

const MEMBERS: [&str; 4] = ["coding", "translation", "refunds", "default"];

async fn config() -> (ConfigText, Vec<Sim>) {
    let mut config = ConfigText::new("").key("it", "pm-it", None).env("POINTSMAN_LOG", "info,pointsman::routing=debug");
    let mut sims = Vec::new();
    for name in MEMBERS {
        let protocol = if name == "translation" { Protocol::Anthropic } else { Protocol::OpenAi };
        let sim = Sim::start(name, protocol, json!({})).await;
        config = config.sim(&sim, "");
        sims.push(sim);
    }
    (config, sims)
}

impl World {
    async fn of(alias: &str) -> Self {
        let (config, sims) = config().await;
        Self { gateway: Gateway::start(&config.toml(alias)).await, sims }
    }

    fn sim(&self, name: &str) -> &Sim {
        self.sims.iter().find(|sim| sim.name() == name).expect("a member")
    }

    async fn breaks(&self, names: &[&str]) {
        for name in names {
            self.sim(name).behave(json!({"faults": [{"kind": "status", "code": 503}]})).await;
        }
    }

    async fn ask(&self, prompt: &str) -> Got {
        self.ask_with(prompt, &[], json!({})).await
    }

    async fn ask_with(&self, prompt: &str, headers: &[(&str, &str)], more: Value) -> Got {
        ask(&self.gateway, &Asked { alias: "by-task", prompt, headers, more, ..Asked::default() }).await
    }
}

/// Category, reason, and who served it.
fn told(got: &Got) -> (&str, &str, &str) {
    let target = got.header("x-pointsman-target").split('/').next().unwrap_or_default();
    (got.header("x-pointsman-category"), got.header("x-pointsman-category-reason"), target)
}

#[tokio::test]
async fn a_prompt_goes_where_its_category_is() {
    let world = World::of(&by_task("")).await;
    for (prompt, category) in [(CODING, "coding"), (TRANSLATION, "translation"), (REFUND, "refunds")] {
        let got = world.ask(prompt).await;
        assert_eq!((got.status, told(&got)), (200, (category, "", category)), "{prompt}");
        assert_eq!((got.header("x-pointsman-alias"), got.header("x-pointsman-strategy")), ("by-task", "priority"));
    }
    let got = world.ask(NEITHER).await;
    assert_eq!((got.header("x-pointsman-category"), told(&got).2), ("default", "default"));
    assert!(!got.header("x-pointsman-category-reason").is_empty(), "{got:?}");
    // What has no prompt goes to default, and count_tokens where its conversation would.
    let embed = json!({"model": "by-task", "input": CODING}).to_string();
    let count = json!({"model": "by-task", "messages": [{"role": "user", "content": TRANSLATION}]}).to_string();
    for (path, body, category, reason) in
        [("/v1/embeddings", embed, "default", "unreadable"), ("/v1/messages/count_tokens", count, "translation", "")]
    {
        let request =
            http().post(world.gateway.url(path)).bearer_auth("pm-it").header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!((answer.status().as_u16(), header("x-pointsman-category")), (200, category), "{path}");
        assert_eq!(header("x-pointsman-category-reason"), reason, "{path}");
    }
    assert!(world.gateway.log().contains("told the category"), "the request log has it");
}

#[tokio::test]
async fn usage_rights_and_models_know_the_alias_alone() {
    let (config, sims) = config().await;
    let config = config.key("scoped", "pm-scoped", Some(&["by-task"])).toml(&by_task("budget = \"$1000/day\""));
    let world = World { gateway: Gateway::start(&config).await, sims };
    let asked = Asked { alias: "by-task", prompt: CODING, key: "pm-scoped", ..Asked::default() };
    let got = ask(&world.gateway, &asked).await;
    assert_eq!((got.status, told(&got).0), (200, "coding"));
    let listed = http().get(world.gateway.url("/v1/models")).bearer_auth("pm-scoped").send().await.unwrap();
    let listed: Value = serde_json::from_slice(&listed.bytes().await.unwrap()).unwrap();
    let ids: Vec<&str> = listed["data"].as_array().unwrap().iter().filter_map(|model| model["id"].as_str()).collect();
    assert_eq!(ids, ["by-task"]);
    let admin = Admin::of(&world.gateway);
    eventually("usage is written down", async || {
        let usage = serde_json::to_value(admin.usage("alias").await).unwrap();
        usage.to_string().contains("by-task") && !usage.to_string().contains("coding")
    })
    .await;
}

#[tokio::test]
async fn a_turn_with_results_of_tools_keeps_its_category() {
    let world = World::of(&by_task("")).await;
    let call = json!([{"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}]);
    let messages = json!([
        {"role": "user", "content": CODING},
        {"role": "assistant", "content": null, "tool_calls": call},
        {"role": "tool", "tool_call_id": "c", "content": TRANSLATION},
    ]);
    let got = world.ask_with("", &[], json!({"messages": messages})).await;
    assert_eq!((got.status, told(&got)), (200, ("coding", "", "coding")));
}

#[tokio::test]
async fn a_hint_is_believed_only_where_the_alias_says_so() {
    let hint = [("x-pointsman-category", "translation")];
    let world = World::of(&by_task("")).await;
    assert_eq!(told(&world.ask_with(CODING, &hint, json!({})).await), ("coding", "", "coding"));
    let world = World::of(&by_task("hint = true")).await;
    assert_eq!(told(&world.ask_with(CODING, &hint, json!({})).await), ("translation", "hint", "translation"));
    let got = world.ask_with(CODING, &[("x-pointsman-category", "Default")], json!({})).await;
    assert_eq!(told(&got), ("default", "hint", "default"));
    let got = world.ask_with(CODING, &[("x-pointsman-category", "poetry")], json!({})).await;
    assert_eq!(got.status, 400);
    let error = got.error.unwrap();
    assert!(error.contains("coding, translation, refunds, default"), "{error}");
}

#[tokio::test]
async fn a_pinned_conversation_keeps_the_category_that_it_began_with() {
    let turns = json!([
        {"role": "user", "content": CODING},
        {"role": "assistant", "content": "def reverse(head): ..."},
        {"role": "user", "content": TRANSLATION},
    ]);
    let free = World::of(&by_task("")).await;
    assert_eq!(told(&free.ask_with("", &[], json!({"messages": turns})).await).0, "translation");
    let pinned = World::of(&by_task("pin = true")).await;
    assert_eq!(told(&pinned.ask(CODING).await).0, "coding");
    assert_eq!(told(&pinned.ask_with("", &[], json!({"messages": turns})).await), ("coding", "", "coding"));
}

#[tokio::test]
async fn an_exhausted_category_goes_on_to_default_or_fails() {
    let world = World::of(&by_task("")).await;
    world.breaks(&["coding"]).await;
    let got = world.ask(CODING).await;
    assert_eq!((got.status, told(&got)), (200, ("coding", "exhausted", "default")));
    let attempts = got.header("x-pointsman-attempts");
    assert!(
        attempts.contains("coding/m@coding server_error 503") && attempts.contains("default/m@default ok"),
        "{attempts}"
    );
    let decisions: Vec<RecordedDecision> =
        Admin::of(&world.gateway).get("/admin/v1/decisions?alias=by-task&last=1").await.good();
    let [decision] = decisions.as_slice() else { panic!("{decisions:?}") };
    assert!(decision.replayed && decision.attempts.len() == 2, "{decision:?}");
    assert_eq!(decision.report.category.as_ref().unwrap().name, "coding");
    assert_eq!(decision.report.candidates[0].target, "coding/m@coding");
    assert_eq!(decision.behind.as_ref().unwrap().candidates[0].target, "default/m@default");
    // One attempt is one attempt, whoever makes it.
    let one = world.ask_with(CODING, &[("x-pointsman-max-attempts", "1")], json!({})).await;
    assert_eq!((one.status, one.header("x-pointsman-attempts").matches("ms").count()), (502, 1), "{one:?}");
    // All of both are told.
    world.breaks(&["default"]).await;
    let mut seen = Vec::new();
    for _ in 0..8 {
        let got = world.ask(CODING).await;
        assert!(got.status >= 500, "{got:?}");
        seen.push(got.error.unwrap_or_default());
    }
    assert!(
        seen.iter().all(|error| error.contains("coding/m@coding") && error.contains("default/m@default")),
        "{seen:#?}"
    );

    let strict = World::of(&by_task("on_exhausted = \"fail\"")).await;
    strict.breaks(&["coding"]).await;
    let got = strict.ask(CODING).await;
    assert_eq!((got.status, told(&got).0), (502, "coding"), "{got:?}");
    assert_eq!(strict.sim("default").stats().await["outcomes"]["ok"].as_u64().unwrap_or_default(), 0);
}

#[tokio::test]
async fn what_the_caller_did_wrong_goes_nowhere_else() {
    let world = World::of(&by_task("")).await;
    world.sim("coding").behave(json!({"faults": [{"kind": "status", "code": 400}]})).await;
    let got = world.ask(CODING).await;
    assert_eq!((got.status, told(&got).1), (400, ""), "{got:?}");
}

#[tokio::test]
async fn a_change_holds_for_the_next_request() {
    let world = World::of(&by_task("")).await;
    assert_eq!(told(&world.ask(CODING).await).2, "coding");
    let admin = Admin::of(&world.gateway);
    let document = admin.document("aliases", "by-task").await.document;
    let mut categories = document["categories"].clone();
    categories.as_array_mut().unwrap().retain(|category| category["name"] != "coding");
    let done = admin.patch("aliases", "by-task", &json!({"categories": categories}), If::Any).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(told(&world.ask(CODING).await), ("default", "elsewhere", "default"));
    // And back again, with a category of one's own.
    let own = json!({
        "name": "gardening", "strategy": "priority", "targets": [{"model": "refunds/m"}],
        "description": "growing plants, flowers and vegetables in a garden",
        "examples": ["when should I prune my roses?", "which vegetables grow in the shade?", "how deep do tulip bulbs go?",
            "why do my tomatoes get yellow leaves?", "how do I make compost for my flower beds?"],
    });
    categories.as_array_mut().unwrap().push(own);
    assert_eq!(admin.patch("aliases", "by-task", &json!({"categories": categories}), If::Any).await.status, 200);
    let got = world.ask("When should I prune my roses and plant tulip bulbs in the garden?").await;
    assert_eq!(told(&got), ("gardening", "", "refunds"));
    // What does not fit changes nothing.
    let wrong = json!({"categories": [{"name": "default", "strategy": "category", "targets": []}]});
    let refused = admin.patch("aliases", "by-task", &wrong, If::Any).await;
    assert!((400..500).contains(&refused.status) && refused.body.contains("categories of its own"), "{}", refused.body);
    assert_eq!(told(&world.ask(TRANSLATION).await).2, "translation");
}

#[tokio::test]
async fn saving_says_what_is_doubtful() {
    let world = World::of(&by_task("")).await;
    let admin = Admin::of(&world.gateway);
    let mut categories = admin.document("aliases", "by-task").await.document["categories"].clone();
    categories.as_array_mut().unwrap().push(json!({
        "name": "snippets", "strategy": "priority", "targets": [{"model": "default/m"}],
        "examples": ["Write a Python function that sorts a list", "fix this Rust function", "a function in JavaScript that adds"],
    }));
    let patch = json!({"categories": categories});
    let report = admin.change("aliases", "by-task", &patch).await;
    let warnings = serde_json::to_string(&report.warnings).unwrap();
    assert!(warnings.contains("aliases.by-task.categories") && warnings.contains("coding"), "{warnings}");
    // `pointsman check` says the same of a file.
    let exported = command(&world.gateway, &["export"]).await;
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    let file = world.gateway.folder().join("exported.toml");
    std::fs::write(&file, &exported.stdout).unwrap();
    let checked = command(&world.gateway, &["check", &file.display().to_string()]).await;
    let said = text(&checked.stdout);
    assert!(checked.status.success(), "{said}{}", text(&checked.stderr));
    assert!(said.contains("warning: aliases.by-task.categories: "), "{said}");
}

#[tokio::test]
async fn a_reload_brings_other_categories() {
    let (config, sims) = config().await;
    let gateway = Gateway::start(&config.clone().toml(&by_task(""))).await;
    let world = World { gateway, sims };
    assert_eq!(told(&world.ask(CODING).await).2, "coding");
    let moved = by_task("").replacen("coding/m", "default/m", 1);
    std::fs::write(world.gateway.config_file(), config.toml(&moved).text()).unwrap();
    world.gateway.signal(Signal::Hangup);
    eventually("the file is read", async || told(&world.ask(CODING).await) == ("coding", "", "default")).await;
}

#[tokio::test]
async fn without_time_for_a_second_look_the_first_one_stands() {
    for classifier in ["classifier = { budget = 0 }", "classifier = { tier = \"fast\" }"] {
        let world = World::of(&by_task(classifier)).await;
        for (prompt, category) in [(CODING, "coding"), (TRANSLATION, "translation")] {
            assert_eq!(told(&world.ask(prompt).await), (category, "", category), "{classifier}");
        }
        assert_eq!(world.ask("asdf").await.status, 200);
    }
}

/// Asks a command of the gateway's.
async fn command(gateway: &Gateway, args: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(args).env("POINTSMAN_ADMIN", gateway.admin_url("")).env("POINTSMAN_ADMIN_TOKEN", ADMIN_TOKEN);
    tokio::task::spawn_blocking(move || command.output().expect("the binary starts")).await.expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_decision_tells_the_category() {
    let world = World::of(&by_task("")).await;
    let output = command(&world.gateway, &["explain", "by-task", TRANSLATION]).await;
    let said = text(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(
        lines[1].starts_with("category   translation (0.") || lines[1] == "category   translation (1.00)",
        "{said}"
    );
    assert_eq!(lines[2], "strategy   priority (sub-strategy of translation)", "{said}");
    assert!(said.contains("translation/m@translation") && !said.contains("coding/m"), "{said}");

    let admin = Admin::of(&world.gateway);
    let messages = json!([{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": CODING}]);
    let report: DecisionReport =
        admin.post("/admin/v1/explain", &json!({"alias": "by-task", "messages": messages})).await.good();
    let category = report.category.unwrap();
    assert_eq!((category.name.as_str(), category.reason), ("coding", None));
    assert_eq!(category.scores[0].name, "coding");
    let nothing: DecisionReport = admin.post("/admin/v1/explain", &json!({"alias": "by-task"})).await.good();
    assert_eq!(nothing.category.unwrap().reason.as_deref(), Some("unreadable"));
}

#[tokio::test]
async fn prompts_are_judged_without_being_sent() {
    let world = World::of(&by_task("")).await;
    let admin = Admin::of(&world.gateway);
    let chat = json!({"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": TRANSLATION}]});
    let prompts = json!([CODING, {"text": REFUND}, chat, "", NEITHER]);
    let judged: ClassifyReport =
        admin.post(CLASSIFY_PATH, &json!({"alias": "by-task", "prompts": prompts})).await.good();
    let found: Vec<&str> = judged.answers.iter().map(|answer| answer.category.as_str()).collect();
    assert_eq!(found, ["coding", "refunds", "translation", "default", "default"]);
    assert_eq!((judged.answers[0].reason.as_deref(), judged.answers[3].reason.as_deref()), (None, Some("empty")));
    let (best, score) = judged.answers[0].scores.iter().next().unwrap();
    assert_eq!((best.as_str(), score.as_f64()), ("coding", Some(judged.answers[0].confidence)));
    // Whatever is tried out is not in the way of what is served.
    assert_eq!(told(&world.ask(CODING).await), ("coding", "", "coding"));

    let own = json!([{"name": "gardening", "description": "plants", "examples": ["prune my roses"]}, {"name": "math"}]);
    let asked = json!({"categories": own, "tier": "fast", "prompts": ["what is 3 * 4?"]});
    let judged: ClassifyReport = admin.post(CLASSIFY_PATH, &asked).await.good();
    assert_eq!(judged.answers[0].tier, "fast");
    assert!(judged.answers[0].scores.contains_key("gardening") && judged.answers[0].scores.contains_key("(coding)"));
    assert!(judged.remarks[0].contains("gardening has only 1 example"), "{:?}", judged.remarks);
    let judged: ClassifyReport = admin.post(CLASSIFY_PATH, &json!({"prompts": [CODING]})).await.good();
    assert_eq!(judged.answers[0].category, "coding");

    let unknown = json!([{"name": "codng"}]);
    for (asked, status, expected) in [
        (json!({"alias": "by-tsk", "prompts": []}), 404, "no alias `by-tsk`; aliases with categories: by-task"),
        (json!({"alias": "by-task", "categories": own, "prompts": []}), 400, "`alias` or `categories`, not both"),
        (json!({"prompts": vec!["hi"; 1001]}), 400, "there are 1001 prompts; expected at most 1000"),
        (json!({"prompts": [{"text": 1}]}), 400, "a prompt is a text, or an object with"),
        (json!({"categories": unknown, "prompts": []}), 422, "categories.codng.name: \"codng\" is not built in"),
    ] {
        let told = admin.post(CLASSIFY_PATH, &asked).await;
        assert_eq!(told.status, status, "{told:?}");
        assert!(told.error().message.contains(expected), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_sdks_go_by_category() {
    let world = World::of(&by_task("hint = true")).await;
    let env = [("GATEWAY", world.gateway.url("")), ("GATEWAY_KEY", "pm-it".to_owned())];
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let seen = python::run("category.py", &[], &env).await;
    assert_eq!(seen.len(), 14, "{seen:#?}");
}
