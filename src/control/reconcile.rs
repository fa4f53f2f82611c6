//! What if the copy of a replica and the journal are not the same? Steps that the journal lost
//! are brought back, a journal that is gone is begun again, and a copy that is too far behind,
//! or has gone another way, is made anew from what the others have.

use std::sync::Arc;

use super::fleet::{Fleet, Held, blocking};
use super::{Control, ControlError, State};
use crate::fleet::journal::Head;
use crate::store::{Position, RowEdit, Step, Tip};

impl Control {
    /// Brings steps back that the journal has lost.
    pub(super) async fn bring_back(
        self: &Arc<Self>,
        fleet: &Fleet,
        held: Held,
        head: &Head,
    ) -> Result<Held, ControlError> {
        let store = Arc::clone(&self.store);
        let from = head.at.number;
        let (held, found) =
            blocking(held, move |_| Ok::<_, ControlError>((store.step(from)?, store.steps_after(from)?))).await?;
        let (common, lost) = found?;
        if common.is_none_or(|common| common.at.tip != head.at.tip) {
            return self.give_way(fleet, held).await;
        }
        tracing::warn!(steps = lost.len(), "Redis has lost changes that this replica knows; they are brought back");
        let mut tip = head.at.tip.clone();
        for step in &lost {
            fleet.append(&tip, step, &step.entry()?, self.keep_revisions).await?;
            tip = step.at.tip.clone();
        }
        Ok(held)
    }

    /// Begins a journal with what this replica has, since there is none.
    pub(super) async fn begin_journal(self: &Arc<Self>, fleet: &Fleet, held: Held) -> Result<Held, ControlError> {
        let store = Arc::clone(&self.store);
        let (mut held, found) = blocking(held, move |state| {
            if state.position.number == 0 {
                let at = Position { number: 1, tip: Tip::default().after(&store.ledger()?) };
                store.stand_at(&at)?;
                state.position = at;
            }
            let mut steps = store.steps_after(0)?;
            steps.retain(|step| !step.text.is_empty());
            Ok::<_, ControlError>((store.rows()?, steps))
        })
        .await?;
        let (rows, steps) = found?;
        let head = Head { at: held.position.clone(), revision: held.revision, begun_ms: 0 };
        if fleet.journal.begin(&fleet.replicas.this().id, &head, &rows, &steps).await? {
            tracing::warn!(revision = head.revision, "Redis had no configuration; it has that of this replica now");
        } else if steps.is_empty() && held.position.number == 1 {
            // Somebody else has begun, and this one has never followed anybody.
            held.position = Position::default();
            let store = Arc::clone(&self.store);
            let (back, done) = blocking(held, move |_| store.stand_at(&Position::default())).await?;
            done?;
            held = back;
        }
        Ok(held)
    }

    /// Takes the whole of what the others have.
    pub(super) async fn take_copy(self: &Arc<Self>, fleet: &Fleet, held: Held) -> Result<Held, ControlError> {
        let journal = &fleet.journal;
        let Some(before) = journal.head().await? else { return Ok(held) };
        let mut rows: std::collections::BTreeMap<_, _> =
            journal.rows().await?.into_iter().map(|row| ((row.table, row.name), row.text)).collect();
        let Some(head) = journal.head().await? else { return Ok(held) };
        let kept = head.at.number.saturating_sub(self.keep_revisions);
        let mut steps = journal.steps(kept, head.at.number).await?;
        // The last ones without a gap.
        let gap = steps.iter().rposition(Option::is_none).map_or(0, |gap| gap + 1);
        let steps: Vec<Step> = steps.drain(gap..).flatten().collect();
        // Some of what was done during the reading may be missing.
        for step in steps.iter().filter(|step| step.at.number > before.at.number) {
            for edit in step.entry()?.row_edits() {
                match edit {
                    RowEdit::Put(row) => _ = rows.insert((row.table, row.name), row.text),
                    RowEdit::Remove(table, name) => _ = rows.remove(&(table, name)),
                    RowEdit::Clear(table) => rows.retain(|(other, _), _| *other != table),
                }
            }
        }
        let rows = rows.into_iter().map(|((table, name), text)| crate::store::Row { table, name, text }).collect();
        let this = Arc::clone(self);
        let (held, done) = blocking(held, move |state| {
            this.store.replace(rows, head.revision, &head.at, &steps)?;
            this.reload_state(state)
        })
        .await?;
        done.map(|()| held)
    }

    /// Reads everything from the store again, and serves it.
    fn reload_state(&self, state: &mut State) -> Result<(), ControlError> {
        let stored = self.store.load()?;
        state.load(stored, self.store.position()?);
        self.vault.put(&self.store.secrets()?.into_iter().collect());
        self.tokens.reload(&self.store)?;
        state.unserved = true;
        self.serve_stored(state)?;
        state.unserved = false;
        Ok(())
    }

    /// Serves what the store has, if that has not worked yet.
    pub(super) fn serve_unserved(&self, state: &mut State) -> Result<(), ControlError> {
        if state.unserved {
            self.serve_stored(state)?;
            state.unserved = false;
        }
        Ok(())
    }

    /// Lets go of steps that the others do not have, and takes what they have. What this one
    /// had is kept in a file beside the store.
    pub(super) async fn give_way(self: &Arc<Self>, fleet: &Fleet, held: Held) -> Result<Held, ControlError> {
        let store = Arc::clone(&self.store);
        let (held, ours) = blocking(held, move |_| store.steps_after(0)).await?;
        let ours = ours?;
        let first = ours.first().map_or(0, |step| step.at.number.saturating_sub(1));
        let last = ours.last().map_or(0, |step| step.at.number);
        let theirs = fleet.journal.steps(first, last).await?;
        let common = |step: &Step| theirs.iter().flatten().any(|other| other.at == step.at);
        let lost: Vec<Step> = ours.into_iter().filter(|step| !step.text.is_empty() && !common(step)).collect();
        let kept = self.keep_lost(&lost);
        tracing::error!(
            steps = lost.len(),
            kept,
            "this replica has had changes that the others have not; it follows the others now, and what it had is kept"
        );
        self.take_copy(fleet, held).await
    }

    /// Writes steps into a file beside the store, so that people can look at them.
    fn keep_lost(&self, lost: &[Step]) -> String {
        let lines = lost.iter().map(|step| step.text.as_str()).collect::<Vec<_>>().join("\n") + "\n";
        let Some(store) = &self.path else {
            return format!("nowhere, since the store is in memory; it was: {lines}");
        };
        let mut path = store.clone().into_os_string();
        path.push(format!(".lost-{}.jsonl", self.clock().now().0));
        let shown = path.to_string_lossy().into_owned();
        match std::fs::write(&path, lines) {
            Ok(()) => format!("in {shown}"),
            Err(error) => format!("nowhere: {shown} cannot be written: {error}"),
        }
    }
}
