//! The commands that ask a running gateway: all that its admin API can do, from a shell.
//!
//! Every command is a struct of arguments. Those that become one question make a
//! [`request::Request`] of themselves, which is plain data; the one [`client`] asks it; and a
//! function of the answer alone tells it, as a [`table`] or as the file would have it. How a
//! command ends is a number in [`exit`].

pub mod alias;
pub mod apply;
pub mod change;
pub mod classify;
pub mod client;
pub mod completions;
pub mod decisions;
pub mod document;
pub mod exit;
pub mod explain;
pub mod export;
pub mod failure;
pub mod fields;
pub mod history;
pub mod key;
pub mod limits;
pub mod listing;
pub mod logging;
pub mod master_key;
pub mod model;
pub mod project;
pub mod provider;
pub mod replicas;
pub mod request;
pub mod screen;
pub mod standing;
pub mod statistics;
pub mod table;
#[cfg(test)]
mod tests_support;
pub mod token;
pub mod usage;
pub mod watch;
pub mod words;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::client::{Gateway, Reach};
use self::failure::Failure;
use self::screen::{Said, Screen, end};

/// A command that asks a gateway.
trait Task {
    /// Asks, and says what came of it.
    async fn run(self, gateway: &Gateway, screen: &Screen) -> Result<Said, Failure>;
}

/// Something that several things can be done with.
#[derive(Debug, Args)]
pub struct Noun<C: Subcommand> {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    command: C,
}

/// Something that is done.
#[derive(Debug, Args)]
pub struct Verb<A: Args> {
    #[command(flatten)]
    args: A,
    #[command(flatten)]
    reach: Reach,
}

async fn run(task: impl Task, reach: &Reach) -> ExitCode {
    let screen = Screen::of_this_process(reach.json);
    let said = match Gateway::new(reach) {
        Ok(gateway) => task.run(&gateway, &screen).await,
        Err(failure) => Err(failure),
    };
    end(said)
}

/// What can be asked of a running gateway.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Aliases: what callers name, and how it becomes a model.
    Alias(Noun<alias::AliasCommand>),
    /// Providers: where requests may go.
    Provider(Noun<provider::ProviderCommand>),
    /// Models: what the catalogue knows, changes to it, prices.
    Model(Noun<model::ModelCommand>),
    /// Projects: keys that share limits and budgets.
    Project(Noun<project::ProjectCommand>),
    /// Keys of callers.
    Key(Noun<key::KeyCommand>),
    /// Admin tokens.
    Token(Noun<token::TokenCommand>),
    /// What was used and spent.
    Usage(Verb<usage::Usage>),
    /// What the configuration was, and going back to it.
    History(Noun<history::HistoryCommand>),
    /// Who did what, and what was refused.
    Audit(Verb<history::Audit>),
    /// Change the configuration as a file says, and show the difference.
    Apply(Verb<apply::Apply>),
    /// Print the configuration as a file.
    Export(Verb<export::Export>),
    /// What has happened lately at each target.
    Statistics(Verb<statistics::Statistics>),
    /// The latest decisions, and what came of them.
    Decisions(Verb<decisions::Decisions>),
    /// Ask where a request would go now, and why; exit 1 if nowhere.
    Explain(Verb<explain::command::Explain>),
    /// Who shares what this gateway serves, and whether all serve the same.
    Replicas(Verb<replicas::Replicas>),
    /// What a gateway logs; with options, what it logs from now on.
    Logging(Verb<logging::Logging>),
    /// Print changes and targets that come and go, as it happens.
    Watch(Verb<watch::Watch>),
    /// Whose token this is, and what it allows.
    Me(Verb<token::Who>),
    /// Seal the keys of providers anew, with the newest master key.
    Reseal(Verb<master_key::Reseal>),
    /// Judge prompts as the classifier would; asks no gateway.
    Classify(classify::Classify),
    /// Print a new master key; asks no gateway.
    MasterKey,
}

impl AdminCommand {
    /// Runs the command to its end.
    pub async fn run(self) -> ExitCode {
        match self {
            Self::Alias(of) => run(of.command, &of.reach).await,
            Self::Provider(of) => run(of.command, &of.reach).await,
            Self::Model(of) => run(of.command, &of.reach).await,
            Self::Project(of) => run(of.command, &of.reach).await,
            Self::Key(of) => run(of.command, &of.reach).await,
            Self::Token(of) => run(of.command, &of.reach).await,
            Self::Usage(of) => run(of.args, &of.reach).await,
            Self::History(of) => run(of.command, &of.reach).await,
            Self::Audit(of) => run(of.args, &of.reach).await,
            Self::Apply(of) => run(of.args, &of.reach).await,
            Self::Export(of) => run(of.args, &of.reach).await,
            Self::Statistics(of) => run(of.args, &of.reach).await,
            Self::Decisions(of) => run(of.args, &of.reach).await,
            Self::Explain(of) => run(of.args, &of.reach).await,
            Self::Replicas(of) => run(of.args, &of.reach).await,
            Self::Logging(of) => run(of.args, &of.reach).await,
            Self::Watch(of) => run(of.args, &of.reach).await,
            Self::Me(of) => run(of.args, &of.reach).await,
            Self::Reseal(of) => run(of.args, &of.reach).await,
            Self::Classify(classify) => end(Ok(classify.run())),
            Self::MasterKey => end(Ok(master_key::made())),
        }
    }
}
