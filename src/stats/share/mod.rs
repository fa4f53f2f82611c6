//! What does one replica tell the others, and what does it make of what they tell?
//!
//! Pure: bytes out, bytes in. Who carries them is not decided here; they may come late,
//! twice, in any order or never, and nothing is wrong afterwards.
//!
//! | told | when | what | if it is lost |
//! |---|---|---|---|
//! | [`Pulse`] | every second | what was seen of each endpoint that did something: a few observations, ends, usage | the next one has the usage; some evidence is missing |
//! | [`Event`] | at once | blocked until, breaker open until, closed by a probe, a probe begins | each replica finds out by itself |
//! | [`SliceRecord`] | every five seconds | histograms and sums of closed slices, and sums since the start | it is told again; sums since the start are absolute |
//! | [`Knowledge`] | every ten seconds | what is believed of every endpoint that is known | the next one has it |
//!
//! Not told: attempts in flight for the sake of speed, congestion windows, requests that
//! wait, budgets of exploring. They must react faster than a network, and a queue that every
//! replica sees a second late is one that all leave and all come back to.
//!
//! Times are told as ages. Whoever hears adds the time that the message was under way, as far
//! as the transport knows it, and then its own clock: clocks that differ do not matter.
//!
//! [`Speaker`] writes messages and [`Frame`] reads them; [`Peers`] knows who speaks, and hears nobody twice; [`Outbox`]
//! keeps slices until they have arrived; [`Voices`] is what is kept of others at an endpoint.
//! What an endpoint does with what it hears is `endpoint/shared.rs`'s to say.

mod codec;
mod event;
mod frame;
mod knowledge;
mod origin;
mod outbox;
mod peers;
mod pulse;
mod remote;
mod replay;
mod slices;
mod speaker;
mod voice;

pub use event::Event;
pub use frame::{Content, Frame, Kind, LONGEST, Records, Unreadable};
pub use knowledge::{Knowledge, Level, Share};
pub use origin::{EndpointKey, Origin};
pub use outbox::{MOST_WAITING, Outbox};
pub use peers::{FleetReading, GONE, MOST_PEERS, Peers};
pub use pulse::{Ends, MOST_ANSWERS, MOST_PIECES, Pulse, Seen, Spent};
pub use remote::RemoteHistory;
pub use slices::SliceRecord;
pub use speaker::Speaker;
pub use voice::{Others, Voices};

#[cfg(test)]
mod tests;
