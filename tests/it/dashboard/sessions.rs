//! Is a session worth as much as the token that opened it, and no more? Asked as a browser
//! asks: with a cookie, an origin, and what only our own page knows.

use pointsman::api::error::ErrorReport;
use pointsman::api::session::Session;
use pointsman::api::token::Role;
use reqwest::header::{HeaderMap, SET_COOKIE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::admin::Admin;
use crate::support::config::ConfigText;
use crate::support::gateway::{ADMIN_TOKEN, Gateway};
use crate::support::{eventually, http};

const SESSION: &str = "/dashboard/session";

/// A browser that is logged in.
struct Browser<'a> {
    gateway: &'a Gateway,
    cookie: String,
    session: Session,
}

/// An answer, with its body read.
struct Told {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Told {
    async fn by(request: RequestBuilder) -> Self {
        let answer = request.send().await.expect("the admin listener answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Self { status, headers, body: answer.text().await.expect("a whole answer") }
    }

    fn refusal(&self) -> (u16, String) {
        let report: ErrorReport =
            serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body));
        (self.status, report.error.code)
    }
}

fn log_in(gateway: &Gateway, token: &str) -> RequestBuilder {
    let body = json!({"token": token}).to_string();
    http().post(gateway.admin_url(SESSION)).header("content-type", "application/json").body(body)
}

impl<'a> Browser<'a> {
    async fn new(gateway: &'a Gateway, token: &str) -> Self {
        let told = Told::by(log_in(gateway, token)).await;
        assert_eq!(told.status, 201, "{}", told.body);
        let set = told.headers[SET_COOKIE].to_str().expect("text");
        let cookie = set.split(';').next().expect("a cookie").to_owned();
        Self { gateway, cookie, session: serde_json::from_str(&told.body).expect("a session") }
    }

    /// With the cookie and nothing else.
    fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        http().request(method, self.gateway.admin_url(path)).header("cookie", format!("theme=dark; {}", self.cookie))
    }

    /// As our own page asks.
    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let origin = self.gateway.admin_url("");
        self.bare(method, path).header("origin", origin).header("x-pointsman-csrf", &self.session.csrf)
    }

    async fn get(&self, path: &str) -> Told {
        Told::by(self.ask(Method::GET, path)).await
    }
}

