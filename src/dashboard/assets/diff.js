// What changes, as lines and as fields.

import { h } from './dom.js';

const KIND = { '+': 'add', '-': 'del', '@': 'hunk' };

/// More lines than anybody reads.
const MOST = 1500;

/// A unified diff, its lines coloured. Their signs stay, so that colour is not all there is.
export function diffView(text, test) {
  if (!text?.trim()) return h('p', { class: 'hint', test }, 'Nothing differs.');
  const lines = text.replace(/\n$/, '').split('\n');
  return h(
    'pre',
    { class: 'diff', tabindex: '0', test, role: 'group', 'aria-label': 'What changes, line by line' },
    lines
      .slice(0, MOST)
      .map((line) => h('span', { class: `line ${/^(\+\+\+|---)/.test(line) ? 'file' : KIND[line[0]] || ''}` }, `${line}\n`)),
    lines.length > MOST && h('span', { class: 'line hunk' }, `… and ${lines.length - MOST} more lines\n`),
  );
}

/// Whether two values of documents are the same, whatever order their fields have.
export function same(a, b) {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || !a || !b || Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && same(a[key], b[key]));
}

/// The fields of a document that differ, of all that either has.
export const differing = (a, b) =>
  [...new Set([...Object.keys(a || {}), ...Object.keys(b || {})])].filter((key) => !same(a?.[key], b?.[key]));

/// A value of a document, for people: targets one a line.
export function valueText(value) {
  if (value === undefined || value === null) return '(not set)';
  if (Array.isArray(value) && value.some((item) => typeof item === 'object')) {
    return value.map((item, i) => `${i + 1}. ${item.model || item.name || ''} ${briefly(item)}`.trimEnd()).join('\n');
  }
  return typeof value === 'object' ? JSON.stringify(value, null, 1) : String(value);
}

function briefly({ model, name, ...rest }) {
  if (model === undefined && name === undefined) return JSON.stringify(rest);
  return Object.entries(rest)
    .map(([key, value]) => `${key}=${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(' ');
}

/// What one made of `base` while another made `theirs` of it, put together: what I touched is
/// mine, the rest is theirs. `both` are the fields that we both touched, in different ways.
export function merge(base, mine, theirs) {
  const result = structuredClone(theirs);
  const both = [];
  for (const field of differing(base, mine)) {
    if (!same(base?.[field], theirs?.[field]) && !same(mine[field], theirs?.[field])) both.push(field);
    if (mine[field] === undefined) delete result[field];
    else result[field] = structuredClone(mine[field]);
  }
  return { result, both };
}
