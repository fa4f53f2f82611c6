// From a form to a revision: looked at first as what would change, saved once under the
// condition that nobody was faster, and shown side by side where somebody was.

import { change, get, getTagged, seg } from './api.js';
import { h } from './dom.js';
import { dialogEnd, openDialog } from './dialog.js';
import { differing, diffView, merge, same, valueText } from './diff.js';
import { count, usd, when, words } from './format.js';
import { button, notice, problemList, toast } from './widgets.js';

const PLURAL = { alias: 'aliases', provider: 'providers', model: 'models', project: 'projects' };
export const pathOf = (kind, name) => `${PLURAL[kind]}/${seg(name)}`;

const send = (job, values) =>
  job.match
    ? change('PUT', pathOf(job.kind, job.name), job.draft, { match: job.match, ...values })
    : change('POST', PLURAL[job.kind], job.draft, values);

// Who called this lately, and so will notice.
async function affected({ kind, name, match }) {
  if (!match) return null;
  const from = new Date(Date.now() - 6 * 864e5).toISOString().slice(0, 10);
  const report = await get('usage', { by: 'project,key', [kind]: name, from }).catch(() => null);
  return report?.rows.filter((row) => row.requests > 0) ?? null;
}

const who = (rows, kind) =>
  h(
    'div',
    { class: 'affected', test: 'preview-affected' },
    h('h3', null, 'Who is affected'),
    rows === null
      ? h('p', { class: 'hint' }, 'Nobody yet: it is new.')
      : rows.length === 0
        ? h('p', { class: 'hint' }, `Nobody has used this ${kind} in the last seven days.`)
        : h(
            'ul',
            null,
            rows
              .slice(0, 8)
              .map((row) =>
                h(
                  'li',
                  { key: `${row.project}/${row.key}` },
                  h('b', null, row.key || 'no key'),
                  ` of project ${row.project || 'default'}: `,
                  h('span', { class: 'num' }, `${count(row.requests)} requests, ${usd(row.cost_usd)} in seven days`),
                ),
              ),
            rows.length > 8 && h('li', { class: 'hint' }, `and ${rows.length - 8} more keys`),
          ),
  );

/// Takes `job`, `{ kind, name, draft, base, match }`, through all of it; `match` is the ETag
/// that was seen, nothing for what is new. Resolves to one of
/// `{ saved }`, `{ problems, message }`, `{ reload }`, `{ merged: { base, draft, match, both } }`
/// or nothing, if it was left.
export async function save(job) {
  let report;
  try {
    report = await send(job, { dry_run: true });
  } catch (error) {
    return failed(error, job);
  }
  if (report.changes.length === 0) {
    toast('Nothing differs from what is saved', 'info');
    return undefined;
  }
  const rows = await affected(job);
  const touched = report.changes.flatMap((one) => (one.before && one.after ? one.fields : [])).slice(0, 12);
  let note = '';
  let busy = false;
  return openDialog({
    title: job.match ? `Change ${job.name}` : `New ${job.kind} ${job.name}`,
    wide: true,
    test: 'preview-dialog',
    draw: (dialog) => {
      const commit = async (event) => {
        event.preventDefault();
        if (busy) return;
        busy = true;
        dialog.render();
        try {
          const saved = await send(job, { note: note.trim() });
          const late = saved.unconfirmed || [];
          toast(
            `Saved as revision ${saved.revision}${late.length ? `; not confirmed by ${late.map((one) => one.replica).join(', ')}` : ': the next request follows it'}`,
            late.length ? 'bad' : 'ok',
          );
          dialog.close({ saved });
        } catch (error) {
          dialog.close(await failed(error, job));
        }
      };
      return h(
        'form',
        { class: 'dialog-form', on: { submit: commit } },
        h(
          'div',
          { class: 'dialog-body' },
          report.warnings.map((one, i) =>
            h('div', { key: `w${i}` }, notice('warn', `${one.path ? `${one.path}: ` : ''}${one.message}`)),
          ),
          h('h3', null, 'What changes'),
          touched.length > 0 &&
            h(
              'ul',
              { class: 'field-changes' },
              touched.map((one) =>
                h(
                  'li',
                  { key: one.path },
                  h('code', null, one.path),
                  ' ',
                  h('del', null, shortly(one.before)),
                  ' → ',
                  h('ins', null, shortly(one.after)),
                ),
              ),
            ),
          diffView(report.diff, 'preview-diff'),
          who(rows, job.kind),
          h(
            'div',
            { class: 'field' },
            h('label', { for: 'save-note' }, 'Note for the history (optional)'),
            h('input', {
              id: 'save-note',
              test: 'save-note',
              maxlength: 1000,
              value: note,
              autofocus: true,
              autocomplete: 'off',
              on: {
                input: (event) => {
                  note = event.target.value;
                },
              },
            }),
          ),
        ),
        dialogEnd(
          button('Back to the form', () => dialog.close(), { test: 'dialog-cancel' }),
          h(
            'button',
            { type: 'submit', class: 'button primary', test: 'save', 'aria-disabled': busy ? 'true' : null },
            busy ? 'Saving…' : 'Save as one revision',
          ),
        ),
      );
    },
  });
}

