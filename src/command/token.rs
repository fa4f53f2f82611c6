//! `pointsman token`: who may administer; and `pointsman me`.

use clap::{Args, Subcommand, ValueEnum};

use super::Task;
use super::client::{Answer, Gateway};
use super::document::{self, Named};
use super::failure::Failure;
use super::request::{Request, name};
use super::screen::{Said, Screen};
use super::table::{Column, Table};
use super::words::{plain, seconds, when};
use crate::api::Page;
use crate::api::token::{Me, Role, TokenCreated, TokenFields, TokenReport};

/// What can be done with admin tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List tokens, but not what they are.
    List,
    /// Make a token. What it is is shown only now.
    Create(Create),
    /// Take a token back: it is refused from the next call on.
    Delete(Named),
}

/// A new token.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// Its name, which the history names as the author of changes.
    #[arg(value_parser = name)]
    name: String,
    /// What it allows.
    #[arg(long, value_enum)]
    role: Allowed,
    /// How long it is valid: 12h, 90d; for ever if it is not given.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires_in: Option<u32>,
    /// Print nothing but the token.
    #[arg(long, short)]
    quiet: bool,
}

/// What a token allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Allowed {
    /// To look at everything that is no secret.
    Viewer,
    /// Also to change aliases, models, projects and keys.
    Editor,
    /// Everything: also providers, tokens and the audit log.
    Admin,
}

/// Nothing more is said than who.
#[derive(Clone, Copy, Debug, Args)]
pub struct Who {}

impl Allowed {
    fn role(self) -> Role {
        match self {
            Self::Viewer => Role::Viewer,
            Self::Editor => Role::Editor,
            Self::Admin => Role::Admin,
        }
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Editor => "editor",
        Role::Admin => "admin",
    }
}

impl Create {
    fn request(&self) -> Request {
        let fields = TokenFields { name: self.name.clone(), role: self.role.role(), expires_in_s: self.expires_in };
        Request::post(&["tokens"], fields)
    }
}

impl Task for TokenCommand {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        match self {
            Self::List => {
                let page: Answer<Page<TokenReport>> = gateway.ask(&Request::get(&["tokens"])).await?;
                Ok(document::told(screen, &page, "tokens but that of the gateway's environment", |all| {
                    table(all, screen)
                }))
            }
            Self::Create(create) => {
                let answer: Answer<TokenCreated> = gateway.ask(&create.request()).await?;
                let TokenCreated { token, secret } = &answer.read;
                if create.quiet {
                    return Ok(Said { text: format!("{secret}\n"), ..Said::default() });
                }
                Ok(screen.show(&answer.raw, || {
                    let list = table(std::slice::from_ref(token), screen);
                    format!("{list}\nthe token, shown only now:\n{secret}\n")
                }))
            }
            Self::Delete(of) => {
                let answer: Answer<()> = gateway.ask(&Request::delete(&["tokens", &of.name])).await?;
                Ok(screen.show(&answer.raw, || format!("token {} is refused from now on\n", plain(&of.name))))
            }
        }
    }
}

impl Task for Who {
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure> {
        let answer: Answer<Me> = gateway.ask(&Request::get(&["me"])).await?;
        Ok(screen.show(&answer.raw, || format!("{}  {}\n", plain(&answer.read.name), word(answer.read.role))))
    }
}

fn table(tokens: &[TokenReport], screen: &Screen) -> String {
    let columns = [
        Column::Name("NAME"),
        Column::Name("ROLE"),
        Column::Name("BEGINS"),
        Column::Text("MADE"),
        Column::Text("BY"),
        Column::Text("EXPIRES"),
    ];
    let mut table = Table::new(columns);
    for token in tokens {
        table.row([
            token.name.clone(),
            word(token.role).to_owned(),
            token.prefix.clone(),
            when(token.created_ms, screen.now),
            token.created_by.clone(),
            token.expires_ms.map(|at| when(at, screen.now)).unwrap_or_default(),
        ]);
    }
    table.text(screen)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::command::tests_support::{PIPE, StandIn, answer, subcommand};

    fn created() -> TokenCreated {
        let token = TokenReport {
            name: "ci".into(),
            role: Role::Editor,
            prefix: "pma-012345".into(),
            created_ms: PIPE.now.0 - 3 * 60_000,
            created_by: "first".into(),
            expires_ms: Some(PIPE.now.0 + 90 * 60_000),
        };
        TokenCreated { token, secret: "pma-0123456789".into() }
    }

    #[tokio::test]
    async fn a_token_is_made_and_taken_back() {
        let stand_in = StandIn::start(|asked| match asked.line.starts_with("DELETE") {
            true => StatusCode::NO_CONTENT.into_response(),
            false => answer(201, created()),
        })
        .await;
        let run = async |line: &[&str], screen: &Screen| {
            subcommand::<TokenCommand>(line).unwrap().run(&stand_in.gateway(), screen).await.unwrap().text
        };
        let create = ["create", "ci", "--role", "editor", "--expires-in", "90m"];
        assert_eq!(
            run(&create, &PIPE).await,
            "NAME  ROLE    BEGINS      MADE       BY     EXPIRES\nci    editor  pma-012345  3 min ago  first  in 1 h\n\n\
             the token, shown only now:\npma-0123456789\n"
        );
        assert_eq!(stand_in.asked()[0].body, json!({"name": "ci", "role": "editor", "expires_in_s": 5400}));
        assert_eq!(run(&[&create[..], &["--quiet"]].concat(), &PIPE).await, "pma-0123456789\n");
        assert_eq!(run(&["delete", "ci"], &PIPE).await, "token ci is refused from now on\n");
        assert_eq!(run(&["delete", "ci"], &Screen { json: true, ..PIPE }).await, "");
        assert!(subcommand::<TokenCommand>(&["create", "ci"]).is_err(), "a role has to be said");
    }

    #[tokio::test]
    async fn one_can_ask_who_one_is() {
        let stand_in = StandIn::start(|_| answer(200, Me { name: "ci".into(), role: Role::Viewer })).await;
        assert_eq!(Who {}.run(&stand_in.gateway(), &PIPE).await.unwrap().text, "ci  viewer\n");
        assert_eq!(stand_in.lines(), ["GET /admin/v1/me"]);
    }
}
