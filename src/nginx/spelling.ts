/**
 * How nginx spells a word's value in its file, and how to spell a new one.
 *
 * Values are "binary strings": one character (U+0000 to U+00FF) for each byte, so
 * that what is not UTF-8 survives. `fromUtf8` and `toUtf8` lead in and out.
 */

/** A word's quotes: none, or the character that stands on both its sides. */
export type Quote = '' | '"' | "'";

/** Bytes as a binary string. */
export function binary(bytes: Uint8Array): string {
  // TextDecoder's "latin1" is windows-1252: ten times as fast, and the same but for 0x80 to 0x9F.
  if (!hasC1(bytes)) return LATIN1.decode(bytes);
  let text = '';
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return text;
}

/** A binary string's bytes. */
export function bytesOf(value: string): Uint8Array {
  return Uint8Array.from(value, (char) => char.charCodeAt(0) & 0xff);
}

/** The text that a binary string holds as UTF-8; null when it is no UTF-8. */
export function toUtf8(value: string): string | null {
  if (!/[\u0080-\u00ff]/.test(value)) return value;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytesOf(value));
  } catch {
    return null;
  }
}

/** Text as a binary string of its UTF-8 bytes. */
export function fromUtf8(text: string): string {
  return binary(new TextEncoder().encode(text));
}

/**
 * The value that nginx reads from a word's raw content (its quotes taken off).
 * A backslash protects any next byte from ending the word, but leaves the value
 * only before `"`, `'`, `\`, and in `\t`, `\r`, `\n` (ngx_conf_read_token).
 */
export function decode(raw: string): string {
  if (!raw.includes('\\')) return raw;
  return raw.replace(/\\(["'\\trn])/g, (_all, char: string) => CONTROL[char] ?? char);
}

/** Where in the raw content the value's byte at `index` is spelled; raw.length when the value ends before. */
export function rawIndex(raw: string, index: number): number {
  let at = 0;
  for (let left = index; left > 0 && at < raw.length; left--) {
    at += raw[at] === '\\' && /["'\\trn]/.test(raw[at + 1] ?? '') ? 2 : 1;
  }
  return at;
}

/**
 * Raw content that nginx reads as this value inside these quotes. Null when
 * that cannot be: without quotes a space, `;` and `{` always end the word (a
 * backslash before them would stay in the value).
 * `start`: whether the word begins here; some bytes mean something only there.
 */
export function spell(value: string, quote: Quote, start: boolean): string | null {
  if (quote === '' && (/[ ;{]/.test(value) || (start && /^(?:[#}]|$)/.test(value)))) return null;
  return value.replace(/["'\\\t\r\n]/g, (char, at: number) => {
    const control = LETTER[char];
    if (control !== undefined) return `\\${control}`;
    return char === '\\' || char === quote || (quote === '' && start && at === 0) ? `\\${char}` : char;
  });
}

function hasC1(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte >= 0x80 && byte < 0xa0) return true;
  return false;
}

const CHUNK = 8192;
const LATIN1 = new TextDecoder('latin1');
const CONTROL: Readonly<Record<string, string>> = { t: '\t', r: '\r', n: '\n' };
const LETTER: Readonly<Record<string, string>> = { '\t': 't', '\r': 'r', '\n': 'n' };
