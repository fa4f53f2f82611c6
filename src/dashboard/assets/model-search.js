// Choosing models from all that the catalogue knows.

import { get } from './api.js';
import { h } from './dom.js';
import { dialogEnd, openDialog } from './dialog.js';
import { price, tokens, words } from './format.js';
import { button, empty, icon, pill } from './widgets.js';

/// What a model costs where it is cheapest.
export function priceText(model) {
  const known = model.endpoints
    .filter((one) => one.input_usd_per_mtok != null)
    .sort((a, b) => a.input_usd_per_mtok - b.input_usd_per_mtok);
  if (!known.length) return 'price not known';
  return `${price(known[0].input_usd_per_mtok)} in, ${price(known[0].output_usd_per_mtok)} out per million${known.length > 1 ? ', from' : ''}`;
}

/// A model in a line.
export const facts = (model) =>
  [
    model.context_window ? `${tokens(model.context_window)} context` : null,
    priceText(model),
    model.endpoints.length ? `at ${model.endpoints.map((one) => one.provider).join(', ')}` : null,
    model.lacks.length ? `no ${model.lacks.map(words).join(', no ')}` : null,
  ]
    .filter(Boolean)
    .join(' · ');

/// Opens a dialog; `add(model)` is called for each that is chosen. `taken` are the ids that are
/// there already, which are not added again by mistake.
export function chooseModels(taken, add) {
  const state = { search: '', served: true, models: null, next: null, error: null };
  let asked = 0;
  let timer;
  let render = () => {};
  const load = async (more) => {
    const mine = ++asked;
    try {
      const page = await get('catalogue/models', {
        search: state.search,
        served: state.served || null,
        after: more ? state.next : null,
        limit: 50,
      });
      if (mine !== asked) return;
      state.models = more ? [...state.models, ...page.items] : page.items;
      state.next = page.next;
      state.error = null;
    } catch (error) {
      state.error = error;
    }
    render();
  };
  const step = (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    const stops = [...event.currentTarget.querySelectorAll('[data-test=model-search], .model-option')];
    const next = stops[stops.indexOf(document.activeElement) + by];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  };
  const option = (model) => {
    const there = taken.has(model.id);
    return h(
      'li',
      { key: model.id },
      h(
        'button',
        {
          type: 'button',
          class: 'model-option',
          test: 'model-option',
          'data-name': model.id,
          'aria-disabled': there ? 'true' : null,
          on: {
            click: () => {
              if (taken.has(model.id)) return;
              taken.add(model.id);
              add(model);
              render();
            },
          },
        },
        h('span', { class: 'model-state' }, icon(there ? 'ok' : 'plus')),
        h('span', { class: 'two' }, h('span', { class: 'name' }, model.id), h('span', { class: 'hint num' }, facts(model))),
        there ? pill('in the list', 'ok') : !model.served && pill('no provider configured', 'warn'),
      ),
    );
  };
  const opened = openDialog({
    title: 'Add models',
    wide: true,
    test: 'model-dialog',
    draw: (dialog) => {
      ({ render } = dialog);
      return h(
        'div',
        { class: 'model-search', on: { keydown: step } },
        h(
          'div',
          { class: 'dialog-body' },
          h(
            'div',
            { class: 'search-line' },
            h(
              'label',
              { class: 'search grow' },
              icon('search'),
              h('span', { class: 'sr' }, 'Search models'),
              h('input', {
                type: 'search',
                placeholder: 'Search by name, such as gpt or claude',
                autofocus: true,
                autocomplete: 'off',
                spellcheck: 'false',
                test: 'model-search',
                value: state.search,
                on: {
                  input: (event) => {
                    state.search = event.target.value.trim();
                    clearTimeout(timer);
                    timer = setTimeout(() => load(), 150);
                  },
                },
              }),
            ),
            h(
              'label',
              { class: 'check' },
              h('input', {
                type: 'checkbox',
                checked: state.served,
                on: {
                  change: (event) => {
                    state.served = event.target.checked;
                    load();
                  },
                },
              }),
              'only those that can be used',
            ),
          ),
          state.error
            ? h('p', { class: 'bad-text' }, state.error.message)
            : !state.models
              ? h('p', { class: 'hint' }, 'Loading…')
              : state.models.length === 0
                ? empty('No model is like that', state.served ? 'Perhaps its provider is not configured: look among all.' : null)
                : h('ul', { class: 'model-list', 'aria-label': 'Models' }, state.models.map(option)),
          state.next && button('Show more', () => load(true), { kind: 'small' }),
        ),
        dialogEnd(button('Done', () => dialog.close(), { kind: 'primary', test: 'model-done' })),
      );
    },
  });
  load();
  return opened;
}
