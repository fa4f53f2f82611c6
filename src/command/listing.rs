//! How is a list read that comes in parts? Part by part until its end, or until there is
//! enough of it.

use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::{Answer, Gateway};
use super::failure::Failure;
use super::request::Request;
use crate::api::Page;

/// Which part of a list is wanted.
#[derive(Clone, Debug, Default, Args)]
pub struct Listing {
    /// Only those whose names contain this.
    pub search: Option<String>,
    /// Only those after this name.
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
    /// At most so many; all, if it is not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

impl Listing {
    /// The request for the list, with what is searched.
    pub fn of(&self, request: Request) -> Request {
        request.query("search", self.search.as_deref())
    }

    /// Reads the list.
    ///
    /// # Errors
    /// If a part of it cannot be had.
    pub async fn read<T: DeserializeOwned>(
        &self,
        gateway: &Gateway,
        request: Request,
    ) -> Result<Answer<Page<T>>, Failure> {
        read(gateway, &self.of(request), "after", self.after.clone(), self.limit).await
    }
}

/// Which part of what has happened is wanted, the newest first.
#[derive(Clone, Debug, Args)]
pub struct Latest {
    /// Only those before this number.
    #[arg(long, value_name = "N")]
    before: Option<u64>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Latest {
    /// Reads the list.
    ///
    /// # Errors
    /// If a part of it cannot be had.
    pub async fn read<T: DeserializeOwned>(
        &self,
        gateway: &Gateway,
        request: &Request,
    ) -> Result<Answer<Page<T>>, Failure> {
        read(gateway, request, "before", self.before.map(|number| number.to_string()), Some(self.limit)).await
    }
}

/// No gateway gives more at once.
const MOST: u32 = 1000;

/// Reads a list; `parameter` says where a part begins.
async fn read<T: DeserializeOwned>(
    gateway: &Gateway,
    request: &Request,
    parameter: &'static str,
    begin: Option<String>,
    limit: Option<u32>,
) -> Result<Answer<Page<T>>, Failure> {
    let mut items: Vec<Value> = Vec::new();
    let mut read = Page { items: Vec::new(), next: begin };
    loop {
        let left = limit.map_or(MOST, |limit| limit.saturating_sub(read.items.len() as u32));
        let part = request.clone().query(parameter, read.next.as_deref()).query("limit", Some(left.min(MOST)));
        let part: Answer<Page<T>> = gateway.ask(&part).await?;
        items.extend(Vec::deserialize(&part.raw["items"]).unwrap_or_default());
        // A part with nothing in it would be asked for again and again.
        let more = part.read.next.is_some() && !part.read.items.is_empty();
        read.items.extend(part.read.items);
        read.next = part.read.next;
        if !more || limit.is_some_and(|limit| read.items.len() >= limit as usize) {
            let raw = json!({"items": items, "next": read.next});
            return Ok(Answer { raw, read });
        }
    }
}
