// One field of a document as a control. Documents are changed in place; what is not set is not
// there, so that the defaults stay the gateway's.

import { h, uid } from './dom.js';

/// What stands at `a.b` of a document.
export const at = (document, path) => path.split('.').reduce((value, name) => value?.[name], document);

/// Puts a value there, or takes it out; tables that become empty go as well.
export function put(document, path, value) {
  const [name, ...rest] = path.split('.');
  if (!rest.length) {
    if (value === undefined) delete document[name];
    else document[name] = value;
    return;
  }
  const table = typeof document[name] === 'object' && document[name] ? document[name] : {};
  put(table, rest.join('.'), value);
  if (Object.keys(table).length) document[name] = table;
  else delete document[name];
}

const list = (text) =>
  text
    .split(/[,\n]/)
    .map((item) => item.trim())
    .filter(Boolean);

function scalar(text) {
  if (text === '') return undefined;
  if (text === 'true' || text === 'false') return text === 'true';
  if (text.startsWith('{')) return JSON.parse(text);
  return Number.isFinite(Number(text)) ? Number(text) : text;
}

// How a text becomes a value, and the other way.
const KINDS = {
  text: { read: (text) => text || undefined, write: (value) => value ?? '' },
  scalar: {
    read: scalar,
    write: (value) => (value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value)),
  },
  number: {
    read: (text) => (text === '' ? undefined : Number.isFinite(Number(text)) ? Number(text) : text),
    write: (value) => (value === undefined ? '' : String(value)),
  },
  list: { read: (text) => (list(text).length ? list(text) : undefined), write: (value) => [].concat(value ?? []).join(', ') },
  budget: {
    read: (text) => {
      const all = list(text);
      return all.length > 1 ? all : all[0];
    },
    write: (value) => [].concat(value ?? []).join(', '),
  },
  json: {
    read: (text) => (text.trim() ? JSON.parse(text) : undefined),
    write: (value) => (value === undefined ? '' : JSON.stringify(value, null, 1)),
  },
};
KINDS.identity = KINDS.text;

/// A control for `spec` of `document`. `form` is `{ changed(), bad: Map, locked }`; `bad` holds
/// what cannot be read, by the field.
export function field(document, spec, form, prefix = '') {
  const path = `${prefix}${spec.name}`;
  const value = at(document, spec.name);
  const id = `f-${path.replace(/[^\w-]/g, '-')}`;
  const test = spec.test || `option-${spec.name}`;
  const set = (next) => {
    put(document, spec.name, next);
    form.changed(spec.name);
  };
  const locked = form.locked ? { disabled: true, title: form.locked } : {};
  if (spec.type === 'bool') {
    const standard = spec.standard || false;
    return h(
      'div',
      { class: 'field full', key: path },
      h(
        'label',
        { class: 'check' },
        h('input', {
          type: 'checkbox',
          id,
          test,
          checked: value ?? standard,
          ...locked,
          on: { change: (event) => set(event.target.checked === standard ? undefined : event.target.checked) },
        }),
        spec.label,
      ),
    );
  }
  const bad = form.bad.get(path);
  const described = spec.hint || bad ? `${id}-hint` : null;
  const shared = { id, test, 'aria-describedby': described, 'aria-invalid': bad ? 'true' : null, ...locked };
  let control;
  if (spec.type === 'select') {
    control = h(
      'select',
      { ...shared, value: value ?? '', on: { change: (event) => set(event.target.value || undefined) } },
      !spec.required && h('option', { value: '' }, 'default'),
      spec.options.map(([option, label]) => h('option', { value: option, key: option }, label)),
    );
  } else {
    const kind = KINDS[spec.type] || KINDS.text;
    const long = spec.type === 'json' || spec.long;
    control = h(long ? 'textarea' : 'input', {
      ...shared,
      value: kind.write(value),
      placeholder: spec.placeholder,
      rows: long ? 3 : null,
      class: spec.type === 'json' ? 'code' : null,
      spellcheck: spec.long ? null : 'false',
      autocomplete: 'off',
      type: long ? null : spec.secret ? 'password' : 'text',
      inputmode: spec.type === 'number' ? 'decimal' : null,
      required: spec.required,
      on: {
        input: (event) => {
          try {
            const next = kind.read(event.target.value);
            form.bad.delete(path);
            set(next);
          } catch {
            form.bad.set(path, 'This is no JSON.');
            form.changed(spec.name);
          }
        },
      },
    });
  }
  return h(
    'div',
    { class: `field${spec.type === 'json' || spec.full ? ' full' : ''}`, key: path },
    h('label', { for: id }, spec.label),
    control,
    (bad || spec.hint) && h('p', { class: bad ? 'hint bad-text' : 'hint', id: `${id}-hint` }, bad || spec.hint),
  );
}

/// Several of them.
export const fields = (document, specs, form, prefix) =>
  h(
    'div',
    { class: 'fields' },
    specs.map((spec) => field(document, spec, form, prefix)),
  );

/// A part of a form that is folded away while nothing of it is set.
export function fold(title, document, specs, form, prefix = '') {
  const set = specs.filter((spec) => at(document, spec.name) !== undefined).length;
  return h(
    'details',
    { class: 'fold', key: `${prefix}${title}`, open: set > 0 },
    h('summary', null, h('b', null, title), h('span', { class: 'hint' }, set ? `${set} set` : 'all as by default')),
    fields(document, specs, form, prefix),
  );
}

const keys = new WeakMap();
/// What tells an object of a document from its siblings while it is moved about.
export function keyOf(object) {
  if (!keys.has(object)) keys.set(object, uid('k'));
  return keys.get(object);
}
