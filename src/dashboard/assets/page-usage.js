// What was used and spent, by whatever it is counted by.

import { get } from './api.js';
import { h } from './dom.js';
import { hue, stackedChart } from './chart.js';
import { NONE, count, share, short, targetName, usd } from './format.js';
import { table } from './table.js';
import { button, empty, figure, figures, head, livePage, panel, waiting } from './widgets.js';

const BY = [
  ['day', 'Day'],
  ['project', 'Project'],
  ['key', 'Key'],
  ['alias', 'Alias'],
  ['target', 'Target'],
  ['model', 'Model'],
  ['provider', 'Provider'],
];
const NUMBERS = [
  ['requests', 'Requests', count],
  ['failures', 'Failed calls', count],
  ['input_tokens', 'Tokens in', short],
  ['cached_input_tokens', 'Of them cached', short],
  ['output_tokens', 'Tokens out', short],
  ['cost_usd', 'Cost', usd],
];
const MOST = 200;
const utc = (days) => new Date(Date.now() - days * 864e5).toISOString().slice(0, 10);

// A field that a spreadsheet would take for a formula is kept from being one.
const csvCell = (value) => {
  const text = typeof value === 'string' && /^[=+\-@]/.test(value) ? `'${value}` : String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

function download(report) {
  const names = [
    ...report.by,
    'requests',
    'attempts',
    'failures',
    'estimated_attempts',
    'input_tokens',
    'cached_input_tokens',
    'output_tokens',
    'cost_usd',
  ];
  const text = [names, ...report.rows.map((row) => names.map((name) => row[name]))]
    .map((row) => row.map(csvCell).join(','))
    .join('\r\n');
  const url = URL.createObjectURL(new Blob([`${text}\r\n`], { type: 'text/csv' }));
  const link = h('a', { href: url, download: `pointsman-usage-${report.from}-${report.to}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// Cost by day of those that cost the most, the rest together.
function series(rows, by, days) {
  const sums = new Map();
  for (const row of rows) sums.set(row[by], (sums.get(row[by]) || 0) + row.cost_usd);
  const top = [...sums]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 7)
    .map(([name]) => name);
  const names = sums.size > 7 ? [...top, null] : top;
  return names.map((name, i) => ({
    name: name === null ? 'others' : targetName(name) || 'none',
    hue: hue(i),
    values: days.map((day) =>
      rows
        .filter((row) => row.day === day && (name === null ? !top.includes(row[by]) : row[by] === name))
        .reduce((sum, row) => sum + row.cost_usd, 0),
    ),
  }));
}

export default function usage(ctx) {
  const state = { days: 30, by: new Set(['alias']), sort: { by: 'Cost', down: true }, at: null };
  const set = (values) => {
    Object.assign(state, values);
    page.now();
  };
  const load = async (signal) => {
    const from = utc(state.days - 1);
    const first = [...state.by].find((by) => by !== 'day') || 'alias';
    const [report, daily] = await Promise.all([
      get('usage', { by: [...state.by].join(','), from }, signal),
      get('usage', { by: `day,${first}`, from }, signal),
    ]);
    return { report, daily, first };
  };
  const page = livePage(ctx, load, 20000, (now) => {
    const { report, daily, first } = now.data || {};
    const columns = report && [
      ...report.by.map((by, i) => ({
        head: BY.find(([id]) => id === by)[1],
        lead: i === 0,
        sort: (row) => row[by],
        cell: (row) => (by === 'target' ? targetName(row[by]) : row[by]) || NONE,
      })),
      ...NUMBERS.map(([name, label, write]) => ({
        head: label,
        num: true,
        sort: (row) => row[name],
        cell: (row) => write(row[name]),
      })),
      {
        head: 'Share of cost',
        num: true,
        cell: (row) => share(report.total.cost_usd ? row.cost_usd / report.total.cost_usd : null, 0),
      },
    ];
    const sorter =
      columns?.find((column) => column.head === state.sort.by && column.sort) ||
      columns?.find((column) => column.head === 'Cost');
    const rows =
      report &&
      [...report.rows].sort((a, b) => {
        const [x, y] = [sorter.sort(a), sorter.sort(b)];
        return (x < y ? -1 : x > y ? 1 : 0) * (state.sort.down ? -1 : 1);
      });
    const days = Array.from({ length: state.days }, (_, i) => utc(state.days - 1 - i));
    return [
      head('Usage and spend', {
        lead: report && `${report.from} to ${report.to}, in UTC`,
        actions: [
          h(
            'label',
            { class: 'check' },
            'Days',
            h(
              'select',
              { value: String(state.days), on: { change: (event) => set({ days: Number(event.target.value) }) } },
              [1, 7, 30, 90, 365].map((n) => h('option', { value: String(n) }, n === 1 ? 'today' : `last ${n}`)),
            ),
          ),
          button('Download CSV', () => download(report), { test: 'usage-csv', disabled: !report }),
        ],
      }),
      !report
        ? waiting(now)
        : [
            figures(
              figure('Cost', usd(report.total.cost_usd)),
              figure('Requests', count(report.total.requests)),
              figure(
                'Failed calls',
                count(report.total.failures),
                report.total.attempts ? share(report.total.failures / report.total.attempts) : null,
              ),
              figure(
                'Tokens in',
                short(report.total.input_tokens),
                report.total.input_tokens
                  ? `${share(report.total.cached_input_tokens / report.total.input_tokens, 0)} cached`
                  : null,
              ),
              figure('Tokens out', short(report.total.output_tokens)),
              figure('Estimated calls', count(report.total.estimated_attempts)),
            ),
            state.days > 1 &&
              panel(
                `Cost by day and ${first}`,
                { key: 'chart' },
                stackedChart({
                  series: series(daily.rows, first, days),
                  stepS: 86400,
                  fromMs: Date.parse(days[0]),
                  at: state.at,
                  daily: true,
                  unit: usd,
                  label: `Cost by day and ${first}`,
                  look: (at) => {
                    state.at = at;
                    page.render();
                  },
                }),
              ),
            panel(
              'Sums',
              {
                key: 'sums',
                aside: h(
                  'fieldset',
                  { class: 'choices', test: 'usage-by' },
                  h('legend', { class: 'sr' }, 'Summed by'),
                  BY.map(([id, label]) =>
                    h(
                      'label',
                      { class: 'chip', key: id },
                      h('input', {
                        type: 'checkbox',
                        value: id,
                        checked: state.by.has(id),
                        on: {
                          change: (event) => {
                            const by = new Set(state.by);
                            if (event.target.checked) by.add(id);
                            else by.delete(id);
                            if (by.size) set({ by });
                            else page.render();
                          },
                        },
                      }),
                      label,
                    ),
                  ),
                ),
              },
              rows.length
                ? table({
                    caption: 'Usage',
                    test: 'usage-table',
                    columns,
                    rows: rows.slice(0, MOST),
                    key: (row) => report.by.map((by) => row[by]).join('|'),
                    sorted: {
                      ...state.sort,
                      set: (by) => {
                        state.sort = { by, down: state.sort.by === by ? !state.sort.down : true };
                        page.render();
                      },
                    },
                  })
                : empty('Nothing was used in these days'),
              rows.length > MOST &&
                h('p', { class: 'hint after' }, `The first ${MOST} of ${count(rows.length)}; the CSV has all.`),
            ),
          ],
    ];
  });
}
