// Who else serves, and whether what they share is fresh.

import { get } from './api.js';
import { h } from './dom.js';
import { NONE, ago, count, many, ms, when } from './format.js';
import { table } from './table.js';
import { empty, figure, figures, head, livePage, notice, panel, pill, waiting } from './widgets.js';

const columns = [
  {
    head: 'Replica',
    lead: true,
    cell: (one) => h('div', { class: 'two' }, h('span', { class: 'name' }, one.name), h('span', { class: 'hint' }, one.address)),
  },
  {
    head: 'State',
    cell: (one) =>
      h(
        'div',
        { class: 'two' },
        h(
          'span',
          null,
          !one.alive
            ? pill('not heard of', 'bad', { dot: true })
            : one.trouble
              ? pill('in trouble', 'warn', { dot: true })
              : pill('alive', 'ok', { dot: true }),
        ),
        one.trouble && h('span', { class: 'hint' }, one.trouble),
      ),
  },
  { head: 'Serves revision', num: true, cell: (one) => one.revision },
  { head: 'Version', cell: (one) => one.version },
  { head: 'Started', cell: (one) => h('span', { class: 'num', title: when(one.started_ms) }, ago(one.started_ms)) },
];

export default function replicas(ctx) {
  livePage(
    ctx,
    (signal) => get('replicas', null, signal),
    2000,
    (state) => {
      const fleet = state.data;
      return [
        head('Replicas', { lead: fleet?.shared && `${many(fleet.replicas.length, 'replica')} share ${fleet.redis}` }),
        !fleet
          ? waiting(state)
          : !fleet.shared
            ? panel(
                'Alone',
                {},
                empty(
                  'This gateway is alone',
                  'With store.url set to a Redis, any number of replicas share aliases, keys, statistics, limits and usage.',
                ),
              )
            : [
                !fleet.connected &&
                  h(
                    'div',
                    { key: 'down' },
                    notice(
                      'bad',
                      `Redis is away since ${when(fleet.down_since_ms)}: ${fleet.why}. Traffic goes on with the last configuration and local statistics; changes wait until it is back.`,
                    ),
                  ),
                fleet.trouble && h('div', { key: 'trouble' }, notice('warn', fleet.trouble)),
                figures(
                  figure('Redis', fleet.connected ? 'connected' : 'away', null, fleet.connected ? '' : 'bad-text'),
                  figure('Latest revision known', fleet.age_ms == null ? NONE : `${ms(fleet.age_ms)} ago`),
                  figure(
                    'Others heard',
                    count(fleet.heard.others),
                    fleet.heard.oldest_ms == null ? null : `oldest word ${ms(fleet.heard.oldest_ms)}`,
                  ),
                  figure(
                    'Statistics waiting',
                    count(fleet.slices_waiting),
                    fleet.slices_dropped ? `${count(fleet.slices_dropped)} given up` : null,
                  ),
                ),
                panel(
                  'Replicas',
                  {},
                  table({
                    caption: 'Replicas',
                    columns,
                    rows: fleet.replicas,
                    key: (one) => one.id,
                    row: (one) => ({ test: 'replica-row', 'data-name': one.name }),
                  }),
                ),
              ],
      ];
    },
  );
}
