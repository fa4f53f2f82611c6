// Decisions that were made, each openable to what it rested on and what came of it.

import { h } from './dom.js';
import { ago, count, ms, share, targetName, usd, when, words } from './format.js';
import { empty, panel, pill } from './widgets.js';

// Why a request was taken for another category than the likeliest.
const REASONS = {
  hint: 'as the caller said',
  elsewhere: 'the likeliest category is none of this alias',
  unsure: 'no category is likely enough',
  close: 'two categories are about as likely',
  unreadable: 'no text asks for anything',
  overloaded: 'too many waited for a closer look',
  timeout: 'the closer look took too long',
  broken: 'the classifier does not work',
  exhausted: 'nobody of its category could serve',
};

/// How sure that is. What goes to default is so of another category, which was not enough.
function sureness(found) {
  if (found.confidence == null) return found.reason ? null : 'nobody was asked';
  const sure = share(found.confidence, 0);
  if (!found.reason) return `${sure} sure`;
  const nearest = found.scores?.find((score) => score.of_alias);
  return nearest ? `${words(nearest.name)} would be nearest, at ${sure}` : null;
}

/// Why it is another category than the likeliest; null if it is not.
function because(found) {
  const first = found.reason === 'elsewhere' && found.scores?.find((score) => !score.of_alias);
  if (first?.name === 'other') return 'looks like nothing that has a category';
  if (first) return `looks like ${words(first.name)} (${share(first.confidence, 0)}), which is no category of this alias`;
  return found.reason && (REASONS[found.reason] || words(found.reason));
}

/// A category with how sure that is, and why.
export const verdict = (found) =>
  h(
    'p',
    { class: 'verdict', key: 'verdict' },
    pill(found.name, 'info', { test: 'try-category' }),
    h(
      'span',
      null,
      found.reason && h('span', { test: 'try-reason' }, because(found)),
      found.reason && sureness(found) && '; ',
      sureness(found) && h('span', { test: 'try-confidence', class: 'num' }, sureness(found)),
    ),
    h(
      'span',
      { class: 'hint num' },
      found.tier && [`${found.tier} look`, found.took_us != null && ms(found.took_us / 1000)].filter(Boolean).join(', '),
    ),
  );

const score = (one) =>
  one.score == null
    ? ''
    : one.unit === 'USD'
      ? usd(one.score)
      : one.unit === 's'
        ? ms(one.score * 1000)
        : one.score >= 100
          ? count(one.score)
          : one.score.toFixed(3);

/// Calls to providers, in order.
export const attemptList = (attempts) =>
  h(
    'ol',
    { class: 'attempts' },
    attempts.map((one, i) =>
      h(
        'li',
        { key: `${i}`, test: 'attempt-row', 'data-outcome': one.outcome },
        pill(one.outcome === 'ok' ? 'ok' : words(one.outcome), one.outcome === 'ok' ? 'ok' : 'bad', { dot: true }),
        h('span', { class: 'name' }, targetName(one.target)),
        h(
          'span',
          { class: 'hint num' },
          [
            one.status && `HTTP ${one.status}`,
            one.ttft_ms != null && `first token ${ms(one.ttft_ms)}`,
            one.elapsed_ms != null && `took ${ms(one.elapsed_ms)}`,
          ]
            .filter(Boolean)
            .join(' · '),
        ),
      ),
    ),
  );

