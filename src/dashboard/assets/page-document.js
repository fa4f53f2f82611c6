// A provider, model or project as a form.

import { barred, change, getTagged, seg } from './api.js';
import { h, show } from './dom.js';
import { confirm } from './dialog.js';
import { differing } from './diff.js';
import { fields } from './fields.js';
import { go, guardWith } from './router.js';
import { pathOf, refusal, save } from './save.js';
import { button, failure, head, notice, panel, skeleton, toast } from './widgets.js';

const number = (name, label, placeholder = 'unlimited') => ({ name, label, type: 'number', placeholder });
/// What a key and a project may do.
export const SCOPES = [
  { name: 'aliases', label: 'May call these aliases', type: 'list', placeholder: 'all' },
  { name: 'models', label: 'Served by these models', type: 'list', placeholder: 'all' },
  { name: 'providers', label: 'Served by these providers', type: 'list', placeholder: 'all' },
  number('requests_per_minute', 'Requests per minute'),
  number('tokens_per_minute', 'Tokens per minute'),
  number('max_in_flight', 'Requests at once'),
  {
    name: 'budget',
    label: 'Budget',
    type: 'budget',
    placeholder: '$50/day, $1000/month',
    hint: 'Per day, week or month, in UTC.',
  },
];
const ENABLED = { name: 'enabled', label: 'Switched on', type: 'bool', standard: true };
const DESCRIPTION = { name: 'description', label: 'Description', full: true };

const KINDS = {
  provider: {
    id: 'id',
    list: 'providers',
    title: 'provider',
    role: 'admin',
    specs: [
      {
        name: 'protocol',
        label: 'Protocol',
        type: 'select',
        options: ['openai', 'anthropic', 'gemini'].map((id) => [id, id]),
        hint: 'Default: as the catalogue says.',
      },
      { name: 'base_url', label: 'Base URL', full: true, placeholder: 'as the catalogue says' },
      { name: 'api_key_env', label: 'Key in the variable', placeholder: 'OPENAI_API_KEY' },
      { name: 'api_key_file', label: 'Key in the file' },
      { name: 'api_key', label: 'The key itself', secret: true, hint: 'Is sealed in the store; takes a master key.' },
      {
        name: 'auth',
        label: 'How the key travels',
        type: 'scalar',
        placeholder: 'by protocol',
        hint: 'bearer, none, or { "header": "x-key" }',
      },
      number('requests_per_minute', 'Requests per minute'),
      number('tokens_per_minute', 'Tokens per minute'),
      number('max_in_flight', 'Requests at once'),
      { name: 'budget', label: 'Budget', type: 'budget', placeholder: '$50/day' },
      { name: 'connect_timeout', label: 'Connect within', type: 'scalar', placeholder: '10s' },
      { name: 'azure_api_version', label: 'Azure API version', placeholder: '2024-10-21' },
      { name: 'headers', label: 'Headers (JSON)', type: 'json' },
      { name: 'private_addresses', label: 'May have a private address', type: 'bool' },
      ENABLED,
    ],
  },
  model: {
    id: 'id',
    list: 'models',
    title: 'model',
    role: 'editor',
    specs: [
      number('context_window', 'Context window', 'from the catalogue'),
      number('max_output_tokens', 'Longest answer', 'from the catalogue'),
      { name: 'input_modalities', label: 'Takes', type: 'list', placeholder: 'from the catalogue' },
      {
        name: 'endpoints',
        label: 'Where it is served (JSON)',
        type: 'json',
        hint: '[{ "provider": "office", "upstream_model": "llama", "usd_per_mtok": { "input": 0.05, "output": 0.1 } }]',
      },
      { name: 'hidden', label: 'Callers may not name it', type: 'bool' },
    ],
  },
  project: { id: 'name', list: 'projects', title: 'project', role: 'editor', specs: [DESCRIPTION, ...SCOPES, ENABLED] },
};

