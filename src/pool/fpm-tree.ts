/**
 * The files that FPM's configuration consists of, and the one value that FPM cannot be
 * asked for without writing to it: where its errors are logged.
 */
import { dirname, join } from 'node:path';
import type { Place, SharedValue } from '../event.js';
import { readText, realPath } from '../system/files.js';
import { glob } from '../system/glob.js';

export interface FpmTree {
  /** The file itself and everything it includes, in the order FPM reads them. */
  readonly files: readonly string[];
  /** The last error_log of a [global]; null where there is none or it is the syslog. */
  readonly errorLog: string | null;
  /** Where each value stands that the two slots must not have both. */
  readonly kept: readonly Kept[];
}

/** `value` as it comes out: unquoted, with the environment in it. */
export interface Kept {
  readonly what: SharedValue['what'];
  readonly value: string;
  readonly place: Place;
}

/**
 * Follows `include`s as FPM does (fpm_conf.c): a glob, relative ones below the prefix it was
 * built with, `${NAME}` from the environment. FPM is installed as PREFIX/sbin/php-fpm: `/usr` on Debian,
 * `/usr/local` in PHP's own images, whose php-fpm.conf includes `etc/php-fpm.d/*.conf`. A file that cannot be read is listed, not followed:
 * FPM's own test says what is wrong with it.
 */
export function fpmTree(
  file: string,
  env: Readonly<Record<string, string>>,
  binary = '/usr/sbin/php-fpm',
): FpmTree {
  const real = realPath(binary);
  const prefix = dirname(dirname(real.ok ? real.value : binary));
  const state = prefix === '/usr' ? '/var' : join(prefix, 'var');
  const files: string[] = [];
  const kept: Kept[] = [];
  let errorLog: string | null = null;
  // FPM does not leave a section at the end of an included file
  let section = 'global';
  const visit = (path: string): void => {
    if (files.includes(path)) return;
    files.push(path);
    const text = readText(path);
    if (!text.ok) return;
    for (const [index, line] of text.value.split('\n').entries()) {
      const header = /^\s*\[([^\]]*)\]/.exec(line)?.[1];
      if (header !== undefined) section = header.trim();
      const [, key, raw = ''] =
        /^\s*(include|error_log|pid|listen|pm\.status_listen)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (key === undefined) continue;
      const value = unquote(raw).replace(/\$\{([^}]*)\}/g, (_, name: string) => env[name] ?? '');
      if (key === 'include') glob(below(value, prefix)).forEach(visit);
      else if (key !== 'error_log') {
        const column = line.length - line.trimStart().length + 1;
        kept.push({ what: key as Kept['what'], value, place: { file: path, line: index + 1, column } });
      } else if (section === 'global') errorLog = value === 'syslog' ? null : below(value, state);
    }
  };
  visit(file);
  return { files, errorLog, kept };
}

const below = (path: string, folder: string): string => (path.startsWith('/') ? path : join(folder, path));

function unquote(raw: string): string {
  const quoted = /^(["'])(.*?)\1/.exec(raw)?.[2];
  return quoted ?? raw.replace(/\s*;.*$/, '');
}