/// What a decision rested on.
export const ranking = (decision) =>
  h(
    'div',
    { class: 'ranking' },
    decision.category && verdict(decision.category),
    h('h3', null, 'Order'),
    h(
      'ol',
      { class: 'order' },
      decision.candidates.map((one, i) =>
        h(
          'li',
          { key: `${i}`, test: 'order-row', 'data-name': one.target },
          h('span', { class: 'name' }, targetName(one.target)),
          h(
            'span',
            { class: 'hint num' },
            [
              one.purpose !== 'usual' && `to ${words(one.purpose)}`,
              one.why,
              score(one),
              one.predicted_ttft_ms != null && `first token expected in ${ms(one.predicted_ttft_ms)}`,
              one.in_flight != null && `${one.in_flight} in flight`,
            ]
              .filter(Boolean)
              .join(' · '),
          ),
        ),
      ),
    ),
    decision.skipped.length > 0 && [
      h('h3', null, 'Left out'),
      h(
        'ul',
        { class: 'order' },
        decision.skipped.map((one, i) =>
          h(
            'li',
            { key: `${i}` },
            h('span', { class: 'name' }, targetName(one.target)),
            h('span', { class: 'hint' }, `${words(one.class)}: ${one.reason}`),
          ),
        ),
      ),
    ],
    decision.behind && [
      h('h3', null, `Behind them, those of default (${decision.behind.strategy})`),
      h(
        'ol',
        { class: 'order' },
        decision.behind.candidates.map((one, i) =>
          h('li', { key: `${i}` }, h('span', { class: 'name' }, targetName(one.target)), h('span', { class: 'hint' }, one.why)),
        ),
      ),
    ],
  );

const facts = (decision) =>
  h(
    'p',
    { class: 'hint num' },
    [
      `request ${decision.decision}`,
      `revision ${decision.revision}`,
      decision.request.stream ? 'streamed' : 'whole answer',
      `about ${decision.request.prompt_tokens} tokens in, ${decision.request.expected_output} expected out`,
      decision.replayed
        ? 'decided again from what was observed: the same order'
        : 'decided again: another order (the configuration or the chance differs)',
    ].join(' · '),
  );

function row(decision, toggled) {
  const failed = decision.attempts.filter((one) => one.outcome !== 'ok').length;
  const last = decision.attempts.at(-1);
  return h(
    'details',
    {
      class: 'decision',
      key: decision.decision,
      test: 'decision-row',
      'data-name': decision.decision,
      on: { toggle: (event) => toggled(decision.decision, event.target.open) },
    },
    h(
      'summary',
      null,
      h('span', { class: 'num hint', title: ago(decision.at_ms) }, when(decision.at_ms)),
      h('span', { class: 'name' }, decision.chosen ? targetName(decision.chosen) : 'nobody'),
      h(
        'span',
        { class: 'decision-notes' },
        decision.category && pill(decision.category.name, 'info'),
        decision.exploring && pill('trial', 'info'),
        !decision.chosen
          ? pill('failed', 'bad', { dot: true })
          : failed > 0 && pill(`${failed} before it failed`, 'warn', { dot: true }),
      ),
      h('span', { class: 'num hint' }, last?.ttft_ms != null ? ms(last.ttft_ms) : ms(last?.elapsed_ms)),
    ),
    h(
      'div',
      { class: 'decision-body', test: 'decision-detail' },
      h('h3', null, 'Attempts'),
      decision.attempts.length ? attemptList(decision.attempts) : h('p', { class: 'hint' }, 'None.'),
      ranking(decision),
      facts(decision),
    ),
  );
}

/// The list. While one is open the list is held, so that nobody loses their place: `held` is
/// `{ open: Set, list }`.
export function decisions(latest, held, render) {
  if (!held.open.size) held.list = latest;
  const known = new Set(held.list.map((one) => one.decision));
  const newer = latest.filter((one) => !known.has(one.decision)).length;
  const toggled = (id, open) => {
    if (open) held.open.add(id);
    else held.open.delete(id);
    render();
  };
  return panel(
    'Recent decisions',
    { hint: newer ? `held while one is open; ${newer === latest.length ? `${newer} or more` : newer} newer` : 'newest first' },
    held.list.length
      ? h(
          'div',
          { class: 'decisions' },
          held.list.map((one) => row(one, toggled)),
        )
      : empty('None yet', 'As soon as somebody calls this alias, the decisions are here, each with what it rested on.'),
  );
}