fn with(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

/// A change that leaves no trace but a revision.
const CHANGE: &str = "/admin/v1/projects";

fn project(name: &str) -> Value {
    json!({"name": name})
}

async fn gateway() -> Gateway {
    Gateway::start(&ConfigText::new("").key("it", "pm-it", None)).await
}

#[tokio::test]
async fn whoever_logs_in_may_what_the_token_may_and_history_has_the_name() {
    let gateway = gateway().await;
    let admin = Admin::of(&gateway);
    let editor = admin.new_token("eve", Role::Editor).await;
    let browser = Browser::new(&gateway, &editor.secret).await;
    assert_eq!((browser.session.name.as_str(), browser.session.role), ("eve", Role::Editor));

    let who = browser.get(SESSION).await;
    assert_eq!(serde_json::from_str::<Session>(&who.body).unwrap(), browser.session);
    assert_eq!(who.headers["cache-control"], "no-store");
    let aliases = browser.get("/admin/v1/aliases").await;
    assert_eq!((aliases.status, aliases.headers["cache-control"].as_bytes()), (200, &b"no-store"[..]));

    let made = Told::by(with(browser.ask(Method::POST, CHANGE), &project("p"))).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let revision = &admin.history().await[0];
    assert_eq!((revision.author.as_str(), revision.via.as_str()), ("eve", "dashboard"));
    assert_eq!(browser.get("/admin/v1/tokens").await.refusal(), (403, "role".into()), "an editor is no admin");
}

#[tokio::test]
async fn the_cookie_is_for_our_own_pages_only() {
    let gateway = gateway().await;
    let set = |told: &Told| told.headers[SET_COOKIE].to_str().unwrap().to_owned();
    let plain = Told::by(log_in(&gateway, ADMIN_TOKEN)).await;
    let cookie = set(&plain);
    let id = cookie.strip_prefix("pointsman_session=").and_then(|rest| rest.split(';').next()).unwrap();
    assert_eq!(id.len(), 64, "256 bits: {cookie}");
    assert_eq!(cookie[cookie.find(';').unwrap()..], *"; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict");
    assert!(!plain.body.contains(id) && !plain.body.contains(ADMIN_TOKEN), "a script could read it: {}", plain.body);
    let behind_tls = Told::by(log_in(&gateway, ADMIN_TOKEN).header("x-forwarded-proto", "https")).await;
    assert!(set(&behind_tls).ends_with("; Secure"), "{}", set(&behind_tls));
}

#[tokio::test]
async fn nobody_logs_in_without_a_token_or_from_elsewhere() {
    let gateway = gateway().await;
    for wrong in ["", "pma-0123456789abcdef0123456789abcdef0123456789abcdef", "pm-it"] {
        let told = Told::by(log_in(&gateway, wrong)).await;
        assert_eq!((told.refusal(), told.headers.get(SET_COOKIE)), ((401, "no_token".into()), None), "{wrong}");
    }
    let elsewhere = log_in(&gateway, ADMIN_TOKEN).header("origin", "http://evil.example");
    assert_eq!(Told::by(elsewhere).await.refusal(), (403, "origin".into()));
    // A form of another page can send such a body without being asked.
    let form = http().post(gateway.admin_url(SESSION)).header("content-type", "text/plain");
    let form = Told::by(form.body(json!({"token": ADMIN_TOKEN}).to_string())).await;
    assert_eq!(form.refusal(), (415, "wrong_type".into()));
    let long = Told::by(log_in(&gateway, &"x".repeat(10_000))).await;
    assert_eq!(long.refusal(), (413, "too_large".into()));
    for method in [Method::GET, Method::DELETE] {
        let told = Told::by(http().request(method, gateway.admin_url(SESSION))).await;
        assert_eq!(told.refusal(), (401, "no_token".into()));
    }
    let by_token = Told::by(http().get(gateway.admin_url(SESSION)).bearer_auth(ADMIN_TOKEN)).await;
    assert_eq!(by_token.refusal(), (401, "no_token".into()), "a token is no session");
}

#[tokio::test]
async fn a_change_has_to_come_from_our_own_page() {
    let gateway = gateway().await;
    let browser = Browser::new(&gateway, ADMIN_TOKEN).await;
    let other = Browser::new(&gateway, ADMIN_TOKEN).await;
    let change = |request: RequestBuilder| Told::by(with(request, &project("p")));
    let bare = || browser.bare(Method::POST, CHANGE);
    let origin = gateway.admin_url("");

    assert_eq!(change(bare()).await.refusal(), (403, "csrf".into()), "nothing but the cookie");
    assert_eq!(change(bare().header("origin", &origin)).await.refusal(), (403, "csrf".into()));
    for wrong in ["", "1", &other.session.csrf] {
        let told = change(bare().header("x-pointsman-csrf", wrong)).await;
        assert_eq!(told.refusal(), (403, "csrf".into()), "{wrong}");
    }
    for elsewhere in ["null", "http://evil.example", "http://127.0.0.1:1"] {
        let told = change(bare().header("x-pointsman-csrf", &browser.session.csrf).header("origin", elsewhere)).await;
        assert_eq!(told.refusal(), (403, "origin".into()), "{elsewhere}");
    }
    for (method, path) in [
        (Method::PUT, "/admin/v1/projects/default"),
        (Method::PATCH, "/admin/v1/projects/default"),
        (Method::DELETE, "/admin/v1/keys/it"),
        (Method::POST, "/admin/v1/explain"),
        (Method::DELETE, SESSION),
    ] {
        let told = Told::by(with(browser.bare(method.clone(), path), &json!({}))).await;
        assert_eq!(told.refusal(), (403, "csrf".into()), "{method} {path}");
    }
    assert_eq!(Admin::of(&gateway).revision().await, 1, "nothing has changed");

    // A browser leaves the origin out where it is plain anyway.
    assert_eq!(change(bare().header("x-pointsman-csrf", &browser.session.csrf)).await.status, 201);
    // Whoever shows a token shows it on purpose, whatever the browser adds.
    let by_token = http().post(gateway.admin_url(CHANGE)).bearer_auth(ADMIN_TOKEN).header("cookie", &other.cookie);
    assert_eq!(Told::by(with(by_token, &project("q"))).await.status, 201);
    let wrong_token = http().get(gateway.admin_url("/admin/v1/me")).bearer_auth("x").header("cookie", &other.cookie);
    assert_eq!(Told::by(wrong_token).await.refusal(), (401, "no_token".into()));
}

#[tokio::test]
async fn a_viewer_sees_and_changes_nothing() {
    let gateway = gateway().await;
    let admin = Admin::of(&gateway);
    let token = admin.new_token("vera", Role::Viewer).await;
    let browser = Browser::new(&gateway, &token.secret).await;
    assert_eq!(browser.get("/admin/v1/aliases").await.status, 200);
    let told = Told::by(with(browser.ask(Method::POST, CHANGE), &project("p"))).await;
    assert_eq!(told.refusal(), (403, "role".into()));
    let audit = admin.get("/admin/v1/audit?limit=1").await.body;
    assert!(audit.contains("\"author\":\"vera\"") && audit.contains("\"via\":\"dashboard\""), "{audit}");
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let gateway = gateway().await;
    let admin = Admin::of(&gateway);
    let token = admin.new_token("t", Role::Admin).await;
    let browser = Browser::new(&gateway, &token.secret).await;
    let mut events = browser.ask(Method::GET, "/admin/v1/events").send().await.unwrap();
    assert_eq!(
        (events.status().as_u16(), events.headers()["content-type"].as_bytes()),
        (200, &b"text/event-stream"[..])
    );

    assert_eq!(admin.delete("tokens", "t").await.status, 204);
    assert_eq!(browser.get(SESSION).await.refusal(), (401, "no_token".into()));
    let told = Told::by(with(browser.ask(Method::POST, CHANGE), &project("p"))).await;
    assert_eq!(told.refusal(), (401, "no_token".into()));
    while events.chunk().await.unwrap().is_some() {}

    // Another token of the same name, and of another role, is another token.
    admin.new_token("t", Role::Viewer).await;
    assert_eq!(browser.get("/admin/v1/me").await.refusal(), (401, "no_token".into()));
}

#[tokio::test]
async fn whoever_logs_out_is_out_and_hears_no_more() {
    let gateway = gateway().await;
    let (browser, other) = (Browser::new(&gateway, ADMIN_TOKEN).await, Browser::new(&gateway, ADMIN_TOKEN).await);
    let mut events = browser.bare(Method::GET, "/admin/v1/events").send().await.unwrap();
    // As an EventSource asks, by the cookie alone.
    assert_eq!(events.status(), 200);
    let out = Told::by(browser.ask(Method::DELETE, SESSION)).await;
    assert_eq!(out.status, 204);
    assert!(out.headers[SET_COOKIE].to_str().unwrap().starts_with("pointsman_session=; Path=/; Max-Age=0;"));
    assert_eq!(browser.get("/admin/v1/me").await.refusal(), (401, "no_token".into()));
    while events.chunk().await.unwrap().is_some() {}
    assert_eq!(other.get("/admin/v1/me").await.status, 200, "another session goes on");
}

#[tokio::test]
async fn a_session_is_told_what_happens() {
    let gateway = gateway().await;
    let browser = Browser::new(&gateway, ADMIN_TOKEN).await;
    let mut events = browser.bare(Method::GET, "/admin/v1/events").send().await.unwrap();
    assert_eq!(Told::by(with(browser.ask(Method::POST, CHANGE), &project("p"))).await.status, 201);
    let mut heard = String::new();
    eventually("the revision is told", async || {
        heard.push_str(&String::from_utf8_lossy(&events.chunk().await.unwrap().unwrap_or_default()));
        heard.contains("event: revision") && heard.contains("\"name\":\"p\"")
    })
    .await;
}

#[tokio::test]
async fn the_pages_are_for_everybody_but_on_the_admin_port_only() {
    let gateway = gateway().await;
    let at = |url: String| async move { Told::by(http().get(url)).await };
    let page = at(gateway.admin_url("/")).await;
    assert_eq!((page.status, page.headers["content-type"].as_bytes()), (200, &b"text/html; charset=utf-8"[..]));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(at(gateway.admin_url("/dashboard/aliases/a")).await.body, page.body);
    assert_eq!(at(gateway.admin_url("/dashboard/assets/none.js")).await.status, 404);
    for path in ["/", "/dashboard/", SESSION] {
        assert_eq!(at(gateway.url(path)).await.status, 404, "{path} on the data port");
    }
}
