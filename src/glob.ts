/**
 * glob(3), which nginx and php-fpm call for their includes. PURE: the folders are handed in.
 */

/** The names in a folder without `.` and `..`; null when there is no such folder or it cannot be read. */
export type ListFolder = (folder: string) => readonly string[] | null;

/**
 * No flags, C locale. `*`, `?` and
 * `[…]` match bytes, never `/` nor a leading dot; a backslash takes the next
 * character's meaning; the result is sorted by bytes. `exists` tells whether
 * a path without such characters is there (a dangling link is: glob uses lstat).
 */
export function glob(
  pattern: string,
  list: ListFolder,
  exists: (path: string) => boolean,
): readonly string[] {
  let found = [''];
  for (const [, slashes = '', name = ''] of pattern.matchAll(/(\/*)([^/]+|$)/g)) {
    if (name === '') found = slashes === '' ? found : found.map((folder) => folder + slashes);
    else found = found.flatMap((folder) => inFolder(folder + slashes, name, list, exists));
  }
  return found
    .filter((path) => path !== '')
    .map((path) => ({ path, key: fromUtf8(path) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ path }) => path);
}

function inFolder(
  folder: string,
  name: string,
  list: ListFolder,
  exists: (path: string) => boolean,
): readonly string[] {
  const parts = compile(fromUtf8(name));
  if (parts.every((part) => typeof part === 'string')) {
    const path = folder + name.replace(/\\(.)/gsu, '$1');
    return exists(path) ? [path] : [];
  }
  const names = list(folder === '' ? '.' : folder) ?? [];
  const dotted = parts[0] === '.' ? ['.', '..'] : [];
  return [...names, ...dotted].filter((each) => matches(parts, fromUtf8(each))).map((each) => folder + each);
}

/** A byte as such, or what may stand in its place. */
type Part =
  | string
  | { readonly kind: 'any' }
  | { readonly kind: 'star' }
  | { readonly kind: 'set'; readonly has: (byte: string) => boolean };

function compile(name: string): readonly Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < name.length; at++) {
    const byte = name[at] ?? '';
    if (byte === '*') parts.push({ kind: 'star' });
    else if (byte === '?') parts.push({ kind: 'any' });
    else if (byte === '\\' && at + 1 < name.length) parts.push(name[++at] ?? '');
    else {
      const set = byte === '[' ? compileSet(name, at + 1) : null;
      if (set !== null) at = set.end;
      parts.push(set === null ? byte : { kind: 'set', has: set.has });
    }
  }
  return parts;
}

/** A bracket expression from after its `[`; null when it never ends: the `[` is then a byte like any other. */
function compileSet(
  name: string,
  from: number,
): { readonly end: number; readonly has: (byte: string) => boolean } | null {
  let at = from;
  const not = name[at] === '!' || name[at] === '^';
  if (not) at++;
  const tests: ((byte: string) => boolean)[] = [];
  for (let first = true; first || name[at] !== ']'; first = false) {
    const named = /^\[:([a-z]+):\]/.exec(name.slice(at, at + 12));
    const test = CLASSES[named?.[1] ?? ''];
    if (named !== null && test !== undefined) {
      tests.push((byte) => test.test(byte));
      at += named[0].length;
      continue;
    }
    const low = name[at] === '\\' ? name[++at] : name[at];
    if (low === undefined) return null;
    at++;
    if (name[at] !== '-' || name[at + 1] === ']' || name[at + 1] === undefined) {
      tests.push((byte) => byte === low);
      continue;
    }
    at++;
    const high = (name[at] === '\\' ? name[++at] : name[at]) ?? '';
    at++;
    tests.push((byte) => low <= byte && byte <= high);
  }
  return { end: at, has: (byte) => tests.some((test) => test(byte)) !== not };
}

/** The classes of the C locale. */
const CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /[0-9A-Za-z]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  digit: /[0-9]/,
  lower: /[a-z]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t-\r]/,
  upper: /[A-Z]/,
  xdigit: /[0-9A-Fa-f]/,
};

/** Whether a name matches; a star is tried again one byte further on, which takes at most name x pattern steps. */
function matches(parts: readonly Part[], name: string): boolean {
  if (name.startsWith('.') && parts[0] !== '.') return false;
  let at = 0;
  let part = 0;
  let star = -1;
  let resume = 0;
  while (at < name.length) {
    const want = parts[part];
    if (typeof want === 'object' && want.kind === 'star') {
      star = part++;
      resume = at;
    } else if (want !== undefined && one(want, name[at] ?? '')) {
      at++;
      part++;
    } else if (star >= 0) {
      part = star + 1;
      at = ++resume;
    } else return false;
  }
  return parts.slice(part).every((rest) => typeof rest === 'object' && rest.kind === 'star');
}

function one(part: Part, byte: string): boolean {
  if (typeof part === 'string') return part === byte;
  return part.kind === 'any' || (part.kind === 'set' && part.has(byte));
}

/** A name as the bytes it is stored in, a character each: what wildcards and the order go by. */
function fromUtf8(text: string): string {
  let bytes = '';
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}
