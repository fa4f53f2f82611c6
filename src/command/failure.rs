//! Why did a command come to nothing, and what can be done? Every way in which asking a
//! gateway fails, in words for people and as a number for scripts. None repeats a token.

use std::fmt;
use std::path::PathBuf;

use super::exit::Exit;
use super::words::{plain, plain_lines};
use crate::api::error::{ErrorBody, ProblemReport};
use crate::config::{Problem, Problems};

/// The variable with an admin token.
pub const TOKEN_VARIABLE: &str = "POINTSMAN_ADMIN_TOKEN";

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The address is none.
    #[error("--admin {given:?} is not an address; expected one such as http://127.0.0.1:8081")]
    Address {
        /// What was given.
        given: String,
    },
    /// There is no client for HTTP.
    #[error("this machine cannot make HTTP connections: {0}")]
    Client(reqwest::Error),
    /// Nobody answers.
    #[error(
        "no gateway answers at {address}: {reason}\n\
         start one with `pointsman serve` or `pointsman demo`, or name its admin listener with --admin"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// The innermost cause.
        reason: String,
    },
    /// Somebody else answers.
    #[error(
        "{address} is answered by something else than an admin listener ({found}); --admin takes the address in server.admin_listen"
    )]
    NotAdmin {
        /// Where.
        address: String,
        /// What gave it away.
        found: String,
    },
    /// The token that is to be shown cannot be had.
    #[error("{0}")]
    Token(String),
    /// The gateway answers that it will not.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// There is no such thing.
    #[error("{0}")]
    NoSuchThing(String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Arguments(String),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file is wrong.
    #[error("{0}")]
    Wrong(Problems),
}

impl Failure {
    /// The number it ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Address { .. }
            | Self::Client(_)
            | Self::Unreachable { .. }
            | Self::NotAdmin { .. }
            | Self::Arguments(_)
            | Self::File { .. } => Exit::NotAsked,
            Self::Token(_) => Exit::NoToken,
            Self::NoSuchThing(_) => Exit::NoSuchThing,
            Self::Wrong(_) => Exit::Refused,
            Self::Refused(refusal) => refusal.exit(),
        }
    }

    /// Whether the gateway says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 404)
    }
}

/// What was shown to the gateway to be let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// The token in the variable.
    Variable,
    /// The token in a file.
    File,
}

/// An answer of the gateway that it will not.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What it says.
    pub body: ErrorBody,
    /// What it was shown.
    pub shown: Shown,
    /// The problems with their places, where somebody has found them in a file.
    pub placed: Option<Problems>,
}

impl Refusal {
    fn exit(&self) -> Exit {
        match self.status {
            401 => Exit::NoToken,
            404 => Exit::NoSuchThing,
            412 if self.is_of_nothing() => Exit::NoSuchThing,
            412 => Exit::Conflict,
            500.. => Exit::GatewayFailed,
            _ => Exit::Refused,
        }
    }

    /// Whether what was to be changed is not there, which no revision says.
    fn is_of_nothing(&self) -> bool {
        self.body.revision == Some(0)
    }

    /// Its problems, as they would be told of a file.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        self.body.problems.iter().map(problem)
    }
}

/// A problem of which nobody knows where it stands in a text.
pub fn problem(of: &ProblemReport) -> Problem {
    Problem {
        path: plain(&of.path),
        place: None,
        message: plain(&of.message),
        expected: of.expected.as_deref().map(plain),
        suggestions: of.suggestions.iter().map(|name| plain(name)).collect(),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = plain_lines(&self.body.message);
        let message = message.trim_end();
        match (self.status, self.shown) {
            (401, Shown::Nothing) => write!(
                f,
                "the gateway wants an admin token: set {TOKEN_VARIABLE} to one, or name a file that holds one with \
                 --token-file\n`pointsman serve` shows the first when it starts with a new store; \
                 `pointsman token create` makes others"
            ),
            (401, shown) => {
                let source = if shown == Shown::Variable { TOKEN_VARIABLE } else { "the token file" };
                write!(
                    f,
                    "the gateway does not know the token in {source}, or it has expired or was deleted\n\
                     `pointsman serve` shows the first when it starts with a new store; \
                     `pointsman token create` makes others"
                )
            }
            (412, _) if self.is_of_nothing() => f.write_str("there is no such thing to be changed"),
            (412, _) => self.tell_conflict(message, f),
            (422, _) if self.placed.is_some() || !self.body.problems.is_empty() => self.tell_problems(f),
            (500.., _) => write!(f, "the gateway failed: {message}"),
            _ => write!(f, "{message}{}", did_you_mean(&self.body.nearest)),
        }
    }
}

