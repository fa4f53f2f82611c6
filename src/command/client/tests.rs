use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::*;
use crate::command::exit::Exit;
use crate::command::tests_support::{Asked, StandIn, answer};

fn reach(admin: &str) -> Reach {
    Reach { admin: admin.to_owned(), token_file: None, json: false }
}

fn gateway(admin: &str, token: &str) -> Gateway {
    Gateway::with_token(&reach(admin), Some(SecretString::from(token))).unwrap()
}

async fn asked(answer: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static) -> Result<Answer<Value>, Failure> {
    let stand_in = StandIn::start(answer).await;
    gateway(&stand_in.address, "").ask(&Request::get(&["me"])).await
}

#[tokio::test]
async fn a_question_carries_token_client_and_condition() {
    let stand_in = StandIn::start(|_| answer(200, json!({}))).await;
    let gateway = gateway(&stand_in.address, " pma-secret-of-sixteen\n");
    let ask = async |request: Request| gateway.ask::<Value>(&request).await.unwrap();
    ask(Request::put(&["aliases", "a/b"], json!({"x": 1})).on(Condition::Revision(12))).await;
    ask(Request::delete(&["aliases", "a"]).on(Condition::IsThere)).await;
    ask(Request::post(&["aliases"], json!({})).on(Condition::IsNotThere)).await;
    let [put, delete, post] = stand_in.asked().try_into().unwrap();
    assert_eq!(put.line, "PUT /admin/v1/aliases/a%2Fb");
    assert_eq!(put.header("authorization"), "Bearer pma-secret-of-sixteen");
    assert_eq!((put.header(CLIENT_HEADER), put.header("content-type")), ("cli", "application/json"));
    assert_eq!((put.header("if-match"), &put.body), ("\"12\"", &json!({"x": 1})));
    assert_eq!((delete.header("if-match"), post.header("if-none-match")), ("*", "*"));
    assert!(!format!("{gateway:?}").contains("secret"), "{gateway:?}");
}

#[tokio::test]
async fn an_answer_is_kept_as_it_came() {
    let whole = json!({"name": "ann", "role": "admin", "later": 1});
    let stand_in = StandIn::start(move |_| answer(200, &whole)).await;
    let answer: Answer<crate::api::token::Me> =
        gateway(&stand_in.address, "").ask(&Request::get(&["me"])).await.unwrap();
    assert_eq!((answer.read.name.as_str(), &answer.raw["later"]), ("ann", &json!(1)));
}

#[tokio::test]
async fn a_refusal_is_told_in_the_gateways_words() {
    let body = json!({"error": {"code": "not_found", "message": "there is no alias \"x\"", "nearest": ["y"], "problems": [], "revision": null}});
    let failure = asked(move |_| answer(404, &body)).await.unwrap_err();
    assert_eq!(
        (failure.to_string().as_str(), failure.exit()),
        ("there is no alias \"x\"; did you mean y?", Exit::NoSuchThing)
    );
}

#[tokio::test]
async fn somebody_else_is_told_from_a_gateway() {
    let others: [fn(&Asked) -> Response; 5] = [
        |_| answer(404, json!({"error": {"message": "no such path", "type": "invalid_request_error"}})),
        |_| answer(401, json!({"error": {"message": "no key", "type": "authentication_error"}})),
        |_| "<html>".into_response(),
        |_| answer(200, json!([])),
        |_| (http::StatusCode::FOUND, [("location", "http://127.0.0.1:1/")]).into_response(),
    ];
    for other in others {
        let stand_in = StandIn::start(other).await;
        let failure =
            gateway(&stand_in.address, "").ask::<crate::api::token::Me>(&Request::get(&["me"])).await.unwrap_err();
        assert!(failure.to_string().ends_with("--admin takes the address in server.admin_listen"), "{failure}");
        assert_eq!(failure.exit(), Exit::NotAsked);
    }
}

#[tokio::test]
async fn nobody_there_is_told_with_what_to_do() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // An address at which nobody listens any more.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = address.to_string();
    let failure = gateway(&address, "").ask::<Value>(&Request::get(&["me"])).await.unwrap_err();
    assert!(failure.to_string().starts_with(&format!("no gateway answers at http://{address}: ")), "{failure}");
    assert!(failure.to_string().contains("--admin"), "{failure}");
    assert_eq!(failure.exit(), Exit::NotAsked);
}

#[tokio::test]
async fn a_token_that_is_not_known_is_not_repeated() {
    let stand_in = StandIn::start(|_| answer(401, json!({"error": {"message": "no", "nearest": []}}))).await;
    let told = async |token: &str| {
        let failure = gateway(&stand_in.address, token).ask::<Value>(&Request::get(&["me"])).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::NoToken);
        failure.to_string()
    };
    let unknown = told("pma-unknown").await;
    assert!(unknown.contains("POINTSMAN_ADMIN_TOKEN") && !unknown.contains("pma-unknown"), "{unknown}");
    assert!(told("").await.contains("wants an admin token"));
}

#[test]
fn a_token_may_be_in_a_file() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let with = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let reach = Reach { token_file: Some(path.clone()), ..reach("x") };
        Gateway::with_token(&reach, Some(SecretString::from("pma-of-the-variable")))
    };
    let gateway = with("pma-of-the-file\n").unwrap();
    assert_eq!(
        (gateway.token.unwrap(), gateway.shown),
        (HeaderValue::from_static("Bearer pma-of-the-file"), Shown::File)
    );
    for wrong in ["", "two words", "pma-\u{e9}"] {
        let failure = with(wrong).unwrap_err();
        assert_eq!(failure.exit(), Exit::NoToken);
        assert!(wrong.is_empty() || !failure.to_string().contains(wrong), "{failure}");
    }
    let absent = Reach { token_file: Some(folder.path().join("absent")), ..reach("x") };
    assert_eq!(Gateway::with_token(&absent, None).unwrap_err().exit(), Exit::NoToken);
}

#[test]
fn an_address_needs_no_scheme_and_may_have_a_path() {
    let address = |admin| base(admin).map(|base| Request::get(&["me"]).address(&base).to_string());
    assert_eq!(address("localhost:1").unwrap(), "http://localhost:1/admin/v1/me");
    assert_eq!(address("https://x/gate/").unwrap(), "https://x/gate/admin/v1/me");
    assert_eq!(address(" http://[::1]:8081 ").unwrap(), "http://[::1]:8081/admin/v1/me");
    for wrong in ["", "ftp://x", "http://", "http://x?y=", "http://x#y", "a b", "http://u:p@x"] {
        assert!(address(wrong).is_err(), "{wrong}");
    }
}
