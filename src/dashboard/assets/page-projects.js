// Projects: whose keys share limits and budgets, and what is left of them.

import { get, seg } from './api.js';
import { h } from './dom.js';
import { count, many, usd, when } from './format.js';
import { table } from './table.js';
import { head, linkButton, livePage, panel, pill, searchBox, waiting } from './widgets.js';

/// What is left of budgets, as bars with words.
export const budgets = (standing, set) =>
  standing?.budgets?.length
    ? h(
        'div',
        { class: 'budgets' },
        standing.budgets.map((one) => {
          const all = Number(one.budget.replace(/^\$|\/.*$/g, ''));
          const used = all ? Math.min(1, Math.max(0, 1 - one.remaining_usd / all)) : 0;
          return h(
            'div',
            { key: one.budget, title: `Begins anew ${when(one.resets_at_ms)}` },
            h('span', { class: 'num' }, `${usd(Math.max(0, one.remaining_usd))} left of ${one.budget}`),
            h(
              'span',
              { class: 'meter', 'aria-hidden': 'true' },
              h('i', { class: used > 0.8 ? 'cbad' : 'c0', style: { width: `${used * 100}%` } }),
            ),
          );
        }),
      )
    : h('span', { class: 'hint' }, [].concat(set ?? []).join(', ') || 'none');

/// Limits per minute with what is left of them.
export const limits = (one, standing) =>
  [
    one.requests_per_minute &&
      `${count(standing?.requests?.remaining ?? one.requests_per_minute)} of ${count(one.requests_per_minute)} requests/min left`,
    one.tokens_per_minute &&
      `${count(standing?.tokens?.remaining ?? one.tokens_per_minute)} of ${count(one.tokens_per_minute)} tokens/min left`,
    one.max_in_flight && `${one.max_in_flight} at once`,
  ]
    .filter(Boolean)
    .join(' · ') || 'none';

const columns = [
  {
    head: 'Project',
    lead: true,
    cell: (one) =>
      h(
        'div',
        { class: 'two' },
        h('a', { class: 'name', href: `/dashboard/projects/${seg(one.name)}` }, one.name),
        h('span', { class: 'hint' }, one.description),
      ),
  },
  { head: 'State', cell: (one) => (one.enabled === false ? pill('off') : pill('on', 'ok', { dot: true })) },
  { head: 'May call', cell: (one) => h('span', { class: 'hint' }, (one.aliases || ['all']).join(', ')) },
  { head: 'Limits', cell: (one) => h('span', { class: 'hint num' }, limits(one, one.standing)) },
  { head: 'Budget', cell: (one) => budgets(one.standing, one.budget) },
  { head: 'Spend today', num: true, cell: (one) => usd(one.standing?.spent_day_usd) },
  { head: 'This month', num: true, cell: (one) => usd(one.standing?.spent_month_usd) },
  {
    head: 'Keys',
    quiet: true,
    cell: (one) =>
      h('a', { href: `/dashboard/keys?project=${seg(one.name)}` }, 'Keys', h('span', { class: 'sr' }, ` of ${one.name}`)),
  },
];

export default function projects(ctx) {
  let search = '';
  const page = livePage(
    ctx,
    async (signal) => {
      const found = (await get('projects', { search, limit: 100 }, signal)).items.map((one) => one.document);
      // It is always there, said or not.
      if (!found.some((one) => one.name === 'default') && 'default'.includes(search))
        found.unshift({ name: 'default', description: 'the keys that name no other' });
      return Promise.all(
        found.map(async (one) => ({
          ...one,
          standing: await get(`projects/${seg(one.name)}/standing`, null, signal).catch(() => null),
        })),
      );
    },
    10000,
    (state) => [
      head('Projects', {
        lead: state.data && many(state.data.length, 'project'),
        actions: linkButton('New project', '/dashboard/new-project', {
          kind: 'primary',
          pic: 'plus',
          role: 'editor',
          test: 'new-project',
        }),
      }),
      !state.data
        ? waiting(state)
        : panel(
            'Projects',
            {
              aside: searchBox('Search projects', search, (text) => {
                search = text;
                page.now();
              }),
            },
            table({
              caption: 'Projects',
              columns,
              rows: state.data,
              key: (one) => one.name,
              row: (one) => ({ test: 'project-row', 'data-name': one.name }),
            }),
          ),
    ],
  );
}
