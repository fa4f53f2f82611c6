//! What is where in Redis? Every key, spelled in one place.
//!
//! All begin with a prefix, so that a Redis can be shared with others, and have a part in
//! braces, by which a cluster decides on which node they are: what a script touches at once
//! has to be on one. There are five such groups: what is configured, what replicas tell each
//! other, what each has measured, what accounts share, and usage.
//!
//! Names of people's things are written with everything escaped that could be taken for
//! something else, so no name leads to another's key.

use std::fmt::Write as _;

use crate::store::Table;

/// The keys of one fleet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keys {
    prefix: String,
}

/// What is configured: one group, `{prefix}:…`. None of it expires.
impl Keys {
    /// The keys of the fleet that has this prefix.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    fn configured(&self, what: &str) -> String {
        format!("{{{}}}:{what}", self.prefix)
    }

    /// Where the journal stands. A hash: number and tip of the last step, the latest revision,
    /// the form of what is written, the number of the last line of the audit log; written with
    /// every step, by a script.
    pub fn head(&self) -> String {
        self.configured("head")
    }

    /// The steps. A hash: number → JSON; the oldest are taken out when there are too many.
    pub fn journal(&self) -> String {
        self.configured("journal")
    }

    /// What the steps come to, table by table: documents, callers' keys as digests, admin
    /// tokens as digests, sealed secrets, and what the configuration file said last. A hash:
    /// name → text; written with every step that changes it.
    pub fn table(&self, table: Table) -> String {
        self.configured(table.as_str())
    }

    /// A table that is on its way, before it takes its place; expires if it never does.
    pub fn incoming(&self, table: &str, from: &str) -> String {
        self.configured(&format!("incoming:{}:{table}", escaped(from)))
    }

    /// The audit log. A stream, cut to a length; the number of a line is the first part of its
    /// id.
    pub fn audit(&self) -> String {
        self.configured("audit")
    }

    /// Up to which line of its own each replica's audit log has been taken in. A hash: ledger →
    /// number.
    pub fn audit_taken(&self) -> String {
        self.configured("audit-taken")
    }

    /// The replicas that live, and what they say of themselves. A hash: id → JSON; each writes
    /// itself about once a second, and takes out those whose time is over.
    pub fn replicas(&self) -> String {
        self.configured("replicas")
    }

    /// Until when each replica counts as alive. A sorted set: id by milliseconds of Redis's
    /// clock; written with [`Keys::replicas`].
    pub fn replicas_until(&self) -> String {
        self.configured("replicas-until")
    }

    /// The channel on which a step is told: its number, tip and, unless it is long, text.
    pub fn changed(&self) -> String {
        self.configured("changed")
    }

    /// A lease on something that only one replica does at a time. A text, who has it; expires
    /// with the lease.
    pub fn lease(&self, what: &str) -> String {
        self.configured(&format!("lease:{}", escaped(what)))
    }
}

/// What replicas tell each other, `{prefix:told}:…`.
impl Keys {
    fn of_telling(&self, what: &str) -> String {
        format!("{{{}:told}}:{what}", self.prefix)
    }

    /// The channel on which replicas tell what they see, in messages of `stats::share`.
    pub fn told(&self) -> String {
        self.of_telling("now")
    }

    /// What each replica believes of endpoints. A hash: replica → messages; written by each
    /// every ten seconds, and taken out an hour later.
    pub fn knowledge(&self) -> String {
        self.of_telling("knowledge")
    }

    /// When each replica wrote that. A sorted set: replica by milliseconds of Redis's clock;
    /// written with [`Keys::knowledge`].
    pub fn knowledge_at(&self) -> String {
        self.of_telling("knowledge-at")
    }
}

/// What each replica has measured: a group for each, `{prefix:replica:…}:…`, so that the nodes
/// of a cluster share it out.
impl Keys {
    /// Messages with slices. A stream, cut to a quarter of an hour; expires with its last
    /// entry.
    pub fn slices(&self, replica: &str) -> String {
        format!("{{{}:replica:{}}}:slices", self.prefix, escaped(replica))
    }
}

/// What accounts share: a group for each account, `{prefix:account:kind:name}:…`.
impl Keys {
    fn of_account(&self, kind: &str, name: &str, what: &str) -> String {
        format!("{{{}:account:{}:{}}}:{what}", self.prefix, escaped(kind), escaped(name))
    }

    /// How many of its places each replica holds. A hash: replica → places, until when; expires
    /// with the last lease.
    pub fn account_leases(&self, kind: &str, name: &str) -> String {
        self.of_account(kind, name, "leases")
    }

    /// What is left of its rates. A hash: rate → when it is full again, when it was last found
    /// full, how often it has changed; expires a little after it would be full.
    pub fn account_rates(&self, kind: &str, name: &str) -> String {
        self.of_account(kind, name, "rates")
    }

    /// What it has spent of its budgets. A hash: ledger → start and amount of day, week and
    /// month, what is held beside that, until when; expires after more than the longest period.
    pub fn account_spent(&self, kind: &str, name: &str) -> String {
        self.of_account(kind, name, "spent")
    }
}

/// Usage: one group, `{prefix:usage}:…`, so that a batch is counted in one step.
impl Keys {
    fn of_usage(&self, what: &str) -> String {
        format!("{{{}:usage}}:{what}", self.prefix)
    }

    /// The usage of a day, counted from the epoch. A hash: project, key, alias, target and field
    /// → sum; expires when usage is too old to be kept.
    pub fn usage(&self, day: u64) -> String {
        self.of_usage(&format!("day:{day}"))
    }

