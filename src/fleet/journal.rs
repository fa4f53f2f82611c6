//! In which order do replicas change what they share? In that of one journal in Redis: a step
//! is put at its end only by somebody who knows all before it.
//!
//! Beside the steps Redis has what they come to, table by table, for whoever is too far behind
//! or new. Steps say what things become, so a table that was read while steps were made is
//! right once those steps are made on it as well.

use std::collections::HashMap;
use std::time::Duration;

use redis::{cmd, pipe};

use super::error::LinkError;
use super::keys::Keys;
use super::link::{Link, Signal, Subscription};
use super::script::{Script, release_lease, take_lease};
use crate::store::record::AuditRecord;
use crate::store::{Entry, Position, Row, RowEdit, Step, Table, Tip};

static APPEND: Script = Script::new(include_str!("lua/journal_append.lua"));
static BEGIN: Script = Script::new(include_str!("lua/journal_begin.lua"));
static TAKE_AUDIT: Script = Script::new(include_str!("lua/audit_take.lua"));

/// The form of what is written; a version does not follow what a later one writes.
const FORM: u64 = 1;

/// Longer texts are not told on the channel; whoever needs one reads it.
const LONGEST_TOLD: usize = 64 << 10;

/// So many rows, steps or lines go in one command.
const BATCH: usize = 500;

/// What is asked for once, and may be long, has this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is brought and never takes its place is gone after this.
const INCOMING_LIVES: Duration = Duration::from_secs(120);

/// One replica makes a step at a time; who dies over it holds the others up for no longer.
const TURN: Duration = Duration::from_secs(10);

/// So many lines of the audit log are kept.
const AUDIT_LINES: usize = 100_000;

/// Why the journal cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JournalError {
    /// Redis.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A later version writes it.
    #[error("a later version of pointsman writes it: its form is {found}, this version knows up to {FORM}")]
    TooNew {
        /// Its form.
        found: u64,
    },
    /// It does not read as one.
    #[error("what Redis has is no journal: {0}")]
    Malformed(String),
}

/// Where the journal stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its last step.
    pub at: Position,
    /// The latest revision.
    pub revision: u64,
    /// When somebody began it with what they had, in milliseconds of Redis's clock, because it
    /// was not there any more; 0 if that never happened.
    pub begun_ms: u64,
}

/// What was told on the channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// There is something new, or may be.
    Look,
    /// A step.
    Step(Step),
}

/// The journal of a fleet. A clone is the same.
#[derive(Clone, Debug)]
pub struct Journal {
    link: Link,
    keys: Keys,
}

impl Journal {
    /// The journal behind a link.
    pub fn new(link: &Link, keys: Keys) -> Self {
        Self { link: link.within(PATIENCE), keys }
    }

    /// Where it stands; `None` if there is none.
    ///
    /// # Errors
    /// If Redis does not answer, or it is a later version's.
    pub async fn head(&self) -> Result<Option<Head>, JournalError> {
        let mut ask = cmd("HMGET");
        ask.arg(self.keys.head()).arg(&["number", "tip", "revision", "form", "begun"]);
        type Fields = (Option<u64>, Option<String>, Option<u64>, Option<u64>, Option<u64>);
        let (number, tip, revision, form, begun): Fields = self.link.call(&ask).await?;
        if let Some(found) = form.filter(|form| *form > FORM) {
            return Err(JournalError::TooNew { found });
        }
        let at = number.zip(tip).map(|(number, tip)| Position { number, tip: Tip(tip) });
        let (revision, begun_ms) = (revision.unwrap_or_default(), begun.unwrap_or_default());
        Ok(at.map(|at| Head { at, revision, begun_ms }))
    }

