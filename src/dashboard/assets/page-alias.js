// One alias: where its next request would go and why, and where the last ones went.

import { change, get, getTagged, health as healthOf, seg } from './api.js';
import { h } from './dom.js';
import { hue } from './chart.js';
import { decisions, verdict } from './decisions.js';
import { ask, confirm } from './dialog.js';
import { count, lately, ms, rate, share, targetName, usd, words } from './format.js';
import { onEvent } from './live.js';
import { go } from './router.js';
import { table } from './table.js';
import { trafficPanels } from './alias-traffic.js';
import { button, empty, figure, figures, head, health, linkButton, livePage, panel, pill, toast, waiting } from './widgets.js';

/// The targets of a document, in whichever category they are.
export const targetsOf = (document) =>
  document.targets || (document.categories || []).flatMap((category) => category.targets || []);

/// A category as if it were an alias, to see what its own targets would do.
function asAlias(document, name) {
  const { categories, classifier, pin, hint, on_exhausted: _, ...rest } = document;
  const { description, examples, threshold, margin, on_exhausted, ...own } = categories.find((one) => one.name === name) || {};
  return { ...rest, ...own, name: document.name };
}

async function askAll(name, question, signal) {
  const path = `aliases/${seg(name)}`;
  const document = question.category && question.document ? asAlias(question.document, question.category) : undefined;
  const today = new Date().toISOString().slice(0, 10);
  const [resource, traffic, latest, told, states, spent] = await Promise.all([
    getTagged(path).then((answer) => answer.data),
    // Numbers may be missing where the rest is not.
    get(`${path}/traffic`, { window_s: 600 }, signal).catch((error) => {
      if (error.name === 'AbortError') throw error;
      return null;
    }),
    get('decisions', { alias: name, last: 30 }, signal),
    change('POST', 'explain', { alias: name, prompt: question.prompt, stream: question.stream, document }).catch((error) => ({
      error,
    })),
    healthOf('targets'),
    get('usage', { by: 'target', alias: name, from: today }, signal),
  ]);
  question.document = resource.document;
  return { resource, traffic, latest, told, spent: spent.rows, states: new Map(states.map((one) => [one.target, one])) };
}

/// Everybody who could serve, chosen, waiting or left out.
function standing({ told, traffic, states }) {
  const numbers = new Map((traffic?.targets || []).map((one) => [one.target, one]));
  const total = (traffic?.targets || []).reduce((sum, one) => sum + one.served, 0);
  const all = [
    ...told.candidates.map((one, i) => ({ ...one, place: i + 1, state: i === 0 ? 'chosen' : 'candidate' })),
    ...told.skipped.map((one) => ({ ...one, place: null, state: 'skipped' })),
  ];
  // The colours follow the document, as on the overview.
  const order = (traffic?.targets || []).map((one) => one.target);
  return all.map((one) => {
    const seen = numbers.get(one.target);
    return {
      ...one,
      hue: hue(Math.max(0, order.indexOf(one.target))),
      seen,
      health: states.get(one.target)?.state ?? seen?.state,
      back: states.get(one.target)?.back_in_ms,
      cause: states.get(one.target)?.cause,
      share: seen && total ? seen.served / total : null,
    };
  });
}

const score = (one) =>
  one.score == null
    ? null
    : one.unit === 'USD'
      ? usd(one.score)
      : one.unit === 's'
        ? ms(one.score * 1000)
        : one.unit === 'share'
          ? share(one.score)
          : one.score >= 100
            ? count(one.score)
            : one.score.toFixed(2);

const why = (one) =>
  h(
    'div',
    { class: 'why', test: 'target-why' },
    one.state === 'skipped'
      ? [pill(words(one.class), 'warn'), h('span', null, one.reason)]
      : [
          pill(one.state === 'chosen' ? 'would be chosen' : `${one.place}. in line`, one.state === 'chosen' ? 'ok' : 'off'),
          h(
            'span',
            null,
            one.purpose && one.purpose !== 'usual' && h('b', null, `to ${words(one.purpose)} · `),
            one.why !== 'its score' && one.why,
            score(one) && h('span', { class: 'num' }, one.why === 'its score' ? `score ${score(one)}` : ` · score ${score(one)}`),
          ),
        ],
  );

