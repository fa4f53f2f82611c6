//! A client of the admin API, in the types that it is described by.

use pointsman::api::Page;
use pointsman::api::change::ChangeReport;
use pointsman::api::error::{ErrorBody, ErrorReport};
use pointsman::api::key::{KeyCreated, KeyFields, KeyReport};
use pointsman::api::project::Standing;
use pointsman::api::resource::Resource;
use pointsman::api::revision::RevisionReport;
use pointsman::api::token::{Role, TokenCreated};
use pointsman::api::usage::{UsageNumbers, UsageReport};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::gateway::{ADMIN_TOKEN, Gateway};
use super::http;

/// The admin API of one gateway, as the holder of one token sees it.
#[derive(Clone, Debug)]
pub struct Admin {
    base: String,
    token: Option<String>,
    client: reqwest::Client,
}

/// What a change depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum If {
    /// Nothing is said.
    Unsaid,
    /// It is there, in whatever state.
    Any,
    /// This revision was the last to change it.
    Match(u64),
    /// It is not there.
    Absent,
}

impl If {
    fn header(self) -> Option<(&'static str, String)> {
        match self {
            Self::Unsaid => None,
            Self::Any => Some(("if-match", "*".to_owned())),
            Self::Match(revision) => Some(("if-match", format!("\"{revision}\""))),
            Self::Absent => Some(("if-none-match", "*".to_owned())),
        }
    }
}

/// An answer, whatever it is.
#[derive(Debug)]
pub struct Told {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl Told {
    /// The body of an answer that is as hoped for.
    #[track_caller]
    pub fn good<T: DeserializeOwned>(&self) -> T {
        assert!((200..300).contains(&self.status), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of an answer that is none.
    #[track_caller]
    pub fn error(&self) -> ErrorBody {
        assert!(self.status >= 400, "{self:?}");
        let report: ErrorReport = serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        report.error
    }

    /// The status and the word of an answer that is none.
    #[track_caller]
    pub fn refusal(&self) -> (u16, String) {
        (self.status, self.error().code)
    }

    /// The revision in its `ETag`.
    #[track_caller]
    pub fn etag(&self) -> u64 {
        let tag = self.headers.get("etag").unwrap_or_else(|| panic!("no ETag: {self:?}"));
        tag.to_str().expect("text").trim_matches('"').parse().expect("a revision")
    }
}

impl Admin {
    /// With the token that every gateway of a test knows.
    pub fn of(gateway: &Gateway) -> Self {
        Self { base: gateway.admin_url(""), token: Some(ADMIN_TOKEN.to_owned()), client: http() }
    }

    /// The same with another token.
    pub fn with(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same without a token.
    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// Asks anything. `path` begins with `/admin`.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>, condition: If) -> Told {
        let sent = self.try_send(method, path, body, condition).await;
        sent.unwrap_or_else(|error| panic!("the admin listener does not answer: {error}"))
    }

    /// Asks anything of a gateway that may end meanwhile.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        condition: If,
    ) -> reqwest::Result<Told> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        if let Some((name, value)) = condition.header() {
            request = request.header(name, value);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Told { status, headers, body: answer.text().await? })
    }

    /// The status of an answer that is not waited for.
    pub async fn head_of(&self, path: &str) -> u16 {
        let mut request = self.client.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await.expect("the admin listener answers").status().as_u16()
    }

    /// Reads something.
    pub async fn get(&self, path: &str) -> Told {
        self.send(Method::GET, path, None, If::Unsaid).await
    }

    /// Sends something that is no document.
    pub async fn post(&self, path: &str, body: &Value) -> Told {
        self.send(Method::POST, path, Some(body), If::Unsaid).await
    }

    /// Reads a document; `list` is such as `aliases`.
    pub async fn document(&self, list: &str, name: &str) -> Resource {
        self.get(&at(list, name)).await.good()
    }

    /// Puts a document in.
    pub async fn put(&self, list: &str, name: &str, document: &Value, condition: If) -> Told {
        self.send(Method::PUT, &at(list, name), Some(document), condition).await
    }

    /// Changes fields of a document or key.
    pub async fn patch(&self, list: &str, name: &str, patch: &Value, condition: If) -> Told {
        self.send(Method::PATCH, &at(list, name), Some(patch), condition).await
    }

    /// Takes a document or key out.
    pub async fn delete(&self, list: &str, name: &str) -> Told {
        self.send(Method::DELETE, &at(list, name), None, If::Unsaid).await
    }

    /// Changes fields of a document or key, which has to succeed.
    pub async fn change(&self, list: &str, name: &str, patch: &Value) -> ChangeReport {
        self.patch(list, name, patch, If::Unsaid).await.good()
    }

    /// Makes a key of these fields.
    pub async fn new_key(&self, fields: &KeyFields) -> KeyCreated {
        self.post("/admin/v1/keys", &json!(fields)).await.good()
    }

    /// Reads a key.
    pub async fn key(&self, name: &str) -> KeyReport {
        self.get(&at("keys", name)).await.good()
    }

    /// Makes a token.
    pub async fn new_token(&self, name: &str, role: Role) -> TokenCreated {
        self.post("/admin/v1/tokens", &json!({"name": name, "role": role})).await.good()
    }

    /// What a key or project has used of its limits.
    pub async fn standing(&self, list: &str, name: &str) -> Standing {
        self.get(&format!("{}/standing", at(list, name))).await.good()
    }

    /// Usage of these days, summed.
    pub async fn usage(&self, by: &str) -> UsageReport {
        self.get(&format!("/admin/v1/usage?by={by}")).await.good()
    }

    /// All usage together.
    pub async fn total(&self) -> UsageNumbers {
        self.usage("day").await.total
    }

    /// Every revision, newest first.
    pub async fn history(&self) -> Vec<RevisionReport> {
        let mut all = Vec::new();
        let mut query = String::new();
        loop {
            let page: Page<RevisionReport> = self.get(&format!("/admin/v1/revisions?limit=1000{query}")).await.good();
            all.extend(page.items);
            let Some(next) = page.next else { return all };
            query = format!("&before={next}");
        }
    }

    /// The latest revision.
    pub async fn revision(&self) -> u64 {
        let page: Page<RevisionReport> = self.get("/admin/v1/revisions?limit=1").await.good();
        page.items.first().expect("there is always a first").number
    }
}

/// The path of something in a list. A name is one segment of it.
pub fn at(list: &str, name: &str) -> String {
    format!("/admin/v1/{list}/{}", name.replace('%', "%25").replace('/', "%2F"))
}
