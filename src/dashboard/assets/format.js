// Numbers and times as people read them: always with a unit, never with more digits than they
// are worth, and a dash where nothing is known.

export const NONE = '–';
const thin = '\u202f';
const none = (n) => n == null || Number.isNaN(n);

const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/// A count.
export const count = (n) => (none(n) ? NONE : plain.format(n));

/// A large count, shortened.
export function short(n) {
  if (none(n)) return NONE;
  for (const [size, unit] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ]) {
    if (Math.abs(n) >= size) return `${(n / size).toFixed(n / size >= 100 ? 0 : 1)}${thin}${unit}`;
  }
  return String(Math.round(n));
}

/// A size in tokens, as model cards say it.
export function tokens(n) {
  if (none(n)) return NONE;
  if (n >= 1e6) return `${+(n / 1e6).toFixed(2)}${thin}M`;
  return n >= 1e3 ? `${Math.round(n / 1e3)}${thin}k` : String(n);
}

/// Milliseconds.
export function ms(n) {
  if (none(n)) return NONE;
  if (n < 1) return `${n.toFixed(2)} ms`;
  if (n < 1000) return `${Math.round(n)} ms`;
  if (n < 60e3) return `${(n / 1000).toFixed(n < 10e3 ? 2 : 1)} s`;
  return n < 3600e3 ? `${(n / 60e3).toFixed(1)} min` : `${(n / 3600e3).toFixed(1)} h`;
}

/// US dollars: enough digits to tell small sums apart.
export function usd(n) {
  if (none(n)) return NONE;
  if (n === 0) return '$0';
  const size = Math.abs(n);
  const digits = size >= 1000 ? 0 : size >= 1 ? 2 : size >= 0.01 ? 3 : size >= 0.0001 ? 5 : 7;
  return `$${n.toLocaleString('en', { minimumFractionDigits: Math.min(digits, 2), maximumFractionDigits: digits })}`;
}

/// A share, 1 being all.
export function share(n, digits = 1) {
  if (none(n)) return NONE;
  const text = (n * 100).toFixed(n === 0 || n === 1 ? 0 : digits);
  // What is something must not read as nothing, and what is not all not as all.
  if (n > 0 && Number(text) === 0) return `<${10 ** -digits} %`;
  if (n < 1 && Number(text) === 100) return `>${100 - 10 ** -digits} %`;
  return `${text} %`;
}

/// Per second.
export function rate(n) {
  if (none(n)) return NONE;
  return `${n >= 100 ? Math.round(n) : n >= 10 ? n.toFixed(1) : n.toFixed(2)} /s`;
}

/// Dollars per million tokens.
export const price = (n) => (none(n) ? NONE : n === 0 ? 'free' : `$${+n.toFixed(n < 1 ? 3 : 2)}`);

const two = (n) => String(n).padStart(2, '0');

/// A moment: the time if it was today, else the day too.
export function when(at) {
  if (none(at)) return NONE;
  const date = new Date(at);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return date.toDateString() === new Date().toDateString() ? time : `${day(at)} ${time}`;
}

/// A day.
export function day(at) {
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/// How long ago.
export function ago(at) {
  if (none(at)) return NONE;
  const seconds = Math.max(0, (Date.now() - at) / 1000);
  if (seconds < 5) return 'just now';
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86400)} days ago`;
}

/// One or many of something.
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;

/// A word of the API, as a word.
export const words = (text) => String(text ?? '').replaceAll('_', ' ');

/// A target by its model, with its provider where that is not the model's vendor.
export function targetName(target) {
  const [model, provider] = String(target ?? '').split('@');
  return provider && model.startsWith(`${provider}/`) ? model : String(target ?? '');
}

/// The rate of the last whole minute, from requests per slice of `step` seconds. The slice that
/// is under way would make it look lower than it is.
export function lately(slices, step = 10) {
  if (!slices?.length) return null;
  const whole = slices.slice(0, -1).slice(-Math.round(60 / step));
  return whole.length ? whole.reduce((sum, n) => sum + n, 0) / (whole.length * step) : null;
}
