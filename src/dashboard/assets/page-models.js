// All models that can be put into aliases, and what they cost.

import { get, seg } from './api.js';
import { h } from './dom.js';
import { price, tokens, words } from './format.js';
import { note } from './router.js';
import { pager, table } from './table.js';
import { empty, head, linkButton, livePage, panel, pill, searchBox, waiting } from './widgets.js';

const cheapest = (model, field) => {
  const all = model.endpoints.map((one) => one[field]).filter((n) => n != null);
  return all.length ? `${price(Math.min(...all))}${new Set(all).size > 1 ? '+' : ''}` : price(null);
};
const columns = [
  { head: 'Model', lead: true, cell: (one) => h('a', { class: 'name', href: `/dashboard/models/${seg(one.id)}` }, one.id) },
  {
    head: 'Served by',
    cell: (one) => (one.served ? one.endpoints.map((at) => at.provider).join(', ') : pill('no provider configured')),
  },
  { head: 'Context', num: true, cell: (one) => tokens(one.context_window) },
  { head: 'Longest answer', num: true, cell: (one) => tokens(one.max_output_tokens) },
  { head: 'In, $ / M', num: true, cell: (one) => cheapest(one, 'input_usd_per_mtok') },
  { head: 'Cached, $ / M', num: true, cell: (one) => cheapest(one, 'cached_input_usd_per_mtok') },
  { head: 'Out, $ / M', num: true, cell: (one) => cheapest(one, 'output_usd_per_mtok') },
  {
    head: 'Notes',
    cell: (one) =>
      h(
        'span',
        { class: 'hint' },
        [
          one.hidden && 'hidden from callers',
          one.lacks.length && `no ${one.lacks.map(words).join(', ')}`,
          one.endpoints.some((at) => at.tiered) && 'dearer for long prompts',
        ]
          .filter(Boolean)
          .join(' · '),
      ),
  },
];

export default function models(ctx) {
  const state = { search: ctx.query.search || '', served: ctx.query.all !== '1', trail: [] };
  const again = (values) => {
    Object.assign(state, { trail: [] }, values);
    note({ search: state.search, all: state.served ? '' : '1' });
    page.now();
  };
  const page = livePage(
    ctx,
    (signal) =>
      get(
        'catalogue/models',
        { search: state.search, served: state.served || null, after: state.trail.at(-1), limit: 50 },
        signal,
      ),
    30000,
    (now) => [
      head('Models and prices', {
        lead: 'US dollars per million tokens, where it is cheapest',
        actions: linkButton('New model', '/dashboard/new-model', { pic: 'plus', role: 'editor' }),
      }),
      panel(
        'Models',
        {
          aside: [
            h(
              'label',
              { class: 'check' },
              h('input', {
                type: 'checkbox',
                checked: state.served,
                on: { change: (event) => again({ served: event.target.checked }) },
              }),
              'only those that can be used',
            ),
            searchBox('Search models', state.search, (search) => again({ search }), 'models-search'),
          ],
        },
        !now.data
          ? waiting(now)
          : now.data.items.length
            ? table({
                caption: 'Models',
                columns,
                rows: now.data.items,
                key: (one) => one.id,
                row: (one) => ({ test: 'model-row', 'data-name': one.id }),
              })
            : empty('No model is like that', state.served ? 'Perhaps its provider is not configured: look among all.' : null),
        now.data &&
          pager(state.trail, now.data.next, (trail) => {
            state.trail = trail;
            page.now();
          }),
      ),
    ],
  );
}
