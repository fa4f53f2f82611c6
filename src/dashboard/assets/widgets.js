// The small parts that all pages are made of.

import { barred } from './api.js';
import { announce, h, s, show, uid } from './dom.js';
import { poll } from './live.js';

/// The pictures on buttons, each as the path of a stroke in 16 by 16.
const ICONS = {
  grip: 'M6 3v.01M10 3v.01M6 8v.01M10 8v.01M6 13v.01M10 13v.01',
  up: 'M8 13V3M4 7l4-4 4 4',
  down: 'M8 3v10M4 9l4 4 4-4',
  close: 'M4 4l8 8M12 4l-8 8',
  plus: 'M8 3v10M3 8h10',
  edit: 'M3 13l.6-2.8L10.4 3.4l2.2 2.2-6.8 6.8z',
  copy: 'M6 6h7v7H6zM10 6V3H3v7h3',
  trash: 'M3 4.5h10M6 4.5V3h4v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5',
  more: 'M3 8v.01M8 8v.01M13 8v.01',
  menu: 'M2.5 4h11M2.5 8h11M2.5 12h11',
  ok: 'M3.5 8.5l3 3 6-7',
  warn: 'M8 2.5l6 11H2zM8 6.5v3.2M8 11.6v.01',
  bad: 'M5.3 2.5h5.4l2.8 2.8v5.4l-2.8 2.8H5.3l-2.8-2.8V5.3zM8 5v3.6M8 10.8v.01',
  info: 'M8 14A6 6 0 108 2a6 6 0 000 12zM8 7.3v3.4M8 5.2v.01',
  pause: 'M6 4v8M10 4v8',
  arrow: 'M3 8h10M9 4l4 4-4 4',
  search: 'M7 11.5a4.5 4.5 0 100-9 4.5 4.5 0 000 9zM10.5 10.5L14 14',
  sun: 'M8 11a3 3 0 100-6 3 3 0 000 6zM8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7',
};