const columns = [
  {
    head: 'Target',
    w: 15,
    lead: true,
    cell: (one) =>
      h(
        'div',
        { class: 'target-name' },
        h('i', { class: `swatch ${one.hue}` }),
        h('span', { class: 'name' }, targetName(one.target)),
      ),
  },
  { head: 'Why now', w: 20, wide: true, cell: why },
  {
    head: 'State',
    w: 12,
    cell: (one) =>
      h(
        'div',
        { class: 'two' },
        h('span', null, health(one.health)),
        one.back > 0 && h('span', { class: 'hint num' }, `back in ${ms(one.back)}${one.cause ? `, ${words(one.cause)}` : ''}`),
      ),
  },
  { head: 'Traffic', w: 7, num: true, cell: (one) => share(one.share, 0) },
  { head: 'First token p50', w: 9, num: true, cell: (one) => ms(one.seen?.lately?.ttft_ms?.p50 ?? one.predicted_ttft_ms) },
  { head: 'p95', w: 7, num: true, cell: (one) => ms(one.seen?.lately?.ttft_ms?.p95 ?? one.ttft_p95_ms) },
  {
    head: 'Tokens/s',
    w: 7,
    num: true,
    cell: (one) => (one.tokens_per_second ?? one.seen?.lately?.tokens_per_second)?.toFixed(0) ?? '–',
  },
  {
    head: 'Failures',
    w: 7,
    num: true,
    cell: (one) =>
      h(
        'span',
        { class: one.failure_rate > 0.3 ? 'bad-text' : one.failure_rate > 0.02 ? 'warn-text' : '' },
        share(one.failure_rate, 0),
      ),
  },
  { head: 'In flight', w: 6, num: true, cell: (one) => one.in_flight ?? one.seen?.in_flight ?? '–' },
  { head: 'Next request', w: 10, num: true, cell: (one) => usd(one.expected_cost_usd) },
];

async function rename(name, revision) {
  const fresh = await ask({
    title: 'Rename alias',
    label: 'New name',
    value: name,
    yes: 'Rename',
    hint: 'Callers have to use the new name at once; keys and projects that name it follow.',
  });
  if (!fresh || fresh === name) return;
  try {
    await change('POST', `aliases/${seg(name)}/rename`, { name: fresh }, { match: `"${revision}"` });
    toast(`${name} is now called ${fresh}`);
    go(`/dashboard/aliases/${seg(fresh)}`, { replace: true });
  } catch (error) {
    toast(error.message, 'bad');
  }
}

async function remove(name, revision) {
  const used = await get('usage', {
    by: 'key',
    alias: name,
    from: new Date(Date.now() - 6 * 864e5).toISOString().slice(0, 10),
  }).catch(() => null);
  const callers = used?.rows.filter((row) => row.requests > 0) || [];
  const sure = await confirm({
    title: `Delete ${name}?`,
    yes: 'Delete',
    danger: true,
    text: [
      callers.length
        ? `In the last seven days it was called with ${callers.length === 1 ? 'the key' : `${callers.length} keys:`} ${callers.map((row) => row.key || '(no key)').join(', ')}. Their requests get 404 from now on.`
        : 'Nobody has called it in the last seven days.',
      'It can be brought back from the history.',
    ],
  });
  if (!sure) return;
  try {
    await change('DELETE', `aliases/${seg(name)}`, undefined, { match: `"${revision}"` });
    toast(`${name} is deleted`);
    go('/dashboard/');
  } catch (error) {
    toast(error.message, 'bad');
  }
}