    /// Up to which batch each replica's usage is counted. A hash: replica → sequence number.
    pub fn usage_counted(&self) -> String {
        self.of_usage("counted")
    }
}

/// A name with everything as `%` and two digits that is not a letter, a digit or one of a few
/// signs.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_./@~+".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // A String takes everything.
            let _ = write!(text, "%{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::fleet::slot_of;

    fn of_config(keys: &Keys, name: &str) -> Vec<String> {
        vec![
            keys.head(),
            keys.journal(),
            keys.table(Table::Documents),
            keys.table(Table::Keys),
            keys.table(Table::Tokens),
            keys.table(Table::Secrets),
            keys.table(Table::Source),
            keys.audit_taken(),
            keys.incoming("keys", name),
            keys.audit(),
            keys.replicas(),
            keys.replicas_until(),
            keys.changed(),
            keys.lease(name),
        ]
    }

    /// Each method's key for a name, by the method and what it was asked with.
    fn all(keys: &Keys, name: &str, other: &str) -> Vec<(String, String)> {
        let named = |what: &str, key: String| (format!("{what}({name:?})"), key);
        let pair = |what: &str, key: String| (format!("{what}({name:?}, {other:?})"), key);
        let config = of_config(keys, name).into_iter().enumerate();
        config
            .map(|(i, key)| {
                if key.contains(":lease:") || key.contains(":incoming:") {
                    named("config", key.clone())
                } else {
                    (format!("config {i}"), key)
                }
            })
            .chain([
                ("told".to_owned(), keys.told()),
                ("knowledge".to_owned(), keys.knowledge()),
                ("knowledge_at".to_owned(), keys.knowledge_at()),
                named("slices", keys.slices(name)),
                pair("account_leases", keys.account_leases(name, other)),
                pair("account_rates", keys.account_rates(name, other)),
                pair("account_spent", keys.account_spent(name, other)),
                ("usage 1".to_owned(), keys.usage(1)),
                ("usage_counted".to_owned(), keys.usage_counted()),
            ])
            .collect()
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[a:{}%/]{0,6}", "(day|lease|usage|account|replica)[:}]{0,2}.{0,3}"]
    }

    proptest! {
        #[test]
        fn no_two_questions_have_the_same_key(names in prop::collection::vec((name(), name()), 1..6)) {
            let keys = Keys::new("pointsman");
            let mut seen: HashMap<String, String> = HashMap::new();
            for (name, other) in &names {
                for (what, key) in all(&keys, name, other) {
                    prop_assert!(key.starts_with("{pointsman"), "{key}");
                    let before = seen.entry(key.clone()).or_insert_with(|| what.clone());
                    prop_assert_eq!(&*before, &what, "both have {}", key);
                }
            }
        }

        #[test]
        fn names_cannot_break_out(name in name(), other in name()) {
            let keys = Keys::new("p");
            for (_, key) in all(&keys, &name, &other) {
                prop_assert_eq!(key.matches('{').count(), 1, "{}", key);
                prop_assert_eq!(key.matches('}').count(), 1, "{}", key);
                prop_assert!(key.bytes().all(|byte| byte.is_ascii_graphic()), "{}", key);
            }
        }

        #[test]
        fn what_is_configured_lives_together(prefix in "[a-z:/.]{1,9}", name in name()) {
            let keys = Keys::new(&prefix);
            let slots: Vec<u16> = of_config(&keys, &name).iter().map(|key| slot_of(key.as_bytes())).collect();
            prop_assert!(slots.iter().all(|slot| *slot == slots[0]));
            let of_account = [keys.account_leases("key", &name), keys.account_rates("key", &name)];
            prop_assert_eq!(slot_of(of_account[0].as_bytes()), slot_of(of_account[1].as_bytes()));
            prop_assert_eq!(slot_of(keys.knowledge().as_bytes()), slot_of(keys.knowledge_at().as_bytes()));
            prop_assert_eq!(slot_of(keys.usage(1).as_bytes()), slot_of(keys.usage_counted().as_bytes()));
        }
    }

    #[test]
    fn every_key_is_documented() {
        let document = include_str!("../../docs/redis.md");
        let keys = Keys::new("pointsman");
        let mut all = of_config(&keys, "WHAT");
        all.retain(|key| !key.contains(":incoming:"));
        all.push(keys.incoming("WHAT", "REPLICA"));
        all.extend([keys.told(), keys.knowledge(), keys.knowledge_at(), keys.slices("REPLICA")]);
        all.extend([keys.account_leases("KIND", "NAME"), keys.account_rates("KIND", "NAME")]);
        all.extend([keys.account_spent("KIND", "NAME"), keys.usage(20_000), keys.usage_counted()]);
        for key in &all {
            assert!(document.contains(&format!("| `{key}` |")), "docs/redis.md does not say what {key} is");
        }
        assert_eq!(document.matches("\n| `{pointsman").count(), all.len(), "docs/redis.md has a key that is none");
    }

    #[test]
    fn fleets_with_other_prefixes_have_other_keys() {
        let [one, two] = ["a", "a:replica"].map(Keys::new);
        assert_ne!(one.slices("x"), two.slices("x"));
        assert_eq!(one.table(Table::Documents), "{a}:documents");
        assert_eq!(one.account_spent("key", "team one"), "{a:account:key:team%20one}:spent");
    }
}
