//! Aliases, providers, models and projects.

use pointsman::api::Page;
use pointsman::api::change::ChangeReport;
use pointsman::api::project::Standing;
use pointsman::api::provider::{ConnectionTest, ModelReport, ProviderStatus};
use pointsman::api::resource::Resource;
use serde_json::{Value, json};

use super::{Shell, shell, shell_with};
use crate::support::chat::{Asked, ask};
use crate::support::config::ConfigText;

/// The models of an alias, in order.
async fn models(shell: &Shell, alias: &str) -> Vec<String> {
    let resource: Resource = shell.does(&format!("alias show {alias} --json")).await.json();
    let targets = resource.document["targets"].as_array().expect("targets").clone();
    targets.iter().map(|target| target["model"].as_str().expect("a model").to_owned()).collect()
}

async fn target(shell: &Shell, alias: &str, at: usize) -> Value {
    let resource: Resource = shell.does(&format!("alias show {alias} --json")).await.json();
    resource.document["targets"][at].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_is_made_and_changed_part_by_part() {
    let (_sims, shell) = shell().await;
    shell
        .does("alias create ab --strategy random-shuffle one/m=70 two/m=30 --set deadline=2m")
        .await
        .says("alias ab changed");
    let made: Resource = shell.does("alias show ab --json").await.json();
    assert_eq!((&made.document["deadline"], &made.document["targets"][0]["weight"]), (&json!("2m"), &json!(70)));
    shell.run("alias create ab --strategy priority one/m").await.ends(1).says("already");

    shell.does("alias add ab three/m --at 1 --weight 5 --last-resort").await;
    assert_eq!(models(&shell, "ab").await, ["one/m", "three/m", "two/m"]);
    shell.does("alias move ab two/m --first").await;
    assert_eq!(models(&shell, "ab").await, ["two/m", "one/m", "three/m"]);
    shell.does("alias move ab two/m --after three/m").await;
    assert_eq!(models(&shell, "ab").await, ["one/m", "three/m", "two/m"]);
    shell.does("alias order ab two/m 0 three/m").await;
    assert_eq!(models(&shell, "ab").await, ["two/m", "one/m", "three/m"]);
    shell.does("alias weight ab one/m=50 0=25.5").await;
    assert_eq!(
        (target(&shell, "ab", 0).await["weight"].as_f64(), target(&shell, "ab", 1).await["weight"].as_f64()),
        (Some(25.5), Some(50.0))
    );
    shell.does("alias disable ab one/m").await;
    assert_eq!(target(&shell, "ab", 1).await["enabled"], false);
    shell.does("alias enable ab one/m").await;
    assert_eq!(target(&shell, "ab", 1).await["enabled"], true);
    shell.does("alias remove ab three/m").await;
    shell.does("alias set ab --strategy lowest-latency --set metric=ttft --unset deadline").await.says("-deadline");
    shell.does("alias list").await.says("ab    lowest-latency").says("two/m=25.5, one/m=50");
    let page: Page<Resource> = shell.does("alias list a --limit 1 --json").await.json();
    assert_eq!((page.items[0].name.as_str(), page.next.as_deref()), ("ab", Some("ab")));

    let served = ask(&shell.gateway, &Asked { alias: "ab", ..Asked::default() }).await;
    assert_eq!((served.status, served.header("x-pointsman-strategy")), (200, "lowest-latency"));
    shell.does("alias rename ab experiment").await;
    assert_eq!(ask(&shell.gateway, &Asked { alias: "experiment", ..Asked::default() }).await.status, 200);
    shell.run("alias show ab").await.ends(3);
    let dry: ChangeReport = shell.does("alias delete experiment --dry-run --json").await.json();
    assert!(dry.dry_run && dry.changes[0].after.is_none());
    shell.does("alias delete experiment").await;
    shell.run("alias delete experimen").await.ends(3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_changed_is_not_lost() {
    let (_sims, shell) = shell().await;
    let seen: Resource = shell.does("alias show chat --json").await.json();
    shell.does("alias set chat --set max_attempts=2 --note another").await;
    let late = shell.run(&format!("alias set chat --set max_attempts=5 --if-revision {}", seen.revision)).await;
    late.ends(4).says("changed in the meantime").says(&(seen.revision + 1).to_string());
    shell.run(&format!("alias delete chat --if-revision {}", seen.revision)).await.ends(4);
    shell.does(&format!("alias delete chat --if-revision {}", seen.revision + 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_told_with_what_would() {
    let (_sims, shell) = shell().await;
    let wrong = shell.run("alias set chat --strategy priorty").await.ends(1);
    wrong.says("nothing has changed").says("aliases.chat.strategy").says("did you mean \"priority\"?");
    shell.run("alias show chaat").await.ends(3).says("did you mean chat?");
    shell.run("alias set nobody --set max_attempts=1").await.ends(3);
    shell.run("alias set chat").await.ends(2);
    shell.run("alias set chat --set targets[0].weight=1").await.ends(2);
    shell.run("alias move chat one/m --before nobody/m").await.ends(3).says("0 one/m, 1 two/m");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_is_shown_can_be_put_back() {
    let (_sims, shell) = shell().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat.toml");
    let shown = shell.does("alias show chat").await.out;
    std::fs::write(&path, shown.replace("\"priority\"", "\"lowest-price\"")).expect("a file");
    let path = path.to_str().expect("a path");
    shell.does(&format!("alias set chat --file {path}")).await.says("+strategy = \"lowest-price\"");
    shell.run(&format!("alias set other --file {path}")).await.ends(2).says("holds no alias of that name");
    shell.does("alias delete chat").await;
    shell.run(&format!("alias set chat --file {path}")).await.ends(3);
    shell.does(&format!("alias create chat --file {path}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_is_put_in_tried_and_taken_out() {
    let master = "11".repeat(32);
    let (sims, shell) = shell_with(ConfigText::new("").env("POINTSMAN_MASTER_KEY", &master)).await;
    let set = format!("provider set office --protocol openai --base-url {}", sims[0].base_url());
    shell.run(&set).await.ends(1).says("private_addresses = true");
    let set = format!("{set} --set private_addresses=true");
    let made = shell.run_with(&format!("{set} --api-key-stdin"), "sk-of-the-office\n").await.ends(0);
    assert!(!made.out.contains("sk-of") && made.out.contains("api_key_sealed"), "{made:?}");
    shell.run_with("provider set office --api-key-stdin", " \n").await.ends(2).says("no key on standard input");

    shell.does("provider list").await.says("office").says("set").says("ready");
    let statuses: Page<ProviderStatus> = shell.does("provider status --json").await.json();
    assert_eq!(statuses.items.len(), 4);
    let documents: Page<Resource> = shell.does("provider list off --json").await.json();
    assert_eq!(documents.items[0].document["protocol"], "openai");
    let tested: ConnectionTest = shell.does("provider test office --json").await.json();
    assert!(tested.ok, "{tested:?}");
    shell.does("provider set office --base-url http://127.0.0.1:9/v1").await;
    shell.run("provider test office").await.ends(1).says("does not answer as it should");
    shell.does("provider disable office").await;
    let status: ProviderStatus = shell.does("provider status office --json").await.json();
    assert!(!status.enabled);
    shell.does("provider enable office").await;
    shell.does("provider show office").await.says("[[providers]]");
    shell.does("reseal").await.says("0 secrets sealed anew");
    shell.does("provider delete office").await;
    shell.run("provider test office").await.ends(3);
    shell.run("provider delete one").await.ends(1).says("models.one/m.endpoints[0].provider");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_are_searched_and_priced() {
    let (_sims, shell) = shell().await;
    let served: Page<ModelReport> = shell.does("model list --served --json").await.json();
    assert_eq!(served.items.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["one/m", "three/m", "two/m"]);
    shell.does("model list --provider openai gpt").await.says("openai/gpt").says("  no\n");
    let all: Page<ModelReport> = shell.does("model list --json").await.json();
    assert!(all.items.len() > 800 && all.next.is_none(), "{}", all.items.len());

    shell.does("model price one/m --provider one --input 1 --output 2.5 --cached-input 0.1").await;
    let model: ModelReport = shell.does("model show one/m --json").await.json();
    assert_eq!(
        (model.endpoints[0].input_usd_per_mtok, model.endpoints[0].cached_input_usd_per_mtok),
        (Some(1.0), Some(0.1))
    );
    shell.does("model show one/m").await.says("$2.50");
    shell.does("model show GPT-5-5").await.says("openai/gpt-5.5");
    shell.does("model price one/m --provider two --upstream-model m --input 3 --output 4").await;
    shell.does("model set one/m --set context_window=1000").await;
    shell.does("model list one").await.says("1,000");
    let document: Resource = shell.does("model show one/m --document --json").await.json();
    assert_eq!(document.document["endpoints"].as_array().map(Vec::len), Some(2));

    // One of the catalogue has no document until something is said of it.
    shell.run("model show openai/gpt-5.5 --document").await.ends(3);
    shell.does("model set openai/gpt-5.5 --set hidden=true").await;
    shell.does("model list --documents gpt-5.5").await.says("hidden = true");
    shell.does("model delete openai/gpt-5.5").await;
    shell.run("model show nobody/has-it").await.ends(3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_limits_its_keys() {
    let (_sims, shell) = shell().await;
    shell.does("project create shop --rpm 600 --budget $50/day --alias chat --description shops").await;
    shell.does("project list").await.says("shop  on         600  $50/day  chat");
    shell.run("key create --project shop --rpm 601").await.ends(1).says("above that of its project");
    shell.does("key create till --project shop --rpm 600").await;
    shell.does("project set shop --rpm 700 --unset description").await.says("+requests_per_minute = 700");
    let standing: Standing = shell.does("project standing shop --json").await.json();
    assert_eq!(standing.requests.map(|rate| rate.limit), Some(700));
    shell.does("project show shop").await.says("[[projects]]");
    shell.run("project delete shop").await.ends(1).says("still has keys");
    shell.does("key delete till").await;
    shell.does("project delete shop").await;
    shell.run("project standing shop").await.ends(3);
}
