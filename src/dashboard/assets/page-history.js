// Who changed what, and when.

import { get } from './api.js';
import { h } from './dom.js';
import { ago, when } from './format.js';
import { onEvent } from './live.js';
import { pager, table } from './table.js';
import { head, livePage, panel, pill, waiting } from './widgets.js';

const TONE = { added: 'ok', removed: 'bad', changed: 'info' };
const columns = [
  {
    head: 'Revision',
    lead: true,
    cell: (one) => h('a', { class: 'name num', href: `/dashboard/history/${one.number}` }, `${one.number}`),
  },
  {
    head: 'When',
    cell: (one) =>
      h('span', { class: 'num', title: when(one.at_ms) }, when(one.at_ms), h('span', { class: 'hint' }, ` ${ago(one.at_ms)}`)),
  },
  { head: 'Who', cell: (one) => h('span', null, h('b', null, one.author), h('span', { class: 'hint' }, ` by ${one.via}`)) },
  {
    head: 'What',
    wide: true,
    cell: (one) =>
      h(
        'div',
        { class: 'touched-list' },
        one.changes
          .slice(0, 4)
          .map((item) =>
            h(
              'span',
              { key: `${item.kind} ${item.name}` },
              pill(item.action, TONE[item.action]),
              ` ${item.kind} `,
              h('b', null, item.name),
            ),
          ),
        one.changes.length > 4 && h('span', { class: 'hint' }, `and ${one.changes.length - 4} more`),
      ),
  },
  { head: 'Note', cell: (one) => h('span', { class: 'hint' }, one.note) },
];

export default function history(ctx) {
  let trail = [];
  const page = livePage(
    ctx,
    (signal) => get('revisions', { before: trail.at(-1), limit: 30 }, signal),
    30000,
    (state) => [
      head('History', { lead: 'Every change is one revision. Any can be looked at, compared and gone back to.' }),
      !state.data
        ? waiting(state)
        : panel(
            'Revisions',
            { hint: 'newest first' },
            table({
              caption: 'Revisions',
              columns,
              rows: state.data.items,
              key: (one) => one.number,
              row: (one) => ({ test: 'revision-row', 'data-name': one.number }),
            }),
            pager(trail, state.data.next, (next) => {
              trail = next;
              page.now();
            }),
          ),
    ],
  );
  ctx.onLeave(onEvent('revision', () => page.soon()));
}
