// An alias as a form: everything it can be, in the order in which one thinks of it.

import { barred, get, getTagged, seg } from './api.js';
import { announce, h, show } from './dom.js';
import { categories, changeStrategy, strategyField, tryBox } from './category-form.js';
import { confirm } from './dialog.js';
import { differing } from './diff.js';
import { field, fold } from './fields.js';
import { when } from './format.js';
import { onEvent } from './live.js';
import { ACCESS, LEARNING, LIMITS, optionsOf } from './options.js';
import { targetsOf } from './page-alias.js';
import { go, guardWith } from './router.js';
import { conflict, pathOf, refusal, save } from './save.js';
import { targetList } from './target-list.js';
import { button, failure, head, notice, panel, skeleton, toast } from './widgets.js';

export default async function edit(ctx) {
  const name = ctx.params.name || null;
  const state = { base: null, draft: null, match: null, outcome: null, newer: null, taken: [], error: null };
  const trial = { prompt: '' };
  const form = {
    bad: new Map(),
    known: new Map(),
    locked: barred('editor'),
    changed: () => render(),
    strategy: (owner, id) => {
      state.taken = changeStrategy(owner, id);
      if (state.taken.length) announce(`Taken out, since they do not belong to ${id}: ${state.taken.join(', ')}`);
      render();
    },
  };
  ctx.title(name ? `Edit ${name}` : 'New alias');

  const dirty = () => state.draft && differing(state.base, state.draft).length > 0;

  async function learn() {
    const ids = [...new Set(targetsOf(state.draft).map((target) => target.model))].filter((id) => !form.known.has(id));
    await Promise.all(
      ids.map(async (id) => {
        const page = await get('catalogue/models', { search: id, limit: 20 }).catch(() => null);
        if (page)
          form.known.set(
            id,
            page.items.find((model) => model.id === id),
          );
      }),
    );
    render();
  }

  async function load() {
    state.error = null;
    try {
      if (name) {
        const { data, tag } = await getTagged(pathOf('alias', name));
        Object.assign(state, { base: data.document, draft: structuredClone(data.document), match: tag });
      } else {
        const from = ctx.query.from && (await getTagged(pathOf('alias', ctx.query.from))).data.document;
        const draft = from
          ? { ...structuredClone(from), name: `${from.name}-copy` }
          : { name: '', strategy: 'priority', targets: [] };
        Object.assign(state, { base: from ? {} : structuredClone(draft), draft, match: null });
      }
      Object.assign(state, { outcome: null, newer: null });
      form.bad.clear();
    } catch (error) {
      state.error = error;
    }
    render();
    if (state.draft) learn();
  }

  const home = (saved) => `/dashboard/${saved ? `aliases/${seg(saved)}` : ''}`;

  async function take(outcome) {
    state.outcome = outcome;
    if (outcome?.saved) {
      guardWith(null);
      go(home(state.draft.name), { force: true });
      return;
    }
    if (outcome?.reload) {
      if (outcome.gone) {
        guardWith(null);
        go('/dashboard/', { force: true });
        return;
      }
      await load();
      toast('This is what it is now', 'info');
      return;
    }
    if (outcome?.merged) {
      const { base, draft, match } = outcome.merged;
      Object.assign(state, { base, draft, match, outcome: null, newer: null });
      render();
      learn();
      toast('Yours is on top of theirs; look at the preview and save', 'info');
      return;
    }
    render();
    if (outcome?.problems) ctx.root.querySelector('[data-test=problems]')?.scrollIntoView({ block: 'center' });
  }

  const job = () => ({ kind: 'alias', name: state.draft.name, draft: state.draft, base: state.base, match: state.match });

  async function preview() {
    if (form.bad.size) {
      await take({ problems: [...form.bad].map(([path, message]) => ({ path, message })), message: '' });
      return;
    }
    state.outcome = null;
    await take(await save(job()));
  }

  function bar() {
    const differ = differing(state.base, state.draft);
    // What is new has set what it has, and changed nothing.
    const changed = state.match ? differ : differ.filter((field) => field in state.draft);
    return h(
      'div',
      { class: 'savebar', key: 'savebar' },
      h(
        'span',
        { class: 'hint' },
        changed.length ? `${state.match ? 'Changed' : 'Set'}: ${changed.join(', ')}` : 'Nothing is changed',
      ),
      h('span', { class: 'spacer' }),
      button('Discard', () => go(home(name)), { test: 'discard' }),
      button('Preview and save', preview, {
        kind: 'primary',
        test: 'preview',
        role: 'editor',
        disabled: !changed.length,
        why: 'Nothing is changed yet.',
      }),
    );
  }

  function draw() {
    if (state.error) return failure(state.error, load);
    if (!state.draft) return skeleton(8);
    const { draft } = state;
    return [
      form.locked && h('div', { key: 'locked' }, notice('info', `${barred('editor')} You can look, and try prompts.`)),
      state.newer &&
        h(
          'div',
          { key: 'newer' },
          notice(
            'warn',
            `${state.newer.author} has changed this alias at ${when(state.newer.at_ms)} (revision ${state.newer.number}), while you were editing.`,
            h(
              'div',
              { class: 'actions' },
              button('See it side by side', async () => take(await conflict(job())), { kind: 'small' }),
            ),
          ),
        ),
      state.outcome?.problems && h('div', { key: 'refusal' }, refusal(state.outcome)),
      panel(
        'What callers name',
        { class: 'narrow' },
        h(
          'div',
          { class: 'fields' },
          h(
            'div',
            { class: 'field', key: 'name' },
            h('label', { for: 'alias-name' }, 'Name'),
            h('input', {
              id: 'alias-name',
              test: 'alias-name',
              value: draft.name,
              readonly: name ? true : null,
              required: true,
              autocomplete: 'off',
              spellcheck: 'false',
              placeholder: 'prod-chat',
              on: {
                input: (event) => {
                  draft.name = event.target.value.trim();
                  render();
                },
              },
            }),
            h(
              'p',
              { class: 'hint' },
              name ? 'Renaming is on the alias’s page: keys and projects follow it.' : 'Letters, digits and - _ . / : ~',
            ),
          ),
          strategyField(draft, form, '', { all: true }),
          optionsOf(draft).map((spec) => field(draft, spec, form)),
        ),
        state.taken.length > 0 &&
          h(
            'p',
            { class: 'hint', key: 'taken' },
            `Taken out, since they do not belong to this strategy: ${state.taken.join(', ')}.`,
          ),
      ),
      draft.strategy === 'category'
        ? h('div', { key: 'categories', class: 'page' }, tryBox(draft, trial, render), categories(draft, form))
        : panel(
            'Targets',
            {
              hint:
                draft.strategy === 'priority'
                  ? 'the first serves, the next stand by'
                  : 'drag, or Alt with the arrow keys, to reorder',
            },
            targetList(draft, form, ''),
          ),
      draft.strategy !== 'category' && tryBox(draft, trial, render),
      panel(
        'Learning, fallback and limits',
        { key: 'limits' },
        fold('Learning and hedging', draft, LEARNING, form),
        fold('Attempts, times and fallback', draft, LIMITS, form),
        fold('Who may call it, and for how much', draft, ACCESS, form),
      ),
      bar(),
    ];
  }

  function render() {
    if (ctx.left()) return;
    guardWith(
      dirty()
        ? () => confirm({ title: 'Leave without saving?', text: 'What you changed here is lost.', yes: 'Leave', danger: true })
        : null,
    );
    show(
      ctx.root,
      head(name ? `Edit ${name}` : ctx.query.from ? `Duplicate ${ctx.query.from}` : 'New alias', {
        back: [home(name), name || 'Overview'],
      }),
      draw(),
    );
  }

  ctx.onLeave(
    onEvent('revision', (revision) => {
      const touched = name && revision.changes.some((one) => one.kind === 'alias' && one.name === name);
      if (!touched || `"${revision.number}"` === state.match) return;
      if (!dirty()) load();
      else {
        state.newer = revision;
        render();
      }
    }),
  );
  render();
  await load();
}
