// Elements, and bringing them up to date in place.
//
// Pages draw what they know as a fresh tree and `show` it: only what differs is touched, so
// that focus, selection, scroll and open details survive an update every few seconds. All text
// becomes text nodes; nothing here reads markup.

const SVG = 'http://www.w3.org/2000/svg';

// One listener per element and type; it looks up the handler when the event comes, so that an
// element that is kept calls the handler of the latest drawing.
function dispatch(event) {
  const handler = this.$on && this.$on[event.type];
  if (handler) handler.call(this, event);
}

function listen(el, on) {
  el.$types ||= new Set();
  for (const type of Object.keys(on)) {
    if (el.$types.has(type)) continue;
    el.$types.add(type);
    el.addEventListener(type, dispatch);
  }
  el.$on = on;
}

// What the user may have changed since is kept as properties, set after the children: the value
// of a select means nothing before its options are there.
const LIVE = new Set(['value', 'checked', 'indeterminate']);

function put(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child == null || child === false || child === true) continue;
    el.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

function make(el, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value == null || value === false) continue;
    if (name === 'on') listen(el, value);
    else if (name === 'key') el.$key = String(value);
    else if (name === 'test') el.setAttribute('data-test', value);
    else if (name === 'keep') el.$keep = value;
    else if (name === 'style') for (const [k, v] of Object.entries(value)) el.style.setProperty(k, v);
    else if (LIVE.has(name)) (el.$live ||= {})[name] = value;
    else el.setAttribute(name, value === true ? '' : value);
  }
  put(el, children);
  Object.assign(el, el.$live);
  return el;
}

/// An HTML element. `on` has handlers, `test` is data-test, `key` says which one it is among its
/// siblings, `keep` leaves its children to whoever made them.
export const h = (tag, props, ...children) => make(document.createElement(tag), props, children);

/// An SVG element.
export const s = (tag, props, ...children) => make(document.createElementNS(SVG, tag), props, children);

function patchElement(old, fresh) {
  for (const { name, value } of fresh.attributes) {
    // The policy forbids to set style as an attribute; as properties it is allowed. Which details
    // are open is the user's business.
    if (name !== 'style' && name !== 'open' && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (name !== 'style' && name !== 'open' && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
  listen(old, fresh.$on || {});
  if (!fresh.$keep) patchChildren(old, fresh);
  const live = fresh.$live || {};
  for (const name of Object.keys(live)) {
    // What somebody is typing is theirs until they leave the field.
    const typing = name === 'value' && old === document.activeElement && old.nodeName !== 'SELECT';
    if (!typing && old[name] !== live[name]) old[name] = live[name];
  }
  if (!('checked' in live) && old.$live && 'checked' in old.$live) old.checked = false;
  old.$live = fresh.$live;
}

const like = (old, fresh) => old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && old.$key === fresh.$key;

function patch(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
  } else patchElement(old, fresh);
}

function patchChildren(old, fresh) {
  const wanted = [...fresh.childNodes];
  const keys = new Set(wanted.map((node) => node.$key).filter(Boolean));
  const known = new Map();
  for (const node of [...old.childNodes]) {
    if (node.$key === undefined) continue;
    if (keys.has(node.$key)) known.set(node.$key, node);
    else node.remove();
  }
  let at = old.firstChild;
  for (const want of wanted) {
    const have = want.$key === undefined ? at : known.get(want.$key);
    if (!have || !like(have, want)) {
      old.insertBefore(want, at);
      if (have && have === at && want.$key === undefined && have.$key === undefined) {
        at = have.nextSibling;
        have.remove();
      }
      continue;
    }
    if (have === at) at = at.nextSibling;
    else old.insertBefore(have, at);
    patch(have, want);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/// Makes the children of `root` look like these.
export function show(root, ...children) {
  const focused = document.activeElement;
  const fresh = document.createElement('div');
  put(fresh, children);
  patchChildren(root, fresh);
  // An element that was moved loses the focus.
  if (focused && focused !== document.activeElement && focused.isConnected && root.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}

/// Says something to whoever listens instead of looking.
export function announce(text) {
  const region = document.querySelector('dialog[open]:last-of-type .announcer') || document.getElementById('announcer');
  if (!region) return;
  // The same words twice would not be read twice.
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}

let ids = 0;
/// An id that no other element has.
export const uid = (prefix = 'id') => `${prefix}-${++ids}`;
