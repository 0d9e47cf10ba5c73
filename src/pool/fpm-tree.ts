/**
 * The files that FPM's configuration consists of, and the one value that FPM cannot be
 * asked for without writing to it: where its errors are logged.
 */
import { readText } from '../system/files.js';
import { glob } from '../system/glob.js';

export interface FpmTree {
  /** The file itself and everything it includes, in the order FPM reads them. */
  readonly files: readonly string[];
  /** The last error_log of a [global]; null where there is none or it is the syslog. */
  readonly errorLog: string | null;
}

/**
 * Follows `include`s as FPM does (fpm_conf.c): a glob, relative ones below the prefix it was
 * built with, `${NAME}` from the environment. A file that cannot be read is listed, not followed:
 * FPM's own test says what is wrong with it.
 */
export function fpmTree(file: string, env: Readonly<Record<string, string>>): FpmTree {
  const files: string[] = [];
  let errorLog: string | null = null;
  // FPM does not leave a section at the end of an included file
  let section = 'global';
  const visit = (path: string): void => {
    if (files.includes(path)) return;
    files.push(path);
    const text = readText(path);
    if (!text.ok) return;
    for (const line of text.value.split('\n')) {
      const header = /^\s*\[([^\]]*)\]/.exec(line)?.[1];
      if (header !== undefined) section = header.trim();
      const [, key, raw = ''] = /^\s*(include|error_log)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (key === undefined) continue;
      const value = unquote(raw).replace(/\$\{([^}]*)\}/g, (_, name: string) => env[name] ?? '');
      if (key === 'include') glob(below(value, PREFIX)).forEach(visit);
      else if (section === 'global') errorLog = value === 'syslog' ? null : below(value, LOCALSTATE);
    }
  };
  visit(file);
  return { files, errorLog };
}

// Debian's and most packagers' --prefix and --localstatedir
const PREFIX = '/usr';
const LOCALSTATE = '/var';

const below = (path: string, folder: string): string => (path.startsWith('/') ? path : `${folder}/${path}`);

function unquote(raw: string): string {
  const quoted = /^(["'])(.*?)\1/.exec(raw)?.[2];
  return quoted ?? raw.replace(/\s*;.*$/, '');
}
