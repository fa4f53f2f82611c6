// Logging in with an admin token.

import { logIn } from './api.js';
import { h, show } from './dom.js';
import { icon } from './widgets.js';

export function loginPage(app, done) {
  let error = null;
  let busy = false;
  const submit = async (event) => {
    event.preventDefault();
    const field = event.target.elements.token;
    if (busy || !field.value.trim()) return;
    busy = true;
    draw();
    try {
      await logIn(field.value.trim());
      app.replaceChildren();
      done();
      return;
    } catch (failed) {
      error =
        failed.status === 401 || failed.status === 403
          ? 'No admin token is like that. It begins with pma-, or is what POINTSMAN_ADMIN_TOKEN holds.'
          : failed.message;
    }
    busy = false;
    draw();
    field.focus();
    field.select();
  };
  const draw = () =>
    show(
      app,
      h(
        'main',
        { class: 'login', id: 'main' },
        h(
          'form',
          { class: 'login-card', on: { submit } },
          h('img', { src: '/dashboard/assets/icon.svg', alt: '', width: 40, height: 40 }),
          h('h1', null, 'Pointsman'),
          h('p', { class: 'lead' }, 'See where traffic goes and why, and set the points.'),
          h(
            'div',
            { class: 'field' },
            h('label', { for: 'token' }, 'Admin token'),
            h('input', {
              id: 'token',
              name: 'token',
              type: 'password',
              autocomplete: 'current-password',
              required: true,
              spellcheck: 'false',
              test: 'login-token',
              'aria-describedby': 'token-hint',
              'aria-invalid': error ? 'true' : null,
            }),
            h(
              'p',
              { class: 'hint', id: 'token-hint' },
              'The first start shows one; an admin can make more. It is kept in a cookie that scripts cannot read, for twelve hours at most.',
            ),
          ),
          error && h('div', { class: 'notice bad', role: 'alert', test: 'login-error' }, icon('bad'), h('p', null, error)),
          h(
            'button',
            { class: 'button primary', type: 'submit', test: 'login-submit', 'aria-disabled': busy ? 'true' : null },
            busy ? 'Logging in…' : 'Log in',
          ),
        ),
      ),
    );
  draw();
  app.querySelector('#token').focus();
}
