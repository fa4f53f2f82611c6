//! Documents: put, changed in part, taken out, each under the condition that nobody else has
//! changed it in the meantime.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Map, Value as Json};

pub use super::alias_part::AtPart;
use super::alias_part::changed;
use super::merge_patch::merge;
use super::{Applied, Control, ControlError, KeyChange, Proposal, Signed, State, unredacted};
use crate::config::{Document, Documents, Edit, KeyNodes, Kind, Problem, Problems};
use crate::domain::caller::DEFAULT_PROJECT;
use crate::live::View;
use crate::store::KeyEdit;
use crate::store::record::{Author, ChangeRecord, KeyRecord};

/// What has to be so for a change to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Precondition {
    /// Nothing was said: what is there is not replaced as a whole.
    Unsaid,
    /// It is there, in whatever state.
    Any,
    /// Its last change is one of these revisions.
    Revision(Vec<u64>),
    /// It is not there yet.
    Absent,
}

impl Precondition {
    /// Whether something that `modified` changed last, if it is there, may be changed.
    ///
    /// # Errors
    /// If not.
    pub fn check(&self, what: &str, modified: Option<u64>) -> Result<(), ControlError> {
        let conflict = |now| Err(ControlError::Conflict { what: what.to_owned(), now });
        match (self, modified) {
            (Self::Revision(seen), Some(now)) if !seen.contains(&now) => conflict(now),
            (Self::Absent, Some(now)) => conflict(now),
            (Self::Revision(_) | Self::Any, None) => conflict(0),
            _ => Ok(()),
        }
    }
}

impl Control {
    /// Puts a document in.
    ///
    /// # Errors
    /// If it does not fit, or the precondition does not hold. What is there is replaced only
    /// under a condition.
    pub async fn put(
        self: &Arc<Self>,
        signed: Signed,
        kind: Kind,
        document: Document,
        precondition: Precondition,
    ) -> Result<Applied, ControlError> {
        let name = document.name(kind).ok_or_else(|| {
            ControlError::Mistake(format!("the {kind} needs a name in its field {:?}", kind.name_field()))
        })?;
        self.change(signed, move |state, control| {
            let modified = state.modified(kind, &name);
            let what = format!("{kind} {name:?}");
            precondition.check(&what, modified)?;
            if modified.is_some() && precondition == Precondition::Unsaid {
                return Err(ControlError::Unconditional { what });
            }
            let document = control.taken_in(kind, document, state.documents.get(kind, &name))?;
            Ok(Proposal::of(vec![Edit { kind, name, to: Some(document) }]))
        })
        .await
    }

    /// Changes fields of a document: objects are merged, a null takes its field out, all else
    /// takes the place of what was there (RFC 7396).
    ///
    /// # Errors
    /// If it does not fit then, is not there, or the precondition does not hold.
    pub async fn patch(
        self: &Arc<Self>,
        signed: Signed,
        kind: Kind,
        name: String,
        patch: Map<String, Json>,
        precondition: Precondition,
    ) -> Result<Applied, ControlError> {
        self.change(signed, move |state, control| {
            let current = found(state, kind, &name, &precondition)?;
            let mut fields = current.fields();
            merge(&mut fields, patch);
            if fields.get(kind.name_field()).and_then(Json::as_str) != Some(name.as_str()) {
                let message = format!("a change of fields keeps {:?}; an alias can be renamed", kind.name_field());
                return Err(ControlError::Mistake(message));
            }
            let document = control.taken_in(kind, Document::new(&fields), Some(current))?;
            Ok(Proposal::of(vec![Edit { kind, name, to: Some(document) }]))
        })
        .await
    }

    /// What would be served if an alias were this document. Nothing is kept.
    ///
    /// # Errors
    /// If it does not fit.
    pub async fn view_with_alias(
        self: &Arc<Self>,
        author: Author,
        name: &str,
        mut fields: Map<String, Json>,
    ) -> Result<View, ControlError> {
        fields.insert(Kind::Alias.name_field().to_owned(), Json::from(name));
        let edit = Edit { kind: Kind::Alias, name: name.to_owned(), to: Some(Document::new(&fields)) };
        let held = Arc::clone(&self.state).lock_owned().await;
        let this = Arc::clone(self);
        let (_, view) = super::fleet::blocking(held, move |state| {
            let signed = Signed::new(author, "explain", "");
            let ready = this.draft(state, Proposal::of(vec![edit]), &signed)?;
            Ok(ready.view.unwrap_or_else(|| View::clone(&this.live.view())))
        })
        .await?;
        view
    }

