// All aliases at a glance, and what needs somebody.

import { get } from './api.js';
import { h } from './dom.js';
import { hue, shareBar, shareLegend, spark } from './chart.js';
import { count, lately, many, ms, rate, share, usd } from './format.js';
import { onEvent } from './live.js';
import { note } from './router.js';
import { pager, table } from './table.js';
import { empty, figure, figures, head, icon, linkButton, livePage, panel, pill, searchBox, waiting } from './widgets.js';

const PAGE = 50;
const TONE = { critical: 'bad', warning: 'warn', info: 'info' };

/// Where somebody goes who wants to see to it.
function remedy(item) {
  if (item.alias) return `/dashboard/aliases/${encodeURIComponent(item.alias)}`;
  if (item.kind === 'redis') return '/dashboard/replicas';
  if (item.kind === 'key_missing') return '/dashboard/providers';
  if (item.kind.startsWith('budget')) return '/dashboard/projects';
  return /@/.test(item.subject || '') ? '/dashboard/providers' : null;
}

function attentionItem(item) {
  const link = remedy(item);
  return h(
    'li',
    {
      class: TONE[item.severity] || 'warn',
      key: `${item.kind} ${item.subject}`,
      test: 'attention-item',
      'data-kind': item.kind,
      'data-subject': item.subject,
    },
    icon(item.severity === 'critical' ? 'bad' : item.severity === 'info' ? 'info' : 'warn'),
    h(
      'span',
      { class: 'attention-what' },
      h('span', { class: 'sr' }, `${item.severity}: `),
      h('b', null, item.subject),
      ` ${item.message}`,
    ),
    link && h('a', { href: link, 'aria-label': `Look at ${item.subject}` }, 'Look'),
  );
}

function attention(items) {
  const [notes, urgent] = [items.filter((item) => item.severity === 'info'), items.filter((item) => item.severity !== 'info')];
  return panel(
    'Needs attention',
    { test: 'attention', hint: urgent.length ? count(urgent.length) : null },
    urgent.length
      ? h('ul', { class: 'attention', key: 'urgent' }, urgent.map(attentionItem))
      : h(
          'p',
          { class: 'calm', key: 'calm' },
          icon('ok'),
          'Nothing needs attention: breakers are closed, budgets are well, every alias can be served.',
        ),
    // Worth knowing, but nobody has to do anything.
    notes.length > 0 &&
      h(
        'details',
        { class: 'notes', key: 'notes' },
        h('summary', null, `${many(notes.length, 'note')}, such as targets that are never chosen`),
        h('ul', { class: 'attention' }, notes.map(attentionItem)),
      ),
  );
}

const parts = (alias) => alias.targets.map((target, i) => ({ name: target.target, share: target.share || 0, hue: hue(i) }));
const low = (success) => (success == null ? '' : success < 0.95 ? 'bad-text' : success < 0.995 ? 'warn-text' : '');

const columns = [
  {
    head: 'Alias',
    w: 18,
    lead: true,
    cell: (alias) =>
      h(
        'div',
        { class: 'two' },
        h('a', { class: 'name', href: `/dashboard/aliases/${encodeURIComponent(alias.name)}` }, alias.name),
        h('span', { class: 'hint' }, alias.strategy),
      ),
  },
  {
    head: 'Requests',
    w: 15,
    num: true,
    cell: (alias) =>
      h(
        'div',
        { class: 'with-spark' },
        spark(alias.spark.slice(0, -1), `Requests of ${alias.name} lately`),
        h('span', null, rate(lately(alias.spark))),
      ),
  },
  { head: 'Success', w: 8, num: true, cell: (alias) => h('span', { class: low(alias.success) }, share(alias.success)) },
  { head: 'First token p50', w: 10, num: true, cell: (alias) => ms(alias.ttft_ms?.p50) },
  { head: 'p95', w: 8, num: true, cell: (alias) => ms(alias.ttft_ms?.p95) },
  { head: 'Spend today', w: 10, num: true, cell: (alias) => usd(alias.spent_today_usd) },
  {
    head: 'Traffic by target',
    w: 31,
    wide: true,
    cell: (alias) => {
      const all = parts(alias);
      const down = alias.targets.filter((target) => target.state === 'open').length;
      return h(
        'div',
        { class: 'share-cell' },
        shareBar(all),
        h('div', { class: 'share-under' }, shareLegend(all, 3), down > 0 && pill(`${down} open`, 'bad')),
      );
    },
  },
];

export default function overview(ctx) {
  let search = ctx.query.search || '';
  let trail = [];
  const page = livePage(
    ctx,
    (signal) => get('overview', { search, after: trail.at(-1), limit: PAGE }, signal),
    3000,
    (state) => {
      const { data } = state;
      const total = data?.total || {};
      // Only if all are on this page are their last minutes those of the whole gateway.
      const all = data && !search && !trail.length && !data.next;
      return [
        head('Overview', {
          lead:
            data && `${many(data.aliases, 'alias', 'aliases')}, over the last ${Math.round((data.window_s || 300) / 60)} minutes`,
          actions: linkButton('New alias', '/dashboard/new-alias', {
            kind: 'primary',
            pic: 'plus',
            role: 'editor',
            test: 'new-alias',
          }),
        }),
        !data
          ? waiting(state, 8)
          : [
              figures(
                all
                  ? figure('Requests', rate(data.items.reduce((sum, alias) => sum + lately(alias.spark), 0)), 'last minute')
                  : figure('Requests', rate(total.requests_per_s), 'last 5 min'),
                figure('Success', share(total.success), `${count(total.fallbacks)} fallbacks`, low(total.success)),
                figure('First token p50', ms(total.ttft_ms?.p50)),
                figure('First token p95', ms(total.ttft_ms?.p95)),
                figure('Spend today', usd(total.spent_today_usd)),
              ),
              attention(data.attention || []),
              panel(
                'Aliases',
                {
                  test: 'overview',
                  aside: searchBox(
                    'Search aliases',
                    search,
                    (text) => {
                      search = text;
                      trail = [];
                      note({ search });
                      page.now();
                    },
                    'overview-search',
                  ),
                },
                data.items.length
                  ? table({
                      caption: 'Aliases',
                      columns,
                      rows: data.items,
                      key: (alias) => alias.name,
                      row: (alias) => ({ test: 'alias-row', 'data-name': alias.name }),
                    })
                  : search
                    ? empty(`No alias has “${search}” in its name`)
                    : empty(
                        'No aliases yet',
                        'An alias is the name that callers put in “model”. It stands for models in an order that you choose.',
                        linkButton('Make the first', '/dashboard/new-alias', { kind: 'primary', role: 'editor' }),
                      ),
                pager(trail, data.next, (next) => {
                  trail = next;
                  page.now();
                }),
              ),
            ],
      ];
    },
  );
  // A breaker that opens is shown when it opens, not when the next look is due.
  ctx.onLeave(onEvent('target', () => page.soon()));
  ctx.onLeave(onEvent('revision', () => page.soon()));
}
