// The categories of an alias: what belongs to each, who serves it, and a box to try prompts.

import { change } from './api.js';
import { announce, h } from './dom.js';
import { field, fold, keyOf } from './fields.js';
import { share, targetName, words } from './format.js';
import { ranking, verdict } from './decisions.js';
import { BUILT_IN, CATEGORY, LEARNING, LIMITS, STRATEGIES, optionsOf, prune, strategy } from './options.js';
import { targetList } from './target-list.js';
import { button, icon, panel, pill } from './widgets.js';

const isDefault = (category) => category.name === 'default';
const plain = (name) =>
  String(name || '')
    .toLowerCase()
    .replaceAll('-', '_');
const isBuiltIn = (category) => BUILT_IN.includes(plain(category.name)) || plain(category.name) === 'content_writing';

/// A choice of strategy with what it means.
export function strategyField(owner, form, prefix, { all, test = 'strategy' } = {}) {
  const id = `f-${prefix.replace(/[^\w-]/g, '-')}strategy`;
  const offered = STRATEGIES.filter((one) => all || one.id !== 'category');
  return h(
    'div',
    { class: 'field double', key: 'strategy' },
    h('label', { for: id }, 'Strategy'),
    h(
      'select',
      {
        id,
        test,
        value: owner.strategy,
        disabled: !!form.locked,
        'aria-describedby': `${id}-hint`,
        on: { change: (event) => form.strategy(owner, event.target.value) },
      },
      offered.map((one) => h('option', { value: one.id, key: one.id }, one.label)),
    ),
    h('p', { class: 'hint', id: `${id}-hint` }, strategy(owner.strategy).says),
  );
}

function examples(category, form) {
  const all = category.examples || [];
  const set = (next) => {
    if (next.length) category.examples = next;
    else delete category.examples;
    form.changed();
  };
  return h(
    'div',
    { class: 'field full', test: 'category-examples', key: 'examples' },
    h('span', { class: 'label' }, `Examples of prompts (${all.length} of 50; about ten make it good)`),
    h(
      'ul',
      { class: 'examples' },
      all.map((text, i) =>
        h(
          'li',
          { key: `${i}` },
          h('textarea', {
            rows: 1,
            value: text,
            test: 'category-example',
            'aria-label': `Example ${i + 1} of ${category.name || 'the category'}`,
            disabled: !!form.locked,
            on: {
              input: (event) => {
                category.examples[i] = event.target.value;
                form.changed();
              },
            },
          }),
          button(`Take out example ${i + 1}`, () => set(all.filter((_, at) => at !== i)), { kind: 'icon quiet', pic: 'trash' }),
        ),
      ),
    ),
    h(
      'div',
      { class: 'actions' },
      button(
        'Add an example',
        (event) => {
          const box = event.currentTarget.closest('.field');
          set([...all, '']);
          box.querySelector('li:last-child textarea')?.focus();
        },
        {
          kind: 'small',
          pic: 'plus',
          test: 'add-example',
          disabled: !!form.locked || all.length >= 50,
          why: form.locked || 'Fifty are the most.',
        },
      ),
    ),
  );
}

function one(document, category, i, form) {
  const prefix = `categories[${i}].`;
  const builtIn = isBuiltIn(category);
  const nameId = `category-${keyOf(category)}`;
  return h(
    'section',
    {
      class: 'category',
      key: keyOf(category),
      test: 'category-item',
      'data-name': category.name || '',
      'aria-label': `Category ${category.name || i + 1}`,
    },
    h(
      'div',
      { class: 'category-head' },
      h('h3', null, category.name || 'A new category'),
      isDefault(category) ? pill('whatever matches nothing else') : builtIn ? pill('built in', 'info') : pill('your own'),
      !isDefault(category) &&
        button(
          `Take out ${category.name || 'this category'}`,
          () => {
            document.categories.splice(i, 1);
            form.changed();
            announce('Category taken out');
          },
          { kind: 'icon quiet', pic: 'trash', test: 'remove-category', disabled: !!form.locked, why: form.locked },
        ),
    ),
    h(
      'div',
      { class: 'fields' },
      !isDefault(category) &&
        h(
          'div',
          { class: 'field', key: 'name' },
          h('label', { for: nameId }, 'Name'),
          h('input', {
            id: nameId,
            list: 'built-in',
            value: category.name || '',
            test: 'category-name',
            autocomplete: 'off',
            spellcheck: 'false',
            disabled: !!form.locked,
            on: {
              input: (event) => {
                category.name = event.target.value.trim();
                form.changed();
              },
            },
          }),
          h('p', { class: 'hint' }, 'A built-in category, or a name of your own.'),
        ),
      !isDefault(category) &&
        !builtIn &&
        h(
          'div',
          { class: 'field full', key: 'description' },
          h('label', { for: `${nameId}-d` }, 'What such prompts are about'),
          h('textarea', {
            id: `${nameId}-d`,
            rows: 2,
            value: category.description || '',
            test: 'category-description',
            disabled: !!form.locked,
            placeholder: 'customers who want their money back',
            on: {
              input: (event) => {
                if (event.target.value) category.description = event.target.value;
                else delete category.description;
                form.changed();
              },
            },
          }),
        ),
      !isDefault(category) && !builtIn && examples(category, form),
      strategyField(category, form, prefix, { test: 'category-strategy' }),
      optionsOf(category).map((spec) => field(category, spec, form, prefix)),
    ),
    targetList(category, form, prefix, category.name || 'the new category'),
    !isDefault(category) && fold('When it is meant', category, CATEGORY, form, prefix),
    fold('Limits and learning of this category', category, [...LIMITS, ...LEARNING], form, prefix),
  );
}

