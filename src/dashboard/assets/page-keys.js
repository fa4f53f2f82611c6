// Keys of callers: made, shown once, rotated, taken back.

import { barred, change, get, seg } from './api.js';
import { h } from './dom.js';
import { confirm, dialogEnd, openDialog, showSecret } from './dialog.js';
import { differing } from './diff.js';
import { fields } from './fields.js';
import { ago, day, when } from './format.js';
import { note } from './router.js';
import { SCOPES } from './page-document.js';
import { limits } from './page-projects.js';
import { pager, table } from './table.js';
import { button, empty, head, livePage, panel, pill, problemList, searchBox, toast, waiting } from './widgets.js';

const TONE = { active: 'ok', disabled: 'off', expired: 'warn', revoked: 'bad' };
const SPECS = [
  { name: 'name', label: 'Name', test: 'key-name', required: true, hint: 'Shown in logs and usage; the key never is.' },
  { name: 'project', label: 'Project', placeholder: 'default' },
  { name: 'description', label: 'Description', full: true },
  ...SCOPES,
  { name: 'expires', label: 'Ends', placeholder: 'never', hint: 'A day or a moment: 2027-12-31' },
  { name: 'enabled', label: 'Switched on', type: 'bool', standard: true },
];

// A form in a dialog. `send(draft)` does it; resolves to its answer.
function keyForm(title, draft, specs, yes, send) {
  const form = { bad: new Map(), locked: null, changed: () => render() };
  let render = () => {};
  let error = null;
  return openDialog({
    title,
    wide: true,
    draw: (dialog) => {
      ({ render } = dialog);
      const submit = async (event) => {
        event.preventDefault();
        try {
          dialog.close(await send(draft));
        } catch (failed) {
          error = failed;
          render();
        }
      };
      return h(
        'form',
        { class: 'dialog-form', on: { submit } },
        h(
          'div',
          { class: 'dialog-body' },
          error &&
            h(
              'div',
              { key: 'error' },
              problemList(error.problems.length ? error.problems : [{ message: error.message }], 'That is not possible'),
            ),
          fields(draft, specs, form),
        ),
        dialogEnd(
          button('Cancel', () => dialog.close(), { test: 'dialog-cancel' }),
          h('button', { type: 'submit', class: 'button primary', test: 'dialog-confirm' }, yes),
        ),
      );
    },
  });
}

