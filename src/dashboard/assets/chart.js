// Pictures of numbers, as SVG. Each says in words what it shows; none needs colour alone.

import { h, s } from './dom.js';
import { count, day, ms, rate, share, targetName, when } from './format.js';

/// The class of a target's colour, by its place.
export const hue = (index) => `c${index % 8}`;

/// Shares of a whole as a bar. `parts` are `{ name, share, hue, note }`.
export function shareBar(parts, { test = 'share-bar', label = 'Traffic' } = {}) {
  const seen = parts.filter((part) => part.share > 0);
  const text = seen.length
    ? `${label}: ${seen.map((part) => `${part.name} ${share(part.share, 0)}`).join(', ')}`
    : `${label}: none`;
  let x = 0;
  const rects = seen.map((part) => {
    const width = part.share * 100;
    const rect = s(
      'rect',
      { x: x.toFixed(2), y: 0, height: 8, width: Math.max(0.4, width - 0.5).toFixed(2), class: part.hue, key: part.name },
      s('title', null, `${part.name} ${share(part.share, 0)}`),
    );
    x += width;
    return rect;
  });
  return h(
    'div',
    { class: 'share', test },
    s(
      'svg',
      { viewBox: '0 0 100 8', preserveAspectRatio: 'none', role: 'img', 'aria-label': text, class: 'share-svg' },
      s('rect', { x: 0, y: 0, width: 100, height: 8, class: 'track', key: 'track' }),
      rects,
    ),
  );
}

/// What the colours of a share bar mean.
export const shareLegend = (parts, most = 4) =>
  h(
    'ul',
    { class: 'legend small', 'aria-hidden': 'true' },
    parts
      .filter((part) => part.share > 0)
      .sort((a, b) => b.share - a.share)
      .slice(0, most)
      .map((part) =>
        h(
          'li',
          { key: part.name },
          h('i', { class: `swatch ${part.hue}` }),
          h('span', null, targetName(part.name)),
          h('b', { class: 'num' }, share(part.share, 0)),
        ),
      ),
  );

