// A chat through an alias, with the decision beside it.

import { ApiError, barred, get, stream } from './api.js';
import { h, show } from './dom.js';
import { attemptList, ranking } from './decisions.js';
import { ms, targetName } from './format.js';
import { note } from './router.js';
import { empty, head, icon, notice, panel, pill } from './widgets.js';

const HEADERS = ['target', 'strategy', 'category', 'revision'];

// The pieces of text in a stream of server-sent events.
async function* pieces(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const lines = rest.split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const data = line.startsWith('data:') ? line.slice(5).trim() : '';
      if (!data || data === '[DONE]') continue;
      const event = JSON.parse(data);
      if (event.error) throw new ApiError(502, event.error);
      yield event.choices?.[0]?.delta?.content || '';
    }
  }
}

export default function playground(ctx) {
  const state = {
    alias: ctx.query.alias || '',
    aliases: [],
    prompt: '',
    streamed: true,
    turns: [],
    busy: null,
    told: null,
    decision: null,
  };
  const render = () => {
    if (!ctx.left()) show(ctx.root, draw());
  };
  ctx.onLeave(() => state.busy?.abort());
  const find = (search) =>
    get('aliases', { search, limit: 50 }).then(
      (page) => {
        state.aliases = page.items.map((one) => one.name);
        state.alias ||= state.aliases[0] || '';
        render();
      },
      () => {},
    );

  const decided = async (id) => {
    // The decision is written down when the answer has ended.
    for (let i = 0; i < 8 && !ctx.left(); i += 1) {
      const all = await get('decisions', { alias: state.alias, last: 50 }).catch(() => []);
      state.decision = all.find((one) => one.decision === id) || null;
      if (state.decision) break;
      await new Promise((done) => {
        setTimeout(done, 250);
      });
    }
    render();
  };

  const send = async () => {
    const text = state.prompt.trim();
    if (!text || state.busy || !state.alias) return;
    const answer = { role: 'assistant', content: '' };
    const messages = [...state.turns.filter((turn) => !turn.error && turn.content), { role: 'user', content: text }].map(
      ({ role, content }) => ({ role, content }),
    );
    state.turns.push({ role: 'user', content: text }, answer);
    const control = new AbortController();
    Object.assign(state, { prompt: '', busy: control, told: null, decision: null });
    const box = document.getElementById('playground-prompt');
    box.value = '';
    render();
    const begun = performance.now();
    let id = null;
    try {
      const response = await stream('playground', { alias: state.alias, messages, stream: state.streamed }, control.signal);
      const header = (name) => response.headers.get(`x-pointsman-${name}`);
      id = header('request-id');
      state.told = Object.fromEntries(HEADERS.map((name) => [name, header(name)]));
      if (state.streamed && /event-stream/.test(response.headers.get('content-type'))) {
        for await (const piece of pieces(response)) {
          if (piece && !answer.first) answer.first = performance.now() - begun;
          answer.content += piece;
          render();
        }
      } else {
        answer.content = (await response.json()).choices?.[0]?.message?.content || '';
      }
      answer.took = performance.now() - begun;
    } catch (error) {
      answer.error = error.name === 'AbortError' ? 'Stopped.' : error.message;
    }
    state.busy = null;
    render();
    box.focus();
    if (id) decided(id);
  };

  const turn = (one, i) =>
    h(
      'li',
      { class: `turn ${one.role}`, key: `${i}`, test: one.role === 'assistant' ? 'playground-answer' : null },
      h(
        'span',
        { class: 'hint num' },
        one.role === 'user'
          ? 'You'
          : `${state.alias}${one.took ? ` · ${one.first ? `first token ${ms(one.first)}, ` : ''}whole answer ${ms(one.took)}` : ''}`,
      ),
      one.content && h('p', null, one.content),
      one.error && h('p', { class: 'bad-text' }, one.error),
      !one.content && !one.error && h('p', { class: 'hint' }, 'waiting…'),
    );

  const draw = () => [
    head('Playground', { lead: 'A real request, through the real routing. It costs what it costs.' }),
    barred('editor') && h('div', { key: 'barred' }, notice('info', barred('editor'))),
    h(
      'div',
      { class: 'columns', key: 'columns' },
      panel(
        'Chat',
        {
          aside: [
            h('input', {
              class: 'prompt-line',
              list: 'playground-aliases',
              'aria-label': 'Alias',
              test: 'playground-alias',
              value: state.alias,
              autocomplete: 'off',
              spellcheck: 'false',
              on: {
                input: (event) => {
                  state.alias = event.target.value.trim();
                  note({ alias: state.alias });
                  find(state.alias);
                },
              },
            }),
            h(
              'datalist',
              { id: 'playground-aliases' },
              state.aliases.map((name) => h('option', { value: name, key: name })),
            ),
            h(
              'label',
              { class: 'check' },
              h('input', {
                type: 'checkbox',
                checked: state.streamed,
                on: {
                  change: (event) => {
                    state.streamed = event.target.checked;
                  },
                },
              }),
              'streamed',
            ),
          ],
        },
        h('ol', { class: 'turns', 'aria-live': state.streamed ? 'off' : 'polite' }, state.turns.map(turn)),
        h(
          'form',
          {
            class: 'try',
            on: {
              submit: (event) => {
                event.preventDefault();
                if (state.busy) state.busy.abort();
                else send();
              },
            },
          },
          h('label', { class: 'sr', for: 'playground-prompt' }, 'Prompt'),
          h('textarea', {
            id: 'playground-prompt',
            rows: 3,
            test: 'playground-prompt',
            value: state.prompt,
            placeholder: 'Say something…',
            on: {
              input: (event) => {
                state.prompt = event.target.value;
              },
              keydown: (event) => {
                if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
                  event.preventDefault();
                  send();
                }
              },
            },
          }),
          h(
            'button',
            {
              type: 'submit',
              class: `button ${state.busy ? '' : 'primary'}`,
              test: 'playground-send',
              'aria-disabled': barred('editor') ? 'true' : null,
            },
            icon(state.busy ? 'close' : 'arrow'),
            h('span', null, state.busy ? 'Stop' : 'Send'),
          ),
        ),
      ),
      panel(
        'The decision',
        { test: 'playground-decision' },
        state.told &&
          h(
            'p',
            { class: 'verdict', key: 'told' },
            h('b', null, state.told.target ? targetName(state.told.target) : 'nobody'),
            pill(state.told.strategy || '', 'info'),
            state.told.category && pill(state.told.category, 'info'),
            h('span', { class: 'hint' }, state.told.revision && `revision ${state.told.revision}`),
          ),
        state.decision
          ? h(
              'div',
              { key: 'decision' },
              h('h3', null, 'Attempts'),
              attemptList(state.decision.attempts),
              ranking(state.decision),
            )
          : !state.told && empty('Nothing decided yet', 'Who was asked, in which order and why, stands here after each answer.'),
      ),
    ),
  ];
  render();
  find('');
}
