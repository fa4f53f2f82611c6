//! What does a change come to, and what is wrong with it? Nothing is kept or served here.

use super::{Applied, Control, ControlError, Proposal, Ready, Settings, Signed, State, redacted};
use crate::config::{self, Checked, Documents, Edit, KeyConfig, KeyNodes, Kind, Places, Problem, World};
use crate::domain::ids::Revision;
use crate::domain::project::Project;
use crate::live::{Draft, KeyRing, View};
use crate::store::record::{ChangeRecord, Role};
use crate::store::{DocumentEdit, Entry};

impl Control {
    /// Finds out what a change comes to: everything that may be wrong with it.
    pub(super) fn draft(&self, state: &State, proposal: Proposal, signed: &Signed) -> Result<Ready, ControlError> {
        let Proposal { edits, mut keys, tokens, secrets, mut source, process, nodes, first } = proposal;
        let (settings, places) =
            process.as_ref().map_or((&state.settings, &state.places), |(settings, places)| (settings, places));
        let (after, edits, mut changes) = applied_to(&state.documents, edits);
        check_role(&edits, signed.role)?;
        let checked = match after.is_some() || *settings != state.settings {
            true => {
                let documents = after.as_ref().unwrap_or(&state.documents);
                Some(self.check(documents, &nodes, places, settings.direct_models)?)
            }
            false => None,
        };
        let (named, mut warnings, checked) = match checked {
            None => self.check_keys(&nodes).map(|(named, warnings)| (named, warnings, None))?,
            Some(mut found) => {
                let (named, warnings) = (std::mem::take(&mut found.keys), std::mem::take(&mut found.warnings));
                (named, warnings, Some(found))
            }
        };
        match &mut source {
            Some(source) => {
                let (edits, said) = self.key_edits_of_file(&named, state, &signed.author)?;
                keys.extend(edits);
                source.keys = said;
            }
            None => keys.extend(self.key_edits(&named, &signed.author)?),
        }
        let mut keys = self.key_changes(keys, &mut changes)?;
        self.check_no_key_left(&edits, &keys)?;
        let is_revision = !changes.is_empty() || first;
        let number = state.revision + u64::from(is_revision);
        for record in keys.iter_mut().filter_map(|change| change.edit.to.as_mut()) {
            record.revision = number;
        }
        let ring = self.ring_with(&keys)?;
        let prepared = checked.is_some();
        let view = match checked {
            Some(checked) => Some(self.prepare(checked, ring, number, settings)?),
            None => is_revision.then(|| self.live.view().with_keys(ring, Revision(number))),
        };
        if let Some(view) = view.as_ref().filter(|_| prepared) {
            warnings.extend(view.remarks());
        }
        if signed.dry_run {
            let applied = Applied { revision: state.revision, changes, warnings, ..Applied::default() };
            return Ok(Ready { entry: Entry::default(), view: None, process: None, applied });
        }
        let told = is_revision || !tokens.is_empty() || !secrets.is_empty();
        let mut entry = Entry {
            revision: is_revision.then(|| self.record(number, signed, changes.clone())),
            documents: edits.into_iter().map(|edit| document_edit(state, edit)).collect(),
            keys: keys.into_iter().map(|change| change.edit).collect(),
            tokens,
            secrets,
            source: source.filter(|source| *source != state.source),
            audit: told.then(|| self.audited(signed, "ok", is_revision.then_some(number))),
        };
        entry.secrets.extend(self.vault.unwritten());
        let applied = Applied { revision: number, changes, warnings, ..Applied::default() };
        Ok(Ready { entry, view, process, applied })
    }

    pub(super) fn check(
        &self,
        documents: &Documents,
        nodes: &KeyNodes,
        places: &Places,
        direct_models: bool,
    ) -> Result<Checked, ControlError> {
        let (env, files) = config::outside(&self.folder);
        let sealed = |provider: &str, id: &str| self.vault.open(provider, id);
        let world = World { env: &env, files: &files, sealed: &sealed };
        Ok(config::check(documents, nodes, places, direct_models, world)?)
    }

    /// Checks keys against what is served.
    pub(super) fn check_keys(&self, nodes: &KeyNodes) -> Result<(Vec<KeyConfig>, Vec<Problem>), ControlError> {
        if nodes.is_empty() {
            return Ok(Default::default());
        }
        let (env, files) = config::outside(&self.folder);
        let sealed = |provider: &str, id: &str| self.vault.open(provider, id);
        let world = World { env: &env, files: &files, sealed: &sealed };
        let view = self.live.view();
        Ok(config::check_keys(nodes, &view.catalog, &self.projects(), world)?)
    }

    /// The projects that are served.
    pub(super) fn projects(&self) -> Vec<Project> {
        self.live.view().projects().map(|live| live.project.clone()).collect()
    }

    pub(super) fn prepare(
        &self,
        checked: Checked,
        keys: KeyRing,
        revision: u64,
        settings: &Settings,
    ) -> Result<View, ControlError> {
        let Checked { catalog, projects, .. } = checked;
        let Settings { limits, open, .. } = *settings;
        let draft = Draft { revision: Revision(revision), catalog, projects, keys, limits, open };
        Ok(self.live.prepare(draft, &|owner| self.spent(owner))?)
    }
}

/// Whoever can say where a provider's key is sent to has it.
fn check_role(edits: &[Edit], role: Role) -> Result<(), ControlError> {
    let provider = edits.iter().find(|edit| edit.kind == Kind::Provider).filter(|_| role < Role::Admin);
    provider.map_or(Ok(()), |edit| {
        let message = format!("provider {:?} would change, which takes a token of the role admin", edit.name);
        Err(ControlError::Forbidden(message))
    })
}

/// The documents after some edits, if any changes something; those that do, and what they
/// change.
pub(super) fn applied_to(
    documents: &Documents,
    mut edits: Vec<Edit>,
) -> (Option<Documents>, Vec<Edit>, Vec<ChangeRecord>) {
    edits.retain(|edit| documents.get(edit.kind, &edit.name) != edit.to.as_ref());
    if edits.is_empty() {
        return (None, edits, Vec::new());
    }
    let mut after = documents.clone();
    for edit in &edits {
        after.apply(edit);
    }
    let shown = |kind: Kind, document: Option<&config::Document>| document.map(|document| redacted(kind, document));
    let change = |edit: &Edit| ChangeRecord {
        kind: edit.kind.as_str().to_owned(),
        name: edit.name.clone(),
        before: shown(edit.kind, documents.get(edit.kind, &edit.name)),
        after: shown(edit.kind, edit.to.as_ref()),
    };
    let changes = edits.iter().map(change).collect();
    (Some(after), edits, changes)
}

/// An edit, with what it does away with.
fn document_edit(state: &State, edit: Edit) -> DocumentEdit {
    let was = state.documents.get(edit.kind, &edit.name).cloned();
    DocumentEdit { kind: edit.kind, name: edit.name, to: edit.to, was }
}
