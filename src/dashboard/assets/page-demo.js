// The demo's simulated providers: slow one down, break one, and watch the traffic move.

import { change, get, health as ask, seg } from './api.js';
import { h } from './dom.js';
import { ms } from './format.js';
import { onEvent } from './live.js';
import { button, empty, head, health, livePage, panel, toast, waiting } from './widgets.js';

const typical = (spread) => (typeof spread === 'object' && spread ? (spread.median ?? spread.mean) : spread);
const fault = (one) => `${Math.round((one.share ?? 1) * 100)} % ${one.kind}${one.code ? ` ${one.code}` : ''}`;

const MOODS = [
  ['Break it', 'answers 503 to everything', { faults: [{ share: 1, kind: 'status', code: 503 }] }, 'sim-break'],
  ['Break half', 'answers 503 to every other call', { faults: [{ share: 0.5, kind: 'status', code: 503 }] }, 'sim-break-half'],
  ['Slow it down', 'first tokens take three seconds', { ttft_ms: { median: 3000, sigma: 0.2 }, schedule: [] }, 'sim-slow'],
  ['Limit it', 'takes 20 requests a minute', { requests_per_minute: 20 }, 'sim-limit'],
];

export default function demo(ctx) {
  const act = async (one, label, work) => {
    await work.then(
      () => toast(`${one.name}: ${label}`),
      (error) => toast(error.message, 'bad'),
    );
    page.now();
  };
  const card = (one) =>
    h(
      'section',
      {
        class: 'panel',
        key: one.name,
        test: 'sim-card',
        'data-name': one.name,
        'data-health': one.target?.state,
        'aria-label': one.name,
      },
      h(
        'div',
        { class: 'panel-head' },
        h('h2', null, one.name),
        health(one.target?.state),
        h('span', { class: 'hint' }, one.protocol),
      ),
      h('p', null, one.character),
      h(
        'dl',
        { class: 'facts num' },
        h('dt', null, 'First token'),
        h('dd', null, ms(typical(one.behaviour.ttft_ms))),
        h('dt', null, 'Per token'),
        h('dd', null, ms(typical(one.behaviour.token_ms))),
        h('dt', null, 'Faults'),
        h('dd', { class: one.behaviour.faults?.length ? 'bad-text' : '' }, one.behaviour.faults?.map(fault).join(', ') || 'none'),
        h('dt', null, 'Limit'),
        h('dd', null, one.behaviour.requests_per_minute ? `${one.behaviour.requests_per_minute} /min` : 'none'),
        h('dt', null, 'In flight'),
        h('dd', null, one.target?.in_flight ?? 0),
      ),
      h(
        'div',
        { class: 'actions' },
        MOODS.map(([label, says, patch, test]) =>
          button(label, () => act(one, says, change('PATCH', `simulated/${seg(one.name)}`, patch)), {
            kind: 'small',
            title: `${one.name} ${says}`,
            role: 'editor',
            test,
            name: one.name,
          }),
        ),
        button('As it was', () => act(one, 'as it was at the start', change('POST', `simulated/${seg(one.name)}/reset`, {})), {
          kind: 'small',
          role: 'editor',
          test: 'sim-reset',
          name: one.name,
        }),
      ),
    );
  const page = livePage(
    ctx,
    async (signal) => {
      const [all, targets] = await Promise.all([get('simulated', null, signal), ask('targets')]);
      return all.items.map((one) => ({ ...one, target: targets.find((target) => target.target.endsWith(`@${one.name}`)) }));
    },
    1000,
    (state) => [
      head('Demo controls', { lead: 'These providers are simulated. Change one, and watch the traffic move.' }),
      !state.data
        ? waiting(state)
        : state.data.length
          ? h('div', { class: 'cards', key: 'cards' }, state.data.map(card))
          : panel('None', {}, empty('No simulated providers run here', 'pointsman demo starts four.')),
    ],
  );
  ctx.onLeave(onEvent('target', () => page.soon()));
}
