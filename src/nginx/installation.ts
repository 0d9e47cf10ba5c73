/**
 * What an nginx binary was compiled with, as far as it decides which files are read:
 * the answer of `nginx -V`, and where such binaries stand. PATH is never searched.
 */
import { join } from 'node:path';
import { fail, ok } from '../event.js';
import type { Result } from '../event.js';
import { run } from '../system/exec.js';
import { exists, realPath } from '../system/files.js';

/** Absolute, but for an error log that is `stderr`. */
export interface Compiled {
  readonly prefix: string;
  readonly config: string;
  readonly pidfile: string;
  readonly errorLog: string;
  /** Whom workers run as when the configuration does not say. `groups`: names for its group, the first that exists. */
  readonly user: { readonly name: string; readonly groups: readonly string[] };
  /** `1.22.1`; null where it does not say. */
  readonly version: string | null;
}

const BINARIES = [
  '/usr/sbin/nginx',
  '/usr/local/sbin/nginx',
  '/usr/local/nginx/sbin/nginx',
  '/usr/bin/nginx',
  '/usr/local/bin/nginx',
  '/opt/nginx/sbin/nginx',
  '/usr/local/openresty/nginx/sbin/nginx',
];

/** The only nginx of this machine; fails with `nginx-not-found` or `binary-ambiguous`. */
export function findBinary(): Result<string> {
  const found = new Map<string, string>();
  for (const path of BINARIES) {
    const real = realPath(path);
    if (real.ok && !found.has(real.value)) found.set(real.value, path);
  }
  const [first, ...others] = found.values();
  if (first === undefined) return fail({ reason: 'nginx-not-found', searched: BINARIES });
  return others.length > 0 ? fail({ reason: 'binary-ambiguous', found: [...found.values()] }) : ok(first);
}

/** Asks a binary; fails with `nginx-not-found` when it is no nginx. `timeout`: ms. */
export async function askCompiled(binary: string, timeout: number): Promise<Result<Compiled>> {
  if (!exists(binary)) return fail({ reason: 'nginx-not-found', searched: [binary] });
  const ran = await run([binary, '-V'], { timeout });
  const found = parseCompiled(ran.stdout + ran.stderr);
  return found === null ? fail({ reason: 'nginx-not-found', searched: [binary] }) : ok(found);
}

/** Pure: the answer of `nginx -V`; null when it is none. Defaults are those of nginx's own auto/options. */
export function parseCompiled(output: string): Compiled | null {
  const text = /^configure arguments:(.*)$/m.exec(output)?.[1];
  if (text === undefined) return null;
  const option = (name: string): string | null => {
    const value = new RegExp(`(?:^|\\s)--${name}=(?:'([^']*)'|(\\S+))`).exec(text);
    return value?.[1] ?? value?.[2] ?? null;
  };
  const prefix = option('prefix') ?? '/usr/local/nginx';
  const under = (path: string): string => (path.startsWith('/') ? path : join(prefix, path));
  const user = option('user');
  const group = option('group') ?? user;
  const errorLog = option('error-log-path') ?? 'logs/error.log';
  return {
    prefix,
    config: under(option('conf-path') ?? 'conf/nginx.conf'),
    pidfile: under(option('pid-path') ?? 'logs/nginx.pid'),
    errorLog: errorLog === 'stderr' ? errorLog : under(errorLog),
    user: { name: user ?? 'nobody', groups: group === null ? ['nobody', 'nogroup'] : [group] },
    version: /^(?:nginx|openresty) version: \S+?\/(\d+(?:\.\d+)*)/m.exec(output)?.[1] ?? null,
  };
}