    /// Takes a document out.
    ///
    /// # Errors
    /// If something else needs it, it is not there, or the precondition does not hold.
    pub async fn delete(
        self: &Arc<Self>,
        signed: Signed,
        kind: Kind,
        name: String,
        precondition: Precondition,
    ) -> Result<Applied, ControlError> {
        self.change(signed, move |state, _| {
            found(state, kind, &name, &precondition)?;
            Ok(Proposal::of(vec![Edit { kind, name, to: None }]))
        })
        .await
    }

    /// A project that goes leaves no key behind, by whichever way it goes: nobody could call
    /// with such a key any more. The default one is there without a document as well.
    pub(super) fn check_no_key_left(&self, edits: &[Edit], keys: &[KeyChange]) -> Result<(), ControlError> {
        let gone = |edit: &&Edit| edit.kind == Kind::Project && edit.to.is_none() && edit.name != DEFAULT_PROJECT;
        for Edit { name: project, .. } in edits.iter().filter(gone) {
            let now =
                |record: &KeyRecord| keys.iter().find(|change| change.edit.name == record.name).map(|it| &it.edit.to);
            let stays = |record: &KeyRecord| match now(record) {
                Some(to) => to.as_ref().is_some_and(|to| to.project == *project),
                None => record.project == *project,
            };
            if let Some(key) = self.store.keys("", 1, stays)?.first() {
                let message =
                    format!("project {project:?} still has keys, such as {:?}; delete or move them", key.name);
                return Err(ControlError::Mistake(message));
            }
        }
        Ok(())
    }

    /// Changes a part of an alias.
    ///
    /// # Errors
    /// If there is no such part, it does not fit then, or the precondition does not hold.
    pub async fn change_alias(
        self: &Arc<Self>,
        signed: Signed,
        name: String,
        part: AtPart,
        precondition: Precondition,
    ) -> Result<Applied, ControlError> {
        self.change(signed, move |state, control| {
            let current = found(state, Kind::Alias, &name, &precondition)?;
            let document = changed(current, &part, &control.live.view().catalog)?;
            Ok(Proposal::of(vec![Edit { kind: Kind::Alias, name, to: Some(document) }]))
        })
        .await
    }

    /// Gives an alias another name, and those that may call it the right to call it by that.
    ///
    /// # Errors
    /// If the new name is taken or cannot be one, or the precondition does not hold.
    pub async fn rename_alias(
        self: &Arc<Self>,
        signed: Signed,
        name: String,
        to: String,
        precondition: Precondition,
    ) -> Result<Applied, ControlError> {
        self.change(signed, move |state, control| {
            let current = found(state, Kind::Alias, &name, &precondition)?;
            if state.documents.get(Kind::Alias, &to).is_some() {
                return Err(ControlError::Exists { what: "alias", name: to });
            }
            let mut fields = current.fields();
            fields.insert("name".to_owned(), Json::from(to.as_str()));
            let mut edits = vec![
                Edit { kind: Kind::Alias, name: name.clone(), to: None },
                Edit { kind: Kind::Alias, name: to.clone(), to: Some(Document::new(&fields)) },
            ];
            for (project, document) in state.documents.of(Kind::Project) {
                let mut fields = document.fields();
                if rename_in(fields.get_mut("aliases"), &name, &to) {
                    let document = Document::new(&fields);
                    edits.push(Edit { kind: Kind::Project, name: project.to_owned(), to: Some(document) });
                }
            }
            let names = |record: &KeyRecord| record.aliases.as_ref().is_some_and(|names| names.contains(&name));
            let mut keys = control.store.keys("", usize::MAX, names)?;
            for record in &mut keys {
                record
                    .aliases
                    .iter_mut()
                    .flatten()
                    .filter(|alias| **alias == name)
                    .for_each(|alias| alias.clone_from(&to));
            }
            let keys = keys.into_iter().map(|record| KeyEdit { name: record.name.clone(), to: Some(record) }).collect();
            Ok(Proposal { edits, keys, ..Proposal::default() })
        })
        .await
    }

