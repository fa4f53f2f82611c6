//! May this request come in, and may it cost that much? The live state behind the limits
//! of callers and the budgets of everybody.
//!
//! An [`Account`] is a caller's key or a project, or an alias, target or provider with a
//! budget. A request [`enter`]s all accounts it belongs to at once, or is refused by the one
//! that would let it in last; its [`Permit`] gives everything back when it is dropped. Each
//! attempt at the request has what it is expected to cost [`reserve`]d, which becomes what
//! it did cost when its [`Reservation`] is settled.
//!
//! Where there are several replicas, what they share is asked for in time: an account that has
//! [`join`](Account::join)ed them lets in what it holds, and answers [`Wait::Ask`] where that is
//! not enough.
//!
//! Nothing here waits and nothing asks what time it is: the time of a call is handed in.

mod account;
mod allowance;
mod cells;
mod owner;
mod permit;
mod purse;
mod refusal;
mod reservation;
mod share;
mod shared;
mod standing;
#[cfg(test)]
mod tests;

pub use account::Account;
pub use allowance::{SpendAsk, SpendGrant};
pub use owner::{Kind, Owner};
pub use permit::{Permit, enter};
pub use purse::{Exhausted, Purse};
pub use refusal::{Limit, Refusal, Wait};
pub use reservation::{Reservation, reserve, would_refuse};
pub use share::{EntryAsk, EntryGrant, LEASE, Peers, PlacesAsk, PlacesGrant, RateAsk, RateGrant, Waiting};
pub use shared::WaitingSpend;
pub use standing::{BudgetLeft, RateLeft, Standing};
