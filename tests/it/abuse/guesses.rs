//! Keys, tokens and logins that are guessed at speed.

use std::net::Ipv4Addr;

use serde_json::json;

use super::Attacked;
use crate::support::bystander::Bystander;
use crate::support::gateway::{ADMIN_TOKEN, Gateway};

/// A client at an address of its own.
fn client(last: u8) -> reqwest::Client {
    crate::support::http();
    let from = Ipv4Addr::new(127, 0, 0, last);
    reqwest::Client::builder().local_address(Some(from.into())).build().unwrap()
}

/// The ways in, each with a secret that is shown.
#[derive(Clone, Copy, Debug)]
enum Door {
    Chat,
    Models,
    Admin,
    Login,
}

impl Door {
    async fn shown(self, gateway: &Gateway, client: &reqwest::Client, secret: &str) -> reqwest::Response {
        let request = match self {
            Self::Chat => client.post(gateway.url("/v1/chat/completions")).bearer_auth(secret).body("{}"),
            Self::Models => client.get(gateway.url("/v1/models")).bearer_auth(secret),
            Self::Admin => client.get(gateway.admin_url("/admin/v1/me")).bearer_auth(secret),
            Self::Login => client
                .post(gateway.admin_url("/dashboard/session"))
                .header("content-type", "application/json")
                .body(json!({"token": secret}).to_string()),
        };
        request.send().await.expect("an answer")
    }

    /// A valid secret, and the status of showing it.
    fn valid(self) -> (&'static str, u16) {
        match self {
            Self::Chat => ("pm-it", 400),
            Self::Models => ("pm-it", 200),
            Self::Admin => (ADMIN_TOKEN, 200),
            Self::Login => (ADMIN_TOKEN, 201),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_slowed_down_and_valid_keys_are_never_locked_out() {
    let attacked = Attacked::new("failed_auth_per_minute = 6").await;
    let gateway = &attacked.gateway;
    for (door, last) in [(Door::Chat, 10), (Door::Models, 11), (Door::Admin, 12), (Door::Login, 13)] {
        let client = client(last);
        for i in 0..6 {
            let answer = door.shown(gateway, &client, &format!("pm-guess-{i}-0123456789")).await;
            assert_eq!(answer.status(), 401, "{door:?} {i}");
        }
        let answer = door.shown(gateway, &client, "pm-guess-0123456789").await;
        assert_eq!(answer.status(), 429, "{door:?}");
        let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=10).contains(&wait), "{door:?}: {wait}");
        assert_eq!(answer.headers()["connection"], "close", "{door:?}");
        let (secret, status) = door.valid();
        assert_eq!(door.shown(gateway, &client, secret).await.status(), status, "{door:?}: a valid one is let in");
    }
    assert_eq!(Door::Chat.shown(gateway, &client(20), "pm-guess").await.status(), 401, "others have their own");
    assert!(gateway.log().contains("keys are guessed"), "{}", gateway.log());
    assert!(!gateway.log().contains("pm-guess"), "a guess may be nearly right");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_guesses_gets_few_answers_and_keeps_nobody_waiting() {
    let attacked = Attacked::new("").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    let mut guessing = tokio::task::JoinSet::new();
    for worker in 0..32 {
        let (gateway, client) = (std::sync::Arc::clone(&attacked.gateway), client(30));
        guessing.spawn(async move {
            let (mut denied, mut told) = (0, 0);
            let until = tokio::time::Instant::now() + std::time::Duration::from_secs(3);
            while tokio::time::Instant::now() < until {
                match Door::Models
                    .shown(&gateway, &client, &format!("pm-{worker}-{denied}-{told}"))
                    .await
                    .status()
                    .as_u16()
                {
                    401 => denied += 1,
                    429 => told += 1,
                    other => panic!("{other}"),
                }
            }
            (denied, told)
        });
    }
    let all = guessing.join_all().await;
    let (denied, told) = all.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    // A minute's worth at once and one a second; then each of 32 one a second.
    assert!((60..75).contains(&denied), "{denied} were just denied");
    assert!((1..=32 * 5).contains(&told), "{told} were told to wait");
    assert_eq!(attacked.metric("pointsman_guesses_refused_total").await, told);
    bystander.was_served().await;
}
