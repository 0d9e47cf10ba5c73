/**
 * Text before it is shown: what comes from elsewhere (logs, PHP output, paths,
 * process titles) loses everything a terminal would obey, numbers and argv get
 * their human form. Pure; knows no failure, no event.
 */

/** Keeps tabs and line ends, drops every other control character and escape sequence. Idempotent. */
export function clean(text: string): string {
  return text.replace(ESCAPES, '').replace(CONTROLS, '');
}

/** `clean` for the middle of a sentence: one line, bounded. */
export function inline(text: string, limit = 400): string {
  return bounded(text.trim(), limit).trim();
}

/** A sentence in which every inserted value is cleaned: no way to forget it. */
export function say(strings: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  return strings
    .map((part, index) => (index === 0 ? '' : bounded(String(values[index - 1] ?? ''), 400)) + part)
    .join('');
}

/** The last `count` lines of a log, cleaned, blank lines left out. */
export const tail = (text: string, count = 20): readonly string[] => full(text).slice(-count);

/** The first `count` of its lines, cleaned, blank lines left out. */
export const head = (text: string, count: number): readonly string[] => full(text).slice(0, count);

const full = (text: string): string[] =>
  clean(text)
    .split('\n')
    .map((line) => Array.from(line.trimEnd()).slice(0, 500).join(''))
    .filter((line) => line.trim() !== '');

/** argv as a person could type it into a POSIX shell. */
export function argv(command: readonly string[]): string {
  return command
    .map((word) => clean(word).replace(/\s/g, ' '))
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
}

/** `24 ms`, `3.4 s`, `5 min 3 s`, `1 h 30 min`. */
export function duration(ms: number): string {
  if (ms < 999.5) return `${String(Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1).replace(/\.0$/, '')} s`;
  const s = Math.round(ms / 1000);
  const parts = s < 3600 ? [Math.floor(s / 60), 'min', s % 60, 's'] : [Math.floor(s / 3600), 'h'];
  if (s >= 3600) parts.push(Math.floor((s % 3600) / 60), 'min');
  return parts[2] === 0 ? parts.slice(0, 2).join(' ') : parts.join(' ');
}

/** 1 request, 2 requests, 12,345 requests. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${thousands(n)} ${n === 1 ? one : many}`;
}

export function thousands(n: number): string {
  // toLocaleString would load the machine's locale data, which takes longer than a probe
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** `a`, `a and b`, `a, b and c`; past `limit` the rest is only counted. */
export function list(items: readonly (string | number)[], limit = 8): string {
  const shown = items.slice(0, limit).map((item) => inline(String(item)));
  if (items.length > limit) return `${shown.join(', ')} and ${String(items.length - limit)} more`;
  if (shown.length < 2) return shown.join('');
  return `${shown.slice(0, -1).join(', ')} and ${shown.at(-1) ?? ''}`;
}

/** RFC 3339 as people read it, still in UTC: `2026-11-21 20:43:01Z`. Anything else is shown as it is. */
export function when(time: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/.exec(time);
  return match === null ? inline(time) : `${match[1] ?? ''} ${match[2] ?? ''}Z`;
}

/** One line; a space at either end stays, so that sentences can be made of parts. */
function bounded(text: string, limit: number): string {
  const line = clean(text)
    .replace(/[\n\t]+$/, '')
    .replace(/\s+/g, ' ');
  const points = Array.from(line);
  return points.length <= limit ? line : `${points.slice(0, limit).join('')}...`;
}

// ECMA-48: CSI, the string sequences (OSC, DCS, SOS, PM, APC) up to their terminator on the same
// line, and the two- and three-byte ones; each also in its 8-bit form. What is unterminated only
// loses its introducer, so no sender can make the rest of a log vanish.
const ESCAPES =
  // eslint-disable-next-line no-control-regex
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u009c\n]*(?:\u0007|\u001b\\|\u009c)|\u001b[ -/]*[0-~]/g;

// C0 but \t and \n, DEL, C1; the marks that turn the reading order round; the Unicode line ends.
const CONTROLS =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
