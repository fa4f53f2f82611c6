// Dialogs: the browser's own, which keep the focus inside, close with Escape and give the focus
// back.

import { announce, h, show, uid } from './dom.js';
import { button } from './widgets.js';

/// Opens a dialog that `draw({ close, render })` fills. `leave` may refuse to be left by Escape.
/// The promise resolves to what `close` was given.
export function openDialog({ title, test = 'dialog', wide, draw, leave }) {
  const before = document.activeElement;
  const id = uid('dialog');
  const box = h('dialog', { class: wide ? 'dialog wide' : 'dialog', 'aria-labelledby': id, test });
  return new Promise((resolve) => {
    let done = false;
    const close = (result) => {
      if (done) return;
      done = true;
      box.close();
      box.remove();
      // Whoever opened it may have been drawn anew meanwhile; then its namesake gets the focus.
      const back = before?.isConnected ? before : document.querySelector('main h1');
      back?.focus?.();
      resolve(result);
    };
    const render = () => {
      if (done) return;
      show(
        box,
        h(
          'div',
          { class: 'dialog-head' },
          h('h2', { id }, title),
          button('Close', () => close(), { kind: 'icon quiet', pic: 'close', test: 'dialog-close' }),
        ),
        draw({ close, render, box }),
        // What is behind a dialog is not read out, so it has a voice of its own.
        h('div', { class: 'sr announcer', role: 'status', key: 'announcer', keep: true }),
      );
    };
    box.addEventListener('cancel', (event) => {
      event.preventDefault();
      if (!leave || leave()) close();
    });
    // A browser may close it without asking a second time.
    box.addEventListener('close', () => close());
    document.body.append(box);
    render();
    box.showModal();
    (box.querySelector('[autofocus]') || box.querySelector('input, select, textarea, [data-test=dialog-cancel]'))?.focus();
  });
}

/// The buttons at a dialog's end.
export const dialogEnd = (...buttons) => h('div', { class: 'dialog-end', key: 'end' }, buttons);

/// Asks for a yes.
export const confirm = ({ title, text, yes, danger, more }) =>
  openDialog({
    title,
    draw: ({ close }) => [
      h(
        'div',
        { class: 'dialog-body' },
        [].concat(text).map((line) => h('p', null, line)),
        more,
      ),
      dialogEnd(
        button('Cancel', () => close(false), { test: 'dialog-cancel' }),
        button(yes, () => close(true), { kind: danger ? 'danger' : 'primary', test: 'dialog-confirm' }),
      ),
    ],
  });

/// Asks for one line of text.
export function ask({ title, label, value = '', yes, hint, test }) {
  let text = value;
  return openDialog({
    title,
    draw: ({ close }) =>
      h(
        'form',
        {
          class: 'dialog-form',
          on: {
            submit: (event) => {
              event.preventDefault();
              if (text.trim()) close(text.trim());
            },
          },
        },
        h(
          'div',
          { class: 'dialog-body' },
          h(
            'div',
            { class: 'field' },
            h('label', { for: 'ask' }, label),
            h('input', {
              id: 'ask',
              value: text,
              autofocus: true,
              required: true,
              test,
              autocomplete: 'off',
              spellcheck: 'false',
              on: {
                input: (event) => {
                  text = event.target.value;
                },
              },
            }),
            hint && h('p', { class: 'hint' }, hint),
          ),
        ),
        dialogEnd(
          button('Cancel', () => close(), { test: 'dialog-cancel' }),
          h('button', { type: 'submit', class: 'button primary', test: 'dialog-confirm' }, yes),
        ),
      ),
  });
}

/// Shows a secret, once.
export const showSecret = ({ title, text, secret }) =>
  openDialog({
    title,
    leave: () => false,
    draw: ({ close }) => [
      h(
        'div',
        { class: 'dialog-body' },
        h('p', null, text),
        h(
          'div',
          { class: 'secret' },
          h('code', { test: 'key-secret', tabindex: '0' }, secret),
          button(
            'Copy',
            async (event) => {
              const pressed = event.currentTarget;
              try {
                await navigator.clipboard.writeText(secret);
                announce('Copied');
                pressed.lastChild.textContent = 'Copied';
              } catch {
                // Without TLS browsers have no clipboard: what is selected can be copied by hand.
                const range = document.createRange();
                range.selectNodeContents(pressed.previousSibling);
                getSelection().removeAllRanges();
                getSelection().addRange(range);
                announce('Selected; copy it with Control C');
                pressed.lastChild.textContent = 'Selected';
              }
            },
            { pic: 'copy', test: 'copy-secret', autofocus: true },
          ),
        ),
        h('p', { class: 'hint' }, 'Only its digest is kept. It cannot be shown again.'),
      ),
      dialogEnd(button('I have kept it', () => close(), { kind: 'primary', test: 'dialog-confirm' })),
    ],
  });
