// The frame around all pages: who is there, where they can go, and whether what they see is true.

import { get, logOut, session, watch, whoIsThere } from './api.js';
import { h, show } from './dom.js';
import { when } from './format.js';
import { connect, connection, disconnect, onConnection, tryNow } from './live.js';
import { follow, guardWith, here } from './router.js';
import { button, failure, icon } from './widgets.js';
import { loginPage } from './page-login.js';

// A page is fetched when it is first looked at.
const PAGES = {
  overview: ['Overview', () => import('./page-overview.js')],
  alias: ['Alias', () => import('./page-alias.js')],
  edit: ['Edit alias', () => import('./page-edit.js')],
  providers: ['Providers', () => import('./page-providers.js')],
  document: ['Edit', () => import('./page-document.js')],
  models: ['Models and prices', () => import('./page-models.js')],
  projects: ['Projects', () => import('./page-projects.js')],
  keys: ['Keys', () => import('./page-keys.js')],
  usage: ['Usage and spend', () => import('./page-usage.js')],
  history: ['History', () => import('./page-history.js')],
  revision: ['Revision', () => import('./page-revision.js')],
  playground: ['Playground', () => import('./page-playground.js')],
  demo: ['Demo controls', () => import('./page-demo.js')],
  replicas: ['Replicas', () => import('./page-replicas.js')],
};

const NAV = [
  [
    'Traffic',
    [
      ['overview', '', 'Overview'],
      ['playground', 'playground', 'Playground'],
      ['usage', 'usage', 'Usage and spend'],
    ],
  ],
  [
    'Supply',
    [
      ['providers', 'providers', 'Providers'],
      ['models', 'models', 'Models and prices'],
    ],
  ],
  [
    'Callers',
    [
      ['projects', 'projects', 'Projects'],
      ['keys', 'keys', 'Keys'],
    ],
  ],
  [
    'Gateway',
    [
      ['history', 'history', 'History'],
      ['replicas', 'replicas', 'Replicas'],
      ['demo', 'demo', 'Demo controls', 'demo'],
    ],
  ],
];
const PARENT = { alias: 'overview', edit: 'overview', revision: 'history' };
const KINDS = { provider: 'providers', model: 'models', project: 'projects' };

const app = document.getElementById('app');
const parts = {};
let simulated = false;
let menuOpen = false;
let page = null;
let visit = 0;

function build() {
  for (const name of ['bar', 'nav', 'banner']) parts[name] = h('div', { class: name, key: name });
  parts.main = h('main', { id: 'main', tabindex: '-1', key: 'main' });
  parts.shelf = h('div', { id: 'toasts', key: 'toasts' });
  parts.announcer = h('div', { id: 'announcer', class: 'sr', role: 'status', 'aria-live': 'polite', test: 'live-announcer' });
  app.replaceChildren(
    h(
      'a',
      {
        class: 'skip',
        href: '#main',
        on: {
          click: (event) => {
            event.preventDefault();
            focusTitle();
          },
        },
      },
      'Skip to the page',
    ),
    parts.bar,
    h('div', { class: 'frame' }, parts.nav, h('div', { class: 'stage' }, parts.banner, parts.main)),
    parts.shelf,
    parts.announcer,
  );
}

const focusTitle = () => (parts.main.querySelector('h1') || parts.main).focus();

function theme() {
  const set = document.documentElement.dataset.theme;
  return set || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
}

function switchTheme() {
  const next = theme() === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem('pointsman-theme', next);
  } catch {
    /* then it lasts as long as the page */
  }
  frame();
}

const WORDS = { live: 'Live', reconnecting: 'Reconnecting…', offline: 'No connection' };