impl Refusal {
    fn tell_conflict(&self, message: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(message)?;
        match self.body.revision {
            Some(now) if !message.contains(&now.to_string()) => {
                write!(f, "\nits revision is {now} now; look at it again and repeat the change")
            }
            _ => Ok(()),
        }
    }

    fn tell_problems(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing has changed, since it would not fit:")?;
        if let Some(placed) = &self.placed {
            return write!(f, "\n{placed}");
        }
        self.problems().try_for_each(|problem| write!(f, "\n{problem}"))
    }
}

/// The end of a message about a name that nobody has.
pub fn did_you_mean(nearest: &[String]) -> String {
    let nearest: Vec<String> = nearest.iter().map(|name| plain(name)).collect();
    if nearest.is_empty() { String::new() } else { format!("; did you mean {}?", nearest.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: ErrorBody) -> Failure {
        Failure::Refused(Box::new(Refusal { status, body, shown: Shown::Nothing, placed: None }))
    }

    fn said(message: &str) -> ErrorBody {
        ErrorBody { message: message.into(), ..ErrorBody::default() }
    }

    #[test]
    fn every_status_has_its_number() {
        for (status, exit) in [
            (400, Exit::Refused),
            (401, Exit::NoToken),
            (403, Exit::Refused),
            (404, Exit::NoSuchThing),
            (409, Exit::Refused),
            (412, Exit::Conflict),
            (422, Exit::Refused),
            (428, Exit::Refused),
            (500, Exit::GatewayFailed),
            (503, Exit::GatewayFailed),
        ] {
            assert_eq!(refusal(status, said("no")).exit(), exit, "{status}");
        }
        assert_eq!(Failure::Token(String::new()).exit(), Exit::NoToken);
        assert_eq!(Failure::Arguments(String::new()).exit(), Exit::NotAsked);
    }

    #[test]
    fn a_missing_token_is_told_with_where_one_comes_from() {
        let text = refusal(401, said("no")).to_string();
        assert!(text.contains(TOKEN_VARIABLE) && text.contains("--token-file") && text.contains("serve"), "{text}");
        let unknown = Refusal { status: 401, body: said("no"), shown: Shown::Variable, placed: None };
        let text = unknown.to_string();
        assert!(text.contains("does not know the token in POINTSMAN_ADMIN_TOKEN"), "{text}");
    }

    #[test]
    fn a_conflict_says_the_revision_once() {
        let body = ErrorBody { revision: Some(13), ..said("alias \"x\" was changed in the meantime, by revision 13") };
        let text = refusal(412, body).to_string();
        assert_eq!(text.matches("13").count(), 1, "{text}");
        let text = refusal(412, ErrorBody { revision: Some(13), ..said("it was changed") }).to_string();
        assert_eq!(text, "it was changed\nits revision is 13 now; look at it again and repeat the change");
        let gone = refusal(412, ErrorBody { revision: Some(0), ..said("it was changed") });
        assert_eq!(gone.exit(), Exit::NoSuchThing);
    }

    #[test]
    fn problems_are_lines_and_names_are_suggested() {
        let problem = ProblemReport {
            path: "aliases.x.strategy".into(),
            message: "\"priorty\" is unknown".into(),
            suggestions: vec!["priority".into()],
            ..ProblemReport::default()
        };
        let text = refusal(422, ErrorBody { problems: vec![problem], ..said("…") }).to_string();
        assert!(text.ends_with("\naliases.x.strategy: \"priorty\" is unknown; did you mean \"priority\"?"), "{text}");
        let text =
            refusal(404, ErrorBody { nearest: vec!["y".into(), "z".into()], ..said("there is no x") }).to_string();
        assert_eq!(text, "there is no x; did you mean y, z?");
        assert_eq!(refusal(400, said("a\u{1b}b")).to_string(), "a\u{fffd}b");
    }
}
