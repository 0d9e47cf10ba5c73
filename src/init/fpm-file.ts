/**
 * Reads a pool file in FPM's ini dialect. PURE: bytes in, values out.
 *
 * FPM hands its file to the ini scanner line by line (fpm_conf_load_ini_file), so no value spans two
 * lines. A comment begins with `;`. `key[name] = value` is an entry of an array. A double-quoted value may
 * hold `;`, and `${NAME}` in it and in a bare one is taken from the environment. What stands before the
 * first section belongs to [global]. An `include` is read where it stands and may open sections of its own.
 *
 * Strings hold one character for each byte, so that what is no UTF-8 survives (nginx/spelling.ts).
 */
import { binary } from '../nginx/spelling.js';

/** One setting. */
export interface Entry {
  /** Counts from 1. */
  readonly line: number;
  readonly key: string;
  /** Of `php_admin_value[x]`: x. */
  readonly index: string | null;
  /** Without its quotes; not expanded. */
  readonly value: string;
  /** The whole line as it is written, without the blanks around it. */
  readonly text: string;
}

export interface Section {
  readonly name: string;
  readonly entries: readonly Entry[];
}

export interface FpmFile {
  /** Sections of one name are one section, as they are to FPM. `global` is always the first. */
  readonly sections: readonly Section[];
  /** Lines that are neither a section nor a setting. */
  readonly unclear: readonly number[];
}

export function parseFpmFile(bytes: Uint8Array): FpmFile {
  const sections = new Map<string, Entry[]>([['global', []]]);
  const unclear: number[] = [];
  let entries = sections.get('global') ?? [];
  const text = binary(bytes).replace(BOM, '');
  for (const [at, raw] of text.split(/\r\n|\r|\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith(';')) continue;
    const name = /^\[([^\]]*)\]\s*(?:;.*)?$/.exec(line)?.[1];
    if (name !== undefined) {
      // FPM compares this one name without regard to case
      const known = /^global$/i.test(name.trim()) ? 'global' : name.trim();
      entries = sections.get(known) ?? [];
      sections.set(known, entries);
      continue;
    }
    const [, key, index, value] = /^([^\s=;[\]]+)\s*(?:\[\s*([^\]]*?)\s*\])?\s*=\s*(.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) unclear.push(at + 1);
    else entries.push({ line: at + 1, key, index: index ?? null, value: unquote(value), text: line });
  }
  return { sections: [...sections].map(([name, own]) => ({ name, entries: own })), unclear };
}

/** The last setting of a plain key, which is the one that counts. */
export const lastOf = (entries: readonly Entry[], key: string): string | null =>
  entries.findLast((entry) => entry.key === key && entry.index === null)?.value ?? null;

/** `key = value`, in quotes where the scanner would read something else. */
export function setting(key: string, value: string): string {
  const bare = /^[\w./:@$*,-]*(?:\$\{\w+\}[\w./:@$*,-]*)*$/.test(value);
  return `${key} = ${bare ? value : `"${value.replaceAll('"', '\\"')}"`}`;
}

/** A time of FPM's in seconds: a number with s, m, h or d, or bare (fpm_conf_set_time). Null: it is none. */
export function seconds(time: string): number | null {
  const [, number, unit = 's'] = /^(\d+)([smhd]?)$/.exec(time) ?? [];
  if (number === undefined) return null;
  return Number(number) * (UNITS[unit] ?? 1);
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

const BOM = /^\u00ef\u00bb\u00bf/;

function unquote(raw: string): string {
  const double = /^"((?:[^"\\]|\\.)*)"/.exec(raw)?.[1];
  if (double !== undefined) return double.replaceAll('\\"', '"');
  const single = /^'([^']*)'/.exec(raw)?.[1];
  return single ?? raw.replace(/\s*;.*$/, '').trim();
}
