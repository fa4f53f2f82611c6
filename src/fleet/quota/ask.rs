//! One question to Redis about one account, and its answer: an [`EntryAsk`] or a [`SpendAsk`]
//! as a call of a script.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::money::PicoUsd;
use crate::domain::period::Period;
use crate::fleet::error::LinkError;
use crate::fleet::keys::Keys;
use crate::fleet::link::Link;
use crate::fleet::script::Script;
use crate::limits::{EntryAsk, EntryGrant, LEASE, Owner, PlacesGrant, RateGrant, SpendAsk, SpendGrant};

static ENTER: Script = Script::new(include_str!("../lua/quota_enter.lua"));
static SPEND: Script = Script::new(include_str!("../lua/quota_spend.lua"));

/// What was spent is known for so long after it was told last: longer than any period.
const SPENT_KEPT: Duration = Duration::from_secs(35 * 86_400);

/// Of what is free and nobody waits for, all replicas together may be given one part in so many
/// ahead.
const PARTS: u32 = 4;

/// Who asks: this replica for places, which end with the process, and its ledger for money,
/// which does not.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) link: Link,
    keys: Keys,
    replica: Arc<str>,
    ledger: Arc<str>,
}

impl Asker {
    pub(super) fn new(link: &Link, keys: Keys, replica: &str, ledger: &str) -> Self {
        Self { link: link.clone(), keys, replica: replica.into(), ledger: ledger.into() }
    }

    /// The same, who waits no longer than that.
    pub(super) fn within(&self, limit: Duration) -> Self {
        Self { link: self.link.within(limit), ..self.clone() }
    }

    pub(super) async fn enter(&self, owner: &Owner, ask: &EntryAsk, peers: u32) -> Result<EntryGrant, LinkError> {
        let (kind, name) = (owner.kind.as_str(), &*owner.name);
        let (rates, leases) = (self.keys.account_rates(kind, name), self.keys.account_leases(kind, name));
        let places = &ask.places;
        let mut call = ENTER.on(&[&rates, &leases]).arg(&*self.replica).arg(ms(LEASE)).arg(PARTS * peers);
        call = call.arg(places.max.map_or(-1, i64::from)).arg(places.held).arg(places.need).arg(places.wanted);
        for rate in [&ask.requests, &ask.tokens] {
            call = call.arg(rate.limit).arg(rate.back).arg(us(rate.back_age));
            call = call.arg(rate.charge).arg(rate.charge_in_all);
            call = call.arg(rate.need).arg(rate.wanted).arg(rate.ahead);
            call = call.arg(rate.full_in_us).arg(rate.made).arg(rate.seq);
            call = call.arg(rate.taken_us.map_or_else(String::new, |taken| taken.to_string()));
        }
        let [held, others, requests @ .., granted, owed, made, seq, taken]: [i64; 12] = self.link.eval(&call).await?;
        let small = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(EntryGrant {
            requests: rate_grant(requests),
            tokens: rate_grant([granted, owed, made, seq, taken]),
            places: PlacesGrant { held: small(held), others: small(others) },
        })
    }

    pub(super) async fn spend(&self, owner: &Owner, ask: &SpendAsk, peers: u32) -> Result<SpendGrant, LinkError> {
        let key = self.keys.account_spent(owner.kind.as_str(), &owner.name);
        let mut call = SPEND.on(&[&key]).arg(&*self.ledger).arg(ms(LEASE)).arg(PARTS * peers);
        call = call.arg(ask.held.0).arg(ask.need.0).arg(ask.wanted.0).arg(ask.ahead.0).arg(ms(SPENT_KEPT));
        for period in Period::ALL {
            let (window, budget) = (ask.spent.window(period), ask.budgets.get(period));
            let budget = budget.map_or_else(|| "-1".to_owned(), |amount| amount.0.to_string());
            call = call.arg(window.start.0).arg(window.spent.0).arg(budget);
        }
        let [held, day, week, month, others_held]: [u64; 5] = self.link.eval(&call).await?;
        Ok(SpendGrant {
            held: PicoUsd(held),
            others: [day, week, month].map(PicoUsd),
            others_held: PicoUsd(others_held),
        })
    }
}

fn rate_grant([granted, owed_us, made, seq, taken_us]: [i64; 5]) -> RateGrant {
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    RateGrant { granted: whole(granted), owed_us: whole(owed_us), made: whole(made), seq: whole(seq), taken_us }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