function frame() {
  const { state, since } = connection;
  show(
    parts.bar,
    h(
      'header',
      { class: 'topbar' },
      button(
        menuOpen ? 'Close menu' : 'Open menu',
        () => {
          menuOpen = !menuOpen;
          frame();
        },
        {
          kind: 'icon quiet menu-button',
          pic: menuOpen ? 'close' : 'menu',
          'aria-expanded': String(menuOpen),
          'aria-controls': 'nav',
        },
      ),
      h(
        'a',
        { class: 'brand', href: '/dashboard/' },
        h('img', { src: '/dashboard/assets/icon.svg', alt: '', width: 22, height: 22 }),
        h('span', null, 'Pointsman'),
      ),
      h('span', { class: `connection ${state}`, test: 'connection', 'data-state': state, role: 'status' }, WORDS[state]),
      h('span', { class: 'spacer' }),
      h('span', { class: 'who', test: 'who' }, h('b', null, session.now.name), ` ${session.now.role}`),
      button(theme() === 'dark' ? 'Light theme' : 'Dark theme', switchTheme, {
        kind: 'icon quiet',
        pic: 'sun',
        test: 'theme-toggle',
      }),
      button(
        'Log out',
        async () => {
          await logOut();
          leave();
          login();
        },
        { kind: 'quiet', test: 'logout' },
      ),
    ),
  );
  const where = here();
  const current = KINDS[where.params.kind] || PARENT[where.page] || where.page;
  const item = ([name, path, label, need]) =>
    need === 'demo' && !simulated
      ? null
      : h(
          'li',
          { key: name },
          h('a', { href: `/dashboard/${path}`, 'aria-current': current === name ? 'page' : null, test: `nav-${name}` }, label),
        );
  show(
    parts.nav,
    h(
      'nav',
      { id: 'nav', class: menuOpen ? 'side open' : 'side', 'aria-label': 'Main' },
      NAV.map(([group, items]) =>
        h('div', { class: 'group', key: group }, h('p', { class: 'group-name' }, group), h('ul', null, items.map(item))),
      ),
    ),
  );
  parts.main.classList.toggle('stale', state === 'offline');
  show(
    parts.banner,
    state !== 'live' && since && Date.now() - since > 1500
      ? h(
          'div',
          { class: `strip ${state === 'offline' ? 'bad' : 'warn'}`, role: 'alert' },
          icon('warn'),
          h('span', null, `No connection to the gateway since ${when(since)}. What you see is from then.`),
          button('Try now', tryNow, { kind: 'small' }),
        )
      : null,
  );
}

function leave() {
  page?.left();
  page = null;
}

async function turn() {
  leave();
  guardWith(null);
  const mine = ++visit;
  const where = here();
  menuOpen = false;
  frame();
  const left = [];
  let gone = false;
  const ctx = {
    root: h('div', { class: `page page-${where.page}` }),
    params: where.params,
    query: where.query,
    left: () => gone,
    onLeave: (fn) => (gone ? fn() : left.push(fn)),
    title: (text) => {
      document.title = `${text} · Pointsman`;
    },
  };
  page = {
    left: () => {
      gone = true;
      left.forEach((fn) => fn());
    },
  };
  const [name, load] = PAGES[where.page] || ['Not found'];
  ctx.title(name);
  scrollTo(0, 0);
  try {
    const module = load ? await load() : null;
    if (mine !== visit) return;
    parts.main.replaceChildren(ctx.root);
    if (module) await module.default(ctx);
    else
      show(
        ctx.root,
        h('h1', { tabindex: '-1' }, 'Nothing here'),
        h('p', null, 'No page has this address. ', h('a', { href: '/dashboard/' }, 'Back to the overview')),
      );
  } catch (error) {
    if (mine !== visit) return;
    parts.main.replaceChildren(ctx.root);
    show(
      ctx.root,
      h('h1', { tabindex: '-1' }, name),
      failure(error, () => turn()),
    );
  }
  if (mine === visit && !parts.main.contains(document.activeElement)) focusTitle();
}

function login() {
  leave();
  disconnect();
  // A dialog would lie on top of the form.
  document.querySelectorAll('dialog').forEach((dialog) => dialog.close());
  visit += 1;
  document.title = 'Log in · Pointsman';
  loginPage(app, enter);
}

async function enter() {
  build();
  connect();
  frame();
  turn();
  simulated = await get('simulated').then(
    (all) => all.items.length > 0,
    () => false,
  );
  frame();
}

onConnection(() => {
  if (session.now && parts.bar) frame();
});
// The strip comes only when it has lasted, so somebody has to look again.
setInterval(() => {
  if (session.now && parts.bar && connection.state !== 'live') frame();
}, 1000);
watch((what) => {
  if (what === 'unauthorized') login();
});
follow(() => {
  if (session.now) turn();
});

async function start() {
  try {
    await whoIsThere();
  } catch (error) {
    show(app, h('div', { class: 'plain' }, failure(error, start)));
    return;
  }
  app.replaceChildren();
  if (session.now) enter();
  else login();
}

start();