export default function alias(ctx) {
  const { name } = ctx.params;
  const question = { prompt: '', stream: true, category: '', document: null };
  const look = { at: null };
  const held = { open: new Set(), list: null };
  let typing;
  ctx.title(name);
  const page = livePage(
    ctx,
    (signal) => askAll(name, question, signal),
    3000,
    (state) => {
      const { data, error } = state;
      const path = `/dashboard/aliases/${seg(name)}`;
      const revision = data?.resource.revision;
      const document = data?.resource.document;
      const traffic = data?.traffic;
      const rows = data && !data.told.error ? standing(data) : [];
      return [
        head(name, {
          back: ['/dashboard/', 'Overview'],
          lead: document && [
            pill(document.strategy, 'info'),
            h('a', { href: `/dashboard/history/${revision}` }, `revision ${revision}`),
          ],
          actions: data && [
            linkButton('Edit', `${path}/edit`, { kind: 'primary', pic: 'edit', role: 'editor', test: 'edit-alias' }),
            linkButton('Try it', `/dashboard/playground?alias=${seg(name)}`),
            linkButton('Duplicate', `/dashboard/new-alias?from=${seg(name)}`, { role: 'editor', test: 'duplicate-alias' }),
            button('Rename', () => rename(name, revision), { role: 'editor', test: 'rename-alias' }),
            button('Delete', () => remove(name, revision), { role: 'editor', kind: 'danger-quiet', test: 'delete-alias' }),
          ],
        }),
        error?.status > 0 && data && h('div', { key: 'gone', class: 'hint' }, error.message),
        !data
          ? waiting(state, 8)
          : h(
              'div',
              { class: 'page', test: 'alias-page', key: 'page' },
              figures(
                figure('Requests', rate(lately(traffic?.series)), 'last minute'),
                figure('Success', share(traffic?.success)),
                figure('First token p50', ms(traffic?.ttft_ms?.p50)),
                figure('First token p95', ms(traffic?.ttft_ms?.p95)),
                figure('Fallbacks', count(traffic?.fallbacks)),
                figure('Spend today', usd(traffic?.spent_today_usd)),
              ),
              panel(
                'Where the next request goes',
                {
                  hint: 'decided now, by the function that routes',
                  aside: [
                    document.categories &&
                      h(
                        'select',
                        {
                          class: 'prompt-line',
                          'aria-label': 'Category to decide for',
                          value: question.category,
                          test: 'explain-category',
                          on: {
                            change: (event) => {
                              question.category = event.target.value;
                              page.now();
                            },
                          },
                        },
                        h('option', { value: '' }, 'as the prompt is taken'),
                        document.categories.map((one) => h('option', { value: one.name, key: one.name }, `within ${one.name}`)),
                      ),
                    h(
                      'label',
                      { class: 'check' },
                      h('input', {
                        type: 'checkbox',
                        checked: question.stream,
                        on: {
                          change: (event) => {
                            question.stream = event.target.checked;
                            page.now();
                          },
                        },
                      }),
                      'streamed',
                    ),
                    h('input', {
                      class: 'prompt-line',
                      'aria-label': 'A prompt to decide for',
                      placeholder: 'for a prompt…',
                      value: question.prompt,
                      test: 'explain-prompt',
                      on: {
                        input: (event) => {
                          question.prompt = event.target.value;
                          clearTimeout(typing);
                          typing = setTimeout(() => page.now(), 300);
                        },
                      },
                    }),
                  ],
                },
                data.told.error
                  ? h('p', { class: 'bad-text' }, data.told.error.message)
                  : [
                      data.told.category && verdict(data.told.category),
                      data.told.exploring &&
                        h(
                          'p',
                          { class: 'hint', key: 'exploring' },
                          `The first is there to be tried out, instead of ${targetName(data.told.exploring.instead_of)}.`,
                        ),
                      rows.length
                        ? table({
                            caption: 'Targets',
                            columns,
                            rows,
                            key: (one) => `${one.target} ${one.state === 'skipped'}`,
                            row: (one) => ({
                              test: 'target-row',
                              'data-name': one.target,
                              'data-state': one.state,
                              'data-health': one.health,
                              class: `target-${one.state}`,
                            }),
                          })
                        : empty('No target', 'Nothing that this alias names is served by a configured provider.'),
                    ],
              ),
              trafficPanels(traffic, data.spent, look, () => page.render()),
              decisions(data.latest, held, () => page.render()),
            ),
      ];
    },
  );
  ctx.onLeave(onEvent('target', () => page.soon()));
  ctx.onLeave(onEvent('revision', () => page.soon()));
}
