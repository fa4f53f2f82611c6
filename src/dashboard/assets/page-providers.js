// Who serves: whether each can be reached, has its key, and how its targets are.

import { change, get, health as ask, seg } from './api.js';
import { h } from './dom.js';
import { count, many, ms, targetName } from './format.js';
import { onEvent } from './live.js';
import { table } from './table.js';
import { button, empty, head, health, healthTone, linkButton, livePage, panel, pill, waiting } from './widgets.js';

const KEY = { set: ['key set', 'ok'], missing: ['key missing', 'bad'], none: ['wants none', 'off'] };
const WORST = ['bad', 'warn', 'ok', 'off'];

export default function providers(ctx) {
  const tests = new Map();
  const test = async (id) => {
    tests.set(id, { busy: true });
    page.render();
    tests.set(
      id,
      await change('POST', `providers/${seg(id)}/test`, {}).catch((error) => ({ ok: false, message: error.message })),
    );
    page.render();
  };
  const load = async (signal) => {
    const [status, targets, documents] = await Promise.all([
      get('status/providers', null, signal),
      ask('targets'),
      get('providers', { limit: 1000 }, signal),
    ]);
    const limits = new Map(documents.items.map((one) => [one.name, one.document]));
    return status.items.map((one) => {
      const mine = targets.filter((target) => target.target.endsWith(`@${one.id}`));
      const tone = one.unusable ? 'bad' : WORST.find((word) => mine.some((target) => healthTone(target.state) === word)) || 'off';
      return { ...one, targets: mine, tone: one.enabled ? tone : 'off', limits: limits.get(one.id) || {} };
    });
  };
  const columns = [
    {
      head: 'Provider',
      lead: true,
      cell: (one) =>
        h(
          'div',
          { class: 'two' },
          h('a', { class: 'name', href: `/dashboard/providers/${seg(one.id)}` }, one.id),
          h('span', { class: 'hint' }, `${one.protocol} · ${one.base_url}`),
        ),
    },
    { head: 'Key', cell: (one) => pill(...(KEY[one.key] || [one.key])) },
    {
      head: 'Health',
      cell: (one) =>
        h(
          'div',
          { class: 'two' },
          !one.enabled
            ? health('disabled')
            : one.unusable
              ? [health('unusable'), h('span', { class: 'hint' }, one.unusable)]
              : one.targets.length === 0
                ? h('span', { class: 'hint' }, 'named by no alias')
                : one.tone === 'ok'
                  ? health('ready')
                  : one.targets
                      .filter((target) => healthTone(target.state) !== 'ok')
                      .map((target) =>
                        h(
                          'span',
                          { key: target.target },
                          health(target.state),
                          h(
                            'span',
                            { class: 'hint num' },
                            ` ${targetName(target.target)}${target.back_in_ms ? `, back in ${ms(target.back_in_ms)}` : ''}`,
                          ),
                        ),
                      ),
        ),
    },
    {
      head: 'In flight',
      num: true,
      cell: (one) => `${one.in_flight}${one.limits.max_in_flight ? ` of ${one.limits.max_in_flight}` : ''}`,
    },
    {
      head: 'Per minute',
      num: true,
      cell: (one) =>
        [
          one.limits.requests_per_minute && `${count(one.limits.requests_per_minute)} requests`,
          one.limits.tokens_per_minute && `${count(one.limits.tokens_per_minute)} tokens`,
        ]
          .filter(Boolean)
          .join(', ') || 'no limit',
    },
    {
      head: 'Connection',
      wide: true,
      quiet: true,
      cell: (one) => {
        const found = tests.get(one.id);
        return h(
          'div',
          { class: 'tested' },
          button(found?.busy ? 'Testing…' : 'Test', () => test(one.id), {
            kind: 'small',
            role: 'editor',
            test: 'test-provider',
            name: one.id,
          }),
          h(
            'span',
            {
              test: 'test-result',
              role: 'status',
              class: found?.busy === undefined && found ? (found.ok ? 'ok-text' : 'bad-text') : 'hint',
            },
            found &&
              !found.busy &&
              `${found.message} (${ms(found.took_ms)}${found.models != null ? `, ${many(found.models, 'model')}` : ''})`,
          ),
        );
      },
    },
  ];
  const page = livePage(ctx, load, 3000, (state) => [
    head('Providers', {
      lead: state.data && many(state.data.length, 'provider'),
      actions: linkButton('New provider', '/dashboard/new-provider', {
        kind: 'primary',
        pic: 'plus',
        role: 'admin',
        test: 'new-provider',
      }),
    }),
    !state.data
      ? waiting(state)
      : panel(
          'Accounts',
          { hint: 'health is that of the targets that aliases name' },
          state.data.length
            ? table({
                caption: 'Providers',
                columns,
                rows: state.data,
                key: (one) => one.id,
                row: (one) => ({ test: 'provider-row', 'data-name': one.id, 'data-health': one.tone }),
              })
            : empty(
                'No providers yet',
                'A provider is an account at a base URL. Those in the catalogue need only their id and a key.',
              ),
        ),
  ]);
  ctx.onLeave(onEvent('target', () => page.soon()));
}
