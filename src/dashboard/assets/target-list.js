// The targets of an alias or category: added, taken out, put in order, weighed.

import { announce, h } from './dom.js';
import { hue } from './chart.js';
import { drag } from './drag.js';
import { field, fields, keyOf } from './fields.js';
import { share } from './format.js';
import { chooseModels, facts } from './model-search.js';
import { TARGET } from './options.js';
import { button, empty, pill } from './widgets.js';

const rankOf = (target, i) => target.rank ?? i;
const weightOf = (target) => (target.weight === undefined ? 1 : Number(target.weight));
const counts = (target) => target.enabled !== false && !target.last_resort && weightOf(target) > 0;

/// Whether weights say anything under this strategy.
function weighed(owner) {
  if (owner.strategy === 'random-shuffle' || owner.strategy === 'lowest-usage') return true;
  const ranks = (owner.targets || []).map(rankOf);
  return owner.strategy === 'priority' && !owner.within && new Set(ranks).size < ranks.length;
}

/// The share of traffic that the weights alone would make, or null where they make none.
export function shares(owner) {
  const targets = owner.targets || [];
  if (owner.strategy === 'random-shuffle') {
    const all = targets.filter(counts).reduce((sum, target) => sum + weightOf(target), 0);
    return targets.map((target) => (counts(target) && all ? weightOf(target) / all : 0));
  }
  if (owner.strategy === 'priority') {
    const first = Math.min(...targets.map((target, i) => (counts(target) ? rankOf(target, i) : Infinity)));
    const lead = (target, i) => counts(target) && rankOf(target, i) === first;
    const all = targets.filter(lead).reduce((sum, target) => sum + weightOf(target), 0);
    return targets.map((target, i) => (lead(target, i) ? (owner.within ? null : weightOf(target) / all) : 0));
  }
  return targets.map(() => null);
}

