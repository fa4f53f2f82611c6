//! Files applied and exported, and the history that they make.

use std::path::Path;

use pointsman::api::Page;
use pointsman::api::change::ChangeReport;
use pointsman::api::resource::DocumentLists;
use pointsman::api::revision::{AuditEntry, Comparison, RevisionDetail, RevisionReport};

use super::shell;
use crate::support::chat::{Asked, ask};

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).expect("a file");
    path.to_str().expect("a path").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_applies_to_nothing() {
    let (_sims, shell) = shell().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("now.toml");
    shell.does(&format!("export --out {}", path.display())).await.says("written to");
    let lists: DocumentLists = shell.does("export --json").await.json();
    assert_eq!((lists.aliases.len(), lists.providers.len(), lists.models.len()), (1, 3, 3));
    let applied: ChangeReport = shell.does(&format!("apply {} --prune --json", path.display())).await.json();
    assert_eq!((applied.changes.len(), applied.revision), (0, 1));
    shell.does(&format!("apply {}", path.display())).await.says("nothing to change at revision 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_applied_and_what_it_does_not_have_taken_out() {
    let (_sims, shell) = shell().await;
    let folder = tempfile::tempdir().expect("a folder");
    let exported = shell.does("export").await.out;
    let more = "\n[server]\nopen = true\n\n[[aliases]]\nname = \"more\"\nstrategy = \"priority\"\ntargets = [{ model = \"three/m\" }]\n\n\
                [[keys]]\nname = \"shop\"\nkey_env = \"IT_SHOP_KEY\"\n\n[[keys]]\nname = \"absent\"\nkey_env = \"IT_NOT_SET\"\n";
    let path = write(&folder.path().join("a.toml"), &format!("{exported}{more}"));

    let dry = shell.does(&format!("apply {path} --dry-run")).await;
    dry.says("+name = \"more\"")
        .says("a dry run")
        .says("[server] is of the gateway's own file")
        .says("IT_NOT_SET is not set");
    shell.run("alias show more").await.ends(3);
    shell.does(&format!("apply {path} --note first --if-revision 1")).await.says("revision 2");
    let served =
        ask(&shell.gateway, &Asked { alias: "more", key: "pm-of-the-shop-0123456789", ..Asked::default() }).await;
    assert_eq!(served.status, 200, "{served:?}");
    shell.run(&format!("apply {path} --if-revision 1")).await.ends(4);

    let less = write(&folder.path().join("b.toml"), &exported);
    shell.does(&format!("apply {less} --dry-run --prune")).await.says("would be taken out: alias more");
    shell.does(&format!("apply {less}")).await.says("nothing to change");
    shell.does(&format!("apply {less} --prune")).await.says("\ntaken out: alias more");
    shell.run("alias show more").await.ends(3);
    shell.does("key show shop").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_file_is_told_with_its_lines() {
    let (_sims, shell) = shell().await;
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[[aliases]]\nname = \"more\"\nstrategy = \"priority\"\ntargets = [\n  { model = \"three/m\" },\n  { model = \"thre/n\" },\n]\n";
    let path = write(&folder.path().join("a.toml"), text);
    shell.run(&format!("apply {path}")).await.ends(1).says(&format!("\n{path}:6:13: aliases.more.targets[1].model: "));
    let path = write(&folder.path().join("b.toml"), "aliases = [");
    shell.run(&format!("apply {path}")).await.ends(1).says(&format!("{path}:1:"));
    shell.run("apply nowhere.toml").await.ends(2);
    let applied = shell
        .run_with(
            "apply - --dry-run",
            "[[aliases]]\nname = \"x\"\nstrategy = \"priority\"\ntargets = [{ model = \"one/m\" }]\n",
        )
        .await;
    applied.ends(0).says("alias x would change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_can_be_read_and_taken_back() {
    let (_sims, shell) = shell().await;
    shell.does("alias set chat --set max_attempts=2 --note why").await;
    shell.does("alias set chat --set max_attempts=5").await;
    shell.run("alias set chat --set max_attempts=99").await.ends(1);
    shell.does("history list").await.says("alias chat").says("why").says("cli");
    let page: Page<RevisionReport> = shell.does("history list --limit 1 --json").await.json();
    assert_eq!((page.items[0].number, page.items[0].via.as_str(), page.next.is_some()), (3, "cli", true));
    let detail: RevisionDetail = shell.does("history show 2 --json").await.json();
    assert_eq!(detail.revision.note.as_deref(), Some("why"));
    shell.does("history show 2").await.says("+max_attempts = 2");
    let compared: Comparison = shell.does("history diff 1 --json").await.json();
    assert_eq!((compared.from, compared.to, compared.changes.len()), (1, 3, 1));
    shell.does("history diff 2 3").await.says("-max_attempts = 2\n+max_attempts = 5");
    shell.does("history diff 3 3").await.says("are the same");
    shell.does("history rollback 1 --dry-run").await.says("-max_attempts = 5");
    shell.does("history rollback 1").await.says("revision 4");
    shell.run("history show 99").await.ends(3);
    shell.run("history rollback 99").await.ends(3);

    shell.does("audit --limit 5").await.says("alias.patch").says("out of range");
    let log: Page<AuditEntry> = shell.does("audit --json").await.json();
    assert!(log.items.iter().any(|entry| entry.outcome != "ok" && entry.revision.is_none()), "{log:?}");
}