export const icon = (name) =>
  s('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, s('path', { d: ICONS[name] || ICONS.info }));

/// A button. `role` is what whoever presses it has to be; without it, it says why not.
export function button(label, press, { kind = '', test, name, role, pic, disabled, why, title, on, ...more } = {}) {
  const reason = (role && barred(role)) || (disabled ? why || true : null);
  const only = kind.includes('icon');
  return h(
    'button',
    {
      type: 'button',
      class: `button ${kind}`,
      test,
      'data-name': name,
      // Not `disabled`: what cannot be reached cannot say why.
      'aria-disabled': reason ? 'true' : null,
      title: (typeof reason === 'string' && reason) || title || (only ? label : null),
      'aria-label': only ? label : null,
      ...more,
      on: {
        ...on,
        click: (event) => {
          if (!reason) press?.(event);
          else {
            event.preventDefault();
            if (typeof reason === 'string') toast(reason, 'info');
          }
        },
      },
    },
    pic && icon(pic),
    !only && h('span', null, label),
  );
}

/// A link that looks like a button, or the same switched off.
export const linkButton = (label, href, { kind = '', pic, role, test } = {}) =>
  role && barred(role)
    ? button(label, null, { kind, pic, role, test })
    : h('a', { class: `button ${kind}`, href, test }, pic && icon(pic), h('span', null, label));

const HEALTH = {
  ready: ['ok', 'ready'],
  slow_start: ['warn', 'returning'],
  probe_due: ['warn', 'probe due'],
  probing: ['warn', 'probing'],
  open: ['bad', 'breaker open'],
  rate_limited: ['warn', 'rate limited'],
  unusable: ['bad', 'unusable'],
  disabled: ['off', 'off'],
};

/// A state as a dot with its word.
export function health(state) {
  const [tone, word] = HEALTH[state] || ['off', state || 'unknown'];
  return pill(word, tone, { dot: true });
}
export const healthTone = (state) => (HEALTH[state] || ['off'])[0];

export const pill = (text, tone = 'off', { dot, ...props } = {}) =>
  h('span', { class: `pill ${tone}${dot ? ' dot' : ''}`, ...props }, text);

/// The head of a page. Its title gets the focus when the page comes.
export const head = (title, { lead, actions, back } = {}) =>
  h(
    'header',
    { class: 'head', key: 'head' },
    h(
      'div',
      { class: 'head-words' },
      back && h('a', { class: 'back', href: back[0] }, `‹ ${back[1]}`),
      h('h1', { test: 'page-title', tabindex: '-1' }, title),
      lead && h('p', { class: 'lead' }, lead),
    ),
    actions && h('div', { class: 'actions' }, actions),
  );

/// A part of a page with a heading.
export function panel(title, { test, aside, class: more = '', key = title, hint }, ...children) {
  return h(
    'section',
    { class: `panel ${more}`, test, key, 'aria-label': title },
    h(
      'div',
      { class: 'panel-head' },
      h('h2', null, title),
      hint && h('span', { class: 'hint' }, hint),
      aside && h('div', { class: 'aside' }, aside),
    ),
    children,
  );
}

/// One number that matters.
export const figure = (label, value, detail, tone = '') =>
  h(
    'div',
    { class: `figure ${tone}` },
    h('dt', null, label),
    h('dd', { class: 'num' }, value),
    detail && h('dd', { class: 'detail num' }, detail),
  );
export const figures = (...all) => h('dl', { class: 'figures', key: 'figures' }, all);

/// Where there is nothing, what could be.
export const empty = (title, text, action) =>
  h('div', { class: 'empty', key: 'empty' }, h('p', { class: 'empty-title' }, title), text && h('p', null, text), action);

/// While nothing is known yet.
export const skeleton = (rows = 5) =>
  h(
    'div',
    { class: 'skeleton', role: 'status', key: 'skeleton' },
    h('span', { class: 'sr' }, 'Loading…'),
    Array.from({ length: rows }, (_, i) => h('div', { key: `s${i}`, class: `bone b${i % 3}` })),
  );

/// What went wrong, and the way out.
export const failure = (error, again) =>
  h(
    'div',
    { class: 'notice bad', role: 'alert', key: 'failure' },
    icon('bad'),
    h(
      'div',
      null,
      h('strong', null, error.status === 404 ? 'Not found' : error.status ? 'That did not work' : 'No answer'),
      h('p', null, error.message),
      error.nearest?.length > 0 && h('p', null, `Nearest: ${error.nearest.join(', ')}`),
    ),
    again && button('Try again', again),
  );

/// Something to know.
export const notice = (tone, text, ...more) =>
  h(
    'div',
    { class: `notice ${tone}` },
    icon(tone === 'ok' ? 'ok' : tone === 'info' ? 'info' : 'warn'),
    h('div', null, h('p', null, text), more),
  );

/// All that is wrong with a document.
export const problemList = (problems, title = 'Not valid yet') =>
  problems.length > 0 &&
  h(
    'div',
    { class: 'notice bad', role: 'alert', test: 'problems' },
    icon('bad'),
    h(
      'div',
      null,
      h('strong', null, title),
      h(
        'ul',
        null,
        problems.map((problem) =>
          h(
            'li',
            { test: 'problem' },
            problem.path && h('code', null, problem.path),
            problem.path && ' ',
            problem.message,
            problem.expected && ` Expected: ${problem.expected}.`,
            problem.suggestions?.length > 0 && ` Nearest: ${problem.suggestions.join(', ')}.`,
          ),
        ),
      ),
    ),
  );

/// A word that comes and goes by itself, and is also said.
export function toast(text, tone = 'ok') {
  const shelf = document.getElementById('toasts');
  if (!shelf) return;
  const note = h(
    'div',
    { class: `toast ${tone}`, test: 'toast' },
    icon(tone === 'ok' ? 'ok' : tone === 'bad' ? 'bad' : 'info'),
    h('span', null, text),
  );
  shelf.append(note);
  announce(text);
  setTimeout(() => note.remove(), tone === 'bad' ? 9000 : 5000);
}

/// A label and its control, which gets an id.
export function labelled(label, control, hint) {
  const id = control.id || uid('f');
  control.id = id;
  if (hint) control.setAttribute('aria-describedby', `${id}-hint`);
  return h(
    'div',
    { class: 'field' },
    h('label', { for: id }, label),
    control,
    hint && h('p', { class: 'hint', id: `${id}-hint` }, hint),
  );
}

/// A search box that waits until the typing pauses.
export function searchBox(label, value, found, test) {
  let timer;
  return h(
    'label',
    { class: 'search' },
    icon('search'),
    h('span', { class: 'sr' }, label),
    h('input', {
      type: 'search',
      placeholder: label,
      value,
      test,
      autocomplete: 'off',
      spellcheck: 'false',
      on: {
        input: (event) => {
          const text = event.target.value;
          clearTimeout(timer);
          timer = setTimeout(() => found(text.trim()), 200);
        },
      },
    }),
  );
}

/// A page that asks again every so often and draws what it knows. `draw` gets `{ data, error, again }`.
export function livePage(ctx, ask, every, draw) {
  const state = { data: null, error: null, again: () => asked.now() };
  const render = () => {
    if (!ctx.left()) show(ctx.root, draw(state));
  };
  const asked = poll(async (signal) => {
    try {
      state.data = await ask(signal);
      state.error = null;
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      state.error = error;
      render();
      throw error;
    }
    render();
  }, every);
  ctx.onLeave(asked.stop);
  render();
  return { render, now: asked.now, soon: asked.soon, state };
}

/// What stands where the data would, while there are none.
export const waiting = (state, rows) => (state.error ? failure(state.error, state.again) : skeleton(rows));
