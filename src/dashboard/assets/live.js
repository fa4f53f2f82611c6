// What keeps a page true: events as they happen, questions asked again, and an honest word about
// whether either still works.

import { session, watch, whoIsThere } from './api.js';

/// The connection: `live`, `reconnecting` or `offline`, and since when it is not live.
export const connection = { state: 'reconnecting', since: Date.now(), heard: 0 };

const states = new Set();
const listeners = { revision: new Set(), target: new Set() };
const polls = new Set();
let source = null;
let silent = false;
let opened = false;
let retry = null;

function settle() {
  const up = opened && !silent;
  const before = connection.state;
  if (up) connection.since = null;
  else connection.since ??= Date.now();
  connection.state = up ? 'live' : !navigator.onLine || Date.now() - connection.since > 8000 ? 'offline' : 'reconnecting';
  if (before === connection.state) return;
  states.forEach((fn) => fn(connection));
  // What was missed meanwhile is asked for at once.
  if (up) polls.forEach((poll) => poll.now());
}

/// Calls `fn` whenever the state of the connection changes. Returns what ends that.
export function onConnection(fn) {
  states.add(fn);
  return () => states.delete(fn);
}

/// Calls `fn` for each event of a kind: `revision` or `target`.
export function onEvent(kind, fn) {
  listeners[kind].add(fn);
  return () => listeners[kind].delete(fn);
}

/// Starts to listen, as whoever is logged in.
export function connect() {
  disconnect();
  source = new EventSource('/admin/v1/events');
  source.onopen = () => {
    opened = true;
    silent = false;
    settle();
  };
  source.onerror = () => {
    opened = false;
    settle();
    // The browser comes back by itself, unless the answer was no stream: then somebody has to
    // look whether the session still holds.
    if (source?.readyState === EventSource.CLOSED) {
      clearTimeout(retry);
      retry = setTimeout(async () => {
        const was = session.now;
        await whoIsThere().catch(() => {});
        if (session.now) connect();
        else if (was) location.reload();
      }, 2000);
    }
  };
  for (const kind of Object.keys(listeners)) {
    source.addEventListener(kind, (event) => {
      connection.heard = Date.now();
      const data = JSON.parse(event.data);
      listeners[kind].forEach((fn) => fn(data));
    });
  }
}

/// Stops listening.
export function disconnect() {
  clearTimeout(retry);
  source?.close();
  source = null;
  opened = false;
}

/// Tries again now.
export function tryNow() {
  connect();
  polls.forEach((poll) => poll.now());
}

watch((what) => {
  if (what === 'silent') silent = true;
  else if (what === 'answered') {
    silent = false;
    connection.heard = Date.now();
  }
  settle();
});
addEventListener('online', settle);
addEventListener('offline', settle);
setInterval(settle, 2000);

/// Asks again every `every` milliseconds while the page is looked at. `fn` gets a signal that is
/// aborted when nobody wants the answer any more. Returns `{ stop, now, soon }`.
export function poll(fn, every) {
  let timer = null;
  let asking = null;
  let failures = 0;
  let stopped = false;
  let wanted = false;
  const run = async () => {
    clearTimeout(timer);
    asking?.abort();
    const mine = new AbortController();
    asking = mine;
    try {
      await fn(mine.signal);
      failures = 0;
    } catch (error) {
      if (error.name === 'AbortError') return;
      failures += 1;
    }
    if (stopped || asking !== mine) return;
    asking = null;
    if (wanted) {
      wanted = false;
      timer = setTimeout(run, 250);
      return;
    }
    // A gateway that is away is not asked more often for that.
    timer = setTimeout(
      () => (document.hidden ? null : run()),
      Math.min(every * 2 ** Math.min(failures, 3), Math.max(every, 10000)),
    );
  };
  const seen = () => {
    if (!document.hidden) run();
  };
  document.addEventListener('visibilitychange', seen);
  const handle = {
    // Forgets what is under way, since the question is another one.
    now: run,
    // Something has happened. Many events that come together are one question, and none cuts off
    // the answer to the one before.
    soon() {
      if (asking || wanted) {
        wanted = true;
        return;
      }
      wanted = true;
      clearTimeout(timer);
      timer = setTimeout(() => {
        wanted = false;
        run();
      }, 100);
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      asking?.abort();
      polls.delete(handle);
      document.removeEventListener('visibilitychange', seen);
    },
  };
  polls.add(handle);
  run();
  return handle;
}
