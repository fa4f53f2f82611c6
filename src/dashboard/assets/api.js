// Talking to the admin API: in a session, by a cookie that this script cannot read.

/// What was not done, and why.
export class ApiError extends Error {
  constructor(status, body = {}) {
    super(body.message || (status ? `The gateway answered with status ${status}.` : 'The gateway does not answer.'));
    this.status = status;
    this.code = body.code || '';
    this.problems = body.problems || [];
    this.nearest = body.nearest || [];
    this.revision = body.revision;
  }
}

/// Whoever is logged in: name, role and csrf; null if nobody is.
export const session = { now: null };

const RANK = { viewer: 0, editor: 1, admin: 2 };

/// Whether the role of whoever is logged in reaches so far.
export const may = (role) => (RANK[session.now?.role] ?? -1) >= RANK[role];

/// Why something is switched off for this role, or null if it is not.
export const barred = (role) =>
  may(role) ? null : `This takes the role ${role}; you are logged in as ${session.now?.role || 'nobody'}.`;

// Told of every answer and of every silence, for the connection's picture.
const watchers = new Set();
export const watch = (fn) => {
  watchers.add(fn);
  return () => watchers.delete(fn);
};
const tell = (what) => watchers.forEach((fn) => fn(what));

async function raw(method, path, { body, headers = {}, signal } = {}) {
  const sent = { ...headers };
  if (body !== undefined) sent['content-type'] = 'application/json';
  if (method !== 'GET' && session.now) sent['x-pointsman-csrf'] = session.now.csrf;
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: sent,
      signal,
      credentials: 'same-origin',
      cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    tell('silent');
    throw new ApiError(0);
  }
  tell('answered');
  if (!response.ok) {
    const said = await response.json().catch(() => ({}));
    // Whoever tries to log in is told by the form.
    if (response.status === 401 && session.now) {
      session.now = null;
      tell('unauthorized');
    }
    throw new ApiError(response.status, said.error || said);
  }
  return response;
}

async function read(response) {
  const tag = response.headers.get('etag');
  const text = await response.text();
  return { data: text ? JSON.parse(text) : null, tag };
}

/// A query of those that are set.
export function query(values) {
  const set = Object.entries(values || {}).filter(([, value]) => value != null && value !== '');
  return set.length ? `?${new URLSearchParams(set)}` : '';
}

const V1 = '/admin/v1/';

/// The answer to a question.
export const get = async (path, values, signal) => (await read(await raw('GET', V1 + path + query(values), { signal }))).data;

/// A document and its ETag.
export const getTagged = async (path) => read(await raw('GET', V1 + path));

/// A change. `match` is the ETag that was seen.
export async function change(method, path, body, { match, ...values } = {}) {
  const headers = match ? { 'if-match': match } : {};
  return (await read(await raw(method, V1 + path + query(values), { body, headers }))).data;
}

/// Health needs no session, and 503 is an answer as well.
export async function health(what) {
  const response = await fetch(`/health/${what}`, { cache: 'no-store' }).catch(() => {
    throw new ApiError(0);
  });
  return response.json();
}

/// The response itself, for streams.
export const stream = (path, body, signal) => raw('POST', V1 + path, { body, signal });

export async function logIn(token) {
  session.now = (await read(await raw('POST', '/dashboard/session', { body: { token } }))).data;
}

export async function whoIsThere() {
  try {
    session.now = (await read(await raw('GET', '/dashboard/session'))).data;
  } catch (error) {
    if (error.status !== 401) throw error;
    session.now = null;
  }
  return session.now;
}

export async function logOut() {
  await raw('DELETE', '/dashboard/session').catch(() => {});
  session.now = null;
}

/// A name as one segment of a path.
export const seg = encodeURIComponent;
