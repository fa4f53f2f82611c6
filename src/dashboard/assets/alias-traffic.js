// What an alias's traffic looked like lately: by target, by waiting time, and by what went wrong.

import { h } from './dom.js';
import { histogram, hue, stackedChart } from './chart.js';
import { count, rate, targetName, usd, words } from './format.js';
import { table } from './table.js';
import { notice, panel } from './widgets.js';

function latencyPanel(traffic) {
  const { le_ms: le = [], counts = [] } = traffic.latency || {};
  const marks = ['p50', 'p95', 'p99']
    .map((name) => ({ name, at: traffic.ttft_ms?.[name] ?? quantile(le, counts, Number(name.slice(1)) / 100) }))
    .filter((mark) => mark.at != null);
  return panel(
    'Time to first token',
    { hint: 'streams, last 10 minutes' },
    histogram({ le, counts, marks, label: 'How long the first token took', test: 'latency-chart' }),
  );
}

// Among buckets nothing better is known than the bound.
function quantile(le, counts, q) {
  const all = counts.reduce((sum, n) => sum + n, 0);
  if (!all) return null;
  let seen = 0;
  for (let i = 0; i < counts.length; i += 1) {
    seen += counts[i];
    if (seen >= q * all) return le[i] ?? le[i - 1];
  }
  return null;
}

function fallbackPanel(traffic) {
  const rows = traffic.targets.flatMap((one) =>
    Object.entries(one.failures || {}).map(([reason, n]) => ({ from: one.target, reason, n })),
  );
  return panel(
    'Fallbacks',
    { test: 'fallbacks', hint: 'attempts of this alias that failed' },
    rows.length === 0
      ? h('p', { class: 'calm' }, 'None: every request was served by the first who was asked.')
      : table({
          caption: 'Fallbacks',
          rows,
          key: (one) => `${one.from} ${one.reason}`,
          columns: [
            { head: 'From', lead: true, cell: (one) => targetName(one.from) },
            { head: 'Reason', cell: (one) => words(one.reason) },
            { head: 'Times', num: true, cell: (one) => count(one.n) },
          ],
        }),
  );
}

const costPanel = (traffic, spent) =>
  panel(
    'Cost today',
    { hint: 'since midnight, UTC' },
    spent.length === 0
      ? h('p', { class: 'calm' }, 'Nothing yet.')
      : table({
          caption: 'Cost by target',
          rows: spent,
          key: (one) => one.target,
          columns: [
            { head: 'Target', lead: true, cell: (one) => targetName(one.target || 'nobody') },
            { head: 'Requests', num: true, cell: (one) => count(one.requests) },
            { head: 'Cost', num: true, cell: (one) => usd(one.cost_usd) },
          ],
        }),
  );

/// The pictures. `look.at` is the step that is looked at.
export function trafficPanels(traffic, spent, look, render) {
  if (!traffic)
    return h(
      'div',
      { key: 'no-traffic' },
      notice('info', 'Traffic over time is not known here. The numbers above are those of the targets.'),
    );
  const step = traffic.step_s;
  // The slice that is under way would look like a drop.
  const whole = (slices) => slices.slice(0, -1).map((n) => n / step);
  const series = traffic.targets.map((one, i) => ({ name: targetName(one.target), hue: hue(i), values: whole(one.series) }));
  if (traffic.unserved_series?.some((n) => n > 0))
    series.push({ name: 'served by nobody', hue: 'cbad', values: whole(traffic.unserved_series) });
  const chart = stackedChart({
    series,
    stepS: step,
    fromMs: traffic.from_ms,
    at: look.at,
    unit: rate,
    label: 'Answers by target over time',
    test: 'traffic-chart',
    look: (at) => {
      if (look.at !== at) {
        look.at = at;
        render();
      }
    },
  });
  return [
    panel(
      'Traffic by target',
      { hint: 'answers per second, last 10 minutes' },
      traffic.targets.length ? chart : h('p', { class: 'calm' }, 'No requests in the last 10 minutes.'),
    ),
    h('div', { class: 'columns', key: 'columns' }, latencyPanel(traffic), fallbackPanel(traffic), costPanel(traffic, spent)),
  ];
}