/// `owner` has `strategy` and `targets`. `form` is that of the fields, with `known`, the models
/// by id. `name` says whose targets they are.
export function targetList(owner, form, prefix, name = '') {
  const targets = (owner.targets ||= []);
  const parts = shares(owner);
  const locked = form.locked;
  const move = (from, to) => {
    if (to < 0 || to >= targets.length) {
      announce(`${targets[from].model} is ${from === 0 ? 'first' : 'last'} already`);
      return;
    }
    const [target] = targets.splice(from, 1);
    targets.splice(to, 0, target);
    form.changed();
    announce(`${target.model} moved to position ${to + 1} of ${targets.length}`);
  };
  const remove = (i) => {
    const [gone] = targets.splice(i, 1);
    form.changed();
    announce(`${gone.model} taken out`);
    document.querySelector(`[data-list="${prefix}"] [data-test=remove-target]`)?.focus();
  };
  const item = (target, i) => {
    const model = form.known.get(target.model);
    const part = parts[i];
    const at = `${prefix}targets[${i}].`;
    const quiet = locked ? { disabled: true, why: locked } : {};
    return h(
      'li',
      {
        class: 'target-item',
        key: keyOf(target),
        test: 'target-item',
        'data-name': target.model,
        on: {
          keydown: (event) => {
            // On the handle itself the bare arrow keys do, as there is nothing else they could mean.
            const by = (event.altKey || event.target.closest('.grip')) && { ArrowUp: -1, ArrowDown: 1 }[event.key];
            if (!by || locked) return;
            event.preventDefault();
            event.stopPropagation();
            move(i, i + by);
          },
        },
      },
      h(
        'div',
        { class: 'target-line' },
        button(`Move ${target.model}: drag, or arrow keys`, null, {
          kind: 'icon quiet grip',
          pic: 'grip',
          test: 'drag-handle',
          ...quiet,
          on: {
            pointerdown: (event) => {
              if (!locked) drag(event, event.currentTarget.closest('li'), move);
            },
          },
        }),
        h('span', { class: 'place num' }, `${i + 1}`),
        h(
          'div',
          { class: 'target-words' },
          h(
            'div',
            { class: 'target-name' },
            h('i', { class: `swatch ${hue(i)}` }),
            h('span', { class: 'name' }, target.model),
            target.enabled === false && pill('off'),
            target.last_resort && pill('last resort', 'info'),
            target.weight === 0 && !target.last_resort && pill('drained', 'warn'),
            form.known.has(target.model) && !model && pill('not in the catalogue', 'bad'),
            model && !model.served && pill('no provider configured', 'warn'),
          ),
          h('div', { class: 'hint num' }, model ? facts(model) : '\u00a0'),
        ),
        h(
          'div',
          { class: 'target-weight' },
          weighed(owner) &&
            h(
              'label',
              { class: 'weight' },
              h('span', null, 'Weight'),
              h('input', {
                type: 'text',
                inputmode: 'decimal',
                test: 'weight',
                value: String(target.weight ?? 1),
                disabled: !!locked,
                'aria-label': `Weight of ${target.model}`,
                on: {
                  input: (event) => {
                    const text = event.target.value.trim();
                    const number = Number(text);
                    if (text === '') delete target.weight;
                    else target.weight = Number.isFinite(number) ? number : text;
                    form.changed();
                  },
                },
              }),
            ),
          part != null &&
            h(
              'span',
              { class: 'share-of', test: 'share', 'data-share': part.toFixed(4) },
              owner.strategy === 'priority' && part === 0 && counts(target)
                ? h('span', { class: 'hint' }, 'stands by')
                : h('b', { class: 'num' }, share(part, (part * 100) % 1 ? 1 : 0)),
              h('span', { class: 'meter', 'aria-hidden': 'true' }, h('i', { class: hue(i), style: { width: `${part * 100}%` } })),
            ),
        ),
        h(
          'div',
          { class: 'target-buttons' },
          button(`Move ${target.model} up`, () => move(i, i - 1), { kind: 'icon quiet', pic: 'up', test: 'move-up', ...quiet }),
          button(`Move ${target.model} down`, () => move(i, i + 1), {
            kind: 'icon quiet',
            pic: 'down',
            test: 'move-down',
            ...quiet,
          }),
          button(`Take out ${target.model}`, () => remove(i), {
            kind: 'icon quiet',
            pic: 'trash',
            test: 'remove-target',
            ...quiet,
          }),
        ),
      ),
      h(
        'details',
        { class: 'target-more' },
        h('summary', null, 'More about this target'),
        h(
          'div',
          { class: 'fields' },
          owner.strategy === 'priority' &&
            field(
              target,
              {
                name: 'rank',
                label: 'Rank',
                type: 'number',
                placeholder: String(i),
                hint: 'Lower first; equal ranks share. Unset: its position.',
              },
              form,
              at,
            ),
        ),
        fields(target, TARGET, form, at),
        button(
          'Add it a second time',
          () => {
            targets.splice(i + 1, 0, structuredClone(target));
            form.changed();
          },
          { kind: 'small', pic: 'copy', ...quiet },
        ),
      ),
    );
  };
  return h(
    'div',
    { class: 'target-list', 'data-list': prefix },
    targets.length
      ? h('ol', { class: 'targets', 'aria-label': `Targets${name && ` of ${name}`}, in order` }, targets.map(item))
      : empty('No targets yet', 'Add the models that may answer. The order matters under every strategy: it breaks ties.'),
    h(
      'div',
      { class: 'actions' },
      button(
        'Add models',
        () =>
          chooseModels(new Set(targets.map((target) => target.model)), (model) => {
            form.known.set(model.id, model);
            targets.push({ model: model.id });
            form.changed();
            announce(`${model.id} added at position ${targets.length}`);
          }),
        { pic: 'plus', test: 'add-target', ...(locked ? { disabled: true, why: locked } : {}) },
      ),
    ),
  );
}
