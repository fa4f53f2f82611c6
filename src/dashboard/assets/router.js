// Which page belongs to an address. Links stay links: they can be opened in a tab, copied, and
// gone back from.

const HOME = '/dashboard/';
// Names take any characters, so a part of an address is decoded only after it was cut out.
const ROUTES = [
  ['', 'overview'],
  ['aliases/:name', 'alias'],
  ['aliases/:name/edit', 'edit'],
  ['new-alias', 'edit'],
  ['providers', 'providers'],
  ['providers/:name', 'document', { kind: 'provider' }],
  ['new-provider', 'document', { kind: 'provider' }],
  ['models', 'models'],
  ['models/:name', 'document', { kind: 'model' }],
  ['new-model', 'document', { kind: 'model' }],
  ['projects', 'projects'],
  ['projects/:name', 'document', { kind: 'project' }],
  ['new-project', 'document', { kind: 'project' }],
  ['keys', 'keys'],
  ['usage', 'usage'],
  ['history', 'history'],
  ['history/:number', 'revision'],
  ['playground', 'playground'],
  ['demo', 'demo'],
  ['replicas', 'replicas'],
];

function match(path) {
  const parts = path.slice(HOME.length).split('/').filter(Boolean);
  for (const [pattern, page, more] of ROUTES) {
    const wanted = pattern.split('/').filter(Boolean);
    if (wanted.length !== parts.length) continue;
    const params = { ...more };
    const fits = wanted.every((want, i) => {
      if (!want.startsWith(':')) return want === parts[i];
      try {
        params[want.slice(1)] = decodeURIComponent(parts[i]);
      } catch {
        return false;
      }
      return true;
    });
    if (fits) return { page, params };
  }
  return { page: 'missing', params: {} };
}

/// Where the browser is now.
export const here = () => ({
  ...match(location.pathname),
  query: Object.fromEntries(new URLSearchParams(location.search)),
});

let onChange = () => {};
let guard = null;

/// Asks before the page is left: `fn` returns true if it may be.
export const guardWith = (fn) => {
  guard = fn;
};

/// Goes to an address of the dashboard.
export async function go(href, { replace = false, force = false } = {}) {
  if (guard && !force && !(await guard())) return;
  guard = null;
  history[replace ? 'replaceState' : 'pushState']({ at: Date.now() }, '', href);
  onChange();
}

/// Notes something in the address (a search, a page of a list) without leaving the page.
export function note(values) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  history.replaceState(history.state, '', location.pathname + (query.size ? `?${query}` : ''));
}

/// Starts to follow links.
export function follow(fn) {
  onChange = fn;
  document.addEventListener('click', (event) => {
    const link = event.target.closest?.('a[href]');
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !url.pathname.startsWith(HOME) || link.download || link.target) return;
    if (url.hash && url.pathname === location.pathname) return;
    event.preventDefault();
    go(url.pathname + url.search);
  });
  let last = location.href;
  addEventListener('popstate', async () => {
    if (guard) {
      const wanted = location.href;
      history.pushState(null, '', last);
      if (!(await guard())) return;
      guard = null;
      history.replaceState(null, '', wanted);
    }
    onChange();
  });
  const remember = onChange;
  onChange = () => {
    last = location.href;
    remember();
  };
  addEventListener('beforeunload', (event) => {
    if (guard) event.preventDefault();
  });
}