    /// The steps after one, up to and with another; `None` where one is not kept any more.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn steps(&self, after: u64, to: u64) -> Result<Vec<Option<Step>>, JournalError> {
        let mut steps = Vec::new();
        let mut next = after + 1;
        while next <= to {
            let numbers: Vec<u64> = (next..=to.min(next + BATCH as u64 - 1)).collect();
            next += numbers.len() as u64;
            let mut ask = cmd("HMGET");
            ask.arg(self.keys.journal()).arg(&numbers);
            let texts: Vec<Option<String>> = self.link.call(&ask).await?;
            steps.extend(numbers.into_iter().zip(texts).map(|(number, text)| stored(number, &text?)));
        }
        Ok(steps)
    }

    /// Puts a step at the end, and tells it. Returns whether it is there; it is not if the
    /// journal stands elsewhere than at `after`. Asked twice it does the same.
    ///
    /// # Errors
    /// If Redis does not answer; then it may be there all the same.
    pub async fn append(&self, after: &Tip, step: &Step, entry: &Entry, keep: u64) -> Result<bool, JournalError> {
        let keys = &self.keys;
        let tables = Table::ALL.map(|table| keys.table(table));
        let mut names = vec![keys.head(), keys.journal(), keys.audit()];
        names.extend(tables);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let revision = entry.revision.as_ref().map(|revision| revision.number.to_string()).unwrap_or_default();
        let audit = entry.audit.as_ref().map(line).unwrap_or_default();
        let mut call = APPEND.on(&names);
        call = call.arg(&after.0).arg(&step.at.tip.0).arg(step.at.number).arg(to_store(step)).arg(keep);
        call = call.arg(keys.changed()).arg(told(step)).arg(revision).arg(FORM).arg(audit).arg(AUDIT_LINES);
        for edit in entry.row_edits() {
            call = match edit {
                RowEdit::Put(Row { table, name, text }) => call.arg(index(table)).arg("put").arg(name).arg(text),
                RowEdit::Remove(table, name) => call.arg(index(table)).arg("remove").arg(name).arg(""),
                RowEdit::Clear(table) => call.arg(index(table)).arg("clear").arg("").arg(""),
            };
        }
        Ok(self.link.eval(&call).await?)
    }

    /// All rows, as they are at some time during the reading or later.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn rows(&self) -> Result<Vec<Row>, JournalError> {
        let mut rows = HashMap::new();
        for table in Table::ALL {
            let mut cursor = 0u64;
            loop {
                let mut ask = cmd("HSCAN");
                ask.arg(self.keys.table(table)).arg(cursor).arg("COUNT").arg(BATCH);
                let (next, found): (u64, Vec<(String, String)>) = self.link.call(&ask).await?;
                // A row may come twice.
                rows.extend(found.into_iter().map(|(name, text)| ((table, name), text)));
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        Ok(rows.into_iter().map(|((table, name), text)| Row { table, name, text }).collect())
    }

    /// Begins a journal with what one replica has, if there is none. Returns whether it has
    /// begun with that.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn begin(&self, from: &str, head: &Head, rows: &[Row], steps: &[Step]) -> Result<bool, JournalError> {
        let incoming = |of: &str| self.keys.incoming(of, from);
        let (journal, audit) = (incoming("journal"), incoming("audit"));
        let mut pairs: Vec<(String, String)> =
            Table::ALL.iter().map(|table| (self.keys.table(*table), incoming(table.as_str()))).collect();
        pairs.push((self.keys.journal(), journal.clone()));
        pairs.push((self.keys.audit(), audit.clone()));
        let lives = INCOMING_LIVES.as_secs();
        for (_, key) in &pairs {
            self.link.call::<()>(cmd("DEL").arg(key)).await?;
        }
        for table in Table::ALL {
            let key = incoming(table.as_str());
            let of_table: Vec<&Row> = rows.iter().filter(|row| row.table == table).collect();
            for batch in of_table.chunks(BATCH) {
                let mut put = cmd("HSET");
                put.arg(&key);
                batch.iter().for_each(|row| _ = put.arg(&row.name).arg(&row.text));
                self.link.pipe::<()>(pipe().add_command(put).cmd("EXPIRE").arg(&key).arg(lives)).await?;
            }
        }
        let mut lines = 0u64;
        for batch in steps.chunks(BATCH) {
            let mut brought = pipe();
            for step in batch {
                brought.cmd("HSET").arg(&journal).arg(step.at.number).arg(to_store(step)).ignore();
                if let Some(record) = step.entry().ok().and_then(|entry| entry.audit) {
                    lines += 1;
                    brought.cmd("XADD").arg(&audit).arg(format!("{lines}-0")).arg("record").arg(line(&record)).ignore();
                }
            }
            brought.cmd("EXPIRE").arg(&journal).arg(lives).ignore().cmd("EXPIRE").arg(&audit).arg(lives).ignore();
            self.link.pipe::<()>(&brought).await?;
        }
        let mut names = vec![self.keys.head()];
        names.extend(pairs.into_iter().flat_map(|(key, brought)| [key, brought]));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let Head { at, revision, .. } = head;
        let call = BEGIN.on(&names).arg(&at.tip.0).arg(at.number).arg(revision).arg(FORM).arg(lines);
        let told = format!("{}\n{}\n", at.number, at.tip);
        Ok(self.link.eval(&call.arg(self.keys.changed()).arg(told)).await?)
    }

    /// Takes the turn to make a step. Returns whether it is `holder`'s now.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn take_turn(&self, holder: &str) -> Result<bool, JournalError> {
        Ok(take_lease(&self.link, &self.keys.lease("change"), holder, TURN).await?)
    }

    /// Gives the turn back.
    ///
    /// # Errors
    /// If Redis does not answer; then it ends by itself.
    pub async fn give_turn(&self, holder: &str) -> Result<(), JournalError> {
        release_lease(&self.link, &self.keys.lease("change"), holder).await?;
        Ok(())
    }

    /// Brings lines that this replica wrote by itself into the audit log. Returns the number of
    /// the last one that is there. Asked twice it does the same.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn take_audit(&self, from: &str, lines: &[(u64, AuditRecord)]) -> Result<u64, JournalError> {
        let mut taken = 0;
        for batch in lines.chunks(BATCH) {
            let names = [self.keys.head(), self.keys.audit(), self.keys.audit_taken()];
            let mut call = TAKE_AUDIT.on(&names.each_ref().map(String::as_str)).arg(from).arg(AUDIT_LINES);
            for (number, record) in batch {
                call = call.arg(number).arg(line(record));
            }
            taken = self.link.eval(&call).await?;
        }
        Ok(taken)
    }

    /// At most so many lines of the audit log below a number, newest first, with their numbers.
    ///
    /// # Errors
    /// If Redis does not answer, or a line cannot be read.
    pub async fn audit(&self, below: u64, most: usize) -> Result<Vec<(u64, AuditRecord)>, JournalError> {
        let Some(last) = below.checked_sub(1) else { return Ok(Vec::new()) };
        let mut ask = cmd("XREVRANGE");
        ask.arg(self.keys.audit()).arg(last).arg("-").arg("COUNT").arg(most);
        let found: Vec<(String, Vec<(String, String)>)> = self.link.call(&ask).await?;
        let read = |(id, fields): (String, Vec<(String, String)>)| {
            let malformed = || JournalError::Malformed(format!("line {id} of the audit log"));
            let number = id.split('-').next().and_then(|number| number.parse().ok()).ok_or_else(malformed)?;
            let text = fields.into_iter().find(|(name, _)| name == "record").ok_or_else(malformed)?.1;
            Ok((number, serde_json::from_str(&text).map_err(|_| malformed())?))
        };
        found.into_iter().map(read).collect()
    }

    /// Listens for steps.
    pub fn listen(&self) -> Listener {
        Listener(self.link.subscribe([self.keys.changed()]))
    }
}