export default async function edit(ctx) {
  const kind = KINDS[ctx.params.kind];
  const { name } = ctx.params;
  const state = { base: {}, draft: null, match: null, outcome: null, error: null };
  const form = { bad: new Map(), locked: barred(kind.role), changed: () => render() };
  const back = `/dashboard/${kind.list}`;
  ctx.title(name || `New ${kind.title}`);
  const load = async () => {
    state.error = null;
    state.outcome = null;
    try {
      const { data, tag } = name
        ? await getTagged(pathOf(ctx.params.kind, name))
        : { data: { document: { [kind.id]: ctx.query.id || '' } }, tag: null };
      Object.assign(state, { base: name ? data.document : {}, draft: structuredClone(data.document), match: tag });
    } catch (error) {
      // Of the catalogue's models and of the project `default` there is none until somebody changes it.
      if (error.status === 404 && ctx.params.kind !== 'provider')
        Object.assign(state, { base: { [kind.id]: name }, draft: { [kind.id]: name }, match: null });
      else state.error = error;
    }
    render();
  };
  const dirty = () => state.draft && differing(state.base, state.draft).length > 0;
  const leave = () => {
    guardWith(null);
    go(back, { force: true });
  };
  const submit = async () => {
    const outcome = form.bad.size
      ? { problems: [...form.bad].map(([path, message]) => ({ path, message })) }
      : await save({
          kind: ctx.params.kind,
          name: state.draft[kind.id],
          draft: state.draft,
          base: state.base,
          match: state.match,
        });
    state.outcome = outcome;
    if (outcome?.saved || outcome?.gone) leave();
    else if (outcome?.reload) await load();
    else if (outcome?.merged) Object.assign(state, outcome.merged, { outcome: null });
    if (!ctx.left()) render();
  };
  const remove = async () => {
    if (
      !(await confirm({
        title: `Delete ${name}?`,
        text: 'It can be brought back from the history.',
        yes: 'Delete',
        danger: true,
      }))
    )
      return;
    try {
      await change('DELETE', `${kind.list}/${seg(name)}`, undefined, { match: state.match });
      toast(`${name} is deleted`);
      leave();
    } catch (error) {
      state.outcome = { problems: error.problems, message: error.message };
      render();
    }
  };
  const render = () => {
    if (ctx.left()) return;
    guardWith(
      dirty() && (name || Object.keys(state.draft).length > 1)
        ? () => confirm({ title: 'Leave without saving?', text: 'What you changed here is lost.', yes: 'Leave', danger: true })
        : null,
    );
    show(
      ctx.root,
      head(name || `New ${kind.title}`, {
        back: [back, kind.list[0].toUpperCase() + kind.list.slice(1)],
        actions: state.match && button('Delete', remove, { role: kind.role, kind: 'danger-quiet' }),
      }),
      state.error
        ? failure(state.error, load)
        : !state.draft
          ? skeleton()
          : [
              form.locked && h('div', { key: 'locked' }, notice('info', form.locked)),
              state.outcome?.problems && h('div', { key: 'refusal' }, refusal(state.outcome)),
              panel(
                'Settings',
                {},
                !name &&
                  h(
                    'div',
                    { class: 'field', key: 'id' },
                    h('label', { for: 'document-name' }, kind.id === 'id' ? 'Id' : 'Name'),
                    h('input', {
                      id: 'document-name',
                      test: 'document-name',
                      value: state.draft[kind.id],
                      autocomplete: 'off',
                      spellcheck: 'false',
                      on: {
                        input: (event) => {
                          state.draft[kind.id] = event.target.value.trim();
                          render();
                        },
                      },
                    }),
                  ),
                fields(state.draft, kind.specs, form),
              ),
              h(
                'div',
                { class: 'savebar', key: 'bar' },
                h(
                  'span',
                  { class: 'hint' },
                  dirty() ? `Changed: ${differing(state.base, state.draft).join(', ')}` : 'Nothing is changed',
                ),
                h('span', { class: 'spacer' }),
                button('Discard', () => go(back)),
                button('Preview and save', submit, {
                  kind: 'primary',
                  test: 'preview',
                  role: kind.role,
                  disabled: !dirty(),
                  why: 'Nothing is changed yet.',
                }),
              ),
            ],
    );
  };
  render();
  await load();
}
