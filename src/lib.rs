//! Pointsman: a routing engine and proxy for language models.
//!
//! A caller asks for a virtual model, an *alias*; Pointsman chooses a real one, carries
//! the answer back and learns from it: **attempt → outcome → health → plan → attempt**.
//!
//! | room | what it is | may use |
//! |---|---|---|
//! | [`domain`] | the words: providers, models, endpoints, aliases, failures, money | nothing |
//! | [`wire`] | the protocols as pure functions: three dialects in, three protocols out | `domain` |
//! | [`health`] | breakers, blocks and budgets as state machines | `domain` |
//! | [`limits`] | what accounts have used of their limits and budgets | `domain` |
//! | [`secrets`] | seals the keys of providers at rest | `domain` |
//! | [`stats`] | what is known of endpoints and aliases, in bounded memory | `domain`, `health` |
//! | [`routing`] | orders the endpoints of an alias, decides what follows a failure | `domain`, `health`, `stats` |
//! | [`catalogue`] | the models and providers that are built in | `domain` |
//! | [`classifier`] | what a prompt asks for: embedded weights, two tiers, the operator's own categories | `domain` |
//! | [`config`] | the configuration file, parsed into proof | `domain`, `catalogue` |
//! | [`import`] | configurations of other gateways, translated into ours | `domain`, `catalogue`, `config` |
//! | [`clock`] | the only place that asks what time it is | `domain` |
//! | [`telemetry`] | what operators see: metrics, logs, traces | `domain` |
//! | [`transport`] | connections to providers, bodies within limits | `domain` |
//! | [`live`] | the state that requests share, swapped whole | the above but `wire`, `secrets` |
//! | [`upstream`] | one call to a provider | the above |
//! | [`store`] | what outlives the process, in one file | `config`, `domain` |
//! | [`fleet`] | the way to the Redis that replicas share, and what is in it | `live`, `store` and below |
//! | [`proxy`] | the data plane | the above but `secrets`, `store` |
//! | [`control`] | the only writer: checks a change, keeps it, serves it | `live`, `store`, `fleet`, `secrets` and below |
//! | [`api`] | what the admin listener and its clients say to each other | nothing |
//! | [`dashboard`] | its pages, and who is logged in at them | `domain` |
//! | [`admin`] | the admin listener | the above |
//! | [`command`] | the commands that ask a running gateway | `api`, `classifier`, `clock`, `config`, `domain`, `secrets` |
//! | [`simulate`] | simulated providers | `domain` |
//! | `training` | makes the weights of `classifier`; only with the feature of that name | `classifier`, `clock`, `domain` |
//! | [`demo`], [`app`], [`cli`] | put it all together | everything |
//!
//! `domain`, `wire`, `health`, `limits`, `secrets`, `stats`, `routing`, `classifier` and `import` (but for its
//! command) do no I/O, read no clock and draw no random number that was not handed to them. A
//! test (`tests/it/tidy.rs`) holds these arrows.
#![forbid(unsafe_code)]

pub mod admin;
pub mod api;
pub mod app;
pub mod catalogue;
pub mod classifier;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod control;
pub mod dashboard;
pub mod demo;
pub mod domain;
pub mod fleet;
pub mod health;
pub mod import;
pub mod limits;
pub mod live;
pub mod proxy;
pub mod routing;
pub mod secrets;
pub mod simulate;
pub mod stats;
pub mod store;
pub mod telemetry;
// Its tests are run with all others.
#[cfg(any(test, feature = "training"))]
pub mod training;
pub mod transport;
pub mod upstream;
pub mod wire;