/// A small line of what was.
export function spark(values, label) {
  if (!values?.length) return null;
  const top = Math.max(...values, 1e-9);
  const step = 80 / Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${(i * step).toFixed(1)},${(18.5 - (value / top) * 17).toFixed(1)}`);
  return s(
    'svg',
    { class: 'spark', viewBox: '0 0 80 20', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    s('path', { class: 'spark-area', d: `M0,20L${points.join('L')}L80,20Z` }),
    s('polyline', { points: points.join(' ') }),
  );
}

/// A round number not below `n`, for the top of an axis.
function roof(n) {
  if (n <= 0) return 1;
  const size = 10 ** Math.floor(Math.log10(n));
  return [1, 1.5, 2, 3, 4, 5, 7.5, 10].find((step) => step * size >= n) * size;
}

/// Several series over time, one upon the other. `at` is the step that is looked at (or null),
/// `look(step)` is told when that changes. Values are per step; they are told as `unit(value)`.
export function stackedChart({ series, stepS, fromMs, at, look, unit = rate, label, test, daily }) {
  const steps = Math.max(...series.map((one) => one.values.length), 0);
  const sums = Array.from({ length: steps }, (_, i) => series.reduce((sum, one) => sum + (one.values[i] || 0), 0));
  const top = roof(Math.max(...sums, 0));
  const base = new Array(steps).fill(0);
  const X = (i) => ((i / steps) * 600).toFixed(1);
  const Y = (value) => (150 - (value / top) * 145).toFixed(1);
  const areas = series.map((one) => {
    let up = '';
    let down = '';
    for (let i = 0; i < steps; i += 1) {
      const below = Y(base[i]);
      base[i] += one.values[i] || 0;
      const above = Y(base[i]);
      up += `${i ? 'L' : 'M'}${X(i)},${above}L${X(i + 1)},${above}`;
      down = `L${X(i + 1)},${below}L${X(i)},${below}${down}`;
    }
    return s('path', { d: `${up}${down}Z`, class: one.hue, key: one.name });
  });
  const time = (i) => (daily ? day : when)(fromMs + i * stepS * 1000);
  const place = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    return Math.max(0, Math.min(steps - 1, Math.floor(((event.clientX - box.left) / box.width) * steps)));
  };
  const mean = (one) => one.values.reduce((sum, value) => sum + value, 0) / Math.max(1, steps);
  const told = (one) => (at != null ? one.values[at] || 0 : daily ? mean(one) * steps : mean(one));
  const words = `${label}. ${series.map((one) => `${one.name}: ${unit(mean(one))} on average`).join('; ')}.`;
  return h(
    'figure',
    { class: 'chart', test },
    h(
      'div',
      { class: 'chart-top num', 'aria-hidden': 'true' },
      h('span', null, unit(top)),
      h('span', null, at != null ? time(at) : daily ? 'all days' : 'average'),
    ),
    s(
      'svg',
      {
        viewBox: '0 0 600 150',
        preserveAspectRatio: 'none',
        role: 'img',
        'aria-label': words,
        tabindex: steps ? '0' : null,
        class: 'chart-svg',
        on: {
          pointermove: (event) => look(place(event)),
          pointerleave: () => look(null),
          blur: () => look(null),
          keydown: (event) => {
            const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
            if (!move) return;
            event.preventDefault();
            look(Math.max(0, Math.min(steps - 1, (at ?? (move > 0 ? -1 : steps)) + move)));
          },
        },
      },
      [0.25, 0.5, 0.75, 1].map((part) =>
        s('line', { class: 'grid', x1: 0, x2: 600, y1: Y(top * part), y2: Y(top * part), key: `g${part}` }),
      ),
      areas,
      at != null && s('rect', { class: 'cursor', x: X(at), y: 0, width: (600 / steps).toFixed(1), height: 150, key: 'cursor' }),
    ),
    h(
      'div',
      { class: 'chart-axis num', 'aria-hidden': 'true' },
      h('span', null, steps ? time(0) : ''),
      h('span', null, steps ? time(Math.floor(steps / 2)) : ''),
      h('span', null, daily ? 'today' : 'now'),
    ),
    h(
      'ul',
      { class: 'legend' },
      series.map((one) =>
        h(
          'li',
          { key: one.name },
          h('i', { class: `swatch ${one.hue}` }),
          h('span', null, one.name),
          h('b', { class: 'num' }, unit(told(one))),
        ),
      ),
    ),
  );
}

/// How many fell into each bucket; `marks` are `{ name, at }` among the bounds.
export function histogram({ le, counts, marks = [], label, test }) {
  const first = counts.findIndex((n) => n > 0);
  if (first < 0) return h('p', { class: 'hint', test }, 'No first tokens of streams yet.');
  const last = counts.findLastIndex((n) => n > 0);
  const from = Math.max(0, first - 1);
  const to = Math.min(counts.length - 1, last + 1);
  const shown = counts.slice(from, to + 1);
  const top = Math.max(...shown);
  const total = shown.reduce((sum, n) => sum + n, 0);
  const width = 600 / shown.length;
  const place = (value) => {
    const i = le.findIndex((bound) => bound == null || value <= bound);
    return (Math.max(0, (i < 0 ? to : i) - from) + 0.5) * width;
  };
  return h(
    'figure',
    { class: 'chart', test },
    s(
      'svg',
      {
        viewBox: '0 0 600 110',
        preserveAspectRatio: 'none',
        role: 'img',
        class: 'chart-svg low',
        'aria-label': `${label}. ${count(total)} in all. ${marks.map((mark) => `${mark.name} ${ms(mark.at)}`).join(', ')}.`,
      },
      shown.map((n, i) =>
        s(
          'rect',
          {
            class: 'bar',
            key: `b${i}`,
            x: (i * width + 1).toFixed(1),
            width: Math.max(1, width - 2).toFixed(1),
            y: (110 - (n / top) * 104).toFixed(1),
            height: ((n / top) * 104).toFixed(1),
          },
          s('title', null, `up to ${ms(le[from + i])}: ${count(n)}`),
        ),
      ),
      marks.map((mark) => s('line', { class: 'mark', key: mark.name, x1: place(mark.at), x2: place(mark.at), y1: 0, y2: 110 })),
    ),
    h(
      'div',
      { class: 'chart-axis num', 'aria-hidden': 'true' },
      h('span', null, from ? ms(le[from - 1]) : '0 ms'),
      h('span', null, ms(le[Math.floor((from + to) / 2)])),
      h('span', null, ms(le[to] ?? le[to - 1])),
    ),
    h(
      'ul',
      { class: 'legend' },
      marks.map((mark) => h('li', { key: mark.name }, h('span', null, mark.name), h('b', { class: 'num' }, ms(mark.at)))),
    ),
  );
}