const shortly = (value) => {
  const text = value == null ? 'not set' : typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
};

async function failed(error, job) {
  if (error.status === 412 && job.match) return conflict(job);
  if (error.problems.length) return { problems: error.problems, message: error.message };
  return { problems: [], message: error.message };
}

/// Shows what one made beside what it is now, and asks what to do.
export async function conflict(job) {
  let theirs;
  try {
    theirs = await getTagged(pathOf(job.kind, job.name));
  } catch (error) {
    if (error.status !== 404) return { problems: [], message: error.message };
    const again = await openDialog({
      title: `${job.name} is gone`,
      test: 'conflict-dialog',
      draw: ({ close }) => [
        h('div', { class: 'dialog-body' }, h('p', null, 'Somebody has deleted or renamed it since you opened it.')),
        dialogEnd(
          button('Leave it', () => close(false), { test: 'conflict-reload' }),
          button('Make it anew from mine', () => close(true), { kind: 'primary', test: 'conflict-reapply' }),
        ),
      ],
    });
    return again === undefined
      ? undefined
      : again
        ? { merged: { base: {}, draft: job.draft, match: null, both: [] } }
        : { reload: true, gone: true };
  }
  const { document, revision } = theirs.data;
  const made = await get(`revisions/${revision}`).then(
    (detail) => detail.revision,
    () => null,
  );
  const { result, both } = merge(job.base, job.draft, document);
  const fields = [...new Set([...differing(job.base, job.draft), ...differing(job.base, document)])];
  const cell = (text, changed, test) =>
    h(
      'td',
      { test, role: 'cell', class: changed ? 'touched' : '', 'data-label': test === 'conflict-mine' ? 'Yours' : 'Now' },
      h('pre', null, text),
    );
  const choice = await openDialog({
    title: 'Somebody was faster',
    wide: true,
    test: 'conflict-dialog',
    draw: ({ close }) => [
      h(
        'div',
        { class: 'dialog-body' },
        h(
          'p',
          null,
          h('b', null, made?.author || 'Somebody'),
          made
            ? ` changed ${job.name} at ${when(made.at_ms)} by ${made.via} (revision ${revision}${made.note ? `: “${made.note}”` : ''}).`
            : ` changed ${job.name} (revision ${revision}).`,
          ' Nothing of yours is lost, and nothing is saved yet.',
        ),
        h(
          'table',
          { class: 'compare', role: 'table' },
          h('caption', { class: 'sr' }, 'Yours beside what it is now'),
          h(
            'thead',
            { role: 'rowgroup' },
            h(
              'tr',
              { role: 'row' },
              ['Field', 'Yours', `Now, revision ${revision}`].map((text) =>
                h('th', { scope: 'col', role: 'columnheader' }, text),
              ),
            ),
          ),
          h(
            'tbody',
            { role: 'rowgroup' },
            fields.map((name) =>
              h(
                'tr',
                { key: name, role: 'row' },
                h(
                  'th',
                  { scope: 'row', role: 'rowheader', class: 'lead-cell' },
                  h('code', null, name),
                  both.includes(name) && h('span', { class: 'pill warn' }, 'both'),
                ),
                cell(valueText(job.draft[name]), !same(job.base?.[name], job.draft[name]), 'conflict-mine'),
                cell(valueText(document[name]), !same(job.base?.[name], document[name]), 'conflict-theirs'),
              ),
            ),
          ),
        ),
        h(
          'p',
          { class: 'hint' },
          both.length
            ? `Both of you changed: ${both.map(words).join(', ')}. If you put yours on top, yours is kept there; all else that they changed stays.`
            : 'You changed different fields: yours can be put on top without undoing theirs.',
        ),
      ),
      dialogEnd(
        button('Take theirs, drop mine', () => close('reload'), { test: 'conflict-reload' }),
        button('Put mine on top', () => close('reapply'), { kind: 'primary', test: 'conflict-reapply' }),
      ),
    ],
  });
  if (choice === 'reload') return { reload: true };
  return choice === 'reapply' ? { merged: { base: document, draft: result, match: theirs.tag, both } } : undefined;
}

/// What a form shows of a save that was refused.
export const refusal = (outcome) =>
  outcome?.problems &&
  problemList(
    outcome.problems.length ? outcome.problems : [{ path: '', message: outcome.message }],
    'It cannot be saved like this',
  );
