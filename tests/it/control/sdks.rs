//! Do the official SDKs raise the right exceptions for keys that are not let in and limits
//! that are reached, and wait as long as they are told?

use pointsman::api::key::KeyFields;
use serde_json::json;

use super::World;
use crate::support::admin::at;
use crate::support::chat::{Asked, ask};
use crate::support::python;

#[tokio::test(flavor = "multi_thread")]
async fn the_official_sdks_understand_refusals() {
    let world = World::new(&["one"], |config| {
        let priced = "[[models]]\nid = \"priced/m\"\nendpoints = [{ provider = \"one\", upstream_model = \"m\", usd_per_mtok = { input = 1, output = 1 } }]";
        config.toml(priced).alias("a", &["priced"], "").alias("b", &["one"], "")
    })
    .await;
    let key = async |name: &str, fields: KeyFields| {
        let made = world.admin.new_key(&KeyFields { name: name.to_owned(), ..fields }).await;
        (format!("KEY_{}", name.to_uppercase()), made.secret)
    };
    let none = KeyFields::default;
    let keys = [
        key("good", none()).await,
        key("revoked", none()).await,
        key("scoped", KeyFields { aliases: Some(vec!["a".into()]), ..none() }).await,
        key("minute", KeyFields { requests_per_minute: Some(60), ..none() }).await,
        // An answer of 24 tokens to a prompt of two costs 26 of these 40.
        key("budget", KeyFields { budget: Some(vec!["$0.00004/month".into()]), ..none() }).await,
        key("poor", KeyFields { budget: Some(vec!["$0.000001/month".into()]), ..none() }).await,
        key("slow", KeyFields { tokens_per_minute: Some(1), ..none() }).await,
    ];
    assert_eq!(world.admin.post(&format!("{}/revoke", at("keys", "revoked")), &json!({})).await.status, 200);
    let spends = Asked { alias: "a", key: &keys[4].1, more: json!({"max_tokens": 30}), ..Asked::default() };
    assert_eq!(ask(&world.gateway, &spends).await.status, 200);
    let url = world.gateway.url("");
    let mut env: Vec<(&str, &str)> = vec![("GATEWAY", &url), ("GATEWAY_KEY", "")];
    env.extend(keys.iter().map(|(name, secret)| (name.as_str(), secret.as_str())));
    let seen = python::run("limits.py", &[], &env).await;
    assert_eq!(seen.len(), 21, "{seen:#?}");
}
