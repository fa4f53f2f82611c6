// Tables that become lists of cards where they have no room, and lists in pages.

import { h } from './dom.js';
import { button } from './widgets.js';

/// `columns` are `{ head, cell(row), num, wide, lead, sort, w }`; a `lead` column heads the card, `w`
/// is its width in percent, where numbers that change must not move the columns.
/// `sorted` is `{ by, down, set(by) }` where the reader may choose.
export function table({ caption, columns, rows, key, row: props, sorted, test }) {
  const headCell = (column) => {
    const active = sorted && column.sort && sorted.by === column.head;
    return h(
      'th',
      {
        scope: 'col',
        role: 'columnheader',
        class: column.num ? 'num' : null,
        'aria-sort': active ? (sorted.down ? 'descending' : 'ascending') : null,
      },
      sorted && column.sort
        ? h(
            'button',
            { type: 'button', class: 'sort', on: { click: () => sorted.set(column.head) } },
            column.head,
            active ? (sorted.down ? ' ↓' : ' ↑') : '',
          )
        : column.quiet
          ? h('span', { class: 'sr' }, column.head)
          : column.head,
    );
  };
  const cell = (column, row) => {
    const content = column.cell(row);
    const classes = [column.num && 'num', column.wide && 'wide', column.lead && 'lead-cell', column.quiet && 'quiet']
      .filter(Boolean)
      .join(' ');
    return column.lead
      ? h('th', { scope: 'row', role: 'rowheader', class: classes }, content)
      : h('td', { role: 'cell', class: classes || null, 'data-label': column.quiet ? null : column.head }, content);
  };
  return h(
    'div',
    { class: 'table-box', key: `table-${caption}` },
    h(
      'table',
      { role: 'table', test, class: columns[0].w ? 'fixed' : null },
      h('caption', { class: 'sr' }, caption),
      columns[0].w &&
        h(
          'colgroup',
          null,
          columns.map((column) => h('col', { style: { width: `${column.w}%` } })),
        ),
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map(headCell))),
      h(
        'tbody',
        { role: 'rowgroup' },
        rows.map((row) =>
          h(
            'tr',
            { role: 'row', key: key(row), ...props?.(row) },
            columns.map((column) => cell(column, row)),
          ),
        ),
      ),
    ),
  );
}

/// Steps through lists whose parts follow each other by `after`. `set` is told the new trail.
export function pager(trail, next, set) {
  if (!trail.length && !next) return null;
  return h(
    'nav',
    { class: 'pager', 'aria-label': 'Pages', key: 'pager' },
    button('Previous', () => set(trail.slice(0, -1)), { test: 'prev-page', disabled: !trail.length }),
    h('span', { class: 'hint num' }, `Page ${trail.length + 1}`),
    button('Next', () => set([...trail, next]), { test: 'next-page', disabled: !next }),
  );
}