    /// Makes all documents of the kinds that some have like these: what is changed by it is
    /// one revision. With `prune`, those that are not among them are taken out.
    ///
    /// # Errors
    /// If they do not fit, or the precondition does not hold for the latest revision.
    pub async fn apply_documents(
        self: &Arc<Self>,
        signed: Signed,
        documents: Documents,
        keys: KeyNodes,
        prune: bool,
        precondition: Precondition,
    ) -> Result<Applied, ControlError> {
        self.change(signed, move |state, control| {
            precondition.check("the configuration", Some(state.revision))?;
            let mut after = if prune { Documents::default() } else { state.documents.clone() };
            for (kind, name, document) in documents.iter() {
                let document = control.taken_in(kind, document.clone(), state.documents.get(kind, name))?;
                after.insert(kind, name, document);
            }
            Ok(Proposal { nodes: keys, ..Proposal::of(state.documents.edits_to(&after)) })
        })
        .await
    }

    /// What lies between two revisions, in what a rollback restores.
    ///
    /// # Errors
    /// If one of them is not kept any more.
    pub async fn compare(self: &Arc<Self>, from: u64, to: u64) -> Result<Vec<ChangeRecord>, ControlError> {
        let held = Arc::clone(&self.state).lock_owned().await;
        let this = Arc::clone(self);
        let compared = tokio::task::spawn_blocking(move || {
            let (from, to) = (this.documents_at(&held, from)?, this.documents_at(&held, to)?);
            Ok(super::draft::applied_to(&from, from.edits_to(&to)).2)
        });
        compared.await.map_err(|_| ControlError::Ending)?
    }

    /// Goes back to an earlier revision: its providers, models, projects and aliases. Keys
    /// stay as they are: what was revoked since stays revoked.
    ///
    /// # Errors
    /// If that revision is not kept any more, or does not fit now.
    pub async fn roll_back(self: &Arc<Self>, signed: Signed, to: u64) -> Result<Applied, ControlError> {
        self.change(signed, move |state, control| {
            let after = control.documents_at(state, to)?;
            Ok(Proposal::of(state.documents.edits_to(&after)))
        })
        .await
    }

    /// The documents of an earlier revision.
    ///
    /// # Errors
    /// If it is not kept any more.
    pub fn documents_at(&self, state: &State, revision: u64) -> Result<Documents, ControlError> {
        let gone = || ControlError::NotFound { what: "revision", name: revision.to_string(), nearest: Vec::new() };
        if revision == 0 || revision > state.revision {
            return Err(gone());
        }
        let mut documents = state.documents.clone();
        for number in (revision + 1..=state.revision).rev() {
            let record = self.store.revision(number)?.ok_or_else(gone)?;
            for change in record.changes {
                let Some(kind) = Kind::from_name(&change.kind) else { continue };
                let to = self.store.before(number, kind, &change.name)?;
                documents.apply(&Edit { kind, name: change.name, to });
            }
        }
        Ok(documents)
    }

    /// A document as it is kept: what people could not see is as it was, and a provider's
    /// key is sealed.
    pub(super) fn taken_in(
        &self,
        kind: Kind,
        document: Document,
        current: Option<&Document>,
    ) -> Result<Document, ControlError> {
        let name = document.name(kind).unwrap_or_default();
        let Some(document) = unredacted(kind, document, current) else {
            let message = format!("{}.{name}.headers: a value is hidden, and there is none in its place", kind.list());
            return Err(ControlError::Mistake(message));
        };
        if kind != Kind::Provider {
            return Ok(document);
        }
        let mut fields = document.fields();
        match fields.remove("api_key") {
            None => Ok(document),
            Some(Json::String(key)) if !key.trim().is_empty() => {
                let id = self.vault.seal(&name, &SecretString::from(key.trim()))?;
                fields.insert("api_key_sealed".to_owned(), Json::from(id));
                Ok(Document::new(&fields))
            }
            Some(_) => {
                let path = format!("providers.{name}.api_key");
                Err(Problems { file: None, list: vec![Problem::at(path, "is no key", "a text that is not empty")] }
                    .into())
            }
        }
    }
}

fn found<'s>(
    state: &'s State,
    kind: Kind,
    name: &str,
    precondition: &Precondition,
) -> Result<&'s Document, ControlError> {
    let names = || state.documents.of(kind).map(|(name, _)| name);
    let document = state.documents.get(kind, name).ok_or_else(|| ControlError::no_document(kind, name, names()))?;
    precondition.check(&format!("{kind} {name:?}"), state.modified(kind, name))?;
    Ok(document)
}

fn rename_in(list: Option<&mut Json>, from: &str, to: &str) -> bool {
    let mut found = false;
    for name in list.and_then(Json::as_array_mut).into_iter().flatten().filter(|name| **name == from) {
        *name = Json::from(to);
        found = true;
    }
    found
}