/// Hears of steps.
#[derive(Debug)]
pub struct Listener(Subscription);

impl Listener {
    /// What is heard next. Dropping the waiting loses nothing.
    pub async fn next(&mut self) -> Told {
        match self.0.next().await {
            Signal::Listening => Told::Look,
            Signal::Message { payload, .. } => read(&payload).unwrap_or(Told::Look),
        }
    }
}

/// A step as it is kept: tip and text, each on a line of its own.
fn to_store(step: &Step) -> String {
    format!("{}\n{}", step.at.tip, step.text)
}

fn stored(number: u64, stored: &str) -> Option<Step> {
    let (tip, text) = stored.split_once('\n')?;
    Some(Step { at: Position { number, tip: Tip(tip.to_owned()) }, text: text.to_owned() })
}

/// What is told of a step: number, tip, text, each after the other on a line of its own.
fn told(step: &Step) -> String {
    let text = if step.text.len() > LONGEST_TOLD { "" } else { &step.text };
    format!("{}\n{}\n{text}", step.at.number, step.at.tip)
}

fn read(payload: &[u8]) -> Option<Told> {
    let mut parts = std::str::from_utf8(payload).ok()?.splitn(3, '\n');
    let (number, tip, text) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    let step = Step { at: Position { number, tip: Tip(tip.to_owned()) }, text: text.to_owned() };
    Some(if text.is_empty() { Told::Look } else { Told::Step(step) })
}

fn line(record: &AuditRecord) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

/// A table's place among the keys of a script, from 1.
fn index(table: Table) -> usize {
    table as usize + 1
}
