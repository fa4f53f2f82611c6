//! Keys, admin tokens, and who may do what.

use pointsman::api::Page;
use pointsman::api::key::{KeyCreated, KeyReport};
use pointsman::api::project::Standing;
use pointsman::api::token::{Me, Role, TokenReport};

use super::{Shell, shell};
use crate::support::chat::{Asked, ask};

/// What becomes of a request with a key.
async fn status(shell: &Shell, key: &str) -> u16 {
    ask(&shell.gateway, &Asked { alias: "chat", key, ..Asked::default() }).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_lets_in_until_it_is_taken_back() {
    let (_sims, shell) = shell().await;
    let made = shell.does("key create mine --alias chat --rpm 600 --tpm 100000 --budget $50/day --quiet").await;
    let key = made.out.trim();
    assert!(key.starts_with("pm-") && made.out.lines().count() == 1 && made.err.is_empty(), "{made:?}");
    assert_eq!(status(&shell, key).await, 200);
    let report: KeyReport = shell.does("key show mine --json").await.json();
    assert_eq!((report.state.as_str(), report.aliases), ("active", Some(vec!["chat".into()])));
    let standing: Standing = shell.does("key standing mine --json").await.json();
    assert!(standing.requests.is_some_and(|rate| rate.limit == 600 && rate.remaining < 600));
    shell.does("key standing mine").await.says("of 600 left").says("$50/day");

    shell.does("key set mine --disable").await;
    assert_ne!(status(&shell, key).await, 200);
    shell.does("key set mine --enable --unset budget").await;
    let other = shell.does("key rotate mine --grace 1h --quiet").await.out;
    assert_eq!((status(&shell, key).await, status(&shell, other.trim()).await), (200, 200));
    let last: KeyCreated = shell.does("key rotate mine --grace 0 --json").await.json();
    assert_eq!((status(&shell, key).await, status(&shell, &last.secret).await), (401, 200));
    shell.does("key revoke mine --dry-run").await.says("would change");
    assert_eq!(status(&shell, &last.secret).await, 200);
    shell.does("key revoke mine").await;
    assert_eq!(status(&shell, &last.secret).await, 401);
    shell.run("key rotate mine").await.ends(1).says("was revoked");
    shell.does("key list").await.says("mine").says("revoked");
    shell.does("key delete mine --note gone").await;
    shell.run("key show mine").await.ends(3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_without_a_name_gets_one() {
    let (_sims, shell) = shell().await;
    let made: KeyCreated = shell.does("key create --alias chat --json").await.json();
    assert!(made.key.name.starts_with("key-"), "{made:?}");
    shell.does(&format!("key show {}", made.key.name)).await.says("aliases  ").says("active");
    let page: Page<KeyReport> = shell.does(&format!("key list {} --json", made.key.name)).await.json();
    assert_eq!(page.items.len(), 1);
    shell.run("key create mine --alias chaat").await.ends(1).says("did you mean \"chat\"?");
    shell.run("key create mine --budget 50").await.ends(1).says("keys.mine.budget");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_allows_what_its_role_does() {
    let (_sims, mut shell) = shell().await;
    let made = shell.does("token create looker --role viewer --expires-in 1h --quiet").await;
    let tokens: Page<TokenReport> = shell.does("token list --json").await.json();
    assert_eq!((tokens.items[0].name.as_str(), tokens.items[0].role), ("looker", Role::Viewer));
    shell.does("token list").await.says("looker  viewer");
    shell.run("token create looker --role viewer").await.ends(1).says("already");

    let admin = std::mem::replace(&mut shell.token, made.out.trim().to_owned());
    let me: Me = shell.does("me --json").await.json();
    assert_eq!((me.name.as_str(), me.role), ("looker", Role::Viewer));
    shell.does("alias list").await;
    shell.run("alias delete chat").await.ends(1).says("editor");
    shell.run("token list").await.ends(1).says("admin");

    let looker = std::mem::replace(&mut shell.token, admin);
    shell.does("token delete looker").await;
    shell.run("token delete looker").await.ends(3);
    shell.token = looker;
    shell.run("me").await.ends(5).says("POINTSMAN_ADMIN_TOKEN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_no_token_is_told_where_one_comes_from() {
    let (_sims, mut shell) = shell().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, format!("{}\n", shell.token)).expect("a file");
    shell.token = " ".to_owned();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command.args(["me"]).env("POINTSMAN_ADMIN", shell.gateway.admin_url("")).env_remove("POINTSMAN_ADMIN_TOKEN");
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends").expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("--token-file") && said.contains("pointsman serve"), "{said}");

    shell.token = "pma-not-a-known-one".to_owned();
    shell.run("me").await.ends(5);
    shell.does(&format!("me --token-file {}", path.display())).await.says("admin");
    shell.run(&format!("me --token-file {}", folder.path().join("none").display())).await.ends(5);
    let data = shell.gateway.url("");
    shell.run(&format!("me --admin {data}")).await.ends(2).says("server.admin_listen");
    shell.run("me --admin http://127.0.0.1:9").await.ends(2).says("no gateway answers");
    shell.run("me --admin ftp://x").await.ends(2).says("is not an address");
}
