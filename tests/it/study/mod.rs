//! Does the routing choose well? A world of endpoints in virtual time, in which only the
//! network is simulated.
//!
//! A discrete event simulation: seeded, without tokio, thousands of requests in
//! milliseconds. [`scenario`] says what a world is like, from a file; [`traffic`] which
//! requests come; [`world`] is the endpoints as they truly are; [`engine`] walks every
//! request through a plan as the proxy does; [`router`] is what may order the endpoints:
//! the real strategies ([`ours`]), five usual balancers ([`baselines`]), and one that knows
//! the truth ([`oracle`]). Replicas tell each other what they learn as [`sharing`] says.
//! [`measure`] says how well it went, relative to the oracle.
//!
//! The luck of a request at an endpoint is the same whoever routes it, so that two routers
//! can be compared with few seeds. Everything that a router learns goes through the same
//! calls as in the proxy.

pub mod baselines;
pub mod beliefs;
pub mod engine;
pub mod fleet;
pub mod fresh;
pub mod luck;
pub mod measure;
pub mod oracle;
pub mod ours;
pub mod parallel;
pub mod replicas;
pub mod router;
pub mod scenario;
pub mod sharing;
pub mod table;
pub mod traffic;
pub mod world;
