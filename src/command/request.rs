//! What is asked of a gateway? A question as plain data, so that what becomes of arguments
//! can be looked at without a gateway.

use reqwest::{Method, Url};
use serde::Serialize;
use serde_json::Value;

/// Everything that the admin API answers is below this path.
const API: [&str; 2] = ["admin", "v1"];

/// One question.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The segments below `/admin/v1`; a name is one, whatever is in it.
    pub path: Vec<String>,
    /// The query.
    pub query: Vec<(&'static str, String)>,
    /// What has to be so for a change to be made.
    pub condition: Condition,
    /// The body.
    pub body: Option<Value>,
}

/// What has to be so for a change to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// It is there, in whatever state.
    IsThere,
    /// It is not there.
    IsNotThere,
    /// This revision changed it last.
    Revision(u64),
}

impl Request {
    fn new<S: AsRef<str>>(method: Method, path: &[S]) -> Self {
        let path = path.iter().map(|segment| segment.as_ref().to_owned()).collect();
        Self { method, path, query: Vec::new(), condition: Condition::None, body: None }
    }

    /// A question.
    pub fn get<S: AsRef<str>>(path: &[S]) -> Self {
        Self::new(Method::GET, path)
    }

    /// Something new, or something to be done.
    pub fn post<S: AsRef<str>>(path: &[S], body: impl Serialize) -> Self {
        Self::new(Method::POST, path).body(body)
    }

    /// Something as a whole.
    pub fn put<S: AsRef<str>>(path: &[S], body: impl Serialize) -> Self {
        Self::new(Method::PUT, path).body(body)
    }

    /// A change of fields.
    pub fn patch<S: AsRef<str>>(path: &[S], body: impl Serialize) -> Self {
        Self::new(Method::PATCH, path).body(body)
    }

    /// Something to be taken out.
    pub fn delete<S: AsRef<str>>(path: &[S]) -> Self {
        Self::new(Method::DELETE, path)
    }

    fn body(self, body: impl Serialize) -> Self {
        // What is sent are types of the API and maps of JSON, which all have a text.
        Self { body: Some(serde_json::to_value(body).unwrap_or_default()), ..self }
    }

    /// With a parameter, if there is a value for it.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// With a parameter that is `true`, if it is.
    #[must_use]
    pub fn flag(self, name: &'static str, on: bool) -> Self {
        self.query(name, on.then_some(true))
    }

    /// Under a condition.
    #[must_use]
    pub fn on(self, condition: Condition) -> Self {
        Self { condition, ..self }
    }

    /// Its address at a gateway.
    pub fn address(&self, base: &Url) -> Url {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(API).extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

/// A name that can be a segment of a path.
///
/// # Errors
/// If it cannot.
pub fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a name is not empty".to_owned()),
        // They would lead to another path.
        "." | ".." => Err(format!("{text:?} cannot be a name")),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(request: &Request, base: &str) -> String {
        request.address(&Url::parse(base).unwrap()).to_string()
    }

    #[test]
    fn a_name_is_one_segment() {
        let request = Request::get(&["models", "openai/gpt-5.5"]);
        assert_eq!(address(&request, "http://x"), "http://x/admin/v1/models/openai%2Fgpt-5.5");
        let request = Request::get(&["aliases", "a ?#%ü"]);
        assert_eq!(address(&request, "https://x/gate/"), "https://x/gate/admin/v1/aliases/a%20%3F%23%25%C3%BC");
    }

    #[test]
    fn only_parameters_with_a_value_are_sent() {
        let request = Request::get(&["keys"]).query("search", Some("a b&c")).query("after", None::<String>);
        let request = request.flag("dry_run", true).flag("prune", false).query("limit", Some(5));
        assert_eq!(address(&request, "http://x"), "http://x/admin/v1/keys?search=a+b%26c&dry_run=true&limit=5");
    }

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        assert!(["", ".", ".."].iter().all(|text| name(text).is_err()));
        assert_eq!(name("...").as_deref(), Ok("..."));
    }
}