export default function keys(ctx) {
  const state = { search: ctx.query.search || '', project: ctx.query.project || '', trail: [] };
  const again = (values) => {
    Object.assign(state, { trail: [] }, values);
    note({ search: state.search, project: state.project });
    page.now();
  };
  const made = async (answer, text) => {
    if (!answer) return;
    page.now();
    await showSecret({ title: `The key ${answer.key.name}`, text, secret: answer.secret });
  };
  const create = async () =>
    made(
      await keyForm('New key', state.project ? { project: state.project } : {}, SPECS, 'Create key', (draft) =>
        change('POST', 'keys', { name: '', ...draft }),
      ),
      'This is what callers send. It is shown only now.',
    );
  const edit = async (key) => {
    const base = Object.fromEntries(
      SPECS.map((spec) => [spec.name, key[spec.name]]).filter(
        ([, value]) => value != null && !(Array.isArray(value) && !value.length),
      ),
    );
    if (key.expires_ms) base.expires = new Date(key.expires_ms).toISOString();
    if (base.enabled) delete base.enabled;
    const done = await keyForm(
      `Change ${key.name}`,
      structuredClone(base),
      SPECS.filter((spec) => spec.name !== 'name'),
      'Save',
      (draft) => {
        const patch = Object.fromEntries(
          differing(base, draft).map((name) => [
            name,
            name === 'budget' && draft.budget ? [].concat(draft.budget) : (draft[name] ?? null),
          ]),
        );
        return change('PATCH', `keys/${seg(key.name)}`, patch, { match: `"${key.revision}"` });
      },
    );
    if (done) {
      toast(`${key.name} is changed`);
      page.now();
    }
  };
  const rotate = async (key) => {
    const sure = await confirm({
      title: `Rotate ${key.name}?`,
      text: [
        'It gets another secret, shown once. The one before stays valid for a day, so that callers can change over.',
        key.secrets.length > 1 ? 'Two secrets are valid already: the older one ends at once.' : '',
      ],
      yes: 'Rotate',
    });
    if (sure)
      await change('POST', `keys/${seg(key.name)}/rotate`, {}).then(
        (answer) => made(answer, 'This is the new secret. The one before is valid for another day.'),
        (error) => toast(error.message, 'bad'),
      );
  };
  const end = async (key, how) => {
    const sure = await confirm({
      title: `${how === 'revoke' ? 'Revoke' : 'Delete'} ${key.name}?`,
      text:
        how === 'revoke'
          ? 'From the next request on it is refused, for good.'
          : 'It is forgotten. What it has used stays counted under its name.',
      yes: how === 'revoke' ? 'Revoke' : 'Delete',
      danger: true,
    });
    if (!sure) return;
    await (
      how === 'revoke' ? change('POST', `keys/${seg(key.name)}/revoke`, {}) : change('DELETE', `keys/${seg(key.name)}`)
    ).then(
      () => toast(`${key.name} is ${how === 'revoke' ? 'revoked' : 'deleted'}`),
      (error) => toast(error.message, 'bad'),
    );
    page.now();
  };
  const columns = [
    {
      head: 'Key',
      lead: true,
      cell: (one) =>
        h(
          'div',
          { class: 'two' },
          h('span', { class: 'name' }, one.name),
          h(
            'span',
            { class: 'hint' },
            h('code', null, one.secrets.map((secret) => `${secret.prefix}…`).join(' ')),
            one.description && ` ${one.description}`,
          ),
        ),
    },
    { head: 'Project', cell: (one) => one.project },
    {
      head: 'State',
      cell: (one) =>
        h(
          'div',
          { class: 'two' },
          h('span', null, pill(one.state, TONE[one.state], { dot: true })),
          one.expires_ms && one.state === 'active' && h('span', { class: 'hint num' }, `ends ${day(one.expires_ms)}`),
          one.secrets.length > 1 &&
            h(
              'span',
              { class: 'hint num' },
              `rotating until ${when(Math.min(...one.secrets.map((secret) => secret.expires_ms || Infinity)))}`,
            ),
        ),
    },
    { head: 'May call', cell: (one) => h('span', { class: 'hint' }, (one.aliases || ['all']).join(', ')) },
    {
      head: 'Limits',
      cell: (one) =>
        h('span', { class: 'hint num' }, [limits(one), ...one.budget].filter((text) => text !== 'none').join(' · ') || 'none'),
    },
    {
      head: 'Made',
      cell: (one) => h('span', { class: 'hint num', title: when(one.created_ms) }, `${ago(one.created_ms)} by ${one.created_by}`),
    },
    {
      head: 'Actions',
      quiet: true,
      cell: (one) =>
        h(
          'div',
          { class: 'actions' },
          one.state === 'revoked'
            ? button('Delete', () => end(one, 'delete'), {
                kind: 'small danger-quiet',
                role: 'editor',
                'aria-label': `Delete ${one.name}`,
              })
            : [
                button('Edit', () => edit(one), { kind: 'small', role: 'editor', 'aria-label': `Edit ${one.name}` }),
                button('Rotate', () => rotate(one), {
                  kind: 'small',
                  role: 'editor',
                  test: 'rotate-key',
                  name: one.name,
                  'aria-label': `Rotate ${one.name}`,
                }),
                button('Revoke', () => end(one, 'revoke'), {
                  kind: 'small danger-quiet',
                  role: 'editor',
                  test: 'revoke-key',
                  name: one.name,
                  'aria-label': `Revoke ${one.name}`,
                }),
              ],
        ),
    },
  ];
  const page = livePage(
    ctx,
    (signal) => get('keys', { search: state.search, project: state.project, after: state.trail.at(-1), limit: 50 }, signal),
    15000,
    (now) => [
      head('Keys', {
        lead: state.project && [
          'of the project ',
          h('b', null, state.project),
          button('Show all', () => again({ project: '' }), { kind: 'small quiet' }),
        ],
        actions: button('New key', create, {
          kind: 'primary',
          pic: 'plus',
          role: 'editor',
          test: 'new-key',
          title: barred('editor'),
        }),
      }),
      panel(
        'Keys of callers',
        { aside: searchBox('Search keys', state.search, (search) => again({ search })) },
        !now.data
          ? waiting(now)
          : now.data.items.length
            ? table({
                caption: 'Keys',
                columns,
                rows: now.data.items,
                key: (one) => one.name,
                row: (one) => ({ test: 'key-row', 'data-name': one.name, 'data-state': one.state }),
              })
            : empty(
                state.search ? 'No key is like that' : 'No keys yet',
                'A caller needs one, unless the gateway is open. It is shown once, when it is made.',
              ),
        now.data &&
          pager(state.trail, now.data.next, (trail) => {
            state.trail = trail;
            page.now();
          }),
      ),
    ],
  );
}
