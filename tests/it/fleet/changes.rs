//! Changes: one line of revisions for all, conflicts found, and served everywhere when the
//! call that made them returns.

use serde_json::json;

use super::Fleet;
use crate::support::admin::{If, at};
use crate::support::gateway::folder;
use pointsman::api::key::KeyFields;
use pointsman::api::token::Role;
use reqwest::Method;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_at_one_replica_is_served_by_all_when_it_returns() {
    let fleet = Fleet::new(3).await;
    let [one, two, three] = &fleet.replicas[..] else { panic!() };
    assert_eq!(fleet.served_by("a").await, ["one", "one", "one"]);

    let targets = json!({"targets": [{"model": "two/m"}]});
    let report = one.admin.change("aliases", "a", &targets).await;
    assert_eq!(report.unconfirmed, []);
    assert_eq!(fleet.served_by("a").await, ["two", "two", "two"]);

    // Whoever has seen an older revision is told, wherever it asks.
    let seen = two.admin.document("aliases", "a").await.revision;
    assert_eq!(seen, report.revision);
    three.admin.change("aliases", "a", &json!({"targets": [{"model": "one/m"}]})).await;
    let late = two.admin.patch("aliases", "a", &targets, If::Match(seen)).await;
    assert_eq!(late.refusal(), (412, "conflict".into()));

    // Keys and tokens as well.
    let key = two.admin.new_key(&KeyFields { name: "team".into(), ..KeyFields::default() }).await;
    for replica in &fleet.replicas {
        assert_eq!(fleet.ask_by(replica, "a", &key.secret).await.status, 200, "{}", replica.name);
    }
    one.admin.send(Method::POST, "/admin/v1/keys/team/revoke", None, If::Unsaid).await;
    for replica in &fleet.replicas {
        assert_eq!(fleet.ask_by(replica, "a", &key.secret).await.status, 401, "{}", replica.name);
    }
    let token = three.admin.new_token("ops", Role::Viewer).await.secret;
    assert_eq!(one.admin.with(&token).get(&at("aliases", "a")).await.status, 200);
    assert_eq!(three.admin.delete("tokens", "ops").await.status, 204);
    assert_eq!(two.admin.with(&token).get(&at("aliases", "a")).await.status, 401);

    // The history is the same everywhere, and so is the audit log.
    let history = one.admin.history().await;
    assert!(history.len() >= 5, "{history:?}");
    let audit: serde_json::Value = one.admin.get("/admin/v1/audit").await.good();
    for other in [two, three] {
        assert_eq!(other.admin.history().await, history);
        assert_eq!(other.admin.get("/admin/v1/audit").await.good::<serde_json::Value>(), audit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_later_or_again_has_it_all() {
    let mut fleet = Fleet::new(2).await;
    let gone = fleet.replicas.remove(1).gateway.killed().await;
    let one = &fleet.replicas[0];
    for _ in 0..3 {
        one.admin.change("aliases", "a", &json!({"targets": [{"model": "two/m"}]})).await;
        one.admin.change("aliases", "a", &json!({"targets": [{"model": "one/m"}]})).await;
    }
    let secret = one.admin.new_key(&KeyFields { name: "team".into(), ..KeyFields::default() }).await.secret;
    let report = one.admin.change("aliases", "a", &json!({"targets": [{"model": "two/m"}]})).await;
    // It has not said that it ended, and may still serve what it knew.
    let late: Vec<&str> = report.unconfirmed.iter().map(|late| late.replica.as_str()).collect();
    assert_eq!(late, ["r1"], "{report:?}");

    let again = fleet.another("r1", &gone).await;
    let new = fleet.another("r2", &folder()).await;
    fleet.replicas.extend([again, new]);
    assert_eq!(fleet.served_by("a").await, ["two", "two", "two"]);
    let history = fleet.replicas[0].admin.history().await;
    for replica in &fleet.replicas {
        assert_eq!(fleet.ask_by(replica, "a", &secret).await.status, 200, "{}", replica.name);
        assert_eq!(replica.admin.history().await, history, "{}", replica.name);
    }
    let report = fleet.replicas[2].admin.change("aliases", "a", &json!({"targets": [{"model": "one/m"}]})).await;
    assert_eq!(report.unconfirmed, []);
    assert_eq!(fleet.served_by("a").await, ["one", "one", "one"]);
}