function add(document, form) {
  const used = new Set(document.categories.map((category) => plain(category.name)));
  const free = document.categories.findIndex(isDefault);
  const category = { name: used.has('coding') ? '' : 'coding', strategy: 'priority', targets: [] };
  document.categories.splice(free < 0 ? document.categories.length : free, 0, category);
  form.changed();
  // `changed` has drawn it.
  window.document.getElementById(`category-${keyOf(category)}`)?.focus();
}

/// What an alias has instead of targets.
export const categories = (document, form) =>
  panel(
    'Categories',
    {
      hint: `${document.categories.length} of 32`,
      aside: button('Add a category', () => add(document, form), {
        pic: 'plus',
        test: 'add-category',
        disabled: !!form.locked,
        why: form.locked,
      }),
    },
    h(
      'datalist',
      { id: 'built-in' },
      BUILT_IN.map((name) => h('option', { value: name, key: name })),
    ),
    h(
      'div',
      { class: 'categories' },
      document.categories.map((category, i) => one(document, category, i, form)),
    ),
  );

/// Makes a document one of another strategy, keeping what can be kept. Returns what went.
export function changeStrategy(owner, id) {
  const before = owner.strategy;
  owner.strategy = id;
  if (id === 'category') {
    owner.categories = [{ name: 'default', strategy: before, targets: owner.targets || [] }];
    for (const spec of strategy(before).options) {
      if (spec.name in owner) owner.categories[0][spec.name] = owner[spec.name];
    }
    delete owner.targets;
  } else if (before === 'category') {
    const rest = (owner.categories || []).find(isDefault) || owner.categories?.[0];
    owner.targets = rest?.targets || [];
    const named = (owner.categories || []).map((category) => category.name).filter((name) => name && name !== rest?.name);
    delete owner.categories;
    return [...prune(owner), ...named.map((name) => `category ${name}`)];
  }
  return prune(owner);
}

/// A box to try a prompt against what stands in the form, saved or not. `trial` is its state.
export function tryBox(document, trial, render) {
  const run = async () => {
    trial.busy = true;
    trial.of = JSON.stringify(document);
    render();
    try {
      trial.result = await change('POST', 'explain', {
        alias: document.name || 'draft',
        prompt: trial.prompt,
        stream: true,
        document,
      });
      trial.saved = false;
      trial.error = null;
    } catch (error) {
      trial.result = null;
      trial.error = error;
      // An older gateway can only explain what is saved. Then that is what is shown, and said.
      if (/unknown field `?document/.test(error.message) && document.name) {
        trial.result = await change('POST', 'explain', { alias: document.name, prompt: trial.prompt, stream: true }).catch(
          () => null,
        );
        trial.saved = Boolean(trial.result);
        if (trial.result) trial.error = null;
      }
    }
    trial.busy = false;
    render();
    if (trial.result)
      announce(
        trial.result.category
          ? `Taken for ${trial.result.category.name}`
          : `First is ${trial.result.candidates[0]?.target || 'nobody'}`,
      );
  };
  const found = trial.result?.category;
  // A problem's path begins with what everything here is about.
  const about = `aliases.${document.name || 'draft'}.`;
  const within = (path) => (path.startsWith(about) ? path.slice(about.length) : path);
  return panel(
    'Try a prompt',
    { hint: 'decides as the form stands now; nothing is sent or saved' },
    h(
      'form',
      {
        class: 'try',
        on: {
          submit: (event) => {
            event.preventDefault();
            run();
          },
        },
      },
      h('label', { class: 'sr', for: 'try-prompt' }, 'A prompt'),
      h('textarea', {
        id: 'try-prompt',
        rows: 2,
        test: 'try-prompt',
        value: trial.prompt,
        placeholder: 'When do I get my refund?',
        on: {
          input: (event) => {
            trial.prompt = event.target.value;
          },
          keydown: (event) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
              event.preventDefault();
              run();
            }
          },
        },
      }),
      h(
        'button',
        { type: 'submit', class: 'button', test: 'try-run', 'aria-disabled': trial.busy ? 'true' : null },
        icon('arrow'),
        h('span', null, 'Decide'),
      ),
    ),
    h(
      'div',
      { class: 'try-result', test: 'try-result' },
      trial.error &&
        h(
          'p',
          { class: 'bad-text' },
          trial.error.problems?.length
            ? trial.error.problems.map((one) => `${within(one.path)}: ${one.message}`).join(' · ')
            : trial.error.message,
        ),
      trial.saved && h('p', { class: 'hint' }, 'This gateway can only decide by what is saved.'),
      trial.result &&
        trial.of !== JSON.stringify(document) &&
        h('p', { class: 'hint', test: 'try-stale' }, 'The form has changed since this was decided.'),
      found && verdict(found),
      found?.scores?.length > 0 &&
        h(
          'ul',
          { class: 'scores' },
          found.scores
            .slice(0, 5)
            .map((score) =>
              h(
                'li',
                { key: score.name },
                h('span', { class: score.of_alias ? '' : 'hint' }, words(score.name)),
                h(
                  'span',
                  { class: 'meter', 'aria-hidden': 'true' },
                  h('i', { class: 'c0', style: { width: `${score.confidence * 100}%` } }),
                ),
                h('span', { class: 'num' }, share(score.confidence, 0)),
              ),
            ),
        ),
      trial.result && [
        h(
          'p',
          null,
          `${trial.result.strategy}: `,
          h('b', null, trial.result.candidates[0] ? targetName(trial.result.candidates[0].target) : 'nobody'),
          ' would serve it.',
        ),
        ranking({ ...trial.result, category: null }),
      ],
    ),
  );
}
